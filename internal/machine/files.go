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
	sent  uint64  // files sent so far
}

type file struct {
	key   uint64
	fd    int  // in the guests' table
	write bool // open for writing too
}

// maxFiles bounds how many files stay ready to be mapped again.
const maxFiles = 192

// Import makes the host file fd mappable by the guests' processes and returns
// its number for Mmap. key names the file: one that is there already is not
// sent again, unless it was open for reading only and fd is for writing too.
// The number is good until the next Import or NewSpace.
func (c *CPU) Import(fd int, key uint64) (int, error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return -1, err
	}
	write := flags&unix.O_ACCMODE == unix.O_RDWR
	ft := &m.files
	if f := ft.byKey[key]; f != nil {
		if f.write || !write {
			ft.touch(f)
			return f.fd, nil
		}
		ft.drop(f)
	}
	if ft.byKey == nil {
		ft.byKey = make(map[uint64]*file)
	}
	if len(ft.lru) >= maxFiles {
		ft.drop(ft.lru[0])
	}
	if err := c.closeStale(); err != nil {
		return -1, err
	}
	n, err := c.receive(fd)
	if err != nil {
		return -1, err
	}
	f := &file{key: key, fd: n, write: write}
	ft.byKey[key] = f
	ft.lru = append(ft.lru, f)
	return n, nil
}

// closeStale closes what was dropped from the table; m.mu is held.
func (c *CPU) closeStale() error {
	ft := &c.m.files
	for n := len(ft.stale); n > 0; n-- {
		fd := ft.stale[n-1]
		ft.stale = ft.stale[:n-1]
		if _, err := c.zygote.call(unix.SYS_CLOSE, uint64(fd)); err != nil {
			return err
		}
	}
	return nil
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
// and the number that carries them all lie in its private page.
func (c *CPU) receive(fd int) (int, error) {
	c.m.files.sent++
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], c.m.files.sent)
	if err := unix.Sendmsg(c.m.sock, number[:], unix.UnixRights(fd), nil, 0); err != nil {
		return -1, fmt.Errorf("passing a file to the guests: %w", err)
	}
	for {
		n, number, err := c.receiveOne()
		if err != nil || number == c.m.files.sent {
			return n, err
		}
		// One that was sent before, and never received: the zygote it was for
		// was killed.
		if _, err := c.zygote.call(unix.SYS_CLOSE, uint64(n)); err != nil {
			return -1, err
		}
	}
}

// receiveOne receives the first descriptor in the socket, and its number.
func (c *CPU) receiveOne() (fd int, number uint64, err error) {
	base := stubRecvAddr
	const (
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
		return -1, 0, err
	}
	if _, err := c.zygote.call(unix.SYS_RECVMSG, 0, base, 0); err != nil {
		return -1, 0, fmt.Errorf("passing a file to the guests: %w", err)
	}
	// Data and control data are read at once.
	var page [control - data + 24]byte
	if _, err := c.zygote.ReadMem(base+data, page[:]); err != nil {
		return -1, 0, err
	}
	got := page[control-data:]
	if le.Uint64(got) < 20 || le.Uint32(got[12:]) != unix.SCM_RIGHTS {
		return -1, 0, unix.EMFILE
	}
	return int(int32(le.Uint32(got[16:]))), le.Uint64(page[:]), nil
}
