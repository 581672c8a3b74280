package tty

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Termios is a terminal's settings, with speeds in baud.
type Termios = abi.Termios2

// disabled is _POSIX_VDISABLE: a special character that is off.
const disabled = 0

func ctrl(c byte) byte { return c & 0x1f }

// defaultTermios is what a new pseudo-terminal has.
func defaultTermios() Termios {
	t := Termios{
		Iflag: unix.ICRNL | unix.IXON,
		Oflag: unix.OPOST | unix.ONLCR,
		Cflag: unix.B38400 | unix.CS8 | unix.CREAD,
		Lflag: unix.ISIG | unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE |
			unix.IEXTEN,
		Ispeed: 38400,
		Ospeed: 38400,
	}
	for i, c := range map[int]byte{
		unix.VINTR: ctrl('C'), unix.VQUIT: ctrl('\\'), unix.VERASE: 0x7f, unix.VKILL: ctrl('U'), unix.VEOF: ctrl('D'),
		unix.VMIN: 1, unix.VSTART: ctrl('Q'), unix.VSTOP: ctrl('S'), unix.VSUSP: ctrl('Z'), unix.VREPRINT: ctrl('R'),
		unix.VDISCARD: ctrl('O'), unix.VWERASE: ctrl('W'), unix.VLNEXT: ctrl('V'),
	} {
		t.Cc[i] = c
	}
	return t
}

var bauds = [...]uint32{
	0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
	57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000,
	3500000, 4000000,
}

// baud decodes the CBAUD bits; other is the speed that BOTHER stands for.
func baud(bits, other uint32) uint32 {
	bits &= unix.CBAUD
	if bits == unix.BOTHER {
		return other
	}
	if bits&unix.CBAUDEX != 0 {
		bits = bits&^unix.CBAUDEX + 15
	}
	if int(bits) >= len(bauds) {
		return 0
	}
	return bauds[bits]
}

// setSpeeds makes the speeds agree with the bits of Cflag.
func setSpeeds(t *Termios) {
	t.Ospeed = baud(t.Cflag, t.Ospeed)
	if in := t.Cflag >> unix.IBSHIFT & unix.CBAUD; in != unix.B0 {
		t.Ispeed = baud(in, t.Ispeed)
	} else {
		t.Ispeed = t.Ospeed
	}
}

// setTermios puts new settings in force.
func (t *TTY) setTermios(n Termios) {
	n.Cflag = n.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD
	old := t.termios
	t.termios = n
	changed := old.Lflag ^ n.Lflag

	if t.packet {
		was, is := flowByKeys(&old), flowByKeys(&n)
		if was != is {
			t.status &^= unix.TIOCPKT_DOSTOP | unix.TIOCPKT_NOSTOP
			if is {
				t.status |= unix.TIOCPKT_DOSTOP
			} else {
				t.status |= unix.TIOCPKT_NOSTOP
			}
		}
		if changed&unix.EXTPROC != 0 {
			t.status |= unix.TIOCPKT_IOCTL
		}
		if was != is || changed&unix.EXTPROC != 0 {
			t.statusChanged()
		}
	}

	if changed&(unix.ICANON|unix.EXTPROC) != 0 {
		// What was typed so far is a line now, or no line any more.
		t.ends = [bufSize]bool{}
		if n.Lflag&unix.ICANON != 0 && t.head != t.tail {
			t.ends[(t.head-1)%bufSize] = true
			t.canon = t.head
		} else {
			t.canon = t.tail
		}
		t.erasing, t.lnext = false, false
	}
	t.classify()
	if old.Iflag&unix.IXON != 0 && n.Iflag&unix.IXON == 0 {
		t.start()
		t.flushEcho()
	}
	t.feed()
	t.slaves.Wake(waitAny)
	t.tell()
}

// flowByKeys reports whether ^S and ^Q stop and start output.
func flowByKeys(t *Termios) bool {
	return t.Iflag&unix.IXON != 0 && t.Cc[unix.VSTOP] == ctrl('S') && t.Cc[unix.VSTART] == ctrl('Q')
}

// classify notes which bytes of input need a look.
func (t *TTY) classify() {
	s := &t.special
	*s = [256]bool{}
	cc := &t.termios.Cc
	t.raw = t.termios.Iflag&(unix.ISTRIP|unix.IUCLC|unix.IGNCR|unix.ICRNL|unix.INLCR|unix.IXON|unix.PARMRK) == 0 &&
		t.termios.Lflag&(unix.ICANON|unix.ISIG|unix.ECHO) == 0
	if t.in(unix.IGNCR) || t.in(unix.ICRNL) {
		s['\r'] = true
	}
	if t.in(unix.INLCR) {
		s['\n'] = true
	}
	if t.local(unix.ICANON) {
		s[cc[unix.VERASE]], s[cc[unix.VKILL]], s[cc[unix.VEOF]], s['\n'], s[cc[unix.VEOL]] = true, true, true, true, true
		if t.local(unix.IEXTEN) {
			s[cc[unix.VWERASE]], s[cc[unix.VLNEXT]], s[cc[unix.VEOL2]] = true, true, true
			if t.local(unix.ECHO) {
				s[cc[unix.VREPRINT]] = true
			}
		}
	}
	if t.in(unix.IXON) {
		s[cc[unix.VSTART]], s[cc[unix.VSTOP]] = true, true
	}
	if t.local(unix.ISIG) {
		s[cc[unix.VINTR]], s[cc[unix.VQUIT]], s[cc[unix.VSUSP]] = true, true, true
	}
	s[disabled] = false
}

func (t *TTY) in(flag uint32) bool    { return t.termios.Iflag&flag != 0 }
func (t *TTY) out(flag uint32) bool   { return t.termios.Oflag&flag != 0 }
func (t *TTY) local(flag uint32) bool { return t.termios.Lflag&flag != 0 }

// canonical reports whether input is read by lines.
func (t *TTY) canonical() bool {
	return t.termios.Lflag&(unix.ICANON|unix.EXTPROC) == unix.ICANON
}

// is reports whether c is the special character which, if that is on.
func (t *TTY) is(c byte, which int) bool {
	return c == t.termios.Cc[which] && c != disabled
}
