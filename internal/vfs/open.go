package vfs

import (
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// Hooks open what the kernel above serves: special files whose inode has no
// Opener of its own. A nil hook is ENXIO. They may wait; p is held meanwhile.
type Hooks struct {
	// FIFO opens a named pipe; Extra.Bound of the inode is for the pipe.
	FIFO func(ctx Context, p Path, flags int) (Impl, error)
	// Device opens a character or block device (a.Mode) by number (a.Rdev).
	Device func(ctx Context, p Path, a Attr, flags int) (Impl, error)
}

const (
	oTmpfile   = unix.O_TMPFILE &^ unix.O_DIRECTORY
	pathFlags  = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	notStatus  = unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY | unix.O_TRUNC | unix.O_CLOEXEC
	permission = 0o7777
)

// Open is openat2(2): flags O_*, mode for a file that is made, resolve
// RESOLVE_*. Unknown flags have been refused or dropped by the caller;
// O_CLOEXEC is the descriptor table's business. Without OSmallFile, O_LARGEFILE
// is implied.
func Open(ctx Context, at At, name string, flags int, mode uint32, resolve uint64) (*File, error) {
	flags = sized(flags)
	if flags&unix.O_PATH != 0 {
		flags &= pathFlags
		p, err := Walk(ctx, at, name, walkFlags(flags), resolve) // to look at
		if err != nil {
			return nil, err
		}
		defer p.Unref()
		return NewFile(p, p.Inode(), pathOnly{}, flags&^notStatus), nil
	}
	if resolve&resolveCached != 0 && flags&(unix.O_TRUNC|unix.O_CREAT|oTmpfile) != 0 {
		return nil, unix.EAGAIN
	}
	switch {
	case flags&oTmpfile != 0:
		if flags&(unix.O_CREAT|unix.O_DIRECTORY) != unix.O_DIRECTORY || flags&unix.O_ACCMODE == unix.O_RDONLY {
			return nil, unix.EINVAL
		}
		return openTmpfile(ctx, at, name, flags, mode, resolve)
	case flags&unix.O_CREAT != 0:
		if flags&unix.O_DIRECTORY != 0 {
			return nil, unix.EINVAL
		}
		return openCreate(ctx, at, name, flags, mode, resolve)
	}
	p, err := walk(ctx, ctx.Cred(), at, name, walkFlags(flags), resolve)
	if err != nil {
		return nil, err
	}
	defer p.Unref()
	return openPath(ctx, at, p, flags)
}

// walkFlags are those that O_NOFOLLOW and O_DIRECTORY stand for.
func walkFlags(flags int) WalkFlags {
	var wf WalkFlags
	if flags&unix.O_NOFOLLOW == 0 {
		wf |= Follow
	}
	if flags&unix.O_DIRECTORY != 0 {
		wf |= Directory
	}
	return wf
}

// OpenPath opens what p leads to as Open would: for a magic link's target or
// a place that is held already.
func OpenPath(ctx Context, at At, p Path, flags int) (*File, error) {
	flags = sized(flags)
	if flags&unix.O_PATH != 0 {
		return NewFile(p, p.Inode(), pathOnly{}, flags&pathFlags&^notStatus), nil
	}
	return openPath(ctx, at, p, flags)
}

// OpenExec opens a program to be executed: it must be a regular file that the
// caller may execute (EACCES); reading it needs no permission. Nobody can open
// it for writing until the file is released with AllowWrite.
func OpenExec(ctx Context, at At, name string, flags WalkFlags, resolve uint64) (*File, error) {
	p, err := walkFor(ctx, at, name, flags, resolve, UseExec)
	if err != nil {
		return nil, err
	}
	defer p.Unref()
	switch p.Kind() {
	case unix.S_IFREG:
	case unix.S_IFLNK:
		return nil, unix.ELOOP
	default:
		return nil, unix.EACCES
	}
	if p.Mount.Has(unix.MS_NOEXEC) {
		return nil, unix.EACCES
	}
	if err := permit(ctx, ctx.Cred(), p.Mount, p.Inode(), MayExec); err != nil {
		return nil, err
	}
	f, err := openInode(ctx, at, p, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	if err := f.DenyWrite(); err != nil {
		f.Unref(ctx)
		return nil, err
	}
	return f, nil
}

// accessOf returns the permission that opening with flags needs.
func accessOf(flags int) uint32 {
	var want uint32
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		want = MayRead
	case unix.O_WRONLY:
		want = MayWrite
	default:
		want = MayRead | MayWrite
	}
	if flags&unix.O_TRUNC != 0 {
		want |= MayWrite
	}
	return want
}

const (
	// OLargefile is O_LARGEFILE as the kernel keeps it in a description's flags:
	// F_GETFL shows it to 64-bit programs too, whose open(2) implies it. Without
	// it a file cannot be opened if it is larger than a 32-bit offset reaches,
	// nor be made so.
	OLargefile = 0o100000
	// OSmallFile is a 32-bit program's lack of it. No program can give it.
	OSmallFile = 1 << 40

	maxSmall = math.MaxInt32
)

// sized makes OLargefile of OSmallFile's absence.
func sized(flags int) int {
	if flags&(OSmallFile|unix.O_PATH) == 0 {
		flags |= OLargefile
	}
	return flags &^ OSmallFile
}

// openPath opens what exists, with all checks.
func openPath(ctx Context, at At, p Path, flags int) (*File, error) {
	want := accessOf(flags)
	if err := mayUse(ctx, p, "", useOf(flags)); err != nil {
		return nil, err
	}
	switch p.Kind() {
	case unix.S_IFLNK:
		return nil, unix.ELOOP
	case unix.S_IFDIR:
		if want&MayWrite != 0 {
			return nil, unix.EISDIR
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		if p.Mount.Has(unix.MS_NODEV) {
			return nil, unix.EACCES
		}
		flags &^= unix.O_TRUNC
	case unix.S_IFIFO, unix.S_IFSOCK:
		flags &^= unix.O_TRUNC
	}
	cred, ino := ctx.Cred(), p.Inode()
	if err := permit(ctx, cred, p.Mount, ino, want); err != nil {
		return nil, err
	}
	if flags&unix.O_NOATIME != 0 {
		_, uid, _, err := perm(ctx, ino)
		if err != nil {
			return nil, err
		}
		if !cred.owns(uid) {
			return nil, unix.EPERM
		}
	}
	if want&MayWrite != 0 && p.Dentry.extra != nil && p.Dentry.extra.writers < 0 && p.Kind() == unix.S_IFREG {
		return nil, unix.ETXTBSY
	}
	if flags&OLargefile == 0 && p.Kind() == unix.S_IFREG {
		if a, err := ino.Attr(ctx); err != nil {
			return nil, err
		} else if a.Size > maxSmall {
			return nil, unix.EOVERFLOW
		}
	}
	cut := flags&unix.O_TRUNC != 0 && p.Kind() == unix.S_IFREG
	if cut {
		if err := truncate(ctx, p, nil, ino, 0); err != nil {
			return nil, err
		}
	}
	f, err := openInode(ctx, at, p, flags)
	if err == nil && cut {
		p.Dentry.Notify(unix.IN_MODIFY) // after IN_OPEN
	}
	return f, err
}

// openInode makes the description; permissions have been checked.
func openInode(ctx Context, at At, p Path, flags int) (*File, error) {
	ino := p.Inode()
	var impl Impl
	var err error
	if o, ok := ino.(Opener); ok {
		impl, err = o.Open(ctx, p, flags)
	} else {
		impl, err = openSpecial(ctx, at, p, flags)
	}
	if err != nil {
		return nil, err
	}
	f := NewFile(p, ino, impl, flags&^notStatus)
	p.Dentry.Notify(unix.IN_OPEN)
	return f, nil
}

func openSpecial(ctx Context, at At, p Path, flags int) (Impl, error) {
	h := &at.Root.Mount.sb.sys.Hooks
	switch p.Kind() {
	case unix.S_IFIFO:
		if h.FIFO != nil {
			return h.FIFO(ctx, p, flags)
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		if h.Device != nil {
			a, err := p.Inode().Attr(ctx)
			if err != nil {
				return nil, err
			}
			return h.Device(ctx, p, a, flags)
		}
	}
	return nil, unix.ENXIO
}

// openCreate is Open with O_CREAT.
func openCreate(ctx Context, at At, name string, flags int, mode uint32, resolve uint64) (*File, error) {
	var w walker
	if err := w.begin(ctx, ctx.Cred(), at, name, resolve); err != nil {
		return nil, err
	}
	sticky := false
	for {
		if err := w.toLast(); err != nil {
			return nil, w.fail(err)
		}
		if w.last == "" || w.last == "." || w.last == ".." {
			// The root, where a magic link led, or a directory.
			if _, err := w.stepLast(false); err != nil {
				return nil, w.fail(err)
			}
			break
		}
		if w.mustDir {
			return nil, w.fail(unix.EISDIR)
		}
		c, err := w.child(w.last)
		if err == nil && c.inode == nil {
			c.put()
			if err := mayUse(ctx, w.cur, w.last, useOf(flags)|UseWrite); err != nil {
				return nil, w.fail(err)
			}
			var made bool
			c, made, err = create(ctx, w.cur, w.last, mode&permission&^ctx.Umask()|unix.S_IFREG)
			if err == nil && made {
				w.to(Path{w.cur.Mount, c}.adopt())
				f, err := openInode(ctx, at, w.cur, flags&^unix.O_TRUNC)
				w.fail(nil)
				return f, err
			}
		}
		if err != nil {
			return nil, w.fail(err)
		}
		if flags&unix.O_EXCL != 0 {
			c.put()
			return nil, w.fail(unix.EEXIST)
		}
		if c.kind != unix.S_IFREG && c.kind != unix.S_IFDIR {
			sticky, err = strange(ctx, w.cur.Dentry.inode, c.inode)
			if err != nil {
				c.put()
				return nil, w.fail(err)
			}
		}
		again, err := w.into(c, flags&unix.O_NOFOLLOW == 0)
		if err != nil {
			return nil, w.fail(err)
		}
		if !again {
			break
		}
	}
	var f *File
	var err error
	switch kind := w.cur.Kind(); {
	case flags&unix.O_EXCL != 0:
		err = unix.EEXIST
	case kind == unix.S_IFDIR:
		err = unix.EISDIR
	case sticky && kind != unix.S_IFREG && kind != unix.S_IFIFO:
		err = unix.EACCES
	default:
		f, err = openPath(ctx, at, w.cur, flags)
	}
	w.fail(nil)
	return f, err
}

// strange reports whether c is someone else's in a directory like /tmp: what
// is not a regular file or fifo is not opened there with O_CREAT, proc(5)
// fs.protected_regular.
func strange(ctx Context, dir, c Inode) (bool, error) {
	mode, owner, _, err := perm(ctx, dir)
	if err != nil || mode&(unix.S_ISVTX|0o002) != unix.S_ISVTX|0o002 {
		return false, err
	}
	_, uid, _, err := perm(ctx, c)
	return uid != owner && uid != ctx.Cred().UID, err
}

func openTmpfile(ctx Context, at At, name string, flags int, mode uint32, resolve uint64) (*File, error) {
	dir, err := walkFor(ctx, at, name, walkFlags(flags)|Directory, resolve, useOf(flags)|UseWrite)
	if err != nil {
		return nil, err
	}
	defer dir.Unref()
	if dir.Mount.ReadOnly() {
		return nil, unix.EROFS
	}
	// A removed directory will do: nothing is put into it.
	if err := permit(ctx, ctx.Cred(), nil, dir.Inode(), MayWrite|MayExec); err != nil {
		return nil, err
	}
	t, ok := dir.Inode().(Tmpfiler)
	if !ok {
		return nil, unix.EOPNOTSUPP
	}
	uid, gid, mode, err := newOwner(ctx, dir.Inode(), mode&permission&^ctx.Umask()|unix.S_IFREG)
	if err != nil {
		return nil, err
	}
	ino, err := t.Tmpfile(ctx, mode, uid, gid)
	if err != nil {
		return nil, err
	}
	a, err := ino.Attr(ctx)
	if err != nil {
		return nil, err
	}
	d := newDentry(dir.Dentry.sb, dir.Dentry, "#"+strconv.FormatUint(a.Ino, 10))
	d.fill(ino, a.Mode)
	if d.extra != nil {
		d.extra.gone = true
		d.extra.linkable = flags&unix.O_EXCL == 0
	}
	p := Path{dir.Mount, d}.adopt()
	defer p.Unref()
	return openInode(ctx, at, p, flags&^unix.O_TRUNC)
}

// pathOnly serves an O_PATH description: nothing can be done with it.
type pathOnly struct{}

func (pathOnly) Release(Context) {}
