package kernel

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// PTRACE_GET_SYSCALL_INFO and PTRACE_SET_SYSCALL_INFO.

const (
	infoNone    = 0
	infoEntry   = 1
	infoExit    = 2
	infoSeccomp = 3
)

// callInfoOp is what kind of stop at a call the tracee is in. As on Linux, only
// PTRACE_O_TRACESYSGOOD makes one that can be told.
func (t *Task) callInfoOp() uint8 {
	x := t.tracee
	if x.info == nil {
		return infoNone
	}
	switch x.info.Code {
	case int32(sigtrap | 0x80):
		switch x.message {
		case messageEntry:
			return infoEntry
		case messageExit:
			return infoExit
		}
	case int32(eventSeccomp<<8 | sigtrap):
		return infoSeccomp
	}
	return infoNone
}

// callInfoSize is how much of the structure each kind of stop fills.
var callInfoSize = [...]uint64{infoNone: 24, infoEntry: 24 + 7*8, infoExit: 24 + 8 + 1, infoSeccomp: 24 + 7*8 + 4}

func getSyscallInfo(a *ptraceArgs) (uint64, error) {
	r := a.o.th.Regs()
	i := abi.PtraceSyscallInfo{Op: a.o.callInfoOp(), Arch: a.o.arch, IP: r.Rip, SP: r.Rsp}
	if i.Arch == 0 {
		i.Arch = abi.AMD64
	}
	switch i.Op {
	case infoEntry, infoSeccomp:
		c := Call{Task: a.o, Arch: i.Arch}
		c.decode()
		i.Data[0] = uint64(int64(c.Nr))
		copy(i.Data[1:], c.Args[:])
		if i.Op == infoSeccomp {
			i.Data[7] = a.o.tracee.message & low32
		}
	case infoExit:
		v := r.Rax
		if i.Arch == abi.I386 {
			v = uint64(int64(int32(v)))
		}
		i.Data[0] = v
		if v > ^uint64(4095) {
			i.Data[1] = 1
		}
	}
	n := callInfoSize[i.Op]
	return n, a.t.CopyOut(a.data, asBytes(&i)[:min(n, a.addr)])
}

// syscallInfoSize is sizeof(struct ptrace_syscall_info).
const syscallInfoSize = uint64(unsafe.Sizeof(abi.PtraceSyscallInfo{}))

func setSyscallInfo(a *ptraceArgs) (uint64, error) {
	if a.addr < syscallInfoSize {
		return 0, unix.EINVAL
	}
	i, err := Ptr[abi.PtraceSyscallInfo](a.data).In(a.t)
	if err != nil {
		return 0, err
	}
	// The three bytes after op are reserved.
	if b := asBytes(&i); b[1] != 0 || b[2] != 0 || b[3] != 0 || i.Op != a.o.callInfoOp() {
		return 0, unix.EINVAL
	}
	r := a.o.th.EditRegs()
	switch i.Op {
	case infoEntry, infoSeccomp:
		nr := int32(i.Data[0])
		if int64(nr) != int64(i.Data[0]) {
			return 0, unix.ERANGE
		}
		r.Orig_rax = uint64(int64(nr))
		if nr == -1 {
			break
		}
		args := i.Data[1:7]
		if a.o.arch == abi.I386 {
			r.Rbx, r.Rcx, r.Rdx = args[0]&low32, args[1]&low32, args[2]&low32
			r.Rsi, r.Rdi, r.Rbp = args[3]&low32, args[4]&low32, args[5]&low32
			break
		}
		r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9 = args[0], args[1], args[2], args[3], args[4], args[5]
	case infoExit:
		v := i.Data[0]
		r.Rax = v
		if byte(i.Data[1]) != 0 && v == 0 {
			r.Rax = 0
		}
	default:
		return 0, unix.EINVAL
	}
	return 0, nil
}
