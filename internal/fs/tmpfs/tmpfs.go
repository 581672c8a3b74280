// Package tmpfs is a file system in memory: tmpfs(5). It serves /tmp and
// /dev/shm, the upper layer of overlays, memfds and shared memory.
//
// Contract: guarded by the kernel lock. No operation waits. What is allocated
// is bounded by the size given to New, whatever offsets a guest names.
package tmpfs

import (
	"fmt"
	"slices"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

const (
	pageShift = 12
	pageSize  = 1 << pageShift

	defaultSize   = 16 << 30
	defaultInodes = 1 << 20
)

// Options are the mount options.
type Options struct {
	Dev      uint64 // st_dev; see vfs.System.AnonymousDev
	Size     int64  // bytes; 0 is 16 GiB
	Inodes   int64  // 0 is 2²⁰
	Mode     uint32 // of the root; 0 is 01777
	UID, GID uint32 // of the root
	Budget   *Budget
}

// Budget bounds several file systems together. nil is no bound.
type Budget struct {
	Size int64 // bytes
	used int64 // pages
	all  []*FS
}

// Used is how many bytes are in use. What guests write through mappings is
// not held to the budget: it is counted now.
func (b *Budget) Used() int64 {
	for _, fs := range b.all {
		for _, f := range fs.hosts {
			f.countHost()
		}
	}
	return b.used << pageShift
}

// FS is one tmpfs.
type FS struct {
	opts   Options
	root   *dir
	ino    uint64  // the last given
	pages  int64   // in use
	inodes int64   // in use
	hosts  []*file // with a memfd, in the order they got it
}

// New returns an empty file system. now is the wall clock in ns.
func New(now int64, o Options) *FS {
	if o.Size <= 0 {
		o.Size = defaultSize
	}
	if o.Inodes <= 0 {
		o.Inodes = defaultInodes
	}
	if o.Mode == 0 {
		o.Mode = 0o1777
	}
	fs := &FS{opts: o}
	fs.root = &dir{}
	fs.root.parent = fs.root
	fs.root.init(fs, now, o.Mode&0o7777|unix.S_IFDIR, o.UID, o.GID)
	fs.root.nlink = 2
	if b := o.Budget; b != nil {
		b.all = append(b.all, fs)
	}
	return fs
}

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return "tmpfs" }

// Statfs implements vfs.FileSystem.
func (fs *FS) Statfs(vfs.Context) (unix.Statfs_t, error) {
	blocks := uint64(fs.opts.Size >> pageShift)
	free := uint64(max(fs.room(), 0))
	files := uint64(fs.opts.Inodes)
	return unix.Statfs_t{
		Type: unix.TMPFS_MAGIC, Bsize: pageSize, Frsize: pageSize, Namelen: unix.NAME_MAX,
		Blocks: blocks, Bfree: free, Bavail: free,
		Files: files, Ffree: files - min(files, uint64(fs.inodes)),
		Fsid: unix.Fsid{Val: [2]int32{int32(fs.opts.Dev), int32(fs.opts.Dev >> 32)}},
	}, nil
}

// Options implements vfs.Optioner.
func (fs *FS) Options() string {
	s := fmt.Sprintf("size=%dk,nr_inodes=%d", fs.opts.Size>>10, fs.opts.Inodes)
	if fs.opts.Mode != 0o1777 {
		s += fmt.Sprintf(",mode=%o", fs.opts.Mode)
	}
	return s
}

// Unmounted implements vfs.Unmounter: it closes the host's descriptors.
func (fs *FS) Unmounted() {
	for len(fs.hosts) > 0 {
		fs.hosts[0].free()
	}
	if b := fs.opts.Budget; b != nil {
		b.used -= fs.pages
		b.all = slices.DeleteFunc(b.all, func(o *FS) bool { return o == fs })
		fs.opts.Budget = nil
	}
}

// HostFiles is how many host descriptors the file system has open.
func (fs *FS) HostFiles() int { return len(fs.hosts) }

// room is how many pages more there may be; it may be negative.
func (fs *FS) room() int64 {
	n := fs.opts.Size>>pageShift - fs.pages
	if b := fs.opts.Budget; b != nil {
		n = min(n, b.Size>>pageShift-b.used)
	}
	return n
}

// takePages accounts for n more pages: ENOSPC. n may be negative.
func (fs *FS) takePages(n int64) error {
	if n > 0 && n > fs.room() {
		return unix.ENOSPC
	}
	fs.countPages(n)
	return nil
}

// countPages is takePages for pages that are there already.
func (fs *FS) countPages(n int64) {
	fs.pages += n
	if b := fs.opts.Budget; b != nil {
		b.used += n
	}
}

// node is what all inodes have.
type node struct {
	vfs.Node
	fs                         *FS
	ino, nlink, rdev           uint64
	mode, uid, gid             uint32
	atime, mtime, ctime, btime int64
	xattrs                     []xattr
}

func (n *node) init(fs *FS, now int64, mode, uid, gid uint32) {
	fs.ino++
	fs.inodes++
	n.fs, n.ino, n.nlink = fs, fs.ino, 1
	n.mode, n.uid, n.gid = mode, uid, gid
	n.atime, n.mtime, n.ctime, n.btime = now, now, now, now
}

func (n *node) base() *node { return n }

// Perm implements vfs.Permer.
func (n *node) Perm() (mode, uid, gid uint32) { return n.mode, n.uid, n.gid }

// Attr implements vfs.Inode, for what has no size.
func (n *node) Attr(vfs.Context) (vfs.Attr, error) {
	return vfs.Attr{
		Dev: n.fs.opts.Dev, Ino: n.ino, Nlink: n.nlink, Mode: n.mode, UID: n.uid, GID: n.gid, Rdev: n.rdev,
		BlockSize: pageSize, Atime: n.atime, Mtime: n.mtime, Ctime: n.ctime, Btime: n.btime,
	}, nil
}

// SetAttr implements vfs.AttrSetter, but for sizes.
func (n *node) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&vfs.SetMode != 0 {
		n.mode = n.mode&unix.S_IFMT | a.Mode&0o7777
	}
	if set&vfs.SetUID != 0 {
		n.uid = a.UID
	}
	if set&vfs.SetGID != 0 {
		n.gid = a.GID
	}
	if set&vfs.SetAtime != 0 {
		n.atime = a.Atime
	}
	if set&vfs.SetMtime != 0 {
		n.mtime = a.Mtime
	}
	if set&vfs.SetCtime != 0 {
		n.ctime = a.Ctime
	}
	return nil
}

// touch notes that the contents changed.
func (n *node) touch(ctx vfs.Context) {
	n.mtime = ctx.Realtime()
	n.ctime = n.mtime
}

// Evict implements vfs.Evicter.
func (n *node) Evict() {
	if n.nlink == 0 {
		n.fs.inodes--
	}
}

// inode is what directories hold.
type inode interface {
	vfs.Inode
	base() *node
}

// link is a symbolic link.
type link struct {
	node
	target string
}

// Readlink implements vfs.Readlinker.
func (l *link) Readlink(vfs.Context) (string, error) { return l.target, nil }

// Attr implements vfs.Inode.
func (l *link) Attr(ctx vfs.Context) (vfs.Attr, error) {
	a, _ := l.node.Attr(ctx)
	a.Size = int64(len(l.target))
	return a, nil
}

// special is a fifo, a socket or a device; the kernel opens it.
type special struct{ node }
