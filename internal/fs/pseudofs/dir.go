package pseudofs

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Dir is a directory whose names are fixed once the file system is mounted.
type Dir struct {
	Node
	names []string
	nodes map[string]vfs.Inode
}

// Mkdir returns a directory that is in none yet.
func (fs *FS) Mkdir(name string) *Dir {
	return &Dir{Node: Node{FS: fs, Inode: Ino(name), Mode: 0o555}}
}

// Add gives a node a name in d.
func (d *Dir) Add(name string, n vfs.Inode) {
	if d.nodes == nil {
		d.nodes = make(map[string]vfs.Inode)
	}
	if d.nodes[name] == nil {
		d.names = append(d.names, name)
	}
	d.nodes[name] = n
}

// Sub returns the directory called name in d, making it if it is not there.
func (d *Dir) Sub(name string) *Dir {
	if s, ok := d.nodes[name].(*Dir); ok {
		return s
	}
	s := &Dir{Node: Node{FS: d.FS, Inode: d.child(name), Mode: 0o555, Owner: d.Owner}}
	d.Add(name, s)
	d.Nlink = max(d.Nlink, 2) + 1
	return s
}

func (d *Dir) child(name string) uint64 {
	var b [8]byte
	for i := range b {
		b[i] = byte(d.Inode >> (8 * i))
	}
	return Ino(string(b[:]) + name)
}

// Text adds a file that is made by read when it is read.
func (d *Dir) Text(name string, read func(ctx vfs.Context) ([]byte, error)) *File {
	f := &File{Node: Node{FS: d.FS, Inode: d.child(name), Mode: 0o444, Owner: d.Owner}, Read: read}
	d.Add(name, f)
	return f
}

// Const adds a file that always reads the same.
func (d *Dir) Const(name, text string) *File {
	return d.Text(name, func(vfs.Context) ([]byte, error) { return []byte(text), nil })
}

// Link adds a symbolic link.
func (d *Dir) Link(name, target string) *Link {
	l := &Link{Node: Node{FS: d.FS, Inode: d.child(name), Mode: 0o777, Owner: d.Owner, Size: int64(len(target))},
		Text: func(vfs.Context) (string, error) { return target, nil }}
	d.Add(name, l)
	return l
}

// Attr implements vfs.Inode.
func (d *Dir) Attr(vfs.Context) (vfs.Attr, error) { return d.attr(unix.S_IFDIR) }

// PermFor implements vfs.CallerPermer.
func (d *Dir) PermFor(vfs.Context) (mode, uid, gid uint32) { return d.perm(unix.S_IFDIR) }

// No names can be made; as in Linux's /proc, such a name is not even looked
// up: ENOENT.

// Create implements vfs.Creator.
func (d *Dir) Create(vfs.Context, string, uint32, uint64, uint32, uint32) (vfs.Inode, error) {
	return nil, unix.ENOENT
}

// Mkdir implements vfs.Mkdirer.
func (d *Dir) Mkdir(vfs.Context, string, uint32, uint32, uint32) (vfs.Inode, error) {
	return nil, unix.ENOENT
}

// Symlink implements vfs.Symlinker.
func (d *Dir) Symlink(vfs.Context, string, string, uint32, uint32) (vfs.Inode, error) {
	return nil, unix.ENOENT
}

// Rename implements vfs.Renamer.
func (d *Dir) Rename(_ vfs.Context, _ string, _ vfs.Inode, _ vfs.Inode, _ string, replaced vfs.Inode, _ uint32) error {
	if replaced != nil {
		return unix.EPERM
	}
	return unix.ENOENT
}

// Lookup implements vfs.Lookuper.
func (d *Dir) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	if n := d.nodes[name]; n != nil {
		return n, nil
	}
	return nil, unix.ENOENT
}

// Open implements vfs.Opener.
func (d *Dir) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) { return listing{dir: d}, nil }

