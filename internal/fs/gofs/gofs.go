// Package gofs mounts any Go file system (io/fs.FS) read-only.
//
// Contract: guarded by the kernel lock. What the Go file system is asked may
// wait, and may be anybody's code: it runs by Offload, one call at a time for
// an open file, and a panic in it is EIO.
package gofs

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// FS is a mounted Go file system.
type FS struct {
	fsys  fs.FS
	dev   uint64
	nodes map[string]*node // those in use, by name, so that each has one inode
	root  *node
}

// New returns fsys as a file system; dev is its st_dev.
func New(fsys fs.FS, dev uint64) *FS {
	f := &FS{fsys: fsys, dev: dev, nodes: make(map[string]*node)}
	f.root = &node{fs: f, name: ".", mode: unix.S_IFDIR | 0o555}
	f.nodes["."] = f.root
	return f
}

// Root implements vfs.FileSystem.
func (f *FS) Root() vfs.Inode { return f.root }

// Type implements vfs.FileSystem.
func (f *FS) Type() string { return "gofs" }

// ReadOnly implements vfs.ReadOnlyer.
func (f *FS) ReadOnly() bool { return true }

// Statfs implements vfs.FileSystem: sizes are not known.
func (f *FS) Statfs(vfs.Context) (unix.Statfs_t, error) {
	return unix.Statfs_t{Type: unix.RAMFS_MAGIC, Bsize: blockSize, Frsize: blockSize, Namelen: unix.NAME_MAX}, nil
}

// Unmounted implements vfs.Unmounter.
func (f *FS) Unmounted() {
	for _, n := range f.nodes {
		n.closeHost()
	}
}

const blockSize = 4096

// outside runs do where waiting harms nobody, and turns its error into an
// errno.
func outside(ctx vfs.Context, do func() error) error {
	var err error
	ctx.Offload(func() {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic in a Go file system: %v", r)
			}
		}()
		err = do()
	})
	return errno(err)
}

// errno is the error number nearest to what a Go file system reported.
func errno(err error) error {
	var e unix.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, fs.ErrPermission):
		return unix.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return unix.EINVAL
	}
	return unix.EIO
}

// node is an inode: a name of the Go file system and what was said of it
// when it was looked up.
type node struct {
	vfs.Node
	fs    *FS
	name  string
	mode  uint32
	size  int64
	mtime int64
	host  int    // a memfd with a copy, for mappings; -1 and 0: none
	key   uint64 // not 0 once there is a copy
	copy  vfs.Mutex
}

// typeOf maps the type of a Go file mode.
func typeOf(m fs.FileMode) uint32 {
	switch m.Type() {
	case fs.ModeDir:
		return unix.S_IFDIR
	case fs.ModeSymlink:
		return unix.S_IFLNK
	case fs.ModeNamedPipe:
		return unix.S_IFIFO
	case fs.ModeSocket:
		return unix.S_IFSOCK
	case fs.ModeDevice:
		return unix.S_IFBLK
	case fs.ModeDevice | fs.ModeCharDevice, fs.ModeCharDevice:
		return unix.S_IFCHR
	}
	return unix.S_IFREG
}

func modeOf(m fs.FileMode) uint32 {
	mode := typeOf(m) | uint32(m.Perm())
	for _, b := range []struct {
		goBit fs.FileMode
		bit   uint32
	}{{fs.ModeSetuid, unix.S_ISUID}, {fs.ModeSetgid, unix.S_ISGID}, {fs.ModeSticky, unix.S_ISVTX}} {
		if m&b.goBit != 0 {
			mode |= b.bit
		}
	}
	return mode
}

// ino makes an inode number of a name, the same whenever it is looked up.
func ino(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// Attr implements vfs.Inode.
func (n *node) Attr(vfs.Context) (vfs.Attr, error) {
	return vfs.Attr{
		Dev: n.fs.dev, Ino: ino(n.name), Nlink: 1, Mode: n.mode, Size: n.size,
		BlockSize: blockSize, Blocks: (n.size + 511) / 512, Atime: n.mtime, Mtime: n.mtime, Ctime: n.mtime, Btime: n.mtime,
	}, nil
}

// Perm implements vfs.Permer.
func (n *node) Perm() (mode, uid, gid uint32) { return n.mode, 0, 0 }

// Lookup implements vfs.Lookuper.
func (n *node) Lookup(ctx vfs.Context, name string) (vfs.Inode, error) {
	if n.mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, unix.ENOTDIR
	}
	full := path.Join(n.name, name)
	if c := n.fs.nodes[full]; c != nil {
		return c, nil
	}
	if !fs.ValidPath(full) {
		return nil, unix.ENOENT
	}
	var info fs.FileInfo
	err := outside(ctx, func() (err error) {
		info, err = fs.Lstat(n.fs.fsys, full)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &node{fs: n.fs, name: full, mode: modeOf(info.Mode()), size: info.Size()}
	if t := info.ModTime(); !t.IsZero() {
		c.mtime = t.UnixNano()
	}
	n.fs.nodes[full] = c
	return c, nil
}

// Readlink implements vfs.Readlinker.
func (n *node) Readlink(ctx vfs.Context) (string, error) {
	if n.mode&unix.S_IFMT != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	var target string
	err := outside(ctx, func() (err error) {
		target, err = fs.ReadLink(n.fs.fsys, n.name)
		return err
	})
	return target, err
}

// Evict implements vfs.Evicter.
func (n *node) Evict() {
	n.closeHost()
	if n != n.fs.root {
		delete(n.fs.nodes, n.name)
	}
}
