package machine

import (
	"encoding/binary"
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Ways of modify_ldt(2) to write an entry.
const (
	LDTWriteOld = 1    // an all-zero descriptor clears the entry
	LDTWrite    = 0x11 // with the bit "useable"
)

// WriteLDT changes an entry of the local descriptor table of t's address
// space: the host's own table, which its copies inherit. EINVAL for what the
// host does not allow. how is LDTWriteOld or LDTWrite.
func (t *Thread) WriteLDT(how int, d abi.UserDesc) error {
	if t.dead.Load() {
		return unix.ESRCH
	}
	// The descriptor goes where guests can only read.
	c := t.cpu
	raw := (*[16]byte)(unsafe.Pointer(&c.list[0]))
	le := binary.LittleEndian
	for i, v := range []uint32{d.EntryNumber, d.BaseAddr, d.Limit, d.Flags} {
		le.PutUint32(raw[4*i:], v)
	}
	v, err := t.call(unix.SYS_MODIFY_LDT, uint64(how), stubListAddr+uint64(c.id*pageSize), uint64(len(raw)))
	if err == nil && v != 0 {
		// The call returns an int: its errors are not extended to 64 bits.
		err = unix.Errno(-uint32(v))
	}
	return err
}
