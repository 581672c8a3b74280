package gofs

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// openDir is an open directory; it is listed when first read.
type openDir struct {
	*node
	read    bool
	entries []listed
}

type listed struct {
	name string
	ino  uint64
	kind uint8
}

// Release implements vfs.Impl.
func (d *openDir) Release(vfs.Context) {}

// ReadDir implements vfs.DirReader. A cookie is a place in the listing.
func (d *openDir) ReadDir(ctx vfs.Context, f *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	if pos < 0 {
		return unix.EINVAL
	}
	if !d.read || pos == 0 {
		list, err := d.list(ctx)
		if err != nil {
			return err
		}
		d.entries, d.read = list, true
	}
	parent := d.attr.Ino
	if p := f.Path.Dentry; p != nil && p.Parent() != nil {
		a, err := p.Parent().Inode().Attr(ctx)
		if err != nil {
			return err
		}
		parent = a.Ino
	}
	if pos == 0 && !emit(vfs.DirEntry{Name: ".", Ino: d.attr.Ino, Type: unix.DT_DIR, Next: 1}) {
		return nil
	}
	if pos <= 1 && !emit(vfs.DirEntry{Name: "..", Ino: parent, Type: unix.DT_DIR, Next: 2}) {
		return nil
	}
	for i := max(pos-2, 0); i < int64(len(d.entries)); i++ {
		e := d.entries[i]
		if !emit(vfs.DirEntry{Name: e.name, Ino: e.ino, Type: e.kind, Next: i + 3}) {
			return nil
		}
	}
	return nil
}

// maxEntries is the most that a directory may list.
const maxEntries = 1 << 20

var errEndless = errors.New("a directory of more than a million names")

// list asks for the names, in order. What cannot be a name is left out.
func (d *openDir) list(ctx vfs.Context) ([]listed, error) {
	name, err := d.path()
	if err != nil {
		return nil, unix.ENOENT
	}
	f := d.fs
	numbered := f.rw != nil // whether to ask for numbers: only live trees change them
	type answer struct {
		list    []listed
		endless bool
	}
	a, err := ask(f, ctx, "ReadDir", func() (answer, error) {
		entries, err := readDir(f.fsys, name)
		if err != nil {
			return answer{nil, err == errEndless}, err
		}
		out := make([]listed, len(entries))
		for i, e := range entries {
			if e == nil {
				continue
			}
			out[i] = listed{name: e.Name(), kind: uint8(vfs.LinuxMode(e.Type().Type()) >> 12)}
			if !numbered && i > 0 && out[0].ino == 0 {
				continue // they have none
			}
			if info, err := e.Info(); err == nil && info != nil {
				out[i].ino = f.tellOf(info).ino
			}
		}
		return answer{out, false}, nil
	})
	if err != nil {
		if a.endless {
			err = f.lie("ReadDir of %q lists more than %d names", name, maxEntries)
		}
		return nil, err
	}
	list := a.list
	slices.SortStableFunc(list, func(a, b listed) int { return cmp.Compare(a.name, b.name) })
	kept := list[:0]
	for _, e := range list {
		switch {
		case e.name == "." || e.name == "..":
			continue // some have them
		case e.name == "" || len(e.name) > unix.NAME_MAX || strings.ContainsAny(e.name, "/\x00"):
			f.lie("ReadDir of %q lists %.60q, which is no name", name, e.name)
			continue
		case len(kept) > 0 && kept[len(kept)-1].name == e.name:
			f.lie("ReadDir of %q lists %q twice", name, e.name)
			continue
		}
		if c := d.kids[e.name]; c != nil {
			e.ino = c.base().attr.Ino
		} else if e.ino == 0 {
			full, _ := d.below(e.name)
			e.ino = f.number(0, full)
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// readDir is fs.ReadDir with a bound.
func readDir(fsys fs.FS, name string) ([]fs.DirEntry, error) {
	if r, ok := fsys.(fs.ReadDirFS); ok {
		l, err := r.ReadDir(name)
		if err == nil && len(l) > maxEntries {
			err = errEndless
		}
		return l, err
	}
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, errors.New("neither a directory nor an error")
	}
	defer file.Close()
	dir, ok := file.(fs.ReadDirFile)
	if !ok {
		return nil, unix.ENOTDIR
	}
	var all []fs.DirEntry
	for empty := 0; ; {
		l, err := dir.ReadDir(1024)
		all = append(all, l...)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(all) > maxEntries:
			return nil, errEndless
		case len(l) == 0:
			if empty++; empty > 100 {
				return nil, io.ErrNoProgress
			}
		}
	}
}
