package poll

import (
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

type flag struct {
	now wait.Events
	q   wait.Queue
}

func (g *flag) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) { return g.now, &g.q }
func (g *flag) Release(vfs.Context)                                    {}
func (g *flag) set(ev wait.Events) {
	g.now = ev
	g.q.Wake(ev)
}

type plain struct{}

func (plain) Release(vfs.Context) {}

func file(impl vfs.Impl) *vfs.File {
	return vfs.NewFile(vfs.Path{}, vfs.Anon("x"), impl, unix.O_RDWR)
}

func TestNoWait(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		g := new(flag)
		items := []Item{{File: file(g), Want: wait.In}, {Got: unix.POLLNVAL}, {}}
		if n, err := Wait(ctx, items, 0); n != 1 || err != nil || items[1].Got != unix.POLLNVAL {
			t.Error("an item that is ready without a file", n, err)
		}
		for _, tt := range []struct{ now, want, got wait.Events }{
			{wait.In, wait.In, wait.In}, {wait.Out, wait.In, 0}, {wait.Hup, 0, wait.Hup},
			{wait.Err | wait.Readable, wait.Out, wait.Err}, {wait.RdHup | wait.In, wait.RdHup, wait.RdHup},
		} {
			g.now, items[0].Want = tt.now, tt.want
			if _, err := Wait(ctx, items[:1], -1); err != nil || items[0].Got != tt.got {
				t.Errorf("%+v: %x", tt, items[0].Got)
			}
		}
		items[0].File, items[0].Want = file(plain{}), wait.In|wait.Out|wait.Pri
		if n, err := Wait(ctx, items[:1], 0); n != 1 || err != nil || items[0].Got != wait.In|wait.Out {
			t.Error("a file without readiness", n, err, items[0].Got)
		}
	})
}

func TestSleeps(t *testing.T) {
	var k waittest.Kernel
	a, b := new(flag), new(flag)
	task := k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		fa, fb := file(a), file(b)
		items := []Item{{File: fa, Want: wait.In}, {File: fb, Want: wait.In}, {File: fb, Want: wait.Out}}
		if n, err := Wait(ctx, items, 0); n != 1 || err != nil || items[1].Got != wait.In {
			t.Error(n, err, items)
		}
		if n, err := Wait(ctx, items[:1], ctx.Now()+1e6); n != 0 || err != nil {
			t.Error("deadline", n, err)
		}
		if n, err := Wait(ctx, items[:1], 0); n != 0 || err != wait.ErrInterruptedNoHand {
			t.Error("interrupt", n, err)
		}
	})
	time.Sleep(10 * time.Millisecond)
	k.Do(func() { a.set(wait.Out) }) // not what is waited for
	time.Sleep(10 * time.Millisecond)
	k.Do(func() { b.set(wait.In) })
	time.Sleep(20 * time.Millisecond)
	task.Interrupt()
	k.Wait()
	if !a.q.Empty() || !b.q.Empty() {
		t.Error("entries left behind")
	}
}

func BenchmarkSleep(b *testing.B) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		var items [10]Item
		for i := range items {
			items[i] = Item{File: file(new(flag)), Want: wait.In}
		}
		g := items[9].File.Impl.(*flag)
		b.ReportAllocs()
		for b.Loop() {
			g.now = 0
			ctx.Wakeup() // so that the sleep returns at once
			if n, _ := Wait(wakes{ctx, g}, items[:], 0); n != 1 {
				b.Fatal(n)
			}
		}
	})
}

// wakes is a task that finds g ready when it has slept.
type wakes struct {
	*vfstest.Context
	g *flag
}

func (w wakes) Sleep(int64) error {
	w.g.now = wait.In
	return w.Context.Sleep(0)
}
