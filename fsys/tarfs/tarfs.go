// Package tarfs reads tar archives as file systems: one archive, or several
// over one another as the layers of a container image are; and images of the
// OCI and of docker save. Archives are not unpacked: an index in memory says
// where contents are.
//
// Archives may come from anybody. A name that leads out of the archive, a link
// to what is not there, a size that is not true: each is an error that names
// the entry, and nothing is ever reached outside of the archive.
package tarfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sysemu/sysemu/fsys"
	"golang.org/x/sys/unix"
)

// FS is the tree that archives make together. It cannot be written; a machine
// puts a layer in memory over it (sysemu.WithRootFS), or mounts it as it is
// (sysemu.WithFS). It may be used by several machines at once.
type FS struct {
	root    *node
	ino     uint64
	layer   int
	entries int
	quick   bool
	files   []io.Closer
}

// Bounds of what an archive may hold.
const (
	maxEntries = 4 << 20
	maxName    = 255
	maxPath    = 4096
	maxLinks   = 40
	maxSparse  = 1 << 30 // bytes of a sparse file, which is kept in memory but for its holes
)

// node is a file of any kind.
type node struct {
	info   // of the first name
	layer  int
	kids   map[string]*node
	target string
	xattrs map[string]string
	data   io.ReaderAt // contents
}

// EntryError is an entry of an archive that cannot be.
type EntryError struct {
	Layer int // counted from 0
	Name  string
	Err   error
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("tar archive, layer %d: entry %q: %v", e.Layer, e.Name, e.Err)
}

func (e *EntryError) Unwrap() error { return e.Err }

// New reads the archives' tables of contents, the lowest layer first. In each
// but the first, whiteouts take away what is below: a file ".wh.NAME" the NAME
// beside it, and ".wh..wh..opq" all in its directory. The archives are read as
// long as the FS is used.
func New(layers ...*io.SectionReader) (*FS, error) {
	f := &FS{}
	f.root = f.node(fs.ModeDir|0o755, time.Time{})
	for i, r := range layers {
		f.layer = i
		if err := f.add(r); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *FS) node(mode fs.FileMode, mtime time.Time) *node {
	f.ino++
	n := &node{layer: f.layer}
	n.mode, n.mtime, n.stat = mode, mtime, fsys.Stat{Ino: f.ino, Nlink: 1}
	if mode.IsDir() {
		n.kids = make(map[string]*node)
		n.stat.Nlink = 2
	}
	return n
}

// add reads one archive.
func (f *FS) add(r *io.SectionReader) error {
	tr := tar.NewReader(r)
	last := ""
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && last == "" {
			return fmt.Errorf("no tar archive, or a broken one (layer %d): %w", f.layer, err)
		}
		if err != nil {
			return &EntryError{f.layer, last, fmt.Errorf("what follows it cannot be read: %w", err)}
		}
		last = h.Name
		if f.entries++; f.entries > maxEntries {
			return &EntryError{f.layer, h.Name, fmt.Errorf("more than %d entries", maxEntries)}
		}
		if err := f.entry(r, tr, h); err != nil {
			return &EntryError{f.layer, h.Name, err}
		}
	}
}

// clean is an entry's name as a path in the tree: "." is the root.
func clean(name string) (string, error) {
	if len(name) >= maxPath {
		return "", errors.New("a name that is too long")
	}
	var parts []string
	for s := range strings.SplitSeq(name, "/") {
		switch {
		case s == "" || s == ".":
		case s == "..":
			return "", errors.New("a name that leads out of a directory")
		case len(s) > maxName:
			return "", errors.New("a name that is too long")
		case strings.IndexByte(s, 0) >= 0:
			return "", errors.New("a name with a NUL in it")
		default:
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return ".", nil
	}
	return strings.Join(parts, "/"), nil
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
	aufs     = ".wh..wh." // other names that are marks, not files
)

func (f *FS) entry(r *io.SectionReader, tr *tar.Reader, h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag == tar.TypeDir {
			f.root.take(h)
		}
		return nil
	}
	dir, base := path.Split(name)
	d, err := f.dir(path.Clean(dir))
	if err != nil {
		return err
	}
	if strings.HasPrefix(base, whiteout) {
		return f.whiteout(d, base)
	}
	old := d.kids[base]
	if h.Typeflag == tar.TypeDir && old != nil && old.mode.IsDir() {
		old.take(h)
		old.layer = f.layer
		return nil
	}
	n, err := f.make(r, tr, h)
	if err != nil {
		return err
	}
	d.unlink(base)
	d.kids[base] = n
	if n.mode.IsDir() {
		d.stat.Nlink++
	}
	return nil
}

