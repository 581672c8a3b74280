package net

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// inetAddr is a sockaddr of a family, mapped if need be.
func inetAddr(family int, ap netip.AddrPort) []byte {
	return (&inetSock{sock: sock{family: family}}).format(ap)
}

// freePorts are ports that nobody has on the host right now.
func freePorts(t *testing.T, typ int) (ports [2]uint16) {
	for i := range ports {
		fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
			t.Skip(err)
		}
		sa, _ := unix.Getsockname(fd)
		ports[i] = uint16(sa.(*unix.SockaddrInet4).Port)
	}
	return ports
}

// showAddr prints a sockaddr, any port but the script's as 1.
func showAddr(b []byte, ports [2]uint16) string {
	if len(b) < 4 {
		return fmt.Sprintf("%x", b)
	}
	b = append([]byte(nil), b...)
	if p := binary.BigEndian.Uint16(b[2:]); p != 0 && p != ports[0] && p != ports[1] {
		binary.BigEndian.PutUint16(b[2:], 1)
	} else if p == ports[0] {
		binary.BigEndian.PutUint16(b[2:], 2)
	} else if p == ports[1] {
		binary.BigEndian.PutUint16(b[2:], 3)
	}
	return fmt.Sprintf("%x", b)
}

// hostIPv6 reports whether the host's loopback interface has ::1.
var hostIPv6 = sync.OnceValue(func() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: loopback6.As16()}) == nil
})

func inetAction(r *rand.Rand, typ int, ports [2]uint16) action {
	i, j := r.Intn(slots), r.Intn(slots)
	for j == i {
		j = r.Intn(slots)
	}
	family := pick(r, unix.AF_INET, unix.AF_INET, unix.AF_INET6)
	// A socket of AF_INET6 that has spoken IPv4 is odd on Linux: only those
	// that listen at :: do so here.
	if !hostIPv6() {
		family = unix.AF_INET
	} else if typ == unix.SOCK_DGRAM {
		family = []int{unix.AF_INET, unix.AF_INET6}[ports[0]%2]
	}
	addrs := []string{"127.0.0.1", "127.0.0.1", "127.0.0.2", "0.0.0.0"}
	if family == unix.AF_INET6 {
		addrs = []string{"::1", "::"}
	}
	ap := netip.AddrPortFrom(netip.MustParseAddr(pick(r, addrs...)), ports[r.Intn(2)])
	addr := inetAddr(family, ap)
	switch n := r.Intn(100); {
	case n < 13:
		return action{fmt.Sprintf("socket(%d, %d)", i, family), func(w world) string {
			err := w.socket(i, family, typ)
			if err == nil {
				w.setopt(i, unix.SOL_SOCKET, unix.SO_REUSEADDR, intBytes(1))
			}
			return errno(err)
		}}
	case n < 24:
		return action{fmt.Sprintf("bind(%d, %v)", i, ap), func(w world) string { return errno(w.bind(i, addr)) }}
	case n < 31:
		return action{fmt.Sprintf("listen(%d)", i), func(w world) string { return errno(w.listen(i, 50)) }}
	case n < 46:
		return action{fmt.Sprintf("connect(%d, %v)", i, ap), func(w world) string {
			if b, _ := w.name(i); len(b) >= 4 && string(b[2:4]) == string(addr[2:4]) {
				return "" // a TCP socket that connects to itself is not ours
			}
			s := errno(w.connect(i, addr))
			settle(w)
			return s
		}}
	case n < 53:
		return action{fmt.Sprintf("accept(%d, %d)", i, j), func(w world) string {
			b, err := w.accept(i, j)
			return showAddr(b, ports) + " " + errno(err)
		}}
	case n < 65:
		size := pick(r, 0, 1, 10, 1000)
		var name []byte
		if typ == unix.SOCK_DGRAM && r.Intn(2) == 0 {
			name = addr
		}
		return action{fmt.Sprintf("send(%d, %d bytes, %x)", i, size, name), func(w world) string {
			n, err := w.send(i, pattern(size), name, nil, 0)
			settle(w)
			return fmt.Sprint(n, errno(err))
		}}
	case n < 80:
		size := pick(r, 0, 1, 50, 5000)
		flags := pick(r, 0, 0, 0, unix.MSG_PEEK, unix.MSG_WAITALL, unix.MSG_TRUNC)
		if typ == unix.SOCK_STREAM && (flags == unix.MSG_TRUNC || size == 0) {
			flags = 0
		}
		return action{fmt.Sprintf("recv(%d, %d, %x)", i, size, flags), func(w world) string {
			n, data, name, _, rflags, err := w.recv(i, size, 0, flags)
			settle(w)
			return fmt.Sprintf("%d %s %s flags %x %s", n, show(data), showAddr(name, ports), rflags, errno(err))
		}}
	case n < 83:
		how := r.Intn(4)
		return action{fmt.Sprintf("shutdown(%d, %d)", i, how), func(w world) string {
			s := errno(w.shutdown(i, how))
			settle(w)
			return s
		}}
	case n < 87:
		return action{fmt.Sprintf("names(%d)", i), func(w world) string {
			a, err1 := w.name(i)
			b, err2 := w.peer(i)
			return fmt.Sprintf("%s %s %s %s", showAddr(a, ports), errno(err1), showAddr(b, ports), errno(err2))
		}}
	case n < 93:
		return action{fmt.Sprintf("poll(%d)", i), func(w world) string { return fmt.Sprintf("%x", w.poll(i)) }}
	case n < 95:
		return action{fmt.Sprintf("inq(%d)", i), func(w world) string {
			n, err := w.inq(i)
			return fmt.Sprint(n, errno(err))
		}}
	case n < 97:
		name := pick(r, unix.SO_ERROR, unix.SO_TYPE, unix.SO_ACCEPTCONN, unix.SO_DOMAIN, unix.SO_PROTOCOL)
		return action{fmt.Sprintf("getopt(%d, %d)", i, name), func(w world) string {
			b, err := w.getopt(i, unix.SOL_SOCKET, name, 4)
			return fmt.Sprintf("%x %s", b, errno(err))
		}}
	default:
		return action{fmt.Sprintf("close(%d)", i), func(w world) string {
			w.close(i)
			settle(w)
			return ""
		}}
	}
}

