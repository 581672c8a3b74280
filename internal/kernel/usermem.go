package kernel

import (
	"bytes"
	"unsafe"

	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

// Addr is an address in the guest.
type Addr uint64

// Ptr is the address of a T in the guest: T has the ABI's layout.
type Ptr[T any] uint64

// Str is the address of a NUL-terminated string in the guest.
type Str uint64

// maxPath is PATH_MAX: longer names are ENAMETOOLONG.
const maxPath = 4096

func asBytes[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

func sliceBytes[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), uintptr(len(v))*unsafe.Sizeof(v[0]))
}

// In reads the value. EFAULT if it cannot be read.
func (p Ptr[T]) In(t *Task) (v T, err error) {
	err = t.CopyIn(uint64(p), asBytes(&v))
	return v, err
}

// Out writes the value. EFAULT if it cannot be written.
func (p Ptr[T]) Out(t *Task, v *T) error { return t.CopyOut(uint64(p), asBytes(v)) }

// Put is Out by value; a nil pointer asks for nothing.
func (p Ptr[T]) Put(t *Task, v T) error {
	if p == 0 {
		return nil
	}
	return t.CopyOut(uint64(p), asBytes(&v))
}

// Slice reads n values.
func (p Ptr[T]) Slice(t *Task, n int) ([]T, error) {
	if n == 0 {
		return nil, nil
	}
	v := make([]T, n)
	return v, t.CopyIn(uint64(p), sliceBytes(v))
}

// At is the address of the i-th element of an array at p.
func (p Ptr[T]) At(i int) Ptr[T] {
	var v T
	return p + Ptr[T](uintptr(i)*unsafe.Sizeof(v))
}

// In reads a path or name: at most PATH_MAX with its NUL.
func (s Str) In(t *Task) (string, error) {
	v, err := t.copyInString(uint64(s), maxPath)
	if err == unix.E2BIG {
		return "", unix.ENAMETOOLONG
	}
	return v, err
}

// copyInString reads a string of fewer than max bytes; longer is E2BIG.
func (t *Task) copyInString(addr uint64, max int) (string, error) {
	var small [256]byte
	buf := small[:0]
	for len(buf) < max {
		// Not over a page border before the NUL may have come.
		n := min(mm.PageSize-int((addr+uint64(len(buf)))%mm.PageSize), max-len(buf), 256)
		from := len(buf)
		if cap(buf) < from+n {
			buf = append(make([]byte, 0, max), buf...)
		}
		buf = buf[:from+n]
		if err := t.CopyIn(addr+uint64(from), buf[from:]); err != nil {
			return "", err
		}
		if i := bytes.IndexByte(buf[from:], 0); i >= 0 {
			return string(buf[:from+i]), nil
		}
	}
	return "", unix.E2BIG
}

// CopyIn fills p from the guest's memory at addr.
func (t *Task) CopyIn(addr uint64, p []byte) error {
	n, err := t.copyInSome(addr, p)
	if n == len(p) {
		return nil
	}
	return err
}

// CopyOut writes p to the guest's memory at addr.
func (t *Task) CopyOut(addr uint64, p []byte) error {
	n, err := t.copyOutSome(addr, p)
	if n == len(p) {
		return nil
	}
	return err
}

// copyInSome reads as much of p as can be read; EFAULT with what is short.
func (t *Task) copyInSome(addr uint64, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if addr >= mm.ReadTop {
		if n := copy(p, t.lentAt(addr)); n == len(p) {
			return n, nil
		} else {
			return n, unix.EFAULT
		}
	}
	if uint64(len(p)) > mm.ReadTop-addr {
		n, _ := t.th.ReadMem(addr, p[:mm.ReadTop-addr])
		return n, unix.EFAULT
	}
	n, err := t.th.ReadMem(addr, p)
	if err == nil {
		return n, nil
	}
	if t.space().Fault(t, t.th, addr+uint64(n)) {
		m, err := t.copyInSome(addr+uint64(n), p[n:])
		return n + m, err
	}
	return n, unix.EFAULT
}

// copyOutSome writes as much of p as can be written.
func (t *Task) copyOutSome(addr uint64, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if addr >= mm.Top || uint64(len(p)) > mm.Top-addr {
		if addr >= mm.Top {
			return 0, unix.EFAULT
		}
		n, _ := t.th.WriteMem(addr, p[:mm.Top-addr])
		return n, unix.EFAULT
	}
	n, err := t.th.WriteMem(addr, p)
	if err == nil {
		return n, nil
	}
	if t.space().Fault(t, t.th, addr+uint64(n)) {
		m, err := t.copyOutSome(addr+uint64(n), p[n:])
		return n + m, err
	}
	return n, unix.EFAULT
}

// taskMemory is a task's memory as vfs.Memory has it.
type taskMemory struct{ t *Task }

func (m taskMemory) ReadMem(addr uint64, p []byte) error  { return m.t.CopyIn(addr, p) }
func (m taskMemory) WriteMem(addr uint64, p []byte) error { return m.t.CopyOut(addr, p) }
