package overlay

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/internal/fs/hostfs"
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

func put(t testing.TB, s string, path ...string) {
	t.Helper()
	p := filepath.Join(path...)
	os.MkdirAll(filepath.Dir(p), 0o755)
	if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (g guest) mustRead(name, want string) {
	g.t.Helper()
	if s, err := g.read(name); s != want || err != nil {
		g.t.Errorf("%s: %q, %v; want %q", name, s, err, want)
	}
}

func (g guest) ino(name string) uint64 {
	g.t.Helper()
	a, err := g.stat(name)
	g.must(name, err)
	if a.Dev != 42 {
		g.t.Errorf("%s: device %d", name, a.Dev)
	}
	return a.Ino
}

func (g guest) dropCaches() { g.k.Do(func() { g.ns.System().DropCaches() }) }

// inUpper returns what the upper layer has under a path, nil if nothing.
func (g guest) inUpper(path string) (ino vfs.Inode) {
	g.k.Do(func() {
		ino = g.fs.opts.Upper.Root()
		for _, s := range strings.Split(path, "/") {
			var err error
			if ino, err = ino.(vfs.Lookuper).Lookup(g.ctx, s); err != nil {
				ino = nil
				return
			}
		}
	})
	return ino
}

func TestCopyUp(t *testing.T) {
	low := t.TempDir()
	put(t, "lower", low, "usr/lib/f")
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if os.Chown(filepath.Join(low, "usr"), 3, 4) == nil {
		uid, gid = 3, 4
	}
	os.Chmod(low, 0o751)
	os.Chmod(filepath.Join(low, "usr/lib/f"), 0o755|os.ModeSetuid)
	ts := unix.NsecToTimespec(1e18 + 5)
	unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(low, "usr/lib"), []unix.Timespec{ts, ts}, 0)
	unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(low, "usr/lib/f"), []unix.Timespec{ts, ts}, 0)
	g := guest{newWorld(t, memory(), lower(t, low))}
	before := g.ino("usr/lib/f")
	dir := g.ino("usr/lib")
	reader, err := g.open("usr/lib/f", unix.O_RDONLY)
	g.must("open", err)
	defer g.close(reader)

	// Looking changes nothing.
	g.list("usr/lib")
	g.mustRead("usr/lib/f", "lower")
	if g.inUpper("usr") != nil {
		t.Error("copied up by looking")
	}
	if a, _ := g.stat("."); a.Mode&0o7777 != 0o751 {
		t.Errorf("the root has mode %o", a.Mode)
	}
	// Changing the mode copies all.
	g.must("chmod", g.chmod("usr/lib/f", 0o4700))
	a, _ := g.stat("usr/lib/f")
	if a.Mode != unix.S_IFREG|0o4700 || a.Mtime != 1e18+5 || a.Size != 5 {
		t.Errorf("after chmod: %+v", a)
	}
	for name, want := range map[string]vfs.Attr{"usr": {UID: uid, GID: gid}, "usr/lib": {UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Mtime: 1e18 + 5}} {
		a, _ := g.stat(name)
		if a.UID != want.UID || a.GID != want.GID || want.Mtime != 0 && a.Mtime != want.Mtime {
			t.Errorf("%s: %+v", name, a)
		}
		if g.inUpper(name) == nil {
			t.Errorf("%s is not in the upper layer", name)
		}
	}
	// Who had it open sees what is written, and the number stays, even when
	// all was forgotten.
	g.must("write", g.write("usr/lib/f", 0, 0, "UPPER"))
	if s, err := g.readFile(reader); s != "UPPER" || err != nil {
		t.Errorf("by the old description: %q, %v", s, err)
	}
	if n := g.ino("usr/lib/f"); n != before {
		t.Errorf("number %d became %d", before, n)
	}
	g.dropCaches()
	if n, m := g.ino("usr/lib/f"), g.ino("usr/lib"); n != before || m != dir {
		t.Errorf("numbers %d, %d became %d, %d", before, dir, n, m)
	}
	if b, _ := os.ReadFile(filepath.Join(low, "usr/lib/f")); string(b) != "lower" {
		t.Error("the lower layer was written")
	}
}

