package fsys

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that has all that an [FS] can have. It can be
// used by machines and by the program around them at once.
type Mem struct {
	// Limit is how many bytes files may have together, in whole pages of
	// 4 KiB; beyond it ENOSPC. 0 is 1 GiB. It is set before use.
	Limit int64
	// MaxFiles is how many files, directories and links there may be; 0 is
	// a million.
	MaxFiles int
	// Now is the clock that times of files are from; nil is time.Now.
	Now func() time.Time

	mu    sync.RWMutex
	once  sync.Once
	root  *memNode
	ino   uint64
	used  int64 // bytes in pieces
	files int
}

const (
	pieceSize    = 4 << 10
	defaultLimit = 1 << 30
	defaultFiles = 1 << 20
	maxMemSize   = 1 << 50 // of a file, holes included
	maxLinks     = 40
)

// NewMem returns an empty file system, whose root belongs to user 0 and may be
// written by anybody.
func NewMem() *Mem { return &Mem{} }

// memNode is a file of any kind. Mem.mu guards all of it.
type memNode struct {
	mode                fs.FileMode
	ino, rdev           uint64
	nlink               int
	uid, gid            uint32
	atime, mtime, ctime time.Time
	size                int64
	pieces              map[int64]*[pieceSize]byte // contents; what is not there is zero
	target              string
	kids                map[string]*memNode
	xattrs              map[string][]byte
	opens               int
}

func (m *Mem) init() {
	m.once.Do(func() {
		if m.Limit <= 0 {
			m.Limit = defaultLimit
		}
		if m.MaxFiles <= 0 {
			m.MaxFiles = defaultFiles
		}
		m.root = m.node(fs.ModeDir | 0o777)
	})
}

func (m *Mem) node(mode fs.FileMode) *memNode {
	m.ino++
	m.files++
	now := m.now()
	n := &memNode{mode: mode, ino: m.ino, nlink: 1, atime: now, mtime: now, ctime: now}
	if mode.IsDir() {
		n.nlink, n.kids = 2, make(map[string]*memNode)
	}
	return n
}

// Quick implements [QuickFS].
func (m *Mem) Quick() bool { return true }

// perr is the error of an operation on a name.
func perr(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func validName(name string) bool {
	if name == "." {
		return true
	}
	for s := range strings.SplitSeq(name, "/") {
		if s == "" || s == "." || s == ".." || len(s) > 255 || strings.IndexByte(s, 0) >= 0 {
			return false
		}
	}
	return true
}

// find returns what name leads to. Links on the way are followed, at the end
// if follow says so.
func (m *Mem) find(name string, follow bool) (*memNode, error) {
	m.init()
	if !validName(name) {
		return nil, syscall.EINVAL
	}
	return m.walk(name, follow, 0)
}

func (m *Mem) walk(name string, follow bool, links int) (*memNode, error) {
	n, at := m.root, "."
	if name == "." {
		return n, nil
	}
	rest := name
	for rest != "" {
		var s string
		s, rest, _ = strings.Cut(rest, "/")
		if !n.mode.IsDir() {
			return nil, syscall.ENOTDIR
		}
		c := n.kids[s]
		if c == nil {
			return nil, syscall.ENOENT
		}
		if c.mode.Type() == fs.ModeSymlink && (follow || rest != "") {
			if links++; links > maxLinks {
				return nil, syscall.ELOOP
			}
			to := c.target
			if strings.HasPrefix(to, "/") {
				to = path.Clean(to)[1:]
			} else {
				to = path.Join("/", at, to)[1:]
			}
			if to = path.Join(to, rest); to == "" {
				to = "."
			}
			return m.walk(to, follow, links)
		}
		n, at = c, path.Join(at, s)
	}
	return n, nil
}

// parent returns the directory that name is in, and the last component.
func (m *Mem) parent(name string) (*memNode, string, error) {
	m.init()
	if name == "." {
		return nil, "", syscall.EBUSY
	}
	dir, base := path.Split(name)
	d, err := m.find(path.Clean(dir), true)
	if err != nil {
		return nil, "", err
	}
	if !d.mode.IsDir() {
		return nil, "", syscall.ENOTDIR
	}
	if !validName(base) {
		return nil, "", syscall.EINVAL
	}
	return d, base, nil
}

// add gives a new node a name.
func (m *Mem) add(name string, mode fs.FileMode) (*memNode, error) {
	d, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	switch {
	case d.kids[base] != nil:
		return nil, syscall.EEXIST
	case d.nlink == 0:
		return nil, syscall.ENOENT
	case m.files >= m.MaxFiles:
		return nil, syscall.ENOSPC
	}
	n := m.node(mode)
	d.kids[base] = n
	if mode.IsDir() {
		d.nlink++
	}
	m.touch(d)
	return n, nil
}

func (m *Mem) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (m *Mem) touch(n *memNode) {
	n.mtime = m.now()
	n.ctime = n.mtime
}

// Open implements fs.FS.
func (m *Mem) Open(name string) (fs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, true)
	if err != nil {
		return nil, perr("open", name, err)
	}
	if n.mode.IsDir() {
		return &memDir{m: m, n: n, name: path.Base(name), list: n.list()}, nil
	}
	return m.open(n, name), nil
}

