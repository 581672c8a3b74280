package kernel

import (
	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// newNet is /proc/net: a machine with nothing but a loopback interface.
func (pf *procFS) newNet() *pseudofs.Dir {
	d := pf.fs.Mkdir("proc/net")
	zeros := "       0       0    0    0    0     0          0         0"
	d.Const("dev", "Inter-|   Receive                                                |  Transmit\n"+
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"+
		"    lo:"+zeros+" "+zeros+"\n")
	d.Const("route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n")
	d.Const("arp", "IP address       HW type     Flags       HW address            Mask     Device\n")
	d.Const("if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n")
	d.Const("ipv6_route", "")
	d.Const("igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
	sockets := pf.k.net
	table := func(name string, f func() string) {
		d.Text(name, func(vfs.Context) ([]byte, error) { return []byte(f()), nil })
	}
	table("netlink", sockets.NetlinkTable)
	d.Const("packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n")
	d.Const("psched", "000003e8 00000040 000f4240 3b9aca00\n")
	table("unix", sockets.UnixTable)
	tcp := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
	tcp6 := "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	table("tcp", func() string { return sockets.TCPTable(unix.AF_INET) })
	table("tcp6", func() string { return sockets.TCPTable(unix.AF_INET6) })
	table("udp", func() string { return sockets.UDPTable(unix.AF_INET) })
	table("udp6", func() string { return sockets.UDPTable(unix.AF_INET6) })
	d.Const("raw", "  "+tcp[1:]+" ref pointer drops\n")
	d.Const("raw6", "  "+tcp6[1:len(tcp6)-1]+" ref pointer drops\n")
	d.Const("sockstat", "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n")
	d.Const("protocols", "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n")
	return d
}
