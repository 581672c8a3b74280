package machine

import (
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// ReadMem reads the guest's memory at addr into p and returns how many bytes
// it got; fewer than len(p) comes with EFAULT. Page protection is respected.
func (t *Thread) ReadMem(addr uint64, p []byte) (int, error) {
	return mem(t.pid, addr, p, ptrace.ReadMem)
}

// WriteMem writes p at addr, as ReadMem reads.
func (t *Thread) WriteMem(addr uint64, p []byte) (int, error) {
	return mem(t.pid, addr, p, ptrace.WriteMem)
}

func mem(pid int, addr uint64, p []byte, op func(int, uint64, []byte) (int, error)) (int, error) {
	n := 0
	for n < len(p) {
		k, err := op(pid, addr+uint64(n), p[n:])
		n += k
		if err != nil || k == 0 {
			return n, unix.EFAULT
		}
	}
	return n, nil
}
