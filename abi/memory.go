package abi

// PageSize is the size of a page on both architectures.
const PageSize = 4096

// Page protection bits of i386 and x86-64 that x/sys/unix lacks.
const (
	PROT_SEM               = 8
	PKEY_DISABLE_ACCESS    = 1
	PKEY_DISABLE_WRITE     = 2
	MAP_UNINITIALIZED      = 0x4000000
	SHADOW_STACK_SET_TOKEN = 1
)

// Advice of madvise that x/sys/unix lacks.
const (
	MADV_SOFT_OFFLINE = 0x65
)
