package sysemu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

// native starts a program with middleware in front of it.
func startNative(t *testing.T, cmd *exec.Cmd, opts ...Option) *Native {
	t.Helper()
	n, err := StartNative(cmd, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func nativeModes(t *testing.T, f func(t *testing.T, mode Mode)) {
	for mode := range Mode(3) {
		t.Run(string('0'+rune(mode)), func(t *testing.T) { f(t, mode) })
	}
}

func TestNativeAnswers(t *testing.T) {
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command("sh", "-c", "id -u; id -u; exit 3")
		var out bytes.Buffer
		cmd.Stdout = &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(
			on("getuid", func(*Call, Handler) (uint64, error) { return 4711, nil }),
			on("geteuid", func(*Call, Handler) (uint64, error) { return 4711, nil })))
		ws, err := n.Wait()
		if err != nil || ws.ExitStatus() != 3 || out.String() != "4711\n4711\n" {
			t.Errorf("%v %#x %q", err, ws, out.String())
		}
	})
}

func TestNativeErrorsAndResults(t *testing.T) {
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command("sh", "-c", "cd /nowhere || cd /; pwd; echo hello")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(
			on("chdir", func(c *Call, next Handler) (uint64, error) {
				v, err := next.ServeCall(c)
				if errors.Is(err, unix.ENOENT) {
					err = unix.EPERM
				}
				return v, err
			}),
			on("write", func(c *Call, next Handler) (uint64, error) {
				size := c.Arg(2)
				b := make([]byte, size)
				if err := c.ReadMem(c.Arg(1), b); err != nil {
					return 0, err
				}
				if string(b) != "hello\n" {
					return next.ServeCall(c)
				}
				c.SetArg(2, 3)
				v, err := next.ServeCall(c)
				return v + 3, err
			})))
		ws, err := n.Wait()
		if err != nil || ws != 0 || !strings.HasSuffix(out.String(), "/nowhere\n/\nhel") || strings.Contains(out.String(), "No such") {
			t.Errorf("%v %#x %q", err, ws, out.String())
		}
	})
}

// asks is a program that says who it is whenever it is asked.
const asks = `#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
int main() {
	char b[100];
	setbuf(stdin, 0);
	while (fgets(b, sizeof b, stdin)) { printf("%ld\n", syscall(SYS_getuid)); fflush(stdout); }
	return 5;
}`

// conversation is with a running program that asks.
type conversation struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func converse(t *testing.T, bin string) *conversation {
	c := &conversation{t: t, cmd: exec.Command(bin)}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	return c
}

// is checks what the program says now.
func (c *conversation) is(uid int) {
	c.t.Helper()
	fmt.Fprintln(c.in, "who?")
	if line, err := c.out.ReadString('\n'); err != nil || line != fmt.Sprintln(uid) {
		c.t.Fatalf("%q %v, want %d", line, err, uid)
	}
}

var asked = on("getuid", func(*Call, Handler) (uint64, error) { return 4711, nil })

