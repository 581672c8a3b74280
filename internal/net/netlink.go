package net

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// netlinkSock is a socket of AF_NETLINK, netlink(7), that speaks
// NETLINK_ROUTE, rtnetlink(7): it tells of the loopback interface and its
// addresses, which getifaddrs(3) asks for. Nothing can be changed.
type netlinkSock struct {
	sock
	port  uint32 // nl_pid
	bound bool
	// options of SOL_NETLINK that were set
	ints map[int]int32
}

func newNetlink(n *Stack, ctx Context, typ, protocol int) (Socket, error) {
	if typ != unix.SOCK_RAW && typ != unix.SOCK_DGRAM {
		return nil, unix.ESOCKTNOSUPPORT
	}
	if protocol != unix.NETLINK_ROUTE {
		return nil, unix.EPROTONOSUPPORT
	}
	s := &netlinkSock{}
	s.init(n, ctx, s, unix.AF_NETLINK, typ, protocol)
	return s, nil
}

// netlinkAddr is a sockaddr_nl.
func netlinkAddr(port uint32) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_NETLINK)
	b = append(b, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, port)
	return append(b, 0, 0, 0, 0)
}

// kernelAddr is where replies come from.
var kernelAddr = netlinkAddr(0)

func (s *netlinkSock) parse(addr []byte) (port uint32, err error) {
	if len(addr) < unix.SizeofSockaddrNetlink || binary.NativeEndian.Uint16(addr) != unix.AF_NETLINK {
		return 0, unix.EINVAL
	}
	return binary.NativeEndian.Uint32(addr[4:]), nil
}

// bind gives s a port: the one asked for, the process's number, or, when
// that is taken, one that no process has.
func (s *netlinkSock) bind(ctx vfs.Context, port uint32) error {
	taken := s.stack.netlink
	if port == 0 {
		port = uint32(ctx.PID())
		for next := uint32(1<<32 - 4097); taken[port] != nil; next-- {
			port = next
		}
	}
	if taken[port] != nil {
		return unix.EADDRINUSE
	}
	taken[port] = s
	s.port, s.bound = port, true
	return nil
}

// Bind implements Socket. There are no groups that anything is sent to.
func (s *netlinkSock) Bind(ctx Context, _ *vfs.File, addr []byte) error {
	port, err := s.parse(addr)
	if err != nil {
		return err
	}
	if s.bound {
		if port != s.port {
			return unix.EINVAL
		}
		return nil
	}
	return s.bind(ctx, port)
}

// Connect implements Socket: there is nobody but the kernel to talk to.
func (s *netlinkSock) Connect(ctx Context, _ *vfs.File, addr []byte) error {
	if len(addr) < 2 {
		return unix.EINVAL
	}
	if binary.NativeEndian.Uint16(addr) == unix.AF_UNSPEC {
		return nil
	}
	port, err := s.parse(addr)
	if err != nil {
		return err
	}
	if port != 0 {
		return unix.EPERM
	}
	if !s.bound {
		return s.bind(ctx, 0)
	}
	return nil
}

// Listen implements Socket.
func (s *netlinkSock) Listen(Context, *vfs.File, int) error { return unix.EOPNOTSUPP }

// Accept implements Socket.
func (s *netlinkSock) Accept(Context, *vfs.File, int) (*vfs.File, []byte, error) {
	return nil, nil, unix.EOPNOTSUPP
}

// Shutdown implements Socket.
func (s *netlinkSock) Shutdown(Context, int) error { return unix.EOPNOTSUPP }

// Name implements Socket.
func (s *netlinkSock) Name() ([]byte, error) { return netlinkAddr(s.port), nil }

// Peer implements Socket.
func (s *netlinkSock) Peer() ([]byte, error) { return kernelAddr, nil }

// Read implements vfs.Reader.
func (s *netlinkSock) Read(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	m := Message{Data: p}
	n, _, err := s.recvPacket(ctx, &m, 0, s.toRecv(ctx, f, 0))
	return n, err
}

// Write implements vfs.Writer.
func (s *netlinkSock) Write(ctx vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) {
	return s.send(ctx, p)
}

// SendMsg implements Socket.
func (s *netlinkSock) SendMsg(ctx Context, _ *vfs.File, m *Message, flags int) (int, error) {
	if flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if len(m.Name) > 0 {
		port, err := s.parse(m.Name)
		if err != nil {
			return 0, err
		}
		if port != 0 {
			return 0, unix.ECONNREFUSED
		}
	}
	n, err := s.send(ctx, m.Data)
	if err == nil {
		m.Control.Release(ctx)
	}
	return n, err
}

// RecvMsg implements Socket.
func (s *netlinkSock) RecvMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error) {
	n, _, err := s.recvPacket(ctx, m, flags, s.toRecv(ctx, f, flags))
	return n, err
}

