package ptrace

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SigInfo is a siginfo_t in the host's 64-bit layout: what came with a signal.
// Which of the accessors mean something depends on the signal and on Code; see
// sigaction(2).
type SigInfo [128]byte

func (s *SigInfo) int32(off int) int32   { return int32(binary.LittleEndian.Uint32(s[off:])) }
func (s *SigInfo) uint64(off int) uint64 { return binary.LittleEndian.Uint64(s[off:]) }

// Signo is the signal's number.
func (s *SigInfo) Signo() int32 { return s.int32(0) }

// Errno is si_errno; a seccomp filter's data is put there.
func (s *SigInfo) Errno() int32 { return s.int32(4) }

// Code says where the signal comes from: SI_USER and other values up to 0 were
// sent by a process, those above 0 by the kernel.
func (s *SigInfo) Code() int32 { return s.int32(8) }

// PID is the sender's process id, or that of the child of a SIGCHLD.
func (s *SigInfo) PID() int32 { return s.int32(16) }

// UID is the real user id of the same process.
func (s *SigInfo) UID() uint32 { return uint32(s.int32(20)) }

// Value is the value given to sigqueue(3), or of a POSIX timer.
func (s *SigInfo) Value() uint64 { return s.uint64(24) }

// Status is the exit status or signal of the child of a SIGCHLD.
func (s *SigInfo) Status() int32 { return s.int32(24) }

// Addr is the address of a fault: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP.
func (s *SigInfo) Addr() uint64 { return s.uint64(16) }

// CallAddr is the address after the system call's instruction of a SIGSYS.
func (s *SigInfo) CallAddr() uint64 { return s.uint64(16) }

// Syscall is the number of the system call of a SIGSYS.
func (s *SigInfo) Syscall() int32 { return s.int32(24) }

// Arch is the AUDIT_ARCH value of the system call of a SIGSYS.
func (s *SigInfo) Arch() uint32 { return uint32(s.int32(28)) }

// Codes of a SIGTRAP, in [SigInfo.Code].
const (
	TrapBrkpt  = 1    // the step over a system call; int1
	TrapTrace  = 2    // the step over any other instruction
	TrapHwBkpt = 4    // a debug register's breakpoint or watchpoint
	SIKernel   = 0x80 // int3
)

// GetSigInfo reads what came with the signal that stopped the tracee:
// PTRACE_GETSIGINFO. EINVAL: a group-stop of a tracee that was not seized, which
// is how that is told from a signal-delivery-stop.
func GetSigInfo(pid int, s *SigInfo) error {
	return request(unix.PTRACE_GETSIGINFO, pid, 0, unsafe.Pointer(s))
}

// SetSigInfo changes what is delivered with the signal: PTRACE_SETSIGINFO.
func SetSigInfo(pid int, s *SigInfo) error {
	return request(unix.PTRACE_SETSIGINFO, pid, 0, unsafe.Pointer(s))
}

// PeekSigInfo copies the signals pending for the tracee, from the one numbered
// off in the queue, into s and returns how many there were:
// PTRACE_PEEKSIGINFO. The queue is the thread's own, or with shared that of its
// process. Nothing is taken from it.
func PeekSigInfo(pid int, off uint64, shared bool, s []SigInfo) (int, error) {
	if len(s) == 0 {
		return 0, nil
	}
	args := struct {
		off   uint64
		flags uint32
		nr    int32
	}{off: off, nr: int32(min(len(s), 1<<30))}
	if shared {
		args.flags = 1
	}
	n, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(peekSigInfo), uintptr(pid),
		uintptr(unsafe.Pointer(&args)), uintptr(unsafe.Pointer(unsafe.SliceData(s))), 0, 0)
	if e != 0 {
		return 0, &Error{Request: peekSigInfo, PID: pid, Errno: e}
	}
	return int(n), nil
}

// GetSigMask returns the set of signals that the tracee blocks, signal n being
// bit n-1: PTRACE_GETSIGMASK.
func GetSigMask(pid int) (uint64, error) {
	var mask uint64
	err := request(getSigMask, pid, unsafe.Sizeof(mask), unsafe.Pointer(&mask))
	return mask, err
}

// SetSigMask sets it: PTRACE_SETSIGMASK. SIGKILL and SIGSTOP are left out.
func SetSigMask(pid int, mask uint64) error {
	return request(setSigMask, pid, unsafe.Sizeof(mask), unsafe.Pointer(&mask))
}
