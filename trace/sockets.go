package trace

import (
	"encoding/binary"
	"net/netip"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// sockLen is the length that a call wrote.
func (p *printer) sockLen(addr uint64) uint64 {
	w, ok := p.wide(addr, 4)
	if !ok {
		return 0
	}
	return w.u32()
}

// socklen writes a length that the call may have changed.
func (p *printer) socklen(addr uint64) {
	n := p.sockLen(addr)
	p.c('[')
	if n != p.saved && !p.failed() {
		p.uint(p.saved)
		p.s(" => ")
	}
	p.uint(n)
	p.c(']')
}

const maxSockaddr = 128

// sockaddr writes a socket's address of n bytes.
func (p *printer) sockaddr(addr, n uint64) {
	if addr == 0 {
		p.s("NULL")
		return
	}
	if n < 2 || n > maxSockaddr {
		p.addr(addr)
		return
	}
	raw, ok := p.bytes(addr, int(n))
	if !ok {
		p.addr(addr)
		return
	}
	b := append(make([]byte, 0, maxSockaddr), raw...)
	family := binary.LittleEndian.Uint16(b)
	p.open("sa_family")
	p.named(abi.SocketDomain, uint64(family))
	switch {
	case family == unix.AF_UNIX && n > 2:
		path := b[2:]
		if path[0] == 0 {
			p.s(", sun_path=@")
			p.quote(path[1:], false)
			break
		}
		for i, c := range path {
			if c == 0 {
				path = path[:i]
				break
			}
		}
		p.field("sun_path")
		p.quote(path, false)
	case family == unix.AF_INET && n >= 16:
		p.s(", sin_port=htons(")
		p.uint(uint64(binary.BigEndian.Uint16(b[2:])))
		p.s("), sin_addr=inet_addr(\"")
		p.b = netip.AddrFrom4([4]byte(b[4:8])).AppendTo(p.b)
		p.s("\")")
	case family == unix.AF_INET6 && n >= 24:
		p.s(", sin6_port=htons(")
		p.uint(uint64(binary.BigEndian.Uint16(b[2:])))
		p.s("), sin6_flowinfo=htonl(")
		p.uint(uint64(binary.BigEndian.Uint32(b[4:])))
		p.s("), inet_pton(AF_INET6, \"")
		p.b = netip.AddrFrom16([16]byte(b[8:24])).AppendTo(p.b)
		p.s("\", &sin6_addr)")
		if n >= 28 {
			p.field("sin6_scope_id")
			p.uint(uint64(binary.LittleEndian.Uint32(b[24:])))
		}
	case family == unix.AF_NETLINK && n >= 12:
		p.field("nl_pid")
		p.uint(uint64(binary.LittleEndian.Uint32(b[4:])))
		p.field("nl_groups")
		v := binary.LittleEndian.Uint32(b[8:])
		if v != 0 {
			p.s("0x")
		}
		for shift := 28; shift >= 0; shift -= 4 {
			p.c(hexDigits[v>>shift&15])
		}
	case n > 2:
		p.field("sa_data")
		p.quote(b[2:], false)
	}
	p.c('}')
}

// sockopt writes a socket option's value.
func (p *printer) sockopt(addr uint64, i int, out bool) {
	level, name := int(int32(p.args[1])), int(int32(p.args[2]))
	n := uint64(uint32(p.args[i+1]))
	if out {
		n = min(p.sockLen(p.args[i+1]), p.saved)
	}
	if level == unix.SOL_SOCKET {
		switch name {
		case unix.SO_LINGER:
			if w, ok := p.wide(addr, 8); ok && n >= 8 {
				p.open("l_onoff")
				p.dec(w.i32())
				p.field("l_linger")
				p.dec(w.i32())
				p.c('}')
				return
			}
		case unix.SO_PEERCRED:
			if w, ok := p.wide(addr, 12); ok && n >= 12 {
				p.open("pid")
				p.dec(w.i32())
				p.field("uid")
				p.id(w.u32())
				p.field("gid")
				p.id(w.u32())
				p.c('}')
				return
			}
		case unix.SO_ERROR:
			if w, ok := p.wide(addr, 4); ok && n >= 4 && out {
				p.c('[')
				e := w.u32()
				if s := abi.ErrnoName(unix.Errno(e)); e != 0 && s != "" {
					p.s(s)
				} else {
					p.int(e)
				}
				p.c(']')
				return
			}
		}
	}
	if n == 4 {
		if w, ok := p.wide(addr, 4); ok {
			p.c('[')
			p.dec(w.i32())
			p.c(']')
			return
		}
		p.addr(addr)
		return
	}
	p.buf(addr, n, false)
}

// msghdr writes a message; what was received has n bytes, with in set.
func (p *printer) msghdr(addr, n uint64, in bool) {
	w, ok := p.words(addr, 56, 28)
	if !ok {
		p.addr(addr)
		return
	}
	name, namelen := w.word(), w.u32()
	if w.wide {
		w.skip(4)
	}
	iov, iovlen, control, controllen, flags := w.word(), w.word(), w.word(), w.word(), w.u32()
	p.open("msg_name")
	p.sockaddr(name, namelen)
	p.field("msg_namelen")
	if in && p.leaving && name != 0 && p.saved != namelen {
		p.uint(p.saved)
		p.s(" => ")
	}
	p.uint(namelen)
	p.field("msg_iov")
	left := ^uint64(0)
	if in {
		left = n
	}
	if iov == 0 {
		p.s("NULL")
	} else {
		p.iovecs(iov, iovlen, left, true)
	}
	p.field("msg_iovlen")
	p.ulong(iovlen)
	if controllen > 0 {
		p.field("msg_control")
		p.control(control, controllen)
	}
	p.field("msg_controllen")
	p.ulong(controllen)
	p.field("msg_flags")
	p.named(abi.MsgFlags, uint64(flags))
	p.c('}')
}

// control writes control messages.
func (p *printer) control(addr, n uint64) {
	if addr == 0 {
		p.s("NULL")
		return
	}
	raw, ok := p.bytes(addr, int(min(n, 4096)))
	if !ok {
		p.addr(addr)
		return
	}
	b := append([]byte(nil), raw...)
	head := 16
	align := abi.CmsgAlign
	if p.arch == abi.I386 {
		head = 12
		align = func(n uint64) uint64 { return uint64(abi.CmsgAlign32(uint32(n))) }
	}
	if len(b) < head {
		p.addr(addr)
		return
	}
	p.c('[')
	for first := true; len(b) >= head; first = false {
		w := words{b: b, wide: p.arch != abi.I386}
		size, level, typ := w.word(), w.u32(), w.u32()
		if !first {
			p.s(", ")
		}
		p.open("cmsg_len")
		p.ulong(size)
		p.field("cmsg_level")
		p.named(abi.SockLevel, level)
		p.field("cmsg_type")
		if level == unix.SOL_SOCKET {
			p.named(abi.ScmType, typ)
		} else {
			p.hexNum(typ)
		}
		if size < uint64(head) {
			p.c('}')
			break
		}
		data := b[head:min(size, uint64(len(b)))]
		if len(data) > 0 {
			p.field("cmsg_data")
			p.controlData(level, typ, data)
		}
		p.c('}')
		next := align(size)
		if next >= uint64(len(b)) {
			break
		}
		b = b[next:]
	}
	p.c(']')
}

func (p *printer) controlData(level, typ uint64, data []byte) {
	w := words{b: data, wide: true}
	switch {
	case level == unix.SOL_SOCKET && typ == unix.SCM_RIGHTS:
		p.c('[')
		for i := range len(data) / 4 {
			if i > 0 {
				p.s(", ")
			}
			p.fd(w.u32())
		}
		p.c(']')
	case level == unix.SOL_SOCKET && typ == unix.SCM_CREDENTIALS && len(data) >= 12:
		p.open("pid")
		p.dec(w.i32())
		p.field("uid")
		p.id(w.u32())
		p.field("gid")
		p.id(w.u32())
		p.c('}')
	default:
		show := min(len(data), p.strings)
		p.quote(data[:show], false)
		if show < len(data) {
			p.s("...")
		}
	}
}

func (p *printer) mmsghdr(addr uint64, i int) {
	n := p.lenOf(i)
	size := uint64(64)
	if p.arch == abi.I386 {
		size = 32
	}
	in := p.desc.Name != "sendmmsg"
	if in && p.leaving {
		n = p.ret
	}
	n = min(n, maxElements)
	p.c('[')
	for j := range n {
		if j > 0 {
			p.s(", ")
		}
		at := addr + j*size
		w, ok := p.wide(at+size-size/8, 4)
		if !ok {
			p.addr(at)
			break
		}
		got := w.u32()
		p.s("{msg_hdr=")
		p.msghdr(at, got, in)
		if p.leaving && (in || j < p.ret) {
			p.field("msg_len")
			p.ulong(got)
		}
		p.c('}')
	}
	p.c(']')
}
