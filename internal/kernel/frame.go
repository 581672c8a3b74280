package kernel

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/sigframe"
	"golang.org/x/sys/unix"
)

// Signal frames: what to write and what the registers become is sigframe's
// affair; here it is carried out.

// sigCPU is the extended state that guests have. xstate is any thread's.
func (k *Kernel) sigCPU(xstate []byte) (*sigframe.CPU, error) {
	if k.xstate == nil {
		c, err := sigframe.Of(xstate)
		if err != nil {
			return nil, err
		}
		k.xstate = c
	}
	return k.xstate, nil
}

// pushFrame builds a signal frame and makes the task run the handler. mask is
// what sigreturn puts back.
func (t *Task) pushFrame(i sigInfo, a sigAction, mask sigset) error {
	xs, err := t.th.XState()
	if err != nil {
		return err
	}
	cpu, err := t.k.sigCPU(xs)
	if err != nil {
		return err
	}
	d := sigframe.Delivery{
		CPU: cpu, Signal: int(i.Signo), Info: *(*abi.Siginfo)(unsafe.Pointer(&i)),
		Action: abi.Sigaction{Handler: a.Handler, Flags: a.Flags &^ saI386, Restorer: a.Restorer, Mask: uint64(a.Mask)},
		Mask:   uint64(mask), Alt: t.altstack, Regs: *t.th.Regs(), XState: xs,
		Err: t.fault.Err, TrapNo: t.fault.TrapNo, CR2: t.fault.CR2,
	}
	arch := &archAMD64
	if a.Flags&saI386 != 0 {
		arch = &archI386
	}
	f, err := arch.frame(t, &d)
	if err != nil {
		return err
	}
	if err := t.CopyOut(f.Addr, f.Image); err != nil {
		return err
	}
	if t.altstack.Flags&ssAutoDisarm != 0 {
		t.altstack = abi.StackT{Flags: ssDisable}
	}
	f.Regs.Orig_rax = t.th.Regs().Orig_rax // which tracers may look at
	*t.th.EditRegs() = f.Regs
	return t.th.SetXState(cpu.Init())
}

// sysRtSigreturn undoes pushFrame. A frame that cannot be read or is nonsense
// is a SIGSEGV.
func sysRtSigreturn(t *Task) error {
	return t.sigreturn(func(c *sigframe.CPU) (*sigframe.Restored, error) { return c.Return(t.th.Regs(), t.CopyIn) })
}

func (t *Task) sigreturn(read func(*sigframe.CPU) (*sigframe.Restored, error)) error {
	t.noResult = true
	t.interruptd, t.resume = false, nil
	if err := t.restore(read); err != nil {
		t.force(kernelSignal(int(unix.SIGSEGV)))
	}
	return nil
}

func (t *Task) restore(read func(*sigframe.CPU) (*sigframe.Restored, error)) error {
	cpu := t.k.xstate
	if cpu == nil { // no handler has run in this kernel: a frame made up
		xs, err := t.th.XState()
		if err != nil {
			return err
		}
		if cpu, err = t.k.sigCPU(xs); err != nil {
			return err
		}
	}
	out, err := read(cpu)
	if out != nil {
		t.setMask(sigset(out.Mask))
	}
	if err != nil {
		return err
	}
	*t.th.EditRegs() = out.Regs
	if err := t.th.SetXState(out.XState); err != nil {
		return err
	}
	if out.HasAlt {
		// As Linux: what is wrong with the stack is not reported.
		t.setAltStack(out.Alt, out.Regs.Rsp)
	}
	return nil
}

const (
	ssOnStack    = 1
	ssDisable    = 2
	ssAutoDisarm = -1 << 31
	minSigStack  = 2048
)

// onAltStack reports whether sp lies on the task's alternate stack. One that
// disarms itself is never found to be in use.
func (t *Task) onAltStack(sp uint64) bool {
	a := &t.altstack
	return a.Flags&ssAutoDisarm == 0 && sp > a.Sp && sp-a.Sp <= a.Size
}

// sigaltstack(2): the stack's flags are kept as they were given, and told as
// what they mean now.
func sysSigaltstack[T stackTs](t *Task, set, old Ptr[T]) error {
	sp := t.th.Regs().Rsp
	was := t.altstack
	was.Flags &= ssAutoDisarm
	switch {
	case was.Size == 0:
		was.Flags |= ssDisable
	case t.onAltStack(sp):
		was.Flags |= ssOnStack
	}
	if set != 0 {
		s, err := load[abi.StackT](t, set)
		if err != nil {
			return err
		}
		if err := t.setAltStack(s, sp); err != nil {
			return err
		}
	}
	return storePut(t, old, was)
}

func (t *Task) setAltStack(s abi.StackT, sp uint64) error {
	if t.onAltStack(sp) {
		return unix.EPERM
	}
	mode := s.Flags &^ ssAutoDisarm
	if mode != 0 && mode != ssOnStack && mode != ssDisable {
		return unix.EINVAL
	}
	switch {
	case mode == ssDisable:
		s.Sp, s.Size = 0, 0
	case s.Size < minSigStack:
		return unix.ENOMEM
	}
	t.altstack = abi.StackT{Sp: s.Sp, Size: s.Size, Flags: s.Flags}
	return nil
}
