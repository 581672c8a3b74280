package abi

// CloneArgs is struct clone_args of clone3, in its newest size (CLONE_ARGS_SIZE_VER2).
type CloneArgs struct {
	Flags      uint64
	Pidfd      uint64
	ChildTID   uint64
	ParentTID  uint64
	ExitSignal uint64
	Stack      uint64
	StackSize  uint64
	TLS        uint64
	SetTID     uint64
	SetTIDSize uint64
	Cgroup     uint64
}

// UserDesc is struct user_desc: a segment descriptor for modify_ldt and set_thread_area. Flags is a bit field; see
// UserDescSeg32 and the following.
type UserDesc struct {
	EntryNumber uint32
	BaseAddr    uint32
	Limit       uint32
	Flags       uint32
}

// Bits of UserDesc.Flags.
const (
	UserDescSeg32        = 1 << 0
	UserDescContents     = 3 << 1 // 0 data, 1 stack (grows down), 2 code, 3 conforming code
	UserDescReadExecOnly = 1 << 3
	UserDescLimitInPages = 1 << 4
	UserDescNotPresent   = 1 << 5
	UserDescUseable      = 1 << 6
	UserDescLM           = 1 << 7 // 64-bit code
)

// Empty reports whether the descriptor asks for its entry to be cleared.
func (d *UserDesc) Empty() bool {
	if d.BaseAddr != 0 || d.Limit != 0 {
		return false
	}
	f := d.Flags &^ UserDescLM
	return f == UserDescReadExecOnly|UserDescNotPresent || f == 0
}

// Sysinfo is struct sysinfo. (unix.Sysinfo_t has implicit padding.)
type Sysinfo struct {
	Uptime    int64
	Loads     [3]uint64 // of 1, 5 and 15 minutes, times 65536
	Totalram  uint64    // this and the following in Units
	Freeram   uint64
	Sharedram uint64
	Bufferram uint64
	Totalswap uint64
	Freeswap  uint64
	Procs     uint16
	_         [6]byte
	Totalhigh uint64
	Freehigh  uint64
	Unit      uint32
	_         [4]byte
}

// SchedParam is struct sched_param.
type SchedParam struct{ Priority int32 }

// Rseq is struct rseq in its original size of 32 bytes.
type Rseq struct {
	CPUIDStart uint32
	CPUID      uint32
	RseqCS     uint64
	Flags      uint32
	NodeID     uint32
	MmCID      uint32
	_          uint32
}

// SeccompData is what a seccomp filter sees.
type SeccompData struct {
	Nr   int32
	Arch Arch
	IP   uint64
	Args [6]uint64
}

// SockFprog is struct sock_fprog: a classic BPF program of Len unix.SockFilter at Filter.
type SockFprog struct {
	Len    uint16
	_      [6]byte
	Filter uint64
}

// Sizes and places in struct user, which PTRACE_PEEKUSER and PTRACE_POKEUSER address: the general registers
// (unix.PtraceRegs) come first.
const (
	UserSize     = 928
	UserDebugreg = 848 // u_debugreg[8]
)

// PtraceSyscallInfo is struct ptrace_syscall_info, what PTRACE_GET_SYSCALL_INFO reports. Data is a union by Op: at entry
// the number and six arguments, at exit the result and, in the low byte of the second word, whether it is an error, at a
// seccomp stop as at entry and the filter's data in the low half of the eighth word.
type PtraceSyscallInfo struct {
	Op   uint8
	_    [3]byte
	Arch Arch
	IP   uint64
	SP   uint64
	Data [8]uint64
}

// PtracePeekSiginfoArgs is struct ptrace_peeksiginfo_args.
type PtracePeekSiginfoArgs struct {
	Off   uint64
	Flags uint32
	Nr    int32
}

// PtraceRseqConfiguration is struct ptrace_rseq_configuration.
type PtraceRseqConfiguration struct {
	RseqABIPointer uint64
	RseqABISize    uint32
	Signature      uint32
	Flags          uint32
	_              uint32
}

