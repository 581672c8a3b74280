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
	map32Bit          = 0x40
	mapAbove4G        = 0x80
	protSem           = 8
)

// validated are the flags that MAP_SHARED_VALIDATE knows of: Linux's list of
// old ones, without MAP_SYNC, which is for persistent memory.
const validated = mapTypeMask | unix.MAP_FIXED | unix.MAP_ANONYMOUS | unix.MAP_DENYWRITE | unix.MAP_EXECUTABLE |
	unix.MAP_GROWSDOWN | unix.MAP_LOCKED | unix.MAP_NORESERVE | unix.MAP_POPULATE | unix.MAP_NONBLOCK |
	unix.MAP_STACK | unix.MAP_HUGETLB | map32Bit | mapAbove4G | unix.MAP_HUGE_2MB | unix.MAP_HUGE_1GB

// Low is a flag of Map and Remap beside those of the calls: a 32-bit one asks,
// also one that 64-bit code makes by int $0x80. What may go anywhere goes where
// 32-bit pointers reach.
const Low = 1 << 40

// Map serves mmap(2). file is nil for anonymous memory.
func (s *Space) Map(ctx vfs.Context, th *machine.Thread, addr, size uint64, prot, flags int, file *vfs.File, off uint64) (uint64, error) {
	if size == 0 || off%PageSize != 0 {
		return 0, unix.EINVAL
	}
	if flags&unix.MAP_HUGETLB != 0 && file == nil {
		return 0, unix.ENOMEM // none reserved
	}
	prot = s.implied(prot&(unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC), file)
	size = (size + PageSize - 1) &^ (PageSize - 1)
	if size == 0 || size > s.Top {
		return 0, unix.ENOMEM
	}
	if off+size < off {
		return 0, unix.EOVERFLOW
	}
	if file == nil {
		off = 0
	}
	hint := addr
	addr, err := s.place(hint, size, flags, file == nil)
	if err != nil {
		return 0, err
	}
	if flags&unix.MAP_LOCKED != 0 && s.MaxLock == 0 {
		return 0, unix.EPERM
	}
	kind := flags & mapTypeMask
	switch {
	case kind == unix.MAP_SHARED, kind == unix.MAP_PRIVATE:
	case kind == mapSharedValidate && file != nil:
		if flags&^(validated|Low) != 0 {
			return 0, unix.EOPNOTSUPP
		}
	default:
		return 0, unix.EINVAL
	}
	v := VMA{Prot: prot, Shared: kind != unix.MAP_PRIVATE, MayWrite: true,
		NoReserve: flags&unix.MAP_NORESERVE != 0, GrowsDown: flags&unix.MAP_GROWSDOWN != 0}
	if v.GrowsDown && v.Shared {
		return 0, unix.EINVAL
	}
	// Opening the file may sleep: what is free is looked at once more.
	var host int
	var key uint64
	if file != nil {
		if host, key, err = v.openFile(ctx, file); err != nil {
			return 0, err
		}
		if v.GrowsDown {
			return 0, unix.EINVAL
		}
		if addr, err = s.place(hint, size, flags, false); err != nil {
			return 0, err
		}
	}
	end := addr + size
	v.Start, v.End, v.File, v.Off = addr, end, file, off
	if flags&unix.MAP_LOCKED != 0 || s.lockFuture {
		if s.locked+size > s.MaxLock {
			return 0, unix.EAGAIN
		}
		v.Locked = true
	}
	if old := s.mappedIn(addr, end); !s.mayExpand(&v, size) && (s.Full || old == 0 || !s.mayReplace(&v, addr, end)) {
		return 0, unix.ENOMEM
	}
	if len(s.vmas) >= maxMaps {
		return 0, unix.ENOMEM
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
		if fd, err = th.CPU().Import(host, key); err != nil {
			return 0, err
		}
	}
	if _, err := th.Do(machine.Mmap(addr, size, prot, hostFlags, fd, off)); err != nil {
		return 0, err
	}
	v.hold(ctx)
	gone := s.remove(ctx, addr, end)
	s.add(ctx, v)
	drop(ctx, gone)
	return addr, nil
}

