package kernel

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/internal/vfs"
)

func sysGetdents64(t *Task, fd FD, buf Addr, size uint32) (uint64, error) {
	return t.listDir(fd, buf, uint64(size), func(e vfs.DirEntry, room int) []byte {
		n := (19 + len(e.Name) + 1 + 7) &^ 7
		if n > room {
			return nil
		}
		b := direntHead(e, n)
		b[18] = e.Type
		copy(b[19:], e.Name)
		return b
	})
}

func sysGetdents(t *Task, fd FD, buf Addr, size uint32) (uint64, error) {
	return t.listDir(fd, buf, uint64(size), func(e vfs.DirEntry, room int) []byte {
		n := (18 + len(e.Name) + 2 + 7) &^ 7
		if n > room {
			return nil
		}
		b := direntHead(e, n)
		copy(b[18:], e.Name)
		b[n-1] = e.Type
		return b
	})
}

// direntHead is what both layouts begin with: inode, cookie, length.
func direntHead(e vfs.DirEntry, n int) []byte {
	b := make([]byte, n)
	le := binary.LittleEndian
	le.PutUint64(b, e.Ino)
	le.PutUint64(b[8:], uint64(e.Next))
	le.PutUint16(b[16:], uint16(n))
	return b
}
