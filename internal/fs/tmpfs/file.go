package tmpfs

import (
	"math"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// file is a regular file. Its contents are in Go memory until it is mapped
// for the first time; from then on they are in a memfd of the host, so that
// mappings, reads and writes see the same pages. Big files go there too: they
// would weigh twice on the Go heap.
type file struct {
	node
	data  data
	size  int64
	host  *host // nil until mapped
	seals int
	opens int // what Open gave and Release has not taken back
}

// maxSize is the largest file: rounding up to a page does not overflow.
const maxSize = math.MaxInt64 &^ (pageSize - 1)

// Attr implements vfs.Inode.
func (f *file) Attr(ctx vfs.Context) (vfs.Attr, error) {
	a, _ := f.node.Attr(ctx)
	f.countHost()
	a.Size = f.size
	a.Blocks = f.data.pages * (pageSize / 512)
	return a, nil
}

// SetAttr implements vfs.AttrSetter.
func (f *file) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&vfs.SetSize != 0 {
		if err := f.resize(a.Size); err != nil {
			return err
		}
	}
	return f.node.SetAttr(ctx, set, a)
}

// resize cuts the file or lengthens it by a hole.
func (f *file) resize(size int64) error {
	switch {
	case size > maxSize:
		return unix.EFBIG
	case size < f.size && f.seals&unix.F_SEAL_SHRINK != 0, size > f.size && f.seals&unix.F_SEAL_GROW != 0:
		return unix.EPERM
	case f.host != nil:
		old := f.size
		if err := unix.Ftruncate(f.host.fd, size); err != nil {
			return err
		}
		if in := old & (pageSize - 1); size > old && in != 0 && f.host.present(old) {
			// What was written through a mapping beyond the old end is not data.
			f.host.write(make([]byte, min(pageSize-in, size-old)), old)
		}
		f.countHost()
	case size <= f.size: // the same size gives back what was reserved beyond it
		f.data.punch(f.fs, size, maxSize)
	}
	f.size = size
	return nil
}

// Open implements vfs.Opener: the file serves its own descriptions.
func (f *file) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) {
	f.opens++
	return f, nil
}

// Release implements vfs.Impl.
func (f *file) Release(vfs.Context) { f.opens-- }

// Evict implements vfs.Evicter.
func (f *file) Evict() {
	if f.nlink == 0 {
		f.node.Evict()
		f.free()
	}
}

// free gives back the contents.
func (f *file) free() {
	f.closeHost()
	f.fs.takePages(-f.data.pages)
	f.data = data{}
	f.size = 0
}

// Read implements vfs.Reader.
func (f *file) Read(ctx vfs.Context, d *vfs.File, p []byte, off int64) (int, error) {
	if now := ctx.Realtime(); d.TouchAtime(f.atime, f.mtime, f.ctime, now) {
		f.atime = now
	}
	if off >= f.size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.size-off)]
	if f.host != nil {
		return f.host.read(p, off)
	}
	f.data.read(p, off)
	return len(p), nil
}

// Write implements vfs.Writer.
func (f *file) Write(ctx vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
		return 0, unix.EPERM
	}
	if off >= maxSize {
		return 0, unix.EFBIG
	}
	p = p[:min(int64(len(p)), maxSize-off)]
	if f.seals&unix.F_SEAL_GROW != 0 && off+int64(len(p)) > f.size {
		if off >= f.size {
			return 0, unix.EPERM
		}
		p = p[:f.size-off]
	}
	if f.host == nil && f.data.pages >= bigPages && len(f.fs.hosts) < maxBig {
		f.toHost() // without it the file stays where it is
	}
	var n int
	var err error
	if f.host != nil {
		n, err = f.writeHost(p, off)
	} else {
		n, err = f.data.write(f.fs, p, off)
	}
	if n > 0 {
		f.size = max(f.size, off+int64(n))
		f.touch(ctx)
		f.mode = vfs.DropPrivileges(ctx.Cred(), f.mode)
	}
	return n, err
}

// Append implements vfs.Appender.
func (f *file) Append(ctx vfs.Context, d *vfs.File, p []byte) (n int, end int64, err error) {
	n, err = f.Write(ctx, d, p, f.size)
	return n, f.size, err
}

// Seek implements vfs.Seeker.
func (f *file) Seek(_ vfs.Context, d *vfs.File, off int64, whence int) (int64, error) {
	if whence != unix.SEEK_DATA && whence != unix.SEEK_HOLE {
		return vfs.SeekTo(d, off, whence, f.size)
	}
	if off < 0 || off >= f.size {
		return 0, unix.ENXIO
	}
	if f.host != nil {
		return unix.Seek(f.host.fd, off, whence)
	}
	pos := f.data.seek(off, f.size, whence == unix.SEEK_DATA)
	if pos >= f.size && whence == unix.SEEK_DATA {
		return 0, unix.ENXIO
	}
	return pos, nil
}

// Sync implements vfs.Syncer: memory is as good as it gets.
func (f *file) Sync(vfs.Context, *vfs.File, bool) error { return nil }

// Allocate implements vfs.Allocator. Beyond Linux's tmpfs it knows
// FALLOC_FL_ZERO_RANGE, as the disk file systems do.
func (f *file) Allocate(ctx vfs.Context, _ *vfs.File, mode uint32, off, n int64) error {
	end := off + n
	keep := mode&unix.FALLOC_FL_KEEP_SIZE != 0
	grow := !keep && end > f.size
	if end > maxSize {
		return unix.EFBIG
	}
	if f.seals&unix.F_SEAL_GROW != 0 && grow {
		return unix.EPERM
	}
	sealed := f.seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0
	switch mode {
	case 0, unix.FALLOC_FL_KEEP_SIZE:
		if err := f.reserve(off, end); err != nil {
			return err
		}
	case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE:
		if sealed {
			return unix.EPERM
		}
		if err := f.punch(off, end); err != nil {
			return err
		}
	case unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE:
		if sealed {
			return unix.EPERM
		}
		if err := f.punch(off, end); err != nil {
			return err
		}
		if err := f.reserve(off, end); err != nil {
			return err
		}
	default:
		return unix.EOPNOTSUPP
	}
	if grow {
		if err := f.resize(end); err != nil {
			return err
		}
	}
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 || grow {
		f.touch(ctx)
	}
	f.mode = vfs.DropPrivileges(ctx.Cred(), f.mode)
	return nil
}

func (f *file) reserve(off, end int64) error {
	if f.host != nil {
		return f.reserveHost(off, end)
	}
	return f.data.reserve(f.fs, off, end)
}

func (f *file) punch(off, end int64) error {
	if f.host != nil {
		return f.punchHost(off, end)
	}
	f.data.punch(f.fs, off, end)
	return nil
}

// Seals implements vfs.Sealer.
func (f *file) Seals() (int, error) { return f.seals, nil }

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE | sealExec

// sealExec is F_SEAL_EXEC: the execute bits cannot change.
const sealExec = 0x20

// AddSeals implements vfs.Sealer.
func (f *file) AddSeals(_ vfs.Context, d *vfs.File, seals int) error {
	switch {
	case !d.CanWrite():
		return unix.EPERM
	case seals&^allSeals != 0:
		return unix.EINVAL
	case f.seals&unix.F_SEAL_SEAL != 0:
		return unix.EPERM
	case seals&unix.F_SEAL_WRITE&^f.seals != 0 && f.Extra().WritableMaps > 0:
		return unix.EBUSY
	}
	f.seals |= seals
	return nil
}
