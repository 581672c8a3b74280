package vfs_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func TestReadWrite(t *testing.T) {
	w := newWorld(t)
	f := w.open("/f", unix.O_RDWR|unix.O_CREAT)
	defer f.Unref(w.ctx)
	n, err := f.Write(w.ctx, []byte("hello world"))
	if n != 11 || err != nil || f.Pos != 11 {
		t.Fatalf("write: %d, %v, at %d", n, err, f.Pos)
	}
	pos, err := f.Seek(w.ctx, -5, unix.SEEK_END)
	if pos != 6 || err != nil {
		t.Fatalf("seek: %d, %v", pos, err)
	}
	b := make([]byte, 100)
	if n, err := f.Read(w.ctx, b); string(b[:n]) != "world" || err != nil {
		t.Fatalf("read: %q, %v", b[:n], err)
	}
	if n, err := f.Read(w.ctx, b); n != 0 || err != nil {
		t.Fatalf("read at the end: %d, %v", n, err)
	}
	if n, err := f.Pread(w.ctx, b, 4); string(b[:n]) != "o world" || err != nil || f.Pos != 11 {
		t.Fatalf("pread: %q, %v", b[:n], err)
	}
	_, err = f.Pread(w.ctx, b, -1)
	w.want(err, unix.EINVAL, "pread at -1")
	_, err = f.Pread(w.ctx, b, math.MaxInt64-3)
	w.want(err, unix.EINVAL, "pread past the last offset")
	_, err = f.Seek(w.ctx, -1, unix.SEEK_SET)
	w.want(err, unix.EINVAL, "seek to -1")
	_, err = f.Seek(w.ctx, 0, 9)
	w.want(err, unix.EINVAL, "seek by 9")
	_, err = f.Seek(w.ctx, math.MaxInt64, unix.SEEK_CUR)
	w.want(err, unix.EOVERFLOW, "seek past the last offset")

	a := w.open("/f", unix.O_WRONLY|unix.O_APPEND)
	defer a.Unref(w.ctx)
	if n, err := a.Write(w.ctx, []byte("!")); n != 1 || err != nil || a.Pos != 12 {
		t.Fatalf("append: %d, %v, at %d", n, err, a.Pos)
	}
	if n, err := a.Pwrite(w.ctx, []byte("?"), 0); n != 1 || err != nil || a.Pos != 12 {
		t.Fatalf("pwrite while appending: %d, %v, at %d", n, err, a.Pos)
	}
	if got := w.read("/f"); got != "hello world!?" {
		t.Errorf("contents: %q", got)
	}
	_, err = a.Read(w.ctx, b)
	w.want(err, unix.EBADF, "read of what was opened for writing")
	r := w.open("/f", unix.O_RDONLY)
	defer r.Unref(w.ctx)
	_, err = r.Write(w.ctx, b)
	w.want(err, unix.EBADF, "write to what was opened for reading")
	w.want(r.Truncate(w.ctx, 0), unix.EINVAL, "ftruncate of what was opened for reading")
	p := w.open("/f", unix.O_PATH)
	defer p.Unref(w.ctx)
	_, err = p.Read(w.ctx, b)
	w.want(err, unix.EBADF, "read by O_PATH")
	_, err = p.Seek(w.ctx, 0, 0)
	w.want(err, unix.EBADF, "seek by O_PATH")
	d := w.open("/", unix.O_RDONLY)
	defer d.Unref(w.ctx)
	_, err = d.Read(w.ctx, b)
	w.want(err, unix.EISDIR, "read of a directory")
	_, err = d.Pread(w.ctx, b, 0)
	w.want(err, unix.EISDIR, "pread of a directory")
	w.want(f.ReadDir(w.ctx, nil), unix.ENOTDIR, "readdir of a file")
}

