package hostfs

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// listing is an open directory. The cookies are positions in it, by the order
// in which it has been read: the host's own may be hashes of 63 bits, too much
// for a 32-bit program's off_t.
type listing struct {
	d   *dir
	h   *handle
	buf []byte // of the host's entries; [at:end] are to be told
	at  int
	end int
	pos int64 // the cookie that buf[at:] goes on from

	host []int64 // the host's cookie after each entry, as far as it has been read
}

const listingBuffer = 32 << 10

// Open implements vfs.Opener.
func (d *dir) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) {
	h, err := d.pathHandle()
	if err != nil {
		return nil, err
	}
	defer d.fs.cache.put(h)
	if d.hidden {
		return &listing{d: d}, nil
	}
	flags := unix.O_RDONLY | unix.O_DIRECTORY | oBase
	fd := -1
	if d.fs.opts.ReadOnly {
		fd, err = d.fs.dot(h.fd, flags|unix.O_NOATIME, 0)
	}
	if fd < 0 {
		fd, err = d.fs.dot(h.fd, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return &listing{d: d, h: d.fs.cache.add(fd, nil)}, nil
}

// Release implements vfs.Impl.
func (l *listing) Release(vfs.Context) {
	if l.h != nil {
		l.d.fs.cache.put(l.h)
	}
}

// Sync implements vfs.Syncer.
func (l *listing) Sync(ctx vfs.Context, _ *vfs.File, dataOnly bool) error {
	if l.h == nil {
		return nil
	}
	return l.d.fs.sync(ctx, l.h.fd, dataOnly)
}

// ReadDir implements vfs.DirReader.
func (l *listing) ReadDir(_ vfs.Context, _ *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	if l.h == nil {
		return l.d.listNothing(pos, emit)
	}
	if pos != l.pos {
		if err := l.seek(pos); err != nil {
			return err
		}
	}
	for {
		for l.at < l.end {
			e, cookie, size := l.entry()
			// Up to a position that another description has told it is read in silence.
			if e.Next = l.pos + 1; e.Next > pos && !emit(e) {
				return nil
			}
			l.host = append(l.host[:l.pos], cookie)
			l.at += size
			l.pos = e.Next
		}
		if err := l.fill(); err != nil || l.end == 0 {
			return err
		}
	}
}

// seek goes to pos, or as near as is known.
func (l *listing) seek(pos int64) error {
	if pos < 0 {
		return unix.EINVAL
	}
	pos = min(pos, int64(len(l.host)))
	var cookie int64
	if pos > 0 {
		cookie = l.host[pos-1]
	}
	if _, err := unix.Seek(l.h.fd, cookie, unix.SEEK_SET); err != nil {
		return unix.EINVAL
	}
	l.pos, l.at, l.end = pos, 0, 0
	return nil
}

// fill reads more entries; end stays 0 when there are none.
func (l *listing) fill() error {
	if l.buf == nil {
		l.buf = make([]byte, listingBuffer)
	}
	l.at, l.end = 0, 0
	for {
		n, _, e := unix.Syscall(unix.SYS_GETDENTS64, uintptr(l.h.fd), uintptr(unsafe.Pointer(&l.buf[0])), uintptr(len(l.buf)))
		if e == unix.EINTR {
			continue
		}
		if e == 0 {
			l.end = int(n)
		}
		return errno(e)
	}
}

// entry decodes the entry at l.at, but for its cookie, which is apart. At the
// root ".." is the root.
func (l *listing) entry() (e vfs.DirEntry, cookie int64, size int) {
	b := l.buf[l.at:l.end]
	e.Ino = binary.NativeEndian.Uint64(b)
	cookie = int64(binary.NativeEndian.Uint64(b[8:]))
	size = int(binary.NativeEndian.Uint16(b[16:]))
	e.Type = b[18]
	s := b[19:size]
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	e.Name = string(s)
	if e.Name == ".." && &l.d.node == l.d.fs.root.base() {
		e.Ino = l.d.id.ino
	}
	return e, cookie, size
}

// listNothing lists a directory that is shown empty.
func (d *dir) listNothing(pos int64, emit func(vfs.DirEntry) bool) error {
	up := d.id.ino
	if len(d.names) > 0 {
		up = d.names[0].dir.id.ino
	}
	if pos <= 0 && !emit(vfs.DirEntry{Name: ".", Ino: d.id.ino, Type: unix.DT_DIR, Next: 1}) {
		return nil
	}
	if pos <= 1 {
		emit(vfs.DirEntry{Name: "..", Ino: up, Type: unix.DT_DIR, Next: 2})
	}
	return nil
}
