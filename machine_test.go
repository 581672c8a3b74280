package sysemu

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// roles are what a re-executed test binary does instead of tests.
var roles = map[string]func(){}

const roleEnv = "SYSEMU_TEST_ROLE"

func TestMain(m *testing.M) {
	if f := roles[os.Getenv(roleEnv)]; f != nil {
		f()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// reexec is this test binary in a role of its own, as a host process.
func reexec(t testing.TB, role string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// reports collects what a machine tells its operator.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (r *reports) add(msg string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, msg)
}

func (r *reports) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.all...)
}

// testMachine is a machine that is closed when the test ends, and whose
// reports are errors.
func testMachine(t testing.TB, opts ...Option) *Machine {
	t.Helper()
	m, err := New(append([]Option{WithLog(func(msg string) { t.Errorf("the kernel reports: %s", msg) })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeMachine(t, m) })
	return m
}

func closeMachine(t testing.TB, m *Machine) {
	t.Helper()
	within(t, 20*time.Second, "Close", func() { m.Close() })
}

// within fails the whole test binary, with all stacks, when f takes longer.
func within(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	timer := time.AfterFunc(d, func() { panic(fmt.Sprintf("%s: %s hangs", t.Name(), what)) })
	defer timer.Stop()
	f()
}

// buildC compiles a C program for host and guests; the test is skipped where
// there is no compiler.
func buildC(t testing.TB, source string, flags ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	src, bin := filepath.Join(dir, "a.c"), filepath.Join(dir, "a")
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-O1", "-w", "-pthread", "-o", bin, src}, flags...)
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}
