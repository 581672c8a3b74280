package kernel

import (
	"math"
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/net"
	"github.com/sysemu/sysemu/internal/pipe"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"read":            r3(sysRead),
		"write":           r3(sysWrite),
		"pread64":         r4(sysPread),
		"pwrite64":        r4(sysPwrite),
		"readv":           r3(sysReadv[iovec]),
		"writev":          r3(sysWritev[iovec]),
		"preadv":          r4(sysPreadv[iovec]),
		"pwritev":         r4(sysPwritev[iovec]),
		"preadv2":         r6(sysPreadv2[iovec]),
		"pwritev2":        r6(sysPwritev2[iovec]),
		"lseek":           r3(sysLseek),
		"fsync":           e1(func(t *Task, fd FD) error { return t.sync(fd, false) }),
		"fdatasync":       e1(func(t *Task, fd FD) error { return t.sync(fd, true) }),
		"sync":            e0(func(t *Task) error { t.k.journal.Sync(nil); return nil }),
		"syncfs":          e1(sysSyncfs),
		"sync_file_range": e4(sysSyncFileRange),
		"readahead":       e3(sysReadahead),
		"fadvise64":       e4(sysFadvise),
		"ftruncate":       e2(sysFtruncate),
		"truncate":        e2(sysTruncate),
		"fallocate":       e4(sysFallocate),
		"ioctl":           r3(sysIoctl),
		"getdents64":      r3(sysGetdents64),
		"getdents":        r3(sysGetdents),
		"sendfile":        r4(sysSendfile[int64]),
		"copy_file_range": r6(sysCopyFileRange),
	})
}

// maxIO is the most that one call moves, as Linux has it.
const maxIO = math.MaxInt32 &^ 4095

// chunk is how much is moved between guest and kernel memory at a time.
const chunk = 256 << 10

// buffer returns n bytes of scratch memory; free gives it back. A call that
// sleeps keeps it, so there is one for each that is in progress.
func (t *Task) buffer(n int) []byte {
	k := t.k
	if n <= chunk && len(k.buffers) > 0 {
		b := k.buffers[len(k.buffers)-1]
		k.buffers = k.buffers[:len(k.buffers)-1]
		return b[:n]
	}
	if n <= chunk {
		if n <= 4096 {
			return make([]byte, n)
		}
		return make([]byte, n, chunk)
	}
	return make([]byte, n)
}

func (t *Task) free(b []byte) {
	if cap(b) == chunk && len(t.k.buffers) < 16 {
		t.k.buffers = append(t.k.buffers, b[:chunk])
	}
}

// iovec is struct iovec.
type iovec = abi.Iovec

// transfer is one direction of I/O on a description at a position.
type transfer func(p []byte, off int64) (int, error)

// readTo reads into guest memory: chunk by chunk, ending with the first short
// one. Memory that cannot be written is found out before data is taken.
func (t *Task) readTo(v []iovec, off int64, read transfer) (uint64, error) {
	var total uint64
	for _, s := range v {
		for s.Len > 0 {
			n := min(s.Len, chunk, maxIO-total)
			if n == 0 {
				return total, nil
			}
			ok := t.accessible(s.Base, n, true)
			if ok == 0 {
				if total > 0 {
					return total, nil
				}
				return 0, unix.EFAULT
			}
			b := t.buffer(int(ok))
			k, err := read(b, off)
			if k > 0 {
				if e := t.CopyOut(s.Base, b[:k]); e != nil {
					err, k = e, 0
				}
			}
			t.free(b)
			total += uint64(k)
			if err != nil {
				if total > 0 {
					return total, nil
				}
				return 0, err
			}
			if uint64(k) < n {
				return total, nil
			}
			off += int64(k)
			s.Base += uint64(k)
			s.Len -= uint64(k)
		}
	}
	return total, nil
}

