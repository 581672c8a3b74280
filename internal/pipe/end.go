package pipe

import (
	"strconv"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// End is what serves a description of a pipe: one end of it, or both when a
// fifo is opened O_RDWR.
type End struct {
	pipe        *Pipe
	read, write bool
	// A reader that opened a fifo with O_NONBLOCK before there was a writer
	// is not told POLLHUP until one has come: opened is Pipe.opened then.
	early  bool
	opened int
}

// Of returns the pipe that f is an end of, or nil.
func Of(f *vfs.File) *Pipe {
	if e, ok := f.Impl.(*End); ok {
		return e.pipe
	}
	return nil
}

func newEnd(p *Pipe, flags int) *End {
	e := &End{pipe: p}
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		e.read = true
	case unix.O_WRONLY:
		e.write = true
	default:
		e.read, e.write = true, true
	}
	return e
}

// attach counts the end, and wakes those who waited for it in open.
func (e *End) attach() {
	p := e.pipe
	if e.read {
		p.readers++
		p.opened[asReader]++
	}
	if e.write {
		p.writers++
		p.opened[asWriter]++
	}
	p.partner.Wake(wait.All)
}

// Release implements vfs.Impl: the last reader or writer gone is told to
// the other side.
func (e *End) Release(vfs.Context) {
	p := e.pipe
	if e.read {
		p.readers--
	}
	if e.write {
		p.writers--
	}
	if (p.readers == 0) != (p.writers == 0) {
		p.q.Wake(wait.Readable | wait.Writable | wait.Err | wait.Hup)
		p.async.Wake(wait.In)
		p.async.Wake(wait.Out)
	}
	if p.readers == 0 && p.writers == 0 {
		p.discard()
	}
}

// discard ends a pipe without ends.
func (p *Pipe) discard() {
	for !p.empty() {
		p.pop()
	}
	if p.spare != nil {
		pages.Put(p.spare)
		p.spare = nil
	}
	p.ring, p.head, p.tail = nil, 0, 0
	if p.fifo != nil {
		p.fifo.Bound = nil
		p.fifo = nil
	}
}

// Read implements vfs.Reader.
func (e *End) Read(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	return e.pipe.Read(ctx, b, f.NonBlocking())
}

// Write implements vfs.Writer.
func (e *End) Write(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	return e.pipe.Write(ctx, b, f.NonBlocking(), f.Flags&unix.O_DIRECT != 0)
}

// Poll implements vfs.Poller. A pipe can be written when a segment is free,
// so that PIPE_BUF bytes are sure to fit.
func (e *End) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	p := e.pipe
	var ev wait.Events
	if e.read {
		if !p.empty() {
			ev |= wait.Readable
		}
		if p.writers == 0 && !(e.early && e.opened == p.opened[asWriter]) {
			ev |= wait.Hup
		}
	}
	if e.write {
		if !p.full() {
			ev |= wait.Writable
		}
		if p.readers == 0 {
			ev |= wait.Err
		}
	}
	return ev, &p.q
}

// Async implements vfs.Async.
func (e *End) Async(*vfs.File) (*wait.Queue, wait.Events) {
	var mask wait.Events
	if e.read {
		mask |= wait.In
	}
	if e.write {
		mask |= wait.Out
	}
	return &e.pipe.async, mask
}

