package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"shmget": r3(sysShmget),
		"shmat":  r3(sysShmat),
		"shmdt":  e1(sysShmdt),
		"shmctl": r3(sysShmctl[abi.ShmidDS, abi.Shminfo, abi.ShmInfo]),
	})
}

// sharedMemory makes the memory of a System V segment.
func (k *Kernel) sharedMemory(ctx vfs.Context, name string, size int64) (*vfs.File, error) {
	return k.nameless().Anonymous(ctx, name, 0o600, size)
}

func sysShmget(t *Task, key int32, size uint64, flags int32) (int, error) {
	return t.k.ipc.Shmget(t, key, size, int(flags))
}

func sysShmat(t *Task, id int32, addr Addr, flags int32) (Addr, error) {
	return t.shmat(id, addr, flags, 0)
}

// shmat maps a segment; how are flags of mmap.
func (t *Task) shmat(id int32, addr Addr, flags int32, how int) (Addr, error) {
	at := uint64(addr)
	if at != 0 {
		if at%mm.PageSize != 0 {
			if flags&unix.SHM_RND == 0 {
				return 0, unix.EINVAL
			}
			at &^= mm.PageSize - 1
			if at == 0 && flags&abi.SHM_REMAP != 0 {
				return 0, unix.EINVAL
			}
		}
		how |= unix.MAP_FIXED_NOREPLACE
		if flags&abi.SHM_REMAP != 0 {
			how = how&^unix.MAP_FIXED_NOREPLACE | unix.MAP_FIXED
		}
	} else if flags&abi.SHM_REMAP != 0 {
		return 0, unix.EINVAL
	}
	f, err := t.k.ipc.Shmat(t, int(id), int(flags))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	prot := unix.PROT_READ
	if flags&unix.SHM_RDONLY == 0 {
		prot |= unix.PROT_WRITE
	}
	if flags&abi.SHM_EXEC != 0 {
		prot |= unix.PROT_EXEC
	}
	a, err := t.space().Map(t, t.th, at, f.Impl.(mm.Attacher).Size(), prot, unix.MAP_SHARED|how, f, 0)
	if err == unix.EEXIST {
		err = unix.EINVAL
	}
	return Addr(a), err
}

func sysShmdt(t *Task, addr Addr) error { return t.mm.DetachAt(t, t.th, uint64(addr)) }

func sysShmctl[D shmids, L shmLimits, U shmUses](t *Task, id, cmd int32, buf Addr) (int, error) {
	s := t.k.ipc
	if cmd < 0 || id < 0 {
		return 0, unix.EINVAL
	}
	switch cmd &^= abi.IPC_64; cmd {
	case abi.IPC_INFO:
		top, i := s.ShmLimits()
		return top, store(t, Ptr[L](buf), i)
	case abi.SHM_INFO:
		top, i := s.ShmUse(t)
		return top, store(t, Ptr[U](buf), i)
	case unix.IPC_STAT, abi.SHM_STAT, abi.SHM_STAT_ANY:
		n, ds, err := s.ShmStat(t, int(id), int(cmd))
		if err != nil {
			return 0, err
		}
		return n, store(t, Ptr[D](buf), ds)
	case unix.IPC_SET:
		ds, err := load[abi.ShmidDS](t, Ptr[D](buf))
		if err != nil {
			return 0, err
		}
		return 0, s.ShmSet(t, int(id), &ds.Perm)
	case unix.IPC_RMID:
		return 0, s.ShmRemove(t, int(id))
	case abi.SHM_LOCK, abi.SHM_UNLOCK:
		return 0, s.ShmLock(t, int(id), cmd == abi.SHM_LOCK, t.p.limits[unix.RLIMIT_MEMLOCK].Cur)
	}
	return 0, unix.EINVAL
}
