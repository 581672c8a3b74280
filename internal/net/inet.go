package net

import (
	"encoding/binary"
	"net/netip"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// inetSock is a socket of AF_INET or AF_INET6, ip(7): TCP or UDP over the
// loopback interface, whose addresses are 127.0.0.0/8 and ::1.
//
// Contract: addresses are kept unmapped; a socket of AF_INET6 shows those of
// IPv4 mapped. A bound socket is in its port's bucket.
type inetSock struct {
	sock
	local, remote netip.AddrPort // not valid: not bound, not connected
	ports         *ports
	where         *bucket // of local's port, nil when not bound
	accepted      bool
	explicit      bool // the port was asked for
	fixed         bool // the address was asked for
	v6only        bool
	ints          map[option]int32 // options without effect here
	tcp           tcpState
}

type option struct{ level, name int }

// ports are the ports of one protocol.
type ports struct {
	buckets map[uint16]*bucket
	next    uint16 // to be tried for who does not care
}

// bucket is who has a port.
type bucket struct {
	port     uint16
	owners   []*inetSock // bound by themselves
	accepted int         // connections that came in by the port
	rigid    int         // those of them without SO_REUSEADDR
}

// The ports given to who does not ask for one, net.ipv4.ip_local_port_range,
// and the first that anybody may take.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
	firstUser      = 1024
)

func newPorts() ports { return ports{buckets: make(map[uint16]*bucket), next: firstEphemeral} }

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

func newInet(n *Stack, ctx Context, typ, protocol int) (Socket, error) {
	return n.newInet(ctx, unix.AF_INET, typ, protocol)
}

func newInet6(n *Stack, ctx Context, typ, protocol int) (Socket, error) {
	return n.newInet(ctx, unix.AF_INET6, typ, protocol)
}

func (n *Stack) newInet(ctx Context, family, typ, protocol int) (Socket, error) {
	s := &inetSock{}
	switch typ {
	case unix.SOCK_STREAM:
		s.ports = &n.tcp
		if protocol == 0 {
			protocol = unix.IPPROTO_TCP
		}
		if protocol != unix.IPPROTO_TCP {
			return nil, unix.EPROTONOSUPPORT
		}
	case unix.SOCK_DGRAM:
		s.ports = &n.udp
		if protocol == 0 {
			protocol = unix.IPPROTO_UDP
		}
		switch protocol {
		case unix.IPPROTO_UDP:
		case unix.IPPROTO_UDPLITE: // which differs in its checksums alone
			s.ports = &n.udplite
		default:
			return nil, unix.EPROTONOSUPPORT
		}
	case unix.SOCK_RAW:
		if protocol == 0 {
			return nil, unix.EPROTONOSUPPORT
		}
		return nil, unix.EPERM
	default:
		return nil, unix.ESOCKTNOSUPPORT
	}
	s.init(n, ctx, s, family, typ, protocol)
	return s, nil
}

// parse returns the address in a sockaddr of s's family.
func (s *inetSock) parse(b []byte) (netip.AddrPort, error) {
	if len(b) < 2 {
		return netip.AddrPort{}, unix.EINVAL
	}
	family := int(binary.NativeEndian.Uint16(b))
	if s.family == unix.AF_INET {
		if len(b) < unix.SizeofSockaddrInet4 {
			return netip.AddrPort{}, unix.EINVAL
		}
		if family != unix.AF_INET {
			return netip.AddrPort{}, unix.EAFNOSUPPORT
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), nil
	}
	if len(b) < 24 { // without the scope, which old programs do not have
		return netip.AddrPort{}, unix.EINVAL
	}
	if family != unix.AF_INET6 {
		return netip.AddrPort{}, unix.EAFNOSUPPORT
	}
	a := netip.AddrFrom16([16]byte(b[8:24]))
	if a.Is4In6() && !s.v6only {
		a = a.Unmap()
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[2:])), nil
}

// parseMixed is parse for UDP, where a socket of AF_INET6 takes addresses of
// AF_INET too.
func (s *inetSock) parseMixed(b []byte) (netip.AddrPort, error) {
	if s.family == unix.AF_INET6 && !s.v6only && len(b) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(b) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), nil
	}
	return s.parse(b)
}

// format is the sockaddr of an address as s shows it.
func (s *inetSock) format(ap netip.AddrPort) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(s.family))
	b = binary.BigEndian.AppendUint16(b, ap.Port())
	if s.family == unix.AF_INET {
		if a := ap.Addr(); a.Is4() {
			b = append(b, a.AsSlice()...)
		}
		return append(b, make([]byte, unix.SizeofSockaddrInet4-len(b))...)
	}
	b = append(b, 0, 0, 0, 0)
	if a := ap.Addr(); a.IsValid() {
		a16 := a.As16()
		b = append(b, a16[:]...)
	}
	return append(b, make([]byte, unix.SizeofSockaddrInet6-len(b))...)
}