// writeFrom writes from guest memory, as readTo reads.
func (t *Task) writeFrom(v []iovec, off int64, write transfer) (uint64, error) {
	var total uint64
	for _, s := range v {
		for s.Len > 0 {
			n := min(s.Len, chunk, maxIO-total)
			if n == 0 {
				return total, nil
			}
			b := t.buffer(int(n))
			got, err := t.copyInSome(s.Base, b)
			k := 0
			if got > 0 {
				k, err = write(b[:got], off)
			}
			t.free(b)
			total += uint64(k)
			if err != nil {
				if total > 0 {
					return total, nil
				}
				return 0, err
			}
			if uint64(k) < n {
				return total, nil
			}
			off += int64(k)
			s.Base += uint64(k)
			s.Len -= uint64(k)
		}
	}
	return total, nil
}

// accessible is how many of the n bytes at addr the guest may read or write;
// a stack that can grow there does.
func (t *Task) accessible(addr, n uint64, write bool) uint64 {
	ok := t.mm.Accessible(addr, n, write)
	if ok < n && t.space().Fault(t, t.th, addr+ok) {
		ok = t.mm.Accessible(addr, n, write)
	}
	return ok
}

// vector reads an array of iovecs and checks it as Linux does: lengths that
// are negative or add up to too much are EINVAL.
func vector[V iovecs](t *Task, p Ptr[V], n uint64) ([]iovec, error) {
	if n > maxIovecs {
		return nil, unix.EINVAL
	}
	v, err := loadSlice[iovec](t, p, int(n))
	if err != nil {
		return nil, err
	}
	var total uint64
	for i := range v {
		if int64(v[i].Len) < 0 {
			return nil, unix.EINVAL
		}
		if v[i].Len > maxIO-total {
			v[i].Len = maxIO - total
		}
		total += v[i].Len
	}
	return v, nil
}

const maxIovecs = 1024

// gather makes one buffer of a vector's memory, so that a write of it is one
// write: pipes, sockets and terminals tell the difference.
func (t *Task) gather(v []iovec) ([]byte, error) {
	var n uint64
	for _, s := range v {
		n += s.Len
	}
	b := make([]byte, 0, n)
	for _, s := range v {
		at := len(b)
		b = b[:at+int(s.Len)]
		got, err := t.copyInSome(s.Base, b[at:])
		if err != nil {
			b = b[:at+got]
			if len(b) == 0 {
				return nil, err
			}
			return b, nil
		}
	}
	return b, nil
}

func (t *Task) read(fd FD, v []iovec) (n uint64, err error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	if len(v) == 1 && v[0].Len == 0 || len(v) == 0 {
		_, err := f.Read(t, nil)
		return 0, err
	}
	return t.readTo(v, 0, func(p []byte, _ int64) (int, error) { return f.Read(t, p) })
}

func (t *Task) write(fd FD, v []iovec) (n uint64, err error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	var total uint64
	for _, s := range v {
		total += s.Len
	}
	if total == 0 {
		_, err = f.Write(t, nil)
	} else if message := total > chunk && !net.PipeSignal(f); message && total > maxMessage {
		err = unix.EMSGSIZE
	} else if message || len(v) > 1 && total <= maxMessage {
		var b []byte
		if b, err = t.gather(v); err == nil {
			var k int
			k, err = f.Write(t, b)
			if n = uint64(k); n > 0 {
				err = nil
			}
		}
	} else {
		n, err = t.writeFrom(v, 0, func(p []byte, _ int64) (int, error) { return f.Write(t, p) })
	}
	return n, t.writeError(err)
}

// writeError adds the signals that failed writes send.
func (t *Task) writeError(err error) error {
	switch err {
	case unix.EPIPE:
		t.k.sendTask(t, t.userSignal(int(unix.SIGPIPE), siUser))
	case unix.EFBIG:
		if t.FileSizeLimit() > math.MaxInt64 {
			break // too large for the file system or a 32-bit offset
		}
		t.fileTooBig()
		t.k.sendTask(t, t.userSignal(int(unix.SIGXFSZ), siUser))
	}
	return err
}

