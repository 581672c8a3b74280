package sysemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asksTwice is a program that makes getppid on one thread and says so, then that another thread went on meanwhile.
const blocker = `#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/time.h>
int signals;
void tick(int sig) { signals++; }
void *other(void *x) { usleep(1000); syscall(SYS_getpgid, 0); return 0; }
int main(int c, char **v) {
	pthread_t t;
	if (c > 1) {
		struct sigaction sa = {tick};
		sa.sa_flags = strcmp(v[1], "restart") ? 0 : SA_RESTART;
		sigaction(SIGALRM, &sa, 0);
		struct itimerval it = {{0}, {0, 30000}};
		setitimer(ITIMER_REAL, &it, 0);
	} else
		pthread_create(&t, 0, other, 0);
	errno = 0;
	long n = syscall(SYS_getppid);
	printf("%ld %s %d\n", n, strerror(errno), signals);
	return 0;
}`

// What one thread's handler waits for by Block, another thread brings about, on one CPU.
func TestBlockLetsOthersRun(t *testing.T) {
	bin := buildC(t, blocker)
	var met chan struct{}
	mw := Only(func(next Handler) Handler {
		return HandlerFunc(func(c *Call) (uint64, error) {
			if c.Name() == "getpgid" {
				close(met)
				return next.ServeCall(c)
			}
			err := c.Block(func(ctx context.Context) error {
				select {
				case <-met:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			return 42, err
		})
	}, "getpgid", "getppid")
	t.Run("machine", func(t *testing.T) {
		met = make(chan struct{})
		m := testMachine(t, WithCPUs(1), WithMiddleware(mw))
		if out, err := m.Command(bin).Output(); err != nil || string(out) != "42 Success 0\n" {
			t.Errorf("%q %v", out, err)
		}
	})
	nativeModes(t, func(t *testing.T, mode Mode) {
		met = make(chan struct{})
		cmd := exec.Command(bin)
		var out bytes.Buffer
		cmd.Stdout = &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(mw))
		if ws, err := n.Wait(); ws != 0 || err != nil || out.String() != "42 Success 0\n" {
			t.Errorf("%#x %v %q", ws, err, out.String())
		}
	})
}

// A signal interrupts what blocks as it does a system call that sleeps.
func TestBlockInterrupted(t *testing.T) {
	bin := buildC(t, blocker)
	how := map[string]func(c *Call) error{
		"Block": func(c *Call) error {
			return c.Block(func(ctx context.Context) error {
				<-ctx.Done()
				return fmt.Errorf("wrapped: %w", ctx.Err())
			})
		},
		"Sleep": func(c *Call) error { return c.Sleep(1 << 62) },
		// Here nothing runs but the ticker, and it looks at timers.
		"Context": func(c *Call) error {
			return c.Block(func(context.Context) error {
				<-c.Context().Done()
				return c.Context().Err()
			})
		},
	}
	for name, block := range how {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			m := testMachine(t, WithCPUs(1), WithMiddleware(on("getppid", func(c *Call, next Handler) (uint64, error) {
				if calls.Add(1) > 1 {
					return 7, nil
				}
				return 0, block(c)
			})))
			for arg, want := range map[string]string{"restart": "7 Success 1\n", "once": "-1 Interrupted system call 1\n"} {
				calls.Store(0)
				if out, err := m.Command(bin, arg).Output(); err != nil || string(out) != want {
					t.Errorf("%s: %q %v, want %q", arg, out, err, want)
				}
			}
		})
	}
}

