package vfs

import (
	"math"

	"golang.org/x/sys/unix"
)

// Stat is fstatat(2): with Follow stat, without lstat.
func Stat(ctx Context, at At, name string, flags WalkFlags) (Attr, error) {
	p, err := Walk(ctx, at, name, flags, 0)
	if err != nil {
		return Attr{}, err
	}
	defer p.Unref()
	return p.Inode().Attr(ctx)
}

// Stat is fstat(2).
func (f *File) Stat(ctx Context) (Attr, error) { return f.Inode.Attr(ctx) }

// Stat converts to the struct of stat(2).
func (a *Attr) Stat() unix.Stat_t {
	return unix.Stat_t{
		Dev: a.Dev, Ino: a.Ino, Nlink: a.Nlink, Mode: a.Mode, Uid: a.UID, Gid: a.GID, Rdev: a.Rdev,
		Size: a.Size, Blksize: a.BlockSize, Blocks: a.Blocks,
		Atim: timespec(a.Atime), Mtim: timespec(a.Mtime), Ctim: timespec(a.Ctime),
	}
}

func timespec(ns int64) unix.Timespec {
	s, n := ns/1e9, ns%1e9
	if n < 0 {
		s, n = s-1, n+1e9
	}
	return unix.Timespec{Sec: s, Nsec: n}
}

// Access is faccessat2(2) for cred: want has R_OK, W_OK, X_OK bits.
func Access(ctx Context, cred *Cred, at At, name string, want uint32, flags WalkFlags) error {
	if want&^7 != 0 {
		return unix.EINVAL
	}
	p, err := walk(ctx, cred, at, name, flags, 0)
	if err != nil {
		return err
	}
	defer p.Unref()
	if err := mayUse(ctx, p, "", UseLook); err != nil {
		return err
	}
	if want&MayExec != 0 && p.Kind() == unix.S_IFREG && p.Mount.Has(unix.MS_NOEXEC) {
		return unix.EACCES
	}
	return permit(ctx, cred, p.Mount, p.Inode(), want)
}

// change walks to a name and runs f on it, on a mount that can be written.
func change(ctx Context, at At, name string, flags WalkFlags, f func(d *Dentry, ino Inode) error) error {
	p, err := walkFor(ctx, at, name, flags, 0, UseWrite)
	if err != nil {
		return err
	}
	defer p.Unref()
	if p.Mount.ReadOnly() {
		return unix.EROFS
	}
	return f(p.Dentry, p.Inode())
}

// change runs f on an open file's inode, on a mount that can be written.
func (f *File) change(ctx Context, do func(d *Dentry, ino Inode) error) error {
	if f.IsPath() {
		return unix.EBADF
	}
	if f.Path.Dentry != nil {
		if err := mayUse(ctx, f.Path, "", UseWrite); err != nil {
			return err
		}
	}
	if f.Path.Mount.ReadOnly() {
		return unix.EROFS
	}
	return do(f.Path.Dentry, f.Inode)
}

// setAttr changes attributes and tells the watches, through d unless nil.
func setAttr(ctx Context, d *Dentry, ino Inode, set AttrMask, a Attr, event uint32) error {
	s, ok := ino.(AttrSetter)
	if !ok {
		return unix.EPERM
	}
	a.Ctime = ctx.Realtime()
	if err := s.SetAttr(ctx, set|SetCtime, a); err != nil {
		return err
	}
	if d != nil {
		d.Notify(event)
	}
	return nil
}

// Chmod is fchmodat2(2).
func Chmod(ctx Context, at At, name string, mode uint32, flags WalkFlags) error {
	return change(ctx, at, name, flags, func(d *Dentry, ino Inode) error { return chmod(ctx, d, ino, mode) })
}

// Chmod is fchmod(2).
func (f *File) Chmod(ctx Context, mode uint32) error {
	return f.change(ctx, func(d *Dentry, ino Inode) error { return chmod(ctx, d, ino, mode) })
}

