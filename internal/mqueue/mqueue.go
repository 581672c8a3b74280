// Package mqueue has POSIX message queues, mq_overview(7): named queues of
// messages that come out by priority. The names are the machine's own; no file
// system of them can be mounted.
//
// Contract: guarded by the kernel lock.
package mqueue

import (
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Limits, as Linux has them by default; PrioMax is MQ_PRIO_MAX.
const (
	PrioMax = 32768

	maxQueues       = 256
	maxMessages     = 10 // and as many where nothing is asked for
	maxSize         = 8192
	hardMaxMessages = 65536
	hardMaxSize     = 16 << 20
	maxName         = 255

	// maxHeld bounds what all queues hold together: it is our memory, and
	// who may raise RLIMIT_MSGQUEUE has no other bound.
	maxHeld = 256 << 20
)

// System is the queues of a machine. The zero System has none.
type System struct {
	names map[string]*Queue
	count int               // queues that have a name or are open
	held  int               // bytes of messages
	used  map[uint32]uint64 // what RLIMIT_MSGQUEUE counts, by user
	ino   uint64
}

// Queue is a message queue; it is its own inode.
type Queue struct {
	sys      *System
	name     string
	linked   bool
	files    int
	attr     vfs.Attr
	max      int // messages
	size     int // of a message, at most
	cost     uint64
	messages []message // the next first
	bytes    int

	senders, receivers []*waiter
	poll               wait.Queue
	notify             *Notification
}

type message struct {
	prio uint32
	data []byte
}

// waiter is a task that sleeps in Send or Receive.
type waiter struct {
	task  wait.Task
	m     message // to be sent, or received
	ready bool    // done by another
}

// Notification is what mq_notify(3) asked for: to be told, once, of a message
// that comes to an empty queue for which nobody waits.
type Notification struct {
	Owner   any // the process: one that closes the queue is told no more
	Fire    func(sender vfs.Context)
	Removed func() // taken back; or nil
	// What reading the queue's file shows.
	Kind, Signal, PID int
}

// mayName checks a name, which is without the slash that mq_open(3) wants.
func mayName(name string) error {
	switch {
	case name == "":
		return unix.ENOENT
	case name == "." || name == ".." || strings.Contains(name, "/"):
		return unix.EACCES
	case len(name) > maxName:
		return unix.ENAMETOOLONG
	}
	return nil
}

// Open is mq_open(2), but for the descriptor. max and size are the attributes
// that were given, or -1. limit is RLIMIT_MSGQUEUE.
func (s *System) Open(ctx vfs.Context, name string, flags int, mode uint32, max, size int64, limit uint64) (*vfs.File, error) {
	if err := mayName(name); err != nil {
		return nil, err
	}
	q := s.names[name]
	switch {
	case q == nil && flags&unix.O_CREAT == 0:
		return nil, unix.ENOENT
	case q == nil:
		var err error
		if q, err = s.create(ctx, name, mode, max, size, limit); err != nil {
			return nil, err
		}
	case flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL:
		return nil, unix.EEXIST
	case flags&unix.O_ACCMODE == unix.O_ACCMODE:
		return nil, unix.EINVAL
	default:
		const read, write = 4, 2
		want := [...]uint32{unix.O_RDONLY: read, unix.O_WRONLY: write, unix.O_RDWR: read | write}[flags&unix.O_ACCMODE]
		if !ctx.Cred().Allows(q.attr.Mode, q.attr.UID, q.attr.GID, want) {
			return nil, unix.EACCES
		}
	}
	q.files++
	return vfs.NewFile(vfs.Path{}, q, &open{q}, flags&(unix.O_ACCMODE|unix.O_NONBLOCK)), nil
}

func (s *System) create(ctx vfs.Context, name string, mode uint32, max, size int64, limit uint64) (*Queue, error) {
	cred := ctx.Cred()
	privileged := cred.Has(unix.CAP_SYS_RESOURCE)
	if s.count >= maxQueues && !privileged {
		return nil, unix.ENOSPC
	}
	if max < 0 && size < 0 {
		max, size = maxMessages, maxSize
	}
	mostMessages, mostSize := int64(maxMessages), int64(maxSize)
	if privileged {
		mostMessages, mostSize = hardMaxMessages, hardMaxSize
	}
	if max <= 0 || size <= 0 || max > mostMessages || size > mostSize {
		return nil, unix.EINVAL
	}
	// Linux counts its own structures too: 48 bytes each for a message and
	// for a priority.
	cost := uint64(max)*uint64(size) + uint64(max)*48 + min(uint64(max), PrioMax)*48
	if s.used[cred.UID]+cost > limit {
		return nil, unix.EMFILE
	}
	if s.names == nil {
		s.names, s.used = map[string]*Queue{}, map[uint32]uint64{}
	}
	s.used[cred.UID] += cost
	s.count++
	s.ino++
	now := ctx.Realtime()
	q := &Queue{sys: s, name: name, linked: true, max: int(max), size: int(size), cost: cost}
	q.attr = vfs.Attr{Dev: dev, Ino: s.ino, Nlink: 1, Mode: unix.S_IFREG | mode&0o7777&^ctx.Umask(), UID: cred.UID, GID: cred.GID,
		Size: statusSize, BlockSize: 4096, Atime: now, Mtime: now, Ctime: now, Btime: now}
	s.names[name] = q
	return q, nil
}

const (
	dev        = 16 // of the file system that queues would be in
	statusSize = 80
)

// Unlink is mq_unlink(2). The queue lives on while it is open.
func (s *System) Unlink(ctx vfs.Context, name string) error {
	if err := mayName(name); err != nil {
		return err
	}
	q := s.names[name]
	if q == nil {
		return unix.ENOENT
	}
	if c := ctx.Cred(); c.UID != q.attr.UID && !c.Has(unix.CAP_FOWNER) {
		return unix.EPERM // the directory of queues is sticky
	}
	delete(s.names, name)
	q.linked = false
	q.attr.Nlink = 0
	q.release()
	return nil
}

// release ends a queue that has neither a name nor a file.
func (q *Queue) release() {
	if q.linked || q.files > 0 {
		return
	}
	s := q.sys
	s.count--
	s.held -= q.bytes
	if s.used[q.attr.UID] -= q.cost; s.used[q.attr.UID] == 0 {
		delete(s.used, q.attr.UID)
	}
	q.messages = nil
}

// put queues a message behind those of its priority.
func (q *Queue) put(m message) {
	i := len(q.messages)
	for i > 0 && q.messages[i-1].prio < m.prio {
		i--
	}
	q.messages = slices.Insert(q.messages, i, m)
	q.bytes += len(m.data)
	q.sys.held += len(m.data)
}

// sleep waits in list until another has done what is asked for. ETIMEDOUT at
// the deadline (monotonic ns, 0 for none).
func (w *waiter) sleep(list *[]*waiter, deadline int64) error {
	*list = append(*list, w)
	for !w.ready {
		err := w.task.Sleep(deadline)
		if err == nil || w.ready {
			continue
		}
		*list = slices.DeleteFunc(*list, func(o *waiter) bool { return o == w })
		if err == wait.ErrTimedOut {
			return unix.ETIMEDOUT
		}
		return err
	}
	return nil
}

// first takes the waiter that has waited longest, nil if there is none.
func first(list *[]*waiter) *waiter {
	if len(*list) == 0 {
		return nil
	}
	w := (*list)[0]
	*list = slices.Delete(*list, 0, 1)
	return w
}

func (w *waiter) done() {
	w.ready = true
	w.task.Wakeup()
}

// Send adds a message, waiting for room unless f is non-blocking. data is
// kept. EMSGSIZE if it is longer than the queue takes.
func (q *Queue) Send(ctx vfs.Context, f *vfs.File, data []byte, prio uint32, deadline int64) error {
	m := message{prio, data}
	if q.sys.held+len(data) > maxHeld {
		return unix.ENOMEM
	}
	if len(q.messages) == q.max {
		if f.NonBlocking() {
			return unix.EAGAIN
		}
		w := &waiter{task: ctx, m: m}
		return w.sleep(&q.senders, deadline)
	}
	if w := first(&q.receivers); w != nil {
		w.m = m
		w.done()
		return nil
	}
	q.put(m)
	if n := q.notify; n != nil && len(q.messages) == 1 {
		q.notify = nil
		n.Fire(ctx)
	}
	q.poll.Wake(wait.Readable)
	return nil
}

// Receive takes the first message of the highest priority, waiting for one
// unless f is non-blocking.
func (q *Queue) Receive(ctx vfs.Context, f *vfs.File, deadline int64) (data []byte, prio uint32, err error) {
	if len(q.messages) == 0 {
		if f.NonBlocking() {
			return nil, 0, unix.EAGAIN
		}
		w := &waiter{task: ctx}
		if err := w.sleep(&q.receivers, deadline); err != nil {
			return nil, 0, err
		}
		return w.m.data, w.m.prio, nil
	}
	m := q.messages[0]
	q.messages = slices.Delete(q.messages, 0, 1)
	q.bytes -= len(m.data)
	q.sys.held -= len(m.data)
	if w := first(&q.senders); w != nil {
		q.put(w.m)
		w.done()
	} else {
		q.poll.Wake(wait.Writable)
	}
	return m.data, m.prio, nil
}

// MessageSize is the longest message that the queue takes, MaxMessages how
// many it holds, Len how many there are.
func (q *Queue) MessageSize() int { return q.size }
func (q *Queue) MaxMessages() int { return q.max }
func (q *Queue) Len() int         { return len(q.messages) }

// Notify sets what is to be told; EBUSY while another's is set.
func (q *Queue) Notify(n *Notification) error {
	if q.notify != nil {
		return unix.EBUSY
	}
	q.notify = n
	return nil
}

// Forget takes back what owner has asked to be told of.
func (q *Queue) Forget(owner any) {
	n := q.notify
	if n == nil || n.Owner != owner {
		return
	}
	q.notify = nil
	if n.Removed != nil {
		n.Removed()
	}
}
