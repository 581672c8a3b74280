package tty_test

import (
	"strings"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// TestScripts compares scripts with the host.
func TestScripts(t *testing.T) {
	const tabs = "a\tb\tcc\x01\tdd"
	cc := func(i int, c byte) step { return set(func(t *abi.Termios) { t.Cc[i] = c }) }
	for _, c := range []struct {
		name   string
		script []step
	}{
		{"settings", []step{func(p pty) string {
			var a abi.Termios
			var b abi.Termios2
			var w unix.Winsize
			e1, e2, e3 := p.ioctl(false, unix.TCGETS, &a), p.ioctl(true, unix.TCGETS2, &b), p.ioctl(false, unix.TIOCGWINSZ, &w)
			return result([]any{a, b, w, e1, e2, e3}, nil)
		}}},
		{"speeds", []step{
			set(func(t *abi.Termios) {
				t.Cflag = t.Cflag&^unix.CBAUD | unix.B115200 | unix.CS7 | unix.PARENB | unix.B9600<<unix.IBSHIFT
			}),
			func(p pty) string { var b abi.Termios2; return result(&b, p.ioctl(true, unix.TCGETS2, &b)) },
			func(p pty) string {
				var b abi.Termios2
				p.ioctl(true, unix.TCGETS2, &b)
				b.Cflag, b.Ispeed, b.Ospeed = b.Cflag&^(unix.CBAUD|unix.CBAUD<<unix.IBSHIFT)|unix.BOTHER, 1, 12345
				e := p.ioctl(false, unix.TCSETS2, &b)
				p.ioctl(false, unix.TCGETS2, &b)
				return result(&b, e)
			},
		}},
		{"line", []step{typed("hello"), polls, counts, get(10), typed("\n"), polls, counts, get(3), counts, get(10), get(10), screen, polls}},
		{"lines", []step{typed("one\ntwo\nthree"), counts, get(100), get(100), get(100), typed("\r"), get(100), screen}},
		{"end of file", []step{typed("abc\x04"), counts, get(3), get(3), typed("\x04"), polls, counts, get(3), get(3), typed("x\x04y\n\x04"), get(1), get(1), get(1), get(1), get(1), screen}},
		{"end of file short", []step{typed("abc\x04"), get(2), get(2), get(2), get(2)}},
		{"other ends", []step{cc(unix.VEOL, 'x'), cc(unix.VEOL2, 'y'), typed("abcxdefyghi\n"), get(50), get(50), get(50), get(50), screen}},
		{"erase", []step{typed("abc\x7fd\x7f\x7f\x7f\x7f\x7fxyz\n"), get(50), screen}},
		{"erase control", []step{typed("a\x01\x02\x7f\x7f\x7fz\n"), get(50), screen}},
		{"erase tab", []step{typed(tabs + strings.Repeat("\x7f", 12) + "\n"), get(50), screen}},
		{"erase tab after prompt", []step{printed("prompt> "), typed("\ta\tb\x7f\x7f\x7f\x7f\x7fq\n"), get(50), screen}},
		{"kill", []step{typed("some words\x15other\n"), get(50), screen}},
		{"kill tabs", []step{printed("$ "), typed(tabs + "\x15x\n"), get(50), screen}},
		{"kill plain", []step{local(0, unix.ECHOKE), typed("some words\x15other\n"), get(50), screen}},
		{"kill silent", []step{local(0, unix.ECHOKE|unix.ECHOK), typed("some words\x15other\n"), get(50), screen}},
		{"kill no echo", []step{local(0, unix.ECHO), typed("some words\x15other\n"), get(50), screen}},
		{"word", []step{typed("one two-three  \x17\x17four\x17\x17\x17\x17five\n"), get(50), screen}},
		{"literal", []step{typed("a\x16\x03\x16\n\x16\x7f\x16\x04b\n"), get(50), screen}},
		{"literal without echo", []step{local(0, unix.ECHOCTL), typed("a\x16\x03b\n"), get(50), screen}},
		{"reprint", []step{typed("ab\x01c\x12de\n"), get(50), screen}},
		{"not extended", []step{local(0, unix.IEXTEN), typed("a\x16b\x17c\x12d\n"), get(50), screen}},
		{"no ECHOE", []step{local(0, unix.ECHOE), typed("abc\x7f\x7fd\n"), get(50), screen}},
		{"ECHOPRT", []step{local(unix.ECHOPRT, 0), typed("abcd\x7f\x7fe\x7f\x17x\x01\x7fz\n"), get(50), screen}},
		{"ECHONL", []step{local(unix.ECHONL, unix.ECHO), typed("ab\ncd\r"), get(50), screen}},
		{"no ECHOCTL", []step{local(0, unix.ECHOCTL), typed("a\x01b\x7f\x7f\x7fc\n"), get(50), screen}},
		{"UTF-8", []step{input(unix.IUTF8, 0), typed("aäß€\x7f\x7fx\tü\x7f\x7f\x7f\x15é ü\x17\n"), get(50), screen}},
		{"UTF-8 ECHOPRT", []step{input(unix.IUTF8, 0), local(unix.ECHOPRT, 0), typed("aäß€\x7f\x7f\tb\n"), get(50), screen}},
		{"bytes", []step{typed("aäß\x7f\x7f\xa0\x9f\xff\n"), get(50), screen}},
		{"Latin words", []step{typed("\xe4\xd7\xe4\xc0\x17\x17x\n"), get(50), screen}},
		{"IGNCR", []step{input(unix.IGNCR, 0), typed("a\rb\n"), get(50), screen}},
		{"INLCR", []step{input(unix.INLCR, unix.ICRNL), typed("a\nb\r\n"), get(50), counts, screen}},
		{"INLCR ICRNL", []step{input(unix.INLCR, 0), typed("a\nb\rc\n"), get(50), counts, screen}},
		{"no ICRNL", []step{input(0, unix.ICRNL), typed("a\rb\n"), get(50), screen}},
		{"ISTRIP", []step{input(unix.ISTRIP, 0), typed("\xe1\x8a"), get(50), screen}},
		{"IUCLC", []step{input(unix.IUCLC, 0), typed("AbC\xc4\n"), get(50), screen}},
		{"OLCUC", []step{output(unix.OLCUC, 0), printed("AbC\xe4\xff\xdf\n"), typed("q"), screen}},
		{"PARMRK", []step{input(unix.PARMRK, 0), typed("a\xffb\x16\xff\n"), get(50), screen}},
		{"signals flush", []step{typed("abc\x03"), counts, screen, typed("x\n"), get(9), typed("y\x1a"), typed("z\x1c\n"), get(9), screen}},
		{"signals keep", []step{local(unix.NOFLSH, 0), typed("abc\x03def\n"), get(50), screen}},
		{"signals after lines", []step{typed("abc\nde"), typed("\x03f\n"), get(50), get(50), screen}},
		{"signals not flushing what is printed", []step{printed("hello"), typed("x\x03y"), screen}},
		{"stop", []step{typed("a\x13"), polls, printed("out"), typed("bc"), screen, typed("\x11"), polls, screen, printed("more"), screen}},
		{"stop without start", []step{typed("\x13ab"), input(0, unix.IXON), screen}},
		{"IXANY", []step{input(unix.IXANY, 0), typed("\x13"), printed("no"), typed("x"), printed("yes"), screen}},
		{"stop and interrupt", []step{typed("a\x13b\x03c"), screen}},
		{"TCXONC", []step{ioctl(false, unix.TCXONC, unix.TCOOFF), printed("no"), typed("\x11"), printed("no"), ioctl(false, unix.TCXONC, unix.TCOON),
			printed("yes"), ioctl(false, unix.TCXONC, unix.TCIOFF), ioctl(false, unix.TCXONC, unix.TCION), screen, ioctl(false, unix.TCXONC, 7)}},
		{"output", []step{printed("a\nb\tc\r\nd\b\b\be\n"), screen}},
		{"no OPOST", []step{output(0, unix.OPOST), printed("a\nb\tc\r\n"), screen}},
		{"tabs", []step{output(unix.XTABS, 0), printed("a\tbcdefgh\ti\b\tj\n\tk\x01\tl\rm\tn"), screen}},
		{"tabs and UTF-8", []step{output(unix.XTABS, 0), input(unix.IUTF8, 0), printed("ä€\tb\n"), screen}},
		{"OCRNL", []step{output(unix.OCRNL|unix.XTABS, unix.ONLCR), printed("a\rb\tc\n\td"), screen}},
		{"ONOCR", []step{output(unix.ONOCR, 0), printed("\ra\r\r\nb\r"), screen}},
		{"ONLRET", []step{output(unix.ONLRET|unix.XTABS, unix.ONLCR), printed("ab\n\tc"), screen}},
		{"no ONLCR", []step{output(unix.XTABS, unix.ONLCR), printed("ab\n\tc"), typed("\t\x7f"), screen}},
		{"echo and column", []step{output(unix.XTABS, 0), printed("abc"), typed("d\te\tf\x7f\x7f\x7fg\n"), screen}},
		{"raw", []step{rawMode(1, 0), typed("a\r\n\x03\x04\x7f"), polls, counts, get(3), get(10), get(10), screen}},
		{"raw VMIN", []step{rawMode(5, 0), typed("abc"), polls, get(10), typed("defgh"), polls, get(3), get(9)}},
		{"raw no VMIN", []step{rawMode(0, 0), get(10), typed("abc"), get(2), get(2), get(2)}},
		{"raw VTIME", []step{rawMode(0, 1), polls, get(10), typed("abc"), get(10)}},
		{"raw with echo", []step{rawMode(1, 0), local(unix.ECHO, 0), typed("a\x7f\x01\r\n\xff"), get(10), screen}},
		{"raw with signals", []step{rawMode(1, 0), local(unix.ISIG, 0), typed("a\x03b"), get(10), screen}},
		{"raw then lines", []step{rawMode(1, 0), typed("ab\ncd"), local(unix.ICANON, 0), counts, polls, get(10), get(10), typed("e\n"), get(10), get(10)}},
		{"raw NUL then lines", []step{rawMode(1, 0), typed("ab\x00"), local(unix.ICANON, 0), counts, get(10), get(10), typed("e\n"), get(10)}},
		{"lines then raw", []step{typed("ab\ncd\x04ef"), rawMode(1, 0), counts, polls, get(50), screen}},
		{"NUL", []step{typed("a\x00b\n"), counts, get(10), screen}},
		{"disabled keys", []step{cc(unix.VERASE, 0), cc(unix.VINTR, 0), typed("a\x00\x03\x7f\n"), get(10), screen}},
		{"TCSETSF", []step{typed("abc\nde"), setBy(unix.TCSETSF, func(*abi.Termios) {}), counts, typed("f\n"), get(10), screen}},
		{"TCSETSW", []step{printed("abc"), setBy(unix.TCSETSW, func(*abi.Termios) {}), screen}},
		{"TCFLSH", []step{typed("abc\n"), ioctl(false, unix.TCFLSH, unix.TCIFLUSH), counts, printed("x"), ioctl(false, unix.TCFLSH, unix.TCOFLUSH), screen,
			typed("abc\n"), ioctl(false, unix.TCFLSH, unix.TCIOFLUSH), counts, screen, ioctl(false, unix.TCFLSH, 3)}},
		{"TCFLSH on the master", []step{typed("abc\n"), printed("x"), ioctl(true, unix.TCFLSH, unix.TCOFLUSH), counts, ioctl(true, unix.TCFLSH, unix.TCIFLUSH), counts, screen}},
		{"break", []step{ioctl(false, unix.TCSBRK, 0), ioctl(false, unix.TCSBRK, 1), ioctl(false, unix.TCSBRKP, 0), ioctl(false, unix.TIOCSBRK, 0), ioctl(true, unix.TIOCCBRK, 0)}},
		{"packets", []step{ioctlInt(true, unix.TIOCPKT, 1), polls, printed("abc"), polls, packets, typed("\x13"), polls, packets, typed("\x11"), packets,
			typed("x\x03"), packets, rawMode(1, 0), packets, input(unix.IXON, 0), packets, ioctl(false, unix.TCFLSH, unix.TCIOFLUSH), polls, packets,
			local(unix.EXTPROC, 0), packets, ioctlInt(true, unix.TIOCGPKT, 9), ioctlInt(true, unix.TIOCPKT, 0), printed("z"), screen}},
		{"packets of TCXONC", []step{ioctlInt(true, unix.TIOCPKT, 1), ioctl(false, unix.TCXONC, unix.TCOOFF), packets, ioctl(false, unix.TCXONC, unix.TCOON), packets}},
		{"long line", []step{typed(strings.Repeat("x", 4000)), counts, typed(strings.Repeat("y", 200)), typed("\x7f\x7fz\n"), counts, get(5000), get(5000), typed("q\n"), get(10)}},
		{"long line to the brim", []step{local(0, unix.ECHO), typed(strings.Repeat("x", 4095)), typed("\n"), counts, get(5000), typed(strings.Repeat("y", 4097)), typed("\n"), get(5000)}},
		{"many lines", []step{local(0, unix.ECHO), typed(strings.Repeat("line\n", 1000)), counts, get(100), get(100), counts}},
		{"much raw", []step{rawMode(1, 0), typed(strings.Repeat("x", 6000)), polls, counts, get(4095), counts, get(4096), get(1)}},
		{"EXTPROC", []step{local(unix.EXTPROC, 0), typed("a\x7f\x03b\n"), counts, get(50), screen}},
		{"slave closed", []step{printed("last"), closed(false), func(p pty) string { return result("", nil) }, screen, typed("x"), func(p pty) string { return result(p.poll(true), nil) }, screen}},
		{"master closed", []step{typed("last\n"), closed(true), get(10), printed("x"), func(p pty) string { return result(p.poll(false), nil) },
			ioctl(false, unix.TIOCSPGRP, 8), counts1, ioctl(false, unix.TCFLSH, 0)}},
		{"window", []step{func(p pty) string {
			w := unix.Winsize{Row: 5, Col: 6, Xpixel: 7, Ypixel: 8}
			e := p.ioctl(true, unix.TIOCSWINSZ, &w)
			w = unix.Winsize{}
			p.ioctl(false, unix.TIOCGWINSZ, &w)
			return result(w, e)
		}}},
		{"numbers", []step{ioctlInt(false, unix.TIOCGPTN, 0), ioctlInt(true, unix.TIOCGPTLCK, 5), ioctlInt(true, unix.TIOCSPTLCK, 3), ioctlInt(true, unix.TIOCGPTLCK, 5),
			ioctlInt(false, unix.TIOCPKT, 1), ioctlInt(false, unix.TIOCGETD, 1), ioctlInt(false, unix.TIOCSETD, 0), ioctlInt(false, unix.TIOCSETD, 77),
			ioctlInt(false, unix.TIOCGEXCL, 7), ioctl(false, unix.TIOCEXCL, 0), ioctlInt(false, unix.TIOCGEXCL, 7), ioctlInt(false, unix.TIOCOUTQ, 7),
			ioctlInt(false, unix.TIOCGPGRP, 7), ioctlInt(true, unix.TIOCGPGRP, 7), ioctlInt(false, unix.TIOCGSID, 7), ioctlInt(true, unix.TIOCGSID, 7),
			ioctlInt(false, unix.TIOCMGET, 0), ioctlInt(false, 0x54ff, 0), ioctl(false, unix.TIOCNOTTY, 0), ioctlInt(false, unix.TIOCGSOFTCAR, 9), ioctlInt(true, unix.TIOCSIG, 9),
			ioctl(true, unix.TIOCSIG, 9), ioctl(true, unix.TIOCSIG, 2)}},
		{"termio", []step{func(p pty) string { var v abi.Termio; return result(v, p.ioctl(false, unix.TCGETA, &v)) },
			func(p pty) string {
				v := abi.Termio{Lflag: unix.ICANON, Oflag: unix.OPOST, Cflag: unix.B9600}
				v.Cc[unix.VEOF] = 'q'
				e := p.ioctl(false, unix.TCSETA, &v)
				var w abi.Termios2
				return result([]any{w, e}, p.ioctl(false, unix.TCGETS2, &w))
			}, typed("abq"), get(5), screen}},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, c.script...) })
	}
}

func counts1(p pty) string { var n int32; return result(n, p.ioctl(false, unix.TIOCINQ, &n)) }