// place chooses where a mapping goes, as mmap's flags and hint say.
func (s *Space) place(addr, size uint64, flags int, anonymous bool) (uint64, error) {
	if flags&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0 {
		end, ok := s.Range(addr, size)
		switch {
		case !ok:
			return 0, unix.ENOMEM
		case addr%PageSize != 0:
			return 0, unix.EINVAL
		case addr < Bottom:
			return 0, unix.EPERM
		case flags&unix.MAP_FIXED_NOREPLACE != 0 && s.overlaps(addr, end):
			return 0, unix.EEXIST
		}
		return addr, nil
	}
	const low, high = 0x40000000, 0x80000000 // of MAP_32BIT
	if addr &^= PageSize - 1; addr != 0 {
		addr = max(addr, Bottom)
		if end, ok := s.Range(addr, size); ok && s.free(addr, end) && (flags&map32Bit == 0 || end <= high) {
			return addr, nil
		}
	}
	if flags&Low != 0 {
		return s.findLow(size)
	}
	if flags&map32Bit != 0 {
		if addr, found := s.gapUp(size, low, high); found {
			return addr, nil
		}
		return 0, unix.ENOMEM
	}
	align := uint64(PageSize)
	if anonymous && size%hugePage == 0 && flags&unix.MAP_STACK == 0 {
		align = hugePage // as Linux does since 6.7
	}
	return s.findRoom(size, align)
}

const hugePage = 2 << 20

// mayReplace is mayExpand for a mapping that takes the place of what is in
// [start, end).
func (s *Space) mayReplace(v *VMA, start, end uint64) bool {
	var size, data uint64
	for i := s.index(start); i < len(s.vmas) && s.vmas[i].Start < end; i++ {
		n := min(s.vmas[i].End, end) - max(s.vmas[i].Start, start)
		size += n
		if s.vmas[i].isData() {
			data += n
		}
	}
	if s.size-size+v.Size() > s.MaxSize || v.Size() > s.MaxOnce && v.isCharged() {
		return false
	}
	return !v.isData() || s.data-data+v.Size() <= s.MaxData
}

// openFile checks that file may be mapped as v says, and returns the host's
// descriptor and what it is known by.
func (v *VMA) openFile(ctx vfs.Context, file *vfs.File) (fd int, key uint64, err error) {
	acc := file.Flags & unix.O_ACCMODE
	if file.Flags&unix.O_PATH != 0 {
		return 0, 0, unix.EBADF
	}
	if acc == unix.O_WRONLY {
		return 0, 0, unix.EACCES
	}
	if v.Shared && acc != unix.O_RDWR {
		if v.Prot&unix.PROT_WRITE != 0 {
			return 0, 0, unix.EACCES
		}
		v.MayWrite = false
	}
	if v.Prot&unix.PROT_EXEC != 0 && noExec(file) {
		return 0, 0, unix.EPERM
	}
	if sealer, ok := file.Impl.(vfs.Sealer); ok && v.Shared && v.MayWrite {
		if seals, err := sealer.Seals(); err == nil && seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
			if v.Prot&unix.PROT_WRITE != 0 {
				return 0, 0, unix.EPERM
			}
			v.MayWrite = false
		}
	}
	m, ok := file.Impl.(vfs.Mmapper)
	if !ok {
		return 0, 0, unix.ENODEV
	}
	return m.HostFile(ctx, file, v.Shared && v.MayWrite)
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
	end, ok := s.Range(addr, size)
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
	drop(ctx, s.remove(ctx, addr, end))
	return nil
}

