// Package sigframe builds the frames that signal handlers run on, and reads
// them back for sigreturn, bit for bit as Linux 6 does. It is pure: where to
// write what, and what the registers become.
//
// What Build and the Returns fail with is EFAULT, for which Linux forces
// SIGSEGV on the process.
package sigframe

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Regs are the general registers, as ptrace(2) has them.
type Regs = unix.PtraceRegs

// Read reads len(p) bytes of the guest at addr, all or an error.
type Read func(addr uint64, p []byte) error

// Delivery is a signal about to be handled.
type Delivery struct {
	CPU    *CPU
	Signal int
	Info   abi.Siginfo
	Action abi.Sigaction
	Mask   uint64     // the mask to be restored
	Alt    abi.StackT // as it was set: the frame shows these flags, never SS_ONSTACK; Size 0 when there is none
	Regs   Regs       // where the program is, restarts already seen to
	XState []byte     // its extended state

	// The last exception of the thread, for the frame.
	Err, TrapNo, CR2 uint64

	// Return32 is where an i386 handler without SA_RESTORER returns to:
	// __kernel_sigreturn or __kernel_rt_sigreturn, by SA_SIGINFO. 0 is code
	// in the frame.
	Return32 uint64
}

// Frame is what a handler begins with: the image is to be written at Addr;
// then Regs are the registers and CPU.Init the extended state. After that an
// alternate stack with SS_AUTODISARM is to be reset to size 0, SS_DISABLE,
// whether the frame is on it or not.
type Frame struct {
	Addr  uint64
	Image []byte
	Regs  Regs
}

// Segment selectors of user mode.
const (
	userCS32 = 0x23
	userDS   = 0x2b
	userCS   = 0x33
)

const (
	eflagsCF = 1 << 0
	eflagsPF = 1 << 2
	eflagsAF = 1 << 4
	eflagsZF = 1 << 6
	eflagsSF = 1 << 7
	eflagsTF = 1 << 8
	eflagsDF = 1 << 10
	eflagsOF = 1 << 11
	eflagsRF = 1 << 16
	eflagsAC = 1 << 18

	// eflagsRestored are those that a frame may set.
	eflagsRestored = eflagsCF | eflagsPF | eflagsAF | eflagsZF | eflagsSF | eflagsTF | eflagsDF | eflagsOF | eflagsRF | eflagsAC
	// eflagsCleared are those that no handler begins with.
	eflagsCleared = eflagsDF | eflagsRF | eflagsTF
)

const (
	infoAt = uint64(unsafe.Offsetof(abi.RtSigframe{}.Info))
	ucAt   = uint64(unsafe.Offsetof(abi.RtSigframe{}.UC))
)

// Build makes the frame of a handler in 64-bit code.
func (d *Delivery) Build() (*Frame, error) {
	if d.Action.Flags&abi.SA_RESTORER == 0 {
		return nil, unix.EFAULT
	}
	sp := d.Regs.Rsp - abi.RedZone
	sp, alt := d.chooseStack(sp)
	fpstate := (sp - uint64(d.CPU.Size) - abi.FP_XSTATE_MAGIC2Size) &^ (abi.XstateAlign - 1)
	frameSize := uint64(unsafe.Sizeof(abi.RtSigframe{}))
	addr := (fpstate-frameSize)&^15 - 8
	end := fpstate + uint64(d.CPU.Size) + abi.FP_XSTATE_MAGIC2Size
	if alt && !onStack(&d.Alt, addr) || end < addr {
		return nil, unix.EFAULT
	}

	image := make([]byte, end-addr)
	r := &d.Regs
	frame := abi.RtSigframe{
		Pretcode: d.Action.Restorer,
		UC: abi.UContext{
			Flags: abi.UC_FP_XSTATE | abi.UC_SIGCONTEXT_SS,
			Stack: d.Alt,
			Mcontext: abi.Sigcontext{
				R8: r.R8, R9: r.R9, R10: r.R10, R11: r.R11, R12: r.R12, R13: r.R13, R14: r.R14, R15: r.R15,
				Rdi: r.Rdi, Rsi: r.Rsi, Rbp: r.Rbp, Rbx: r.Rbx, Rdx: r.Rdx, Rax: r.Rax, Rcx: r.Rcx, Rsp: r.Rsp,
				Rip: r.Rip, Eflags: r.Eflags,
				Cs: uint16(r.Cs), Ss: uint16(r.Ss),
				Err: d.Err, Trapno: d.TrapNo, Oldmask: d.Mask, Cr2: d.CR2,
				Fpstate: fpstate,
			},
			Sigmask: d.Mask,
		},
	}
	if r.Cs == userCS {
		frame.UC.Flags |= abi.UC_STRICT_RESTORE_SS
	}
	if d.Action.Flags&abi.SA_SIGINFO != 0 {
		frame.Info = d.Info
	}
	copy(image, abi.Bytes(&frame))
	d.CPU.save(image[fpstate-addr:], d.XState, 0)

	f := &Frame{Addr: addr, Image: image, Regs: d.Regs}
	f.Regs.Rdi = uint64(d.Signal)
	f.Regs.Rsi = addr + infoAt
	f.Regs.Rdx = addr + ucAt
	f.Regs.Rax = 0
	f.Regs.Rsp = addr
	f.Regs.Rip = d.Action.Handler
	f.Regs.Eflags &^= eflagsCleared
	f.Regs.Cs, f.Regs.Ss = userCS, userDS
	f.Regs.Orig_rax = ^uint64(0)
	return f, nil
}

