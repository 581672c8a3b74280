package pipe_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/sysemu/sysemu/internal/pipe"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// TestAgainstHost does the same random reads, writes, polls and resizes on a
// pipe of the host and on ours.
func TestAgainstHost(t *testing.T) {
	for seed := range 40 {
		for _, flags := range []int{unix.O_NONBLOCK, unix.O_NONBLOCK | unix.O_DIRECT} {
			t.Run(fmt.Sprintf("%d/%#x", seed, flags), func(t *testing.T) { againstHost(t, int64(seed), flags) })
		}
	}
}

func againstHost(t *testing.T, seed int64, flags int) {
	rng := rand.New(rand.NewSource(seed))
	var host [2]int
	if err := unix.Pipe2(host[:], flags); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(host[0])
	defer unix.Close(host[1])
	var k waittest.Kernel
	ctx := vfstest.User(k.NewTask(), 1000, 1000)
	r, w := pipe.New(ctx, 1, 2, flags)
	defer r.Unref(ctx)
	defer w.Unref(ctx)
	sizes := []int{1, 2, 100, 3000, 4095, 4096, 4097, 5000, 8192, 9000, 65536, 70000}
	for step := range 300 {
		n := sizes[rng.Intn(len(sizes))]
		var what string
		var hn, on int
		var herr, oerr error
		switch op := rng.Intn(10); {
		case op < 4:
			what = fmt.Sprint("write ", n)
			b := make([]byte, n)
			rng.Read(b)
			hn, herr = unix.Write(host[1], b)
			on, oerr = w.Write(ctx, b)
		case op < 8:
			what = fmt.Sprint("read ", n)
			hb, ob := make([]byte, n), make([]byte, n)
			hn, herr = unix.Read(host[0], hb)
			on, oerr = r.Read(ctx, ob)
			if !bytes.Equal(hb, ob) {
				t.Fatalf("step %d: %s: other bytes", step, what)
			}
		case op < 9:
			size := 1 << (10 + rng.Intn(9))
			what = fmt.Sprint("resize ", size)
			hn, herr = unix.FcntlInt(uintptr(host[1]), unix.F_SETPIPE_SZ, size)
			on, oerr = pipe.Of(w).SetSize(ctx.Cred(), uint64(size))
		default:
			what = "FIONREAD"
			hn, herr = unix.IoctlGetInt(host[0], unix.TIOCINQ)
			on = pipe.Of(r).Len()
		}
		hn, on = max(hn, 0), max(on, 0)
		if hn != on || !errors.Is(oerr, herr) && (herr != nil || oerr != nil) {
			t.Fatalf("step %d: %s: %d, %v; the host says %d, %v", step, what, on, oerr, hn, herr)
		}
		samePoll(t, ctx, r, host[0])
		samePoll(t, ctx, w, host[1])
	}
}

func poll(ctx vfs.Context, f *vfs.File) wait.Events {
	ev, _ := f.Impl.(vfs.Poller).Poll(ctx, f)
	return ev
}

