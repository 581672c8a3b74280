package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
)

type attachCmd struct {
	Answer  []answer `placeholder:"CALL=VALUE" sep:"none" help:"Answer a system call with VALUE; the host does not see it. May be repeated, as may --fail."`
	Fail    []fail   `placeholder:"CALL=ERRNO" sep:"none" help:"Fail a system call with ERRNO, such as unlink=EPERM; the host does not see it."`
	Log     bool     `help:"Print each call and its result to standard error."`
	Count   bool     `help:"At the end, list the calls that were made, with counts."`
	Step    bool     `help:"Execute one instruction after the other. With --count, count them."`
	Sysemu  int      `name:"sysemu" enum:"0,1,2" default:"0" placeholder:"0|1|2" help:"How the host is kept from calls that are answered: 0, by PTRACE_SYSCALL and a nullified call; 1, by PTRACE_SYSEMU; 2, also by PTRACE_SYSEMU_SINGLESTEP."`
	Off     bool     `help:"Begin with emulation off: the program runs without stops until SIGUSR1, or \"on\" in the control file."`
	Control string   `placeholder:"FILE" type:"path" help:"Make FILE, which shows the number that --sysemu sets. Writing 0, 1 or 2 to it changes that, off and on turn emulation off and on."`

	Target []string `arg:"" passthrough:"" name:"pid-or-program" help:"The process to attach to, or the program to start and its arguments, after --."`
}

// Help is kong's: what follows the flags.
func (*attachCmd) Help() string {
	return `Puts itself before the system calls of an ordinary process: some it answers, the host runs all others.
All threads are followed, and all that is started from there. SIGUSR1 turns emulation on, SIGUSR2 off.
Attached to a process, sysemu lets go of it at ^C or SIGTERM, and it runs on as if nothing had been; so it does should
sysemu be killed. A program that is started is sent the other signals that sysemu gets, and sysemu ends with it, with its
exit status, as a shell gives it; what it has left running runs on.`
}

// callName is the name of a system call that there is.
func callName(s string) (string, error) {
	if abi.ByName(s) == nil {
		return "", fmt.Errorf("there is no system call %q", s)
	}
	return s, nil
}

// answer is one --answer.
type answer struct {
	call  string
	value uint64
}

func (a *answer) UnmarshalText(text []byte) (err error) {
	call, value, ok := strings.Cut(string(text), "=")
	if !ok {
		return fmt.Errorf("%q is not of the form CALL=VALUE", text)
	}
	if a.call, err = callName(call); err != nil {
		return err
	}
	if v, err := strconv.ParseInt(value, 0, 64); err == nil {
		a.value = uint64(v)
	} else if a.value, err = strconv.ParseUint(value, 0, 64); err != nil {
		return fmt.Errorf("%q is not a number", value)
	}
	return nil
}

// fail is one --fail.
type fail struct {
	call  string
	errno unix.Errno
}

func (f *fail) UnmarshalText(text []byte) (err error) {
	call, name, ok := strings.Cut(string(text), "=")
	if !ok {
		return fmt.Errorf("%q is not of the form CALL=ERRNO", text)
	}
	if f.call, err = callName(call); err != nil {
		return err
	}
	for e := unix.Errno(1); e < 4096; e++ {
		if unix.ErrnoName(e) == name {
			f.errno = e
			return nil
		}
	}
	return fmt.Errorf("there is no error %q", name)
}

// tally counts calls by name.
type tally struct {
	mu    sync.Mutex
	calls map[string]int
	steps atomic.Int64
}

func (t *tally) layer(next sysemu.Handler) sysemu.Handler {
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
		t.mu.Lock()
		t.calls[c.Name()]++
		t.mu.Unlock()
		return next.ServeCall(c)
	})
}

func (t *tally) print(w io.Writer, steps bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	byCount := func(a, b string) int { return cmp.Or(t.calls[b]-t.calls[a], strings.Compare(a, b)) }
	for _, name := range slices.SortedFunc(maps.Keys(t.calls), byCount) {
		fmt.Fprintf(w, "%8d %s\n", t.calls[name], name)
	}
	if steps {
		fmt.Fprintf(w, "%8d instructions\n", t.steps.Load())
	}
}

// logged prints calls when they are done.
func logged(w io.Writer) sysemu.Middleware {
	return func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			text := c.String()
			if c.Name() == "exit" || c.Name() == "exit_group" { // they do not come back
				fmt.Fprintf(w, "%d %s\n", c.TID(), text)
				return next.ServeCall(c)
			}
			v, err := next.ServeCall(c)
			var errno unix.Errno
			switch {
			case errors.As(err, &errno):
				fmt.Fprintf(w, "%d %s = -1 %s\n", c.TID(), text, unix.ErrnoName(errno))
			case err != nil: // it has no result
			case v < 1<<31:
				fmt.Fprintf(w, "%d %s = %d\n", c.TID(), text, v)
			default:
				fmt.Fprintf(w, "%d %s = %#x\n", c.TID(), text, v)
			}
			return v, err
		})
	}
}

