package vfs

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// System is what the mount namespaces of one machine share: the dentry cache,
// the mount identifiers, and how special files are opened.
type System struct {
	Hooks Hooks
	// ProtectedHardlinks is the sysctl fs.protected_hardlinks: who does not
	// own a file may link it only if he may read and write it.
	ProtectedHardlinks bool

	lru      lruList
	supers   map[FileSystem]*super
	mountID  int
	cookie   uint32
	devs     uint32
	renaming Mutex // held while a rename has two directories locked
}

// maxUnused is how many dentries that nobody holds are kept.
const maxUnused = 20000

// super is a mounted file system, however many mounts show it.
type super struct {
	sys    *System
	fs     FileSystem
	root   *Dentry // held
	mounts int

	watches []*Watch // told when it is unmounted
}

// Optional abilities of a FileSystem.
type (
	// ReadOnlyer is a file system that cannot be written at all.
	ReadOnlyer interface{ ReadOnly() bool }
	// Optioner adds its own options ("size=64k,mode=700") to /proc/mounts.
	Optioner interface{ Options() string }
	// Unmounter is told when its last mount is gone.
	Unmounter interface{ Unmounted() }
)

// MountFlags are the MS_* flags that stay with a mount: MS_RDONLY, _NOSUID,
// _NODEV, _NOEXEC, _NOATIME, _NODIRATIME, _RELATIME, _NOSYMFOLLOW.
type MountFlags uint64

// MountFlagsMask is all of them.
const MountFlagsMask MountFlags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC |
	unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME | unix.MS_NOSYMFOLLOW

// Mount is a file system, or a part of one (bind mount), attached to the tree.
type Mount struct {
	ID     int
	Source string
	Flags  MountFlags

	ns     *Namespace // nil once detached
	sb     *super
	root   *Dentry // held
	parent *Mount  // nil at the root of the namespace
	point  *Dentry // where in parent; held
	refs   int     // paths through this mount
	subs   int     // mounts on it
	gone   bool    // root and sb given back
}

// FS returns the file system.
func (m *Mount) FS() FileSystem { return m.sb.fs }

// Root returns the mount's root, borrowed.
func (m *Mount) Root() Path { return Path{m, m.root} }

// Parent returns the place the mount sits on, borrowed; zero for a root.
func (m *Mount) Parent() Path { return Path{m.parent, m.point} }

// Namespace returns the namespace m is in, nil when it is detached.
func (m *Mount) Namespace() *Namespace { return m.ns }

// Has reports whether all of flags are set. A place without a mount has none.
func (m *Mount) Has(flags MountFlags) bool { return m != nil && m.Flags&flags == flags }

// ReadOnly reports whether nothing can be written through m.
func (m *Mount) ReadOnly() bool {
	if m == nil {
		return false
	}
	return m.Flags&unix.MS_RDONLY != 0 || m.fsReadOnly()
}

func (m *Mount) put() {
	m.refs--
	if m.refs < 0 {
		panic("vfs: mount given back twice")
	}
	m.settle()
}

// settle lets go of the file system when nothing uses the mount any more.
func (m *Mount) settle() {
	if m.ns != nil || m.refs > 0 || m.gone {
		return
	}
	m.gone = true
	sb := m.sb
	m.root.put()
	sb.mounts--
	if sb.mounts > 0 {
		return
	}
	sb.unmounted()
	sb.root.prune()
	delete(sb.sys.supers, sb.fs)
	sb.root.put()
	if u, ok := sb.fs.(Unmounter); ok {
		u.Unmounted()
	}
}

// Namespace is a mount namespace: a tree of mounts. Tasks hold references.
type Namespace struct {
	sys    *System
	root   *Mount
	mounts []*Mount // in the order they were made
	points map[Path]*Mount
	refs   int
}

