package abi

// Iovec is struct iovec.
type Iovec struct {
	Base uint64
	Len  uint64
}

// Flock is struct flock. (unix.Flock_t has implicit padding.)
type Flock struct {
	Type   int16
	Whence int16
	_      [4]byte
	Start  int64
	Len    int64
	Pid    int32
	_      [4]byte
}

// Ustat is struct ustat. (unix.Ustat_t has implicit padding.)
type Ustat struct {
	Tfree  int32
	_      [4]byte
	Tinode uint64
	Fname  [6]byte
	Fpack  [6]byte
	_      [4]byte
}

// FOwnerEx is struct f_owner_ex of F_SETOWN_EX.
type FOwnerEx struct {
	Type int32
	Pid  int32
}

// FileHandle is the header of struct file_handle; HandleBytes bytes follow.
type FileHandle struct {
	HandleBytes uint32
	HandleType  int32
}

// MAX_HANDLE_SZ is the most that FileHandle.HandleBytes may be.
const MAX_HANDLE_SZ = 128

// Iocb is struct iocb: one request of io_submit.
type Iocb struct {
	Data      uint64
	Key       uint32
	RWFlags   uint32
	Opcode    uint16
	Reqprio   int16
	Fildes    uint32
	Buf       uint64
	Nbytes    uint64
	Offset    int64
	Reserved2 uint64
	Flags     uint32
	Resfd     uint32
}

// IoEvent is struct io_event.
type IoEvent struct {
	Data uint64
	Obj  uint64
	Res  int64
	Res2 int64
}

// XattrArgs is struct xattr_args of setxattrat and getxattrat.
type XattrArgs struct {
	Value uint64
	Size  uint32
	Flags uint32
}

// Kinds of owner of F_SETOWN_EX, and events of F_NOTIFY.
const (
	F_OWNER_TID  = 0
	F_OWNER_PID  = 1
	F_OWNER_PGRP = 2
	F_INPROGRESS = 16
	DN_ACCESS    = 1
	DN_MODIFY    = 2
	DN_CREATE    = 4
	DN_DELETE    = 8
	DN_RENAME    = 0x10
	DN_ATTRIB    = 0x20
	DN_MULTISHOT = 0x80000000
)

// Flags of name_to_handle_at and statx.
const (
	AT_HANDLE_FID           = 0x200
	AT_HANDLE_MNT_ID_UNIQUE = 1
	AT_STATX_SYNC_TYPE      = 0x6000
)

// Flags of userfaultfd.
const (
	UFFD_USER_MODE_ONLY = 1
)

// Flags of mount and of statfs that x/sys/unix lacks.
const (
	ST_VALID       = 0x20
	ST_NOSYMFOLLOW = 0x2000
)

// Commands of quotactl.
const (
	Q_SYNC         = 0x800001
	Q_QUOTAON      = 0x800002
	Q_QUOTAOFF     = 0x800003
	Q_GETFMT       = 0x800004
	Q_GETINFO      = 0x800005
	Q_SETINFO      = 0x800006
	Q_GETQUOTA     = 0x800007
	Q_SETQUOTA     = 0x800008
	Q_GETNEXTQUOTA = 0x800009
)

// Magic numbers of file systems that x/sys/unix lacks.
const (
	MQUEUE_MAGIC = 0x19800202
)

// Commands of an Iocb.
const (
	IOCB_CMD_PREAD   = 0
	IOCB_CMD_PWRITE  = 1
	IOCB_CMD_FSYNC   = 2
	IOCB_CMD_FDSYNC  = 3
	IOCB_CMD_POLL    = 5
	IOCB_CMD_NOOP    = 6
	IOCB_CMD_PREADV  = 7
	IOCB_CMD_PWRITEV = 8
	IOCB_FLAG_RESFD  = 1
	IOCB_FLAG_IOPRIO = 2
)
