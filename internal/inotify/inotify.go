// Package inotify has the inotify instance, inotify(7): watches on inodes,
// and the queue of what happened to them.
//
// Contract: guarded by the kernel lock. A watch is a vfs.Watch that queues
// events here; an instance has at most one on an inode. Nothing that the file
// system does waits for a reader: when the queue is full, events are lost,
// and IN_Q_OVERFLOW says so.
package inotify

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

const (
	// MaxWatches and MaxQueued are /proc/sys/fs/inotify/max_user_watches
	// and max_queued_events, but for each instance.
	MaxWatches = 1 << 17
	MaxQueued  = 16384

	control = unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK | unix.IN_MASK_ADD |
		unix.IN_MASK_CREATE | unix.IN_ISDIR | unix.IN_ONESHOT
	known = unix.IN_ALL_EVENTS | unix.IN_UNMOUNT | unix.IN_Q_OVERFLOW | unix.IN_IGNORED | control
)

// Instance is an inotify instance. It implements vfs.Impl.
type Instance struct {
	watches map[int32]*watch
	byInode map[vfs.Inode]*watch
	last    int32 // watch descriptor given
	events  []event
	bytes   int // what the events take when read
	queue   wait.Queue
	async   wait.Queue // for signals: see vfs.Async
}

type watch struct {
	vfs.Watch
	in       *Instance
	wd       int32
	inode    vfs.Inode
	ino, dev uint64
}

type event struct {
	wd           int32
	mask, cookie uint32
	name         string
}

const headerSize = unix.SizeofInotifyEvent

// size is what the event takes when read: the name has a NUL and is padded.
func (e *event) size() int {
	if e.name == "" {
		return headerSize
	}
	return headerSize + (len(e.name)+headerSize)&^(headerSize-1)
}

// New returns the description of a new instance; flags may have O_NONBLOCK.
func New(flags int) *vfs.File {
	in := &Instance{watches: make(map[int32]*watch), byInode: make(map[vfs.Inode]*watch)}
	return vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:inotify"), in, unix.O_RDONLY|flags&unix.O_NONBLOCK)
}

// Of returns the instance behind a description, EINVAL if it is none.
func Of(f *vfs.File) (*Instance, error) {
	if in, ok := f.Impl.(*Instance); ok {
		return in, nil
	}
	return nil, unix.EINVAL
}

// AddWatch is inotify_add_watch(2).
func (in *Instance) AddWatch(ctx vfs.Context, at vfs.At, name string, mask uint32) (wd int32, err error) {
	if mask&known == 0 || mask&unix.IN_MASK_ADD != 0 && mask&unix.IN_MASK_CREATE != 0 {
		return -1, unix.EINVAL
	}
	var flags vfs.WalkFlags
	if mask&unix.IN_DONT_FOLLOW == 0 {
		flags |= vfs.Follow
	}
	if mask&unix.IN_ONLYDIR != 0 {
		flags |= vfs.Directory
	}
	p, err := vfs.WalkFor(ctx, at, name, flags, vfs.UseRead)
	if err != nil {
		return -1, err
	}
	defer p.Unref()
	if err := p.Permit(ctx, vfs.MayRead); err != nil {
		return -1, err
	}
	bits := mask & (unix.IN_ALL_EVENTS | unix.IN_EXCL_UNLINK | unix.IN_ONESHOT)
	if w := in.byInode[p.Inode()]; w != nil {
		if mask&unix.IN_MASK_CREATE != 0 {
			return -1, unix.EEXIST
		}
		if mask&unix.IN_MASK_ADD != 0 {
			bits |= w.Mask
		}
		w.Mask = bits
		return w.wd, nil
	}
	if len(in.watches) >= MaxWatches {
		return -1, unix.ENOSPC
	}
	a, err := p.Inode().Attr(ctx)
	if err != nil {
		return -1, err
	}
	w := &watch{in: in, inode: p.Inode(), ino: a.Ino, dev: a.Dev}
	w.Mask, w.Notify = bits, w.notify
	if err := vfs.AddWatch(p, &w.Watch); err != nil {
		return -1, err
	}
	for {
		in.last++
		if in.last <= 0 {
			in.last = 1
		}
		if in.watches[in.last] == nil {
			break
		}
	}
	w.wd = in.last
	in.watches[w.wd], in.byInode[w.inode] = w, w
	return w.wd, nil
}

