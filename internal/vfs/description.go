package vfs

import (
	"math"

	"golang.org/x/sys/unix"
)

// The methods of File, the open file description: what the calls on
// descriptors do, given the description. EBADF is for access that it was not
// opened for, and for everything on an O_PATH description.

// NewFile returns a description with one reference; it takes its own
// reference to p, which is zero for what has no name. impl is released with
// the last reference.
func NewFile(p Path, ino Inode, impl Impl, flags int) *File {
	f := &File{Path: p, Inode: ino, Impl: impl, Flags: flags, refs: 1}
	if p.Dentry != nil {
		p.Ref()
		f.kind, f.extra = p.Dentry.kind, p.Dentry.extra
	} else if f.extra = extraOf(ino); f.extra != nil {
		f.extra.refs++
	}
	if f.extra != nil && f.kind == unix.S_IFREG && f.CanWrite() {
		f.extra.writers++
	}
	return f
}

// NewRegular is NewFile for a regular file without a name, such as a memfd. As
// on Linux it does not count as one that is open for writing: a program made in
// a memfd can be run while that is open.
func NewRegular(ino Inode, impl Impl, flags int) *File {
	f := NewFile(Path{}, ino, impl, flags)
	f.kind, f.uncounted = unix.S_IFREG, true
	return f
}

// Extra returns what is kept beside the file's inode, or nil.
func (f *File) Extra() *Extra { return f.extra }

// Ref takes a reference and returns f.
func (f *File) Ref() *File {
	f.refs++
	return f
}

// Unref gives a reference back; the last one ends the description.
func (f *File) Unref(ctx Context) {
	f.refs--
	if f.refs > 0 {
		if f.inFlight == f.refs {
			f.Impl.(Stranded).Stranded(ctx)
		}
		return
	}
	if f.refs < 0 {
		panic("vfs: file given back twice")
	}
	if f.async != nil {
		f.async.Remove()
		f.async = nil
	}
	for h := f.hooks; h != nil; h = f.hooks {
		h.Remove()
		h.Func()
	}
	if f.Flags&unix.O_PATH == 0 {
		if f.CanWrite() {
			f.notify(unix.IN_CLOSE_WRITE)
		} else {
			f.notify(unix.IN_CLOSE_NOWRITE)
		}
	}
	if f.extra != nil {
		f.extra.releaseFile(f)
		if f.kind == unix.S_IFREG && f.CanWrite() && !f.uncounted && f.extra.writers > 0 {
			f.extra.writers--
		}
	}
	f.Impl.Release(ctx)
	if f.anon != nil {
		f.anon.put()
	}
	if f.Path.Dentry != nil {
		f.Path.Unref()
	} else {
		dropInode(f.Inode, f.extra)
	}
}

// ReleaseHook is told that a description ends, just before it does: epoll
// forgets it then. A hook is on at most one description.
type ReleaseHook struct {
	Func func()

	f          *File
	prev, next *ReleaseHook
}

// OnRelease sets h on f.
func (f *File) OnRelease(h *ReleaseHook) {
	h.f, h.prev, h.next = f, nil, f.hooks
	if h.next != nil {
		h.next.prev = h
	}
	f.hooks = h
}

