package kernel

import (
	"encoding/binary"
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"golang.org/x/sys/unix"
)

// altStack is what sigaltstack(2) sets.
type altStack struct {
	sp, size uint64
	flags    int32 // SS_AUTODISARM
}

const (
	ssOnStack    = 1
	ssDisable    = 2
	ssAutoDisarm = -1 << 31
	minSigStack  = 2048
)

// on reports whether sp lies on the stack.
func (a *altStack) on(sp uint64) bool {
	return a.flags&ssAutoDisarm == 0 && a.size != 0 && sp > a.sp && sp-a.sp <= a.size
}

func (a *altStack) stackT(sp uint64) abi.StackT {
	s := abi.StackT{Sp: a.sp, Size: a.size, Flags: a.flags}
	switch {
	case a.size == 0:
		s.Flags |= ssDisable
	case a.on(sp):
		s.Flags |= ssOnStack
	}
	return s
}

const (
	flagTF = 1 << 8
	flagDF = 1 << 10
	flagRF = 1 << 16
	// the flags that a signal frame may set: AC OF DF TF SF ZF AF PF CF RF
	frameFlags = 1<<18 | 1<<11 | flagDF | flagTF | 1<<7 | 1<<6 | 1<<4 | 1<<2 | 1<<0 | flagRF
)

// pushFrame builds a signal frame and makes the task run the handler. mask is
// what sigreturn puts back.
func (t *Task) pushFrame(i sigInfo, a sigAction, mask sigset) error {
	if a.Flags&saRestorer == 0 {
		return unix.EFAULT // amd64 has no other way back
	}
	xs, err := t.th.XState()
	if err != nil {
		return err
	}
	old := *t.th.Regs()
	sp := old.Rsp - abi.RedZone
	onAlt := t.altstack.on(old.Rsp)
	if a.Flags&saOnStack != 0 && t.altstack.size != 0 && !onAlt {
		sp = t.altstack.sp + t.altstack.size
		onAlt = true
	}
	var f abi.RtSigframe
	size := uint64(unsafe.Sizeof(f))
	fp := (sp - uint64(len(xs)) - abi.FP_XSTATE_MAGIC2Size) &^ (abi.XstateAlign - 1)
	frame := (fp-size)&^15 - 8
	if fp > sp || frame > fp {
		return unix.EFAULT
	}
	if onAlt && t.altstack.flags&ssAutoDisarm == 0 && (frame <= t.altstack.sp || frame-t.altstack.sp > t.altstack.size) {
		return unix.EFAULT
	}
	f.Pretcode = a.Restorer
	f.UC.Flags = abi.UC_FP_XSTATE | abi.UC_SIGCONTEXT_SS | abi.UC_STRICT_RESTORE_SS
	f.UC.Stack = t.altstack.stackT(old.Rsp)
	f.UC.Sigmask = uint64(mask)
	m := &f.UC.Mcontext
	saveContext(m, &old)
	if t.fault != nil {
		m.Err, m.Trapno, m.Cr2 = t.fault.Err, t.fault.TrapNo, t.fault.CR2
		t.fault = nil
	}
	m.Oldmask = uint64(mask)
	m.Fpstate = fp
	*(*sigInfo)(unsafe.Pointer(&f.Info)) = i

	image := make([]byte, fp+uint64(len(xs))+abi.FP_XSTATE_MAGIC2Size-frame)
	copy(image, asBytes(&f))
	x := image[fp-frame:]
	copy(x, xs)
	le := binary.LittleEndian
	var features uint64
	if len(xs) >= abi.XsaveHeaderOffset+abi.XsaveHeaderSize {
		features = le.Uint64(xs[abi.FpxSWBytesOffset:]) // ptrace(2) puts the enabled ones there
	}
	sw := abi.FpxSWBytes{Magic1: abi.FP_XSTATE_MAGIC1, ExtendedSize: uint32(len(xs)) + abi.FP_XSTATE_MAGIC2Size, Xfeatures: features, XstateSize: uint32(len(xs))}
	copy(x[abi.FpxSWBytesOffset:], asBytes(&sw))
	le.PutUint32(x[len(xs):], abi.FP_XSTATE_MAGIC2)
	if err := t.CopyOut(frame, image); err != nil {
		return err
	}
	if t.altstack.flags&ssAutoDisarm != 0 && onAlt {
		t.altstack = altStack{}
	}
	r := t.th.EditRegs()
	r.Rip, r.Rsp, r.Rax = a.Handler, frame, 0
	r.Rdi = uint64(i.Signo)
	r.Rsi = frame + uint64(unsafe.Offsetof(f.Info))
	r.Rdx = frame + uint64(unsafe.Offsetof(f.UC))
	r.Cs, r.Ss = 0x33, 0x2b
	r.Eflags &^= flagDF | flagRF | flagTF
	// The handler starts with the state of a fresh program.
	initXState(xs)
	return t.th.SetXState(xs)
}

