package kernel

import (
	"math"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// What a file is like: stat(2) and its kin, and the calls that change it.

func init() {
	addFamily(calls{
		"stat":       e2(sysStat[unix.Stat_t]),
		"lstat":      e2(sysLstat[unix.Stat_t]),
		"fstat":      e2(sysFstat[unix.Stat_t]),
		"newfstatat": e4(sysNewfstatat[unix.Stat_t]),
		"statx":      e5(sysStatx),
		"statfs":     e2(sysStatfs[unix.Statfs_t]),
		"fstatfs":    e2(sysFstatfs[unix.Statfs_t]),
		"ustat":      e2(sysUstat[abi.Ustat]),

		"access":     e2(func(t *Task, name Str, want uint32) error { return sysFaccessat2(t, unix.AT_FDCWD, name, want, 0) }),
		"faccessat":  e3(func(t *Task, dir FD, name Str, want uint32) error { return sysFaccessat2(t, dir, name, want, 0) }),
		"faccessat2": e4(sysFaccessat2),

		"chmod":    e2(func(t *Task, name Str, mode uint32) error { return sysFchmodat2(t, unix.AT_FDCWD, name, mode, 0) }),
		"fchmodat": e3(func(t *Task, dir FD, name Str, mode uint32) error { return sysFchmodat2(t, dir, name, mode, 0) }),
		"fchmod": e2(func(t *Task, fd FD, mode uint32) error {
			return t.withFile(fd, func(f *vfs.File) error { return f.Chmod(t, mode) })
		}),
		"fchmodat2": e4(sysFchmodat2),

		"chown": e3(func(t *Task, name Str, uid, gid uint32) error {
			return sysFchownat(t, unix.AT_FDCWD, name, uid, gid, 0)
		}),
		"lchown": e3(func(t *Task, name Str, uid, gid uint32) error {
			return sysFchownat(t, unix.AT_FDCWD, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
		}),
		"fchown": e3(func(t *Task, fd FD, uid, gid uint32) error {
			return t.withFile(fd, func(f *vfs.File) error { return f.Chown(t, uid, gid) })
		}),
		"fchownat": e5(sysFchownat),

		"utime":     e2(sysUtime[unix.Utimbuf]),
		"utimes":    e2(sysUtimes[unix.Timeval]),
		"futimesat": e3(sysFutimesat[unix.Timeval]),
		"utimensat": e4(sysUtimensat[unix.Timespec]),
	})
}

// statFlags are those that fstatat and statx take.
const statFlags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_EMPTY_PATH | abi.AT_STATX_SYNC_TYPE

func sysStat[T stats](t *Task, name Str, out Ptr[T]) error {
	return stat(t, unix.AT_FDCWD, name, vfs.Follow, out)
}

func sysLstat[T stats](t *Task, name Str, out Ptr[T]) error {
	return stat(t, unix.AT_FDCWD, name, 0, out)
}

func stat[T stats](t *Task, dir FD, name Str, flags vfs.WalkFlags, out Ptr[T]) error {
	p, err := t.place(dir, name, flags)
	if err != nil {
		return err
	}
	a, err := vfs.Stat(t, p.at, p.name, flags)
	p.done()
	if err != nil {
		return err
	}
	return store(t, out, a.Stat())
}

func sysFstat[T stats](t *Task, fd FD, out Ptr[T]) error {
	f, err := t.files.GetPath(int(fd))
	if err != nil {
		return err
	}
	a, err := f.Stat(t)
	f.Unref(t)
	if err != nil {
		return err
	}
	return store(t, out, a.Stat())
}

func sysNewfstatat[T stats](t *Task, dir FD, name Str, out Ptr[T], flags int32) error {
	wf, err := walkFlags(flags, statFlags)
	if err != nil {
		return err
	}
	// glibc's fstat.
	if wf&vfs.Empty != 0 && dir >= 0 && t.emptyName(name) {
		return sysFstat(t, dir, out)
	}
	return stat(t, dir, name, wf, out)
}

// emptyName reports whether a name is empty or missing.
func (t *Task) emptyName(name Str) bool {
	if name == 0 {
		return true
	}
	var c [1]byte
	return t.CopyIn(uint64(name), c[:]) == nil && c[0] == 0
}

func sysStatx(t *Task, dir FD, name Str, flags int32, mask uint32, out Ptr[unix.Statx_t]) error {
	if mask&unix.STATX__RESERVED != 0 || flags&abi.AT_STATX_SYNC_TYPE == abi.AT_STATX_SYNC_TYPE {
		return unix.EINVAL
	}
	wf, err := walkFlags(flags, statFlags)
	if err != nil {
		return err
	}
	p, err := t.place(dir, name, wf)
	if err != nil {
		return err
	}
	defer p.done()
	at, err := p.walk(t, 0)
	if err != nil {
		return err
	}
	defer at.Unref()
	a, err := at.Inode().Attr(t)
	if err != nil {
		return err
	}
	s := unix.Statx_t{
		Mask: unix.STATX_BASIC_STATS, Blksize: uint32(a.BlockSize), Nlink: uint32(a.Nlink), Uid: a.UID, Gid: a.GID,
		Mode: uint16(a.Mode), Ino: a.Ino, Size: uint64(a.Size), Blocks: uint64(a.Blocks),
		Atime: statxTime(a.Atime), Mtime: statxTime(a.Mtime), Ctime: statxTime(a.Ctime),
		Rdev_major: unix.Major(a.Rdev), Rdev_minor: unix.Minor(a.Rdev), Dev_major: unix.Major(a.Dev), Dev_minor: unix.Minor(a.Dev),
	}
	if a.Btime != 0 {
		s.Mask |= unix.STATX_BTIME
		s.Btime = statxTime(a.Btime)
	}
	s.Attributes_mask = unix.STATX_ATTR_MOUNT_ROOT
	if at.Mount != nil {
		s.Mask |= unix.STATX_MNT_ID
		s.Mnt_id = uint64(at.Mount.ID)
		if at.Mount.Root() == at {
			s.Attributes |= unix.STATX_ATTR_MOUNT_ROOT
		}
	}
	return out.Out(t, &s)
}

func statxTime(ns int64) unix.StatxTimestamp {
	s, n := ns/1e9, ns%1e9
	if n < 0 {
		s, n = s-1, n+1e9
	}
	return unix.StatxTimestamp{Sec: s, Nsec: uint32(n)}
}

func sysStatfs[T statfss](t *Task, name Str, out Ptr[T]) error {
	return t.withPlace(unix.AT_FDCWD, name, 0, func(p *place) error {
		if p.name == "" {
			return unix.ENOENT
		}
		s, err := vfs.Statfs(t, p.at, p.name)
		if err != nil {
			return err
		}
		return store(t, out, s)
	})
}

func sysFstatfs[T statfss](t *Task, fd FD, out Ptr[T]) error {
	f, err := t.files.GetPath(int(fd))
	if err != nil {
		return err
	}
	defer f.Unref(t)
	s, err := f.Statfs(t)
	if err != nil {
		return err
	}
	return store(t, out, s)
}

func sysUstat[T ustats](t *Task, dev uint32, out Ptr[T]) error {
	for _, m := range t.mountNamespace().Mounts() {
		a, err := m.Root().Inode().Attr(t)
		if err != nil || a.Dev != uint64(dev) {
			continue
		}
		s, err := m.FS().Statfs(t)
		if err != nil {
			return err
		}
		return storePut(t, out, abi.Ustat{Tfree: int32(s.Bfree), Tinode: s.Ffree})
	}
	return unix.EINVAL
}

// realCred is the identity access(2) asks with: the real ids, and the
// capabilities that go with them.
func (t *Task) realCred() *vfs.Cred {
	const noSetuidFixup = 1 << 2
	c := t.cred
	caps := c.fs.Caps
	if c.SecureBits&noSetuidFixup == 0 {
		caps = 0
		if c.UID == 0 {
			caps = c.Permitted
		}
	}
	if c.fs.UID == c.UID && c.fs.GID == c.GID && c.fs.Caps == caps {
		return &c.fs
	}
	return &vfs.Cred{UID: c.UID, GID: c.GID, Groups: c.fs.Groups, Caps: caps}
}

func sysFaccessat2(t *Task, dir FD, name Str, want uint32, flags int32) error {
	if want&^7 != 0 {
		return unix.EINVAL
	}
	wf, err := walkFlags(flags, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	cred := t.Cred()
	if flags&unix.AT_EACCESS == 0 {
		cred = t.realCred()
	}
	return t.withPlace(dir, name, wf, func(p *place) error {
		return vfs.Access(t, cred, p.at, p.name, want, p.flags)
	})
}

func sysFchmodat2(t *Task, dir FD, name Str, mode uint32, flags int32) error {
	wf, err := walkFlags(flags, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	return t.withPlace(dir, name, wf, func(p *place) error { return vfs.Chmod(t, p.at, p.name, mode, p.flags) })
}

func sysFchownat(t *Task, dir FD, name Str, uid, gid uint32, flags int32) error {
	wf, err := walkFlags(flags, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	return t.withPlace(dir, name, wf, func(p *place) error { return vfs.Chown(t, p.at, p.name, uid, gid, p.flags) })
}

// fileTime is a time as the file systems keep it: what is too far away is as
// far away as can be told.
func fileTime(sec, nsec int64) int64 {
	const far = math.MaxInt64/int64(1e9) - 1
	return min(max(sec, -far), far)*1e9 + nsec
}

func sysUtime[T utimbufs](t *Task, name Str, times Ptr[T]) error {
	a, m := int64(vfs.TimeNow), int64(vfs.TimeNow)
	if times != 0 {
		v, err := load[unix.Utimbuf](t, times)
		if err != nil {
			return err
		}
		a, m = fileTime(v.Actime, 0), fileTime(v.Modtime, 0)
	}
	return t.utimens(unix.AT_FDCWD, name, a, m, 0)
}

func sysUtimes[T timevals](t *Task, name Str, times Ptr[T]) error {
	return sysFutimesat(t, unix.AT_FDCWD, name, times)
}

func sysFutimesat[T timevals](t *Task, dir FD, name Str, times Ptr[T]) error {
	a, m := int64(vfs.TimeNow), int64(vfs.TimeNow)
	if times != 0 {
		v, err := loadSlice[unix.Timeval](t, times, 2)
		if err != nil {
			return err
		}
		for _, tv := range v {
			if tv.Usec < 0 || tv.Usec >= 1e6 {
				return unix.EINVAL
			}
		}
		a, m = fileTime(v[0].Sec, v[0].Usec*1000), fileTime(v[1].Sec, v[1].Usec*1000)
	}
	return t.utimens(dir, name, a, m, 0)
}

func sysUtimensat[T timespecs](t *Task, dir FD, name Str, times Ptr[T], flags int32) error {
	at := [2]int64{vfs.TimeNow, vfs.TimeNow}
	if times != 0 {
		v, err := loadSlice[unix.Timespec](t, times, 2)
		if err != nil {
			return err
		}
		if v[0].Nsec == unix.UTIME_OMIT && v[1].Nsec == unix.UTIME_OMIT {
			return nil
		}
		for i, ts := range v {
			switch {
			case ts.Nsec == unix.UTIME_NOW:
			case ts.Nsec == unix.UTIME_OMIT:
				at[i] = vfs.TimeOmit
			case ts.Nsec < 0 || ts.Nsec >= 1e9:
				return unix.EINVAL
			default:
				at[i] = fileTime(ts.Sec, ts.Nsec)
			}
		}
	}
	return t.utimens(dir, name, at[0], at[1], flags)
}

// utimens sets a file's times; without a name those of descriptor dir.
func (t *Task) utimens(dir FD, name Str, atime, mtime int64, flags int32) error {
	if name == 0 && dir != unix.AT_FDCWD {
		if flags != 0 {
			return unix.EINVAL
		}
		return t.withFile(dir, func(f *vfs.File) error { return f.Utimens(t, atime, mtime) })
	}
	wf, err := walkFlags(flags, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	return t.withPlace(dir, name, wf, func(p *place) error { return vfs.Utimens(t, p.at, p.name, atime, mtime, p.flags) })
}
