package sysemu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/fs/overlay"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// CommitChanges makes the changes of programs (see [Machine.Changes]) in a
// directory of the host: in the one that WithRoot named, or in a copy of it.
// Nothing outside of dir is touched, whatever links lead there. Each file is
// complete under its name at any time: it is written under another and renamed.
// The whole is not one step, and programs should be at rest. Owners are set as
// far as this process may; device nodes and sockets are not made. It goes on
// after an error, and returns all of them.
func (m *Machine) CommitChanges(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	c := &committer{root: root, dir: d}
	err = m.k.Visit(func(ctx vfs.Context, _ vfs.At) error {
		return m.opts.overlay.Export(ctx, func(i *overlay.Item) error {
			err := c.item(ctx, i)
			if err == ErrClosed {
				return err
			}
			if err != nil {
				c.errs = append(c.errs, fmt.Errorf("committing /%s: %w", i.Path, err))
			}
			return nil
		})
	})
	// What a directory is given changes its times: they come last, and so do
	// permissions that would be in the way.
	for _, s := range slices.Backward(c.dirs) {
		c.errs = append(c.errs, c.attributes(s.path, &s.attr))
	}
	return errors.Join(append(c.errs, err)...)
}

// committer makes changes in a directory of the host.
type committer struct {
	root  *os.Root
	dir   *fsys.Dir
	dirs  []made
	errs  []error
	temps int
}

type made struct {
	path string
	attr vfs.Attr
}

func (c *committer) item(ctx vfs.Context, i *overlay.Item) error {
	switch i.Kind {
	case overlay.Whiteout:
		return outside(ctx, func() error { return c.remove(i.Path) })
	case overlay.Opaque:
		return outside(ctx, func() error { return c.empty(i.Path) })
	}
	if !i.Attr.IsRegular() || i.Link != "" {
		return outside(ctx, func() error { return c.make(i) })
	}
	var f *os.File
	var temp string
	err := outside(ctx, func() (err error) {
		if err = c.parents(i.Path); err != nil {
			return err
		}
		temp = c.temp(i.Path)
		f, err = c.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	err = i.CopyTo(ctx, &outsideWriter{ctx, sparseWriter{f}})
	if err == ErrClosed {
		return err // somebody may be writing still
	}
	return outside(ctx, func() error {
		if err == nil {
			err = f.Truncate(i.Attr.Size) // a hole at the end
		}
		if e := f.Close(); err == nil {
			err = e
		}
		return c.finish(temp, i, err)
	})
}

// sparseWriter leaves out what is zero.
type sparseWriter struct{ f *os.File }

func (s sparseWriter) Write(p []byte) (int, error) {
	if len(p) >= 4096 && strings.Trim(string(p), "\x00") == "" {
		_, err := s.f.Seek(int64(len(p)), io.SeekCurrent)
		return len(p), err
	}
	return s.f.Write(p)
}

// temp is a name beside path that is not there.
func (c *committer) temp(name string) string {
	c.temps++
	return path.Join(path.Dir(name), fmt.Sprintf(".sysemu-%d-%d", os.Getpid(), c.temps))
}

// make makes what is no regular file.
func (c *committer) make(i *overlay.Item) error {
	if err := c.parents(i.Path); err != nil {
		return err
	}
	if i.Attr.IsDir() {
		return c.mkdir(i)
	}
	temp := c.temp(i.Path)
	var err error
	switch i.Attr.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFCHR, unix.S_IFBLK:
		if i.Link == "" {
			return fmt.Errorf("device nodes are not made: %w", errors.ErrUnsupported)
		}
	}
	switch {
	case i.Link != "":
		err = c.root.Link(i.Link, temp)
	case i.Attr.IsSymlink():
		err = c.root.Symlink(i.Target, temp)
	default:
		err = c.dir.Mknod(temp, vfs.GoMode(i.Attr.Mode), 0)
	}
	return c.finish(temp, i, err)
}

// finish gives what was made, unless that failed, its attributes and its name.
func (c *committer) finish(temp string, i *overlay.Item, err error) error {
	if err == nil && i.Link == "" {
		if err = c.attributes(temp, &i.Attr); err == nil {
			err = c.xattrs(temp, i)
		}
	}
	if err == nil {
		if info, e := c.root.Lstat(i.Path); e == nil && info.IsDir() {
			err = c.remove(i.Path)
		}
	}
	if err == nil {
		err = c.dir.Rename(temp, i.Path)
	}
	// Where both were names of one file already, the rename has done nothing.
	if err != nil || i.Link != "" {
		c.root.Remove(temp)
	}
	return err
}

func (c *committer) mkdir(i *overlay.Item) error {
	info, err := c.root.Lstat(i.Path)
	if err == nil && !info.IsDir() {
		if err := c.root.Remove(i.Path); err != nil {
			return err
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = c.root.Mkdir(i.Path, 0o700)
	}
	if err != nil {
		return err
	}
	// It must be writable until it is filled.
	c.dirs = append(c.dirs, made{i.Path, i.Attr})
	if info == nil || info.Mode().Perm()&0o700 != 0o700 {
		c.root.Chmod(i.Path, 0o700)
	}
	return c.xattrs(i.Path, i)
}

// attributes sets owner, mode and times.
func (c *committer) attributes(name string, a *vfs.Attr) error {
	err := c.root.Lchown(name, int(a.UID), int(a.GID))
	given := err == nil
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if !a.IsSymlink() {
		mode := a.Mode
		if !given {
			mode &^= unix.S_ISUID | unix.S_ISGID // it would be somebody else's
			if a.UID == uint32(os.Geteuid()) {
				mode |= a.Mode & unix.S_ISUID
			}
		}
		if err := c.root.Chmod(name, vfs.GoMode(mode)&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
			return err
		}
	}
	return c.dir.Chtimes(name, time.Unix(0, a.Atime), time.Unix(0, a.Mtime))
}

// xattrs sets those of class user; the host may not have any.
func (c *committer) xattrs(name string, i *overlay.Item) error {
	for k, v := range i.Xattrs {
		err := c.dir.Setxattr(name, k, v, 0)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// parents makes the directories above a path that are not there.
func (c *committer) parents(name string) error {
	if dir := path.Dir(name); dir != "." {
		return c.root.MkdirAll(dir, 0o755)
	}
	return nil
}

// remove removes a name with all below it.
func (c *committer) remove(name string) error {
	c.dirs = slices.DeleteFunc(c.dirs, func(m made) bool { return m.path == name || strings.HasPrefix(m.path, name+"/") })
	return c.root.RemoveAll(name)
}

// empty removes all that is in a directory.
func (c *committer) empty(name string) error {
	list, err := fs.ReadDir(c.root.FS(), name)
	for _, e := range list {
		err = errors.Join(err, c.root.RemoveAll(name+"/"+e.Name()))
	}
	return err
}