// Live is a directory with names that come and go beside the fixed ones.
type Live struct {
	Dir
	// Find looks a name up: ENOENT if it is not there.
	Find func(ctx vfs.Context, name string) (vfs.Inode, error)
	// Same reports whether name still leads to n, which Find returned.
	Same func(ctx vfs.Context, name string, n vfs.Inode) bool
	// List returns the names that there are now, by their numbers. It may
	// fail: ENOENT for the directory of something that is gone.
	List func(ctx vfs.Context) ([]Entry, error)
	// Enter, if not nil, says who may open the directory or look into it.
	Enter func(ctx vfs.Context) error
	// Anyone, if not nil, reports that the caller may read and search the
	// directory whatever its mode.
	Anyone func(ctx vfs.Context) bool
}

// Entry is a name in a Live directory.
type Entry struct {
	Name string
	// ID is a number that stays with the name: a listing goes on from it.
	ID   int64
	Type uint8 // DT_*
	Ino  uint64
}

// Lookup implements vfs.Lookuper.
func (d *Live) Lookup(ctx vfs.Context, name string) (vfs.Inode, error) {
	if n := d.nodes[name]; n != nil {
		return n, nil
	}
	if d.Enter != nil {
		if err := d.Enter(ctx); err != nil {
			return nil, err
		}
	}
	return d.Find(ctx, name)
}

// PermFor implements vfs.CallerPermer.
func (d *Live) PermFor(ctx vfs.Context) (mode, uid, gid uint32) {
	mode, uid, gid = d.Dir.PermFor(ctx)
	if d.Anyone != nil && d.Anyone(ctx) {
		mode |= 0o555
	}
	return mode, uid, gid
}

// Revalidate implements vfs.Revalidator.
func (d *Live) Revalidate(ctx vfs.Context, name string, child vfs.Inode) bool {
	return d.nodes[name] != nil || d.Same(ctx, name, child)
}

// Open implements vfs.Opener.
func (d *Live) Open(ctx vfs.Context, _ vfs.Path, _ int) (vfs.Impl, error) {
	if d.Enter != nil {
		if err := d.Enter(ctx); err != nil {
			return nil, err
		}
	}
	return listing{dir: &d.Dir, live: d}, nil
}

// listing is an open directory.
type listing struct {
	dir  *Dir
	live *Live
}

// Release implements vfs.Impl.
func (listing) Release(vfs.Context) {}

// Cookies of a listing: 1 and 2 follow "." and "..", then the fixed names,
// and from liveBase on the others by their numbers.
const liveBase = 1 << 24

// ReadDir implements vfs.DirReader.
func (l listing) ReadDir(ctx vfs.Context, f *vfs.File, pos int64, emit func(vfs.DirEntry) bool) error {
	d := l.dir
	if pos == 0 && !emit(vfs.DirEntry{Name: ".", Ino: d.Inode, Type: unix.DT_DIR, Next: 1}) {
		return nil
	}
	parent := d.Inode
	if p := f.Path.Dentry; p != nil && p.Parent() != nil {
		a, err := p.Parent().Inode().Attr(ctx)
		if err != nil {
			return err
		}
		parent = a.Ino
	}
	if pos <= 1 && !emit(vfs.DirEntry{Name: "..", Ino: parent, Type: unix.DT_DIR, Next: 2}) {
		return nil
	}
	if pos < liveBase {
		for i := max(pos-2, 0); i < int64(len(d.names)); i++ {
			a, err := d.nodes[d.names[i]].Attr(ctx)
			if err != nil {
				return err
			}
			e := vfs.DirEntry{Name: d.names[i], Ino: a.Ino, Type: uint8(a.Mode & unix.S_IFMT >> 12), Next: i + 3}
			if l.live != nil && i+1 == int64(len(d.names)) {
				e.Next = liveBase
			}
			if !emit(e) {
				return nil
			}
		}
	}
	if l.live == nil || l.live.List == nil {
		return nil
	}
	entries, err := l.live.List(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.ID < pos-liveBase {
			continue
		}
		if !emit(vfs.DirEntry{Name: e.Name, Ino: e.Ino, Type: e.Type, Next: liveBase + e.ID + 1}) {
			return nil
		}
	}
	return nil
}

// Seek implements vfs.Seeker: a listing can be begun again or gone on with.
func (l listing) Seek(_ vfs.Context, f *vfs.File, off int64, whence int) (int64, error) {
	return vfs.SeekTo(f, off, whence, 0)
}
