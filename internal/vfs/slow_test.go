package vfs_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// slow is a tmpfs whose every operation lets other tasks run, before and
// after it is done: as a file system of the host does. Directories are made
// anew at each lookup, so that two dentries of one would show.
type slow struct {
	*tmpfs.FS
	root   *slowNode
	rnd    *rand.Rand
	inside map[vfs.Inode]bool // directories being changed
	t      *testing.T
}

type slowNode struct {
	vfs.Node
	fs *slow
	in vfs.Inode
}

func (s *slow) Root() vfs.Inode { return s.root }

func (s *slow) nap(ctx vfs.Context) {
	d := time.Duration(s.rnd.IntN(20)) * time.Microsecond
	ctx.Offload(func() { time.Sleep(d) })
}

// change runs do in directory n, which nobody else may be changing.
func (n *slowNode) change(ctx vfs.Context, do func() error) error {
	s := n.fs
	if s.inside[n.in] {
		s.t.Error("two changes of one directory at once")
	}
	s.inside[n.in] = true
	s.nap(ctx)
	err := do()
	s.nap(ctx)
	delete(s.inside, n.in)
	return err
}

func (n *slowNode) wrap(ino vfs.Inode, err error) (vfs.Inode, error) {
	if err != nil {
		return nil, err
	}
	return &slowNode{fs: n.fs, in: ino}, nil
}

func (n *slowNode) Attr(ctx vfs.Context) (vfs.Attr, error) {
	n.fs.nap(ctx)
	return n.in.Attr(ctx)
}

func (n *slowNode) Lookup(ctx vfs.Context, name string) (ino vfs.Inode, err error) {
	n.change(ctx, func() error {
		ino, err = n.in.(vfs.Lookuper).Lookup(ctx, name)
		return nil
	})
	return n.wrap(ino, err)
}

func (n *slowNode) Create(ctx vfs.Context, name string, mode uint32, rdev uint64, uid, gid uint32) (ino vfs.Inode, err error) {
	err = n.change(ctx, func() error {
		ino, err = n.in.(vfs.Creator).Create(ctx, name, mode, rdev, uid, gid)
		return err
	})
	return n.wrap(ino, err)
}

func (n *slowNode) Mkdir(ctx vfs.Context, name string, mode uint32, uid, gid uint32) (ino vfs.Inode, err error) {
	err = n.change(ctx, func() error {
		ino, err = n.in.(vfs.Mkdirer).Mkdir(ctx, name, mode, uid, gid)
		return err
	})
	return n.wrap(ino, err)
}

func (n *slowNode) Unlink(ctx vfs.Context, name string, child vfs.Inode) error {
	return n.change(ctx, func() error { return n.in.(vfs.Unlinker).Unlink(ctx, name, child.(*slowNode).in) })
}

func (n *slowNode) Rmdir(ctx vfs.Context, name string, child vfs.Inode) error {
	return n.change(ctx, func() error { return n.in.(vfs.Rmdirer).Rmdir(ctx, name, child.(*slowNode).in) })
}

func (n *slowNode) Rename(ctx vfs.Context, old string, child, dir vfs.Inode, new string, replaced vfs.Inode, flags uint32) error {
	do := func() error {
		var r vfs.Inode
		if replaced != nil {
			r = replaced.(*slowNode).in
		}
		return n.in.(vfs.Renamer).Rename(ctx, old, child.(*slowNode).in, dir.(*slowNode).in, new, r, flags)
	}
	if dir == vfs.Inode(n) {
		return n.change(ctx, do)
	}
	return n.change(ctx, func() error { return dir.(*slowNode).change(ctx, do) })
}

func (n *slowNode) Open(ctx vfs.Context, p vfs.Path, flags int) (vfs.Impl, error) {
	n.fs.nap(ctx)
	return n.in.(vfs.Opener).Open(ctx, p, flags)
}

// Tasks that change one tree at the same time, in a file system that waits
// everywhere, neither corrupt it nor stop each other for ever.
func TestChangesAtOnce(t *testing.T) {
	k := &waittest.Kernel{}
	var ns *vfs.Namespace
	var at vfs.At
	s := &slow{t: t, rnd: rand.New(rand.NewPCG(3, 3)), inside: make(map[vfs.Inode]bool)}
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		s.FS = tmpfs.New(ctx.Realtime(), tmpfs.Options{})
		s.root = &slowNode{fs: s, in: s.FS.Root()}
		ns, _ = vfs.NewNamespace(ctx, s, 0, "slow")
		root := ns.Root()
		at = vfs.At{Root: root, Dir: root}
	})
	names := []string{"/a", "/b", "/a/c", "/b/c", "/a/c/d", "/b/d"}
	for i := range 8 {
		rnd := rand.New(rand.NewPCG(uint64(i), 9))
		k.Go(func(task *waittest.Task) {
			ctx := vfstest.Root(task)
			for range 150 {
				n, n2 := names[rnd.IntN(len(names))], names[rnd.IntN(len(names))]
				switch rnd.IntN(6) {
				case 0, 1:
					vfs.Mkdir(ctx, at, n, 0o755)
				case 2:
					if f, err := vfs.Open(ctx, at, n, unix.O_CREAT|unix.O_RDWR, 0o644, 0); err == nil {
						f.Unref(ctx)
					}
				case 3:
					vfs.Rename(ctx, at, n, at, n2, uint32(rnd.IntN(3)))
				case 4:
					vfs.Unlink(ctx, at, n)
				case 5:
					vfs.Rmdir(ctx, at, n)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { k.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("they wait for each other")
	}
	// What the cache says is what the file system says.
	k.Do(func() {
		ctx := vfstest.Root(k.NewTask())
		var check func(name string, dir vfs.Inode)
		check = func(name string, dir vfs.Inode) {
			for _, c := range []string{"a", "b", "c", "d"} {
				full := name + "/" + c
				ino, err := dir.(vfs.Lookuper).Lookup(ctx, c)
				a, err2 := vfs.Stat(ctx, at, full, 0)
				if err != err2 {
					t.Errorf("%s: %v, the cache says %v", full, err, err2)
				}
				if err == nil && err2 == nil {
					b, _ := ino.Attr(ctx)
					if a.Ino != b.Ino {
						t.Errorf("%s: inode %d, the cache says %d", full, b.Ino, a.Ino)
					}
					if a.IsDir() {
						check(full, ino)
					}
				}
			}
		}
		check("", s.FS.Root())
		at.Root.Unref()
		ns.Unref()
	})
}