// oneVector is the vector of a call with one buffer. A length that leaves the
// address space is EFAULT, whatever there is to move.
func (t *Task) oneVector(fd FD, buf Addr, n uint64) ([]iovec, error) {
	if (n > mm.ReadTop || uint64(buf) > mm.ReadTop-n && n > 0) && t.lentAt(uint64(buf)) == nil {
		if t.files.Peek(int(fd)) == nil {
			return nil, unix.EBADF
		}
		return nil, unix.EFAULT
	}
	return []iovec{{Base: uint64(buf), Len: min(n, maxIO)}}, nil
}

func sysRead(t *Task, fd FD, buf Addr, n uint64) (uint64, error) {
	v, err := t.oneVector(fd, buf, n)
	if err != nil {
		return 0, err
	}
	return t.read(fd, v)
}

func sysWrite(t *Task, fd FD, buf Addr, n uint64) (uint64, error) {
	v, err := t.oneVector(fd, buf, n)
	if err != nil {
		return 0, err
	}
	return t.write(fd, v)
}

func sysReadv[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64) (uint64, error) {
	v, err := vector(t, vec, n)
	if err != nil {
		return 0, err
	}
	return t.read(fd, v)
}

func sysWritev[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64) (uint64, error) {
	v, err := vector(t, vec, n)
	if err != nil {
		return 0, err
	}
	return t.write(fd, v)
}

func (t *Task) pread(fd FD, v []iovec, off int64) (uint64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	if len(v) == 0 || len(v) == 1 && v[0].Len == 0 {
		_, err := f.Pread(t, nil, off)
		return 0, err
	}
	n, err := t.readTo(v, off, func(p []byte, off int64) (int, error) { return f.Pread(t, p, off) })
	if err == unix.EFAULT && f.CanRead() && f.Kind() == unix.S_IFREG {
		// At a file's end there is nothing to put where nothing can be put.
		if a, e := f.Stat(t); e == nil && off >= a.Size {
			err = nil
		}
	}
	return n, err
}

func (t *Task) pwrite(fd FD, v []iovec, off int64) (uint64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	if len(v) == 0 || len(v) == 1 && v[0].Len == 0 {
		_, err := f.Pwrite(t, nil, off)
		return 0, err
	}
	n, err := t.writeFrom(v, off, func(p []byte, off int64) (int, error) { return f.Pwrite(t, p, off) })
	return n, t.writeError(err)
}

func sysPread(t *Task, fd FD, buf Addr, n uint64, off int64) (uint64, error) {
	v, err := t.oneVector(fd, buf, n)
	if err != nil && off >= 0 {
		return 0, err
	}
	return t.pread(fd, v, off)
}

func sysPwrite(t *Task, fd FD, buf Addr, n uint64, off int64) (uint64, error) {
	v, err := t.oneVector(fd, buf, n)
	if err != nil && off >= 0 {
		return 0, err
	}
	return t.pwrite(fd, v, off)
}

func sysPreadv[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64, off int64) (uint64, error) {
	v, err := vector(t, vec, n)
	if err != nil {
		return 0, err
	}
	return t.pread(fd, v, off)
}

func sysPwritev[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64, off int64) (uint64, error) {
	v, err := vector(t, vec, n)
	if err != nil {
		return 0, err
	}
	return t.pwrite(fd, v, off)
}

const knownRWF = unix.RWF_HIPRI | unix.RWF_DSYNC | unix.RWF_SYNC | unix.RWF_NOWAIT | unix.RWF_APPEND

func sysPreadv2[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64, off int64, _ uint64, flags uint32) (uint64, error) {
	if flags&^knownRWF != 0 || flags&unix.RWF_NOWAIT != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if off == -1 {
		return sysReadv(t, fd, vec, n)
	}
	return sysPreadv(t, fd, vec, n, off)
}

