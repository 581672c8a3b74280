package abi

// Msghdr is struct msghdr (struct user_msghdr in the kernel).
type Msghdr struct {
	Name       uint64
	Namelen    int32
	_          int32
	Iov        uint64
	Iovlen     uint64
	Control    uint64
	Controllen uint64
	Flags      uint32
	_          uint32
}

// Mmsghdr is struct mmsghdr, of sendmmsg and recvmmsg.
type Mmsghdr struct {
	Hdr Msghdr
	Len uint32
	_   uint32
}

// Cmsghdr is struct cmsghdr; Len counts it and the data after it, without the padding that follows.
type Cmsghdr struct {
	Len   uint64
	Level int32
	Type  int32
}

// CmsgAlign rounds n up to where the next control message may start.
func CmsgAlign(n uint64) uint64 { return (n + 7) &^ 7 }

// The calls behind i386's socketcall. They share their names with system call numbers in x/sys/unix and are not those.
const (
	SYS_SOCKET      = 1
	SYS_BIND        = 2
	SYS_CONNECT     = 3
	SYS_LISTEN      = 4
	SYS_ACCEPT      = 5
	SYS_GETSOCKNAME = 6
	SYS_GETPEERNAME = 7
	SYS_SOCKETPAIR  = 8
	SYS_SEND        = 9
	SYS_RECV        = 0xa
	SYS_SENDTO      = 0xb
	SYS_RECVFROM    = 0xc
	SYS_SHUTDOWN    = 0xd
	SYS_SETSOCKOPT  = 0xe
	SYS_GETSOCKOPT  = 0xf
	SYS_SENDMSG     = 0x10
	SYS_RECVMSG     = 0x11
	SYS_ACCEPT4     = 0x12
	SYS_RECVMMSG    = 0x13
	SYS_SENDMMSG    = 0x14
)

// Flags of send and recv that x/sys/unix lacks.
const (
	MSG_PROBE        = 0x10
	MSG_SPLICE_PAGES = 0x8000000
	MSG_CMSG_COMPAT  = 0x80000000
)
