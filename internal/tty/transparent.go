package tty

import (
	"errors"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// A console may stand for a terminal of the embedding program's own, which has
// a line discipline too. Until programs want more of the terminal than to
// print, it is transparent: output passes unprocessed, since that terminal
// processes it, and others may go on to use it, such as the shell that
// started the embedding program in the background, or the next program of its
// pipeline. What programs want then is told by Read.

// want is what programs have asked of a transparent terminal.
type want uint8

const (
	wantNothing want = iota
	wantPoll         // to know when there is something to read
	wantInput        // to read, or other settings
)

// want notes what a program asks.
func (t *TTY) want(w want) {
	if t.transparent && w > t.wanted {
		t.wanted = w
		t.masters.Wake(wait.Readable)
	}
}

// held reports whether printing waits until the terminal is not transparent
// any more: what was printed before must be shown first, unprocessed.
func (t *TTY) held() bool { return t.transparent && t.wanted >= wantInput }

// ErrPolled and ErrWanted are what Read returns, each once, when all that was
// printed to a transparent console is read: programs wait for input among
// other things; or they need the terminal now, to go on.
var (
	ErrPolled = errors.New("tty: input is waited for")
	ErrWanted = errors.New("tty: the terminal is wanted")
)

// report is the error for Read, nil if there is nothing new.
func (t *TTY) report() error {
	if !t.transparent || t.wanted <= t.reported {
		return nil
	}
	t.reported = t.wanted
	if t.wanted == wantPoll {
		return ErrPolled
	}
	return ErrWanted
}

// SetTransparent makes the console transparent or not.
func (c *Console) SetTransparent(on bool) {
	c.lock(func() {
		t := c.t
		t.transparent, t.wanted, t.reported = on, wantNothing, wantNothing
		t.slaves.Wake(wait.Writable)
	})
}

// Want makes Read return ErrWanted, if the console is transparent.
func (c *Console) Want() { c.lock(func() { c.t.want(wantInput) }) }

// SetTermios gives the terminal other settings than those of a new one.
func (c *Console) SetTermios(n Termios) {
	c.lock(func() {
		setSpeeds(&n)
		c.t.setTermios(n)
	})
}

// Signal sends a signal to the foreground group, as a key would.
func (c *Console) Signal(sig unix.Signal) {
	c.lock(func() {
		if t := c.t; t.foreground != 0 {
			t.kernel.SignalGroup(t.foreground, int(sig))
		}
	})
}

// WriteEchoed is Write of what the embedding program's terminal has echoed.
func (c *Console) WriteEchoed(p []byte) (n int, err error) {
	c.lock(func() {
		t := c.t
		if !t.masterOpen {
			return
		}
		echo := t.termios.Lflag & (unix.ECHO | unix.ECHONL)
		t.termios.Lflag &^= echo
		t.classify()
		n = t.typeIn(p)
		t.termios.Lflag |= echo
		t.classify()
	})
	if n == len(p) {
		return n, nil
	}
	m, err := c.Write(p[n:])
	return n + m, err
}
