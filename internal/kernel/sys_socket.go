package kernel

import (
	"math"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/net"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"socket":      r3(sysSocket),
		"socketpair":  e4(sysSocketpair),
		"bind":        e3(sysBind),
		"connect":     e3(sysConnect),
		"listen":      e2(sysListen),
		"accept":      r3(sysAccept),
		"accept4":     r4(sysAccept4),
		"getsockname": e3(sysGetsockname),
		"getpeername": e3(sysGetpeername),
		"shutdown":    e2(sysShutdown),
		"getsockopt":  e5(sysGetsockopt),
		"setsockopt":  e5(sysSetsockopt),
		"sendto":      r6(sysSendto),
		"recvfrom":    r6(sysRecvfrom),
		"sendmsg":     r3(sysSendmsg[abi.Msghdr](&messages64)),
		"recvmsg":     r3(sysRecvmsg[abi.Msghdr](&messages64)),
		"sendmmsg":    r4(sysSendmmsg[abi.Mmsghdr](&messages64)),
		"recvmmsg":    r5(sysRecvmmsg[abi.Mmsghdr, unix.Timespec](&messages64)),
	})
}

// At implements net.Context.
func (t *Task) At() vfs.At { return t.atCwd() }

// IDs implements net.Context.
func (t *Task) IDs() net.IDs {
	c := t.cred
	return net.IDs{PID: t.p.pid, UID: c.UID, EUID: c.EUID, SUID: c.SUID, GID: c.GID, EGID: c.EGID, SGID: c.SGID,
		Groups: c.fs.Groups, MaySetUID: c.Has(unix.CAP_SETUID), MaySetGID: c.Has(unix.CAP_SETGID), MayClaimOtherPID: c.Has(unix.CAP_SYS_ADMIN)}
}

var _ net.Context = (*Task)(nil)

const sockFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

// maxSockaddr is sizeof(struct sockaddr_storage).
const maxSockaddr = 128

// withSocket runs f with the socket behind fd, held meanwhile.
func (t *Task) withSocket(fd FD, f func(file *vfs.File, s net.Socket) error) error {
	return t.withFile(fd, func(file *vfs.File) error {
		s, err := net.Of(file)
		if err != nil {
			return err
		}
		return f(file, s)
	})
}

// sockaddrIn reads an address that a program gives.
func (t *Task) sockaddrIn(addr Addr, n int32) ([]byte, error) {
	if n < 0 || n > maxSockaddr {
		return nil, unix.EINVAL
	}
	b := make([]byte, n)
	if err := t.CopyIn(uint64(addr), b); err != nil {
		return b, err
	}
	return b, t.mayUseAddr(b)
}

// sockaddrOut writes an address, cut to the room there is, and its full length.
func (t *Task) sockaddrOut(a []byte, addr Addr, size Ptr[int32]) error {
	n, err := size.In(t)
	if err != nil {
		return err
	}
	if n < 0 {
		return unix.EINVAL
	}
	if err := t.CopyOut(uint64(addr), a[:min(len(a), int(n))]); err != nil {
		return err
	}
	return size.Put(t, int32(len(a)))
}

func sysSocket(t *Task, family, typ, protocol int32) (int, error) {
	f, err := t.k.net.Socket(t, int(family), int(typ), int(protocol))
	if err != nil {
		return 0, err
	}
	return t.installFile(f, typ&unix.SOCK_CLOEXEC != 0)
}

func sysSocketpair(t *Task, family, typ, protocol int32, p Ptr[[2]int32]) error {
	f, g, err := t.k.net.Pair(t, int(family), int(typ), int(protocol))
	if err != nil {
		return err
	}
	return t.installPair(f, g, typ&unix.SOCK_CLOEXEC != 0, p)
}

// installPair gives two descriptions descriptors and tells them to the guest.
func (t *Task) installPair(f, g *vfs.File, cloexec bool, p Ptr[[2]int32]) error {
	a, err := t.installFile(f, cloexec)
	if err != nil {
		g.Unref(t)
		return err
	}
	b, err := t.installFile(g, cloexec)
	if err != nil {
		t.files.Close(t, a)
		return err
	}
	fds := [2]int32{int32(a), int32(b)}
	if err := p.Out(t, &fds); err != nil {
		t.files.Close(t, a)
		t.files.Close(t, b)
		return err
	}
	return nil
}

func sysBind(t *Task, fd FD, addr Addr, n int32) error {
	return t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
		a, err := t.sockaddrIn(addr, n)
		if err != nil {
			return err
		}
		return s.Bind(t, f, a)
	})
}

