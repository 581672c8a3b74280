package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"msgget": r2(func(t *Task, key, flags int32) (int, error) { return t.k.ipc.Msgget(t, key, int(flags)) }),
		"msgsnd": e4(sysMsgsnd),
		"msgrcv": r5(sysMsgrcv),
		"msgctl": r3(sysMsgctl),
	})
}

// A message in the guest is its type, a long, and its bytes.

func sysMsgsnd(t *Task, id int32, msg Ptr[int64], size uint64, flags int32) error {
	typ, err := msg.In(t)
	if err != nil {
		return err
	}
	if size > abi.MSGMAX || id < 0 || typ < 1 {
		return unix.EINVAL
	}
	data := make([]byte, size)
	if err := t.CopyIn(uint64(msg.At(1)), data); err != nil {
		return err
	}
	return t.k.ipc.Msgsnd(t, int(id), typ, data, int(flags))
}

func sysMsgrcv(t *Task, id int32, msg Ptr[int64], size uint64, typ int64, flags int32) (int, error) {
	if id < 0 || int64(size) < 0 {
		return 0, unix.EINVAL
	}
	typ, data, err := t.k.ipc.Msgrcv(t, int(id), size, typ, int(flags))
	if err != nil {
		return 0, err
	}
	if err := msg.Out(t, &typ); err != nil {
		return 0, err
	}
	return len(data), t.CopyOut(uint64(msg.At(1)), data)
}

func sysMsgctl(t *Task, id, cmd int32, buf Addr) (int, error) {
	s := t.k.ipc
	if cmd < 0 || id < 0 {
		return 0, unix.EINVAL
	}
	switch cmd &^= abi.IPC_64; cmd {
	case abi.IPC_INFO, abi.MSG_INFO:
		top, i := s.MsgInfo(cmd == abi.MSG_INFO)
		return top, Ptr[abi.Msginfo](buf).Out(t, &i)
	case unix.IPC_STAT, abi.MSG_STAT, abi.MSG_STAT_ANY:
		n, ds, err := s.MsgStat(t, int(id), int(cmd))
		if err != nil {
			return 0, err
		}
		return n, Ptr[abi.MsqidDS](buf).Out(t, &ds)
	case unix.IPC_SET:
		ds, err := Ptr[abi.MsqidDS](buf).In(t)
		if err != nil {
			return 0, err
		}
		return 0, s.MsgSet(t, int(id), &ds.Perm, ds.Qbytes)
	case unix.IPC_RMID:
		return 0, s.MsgRemove(t, int(id))
	}
	return 0, unix.EINVAL
}
