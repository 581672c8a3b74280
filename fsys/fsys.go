// Package fsys has file systems that programs in a machine can write to: what
// package io/fs is for reading. A machine mounts any fs.FS (sysemu.WithFS);
// one that is an [FS] can be written.
//
// An implementation begins with OpenFile and adds, one method at a time, what
// it can do: [MkdirFS], [RemoveFS], [RenameFS] and so on. What it lacks gets
// programs the error that Linux gives on such file systems. The methods have
// the names and the meaning of those of [os.Root], so that a directory of the
// host is one of the shortest implementations ([Dir]); [Mem] is one in memory.
// Package fstest tests any implementation.
//
// # Names
//
// Names are those of io/fs: slash-separated, without ".", ".." or empty
// components, "." being the root. Beyond io/fs they may have any bytes but NUL:
// Linux's names need not be UTF-8. Links have been followed before a file
// system is asked: a name leads through directories only, and to what is there
// itself.
//
// # Calls
//
// A method may take its time: it runs on a goroutine of its own, and only the
// program that asks waits. Methods may be called concurrently. A program that
// is killed does not wait any longer; what the method returns then is dropped
// (a file is closed). A panic, and an answer that cannot be, such as more bytes
// than were asked for, is EIO to the program and goes to the machine's log.
//
// # Errors
//
// An error that is or wraps a [syscall.Errno] is what the program sees. So are
// the errors of io/fs: ErrNotExist is ENOENT, ErrExist EEXIST, ErrPermission
// EACCES, ErrInvalid EINVAL, [errors.ErrUnsupported] EOPNOTSUPP. Any other is
// EIO.
package fsys

import (
	"io"
	"io/fs"
	"time"
)

// FS is a file system that can be written.
type FS interface {
	fs.FS // Open opens for reading, directories too

	// OpenFile opens a regular file. flag is os.O_RDONLY, O_WRONLY or
	// O_RDWR, with os.O_CREATE|O_EXCL for a file that is to be made, of
	// mode perm, and with os.O_TRUNC; never with O_APPEND. A file that is
	// made can be written whatever perm says.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
}

// File is an open regular file. It is used by concurrent calls. It goes on when
// its name is removed or leads to another file. It may be a [Truncater] and a
// [Syncer], too.
type File interface {
	fs.File
	io.ReaderAt
	io.WriterAt // lengthens the file; what is between is zero
}

// Truncater is a File that can be cut or lengthened: ftruncate(2).
type Truncater interface{ Truncate(size int64) error }

// Syncer is a File whose contents can be made permanent: fsync(2).
type Syncer interface{ Sync() error }

// What an FS may do beyond opening files. A method says in its comment what
// programs get without it.
type (
	// MkdirFS makes directories. Without it mkdir(2) is EPERM.
	MkdirFS interface {
		Mkdir(name string, perm fs.FileMode) error
	}
	// RemoveFS removes a file, link or empty directory (ENOTEMPTY).
	// Without it unlink(2) and rmdir(2) are EPERM.
	RemoveFS interface {
		Remove(name string) error
	}
	// RenameFS is rename(2): what newname leads to is replaced. Without it
	// EPERM. RENAME_EXCHANGE and RENAME_WHITEOUT are EINVAL.
	RenameFS interface {
		Rename(oldname, newname string) error
	}
	// SymlinkFS makes symbolic links; it is to be an fs.ReadLinkFS, too.
	// Without it symlink(2) is EPERM.
	SymlinkFS interface {
		Symlink(target, name string) error
	}
	// LinkFS makes hard links. Its FileInfos should have Stat's Ino and
	// Nlink. Without it link(2) is EPERM.
	LinkFS interface {
		Link(oldname, newname string) error
	}
	// MknodFS makes fifos, sockets and devices, which the machine serves:
	// mode has the type, dev is as in stat(2). Without it mknod(2) is EPERM.
	MknodFS interface {
		Mknod(name string, mode fs.FileMode, dev uint64) error
	}
	// ChmodFS changes permissions, with fs.ModeSetuid, ModeSetgid and
	// ModeSticky. Without it chmod(2) is EPERM, as on vfat.
	ChmodFS interface {
		Chmod(name string, mode fs.FileMode) error
	}
	// LchownFS changes owners; -1 leaves one as it is. Files that are made
	// are given to who made them by it. Without it chown(2) to another
	// owner is EPERM.
	LchownFS interface {
		Lchown(name string, uid, gid int) error
	}
	// ChtimesFS changes times, of a link itself; a zero time is left as it
	// is. Without it utimensat(2) is EPERM.
	ChtimesFS interface {
		Chtimes(name string, atime, mtime time.Time) error
	}
	// TruncateFS cuts or lengthens a file by name. Without it a file is
	// opened, and must be a Truncater, or made empty by os.O_TRUNC; else
	// EPERM.
	TruncateFS interface {
		Truncate(name string, size int64) error
	}
	// StatfsFS tells how much room there is. Without it statfs(2) says 0.
	StatfsFS interface {
		Statfs() (Usage, error)
	}
	// GetxattrFS and its kin have extended attributes, xattr(7). What is
	// not there is ENODATA. Without them EOPNOTSUPP.
	GetxattrFS interface {
		Getxattr(name, attr string) ([]byte, error)
	}
	// SetxattrFS sets one; flags are XATTR_CREATE and XATTR_REPLACE.
	SetxattrFS interface {
		Setxattr(name, attr string, value []byte, flags int) error
	}
	// ListxattrFS lists their names.
	ListxattrFS interface {
		Listxattr(name string) ([]string, error)
	}
	// RemovexattrFS removes one.
	RemovexattrFS interface {
		Removexattr(name, attr string) error
	}
	// QuickFS is an fs.FS that answers at once, whatever it is asked: from
	// memory, never waiting for anybody. If Quick returns true it is called
	// directly, which saves a program the way to another goroutine and
	// back; the machine stands still meanwhile.
	QuickFS interface {
		Quick() bool
	}
	// UnmountedFS is told that a machine is done with it. What it still waits
	// for then, nobody waits for any more.
	UnmountedFS interface {
		Unmounted()
	}
)

// Usage is what statfs(2) tells of a file system.
type Usage struct {
	BlockSize           int64  // bytes
	Blocks, Free, Avail uint64 // in blocks; Avail is for unprivileged users
	Files, FilesFree    uint64
	NameMax             int // longest name; 0 is 255
}

// Stat is what a FileInfo's Sys may return, as a *Stat, to tell what io/fs has
// no room for. A *syscall.Stat_t, as package os has it, is understood as well.
// Without either a file has no number that lasts, one name, the time of its
// last change for all its times, and it belongs to the user that programs run
// as, or when it cannot be written to root.
type Stat struct {
	Ino      uint64 // the same for all names of a file; 0: none
	Nlink    uint64 // how many names it has; 0 is 1
	UID, GID uint32
	Rdev     uint64 // of a device
	Blocks   int64  // of 512 bytes, that are really taken; 0: as the size says
	Atime    time.Time
	Ctime    time.Time
}