func chmod(ctx Context, d *Dentry, ino Inode, mode uint32) error {
	old, uid, gid, err := perm(ctx, ino)
	if err != nil {
		return err
	}
	cred := ctx.Cred()
	if old&unix.S_IFMT == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	if !cred.owns(uid) {
		return unix.EPERM
	}
	mode = mode&permission | old&unix.S_IFMT
	if !cred.InGroup(gid) && !cred.Has(unix.CAP_FSETID) {
		mode &^= unix.S_ISGID
	}
	return setAttr(ctx, d, ino, SetMode, Attr{Mode: mode}, unix.IN_ATTRIB)
}

// Unchanged is the uid or gid that chown leaves as it is.
const Unchanged = math.MaxUint32

// Chown is fchownat(2). It drops set-user-ID and set-group-ID.
func Chown(ctx Context, at At, name string, uid, gid uint32, flags WalkFlags) error {
	return change(ctx, at, name, flags, func(d *Dentry, ino Inode) error { return chown(ctx, d, ino, uid, gid) })
}

// Chown is fchown(2).
func (f *File) Chown(ctx Context, uid, gid uint32) error {
	return f.change(ctx, func(d *Dentry, ino Inode) error { return chown(ctx, d, ino, uid, gid) })
}

func chown(ctx Context, d *Dentry, ino Inode, uid, gid uint32) error {
	mode, oldUID, oldGID, err := perm(ctx, ino)
	if err != nil {
		return err
	}
	cred := ctx.Cred()
	var set AttrMask
	var a Attr
	if uid != Unchanged {
		if (cred.UID != oldUID || uid != oldUID) && !cred.Has(unix.CAP_CHOWN) {
			return unix.EPERM
		}
		set, a.UID = set|SetUID, uid
	}
	if gid != Unchanged {
		if (cred.UID != oldUID || gid != oldGID && !cred.InGroup(gid)) && !cred.Has(unix.CAP_CHOWN) {
			return unix.EPERM
		}
		set, a.GID = set|SetGID, gid
	}
	if mode&unix.S_IFMT != unix.S_IFDIR {
		m := mode &^ unix.S_ISUID
		if mode&unix.S_ISGID != 0 && (mode&0o010 != 0 || !cred.InGroup(oldGID) && !cred.Has(unix.CAP_FSETID)) {
			m &^= unix.S_ISGID
		}
		if m != mode {
			if !cred.owns(oldUID) {
				return unix.EPERM
			}
			set, a.Mode = set|SetMode, m
		}
	}
	return setAttr(ctx, d, ino, set, a, unix.IN_ATTRIB)
}

// Times for Utimens: ns since the epoch, or one of the two below.
const (
	TimeNow  = math.MinInt64     // UTIME_NOW
	TimeOmit = math.MinInt64 + 1 // UTIME_OMIT
)

// Utimens is utimensat(2). That both are TimeOmit is for the caller to see:
// then the name is not even looked at.
func Utimens(ctx Context, at At, name string, atime, mtime int64, flags WalkFlags) error {
	return change(ctx, at, name, flags, func(d *Dentry, ino Inode) error { return utimens(ctx, d, ino, atime, mtime) })
}

// Utimens is futimens(3).
func (f *File) Utimens(ctx Context, atime, mtime int64) error {
	return f.change(ctx, func(d *Dentry, ino Inode) error { return utimens(ctx, d, ino, atime, mtime) })
}

func utimens(ctx Context, d *Dentry, ino Inode, atime, mtime int64) error {
	mode, uid, gid, err := perm(ctx, ino)
	if err != nil {
		return err
	}
	cred := ctx.Cred()
	if !cred.owns(uid) {
		if atime != TimeNow || mtime != TimeNow {
			return unix.EPERM
		}
		if !cred.Allows(mode, uid, gid, MayWrite) {
			return unix.EACCES
		}
	}
	now := ctx.Realtime()
	var set AttrMask
	var a Attr
	switch atime {
	case TimeOmit:
	case TimeNow:
		set, a.Atime = set|SetAtime, now
	default:
		set, a.Atime = set|SetAtime, atime
	}
	switch mtime {
	case TimeOmit:
	case TimeNow:
		set, a.Mtime = set|SetMtime, now
	default:
		set, a.Mtime = set|SetMtime, mtime
	}
	return setAttr(ctx, d, ino, set, a, unix.IN_ATTRIB)
}

