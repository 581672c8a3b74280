package vfs

import (
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Impl serves an open file. What it can do it says by the optional
// interfaces below: a read of a file without Reader is EINVAL, an ioctl
// without Ioctler ENOTTY, a poll without Poller always ready.
type Impl interface {
	// Release is called once, when the last descriptor, mapping and call
	// in progress have let go of the description.
	Release(ctx Context)
}

// File is an open file description, open(2): what descriptors point to and
// dup and fork share. Descriptors, mappings and calls in progress hold
// references.
type File struct {
	Path  Path  // zero for what has no name (pipes, sockets)
	Inode Inode // never nil
	Impl  Impl
	Flags int   // O_ACCMODE and the status flags (O_APPEND, O_NONBLOCK, ...)
	Pos   int64 // the offset, for files that have one
	Owner Owner // F_SETOWN, F_SETSIG

	refs int

	uncounted bool    // open for writing, but no hindrance to running it
	kind      uint32  // S_IFMT of Inode, when it has a place; regular for memfds
	extra     *Extra  // Inode's
	anon      *Dentry // stands for a nameless file's place, see Place
	pos       Mutex   // held by reads and writes that go by Pos

	hooks    *ReleaseHook // told of the end
	async    *asyncEntry  // O_ASYNC
	inFlight int          // of refs: those of messages
}

// NonBlocking reports whether O_NONBLOCK is set.
func (f *File) NonBlocking() bool { return f.Flags&unix.O_NONBLOCK != 0 }

// The optional abilities of an open file. Access mode has been checked.
// Buffers are kernel memory: the call layer copies to and from the guest.
type (
	// Reader reads at off; streams ignore off. 0 is end of file.
	// EAGAIN when f is NonBlocking and nothing is there.
	Reader interface {
		Read(ctx Context, f *File, p []byte, off int64) (int, error)
	}
	// Writer writes at off (the end when O_APPEND, which the Writer sees
	// to); short counts are allowed, with a nil error. Writing to a
	// closed pipe is EPIPE; the call layer adds the signal.
	Writer interface {
		Write(ctx Context, f *File, p []byte, off int64) (int, error)
	}
	// Appender is a Writer that tells where it wrote: after O_APPEND the
	// offset is the new end. Regular files have it.
	Appender interface {
		Append(ctx Context, f *File, p []byte) (n int, end int64, err error)
	}
	// Seeker has an offset. Without it lseek, pread and pwrite are ESPIPE.
	// It returns the new offset; the call layer stores it.
	Seeker interface {
		Seek(ctx Context, f *File, off int64, whence int) (int64, error)
	}
	// DirReader lists a directory from cookie pos (0 = start), calling
	// emit until it returns false. next is the cookie after this entry.
	// "." and ".." are the lister's to emit.
	DirReader interface {
		ReadDir(ctx Context, f *File, pos int64, emit func(e DirEntry) bool) error
	}
	// Poller has readiness, poll(2): what is ready now, and the queue
	// that is woken when that changes (nil: it never changes).
	Poller interface {
		Poll(ctx Context, f *File) (wait.Events, *wait.Queue)
	}
	// Ioctler serves ioctl(2). mem reads and writes the guest's memory.
	Ioctler interface {
		Ioctl(ctx Context, f *File, cmd uint32, arg uint64, mem Memory) (uint64, error)
	}
	// Syncer serves fsync and fdatasync.
	Syncer interface {
		Sync(ctx Context, f *File, dataOnly bool) error
	}
	// Allocator serves fallocate(2).
	Allocator interface {
		Allocate(ctx Context, f *File, mode uint32, off, n int64) error
	}
	// Mmapper can be mapped: HostFile returns a host descriptor, owned by
	// the file, whose pages are the file's pages. The mapping goes on
	// after the file is closed. writable asks for MAP_SHARED writing.
	// key is the same for the same pages as long as the machine lives.
	Mmapper interface {
		HostFile(ctx Context, f *File, writable bool) (fd int, key uint64, err error)
	}
	// Sealer has file seals, fcntl(2) F_GET_SEALS and F_ADD_SEALS.
	Sealer interface {
		Seals() (int, error)
		AddSeals(ctx Context, f *File, seals int) error
	}
	// Flusher is told of every close of a descriptor.
	Flusher interface {
		Flush(ctx Context, f *File) error
	}
	// FlagSetter wants to know of flags changing (F_SETFL).
	FlagSetter interface {
		SetFlags(ctx Context, f *File, flags int) error
	}
	// FDInfoer adds lines to /proc/PID/fdinfo/N.
	FDInfoer interface{ FDInfo(f *File) string }
)

// DirEntry is one name of a directory listing.
type DirEntry struct {
	Name string
	Ino  uint64
	Type uint8 // DT_*
	Next int64 // cookie of what follows
}

// Memory is the guest's memory as an ioctl sees it. EFAULT when not mapped.
type Memory interface {
	ReadMem(addr uint64, p []byte) error
	WriteMem(addr uint64, p []byte) error
}
