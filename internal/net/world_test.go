package net

import (
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/sysemu/sysemu/internal/poll"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// caller is the Context of the tests: the test process itself.
type caller struct {
	*vfstest.Context
	at vfs.At
}

func newCaller(t *waittest.Task) *caller {
	c := &caller{Context: vfstest.Root(t)}
	c.Pid = os.Getpid()
	c.Creds.UID, c.Creds.GID = uint32(os.Getuid()), uint32(os.Getgid())
	if os.Getuid() != 0 {
		c.Creds.Caps = 0
	}
	return c
}

func (c *caller) At() vfs.At { return c.at }
func (c *caller) IDs() IDs {
	u, g := c.Creds.UID, c.Creds.GID
	root := c.Creds.Caps != 0
	return IDs{PID: c.Pid, UID: u, EUID: u, SUID: u, GID: g, EGID: g, SGID: g, MaySetUID: root, MaySetGID: root, MayClaimOtherPID: root}
}

// world has sockets in slots, on the host or ours. A result is an errno's
// name or what the call returned.
type world interface {
	socket(i, family, typ int) error
	pair(i, j, family, typ int) error
	bind(i int, addr []byte) error
	connect(i int, addr []byte) error
	listen(i, backlog int) error
	accept(i, j int) ([]byte, error)
	send(i int, data, name []byte, fds []int, flags int) (int, error)
	recv(i, size, control, flags int) (n int, data, name []byte, fds, rflags int, err error)
	shutdown(i, how int) error
	name(i int) ([]byte, error)
	peer(i int) ([]byte, error)
	getopt(i, level, name, space int) ([]byte, error)
	setopt(i, level, name int, v []byte) error
	poll(i int) int
	inq(i int) (int, error)
	close(i int)
}

// slots are the descriptors of a world; beyond is one that is not a socket,
// to be sent.
const slots = 8

type plain struct{}

func (plain) Release(vfs.Context) {}

type host struct{ fds [slots]int }

func newHost(t testing.TB) *host {
	h := new(host)
	for i := range h.fds {
		h.fds[i] = -1
	}
	t.Cleanup(func() {
		for i := range h.fds {
			h.close(i)
		}
	})
	return h
}

func (h *host) set(i, fd int) {
	h.close(i)
	h.fds[i] = fd
}

func (h *host) socket(i, family, typ int) error {
	fd, err := unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		h.set(i, fd)
	}
	return err
}

func (h *host) pair(i, j, family, typ int) error {
	p, err := unix.Socketpair(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		h.set(i, p[0])
		h.set(j, p[1])
	}
	return err
}

func ptr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func sys(nr, a, b, c, d, e uintptr) (int, error) {
	r, _, err := unix.Syscall6(nr, a, b, c, d, e, 0)
	if err != 0 {
		return -1, err
	}
	return int(r), nil
}

func (h *host) bind(i int, addr []byte) error {
	_, err := sys(unix.SYS_BIND, uintptr(h.fds[i]), ptr(addr), uintptr(len(addr)), 0, 0)
	return err
}

func (h *host) connect(i int, addr []byte) error {
	_, err := sys(unix.SYS_CONNECT, uintptr(h.fds[i]), ptr(addr), uintptr(len(addr)), 0, 0)
	return err
}

func (h *host) listen(i, backlog int) error { return unix.Listen(h.fds[i], backlog) }

