package sysemu

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/sysemu/sysemu/internal/fs/overlay"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Change is a difference between what programs see and what the machine began
// with (see [WithRoot]). What they did in file systems that are mounted on it
// is not among the changes.
type Change struct {
	Path string // "/etc/passwd"
	Kind ChangeKind
	From string      // of a directory that was moved: where it was
	Info fs.FileInfo // what it is now; nil when it was deleted
}

// ChangeKind says what became of a name.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangeAdded    = ChangeKind(overlay.Added)
	ChangeModified = ChangeKind(overlay.Modified) // contents, attributes; or it was only opened for writing
	ChangeDeleted  = ChangeKind(overlay.Deleted)  // with all below it
	ChangeMoved    = ChangeKind(overlay.Moved)    // a directory, with what is in it; where it was is told as deleted
)

// String returns "added", "modified", "deleted" or "moved".
func (k ChangeKind) String() string { return overlay.ChangeKind(k).String() }

// Changes returns what programs have changed, in the order of the paths, a
// directory before what is in it. Where something was put in the place of a
// thing of another kind, that is first deleted, then added.
func (m *Machine) Changes() ([]Change, error) {
	var out []Change
	err := m.k.Visit(func(ctx vfs.Context, at vfs.At) error {
		list, err := m.opts.overlay.Changes(ctx)
		for _, c := range list {
			ch := Change{Path: c.Path, Kind: ChangeKind(c.Kind), From: c.From}
			if c.Kind != overlay.Deleted {
				a, err := m.opts.overlay.Stat(ctx, c.Path)
				if err != nil {
					return err
				}
				ch.Info = newFileInfo(path.Base(c.Path), &a)
			}
			out = append(out, ch)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ExportChanges writes what programs have changed as a tar archive: a layer as
// images of the OCI have it, which put over what the machine began with makes
// what programs see. What was removed is a file ".wh.NAME", and a directory
// that replaced another has a file ".wh..wh..opq" in it. Sockets are left out;
// a file whose name begins with ".wh." is an error, for layers cannot have it.
// The archive is of one moment only if no program changes anything meanwhile.
func (m *Machine) ExportChanges(w io.Writer) error {
	return m.k.Visit(func(ctx vfs.Context, _ vfs.At) error {
		buf := bufio.NewWriterSize(&outsideWriter{ctx, w}, 1<<20)
		tw := tar.NewWriter(buf)
		err := m.opts.overlay.Export(ctx, func(i *overlay.Item) error { return exportItem(ctx, tw, i) })
		if err == nil {
			err = tw.Close()
		}
		if err == nil {
			err = buf.Flush()
		}
		return err
	})
}

// outsideWriter writes where waiting holds nobody up.
type outsideWriter struct {
	ctx vfs.Context
	w   io.Writer
}

func (o *outsideWriter) Write(p []byte) (n int, err error) {
	err = outside(o.ctx, func() (err error) {
		n, err = o.w.Write(p)
		return err
	})
	return n, err
}

// outside runs f where waiting holds nobody up, and is not waited for any longer
// when the machine is closed.
func outside(ctx vfs.Context, f func() error) error {
	result := make(chan error, 1)
	run := func() {
		defer func() {
			if r := recover(); r != nil {
				result <- fmt.Errorf("panic: %v", r)
			}
		}()
		result <- f()
	}
	if l, ok := ctx.(vfs.Leaver); !ok {
		ctx.Offload(run)
	} else if !l.OffloadLeaving(false, run) {
		return ErrClosed
	}
	return <-result
}

// The marks of layers, as the image specification of the OCI has them.
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

func exportItem(ctx vfs.Context, tw *tar.Writer, i *overlay.Item) error {
	switch i.Kind {
	case overlay.Whiteout:
		dir, base := path.Split(i.Path)
		return tw.WriteHeader(&tar.Header{Name: dir + whiteoutPrefix + base, Typeflag: tar.TypeReg, Mode: 0o600, Format: tar.FormatPAX})
	case overlay.Opaque:
		return tw.WriteHeader(&tar.Header{Name: i.Path + "/" + opaqueName, Typeflag: tar.TypeReg, Mode: 0o600, Format: tar.FormatPAX})
	}
	if strings.HasPrefix(path.Base(i.Path), whiteoutPrefix) {
		return &fs.PathError{Op: "export", Path: "/" + i.Path, Err: errors.New("the name of a file that layers have as a mark only")}
	}
	a := &i.Attr
	h := &tar.Header{
		Name: i.Path, Mode: int64(a.Mode & 0o7777), Uid: int(a.UID), Gid: int(a.GID), ModTime: time.Unix(0, a.Mtime),
		Format: tar.FormatPAX,
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, a.Size
	case unix.S_IFDIR:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case unix.S_IFLNK:
		h.Typeflag, h.Linkname = tar.TypeSymlink, i.Target
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR:
		h.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
	default:
		return nil
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		h.Devmajor, h.Devminor = int64(unix.Major(a.Rdev)), int64(unix.Minor(a.Rdev))
	}
	if i.Link != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, i.Link, 0
	}
	for k, v := range i.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = make(map[string]string)
		}
		h.PAXRecords["SCHILY.xattr."+k] = string(v)
	}
	if err := tw.WriteHeader(h); err != nil {
		return &fs.PathError{Op: "export", Path: "/" + i.Path, Err: err}
	}
	if h.Typeflag == tar.TypeReg {
		return i.CopyTo(ctx, tw)
	}
	return nil
}
