package vfs_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

func lockOf(kind int16, start, n int64) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: unix.SEEK_SET, Start: start, Len: n}
}

// process is a descriptor table with one description of /f.
type process struct {
	*world
	tab *vfs.FDTable
	f   *vfs.File
}

func (w *world) process(pid int) *process {
	c := *w
	c.ctx = vfstest.Root(w.k.NewTask())
	c.ctx.Pid = pid
	p := &process{&c, vfs.NewFDTable(), w.open("/f", unix.O_RDWR|unix.O_CREAT)}
	p.tab.Install(p.f, 0, 10, false)
	return p
}

func (p *process) lock(kind int16, start, n int64) error {
	return p.tab.SetLock(p.ctx, p.f, lockOf(kind, start, n), false, false)
}

// A model with a lock per byte must agree after random calls.
func TestRecordLocksModel(t *testing.T) {
	const procs, size = 4, 40
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		w := newWorld(t)
		var ps []*process
		for i := range procs {
			ps = append(ps, w.process(i+1))
		}
		var model [procs][size]int16 // F_UNLCK, F_RDLCK, F_WRLCK
		for i := range model {
			for j := range model[i] {
				model[i][j] = unix.F_UNLCK
			}
		}
		for range 300 {
			i := rnd.IntN(procs)
			kind := []int16{unix.F_RDLCK, unix.F_WRLCK, unix.F_UNLCK}[rnd.IntN(3)]
			start := rnd.IntN(size)
			n := rnd.IntN(size - start)
			end := start + n
			if n == 0 {
				end = size // to the end of the file
			}
			clash := func(b int) bool {
				for j := range ps {
					if m := model[j][b]; j != i && (m == unix.F_WRLCK || m == unix.F_RDLCK && kind == unix.F_WRLCK) {
						return true
					}
				}
				return false
			}
			want := error(nil)
			for b := start; b < end; b++ {
				if kind != unix.F_UNLCK && clash(b) {
					want = unix.EAGAIN
				}
			}
			if kind != unix.F_UNLCK {
				l := lockOf(kind, int64(start), int64(n))
				w.want(ps[i].tab.GetLock(ps[i].ctx, ps[i].f, l, false), nil, "F_GETLK")
				if (l.Type != unix.F_UNLCK) != (want != nil) {
					t.Fatalf("F_GETLK %d %d+%d: %+v", kind, start, n, l)
				}
				if l.Type != unix.F_UNLCK && model[l.Pid-1][max(int(l.Start), start)] != l.Type {
					t.Fatalf("F_GETLK tells of a lock that is not there: %+v", l)
				}
			}
			err := ps[i].lock(kind, int64(start), int64(n))
			if err != want {
				t.Fatalf("lock %d %d+%d: %v, want %v", kind, start, n, err, want)
			}
			if err == nil {
				for b := start; b < end; b++ {
					model[i][b] = kind
				}
			}
		}
	}
}

func TestLockRanges(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(1), w.process(2)
	a.f.Write(w.ctx, make([]byte, 100)) // the offset is 100 now
	cur := &unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_CUR, Start: -10, Len: 5}
	w.want(a.tab.SetLock(a.ctx, a.f, cur, false, false), nil, "relative to the offset")
	back := &unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_END, Start: 0, Len: -20}
	w.want(b.tab.GetLock(b.ctx, b.f, back, false), nil, "F_GETLK")
	if want := (unix.Flock_t{Type: unix.F_WRLCK, Start: 90, Len: 5, Pid: 1}); *back != want {
		t.Errorf("F_GETLK: %+v, want %+v", *back, want)
	}
	for _, l := range []*unix.Flock_t{
		{Type: unix.F_RDLCK, Start: -1}, {Type: unix.F_RDLCK, Start: 5, Len: -6}, {Type: unix.F_RDLCK, Whence: 7}, {Type: 9},
	} {
		w.want(a.tab.SetLock(a.ctx, a.f, l, false, false), unix.EINVAL, *l)
	}
	over := &unix.Flock_t{Type: unix.F_RDLCK, Start: 1 << 62, Len: 1<<63 - 1}
	w.want(a.tab.SetLock(a.ctx, a.f, over, false, false), unix.EOVERFLOW, "past the last offset")
	r := w.open("/f", unix.O_RDONLY)
	w.want(a.tab.SetLock(a.ctx, r, lockOf(unix.F_WRLCK, 0, 1), false, false), unix.EBADF, "a write lock on what is read only")
}