func samePoll(t *testing.T, ctx vfs.Context, f *vfs.File, host int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(host), Events: 0x3ff}}
	_, err := unix.Poll(fds, 0)
	for err == unix.EINTR { // the runtime's own signals
		_, err = unix.Poll(fds, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if ev := poll(ctx, f); ev != wait.Events(fds[0].Revents) {
		t.Fatalf("poll: %#x; the host says %#x", ev, fds[0].Revents)
	}
}

func TestBrokenEnds(t *testing.T) {
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	for _, closed := range []int{0, 1} {
		var host [2]int
		if err := unix.Pipe(host[:]); err != nil {
			t.Fatal(err)
		}
		r, w := pipe.New(ctx, 1, 2, 0)
		w.Write(ctx, []byte("left"))
		unix.Write(host[1], []byte("left"))
		ends := []*vfs.File{r, w}
		ends[closed].Unref(ctx)
		unix.Close(host[closed])
		samePoll(t, ctx, ends[1-closed], host[1-closed])
		if closed == 0 {
			if _, err := w.Write(ctx, []byte("x")); err != unix.EPIPE {
				t.Errorf("write without reader: %v", err)
			}
		} else {
			b := make([]byte, 10)
			if n, err := r.Read(ctx, b); n != 4 || err != nil {
				t.Errorf("read what is left: %d, %v", n, err)
			}
			if n, err := r.Read(ctx, b); n != 0 || err != nil {
				t.Errorf("read at the end: %d, %v", n, err)
			}
		}
		unix.Close(host[1-closed])
		ends[1-closed].Unref(ctx)
	}
}

func TestLimits(t *testing.T) {
	var k waittest.Kernel
	user, root := vfstest.User(k.NewTask(), 1, 1), vfstest.Root(k.NewTask())
	r, _ := pipe.New(user, 1, 2, 0)
	p := pipe.Of(r)
	for _, c := range []struct {
		ctx  vfs.Context
		size uint64
		n    int
		err  error
	}{
		{user, 0, 4096, nil},
		{user, 5000, 8192, nil},
		{user, 1 << 20, 1 << 20, nil},
		{user, 1<<20 + 1, 0, unix.EPERM},
		{root, 1<<20 + 1, 2 << 20, nil},
		{root, 1 << 31, 1 << 31, nil},
		{root, 1<<31 + 1, 0, unix.EINVAL},
	} {
		if n, err := p.SetSize(c.ctx.Cred(), c.size); n != c.n || err != c.err {
			t.Errorf("SetSize(%d): %d, %v, want %d, %v", c.size, n, err, c.n, c.err)
		}
	}
}

func TestBlocking(t *testing.T) {
	var k waittest.Kernel
	var r, w *vfs.File
	const total = 300000
	k.Do(func() { r, w = pipe.New(vfstest.Root(k.NewTask()), 1, 2, 0) })
	var got []byte
	sent := make([]byte, total)
	rand.New(rand.NewSource(1)).Read(sent)
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		if n, err := w.Write(ctx, sent); n != total || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		w.Unref(ctx)
	})
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		for b := make([]byte, 7000); ; {
			n, err := r.Read(ctx, b)
			if err != nil {
				t.Error(err)
			}
			if n == 0 {
				break
			}
			got = append(got, b[:n]...)
		}
		r.Unref(ctx)
	})
	k.Wait()
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came, not those sent", len(got))
	}
}

// TestManyReaders: every byte wakes somebody, and none is left asleep.
func TestManyReaders(t *testing.T) {
	var k waittest.Kernel
	var r, w *vfs.File
	k.Do(func() { r, w = pipe.New(vfstest.Root(k.NewTask()), 1, 2, 0) })
	var got int
	for range 5 {
		k.Go(func(task *waittest.Task) {
			for b := make([]byte, 1); ; got++ {
				if n, _ := r.Read(vfstest.Root(task), b); n == 0 {
					return
				}
			}
		})
	}
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		for range 500 {
			w.Write(ctx, []byte("abc"))
		}
		w.Unref(ctx)
	})
	k.Wait()
	if got != 1500 {
		t.Errorf("%d bytes read", got)
	}
}

func TestInterrupted(t *testing.T) {
	var k waittest.Kernel
	var r *vfs.File
	k.Do(func() { r, _ = pipe.New(vfstest.Root(k.NewTask()), 1, 2, 0) })
	task := k.Go(func(task *waittest.Task) {
		if n, err := r.Read(vfstest.Root(task), make([]byte, 1)); n != 0 || err != wait.ErrInterrupted {
			t.Errorf("read: %d, %v", n, err)
		}
	})
	task.Interrupt()
	k.Wait()
}

