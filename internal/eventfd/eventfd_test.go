package eventfd_test

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand"
	"testing"

	"github.com/sysemu/sysemu/internal/eventfd"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

func bytes8(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }

func TestAgainstHost(t *testing.T) {
	values := []uint64{0, 1, 2, 1000, math.MaxUint64 - 1001, math.MaxUint64 - 2, math.MaxUint64 - 1, math.MaxUint64}
	for seed := range 30 {
		rng := rand.New(rand.NewSource(int64(seed)))
		flags := unix.EFD_NONBLOCK | rng.Intn(2)*unix.EFD_SEMAPHORE
		host, err := unix.Eventfd(uint(seed), flags)
		if err != nil {
			t.Fatal(err)
		}
		var k waittest.Kernel
		ctx := vfstest.Root(k.NewTask())
		f, err := eventfd.New(uint32(seed), flags)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			var hn, on int
			var herr, oerr error
			hb, ob := make([]byte, 9), make([]byte, 9)
			n := values[rng.Intn(len(values))]
			size := 8
			switch op := rng.Intn(6); {
			case op < 3:
				hn, herr = unix.Write(host, bytes8(n))
				on, oerr = f.Write(ctx, bytes8(n))
			case op == 4:
				size = 7 + rng.Intn(3)
				fallthrough
			default:
				hn, herr = unix.Read(host, hb[:size])
				on, oerr = f.Read(ctx, ob[:size])
			}
			if max(hn, 0) != on || !errors.Is(oerr, herr) || string(hb) != string(ob) {
				t.Fatalf("%d, %v, %x; the host says %d, %v, %x", on, oerr, ob, hn, herr, hb)
			}
			fds := []unix.PollFd{{Fd: int32(host), Events: 0x3ff}}
			unix.Poll(fds, 0)
			if ev, _ := f.Impl.(vfs.Poller).Poll(ctx, f); ev != wait.Events(fds[0].Revents) {
				t.Fatalf("poll: %#x; the host says %#x", ev, fds[0].Revents)
			}
		}
		unix.Close(host)
		f.Unref(ctx)
	}
}

func TestBlocking(t *testing.T) {
	var k waittest.Kernel
	f, err := eventfd.New(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	const big = math.MaxUint64 - 1
	var sum []uint64
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		for range 3 {
			b := make([]byte, 8)
			f.Read(ctx, b)
			sum = append(sum, binary.NativeEndian.Uint64(b))
		}
	})
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		for range 3 {
			if n, err := f.Write(ctx, bytes8(big)); n != 8 || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
		}
	})
	k.Wait()
	if len(sum) != 3 || sum[0] != big || sum[1] != big || sum[2] != big {
		t.Errorf("read %x", sum)
	}
}

func TestSignal(t *testing.T) {
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	f, _ := eventfd.New(1, unix.EFD_NONBLOCK)
	f.Impl.(*eventfd.Counter).Signal(math.MaxUint64)
	if ev, _ := f.Impl.(vfs.Poller).Poll(ctx, f); ev != wait.In|wait.Err {
		t.Errorf("poll: %#x", ev)
	}
	if _, err := eventfd.New(0, 1<<30); err != unix.EINVAL {
		t.Errorf("unknown flag: %v", err)
	}
}