func TestContentsAreCopiedWhenWritten(t *testing.T) {
	low := t.TempDir()
	data := strings.Repeat("0123456789abcdef", 64<<10)
	put(t, data, low, "d/big")
	put(t, data, low, "huge")
	if err := os.Truncate(filepath.Join(low, "huge"), 1<<40); err != nil {
		t.Skip(err)
	}
	up := memory()
	g := guest{newWorld(t, lasting{up}, lower(t, low))}
	used := func() uint64 {
		s, _ := up.Statfs(g.ctx)
		return (s.Blocks - s.Bfree) * uint64(s.Bsize)
	}
	reader, err := g.open("d/big", unix.O_RDONLY)
	g.must("open", err)
	defer func() { g.close(reader) }()
	n := g.ino("d/big")
	g.must("chmod", g.chmod("d/big", 0o600))
	g.must("rename", g.rename("d/big", "moved", 0))
	g.must("link", g.link("moved", "linked"))
	g.must("utimens", g.utimens("moved", 1e18+3))
	g.must("chown", g.chown("huge", uint32(os.Geteuid()), uint32(os.Getegid())))
	if u := used(); u > 64<<10 {
		t.Errorf("%d bytes were copied", u)
	}
	for range 2 {
		a, err := g.stat("linked")
		if a.Ino != n || a.Nlink != 2 || a.Size != int64(len(data)) || a.Blocks*512 < a.Size || a.Mode&0o777 != 0o600 || err != nil {
			t.Errorf("%+v, %v", a, err)
		}
		g.mustRead("moved", data)
		if x, err := g.xattrs("moved"); x != "" || err != nil {
			t.Errorf("attributes: %s, %v", x, err)
		}
		g.close(reader)
		g.k.Do(func() {
			g.unmount()
			g.mount(lasting{up}, lower(t, low))
		})
		reader, err = g.open("moved", unix.O_RDONLY)
		g.must("open", err)
	}
	w, err := g.open("linked", unix.O_WRONLY)
	g.must("open", err)
	if a, _ := g.stat("moved"); a.Mtime != 1e18+3 {
		t.Errorf("opening changed the time to %d", a.Mtime)
	}
	g.do(func() error { _, err := w.Pwrite(g.ctx, []byte("new"), 5); return err })
	g.close(w)
	if s, err := g.readFile(reader); s != data[:5]+"new"+data[8:] || err != nil {
		t.Errorf("%d bytes, %.10q, %v", len(s), s, err)
	}
	if v, err := g.inUpper("moved").(vfs.Xattrer).Listxattr(g.ctx); len(v) != 0 || err != nil {
		t.Errorf("the mark is left: %v, %v", v, err)
	}
}

func TestNoRoom(t *testing.T) {
	low := t.TempDir()
	put(t, strings.Repeat("x", 1<<20), low, "f")
	up := tmpfs.New(1, tmpfs.Options{Size: 512 << 10})
	g := guest{newWorld(t, up, lower(t, low))}
	if _, err := g.open("f", unix.O_RDWR); err != unix.ENOSPC {
		t.Errorf("open: %v", err)
	}
	g.must("chmod", g.chmod("f", 0o600))
	if _, err := g.open("f", unix.O_RDWR); err != unix.ENOSPC {
		t.Errorf("open: %v", err)
	}
	g.mustRead("f", strings.Repeat("x", 1<<20))
	g.must("truncate", g.write("f", unix.O_TRUNC, 0, "short"))
	g.mustRead("f", "short")
}

func TestTruncatingCopiesNoMore(t *testing.T) {
	low := t.TempDir()
	if err := os.Truncate(func() string { put(t, "", low, "huge"); return filepath.Join(low, "huge") }(), 1<<40); err != nil {
		t.Skip(err)
	}
	g := guest{newWorld(t, memory(), lower(t, low))}
	g.must("truncate", g.write("huge", unix.O_TRUNC, 0, "short"))
	g.mustRead("huge", "short")
}

