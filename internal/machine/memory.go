package machine

import (
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// ReadMem reads the guest's memory at addr into p and returns how many bytes
// it got; fewer than len(p) comes with EFAULT. Page protection is respected.
//
// The loops are written out: through a function value p would escape, and
// every small copy would be an allocation.
func (t *Thread) ReadMem(addr uint64, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k, err := ptrace.ReadMem(t.pid, addr+uint64(n), p[n:])
		n += k
		if err != nil || k == 0 {
			return n, unix.EFAULT
		}
	}
	return n, nil
}

// WriteMem writes p at addr, as ReadMem reads.
func (t *Thread) WriteMem(addr uint64, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k, err := ptrace.WriteMem(t.pid, addr+uint64(n), p[n:])
		n += k
		if err != nil || k == 0 {
			return n, unix.EFAULT
		}
	}
	return n, nil
}
