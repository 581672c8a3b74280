package tty_test

import (
	"io"
	"testing"

	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

func TestConsole(t *testing.T) {
	var k waittest.Kernel
	fk := &fakeKernel{}
	var c *tty.Console
	var f *vfs.File
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		fs := tty.NewFS(fk, 0, tty.Options{})
		var err error
		if c, err = fs.NewConsole(ctx.Cred(), 0, k.Do); err == nil {
			f, err = c.OpenSlave(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	// A program that doubles lines until the end of file.
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		for b := make([]byte, 200); ; {
			n, err := f.Read(ctx, b)
			if n == 0 || err != nil {
				break
			}
			f.Write(ctx, b[:n])
		}
		f.Write(ctx, []byte("bye"))
		f.Unref(ctx)
	})
	const lines = 2000
	go func() {
		for range lines {
			if n, err := c.Write([]byte("hello\r")); n != 6 || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
		}
		c.Write([]byte{4})
	}()
	var got []byte
	for b := make([]byte, 100); len(got) < lines*14+3; {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	k.Wait()
	if s := string(got[len(got)-5:]); s != "\r\nbye" {
		t.Errorf("the end is %q", s)
	}
	c.Resize(unix.Winsize{Row: 24, Col: 80})
	k.Do(func() { f = nil })
	done := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); done <- err }()
	c.Close()
	if err := <-done; err != io.EOF {
		t.Errorf("read after Close: %v", err)
	}
	if _, err := c.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("write after Close: %v", err)
	}
	c.Close()
}

// TestDevpts opens terminals by name.
func TestDevpts(t *testing.T) {
	var k waittest.Kernel
	ctx := vfstest.User(k.NewTask(), 1000, 1000)
	fk := &fakeKernel{}
	fs := tty.NewFS(fk, 0, tty.Options{Dev: 9, Max: 2})
	ns, err := vfs.NewNamespace(ctx, fs, 0, "devpts")
	if err != nil {
		t.Fatal(err)
	}
	root := ns.Root()
	at := vfs.At{Root: root, Dir: root}
	open := func(name string, flags int) (*vfs.File, error) {
		return vfs.Open(ctx, at, name, flags, 0, 0)
	}
	names := func() string {
		d, err := open("/", unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Unref(ctx)
		s := ""
		d.ReadDir(ctx, func(e vfs.DirEntry) bool { s += e.Name + " "; return true })
		return s
	}
	m0, err := open("/ptmx", unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	m1, err := open("/ptmx", unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open("/ptmx", unix.O_RDWR); err != unix.ENOSPC {
		t.Errorf("a third: %v", err)
	}
	want(t, "names", names(), ". .. ptmx 0 1 ")
	a, err := vfs.Stat(ctx, at, "/1", 0)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "mode", a.Mode, uint32(unix.S_IFCHR|0o620))
	want(t, "owner", a.UID, uint32(1000))
	want(t, "group", a.GID, uint32(5))
	want(t, "device", a.Rdev, unix.Mkdev(136, 1))
	if _, err := open("/1", unix.O_RDWR); err != unix.EIO {
		t.Errorf("locked: %v", err)
	}
	m1.Impl.(vfs.Ioctler).Ioctl(ctx, m1, unix.TIOCSPTLCK, 8, memory(make([]byte, 4)))
	s1, err := open("/1", unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "name", s1.Name(root), "/1")
	p1, err := tty.OpenPeer(ctx, m1, unix.O_RDWR|unix.O_NOCTTY)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "peer's name", p1.Name(root), "/dev/pts/1")
	p1.Unref(ctx)
	m0.Unref(ctx)
	want(t, "names", names(), ". .. ptmx 1 ")
	if _, err := vfs.Stat(ctx, at, "/0", 0); err != unix.ENOENT {
		t.Errorf("closed: %v", err)
	}
	m1.Unref(ctx)
	want(t, "names", names(), ". .. ptmx ")
	m2, err := open("/ptmx", unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "1 is still open", names(), ". .. ptmx 0 ")
	s1.Unref(ctx)
	m2.Unref(ctx)
}

// TestTransparent has a console that stands for another terminal: output
// passes as it is, and Read tells in order what programs want.
func TestTransparent(t *testing.T) {
	var k waittest.Kernel
	var c *tty.Console
	var f *vfs.File
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		fs := tty.NewFS(&fakeKernel{}, 0, tty.Options{})
		var err error
		if c, err = fs.NewConsole(ctx.Cred(), 0, k.Do); err == nil {
			f, err = c.OpenSlave(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	c.Lend()
	read := func(want string, wantErr error) {
		t.Helper()
		b := make([]byte, 100)
		n, err := c.Read(b)
		if string(b[:n]) != want || err != wantErr {
			t.Fatalf("read %q, %v; want %q, %v", b[:n], err, want, wantErr)
		}
	}
	k.Go(func(task *waittest.Task) {
		ctx := vfstest.Root(task)
		f.Write(ctx, []byte("one\n"))
		f.Impl.(vfs.Poller).Poll(ctx, f)
		b := make([]byte, 10)
		n, _ := f.Read(ctx, b)
		f.Write(ctx, append([]byte("got "), b[:n]...))
		f.Unref(ctx)
	})
	read("one\n", nil)
	for polled := false; ; polled = true {
		_, err := c.Read(make([]byte, 10))
		if err == tty.ErrWanted {
			break // perhaps at once: the program did not wait between
		}
		if err != tty.ErrPolled || polled {
			t.Fatal(err)
		}
	}
	// Somebody else's output waits until the console is settled.
	printed := make(chan struct{})
	k.Go(func(task *waittest.Task) {
		f.Write(vfstest.Root(task), []byte("other\n"))
		close(printed)
	})
	if n, err := c.WriteEchoed([]byte("line\n")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	select {
	case <-printed:
		t.Error("printed before the console was settled")
	default:
	}
	c.Settle()
	var got []byte
	for len(got) < len("other\ngot line\n") {
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if s := string(got); s != "other\ngot line\n" && s != "got line\nother\n" {
		t.Errorf("printed %q", s)
	}
	k.Wait()
	c.Close()
	read("", io.EOF)
}