// options makes the flags options; the tally is filled while the program runs.
func (a *attachCmd) options(std streams, count *tally) []sysemu.Option {
	opts := []sysemu.Option{sysemu.WithMode(sysemu.Mode(a.Sysemu))}
	if a.Off {
		opts = append(opts, sysemu.WithEmulationOff())
	}
	use := func(mw sysemu.Middleware) { opts = append(opts, sysemu.WithMiddleware(mw)) }
	if a.Log {
		use(logged(std.err))
	}
	if a.Count {
		use(count.layer)
	}
	reply := func(call string, v uint64, err error) {
		use(sysemu.Only(func(sysemu.Handler) sysemu.Handler {
			return sysemu.HandlerFunc(func(*sysemu.Call) (uint64, error) { return v, err })
		}, call))
	}
	for _, x := range a.Answer {
		reply(x.call, x.value, nil)
	}
	for _, x := range a.Fail {
		reply(x.call, 0, x.errno)
	}
	return opts
}

// Run is kong's entry.
func (a *attachCmd) Run(std streams) error {
	pid, program, err := a.target()
	if err != nil {
		return err
	}
	w := asWorker()
	signals, stop := follow(std, program != nil && w == nil)
	defer stop()
	if w == nil {
		return supervise(std, signals)
	}
	w.ready()
	count := &tally{calls: make(map[string]int)}
	var n *sysemu.Native
	if program != nil {
		cmd := exec.Command(program[0], program[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.err
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: w.parentGroup} // the terminal's, maybe
		if n, err = sysemu.StartNative(cmd, a.options(std, count)...); err != nil {
			return nativeError(program[0], err)
		}
	} else if n, err = sysemu.Attach(pid, a.options(std, count)...); err != nil {
		return err
	}
	defer n.Close()
	w.watch(func() { n.Close() })
	if a.Step {
		n.Step(func(sysemu.Step) { count.steps.Add(1) })
	}
	var control *controlFile
	if a.Control != "" {
		if control, err = newControlFile(a.Control, n); err != nil {
			return usageError{fmt.Errorf("--control: %w", err)}
		}
		defer control.close()
	}
	if program == nil {
		fmt.Fprintf(std.err, "sysemu: attached to %d\n", pid)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				a.signal(n, program != nil, sig, control)
			case <-done:
				return
			}
		}
	}()
	ws, err := n.Wait()
	if a.Count {
		count.print(std.err, a.Step)
	}
	switch {
	case errors.Is(err, sysemu.ErrDetached), err == nil && program == nil:
		return nil
	case err != nil:
		return err
	}
	if s := status(ws); s != 0 {
		return exitStatus(s)
	}
	return nil
}

// signal is what a signal to sysemu does.
func (a *attachCmd) signal(n *sysemu.Native, started bool, sig os.Signal, control *controlFile) {
	switch {
	case sig == unix.SIGUSR1, sig == unix.SIGUSR2:
		n.Enable(sig == unix.SIGUSR1)
		if control != nil {
			control.show()
		}
	case started:
		unix.Kill(n.Pid(), sig.(unix.Signal))
	default:
		n.Close()
	}
}

// target is a process, or a program to be started.
func (a *attachCmd) target() (pid int, program []string, err error) {
	p := a.Target
	if p[0] == "--" {
		p = p[1:]
		if len(p) == 0 || p[0] == "" {
			return 0, nil, usageError{errors.New("no program to run")}
		}
		return 0, p, nil
	}
	if strings.HasPrefix(p[0], "-") {
		return 0, nil, usageError{fmt.Errorf("unknown flag %s", p[0])}
	}
	pid, err = strconv.Atoi(p[0])
	switch {
	case err != nil || pid <= 0:
		return 0, nil, usageError{fmt.Errorf("%q is not a process's number; a program is named after --", p[0])}
	case len(p) > 1:
		return 0, nil, usageError{fmt.Errorf("%q after the process's number: flags go before it", p[1])}
	}
	return pid, nil, nil
}

// nativeError gives a program that could not be started the status a shell gives it.
func nativeError(name string, err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return failure{fmt.Errorf("%s: no such program", name), statusNotFound}
	case errors.Is(err, unix.ENOENT):
		return failure{plain(err), statusNotFound}
	case errors.As(err, &errno):
		return failure{plain(err), statusCannotRun}
	}
	return err
}
