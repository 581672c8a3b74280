package sysemu

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// on is middleware that answers a call itself.
func on(name string, f func(c *Call, next Handler) (uint64, error)) Middleware {
	return Only(func(next Handler) Handler {
		return HandlerFunc(func(c *Call) (uint64, error) { return f(c, next) })
	}, name)
}

func TestMiddlewareOrder(t *testing.T) {
	var mu sync.Mutex
	var log []string
	layer := func(name string) Middleware {
		return on("sethostname", func(c *Call, next Handler) (uint64, error) {
			mu.Lock()
			log = append(log, name+" in")
			mu.Unlock()
			v, err := next.ServeCall(c)
			mu.Lock()
			log = append(log, name+" out")
			mu.Unlock()
			return v, err
		})
	}
	m := testMachine(t, WithMiddleware(layer("a"), layer("b")), WithMiddleware(layer("c")), WithUser(0, 0))
	if out, err := m.Command("sh", "-c", "hostname other; hostname").Output(); err != nil || string(out) != "other\n" {
		t.Errorf("%q %v", out, err)
	}
	if got := strings.Join(log, ", "); got != "a in, b in, c in, c out, b out, a out" {
		t.Error(got)
	}
}

func TestCallFields(t *testing.T) {
	pid := make(chan int, 1)
	m := testMachine(t, WithMiddleware(on("getppid", func(c *Call, next Handler) (uint64, error) {
		if c.Number() != unix.SYS_GETPPID || c.Arch() != abi.AMD64 || c.String() != "getppid()" || c.PID() != c.TID() {
			t.Errorf("%v: number %d, %v, pid %d, tid %d", c, c.Number(), c.Arch(), c.PID(), c.TID())
		}
		select { // a handler must not block
		case pid <- c.PID():
		default:
		}
		return 4711, nil
	})))
	c := m.Command("python3", "-c", "import os; print(os.getppid())")
	out, err := c.Output()
	if err != nil || string(out) != "4711\n" || <-pid != c.Process.Pid {
		t.Errorf("%q %v", out, err)
	}
}

// Memory is read and written with the program's own rights.
func TestCallMemory(t *testing.T) {
	m := testMachine(t, WithMiddleware(on("getcwd", func(c *Call, next Handler) (uint64, error) {
		for _, addr := range []uint64{0, 1, 0xffff800000000000, 1 << 63, ^uint64(0) - 3, 1<<47 - 2} {
			var b [8]byte
			if err := c.ReadMem(addr, b[:]); !errors.Is(err, unix.EFAULT) {
				t.Errorf("reading at %#x: %v", addr, err)
			}
			if err := c.WriteMem(addr, b[:]); !errors.Is(err, unix.EFAULT) {
				t.Errorf("writing at %#x: %v", addr, err)
			}
		}
		if err := c.ReadMem(0, nil); err != nil {
			t.Errorf("reading nothing: %v", err)
		}
		return 7, c.WriteMem(c.Arg(0), []byte("/hello\x00"))
	})))
	if out, err := m.Command("/bin/pwd").Output(); err != nil || string(out) != "/hello\n" {
		t.Errorf("%q %v", out, err)
	}
}

// What a handler returns is what the program sees.
func TestHandlerErrors(t *testing.T) {
	var err error
	var log reports
	m, err1 := New(WithLog(log.add), WithMiddleware(on("getppid", func(*Call, Handler) (uint64, error) { return 0, err })))
	if err1 != nil {
		t.Fatal(err1)
	}
	defer m.Close()
	bin := buildC(t, `#include <errno.h>
#include <unistd.h>
#include <sys/syscall.h>
int main() { errno = 0; syscall(SYS_getppid); return errno; }`)
	for _, tc := range []struct {
		err  error
		want unix.Errno
	}{
		{nil, 0},
		{unix.EPERM, unix.EPERM},
		{fmt.Errorf("wrapped: %w", unix.ENOSPC), unix.ENOSPC},
		{errors.New("something else"), unix.EIO},
		{io.EOF, unix.EIO},
	} {
		err = tc.err
		c := m.Command(bin)
		c.Run()
		if got := unix.Errno(c.ProcessState.ExitCode()); got != tc.want {
			t.Errorf("%v: the program sees %v, want %v", tc.err, got, tc.want)
		}
	}
	if got := log.list(); len(got) != 2 || !strings.Contains(got[0], "getppid() (pid") && !strings.Contains(got[0], "getppid()") || !strings.Contains(got[0], "something else") {
		t.Errorf("reports: %q", got)
	}
}

