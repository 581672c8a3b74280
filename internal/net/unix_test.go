package net

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// abstract is a name that is the test's own on the host.
func abstract(i int) []byte {
	return unixAddr(fmt.Sprintf("\x00sysemu-test-%d-%d", os.Getpid(), i))
}

var types = map[int]string{unix.SOCK_STREAM: "stream", unix.SOCK_DGRAM: "dgram", unix.SOCK_SEQPACKET: "seqpacket"}

// unixAction returns one random operation.
func unixAction(r *rand.Rand, seed int) action {
	i, j := r.Intn(slots), r.Intn(slots)
	for j == i {
		j = r.Intn(slots)
	}
	typ := pick(r, unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET)
	if seed%4 > 0 { // most scripts keep to one
		typ = []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET}[seed%4-1]
	}
	addr := abstract(r.Intn(3))
	switch n := r.Intn(100); {
	case n < 8:
		return action{fmt.Sprintf("socket(%d, %s)", i, types[typ]), func(w world) string { return errno(w.socket(i, unix.AF_UNIX, typ)) }}
	case n < 14:
		return action{fmt.Sprintf("pair(%d, %d, %s)", i, j, types[typ]), func(w world) string { return errno(w.pair(i, j, unix.AF_UNIX, typ)) }}
	case n < 19:
		return action{fmt.Sprintf("bind(%d, %s)", i, addr[len(addr)-1:]), func(w world) string { return errno(w.bind(i, addr)) }}
	case n < 24:
		backlog := r.Intn(3) - 1
		return action{fmt.Sprintf("listen(%d, %d)", i, backlog), func(w world) string { return errno(w.listen(i, backlog)) }}
	case n < 33:
		if typ != unix.SOCK_STREAM && r.Intn(5) == 0 {
			addr = []byte{0, 0}
		}
		return action{fmt.Sprintf("connect(%d, %s)", i, addr[len(addr)-1:]), func(w world) string { return errno(w.connect(i, addr)) }}
	case n < 39:
		return action{fmt.Sprintf("accept(%d, %d)", i, j), func(w world) string {
			b, err := w.accept(i, j)
			return fmt.Sprintf("%q %s", b, errno(err))
		}}
	case n < 58:
		size := pick(r, 0, 1, 10, 100, 1000)
		if typ != unix.SOCK_STREAM && r.Intn(30) == 0 {
			size = 300000
		}
		data := pattern(size)
		var name []byte
		if r.Intn(5) == 0 {
			name = addr
		}
		var fds []int
		if r.Intn(5) == 0 && size > 0 {
			for range 1 + r.Intn(2) {
				fds = append(fds, slots)
			}
		}
		flags := pick(r, 0, 0, 0, unix.MSG_EOR)
		return action{fmt.Sprintf("send(%d, %d bytes, %q, fds %v, %x)", i, size, name, fds, flags), func(w world) string {
			n, err := w.send(i, data, name, fds, flags)
			if n > 200000 {
				n = 200000 // how much fits into the buffer is for each to say
			}
			return fmt.Sprint(n, errno(err))
		}}
	case n < 79:
		size, control := pick(r, 0, 1, 50, 500, 400000), pick(r, 0, 0, 20, 24, 100)
		flags := pick(r, 0, 0, 0, unix.MSG_PEEK, unix.MSG_TRUNC, unix.MSG_WAITALL, unix.MSG_PEEK|unix.MSG_TRUNC, unix.MSG_CMSG_CLOEXEC)
		return action{fmt.Sprintf("recv(%d, %d, %d, %x)", i, size, control, flags), func(w world) string {
			n, data, name, fds, rflags, err := w.recv(i, size, control, flags)
			if n > 200000 {
				n, data = 200000, nil
			}
			return fmt.Sprintf("%d %s %q fds %d flags %x %s", n, show(data), name, fds, rflags, errno(err))
		}}
	case n < 83:
		how := r.Intn(4)
		return action{fmt.Sprintf("shutdown(%d, %d)", i, how), func(w world) string { return errno(w.shutdown(i, how)) }}
	case n < 86:
		return action{fmt.Sprintf("names(%d)", i), func(w world) string {
			a, err1 := w.name(i)
			b, err2 := w.peer(i)
			return fmt.Sprintf("%q %s %q %s", a, errno(err1), b, errno(err2))
		}}
	case n < 93:
		return action{fmt.Sprintf("poll(%d)", i), func(w world) string { return fmt.Sprintf("%x", w.poll(i)) }}
	case n < 95:
		return action{fmt.Sprintf("inq(%d)", i), func(w world) string {
			n, err := w.inq(i)
			return fmt.Sprint(min(n, 200000), errno(err))
		}}
	case n < 97:
		name := pick(r, unix.SO_ERROR, unix.SO_TYPE, unix.SO_ACCEPTCONN, unix.SO_PEERCRED, unix.SO_DOMAIN, unix.SO_PROTOCOL)
		space := pick(r, 2, 4, 12, 20)
		return action{fmt.Sprintf("getopt(%d, %d, %d)", i, name, space), func(w world) string {
			b, err := w.getopt(i, unix.SOL_SOCKET, name, space)
			return fmt.Sprintf("%x %s", b, errno(err))
		}}
	default:
		return action{fmt.Sprintf("close(%d)", i), func(w world) string { w.close(i); return "" }}
	}
}

