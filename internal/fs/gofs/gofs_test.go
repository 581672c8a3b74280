package gofs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sysemu/sysemu/internal/fs/gofs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// setup mounts fsys as the root; its test runs under the kernel lock.
func setup(t *testing.T, fsys fs.FS, f func(ctx *vfstest.Context, at vfs.At)) {
	k := &waittest.Kernel{}
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		ns, err := vfs.NewNamespace(ctx, gofs.New(fsys, gofs.Options{Dev: 7}), 0, "go")
		if err != nil {
			t.Error(err)
			return
		}
		root := ns.Root()
		f(ctx, vfs.At{Root: root, Dir: root})
		root.Unref()
		ns.Unref()
	})
}

func tree() fstest.MapFS {
	return fstest.MapFS{
		"a/b/file": {Data: []byte("hello, world"), Mode: 0o640, ModTime: time.Unix(1000, 5)},
		"a/run":    {Data: []byte("#!"), Mode: 0o755},
		"link":     {Data: []byte("a/b"), Mode: fs.ModeSymlink | 0o777},
		"top":      {Data: []byte("t"), Mode: 0o600},
	}
}

func read(t *testing.T, ctx vfs.Context, at vfs.At, name string, off int64, n int) string {
	t.Helper()
	f, err := vfs.Open(ctx, at, name, unix.O_RDONLY, 0, 0)
	if err != nil {
		t.Errorf("open %s: %v", name, err)
		return ""
	}
	defer f.Unref(ctx)
	b := make([]byte, n)
	k, err := f.Pread(ctx, b, off)
	if err != nil {
		t.Errorf("read %s: %v", name, err)
	}
	return string(b[:k])
}

