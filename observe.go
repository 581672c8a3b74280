package sysemu

import (
	"fmt"
	"os"
	"time"

	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/native"
	"golang.org/x/sys/unix"
)

// EventKind says what an [Event] tells of, and which of its fields mean something.
type EventKind = kernel.EventKind

// What there is to be told of.
const (
	TaskStarted     = kernel.TaskStarted     // a thread was born: Other made it, 0 for a program that Cmd started
	TaskExited      = kernel.TaskExited      // a thread has ended: Status
	TaskBlocked     = kernel.TaskBlocked     // it sleeps in a system call
	TaskWoken       = kernel.TaskWoken       // it may run again: Other woke it, 0 if no thread did (a timer, the host)
	TaskResumed     = kernel.TaskResumed     // it runs again, in its call
	TaskStopped     = kernel.TaskStopped     // by a signal, with its whole process: Status
	ProgramStarted  = kernel.ProgramStarted  // Cmd's program is in place: Path, Args, Env, EnvAddr
	TaskExec        = kernel.TaskExec        // it runs another program now: Comm
	SignalDelivered = kernel.SignalDelivered // it acts on a signal: Signal
	SignalIgnored   = kernel.SignalIgnored   // a signal was sent and has no effect: Signal
)

// Event is something that happened to a thread of a machine besides the system calls that handlers see.
type Event = kernel.Event

// WithObserver has f told of every [Event], in the order in which they happen. It runs with the kernel locked: it must
// not block, nor call a method of the machine or of a Call; the event is its own only until it returns. A machine
// without an observer pays nothing.
func WithObserver(f func(*Event)) Option {
	return func(o *options) {
		if was := o.observe; was != nil {
			o.observe = func(e *Event) { was(e); f(e) }
			return
		}
		o.observe = f
	}
}

// Errno is the number of the error that a handler got from the next: 0 for none, abi.ERESTARTSYS and its kin for a
// call that a signal interrupted, as ptrace(2) shows it to a tracer, and EIO for an error that is no errno.
func Errno(err error) unix.Errno { return kernel.ErrnoOf(err) }

// Native reports whether the program runs on the host, as [Attach] and [StartNative] have it, and not in a machine.
func (c *Call) Native() bool { return c.c.Task == nil }

// Killed reports whether the calling thread is about to end, so that nobody will see the result. It is not known of native
// programs.
func (c *Call) Killed() (killed bool) {
	if c.Native() {
		return false
	}
	c.inMachine().locked(func(*kernel.Task) error { killed = c.c.Killed(); return nil })
	return killed
}

// FileName is what a descriptor of the program leads to, as /proc/PID/fd shows it: a path, "pipe:[7]" and the like. For
// AT_FDCWD it is the working directory. "" when it is not open.
func (c *Call) FileName(fd int) (name string) {
	if c.Native() {
		link := fmt.Sprintf("/proc/%d/fd/%d", c.TID(), fd)
		if fd == unix.AT_FDCWD {
			link = fmt.Sprintf("/proc/%d/cwd", c.TID())
		}
		name, _ = os.Readlink(link)
		return name
	}
	c.inMachine().locked(func(*kernel.Task) error { name = c.c.FileName(fd); return nil })
	return name
}

// Regs are the registers of the thread, as PTRACE_GETREGS has them: at the call's entry, and in a machine after a call that
// sets them itself, such as rt_sigreturn, as that has left them.
func (c *Call) Regs() (r unix.PtraceRegs) {
	if p, ok := c.program.(*native.Call); ok {
		return p.Regs()
	}
	c.inMachine().locked(func(*kernel.Task) error { r = c.c.Regs(); return nil })
	return r
}

// Time is the machine's time of day; of a native program, the host's.
func (c *Call) Time() time.Time {
	if c.Native() {
		return time.Now()
	}
	_, real := c.c.Now()
	return time.Unix(0, real)
}

// Monotonic is CLOCK_MONOTONIC of the machine or the host, in nanoseconds: the clock of [Event].
func (c *Call) Monotonic() int64 {
	if c.Native() {
		return hostMonotonic()
	}
	mono, _ := c.c.Now()
	return mono
}

func hostMonotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
