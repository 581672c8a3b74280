package overlay

import (
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// dir is a directory: what the upper layer has, if anything, merged with what
// each of lowers has below it.
type dir struct {
	node
	up     upperDir  // upper
	lowers []layered // topmost first; the first one is lower
	// origin is the place of lowers in their layers ("/usr/lib"; "" is the
	// root), which stays when the directory is moved.
	origin string
	merged *listing // what the directory has, when known
}

// layered is a directory of a lower layer.
type layered struct {
	ino   vfs.Inode
	layer int
}

// upperDir is what a directory must be able to do for an upper layer.
type upperDir interface {
	vfs.Inode
	vfs.Lookuper
	vfs.Creator
	vfs.Mkdirer
	vfs.Symlinker
	vfs.Linker
	vfs.Unlinker
	vfs.Rmdirer
	vfs.Renamer
	vfs.Opener
	vfs.AttrSetter
	vfs.Xattrer
}

// Attr implements vfs.Inode. The links of a merged directory are not counted:
// 1, which find(1) knows.
func (d *dir) Attr(ctx vfs.Context) (vfs.Attr, error) {
	a, err := d.node.Attr(ctx)
	if d.gone {
		a.Nlink = 0
	} else if d.up != nil && len(d.lowers) > 0 || len(d.lowers) > 1 {
		a.Nlink = 1
	}
	return a, err
}

// Evict implements vfs.Evicter.
func (d *dir) Evict() {
	if d == d.fs.root {
		return
	}
	d.merged = nil
	if d.upper != nil {
		if !d.gone {
			return
		}
		delete(d.fs.real, d.upper)
		evict(d.upper)
	}
	for _, l := range d.lowers {
		evict(l.ino)
	}
}

// Lookup implements vfs.Lookuper. A directory that is in one lower layer
// alone costs one look there.
func (d *dir) Lookup(ctx vfs.Context, name string) (vfs.Inode, error) {
	if d.up != nil {
		u, err := d.up.Lookup(ctx, name)
		if err == nil {
			return d.found(ctx, name, u)
		}
		if err != unix.ENOENT {
			return nil, err
		}
	}
	return d.below(ctx, name)
}

// isWhiteout reports whether an inode of a layer says that the name is gone.
func isWhiteout(a *vfs.Attr) bool { return a.Mode&unix.S_IFMT == unix.S_IFCHR && a.Rdev == 0 }

// found returns the inode of a name that the upper layer has.
func (d *dir) found(ctx vfs.Context, name string, u vfs.Inode) (vfs.Inode, error) {
	if e := d.fs.real[u]; e != nil {
		e.base().addName(d, name)
		return e, nil
	}
	a, err := u.Attr(ctx)
	if err != nil {
		return nil, err
	}
	if isWhiteout(&a) {
		evict(u)
		return nil, unix.ENOENT
	}
	e := d.fs.newEntry(a)
	n := e.base()
	n.upper = u
	if s, ok := e.(*dir); ok {
		if s.up, ok = u.(upperDir); !ok {
			return nil, unix.EIO
		}
		if err := s.findLowers(ctx, d, name); err != nil {
			return nil, err
		}
	}
	layer := 0
	switch e := e.(type) {
	case *dir:
		if len(e.lowers) > 0 {
			layer = e.lowers[0].layer
		}
	case *file:
		if layer, err = e.findContents(ctx, d, name); err != nil {
			return nil, err
		}
	}
	if n.lower != nil {
		la, err := n.lower.Attr(ctx)
		if err != nil {
			return nil, err
		}
		n.ino = d.fs.inode(layer, la.Dev, la.Ino)
	} else {
		n.ino = d.fs.inode(upperLayer, a.Dev, a.Ino)
	}
	d.fs.real[u] = e
	n.addName(d, name)
	return e, nil
}

// below returns the inode of a name that the lower layers have.
func (d *dir) below(ctx vfs.Context, name string) (vfs.Inode, error) {
	l, layer, i, a, err := d.top(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	if e := d.fs.real[l]; e != nil {
		e.base().addName(d, name)
		return e, nil
	}
	e := d.fs.newEntry(a)
	n := e.base()
	n.lower, n.ino = l, d.fs.inode(layer, a.Dev, a.Ino)
	if s, ok := e.(*dir); ok {
		s.origin = d.origin + "/" + name
		s.lowers = append(s.lowers, layered{l, layer})
		if err := s.merge(ctx, d.lowers[i+1:], name); err != nil {
			return nil, err
		}
	} else {
		d.fs.real[l] = e
	}
	n.addName(d, name)
	return e, nil
}

// top finds a name in the lower layers from d.lowers[from] on, where it is
// topmost: i is its index there. A whiteout is ENOENT.
func (d *dir) top(ctx vfs.Context, name string, from int) (l vfs.Inode, layer, i int, a vfs.Attr, err error) {
	for i := from; i < len(d.lowers); i++ {
		l, err := d.lowers[i].ino.(vfs.Lookuper).Lookup(ctx, name)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			continue
		}
		if err == nil {
			a, err = l.Attr(ctx)
		}
		if err == nil && isWhiteout(&a) {
			evict(l)
			err = unix.ENOENT
		}
		return l, d.lowers[i].layer, i, a, err
	}
	return nil, 0, 0, a, unix.ENOENT
}

// hides reports whether the lower layers have something called name in d,
// that a whiteout must hide when it is to be gone. dir tells whether it is a
// directory.
func (d *dir) hides(ctx vfs.Context, name string) (there, isDir bool, err error) {
	l, _, _, a, err := d.top(ctx, name, 0)
	switch err {
	case nil:
		if d.fs.real[l] == nil {
			evict(l)
		}
		return true, a.IsDir(), nil
	case unix.ENOENT:
		return false, false, nil
	}
	return false, false, err
}

// merge adds to s, found topmost in a layer, what the layers below it have:
// in parents, under a name, until something that is not a directory, or an
// opaque one, ends it. Where a directory was moved, the layers below its own
// have it elsewhere.
func (s *dir) merge(ctx vfs.Context, parents []layered, name string) error {
	for {
		above, next := s.upper, 0
		if n := len(s.lowers); n > 0 {
			above, next = s.lowers[n-1].ino, s.lowers[n-1].layer+1
		}
		if next >= len(s.fs.lowers) {
			return nil
		}
		end, moved, err := mark(ctx, above)
		if err != nil || end {
			return err
		}
		if moved != "" {
			if parents, name, err = s.fs.follow(ctx, parents, next, moved); err != nil {
				return err
			}
		}
		p := &dir{node: node{fs: s.fs}, lowers: parents}
		l, layer, i, a, err := p.top(ctx, name, 0)
		if err == unix.ENOENT {
			return nil
		}
		if err != nil {
			return err
		}
		if !a.IsDir() {
			if s.fs.real[l] == nil {
				evict(l)
			}
			return nil
		}
		s.lowers = append(s.lowers, layered{l, layer})
		parents = parents[i+1:]
	}
}

// findLowers finds what the lower layers have below s, of the upper layer,
// that was found in d.
func (s *dir) findLowers(ctx vfs.Context, d *dir, name string) error {
	_, moved, err := mark(ctx, s.upper)
	if err != nil {
		return err
	}
	s.origin = d.origin + "/" + name
	if strings.HasPrefix(moved, "/") {
		s.origin = moved
	} else if moved != "" {
		s.origin = d.origin + "/" + moved
	}
	if err := s.merge(ctx, d.lowers, name); err != nil {
		return err
	}
	if len(s.lowers) > 0 {
		s.lower = s.lowers[0].ino
	}
	return nil
}

// findContents finds the file in the lower layers, and in which, that f of the
// upper layer, found in d, has been copied from without the contents.
func (f *file) findContents(ctx vfs.Context, d *dir, name string) (layer int, err error) {
	x, ok := f.upper.(vfs.Xattrer)
	if !ok {
		return 0, nil
	}
	if _, err := x.Getxattr(ctx, metacopy); err != nil {
		return 0, nil
	}
	p := &dir{node: node{fs: d.fs}, lowers: d.lowers}
	if moved, err := x.Getxattr(ctx, redirect); err == nil && len(moved) > 0 {
		if p.lowers, name, err = d.fs.follow(ctx, d.lowers, 0, string(moved)); err != nil {
			return 0, err
		}
	}
	l, layer, _, a, err := p.top(ctx, name, 0)
	if err == unix.ENOENT || err == nil && !a.IsRegular() {
		err = unix.EIO // as overlayfs
	}
	if err == nil {
		f.lower, f.lazy = l, true
	}
	return layer, err
}

// mark reads what a layer's directory says about the layers below: that they
// have no part in it, or that they have it elsewhere.
func mark(ctx vfs.Context, ino vfs.Inode) (end bool, moved string, err error) {
	x, ok := ino.(vfs.Xattrer)
	if !ok {
		return false, "", nil
	}
	v, err := x.Getxattr(ctx, opaque)
	if err == nil && string(v) == "y" {
		return true, "", nil
	}
	v, err = x.Getxattr(ctx, redirect)
	switch err {
	case nil:
		return false, string(v), nil
	case unix.ENODATA, unix.EOPNOTSUPP, unix.EPERM, unix.EACCES:
		return false, "", nil
	}
	return false, "", err
}

// follow returns where a redirect leads to: the directories of the lower
// layers, from layer from on, that have it, and the name in them. It is a path
// from the layer's root, or another name in parents.
func (fs *FS) follow(ctx vfs.Context, parents []layered, from int, to string) ([]layered, string, error) {
	if !strings.HasPrefix(to, "/") {
		if to == "." || to == ".." || strings.Contains(to, "/") {
			return nil, "", unix.EIO
		}
		return parents, to, nil
	}
	at := &dir{node: node{fs: fs}}
	for i := from; i < len(fs.lowers); i++ {
		at.lowers = append(at.lowers, layered{fs.lowers[i], i})
	}
	parts := strings.Split(to[1:], "/")
	last := len(parts) - 1
	for i, s := range parts {
		if s == "" || s == "." || s == ".." {
			return nil, "", unix.EIO
		}
		if i == last {
			break
		}
		next := &dir{node: node{fs: fs}}
		l, layer, j, a, err := at.top(ctx, s, 0)
		if err == unix.ENOENT || err == nil && !a.IsDir() {
			return nil, "", nil // nothing is there any more
		}
		if err != nil {
			return nil, "", err
		}
		next.lowers = append(next.lowers, layered{l, layer})
		if err := next.merge(ctx, at.lowers[j+1:], s); err != nil {
			return nil, "", err
		}
		at = next
	}
	return at.lowers, parts[last], nil
}

// newEntry returns an inode of the type in a.
func (fs *FS) newEntry(a vfs.Attr) entry {
	var e entry
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e = &dir{}
	case unix.S_IFREG:
		e = &file{}
	case unix.S_IFLNK:
		e = &link{}
	default:
		e = &special{}
	}
	n := e.base()
	n.fs = fs
	n.note(a)
	return e
}
