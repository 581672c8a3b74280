package trace

import (
	"io"
	"strconv"
	"sync"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
)

// chromeSink writes the Chrome JSON trace event format: an array of events, of which each call is a complete one ("X")
// on its thread's track, sleep in it another inside it, a wake-up a flow arrow ("s", "f") from who woke it, and a signal
// or an end an instant ("i"). Times are microseconds.
type chromeSink struct {
	outlet
	first bool
	flows uint64
}

func newChromeSink(w io.Writer) *chromeSink {
	return &chromeSink{outlet: outlet{w: w, b: []byte(`{"displayTimeUnit":"ns","traceEvents":[`)}, first: true}
}

func (s *chromeSink) close(mu *sync.Mutex) error {
	mu.Lock()
	s.b = append(s.b, "\n]}\n"...)
	mu.Unlock()
	return s.flush(mu)
}

// open begins an event.
func (s *chromeSink) open(ph byte, k *task, at int64) []byte {
	b := s.b
	if !s.first {
		b = append(b, ',')
	}
	s.first = false
	b = append(b, "\n{\"ph\":\""...)
	b = append(b, ph)
	b = append(b, `","pid":`...)
	b = strconv.AppendInt(b, int64(k.pid), 10)
	b = append(b, `,"tid":`...)
	b = strconv.AppendInt(b, int64(k.tid), 10)
	b = append(b, `,"ts":`...)
	return appendMicros(b, at)
}

func appendMicros(b []byte, ns int64) []byte {
	b = strconv.AppendInt(b, ns/1000, 10)
	b = append(b, '.')
	return appendPadded(b, ns%1000, 3)
}

// name tells what a thread, and for the first one its process, is called.
func (s *chromeSink) name(k *task, comm string) {
	for _, what := range []string{"process_name", "thread_name"} {
		if what == "process_name" && k.pid != k.tid {
			continue
		}
		b := s.open('M', k, 0)
		b = append(b, `,"name":"`...)
		b = append(b, what...)
		b = append(b, `","args":{"name":`...)
		b = appendJSON(b, []byte(comm))
		s.b = append(b, "}}"...)
	}
}

func (s *chromeSink) call(r *record, args int, end int64) {
	p := &r.p
	b := s.open('X', r.task, r.start)
	b = append(b, `,"dur":`...)
	b = appendMicros(b, max(end-r.start, 0))
	b = append(b, `,"cat":"syscall","name":`...)
	b = appendJSON(b, []byte(r.name))
	if p.errno != 0 && p.errno < 512 {
		b = append(b, `,"cname":"terrible"`...)
	}
	b = append(b, `,"args":{"arguments":`...)
	b = appendJSON(b, p.b[:args])
	b = append(b, `,"result":`...)
	b = appendJSON(b, p.b[args:])
	s.b = append(b, "}}"...)
}

// blocked is called when k runs again: it has slept since k.blockedAt.
func (s *chromeSink) blocked(k *task, waker *task, now int64) {
	b := s.open('X', k, k.blockedAt)
	b = append(b, `,"dur":`...)
	b = appendMicros(b, max(now-k.blockedAt, 0))
	b = append(b, `,"cat":"sched","name":"blocked","cname":"grey","args":{`...)
	if waker != nil {
		b = append(b, `"woken by":`...)
		b = strconv.AppendInt(b, int64(waker.tid), 10)
		b = append(b, ',')
	}
	b = append(b, `"waited for a CPU (ns)":`...)
	if k.wakerAt >= k.blockedAt {
		b = strconv.AppendInt(b, now-k.wakerAt, 10)
	} else {
		b = append(b, '0')
	}
	s.b = append(b, "}}"...)
	if waker == nil || !waker.traced {
		return
	}
	s.flows++
	flow := func(ph byte, k *task, at int64, end string) {
		b := s.open(ph, k, at)
		b = append(b, `,"cat":"sched","name":"wake-up","id":`...)
		b = strconv.AppendUint(b, s.flows, 10)
		b = append(b, end...)
		s.b = append(b, '}')
	}
	flow('s', waker, k.wakerAt, "")
	flow('f', k, now, `,"bp":"e"`)
}

func (s *chromeSink) signal(k *task, i *abi.Siginfo, at int64) {
	b := s.open('i', k, at)
	b = append(b, `,"s":"t","cat":"signal","name":`...)
	b = appendJSON(b, []byte(abi.SignalName(int(i.Signo))))
	var p printer
	p.siginfo(i)
	b = append(b, `,"args":{"info":`...)
	b = appendJSON(b, p.b)
	s.b = append(b, "}}"...)
}

func (s *chromeSink) exit(k *task, e *sysemu.Event) {
	b := s.open('i', k, e.Time)
	b = append(b, `,"s":"t","cat":"task","name":"`...)
	if e.Status.Signaled() {
		b = append(b, "killed by "...)
		b = append(b, abi.SignalName(int(e.Status.Signal()))...)
	} else {
		b = append(b, "exited with "...)
		b = strconv.AppendInt(b, int64(e.Status.ExitStatus()), 10)
	}
	s.b = append(b, `"}`...)
}
