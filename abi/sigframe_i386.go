package abi

// The frames of signal handlers on i386: a Sigframe32 when the handler was set without SA_SIGINFO, else an RtSigframe32,
// at an address that is 12 modulo 16 (as after a call). The extended state above it is an FsaveHeader32 directly followed
// by the fxsave or xsave image, which is aligned to 64 bytes; Sigcontext32.Fpstate points to the header. The handler gets
// its arguments from the frame and, for programs built with regparm, in eax, edx and ecx.

// Sigcontext32 is struct sigcontext.
type Sigcontext32 struct {
	Gs, _                                  uint16
	Fs, _                                  uint16
	Es, _                                  uint16
	Ds, _                                  uint16
	Edi, Esi, Ebp, Esp, Ebx, Edx, Ecx, Eax uint32
	Trapno, Err, Eip                       uint32
	Cs, _                                  uint16
	Eflags, EspAtSignal                    uint32
	Ss, _                                  uint16
	Fpstate, Oldmask, Cr2                  uint32
}

// UContext32 is struct ucontext.
type UContext32 struct {
	Flags    uint32
	Link     uint32
	Stack    StackT32
	Mcontext Sigcontext32
	Sigmask  Int64x32
}

// Sigframe32 is the frame of a handler without SA_SIGINFO. The upper half of the mask is in Extramask, the lower in
// SC.Oldmask. Retcode is SigreturnCode32; debuggers know the frame by it.
type Sigframe32 struct {
	Pretcode  uint32
	Sig       int32
	SC        Sigcontext32
	_         [624]byte // where the fpu state once was
	Extramask uint32
	Retcode   [8]byte
}

// RtSigframe32 is the frame of a handler with SA_SIGINFO. Pinfo and PUC are the addresses of Info and UC.
type RtSigframe32 struct {
	Pretcode uint32
	Sig      int32
	Pinfo    uint32
	PUC      uint32
	Info     Siginfo32
	UC       UContext32
	Retcode  [8]byte
}

// The code in a frame that calls sigreturn (after popping the signal) or rt_sigreturn.
var (
	SigreturnCode32   = [8]byte{0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80}
	RtSigreturnCode32 = [8]byte{0xb8, 173, 0, 0, 0, 0xcd, 0x80, 0}
)

// FsaveHeader32 precedes the fxsave image in a signal frame. Magic is 0 when that image is there.
type FsaveHeader32 struct {
	Cw, Sw, Tag, IPOff, CSSel, DataOff, DataSel uint32
	St                                          [8][10]byte
	Status                                      uint16
	Magic                                       uint16
}
