package sigframe

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Frames of i386 programs. Their extended state has an fsave image before it,
// of which old programs may change the x87 registers: on return it counts,
// not the fxsave image that says the same.

const fsaveSize = int(unsafe.Sizeof(abi.FsaveHeader32{}))

const (
	fswAt, ftwAt, fopAt = 2, 4, 6
	fipAt, fdpAt        = 8, 16
	stAt                = 32 // eight registers in 16 bytes each
	fsaveHigh           = 0xffff0000
)

// Build32 makes the frame of a handler in 32-bit code: with SA_SIGINFO a
// RtSigframe32, else a Sigframe32.
func (d *Delivery) Build32() (*Frame, error) {
	sp, alt := d.chooseStack(d.Regs.Rsp)
	xstate := (sp - uint64(d.CPU.Size) - abi.FP_XSTATE_MAGIC2Size) &^ (abi.XstateAlign - 1)
	fpstate := xstate - uint64(fsaveSize)
	end := xstate + uint64(d.CPU.Size) + abi.FP_XSTATE_MAGIC2Size
	rt := d.Action.Flags&abi.SA_SIGINFO != 0
	frameSize := uint64(unsafe.Sizeof(abi.Sigframe32{}))
	if rt {
		frameSize = uint64(unsafe.Sizeof(abi.RtSigframe32{}))
	}
	addr := (fpstate-frameSize+4)&^15 - 4
	if alt && !onStack(&d.Alt, addr) || end < addr || end > 1<<32 {
		return nil, unix.EFAULT
	}

	image := make([]byte, end-addr)
	r := &d.Regs
	sc := abi.Sigcontext32{
		Gs: uint16(r.Gs), Fs: uint16(r.Fs), Es: uint16(r.Es), Ds: uint16(r.Ds),
		Edi: uint32(r.Rdi), Esi: uint32(r.Rsi), Ebp: uint32(r.Rbp), Esp: uint32(r.Rsp),
		Ebx: uint32(r.Rbx), Edx: uint32(r.Rdx), Ecx: uint32(r.Rcx), Eax: uint32(r.Rax),
		Trapno: uint32(d.TrapNo), Err: uint32(d.Err), Eip: uint32(r.Rip),
		Cs: uint16(r.Cs), Eflags: uint32(r.Eflags), EspAtSignal: uint32(r.Rsp), Ss: uint16(r.Ss),
		Fpstate: uint32(fpstate), Oldmask: uint32(d.Mask), Cr2: uint32(d.CR2),
	}
	f := &Frame{Addr: addr, Image: image, Regs: d.Regs}
	f.Regs.Rax, f.Regs.Rdx, f.Regs.Rcx = uint64(d.Signal), 0, 0
	if rt {
		frame := abi.RtSigframe32{
			Sig:     int32(d.Signal),
			Pinfo:   uint32(addr + uint64(unsafe.Offsetof(abi.RtSigframe32{}.Info))),
			PUC:     uint32(addr + uint64(unsafe.Offsetof(abi.RtSigframe32{}.UC))),
			Info:    d.Info.To32(),
			Retcode: abi.RtSigreturnCode32,
			UC: abi.UContext32{
				Flags:    abi.UC_FP_XSTATE,
				Stack:    abi.StackT32{Sp: uint32(d.Alt.Sp), Flags: d.Alt.Flags, Size: uint32(d.Alt.Size)},
				Mcontext: sc,
				Sigmask:  abi.MakeInt64x32(int64(d.Mask)),
			},
		}
		frame.Pretcode = d.restorer32(addr + uint64(unsafe.Offsetof(frame.Retcode)))
		copy(image, abi.Bytes(&frame))
		f.Regs.Rdx, f.Regs.Rcx = uint64(frame.Pinfo), uint64(frame.PUC)
	} else {
		frame := abi.Sigframe32{
			Sig: int32(d.Signal), SC: sc, Extramask: uint32(d.Mask >> 32), Retcode: abi.SigreturnCode32,
		}
		frame.Pretcode = d.restorer32(addr + uint64(unsafe.Offsetof(frame.Retcode)))
		copy(image, abi.Bytes(&frame))
	}
	d.CPU.save(image[xstate-addr:], d.XState, fsaveSize)
	fsave := fsaveOf(image[xstate-addr:], r)
	copy(image[fpstate-addr:], abi.Bytes(&fsave))

	f.Regs.Rsp = addr
	f.Regs.Rip = d.Action.Handler
	f.Regs.Eflags &^= eflagsCleared
	f.Regs.Cs, f.Regs.Ss, f.Regs.Ds, f.Regs.Es = userCS32, userDS, userDS, userDS
	f.Regs.Orig_rax = ^uint64(0)
	return f, nil
}

// restorer32 is where the handler returns to; retcode is the code for that in
// the frame itself, on a stack that may be executable.
func (d *Delivery) restorer32(retcode uint64) uint32 {
	switch {
	case d.Action.Flags&abi.SA_RESTORER != 0:
		return uint32(d.Action.Restorer)
	case d.Return32 != 0:
		return uint32(d.Return32)
	}
	return uint32(retcode)
}

