package abi

// Auxv is one entry of the auxiliary vector.
type Auxv struct {
	Tag   uint64
	Value uint64
}

// Tags of the auxiliary vector.
const (
	AT_NULL              = 0
	AT_IGNORE            = 1
	AT_EXECFD            = 2
	AT_PHDR              = 3
	AT_PHENT             = 4
	AT_PHNUM             = 5
	AT_PAGESZ            = 6
	AT_BASE              = 7
	AT_FLAGS             = 8
	AT_ENTRY             = 9
	AT_NOTELF            = 0xa
	AT_UID               = 0xb
	AT_EUID              = 0xc
	AT_GID               = 0xd
	AT_EGID              = 0xe
	AT_PLATFORM          = 0xf
	AT_HWCAP             = 0x10
	AT_CLKTCK            = 0x11
	AT_SECURE            = 0x17
	AT_BASE_PLATFORM     = 0x18
	AT_RANDOM            = 0x19
	AT_HWCAP2            = 0x1a
	AT_RSEQ_FEATURE_SIZE = 27
	AT_RSEQ_ALIGN        = 28
	AT_HWCAP3            = 29
	AT_HWCAP4            = 30
	AT_EXECFN            = 0x1f
	AT_SYSINFO           = 32
	AT_SYSINFO_EHDR      = 0x21
	AT_MINSIGSTKSZ       = 0x33
)
