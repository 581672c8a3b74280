package sysemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPipes(t *testing.T) {
	m := testMachine(t)
	c := m.Command("sh", "-c", `while read x; do echo "out $x"; echo "err $x" >&2; done; exec >&- 2>&-; read x </dev/zero`)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "a conversation", func() {
		o, e := bufio.NewReader(out), bufio.NewReader(errs)
		for i := range 3 {
			fmt.Fprintln(in, i)
			if l, err := o.ReadString('\n'); l != fmt.Sprintf("out %d\n", i) {
				t.Errorf("%q %v", l, err)
			}
			if l, err := e.ReadString('\n'); l != fmt.Sprintf("err %d\n", i) {
				t.Errorf("%q %v", l, err)
			}
		}
		// The ends are seen before Wait, and though the program runs on.
		in.Close()
		for _, r := range []io.Reader{o, e} {
			if b, err := io.ReadAll(r); len(b) != 0 || err != nil {
				t.Errorf("%q %v", b, err)
			}
		}
		c.Process.Kill()
		c.Wait()
	})
	for _, f := range []io.Closer{in, out, errs} {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Wait has left a pipe open: %v", err)
		}
	}
	// Who writes to a program that reads no more is told.
	c = m.Command("sh", "-c", "exec <&-; echo ready; read x </dev/zero")
	in, _ = c.StdinPipe()
	out, _ = c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "writing to nobody", func() {
		bufio.NewReader(out).ReadString('\n')
		if _, err := in.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("%v", err)
		}
		c.Process.Kill()
		c.Wait()
	})
}

func TestPipeErrors(t *testing.T) {
	m := testMachine(t)
	pipes := func(c *Cmd) (errs []error) {
		_, e1 := c.StdinPipe()
		_, e2 := c.StdoutPipe()
		_, e3 := c.StderrPipe()
		return []error{e1, e2, e3}
	}
	names := []string{"Stdin", "Stdout", "Stderr"}
	c := m.Command("true")
	for i, err := range pipes(c) {
		if err != nil {
			t.Errorf("%s: %v", names[i], err)
		}
	}
	for i, err := range pipes(c) {
		if err == nil || err.Error() != "sysemu: "+names[i]+" already set" {
			t.Errorf("%v", err)
		}
	}
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	c = m.Command("true")
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	for i, err := range pipes(c) {
		if err == nil || err.Error() != "sysemu: "+names[i]+"Pipe after process started" {
			t.Errorf("%v", err)
		}
	}
	// A program that cannot be started leaves none open.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []*Cmd{m.Command("/no/such/program"), m.CommandContext(ended, "true")} {
		in, _ := c.StdinPipe()
		out, _ := c.StdoutPipe()
		if err := c.Start(); err == nil {
			t.Fatal("it starts")
		}
		if _, err := in.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("writing: %v", err)
		}
		if err := out.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closing: %v", err)
		}
	}
}

func TestExtraFiles(t *testing.T) {
	m := testMachine(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("old ")
	c := m.Command("sh", "-c", "echo pipe >&3; echo file >&5; echo >&4; ls /proc/self/fd; exec 3>&-; exit 3")
	c.ExtraFiles = []*os.File{w, nil, f}
	out, err := c.CombinedOutput()
	var exit *ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), "4: Bad file descriptor") || !strings.Contains(string(out), "\n3\n") || !strings.Contains(string(out), "\n5\n") {
		t.Errorf("%q %v", out, err)
	}
	w.Close()
	within(t, 20*time.Second, "reading", func() {
		if b, err := io.ReadAll(r); string(b) != "pipe\n" || err != nil {
			t.Errorf("%q %v", b, err)
		}
	})
	if b, err := os.ReadFile(f.Name()); string(b) != "old file\n" {
		t.Errorf("%q %v", b, err)
	}
}

// ready starts a program of which it waits for a line.
func ready(t *testing.T, c *Cmd) {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "starting", func() {
		if l, err := bufio.NewReader(out).ReadString('\n'); l != "ready\n" {
			t.Fatalf("%q %v", l, err)
		}
	})
}

func TestCancel(t *testing.T) {
	m := testMachine(t)
	mine := errors.New("mine")
	const stubborn = "trap '' TERM; echo ready; while :; do read x </dev/zero; done"
	for _, tc := range []struct {
		name, script string
		cancel       func(c *Cmd) error // nil: as CommandContext sets it
		none         bool               // Cancel is nil
		delay        time.Duration
		exit         string // "": status 0
		is           error  // what Wait's error is, or wraps; nil: neither the context's nor mine
		message      string
	}{
		{"killed", stubborn, nil, false, 0, "signal: killed", context.Canceled, ""},
		{"asked, exits", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", func(c *Cmd) error { return c.Process.Signal(unix.SIGTERM) }, false, 0, "", context.Canceled, "context canceled"},
		{"asked, fails", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", func(c *Cmd) error { return c.Process.Signal(unix.SIGTERM) }, false, 0, "exit status 7", context.Canceled, ""},
		{"asked, deaf", stubborn, func(c *Cmd) error { return c.Process.Signal(unix.SIGTERM) }, false, time.Millisecond, "signal: killed", context.Canceled, ""},
		{"fails to", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", func(c *Cmd) error { c.Process.Signal(unix.SIGTERM); return mine }, false, 0, "", mine, "sysemu: canceling Cmd: mine"},
		{"done", "echo ready; sleep 0.1", func(*Cmd) error { return os.ErrProcessDone }, false, 0, "", nil, ""},
		{"only a delay", stubborn, nil, true, time.Millisecond, "signal: killed", nil, ""},
		{"nothing", "echo ready; sleep 0.1", nil, true, 0, "", nil, ""},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		c := m.CommandContext(ctx, "sh", "-c", tc.script)
		if tc.cancel != nil {
			c.Cancel = func() error { return tc.cancel(c) }
		} else if tc.none {
			c.Cancel = nil
		}
		c.WaitDelay = tc.delay
		ready(t, c)
		cancel()
		within(t, 20*time.Second, tc.name, func() {
			err := c.Wait()
			var exit *ExitError
			if errors.As(err, &exit) != (tc.exit != "") || exit != nil && err.Error() != tc.exit {
				t.Errorf("%s: %v, want %q", tc.name, err, tc.exit)
			}
			if tc.exit == "" && (err == nil) != (tc.is == nil) || err != nil && tc.message != "" && err.Error() != tc.message {
				t.Errorf("%s: %v", tc.name, err)
			}
			for _, is := range []error{context.Canceled, mine} {
				if errors.Is(err, is) != (is == tc.is) {
					t.Errorf("%s: %v, and %v", tc.name, err, is)
				}
			}
		})
	}
	c := m.Command("true")
	c.Cancel = func() error { return nil }
	if err := c.Run(); err == nil || !strings.Contains(err.Error(), "not created with CommandContext") {
		t.Errorf("Cancel without a context: %v", err)
	}
}
