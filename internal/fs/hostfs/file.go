package hostfs

import (
	"unsafe"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// file is a regular file. Its descriptions share two host descriptors: one
// for reading, which stays cached when the tree is stable, and one for reading
// and writing, which does not, for a program open for writing on the host
// cannot be executed there.
type file struct{ node }

// Open implements vfs.Opener.
func (f *file) Open(_ vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	h, err := f.open(flags & unix.O_ACCMODE)
	if err != nil {
		return nil, err
	}
	return &openFile{f, h}, nil
}

// open returns a held descriptor for an access mode.
func (f *file) open(mode int) (*handle, error) {
	c := &f.fs.cache
	switch mode {
	case unix.O_RDONLY:
		if f.ro != nil {
			return c.get(f.ro), nil
		}
		fd, err := f.openHost(unix.O_RDONLY)
		if err != nil {
			return nil, err
		}
		return c.add(fd, &f.ro), nil
	case unix.O_RDWR, unix.O_WRONLY:
		if f.fs.opts.ReadOnly {
			return nil, unix.EROFS
		}
		if f.rw != nil {
			return c.get(f.rw), nil
		}
		fd, err := f.openHost(unix.O_RDWR)
		if err == nil {
			return c.add(fd, &f.rw), nil
		}
		if err != unix.EACCES || mode == unix.O_RDWR {
			return nil, err
		}
		if fd, err = f.openHost(unix.O_WRONLY); err != nil {
			return nil, err
		}
		return c.add(fd, nil), nil
	}
	return nil, unix.EINVAL
}

// openHost opens the file on the host. A name that has changed meanwhile
// cannot make it wait: O_NONBLOCK.
func (f *file) openHost(mode int) (int, error) {
	flags := mode | oBase
	if f.fs.opts.ReadOnly {
		flags |= unix.O_NOATIME // reading leaves no trace
	}
	if f.path != nil {
		// Without a name.
		fd, err := unix.Open(procPath(f.path.fd), flags&^unix.O_NOFOLLOW, 0)
		if err == unix.EPERM && flags&unix.O_NOATIME != 0 {
			fd, err = unix.Open(procPath(f.path.fd), flags&^(unix.O_NOFOLLOW|unix.O_NOATIME), 0)
		}
		if err != nil {
			return -1, err
		}
		return fd, f.verify(fd)
	}
	fd := -1
	err := f.byName(func(dirfd int, name string) error {
		var err error
		fd, err = f.fs.openAt(dirfd, name, flags, 0)
		if err == unix.EPERM && flags&unix.O_NOATIME != 0 {
			fd, err = f.fs.openAt(dirfd, name, flags&^unix.O_NOATIME, 0)
		}
		if err != nil {
			return err
		}
		return f.verify(fd)
	})
	return fd, err
}

// SetAttr implements vfs.AttrSetter.
func (f *file) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&vfs.SetSize != 0 {
		h, err := f.open(unix.O_WRONLY)
		if err != nil {
			return err
		}
		defer f.done(h)
		if err := unix.Ftruncate(h.fd, a.Size); err != nil {
			return err
		}
	}
	return f.node.SetAttr(ctx, set, a)
}

// done gives back a descriptor. The last user of one for writing closes it,
// and in a tree that changes the last reader does too.
func (f *file) done(h *handle) {
	if h.refs == 1 && (h == f.rw || !f.fs.opts.Stable) {
		f.fs.cache.forget(h)
	}
	f.fs.cache.put(h)
}

// openFile serves a description.
type openFile struct {
	f *file
	h *handle
}

// Release implements vfs.Impl.
func (o *openFile) Release(vfs.Context) { o.f.done(o.h) }

// Read implements vfs.Reader. What is in the host's page cache is read at
// once; for the rest the kernel lock is given up.
func (o *openFile) Read(ctx vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := o.read(ctx, p[done:], off+int64(done))
		if err != nil {
			if done > 0 {
				break
			}
			return 0, err
		}
		done += n
		// Fewer bytes than asked for: the end, or the end of what is in
		// memory.
		if n == 0 || o.h.plain || off+int64(done) >= o.f.attr.Size {
			break
		}
	}
	return done, nil
}

func (o *openFile) read(ctx vfs.Context, p []byte, off int64) (int, error) {
	if !o.h.plain {
		n, e := rw(unix.SYS_PREADV2, o.h.fd, p, off, unix.RWF_NOWAIT)
		switch e {
		case unix.EAGAIN:
			return o.readSlowly(ctx, p, off)
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL:
			o.h.plain = true
		default:
			return n, errno(e)
		}
	}
	if o.f.remote {
		return o.readSlowly(ctx, p, off)
	}
	n, e := rw(unix.SYS_PREADV2, o.h.fd, p, off, 0)
	return n, errno(e)
}

