package kernel

import (
	"errors"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{"modify_ldt": r3(sysModifyLDT)})
}

// Operations of modify_ldt(2).
const (
	ldtRead        = 0
	ldtReadDefault = 2
)

// sysModifyLDT is modify_ldt(2). The call is declared to return an int in C:
// 64-bit programs see its errors without sign extension, and glibc has no
// wrapper that would care.
func sysModifyLDT(t *Task, op int32, ptr Addr, size uint64) (uint64, error) {
	n, err := t.modifyLDT(op, ptr, size)
	var errno unix.Errno
	if errors.As(err, &errno) {
		return uint64(-uint32(errno)), nil
	}
	return uint64(n), err
}

func (t *Task) modifyLDT(op int32, ptr Addr, size uint64) (int, error) {
	switch op {
	case ldtRead:
		return t.readLDT(ptr, size)
	case ldtReadDefault:
		const defaultSize = 128
		n := int(min(size, defaultSize))
		return n, t.CopyOut(uint64(ptr), make([]byte, n))
	case machine.LDTWriteOld, machine.LDTWrite:
		return 0, t.writeLDT(int(op), Ptr[abi.UserDesc](ptr), size)
	}
	return 0, unix.ENOSYS
}

// readLDT gives the table as the processor has it; what is beyond its last
// entry reads as zero.
func (t *Task) readLDT(ptr Addr, size uint64) (int, error) {
	table := t.space().LDT
	if len(table) == 0 {
		return 0, nil
	}
	b := make([]byte, min(size, 8*mm.MaxLDT))
	copy(b, sliceBytes(table))
	return len(b), t.CopyOut(uint64(ptr), b)
}

func (t *Task) writeLDT(how int, ptr Ptr[abi.UserDesc], size uint64) error {
	var d abi.UserDesc
	if size != uint64(len(asBytes(&d))) {
		return unix.EINVAL
	}
	d, err := ptr.In(t)
	if err != nil {
		return err
	}
	if d.EntryNumber >= mm.MaxLDT {
		return unix.EINVAL
	}
	// The host knows what may be a descriptor.
	if err := t.th.WriteLDT(how, d); err != nil {
		return err
	}
	s := t.space()
	n := int(d.EntryNumber)
	if len(s.LDT) <= n {
		s.LDT = append(s.LDT, make([]uint64, n+1-len(s.LDT))...)
	}
	s.LDT[n] = descriptor(how, d)
	return nil
}

// descriptor is d as the processor has it.
func descriptor(how int, d abi.UserDesc) uint64 {
	old := how == machine.LDTWriteOld
	const empty = abi.UserDescReadExecOnly | abi.UserDescNotPresent
	if d.BaseAddr == 0 && d.Limit == 0 && (old || d.Flags&0x7f == empty) {
		return 0
	}
	flag := func(bit uint32) uint64 {
		if d.Flags&bit != 0 {
			return 1
		}
		return 0
	}
	base, limit := uint64(d.BaseAddr), uint64(d.Limit)
	v := limit&0xffff | base&0xffffff<<16 | limit>>16&0xf<<48 | base>>24<<56
	v |= 1 << 40                                    // accessed
	v |= (1 - flag(abi.UserDescReadExecOnly)) << 41 // writable or readable
	v |= uint64(d.Flags>>1&3) << 42                 // contents
	v |= 1<<44 | 3<<45                              // not a system's, for ring 3
	v |= (1 - flag(abi.UserDescNotPresent)) << 47
	if !old {
		v |= flag(abi.UserDescUseable) << 52
	}
	return v | flag(abi.UserDescSeg32)<<54 | flag(abi.UserDescLimitInPages)<<55
}