// Emulation goes on and off, modes change, instructions are stepped, and in the end
// the process is let go of.
func TestNativeChanges(t *testing.T) {
	me := os.Getuid()
	c := converse(t, buildC(t, asks))
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.is(me)
	files := openFiles(t)
	for range 2 {
		n, err := Attach(c.cmd.Process.Pid, WithMiddleware(asked))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			n.SetMode(Mode(i % 3))
			c.is(4711)
			n.Enable(false)
			c.is(me)
			c.is(me)
			n.Enable(true)
			c.is(4711)
			if n.Mode() != Mode(i%3) || n.Pid() != c.cmd.Process.Pid || !n.Enabled() {
				t.Errorf("mode %d, pid %d", n.Mode(), n.Pid())
			}
			steps := 0
			n.Step(func(s Step) {
				if s.Regs.Rip != 0 && s.TID == n.Pid() {
					steps++
				}
			})
			c.is(4711)
			n.Enable(false)
			c.is(me)
			if i%2 == 0 {
				n.Step(nil)
				n.Enable(true)
				c.is(4711)
			}
			n.Enable(true)
			if i%2 == 0 && steps < 100 {
				t.Errorf("%d steps", steps)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if _, err := n.Wait(); err != ErrDetached {
			t.Error(err)
		}
		n.Enable(true) // too late for anything
		c.is(me)
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d files open, %d before", n, files)
	}
	c.in.Close()
	if c.cmd.Wait(); c.cmd.ProcessState.ExitCode() != 5 {
		t.Error(c.cmd.ProcessState)
	}
}

func openFiles(t *testing.T) int {
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// A started program that is let go of is its starter's, as usual.
func TestNativeStartedAndClosed(t *testing.T) {
	c := converse(t, buildC(t, asks))
	n := startNative(t, c.cmd, WithMiddleware(asked), WithEmulationOff())
	c.is(os.Getuid())
	n.Enable(true)
	c.is(4711)
	n.Close()
	c.is(os.Getuid())
	c.in.Close()
	if c.cmd.Wait(); c.cmd.ProcessState.ExitCode() != 5 {
		t.Error(c.cmd.ProcessState)
	}
}

// Stopped by a signal, the process stays stopped and its parent is told; it goes
// on by SIGCONT.
func TestNativeGroupStop(t *testing.T) {
	bin := buildC(t, `#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
int main() {
	char b[100];
	setbuf(stdin, 0);
	pid_t p = fork();
	if (!p) {
		while (fgets(b, sizeof b, stdin)) { printf("%ld\n", syscall(SYS_getuid)); fflush(stdout); }
		return 5;
	}
	close(0);
	printf("%d\n", p);
	fflush(stdout);
	for (int s; waitpid(p, &s, WUNTRACED | WCONTINUED) > 0; fflush(stdout))
		if (WIFSTOPPED(s)) printf("stopped %d\n", WSTOPSIG(s));
		else if (WIFCONTINUED(s)) puts("continued");
		else printf("exit %d\n", WEXITSTATUS(s));
	return 0;
}`)
	nativeModes(t, func(t *testing.T, mode Mode) {
		c := converse(t, bin)
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		says := func(want string) {
			t.Helper()
			if line, err := c.out.ReadString('\n'); line != want+"\n" {
				t.Fatalf("%q %v, want %s", line, err, want)
			}
		}
		line, _ := c.out.ReadString('\n')
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Attach(pid, WithMiddleware(asked), WithMode(mode))
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		for i := range 4 {
			c.is(4711)
			unix.Kill(pid, unix.SIGSTOP)
			says("stopped 19")
			switch i {
			case 1:
				n.Enable(false)
				n.Enable(true)
			case 2: // let go of and attached to while it is stopped
				n.Close()
				if n, err = Attach(pid, WithMiddleware(asked), WithMode(mode)); err != nil {
					t.Fatal(err)
				}
			}
			unix.Kill(pid, unix.SIGCONT)
			says("continued")
		}
		c.is(4711)
		c.in.Close()
		says("exit 5")
		if ws, err := n.Wait(); err != nil || ws.ExitStatus() != 5 {
			t.Errorf("%v %#x", err, ws)
		}
		c.cmd.Wait()
	})
}

// A call that a signal interrupts is made again, with the arguments that the
// program gave, and no register keeps what a handler has put there.
func TestNativeRestart(t *testing.T) {
	bin := buildC(t, `#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
void tick(int s) { write(1, "tick\n", 5); }
int main() {
	char b[100];
	struct sigaction a = {.sa_handler = tick, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &a, 0);
	ualarm(5000, 0);
	long v, n = 100, fd = 0;
	char *p = b;
	asm volatile("syscall" : "=a"(v), "+D"(fd), "+S"(p), "+d"(n) : "0"(SYS_read) : "rcx", "r11", "memory");
	printf("%ld %ld %ld %d\n", v, fd, n, p == b);
	fflush(stdout);
	a.sa_flags = 0;
	sigaction(SIGALRM, &a, 0);
	ualarm(5000, 0);
	perror(read(0, b, 100) < 0 ? "read" : "no error");
	return 0;
}`)
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command(bin)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = w, w
		var mu sync.Mutex
		var sizes []uint64
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(on("read", func(c *Call, next Handler) (uint64, error) {
			if c.Arg(0) != 0 {
				return next.ServeCall(c)
			}
			mu.Lock()
			sizes = append(sizes, c.Arg(2))
			mu.Unlock()
			c.SetArg(2, c.Arg(2)/2)
			return next.ServeCall(c)
		})))
		w.Close()
		r := bufio.NewReader(out)
		if line, _ := r.ReadString('\n'); line != "tick\n" {
			t.Fatal(line)
		}
		in.Write(bytes.Repeat([]byte("x"), 50))
		text, _ := io.ReadAll(r)
		if s := string(text); s != "50 0 100 1\ntick\nread: Interrupted system call\n" {
			t.Errorf("%q", s)
		}
		if ws, err := n.Wait(); err != nil || ws != 0 {
			t.Errorf("%v %#x", err, ws)
		}
		if fmt.Sprint(sizes) != "[100 100 100]" {
			t.Error(sizes)
		}
	})
}

