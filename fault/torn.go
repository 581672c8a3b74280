package fault

import (
	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// planTorn has only a part of a write reach its file.
func (a Action) planTorn(s *shot) (step, bool) {
	t, ok := transfers[s.c.Name()]
	if !ok || !t.writes || t.buf < 0 {
		return nil, false
	}
	n, ok := t.asked(s.c)
	if !ok || n == 0 {
		return nil, false
	}
	to := a.size.of(n)
	from := int64(0)
	if a.from != (Size{}) {
		from = min(a.from.of(n), to)
	}
	if from == 0 && to == n {
		return nil, false
	}
	return func(s *shot, rest sysemu.Handler) (uint64, error) { return t.tear(s, from, to, n) }, true
}

// tear writes bytes from up to to of n, and moves on as if all had been written.
func (t transfer) tear(s *shot, from, to, n int64) (uint64, error) {
	b, err := s.c.Buffer(t.buf)
	if err != nil {
		return 0, err
	}
	data, err := b.Bytes(int(n)) // all: a write from memory that is not there is EFAULT
	if err != nil {
		return 0, err
	}
	f := &disk{s, uint64(s.c.FD(0))}
	pos, positioned := t.position(s.c)
	size, err := f.size()
	if err != nil { // a pipe or a socket
		return t.drop(s, from, to, n)
	}
	flags, err := s.c.Do(s.next, "fcntl", f.fd, unix.F_GETFL)
	if err != nil {
		return 0, err
	}
	switch {
	case flags&unix.O_APPEND != 0:
		pos = size
	case !positioned:
		if pos, err = f.seek(0, unix.SEEK_CUR); err != nil {
			return 0, err
		}
	}
	// With O_APPEND pwrite too writes at the end, so it is moved to where the part belongs.
	if pos+from > size && f.truncate(pos+from) == nil {
		size = pos + from
	}
	if to > from {
		k, err := f.write(data[from:to], pos+from)
		if err != nil {
			return 0, err
		}
		size = max(size, pos+from+k)
		if from+k < to {
			n = from + k // the device is full: an honest short write
		}
	}
	if pos+n > size {
		f.truncate(pos + n) // what cannot be resized, such as a device, stays as it is
	}
	if !positioned {
		if _, err := f.seek(pos+n, unix.SEEK_SET); err != nil {
			return 0, err
		}
	}
	return uint64(n), nil
}

// drop writes a part to what has no places: the rest is lost.
func (t transfer) drop(s *shot, from, to, n int64) (uint64, error) {
	if from > 0 || t.vector && to == 0 {
		b, err := s.c.Buffer(t.buf)
		if err != nil {
			return 0, err
		}
		data, err := b.Bytes(int(to))
		if err != nil {
			return 0, err
		}
		at, err := s.c.Lend(data[from:])
		if err != nil {
			return 0, err
		}
		if v, err := s.c.Do(s.next, "write", uint64(s.c.FD(0)), at, uint64(to-from)); err != nil {
			return v, err
		}
		return uint64(n), nil
	}
	if err := t.cut(s.c, to); err != nil {
		return 0, err
	}
	if v, err := s.next.ServeCall(s.c); err != nil || int64(v) < to {
		return v, err
	}
	return uint64(n), nil
}

// position is where a call writes that says so; else false.
func (t transfer) position(c *sysemu.Call) (int64, bool) {
	for _, a := range c.Args() {
		switch a.Kind.Base() {
		case abi.Offset, abi.OffsetLo:
			v := c.Int(a.Index)
			return v, v != -1 // of pwritev2: the file's own offset
		}
	}
	return 0, false
}

// disk is a file of the program, by its descriptor.
type disk struct {
	s  *shot
	fd uint64
}

// do makes a call with a 64-bit offset, which i386 takes in two registers.
func (f *disk) do(name, name386 string, off int64, args ...uint64) (uint64, error) {
	if f.s.c.Arch() == abi.I386 {
		return f.s.c.Do(f.s.next, name386, append(args, uint64(uint32(off)), uint64(off)>>32)...)
	}
	return f.s.c.Do(f.s.next, name, append(args, uint64(off))...)
}

// size is the file's size; ESPIPE when it is none.
func (f *disk) size() (int64, error) {
	now, err := f.seek(0, unix.SEEK_CUR)
	if err != nil {
		return 0, err
	}
	size, err := f.seek(0, unix.SEEK_END)
	if err != nil {
		return 0, err
	}
	_, err = f.seek(now, unix.SEEK_SET)
	return size, err
}

func (f *disk) seek(off int64, whence uint64) (int64, error) {
	v, err := f.s.c.Do(f.s.next, "lseek", f.fd, uint64(off), whence)
	return int64(v), err
}

func (f *disk) truncate(size int64) error {
	_, err := f.do("ftruncate", "ftruncate64", size, f.fd)
	return err
}

func (f *disk) write(p []byte, off int64) (int64, error) {
	at, err := f.s.c.Lend(p)
	if err != nil {
		return 0, err
	}
	v, err := f.do("pwrite64", "pwrite64", off, f.fd, at, uint64(len(p)))
	return int64(v), err
}
