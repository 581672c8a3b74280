package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"semget":     r3(sysSemget),
		"semop":      e3(sysSemop),
		"semtimedop": e4(sysSemtimedop[unix.Timespec]),
		"semctl":     r4(sysSemctl[abi.SemidDS]),
	})
}

func sysSemget(t *Task, key, n, flags int32) (int, error) {
	return t.k.ipc.Semget(t, key, int(n), int(flags))
}

func sysSemop(t *Task, id int32, ops Ptr[abi.Sembuf], n uint32) error {
	return sysSemtimedop[unix.Timespec](t, id, ops, n, 0)
}

func sysSemtimedop[T timespecs](t *Task, id int32, ops Ptr[abi.Sembuf], n uint32, timeout Ptr[T]) error {
	var deadline int64
	if timeout != 0 {
		ts, err := load[unix.Timespec](t, timeout)
		if err != nil {
			return err
		}
		if !validTimespec(ts) {
			return unix.EINVAL
		}
		deadline = t.deadlineIn(ts)
	}
	switch {
	case n < 1 || id < 0:
		return unix.EINVAL
	case n > abi.SEMOPM:
		return unix.E2BIG
	}
	list, err := ops.Slice(t, int(n))
	if err != nil {
		return err
	}
	return t.k.ipc.Semop(t, int(id), list, deadline, &t.p.semUndo)
}

func sysSemctl[D semids](t *Task, id, num, cmd int32, arg uint64) (int, error) {
	s := t.k.ipc
	if id < 0 {
		return 0, unix.EINVAL
	}
	switch cmd &^= abi.IPC_64; cmd {
	case abi.IPC_INFO, abi.SEM_INFO:
		top, i := s.SemInfo(cmd == abi.SEM_INFO)
		return top, Ptr[abi.Seminfo](arg).Out(t, &i)
	case unix.IPC_STAT, abi.SEM_STAT, abi.SEM_STAT_ANY:
		n, ds, err := s.SemStat(t, int(id), int(cmd))
		if err != nil {
			return 0, err
		}
		return n, store(t, Ptr[D](arg), ds)
	case abi.GETVAL, abi.GETPID, abi.GETNCNT, abi.GETZCNT:
		return s.SemGet(t, int(id), int(num), int(cmd))
	case abi.GETALL:
		v, err := s.SemGetAll(t, int(id))
		if err != nil {
			return 0, err
		}
		return 0, t.CopyOut(arg, sliceBytes(v))
	case abi.SETVAL:
		return 0, s.SemSetVal(t, int(id), int(num), int32(arg))
	case abi.SETALL:
		n, err := s.SemCount(t, int(id))
		if err != nil {
			return 0, err
		}
		v, err := Ptr[uint16](arg).Slice(t, n)
		if err != nil {
			return 0, err
		}
		return 0, s.SemSetAll(t, int(id), v)
	case unix.IPC_SET:
		ds, err := load[abi.SemidDS](t, Ptr[D](arg))
		if err != nil {
			return 0, err
		}
		return 0, s.SemSet(t, int(id), &ds.Perm)
	case unix.IPC_RMID:
		return 0, s.SemRemove(t, int(id))
	}
	return 0, unix.EINVAL
}
