package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/internal/fs/hostfs"
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// world is an overlay mounted at / of a guest.
type world struct {
	t   testing.TB
	k   waittest.Kernel
	ctx *vfstest.Context
	fs  *FS
	ns  *vfs.Namespace
	at  vfs.At
}

// lasting is a layer that outlives the overlay.
type lasting struct{ vfs.FileSystem }

func lower(t testing.TB, dir string) vfs.FileSystem {
	t.Helper()
	fs, err := hostfs.New(dir, hostfs.Options{ReadOnly: true, Stable: true})
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func memory() *tmpfs.FS { return tmpfs.New(1e18, tmpfs.Options{Dev: 77, Mode: 0o755}) }

func newWorld(t testing.TB, upper vfs.FileSystem, lowers ...vfs.FileSystem) *world {
	t.Helper()
	w := &world{t: t}
	w.ctx = vfstest.Root(w.k.NewTask())
	w.ctx.Creds.UID, w.ctx.Creds.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	w.k.Do(func() { w.mount(upper, lowers...) })
	t.Cleanup(func() { w.k.Do(w.unmount) })
	return w
}

func (w *world) mount(upper vfs.FileSystem, lowers ...vfs.FileSystem) {
	w.t.Helper()
	var err error
	if w.fs, err = New(w.ctx, Options{Lower: lowers, Upper: upper, Dev: 42}); err != nil {
		w.t.Fatal(err)
	}
	if w.ns, err = vfs.NewNamespace(w.ctx, w.fs, 0, "overlay"); err != nil {
		w.t.Fatal(err)
	}
	root := w.ns.Root()
	w.at = vfs.At{Root: root, Dir: root}
}

func (w *world) unmount() {
	if w.ns == nil {
		return
	}
	w.at.Root.Unref()
	w.ns.Unref()
	w.ns = nil
}

func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// The operations below are done alike on a guest and on the host, to compare.
// Errors are as errnos.
type subject interface {
	mkdir(name string, mode uint32) error
	rmdir(name string) error
	unlink(name string) error
	rename(old, new string, flags uint32) error
	link(old, new string) error
	symlink(target, name string) error
	mknod(name string, mode uint32) error
	chmod(name string, mode uint32) error
	chown(name string, uid, gid uint32) error
	utimens(name string, ns int64) error
	truncate(name string, size int64) error
	write(name string, flags int, off int64, s string) error
	setxattr(name, attr, value string) error
	removexattr(name, attr string) error
	read(name string) (string, error)
	readlink(name string) (string, error)
	list(name string) ([]string, error)
	stat(name string) (vfs.Attr, error)
	xattrs(name string) (string, error)
}

// guest is a subject: the overlay.
type guest struct{ *world }

func (g guest) do(f func() error) (err error) { g.k.Do(func() { err = f() }); return err }
func (g guest) mkdir(name string, mode uint32) error {
	return g.do(func() error { return vfs.Mkdir(g.ctx, g.at, name, mode) })
}
func (g guest) rmdir(name string) error {
	return g.do(func() error { return vfs.Rmdir(g.ctx, g.at, name) })
}
func (g guest) unlink(name string) error {
	return g.do(func() error { return vfs.Unlink(g.ctx, g.at, name) })
}
func (g guest) rename(old, new string, flags uint32) error {
	return g.do(func() error { return vfs.Rename(g.ctx, g.at, old, g.at, new, flags) })
}
func (g guest) link(old, new string) error {
	return g.do(func() error { return vfs.Link(g.ctx, g.at, old, g.at, new, 0) })
}
func (g guest) symlink(target, name string) error {
	return g.do(func() error { return vfs.Symlink(g.ctx, target, g.at, name) })
}
func (g guest) mknod(name string, mode uint32) error {
	return g.do(func() error { return vfs.Mknod(g.ctx, g.at, name, mode, 0) })
}
func (g guest) chmod(name string, mode uint32) error {
	return g.do(func() error { return vfs.Chmod(g.ctx, g.at, name, mode, vfs.Follow) })
}
func (g guest) chown(name string, uid, gid uint32) error {
	return g.do(func() error { return vfs.Chown(g.ctx, g.at, name, uid, gid, 0) })
}
func (g guest) utimens(name string, ns int64) error {
	return g.do(func() error { return vfs.Utimens(g.ctx, g.at, name, ns, ns, 0) })
}
func (g guest) truncate(name string, size int64) error {
	return g.do(func() error { return vfs.Truncate(g.ctx, g.at, name, size) })
}
func (g guest) setxattr(name, attr, value string) error {
	return g.do(func() error { return vfs.Setxattr(g.ctx, g.at, name, 0, attr, []byte(value), 0) })
}
func (g guest) removexattr(name, attr string) error {
	return g.do(func() error { return vfs.Removexattr(g.ctx, g.at, name, 0, attr) })
}
func (g guest) open(name string, flags int) (f *vfs.File, err error) {
	err = g.do(func() (err error) { f, err = vfs.Open(g.ctx, g.at, name, flags, 0o644, 0); return err })
	return f, err
}
func (g guest) close(f *vfs.File) { g.do(func() error { f.Unref(g.ctx); return nil }) }
func (g guest) write(name string, flags int, off int64, s string) error {
	f, err := g.open(name, flags|unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer g.close(f)
	return g.do(func() error { _, err := f.Pwrite(g.ctx, []byte(s), off); return err })
}
func (g guest) readFile(f *vfs.File) (string, error) {
	var b bytes.Buffer
	p := make([]byte, 5000)
	err := g.do(func() error {
		for {
			n, err := f.Pread(g.ctx, p, int64(b.Len()))
			b.Write(p[:n])
			if n == 0 || err != nil {
				return err
			}
		}
	})
	return b.String(), err
}
func (g guest) read(name string) (string, error) {
	f, err := g.open(name, unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer g.close(f)
	return g.readFile(f)
}
func (g guest) readlink(name string) (s string, err error) {
	err = g.do(func() (err error) { s, err = vfs.Readlink(g.ctx, g.at, name, 0); return err })
	return s, err
}
func (g guest) stat(name string) (a vfs.Attr, err error) {
	err = g.do(func() (err error) { a, err = vfs.Stat(g.ctx, g.at, name, 0); return err })
	return a, err
}
func (g guest) list(name string) ([]string, error) {
	f, err := g.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer g.close(f)
	var names []string
	err = g.do(func() error {
		for {
			n := 0
			err := f.ReadDir(g.ctx, func(e vfs.DirEntry) bool {
				if n == 3 {
					return false
				}
				n++
				names = append(names, e.Name)
				if e.Name == ".." || name == "." && e.Name == "." {
					return true
				}
				if a, err := vfs.Stat(g.ctx, g.at, name+"/"+e.Name, 0); err != nil || a.Ino != e.Ino || a.Mode>>12 != uint32(e.Type) {
					g.t.Errorf("%s/%s: listed with number %d and type %d, is %+v, %v", name, e.Name, e.Ino, e.Type, a, err)
				}
				return true
			})
			if n == 0 || err != nil {
				return err
			}
		}
	})
	slices.Sort(names)
	return names, err
}
func (g guest) xattrs(name string) (string, error) {
	var out []string
	err := g.do(func() error {
		names, err := vfs.Listxattr(g.ctx, g.at, name, 0)
		for _, s := range names {
			v, err := vfs.Getxattr(g.ctx, g.at, name, 0, s)
			out = append(out, fmt.Sprintf("%s=%q %v", s, v, err))
		}
		return err
	})
	sort.Strings(out)
	return strings.Join(out, ","), err
}

// host is a subject: a directory of the host.
type host struct{ dir string }

func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}
func (h host) p(name string) string { return h.dir + "/" + name }
func (h host) mkdir(name string, mode uint32) error {
	return unix.Mkdir(h.p(name), mode)
}
func (h host) rmdir(name string) error           { return unix.Rmdir(h.p(name)) }
func (h host) unlink(name string) error          { return unix.Unlink(h.p(name)) }
func (h host) link(old, new string) error        { return unix.Link(h.p(old), h.p(new)) }
func (h host) symlink(target, name string) error { return unix.Symlink(target, h.p(name)) }
func (h host) rename(old, new string, flags uint32) error {
	return unix.Renameat2(unix.AT_FDCWD, h.p(old), unix.AT_FDCWD, h.p(new), uint(flags))
}
func (h host) mknod(name string, mode uint32) error { return unix.Mknod(h.p(name), mode, 0) }
func (h host) chmod(name string, mode uint32) error { return unix.Chmod(h.p(name), mode) }
func (h host) chown(name string, uid, gid uint32) error {
	return unix.Lchown(h.p(name), int(uid), int(gid))
}
func (h host) utimens(name string, ns int64) error {
	ts := unix.NsecToTimespec(ns)
	return unix.UtimesNanoAt(unix.AT_FDCWD, h.p(name), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
func (h host) truncate(name string, size int64) error { return unix.Truncate(h.p(name), size) }
func (h host) write(name string, flags int, off int64, s string) error {
	fd, err := unix.Open(h.p(name), flags|unix.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Pwrite(fd, []byte(s), off)
	return err
}
func (h host) setxattr(name, attr, value string) error {
	return unix.Lsetxattr(h.p(name), attr, []byte(value), 0)
}
func (h host) removexattr(name, attr string) error { return unix.Lremovexattr(h.p(name), attr) }
func (h host) read(name string) (string, error) {
	fd, err := unix.Open(h.p(name), unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var b []byte
	p := make([]byte, 1<<20)
	for {
		n, err := unix.Pread(fd, p, int64(len(b)))
		if n <= 0 || err != nil {
			return string(b), err
		}
		b = append(b, p[:n]...)
	}
}
func (h host) readlink(name string) (string, error) {
	p := make([]byte, 4096)
	n, err := unix.Readlink(h.p(name), p)
	if err != nil {
		return "", err
	}
	return string(p[:n]), nil
}
func (h host) list(name string) ([]string, error) {
	l, err := os.ReadDir(h.p(name))
	if err != nil {
		return nil, errno(err)
	}
	names := []string{".", ".."}
	for _, e := range l {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
func (h host) stat(name string) (vfs.Attr, error) {
	var st unix.Stat_t
	err := unix.Lstat(h.p(name), &st)
	return vfs.Attr{
		Ino: st.Ino, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Nlink: st.Nlink, Size: st.Size, Rdev: st.Rdev,
		Mtime: st.Mtim.Nano(),
	}, err
}
func (h host) xattrs(name string) (string, error) {
	p := make([]byte, 4096)
	n, err := unix.Llistxattr(h.p(name), p)
	if err != nil || n == 0 {
		return "", err
	}
	var out []string
	for _, s := range strings.Split(string(p[:n-1]), "\x00") {
		v := make([]byte, 4096)
		m, err := unix.Lgetxattr(h.p(name), s, v)
		out = append(out, fmt.Sprintf("%s=%q %v", s, v[:max(m, 0)], err))
	}
	sort.Strings(out)
	return strings.Join(out, ","), nil
}

// tree describes all that a subject has; times too when asked, for files.
func tree(s subject, name string, links bool) []string {
	a, err := s.stat(name)
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", name, err)}
	}
	x, err := s.xattrs(name)
	line := fmt.Sprintf("%s: %o %d:%d xattrs %s %v", name, a.Mode, a.UID, a.GID, x, err)
	if links && a.Mode&unix.S_IFMT != unix.S_IFDIR {
		line += fmt.Sprintf(" links %d", a.Nlink)
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		b, err := s.read(name)
		if len(b) > 100 {
			b = b[:100]
		}
		return []string{fmt.Sprintf("%s size %d %q %v", line, a.Size, b, err)}
	case unix.S_IFLNK:
		t, err := s.readlink(name)
		return []string{fmt.Sprintf("%s to %s %v", line, t, err)}
	case unix.S_IFDIR:
		names, err := s.list(name)
		out := []string{fmt.Sprintf("%s: %v %v", line, names, err)}
		for _, n := range names {
			if n != "." && n != ".." {
				out = append(out, tree(s, name+"/"+n, links)...)
			}
		}
		return out
	}
	return []string{line}
}

// plant fills a directory with what a lower layer has.
func plant(t testing.TB, dir string) {
	t.Helper()
	for _, s := range []string{"a/a/a", "a/b", "a/c/c", "b/a/b", "c"} {
		if err := os.MkdirAll(filepath.Join(dir, s), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range []string{"a/d", "a/a/d", "a/a/a/e", "b/d", "b/a/d", "b/a/e", "d", "c/e"} {
		if err := os.WriteFile(filepath.Join(dir, s), []byte(strings.Repeat(s, i*40)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("a/d", filepath.Join(dir, "e"))
	os.Symlink("../nowhere", filepath.Join(dir, "b/c"))
	unix.Mkfifo(filepath.Join(dir, "a/e"), 0o600)
	unix.Setxattr(filepath.Join(dir, "a/d"), "user.was", []byte("lower"), 0)
}

func copyTree(t testing.TB, from string) string {
	to := t.TempDir()
	if out, err := exec.Command("cp", "-aT", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
	return to
}

// step does one random thing to all subjects and compares what came of it.
func step(t testing.TB, r *rand.Rand, links bool, subjects ...subject) string {
	t.Helper()
	name := func() string {
		parts := make([]string, 1+r.Intn(3))
		for i := range parts {
			parts[i] = string("abcde"[r.Intn(5)])
		}
		return strings.Join(parts, "/")
	}
	a, b := name(), name()
	mode := uint32(0o600 | r.Intn(0o200))
	n := r.Intn(300)
	var what string
	var do func(subject) error
	switch op := r.Intn(26); op {
	case 0, 1, 2:
		what = fmt.Sprintf("mkdir %s %o", a, mode|0o100)
		do = func(s subject) error { return s.mkdir(a, mode|0o100) }
	case 3, 4:
		what = "rmdir " + a
		do = func(s subject) error { return s.rmdir(a) }
	case 5, 6, 7:
		what = "unlink " + a
		do = func(s subject) error { return s.unlink(a) }
	case 8, 9, 10, 11, 12:
		what = "rename " + a + " " + b
		do = func(s subject) error { return s.rename(a, b, 0) }
	case 13:
		what = "exchange " + a + " " + b
		do = func(s subject) error { return s.rename(a, b, unix.RENAME_EXCHANGE) }
	case 14:
		what = "noreplace " + a + " " + b
		do = func(s subject) error { return s.rename(a, b, unix.RENAME_NOREPLACE) }
	case 15, 16:
		what = "link " + a + " " + b
		do = func(s subject) error { return s.link(a, b) }
	case 17:
		what = "symlink " + a
		do = func(s subject) error { return s.symlink(b, a) }
	case 18:
		what = "mkfifo " + a
		do = func(s subject) error { return s.mknod(a, unix.S_IFIFO|mode) }
	case 19:
		what = fmt.Sprintf("chmod %s %o", a, mode)
		if st, err := subjects[0].stat(a); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
			do = func(s subject) error { return s.chmod(a, mode|0o100) }
		}
	case 20:
		what = "chown " + a
		if os.Geteuid() == 0 {
			do = func(s subject) error { return s.chown(a, mode, mode+1) }
		}
	case 21:
		what = fmt.Sprintf("truncate %s %d", a, n)
		if st, err := subjects[0].stat(a); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			do = func(s subject) error { return s.truncate(a, int64(n)) }
		}
	case 22, 23:
		flags := []int{0, unix.O_CREAT, unix.O_CREAT | unix.O_EXCL, unix.O_TRUNC, unix.O_APPEND, unix.O_CREAT | unix.O_TRUNC}[r.Intn(6)] | unix.O_NOFOLLOW
		what = fmt.Sprintf("write %s %#x %d", a, flags, n)
		if st, err := subjects[0].stat(a); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			do = func(s subject) error { return s.write(a, flags, int64(n), what) }
		}
	case 24:
		what = "setxattr " + a
		do = func(s subject) error { return s.setxattr(a, "user."+string("xy"[n%2]), fmt.Sprint(n)) }
	case 25:
		what = "removexattr " + a
		do = func(s subject) error { return s.removexattr(a, "user."+string("xy"[n%2])) }
	}
	if do == nil {
		return what + " (left out)"
	}
	var first error
	for i, s := range subjects {
		err := do(s)
		if i == 0 {
			first = err
		} else if err != first {
			t.Fatalf("%s: %v, but %v", what, first, err)
		}
	}
	return what + fmt.Sprint(" ", first)
}

// TestRandomAgainstHost does random things to an overlay and to a directory of
// the host that had the same in it: an overlay is to be like any file system.
func TestRandomAgainstHost(t *testing.T) {
	unix.Umask(0o022)
	rounds, steps := 30, 400
	if testing.Short() {
		rounds = 5
	}
	defer func(n int64) { lazyFrom = n }(lazyFrom)
	for seed := range rounds {
		lazyFrom = []int64{1, 300, 64 << 10}[seed%3]
		low := t.TempDir()
		plant(t, low)
		plain := host{copyTree(t, low)}
		before := tree(host{low}, ".", true)
		up := memory()
		w := newWorld(t, lasting{up}, lower(t, low))
		g := guest{w}
		r := rand.New(rand.NewSource(int64(seed)))
		var log []string
		for i := range steps {
			log = append(log, step(t, r, true, plain, g))
			switch r.Intn(40) {
			case 0:
				w.k.Do(func() { w.ns.System().DropCaches() })
				log = append(log, "drop caches")
			case 1: // what is in the upper layer says it all
				w.k.Do(func() {
					w.unmount()
					w.mount(lasting{up}, lower(t, low))
				})
				log = append(log, "remount")
			}
			if i%20 != 19 {
				continue
			}
			if diff := cmp.Diff(tree(plain, ".", true), tree(g, ".", true)); diff != "" {
				t.Fatalf("seed %d, after\n%s\n(-host +overlay)\n%s", seed, strings.Join(log[max(0, len(log)-30):], "\n"), diff)
			}
		}
		if diff := cmp.Diff(before, tree(host{low}, ".", true)); diff != "" {
			t.Fatalf("the lower layer changed: %s", diff)
		}
	}
}

// TestRandomAgainstOverlayfs uses a directory of the host as the upper layer,
// which the kernel's overlayfs then mounts: it must show the same.
func TestRandomAgainstOverlayfs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	unix.Umask(0o022)
	// The kernel wants its upper layer on a file system that is not itself an overlay.
	top := t.TempDir()
	if err := unix.Mount("none", top, "tmpfs", 0, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer unix.Unmount(top, unix.MNT_DETACH)
	defer func(n int64) { lazyFrom = n }(lazyFrom)
	for seed := range 12 {
		lazyFrom = []int64{1, 300, 64 << 10}[seed%3]
		base := filepath.Join(top, fmt.Sprint(seed))
		low, up, work, mnt := base+"/low", base+"/up", base+"/work", base+"/mnt"
		for _, d := range []string{low, up, work, mnt} {
			os.MkdirAll(d, 0o755)
		}
		plant(t, low)
		upper, err := hostfs.New(up, hostfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, upper, lower(t, low))
		plain := host{copyTree(t, low)}
		g := guest{w}
		r := rand.New(rand.NewSource(int64(seed)))
		for range 250 {
			step(t, r, false, plain, g)
		}
		want := tree(g, ".", false)
		if diff := cmp.Diff(tree(plain, ".", false), want); diff != "" {
			t.Fatalf("seed %d: (-host +overlay)\n%s", seed, diff)
		}
		w.k.Do(w.unmount)
		opts := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on,metacopy=on", low, up, work)
		if err := unix.Mount("overlay", mnt, "overlay", 0, opts); err != nil {
			t.Skipf("cannot mount an overlayfs: %v", err)
		}
		got := tree(host{mnt}, ".", false)
		unix.Unmount(mnt, unix.MNT_DETACH)
		if diff := cmp.Diff(got, want); diff != "" {
			t.Fatalf("seed %d: (-overlayfs +overlay)\n%s", seed, diff)
		}
	}
}
