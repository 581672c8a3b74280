package kernel

import (
	"encoding/binary"
	"slices"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// listener serves the descriptor that SECCOMP_FILTER_FLAG_NEW_LISTENER gives,
// seccomp_unotify(2): whoever holds it decides on the calls for which the
// filter says USER_NOTIF, while their tasks wait.
type listener struct {
	filter  *seccompFilter
	nextID  uint64
	unasked int // calls that were announced, less those RECV has answered to
	waiting []*notification
	queue   wait.Queue
}

// notification is a call that waits for the listener's word.
type notification struct {
	task  *Task
	id    uint64
	data  abi.SeccompData
	state notifyState

	// The answer.
	val   int64
	errno int32 // as it goes into the register: negative for an error
	run   bool
}

type notifyState uint8

const (
	notifyNew notifyState = iota
	notifySent
	notifyReplied
)

// askListener waits for the listener's decision on the call d.
func (t *Task) askListener(f *seccompFilter, d *abi.SeccompData) (run bool) {
	l := f.listener
	if l == nil {
		t.th.SetResult(errnoResult(unix.ENOSYS))
		return false
	}
	n := &notification{task: t, id: l.nextID, data: *d}
	l.nextID++
	l.waiting = append(l.waiting, n)
	l.unasked++
	l.queue.Wake(wait.Readable)
	err := n.wait(f.killable)
	l.waiting = slices.DeleteFunc(l.waiting, func(o *notification) bool { return o == n })
	switch {
	case err != nil:
		t.finish(0, err)
	case n.run:
		return true
	case n.errno != 0:
		t.th.SetResult(uint64(int64(n.errno)))
	default:
		t.th.SetResult(uint64(n.val))
	}
	return false
}

// wait sleeps until there is an answer. A signal ends that, and the call is
// made again or not, as if it had been interrupted itself; but where killable
// says so, not once the listener has seen it.
func (n *notification) wait(killable bool) error {
	for n.state != notifyReplied {
		if killable && n.state == notifySent {
			if err := n.task.SleepKillable(); err != nil && n.state != notifyReplied {
				return err
			}
			continue
		}
		if err := n.task.Sleep(0); err != nil && n.state != notifyReplied && !(killable && n.state == notifySent) {
			return err
		}
	}
	return nil
}

func (n *notification) reply() {
	n.state = notifyReplied
	n.task.Wakeup()
}

// newListener makes the description for a filter's listener.
func (k *Kernel) newListener(f *seccompFilter) *vfs.File {
	var id [8]byte
	k.random.Read(id[:])
	l := &listener{filter: f, nextID: binary.NativeEndian.Uint64(id[:])}
	f.listener = l
	return vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:seccomp notify"), l, unix.O_RDWR)
}

// Release implements vfs.Impl: without a listener the calls do not exist.
func (l *listener) Release(vfs.Context) {
	l.filter.listener = nil
	for _, n := range l.waiting {
		if n.state != notifyReplied {
			n.errno = -int32(unix.ENOSYS)
			n.reply()
		}
	}
}

// orphaned tells that no task has the filter any more, nor can get it.
func (l *listener) orphaned() { l.queue.Wake(wait.Hup) }

// Poll implements vfs.Poller: readable when a call is to be received,
// writable when an answer is due.
func (l *listener) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	var ev wait.Events
	for _, n := range l.waiting {
		switch n.state {
		case notifyNew:
			ev |= wait.Readable
		case notifySent:
			ev |= wait.Writable
		}
	}
	if l.filter.users == 0 {
		ev |= wait.Hup
	}
	return ev, &l.queue
}

func (l *listener) find(id uint64) *notification {
	for _, n := range l.waiting {
		if n.id == id {
			return n
		}
	}
	return nil
}

// What the listener's ioctls pass, <linux/seccomp.h>.
type (
	seccompNotif struct {
		ID         uint64
		PID, Flags uint32
		Data       abi.SeccompData
	}
	seccompNotifResp struct {
		ID    uint64
		Val   int64
		Error int32
		Flags uint32
	}
	seccompNotifAddFD struct {
		ID                uint64
		Flags             uint32
		SrcFD             int32
		NewFD, NewFDFlags uint32
	}
)

// notifIDValidWrong is SECCOMP_IOCTL_NOTIF_ID_VALID as it was defined at
// first, with the wrong direction.
const notifIDValidWrong = 0x80082102

