package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Dentry is a name in the tree and the inode it leads to; without an inode it
// remembers that the name is not there.
//
// Contract: a directory has one dentry. A dentry holds its parent and its
// inode. One that nobody holds stays, hashed, in the cache's LRU list until
// room is wanted; one that is not hashed (unlinked) goes with its last
// reference. A directory's lock is held by whoever looks a name up in the file
// system or changes the directory; never taken while holding a child's.
// Two of unrelated directories are taken only under System.renaming.
type Dentry struct {
	name   string
	parent *Dentry // nil at the root of a file system
	sb     *super  // nil outside of every file system
	inode  Inode
	extra  *Extra
	kind   uint32 // S_IFMT of inode

	refs   int32
	mounts int32 // mounts that sit on it, of every namespace
	hashed bool  // in parent.children
	dead   bool  // a directory that was removed
	reval  bool  // its children must be revalidated

	children         map[string]*Dentry
	lruPrev, lruNext *Dentry
	lock             Mutex
}

// Name returns the last component of the name; "" at a root.
func (d *Dentry) Name() string { return d.name }

// Parent returns the directory's dentry, nil at a root. Borrowed.
func (d *Dentry) Parent() *Dentry { return d.parent }

// Inode returns what the name leads to, nil for a name that is not there.
func (d *Dentry) Inode() Inode { return d.inode }

// Deleted reports whether the name is gone while the dentry is still held.
func (d *Dentry) Deleted() bool { return d.parent != nil && !d.hashed }

func newDentry(sb *super, parent *Dentry, name string) *Dentry {
	d := &Dentry{name: name, parent: parent, sb: sb, refs: 1}
	if parent != nil {
		parent.get()
	}
	return d
}

// fill gives d its inode.
func (d *Dentry) fill(ino Inode, kind uint32) {
	d.inode, d.kind = ino, kind&unix.S_IFMT
	_, d.reval = ino.(Revalidator)
	if w, ok := ino.(Watched); ok {
		d.extra = w.Extra()
		d.extra.refs++
	}
}

// hash makes d findable in its parent.
func (d *Dentry) hash() {
	p := d.parent
	if p.children == nil {
		p.children = make(map[string]*Dentry)
	}
	p.children[d.name] = d
	d.hashed = true
}

// forget takes a name out of d's children. An emptied map would keep its room.
func (d *Dentry) forget(name string) {
	delete(d.children, name)
	if len(d.children) == 0 {
		d.children = nil
	}
}

func (d *Dentry) get() {
	if d.refs == 0 && d.lruNext != nil {
		d.sb.sys.lru.remove(d)
	}
	d.refs++
}

func (d *Dentry) put() {
	for d != nil {
		d.refs--
		refs := d.refs
		if d.extra != nil && d.extra.gone && len(d.extra.watches) > 0 {
			d.extra.lastUse(d) // may give back what the watches hold
		}
		switch {
		case refs > 0:
			return
		case refs < 0:
			panic("vfs: dentry " + d.name + " given back twice")
		case d.hashed:
			lru := &d.sb.sys.lru
			lru.push(d)
			lru.trim()
			return
		}
		d.release()
		d = d.parent
	}
}

// free ends a dentry that nobody holds.
func (d *Dentry) free() {
	d.release()
	if d.parent != nil {
		d.parent.put()
	}
}

// release lets go of d's inode.
func (d *Dentry) release() {
	ino, ex := d.inode, d.extra
	d.inode, d.extra = nil, nil
	if ino != nil {
		dropInode(ino, ex)
	}
}

// dropInode gives back one of the references to an inode.
func dropInode(ino Inode, ex *Extra) {
	if ex == nil {
		return
	}
	ex.refs--
	if ex.refs == 0 {
		if e, ok := ino.(Evicter); ok {
			e.Evict()
		}
	}
}

// unhash makes the name forgotten: d lives on for those that hold it.
func (d *Dentry) unhash() {
	if !d.hashed {
		return
	}
	d.parent.forget(d.name)
	d.hashed = false
	if d.refs == 0 {
		d.sb.sys.lru.remove(d)
		d.free()
	}
}

// prune drops the cached dentries below d that nobody holds.
func (d *Dentry) prune() {
	if len(d.children) == 0 {
		return
	}
	d.get() // its children's going must not free it under us
	for _, c := range d.children {
		c.prune()
		if c.refs == 0 {
			c.unhash()
		}
	}
	d.put()
}