// fsaveOf says in the old format what the fxsave image x says of the x87.
func fsaveOf(x []byte, r *Regs) abi.FsaveHeader32 {
	sw := le.Uint16(x[fswAt:])
	h := abi.FsaveHeader32{
		Cw:      uint32(le.Uint16(x[fcwAt:])) | fsaveHigh,
		Sw:      uint32(sw) | fsaveHigh,
		Tag:     fsaveHigh,
		IPOff:   le.Uint32(x[fipAt:]),
		CSSel:   uint32(r.Cs), // what it was at the x87's exception is not known
		DataOff: le.Uint32(x[fdpAt:]),
		DataSel: uint32(uint16(r.Ds)) | fsaveHigh,
		Status:  sw,
	}
	top := int(sw >> 11 & 7)
	for i := range h.St {
		copy(h.St[i][:], x[stAt+16*i:])
		// The tags go by register, the image by stack position.
		const valid, zero, special, empty = 0, 1, 2, 3
		tag := uint32(empty)
		if x[ftwAt]>>i&1 != 0 {
			st := x[stAt+16*((i-top)&7):]
			exponent, significand := le.Uint16(st[8:])&0x7fff, le.Uint64(st)
			switch {
			case exponent == 0 && significand == 0:
				tag = zero
			case exponent == 0x7fff || exponent == 0 || significand>>63 == 0:
				tag = special
			default:
				tag = valid
			}
		}
		h.Tag |= tag << (2 * i)
	}
	return h
}

// fold puts the fsave image over the x87 part of an fxsave image.
func fold(x []byte, h *abi.FsaveHeader32) {
	le.PutUint16(x[fcwAt:], uint16(h.Cw))
	le.PutUint16(x[fswAt:], uint16(h.Sw))
	le.PutUint16(x[ftwAt:], 0)
	for i := range 8 {
		if h.Tag>>(2*i)&3 != 3 {
			x[ftwAt] |= 1 << i
		}
		copy(x[stAt+16*i:], h.St[i][:])
	}
	le.PutUint16(x[fopAt:], uint16(h.CSSel>>16))
	le.PutUint64(x[fipAt:], uint64(h.IPOff))
	le.PutUint64(x[fdpAt:], uint64(h.DataOff))
}

// Return32 is sigreturn(2), and with rt rt_sigreturn(2), of i386. Only the
// latter has an alternate stack to set. Otherwise as Return.
func (c *CPU) Return32(regs *Regs, rt bool, read Read) (*Restored, error) {
	sp := uint64(uint32(regs.Rsp))
	out := &Restored{Regs: *regs}
	var m abi.Sigcontext32
	if rt {
		// The return address has been popped.
		var frame abi.RtSigframe32
		if err := read(uint64(uint32(sp-4)), abi.Bytes(&frame)); err != nil {
			return nil, err
		}
		m = frame.UC.Mcontext
		out.Mask = uint64(frame.UC.Sigmask.Int64())
		s := frame.UC.Stack
		out.Alt, out.HasAlt = abi.StackT{Sp: uint64(s.Sp), Flags: s.Flags, Size: uint64(s.Size)}, true
	} else {
		// And here the signal number too.
		var frame abi.Sigframe32
		if err := read(uint64(uint32(sp-8)), abi.Bytes(&frame)); err != nil {
			return nil, err
		}
		m = frame.SC
		out.Mask = uint64(m.Oldmask) | uint64(frame.Extramask)<<32
	}
	out.Mask &^= unblockable

	r := &out.Regs
	r.Rdi, r.Rsi, r.Rbp, r.Rsp = uint64(m.Edi), uint64(m.Esi), uint64(m.Ebp), uint64(m.Esp)
	r.Rbx, r.Rdx, r.Rcx, r.Rax = uint64(m.Ebx), uint64(m.Edx), uint64(m.Ecx), uint64(m.Eax)
	r.Rip = uint64(m.Eip)
	r.Eflags = r.Eflags&^eflagsRestored | uint64(m.Eflags)&eflagsRestored
	r.Cs, r.Ss = uint64(m.Cs)|3, uint64(m.Ss)|3
	r.Gs, r.Fs, r.Ds, r.Es = userSelector(m.Gs), userSelector(m.Fs), userSelector(m.Ds), userSelector(m.Es)
	r.Orig_rax = ^uint64(0)
	x, err := c.restore32(uint64(m.Fpstate), read)
	if err != nil {
		return out, unix.EFAULT
	}
	out.XState = x
	return out, nil
}

// userSelector gives a selector user privilege. Of the null ones, 0 to 3, the
// processor makes 0 on its way back to user mode.
func userSelector(s uint16) uint64 {
	if s <= 3 {
		return 0
	}
	return uint64(s | 3)
}

// restore32 is restore for the state that an fsave image precedes. Linux takes
// another way then, by memory instead of XRSTOR, which differs in what it
// minds.
func (c *CPU) restore32(addr uint64, read Read) ([]byte, error) {
	if addr == 0 {
		return c.Init(), nil
	}
	var h abi.FsaveHeader32
	if err := read(addr, abi.Bytes(&h)); err != nil {
		return nil, err
	}
	x, wanted, full, err := c.readState(addr+uint64(fsaveSize), read)
	if err != nil {
		return nil, err
	}
	bv := uint64(featureFP | featureSSE)
	if full {
		if bv = le.Uint64(x[bvAt:]); bv&^c.Features != 0 || !zero(x[bvAt+8:minXState]) {
			return nil, unix.EFAULT
		}
	}
	mxcsr := le.Uint32(x[mxcsrAt:])
	if bv&(featureFP|featureSSE|featureYMM) != 0 && mxcsr&^c.mxcsrMask() != 0 {
		return nil, unix.EFAULT
	}
	fold(x, &h)
	bv &= wanted
	if bv&featureSSE == 0 {
		le.PutUint32(x[mxcsrAt:], mxcsrInit)
	}
	clear(x[bvAt:minXState])
	le.PutUint64(x[bvAt:], bv)
	return x, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
