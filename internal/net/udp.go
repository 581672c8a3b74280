package net

import (
	"encoding/binary"
	"net/netip"

	"github.com/sysemu/sysemu/internal/wait"
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

func (s *inetSock) sendUDP(p, name []byte, flags int) (int, error) {
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
			s.queue.Wake(wait.Err)
		}
		return len(p), nil
	}
	m := &packet{name: o.format(from), cost: packetCost(len(p))}
	if o.packets.cost+m.cost > o.opt.rcvbuf && o.packets.head != nil {
		return len(p), nil
	}
	m.data = append([]byte(nil), p...)
	o.packets.push(m)
	o.queue.Wake(wait.Readable)
	return len(p), nil
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