// Remove takes h off; it does nothing when h is not set.
func (h *ReleaseHook) Remove() {
	if h.f == nil {
		return
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		h.f.hooks = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.f, h.prev, h.next = nil, nil, nil
}

// Stranded is an Impl that can be kept by messages that nobody can receive,
// as a socket sent to itself: it is told when no references to the
// description are left but those of messages in flight (see InFlight).
type Stranded interface{ Stranded(ctx Context) }

// InFlight adds n to the count of the references to f that are held by
// messages in flight. Only an Impl that is Stranded may be counted.
func (f *File) InFlight(n int) { f.inFlight += n }

// OnlyInFlight reports that only messages in flight hold f, and how many.
func (f *File) OnlyInFlight() (int, bool) { return f.inFlight, f.inFlight == f.refs }

// Place returns where f is, for a magic link to jump to: its Path, or for a
// nameless file a dentry of its own without a mount. Borrowed from f.
func (f *File) Place(ctx Context) (Path, error) {
	if f.Path.Dentry != nil {
		return f.Path, nil
	}
	if f.anon == nil {
		a, err := f.Inode.Attr(ctx)
		if err != nil {
			return Path{}, err
		}
		f.anon = newDentry(nil, nil, "")
		f.anon.fill(f.Inode, a.Mode)
	}
	return Path{Dentry: f.anon}, nil
}

// Name is what /proc/PID/fd shows, seen from root.
func (f *File) Name(root Path) string {
	if f.Path.Dentry != nil {
		return PathName(root, f.Path)
	}
	if n, ok := f.Inode.(Namer); ok {
		return n.Name()
	}
	return "anon_inode:"
}

// CanRead and CanWrite tell the access mode.
func (f *File) CanRead() bool {
	m := f.Flags & unix.O_ACCMODE
	return f.Flags&unix.O_PATH == 0 && (m == unix.O_RDONLY || m == unix.O_RDWR)
}
func (f *File) CanWrite() bool {
	m := f.Flags & unix.O_ACCMODE
	return f.Flags&unix.O_PATH == 0 && (m == unix.O_WRONLY || m == unix.O_RDWR)
}

// IsPath reports whether f was opened with O_PATH.
func (f *File) IsPath() bool { return f.Flags&unix.O_PATH != 0 }

// Kind returns S_IFMT of the file if it has a place or is a memfd, else 0.
func (f *File) Kind() uint32 { return f.kind }

// DenyWrite makes opening the file for writing ETXTBSY while a program is
// executed from it; ETXTBSY if someone has it open for writing.
func (f *File) DenyWrite() error {
	if f.extra == nil {
		return nil
	}
	if f.extra.writers > 0 {
		return unix.ETXTBSY
	}
	f.extra.writers--
	return nil
}

// AllowWrite takes DenyWrite back.
func (f *File) AllowWrite() {
	if f.extra != nil && f.extra.writers < 0 {
		f.extra.writers++
	}
}

// notify tells the watches on the file.
func (f *File) notify(mask uint32) {
	switch {
	case f.Path.Dentry != nil:
		f.Path.Dentry.Notify(mask)
	case f.extra != nil && len(f.extra.watches) > 0:
		f.extra.event(mask, 0, "", false)
	}
}

// lockPos takes the offset's lock, for what has an offset that two threads
// may move at once.
func (f *File) lockPos(ctx Context) (locked bool, err error) {
	if f.kind != unix.S_IFREG && f.kind != unix.S_IFDIR {
		return false, nil
	}
	return true, f.pos.Lock(ctx)
}

// Read is read(2).
func (f *File) Read(ctx Context, p []byte) (int, error) {
	r, err := f.reader()
	if err != nil {
		return 0, err
	}
	if _, ok := f.Impl.(Seeker); !ok {
		n, err := r.Read(ctx, f, p, 0)
		if n > 0 {
			f.notify(unix.IN_ACCESS)
		}
		return n, err
	}
	locked, err := f.lockPos(ctx)
	if err != nil {
		return 0, err
	}
	if locked {
		defer f.pos.Unlock()
	}
	n, err := r.Read(ctx, f, p, f.Pos)
	if n > 0 {
		f.Pos += int64(n)
		f.notify(unix.IN_ACCESS)
	}
	return n, err
}

func (f *File) reader() (Reader, error) {
	if !f.CanRead() {
		return nil, unix.EBADF
	}
	if r, ok := f.Impl.(Reader); ok {
		return r, nil
	}
	if f.kind == unix.S_IFDIR {
		return nil, unix.EISDIR
	}
	return nil, unix.EINVAL
}

func (f *File) writer() (Writer, error) {
	if !f.CanWrite() {
		return nil, unix.EBADF
	}
	if w, ok := f.Impl.(Writer); ok {
		return w, nil
	}
	return nil, unix.EINVAL
}

// Pread is pread(2).
func (f *File) Pread(ctx Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	if f.IsPath() {
		return 0, unix.EBADF
	}
	if _, ok := f.Impl.(Seeker); !ok && f.kind != unix.S_IFDIR {
		return 0, unix.ESPIPE
	}
	r, err := f.reader()
	if err != nil {
		return 0, err
	}
	if off+int64(len(p)) < 0 {
		return 0, unix.EINVAL
	}
	n, err := r.Read(ctx, f, p, off)
	if n > 0 {
		f.notify(unix.IN_ACCESS)
	}
	return n, err
}

// Write is write(2).
func (f *File) Write(ctx Context, p []byte) (int, error) {
	w, err := f.writer()
	if err != nil {
		return 0, err
	}
	if _, ok := f.Impl.(Seeker); !ok {
		n, err := w.Write(ctx, f, p, 0)
		if n > 0 {
			f.notify(unix.IN_MODIFY)
		}
		return n, err
	}
	locked, err := f.lockPos(ctx)
	if err != nil {
		return 0, err
	}
	if locked {
		defer f.pos.Unlock()
	}
	n, end, err := f.write(ctx, w, p, f.Pos)
	if n > 0 {
		f.Pos = end
		f.notify(unix.IN_MODIFY)
	}
	return n, err
}

// write writes at off or, when appending, at the end, within the limit on the
// file's size; end is the offset after it.
func (f *File) write(ctx Context, w Writer, p []byte, off int64) (n int, end int64, err error) {
	if len(p) == 0 && f.kind == unix.S_IFREG {
		return 0, off, nil
	}
	appends := f.Flags&unix.O_APPEND != 0
	if f.kind == unix.S_IFREG {
		if q, ok := ctx.(Quota); ok {
			n, err := q.WriteRegular(p, func(p []byte) (n int, err error) {
				n, end, err = f.writeAt(ctx, w, p, off, appends)
				return n, err
			})
			return n, end, err
		}
	}
	return f.writeAt(ctx, w, p, off, appends)
}

// Quota is a Context that counts what it writes to regular files, and may have
// only so much of it: EDQUOT. What is written is a part of p, at its beginning.
type Quota interface {
	WriteRegular(p []byte, write func(p []byte) (int, error)) (int, error)
	// Allocating is asked about n bytes of fallocate(2).
	Allocating(n int64) error
}

// sizeLimit is how large writes may make the file.
func (f *File) sizeLimit(ctx Context) uint64 {
	limit := ctx.FileSizeLimit()
	if f.Flags&OLargefile == 0 {
		limit = min(limit, maxSmall)
	}
	return limit
}

func (f *File) writeAt(ctx Context, w Writer, p []byte, off int64, appends bool) (n int, end int64, err error) {
	if f.kind == unix.S_IFREG {
		if limit := f.sizeLimit(ctx); limit < math.MaxInt64 {
			at := off
			if appends {
				a, err := f.Inode.Attr(ctx)
				if err != nil {
					return 0, off, err
				}
				at = a.Size
			}
			if at >= int64(limit) {
				return 0, off, unix.EFBIG
			}
			if room := int64(limit) - at; int64(len(p)) > room {
				p = p[:room]
			}
		}
	}
	if appends {
		if a, ok := w.(Appender); ok {
			if err := Changing(ctx, f.Path, f.Inode, 0, 0); err != nil {
				return 0, off, err
			}
			defer f.wrote(ctx)
			return a.Append(ctx, f, p)
		}
	}
	if off > math.MaxInt64-int64(len(p)) {
		if off == math.MaxInt64 || f.kind != unix.S_IFREG {
			return 0, off, unix.EFBIG
		}
		p = p[:math.MaxInt64-off]
	}
	if f.kind == unix.S_IFREG {
		if err := Changing(ctx, f.Path, f.Inode, off, int64(len(p))); err != nil {
			return 0, off, err
		}
		defer f.wrote(ctx)
	}
	n, err = w.Write(ctx, f, p, off)
	return n, off + int64(n), err
}

// wrote ends a write to a regular file: with O_SYNC or O_DSYNC it is synced.
func (f *File) wrote(ctx Context) {
	if f.Flags&unix.O_DSYNC != 0 {
		synced(ctx, f.Inode)
	}
}

// Pwrite is pwrite(2). As on Linux it appends when O_APPEND is set.
func (f *File) Pwrite(ctx Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	if f.IsPath() {
		return 0, unix.EBADF
	}
	if _, ok := f.Impl.(Seeker); !ok && f.kind != unix.S_IFDIR {
		return 0, unix.ESPIPE
	}
	w, err := f.writer()
	if err != nil {
		return 0, err
	}
	if off+int64(len(p)) < 0 {
		return 0, unix.EINVAL
	}
	n, _, err := f.write(ctx, w, p, off)
	if n > 0 {
		f.notify(unix.IN_MODIFY)
	}
	return n, err
}

// Seek is lseek(2).
func (f *File) Seek(ctx Context, off int64, whence int) (int64, error) {
	if f.IsPath() {
		return 0, unix.EBADF
	}
	s, ok := f.Impl.(Seeker)
	if !ok && f.kind != unix.S_IFDIR {
		return 0, unix.ESPIPE
	}
	locked, err := f.lockPos(ctx)
	if err != nil {
		return 0, err
	}
	if locked {
		defer f.pos.Unlock()
	}
	var pos int64
	if ok {
		pos, err = s.Seek(ctx, f, off, whence)
	} else {
		pos, err = SeekTo(f, off, whence, math.MaxInt64)
	}
	if err == nil {
		f.Pos = pos
	}
	return pos, err
}

// SeekTo is what a Seeker of an ordinary file of the given size, all data,
// returns.
func SeekTo(f *File, off int64, whence int, size int64) (int64, error) {
	var base int64
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		base = f.Pos
	case unix.SEEK_END:
		base = size
	case unix.SEEK_DATA, unix.SEEK_HOLE:
		if off < 0 || off >= size {
			return 0, unix.ENXIO
		}
		if whence == unix.SEEK_HOLE {
			return size, nil
		}
		return off, nil
	default:
		return 0, unix.EINVAL
	}
	if off > 0 && base > math.MaxInt64-off {
		return 0, unix.EOVERFLOW
	}
	if base+off < 0 {
		return 0, unix.EINVAL
	}
	return base + off, nil
}

