package epoll

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// counter is an eventfd as far as readiness goes.
type counter struct {
	n uint64
	q wait.Queue
}

func newCounter() (*counter, *vfs.File) {
	c := new(counter)
	return c, vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:[eventfd]"), c, unix.O_RDWR)
}

func (c *counter) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	var ev wait.Events
	if c.n > 0 {
		ev |= wait.In
	}
	if c.n < ^uint64(0)-1 {
		ev |= wait.Out
	}
	return ev, &c.q
}

func (c *counter) Release(vfs.Context) {}

func (c *counter) add(n uint64) {
	c.n += n
	c.q.Wake(wait.In)
}

func (c *counter) take() {
	c.n = 0
	c.q.Wake(wait.Out)
}

func errno(err error) string {
	if err == nil {
		return "ok"
	}
	return unix.ErrnoName(err.(unix.Errno))
}

// world is what a script of operations runs on: the host's or ours.
type world interface {
	ctl(ep, op, fd int, events uint32, data uint64) string
	wait(ep, max int) string
	add(fd int, n uint64)
	take(fd int)
	dup(from, to int)
	close(fd int)
}

const (
	nCounters = 4
	nEpolls   = 7
	nFiles    = nCounters + nEpolls
)

type host struct{ fds [2 * nFiles]int }

