package vfs_test

import (
	"testing"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func TestMount(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/m", "/other")
	w.write("/m/under", "hidden")
	fs := w.tmpfs(2)
	m := w.mount(fs, "/m", unix.MS_NODEV)
	w.write("/m/over", "seen")
	if got := w.list("/m"); got != ". .. over" {
		t.Errorf("mounted: %s", got)
	}
	// A second mount on the same place hides the first.
	w.mount(w.tmpfs(3), "/m", unix.MS_RDONLY)
	if got := w.list("/m"); got != ". .." {
		t.Errorf("mounted over: %s", got)
	}
	w.want(vfs.Mkdir(w.ctx, w.at, "/m/x", 0o755), unix.EROFS, "mkdir on a read-only mount")
	w.want(vfs.Mkdir(w.ctx, w.at, "/m/../m", 0o755), unix.EEXIST, "mkdir of what is there")
	w.want(vfs.Rmdir(w.ctx, w.at, "/m"), unix.EBUSY, "rmdir of a mount point")
	w.want(vfs.Rename(w.ctx, w.at, "/m", w.at, "/n", 0), unix.EBUSY, "rename of a mount point")
	w.want(vfs.Rename(w.ctx, w.at, "/other", w.at, "/m/x", 0), unix.EXDEV, "rename across")
	w.want(vfs.Link(w.ctx, w.at, "/other", w.at, "/m/x", 0), unix.EROFS, "link across, to a read-only mount")

	p := w.path("/m")
	w.want(w.ns.Unmount(p, 0), nil, "umount")
	p.Unref()
	f := w.open("/m/over", unix.O_RDONLY)
	p = w.path("/m")
	w.want(w.ns.Unmount(p, 0), unix.EBUSY, "umount of what is used")
	w.want(w.ns.Unmount(p, unix.MNT_DETACH), nil, "lazy umount")
	p.Unref()
	if got := w.read("/m/under"); got != "hidden" {
		t.Errorf("uncovered: %q", got)
	}
	b := make([]byte, 10)
	if n, err := f.Read(w.ctx, b); string(b[:n]) != "seen" || err != nil {
		t.Errorf("reading after a lazy umount: %q, %v", b[:n], err)
	}
	f.Unref(w.ctx)
	w.want(w.ns.Unmount(vfs.Path{Mount: m, Dentry: m.Root().Dentry}, 0), unix.EINVAL, "umount twice")
	w.want(w.ns.Unmount(w.at.Root, 0), unix.EBUSY, "umount of /")
}

func TestBindAndMove(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/a", "/a/sub", "/b", "/c")
	w.write("/file", "f")
	w.write("/target", "t")
	w.mount(w.tmpfs(2), "/a/sub", 0)
	w.write("/a/sub/in", "inner")
	w.write("/a/plain", "p")

	_, err := w.ns.Bind(w.path("/a"), w.path("/b"), false)
	w.want(err, nil, "bind")
	if got := w.list("/b") + "; " + w.list("/b/sub"); got != ". .. sub plain; . .." {
		t.Errorf("bind: %s", got)
	}
	_, err = w.ns.Bind(w.path("/a"), w.path("/c"), true)
	w.want(err, nil, "rbind")
	if got := w.read("/c/sub/in"); got != "inner" {
		t.Errorf("rbind: %q", got)
	}
	_, err = w.ns.Bind(w.path("/file"), w.path("/target"), false)
	w.want(err, nil, "bind of a file")
	if got := w.read("/target"); got != "f" {
		t.Errorf("bind of a file: %q", got)
	}
	_, err = w.ns.Bind(w.path("/file"), w.path("/a"), false)
	w.want(err, unix.ENOTDIR, "bind of a file on a directory")
	// The same names through another mount are other places.
	w.write("/b/new", "n")
	if got := w.read("/c/new"); got != "n" {
		t.Errorf("shared dentries: %q", got)
	}
	w.want(vfs.Rename(w.ctx, w.at, "/b/new", w.at, "/c/renamed", 0), unix.EXDEV, "rename between binds")
	if got := vfs.PathName(w.at.Root, w.path("/b/sub/..")); got != "/b" {
		t.Errorf(".. in a bind mount: %s", got)
	}

	// A directory moved out of a bind mount's part does not lead out of it.
	w.mkdir("/a/out", "/a/part", "/a/part/dir", "/view")
	_, err = w.ns.Bind(w.path("/a/part"), w.path("/view"), false)
	w.want(err, nil, "bind")
	in := w.in("/view/dir")
	w.want(vfs.Rename(w.ctx, w.at, "/a/part/dir", w.at, "/a/out/dir", 0), nil, "rename")
	_, err = vfs.Walk(w.ctx, in.at, "../../plain", 0, 0)
	w.want(err, unix.ENOENT, ".. out of a bind mount")

	w.mkdir("/moved")
	w.want(w.ns.Move(w.path("/a/sub"), w.path("/moved")), nil, "move")
	if got := w.read("/moved/in"); got != "inner" {
		t.Errorf("moved: %q", got)
	}
	w.mkdir("/moved/below")
	w.want(w.ns.Move(w.path("/moved"), w.path("/moved/below")), unix.ELOOP, "move into itself")
	w.want(w.ns.Move(w.path("/"), w.path("/moved/below")), unix.EINVAL, "move of the root")
}

func TestNamespaceClone(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/m", "/m2")
	w.mount(w.tmpfs(2), "/m", 0)
	w.mkdir("/m/dir")
	ns, move := w.ns.Clone()
	c := *w
	c.ns = ns
	c.at = vfs.At{Root: move(w.at.Root).Ref(), Dir: move(w.path("/m/dir")).Ref()}
	if got := vfs.PathName(c.at.Root, c.at.Dir); got != "/m/dir" {
		t.Errorf("moved working directory: %s", got)
	}
	c.mount(c.tmpfs(3), "/m2", 0)
	c.write("/m2/private", "")
	_, err := vfs.Stat(w.ctx, w.at, "/m2/private", 0)
	w.want(err, unix.ENOENT, "a mount in a copy")
	c.write("/m/shared", "s")
	if got := w.read("/m/shared"); got != "s" {
		t.Errorf("the file systems are shared: %q", got)
	}
	c.at.Root.Unref()
	c.at.Dir.Unref()
	ns.Unref()
	if got := w.read("/m/shared"); got != "s" {
		t.Errorf("after the copy is gone: %q", got)
	}
}

func TestPivotRoot(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/new")
	w.write("/old-file", "old")
	w.mount(w.tmpfs(2), "/new", 0)
	w.mkdir("/new/put")
	w.want(w.ns.PivotRoot(w.at.Root, w.path("/"), w.path("/new/put")), unix.EBUSY, "pivot to the root itself")
	w.want(w.ns.PivotRoot(w.at.Root, w.path("/new"), w.path("/new/put")), nil, "pivot_root")
	root := w.ns.Root()
	w.at = vfs.At{Root: root, Dir: root}
	if got := w.read("/put/old-file"); got != "old" {
		t.Errorf("old root: %q", got)
	}
	if got := vfs.PathName(root, w.path("/put/old-file")); got != "/put/old-file" {
		t.Errorf("name: %s", got)
	}
	if got := vfs.PathName(root, w.path("/put/../..")); got != "/" {
		t.Errorf("..: %s", got)
	}
}

// Nothing is left when the namespace and all that was used is given back.
func TestEverythingGoes(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/a", "/a/b")
	for range 3 {
		w.write("/a/b/f", "data")
		f := w.open("/a/b/f", unix.O_RDWR)
		if _, _, err := f.Impl.(vfs.Mmapper).HostFile(w.ctx, f, true); err != nil {
			t.Fatal(err)
		}
		if n := w.fs.HostFiles(); n != 1 {
			t.Errorf("%d host files while one is mapped", n)
		}
		w.want(vfs.Unlink(w.ctx, w.at, "/a/b/f"), nil, "unlink")
		if n := w.fs.HostFiles(); n != 1 {
			t.Errorf("%d host files while it is open", n)
		}
		f.Unref(w.ctx)
		if n := w.fs.HostFiles(); n != 0 {
			t.Errorf("%d host files after the last close", n)
		}
	}
	s, _ := w.fs.Statfs(w.ctx)
	if used := s.Files - s.Ffree; used != 3 || s.Blocks != s.Bfree {
		t.Errorf("%d inodes, %d blocks in use", used, s.Blocks-s.Bfree)
	}
	w.write("/keep", "x")
	f := w.open("/keep", unix.O_RDONLY)
	f.Impl.(vfs.Mmapper).HostFile(w.ctx, f, false)
	w.at.Root.Unref()
	w.ns.Unref()
	if n := w.fs.HostFiles(); n != 1 {
		t.Errorf("%d host files while one is used", n)
	}
	f.Unref(w.ctx)
	if n := w.fs.HostFiles(); n != 0 {
		t.Errorf("%d host files after the end", n)
	}
}

// flaky is a directory whose names change behind the kernel's back.
type flaky struct {
	vfs.Node
	names   map[string]vfs.Inode
	lookups int
}

func (d *flaky) Root() vfs.Inode { return d }
func (d *flaky) Type() string    { return "flaky" }
func (d *flaky) Statfs(vfs.Context) (unix.Statfs_t, error) {
	return unix.Statfs_t{}, nil
}
func (d *flaky) Attr(vfs.Context) (vfs.Attr, error) {
	return vfs.Attr{Mode: unix.S_IFDIR | 0o755, Nlink: 2}, nil
}
func (d *flaky) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	d.lookups++
	if i := d.names[name]; i != nil {
		return i, nil
	}
	return nil, unix.ENOENT
}
func (d *flaky) Revalidate(_ vfs.Context, name string, child vfs.Inode) bool {
	return d.names[name] == child
}

