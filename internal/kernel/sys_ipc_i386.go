package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

// System V IPC on i386: calls of their own, since Linux 5.1, and the one that
// they all went by before.

type (
	// ipcStructs are the calls that take structs, for one generation of those.
	ipcStructs struct {
		semctl func(t *Task, id, num, cmd int32, arg uint64) (int, error)
		msgctl func(t *Task, id, cmd int32, buf Addr) (int, error)
		shmctl func(t *Task, id, cmd int32, buf Addr) (int, error)
	}

	// ipcKludge is what msgrcv takes by the first version of ipc.
	ipcKludge struct {
		Msg  uint32
		Type int32
	}
)

var (
	ipc64  = ipcStructs{sysSemctl[abi.SemidDS32], sysMsgctl[abi.MsqidDS32], sysShmctl[abi.ShmidDS32, abi.Shminfo32, abi.ShmInfo32]}
	ipcOld = ipcStructs{sysSemctl[abi.OldSemidDS32], sysMsgctl[abi.OldMsqidDS32], sysShmctl[abi.OldShmidDS32, abi.OldShminfo32, abi.ShmInfo32]}
)

func init() {
	addFamily386(calls{
		"shmat":             r3(sysShmat32),
		"semctl":            r4(ipc64.semctl),
		"msgctl":            r3(ipc64.msgctl),
		"shmctl":            r3(ipc64.shmctl),
		"msgsnd":            e4(sysMsgsnd[int32]),
		"msgrcv":            r5(sysMsgrcv[int32]),
		"semtimedop_time64": e4(sysSemtimedop[timespec64]),
		"ipc":               r6(sysIpc),
	})
}

// structsOf are those that a command asks for: with IPC_64 today's.
func structsOf(cmd int32) *ipcStructs {
	if cmd&abi.IPC_64 != 0 {
		return &ipc64
	}
	return &ipcOld
}

func sysShmat32(t *Task, id int32, addr Addr, flags int32) (Addr, error) {
	return t.shmat(id, addr, flags, mm.Low)
}

// sysIpc: the upper half of the call's number is a version.
func sysIpc(t *Task, call uint32, first int32, second, third uint32, ptr Addr, fifth int32) (uint64, error) {
	version := call >> 16
	n, err := 0, error(nil)
	ops, cmd := Ptr[abi.Sembuf](ptr), int32(second)
	switch call & 0xffff {
	case abi.SEMOP:
		err = sysSemop(t, first, ops, second)
	case abi.SEMTIMEDOP:
		err = sysSemtimedop(t, first, ops, second, Ptr[timespec32](uint32(fifth)))
	case abi.SEMGET:
		n, err = sysSemget(t, first, int32(second), int32(third))
	case abi.SEMCTL:
		if ptr == 0 {
			return 0, unix.EINVAL
		}
		var arg uint32
		if arg, err = Ptr[uint32](ptr).In(t); err == nil {
			n, err = structsOf(int32(third)).semctl(t, first, int32(second), int32(third), uint64(arg))
		}
	case abi.MSGSND:
		err = sysMsgsnd(t, first, Ptr[int32](ptr), uint64(second), int32(third))
	case abi.MSGRCV:
		msg, typ := Ptr[int32](ptr), fifth
		if first < 0 || int32(second) < 0 {
			return 0, unix.EINVAL
		}
		if version == 0 {
			if ptr == 0 {
				return 0, unix.EINVAL
			}
			k, err := Ptr[ipcKludge](ptr).In(t)
			if err != nil {
				return 0, err
			}
			msg, typ = Ptr[int32](k.Msg), k.Type
		}
		n, err = sysMsgrcv(t, first, msg, uint64(second), typ, int32(third))
	case abi.MSGGET:
		n, err = sysMsgget(t, first, cmd)
	case abi.MSGCTL:
		n, err = structsOf(cmd).msgctl(t, first, cmd, ptr)
	case abi.SHMAT:
		if version == 1 {
			return 0, unix.EINVAL
		}
		at, err := sysShmat32(t, first, ptr, cmd)
		if err != nil {
			return 0, err
		}
		v := uint32(at)
		return 0, Ptr[uint32](third).Out(t, &v)
	case abi.SHMDT:
		err = sysShmdt(t, ptr)
	case abi.SHMGET:
		n, err = sysShmget(t, first, uint64(second), int32(third))
	case abi.SHMCTL:
		n, err = structsOf(cmd).shmctl(t, first, cmd, ptr)
	default:
		return 0, unix.ENOSYS
	}
	return uint64(n), err
}