// DetachAt serves shmdt(2): it unmaps what is left of the segment that was
// attached at addr.
func (s *Space) DetachAt(ctx vfs.Context, th *machine.Thread, addr uint64) error {
	if addr%PageSize != 0 {
		return unix.EINVAL
	}
	var file *vfs.File
	var end uint64
	var parts [][2]uint64
	for i := s.index(addr); i < len(s.vmas); i++ {
		v := &s.vmas[i]
		if file != nil && v.Start >= end {
			break
		}
		if v.File == nil || file != nil && v.File != file || v.Start < addr || v.Start-addr != v.Off {
			continue
		}
		if file == nil {
			a, ok := v.File.Impl.(Attacher)
			if !ok {
				continue
			}
			file = v.File
			end = addr + (a.Size()+PageSize-1)&^(PageSize-1)
		}
		if v.End <= end {
			parts = append(parts, [2]uint64{v.Start, v.Size()})
		}
	}
	if file == nil {
		return unix.EINVAL
	}
	for _, p := range parts {
		if err := s.Unmap(ctx, th, p[0], p[1]); err != nil {
			return err
		}
	}
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
	prot = s.implied(prot&^protSem, nil)
	if size == 0 {
		return nil
	}
	end, ok := s.Range(addr, size)
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
		if prot&unix.PROT_WRITE != 0 && !s.mayWriteMore(addr, stop) {
			return unix.ENOMEM
		}
		if _, err := th.Do(machine.Mprotect(addr, stop-addr, prot)); err != nil {
			return err
		}
		i, j := s.within(ctx, addr, stop)
		for k := i; k < j; k++ {
			v := &s.vmas[k]
			s.uncount(v, v.Size())
			v.Prot = prot
			s.count(v, v.Size())
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

// mayWriteMore reports whether RLIMIT_DATA lets all of [start, end) be
// writable.
func (s *Space) mayWriteMore(start, end uint64) bool {
	var n uint64
	for i := s.index(start); i < len(s.vmas) && s.vmas[i].Start < end; i++ {
		v := s.vmas[i]
		size := min(v.End, end) - max(v.Start, start)
		data, charged := v.isData(), v.isCharged()
		v.Prot |= unix.PROT_WRITE
		if !data && v.isData() {
			n += size
		}
		if !charged && v.isCharged() && size > s.MaxOnce {
			return false
		}
	}
	return n == 0 || s.data <= s.MaxData && n <= s.MaxData-s.data
}

// SetBrk serves brk(2): it returns the new break, or the old when it cannot be
// moved.
func (s *Space) SetBrk(ctx vfs.Context, th *machine.Thread, to uint64) uint64 {
	if to < s.BrkStart || to > s.Top {
		return s.Brk
	}
	old := (s.Brk + PageSize - 1) &^ (PageSize - 1)
	end := (to + PageSize - 1) &^ (PageSize - 1)
	switch {
	case end > old:
		v := VMA{Start: old, End: end, Prot: s.implied(unix.PROT_READ|unix.PROT_WRITE, nil), MayWrite: true, Locked: s.lockFuture}
		if to-s.BrkStart+s.EndData-s.StartData > s.MaxData || !s.mayExpand(&v, end-old) || !s.free(old, end+PageSize) ||
			v.Locked && s.locked+end-old > s.MaxLock || len(s.vmas) >= maxMaps {
			return s.Brk
		}
		if _, err := th.Do(machine.Mmap(old, end-old, v.Prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, machine.NoFile, 0)); err != nil {
			return s.Brk
		}
		s.add(ctx, v)
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
	low := uint64(Bottom)
	if i > 0 {
		low = s.vmas[i-1].End
		if s.vmas[i-1].Prot != 0 && !s.vmas[i-1].GrowsDown {
			low += stackGap
		}
	}
	// Full does not count here: the process would die of it.
	if page < low || v.Start-page > s.MaxSize-min(s.size, s.MaxSize) || v.Locked && s.locked+v.Start-page > s.MaxLock {
		return false
	}
	// Some more than needed, as much again as there is: faults are dear.
	start := v.End - min(max(need, 2*v.Size()), s.MaxStack&^(PageSize-1), need+(1<<20))
	if start < low || start > page || !s.mayExpand(v, v.Start-start) || v.Locked {
		start = page
	}
	n := v.Start - start
	if _, err := th.Do(machine.Mmap(start, n, v.Prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED|unix.MAP_NORESERVE, machine.NoFile, 0)); err != nil {
		return false
	}
	s.count(v, n)
	v.Start = start
	return true
}

// noExec reports whether file is on a mount whose programs may not be run.
func noExec(f *vfs.File) bool { return f.Path.Mount.Has(unix.MS_NOEXEC) }
