package ipc

import (
	"slices"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Queue is a message queue, msgget(2).
type Queue struct {
	object
	list         []message
	bytes, limit uint64
	stime, rtime int64
	ctime        int64
	lspid, lrpid int32
	gone         bool
	readers      wait.Queue
	writers      wait.Queue
}

type message struct {
	typ  int64
	data []byte
}

// Msgget serves msgget(2).
func (s *System) Msgget(ctx vfs.Context, key int32, flags int) (int, error) {
	return find(ctx, &s.msg, key, flags, func(*Queue) bool { return true }, func() (int, error) {
		if s.msg.used >= abi.MSGMNI {
			return 0, unix.ENOSPC
		}
		q := &Queue{limit: abi.MSGMNB, ctime: seconds(ctx)}
		return s.msg.add(ctx, q, key, uint32(flags)), nil
	})
}

// Msgsnd serves msgsnd(2). data is the queue's from now on.
func (s *System) Msgsnd(ctx vfs.Context, id int, typ int64, data []byte, flags int) error {
	if typ < 1 {
		return unix.EINVAL
	}
	q, err := s.msg.get(id)
	if err != nil {
		return err
	}
	if err := q.access(ctx, mayWrite); err != nil {
		return err
	}
	n := uint64(len(data))
	fits := func() bool { return q.bytes+n <= q.limit && uint64(len(q.list)) < q.limit }
	if !fits() {
		if flags&unix.IPC_NOWAIT != 0 {
			return unix.EAGAIN
		}
		if err := q.writers.Until(ctx, wait.Writable, 0, func() bool { return q.gone || fits() }); err != nil {
			return noHandler(err)
		}
		if q.gone {
			return unix.EIDRM
		}
		if err := q.access(ctx, mayWrite); err != nil {
			return err
		}
	}
	q.list = append(q.list, message{typ, data})
	q.bytes += n
	s.msgBytes += n
	s.msgCount++
	q.stime, q.lspid = seconds(ctx), int32(ctx.PID())
	q.readers.Wake(wait.Readable)
	return nil
}

// noHandler makes an interrupted call one that no signal handler restarts.
func noHandler(err error) error {
	if err == wait.ErrInterrupted {
		return wait.ErrInterruptedNoHand
	}
	return err
}

// match returns the index of the message that a receiver asks for, or -1.
func (q *Queue) match(typ int64, flags int) int {
	best := -1
	for i := range q.list {
		m := &q.list[i]
		switch {
		case flags&abi.MSG_COPY != 0:
			if int64(i) == typ {
				return i
			}
		case typ == 0:
			return i
		case typ > 0:
			if (m.typ == typ) != (flags&abi.MSG_EXCEPT != 0) {
				return i
			}
		default:
			// -typ overflows for the least: nothing is above it then.
			if (m.typ <= -typ || -typ < 0) && (best < 0 || m.typ < q.list[best].typ) {
				best = i
			}
		}
	}
	return best
}

// Msgrcv serves msgrcv(2): the message's type, and as much of it as size has
// room for.
func (s *System) Msgrcv(ctx vfs.Context, id int, size uint64, typ int64, flags int) (int64, []byte, error) {
	if flags&abi.MSG_COPY != 0 && (flags&abi.MSG_EXCEPT != 0 || flags&unix.IPC_NOWAIT == 0) {
		return 0, nil, unix.EINVAL
	}
	q, err := s.msg.get(id)
	if err != nil {
		return 0, nil, err
	}
	if err := q.access(ctx, mayRead); err != nil {
		return 0, nil, err
	}
	i := q.match(typ, flags)
	if i < 0 {
		if flags&unix.IPC_NOWAIT != 0 {
			return 0, nil, unix.ENOMSG
		}
		if err := q.readers.Until(ctx, wait.Readable, 0, func() bool {
			if !q.gone {
				i = q.match(typ, flags)
			}
			return q.gone || i >= 0
		}); err != nil {
			return 0, nil, noHandler(err)
		}
		if q.gone {
			return 0, nil, unix.EIDRM
		}
	}
	m := q.list[i]
	data := m.data
	if uint64(len(data)) > size {
		if flags&abi.MSG_NOERROR == 0 {
			return 0, nil, unix.E2BIG
		}
		data = data[:size]
	}
	if flags&abi.MSG_COPY != 0 {
		return m.typ, data, nil
	}
	q.list = slices.Delete(q.list, i, i+1)
	n := uint64(len(m.data))
	q.bytes -= n
	s.msgBytes -= n
	s.msgCount--
	q.rtime, q.lrpid = seconds(ctx), int32(ctx.PID())
	q.writers.Wake(wait.Writable)
	return m.typ, data, nil
}

// MsgStat is IPC_STAT, MSG_STAT and MSG_STAT_ANY, as ShmStat.
func (s *System) MsgStat(ctx vfs.Context, id, cmd int) (int, abi.MsqidDS, error) {
	q, ret, err := stat(ctx, &s.msg, id, cmd == unix.IPC_STAT, cmd == abi.MSG_STAT_ANY)
	if err != nil {
		return 0, abi.MsqidDS{}, err
	}
	return ret, abi.MsqidDS{Perm: q.perm, Stime: q.stime, Rtime: q.rtime, Ctime: q.ctime, Cbytes: q.bytes,
		Qnum: uint64(len(q.list)), Qbytes: q.limit, Lspid: q.lspid, Lrpid: q.lrpid}, nil
}

// MsgInfo is IPC_INFO, or MSG_INFO when use is set.
func (s *System) MsgInfo(use bool) (top int, i abi.Msginfo) {
	i = abi.Msginfo{Pool: abi.MSGMNI * abi.MSGMNB / 1024, Map: abi.MSGMNB, Max: abi.MSGMAX, Mnb: abi.MSGMNB, Mni: abi.MSGMNI,
		Ssz: 16, Tql: abi.MSGMNB, Seg: 0xffff}
	if use {
		i.Pool, i.Map, i.Tql = int32(s.msg.used), int32(s.msgCount), int32(s.msgBytes)
	}
	return s.msg.top(), i
}

// MsgSet is IPC_SET.
func (s *System) MsgSet(ctx vfs.Context, id int, p *abi.IpcPerm, limit uint64) error {
	q, err := s.msg.get(id)
	if err == nil {
		err = q.own(ctx)
	}
	if err != nil {
		return err
	}
	if limit > abi.MSGMNB && !ctx.Cred().Has(unix.CAP_SYS_RESOURCE) {
		return unix.EPERM
	}
	q.set(p)
	q.limit = min(limit, maxQueue)
	q.ctime = seconds(ctx)
	q.readers.Wake(wait.Readable)
	q.writers.Wake(wait.Writable)
	return nil
}

// maxQueue bounds what the privileged may make of a queue: its messages are
// in our own memory.
const maxQueue = 16 << 20

// MsgRemove is IPC_RMID: who waits gets EIDRM.
func (s *System) MsgRemove(ctx vfs.Context, id int) error {
	q, err := s.msg.get(id)
	if err == nil {
		err = q.own(ctx)
	}
	if err != nil {
		return err
	}
	q.gone = true
	s.msg.remove(q)
	s.msgBytes -= q.bytes
	s.msgCount -= uint64(len(q.list))
	q.list = nil
	q.readers.Wake(wait.Err)
	q.writers.Wake(wait.Err)
	return nil
}
