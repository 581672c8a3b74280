package ptrace

// The requests of ptrace(2) that carry no structure. Each is one system call
// made with RawSyscall6: none of them blocks, and a resumed tracee is waited
// for with [Wait].
//
// Pointers travel as unsafe.Pointer down to the argument list of RawSyscall6
// and are converted there: a uintptr kept across a call may name a stack that
// has moved.

import (
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Request is the number of a ptrace(2) request, as the unix.PTRACE_ constants
// give it. The named ones below are those that resume a stopped tracee, for
// [Resume].
type Request int

const (
	// Cont lets the tracee run until a signal or event.
	Cont Request = unix.PTRACE_CONT
	// Syscall stops it also at the entry to and at the exit from the next
	// system call, which the host executes.
	Syscall Request = unix.PTRACE_SYSCALL
	// Sysemu stops it also at the entry to the next system call, which the host
	// does not execute.
	Sysemu Request = unix.PTRACE_SYSEMU
	// SingleStep stops it after one instruction.
	SingleStep Request = unix.PTRACE_SINGLESTEP
	// SysemuSingleStep stops it after one instruction, or, when that instruction
	// is a system call, at its entry; the host does not execute it.
	SysemuSingleStep Request = unix.PTRACE_SYSEMU_SINGLESTEP
	// SingleBlock stops it after the next branch taken. Where the processor or
	// hypervisor has no branch stepping it is SingleStep.
	SingleBlock Request = unix.PTRACE_SINGLEBLOCK
)

// Requests that golang.org/x/sys/unix does not name.
const (
	getThreadArea Request = 25
	setThreadArea Request = 26

	peekSigInfo Request = 0x4209
	getSigMask  Request = 0x420a
	setSigMask  Request = 0x420b

	// waitRequest is no request of ptrace(2). It stands in an Error for wait4.
	waitRequest Request = -1
)

var requestNames = map[Request]string{
	waitRequest: "wait4",

	unix.PTRACE_TRACEME:          "PTRACE_TRACEME",
	unix.PTRACE_PEEKTEXT:         "PTRACE_PEEKTEXT",
	unix.PTRACE_PEEKDATA:         "PTRACE_PEEKDATA",
	unix.PTRACE_PEEKUSR:          "PTRACE_PEEKUSER",
	unix.PTRACE_POKETEXT:         "PTRACE_POKETEXT",
	unix.PTRACE_POKEDATA:         "PTRACE_POKEDATA",
	unix.PTRACE_POKEUSR:          "PTRACE_POKEUSER",
	unix.PTRACE_KILL:             "PTRACE_KILL",
	unix.PTRACE_GETREGS:          "PTRACE_GETREGS",
	unix.PTRACE_SETREGS:          "PTRACE_SETREGS",
	unix.PTRACE_ATTACH:           "PTRACE_ATTACH",
	unix.PTRACE_DETACH:           "PTRACE_DETACH",
	unix.PTRACE_SETOPTIONS:       "PTRACE_SETOPTIONS",
	unix.PTRACE_GETEVENTMSG:      "PTRACE_GETEVENTMSG",
	unix.PTRACE_GETSIGINFO:       "PTRACE_GETSIGINFO",
	unix.PTRACE_SETSIGINFO:       "PTRACE_SETSIGINFO",
	unix.PTRACE_GETREGSET:        "PTRACE_GETREGSET",
	unix.PTRACE_SETREGSET:        "PTRACE_SETREGSET",
	unix.PTRACE_SEIZE:            "PTRACE_SEIZE",
	unix.PTRACE_INTERRUPT:        "PTRACE_INTERRUPT",
	unix.PTRACE_LISTEN:           "PTRACE_LISTEN",
	unix.PTRACE_GET_SYSCALL_INFO: "PTRACE_GET_SYSCALL_INFO",
	getThreadArea:                "PTRACE_GET_THREAD_AREA",
	setThreadArea:                "PTRACE_SET_THREAD_AREA",
	peekSigInfo:                  "PTRACE_PEEKSIGINFO",
	getSigMask:                   "PTRACE_GETSIGMASK",
	setSigMask:                   "PTRACE_SETSIGMASK",
	Cont:                         "PTRACE_CONT",
	Syscall:                      "PTRACE_SYSCALL",
	Sysemu:                       "PTRACE_SYSEMU",
	SingleStep:                   "PTRACE_SINGLESTEP",
	SysemuSingleStep:             "PTRACE_SYSEMU_SINGLESTEP",
	SingleBlock:                  "PTRACE_SINGLEBLOCK",
}

// String is the request's name in ptrace(2): "PTRACE_SYSEMU".
func (r Request) String() string {
	if s, ok := requestNames[r]; ok {
		return s
	}
	return "ptrace request " + strconv.Itoa(int(r))
}

// request makes a request whose data argument is a pointer.
func request(req Request, pid int, addr uintptr, data unsafe.Pointer) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(req), uintptr(pid), addr, uintptr(data), 0, 0)
	if e != 0 {
		return &Error{Request: req, PID: pid, Errno: e}
	}
	return nil
}