// TestUnixAsHost runs random scripts on the host and on ours.
func TestUnixAsHost(t *testing.T) {
	failed := 0
	for seed := range 600 {
		r := rand.New(rand.NewSource(int64(seed)))
		var script []action
		for range 250 {
			script = append(script, unixAction(r, seed))
		}
		if diff := compare(t, fmt.Sprint("seed ", seed), script); diff != "" {
			t.Error(diff)
			if failed++; failed > 2 {
				break
			}
		}
	}
}

// tree is a mount namespace of a tmpfs, for names of sockets.
func tree(t *testing.T, ctx *caller) {
	t.Helper()
	ns, err := vfs.NewNamespace(ctx, tmpfs.New(ctx.Realtime(), tmpfs.Options{Mode: 0o777}), 0, "none")
	if err != nil {
		t.Fatal(err)
	}
	ctx.at.Root = ns.Root()
	ctx.at.Dir = ctx.at.Root
}

// TestPathnames binds to names in the tree.
func TestPathnames(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		ctx.Creds = vfs.Cred{Caps: math.MaxUint64}
		tree(t, ctx)
		o := &ours{n: New(), ctx: ctx}
		check := func(what string, got error, want error) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		a := unixAddr("/s")
		o.socket(0, unix.AF_UNIX, unix.SOCK_STREAM)
		o.socket(1, unix.AF_UNIX, unix.SOCK_STREAM)
		o.socket(2, unix.AF_UNIX, unix.SOCK_DGRAM)
		check("bind", o.bind(0, a), nil)
		check("bind again", o.bind(0, unixAddr("t")), unix.EINVAL)
		check("bind to a name that is there", o.bind(1, a), unix.EADDRINUSE)
		check("bind nowhere", o.bind(1, unixAddr("/no/s")), unix.ENOENT)
		attr, err := vfs.Stat(ctx, ctx.at, "s", 0)
		check("stat", err, nil)
		if attr.Mode != unix.S_IFSOCK|0o755 {
			t.Errorf("mode %o", attr.Mode)
		}
		_, err = vfs.Open(ctx, ctx.at, "/s", unix.O_RDWR, 0, 0)
		check("open", err, unix.ENXIO)
		check("connect before listen", o.connect(1, a), unix.ECONNREFUSED)
		check("listen", o.listen(0, 5), nil)
		check("connect a datagram socket", o.connect(2, a), unix.EPROTOTYPE)
		check("connect", o.connect(1, append(a, "junk"...)), nil)
		check("rename", vfs.Rename(ctx, ctx.at, "s", ctx.at, "u", 0), nil)
		o.socket(3, unix.AF_UNIX, unix.SOCK_STREAM)
		check("connect to the old name", o.connect(3, a), unix.ENOENT)
		user := *ctx
		base := *ctx.Context
		base.Creds = vfs.Cred{UID: 1000, GID: 1000}
		user.Context = &base
		s, f, _ := o.of(3)
		check("connect without permission", s.Connect(&user, f, unixAddr("/u")), unix.EACCES)
		check("connect", o.connect(3, unixAddr("/u")), nil)
		if b, _ := o.peer(3); string(b) != string(a) {
			t.Errorf("peer %q", b)
		}
		o.close(0)
		o.socket(4, unix.AF_UNIX, unix.SOCK_STREAM)
		check("connect to a dead one", o.connect(4, unixAddr("/u")), unix.ECONNREFUSED)
		check("unlink", vfs.Unlink(ctx, ctx.at, "/u"), nil)
	})
}

