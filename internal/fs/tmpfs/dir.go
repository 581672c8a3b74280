package tmpfs

import (
	"slices"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// dir is a directory. Listing goes by cookies that rise in the order the
// names were made, so that names coming and going meanwhile disturb nobody.
type dir struct {
	node
	parent *dir
	names  map[string]*entry
	list   []*entry // by cookie; removed ones stay, with a nil inode, until compacted
	dead   int      // how many of list are removed
	cookie int64    // the last given
}

type entry struct {
	name   string
	inode  inode // nil once removed
	cookie int64
}

// Cookies of the names that every directory has.
const (
	afterDot    = 1
	afterDotDot = 2
)

// entrySize is what a name adds to the size of its directory, as on Linux.
const entrySize = 20

func (d *dir) add(name string, ino inode) {
	if d.names == nil {
		d.names = make(map[string]*entry)
	}
	d.cookie = max(d.cookie+1, afterDotDot)
	e := &entry{name, ino, d.cookie}
	d.names[name] = e
	d.list = append(d.list, e)
}

func (d *dir) remove(name string) {
	e := d.names[name]
	delete(d.names, name)
	e.inode = nil
	d.dead++
	if len(d.names) == 0 {
		d.names, d.list, d.dead = nil, nil, 0 // emptied ones would keep their room
	} else if d.dead > 16 && d.dead > len(d.list)/2 {
		d.list = slices.DeleteFunc(d.list, func(e *entry) bool { return e.inode == nil })
		d.dead = 0
	}
}

// Lookup implements vfs.Lookuper.
func (d *dir) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	if e := d.names[name]; e != nil {
		return e.inode, nil
	}
	return nil, unix.ENOENT
}

// Attr implements vfs.Inode.
func (d *dir) Attr(ctx vfs.Context) (vfs.Attr, error) {
	a, _ := d.node.Attr(ctx)
	a.Size = int64(len(d.names)+2) * entrySize
	return a, nil
}

// room reports whether another inode called name may be made in d.
func (d *dir) room(name string) error {
	switch {
	case d.nlink == 0:
		return unix.ENOENT
	case d.names[name] != nil:
		return unix.EEXIST
	case d.fs.inodes >= d.fs.opts.Inodes:
		return unix.ENOSPC
	}
	return nil
}

// Create implements vfs.Creator.
func (d *dir) Create(ctx vfs.Context, name string, mode uint32, rdev uint64, uid, gid uint32) (vfs.Inode, error) {
	if err := d.room(name); err != nil {
		return nil, err
	}
	var ino inode
	if mode&unix.S_IFMT == unix.S_IFREG {
		ino = &file{seals: unix.F_SEAL_SEAL}
	} else {
		ino = &special{}
	}
	n := ino.base()
	n.init(d.fs, ctx.Realtime(), mode, uid, gid)
	n.rdev = rdev
	d.add(name, ino)
	d.touch(ctx)
	return ino, nil
}

// Mkdir implements vfs.Mkdirer.
func (d *dir) Mkdir(ctx vfs.Context, name string, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	if err := d.room(name); err != nil {
		return nil, err
	}
	c := &dir{parent: d}
	c.init(d.fs, ctx.Realtime(), mode&0o7777|unix.S_IFDIR, uid, gid)
	c.nlink = 2
	d.nlink++
	d.add(name, c)
	d.touch(ctx)
	return c, nil
}

// Symlink implements vfs.Symlinker.
func (d *dir) Symlink(ctx vfs.Context, name, target string, uid, gid uint32) (vfs.Inode, error) {
	if err := d.room(name); err != nil {
		return nil, err
	}
	l := &link{target: target}
	l.init(d.fs, ctx.Realtime(), unix.S_IFLNK|0o777, uid, gid)
	d.add(name, l)
	d.touch(ctx)
	return l, nil
}

// Tmpfile implements vfs.Tmpfiler.
func (d *dir) Tmpfile(ctx vfs.Context, mode uint32, uid, gid uint32) (vfs.Inode, error) {
	if d.fs.inodes >= d.fs.opts.Inodes {
		return nil, unix.ENOSPC
	}
	f := &file{seals: unix.F_SEAL_SEAL}
	f.init(d.fs, ctx.Realtime(), mode&0o7777|unix.S_IFREG, uid, gid)
	f.nlink = 0
	return f, nil
}

