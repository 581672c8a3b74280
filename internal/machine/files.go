package machine

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// fileTable is the descriptor table that all guest processes share: files of
// ours that have been mapped, oldest use first out.
type fileTable struct {
	byKey map[uint64]*file
	lru   []*file // in order of use; short
	stale []int   // descriptors to close when next at a zygote
}

type file struct {
	key uint64
	fd  int // in the guests' table
	use uint64
}

// maxFiles bounds how many files stay ready to be mapped again.
const maxFiles = 192

// Import makes the host file fd mappable by the guests' processes and returns
// its number for Mmap. key names the file: one that is there already is not
// sent again. The number is good until the next Import.
func (c *CPU) Import(fd int, key uint64) (int, error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	ft := &m.files
	if f := ft.byKey[key]; f != nil {
		ft.touch(f)
		return f.fd, nil
	}
	if ft.byKey == nil {
		ft.byKey = make(map[uint64]*file)
	}
	if len(ft.lru) >= maxFiles {
		ft.drop(ft.lru[0])
	}
	for _, fd := range ft.stale {
		if _, err := c.zygote.call(unix.SYS_CLOSE, uint64(fd)); err != nil {
			return -1, err
		}
	}
	ft.stale = ft.stale[:0]
	n, err := c.receive(fd)
	if err != nil {
		return -1, err
	}
	f := &file{key: key, fd: n}
	ft.byKey[key] = f
	ft.lru = append(ft.lru, f)
	return n, nil
}

// Forget drops a file that will not be mapped again: its host descriptor is
// about to be closed, and memory behind it must not be kept by our table.
func (m *Machine) Forget(key uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files.byKey[key]; f != nil {
		m.files.drop(f)
	}
}

func (ft *fileTable) touch(f *file) {
	for i, g := range ft.lru {
		if g == f {
			copy(ft.lru[i:], ft.lru[i+1:])
			ft.lru[len(ft.lru)-1] = f
			return
		}
	}
}

func (ft *fileTable) drop(f *file) {
	ft.touch(f)
	ft.lru = ft.lru[:len(ft.lru)-1]
	delete(ft.byKey, f.key)
	ft.stale = append(ft.stale, f.fd)
}

// receive has the zygote receive a descriptor. Message, vector, control data
// and the byte that carries them all lie in its private page.
func (c *CPU) receive(fd int) (int, error) {
	if err := unix.Sendmsg(c.m.sock, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return -1, fmt.Errorf("passing a file to the guests: %w", err)
	}
	const (
		base    = stubRecvAddr
		iov     = 64
		data    = 80
		control = 128
	)
	var msg [control]byte
	le := binary.LittleEndian
	le.PutUint64(msg[16:], base+iov)
	le.PutUint64(msg[24:], 1)
	le.PutUint64(msg[32:], base+control)
	le.PutUint64(msg[40:], 64)
	le.PutUint64(msg[iov:], base+data)
	le.PutUint64(msg[iov+8:], 8)
	if _, err := c.zygote.WriteMem(base, msg[:]); err != nil {
		return -1, err
	}
	if _, err := c.zygote.call(unix.SYS_RECVMSG, 0, base, 0); err != nil {
		return -1, fmt.Errorf("passing a file to the guests: %w", err)
	}
	var got [24]byte
	if _, err := c.zygote.ReadMem(base+control, got[:]); err != nil {
		return -1, err
	}
	if le.Uint64(got[:]) < 20 || le.Uint32(got[12:]) != unix.SCM_RIGHTS {
		return -1, unix.EMFILE
	}
	return int(int32(le.Uint32(got[16:]))), nil
}
