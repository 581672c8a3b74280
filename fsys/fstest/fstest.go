// Package fstest tests file systems that machines mount: by calling them, and by
// running programs on them. What programs see is compared with what they see on
// the machine's own tmpfs.
//
// The programs are those of the host: busybox, or sh and coreutils, must be there.
package fstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
)

// TestFS tests an implementation of [fsys.FS]. newFS returns an empty one each
// time; it is called for each part of the test. What the implementation can do
// is found out by the interfaces that it has: what it lacks is not asked for.
func TestFS(t *testing.T, newFS func(t *testing.T) fsys.FS) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f fsys.FS)
	}{
		{"Open", testOpen}, {"ReadWrite", testReadWrite}, {"Truncate", testTruncate}, {"Mkdir", testMkdir},
		{"Remove", testRemove}, {"Rename", testRename}, {"Symlink", testSymlink}, {"Link", testLink},
		{"Attributes", testAttributes}, {"Xattr", testXattr}, {"Names", testNames}, {"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newFS(t)) })
	}
	t.Run("Programs", func(t *testing.T) { testPrograms(t, newFS) })
}

// wants fails unless err is target.
func wants(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want an error that is %v", what, err, target)
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func write(t *testing.T, f fsys.FS, name, data string) {
	t.Helper()
	must(t, "writing "+name, fsys.WriteFile(f, name, []byte(data), 0o644))
}

func contents(t *testing.T, f fsys.FS, name, want string) {
	t.Helper()
	got, err := fs.ReadFile(f, name)
	if err != nil || string(got) != want {
		t.Errorf("%s has %.60q, %v, want %.60q", name, got, err, want)
	}
}

func testOpen(t *testing.T, f fsys.FS) {
	_, err := f.OpenFile("none", os.O_RDONLY, 0)
	wants(t, "opening what is not there", err, fs.ErrNotExist)
	_, err = f.OpenFile("none", os.O_RDWR, 0)
	wants(t, "opening what is not there for writing", err, fs.ErrNotExist)
	_, err = f.OpenFile("none/file", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	wants(t, "making a file in a directory that is not there", err, fs.ErrNotExist)
	h, err := f.OpenFile("file", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444)
	must(t, "making a file", err)
	n, err := h.WriteAt([]byte("x"), 0)
	if n != 1 || err != nil {
		t.Errorf("writing to a new file of mode 0444: %d, %v", n, err)
	}
	must(t, "Close", h.Close())
	_, err = f.OpenFile("file", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	wants(t, "making what is there", err, fs.ErrExist)
	info, err := fs.Stat(f, "file")
	must(t, "Stat", err)
	if info.Size() != 1 || !info.Mode().IsRegular() || info.Name() != "file" || info.IsDir() {
		t.Errorf("Stat: %s, %v, %d bytes", info.Name(), info.Mode(), info.Size())
	}
	if _, err := f.OpenFile("file/x", os.O_RDONLY, 0); err == nil {
		t.Error("a file was opened as a directory")
	}
	d, err := f.Open(".")
	must(t, "opening the root", err)
	defer d.Close()
	if info, err := d.Stat(); err != nil || !info.IsDir() {
		t.Errorf("the root: %v, %v", info, err)
	}
	list, err := fs.ReadDir(f, ".")
	if err != nil || len(list) != 1 || list[0].Name() != "file" || list[0].IsDir() {
		t.Errorf("ReadDir: %v, %v", list, err)
	}
}

func testReadWrite(t *testing.T, f fsys.FS) {
	h, err := f.OpenFile("file", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	must(t, "making a file", err)
	defer h.Close()
	want := make([]byte, 200_000)
	put := func(p []byte, off int) {
		t.Helper()
		if n, err := h.WriteAt(p, int64(off)); n != len(p) || err != nil {
			t.Fatalf("WriteAt(%d bytes, %d): %d, %v", len(p), off, n, err)
		}
		copy(want[off:], p)
	}
	put([]byte("end"), len(want)-3) // what is before it is zero
	for i, off := range []int{0, 1, 4095, 4096, 32767, 65535, 100_000} {
		put(bytes.Repeat([]byte{byte('a' + i)}, 5000), off)
	}
	got := make([]byte, len(want))
	if n, err := h.ReadAt(got, 0); n != len(want) || err != nil && err != io.EOF || !bytes.Equal(got, want) {
		t.Errorf("ReadAt of all: %d, %v; equal: %v", n, err, bytes.Equal(got, want))
	}
	for _, off := range []int{3, 4094, 8191, 150_000} {
		p := make([]byte, 5000)
		if n, err := h.ReadAt(p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, want[off:off+len(p)]) {
			t.Errorf("ReadAt(%d bytes, %d): %d, %v", len(p), off, n, err)
		}
	}
	p := make([]byte, 10)
	if n, err := h.ReadAt(p, int64(len(want)-3)); n != 3 || err != io.EOF || string(p[:n]) != "end" {
		t.Errorf("ReadAt over the end: %d, %v, want 3, EOF", n, err)
	}
	if n, err := h.ReadAt(p, int64(len(want))); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the end: %d, %v, want 0, EOF", n, err)
	}
	if n, err := h.ReadAt(p, int64(len(want)+100)); n != 0 || err != io.EOF {
		t.Errorf("ReadAt behind the end: %d, %v, want 0, EOF", n, err)
	}
	if info, err := h.Stat(); err != nil || info.Size() != int64(len(want)) {
		t.Errorf("Stat of the open file: %v, %v", info, err)
	}
	if all, err := fs.ReadFile(f, "file"); err != nil || !bytes.Equal(all, want) {
		t.Errorf("ReadFile: %d bytes, %v", len(all), err)
	}
	if s, ok := h.(fsys.Syncer); ok {
		must(t, "Sync", s.Sync())
	}
}

func testTruncate(t *testing.T, f fsys.FS) {
	write(t, f, "file", "0123456789")
	write(t, f, "file", "abc")
	contents(t, f, "file", "abc")
	if tr, ok := f.(fsys.TruncateFS); ok {
		must(t, "Truncate", tr.Truncate("file", 2))
		contents(t, f, "file", "ab")
		must(t, "Truncate to more", tr.Truncate("file", 4))
		contents(t, f, "file", "ab\x00\x00")
		wants(t, "Truncate of nothing", tr.Truncate("none", 1), fs.ErrNotExist)
	}
	h, err := f.OpenFile("file", os.O_RDWR, 0)
	must(t, "opening", err)
	defer h.Close()
	tr, ok := h.(fsys.Truncater)
	if !ok {
		return
	}
	must(t, "Truncate", tr.Truncate(1))
	must(t, "Truncate to more", tr.Truncate(5000))
	contents(t, f, "file", "a"+strings.Repeat("\x00", 4999))
	if tr.Truncate(-1) == nil {
		t.Error("Truncate(-1) succeeded")
	}
}

func testMkdir(t *testing.T, f fsys.FS) {
	m, ok := f.(fsys.MkdirFS)
	if !ok {
		return // nothing to test
	}
	must(t, "Mkdir", m.Mkdir("a", 0o755))
	must(t, "Mkdir", m.Mkdir("a/b", 0o700))
	wants(t, "Mkdir of what is there", m.Mkdir("a/b", 0o755), fs.ErrExist)
	wants(t, "Mkdir in nothing", m.Mkdir("none/b", 0o755), fs.ErrNotExist)
	write(t, f, "a/b/file", "deep")
	contents(t, f, "a/b/file", "deep")
	info, err := fs.Stat(f, "a/b")
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("a/b: %v, %v", info, err)
	}
	for _, n := range []string{"a/z", "a/c", "a/m"} {
		write(t, f, n, "")
	}
	list, err := fs.ReadDir(f, "a")
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
		if e.IsDir() != (e.Name() == "b") {
			t.Errorf("%s is a directory: %v", e.Name(), e.IsDir())
		}
	}
	slices.Sort(names)
	if err != nil || strings.Join(names, " ") != "b c m z" {
		t.Errorf("ReadDir: %v, %v", names, err)
	}
}

func testRemove(t *testing.T, f fsys.FS) {
	r, ok := f.(fsys.RemoveFS)
	if !ok {
		return // nothing to test
	}
	write(t, f, "file", "still there")
	h, err := f.OpenFile("file", os.O_RDWR, 0)
	must(t, "opening", err)
	defer h.Close()
	must(t, "Remove", r.Remove("file"))
	_, err = fs.Stat(f, "file")
	wants(t, "Stat of what was removed", err, fs.ErrNotExist)
	wants(t, "Remove of what is not there", r.Remove("file"), fs.ErrNotExist)
	p := make([]byte, 5)
	if n, err := h.ReadAt(p, 0); n != 5 || err != nil || string(p) != "still" {
		t.Errorf("reading what was removed: %d, %v, %q", n, err, p)
	}
	if _, err := h.WriteAt([]byte("more"), 20); err != nil {
		t.Errorf("writing what was removed: %v", err)
	}
	write(t, f, "file", "another")
	if n, _ := h.ReadAt(p, 0); string(p[:n]) != "still" {
		t.Errorf("what was removed reads %q once another has its name", p[:n])
	}
	m, ok := f.(fsys.MkdirFS)
	if !ok {
		return
	}
	must(t, "Mkdir", m.Mkdir("dir", 0o755))
	write(t, f, "dir/x", "")
	if err := r.Remove("dir"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of a directory with a file in it: %v", err)
	}
	must(t, "Remove", r.Remove("dir/x"))
	must(t, "Remove of an empty directory", r.Remove("dir"))
}

func testRename(t *testing.T, f fsys.FS) {
	r, ok := f.(fsys.RenameFS)
	if !ok {
		return // nothing to test
	}
	write(t, f, "a", "A")
	write(t, f, "b", "B")
	h, err := f.OpenFile("b", os.O_RDONLY, 0)
	must(t, "opening", err)
	defer h.Close()
	must(t, "Rename", r.Rename("a", "b"))
	contents(t, f, "b", "A")
	_, err = fs.Stat(f, "a")
	wants(t, "Stat of the old name", err, fs.ErrNotExist)
	p := make([]byte, 1)
	if _, err := h.ReadAt(p, 0); err != nil && err != io.EOF || p[0] != 'B' {
		t.Errorf("what was replaced reads %q, %v", p, err)
	}
	wants(t, "Rename of what is not there", r.Rename("none", "b"), fs.ErrNotExist)
	m, ok := f.(fsys.MkdirFS)
	if !ok {
		return
	}
	must(t, "Mkdir", m.Mkdir("d", 0o755))
	must(t, "Mkdir", m.Mkdir("e", 0o755))
	must(t, "Rename into a directory", r.Rename("b", "d/b"))
	contents(t, f, "d/b", "A")
	if r.Rename("e", "d") == nil {
		t.Error("a directory with a file in it was replaced")
	}
	must(t, "Rename over an empty directory", r.Rename("d", "e"))
	contents(t, f, "e/b", "A")
	if r.Rename("e", "e/b") == nil || r.Rename("e", "e/in") == nil {
		t.Error("a directory was moved into itself")
	}
	contents(t, f, "e/b", "A")
}

func testSymlink(t *testing.T, f fsys.FS) {
	s, ok := f.(fsys.SymlinkFS)
	if !ok {
		return // nothing to test
	}
	rl, ok := f.(fs.ReadLinkFS)
	if !ok {
		t.Fatal("a SymlinkFS must be an fs.ReadLinkFS")
	}
	for _, target := range []string{"file", "/absolute/../x", "..", strings.Repeat("long", 100)} {
		name := fmt.Sprintf("l%d", len(target))
		must(t, "Symlink", s.Symlink(target, name))
		if got, err := rl.ReadLink(name); got != target || err != nil {
			t.Errorf("ReadLink: %q, %v, want %q", got, err, target)
		}
		info, err := rl.Lstat(name)
		if err != nil || info.Mode().Type() != fs.ModeSymlink || info.Size() != int64(len(target)) {
			t.Errorf("Lstat of a link: %v, %v", info, err)
		}
		wants(t, "Symlink of what is there", s.Symlink("x", name), fs.ErrExist)
	}
	write(t, f, "file", "text")
	if _, err := rl.ReadLink("file"); err == nil {
		t.Error("ReadLink of a file succeeded")
	}
	if r, ok := f.(fsys.RemoveFS); ok {
		must(t, "Remove", r.Remove("l4"))
		contents(t, f, "file", "text")
	}
}

// stat returns what Sys says.
func stat(t *testing.T, f fsys.FS, name string) (ino, nlink uint64) {
	t.Helper()
	info, err := fs.Lstat(f, name)
	must(t, "Lstat", err)
	s, ok := sysStat(info)
	if !ok {
		t.Fatalf("Sys of %s is a %T, neither *fsys.Stat nor *syscall.Stat_t", name, info.Sys())
	}
	return s.Ino, s.Nlink
}

func testLink(t *testing.T, f fsys.FS) {
	l, ok := f.(fsys.LinkFS)
	if !ok {
		return // nothing to test
	}
	write(t, f, "a", "one")
	must(t, "Link", l.Link("a", "b"))
	wants(t, "Link of what is there", l.Link("a", "b"), fs.ErrExist)
	wants(t, "Link of nothing", l.Link("none", "c"), fs.ErrNotExist)
	write(t, f, "b", "two")
	contents(t, f, "a", "two")
	ai, an := stat(t, f, "a")
	bi, bn := stat(t, f, "b")
	if ai == 0 || ai != bi || an != 2 || bn != 2 {
		t.Errorf("two names of a file: numbers %d and %d, links %d and %d", ai, bi, an, bn)
	}
	if r, ok := f.(fsys.RemoveFS); ok {
		must(t, "Remove", r.Remove("a"))
		contents(t, f, "b", "two")
		if _, n := stat(t, f, "b"); n != 1 {
			t.Errorf("links of what lost one of two names: %d", n)
		}
	}
}

func testAttributes(t *testing.T, f fsys.FS) {
	write(t, f, "file", "x")
	if c, ok := f.(fsys.ChmodFS); ok {
		for _, m := range []fs.FileMode{0o600, 0o751, 0o755 | fs.ModeSetuid, 0} {
			must(t, "Chmod", c.Chmod("file", m))
			if info, err := fs.Stat(f, "file"); err != nil || info.Mode() != m {
				t.Errorf("after Chmod(%v): %v, %v", m, info.Mode(), err)
			}
		}
		must(t, "Chmod", c.Chmod("file", 0o644))
		wants(t, "Chmod of nothing", c.Chmod("none", 0), fs.ErrNotExist)
	}
	if c, ok := f.(fsys.ChtimesFS); ok {
		at, mt := time.Unix(1_000_000, 5000), time.Unix(2_000_000, 6000)
		must(t, "Chtimes", c.Chtimes("file", at, mt))
		must(t, "Chtimes", c.Chtimes("file", time.Time{}, mt.Add(time.Second)))
		info, err := fs.Stat(f, "file")
		if err != nil || !info.ModTime().Equal(mt.Add(time.Second)) {
			t.Errorf("after Chtimes: %v, %v", info.ModTime(), err)
		}
		if s, ok := sysStat(info); ok && !s.Atime.Equal(at) {
			t.Errorf("after Chtimes: atime %v, want %v", s.Atime, at)
		}
		wants(t, "Chtimes of nothing", c.Chtimes("none", at, mt), fs.ErrNotExist)
	}
	if o, ok := f.(fsys.LchownFS); ok {
		info, err := fs.Stat(f, "file")
		must(t, "Stat", err)
		if s, ok := sysStat(info); ok {
			must(t, "Lchown to the same", o.Lchown("file", int(s.UID), int(s.GID)))
			must(t, "Lchown to nobody else", o.Lchown("file", -1, -1))
		}
		wants(t, "Lchown of nothing", o.Lchown("none", -1, -1), fs.ErrNotExist)
	}
	if u, ok := f.(fsys.StatfsFS); ok {
		if s, err := u.Statfs(); err != nil || s.Avail > s.Blocks || s.Free > s.Blocks || s.BlockSize < 0 {
			t.Errorf("Statfs: %+v, %v", s, err)
		}
	}
}

func testXattr(t *testing.T, f fsys.FS) {
	get, ok := f.(fsys.GetxattrFS)
	set, ok2 := f.(fsys.SetxattrFS)
	if !ok || !ok2 {
		return // nothing to test
	}
	write(t, f, "file", "")
	err := set.Setxattr("file", "user.a", []byte("1\x002"), 0)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("it has no extended attributes here")
	}
	must(t, "Setxattr", err)
	if v, err := get.Getxattr("file", "user.a"); err != nil || string(v) != "1\x002" {
		t.Errorf("Getxattr: %q, %v", v, err)
	}
	if _, err := get.Getxattr("file", "user.none"); err == nil {
		t.Error("Getxattr of what is not there succeeded")
	}
	if l, ok := f.(fsys.ListxattrFS); ok {
		if names, err := l.Listxattr("file"); err != nil || len(names) != 1 || names[0] != "user.a" {
			t.Errorf("Listxattr: %q, %v", names, err)
		}
	}
	if r, ok := f.(fsys.RemovexattrFS); ok {
		must(t, "Removexattr", r.Removexattr("file", "user.a"))
		if _, err := get.Getxattr("file", "user.a"); err == nil {
			t.Error("Getxattr of what was removed succeeded")
		}
	}
}

