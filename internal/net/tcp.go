package net

import (
	"encoding/binary"
	"maps"
	"net/netip"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// TCP, tcp(7), where nothing is ever lost or late: a connection is there when
// its listener has room, and data is received when it is sent.

// tcpState is what a stream of AF_INET has beside sock.
type tcpState struct {
	waiting []*inetSock // of a listener: connections for which there is no room
	fresh   bool        // connecting, or connected and connect has yet to say so
	fin     bool        // the peer has sent all it will
	was     bool        // connected at some time
	spoilt  bool        // shut down while connecting: good for nothing
}

func (s *inetSock) listen(backlog int) error {
	if s.state != closed && s.state != listening || s.tcp.fresh || s.tcp.was {
		return unix.EINVAL
	}
	if uint(backlog) > maxBacklog {
		backlog = maxBacklog
	}
	if s.state == closed {
		if s.where == nil {
			if err := s.take(s.any(), 0); err != nil {
				return err
			}
		}
		for _, o := range s.where.owners {
			if o == s || o.state != listening || s.opt.reuseport && o.opt.reuseport && s.inode.uid == o.inode.uid {
				continue
			}
			if s.covers(s.local.Addr(), o.local.Addr()) || o.covers(o.local.Addr(), s.local.Addr()) {
				return unix.EADDRINUSE
			}
		}
	}
	s.backlog, s.state, s.shut = backlog, listening, 0
	s.admit()
	s.hangup()
	return nil
}

// listener returns who listens at dst: the one bound to the very address, or
// to all. Of several that share it, the caller's port decides.
func (p *ports) listener(dst netip.AddrPort, from uint16) *inetSock {
	b := p.buckets[dst.Port()]
	if b == nil {
		return nil
	}
	best, n := 0, 0
	rate := func(o *inetSock) int {
		l := o.local.Addr()
		switch {
		case o.state != listening || !o.covers(l, dst.Addr()):
			return 0
		case l == dst.Addr():
			return 3
		case l.Is4():
			return 2
		}
		return 1
	}
	for _, o := range b.owners {
		switch r := rate(o); {
		case r > best:
			best, n = r, 1
		case r == best:
			n++
		}
	}
	if best == 0 {
		return nil
	}
	k := int(from) % n
	for _, o := range b.owners {
		if rate(o) == best {
			if k == 0 {
				return o
			}
			k--
		}
	}
	return nil
}

func (s *inetSock) connectTCP(ctx Context, f *vfs.File, addr []byte) error {
	if len(addr) < 2 {
		return unix.EINVAL
	}
	if binary.NativeEndian.Uint16(addr) == unix.AF_UNSPEC {
		s.disconnectTCP()
		return nil
	}
	switch {
	case s.tcp.spoilt:
		return unix.EINVAL
	case s.tcp.fresh:
		if s.state == connecting && f.NonBlocking() {
			return unix.EALREADY
		}
	case s.tcp.was || s.state != closed:
		return unix.EISCONN
	default:
		if err := s.begin(addr); err != nil {
			return err
		}
		s.tcp.fresh = true
		if f.NonBlocking() {
			return unix.EINPROGRESS
		}
	}
	switch err := s.until(ctx, s.toSend(ctx, f, 0), wait.Writable, func() bool { return s.state != connecting }); err {
	case nil:
	case unix.EAGAIN:
		return unix.EINPROGRESS
	default:
		return err
	}
	s.tcp.fresh = false
	if s.state == closed {
		err := s.fault()
		if err == nil {
			err = unix.ECONNABORTED
		}
		s.disconnectTCP()
		return err
	}
	return nil
}

// begin sets out to connect.
func (s *inetSock) begin(addr []byte) error {
	to, err := s.parse(addr)
	if err != nil {
		return err
	}
	dst, src, err := s.route(to)
	if err != nil {
		return err
	}
	if s.where == nil {
		if err := s.take(src, 0); err != nil {
			return unix.EADDRNOTAVAIL
		}
	}
	s.local = netip.AddrPortFrom(src, s.local.Port())
	s.remote = dst
	s.err = 0
	s.tcp.fin, s.tcp.was = false, false
	l := s.ports.listener(dst, s.local.Port())
	if l == nil {
		s.refused()
		return nil
	}
	s.state = connecting
	l.tcp.waiting = append(l.tcp.waiting, s)
	l.admit()
	return nil
}

// refused ends an attempt to connect.
func (s *inetSock) refused() {
	s.state, s.err, s.shut = closed, unix.ECONNREFUSED, shutBoth
	if !s.explicit {
		s.leave()
	}
	s.hangup()
	s.async.Wake(wait.Err) // twice, as on Linux: for the error and for the state
	s.async.Wake(wait.Err)
}

// admit connects those that wait, as long as there is room.
func (s *inetSock) admit() {
	t := &s.tcp
	for len(t.waiting) > 0 && len(s.pending) <= s.backlog {
		c := t.waiting[0]
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		if c.state == connecting && !c.dead {
			s.establish(c)
		}
	}
}

// establish makes the listener's end of a connection that c asks for. It has
// the listener's options.
func (s *inetSock) establish(c *inetSock) {
	n := s.stack
	o := &inetSock{ports: s.ports, v6only: s.v6only, ints: maps.Clone(s.ints)}
	o.stack, o.self, o.family, o.typ, o.proto, o.opt = n, o, s.family, s.typ, s.proto, s.opt
	n.ino++
	i := *s.inode
	i.ino = n.ino
	o.inode = &i
	n.all.add(&o.sock)
	o.remote = c.local
	o.inherit(c.remote)
	o.peer, c.peer = &c.sock, &o.sock
	o.state, c.state = established, established
	o.tcp.was, c.tcp.was = true, true
	s.pending = append(s.pending, &o.sock)
	s.arrived()
	c.hangup()
	c.async.Wake(wait.Out)
}

// other returns the peer, nil for none.
func (s *inetSock) other() *inetSock {
	if s.peer == nil {
		return nil
	}
	return s.peer.self.(*inetSock)
}

// reset is told that the peer has broken the connection off.
func (s *inetSock) reset() {
	if s.state != established {
		return
	}
	s.err = unix.ECONNRESET
	if s.tcp.fin {
		s.err = unix.EPIPE
	}
	s.state, s.shut = closed, shutBoth
	s.hangup()
	s.async.Wake(wait.Err)
}

// finish sends what ends our direction of the stream.
func (s *inetSock) finish() {
	if o := s.other(); o != nil && o.state == established {
		o.tcp.fin = true
		o.shut |= shutRead
		o.hangup()
		o.tellEnd()
		o.tell(wait.In) // Linux tells of the end, and of something to read
	}
}

// stopListening turns away who waits.
func (s *inetSock) stopListening() {
	pending, waiting := s.pending, s.tcp.waiting
	s.pending, s.tcp.waiting = nil, nil
	s.state = closed
	for _, c := range pending {
		o := c.self.(*inetSock)
		o.other().reset()
		o.gone()
		o.leave()
		o.bytes.purge()
	}
	for _, c := range waiting {
		if c.state == connecting && !c.dead {
			c.refused()
		}
	}
	s.hangup()
}

// disconnectTCP is connect with AF_UNSPEC.
func (s *inetSock) disconnectTCP() {
	switch s.state {
	case listening:
		s.stopListening()
	case established:
		if o := s.other(); o != nil {
			o.reset()
		}
	}
	s.peer = nil
	s.state, s.shut, s.err = closed, 0, 0
	s.remote, s.tcp = netip.AddrPort{}, tcpState{}
	s.bytes.purge()
	if !s.explicit {
		s.leave()
	}
	if !s.fixed {
		s.local = netip.AddrPortFrom(s.any(), s.local.Port()) // as Linux shows it
	}
	s.hangup()
}

// closeTCP ends the socket: the peer finds the stream at its end, or broken
// if we did not read what it sent.
func (s *inetSock) closeTCP() {
	switch s.state {
	case listening:
		s.stopListening()
	case established:
		if s.bytes.n > 0 || s.opt.linger && s.opt.lingerTime == 0 {
			s.other().reset()
		} else if s.shut&shutWrite == 0 {
			s.finish()
		}
		if o := s.other(); !o.dead {
			o.queue.Wake(wait.Writable)
		}
	}
}

func (s *inetSock) shutdownTCP(mode int) error {
	switch s.state {
	case established:
		s.tcp.fresh = false
		sent := s.shut & shutWrite
		s.shut |= mode
		if mode&shutWrite != 0 && sent == 0 {
			s.finish()
		}
		s.hangup()
		return nil
	case listening:
		if mode&shutRead != 0 {
			s.stopListening()
			if !s.explicit {
				s.leave()
			}
		}
		return nil
	case connecting:
		s.disconnectTCP()
		return nil
	}
	s.shut |= mode // all the same
	s.tcp.spoilt = s.tcp.fresh
	s.hangup()
	return unix.ENOTCONN
}

func (s *inetSock) sendTCP(ctx vfs.Context, f *vfs.File, p []byte, flags int) (int, error) {
	if flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	pat := s.toSend(ctx, f, flags)
	if s.state == connecting {
		if err := s.until(ctx, pat, wait.Writable, func() bool { return s.state != connecting }); err != nil {
			return 0, err
		}
	}
	if s.err != 0 {
		return 0, s.fault()
	}
	if s.state != established || s.shut&shutWrite != 0 {
		return 0, unix.EPIPE
	}
	if s.peer.dead && len(p) > 0 {
		// Nobody is there any more: that is known when this has arrived.
		s.reset()
		return min(len(p), s.opt.sndbuf), nil
	}
	return s.sendBytes(ctx, p, nil, unix.Ucred{}, pat)
}

func (s *inetSock) recvTCP(ctx vfs.Context, f *vfs.File, m *Message, flags int) (int, error) {
	if flags&unix.MSG_OOB != 0 {
		return 0, unix.EINVAL
	}
	if s.state == listening || s.state == closed && !s.tcp.was && s.err == 0 && s.shut&shutRead == 0 {
		return 0, unix.ENOTCONN
	}
	return s.recvBytes(ctx, m, flags, s.toRecv(ctx, f, flags))
}

func (s *inetSock) pollTCP() wait.Events {
	var ev wait.Events
	if s.state == listening {
		if len(s.pending) > 0 {
			ev |= wait.Readable
		}
		return ev
	}
	if s.shut == shutBoth || s.state == closed {
		ev |= wait.Hup
	}
	if s.shut&shutRead != 0 {
		ev |= wait.Readable | wait.RdHup
	}
	if s.state == connecting {
		return ev
	}
	if s.bytes.n >= s.opt.rcvlowat {
		ev |= wait.Readable
	}
	if s.shut&shutWrite != 0 || s.peer == nil || s.writable() {
		ev |= wait.Writable
	}
	return ev
}
