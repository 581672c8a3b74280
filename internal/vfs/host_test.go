package vfs_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// The host is the oracle: the same random calls are made on a directory of the
// host and on a tmpfs of ours, and every result must be the same.

// pipes stand for what opens fifos: it counts who reads.
type pipes map[vfs.Inode]int

func (ps pipes) open(_ vfs.Context, p vfs.Path, flags int) (vfs.Impl, error) {
	if flags&unix.O_ACCMODE == unix.O_WRONLY {
		if ps[p.Inode()] == 0 {
			return nil, unix.ENXIO
		}
		return nullPipe{}, nil
	}
	ps[p.Inode()]++
	return nullPipe{func() { ps[p.Inode()]-- }}, nil
}

type nullPipe struct{ release func() }

func (p nullPipe) Release(vfs.Context) {
	if p.release != nil {
		p.release()
	}
}

// depth is how many directories deep the test runs, so that ".." through links
// does not get out.
const depth = 24

type duel struct {
	*world
	rnd  *rand.Rand
	dir  int // the host's directory
	fds  []int
	mine []*vfs.File
	log  []string
	user bool
}

func (d *duel) pick(s ...string) string { return s[d.rnd.IntN(len(s))] }

func (d *duel) name() string {
	return d.pick("a", "b", "c", "a", "b", "c", "a/b", "b/a", "a/c", "c/b", "a/b/c", "b/c/a",
		"a/", "b/", "a/b/", "./a", "a/.", "a/..", "b/..", "a/../b", "a//c", ".", "", "c/../a/b", "..")
}

func errnoOf(err error) error {
	if err == nil {
		return nil
	}
	return err
}

// dirs returns a directory to resolve from: the top, or an open one.
func (d *duel) dirs() (int, vfs.At) {
	if n := len(d.fds); n > 0 && d.rnd.IntN(4) == 0 {
		i := d.rnd.IntN(n)
		return d.fds[i], vfs.At{Root: d.at.Root, Dir: d.mine[i].Path}
	}
	return d.dir, d.at
}

// groups are the test's own supplementary groups; setfsuid leaves them.
func groups() (out []uint32) {
	gs, _ := os.Getgroups()
	for _, g := range gs {
		out = append(out, uint32(g))
	}
	return out
}

// fsCaps are the capabilities that setfsuid(2) takes away.
const fsCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_MKNOD | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH |
	1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_LINUX_IMMUTABLE | 1<<unix.CAP_MAC_OVERRIDE

func (d *duel) asUser(f func() error) error {
	if !d.user {
		return f()
	}
	unix.Setfsgid(1000)
	unix.Setfsuid(1000)
	defer unix.Setfsgid(0)
	defer unix.Setfsuid(0)
	return f()
}

func statLine(mode, nlink uint64, uid, gid uint32, size int64) string {
	if mode&unix.S_IFMT != unix.S_IFREG && mode&unix.S_IFMT != unix.S_IFLNK {
		size = 0
	}
	return fmt.Sprintf("mode=%o nlink=%d owner=%d:%d size=%d", mode, nlink, uid, gid, size)
}

func hostLine(st *unix.Stat_t) string {
	return statLine(uint64(st.Mode), uint64(st.Nlink), st.Uid, st.Gid, st.Size)
}

func ourLine(a vfs.Attr) string { return statLine(uint64(a.Mode), a.Nlink, a.UID, a.GID, a.Size) }