func sysPwritev2[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64, off int64, _ uint64, flags uint32) (uint64, error) {
	if flags&^knownRWF != 0 || flags&unix.RWF_NOWAIT != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if flags&unix.RWF_APPEND != 0 {
		return appendv(t, fd, vec, n, off)
	}
	if off == -1 {
		return sysWritev(t, fd, vec, n)
	}
	return sysPwritev(t, fd, vec, n, off)
}

// appendv is a write with RWF_APPEND: at the end of a file, whatever its flags.
func appendv[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64, off int64) (uint64, error) {
	v, err := vector(t, vec, n)
	if err != nil {
		return 0, err
	}
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	a, ok := f.Impl.(vfs.Appender)
	if !ok {
		return 0, unix.EOPNOTSUPP
	}
	if !f.CanWrite() {
		return 0, unix.EBADF
	}
	if err := vfs.Changing(t, f.Path, f.Inode, 0, 0); err != nil {
		return 0, err
	}
	done, err := t.writeFrom(v, 0, func(p []byte, _ int64) (int, error) {
		k, end, err := a.Append(t, f, p)
		if off == -1 && k > 0 {
			f.Pos = end
		}
		return k, err
	})
	return done, t.writeError(err)
}

func sysLseek(t *Task, fd FD, off int64, whence int32) (int64, error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	return f.Seek(t, off, int(whence))
}

func (t *Task) sync(fd FD, dataOnly bool) error {
	return t.withFile(fd, func(f *vfs.File) error { return f.Sync(t, dataOnly) })
}

func sysSyncfs(t *Task, fd FD) error {
	return t.withFile(fd, func(f *vfs.File) error {
		if m := f.Path.Mount; m != nil {
			t.k.journal.Sync(m.FS())
		}
		return f.Sync(t, false)
	})
}

func sysFadvise(t *Task, fd FD, off, n int64, advice int32) error {
	return t.withFile(fd, func(f *vfs.File) error {
		if isPipe(f) {
			return unix.ESPIPE
		}
		if advice < 0 || advice > 5 || n < 0 {
			return unix.EINVAL
		}
		return nil
	})
}

func isPipe(f *vfs.File) bool { return f.Kind() == unix.S_IFIFO || pipe.Of(f) != nil }

func sysSyncFileRange(t *Task, fd FD, off, n int64, flags uint32) error { return t.sync(fd, true) }

func sysReadahead(t *Task, fd FD, off int64, n uint64) error {
	return t.withFile(fd, func(f *vfs.File) error {
		if !f.CanRead() {
			return unix.EBADF
		}
		if f.Kind() != unix.S_IFREG && f.Kind() != unix.S_IFBLK {
			return unix.EINVAL
		}
		return nil
	})
}

func sysFtruncate(t *Task, fd FD, size int64) error {
	return t.writeError(t.withFile(fd, func(f *vfs.File) error { return f.Truncate(t, size) }))
}

func sysTruncate(t *Task, name Str, size int64) error {
	s, err := name.In(t)
	if err != nil {
		return err
	}
	return t.writeError(vfs.Truncate(t, t.atCwd(), s, size))
}

func sysFallocate(t *Task, fd FD, mode uint32, off, n int64) error {
	return t.writeError(t.withFile(fd, func(f *vfs.File) error {
		switch {
		case off < 0 || n <= 0:
			return unix.EINVAL
		case isPipe(f) && f.CanWrite():
			return unix.ESPIPE
		}
		return f.Allocate(t, mode, off, n)
	}))
}

func sysIoctl(t *Task, fd FD, cmd uint32, arg uint64) (uint64, error) {
	return t.ioctl(fd, cmd, arg, taskMemory{t})
}

