package net

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// dump asks for a dump of a kind and returns what is told of the loopback
// interface: the headers, and the attributes that are compared.
func dump(t *testing.T, w world, kind uint16, family byte) (got []string) {
	t.Helper()
	if err := w.socket(0, unix.AF_NETLINK, unix.SOCK_RAW); err != nil {
		t.Fatal(err)
	}
	if err := w.bind(0, netlinkAddr(0)); err != nil {
		t.Fatal(err)
	}
	req := binary.NativeEndian.AppendUint32(nil, 17)
	req = binary.NativeEndian.AppendUint16(req, kind)
	req = binary.NativeEndian.AppendUint16(req, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req = binary.NativeEndian.AppendUint32(req, 77)
	req = append(req, 0, 0, 0, 0, family)
	if n, err := w.send(0, req, kernelAddr, nil, 0); n != len(req) {
		t.Fatal(n, err)
	}
	for {
		_, data, from, _, _, err := w.recv(0, 1<<16, 0, 0)
		if err != nil || string(from) != string(kernelAddr) {
			t.Fatal(err, from)
		}
		msgs, err := syscall.ParseNetlinkMessage(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			if m.Header.Seq != 77 || m.Header.Flags&unix.NLM_F_MULTI == 0 {
				t.Errorf("header %+v", m.Header)
			}
			if m.Header.Type == unix.NLMSG_DONE {
				slices.Sort(got)
				return got
			}
			if binary.NativeEndian.Uint32(m.Data[4:]) != loIndex {
				continue
			}
			attrs, err := syscall.ParseNetlinkRouteAttr(&m)
			if err != nil {
				t.Fatal(err)
			}
			s := fmt.Sprintf("%d", m.Header.Type)
			head := unix.SizeofIfAddrmsg
			want := []uint16{unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_LABEL, unix.IFA_FLAGS}
			if kind == unix.RTM_GETLINK {
				head = unix.SizeofIfInfomsg
				want = []uint16{unix.IFLA_IFNAME, unix.IFLA_ADDRESS, unix.IFLA_MTU, unix.IFLA_OPERSTATE}
			}
			s += fmt.Sprintf(" %x", m.Data[:head])
			for _, a := range attrs {
				if slices.Contains(want, a.Attr.Type) {
					s += fmt.Sprintf(" %d=%x", a.Attr.Type, a.Value)
				}
			}
			got = append(got, s)
		}
	}
}

func TestNetlinkAsHost(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		h, o := newHost(t), &ours{n: New(), ctx: newCaller(k.NewTask())}
		for _, tt := range []struct {
			kind   uint16
			family byte
		}{{unix.RTM_GETLINK, 0}, {unix.RTM_GETADDR, unix.AF_INET}, {unix.RTM_GETADDR, unix.AF_INET6}, {unix.RTM_GETADDR, 0}} {
			want, got := dump(t, h, tt.kind, tt.family), dump(t, o, tt.kind, tt.family)
			if len(want) == 0 {
				continue // the host has none
			}
			if !slices.Equal(want, got) {
				t.Errorf("%+v\nhost %q\nours %q", tt, want, got)
			}
		}
		o.close(0)
		if len(o.n.netlink) != 0 {
			t.Error("a port is still taken")
		}
	})
}

// TestNetlinkErrors sends what cannot be served.
func TestNetlinkErrors(t *testing.T) {
	var k waittest.Kernel
	k.Do(func() {
		o := &ours{n: New(), ctx: newCaller(k.NewTask())}
		o.ctx.Creds.Caps = 0
		o.socket(0, unix.AF_NETLINK, unix.SOCK_RAW)
		request := func(n uint32, kind, flags uint16, body ...byte) []byte {
			b := binary.NativeEndian.AppendUint32(nil, n)
			b = binary.NativeEndian.AppendUint16(b, kind)
			b = binary.NativeEndian.AppendUint16(b, flags)
			return append(append(b, make([]byte, 8)...), body...)
		}
		for _, tt := range []struct {
			req  []byte
			want int // an errno, -1 for no answer
		}{
			{request(16, unix.RTM_NEWLINK, unix.NLM_F_REQUEST), int(unix.EPERM)},
			{request(16, unix.RTM_GETNSID, unix.NLM_F_REQUEST), int(unix.EOPNOTSUPP)},
			{request(16, unix.RTM_GETLINK, unix.NLM_F_REQUEST), int(unix.EINVAL)},
			{request(32, unix.RTM_GETLINK, unix.NLM_F_REQUEST, append([]byte{0, 0, 0, 0, 9}, make([]byte, 11)...)...), int(unix.ENODEV)},
			{request(16, unix.NLMSG_NOOP, unix.NLM_F_REQUEST|unix.NLM_F_ACK), 0},
			{request(15, unix.RTM_GETLINK, unix.NLM_F_REQUEST), -1},
			{request(17, unix.RTM_GETLINK, unix.NLM_F_REQUEST), -1},
			{request(1<<31, unix.RTM_GETLINK, unix.NLM_F_REQUEST), -1},
			{[]byte{1, 2, 3}, -1},
		} {
			if n, err := o.send(0, tt.req, nil, nil, 0); n != len(tt.req) {
				t.Fatal(n, err)
			}
			_, data, _, _, _, err := o.recv(0, 1000, 0, 0)
			if tt.want < 0 {
				if err != unix.EAGAIN {
					t.Errorf("%x: %x %v", tt.req, data, err)
				}
				continue
			}
			if err != nil || binary.NativeEndian.Uint16(data[4:]) != unix.NLMSG_ERROR || int32(binary.NativeEndian.Uint32(data[16:])) != int32(-tt.want) {
				t.Errorf("%x: %x %v", tt.req, data, err)
			}
		}
		// Answers that nobody reads do not pile up.
		many := []byte{}
		for range 4000 {
			many = append(many, request(16, unix.RTM_GETADDR, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)...)
		}
		o.send(0, many, nil, nil, 0)
		if s := o.fds[0].Impl.(*netlinkSock); s.packets.cost > s.opt.rcvbuf || s.err != unix.ENOBUFS {
			t.Error(s.packets.cost, s.err)
		}
		o.close(0)
	})
}