func TestHolesStay(t *testing.T) {
	low := t.TempDir()
	put(t, "start", low, "f")
	f, _ := os.OpenFile(filepath.Join(low, "f"), os.O_RDWR, 0)
	f.WriteAt([]byte("middle"), 1<<32)
	f.Truncate(1 << 36)
	f.Close()
	up := memory()
	g := guest{newWorld(t, up, lower(t, low))}
	g.must("chmod", g.chmod("f", 0o600))
	a, _ := g.stat("f")
	if a.Size != 1<<36 || a.Blocks > 64 {
		t.Errorf("size %d in %d blocks", a.Size, a.Blocks)
	}
	h, err := g.open("f", unix.O_RDONLY)
	g.must("open", err)
	defer g.close(h)
	g.do(func() error {
		p := make([]byte, 6)
		if n, err := h.Pread(g.ctx, p, 1<<32); string(p[:n]) != "middle" || err != nil {
			t.Errorf("%q, %v", p[:n], err)
		}
		return nil
	})
}

func TestHardLinksOfTheLowerLayer(t *testing.T) {
	low := t.TempDir()
	put(t, "one", low, "a/x")
	os.MkdirAll(filepath.Join(low, "b"), 0o755)
	os.Link(filepath.Join(low, "a/x"), filepath.Join(low, "b/y"))
	os.Link(filepath.Join(low, "a/x"), filepath.Join(low, "b/z"))
	g := guest{newWorld(t, memory(), lower(t, low))}
	n := g.ino("a/x")
	if g.ino("b/y") != n {
		t.Error("different numbers")
	}
	g.must("write", g.write("a/x", 0, 0, "two"))
	g.dropCaches()
	g.mustRead("b/y", "two")
	links := func(name string, want uint64) {
		t.Helper()
		if a, err := g.stat(name); a.Nlink != want || err != nil || a.Ino != n {
			t.Errorf("%s: %d links, number %d, %v; want %d", name, a.Nlink, a.Ino, err, want)
		}
	}
	links("b/z", 3)
	g.must("link", g.link("b/y", "c"))
	links("a/x", 4)
	g.must("unlink", g.unlink("a/x"))
	links("c", 3)
	g.must("write", g.write("b/z", unix.O_APPEND, 0, "!"))
	g.mustRead("c", "two!")
	g.must("rename", g.rename("b/y", "a/x", 0))
	links("a/x", 3)
	g.must("unlink", g.unlink("b/z"))
	g.must("unlink", g.unlink("c"))
	links("a/x", 1)
	g.mustRead("a/x", "two!")
	g.must("unlink", g.unlink("a/x"))
	for _, name := range []string{"a/x", "b/y", "b/z", "c"} {
		if _, err := g.stat(name); err != unix.ENOENT {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhiteoutsAndOpaqueDirectories(t *testing.T) {
	low := t.TempDir()
	put(t, "x", low, "d/x")
	put(t, "y", low, "d/sub/y")
	put(t, "f", low, "f")
	g := guest{newWorld(t, memory(), lower(t, low))}
	check := func(path, want string) {
		t.Helper()
		ino := g.inUpper(path)
		got := "nothing"
		if ino != nil {
			a, _ := ino.Attr(g.ctx)
			got = fmt.Sprintf("%o %d", a.Mode&unix.S_IFMT, a.Rdev)
			if v, err := ino.(vfs.Xattrer).Getxattr(g.ctx, opaque); err == nil {
				got += " opaque " + string(v)
			}
			if v, err := ino.(vfs.Xattrer).Getxattr(g.ctx, redirect); err == nil {
				got += " redirect " + string(v)
			}
		}
		if got != want {
			t.Errorf("%s in the upper layer: %s, want %s", path, got, want)
		}
	}
	g.must("unlink", g.unlink("f"))
	check("f", "20000 0")
	g.must("create", g.write("f", unix.O_CREAT|unix.O_EXCL, 0, "new"))
	check("f", "100000 0")
	for _, s := range []string{"d/x", "d/sub/y"} {
		g.must("unlink", g.unlink(s))
	}
	if err := g.rmdir("d"); err != unix.ENOTEMPTY {
		t.Errorf("rmdir: %v", err)
	}
	g.must("rmdir", g.rmdir("d/sub"))
	g.must("rmdir", g.rmdir("d"))
	check("d", "20000 0")
	g.must("mkdir", g.mkdir("d", 0o755))
	check("d", "40000 0 opaque y")
	if l, err := g.list("d"); len(l) != 2 || err != nil {
		t.Errorf("the new directory has %v, %v", l, err)
	}
	if x, err := g.xattrs("d"); x != "" || err != nil {
		t.Errorf("its attributes are seen: %s, %v", x, err)
	}
	if err := g.setxattr("d", opaque, "n"); err != unix.EPERM {
		t.Errorf("setting one: %v", err)
	}
	if err := g.do(func() error { return vfs.Mknod(g.ctx, g.at, "w", unix.S_IFCHR, 0) }); err != unix.EPERM {
		t.Errorf("making a whiteout: %v", err)
	}
	if l, _ := g.list("."); !slices.Equal(l, []string{".", "..", "d", "f"}) {
		t.Errorf("the root has %v", l)
	}
}

func TestMovedDirectories(t *testing.T) {
	low := t.TempDir()
	put(t, "x", low, "usr/share/doc/x")
	put(t, "y", low, "usr/share/y")
	up := memory()
	g := guest{newWorld(t, lasting{up}, lower(t, low))}
	n := g.ino("usr/share/doc/x")
	g.must("rename", g.rename("usr/share", "moved", 0))
	g.must("rename", g.rename("moved/doc", "usr/doc", 0))
	g.must("mkdir", g.mkdir("usr/share", 0o755))
	for range 2 {
		g.mustRead("usr/doc/x", "x")
		g.mustRead("moved/y", "y")
		if m := g.ino("usr/doc/x"); m != n {
			t.Errorf("number %d became %d", n, m)
		}
		for path, want := range map[string]string{"usr/share": ". ..", "moved": ". .. y", "usr": ". .. doc share"} {
			if l, err := g.list(path); strings.Join(l, " ") != want || err != nil {
				t.Errorf("%s has %v, %v; want %s", path, l, err, want)
			}
		}
		// And read back from the upper layer.
		g.k.Do(func() {
			g.unmount()
			g.mount(lasting{up}, lower(t, low))
		})
	}
	if n := g.inUpper("usr/doc/x"); n != nil {
		t.Error("moving copied what is in the directory")
	}
}

func TestListingWhileRemoving(t *testing.T) {
	low := t.TempDir()
	for i := range 1000 {
		put(t, "", low, fmt.Sprintf("d/%d", i))
	}
	g := guest{newWorld(t, memory(), lower(t, low))}
	f, err := g.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
	g.must("open", err)
	defer g.close(f)
	removed := 0
	for {
		var names []string
		g.do(func() error {
			return f.ReadDir(g.ctx, func(e vfs.DirEntry) bool {
				if len(names) == 50 {
					return false
				}
				names = append(names, e.Name)
				return true
			})
		})
		if len(names) == 0 {
			break
		}
		for _, s := range names {
			if s == "." || s == ".." {
				continue
			}
			g.must("unlink", g.unlink("d/"+s))
			removed++
		}
	}
	if removed != 1000 {
		t.Errorf("removed %d", removed)
	}
	g.must("rmdir", g.rmdir("d"))
}

func TestUnlinkedLowerFile(t *testing.T) {
	low := t.TempDir()
	put(t, "data", low, "d/f")
	up := memory()
	g := guest{newWorld(t, up, lower(t, low))}
	f, err := g.open("d/f", unix.O_RDONLY)
	g.must("open", err)
	g.must("unlink", g.unlink("d/f"))
	g.must("rmdir", g.rmdir("d"))
	g.do(func() error {
		a, err := f.Stat(g.ctx)
		if a.Nlink != 0 || a.Size != 4 || err != nil {
			t.Errorf("%+v, %v", a, err)
		}
		g.must("fchmod", f.Chmod(g.ctx, 0o600))
		a, _ = f.Stat(g.ctx)
		if a.Nlink != 0 || a.Mode&0o777 != 0o600 {
			t.Errorf("%+v", a)
		}
		return nil
	})
	if s, err := g.readFile(f); s != "data" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	g.close(f)
	g.dropCaches()
	g.do(func() error {
		s, _ := up.Statfs(g.ctx)
		if used := s.Files - s.Ffree; used != 2 { // the root and a whiteout
			t.Errorf("%d inodes are left in the upper layer", used)
		}
		return nil
	})
}

func TestTmpfile(t *testing.T) {
	g := guest{newWorld(t, memory(), lower(t, t.TempDir()))}
	f, err := g.open(".", unix.O_TMPFILE|unix.O_RDWR)
	g.must("open", err)
	g.do(func() error {
		_, err := f.Write(g.ctx, []byte("x"))
		g.must("write", err)
		g.must("link", vfs.Link(g.ctx, vfs.At{Root: g.at.Root, Dir: f.Path}, "", g.at, "named", vfs.Empty))
		return nil
	})
	g.close(f)
	g.dropCaches()
	g.mustRead("named", "x")
}

func TestMapping(t *testing.T) {
	low := t.TempDir()
	put(t, strings.Repeat("lower", 1000), low, "f")
	g := guest{newWorld(t, memory(), lower(t, low))}
	host := func(f *vfs.File, writable bool) (fd int, key uint64, err error) {
		g.do(func() error { fd, key, err = f.Impl.(vfs.Mmapper).HostFile(g.ctx, f, writable); return nil })
		return
	}
	see := func(fd int) string {
		b, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
		g.must("mmap", err)
		defer unix.Munmap(b)
		return string(b[:5])
	}
	r, err := g.open("f", unix.O_RDONLY)
	g.must("open", err)
	defer g.close(r)
	fd, key, err := host(r, false)
	g.must("map", err)
	if s := see(fd); s != "lower" {
		t.Errorf("%q", s)
	}
	if _, again, _ := host(r, false); again != key {
		t.Error("another key")
	}
	if _, _, err := host(r, true); err != unix.EACCES {
		t.Errorf("writable: %v", err)
	}
	w, err := g.open("f", unix.O_RDWR)
	g.must("open", err)
	defer g.close(w)
	fd2, key2, err := host(w, true)
	g.must("map", err)
	if key2 == key {
		t.Error("other pages, the same key")
	}
	b, err := unix.Mmap(fd2, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	g.must("mmap", err)
	copy(b, "UPPER")
	unix.Munmap(b)
	if fd, key, err := host(r, false); key != key2 || see(fd) != "UPPER" || err != nil {
		t.Errorf("the reader maps %q, key %d not %d, %v", see(fd), key, key2, err)
	}
	if s, _ := g.readFile(r); !strings.HasPrefix(s, "UPPER") {
		t.Errorf("%q", s[:5])
	}
}

func TestSeveralLowerLayers(t *testing.T) {
	a, b, c := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, "a", a, "d/both")
	put(t, "b", b, "d/both")
	put(t, "b", b, "d/b")
	put(t, "c", c, "d/b")
	put(t, "c", c, "d/c")
	put(t, "c", c, "gone")
	put(t, "c", c, "file")
	put(t, "b", b, "file/x")
	put(t, "c", c, "under/x")
	put(t, "c", c, "op/c")
	put(t, "a", a, "op/a")
	want := map[string]string{".": ". .. d file op under", "d": ". .. b both c", "file": ". .. x", "op": ". .. a c"}
	if unix.Mknod(filepath.Join(b, "gone"), unix.S_IFCHR, 0) == nil && unix.Setxattr(filepath.Join(a, "op"), opaque, []byte("y"), 0) == nil {
		want["op"] = ". .. a"
	} else {
		t.Skip("needs root")
	}
	for _, up := range []vfs.FileSystem{memory(), nil} {
		g := guest{newWorld(t, up, lower(t, a), lower(t, b), lower(t, c))}
		for range 2 {
			for path, s := range want {
				if l, err := g.list(path); strings.Join(l, " ") != s || err != nil {
					t.Errorf("%s has %v, %v; want %s", path, l, err, s)
				}
			}
			g.mustRead("d/both", "a")
			g.mustRead("d/b", "b")
			g.mustRead("d/c", "c")
			if up == nil {
				if err := g.mkdir("x", 0o755); err != unix.EROFS {
					t.Errorf("mkdir: %v", err)
				}
				break
			}
			g.must("chmod", g.chmod("d/c", 0o600)) // now with the directory above it
			g.must("chmod", g.chmod("op", 0o700))
		}
	}
}

func TestChanges(t *testing.T) {
	low := t.TempDir()
	for _, s := range []string{"etc/passwd", "etc/hosts", "usr/bin/x", "old/f", "kind", "swap/f"} {
		put(t, s, low, s)
	}
	g := guest{newWorld(t, memory(), lower(t, low))}
	g.must("write", g.write("etc/passwd", unix.O_APPEND, 0, "x"))
	g.must("unlink", g.unlink("etc/hosts"))
	g.must("mkdir", g.mkdir("new", 0o755))
	g.must("write", g.write("new/f", unix.O_CREAT, 0, "x"))
	g.must("chmod", g.chmod("usr/bin", 0o700))
	g.must("rename", g.rename("old", "moved", 0))
	g.must("write", g.write("moved/g", unix.O_CREAT, 0, "x"))
	g.must("unlink", g.unlink("kind"))
	g.must("mkdir", g.mkdir("kind", 0o755))
	g.must("unlink", g.unlink("swap/f"))
	g.must("rmdir", g.rmdir("swap"))
	g.must("write", g.write("swap", unix.O_CREAT, 0, "x"))
	g.must("write", g.write("passing", unix.O_CREAT, 0, "x"))
	g.must("unlink", g.unlink("passing"))
	var got []string
	g.do(func() error {
		l, err := g.fs.Changes(g.ctx)
		for _, c := range l {
			got = append(got, strings.TrimSpace(fmt.Sprint(c.Kind, " ", c.Path, " ", c.From)))
		}
		return err
	})
	want := []string{
		"deleted /etc/hosts", "modified /etc/passwd",
		"deleted /kind", "added /kind",
		"moved /moved /old", "added /moved/g",
		"added /new", "added /new/f",
		"deleted /old",
		"deleted /swap", "added /swap",
		"modified /usr/bin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCopyingUpAtOnce has many tasks open one file for writing at once, others
// read and remove it, while the copying waits for the disk.
func TestCopyingUpAtOnce(t *testing.T) {
	low := t.TempDir()
	const size = 3 << 20
	put(t, strings.Repeat("x", size), low, "f")
	put(t, strings.Repeat("x", size), low, "gone")
	for _, lazy := range []bool{false, true} {
		copyAtOnce(t, low, size, lazy)
	}
}

func copyAtOnce(t *testing.T, low string, size int, lazy bool) {
	g := guest{newWorld(t, memory(), slow{lower(t, low)})}
	if lazy {
		g.must("chmod", g.chmod("f", 0o666))
		g.must("chmod", g.chmod("gone", 0o666))
	}
	for i := range 6 {
		g.k.Go(func(task *waittest.Task) {
			ctx := *g.ctx
			ctx.Task = task
			for _, name := range []string{"f", "gone"} {
				f, err := vfs.Open(&ctx, g.at, name, unix.O_RDWR, 0, 0)
				if err == unix.ENOENT && name == "gone" {
					continue
				}
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if n, err := f.Pwrite(&ctx, []byte{'0' + byte(i)}, int64(i)); n != 1 || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
				if a, err := f.Stat(&ctx); a.Size != int64(size) || err != nil {
					t.Errorf("size %d, %v", a.Size, err)
				}
				f.Unref(&ctx)
				if i == 3 {
					if err := vfs.Unlink(&ctx, g.at, "gone"); err != nil && err != unix.ENOENT {
						t.Errorf("unlink: %v", err)
					}
				}
			}
		})
	}
	g.k.Wait()
	s, err := g.read("f")
	if len(s) != size || s[:7] != "012345x" || err != nil {
		t.Errorf("%d bytes, %.10q, %v", len(s), s, err)
	}
	if _, err := g.stat("gone"); err != unix.ENOENT {
		t.Errorf("gone: %v", err)
	}
}

// slow is a layer whose reads always wait.
type slow struct{ vfs.FileSystem }

func (s slow) Root() vfs.Inode { return slowDir{s.FileSystem.Root().(hostDir)} }

type hostDir interface {
	vfs.Inode
	vfs.Lookuper
	vfs.Opener
}
type slowDir struct{ hostDir }

func (d slowDir) Lookup(ctx vfs.Context, name string) (vfs.Inode, error) {
	ino, err := d.hostDir.Lookup(ctx, name)
	if f, ok := ino.(hostDir); ok && err == nil {
		return slowDir{f}, nil
	}
	if f, ok := ino.(vfs.Opener); ok && err == nil {
		return slowFile{ino, f}, nil
	}
	return ino, err
}

type slowFile struct {
	vfs.Inode
	o vfs.Opener
}

func (f slowFile) Open(ctx vfs.Context, p vfs.Path, flags int) (vfs.Impl, error) {
	i, err := f.o.Open(ctx, p, flags)
	return slowOpen{i}, err
}

type slowOpen struct{ vfs.Impl }

func (o slowOpen) Read(ctx vfs.Context, f *vfs.File, p []byte, off int64) (int, error) {
	ctx.Offload(func() {})
	return o.Impl.(vfs.Reader).Read(ctx, f, p, off)
}

func BenchmarkOverlay(b *testing.B) {
	low := b.TempDir()
	put(b, strings.Repeat("x", 8192), low, "a/b/c/file")
	g := guest{newWorld(b, memory(), lower(b, low))}
	g.stat("a/b/c/file")
	var dir vfs.Inode
	g.k.Do(func() {
		p, _ := vfs.Walk(g.ctx, g.at, "a/b/c", 0, 0)
		dir = p.Inode()
	})
	l := dir.(vfs.Lookuper)
	b.Run("lookup-new", func(b *testing.B) {
		for b.Loop() {
			ino, err := l.Lookup(g.ctx, "file")
			if err != nil {
				b.Fatal(err)
			}
			ino.(vfs.Evicter).Evict()
		}
	})
	b.Run("lookup-none", func(b *testing.B) {
		for b.Loop() {
			l.Lookup(g.ctx, "none")
		}
	})
	ino, _ := l.Lookup(g.ctx, "file")
	b.Run("attr", func(b *testing.B) {
		for b.Loop() {
			ino.Attr(g.ctx)
		}
	})
	b.Run("stat-path", func(b *testing.B) {
		for b.Loop() {
			vfs.Stat(g.ctx, g.at, "a/b/c/file", 0)
		}
	})
	b.Run("open+fstat+close", func(b *testing.B) {
		for b.Loop() {
			f, err := vfs.Open(g.ctx, g.at, "a/b/c/file", unix.O_RDONLY, 0, 0)
			if err != nil {
				b.Fatal(err)
			}
			f.Stat(g.ctx)
			f.Unref(g.ctx)
		}
	})
	b.Run("create+write+unlink", func(b *testing.B) {
		for b.Loop() {
			f, err := vfs.Open(g.ctx, g.at, "a/b/c/new", unix.O_WRONLY|unix.O_CREAT, 0o644, 0)
			if err != nil {
				b.Fatal(err)
			}
			f.Write(g.ctx, []byte("x"))
			f.Unref(g.ctx)
			vfs.Unlink(g.ctx, g.at, "a/b/c/new")
		}
	})
}

// BenchmarkCopyUp is the first write to a file of 64 KiB.
func BenchmarkCopyUp(b *testing.B) {
	low := b.TempDir()
	put(b, strings.Repeat("x", 64<<10), low, "f")
	l, err := hostfs.New(low, hostfs.Options{ReadOnly: true, Stable: true})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Unmounted()
	g := guest{newWorld(b, memory(), lasting{l})}
	b.SetBytes(64 << 10)
	for b.Loop() {
		if err := g.chmod("f", 0o600); err != nil {
			b.Fatal(err)
		}
		g.k.Do(func() {
			g.unmount()
			g.mount(memory(), lasting{l})
		})
	}
}
