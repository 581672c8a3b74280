// Package gofs mounts Go file systems: any io/fs.FS read-only, and what is a
// fsys.FS for writing, too.
//
// Contract: guarded by the kernel lock. What the Go file system is asked may
// wait, and may be anybody's code: it runs where waiting harms nobody, a panic
// in it and an answer that cannot be are EIO and are reported. A task that is
// killed does not wait for it. What such code is given it may still use after
// that: buffers are its own.
//
// # What is where
//
// gofs.go: the file system, and how it is asked. node.go: inodes, what is told
// of them; names.go: what changes names and attributes; open.go: open files;
// mapped.go: their copies that are mapped; listing.go: open directories.
package gofs

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Options say how a file system is shown.
type Options struct {
	Dev uint64 // st_dev
	// ReadOnly never writes. Names that were looked up are then taken to
	// stay, as they are for an fs.FS that cannot be written.
	ReadOnly bool
	// UID and GID own what does not say who owns it.
	UID, GID uint32
	// Report is told of what the file system does wrong; nil: nobody.
	Report func(msg string)
	// Name is what it is called in reports.
	Name string
}

// FS is a mounted Go file system.
type FS struct {
	fsys  fs.FS
	rw    fsys.FS // nil: read-only
	opts  Options
	quick bool
	root  inode
	inos  map[uint64]inode // by number: those in use
	odd   uint64           // numbers given out where names' were taken
	lies  int              // told so far
	temps []*handle        // opened when they were made and not yet asked for
}

// New returns fsys as a file system.
func New(f fs.FS, o Options) *FS {
	g := &FS{fsys: f, opts: o, inos: make(map[uint64]inode)}
	if rw, ok := f.(fsys.FS); ok && !o.ReadOnly {
		g.rw = rw
	}
	if q, ok := f.(fsys.QuickFS); ok {
		g.quick = q.Quick()
	}
	g.root = g.newNode(unix.S_IFDIR)
	n := g.root.base()
	n.attr = vfs.Attr{Dev: o.Dev, Mode: unix.S_IFDIR | 0o555, UID: o.UID, GID: o.GID, Nlink: 1, BlockSize: blockSize}
	n.attr.Ino = g.number(0, ".")
	g.inos[n.attr.Ino] = g.root
	return g
}

// Root implements vfs.FileSystem.
func (f *FS) Root() vfs.Inode { return f.root }

// Type implements vfs.FileSystem.
func (f *FS) Type() string { return "gofs" }

// ReadOnly implements vfs.ReadOnlyer.
func (f *FS) ReadOnly() bool { return f.rw == nil }

// Statfs implements vfs.FileSystem: sizes are only known if it tells.
func (f *FS) Statfs(ctx vfs.Context) (unix.Statfs_t, error) {
	s := unix.Statfs_t{
		Type: unix.RAMFS_MAGIC, Bsize: blockSize, Frsize: blockSize, Namelen: unix.NAME_MAX,
		Fsid: unix.Fsid{Val: [2]int32{int32(f.opts.Dev), int32(f.opts.Dev >> 32)}},
	}
	t, ok := f.fsys.(fsys.StatfsFS)
	if !ok {
		return s, nil
	}
	u, err := ask(f, ctx, "Statfs", t.Statfs)
	if err != nil {
		return s, err
	}
	if u.BlockSize > 0 {
		s.Bsize, s.Frsize = u.BlockSize, u.BlockSize
	}
	s.Blocks, s.Bfree, s.Bavail, s.Files, s.Ffree = u.Blocks, u.Free, u.Avail, u.Files, u.FilesFree
	if u.NameMax > 0 {
		s.Namelen = int64(min(u.NameMax, unix.NAME_MAX))
	}
	return s, nil
}

// Unmounted implements vfs.Unmounter.
func (f *FS) Unmounted() {
	for _, i := range f.inos {
		i.base().closeCopy()
	}
	temps := f.temps
	f.temps = nil
	c, ok := f.fsys.(fsys.UnmountedFS)
	if len(temps) == 0 && !ok {
		return
	}
	// Nobody is here to wait for them.
	run := func() {
		defer func() { recover() }()
		for _, h := range temps {
			h.file.Close()
		}
		if ok {
			c.Unmounted()
		}
	}
	if f.quick {
		run()
	} else {
		go run()
	}
}

const blockSize = 4096

// lie reports what the file system did wrong, and is EIO.
func (f *FS) lie(format string, args ...any) error {
	const enough = 16
	if f.lies++; f.opts.Report != nil && f.lies <= enough {
		msg := fmt.Sprintf("sysemu: Go file system %s (%T): ", f.opts.Name, f.fsys) + fmt.Sprintf(format, args...)
		if f.lies == enough {
			msg += " (no more is told of this file system)"
		}
		f.opts.Report(msg)
	}
	return unix.EIO
}

// panicked is the error of what panicked.
type panicked struct{ v any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.v) }

// ask runs do, which asks the Go file system for something, and turns its error
// into an errno. It is EINTR for a task that is killed meanwhile.
func ask[T any](f *FS, ctx vfs.Context, what string, do func() (T, error)) (T, error) {
	return askFor(f, ctx, false, what, nil, do)
}

// askFor is ask for a call whose result is given back by late if it comes too
// late; must has also who is killed wait for it.
func askFor[T any](f *FS, ctx vfs.Context, must bool, what string, late func(T), do func() (T, error)) (T, error) {
	type answer struct {
		v    T
		err  error
		took atomic.Bool // by who comes second: the answer, or who does not wait for it
	}
	a := new(answer)
	run := func() {
		defer func() {
			if r := recover(); r != nil {
				a.err = panicked{r}
			}
			if a.took.Swap(true) && a.err == nil && late != nil {
				defer func() { recover() }()
				late(a.v)
			}
		}()
		a.v, a.err = do()
	}
	l, leaves := ctx.(vfs.Leaver)
	switch {
	case f.quick:
		run()
	case leaves:
		if !l.OffloadLeaving(must, run) && !a.took.Swap(true) {
			var none T
			return none, unix.EINTR
		}
	default:
		ctx.Offload(run)
	}
	if p, ok := a.err.(panicked); ok {
		return a.v, f.lie("%s: %v", what, p)
	}
	return a.v, errno(a.err)
}

// tell is ask for what has no answer but an error.
func (f *FS) tell(ctx vfs.Context, what string, do func() error) error {
	_, err := ask(f, ctx, what, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// errno is the error number nearest to what a Go file system reported.
func errno(err error) error {
	var e unix.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		if e == 0 || e >= 512 { // the kernel's own begin there
			return unix.EIO
		}
		return e
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, fs.ErrExist):
		return unix.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return unix.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return unix.EINVAL
	case errors.Is(err, errors.ErrUnsupported):
		return unix.EOPNOTSUPP
	}
	return unix.EIO
}
