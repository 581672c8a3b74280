package overlay

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// What changes names. The VFS holds the directories' locks, so what was looked
// up before a change is still so; and none of this waits but for the copying
// up of files, which comes first.

// at returns what the upper layer has under a name, nil when it has nothing,
// and whether that is a whiteout. d is in the upper layer.
func (d *dir) at(ctx vfs.Context, name string) (u vfs.Inode, white bool, err error) {
	u, err = d.up.Lookup(ctx, name)
	if err == unix.ENOENT {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if d.fs.real[u] != nil {
		return u, false, nil
	}
	a, err := u.Attr(ctx)
	return u, err == nil && isWhiteout(&a), err
}

// putNew puts a new inode into the upper layer under a name that d does not
// have: make makes it, under the name it is given. A whiteout in the way is
// replaced, so that at no time the name leads to what is below it; what is
// below a directory has no part in it then.
func (d *dir) putNew(ctx vfs.Context, name string, make func(name string) (vfs.Inode, error)) (vfs.Inode, error) {
	if err := d.copyUp(ctx, nothing); err != nil {
		return nil, err
	}
	old, white, err := d.at(ctx, name)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return make(name)
	}
	if !white {
		return nil, unix.EEXIST
	}
	temp, err := d.fs.temp(ctx, d.up)
	if err != nil {
		return nil, err
	}
	u, err := make(temp)
	if err != nil {
		return nil, err
	}
	if up, ok := u.(upperDir); ok {
		err = up.Setxattr(ctx, opaque, []byte("y"), 0)
		if err == nil {
			err = d.up.Rename(ctx, temp, u, d.up, name, old, unix.RENAME_EXCHANGE)
		}
		if err != nil {
			d.up.Rmdir(ctx, temp, u)
		} else if err := d.up.Unlink(ctx, temp, old); err != nil {
			return nil, err
		}
	} else if err = d.up.Rename(ctx, temp, u, d.up, name, old, 0); err != nil {
		d.up.Unlink(ctx, temp, u)
	}
	if err != nil {
		evict(u)
		return nil, err
	}
	evict(old)
	return u, nil
}

// born returns the overlay's inode of u, just made.
func (d *dir) born(ctx vfs.Context, name string, u vfs.Inode) (vfs.Inode, error) {
	a, err := u.Attr(ctx)
	if err != nil {
		return nil, err
	}
	e := d.fs.newEntry(a)
	n := e.base()
	n.upper, n.ino = u, d.fs.inode(upperLayer, a.Dev, a.Ino)
	if s, ok := e.(*dir); ok {
		if s.up, ok = u.(upperDir); !ok {
			return nil, unix.EIO
		}
	}
	d.fs.real[u] = e
	if name != "" {
		n.addName(d, name)
	}
	d.merged = nil
	return e, nil
}

func (d *dir) make(ctx vfs.Context, name string, make func(name string) (vfs.Inode, error)) (vfs.Inode, error) {
	u, err := d.putNew(ctx, name, make)
	if err != nil {
		return nil, err
	}
	return d.born(ctx, name, u)
}

// Create implements vfs.Creator. A whiteout cannot be made: EPERM, as on
// overlayfs.
func (d *dir) Create(ctx vfs.Context, name string, mode uint32, rdev uint64, uid, gid uint32) (vfs.Inode, error) {
	if isWhiteout(&vfs.Attr{Mode: mode, Rdev: rdev}) {
		return nil, unix.EPERM
	}
	return d.make(ctx, name, func(name string) (vfs.Inode, error) { return d.up.Create(ctx, name, mode, rdev, uid, gid) })
}

// Mkdir implements vfs.Mkdirer.
func (d *dir) Mkdir(ctx vfs.Context, name string, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	return d.make(ctx, name, func(name string) (vfs.Inode, error) { return d.up.Mkdir(ctx, name, mode, uid, gid) })
}

// Symlink implements vfs.Symlinker.
func (d *dir) Symlink(ctx vfs.Context, name, target string, uid, gid uint32) (vfs.Inode, error) {
	return d.make(ctx, name, func(name string) (vfs.Inode, error) { return d.up.Symlink(ctx, name, target, uid, gid) })
}

// Tmpfile implements vfs.Tmpfiler.
func (d *dir) Tmpfile(ctx vfs.Context, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	if err := d.copyUp(ctx, nothing); err != nil {
		return nil, err
	}
	t, ok := d.up.(vfs.Tmpfiler)
	if !ok {
		return nil, unix.EOPNOTSUPP
	}
	u, err := t.Tmpfile(ctx, mode, uid, gid)
	if err != nil {
		return nil, err
	}
	e, err := d.born(ctx, "", u)
	if err == nil {
		e.(entry).base().gone = true
	}
	return e, err
}

