package ptrace

// What a tracee reports. The terms are those of ptrace(2).

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Stop is what a tracee reported: one of [SyscallEnter], [SyscallExit],
// [SignalDelivery], [GroupStop] and [Event], after which it is stopped, or
// [Exited] or [Signaled], after which it is gone.
type Stop interface {
	fmt.Stringer
	stop()
}

// SyscallEnter is a syscall-enter-stop, reached under [Syscall], [Sysemu] or
// [SysemuSingleStep]. After the last two the call is never executed by the
// host; its result is what the tracer puts into Rax, -ENOSYS being there.
type SyscallEnter struct {
	Arch abi.Arch // the table that Nr belongs to; it may differ from call to call
	Nr   int      // number of the call, as the tracee gave it
	Args [6]uint64
	IP   uint64 // after the instruction; of a 32-bit sysenter, its landing pad
	SP   uint64
}

// SyscallExit is a syscall-exit-stop, reached under [Syscall].
type SyscallExit struct {
	Arch   abi.Arch
	Ret    int64 // the result, a negative errno if Failed
	Failed bool
	IP     uint64
	SP     uint64
}

// SignalDelivery is a signal-delivery-stop: the signal has not reached the
// tracee yet, and does by being handed to [Tracee.Resume]. Steps, breakpoints
// and watchpoints are reported as SIGTRAP, with [TrapTrace] and so on in
// Info.Code().
type SignalDelivery struct {
	Signal syscall.Signal
	Info   SigInfo
}

// GroupStop is a group-stop: a stopping signal has been delivered to some
// thread of the process. [Tracee.Listen] leaves the tracee stopped, as it would
// be untraced; resuming it lets it run on.
type GroupStop struct {
	Signal syscall.Signal
}

// EventKind is the number of a PTRACE_EVENT_.
type EventKind int

const (
	EventFork      EventKind = unix.PTRACE_EVENT_FORK       // see TraceFork; the child's thread id
	EventVFork     EventKind = unix.PTRACE_EVENT_VFORK      // see TraceVFork; the child's thread id
	EventClone     EventKind = unix.PTRACE_EVENT_CLONE      // see TraceClone; the child's thread id
	EventExec      EventKind = unix.PTRACE_EVENT_EXEC       // see TraceExec; the thread id before execve
	EventVForkDone EventKind = unix.PTRACE_EVENT_VFORK_DONE // see TraceVForkDone; the child's thread id
	EventExit      EventKind = unix.PTRACE_EVENT_EXIT       // see TraceExit; the wait status to be
	EventSeccomp   EventKind = unix.PTRACE_EVENT_SECCOMP    // see TraceSeccomp; the filter's data
	// EventStop is the stop after [Tracee.Interrupt], the first one of a child
	// that was attached by itself, and the end of a group-stop that is listened
	// to. It carries nothing.
	EventStop EventKind = unix.PTRACE_EVENT_STOP
)

var eventNames = map[EventKind]string{
	EventFork: "fork", EventVFork: "vfork", EventClone: "clone", EventExec: "exec",
	EventVForkDone: "vfork-done", EventExit: "exit", EventSeccomp: "seccomp", EventStop: "stop",
}

// String is the name of the event as the host's options have it: "vfork-done".
func (k EventKind) String() string {
	if s, ok := eventNames[k]; ok {
		return s
	}
	return "event " + strconv.Itoa(int(k))
}

// Event is a PTRACE_EVENT stop.
type Event struct {
	Kind    EventKind
	Message uint64 // what comes with it: see the kinds
}

// Child is the thread id of the new child: EventFork, EventVFork, EventClone,
// EventVForkDone.
func (e Event) Child() int { return int(e.Message) }

// Status is the status that the tracee is about to exit with: EventExit.
func (e Event) Status() syscall.WaitStatus { return syscall.WaitStatus(e.Message) }

// Exited is the end of a tracee by exit. It has been waited for.
type Exited struct {
	Code int // 0 to 255
}

// Signaled is the end of a tracee by a signal. It has been waited for.
type Signaled struct {
	Signal   syscall.Signal
	CoreDump bool
}

func (SyscallEnter) stop()   {}
func (SyscallExit) stop()    {}
func (SignalDelivery) stop() {}
func (GroupStop) stop()      {}
func (Event) stop()          {}
func (Exited) stop()         {}
func (Signaled) stop()       {}

func (s SyscallEnter) String() string {
	name := strconv.Itoa(s.Nr)
	if c := abi.ByNumber(s.Arch, s.Nr); c != nil {
		name = c.Name
	}
	return fmt.Sprintf("enter %s %s", s.Arch, name)
}

func (s SyscallExit) String() string { return fmt.Sprintf("exit %s = %d", s.Arch, s.Ret) }

func (s SignalDelivery) String() string {
	return fmt.Sprintf("signal %s code %d", unix.SignalName(s.Signal), s.Info.Code())
}

func (s GroupStop) String() string { return "group-stop " + unix.SignalName(s.Signal) }

func (e Event) String() string { return fmt.Sprintf("event %s %d", e.Kind, e.Message) }

func (e Exited) String() string { return "exited " + strconv.Itoa(e.Code) }

func (s Signaled) String() string { return "killed by " + unix.SignalName(s.Signal) }