// Link implements vfs.Linker.
func (d *dir) Link(ctx vfs.Context, name string, target vfs.Inode) error {
	t := target.(inode)
	switch {
	case d.nlink == 0:
		return unix.ENOENT
	case d.names[name] != nil:
		return unix.EEXIST
	}
	n := t.base()
	n.nlink++
	n.ctime = ctx.Realtime()
	d.add(name, t)
	d.touch(ctx)
	return nil
}

// Unlink implements vfs.Unlinker.
func (d *dir) Unlink(ctx vfs.Context, name string, child vfs.Inode) error {
	e := d.names[name]
	if e == nil || e.inode != child {
		return unix.ENOENT
	}
	n := e.inode.base()
	n.nlink--
	n.ctime = ctx.Realtime()
	d.remove(name)
	d.touch(ctx)
	return nil
}

// Rmdir implements vfs.Rmdirer.
func (d *dir) Rmdir(ctx vfs.Context, name string, child vfs.Inode) error {
	e := d.names[name]
	if e == nil || e.inode != child {
		return unix.ENOENT
	}
	c := e.inode.(*dir)
	if len(c.names) > 0 {
		return unix.ENOTEMPTY
	}
	c.nlink = 0
	c.ctime = ctx.Realtime()
	d.nlink--
	d.remove(name)
	d.touch(ctx)
	return nil
}

// Rename implements vfs.Renamer.
func (d *dir) Rename(ctx vfs.Context, old string, child vfs.Inode, to vfs.Inode, new string, replaced vfs.Inode, flags uint32) error {
	t := to.(*dir)
	e := d.names[old]
	if e == nil || e.inode != child {
		return unix.ENOENT
	}
	if t.nlink == 0 {
		return unix.ENOENT
	}
	r := t.names[new]
	if (r == nil) != (replaced == nil) || r != nil && r.inode != replaced {
		return unix.ENOENT
	}
	if flags&unix.RENAME_WHITEOUT != 0 && d.fs.inodes >= d.fs.opts.Inodes {
		return unix.ENOSPC
	}
	c := e.inode
	now := ctx.Realtime()
	if flags&unix.RENAME_EXCHANGE != 0 {
		o := r.inode
		e.inode, r.inode = o, c
		moved(c, d, t)
		moved(o, t, d)
		o.base().ctime = now
	} else {
		if r != nil {
			if rd, ok := r.inode.(*dir); ok {
				if len(rd.names) > 0 {
					return unix.ENOTEMPTY
				}
				rd.nlink = 0
				t.nlink--
			} else {
				r.inode.base().nlink--
			}
			r.inode.base().ctime = now
		}
		d.remove(old)
		if r != nil {
			t.remove(new)
		}
		t.add(new, c)
		moved(c, d, t)
		if flags&unix.RENAME_WHITEOUT != 0 {
			w := &special{}
			cred := ctx.Cred()
			w.init(d.fs, now, unix.S_IFCHR, cred.UID, cred.GID)
			d.add(old, w)
		}
	}
	c.base().ctime = now
	d.mtime, d.ctime = now, now
	t.mtime, t.ctime = now, now
	return nil
}

// moved tells a directory of its new parent.
func moved(ino inode, from, to *dir) {
	if c, ok := ino.(*dir); ok {
		from.nlink--
		to.nlink++
		c.parent = to
	}
}

// Open implements vfs.Opener: the directory serves its own descriptions.
func (d *dir) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) { return d, nil }

// Release implements vfs.Impl.
func (d *dir) Release(vfs.Context) {}

// ReadDir implements vfs.DirReader.
func (d *dir) ReadDir(ctx vfs.Context, f *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	if now := ctx.Realtime(); f.TouchAtime(d.atime, d.mtime, d.ctime, now) {
		d.atime = now
	}
	if pos < afterDot && !emit(vfs.DirEntry{Name: ".", Ino: d.ino, Type: unix.DT_DIR, Next: afterDot}) {
		return nil
	}
	if pos < afterDotDot && !emit(vfs.DirEntry{Name: "..", Ino: d.parent.ino, Type: unix.DT_DIR, Next: afterDotDot}) {
		return nil
	}
	i, _ := slices.BinarySearchFunc(d.list, pos, func(e *entry, pos int64) int { return int(min(max(e.cookie-pos, -1), 1)) })
	for _, e := range d.list[i:] {
		if e.inode == nil {
			continue
		}
		n := e.inode.base()
		if !emit(vfs.DirEntry{Name: e.name, Ino: n.ino, Type: uint8(n.mode & unix.S_IFMT >> 12), Next: e.cookie + 1}) {
			return nil
		}
	}
	return nil
}
