package kernel

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// ioctl(2) on i386. Most requests pass integers, or structs without longs and
// pointers in them; those of netdevice(7) pass others.

func init() {
	addFamily386(calls{"ioctl": r3(sysIoctl32)})
}

// Sizes of struct ifreq and struct ifconf.
const (
	ifreq64, ifreq32   = 40, 32
	ifconf64, ifconf32 = 16, 8
)

func sysIoctl32(t *Task, fd FD, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case unix.SIOCGIFCONF:
		return t.ioctl(fd, cmd, arg, &ifconfMemory{ifreqMemory: ifreqMemory{t}, arg: arg})
	case unix.SIOCGIFNAME, unix.SIOCGIFINDEX, unix.SIOCGIFFLAGS, unix.SIOCGIFADDR, unix.SIOCGIFBRDADDR,
		unix.SIOCGIFNETMASK, unix.SIOCGIFHWADDR, unix.SIOCGIFMTU, unix.SIOCGIFMETRIC, unix.SIOCGIFTXQLEN:
		return t.ioctl(fd, cmd, arg, ifreqMemory{t})
	}
	return t.ioctl(fd, cmd, arg, taskMemory{t})
}

// ifreqMemory is memory with i386's struct ifreq in it, as one that has
// x86-64's: the end of the union is not there.
type ifreqMemory struct{ t *Task }

func (m ifreqMemory) ReadMem(addr uint64, p []byte) error {
	n := min(len(p), ifreq32)
	clear(p[n:])
	return m.t.CopyIn(addr, p[:n])
}

func (m ifreqMemory) WriteMem(addr uint64, p []byte) error {
	return m.t.CopyOut(addr, p[:min(len(p), ifreq32)])
}

// ifconfMemory is the same for the struct ifconf at arg, and the structs ifreq
// that it says where to put. There is one interface, so one of them.
type ifconfMemory struct {
	ifreqMemory
	arg uint64
}

func (m *ifconfMemory) ReadMem(addr uint64, p []byte) error {
	if addr != m.arg || len(p) != ifconf64 {
		return m.ifreqMemory.ReadMem(addr, p)
	}
	var c [ifconf32]byte
	if err := m.t.CopyIn(addr, c[:]); err != nil {
		return err
	}
	le := binary.LittleEndian
	room := int32(le.Uint32(c[:]))
	if room > 0 {
		room = int32(min(int64(room)/ifreq32*ifreq64, 1<<30))
	}
	clear(p)
	le.PutUint32(p, uint32(room))
	le.PutUint64(p[8:], uint64(le.Uint32(c[4:])))
	return nil
}

func (m *ifconfMemory) WriteMem(addr uint64, p []byte) error {
	if addr != m.arg || len(p) != 4 {
		return m.ifreqMemory.WriteMem(addr, p)
	}
	n := int32(binary.LittleEndian.Uint32(p)) / ifreq64 * ifreq32
	return m.t.CopyOut(addr, asBytes(&n))
}
