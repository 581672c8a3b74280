// Package hostpty gives tests a pseudo-terminal of the host to sit before.
package hostpty

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal of the host: what a program prints comes
// to its screen.
type Terminal struct {
	Master, Slave *os.File
	chunks        chan []byte
	screen        []byte
}

// New opens one of 24 lines of 80 characters.
func New(t *testing.T) *Terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &Terminal{Master: os.NewFile(uintptr(fd), "ptmx"), chunks: make(chan []byte, 100)}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		h.Slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		h.Master.Close()
		t.Fatal(err)
	}
	h.Resize(t, 24, 80)
	go func() {
		defer close(h.chunks)
		for {
			b := make([]byte, 1000)
			n, err := h.Master.Read(b)
			if err != nil {
				return
			}
			h.chunks <- b[:n]
		}
	}()
	return h
}

// Close hangs it up.
func (h *Terminal) Close() {
	h.Slave.Close()
	h.Master.Close()
	h.Drain()
}

// Drain reads what is printed until the terminal is hung up.
func (h *Terminal) Drain() {
	for range h.chunks {
	}
}

// Resize changes its size, as a window's.
func (h *Terminal) Resize(t *testing.T, rows, columns uint16) {
	t.Helper()
	var err error
	withFd(h.Master, func(fd int) {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Expect waits for text on the screen, after what was expected before, and
// types.
func (h *Terminal) Expect(t *testing.T, text, typed string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for !bytes.Contains(h.screen, []byte(text)) {
		select {
		case b := <-h.chunks:
			h.screen = append(h.screen, b...)
		case <-late:
			t.Fatalf("no %q on the screen: %q", text, h.screen)
		}
	}
	_, h.screen, _ = bytes.Cut(h.screen, []byte(text))
	if _, err := h.Master.WriteString(typed); err != nil {
		t.Fatal(err)
	}
}

// Settings are those of its line discipline.
func (h *Terminal) Settings(t *testing.T) (s unix.Termios) {
	t.Helper()
	withFd(h.Slave, func(fd int) {
		n, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		s = *n
	})
	return s
}

func withFd(f *os.File, do func(fd int)) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { do(int(fd)) })
	}
}
