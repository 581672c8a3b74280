package gofs

import (
	"bytes"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// What is mapped is a copy of the file in a memfd of the host. It lives as long
// as the file is open, and of a file system that is not written until the node
// is forgotten. Writes go to both. What programs write through a mapping is
// seen by reads at once, and written back by msync(2), fsync(2), and at the
// latest when the last of what could write it is closed and unmapped. Changes
// that are made behind our back do not reach mappings.

const copyChunk = 64 << 10

// maxCopy is the largest file that is copied.
const maxCopy = 1 << 40

// HostFile implements vfs.Mmapper.
func (o *openFile) HostFile(ctx vfs.Context, _ *vfs.File, writable bool) (int, uint64, error) {
	n := o.node
	if writable && !(o.h.writes && o.h.reads) {
		return -1, 0, unix.EACCES
	}
	if err := n.copy.Lock(ctx); err != nil {
		return -1, 0, err
	}
	defer n.copy.Unlock()
	if n.key == 0 {
		fd, err := o.copyOut(ctx)
		if err != nil {
			return -1, 0, err
		}
		n.host, n.key = fd, vfs.NewKey()
	}
	n.dirty = n.dirty || writable
	return n.host, n.key, nil
}

// copyOut copies the contents to a memfd.
func (o *openFile) copyOut(ctx vfs.Context) (fd int, err error) {
	h := o.h
	if !h.reads {
		return -1, unix.EACCES
	}
	if fd, err = memfd(); err != nil {
		return -1, unix.ENOMEM
	}
	buf := make([]byte, copyChunk)
	var n int
	for off := int64(0); err == nil && off < maxCopy; off += int64(n) {
		if n, err = h.read(ctx, false, buf, off); n == 0 {
			break
		}
		if bytes.Count(buf[:n], []byte{0}) == n { // a hole
			err = unix.Ftruncate(fd, off+int64(n))
		} else {
			_, err = unix.Pwrite(fd, buf[:n], off)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
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

func (n *node) closeCopy() {
	if n.key != 0 {
		vfs.ForgetKey(n.key)
		unix.Close(n.host)
		n.key, n.dirty = 0, false
	}
}

// SyncMap implements vfs.MapSyncer.
func (o *openFile) SyncMap(ctx vfs.Context, _ *vfs.File) error {
	if o.key == 0 || !o.dirty || !o.h.writes {
		return nil
	}
	return o.writeBack(ctx, o.h)
}

// writeBack writes what the copy has and the file has not.
func (n *node) writeBack(ctx vfs.Context, h *handle) error {
	if !h.reads || n.key == 0 {
		return nil
	}
	if err := n.copy.Lock(ctx); err != nil {
		return err
	}
	defer n.copy.Unlock()
	ours, theirs := make([]byte, copyChunk), make([]byte, copyChunk)
	for off := int64(0); n.key != 0; {
		k, err := unix.Pread(n.host, ours, off)
		if k <= 0 || err != nil {
			return err
		}
		m, err := h.read(ctx, true, theirs[:k], off)
		if err != nil {
			return err
		}
		clear(theirs[m:k])
		for at := 0; at < k; at += blockSize {
			end := min(at+blockSize, k)
			// What is beyond the file's end was cut off meanwhile.
			end = min(end, m)
			if at >= end || bytes.Equal(ours[at:end], theirs[at:end]) {
				continue
			}
			for p := ours[at:end]; len(p) > 0; {
				w, err := h.write(ctx, true, p, off+int64(end-len(p)))
				if err != nil {
					return err
				}
				p = p[w:]
			}
		}
		off += int64(k)
	}
	return nil
}