// requestValue makes a request whose data argument is a number.
func requestValue(req Request, pid int, addr, data uintptr) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(req), uintptr(pid), addr, data, 0, 0)
	if e != 0 {
		return &Error{Request: req, PID: pid, Errno: e}
	}
	return nil
}

// Attach makes the calling thread the tracer of thread pid and sends it
// SIGSTOP: PTRACE_ATTACH. It does not wait for the stop. [Interrupt] and
// [Listen] need [Seize] instead.
//
// EPERM: the thread is traced already, is not the caller's to trace (another
// user's, set-user-id, or by Yama), is a kernel thread or of the caller's own
// process. ESRCH: there is no such thread.
func Attach(pid int) error { return requestValue(unix.PTRACE_ATTACH, pid, 0, 0) }

// Seize makes the calling thread the tracer of thread pid, with the given
// options, and does not stop it: PTRACE_SEIZE. Errors are those of [Attach],
// and EIO for an option that the host does not know.
func Seize(pid int, options Options) error {
	return requestValue(unix.PTRACE_SEIZE, pid, 0, uintptr(options))
}

// Interrupt stops a tracee attached by [Seize], or attached as the child of
// one: PTRACE_INTERRUPT. A running tracee reports an event stop of kind
// EventStop. EIO: it was not seized.
func Interrupt(pid int) error { return requestValue(unix.PTRACE_INTERRUPT, pid, 0, 0) }

// Listen leaves a tracee in its group-stop, but reports what ends that:
// PTRACE_LISTEN. EIO: it was not seized, or is not in a stop of that kind.
func Listen(pid int) error { return requestValue(unix.PTRACE_LISTEN, pid, 0, 0) }

// Detach resumes a stopped tracee, untraced, delivering signal sig if it is not
// 0: PTRACE_DETACH. The signal is ignored in a stop that is neither
// signal-delivery nor a system call's: SIGSTOP then does not stop it.
func Detach(pid int, sig int) error {
	return requestValue(unix.PTRACE_DETACH, pid, 0, uintptr(sig))
}

// Resume resumes a stopped tracee by one of the requests [Cont], [Syscall],
// [Sysemu], [SingleStep], [SysemuSingleStep] and [SingleBlock]. From a
// signal-delivery-stop, sig is delivered in place of the one reported, 0 being
// none; from a stop of a system call, sig is sent to it; from others it is
// ignored.
//
// ESRCH: the thread is not a tracee of the calling thread, or not stopped. EIO:
// sig is not a signal's number, or the host has not got the request; then the
// error is [ErrNotSupported] also, and in both cases the tracee stays stopped.
func Resume(req Request, pid int, sig int) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(req), uintptr(pid), 0, uintptr(sig), 0, 0)
	if e != 0 {
		missing := (e == unix.EIO || e == unix.EINVAL || e == unix.ENOSYS) && sig >= 0 && sig <= 64
		return &Error{Request: req, PID: pid, Errno: e, unsupported: missing}
	}
	return nil
}
