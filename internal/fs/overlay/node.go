package overlay

import (
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// node is what all inodes have. It is what upper says, once there is one, and
// lower until then; lower stays for its number and its other names.
type node struct {
	vfs.Node
	fs           *FS
	upper, lower vfs.Inode
	ino          uint64
	names        []place // known names, the latest seen last; a directory has one
	links        uint64  // the link count, once it is not a layer's own
	counted      bool    // links counts
	gone         bool    // no name is left

	mode, uid, gid uint32 // as last seen
}

// place is a name of an inode.
type place struct {
	dir  *dir
	name string
}

// maxNames bounds the names remembered of one inode: any will do.
const maxNames = 8

// entry is an inode of this package.
type entry interface {
	vfs.Inode
	base() *node
	// copyUp makes sure that the inode is in the upper layer. Of a file's
	// contents the first size bytes are wanted.
	copyUp(ctx vfs.Context, size int64) error
}

// Sizes for copyUp: all of a file's contents, or none, for they do not change.
const (
	everything = 1<<63 - 1
	nothing    = -1
)

func (n *node) base() *node { return n }

// real is the layer's inode that n is now.
func (n *node) real() vfs.Inode {
	if n.upper != nil {
		return n.upper
	}
	return n.lower
}

func (n *node) note(a vfs.Attr) { n.mode, n.uid, n.gid = a.Mode, a.UID, a.GID }

// Perm implements vfs.Permer.
func (n *node) Perm() (mode, uid, gid uint32) {
	if p, ok := n.real().(vfs.Permer); ok {
		return p.Perm()
	}
	return n.mode, n.uid, n.gid
}

// Attr implements vfs.Inode.
func (n *node) Attr(ctx vfs.Context) (vfs.Attr, error) {
	a, err := n.real().Attr(ctx)
	if err != nil {
		return a, err
	}
	n.note(a)
	a.Dev, a.Ino = n.fs.opts.Dev, n.ino
	if n.counted {
		a.Nlink = n.links
	}
	return a, nil
}

// count takes over counting the links, from the layer's count.
func (n *node) count(nlink uint64) {
	if !n.counted {
		n.links, n.counted = nlink, true
	}
}

// linked and unlinked note a name made and a name removed.
func (n *node) linked(d *dir, name string) {
	if n.counted {
		n.links++
	}
	n.gone = false
	n.addName(d, name)
}

func (n *node) unlinked(ctx vfs.Context, d *dir, name string) {
	if n.counted && n.links > 0 {
		n.links--
	}
	n.dropName(d, name)
	if a, err := n.Attr(ctx); err == nil && a.Nlink == 0 {
		n.gone = true
	}
}

func (n *node) addName(d *dir, s string) {
	for i, p := range n.names {
		if p.dir == d && p.name == s {
			last := len(n.names) - 1
			n.names[i], n.names[last] = n.names[last], n.names[i]
			return
		}
	}
	if len(n.names) == maxNames {
		n.names = n.names[1:]
	}
	n.names = append(n.names, place{d, strings.Clone(s)})
}

func (n *node) dropName(d *dir, s string) {
	for i, p := range n.names {
		if p.dir == d && p.name == s {
			n.names = append(n.names[:i:i], n.names[i+1:]...)
			return
		}
	}
}

// place is where the inode is to be copied to.
func (n *node) place() (p place, ok bool) {
	if len(n.names) == 0 {
		return place{}, false
	}
	return n.names[len(n.names)-1], true
}

// setAttr changes the attributes of what is in the upper layer.
func (n *node) setAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	s, ok := n.upper.(vfs.AttrSetter)
	if !ok {
		return unix.EPERM
	}
	err := s.SetAttr(ctx, set, a)
	if err == nil {
		_, err = n.Attr(ctx)
	}
	return err
}

// Extended attributes of this prefix are the overlay's own.
const (
	private  = "trusted.overlay."
	opaque   = "trusted.overlay.opaque"
	redirect = "trusted.overlay.redirect"
	metacopy = "trusted.overlay.metacopy"
)

// Getxattr implements vfs.Xattrer.
func (n *node) Getxattr(ctx vfs.Context, name string) ([]byte, error) {
	if strings.HasPrefix(name, private) {
		return nil, unix.ENODATA
	}
	x, ok := n.real().(vfs.Xattrer)
	if !ok {
		return nil, unix.EOPNOTSUPP
	}
	return x.Getxattr(ctx, name)
}