// Programs with threads that fork, vfork and execute others, by any thread.
func TestNativeFollows(t *testing.T) {
	bin := buildC(t, `#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>
#include <sys/syscall.h>
extern char **environ;
void say(const char *s) { printf("%s %ld\n", s, syscall(SYS_getuid)); fflush(stdout); }
void *nap(void *x) { for (;;) pause(); }
void *run(void *x) { say("thread"); execl("/bin/sh", "sh", "-c", "echo exec; exit 6", (char *)0); return 0; }
int main() {
	pthread_t t;
	int s;
	say("main");
	if (!fork()) { say("child"); _exit(0); }
	wait(&s);
	char *argv[] = {"sh", "-c", "echo spawned; exit 3", 0};
	pid_t p;
	posix_spawn(&p, "/bin/sh", 0, 0, argv, environ);
	waitpid(p, &s, 0);
	printf("%d\n", WEXITSTATUS(s));
	for (int i = 0; i < 3; i++) pthread_create(&t, 0, nap, 0);
	pthread_create(&t, 0, run, 0);
	nap(0);
}`)
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command(bin)
		var out bytes.Buffer
		cmd.Stdout = &out
		var mu sync.Mutex
		execs := 0
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(asked, on("execve", func(c *Call, next Handler) (uint64, error) {
			v, err := next.ServeCall(c)
			mu.Lock()
			execs++
			mu.Unlock()
			return v, err
		})))
		ws, err := n.Wait()
		if want := "main 4711\nchild 4711\nspawned\n3\nthread 4711\nexec\n"; err != nil || ws.ExitStatus() != 6 || out.String() != want || execs != 2 {
			t.Errorf("%v %#x %q, %d programs executed", err, ws, out.String(), execs)
		}
	})
}