// TestGarbage makes circles of sockets in flight and lets go of them.
func TestGarbage(t *testing.T) {
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		var k waittest.Kernel
		k.Do(func() {
			o := &ours{n: New(), ctx: newCaller(k.NewTask())}
			send := func(i int, fds ...int) {
				t.Helper()
				if n, err := o.send(i, []byte("x"), nil, fds, 0); n != 1 {
					t.Fatal(err)
				}
			}
			flying := func(want int) {
				t.Helper()
				if o.n.inFlight != want {
					t.Errorf("%d in flight, want %d", o.n.inFlight, want)
				}
			}
			// A socket that holds both ends of its own pair.
			o.pair(0, 1, unix.AF_UNIX, typ)
			send(0, 0, 1)
			flying(2)
			o.close(1) // which alone could have received them
			flying(0)
			// Two pairs that hold each other, and a third that they hold.
			o.pair(0, 1, unix.AF_UNIX, typ)
			o.pair(2, 3, unix.AF_UNIX, typ)
			o.pair(4, 5, unix.AF_UNIX, typ)
			send(0, 3)
			send(2, 1, 5)
			for i := range 4 {
				o.close(i)
			}
			flying(0)
			o.close(5)
			if ev := o.poll(4); typ == unix.SOCK_STREAM && ev&unix.POLLHUP == 0 {
				t.Errorf("the third's other end polls %x", ev)
			}
			o.close(4)
			// A chain that is reachable from outside stays.
			o.pair(0, 1, unix.AF_UNIX, typ)
			o.pair(2, 3, unix.AF_UNIX, typ)
			send(0, 3)
			send(2, 1)
			for i := 1; i < 4; i++ {
				o.close(i)
			}
			flying(0) // nobody can receive from 1 or 3 any more
			o.pair(2, 3, unix.AF_UNIX, typ)
			o.pair(4, 5, unix.AF_UNIX, typ)
			send(2, 5)
			send(4, 3)
			o.close(5)
			flying(2)
			if _, _, _, fds, _, err := o.recv(3, 1, 24, 0); fds != 1 || err != nil {
				t.Error(fds, err)
			}
			for i := range slots {
				o.close(i)
			}
			flying(0)
			// Of very many, some may be left for the end.
			for range 10 * few {
				o.pair(0, 1, unix.AF_UNIX, typ)
				send(0, 1)
				o.close(1)
				o.close(0)
			}
			if o.n.inFlight > 2*few {
				t.Error(o.n.inFlight, "in flight")
			}
			o.n.Collect(o.ctx)
			flying(0)
			// A long chain does not need a deep stack.
			o.pair(0, 1, unix.AF_UNIX, typ)
			for range 20000 {
				o.pair(2, 3, unix.AF_UNIX, typ)
				send(2, 1)
				send(2, 0)
				o.set(0, o.fds[2].Ref())
				o.set(1, o.fds[3].Ref())
			}
			for i := range slots {
				o.close(i)
			}
			flying(0)
		})
	}
}

