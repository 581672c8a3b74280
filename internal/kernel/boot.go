package kernel

import (
	"errors"
	"strings"
	"time"

	"github.com/sysemu/sysemu/internal/loader"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// newBootTask makes init: process 1. It runs nothing; it adopts orphans, and
// is the caller where the kernel itself uses the file system.
func newBootTask(k *Kernel) *Task {
	p := &Process{k: k, pid: 1, sig: &sigHandlers{refs: 1}, dumpable: 1, started: k.clock.Shown()}
	t := &Task{k: k, p: p, tid: 1, cred: NewCred(0, 0, nil), comm: "init", fs: &fsInfo{umask: 0o22, refs: 1}, state: dead}
	s := &Session{id: 1, leader: p}
	k.init = p
	k.pids.procs[1] = p
	p.join(1, s)
	k.pids.last = 1
	return t
}

// limits are what programs start with: those of the program that embeds us,
// but for what would be that program's own limit too.
func (k *Kernel) limits() [16]unix.Rlimit {
	const inf = unix.RLIM_INFINITY
	l := k.hw.Limits()
	l[unix.RLIMIT_CPU] = unix.Rlimit{Cur: inf, Max: inf}
	l[unix.RLIMIT_NOFILE].Cur = min(l[unix.RLIMIT_NOFILE].Cur, maxFiles)
	l[unix.RLIMIT_NOFILE].Max = min(l[unix.RLIMIT_NOFILE].Max, maxFiles)
	n := uint64(k.cfg.PIDs)
	l[unix.RLIMIT_NPROC] = unix.Rlimit{Cur: min(n, l[unix.RLIMIT_NPROC].Cur), Max: min(n, l[unix.RLIMIT_NPROC].Max)}
	return l
}

// maxFiles is fs.nr_open.
const maxFiles = 1 << 20

// Start describes a program to be started.
type Start struct {
	Path     string // in the guest's tree
	Search   string // not "": the PATH in whose directories Path is looked for
	Args     []string
	Env      []string
	Dir      string // "" = /
	Files    []*vfs.File
	Cred     *Cred // nil = uid 0 with all capabilities
	Setsid   bool
	Terminal *tty.Console  // becomes the controlling terminal, and what is nil of Files 0 to 2
	Stopped  func(sig int) // told of stops, under the kernel lock; nil: nobody would continue the program, job control does not stop it
	Limits   map[int]unix.Rlimit
	Job      *Job                // nil = one without limits
	Prepare  func(t *Task) error // runs as the new task before exec; nil = nothing
}

// Program is a started program.
type Program struct {
	p    *Process
	k    *Kernel
	done chan struct{}
	err  error
	code int
	job  *Job
	use  usage
	jobs JobUsage
	at   time.Time
}

// Start starts a program as a child of init. It returns when exec has
// succeeded or failed; the error is then exec's.
func (k *Kernel) Start(s Start) (*Program, error) {
	k.mu.Lock()
	if k.closing {
		k.mu.Unlock()
		return nil, ErrClosed
	}
	tid, err := k.pids.alloc()
	if err != nil {
		k.mu.Unlock()
		return nil, err
	}
	c := k.cpus[0]
	cred := s.Cred
	if cred == nil {
		cred = NewCred(0, 0, nil)
	}
	t := &Task{k: k, cpu: c, tid: tid, cred: cred, comm: "sysemu", started: k.clock.Shown(), mm: mm.New(mm.Top), state: ready}
	job := s.Job
	if job == nil {
		job = k.NewJob(JobLimits{})
	}
	p := &Process{k: k, job: job, pid: tid, leader: t, threads: []*Task{t}, sig: &sigHandlers{refs: 1}, limits: k.init.limits,
		exitSignal: int(unix.SIGCHLD), started: t.started, dumpable: 1}
	for i, l := range s.Limits {
		p.limits[i] = l
	}
	t.p = p
	p.setParent(k.init)
	k.pids.tasks[tid], k.pids.procs[tid] = t, p
	p.join(tid, &Session{id: tid, leader: p})
	root := k.ns.Root()
	t.fs = &fsInfo{root: root, cwd: root.Ref(), umask: 0o22, refs: 1}
	t.files = vfs.NewFDTable()
	prog := &Program{p: p, k: k, job: job, done: make(chan struct{})}
	job.joined(t)
	started := make(chan error, 1)
	p.onStop = s.Stopped
	p.onExit = func() {
		prog.code, prog.use = p.exitCode, p.totalUsage()
		prog.use.add(p.childrenUsage)
		prog.jobs, prog.at = job.use(), time.Now()
		close(prog.done)
		select {
		case started <- ErrClosed: // it did not get as far as to say
		default:
		}
	}
	t.first = func() {
		err := t.begin(s)
		if err != nil {
			p.exitGroup(127 << 8)
		}
		started <- err
	}
	t.work = true
	c.ready.push(t)
	c.poke()
	k.mu.Unlock()
	if err := <-started; err != nil {
		<-prog.done
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.closing { // and so it was killed on its way
			err = ErrClosed
		}
		return nil, err
	}
	return prog, nil
}

// begin is what a started program's task does first.
func (t *Task) begin(s Start) error {
	for i, f := range s.Files {
		if f != nil {
			t.files.Set(t, f.Ref(), i, false)
		}
	}
	if s.Terminal != nil {
		if err := t.takeTerminal(s.Terminal); err != nil {
			return err
		}
	}
	if s.Dir != "" {
		p, err := vfs.Walk(t, t.atCwd(), s.Dir, vfs.Follow|vfs.Directory, 0)
		if err != nil {
			return &DirError{s.Dir, err}
		}
		t.fs.cwd.Unref()
		t.fs.cwd = p
	}
	if s.Prepare != nil {
		if err := s.Prepare(t); err != nil {
			return err
		}
	}
	budget := loader.NewArgBudget(t.p.limits[unix.RLIMIT_STACK].Cur)
	for _, list := range [][]string{{s.Path}, s.Args, s.Env} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return unix.EINVAL
			}
			if err := errors.Join(budget.Pointers(1), budget.String(len(v))); err != nil {
				return unix.E2BIG
			}
		}
	}
	th, err := t.cpu.hw.NewSpace()
	if err != nil {
		return err
	}
	t.th = th // exec replaces it
	name := s.Path
	if s.Search != "" {
		if name, err = t.search(s.Path, s.Search); err != nil {
			return err
		}
	}
	if t.k.observed() {
		t.observe(Event{Kind: TaskStarted})
	}
	if err := t.exec(t.atCwd(), name, name, false, vfs.Follow, s.Args, s.Env); err != nil {
		return err
	}
	if t.k.observed() {
		t.observe(Event{Kind: ProgramStarted, Path: name, Args: s.Args, Env: len(s.Env), EnvAddr: t.th.Regs().Rsp + t.wordSize()*uint64(len(s.Args)+2)})
	}
	return nil
}