// initXState turns an image into the initial state: no component in use.
func initXState(xs []byte) {
	le := binary.LittleEndian
	for i := abi.XsaveHeaderOffset; i < len(xs) && i < abi.XsaveHeaderOffset+abi.XsaveHeaderSize; i++ {
		xs[i] = 0
	}
	clear(xs[:416])
	le.PutUint16(xs[0:], 0x37f)   // x87 control word
	le.PutUint32(xs[24:], 0x1f80) // mxcsr
}

func saveContext(m *abi.Sigcontext, r *machine.Regs) {
	m.R8, m.R9, m.R10, m.R11 = r.R8, r.R9, r.R10, r.R11
	m.R12, m.R13, m.R14, m.R15 = r.R12, r.R13, r.R14, r.R15
	m.Rdi, m.Rsi, m.Rbp, m.Rbx = r.Rdi, r.Rsi, r.Rbp, r.Rbx
	m.Rdx, m.Rax, m.Rcx, m.Rsp = r.Rdx, r.Rax, r.Rcx, r.Rsp
	m.Rip, m.Eflags = r.Rip, r.Eflags
	m.Cs, m.Ss = uint16(r.Cs), uint16(r.Ss)
}

func restoreContext(r *machine.Regs, m *abi.Sigcontext, flags uint64) {
	r.R8, r.R9, r.R10, r.R11 = m.R8, m.R9, m.R10, m.R11
	r.R12, r.R13, r.R14, r.R15 = m.R12, m.R13, m.R14, m.R15
	r.Rdi, r.Rsi, r.Rbp, r.Rbx = m.Rdi, m.Rsi, m.Rbp, m.Rbx
	r.Rdx, r.Rax, r.Rcx, r.Rsp = m.Rdx, m.Rax, m.Rcx, m.Rsp
	r.Rip = m.Rip
	r.Eflags = r.Eflags&^frameFlags | m.Eflags&frameFlags
	r.Cs = uint64(m.Cs) | 3
	r.Ss = 0x2b
	if flags&abi.UC_SIGCONTEXT_SS != 0 && flags&abi.UC_STRICT_RESTORE_SS != 0 {
		r.Ss = uint64(m.Ss) | 3
	}
}

// sysRtSigreturn undoes pushFrame. A frame that cannot be read or is nonsense
// is a SIGSEGV.
func sysRtSigreturn(t *Task) error {
	t.noResult = true
	var f abi.RtSigframe
	sp := t.th.Regs().Rsp
	if err := t.CopyIn(sp-8, asBytes(&f)); err != nil {
		t.force(kernelSignal(int(unix.SIGSEGV)))
		return nil
	}
	m := &f.UC.Mcontext
	if err := t.restoreXState(m.Fpstate); err != nil {
		t.force(kernelSignal(int(unix.SIGSEGV)))
		return nil
	}
	restoreContext(t.th.EditRegs(), m, f.UC.Flags)
	t.setMask(sigset(f.UC.Sigmask))
	// As Linux: what is wrong with the stack is not reported.
	t.setAltStack(f.UC.Stack, t.th.Regs().Rsp)
	t.interruptd = false
	return nil
}

// restoreXState loads the extended state from a signal frame.
func (t *Task) restoreXState(fp uint64) error {
	xs, err := t.th.XState()
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if fp == 0 {
		initXState(xs)
		return t.th.SetXState(xs)
	}
	if fp%abi.XstateAlign != 0 {
		return unix.EFAULT
	}
	enabled := le.Uint64(xs[abi.FpxSWBytesOffset:])
	image := make([]byte, len(xs))
	if err := t.CopyIn(fp, image[:abi.FxsaveSize]); err != nil {
		return err
	}
	var sw abi.FpxSWBytes
	copy(asBytes(&sw), image[abi.FpxSWBytesOffset:])
	size := int(sw.XstateSize)
	extended := sw.Magic1 == abi.FP_XSTATE_MAGIC1 && size >= abi.FxsaveSize+abi.XsaveHeaderSize && size <= len(xs) && uint64(sw.ExtendedSize) >= uint64(size)+abi.FP_XSTATE_MAGIC2Size
	if extended {
		var magic [4]byte
		if err := t.CopyIn(fp+uint64(size), magic[:]); err != nil {
			return err
		}
		extended = le.Uint32(magic[:]) == abi.FP_XSTATE_MAGIC2
	}
	header := image[abi.XsaveHeaderOffset:]
	if extended {
		if err := t.CopyIn(fp, image[:size]); err != nil {
			return err
		}
		le.PutUint64(header, le.Uint64(header)&sw.Xfeatures&enabled)
		clear(header[8:abi.XsaveHeaderSize])
	} else {
		le.PutUint64(header, 3) // x87 and SSE only
	}
	mx := le.Uint32(image[24:])
	le.PutUint32(image[24:], mx&le.Uint32(maskOrDefault(xs[28:32])))
	clear(image[abi.FpxSWBytesOffset:abi.FxsaveSize])
	le.PutUint64(image[abi.FpxSWBytesOffset:], enabled)
	return t.th.SetXState(image)
}

// maskOrDefault is MXCSR_MASK as fxsave gave it; 0 stands for the oldest.
func maskOrDefault(m []byte) []byte {
	if m[0]|m[1]|m[2]|m[3] == 0 {
		return []byte{0xbf, 0xff, 0, 0}
	}
	return m
}
