package hostfs

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// dir is a directory. Its O_PATH descriptor is cached: looking a name up is
// then one call of the host.
type dir struct {
	node
	hidden bool // shown empty: see isHidden
}

// changing is a directory whose names may change behind our back.
type changing struct{ dir }

// Revalidate implements vfs.Revalidator. It also brings the child's
// attributes up to date, for Perm.
func (d *changing) Revalidate(_ vfs.Context, name string, child vfs.Inode) bool {
	if child == nil {
		return false
	}
	h, err := d.pathHandle()
	if err != nil {
		return false
	}
	defer d.fs.cache.put(h)
	var st unix.Statx_t
	n := child.(entry).base()
	if d.hidden || d.fs.statAt(h.fd, name, &st) != nil || !n.same(&st) {
		return false
	}
	n.take(&st)
	return true
}

// wrap returns the inode that d is part of.
func (fs *FS) wrap(d *dir) entry {
	if fs.opts.Stable {
		return d
	}
	c := &changing{dir: *d}
	if c.path != nil {
		c.path.slot = &c.path
	}
	return c
}

// directory is *dir or *changing.
type directory interface{ directory() *dir }

func (d *dir) directory() *dir { return d }

// Lookup implements vfs.Lookuper.
func (d *dir) Lookup(_ vfs.Context, name string) (vfs.Inode, error) { return d.lookup(name) }

func (d *dir) lookup(name string) (entry, error) {
	if d.hidden {
		return nil, unix.ENOENT
	}
	h, err := d.pathHandle()
	if err != nil {
		return nil, err
	}
	defer d.fs.cache.put(h)
	return d.find(h.fd, name)
}

// find is lookup by d's descriptor.
func (d *dir) find(dirfd int, name string) (entry, error) {
	var st unix.Statx_t
	if err := d.fs.statAt(dirfd, name, &st); err != nil {
		return nil, err
	}
	return d.child(dirfd, name, &st)
}

// child returns the inode of a name in d that st was told of.
func (d *dir) child(dirfd int, name string, st *unix.Statx_t) (entry, error) {
	fs := d.fs
	if e := fs.inodes[idOf(st)]; e != nil {
		n := e.base()
		if n.same(st) {
			n.take(st)
			if st.Mode&unix.S_IFMT == unix.S_IFDIR {
				n.names = n.names[:0] // it has one: this
			}
			n.addName(d, name)
			return e, nil
		}
	}
	var e entry
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e = fs.wrap(&dir{hidden: d.hidden})
	case unix.S_IFREG:
		e = &file{}
	case unix.S_IFLNK:
		e = &link{}
	default:
		e = &special{}
	}
	n := e.base()
	n.init(fs, st)
	n.remote = d.remote
	n.addName(d, name)
	if n.id.dev != d.id.dev {
		var err error
		if e, err = d.cross(e); err != nil {
			return nil, err
		}
	}
	fs.inodes[n.id] = e
	return e, nil
}

// cross sees to an inode on another file system of the host than its
// directory: it may be one to hide.
func (d *dir) cross(e entry) (entry, error) {
	n := e.base()
	fd, err := n.openNode()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return nil, err
	}
	n.remote = isRemote(s.Type)
	if isHidden(s.Type) {
		switch e := e.(type) {
		case directory:
			e.directory().hidden = true
		case *file:
			// A file bound from there: it is seen, not opened.
			sp := &special{}
			sp.init(d.fs, &unix.Statx_t{})
			sp.id, sp.attr, sp.names = n.id, n.attr, n.names
			return sp, nil
		}
	}
	return e, nil
}

// make is change for what will belong to uid and gid.
func (d *dir) make(uid, gid uint32, f func(dirfd int) error) error {
	if _, _, err := d.fs.hostOwner(vfs.SetUID|vfs.SetGID, uid, gid); err != nil {
		return err
	}
	return d.change(f)
}

// change runs f with d's descriptor, to change its names.
func (d *dir) change(f func(dirfd int) error) error {
	if d.fs.opts.ReadOnly {
		return unix.EROFS
	}
	if d.hidden {
		return unix.EPERM
	}
	h, err := d.pathHandle()
	if err != nil {
		return err
	}
	defer d.fs.cache.put(h)
	return f(h.fd)
}

// made finds what was just made under a name and gives it its mode and owner.
// fd is a descriptor of it, or -1.
func (d *dir) made(dirfd int, name string, fd int, mode, uid, gid uint32) (entry, error) {
	e, err := d.find(dirfd, name)
	if err != nil {
		return nil, err
	}
	n := e.base()
	if n.attr.Mode&unix.S_IFMT != mode&unix.S_IFMT {
		return nil, unix.ESTALE
	}
	if fd < 0 && (n.attr.Mode != mode && mode&unix.S_IFMT != unix.S_IFLNK || n.attr.UID != uid || n.attr.GID != gid) {
		if fd, err = n.openNode(); err != nil {
			return nil, err
		}
		defer unix.Close(fd)
	}
	if fd >= 0 {
		err = n.adopt(fd, mode, uid, gid)
	}
	return e, err
}

