package abi

// RobustListHead is struct robust_list_head: the list of held locks that a thread leaves to the kernel.
type RobustListHead struct {
	List          uint64
	FutexOffset   int64
	ListOpPending uint64
}

// FutexWaitv is one futex that futex_waitv waits for.
type FutexWaitv struct {
	Val   uint64
	Uaddr uint64
	Flags uint32
	_     uint32
}

// Operations and options of futex.
const (
	FUTEX_WAIT            = 0
	FUTEX_WAKE            = 1
	FUTEX_FD              = 2
	FUTEX_REQUEUE         = 3
	FUTEX_CMP_REQUEUE     = 4
	FUTEX_WAKE_OP         = 5
	FUTEX_LOCK_PI         = 6
	FUTEX_UNLOCK_PI       = 7
	FUTEX_TRYLOCK_PI      = 8
	FUTEX_WAIT_BITSET     = 9
	FUTEX_WAKE_BITSET     = 0xa
	FUTEX_WAIT_REQUEUE_PI = 0xb
	FUTEX_CMP_REQUEUE_PI  = 0xc
	FUTEX_LOCK_PI2        = 0xd
	FUTEX_PRIVATE_FLAG    = 0x80
	FUTEX_CLOCK_REALTIME  = 0x100
	FUTEX_CMD_MASK        = 0xfffffe7f
)

// The state in a futex word that is a lock.
const (
	FUTEX_WAITERS          = 0x80000000
	FUTEX_OWNER_DIED       = 0x40000000
	FUTEX_TID_MASK         = 0x3fffffff
	FUTEX_BITSET_MATCH_ANY = 0xffffffff
	ROBUST_LIST_LIMIT      = 0x800
)

// Operation and comparison in val3 of FUTEX_WAKE_OP.
const (
	FUTEX_OP_SET         = 0
	FUTEX_OP_ADD         = 1
	FUTEX_OP_OR          = 2
	FUTEX_OP_ANDN        = 3
	FUTEX_OP_XOR         = 4
	FUTEX_OP_OPARG_SHIFT = 8
	FUTEX_OP_CMP_EQ      = 0
	FUTEX_OP_CMP_NE      = 1
	FUTEX_OP_CMP_LT      = 2
	FUTEX_OP_CMP_LE      = 3
	FUTEX_OP_CMP_GT      = 4
	FUTEX_OP_CMP_GE      = 5
)

// Flags of a FutexWaitv and of futex_wait, futex_wake and futex_requeue.
const (
	FUTEX2_SIZE_U8   = 0
	FUTEX2_SIZE_U16  = 1
	FUTEX2_SIZE_U32  = 2
	FUTEX2_SIZE_U64  = 3
	FUTEX2_SIZE_MASK = 3
	FUTEX2_NUMA      = 4
	FUTEX2_PRIVATE   = 128
	FUTEX_WAITV_MAX  = 0x80
)
