package sysemu

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/hostpty"
	"golang.org/x/sys/unix"
)

func TestTty(t *testing.T) {
	m := testMachine(t)
	h := hostpty.New(t)
	defer h.Close()
	before := h.Settings(t)
	c := m.Command("bash", "-c", `tty; stty size; read l; echo "got $l"; stty -icanon; head -c 2; read l </dev/tty; stty size >&2; exit 3`)
	c.Stdin, c.Stdout, c.Stderr = h.Slave, h.Slave, h.Slave
	c.Tty = true
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	h.Expect(t, "/dev/pts/0\r\n24 80\r\n", "lime\x7f\x7fne\r")
	h.Expect(t, "got line\r\n", "xy")
	h.Expect(t, "xyxy", "")
	if now := h.Settings(t); now.Lflag&unix.ICANON != 0 || now.Oflag != before.Oflag {
		t.Errorf("settings while a program reads: %+v", now)
	}
	h.Resize(t, 30, 100) // nobody tells us: we are not in its session
	unix.Kill(os.Getpid(), unix.SIGWINCH)
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		if c.tty.console.Size() == (unix.Winsize{Row: 30, Col: 100}) {
			break
		}
	}
	h.Expect(t, "", "\n")
	h.Expect(t, "30 100\r\n", "")
	if err := c.Wait(); c.ProcessState == nil || c.ProcessState.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
	if after := h.Settings(t); after != before {
		t.Errorf("settings before %+v, after %+v", before, after)
	}
}

// Only streams that are the terminal are the program's terminal.
func TestTtySomeStreams(t *testing.T) {
	m := testMachine(t)
	h := hostpty.New(t)
	defer h.Close()
	const script = `for i in 0 1 2; do test -t $i; printf $?; done; tty </dev/tty`
	var out bytes.Buffer
	c := m.Command("bash", "-c", script)
	c.Stdin, c.Stdout, c.Tty = h.Slave, &out, true
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
	if h.Settings(t).Lflag&unix.ICANON == 0 {
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
		h := hostpty.New(t)
		defer h.Close()
		start := func(args ...string) *Cmd {
			c := m.Command(args[0], args[1:]...)
			c.Stdin, c.Stdout, c.Stderr, c.Tty = h.Slave, h.Slave, h.Slave, true
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
			h.Master.Close()
		} else {
			go h.Drain()
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
			h := hostpty.New(t)
			defer h.Close()
			before := h.Settings(t)
			e := reexec(t, "tty")
			e.Stdin, e.Stdout, e.Stderr = h.Slave, h.Slave, nil
			if err := e.Start(); err != nil {
				t.Fatal(err)
			}
			h.Expect(t, "ready:", "")
			for range 100 {
				if h.Settings(t).Lflag&unix.ICANON == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if h.Settings(t).Lflag&unix.ICANON != 0 {
				t.Error("the terminal was not made raw")
			}
			e.Process.Signal(sig)
			e.Wait()
			for range 200 {
				if h.Settings(t) == before {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Errorf("settings before %+v, after %+v", before, h.Settings(t))
		})
	}
}