func TestRevalidate(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/p")
	sub := &flaky{}
	d := &flaky{names: map[string]vfs.Inode{}}
	w.mount(d, "/p", 0)
	stat := func() error { _, err := vfs.Stat(w.ctx, w.at, "/p/1", 0); return err }
	w.want(stat(), unix.ENOENT, "not there")
	d.names["1"] = sub
	w.want(stat(), nil, "it came")
	n := d.lookups
	w.want(stat(), nil, "cached")
	if d.lookups != n {
		t.Error("looked up again though valid")
	}
	held := w.path("/p/1")
	d.names["1"] = &flaky{}
	p := w.path("/p/1")
	if p.Inode() == vfs.Inode(sub) {
		t.Error("the old inode is shown under a name that leads elsewhere")
	}
	delete(d.names, "1")
	w.want(stat(), unix.ENOENT, "it went")
	if got := vfs.PathName(w.at.Root, held); got != "/p/1 (deleted)" {
		t.Errorf("a name that went is called %s", got)
	}
	held.Unref()
	p.Unref()
}

// The cache does not grow with the number of names seen.
func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/d")
	before := vfs.Unused(w.ns)
	for i := range 60000 {
		name := "/d/" + string([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676%26), 'a' + byte(i/17576)})
		if i%3 == 0 {
			w.want(vfs.Mkdir(w.ctx, w.at, name, 0o755), nil, "mkdir")
		} else if _, err := vfs.Stat(w.ctx, w.at, name, 0); err != unix.ENOENT {
			t.Fatal(err)
		}
	}
	if n := vfs.Unused(w.ns); n > vfs.MaxUnused || n < before {
		t.Errorf("%d unused dentries", n)
	}
	if _, err := vfs.Stat(w.ctx, w.at, "/d/aaaa", 0); err != nil {
		t.Errorf("forgotten name: %v", err)
	}
	s, _ := w.fs.Statfs(w.ctx)
	if used := s.Files - s.Ffree; used != 20002 {
		t.Errorf("%d inodes", used)
	}
}

