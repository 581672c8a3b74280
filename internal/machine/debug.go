package machine

import (
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// The debug registers are the host thread's own: breakpoints and watchpoints of
// a guest's debugger are the processor's. They are not inherited by Fork and
// Clone, and a new space has none, as Linux has it for fork and exec.

const offDebug = 848 // u_debugreg in struct user

// DebugReg reads debug register i, 0 to 7, as ptrace(2) shows it.
func (t *Thread) DebugReg(i int) (uint64, error) {
	return ptrace.PeekUser(t.pid, offDebug+8*uintptr(i))
}

// SetDebugReg writes it. EINVAL for an address that is not the guest's, or what
// the processor cannot do.
func (t *Thread) SetDebugReg(i int, v uint64) error {
	vdso := t.cpu != nil && v >= t.cpu.m.vdsoLo && v < t.cpu.m.vdsoHi
	if i < 4 && v >= UserTop && !vdso {
		return unix.EINVAL
	}
	return ptrace.PokeUser(t.pid, offDebug+8*uintptr(i), v)
}
