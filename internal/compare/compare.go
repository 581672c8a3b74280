// Package compare runs the same program natively and inside sysemu and compares what came out: standard output,
// standard error, exit status, and (for a program on a terminal) what appeared on the screen.
//
// Both runs start in the same directory, at the same path, holding the same files. The inside run goes first: it sees
// the host's / under an in-memory layer, so whatever it writes must not be there afterwards, and that is checked too.
// The native run follows in the untouched directory.
//
// A test binary calls Main from its TestMain, which builds cmd/sysemu once, and then Table or Run.
// SYSEMU names a sysemu that is built already. With SYSEMU_COMPARE=self "inside" is native again: that checks that the
// cases themselves are deterministic.
package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Case is one program run twice.
type Case struct {
	Name string

	// Script is given to /bin/bash -c. Args, when set, is run as it is instead; its first element is a path or is
	// looked up in the test's PATH.
	Script string
	Args   []string

	Stdin  string            // what standard input holds; /dev/null when empty
	Files  map[string]string // written to the scratch directory beforehand; a name ending in "*" is made executable
	Env    []string          // added to the environment every case has
	Need   []string          // programs without which the case is skipped
	Sysemu []string          // flags for sysemu run

	// Outside runs the case's own program natively both times: it runs others inside by putting $IN before them, which is
	// empty the native time. Its own files it may change.
	Outside bool

	// Keys, when set, runs the program on a terminal of 24 lines and 80 columns and types at it.
	Keys []Key

	Masks   []Mask
	Timeout time.Duration // for each run; the default is one minute
}

// Mask replaces what may rightly differ between two runs, before they are compared.
type Mask struct {
	Pattern string
	Replace string
	Why     string
}

// Result is what a run left behind.
type Result struct {
	Stdout, Stderr string
	Status         int // as a shell gives it: 128+n for a signal
	Took           time.Duration
}

const (
	scriptShell = "/bin/bash"
	searchPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

var state struct {
	sysemu string // the built command; empty when the tests are to be skipped
	self   bool
}

// Main builds sysemu, runs the tests of m and exits.
func Main(m *testing.M) { os.Exit(run(m)) }

// keepDescriptors keeps what this process has inherited from those that
// started it: a native program would see it, one inside does not.
func keepDescriptors() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

func run(m *testing.M) int {
	keepDescriptors()
	if os.Getenv("SYSEMU_COMPARE") == "self" {
		state.self = true // native against native: is the case itself steady?
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "sysemu-compare")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if state.sysemu = os.Getenv("SYSEMU"); state.sysemu == "" {
		state.sysemu, err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Build compiles cmd/sysemu into dir and answers its path, after checking that it can run /bin/true at all.
func Build(dir string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	noteSources(root)
	bin := filepath.Join(dir, "sysemu")
	build := exec.Command("go", "build", "-o", bin, "./cmd/sysemu")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building cmd/sysemu: %w\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, bin, "run", "--", "/bin/true").CombinedOutput(); err != nil {
		return "", fmt.Errorf("sysemu run -- /bin/true: %w\n%s", err, out)
	}
	return bin, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the working directory")
}

// noteSources looks at every source of the module, for go test's result cache: the cache knows the files a test looked
// at, but not what go build read on its behalf, and would answer for a kernel that has changed since.
func noteSources(root string) {
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); ext == ".go" || ext == ".bin" {
			os.Stat(path)
		}
		return nil
	})
}

// Table runs each case as a subtest.
func Table(t *testing.T, cases []Case) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			t.Fatalf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) { Run(t, c) })
	}
}

// Enabled skips the test unless comparing was asked for and is possible.
func Enabled(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("real programs are not run with -short")
	}
}

// Inside is a command that runs a program inside only, for what has no like outside.
func Inside(ctx context.Context, name string, args ...string) *exec.Cmd {
	if state.self {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, state.sysemu, append([]string{"run", "--", name}, args...)...)
}

// Run runs one case both ways and reports every difference.
func Run(t *testing.T, c Case) {
	t.Helper()
	Enabled(t)
	for _, name := range c.Need {
		if _, err := lookPath(name); err != nil {
			missing := t.Skipf
			if os.Getenv("CI") == "true" {
				missing = t.Fatalf
			}
			missing("%s is not installed (.ci/run installs what the tests use)", name)
		}
	}
	// Some cases look at the clock, and machines are shared: what differs
	// must differ again.
	first := attempt(t, c)
	if len(first.errs) == 0 {
		return
	}
	for _, e := range first.errs {
		t.Logf("the first time: %s", e)
	}
	for _, e := range attempt(t, c).errs {
		t.Error(e)
	}
}

// recorder keeps what one attempt finds wrong.
type recorder struct {
	*testing.T
	errs []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Sprintf(format, args...))
}

