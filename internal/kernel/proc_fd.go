package kernel

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// /proc/PID/fd, fdinfo and ns.

// file is the description of the entry's descriptor, borrowed; nil if it is
// not open.
func (e procEntry) file(fd int) *vfs.File {
	if t := e.live(); t != nil && t.files != nil {
		return t.files.Peek(fd)
	}
	return nil
}

// fdNode is a name in fd or fdinfo: of that description only.
type fdNode interface{ description() *vfs.File }

type fdLink struct {
	pseudofs.Magic
	f *vfs.File
}

type fdInfo struct {
	pseudofs.File
	f *vfs.File
}

func (l *fdLink) description() *vfs.File { return l.f }
func (i *fdInfo) description() *vfs.File { return i.f }

// fdDir is /proc/PID/fd, or fdinfo with info.
func (pf *procFS) fdDir(e procEntry, n pseudofs.Node, info bool) vfs.Inode {
	d := &pseudofs.Live{}
	d.Node = n
	d.Anyone = func(ctx vfs.Context) bool { return ctx.(*Task).p == e.p }
	d.Enter = e.inspect
	kind, dtype := uint64(procFD), uint8(unix.DT_LNK)
	if info {
		kind, dtype = procFDInfo, unix.DT_REG
	}
	d.Find = func(_ vfs.Context, name string) (vfs.Inode, error) {
		fd, ok := procNumber(name)
		if !ok {
			return nil, unix.ENOENT
		}
		f := e.file(fd)
		if f == nil {
			return nil, unix.ENOENT
		}
		node := pseudofs.Node{FS: pf.fs, Inode: procIno(e.id(), kind, uint64(fd)), Owner: e.owner, Size: 64}
		if info {
			node.Size, node.Mode = 0, 0o444
			i := &fdInfo{f: f}
			i.Node = node
			i.Read = func(ctx vfs.Context) ([]byte, error) { return e.fdInfo(ctx, fd) }
			return i, nil
		}
		if f.CanRead() {
			node.Mode |= 0o500
		}
		if f.CanWrite() {
			node.Mode |= 0o300
		}
		l := &fdLink{f: f}
		l.Node = node
		l.To = func(ctx vfs.Context) (vfs.Path, error) {
			if err := e.inspect(ctx); err != nil {
				return vfs.Path{}, err
			}
			f := e.file(fd)
			if f == nil {
				return vfs.Path{}, unix.ENOENT
			}
			return f.Place(ctx)
		}
		l.Text = func(ctx vfs.Context) (string, error) {
			if err := e.inspect(ctx); err != nil {
				return "", err
			}
			f := e.file(fd)
			if f == nil {
				return "", unix.ENOENT
			}
			return f.Name(ctx.(*Task).fs.root), nil
		}
		return l, nil
	}
	d.Same = func(_ vfs.Context, name string, n vfs.Inode) bool {
		fd, _ := procNumber(name)
		f := e.file(fd)
		was, ok := n.(fdNode)
		return ok && f != nil && was.description() == f
	}
	d.List = func(vfs.Context) ([]pseudofs.Entry, error) {
		t := e.live()
		if t == nil || t.files == nil {
			return nil, unix.ENOENT
		}
		var list []pseudofs.Entry
		for fd := t.files.Next(0); fd >= 0; fd = t.files.Next(fd + 1) {
			list = append(list, pseudofs.Entry{Name: strconv.Itoa(fd), ID: int64(fd), Type: dtype, Ino: procIno(e.id(), kind, uint64(fd))})
		}
		return list, nil
	}
	return d
}

// fdInfo is the text of /proc/PID/fdinfo/fd.
func (e procEntry) fdInfo(ctx vfs.Context, fd int) ([]byte, error) {
	f := e.file(fd)
	if f == nil {
		return nil, unix.ENOENT
	}
	f.Ref()
	defer f.Unref(ctx)
	flags := f.Flags
	if on, _ := e.live().files.Cloexec(fd); on {
		flags |= unix.O_CLOEXEC
	}
	a, err := f.Inode.Attr(ctx)
	if err != nil {
		return nil, err
	}
	mount := 0
	if f.Path.Mount != nil {
		mount = f.Path.Mount.ID
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, "pos:\t%d\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n", f.Pos, flags, mount, a.Ino)
	if i, ok := f.Impl.(vfs.FDInfoer); ok {
		w.WriteString(i.FDInfo(f))
	}
	return w.Bytes(), nil
}

// namespaces are those of namespaces(7), with the numbers Linux gives the
// first of each: there is one of each only.
var namespaces = []struct {
	name, kind string
	ino        uint64
}{
	{"net", "net", 4026531840}, {"uts", "uts", 4026531838}, {"ipc", "ipc", 4026531839}, {"pid", "pid", 4026531836},
	{"pid_for_children", "pid", 4026531836}, {"user", "user", 4026531837}, {"mnt", "mnt", 4026531841},
	{"cgroup", "cgroup", 4026531835}, {"time", "time", 4026531834}, {"time_for_children", "time", 4026531834},
}

// nsInode is a namespace as a file: it can be opened, compared and no more.
type nsInode struct {
	name string
	ino  uint64
}

// Attr implements vfs.Inode.
func (n *nsInode) Attr(vfs.Context) (vfs.Attr, error) {
	return vfs.Attr{Dev: 4, Ino: n.ino, Nlink: 1, Mode: unix.S_IFREG | 0o444, BlockSize: 4096}, nil
}

// Name implements vfs.Namer.
func (n *nsInode) Name() string { return n.name }

// Open implements vfs.Opener.
func (n *nsInode) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) { return n, nil }

// Release implements vfs.Impl.
func (n *nsInode) Release(vfs.Context) {}

// namespaceFile is the file that stands for a namespace, borrowed.
func (k *Kernel) namespaceFile(kind string, ino uint64) *vfs.File {
	if k.nsFiles == nil {
		k.nsFiles = map[string]*vfs.File{}
	}
	f := k.nsFiles[kind]
	if f == nil {
		n := &nsInode{fmt.Sprintf("%s:[%d]", kind, ino), ino}
		f = vfs.NewFile(vfs.Path{}, n, n, unix.O_RDONLY)
		k.nsFiles[kind] = f
	}
	return f
}

// nsDir is /proc/PID/ns.
func (pf *procFS) nsDir(e procEntry, n pseudofs.Node) vfs.Inode {
	d := &pseudofs.Dir{Node: n}
	for _, ns := range namespaces {
		m := &pseudofs.Magic{}
		m.Node = pseudofs.Node{FS: pf.fs, Inode: n.Inode<<8 | uint64(len(ns.name)), Mode: 0o777, Owner: e.owner}
		m.To = func(ctx vfs.Context) (vfs.Path, error) {
			if err := e.inspect(ctx); err != nil {
				return vfs.Path{}, err
			}
			return pf.k.namespaceFile(ns.kind, ns.ino).Place(ctx)
		}
		m.Text = func(ctx vfs.Context) (string, error) {
			if err := e.inspect(ctx); err != nil {
				return "", err
			}
			return fmt.Sprintf("%s:[%d]", ns.kind, ns.ino), nil
		}
		d.Add(ns.name, m)
	}
	return d
}
