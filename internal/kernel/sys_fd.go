package kernel

import (
	"github.com/sysemu/sysemu/internal/pipe"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"open":    r3(sysOpen),
		"openat":  r4(sysOpenat),
		"openat2": r4(sysOpenat2),
		"creat": r2(func(t *Task, name Str, mode uint32) (int, error) {
			return sysOpen(t, name, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, mode)
		}),
		"close":       e1(func(t *Task, fd FD) error { return t.files.Close(t, int(fd)) }),
		"close_range": e3(sysCloseRange),
		"dup":         r1(func(t *Task, fd FD) (int, error) { return t.files.Dup(t, int(fd), 0, t.fileLimit(), false) }),
		"dup2":        r2(func(t *Task, fd, to FD) (int, error) { return t.files.Dup2(t, int(fd), int(to), t.fileLimit()) }),
		"dup3":        r3(sysDup3),
		"fcntl":       r3(sysFcntl),
		"flock": e2(func(t *Task, fd FD, how int32) error {
			return t.withFile(fd, func(f *vfs.File) error { return f.Flock(t, int(how)) })
		}),
	})
}

// knownOpen are the flags that open takes; it drops others, openat2 refuses
// them.
const knownOpen = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY | unix.O_TRUNC | unix.O_APPEND |
	unix.O_NONBLOCK | unix.O_DSYNC | unix.O_SYNC | unix.O_ASYNC | unix.O_DIRECT | unix.O_LARGEFILE | oLargefile |
	unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NOATIME | unix.O_CLOEXEC | unix.O_PATH | unix.O_TMPFILE

const oLargefile = vfs.OLargefile

const resolveCached = 0x20 // RESOLVE_CACHED

func (t *Task) open(dir FD, name Str, flags int, mode uint32, resolve uint64) (int, error) {
	s, err := name.In(t)
	if err != nil {
		return 0, err
	}
	from := s
	if resolve&(unix.RESOLVE_IN_ROOT|unix.RESOLVE_BENEATH) != 0 {
		from = "" // an absolute name too counts from the directory
	}
	at, err := t.at(dir, from)
	if err != nil {
		return 0, err
	}
	defer at.Dir.Unref()
	f, err := vfs.Open(t, at, s, flags&^unix.O_CLOEXEC, mode&0o7777, resolve)
	if err != nil {
		return 0, err
	}
	return t.installFile(f, flags&unix.O_CLOEXEC != 0)
}

func sysOpen(t *Task, name Str, flags int32, mode uint32) (int, error) {
	return sysOpenat(t, unix.AT_FDCWD, name, flags, mode)
}

func sysOpenat(t *Task, dir FD, name Str, flags int32, mode uint32) (int, error) {
	return t.open(dir, name, int(flags)&knownOpen, mode, 0)
}

func sysOpenat2(t *Task, dir FD, name Str, how Addr, size uint64) (int, error) {
	if size < 24 {
		return 0, unix.EINVAL
	}
	if size > 4096 {
		return 0, unix.E2BIG
	}
	raw := make([]byte, size)
	if err := t.CopyIn(uint64(how), raw); err != nil {
		return 0, err
	}
	var h unix.OpenHow
	n := copy(asBytes(&h), raw)
	for _, b := range raw[n:] {
		if b != 0 {
			return 0, unix.E2BIG
		}
	}
	const knownResolve = unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS |
		unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT | resolveCached
	switch {
	case h.Flags&^knownOpen != 0, h.Resolve&^knownResolve != 0,
		h.Resolve&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) == unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT,
		h.Mode&^0o7777 != 0, h.Mode != 0 && h.Flags&(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY) == 0:
		return 0, unix.EINVAL
	case h.Flags&unix.O_PATH != 0 && h.Flags&^(unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC) != 0:
		return 0, unix.EINVAL
	}
	return t.open(dir, name, int(h.Flags), uint32(h.Mode), h.Resolve)
}

func sysCloseRange(t *Task, first, last uint32, flags int32) error {
	if flags&^(unix.CLOSE_RANGE_CLOEXEC|unix.CLOSE_RANGE_UNSHARE) != 0 || first > last {
		return unix.EINVAL
	}
	if flags&unix.CLOSE_RANGE_UNSHARE != 0 && t.files.Shared() {
		f := t.files.Clone()
		t.files.Unref(t)
		t.files = f
	}
	return t.files.CloseRange(t, first, last, int(flags)&unix.CLOSE_RANGE_CLOEXEC)
}

func sysDup3(t *Task, fd, to FD, flags int32) (int, error) {
	if flags&^unix.O_CLOEXEC != 0 || fd == to {
		return 0, unix.EINVAL
	}
	return t.files.Dup3(t, int(fd), int(to), t.fileLimit(), flags != 0)
}

