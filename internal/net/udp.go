package net

import (
	"encoding/binary"
	"net/netip"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// UDP, udp(7). A message for which the receiver has no room is lost.

const maxUDP = 65507

func (s *inetSock) connectUDP(addr []byte) error {
	if len(addr) < 2 {
		return unix.EINVAL
	}
	if binary.NativeEndian.Uint16(addr) == unix.AF_UNSPEC {
		s.state, s.remote, s.err, s.shut = closed, netip.AddrPort{}, 0, 0
		if !s.explicit {
			s.leave()
			s.local = netip.AddrPort{}
		} else if !s.fixed {
			s.local = netip.AddrPortFrom(s.any(), s.local.Port())
		}
		return nil
	}
	to, err := s.parseMixed(addr)
	if err != nil {
		return err
	}
	dst, src, err := s.route(to)
	if err != nil {
		return err
	}
	if s.where == nil {
		if err := s.take(src, 0); err != nil {
			return unix.EAGAIN
		}
	}
	s.local = netip.AddrPortFrom(src, s.local.Port())
	s.remote, s.state = dst, established
	return nil
}

func (s *inetSock) sendUDP(p, name []byte, control []Cmsg, flags int) (int, error) {
	if s.where == nil { // before all else
		if err := s.take(s.any(), 0); err != nil {
			return 0, unix.EAGAIN
		}
	}
	if len(p) > maxUDP {
		return 0, unix.EMSGSIZE
	}
	if flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	to := s.remote
	if len(name) > 0 {
		var err error
		if to, err = s.parseMixed(name); err != nil {
			return 0, err
		}
		if to.Port() == 0 {
			return 0, unix.EINVAL
		}
	} else if s.state != established {
		return 0, unix.EDESTADDRREQ
	}
	dst, src, err := s.route(to)
	if err != nil {
		return 0, err
	}
	hops, class, err := s.asked(dst, control)
	if err != nil {
		return 0, err
	}
	if s.err != 0 {
		return 0, s.fault()
	}
	if s.shut&shutWrite != 0 {
		return 0, unix.EPIPE
	}
	from := netip.AddrPortFrom(src, s.local.Port())
	o := s.ports.receiver(dst, from)
	if o == nil {
		if s.state == established && s.remote == dst {
			s.err = unix.ECONNREFUSED
			s.failed()
		}
		return len(p), nil
	}
	m := &packet{name: o.format(from), cost: packetCost(len(p)), to: dst.Addr(), hops: hops, class: class}
	if o.packets.cost+m.cost > o.opt.rcvbuf && o.packets.head != nil {
		return len(p), nil
	}
	m.data = append([]byte(nil), p...)
	o.packets.push(m)
	o.arrived()
	return len(p), nil
}

// asked returns the hop limit and traffic class of a packet to dst: those of
// the socket, unless the message says otherwise.
func (s *inetSock) asked(dst netip.AddrPort, control []Cmsg) (hops, class uint8, err error) {
	h, c := option{unix.IPPROTO_IP, unix.IP_TTL}, option{unix.IPPROTO_IP, unix.IP_TOS}
	if dst.Addr().Is6() {
		h, c = option{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}, option{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}
	}
	hops, class = uint8(s.int(h)), uint8(s.int(c))
	for _, m := range control {
		var n int32
		switch (option{m.Level, m.Type}) {
		case option{unix.IPPROTO_IP, unix.IP_TTL}, option{unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT}:
			if n, err = intOption(m.Data); err != nil || n < -1 || n > 255 || n < 1 && m.Level == unix.IPPROTO_IP {
				return 0, 0, unix.EINVAL
			}
			if n >= 0 {
				hops = uint8(n)
			}
		case option{unix.IPPROTO_IP, unix.IP_TOS}, option{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:
			if len(m.Data) == 1 && m.Level == unix.IPPROTO_IP {
				n = int32(m.Data[0])
			} else if n, err = intOption(m.Data); err != nil || n < -1 || n > 255 {
				return 0, 0, unix.EINVAL
			}
			if n >= 0 {
				class = uint8(n)
			}
		case option{unix.IPPROTO_IP, unix.IP_PKTINFO}, option{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO}:
			// There is one interface to send by.
		default:
			if m.Level == unix.IPPROTO_IP || m.Level == unix.IPPROTO_IPV6 {
				return 0, 0, unix.EINVAL
			}
		}
	}
	return hops, class, nil
}

// recvUDP is recvPacket, and tells what is asked for about the packet.
func (s *inetSock) recvUDP(ctx vfs.Context, m *Message, flags int, pat patience) (int, error) {
	n, p, err := s.recvPacket(ctx, m, flags, pat)
	if p == nil || len(s.ints) == 0 {
		return n, err
	}
	tell := func(level, want, kind int, data []byte) {
		if s.int(option{level, want}) != 0 {
			m.Control.Other = append(m.Control.Other, Cmsg{level, kind, data})
		}
	}
	if s.family == unix.AF_INET {
		info := append(intBytes(loIndex), p.to.AsSlice()...)
		tell(unix.IPPROTO_IP, unix.IP_PKTINFO, unix.IP_PKTINFO, append(info, p.to.AsSlice()...))
		tell(unix.IPPROTO_IP, unix.IP_RECVTTL, unix.IP_TTL, intBytes(int(p.hops)))
		tell(unix.IPPROTO_IP, unix.IP_RECVTOS, unix.IP_TOS, []byte{p.class})
		return n, err
	}
	to := p.to.As16()
	tell(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, unix.IPV6_PKTINFO, append(to[:], intBytes(loIndex)...))
	tell(unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, unix.IPV6_HOPLIMIT, intBytes(int(p.hops)))
	tell(unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, unix.IPV6_TCLASS, intBytes(int(p.class)))
	return n, err
}

// receiver returns who gets what is sent from one address to another: the
// one that is connected just so, then the one bound to the very address.
func (p *ports) receiver(dst, from netip.AddrPort) *inetSock {
	b := p.buckets[dst.Port()]
	if b == nil {
		return nil
	}
	var best *inetSock
	most := -1
	for _, o := range b.owners {
		l, rate := o.local.Addr(), 0
		if !o.covers(l, dst.Addr()) {
			continue
		}
		if o.state == established {
			if o.remote != from {
				continue
			}
			rate += 4
		}
		if l == dst.Addr() {
			rate += 2
		} else if l.Is4() {
			rate++
		}
		if rate >= most { // of equals the last
			best, most = o, rate
		}
	}
	return best
}