// Poll implements vfs.Poller.
func (s *netlinkSock) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	ev := wait.Writable | wait.WrBand
	if s.err != 0 {
		ev |= wait.Err
	}
	if s.packets.head != nil {
		ev |= wait.Readable
	}
	return ev, &s.queue
}

// Release implements vfs.Impl.
func (s *netlinkSock) Release(vfs.Context) {
	s.gone()
	s.packets.purge()
	if s.bound {
		delete(s.stack.netlink, s.port)
	}
}

// GetSockOpt implements Socket.
func (s *netlinkSock) GetSockOpt(_ Context, level, name, space int) ([]byte, error) {
	var v []byte
	var err error
	switch level {
	case unix.SOL_SOCKET:
		v, err = s.option(name)
	case unix.SOL_NETLINK:
		v = intBytes(int(s.ints[name]))
	default:
		err = unix.ENOPROTOOPT
	}
	if err != nil {
		return nil, err
	}
	return v[:min(len(v), space)], nil
}

// SetSockOpt implements Socket.
func (s *netlinkSock) SetSockOpt(ctx Context, level, name int, v []byte) error {
	switch level {
	case unix.SOL_SOCKET:
		return s.setOption(ctx, name, v)
	case unix.SOL_NETLINK:
		n, err := intOption(v)
		if err != nil {
			return err
		}
		if name < unix.NETLINK_ADD_MEMBERSHIP || name > unix.NETLINK_GET_STRICT_CHK {
			return unix.ENOPROTOOPT
		}
		if s.ints == nil {
			s.ints = make(map[int]int32)
		}
		s.ints[name] = n
		return nil
	}
	return unix.ENOPROTOOPT
}

// send answers the requests in p.
func (s *netlinkSock) send(ctx vfs.Context, p []byte) (int, error) {
	if !s.bound {
		if err := s.bind(ctx, 0); err != nil {
			return 0, err
		}
	}
	if len(p) > s.opt.sndbuf-32 {
		return 0, unix.EMSGSIZE
	}
	for rest := p; len(rest) >= unix.NLMSG_HDRLEN; {
		n := int(binary.NativeEndian.Uint32(rest))
		if n < unix.NLMSG_HDRLEN || n > len(rest) {
			break
		}
		s.request(ctx, rest[:n])
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return len(p), nil
}

// request answers one request.
func (s *netlinkSock) request(ctx vfs.Context, req []byte) {
	kind := binary.NativeEndian.Uint16(req[4:])
	flags := binary.NativeEndian.Uint16(req[6:])
	r := reply{seq: binary.NativeEndian.Uint32(req[8:]), port: s.port}
	if flags&unix.NLM_F_REQUEST == 0 || kind < unix.NLMSG_MIN_TYPE {
		if flags&unix.NLM_F_ACK != 0 {
			r.fail(req, 0)
			s.deliver(r.b)
		}
		return
	}
	body := req[unix.NLMSG_HDRLEN:]
	family := byte(unix.AF_UNSPEC)
	if len(body) > 0 {
		family = body[0]
	}
	dump := flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP
	var err unix.Errno
	switch {
	case kind == unix.RTM_GETLINK && dump:
		r.multi = true
		r.link()
	case kind == unix.RTM_GETLINK:
		if len(body) < unix.SizeofIfInfomsg {
			err = unix.EINVAL
		} else if !asksForLo(body) {
			err = unix.ENODEV
		} else {
			r.link()
		}
	case kind == unix.RTM_GETADDR && dump:
		r.multi = true
		if family != unix.AF_INET6 {
			r.address(unix.AF_INET)
		}
		if family != unix.AF_INET {
			r.address(unix.AF_INET6)
		}
	case dump && (kind == unix.RTM_GETROUTE || kind == unix.RTM_GETNEIGH || kind == unix.RTM_GETRULE):
		r.multi = true // there are none
	case kind&3 != 2 && !ctx.Cred().Has(unix.CAP_NET_ADMIN): // all but those that get
		err = unix.EPERM
	default:
		err = unix.EOPNOTSUPP
	}
	if r.multi {
		at := r.begin(unix.NLMSG_DONE)
		r.b = append(r.b, 0, 0, 0, 0)
		r.end(at)
	} else if err != 0 || flags&unix.NLM_F_ACK != 0 {
		r.fail(req, err)
	}
	s.deliver(r.b)
}

// asksForLo reports whether a RTM_GETLINK is about the loopback interface, by
// number or by name.
func asksForLo(body []byte) bool {
	if index := binary.NativeEndian.Uint32(body[4:]); index != 0 {
		return index == loIndex
	}
	for a := body[unix.SizeofIfInfomsg:]; len(a) >= 4; {
		n := int(binary.NativeEndian.Uint16(a))
		if n < 4 || n > len(a) {
			return false
		}
		if v := string(a[4:n]); binary.NativeEndian.Uint16(a[2:]) == unix.IFLA_IFNAME && (v == loName || v == loName+"\x00") {
			return true
		}
		a = a[min((n+3)&^3, len(a)):]
	}
	return false
}

// NetlinkSender returns what sends the kernel's messages to a netlink socket:
// ENOTSOCK or EINVAL for what is none. It may be called when the socket is
// closed already.
func NetlinkSender(f *vfs.File) (func([]byte), error) {
	if _, err := Of(f); err != nil {
		return nil, err
	}
	s, ok := f.Impl.(*netlinkSock)
	if !ok {
		return nil, unix.EINVAL
	}
	return func(b []byte) {
		if !s.dead {
			s.deliver(b)
		}
	}, nil
}

// deliver queues what is sent back.
func (s *netlinkSock) deliver(b []byte) {
	if len(b) == 0 {
		return
	}
	p := &packet{data: b, name: kernelAddr, cost: packetCost(len(b))}
	if s.packets.cost+p.cost > s.opt.rcvbuf {
		s.err = unix.ENOBUFS
		s.failed()
		return
	}
	s.packets.push(p)
	s.arrived()
}

// reply is a message to a guest in the making.
type reply struct {
	b         []byte
	seq, port uint32
	multi     bool
}

// begin starts a message, whose length end puts in.
func (r *reply) begin(kind uint16) (at int) {
	at = len(r.b)
	var flags uint16
	if r.multi {
		flags = unix.NLM_F_MULTI
	}
	r.b = binary.NativeEndian.AppendUint32(r.b, 0)
	r.b = binary.NativeEndian.AppendUint16(r.b, kind)
	r.b = binary.NativeEndian.AppendUint16(r.b, flags)
	r.b = binary.NativeEndian.AppendUint32(r.b, r.seq)
	r.b = binary.NativeEndian.AppendUint32(r.b, r.port)
	return at
}

func (r *reply) end(at int) {
	binary.NativeEndian.PutUint32(r.b[at:], uint32(len(r.b)-at))
}

// attr adds an attribute.
func (r *reply) attr(kind uint16, v []byte) {
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(4+len(v)))
	r.b = binary.NativeEndian.AppendUint16(r.b, kind)
	r.b = append(r.b, v...)
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
}