func sysConnect(t *Task, fd FD, addr Addr, n int32) error {
	return t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
		a, err := t.sockaddrIn(addr, n)
		if err != nil {
			return err
		}
		return s.Connect(t, f, a)
	})
}

func sysListen(t *Task, fd FD, backlog int32) error {
	return t.withSocket(fd, func(f *vfs.File, s net.Socket) error { return s.Listen(t, f, int(backlog)) })
}

func sysAccept(t *Task, fd FD, addr Addr, size Ptr[int32]) (int, error) {
	return sysAccept4(t, fd, addr, size, 0)
}

func sysAccept4(t *Task, fd FD, addr Addr, size Ptr[int32], flags int32) (n int, err error) {
	if flags&^sockFlags != 0 {
		return 0, unix.EINVAL
	}
	err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
		g, peer, err := s.Accept(t, f, int(flags)&unix.SOCK_NONBLOCK)
		if err != nil {
			return err
		}
		if addr != 0 {
			if err := t.sockaddrOut(peer, addr, size); err != nil {
				g.Unref(t)
				return err
			}
		}
		n, err = t.installFile(g, flags&unix.SOCK_CLOEXEC != 0)
		return err
	})
	return n, err
}

func sysGetsockname(t *Task, fd FD, addr Addr, size Ptr[int32]) error {
	return t.withSocket(fd, func(_ *vfs.File, s net.Socket) error {
		a, err := s.Name()
		if err != nil {
			return err
		}
		return t.sockaddrOut(a, addr, size)
	})
}

func sysGetpeername(t *Task, fd FD, addr Addr, size Ptr[int32]) error {
	return t.withSocket(fd, func(_ *vfs.File, s net.Socket) error {
		a, err := s.Peer()
		if err != nil {
			return err
		}
		return t.sockaddrOut(a, addr, size)
	})
}

func sysShutdown(t *Task, fd FD, how int32) error {
	return t.withSocket(fd, func(_ *vfs.File, s net.Socket) error { return s.Shutdown(t, int(how)) })
}

// maxSockopt bounds the value of an option.
const maxSockopt = 64 << 10

func sysGetsockopt(t *Task, fd FD, level, name int32, val Addr, size Ptr[int32]) error {
	return t.getsockopt(fd, size, func(s net.Socket, room int) ([]byte, error) {
		return s.GetSockOpt(t, int(level), int(name), room)
	}, val)
}

// getsockopt tells the value of an option that get returns.
func (t *Task) getsockopt(fd FD, size Ptr[int32], get func(s net.Socket, room int) ([]byte, error), val Addr) error {
	return t.withSocket(fd, func(_ *vfs.File, s net.Socket) error {
		n, err := size.In(t)
		if err != nil {
			return err
		}
		if n < 0 {
			return unix.EINVAL
		}
		b, err := get(s, min(int(n), maxSockopt))
		if err != nil {
			return err
		}
		if err := t.CopyOut(uint64(val), b); err != nil {
			return err
		}
		return size.Put(t, int32(len(b)))
	})
}

func sysSetsockopt(t *Task, fd FD, level, name int32, val Addr, n int32) error {
	return t.setsockopt(fd, level, name, n, func() ([]byte, error) {
		b := make([]byte, n)
		return b, t.CopyIn(uint64(val), b)
	})
}

// setsockopt sets an option to the value that get reads.
func (t *Task) setsockopt(fd FD, level, name, n int32, get func() ([]byte, error)) error {
	return t.withSocket(fd, func(_ *vfs.File, s net.Socket) error {
		if n < 0 || n > maxSockopt {
			return unix.EINVAL
		}
		b, err := get()
		if err != nil {
			return err
		}
		return s.SetSockOpt(t, int(level), int(name), b)
	})
}

// maxMessage bounds the data of one message: what is longer goes in pieces
// through a stream, and is EMSGSIZE elsewhere.
const maxMessage = 4 << 20

// send sends one message; v is where its data lie in the guest.
func (t *Task) send(f *vfs.File, s net.Socket, v []iovec, m *net.Message, flags int) (n int, err error) {
	var total uint64
	for _, e := range v {
		total += e.Len
	}
	switch {
	case total <= maxMessage:
		if m.Data, err = t.gather(v); err != nil {
			return 0, err
		}
		n, err = s.SendMsg(t, f, m, flags)
	case !net.PipeSignal(f):
		return 0, unix.EMSGSIZE
	default:
		var sent uint64
		sent, err = t.writeFrom(v, 0, func(p []byte, _ int64) (int, error) {
			m.Data = p
			k, err := s.SendMsg(t, f, m, flags)
			m.Control.Release(t) // it went with the first piece
			m.Control = net.Control{}
			return k, err
		})
		n = int(sent)
	}
	if err == unix.EPIPE && flags&unix.MSG_NOSIGNAL == 0 && net.PipeSignal(f) {
		t.writeError(err)
	}
	return n, err
}

