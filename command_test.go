package sysemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStdin(t *testing.T) {
	m := testMachine(t)
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte("from a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	long := strings.Repeat("0123456789abcdef", 1<<16)
	for _, tc := range []struct {
		name string
		in   io.Reader
		want string
	}{
		{"nil", nil, ""},
		{"file", f, "from a file"},
		{"string", strings.NewReader("some text"), "some text"},
		{"long", strings.NewReader(long), long},
		{"only a reader", io.MultiReader(strings.NewReader("a"), strings.NewReader("b")), "ab"},
	} {
		c := m.Command("cat")
		c.Stdin = tc.in
		out, err := c.Output()
		if err != nil || string(out) != tc.want {
			t.Errorf("%s: %d bytes (want %d), %v", tc.name, len(out), len(tc.want), err)
		}
	}
	// A program that does not read all of it does not hold up Wait.
	c := m.Command("true")
	c.Stdin = strings.NewReader(long)
	if err := c.Run(); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	m := testMachine(t)
	out, err := m.Command("sh", "-c", "echo out; echo err >&2; exit 4").Output()
	var exit *ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 4 || string(exit.Stderr) != "err\n" || string(out) != "out\n" {
		t.Errorf("Output: %q, %#v", out, err)
	}
	out, err = m.Command("sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; done").CombinedOutput()
	if err != nil || string(out) != "out1\nerr1\nout2\nerr2\nout3\nerr3\n" {
		t.Errorf("CombinedOutput: %q, %v", out, err)
	}
	var b bytes.Buffer
	c := m.Command("true")
	c.Stdout = &b
	if _, err := c.Output(); err == nil {
		t.Error("Output with Stdout set succeeds")
	}
	if _, err := c.CombinedOutput(); err == nil {
		t.Error("CombinedOutput with Stdout set succeeds")
	}
}

// A file as standard output keeps its offset, for those before and after.
func TestStdoutFile(t *testing.T) {
	m := testMachine(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprint(f, "before ")
	c := m.Command("echo", "-n", "inside ")
	c.Stdout = f
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "after")
	b, _ := os.ReadFile(f.Name())
	if string(b) != "before inside after" {
		t.Errorf("%q", b)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestWriterFails(t *testing.T) {
	m := testMachine(t)
	c := m.Command("echo", "x")
	c.Stdout = failingWriter{}
	if err := c.Run(); err == nil || err.Error() != "no room" {
		t.Errorf("%v", err)
	}
	// One that would write for ever is told by SIGPIPE.
	c = m.Command("yes")
	c.Stdout = failingWriter{}
	within(t, 20*time.Second, "yes", func() {
		var exit *ExitError
		if err := c.Run(); !errors.As(err, &exit) || exit.Sys().Signal() != unix.SIGPIPE {
			t.Errorf("%v", err)
		}
	})
}

func TestDirEnv(t *testing.T) {
	m := testMachine(t)
	c := m.Command("sh", "-c", "pwd; echo $A; env")
	c.Dir = "/usr/lib"
	c.Env = []string{"A=1", "PATH=/usr/bin:/bin"}
	out, err := c.Output()
	if err != nil || !strings.HasPrefix(string(out), "/usr/lib\n1\n") || !strings.Contains(string(out), "\nA=1\n") || strings.Contains(string(out), "HOME") {
		t.Errorf("%q %v", out, err)
	}
	// No environment at all, and ours.
	c = m.Command("/usr/bin/env")
	c.Env = []string{}
	if out, err := c.Output(); err != nil || len(out) != 0 {
		t.Errorf("empty Env: %q, %v", out, err)
	}
	t.Setenv("SYSEMU_SOMETHING", "yes")
	if out, err := m.Command("printenv", "SYSEMU_SOMETHING").Output(); err != nil || string(out) != "yes\n" {
		t.Errorf("nil Env: %q, %v", out, err)
	}
	// The PATH of Env is what counts.
	c = m.Command("true")
	c.Env = []string{"PATH=/nowhere"}
	if err := c.Run(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("with another PATH: %v", err)
	}
	// A relative name with a slash is relative to Dir.
	c = m.Command("./true")
	c.Dir = "/usr/bin"
	if err := c.Run(); err != nil {
		t.Errorf("./true: %v", err)
	}
	c = m.Command("true")
	c.Dir = "/no/such"
	if err := c.Run(); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "/no/such") {
		t.Errorf("missing Dir: %v", err)
	}
	c = m.Command("true")
	c.Dir = "/etc/passwd"
	if err := c.Run(); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Dir that is a file: %v", err)
	}
}

func TestArgs(t *testing.T) {
	m := testMachine(t)
	c := &Cmd{Path: "sh", Args: []string{"other name", "-c", "echo $0 $#", "zero", "", "b c"}, m: m}
	if out, err := c.Output(); err != nil || string(out) != "zero 2\n" {
		t.Errorf("%q %v", out, err)
	}
	c = m.Command("pwd")
	c.Args = nil
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	big := strings.Repeat("x", 1<<17)
	if err := m.Command("true", big).Run(); !errors.Is(err, unix.E2BIG) {
		t.Errorf("an argument of 128 KiB: %v", err)
	}
	if err := m.Command("true", "nul\x00inside").Run(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an argument with NUL: %v", err)
	}
	c = m.Command("true")
	c.Env = []string{"A=\x00"}
	if err := c.Run(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an environment with NUL: %v", err)
	}
	c = m.Command("tr\x00ue")
	if err := c.Run(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a name with NUL: %v", err)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	write := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	m := testMachine(t)
	for _, tc := range []struct {
		name, path string
		want       unix.Errno
	}{
		{"missing", "/no/such/program", unix.ENOENT},
		{"missing in PATH", "no-such-program", unix.ENOENT},
		{"empty", "", unix.ENOENT},
		{"a directory", "/etc", unix.EACCES},
		{"below a file", "/etc/passwd/x", unix.ENOTDIR},
		{"not executable", write("plain", "#!/bin/sh\n", 0o644), unix.EACCES},
		{"text", write("text", "hello\n", 0o755), unix.ENOEXEC},
		{"empty file", write("none", "", 0o755), unix.ENOEXEC},
		{"interpreter missing", write("script", "#!/no/such/interp\n", 0o755), unix.ENOENT},
		{"interpreter a directory", write("script2", "#!/etc\n", 0o755), unix.EACCES},
		{"interpreters in a loop", write("a", "#!"+b+"\n", 0o755), unix.ELOOP},
		{"the loop's other end", write("b", "#!"+a+"\n", 0o755), unix.ELOOP},
		{"its own interpreter", write("self", "#!"+filepath.Join(dir, "self")+"\n", 0o755), unix.ELOOP},
		{"#! with nothing", write("bang", "#!", 0o755), unix.EACCES},
		{"#! with blanks", write("blank", "#!   \n", 0o755), unix.ENOEXEC},
		{"a long name", "/" + strings.Repeat("x", 300), unix.ENAMETOOLONG},
		{"a device", "/dev/null", unix.EACCES},
	} {
		err := m.Command(tc.path).Run()
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		} else if e.Name != tc.path || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: message %q", tc.name, err)
		}
	}
	// The machine is as it was.
	if err := m.Command("true").Run(); err != nil {
		t.Error(err)
	}
}