func TestFileSizeLimit(t *testing.T) {
	w := newWorld(t)
	f := w.open("/f", unix.O_RDWR|unix.O_CREAT)
	defer f.Unref(w.ctx)
	w.ctx.Limit = 10
	n, err := f.Write(w.ctx, make([]byte, 15))
	if n != 10 || err != nil {
		t.Errorf("write over the limit: %d, %v", n, err)
	}
	_, err = f.Write(w.ctx, make([]byte, 1))
	w.want(err, unix.EFBIG, "write at the limit")
	f.Flags |= unix.O_APPEND
	_, err = f.Write(w.ctx, make([]byte, 1))
	w.want(err, unix.EFBIG, "append at the limit")
	w.want(f.Truncate(w.ctx, 11), unix.EFBIG, "ftruncate over the limit")
	w.want(f.Truncate(w.ctx, 5), nil, "ftruncate below it")
	w.want(f.Allocate(w.ctx, 0, 0, 11), unix.EFBIG, "fallocate over the limit")
}

// TestSmallOffsets: what a 32-bit program may do without O_LARGEFILE.
func TestSmallOffsets(t *testing.T) {
	const most = 1<<31 - 1
	w := newWorld(t)
	small, large := w.open("/f", unix.O_RDWR|unix.O_CREAT|vfs.OSmallFile), w.open("/f", unix.O_RDWR)
	defer small.Unref(w.ctx)
	defer large.Unref(w.ctx)
	n, err := small.Pwrite(w.ctx, make([]byte, 15), most-10)
	if n != 10 || err != nil {
		t.Errorf("write across the border: %d, %v", n, err)
	}
	_, err = small.Pwrite(w.ctx, make([]byte, 1), most)
	w.want(err, unix.EFBIG, "write at the border")
	w.want(small.Truncate(w.ctx, most+1), unix.EINVAL, "ftruncate beyond it")
	w.open("/f", unix.O_RDWR|vfs.OSmallFile).Unref(w.ctx)
	w.want(large.Truncate(w.ctx, most+1), nil, "with O_LARGEFILE")
	_, err = vfs.Open(w.ctx, w.at, "/f", unix.O_RDWR|unix.O_TRUNC|vfs.OSmallFile, 0, 0)
	w.want(err, unix.EOVERFLOW, "open what is larger")
	if a, err := large.Inode.Attr(w.ctx); err != nil || a.Size != most+1 {
		t.Errorf("then its size is %d, %v", a.Size, err)
	}
	if n, err := small.Pread(w.ctx, make([]byte, 1), most); n != 1 || err != nil {
		t.Errorf("read beyond the border: %d, %v", n, err)
	}
	w.want(small.Truncate(w.ctx, 0), nil, "ftruncate")
}

func TestReadDirCookies(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/d")
	for i := range 20 {
		w.write(fmt.Sprintf("/d/%02d", i), "")
	}
	f := w.open("/d", unix.O_RDONLY)
	defer f.Unref(w.ctx)
	var got []string
	for {
		n := 0
		err := f.ReadDir(w.ctx, func(e vfs.DirEntry) bool {
			if n == 3 {
				return false
			}
			n++
			got = append(got, e.Name)
			return true
		})
		w.want(err, nil, "readdir")
		if n == 0 {
			break
		}
		// Names removed and made meanwhile do not make others appear
		// twice or not at all.
		if len(got) == 6 {
			for i := range 12 {
				w.want(vfs.Unlink(w.ctx, w.at, fmt.Sprintf("/d/%02d", i)), nil, "unlink")
			}
			w.write("/d/late", "")
		}
	}
	want := ". .. 00 01 02 03 12 13 14 15 16 17 18 19 late"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("listed %s, want %s", s, want)
	}
	if _, err := f.Seek(w.ctx, 0, unix.SEEK_SET); err != nil {
		t.Fatal(err)
	}
	got = nil
	f.ReadDir(w.ctx, func(e vfs.DirEntry) bool { got = append(got, e.Name); return true })
	if len(got) != 11 {
		t.Errorf("rewound: %v", got)
	}
}