// receive receives one message into the guest's memory.
func (t *Task) receive(f *vfs.File, s net.Socket, v []iovec, m *net.Message, flags int) (int, error) {
	var total uint64
	for i := range v {
		// As much as a write by the guest itself could reach; the rest is
		// EFAULT before anything is taken.
		if v[i].Len > 0 && t.accessible(v[i].Base, v[i].Len, true) != v[i].Len {
			return 0, unix.EFAULT
		}
		total += v[i].Len
	}
	b := t.buffer(int(min(total, 4*chunk)))
	defer t.free(b)
	m.Data = b
	n, err := s.RecvMsg(t, f, m, flags)
	if err != nil {
		return 0, err
	}
	if e := t.scatter(v, b[:min(n, len(b))], 0); e != nil {
		m.Control.Release(t)
		return 0, e
	}
	// What MSG_WAITALL wants of a stream may be more than the buffer holds.
	for uint64(n) < total && n > 0 && n%len(b) == 0 && flags&(unix.MSG_WAITALL|unix.MSG_PEEK|unix.MSG_TRUNC) == unix.MSG_WAITALL &&
		net.PipeSignal(f) && len(m.Control.Files) == 0 {
		more := net.Message{Data: b[:min(uint64(len(b)), total-uint64(n))]}
		k, err := s.RecvMsg(t, f, &more, flags)
		if err != nil || k == 0 {
			break
		}
		m.Control.Files = more.Control.Files
		if e := t.scatter(v, more.Data[:k], uint64(n)); e != nil {
			break
		}
		n += k
	}
	return n, nil
}

// scatter spreads b over a vector's memory, from skip bytes on.
func (t *Task) scatter(v []iovec, b []byte, skip uint64) error {
	for _, s := range v {
		if len(b) == 0 {
			return nil
		}
		if skip >= s.Len {
			skip -= s.Len
			continue
		}
		k := min(s.Len-skip, uint64(len(b)))
		if err := t.CopyOut(s.Base+skip, b[:k]); err != nil {
			return err
		}
		b, skip = b[k:], 0
	}
	return nil
}

func sysSendto(t *Task, fd FD, buf Addr, n uint64, flags int32, addr Addr, size int32) (sent int, err error) {
	err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
		var m net.Message
		if addr != 0 {
			if m.Name, err = t.sockaddrIn(addr, size); err != nil {
				return err
			}
		}
		sent, err = t.send(f, s, []iovec{{Base: uint64(buf), Len: min(n, maxIO)}}, &m, int(flags))
		return err
	})
	return sent, err
}

func sysRecvfrom(t *Task, fd FD, buf Addr, n uint64, flags int32, addr Addr, size Ptr[int32]) (got int, err error) {
	err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
		var m net.Message
		got, err = t.receive(f, s, []iovec{{Base: uint64(buf), Len: min(n, maxIO)}}, &m, int(flags))
		m.Control.Release(t)
		if err != nil || addr == 0 {
			return err
		}
		return t.sockaddrOut(m.Name, addr, size)
	})
	return got, err
}

// maxControl bounds ancillary data, as net.core.optmem_max.
const maxControl = 128 << 10

// messages is what lies otherwise in the messages of one table than in the
// other's, beyond the header itself.
type messages struct {
	vector func(t *Task, h *abi.Msghdr) ([]iovec, error)
	compat bool // control messages are those of i386
}

var messages64 = messages{vector: messageVector[iovec]}

// messageVector reads a message's iovecs: more than IOV_MAX is EMSGSIZE here.
func messageVector[V iovecs](t *Task, h *abi.Msghdr) ([]iovec, error) {
	if h.Iovlen > maxIovecs {
		return nil, unix.EMSGSIZE
	}
	return vector(t, Ptr[V](h.Iov), h.Iovlen)
}

func (l *messages) send(t *Task, f *vfs.File, s net.Socket, h *abi.Msghdr, flags int) (int, error) {
	v, err := l.vector(t, h)
	if err != nil {
		return 0, err
	}
	var m net.Message
	if h.Name != 0 {
		if h.Namelen < 0 {
			return 0, unix.EINVAL
		}
		if m.Name, err = t.sockaddrIn(Addr(h.Name), min(h.Namelen, maxSockaddr)); err != nil {
			return 0, err
		}
	}
	if h.Controllen > maxControl {
		return 0, unix.ENOBUFS
	}
	if h.Controllen > 0 {
		raw := make([]byte, h.Controllen)
		if err := t.CopyIn(h.Control, raw); err != nil {
			return 0, err
		}
		if m.Control, err = net.ParseControl(t, raw, l.compat, t.files.GetPath); err != nil {
			return 0, err
		}
	}
	n, err := t.send(f, s, v, &m, flags)
	m.Control.Release(t)
	return n, err
}

