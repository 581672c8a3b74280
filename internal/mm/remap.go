package mm

import (
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Remap serves mremap(2).
func (s *Space) Remap(ctx vfs.Context, th *machine.Thread, old, oldSize, newSize uint64, flags int, to uint64) (uint64, error) {
	const known = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP | Low
	if flags&^known != 0 || old%PageSize != 0 || newSize == 0 {
		return 0, unix.EINVAL
	}
	if flags&(unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP) != 0 && flags&unix.MREMAP_MAYMOVE == 0 {
		return 0, unix.EINVAL
	}
	end, ok := s.Range(old, oldSize)
	newEnd, ok2 := s.Range(0, newSize)
	if !ok || !ok2 {
		return 0, unix.EINVAL
	}
	oldSize, newSize = end-old, newEnd
	if flags&unix.MREMAP_DONTUNMAP != 0 && oldSize != newSize {
		return 0, unix.EINVAL
	}
	if flags&unix.MREMAP_FIXED != 0 {
		toEnd, ok := s.Range(to, newSize)
		if to%PageSize != 0 || !ok || to < end && old < toEnd {
			return 0, unix.EINVAL
		}
		if to < Bottom {
			return 0, unix.EPERM
		}
	}
	v := s.Find(old)
	if v == nil {
		return 0, unix.EFAULT
	}
	if oldSize == 0 && !v.Shared {
		return 0, unix.EINVAL
	}
	if v.fixed {
		return 0, unix.EFAULT
	}
	if flags&(unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP) == 0 && oldSize != 0 {
		// These may span mappings.
		switch {
		case newSize == oldSize:
			return old, nil
		case newSize < oldSize:
			return old, s.Unmap(ctx, th, old+newSize, oldSize-newSize)
		}
	}
	if end > v.End {
		return 0, unix.EFAULT
	}
	more := newSize - min(oldSize, newSize)
	if flags&unix.MREMAP_DONTUNMAP != 0 {
		more = newSize
	}
	if more > 0 && v.Locked && s.locked+more > s.MaxLock {
		return 0, unix.EAGAIN
	}
	if more > 0 && !s.mayExpand(v, more) {
		return 0, unix.ENOMEM
	}
	if flags&(unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP) == 0 {
		grown := old + newSize
		if oldSize != 0 && end == v.End && grown <= s.Top && grown > old && !s.overlaps(end, grown) {
			if _, err := th.Do(machine.Mremap(old, oldSize, newSize, 0, 0)); err == nil {
				s.count(v, newSize-oldSize)
				v.End = grown
				i := s.index(old)
				s.join(ctx, i, i+1)
				return old, nil
			}
		}
		if flags&unix.MREMAP_MAYMOVE == 0 {
			return 0, unix.ENOMEM
		}
	}
	if flags&unix.MREMAP_FIXED == 0 {
		var err error
		if flags&Low != 0 {
			to, err = s.findLow(newSize)
		} else {
			to, err = s.findRoom(newSize, PageSize)
		}
		if err != nil {
			return 0, err
		}
	}
	hostFlags := unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | flags&unix.MREMAP_DONTUNMAP
	if _, err := th.Do(machine.Mremap(old, oldSize, newSize, hostFlags, to)); err != nil {
		if flags&unix.MREMAP_FIXED != 0 {
			// What was there is gone all the same: see to it that it is.
			s.Unmap(ctx, th, to, newSize)
		}
		return 0, err
	}
	n := *v
	n.Off += old - v.Start
	n.hold(ctx)
	n.Start, n.End = to, to+newSize
	gone := s.remove(ctx, to, to+newSize)
	if oldSize != 0 && flags&unix.MREMAP_DONTUNMAP == 0 {
		gone = append(gone, s.remove(ctx, old, old+oldSize)...)
	}
	s.add(ctx, n)
	drop(ctx, gone)
	return to, nil
}

// Advise serves madvise(2).
func (s *Space) Advise(ctx vfs.Context, th *machine.Thread, addr, size uint64, advice int) error {
	if addr%PageSize != 0 {
		return unix.EINVAL
	}
	end, ok := s.Range(addr, size)
	if !ok {
		return unix.EINVAL
	}
	host := false
	switch advice {
	case unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED,
		unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLD, unix.MADV_PAGEOUT,
		unix.MADV_DONTDUMP, unix.MADV_DODUMP, unix.MADV_MERGEABLE, unix.MADV_UNMERGEABLE:
		// Hints: what a guest can see does not change.
	case unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_REMOVE, unix.MADV_DONTFORK,
		unix.MADV_DOFORK, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK,
		unix.MADV_POPULATE_READ, unix.MADV_POPULATE_WRITE, unix.MADV_COLLAPSE:
		host = true
	default:
		return unix.EINVAL
	}
	if size == 0 {
		return nil
	}
	switch advice {
	case unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_REMOVE, unix.MADV_COLD, unix.MADV_PAGEOUT:
		// What is locked is not given up; what lies before it is.
		for i := range s.vmas {
			if v := &s.vmas[i]; v.Locked && v.End > addr && v.Start < end {
				if v.Start > addr {
					if err := s.Advise(ctx, th, addr, v.Start-addr, advice); err != nil && err != unix.ENOMEM {
						return err
					}
				}
				return unix.EINVAL
			}
		}
	}
	if host && s.overlaps(addr, end) {
		if _, err := th.Do(machine.Madvise(addr, end-addr, advice)); err != nil && err != unix.ENOMEM {
			return err
		}
		switch advice {
		case unix.MADV_DONTFORK, unix.MADV_DOFORK, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK:
			i, j := s.within(ctx, addr, end)
			for k := i; k < j; k++ {
				v := &s.vmas[k]
				switch advice {
				case unix.MADV_DONTFORK, unix.MADV_DOFORK:
					v.DontFork = advice == unix.MADV_DONTFORK
				default:
					v.WipeOnFork = advice == unix.MADV_WIPEONFORK
				}
			}
			s.join(ctx, i, j)
		}
	}
	if !s.covered(addr, end) {
		return unix.ENOMEM
	}
	return nil
}

// Sync serves msync(2).
func (s *Space) Sync(th *machine.Thread, addr, size uint64, flags int) error {
	const known = unix.MS_ASYNC | unix.MS_SYNC | unix.MS_INVALIDATE
	if addr%PageSize != 0 || flags&^known != 0 || flags&(unix.MS_ASYNC|unix.MS_SYNC) == unix.MS_ASYNC|unix.MS_SYNC {
		return unix.EINVAL
	}
	end, ok := s.Range(addr, size)
	if !ok {
		return unix.ENOMEM
	}
	if addr == end {
		return nil
	}
	if !s.covered(addr, end) {
		return unix.ENOMEM
	}
	_, err := th.Do(machine.Msync(addr, end-addr, flags))
	return err
}

// Lock serves mlock(2) and munlock(2). The pages are made present; that they
// stay is the host's affair.
func (s *Space) Lock(ctx vfs.Context, th *machine.Thread, addr, size uint64, lock bool) error {
	end, ok := s.Range(addr&^(PageSize-1), size+addr%PageSize)
	addr &^= PageSize - 1
	if !ok || end < addr {
		return unix.EINVAL
	}
	if addr == end {
		return nil
	}
	if lock && s.locked+end-addr > s.MaxLock {
		return unix.ENOMEM
	}
	i, j := s.within(ctx, addr, end)
	for k := i; k < j; k++ {
		v := &s.vmas[k]
		s.uncount(v, v.Size())
		v.Locked = lock
		s.count(v, v.Size())
	}
	s.join(ctx, i, j)
	if !s.covered(addr, end) {
		return unix.ENOMEM
	}
	if lock {
		th.Do(machine.Madvise(addr, end-addr, unix.MADV_POPULATE_READ))
	}
	return nil
}

// LockAll serves mlockall(2) and munlockall(2).
func (s *Space) LockAll(current, future bool) error {
	if current && s.size > s.MaxLock {
		return unix.ENOMEM
	}
	s.lockFuture = future
	s.locked = 0
	for i := range s.vmas {
		s.vmas[i].Locked = current
		if current {
			s.locked += s.vmas[i].Size()
		}
	}
	return nil
}

// Covered reports whether all of the range is mapped: for mincore(2).
func (s *Space) Covered(addr, size uint64) bool {
	end, ok := s.Range(addr, size)
	return ok && s.covered(addr, end)
}
