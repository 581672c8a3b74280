package gofs

import (
	"os"
	"slices"
	"time"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// What changes names and attributes. The VFS holds the directories' locks, and
// asks for nothing of this where the mount is read-only.

// make makes a name in directory n and returns what is then there, owned as
// asked for.
func (n *node) make(ctx vfs.Context, what, name string, uid, gid uint32, do func(full string) error) (vfs.Inode, error) {
	full, err := n.below(name)
	if err != nil {
		return nil, unix.ENOENT
	}
	if err := n.fs.tell(ctx, what, func() error { return do(full) }); err != nil {
		return nil, err
	}
	return n.settle(ctx, name, full, uid, gid)
}

// settle looks at what was made and gives it its owner, where there are such.
func (n *node) settle(ctx vfs.Context, name, full string, uid, gid uint32) (inode, error) {
	f := n.fs
	t, err := f.lstat(ctx, full)
	if err != nil {
		return nil, err
	}
	if o, ok := f.fsys.(fsys.LchownFS); ok && (t.attr.UID != uid || t.attr.GID != gid) {
		// A directory of the host's may not allow it. So it is then.
		err := f.tell(ctx, "Lchown", func() error { return o.Lchown(full, int(uid), int(gid)) })
		if err == nil {
			t, err = f.lstat(ctx, full)
		}
		if err != nil && err != unix.EPERM && err != unix.EOPNOTSUPP {
			return nil, err
		}
	}
	if c := n.kids[name]; c != nil {
		c.base().unname(n, name) // it was removed behind our back
	}
	return n.child(name, t), nil
}

// Create implements vfs.Creator.
func (n *node) Create(ctx vfs.Context, name string, mode uint32, rdev uint64, uid, gid uint32) (vfs.Inode, error) {
	f := n.fs
	if mode&unix.S_IFMT != unix.S_IFREG {
		m, ok := f.fsys.(fsys.MknodFS)
		if !ok {
			return nil, unix.EPERM
		}
		return n.make(ctx, "Mknod", name, uid, gid, func(full string) error { return m.Mknod(full, vfs.GoMode(mode), rdev) })
	}
	full, err := n.below(name)
	if err != nil {
		return nil, unix.ENOENT
	}
	h, err := f.open(ctx, full, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	c, err := n.settle(ctx, name, full, uid, gid)
	if err != nil {
		h.close(ctx)
		return nil, err
	}
	// It is kept for the open that follows: a mode without write permission
	// is no hindrance then. After mknod(2) none follows.
	const most = 16
	b := c.base()
	b.made, h.of = h, b
	if f.temps = append(f.temps, h); len(f.temps) > most {
		old := f.temps[0]
		old.take()
		old.close(ctx)
	}
	return c, nil
}

// Mkdir implements vfs.Mkdirer.
func (n *node) Mkdir(ctx vfs.Context, name string, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	m, ok := n.fs.fsys.(fsys.MkdirFS)
	if !ok {
		return nil, unix.EPERM
	}
	return n.make(ctx, "Mkdir", name, uid, gid, func(full string) error { return m.Mkdir(full, vfs.GoMode(mode)&^os.ModeDir) })
}

// Symlink implements vfs.Symlinker.
func (n *node) Symlink(ctx vfs.Context, name, target string, uid, gid uint32) (vfs.Inode, error) {
	s, ok := n.fs.fsys.(fsys.SymlinkFS)
	if !ok {
		return nil, unix.EPERM
	}
	return n.make(ctx, "Symlink", name, uid, gid, func(full string) error { return s.Symlink(target, full) })
}

// Link implements vfs.Linker.
func (n *node) Link(ctx vfs.Context, name string, target vfs.Inode) error {
	l, ok := n.fs.fsys.(fsys.LinkFS)
	if !ok {
		return unix.EPERM
	}
	t := target.(inode)
	old, err := t.base().path()
	if err != nil {
		return unix.ENOENT
	}
	full, err := n.below(name)
	if err != nil {
		return unix.ENOENT
	}
	if err := n.fs.tell(ctx, "Link", func() error { return l.Link(old, full) }); err != nil {
		return err
	}
	t.base().name(n, name, t)
	return nil
}

// Unlink implements vfs.Unlinker.
func (n *node) Unlink(ctx vfs.Context, name string, child vfs.Inode) error {
	return n.remove(ctx, name, child)
}

// Rmdir implements vfs.Rmdirer.
func (n *node) Rmdir(ctx vfs.Context, name string, child vfs.Inode) error {
	return n.remove(ctx, name, child)
}

func (n *node) remove(ctx vfs.Context, name string, child vfs.Inode) error {
	r, ok := n.fs.fsys.(fsys.RemoveFS)
	if !ok {
		return unix.EPERM
	}
	full, err := n.below(name)
	if err != nil {
		return unix.ENOENT
	}
	if err := n.fs.tell(ctx, "Remove", func() error { return r.Remove(full) }); err != nil {
		return err
	}
	child.(inode).base().unname(n, name)
	return nil
}

// Rename implements vfs.Renamer.
func (n *node) Rename(ctx vfs.Context, old string, child vfs.Inode, dir vfs.Inode, new string, replaced vfs.Inode, flags uint32) error {
	r, ok := n.fs.fsys.(fsys.RenameFS)
	if flags&(unix.RENAME_EXCHANGE|unix.RENAME_WHITEOUT) != 0 {
		return unix.EINVAL
	}
	if !ok {
		return unix.EPERM
	}
	to := dir.(inode).base()
	from, err := n.below(old)
	if err != nil {
		return unix.ENOENT
	}
	full, err := to.below(new)
	if err != nil {
		return unix.ENOENT
	}
	if err := n.fs.tell(ctx, "Rename", func() error { return r.Rename(from, full) }); err != nil {
		return err
	}
	if replaced != nil {
		replaced.(inode).base().unname(to, new)
	}
	c := child.(inode)
	c.base().unname(n, old)
	c.base().name(to, new, c)
	return nil
}

// SetAttr implements vfs.AttrSetter. The time of change is the file system's
// affair, and so is that of modification when the size changes.
func (n *node) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	name, err := n.path()
	if set&vfs.SetSize != 0 {
		if err := n.resize(ctx, a.Size); err != nil {
			return err
		}
		if m, ok := n.fs.fsys.(fsys.ChmodFS); ok && err == nil && set&vfs.SetMode != 0 {
			return n.fs.tell(ctx, "Chmod", func() error { return m.Chmod(name, vfs.GoMode(a.Mode&0o7777)) })
		}
		return nil
	}
	if err != nil {
		return unix.EPERM // removed: nothing leads to it
	}
	if set&(vfs.SetUID|vfs.SetGID) != 0 {
		if err := n.chown(ctx, name, set, a); err != nil {
			return err
		}
	}
	if set&vfs.SetMode != 0 && a.Mode&0o7777 != n.attr.Mode&0o7777 {
		m, ok := n.fs.fsys.(fsys.ChmodFS)
		if !ok {
			return unix.EPERM
		}
		if err := n.fs.tell(ctx, "Chmod", func() error { return m.Chmod(name, vfs.GoMode(a.Mode&0o7777)) }); err != nil {
			return err
		}
	}
	if set&(vfs.SetAtime|vfs.SetMtime) != 0 {
		c, ok := n.fs.fsys.(fsys.ChtimesFS)
		if !ok {
			return unix.EPERM
		}
		var at, mt time.Time
		if set&vfs.SetAtime != 0 {
			at = time.Unix(0, a.Atime)
		}
		if set&vfs.SetMtime != 0 {
			mt = time.Unix(0, a.Mtime)
		}
		if err := n.fs.tell(ctx, "Chtimes", func() error { return c.Chtimes(name, at, mt) }); err != nil {
			return err
		}
	}
	_, err = n.Attr(ctx) // permissions are checked by what was told last
	return err
}

func (n *node) chown(ctx vfs.Context, name string, set vfs.AttrMask, a vfs.Attr) error {
	uid, gid := -1, -1
	if set&vfs.SetUID != 0 && a.UID != n.attr.UID {
		uid = int(a.UID)
	}
	if set&vfs.SetGID != 0 && a.GID != n.attr.GID {
		gid = int(a.GID)
	}
	if uid < 0 && gid < 0 {
		return nil
	}
	o, ok := n.fs.fsys.(fsys.LchownFS)
	if !ok {
		return unix.EPERM
	}
	return n.fs.tell(ctx, "Lchown", func() error { return o.Lchown(name, uid, gid) })
}

// resize cuts or lengthens the file, by whatever can.
func (n *node) resize(ctx vfs.Context, size int64) error {
	err := n.resizeFile(ctx, size)
	if err == nil && n.key != 0 {
		err = unix.Ftruncate(n.host, size)
	}
	if err == nil {
		n.attr.Size = size
	}
	return err
}

func (n *node) resizeFile(ctx vfs.Context, size int64) error {
	f := n.fs
	name, err := n.path()
	named := err == nil
	for _, o := range n.open {
		if t, ok := o.h.file.(fsys.Truncater); ok && o.h.writes {
			return f.tell(ctx, "Truncate", func() error { return t.Truncate(size) })
		}
	}
	if !named {
		return unix.EPERM
	}
	if t, ok := f.fsys.(fsys.TruncateFS); ok {
		return f.tell(ctx, "Truncate", func() error { return t.Truncate(name, size) })
	}
	flags := os.O_WRONLY
	if size == 0 {
		flags |= os.O_TRUNC
	}
	h, err := f.open(ctx, name, flags, 0)
	if err != nil {
		return err
	}
	defer h.close(ctx)
	if size == 0 {
		return nil
	}
	t, ok := h.file.(fsys.Truncater)
	if !ok {
		return unix.EPERM
	}
	return f.tell(ctx, "Truncate", func() error { return t.Truncate(size) })
}

// Setxattr implements vfs.Xattrer.
func (n *node) Setxattr(ctx vfs.Context, attr string, value []byte, flags int) error {
	x, ok := n.fs.fsys.(fsys.SetxattrFS)
	if !ok {
		return unix.EOPNOTSUPP
	}
	name, err := n.path()
	if err != nil {
		return unix.EPERM
	}
	value = slices.Clone(value)
	return n.fs.tell(ctx, "Setxattr", func() error { return x.Setxattr(name, attr, value, flags) })
}

// Removexattr implements vfs.Xattrer.
func (n *node) Removexattr(ctx vfs.Context, attr string) error {
	x, ok := n.fs.fsys.(fsys.RemovexattrFS)
	if !ok {
		return unix.EOPNOTSUPP
	}
	name, err := n.path()
	if err != nil {
		return unix.EPERM
	}
	return n.fs.tell(ctx, "Removexattr", func() error { return x.Removexattr(name, attr) })
}
