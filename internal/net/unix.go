package net

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// unixSock is a socket of AF_UNIX, unix(7).
//
// Contract: a socket bound to a name in the tree is Bound of its inode, and
// holds the place. An abstract name is in Stack.abstract.
type unixSock struct {
	sock
	path  vfs.Path // where it is bound
	creds unix.Ucred
	// peerCreds and peerGroups are who connected, or who listened.
	peerCreds  unix.Ucred
	peerGroups []uint32
	groups     []uint32 // of who listens
	flight     flight
}

// abstractName is a name that is not in the tree. Sockets of different types
// do not see each other's.
type abstractName struct {
	typ  int
	name string
}

// maxDgramQlen is net.unix.max_dgram_qlen as Linux begins with: the packets
// that wait at a socket which is not connected back.
const maxDgramQlen = 10

var noCreds = unix.Ucred{Pid: 0, Uid: 1<<32 - 1, Gid: 1<<32 - 1}

func newUnix(n *Stack, ctx Context, typ, protocol int) (Socket, error) {
	if protocol != 0 && protocol != unix.AF_UNIX {
		return nil, unix.EPROTONOSUPPORT
	}
	switch typ {
	case unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET:
	case unix.SOCK_RAW: // as Linux has it
		typ = unix.SOCK_DGRAM
	default:
		return nil, unix.ESOCKTNOSUPPORT
	}
	return n.newUnix(ctx, typ), nil
}

func (n *Stack) newUnix(ctx vfs.Context, typ int) *unixSock {
	s := &unixSock{peerCreds: noCreds}
	s.init(n, ctx, s, unix.AF_UNIX, typ, 0)
	if typ == unix.SOCK_DGRAM {
		s.backlog = n.MaxDgramQlen
	}
	return s
}

// owner is the effective identity that SO_PEERCRED tells.
func (d IDs) owner() unix.Ucred {
	return unix.Ucred{Pid: int32(d.PID), Uid: d.EUID, Gid: d.EGID}
}

// sender is the real identity that messages carry.
func (d IDs) sender() unix.Ucred {
	return unix.Ucred{Pid: int32(d.PID), Uid: d.UID, Gid: d.GID}
}

// join connects two new sockets.
func (s *unixSock) join(ctx Context, o *unixSock) {
	ids := ctx.IDs()
	for _, p := range [2][2]*unixSock{{s, o}, {o, s}} {
		p[0].peer = &p[1].sock
		p[0].state = established
		p[0].peerCreds, p[0].peerGroups = ids.owner(), ids.Groups
	}
}

// parseUnix returns the name in a sockaddr_un; abstract names begin with a NUL.
func parseUnix(addr []byte) (name string, err error) {
	if len(addr) <= 2 || len(addr) > unix.SizeofSockaddrUnix || binary.NativeEndian.Uint16(addr) != unix.AF_UNIX {
		return "", unix.EINVAL
	}
	path := addr[2:]
	if path[0] != 0 {
		if i := bytes.IndexByte(path, 0); i >= 0 {
			path = path[:i]
		}
	}
	return string(path), nil
}

// unixAddr is the sockaddr_un of a name.
func unixAddr(name string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX)
	b = append(b, name...)
	if name != "" && name[0] != 0 {
		b = append(b, 0)
	}
	return b
}

var unnamed = unixAddr("")

// Bind implements Socket.
func (s *unixSock) Bind(ctx Context, _ *vfs.File, addr []byte) error {
	if len(addr) == 2 && binary.NativeEndian.Uint16(addr) == unix.AF_UNIX {
		return s.autobind()
	}
	name, err := parseUnix(addr)
	if err != nil {
		return err
	}
	if name[0] == 0 {
		if s.addr != nil {
			return unix.EINVAL
		}
		if _, there := s.stack.abstract[abstractName{s.typ, name}]; there {
			return unix.EADDRINUSE
		}
		s.bindAbstract(name)
		return nil
	}
	if s.addr != nil {
		return unix.EINVAL
	}
	p, err := vfs.MknodPath(ctx, ctx.At(), name, unix.S_IFSOCK|s.inode.mode, 0)
	if err == unix.EEXIST {
		return unix.EADDRINUSE
	}
	if err != nil {
		return err
	}
	w, ok := p.Inode().(vfs.Watched)
	if !ok || s.addr != nil || s.dead {
		// The file system cannot keep it, or another thread was faster.
		p.Unref()
		vfs.Unlink(ctx, ctx.At(), name)
		if !ok {
			return unix.EOPNOTSUPP
		}
		return unix.EINVAL
	}
	w.Extra().Bound = s
	s.path, s.addr = p, unixAddr(name)
	return nil
}

func (s *unixSock) bindAbstract(name string) {
	s.stack.abstract[abstractName{s.typ, name}] = s
	s.addr = unixAddr(name)
}