// Operations of arch_prctl.
const (
	ARCH_SET_GS               = 0x1001
	ARCH_SET_FS               = 0x1002
	ARCH_GET_FS               = 0x1003
	ARCH_GET_GS               = 0x1004
	ARCH_GET_CPUID            = 0x1011
	ARCH_SET_CPUID            = 0x1012
	ARCH_GET_XCOMP_SUPP       = 0x1021
	ARCH_GET_XCOMP_PERM       = 0x1022
	ARCH_REQ_XCOMP_PERM       = 0x1023
	ARCH_GET_XCOMP_GUEST_PERM = 0x1024
	ARCH_REQ_XCOMP_GUEST_PERM = 0x1025
	ARCH_MAP_VDSO_X32         = 0x2001
	ARCH_MAP_VDSO_32          = 0x2002
	ARCH_MAP_VDSO_64          = 0x2003
	ARCH_GET_UNTAG_MASK       = 0x4001
	ARCH_ENABLE_TAGGED_ADDR   = 0x4002
	ARCH_GET_MAX_TAG_BITS     = 0x4003
	ARCH_FORCE_TAGGED_SVA     = 0x4004
	ARCH_SHSTK_ENABLE         = 0x5001
	ARCH_SHSTK_DISABLE        = 0x5002
	ARCH_SHSTK_LOCK           = 0x5003
	ARCH_SHSTK_UNLOCK         = 0x5004
	ARCH_SHSTK_STATUS         = 0x5005
)

// Personalities and their flags.
const (
	PER_LINUX          = 0
	PER_LINUX32        = 8
	PER_LINUX32_3GB    = 0x8000008
	PER_BSD            = 6
	PER_MASK           = 0xff
	UNAME26            = 0x20000
	ADDR_NO_RANDOMIZE  = 0x40000
	FDPIC_FUNCPTRS     = 0x80000
	MMAP_PAGE_ZERO     = 0x100000
	ADDR_COMPAT_LAYOUT = 0x200000
	READ_IMPLIES_EXEC  = 0x400000
	ADDR_LIMIT_32BIT   = 0x800000
	SHORT_INODE        = 0x1000000
	WHOLE_SECONDS      = 0x2000000
	STICKY_TIMEOUTS    = 0x4000000
	ADDR_LIMIT_3GB     = 0x8000000
)

// Types of kcmp.
const (
	KCMP_FILE      = 0
	KCMP_VM        = 1
	KCMP_FILES     = 2
	KCMP_FS        = 3
	KCMP_SIGHAND   = 4
	KCMP_IO        = 5
	KCMP_SYSVSEM   = 6
	KCMP_EPOLL_TFD = 7
)

// Commands and flags of membarrier.
const (
	MEMBARRIER_CMD_QUERY                                = 0
	MEMBARRIER_CMD_GLOBAL                               = 1
	MEMBARRIER_CMD_GLOBAL_EXPEDITED                     = 2
	MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED            = 4
	MEMBARRIER_CMD_PRIVATE_EXPEDITED                    = 8
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED           = 0x10
	MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE          = 0x20
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 0x40
	MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ               = 0x80
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ      = 0x100
	MEMBARRIER_CMD_GET_REGISTRATIONS                    = 512
	MEMBARRIER_CMD_FLAG_CPU                             = 1
)

// Restartable sequences.
const (
	RSEQ_FLAG_UNREGISTER            = 1
	RSEQ_CPU_ID_UNINITIALIZED       = -1
	RSEQ_CPU_ID_REGISTRATION_FAILED = -2
)

// I/O priorities.
const (
	IOPRIO_CLASS_NONE  = 0
	IOPRIO_CLASS_RT    = 1
	IOPRIO_CLASS_BE    = 2
	IOPRIO_CLASS_IDLE  = 3
	IOPRIO_CLASS_SHIFT = 0xd
	IOPRIO_WHO_PROCESS = 1
	IOPRIO_WHO_PGRP    = 2
	IOPRIO_WHO_USER    = 3
)