// whiteout takes away what layers below have.
func (f *FS) whiteout(d *node, base string) error {
	if base == opaque {
		for name, k := range d.kids {
			if k.layer < f.layer {
				d.unlink(name)
			} else if k.mode.IsDir() {
				f.whiteout(k, opaque)
			}
		}
		return nil
	}
	if strings.HasPrefix(base, aufs) {
		return nil
	}
	name := base[len(whiteout):]
	if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout of nothing")
	}
	k := d.kids[name]
	if k == nil {
		return nil
	}
	if k.layer < f.layer {
		d.unlink(name)
	} else if k.mode.IsDir() {
		return f.whiteout(k, opaque) // it is of this layer, but not all in it
	}
	return nil
}

func (d *node) unlink(name string) {
	switch k := d.kids[name]; {
	case k == nil:
		return
	case k.mode.IsDir():
		d.stat.Nlink--
	default:
		k.stat.Nlink--
	}
	delete(d.kids, name)
}

// dir returns the directory of that path, made if it is not there. Links on the
// way are followed, in the tree.
func (f *FS) dir(name string) (*node, error) {
	n, err := f.walk(name, true, f.root, 0, true)
	if err == nil && !n.mode.IsDir() {
		err = unix.ENOTDIR
	}
	return n, err
}

// walk returns what name leads to.
func (f *FS) walk(name string, follow bool, from *node, links int, make bool) (*node, error) {
	n, at := f.root, "."
	rest := name
	if rest == "." {
		return n, nil
	}
	for rest != "" {
		var s string
		s, rest, _ = strings.Cut(rest, "/")
		if !n.mode.IsDir() {
			return nil, unix.ENOTDIR
		}
		c := n.kids[s]
		if c == nil {
			if !make {
				return nil, unix.ENOENT
			}
			c = f.node(fs.ModeDir|0o755, time.Time{})
			c.name = s
			n.kids[s] = c
			n.stat.Nlink++
		}
		if c.mode.Type() == fs.ModeSymlink && (follow || rest != "") {
			if links++; links > maxLinks {
				return nil, unix.ELOOP
			}
			to := c.target
			if !strings.HasPrefix(to, "/") {
				to = at + "/" + to
			}
			to = path.Join("/", to, rest)[1:]
			if to == "" {
				to = "."
			}
			return f.walk(to, follow, from, links, make)
		}
		n, at = c, path.Join(at, s)
	}
	return n, nil
}

// take gives a node the attributes of an entry.
func (n *node) take(h *tar.Header) {
	n.mode = n.mode.Type() | h.FileInfo().Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	n.mtime = h.ModTime
	n.stat.UID, n.stat.GID = uint32(h.Uid), uint32(h.Gid)
	n.stat.Atime, n.stat.Ctime = h.AccessTime, h.ChangeTime
	n.xattrs = nil
	for k, v := range h.PAXRecords {
		if attr, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok && attr != "" && !strings.HasPrefix(attr, "trusted.overlay.") {
			if n.xattrs == nil {
				n.xattrs = make(map[string]string)
			}
			n.xattrs[attr] = v
		}
	}
}

