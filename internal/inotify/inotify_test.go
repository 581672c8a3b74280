package inotify

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// world is a directory, with an inotify instance and open files, on the host
// or ours.
type world interface {
	add(name string, mask uint32) (int, error)
	remove(wd int) error
	read(size int) ([]byte, error)
	mkdir(name string) error
	open(slot int, name string, flags int) error
	close(slot int)
	write(slot int) error
	readFile(slot int) error
	chmod(name string) error
	truncate(name string) error
	rename(from, to string) error
	exchange(from, to string) error
	link(from, to string) error
	symlink(to, name string) error
	unlink(name string) error
	rmdir(name string) error
}

const slots = 3

type host struct {
	t   *testing.T
	dir string
	in  int
	fds [slots]int
}

func newHost(t *testing.T) *host {
	in, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "sysemu-inotify")
	if err != nil {
		t.Skip(err)
	}
	h := &host{t: t, dir: dir, in: in, fds: [slots]int{-1, -1, -1}}
	t.Cleanup(func() {
		for i := range h.fds {
			h.close(i)
		}
		unix.Close(in)
		os.RemoveAll(dir)
	})
	return h
}

func (h *host) at(name string) string { return h.dir + "/" + name }

func (h *host) add(name string, mask uint32) (int, error) {
	return unix.InotifyAddWatch(h.in, h.at(name), mask)
}
func (h *host) remove(wd int) error {
	_, err := unix.InotifyRmWatch(h.in, uint32(wd))
	return err
}
func (h *host) read(size int) ([]byte, error) {
	b := make([]byte, size)
	n, err := unix.Read(h.in, b)
	return b[:max(n, 0)], err
}
func (h *host) mkdir(name string) error { return unix.Mkdir(h.at(name), 0o755) }
func (h *host) open(slot int, name string, flags int) error {
	fd, err := unix.Open(h.at(name), flags|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	h.close(slot)
	h.fds[slot] = fd
	return nil
}
func (h *host) close(slot int) {
	if h.fds[slot] >= 0 {
		unix.Close(h.fds[slot])
		h.fds[slot] = -1
	}
}
func (h *host) write(slot int) error {
	_, err := unix.Write(h.fds[slot], []byte("x"))
	return err
}
func (h *host) readFile(slot int) error {
	_, err := unix.Read(h.fds[slot], make([]byte, 1))
	return err
}
func (h *host) chmod(name string) error      { return unix.Chmod(h.at(name), 0o755) }
func (h *host) truncate(name string) error   { return unix.Truncate(h.at(name), 1) }
func (h *host) rename(from, to string) error { return unix.Rename(h.at(from), h.at(to)) }
func (h *host) exchange(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, h.at(from), unix.AT_FDCWD, h.at(to), unix.RENAME_EXCHANGE)
}
func (h *host) link(from, to string) error    { return unix.Link(h.at(from), h.at(to)) }
func (h *host) symlink(to, name string) error { return unix.Symlink(to, h.at(name)) }
func (h *host) unlink(name string) error      { return unix.Unlink(h.at(name)) }
func (h *host) rmdir(name string) error       { return unix.Rmdir(h.at(name)) }

type ours struct {
	ctx   vfs.Context
	at    vfs.At
	f     *vfs.File
	in    *Instance
	files [slots]*vfs.File
}

func newOurs(t *testing.T, ctx vfs.Context) *ours {
	ns, err := vfs.NewNamespace(ctx, tmpfs.New(ctx.Realtime(), tmpfs.Options{}), 0, "none")
	if err != nil {
		t.Fatal(err)
	}
	o := &ours{ctx: ctx, f: New(unix.O_NONBLOCK)}
	o.at.Root = ns.Root()
	o.at.Dir = o.at.Root
	o.in, _ = Of(o.f)
	return o
}

func path(name string) string { return "/" + name }