func (m *Mem) open(n *memNode, name string) *memFile {
	n.opens++
	return &memFile{m: m, n: n, name: path.Base(name)}
}

// OpenFile implements [FS].
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, true)
	switch {
	case err == nil && flag&(syscall.O_CREAT|syscall.O_EXCL) == syscall.O_CREAT|syscall.O_EXCL:
		err = syscall.EEXIST
	case errors.Is(err, syscall.ENOENT) && flag&syscall.O_CREAT != 0:
		n, err = m.add(name, perm&settable)
	}
	if err == nil && n.mode.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, perr("open", name, err)
	}
	if flag&syscall.O_TRUNC != 0 && n.mode.IsRegular() {
		m.truncate(n, 0)
	}
	return m.open(n, name), nil
}

const settable = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Stat implements fs.StatFS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) { return m.stat("stat", name, true) }

// Lstat implements fs.ReadLinkFS.
func (m *Mem) Lstat(name string) (fs.FileInfo, error) { return m.stat("lstat", name, false) }

func (m *Mem) stat(op, name string, follow bool) (fs.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(name, follow)
	if err != nil {
		return nil, perr(op, name, err)
	}
	return n.info(path.Base(name)), nil
}

// ReadLink implements fs.ReadLinkFS.
func (m *Mem) ReadLink(name string) (string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(name, false)
	if err == nil && n.mode.Type() != fs.ModeSymlink {
		err = syscall.EINVAL
	}
	if err != nil {
		return "", perr("readlink", name, err)
	}
	return n.target, nil
}

// change runs f with what name leads to.
func (m *Mem) change(op, name string, f func(n *memNode) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name, false)
	if err == nil {
		err = f(n)
	}
	if err == nil {
		n.ctime = m.now()
	}
	return perr(op, name, err)
}

// Mkdir implements [MkdirFS].
func (m *Mem) Mkdir(name string, perm fs.FileMode) error {
	return m.make("mkdir", name, fs.ModeDir|perm&settable, nil)
}

// Symlink implements [SymlinkFS].
func (m *Mem) Symlink(target, name string) error {
	return m.make("symlink", name, fs.ModeSymlink|0o777, func(n *memNode) {
		n.target, n.size = target, int64(len(target))
	})
}

// Mknod implements [MknodFS].
func (m *Mem) Mknod(name string, mode fs.FileMode, dev uint64) error {
	if mode.IsDir() || mode.Type() == fs.ModeSymlink {
		return perr("mknod", name, syscall.EINVAL)
	}
	return m.make("mknod", name, mode, func(n *memNode) { n.rdev = dev })
}

func (m *Mem) make(op, name string, mode fs.FileMode, f func(n *memNode)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.add(name, mode)
	if err == nil && f != nil {
		f(n)
	}
	return perr(op, name, err)
}

// Remove implements [RemoveFS].
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return perr("remove", name, m.remove(name))
}

