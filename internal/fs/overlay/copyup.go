package overlay

import (
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// copyUp makes sure that the directory is in the upper layer, with those above
// it. It does not wait.
func (d *dir) copyUp(ctx vfs.Context, _ int64) error {
	if d.up != nil {
		return nil
	}
	if d.fs.opts.Upper == nil {
		return unix.EROFS
	}
	p, ok := d.place()
	if !ok || d.gone {
		return unix.ENOENT
	}
	a, err := d.lower.Attr(ctx)
	if err != nil {
		return err
	}
	return p.dir.keepingTimes(ctx, func() error {
		u, err := p.dir.up.Mkdir(ctx, p.name, a.Mode, a.UID, a.GID)
		if err != nil {
			return err
		}
		up, ok := u.(upperDir)
		if !ok {
			return unix.EIO
		}
		if err := copyAttr(ctx, d.lower, u, a); err != nil {
			p.dir.up.Rmdir(ctx, p.name, u)
			evict(u)
			return err
		}
		d.upper, d.up = u, up
		d.fs.real[u] = d
		d.merged = nil
		return nil
	})
}

// keepingTimes copies d up and runs f, which puts into the upper layer what d
// has already: its times stay.
func (d *dir) keepingTimes(ctx vfs.Context, f func() error) error {
	if err := d.copyUp(ctx, nothing); err != nil {
		return err
	}
	a, err := d.up.Attr(ctx)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return d.up.SetAttr(ctx, vfs.SetAtime|vfs.SetMtime|vfs.SetCtime, a)
}

// copyAttr gives to, new in the upper layer, what from has, of attributes a.
func copyAttr(ctx vfs.Context, from, to vfs.Inode, a vfs.Attr) error {
	if err := copyXattrs(ctx, from, to); err != nil {
		return err
	}
	s, ok := to.(vfs.AttrSetter)
	if !ok {
		return unix.EIO
	}
	set := vfs.SetMode | vfs.SetUID | vfs.SetGID | vfs.SetAtime | vfs.SetMtime
	if a.IsSymlink() {
		set &^= vfs.SetMode
	}
	return s.SetAttr(ctx, set, a)
}

// copyXattrs copies extended attributes, but for the overlay's own and those
// that the upper layer cannot have.
func copyXattrs(ctx vfs.Context, from, to vfs.Inode) error {
	x, ok := from.(vfs.Xattrer)
	if !ok {
		return nil
	}
	names, err := x.Listxattr(ctx)
	if err != nil {
		return err
	}
	y, ok := to.(vfs.Xattrer)
	if !ok {
		return nil
	}
	for _, s := range names {
		if strings.HasPrefix(s, private) {
			continue
		}
		v, err := x.Getxattr(ctx, s)
		if err == unix.ENODATA || err == unix.EACCES {
			continue
		}
		if err == nil {
			err = y.Setxattr(ctx, s, v, 0)
		}
		if err != nil && err != unix.EOPNOTSUPP && err != unix.EPERM {
			return err
		}
	}
	return nil
}

// copyUp makes sure that the link is in the upper layer.
func (l *link) copyUp(ctx vfs.Context, _ int64) error {
	if l.upper != nil {
		return nil
	}
	target, err := l.Readlink(ctx)
	if err != nil {
		return err
	}
	return l.copyName(ctx, l, func(d upperDir, name string, a vfs.Attr) (vfs.Inode, error) {
		return d.Symlink(ctx, name, target, a.UID, a.GID)
	})
}

// copyUp makes sure that the fifo or whatever it is is in the upper layer.
func (s *special) copyUp(ctx vfs.Context, _ int64) error {
	if s.upper != nil {
		return nil
	}
	return s.copyName(ctx, s, func(d upperDir, name string, a vfs.Attr) (vfs.Inode, error) {
		return d.Create(ctx, name, a.Mode, a.Rdev, a.UID, a.GID)
	})
}

// copyName copies up what has no contents. Without a name it cannot be.
func (n *node) copyName(ctx vfs.Context, self entry, make func(d upperDir, name string, a vfs.Attr) (vfs.Inode, error)) error {
	if n.fs.opts.Upper == nil {
		return unix.EROFS
	}
	p, ok := n.place()
	if !ok {
		return unix.ENOENT
	}
	a, err := n.lower.Attr(ctx)
	if err != nil {
		return err
	}
	return p.dir.keepingTimes(ctx, func() error {
		u, err := make(p.dir.up, p.name, a)
		if err != nil {
			return err
		}
		if err := copyAttr(ctx, n.lower, u, a); err != nil {
			p.dir.up.Unlink(ctx, p.name, u)
			evict(u)
			return err
		}
		n.copied(self, u, a)
		return nil
	})
}

// copied notes that u in the upper layer is n from now on. The other names it
// has in the lower layer, if any, lead to it still.
func (n *node) copied(self entry, u vfs.Inode, a vfs.Attr) {
	if a.Nlink > 1 {
		n.count(a.Nlink)
	}
	n.upper = u
	n.fs.real[u] = self
}

// lazyFrom is the size from which on a file that gets other attributes or
// another name is copied up without its contents.
var lazyFrom int64 = 64 << 10

// copyUp makes sure that the file is in the upper layer, with as much of its
// contents as is wanted. One task copies, the others wait; meanwhile the file
// is read from the lower layer, and its names may change.
func (f *file) copyUp(ctx vfs.Context, size int64) error {
	for {
		switch {
		case f.copying:
			if err := f.wait(ctx); err != nil {
				return err
			}
			continue
		case f.upper != nil && (!f.lazy || size == nothing):
			return nil
		case f.fs.opts.Upper == nil:
			return unix.EROFS
		}
		f.copying = true
		var err error
		if f.upper == nil {
			err = f.copyFile(ctx, size)
		} else {
			err = f.complete(ctx, size)
		}
		f.copying = false
		if f.waiting != nil {
			f.waiting.Wake(wait.In)
			f.waiting = nil
		}
		return err
	}
}

// wait waits until nobody copies f.
func (f *file) wait(ctx vfs.Context) error {
	if f.waiting == nil {
		f.waiting = &wait.Queue{}
	}
	e := wait.Entry{Notify: func(*wait.Entry, wait.Events) bool { ctx.Wakeup(); return true }}
	f.waiting.Add(&e, wait.All)
	defer e.Remove()
	for f.copying {
		if err := ctx.SleepKillable(); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies f: first the contents, to a file that nobody sees, which is
// then given its name.
func (f *file) copyFile(ctx vfs.Context, size int64) error {
	a, err := f.lower.Attr(ctx)
	if err != nil {
		return err
	}
	home := f.fs.root
	p, named := f.place()
	if named {
		if err := p.dir.copyUp(ctx, nothing); err != nil {
			return err
		}
		home = p.dir
	}
	t, ok := home.up.(vfs.Tmpfiler)
	if !ok {
		return unix.EOPNOTSUPP
	}
	u, err := t.Tmpfile(ctx, unix.S_IFREG|0o600, a.UID, a.GID)
	if err != nil {
		return err
	}
	lazy := false
	if size == nothing {
		if size = everything; named && a.Size >= lazyFrom {
			lazy = markLazy(ctx, u, p, a.Size) == nil
		}
	}
	if !lazy {
		err = f.copyData(ctx, u, min(size, a.Size), a)
	}
	if err == nil {
		err = copyAttr(ctx, f.lower, u, a)
	}
	if err == nil {
		if p, ok := f.place(); ok {
			err = p.dir.keepingTimes(ctx, func() error { return p.dir.up.Link(ctx, p.name, u) })
		}
	}
	if err != nil {
		evict(u)
		return err
	}
	f.copied(f, u, a)
	f.lazy = lazy
	return nil
}

// markLazy makes u, for the file that the lower layers have at p, one without
// contents: overlayfs calls it metacopy.
func markLazy(ctx vfs.Context, u vfs.Inode, p place, size int64) error {
	x, ok := u.(vfs.Xattrer)
	if !ok {
		return unix.EOPNOTSUPP
	}
	if err := u.(vfs.AttrSetter).SetAttr(ctx, vfs.SetSize, vfs.Attr{Size: size}); err != nil {
		return err
	}
	if err := x.Setxattr(ctx, redirect, []byte(p.dir.origin+"/"+p.name), 0); err != nil {
		return err
	}
	return x.Setxattr(ctx, metacopy, nil, 0)
}

// complete copies the contents that f was copied up without.
func (f *file) complete(ctx vfs.Context, size int64) error {
	a, err := f.lower.Attr(ctx)
	if err != nil {
		return err
	}
	// What is seen of f stays as it is now.
	now, err := f.Attr(ctx)
	if err != nil {
		return err
	}
	f.saved = &now
	err = f.copyData(ctx, f.upper, min(size, a.Size), a)
	f.saved = nil
	if e := f.setAttr(ctx, vfs.SetAtime|vfs.SetMtime|vfs.SetCtime, now); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	f.lazy = false
	for _, s := range [...]string{metacopy, redirect} {
		if err := f.removexattr(ctx, s); err != nil && err != unix.ENODATA {
			return err
		}
	}
	return nil
}

// privileged is a caller whose writing leaves the set-id bits alone.
type privileged struct{ vfs.Context }

var allCaps = &vfs.Cred{Caps: 1<<64 - 1}

func (privileged) Cred() *vfs.Cred { return allCaps }

const (
	chunk = 256 << 10
	// turn is how much is copied before others have their turn.
	turn = 16 << 20
)

// copyData copies the first size bytes of f, of attributes a, to u; holes stay
// holes. What the upper layer has no room for it does not begin with.
func (f *file) copyData(ctx vfs.Context, u vfs.Inode, size int64, a vfs.Attr) error {
	if size == 0 {
		return u.(vfs.AttrSetter).SetAttr(ctx, vfs.SetSize, vfs.Attr{})
	}
	if s, err := f.fs.opts.Upper.Statfs(ctx); err == nil && s.Bsize > 0 && uint64(min(size, a.Blocks*512)/s.Bsize) > s.Bavail {
		return unix.ENOSPC
	}
	ctx = privileged{ctx}
	from, err := open(ctx, f.lower, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer from.Impl.Release(ctx)
	to, err := open(ctx, u, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer to.Impl.Release(ctx)
	r, ok := from.Impl.(vfs.Reader)
	w, ok2 := to.Impl.(vfs.Writer)
	if !ok || !ok2 {
		return unix.EIO
	}
	seeker, _ := from.Impl.(vfs.Seeker)
	buf := make([]byte, min(chunk, size))
	hole, rest := int64(0), int64(turn) // where the next hole begins; until the others' turn
	for off := int64(0); off < size; {
		if seeker != nil && off >= hole {
			next, err := seeker.Seek(ctx, from, off, unix.SEEK_DATA)
			if err == unix.ENXIO {
				break
			}
			if err == nil {
				off = next
				hole, err = seeker.Seek(ctx, from, off, unix.SEEK_HOLE)
			}
			if err != nil {
				seeker = nil
			}
			continue
		}
		n := min(int64(len(buf)), size-off)
		if seeker != nil {
			n = min(n, hole-off)
		}
		m, err := r.Read(ctx, from, buf[:n], off)
		if err != nil {
			return err
		}
		if m == 0 {
			break
		}
		for b := buf[:m]; len(b) > 0; {
			k, err := w.Write(ctx, to, b, off)
			if err != nil {
				return err
			}
			b, off = b[k:], off+int64(k)
		}
		if rest -= int64(m); rest <= 0 {
			ctx.Offload(func() {})
			rest = turn
		}
	}
	return u.(vfs.AttrSetter).SetAttr(ctx, vfs.SetSize, vfs.Attr{Size: size})
}

// open opens an inode of a layer for the overlay's own use. The result is
// ended by its Impl's Release.
func open(ctx vfs.Context, ino vfs.Inode, flags int) (*vfs.File, error) {
	o, ok := ino.(vfs.Opener)
	if !ok {
		return nil, unix.EIO
	}
	impl, err := o.Open(ctx, vfs.Path{}, flags)
	if err != nil {
		return nil, err
	}
	return &vfs.File{Inode: ino, Impl: impl, Flags: flags | unix.O_NOATIME}, nil
}

// temp returns a name that the upper layer's directory does not have, for what
// is about to be renamed.
func (fs *FS) temp(ctx vfs.Context, d upperDir) (string, error) {
	for {
		fs.temps++
		s := ".#overlay-" + strconv.FormatUint(fs.temps, 36)
		if _, err := d.Lookup(ctx, s); err == unix.ENOENT {
			return s, nil
		} else if err != nil {
			return "", err
		}
	}
}
