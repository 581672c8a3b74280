package vfs

// Path is a place in the tree: a name (dentry) as seen through a mount. Paths
// are compared with ==. A Path is held by Ref and Unref; functions that
// return one return it referenced unless they say otherwise.
//
// Mount is nil for what has no place in the tree (pipes, sockets, memfds).
type Path struct {
	Mount  *Mount
	Dentry *Dentry
}

// Valid reports whether p is a place at all.
func (p Path) Valid() bool { return p.Dentry != nil }

// Inode returns what the name leads to.
func (p Path) Inode() Inode { return p.Dentry.inode }

// Kind returns the file's type, S_IFMT of its mode.
func (p Path) Kind() uint32 { return p.Dentry.kind }

// Ref takes a reference and returns p.
func (p Path) Ref() Path {
	if p.Mount != nil {
		p.Mount.refs++
	}
	if p.Dentry != nil {
		p.Dentry.get()
	}
	return p
}

// Unref gives a reference back. The zero Path has none to give.
func (p Path) Unref() {
	if p.Dentry != nil {
		p.Dentry.put()
	}
	if p.Mount != nil {
		p.Mount.put()
	}
}

// adopt makes a referenced path of a dentry that is referenced already.
func (p Path) adopt() Path {
	if p.Mount != nil {
		p.Mount.refs++
	}
	return p
}
