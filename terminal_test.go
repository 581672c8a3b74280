package sysemu

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostTerminal is a pseudo-terminal of the host: what a program prints comes
// to its screen.
type hostTerminal struct {
	master, slave *os.File
	chunks        chan []byte
	screen        []byte
}

func newHostTerminal(t *testing.T) *hostTerminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostTerminal{master: os.NewFile(uintptr(fd), "ptmx"), chunks: make(chan []byte, 100)}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		h.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		h.master.Close()
		t.Fatal(err)
	}
	h.resize(t, 24, 80)
	go func() {
		defer close(h.chunks)
		for {
			b := make([]byte, 1000)
			n, err := h.master.Read(b)
			if err != nil {
				return
			}
			h.chunks <- b[:n]
		}
	}()
	return h
}

func (h *hostTerminal) close() {
	h.slave.Close()
	h.master.Close()
	for range h.chunks {
	}
}

func (h *hostTerminal) resize(t *testing.T, rows, columns uint16) {
	t.Helper()
	var err error
	withFd(h.master, func(fd int) {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expect waits for text on the screen, and types.
func (h *hostTerminal) expect(t *testing.T, text, typed string) {
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
	if _, err := h.master.WriteString(typed); err != nil {
		t.Fatal(err)
	}
}

func (h *hostTerminal) settings(t *testing.T) (s unix.Termios) {
	t.Helper()
	withFd(h.slave, func(fd int) {
		n, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		s = *n
	})
	return s
}

func TestTty(t *testing.T) {
	m := testMachine(t)
	h := newHostTerminal(t)
	defer h.close()
	before := h.settings(t)
	c := m.Command("bash", "-c", `tty; stty size; read l; echo "got $l"; stty -icanon; head -c 2; read l </dev/tty; stty size >&2; exit 3`)
	c.Stdin, c.Stdout, c.Stderr = h.slave, h.slave, h.slave
	c.Tty = true
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "/dev/pts/0\r\n24 80\r\n", "lime\x7f\x7fne\r")
	h.expect(t, "got line\r\n", "xy")
	h.expect(t, "xyxy", "")
	if now := h.settings(t); now.Lflag&unix.ICANON != 0 || now.Oflag != before.Oflag {
		t.Errorf("settings while a program reads: %+v", now)
	}
	h.resize(t, 30, 100) // nobody tells us: we are not in its session
	unix.Kill(os.Getpid(), unix.SIGWINCH)
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		if c.tty.console.Size() == (unix.Winsize{Row: 30, Col: 100}) {
			break
		}
	}
	h.expect(t, "", "\n")
	h.expect(t, "30 100\r\n", "")
	if err := c.Wait(); c.ProcessState == nil || c.ProcessState.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
	if after := h.settings(t); after != before {
		t.Errorf("settings before %+v, after %+v", before, after)
	}
}

// Only streams that are the terminal are the program's terminal.
func TestTtySomeStreams(t *testing.T) {
	m := testMachine(t)
	h := newHostTerminal(t)
	defer h.close()
	const script = `for i in 0 1 2; do test -t $i; printf $?; done; tty </dev/tty`
	var out bytes.Buffer
	c := m.Command("bash", "-c", script)
	c.Stdin, c.Stdout, c.Tty = h.slave, &out, true
	if err := c.Run(); err != nil || out.String() != "011/dev/tty\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	c = m.Command("bash", "-c", script)
	c.Stdin, c.Stdout, c.Tty = strings.NewReader(""), &out, true
	c.Run()
	if out.String() != "111" { // no terminal at all
		t.Errorf("%q", out.String())
	}
	if h.settings(t).Lflag&unix.ICANON == 0 {
		t.Error("settings changed though nobody read")
	}
}

func TestTtyLeavesNothing(t *testing.T) {
	once := func(i int) {
		m, err := New()
		if err != nil {
			t.Fatal(err)
		}
		defer closeMachine(t, m)
		h := newHostTerminal(t)
		defer h.close()
		start := func(args ...string) *Cmd {
			c := m.Command(args[0], args[1:]...)
			c.Stdin, c.Stdout, c.Stderr, c.Tty = h.slave, h.slave, h.slave, true
			if err := c.Start(); err != nil && args[0] != "/nothing" {
				t.Fatal(err)
			}
			return c
		}
		start("/nothing")
		if err := start("true").Wait(); err != nil {
			t.Fatal(err)
		}
		start([]string{"cat", "yes", "sh", "top"}[i%4]) // left running
		time.Sleep(time.Duration(i%4) * 5 * time.Millisecond)
		if i%3 == 0 {
			h.master.Close()
		} else {
			go func() {
				for range h.chunks {
				}
			}()
		}
	}
	for i := range 4 {
		once(i)
	}
	time.Sleep(100 * time.Millisecond)
	before := takeStock()
	for i := range 20 {
		once(i)
	}
	expectNothingLeft(t, before, 8)
}

func init() { roles["tty"] = ttyEmbedder }

// ttyEmbedder runs a program that reads its terminal.
func ttyEmbedder() {
	m, err := New()
	if err != nil {
		panic(err)
	}
	c := m.Command("bash", "-c", "read -s -p ready: l")
	c.Stdin, c.Stdout, c.Stderr, c.Tty = os.Stdin, os.Stdout, os.Stdout, true
	c.Run()

}

// The terminal is restored whatever ends the process that uses it.
func TestTtyEmbedderEnds(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGSEGV} {
		t.Run(sig.String(), func(t *testing.T) {
			h := newHostTerminal(t)
			defer h.close()
			before := h.settings(t)
			e := reexec(t, "tty")
			e.Stdin, e.Stdout, e.Stderr = h.slave, h.slave, nil
			if err := e.Start(); err != nil {
				t.Fatal(err)
			}
			h.expect(t, "ready:", "")
			for range 100 {
				if h.settings(t).Lflag&unix.ICANON == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if h.settings(t).Lflag&unix.ICANON != 0 {
				t.Error("the terminal was not made raw")
			}
			e.Process.Signal(sig)
			e.Wait()
			for range 200 {
				if h.settings(t) == before {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Errorf("settings before %+v, after %+v", before, h.settings(t))
		})
	}
}