// TestInetAsHost runs random scripts on the host's loopback and on ours.
func TestInetAsHost(t *testing.T) {
	for name, typ := range map[string]int{"tcp": unix.SOCK_STREAM, "udp": unix.SOCK_DGRAM} {
		t.Run(name, func(t *testing.T) {
			failed := 0
			for seed := range inetSeeds {
				// The host's ports are not ours alone, nor is its
				// network at once: what differs must do so again.
				var diff string
				for range 3 {
					ports := freePorts(t, typ)
					r := rand.New(rand.NewSource(int64(seed)))
					var script []action
					for range 120 {
						script = append(script, inetAction(r, typ, ports))
					}
					if diff = compare(t, fmt.Sprint("seed ", seed), script); diff == "" {
						break
					}
				}
				if diff != "" {
					t.Error(diff)
					if failed++; failed > 2 {
						break
					}
				}
			}
		})
	}
}

const inetSeeds = 40

// listenTCP returns a listening socket at an address of its choice.
func listenTCP(t *testing.T, n *Stack, ctx *caller, family, backlog int, host string) (*vfs.File, netip.AddrPort) {
	t.Helper()
	f, err := n.Socket(ctx, family, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := f.Impl.(*inetSock)
	if err := s.Bind(ctx, f, inetAddr(family, netip.AddrPortFrom(netip.MustParseAddr(host), 0))); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(ctx, f, backlog); err != nil {
		t.Fatal(err)
	}
	return f, s.local
}

// TestTCPBlocking has connects that wait for room in the backlog, and moves
// much data.
func TestTCPBlocking(t *testing.T) {
	var k waittest.Kernel
	n := New()
	var l *vfs.File
	var at netip.AddrPort
	k.Do(func() { l, at = listenTCP(t, n, newCaller(k.NewTask()), unix.AF_INET6, 0, "::") })
	at = netip.AddrPortFrom(loopback4, at.Port())
	const clients, total = 4, 3 << 20
	for range clients {
		k.Go(func(task *waittest.Task) {
			ctx := newCaller(task)
			f, _ := n.Socket(ctx, unix.AF_INET, unix.SOCK_STREAM, 0)
			defer f.Unref(ctx)
			if err := f.Impl.(Socket).Connect(ctx, f, inetAddr(unix.AF_INET, at)); err != nil {
				t.Error("connect", err)
				return
			}
			if n, err := f.Write(ctx, make([]byte, total)); n != total || err != nil {
				t.Error("write", n, err)
			}
			f.Impl.(Socket).Shutdown(ctx, unix.SHUT_WR)
			b := make([]byte, 10)
			if n, err := f.Read(ctx, b); string(b[:n]) != "thanks" || err != nil {
				t.Errorf("read %q %v", b[:n], err)
			}
		})
	}
	k.Go(func(task *waittest.Task) {
		ctx := newCaller(task)
		for range clients {
			f, peer, err := l.Impl.(Socket).Accept(ctx, l, 0)
			if err != nil {
				t.Error("accept", err)
				return
			}
			if len(peer) != unix.SizeofSockaddrInet6 || netip.AddrFrom16([16]byte(peer[8:24])) != netip.MustParseAddr("::ffff:127.0.0.1") {
				t.Errorf("peer %x", peer)
			}
			got, b := 0, make([]byte, 100000)
			for {
				n, err := f.Read(ctx, b)
				if err != nil {
					t.Error("read", err)
				}
				if n == 0 {
					break
				}
				got += n
			}
			if got != total {
				t.Error("got", got)
			}
			f.Write(ctx, []byte("thanks"))
			f.Unref(ctx)
		}
		l.Unref(ctx)
	})
	k.Wait()
	if len(n.tcp.buckets) != 0 {
		t.Error("ports are still taken")
	}
}

// TestOutside asks for addresses that are not here.
func TestOutside(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		n := New()
		for _, tt := range []struct {
			family, typ int
			addr        string
			connect     error
			bind        error
		}{
			{unix.AF_INET, unix.SOCK_STREAM, "192.0.2.1", unix.ENETUNREACH, unix.EADDRNOTAVAIL},
			{unix.AF_INET, unix.SOCK_DGRAM, "8.8.8.8", unix.ENETUNREACH, unix.EADDRNOTAVAIL},
			{unix.AF_INET6, unix.SOCK_STREAM, "2001:db8::1", unix.ENETUNREACH, unix.EADDRNOTAVAIL},
			{unix.AF_INET6, unix.SOCK_DGRAM, "fe80::1", unix.ENETUNREACH, unix.EADDRNOTAVAIL},
		} {
			f, err := n.Socket(ctx, tt.family, tt.typ, 0)
			if err != nil {
				t.Fatal(err)
			}
			addr := inetAddr(tt.family, netip.MustParseAddrPort(netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 53).String()))
			if err := f.Impl.(Socket).Connect(ctx, f, addr); err != tt.connect {
				t.Errorf("%+v: connect: %v", tt, err)
			}
			if err := f.Impl.(Socket).Bind(ctx, f, addr); err != tt.bind {
				t.Errorf("%+v: bind: %v", tt, err)
			}
			f.Unref(ctx)
		}
		for _, tt := range []struct {
			family, typ, proto int
			want               error
		}{
			{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, unix.EPERM},
			{unix.AF_INET, unix.SOCK_STREAM, 262, unix.EPROTONOSUPPORT}, // MPTCP
			{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_TCP, unix.EPROTONOSUPPORT},
			{unix.AF_VSOCK, unix.SOCK_STREAM, 0, unix.EAFNOSUPPORT},
			{999, unix.SOCK_STREAM, 0, unix.EAFNOSUPPORT},
			{-1, unix.SOCK_STREAM, 0, unix.EAFNOSUPPORT},
			{unix.AF_UNIX, 11, 0, unix.EINVAL},
			{unix.AF_UNIX, unix.SOCK_RDM, 0, unix.ESOCKTNOSUPPORT},
			{unix.AF_UNIX, unix.SOCK_STREAM, 7, unix.EPROTONOSUPPORT},
		} {
			if _, err := n.Socket(ctx, tt.family, tt.typ, tt.proto); err != tt.want {
				t.Errorf("%+v: %v", tt, err)
			}
		}
	})
}