// attempt runs a case once both ways.
func attempt(t *testing.T, c Case) *recorder {
	r := &recorder{T: t}
	base := t.TempDir()
	dir := filepath.Join(base, "work")
	prepare(t, dir, c.Files)
	before := snapshot(t, dir)
	inside := execute(r, c, dir, !state.self)
	if state.self {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		prepare(t, dir, c.Files)
	} else if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		if !c.Outside {
			r.Errorf("what ran inside reached the host's files (-before +after):\n%s", diff)
		}
		os.RemoveAll(dir)
		prepare(t, dir, c.Files)
	}
	native := execute(r, c, dir, false)
	t.Logf("native %v, inside %v", native.Took.Round(time.Millisecond), inside.Took.Round(time.Millisecond))
	if state.self {
		t.Logf("status %d\n%s\n%s", native.Status, clip(native.Stdout), clip(native.Stderr))
	}
	masks := compile(t, c.Masks)
	differ := func(what, native, inside string) {
		t.Helper()
		if diff := cmp.Diff(masks(native), masks(inside)); diff != "" {
			r.Errorf("%s differs (-native +inside):\n%s", what, clip(diff))
		}
	}
	if native.Status != inside.Status {
		r.Errorf("exit status: native %d, inside %d", native.Status, inside.Status)
	}
	differ("standard output", native.Stdout, inside.Stdout)
	differ("standard error", native.Stderr, inside.Stderr)
	return r
}

// clip bounds a report: the first lines of a difference tell the most.
func clip(s string) string {
	const most = 6000
	if len(s) > most {
		return s[:most] + "\n…"
	}
	return s
}

func compile(t *testing.T, masks []Mask) func(string) string {
	var res []*regexp.Regexp
	for _, m := range masks {
		if m.Why == "" {
			t.Fatalf("the mask %q says no reason", m.Pattern)
		}
		res = append(res, regexp.MustCompile(m.Pattern))
	}
	return func(s string) string {
		for i, re := range res {
			s = re.ReplaceAllString(s, masks[i].Replace)
		}
		return s
	}
}

func prepare(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := os.FileMode(0o644)
		path := name
		if p, ok := strings.CutSuffix(name, "*"); ok {
			path, mode = p, 0o755
		}
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), mode); err != nil {
			t.Fatal(err)
		}
	}
	setTimes(dir)
}

// setTimes gives what was prepared a fixed time, so that listings agree.
func setTimes(dir string) {
	then := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { return os.Chtimes(path, then, then) })
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		m[path] = fmt.Sprint(info.Mode(), info.ModTime().UTC())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			m[path] += "\n" + string(data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	setTimes(dir) // reading changed the access times
	return m
}

// Environment is what every case runs with, in the scratch directory dir.
func Environment(dir string) []string {
	return []string{
		"PATH=" + searchPath, "HOME=" + dir, "PWD=" + dir, "USER=root", "LOGNAME=root", "SHELL=/bin/bash",
		"LANG=C.UTF-8", "TZ=UTC", "TERM=xterm",
	}
}

func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		_, err := os.Stat(name)
		return name, err
	}
	for dir := range strings.SplitSeq(searchPath, ":") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func execute(t *recorder, c Case, dir string, inside bool) Result {
	t.Helper()
	argv := c.Args
	if argv == nil {
		argv = []string{scriptShell, "-c", c.Script}
	}
	in := ""
	if inside {
		in = state.sysemu + " run --"
	}
	if inside && !c.Outside {
		argv = slices.Concat([]string{state.sysemu, "run"}, c.Sysemu, []string{"--"}, argv)
	} else if path, err := lookPath(argv[0]); err == nil && !strings.Contains(argv[0], "/") {
		argv = append([]string{path}, argv[1:]...)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(Environment(dir), c.Env...)
	if c.Outside {
		cmd.Env = append(cmd.Env, "IN="+in)
	}
	cmd.WaitDelay = 2 * time.Second
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	start := time.Now()
	var res Result
	var err error
	if c.Keys != nil {
		res.Stdout, err = onTerminal(ctx, cmd, c.Keys)
	} else {
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if c.Stdin != "" {
			cmd.Stdin = strings.NewReader(c.Stdin)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = cmd.Run()
		res.Stdout, res.Stderr = stdout.String(), stderr.String()
	}
	res.Took = time.Since(start)
	where := "native"
	if inside {
		where = "inside"
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Errorf("%s: not done after %v (%v)\nstdout so far: %s\nstderr so far: %s", where, timeout, err, clip(res.Stdout), clip(res.Stderr))
	case errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
	case err != nil:
		t.Errorf("%s: %v", where, err)
	}
	if cmd.ProcessState != nil {
		ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
		res.Status = ws.ExitStatus()
		if ws.Signaled() {
			res.Status = 128 + int(ws.Signal())
		}
	}
	return res
}