func (h *host) accept(i, j int) ([]byte, error) {
	b := make([]byte, 128)
	n := uint32(len(b))
	fd, err := sys(unix.SYS_ACCEPT4, uintptr(h.fds[i]), ptr(b), uintptr(unsafe.Pointer(&n)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	h.set(j, fd)
	return b[:n], nil
}

func (h *host) send(i int, data, name []byte, fds []int, flags int) (int, error) {
	var hdr unix.Msghdr
	iov := unix.Iovec{Base: unsafe.SliceData(data)}
	iov.SetLen(len(data))
	hdr.Iov, hdr.Iovlen = &iov, 1
	hdr.Name, hdr.Namelen = unsafe.SliceData(name), uint32(len(name))
	if len(fds) > 0 {
		var real []int
		for _, fd := range fds {
			if fd == slots {
				real = append(real, 0)
				continue
			}
			real = append(real, h.fds[fd])
		}
		c := unix.UnixRights(real...)
		hdr.Control, hdr.Controllen = &c[0], uint64(len(c))
	}
	return sys(unix.SYS_SENDMSG, uintptr(h.fds[i]), uintptr(unsafe.Pointer(&hdr)), uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
}

func (h *host) recv(i, size, control, flags int) (n int, data, name []byte, fds, rflags int, err error) {
	var hdr unix.Msghdr
	data, name = make([]byte, size), make([]byte, 128)
	c := make([]byte, control)
	iov := unix.Iovec{Base: unsafe.SliceData(data)}
	iov.SetLen(len(data))
	hdr.Iov, hdr.Iovlen = &iov, 1
	hdr.Name, hdr.Namelen = &name[0], 128
	hdr.Control, hdr.Controllen = unsafe.SliceData(c), uint64(len(c))
	n, err = sys(unix.SYS_RECVMSG, uintptr(h.fds[i]), uintptr(unsafe.Pointer(&hdr)), uintptr(flags), 0, 0)
	if err != nil {
		return n, nil, nil, 0, 0, err
	}
	msgs, _ := unix.ParseSocketControlMessage(c[:hdr.Controllen])
	for _, m := range msgs {
		r, _ := unix.ParseUnixRights(&m)
		fds += len(r)
		for _, fd := range r {
			unix.Close(fd)
		}
	}
	return n, data[:min(n, size)], name[:hdr.Namelen], fds, int(hdr.Flags), nil
}

func (h *host) shutdown(i, how int) error { return unix.Shutdown(h.fds[i], how) }

func (h *host) name(i int) ([]byte, error) { return h.addr(unix.SYS_GETSOCKNAME, i) }
func (h *host) peer(i int) ([]byte, error) { return h.addr(unix.SYS_GETPEERNAME, i) }

func (h *host) addr(nr uintptr, i int) ([]byte, error) {
	b := make([]byte, 128)
	n := uint32(len(b))
	if _, err := sys(nr, uintptr(h.fds[i]), ptr(b), uintptr(unsafe.Pointer(&n)), 0, 0); err != nil {
		return nil, err
	}
	return b[:n], nil
}

func (h *host) getopt(i, level, name, space int) ([]byte, error) {
	b := make([]byte, space)
	n := uint32(space)
	if _, err := sys(unix.SYS_GETSOCKOPT, uintptr(h.fds[i]), uintptr(level), uintptr(name), ptr(b), uintptr(unsafe.Pointer(&n))); err != nil {
		return nil, err
	}
	return b[:n], nil
}

func (h *host) setopt(i, level, name int, v []byte) error {
	_, err := sys(unix.SYS_SETSOCKOPT, uintptr(h.fds[i]), uintptr(level), uintptr(name), ptr(v), uintptr(len(v)))
	return err
}

func (h *host) poll(i int) int {
	p := []unix.PollFd{{Fd: int32(h.fds[i]), Events: -1}}
	unix.Poll(p, 0)
	return int(uint16(p[0].Revents))
}

func (h *host) inq(i int) (int, error) { return unix.IoctlGetInt(h.fds[i], unix.TIOCINQ) }

func (h *host) close(i int) {
	if h.fds[i] >= 0 {
		unix.Close(h.fds[i])
	}
	h.fds[i] = -1
}

type ours struct {
	n   *Stack
	ctx *caller
	fds [slots]*vfs.File
}

func (o *ours) set(i int, f *vfs.File) {
	o.close(i)
	o.fds[i] = f
}

func (o *ours) of(i int) (Socket, *vfs.File, error) {
	if o.fds[i] == nil {
		return nil, nil, unix.EBADF
	}
	s, err := Of(o.fds[i])
	return s, o.fds[i], err
}

func (o *ours) socket(i, family, typ int) error {
	f, err := o.n.Socket(o.ctx, family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		o.set(i, f)
	}
	return err
}

func (o *ours) pair(i, j, family, typ int) error {
	a, b, err := o.n.Pair(o.ctx, family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		o.set(i, a)
		o.set(j, b)
	}
	return err
}

func (o *ours) bind(i int, addr []byte) error {
	s, f, err := o.of(i)
	if err != nil {
		return err
	}
	return s.Bind(o.ctx, f, addr)
}

func (o *ours) connect(i int, addr []byte) error {
	s, f, err := o.of(i)
	if err != nil {
		return err
	}
	return s.Connect(o.ctx, f, addr)
}

func (o *ours) listen(i, backlog int) error {
	s, f, err := o.of(i)
	if err != nil {
		return err
	}
	return s.Listen(o.ctx, f, backlog)
}

func (o *ours) accept(i, j int) ([]byte, error) {
	s, f, err := o.of(i)
	if err != nil {
		return nil, err
	}
	c, addr, err := s.Accept(o.ctx, f, unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, err
	}
	o.set(j, c)
	return addr, nil
}

func (o *ours) send(i int, data, name []byte, fds []int, flags int) (int, error) {
	s, f, err := o.of(i)
	if err != nil {
		return -1, err
	}
	m := Message{Data: data, Name: name}
	for _, fd := range fds {
		f := vfs.NewFile(vfs.Path{}, vfs.Anon("plain"), plain{}, unix.O_RDWR)
		if fd < slots {
			if f = o.fds[fd]; f == nil {
				m.Control.Release(o.ctx)
				return -1, unix.EBADF
			}
			f.Ref()
		}
		m.Control.Files = append(m.Control.Files, f)
	}
	n, err := s.SendMsg(o.ctx, f, &m, flags|unix.MSG_NOSIGNAL)
	m.Control.Release(o.ctx)
	if err != nil {
		n = -1
	}
	return n, err
}

func (o *ours) recv(i, size, control, flags int) (n int, data, name []byte, fds, rflags int, err error) {
	s, f, err := o.of(i)
	if err != nil {
		return -1, nil, nil, 0, 0, err
	}
	m := Message{Data: make([]byte, size)}
	n, err = s.RecvMsg(o.ctx, f, &m, flags)
	if err != nil {
		return -1, nil, nil, 0, 0, err
	}
	_, cflags := m.Control.Marshal(o.ctx, control, false, func(f *vfs.File) (int, error) {
		fds++
		f.Unref(o.ctx)
		return 99, nil
	})
	return n, m.Data[:min(n, size)], m.Name, fds, m.Flags | cflags | flags&unix.MSG_CMSG_CLOEXEC, nil
}

func (o *ours) shutdown(i, how int) error {
	s, _, err := o.of(i)
	if err != nil {
		return err
	}
	return s.Shutdown(o.ctx, how)
}

func (o *ours) name(i int) ([]byte, error) {
	s, _, err := o.of(i)
	if err != nil {
		return nil, err
	}
	return s.Name()
}

func (o *ours) peer(i int) ([]byte, error) {
	s, _, err := o.of(i)
	if err != nil {
		return nil, err
	}
	return s.Peer()
}

func (o *ours) getopt(i, level, name, space int) ([]byte, error) {
	s, _, err := o.of(i)
	if err != nil {
		return nil, err
	}
	return s.GetSockOpt(o.ctx, level, name, space)
}

func (o *ours) setopt(i, level, name int, v []byte) error {
	s, _, err := o.of(i)
	if err != nil {
		return err
	}
	return s.SetSockOpt(o.ctx, level, name, v)
}

func (o *ours) poll(i int) int {
	if o.fds[i] == nil {
		return 0
	}
	return int(poll.Check(o.ctx, o.fds[i], wait.All) & 0xffff)
}

func (o *ours) inq(i int) (int, error) {
	s, f, err := o.of(i)
	if err != nil {
		return 0, err
	}
	var mem word
	_, err = s.Ioctl(o.ctx, f, unix.TIOCINQ, 0, &mem)
	return int(int32(mem[0]) | int32(mem[1])<<8 | int32(mem[2])<<16), err
}

// word is four bytes of guest memory.
type word [4]byte

func (w *word) ReadMem(_ uint64, p []byte) error  { copy(p, w[:]); return nil }
func (w *word) WriteMem(_ uint64, p []byte) error { copy(w[:], p); return nil }

func (o *ours) close(i int) {
	if o.fds[i] != nil {
		o.fds[i].Unref(o.ctx)
	}
	o.fds[i] = nil
}

func errno(err error) string {
	switch err := err.(type) {
	case nil:
		return "ok"
	case unix.Errno:
		if err == unix.EOPNOTSUPP {
			return "EOPNOTSUPP"
		}
		return unix.ErrnoName(err)
	}
	return err.Error()
}

// action is a named operation on a world.
type action struct {
	name string
	do   func(w world) string
}

// compare runs a script on both and tells the first difference.
func compare(t *testing.T, label string, script []action) (diff string) {
	t.Helper()
	var k waittest.Kernel
	k.Do(func() {
		h, o := newHost(t), &ours{n: New(), ctx: newCaller(k.NewTask())}
		if b, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen"); err == nil {
			o.n.MaxDgramQlen, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		var log []string
		for _, a := range script {
			want, got := a.do(h), a.do(o)
			log = append(log, a.name+" = "+want)
			if want != got {
				diff = fmt.Sprintf("%s: %s\nhost %s\nours %s\nafter\n%s", label, a.name, want, got, strings.Join(log[max(0, len(log)-100):], "\n"))
				break
			}
		}
		for i := range slots {
			h.close(i)
			o.close(i)
		}
		if o.n.inFlight != 0 || o.n.flights.n != 0 {
			t.Errorf("%s: %d files still in flight", label, o.n.inFlight)
		}
		if len(o.n.tcp.buckets) != 0 || len(o.n.udp.buckets) != 0 || len(o.n.abstract) != 0 {
			t.Errorf("%s: names or ports are still taken", label)
		}
		if o.n.all.head != nil || o.n.all.tail != nil {
			t.Errorf("%s: a socket is still there", label)
		}
	})
	return diff
}

// settle gives the host's network time for what ours does at once.
func settle(w world) {
	if _, ok := w.(*host); ok {
		time.Sleep(time.Millisecond)
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.Intn(len(of))] }

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func show(b []byte) string {
	sum := 0
	for i, c := range b {
		sum += int(c) * (i%7 + 1)
	}
	return fmt.Sprintf("%d bytes %x", len(b), sum)
}