// step makes one random call in both worlds.
func (d *duel) step() {
	d.user = os.Geteuid() == 0 && d.rnd.IntN(2) == 0
	var ctx *vfstest.Context
	if d.user {
		ctx = vfstest.User(d.k.NewTask(), 1000, 1000)
		ctx.Creds.Caps = ^uint64(fsCaps)
		ctx.Creds.Groups = groups()
	} else {
		ctx = d.ctx
	}
	ctx.Mask = 0o22
	hd, at := d.dirs()
	hd2, at2 := d.dirs()
	n, n2 := d.name(), d.name()
	mode := uint32([]int{0o777, 0o755, 0o700, 0o1777, 0o2775, 0o644, 0o4755, 0o6711, 0, 0o555}[d.rnd.IntN(10)])
	var what string
	var host, ours error
	var hostOut, ourOut string
	follow := vfs.WalkFlags(d.rnd.IntN(2))
	atFollow := 0
	if follow == 0 {
		atFollow = unix.AT_SYMLINK_NOFOLLOW
	}
	switch op := d.rnd.IntN(24); op {
	case 0, 1:
		what = fmt.Sprintf("mkdir %s %o", n, mode)
		host = d.asUser(func() error { return unix.Mkdirat(hd, n, mode) })
		ours = vfs.Mkdir(ctx, at, n, mode)
	case 2:
		what = "rmdir " + n
		host = d.asUser(func() error { return unix.Unlinkat(hd, n, unix.AT_REMOVEDIR) })
		ours = vfs.Rmdir(ctx, at, n)
	case 3:
		what = "unlink " + n
		host = d.asUser(func() error { return unix.Unlinkat(hd, n, 0) })
		ours = vfs.Unlink(ctx, at, n)
	case 4, 5:
		flags := uint([]int{0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE}[d.rnd.IntN(5)])
		what = fmt.Sprintf("rename %s %s %d", n, n2, flags)
		host = d.asUser(func() error { return unix.Renameat2(hd, n, hd2, n2, flags) })
		ours = vfs.Rename(ctx, at, n, at2, n2, uint32(flags))
	case 6:
		what = fmt.Sprintf("link %s %s %d", n, n2, follow)
		fl := 0
		if follow != 0 {
			fl = unix.AT_SYMLINK_FOLLOW
		}
		host = d.asUser(func() error { return unix.Linkat(hd, n, hd2, n2, fl) })
		ours = vfs.Link(ctx, at, n, at2, n2, follow)
	case 7:
		target := d.pick("a", "b", "c", "a/b", "b/", "c/a", "b/../c", "a/..")
		what = fmt.Sprintf("symlink %s %s", target, n)
		host = d.asUser(func() error { return unix.Symlinkat(target, hd, n) })
		ours = vfs.Symlink(ctx, target, at, n)
	case 8:
		kind := uint32([]int{unix.S_IFIFO, unix.S_IFREG, unix.S_IFSOCK, 0}[d.rnd.IntN(4)])
		what = fmt.Sprintf("mknod %s %o", n, kind|mode)
		host = d.asUser(func() error { return unix.Mknodat(hd, n, kind|mode, 0) })
		ours = vfs.Mknod(ctx, at, n, kind|mode, 0)
	case 9, 10, 11, 12:
		flags := d.rnd.IntN(3) | unix.O_NONBLOCK | unix.O_CLOEXEC
		for _, f := range []int{unix.O_CREAT, unix.O_CREAT, unix.O_EXCL, unix.O_TRUNC, unix.O_DIRECTORY, unix.O_NOFOLLOW, unix.O_PATH, unix.O_TMPFILE, unix.O_APPEND, unix.O_NOATIME} {
			if d.rnd.IntN(5) == 0 {
				flags |= f
			}
		}
		what = fmt.Sprintf("open %s %#x %o", n, flags, mode)
		var fd int
		host = d.asUser(func() (err error) { fd, err = unix.Openat(hd, n, flags, mode&0o6777); return err })
		f, err := vfs.Open(ctx, at, n, flags, mode&0o6777, 0)
		ours = err
		if host != nil || ours != nil {
			if host == nil {
				unix.Close(fd)
			}
			if ours == nil {
				f.Unref(ctx)
			}
			break
		}
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		a, _ := f.Stat(ctx)
		hostOut, ourOut = hostLine(&st), ourLine(a)
		fl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		hostOut += fmt.Sprintf(" flags=%#x", fl)
		ourOut += fmt.Sprintf(" flags=%#x", f.Flags)
		if len(d.fds) < 6 {
			d.fds, d.mine = append(d.fds, fd), append(d.mine, f)
			break
		}
		i := d.rnd.IntN(len(d.fds))
		unix.Close(d.fds[i])
		d.mine[i].Unref(ctx)
		d.fds[i], d.mine[i] = fd, f
	case 13:
		what = fmt.Sprintf("chmod %s %o", n, mode)
		host = d.asUser(func() error { return unix.Fchmodat(hd, n, mode, 0) })
		ours = vfs.Chmod(ctx, at, n, mode, vfs.Follow)
	case 14:
		uid := []int{-1, 0, 1000, 1001}[d.rnd.IntN(4)]
		gid := []int{-1, 0, 1000, 1001}[d.rnd.IntN(4)]
		what = fmt.Sprintf("chown %s %d:%d follow=%d", n, uid, gid, follow)
		host = d.asUser(func() error { return unix.Fchownat(hd, n, uid, gid, atFollow) })
		ours = vfs.Chown(ctx, at, n, uint32(uid), uint32(gid), follow)
	case 15:
		what = fmt.Sprintf("stat %s follow=%d", n, follow)
		var st unix.Stat_t
		host = d.asUser(func() error { return unix.Fstatat(hd, n, &st, atFollow) })
		a, err := vfs.Stat(ctx, at, n, follow)
		ours = err
		if host == nil {
			hostOut, ourOut = hostLine(&st), ourLine(a)
		}
	case 16:
		what = "readlink " + n
		b := make([]byte, 100)
		var k int
		host = d.asUser(func() (err error) { k, err = unix.Readlinkat(hd, n, b); return err })
		ourOut, ours = vfs.Readlink(ctx, at, n, vfs.Empty)
		hostOut = string(b[:max(k, 0)])
		if n == "" {
			ours, host = nil, nil // an empty name depends on what the descriptor is
			ourOut, hostOut = "", ""
		}
	case 17:
		times := [][2]int64{{vfs.TimeNow, vfs.TimeNow}, {5e9, vfs.TimeOmit}, {vfs.TimeNow, 7e9}}[d.rnd.IntN(3)]
		what = fmt.Sprintf("utimens %s %v", n, times)
		ts := func(ns int64) unix.Timespec {
			switch ns {
			case vfs.TimeNow:
				return unix.Timespec{Nsec: unix.UTIME_NOW}
			case vfs.TimeOmit:
				return unix.Timespec{Nsec: unix.UTIME_OMIT}
			}
			return unix.NsecToTimespec(ns)
		}
		if n == "" {
			return // the wrapper takes the directory then
		}
		host = d.asUser(func() error {
			return unix.UtimesNanoAt(hd, n, []unix.Timespec{ts(times[0]), ts(times[1])}, atFollow)
		})
		ours = vfs.Utimens(ctx, at, n, times[0], times[1], follow)
	case 18:
		want := uint32(d.rnd.IntN(9))
		what = fmt.Sprintf("access %s %d follow=%d", n, want, follow)
		fl := unix.AT_EACCESS | atFollow
		host = d.asUser(func() error { return faccessat2(hd, n, want, fl) })
		ours = vfs.Access(ctx, ctx.Cred(), at, n, want, follow)
	case 19:
		size := int64(d.rnd.IntN(3000) - 5)
		what = fmt.Sprintf("truncate %s %d", n, size)
		if hd != d.dir {
			return // there is no truncateat
		}
		host = d.asUser(func() error { return unix.Truncate(fmt.Sprintf("/proc/self/fd/%d/%s", hd, n), size) })
		if n == "" {
			return
		}
		ours = vfs.Truncate(ctx, at, n, size)
	case 20, 21:
		attr := d.pick("user.a", "user.b", "trusted.a", "security.a", "odd.a", "user.", "plain")
		if hd != d.dir || n == "" {
			return
		}
		full := fmt.Sprintf("/proc/self/fd/%d/%s", hd, n)
		get, set, remove := unix.Lgetxattr, unix.Lsetxattr, unix.Lremovexattr
		if follow != 0 {
			get, set, remove = unix.Getxattr, unix.Setxattr, unix.Removexattr
		}
		switch d.rnd.IntN(3) {
		case 0:
			fl := d.rnd.IntN(3)
			what = fmt.Sprintf("setxattr %s %s %d follow=%d", n, attr, fl, follow)
			host = d.asUser(func() error { return set(full, attr, []byte(what), fl) })
			ours = vfs.Setxattr(ctx, at, n, follow, attr, []byte(what), fl)
		case 1:
			what = fmt.Sprintf("getxattr %s %s follow=%d", n, attr, follow)
			b := make([]byte, 200)
			var k int
			host = d.asUser(func() (err error) { k, err = get(full, attr, b); return err })
			v, err := vfs.Getxattr(ctx, at, n, follow, attr)
			hostOut, ourOut, ours = string(b[:max(k, 0)]), string(v), err
		case 2:
			what = fmt.Sprintf("removexattr %s %s follow=%d", n, attr, follow)
			host = d.asUser(func() error { return remove(full, attr) })
			ours = vfs.Removexattr(ctx, at, n, follow, attr)
		}
	default:
		if len(d.fds) == 0 {
			return
		}
		i := d.rnd.IntN(len(d.fds))
		fd, f := d.fds[i], d.mine[i]
		switch d.rnd.IntN(6) {
		case 0:
			what = fmt.Sprintf("fchmod %d %o", i, mode)
			host = d.asUser(func() error { return unix.Fchmod(fd, mode) })
			ours = f.Chmod(ctx, mode)
		case 1, 2:
			data := make([]byte, d.rnd.IntN(100))
			what = fmt.Sprintf("write %d %d", i, len(data))
			if f.Kind() == unix.S_IFIFO {
				return
			}
			host = d.asUser(func() (err error) { _, err = unix.Write(fd, data); return err })
			_, ours = f.Write(ctx, data)
		case 3:
			size := int64(d.rnd.IntN(5000))
			what = fmt.Sprintf("ftruncate %d %d", i, size)
			host = d.asUser(func() error { return unix.Ftruncate(fd, size) })
			ours = f.Truncate(ctx, size)
		case 4:
			what = fmt.Sprintf("fstat %d", i)
			var st unix.Stat_t
			host = unix.Fstat(fd, &st)
			a, err := f.Stat(ctx)
			ours = err
			hostOut, ourOut = hostLine(&st), ourLine(a)
		case 5:
			what = fmt.Sprintf("name of %d", i)
			l, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			top, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.dir))
			if err != nil || strings.Contains(l, "#") {
				return
			}
			hostOut = l
			ourOut = vfs.PathName(d.at.Root, f.Path)
			if t := vfs.PathName(d.at.Root, d.at.Dir); strings.HasPrefix(ourOut, t) {
				ourOut = top + ourOut[len(t):]
			} else {
				return // went above the top through links
			}
		}
	}
	who := ""
	if d.user {
		who = " (user)"
	}
	d.log = append(d.log, fmt.Sprintf("%s%s [at %s, %s] = %v", what, who, d.short(at.Dir), d.short(at2.Dir), host))
	if errnoOf(host) != errnoOf(ours) || hostOut != ourOut {
		d.Fatalf("%s\n  host: %v %s\n  ours: %v %s", strings.Join(d.log[max(0, len(d.log)-25):], "\n"), host, hostOut, ours, ourOut)
	}
}

