package ipc

import (
	"fmt"
	"math"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Segment is shared memory, shmget(2). Its memory is a file that never had a
// name, mapped by whoever attaches it; it goes when it was removed and the
// last mapping is gone.
type Segment struct {
	object
	sys  *System
	ds   abi.ShmidDS // Perm is in object
	file *vfs.File
	gone bool
}

const (
	pageSize  = 4096
	shmMax    = math.MaxUint64 - 1<<24 // bytes of a segment
	shmAll    = math.MaxUint64 - 1<<24 // pages of all
	largestOf = math.MaxInt64 &^ (pageSize - 1)
)

// Shmget serves shmget(2).
func (s *System) Shmget(ctx vfs.Context, key int32, size uint64, flags int) (int, error) {
	return find(ctx, &s.shm, key, flags, func(g *Segment) bool { return size <= g.ds.Segsz }, func() (int, error) {
		pages := size/pageSize + min(size%pageSize, 1)
		switch {
		case size < abi.SHMMIN || size > shmMax:
			return 0, unix.EINVAL
		case s.shmPages+pages < pages || s.shmPages+pages > shmAll || s.shm.used >= abi.SHMMNI:
			return 0, unix.ENOSPC
		case size > largestOf:
			return 0, unix.ENOMEM
		case flags&abi.SHM_HUGETLB != 0:
			return 0, unix.ENOMEM // none reserved
		}
		file, err := s.NewFile(ctx, fmt.Sprintf("/SYSV%08x (deleted)", uint32(key)), int64(pages*pageSize))
		if err != nil {
			return 0, err
		}
		g := &Segment{sys: s, file: file}
		g.ds.Segsz, g.ds.Cpid, g.ds.Ctime = size, int32(ctx.PID()), seconds(ctx)
		s.shmPages += pages
		return s.shm.add(ctx, g, key, uint32(flags)), nil
	})
}

// Attachment is the file that one shmat maps. Its mappings count as the
// segment's.
type Attachment struct {
	seg *Segment
	vfs.Mmapper
}

// Attach implements mm.Attacher.
func (a *Attachment) Attach(ctx vfs.Context) {
	d := &a.seg.ds
	d.Nattch++
	d.Atime, d.Lpid = seconds(ctx), int32(ctx.PID())
}

// Detach implements mm.Attacher.
func (a *Attachment) Detach(ctx vfs.Context) {
	d := &a.seg.ds
	d.Nattch--
	d.Dtime, d.Lpid = seconds(ctx), int32(ctx.PID())
	a.seg.end(ctx)
}

// Release implements vfs.Impl.
func (a *Attachment) Release(ctx vfs.Context) { a.seg.end(ctx) }

// end removes a segment that nobody has and nobody can get any more.
func (g *Segment) end(ctx vfs.Context) {
	if g.ds.Nattch > 0 || g.perm.Mode&abi.SHM_DEST == 0 || g.gone {
		return
	}
	g.gone = true
	g.sys.shm.remove(g)
	g.sys.shmPages -= (g.ds.Segsz + pageSize - 1) / pageSize
	g.file.Unref(ctx)
}

// Size implements mm.Attacher: bytes that shmat maps.
func (a *Attachment) Size() uint64 { return a.seg.ds.Segsz }

// Shmat checks that the caller may attach the segment, and returns what to
// map. The caller gives it back by Unref when it is mapped, or cannot be.
func (s *System) Shmat(ctx vfs.Context, id int, flags int) (*vfs.File, error) {
	g, err := s.shm.get(id)
	if err != nil {
		return nil, err
	}
	want, mode := uint32(mayRead|mayWrite), unix.O_RDWR
	if flags&unix.SHM_RDONLY != 0 {
		want, mode = mayRead, unix.O_RDONLY
	}
	if flags&abi.SHM_EXEC != 0 {
		want |= 0o111
	}
	if err := g.access(ctx, want); err != nil {
		return nil, err
	}
	m, ok := g.file.Impl.(vfs.Mmapper)
	if !ok {
		return nil, unix.ENODEV
	}
	return vfs.NewFile(vfs.Path{}, g.file.Inode, &Attachment{g, m}, mode), nil
}

// ShmStat is IPC_STAT, or SHM_STAT and SHM_STAT_ANY, for which id is a place.
// The result is the identifier, or 0 for IPC_STAT.
func (s *System) ShmStat(ctx vfs.Context, id int, cmd int) (int, abi.ShmidDS, error) {
	g, ret, err := stat(ctx, &s.shm, id, cmd == unix.IPC_STAT, cmd == abi.SHM_STAT_ANY)
	if err != nil {
		return 0, abi.ShmidDS{}, err
	}
	ds := g.ds
	ds.Perm = g.perm
	return ret, ds, nil
}

// stat finds the object that a STAT command asks for.
func stat[T based](ctx vfs.Context, t *table[T], id int, byID, anyone bool) (T, int, error) {
	o, err := t.at(id)
	if byID {
		o, err = t.get(id)
	}
	if err != nil {
		return o, 0, err
	}
	if !anyone {
		if err := o.base().access(ctx, mayRead); err != nil {
			return o, 0, err
		}
	}
	if byID {
		return o, 0, nil
	}
	return o, o.base().id, nil
}

// ShmLimits is IPC_INFO.
func (s *System) ShmLimits() (top int, i abi.Shminfo) {
	return s.shm.top(), abi.Shminfo{Max: shmMax, Min: abi.SHMMIN, Mni: abi.SHMMNI, Seg: abi.SHMMNI, All: shmAll}
}

// ShmUse is SHM_INFO.
func (s *System) ShmUse(ctx vfs.Context) (top int, i abi.ShmInfo) {
	i.UsedIDs, i.Tot = int32(s.shm.used), s.shmPages
	s.shm.all(func(g *Segment) {
		if a, err := g.file.Inode.Attr(ctx); err == nil {
			i.Rss += uint64(a.Blocks) / (pageSize / 512)
		}
	})
	return s.shm.top(), i
}

// ShmSet is IPC_SET.
func (s *System) ShmSet(ctx vfs.Context, id int, p *abi.IpcPerm) error {
	g, err := s.shm.get(id)
	if err == nil {
		err = g.own(ctx)
	}
	if err == nil {
		g.set(p)
		g.ds.Ctime = seconds(ctx)
	}
	return err
}

// ShmRemove is IPC_RMID: the segment has no key from now on, and goes with
// its last mapping.
func (s *System) ShmRemove(ctx vfs.Context, id int) error {
	g, err := s.shm.get(id)
	if err == nil {
		err = g.own(ctx)
	}
	if err == nil {
		g.perm.Mode |= abi.SHM_DEST
		g.perm.Key = unix.IPC_PRIVATE
		g.end(ctx)
	}
	return err
}

// ShmLock is SHM_LOCK and SHM_UNLOCK: a mark, the host pages as it likes.
// limit is the caller's RLIMIT_MEMLOCK.
func (s *System) ShmLock(ctx vfs.Context, id int, lock bool, limit uint64) error {
	g, err := s.shm.get(id)
	if err != nil {
		return err
	}
	if c := ctx.Cred(); !c.Has(unix.CAP_IPC_LOCK) {
		if c.UID != g.perm.UID && c.UID != g.perm.CUID || lock && limit == 0 {
			return unix.EPERM
		}
		if lock && g.ds.Segsz > limit {
			return unix.ENOMEM
		}
	}
	g.perm.Mode &^= abi.SHM_LOCKED
	if lock {
		g.perm.Mode |= abi.SHM_LOCKED
	}
	return nil
}
