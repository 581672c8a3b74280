package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Regs are the general registers of a 64-bit thread, as struct user_regs_struct
// lays them out. A 32-bit thread shows the same, its registers zero-extended
// and Cs 0x23. Orig_rax is the number of the system call that the thread is in,
// and -1 outside of one.
type Regs = unix.PtraceRegs

// Offsets into struct user, for [PeekUser] and [PokeUser]: first the general
// registers, in the order of [Regs].
const (
	OffR15 = 8 * iota
	OffR14
	OffR13
	OffR12
	OffRBP
	OffRBX
	OffR11
	OffR10
	OffR9
	OffR8
	OffRAX
	OffRCX
	OffRDX
	OffRSI
	OffRDI
	OffOrigRAX
	OffRIP
	OffCS
	OffEflags
	OffRSP
	OffSS
	OffFSBase
	OffGSBase
	OffDS
	OffES
	OffFS
	OffGS

	// OffDebugReg is where the eight debug registers begin, 8 bytes each.
	OffDebugReg = 848
)

// GetRegs reads the general registers of a stopped tracee: PTRACE_GETREGS.
func GetRegs(pid int, r *Regs) error {
	return request(unix.PTRACE_GETREGS, pid, 0, unsafe.Pointer(r))
}

// SetRegs writes the general registers of a stopped tracee: PTRACE_SETREGS. EIO:
// a segment selector or base that the host refuses; the registers before it in
// [Regs] have been written.
func SetRegs(pid int, r *Regs) error {
	return request(unix.PTRACE_SETREGS, pid, 0, unsafe.Pointer(r))
}

// PeekUser reads the register at an offset into struct user: PTRACE_PEEKUSER.
// EIO: there is none.
func PeekUser(pid int, off uintptr) (uint64, error) {
	var v uint64
	err := request(unix.PTRACE_PEEKUSR, pid, off, unsafe.Pointer(&v))
	return v, err
}

// PokeUser writes the register at an offset into struct user: PTRACE_POKEUSER.
// It costs a third of [SetRegs]. EIO: there is none, or the host refuses the
// value.
func PokeUser(pid int, off uintptr, v uint64) error {
	return requestValue(unix.PTRACE_POKEUSR, pid, off, uintptr(v))
}

// Types of register sets, for [GetRegSet] and [SetRegSet].
const (
	NT_PRSTATUS   = 0x1   // Regs; 17 words of 4 bytes of a 32-bit tracee
	NT_PRFPREG    = 0x2   // floating-point state as by FXSAVE
	NT_386_TLS    = 0x200 // the thread-local segments of 32-bit code
	NT_X86_XSTATE = 0x202 // extended state as by XSAVE; its size depends on the processor
)

// GetRegSet reads a register set of a stopped tracee into b, as much as fits,
// and returns the number of bytes: PTRACE_GETREGSET. EINVAL: the type is not
// known, or len(b) is not a multiple of the set's word.
func GetRegSet(pid, typ int, b []byte) (int, error) {
	return regSet(unix.PTRACE_GETREGSET, pid, typ, b)
}

// SetRegSet writes a register set of a stopped tracee from b and returns the
// number of bytes used: PTRACE_SETREGSET. Errors are those of [GetRegSet]; the
// extended state must be whole (EFAULT) and valid (EINVAL).
func SetRegSet(pid, typ int, b []byte) (int, error) {
	return regSet(unix.PTRACE_SETREGSET, pid, typ, b)
}

func regSet(req Request, pid, typ int, b []byte) (int, error) {
	iov := unix.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))}
	if err := request(req, pid, uintptr(typ), unsafe.Pointer(&iov)); err != nil {
		return 0, err
	}
	return int(iov.Len), nil
}