// NewNamespace returns a namespace of a machine of its own, with root mounted
// at /, and one reference to it. Set System().Hooks before opening files.
func NewNamespace(ctx Context, root FileSystem, flags MountFlags, source string) (*Namespace, error) {
	sys := &System{supers: make(map[FileSystem]*super)}
	sys.lru.init(maxUnused)
	ns := &Namespace{sys: sys, points: make(map[Path]*Mount), refs: 1}
	sb, err := sys.super(ctx, root)
	if err != nil {
		return nil, err
	}
	ns.root = ns.add(sb, sb.root, Path{}, flags, source)
	return ns, nil
}

// System returns what ns shares with the machine's other namespaces.
func (ns *Namespace) System() *System { return ns.sys }

// Root returns the top of the tree, referenced.
func (ns *Namespace) Root() Path { return ns.cross(Path{ns.root, ns.root.root}.Ref()) }

// super returns the mounted state of fs, making it for the first mount.
func (sys *System) super(ctx Context, fs FileSystem) (*super, error) {
	if sb := sys.supers[fs]; sb != nil {
		return sb, nil
	}
	ino := fs.Root()
	a, err := ino.Attr(ctx)
	if err != nil {
		return nil, err
	}
	sb := &super{sys: sys, fs: fs}
	sb.root = newDentry(sb, nil, "")
	sb.root.fill(ino, a.Mode)
	sys.supers[fs] = sb
	return sb, nil
}

// add makes a mount of root at a place (zero: the namespace's root).
func (ns *Namespace) add(sb *super, root *Dentry, at Path, flags MountFlags, source string) *Mount {
	ns.sys.mountID++
	m := &Mount{ID: ns.sys.mountID, Source: source, Flags: flags & MountFlagsMask, sb: sb, root: root}
	root.get()
	sb.mounts++
	ns.attach(m, at)
	return m
}

func (ns *Namespace) attach(m *Mount, at Path) {
	m.ns = ns
	ns.mounts = append(ns.mounts, m)
	if at.Dentry == nil {
		return
	}
	m.parent, m.point = at.Mount, at.Dentry
	m.point.get()
	m.point.mounts++
	m.parent.subs++
	ns.points[at] = m
}

func (ns *Namespace) detach(m *Mount) {
	i := slices.Index(ns.mounts, m)
	ns.mounts = slices.Delete(ns.mounts, i, i+1)
	m.ns = nil
	if m.parent != nil {
		delete(ns.points, Path{m.parent, m.point})
		m.point.mounts--
		m.parent.subs--
		m.point.put()
		m.parent, m.point = nil, nil
	}
	m.settle()
}

// cross turns the place p, referenced, into the root of what is mounted there.
func (ns *Namespace) cross(p Path) Path {
	for p.Dentry.mounts > 0 {
		m := ns.points[p]
		if m == nil {
			break
		}
		q := Path{m, m.root}.Ref()
		p.Unref()
		p = q
	}
	return p
}

// checkPoint reports whether something can be mounted at a place: inside ns,
// not removed, and a directory exactly when what is mounted is one.
func (ns *Namespace) checkPoint(at Path, dir bool) error {
	if at.Mount == nil || at.Mount.ns != ns {
		return unix.EINVAL
	}
	if at.Dentry.Deleted() || at.Dentry.dead {
		return unix.ENOENT
	}
	if (at.Dentry.kind == unix.S_IFDIR) != dir {
		return unix.ENOTDIR
	}
	return nil
}

// Mount attaches fs at a place: mount(2). Who may is for the caller to say.
func (ns *Namespace) Mount(ctx Context, fs FileSystem, at Path, flags MountFlags, source string) (*Mount, error) {
	sb, err := ns.sys.super(ctx, fs)
	if err != nil {
		return nil, err
	}
	if err := ns.checkPoint(at, sb.root.kind == unix.S_IFDIR); err != nil {
		if sb.mounts == 0 {
			delete(ns.sys.supers, fs)
			sb.root.put()
		}
		return nil, err
	}
	return ns.add(sb, sb.root, at, flags, source), nil
}

