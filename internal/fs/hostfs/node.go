package hostfs

import (
	"math"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// id is what tells a file from all others of the host.
type id struct{ dev, ino uint64 }

func idOf(st *unix.Statx_t) id { return id{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino} }

// name is one of an inode's names.
type name struct {
	dir  *dir
	name string
}

// maxNames bounds the names remembered of one inode: any will do.
const maxNames = 8

// node is what all inodes have. It is reached through a descriptor if there
// is one, or else through the names that were seen or made; each use of a name
// checks that it still leads to the same file.
type node struct {
	vfs.Node
	fs      *FS
	id      id
	names   []name   // the latest seen last
	attr    vfs.Attr // as last seen
	path    *handle  // O_PATH: of directories, and of what has no name
	ro, rw  *handle  // a file's, open for reading and for both
	pinned  bool     // path is held: no name is known
	key     uint64   // of a file's pages; 0 until mapped
	remote  bool     // on a file system whose reads may wait for ever
	noXattr bool     // stable, and seen to have no extended attributes
}

// entry is an inode of this package.
type entry interface {
	vfs.Inode
	base() *node
}

func (n *node) base() *node { return n }

// current returns a descriptor that is open already, or nil.
func (n *node) current() *handle {
	switch {
	case n.rw != nil:
		return n.rw
	case n.ro != nil:
		return n.ro
	}
	return n.path
}

func (n *node) init(fs *FS, st *unix.Statx_t) {
	n.fs, n.id = fs, idOf(st)
	n.take(st)
}

// take notes attributes that the host told.
func (n *node) take(st *unix.Statx_t) {
	o := &n.fs.opts
	n.attr = vfs.Attr{
		Dev: n.id.dev, Ino: st.Ino, Nlink: uint64(st.Nlink), Mode: uint32(st.Mode),
		UID: toGuest(o.UIDs, st.Uid), GID: toGuest(o.GIDs, st.Gid),
		Rdev: unix.Mkdev(st.Rdev_major, st.Rdev_minor), Size: int64(st.Size),
		BlockSize: int64(st.Blksize), Blocks: int64(st.Blocks),
		Atime: nanos(st.Atime), Mtime: nanos(st.Mtime), Ctime: nanos(st.Ctime), Btime: nanos(st.Btime),
	}
	if o.Dev != 0 && n.id.dev == n.fs.dev {
		n.attr.Dev = o.Dev
	}
}

func nanos(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// same reports whether st is of this very inode. The host may give a number
// again once the file is gone, so the type and the time of birth must agree.
func (n *node) same(st *unix.Statx_t) bool {
	return idOf(st) == n.id && uint32(st.Mode)&unix.S_IFMT == n.attr.Mode&unix.S_IFMT &&
		(st.Mask&unix.STATX_BTIME == 0 || n.attr.Btime == 0 || nanos(st.Btime) == n.attr.Btime)
}

// refresh asks the host for the attributes.
func (n *node) refresh() error {
	var st unix.Statx_t
	if cur := n.current(); cur != nil {
		err := n.fs.statFD(cur.fd, &st)
		if err == nil {
			n.take(&st)
		}
		return err
	}
	return n.byName(func(dirfd int, name string) error {
		if err := n.fs.statAt(dirfd, name, &st); err != nil {
			return err
		}
		if !n.same(&st) {
			return unix.ESTALE
		}
		n.take(&st)
		return nil
	})
}

// byName runs f with the inode's names until one leads to it: ENOENT when none
// leads anywhere, ESTALE when they lead to something else.
func (n *node) byName(f func(dirfd int, name string) error) error {
	err := error(unix.ESTALE)
	for i := len(n.names) - 1; i >= 0; i-- {
		nm := n.names[i]
		var h *handle
		if h, err = nm.dir.pathHandle(); err == nil {
			err = f(h.fd, nm.name)
			n.fs.cache.put(h)
		}
		switch err {
		case unix.ENOTDIR, unix.ELOOP, unix.ENXIO:
			err = unix.ESTALE
		case unix.ESTALE, unix.ENOENT:
		default:
			return err
		}
	}
	return err
}

// openNode opens an O_PATH descriptor.
func (n *node) openNode() (int, error) {
	fd := -1
	err := n.byName(func(dirfd int, name string) error {
		var err error
		fd, err = n.fs.openAt(dirfd, name, oNode, 0)
		if err != nil {
			return err
		}
		return n.verify(fd)
	})
	return fd, err
}

// verify checks that fd, just opened, is of this inode, or closes it.
func (n *node) verify(fd int) error {
	var st unix.Statx_t
	err := n.fs.statFD(fd, &st)
	if err == nil && !n.same(&st) && !n.replace(&st) {
		err = unix.ESTALE
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	n.take(&st)
	return nil
}

// replace sees to a file or directory of a stable tree that the host replaced
// all the same, as an upgrade does: nobody revalidates the name, so the inode
// becomes that of the new one. It must have no descriptor of the old one.
func (n *node) replace(st *unix.Statx_t) bool {
	to := idOf(st)
	kind := uint32(st.Mode) & unix.S_IFMT
	if !n.fs.opts.Stable || kind != n.attr.Mode&unix.S_IFMT || kind != unix.S_IFREG && kind != unix.S_IFDIR ||
		to.dev != n.id.dev || n.fs.inodes[to] != nil || n.current() != nil {
		return false
	}
	e := n.fs.inodes[n.id]
	if e == nil || e.base() != n || e == n.fs.root {
		return false
	}
	delete(n.fs.inodes, n.id)
	n.fs.inodes[to] = e
	vfs.ForgetKey(n.key)
	n.id, n.noXattr, n.key = to, false, 0
	n.take(st)
	return true
}

// reach returns a descriptor of the inode, good for what O_PATH is good for.
// Give it back with cache.put.
func (n *node) reach() (*handle, error) {
	if cur := n.current(); cur != nil {
		return n.fs.cache.get(cur), nil
	}
	fd, err := n.openNode()
	if err != nil {
		return nil, err
	}
	return n.fs.cache.add(fd, nil), nil
}

// pathHandle returns the O_PATH descriptor, held; it stays cached.
func (n *node) pathHandle() (*handle, error) {
	if n.path != nil {
		return n.fs.cache.get(n.path), nil
	}
	fd, err := n.openNode()
	if err != nil {
		return nil, err
	}
	return n.fs.cache.add(fd, &n.path), nil
}

// pin makes the inode reachable without a name until it is evicted.
func (n *node) pin() error {
	if n.pinned {
		return nil
	}
	_, err := n.pathHandle()
	n.pinned = err == nil
	return err
}

func (n *node) unpin() {
	if n.pinned {
		n.pinned = false
		n.fs.cache.put(n.path)
	}
}

// addName remembers a name.
func (n *node) addName(d *dir, s string) {
	for i, nm := range n.names {
		if nm.dir == d && nm.name == s {
			if last := len(n.names) - 1; i != last {
				n.names[i], n.names[last] = n.names[last], n.names[i]
			}
			return
		}
	}
	if len(n.names) == maxNames {
		n.names = n.names[1:]
	}
	n.names = append(n.names, name{d, strings.Clone(s)})
}

// dropName forgets a name.
func (n *node) dropName(d *dir, s string) {
	for i, nm := range n.names {
		if nm.dir == d && nm.name == s {
			n.names = append(n.names[:i:i], n.names[i+1:]...)
			return
		}
	}
}

// parting makes ready for a name being removed: who holds the inode must go on
// reaching it. If that cannot be, they will find it ESTALE.
func (n *node) parting() {
	if n.attr.Nlink <= 1 || len(n.names) < 2 || n.attr.IsDir() {
		n.pin()
	}
}

// parted notes that a name was removed.
func (n *node) parted(d *dir, s string) {
	n.dropName(d, s)
	switch {
	case n.attr.IsDir():
		n.attr.Nlink = 0
	case n.attr.Nlink > 0:
		n.attr.Nlink--
	}
}

// stay takes parting back: the name was not removed.
func (n *node) stay() {
	if len(n.names) > 0 {
		n.unpin()
	}
}

// Perm implements vfs.Permer. What changes behind our back is seen by
// Revalidate, which the walk calls just before.
func (n *node) Perm() (mode, uid, gid uint32) { return n.attr.Mode, n.attr.UID, n.attr.GID }

// Attr implements vfs.Inode: from memory, or from the host.
func (n *node) Attr(vfs.Context) (vfs.Attr, error) {
	if cur := n.current(); n.fs.opts.Stable && (cur == nil || cur.refs == 0) {
		return n.attr, nil
	}
	if err := n.refresh(); err != nil {
		return vfs.Attr{}, err
	}
	return n.attr, nil
}

// SetAttr implements vfs.AttrSetter, but for sizes.
func (n *node) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if n.fs.opts.ReadOnly {
		return unix.EROFS
	}
	uid, gid, err := n.fs.hostOwner(set, a.UID, a.GID)
	if err != nil {
		return err
	}
	h, err := n.reach()
	if err != nil {
		return err
	}
	defer n.fs.cache.put(h)
	if err := n.change(h.fd, set, a, uid, gid); err != nil {
		return err
	}
	var st unix.Statx_t
	if err := n.fs.statFD(h.fd, &st); err != nil {
		return err
	}
	n.take(&st)
	return nil
}

// change makes the host change attributes, the owner first: that takes away
// the set-id bits that the mode may have.
func (n *node) change(fd int, set vfs.AttrMask, a vfs.Attr, uid, gid uint32) error {
	if set&(vfs.SetUID|vfs.SetGID) != 0 {
		if err := unix.Fchownat(fd, "", int(int32(uid)), int(int32(gid)), unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if set&vfs.SetMode != 0 {
		if err := chmod(fd, a.Mode&0o7777); err != nil {
			return err
		}
	}
	if set&(vfs.SetAtime|vfs.SetMtime) != 0 {
		ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
		if set&vfs.SetAtime != 0 {
			ts[0] = timespec(a.Atime)
		}
		if set&vfs.SetMtime != 0 {
			ts[1] = timespec(a.Mtime)
		}
		return utimens(fd, &ts)
	}
	return nil
}

func timespec(ns int64) unix.Timespec {
	s := ns / 1e9
	if ns%1e9 < 0 {
		s--
	}
	return unix.Timespec{Sec: s, Nsec: ns - s*1e9}
}

// adopt gives a file that was just made, and that fd is a descriptor of, its
// mode and owner: the host has applied this process's own umask and user.
// Without privilege on the host files stay this user's.
func (n *node) adopt(fd int, mode, uid, gid uint32) error {
	set, a := vfs.AttrMask(0), vfs.Attr{Mode: mode}
	if n.attr.UID != uid {
		set |= vfs.SetUID
	}
	if n.attr.GID != gid {
		set |= vfs.SetGID
	}
	if set != 0 {
		hu, hg, err := n.fs.hostOwner(set, uid, gid)
		if err != nil {
			return err
		}
		if err := n.change(fd, set, a, hu, hg); err != nil && (err != unix.EPERM || n.fs.euid == 0) {
			return err
		}
	}
	if n.attr.Mode&unix.S_IFMT != unix.S_IFLNK && (n.attr.Mode&0o7777 != mode&0o7777 || set != 0 && mode&0o6000 != 0) {
		if err := n.change(fd, vfs.SetMode, a, math.MaxUint32, math.MaxUint32); err != nil {
			return err
		}
		set |= vfs.SetMode
	}
	if set == 0 {
		return nil
	}
	var st unix.Statx_t
	if err := n.fs.statFD(fd, &st); err != nil {
		return err
	}
	n.take(&st)
	return nil
}

// Evict implements vfs.Evicter: the inode is forgotten; looked up again it is
// another. A directory may still be asked for by what is in it.
func (n *node) Evict() {
	if n == n.fs.root.base() {
		return
	}
	if e := n.fs.inodes[n.id]; e != nil && e.base() == n {
		delete(n.fs.inodes, n.id)
	}
	n.close()
}

// close lets go of the descriptors.
func (n *node) close() {
	n.unpin()
	vfs.ForgetKey(n.key)
	n.key = 0
	for _, h := range [...]*handle{n.path, n.ro, n.rw} {
		if h != nil {
			n.fs.cache.forget(h)
		}
	}
}

// link is a symbolic link of the host.
type link struct {
	node
	target string // stable, and read already
}

// Readlink implements vfs.Readlinker.
func (l *link) Readlink(vfs.Context) (string, error) {
	if l.target != "" {
		return l.target, nil
	}
	var target string
	var err error
	if l.path != nil {
		target, err = l.fs.readlinkFD(l.path.fd)
	} else {
		err = l.byName(func(dirfd int, name string) error {
			var err error
			target, err = l.fs.readlinkAt(dirfd, name)
			if err == unix.EINVAL {
				err = unix.ESTALE // not a link any more
			}
			return err
		})
	}
	if err == nil && l.fs.opts.Stable {
		l.target = target
	}
	return target, err
}

// special is a fifo, a socket or a device, never opened on the host.
type special struct{ node }
