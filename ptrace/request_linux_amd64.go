package ptrace

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Request is a ptrace(2) request.
type Request int

// Requests that resume a tracee.
const (
	Cont             Request = 7
	SingleStep       Request = 9
	Syscall          Request = 24
	Sysemu           Request = 31
	SysemuSingleStep Request = 32
)

const (
	NT_X86_XSTATE = 0x202
	OffRAX        = 80
	OffOrigRAX    = 120
)

// Error is a failed request.
type Error struct {
	Request Request
	PID     int
	Errno   syscall.Errno
}

func (e *Error) Error() string {
	return fmt.Sprintf("ptrace request %d on %d: %v", e.Request, e.PID, e.Errno)
}
func (e *Error) Unwrap() error { return e.Errno }

type Regs = unix.PtraceRegs

func request(req Request, pid int, addr uintptr, data unsafe.Pointer) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(req), uintptr(pid), addr, uintptr(data), 0, 0)
	if e != 0 {
		return &Error{req, pid, e}
	}
	return nil
}

func requestv(req Request, pid int, addr, data uintptr) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(req), uintptr(pid), addr, data, 0, 0)
	if e != 0 {
		return &Error{req, pid, e}
	}
	return nil
}

func GetRegs(pid int, r *Regs) error { return request(12, pid, 0, unsafe.Pointer(r)) }
func SetRegs(pid int, r *Regs) error { return request(13, pid, 0, unsafe.Pointer(r)) }
func PeekUser(pid int, off uintptr) (uint64, error) {
	var v uint64
	err := request(3, pid, off, unsafe.Pointer(&v))
	return v, err
}
func PokeUser(pid int, off uintptr, v uint64) error { return requestv(6, pid, off, uintptr(v)) }
func Resume(req Request, pid int, sig int) error    { return requestv(req, pid, 0, uintptr(sig)) }
func Seize(pid int, opts int) error                 { return requestv(0x4206, pid, 0, uintptr(opts)) }
func Interrupt(pid int) error                       { return requestv(0x4207, pid, 0, 0) }
func Detach(pid int, sig int) error                 { return requestv(17, pid, 0, uintptr(sig)) }

type SigInfo [128]byte

func (s *SigInfo) Code() int32  { return int32(binary.LittleEndian.Uint32(s[8:])) }
func (s *SigInfo) Addr() uint64 { return binary.LittleEndian.Uint64(s[16:]) }

func GetSigInfo(pid int, s *SigInfo) error { return request(0x4202, pid, 0, unsafe.Pointer(s)) }

type SyscallInfo struct {
	Op   uint8
	_    [3]byte
	Arch uint32
	_    [80]byte
}

func GetSyscallInfo(pid int, s *SyscallInfo) error {
	return request(0x420e, pid, unsafe.Sizeof(*s), unsafe.Pointer(s))
}

func regset(req Request, pid, typ int, b []byte) (int, error) {
	iov := unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	err := request(req, pid, uintptr(typ), unsafe.Pointer(&iov))
	return int(iov.Len), err
}
func GetRegSet(pid, typ int, b []byte) (int, error) { return regset(0x4204, pid, typ, b) }
func SetRegSet(pid, typ int, b []byte) (int, error) { return regset(0x4205, pid, typ, b) }

func Wait(pid int, options int) (uint32, error) {
	var ws int32
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&ws)), uintptr(options), 0, 0, 0)
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return uint32(ws), nil
	}
}

func memv(nr uintptr, pid int, addr uint64, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	l := unix.Iovec{Base: &p[0], Len: uint64(len(p))}
	r := struct{ b, n uintptr }{uintptr(addr), uintptr(len(p))}
	n, _, e := syscall.RawSyscall6(nr, uintptr(pid), uintptr(unsafe.Pointer(&l)), 1, uintptr(unsafe.Pointer(&r)), 1, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
func ReadMem(pid int, addr uint64, p []byte) (int, error)  { return memv(310, pid, addr, p) }
func WriteMem(pid int, addr uint64, p []byte) (int, error) { return memv(311, pid, addr, p) }