func (d *duel) short(p vfs.Path) string {
	return strings.TrimPrefix(vfs.PathName(d.at.Root, p), vfs.PathName(d.at.Root, d.at.Dir))
}

// faccessat2 is the call itself: the wrapper in unix emulates its flags.
func faccessat2(dir int, name string, want uint32, flags int) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall6(unix.SYS_FACCESSAT2, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(want), uintptr(flags), 0, 0); e != 0 {
		return e
	}
	return nil
}

// listing tells of a whole tree.
func hostListing(dir string, out *[]string, prefix string) {
	es, _ := os.ReadDir(dir)
	for _, e := range es {
		var st unix.Stat_t
		unix.Lstat(dir+"/"+e.Name(), &st)
		*out = append(*out, prefix+e.Name()+" "+hostLine(&st))
		if e.IsDir() {
			hostListing(dir+"/"+e.Name(), out, prefix+e.Name()+"/")
		}
	}
}

func (d *duel) listing(dir string, out *[]string, prefix string) {
	f, err := vfs.Open(d.ctx, d.at, dir, unix.O_RDONLY, 0, 0)
	if err != nil {
		return // as the host's listing does
	}
	f.Unref(d.ctx)
	names := strings.Fields(d.list(dir))
	slices.Sort(names)
	for _, n := range names {
		if n == "." || n == ".." {
			continue
		}
		a, err := vfs.Stat(d.ctx, d.at, dir+"/"+n, 0)
		if err != nil {
			a = vfs.Attr{} // readable, not searchable
		}
		*out = append(*out, prefix+n+" "+ourLine(a))
		if a.IsDir() {
			d.listing(dir+"/"+n, out, prefix+n+"/")
		}
	}
}

