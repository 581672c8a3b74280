package trace

import (
	"io"
	"strconv"
	"sync"
	"time"
)

// outlet gathers what is to be written. The buffer belongs to the tracer's lock, the writer to its own: nothing waits
// for a slow reader but who writes.
type outlet struct {
	w     io.Writer
	b     []byte
	write sync.Mutex
	spare []byte
	err   error
}

// flush writes what there is.
func (o *outlet) flush(mu *sync.Mutex) error {
	o.write.Lock()
	defer o.write.Unlock()
	mu.Lock()
	b := o.b
	o.b = o.spare[:0]
	mu.Unlock()
	if len(b) > 0 && o.w != nil && o.err == nil {
		_, o.err = o.w.Write(b)
	}
	o.spare = b[:0]
	return o.err
}

// enough is how many bytes are worth a write.
const enough = 1 << 15

func (t *Tracer) full() bool {
	return t.opts.Lines && len(t.out.b) > 0 || len(t.out.b) >= enough ||
		t.json != nil && len(t.json.b) >= enough || t.chrome != nil && len(t.chrome.b) >= enough
}

func (t *Tracer) flush() error {
	err := t.out.flush(&t.mu)
	if t.json != nil {
		if e := t.json.flush(&t.mu); err == nil {
			err = e
		}
	}
	if t.chrome != nil {
		if e := t.chrome.flush(&t.mu); err == nil {
			err = e
		}
	}
	return err
}

// prefix begins a line: whose it is, and when.
func (t *Tracer) prefix(k *task, real int64) {
	b := t.out.b
	switch {
	case t.opts.Follow && t.opts.PIDs:
		at := len(b)
		b = strconv.AppendInt(b, int64(k.tid), 10)
		for len(b)-at < 5 {
			b = append(b, ' ')
		}
		b = append(b, ' ')
	case t.alive > 1:
		b = append(b, "[pid "...)
		var tmp [12]byte
		d := strconv.AppendInt(tmp[:0], int64(k.tid), 10)
		for i := len(d); i < 5; i++ {
			b = append(b, ' ')
		}
		b = append(b, d...)
		b = append(b, "] "...)
	}
	switch t.opts.Clock {
	case Seconds:
		b = time.Unix(0, real).AppendFormat(b, "15:04:05 ")
	case Micros:
		b = time.Unix(0, real).AppendFormat(b, "15:04:05.000000 ")
	case UnixMicros:
		b = strconv.AppendInt(b, real/1e9, 10)
		b = append(b, '.')
		b = append(appendPadded(b, real%1e9/1e3, 6), ' ')
	case SinceBefore:
		d := max(real-t.last, 0)
		if t.last == 0 {
			d = 0
		}
		t.last = real
		at := len(b)
		b = append(b, "     "...)
		b = strconv.AppendInt(b[:at+max(0, 6-digits(d/1e9))], d/1e9, 10)
		b = append(b, '.')
		b = append(appendPadded(b, d%1e9/1e3, 6), ' ')
	}
	t.out.b = b
}

func digits(v int64) int {
	n := 1
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}

// breakLine ends the line of a call that goes on, because another is to be written.
func (t *Tracer) breakLine() {
	r := t.current
	if r == nil {
		return
	}
	if !r.printed {
		t.writeEntry(r)
	}
	t.out.b = append(t.out.b, " <unfinished ...>\n"...)
	r.split = true
	t.current = nil
}

// writeEntry writes the beginning of a call's line.
func (t *Tracer) writeEntry(r *record) {
	at := len(t.out.b)
	t.prefix(r.task, r.real)
	b := append(t.out.b, r.name...)
	b = append(b, '(')
	t.out.b = append(b, r.entry...)
	r.col = len(t.out.b) - at
	r.printed = true
}

const spaces = "                                                                                "

// writeCall writes the rest of a call's line.
func (t *Tracer) writeCall(r *record, args int, end int64) {
	from := len(r.entry)
	at := len(t.out.b)
	switch {
	case r.split:
		t.breakLine()
		at = len(t.out.b)
		real := r.real
		if t.timed && real != 0 {
			real += end - r.start
		}
		t.prefix(r.task, real)
		b := append(t.out.b, "<... "...)
		b = append(b, r.name...)
		t.out.b = append(b, " resumed>"...)
	case r.printed:
		at -= r.col
		t.current = nil
	default:
		if t.current != r {
			t.breakLine()
			at = len(t.out.b)
		}
		t.current = nil
		t.prefix(r.task, r.real)
		b := append(t.out.b, r.name...)
		t.out.b = append(b, '(')
		from = 0
	}
	b := append(t.out.b, r.p.b[from:args]...)
	b = append(b, ") "...)
	if pad := t.opts.Column - (len(b) - at); pad > 0 {
		for pad > len(spaces) {
			b = append(b, spaces...)
			pad -= len(spaces)
		}
		b = append(b, spaces[:pad]...)
	}
	b = append(b, "= "...)
	b = append(b, r.p.b[args:]...)
	if t.opts.Elapsed && r.p.radix != '?' {
		d := end - r.start
		b = append(b, " <"...)
		b = strconv.AppendInt(b, d/1e9, 10)
		b = append(b, '.')
		b = append(appendPadded(b, d%1e9/1e3, 6), '>')
	}
	t.out.b = append(b, '\n')
}

// event writes a line that is no call's.
func (t *Tracer) event(k *task, real int64, f func(p *printer)) {
	if t.opts.Output == nil {
		return
	}
	t.breakLine()
	t.prefix(k, real)
	p := &t.own
	p.b = t.out.b
	f(p)
	t.out.b = append(p.b, '\n')
	p.b = nil
}
