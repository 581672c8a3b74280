package fsys

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is a directory of the host as an [FS]. Nothing outside of it can be
// reached, whatever links it has: it goes by an [os.Root]. (sysemu.WithBind
// shows a directory without the way through this package, which is faster.)
type Dir struct{ root *os.Root }

// OpenDir opens a directory of the host. It is to be closed with Close, after
// the machines that mount it.
func OpenDir(dir string) (*Dir, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Dir{r}, nil
}

// Close closes the directory; files that are open stay so.
func (d *Dir) Close() error { return d.root.Close() }

// Open implements fs.FS.
func (d *Dir) Open(name string) (fs.File, error) { return d.root.Open(name) }

// OpenFile implements [FS]. Only regular files are opened: a fifo would wait.
func (d *Dir) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := d.root.OpenFile(name, flag|unix.O_NONBLOCK|unix.O_NOFOLLOW, perm.Perm())
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 {
		err = f.Chmod(perm)
	} else if info, e := f.Stat(); e != nil || !info.Mode().IsRegular() {
		err = perr("open", name, unix.ENXIO)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Stat implements fs.StatFS.
func (d *Dir) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

// Lstat implements fs.ReadLinkFS.
func (d *Dir) Lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

// ReadLink implements fs.ReadLinkFS.
func (d *Dir) ReadLink(name string) (string, error) { return d.root.Readlink(name) }

// Mkdir implements [MkdirFS].
func (d *Dir) Mkdir(name string, perm fs.FileMode) error {
	err := d.root.Mkdir(name, 0o700)
	if err == nil {
		err = d.Chmod(name, perm)
	}
	return err
}

// Remove implements [RemoveFS].
func (d *Dir) Remove(name string) error { return d.root.Remove(name) }

// Rename implements [RenameFS].
func (d *Dir) Rename(oldname, newname string) error {
	// os.Root's does not replace directories.
	return d.at("rename", oldname, func(fd int, base string) error {
		return d.at("rename", newname, func(fd2 int, base2 string) error { return unix.Renameat(fd, base, fd2, base2) })
	})
}

// Link implements [LinkFS].
func (d *Dir) Link(oldname, newname string) error { return d.root.Link(oldname, newname) }

// Symlink implements [SymlinkFS].
func (d *Dir) Symlink(target, name string) error { return d.root.Symlink(target, name) }

// Chmod implements [ChmodFS].
func (d *Dir) Chmod(name string, mode fs.FileMode) error { return d.root.Chmod(name, mode) }

// Lchown implements [LchownFS].
func (d *Dir) Lchown(name string, uid, gid int) error { return d.root.Lchown(name, uid, gid) }

// Mknod implements [MknodFS]: fifos and sockets; a device is EPERM.
func (d *Dir) Mknod(name string, mode fs.FileMode, _ uint64) error {
	var kind uint32
	switch mode.Type() {
	case fs.ModeNamedPipe:
		kind = unix.S_IFIFO
	case fs.ModeSocket:
		kind = unix.S_IFSOCK
	default:
		return perr("mknod", name, unix.EPERM)
	}
	err := d.at("mknod", name, func(fd int, base string) error { return unix.Mknodat(fd, base, kind|0o600, 0) })
	if err == nil {
		err = d.Chmod(name, mode)
	}
	return err
}

// Chtimes implements [ChtimesFS].
func (d *Dir) Chtimes(name string, atime, mtime time.Time) error {
	ts := []unix.Timespec{timespec(atime), timespec(mtime)}
	return d.at("chtimes", name, func(fd int, base string) error {
		return unix.UtimesNanoAt(fd, base, ts, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// at runs f with the directory that a name is in and its last component.
func (d *Dir) at(op, name string, f func(fd int, base string) error) error {
	if strings.IndexByte(name, 0) >= 0 {
		return perr(op, name, unix.EINVAL)
	}
	dir, err := d.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return perr(op, name, f(int(dir.Fd()), path.Base(name)))
}

// Statfs implements [StatfsFS].
func (d *Dir) Statfs() (u Usage, err error) {
	err = d.at("statfs", ".", func(fd int, _ string) error {
		var s unix.Statfs_t
		if err := unix.Fstatfs(fd, &s); err != nil {
			return err
		}
		u = Usage{s.Frsize, s.Blocks, s.Bfree, s.Bavail, s.Files, s.Ffree, int(s.Namelen)}
		return nil
	})
	return u, err
}

// The calls for extended attributes take a path: it leads through a descriptor
// of the directory, so that only its last component is a name.
func (d *Dir) xattr(op, name string, f func(path string) error) error {
	return d.at(op, name, func(fd int, base string) error {
		return f("/proc/self/fd/" + strconv.Itoa(fd) + "/" + base)
	})
}

// Getxattr implements [GetxattrFS], as far as the attributes of class user go.
func (d *Dir) Getxattr(name, attr string) (v []byte, err error) {
	if !strings.HasPrefix(attr, "user.") {
		return nil, perr("getxattr", name, unix.EOPNOTSUPP)
	}
	err = d.xattr("getxattr", name, func(path string) error {
		buf := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, attr, buf)
		v = buf[:max(n, 0)]
		return err
	})
	return v, err
}

// Setxattr implements [SetxattrFS].
func (d *Dir) Setxattr(name, attr string, value []byte, flags int) error {
	if !strings.HasPrefix(attr, "user.") {
		return perr("setxattr", name, unix.EOPNOTSUPP)
	}
	return d.xattr("setxattr", name, func(path string) error { return unix.Lsetxattr(path, attr, value, flags) })
}

// Listxattr implements [ListxattrFS].
func (d *Dir) Listxattr(name string) (names []string, err error) {
	err = d.xattr("listxattr", name, func(path string) error {
		buf := make([]byte, 64<<10)
		n, err := unix.Llistxattr(path, buf)
		for s := range strings.SplitSeq(string(buf[:max(n, 0)]), "\x00") {
			if strings.HasPrefix(s, "user.") {
				names = append(names, s)
			}
		}
		return err
	})
	return names, err
}

// Removexattr implements [RemovexattrFS].
func (d *Dir) Removexattr(name, attr string) error {
	if !strings.HasPrefix(attr, "user.") {
		return perr("removexattr", name, unix.EOPNOTSUPP)
	}
	return d.xattr("removexattr", name, func(path string) error { return unix.Lremovexattr(path, attr) })
}