// TestInetOptions compares options that programs ask for.
func TestInetOptions(t *testing.T) {
	var script []action
	add := func(name string, do func(w world) string) { script = append(script, action{name, do}) }
	add("sockets", func(w world) string {
		return errno(w.socket(0, unix.AF_INET, unix.SOCK_STREAM)) + errno(w.socket(2, unix.AF_INET, unix.SOCK_DGRAM))
	})
	if hostIPv6() {
		add("socket6", func(w world) string { return errno(w.socket(1, unix.AF_INET6, unix.SOCK_STREAM)) })
	}
	for i := range 3 {
		if i == 1 && !hostIPv6() {
			continue
		}
		for _, o := range []option{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}, {unix.IPPROTO_IP, unix.IP_TOS},
			{unix.IPPROTO_IP, unix.IP_TTL}, {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}, {unix.IPPROTO_IP, unix.IP_RECVERR},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_BROADCAST}, {unix.SOL_SOCKET, unix.SO_REUSEPORT},
			{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_SOCKET, unix.SO_OOBINLINE}, {unix.SOL_SOCKET, unix.SO_PRIORITY},
			{unix.SOL_SOCKET, unix.SO_RCVLOWAT}, {unix.SOL_SOCKET, 12345}, {unix.IPPROTO_TCP, 12345},
		} {
			for _, n := range []int{-1, 0, 1, 3} {
				if o.name == unix.SO_PRIORITY && n < 0 || o.level == unix.IPPROTO_IP && n < 0 || n == -1 && i == 1 {
					continue
				}
				if o.level == unix.IPPROTO_TCP && n <= 0 && o.name != unix.TCP_NODELAY {
					continue
				}
				add(fmt.Sprintf("option %d %v %d", i, o, n), func(w world) string {
					if n >= 0 {
						if err := w.setopt(i, o.level, o.name, intBytes(n)); err != nil {
							return "set " + errno(err)
						}
					}
					b, err := w.getopt(i, o.level, o.name, 4)
					return fmt.Sprintf("%x %s", b, errno(err))
				})
			}
		}
		add(fmt.Sprint("short ", i), func(w world) string {
			return errno(w.setopt(i, unix.SOL_SOCKET, unix.SO_KEEPALIVE, []byte{1, 0})) +
				errno(w.setopt(i, unix.SOL_SOCKET, unix.SO_LINGER, []byte{1, 0, 0, 0})) +
				errno(w.setopt(i, unix.SOL_SOCKET, unix.SO_RCVTIMEO, []byte{1, 0, 0, 0}))
		})
		add(fmt.Sprint("timeout ", i), func(w world) string {
			err := w.setopt(i, unix.SOL_SOCKET, unix.SO_RCVTIMEO, timeval(1500e6))
			b, err2 := w.getopt(i, unix.SOL_SOCKET, unix.SO_RCVTIMEO, 16)
			return fmt.Sprintf("%s %x %s", errno(err), b, errno(err2))
		})
	}
	if diff := compare(t, "options", script); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkTCPPingPong sends a byte there and back over a connection.
