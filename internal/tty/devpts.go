package tty

import (
	"slices"
	"strconv"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Device numbers: terminals, and /dev/tty and /dev/ptmx of major 5.
const (
	slaveMajor = 136
	altMajor   = 5
	ttyMinor   = 0
	ptmxMinor  = 2
)

// TTYDev and PtmxDev are the numbers of /dev/tty and /dev/ptmx.
var (
	TTYDev  = unix.Mkdev(altMajor, ttyMinor)
	PtmxDev = unix.Mkdev(altMajor, ptmxMinor)
)

// Options are the mount options of devpts.
type Options struct {
	Dev      uint64 // st_dev; see vfs.System.AnonymousDev
	Mode     uint32 // of terminals; 0 is 0620
	GID      int    // of terminals; 0 is 5 (tty), below 0 the opener's
	PtmxMode uint32 // of ptmx; 0 is 0666
	Max      int    // how many terminals; 0 is 4096
}

// FS is a devpts: ptmx, which makes terminals, and their names.
type FS struct {
	kernel Kernel
	opts   Options
	root   *ptsDir
	ptmx   *node
	ttys   []*TTY // by index; nil: free
	count  int
}

// NewFS returns an empty devpts. now is the wall clock in ns.
func NewFS(k Kernel, now int64, o Options) *FS {
	if o.Mode == 0 {
		o.Mode = 0o620
	}
	if o.GID == 0 {
		o.GID = 5
	}
	if o.PtmxMode == 0 {
		o.PtmxMode = 0o666
	}
	if o.Max <= 0 {
		o.Max = 4096
	}
	fs := &FS{kernel: k, opts: o}
	fs.root = &ptsDir{node{fs: fs, attr: fs.attr(1, unix.S_IFDIR|0o755, now)}}
	fs.root.attr.Nlink = 2
	fs.ptmx = &node{fs: fs, attr: fs.attr(2, unix.S_IFCHR|o.PtmxMode&0o777, now)}
	fs.ptmx.attr.Rdev = PtmxDev
	return fs
}

func (fs *FS) attr(ino uint64, mode uint32, now int64) vfs.Attr {
	return vfs.Attr{
		Dev: fs.opts.Dev, Ino: ino, Nlink: 1, Mode: mode, BlockSize: 1024,
		Atime: now, Mtime: now, Ctime: now, Btime: now,
	}
}

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return "devpts" }

// Statfs implements vfs.FileSystem.
func (fs *FS) Statfs(vfs.Context) (unix.Statfs_t, error) {
	return unix.Statfs_t{
		Type: unix.DEVPTS_SUPER_MAGIC, Bsize: 4096, Frsize: 4096, Namelen: unix.NAME_MAX,
		Fsid: unix.Fsid{Val: [2]int32{int32(fs.opts.Dev), int32(fs.opts.Dev >> 32)}},
	}, nil
}

// Options implements vfs.Optioner.
func (fs *FS) Options() string {
	s := "mode=" + strconv.FormatUint(uint64(fs.opts.Mode), 8) + ",ptmxmode=" + strconv.FormatUint(uint64(fs.opts.PtmxMode), 8)
	if fs.opts.GID >= 0 {
		s = "gid=" + strconv.Itoa(fs.opts.GID) + "," + s
	}
	return s
}

// newTTY makes a terminal owned by cred, with its name: ENOSPC when there are
// as many as may be.
func (fs *FS) newTTY(cred *vfs.Cred, now int64) (*TTY, error) {
	if fs.count >= fs.opts.Max {
		return nil, unix.ENOSPC
	}
	i := slices.Index(fs.ttys, nil)
	if i < 0 {
		i = len(fs.ttys)
		fs.ttys = append(fs.ttys, nil)
	}
	t := newTTY(fs.kernel, fs, i)
	n := &node{fs: fs, tty: t, attr: fs.attr(uint64(i)+3, unix.S_IFCHR|fs.opts.Mode&0o777, now)}
	n.attr.Rdev = t.Rdev()
	n.attr.UID, n.attr.GID = cred.UID, cred.GID
	if fs.opts.GID >= 0 {
		n.attr.GID = uint32(fs.opts.GID)
	}
	t.node = n
	fs.ttys[i] = t
	fs.count++
	return t, nil
}

// free gives the terminal's number back.
func (fs *FS) free(t *TTY) {
	fs.ttys[t.index] = nil
	fs.count--
}

// OpenMaster opens /dev/ptmx: a new terminal, whose slave is locked.
func (fs *FS) OpenMaster(ctx vfs.Context) (vfs.Impl, error) {
	t, err := fs.newTTY(ctx.Cred(), ctx.Realtime())
	if err != nil {
		return nil, err
	}
	return &Master{t}, nil
}

