package gofs

import (
	"errors"
	"io"
	"io/fs"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Open implements vfs.Opener.
func (n *node) Open(ctx vfs.Context, _ vfs.Path, _ int) (vfs.Impl, error) {
	switch n.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return &openDir{node: n}, nil
	case unix.S_IFREG:
		f := &openFile{node: n}
		err := outside(ctx, func() (err error) {
			f.file, err = n.fs.fsys.Open(n.name)
			return err
		})
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	return nil, unix.ENXIO
}

// openFile is an open regular file.
type openFile struct {
	*node
	file fs.File
	pos  int64     // where file is, if it must be read in order
	busy vfs.Mutex // held while file is used
}

// Release implements vfs.Impl.
func (f *openFile) Release(ctx vfs.Context) {
	outside(ctx, f.file.Close)
}

// Read implements vfs.Reader.
func (f *openFile) Read(ctx vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	if f.key != 0 {
		n, err := unix.Pread(f.host, p, off)
		return max(n, 0), err
	}
	if err := f.busy.Lock(ctx); err != nil {
		return 0, err
	}
	defer f.busy.Unlock()
	n := 0
	err := outside(ctx, func() (err error) {
		n, err = f.readAt(p, off)
		return err
	})
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// readAt reads at off by whatever the file can do: at any place, by seeking,
// or by going on from where it is, from its start again if that is past off.
func (f *openFile) readAt(p []byte, off int64) (n int, err error) {
	if r, ok := f.file.(io.ReaderAt); ok {
		n, err = r.ReadAt(p, off)
		return n, notEOF(err)
	}
	if off != f.pos {
		if s, ok := f.file.(io.Seeker); ok {
			if f.pos, err = s.Seek(off, io.SeekStart); err != nil {
				return 0, err
			}
		}
	}
	if off < f.pos {
		again, err := f.fs.fsys.Open(f.name)
		if err != nil {
			return 0, err
		}
		f.file.Close()
		f.file, f.pos = again, 0
	}
	if off > f.pos {
		skipped, err := io.CopyN(io.Discard, f.file, off-f.pos)
		f.pos += skipped
		if err != nil {
			return 0, notEOF(err)
		}
	}
	n, err = io.ReadFull(f.file, p)
	f.pos += int64(n)
	return n, notEOF(err)
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// Seek implements vfs.Seeker.
func (f *openFile) Seek(_ vfs.Context, d *vfs.File, off int64, whence int) (int64, error) {
	return vfs.SeekTo(d, off, whence, f.size)
}

// HostFile implements vfs.Mmapper: mappings are of a copy in a memfd.
func (f *openFile) HostFile(ctx vfs.Context, _ *vfs.File, writable bool) (int, uint64, error) {
	n := f.node
	if writable {
		return -1, 0, unix.EACCES
	}
	if err := n.copy.Lock(ctx); err != nil {
		return -1, 0, err
	}
	defer n.copy.Unlock()
	if n.key != 0 {
		return n.host, n.key, nil
	}
	fd, err := memfd()
	if err != nil {
		return -1, 0, unix.ENOMEM
	}
	err = outside(ctx, func() error {
		src, err := n.fs.fsys.Open(n.name)
		if err != nil {
			return err
		}
		defer src.Close()
		return copyTo(fd, src)
	})
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	n.host, n.key = fd, vfs.NewKey()
	return n.host, n.key, nil
}

// memfd makes a host file that may be executed; hosts before 6.3 do not know
// MFD_EXEC and need not be told.
func memfd() (int, error) {
	const mfdExec = 0x10
	fd, err := unix.MemfdCreate("sysemu", unix.MFD_CLOEXEC|mfdExec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("sysemu", unix.MFD_CLOEXEC)
	}
	return fd, err
}

func copyTo(fd int, src io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		for p := buf[:n]; len(p) > 0; {
			w, err := unix.Write(fd, p)
			if err != nil && err != unix.EINTR {
				return err
			}
			p = p[max(w, 0):]
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (n *node) closeHost() {
	if n.key != 0 {
		vfs.ForgetKey(n.key)
		unix.Close(n.host)
		n.key = 0
	}
}

// openDir is an open directory; it is listed when first read.
type openDir struct {
	*node
	read    bool
	entries []fs.DirEntry
}

// Release implements vfs.Impl.
func (d *openDir) Release(vfs.Context) {}

// ReadDir implements vfs.DirReader. A cookie is a place in the listing.
func (d *openDir) ReadDir(ctx vfs.Context, f *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	if !d.read || pos == 0 {
		var list []fs.DirEntry
		err := outside(ctx, func() (err error) {
			list, err = fs.ReadDir(d.fs.fsys, d.name)
			return err
		})
		if err != nil {
			return err
		}
		d.entries, d.read = list, true
	}
	parent := ino(d.name)
	if p := f.Path.Dentry; p != nil && p.Parent() != nil {
		a, err := p.Parent().Inode().Attr(ctx)
		if err != nil {
			return err
		}
		parent = a.Ino
	}
	if pos == 0 && !emit(vfs.DirEntry{Name: ".", Ino: ino(d.name), Type: unix.DT_DIR, Next: 1}) {
		return nil
	}
	if pos <= 1 && !emit(vfs.DirEntry{Name: "..", Ino: parent, Type: unix.DT_DIR, Next: 2}) {
		return nil
	}
	for i := max(pos-2, 0); i < int64(len(d.entries)); i++ {
		e := d.entries[i]
		full := e.Name()
		if d.name != "." {
			full = d.name + "/" + full
		}
		if !emit(vfs.DirEntry{Name: e.Name(), Ino: ino(full), Type: uint8(typeOf(e.Type()) >> 12), Next: i + 3}) {
			return nil
		}
	}
	return nil
}
