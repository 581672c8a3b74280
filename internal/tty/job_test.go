package tty_test

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// controlled is a terminal that session 100 has, of which group 100 is in the
// foreground; 101 is another of its groups, 200 one of another session.
func controlled(t *testing.T) *ours {
	o := newOurs(t)
	o.kernel.sessions = map[int]int{100: 100, 101: 100, 200: 200}
	o.kernel.caller = tty.Caller{Session: 100, Group: 100, Leader: true}
	if err := o.ioctl(false, unix.TIOCSCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if o.kernel.caller.TTY == nil || o.kernel.caller.TTY.Foreground() != 100 {
		t.Fatal("not controlled")
	}
	o.kernel.take()
	return o
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAcquire(t *testing.T) {
	o := newOurs(t)
	k := o.kernel
	k.caller = tty.Caller{Session: 100, Group: 101}
	want(t, "no leader", o.ioctl(false, unix.TIOCSCTTY, 0), error(unix.EPERM))
	open := func(flags int) {
		t.Helper()
		f, err := tty.OpenPeer(o.ctx, o.master, flags)
		if err != nil {
			t.Fatal(err)
		}
		f.Unref(o.ctx)
	}
	k.caller.Leader = true
	open(unix.O_RDWR | unix.O_NOCTTY)
	open(unix.O_WRONLY)
	want(t, "opening without", k.take(), "[]")
	open(unix.O_RDWR)
	want(t, "opening", k.take(), "[session 100 has true]")
	me := k.caller.TTY
	want(t, "again", o.ioctl(false, unix.TIOCSCTTY, 0), nil)
	k.caller = tty.Caller{Session: 200, Group: 200, Leader: true}
	o.ctx.Creds.Caps = 0
	want(t, "another session", o.ioctl(false, unix.TIOCSCTTY, 1), error(unix.EPERM))
	want(t, "not ours", o.ioctl(false, unix.TIOCGSID, new(int32)), error(unix.ENOTTY))
	var sid int32
	want(t, "by the master", o.ioctl(true, unix.TIOCGSID, &sid), nil)
	want(t, "session", sid, int32(100))
	o.ctx.Creds.Caps = ^uint64(0)
	want(t, "stealing", o.ioctl(false, unix.TIOCSCTTY, 1), nil)
	want(t, "stolen", k.take(), "[session 100 has false session 200 has true]")
	want(t, "TTY", k.caller.TTY, me)
	want(t, "giving up", o.ioctl(false, unix.TIOCNOTTY, 0), nil)
	want(t, "given up", k.take(), "[session 200 has false SIGHUP to 200 SIGCONT to 200]")
	want(t, "twice", o.ioctl(false, unix.TIOCNOTTY, 0), error(unix.ENOTTY))
}

func TestForeground(t *testing.T) {
	o := controlled(t)
	k := o.kernel
	group := func(n int32) *int32 { return &n }
	want(t, "no group", o.ioctl(false, unix.TIOCSPGRP, group(300)), error(unix.ESRCH))
	want(t, "foreign group", o.ioctl(false, unix.TIOCSPGRP, group(200)), error(unix.EPERM))
	want(t, "negative", o.ioctl(false, unix.TIOCSPGRP, group(-5)), error(unix.EINVAL))
	want(t, "ours", o.ioctl(false, unix.TIOCSPGRP, group(101)), nil)
	var g int32
	want(t, "TIOCGPGRP", o.ioctl(false, unix.TIOCGPGRP, &g), nil)
	want(t, "foreground", g, int32(101))
	o.write(true, []byte("\x03\x1c\x1a"))
	want(t, "keys", k.take(), "[SIGINT to 101 SIGQUIT to 101 SIGTSTP to 101]")
	size := unix.Winsize{Row: 3}
	o.ioctl(false, unix.TIOCSWINSZ, &size)
	o.ioctl(true, unix.TIOCSWINSZ, &size)
	want(t, "resize", k.take(), "[SIGWINCH to 101]")
	want(t, "TIOCSIG", o.ioctl(true, unix.TIOCSIG, int(unix.SIGTSTP)), nil)
	want(t, "sent", k.take(), "[SIGTSTP to 101]")
}

func TestBackground(t *testing.T) {
	o := controlled(t)
	k := o.kernel
	o.write(true, []byte("line\n"))
	o.read(true, 100)
	k.caller.Group, k.caller.Leader = 101, false
	read := func() error { _, err := o.read(false, 10); return err }
	write := func() error { _, err := o.write(false, []byte("x")); return err }
	attrs := func(cmd uint) error {
		var v abi.Termios
		o.ioctl(true, unix.TCGETS, &v)
		return o.ioctl(false, cmd, &v)
	}
	group := int32(101)

	want(t, "read", read(), wait.ErrInterrupted)
	want(t, "signal", k.take(), "[SIGTTIN to 101]")
	want(t, "write", write(), nil)
	want(t, "TCSETS", attrs(unix.TCSETS), wait.ErrInterrupted)
	want(t, "TCFLSH", o.ioctl(false, unix.TCFLSH, 0), wait.ErrInterrupted)
	want(t, "TIOCSPGRP", o.ioctl(false, unix.TIOCSPGRP, &group), wait.ErrInterrupted)
	want(t, "signal", k.take(), "[SIGTTOU to 101 SIGTTOU to 101 SIGTTOU to 101]")

	k.orphaned = true
	want(t, "orphan's read", read(), error(unix.EIO))
	want(t, "orphan's TCSETS", attrs(unix.TCSETS), error(unix.EIO))
	want(t, "orphan's TIOCSPGRP", o.ioctl(false, unix.TIOCSPGRP, &group), error(unix.ENOTTY))
	k.orphaned, k.ignores = false, true
	want(t, "read, ignoring", read(), error(unix.EIO))
	want(t, "TCSETS, ignoring", attrs(unix.TCSETS), nil)
	want(t, "signal", k.take(), "[]")

	if s := local(unix.TOSTOP, 0)(o); s != "set" {
		t.Error(s)
	}
	want(t, "TOSTOP, ignoring", write(), nil)
	k.ignores = false
	want(t, "TOSTOP", write(), wait.ErrInterrupted)
	want(t, "signal", k.take(), "[SIGTTOU to 101]")

	// It is nothing to those whose terminal it is not.
	k.caller = tty.Caller{Session: 200, Group: 200}
	want(t, "a stranger's read", read(), nil)
	want(t, "a stranger's write", write(), nil)
}

func TestHangup(t *testing.T) {
	o := controlled(t)
	k := o.kernel
	o.close(true)
	want(t, "kernel", k.take(), "[hang up 100 100]")
	if _, err := tty.OpenControlling(o.ctx, k, unix.O_RDWR); err != unix.ENXIO {
		t.Errorf("/dev/tty: %v", err)
	}
	o.close(false)

	o = controlled(t)
	k = o.kernel
	if _, err := tty.OpenControlling(o.ctx, k, unix.O_RDWR); err != nil {
		t.Errorf("/dev/tty: %v", err)
	}
	k.caller.TTY.SessionEnded(true)
	want(t, "leader's exit", k.take(), "[session 100 has false SIGHUP to 100]")

	// vhangup: the terminal can be opened again.
	o = controlled(t)
	want(t, "TIOCVHANGUP", o.ioctl(false, unix.TIOCVHANGUP, 0), nil)
	if _, err := o.write(false, []byte("x")); err != unix.EIO {
		t.Errorf("write: %v", err)
	}
	again, err := tty.OpenPeer(o.ctx, o.master, unix.O_RDWR|unix.O_NOCTTY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Write(o.ctx, []byte("x")); err != nil {
		t.Error(err)
	}
}

// blocking makes a terminal for tasks that wait.
func blocking(t *testing.T) (*waittest.Kernel, *fakeKernel, *vfs.File, *vfs.File) {
	var k waittest.Kernel
	fk := &fakeKernel{}
	var m, s *vfs.File
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		fs := tty.NewFS(fk, 0, tty.Options{})
		ptmx, _ := fs.Root().(vfs.Lookuper).Lookup(ctx, "ptmx")
		impl, err := fs.OpenMaster(ctx)
		if err != nil {
			t.Fatal(err)
		}
		m = vfs.NewFile(vfs.Path{}, ptmx, impl, unix.O_RDWR)
		impl.(vfs.Ioctler).Ioctl(ctx, m, unix.TIOCSPTLCK, 8, memory(make([]byte, 4)))
		if s, err = tty.OpenPeer(ctx, m, unix.O_RDWR); err != nil {
			t.Fatal(err)
		}
	})
	return &k, fk, m, s
}

func setRaw(f *vfs.File, ctx vfs.Context, min, time byte) {
	v := abi.Termios{}
	v.Cc[unix.VMIN], v.Cc[unix.VTIME] = min, time
	f.Impl.(vfs.Ioctler).Ioctl(ctx, f, unix.TCSETS, 8, memory(encode(v)))
}

func TestWaiting(t *testing.T) {
	k, _, m, s := blocking(t)
	const lines = 3000
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		b := make([]byte, 4096)
		for range lines {
			if n, err := s.Read(ctx, b); string(b[:n]) != "0123456789\n" || err != nil {
				t.Errorf("%q, %v", b[:n], err)
				return
			}
			s.Write(ctx, []byte("answer\n"))
		}
		s.Unref(ctx)
	})
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		for range lines {
			if n, err := m.Write(ctx, []byte("0123456789\n")); n != 11 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	})
	total := 0
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		b := make([]byte, 4096)
		for {
			n, err := m.Read(ctx, b)
			if err != nil {
				want(t, "the end", err, error(unix.EIO))
				break
			}
			total += n
		}
	})
	k.Wait()
	want(t, "bytes out", total, lines*(12+8))
}