// make makes the node of an entry that is no directory that is there.
func (f *FS) make(r *io.SectionReader, tr *tar.Reader, h *tar.Header) (*node, error) {
	var mode fs.FileMode
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, 0:
	case tar.TypeDir:
		mode = fs.ModeDir
	case tar.TypeSymlink:
		mode = fs.ModeSymlink
	case tar.TypeFifo:
		mode = fs.ModeNamedPipe
	case tar.TypeBlock:
		mode = fs.ModeDevice
	case tar.TypeChar:
		mode = fs.ModeDevice | fs.ModeCharDevice
	case tar.TypeLink:
		return f.link(h)
	default:
		return nil, fmt.Errorf("of an unknown type, %q", h.Typeflag)
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > 1<<32-1 || int64(h.Gid) > 1<<32-1 {
		return nil, fmt.Errorf("of owner %d:%d, which cannot be", h.Uid, h.Gid)
	}
	n := f.node(mode, h.ModTime)
	n.name = path.Base(path.Clean("/" + h.Name))
	n.take(h)
	switch {
	case mode&fs.ModeDevice != 0:
		n.stat.Rdev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	case mode == fs.ModeSymlink:
		if h.Linkname == "" || len(h.Linkname) >= maxPath || strings.IndexByte(h.Linkname, 0) >= 0 {
			return nil, errors.New("a link to what is no name")
		}
		n.target, n.size = h.Linkname, int64(len(h.Linkname))
	case mode == 0:
		return n, n.contents(r, tr, h)
	}
	return n, nil
}

// link is the node of a hard link: what the name before leads to.
func (f *FS) link(h *tar.Header) (*node, error) {
	to, err := clean(h.Linkname)
	if err != nil {
		return nil, fmt.Errorf("a link to %q: %w", h.Linkname, err)
	}
	n, err := f.walk(to, false, f.root, 0, false)
	if err == nil && n.mode.IsDir() {
		err = unix.EISDIR
	}
	if err != nil {
		return nil, fmt.Errorf("a link to %q: %w", h.Linkname, err)
	}
	n.stat.Nlink++
	n.layer = f.layer
	return n, nil
}

// contents notes where the contents are: in the archive, right behind the
// header that was read last. Those of a sparse file are not there in one piece.
func (n *node) contents(r *io.SectionReader, tr *tar.Reader, h *tar.Header) error {
	n.size = h.Size
	if h.Size < 0 {
		return fmt.Errorf("of %d bytes", h.Size)
	}
	sparse := h.Typeflag == tar.TypeGNUSparse
	for k := range h.PAXRecords {
		sparse = sparse || strings.HasPrefix(k, "GNU.sparse.")
	}
	if sparse {
		if h.Size > maxSparse {
			return fmt.Errorf("a sparse file of %d bytes: more than %d are not read", h.Size, int64(maxSparse))
		}
		p := pages{}
		if err := p.fill(tr); err != nil {
			return err
		}
		n.data = p
		n.stat.Blocks = int64(len(p)) * (pageSize / 512)
		return nil
	}
	at, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if at > r.Size() || h.Size > r.Size()-at {
		return fmt.Errorf("of %d bytes where the archive has %d more: %w", h.Size, max(r.Size()-at, 0), io.ErrUnexpectedEOF)
	}
	n.data = io.NewSectionReader(r, at, h.Size)
	return nil
}

// Quick implements fsys.QuickFS: an archive that was opened by its name is on
// the host's disk.
func (f *FS) Quick() bool { return f.quick }

// Close closes the archives that were opened by their names. No machine may use
// the FS then.
func (f *FS) Close() error {
	var err error
	for _, c := range f.files {
		err = errors.Join(err, c.Close())
	}
	f.files = nil
	return err
}

func (f *FS) find(op, name string, follow bool) (*node, error) {
	if name != "." && (name == "" || slices.ContainsFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." || s == ".." })) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, err := f.walk(name, follow, f.root, 0, false)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}