func BenchmarkTCPPingPong(b *testing.B) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		n := New()
		l, _ := n.Socket(ctx, unix.AF_INET, unix.SOCK_STREAM, 0)
		ls := l.Impl.(*inetSock)
		ls.Listen(ctx, l, 1)
		x, _ := n.Socket(ctx, unix.AF_INET, unix.SOCK_STREAM, 0)
		if err := x.Impl.(Socket).Connect(ctx, x, inetAddr(unix.AF_INET, ls.local)); err != nil {
			b.Fatal(err)
		}
		y, _, _ := ls.Accept(ctx, l, 0)
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

// TestTables looks at /proc/net.
func TestTables(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		ctx := newCaller(k.NewTask())
		n := New()
		l, at := listenTCP(t, n, ctx, unix.AF_INET, 5, "127.0.0.1")
		c, _ := n.Socket(ctx, unix.AF_INET, unix.SOCK_STREAM, 0)
		if err := c.Impl.(Socket).Connect(ctx, c, inetAddr(unix.AF_INET, at)); err != nil {
			t.Fatal(err)
		}
		l6, at6 := listenTCP(t, n, ctx, unix.AF_INET6, 5, "::1")
		u, _ := n.Socket(ctx, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		u.Impl.(Socket).Bind(ctx, u, unixAddr("\x00ab\x00c"))
		if _, _, err := n.Pair(ctx, unix.AF_INET, unix.SOCK_STREAM, 0); err != unix.EOPNOTSUPP {
			t.Error(err)
		}
		for _, tt := range []struct {
			table string
			width int
			want  []string
		}{
			{n.TCPTable(unix.AF_INET), 149, []string{
				fmt.Sprintf("   0: 0100007F:%04X 00000000:0000 0A 00000000:00000001 ", at.Port()),
				fmt.Sprintf("   1: 0100007F:8001 0100007F:%04X 01 00000000:00000000 ", at.Port()),
				fmt.Sprintf("   2: 0100007F:%04X 0100007F:8001 01 00000000:00000000 ", at.Port())}},
			{n.TCPTable(unix.AF_INET6), 0, []string{
				fmt.Sprintf("   0: 00000000000000000000000001000000:%04X 00000000000000000000000000000000:0000 0A ", at6.Port())}},
			{n.UDPTable(unix.AF_INET), 127, nil},
			{n.UDPTable(unix.AF_INET6), 0, nil},
			{n.UnixTable(), 0, []string{"0000000000000000: 00000002 00000000 00000000 0001 01     5 @ab@c"}},
		} {
			lines := strings.Split(strings.TrimSuffix(tt.table, "\n"), "\n")
			if len(lines) != 1+len(tt.want) {
				t.Errorf("got %q", lines)
				continue
			}
			for i, line := range lines {
				if tt.width != 0 && len(line) != tt.width {
					t.Errorf("%d wide: %q", len(line), line)
				}
				if i > 0 && !strings.HasPrefix(line, tt.want[i-1]) {
					t.Errorf("got  %q\nwant %q", line, tt.want[i-1])
				}
			}
		}
		for _, f := range []*vfs.File{c, l, l6, u} {
			f.Unref(ctx)
		}
		if n.all.head != nil {
			t.Error("a socket is still there")
		}
	})
}
