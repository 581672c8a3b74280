package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// At is where names are resolved from: the task's root, and the directory
// (working directory, or dirfd) that a relative name starts at. Both are
// borrowed from the caller.
type At struct{ Root, Dir Path }

// WalkFlags say how a name's end is treated.
type WalkFlags uint32

const (
	// Follow follows a symbolic link at the end of the name.
	Follow WalkFlags = 1 << iota
	// Directory refuses what is not a directory at the end.
	Directory
	// Empty lets the empty name be At.Dir itself: AT_EMPTY_PATH.
	Empty
)

const maxLinks = 40

// resolveCached is RESOLVE_CACHED of openat2(2): EAGAIN rather than wait.
const resolveCached = 0x20

// Walk resolves a name: path_resolution(7). resolve has openat2(2)'s RESOLVE_*
// bits. The result is referenced.
func Walk(ctx Context, at At, name string, flags WalkFlags, resolve uint64) (Path, error) {
	return walkFor(ctx, at, name, flags, resolve, UseLook)
}

func walk(ctx Context, cred *Cred, at At, name string, flags WalkFlags, resolve uint64) (Path, error) {
	if name == "" && flags&Empty != 0 {
		return at.Dir.Ref(), nil
	}
	var w walker
	if err := w.begin(ctx, cred, at, name, resolve); err != nil {
		return Path{}, err
	}
	for {
		if err := w.toLast(); err != nil {
			return Path{}, w.fail(err)
		}
		again, err := w.stepLast(flags&Follow != 0)
		if err != nil {
			return Path{}, w.fail(err)
		}
		if !again {
			break
		}
	}
	if (w.mustDir || flags&Directory != 0) && w.cur.Dentry.kind != unix.S_IFDIR {
		return Path{}, w.fail(unix.ENOTDIR)
	}
	w.root.Unref()
	return w.cur, nil
}

// WalkParent resolves all of a name but its last component, which it returns:
// a single name, ".", ".." or "" for the root itself. slash reports a trailing
// slash. The result is referenced.
func WalkParent(ctx Context, at At, name string, resolve uint64) (dir Path, last string, slash bool, err error) {
	var w walker
	if err := w.begin(ctx, ctx.Cred(), at, name, resolve); err != nil {
		return Path{}, "", false, err
	}
	if err := w.toLast(); err != nil {
		return Path{}, "", false, w.fail(err)
	}
	w.root.Unref()
	return w.cur, w.last, w.mustDir, nil
}

// walker is a walk in progress. It holds root and cur, so that they stay
// while a file system waits.
type walker struct {
	ctx     Context
	cred    *Cred
	root    Path
	cur     Path
	resolve uint64
	rest    string   // still to walk, without leading slashes
	outer   []string // what is left of the names around the links we are in
	links   int
	last    string // the last component, once toLast found it
	mustDir bool   // the name ended in a slash
}

func (w *walker) begin(ctx Context, cred *Cred, at At, name string, resolve uint64) error {
	if name == "" {
		return unix.ENOENT
	}
	if len(name) >= unix.PathMax {
		return unix.ENAMETOOLONG
	}
	if resolve&unix.RESOLVE_BENEATH != 0 && resolve&unix.RESOLVE_IN_ROOT != 0 {
		return unix.EINVAL
	}
	w.ctx, w.cred, w.resolve = ctx, cred, resolve
	w.root, w.cur = at.Root, at.Dir
	if resolve&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) != 0 {
		w.root = at.Dir
	}
	if name[0] == '/' {
		if resolve&unix.RESOLVE_BENEATH != 0 {
			return unix.EXDEV
		}
		w.cur = w.root
		name = strings.TrimLeft(name, "/")
	}
	w.rest = name
	w.root.Ref()
	w.cur.Ref()
	return nil
}

// fail ends the walk.
func (w *walker) fail(err error) error {
	w.root.Unref()
	w.cur.Unref()
	return err
}

// to goes to p, which is referenced.
func (w *walker) to(p Path) {
	w.cur.Unref()
	w.cur = p
}

// toLast walks all but the last component.
func (w *walker) toLast() error {
	for {
		if w.rest == "" {
			n := len(w.outer)
			if n == 0 {
				w.last = ""
				return nil
			}
			w.rest = w.outer[n-1]
			w.outer = w.outer[:n-1]
		}
		d := w.cur.Dentry
		if d.kind != unix.S_IFDIR {
			return unix.ENOTDIR
		}
		if !w.cred.Has(unix.CAP_DAC_OVERRIDE) && !w.cred.Has(unix.CAP_DAC_READ_SEARCH) {
			mode, uid, gid, err := perm(w.ctx, d.inode)
			if err != nil {
				return err
			}
			if !w.cred.Allows(mode, uid, gid, MayExec) {
				return unix.EACCES
			}
		}
		name := w.rest
		if i := strings.IndexByte(name, '/'); i < 0 {
			w.rest = ""
			if len(w.outer) == 0 {
				w.last = name
				return nil
			}
		} else {
			rest := name[i+1:]
			for rest != "" && rest[0] == '/' {
				rest = rest[1:]
			}
			name, w.rest = name[:i], rest
			if rest == "" && len(w.outer) == 0 {
				w.last, w.mustDir = name, true
				return nil
			}
		}
		if _, err := w.step(name, true); err != nil {
			return err
		}
	}
}