func TestAgainstHost(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	base := "/dev/shm"
	if unix.Access(base, unix.W_OK) != nil {
		base = t.TempDir()
	}
	old := unix.Umask(0o22)
	defer unix.Umask(old)
	for seed := range rounds {
		func() {
			tmp, err := os.MkdirTemp(base, "vfs")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				filepath.WalkDir(tmp, func(name string, e fs.DirEntry, err error) error {
					if err == nil && e.IsDir() {
						os.Chmod(name, 0o700)
					}
					return nil
				})
				os.RemoveAll(tmp)
			}()
			os.Chmod(tmp, 0o755)
			dir := tmp + strings.Repeat("/d", depth)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			os.Chmod(dir, 0o777)
			w := newWorld(t)
			w.ns.System().Hooks.FIFO = pipes{}.open
			b, _ := os.ReadFile("/proc/sys/fs/protected_hardlinks")
			w.ns.System().ProtectedHardlinks = string(b) == "1\n"
			for i := range depth {
				w.mkdir(strings.Repeat("/d", i+1))
			}
			top := strings.Repeat("/d", depth)
			w.want(vfs.Chmod(w.ctx, w.at, top, 0o777, 0), nil, "chmod")
			if uid := os.Geteuid(); uid != 0 {
				// Not root: then ours is that user too.
				for i := range depth {
					w.want(vfs.Chown(w.ctx, w.at, strings.Repeat("/d", i+1), uint32(uid), uint32(os.Getegid()), 0), nil, "chown")
				}
				w.ctx.Creds = vfs.Cred{UID: uint32(uid), GID: uint32(os.Getegid()), Groups: groups()}
			}
			w = w.in(top)
			fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			d := &duel{world: w, rnd: rand.New(rand.NewPCG(uint64(seed), 1)), dir: fd}
			for _, n := range []string{"a", "a/b", "b"} {
				unix.Mkdirat(fd, n, 0o777)
				vfs.Mkdir(w.ctx, w.at, n, 0o777)
			}
			for range 300 {
				d.step()
			}
			var host, ours []string
			hostListing(dir, &host, "")
			d.listing(top, &ours, "")
			if h, o := strings.Join(host, "\n"), strings.Join(ours, "\n"); h != o {
				t.Fatalf("after\n%s\nhost:\n%s\nours:\n%s", strings.Join(d.log, "\n"), h, o)
			}
			for i := range d.fds {
				unix.Close(d.fds[i])
				d.mine[i].Unref(w.ctx)
			}
		}()
		if t.Failed() {
			return
		}
	}
}
