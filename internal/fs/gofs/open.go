package gofs

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// handle is an open file of the Go file system.
type handle struct {
	fs     *FS
	file   fs.File
	name   string
	pos    int64 // where file is, if it must be read in order
	lost   bool  // a read in order was not waited for: pos is not known
	reads  bool
	writes bool
	of     *node // whose made it is
	uses   int   // descriptions
}

// open opens a file for reading, or any other way if it can be written.
func (f *FS) open(ctx vfs.Context, name string, flags int, mode uint32) (*handle, error) {
	acc := flags & unix.O_ACCMODE
	h := &handle{fs: f, name: name, reads: acc != os.O_WRONLY, writes: acc != os.O_RDONLY}
	what := "Open"
	open := func() (fs.File, error) { return f.fsys.Open(name) }
	if f.rw != nil {
		what = "OpenFile"
		open = func() (fs.File, error) {
			file, err := f.rw.OpenFile(name, flags, vfs.GoMode(mode)&^fs.ModeType)
			if file == nil { // or it would be an interface that is not nil
				return nil, err
			}
			return file, err
		}
	}
	late := func(file fs.File) {
		if file != nil {
			file.Close()
		}
	}
	var err error
	h.file, err = askFor(f, ctx, false, what, late, open)
	if err == nil && h.file == nil {
		err = f.lie("%s of %q returned neither a file nor an error", what, name)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// close closes the file. What it waits for then is waited for by who is killed,
// too: there may be something to be written.
func (h *handle) close(ctx vfs.Context) error {
	_, err := askFor(h.fs, ctx, true, "Close", nil, func() (struct{}, error) { return struct{}{}, h.file.Close() })
	return err
}

// take takes a handle that was opened with the making of its file.
func (h *handle) take() {
	h.of.made, h.of = nil, nil
	h.fs.temps = slices.DeleteFunc(h.fs.temps, func(o *handle) bool { return o == h })
}

func (h *handle) stat(ctx vfs.Context) (*told, error) {
	f := h.fs
	t, err := ask(f, ctx, "Stat", func() (*told, error) {
		info, err := h.file.Stat()
		if err != nil {
			return nil, err
		}
		return f.tellOf(info), nil
	})
	return f.checked(t, err, "Stat", h.name)
}

// read fills p with what is at off, as far as there is something.
func (h *handle) read(ctx vfs.Context, must bool, p []byte, off int64) (int, error) {
	if h.lost {
		return 0, unix.EIO
	}
	type answer struct {
		n   int
		pos int64
		f   fs.File
	}
	buf := p
	if !h.fs.quick {
		buf = make([]byte, len(p))
	}
	at := *h
	a, err := askFor(h.fs, ctx, must, "Read", nil, func() (answer, error) {
		n, err := at.readAt(buf, off)
		return answer{n, at.pos, at.file}, err
	})
	if err == unix.EINTR {
		if _, any := h.file.(io.ReaderAt); !any {
			h.lost = true
		}
		return 0, err
	}
	h.pos, h.file = a.pos, a.f
	if a.f == nil { // it panicked
		h.file = at.file
	}
	if a.n < 0 || a.n > len(p) {
		return 0, h.fs.lie("Read of %q returned %d of %d bytes", h.name, a.n, len(p))
	}
	if !h.fs.quick {
		copy(p, buf[:a.n])
	}
	if a.n > 0 {
		return a.n, nil
	}
	return 0, err
}

// lies is an error for an answer that cannot be, told by the count.
var errCount = errors.New("a count that cannot be")

// readAt reads at off by whatever the file can do: at any place, by seeking,
// or by going on from where it is, from its start again if that is past off.
func (h *handle) readAt(p []byte, off int64) (n int, err error) {
	if r, ok := h.file.(io.ReaderAt); ok {
		n, err = r.ReadAt(p, off)
		return n, notEOF(err)
	}
	if off != h.pos {
		if s, ok := h.file.(io.Seeker); ok {
			if h.pos, err = s.Seek(off, io.SeekStart); err != nil {
				return 0, err
			}
		}
	}
	if off < h.pos {
		again, err := h.fs.fsys.Open(h.name)
		if err != nil {
			return 0, err
		}
		h.file.Close()
		h.file, h.pos = again, 0
	}
	if off > h.pos {
		skip := make([]byte, min(off-h.pos, 64<<10))
		for h.pos < off {
			m, err := h.readSome(skip[:min(off-h.pos, int64(len(skip)))])
			h.pos += int64(m)
			if err != nil {
				return 0, notEOF(err)
			}
		}
	}
	for n < len(p) && err == nil {
		var m int
		m, err = h.readSome(p[n:])
		if err == errCount {
			return m, nil // the caller will see it
		}
		n += m
		h.pos += int64(m)
	}
	return n, notEOF(err)
}

// readSome is one Read. One that returns nothing, again and again, is an error.
func (h *handle) readSome(p []byte) (int, error) {
	for range 100 {
		n, err := h.file.Read(p)
		if n < 0 || n > len(p) {
			return n, errCount
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// write writes p at off.
func (h *handle) write(ctx vfs.Context, must bool, p []byte, off int64) (int, error) {
	w, ok := h.file.(io.WriterAt)
	if !ok {
		return 0, unix.EROFS
	}
	buf := p
	if !h.fs.quick {
		buf = slices.Clone(p)
	}
	n, err := askFor(h.fs, ctx, must, "WriteAt", nil, func() (int, error) { return w.WriteAt(buf, off) })
	switch {
	case n < 0 || n > len(p):
		return 0, h.fs.lie("WriteAt of %q returned %d of %d bytes", h.name, n, len(p))
	case n > 0:
		return n, nil
	case err == nil && len(p) > 0:
		return 0, h.fs.lie("WriteAt of %q wrote nothing and returned no error", h.name)
	}
	return 0, err
}

// Open implements vfs.Opener.
func (n *still) Open(ctx vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	return n.openNode(ctx, flags)
}

// Open implements vfs.Opener.
func (n *live) Open(ctx vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	return n.openNode(ctx, flags)
}

func (n *node) openNode(ctx vfs.Context, flags int) (vfs.Impl, error) {
	if n.attr.Mode&unix.S_IFMT == unix.S_IFDIR {
		return &openDir{node: n}, nil
	}
	h, err := n.handle(ctx, flags&unix.O_ACCMODE)
	if err != nil {
		return nil, err
	}
	h.uses++
	o := &openFile{node: n, h: h}
	n.open = append(n.open, o)
	return o, nil
}

// handle opens the file for a description: the one that was opened when it was
// made, a new one, or for what has no name any more one that others have.
func (n *node) handle(ctx vfs.Context, acc int) (*handle, error) {
	if h := n.made; h != nil {
		h.take()
		return h, nil
	}
	name, err := n.path()
	if err == nil {
		return n.fs.open(ctx, name, acc, 0)
	}
	for _, o := range n.open {
		if (o.h.reads || acc == unix.O_WRONLY) && (o.h.writes || acc == unix.O_RDONLY) {
			return o.h, nil
		}
	}
	return nil, err
}

// openFile is an open regular file.
type openFile struct {
	*node
	h       *handle
	inOrder vfs.Mutex // held while a file that is read in order is used
}

// Release implements vfs.Impl.
func (o *openFile) Release(ctx vfs.Context) {
	n := o.node
	if n.dirty && o.h.writes {
		n.writeBack(ctx, o.h)
	}
	n.open = slices.DeleteFunc(n.open, func(x *openFile) bool { return x == o })
	if len(n.open) == 0 && n.fs.rw != nil {
		n.closeCopy() // what is mapped keeps its description
	}
	if o.h.uses--; o.h.uses == 0 {
		o.h.close(ctx)
	}
}

// Read implements vfs.Reader.
func (o *openFile) Read(ctx vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	if o.key != 0 && (o.fs.rw == nil || o.dirty) {
		n, err := unix.Pread(o.host, p, off)
		return max(n, 0), err
	}
	if _, any := o.h.file.(io.ReaderAt); !any {
		if err := o.inOrder.Lock(ctx); err != nil {
			return 0, err
		}
		defer o.inOrder.Unlock()
	}
	return o.h.read(ctx, false, p, off)
}

// Write implements vfs.Writer.
func (o *openFile) Write(ctx vfs.Context, d *vfs.File, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if m := vfs.DropPrivileges(ctx.Cred(), o.attr.Mode); m != o.attr.Mode {
		if err := o.SetAttr(ctx, vfs.SetMode, vfs.Attr{Mode: m}); err != nil {
			return 0, err
		}
	}
	n, err := o.h.write(ctx, false, p, off)
	if n > 0 && o.key != 0 {
		unix.Pwrite(o.host, p[:n], off)
	}
	if n > 0 && d.Flags&(unix.O_SYNC|unix.O_DSYNC) != 0 {
		err = o.h.sync(ctx)
	}
	return n, err
}

// Append implements vfs.Appender.
func (o *openFile) Append(ctx vfs.Context, d *vfs.File, p []byte) (n int, end int64, err error) {
	if err := o.busy.Lock(ctx); err != nil {
		return 0, 0, err
	}
	defer o.busy.Unlock()
	t, err := o.h.stat(ctx)
	if err != nil {
		return 0, 0, err
	}
	if t.size > math.MaxInt64-int64(len(p)) {
		return 0, 0, unix.EFBIG
	}
	n, err = o.Write(ctx, d, p, t.size)
	return n, t.size + int64(n), err
}

// Seek implements vfs.Seeker.
func (o *openFile) Seek(ctx vfs.Context, d *vfs.File, off int64, whence int) (int64, error) {
	size := o.attr.Size
	if o.fs.rw != nil && whence != unix.SEEK_SET && whence != unix.SEEK_CUR {
		t, err := o.h.stat(ctx)
		if err != nil {
			return 0, err
		}
		size = t.size
	}
	return vfs.SeekTo(d, off, whence, size)
}

// Sync implements vfs.Syncer.
func (o *openFile) Sync(ctx vfs.Context, _ *vfs.File, _ bool) error {
	if err := o.SyncMap(ctx, nil); err != nil {
		return err
	}
	return o.h.sync(ctx)
}

func (h *handle) sync(ctx vfs.Context) error {
	s, ok := h.file.(fsys.Syncer)
	if !ok || !h.writes {
		return nil
	}
	return h.fs.tell(ctx, "Sync", s.Sync)
}