// search looks for a program in the directories of a PATH, as a shell does.
func (t *Task) search(name, dirs string) (string, error) {
	result := error(unix.ENOENT)
	for _, dir := range strings.Split(dirs, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		a, err := vfs.Stat(t, t.atCwd(), file, vfs.Follow)
		if err != nil {
			continue
		}
		if !a.IsRegular() {
			continue
		}
		if err := vfs.Access(t, t.Cred(), t.atCwd(), file, vfs.MayExec, vfs.Follow); err != nil {
			result = err
			continue
		}
		return file, nil
	}
	return "", result
}

// Release gives back references to descriptions that were handed to Start.
func (k *Kernel) Release(files []*vfs.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range files {
		if f != nil {
			f.Unref(k.boot)
		}
	}
}

// DirError says that a program's working directory cannot be entered.
type DirError struct {
	Dir string
	Err error
}

func (e *DirError) Error() string { return "working directory " + e.Dir + ": " + e.Err.Error() }
func (e *DirError) Unwrap() error { return e.Err }

// PID is the program's process number inside.
func (g *Program) PID() int { return g.p.pid }

// Done is closed when the program has ended.
func (g *Program) Done() <-chan struct{} { return g.done }

// Wait waits for the end and returns the wait status.
func (g *Program) Wait() unix.WaitStatus {
	<-g.done
	return unix.WaitStatus(g.code)
}

// Usage is what the program and the children it waited for have used; after
// its end.
func (g *Program) Usage() unix.Rusage { return g.use.rusage() }

// JobUsage is what the program and all that it started had used when it ended.
func (g *Program) JobUsage() JobUsage { return g.jobs }

// Ended is when the program ended, by the host's clock.
func (g *Program) Ended() time.Time { return g.at }

// SignalGroup sends a signal to the program's process group.
func (g *Program) SignalGroup(sig int) {
	g.k.mu.Lock()
	defer g.k.mu.Unlock()
	if g.p.group != nil {
		g.k.sendGroup(g.p.group, kernelSignal(sig))
	}
}

// Signal sends a signal to the program; 0 asks only whether it is there. ESRCH
// when it has ended.
func (g *Program) Signal(sig int) error {
	if sig < 0 || sig > numSignals {
		return unix.EINVAL
	}
	g.k.mu.Lock()
	defer g.k.mu.Unlock()
	if g.p.zombie {
		return unix.ESRCH
	}
	if sig != 0 {
		g.k.sendProcess(g.p, sigInfo{Signo: int32(sig), Code: siUser})
	}
	return nil
}