// Listxattr implements vfs.Xattrer.
func (n *node) Listxattr(ctx vfs.Context) ([]string, error) {
	x, ok := n.real().(vfs.Xattrer)
	if !ok {
		return nil, nil
	}
	names, err := x.Listxattr(ctx)
	kept := names[:0]
	for _, s := range names {
		if !strings.HasPrefix(s, private) {
			kept = append(kept, s)
		}
	}
	return kept, err
}

// setxattr sets an attribute of what is in the upper layer.
func (n *node) setxattr(ctx vfs.Context, name string, value []byte, flags int) error {
	x, ok := n.upper.(vfs.Xattrer)
	if !ok {
		return unix.EOPNOTSUPP
	}
	return x.Setxattr(ctx, name, value, flags)
}

func (n *node) removexattr(ctx vfs.Context, name string) error {
	x, ok := n.upper.(vfs.Xattrer)
	if !ok {
		return unix.EOPNOTSUPP
	}
	return x.Removexattr(ctx, name)
}

// The methods that change an inode first copy it up, which differs from kind
// to kind; so each kind has them by way of these.

func setAttr(ctx vfs.Context, e entry, set vfs.AttrMask, a vfs.Attr) error {
	size := int64(nothing)
	if set&vfs.SetSize != 0 {
		size = a.Size
	}
	if err := e.copyUp(ctx, size); err != nil {
		return err
	}
	return e.base().setAttr(ctx, set, a)
}

func setxattr(ctx vfs.Context, e entry, name string, value []byte, flags int) error {
	if strings.HasPrefix(name, private) {
		return unix.EPERM
	}
	if err := e.copyUp(ctx, nothing); err != nil {
		return err
	}
	return e.base().setxattr(ctx, name, value, flags)
}

func removexattr(ctx vfs.Context, e entry, name string) error {
	if strings.HasPrefix(name, private) {
		return unix.ENODATA
	}
	if _, err := e.base().Getxattr(ctx, name); err != nil {
		return err // nothing to remove, nothing to copy
	}
	if err := e.copyUp(ctx, nothing); err != nil {
		return err
	}
	return e.base().removexattr(ctx, name)
}

// Evict implements vfs.Evicter. What is in the upper layer is remembered as
// long as it has a name: its number and its other names are known here only.
func (n *node) Evict() {
	if !n.gone && (n.upper != nil || n.counted) {
		return
	}
	for _, r := range [...]vfs.Inode{n.upper, n.lower} {
		if r == nil {
			continue
		}
		if e := n.fs.real[r]; e == nil || e.base() != n {
			continue
		}
		delete(n.fs.real, r)
		evict(r)
	}
}

// evict tells a layer that its inode is not used any more.
func evict(r vfs.Inode) {
	if e, ok := r.(vfs.Evicter); ok {
		e.Evict()
	}
}

// link is a symbolic link.
type link struct{ node }

// Readlink implements vfs.Readlinker.
func (l *link) Readlink(ctx vfs.Context) (string, error) {
	return l.real().(vfs.Readlinker).Readlink(ctx)
}

// special is a fifo, a socket or a device.
type special struct{ node }

func (l *link) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	return setAttr(ctx, l, set, a)
}
func (l *link) Setxattr(ctx vfs.Context, name string, value []byte, flags int) error {
	return setxattr(ctx, l, name, value, flags)
}
func (l *link) Removexattr(ctx vfs.Context, name string) error { return removexattr(ctx, l, name) }

func (s *special) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	return setAttr(ctx, s, set, a)
}
func (s *special) Setxattr(ctx vfs.Context, name string, value []byte, flags int) error {
	return setxattr(ctx, s, name, value, flags)
}
func (s *special) Removexattr(ctx vfs.Context, name string) error { return removexattr(ctx, s, name) }

func (f *file) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	return setAttr(ctx, f, set, a)
}
func (f *file) Setxattr(ctx vfs.Context, name string, value []byte, flags int) error {
	return setxattr(ctx, f, name, value, flags)
}
func (f *file) Removexattr(ctx vfs.Context, name string) error { return removexattr(ctx, f, name) }

func (d *dir) SetAttr(ctx vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	return setAttr(ctx, d, set, a)
}
func (d *dir) Setxattr(ctx vfs.Context, name string, value []byte, flags int) error {
	return setxattr(ctx, d, name, value, flags)
}
func (d *dir) Removexattr(ctx vfs.Context, name string) error { return removexattr(ctx, d, name) }
