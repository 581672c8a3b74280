package tty

import "golang.org/x/sys/unix"

// room is how many more bytes the master's side takes.
func (t *TTY) room() int { return bufSize - 1 + queueSize - t.printed.len() }

// writable reports whether any byte can be printed now.
func (t *TTY) writable() bool { return !t.stopped && !t.held() && t.room() >= widest }

// print puts as much of b as there is room for through output processing.
func (t *TTY) print(b []byte) int {
	n := 0
	if !t.out(unix.OPOST) {
		if t.writable() {
			n = min(len(b), t.room())
			t.printed.put(b[:n])
		}
	} else {
		var out [widest]byte
		for n < len(b) && t.writable() {
			if k := t.plain(b[n:min(len(b), n+t.room())]); k > 0 {
				t.printed.put(b[n : n+k])
				n += k
				continue
			}
			t.printed.put(t.processed(b[n], &out))
			n++
		}
	}
	t.news = t.news || n > 0
	return n
}

// plain counts the bytes at the start of b that print as themselves, one
// column each, and moves the column.
func (t *TTY) plain(b []byte) int {
	if t.out(unix.OLCUC) {
		return 0
	}
	n := 0
	for n < len(b) && b[n] >= ' ' && b[n] <= '~' {
		n++
	}
	t.column += uint32(n)
	return n
}

// processed is process that leaves the byte as it is where somebody else
// processes output.
func (t *TTY) processed(c byte, out *[widest]byte) []byte {
	n := t.process(c, out)
	if t.through.on {
		out[0], n = c, 1
	}
	return out[:n]
}

// process is the processing of a byte of output (OPOST): it puts what c
// becomes into out, returns how much that is, and moves the column.
func (t *TTY) process(c byte, out *[widest]byte) int {
	switch c {
	case '\n':
		if t.out(unix.ONLRET) {
			t.column = 0
		}
		if t.out(unix.ONLCR) {
			t.column, t.canonCol = 0, 0
			out[0], out[1] = '\r', '\n'
			return 2
		}
		t.canonCol = t.column
	case '\r':
		if t.out(unix.ONOCR) && t.column == 0 {
			return 0
		}
		if t.out(unix.OCRNL) {
			c = '\n'
			if t.out(unix.ONLRET) {
				t.column, t.canonCol = 0, 0
			}
		} else {
			t.column, t.canonCol = 0, 0
		}
	case '\t':
		spaces := 8 - t.column&7
		t.column += spaces
		if t.termios.Oflag&unix.TABDLY == unix.XTABS {
			copy(out[:], "        ")
			return int(spaces)
		}
	case '\b':
		if t.column > 0 {
			t.column--
		}
	default:
		if !isControl(c) {
			if t.out(unix.OLCUC) {
				c = upper(c)
			}
			if !t.continues(c) {
				t.column++
			}
		}
	}
	out[0] = c
	return 1
}

// The classes of characters are those of Latin-1.

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 0xc0 && c <= 0xde && c != 0xd7 }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' || c >= 0xdf && c != 0xf7 }

func isWord(c byte) bool { return isUpper(c) || isLower(c) || c >= '0' && c <= '9' || c == '_' }

func upper(c byte) byte {
	if isLower(c) {
		c -= 'a' - 'A'
	}
	return c
}

func lower(c byte) byte {
	if isUpper(c) {
		c += 'a' - 'A'
	}
	return c
}

// continues reports whether c goes on with a UTF-8 sequence (IUTF8).
func (t *TTY) continues(c byte) bool { return t.in(unix.IUTF8) && c&0xc0 == 0x80 }