// A handler that panics ends the program that called, with a report; the
// machine and this program go on, again and again.
func TestHandlerPanics(t *testing.T) {
	for _, where := range []string{"outermost", "after the kernel's"} {
		var log reports
		var armed atomic.Bool
		m, err := New(WithLog(log.add), WithMiddleware(on("mkdir", func(c *Call, next Handler) (uint64, error) {
			if !armed.Load() {
				return next.ServeCall(c)
			}
			if where != "outermost" {
				next.ServeCall(c)
			}
			var list []int
			return uint64(list[c.Arg(1)&1]), nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		bystander := m.Command("sh", "-c", "while test ! -e /tmp/enough; do sleep 0.01; done; echo fine")
		var out strings.Builder
		bystander.Stdout = &out
		if err := bystander.Start(); err != nil {
			t.Fatal(err)
		}
		const times = 100
		for i := range times {
			armed.Store(true)
			err := m.Command("mkdir", fmt.Sprint("/tmp/dir", i)).Run()
			armed.Store(false)
			var exit *ExitError
			if !errors.As(err, &exit) || exit.Exited() || exit.Sys().Signal() != unix.SIGKILL {
				t.Fatalf("%v", err)
			}
			// A child of a shell dies alone.
			if i%20 == 0 {
				armed.Store(true)
				out, err := m.Command("sh", "-c", "mkdir /tmp/x; echo $?").Output()
				armed.Store(false)
				if err != nil || string(out) != "137\n" {
					t.Fatalf("%q %v", out, err)
				}
			}
			if err := m.Command("mkdir", fmt.Sprint("/tmp/good", i)).Run(); err != nil {
				t.Fatal(err)
			}
		}
		m.Command("touch", "/tmp/enough").Run()
		if err := bystander.Wait(); err != nil || out.String() != "fine\n" {
			t.Errorf("the bystander: %q %v", out.String(), err)
		}
		got := log.list()
		if len(got) != times+times/20 || !strings.Contains(got[0], "mkdir(0x") || !strings.Contains(got[0], "index out of range") || !strings.Contains(got[0], "handler_test.go") {
			t.Errorf("%d reports, the first: %s", len(got), got[:1])
		}
		closeMachine(t, m)
	}
}

// The same when the calling process has more threads, and when it is asleep
// in other calls.
func TestHandlerPanicsThreads(t *testing.T) {
	var log reports
	m, err := New(WithLog(log.add), WithMiddleware(on("getppid", func(*Call, Handler) (uint64, error) { panic("no") })))
	if err != nil {
		t.Fatal(err)
	}
	bin := buildC(t, `#include <pthread.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <stdlib.h>
void *nap(void *x) { for (;;) sleep(100); }
void *spin(void *x) { for (;;) ; }
void *die(void *x) { usleep(2000); syscall(SYS_getppid); return 0; }
int main(int c, char **v) {
	pthread_t t;
	for (int i = 0; i < 4; i++) pthread_create(&t, 0, i % 2 ? nap : spin, 0);
	pthread_create(&t, 0, die, 0);
	if (c > 1) pthread_exit(0);
	sleep(100);
}`)
	for i := range 10 {
		c := m.Command(bin)
		if i%2 == 1 {
			c.Args = append(c.Args, "leave")
		}
		within(t, 20*time.Second, "a program with threads", func() { c.Run() })
		if s := c.ProcessState; s.Exited() || s.Sys().Signal() != unix.SIGKILL {
			t.Errorf("%v", s)
		}
	}
	if n := len(log.list()); n != 10 {
		t.Errorf("%d reports", n)
	}
	closeMachine(t, m)
}
