package abi

// Dispositions: the values of Sigaction.Handler that are no address.
const (
	SIG_DFL = 0
	SIG_IGN = 1
)

// NSIG is the number of signals, which are numbered from 1 to it.
const NSIG = 64

// Sigaction is the kernel's struct sigaction (not libc's).
type Sigaction struct {
	Handler  uint64
	Flags    uint64
	Restorer uint64
	Mask     uint64
}

// StackT is stack_t: an alternate signal stack.
type StackT struct {
	Sp    uint64
	Flags int32
	_     int32
	Size  uint64
}

// Sigevent is struct sigevent: how a timer, message queue or AIO request notifies.
type Sigevent struct {
	Value  uint64
	Signo  int32
	Notify int32
	TID    int32 // of SIGEV_THREAD_ID
	_      [44]byte
}

// Dispositions and flags of sigaction.
const (
	SA_NOCLDSTOP      = 1
	SA_NOCLDWAIT      = 2
	SA_SIGINFO        = 4
	SA_UNSUPPORTED    = 0x400
	SA_EXPOSE_TAGBITS = 0x800
	SA_RESTORER       = 0x4000000
	SA_ONSTACK        = 0x8000000
	SA_RESTART        = 0x10000000
	SA_NODEFER        = 0x40000000
	SA_RESETHAND      = 0x80000000
)

// The kernel's own signal numbers: real-time signals start right after the classic 31.
const (
	SIGRTMIN    = 32
	SIGRTMAX    = 64
	MINSIGSTKSZ = 0x800
)

// Flags of sigaltstack.
const (
	SS_ONSTACK    = 1
	SS_DISABLE    = 2
	SS_AUTODISARM = 0x80000000
)

// Ways of notification in a Sigevent.
const (
	SIGEV_SIGNAL    = 0
	SIGEV_NONE      = 1
	SIGEV_THREAD    = 2
	SIGEV_THREAD_ID = 4
)
