// Package pseudofs is the base of file systems whose contents are made up:
// /proc and /sys. Their directories are tables and functions, their files are
// text made when it is read.
//
// Contract: guarded by the kernel lock. Nothing here can be created or removed
// by its users; names that come and go are those of Live directories. A
// function may wait and fails with a unix.Errno.
package pseudofs

import (
	"hash/fnv"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

const blockSize = 4096

// FS is a file system of this kind. It implements vfs.FileSystem.
type FS struct {
	kind  string // "proc"
	magic int64  // of statfs(2)
	dev   uint64
	now   int64 // when it was made: the time of what has no time of its own
	root  vfs.Inode
}

// New returns a file system without a root, for SetRoot. kind is its type in
// /proc/mounts, magic that of statfs(2), now the wall clock in ns.
func New(kind string, magic int64, dev uint64, now int64) *FS {
	return &FS{kind: kind, magic: magic, dev: dev, now: now}
}

// SetRoot gives the file system its root directory.
func (fs *FS) SetRoot(dir vfs.Inode) { fs.root = dir }

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return fs.kind }

// Statfs implements vfs.FileSystem.
func (fs *FS) Statfs(vfs.Context) (unix.Statfs_t, error) {
	return unix.Statfs_t{Type: fs.magic, Bsize: blockSize, Frsize: blockSize, Namelen: unix.NAME_MAX,
		Fsid: unix.Fsid{Val: [2]int32{int32(fs.dev), int32(fs.dev >> 32)}}}, nil
}

// Ino makes an inode number of a name: the same whenever it is asked for, so
// that what is made anew at each lookup keeps its number. It fits what 32-bit
// programs have for it.
func Ino(name string) uint64 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return uint64(h.Sum32() | 1)
}

// Node is what every inode has. Embed it by way of Dir, File or Link.
type Node struct {
	vfs.Node
	FS    *FS
	Inode uint64
	Mode  uint32 // permissions; the type is added
	// Owner tells whose it is; nil is root.
	Owner func() (uid, gid uint32)
	Nlink uint64 // 0 is 1, of a directory 2
	Size  int64  // what stat tells
}

func (n *Node) perm(kind uint32) (mode, uid, gid uint32) {
	if n.Owner != nil {
		uid, gid = n.Owner()
	}
	return n.Mode&0o7777 | kind, uid, gid
}

func (n *Node) attr(kind uint32) (vfs.Attr, error) {
	mode, uid, gid := n.perm(kind)
	nlink := max(n.Nlink, 1)
	if kind == unix.S_IFDIR {
		nlink = max(n.Nlink, 2)
	}
	t := n.FS.now
	return vfs.Attr{Dev: n.FS.dev, Ino: n.Inode, Nlink: nlink, Mode: mode, UID: uid, GID: gid,
		Size: n.Size, BlockSize: blockSize, Atime: t, Mtime: t, Ctime: t}, nil
}

// Link is a symbolic link.
type Link struct {
	Node
	Text func(ctx vfs.Context) (string, error)
}

// Attr implements vfs.Inode.
func (l *Link) Attr(vfs.Context) (vfs.Attr, error) { return l.attr(unix.S_IFLNK) }

// PermFor implements vfs.CallerPermer.
func (l *Link) PermFor(vfs.Context) (mode, uid, gid uint32) { return l.perm(unix.S_IFLNK) }

// Readlink implements vfs.Readlinker.
func (l *Link) Readlink(ctx vfs.Context) (string, error) { return l.Text(ctx) }

// Magic is a link that leads to a place itself, whatever its text says.
type Magic struct {
	Link
	// To returns the place, borrowed from whoever holds it.
	To func(ctx vfs.Context) (vfs.Path, error)
}

// Jump implements vfs.Jumper.
func (m *Magic) Jump(ctx vfs.Context) (vfs.Path, error) { return m.To(ctx) }
