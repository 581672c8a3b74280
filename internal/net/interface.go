package net

import (
	"bytes"
	"encoding/binary"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// The one network interface, as the ioctls of netdevice(7) tell of it.
const (
	loName  = "lo"
	loIndex = 1
	loFlags = unix.IFF_UP | unix.IFF_LOOPBACK | unix.IFF_RUNNING
)

// ifreqSize is sizeof(struct ifreq): a name and a union.
const (
	ifreqSize = 40
	ifconfLen = 16
)

func (s *sock) ifIoctl(cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	switch cmd {
	case unix.SIOCGIFCONF:
		return 0, ifConf(arg, mem)
	case unix.SIOCGIFNAME, unix.SIOCGIFINDEX, unix.SIOCGIFFLAGS, unix.SIOCGIFADDR, unix.SIOCGIFBRDADDR,
		unix.SIOCGIFNETMASK, unix.SIOCGIFHWADDR, unix.SIOCGIFMTU, unix.SIOCGIFMETRIC, unix.SIOCGIFTXQLEN:
	default:
		return 0, unix.ENOTTY
	}
	var req [ifreqSize]byte
	if err := mem.ReadMem(arg, req[:]); err != nil {
		return 0, err
	}
	if cmd == unix.SIOCGIFNAME {
		if binary.NativeEndian.Uint32(req[16:]) != loIndex {
			return 0, unix.ENODEV
		}
		clear(req[:16])
		copy(req[:], loName)
		return 0, mem.WriteMem(arg, req[:])
	}
	name, _, _ := bytes.Cut(req[:16], []byte{0})
	if string(name) != loName {
		return 0, unix.ENODEV
	}
	v := req[16:]
	clear(v)
	inet := func(a, b, c, d byte) {
		binary.NativeEndian.PutUint16(v, unix.AF_INET)
		copy(v[4:], []byte{a, b, c, d})
	}
	switch cmd {
	case unix.SIOCGIFINDEX:
		binary.NativeEndian.PutUint32(v, loIndex)
	case unix.SIOCGIFFLAGS:
		binary.NativeEndian.PutUint16(v, loFlags)
	case unix.SIOCGIFADDR:
		inet(127, 0, 0, 1)
	case unix.SIOCGIFBRDADDR:
		inet(0, 0, 0, 0)
	case unix.SIOCGIFNETMASK:
		inet(255, 0, 0, 0)
	case unix.SIOCGIFHWADDR:
		binary.NativeEndian.PutUint16(v, unix.ARPHRD_LOOPBACK)
	case unix.SIOCGIFMTU:
		binary.NativeEndian.PutUint32(v, loopbackMTU)
	case unix.SIOCGIFTXQLEN:
		binary.NativeEndian.PutUint32(v, 1000)
	}
	return 0, mem.WriteMem(arg, req[:])
}

// ifConf lists the addresses of IPv4.
func ifConf(arg uint64, mem vfs.Memory) error {
	var c [ifconfLen]byte
	if err := mem.ReadMem(arg, c[:]); err != nil {
		return err
	}
	room := int32(binary.NativeEndian.Uint32(c[:]))
	buf := binary.NativeEndian.Uint64(c[8:])
	n := 0
	if buf == 0 {
		n = ifreqSize
	} else if room >= ifreqSize {
		var req [ifreqSize]byte
		copy(req[:], loName)
		binary.NativeEndian.PutUint16(req[16:], unix.AF_INET)
		copy(req[20:], []byte{127, 0, 0, 1})
		if err := mem.WriteMem(buf, req[:]); err != nil {
			return err
		}
		n = ifreqSize
	}
	binary.NativeEndian.PutUint32(c[:], uint32(n))
	return mem.WriteMem(arg, c[:4])
}