// Link implements vfs.Linker.
func (d *dir) Link(ctx vfs.Context, name string, target vfs.Inode) error {
	e, ok := target.(entry)
	if !ok {
		return unix.EXDEV
	}
	if err := e.copyUp(ctx, nothing); err != nil {
		return err
	}
	n := e.base()
	_, err := d.putNew(ctx, name, func(name string) (vfs.Inode, error) { return n.upper, d.up.Link(ctx, name, n.upper) })
	if err != nil {
		return err
	}
	n.linked(d, name)
	d.merged = nil
	return nil
}

// whiteout makes the name, which the upper layer has as u or not at all (nil),
// a whiteout. What u was is left at temp, for who wants it; "" if nothing.
func (d *dir) whiteout(ctx vfs.Context, name string, u vfs.Inode) (temp string, err error) {
	if u == nil {
		w, err := d.up.Create(ctx, name, unix.S_IFCHR, 0, 0, 0)
		if err == nil {
			evict(w)
		}
		return "", err
	}
	if temp, err = d.fs.temp(ctx, d.up); err != nil {
		return "", err
	}
	w, err := d.up.Create(ctx, temp, unix.S_IFCHR, 0, 0, 0)
	if err != nil {
		return "", err
	}
	err = d.up.Rename(ctx, temp, w, d.up, name, u, unix.RENAME_EXCHANGE)
	if err != nil {
		d.up.Unlink(ctx, temp, w)
		temp = ""
	}
	evict(w)
	return temp, err
}

// hide takes a name out of d: what the upper layer has is removed by remove,
// under the name it is given then, and what the lower layers have is hidden.
func (d *dir) hide(ctx vfs.Context, name string, remove func(name string, u vfs.Inode) error) error {
	below, _, err := d.hides(ctx, name)
	if err != nil {
		return err
	}
	if below {
		// The directory changes, so its times do, too.
		if err := d.copyUp(ctx, nothing); err != nil {
			return err
		}
	}
	if d.up == nil {
		return unix.ENOENT
	}
	u, white, err := d.at(ctx, name)
	if err != nil {
		return err
	}
	if white || u == nil && !below {
		return unix.ENOENT
	}
	d.merged = nil
	if !below {
		return remove(name, u)
	}
	temp, err := d.whiteout(ctx, name, u)
	if err == nil && u != nil {
		err = remove(temp, u)
	}
	return err
}

// Unlink implements vfs.Unlinker.
func (d *dir) Unlink(ctx vfs.Context, name string, child vfs.Inode) error {
	if d.fs.opts.Upper == nil {
		return unix.EROFS
	}
	n := child.(entry).base()
	if err := n.countLower(ctx); err != nil {
		return err
	}
	err := d.hide(ctx, name, func(name string, u vfs.Inode) error { return d.up.Unlink(ctx, name, u) })
	if err == nil {
		n.unlinked(ctx, d, name)
	}
	return err
}

// countLower makes the links of what is in a lower layer alone count here: it
// does not lose any there.
func (n *node) countLower(ctx vfs.Context) error {
	if n.upper != nil || n.counted {
		return nil
	}
	a, err := n.lower.Attr(ctx)
	if err == nil {
		n.count(a.Nlink)
	}
	return err
}

// Rmdir implements vfs.Rmdirer.
func (d *dir) Rmdir(ctx vfs.Context, name string, child vfs.Inode) error {
	if d.fs.opts.Upper == nil {
		return unix.EROFS
	}
	c, ok := child.(*dir)
	if !ok {
		return unix.ENOTDIR
	}
	if err := c.empty(ctx); err != nil {
		return err
	}
	err := d.hide(ctx, name, func(name string, u vfs.Inode) error {
		if err := clearWhiteouts(ctx, u); err != nil {
			return err
		}
		return d.up.Rmdir(ctx, name, u)
	})
	if err == nil {
		c.removed(d, name)
	}
	return err
}

func (d *dir) removed(parent *dir, name string) {
	d.dropName(parent, name)
	d.gone = true
	d.merged = nil
}

// empty reports, with ENOTEMPTY, a directory that has names.
func (d *dir) empty(ctx vfs.Context) error {
	l, err := d.list(ctx)
	if err == nil && len(l.entries) > 2 {
		err = unix.ENOTEMPTY
	}
	return err
}

// clearWhiteouts removes what is left in an upper layer's directory that is
// empty to the eye.
func clearWhiteouts(ctx vfs.Context, ino vfs.Inode) error {
	up := ino.(upperDir)
	var names []string
	err := readDir(ctx, ino, func(e vfs.DirEntry) {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
	})
	if err != nil {
		return err
	}
	for _, s := range names {
		w, err := up.Lookup(ctx, s)
		if err != nil {
			return err
		}
		a, err := w.Attr(ctx)
		if err != nil {
			return err
		}
		if !isWhiteout(&a) {
			return unix.ENOTEMPTY
		}
		err = up.Unlink(ctx, s, w)
		evict(w)
		if err != nil {
			return err
		}
	}
	return nil
}

