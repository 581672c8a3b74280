package ipc

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

func world(t *testing.T, f func(k *waittest.Kernel, s *System, ctx *vfstest.Context)) {
	fs := tmpfs.New(0, tmpfs.Options{})
	defer fs.Unmounted()
	s := &System{NewFile: func(ctx vfs.Context, name string, size int64) (*vfs.File, error) {
		return fs.Anonymous(ctx, name, 0o600, size)
	}}
	var k waittest.Kernel
	k.Do(func() { f(&k, s, vfstest.Root(k.NewTask())) })
	k.Wait()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIdentifiersAreNotUsedAgainSoon(t *testing.T) {
	world(t, func(_ *waittest.Kernel, s *System, ctx *vfstest.Context) {
		seen := map[int]bool{}
		for range 1000 {
			id, err := s.Msgget(ctx, unix.IPC_PRIVATE, 0o600)
			must(t, err)
			if seen[id] {
				t.Fatalf("identifier %#x was used before", id)
			}
			seen[id] = true
			must(t, s.MsgRemove(ctx, id))
			if err := s.MsgRemove(ctx, id); err != unix.EINVAL {
				t.Fatalf("removed twice: %v", err)
			}
		}
		if len(s.msg.places) > minCycle {
			t.Errorf("%d places for one queue at a time", len(s.msg.places))
		}
	})
}

func TestLimits(t *testing.T) {
	world(t, func(_ *waittest.Kernel, s *System, ctx *vfstest.Context) {
		for range abi.SHMMNI {
			if _, err := s.Shmget(ctx, unix.IPC_PRIVATE, 1<<40, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Shmget(ctx, unix.IPC_PRIVATE, 1, 0o600); err != unix.ENOSPC {
			t.Errorf("one segment too many: %v", err)
		}
		for _, size := range []uint64{0, 1<<64 - 1} {
			if _, err := s.Shmget(ctx, unix.IPC_PRIVATE, size, 0o600); err != unix.EINVAL {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	})
}

func TestSegmentGoesWithItsLastMapping(t *testing.T) {
	world(t, func(_ *waittest.Kernel, s *System, ctx *vfstest.Context) {
		id, err := s.Shmget(ctx, 7, 5000, 0o600|unix.IPC_CREAT)
		must(t, err)
		f, err := s.Shmat(ctx, id, 0)
		must(t, err)
		a := f.Impl.(*Attachment)
		a.Attach(ctx)
		must(t, s.ShmRemove(ctx, id))
		if _, ds, err := s.ShmStat(ctx, id, unix.IPC_STAT); err != nil || ds.Perm.Mode != 0o600|abi.SHM_DEST || ds.Nattch != 1 {
			t.Errorf("%+v, %v", ds, err)
		}
		if _, err := s.Shmget(ctx, 7, 5000, 0); err != unix.ENOENT {
			t.Errorf("its key still leads there: %v", err)
		}
		a.Detach(ctx)
		f.Unref(ctx)
		if _, _, err := s.ShmStat(ctx, id, unix.IPC_STAT); err != unix.EINVAL {
			t.Errorf("it is still there: %v", err)
		}
		if s.shmPages != 0 || s.shm.used != 0 {
			t.Errorf("%d pages, %d segments", s.shmPages, s.shm.used)
		}
	})
}

// A waiter that needs more than there is does not keep out one that needs
// less, and both are served by whoever brings it, before it goes on.
func TestSemaphoreWaitersAreServedAtOnce(t *testing.T) {
	var order []string
	world(t, func(k *waittest.Kernel, s *System, ctx *vfstest.Context) {
		id, err := s.Semget(ctx, unix.IPC_PRIVATE, 1, 0o600)
		must(t, err)
		wait := func(name string, n int16) {
			k.Go(func(tk *waittest.Task) {
				if err := s.Semop(vfstest.Root(tk), id, []abi.Sembuf{{Op: -n}}, 0, &Undo{}); err != nil {
					t.Error(err)
				}
				order = append(order, name)
			})
			for {
				n, _ := s.SemGet(ctx, id, 0, abi.GETNCNT)
				if n == map[string]int{"three": 1, "one": 2}[name] {
					break
				}
				ctx.Task.Sleep(ctx.Now() + 1e6)
			}
		}
		wait("three", 3)
		wait("one", 1)
		must(t, s.Semop(ctx, id, []abi.Sembuf{{Op: 1}}, 0, &Undo{}))
		if n, _ := s.SemGet(ctx, id, 0, abi.GETVAL); n != 0 {
			t.Errorf("value %d", n)
		}
		if n, _ := s.SemGet(ctx, id, 0, abi.GETNCNT); n != 1 {
			t.Errorf("%d wait", n)
		}
		must(t, s.Semop(ctx, id, []abi.Sembuf{{Op: 4}}, 0, &Undo{}))
		if n, _ := s.SemGet(ctx, id, 0, abi.GETVAL); n != 1 {
			t.Errorf("value %d", n)
		}
	})
	if len(order) != 2 {
		t.Errorf("went on: %v", order)
	}
}
