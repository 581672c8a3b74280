package abi

import "golang.org/x/sys/unix"

// Arch is the architecture of one system call, as its AUDIT_ARCH value: that is what PTRACE_GET_SYSCALL_INFO and seccomp
// report. A program may change it from call to call (int $0x80 in 64-bit code enters the i386 table).
type Arch uint32

const (
	AMD64 Arch = unix.AUDIT_ARCH_X86_64
	I386  Arch = unix.AUDIT_ARCH_I386
)

func (a Arch) String() string {
	switch a {
	case AMD64:
		return "x86_64"
	case I386:
		return "i386"
	}
	return "unknown"
}

// WordSize is the size of a long and of a pointer, in bytes.
func (a Arch) WordSize() int {
	if a == I386 {
		return 4
	}
	return 8
}
