package mqueue

import (
	"fmt"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// open serves a description of a queue.
type open struct{ q *Queue }

// Of returns the queue that f is open on, or nil.
func Of(f *vfs.File) *Queue {
	if o, ok := f.Impl.(*open); ok {
		return o.q
	}
	return nil
}

// Release implements vfs.Impl.
func (o *open) Release(vfs.Context) {
	o.q.files--
	o.q.release()
}

// Owner is a context that knows whose notifications its are.
type Owner interface{ NotifyOwner() any }

// Flush implements vfs.Flusher: a process that closes the queue is told no
// more.
func (o *open) Flush(ctx vfs.Context, _ *vfs.File) error {
	if c, ok := ctx.(Owner); ok {
		o.q.Forget(c.NotifyOwner())
	}
	return nil
}

// Poll implements vfs.Poller.
func (o *open) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	q := o.q
	var ev wait.Events
	if len(q.messages) > 0 {
		ev |= wait.Readable
	}
	if len(q.messages) < q.max {
		ev |= wait.Writable
	}
	return ev, &q.poll
}

// Read implements vfs.Reader: not messages, but how many bytes of them there
// are, and who is to be told of the next.
func (o *open) Read(_ vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	n := o.q.notify
	if n == nil {
		n = &Notification{}
	}
	s := fmt.Sprintf("QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", o.q.bytes, n.Kind, n.Signal, n.PID)
	s = s[:min(len(s), statusSize-1)]
	if off >= int64(len(s)) {
		return 0, nil
	}
	return copy(p, s[off:]), nil
}

// Seek implements vfs.Seeker.
func (o *open) Seek(_ vfs.Context, f *vfs.File, off int64, whence int) (int64, error) {
	return vfs.SeekTo(f, off, whence, statusSize)
}

// Attr implements vfs.Inode.
func (q *Queue) Attr(vfs.Context) (vfs.Attr, error) { return q.attr, nil }

// Name implements vfs.Namer.
func (q *Queue) Name() string {
	if !q.linked {
		return "/" + q.name + " (deleted)"
	}
	return "/" + q.name
}

// SetAttr implements vfs.AttrSetter.
func (q *Queue) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&vfs.SetSize != 0 {
		return unix.EINVAL
	}
	if set&vfs.SetMode != 0 {
		q.attr.Mode = q.attr.Mode&unix.S_IFMT | a.Mode&0o7777
	}
	if set&vfs.SetUID != 0 {
		s := q.sys // what it costs stays with who has it
		s.used[q.attr.UID] -= q.cost
		s.used[a.UID] += q.cost
		q.attr.UID = a.UID
	}
	if set&vfs.SetGID != 0 {
		q.attr.GID = a.GID
	}
	return nil
}
