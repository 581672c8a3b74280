package sysemu

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// FS returns the tree of files as programs in the machine see it: all layers
// and mounts, what they have changed, /proc and /dev. It is read with all
// permissions. It is an fs.ReadDirFS, StatFS, ReadFileFS and ReadLinkFS; Sys of
// a FileInfo is a *fsys.Stat. It may be used while programs run, from any
// goroutine. Links lead where they lead inside. What is neither a regular file
// nor a directory is not opened. Once the machine is closed there is ErrClosed.
func (m *Machine) FS() fs.FS { return machineFS{m.k} }

type machineFS struct{ k *kernel.Kernel }

var (
	_ fs.ReadDirFS  = machineFS{}
	_ fs.StatFS     = machineFS{}
	_ fs.ReadFileFS = machineFS{}
	_ fs.ReadLinkFS = machineFS{}
)

// visit runs f with the name as the kernel has it.
func (m machineFS) visit(op, name string, f func(ctx vfs.Context, at vfs.At, name string) error) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	err := m.k.Visit(func(ctx vfs.Context, at vfs.At) error { return f(ctx, at, "/"+name) })
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// Open implements fs.FS.
func (m machineFS) Open(name string) (fs.File, error) {
	var out fs.File
	err := m.visit("open", name, func(ctx vfs.Context, at vfs.At, full string) error {
		p, err := vfs.Walk(ctx, at, full, vfs.Follow, 0)
		if err != nil {
			return err
		}
		defer p.Unref()
		if k := p.Kind(); k != unix.S_IFREG && k != unix.S_IFDIR {
			return unix.ENXIO
		}
		f, err := vfs.OpenPath(ctx, at, p, unix.O_RDONLY|unix.O_NOATIME)
		if err != nil {
			return err
		}
		m.k.Keep(f)
		o := machineFile{m.k, f, path.Base(name)}
		if f.Kind() == unix.S_IFDIR {
			out = &machineDir{machineFile: o}
		} else {
			out = &machineRegular{machineFile: o}
		}
		return nil
	})
	return out, err
}

// Stat implements fs.StatFS.
func (m machineFS) Stat(name string) (fs.FileInfo, error) { return m.stat("stat", name, vfs.Follow) }

// Lstat implements fs.ReadLinkFS.
func (m machineFS) Lstat(name string) (fs.FileInfo, error) { return m.stat("lstat", name, 0) }

func (m machineFS) stat(op, name string, flags vfs.WalkFlags) (info fs.FileInfo, err error) {
	err = m.visit(op, name, func(ctx vfs.Context, at vfs.At, full string) error {
		a, err := vfs.Stat(ctx, at, full, flags)
		info = newFileInfo(path.Base(name), &a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// ReadLink implements fs.ReadLinkFS.
func (m machineFS) ReadLink(name string) (target string, err error) {
	err = m.visit("readlink", name, func(ctx vfs.Context, at vfs.At, full string) (err error) {
		target, err = vfs.Readlink(ctx, at, full, 0)
		return err
	})
	return target, err
}

// ReadDir implements fs.ReadDirFS.
func (m machineFS) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(*machineDir)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: unix.ENOTDIR}
	}
	return d.ReadDir(-1)
}

// ReadFile implements fs.ReadFileFS.
func (m machineFS) ReadFile(name string) ([]byte, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// machineFile is an open file.
type machineFile struct {
	k    *kernel.Kernel
	f    *vfs.File
	name string
}

func (f *machineFile) visit(op string, do func(ctx vfs.Context) error) error {
	err := f.k.Visit(func(ctx vfs.Context, _ vfs.At) error {
		if f.f == nil {
			return fs.ErrClosed
		}
		f.f.Ref()
		defer f.f.Unref(ctx)
		return do(ctx)
	})
	if err != nil {
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

// Stat implements fs.File.
func (f *machineFile) Stat() (info fs.FileInfo, err error) {
	err = f.visit("stat", func(ctx vfs.Context) error {
		a, err := f.f.Stat(ctx)
		info = newFileInfo(f.name, &a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// Close implements fs.File.
func (f *machineFile) Close() error {
	return f.visit("close", func(ctx vfs.Context) error {
		f.k.Forget(ctx, f.f)
		defer func() { f.f = nil }()
		return nil
	})
}

// machineRegular is an open regular file.
type machineRegular struct {
	machineFile
	pos int64
}

// Read implements fs.File.
func (f *machineRegular) Read(p []byte) (n int, err error) {
	n, err = f.read(p, f.pos)
	f.pos += int64(n)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// read is pread(2), into memory that the kernel may go on to use.
func (f *machineRegular) read(p []byte, off int64) (n int, err error) {
	const most = 1 << 20
	err = f.visit("read", func(ctx vfs.Context) (err error) {
		n, err = f.f.Pread(ctx, p[:min(len(p), most)], off)
		return err
	})
	return max(n, 0), err
}

// ReadAt implements io.ReaderAt.
func (f *machineRegular) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := f.read(p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
	}
	return n, nil
}

// Seek implements io.Seeker.
func (f *machineRegular) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.pos
	case io.SeekEnd:
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		off += info.Size()
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	f.pos = off
	return off, nil
}

// machineDir is an open directory. It is listed when it is first read.
type machineDir struct {
	machineFile
	listed bool
	list   []fs.DirEntry
}

// Read implements fs.File.
func (d *machineDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: unix.EISDIR}
}

// ReadDir implements fs.ReadDirFile.
func (d *machineDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.listed {
		if err := d.read(); err != nil {
			return nil, err
		}
		d.listed = true
	}
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}

// read lists the directory. What goes while it is read is left out.
func (d *machineDir) read() error {
	return d.visit("readdir", func(ctx vfs.Context) error {
		var names []string
		err := d.f.ReadDir(ctx, func(e vfs.DirEntry) bool {
			if e.Name != "." && e.Name != ".." {
				names = append(names, strings.Clone(e.Name))
			}
			return true
		})
		if err != nil {
			return err
		}
		slices.Sort(names)
		at := vfs.At{Root: d.f.Path, Dir: d.f.Path}
		for _, name := range names {
			a, err := vfs.Stat(ctx, at, name, 0)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			if err != nil {
				return err
			}
			d.list = append(d.list, fs.FileInfoToDirEntry(newFileInfo(name, &a)))
		}
		return nil
	})
}

// fileInfo is what stat(2) tells inside, as package io/fs has it.
type fileInfo struct {
	name string
	a    vfs.Attr
}

func newFileInfo(name string, a *vfs.Attr) *fileInfo { return &fileInfo{name, *a} }

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.a.Size }
func (i *fileInfo) Mode() fs.FileMode  { return vfs.GoMode(i.a.Mode) }
func (i *fileInfo) ModTime() time.Time { return time.Unix(0, i.a.Mtime) }
func (i *fileInfo) IsDir() bool        { return i.a.IsDir() }
func (i *fileInfo) Sys() any {
	return &fsys.Stat{Ino: i.a.Ino, Nlink: i.a.Nlink, UID: i.a.UID, GID: i.a.GID, Rdev: i.a.Rdev, Blocks: i.a.Blocks,
		Atime: time.Unix(0, i.a.Atime), Ctime: time.Unix(0, i.a.Ctime)}
}
