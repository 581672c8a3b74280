package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/ptrace"
)

type runCmd struct {
	Root        string        `placeholder:"DIR" type:"path" help:"Directory of the host to be the machine's /, below a layer in memory (default: the host's own /)."`
	Bind        []bind        `placeholder:"SRC:DST[:ro]" sep:"none" help:"Show a file or directory of the host at DST. Writes reach the host, unless ro."`
	Tmpfs       []string      `placeholder:"DST" sep:"none" help:"Mount an empty file system in memory at DST."`
	Cwd         string        `placeholder:"DIR" help:"Directory to start in (default: the current one, or / with --root or --image)."`
	Env         []string      `placeholder:"K=V" sep:"none" help:"Add to the environment, which is otherwise that of sysemu."`
	Hostname    string        `placeholder:"NAME" help:"What the machine is called."`
	User        *user         `placeholder:"UID[:GID]" help:"Run as that user and group (default: the current ones)."`
	CPUs        int           `name:"cpus" placeholder:"N" help:"Virtual CPUs (default: as many as sysemu may use)."`
	Memory      size          `placeholder:"SIZE" help:"Limit the memory of all programs together; K, M, G and T are powers of 1024."`
	PIDs        int           `name:"pids" placeholder:"N" help:"Limit how many processes and threads there may be at once."`
	Time        time.Duration `placeholder:"DURATION" help:"Kill the program after that long, such as 90s."`
	PtraceRule  string        `enum:"series,linux" default:"series" placeholder:"RULE" help:"What PTRACE_SYSEMU means to programs inside: series, a skipped call is never reported again, or linux, as Linux does today."`
	NoSysemu    bool          `name:"nosysemu" help:"Do without PTRACE_SYSEMU: stop calls by PTRACE_SYSCALL and take their numbers away. Programs can read and change this at /proc/sysemu."`
	limitFlags  `embed:""`
	Unsupported bool `help:"At the end, list the system calls that the kernel does not have and that were made, with counts."`

	timeFlags
	fileFlags   `embed:""`
	policyFlags `embed:""`
	faultFlags  `embed:""`

	Program []string `arg:"" optional:"" passthrough:"" name:"program" help:"The program and its arguments, best after --."`
}

// bind is one --bind.
type bind struct {
	src, dst string
	readOnly bool
}

func (b *bind) UnmarshalText(text []byte) error {
	s := string(text)
	s, b.readOnly = strings.CutSuffix(s, ":ro")
	if !b.readOnly {
		s = strings.TrimSuffix(s, ":rw")
	}
	var ok bool
	if b.src, b.dst, ok = strings.Cut(s, ":"); !ok || b.src == "" || b.dst == "" {
		return fmt.Errorf("%q is not of the form SRC:DST[:ro]", text)
	}
	if !strings.HasPrefix(b.dst, "/") {
		return fmt.Errorf("the directory inside, %q, does not begin with /", b.dst)
	}
	return nil
}

// user is the one of --user.
type user struct{ uid, gid uint32 }

func (u *user) UnmarshalText(text []byte) error {
	uid, gid, both := strings.Cut(string(text), ":")
	if !both {
		gid = uid
	}
	for _, p := range []struct {
		s  string
		id *uint32
	}{{uid, &u.uid}, {gid, &u.gid}} {
		n, err := strconv.ParseUint(p.s, 10, 32)
		if err != nil || uint32(n) == ^uint32(0) { // -1 means "leave as it is" in the calls that set users
			return fmt.Errorf("%q is not of the form UID[:GID], in numbers", text)
		}
		*p.id = uint32(n)
	}
	return nil
}

// size is a number of bytes.
type size uint64

