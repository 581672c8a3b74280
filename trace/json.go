package trace

import (
	"strconv"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
)

// jsonSink writes one object a line. A call has
//
//	{"type":"call","time":1795713781.616503000,"pid":300,"tid":300,"call":"read","number":0,"arch":"x86_64",
//	 "args":["3","\"text\"","4096"],"registers":[3,140723,4096,0,0,0],"result":4,"duration":0.000287}
//
// with "error":"ENOENT" where it failed, "note" for what strace puts in parentheses behind the result, and "result":null
// when nobody will see one. Arguments are text as in strace's lines. A signal has "signal" and "info", the end of a
// thread "status" or "signal".
type jsonSink struct{ outlet }

func (s *jsonSink) open(typ string, k *task, real int64) {
	b := append(s.b, `{"type":"`...)
	b = append(b, typ...)
	b = append(b, `","time":`...)
	b = appendSeconds(b, real)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(k.pid), 10)
	b = append(b, `,"tid":`...)
	s.b = strconv.AppendInt(b, int64(k.tid), 10)
}

// appendSeconds appends ns as seconds.
func appendSeconds(b []byte, ns int64) []byte {
	if ns < 0 {
		b, ns = append(b, '-'), -ns
	}
	b = strconv.AppendInt(b, ns/1e9, 10)
	b = append(b, '.')
	return appendPadded(b, ns%1e9, 9)
}

// appendJSON appends a string, which is what a line of the trace may hold: bytes above 0x7f are in paths of -y only.
func appendJSON(b []byte, s []byte) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c == '<': // so that no page ends in it
			b = append(b, `\u003c`...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func (s *jsonSink) call(r *record, args int, end int64) {
	s.open("call", r.task, r.real)
	p := &r.p
	b := append(s.b, `,"call":`...)
	b = appendJSON(b, []byte(r.name))
	if p.desc != nil {
		b = append(b, `,"number":`...)
		b = strconv.AppendInt(b, int64(p.desc.Number(archOf(p))), 10)
	}
	b = append(b, `,"arch":"`...)
	b = append(b, archOf(p).String()...)
	b = append(b, `","args":[`...)
	first := true
	splitArgs(p.b[:args], func(arg []byte) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendJSON(b, arg)
	})
	b = append(b, `],"registers":[`...)
	for i, v := range p.args {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, v, 10)
	}
	b = append(b, `],"result":`...)
	switch {
	case p.radix == '?' || p.errno >= 512:
		b = append(b, "null"...)
	case p.errno != 0:
		b = append(b, "-1"...)
	default:
		b = strconv.AppendInt(b, int64(p.ret), 10)
	}
	if p.errno != 0 {
		b = append(b, `,"error":`...)
		b = appendJSON(b, []byte(abi.ErrnoName(p.errno)))
	}
	if len(p.aux) > 0 {
		b = append(b, `,"note":`...)
		b = appendJSON(b, p.aux)
	}
	b = append(b, `,"duration":`...)
	b = appendSeconds(b, max(end-r.start, 0))
	s.b = append(b, "}\n"...)
}

func archOf(p *printer) abi.Arch {
	if p.arch == 0 {
		return abi.AMD64
	}
	return p.arch
}

// splitArgs gives the arguments of a line one by one: they are parted by ", " outside of brackets, strings and comments.
func splitArgs(b []byte, f func([]byte)) {
	if len(b) == 0 {
		return
	}
	depth, from := 0, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth--
		case '<':
			if i > 0 && b[i-1] != '<' && (i+1 >= len(b) || b[i+1] != '<') && b[i-1] != ' ' { // 3</path>, not 1<<2
				for i < len(b) && b[i] != '>' {
					i++
				}
			}
		case '/':
			if i+1 < len(b) && b[i+1] == '*' {
				for i += 2; i+1 < len(b) && !(b[i] == '*' && b[i+1] == '/'); i++ {
				}
			}
		case ',':
			if depth == 0 && i+1 < len(b) && b[i+1] == ' ' {
				f(b[from:i])
				from = i + 2
			}
		}
	}
	f(b[min(from, len(b)):])
}

func (s *jsonSink) signal(k *task, i *abi.Siginfo, real int64) {
	s.open("signal", k, real)
	b := append(s.b, `,"signal":`...)
	b = appendJSON(b, []byte(abi.SignalName(int(i.Signo))))
	var p printer
	p.siginfo(i)
	b = append(b, `,"info":`...)
	b = appendJSON(b, p.b)
	s.b = append(b, "}\n"...)
}

func (s *jsonSink) exit(k *task, e *sysemu.Event) {
	s.open("exit", k, e.Realtime)
	if e.Status.Signaled() {
		b := append(s.b, `,"signal":`...)
		b = appendJSON(b, []byte(abi.SignalName(int(e.Status.Signal()))))
		s.b = append(b, "}\n"...)
		return
	}
	b := append(s.b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.Status.ExitStatus()), 10)
	s.b = append(b, "}\n"...)
}