// Ioctl implements vfs.Ioctler.
func (l *listener) Ioctl(ctx vfs.Context, _ *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	t := ctx.(*Task)
	switch cmd {
	case unix.SECCOMP_IOCTL_NOTIF_RECV:
		return 0, l.receive(t, arg, mem)
	case unix.SECCOMP_IOCTL_NOTIF_SEND:
		return 0, l.send(arg, mem)
	case unix.SECCOMP_IOCTL_NOTIF_ID_VALID, notifIDValidWrong:
		var id uint64
		if err := mem.ReadMem(arg, asBytes(&id)); err != nil {
			return 0, err
		}
		if n := l.find(id); n == nil || n.state != notifySent {
			return 0, unix.ENOENT
		}
		return 0, nil
	case unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS:
		if arg&^unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP != 0 {
			return 0, unix.EINVAL
		}
		return 0, nil // where who is woken runs is no matter here
	}
	// The size in the number of ADDFD is how much the caller knows.
	const size = 0x3fff << 16
	const direction = 3 << 30
	if cmd&^(size|direction) == unix.SECCOMP_IOCTL_NOTIF_ADDFD&^(size|direction) {
		n, err := l.addFD(t, arg, int(cmd&size>>16), mem)
		return uint64(n), err
	}
	return 0, unix.EINVAL
}

// receive is SECCOMP_IOCTL_NOTIF_RECV: it waits for a call, whether or not the
// description is non-blocking. ENOENT when it has gone meanwhile.
func (l *listener) receive(t *Task, arg uint64, mem vfs.Memory) error {
	var out seccompNotif
	if err := mem.ReadMem(arg, asBytes(&out)); err != nil {
		return err
	}
	if out != (seccompNotif{}) {
		return unix.EINVAL
	}
	ready := func() bool { return l.unasked > 0 || l.filter.users == 0 }
	if err := l.queue.Until(t, wait.Readable, 0, ready); err != nil {
		return err
	}
	if l.unasked > 0 && l.filter.users > 0 {
		l.unasked--
	}
	i := slices.IndexFunc(l.waiting, func(n *notification) bool { return n.state == notifyNew })
	if i < 0 {
		return unix.ENOENT
	}
	n := l.waiting[i]
	out = seccompNotif{ID: n.id, PID: uint32(n.task.tid), Data: n.data}
	if err := mem.WriteMem(arg, asBytes(&out)); err != nil {
		l.unasked++ // it can still be received
		return err
	}
	n.state = notifySent
	l.queue.Wake(wait.Writable)
	return nil
}

// sent is a call that the listener has received and not decided on.
func (l *listener) sent(id uint64) (*notification, error) {
	n := l.find(id)
	if n == nil {
		return nil, unix.ENOENT
	}
	if n.state != notifySent {
		return nil, unix.EINPROGRESS
	}
	return n, nil
}

// send is SECCOMP_IOCTL_NOTIF_SEND: the decision.
func (l *listener) send(arg uint64, mem vfs.Memory) error {
	var r seccompNotifResp
	if err := mem.ReadMem(arg, asBytes(&r)); err != nil {
		return err
	}
	run := r.Flags&unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE != 0
	if r.Flags&^unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE != 0 || run && (r.Error != 0 || r.Val != 0) {
		return unix.EINVAL
	}
	n, err := l.sent(r.ID)
	if err != nil {
		return err
	}
	n.val, n.errno, n.run = r.Val, r.Error, run
	n.reply()
	return nil
}

// addFD is SECCOMP_IOCTL_NOTIF_ADDFD: a descriptor for the task that waits,
// as if it had opened it. On Linux that task installs it itself; since it
// waits, nobody can tell.
func (l *listener) addFD(t *Task, arg uint64, size int, mem vfs.Memory) (int, error) {
	var a seccompNotifAddFD
	known := len(asBytes(&a))
	if size < known || size >= 4096 {
		return 0, unix.EINVAL
	}
	raw := make([]byte, size)
	if err := mem.ReadMem(arg, raw); err != nil {
		return 0, err
	}
	copy(asBytes(&a), raw)
	if slices.ContainsFunc(raw[known:], func(b byte) bool { return b != 0 }) {
		return 0, unix.E2BIG
	}
	fixed := a.Flags&unix.SECCOMP_ADDFD_FLAG_SETFD != 0
	switch {
	case a.NewFDFlags&^unix.O_CLOEXEC != 0,
		a.Flags&^(unix.SECCOMP_ADDFD_FLAG_SETFD|unix.SECCOMP_ADDFD_FLAG_SEND) != 0,
		a.NewFD != 0 && !fixed:
		return 0, unix.EINVAL
	}
	f, err := t.files.Get(int(a.SrcFD))
	if err != nil {
		return 0, err
	}
	n, err := l.sent(a.ID)
	if err != nil {
		f.Unref(t)
		return 0, err
	}
	o, cloexec := n.task, a.NewFDFlags != 0
	fd := int(a.NewFD)
	switch {
	case o.dying:
		err = unix.ESRCH
	case !fixed:
		fd, err = o.files.Install(f, 0, o.fileLimit(), cloexec)
	case fd >= o.fileLimit():
		err = unix.EBADF
	default:
		o.files.Set(t, f, fd, cloexec)
	}
	if err != nil {
		f.Unref(t)
		return 0, err
	}
	if a.Flags&unix.SECCOMP_ADDFD_FLAG_SEND != 0 && n.state == notifySent {
		n.val = int64(fd)
		n.reply()
	}
	return fd, nil
}