func sysSendmsg[M msghdrs](l *messages) func(*Task, FD, Ptr[M], int32) (int, error) {
	return func(t *Task, fd FD, p Ptr[M], flags int32) (n int, err error) {
		err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
			h, err := load[abi.Msghdr](t, p)
			if err != nil {
				return err
			}
			n, err = l.send(t, f, s, &h, int(flags))
			return err
		})
		return n, err
	}
}

// receive receives a message and puts what its header is to tell into h.
func (l *messages) receive(t *Task, f *vfs.File, s net.Socket, h *abi.Msghdr, flags int) (int, error) {
	if h.Namelen < 0 {
		return 0, unix.EINVAL
	}
	v, err := l.vector(t, h)
	if err != nil {
		return 0, err
	}
	var m net.Message
	n, err := t.receive(f, s, v, &m, flags)
	if err != nil {
		return 0, err
	}
	space := int(min(h.Controllen, maxControl))
	if h.Control == 0 {
		space = 0
	}
	control, more := m.Control.Marshal(t, space, l.compat, func(g *vfs.File) (int, error) {
		return t.files.Install(g, 0, t.fileLimit(), flags&unix.MSG_CMSG_CLOEXEC != 0)
	})
	if h.Name != 0 {
		if err := t.CopyOut(h.Name, m.Name[:min(len(m.Name), int(h.Namelen))]); err != nil {
			return 0, err
		}
		h.Namelen = int32(len(m.Name))
	}
	if err := t.CopyOut(h.Control, control); err != nil {
		return 0, err
	}
	h.Controllen = uint64(len(control))
	h.Flags = uint32(m.Flags | more | flags&unix.MSG_CMSG_CLOEXEC)
	return n, nil
}

func sysRecvmsg[M msghdrs](l *messages) func(*Task, FD, Ptr[M], int32) (int, error) {
	return func(t *Task, fd FD, p Ptr[M], flags int32) (n int, err error) {
		err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
			h, err := load[abi.Msghdr](t, p)
			if err != nil {
				return err
			}
			if n, err = l.receive(t, f, s, &h, int(flags)); err != nil {
				return err
			}
			return store(t, p, h)
		})
		return n, err
	}
}

func sysSendmmsg[M mmsghdrs](l *messages) func(*Task, FD, Ptr[M], uint32, int32) (int, error) {
	return func(t *Task, fd FD, p Ptr[M], n uint32, flags int32) (done int, err error) {
		err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
			for done < int(min(n, maxIovecs)) {
				h, err := load[abi.Mmsghdr](t, p.At(done))
				if err == nil {
					var k int
					if k, err = l.send(t, f, s, &h.Hdr, int(flags)); err == nil {
						h.Len = uint32(k)
						err = store(t, p.At(done), h)
					}
				}
				if err != nil {
					if done > 0 {
						return nil
					}
					return err
				}
				done++
			}
			return nil
		})
		return done, err
	}
}

func sysRecvmmsg[M mmsghdrs, T timespecs](l *messages) func(*Task, FD, Ptr[M], uint32, int32, Ptr[T]) (int, error) {
	return func(t *Task, fd FD, p Ptr[M], n uint32, flags int32, timeout Ptr[T]) (done int, err error) {
		end := int64(math.MaxInt64)
		if timeout != 0 {
			ts, err := load[unix.Timespec](t, timeout)
			if err != nil {
				return 0, err
			}
			if !validTimespec(ts) {
				return 0, unix.EINVAL
			}
			end = t.deadlineIn(ts)
		}
		err = t.withSocket(fd, func(f *vfs.File, s net.Socket) error {
			fl := int(flags) &^ unix.MSG_WAITFORONE
			for done < int(min(n, maxIovecs)) {
				h, err := load[abi.Mmsghdr](t, p.At(done))
				if err == nil {
					var k int
					if k, err = l.receive(t, f, s, &h.Hdr, fl); err == nil {
						h.Len = uint32(k)
						err = store(t, p.At(done), h)
					}
				}
				if err != nil {
					if done > 0 {
						return nil
					}
					return err
				}
				done++
				if flags&unix.MSG_WAITFORONE != 0 {
					fl |= unix.MSG_DONTWAIT
				}
				if t.k.clock.Monotonic() >= end {
					return nil
				}
			}
			return nil
		})
		return done, err
	}
}