// ioctl serves ioctl(2); what requests point to is in mem.
func (t *Task) ioctl(fd FD, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	switch cmd {
	case fioclex, fionclex:
		return 0, t.files.SetCloexec(int(fd), cmd == fioclex)
	case fionbio:
		v, err := Ptr[int32](arg).In(t)
		if err != nil {
			return 0, err
		}
		flags := f.Flags &^ unix.O_NONBLOCK
		if v != 0 {
			flags |= unix.O_NONBLOCK
		}
		return 0, t.setFlags(f, flags)
	case fioasync:
		v, err := Ptr[int32](arg).In(t)
		if err != nil {
			return 0, err
		}
		if on := v != 0; on != (f.Flags&unix.O_ASYNC != 0) && !t.setAsync(f, int(fd), on) {
			return 0, unix.ENOTTY
		}
		return 0, nil
	}
	if done, v, err := t.ownerIoctl(f, cmd, Ptr[int32](arg)); done {
		return v, err
	}
	if cmd == unix.TIOCGPTPEER {
		s, err := tty.OpenPeer(t, f, int(int32(arg)))
		if err != nil {
			return 0, err
		}
		n, err := t.installFile(s, arg&unix.O_CLOEXEC != 0)
		return uint64(n), err
	}
	if i, ok := f.Impl.(vfs.Ioctler); ok {
		return i.Ioctl(t, f, cmd, arg, mem)
	}
	if cmd == fionread && f.Kind() == unix.S_IFREG {
		a, err := f.Stat(t)
		if err != nil {
			return 0, err
		}
		n := int32(min(max(a.Size-f.Pos, 0), math.MaxInt32))
		return 0, Ptr[int32](arg).Out(t, &n)
	}
	return 0, unix.ENOTTY
}

// copyBetween moves up to n bytes from one description to another.
func (t *Task) copyBetween(n uint64, read func([]byte) (int, error), write func([]byte) (int, error), unread func(int)) (uint64, error) {
	var total uint64
	b := t.buffer(int(min(n, chunk)))
	defer t.free(b)
	for total < n {
		k, err := read(b[:min(uint64(len(b)), n-total)])
		if k == 0 {
			if total > 0 {
				err = nil
			}
			return total, err
		}
		w, err := write(b[:k])
		total += uint64(w)
		if w < k {
			unread(k - w)
		}
		if err != nil || w < k {
			if total > 0 {
				err = nil
			}
			return total, err
		}
	}
	return total, nil
}

func sysSendfile[O offsets](t *Task, out, in FD, offset Ptr[O], n uint64) (uint64, error) {
	fin, err := t.files.Get(int(in))
	if err != nil {
		return 0, err
	}
	defer fin.Unref(t)
	fout, err := t.files.Get(int(out))
	if err != nil {
		return 0, err
	}
	defer fout.Unref(t)
	if !fin.CanRead() || !fout.CanWrite() {
		return 0, unix.EBADF
	}
	if fout.Flags&unix.O_APPEND != 0 {
		return 0, unix.EINVAL
	}
	if k := fin.Kind(); k == unix.S_IFDIR || k == unix.S_IFIFO {
		return 0, unix.EINVAL
	}
	if fin.Kind() == 0 {
		return 0, unix.EINVAL // not a file that has pages
	}
	n = min(n, maxIO)
	write := func(p []byte) (int, error) { return fout.Write(t, p) }
	if offset == 0 {
		r, err := t.copyBetween(n, func(p []byte) (int, error) { return fin.Read(t, p) }, write, func(k int) { fin.Seek(t, int64(-k), 1) })
		return r, t.writeError(err)
	}
	o, err := offset.In(t)
	if err != nil {
		return 0, err
	}
	off := int64(o)
	if off < 0 {
		return 0, unix.EINVAL
	}
	if last := int64(1)<<(8*unsafe.Sizeof(o)-1) - 1; uint64(last-off) < n {
		if off == last {
			return 0, unix.EOVERFLOW
		}
		n = uint64(last - off)
	}
	r, err := t.copyBetween(n, func(p []byte) (int, error) {
		k, err := fin.Pread(t, p, off)
		off += int64(k)
		return k, err
	}, write, func(k int) { off -= int64(k) })
	if e := offset.Put(t, O(off)); e != nil && err == nil {
		return 0, e
	}
	return r, t.writeError(err)
}