func TestSplice(t *testing.T) {
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	ar, aw := pipe.New(ctx, 1, 2, unix.O_NONBLOCK)
	br, bw := pipe.New(ctx, 1, 3, unix.O_NONBLOCK)
	a, b := pipe.Of(ar), pipe.Of(br)
	read := func(f *vfs.File) string {
		buf := make([]byte, 1<<20)
		n, _ := f.Read(ctx, buf)
		return string(buf[:n])
	}
	aw.Write(ctx, []byte("hello, world"))
	if n, err := pipe.Tee(ctx, b, a, 5, true); n != 5 || err != nil {
		t.Fatalf("tee: %d, %v", n, err)
	}
	bw.Write(ctx, []byte("!"))
	aw.Write(ctx, []byte("..."))
	if n, err := pipe.Splice(ctx, b, a, 8, true); n != 8 || err != nil {
		t.Fatalf("splice: %d, %v", n, err)
	}
	if s := read(ar); s != "orld..." {
		t.Errorf("left %q", s)
	}
	if s := read(br); s != "hello!hello, w" {
		t.Errorf("moved %q", s)
	}
	if _, err := pipe.Splice(ctx, a, a, 1, true); err != unix.EINVAL {
		t.Errorf("onto itself: %v", err)
	}
	if _, err := pipe.Splice(ctx, b, a, 1, true); err != unix.EAGAIN {
		t.Errorf("empty: %v", err)
	}

	// A sink that takes little, then nothing, loses nothing.
	aw.Write(ctx, bytes.Repeat([]byte("0123456789"), 1000))
	var sunk []byte
	n, err := a.SpliceTo(ctx, 6000, true, func(p []byte) (int, error) {
		c := min(len(p), 5000)
		sunk = append(sunk, p[:c]...)
		return c, nil
	})
	if n != 6000 || err != nil {
		t.Errorf("SpliceTo: %d, %v", n, err)
	}
	n, err = a.SpliceTo(ctx, 6000, true, func(p []byte) (int, error) {
		sunk = append(sunk, p[:3]...)
		return 3, unix.ENOSPC
	})
	if n != 3 || err != nil {
		t.Errorf("SpliceTo with an error after bytes: %d, %v", n, err)
	}
	if n, err = a.SpliceTo(ctx, 1, true, func([]byte) (int, error) { return 0, unix.EIO }); n != 0 || err != unix.EIO {
		t.Errorf("SpliceTo with an error: %d, %v", n, err)
	}
	sunk = append(sunk, read(ar)...)
	if !bytes.Equal(sunk, bytes.Repeat([]byte("0123456789"), 1000)) {
		t.Errorf("sunk %d bytes, not those written", len(sunk))
	}

	src := bytes.NewReader(make([]byte, 100000))
	n, err = a.SpliceFrom(ctx, 1<<20, true, func(p []byte) (int, error) { n, _ := src.Read(p); return n, nil })
	if n != pipe.DefaultSize || err != nil {
		t.Errorf("SpliceFrom: %d, %v", n, err)
	}
	if n, err = a.SpliceFrom(ctx, 1, true, nil); n != 0 || err != unix.EAGAIN {
		t.Errorf("SpliceFrom when full: %d, %v", n, err)
	}
	ar.Unref(ctx)
	if _, err = a.SpliceFrom(ctx, 1, true, nil); err != unix.EPIPE {
		t.Errorf("SpliceFrom without a reader: %v", err)
	}
}

// fifo opens named pipes of one inode.
type fifo struct{ vfs.Node }

func (*fifo) Attr(vfs.Context) (vfs.Attr, error) { return vfs.Attr{Mode: unix.S_IFIFO | 0o600}, nil }

func fifoPath(ctx vfs.Context, in vfs.Inode) vfs.Path {
	p, err := vfs.NewFile(vfs.Path{}, in, nil, 0).Place(ctx)
	if err != nil {
		panic(err)
	}
	return p
}