// OpenControlling opens /dev/tty: the caller's controlling terminal, ENXIO
// when it has none.
func OpenControlling(ctx vfs.Context, k Kernel, flags int) (vfs.Impl, error) {
	t := k.Caller(ctx).TTY
	if t == nil {
		return nil, unix.ENXIO
	}
	s, err := t.openSlave(ctx, flags|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OpenPeer is TIOCGPTPEER on a master: the slave, whatever names there are.
// EIO for slaves, ENOTTY for other files.
func OpenPeer(ctx vfs.Context, f *vfs.File, flags int) (*vfs.File, error) {
	m, ok := f.Impl.(*Master)
	if !ok {
		if TTYOf(f) != nil {
			return nil, unix.EIO
		}
		return nil, unix.ENOTTY
	}
	s, err := m.t.openSlave(ctx, flags)
	if err != nil {
		return nil, err
	}
	// O_CLOEXEC stays among the flags, as on Linux.
	const status = unix.O_CLOEXEC | unix.O_ACCMODE | unix.O_NONBLOCK | unix.O_APPEND | unix.O_SYNC | unix.O_ASYNC
	return vfs.NewFile(vfs.Path{}, m.t.node, s, flags&status), nil
}

// node is the inode of a terminal or of ptmx.
type node struct {
	vfs.Node
	fs   *FS
	tty  *TTY // nil: ptmx
	attr vfs.Attr
}

// Attr implements vfs.Inode.
func (n *node) Attr(vfs.Context) (vfs.Attr, error) { return n.attr, nil }

// Perm implements vfs.Permer.
func (n *node) Perm() (mode, uid, gid uint32) { return n.attr.Mode, n.attr.UID, n.attr.GID }

// Name implements vfs.Namer, for what OpenPeer returns.
func (n *node) Name() string {
	if n.tty == nil {
		return "/dev/ptmx"
	}
	return "/dev/pts/" + strconv.Itoa(n.tty.index)
}

// Open implements vfs.Opener.
func (n *node) Open(ctx vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	if n.tty == nil {
		return n.fs.OpenMaster(ctx)
	}
	s, err := n.tty.openSlave(ctx, flags)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// SetAttr implements vfs.AttrSetter.
func (n *node) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&vfs.SetMode != 0 {
		n.attr.Mode = n.attr.Mode&unix.S_IFMT | a.Mode&0o7777
	}
	if set&vfs.SetUID != 0 {
		n.attr.UID = a.UID
	}
	if set&vfs.SetGID != 0 {
		n.attr.GID = a.GID
	}
	if set&vfs.SetAtime != 0 {
		n.attr.Atime = a.Atime
	}
	if set&vfs.SetMtime != 0 {
		n.attr.Mtime = a.Mtime
	}
	if set&vfs.SetCtime != 0 {
		n.attr.Ctime = a.Ctime
	}
	return nil
}

// Times of terminals are kept to 8 seconds, as on Linux: who(1) shows how
// long a user has been idle, and nobody is to learn how he types.
const timeGrain = 8e9

func (n *node) accessed(ctx vfs.Context) {
	if now := ctx.Realtime(); now-n.attr.Atime >= timeGrain {
		n.attr.Atime = now - now%timeGrain
	}
}

func (n *node) modified(ctx vfs.Context) {
	if now := ctx.Realtime(); now-n.attr.Mtime >= timeGrain {
		n.attr.Mtime = now - now%timeGrain
	}
}

// ptsDir is the root.
type ptsDir struct{ node }

// find returns the terminal that name names, or nil.
func (d *ptsDir) find(name string) *TTY {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || i >= len(d.fs.ttys) || strconv.Itoa(i) != name {
		return nil
	}
	if t := d.fs.ttys[i]; t != nil && t.masterOpen {
		return t
	}
	return nil
}

// Lookup implements vfs.Lookuper.
func (d *ptsDir) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	if name == "ptmx" {
		return d.fs.ptmx, nil
	}
	if t := d.find(name); t != nil {
		return t.node, nil
	}
	return nil, unix.ENOENT
}

// Revalidate implements vfs.Revalidator.
func (d *ptsDir) Revalidate(_ vfs.Context, name string, child vfs.Inode) bool {
	if name == "ptmx" {
		return true
	}
	t := d.find(name)
	return t != nil && child == vfs.Inode(t.node)
}

// Open implements vfs.Opener.
func (d *ptsDir) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) { return d, nil }

// Release implements vfs.Impl.
func (d *ptsDir) Release(vfs.Context) {}

// ReadDir implements vfs.DirReader.
func (d *ptsDir) ReadDir(_ vfs.Context, _ *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	fixed := []vfs.DirEntry{
		{Name: ".", Ino: 1, Type: unix.DT_DIR},
		{Name: "..", Ino: 1, Type: unix.DT_DIR},
		{Name: "ptmx", Ino: 2, Type: unix.DT_CHR},
	}
	for ; pos < int64(len(fixed)+len(d.fs.ttys)); pos++ {
		var e vfs.DirEntry
		if pos < int64(len(fixed)) {
			e = fixed[pos]
		} else {
			t := d.fs.ttys[pos-int64(len(fixed))]
			if t == nil || !t.masterOpen {
				continue
			}
			e = vfs.DirEntry{Name: strconv.Itoa(t.index), Ino: t.node.attr.Ino, Type: unix.DT_CHR}
		}
		e.Next = pos + 1
		if !emit(e) {
			return nil
		}
	}
	return nil
}
