package vfs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// world is a namespace with a tmpfs at /, and a task of root in it.
type world struct {
	testing.TB
	k   *waittest.Kernel
	ctx *vfstest.Context
	ns  *vfs.Namespace
	fs  *tmpfs.FS
	at  vfs.At
}

func newWorld(t testing.TB) *world {
	k := &waittest.Kernel{}
	ctx := vfstest.Root(k.NewTask())
	fs := tmpfs.New(ctx.Realtime(), tmpfs.Options{Dev: 1, Mode: 0o755})
	ns, err := vfs.NewNamespace(ctx, fs, 0, "root")
	if err != nil {
		t.Fatal(err)
	}
	root := ns.Root()
	return &world{t, k, ctx, ns, fs, vfs.At{Root: root, Dir: root}}
}

// in returns the world with another working directory.
func (w *world) in(dir string) *world {
	w.Helper()
	c := *w
	c.at.Dir = w.path(dir)
	return &c
}

// as returns the world as an ordinary user sees it.
func (w *world) as(uid, gid uint32) *world {
	c := *w
	c.ctx = vfstest.User(w.k.NewTask(), uid, gid)
	return &c
}

func (w *world) path(name string) vfs.Path {
	w.Helper()
	p, err := vfs.Walk(w.ctx, w.at, name, 0, 0)
	if err != nil {
		w.Fatalf("walk %q: %v", name, err)
	}
	return p
}

func (w *world) want(err, want error, what ...any) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%v: %v, want %v", fmt.Sprint(what...), err, want)
	}
}

func (w *world) mkdir(names ...string) {
	w.Helper()
	for _, n := range names {
		w.want(vfs.Mkdir(w.ctx, w.at, n, 0o755), nil, "mkdir ", n)
	}
}

func (w *world) symlink(target, name string) {
	w.Helper()
	w.want(vfs.Symlink(w.ctx, target, w.at, name), nil, "symlink ", name)
}

func (w *world) open(name string, flags int) *vfs.File {
	w.Helper()
	f, err := vfs.Open(w.ctx, w.at, name, flags, 0o644, 0)
	if err != nil {
		w.Fatalf("open %q: %v", name, err)
	}
	return f
}

func (w *world) write(name, data string) {
	w.Helper()
	f := w.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC)
	if n, err := f.Write(w.ctx, []byte(data)); n != len(data) || err != nil {
		w.Fatalf("write %q: %d, %v", name, n, err)
	}
	f.Unref(w.ctx)
}

func (w *world) read(name string) string {
	w.Helper()
	f := w.open(name, unix.O_RDONLY)
	defer f.Unref(w.ctx)
	b := make([]byte, 4096)
	n, err := f.Read(w.ctx, b)
	if err != nil {
		w.Fatalf("read %q: %v", name, err)
	}
	return string(b[:n])
}

func (w *world) list(name string) string {
	w.Helper()
	f := w.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	defer f.Unref(w.ctx)
	var names []string
	if err := f.ReadDir(w.ctx, func(e vfs.DirEntry) bool { names = append(names, e.Name); return true }); err != nil {
		w.Fatalf("readdir %q: %v", name, err)
	}
	return strings.Join(names, " ")
}

func (w *world) mount(fs vfs.FileSystem, at string, flags vfs.MountFlags) *vfs.Mount {
	w.Helper()
	p := w.path(at)
	defer p.Unref()
	m, err := w.ns.Mount(w.ctx, fs, p, flags, "none")
	if err != nil {
		w.Fatalf("mount at %q: %v", at, err)
	}
	return m
}

func (w *world) tmpfs(dev uint64) *tmpfs.FS {
	return tmpfs.New(w.ctx.Realtime(), tmpfs.Options{Dev: dev})
}
