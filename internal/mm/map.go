package mm

import (
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Flags of mmap(2) that golang.org/x/sys lacks for amd64.
const (
	mapSharedValidate = 3
	mapTypeMask       = 0xf
	mapDroppable      = 8
	map32Bit          = 0x40
	protSem           = 8
)

// Map serves mmap(2). file is nil for anonymous memory.
func (s *Space) Map(ctx vfs.Context, th *machine.Thread, addr, size uint64, prot, flags int, file *vfs.File, off uint64) (uint64, error) {
	kind := flags & mapTypeMask
	if kind != unix.MAP_SHARED && kind != unix.MAP_PRIVATE && kind != mapSharedValidate {
		return 0, unix.EINVAL
	}
	if size == 0 || off%PageSize != 0 {
		return 0, unix.EINVAL
	}
	if flags&unix.MAP_HUGETLB != 0 {
		return 0, unix.ENOMEM // none reserved
	}
	if kind == mapSharedValidate && flags&unix.MAP_SYNC != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if prot&^(unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC|protSem|unix.PROT_GROWSDOWN|unix.PROT_GROWSUP) != 0 {
		prot &= unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	}
	prot &= unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	size = (size + PageSize - 1) &^ (PageSize - 1)
	if size == 0 || size > Top {
		return 0, unix.ENOMEM
	}
	if off+size < off {
		return 0, unix.EOVERFLOW
	}
	if file == nil {
		off = 0
	}
	fixed := flags&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0
	switch {
	case fixed:
		if addr%PageSize != 0 {
			return 0, unix.EINVAL
		}
		end, ok := Range(addr, size)
		if !ok {
			return 0, unix.ENOMEM
		}
		if addr < Bottom {
			return 0, unix.EPERM
		}
		if flags&unix.MAP_FIXED_NOREPLACE != 0 && s.overlaps(addr, end) {
			return 0, unix.EEXIST
		}
	default:
		addr = (addr + PageSize - 1) &^ (PageSize - 1)
		end, ok := Range(addr, size)
		switch {
		case addr >= Bottom && ok && !s.overlaps(addr, end):
			// the hint is free
		case flags&map32Bit != 0:
			var found bool
			if addr, found = s.gap(size, 0x40000000, 0x80000000, PageSize); !found {
				return 0, unix.ENOMEM
			}
		default:
			align := uint64(PageSize)
			if file == nil && size >= 2<<20 && flags&unix.MAP_STACK == 0 {
				align = 2 << 20 // as Linux does since 6.7: room for huge pages
				if size%align != 0 {
					align = PageSize
				}
			}
			var err error
			if addr, err = s.findRoom(size, align); err != nil {
				return 0, err
			}
		}
	}
	end := addr + size
	if s.size+size > s.MaxSize && s.size+size-s.mappedIn(addr, end) > s.MaxSize {
		return 0, unix.ENOMEM
	}
	if len(s.vmas) >= maxMaps {
		return 0, unix.ENOMEM
	}
	v := VMA{Start: addr, End: end, Prot: prot, Shared: kind != unix.MAP_PRIVATE, MayWrite: true,
		NoReserve: flags&unix.MAP_NORESERVE != 0, GrowsDown: flags&unix.MAP_GROWSDOWN != 0}
	lock := flags&unix.MAP_LOCKED != 0 || s.lockFuture
	if lock {
		if s.locked+size > s.MaxLock {
			return 0, unix.EAGAIN
		}
		v.Locked = true
	}
	hostFlags := unix.MAP_FIXED | flags&(unix.MAP_NORESERVE|unix.MAP_POPULATE|unix.MAP_NONBLOCK)
	if v.Shared {
		hostFlags |= unix.MAP_SHARED
	} else {
		hostFlags |= unix.MAP_PRIVATE
	}
	fd := machine.NoFile
	if file == nil {
		hostFlags |= unix.MAP_ANONYMOUS
		if v.Shared {
			v.object = new(byte)
		}
	} else {
		var err error
		if fd, err = s.importFile(ctx, th, &v, file); err != nil {
			return 0, err
		}
		v.File, v.Off = file, off
	}
	if _, err := th.Do(machine.Mmap(addr, size, prot, hostFlags, fd, off)); err != nil {
		return 0, err
	}
	if file != nil {
		file.Ref()
	}
	s.remove(ctx, addr, end)
	s.add(ctx, v)
	return addr, nil
}

// importFile makes file mappable and checks that it may be mapped so.
func (s *Space) importFile(ctx vfs.Context, th *machine.Thread, v *VMA, file *vfs.File) (int, error) {
	acc := file.Flags & unix.O_ACCMODE
	if file.Flags&unix.O_PATH != 0 {
		return 0, unix.EBADF
	}
	if acc == unix.O_WRONLY {
		return 0, unix.EACCES
	}
	if v.Shared && acc != unix.O_RDWR {
		if v.Prot&unix.PROT_WRITE != 0 {
			return 0, unix.EACCES
		}
		v.MayWrite = false
	}
	if v.Prot&unix.PROT_EXEC != 0 && noExec(file) {
		return 0, unix.EPERM
	}
	m, ok := file.Impl.(vfs.Mmapper)
	if !ok {
		return 0, unix.ENODEV
	}
	fd, key, err := m.HostFile(ctx, file, v.Shared && v.MayWrite)
	if err != nil {
		return 0, err
	}
	return th.CPU().Import(fd, key)
}

// mappedIn is how many bytes of [start, end) are mapped.
func (s *Space) mappedIn(start, end uint64) (n uint64) {
	for i := s.index(start); i < len(s.vmas) && s.vmas[i].Start < end; i++ {
		n += min(s.vmas[i].End, end) - max(s.vmas[i].Start, start)
	}
	return n
}

// Unmap serves munmap(2).
func (s *Space) Unmap(ctx vfs.Context, th *machine.Thread, addr, size uint64) error {
	end, ok := Range(addr, size)
	if addr%PageSize != 0 || !ok || size == 0 {
		return unix.EINVAL
	}
	if !s.overlaps(addr, end) {
		return nil
	}
	if len(s.vmas) >= maxMaps && s.Find(addr) != nil && s.Find(addr) == s.Find(end) {
		return unix.ENOMEM
	}
	if _, err := th.Do(machine.Munmap(addr, end-addr)); err != nil {
		return err
	}
	s.remove(ctx, addr, end)
	return nil
}

// Protect serves mprotect(2).
func (s *Space) Protect(ctx vfs.Context, th *machine.Thread, addr, size uint64, prot int) error {
	grows := prot & (unix.PROT_GROWSDOWN | unix.PROT_GROWSUP)
	prot &^= unix.PROT_GROWSDOWN | unix.PROT_GROWSUP
	if grows == unix.PROT_GROWSDOWN|unix.PROT_GROWSUP || addr%PageSize != 0 {
		return unix.EINVAL
	}
	if prot&^(unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC|protSem) != 0 {
		return unix.EINVAL
	}
	prot &^= protSem
	if size == 0 {
		return nil
	}
	end, ok := Range(addr, size)
	if !ok {
		return unix.ENOMEM
	}
	if grows == unix.PROT_GROWSDOWN {
		v := s.Find(addr)
		if v == nil {
			return unix.ENOMEM
		}
		if !v.GrowsDown {
			return unix.EINVAL
		}
		addr = v.Start
	}
	// What is before a hole is changed, as Linux does.
	stop := addr
	var refused error
	for i := s.index(addr); i < len(s.vmas) && s.vmas[i].Start <= stop && stop < end; i++ {
		v := &s.vmas[i]
		if prot&unix.PROT_WRITE != 0 && v.Shared && !v.MayWrite {
			refused = unix.EACCES
			break
		}
		if v.fixed && prot != v.Prot {
			refused = unix.EACCES
			break
		}
		if prot&unix.PROT_EXEC != 0 && v.File != nil && noExec(v.File) {
			refused = unix.EACCES
			break
		}
		stop = min(v.End, end)
	}
	if stop > addr {
		if _, err := th.Do(machine.Mprotect(addr, stop-addr, prot)); err != nil {
			return err
		}
		i, j := s.within(addr, stop)
		for k := i; k < j; k++ {
			s.vmas[k].Prot = prot
		}
		s.join(ctx, i, j)
	}
	if refused != nil {
		return refused
	}
	if stop < end {
		return unix.ENOMEM
	}
	return nil
}

// SetBrk serves brk(2): it returns the new break, or the old when it cannot be
// moved.
func (s *Space) SetBrk(ctx vfs.Context, th *machine.Thread, to uint64) uint64 {
	if to < s.BrkStart || to > Top {
		return s.Brk
	}
	old := (s.Brk + PageSize - 1) &^ (PageSize - 1)
	end := (to + PageSize - 1) &^ (PageSize - 1)
	switch {
	case end > old:
		if to-s.BrkStart > s.MaxData || s.size+end-old > s.MaxSize || s.overlaps(old, end+PageSize) {
			return s.Brk
		}
		if _, err := th.Do(machine.Mmap(old, end-old, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, machine.NoFile, 0)); err != nil {
			return s.Brk
		}
		s.add(ctx, VMA{Start: old, End: end, Prot: unix.PROT_READ | unix.PROT_WRITE, MayWrite: true, Name: "[heap]"})
	case end < old:
		if s.Unmap(ctx, th, end, old-end) != nil {
			return s.Brk
		}
	}
	s.Brk = to
	return to
}

// Fault is asked about an access at addr that the host refused: a stack that
// may grow down to it does. It reports whether to try again.
func (s *Space) Fault(ctx vfs.Context, th *machine.Thread, addr uint64) bool {
	i := s.index(addr)
	if i == len(s.vmas) || !s.vmas[i].GrowsDown || s.vmas[i].Start <= addr || addr < Bottom {
		return false
	}
	v := &s.vmas[i]
	page := addr &^ (PageSize - 1)
	need := v.End - page
	if need > s.MaxStack {
		return false
	}
	// Some more than needed, as much again as there is: faults are dear.
	size := min(max(need, 2*v.Size()), s.MaxStack&^(PageSize-1), need+(1<<20))
	size = max(size, need)
	low := uint64(Bottom)
	if i > 0 {
		low = s.vmas[i-1].End
		if s.vmas[i-1].Prot != 0 {
			low += stackGap
		}
	}
	start := v.End - size
	if start < low || start > v.End {
		start = page
	}
	if start < low || s.size+v.Start-start > s.MaxSize {
		return false
	}
	if _, err := th.Do(machine.Mmap(start, v.Start-start, v.Prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED|unix.MAP_NORESERVE, machine.NoFile, 0)); err != nil {
		return false
	}
	s.size += v.Start - start
	v.Start = start
	return true
}

// noExec reports whether file is on a mount whose programs may not be run.
func noExec(f *vfs.File) bool { return f.Path.Mount.Has(unix.MS_NOEXEC) }