func TestFDTable(t *testing.T) {
	w := newWorld(t)
	w.write("/f", "data")
	tab := vfs.NewFDTable()
	open := func() *vfs.File { return w.open("/f", unix.O_RDONLY) }
	for want := range 5 {
		if fd, err := tab.Install(open(), 0, 100, want == 3); fd != want || err != nil {
			t.Fatalf("install: %d, %v", fd, err)
		}
	}
	w.want(tab.Close(w.ctx, 1), nil, "close")
	w.want(tab.Close(w.ctx, 1), unix.EBADF, "close twice")
	w.want(tab.Close(w.ctx, -1), unix.EBADF, "close of -1")
	fd, err := tab.Dup(w.ctx, 0, 7, 100, false)
	if fd != 7 || err != nil {
		t.Fatalf("dup from 7: %d, %v", fd, err)
	}
	if fd, _ := tab.Dup(w.ctx, 0, 0, 100, false); fd != 1 {
		t.Errorf("lowest free: %d", fd)
	}
	if fd, _ := tab.Dup(w.ctx, 0, 0, 100, false); fd != 5 {
		t.Errorf("lowest free: %d", fd)
	}
	_, err = tab.Dup(w.ctx, 0, 0, 6, false)
	w.want(err, unix.EMFILE, "dup at the limit")
	_, err = tab.Dup(w.ctx, 0, 100, 100, false)
	w.want(err, unix.EINVAL, "dup from the limit")
	_, err = tab.Dup(w.ctx, 50, 0, 100, false)
	w.want(err, unix.EBADF, "dup of nothing")
	if a, b := tab.Peek(0), tab.Peek(5); a != b {
		t.Error("dup does not share the description")
	}
	_, err = tab.Dup3(w.ctx, 0, 0, 100, true)
	w.want(err, unix.EINVAL, "dup3 to itself")
	fd, err = tab.Dup2(w.ctx, 0, 0, 100)
	if fd != 0 || err != nil {
		t.Errorf("dup2 to itself: %d, %v", fd, err)
	}
	_, err = tab.Dup2(w.ctx, 0, 100, 100)
	w.want(err, unix.EBADF, "dup2 over the limit")
	fd, err = tab.Dup2(w.ctx, 4, 20, 100)
	if fd != 20 || err != nil || tab.Peek(20) != tab.Peek(4) {
		t.Errorf("dup2: %d, %v", fd, err)
	}

	child := tab.Clone()
	tab.CloseOnExec(w.ctx)
	if tab.Peek(3) != nil || child.Peek(3) == nil {
		t.Error("close-on-exec")
	}
	var open1 []int
	for fd := tab.Next(0); fd >= 0; fd = tab.Next(fd + 1) {
		open1 = append(open1, fd)
	}
	if want := []int{0, 1, 2, 4, 5, 7, 20}; !slices.Equal(open1, want) {
		t.Errorf("open: %v, want %v", open1, want)
	}
	w.want(child.CloseRange(w.ctx, 2, 1, 0), unix.EINVAL, "close_range backwards")
	w.want(child.CloseRange(w.ctx, 1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC), nil, "close_range")
	w.want(child.CloseRange(w.ctx, 4, 7, 0), nil, "close_range")
	child.CloseOnExec(w.ctx)
	if fd := child.Next(1); fd != -1 {
		t.Errorf("%d is still open", fd)
	}
	f := child.Peek(0)
	child.Unref(w.ctx)
	tab.Ref()
	tab.Unref(w.ctx)
	if got, err := tab.Get(0); got != f || err != nil {
		t.Error("closed while shared")
	} else {
		got.Unref(w.ctx)
	}
	tab.Unref(w.ctx)
}

