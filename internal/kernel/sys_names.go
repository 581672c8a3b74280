package kernel

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// The calls that make, remove and read names, and where a task stands among
// them.

func init() {
	const cwd = FD(unix.AT_FDCWD)
	addFamily(calls{
		"mkdir":   e2(func(t *Task, name Str, mode uint32) error { return sysMkdirat(t, cwd, name, mode) }),
		"mkdirat": e3(sysMkdirat),
		"mknod": e3(func(t *Task, name Str, mode, dev uint32) error {
			return sysMknodat(t, cwd, name, mode, dev)
		}),
		"mknodat":  e4(sysMknodat),
		"rmdir":    e1(func(t *Task, name Str) error { return sysUnlinkat(t, cwd, name, unix.AT_REMOVEDIR) }),
		"unlink":   e1(func(t *Task, name Str) error { return sysUnlinkat(t, cwd, name, 0) }),
		"unlinkat": e3(sysUnlinkat),

		"rename": e2(func(t *Task, old, new Str) error { return sysRenameat2(t, cwd, old, cwd, new, 0) }),
		"renameat": e4(func(t *Task, oldDir FD, old Str, newDir FD, new Str) error {
			return sysRenameat2(t, oldDir, old, newDir, new, 0)
		}),
		"renameat2": e5(sysRenameat2),

		"link":       e2(func(t *Task, old, new Str) error { return sysLinkat(t, cwd, old, cwd, new, 0) }),
		"linkat":     e5(sysLinkat),
		"symlink":    e2(func(t *Task, target, name Str) error { return sysSymlinkat(t, target, cwd, name) }),
		"symlinkat":  e3(sysSymlinkat),
		"readlink":   r3(func(t *Task, name Str, buf Addr, n int32) (int, error) { return sysReadlinkat(t, cwd, name, buf, n) }),
		"readlinkat": r4(sysReadlinkat),

		"name_to_handle_at": e5(sysNameToHandleAt),
		"open_by_handle_at": e3(sysOpenByHandleAt),

		"chdir":  e1(sysChdir),
		"fchdir": e1(sysFchdir),
		"chroot": e1(sysChroot),
		"getcwd": r2(sysGetcwd),
		"umask": r1(func(t *Task, mask uint32) (uint32, error) {
			old := t.fs.umask
			t.fs.umask = mask & 0o777
			return old, nil
		}),
	})
}

func sysMkdirat(t *Task, dir FD, name Str, mode uint32) error {
	return t.withPlace(dir, name, 0, func(p *place) error { return vfs.Mkdir(t, p.at, p.name, mode) })
}

func sysMknodat(t *Task, dir FD, name Str, mode, dev uint32) error {
	return t.withPlace(dir, name, 0, func(p *place) error { return vfs.Mknod(t, p.at, p.name, mode, uint64(dev)) })
}

func sysUnlinkat(t *Task, dir FD, name Str, flags int32) error {
	if flags&^unix.AT_REMOVEDIR != 0 {
		return unix.EINVAL
	}
	return t.withPlace(dir, name, 0, func(p *place) error {
		if flags != 0 {
			return vfs.Rmdir(t, p.at, p.name)
		}
		return vfs.Unlink(t, p.at, p.name)
	})
}

func sysRenameat2(t *Task, oldDir FD, old Str, newDir FD, new Str, flags uint32) error {
	return t.withTwo(oldDir, old, newDir, new, 0, func(a, b *place) error {
		return vfs.Rename(t, a.at, a.name, b.at, b.name, flags)
	})
}

func sysLinkat(t *Task, oldDir FD, old Str, newDir FD, new Str, flags int32) error {
	if flags&^(unix.AT_SYMLINK_FOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return unix.EINVAL
	}
	var wf vfs.WalkFlags
	if flags&unix.AT_SYMLINK_FOLLOW != 0 {
		wf |= vfs.Follow
	}
	if flags&unix.AT_EMPTY_PATH != 0 {
		if !t.cred.Has(unix.CAP_DAC_READ_SEARCH) {
			return unix.ENOENT
		}
		wf |= vfs.Empty
	}
	return t.withTwo(oldDir, old, newDir, new, wf, func(a, b *place) error {
		return vfs.Link(t, a.at, a.name, b.at, b.name, a.flags)
	})
}

