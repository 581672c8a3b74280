// Package overlay shows file systems one over another as one: a writable
// upper layer over lower layers that are never changed, as overlayfs does.
//
// Contract: guarded by the kernel lock. The upper layer must not wait in
// operations on names (tmpfs and hostfs do not); copying a file up may wait.
// The lower layers must not change: what was found in them is not asked for
// again while it is cached. The layers' inodes belong to the overlay: they are
// told (Evict, Unmounted) when it is done with them, and nobody else may use
// the upper layer meanwhile.
//
// # What is where
//
// A name is what the topmost layer that has it says. Directories found at the
// same place in several layers are merged. Before anything is changed that is
// in a lower layer it is copied to the upper one, with the directories above it
// (copyup.go). A name that is removed while a lower layer has it is hidden by a
// whiteout in the upper layer: a character device 0/0. A directory that hides
// what the lower layers have at its place is opaque: it has the extended
// attribute trusted.overlay.opaque. A directory that was moved says in
// trusted.overlay.redirect where the lower layers have it. Of a large file that
// got other attributes or another name, but not other contents, these are not
// copied: trusted.overlay.metacopy says so. An upper layer is a valid layer of the
// kernel's overlayfs, too, with its options redirect_dir and metacopy.
//
// # Identity
//
// An inode stays the same object, with the same number, when it is copied up;
// descriptions that were open before go on with the copy (overlayfs leaves
// them with the old file). Mappings made before stay with the old pages. Names
// that are hard links of one file in a lower layer stay so when it is copied up,
// as long as the overlay is mounted; in the upper layer itself only the name it
// was changed by is found.
package overlay

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Options say how layers are put together.
type Options struct {
	// Lower are the layers below, topmost first.
	Lower []vfs.FileSystem
	// Upper takes all changes; without it the overlay is read-only.
	Upper vfs.FileSystem
	// Dev is the st_dev of all files; see vfs.System.AnonymousDev.
	Dev uint64
	// Shown is what /proc/mounts shows ("lowerdir=/,upperdir=...").
	Shown string
}

// FS is an overlay.
type FS struct {
	opts   Options
	root   *dir
	real   map[vfs.Inode]entry // by the upper layer's inode, and by the lower one of what is no directory
	devs   map[device]uint64   // numbered, for inode numbers
	odd    map[oddIno]uint64   // inode numbers too large for the scheme
	lowers []vfs.Inode         // the roots of the lower layers
	temps  uint64              // names given out by temp
}

type device struct {
	layer int // -1 is the upper one
	dev   uint64
}

type oddIno struct{ dev, ino uint64 }

const upperLayer = -1

// New puts layers together. Their roots must be directories. An upper layer
// that is still empty takes the attributes of the topmost lower root.
func New(ctx vfs.Context, o Options) (*FS, error) {
	fs := &FS{opts: o, real: make(map[vfs.Inode]entry), devs: make(map[device]uint64), odd: make(map[oddIno]uint64)}
	d := &dir{}
	for i, l := range o.Lower {
		r := l.Root()
		a, err := r.Attr(ctx)
		if err != nil {
			return nil, err
		}
		if _, ok := r.(vfs.Lookuper); !ok || !a.IsDir() {
			return nil, unix.ENOTDIR
		}
		if i == 0 {
			d.lower, d.ino = r, fs.inode(i, a.Dev, a.Ino)
			d.note(a)
		}
		fs.lowers = append(fs.lowers, r)
		d.lowers = append(d.lowers, layered{r, i})
	}
	if o.Upper != nil {
		r := o.Upper.Root()
		a, err := r.Attr(ctx)
		if err != nil {
			return nil, err
		}
		if d.up, _ = r.(upperDir); d.up == nil || !a.IsDir() {
			return nil, unix.ENOTDIR
		}
		d.upper = r
		if d.lower == nil {
			d.ino = fs.inode(upperLayer, a.Dev, a.Ino)
		} else if a, err = inherit(ctx, d.lower, d.up); err != nil {
			return nil, err
		}
		d.note(a)
	}
	if d.real() == nil {
		return nil, unix.EINVAL
	}
	d.fs = fs
	fs.root = d
	return fs, nil
}

// inherit gives an empty upper root what the lower root has.
func inherit(ctx vfs.Context, lower vfs.Inode, upper upperDir) (vfs.Attr, error) {
	empty := true
	err := readDir(ctx, upper, func(e vfs.DirEntry) { empty = empty && (e.Name == "." || e.Name == "..") })
	if err == nil && empty {
		var a vfs.Attr
		if a, err = lower.Attr(ctx); err == nil {
			err = copyAttr(ctx, lower, upper, a)
		}
	}
	if err != nil {
		return vfs.Attr{}, err
	}
	return upper.Attr(ctx)
}

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return "overlay" }

// Options implements vfs.Optioner.
func (fs *FS) Options() string { return fs.opts.Shown }

// ReadOnly implements vfs.ReadOnlyer.
func (fs *FS) ReadOnly() bool { return fs.opts.Upper == nil }

// Statfs implements vfs.FileSystem: the room is that of the upper layer.
func (fs *FS) Statfs(ctx vfs.Context) (unix.Statfs_t, error) {
	l := fs.opts.Upper
	if l == nil {
		l = fs.opts.Lower[0]
	}
	s, err := l.Statfs(ctx)
	// Programs take overlayfs for a file system whose changes inotify may
	// miss; ours misses none. The type is that of what is shown.
	if len(fs.opts.Lower) > 0 {
		if low, err := fs.opts.Lower[0].Statfs(ctx); err == nil {
			s.Type = low.Type
		}
	}
	s.Fsid = unix.Fsid{Val: [2]int32{int32(fs.opts.Dev), int32(fs.opts.Dev >> 32)}}
	return s, err
}

// Unmounted implements vfs.Unmounter.
func (fs *FS) Unmounted() {
	clear(fs.real)
	for _, l := range append([]vfs.FileSystem{fs.opts.Upper}, fs.opts.Lower...) {
		if u, ok := l.(vfs.Unmounter); ok {
			u.Unmounted()
		}
	}
}

// An inode number of the overlay is the layer's own with a number for the
// device above it, so that a file keeps it however often it is forgotten and
// found again. The first lower layer's own device has 0.
//
// Numbers that need no more than 32 bits are what 32-bit programs can be told:
// small ones of other devices are put into the upper half of those, where few
// of the first device's are.
const (
	inoBits   = 48
	smallBits = 27
	smallBase = 1 << 31
)

func (fs *FS) inode(layer int, dev, ino uint64) uint64 {
	key := device{layer, dev}
	n, ok := fs.devs[key]
	if !ok {
		n = uint64(len(fs.devs))
		fs.devs[key] = n
	}
	const numbers = 1<<(63-inoBits) - 1 // the last one is for the odd
	switch {
	case n > 0 && n <= smallBase>>smallBits && ino < 1<<smallBits:
		return smallBase + (n-1)<<smallBits + ino
	case n == 0 && ino >= smallBase && ino < 2*smallBase:
	case ino < 1<<inoBits && n < numbers:
		return n<<inoBits | ino
	}
	odd := oddIno{n, ino}
	i, ok := fs.odd[odd]
	if !ok {
		i = numbers<<inoBits | uint64(len(fs.odd))
		fs.odd[odd] = i
	}
	return i
}