// A handler's Sleep takes as long as it says on the machine's clock, and less than that when the program is killed.
func TestCallSleep(t *testing.T) {
	var slept atomic.Int64
	begun := make(chan struct{}, 1)
	m := testMachine(t, WithMiddleware(on("sync", func(c *Call, next Handler) (uint64, error) {
		from := c.Monotonic()
		if err := c.Sleep(20 * time.Millisecond); err != nil {
			return 0, err
		}
		slept.Store(c.Monotonic() - from)
		if c.Sleep(0) != nil || c.Sleep(-1) != nil {
			t.Error("no time takes time")
		}
		return 0, nil
	}), on("syncfs", func(c *Call, next Handler) (uint64, error) {
		begun <- struct{}{}
		return 0, c.Sleep(time.Hour)
	})))
	if err := m.Command("sync").Run(); err != nil || slept.Load() < 20e6 {
		t.Errorf("%v %d", err, slept.Load())
	}
	c := m.Command("sync", "-f", "/tmp")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-begun
	c.Process.Kill()
	within(t, 20*time.Second, "Wait", func() { c.Wait() })
}

// What f does besides returning is the call's failure.
func TestBlockMisused(t *testing.T) {
	var log reports
	var mode atomic.Value
	mode.Store("")
	m, err := New(WithLog(log.add), WithMiddleware(on("mkdir", func(c *Call, next Handler) (uint64, error) {
		switch mode.Load() {
		case "panics":
			return 0, c.Block(func(context.Context) error { var m map[int]int; m[1] = 2; return nil })
		case "exits":
			return 0, c.Block(func(context.Context) error { runtime.Goexit(); return nil })
		case "nested":
			return 0, c.Block(func(context.Context) error { return c.Block(func(context.Context) error { return nil }) })
		case "sleeps":
			return 0, c.Block(func(context.Context) error { return c.Sleep(1) })
		case "next":
			return 0, c.Block(func(context.Context) error { _, err := next.ServeCall(c); return err })
		case "reads":
			return 0, c.Block(func(context.Context) error {
				if p, err := c.Path(0); p != "/tmp/new" || err != nil {
					t.Errorf("%q %v", p, err)
				}
				return unix.EDQUOT
			})
		}
		return next.ServeCall(c)
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer closeMachine(t, m)
	for how, want := range map[string]string{
		"panics": "killed", "exits": "Input/output error", "nested": "Input/output error", "sleeps": "Input/output error",
		"next": "Input/output error", "reads": "Disk quota exceeded",
	} {
		mode.Store(how)
		out, err := m.Command("mkdir", "/tmp/new").CombinedOutput()
		var e *ExitError
		if !errors.As(err, &e) || want != "killed" && !strings.Contains(string(out), want) || want == "killed" && e.Sys().Signal() != unix.SIGKILL {
			t.Errorf("%s: %q %v", how, out, err)
		}
	}
	if got := log.list(); len(got) != 5 || !strings.Contains(strings.Join(got, "\n"), "nil map") || strings.Count(strings.Join(got, "\n"), "mkdir(0x") != 5 {
		t.Errorf("%d reports: %q", len(got), got)
	}
	if out, err := m.Command("ls", "-d", "/tmp/new").CombinedOutput(); err == nil {
		t.Errorf("made after all: %s", out)
	}
}

// A Call that has ended is of no use to who has kept it, and of no harm.
func TestCallEnded(t *testing.T) {
	var kept *Call
	ctx := context.Background()
	m := testMachine(t, WithMiddleware(on("mkdir", func(c *Call, next Handler) (uint64, error) {
		kept, ctx = c, c.Context()
		if ctx.Err() != nil {
			t.Error(ctx.Err())
		}
		return next.ServeCall(c)
	})))
	for range 2 {
		m.Command("mkdir", "/tmp/new").Run() // it has ended with its program
		m.Command("sh", "-c", "mkdir /tmp/a/b/c").Run()
		<-ctx.Done()
		b := make([]byte, 8)
		_, err := kept.Path(0)
		for _, err := range []error{err, kept.ReadMem(kept.Arg(0), b), kept.WriteMem(kept.Arg(0), b), kept.SetPath(0, "/x"), kept.Put(0, "/x")} {
			if !errors.Is(err, ErrCallEnded) && !errors.Is(err, unix.EINVAL) || err == nil {
				t.Error(err)
			}
		}
		if err := kept.Block(func(context.Context) error { return nil }); err != ErrNotHandler {
			t.Error(err)
		}
		if err := kept.Sleep(1); err != ErrNotHandler {
			t.Error(err)
		}
		if kept.Context().Err() == nil || kept.FileName(0) != "" || kept.Name() != "mkdir" || kept.Regs().Rip != 0 {
			t.Error("the call lives on")
		}
	}
}

// A program is killed, and a machine closed, whatever its handlers wait for.
func TestCloseStuck(t *testing.T) {
	for _, tc := range []struct {
		name  string
		block func(c *Call, release <-chan struct{}) error
		stuck bool
	}{
		{"obedient", func(c *Call, release <-chan struct{}) error {
			return c.Block(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		}, false},
		{"deaf", func(c *Call, release <-chan struct{}) error {
			return c.Block(func(ctx context.Context) error { <-release; return nil })
		}, true},
		{"on the CPU", func(c *Call, release <-chan struct{}) error {
			<-release
			return nil
		}, true},
		{"on the CPU, listening", func(c *Call, release <-chan struct{}) error {
			<-c.Context().Done()
			return c.Context().Err()
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := make(chan struct{})
			begun := make(chan struct{}, 2)
			before := runtime.NumGoroutine()
			m, err := New(WithCPUs(2), func(o *options) { o.patience = 300 * time.Millisecond },
				WithMiddleware(on("getppid", func(c *Call, next Handler) (uint64, error) {
					begun <- struct{}{}
					return 0, tc.block(c, release)
				})))
			if err != nil {
				t.Fatal(err)
			}
			c := m.Command("python3", "-c", "import os; os.getppid()")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			bystander := m.Command("sleep", "1000")
			bystander.Stdout = &bytes.Buffer{}
			if err := bystander.Start(); err != nil && tc.name != "on the CPU" {
				t.Fatal(err)
			}
			<-begun
			if tc.name == "deaf" {
				// To kill it the machine need not be closed.
				k := m.Command("python3", "-c", "import os; os.getppid()")
				if err := k.Start(); err != nil {
					t.Fatal(err)
				}
				<-begun
				k.Process.Kill()
				within(t, 20*time.Second, "Wait", func() { k.Wait() })
			}
			within(t, 20*time.Second, "Close", func() { err = m.Close() })
			var stuck *StuckError
			if errors.As(err, &stuck) != tc.stuck || tc.stuck && stuck.Calls[0] != "getppid()" {
				t.Errorf("%v", err)
			}
			for _, c := range []*Cmd{c, bystander} {
				within(t, 20*time.Second, "Wait", func() { err = c.Wait() })
				if c.ProcessState == nil || c.ProcessState.Sys().Signal() != unix.SIGKILL {
					t.Errorf("%v", err)
				}
			}
			if err := m.Close(); err != ErrClosed {
				t.Error(err)
			}
			if err := m.Command("true").Run(); err != ErrClosed {
				t.Error(err)
			}
			close(release)
			within(t, 20*time.Second, "the rest of closing", func() {
				<-m.k.Ended()
				for runtime.NumGoroutine() > before {
					time.Sleep(time.Millisecond)
				}
			})
		})
	}
}

// A handler that ends its goroutine has ended the machine, not this program.
func TestHandlerGoexit(t *testing.T) {
	var log reports
	m, err := New(WithLog(log.add), func(o *options) { o.patience = 200 * time.Millisecond },
		WithMiddleware(on("mkdir", func(*Call, Handler) (uint64, error) { runtime.Goexit(); return 0, nil })))
	if err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "Run", func() { err = m.Command("mkdir", "/tmp/new").Run() })
	if err == nil {
		t.Error("no error")
	}
	if err := m.Command("true").Run(); err != ErrClosed {
		t.Error(err)
	}
	var stuck *StuckError
	if err := m.Close(); !errors.As(err, &stuck) {
		t.Error(err)
	}
	if got := log.list(); len(got) != 1 || !strings.Contains(got[0], "mkdir(") || !strings.Contains(got[0], "Goexit") {
		t.Errorf("%q", got)
	}
}

// Numbers that no error has do not reach a program.
func TestHandlerNonsense(t *testing.T) {
	bin := buildC(t, `#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
int main() { errno = 0; long n = syscall(SYS_getppid); printf("%ld %d\n", n, errno); return 0; }`)
	var v uint64
	var err error
	answer := on("getppid", func(*Call, Handler) (uint64, error) { return v, err })
	for _, tc := range []struct {
		v      uint64
		err    error
		want   string
		report bool
	}{
		{5, unix.Errno(0), "-1 5", true},
		{0, unix.Errno(4096), "-1 5", true},
		{0, fmt.Errorf("deep: %w", unix.Errno(1<<40)), "-1 5", true},
		{0, unix.Errno(4095), "-1 4095", false},
		{^uint64(0), nil, "-1 1", false}, // as Linux has it
		{1 << 63, nil, "-9223372036854775808 0", false},
	} {
		v, err = tc.v, tc.err
		var log reports
		m, e := New(WithLog(log.add), WithMiddleware(answer))
		if e != nil {
			t.Fatal(e)
		}
		out, e := m.Command(bin).Output()
		if e != nil || string(out) != tc.want+"\n" {
			t.Errorf("%d, %v: %q %v, want %q", tc.v, tc.err, out, e, tc.want)
		}
		m.Close()
		cmd := exec.Command(bin)
		var b bytes.Buffer
		cmd.Stdout = &b
		n := startNative(t, cmd, WithLog(log.add), WithMiddleware(answer))
		if _, e := n.Wait(); e != nil || b.String() != tc.want+"\n" {
			t.Errorf("natively, %d, %v: %q %v, want %q", tc.v, tc.err, b.String(), e, tc.want)
		}
		if got := log.list(); (len(got) == 2) != tc.report || len(got)%2 != 0 {
			t.Errorf("%d, %v: reports %q", tc.v, tc.err, got)
		}
	}
	// Not of a signal, when there is none.
	v, err = 0, unix.Errno(512)
	m := testMachine(t, WithMiddleware(answer))
	if out, err := m.Command(bin).Output(); err != nil || string(out) != "-1 4\n" {
		t.Errorf("%q %v", out, err)
	}
}

// A native program whose handler blocks goes on natively when it is let go of, and is killed when it is killed.
func TestNativeBlockClosed(t *testing.T) {
	bin := buildC(t, blocker)
	nativeModes(t, func(t *testing.T, mode Mode) {
		for _, how := range []string{"close", "kill", "lent"} {
			begun := make(chan struct{}, 1)
			cmd := exec.Command("sh", "-c", `"$0" nothing; exit 3`, bin)
			var out bytes.Buffer
			cmd.Stdout = &out
			n := startNative(t, cmd, WithMode(mode), WithMiddleware(on("getppid", func(c *Call, next Handler) (uint64, error) {
				if c.PID() == cmd.Process.Pid {
					return next.ServeCall(c)
				}
				if how == "lent" {
					if _, err := c.program.Lend([]byte("x")); err != nil {
						t.Error(err)
					}
				}
				begun <- struct{}{}
				if how == "kill" {
					unix.Kill(c.PID(), unix.SIGKILL)
				}
				err := c.Block(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
				return 0, err
			})))
			<-begun
			if how != "kill" {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
			n.Wait()
			cmd.Wait()
			got := out.String()
			if how == "kill" && got != "" || how != "kill" && (!strings.Contains(got, " Success ") || strings.HasPrefix(got, "0 ")) {
				t.Errorf("%s: %q", how, got)
			}
		}
	})
}
