package kernel

import (
	"errors"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// EventKind says what an Event tells of.
type EventKind uint8

const (
	TaskStarted     EventKind = iota // Other: the thread that made it, 0 for a program that was started from outside
	TaskExited                       // Status
	TaskBlocked                      // sleeps in the kernel
	TaskWoken                        // may run again; Other: the thread that woke it, 0 if none did
	TaskResumed                      // runs again in the kernel
	TaskStopped                      // Status
	ProgramStarted                   // Path, Args, Env, EnvAddr: exec of a program that was started from outside
	TaskExec                         // has become another program: Comm
	SignalDelivered                  // Signal
	SignalIgnored                    // Signal: it was sent and has no effect
)

// Event is something that happened to a task besides a system call.
type Event struct {
	Kind     EventKind
	Time     int64 // CLOCK_MONOTONIC, ns
	Realtime int64 // CLOCK_REALTIME, ns
	PID, TID int
	Other    int
	Comm     string
	Path     string
	Args     []string
	Env      int // how many variables
	EnvAddr  uint64
	Status   unix.WaitStatus
	Signal   *abi.Siginfo
}

// observe tells the observer of an event. Callers have looked whether there is
// one: without it nothing is paid.
func (t *Task) observe(e Event) {
	e.Time, e.Realtime, e.PID, e.TID, e.Comm = t.k.clock.Shown(), t.k.clock.Realtime(), t.p.pid, t.tid, t.comm
	t.k.cfg.Observe(&e)
}

// observed reports whether there is an observer.
func (k *Kernel) observed() bool { return k.cfg.Observe != nil }

// nowServing notes whose kernel code runs from here on, nil: nobody's, so that
// a wake-up can be told of with who did it.
func (k *Kernel) nowServing(t *Task) {
	if k.observed() {
		k.serving = t
	}
}

func (t *Task) observeWakeup() {
	by := 0
	if s := t.k.serving; s != nil && s != t {
		by = s.tid
	}
	t.observe(Event{Kind: TaskWoken, Other: by})
}

// observeSignal tells of a signal to t.
func (t *Task) observeSignal(kind EventKind, i *sigInfo) {
	var s abi.Siginfo
	copy(abi.Bytes(&s), asBytes(i))
	t.observe(Event{Kind: kind, Signal: &s})
}

// observeIgnored tells of a signal that has no effect; t nil: on any thread.
func (p *Process) observeIgnored(t *Task, i *sigInfo) {
	if t == nil && len(p.threads) > 0 {
		t = p.threads[0]
	}
	if t != nil && !p.zombie && !p.groupExit {
		t.observeSignal(SignalIgnored, i)
	}
}

// Killed reports whether the calling thread is on its end: the program never
// sees the call's result.
func (c *Call) Killed() bool { return c.Task.dying || c.Task.exited }

// ErrnoOf is the number of a call's error as a tracer sees it: ERESTARTSYS and
// its kin for what a signal interrupted, EIO for what is no errno.
func ErrnoOf(err error) unix.Errno {
	var interrupted *wait.Interrupted
	var errno unix.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &interrupted):
		return restartErrno[interrupted.Kind]
	case errors.As(err, &errno):
		return errno
	}
	return unix.EIO
}

// FileName is what a descriptor of the calling thread leads to, as
// /proc/PID/fd shows it; the working directory for AT_FDCWD; "" if nothing.
func (c *Call) FileName(fd int) string {
	t := c.Task
	if t.files == nil || t.fs == nil {
		return ""
	}
	if fd == unix.AT_FDCWD {
		return vfs.PathName(t.fs.root, t.fs.cwd)
	}
	if f := t.files.Peek(fd); f != nil {
		return f.Name(t.fs.root)
	}
	return ""
}

// Now are the machine's clocks.
func (c *Call) Now() (monotonic, realtime int64) {
	return c.Task.k.Now()
}

// Regs are the calling thread's registers; zero when it has none any more.
func (c *Call) Regs() (r unix.PtraceRegs) {
	if th := c.Task.th; th != nil {
		r = unix.PtraceRegs(*th.Regs())
	}
	return r
}

// wordSize is that of the program that the task has just been made.
func (t *Task) wordSize() uint64 {
	const code64 = 0x33
	if t.th.Regs().Cs == code64 {
		return 8
	}
	return 4
}