func (s *size) UnmarshalText(text []byte) error {
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(string(text)), "B"), "I")
	shift := 0
	if n := len(digits); n > 0 {
		if i := strings.IndexByte("KMGT", digits[n-1]); i >= 0 {
			digits, shift = digits[:n-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || n > ^uint64(0)>>1>>shift {
		return fmt.Errorf("%q is not a size such as 512M", text)
	}
	*s = size(n << shift)
	return nil
}

// options makes the machine's options of the flags.
func (r *runCmd) options() ([]sysemu.Option, error) {
	var opts []sysemu.Option
	if r.Root != "" && r.Image != "" {
		return nil, usageError{errors.New("--root and --image exclude each other")}
	}
	if r.Root != "" {
		if err := isDirectory(r.Root); err != nil {
			return nil, usageError{fmt.Errorf("--root: %w", err)}
		}
		opts = append(opts, sysemu.WithRoot(r.Root))
	}
	for _, b := range r.Bind {
		if _, err := os.Stat(b.src); err != nil {
			return nil, usageError{fmt.Errorf("--bind: %w", plain(err))}
		}
		opts = append(opts, sysemu.WithBind(b.src, b.dst, b.readOnly))
	}
	for _, dst := range r.Tmpfs {
		if !strings.HasPrefix(dst, "/") {
			return nil, usageError{fmt.Errorf("--tmpfs: %q does not begin with /", dst)}
		}
		opts = append(opts, sysemu.WithTmpfs(dst))
	}
	for _, kv := range r.Env {
		if k, _, ok := strings.Cut(kv, "="); !ok || k == "" {
			return nil, usageError{fmt.Errorf("--env: %q is not of the form K=V", kv)}
		}
	}
	for _, n := range []struct {
		flag  string
		value int
		set   func(int) sysemu.Option
	}{{"--cpus", r.CPUs, sysemu.WithCPUs}, {"--pids", r.PIDs, sysemu.WithPIDs}} {
		if n.value < 0 {
			return nil, usageError{fmt.Errorf("%s: %d is less than 1", n.flag, n.value)}
		}
		if n.value > 0 {
			opts = append(opts, n.set(n.value))
		}
	}
	if r.Time < 0 {
		return nil, usageError{fmt.Errorf("--time: %v is negative", r.Time)}
	}
	if r.Hostname != "" {
		opts = append(opts, sysemu.WithHostname(r.Hostname))
	}
	if r.Memory > 0 {
		opts = append(opts, sysemu.WithMemory(uint64(r.Memory)))
	}
	if r.PtraceRule == "linux" {
		opts = append(opts, sysemu.WithPtraceRule(ptrace.LinuxRule))
	}
	if r.NoSysemu {
		opts = append(opts, sysemu.WithMode(sysemu.ModeNullify))
	}
	if r.User != nil {
		opts = append(opts, sysemu.WithUser(r.User.uid, r.User.gid))
	}
	opts = append(opts, r.timeFlags.options()...)
	archives, err := r.openArchives(r.User != nil)
	return append(opts, archives...), err
}

func isDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return plain(err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}

// plain takes the name of the call out of an error of package os.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// directory is where the program starts.
func (r *runCmd) directory() (string, error) {
	if r.Cwd != "" || r.Root != "" {
		return r.Cwd, nil
	}
	if r.Image != "" {
		return r.config.WorkingDir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("the current directory: %w", err)
	}
	return dir, nil
}

// environ is the program's environment.
func (r *runCmd) environ() []string { return slices.Concat(os.Environ(), r.config.Env, r.Env) }

// program is what to run. The parser hands on all that follows the flags it knows.
func (r *runCmd) program() ([]string, error) {
	p := r.Program
	if len(p) == 0 {
		if p = slices.Concat(r.config.Entrypoint, r.config.Cmd); len(p) > 0 {
			return p, nil
		}
		return nil, usageError{errors.New("no program to run")}
	}
	if p[0] == "--" {
		p = p[1:]
	} else if strings.HasPrefix(p[0], "-") {
		return nil, usageError{fmt.Errorf("unknown flag %s", p[0])}
	}
	if len(p) == 0 || p[0] == "" {
		return nil, usageError{errors.New("no program to run")}
	}
	return p, nil
}

// forwarded are the signals to sysemu that the program gets in its place: it is in a session of its own and would not
// hear of them otherwise.
var forwarded = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM}

// Run is kong's entry.
func (r *runCmd) Run(std streams) error { return dieIfInterrupted(r.run(std)) }

// run runs the program in a machine that has more options than the flags say.
func (r *runCmd) run(std streams, more ...sysemu.Option) error {
	defer r.closeArchives() // the machine is closed before that
	opts, err := r.options()
	if err != nil {
		return err
	}
	limits, err := r.limits()
	if err != nil {
		return err
	}
	faults, err := r.faultOptions(r.Clock != nil)
	if err != nil {
		return err
	}
	opts = append(append(opts, sysemu.WithLimits(limits)), more...)
	rules, err := r.policyOptions(std)
	if err != nil {
		return err
	}
	opts = append(opts, rules...)
	opts = append(opts, faults...) // behind a trace, which shows what the program sees
	program, err := r.program()
	if err != nil {
		return err
	}
	dir, err := r.directory()
	if err != nil {
		return err
	}
	if err := r.makeOutputs(); err != nil {
		return err
	}
	defer r.closeOutputs()
	// A reader of our output that has gone is told to the program, which has the last word on it.
	signal.Ignore(unix.SIGPIPE)
	signals := make(chan os.Signal, 16)
	for _, sig := range forwarded {
		// Terminals hand on their own keys; what nohup had us ignore stays so.
		if key := sig == unix.SIGINT || sig == unix.SIGQUIT; !signal.Ignored(sig) && !(key && std.terminal()) {
			signal.Notify(signals, sig)
		}
	}
	defer signal.Stop(signals)

	m, err := sysemu.New(opts...)
	if err != nil {
		return err
	}
	defer m.Close()
	ctx := context.Background()
	if r.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Time)
		defer cancel()
	}
	cmd := m.CommandContext(ctx, program[0], program[1:]...)
	cmd.Env = r.environ()
	cmd.Dir = dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.err
	cmd.Tty = true
	if err := cmd.Start(); err != nil {
		return startError(err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				cmd.Process.Signal(sig) // it may have ended: nothing to tell then
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	if ctx.Err() != nil {
		fmt.Fprintf(std.err, "sysemu: %s: not done after %v, killed\n", program[0], r.Time)
	}
	r.reportFaults(std)
	if r.Unsupported {
		listUnsupported(std, m.Unsupported())
	}
	if state := cmd.ProcessState; state != nil {
		if err := errors.Join(r.report(std, program[0], cmd.Result()), r.writeLearnt(program), r.writeChanges(std, m)); err != nil {
			return err
		}
		if state.Sys().Signal() == unix.SIGINT && std.terminal() {
			return errInterrupted
		}
		if s := status(state.Sys()); s != 0 {
			return exitStatus(s)
		}
		return nil
	}
	return err
}

// errInterrupted is run's for a program that ^C has ended.
var errInterrupted = errors.New("interrupted")

func dieIfInterrupted(err error) error {
	if err != errInterrupted {
		return err
	}
	dieOfInterrupt()
	return exitStatus(statusSignal + int(unix.SIGINT))
}

// dieOfInterrupt ends sysemu by SIGINT, when the program ended so: a shell that
// runs a list of commands goes on after one that has only exited.
func dieOfInterrupt() {
	signal.Reset(unix.SIGINT)
	unix.Kill(unix.Getpid(), unix.SIGINT)
	time.Sleep(time.Second) // to die in
}

// startError gives a program that could not be started the status a shell gives it.
func startError(err error) error {
	var e *sysemu.Error
	switch {
	case !errors.As(err, &e):
		return err
	case errors.Is(e.Err, unix.ENOENT):
		return failure{err, statusNotFound}
	}
	return failure{err, statusCannotRun}
}

// status is a wait status as a shell shows it.
func status(ws unix.WaitStatus) int {
	if ws.Signaled() {
		return statusSignal + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func listUnsupported(std streams, calls map[string]int) {
	if len(calls) == 0 {
		fmt.Fprintln(std.err, "sysemu: every system call made is supported")
		return
	}
	fmt.Fprintln(std.err, "sysemu: system calls that are not supported:")
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		fmt.Fprintf(std.err, "%8d %s\n", calls[name], name)
	}
}