// ReadDir lists the directory from the offset on, until emit returns false;
// the entry it refused comes first the next time. ENOENT in a directory that
// was removed.
func (f *File) ReadDir(ctx Context, emit func(DirEntry) bool) error {
	if !f.CanRead() {
		return unix.EBADF
	}
	r, ok := f.Impl.(DirReader)
	if !ok {
		return unix.ENOTDIR
	}
	locked, err := f.lockPos(ctx)
	if err != nil {
		return err
	}
	if locked {
		defer f.pos.Unlock()
	}
	if d := f.Path.Dentry; d != nil && d.dead {
		err = unix.ENOENT
	} else {
		pos := f.Pos
		err = r.ReadDir(ctx, f, pos, func(e DirEntry) bool {
			if !emit(e) {
				return false
			}
			pos = e.Next
			return true
		})
		f.Pos = pos
	}
	f.notify(unix.IN_ACCESS)
	return err
}

// Sync is fsync(2), and fdatasync(2) when dataOnly.
func (f *File) Sync(ctx Context, dataOnly bool) error {
	if f.IsPath() {
		return unix.EBADF
	}
	synced(ctx, f.Inode)
	if s, ok := f.Impl.(Syncer); ok {
		return s.Sync(ctx, f, dataOnly)
	}
	if f.kind == unix.S_IFREG || f.kind == unix.S_IFDIR || f.kind == unix.S_IFBLK {
		return nil
	}
	return unix.EINVAL
}