// invalidate makes the cache forget d and all below it.
func (d *Dentry) invalidate() {
	d.get()
	d.prune()
	d.unhash()
	d.put()
}

// lookup finds name in directory d, which the caller holds. The result is
// referenced; a name that is not there is a dentry without an inode, or in a
// removed directory ENOENT.
func (d *Dentry) lookup(ctx Context, name string) (*Dentry, error) {
	if c := d.children[name]; c != nil {
		c.get()
		if !d.reval || d.stillThere(ctx, c) {
			return c, nil
		}
		c.put()
	}
	if err := d.lock.Lock(ctx); err != nil {
		return nil, err
	}
	defer d.lock.Unlock()
	return d.lookupLocked(ctx, name)
}

// stillThere asks the file system about a cached child, which it drops if the
// answer is no.
func (d *Dentry) stillThere(ctx Context, c *Dentry) bool {
	if c.mounts > 0 || d.inode.(Revalidator).Revalidate(ctx, c.name, c.inode) {
		return true
	}
	c.invalidate()
	return false
}

// lookupLocked is lookup for a caller that holds d's lock.
func (d *Dentry) lookupLocked(ctx Context, name string) (*Dentry, error) {
	if c := d.children[name]; c != nil {
		c.get()
		if !d.reval || d.stillThere(ctx, c) {
			return c, nil
		}
		c.put()
	}
	if len(name) > unix.NAME_MAX {
		return nil, unix.ENAMETOOLONG
	}
	l, ok := d.inode.(Lookuper)
	if !ok {
		return nil, unix.ENOTDIR
	}
	if d.dead {
		return nil, unix.ENOENT
	}
	c := newDentry(d.sb, d, strings.Clone(name))
	ino, err := l.Lookup(ctx, name)
	if err == nil {
		err = c.adopt(ctx, ino)
	}
	if err != nil && err != unix.ENOENT {
		c.put()
		return nil, err
	}
	// A name that is not there is remembered, unless it may come to be
	// behind our back.
	if err == nil || !d.reval {
		c.hash()
	}
	return c, nil
}

// adopt gives c its inode, whose type it asks for: held meanwhile, for the
// file system may wait and another name of the inode may go.
func (c *Dentry) adopt(ctx Context, ino Inode) error {
	ex := extraOf(ino)
	if ex != nil {
		ex.refs++
	}
	a, err := ino.Attr(ctx)
	if err == nil {
		c.fill(ino, a.Mode)
	}
	dropInode(ino, ex)
	return err
}

// born gives the negative dentry c the inode that was just made for it in
// its directory, whose lock the caller holds.
func (c *Dentry) born(ctx Context, ino Inode) error {
	if err := c.adopt(ctx, ino); err != nil {
		return err
	}
	if !c.hashed {
		c.hash()
	}
	return nil
}

// under reports whether d is a or below a, within one file system.
func (d *Dentry) under(a *Dentry) bool {
	for ; d != nil; d = d.parent {
		if d == a {
			return true
		}
	}
	return false
}

// lruList has the dentries that nobody holds, the latest used first. root is
// a ring's sentinel.
type lruList struct {
	root     Dentry
	n, max   int
	trimming bool
}

func (l *lruList) init(max int) {
	l.root.lruPrev, l.root.lruNext = &l.root, &l.root
	l.max = max
}

func (l *lruList) push(d *Dentry) {
	d.lruPrev, d.lruNext = &l.root, l.root.lruNext
	d.lruNext.lruPrev = d
	l.root.lruNext = d
	l.n++
}

func (l *lruList) remove(d *Dentry) {
	d.lruPrev.lruNext = d.lruNext
	d.lruNext.lruPrev = d.lruPrev
	d.lruPrev, d.lruNext = nil, nil
	l.n--
}

// DropCaches forgets the names that nobody holds: /proc/sys/vm/drop_caches.
func (sys *System) DropCaches() {
	room := sys.lru.max
	sys.lru.max = 0
	sys.lru.trim()
	sys.lru.max = room
}

// trim makes room. A dentry's going may put its parent on the list.
func (l *lruList) trim() {
	if l.trimming {
		return
	}
	l.trimming = true
	for l.n > l.max {
		l.root.lruPrev.unhash()
	}
	l.trimming = false
}