// TestCredentials looks at who a message says it is from.
func TestCredentials(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		ctx.Creds = vfs.Cred{UID: 1000, GID: 100}
		n := New()
		a, b, err := n.Pair(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		sa, sb := a.Impl.(Socket), b.Impl.(Socket)
		sb.SetSockOpt(ctx, unix.SOL_SOCKET, unix.SO_PASSCRED, intBytes(1))
		m := Message{Data: []byte("abc")}
		m.Control.Creds = &unix.Ucred{Pid: 1, Uid: 0, Gid: 0}
		if _, err := sa.SendMsg(ctx, a, &m, 0); err != unix.EPERM {
			t.Error("claimed to be root:", err)
		}
		a.Write(ctx, []byte("abc"))
		m = Message{Data: make([]byte, 10)}
		if n, err := sb.RecvMsg(ctx, b, &m, 0); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		c, flags := m.Control.Marshal(ctx, 100, false, nil)
		got, err := unix.ParseSocketControlMessage(c)
		if err != nil || len(got) != 1 || flags != 0 {
			t.Fatal(err, got, flags)
		}
		cred, err := unix.ParseUnixCredentials(&got[0])
		if want := (unix.Ucred{Pid: int32(ctx.Pid), Uid: 1000, Gid: 100}); err != nil || *cred != want {
			t.Error(err, cred)
		}
		// The bytes of two senders are not read together.
		a.Write(ctx, []byte("abc"))
		ctx.Pid++
		a.Write(ctx, []byte("def"))
		p := make([]byte, 10)
		if n, err := b.Read(ctx, p); n != 3 || err != nil {
			t.Error(n, err)
		}
		peer, _ := sb.GetSockOpt(ctx, unix.SOL_SOCKET, unix.SO_PEERCRED, 12)
		if want := fmt.Sprintf("%x", unix.UnixCredentials(&unix.Ucred{Pid: int32(ctx.Pid - 1), Uid: 1000, Gid: 100})[16:28]); fmt.Sprintf("%x", peer) != want {
			t.Errorf("SO_PEERCRED %x, want %s", peer, want)
		}
	})
}

// TestControl writes control messages as the host does.
func TestControl(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		file := func() *vfs.File { return vfs.NewFile(vfs.Path{}, vfs.Anon("x"), plain{}, unix.O_RDWR) }
		fd := 0
		install := func(f *vfs.File) (int, error) {
			fd++
			return fd, nil
		}
		rights := string(unix.UnixRights(1, 2, 3))
		for _, tt := range []struct {
			space int
			want  string
			flags int
		}{
			{32, rights, 0},
			{24, string(unix.UnixRights(1, 2)), unix.MSG_CTRUNC},
			{28, "\x1c" + rights[1:28], 0},
			{20, "\x14" + rights[1:20], unix.MSG_CTRUNC},
			{19, "", unix.MSG_CTRUNC},
			{0, "", unix.MSG_CTRUNC},
		} {
			fd = 0
			c := Control{Files: []*vfs.File{file(), file(), file()}}
			b, flags := c.Marshal(ctx, tt.space, false, install)
			if string(b) != tt.want || flags != tt.flags {
				t.Errorf("space %d: %x flags %x", tt.space, b, flags)
			}
		}
		get := func(fd int) (*vfs.File, error) {
			if fd < 0 {
				return nil, unix.EBADF
			}
			return file(), nil
		}
		for _, tt := range []struct {
			b    string
			want error
			n    int
		}{
			{rights, nil, 3},
			{rights + rights, nil, 6},
			{string(unix.UnixRights(-1)), unix.EBADF, 0},
			{"\xff" + rights[1:], unix.EINVAL, 0},
			{"\x0f" + rights[1:], unix.EINVAL, 0},
			{rights[:15], nil, 0},
			{string(unix.UnixRights(make([]int, 254)...)), unix.EINVAL, 0},
			{string(unix.UnixRights(make([]int, 253)...)), nil, 253},
			{strings.Repeat("\xff", 40), unix.EINVAL, 0},
			{"\x10\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00", nil, 1},
		} {
			compat := strings.HasPrefix(tt.b, "\x10\x00\x00\x00\x01")
			c, err := ParseControl(ctx, []byte(tt.b), compat, get)
			if err != tt.want || len(c.Files) != tt.n {
				t.Errorf("%x: %v, %d files", tt.b, err, len(c.Files))
			}
		}
	})
}

