package vfs

import (
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Cred is who asks: the file-system identity of a task (credentials(7)).
type Cred struct {
	UID, GID uint32 // the fsuid and fsgid
	Groups   []uint32
	Caps     uint64 // effective capabilities, bit n is capability n
}

// Has reports whether capability c (unix.CAP_*) is effective.
func (c *Cred) Has(capability int) bool { return c.Caps>>capability&1 != 0 }

// InGroup reports whether gid is the group or a supplementary group.
func (c *Cred) InGroup(gid uint32) bool {
	if c.GID == gid {
		return true
	}
	for _, g := range c.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// Context is the caller of an operation: the task that sleeps when the
// operation waits, who it is, and what its files are created with.
type Context interface {
	wait.Task
	Cred() *Cred
	// Umask is the file mode creation mask.
	Umask() uint32
	// Realtime is the machine's wall clock, ns since the epoch: what
	// timestamps are taken from.
	Realtime() int64
	// FileSizeLimit is RLIMIT_FSIZE in bytes. Exceeding it is EFBIG; the
	// kernel adds SIGXFSZ.
	FileSizeLimit() uint64
	// PID is the calling process as the guest numbers it: for locks, SIGIO
	// and /proc/self.
	PID() int
	// TID is the calling thread.
	TID() int
}

// Attr is what stat(2) tells of an inode. Times are ns since the epoch.
type Attr struct {
	Dev, Ino, Nlink   uint64
	Mode              uint32 // S_IFMT and permission bits
	UID, GID          uint32
	Rdev              uint64
	Size              int64
	BlockSize, Blocks int64
	Atime, Mtime      int64
	Ctime, Btime      int64
}

// IsDir and the like tell the file's type from Mode.
func (a *Attr) IsDir() bool     { return a.Mode&unix.S_IFMT == unix.S_IFDIR }
func (a *Attr) IsRegular() bool { return a.Mode&unix.S_IFMT == unix.S_IFREG }
func (a *Attr) IsSymlink() bool { return a.Mode&unix.S_IFMT == unix.S_IFLNK }

// Inode is a file, directory, device... whatever a name leads to. What more
// it can do it says by the optional interfaces below; what it does not have
// is refused with the errno that Linux gives. Inodes are compared with ==.
type Inode interface {
	// Attr returns the inode's attributes.
	Attr(ctx Context) (Attr, error)
}

// The optional abilities of an inode. Permissions have been checked by the
// walk before any of these is called; names are single components, never
// "", "." or "..", never with a slash.
type (
	// Lookuper is a directory. A name that is not there is ENOENT.
	Lookuper interface {
		Lookup(ctx Context, name string) (Inode, error)
	}
	// Revalidator is a directory whose names change behind our back: asked
	// before a cached child is used; false drops it from the cache.
	Revalidator interface {
		Revalidate(ctx Context, name string, child Inode) bool
	}
	// Creator makes regular files, fifos, sockets and device nodes: mode
	// has the S_IFMT type (umask applied), owner as given. EEXIST if there.
	Creator interface {
		Create(ctx Context, name string, mode uint32, rdev uint64, uid, gid uint32) (Inode, error)
	}
	Mkdirer interface {
		Mkdir(ctx Context, name string, mode uint32, uid, gid uint32) (Inode, error)
	}
	Symlinker interface {
		Symlink(ctx Context, name, target string, uid, gid uint32) (Inode, error)
	}
	Linker interface {
		Link(ctx Context, name string, target Inode) error
	}
	// Unlinker removes a name that is not a directory.
	Unlinker interface {
		Unlink(ctx Context, name string, child Inode) error
	}
	// Rmdirer removes an empty directory (ENOTEMPTY).
	Rmdirer interface {
		Rmdir(ctx Context, name string, child Inode) error
	}
	// Renamer moves child, old in this directory, to new in dir, of the
	// same file system. replaced is what new leads to now, or nil. flags are
	// RENAME_NOREPLACE (already checked), _EXCHANGE, _WHITEOUT.
	Renamer interface {
		Rename(ctx Context, old string, child Inode, dir Inode, new string, replaced Inode, flags uint32) error
	}
	// Tmpfiler makes a file without a name (O_TMPFILE), linkable later.
	Tmpfiler interface {
		Tmpfile(ctx Context, mode uint32, uid, gid uint32) (Inode, error)
	}
	// Readlinker is a symbolic link.
	Readlinker interface {
		Readlink(ctx Context) (string, error)
	}
	// Jumper is a magic link (/proc/PID/fd/N, cwd, exe): following it goes
	// to the place itself, not to its text. The Path is borrowed from
	// whoever holds it: see File.Place.
	Jumper interface {
		Jump(ctx Context) (Path, error)
	}
	// AttrSetter changes attributes: only the fields that set names.
	AttrSetter interface {
		SetAttr(ctx Context, set AttrMask, a Attr) error
	}
	// Opener opens the file: what it returns serves the new description's
	// reads, writes and so on (see File.Impl). flags are O_*. Truncation
	// (O_TRUNC) has been done by SetAttr. A fifo or device without
	// Opener is opened by System.Hooks.
	Opener interface {
		Open(ctx Context, p Path, flags int) (Impl, error)
	}
	// Xattrer has extended attributes, xattr(7). The caller has checked
	// the name's class against permissions.
	Xattrer interface {
		Getxattr(ctx Context, name string) ([]byte, error) // ENODATA
		Setxattr(ctx Context, name string, value []byte, flags int) error
		Listxattr(ctx Context) ([]string, error)
		Removexattr(ctx Context, name string) error
	}
	// Watched is an inode that carries inotify marks and file locks.
	// Node (embed it) has it.
	Watched interface{ Extra() *Extra }
	// Evicter is told when the last reference (dentry or description) to an
	// inode is gone. One without names is gone for good; another may be
	// looked up again. It must not wait.
	Evicter interface{ Evict() }
)

// AttrMask names the attributes that SetAttr changes.
type AttrMask uint32

const (
	SetMode AttrMask = 1 << iota // permission bits only
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
	SetCtime
)

// FileSystem is what is mounted.
type FileSystem interface {
	Root() Inode
	// Type is the name in /proc/mounts ("tmpfs").
	Type() string
	// Statfs as statfs(2) has it.
	Statfs(ctx Context) (unix.Statfs_t, error)
}
