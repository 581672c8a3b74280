package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// create makes a regular file for open(2) in directory dir; mode has the type.
// made is false when the name turned out to be there already. The dentry is
// referenced.
func create(ctx Context, dir Path, name string, mode uint32) (c *Dentry, made bool, err error) {
	d := dir.Dentry
	if err := d.lock.Lock(ctx); err != nil {
		return nil, false, err
	}
	defer d.lock.Unlock()
	c, err = d.lookupLocked(ctx, name)
	if err != nil || c.inode != nil {
		return c, false, err
	}
	err = func() error {
		if dir.Mount.ReadOnly() {
			return unix.EROFS
		}
		if err := mayCreate(ctx, dir); err != nil {
			return err
		}
		uid, gid, mode, err := newOwner(ctx, d.inode, mode)
		if err != nil {
			return err
		}
		m, ok := d.inode.(Creator)
		if !ok {
			return unix.EACCES
		}
		ino, err := m.Create(ctx, c.name, mode, 0, uid, gid)
		if err != nil {
			return err
		}
		return c.announce(ctx, ino)
	}()
	if err != nil {
		c.put()
		return nil, false, err
	}
	return c, true, nil
}

// makeName walks to where a new name is wanted and runs f there, holding the
// directory's lock, with the negative dentry to be filled: for mkdir, mknod,
// symlink and link. A name that is there is EEXIST before all else.
func makeName(ctx Context, at At, name string, wantDir bool, f func(dir Path, c *Dentry) error) error {
	dir, last, slash, err := WalkParent(ctx, at, name, 0)
	if err != nil {
		return err
	}
	defer dir.Unref()
	if last == "" || last == "." || last == ".." {
		return unix.EEXIST
	}
	if err := mayUse(ctx, dir, last, UseWrite); err != nil {
		return err
	}
	d := dir.Dentry
	if err := d.lock.Lock(ctx); err != nil {
		return err
	}
	defer d.lock.Unlock()
	c, err := d.lookupLocked(ctx, last)
	if err != nil {
		return err
	}
	defer c.put()
	switch {
	case c.inode != nil:
		return unix.EEXIST
	case slash && !wantDir:
		return unix.ENOENT
	case dir.Mount.ReadOnly():
		return unix.EROFS
	}
	return f(dir, c)
}

// Mkdir is mkdirat(2).
func Mkdir(ctx Context, at At, name string, mode uint32) error {
	return makeName(ctx, at, name, true, func(dir Path, c *Dentry) error {
		mode := mode&0o1777&^ctx.Umask() | unix.S_IFDIR
		if err := mayCreate(ctx, dir); err != nil {
			return err
		}
		m, ok := dir.Inode().(Mkdirer)
		if !ok {
			return unix.EPERM
		}
		uid, gid, mode, err := newOwner(ctx, dir.Inode(), mode)
		if err != nil {
			return err
		}
		ino, err := m.Mkdir(ctx, c.name, mode, uid, gid)
		if err != nil {
			return err
		}
		return c.announce(ctx, ino)
	})
}

// announce is born, told to the directory's watches.
func (c *Dentry) announce(ctx Context, ino Inode) error {
	if err := c.born(ctx, ino); err != nil {
		return err
	}
	c.parent.notifyName(unix.IN_CREATE, 0, c.name, c.kind)
	return nil
}

// Mknod is mknodat(2). The directory may be asked for with S_IFDIR: EPERM.
func Mknod(ctx Context, at At, name string, mode uint32, rdev uint64) error {
	p, err := MknodPath(ctx, at, name, mode, rdev)
	if err == nil {
		p.Unref()
	}
	return err
}

// MknodPath is Mknod for who goes on with the file, as bind(2) does. The
// path is referenced.
func MknodPath(ctx Context, at At, name string, mode uint32, rdev uint64) (p Path, err error) {
	if mode&unix.S_IFMT == 0 {
		mode |= unix.S_IFREG
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
	case unix.S_IFDIR:
		return Path{}, unix.EPERM
	default:
		return Path{}, unix.EINVAL
	}
	err = makeName(ctx, at, name, false, func(dir Path, c *Dentry) error {
		mode := mode & (permission | unix.S_IFMT) &^ ctx.Umask()
		if err := mayCreate(ctx, dir); err != nil {
			return err
		}
		switch mode & unix.S_IFMT {
		case unix.S_IFCHR, unix.S_IFBLK:
			// A whiteout is a device that anyone may make.
			if !ctx.Cred().Has(unix.CAP_MKNOD) && (rdev != 0 || mode&unix.S_IFMT != unix.S_IFCHR) {
				return unix.EPERM
			}
		}
		m, ok := dir.Inode().(Creator)
		if !ok {
			return unix.EPERM
		}
		uid, gid, mode, err := newOwner(ctx, dir.Inode(), mode)
		if err != nil {
			return err
		}
		ino, err := m.Create(ctx, c.name, mode, rdev, uid, gid)
		if err != nil {
			return err
		}
		if err := c.announce(ctx, ino); err != nil {
			return err
		}
		p = Path{dir.Mount, c}.Ref()
		return nil
	})
	return p, err
}

// Symlink is symlinkat(2).
func Symlink(ctx Context, target string, at At, name string) error {
	if target == "" {
		return unix.ENOENT
	}
	if len(target) >= unix.PathMax {
		return unix.ENAMETOOLONG
	}
	return makeName(ctx, at, name, false, func(dir Path, c *Dentry) error {
		if err := mayCreate(ctx, dir); err != nil {
			return err
		}
		s, ok := dir.Inode().(Symlinker)
		if !ok {
			return unix.EPERM
		}
		uid, gid, _, err := newOwner(ctx, dir.Inode(), unix.S_IFLNK|0o777)
		if err != nil {
			return err
		}
		ino, err := s.Symlink(ctx, c.name, strings.Clone(target), uid, gid)
		if err != nil {
			return err
		}
		return c.announce(ctx, ino)
	})
}