// setFlags changes the status flags of a description.
func (t *Task) setFlags(f *vfs.File, flags int) error {
	if s, ok := f.Impl.(vfs.FlagSetter); ok {
		if err := s.SetFlags(t, f, flags); err != nil {
			return err
		}
	}
	f.Flags = f.Flags&unix.O_ASYNC | flags&^unix.O_ASYNC
	return nil
}

func sysFcntl(t *Task, fd FD, cmd int32, arg uint64) (uint64, error) {
	f, err := t.files.GetPath(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	if f.IsPath() {
		switch cmd {
		case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL:
		default:
			return 0, unix.EBADF
		}
	}
	switch cmd {
	case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC:
		if arg >= uint64(t.fileLimit()) {
			return 0, unix.EINVAL
		}
		n, err := t.files.Dup(t, int(fd), int(arg), t.fileLimit(), cmd == unix.F_DUPFD_CLOEXEC)
		return uint64(n), err
	case unix.F_GETFD:
		on, err := t.files.Cloexec(int(fd))
		if on {
			return unix.FD_CLOEXEC, err
		}
		return 0, err
	case unix.F_SETFD:
		return 0, t.files.SetCloexec(int(fd), arg&unix.FD_CLOEXEC != 0)
	case unix.F_GETFL:
		return uint64(f.Flags), nil
	case unix.F_SETFL:
		const may = unix.O_APPEND | unix.O_NONBLOCK | unix.O_ASYNC | unix.O_DIRECT | unix.O_NOATIME
		if on := arg&unix.O_ASYNC != 0; on != (f.Flags&unix.O_ASYNC != 0) {
			t.setAsync(f, int(fd), on)
		}
		return 0, t.setFlags(f, f.Flags&^may|int(arg)&may)
	case unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		return 0, recordLock(t, f, cmd, Ptr[unix.Flock_t](arg))
	case unix.F_GETOWN:
		pid, kind := ownerID(f)
		if kind == ownerGroup {
			pid = -pid
		}
		return uint64(int64(pid)), nil
	case unix.F_SETOWN:
		return 0, t.setOwnerPID(f, int32(arg))
	case unix.F_GETOWN_EX:
		pid, kind := ownerID(f)
		return 0, Ptr[[2]int32](arg).Out(t, &[2]int32{kind, int32(pid)})
	case unix.F_SETOWN_EX:
		o, err := Ptr[[2]int32](arg).In(t)
		if err != nil {
			return 0, err
		}
		return 0, t.setOwner(f, o[0], o[1])
	case fGetownerUIDs:
		return 0, Ptr[[2]uint32](arg).Out(t, &[2]uint32{f.Owner.UID, f.Owner.EUID})
	case unix.F_GETSIG:
		return uint64(f.Owner.Signal), nil
	case unix.F_SETSIG:
		if arg > numSignals {
			return 0, unix.EINVAL
		}
		f.Owner.Signal = int(arg)
		return 0, nil
	case unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ:
		p := pipe.Of(f)
		if p == nil {
			return 0, unix.EBADF
		}
		if cmd == unix.F_GETPIPE_SZ {
			return uint64(p.Size()), nil
		}
		n, err := p.SetSize(t.Cred(), uint64(uint32(arg)))
		return uint64(n), err
	case unix.F_GET_SEALS, unix.F_ADD_SEALS:
		s, ok := f.Impl.(vfs.Sealer)
		if !ok {
			return 0, unix.EINVAL
		}
		if cmd == unix.F_ADD_SEALS {
			return 0, s.AddSeals(t, f, int(int32(arg)))
		}
		n, err := s.Seals()
		return uint64(n), err
	case unix.F_GETLEASE:
		return unix.F_UNLCK, nil
	case unix.F_SETLEASE:
		return 0, unix.EAGAIN
	case unix.F_NOTIFY:
		return 0, unix.EINVAL
	case unix.F_GET_RW_HINT, unix.F_GET_FILE_RW_HINT:
		return 0, Ptr[uint64](arg).Put(t, 0)
	case unix.F_SET_RW_HINT, unix.F_SET_FILE_RW_HINT:
		return 0, nil
	}
	return 0, unix.EINVAL
}

func recordLock[L flocks](t *Task, f *vfs.File, cmd int32, p Ptr[L]) error {
	l, err := load[unix.Flock_t](t, p)
	if err != nil {
		return err
	}
	switch cmd {
	case unix.F_GETLK, unix.F_OFD_GETLK:
		if err := t.files.GetLock(t, f, &l, cmd == unix.F_OFD_GETLK); err != nil {
			return err
		}
		return store(t, p, l)
	}
	return t.files.SetLock(t, f, &l, cmd == unix.F_OFD_SETLK || cmd == unix.F_OFD_SETLKW, cmd == unix.F_SETLKW || cmd == unix.F_OFD_SETLKW)
}
