package tty

import (
	"golang.org/x/sys/unix"
)

// editKey is a special byte while a line is typed (ICANON). It reports whether
// that was all.
func (t *TTY) editKey(c byte) bool {
	extended := t.local(unix.IEXTEN)
	switch {
	case t.is(c, unix.VERASE):
		t.erase(unix.VERASE)
	case t.is(c, unix.VKILL):
		t.erase(unix.VKILL)
	case extended && t.is(c, unix.VWERASE):
		t.erase(unix.VWERASE)
	case extended && t.is(c, unix.VLNEXT):
		t.lnext = true
		if t.local(unix.ECHO) {
			t.endErasing()
			if t.local(unix.ECHOCTL) {
				t.echoRaw('^')
				t.echoRaw('\b')
			}
		}
	case extended && t.local(unix.ECHO) && t.is(c, unix.VREPRINT):
		t.endErasing()
		t.echoChar(c)
		t.echoRaw('\n')
		for i := t.canon; i != t.head; i++ {
			t.echoChar(t.buf[i%bufSize])
		}
	case c == '\n':
		if t.local(unix.ECHO) || t.local(unix.ECHONL) {
			t.echoRaw('\n')
		}
		t.endLine(c)
	case t.is(c, unix.VEOF):
		t.endLine(disabled)
	case t.is(c, unix.VEOL), extended && t.is(c, unix.VEOL2):
		if t.local(unix.ECHO) {
			t.echoInLine(c)
		}
		if c == 0xff && t.in(unix.PARMRK) {
			t.put(c)
		}
		t.endLine(c)
	default:
		return false
	}
	return true
}

// endLine makes a line of what was typed, ended by c; disabled stands for an
// end of file, which the reader does not see.
func (t *TTY) endLine(c byte) {
	t.put(c)
	t.ends[(t.head-1)%bufSize] = true
	t.canon = t.head
	t.inputArrived()
}

// erase takes back a character, a word or the line: which is VERASE, VWERASE
// or VKILL.
func (t *TTY) erase(which int) {
	if t.head == t.canon {
		return
	}
	if which == unix.VKILL {
		if !t.local(unix.ECHO) {
			t.head = t.canon
			return
		}
		if !t.local(unix.ECHOK) || !t.local(unix.ECHOKE) || !t.local(unix.ECHOE) {
			t.head = t.canon
			t.endErasing()
			t.echoChar(t.termios.Cc[unix.VKILL])
			if t.local(unix.ECHOK) {
				t.echoRaw('\n')
			}
			return
		}
	}
	inWord := false
	for t.head != t.canon {
		// A character may be several bytes.
		at := t.head - 1
		for t.continues(t.buf[at%bufSize]) && at != t.canon {
			at--
		}
		c := t.buf[at%bufSize]
		if t.continues(c) {
			break
		}
		if which == unix.VWERASE {
			if isWord(c) {
				inWord = true
			} else if inWord {
				break
			}
		}
		end := t.head
		t.head = at
		if t.local(unix.ECHO) {
			t.echoErased(which, c, at, end)
		}
		if which == unix.VERASE {
			break
		}
	}
	if t.head == t.canon && t.local(unix.ECHO) {
		t.endErasing()
	}
}

// echoErased shows that the character c, buf[at:end], is gone.
func (t *TTY) echoErased(which int, c byte, at, end uint32) {
	switch {
	case t.local(unix.ECHOPRT):
		if !t.erasing {
			t.echoRaw('\\')
			t.erasing = true
		}
		t.echoChar(c)
		for i := at + 1; i != end; i++ {
			t.echoRaw(t.buf[i%bufSize])
			t.addEcho(echoBack)
		}
	case which == unix.VERASE && !t.local(unix.ECHOE):
		t.echoChar(t.termios.Cc[unix.VERASE])
	case c == '\t':
		t.echoTabErased()
	default:
		if isControl(c) && t.local(unix.ECHOCTL) {
			t.rubOut()
		}
		if !isControl(c) || t.local(unix.ECHOCTL) {
			t.rubOut()
		}
	}
}

func (t *TTY) rubOut() {
	t.echoRaw('\b')
	t.echoRaw(' ')
	t.echoRaw('\b')
}

// echoTabErased goes back over a tab that stood at the end of the line: as far
// as it went there, which depends on what is left before it.
func (t *TTY) echoTabErased() {
	width := uint32(0)
	afterTab := false
	for i := t.head; i != t.canon && !afterTab; {
		i--
		switch c := t.buf[i%bufSize]; {
		case c == '\t':
			afterTab = true
		case isControl(c):
			if t.local(unix.ECHOCTL) {
				width += 2
			}
		case !t.continues(c):
			width++
		}
	}
	width &= 7
	if afterTab {
		width += 8 // not from where the line begins
	}
	t.addEcho(echoUntab | echoOp(width))
}

// endErasing closes what ECHOPRT has opened.
func (t *TTY) endErasing() {
	if t.erasing {
		t.echoRaw('/')
		t.erasing = false
	}
}