// testNames has names that are names on Linux, and some that are not.
func testNames(t *testing.T, f fsys.FS) {
	long := strings.Repeat("n", 255)
	for _, name := range []string{"with space", "-dash", "tab\tnewline\n", "ünïcode", "\xff\xfe", "...", ".hidden", "back\\slash", long} {
		write(t, f, name, name)
		contents(t, f, name, name)
	}
	list, err := fs.ReadDir(f, ".")
	if err != nil || len(list) != 9 {
		t.Errorf("ReadDir: %d names, %v", len(list), err)
	}
	for _, name := range []string{"", "/abs", "../up", "a/../b", "nul\x00", long + "n"} {
		if h, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			h.Close()
			if list, _ := fs.ReadDir(f, "."); len(list) != 9 {
				t.Errorf("%q was taken for a name: there are %d now", name, len(list))
			}
		}
	}
}

func testConcurrent(t *testing.T, f fsys.FS) {
	const workers, rounds = 4, 50
	write(t, f, "shared", strings.Repeat(".", workers*8))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			h, err := f.OpenFile("shared", os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			own := fmt.Sprintf("own%d", w)
			for i := range rounds {
				s := fmt.Sprintf("%d-%05d.", w, i)
				h.WriteAt([]byte(s), int64(w*8))
				p := make([]byte, 8)
				if n, err := h.ReadAt(p, int64(w*8)); n != 8 || err != nil && err != io.EOF || string(p) != s {
					t.Errorf("%q was written, and %q, %v read", s, p[:n], err)
				}
				if err := fsys.WriteFile(f, own, []byte(s), 0o644); err != nil {
					t.Error(err)
				}
				if _, err := fs.ReadDir(f, "."); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// log collects what a machine has to say: a file system that is all right gives
// no occasion.
func log(t *testing.T) sysemu.Option {
	return sysemu.WithLog(func(msg string) { t.Errorf("the machine reports: %s", msg) })
}
