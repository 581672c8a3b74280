package kernel

import (
	"github.com/sysemu/sysemu/internal/pipe"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"pipe":     e1(func(t *Task, p Ptr[[2]int32]) error { return sysPipe2(t, p, 0) }),
		"pipe2":    e2(sysPipe2),
		"splice":   r6(sysSplice),
		"tee":      r4(sysTee),
		"vmsplice": r4(sysVmsplice[iovec]),
	})
}

// pipeDev is st_dev of pipes without a name.
const pipeDev = 14

func sysPipe2(t *Task, p Ptr[[2]int32], flags int32) error {
	if flags&^(unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_DIRECT) != 0 {
		return unix.EINVAL
	}
	t.k.inode++
	r, w := pipe.New(t, pipeDev, t.k.inode, int(flags)&(unix.O_NONBLOCK|unix.O_DIRECT))
	return t.installPair(r, w, flags&unix.O_CLOEXEC != 0, p)
}

const knownSplice = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MORE | unix.SPLICE_F_GIFT

// twoFiles holds the descriptions of two descriptors.
func (t *Task) twoFiles(a, b FD) (f, g *vfs.File, err error) {
	if f, err = t.files.Get(int(a)); err != nil {
		return nil, nil, err
	}
	if g, err = t.files.Get(int(b)); err != nil {
		f.Unref(t)
		return nil, nil, err
	}
	return f, g, nil
}

func sysSplice(t *Task, in FD, offIn Ptr[int64], out FD, offOut Ptr[int64], n uint64, flags uint32) (int, error) {
	if flags&^knownSplice != 0 {
		return 0, unix.EINVAL
	}
	if n == 0 {
		return 0, nil
	}
	fin, fout, err := t.twoFiles(in, out)
	if err != nil {
		return 0, err
	}
	defer fin.Unref(t)
	defer fout.Unref(t)
	if !fin.CanRead() || !fout.CanWrite() {
		return 0, unix.EBADF
	}
	count := int(min(n, maxIO))
	pin, pout := pipe.Of(fin), pipe.Of(fout)
	nonblock := func(f *vfs.File) bool { return flags&unix.SPLICE_F_NONBLOCK != 0 || f.NonBlocking() }
	switch {
	case pin != nil && pout != nil:
		if offIn != 0 || offOut != 0 {
			return 0, unix.ESPIPE
		}
		k, err := pipe.Splice(t, pout, pin, count, nonblock(fin) || nonblock(fout))
		return k, t.writeError(err)
	case pin != nil:
		if offIn != 0 {
			return 0, unix.ESPIPE
		}
		if fout.Flags&unix.O_APPEND != 0 {
			return 0, unix.EINVAL
		}
		if offOut == 0 {
			k, err := pin.SpliceTo(t, count, nonblock(fin), func(b []byte) (int, error) { return fout.Write(t, b) })
			return k, t.writeError(err)
		}
		off, err := offOut.In(t)
		if err != nil {
			return 0, err
		}
		k, err := pin.SpliceTo(t, count, nonblock(fin), func(b []byte) (int, error) {
			w, err := fout.Pwrite(t, b, off)
			off += int64(w)
			return w, err
		})
		if err == nil {
			err = offOut.Put(t, off)
		}
		return k, t.writeError(err)
	case pout != nil:
		if offOut != 0 {
			return 0, unix.ESPIPE
		}
		if offIn == 0 {
			k, err := pout.SpliceFrom(t, count, nonblock(fout), func(b []byte) (int, error) { return fin.Read(t, b) })
			return k, t.writeError(err)
		}
		off, err := offIn.In(t)
		if err != nil {
			return 0, err
		}
		k, err := pout.SpliceFrom(t, count, nonblock(fout), func(b []byte) (int, error) {
			r, err := fin.Pread(t, b, off)
			off += int64(r)
			return r, err
		})
		if err == nil {
			err = offIn.Put(t, off)
		}
		return k, t.writeError(err)
	}
	return 0, unix.EINVAL
}

func sysTee(t *Task, in, out FD, n uint64, flags uint32) (int, error) {
	if flags&^knownSplice != 0 {
		return 0, unix.EINVAL
	}
	if n == 0 {
		return 0, nil
	}
	fin, fout, err := t.twoFiles(in, out)
	if err != nil {
		return 0, err
	}
	defer fin.Unref(t)
	defer fout.Unref(t)
	if !fin.CanRead() || !fout.CanWrite() {
		return 0, unix.EBADF
	}
	pin, pout := pipe.Of(fin), pipe.Of(fout)
	if pin == nil || pout == nil {
		return 0, unix.EINVAL
	}
	k, err := pipe.Tee(t, pout, pin, int(min(n, maxIO)), flags&unix.SPLICE_F_NONBLOCK != 0 || fin.NonBlocking() || fout.NonBlocking())
	return k, t.writeError(err)
}

// sysVmsplice moves guest memory into a pipe, or out of one. The pages are
// copied: a gift is taken as a loan.
func sysVmsplice[V iovecs](t *Task, fd FD, vec Ptr[V], n uint64, flags uint32) (uint64, error) {
	if flags&^knownSplice != 0 {
		return 0, unix.EINVAL
	}
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	p := pipe.Of(f)
	if p == nil {
		return 0, unix.EBADF
	}
	v, err := vector(t, vec, n)
	if err != nil {
		return 0, err
	}
	nonblock := flags&unix.SPLICE_F_NONBLOCK != 0 || f.NonBlocking()
	if f.CanWrite() {
		k, err := t.writeFrom(v, 0, func(b []byte, _ int64) (int, error) { return p.Write(t, b, nonblock, false) })
		return k, t.writeError(err)
	}
	return t.readTo(v, 0, func(b []byte, _ int64) (int, error) { return p.Read(t, b, nonblock) })
}
