package abi

import "encoding/binary"

// DirentLen64 is the length of the record that AppendDirent64 appends for a name of n bytes.
func DirentLen64(n int) int { return (19 + n + 1 + 7) &^ 7 }

// DirentLen is the length of the record that AppendDirent appends for a name of n bytes on arch.
func DirentLen(arch Arch, n int) int {
	w := arch.WordSize()
	return (2*w + 2 + n + 2 + w - 1) &^ (w - 1)
}

// AppendDirent64 appends a struct linux_dirent64, the record of getdents64: off is the position after it, typ one of
// unix.DT_*.
func AppendDirent64(b []byte, ino uint64, off int64, typ uint8, name string) []byte {
	n := DirentLen64(len(name))
	b = binary.LittleEndian.AppendUint64(b, ino)
	b = binary.LittleEndian.AppendUint64(b, uint64(off))
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	b = append(b, typ)
	b = append(b, name...)
	return append(b, make([]byte, n-19-len(name))...)
}

// AppendDirent appends a struct linux_dirent, the record of getdents, whose last byte is the type. On i386 the caller has
// seen to it that ino and off fit 32 bits (EOVERFLOW).
func AppendDirent(b []byte, arch Arch, ino uint64, off int64, typ uint8, name string) []byte {
	n := DirentLen(arch, len(name))
	head := 18
	if arch == I386 {
		head = 10
		b = binary.LittleEndian.AppendUint32(b, uint32(ino))
		b = binary.LittleEndian.AppendUint32(b, uint32(off))
	} else {
		b = binary.LittleEndian.AppendUint64(b, ino)
		b = binary.LittleEndian.AppendUint64(b, uint64(off))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	b = append(b, name...)
	b = append(b, make([]byte, n-head-len(name)-1)...)
	return append(b, typ)
}