// Bind shows the tree at from at another place too: MS_BIND, with MS_REC what
// is mounted below it as well.
func (ns *Namespace) Bind(from, at Path, recursive bool) (*Mount, error) {
	if from.Mount == nil || from.Mount.ns != ns {
		return nil, unix.EINVAL
	}
	if err := ns.checkPoint(at, from.Dentry.kind == unix.S_IFDIR); err != nil {
		return nil, err
	}
	top := ns.add(from.Mount.sb, from.Dentry, at, from.Mount.Flags, from.Mount.Source)
	if recursive {
		copies := map[*Mount]*Mount{from.Mount: top}
		for _, m := range slices.Clone(ns.mounts) {
			to := copies[m.parent]
			if to == nil || m == top || m.parent == from.Mount && !m.point.under(from.Dentry) {
				continue
			}
			copies[m] = ns.add(m.sb, m.root, Path{to, m.point}, m.Flags, m.Source)
		}
	}
	return top, nil
}

// Remount changes the flags of the mount whose root is at p: MS_REMOUNT.
func (ns *Namespace) Remount(p Path, flags MountFlags) error {
	if p.Mount == nil || p.Mount.ns != ns || p.Dentry != p.Mount.root {
		return unix.EINVAL
	}
	p.Mount.Flags = flags & MountFlagsMask
	return nil
}

// Move takes the mount whose root is from to another place: MS_MOVE.
func (ns *Namespace) Move(from, at Path) error {
	m := from.Mount
	if m == nil || m.ns != ns || from.Dentry != m.root || m.parent == nil {
		return unix.EINVAL
	}
	if err := ns.checkPoint(at, m.root.kind == unix.S_IFDIR); err != nil {
		return err
	}
	for p := at.Mount; p != nil; p = p.parent {
		if p == m {
			return unix.ELOOP
		}
	}
	m.refs++ // or leaving its place would end it
	ns.detach(m)
	ns.attach(m, at)
	m.refs--
	return nil
}

// Unmount detaches the mount whose root is p. flags are MNT_DETACH (with all
// below it, and whoever uses it goes on), MNT_FORCE (no effect). EBUSY when it
// is in use: the caller's own reference p is not counted.
func (ns *Namespace) Unmount(p Path, flags int) error {
	m := p.Mount
	if m == nil || m.ns != ns || p.Dentry != m.root {
		return unix.EINVAL
	}
	if m == ns.root {
		return unix.EBUSY
	}
	if flags&unix.MNT_DETACH == 0 {
		if m.subs > 0 || m.refs > 1 {
			return unix.EBUSY
		}
		ns.detach(m)
		return nil
	}
	ns.detachTree(m)
	return nil
}

// detachTree detaches m and all that is mounted below it.
func (ns *Namespace) detachTree(m *Mount) {
	for m.subs > 0 {
		for i := len(ns.mounts) - 1; i >= 0; i-- {
			if ns.mounts[i].parent == m {
				ns.detachTree(ns.mounts[i])
				break
			}
		}
	}
	ns.detach(m)
}

// PivotRoot makes the mount at newRoot the root of the tree and puts the old
// root at putOld, below it: pivot_root(2). root is the caller's root. It
// returns the mount that was the root.
func (ns *Namespace) PivotRoot(root, newRoot, putOld Path) error {
	old, m := root.Mount, newRoot.Mount
	switch {
	case old == nil || m == nil || putOld.Mount == nil || old.ns != ns || m.ns != ns || putOld.Mount.ns != ns:
		return unix.EINVAL
	case m == old || putOld.Mount == old:
		return unix.EBUSY
	case root.Dentry != old.root || newRoot.Dentry != m.root || m.parent == nil:
		return unix.EINVAL
	case putOld.Dentry.dead || putOld.Dentry.Deleted():
		return unix.ENOENT
	case !reaches(putOld, newRoot) || !reaches(newRoot, root):
		return unix.EINVAL
	}
	at := old.Parent() // where the old root sat, zero at the top
	at.Ref()
	old.refs++
	m.refs++
	ns.detach(m)
	ns.detach(old)
	ns.attach(m, at)
	if old == ns.root {
		ns.root = m
	}
	ns.attach(old, putOld)
	old.refs--
	m.refs--
	at.Unref()
	return nil
}