// stepLast takes the last component. again reports that it led through a link
// to a name that is still to be walked.
func (w *walker) stepLast(follow bool) (again bool, err error) {
	if w.last == "" {
		return false, nil
	}
	return w.step(w.last, follow || w.mustDir)
}

// step goes to a component of the current directory. Where it is a link to be
// followed, what it says is put before the rest of the name, and more is true.
func (w *walker) step(name string, follow bool) (more bool, err error) {
	switch name {
	case ".":
		return false, nil
	case "..":
		return false, w.up()
	}
	c, err := w.child(name)
	if err != nil {
		return false, err
	}
	if c.inode == nil {
		c.put()
		return false, unix.ENOENT
	}
	return w.into(c, follow)
}

// child looks a name up in the current directory.
func (w *walker) child(name string) (*Dentry, error) {
	d := w.cur.Dentry
	if w.resolve&resolveCached != 0 && d.children[name] == nil {
		return nil, unix.EAGAIN
	}
	return d.lookup(w.ctx, name)
}

// into goes on to child c, referenced, of the current directory.
func (w *walker) into(c *Dentry, follow bool) (more bool, err error) {
	if c.kind == unix.S_IFLNK && follow {
		return true, w.follow(c)
	}
	// The new place shares the mount with the old one.
	old := w.cur.Dentry
	w.cur.Dentry = c
	old.put()
	if c.mounts > 0 {
		return false, w.cross()
	}
	return false, nil
}

// cross goes to the root of what is mounted at the current place.
func (w *walker) cross() error {
	if w.cur.Mount == nil || w.cur.Mount.ns == nil {
		return nil
	}
	m := w.cur.Mount
	w.cur = m.ns.cross(w.cur)
	if w.cur.Mount != m && w.resolve&unix.RESOLVE_NO_XDEV != 0 {
		return unix.EXDEV
	}
	return nil
}

// up goes to the parent directory: not above the root, and out of mounts.
func (w *walker) up() error {
	p := w.cur // borrowed from here on
	for {
		if p == w.root {
			if w.resolve&unix.RESOLVE_BENEATH != 0 {
				return unix.EXDEV
			}
			break
		}
		if p.Mount == nil || p.Dentry != p.Mount.root {
			if p.Dentry.parent != nil {
				p.Dentry = p.Dentry.parent
			}
			// What was moved out of a bind mount's part of the tree
			// does not lead out of the mount.
			if p.Mount != nil && p.Mount.root.parent != nil && !p.Dentry.under(p.Mount.root) {
				return unix.ENOENT
			}
			break
		}
		if p.Mount.parent == nil {
			break
		}
		if w.resolve&unix.RESOLVE_NO_XDEV != 0 {
			return unix.EXDEV
		}
		p = p.Mount.Parent()
	}
	if w.resolve&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) != 0 && !reaches(p, w.root) {
		return unix.EXDEV // it was moved out meanwhile
	}
	w.to(p.Ref())
	if p.Dentry.mounts > 0 {
		return w.cross()
	}
	return nil
}

// follow goes where link c, referenced, leads, or puts its text before the
// rest of the name.
func (w *walker) follow(c *Dentry) error {
	defer c.put()
	w.links++
	if w.links > maxLinks || w.resolve&unix.RESOLVE_NO_SYMLINKS != 0 || w.cur.Mount.Has(unix.MS_NOSYMFOLLOW) {
		return unix.ELOOP
	}
	if j, ok := c.inode.(Jumper); ok {
		return w.jump(j)
	}
	r, ok := c.inode.(Readlinker)
	if !ok {
		return unix.EINVAL
	}
	text, err := r.Readlink(w.ctx)
	if err != nil {
		return err
	}
	if text == "" {
		return unix.ENOENT
	}
	if w.rest != "" {
		w.outer = append(w.outer, w.rest)
	}
	w.rest = text
	if text[0] == '/' {
		if w.resolve&unix.RESOLVE_BENEATH != 0 ||
			w.resolve&unix.RESOLVE_NO_XDEV != 0 && w.root.Mount != w.cur.Mount {
			return unix.EXDEV
		}
		w.to(w.root.Ref())
		w.rest = strings.TrimLeft(text, "/")
	}
	return nil
}

// jump follows a magic link.
func (w *walker) jump(j Jumper) error {
	if w.resolve&unix.RESOLVE_NO_MAGICLINKS != 0 {
		return unix.ELOOP
	}
	p, err := j.Jump(w.ctx)
	if err != nil {
		return err
	}
	p.Ref()
	if w.resolve&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) != 0 ||
		w.resolve&unix.RESOLVE_NO_XDEV != 0 && p.Mount != w.cur.Mount {
		p.Unref()
		return unix.EXDEV
	}
	w.to(p)
	return nil
}
