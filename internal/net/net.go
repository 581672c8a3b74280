// Package net has the sockets of a machine: AF_UNIX, AF_INET and AF_INET6
// on a loopback interface of the machine's own, and as much of AF_NETLINK as
// tells of that interface. Nothing leads out of the machine.
//
// Contract: guarded by the kernel lock; what may wait does so through the
// context and looks at the socket anew after each sleep. A socket's two
// directions are queues at the receiving end. The call layer copies data and
// addresses from and to the guest; addresses are sockaddr bytes.
package net

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Context is the caller of a socket call. A vfs.Context that is no more than
// that (a read or write may come so) has the ids of its Cred.
type Context interface {
	vfs.Context
	// At is where the names of sockets are resolved from.
	At() vfs.At
	// IDs is who a message comes from.
	IDs() IDs
}

// IDs are a process's number and its real, effective and saved ids.
type IDs struct {
	PID              int
	UID, EUID, SUID  uint32
	GID, EGID, SGID  uint32
	Groups           []uint32
	MaySetUID        bool // CAP_SETUID, and so on: may claim other ids
	MaySetGID        bool
	MayClaimOtherPID bool // CAP_SYS_ADMIN
}

func idsOf(ctx vfs.Context) IDs {
	if c, ok := ctx.(Context); ok {
		return c.IDs()
	}
	c := ctx.Cred()
	return IDs{PID: ctx.PID(), UID: c.UID, EUID: c.UID, SUID: c.UID, GID: c.GID, EGID: c.GID, SGID: c.GID, Groups: c.Groups}
}

// Socket is what the file of a socket serves, beside read, write, poll and
// ioctl. f is the file it is called through, whose O_NONBLOCK counts.
type Socket interface {
	vfs.Impl
	vfs.Reader
	vfs.Writer
	vfs.Poller
	vfs.Ioctler
	Bind(ctx Context, f *vfs.File, addr []byte) error
	Connect(ctx Context, f *vfs.File, addr []byte) error
	Listen(ctx Context, f *vfs.File, backlog int) error
	// Accept returns a new connection and its peer's address; flags are
	// SOCK_NONBLOCK, checked by the caller.
	Accept(ctx Context, f *vfs.File, flags int) (*vfs.File, []byte, error)
	// SendMsg sends m.Data. It takes over the files of m.Control, which it
	// sets to nil then; on an error they stay with the caller. EPIPE means
	// SIGPIPE too, unless MSG_NOSIGNAL is set or PipeSignal says no.
	SendMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error)
	// RecvMsg fills m.Data and the rest of m, whose files become the
	// caller's. With MSG_TRUNC the count may be above len(m.Data).
	RecvMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error)
	Shutdown(ctx Context, how int) error
	Name() ([]byte, error)
	Peer() ([]byte, error)
	// GetSockOpt returns at most space bytes.
	GetSockOpt(ctx Context, level, name, space int) ([]byte, error)
	SetSockOpt(ctx Context, level, name int, value []byte) error
}

// Message is what SendMsg and RecvMsg move.
type Message struct {
	Data    []byte
	Name    []byte // the address to send to or that sent, nil for none
	Control Control
	Flags   int // set by RecvMsg: MSG_TRUNC
}

// Of returns the socket behind f, ENOTSOCK if it is none.
func Of(f *vfs.File) (Socket, error) {
	if s, ok := f.Impl.(Socket); ok {
		return s, nil
	}
	return nil, unix.ENOTSOCK
}

// PipeSignal reports whether EPIPE from writing to f comes with SIGPIPE: it
// does, unless f is a socket of messages.
func PipeSignal(f *vfs.File) bool {
	if s, ok := f.Impl.(interface{ base() *sock }); ok {
		return s.base().typ == unix.SOCK_STREAM
	}
	return true
}

// Stack is a network namespace: the names sockets are bound to.
type Stack struct {
	// MaxDgramQlen is net.unix.max_dgram_qlen, for sockets made from now on.
	MaxDgramQlen int

	ino               uint64
	abstract          map[abstractName]*unixSock
	autobind          uint32
	flights           flights
	inFlight          int         // files that messages hold
	doomed            []*vfs.File // to be given back, see drop
	dropping          bool
	tcp, udp, udplite ports
	netlink           map[uint32]*netlinkSock // by port
	all               sockets
}

// New returns the namespace of a new machine.
func New() *Stack {
	return &Stack{
		MaxDgramQlen: maxDgramQlen,
		abstract:     make(map[abstractName]*unixSock),
		tcp:          newPorts(), udp: newPorts(), udplite: newPorts(),
		netlink: make(map[uint32]*netlinkSock),
	}
}

// families has who makes the sockets of each address family.
var families = map[int]func(n *Stack, ctx Context, typ, protocol int) (Socket, error){
	unix.AF_UNIX:    newUnix,
	unix.AF_INET:    newInet,
	unix.AF_INET6:   newInet6,
	unix.AF_NETLINK: newNetlink,
}

const typeFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

// Socket is socket(2). SOCK_CLOEXEC is the descriptor table's business.
func (n *Stack) Socket(ctx Context, family, typ, protocol int) (*vfs.File, error) {
	s, err := n.socket(ctx, family, typ, protocol)
	if err != nil {
		return nil, err
	}
	return s.(interface{ base() *sock }).base().open(s, typ), nil
}

func (n *Stack) socket(ctx Context, family, typ, protocol int) (Socket, error) {
	kind := typ &^ typeFlags
	if kind&^0xf != 0 || kind > unix.SOCK_PACKET || kind < 0 {
		return nil, unix.EINVAL
	}
	if family < 0 {
		return nil, unix.EAFNOSUPPORT
	}
	mk := families[family]
	if mk == nil {
		return nil, unix.EAFNOSUPPORT
	}
	return mk(n, ctx, kind, protocol)
}

// Pair is socketpair(2).
func (n *Stack) Pair(ctx Context, family, typ, protocol int) (a, b *vfs.File, err error) {
	sa, err := n.socket(ctx, family, typ, protocol)
	if err != nil {
		return nil, nil, err
	}
	ua, ok := sa.(*unixSock)
	if !ok {
		sa.Release(ctx)
		return nil, nil, unix.EOPNOTSUPP
	}
	ub := n.newUnix(ctx, ua.typ)
	ua.join(ctx, ub)
	return ua.open(ua, typ), ub.open(ub, typ), nil
}
