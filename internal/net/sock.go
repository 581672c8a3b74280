package net

import (
	"encoding/binary"
	"math"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// sock is what sockets of all families have in common: the two queues, the
// backlog of a listener, buffers, errors and the options of SOL_SOCKET.
//
// Contract: of a connected pair each has the other as peer, until both are
// released; a dead peer stays, to be seen. queue is woken for all that poll
// tells of.
type sock struct {
	stack  *Stack
	self   Socket
	inode  *inode
	family int
	typ    int
	proto  int

	state state
	shut  int // shutRead, shutWrite
	dead  bool
	err   unix.Errno
	queue wait.Queue
	async wait.Queue // for signals: see async.go
	peer  *sock
	addr  []byte // the name, nil for none; never changed in place
	opt   options

	bytes    byteQueue
	packets  packetQueue
	pending  []*sock // of a listener: connections to be accepted
	backlog  int
	charged  int     // what packets of ours take in others' queues
	starving []*sock // who found packets full

	roomWanted bool // sending found no room: its signal is due
	reading    bool // someone waits in a read: no signal is needed

	prev, next *sock // of all of the machine
}

type state uint8

const (
	closed state = iota
	connecting
	listening
	established
)

const (
	shutRead  = 1
	shutWrite = 2
	shutBoth  = shutRead | shutWrite
)

const (
	defaultBuffer = 212992
	maxBuffer     = 212992 // of SO_SNDBUF, which doubles it
	minSndbuf     = 4608
	minRcvbuf     = 2304
	// maxBacklog is net.core.somaxconn.
	maxBacklog = 4096
)

func (s *sock) base() *sock { return s }

func (s *sock) init(n *Stack, ctx vfs.Context, self Socket, family, typ, proto int) {
	s.stack, s.self, s.family, s.typ, s.proto = n, self, family, typ, proto
	s.opt.sndbuf, s.opt.rcvbuf, s.opt.rcvlowat = defaultBuffer, defaultBuffer, 1
	n.ino++
	now := ctx.Realtime()
	cred := ctx.Cred()
	n.all.add(s)
	s.inode = &inode{ino: n.ino, mode: 0o777, uid: cred.UID, gid: cred.GID, atime: now, mtime: now, ctime: now}
}

// gone notes that s has ended.
func (s *sock) gone() {
	s.dead = true
	s.stack.all.remove(s)
}

// open returns a description for s; typ may have SOCK_NONBLOCK.
func (s *sock) open(self Socket, typ int) *vfs.File {
	return vfs.NewFile(vfs.Path{}, s.inode, self, unix.O_RDWR|typ&unix.SOCK_NONBLOCK)
}

// patience is how long a call may wait.
type patience struct {
	nowait   bool
	deadline int64 // 0 = for ever
}

func patient(ctx vfs.Context, f *vfs.File, flags int, timeout int64) patience {
	if flags&unix.MSG_DONTWAIT != 0 || f.NonBlocking() {
		return patience{nowait: true}
	}
	if timeout == 0 {
		return patience{}
	}
	return patience{deadline: ctx.Now() + timeout}
}

func (s *sock) toSend(ctx vfs.Context, f *vfs.File, flags int) patience {
	return patient(ctx, f, flags, s.opt.sndtimeo)
}

func (s *sock) toRecv(ctx vfs.Context, f *vfs.File, flags int) patience {
	return patient(ctx, f, flags, s.opt.rcvtimeo)
}

// until waits until cond holds: EAGAIN when it does not and there is no (more)
// time. A call with a timeout is not restarted after a signal.
func (s *sock) until(ctx vfs.Context, p patience, ev wait.Events, cond func() bool) error {
	if cond() {
		return nil
	}
	if ev == wait.Writable {
		s.roomWanted = true
	}
	if p.nowait {
		return unix.EAGAIN
	}
	err := s.queue.Until(ctx, ev, p.deadline, cond)
	switch {
	case err == nil:
		return nil
	case err == wait.ErrTimedOut:
		return unix.EAGAIN
	case p.deadline != 0:
		return unix.EINTR
	}
	return err
}

// fault returns the pending error, which is cleared by that.
func (s *sock) fault() error {
	if s.err == 0 {
		return nil
	}
	err := s.err
	s.err = 0
	return err
}

// hangup tells all who wait that the connection changed.
func (s *sock) hangup() {
	s.queue.Wake(wait.All)
}

// room is how much of a stream may be sent now.
func (s *sock) room() int { return s.opt.sndbuf - s.peer.bytes.used() }

// deaf reports that s can be sent nothing. A TCP socket that does not want
// to read takes what comes all the same.
func (s *sock) deaf() bool { return s.dead || s.shut&shutRead != 0 && s.family == unix.AF_UNIX }

// sendBytes sends to the peer of a stream.
func (s *sock) sendBytes(ctx vfs.Context, p []byte, c *Control, creds unix.Ucred, pat patience) (int, error) {
	if s.shut&shutWrite != 0 {
		return 0, unix.EPIPE
	}
	sent := 0
	for sent < len(p) {
		err := s.until(ctx, pat, wait.Writable, func() bool {
			return s.err != 0 || s.shut&shutWrite != 0 || s.peer.deaf() || s.room() > 0
		})
		switch {
		case err != nil:
		case s.err != 0:
			err = s.fault()
		case s.shut&shutWrite != 0 || s.peer.deaf():
			err = unix.EPIPE
		}
		if err != nil {
			if sent > 0 {
				return sent, nil
			}
			return 0, err
		}
		n := min(len(p)-sent, s.room())
		to := s.peer
		var files []*vfs.File
		if c != nil && len(c.Files) > 0 {
			files, c.Files = c.Files, nil
			s.stack.fly(files)
		}
		to.bytes.push(p[sent:sent+n], creds, files)
		sent += n
		to.arrived()
	}
	return sent, nil
}

// recvBytes reads a stream into m.
func (s *sock) recvBytes(ctx vfs.Context, m *Message, flags int, pat patience) (int, error) {
	target := min(s.opt.rcvlowat, len(m.Data))
	if flags&unix.MSG_WAITALL != 0 {
		target = len(m.Data)
	}
	target = max(target, 1)
	peek := flags&unix.MSG_PEEK != 0
	n, first := 0, true
	var creds unix.Ucred
	peeked := s.bytes.head // the next segment to peek at
	for {
		g := s.bytes.head
		if peek {
			g = peeked
		}
		if g == nil {
			if n >= target || peek && !first {
				break
			}
			if s.bytes.head == nil {
				if s.err != 0 {
					if n > 0 && s.family != unix.AF_UNIX {
						break
					}
					err := s.fault() // lost, if something was read
					if n == 0 {
						return 0, err
					}
					break
				}
				if s.shut&shutRead != 0 || s.state != established && s.state != connecting {
					break
				}
			}
			s.reading = !pat.nowait
			err := s.until(ctx, pat, wait.Readable, func() bool {
				return s.bytes.head != nil || s.err != 0 || s.shut&shutRead != 0 ||
					s.state != established && s.state != connecting
			})
			s.reading = false
			if err != nil {
				if n == 0 {
					return 0, err
				}
				break
			}
			peeked = s.bytes.head
			continue
		}
		if first {
			creds, first = g.creds, false
			if s.family == unix.AF_UNIX {
				m.Name = s.peer.addr
			}
		} else if s.opt.passcred && creds != g.creds {
			break
		}
		k := copy(m.Data[n:], g.buf[g.r:g.w])
		if flags&unix.MSG_TRUNC != 0 && s.family != unix.AF_UNIX && !peek {
			k = min(len(m.Data)-n, g.w-g.r)
		}
		n += k
		files := g.files
		if peek {
			for _, f := range files {
				m.Control.Files = append(m.Control.Files, f.Ref())
			}
			peeked = g.next
		} else {
			if files != nil {
				s.stack.land(files)
				m.Control.Files, g.files = files, nil
			}
			s.consume(k)
		}
		if files != nil || n == len(m.Data) && !peek { // a peek goes on, to see files
			break
		}
	}
	if !first && s.opt.passcred {
		c := creds
		m.Control.Creds = &c
	}
	return n, nil
}

// consume drops what was read of the first segment. Writers go on when the
// buffer is down to a quarter.
func (s *sock) consume(n int) {
	if n == 0 {
		return
	}
	limit := 0
	if s.peer != nil {
		limit = s.peer.opt.sndbuf / 4
	}
	full := s.bytes.used() > limit
	s.bytes.skip(n)
	if s.peer != nil && full && s.bytes.used() <= limit {
		s.peer.roomFreed()
	}
}

// writable reports whether poll says so.
func (s *sock) writable() bool {
	if s.state == listening {
		return false
	}
	if s.typ == unix.SOCK_STREAM {
		return s.peer == nil || s.peer.bytes.used()*4 <= s.opt.sndbuf
	}
	return s.charged*4 <= s.opt.sndbuf
}

// charge counts a packet of ours that waits in another's queue.
func (s *sock) charge(n int) { s.charged += n }

func (s *sock) uncharge(n int) {
	full := s.charged*4 > s.opt.sndbuf
	s.charged -= n
	if full && s.charged*4 <= s.opt.sndbuf {
		s.roomFreed()
	}
}

// starve notes that who waits for room in s's queue of packets or backlog.
func (s *sock) starve(who *sock) {
	for _, w := range s.starving {
		if w == who {
			return
		}
	}
	s.starving = append(s.starving, who)
}

// feed wakes those that found no room.
func (s *sock) feed() {
	hungry := s.starving
	s.starving = nil
	for _, w := range hungry {
		w.roomFreed()
	}
}

// recvPacket takes the first packet, or looks at it, into m.
func (s *sock) recvPacket(ctx vfs.Context, m *Message, flags int, pat patience) (n int, p *packet, err error) {
	if s.err != 0 {
		return 0, nil, s.fault()
	}
	if s.packets.head == nil && pat.nowait && s.typ == unix.SOCK_SEQPACKET && s.shut&shutRead != 0 {
		return 0, nil, nil
	}
	err = s.until(ctx, pat, wait.Readable, func() bool {
		return s.packets.head != nil || !pat.nowait && (s.err != 0 || s.shut&shutRead != 0 || s.ended())
	})
	if err != nil {
		return 0, nil, err
	}
	if s.packets.head == nil {
		switch {
		case s.err != 0:
			return 0, nil, s.fault()
		case s.shut&shutRead != 0:
			return 0, nil, nil
		}
		return 0, nil, unix.ENOTCONN
	}
	if flags&unix.MSG_PEEK != 0 {
		p = s.packets.head
		for _, f := range p.files {
			m.Control.Files = append(m.Control.Files, f.Ref())
		}
	} else {
		p = s.packets.pop()
		s.stack.land(p.files)
		m.Control.Files, p.files = p.files, nil
		s.feed()
	}
	n = copy(m.Data, p.data)
	if n < len(p.data) {
		m.Flags |= unix.MSG_TRUNC
		if flags&unix.MSG_TRUNC != 0 {
			n = len(p.data)
		}
	}
	m.Name = p.sender()
	if s.opt.passcred {
		creds := p.creds
		m.Control.Creds = &creds
	}
	s.stamp(ctx, m)
	return n, p, nil
}

// stamp tells when the message came, if that is asked for.
func (s *sock) stamp(ctx vfs.Context, m *Message) {
	now := ctx.Realtime()
	sec, frac := now/1e9, now%1e9
	switch s.opt.timestamp {
	case 0:
		return
	case unix.SO_TIMESTAMP, unix.SO_TIMESTAMP_NEW:
		frac /= 1e3
	}
	b := binary.NativeEndian.AppendUint64(nil, uint64(sec))
	m.Control.Other = append(m.Control.Other, Cmsg{unix.SOL_SOCKET, s.opt.timestamp, binary.NativeEndian.AppendUint64(b, uint64(frac))})
}

// ended reports that a connection of packets is over.
func (s *sock) ended() bool { return s.typ == unix.SOCK_SEQPACKET && s.state != established }

// accept takes a connection out of the backlog.
func (s *sock) accept(ctx vfs.Context, f *vfs.File) (*sock, error) {
	if s.state != listening {
		return nil, unix.EINVAL
	}
	pat := s.toRecv(ctx, f, 0)
	err := s.until(ctx, pat, wait.Readable, func() bool {
		return len(s.pending) > 0 || !pat.nowait && (s.shut&shutRead != 0 || s.state != listening)
	})
	if err != nil {
		return nil, err
	}
	if len(s.pending) == 0 {
		return nil, unix.EINVAL
	}
	c := s.pending[0]
	s.pending[0] = nil
	s.pending = s.pending[1:]
	s.feed()
	return c, nil
}

// ioctl serves what all sockets have.
func (s *sock) Ioctl(_ vfs.Context, _ *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	var n int
	switch cmd {
	case unix.TIOCINQ: // FIONREAD, SIOCINQ
		switch {
		case s.state == listening:
			return 0, unix.EINVAL
		case s.typ == unix.SOCK_STREAM:
			n = s.bytes.n
		case s.typ == unix.SOCK_SEQPACKET:
			n = s.packets.bytes
		case s.packets.head != nil:
			n = len(s.packets.head.data)
		}
	case unix.TIOCOUTQ: // SIOCOUTQ
		switch {
		case s.state == listening:
			return 0, unix.EINVAL
		case s.typ != unix.SOCK_STREAM:
			n = s.charged
		case s.peer != nil && s.family == unix.AF_UNIX:
			n = s.peer.bytes.used()
		}
	default:
		return s.ifIoctl(cmd, arg, mem)
	}
	n = min(n, math.MaxInt32)
	return 0, mem.WriteMem(arg, binary.NativeEndian.AppendUint32(nil, uint32(n)))
}