func TestExecIsBusy(t *testing.T) {
	w := newWorld(t)
	w.write("/prog", "#!")
	_, err := vfs.OpenExec(w.ctx, w.at, "/prog", vfs.Follow, 0)
	w.want(err, unix.EACCES, "exec without permission")
	w.want(vfs.Chmod(w.ctx, w.at, "/prog", 0o111, 0), nil, "chmod")
	out := w.open("/prog", unix.O_WRONLY)
	_, err = vfs.OpenExec(w.ctx, w.at, "/prog", vfs.Follow, 0)
	w.want(err, unix.ETXTBSY, "exec of what is open for writing")
	out.Unref(w.ctx)
	f, err := vfs.OpenExec(w.as(5, 5).ctx, w.at, "/prog", vfs.Follow, 0)
	w.want(err, nil, "exec")
	_, err = vfs.Open(w.ctx, w.at, "/prog", unix.O_WRONLY, 0, 0)
	w.want(err, unix.ETXTBSY, "writing a running program")
	w.want(vfs.Truncate(w.ctx, w.at, "/prog", 0), unix.ETXTBSY, "truncating a running program")
	f.AllowWrite()
	f.Unref(w.ctx)
	w.open("/prog", unix.O_WRONLY).Unref(w.ctx)
	_, err = vfs.OpenExec(w.ctx, w.at, "/", vfs.Follow, 0)
	w.want(err, unix.EACCES, "exec of a directory")
	w.mkdir("/m")
	w.mount(w.tmpfs(2), "/m", unix.MS_NOEXEC)
	w.write("/m/prog", "")
	w.want(vfs.Chmod(w.ctx, w.at, "/m/prog", 0o755, 0), nil, "chmod")
	_, err = vfs.OpenExec(w.ctx, w.at, "/m/prog", vfs.Follow, 0)
	w.want(err, unix.EACCES, "exec on a noexec mount")
	w.want(vfs.Access(w.ctx, w.ctx.Cred(), w.at, "/m/prog", vfs.MayExec, 0), unix.EACCES, "access on a noexec mount")
}

func TestWatch(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/d", "/e")
	var got []string
	names := map[uint32]string{unix.IN_CREATE: "create", unix.IN_DELETE: "delete", unix.IN_MODIFY: "modify", unix.IN_OPEN: "open",
		unix.IN_CLOSE_WRITE: "close-write", unix.IN_CLOSE_NOWRITE: "close", unix.IN_ATTRIB: "attrib", unix.IN_MOVED_FROM: "from",
		unix.IN_MOVED_TO: "to", unix.IN_DELETE_SELF: "delete-self", unix.IN_IGNORED: "ignored", unix.IN_ACCESS: "access",
		unix.IN_MOVE_SELF: "move-self", unix.IN_UNMOUNT: "unmount"}
	watch := func(name, tag string) *vfs.Watch {
		wt := &vfs.Watch{Mask: unix.IN_ALL_EVENTS, Notify: func(mask, cookie uint32, name string) {
			s := tag + ":" + names[mask&^unix.IN_ISDIR]
			if mask&unix.IN_ISDIR != 0 {
				s += "/"
			}
			if name != "" {
				s += "=" + name
			}
			if cookie != 0 {
				s += fmt.Sprintf("#%d", cookie)
			}
			got = append(got, s)
		}}
		p := w.path(name)
		w.want(vfs.AddWatch(p, wt), nil, "watch")
		p.Unref()
		return wt
	}
	check := func(want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
		got = nil
	}
	watch("/d", "d")
	e := watch("/e", "e")
	f := w.open("/d/f", unix.O_RDWR|unix.O_CREAT)
	check("d:create=f", "d:open=f")
	f.Write(w.ctx, []byte("x"))
	f.Pread(w.ctx, make([]byte, 1), 0)
	f.Chmod(w.ctx, 0o600)
	check("d:modify=f", "d:access=f", "d:attrib=f")
	fw := watch("/d/f", "f")
	f.Truncate(w.ctx, 0)
	check("d:modify=f", "f:modify")
	w.want(vfs.Rename(w.ctx, w.at, "/d/f", w.at, "/e/g", 0), nil, "rename")
	check("d:from=f#1", "e:to=g#1", "f:move-self")
	f.Write(w.ctx, []byte("y"))
	check("e:modify=g", "f:modify")
	w.want(vfs.Unlink(w.ctx, w.at, "/e/g"), nil, "unlink")
	check("f:attrib", "e:delete=g")
	f.Unref(w.ctx)
	check("e:close-write=g", "f:close-write", "f:delete-self", "f:ignored")
	fw.Remove()

	w.mkdir("/d/sub")
	check("d:create/=sub")
	watch("/d/sub", "s")
	w.want(vfs.Rmdir(w.ctx, w.at, "/d/sub"), nil, "rmdir")
	check("s:delete-self", "s:ignored", "d:delete/=sub")

	w.write("/e/one", "")
	w.want(vfs.Link(w.ctx, w.at, "/e/one", w.at, "/two", 0), nil, "link")
	got = nil
	watch("/two", "t")
	w.want(vfs.Unlink(w.ctx, w.at, "/e/one"), nil, "unlink")
	check("t:attrib", "e:delete=one")
	w.want(vfs.Unlink(w.ctx, w.at, "/two"), nil, "unlink")
	check("t:attrib", "t:delete-self", "t:ignored")
	w.write("/d/over", "")
	w.write("/d/by", "")
	o := watch("/d/over", "o")
	got = nil
	w.want(vfs.Rename(w.ctx, w.at, "/d/by", w.at, "/d/over", 0), nil, "rename")
	check("d:from=by#2", "d:to=over#2", "o:attrib", "o:delete-self", "o:ignored")
	o.Remove()
	w.open("/d/over", unix.O_RDWR|unix.O_TRUNC).Unref(w.ctx)
	check("d:open=over", "d:modify=over", "d:close-write=over")
	e.Remove()
	w.write("/e/unseen", "")
	check()

	w.mkdir("/m")
	w.mount(w.tmpfs(2), "/m", 0)
	watch("/m", "m")
	p := w.path("/m")
	w.want(w.ns.Unmount(p, unix.MNT_DETACH), nil, "umount")
	p.Unref()
	check("m:unmount", "m:ignored")
}

