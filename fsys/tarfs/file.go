package tarfs

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/sysemu/sysemu/fsys"
	"golang.org/x/sys/unix"
)

// info is a FileInfo.
type info struct {
	name  string
	mode  fs.FileMode
	size  int64
	mtime time.Time
	stat  fsys.Stat
}

func (i *info) Name() string       { return i.name }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) Size() int64        { return i.size }
func (i *info) ModTime() time.Time { return i.mtime }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { s := i.stat; return &s }

// as is the info under one of the names.
func (n *node) as(name string) *info {
	i := n.info
	i.name = path.Base(name)
	return &i
}

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name, true)
	if err != nil {
		return nil, err
	}
	return n.as(name), nil
}

// Lstat implements fs.ReadLinkFS.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	n, err := f.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return n.as(name), nil
}

// ReadLink implements fs.ReadLinkFS.
func (f *FS) ReadLink(name string) (string, error) {
	n, err := f.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if n.mode.Type() != fs.ModeSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: unix.EINVAL}
	}
	return n.target, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: unix.ENOTDIR}
	}
	return n.list(), nil
}

func (n *node) list() []fs.DirEntry {
	out := make([]fs.DirEntry, 0, len(n.kids))
	for _, name := range slices.Sorted(maps.Keys(n.kids)) {
		out = append(out, fs.FileInfoToDirEntry(n.kids[name].as(name)))
	}
	return out
}

// Getxattr implements fsys.GetxattrFS.
func (f *FS) Getxattr(name, attr string) ([]byte, error) {
	n, err := f.find("getxattr", name, false)
	if err != nil {
		return nil, err
	}
	v, ok := n.xattrs[attr]
	if !ok {
		return nil, &fs.PathError{Op: "getxattr", Path: name, Err: unix.ENODATA}
	}
	return []byte(v), nil
}

// Listxattr implements fsys.ListxattrFS.
func (f *FS) Listxattr(name string) ([]string, error) {
	n, err := f.find("listxattr", name, false)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.xattrs)), nil
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	n, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	switch {
	case n.mode.IsDir():
		return &openDir{n.as(name), n.list()}, nil
	case n.data != nil:
		return &openFile{io.NewSectionReader(n.data, 0, n.size), n.as(name)}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ENXIO}
}

// openFile is an open file: it can be read anywhere.
type openFile struct {
	*io.SectionReader
	info *info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info *info
	list []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: unix.EISDIR}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
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

const pageSize = 4096

// pages are the contents of a sparse file: what is not there is zero.
type pages map[int64]*[pageSize]byte

var zero [pageSize]byte

func (p pages) fill(r io.Reader) error {
	buf := new([pageSize]byte)
	for i := int64(0); ; i++ {
		n, err := io.ReadFull(r, buf[:])
		clear(buf[n:])
		if *buf != zero {
			p[i] = buf
			buf = new([pageSize]byte)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF && n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ReadAt implements io.ReaderAt; the caller knows where the end is.
func (p pages) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		at := off + int64(done)
		pg := p[at/pageSize]
		if pg == nil {
			pg = &zero
		}
		done += copy(b[done:], pg[at%pageSize:])
	}
	return done, nil
}