// reaches reports whether going up from p passes through top.
func reaches(p, top Path) bool {
	for p.Mount != top.Mount {
		if p.Mount == nil || p.Mount.parent == nil {
			return false
		}
		p = p.Mount.Parent()
	}
	return p.Dentry.under(top.Dentry)
}

// Clone returns a copy of the tree, unshare(CLONE_NEWNS), with one reference.
// move finds the place in the copy that corresponds to one in ns: for the
// caller's root and working directory. Its result is borrowed.
func (ns *Namespace) Clone() (c *Namespace, move func(Path) Path) {
	c = &Namespace{sys: ns.sys, points: make(map[Path]*Mount), refs: 1}
	copies := make(map[*Mount]*Mount)
	// A mount's place may be in a mount made later (pivot_root), so go by
	// the tree, not by the list.
	var copyOf func(m *Mount) *Mount
	copyOf = func(m *Mount) *Mount {
		if n := copies[m]; n != nil {
			return n
		}
		var at Path
		if m.parent != nil {
			at = Path{copyOf(m.parent), m.point}
		}
		n := c.add(m.sb, m.root, at, m.Flags, m.Source)
		copies[m] = n
		return n
	}
	for _, m := range ns.mounts {
		copyOf(m)
	}
	c.root = copies[ns.root]
	return c, func(p Path) Path {
		if n := copies[p.Mount]; n != nil {
			p.Mount = n
		}
		return p
	}
}

// Ref takes a reference to the namespace.
func (ns *Namespace) Ref() { ns.refs++ }

// Unref gives one back; the last one unmounts everything.
func (ns *Namespace) Unref() {
	ns.refs--
	if ns.refs > 0 {
		return
	}
	for len(ns.mounts) > 0 {
		// The root goes last: the others sit on it.
		i := len(ns.mounts) - 1
		for i > 0 && ns.mounts[i].subs > 0 {
			i--
		}
		ns.detach(ns.mounts[i])
	}
}

// Mounts returns the mounts in the order they were made.
func (ns *Namespace) Mounts() []*Mount { return slices.Clone(ns.mounts) }

// AnonymousDev returns a device number for a file system without a device
// (major 0), not given before on this machine: for st_dev.
func (sys *System) AnonymousDev() uint64 {
	sys.devs++
	return unix.Mkdev(0, firstAnonymousDev+sys.devs)
}

// firstAnonymousDev leaves the minors below for file systems made before
// there is a System: the root.
const firstAnonymousDev = 32

var keys atomic.Uint64

// NewKey returns a number never returned before in this process: for
// Mmapper's keys, which tell the pages of different files apart. Guests do not
// see it.
func NewKey() uint64 { return keys.Add(1) }

// forgetters are told of keys whose files are gone.
var forgetters struct {
	sync.Mutex
	byID map[uint64]func(key uint64)
}

// OnForget has f called with every key that ForgetKey gives up, until cancel.
// A machine that keeps files ready to be mapped again lets go of them then: a
// memfd's memory lives as long as anyone has it open.
func OnForget(f func(key uint64)) (cancel func()) {
	id := NewKey()
	forgetters.Lock()
	defer forgetters.Unlock()
	if forgetters.byID == nil {
		forgetters.byID = map[uint64]func(uint64){}
	}
	forgetters.byID[id] = f
	return func() {
		forgetters.Lock()
		defer forgetters.Unlock()
		delete(forgetters.byID, id)
	}
}

// ForgetKey says that what HostFile gave under key will not be mapped again.
// A Mmapper calls it before it closes the host's descriptor.
func ForgetKey(key uint64) {
	if key == 0 {
		return
	}
	forgetters.Lock()
	defer forgetters.Unlock()
	for _, f := range forgetters.byID {
		f(key)
	}
}
