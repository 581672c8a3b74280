package vfs

import "golang.org/x/sys/unix"

// What permission is asked for: the bits of an rwx triple.
const (
	MayExec  = 1
	MayWrite = 2
	MayRead  = 4
)

// Permer is an inode that tells its mode and owner without waiting: the walk
// asks it at every step rather than Attr.
type Permer interface {
	Perm() (mode, uid, gid uint32)
}

// CallerPermer is a Permer whose answer depends on who asks: /proc/PID/fd may
// be read by its process whoever owns it.
type CallerPermer interface {
	PermFor(ctx Context) (mode, uid, gid uint32)
}

// perm returns an inode's mode and owner.
func perm(ctx Context, ino Inode) (mode, uid, gid uint32, err error) {
	if p, ok := ino.(Permer); ok {
		mode, uid, gid = p.Perm()
		return mode, uid, gid, nil
	}
	if p, ok := ino.(CallerPermer); ok {
		mode, uid, gid = p.PermFor(ctx)
		return mode, uid, gid, nil
	}
	a, err := ino.Attr(ctx)
	return a.Mode, a.UID, a.GID, err
}

// Allows reports whether mode bits, owner and capabilities grant c what is
// asked for: path_resolution(7).
func (c *Cred) Allows(mode, uid, gid uint32, want uint32) bool {
	bits := mode
	switch {
	case c.UID == uid:
		bits >>= 6
	case c.InGroup(gid):
		bits >>= 3
	}
	if want&^bits&7 == 0 {
		return true
	}
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return c.Has(unix.CAP_DAC_OVERRIDE) || want&MayWrite == 0 && c.Has(unix.CAP_DAC_READ_SEARCH)
	}
	if want == MayRead && c.Has(unix.CAP_DAC_READ_SEARCH) {
		return true
	}
	return (want&MayExec == 0 || mode&0o111 != 0) && c.Has(unix.CAP_DAC_OVERRIDE)
}

// permit checks one access to an inode through mount m: EACCES for what the
// mode does not allow, EROFS for writing what cannot be written there. A file
// system that is read-only says so first, a read-only mount last.
func permit(ctx Context, cred *Cred, m *Mount, ino Inode, want uint32) error {
	mode, uid, gid, err := perm(ctx, ino)
	if err != nil {
		return err
	}
	readOnly := false
	switch mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
		readOnly = want&MayWrite != 0 && m.ReadOnly()
	}
	switch {
	case readOnly && m.fsReadOnly():
		return unix.EROFS
	case !cred.Allows(mode, uid, gid, want):
		return unix.EACCES
	case readOnly:
		return unix.EROFS
	}
	return nil
}

// owns reports whether c may do what the owner may.
func (c *Cred) owns(uid uint32) bool { return c.UID == uid || c.Has(unix.CAP_FOWNER) }

// mayCreate reports whether a name can be made in directory p.
func mayCreate(ctx Context, p Path) error {
	if p.Dentry.dead {
		return unix.ENOENT
	}
	return permit(ctx, ctx.Cred(), nil, p.Dentry.inode, MayWrite|MayExec)
}

// mayDelete reports whether the name c can be taken out of directory p.
func mayDelete(ctx Context, p Path, c *Dentry, wantDir bool) error {
	cred := ctx.Cred()
	if c.inode == nil {
		return unix.ENOENT
	}
	mode, uid, gid, err := perm(ctx, p.Dentry.inode)
	if err != nil {
		return err
	}
	if !cred.Allows(mode, uid, gid, MayWrite|MayExec) {
		return unix.EACCES
	}
	if mode&unix.S_ISVTX != 0 && !cred.owns(uid) {
		_, owner, _, err := perm(ctx, c.inode)
		if err != nil {
			return err
		}
		if owner != cred.UID {
			return unix.EPERM
		}
	}
	isDir := c.kind == unix.S_IFDIR
	switch {
	case wantDir && !isDir:
		return unix.ENOTDIR
	case !wantDir && isDir:
		return unix.EISDIR
	case p.Dentry.dead:
		return unix.ENOENT
	}
	return nil
}

// newOwner returns the group of what is made in a directory, and its mode:
// a setgid directory hands down its group, and to directories the bit.
func newOwner(ctx Context, dir Inode, mode uint32) (uid, gid, outMode uint32, err error) {
	cred := ctx.Cred()
	dmode, _, dgid, err := perm(ctx, dir)
	if err != nil {
		return 0, 0, 0, err
	}
	gid = cred.GID
	if dmode&unix.S_ISGID != 0 {
		gid = dgid
		if mode&unix.S_IFMT == unix.S_IFDIR {
			mode |= unix.S_ISGID
		} else if mode&(unix.S_ISGID|0o010) == unix.S_ISGID|0o010 && !cred.InGroup(gid) && !cred.Has(unix.CAP_FSETID) {
			mode &^= unix.S_ISGID
		}
	}
	return cred.UID, gid, mode, nil
}

// DropPrivileges returns mode as it is after someone has written the file:
// without set-user-ID, and without set-group-ID where it means one.
func DropPrivileges(cred *Cred, mode uint32) uint32 {
	if mode&(unix.S_ISUID|unix.S_ISGID) == 0 || mode&unix.S_IFMT != unix.S_IFREG || cred.Has(unix.CAP_FSETID) {
		return mode
	}
	mode &^= unix.S_ISUID
	if mode&0o010 != 0 {
		mode &^= unix.S_ISGID
	}
	return mode
}

// Permit reports whether the caller may do to what p leads to what want (an
// rwx triple) says: EACCES, or EROFS for writing.
func (p Path) Permit(ctx Context, want uint32) error {
	return permit(ctx, ctx.Cred(), p.Mount, p.Inode(), want)
}