func (m *Mem) remove(name string) error {
	d, base, err := m.parent(name)
	if err != nil {
		return err
	}
	n := d.kids[base]
	if n == nil {
		return syscall.ENOENT
	}
	if len(n.kids) > 0 {
		return syscall.ENOTEMPTY
	}
	delete(d.kids, base)
	m.touch(d)
	m.unlinked(d, n)
	return nil
}

// unlinked notes that n lost a name in d.
func (m *Mem) unlinked(d, n *memNode) {
	n.ctime = m.now()
	n.nlink--
	if n.mode.IsDir() {
		n.nlink = 0
		d.nlink--
	}
	m.drop(n)
}

// drop gives back the contents of what nobody has any more.
func (m *Mem) drop(n *memNode) {
	if n.nlink == 0 && n.opens == 0 {
		m.files--
		m.used -= int64(len(n.pieces)) * pieceSize
		n.pieces = nil
	}
}

// Link implements [LinkFS].
func (m *Mem) Link(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(oldname, false)
	if err == nil && n.mode.IsDir() {
		err = syscall.EPERM
	}
	if err != nil {
		return perr("link", oldname, err)
	}
	d, base, err := m.parent(newname)
	if err == nil && d.kids[base] != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return perr("link", newname, err)
	}
	d.kids[base] = n
	m.touch(d)
	n.nlink++
	n.ctime = d.ctime
	return nil
}

// Rename implements [RenameFS].
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return perr("rename", oldname, m.rename(oldname, newname))
}

func (m *Mem) rename(oldname, newname string) error {
	d, base, err := m.parent(oldname)
	if err != nil {
		return err
	}
	n := d.kids[base]
	if n == nil {
		return syscall.ENOENT
	}
	e, to, err := m.parent(newname)
	if err != nil {
		return err
	}
	if n.mode.IsDir() && e.under(n) {
		return syscall.EINVAL
	}
	switch r := e.kids[to]; {
	case r == n:
		return nil
	case r == nil:
	case r.mode.IsDir() && !n.mode.IsDir():
		return syscall.EISDIR
	case !r.mode.IsDir() && n.mode.IsDir():
		return syscall.ENOTDIR
	case len(r.kids) > 0:
		return syscall.ENOTEMPTY
	default:
		m.unlinked(e, r)
	}
	delete(d.kids, base)
	e.kids[to] = n
	if n.mode.IsDir() {
		d.nlink--
		e.nlink++
	}
	m.touch(d)
	m.touch(e)
	n.ctime = e.ctime
	return nil
}

// under reports whether n is a or in it.
func (n *memNode) under(a *memNode) bool {
	if n == a {
		return true
	}
	for _, k := range a.kids {
		if k.mode.IsDir() && n.under(k) {
			return true
		}
	}
	return false
}

// Chmod implements [ChmodFS].
func (m *Mem) Chmod(name string, mode fs.FileMode) error {
	return m.change("chmod", name, func(n *memNode) error {
		n.mode = n.mode&^settable | mode&settable
		return nil
	})
}

// Lchown implements [LchownFS].
func (m *Mem) Lchown(name string, uid, gid int) error {
	return m.change("lchown", name, func(n *memNode) error {
		if uid >= 0 {
			n.uid = uint32(uid)
		}
		if gid >= 0 {
			n.gid = uint32(gid)
		}
		return nil
	})
}

// Chtimes implements [ChtimesFS].
func (m *Mem) Chtimes(name string, atime, mtime time.Time) error {
	return m.change("chtimes", name, func(n *memNode) error {
		if !atime.IsZero() {
			n.atime = atime
		}
		if !mtime.IsZero() {
			n.mtime = mtime
		}
		return nil
	})
}

// Truncate implements [TruncateFS].
func (m *Mem) Truncate(name string, size int64) error {
	return m.change("truncate", name, func(n *memNode) error {
		if !n.mode.IsRegular() {
			return syscall.EINVAL
		}
		return m.truncate(n, size)
	})
}

func (m *Mem) truncate(n *memNode, size int64) error {
	if size < 0 {
		return syscall.EINVAL
	}
	if size > maxMemSize {
		return syscall.EFBIG
	}
	if size < n.size {
		for i, p := range n.pieces {
			switch at := i * pieceSize; {
			case at >= size:
				delete(n.pieces, i)
				m.used -= pieceSize
			case at+pieceSize > size:
				clear(p[size-at:])
			}
		}
	}
	n.size = size
	m.touch(n)
	return nil
}

