package vfs_test

import (
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func walkWorld(t testing.TB) *world {
	w := newWorld(t)
	w.mkdir("/a", "/a/b", "/a/b/c", "/m", "/jail", "/jail/in")
	w.write("/a/file", "x")
	w.write("/a/b/c/deep", "y")
	w.symlink("b", "/a/rel")
	w.symlink("/a/b", "/a/abs")
	w.symlink("file", "/a/tofile")
	w.symlink("b/", "/a/slash")
	w.symlink("gone", "/a/dangling")
	w.symlink("loop", "/a/loop")
	w.symlink("../rel/c", "/a/b/twice")
	w.symlink("/", "/toroot")
	w.symlink("/in", "/jail/abs")
	w.symlink("../../../in", "/jail/up")
	w.mount(w.tmpfs(2), "/m", 0)
	w.mkdir("/m/inner")
	w.symlink("/a", "/m/out")
	return w
}

func TestWalk(t *testing.T) {
	w := walkWorld(t)
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		dir, name string
		flags     vfs.WalkFlags
		resolve   uint64
		want      string // what it is called, when it is found
		err       error
	}{
		{"/", "a/b/c", 0, 0, "/a/b/c", nil},
		{"/a", "b//c/", 0, 0, "/a/b/c", nil},
		{"/a/b", ".", 0, 0, "/a/b", nil},
		{"/a/b", "..", 0, 0, "/a", nil},
		{"/a/b", "../../../..", 0, 0, "/", nil},
		{"/a", "/", 0, 0, "/", nil},
		{"/a", "//a/./b/../file", 0, 0, "/a/file", nil},
		{"/", "", 0, 0, "", unix.ENOENT},
		{"/a/b", "", vfs.Empty, 0, "/a/b", nil},
		{"/a/file", "", vfs.Empty, 0, "/a/file", nil},
		{"/a/file", "x", 0, 0, "", unix.ENOTDIR},
		{"/", "a/file/", 0, 0, "", unix.ENOTDIR},
		{"/", "a/file/.", 0, 0, "", unix.ENOTDIR},
		{"/", "a/file/..", 0, 0, "", unix.ENOTDIR},
		{"/", "a/file", vfs.Directory, 0, "", unix.ENOTDIR},
		{"/", "a/nope", 0, 0, "", unix.ENOENT},
		{"/", "a/nope/", 0, 0, "", unix.ENOENT},
		{"/", "a/nope/x", 0, 0, "", unix.ENOENT},
		{"/", long, 0, 0, "", unix.ENAMETOOLONG},
		{"/", long[:255], 0, 0, "", unix.ENOENT},
		{"/", strings.Repeat("a/", 2048), 0, 0, "", unix.ENAMETOOLONG},
		{"/", strings.Repeat("./", 2047), 0, 0, "/", nil},

		{"/", "a/rel", 0, 0, "/a/rel", nil},
		{"/", "a/rel", vfs.Follow, 0, "/a/b", nil},
		{"/", "a/rel/", 0, 0, "/a/b", nil},
		{"/", "a/rel/c", 0, 0, "/a/b/c", nil},
		{"/", "a/abs/c/deep", 0, 0, "/a/b/c/deep", nil},
		{"/", "a/slash", vfs.Follow, 0, "/a/b", nil},
		{"/", "a/slash", 0, 0, "/a/slash", nil},
		{"/", "a/tofile/", 0, 0, "", unix.ENOTDIR},
		{"/", "a/tofile/x", 0, 0, "", unix.ENOTDIR},
		{"/", "a/b/twice/deep", 0, 0, "/a/b/c/deep", nil},
		{"/", "a/b/twice", vfs.Follow, 0, "/a/b/c", nil},
		{"/", "a/dangling", vfs.Follow, 0, "", unix.ENOENT},
		{"/", "a/dangling", 0, 0, "/a/dangling", nil},
		{"/", "a/loop", vfs.Follow, 0, "", unix.ELOOP},
		{"/", "a/loop/x", 0, 0, "", unix.ELOOP},
		{"/", "a/loop", 0, 0, "/a/loop", nil},
		{"/a", "../toroot", vfs.Follow, 0, "/", nil},
		{"/a", "../toroot/a/rel/..", 0, 0, "/a", nil},

		{"/", "m", 0, 0, "/m", nil},
		{"/", "m/inner/../..", 0, 0, "/", nil},
		{"/m/inner", "../../a", 0, 0, "/a", nil},
		{"/", "m/out/b", 0, 0, "/a/b", nil},

		{"/", "m", 0, unix.RESOLVE_NO_XDEV, "", unix.EXDEV},
		{"/m", "inner", 0, unix.RESOLVE_NO_XDEV, "/m/inner", nil},
		{"/m/inner", "..", 0, unix.RESOLVE_NO_XDEV, "/m", nil},
		{"/m", "..", 0, unix.RESOLVE_NO_XDEV, "", unix.EXDEV},
		{"/m", "out", vfs.Follow, unix.RESOLVE_NO_XDEV, "", unix.EXDEV},
		{"/", "a/abs", vfs.Follow, unix.RESOLVE_NO_XDEV, "/a/b", nil},

		{"/", "a/rel", vfs.Follow, unix.RESOLVE_NO_SYMLINKS, "", unix.ELOOP},
		{"/", "a/rel", 0, unix.RESOLVE_NO_SYMLINKS, "/a/rel", nil},
		{"/", "a/rel/c", 0, unix.RESOLVE_NO_SYMLINKS, "", unix.ELOOP},

		{"/a", "/a", 0, unix.RESOLVE_BENEATH, "", unix.EXDEV},
		{"/a", "..", 0, unix.RESOLVE_BENEATH, "", unix.EXDEV},
		{"/a", "b/..", 0, unix.RESOLVE_BENEATH, "/a", nil},
		{"/a", "b/../../a", 0, unix.RESOLVE_BENEATH, "", unix.EXDEV},
		{"/a", "abs", vfs.Follow, unix.RESOLVE_BENEATH, "", unix.EXDEV},
		{"/a", "rel/c", vfs.Follow, unix.RESOLVE_BENEATH, "/a/b/c", nil},
		{"/a", "b/twice", vfs.Follow, unix.RESOLVE_BENEATH, "/a/b/c", nil},
		{"/a/b", "twice", vfs.Follow, unix.RESOLVE_BENEATH, "", unix.EXDEV},

		{"/jail", "/in", 0, unix.RESOLVE_IN_ROOT, "/jail/in", nil},
		{"/jail", "../../in", 0, unix.RESOLVE_IN_ROOT, "/jail/in", nil},
		{"/jail", "abs", vfs.Follow, unix.RESOLVE_IN_ROOT, "/jail/in", nil},
		{"/jail", "up", vfs.Follow, unix.RESOLVE_IN_ROOT, "/jail/in", nil},
		{"/jail", "in", 0, unix.RESOLVE_IN_ROOT | unix.RESOLVE_BENEATH, "", unix.EINVAL},
	} {
		in := w.in(c.dir)
		p, err := vfs.Walk(w.ctx, in.at, c.name, c.flags, c.resolve)
		w.want(err, c.err, c.dir, " ", c.name)
		if err == nil {
			if got := vfs.PathName(w.at.Root, p); got != c.want {
				t.Errorf("%s %s: %s, want %s", c.dir, c.name, got, c.want)
			}
			p.Unref()
		}
		in.at.Dir.Unref()
	}
}

