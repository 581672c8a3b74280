package overlay

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// file is a regular file.
type file struct {
	node
	lazy    bool        // the upper layer has all but the contents
	copying bool        // a task is copying it up
	waiting *wait.Queue // who waits for that; nil when nobody does
	saved   *vfs.Attr   // what it is, while the contents are being copied
}

// Attr implements vfs.Inode.
func (f *file) Attr(ctx vfs.Context) (vfs.Attr, error) {
	if f.saved != nil {
		return *f.saved, nil
	}
	a, err := f.node.Attr(ctx)
	if f.lazy && err == nil {
		var l vfs.Attr
		if l, err = f.lower.Attr(ctx); err == nil {
			a.Blocks = l.Blocks
		}
	}
	return a, err
}

// Open implements vfs.Opener. To open a file for writing copies it up.
func (f *file) Open(ctx vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		if err := f.copyUp(ctx, everything); err != nil {
			return nil, err
		}
	}
	o := &openFile{f: f, flags: flags}
	if _, err := o.impl(ctx); err != nil {
		return nil, err
	}
	return o, nil
}

// openFile serves a description by the layer's own, and by the upper layer's
// once the contents are copied up. The lower one is kept: a call may be in it.
type openFile struct {
	f            *file
	flags        int
	upper, lower vfs.Impl
}

// impl returns what serves the description now.
func (o *openFile) impl(ctx vfs.Context) (vfs.Impl, error) {
	at, ino := &o.lower, o.f.lower
	if o.f.upper != nil && !o.f.lazy {
		at, ino = &o.upper, o.f.upper
	}
	if *at == nil {
		op, ok := ino.(vfs.Opener)
		if !ok {
			return nil, unix.EIO
		}
		impl, err := op.Open(ctx, vfs.Path{}, o.flags)
		if err != nil {
			return nil, err
		}
		*at = impl
	}
	return *at, nil
}

// Release implements vfs.Impl.
func (o *openFile) Release(ctx vfs.Context) {
	for _, i := range [...]vfs.Impl{o.upper, o.lower} {
		if i != nil {
			i.Release(ctx)
		}
	}
}

// as returns what serves the description, if it can do T.
func as[T any](ctx vfs.Context, o *openFile, without error) (t T, err error) {
	i, err := o.impl(ctx)
	if err != nil {
		return t, err
	}
	t, ok := i.(T)
	if !ok {
		return t, without
	}
	return t, nil
}

// Read implements vfs.Reader.
func (o *openFile) Read(ctx vfs.Context, f *vfs.File, p []byte, off int64) (int, error) {
	r, err := as[vfs.Reader](ctx, o, unix.EINVAL)
	if err != nil {
		return 0, err
	}
	return r.Read(ctx, f, p, off)
}

// Write implements vfs.Writer.
func (o *openFile) Write(ctx vfs.Context, f *vfs.File, p []byte, off int64) (int, error) {
	w, err := as[vfs.Writer](ctx, o, unix.EINVAL)
	if err != nil {
		return 0, err
	}
	return w.Write(ctx, f, p, off)
}

// Append implements vfs.Appender.
func (o *openFile) Append(ctx vfs.Context, f *vfs.File, p []byte) (n int, end int64, err error) {
	w, err := as[vfs.Appender](ctx, o, unix.EINVAL)
	if err != nil {
		return 0, 0, err
	}
	return w.Append(ctx, f, p)
}

// Seek implements vfs.Seeker.
func (o *openFile) Seek(ctx vfs.Context, f *vfs.File, off int64, whence int) (int64, error) {
	s, err := as[vfs.Seeker](ctx, o, unix.ESPIPE)
	if err != nil {
		return 0, err
	}
	return s.Seek(ctx, f, off, whence)
}

// Sync implements vfs.Syncer.
func (o *openFile) Sync(ctx vfs.Context, f *vfs.File, dataOnly bool) error {
	s, err := as[vfs.Syncer](ctx, o, nil)
	if s == nil || err != nil {
		return err
	}
	return s.Sync(ctx, f, dataOnly)
}

// Allocate implements vfs.Allocator.
func (o *openFile) Allocate(ctx vfs.Context, f *vfs.File, mode uint32, off, n int64) error {
	a, err := as[vfs.Allocator](ctx, o, unix.EOPNOTSUPP)
	if err != nil {
		return err
	}
	return a.Allocate(ctx, f, mode, off, n)
}

// HostFile implements vfs.Mmapper: the pages are those of the layer.
func (o *openFile) HostFile(ctx vfs.Context, f *vfs.File, writable bool) (int, uint64, error) {
	if writable && o.flags&unix.O_ACCMODE == unix.O_RDONLY {
		return -1, 0, unix.EACCES
	}
	m, err := as[vfs.Mmapper](ctx, o, unix.ENODEV)
	if err != nil {
		return -1, 0, err
	}
	return m.HostFile(ctx, f, writable)
}