// Allocate is fallocate(2).
func (f *File) Allocate(ctx Context, mode uint32, off, n int64) error {
	if !f.CanWrite() {
		return unix.EBADF
	}
	if off < 0 || n <= 0 {
		return unix.EINVAL
	}
	switch f.kind {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return unix.EISDIR
	case unix.S_IFIFO:
		return unix.ESPIPE
	default:
		return unix.ENODEV
	}
	a, ok := f.Impl.(Allocator)
	if !ok {
		return unix.EOPNOTSUPP
	}
	if off > math.MaxInt64-n {
		return unix.EFBIG
	}
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && uint64(off+n) > ctx.FileSizeLimit() {
		return unix.EFBIG
	}
	if q, ok := ctx.(Quota); ok && mode&unix.FALLOC_FL_PUNCH_HOLE == 0 {
		if err := q.Allocating(n); err != nil {
			return err
		}
	}
	if err := Changing(ctx, f.Path, f.Inode, off, math.MaxInt64); err != nil {
		return err
	}
	if err := a.Allocate(ctx, f, mode, off, n); err != nil {
		return err
	}
	f.notify(unix.IN_MODIFY)
	return nil
}

// TouchAtime reports whether reading f now updates its access time, given
// its times: O_NOATIME, the mount's flags and the rule of relatime.
func (f *File) TouchAtime(atime, mtime, ctime, now int64) bool {
	if f.Flags&unix.O_NOATIME != 0 {
		return false
	}
	if m := f.Path.Mount; m != nil {
		if m.Flags&unix.MS_NOATIME != 0 || m.ReadOnly() || m.Flags&unix.MS_NODIRATIME != 0 && f.kind == unix.S_IFDIR {
			return false
		}
	}
	return atime <= mtime || atime <= ctime || now-atime >= 24*3600*1e9
}