func TestMountLists(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/a", "/a/b c", "/jail", "/a/b c/sub")
	w.mount(w.tmpfs(2), "/a/b c", unix.MS_NOSUID|unix.MS_RELATIME)
	w.mkdir("/a/b c/deep")
	_, err := w.ns.Bind(w.path("/a/b c/deep"), w.path("/jail"), false)
	w.want(err, nil, "bind")
	w.want(w.ns.Remount(w.path("/jail"), unix.MS_RDONLY), nil, "remount")
	const opts = ",size=16777216k,nr_inodes=1048576"
	want := "root / tmpfs rw" + opts + ",mode=755 0 0\n" +
		`none /a/b\040c tmpfs rw,nosuid,relatime` + opts + " 0 0\n" +
		"none /jail tmpfs ro" + opts + " 0 0\n"
	if got := w.ns.ProcMounts(w.at.Root); got != want {
		t.Errorf("mounts:\n%swant:\n%s", got, want)
	}
	want = "1 1 0:1 / / rw - tmpfs root rw" + opts + ",mode=755\n" +
		`2 1 0:2 / /a/b\040c rw,nosuid,relatime - tmpfs none rw` + opts + "\n" +
		"3 1 0:2 /deep /jail ro - tmpfs none rw" + opts + "\n"
	if got := w.ns.MountInfo(w.ctx, w.at.Root); got != want {
		t.Errorf("mountinfo:\n%swant:\n%s", got, want)
	}
	if got := w.ns.ProcMounts(w.path("/jail")); got != "none / tmpfs ro"+opts+" 0 0\n" {
		t.Errorf("mounts in a chroot:\n%s", got)
	}
}
