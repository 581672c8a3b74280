package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mqueue"
	"github.com/sysemu/sysemu/internal/net"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"mq_open":         r4(sysMqOpen[abi.MqAttr]),
		"mq_unlink":       e1(sysMqUnlink),
		"mq_timedsend":    e5(sysMqTimedsend[unix.Timespec]),
		"mq_timedreceive": r5(sysMqTimedreceive[unix.Timespec]),
		"mq_notify":       e2(sysMqNotify[abi.Sigevent]),
		"mq_getsetattr":   e3(sysMqGetsetattr[abi.MqAttr]),
	})
	addFamily386(calls{
		"mq_open":                r4(sysMqOpen[abi.MqAttr32]),
		"mq_timedsend":           e5(sysMqTimedsend[timespec32]),
		"mq_timedreceive":        r5(sysMqTimedreceive[timespec32]),
		"mq_timedsend_time64":    e5(sysMqTimedsend[timespec64]),
		"mq_timedreceive_time64": r5(sysMqTimedreceive[timespec64]),
		"mq_notify":              e2(sysMqNotify[abi.Sigevent32]),
		"mq_getsetattr":          e3(sysMqGetsetattr[abi.MqAttr32]),
	})
}

// NotifyOwner implements mqueue.Owner.
func (t *Task) NotifyOwner() any { return t.p }

func sysMqOpen[T mqAttrs](t *Task, name Str, flags int32, mode uint32, attr Ptr[T]) (int, error) {
	max, size := int64(-1), int64(-1)
	if attr != 0 {
		a, err := load[abi.MqAttr](t, attr)
		if err != nil {
			return 0, err
		}
		max, size = a.Maxmsg, a.Msgsize
		if max < 0 || size < 0 {
			max, size = 0, 0 // no attributes, but not the default ones
		}
	}
	s, err := name.In(t)
	if err != nil {
		return 0, err
	}
	f, err := t.k.mqueues.Open(t, s, int(flags), mode, max, size, t.p.limits[unix.RLIMIT_MSGQUEUE].Cur)
	if err != nil {
		return 0, err
	}
	return t.installFile(f, true)
}

func sysMqUnlink(t *Task, name Str) error {
	s, err := name.In(t)
	if err != nil {
		return err
	}
	return t.k.mqueues.Unlink(t, s)
}

// withQueue runs f with the queue behind fd.
func (t *Task) withQueue(fd FD, f func(*vfs.File, *mqueue.Queue) error) error {
	return t.withFile(fd, func(file *vfs.File) error {
		q := mqueue.Of(file)
		if q == nil {
			return unix.EBADF
		}
		return f(file, q)
	})
}

// mqDeadline reads a timeout, a point of the wall clock; 0 is none.
func mqDeadline[T timespecs](t *Task, p Ptr[T]) (int64, error) {
	if p == 0 {
		return 0, nil
	}
	ts, err := load[unix.Timespec](t, p)
	if err != nil {
		return 0, err
	}
	if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
		return 0, unix.EINVAL
	}
	return t.realtimeDeadline(ts), nil
}

func sysMqTimedsend[T timespecs](t *Task, fd FD, p Addr, size uint64, prio uint32, timeout Ptr[T]) error {
	deadline, err := mqDeadline(t, timeout)
	if err != nil {
		return err
	}
	if prio >= mqueue.PrioMax {
		return unix.EINVAL
	}
	return t.withQueue(fd, func(f *vfs.File, q *mqueue.Queue) error {
		if !f.CanWrite() {
			return unix.EBADF
		}
		if size > uint64(q.MessageSize()) {
			return unix.EMSGSIZE
		}
		data := make([]byte, size)
		if err := t.CopyIn(uint64(p), data); err != nil {
			return err
		}
		return q.Send(t, f, data, prio, deadline)
	})
}