// Statfs implements [StatfsFS].
func (m *Mem) Statfs() (Usage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.init()
	const block = 4096
	free := uint64(max(m.Limit-m.used, 0) / block)
	return Usage{
		BlockSize: block, Blocks: uint64(m.Limit / block), Free: free, Avail: free,
		Files: uint64(m.MaxFiles), FilesFree: uint64(max(m.MaxFiles-m.files, 0)),
	}, nil
}

// Getxattr implements [GetxattrFS].
func (m *Mem) Getxattr(name, attr string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(name, false)
	if err == nil {
		if v, ok := n.xattrs[attr]; ok {
			return slices.Clone(v), nil
		}
		err = syscall.ENODATA
	}
	return nil, perr("getxattr", name, err)
}

// maxXattrs bounds what one file has of them, names and values.
const maxXattrs = 64 << 10

// Setxattr implements [SetxattrFS].
func (m *Mem) Setxattr(name, attr string, value []byte, flags int) error {
	const create, replace = 1, 2
	return m.change("setxattr", name, func(n *memNode) error {
		_, there := n.xattrs[attr]
		switch {
		case there && flags&create != 0:
			return syscall.EEXIST
		case !there && flags&replace != 0:
			return syscall.ENODATA
		}
		size := len(attr) + len(value)
		for k, v := range n.xattrs {
			if k != attr {
				size += len(k) + len(v)
			}
		}
		if size > maxXattrs {
			return syscall.ENOSPC
		}
		if n.xattrs == nil {
			n.xattrs = make(map[string][]byte)
		}
		n.xattrs[strings.Clone(attr)] = slices.Clone(value)
		return nil
	})
}

// Listxattr implements [ListxattrFS].
func (m *Mem) Listxattr(name string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(name, false)
	if err != nil {
		return nil, perr("listxattr", name, err)
	}
	return slices.Sorted(maps.Keys(n.xattrs)), nil
}

// Removexattr implements [RemovexattrFS].
func (m *Mem) Removexattr(name, attr string) error {
	return m.change("removexattr", name, func(n *memNode) error {
		if _, ok := n.xattrs[attr]; !ok {
			return syscall.ENODATA
		}
		delete(n.xattrs, attr)
		return nil
	})
}

// memInfo is a FileInfo and a DirEntry.
type memInfo struct {
	name  string
	mode  fs.FileMode
	size  int64
	mtime time.Time
	stat  Stat
}

func (n *memNode) info(name string) *memInfo {
	return &memInfo{name, n.mode, n.size, n.mtime, Stat{
		Ino: n.ino, Nlink: uint64(n.nlink), UID: n.uid, GID: n.gid, Rdev: n.rdev,
		Blocks: int64(len(n.pieces)) * (pieceSize / 512), Atime: n.atime, Ctime: n.ctime,
	}}
}

func (i *memInfo) Name() string       { return i.name }
func (i *memInfo) Mode() fs.FileMode  { return i.mode }
func (i *memInfo) Size() int64        { return i.size }
func (i *memInfo) ModTime() time.Time { return i.mtime }
func (i *memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *memInfo) Sys() any           { s := i.stat; return &s }

// list is what a directory has, in the order of the names.
func (n *memNode) list() []fs.DirEntry {
	out := make([]fs.DirEntry, 0, len(n.kids))
	for _, name := range slices.Sorted(maps.Keys(n.kids)) {
		out = append(out, fs.FileInfoToDirEntry(n.kids[name].info(name)))
	}
	return out
}

// memDir is an open directory, listed as it was when it was opened.
type memDir struct {
	m    *Mem
	n    *memNode
	name string
	list []fs.DirEntry
}

func (d *memDir) Stat() (fs.FileInfo, error) {
	d.m.mu.RLock()
	defer d.m.mu.RUnlock()
	return d.n.info(d.name), nil
}
func (d *memDir) Read([]byte) (int, error) { return 0, perr("read", d.name, syscall.EISDIR) }
func (d *memDir) Close() error             { return nil }

func (d *memDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}