// A chroot is not left by "..", and getcwd from outside says so.
func TestChroot(t *testing.T) {
	w := walkWorld(t)
	in := *w
	in.at = vfs.At{Root: w.path("/jail"), Dir: w.path("/jail/in")}
	p := in.path("../../../in")
	if got := vfs.PathName(w.at.Root, p); got != "/jail/in" {
		t.Errorf("left the root: %s", got)
	}
	if got := vfs.PathName(in.at.Root, p); got != "/in" {
		t.Errorf("seen from inside: %s", got)
	}
	got, err := vfs.Getcwd(in.at.Root, w.path("/a/b"))
	if got != "(unreachable)/a/b" || err != nil {
		t.Errorf("getcwd of what is outside: %q, %v", got, err)
	}
}

// Names only exist for who may search the directories above.
func TestSearchPermission(t *testing.T) {
	w := walkWorld(t)
	u := w.as(1000, 1000)
	w.want(vfs.Chmod(w.ctx, w.at, "/a/b", 0o700, 0), nil, "chmod")
	_, err := vfs.Walk(u.ctx, w.at, "/a/b/c", 0, 0)
	w.want(err, unix.EACCES, "search")
	_, err = vfs.Walk(u.ctx, w.at, "/a/b/..", 0, 0)
	w.want(err, unix.EACCES, "..")
	_, err = vfs.Walk(u.ctx, w.at, "/a/b", 0, 0)
	w.want(err, nil, "the name itself")
	w.want(vfs.Chmod(w.ctx, w.at, "/a/b", 0o711, 0), nil, "chmod")
	_, err = vfs.Walk(u.ctx, w.at, "/a/b/c", 0, 0)
	w.want(err, nil, "searchable, not readable")
	_, err = vfs.Open(u.ctx, w.at, "/a/b", unix.O_RDONLY, 0, 0)
	w.want(err, unix.EACCES, "reading it")
	u.ctx.Creds.Caps = 1 << unix.CAP_DAC_READ_SEARCH
	_, err = vfs.Open(u.ctx, w.at, "/a/b", unix.O_RDONLY, 0, 0)
	w.want(err, nil, "reading it with CAP_DAC_READ_SEARCH")
}

// What RESOLVE_CACHED has not got at hand is EAGAIN.
func TestResolveCached(t *testing.T) {
	w := walkWorld(t)
	w.want(func() error { _, err := vfs.Walk(w.ctx, w.at, "/a/unseen", 0, 0x20); return err }(), unix.EAGAIN, "cold")
	_, err := vfs.Walk(w.ctx, w.at, "/a/b/c", 0, 0x20)
	w.want(err, nil, "warm")
}

func BenchmarkWalk(b *testing.B) {
	w := walkWorld(b)
	w.mkdir("/a/b/c/d")
	for b.Loop() {
		p, err := vfs.Walk(w.ctx, w.at, "/a/b/c/d", vfs.Follow, 0)
		if err != nil {
			b.Fatal(err)
		}
		p.Unref()
	}
}

func BenchmarkStatUser(b *testing.B) {
	w := walkWorld(b).as(1000, 1000)
	for b.Loop() {
		if _, err := vfs.Stat(w.ctx, w.at, "/a/b/c/deep", vfs.Follow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenClose(b *testing.B) {
	w := walkWorld(b)
	t := vfs.NewFDTable()
	for b.Loop() {
		f, err := vfs.Open(w.ctx, w.at, "/a/b/c/deep", unix.O_RDONLY, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		fd, _ := t.Install(f, 0, 1024, true)
		t.Close(w.ctx, fd)
	}
}

func BenchmarkCreateUnlink(b *testing.B) {
	w := walkWorld(b)
	for b.Loop() {
		f, err := vfs.Open(w.ctx, w.at, "/a/new", unix.O_CREAT|unix.O_RDWR, 0o644, 0)
		if err != nil {
			b.Fatal(err)
		}
		f.Unref(w.ctx)
		if err := vfs.Unlink(w.ctx, w.at, "/a/new"); err != nil {
			b.Fatal(err)
		}
	}
}
