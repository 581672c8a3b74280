package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxXattrName  = 255
	maxXattrValue = 65536
)

// xattrAllowed checks a name, and its class against the caller: xattr(7).
func xattrAllowed(ctx Context, m *Mount, ino Inode, name string, write bool) error {
	if name == "" || len(name) > maxXattrName {
		return unix.ERANGE
	}
	class, rest, ok := strings.Cut(name, ".")
	if !ok {
		class = ""
	}
	if write && m.ReadOnly() {
		return unix.EROFS
	}
	if err := classAllowed(ctx, ino, class, rest, write); err != nil {
		return err
	}
	if rest == "" {
		return unix.EINVAL
	}
	return nil
}

func classAllowed(ctx Context, ino Inode, class, rest string, write bool) error {
	cred := ctx.Cred()
	refuse := func() error {
		if write {
			return unix.EPERM
		}
		return unix.ENODATA
	}
	switch class {
	case "security":
		if !write {
			return nil
		}
		need := unix.CAP_SYS_ADMIN
		if rest == "capability" {
			need = unix.CAP_SETFCAP
		}
		if !cred.Has(need) {
			return unix.EPERM
		}
		return nil
	case "trusted":
		if !cred.Has(unix.CAP_SYS_ADMIN) {
			return refuse()
		}
		return nil
	case "system":
		// Access control lists, which no file system here has.
		return unix.EOPNOTSUPP
	}
	mode, uid, gid, err := perm(ctx, ino)
	if err != nil {
		return err
	}
	if class == "user" {
		switch mode & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			if mode&unix.S_ISVTX != 0 && write && !cred.owns(uid) {
				return unix.EPERM
			}
		default:
			return refuse()
		}
	}
	want := uint32(MayRead)
	if write {
		want = MayWrite
	}
	if !cred.Allows(mode, uid, gid, want) {
		return unix.EACCES
	}
	if class != "user" {
		return unix.EOPNOTSUPP
	}
	return nil
}

// Getxattr is getxattr(2): with Follow, without it lgetxattr.
func Getxattr(ctx Context, at At, name string, flags WalkFlags, attr string) ([]byte, error) {
	p, err := Walk(ctx, at, name, flags, 0)
	if err != nil {
		return nil, err
	}
	defer p.Unref()
	return getxattr(ctx, p.Mount, p.Inode(), attr)
}

// Getxattr is fgetxattr(2).
func (f *File) Getxattr(ctx Context, attr string) ([]byte, error) {
	if f.IsPath() {
		return nil, unix.EBADF
	}
	return getxattr(ctx, f.Path.Mount, f.Inode, attr)
}

func getxattr(ctx Context, m *Mount, ino Inode, attr string) ([]byte, error) {
	if err := xattrAllowed(ctx, m, ino, attr, false); err != nil {
		return nil, err
	}
	x, ok := ino.(Xattrer)
	if !ok {
		return nil, unix.EOPNOTSUPP
	}
	return x.Getxattr(ctx, attr)
}

// Setxattr is setxattr(2); set has XATTR_CREATE, XATTR_REPLACE.
func Setxattr(ctx Context, at At, name string, flags WalkFlags, attr string, value []byte, set int) error {
	p, err := walkFor(ctx, at, name, flags, 0, UseWrite)
	if err != nil {
		return err
	}
	defer p.Unref()
	return setxattr(ctx, p.Mount, p.Dentry, p.Inode(), attr, value, set)
}

// Setxattr is fsetxattr(2).
func (f *File) Setxattr(ctx Context, attr string, value []byte, set int) error {
	if f.IsPath() {
		return unix.EBADF
	}
	if f.Path.Dentry != nil {
		if err := mayUse(ctx, f.Path, "", UseWrite); err != nil {
			return err
		}
	}
	return setxattr(ctx, f.Path.Mount, f.Path.Dentry, f.Inode, attr, value, set)
}

func setxattr(ctx Context, m *Mount, d *Dentry, ino Inode, attr string, value []byte, set int) error {
	if set&^(unix.XATTR_CREATE|unix.XATTR_REPLACE) != 0 {
		return unix.EINVAL
	}
	if len(value) > maxXattrValue {
		return unix.E2BIG
	}
	if err := xattrAllowed(ctx, m, ino, attr, true); err != nil {
		return err
	}
	x, ok := ino.(Xattrer)
	if !ok {
		return unix.EOPNOTSUPP
	}
	if err := x.Setxattr(ctx, attr, value, set); err != nil {
		return err
	}
	if d != nil {
		d.Notify(unix.IN_ATTRIB)
	}
	return nil
}

// Listxattr is listxattr(2).
func Listxattr(ctx Context, at At, name string, flags WalkFlags) ([]string, error) {
	p, err := Walk(ctx, at, name, flags, 0)
	if err != nil {
		return nil, err
	}
	defer p.Unref()
	return listxattr(ctx, p.Inode())
}

// Listxattr is flistxattr(2).
func (f *File) Listxattr(ctx Context) ([]string, error) {
	if f.IsPath() {
		return nil, unix.EBADF
	}
	return listxattr(ctx, f.Inode)
}

func listxattr(ctx Context, ino Inode) ([]string, error) {
	x, ok := ino.(Xattrer)
	if !ok {
		return nil, nil
	}
	names, err := x.Listxattr(ctx)
	if err != nil || ctx.Cred().Has(unix.CAP_SYS_ADMIN) {
		return names, err
	}
	var out []string
	for _, n := range names {
		if !strings.HasPrefix(n, "trusted.") {
			out = append(out, n)
		}
	}
	return out, nil
}

// Removexattr is removexattr(2).
func Removexattr(ctx Context, at At, name string, flags WalkFlags, attr string) error {
	p, err := walkFor(ctx, at, name, flags, 0, UseWrite)
	if err != nil {
		return err
	}
	defer p.Unref()
	return removexattr(ctx, p.Mount, p.Dentry, p.Inode(), attr)
}

// Removexattr is fremovexattr(2).
func (f *File) Removexattr(ctx Context, attr string) error {
	if f.IsPath() {
		return unix.EBADF
	}
	if f.Path.Dentry != nil {
		if err := mayUse(ctx, f.Path, "", UseWrite); err != nil {
			return err
		}
	}
	return removexattr(ctx, f.Path.Mount, f.Path.Dentry, f.Inode, attr)
}

func removexattr(ctx Context, m *Mount, d *Dentry, ino Inode, attr string) error {
	if err := xattrAllowed(ctx, m, ino, attr, true); err != nil {
		return err
	}
	x, ok := ino.(Xattrer)
	if !ok {
		return unix.EOPNOTSUPP
	}
	if err := x.Removexattr(ctx, attr); err != nil {
		return err
	}
	if d != nil {
		d.Notify(unix.IN_ATTRIB)
	}
	return nil
}
