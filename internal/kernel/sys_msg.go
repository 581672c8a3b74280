package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"msgget": r2(sysMsgget),
		"msgsnd": e4(sysMsgsnd[int64]),
		"msgrcv": r5(sysMsgrcv[int64]),
		"msgctl": r3(sysMsgctl[abi.MsqidDS]),
	})
}

func sysMsgget(t *Task, key, flags int32) (int, error) { return t.k.ipc.Msgget(t, key, int(flags)) }

// A message in the guest is its type, a long, and its bytes.

func sysMsgsnd[L offsets](t *Task, id int32, msg Ptr[L], size uint64, flags int32) error {
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
	return t.k.ipc.Msgsnd(t, int(id), int64(typ), data, int(flags))
}

func sysMsgrcv[L offsets](t *Task, id int32, msg Ptr[L], size uint64, want L, flags int32) (int, error) {
	if id < 0 || L(size) < 0 {
		return 0, unix.EINVAL
	}
	typ, data, err := t.k.ipc.Msgrcv(t, int(id), size, int64(want), int(flags))
	if err != nil {
		return 0, err
	}
	got := L(typ)
	if err := msg.Out(t, &got); err != nil {
		return 0, err
	}
	return len(data), t.CopyOut(uint64(msg.At(1)), data)
}

func sysMsgctl[D msqids](t *Task, id, cmd int32, buf Addr) (int, error) {
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
		return n, store(t, Ptr[D](buf), ds)
	case unix.IPC_SET:
		ds, err := load[abi.MsqidDS](t, Ptr[D](buf))
		if err != nil {
			return 0, err
		}
		return 0, s.MsgSet(t, int(id), &ds.Perm, ds.Qbytes)
	case unix.IPC_RMID:
		return 0, s.MsgRemove(t, int(id))
	}
	return 0, unix.EINVAL
}