// Truncate is truncate(2).
func Truncate(ctx Context, at At, name string, size int64) error {
	if size < 0 {
		return unix.EINVAL
	}
	p, err := walkFor(ctx, at, name, Follow, 0, UseWrite)
	if err != nil {
		return err
	}
	defer p.Unref()
	switch p.Kind() {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return unix.EISDIR
	default:
		return unix.EINVAL
	}
	if err := permit(ctx, ctx.Cred(), p.Mount, p.Inode(), MayWrite); err != nil {
		return err
	}
	if p.Dentry.extra != nil && p.Dentry.extra.writers < 0 {
		return unix.ETXTBSY
	}
	return truncate(ctx, p, p.Dentry, p.Inode(), size)
}

// Truncate is ftruncate(2).
func (f *File) Truncate(ctx Context, size int64) error {
	if f.Flags&unix.O_PATH != 0 {
		return unix.EBADF
	}
	if size < 0 {
		return unix.EINVAL
	}
	if !f.CanWrite() || f.kind != unix.S_IFREG || f.Flags&OLargefile == 0 && size > maxSmall {
		return unix.EINVAL
	}
	return truncate(ctx, f.Path, f.Path.Dentry, f.Inode, size)
}

// truncate changes the size; the watches are told through d unless it is nil.
func truncate(ctx Context, p Path, d *Dentry, ino Inode, size int64) error {
	if uint64(size) > ctx.FileSizeLimit() {
		a, err := ino.Attr(ctx)
		if err != nil {
			return err
		}
		if size > a.Size {
			return unix.EFBIG
		}
	}
	set, a := SetSize|SetMtime, Attr{Size: size, Mtime: ctx.Realtime()}
	mode, _, _, err := perm(ctx, ino)
	if err != nil {
		return err
	}
	if m := DropPrivileges(ctx.Cred(), mode); m != mode {
		set, a.Mode = set|SetMode, m
	}
	if err := Changing(ctx, p, ino, size, math.MaxInt64); err != nil {
		return err
	}
	return setAttr(ctx, d, ino, set, a, unix.IN_MODIFY)
}

// Statfs is statfs(2).
func Statfs(ctx Context, at At, name string) (unix.Statfs_t, error) {
	p, err := Walk(ctx, at, name, Follow|Empty, 0)
	if err != nil {
		return unix.Statfs_t{}, err
	}
	defer p.Unref()
	return p.Statfs(ctx)
}

// Statfs is fstatfs(2). What has no place is of a file system of its kind.
func (f *File) Statfs(ctx Context) (unix.Statfs_t, error) {
	s, err := f.Path.Statfs(ctx)
	if f.Path.Mount != nil || err != nil {
		return s, err
	}
	a, err := f.Inode.Attr(ctx)
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.Type = unix.TMPFS_MAGIC
	case unix.S_IFIFO:
		s.Type = unix.PIPEFS_MAGIC
	case unix.S_IFSOCK:
		s.Type = unix.SOCKFS_MAGIC
	}
	return s, err
}

// Flags that statfs(2) has beyond the MS_* ones it shares.
const (
	stValid    = 0x20
	stNoatime  = 0x400
	stNodirat  = 0x800
	stRelatime = 0x1000
	stNosym    = 0x2000
)

// Statfs tells of the file system at p, with the mount's flags.
func (p Path) Statfs(ctx Context) (unix.Statfs_t, error) {
	if p.Mount == nil {
		// pipefs, sockfs and the like.
		return unix.Statfs_t{Type: unix.ANON_INODE_FS_MAGIC, Bsize: 4096, Frsize: 4096, Namelen: 255, Flags: stValid}, nil
	}
	s, err := p.Mount.sb.fs.Statfs(ctx)
	if err != nil {
		return s, err
	}
	m := p.Mount
	s.Flags |= stValid | int64(m.Flags&(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC))
	for _, f := range []struct {
		ms MountFlags
		st int64
	}{{unix.MS_NOATIME, stNoatime}, {unix.MS_NODIRATIME, stNodirat}, {unix.MS_RELATIME, stRelatime}, {unix.MS_NOSYMFOLLOW, stNosym}} {
		if m.Flags&f.ms != 0 {
			s.Flags |= f.st
		}
	}
	if m.ReadOnly() {
		s.Flags |= unix.MS_RDONLY
	}
	return s, nil
}