// chooseStack is where below sp the frame begins, and whether it has to be on
// the alternate stack.
func (d *Delivery) chooseStack(sp uint64) (uint64, bool) {
	nested := onStack(&d.Alt, d.Regs.Rsp) && !autoDisarm(&d.Alt)
	if d.Action.Flags&abi.SA_ONSTACK != 0 && d.Alt.Size != 0 && (autoDisarm(&d.Alt) || !onStack(&d.Alt, sp)) {
		return d.Alt.Sp + d.Alt.Size, true
	}
	return sp, nested
}

func onStack(s *abi.StackT, sp uint64) bool { return sp > s.Sp && sp-s.Sp <= s.Size }

func autoDisarm(s *abi.StackT) bool { return uint32(s.Flags)&abi.SS_AUTODISARM != 0 }

// Restored is the state that a frame brings back.
type Restored struct {
	Regs   Regs
	XState []byte
	Mask   uint64     // never with SIGKILL and SIGSTOP
	Alt    abi.StackT // if HasAlt, for sigaltstack(2), whose errors do not matter
	HasAlt bool
}

const unblockable = 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1)

// Return is rt_sigreturn(2) of 64-bit code with these registers. The call's
// result is the restored Rax. Even with an error, Mask is to be set when a
// Restored is returned.
func (c *CPU) Return(regs *Regs, read Read) (*Restored, error) {
	// The handler's return took the restorer's address from the frame.
	var uc abi.UContext
	if err := read(regs.Rsp, abi.Bytes(&uc)); err != nil {
		return nil, err
	}
	out := &Restored{Regs: *regs, Mask: uc.Sigmask &^ unblockable, Alt: uc.Stack, HasAlt: true}
	m, r := &uc.Mcontext, &out.Regs
	r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15 = m.R8, m.R9, m.R10, m.R11, m.R12, m.R13, m.R14, m.R15
	r.Rdi, r.Rsi, r.Rbp, r.Rbx, r.Rdx, r.Rax, r.Rcx, r.Rsp = m.Rdi, m.Rsi, m.Rbp, m.Rbx, m.Rdx, m.Rax, m.Rcx, m.Rsp
	r.Rip = m.Rip
	r.Eflags = r.Eflags&^eflagsRestored | m.Eflags&eflagsRestored
	r.Cs, r.Ss = uint64(m.Cs)|3, uint64(m.Ss)|3
	r.Orig_rax = ^uint64(0) // nothing to restart
	if uc.Flags&abi.UC_STRICT_RESTORE_SS == 0 && r.Cs == userCS {
		r.Ss = userDS
	}
	x, err := c.restore(m.Fpstate, read)
	if err != nil {
		return out, unix.EFAULT
	}
	out.XState = x
	return out, nil
}
