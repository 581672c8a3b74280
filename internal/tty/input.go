package tty

import (
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// feed gives the line discipline what it has room for of what was typed.
func (t *TTY) feed() {
	for t.typed.len() > 0 {
		wasFull := t.typed.len() >= queueSize
		n := t.receive(t.typed.bytes())
		if n == 0 {
			break
		}
		t.typed.drop(n)
		if wasFull {
			t.masters.Wake(wait.Writable)
		}
	}
}

// receive takes what there is room for. While a line is typed there is room
// for one byte more in place of the last: so that it can be ended or edited.
func (t *TTY) receive(p []byte) int {
	n := 0
	t.settled = t.printed.len()
	defer func() { t.settled = -1 }()
	for n < len(p) {
		room := bufSize - int(t.head-t.tail)
		if t.in(unix.PARMRK) {
			room = (room + 2) / 3
		}
		room--
		if room <= 0 {
			if !t.local(unix.ICANON) || t.canon != t.tail {
				break
			}
			if room < 0 {
				t.head--
			}
			room = 1
		}
		k := min(room, len(p)-n)
		t.take(p[n : n+k])
		n += k
	}
	return n
}

// take processes bytes that fit.
func (t *TTY) take(p []byte) {
	switch {
	case t.raw || t.local(unix.EXTPROC) && t.termios.Iflag&(unix.ISTRIP|unix.IUCLC) == 0:
		for _, c := range p {
			t.put(c)
		}
	default:
		for _, c := range p {
			t.key(c)
		}
	}
	t.flushEcho()
	if !t.canonical() && t.head != t.tail {
		t.inputArrived()
	}
}

// put stores a byte for the reader.
func (t *TTY) put(c byte) {
	t.buf[t.head%bufSize] = c
	t.ends[t.head%bufSize] = false
	t.head++
}

// putMarked is put that doubles \377 if PARMRK wants that.
func (t *TTY) putMarked(c byte) {
	if c == 0xff && t.in(unix.PARMRK) {
		t.put(c)
	}
	t.put(c)
}

// key processes one byte of input.
func (t *TTY) key(c byte) {
	literal := t.lnext
	t.lnext = false
	if t.in(unix.ISTRIP) {
		c &= 0x7f
	}
	if t.in(unix.IUCLC) && t.local(unix.IEXTEN) {
		c = lower(c)
	}
	switch {
	case literal:
		t.ordinary(c)
	case t.local(unix.EXTPROC):
		t.put(c)
	case t.special[c]:
		t.specialKey(c)
	default:
		t.ordinary(c)
	}
}

// ordinary is a byte that means itself.
func (t *TTY) ordinary(c byte) {
	t.anyKeyStarts()
	if t.local(unix.ECHO) {
		t.endErasing()
		t.echoInLine(c)
	}
	t.putMarked(c)
}

// echoInLine echoes c, and notes where on the screen the line begins.
func (t *TTY) echoInLine(c byte) {
	if t.canon == t.head {
		t.addEcho(echoMarkLine)
	}
	t.echoChar(c)
}

// anyKeyStarts is IXANY: any key starts output again.
func (t *TTY) anyKeyStarts() {
	if t.stopped && !t.stoppedByCall && t.in(unix.IXON) && t.in(unix.IXANY) {
		t.start()
		t.flushEcho()
	}
}

// specialKey is a byte that may mean something.
func (t *TTY) specialKey(c byte) {
	if t.in(unix.IXON) {
		switch {
		case t.is(c, unix.VSTART):
			t.start()
			t.flushEcho()
			return
		case t.is(c, unix.VSTOP):
			t.stop()
			return
		}
	}
	if t.local(unix.ISIG) {
		switch {
		case t.is(c, unix.VINTR):
			t.signalKey(c, unix.SIGINT)
			return
		case t.is(c, unix.VQUIT):
			t.signalKey(c, unix.SIGQUIT)
			return
		case t.is(c, unix.VSUSP):
			t.signalKey(c, unix.SIGTSTP)
			return
		}
	}
	t.anyKeyStarts()
	switch {
	case c == '\r' && t.in(unix.IGNCR):
		return
	case c == '\r' && t.in(unix.ICRNL):
		c = '\n'
	case c == '\n' && t.in(unix.INLCR):
		c = '\r'
	}
	if t.local(unix.ICANON) && t.editKey(c) {
		return
	}
	if t.local(unix.ECHO) {
		t.endErasing()
		if c == '\n' {
			t.echoRaw('\n')
		} else {
			t.echoInLine(c)
		}
	}
	t.putMarked(c)
}

// signalKey sends the foreground group a signal, and unless NOFLSH forgets
// what was typed and printed.
func (t *TTY) signalKey(c byte, sig unix.Signal) {
	if t.foreground != 0 {
		t.kernel.SignalGroup(t.foreground, int(sig))
	}
	if !t.local(unix.NOFLSH) {
		t.dropEcho()
		t.flushOutput()
		t.flushInput()
	}
	if t.in(unix.IXON) {
		t.start()
	}
	if t.local(unix.ECHO) {
		t.echoChar(c)
	} else {
		t.flushEcho()
	}
}
