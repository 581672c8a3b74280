package overlay

import (
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Change is a difference between the overlay and its lower layers.
type Change struct {
	Path string // from the root, "/etc/passwd"
	Kind ChangeKind
	From string // where the lower layers have a directory that was moved
}

// ChangeKind says how a name differs.
type ChangeKind uint8

const (
	Added ChangeKind = iota
	Modified
	Deleted
	Moved // a directory with what is in it
)

func (k ChangeKind) String() string { return [...]string{"added", "modified", "deleted", "moved"}[k] }

// Changes returns what differs from the lower layers, in the order of the
// paths; a directory comes before what is in it. A file that was opened for
// writing counts as modified whatever was written. Where something was put in
// the place of a thing of another kind, that is first deleted, then added.
func (fs *FS) Changes(ctx vfs.Context) ([]Change, error) {
	var out []Change
	if fs.root.up == nil {
		return nil, nil
	}
	err := fs.root.changes(ctx, "", &out)
	return out, err
}

func (d *dir) changes(ctx vfs.Context, path string, out *[]Change) error {
	var names []string
	err := readDir(ctx, d.upper, func(e vfs.DirEntry) {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(names, strings.Compare)
	for _, name := range names {
		p := path + "/" + name
		u, white, err := d.at(ctx, name)
		if err != nil {
			return err
		}
		if u == nil {
			continue
		}
		below, belowDir, err := d.hides(ctx, name)
		if err != nil {
			return err
		}
		if white {
			evict(u)
			if below {
				*out = append(*out, Change{Path: p, Kind: Deleted})
			}
			continue
		}
		ino, err := d.found(ctx, name, u)
		if err != nil {
			return err
		}
		c, isDir := ino.(*dir)
		if !isDir {
			kind := Added
			if below && belowDir {
				*out = append(*out, Change{Path: p, Kind: Deleted})
			} else if below {
				kind = Modified
			}
			*out = append(*out, Change{Path: p, Kind: kind})
			continue
		}
		if err := d.dirChange(ctx, p, name, c, below, out); err != nil {
			return err
		}
		if err := c.changes(ctx, p, out); err != nil {
			return err
		}
	}
	return nil
}

// dirChange tells what became of a directory itself.
func (d *dir) dirChange(ctx vfs.Context, p, name string, c *dir, below bool, out *[]Change) error {
	if len(c.lowers) > 0 && c.origin == d.origin+"/"+name && len(d.lowers) > 0 {
		now, err := c.upper.Attr(ctx)
		if err != nil {
			return err
		}
		was, err := c.lower.Attr(ctx)
		if err != nil {
			return err
		}
		if now.Mode != was.Mode || now.UID != was.UID || now.GID != was.GID {
			*out = append(*out, Change{Path: p, Kind: Modified})
		}
		return nil
	}
	if below {
		*out = append(*out, Change{Path: p, Kind: Deleted})
	}
	if len(c.lowers) > 0 {
		*out = append(*out, Change{Path: p, Kind: Moved, From: c.origin})
	} else {
		*out = append(*out, Change{Path: p, Kind: Added})
	}
	return nil
}

// Stat tells of a path that Changes returned, in the overlay itself whatever is
// mounted over it.
func (fs *FS) Stat(ctx vfs.Context, path string) (vfs.Attr, error) {
	var at vfs.Inode = fs.root
	for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		d, ok := at.(*dir)
		if !ok {
			return vfs.Attr{}, unix.ENOTDIR
		}
		var err error
		if at, err = d.Lookup(ctx, s); err != nil {
			return vfs.Attr{}, err
		}
	}
	return at.Attr(ctx)
}
