package vfs

import (
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Async is an open file that can tell of readiness by signals, O_ASYNC. What
// is due to be told is woken on the queue with wait.In, Out, Pri, Err or Hup;
// mask has those that concern f. When that happens differs from what poll is
// woken for: every write to a pipe is told, read or not.
type Async interface {
	Async(f *File) (q *wait.Queue, mask wait.Events)
}

// Owner is who gets SIGIO for a description, fcntl(2) F_SETOWN.
type Owner struct {
	Who       any // the kernel's: a thread, a process or a group; nil: nobody
	Signal    int // F_SETSIG; 0 = SIGIO, without more to tell
	UID, EUID uint32
}

// asyncEntry waits for what f's signals are to tell.
type asyncEntry struct {
	wait.Entry
	fd int
}

// SetAsync turns O_ASYNC on or off. on has tell called, with the descriptor
// that was last given here, for each thing to be told. It reports whether f
// can do so at all; the flag is only set if it can.
func (f *File) SetAsync(fd int, on bool, tell func(f *File, fd int, ev wait.Events)) bool {
	a, ok := f.Impl.(Async)
	switch {
	case !ok:
		return false
	case !on:
		f.Flags &^= unix.O_ASYNC
		if f.async != nil {
			f.async.Remove()
			f.async = nil
		}
		return true
	}
	f.Flags |= unix.O_ASYNC
	if f.async == nil {
		e := &asyncEntry{}
		e.Notify = func(_ *wait.Entry, ev wait.Events) bool {
			tell(f, e.fd, ev)
			return true
		}
		q, mask := a.Async(f)
		q.Add(&e.Entry, mask)
		f.async = e
	}
	f.async.fd = fd
	return true
}