func TestContext(t *testing.T) {
	m := testMachine(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	c := m.CommandContext(ctx, "sleep", "60")
	within(t, 20*time.Second, "a program whose context ended", func() {
		if err := c.Run(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	if s := c.ProcessState; s == nil || s.Exited() || s.Sys().Signal() != unix.SIGKILL {
		t.Errorf("state: %v", s)
	}
	if err := m.CommandContext(ctx, "true").Run(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context that had ended: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	c = m.CommandContext(ctx, "true")
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	cancel()
	// Cancelled after the end: as if it had not been.
	ctx, cancel = context.WithCancel(context.Background())
	c = m.CommandContext(ctx, "sh", "-c", "exit 3")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-c.Process.prog.Done()
	cancel()
	var exit *ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("cancelled after the end: %v", err)
	}
	cancel()
}

func TestStartWaitOrder(t *testing.T) {
	m := testMachine(t)
	c := m.Command("true")
	if err := c.Wait(); err == nil {
		t.Error("Wait before Start succeeds")
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err == nil {
		t.Error("a second Start succeeds")
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("a second Wait succeeds")
	}
	if err := c.Start(); err == nil {
		t.Error("Start after Wait succeeds")
	}
	if err := c.Process.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to one that has ended: %v", err)
	}
}

func TestSignals(t *testing.T) {
	m := testMachine(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL, unix.SIGINT, unix.SIGHUP, unix.SIGSEGV} {
		c := m.Command("sleep", "60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Signal(sig); err != nil {
			t.Error(err)
		}
		err := c.Wait()
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Exited() || exit.ExitCode() != -1 || exit.Sys().Signal() != sig {
			t.Errorf("%v: %v", sig, err)
		}
		if want := "signal: " + sig.String(); err != nil && err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	// Caught.
	r, w := io.Pipe()
	c := m.Command("sh", "-c", "trap 'echo got it; exit 5' USR1; echo ready; while :; do sleep 0.01; done")
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, _ := r.Read(b)
	if string(b[:n]) != "ready\n" {
		t.Fatalf("%q", b[:n])
	}
	c.Process.Signal(unix.SIGUSR1)
	n, _ = r.Read(b)
	if err := c.Wait(); string(b[:n]) != "got it\n" || c.ProcessState.ExitCode() != 5 {
		t.Errorf("%q %v", b[:n], err)
	}
	for _, bad := range []os.Signal{unix.Signal(-1), unix.Signal(65), unix.Signal(1 << 20)} {
		c := m.Command("sleep", "60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Signal(bad); !errors.Is(err, unix.EINVAL) {
			t.Errorf("signal %d: %v", bad, err)
		}
		if err := c.Process.Signal(unix.Signal(0)); err != nil {
			t.Errorf("signal 0: %v", err)
		}
		c.Process.Kill()
		c.Wait()
	}
}

func TestProcessState(t *testing.T) {
	m := testMachine(t)
	c := m.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	s := c.ProcessState
	if !s.Success() || !s.Exited() || s.ExitCode() != 0 || s.Pid() != c.Process.Pid || s.String() != "exit status 0" {
		t.Errorf("%v", s)
	}
	if s.UserTime() <= 0 || s.UserTime() > time.Minute || s.SysUsage().Maxrss < 100 {
		t.Errorf("user %v, maximal %d KiB", s.UserTime(), s.SysUsage().Maxrss)
	}
}

// Several machines in one program do not know of each other.
func TestSeveralMachines(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 4 {
		m := testMachine(t, WithHostname(fmt.Sprint("box", i)), WithCPUs(1+i%2))
		wg.Go(func() {
			for j := range 5 {
				if out, err := m.Command("sh", "-c", fmt.Sprintf("echo %d >/tmp/sysemu-who; sleep 0.01; cat /tmp/sysemu-who; hostname", j)).Output(); err != nil || string(out) != fmt.Sprintf("%d\nbox%d\n", j, i) {
					t.Errorf("machine %d: %q %v", i, out, err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := os.Stat("/tmp/sysemu-who"); err == nil {
		t.Error("what programs wrote reached the host")
	}
}

// Many programs at once in one machine, from many goroutines.
func TestConcurrentCommands(t *testing.T) {
	m := testMachine(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			want := fmt.Sprint("number ", i)
			c := m.Command("cat")
			c.Stdin = strings.NewReader(want)
			if out, err := c.Output(); err != nil || string(out) != want {
				t.Errorf("%q %v, want %q", out, err, want)
			}
		})
	}
	wg.Wait()
}

func TestCloseWhileRunning(t *testing.T) {
	m := testMachine(t)
	var cmds []*Cmd
	for _, args := range [][]string{
		{"sleep", "60"},
		{"sh", "-c", "while :; do :; done"},
		{"sh", "-c", "sleep 60 & sleep 60 & wait"},
		{"sh", "-c", "trap '' TERM INT HUP; while :; do /bin/true; done"},
		{"cat"},
		{"sh", "-c", "kill -STOP $$"},
		{"yes"},
	} {
		c := m.Command(args[0], args[1:]...)
		c.Stdout = io.Discard
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		c.Stdin = r
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, c)
	}
	time.Sleep(50 * time.Millisecond)
	ends := make(chan error, len(cmds))
	for _, c := range cmds[1:] {
		go func() { ends <- c.Wait() }()
	}
	closeMachine(t, m)
	ends <- cmds[0].Wait()
	for range cmds {
		var exit *ExitError
		if err := <-ends; !errors.As(err, &exit) || exit.Sys().Signal() != unix.SIGKILL {
			t.Errorf("%v", err)
		}
	}
	if err := m.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if err := m.Command("true").Run(); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	if err := cmds[0].Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Kill after Close: %v", err)
	}
	m.Unsupported()
}

// Start and Close at the same time.
func TestStartCloseRace(t *testing.T) {
	for range 10 {
		m, err := New()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					var exit *ExitError
					if err := m.Command("true").Run(); errors.Is(err, ErrClosed) {
						return
					} else if err != nil && !errors.As(err, &exit) {
						t.Errorf("%v", err)
						return
					}
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		wg.Go(func() { m.Close() })
		within(t, 30*time.Second, "closing while starting", wg.Wait)
	}
}

// What a program leaves behind goes on, and writes to a host file that is
// still the one it was given.
func TestLeftBehind(t *testing.T) {
	m := testMachine(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := m.Command("sh", "-c", "(sleep 0.2; echo late) & echo soon")
	c.Stdout = w
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	within(t, 20*time.Second, "reading", func() {
		if b, err := io.ReadAll(r); string(b) != "soon\nlate\n" {
			t.Errorf("%q %v", b, err)
		}
	})
	// One whose output is copied: the copying ends with the program, and
	// what comes later goes nowhere, above all not into other files.
	var out bytes.Buffer
	c = m.Command("sh", "-c", "(trap '' PIPE; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.02; echo late; done) & echo soon")
	c.Stdout = &out
	within(t, 20*time.Second, "Run", func() {
		if err := c.Run(); err != nil || out.String() != "soon\n" {
			t.Errorf("%q %v", out.String(), err)
		}
	})
	files := make([]*os.File, 20)
	for i := range files {
		if files[i], err = os.CreateTemp(t.TempDir(), ""); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}
	time.Sleep(300 * time.Millisecond)
	for _, f := range files {
		if st, err := f.Stat(); err != nil || st.Size() != 0 {
			t.Fatalf("a program wrote to a file that is none of its own: %d bytes, %v", st.Size(), err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Option{
		"missing root":     WithRoot("/no/such/root"),
		"root is a file":   WithRoot("/etc/passwd"),
		"missing bind":     WithBind("/no/such", "/x", false),
		"relative bind":    WithBind("/etc", "x", false),
		"relative tmpfs":   WithTmpfs("x"),
		"mount on a file":  WithTmpfs("/etc/passwd"),
		"mount below file": WithTmpfs("/etc/passwd/x"),
		"many CPUs":        WithCPUs(1 << 20),
	} {
		m, err := New(o)
		if err == nil {
			m.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

func init() {
	roles["user"] = func() {
		m, err := New()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		defer m.Close()
		out, err := m.Command("sh", "-c", "id -u; echo x >/tmp/mine && cat /tmp/mine; cat /etc/shadow 2>&1 | grep -c denied; ls / >/dev/null && echo listed").CombinedOutput()
		fmt.Printf("%s%v\n", out, err)
	}
}

// A machine needs no privileges.
func TestOrdinaryUser(t *testing.T) {
	c := reexec(t, "user", "GOCOVERDIR=", "LC_ALL=C")
	if os.Getuid() == 0 {
		// The test binary may lie where the user cannot look.
		exe, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.CreateTemp("/tmp", "sysemu-test")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(f.Name())
		f.Write(exe)
		f.Chmod(0o755)
		f.Close()
		c.Path = f.Name()
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	within(t, 60*time.Second, "the user's machine", func() {
		out, err := c.Output()
		want := fmt.Sprintf("%d\nx\n1\nlisted\n<nil>\n", unix.Getuid())
		if os.Getuid() == 0 {
			want = "65534\nx\n1\nlisted\n<nil>\n"
		}
		if err != nil || string(out) != want {
			t.Errorf("%q %v, want %q", out, err, want)
		}
	})
}
