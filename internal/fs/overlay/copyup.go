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
	if err := d.copyUp(ctx, everything); err != nil {
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

// copyUp makes sure that the file is in the upper layer. One task copies, the
// others wait; meanwhile the file is read from the lower layer, and its names
// may change.
func (f *file) copyUp(ctx vfs.Context, size int64) error {
	for f.upper == nil {
		if f.fs.opts.Upper == nil {
			return unix.EROFS
		}
		if f.copying {
			if err := f.wait(ctx); err != nil {
				return err
			}
			continue
		}
		f.copying = true
		err := f.copyFile(ctx, size)
		f.copying = false
		if f.waiting != nil {
			f.waiting.Wake(wait.In)
			f.waiting = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	if p, ok := f.place(); ok {
		if err := p.dir.copyUp(ctx, everything); err != nil {
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
	err = f.copyData(ctx, u, min(size, a.Size))
	if err == nil {
		// Last, for writing takes the set-id bits away.
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
	return nil
}

const chunk = 256 << 10

// copyData copies the first size bytes of f to u; holes stay holes.
func (f *file) copyData(ctx vfs.Context, u vfs.Inode, size int64) error {
	if size == 0 {
		return nil
	}
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
	hole := int64(0) // where the next one begins
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