func TestLocksGoWithTheirOwner(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(1), w.process(2)
	w.want(a.lock(unix.F_WRLCK, 0, 0), nil, "lock")
	w.want(b.lock(unix.F_RDLCK, 5, 1), unix.EAGAIN, "taken")
	// Closing any descriptor of the file drops the process's POSIX locks.
	fd, _ := a.tab.Install(w.open("/f", unix.O_RDONLY), 0, 10, false)
	a.tab.Close(a.ctx, fd)
	w.want(b.lock(unix.F_WRLCK, 0, 0), nil, "free after a close")
	b.tab.Unref(b.ctx)
	w.want(a.lock(unix.F_WRLCK, 0, 0), nil, "free after an exit")
	w.want(a.lock(unix.F_UNLCK, 0, 0), nil, "unlock")

	// OFD locks and flock belong to the description: a dup keeps them.
	ofd := func(p *process, kind int16) error { return p.tab.SetLock(p.ctx, p.f, lockOf(kind, 0, 0), true, false) }
	c := w.process(3)
	w.want(ofd(a, unix.F_WRLCK), nil, "OFD lock")
	w.want(a.lock(unix.F_WRLCK, 0, 1), unix.EAGAIN, "an OFD lock is in the way of the same process")
	w.want(ofd(c, unix.F_RDLCK), unix.EAGAIN, "OFD taken")
	l := lockOf(unix.F_RDLCK, 0, 0)
	w.want(c.tab.GetLock(c.ctx, c.f, l, true), nil, "F_OFD_GETLK")
	if l.Pid != -1 || l.Type != unix.F_WRLCK {
		t.Errorf("F_OFD_GETLK: %+v", l)
	}
	w.want(a.f.Flock(a.ctx, unix.LOCK_EX), nil, "flock")
	w.want(c.f.Flock(c.ctx, unix.LOCK_SH|unix.LOCK_NB), unix.EAGAIN, "flock taken")
	dup, _ := a.tab.Dup(a.ctx, 0, 0, 10, false)
	a.tab.Close(a.ctx, 0)
	w.want(ofd(c, unix.F_RDLCK), unix.EAGAIN, "OFD kept by the dup")
	a.tab.Close(a.ctx, dup)
	w.want(ofd(c, unix.F_RDLCK), nil, "OFD free after the last close")
	w.want(c.f.Flock(c.ctx, unix.LOCK_SH|unix.LOCK_NB), nil, "flock free after the last close")
	w.want(c.f.Flock(c.ctx, unix.LOCK_EX|unix.LOCK_NB), nil, "flock upgraded")
	w.want(c.f.Flock(c.ctx, 77), unix.EINVAL, "bad flock")
}

func TestLockWaits(t *testing.T) {
	w := newWorld(t)
	a := w.process(1)
	b, c := w.process(2), w.process(3)
	w.want(a.lock(unix.F_WRLCK, 0, 10), nil, "lock")
	var got []string
	try := func(p *process, name string, want error, start int64) *waittest.Task {
		return w.k.Go(func(task *waittest.Task) {
			ctx := vfstest.Root(task)
			err := p.tab.SetLock(ctx, p.f, lockOf(unix.F_WRLCK, start, 1), false, true)
			w.want(err, want, name)
			got = append(got, name)
		})
	}
	try(b, "b", nil, 5)
	tc := try(c, "c", wait.ErrInterrupted, 6)
	time.Sleep(5 * time.Millisecond)
	tc.Interrupt()
	time.Sleep(5 * time.Millisecond)
	w.k.Do(func() { w.want(a.lock(unix.F_UNLCK, 0, 0), nil, "unlock") })
	w.k.Wait()
	if len(got) != 2 || got[0] != "c" || got[1] != "b" {
		t.Errorf("order %v", got)
	}
}

func TestLockDeadlock(t *testing.T) {
	w := newWorld(t)
	ps := []*process{w.process(1), w.process(2), w.process(3)}
	for i, p := range ps {
		w.want(p.lock(unix.F_WRLCK, int64(i), 1), nil, "lock")
	}
	for i, p := range ps[:2] {
		w.k.Go(func(task *waittest.Task) {
			w.want(p.tab.SetLock(vfstest.Root(task), p.f, lockOf(unix.F_WRLCK, int64(i+1), 1), false, true), nil, "wait")
		})
	}
	time.Sleep(5 * time.Millisecond)
	w.k.Do(func() {
		p := ps[2]
		w.want(p.tab.SetLock(p.ctx, p.f, lockOf(unix.F_WRLCK, 0, 1), false, true), unix.EDEADLK, "closing the circle")
		p.tab.Unref(p.ctx)
	})
	time.Sleep(5 * time.Millisecond)
	w.k.Do(func() { ps[1].tab.Unref(ps[1].ctx) })
	w.k.Wait()
}