// Ioctl implements vfs.Ioctler: FIONREAD.
func (e *End) Ioctl(_ vfs.Context, _ *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	if cmd != unix.TIOCINQ {
		return 0, unix.ENOTTY
	}
	n := uint32(min(e.pipe.Len(), 1<<31-1))
	return 0, mem.WriteMem(arg, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
}

// inode is the inode of a pipe without a name.
type inode struct {
	vfs.Node
	pipe *Pipe
	attr vfs.Attr
}

// New makes a pipe and returns descriptions of its read and its write end.
// dev and ino identify it; flags are O_NONBLOCK and O_DIRECT (packets).
func New(ctx vfs.Context, dev, ino uint64, flags int) (r, w *vfs.File) {
	p := newPipe()
	now, cred := ctx.Realtime(), ctx.Cred()
	in := &inode{pipe: p, attr: vfs.Attr{
		Dev: dev, Ino: ino, Nlink: 1, Mode: unix.S_IFIFO | 0o600, UID: cred.UID, GID: cred.GID,
		BlockSize: pageSize, Atime: now, Mtime: now, Ctime: now, Btime: now,
	}}
	status := flags & (unix.O_NONBLOCK | unix.O_DIRECT)
	re, we := newEnd(p, unix.O_RDONLY), newEnd(p, unix.O_WRONLY)
	re.attach()
	we.attach()
	return vfs.NewFile(vfs.Path{}, in, re, unix.O_RDONLY|status&^unix.O_DIRECT),
		vfs.NewFile(vfs.Path{}, in, we, unix.O_WRONLY|status)
}

// Attr implements vfs.Inode.
func (i *inode) Attr(vfs.Context) (vfs.Attr, error) { return i.attr, nil }

// Perm implements vfs.Permer.
func (i *inode) Perm() (mode, uid, gid uint32) { return i.attr.Mode, i.attr.UID, i.attr.GID }

// Name implements vfs.Namer.
func (i *inode) Name() string { return "pipe:[" + strconv.FormatUint(i.attr.Ino, 10) + "]" }

// SetAttr implements vfs.AttrSetter.
func (i *inode) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&vfs.SetSize != 0 {
		return unix.EINVAL
	}
	if set&vfs.SetMode != 0 {
		i.attr.Mode = i.attr.Mode&unix.S_IFMT | a.Mode&0o7777
	}
	if set&vfs.SetUID != 0 {
		i.attr.UID = a.UID
	}
	if set&vfs.SetGID != 0 {
		i.attr.GID = a.GID
	}
	if set&vfs.SetAtime != 0 {
		i.attr.Atime = a.Atime
	}
	if set&vfs.SetMtime != 0 {
		i.attr.Mtime = a.Mtime
	}
	if set&vfs.SetCtime != 0 {
		i.attr.Ctime = a.Ctime
	}
	return nil
}

// Open implements vfs.Opener: /proc/PID/fd/N makes another end of the pipe,
// without waiting for a partner.
func (i *inode) Open(_ vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	e := newEnd(i.pipe, flags)
	e.attach()
	return e, nil
}

// OpenFIFO opens the named pipe at p, fifo(7): it waits for the other end
// unless O_NONBLOCK, with which a writer without a reader is ENXIO.
// It is vfs.Hooks.FIFO.
func OpenFIFO(ctx vfs.Context, p vfs.Path, flags int) (vfs.Impl, error) {
	w, ok := p.Inode().(vfs.Watched)
	if !ok {
		return nil, unix.ENXIO
	}
	extra := w.Extra()
	pi, _ := extra.Bound.(*Pipe)
	nonblock := flags&unix.O_NONBLOCK != 0
	if nonblock && flags&unix.O_ACCMODE == unix.O_WRONLY && (pi == nil || pi.readers == 0) {
		return nil, unix.ENXIO
	}
	if pi == nil {
		pi = newPipe()
		pi.fifo = extra
		extra.Bound = pi
	}
	e := newEnd(pi, flags)
	e.attach()
	other := -1
	switch {
	case e.read && e.write:
	case e.read && pi.writers == 0 && nonblock:
		e.early, e.opened = true, pi.opened[asWriter]
	case e.read && pi.writers == 0:
		other = asWriter
	case e.write && pi.readers == 0:
		other = asReader
	}
	if other < 0 {
		return e, nil
	}
	before := pi.opened[other]
	err := pi.partner.Until(ctx, wait.All, 0, func() bool { return pi.opened[other] != before })
	if err != nil {
		e.Release(ctx)
		return nil, err
	}
	return e, nil
}
