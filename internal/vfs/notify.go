package vfs

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Extra is what the VFS keeps with an inode beside what the file system
// does: references, file locks and watches. An inode has one by embedding
// Node; without it there are no locks and no watches, and Evict is not told.
type Extra struct {
	// Bound is what belongs to the inode of a fifo (the pipe) or of a
	// socket (the socket bound to it), nil when there is none. Whoever sets
	// it holds a Path or a File of the inode, and takes it back in time.
	Bound any
	// WritableMaps counts the shared mappings through which the file can
	// be written, mprotect included: mm keeps it, F_SEAL_WRITE looks at it.
	WritableMaps int32

	refs     int32 // dentries and nameless descriptions
	writers  int32 // descriptions open for writing; below 0, executions
	gone     bool  // its last name was removed
	linkable bool  // made by O_TMPFILE: it may be given a name
	watches  []*Watch
	locks    *locks
}

// Node gives an inode its Extra.
type Node struct{ extra Extra }

// Extra implements Watched.
func (n *Node) Extra() *Extra { return &n.extra }

// extraOf returns the inode's Extra, or nil.
func extraOf(ino Inode) *Extra {
	if w, ok := ino.(Watched); ok {
		return w.Extra()
	}
	return nil
}

// Watch is an inotify mark: it is told what happens to an inode and, if that
// is a directory, to the names in it.
type Watch struct {
	// Mask has the IN_* events wanted, and IN_EXCL_UNLINK.
	Mask uint32
	// Notify is told of an event: mask has one IN_* event, with IN_ISDIR
	// when it is about a directory; cookie joins the two halves of a
	// rename; name is "" when it is about the inode itself. IN_IGNORED
	// comes last, unasked: the watch is gone. It may call Remove.
	Notify func(mask, cookie uint32, name string)

	dentry *Dentry // held while the watch is set
}

// AddWatch sets w on what p leads to. The watch holds the name in the cache.
func AddWatch(p Path, w *Watch) error {
	d := p.Dentry
	if d == nil || d.extra == nil {
		return unix.EOPNOTSUPP
	}
	d.get()
	w.dentry = d
	d.extra.watches = append(d.extra.watches, w)
	if d.sb != nil {
		d.sb.watches = append(d.sb.watches, w)
	}
	return nil
}

// Remove takes the watch off, without IN_IGNORED.
func (w *Watch) Remove() {
	d := w.dentry
	if d == nil {
		return
	}
	w.dentry = nil
	d.extra.watches = without(d.extra.watches, w)
	if d.sb != nil {
		d.sb.watches = without(d.sb.watches, w)
	}
	d.put()
}

func without(ws []*Watch, w *Watch) []*Watch {
	if i := slices.Index(ws, w); i >= 0 {
		ws = slices.Delete(ws, i, i+1)
	}
	return ws
}

// end tells the watch its last event, then that it is over.
func (w *Watch) end(mask uint32) {
	if w.Mask&mask != 0 || mask == unix.IN_UNMOUNT {
		w.Notify(mask, 0, "")
	}
	if w.dentry != nil {
		w.Remove()
		w.Notify(unix.IN_IGNORED, 0, "")
	}
}

// event tells the watches on ex. unlinked: the name is not there any more.
func (ex *Extra) event(mask, cookie uint32, name string, unlinked bool) {
	ws := ex.watches
	if len(ws) > 1 {
		ws = slices.Clone(ws) // Notify may remove some
	}
	for _, w := range ws {
		if w.dentry == nil || w.Mask&mask&unix.IN_ALL_EVENTS == 0 || unlinked && w.Mask&unix.IN_EXCL_UNLINK != 0 {
			continue
		}
		w.Notify(mask, cookie, name)
	}
}

// Notify tells the watches on d's inode, and those on its directory under
// d's name, of what happened to the file: IN_ACCESS, _ATTRIB, _MODIFY, _OPEN,
// _CLOSE_WRITE, _CLOSE_NOWRITE.
func (d *Dentry) Notify(mask uint32) {
	p := d.parent
	byParent := p != nil && p.extra != nil && len(p.extra.watches) > 0
	if !byParent && (d.extra == nil || len(d.extra.watches) == 0) {
		return
	}
	// IN_EXCL_UNLINK is for what is done through an open file.
	unlinked := d.Deleted() && mask&unix.IN_ATTRIB == 0
	if d.kind == unix.S_IFDIR {
		mask |= unix.IN_ISDIR
	}
	if byParent {
		p.extra.event(mask, 0, d.name, unlinked)
	}
	if d.extra != nil {
		d.extra.event(mask, 0, "", unlinked)
	}
}

// notifyName tells the watches on directory d what happened to one of its
// names: IN_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO.
func (d *Dentry) notifyName(mask, cookie uint32, name string, kind uint32) {
	if d.extra == nil || len(d.extra.watches) == 0 {
		return
	}
	if kind == unix.S_IFDIR {
		mask |= unix.IN_ISDIR
	}
	d.extra.event(mask, cookie, name, false)
}

// notifySelf tells the watches on d's inode alone.
func (d *Dentry) notifySelf(mask uint32) {
	if d.extra == nil || len(d.extra.watches) == 0 {
		return
	}
	if d.kind == unix.S_IFDIR && mask != unix.IN_MOVE_SELF {
		mask |= unix.IN_ISDIR
	}
	d.extra.event(mask, 0, "", false)
}

// unlinked notes that a name of d's inode was removed: the inode's link count
// changed, and its watches end with its last use if that was the last name.
func (d *Dentry) unlinked(ctx Context) {
	if d.extra == nil {
		return
	}
	if d.kind != unix.S_IFDIR {
		d.notifySelf(unix.IN_ATTRIB)
		if a, err := d.inode.Attr(ctx); err != nil || a.Nlink > 0 {
			return
		}
	}
	d.extra.gone = true
}

// lastUse ends the watches on an inode without names once nobody but they
// hold d, one of its dentries: as on Linux, that it may be open by another
// name which is gone does not count. It is asked whenever a reference to d is
// given back, with d still usable.
func (ex *Extra) lastUse(d *Dentry) {
	var pins int32
	for _, w := range ex.watches {
		if w.dentry == d {
			pins++
		}
	}
	if d.refs > pins {
		return
	}
	for _, w := range slices.Clone(ex.watches) {
		if w.dentry != nil {
			w.end(unix.IN_DELETE_SELF)
		}
	}
}

// unmounted ends the watches in a file system that is not mounted any more.
func (sb *super) unmounted() {
	for _, w := range slices.Clone(sb.watches) {
		if w.dentry != nil {
			w.end(unix.IN_UNMOUNT)
		}
	}
}
