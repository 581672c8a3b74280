package fsys

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// WriteFile writes data to a file, which it makes if need be, of mode perm.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	}
	if err != nil {
		return err
	}
	n, err := f.WriteAt(data, 0)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// MkdirAll makes a directory and those above it that are not there.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	if info, err := fs.Stat(fsys, name); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
		return nil
	}
	if dir := path.Dir(name); dir != "." {
		if err := MkdirAll(fsys, dir, perm); err != nil {
			return err
		}
	}
	m, ok := fsys.(MkdirFS)
	if !ok {
		return &fs.PathError{Op: "mkdir", Path: name, Err: errors.ErrUnsupported}
	}
	err := m.Mkdir(name, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