// fail is the answer to a request that cannot be served; 0 acknowledges.
func (r *reply) fail(req []byte, err unix.Errno) {
	at := r.begin(unix.NLMSG_ERROR)
	r.b = binary.NativeEndian.AppendUint32(r.b, uint32(-int32(err)))
	if err == 0 {
		req = req[:unix.NLMSG_HDRLEN]
	}
	r.b = append(r.b, req...)
	r.end(at)
}

// link tells of the loopback interface.
func (r *reply) link() {
	at := r.begin(unix.RTM_NEWLINK)
	r.b = append(r.b, unix.AF_UNSPEC, 0)
	r.b = binary.NativeEndian.AppendUint16(r.b, unix.ARPHRD_LOOPBACK)
	r.b = binary.NativeEndian.AppendUint32(r.b, loIndex)
	r.b = binary.NativeEndian.AppendUint32(r.b, loFlags|unix.IFF_LOWER_UP)
	r.b = binary.NativeEndian.AppendUint32(r.b, 0)
	r.attr(unix.IFLA_IFNAME, []byte(loName+"\x00"))
	r.attr(unix.IFLA_TXQLEN, intBytes(1000))
	r.attr(unix.IFLA_OPERSTATE, []byte{0})
	r.attr(unix.IFLA_LINKMODE, []byte{0})
	r.attr(unix.IFLA_MTU, intBytes(loopbackMTU))
	r.attr(unix.IFLA_QDISC, []byte("noqueue\x00"))
	r.attr(unix.IFLA_ADDRESS, make([]byte, 6))
	r.attr(unix.IFLA_BROADCAST, make([]byte, 6))
	r.end(at)
}

// address tells of the interface's address in a family.
func (r *reply) address(family byte) {
	a, bits := loopback4, byte(8)
	if family == unix.AF_INET6 {
		a, bits = loopback6, 128
	}
	at := r.begin(unix.RTM_NEWADDR)
	r.b = append(r.b, family, bits, unix.IFA_F_PERMANENT, unix.RT_SCOPE_HOST)
	r.b = binary.NativeEndian.AppendUint32(r.b, loIndex)
	r.attr(unix.IFA_ADDRESS, a.AsSlice())
	if family == unix.AF_INET {
		r.attr(unix.IFA_LOCAL, a.AsSlice())
		r.attr(unix.IFA_LABEL, []byte(loName+"\x00"))
	}
	r.attr(unix.IFA_FLAGS, intBytes(unix.IFA_F_PERMANENT))
	cache := binary.NativeEndian.AppendUint64(nil, 1<<64-1) // for ever
	r.attr(unix.IFA_CACHEINFO, append(cache, make([]byte, 8)...))
	r.end(at)
}