func sysCopyFileRange(t *Task, in FD, offIn Ptr[int64], out FD, offOut Ptr[int64], n uint64, flags uint32) (uint64, error) {
	if flags != 0 {
		return 0, unix.EINVAL
	}
	fin, err := t.files.Get(int(in))
	if err != nil {
		return 0, err
	}
	defer fin.Unref(t)
	fout, err := t.files.Get(int(out))
	if err != nil {
		return 0, err
	}
	defer fout.Unref(t)
	switch {
	case fin.Kind() == unix.S_IFDIR || fout.Kind() == unix.S_IFDIR:
		return 0, unix.EISDIR
	case fin.Kind() != unix.S_IFREG || fout.Kind() != unix.S_IFREG:
		return 0, unix.EINVAL
	case !fin.CanRead() || !fout.CanWrite() || fout.Flags&unix.O_APPEND != 0:
		return 0, unix.EBADF
	}
	pos := func(p Ptr[int64], f *vfs.File) (int64, error) {
		if p == 0 {
			return f.Pos, nil
		}
		return p.In(t)
	}
	from, err := pos(offIn, fin)
	if err != nil {
		return 0, err
	}
	to, err := pos(offOut, fout)
	if err != nil {
		return 0, err
	}
	n = min(n, maxIO)
	if from < 0 || to < 0 || from > math.MaxInt64-int64(n) || to > math.MaxInt64-int64(n) {
		return 0, unix.EINVAL
	}
	if fin.Inode == fout.Inode && from < to+int64(n) && to < from+int64(n) {
		return 0, unix.EINVAL
	}
	r, err := t.copyBetween(n, func(p []byte) (int, error) {
		k, err := fin.Pread(t, p, from)
		from += int64(k)
		return k, err
	}, func(p []byte) (int, error) {
		k, err := fout.Pwrite(t, p, to)
		to += int64(k)
		return k, err
	}, func(k int) { from -= int64(k) })
	if err != nil {
		return 0, t.writeError(err)
	}
	store := func(p Ptr[int64], f *vfs.File, v int64) error {
		if p == 0 {
			f.Pos = v
			return nil
		}
		return p.Put(t, v)
	}
	if err := store(offIn, fin, from); err != nil {
		return 0, err
	}
	return r, store(offOut, fout, to)
}

// listDir fills a guest's buffer with directory entries that encode makes;
// its result is nil when there is no more room.
func (t *Task) listDir(fd FD, buf Addr, size uint64, encode func(e vfs.DirEntry, room int) []byte) (uint64, error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	var out []byte
	full, bad := false, false
	room := int(min(size, chunk))
	err = f.ReadDir(t, func(e vfs.DirEntry) bool {
		if out == nil {
			// An entry that cannot be handed over stays to be read.
			ok := int(t.accessible(uint64(buf), uint64(room), true))
			if bad = ok < room && encode(e, ok) == nil && encode(e, room) != nil; bad {
				return false
			}
			room = ok
		}
		b := encode(e, room-len(out))
		if b == nil {
			full = true
			return false
		}
		out = append(out, b...)
		return true
	})
	if bad {
		return 0, unix.EFAULT
	}
	if err != nil && len(out) == 0 {
		return 0, err
	}
	if full && len(out) == 0 {
		return 0, unix.EINVAL
	}
	return uint64(len(out)), t.CopyOut(uint64(buf), out)
}

// Requests of ioctl(2) that any description has.
const (
	fionread = 0x541b
	fionbio  = 0x5421
	fionclex = 0x5450
	fioclex  = 0x5451
	fioasync = 0x5452
)
