package sysemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sysemu/sysemu/internal/fs/iofs"
	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Cmd is a program to be run in a machine, as os/exec.Cmd is one to be run on
// the host. It cannot be used again after Start.
type Cmd struct {
	// Path is looked for in the machine's tree; without a slash in the
	// directories of Env's PATH.
	Path string
	// Args are the arguments, the name first. Empty is {Path}.
	Args []string
	// Env has the environment; nil is that of this process.
	Env []string
	// Dir is the working directory inside; "" is "/".
	Dir string

	// Stdin, Stdout and Stderr are the standard streams. nil is /dev/null. An
	// *os.File is used as it is; for anything else there is a pipe and a
	// goroutine that copies.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	// ExtraFiles are further open files: entry i is descriptor 3+i inside. Where
	// an entry is nil, the descriptor is not open.
	ExtraFiles []*os.File

	// Tty gives the program a terminal of the machine's own in place of those
	// streams that are the terminal of this process; it is also the program's
	// controlling terminal. See terminal.go for what that means to this
	// process. Without it, or where no stream is a terminal, the program has
	// no controlling terminal, and terminals among its streams are to it
	// files of which it cannot tell more.
	Tty bool

	// Limits bound the run. What is 0 is as WithLimits has it.
	Limits Limits

	// Cancel is called, unless nil, when the context that CommandContext was given
	// ends before the program does; CommandContext sets it to kill the program. If
	// Cancel returns nil, Wait's error is, or wraps, that of the context, unless
	// the program exited in time; os.ErrProcessDone changes nothing; any other
	// error is Wait's, where the program has not failed itself.
	Cancel func() error
	// WaitDelay, unless 0, is how long after the end of the context the program
	// may go on, in real time, before it is killed whatever Cancel has done.
	// Programs left behind that hold a pipe open have no part in it: Wait does
	// not wait for those.
	WaitDelay time.Duration

	// Process is set by Start, ProcessState by Wait.
	Process      *Process
	ProcessState *ProcessState

	m      *Machine
	ctx    context.Context
	ours   []io.Closer  // ends of StdinPipe, StdoutPipe and StderrPipe
	pipes  []*iofs.File // whose other end a goroutine of ours has
	given  []*iofs.File // the caller's files
	close  []io.Closer  // our ends that the program has now
	tty    *terminal    // nil: none
	run    run
	copies sync.WaitGroup
	mu     sync.Mutex
	copied error         // the first error of copying
	waited bool          // Wait was called
	watch  chan struct{} // closed when nobody looks at ctx any more
	cause  error         // what the end of ctx has led to; valid when watch is closed
}

// Command returns a Cmd for name with args.
func (m *Machine) Command(name string, args ...string) *Cmd {
	return &Cmd{Path: name, Args: append([]string{name}, args...), m: m}
}

// CommandContext is Command whose program is killed when ctx, which must not be
// nil, ends first: see Cancel and WaitDelay of [Cmd].
func (m *Machine) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	if ctx == nil {
		panic("sysemu: nil Context")
	}
	c := m.Command(name, args...)
	c.ctx = ctx
	c.Cancel = func() error { return c.Process.Kill() }
	return c
}

// Process is a running program.
type Process struct {
	// Pid is the process's number inside the machine.
	Pid  int
	prog *kernel.Program
}

