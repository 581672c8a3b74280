package abi

// The frame of a signal handler on x86-64. The kernel pushes, from low to high addresses, an RtSigframe at an address
// that is 8 modulo 16 (as after a call), and above it the extended state, aligned to 64, to which UContext.Mcontext.Fpstate
// points. The handler is entered with rsp at the frame, rdi = the signal, rsi = &Info, rdx = &UC, rax = 0.

// Sigcontext is struct sigcontext: the registers that a handler sees and may change.
type Sigcontext struct {
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rdi, Rsi, Rbp, Rbx, Rdx, Rax, Rcx, Rsp uint64
	Rip, Eflags                            uint64
	Cs, Gs, Fs, Ss                         uint16
	Err, Trapno, Oldmask, Cr2              uint64
	Fpstate                                uint64
	_                                      [8]uint64
}

// UContext is struct ucontext as the kernel has it, with an 8-byte signal mask.
type UContext struct {
	Flags    uint64
	Link     uint64
	Stack    StackT
	Mcontext Sigcontext
	Sigmask  uint64
}

// RtSigframe is the frame below the extended state. Pretcode is the return address: the restorer.
type RtSigframe struct {
	Pretcode uint64
	UC       UContext
	Info     Siginfo
}

// Flags of UContext.
const (
	UC_FP_XSTATE         = 1 // Fpstate has xsave state beyond the 512 bytes of fxsave
	UC_SIGCONTEXT_SS     = 2 // Ss is saved
	UC_STRICT_RESTORE_SS = 4 // and restored as it is
)

// Extended state in a signal frame is the fxsave image, in whose software-reserved bytes an FpxSWBytes says how much
// follows: the xsave header and its components, and after XstateSize bytes a word FP_XSTATE_MAGIC2.
const (
	FxsaveSize           = 512
	FpxSWBytesOffset     = 464 // of FpxSWBytes in the fxsave image
	XsaveHeaderOffset    = 512
	XsaveHeaderSize      = 64
	FP_XSTATE_MAGIC1     = 0x46505853
	FP_XSTATE_MAGIC2     = 0x46505845
	FP_XSTATE_MAGIC2Size = 4
	XstateAlign          = 64
	RedZone              = 128 // bytes below rsp that a frame must not touch on x86-64
)

// FpxSWBytes are the software-reserved bytes of the fxsave image in a signal frame.
type FpxSWBytes struct {
	Magic1       uint32 // FP_XSTATE_MAGIC1
	ExtendedSize uint32 // of all with FP_XSTATE_MAGIC2, and on i386 with the fsave header
	Xfeatures    uint64 // the components that are there
	XstateSize   uint32
	_            [7]uint32
}

// XsaveHeader follows the fxsave image in xsave state.
type XsaveHeader struct {
	XstateBV uint64
	XcompBV  uint64
	_        [6]uint64
}
