package tty

import (
	"golang.org/x/sys/unix"
)

// available reports whether a reader finds something: a line, or min bytes.
func (t *TTY) available(min int) bool {
	if t.canonical() {
		return t.canon != t.tail
	}
	return int(t.head-t.tail) >= min
}

// pollMin is how many bytes make a slave ready for reading.
func (t *TTY) pollMin() int {
	if t.termios.Cc[unix.VTIME] == 0 && t.termios.Cc[unix.VMIN] > 0 {
		return int(t.termios.Cc[unix.VMIN])
	}
	return 1
}

// count is FIONREAD.
func (t *TTY) count() int {
	if !t.canonical() {
		return int(t.head - t.tail)
	}
	n := 0
	for i := t.tail; i != t.canon; i++ {
		if !t.ends[i%bufSize] || t.buf[i%bufSize] != disabled {
			n++
		}
	}
	return n
}

// takeLine moves a line or the beginning of one to b. The mark of an end of
// file goes with the bytes before it, even if there is no room for more.
func (t *TTY) takeLine(b []byte) int {
	n := min(len(b)+1, int(t.canon-t.tail))
	end := false
	for i := range n {
		if t.ends[(t.tail+uint32(i))%bufSize] {
			n, end = i+1, true
			break
		}
	}
	c := n
	if end && t.buf[(t.tail+uint32(n)-1)%bufSize] == disabled {
		c--
	} else if n > len(b) {
		n, c, end = len(b), len(b), false
	}
	for i := range c {
		b[i] = t.buf[(t.tail+uint32(i))%bufSize]
	}
	t.tail += uint32(n)
	if end {
		t.ends[(t.tail-1)%bufSize] = false
	}
	return c
}

// takeBytes moves what there is to b.
func (t *TTY) takeBytes(b []byte) int {
	n := min(len(b), int(t.head-t.tail))
	at := t.tail % bufSize
	k := copy(b[:n], t.buf[at:])
	copy(b[k:n], t.buf[:])
	t.tail += uint32(n)
	if int32(t.canon-t.tail) < 0 {
		t.canon = t.tail
	}
	return n
}