func TestTimes(t *testing.T) {
	k, _, m, s := blocking(t)
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		setRaw(s, ctx, 0, 1)
		start := task.Now()
		if n, err := s.Read(ctx, make([]byte, 5)); n != 0 || err != nil || task.Now()-start < 1e8 {
			t.Errorf("VTIME: %d, %v after %d ns", n, err, task.Now()-start)
		}
		setRaw(s, ctx, 5, 1)
		m.Write(ctx, []byte("ab"))
		if n, err := s.Read(ctx, make([]byte, 9)); n != 2 || err != nil {
			t.Errorf("VMIN and VTIME: %d, %v", n, err)
		}
		m.Write(ctx, []byte("abcdefg"))
		if n, err := s.Read(ctx, make([]byte, 9)); n != 7 || err != nil {
			t.Errorf("VMIN and VTIME: %d, %v", n, err)
		}
	})
	k.Wait()
	// VMIN waits for all, however they come.
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		setRaw(s, ctx, 5, 0)
		if n, err := s.Read(ctx, make([]byte, 9)); n != 6 || err != nil {
			t.Errorf("VMIN: %d, %v", n, err)
		}
	})
	for range 2 {
		k.Go(func(task *waittest.Task) {
			task.Sleep(task.Now() + 2e7)
			m.Write(vfstest.Root(task), []byte("xyz"))
		})
	}
	k.Wait()
	// A hang-up ends a read with 0.
	k.Go(func(task *waittest.Task) {
		if n, err := s.Read(vfstest.Root(task), make([]byte, 9)); n != 0 || err != nil {
			t.Errorf("hang-up: %d, %v", n, err)
		}
	})
	k.Go(func(task *waittest.Task) { m.Unref(vfstest.Root(task)) })
	k.Wait()
}

func BenchmarkEcho(b *testing.B) {
	o := newOurs(b)
	line, buf := []byte("ls -l\n"), make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		o.master.Write(o.ctx, line)
		o.slave.Read(o.ctx, buf)
		o.master.Read(o.ctx, buf)
	}
}

func BenchmarkPrint(b *testing.B) {
	o := newOurs(b)
	text, buf := make([]byte, 4000), make([]byte, 4200)
	for i := range text {
		text[i] = 'x'
		if i%80 == 79 {
			text[i] = '\n'
		}
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		o.slave.Write(o.ctx, text)
		o.master.Read(o.ctx, buf)
	}
}