// TestBlocking has readers, writers, connects and accepts that wait.
func TestBlocking(t *testing.T) {
	var k waittest.Kernel
	var ctx *caller
	n := New()
	var a, b, l *vfs.File
	k.Do(func() {
		ctx = newCaller(k.NewTask())
		a, b, _ = n.Pair(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		l, _ = n.Socket(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		l.Impl.(Socket).Bind(ctx, l, unixAddr("\x00l"))
		l.Impl.(Socket).Listen(ctx, l, 0)
	})
	const total = 5 << 20
	k.Go(func(task *waittest.Task) {
		n, err := a.Write(newCaller(task), make([]byte, total))
		if n != total || err != nil {
			t.Error("write", n, err)
		}
		a.Unref(ctx)
	})
	k.Go(func(task *waittest.Task) {
		m := Message{Data: make([]byte, total)}
		n, err := b.Impl.(Socket).RecvMsg(newCaller(task), b, &m, unix.MSG_WAITALL)
		if n != total || err != nil {
			t.Error("read", n, err)
		}
		if n, err := b.Read(newCaller(task), m.Data); n != 0 || err != nil {
			t.Error("end of file", n, err)
		}
	})
	for range 5 {
		k.Go(func(task *waittest.Task) {
			ctx := newCaller(task)
			c, _ := n.Socket(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err := c.Impl.(Socket).Connect(ctx, c, unixAddr("\x00l")); err != nil {
				t.Error("connect", err)
			}
			if n, err := c.Read(ctx, make([]byte, 1)); n != 0 || err != nil {
				t.Error("read", n, err)
			}
			c.Unref(ctx)
		})
	}
	k.Go(func(task *waittest.Task) {
		ctx := newCaller(task)
		for range 5 {
			c, _, err := l.Impl.(Socket).Accept(ctx, l, 0)
			if err != nil {
				t.Error("accept", err)
				return
			}
			c.Unref(ctx)
		}
		l.Impl.(Socket).SetSockOpt(ctx, unix.SOL_SOCKET, unix.SO_RCVTIMEO, timeval(2e6))
		if _, _, err := l.Impl.(Socket).Accept(ctx, l, 0); err != unix.EAGAIN {
			t.Error("accept with a timeout", err)
		}
	})
	// A datagram socket that is full makes its senders wait.
	k.Go(func(task *waittest.Task) {
		ctx := newCaller(task)
		r, _ := n.Socket(ctx, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		r.Impl.(Socket).Bind(ctx, r, unixAddr("\x00r"))
		const senders, each = 4, 400
		for range senders {
			k.Go(func(task *waittest.Task) {
				ctx := newCaller(task)
				s, _ := n.Socket(ctx, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
				for range each {
					m := Message{Data: []byte("x"), Name: unixAddr("\x00r")}
					if n, err := s.Impl.(Socket).SendMsg(ctx, s, &m, 0); n != 1 || err != nil {
						t.Error("send", n, err)
						return
					}
				}
				s.Unref(ctx)
			})
		}
		ctx.Sleep(ctx.Now() + 3e7)
		for range senders * each {
			if n, err := r.Read(ctx, make([]byte, 10)); n != 1 || err != nil {
				t.Error("receive", n, err)
				return
			}
		}
	})
	k.Wait()
}

// BenchmarkPingPong sends a byte there and back, without tasks that switch.
func BenchmarkPingPong(b *testing.B) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		x, y, _ := New().Pair(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		p := []byte{1}
		b.ReportAllocs()
		for b.Loop() {
			x.Write(ctx, p)
			y.Read(ctx, p)
			y.Write(ctx, p)
			x.Read(ctx, p)
		}
	})
}

// BenchmarkThroughput moves 64 KiB at a time.
func BenchmarkThroughput(b *testing.B) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		x, y, _ := New().Pair(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		p := make([]byte, 64<<10)
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			x.Write(ctx, p)
			y.Read(ctx, p)
		}
	})
}

// TestGarbageAtRandom sends sockets over sockets, and in the end there must
// be nothing left of them.
func TestGarbageAtRandom(t *testing.T) {
	for seed := range 300 {
		var k waittest.Kernel
		k.Do(func() {
			o := &ours{n: New(), ctx: newCaller(k.NewTask())}
			r := rand.New(rand.NewSource(int64(seed)))
			for range 400 {
				a := unixAction(r, seed)
				i := r.Intn(slots)
				switch r.Intn(6) {
				case 0, 1:
					var fds []int
					for range 1 + r.Intn(3) {
						fds = append(fds, r.Intn(slots))
					}
					o.send(i, []byte("x"), nil, fds, 0)
				case 2:
					o.recv(i, 10, pick(r, 0, 20, 100), pick(r, 0, 0, unix.MSG_PEEK))
				default:
					a.do(o)
				}
			}
			for i := range slots {
				o.close(i)
			}
			if o.n.inFlight != 0 || o.n.flights.n != 0 || o.n.all.head != nil || len(o.n.abstract) != 0 {
				t.Fatalf("seed %d: %d files in flight, of which %d sockets; any left: %v", seed, o.n.inFlight, o.n.flights.n, o.n.all.head != nil)
			}
		})
	}
}
