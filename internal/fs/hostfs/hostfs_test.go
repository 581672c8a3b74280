package hostfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// world is a host directory mounted at / of a guest.
type world struct {
	t    testing.TB
	k    waittest.Kernel
	ctx  *vfstest.Context
	fs   *FS
	ns   *vfs.Namespace
	at   vfs.At
	host string
}

func newWorld(t testing.TB, host string, o Options) *world {
	t.Helper()
	before := descriptors(t)
	fs, err := New(host, o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, fs: fs, host: host}
	w.ctx = vfstest.Root(w.k.NewTask())
	w.k.Do(func() {
		w.ns, err = vfs.NewNamespace(w.ctx, fs, 0, host)
		if err != nil {
			t.Fatal(err)
		}
		root := w.ns.Root()
		w.at = vfs.At{Root: root, Dir: root}
	})
	t.Cleanup(func() {
		w.k.Do(func() {
			w.at.Root.Unref()
			w.ns.Unref()
		})
		if n := fs.HostFiles(); n != 0 {
			t.Errorf("%d host descriptors are left", n)
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
	return w
}

func descriptors(t testing.TB) int {
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// do runs f as a system call.
func (w *world) do(f func() error) (err error) {
	w.k.Do(func() { err = f() })
	return err
}

func (w *world) want(what string, err, want error) {
	w.t.Helper()
	if err != want {
		w.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *world) open(name string, flags int, mode uint32) (f *vfs.File, err error) {
	err = w.do(func() (err error) { f, err = vfs.Open(w.ctx, w.at, name, flags, mode, 0); return err })
	return f, err
}

func (w *world) close(f *vfs.File) { w.do(func() error { f.Unref(w.ctx); return nil }) }

func (w *world) stat(name string) (a vfs.Attr, err error) {
	err = w.do(func() (err error) { a, err = vfs.Stat(w.ctx, w.at, name, 0); return err })
	return a, err
}

func (w *world) readAll(f *vfs.File) (string, error) {
	var b bytes.Buffer
	p := make([]byte, 8192)
	err := w.do(func() error {
		for {
			n, err := f.Read(w.ctx, p)
			if n == 0 || err != nil {
				return err
			}
			b.Write(p[:n])
		}
	})
	return b.String(), err
}

func (w *world) read(name string) (string, error) {
	f, err := w.open(name, unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer w.close(f)
	return w.readAll(f)
}

func (w *world) write(name string, flags int, s string) error {
	f, err := w.open(name, unix.O_WRONLY|flags, 0o644)
	if err != nil {
		return err
	}
	defer w.close(f)
	return w.do(func() error { _, err := f.Write(w.ctx, []byte(s)); return err })
}

func (w *world) list(name string) ([]string, error) {
	f, err := w.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer w.close(f)
	var names []string
	err = w.do(func() error {
		return f.ReadDir(w.ctx, func(e vfs.DirEntry) bool { names = append(names, e.Name); return true })
	})
	slices.Sort(names)
	return names, err
}

func hostWrite(t testing.TB, s string, path ...string) {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}

func hostRead(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAttributesAreTheHosts(t *testing.T) {
	dir := t.TempDir()
	hostWrite(t, "hello", dir, "a/b/file")
	os.Symlink("a/b", filepath.Join(dir, "link"))
	unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600)
	os.Chmod(filepath.Join(dir, "a/b/file"), 0o755|os.ModeSetuid)
	for _, o := range []Options{{}, {ReadOnly: true, Stable: true}} {
		w := newWorld(t, dir, o)
		for _, name := range []string{"a", "a/b", "a/b/file", "link", "link/file", "fifo", "."} {
			a, err := w.stat(name)
			w.must(name, err)
			var st unix.Stat_t
			w.must(name, unix.Lstat(filepath.Join(dir, name), &st))
			g := a.Stat()
			if g != st {
				t.Errorf("%s: %+v, on the host %+v", name, g, st)
			}
			if a.Btime == 0 {
				t.Errorf("%s: no time of birth", name)
			}
		}
		if s, err := w.read("link/file"); s != "hello" || err != nil {
			t.Errorf("read: %q, %v", s, err)
		}
	}
}

func TestChangesReachTheHost(t *testing.T) {
	unix.Umask(0o077) // this process's, not the guest's
	defer unix.Umask(0o022)
	dir := t.TempDir()
	w := newWorld(t, dir, Options{})
	ctx, at := w.ctx, w.at
	w.must("create", w.write("f", unix.O_CREAT|unix.O_EXCL, "one"))
	w.want("create again", w.write("f", unix.O_CREAT|unix.O_EXCL, "one"), unix.EEXIST)
	w.must("append", w.write("f", unix.O_APPEND, "two"))
	if s := hostRead(t, dir, "f"); s != "onetwo" {
		t.Errorf("%q", s)
	}
	check := func(name string, mode uint32) {
		t.Helper()
		var st unix.Stat_t
		w.must(name, unix.Lstat(filepath.Join(dir, name), &st))
		if st.Mode != mode {
			t.Errorf("%s has mode %o, want %o", name, st.Mode, mode)
		}
	}
	check("f", unix.S_IFREG|0o644)
	w.must("mkdir", w.do(func() error { return vfs.Mkdir(ctx, at, "d", 0o777) }))
	check("d", unix.S_IFDIR|0o755)
	w.must("mkdir", w.do(func() error { return vfs.Mkdir(ctx, at, "d/locked", 0) }))
	check("d/locked", unix.S_IFDIR)
	w.must("rmdir", w.do(func() error { return vfs.Rmdir(ctx, at, "d/locked") }))
	w.must("fifo", w.do(func() error { return vfs.Mknod(ctx, at, "d/fifo", unix.S_IFIFO|0o666, 0) }))
	check("d/fifo", unix.S_IFIFO|0o644)
	w.want("device", w.do(func() error { return vfs.Mknod(ctx, at, "d/null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3)) }), unix.EPERM)
	w.must("whiteout", w.do(func() error { return vfs.Mknod(ctx, at, "d/gone", unix.S_IFCHR, 0) }))
	w.must("symlink", w.do(func() error { return vfs.Symlink(ctx, "../f", at, "d/l") }))
	if s, err := w.read("d/l"); s != "onetwo" || err != nil {
		t.Errorf("through the link: %q, %v", s, err)
	}
	w.must("link", w.do(func() error { return vfs.Link(ctx, at, "f", at, "d/hard", 0) }))
	a, _ := w.stat("f")
	b, _ := w.stat("d/hard")
	if a != b || a.Nlink != 2 {
		t.Errorf("hard link: %+v and %+v", a, b)
	}
	w.want("rmdir", w.do(func() error { return vfs.Rmdir(ctx, at, "d") }), unix.ENOTEMPTY)
	w.must("chmod", w.do(func() error { return vfs.Chmod(ctx, at, "d/hard", 0o4711, 0) }))
	check("f", unix.S_IFREG|unix.S_ISUID|0o711)
	w.must("utimens", w.do(func() error { return vfs.Utimens(ctx, at, "d/l", -1, 5e9+7, 0) }))
	if a, _ := w.stat("d/l"); a.Atime != -1 || a.Mtime != 5e9+7 {
		t.Errorf("times: %d, %d", a.Atime, a.Mtime)
	}
	w.must("truncate", w.do(func() error { return vfs.Truncate(ctx, at, "f", 2) }))
	if s := hostRead(t, dir, "d/hard"); s != "on" {
		t.Errorf("%q", s)
	}
	w.must("rename", w.do(func() error { return vfs.Rename(ctx, at, "d", at, "e", 0) }))
	if s, err := w.read("e/hard"); s != "on" || err != nil {
		t.Errorf("after rename: %q, %v", s, err)
	}
	w.must("exchange", w.do(func() error { return vfs.Rename(ctx, at, "e/l", at, "e/hard", unix.RENAME_EXCHANGE) }))
	if s, _ := os.Readlink(filepath.Join(dir, "e/hard")); s != "../f" {
		t.Errorf("exchange: %q", s)
	}
	if s, err := w.read("e/l"); s != "on" || err != nil {
		t.Errorf("after exchange: %q, %v", s, err)
	}
	w.must("unlink", w.do(func() error { return vfs.Unlink(ctx, at, "f") }))
	if s, err := w.read("e/l"); s != "on" || err != nil {
		t.Errorf("the other name: %q, %v", s, err)
	}
	if os.Geteuid() == 0 {
		w.must("chown", w.do(func() error { return vfs.Chown(ctx, at, "e", 7, 8, 0) }))
		if a, _ := w.stat("e"); a.UID != 7 || a.GID != 8 {
			t.Errorf("owner %d:%d", a.UID, a.GID)
		}
	}
	w.must("setxattr", w.do(func() error { return vfs.Setxattr(ctx, at, "e", 0, "user.x", []byte("v"), 0) }))
	w.do(func() error {
		v, err := vfs.Getxattr(ctx, at, "e", 0, "user.x")
		if string(v) != "v" || err != nil {
			t.Errorf("xattr: %q, %v", v, err)
		}
		l, err := vfs.Listxattr(ctx, at, "e", 0)
		if !slices.Contains(l, "user.x") || err != nil {
			t.Errorf("xattrs: %q, %v", l, err)
		}
		w.must("removexattr", vfs.Removexattr(ctx, at, "e", 0, "user.x"))
		_, err = vfs.Getxattr(ctx, at, "e", 0, "user.x")
		w.want("removed", err, unix.ENODATA)
		w.want("security", vfs.Setxattr(ctx, at, "e", 0, "security.capability", []byte("x"), 0), unix.EOPNOTSUPP)
		return nil
	})
	// What the host changes is seen at once.
	hostWrite(t, "new", dir, "h/x")
	if s, err := w.read("h/x"); s != "new" || err != nil {
		t.Errorf("made by the host: %q, %v", s, err)
	}
	os.Remove(filepath.Join(dir, "h/x"))
	_, err := w.read("h/x")
	w.want("removed by the host", err, unix.ENOENT)
	hostWrite(t, "newer", dir, "h/y")
	os.Rename(filepath.Join(dir, "h/y"), filepath.Join(dir, "h/x"))
	if s, err := w.read("h/x"); s != "newer" || err != nil {
		t.Errorf("replaced by the host: %q, %v", s, err)
	}
}

func TestUnlinkedFilesLiveOn(t *testing.T) {
	dir := t.TempDir()
	hostWrite(t, "data", dir, "f")
	hostWrite(t, "data", dir, "replaced")
	w := newWorld(t, dir, Options{})
	f, err := w.open("f", unix.O_RDWR, 0)
	w.must("open", err)
	p, err := w.open("f", unix.O_PATH, 0)
	w.must("open", err)
	r, err := w.open("replaced", unix.O_PATH, 0)
	w.must("open", err)
	w.must("rename", w.do(func() error { return vfs.Rename(w.ctx, w.at, "f", w.at, "replaced", 0) }))
	w.must("unlink", w.do(func() error { return vfs.Unlink(w.ctx, w.at, "replaced") }))
	for _, f := range []*vfs.File{f, p, r} {
		w.do(func() error {
			a, err := f.Stat(w.ctx)
			if err != nil || a.Nlink != 0 || a.Size != 4 {
				t.Errorf("fstat: %+v, %v", a, err)
			}
			return nil
		})
	}
	w.do(func() error {
		n, err := f.Pwrite(w.ctx, []byte("more"), 4)
		if n != 4 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		return nil
	})
	if s, err := w.readAll(f); s != "datamore" || err != nil {
		t.Errorf("read: %q, %v", s, err)
	}
	// A removed working directory can still be looked at.
	w.must("mkdir", w.do(func() error { return vfs.Mkdir(w.ctx, w.at, "d", 0o755) }))
	d, err := w.open("d", unix.O_PATH, 0)
	w.must("open", err)
	w.must("rmdir", w.do(func() error { return vfs.Rmdir(w.ctx, w.at, "d") }))
	w.must("fstat", w.do(func() error { _, err := d.Stat(w.ctx); return err }))
	for _, f := range []*vfs.File{f, p, r, d} {
		w.close(f)
	}
	// A file without a name can be given one.
	tmp, err := w.open(".", unix.O_TMPFILE|unix.O_RDWR, 0o640)
	w.must("O_TMPFILE", err)
	w.do(func() error {
		_, err := tmp.Write(w.ctx, []byte("from nothing"))
		w.must("write", err)
		at := vfs.At{Root: w.at.Root, Dir: tmp.Path}
		w.must("link", vfs.Link(w.ctx, at, "", w.at, "named", vfs.Empty))
		return nil
	})
	w.close(tmp)
	if s := hostRead(t, dir, "named"); s != "from nothing" {
		t.Errorf("%q", s)
	}
	if l, err := os.ReadDir(dir); len(l) != 1 || err != nil {
		t.Errorf("left: %v, %v", l, err)
	}
}

func TestConfined(t *testing.T) {
	top := t.TempDir()
	hostWrite(t, "SECRET", top, "outside/file")
	in := filepath.Join(top, "in")
	hostWrite(t, "fine", in, "dir/file")
	for name, target := range map[string]string{
		"abs": "/etc/passwd", "up": "../outside/file", "updir": "../outside", "far": "../../../../../../etc", "self": filepath.Join(top, "outside"),
	} {
		os.Symlink(target, filepath.Join(in, name))
	}
	w := newWorld(t, in, Options{})
	for _, name := range []string{
		"abs", "up", "updir/file", "far/passwd", "self/file", "../outside/file", "dir/../../outside/file", "/../outside/file", "..//../etc/passwd",
	} {
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_PATH} {
			if f, err := w.open(name, flags, 0); err == nil {
				t.Errorf("%s was opened", name)
				w.close(f)
			}
		}
	}
	// Below the VFS too.
	d := w.fs.Root().(*changing)
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "../outside", "dir/file", "x\x00y"} {
		if _, err := d.Lookup(w.ctx, name); err == nil {
			t.Errorf("Lookup(%q) found something", name)
		}
		if _, err := d.Create(w.ctx, name, unix.S_IFREG|0o644, 0, 0, 0); err == nil {
			t.Errorf("Create(%q) made something", name)
		}
		if _, err := d.Mkdir(w.ctx, name, 0o755, 0, 0); err == nil {
			t.Errorf("Mkdir(%q) made something", name)
		}
		if _, err := d.Symlink(w.ctx, name, "x", 0, 0); err == nil {
			t.Errorf("Symlink(%q) made something", name)
		}
		child, _ := d.Lookup(w.ctx, "dir")
		if err := d.Rename(w.ctx, "dir", child, d, name, nil, 0); err == nil {
			t.Errorf("Rename to %q", name)
		}
		if err := d.Rmdir(w.ctx, name, child); err == nil {
			t.Errorf("Rmdir(%q)", name)
		}
	}
	if _, err := d.Lookup(w.ctx, strings.Repeat("x", 256)); err != unix.ENAMETOOLONG {
		t.Errorf("a long name: %v", err)
	}
	// A new file does not go through a link.
	w.want("create through a link", w.write("up", unix.O_CREAT|unix.O_EXCL, "x"), unix.EEXIST)
	if s := hostRead(t, top, "outside/file"); s != "SECRET" {
		t.Error("the file outside was written")
	}
}

// TestConfinedInRaces has the host swap a directory and a link to the outside,
// and a file and a link, as fast as it can.
func TestConfinedInRaces(t *testing.T) {
	top := t.TempDir()
	hostWrite(t, "SECRET", top, "outside/file")
	in := filepath.Join(top, "in")
	hostWrite(t, "fine", in, "real/file")
	os.Symlink("../outside", filepath.Join(in, "swap"))
	os.Symlink("../../outside/file", filepath.Join(in, "real/swap"))
	var st unix.Stat_t
	unix.Stat(filepath.Join(top, "outside/file"), &st)
	secret := st.Ino
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			unix.Renameat2(unix.AT_FDCWD, in+"/real", unix.AT_FDCWD, in+"/swap", unix.RENAME_EXCHANGE)
			unix.Renameat2(unix.AT_FDCWD, in+"/real/file", unix.AT_FDCWD, in+"/real/swap", unix.RENAME_EXCHANGE)
			unix.Renameat2(unix.AT_FDCWD, in+"/swap/file", unix.AT_FDCWD, in+"/swap/swap", unix.RENAME_EXCHANGE)
		}
	}()
	defer wg.Wait()
	defer close(stop)
	for _, o := range []Options{{Descriptors: 2}, {ReadOnly: true}, {ReadOnly: true, Stable: true}} {
		for _, name := range []string{"real/file", "real/swap", "swap/file", "swap/swap"} {
			// Full again for the next round.
			if fd, err := unix.Open(filepath.Join(in, name), unix.O_WRONLY|unix.O_NOFOLLOW, 0); err == nil {
				var st unix.Stat_t
				if unix.Fstat(fd, &st) == nil && st.Ino != secret {
					unix.Write(fd, []byte("fine"))
				}
				unix.Close(fd)
			}
		}
		w := newWorld(t, in, o)
		seen, failed := 0, 0
		for i, end := 0, time.Now().Add(300*time.Millisecond); time.Now().Before(end) || seen == 0 && i < 10000; i++ {
			if o.Stable && i%50 == 49 {
				w = newWorld(t, in, o) // it keeps to what it has once seen
			}
			for _, name := range []string{"real/file", "swap/file", "real/swap", "swap/swap"} {
				s, err := w.read(name)
				switch {
				case s == "SECRET":
					t.Fatalf("%s led outside", name)
				case s == "fine":
					seen++
				case err != nil:
					failed++
				case s == "": // truncated, and then refused to be written
				default:
					t.Errorf("%s: %q", name, s)
				}
				if !o.ReadOnly {
					if seen%8 == 0 {
						w.write(name, unix.O_TRUNC, "fine")
					}
					w.write(name, 0, "fine")
					w.do(func() error { return vfs.Chmod(w.ctx, w.at, name, 0o666, vfs.Follow) })
				}
			}
		}
		t.Logf("%+v: read %d times, refused %d times", o, seen, failed)
		if seen == 0 {
			t.Error("never read the file at all")
		}
	}
	if s := hostRead(t, top, "outside/file"); s != "SECRET" {
		t.Errorf("outside: %q", s)
	}
	if st, _ := os.Stat(filepath.Join(top, "outside/file")); st.Mode().Perm() != 0o644 {
		t.Errorf("outside: mode %v", st.Mode())
	}
}

func TestSpecialFilesAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666)
	root := os.Geteuid() == 0
	if root {
		if err := unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			root = false
		}
	}
	w := newWorld(t, dir, Options{})
	_, err := w.open("fifo", unix.O_RDONLY, 0)
	w.want("a fifo", err, unix.ENXIO)
	if !root {
		return
	}
	var rdev uint64
	w.ns.System().Hooks.Device = func(_ vfs.Context, _ vfs.Path, a vfs.Attr, _ int) (vfs.Impl, error) {
		rdev = a.Rdev
		return nil, unix.ENODEV
	}
	_, err = w.open("null", unix.O_RDONLY, 0)
	w.want("a device", err, unix.ENODEV)
	if rdev != unix.Mkdev(1, 3) {
		t.Errorf("the registry was asked for %#x", rdev)
	}
}

func TestKernelFileSystemsAreHidden(t *testing.T) {
	w := newWorld(t, "/", Options{ReadOnly: true, Stable: true})
	if l, err := w.list("proc"); len(l) != 2 || err != nil {
		t.Errorf("/proc has %v, %v", l, err)
	}
	_, err := w.stat("proc/self")
	w.want("/proc/self", err, unix.ENOENT)
	if s, err := w.read("etc/passwd"); s != hostRead(t, "/etc/passwd") || err != nil {
		t.Errorf("/etc/passwd: %q, %v", s, err)
	}
	if fs, err := New("/proc", Options{}); err == nil {
		fs.Unmounted()
		t.Error("/proc was taken as a root")
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	hostWrite(t, "x", dir, "f")
	fs, err := New(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Unmounted()
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	d := fs.Root().(*changing)
	f, err := d.Lookup(ctx, "f")
	if err != nil {
		t.Fatal(err)
	}
	second := func(_ any, err error) error { return err }
	for what, err := range map[string]error{
		"create":   second(d.Create(ctx, "n", unix.S_IFREG|0o644, 0, 0, 0)),
		"mkdir":    second(d.Mkdir(ctx, "n", 0o755, 0, 0)),
		"symlink":  second(d.Symlink(ctx, "n", "x", 0, 0)),
		"tmpfile":  second(d.Tmpfile(ctx, 0o600, 0, 0)),
		"link":     d.Link(ctx, "n", f),
		"unlink":   d.Unlink(ctx, "f", f),
		"rename":   d.Rename(ctx, "f", f, d, "n", nil, 0),
		"open":     second(f.(*file).Open(ctx, vfs.Path{}, unix.O_RDWR)),
		"truncate": f.(*file).SetAttr(ctx, vfs.SetSize, vfs.Attr{}),
		"chmod":    f.(*file).SetAttr(ctx, vfs.SetMode, vfs.Attr{}),
		"xattr":    f.(*file).Setxattr(ctx, "user.x", nil, 0),
		"removex":  f.(*file).Removexattr(ctx, "user.x"),
	} {
		if err != unix.EROFS {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestListingResumes(t *testing.T) {
	dir := t.TempDir()
	want := []string{".", ".."}
	for i := range 1500 {
		name := fmt.Sprintf("a-file-with-a-longer-name-%d", i)
		hostWrite(t, "", dir, name)
		want = append(want, name)
	}
	slices.Sort(want)
	w := newWorld(t, dir, Options{})
	for _, step := range []int{1, 7, 700, 5000} {
		f, err := w.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		w.must("open", err)
		for range 2 { // again after rewinding
			var got []string
			w.do(func() error {
				for {
					n := 0
					err := f.ReadDir(w.ctx, func(e vfs.DirEntry) bool {
						if n == step {
							return false
						}
						n++
						if got = append(got, e.Name); e.Next != int64(len(got)) {
							t.Fatalf("the cookie after %d entries is %d", len(got), e.Next)
						}
						return true
					})
					w.must("list", err)
					if n == 0 {
						break
					}
					if step == 700 {
						// Others' offsets are by the cookie alone.
						w.must("seek", func() error { _, err := f.Seek(w.ctx, f.Pos, unix.SEEK_SET); return err }())
					}
				}
				_, err := f.Seek(w.ctx, 0, unix.SEEK_SET)
				return err
			})
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("by %d: %d names of %d", step, len(got), len(want))
			}
		}
		w.close(f)
	}
}

// TestListingFromTheMiddle: a cookie leads to what followed it, backwards, and through a description that has not been there.
func TestListingFromTheMiddle(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		hostWrite(t, "", dir, fmt.Sprint(i))
	}
	w := newWorld(t, dir, Options{})
	from := func(f *vfs.File, pos int64) (names []string) {
		w.must("list", w.do(func() error {
			if _, err := f.Seek(w.ctx, pos, unix.SEEK_SET); err != nil {
				return err
			}
			return f.ReadDir(w.ctx, func(e vfs.DirEntry) bool { names = append(names, e.Name); return true })
		}))
		return names
	}
	f, err := w.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	w.must("open", err)
	defer w.close(f)
	all := from(f, 0)
	if len(all) != 102 {
		t.Fatalf("%d entries", len(all))
	}
	for _, pos := range []int64{50, 3, 99, 102, 1, 1000, 0, 7} {
		want := all[min(pos, 102):]
		if got := from(f, pos); !slices.Equal(got, want) {
			t.Errorf("from %d: %q", pos, got)
		}
		g, err := w.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		w.must("open", err)
		if got := from(g, pos); !slices.Equal(got, want) {
			t.Errorf("from %d, anew: %q", pos, got)
		}
		w.close(g)
	}
}

func TestFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	deep := strings.Repeat("d/", 40)
	hostWrite(t, "deep", dir, deep, "f")
	hostWrite(t, "other", dir, "x/y/z/f")
	w := newWorld(t, dir, Options{Descriptors: 2})
	for range 3 {
		if s, err := w.read(deep + "f"); s != "deep" || err != nil {
			t.Fatalf("%q, %v", s, err)
		}
		if s, err := w.read("x/y/z/f"); s != "other" || err != nil {
			t.Fatalf("%q, %v", s, err)
		}
		w.must("rename", w.do(func() error { return vfs.Rename(w.ctx, w.at, deep+"f", w.at, "x/y/z/g", 0) }))
		w.must("rename", w.do(func() error { return vfs.Rename(w.ctx, w.at, "x/y/z/g", w.at, deep+"f", 0) }))
		w.must("rename", w.do(func() error { return vfs.Rename(w.ctx, w.at, "d/d", w.at, "x/d", 0) }))
		w.must("rename", w.do(func() error { return vfs.Rename(w.ctx, w.at, "x/d", w.at, "d/d", 0) }))
		if n := w.fs.HostFiles(); n > 6 {
			t.Errorf("%d descriptors", n)
		}
	}
}

func TestStable(t *testing.T) {
	dir := t.TempDir()
	hostWrite(t, "old", dir, "f")
	w := newWorld(t, dir, Options{ReadOnly: true, Stable: true})
	if s, err := w.read("f"); s != "old" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	// A growing log is followed by who has it open.
	f, err := w.open("f", unix.O_RDONLY, 0)
	w.must("open", err)
	hostWrite(t, "older", dir, "f")
	w.do(func() error {
		a, err := f.Stat(w.ctx)
		if a.Size != 5 || err != nil {
			t.Errorf("size %d, %v", a.Size, err)
		}
		return nil
	})
	w.close(f)
	// An upgraded file is found once the old one is not in use.
	w.do(func() error { w.fs.cache.trim(0); return nil })
	hostWrite(t, "upgraded", dir, "g")
	os.Rename(filepath.Join(dir, "g"), filepath.Join(dir, "f"))
	if s, err := w.read("f"); s != "upgraded" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	// So is a directory with what is in it, and what is gone is gone.
	hostWrite(t, "1", dir, "d/e/f")
	hostWrite(t, "1", dir, "d/e/gone")
	w.read("d/e/f")
	w.read("d/e/gone")
	w.do(func() error { w.fs.cache.trim(0); return nil })
	os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "old"))
	hostWrite(t, "22", dir, "d/e/f")
	if s, err := w.read("d/e/f"); s != "22" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	_, err = w.read("d/e/gone")
	w.want("removed by the host", err, unix.ENOENT)
}

func TestUsersAreMapped(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	os.Chown(dir, 1000, 1000)
	m := []IDMap{{Guest: 0, Host: 1000, Count: 1}, {Guest: 1, Host: 5000, Count: 100}}
	w := newWorld(t, dir, Options{UIDs: m, GIDs: m})
	if a, _ := w.stat("."); a.UID != 0 || a.GID != 0 {
		t.Errorf("%d:%d", a.UID, a.GID)
	}
	w.must("create", w.write("f", unix.O_CREAT, "x"))
	w.must("chown", w.do(func() error { return vfs.Chown(w.ctx, w.at, "f", 3, vfs.Unchanged, 0) }))
	var st unix.Stat_t
	unix.Stat(filepath.Join(dir, "f"), &st)
	if st.Uid != 5002 || st.Gid != 1000 {
		t.Errorf("%d:%d on the host", st.Uid, st.Gid)
	}
	w.want("chown", w.do(func() error { return vfs.Chown(w.ctx, w.at, "f", 500, 500, 0) }), unix.EINVAL)
	os.Chown(filepath.Join(dir, "f"), 7, 7)
	if a, _ := w.stat("f"); a.UID != nobody {
		t.Errorf("uid %d", a.UID)
	}
}

func TestSingleFile(t *testing.T) {
	dir := t.TempDir()
	hostWrite(t, "one", dir, "f")
	hostWrite(t, "two", dir, "g")
	fs, err := New(filepath.Join(dir, "f"), Options{Dev: 99})
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Unmounted()
	var k waittest.Kernel
	ctx := vfstest.Root(k.NewTask())
	f := fs.Root().(*file)
	if a, err := f.Attr(ctx); a.Size != 3 || a.Dev != 99 || err != nil {
		t.Errorf("%+v, %v", a, err)
	}
	impl, err := f.Open(ctx, vfs.Path{}, unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	impl.Release(ctx)
}

func TestRegularFiles(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, Options{})
	f, err := w.open("f", unix.O_RDWR|unix.O_CREAT, 0o600)
	w.must("open", err)
	defer w.close(f)
	w.do(func() error {
		_, err := f.Pwrite(w.ctx, []byte("end"), 1<<20)
		w.must("write", err)
		pos, err := f.Seek(w.ctx, 0, unix.SEEK_DATA)
		if pos == 0 || err != nil {
			t.Errorf("SEEK_DATA: %d, %v", pos, err)
		}
		pos, err = f.Seek(w.ctx, -3, unix.SEEK_END)
		if pos != 1<<20 || err != nil {
			t.Errorf("SEEK_END: %d, %v", pos, err)
		}
		w.must("fallocate", f.Allocate(w.ctx, 0, 0, 2<<20))
		if a, _ := f.Stat(w.ctx); a.Size != 2<<20 {
			t.Errorf("size %d", a.Size)
		}
		w.must("fsync", f.Sync(w.ctx, false))
		f.Flags |= unix.O_APPEND
		_, err = f.Write(w.ctx, []byte("appended"))
		w.must("append", err)
		if f.Pos != 2<<20+8 {
			t.Errorf("appended to %d", f.Pos)
		}
		fd, key, err := f.Impl.(vfs.Mmapper).HostFile(w.ctx, f, true)
		w.must("map", err)
		b, err := unix.Mmap(fd, 2<<20, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		w.must("mmap", err)
		defer unix.Munmap(b)
		if string(b[:8]) != "appended" {
			t.Errorf("mapped: %q", b[:8])
		}
		copy(b, "APPENDED")
		p := make([]byte, 100)
		n, err := f.Pread(w.ctx, p, 2<<20)
		if string(p[:n]) != "APPENDED" || err != nil {
			t.Errorf("%q, %v", p[:n], err)
		}
		r, err := vfs.Open(w.ctx, w.at, "f", unix.O_RDONLY, 0, 0)
		w.must("open", err)
		defer r.Unref(w.ctx)
		_, key2, err := r.Impl.(vfs.Mmapper).HostFile(w.ctx, r, false)
		if key2 != key || err != nil {
			t.Errorf("keys %d and %d, %v", key, key2, err)
		}
		_, _, err = r.Impl.(vfs.Mmapper).HostFile(w.ctx, r, true)
		w.want("writable mapping of what is open for reading", err, unix.EACCES)
		return nil
	})
}

func benchWorld(b *testing.B, o Options) *world {
	dir := b.TempDir()
	hostWrite(b, strings.Repeat("x", 8192), dir, "a/b/c/file")
	return newWorld(b, dir, o)
}

func BenchmarkHost(b *testing.B) {
	for _, c := range []struct {
		name string
		o    Options
	}{{"live", Options{}}, {"stable", Options{ReadOnly: true, Stable: true}}} {
		w := benchWorld(b, c.o)
		dir := w.fs.Root()
		for _, s := range []string{"a", "b", "c"} {
			dir, _ = dir.(vfs.Lookuper).Lookup(w.ctx, s)
		}
		l := dir.(vfs.Lookuper)
		ino, err := l.Lookup(w.ctx, "file")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/lookup", func(b *testing.B) {
			for b.Loop() {
				l.Lookup(w.ctx, "file")
			}
		})
		b.Run(c.name+"/lookup-new", func(b *testing.B) {
			for b.Loop() {
				ino, _ := l.Lookup(w.ctx, "file")
				ino.(vfs.Evicter).Evict()
			}
		})
		ino, _ = l.Lookup(w.ctx, "file")
		b.Run(c.name+"/attr", func(b *testing.B) {
			for b.Loop() {
				ino.Attr(w.ctx)
			}
		})
		b.Run(c.name+"/open+close", func(b *testing.B) {
			for b.Loop() {
				f, err := ino.(vfs.Opener).Open(w.ctx, vfs.Path{}, unix.O_RDONLY)
				if err != nil {
					b.Fatal(err)
				}
				f.Release(w.ctx)
			}
		})
		b.Run(c.name+"/stat-path", func(b *testing.B) {
			for b.Loop() {
				vfs.Stat(w.ctx, w.at, "a/b/c/file", 0)
			}
		})
		f, err := vfs.Open(w.ctx, w.at, "a/b/c/file", unix.O_RDONLY, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		p := make([]byte, 4096)
		b.Run(c.name+"/pread", func(b *testing.B) {
			for b.Loop() {
				f.Pread(w.ctx, p, 0)
			}
		})
		f.Unref(w.ctx)
	}
}
