package kernel

import (
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"mmap":       r6(sysMmap),
		"munmap":     e2(sysMunmap),
		"mprotect":   e3(sysMprotect),
		"brk":        r1(sysBrk),
		"mremap":     r5(sysMremap),
		"madvise":    e3(sysMadvise),
		"msync":      e3(sysMsync),
		"mincore":    e3(sysMincore),
		"mlock":      e2(sysMlock),
		"mlock2":     e3(sysMlock2),
		"munlock":    e2(sysMunlock),
		"mlockall":   e1(sysMlockall),
		"munlockall": e0(sysMunlockall),
	})
}

// space returns the task's address space with its limits up to date.
func (t *Task) space() *mm.Space {
	s := t.mm
	l := &t.p.limits
	s.MaxSize, s.MaxData, s.MaxStack = l[unix.RLIMIT_AS].Cur, l[unix.RLIMIT_DATA].Cur, l[unix.RLIMIT_STACK].Cur
	s.MaxLock = l[unix.RLIMIT_MEMLOCK].Cur
	if t.cred.Has(unix.CAP_IPC_LOCK) {
		s.MaxLock = ^uint64(0)
	}
	s.ReadExec = t.attrs.personality&readImpliesExec != 0
	s.Full, s.MaxOnce = t.k.ram.full, t.k.ram.total
	return s
}

func sysMmap(t *Task, addr Addr, size uint64, prot, flags int32, fd FD, off uint64) (Addr, error) {
	return t.mmap(addr, size, prot, int(uint32(flags)), fd, off)
}

// mmap is mmap(2); flags may have mm.Low.
func (t *Task) mmap(addr Addr, size uint64, prot int32, flags int, fd FD, off uint64) (Addr, error) {
	var f *vfs.File
	if flags&unix.MAP_ANONYMOUS == 0 {
		var err error
		if f, err = t.files.Get(int(fd)); err != nil {
			return 0, err
		}
		defer f.Unref(t)
	}
	a, err := t.space().Map(t, t.th, uint64(addr), size, int(prot), flags, f, off)
	t.noteShortage(err, size)
	return Addr(a), err
}

func sysMunmap(t *Task, addr Addr, size uint64) error {
	return t.mm.Unmap(t, t.th, uint64(addr), size)
}

func sysMprotect(t *Task, addr Addr, size uint64, prot int32) error {
	return t.space().Protect(t, t.th, uint64(addr), size, int(prot))
}

func sysBrk(t *Task, to Addr) (Addr, error) {
	a := t.space().SetBrk(t, t.th, uint64(to))
	if a < uint64(to) {
		t.noteShortage(unix.ENOMEM, uint64(to)-a)
	}
	return Addr(a), nil
}

func sysMremap(t *Task, old Addr, oldSize, newSize uint64, flags int32, to Addr) (Addr, error) {
	return t.mremap(old, oldSize, newSize, int(uint32(flags)), to)
}

// mremap is mremap(2); flags may have mm.Low.
func (t *Task) mremap(old Addr, oldSize, newSize uint64, flags int, to Addr) (Addr, error) {
	a, err := t.space().Remap(t, t.th, uint64(old), oldSize, newSize, flags, uint64(to))
	t.noteShortage(err, newSize)
	return Addr(a), err
}

func sysMadvise(t *Task, addr Addr, size uint64, advice int32) error {
	return t.mm.Advise(t, t.th, uint64(addr), size, int(advice))
}

func sysMsync(t *Task, addr Addr, size uint64, flags int32) error {
	err := t.mm.Sync(t.th, uint64(addr), size, int(flags))
	if err == nil && flags&unix.MS_SYNC != 0 {
		err = t.mm.SyncFiles(t, uint64(addr), size)
	}
	return err
}

func sysMincore(t *Task, addr Addr, size uint64, vec Addr) error {
	if addr%mm.PageSize != 0 {
		return unix.EINVAL
	}
	if !t.mm.Covered(uint64(addr), size) {
		return unix.ENOMEM
	}
	pages := (size + mm.PageSize - 1) / mm.PageSize
	buf := make([]byte, min(pages, 4*mm.PageSize))
	for n := uint64(0); n < pages; n += uint64(len(buf)) {
		part := buf[:min(pages-n, uint64(len(buf)))]
		if err := t.th.Mincore(uint64(addr)+n*mm.PageSize, part); err != nil {
			return err
		}
		if err := t.CopyOut(uint64(vec)+n, part); err != nil {
			return err
		}
	}
	return nil
}

func sysMlock(t *Task, addr Addr, size uint64) error {
	return t.space().Lock(t, t.th, uint64(addr), size, true)
}

func sysMlock2(t *Task, addr Addr, size uint64, flags int32) error {
	if flags&^unix.MLOCK_ONFAULT != 0 {
		return unix.EINVAL
	}
	return sysMlock(t, addr, size)
}

func sysMunlock(t *Task, addr Addr, size uint64) error {
	return t.space().Lock(t, t.th, uint64(addr), size, false)
}

func sysMlockall(t *Task, flags int32) error {
	if flags == 0 || flags&^(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT) != 0 || flags == unix.MCL_ONFAULT {
		return unix.EINVAL
	}
	return t.space().LockAll(flags&unix.MCL_CURRENT != 0, flags&unix.MCL_FUTURE != 0)
}

func sysMunlockall(t *Task) error { return t.space().LockAll(false, false) }
