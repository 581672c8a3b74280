package net

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Control is the ancillary data of a message, cmsg(3): open files, who sent
// it, and what the protocol tells or is told.
type Control struct {
	Files []*vfs.File
	Creds *unix.Ucred
	Other []Cmsg
}

// Cmsg is a control message that is neither files nor credentials.
type Cmsg struct {
	Level, Type int
	Data        []byte
}

// maxRights is how many files one message carries.
const maxRights = 253

// Release gives the files back.
func (c *Control) Release(ctx vfs.Context) {
	for _, f := range c.Files {
		f.Unref(ctx)
	}
	c.Files = nil
}

// layout is how control messages lie in memory.
type layout struct{ header, align int }

func layoutOf(compat bool) layout {
	if compat {
		return layout{12, 4}
	}
	return layout{16, 8}
}

func (l layout) up(n int) int { return (n + l.align - 1) &^ (l.align - 1) }

// ParseControl reads control messages that a guest sends; get returns the
// file of a descriptor, referenced. compat is the layout of 32-bit programs.
// On an error the files are given back.
func ParseControl(ctx vfs.Context, b []byte, compat bool, get func(fd int) (*vfs.File, error)) (c Control, err error) {
	defer func() {
		if err != nil {
			c.Release(ctx)
		}
	}()
	l := layoutOf(compat)
	for len(b) >= l.header {
		var n uint64
		if compat {
			n = uint64(binary.NativeEndian.Uint32(b))
		} else {
			n = binary.NativeEndian.Uint64(b)
		}
		if n < uint64(l.header) || n > uint64(len(b)) {
			return c, unix.EINVAL
		}
		level := int32(binary.NativeEndian.Uint32(b[l.header-8:]))
		kind := int32(binary.NativeEndian.Uint32(b[l.header-4:]))
		data := b[l.header:n]
		b = b[min(l.up(int(n)), len(b)):]
		if level != unix.SOL_SOCKET {
			c.Other = append(c.Other, Cmsg{int(level), int(kind), data})
			continue
		}
		switch kind {
		case unix.SCM_RIGHTS:
			if len(data)/4+len(c.Files) > maxRights {
				return c, unix.EINVAL
			}
			for ; len(data) >= 4; data = data[4:] {
				f, err := get(int(int32(binary.NativeEndian.Uint32(data))))
				if err != nil {
					return c, err
				}
				c.Files = append(c.Files, f)
			}
		case unix.SCM_CREDENTIALS:
			if len(data) != unix.SizeofUcred {
				return c, unix.EINVAL
			}
			c.Creds = &unix.Ucred{Pid: int32(binary.NativeEndian.Uint32(data)),
				Uid: binary.NativeEndian.Uint32(data[4:]), Gid: binary.NativeEndian.Uint32(data[8:])}
		default:
			return c, unix.EINVAL
		}
	}
	return c, nil
}

// Marshal writes control messages for a guest that has room for space bytes.
// install gives a file, with its reference, a descriptor; the files that find
// no room are given back. flags is MSG_CTRUNC when something did not fit.
func (c *Control) Marshal(ctx vfs.Context, space int, compat bool, install func(f *vfs.File) (int, error)) (b []byte, flags int) {
	defer c.Release(ctx)
	l := layoutOf(compat)
	if c.Creds != nil {
		data := binary.NativeEndian.AppendUint32(nil, uint32(c.Creds.Pid))
		data = binary.NativeEndian.AppendUint32(data, c.Creds.Uid)
		data = binary.NativeEndian.AppendUint32(data, c.Creds.Gid)
		b, flags = l.put(b, space, unix.SOL_SOCKET, unix.SCM_CREDENTIALS, data)
	}
	for _, o := range c.Other {
		if compat && o.Level == unix.SOL_SOCKET && (o.Type == unix.SO_TIMESTAMP || o.Type == unix.SO_TIMESTAMPNS) {
			o.Data = halves(o.Data) // of longs
		}
		var more int
		b, more = l.put(b, space, o.Level, o.Type, o.Data)
		flags |= more
	}
	if len(c.Files) == 0 {
		return b, flags
	}
	var fds []byte
	room := (space - len(b) - l.header) / 4
	for len(c.Files) > 0 && len(fds)/4 < room {
		fd, err := install(c.Files[0])
		if err != nil {
			break
		}
		c.Files = c.Files[1:]
		fds = binary.NativeEndian.AppendUint32(fds, uint32(fd))
	}
	if len(c.Files) > 0 {
		flags |= unix.MSG_CTRUNC
	}
	if len(fds) > 0 {
		b, _ = l.put(b, space, unix.SOL_SOCKET, unix.SCM_RIGHTS, fds)
	}
	return b, flags
}

// halves are the lower halves of 64-bit numbers.
func halves(b []byte) (h []byte) {
	for ; len(b) >= 8; b = b[8:] {
		h = append(h, b[:4]...)
	}
	return h
}

// put adds one message to b, cut off at space.
func (l layout) put(b []byte, space, level, kind int, data []byte) ([]byte, int) {
	room := space - len(b)
	if room < l.header {
		return b, unix.MSG_CTRUNC
	}
	flags := 0
	n := l.header + len(data)
	if n > room {
		n, flags = room, unix.MSG_CTRUNC
	}
	end := len(b) + min(l.up(n), room)
	if l.header == 16 {
		b = binary.NativeEndian.AppendUint64(b, uint64(n))
	} else {
		b = binary.NativeEndian.AppendUint32(b, uint32(n))
	}
	b = binary.NativeEndian.AppendUint32(b, uint32(level))
	b = binary.NativeEndian.AppendUint32(b, uint32(kind))
	b = append(b, data[:n-l.header]...)
	for len(b) < end {
		b = append(b, 0)
	}
	return b, flags
}