func (o *ours) add(name string, mask uint32) (int, error) {
	wd, err := o.in.AddWatch(o.ctx, o.at, path(name), mask)
	return int(wd), err
}
func (o *ours) remove(wd int) error { return o.in.RemoveWatch(int32(wd)) }
func (o *ours) read(size int) ([]byte, error) {
	b := make([]byte, size)
	n, err := o.f.Read(o.ctx, b)
	return b[:n], err
}
func (o *ours) mkdir(name string) error { return vfs.Mkdir(o.ctx, o.at, path(name), 0o755) }
func (o *ours) open(slot int, name string, flags int) error {
	f, err := vfs.Open(o.ctx, o.at, path(name), flags, 0o644, 0)
	if err != nil {
		return err
	}
	o.close(slot)
	o.files[slot] = f
	return nil
}
func (o *ours) close(slot int) {
	if o.files[slot] != nil {
		o.files[slot].Unref(o.ctx)
		o.files[slot] = nil
	}
}
func (o *ours) write(slot int) error {
	if o.files[slot] == nil {
		return unix.EBADF
	}
	_, err := o.files[slot].Write(o.ctx, []byte("x"))
	return err
}
func (o *ours) readFile(slot int) error {
	if o.files[slot] == nil {
		return unix.EBADF
	}
	_, err := o.files[slot].Read(o.ctx, make([]byte, 1))
	return err
}
func (o *ours) chmod(name string) error {
	return vfs.Chmod(o.ctx, o.at, path(name), 0o755, vfs.Follow)
}
func (o *ours) truncate(name string) error { return vfs.Truncate(o.ctx, o.at, path(name), 1) }
func (o *ours) rename(from, to string) error {
	return vfs.Rename(o.ctx, o.at, path(from), o.at, path(to), 0)
}
func (o *ours) exchange(from, to string) error {
	return vfs.Rename(o.ctx, o.at, path(from), o.at, path(to), unix.RENAME_EXCHANGE)
}
func (o *ours) link(from, to string) error {
	return vfs.Link(o.ctx, o.at, path(from), o.at, path(to), 0)
}
func (o *ours) symlink(to, name string) error { return vfs.Symlink(o.ctx, to, o.at, path(name)) }
func (o *ours) unlink(name string) error      { return vfs.Unlink(o.ctx, o.at, path(name)) }
func (o *ours) rmdir(name string) error       { return vfs.Rmdir(o.ctx, o.at, path(name)) }

