package overlay

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// listing is what a directory has, all layers merged. It does not change; a
// directory that does makes another.
type listing struct{ entries []vfs.DirEntry }

// openDir is an open directory. A directory of one lower layer is listed as
// that lists it, by its cookies. Another is put together at its beginning; the
// cookies are places in that list.
type openDir struct {
	d     *dir
	one   *vfs.File // the layer's description, when it is listed by that
	list  *listing
	begun bool
}

// Open implements vfs.Opener.
func (d *dir) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) { return &openDir{d: d}, nil }

// Release implements vfs.Impl.
func (o *openDir) Release(ctx vfs.Context) {
	if o.one != nil {
		o.one.Impl.Release(ctx)
	}
}

// Sync implements vfs.Syncer.
func (o *openDir) Sync(ctx vfs.Context, f *vfs.File, dataOnly bool) error { return nil }

// begin decides how the directory is listed from now on.
func (o *openDir) begin(ctx vfs.Context) error {
	o.begun, o.list = true, nil
	if o.d.up != nil || len(o.d.lowers) > 1 || o.d.gone {
		l, err := o.d.list(ctx)
		o.list = l
		return err
	}
	if o.one != nil {
		return nil
	}
	f, err := open(ctx, o.d.lower, unix.O_RDONLY|unix.O_DIRECTORY)
	o.one = f
	return err
}

// ReadDir implements vfs.DirReader.
func (o *openDir) ReadDir(ctx vfs.Context, f *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	if !o.begun || pos == 0 {
		if err := o.begin(ctx); err != nil {
			return err
		}
	}
	if o.list == nil {
		return o.listOne(ctx, pos, emit)
	}
	if pos < 0 {
		return unix.EINVAL
	}
	for i := pos; i < int64(len(o.list.entries)); i++ {
		if !emit(o.list.entries[i]) {
			break
		}
	}
	return nil
}

// listOne lists a directory of one lower layer. If it has been changed since
// the beginning, what is gone is left out.
func (o *openDir) listOne(ctx vfs.Context, pos int64, emit func(vfs.DirEntry) bool) error {
	r, ok := o.one.Impl.(vfs.DirReader)
	if !ok {
		return unix.ENOTDIR
	}
	d := o.d
	number, err := d.numbers(ctx, d.lowers[0])
	if err != nil {
		return err
	}
	return r.ReadDir(ctx, o.one, pos, func(e vfs.DirEntry) bool {
		switch e.Name {
		case ".", "..":
			e.Ino = d.dot(e.Name)
			return emit(e)
		}
		if d.up != nil {
			if _, white, err := d.at(ctx, e.Name); err == nil && white {
				return true
			}
		}
		if e.Type == unix.DT_CHR {
			if _, err := d.Lookup(ctx, e.Name); err != nil {
				return true // a whiteout
			}
		}
		e.Ino = number(e.Ino)
		return emit(e)
	})
}

// dot returns the inode number of "." or "..".
func (d *dir) dot(name string) uint64 {
	if name == ".." && len(d.names) > 0 {
		return d.names[0].dir.ino
	}
	return d.ino
}

// numbers returns how the inode numbers that a layer's directory lists become
// the overlay's.
func (d *dir) numbers(ctx vfs.Context, l layered) (func(uint64) uint64, error) {
	a, err := l.ino.Attr(ctx)
	return func(ino uint64) uint64 { return d.fs.inode(l.layer, a.Dev, ino) }, err
}

// readDir runs f with all that an inode of a layer has.
func readDir(ctx vfs.Context, ino vfs.Inode, f func(vfs.DirEntry)) error {
	o, err := open(ctx, ino, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer o.Impl.Release(ctx)
	r, ok := o.Impl.(vfs.DirReader)
	if !ok {
		return unix.ENOTDIR
	}
	return r.ReadDir(ctx, o, 0, func(e vfs.DirEntry) bool { f(e); return true })
}

// list returns what d has, from memory if nothing has changed since.
func (d *dir) list(ctx vfs.Context) (*listing, error) {
	if d.merged != nil {
		return d.merged, nil
	}
	l := &listing{}
	add := func(e vfs.DirEntry) {
		e.Next = int64(len(l.entries) + 1)
		l.entries = append(l.entries, e)
	}
	add(vfs.DirEntry{Name: ".", Ino: d.dot("."), Type: unix.DT_DIR})
	add(vfs.DirEntry{Name: "..", Ino: d.dot(".."), Type: unix.DT_DIR})
	seen := make(map[string]struct{})
	if d.up != nil {
		var found []vfs.DirEntry
		if err := readDir(ctx, d.upper, func(e vfs.DirEntry) { found = append(found, e) }); err != nil {
			return nil, err
		}
		for _, e := range found {
			if e.Name == "." || e.Name == ".." {
				continue
			}
			seen[e.Name] = struct{}{}
			// The number is the inode's own, which may be a lower one's.
			ino, err := d.Lookup(ctx, e.Name)
			if err == unix.ENOENT {
				continue // a whiteout
			}
			if err != nil {
				return nil, err
			}
			e.Ino = ino.(entry).base().ino
			add(e)
		}
	}
	for i, layer := range d.lowers {
		number, err := d.numbers(ctx, layer)
		if err != nil {
			return nil, err
		}
		last := i == len(d.lowers)-1
		var chars []string
		err = readDir(ctx, layer.ino, func(e vfs.DirEntry) {
			if e.Name == "." || e.Name == ".." {
				return
			}
			if _, ok := seen[e.Name]; ok {
				return
			}
			if e.Type == unix.DT_CHR {
				chars = append(chars, e.Name)
			}
			if !last || e.Type == unix.DT_CHR {
				seen[e.Name] = struct{}{}
			}
			if e.Type != unix.DT_CHR {
				e.Ino = number(e.Ino)
				add(e)
			}
		})
		if err != nil {
			return nil, err
		}
		for _, name := range chars {
			ino, err := d.Lookup(ctx, name)
			if err == unix.ENOENT {
				continue // a whiteout
			}
			if err != nil {
				return nil, err
			}
			add(vfs.DirEntry{Name: name, Ino: ino.(entry).base().ino, Type: unix.DT_CHR})
		}
	}
	d.merged = l
	return l, nil
}