func TestFIFO(t *testing.T) {
	var k waittest.Kernel
	in := &fifo{}
	ctx := vfstest.Root(k.NewTask())
	p := fifoPath(ctx, in)
	if _, err := pipe.OpenFIFO(ctx, p, unix.O_WRONLY|unix.O_NONBLOCK); err != unix.ENXIO {
		t.Errorf("writer without reader: %v", err)
	}
	if in.Extra().Bound != nil {
		t.Error("a pipe is left")
	}
	// Each waits for the other.
	var r, w vfs.Impl
	k.Go(func(task *waittest.Task) {
		var err error
		if r, err = pipe.OpenFIFO(vfstest.Root(task), p, unix.O_RDONLY); err != nil {
			t.Error(err)
		}
	})
	k.Go(func(task *waittest.Task) {
		var err error
		if w, err = pipe.OpenFIFO(vfstest.Root(task), p, unix.O_WRONLY); err != nil {
			t.Error(err)
		}
	})
	k.Wait()
	rf, wf := vfs.NewFile(p, in, r, unix.O_RDONLY), vfs.NewFile(p, in, w, unix.O_WRONLY)
	wf.Write(ctx, []byte("x"))
	if n, err := rf.Read(ctx, make([]byte, 3)); n != 1 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
	rf.Unref(ctx)
	wf.Unref(ctx)
	if in.Extra().Bound != nil {
		t.Error("a pipe is left")
	}
	// A reader that came first sees no hang-up until a writer has gone.
	r, err := pipe.OpenFIFO(ctx, p, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	rf = vfs.NewFile(p, in, r, unix.O_RDONLY|unix.O_NONBLOCK)
	if n, err := rf.Read(ctx, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read without a writer: %d, %v", n, err)
	}
	if ev := poll(ctx, rf); ev != 0 {
		t.Errorf("poll: %#x", ev)
	}
	w, err = pipe.OpenFIFO(ctx, p, unix.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rf.Read(ctx, make([]byte, 1)); err != unix.EAGAIN {
		t.Errorf("read: %v", err)
	}
	w.Release(ctx)
	if ev := poll(ctx, rf); ev != wait.Hup {
		t.Errorf("poll: %#x", ev)
	}
	rf.Unref(ctx)
	// A signal while waiting takes the end back.
	task := k.Go(func(task *waittest.Task) {
		if _, err := pipe.OpenFIFO(vfstest.Root(task), p, unix.O_RDONLY); err != wait.ErrInterrupted {
			t.Error(err)
		}
	})
	task.Interrupt()
	k.Wait()
	if in.Extra().Bound != nil {
		t.Error("a pipe is left")
	}
}

// turns is two tasks on one goroutine: Sleep runs the other.
type turns struct {
	*waittest.Task
	other func()
	wakes int
}

func (s *turns) Sleep(int64) error { s.other(); return nil }
func (s *turns) Wakeup()           { s.wakes++ }

// BenchmarkPingPong is a byte there and back with the reader asleep, as two
// processes do it: it must not allocate.
func BenchmarkPingPong(b *testing.B) {
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	r, w := pipe.New(ctx, 1, 2, 0)
	p := pipe.Of(r)
	buf := []byte{1}
	s := &turns{Task: ctx.Task}
	s.other = func() {
		if n, err := w.Write(ctx, buf); n != 1 || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if n, err := p.Read(s, buf, false); n != 1 || err != nil {
			b.Fatal(n, err)
		}
	}
	if s.wakes != b.N {
		b.Errorf("%d wake-ups for %d bytes", s.wakes, b.N)
	}
}

func TestPingPongAllocatesNothing(t *testing.T) {
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	r, w := pipe.New(ctx, 1, 2, 0)
	p := pipe.Of(r)
	buf := []byte{1}
	s := &turns{Task: ctx.Task}
	s.other = func() { w.Write(ctx, buf) }
	// A GC in between may empty the pool of wait entries: hence below 1, not 0.
	if n := testing.AllocsPerRun(1000, func() { p.Read(s, buf, false) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStream(b *testing.B) {
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	r, w := pipe.New(ctx, 1, 2, unix.O_NONBLOCK)
	buf := make([]byte, 65536)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		w.Write(ctx, buf)
		r.Read(ctx, buf)
	}
}