func errno(err error) string {
	if e, ok := err.(unix.Errno); ok && e != 0 {
		return unix.ErrnoName(e)
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// decode shows events, with cookies numbered as they come.
func decode(b []byte, cookies map[uint32]int) string {
	var s []string
	for len(b) >= headerSize {
		wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		cookie, n := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
		if cookie != 0 && cookies[cookie] == 0 {
			cookies[cookie] = len(cookies) + 1
		}
		s = append(s, fmt.Sprintf("%d:%x:%d:%d:%s", wd, mask, cookies[cookie], n, strings.TrimRight(string(b[headerSize:headerSize+n]), "\x00")))
		b = b[headerSize+n:]
	}
	return strings.Join(s, " ")
}

type action struct {
	name string
	do   func(w world) string
}

var names = []string{"a", "b", "d", "d/a", "d/b", "e", "e/a", "a-long-name-16ch", "e/l"}

func step(r *rand.Rand) action {
	n1, n2, slot := names[r.Intn(len(names))], names[r.Intn(len(names))], r.Intn(slots)
	on := func(what string, f func(w world) error) action {
		return action{what, func(w world) string { return errno(f(w)) }}
	}
	switch r.Intn(22) {
	case 0, 1, 2:
		mask := []uint32{unix.IN_ALL_EVENTS, unix.IN_ALL_EVENTS, unix.IN_CREATE | unix.IN_DELETE_SELF, unix.IN_MOVE | unix.IN_ATTRIB, 0}[r.Intn(5)]
		for _, flag := range []uint32{unix.IN_ONESHOT, unix.IN_EXCL_UNLINK, unix.IN_ONLYDIR, unix.IN_MASK_ADD, unix.IN_MASK_CREATE, unix.IN_DONT_FOLLOW} {
			if r.Intn(8) == 0 {
				mask |= flag
			}
		}
		if r.Intn(3) == 0 {
			n1 = ""
		}
		return action{fmt.Sprintf("add(%q, %x)", n1, mask), func(w world) string {
			wd, err := w.add(n1, mask)
			return fmt.Sprint(wd, errno(err))
		}}
	case 3:
		wd := 1 + r.Intn(6)
		return on(fmt.Sprintf("remove(%d)", wd), func(w world) error { return w.remove(wd) })
	case 4, 5:
		n1 = names[[]int{2, 5}[r.Intn(2)]]
		return on("mkdir "+n1, func(w world) error { return w.mkdir(n1) })
	case 6, 7, 8, 9:
		flags := []int{unix.O_RDWR | unix.O_CREAT, unix.O_RDONLY, unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC}[r.Intn(3)]
		return on(fmt.Sprintf("open %d %s %x", slot, n1, flags), func(w world) error { return w.open(slot, n1, flags) })
	case 10, 11:
		return on(fmt.Sprint("close ", slot), func(w world) error { w.close(slot); return nil })
	case 12, 13:
		return on(fmt.Sprint("write ", slot), func(w world) error { return w.write(slot) })
	case 14:
		return on(fmt.Sprint("read ", slot), func(w world) error { return w.readFile(slot) })
	case 15:
		return on("chmod "+n1, func(w world) error { return w.chmod(n1) })
	case 16:
		return on("truncate "+n1, func(w world) error { return w.truncate(n1) })
	case 17, 18:
		if r.Intn(5) == 0 {
			return on("exchange "+n1+" "+n2, func(w world) error { return w.exchange(n1, n2) })
		}
		return on("rename "+n1+" "+n2, func(w world) error { return w.rename(n1, n2) })
	case 19:
		if r.Intn(2) == 0 {
			return on("symlink e/l", func(w world) error { return w.symlink("a", "e/l") })
		}
		return on("link "+n1+" "+n2, func(w world) error { return w.link(n1, n2) })
	case 20:
		return on("unlink "+n1, func(w world) error { return w.unlink(n1) })
	default:
		return on("rmdir "+n1, func(w world) error { return w.rmdir(n1) })
	}
}

// TestAsHost runs random scripts on the host and on ours.
func TestAsHost(t *testing.T) {
	failed := 0
	for seed := range 300 {
		var k waittest.Kernel
		k.Do(func() {
			h, o := newHost(t), newOurs(t, vfstest.Root(k.NewTask()))
			hc, oc := make(map[uint32]int), make(map[uint32]int)
			r := rand.New(rand.NewSource(int64(seed)))
			var log []string
			for range 150 {
				a := step(r)
				size := 4096
				if r.Intn(20) == 0 {
					size = 10 + r.Intn(40)
				}
				want, got := a.do(h), a.do(o)
				hb, herr := h.read(size)
				ob, oerr := o.read(size)
				want += " then " + decode(hb, hc) + " " + errno(herr)
				got += " then " + decode(ob, oc) + " " + errno(oerr)
				log = append(log, a.name+" = "+want)
				if want != got {
					t.Errorf("seed %d: %s\nhost %s\nours %s\nafter\n%s", seed, a.name, want, got, strings.Join(log[max(0, len(log)-150):], "\n"))
					failed++
					break
				}
			}
			for i := range slots {
				o.close(i)
			}
			o.f.Unref(o.ctx)
			for i := range slots {
				h.close(i)
			}
			unix.Close(h.in)
			h.in = -1
			os.RemoveAll(h.dir)
		})
		if failed > 3 {
			break
		}
	}
}

func TestBlockingAndOverflow(t *testing.T) {
	var k waittest.Kernel
	var o *ours
	k.Do(func() {
		o = newOurs(t, vfstest.Root(k.NewTask()))
		o.f.Flags &^= unix.O_NONBLOCK
		o.add("", unix.IN_CREATE|unix.IN_DELETE)
	})
	k.Go(func(task *waittest.Task) {
		b := make([]byte, 100)
		n, err := o.f.Read(vfstest.Root(task), b)
		if got := decode(b[:n], nil); got != "1:40000100:0:16:x" || err != nil {
			t.Error(got, err)
		}
	})
	time.Sleep(10 * time.Millisecond)
	k.Do(func() { o.mkdir("x") })
	k.Wait()
	k.Do(func() {
		for range MaxQueued {
			o.mkdir("d")
			o.rmdir("d")
		}
		if len(o.in.events) != MaxQueued+1 {
			t.Error(len(o.in.events))
		}
		last := o.in.events[MaxQueued]
		if last != (event{wd: -1, mask: unix.IN_Q_OVERFLOW}) {
			t.Error(last)
		}
		if o.in.bytes != MaxQueued*32+16 {
			t.Error(o.in.bytes)
		}
		b := make([]byte, 1<<20)
		if n, err := o.f.Read(o.ctx, b); n != MaxQueued*32+16 || err != nil || o.in.bytes != 0 {
			t.Error(n, err, o.in.bytes)
		}
	})
}
