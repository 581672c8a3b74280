package net

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// The tables of /proc/net, proc_net(5): which sockets there are, in the order
// they were made.

// sockets is the list of all sockets of a machine.
type sockets struct{ head, tail *sock }

func (l *sockets) add(s *sock) {
	if s.prev = l.tail; s.prev != nil {
		s.prev.next = s
	} else {
		l.head = s
	}
	l.tail = s
}

func (l *sockets) remove(s *sock) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.head = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		l.tail = s.prev
	}
	s.prev, s.next = nil, nil
}

// UnixTable is /proc/net/unix.
func (n *Stack) UnixTable() string {
	var b strings.Builder
	b.WriteString("Num       RefCount Protocol Flags    Type St Inode Path\n")
	for s := n.all.head; s != nil; s = s.next {
		if s.family != unix.AF_UNIX {
			continue
		}
		const (
			acceptsConnections = 1 << 16
			unconnected        = 1
			connected          = 3
		)
		refs, flags, state := 2, 0, unconnected
		switch s.state {
		case listening:
			flags = acceptsConnections
		case established:
			refs, state = 3, connected
		}
		fmt.Fprintf(&b, "%016x: %08X %08X %08X %04X %02X %5d", 0, refs, 0, flags, s.typ, state, s.inode.ino)
		if s.addr != nil {
			name := s.addr[2:]
			if name[0] != 0 {
				name = name[:len(name)-1]
			}
			b.WriteString(" " + strings.ReplaceAll(string(name), "\x00", "@"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// hexAddr is an address as the tables of TCP and UDP have it: 32 bits at a
// time, as numbers of this machine.
func hexAddr(family int, ap netip.AddrPort) string {
	raw := (&inetSock{sock: sock{family: family}}).format(ap)
	if family == unix.AF_INET {
		raw = raw[4:8]
	} else {
		raw = raw[8:24]
	}
	var b strings.Builder
	for ; len(raw) > 0; raw = raw[4:] {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(raw))
	}
	fmt.Fprintf(&b, ":%04X", ap.Port())
	return b.String()
}

// each calls do for the sockets of a family and type, numbered.
func (n *Stack) each(family, typ int, do func(i int, s *inetSock)) {
	i := 0
	for s := n.all.head; s != nil; s = s.next {
		if o, ok := s.self.(*inetSock); ok && s.family == family && s.typ == typ && (o.where != nil || s.state == established) {
			if typ == unix.SOCK_STREAM && s.state == closed {
				continue
			}
			do(i, o)
			i++
		}
	}
}

func inetHeader(family int) string {
	if family == unix.AF_INET {
		return "sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
	}
	return "sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
}

// TCPTable is /proc/net/tcp for AF_INET, and tcp6 for AF_INET6.
func (n *Stack) TCPTable(family int) string {
	var b strings.Builder
	b.WriteString("  " + inetHeader(family))
	if family == unix.AF_INET {
		b.WriteString("                                                     ")
	}
	b.WriteByte('\n')
	n.each(family, unix.SOCK_STREAM, func(i int, s *inetSock) {
		received := s.bytes.n
		if s.state == listening {
			received = len(s.pending)
		}
		line := fmt.Sprintf("%4d: %s %s %02X %08X:%08X %02X:%08X %08X %5d %8d %d %d %016x %d %d %d %d %d", i,
			hexAddr(family, s.local), hexAddr(family, s.remote), s.linuxState(), 0, received, 0, 0, 0,
			s.inode.uid, 0, s.inode.ino, 1, 0, 20, 4, 0, 10, -1)
		if family == unix.AF_INET {
			line = fmt.Sprintf("%-149s", line)
		}
		b.WriteString(line + "\n")
	})
	return b.String()
}

// UDPTable is /proc/net/udp for AF_INET, and udp6 for AF_INET6.
func (n *Stack) UDPTable(family int) string {
	var b strings.Builder
	if family == unix.AF_INET {
		b.WriteString("   " + inetHeader(family) + " ref pointer drops            \n")
	} else {
		b.WriteString("  " + inetHeader(family) + " ref pointer drops\n")
	}
	n.each(family, unix.SOCK_DGRAM, func(i int, s *inetSock) {
		line := fmt.Sprintf("%5d: %s %s %02X %08X:%08X %02X:%08X %08X %5d %8d %d %d %016x %d", i,
			hexAddr(family, s.local), hexAddr(family, s.remote), s.linuxState(), 0, s.packets.cost, 0, 0, 0,
			s.inode.uid, 0, s.inode.ino, 2, 0, 0)
		if family == unix.AF_INET {
			line = fmt.Sprintf("%-127s", line)
		}
		b.WriteString(line + "\n")
	})
	return b.String()
}

// NetlinkTable is /proc/net/netlink.
func (n *Stack) NetlinkTable() string {
	var b strings.Builder
	b.WriteString("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n")
	for s := n.all.head; s != nil; s = s.next {
		if o, ok := s.self.(*netlinkSock); ok {
			fmt.Fprintf(&b, "%016x %-3d %-10d %08x %-8d %-8d %-5d %-8d %-8d %-8d\n", 0, s.proto, o.port, 0, s.packets.cost, 0, 0, 2, 0, s.inode.ino)
		}
	}
	return b.String()
}