// autobind gives s an abstract name of five digits.
func (s *unixSock) autobind() error {
	if s.addr != nil {
		return nil
	}
	n := s.stack
	for range 1 << 20 {
		n.autobind = (n.autobind + 1) & 0xfffff
		name := fmt.Sprintf("\x00%05x", n.autobind)
		if _, there := n.abstract[abstractName{s.typ, name}]; !there {
			s.bindAbstract(name)
			return nil
		}
	}
	return unix.ENOSPC
}

// find returns the socket of s's type that an address names.
func (s *unixSock) find(ctx Context, addr []byte) (*unixSock, error) {
	name, err := parseUnix(addr)
	if err != nil {
		return nil, err
	}
	if name[0] == 0 {
		if o := s.stack.abstract[abstractName{s.typ, name}]; o != nil {
			return o, nil
		}
		return nil, unix.ECONNREFUSED
	}
	p, err := vfs.WalkFor(ctx, ctx.At(), name, vfs.Follow, vfs.UseWrite)
	if err != nil {
		return nil, err
	}
	defer p.Unref()
	if err := p.Permit(ctx, vfs.MayWrite); err != nil {
		return nil, err
	}
	if p.Kind() != unix.S_IFSOCK {
		return nil, unix.ECONNREFUSED
	}
	w, ok := p.Inode().(vfs.Watched)
	if !ok {
		return nil, unix.ECONNREFUSED
	}
	o, ok := w.Extra().Bound.(*unixSock)
	if !ok || o.stack != s.stack {
		return nil, unix.ECONNREFUSED
	}
	if o.typ != s.typ {
		return nil, unix.EPROTOTYPE
	}
	return o, nil
}

// other returns the peer, nil for none.
func (s *unixSock) other() *unixSock {
	if s.peer == nil {
		return nil
	}
	return s.peer.self.(*unixSock)
}

// Listen implements Socket.
func (s *unixSock) Listen(ctx Context, _ *vfs.File, backlog int) error {
	if s.typ == unix.SOCK_DGRAM {
		return unix.EOPNOTSUPP
	}
	if s.addr == nil || s.state != closed && s.state != listening {
		return unix.EINVAL
	}
	if uint(backlog) > maxBacklog {
		backlog = maxBacklog
	}
	more := backlog > s.backlog
	s.backlog, s.state = backlog, listening
	ids := ctx.IDs()
	s.creds, s.groups = ids.owner(), slices.Clone(ids.Groups)
	s.peerCreds = s.creds
	if more {
		s.feed()
	}
	return nil
}

// Connect implements Socket.
func (s *unixSock) Connect(ctx Context, f *vfs.File, addr []byte) error {
	if s.typ == unix.SOCK_DGRAM {
		return s.connectDgram(ctx, addr)
	}
	if s.opt.passcred {
		if err := s.autobind(); err != nil {
			return err
		}
	}
	var to *unixSock
	pat := s.toSend(ctx, f, 0)
	for {
		var err error
		if to, err = s.find(ctx, addr); err != nil {
			return err
		}
		if to.state != listening || to.shut&shutRead != 0 {
			return unix.ECONNREFUSED
		}
		if len(to.pending) <= to.backlog {
			break
		}
		to.starve(&s.sock)
		err = s.until(ctx, pat, wait.Writable, func() bool {
			if to.state != listening || to.shut&shutRead != 0 || len(to.pending) <= to.backlog {
				return true
			}
			to.starve(&s.sock)
			return false
		})
		if err != nil {
			return err
		}
	}
	switch s.state {
	case closed:
	case established:
		return unix.EISCONN
	default:
		return unix.EINVAL
	}
	ids := ctx.IDs()
	c := s.stack.newUnix(ctx, s.typ)
	c.addr = to.addr
	c.state, c.peer = established, &s.sock
	c.opt.passcred = to.opt.passcred
	c.peerCreds, c.peerGroups = ids.owner(), slices.Clone(ids.Groups)
	s.state, s.peer = established, &c.sock
	s.peerCreds, s.peerGroups = to.creds, to.groups
	to.pending = append(to.pending, &c.sock)
	to.arrived()
	return nil
}

