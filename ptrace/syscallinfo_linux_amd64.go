package ptrace

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Values of [SyscallInfo.Op].
const (
	OpNone    = 0 // not in a stop of a system call
	OpEntry   = 1 // at the entry to one
	OpExit    = 2 // at the exit from one
	OpSeccomp = 3 // at a PTRACE_EVENT_SECCOMP stop
)

// SyscallInfo is what the host tells of the system call that a tracee is
// stopped in: struct ptrace_syscall_info. The methods say for which Op they are
// meant; for others they return what happens to lie there.
type SyscallInfo struct {
	Op   uint8
	_    [3]byte
	Arch abi.Arch // which table the number belongs to; not that of the program, at other stops than a call's
	IP   uint64
	SP   uint64

	words [8]uint64
}

// Nr is the call's number: OpEntry and OpSeccomp.
func (s *SyscallInfo) Nr() uint64 { return s.words[0] }

// Args are the call's six arguments: OpEntry and OpSeccomp.
func (s *SyscallInfo) Args() [6]uint64 { return [6]uint64(s.words[1:7]) }

// Ret is the call's result, a negative errno if it failed: OpExit.
func (s *SyscallInfo) Ret() int64 { return int64(s.words[0]) }

// Failed tells whether the result is an error: OpExit.
func (s *SyscallInfo) Failed() bool { return byte(s.words[1]) != 0 }

// FilterData is the data of the seccomp filter's RET_TRACE: OpSeccomp.
func (s *SyscallInfo) FilterData() uint16 { return uint16(s.words[7]) }

// GetSyscallInfo reads it: PTRACE_GET_SYSCALL_INFO, since Linux 5.3. Only with
// the option [TraceSysGood] does the host know one of its stops of a system
// call for what it is.
func GetSyscallInfo(pid int, s *SyscallInfo) error {
	return request(unix.PTRACE_GET_SYSCALL_INFO, pid, unsafe.Sizeof(*s), unsafe.Pointer(s))
}
