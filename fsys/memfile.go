package fsys

import (
	"io"
	"io/fs"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	n      *memNode
	name   string
	pos    int64
	closed bool
}

// Close implements fs.File.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return perr("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	f.n.opens--
	f.m.drop(f.n)
	return nil
}

// Stat implements fs.File.
func (f *memFile) Stat() (fs.FileInfo, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if f.closed {
		return nil, perr("stat", f.name, fs.ErrClosed)
	}
	return f.n.info(f.name), nil
}

// Read implements fs.File.
func (f *memFile) Read(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return 0, perr("read", f.name, fs.ErrClosed)
	}
	n := f.n.read(p, f.pos)
	f.pos += int64(n)
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Seek implements io.Seeker.
func (f *memFile) Seek(off int64, whence int) (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		off += f.pos
	case io.SeekEnd:
		off += f.n.size
	}
	if off < 0 {
		return 0, perr("seek", f.name, syscall.EINVAL)
	}
	f.pos = off
	return off, nil
}

// ReadAt implements [File].
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	switch {
	case f.closed:
		return 0, perr("read", f.name, fs.ErrClosed)
	case off < 0:
		return 0, perr("read", f.name, syscall.EINVAL)
	}
	n := f.n.read(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (n *memNode) read(p []byte, off int64) int {
	if off >= n.size {
		return 0
	}
	p = p[:min(int64(len(p)), n.size-off)]
	for rest := p; len(rest) > 0; {
		i, in := off/pieceSize, off%pieceSize
		k := min(int64(len(rest)), pieceSize-in)
		if piece := n.pieces[i]; piece != nil {
			copy(rest[:k], piece[in:])
		} else {
			clear(rest[:k])
		}
		rest, off = rest[k:], off+k
	}
	return len(p)
}

// WriteAt implements [File].
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	switch {
	case f.closed:
		return 0, perr("write", f.name, fs.ErrClosed)
	case off < 0:
		return 0, perr("write", f.name, syscall.EINVAL)
	case off > maxMemSize-int64(len(p)):
		return 0, perr("write", f.name, syscall.EFBIG)
	}
	n, err := f.m.write(f.n, p, off)
	if n > 0 {
		f.n.size = max(f.n.size, off+int64(n))
		f.m.touch(f.n)
	}
	return n, perr("write", f.name, err)
}

func (m *Mem) write(n *memNode, p []byte, off int64) (done int, err error) {
	for len(p) > 0 {
		i, in := off/pieceSize, off%pieceSize
		piece := n.pieces[i]
		if piece == nil {
			if m.used+pieceSize > m.Limit {
				return done, syscall.ENOSPC
			}
			m.used += pieceSize
			piece = new([pieceSize]byte)
			if n.pieces == nil {
				n.pieces = make(map[int64]*[pieceSize]byte)
			}
			n.pieces[i] = piece
		}
		k := copy(piece[in:], p)
		p, off, done = p[k:], off+int64(k), done+k
	}
	return done, nil
}

// Truncate implements [Truncater].
func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return perr("truncate", f.name, fs.ErrClosed)
	}
	return perr("truncate", f.name, f.m.truncate(f.n, size))
}

// Sync implements [Syncer].
func (f *memFile) Sync() error { return nil }
