package gofs

import (
	"hash/fnv"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// inode is a node of some kind.
type inode interface {
	vfs.Inode
	base() *node
}

// node is an inode: what has been looked up, as it was told then. A file
// system that can be written is asked for it anew each time.
type node struct {
	vfs.Node
	fs    *FS
	names []place          // known names, the one to be used first; none: it was removed
	kids  map[string]inode // of a directory: those in use
	attr  vfs.Attr         // as last told
	open  []*openFile      // by descriptions
	made  *handle          // opened when it was made, for who opens it first
	copy  vfs.Mutex        // held while a copy is made
	host  int              // a memfd with a copy, while it is mapped
	key   uint64           // not 0 once there is a copy
	dirty bool             // the copy may have been written
	busy  vfs.Mutex        // held while it is appended to
}

type place struct {
	dir  *node
	name string
}

// still is a file, link or directory of a file system that is not written;
// live is one of a file system that is, whose names may change behind our back.
// special is a fifo, a socket or a device: the kernel opens it.
type (
	still   struct{ node }
	live    struct{ node }
	special struct{ node }
)

func (n *node) base() *node { return n }

func (f *FS) newNode(mode uint32) inode {
	switch kind := mode & unix.S_IFMT; {
	case kind != unix.S_IFREG && kind != unix.S_IFDIR && kind != unix.S_IFLNK:
		return &special{node{fs: f}}
	case f.rw != nil:
		return &live{node{fs: f}}
	}
	return &still{node{fs: f}}
}

// path is the node's name in the Go file system: ESTALE if it has none.
func (n *node) path() (string, error) {
	if n == n.fs.root.base() {
		return ".", nil
	}
	var parts []string
	for n != n.fs.root.base() {
		if len(n.names) == 0 || len(parts) > unix.PathMax/2 {
			return "", unix.ESTALE
		}
		parts = append(parts, n.names[0].name)
		n = n.names[0].dir
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/"), nil
}

// below is the name of something in directory n.
func (n *node) below(name string) (string, error) {
	p, err := n.path()
	if err != nil || p == "." {
		return name, err
	}
	return p + "/" + name, nil
}

// number makes an inode number: the file system's own, or one of the name, the
// same whenever that is looked up.
func (f *FS) number(ino uint64, name string) uint64 {
	if ino != 0 {
		return ino
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// told is what a FileInfo says, read where it may be anybody's code.
type told struct {
	attr vfs.Attr
	ino  uint64 // the file system's own number; 0: it has none
	size int64
}

// tellOf reads a FileInfo.
func (f *FS) tellOf(info fs.FileInfo) *told {
	if info == nil {
		return nil
	}
	t := &told{size: info.Size()}
	a := &t.attr
	*a = vfs.Attr{
		Dev: f.opts.Dev, Nlink: 1, Mode: vfs.LinuxMode(info.Mode()), UID: f.opts.UID, GID: f.opts.GID,
		Size: t.size, BlockSize: blockSize, Blocks: (t.size + 511) / 512,
	}
	a.Mtime = nanos(info.ModTime())
	a.Atime, a.Ctime, a.Btime = a.Mtime, a.Mtime, a.Mtime
	switch s := info.Sys().(type) {
	case *fsys.Stat:
		if s == nil {
			break
		}
		t.ino, a.UID, a.GID, a.Rdev = s.Ino, s.UID, s.GID, s.Rdev
		a.Nlink = max(s.Nlink, 1)
		if s.Blocks > 0 || s.Blocks == 0 && a.Size == 0 {
			a.Blocks = s.Blocks
		}
		if !s.Atime.IsZero() {
			a.Atime = nanos(s.Atime)
		}
		if !s.Ctime.IsZero() {
			a.Ctime = nanos(s.Ctime)
		}
	case *syscall.Stat_t:
		if s == nil {
			break
		}
		t.ino, a.Nlink, a.UID, a.GID, a.Rdev, a.Blocks = s.Ino, s.Nlink, s.Uid, s.Gid, s.Rdev, s.Blocks
		a.Atime, a.Ctime = s.Atim.Nano(), s.Ctim.Nano()
	}
	return t
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// checked is what was told, if it can be.
func (f *FS) checked(t *told, err error, what, name string) (*told, error) {
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, f.lie("%s of %q returned neither a FileInfo nor an error", what, name)
	case t.size < 0:
		return nil, f.lie("%s of %q tells of %d bytes", what, name, t.size)
	}
	return t, nil
}

// lstat asks for a name.
func (f *FS) lstat(ctx vfs.Context, name string) (*told, error) {
	t, err := ask(f, ctx, "Lstat", func() (*told, error) {
		info, err := fs.Lstat(f.fsys, name)
		if err != nil {
			return nil, err
		}
		return f.tellOf(info), nil
	})
	return f.checked(t, err, "Lstat", name)
}

// take notes what was told of n. Its number stays what it was.
func (n *node) take(t *told) {
	ino, kind := n.attr.Ino, n.attr.Mode&unix.S_IFMT
	n.attr = t.attr
	n.attr.Ino = ino
	if kind != 0 {
		n.attr.Mode = n.attr.Mode&^unix.S_IFMT | kind
	}
}

// Attr implements vfs.Inode.
func (n *node) Attr(ctx vfs.Context) (vfs.Attr, error) {
	if n.fs.rw == nil {
		if n == n.fs.root.base() {
			return n.rootAttr(ctx)
		}
		return n.attr, nil
	}
	t, err := n.now(ctx)
	if err != nil {
		return vfs.Attr{}, err
	}
	if t != nil {
		n.take(t)
	}
	a := n.attr
	if len(n.names) == 0 && n != n.fs.root.base() {
		a.Nlink = 0
	}
	if n.key != 0 && n.dirty {
		// What was written through a mapping is not there yet, but it does
		// not change the size.
		a.Blocks = (a.Size + 511) / 512
	}
	return a, nil
}

// rootAttr asks for the root of a file system that is not written: once.
func (n *node) rootAttr(ctx vfs.Context) (vfs.Attr, error) {
	if n.attr.Btime == 0 {
		t, err := n.fs.lstat(ctx, ".")
		if err == nil && t.attr.IsDir() {
			n.take(t)
		}
		if n.attr.Btime == 0 {
			n.attr.Btime = 1 // asked
		}
	}
	return n.attr, nil
}

// now asks what n is now: by its name, or without one by a description of it.
func (n *node) now(ctx vfs.Context) (*told, error) {
	name, err := n.path()
	if err == nil {
		t, err := n.fs.lstat(ctx, name)
		other := err == unix.ENOENT || err == nil && !n.is(t) && n != n.fs.root.base()
		if !other {
			return t, err
		}
		if len(n.open) == 0 {
			return nil, unix.ESTALE
		}
	}
	for _, o := range n.open {
		return o.h.stat(ctx)
	}
	return nil, nil
}

// Perm implements vfs.Permer.
func (n *node) Perm() (mode, uid, gid uint32) { return n.attr.Mode, n.attr.UID, n.attr.GID }

// Lookup implements vfs.Lookuper.
func (n *node) Lookup(ctx vfs.Context, name string) (vfs.Inode, error) {
	if n.attr.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, unix.ENOTDIR
	}
	if c := n.kids[name]; c != nil && n.fs.rw == nil {
		return c, nil
	}
	full, err := n.below(name)
	if err != nil {
		return nil, err
	}
	if n.fs.rw == nil && !fs.ValidPath(full) {
		return nil, unix.ENOENT
	}
	t, err := n.fs.lstat(ctx, full)
	if err != nil {
		return nil, err
	}
	return n.child(name, t), nil
}

// child is the node of a name in directory n of which t was told.
func (n *node) child(name string, t *told) inode {
	f := n.fs
	if c := n.kids[name]; c != nil {
		if c.base().is(t) {
			c.base().take(t)
			return c
		}
		c.base().unname(n, name)
	}
	isDir := t.attr.IsDir()
	if t.ino != 0 && !isDir {
		if c := f.inos[t.ino]; c != nil && c.base().is(t) {
			c.base().name(n, name, c)
			c.base().take(t)
			return c
		}
	}
	c := f.newNode(t.attr.Mode)
	b := c.base()
	b.attr = t.attr
	full, _ := n.below(name)
	b.attr.Ino = f.number(t.ino, full)
	for t.ino == 0 && f.inos[b.attr.Ino] != nil {
		f.odd++ // a file that was renamed has taken its number along
		b.attr.Ino += f.odd
	}
	f.inos[b.attr.Ino] = c
	b.name(n, name, c)
	return c
}

// is reports whether what was told can be of n.
func (n *node) is(t *told) bool {
	return n.attr.Mode&unix.S_IFMT == t.attr.Mode&unix.S_IFMT && (t.ino == 0 || t.ino == n.attr.Ino)
}

// name gives n, that is self, a name, which is used from now on.
func (n *node) name(dir *node, s string, self inode) {
	n.dropName(dir, s)
	s = strings.Clone(s)
	n.names = slices.Insert(n.names, 0, place{dir, s})
	if dir.kids == nil {
		dir.kids = make(map[string]inode)
	}
	dir.kids[s] = self
}

// unname takes a name away.
func (n *node) unname(dir *node, s string) {
	if c := dir.kids[s]; c != nil && c.base() == n {
		delete(dir.kids, s)
	}
	n.dropName(dir, s)
}

func (n *node) dropName(dir *node, s string) {
	n.names = slices.DeleteFunc(n.names, func(p place) bool { return p.dir == dir && p.name == s })
}

// Revalidate implements vfs.Revalidator.
func (n *live) Revalidate(ctx vfs.Context, name string, child vfs.Inode) bool {
	full, err := n.below(name)
	if err != nil {
		return true // the directory is gone, and so is all in it
	}
	t, err := n.fs.lstat(ctx, full)
	c := child.(inode).base()
	if err == unix.EINTR || err == unix.EIO {
		return true // whoever goes on will see
	}
	if err != nil || !c.is(t) {
		c.unname(&n.node, name)
		return false
	}
	c.take(t)
	return true
}

// Readlink implements vfs.Readlinker.
func (n *node) Readlink(ctx vfs.Context) (string, error) {
	if n.attr.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	name, err := n.path()
	if err != nil {
		return "", err
	}
	target, err := ask(n.fs, ctx, "ReadLink", func() (string, error) { return fs.ReadLink(n.fs.fsys, name) })
	if err == nil && (len(target) >= unix.PathMax || strings.IndexByte(target, 0) >= 0) {
		return "", n.fs.lie("ReadLink of %q returned a target of %d bytes that cannot be one", name, len(target))
	}
	return target, err
}

// Evict implements vfs.Evicter.
func (n *node) Evict() {
	if len(n.open) > 0 || n == n.fs.root.base() {
		return
	}
	n.forget()
}

// forget ends a node that nobody uses.
func (n *node) forget() {
	n.closeCopy()
	if c := n.fs.inos[n.attr.Ino]; c != nil && c.base() == n {
		delete(n.fs.inos, n.attr.Ino)
	}
	for _, p := range n.names {
		if c := p.dir.kids[p.name]; c != nil && c.base() == n {
			delete(p.dir.kids, p.name)
		}
	}
}

// Getxattr implements vfs.Xattrer.
func (n *node) Getxattr(ctx vfs.Context, attr string) ([]byte, error) {
	x, ok := n.fs.fsys.(fsys.GetxattrFS)
	if !ok {
		return nil, unix.EOPNOTSUPP
	}
	name, err := n.path()
	if err != nil {
		return nil, unix.ENODATA
	}
	v, err := ask(n.fs, ctx, "Getxattr", func() ([]byte, error) { return x.Getxattr(name, attr) })
	if err == nil && len(v) > maxXattr {
		return nil, n.fs.lie("Getxattr of %q returned %d bytes", name, len(v))
	}
	return v, err
}

// Listxattr implements vfs.Xattrer.
func (n *node) Listxattr(ctx vfs.Context) ([]string, error) {
	x, ok := n.fs.fsys.(fsys.ListxattrFS)
	if !ok {
		return nil, nil
	}
	name, err := n.path()
	if err != nil {
		return nil, nil
	}
	names, err := ask(n.fs, ctx, "Listxattr", func() ([]string, error) { return x.Listxattr(name) })
	if err != nil {
		return nil, err
	}
	size, kept := 0, make([]string, 0, len(names))
	for _, s := range names {
		if size += len(s) + 1; s == "" || len(s) > unix.NAME_MAX || strings.IndexByte(s, 0) >= 0 || size > maxXattr {
			return nil, n.fs.lie("Listxattr of %q returned a list with %.40q in it that cannot be one", name, s)
		}
		kept = append(kept, s)
	}
	return kept, nil
}

const maxXattr = 64 << 10
