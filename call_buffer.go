package sysemu

import (
	"io"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Buffer is memory of the program that a call reads or writes: one piece, or those that iovecs describe, as one. It is
// valid as long as the call is.
type Buffer struct {
	c    *Call
	segs []abi.Iovec
	n    int64
}

// Buffer is the memory that argument i leads to: a buffer, an array of iovecs, or the data of a struct msghdr. Its length
// is what the program said, whatever memory there is; Linux moves at most 2 GiB - 4096 bytes by one call, and so long it is
// at most. EINVAL: the argument is none of these, or there are too many iovecs.
//
// What the program is to get is in it after next; how much of it counts, the result says.
func (c *Call) Buffer(i int) (*Buffer, error) {
	k := c.kind(i)
	addr := c.raw(i)
	b := &Buffer{c: c}
	switch k.Base() {
	case abi.Buf, abi.PathBuf, abi.SockoptPtr:
		n, err := c.lenOf(i)
		if err != nil {
			return nil, err
		}
		return b, b.add([]abi.Iovec{{Base: addr, Len: n}})
	case abi.IovecArray:
		n, err := c.lenOf(i)
		if err != nil {
			return nil, err
		}
		v, err := c.iovecs(addr, n)
		if err != nil {
			return nil, err
		}
		return b, b.add(v)
	case abi.MsghdrPtr:
		v, err := c.structAt(abi.MsghdrPtr, addr, 0)
		if err != nil {
			return nil, err
		}
		h := v.(abi.Msghdr)
		iov, err := c.iovecs(h.Iov, h.Iovlen)
		if err != nil {
			return nil, err
		}
		return b, b.add(iov)
	}
	return nil, unix.EINVAL
}

const (
	maxIovecs = 1024          // UIO_MAXIOV
	maxIO     = 1<<31 - 1<<12 // what Linux moves by one call
	maxArray  = 1 << 16       // elements that a handler is given of an array
)

func (c *Call) iovecs(addr, n uint64) ([]abi.Iovec, error) {
	if n > maxIovecs {
		return nil, unix.EINVAL
	}
	return readArray[abi.Iovec, abi.Iovec32](c, addr, n)
}

// add appends pieces. A negative length is EINVAL; what leads past the greatest length is cut off.
func (b *Buffer) add(v []abi.Iovec) error {
	for _, s := range v {
		if int64(s.Len) < 0 && len(v) > 1 {
			return unix.EINVAL
		}
		s.Len = min(s.Len, uint64(maxIO-b.n))
		b.n += int64(s.Len)
		b.segs = append(b.segs, s)
	}
	return nil
}

// lenOf is the length of the buffer or array at argument i: a value, or, of what a call writes whose length is written too,
// what the length's pointer leads to.
func (c *Call) lenOf(i int) (uint64, error) {
	at := c.kind(i).LenArg(i)
	k := c.kind(at)
	switch k.Base() {
	case abi.SocklenPtr:
		var w [4]byte
		if err := c.ReadMem(c.raw(at), w[:]); err != nil {
			return 0, err
		}
		if n := int32(word(w[:])); n >= 0 {
			return uint64(n), nil
		}
		return 0, unix.EINVAL
	case abi.Int:
		return uint64(max(c.Int(at), 0)), nil
	case abi.Uint, abi.Uid, abi.Gid:
		return uint64(uint32(c.raw(at))), nil
	case abi.UlongPtr, abi.IntPtr, abi.UintPtr:
		return 0, unix.EINVAL
	}
	return c.raw(at), nil
}

// Len is how many bytes it holds.
func (b *Buffer) Len() int { return int(b.n) }

// ReadAt reads from the buffer, as io.ReaderAt says: less than asked for with io.EOF at its end, or with EFAULT where the
// memory cannot be read.
func (b *Buffer) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.move(p, off, b.c.ReadMem)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// WriteAt writes into the buffer, as io.WriterAt says: less than asked for with io.ErrShortWrite at its end, or with EFAULT
// where the memory cannot be written.
func (b *Buffer) WriteAt(p []byte, off int64) (int, error) {
	n, err := b.move(p, off, b.c.WriteMem)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

func (b *Buffer) move(p []byte, off int64, f func(uint64, []byte) error) (n int, err error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	for _, s := range b.segs {
		if off >= int64(s.Len) {
			off -= int64(s.Len)
			continue
		}
		k := int(min(int64(len(p)-n), int64(s.Len)-off))
		if k == 0 {
			break
		}
		if err := f(s.Base+uint64(off), p[n:n+k]); err != nil {
			return n, err
		}
		n, off = n+k, 0
	}
	return n, nil
}

// Bytes reads the first n bytes, or all of them when it holds fewer. A program may claim a length that it has no memory for:
// what is allocated follows from what can be read.
func (b *Buffer) Bytes(n int) ([]byte, error) {
	n = int(min(int64(n), b.n))
	const step = 1 << 20
	var out []byte
	for len(out) < n {
		from := len(out)
		out = append(out, make([]byte, min(step, n-from))...)
		if _, err := b.ReadAt(out[from:], int64(from)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
