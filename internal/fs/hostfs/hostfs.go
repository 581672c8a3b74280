// Package hostfs is a directory of the host seen as a file system, read-write
// or read-only.
//
// Contract: guarded by the kernel lock, which is given up only while file data
// is read from disk and while fsync runs.
//
// # Confinement
//
// Nothing outside the directory can be reached. A host call is given a
// descriptor of a directory and one name in it, never a path: the name has no
// slash, is not "." or "..", and links are never followed (O_NOFOLLOW,
// AT_SYMLINK_NOFOLLOW), so it leads from a directory to what is in it or
// nowhere. What a name led to is compared, by device and inode number, with
// what the inode is expected to be, so that a name changed behind our back is
// ESTALE, not another file. The links that guests follow are text, resolved by
// the VFS in the guest's own tree.
//
// Nothing of the host but directories and regular files is ever opened: a
// device node is opened by its number in the guest's own registry, a fifo or
// socket is the guest kernel's (see vfs.Hooks).
//
// The tree includes what the host has mounted in it, except for the file
// systems through which the host's kernel and processes are reached (proc,
// sysfs, cgroup...): those are shown as empty directories.
package hostfs

import (
	"os"
	"path/filepath"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Options say how a directory is shown.
type Options struct {
	ReadOnly bool
	// Stable takes what was seen once as unchanging for as long as it is
	// cached: no revalidation, attributes from memory. For a read-only
	// tree that nobody is expected to change, such as an overlay's lower
	// layer. A file opened anew is looked at anew.
	Stable bool
	// Dev is the st_dev shown for the device that the directory is on; 0
	// shows the host's.
	Dev uint64
	// UIDs and GIDs say which of the guest's users the host's are; without
	// any they are the same. A host user that is not mapped is shown as
	// nobody, and a guest user that is not is EINVAL.
	UIDs, GIDs []IDMap
	// Descriptors is how many host descriptors may be kept open without
	// being in use; 0 is a quarter of RLIMIT_NOFILE, at most 512.
	Descriptors int
}

// FS is a directory of the host.
type FS struct {
	opts   Options
	root   entry
	dev    uint64 // the host's device that the directory is on
	inodes map[id]entry
	cache  cache
	rootfd *handle
	euid   int
	name   nameBuf // for the names given to the host's calls
	name2  nameBuf
	text   [unix.PathMax]byte // for links' texts and lists of attributes
}

// New opens a directory, or a single file, of the host. Links in path are
// followed. The file system holds host descriptors until Unmounted.
func New(path string, o Options) (*FS, error) {
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, err
	}
	fs := &FS{opts: o, inodes: make(map[id]entry), euid: os.Geteuid()}
	fs.cache.init(o.Descriptors)
	if err := fs.open(path); err != nil {
		fs.Unmounted()
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fs, nil
}

// open finds the root. A file is a name in its directory, which is kept but
// leads nowhere.
func (fs *FS) open(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	dirpath := path
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		dirpath = filepath.Dir(path)
	}
	fd, err := unix.Open(dirpath, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	top := &dir{}
	fs.rootfd = fs.cache.add(fd, &top.path)
	var stx unix.Statx_t
	if err := fs.statFD(fd, &stx); err != nil {
		return err
	}
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(fd, &sfs); err != nil {
		return err
	}
	if sfs.Type == unix.PROC_SUPER_MAGIC {
		// Through /proc/PID/mem a guest would get at this very process.
		return unix.EPERM
	}
	top.remote = isRemote(sfs.Type)
	fs.dev = idOf(&stx).dev
	top.init(fs, &stx)
	if dirpath == path {
		fs.root = fs.wrap(top)
		fs.inodes[top.id] = fs.root
		return nil
	}
	ino, err := top.lookup(filepath.Base(path))
	if err != nil {
		return err
	}
	fs.root = ino
	return fs.root.base().pin()
}

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return "hostfs" }

// ReadOnly implements vfs.ReadOnlyer.
func (fs *FS) ReadOnly() bool { return fs.opts.ReadOnly }

// Statfs implements vfs.FileSystem.
func (fs *FS) Statfs(vfs.Context) (unix.Statfs_t, error) {
	var s unix.Statfs_t
	err := unix.Fstatfs(fs.rootfd.fd, &s)
	// The flags are the guest's mount's, not the host's.
	s.Flags = 0
	return s, err
}

// Unmounted implements vfs.Unmounter: it closes every descriptor.
func (fs *FS) Unmounted() {
	for _, e := range fs.inodes {
		e.base().close()
	}
	if fs.rootfd != nil {
		fs.cache.put(fs.rootfd)
		fs.rootfd = nil
	}
	fs.cache.trim(0)
}

// HostFiles is how many host descriptors the file system has open.
func (fs *FS) HostFiles() int { return fs.cache.open }