func TestTree(t *testing.T) {
	setup(t, tree(), func(ctx *vfstest.Context, at vfs.At) {
		if got := read(t, ctx, at, "/link/file", 7, 100); got != "world" {
			t.Errorf("read %q", got)
		}
		a, err := vfs.Stat(ctx, at, "/a/b/file", 0)
		if err != nil || a.Mode != unix.S_IFREG|0o640 || a.Size != 12 || a.Mtime != 1000e9+5 || a.Dev != 7 {
			t.Errorf("stat: %+v, %v", a, err)
		}
		b, _ := vfs.Stat(ctx, at, "/link/file", 0)
		if a != b {
			t.Errorf("one file, two answers: %+v, %+v", a, b)
		}
		if got, err := vfs.Readlink(ctx, at, "/link", 0); got != "a/b" || err != nil {
			t.Errorf("readlink: %q, %v", got, err)
		}
		for dir, want := range map[string]string{"/": ". .. a link top", "/a": ". .. b run"} {
			f, err := vfs.Open(ctx, at, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0, 0)
			if err != nil {
				t.Error(err)
				continue
			}
			var names []string
			f.ReadDir(ctx, func(e vfs.DirEntry) bool {
				names = append(names, e.Name)
				a, err := vfs.Stat(ctx, at, dir+"/"+e.Name, 0)
				if err != nil || a.Ino != e.Ino || uint8(a.Mode>>12) != e.Type {
					t.Errorf("listed %+v, stat %+v, %v", e, a, err)
				}
				return true
			})
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%s: %s, want %s", dir, got, want)
			}
			f.Unref(ctx)
		}
		for _, c := range []struct {
			what      string
			err, want error
		}{
			{"create", second(vfs.Open(ctx, at, "/new", unix.O_RDWR|unix.O_CREAT, 0o600, 0)), unix.EROFS},
			{"write", second(vfs.Open(ctx, at, "/top", unix.O_WRONLY, 0, 0)), unix.EROFS},
			{"mkdir", vfs.Mkdir(ctx, at, "/d", 0o755), unix.EROFS},
			{"unlink", vfs.Unlink(ctx, at, "/top"), unix.EROFS},
			{"chmod", vfs.Chmod(ctx, at, "/top", 0, 0), unix.EROFS},
			{"missing", second(vfs.Stat(ctx, at, "/none", 0)), unix.ENOENT},
			{"not UTF-8", second(vfs.Stat(ctx, at, "/\xff", 0)), unix.ENOENT},
			{"through a file", second(vfs.Stat(ctx, at, "/top/x", 0)), unix.ENOTDIR},
			{"exec", second(vfs.OpenExec(ctx, at, "/top", 0, 0)), unix.EACCES},
		} {
			if c.err != c.want {
				t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// plain hides all that a file can do beyond Read.
type plain struct{ fs.FS }

type plainFile struct{ f fs.File }

func (p plain) Open(name string) (fs.File, error) {
	f, err := p.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if st, _ := f.Stat(); st.IsDir() {
		return f, nil
	}
	return plainFile{f}, nil
}
func (p plainFile) Stat() (fs.FileInfo, error) { return p.f.Stat() }
func (p plainFile) Read(b []byte) (int, error) { return p.f.Read(b[:min(len(b), 3)]) }
func (p plainFile) Close() error               { return p.f.Close() }

// A file that can only be read in order can be read anywhere all the same.
func TestInOrder(t *testing.T) {
	setup(t, plain{tree()}, func(ctx *vfstest.Context, at vfs.At) {
		f, err := vfs.Open(ctx, at, "/a/b/file", unix.O_RDONLY, 0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Unref(ctx)
		b := make([]byte, 5)
		for _, c := range []struct {
			off  int64
			want string
		}{{7, "world"}, {0, "hello"}, {10, "ld"}, {12, ""}, {50, ""}, {1, "ello,"}, {6, " worl"}} {
			n, err := f.Pread(ctx, b, c.off)
			if string(b[:n]) != c.want || err != nil {
				t.Errorf("at %d: %q, %v, want %q", c.off, b[:n], err, c.want)
			}
		}
	})
}

func TestMapped(t *testing.T) {
	fds := func() int { es, _ := os.ReadDir("/proc/self/fd"); return len(es) }
	before := fds()
	setup(t, tree(), func(ctx *vfstest.Context, at vfs.At) {
		f, err := vfs.OpenExec(ctx, at, "/a/run", 0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		fd, key, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, false)
		if err != nil || key == 0 {
			t.Errorf("map: %d, %v", key, err)
		}
		b := make([]byte, 10)
		if n, _ := unix.Pread(fd, b, 0); string(b[:n]) != "#!" {
			t.Errorf("mapped: %q", b[:n])
		}
		if n, err := f.Pread(ctx, b, 1); string(b[:n]) != "!" || err != nil {
			t.Errorf("read: %q, %v", b[:n], err)
		}
		if _, _, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, true); err != unix.EACCES {
			t.Errorf("map for writing: %v", err)
		}
		f.AllowWrite()
		f.Unref(ctx)
	})
	if n := fds(); n != before {
		t.Errorf("%d descriptors left", n-before)
	}
}

// rude panics and fails.
type rude struct{ fs.FS }

func (r rude) Open(name string) (fs.File, error) {
	switch name {
	case "a/run":
		panic("boo")
	case "top":
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("odd: %w", unix.ENOSPC)}
	case "a/b/file":
		return nil, errors.New("no errno")
	}
	return r.FS.Open(name)
}
func (r rude) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.FS, name) }
func (r rude) ReadLink(name string) (string, error)   { return "", fs.ErrPermission }

func TestErrors(t *testing.T) {
	setup(t, rude{tree()}, func(ctx *vfstest.Context, at vfs.At) {
		for name, want := range map[string]error{"/a/run": unix.EIO, "/top": unix.ENOSPC, "/a/b/file": unix.EIO, "/link": unix.EACCES} {
			if _, err := vfs.Open(ctx, at, name, unix.O_RDONLY, 0, 0); err != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	})
}