// RemoveWatch is inotify_rm_watch(2).
func (in *Instance) RemoveWatch(wd int32) error {
	w := in.watches[wd]
	if w == nil {
		return unix.EINVAL
	}
	w.end()
	return nil
}

// end takes the watch off and says so.
func (w *watch) end() {
	w.Remove()
	w.forget()
	w.in.push(event{wd: w.wd, mask: unix.IN_IGNORED})
}

func (w *watch) forget() {
	delete(w.in.watches, w.wd)
	delete(w.in.byInode, w.inode)
}

// notify is vfs.Watch.Notify.
func (w *watch) notify(mask, cookie uint32, name string) {
	if mask&unix.IN_IGNORED != 0 { // the VFS has taken it off
		w.forget()
		w.in.push(event{wd: w.wd, mask: unix.IN_IGNORED})
		return
	}
	w.in.push(event{w.wd, mask, cookie, name})
	if w.Mask&unix.IN_ONESHOT != 0 {
		w.end()
	}
}

// push queues e, unless the last event is the same.
func (in *Instance) push(e event) {
	if n := len(in.events); n > 0 {
		last := &in.events[n-1]
		if last.mask == e.mask && last.wd == e.wd && last.name == e.name && e.mask&unix.IN_IGNORED == 0 {
			return
		}
		if n > MaxQueued {
			return
		}
		if n == MaxQueued {
			e = event{wd: -1, mask: unix.IN_Q_OVERFLOW}
		}
	}
	e.name = strings.Clone(e.name)
	in.events = append(in.events, e)
	in.bytes += e.size()
	in.queue.Wake(wait.Readable)
	in.async.Wake(wait.In)
}

// Async implements vfs.Async.
func (in *Instance) Async(*vfs.File) (*wait.Queue, wait.Events) { return &in.async, wait.In }

// Read implements vfs.Reader: as many events as fit, EINVAL if the first does
// not.
func (in *Instance) Read(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	if len(in.events) == 0 {
		if f.NonBlocking() {
			return 0, unix.EAGAIN
		}
		err := in.queue.Until(ctx, wait.Readable, 0, func() bool { return len(in.events) > 0 })
		if err != nil {
			return 0, err
		}
	}
	n, taken := 0, 0
	for i := range in.events {
		e := &in.events[i]
		size := e.size()
		if size > len(p)-n {
			break
		}
		b := p[n : n+size]
		binary.NativeEndian.PutUint32(b, uint32(e.wd))
		binary.NativeEndian.PutUint32(b[4:], e.mask)
		binary.NativeEndian.PutUint32(b[8:], e.cookie)
		binary.NativeEndian.PutUint32(b[12:], uint32(size-headerSize))
		clear(b[headerSize+copy(b[headerSize:], e.name):])
		n += size
		taken++
	}
	if taken == 0 {
		return 0, unix.EINVAL
	}
	clear(in.events[:taken])
	in.events = in.events[taken:]
	in.bytes -= n
	return n, nil
}

// Poll implements vfs.Poller.
func (in *Instance) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	if len(in.events) > 0 {
		return wait.Readable, &in.queue
	}
	return 0, &in.queue
}

// Ioctl implements vfs.Ioctler: FIONREAD.
func (in *Instance) Ioctl(_ vfs.Context, _ *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	if cmd != unix.TIOCINQ {
		return 0, unix.ENOTTY
	}
	n := min(in.bytes, math.MaxInt32)
	return 0, mem.WriteMem(arg, binary.NativeEndian.AppendUint32(nil, uint32(n)))
}

// Release implements vfs.Impl.
func (in *Instance) Release(vfs.Context) {
	for _, w := range in.sorted() {
		w.Remove()
	}
	in.watches, in.byInode, in.events = nil, nil, nil
}

// sorted returns the watches in the order of their descriptors.
func (in *Instance) sorted() []*watch {
	ws := make([]*watch, 0, len(in.watches))
	for _, w := range in.watches {
		ws = append(ws, w)
	}
	slices.SortFunc(ws, func(a, b *watch) int { return int(a.wd) - int(b.wd) })
	return ws
}

// FDInfo implements vfs.FDInfoer.
func (in *Instance) FDInfo(*vfs.File) string {
	var b strings.Builder
	for _, w := range in.sorted() {
		fmt.Fprintf(&b, "inotify wd:%x ino:%x sdev:%x mask:%x ignored_mask:0\n", w.wd, w.ino, w.dev, w.Mask)
	}
	return b.String()
}