func newHost(t *testing.T) *host {
	h := new(host)
	for i := range h.fds {
		h.fds[i] = -1
	}
	for i := range nFiles {
		var err error
		if i < nCounters {
			h.fds[i], err = unix.Eventfd(0, unix.EFD_NONBLOCK)
		} else {
			h.fds[i], err = unix.EpollCreate1(0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for i := range h.fds {
			h.close(i)
		}
	})
	return h
}

func (h *host) ctl(ep, op, fd int, events uint32, data uint64) string {
	ev := unix.EpollEvent{Events: events, Fd: int32(data)}
	return errno(unix.EpollCtl(h.fds[ep], op, h.fds[fd], &ev))
}

func (h *host) wait(ep, most int) string {
	evs := make([]unix.EpollEvent, most)
	n, err := unix.EpollWait(h.fds[ep], evs, 0)
	var s []string
	for _, e := range evs[:max(n, 0)] {
		s = append(s, fmt.Sprintf("%d:%x", e.Fd, e.Events))
	}
	return fmt.Sprint(errno(err), " ", strings.Join(s, " "))
}

func (h *host) add(fd int, n uint64) {
	unix.Write(h.fds[fd], binary.NativeEndian.AppendUint64(nil, n))
}

func (h *host) take(fd int) { unix.Read(h.fds[fd], make([]byte, 8)) }

func (h *host) dup(from, to int) {
	h.close(to)
	h.fds[to], _ = unix.Dup(h.fds[from])
}

func (h *host) close(fd int) {
	if h.fds[fd] >= 0 {
		unix.Close(h.fds[fd])
	}
	h.fds[fd] = -1
}

type ours struct {
	ctx vfs.Context
	fds [2 * nFiles]*vfs.File
}

func newOurs(ctx vfs.Context) *ours {
	o := &ours{ctx: ctx}
	for i := range nFiles {
		if i < nCounters {
			_, o.fds[i] = newCounter()
		} else {
			o.fds[i] = New()
		}
	}
	return o
}

func (o *ours) ctl(ep, op, fd int, events uint32, data uint64) string {
	if o.fds[ep] == nil || o.fds[fd] == nil {
		return "EBADF"
	}
	e, err := Of(o.fds[ep])
	if err != nil {
		return errno(err)
	}
	return errno(e.Ctl(o.ctx, op, o.fds[fd], fd, Event{events, data}))
}

func (o *ours) wait(ep, most int) string {
	var n int
	evs := make([]Event, most)
	var err error = unix.EBADF
	if o.fds[ep] != nil {
		var e *Epoll
		if e, err = Of(o.fds[ep]); err == nil {
			n, err = e.Wait(o.ctx, evs, -1)
		}
	}
	var s []string
	for _, e := range evs[:max(n, 0)] {
		s = append(s, fmt.Sprintf("%d:%x", e.Data, e.Events))
	}
	return fmt.Sprint(errno(err), " ", strings.Join(s, " "))
}

func (o *ours) counter(fd int) *counter {
	if o.fds[fd] == nil {
		return nil
	}
	c, _ := o.fds[fd].Impl.(*counter)
	return c
}

func (o *ours) add(fd int, n uint64) {
	if c := o.counter(fd); c != nil {
		c.add(n)
	}
}

func (o *ours) take(fd int) {
	if c := o.counter(fd); c != nil && c.n > 0 {
		c.take()
	}
}

func (o *ours) dup(from, to int) {
	o.close(to)
	if o.fds[from] != nil {
		o.fds[to] = o.fds[from].Ref()
	}
}

func (o *ours) close(fd int) {
	if o.fds[fd] != nil {
		o.fds[fd].Unref(o.ctx)
	}
	o.fds[fd] = nil
}

// step does one random operation and tells what came of it. An event wakes
// the items of several instances in no order that anybody may rely on: so
// either each counter is watched once at most, or all events are fetched and
// compared without their order.
func step(r *rand.Rand, once bool) (name string, f func(w world) string) {
	fd := func() int {
		if !once && r.Intn(4) == 0 {
			return nFiles + r.Intn(nFiles)
		}
		return r.Intn(nFiles)
	}
	ep := func() int {
		if once {
			return nCounters
		}
		if r.Intn(20) == 0 {
			return fd()
		}
		return nCounters + r.Intn(nEpolls)
	}
	switch n := r.Intn(100); {
	case n < 35:
		ep, fd, op := ep(), fd(), []int{unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_MOD, unix.EPOLL_CTL_DEL}[r.Intn(4)]
		if once || r.Intn(3) > 0 {
			fd = r.Intn(nCounters)
		}
		events := []uint32{unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLIN | unix.EPOLLOUT, 0}[r.Intn(4)]
		for _, flag := range []uint32{unix.EPOLLET, unix.EPOLLONESHOT, unix.EPOLLEXCLUSIVE, unix.EPOLLRDHUP} {
			if r.Intn(4) == 0 {
				events |= flag
			}
		}
		if r.Intn(50) == 0 {
			op = 7
		}
		return fmt.Sprintf("ctl(%d, %d, %d, %x)", ep, op, fd, events), func(w world) string {
			return w.ctl(ep, op, fd, events, uint64(fd))
		}
	case n < 70:
		ep, most := ep(), 1+r.Intn(5)
		if !once {
			most = 2 * nFiles
		}
		return fmt.Sprintf("wait(%d, %d)", ep, most), func(w world) string {
			s := w.wait(ep, most)
			if !once {
				b := strings.Fields(s)
				slices.Sort(b)
				s = strings.Join(b, " ")
			}
			return s
		}
	case n < 83:
		fd := r.Intn(nCounters)
		return fmt.Sprintf("add(%d)", fd), func(w world) string { w.add(fd, 1); return "" }
	case n < 95:
		fd := r.Intn(nCounters)
		return fmt.Sprintf("take(%d)", fd), func(w world) string { w.take(fd); return "" }
	case n < 98:
		from, to := r.Intn(nFiles), nFiles+r.Intn(nFiles)
		return fmt.Sprintf("dup(%d, %d)", from, to), func(w world) string { w.dup(from, to); return "" }
	default:
		fd := fd()
		return fmt.Sprintf("close(%d)", fd), func(w world) string { w.close(fd); return "" }
	}
}

// TestAsHost runs random scripts on the host and on ours.
func TestAsHost(t *testing.T) {
	for seed := range 300 {
		var k waittest.Kernel
		k.Do(func() {
			ctx := vfstest.Root(k.NewTask())
			h, o := newHost(t), newOurs(ctx)
			r := rand.New(rand.NewSource(int64(seed)))
			var log []string
			for range 300 {
				name, f := step(r, seed%2 == 0)
				want, got := f(h), f(o)
				log = append(log, name+" = "+want)
				if want != got {
					t.Fatalf("seed %d: %s\nhost %s\nours %s\nafter %q", seed, name, want, got, log[max(0, len(log)-25):])
				}
			}
			for i := range h.fds {
				h.close(i)
				o.close(i)
			}
		})
	}
}

// TestChains asks how deep instances nest, up and down.
func TestChains(t *testing.T) {
	run := func(w world, order []int) (s []string) {
		for _, i := range order {
			a, b := nCounters+i, nCounters+i+1
			s = append(s, w.ctl(a, unix.EPOLL_CTL_ADD, b, unix.EPOLLIN, 1))
		}
		return append(s, w.ctl(nCounters+nEpolls-1, unix.EPOLL_CTL_ADD, nCounters, unix.EPOLLIN, 1))
	}
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {0, 2, 4, 1, 3, 5}, {0, 1, 3, 4, 2, 5}} {
		var k waittest.Kernel
		k.Do(func() {
			want, got := run(newHost(t), order), run(newOurs(vfstest.Root(k.NewTask())), order)
			if !slices.Equal(want, got) {
				t.Errorf("order %v:\nhost %q\nours %q", order, want, got)
			}
		})
	}
}

