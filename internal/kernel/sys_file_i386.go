package kernel

import (
	"math"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Files on i386: offsets of 32 bits, or of 64 in two registers; three
// generations of stat.

func init() {
	pread, pwrite := r4(sysPread), r4(sysPwrite)
	addFamily386(calls{
		"oldstat":   e2(sysStat[abi.OldStat32]),
		"oldlstat":  e2(sysLstat[abi.OldStat32]),
		"oldfstat":  e2(sysFstat[abi.OldStat32]),
		"stat":      e2(sysStat[abi.Stat32]),
		"lstat":     e2(sysLstat[abi.Stat32]),
		"fstat":     e2(sysFstat[abi.Stat32]),
		"stat64":    e2(sysStat[abi.Stat64x32]),
		"lstat64":   e2(sysLstat[abi.Stat64x32]),
		"fstat64":   e2(sysFstat[abi.Stat64x32]),
		"fstatat64": e4(sysNewfstatat[abi.Stat64x32]),
		"statfs":    e2(sysStatfs[abi.Statfs32]),
		"fstatfs":   e2(sysFstatfs[abi.Statfs32]),
		"statfs64":  e3(sysStatfs64),
		"fstatfs64": e3(sysFstatfs64),
		"ustat":     e2(sysUstat[abi.Ustat32]),

		"utime":            e2(sysUtime[abi.Utimbuf32]),
		"utimes":           e2(sysUtimes[abi.Timeval32]),
		"futimesat":        e3(sysFutimesat[abi.Timeval32]),
		"utimensat":        e4(sysUtimensat[timespec32]),
		"utimensat_time64": e4(sysUtimensat[timespec64]),

		"open": r3(func(t *Task, name Str, flags int32, mode uint32) (int, error) {
			return sysOpenat32(t, unix.AT_FDCWD, name, flags, mode)
		}),
		"openat": r4(sysOpenat32),
		"umount": e1(func(t *Task, name Str) error { return sysUmount2(t, name, 0) }),

		"fcntl":   r3(sysFcntl64),
		"fcntl64": r3(sysFcntl64),

		"lseek":           long(1, r3(sysLseek)),
		"_llseek":         e5(sysLlseek),
		"truncate":        long(1, e2(sysTruncate)),
		"ftruncate":       long(1, e2(sysFtruncate)),
		"truncate64":      pair(1, e2(sysTruncate)),
		"ftruncate64":     pair(1, e2(sysFtruncate)),
		"pread64":         pair(3, pread),
		"pwrite64":        pair(3, pwrite),
		"readv":           r3(sysReadv[abi.Iovec32]),
		"writev":          r3(sysWritev[abi.Iovec32]),
		"preadv":          pair(3, r4(sysPreadv[abi.Iovec32])),
		"pwritev":         pair(3, r4(sysPwritev[abi.Iovec32])),
		"preadv2":         pair(3, r5(sysPreadv2x32)),
		"pwritev2":        pair(3, r5(sysPwritev2x32)),
		"vmsplice":        r4(sysVmsplice[abi.Iovec32]),
		"readahead":       pair(1, e3(sysReadahead)),
		"fadvise64":       pair(1, e4(sysFadvise)),
		"fadvise64_64":    pair(1, pair(2, e4(sysFadvise))),
		"sync_file_range": pair(1, pair(2, e4(sysSyncFileRange))),
		"fallocate":       pair(2, pair(3, e4(sysFallocate))),
		"sendfile":        r4(sysSendfile[int32]),
		"sendfile64":      r4(sysSendfile[int64]),

		"getdents": r3(sysGetdents32),
		"readdir":  r2(sysReaddir),
	})
}

// sysStatfs64 and its kin are told how large their struct is.
func sysStatfs64(t *Task, name Str, size uint32, out Ptr[abi.Statfs64x32]) error {
	if size != 84 {
		return unix.EINVAL
	}
	return sysStatfs(t, name, out)
}

func sysFstatfs64(t *Task, fd FD, size uint32, out Ptr[abi.Statfs64x32]) error {
	if size != 84 {
		return unix.EINVAL
	}
	return sysFstatfs(t, fd, out)
}

// sysOpenat32: without O_LARGEFILE, files that are too large for a 32-bit
// offset cannot be opened.
func sysOpenat32(t *Task, dir FD, name Str, flags int32, mode uint32) (int, error) {
	f := int(flags) & knownOpen
	if f&oLargefile == 0 {
		f |= vfs.OSmallFile
	}
	return t.open(dir, name, f, mode, 0)
}

// sysFcntl64 has the locks of either size, by numbers of their own. Beside a
// 64-bit kernel fcntl has them too.
func sysFcntl64(t *Task, fd FD, cmd int32, arg uint64) (uint64, error) {
	switch cmd {
	case unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW:
		return 0, fcntlLock(t, fd, cmd, Ptr[abi.Flock32](arg))
	case abi.F_GETLK64x32, abi.F_SETLK64x32, abi.F_SETLKW64x32:
		return 0, fcntlLock(t, fd, cmd-abi.F_GETLK64x32+unix.F_GETLK, Ptr[abi.Flock64x32](arg))
	case unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		return 0, fcntlLock(t, fd, cmd, Ptr[abi.Flock64x32](arg))
	}
	return sysFcntl(t, fd, cmd, arg)
}

func fcntlLock[L flocks](t *Task, fd FD, cmd int32, p Ptr[L]) error {
	return t.withFile(fd, func(f *vfs.File) error { return recordLock(t, f, cmd, p) })
}

// sysLlseek tells the new offset, which needs more than a register, in memory.
func sysLlseek(t *Task, fd FD, high, low uint32, result Ptr[int64], whence int32) error {
	n, err := sysLseek(t, fd, int64(uint64(high)<<32|uint64(low)), whence)
	if err != nil {
		return err
	}
	return result.Out(t, &n)
}

// The calls of x86-64 have the upper half of the offset once more, unused.
func sysPreadv2x32(t *Task, fd FD, vec Ptr[abi.Iovec32], n uint64, off int64, flags uint32) (uint64, error) {
	return sysPreadv2(t, fd, vec, n, off, 0, flags)
}

func sysPwritev2x32(t *Task, fd FD, vec Ptr[abi.Iovec32], n uint64, off int64, flags uint32) (uint64, error) {
	return sysPwritev2(t, fd, vec, n, off, 0, flags)
}

// sysGetdents32 ends before an entry whose inode's number does not fit, and
// with EOVERFLOW if that is the first.
func sysGetdents32(t *Task, fd FD, buf Addr, size uint32) (uint64, error) {
	large := false
	n, err := t.listDir(fd, buf, uint64(size), func(e vfs.DirEntry, room int) []byte {
		if e.Ino > math.MaxUint32 {
			large = true
			return nil
		}
		if abi.DirentLen(abi.I386, len(e.Name)) > room {
			return nil
		}
		return abi.AppendDirent(nil, abi.I386, e.Ino, int64(e.Next), e.Type, e.Name)
	})
	if large && err == unix.EINVAL {
		err = unix.EOVERFLOW
	}
	return n, err
}

// sysReaddir reads one entry: its result is 1, or 0 at the end.
func sysReaddir(t *Task, fd FD, buf Addr) (int, error) {
	large, done := false, false
	n, err := t.listDir(fd, buf, chunk, func(e vfs.DirEntry, room int) []byte {
		if done {
			return nil
		}
		if e.Ino > math.MaxUint32 {
			large = true
			return nil
		}
		h := abi.OldDirent32{Ino: uint32(e.Ino), Offset: uint32(e.Next), Namelen: uint16(len(e.Name))}
		b := append(append(append([]byte(nil), asBytes(&h)[:10]...), e.Name...), 0)
		if len(b) > room {
			return nil
		}
		done = true
		return b
	})
	switch {
	case large && !done:
		return 0, unix.EOVERFLOW
	case err != nil || n == 0:
		return 0, err
	}
	return 1, nil
}