// any is the address that stands for all of s's.
func (s *inetSock) any() netip.Addr {
	if s.family == unix.AF_INET {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// isLocal reports whether something can be bound to a.
func isLocal(a netip.Addr) bool { return a.IsUnspecified() || a.IsLoopback() }

// covers reports whether what is sent to a reaches a socket bound to local.
func (s *inetSock) covers(local, a netip.Addr) bool {
	switch {
	case local == a:
		return true
	case !local.IsUnspecified():
		return false
	case local.Is4():
		return a.Is4()
	}
	return a.Is6() || !s.v6only
}

// conflicts reports whether s cannot have an address on the port that o has.
func (s *inetSock) conflicts(addr netip.Addr, o *inetSock) bool {
	if !s.covers(addr, o.local.Addr()) && !o.covers(o.local.Addr(), addr) {
		return false
	}
	if s.opt.reuseport && o.opt.reuseport && s.inode.uid == o.inode.uid {
		return false
	}
	return !s.opt.reuseaddr || !o.opt.reuseaddr || o.state == listening || s.state == listening
}

// take gives s the port, 0 for any; EADDRINUSE if somebody has it.
func (s *inetSock) take(addr netip.Addr, port uint16) error {
	if port == 0 {
		p := s.ports
		for range lastEphemeral - firstEphemeral + 1 {
			try := p.next
			if p.next++; p.next > lastEphemeral {
				p.next = firstEphemeral
			}
			if p.buckets[try] == nil {
				s.put(addr, try)
				return nil
			}
		}
		return unix.EADDRINUSE
	}
	if b := s.ports.buckets[port]; b != nil {
		if b.accepted > 0 && (!s.opt.reuseaddr || b.rigid > 0) {
			return unix.EADDRINUSE
		}
		for _, o := range b.owners {
			if s.conflicts(addr, o) {
				return unix.EADDRINUSE
			}
		}
	}
	s.put(addr, port)
	s.explicit = true
	return nil
}

func (p *ports) bucket(port uint16) *bucket {
	b := p.buckets[port]
	if b == nil {
		b = &bucket{port: port}
		p.buckets[port] = b
	}
	return b
}

func (s *inetSock) put(addr netip.Addr, port uint16) {
	b := s.ports.bucket(port)
	b.owners = append(b.owners, s)
	s.where, s.local = b, netip.AddrPortFrom(addr, port)
}

// inherit puts an accepted connection where its listener is.
func (s *inetSock) inherit(local netip.AddrPort) {
	b := s.ports.bucket(local.Port())
	b.accepted++
	if !s.opt.reuseaddr {
		b.rigid++
	}
	s.where, s.local, s.accepted = b, local, true
}

// leave gives the port up.
func (s *inetSock) leave() {
	b := s.where
	if b == nil {
		return
	}
	s.where, s.explicit = nil, false
	if s.accepted {
		b.accepted--
		if !s.opt.reuseaddr {
			b.rigid--
		}
	} else {
		for i, o := range b.owners {
			if o == s {
				b.owners = append(b.owners[:i], b.owners[i+1:]...)
				break
			}
		}
	}
	if b.accepted == 0 && len(b.owners) == 0 {
		delete(s.ports.buckets, b.port)
	}
}

// Bind implements Socket.
func (s *inetSock) Bind(ctx Context, _ *vfs.File, addr []byte) error {
	if s.family == unix.AF_INET && len(addr) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(addr) == unix.AF_UNSPEC &&
		binary.NativeEndian.Uint32(addr[4:]) == 0 {
		addr = append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET), addr[2:]...) // as old programs do
	}
	ap, err := s.parse(addr)
	if err != nil {
		return err
	}
	if !isLocal(ap.Addr()) {
		return unix.EADDRNOTAVAIL
	}
	if p := ap.Port(); p != 0 && p < firstUser && !ctx.Cred().Has(unix.CAP_NET_BIND_SERVICE) {
		return unix.EACCES
	}
	if s.where != nil || s.state != closed {
		return unix.EINVAL
	}
	if err := s.take(ap.Addr(), ap.Port()); err != nil {
		return err
	}
	s.fixed = !ap.Addr().IsUnspecified()
	return nil
}

