package kernel

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/net"
	"golang.org/x/sys/unix"
)

// Sockets on i386: calls of their own, and the one that they all went by.

var messages32 = messages{vector: messageVector[abi.Iovec32], compat: true}

// socketcalls are the calls of socketcall, by number, and how many arguments
// each takes.
var socketcalls = [...]struct {
	args int
	f    callFunc
}{
	abi.SYS_SOCKET:      {3, r3(sysSocket)},
	abi.SYS_BIND:        {3, e3(sysBind)},
	abi.SYS_CONNECT:     {3, e3(sysConnect)},
	abi.SYS_LISTEN:      {2, e2(sysListen)},
	abi.SYS_ACCEPT:      {3, r3(sysAccept)},
	abi.SYS_GETSOCKNAME: {3, e3(sysGetsockname)},
	abi.SYS_GETPEERNAME: {3, e3(sysGetpeername)},
	abi.SYS_SOCKETPAIR:  {4, e4(sysSocketpair)},
	abi.SYS_SEND:        {4, r6(sysSendto)}, // to no address
	abi.SYS_RECV:        {4, r6(sysRecvfrom)},
	abi.SYS_SENDTO:      {6, r6(sysSendto)},
	abi.SYS_RECVFROM:    {6, r6(sysRecvfrom)},
	abi.SYS_SHUTDOWN:    {2, e2(sysShutdown)},
	abi.SYS_SETSOCKOPT:  {5, e5(sysSetsockopt32)},
	abi.SYS_GETSOCKOPT:  {5, e5(sysGetsockopt32)},
	abi.SYS_SENDMSG:     {3, r3(sysSendmsg[abi.Msghdr32](&messages32))},
	abi.SYS_RECVMSG:     {3, r3(sysRecvmsg[abi.Msghdr32](&messages32))},
	abi.SYS_ACCEPT4:     {4, r4(sysAccept4)},
	abi.SYS_RECVMMSG:    {5, r5(sysRecvmmsg[abi.Mmsghdr32, timespec32](&messages32))},
	abi.SYS_SENDMMSG:    {4, r4(sysSendmmsg[abi.Mmsghdr32](&messages32))},
}

func init() {
	addFamily386(calls{
		"sendmsg":         socketcalls[abi.SYS_SENDMSG].f,
		"recvmsg":         socketcalls[abi.SYS_RECVMSG].f,
		"sendmmsg":        socketcalls[abi.SYS_SENDMMSG].f,
		"recvmmsg":        socketcalls[abi.SYS_RECVMMSG].f,
		"recvmmsg_time64": r5(sysRecvmmsg[abi.Mmsghdr32, timespec64](&messages32)),
		"setsockopt":      socketcalls[abi.SYS_SETSOCKOPT].f,
		"getsockopt":      socketcalls[abi.SYS_GETSOCKOPT].f,
		"socketcall":      sysSocketcall,
	})
}

// sysSocketcall takes the number of a call and where its arguments are.
func sysSocketcall(t *Task, a *[6]uint64) (uint64, error) {
	op := uint32(a[0])
	if op < abi.SYS_SOCKET || op >= uint32(len(socketcalls)) {
		return 0, unix.EINVAL
	}
	c := &socketcalls[op]
	w, err := Ptr[uint32](a[1]).Slice(t, c.args)
	if err != nil {
		return 0, err
	}
	if err := t.maySub(abi.Subcall("socketcall", uint64(op)), w); err != nil {
		return 0, err
	}
	return c.f(t, words6(w))
}

// timeoutOption reports whether an option's value is a struct timeval of longs.
func timeoutOption(level, name int32) bool {
	return level == unix.SOL_SOCKET && (name == unix.SO_RCVTIMEO || name == unix.SO_SNDTIMEO)
}

func sysSetsockopt32(t *Task, fd FD, level, name int32, val Addr, n int32) error {
	return t.setsockopt(fd, level, name, n, func() ([]byte, error) {
		if timeoutOption(level, name) {
			if uintptr(n) < unsafe.Sizeof(abi.Timeval32{}) {
				return nil, unix.EINVAL
			}
			tv, err := load[unix.Timeval](t, Ptr[abi.Timeval32](val))
			return asBytes(&tv), err
		}
		b := make([]byte, n)
		return b, t.CopyIn(uint64(val), b)
	})
}

func sysGetsockopt32(t *Task, fd FD, level, name int32, val Addr, size Ptr[int32]) error {
	if !timeoutOption(level, name) {
		return sysGetsockopt(t, fd, level, name, val, size)
	}
	return t.getsockopt(fd, size, func(s net.Socket, room int) ([]byte, error) {
		b, err := s.GetSockOpt(t, int(level), int(name), int(unsafe.Sizeof(unix.Timeval{})))
		if err != nil {
			return nil, err
		}
		var tv unix.Timeval
		copy(asBytes(&tv), b)
		w := convert[unix.Timeval, abi.Timeval32](tv)
		return asBytes(&w)[:min(room, int(unsafe.Sizeof(w)))], nil
	}, val)
}