// Link is linkat(2): flags may have Follow (AT_SYMLINK_FOLLOW) and Empty
// (AT_EMPTY_PATH; who may is for the caller to say).
func Link(ctx Context, oldAt At, oldName string, at At, name string, flags WalkFlags) error {
	old, err := walkFor(ctx, oldAt, oldName, flags, 0, UseRead|UseWrite)
	if err != nil {
		return err
	}
	defer old.Unref()
	return makeName(ctx, at, name, false, func(dir Path, c *Dentry) error {
		ino := old.Inode()
		if old.Mount == nil || dir.Mount != old.Mount {
			return unix.EXDEV
		}
		if dir.Dentry.sb.sys.ProtectedHardlinks && !mayLink(ctx, ino) {
			return unix.EPERM
		}
		if err := mayCreate(ctx, dir); err != nil {
			return err
		}
		l, ok := dir.Inode().(Linker)
		if !ok || old.Kind() == unix.S_IFDIR {
			return unix.EPERM
		}
		a, err := ino.Attr(ctx)
		if err != nil {
			return err
		}
		ex := old.Dentry.extra
		if a.Nlink == 0 && (ex == nil || !ex.linkable) {
			return unix.ENOENT
		}
		if err := l.Link(ctx, c.name, ino); err != nil {
			return err
		}
		if ex != nil {
			ex.gone = false
		}
		old.Dentry.notifySelf(unix.IN_ATTRIB)
		return c.announce(ctx, ino)
	})
}

// mayLink reports whether fs.protected_hardlinks lets the caller link ino.
func mayLink(ctx Context, ino Inode) bool {
	mode, uid, gid, err := perm(ctx, ino)
	if err != nil {
		return false
	}
	cred := ctx.Cred()
	if cred.owns(uid) {
		return true
	}
	switch {
	case mode&unix.S_IFMT != unix.S_IFREG, mode&unix.S_ISUID != 0, mode&(unix.S_ISGID|0o010) == unix.S_ISGID|0o010:
		return false
	}
	return cred.Allows(mode, uid, gid, MayRead|MayWrite)
}

// removeName walks to a name and runs f with it, holding its directory's lock.
func removeName(ctx Context, at At, name string, special func(last string) error, f func(dir Path, c *Dentry, slash bool) error) error {
	dir, last, slash, err := WalkParent(ctx, at, name, 0)
	if err != nil {
		return err
	}
	defer dir.Unref()
	if last == "" || last == "." || last == ".." {
		return special(last)
	}
	if err := mayUse(ctx, dir, last, UseWrite); err != nil {
		return err
	}
	if dir.Mount.ReadOnly() {
		return unix.EROFS
	}
	d := dir.Dentry
	if err := d.lock.Lock(ctx); err != nil {
		return err
	}
	defer d.lock.Unlock()
	c, err := d.lookupLocked(ctx, last)
	if err != nil {
		return err
	}
	if c.inode == nil {
		c.put()
		return unix.ENOENT
	}
	name, kind := c.name, c.kind
	err = f(dir, c, slash)
	c.put() // so that the file's own last event comes first, as on Linux
	if err == nil {
		d.notifyName(unix.IN_DELETE, 0, name, kind)
	}
	return err
}

// Unlink is unlinkat(2) without AT_REMOVEDIR.
func Unlink(ctx Context, at At, name string) error {
	return removeName(ctx, at, name,
		func(string) error { return unix.EISDIR },
		func(dir Path, c *Dentry, slash bool) error {
			if slash {
				if c.kind == unix.S_IFDIR {
					return unix.EISDIR
				}
				return unix.ENOTDIR
			}
			if err := mayDelete(ctx, dir, c, false); err != nil {
				return err
			}
			u, ok := dir.Inode().(Unlinker)
			if !ok {
				return unix.EPERM
			}
			if c.mounts > 0 {
				return unix.EBUSY
			}
			if err := u.Unlink(ctx, c.name, c.inode); err != nil {
				return err
			}
			c.unlinked(ctx)
			c.unhash()
			return nil
		})
}

// Rmdir is unlinkat(2) with AT_REMOVEDIR.
func Rmdir(ctx Context, at At, name string) error {
	return removeName(ctx, at, name,
		func(last string) error {
			switch last {
			case ".":
				return unix.EINVAL
			case "..":
				return unix.ENOTEMPTY
			}
			return unix.EBUSY
		},
		func(dir Path, c *Dentry, _ bool) error {
			if err := mayDelete(ctx, dir, c, true); err != nil {
				return err
			}
			r, ok := dir.Inode().(Rmdirer)
			if !ok {
				return unix.EPERM
			}
			if c.mounts > 0 {
				return unix.EBUSY
			}
			if err := c.lock.Lock(ctx); err != nil {
				return err
			}
			defer c.lock.Unlock()
			if err := r.Rmdir(ctx, c.name, c.inode); err != nil {
				return err
			}
			c.dead = true
			c.prune()
			c.unlinked(ctx)
			c.unhash()
			return nil
		})
}

// Readlink is readlinkat(2). With Empty the link is At.Dir itself.
func Readlink(ctx Context, at At, name string, flags WalkFlags) (string, error) {
	p, err := Walk(ctx, at, name, flags&Empty, 0)
	if err != nil {
		return "", err
	}
	defer p.Unref()
	r, ok := p.Inode().(Readlinker)
	if !ok || p.Kind() != unix.S_IFLNK {
		if name == "" {
			return "", unix.ENOENT
		}
		return "", unix.EINVAL
	}
	return r.Readlink(ctx)
}