func TestNotPollable(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		ep, _ := Of(New())
		f := vfs.NewFile(vfs.Path{}, vfs.Anon("x"), plain{}, 0)
		if err := ep.Ctl(ctx, unix.EPOLL_CTL_ADD, f, 3, Event{}); err != unix.EPERM {
			t.Error(err)
		}
		if _, err := ep.Wait(ctx, nil, -1); err != unix.EINVAL {
			t.Error(err)
		}
	})
}

type plain struct{}

func (plain) Release(vfs.Context) {}

// TestBlocks has tasks asleep in Wait: one event wakes one of them.
func TestBlocks(t *testing.T) {
	var k waittest.Kernel
	ep, _ := Of(New())
	c, f := newCounter()
	var ctx vfs.Context
	k.Do(func() {
		ctx = vfstest.Root(k.NewTask())
		ep.Ctl(ctx, unix.EPOLL_CTL_ADD, f, 3, Event{unix.EPOLLIN | unix.EPOLLET, 42})
	})
	var woken []string
	for range 2 {
		k.Go(func(task *waittest.Task) {
			ctx := vfstest.Root(task)
			var ev [4]Event
			n, err := ep.Wait(ctx, ev[:], 0)
			woken = append(woken, fmt.Sprint(n, err, ev[0]))
		})
	}
	for i := range 2 {
		time.Sleep(20 * time.Millisecond)
		k.Do(func() {
			if len(woken) != i {
				t.Errorf("%d woken, want %d", len(woken), i)
			}
			c.add(1)
		})
	}
	k.Wait()
	if want := []string{"1 <nil> {1 42}", "1 <nil> {1 42}"}; !slices.Equal(woken, want) {
		t.Errorf("got %q", woken)
	}
	// Past the deadline, and interrupted.
	sleeping := k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		var ev [4]Event
		if n, err := ep.Wait(ctx, ev[:], ctx.Now()+1e6); n != 0 || err != nil {
			t.Error(n, err)
		}
		if n, err := ep.Wait(ctx, ev[:], 0); n != 0 || err != unix.EINTR {
			t.Error(n, err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	sleeping.Interrupt()
	k.Wait()
	if !ep.queue.Empty() {
		t.Error("someone is left in the queue")
	}
}

// TestExclusive adds one file to several instances, each with a sleeper.
func TestExclusive(t *testing.T) {
	for _, tt := range []struct {
		flag uint32
		want int
	}{{unix.EPOLLEXCLUSIVE, 1}, {0, 3}} {
		var k waittest.Kernel
		c, f := newCounter()
		woken := 0
		for range 3 {
			k.Go(func(task *waittest.Task) {
				ctx := vfstest.Root(task)
				ep, _ := Of(New())
				ep.Ctl(ctx, unix.EPOLL_CTL_ADD, f, 3, Event{unix.EPOLLIN | tt.flag, 1})
				var ev [1]Event
				if n, _ := ep.Wait(ctx, ev[:], ctx.Now()+3e8); n > 0 {
					woken++
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		k.Do(func() { c.add(1) })
		k.Wait()
		if woken != tt.want {
			t.Errorf("flag %x: %d woken, want %d", tt.flag, woken, tt.want)
		}
	}
}

// BenchmarkOneOfThousand has one description ready among a thousand.
func BenchmarkOneOfThousand(b *testing.B) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		ep, _ := Of(New())
		var cs []*counter
		for i := range 1000 {
			c, f := newCounter()
			cs = append(cs, c)
			ep.Ctl(ctx, unix.EPOLL_CTL_ADD, f, i, Event{unix.EPOLLIN, uint64(i)})
		}
		var out [16]Event
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			c := cs[i%len(cs)]
			i++
			c.add(1)
			if n, _ := ep.Wait(ctx, out[:], 0); n != 1 {
				b.Fatal(n)
			}
			c.take()
		}
	})
}