// Signal sends a signal, kill(2). It fails with os.ErrProcessDone when the
// program has ended.
func (p *Process) Signal(sig os.Signal) error {
	s, ok := sig.(unix.Signal)
	if !ok {
		return fmt.Errorf("sysemu: signal %v has no number", sig)
	}
	err := p.prog.Signal(int(s))
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

// Kill ends the program.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// ProcessState is how a program ended and what it used.
type ProcessState struct {
	pid   int
	ws    unix.WaitStatus
	usage unix.Rusage
	limit Limit
}

// Pid is the number the process had.
func (s *ProcessState) Pid() int { return s.pid }

// Exited reports whether the program exited of itself.
func (s *ProcessState) Exited() bool { return s.ws.Exited() }

// Success reports whether it exited with status 0.
func (s *ProcessState) Success() bool { return s.ws.Exited() && s.ws.ExitStatus() == 0 }

// ExitCode is the exit status, or -1 if a signal ended the program.
func (s *ProcessState) ExitCode() int { return s.ws.ExitStatus() }

// Sys is the wait status, wait4(2).
func (s *ProcessState) Sys() unix.WaitStatus { return s.ws }

// SysUsage is what the program and the children that it waited for have used.
func (s *ProcessState) SysUsage() *unix.Rusage { return &s.usage }

// UserTime and SystemTime are CPU times.
func (s *ProcessState) UserTime() time.Duration   { return time.Duration(s.usage.Utime.Nano()) }
func (s *ProcessState) SystemTime() time.Duration { return time.Duration(s.usage.Stime.Nano()) }

// Limit is the limit that ended the run, NoLimit if there was none: see [Result].
func (s *ProcessState) Limit() Limit { return s.limit }

func (s *ProcessState) String() string {
	if s.limit != NoLimit {
		return s.how() + " (limit: " + s.limit.String() + ")"
	}
	return s.how()
}

// how is how the program ended, whatever the reason.
func (s *ProcessState) how() string {
	switch {
	case s.ws.Exited():
		return fmt.Sprintf("exit status %d", s.ws.ExitStatus())
	case s.ws.CoreDump():
		return "signal: " + s.ws.Signal().String() + " (core dumped)"
	}
	return "signal: " + s.ws.Signal().String()
}

// ExitError says that a program ended otherwise than with status 0.
type ExitError struct {
	*ProcessState
	// Stderr has the end of standard error if Output collected it.
	Stderr []byte

	cause error
}

func (e *ExitError) Error() string { return e.ProcessState.String() }

// Unwrap gives the error of the context that ended before the program, or of
// Cancel; nil if there is none.
func (e *ExitError) Unwrap() error { return e.cause }

// Error says that a program could not be started. Unwrap gives the errno of
// execve(2).
type Error struct {
	Name string
	Err  error
}

func (e *Error) Error() string { return e.Name + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Start starts the program and does not wait for it.
func (c *Cmd) Start() error {
	if c.Process != nil {
		return errors.New("sysemu: already started")
	}
	defer func() {
		if c.Process == nil {
			c.closeOurs()
		}
	}()
	if c.Cancel != nil && c.ctx == nil {
		return errors.New("sysemu: command with a non-nil Cancel was not created with CommandContext")
	}
	if c.ctx != nil && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	s := kernel.Start{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Cred: c.m.cred()}
	if len(s.Args) == 0 {
		s.Args = []string{c.Path}
	}
	if s.Env == nil {
		s.Env = os.Environ()
	}
	if !strings.Contains(c.Path, "/") {
		s.Search = defaultPath
		for _, e := range s.Env {
			if v, ok := strings.CutPrefix(e, "PATH="); ok {
				s.Search = v
			}
		}
	}
	if err := c.begin(&s); err != nil {
		return err
	}
	files, err := c.streams()
	if err == nil && !c.m.keep(append(c.pipes, c.given...)) {
		err = ErrClosed
	}
	if err != nil {
		c.release(files)
		c.closeAll()
		return err
	}
	s.Files = files
	if c.tty != nil {
		if err := c.tty.prepare(c.m.k, &s); err != nil {
			c.release(files)
			c.closeAll()
			return err
		}
		c.m.keepTerminal(c.tty)
	}
	prog, err := c.m.k.Start(s)
	c.release(files)
	if err == ErrClosed {
		c.closeAll()
		return err
	}
	if err != nil {
		c.closeAll()
		return &Error{c.Path, err}
	}
	for _, cl := range c.close {
		cl.Close()
	}
	c.close = nil
	// Who reads what programs write to one of these sees its end when the last
	// of them has closed it.
	c.m.k.Lock()
	for _, f := range c.given {
		f.Leave()
	}
	c.m.k.Unlock()
	c.given = nil
	c.Process = &Process{Pid: prog.PID(), prog: prog}
	if c.tty != nil {
		c.tty.start(prog)
	}
	c.run.started()
	if c.ctx != nil {
		c.watchContext()
	}
	return nil
}

// keep notes files that Close is to end, and forgets those that are closed
// already. It reports whether the machine is open.
func (m *Machine) keep(files []*iofs.File) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.k.Lock()
	m.files = slices.DeleteFunc(m.files, (*iofs.File).Closed)
	m.k.Unlock()
	m.files = append(m.files, files...)
	return true
}

// keepTerminal notes a terminal that Close is to wait for. A machine that is
// closed starts nothing.
func (m *Machine) keepTerminal(t *terminal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.terminals = append(slices.DeleteFunc(m.terminals, (*terminal).ended), t)
}

// cred is who programs run as.
func (m *Machine) cred() *kernel.Cred {
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	var groups []uint32
	if o := &m.opts; o.uid != nil {
		uid, gid = *o.uid, *o.gid
	} else if g, err := os.Getgroups(); err == nil {
		for _, id := range g {
			groups = append(groups, uint32(id))
		}
	}
	return kernel.NewCred(uid, gid, groups)
}

// streams makes the standard streams open files of the machine.
func (c *Cmd) streams() ([]*vfs.File, error) {
	var files []*vfs.File
	if c.Tty {
		c.tty = findTerminal(c.Stdin, c.Stdout, c.Stderr)
	}
	open := map[*os.File]*vfs.File{}
	share := func(f *os.File, pipe, output bool) error {
		if g := open[f]; g != nil {
			c.m.k.Lock()
			files = append(files, g.Ref())
			c.m.k.Unlock()
			return nil
		}
		h, err := iofs.New(f, locker{c.m.k})
		if err != nil {
			return err
		}
		if output {
			h.Meter = c.run.job.WriteOutput
		}
		if pipe {
			c.pipes = append(c.pipes, h)
		} else {
			c.given = append(c.given, h)
		}
		c.m.k.Lock()
		g := h.Description()
		c.m.k.AddSource(h)
		c.m.k.Unlock()
		open[f] = g
		files = append(files, g)
		return nil
	}
	add := func(f *os.File, pipe bool) error {
		if c.tty.is(f) {
			files = append(files, nil)
			return nil
		}
		return share(f, pipe, true)
	}
	null := func(flag int) error {
		f, err := os.OpenFile(os.DevNull, flag, 0)
		if err != nil {
			return err
		}
		c.close = append(c.close, f)
		return add(f, false)
	}
	var err error
	switch in := c.Stdin.(type) {
	case nil:
		err = null(os.O_RDONLY)
	case *os.File:
		err = add(in, false)
	default:
		var r, w *os.File
		if r, w, err = os.Pipe(); err == nil {
			c.close = append(c.close, r)
			// Not waited for: the program may end without reading all.
			go func() {
				io.Copy(w, in)
				w.Close()
			}()
			err = add(r, true)
		}
	}
	out := func(w io.Writer) error {
		switch w := w.(type) {
		case nil:
			return null(os.O_WRONLY)
		case *os.File:
			return add(w, false)
		}
		r, pw, err := os.Pipe()
		if err != nil {
			return err
		}
		c.close = append(c.close, pw)
		c.copies.Add(1)
		go func() {
			defer c.copies.Done()
			defer r.Close()
			if _, err := io.Copy(w, r); err != nil {
				c.mu.Lock()
				if c.copied == nil {
					c.copied = err
				}
				c.mu.Unlock()
			}
		}()
		return add(pw, true)
	}
	if err == nil {
		err = out(c.Stdout)
	}
	if err == nil {
		if same(c.Stdout, c.Stderr) && files[1] != nil {
			c.m.k.Lock()
			files = append(files, files[1].Ref())
			c.m.k.Unlock()
		} else {
			err = out(c.Stderr)
		}
	}
	for _, f := range c.ExtraFiles {
		if err != nil {
			break
		}
		if f == nil {
			files = append(files, nil)
		} else {
			err = share(f, false, false)
		}
	}
	return files, err
}

// same reports whether two writers are one, if that can be told.
func same(a, b io.Writer) (eq bool) {
	defer func() { recover() }()
	return a != nil && a == b
}

type locker struct{ k *kernel.Kernel }

func (l locker) Lock()   { l.k.Lock() }
func (l locker) Unlock() { l.k.Unlock() }

// release gives back the descriptions that the program has references of.
func (c *Cmd) release(files []*vfs.File) { c.m.k.Release(files) }

func (c *Cmd) closeAll() {
	for _, cl := range c.close {
		cl.Close()
	}
	c.close = nil
	for _, f := range append(c.pipes, c.given...) {
		f.Close()
	}
	c.pipes, c.given = nil, nil
	c.copies.Wait()
	if c.tty != nil {
		c.tty.abandon()
	}
}

// Wait waits for the program to end, and for its output to be copied. The
// error is an *ExitError unless it exited with status 0.
//
// Programs that it left running in the machine go on; their output no longer
// reaches a Stdout or Stderr that is not an *os.File.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return errors.New("sysemu: not started")
	}
	if c.waited {
		return errors.New("sysemu: Wait was already called")
	}
	c.waited = true
	ws := c.Process.prog.Wait()
	if c.tty != nil {
		<-c.tty.done
	}
	c.run.ended(c.Process.prog, ws)
	c.ProcessState = &ProcessState{c.Process.Pid, ws, c.Process.prog.Usage(), c.run.result.Limit}
	for _, f := range c.pipes {
		f.Close()
	}
	c.pipes = nil
	c.copies.Wait()
	c.closeOurs()
	if c.watch != nil {
		<-c.watch
	}
	if !c.ProcessState.Success() {
		return &ExitError{ProcessState: c.ProcessState, cause: c.cause}
	}
	if c.cause != nil {
		return c.cause
	}
	return c.copied
}

// Run is Start and Wait.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("sysemu: Stdout already set")
	}
	var out, errs bytes.Buffer
	c.Stdout = &out
	collect := c.Stderr == nil
	if collect {
		c.Stderr = &errs
	}
	err := c.Run()
	var e *ExitError
	if collect && errors.As(err, &e) {
		e.Stderr = errs.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it wrote to standard output
// and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("sysemu: Stdout or Stderr already set")
	}
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}
