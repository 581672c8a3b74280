package overlay

import (
	"io"
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// ItemKind says what an Item is.
type ItemKind uint8

const (
	Entry    ItemKind = iota // what there is now under the name
	Whiteout                 // the name, with all below it, is gone
	Opaque                   // what the lower layers have in that directory is gone
)

// Item is a part of what the upper layer says, as layers of images have it.
type Item struct {
	Path   string // from the root, "etc/passwd"
	Kind   ItemKind
	Attr   vfs.Attr
	Target string            // of a symbolic link
	Link   string            // an Item before that is the same file; "": none
	Xattrs map[string][]byte // but for the overlay's own

	ino entry
}

// Export runs f with all that the upper layer says, in the order of the paths,
// a directory before what is in it. A directory that was moved is told as gone
// from where it was, and as new with all that is in it. f may wait; what changes
// meanwhile is told as it was or as it is then.
func (fs *FS) Export(ctx vfs.Context, f func(*Item) error) error {
	if fs.root.up == nil {
		return nil
	}
	x := &exporter{ctx: ctx, f: f, seen: make(map[entry]string)}
	return x.changed(fs.root, "")
}

type exporter struct {
	ctx  vfs.Context
	f    func(*Item) error
	seen map[entry]string // files with several names, by the first that was told
}

// changed tells what the upper layer has in d.
func (x *exporter) changed(d *dir, path string) error {
	var names []string
	err := readDir(x.ctx, d.upper, func(e vfs.DirEntry) {
		if e.Name != "." && e.Name != ".." {
			names = append(names, strings.Clone(e.Name))
		}
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := x.name(d, path+name, name); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) name(d *dir, path, name string) error {
	u, white, err := d.at(x.ctx, name)
	if err != nil || u == nil {
		return err
	}
	below, belowDir, err := d.hides(x.ctx, name)
	if err != nil {
		return err
	}
	if white {
		evict(u)
		if !below {
			return nil
		}
		return x.f(&Item{Path: path, Kind: Whiteout})
	}
	ino, err := d.found(x.ctx, name, u)
	if err != nil {
		return err
	}
	e := ino.(entry)
	if err := x.entry(e, path); err != nil {
		return err
	}
	c, ok := e.(*dir)
	if !ok {
		return nil
	}
	if len(c.lowers) > 0 && len(d.lowers) > 0 && c.origin == d.origin+"/"+name {
		return x.changed(c, path+"/")
	}
	if belowDir {
		if err := x.f(&Item{Path: path, Kind: Opaque}); err != nil {
			return err
		}
	}
	if len(c.lowers) > 0 {
		return x.all(c, path+"/")
	}
	return x.changed(c, path+"/")
}

// all tells what is in d, of whatever layer.
func (x *exporter) all(d *dir, path string) error {
	l, err := d.list(x.ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(l.entries))
	for _, e := range l.entries {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		ino, err := d.Lookup(x.ctx, name)
		if err == unix.ENOENT {
			continue // it has gone meanwhile
		}
		if err != nil {
			return err
		}
		e := ino.(entry)
		if err := x.entry(e, path+name); err != nil {
			return err
		}
		if c, ok := e.(*dir); ok {
			if err := x.all(c, path+name+"/"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *exporter) entry(e entry, path string) error {
	a, err := e.Attr(x.ctx)
	if err != nil {
		return err
	}
	i := &Item{Path: path, Attr: a, ino: e}
	if !a.IsDir() {
		if first, ok := x.seen[e]; ok {
			i.Link = first
			return x.f(i)
		}
		x.seen[e] = path
	}
	if l, ok := e.(vfs.Readlinker); ok {
		if i.Target, err = l.Readlink(x.ctx); err != nil {
			return err
		}
	}
	if v, ok := e.(vfs.Xattrer); ok {
		names, err := v.Listxattr(x.ctx)
		if err != nil {
			return err
		}
		for _, s := range names {
			value, err := v.Getxattr(x.ctx, s)
			if err != nil {
				continue // gone, or nobody may know
			}
			if i.Xattrs == nil {
				i.Xattrs = make(map[string][]byte)
			}
			i.Xattrs[strings.Clone(s)] = value
		}
	}
	return x.f(i)
}

// CopyTo writes the contents of a regular file to w, as many bytes as Attr has:
// what is missing is zero.
func (i *Item) CopyTo(ctx vfs.Context, w io.Writer) error {
	f, err := open(ctx, i.ino, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Impl.Release(ctx)
	r, ok := f.Impl.(vfs.Reader)
	if !ok {
		return unix.EIO
	}
	buf := make([]byte, min(chunk, i.Attr.Size))
	for off := int64(0); off < i.Attr.Size; {
		p := buf[:min(int64(len(buf)), i.Attr.Size-off)]
		n, err := r.Read(ctx, f, p, off)
		if err != nil {
			return err
		}
		if n == 0 { // it was cut meanwhile
			clear(p)
			n = len(p)
		}
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}
