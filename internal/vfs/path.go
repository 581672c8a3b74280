package vfs

// Path is a place in the tree: a name (dentry) as seen through a mount.
type Path struct {
	Mount  *Mount
	Dentry *Dentry
}

// Mount is a file system attached to the tree.
type Mount struct{}

// Dentry is a name in the tree and the inode it leads to.
type Dentry struct{}

// Extra is what an inode carries for inotify and file locks.
type Extra struct{}