// Accept implements Socket.
func (s *unixSock) Accept(ctx Context, f *vfs.File, flags int) (*vfs.File, []byte, error) {
	if s.typ == unix.SOCK_DGRAM {
		return nil, nil, unix.EOPNOTSUPP
	}
	c, err := s.accept(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	u := c.self.(*unixSock)
	peer, _ := u.Peer()
	return u.open(u, flags), peer, nil
}

// Name implements Socket.
func (s *unixSock) Name() ([]byte, error) {
	if s.addr == nil {
		return unnamed, nil
	}
	return s.addr, nil
}

// Peer implements Socket.
func (s *unixSock) Peer() ([]byte, error) {
	o := s.other()
	if o == nil {
		return nil, unix.ENOTCONN
	}
	return o.Name()
}

// Shutdown implements Socket.
func (s *unixSock) Shutdown(_ Context, how int) error {
	if uint(how) > unix.SHUT_RDWR {
		return unix.EINVAL
	}
	mode := how + 1
	s.shut |= mode
	if o := s.other(); o != nil && s.typ != unix.SOCK_DGRAM {
		if mode&shutRead != 0 {
			o.shut |= shutWrite
		}
		if mode&shutWrite != 0 {
			o.shut |= shutRead
		}
		o.hangup()
		switch {
		case mode == shutBoth:
			o.tell(wait.Hup)
		case mode == shutWrite:
			o.tell(wait.In)
		}
	}
	s.hangup()
	if s.state == listening {
		s.feed()
	}
	return nil
}

// Release implements vfs.Impl.
func (s *unixSock) Release(ctx vfs.Context) { s.release(ctx, false) }

// release ends the socket; never accepted, its peer finds the connection
// reset.
func (s *unixSock) release(ctx vfs.Context, unaccepted bool) {
	unread := s.bytes.head != nil
	if p := s.packets.head; p != nil {
		unread = len(p.data) > 0 || p.next != nil // an empty one does not count
	}
	s.gone()
	s.shut = shutBoth
	wasListening := s.state == listening
	s.state = closed
	s.unbind()
	if o := s.other(); o != nil {
		if s.typ != unix.SOCK_DGRAM && o.peer == &s.sock {
			o.shut = shutBoth
			if unread || unaccepted {
				o.err = unix.ECONNRESET
			}
			o.tell(wait.Hup)
		}
		o.hangup()
	}
	pending := s.pending
	s.pending = nil
	if wasListening {
		for _, c := range pending {
			c.self.(*unixSock).release(ctx, true)
		}
	}
	if files := s.purge(); len(files) > 0 {
		s.stack.drop(ctx, files)
	}
	s.feed()
}

// unbind gives up the name; a file in the tree stays.
func (s *unixSock) unbind() {
	if s.path.Valid() {
		s.path.Inode().(vfs.Watched).Extra().Bound = nil
		s.path.Unref()
		s.path = vfs.Path{}
		return
	}
	if s.addr == nil {
		return
	}
	if k := (abstractName{s.typ, string(s.addr[2:])}); s.stack.abstract[k] == s {
		delete(s.stack.abstract, k)
	}
}

// Stranded implements vfs.Stranded.
func (s *unixSock) Stranded(ctx vfs.Context) { s.stack.strand(ctx) }

// Poll implements vfs.Poller.
func (s *unixSock) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	var ev wait.Events
	if s.err != 0 {
		ev |= wait.Err
	}
	if s.shut == shutBoth {
		ev |= wait.Hup
	}
	if s.shut&shutRead != 0 {
		ev |= wait.RdHup | wait.Readable
	}
	if s.bytes.head != nil || s.packets.head != nil || len(s.pending) > 0 {
		ev |= wait.Readable
	}
	if s.typ != unix.SOCK_DGRAM && s.state == closed {
		ev |= wait.Hup
	}
	if s.writable() && !s.crowded() {
		ev |= wait.Writable | wait.WrBand
	}
	return ev, &s.queue
}

// crowded reports that the peer's queue of packets is full, and asks to be
// told when it is not.
func (s *unixSock) crowded() bool {
	o := s.peer
	if o == nil || s.typ == unix.SOCK_STREAM || o.dead || !s.full(o) {
		return false
	}
	o.starve(&s.sock)
	return true
}

// full reports that no packet of s can go into o's queue now. That of a
// socket that is connected to s is bounded by s's buffer alone.
func (s *unixSock) full(o *sock) bool {
	return o.peer != &s.sock && o.packets.n > o.backlog
}

// GetSockOpt implements Socket.
func (s *unixSock) GetSockOpt(_ Context, level, name, space int) ([]byte, error) {
	if level != unix.SOL_SOCKET {
		return nil, unix.EOPNOTSUPP
	}
	var v []byte
	switch name {
	case unix.SO_PEERCRED:
		v = binary.NativeEndian.AppendUint32(nil, uint32(s.peerCreds.Pid))
		v = binary.NativeEndian.AppendUint32(v, s.peerCreds.Uid)
		v = binary.NativeEndian.AppendUint32(v, s.peerCreds.Gid)
	case unix.SO_PEERGROUPS:
		if s.peerCreds == noCreds {
			return nil, unix.ENODATA
		}
		for _, g := range s.peerGroups {
			v = binary.NativeEndian.AppendUint32(v, g)
		}
		if len(v) > space {
			return v, unix.ERANGE
		}
	case unix.SO_PEERNAME:
		var err error
		if v, err = s.Peer(); err != nil {
			return nil, unix.ENOTCONN
		}
		if len(v) < space {
			return nil, unix.EINVAL
		}
	default:
		var err error
		if v, err = s.option(name); err != nil {
			return nil, err
		}
	}
	return v[:min(len(v), space)], nil
}

// SetSockOpt implements Socket.
func (s *unixSock) SetSockOpt(ctx Context, level, name int, v []byte) error {
	if level != unix.SOL_SOCKET {
		return unix.EOPNOTSUPP
	}
	return s.setOption(ctx, name, v)
}