func TestXattrPermissions(t *testing.T) {
	w := newWorld(t)
	w.write("/f", "")
	w.symlink("f", "/l")
	w.want(vfs.Chmod(w.ctx, w.at, "/f", 0o666, 0), nil, "chmod")
	u := w.as(1000, 1000)
	set := func(c *world, name, attr string, flags int) error {
		return vfs.Setxattr(c.ctx, c.at, name, vfs.Follow, attr, []byte("v"), flags)
	}
	get := func(c *world, name, attr string) error {
		_, err := vfs.Getxattr(c.ctx, c.at, name, 0, attr)
		return err
	}
	w.want(set(u, "/f", "user.a", 0), nil, "user.")
	w.want(set(u, "/f", "user.a", unix.XATTR_CREATE), unix.EEXIST, "create")
	w.want(set(u, "/f", "user.b", unix.XATTR_REPLACE), unix.ENODATA, "replace")
	w.want(set(u, "/f", "user.b", 8), unix.EINVAL, "bad flags")
	w.want(set(u, "/f", "trusted.a", 0), unix.EPERM, "trusted.")
	w.want(set(w, "/f", "trusted.a", 0), nil, "trusted. by root")
	w.want(get(u, "/f", "trusted.a"), unix.ENODATA, "reading trusted.")
	w.want(get(w, "/f", "trusted.a"), nil, "reading trusted. by root")
	w.want(set(u, "/f", "security.a", 0), unix.EPERM, "security.")
	w.want(set(w, "/f", "other.a", 0), unix.EOPNOTSUPP, "unknown class")
	w.want(set(w, "/f", "noclass", 0), unix.EOPNOTSUPP, "no class")
	w.want(set(w, "/f", "", 0), unix.ERANGE, "no name")
	w.want(set(w, "/f", "user."+strings.Repeat("x", 251), 0), unix.ERANGE, "long name")
	w.want(get(w, "/l", "user.a"), unix.ENODATA, "user. of a link")
	w.want(get(w, "/f", "user.none"), unix.ENODATA, "none")
	w.want(vfs.Setxattr(w.ctx, w.at, "/f", 0, "user.a", make([]byte, 65537), 0), unix.E2BIG, "big value")
	names, err := vfs.Listxattr(u.ctx, u.at, "/f", 0)
	if s := strings.Join(names, " "); s != "user.a" || err != nil {
		t.Errorf("list: %s, %v", s, err)
	}
	names, _ = vfs.Listxattr(w.ctx, w.at, "/f", 0)
	if s := strings.Join(names, " "); s != "user.a trusted.a" {
		t.Errorf("list by root: %s", s)
	}
	w.want(vfs.Removexattr(u.ctx, u.at, "/f", 0, "user.a"), nil, "remove")
	w.want(vfs.Removexattr(u.ctx, u.at, "/f", 0, "user.a"), unix.ENODATA, "remove twice")
	w.want(vfs.Chmod(w.ctx, w.at, "/f", 0o600, 0), nil, "chmod")
	w.want(set(u, "/f", "user.a", 0), unix.EACCES, "user. without permission")
}