func sysSymlinkat(t *Task, target Str, dir FD, name Str) error {
	text, err := target.In(t)
	if err != nil {
		return err
	}
	return t.withPlace(dir, name, 0, func(p *place) error { return vfs.Symlink(t, text, p.at, p.name) })
}

func sysReadlinkat(t *Task, dir FD, name Str, buf Addr, n int32) (int, error) {
	if n <= 0 {
		return 0, unix.EINVAL
	}
	p, err := t.place(dir, name, 0)
	if err != nil {
		return 0, err
	}
	defer p.done()
	var wf vfs.WalkFlags
	if dir != unix.AT_FDCWD {
		wf = vfs.Empty // a link that was opened with O_PATH
	}
	text, err := vfs.Readlink(t, p.at, p.name, wf)
	if err != nil {
		return 0, err
	}
	text = text[:min(len(text), int(n))]
	return len(text), t.CopyOut(uint64(buf), []byte(text))
}

// No file system here gives handles.
func sysNameToHandleAt(t *Task, dir FD, name Str, handle, mountID Addr, flags int32) error {
	return t.withPlace(dir, name, 0, func(*place) error { return unix.EOPNOTSUPP })
}

func sysOpenByHandleAt(t *Task, mount FD, handle Addr, flags int32) error {
	if !t.cred.Has(unix.CAP_DAC_READ_SEARCH) {
		return unix.EPERM
	}
	return unix.ESTALE
}

// mayEnter reports whether p can be a working or root directory.
func (t *Task) mayEnter(p vfs.Path) error {
	if p.Kind() != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	return vfs.Access(t, t.Cred(), vfs.At{Root: t.fs.root, Dir: p}, "", vfs.MayExec, vfs.Empty)
}

// enter finds a directory that the task may enter. The path is referenced.
func (t *Task) enter(name Str) (vfs.Path, error) {
	p, err := t.place(unix.AT_FDCWD, name, vfs.Follow)
	if err != nil {
		return vfs.Path{}, err
	}
	defer p.done()
	to, err := p.walk(t, vfs.Directory)
	if err != nil {
		return vfs.Path{}, err
	}
	if err := t.mayEnter(to); err != nil {
		to.Unref()
		return vfs.Path{}, err
	}
	return to, nil
}

func sysChdir(t *Task, name Str) error {
	to, err := t.enter(name)
	if err != nil {
		return err
	}
	old := t.fs.cwd
	t.fs.cwd = to
	old.Unref()
	return nil
}

func sysFchdir(t *Task, fd FD) error {
	f, err := t.files.GetPath(int(fd))
	if err != nil {
		return err
	}
	defer f.Unref(t)
	if !f.Path.Valid() {
		return unix.ENOTDIR
	}
	if err := t.mayEnter(f.Path); err != nil {
		return err
	}
	old := t.fs.cwd
	t.fs.cwd = f.Path.Ref()
	old.Unref()
	return nil
}

func sysChroot(t *Task, name Str) error {
	to, err := t.enter(name)
	if err != nil {
		return err
	}
	if !t.cred.Has(unix.CAP_SYS_CHROOT) {
		to.Unref()
		return unix.EPERM
	}
	old := t.fs.root
	t.fs.root = to
	old.Unref()
	return nil
}

func sysGetcwd(t *Task, buf Addr, size uint64) (int, error) {
	name, err := vfs.Getcwd(t.fs.root, t.fs.cwd)
	if err != nil {
		return 0, err
	}
	switch n := uint64(len(name) + 1); {
	case n > maxPath:
		return 0, unix.ENAMETOOLONG
	case n > size:
		return 0, unix.ERANGE
	}
	return len(name) + 1, t.CopyOut(uint64(buf), append([]byte(name), 0))
}