func sysMqTimedreceive[T timespecs](t *Task, fd FD, p Addr, size uint64, prio Ptr[uint32], timeout Ptr[T]) (int, error) {
	deadline, err := mqDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	n := 0
	err = t.withQueue(fd, func(f *vfs.File, q *mqueue.Queue) error {
		if !f.CanRead() {
			return unix.EBADF
		}
		if size < uint64(q.MessageSize()) {
			return unix.EMSGSIZE
		}
		data, v, err := q.Receive(t, f, deadline)
		if err != nil {
			return err
		}
		n = len(data)
		if err := prio.Put(t, v); err != nil {
			return err
		}
		return t.CopyOut(uint64(p), data)
	})
	return n, err
}

func sysMqGetsetattr[T mqAttrs](t *Task, fd FD, set, old Ptr[T]) error {
	var a abi.MqAttr
	if set != 0 {
		var err error
		if a, err = load[abi.MqAttr](t, set); err != nil {
			return err
		}
		if a.Flags&^unix.O_NONBLOCK != 0 {
			return unix.EINVAL
		}
	}
	return t.withQueue(fd, func(f *vfs.File, q *mqueue.Queue) error {
		was := abi.MqAttr{Flags: int64(f.Flags & unix.O_NONBLOCK), Maxmsg: int64(q.MaxMessages()), Msgsize: int64(q.MessageSize()), Curmsgs: int64(q.Len())}
		if set != 0 {
			f.Flags = f.Flags&^unix.O_NONBLOCK | int(a.Flags)
		}
		return storePut(t, old, was)
	})
}

// Values of sigev_notify, and what the last byte of SIGEV_THREAD's cookie
// becomes.
const (
	sigevSignal = 0
	sigevNone   = 1
	sigevThread = 2

	cookieSize    = 32
	cookieWokenUp = 1
	cookieRemoved = 2
)

// sysMqNotify is mq_notify(2). SIGEV_THREAD is the C library's affair: it gives
// a netlink socket, to which a cookie of its own is sent.
func sysMqNotify[T sigevents](t *Task, fd FD, ev Ptr[T]) error {
	if ev == 0 {
		return t.withQueue(fd, func(_ *vfs.File, q *mqueue.Queue) error {
			q.Forget(t.p)
			return nil
		})
	}
	e, err := load[abi.Sigevent](t, ev)
	if err != nil {
		return err
	}
	p := t.p
	n := &mqueue.Notification{Owner: p, Kind: int(e.Notify), PID: p.pid}
	switch e.Notify {
	case sigevNone:
		n.Fire = func(vfs.Context) {}
	case sigevSignal:
		if e.Signo < 0 || e.Signo > numSignals {
			return unix.EINVAL
		}
		n.Signal = int(e.Signo)
		exe := p.leader.mm // a program that was run since does not expect it
		n.Fire = func(sender vfs.Context) {
			if e.Signo == 0 || p.leader.mm != exe {
				return
			}
			i := sender.(*Task).userSignal(int(e.Signo), siMesgq)
			i.put64(8, e.Value)
			t.k.sendProcess(p, i)
		}
	case sigevThread:
		return t.notifyByCookie(fd, e, n)
	default:
		return unix.EINVAL
	}
	return t.withQueue(fd, func(_ *vfs.File, q *mqueue.Queue) error { return q.Notify(n) })
}

func (t *Task) notifyByCookie(fd FD, e abi.Sigevent, n *mqueue.Notification) error {
	cookie := make([]byte, cookieSize)
	if err := t.CopyIn(e.Value, cookie); err != nil {
		return err
	}
	return t.withFile(FD(e.Signo), func(sock *vfs.File) error {
		send, err := net.NetlinkSender(sock)
		if err != nil {
			return err
		}
		tell := func(code byte) {
			cookie[cookieSize-1] = code
			send(cookie)
		}
		n.Fire = func(vfs.Context) { tell(cookieWokenUp) }
		n.Removed = func() { tell(cookieRemoved) }
		return t.withQueue(fd, func(_ *vfs.File, q *mqueue.Queue) error { return q.Notify(n) })
	})
}