func TestTmpfile(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/d")
	f := w.open("/d", unix.O_TMPFILE|unix.O_RDWR)
	f.Write(w.ctx, []byte("nameless"))
	if got := w.list("/d"); got != ". .." {
		t.Errorf("it has a name: %s", got)
	}
	at := vfs.At{Root: w.at.Root, Dir: f.Path}
	w.want(vfs.Link(w.ctx, at, "", w.at, "/d/named", vfs.Empty), nil, "link")
	if got := w.read("/d/named"); got != "nameless" {
		t.Errorf("linked: %q", got)
	}
	f.Unref(w.ctx)
	if got := w.read("/d/named"); got != "nameless" {
		t.Errorf("after the close: %q", got)
	}
	f = w.open("/d", unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL)
	at.Dir = f.Path
	w.want(vfs.Link(w.ctx, at, "", w.at, "/d/no", vfs.Empty), unix.ENOENT, "link of what was opened with O_EXCL")
	f.Unref(w.ctx)
}

// jumper is a magic link, as /proc/PID/fd has them.
type jumper struct {
	vfs.Node
	to func() (vfs.Path, error)
}

func (j *jumper) Attr(vfs.Context) (vfs.Attr, error) {
	return vfs.Attr{Mode: unix.S_IFLNK | 0o777, Nlink: 1}, nil
}
func (j *jumper) Jump(vfs.Context) (vfs.Path, error) { return j.to() }
func (j *jumper) Readlink(vfs.Context) (string, error) {
	return "text", nil
}

func TestMagicLinks(t *testing.T) {
	w := newWorld(t)
	w.mkdir("/p", "/d")
	w.write("/d/f", "there")
	f := w.open("/d/f", unix.O_RDONLY)
	dir := w.open("/d", unix.O_RDONLY)
	mem, err := w.fs.Memfd(w.ctx, "x", 0)
	w.want(err, nil, "memfd")
	mem.Write(w.ctx, []byte("memory"))
	w.mount(&flaky{names: map[string]vfs.Inode{
		"f":   &jumper{to: func() (vfs.Path, error) { return f.Place(w.ctx) }},
		"dir": &jumper{to: func() (vfs.Path, error) { return dir.Place(w.ctx) }},
		"mem": &jumper{to: func() (vfs.Path, error) { return mem.Place(w.ctx) }},
	}}, "/p", 0)
	w.want(vfs.Unlink(w.ctx, w.at, "/d/f"), nil, "unlink")
	if got := w.read("/p/f"); got != "there" {
		t.Errorf("an unlinked file by its magic link: %q", got)
	}
	if got := w.read("/p/mem"); got != "memory" {
		t.Errorf("a memfd by its magic link: %q", got)
	}
	if got := mem.Name(w.at.Root); got != "/memfd:x (deleted)" {
		t.Errorf("a memfd is called %s", got)
	}
	w.write("/p/dir/new", "made")
	if got := w.read("/d/new"); got != "made" {
		t.Errorf("through a magic link: %q", got)
	}
	_, err = vfs.Walk(w.ctx, w.at, "/p/dir/new", vfs.Follow, unix.RESOLVE_NO_MAGICLINKS)
	w.want(err, unix.ELOOP, "RESOLVE_NO_MAGICLINKS")
	in := w.in("/p")
	_, err = vfs.Walk(w.ctx, in.at, "dir", vfs.Follow, unix.RESOLVE_BENEATH)
	w.want(err, unix.EXDEV, "RESOLVE_BENEATH")
	if got, _ := vfs.Readlink(w.ctx, w.at, "/p/f", 0); got != "text" {
		t.Errorf("readlink: %q", got)
	}
	_, err = vfs.Open(w.ctx, w.at, "/p/f", unix.O_RDONLY|unix.O_CREAT|unix.O_EXCL, 0, 0)
	w.want(err, unix.EEXIST, "O_EXCL on a magic link")
	vfs.Open(w.ctx, w.at, "/p/mem", unix.O_RDWR|unix.O_CREAT, 0, 0)
}