// Handlers that fail, panic, come back to the native from within, or are not there.
func TestNativeHandlers(t *testing.T) {
	var log reports
	var n *Native
	c := converse(t, buildC(t, asks))
	mode := 0
	n = startNative(t, c.cmd, WithLog(log.add), WithEmulationOff(), WithMiddleware(on("getuid", func(c *Call, next Handler) (uint64, error) {
		if c.PID() != n.Pid() || c.TID() != n.Pid() || c.Arch() != abi.AMD64 || c.String() != "getuid()" {
			t.Errorf("%v, pid %d, tid %d", c, c.PID(), c.TID())
		}
		mode++
		switch mode {
		case 1:
			panic("no")
		case 2:
			return 0, errors.New("odd")
		case 3:
			v, err := next.ServeCall(c)
			w, err2 := next.ServeCall(c) // the host runs it again
			if v != w || err != nil || err2 != nil {
				t.Errorf("%d %v, %d %v", v, err, w, err2)
			}
			return 33, nil
		case 4:
			var b [8]byte
			if err := c.ReadMem(1, b[:]); err != unix.EFAULT {
				t.Error(err)
			}
			errs := make(chan error)
			go func() { _, err := next.ServeCall(c); errs <- err }()
			if err := <-errs; err == nil {
				t.Error("the host runs a call for another goroutine")
			}
			n.Enable(false)
			return 44, nil
		}
		return 0, unix.EPERM
	})))
	c.is(os.Getuid())
	n.Enable(true)
	c.is(-1)
	c.is(-1)
	c.is(33)
	c.is(44)
	c.is(os.Getuid())
	c.in.Close()
	if ws, err := n.Wait(); err != nil || ws.ExitStatus() != 5 {
		t.Errorf("%v %#x", err, ws)
	}
	if l := log.list(); len(l) != 2 || !strings.Contains(l[0], "native_test.go") || !strings.Contains(l[1], "odd") {
		t.Errorf("%q", l)
	}
	if _, err := Attach(1<<30, WithMiddleware(asked)); !errors.Is(err, unix.ESRCH) {
		t.Error(err)
	}
	if _, err := Attach(os.Getpid()); !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	if _, err := Attach(1<<30, WithCPUs(1)); err == nil || errors.Is(err, unix.ESRCH) {
		t.Error(err)
	}
	if _, err := StartNative(exec.Command("/no/such/program")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// 32-bit programs, by their own table.
func TestNative32(t *testing.T) {
	hostcan.Need(t, hostcan.Run32)
	bin := buildC(t, `#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
int main() {
	int v;
	asm volatile("int $0x80" : "=a"(v) : "a"(SYS_getuid32));
	printf("%d %ld\n", v, syscall(SYS_getuid32));
	fflush(stdout);
	return write(1, "hello\n", 6);
}`, "-m32")
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command(bin)
		var out bytes.Buffer
		cmd.Stdout = &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(
			on("getuid32", func(c *Call, _ Handler) (uint64, error) {
				if c.Arch() != abi.I386 {
					t.Error(c.Arch())
				}
				return 4711, nil
			}),
			on("write", func(c *Call, next Handler) (uint64, error) {
				if c.Arg(2) == 6 {
					c.SetArg(2, 3)
				}
				return next.ServeCall(c)
			})))
		if ws, err := n.Wait(); err != nil || ws.ExitStatus() != 3 || out.String() != "4711 4711\nhel" {
			t.Errorf("%v %#x %q", err, ws, out.String())
		}
	})
}

// A child is born in its parent's call, with the registers that the parent
// gave, not those that a handler put in their place.
func TestNativeForkArguments(t *testing.T) {
	bin := buildC(t, `#include <stdio.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
	register long ctid asm("r10") = 0x1234, tls asm("r8") = 0x5678;
	long pid = SYS_clone;
	asm volatile("syscall" : "+a"(pid), "+r"(ctid), "+r"(tls) : "D"((long)SIGCHLD), "S"(0L), "d"(0L) : "rcx", "r11", "memory");
	long at = ctid, is = tls;
	if (pid)
		waitpid(pid, NULL, 0);
	printf("%s %lx %lx\n", pid ? "parent" : "child", at, is);
}`)
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command(bin)
		var out bytes.Buffer
		cmd.Stdout = &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(on("clone", func(c *Call, next Handler) (uint64, error) {
			c.SetArg(3, 0)
			c.SetArg(4, 1)
			return next.ServeCall(c)
		})))
		const want = "child 1234 5678\nparent 1234 5678\n"
		if ws, err := n.Wait(); err != nil || ws != 0 || out.String() != want {
			t.Errorf("%v %#x %q", err, ws, out.String())
		}
	})
}