// Rename implements vfs.Renamer. RENAME_WHITEOUT is EINVAL, as on overlayfs.
func (d *dir) Rename(ctx vfs.Context, old string, child vfs.Inode, to vfs.Inode, new string, replaced vfs.Inode, flags uint32) error {
	if d.fs.opts.Upper == nil {
		return unix.EROFS
	}
	if flags&unix.RENAME_WHITEOUT != 0 {
		return unix.EINVAL
	}
	t, ok := to.(*dir)
	c, ok2 := child.(entry)
	if !ok || !ok2 {
		return unix.EXDEV
	}
	if child == replaced {
		return nil
	}
	exchange := flags&unix.RENAME_EXCHANGE != 0
	var r entry
	if replaced != nil {
		r = replaced.(entry)
		if rd, ok := r.(*dir); ok && !exchange {
			if err := rd.empty(ctx); err != nil {
				return err
			}
		}
	}
	// First what may wait or fail and changes nothing to the eye.
	for _, e := range [...]struct {
		ino  entry
		d    *dir
		name string
		want bool
	}{{d, nil, "", true}, {t, nil, "", true}, {c, d, old, true}, {r, t, new, exchange}} {
		if !e.want {
			continue
		}
		if err := e.ino.copyUp(ctx, nothing); err != nil {
			return err
		}
		if e.d != nil {
			if err := e.d.present(ctx, e.name, e.ino); err != nil {
				return err
			}
		}
	}
	oldBelow, _, err := d.hides(ctx, old)
	if err != nil {
		return err
	}
	newBelow, newBelowDir, err := t.hides(ctx, new)
	if err != nil {
		return err
	}
	if err := c.base().leaves(ctx, c, newBelow && newBelowDir); err != nil {
		return err
	}
	if exchange {
		if err := r.base().leaves(ctx, r, oldBelow); err != nil {
			return err
		}
		err = d.up.Rename(ctx, old, c.base().upper, t.up, new, r.base().upper, flags)
		if err != nil {
			return err
		}
		c.base().dropName(d, old)
		r.base().dropName(t, new)
		c.base().addName(t, new)
		r.base().addName(d, old)
		d.merged, t.merged = nil, nil
		return nil
	}
	if r != nil {
		if err := r.base().countLower(ctx); err != nil {
			return err
		}
	}
	if err := d.moveUpper(ctx, old, c, t, new, oldBelow); err != nil {
		return err
	}
	c.base().dropName(d, old)
	c.base().addName(t, new)
	d.merged, t.merged = nil, nil
	switch r := r.(type) {
	case nil:
	case *dir:
		r.removed(t, new)
	default:
		r.base().unlinked(ctx, t, new)
	}
	return nil
}

// present makes sure that the upper layer has e, which is there, under this
// name too: it may have been copied up by another.
func (d *dir) present(ctx vfs.Context, name string, e entry) error {
	u, _, err := d.at(ctx, name)
	if err != nil || u != nil {
		return err
	}
	return d.keepingTimes(ctx, func() error { return d.up.Link(ctx, name, e.base().upper) })
}

// leaves marks a directory that is about to get another name: where the lower
// layers have it, or else that what they have at the new place is not it.
func (n *node) leaves(ctx vfs.Context, e entry, overDir bool) error {
	d, ok := e.(*dir)
	if !ok {
		return nil
	}
	switch {
	case len(d.lowers) > 0:
		return d.up.Setxattr(ctx, redirect, []byte(d.origin), 0)
	case overDir:
		return d.up.Setxattr(ctx, opaque, []byte("y"), 0)
	}
	return nil
}

// moveUpper renames c in the upper layer, over whatever that has there: a
// whiteout, a file, or a directory with nothing but whiteouts. It leaves a
// whiteout behind if the lower layers have the old name.
func (d *dir) moveUpper(ctx vfs.Context, old string, c entry, t *dir, new string, leave bool) error {
	u := c.base().upper
	over, white, err := t.at(ctx, new)
	if err != nil {
		return err
	}
	_, isDir := c.(*dir)
	if over != nil && !white && isDir {
		if err := clearWhiteouts(ctx, over); err != nil {
			return err
		}
	}
	if white && (isDir || leave) {
		// The whiteout takes the old name, where it is wanted or not.
		if err := d.up.Rename(ctx, old, u, t.up, new, over, unix.RENAME_EXCHANGE); err != nil {
			return err
		}
		if !leave {
			err = d.up.Unlink(ctx, old, over)
		}
		evict(over)
		return err
	}
	var flags uint32
	if leave {
		flags = unix.RENAME_WHITEOUT
	}
	if err := d.up.Rename(ctx, old, u, t.up, new, over, flags); err != nil {
		return err
	}
	if white {
		evict(over)
	}
	return nil
}
