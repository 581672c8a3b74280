package tty

import "golang.org/x/sys/unix"

// Echo is kept as what is to be done, not as bytes: it is done at the end of
// what is typed at once, or when output is started again, and only then are
// the column and the settings known. As on Linux ^S and ^C come before the
// echo of what was typed just before them.

// echoOp is a byte to be echoed with how: kind<<8 | byte.
type echoOp uint16

const (
	echoByte     echoOp = iota << 8 // through output processing
	echoControl                     // as ^X
	echoBack                        // one column back, without printing
	echoMarkLine                    // the line typed begins here
	echoUntab                       // back over a tab; the byte: columns before it, see untab
)

// maxEcho is how many of them wait; the oldest are lost.
const maxEcho = 4096

func (t *TTY) addEcho(op echoOp) {
	if len(t.echo) == maxEcho {
		t.flushEcho()
	}
	if len(t.echo) == maxEcho {
		t.echo = append(t.echo[:0], t.echo[1:]...)
	}
	t.echo = append(t.echo, op)
}

// echoRaw echoes a byte as it is printed.
func (t *TTY) echoRaw(c byte) { t.addEcho(echoByte | echoOp(c)) }

// echoChar is echoRaw that shows control characters as ^X (ECHOCTL).
func (t *TTY) echoChar(c byte) {
	if t.local(unix.ECHOCTL) && isControl(c) && c != '\t' {
		t.addEcho(echoControl | echoOp(c))
		return
	}
	t.echoRaw(c)
}

// dropEcho forgets what was not printed.
func (t *TTY) dropEcho() { t.echo = t.echo[:0] }

// flushEcho prints the echo, unless output is stopped, as far as there is
// room.
func (t *TTY) flushEcho() {
	if len(t.echo) == 0 || t.stopped || t.held() {
		return
	}
	n := 0
	for n < len(t.echo) && t.room() >= widest {
		t.doEcho(t.echo[n])
		n++
	}
	t.echo = append(t.echo[:0], t.echo[n:]...)
	t.news = t.news || n > 0
}

func (t *TTY) doEcho(op echoOp) {
	c := byte(op)
	switch op &^ 0xff {
	case echoControl:
		t.column += 2
		t.printed.put([]byte{'^', c ^ 0x40})
	case echoBack:
		t.back()
	case echoMarkLine:
		t.canonCol = t.column
	case echoUntab:
		width := uint32(c)
		if width < 8 {
			width += t.canonCol
		}
		for range 8 - width&7 {
			t.printed.putByte('\b')
			t.back()
		}
	default:
		switch {
		case c == 0xff: // as it is, for it marks operations in Linux' buffer
			t.column++
			t.printed.putByte(c)
		case t.out(unix.OPOST):
			var out [widest]byte
			t.printed.put(t.processed(c, &out))
		default:
			t.printed.putByte(c)
		}
	}
}

func (t *TTY) back() {
	if t.column > 0 {
		t.column--
	}
}
