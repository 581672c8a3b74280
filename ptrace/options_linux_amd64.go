package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options is a set of PTRACE_O_ flags, for [Seize] and [SetOptions]. Children
// that are attached by themselves inherit it.
type Options int

const (
	// TraceSysGood marks stops of system calls in the wait status. Without it
	// they cannot be told from a SIGTRAP, and [GetSyscallInfo] knows nothing.
	TraceSysGood Options = unix.PTRACE_O_TRACESYSGOOD
	// TraceFork, TraceVFork and TraceClone report the making of a child by
	// fork, vfork, or clone with an exit signal other than SIGCHLD, and attach
	// the child.
	TraceFork  Options = unix.PTRACE_O_TRACEFORK
	TraceVFork Options = unix.PTRACE_O_TRACEVFORK
	TraceClone Options = unix.PTRACE_O_TRACECLONE
	// TraceExec reports execve by an event in place of a SIGTRAP.
	TraceExec Options = unix.PTRACE_O_TRACEEXEC
	// TraceVForkDone reports that a vfork child let its parent go on.
	TraceVForkDone Options = unix.PTRACE_O_TRACEVFORKDONE
	// TraceExit reports that the tracee is about to exit, its registers still
	// there to see.
	TraceExit Options = unix.PTRACE_O_TRACEEXIT
	// TraceSeccomp reports that a seccomp filter answered RET_TRACE.
	TraceSeccomp Options = unix.PTRACE_O_TRACESECCOMP
	// ExitKill has the host kill the tracee when its tracer thread ends.
	ExitKill Options = unix.PTRACE_O_EXITKILL
	// SuspendSeccomp lifts the tracee's seccomp filters. It needs CAP_SYS_ADMIN.
	SuspendSeccomp Options = unix.PTRACE_O_SUSPEND_SECCOMP
)

// SetOptions replaces the options of a stopped tracee: PTRACE_SETOPTIONS.
// EINVAL: an option that the host does not know. EPERM: one that the tracer may
// not have.
func SetOptions(pid int, options Options) error {
	return requestValue(unix.PTRACE_SETOPTIONS, pid, 0, uintptr(options))
}

// GetEventMsg returns what goes with the tracee's stop: PTRACE_GETEVENTMSG. For
// an event it is the new thread's id, the exit status or the filter's data; for
// a stop of a system call 1 at the entry and 2 at the exit (since Linux 5.3).
func GetEventMsg(pid int) (uint64, error) {
	var msg uint64
	err := request(unix.PTRACE_GETEVENTMSG, pid, 0, unsafe.Pointer(&msg))
	return msg, err
}