// route returns where what is sent to addr goes, and the address it comes
// from.
func (s *inetSock) route(to netip.AddrPort) (dst netip.AddrPort, src netip.Addr, err error) {
	a := to.Addr()
	l := s.local.Addr()
	if a.IsUnspecified() {
		switch {
		case s.fixed && l.Is4() == a.Is4():
			a = l
		case a.Is4():
			a = loopback4
		default:
			a = loopback6
		}
	}
	if !a.IsLoopback() {
		return dst, src, unix.ENETUNREACH
	}
	if src = loopback4; a.Is6() {
		src = loopback6
	}
	switch {
	case s.v6only && a.Is4():
		return dst, src, unix.ENETUNREACH
	case !s.fixed:
	case l.Is4() == a.Is4():
		src = l
	default:
		return dst, src, unix.ENETUNREACH
	}
	return netip.AddrPortFrom(a, to.Port()), src, nil
}

// Name implements Socket.
func (s *inetSock) Name() ([]byte, error) { return s.format(s.local), nil }

// Peer implements Socket.
func (s *inetSock) Peer() ([]byte, error) {
	if s.state != established {
		return nil, unix.ENOTCONN
	}
	return s.format(s.remote), nil
}

// Listen implements Socket.
func (s *inetSock) Listen(ctx Context, _ *vfs.File, backlog int) error {
	if s.typ != unix.SOCK_STREAM {
		return unix.EOPNOTSUPP
	}
	return s.listen(backlog)
}

// Connect implements Socket.
func (s *inetSock) Connect(ctx Context, f *vfs.File, addr []byte) error {
	if s.typ == unix.SOCK_STREAM {
		return s.connectTCP(ctx, f, addr)
	}
	return s.connectUDP(addr)
}

// Accept implements Socket.
func (s *inetSock) Accept(ctx Context, f *vfs.File, flags int) (*vfs.File, []byte, error) {
	if s.typ != unix.SOCK_STREAM {
		return nil, nil, unix.EOPNOTSUPP
	}
	c, err := s.accept(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	s.admit()
	o := c.self.(*inetSock)
	return o.open(o, flags), o.format(o.remote), nil
}

// Read implements vfs.Reader.
func (s *inetSock) Read(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	m := Message{Data: p}
	return s.recv(ctx, f, &m, 0)
}

// Write implements vfs.Writer.
func (s *inetSock) Write(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	return s.send(ctx, f, p, nil, nil, 0)
}

// SendMsg implements Socket.
func (s *inetSock) SendMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error) {
	n, err := s.send(ctx, f, m.Data, m.Name, m.Control.Other, flags)
	if err == nil {
		m.Control.Release(ctx) // files do not travel here
	}
	return n, err
}

// RecvMsg implements Socket.
func (s *inetSock) RecvMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error) {
	return s.recv(ctx, f, m, flags)
}

func (s *inetSock) send(ctx vfs.Context, f *vfs.File, p, name []byte, control []Cmsg, flags int) (int, error) {
	if s.typ == unix.SOCK_STREAM {
		return s.sendTCP(ctx, f, p, flags)
	}
	return s.sendUDP(p, name, control, flags)
}

func (s *inetSock) recv(ctx vfs.Context, f *vfs.File, m *Message, flags int) (int, error) {
	if flags&unix.MSG_ERRQUEUE != 0 {
		return 0, unix.EAGAIN
	}
	if s.typ == unix.SOCK_STREAM {
		return s.recvTCP(ctx, f, m, flags)
	}
	return s.recvUDP(ctx, m, flags, s.toRecv(ctx, f, flags))
}

// Shutdown implements Socket.
func (s *inetSock) Shutdown(_ Context, how int) error {
	if uint(how) > unix.SHUT_RDWR {
		return unix.EINVAL
	}
	if s.typ == unix.SOCK_STREAM {
		return s.shutdownTCP(how + 1)
	}
	s.shut |= how + 1
	s.hangup()
	if s.state != established {
		return unix.ENOTCONN
	}
	return nil
}

// Release implements vfs.Impl.
func (s *inetSock) Release(vfs.Context) {
	if s.typ == unix.SOCK_STREAM {
		s.closeTCP()
	}
	s.gone()
	s.leave()
	s.packets.purge()
	s.bytes.purge()
}

// Poll implements vfs.Poller.
func (s *inetSock) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	var ev wait.Events
	if s.err != 0 {
		ev |= wait.Err
	}
	if s.typ == unix.SOCK_STREAM {
		return ev | s.pollTCP(), &s.queue
	}
	if s.shut&shutRead != 0 {
		ev |= wait.RdHup | wait.Readable
	}
	if s.shut == shutBoth {
		ev |= wait.Hup
	}
	if s.packets.head != nil {
		ev |= wait.Readable
	}
	return ev | wait.Writable | wait.WrBand, &s.queue
}