// Create implements vfs.Creator. Devices are not made on the host, but for
// the whiteouts of an overlay.
func (d *dir) Create(_ vfs.Context, name string, mode uint32, rdev uint64, uid, gid uint32) (vfs.Inode, error) {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK:
	case unix.S_IFCHR:
		if rdev != 0 {
			return nil, unix.EPERM
		}
	default:
		return nil, unix.EPERM
	}
	var e entry
	err := d.make(uid, gid, func(dirfd int) error {
		if mode&unix.S_IFMT != unix.S_IFREG {
			err := d.fs.at(unix.SYS_MKNODAT, dirfd, name, uintptr(mode), 0, 0)
			if err == nil {
				e, err = d.made(dirfd, name, -1, mode, uid, gid)
			}
			return err
		}
		fd, err := d.fs.openAt(dirfd, name, oBase|unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, mode&0o777)
		if err != nil {
			return err
		}
		if e, err = d.made(dirfd, name, fd, mode, uid, gid); err == nil {
			var st unix.Statx_t
			if err = d.fs.statFD(fd, &st); err == nil && !e.base().same(&st) {
				err = unix.ESTALE
			}
		}
		if err != nil || e.base().rw != nil {
			unix.Close(fd)
			return err
		}
		// It is about to be opened.
		d.fs.cache.put(d.fs.cache.add(fd, &e.base().rw))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Mkdir implements vfs.Mkdirer.
func (d *dir) Mkdir(_ vfs.Context, name string, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	var e entry
	err := d.make(uid, gid, func(dirfd int) error {
		err := d.fs.at(unix.SYS_MKDIRAT, dirfd, name, uintptr(mode&0o7777), 0, 0)
		if err == nil {
			e, err = d.made(dirfd, name, -1, mode&0o7777|unix.S_IFDIR, uid, gid)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Symlink implements vfs.Symlinker.
func (d *dir) Symlink(_ vfs.Context, name, target string, uid, gid uint32) (vfs.Inode, error) {
	var e entry
	err := d.make(uid, gid, func(dirfd int) error {
		if _, err := d.fs.name.set(name); err != nil {
			return err
		}
		err := unix.Symlinkat(target, dirfd, name)
		if err == nil {
			e, err = d.made(dirfd, name, -1, unix.S_IFLNK|0o777, uid, gid)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Link implements vfs.Linker.
func (d *dir) Link(_ vfs.Context, name string, target vfs.Inode) error {
	n := target.(entry).base()
	return d.change(func(dirfd int) error {
		err := error(unix.ESTALE)
		if len(n.names) > 0 {
			err = n.byName(func(fromfd int, old string) error {
				return d.fs.at2(unix.SYS_LINKAT, fromfd, old, dirfd, name, 0)
			})
		}
		if err == unix.ESTALE || err == unix.ENOENT {
			// Made without a name, or removed meanwhile.
			if _, err := d.fs.name.set(name); err != nil {
				return err
			}
			h, err := n.reach()
			if err != nil {
				return err
			}
			defer d.fs.cache.put(h)
			if err := unix.Linkat(unix.AT_FDCWD, procPath(h.fd), dirfd, name, unix.AT_SYMLINK_FOLLOW); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		n.addName(d, name)
		n.refresh()
		return nil
	})
}

// Unlink implements vfs.Unlinker.
func (d *dir) Unlink(_ vfs.Context, name string, child vfs.Inode) error {
	return d.remove(name, child, 0)
}

// Rmdir implements vfs.Rmdirer.
func (d *dir) Rmdir(_ vfs.Context, name string, child vfs.Inode) error {
	return d.remove(name, child, unix.AT_REMOVEDIR)
}

func (d *dir) remove(name string, child vfs.Inode, flags uintptr) error {
	n := child.(entry).base()
	return d.change(func(dirfd int) error {
		n.parting()
		if err := d.fs.at(unix.SYS_UNLINKAT, dirfd, name, flags, 0, 0); err != nil {
			n.stay()
			return err
		}
		n.parted(d, name)
		return nil
	})
}

// Rename implements vfs.Renamer.
func (d *dir) Rename(_ vfs.Context, old string, child vfs.Inode, to vfs.Inode, new string, replaced vfs.Inode, flags uint32) error {
	t := to.(directory).directory()
	n := child.(entry).base()
	if child == replaced {
		return nil
	}
	return d.change(func(dirfd int) error {
		return t.change(func(todir int) error {
			var r *node
			if replaced != nil {
				r = replaced.(entry).base()
				if flags&unix.RENAME_EXCHANGE == 0 {
					r.parting()
				}
			}
			if err := d.fs.at2(unix.SYS_RENAMEAT2, dirfd, old, todir, new, uintptr(flags)); err != nil {
				if r != nil {
					r.stay()
				}
				return err
			}
			n.dropName(d, old)
			n.addName(t, new)
			switch {
			case flags&unix.RENAME_EXCHANGE != 0:
				r.dropName(t, new)
				r.addName(d, old)
			case r != nil:
				r.parted(t, new)
			}
			return nil
		})
	})
}

// Tmpfile implements vfs.Tmpfiler.
func (d *dir) Tmpfile(_ vfs.Context, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	f := &file{}
	err := d.make(uid, gid, func(dirfd int) error {
		fd, err := d.fs.dot(dirfd, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, mode&0o777)
		if err != nil {
			return err
		}
		var st unix.Statx_t
		if err := d.fs.statFD(fd, &st); err != nil {
			unix.Close(fd)
			return err
		}
		f.init(d.fs, &st)
		f.remote = d.remote
		d.fs.cache.add(fd, &f.path) // held until the file is evicted
		f.pinned = true
		if err := f.adopt(fd, mode&0o7777|unix.S_IFREG, uid, gid); err != nil {
			f.close()
			return err
		}
		d.fs.inodes[f.id] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}
