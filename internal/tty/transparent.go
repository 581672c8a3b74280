package tty

import (
	"errors"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// A console may stand for a terminal of the embedding program's own, which has
// a line discipline too. Such a console is transparent: output passes
// unprocessed, for that terminal to process by the settings of this one, so
// that others can go on printing there. And until programs want more of it
// than to print, it is lent: others use it, such as the shell that started the
// embedding program in the background, or the next program of its pipeline.
// What programs want is told by Read.

// want is what programs have asked of a lent terminal.
type want uint8

const (
	wantNothing want = iota
	wantPoll         // to know when there is something to read
	wantNow          // to read, or other settings
)

// transparent is the state of a transparent terminal.
type transparent struct {
	on       bool
	lent     bool
	wanted   want // since it was lent, or settled
	reported want // to the console
}

// want notes what a program asks.
func (t *TTY) want(w want) {
	if t.through.lent {
		t.ask(w)
	}
}

func (t *TTY) ask(w want) {
	if w > t.through.wanted {
		t.through.wanted = w
		t.masters.Wake(wait.Readable)
	}
}

// wantSettings is told of other settings. Even where nothing is lent, output
// before and after a change of its processing is to be told apart.
func (t *TTY) wantSettings(n *Termios) {
	if t.through.lent || t.through.on && n.Oflag != t.termios.Oflag {
		t.ask(wantNow)
	}
}

// held reports whether printing waits until what was printed before is shown.
func (t *TTY) held() bool { return t.through.wanted == wantNow }

// ErrPolled and ErrWanted are what Read returns, each once, when all that was
// printed to a transparent console is read: programs wait for input among
// other things; or they need the terminal now, with the settings it has.
var (
	ErrPolled = errors.New("tty: input is waited for")
	ErrWanted = errors.New("tty: the terminal is wanted")
)

// report is the error for Read, nil if there is nothing new.
func (t *TTY) report() error {
	s := &t.through
	if s.wanted <= s.reported {
		return nil
	}
	s.reported = s.wanted
	if s.wanted == wantPoll {
		return ErrPolled
	}
	return ErrWanted
}

// Lend makes the console transparent, and leaves the embedding program's
// terminal to others.
func (c *Console) Lend() { c.setThrough(transparent{on: true, lent: true}) }

// Settle is for when that terminal is the machine's, and has its settings.
func (c *Console) Settle() { c.setThrough(transparent{on: true}) }

func (c *Console) setThrough(s transparent) {
	c.lock(func() {
		c.t.through = s
		c.t.flushEcho()
		c.t.tell()
		c.t.roomFreed()
	})
}

// Want makes Read return ErrWanted, if the console is lent.
func (c *Console) Want() { c.lock(func() { c.t.want(wantNow) }) }

// Termios returns the terminal's settings.
func (c *Console) Termios() (n Termios) {
	c.lock(func() { n = c.t.termios })
	return n
}

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
