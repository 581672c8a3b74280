package net

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Sending and receiving on sockets of AF_UNIX.

// Read implements vfs.Reader.
func (s *unixSock) Read(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	m := Message{Data: p}
	n, err := s.recv(ctx, f, &m, 0)
	m.Control.Release(ctx)
	return n, err
}

// Write implements vfs.Writer.
func (s *unixSock) Write(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	if s.typ == unix.SOCK_STREAM {
		return s.sendStream(ctx, f, p, nil, idsOf(ctx).sender(), 0)
	}
	return s.sendPacket(ctx, f, p, nil, nil, idsOf(ctx).sender(), 0)
}

// SendMsg implements Socket.
func (s *unixSock) SendMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error) {
	ids := ctx.IDs()
	creds := ids.sender()
	if c := m.Control.Creds; c != nil {
		switch {
		case int(c.Pid) != ids.PID && !ids.MayClaimOtherPID,
			c.Uid != ids.UID && c.Uid != ids.EUID && c.Uid != ids.SUID && !ids.MaySetUID,
			c.Gid != ids.GID && c.Gid != ids.EGID && c.Gid != ids.SGID && !ids.MaySetGID:
			return 0, unix.EPERM
		}
		creds = *c
	}
	if n := len(m.Control.Files); n > 0 && s.stack.inFlight+n > maxInFlight {
		return 0, unix.ETOOMANYREFS
	}
	if flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if s.typ != unix.SOCK_STREAM {
		return s.sendPacket(ctx, f, m.Data, m.Name, &m.Control, creds, flags)
	}
	if len(m.Name) > 0 {
		if s.state == established {
			return 0, unix.EISCONN
		}
		return 0, unix.EOPNOTSUPP
	}
	n, err := s.sendStream(ctx, f, m.Data, &m.Control, creds, flags)
	if err == nil {
		m.Control.Release(ctx) // of a message without data
	}
	return n, err
}

func (s *unixSock) sendStream(ctx vfs.Context, f *vfs.File, p []byte, c *Control, creds unix.Ucred, flags int) (int, error) {
	if s.peer == nil {
		return 0, unix.ENOTCONN
	}
	return s.sendBytes(ctx, p, c, creds, s.toSend(ctx, f, flags))
}

// sendPacket sends one packet, to the peer or to another.
func (s *unixSock) sendPacket(ctx vfs.Context, f *vfs.File, p, name []byte, c *Control, creds unix.Ucred, flags int) (int, error) {
	if s.typ == unix.SOCK_SEQPACKET {
		if s.err != 0 {
			return 0, s.fault()
		}
		if s.state != established {
			return 0, unix.ENOTCONN
		}
		name = nil
	}
	if len(name) > 0 {
		if _, err := parseUnix(name); err != nil {
			return 0, err
		}
	}
	if s.opt.passcred {
		if err := s.autobind(); err != nil {
			return 0, err
		}
	}
	if len(p) > s.opt.sndbuf-32 {
		return 0, unix.EMSGSIZE
	}
	pat := s.toSend(ctx, f, flags)
	to, err := s.destination(ctx, name, pat)
	if err != nil {
		return 0, err
	}
	m := &packet{data: append([]byte(nil), p...), from: &s.sock, creds: creds, cost: packetCost(len(p))}
	if c != nil {
		m.files, c.Files = c.Files, nil
		s.stack.fly(m.files)
	}
	s.charge(m.cost)
	to.packets.push(m)
	to.arrived()
	return len(p), nil
}

// destination returns the socket a packet goes to, once both buffers have
// room.
func (s *unixSock) destination(ctx vfs.Context, name []byte, pat patience) (*unixSock, error) {
	for {
		err := s.until(ctx, pat, wait.Writable, func() bool {
			return s.err != 0 || s.shut&shutWrite != 0 || s.charged < s.opt.sndbuf
		})
		switch {
		case err != nil:
			return nil, err
		case s.err != 0:
			return nil, s.fault()
		case s.shut&shutWrite != 0:
			return nil, unix.EPIPE
		}
		to := s.other()
		if len(name) > 0 {
			c, ok := ctx.(Context)
			if !ok {
				return nil, unix.EINVAL
			}
			if to, err = s.find(c, name); err != nil {
				return nil, err
			}
		}
		switch {
		case to == nil:
			return nil, unix.ENOTCONN
		case to.dead && s.typ == unix.SOCK_SEQPACKET:
			return nil, unix.EPIPE
		case to.dead:
			s.peer, s.state = nil, closed
			s.disconnected(ctx, to)
			return nil, unix.ECONNREFUSED
		case to.peer != nil && to.peer != &s.sock && s.typ == unix.SOCK_DGRAM:
			return nil, unix.EPERM
		case to.shut&shutRead != 0:
			return nil, unix.EPIPE
		}
		if !s.full(&to.sock) {
			return to, nil
		}
		to.starve(&s.sock)
		err = s.until(ctx, pat, wait.Writable, func() bool {
			if to.dead || to.shut&shutRead != 0 || s.shut&shutWrite != 0 || s.err != 0 || !s.full(&to.sock) {
				return true
			}
			to.starve(&s.sock)
			return false
		})
		if err != nil {
			return nil, err
		}
	}
}

// connectDgram sets or, with AF_UNSPEC, forgets whom packets go to.
func (s *unixSock) connectDgram(ctx Context, addr []byte) error {
	if len(addr) < 2 {
		return unix.EINVAL
	}
	var to *unixSock
	if binary.NativeEndian.Uint16(addr) != unix.AF_UNSPEC {
		if s.opt.passcred {
			if err := s.autobind(); err != nil {
				return err
			}
		}
		var err error
		if to, err = s.find(ctx, addr); err != nil {
			return err
		}
		if to.peer != nil && to.peer != &s.sock {
			return unix.EPERM
		}
	}
	old := s.other()
	if to == nil {
		s.peer, s.state = nil, closed
	} else {
		s.peer, s.state = &to.sock, established
	}
	if old != nil && old != to {
		s.disconnected(ctx, old)
	}
	s.queue.Wake(wait.Writable)
	return nil
}

// disconnected drops what old sent us while it was our peer; if we were its
// peer too, it is told.
func (s *unixSock) disconnected(ctx vfs.Context, old *unixSock) {
	if s.packets.head == nil {
		return
	}
	s.stack.drop(ctx, s.packets.purge())
	s.feed()
	if !old.dead && old.peer == &s.sock {
		old.err = unix.ECONNRESET
		old.hangup()
	}
}

// RecvMsg implements Socket.
func (s *unixSock) RecvMsg(ctx Context, f *vfs.File, m *Message, flags int) (int, error) {
	return s.recv(ctx, f, m, flags)
}

func (s *unixSock) recv(ctx vfs.Context, f *vfs.File, m *Message, flags int) (int, error) {
	if flags&unix.MSG_OOB != 0 {
		if s.typ == unix.SOCK_STREAM {
			return 0, unix.EINVAL
		}
		return 0, unix.EOPNOTSUPP
	}
	pat := s.toRecv(ctx, f, flags)
	switch s.typ {
	case unix.SOCK_STREAM:
		if s.state != established {
			return 0, unix.EINVAL
		}
		return s.recvBytes(ctx, m, flags, pat)
	case unix.SOCK_SEQPACKET:
		if s.state != established {
			return 0, unix.ENOTCONN
		}
	}
	n, _, err := s.recvPacket(ctx, m, flags, pat)
	return n, err
}