func (o *openFile) readSlowly(ctx vfs.Context, p []byte, off int64) (n int, err error) {
	fd := o.h.fd
	ctx.Offload(func() {
		var e unix.Errno
		n, e = rw(unix.SYS_PREADV2, fd, p, off, 0)
		err = errno(e)
	})
	return n, err
}

// rw is preadv2 or pwritev2 with one buffer.
func rw(nr uintptr, fd int, p []byte, off int64, flags int) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	iov := unix.Iovec{Base: &p[0], Len: uint64(len(p))}
	for {
		n, _, e := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, uintptr(off), 0, uintptr(flags))
		if e == 0 {
			return int(n), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Write implements vfs.Writer.
func (o *openFile) Write(ctx vfs.Context, d *vfs.File, p []byte, off int64) (int, error) {
	return o.write(ctx, d, p, off, 0)
}

// Append implements vfs.Appender. By the descriptor's own offset the host
// tells where the end was at that moment.
func (o *openFile) Append(ctx vfs.Context, d *vfs.File, p []byte) (n int, end int64, err error) {
	n, err = o.write(ctx, d, p, -1, unix.RWF_APPEND)
	if err != nil {
		return 0, 0, err
	}
	end, err = unix.Seek(o.h.fd, 0, unix.SEEK_CUR)
	return n, end, err
}

func (o *openFile) write(ctx vfs.Context, d *vfs.File, p []byte, off int64, flags int) (n int, err error) {
	f := o.f
	// The host takes the set-id bits away for users without privilege
	// there; who has none here counts too.
	if m := vfs.DropPrivileges(ctx.Cred(), f.attr.Mode); m != f.attr.Mode {
		if err := f.node.SetAttr(ctx, vfs.SetMode, vfs.Attr{Mode: m}); err != nil {
			return 0, err
		}
	}
	switch {
	case d.Flags&unix.O_SYNC == unix.O_SYNC:
		flags |= unix.RWF_SYNC
	case d.Flags&unix.O_DSYNC != 0:
		flags |= unix.RWF_DSYNC
	}
	var e unix.Errno
	if f.remote || flags&(unix.RWF_SYNC|unix.RWF_DSYNC) != 0 {
		fd := o.h.fd
		ctx.Offload(func() { n, e = rw(unix.SYS_PWRITEV2, fd, p, off, flags) })
	} else {
		n, e = rw(unix.SYS_PWRITEV2, o.h.fd, p, off, flags)
	}
	return n, errno(e)
}

// Seek implements vfs.Seeker.
func (o *openFile) Seek(_ vfs.Context, d *vfs.File, off int64, whence int) (int64, error) {
	var size int64
	switch whence {
	case unix.SEEK_DATA, unix.SEEK_HOLE:
		return unix.Seek(o.h.fd, off, whence)
	case unix.SEEK_END:
		if err := o.f.refresh(); err != nil {
			return 0, err
		}
		size = o.f.attr.Size
	}
	return vfs.SeekTo(d, off, whence, size)
}

// Sync implements vfs.Syncer.
func (o *openFile) Sync(ctx vfs.Context, _ *vfs.File, dataOnly bool) error {
	if o.f.fs.opts.ReadOnly {
		return nil
	}
	return o.f.fs.sync(ctx, o.h.fd, dataOnly)
}

func (fs *FS) sync(ctx vfs.Context, fd int, dataOnly bool) (err error) {
	ctx.Offload(func() {
		if dataOnly {
			err = unix.Fdatasync(fd)
		} else {
			err = unix.Fsync(fd)
		}
	})
	return err
}

// Allocate implements vfs.Allocator.
func (o *openFile) Allocate(ctx vfs.Context, _ *vfs.File, mode uint32, off, n int64) (err error) {
	fd := o.h.fd
	ctx.Offload(func() {
		for {
			if err = unix.Fallocate(fd, mode, off, n); err != unix.EINTR {
				return
			}
		}
	})
	return err
}

// HostFile implements vfs.Mmapper. The descriptor is that of the description,
// which can map what it can read or write.
func (o *openFile) HostFile(_ vfs.Context, _ *vfs.File, writable bool) (int, uint64, error) {
	if writable && o.h != o.f.rw {
		return -1, 0, unix.EACCES
	}
	if o.f.key == 0 {
		o.f.key = vfs.NewKey()
	}
	return o.h.fd, o.f.key, nil
}
