package hostfs

import (
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The host's calls, without the copies that package unix makes of names. Each
// takes one name in a directory, or none for the descriptor itself.

// nameBuf holds a name as the host wants it.
type nameBuf [unix.NAME_MAX + 2]byte

// set checks that s is a single name and returns it NUL-terminated, valid
// until the next set. This is where confinement rests.
func (b *nameBuf) set(s string) (unsafe.Pointer, error) {
	if len(s) > unix.NAME_MAX {
		return nil, unix.ENAMETOOLONG
	}
	if s == "" || s == "." || s == ".." {
		return nil, unix.ENOENT
	}
	if strings.IndexByte(s, '/') >= 0 || strings.IndexByte(s, 0) >= 0 {
		return nil, unix.EINVAL
	}
	b[copy(b[:], s)] = 0
	return unsafe.Pointer(b), nil
}

var empty [1]byte

const (
	statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	oBase    = unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	oNode    = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// errno turns a call's result into an error. A host that has no descriptor
// left is ENFILE to a guest: its own table has room.
func errno(e unix.Errno) error {
	switch e {
	case 0:
		return nil
	case unix.EMFILE:
		return unix.ENFILE
	}
	return e
}

// statAt looks at a name in directory dirfd.
func (fs *FS) statAt(dirfd int, name string, st *unix.Statx_t) error {
	p, err := fs.name.set(name)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(dirfd), uintptr(p), unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, statMask, uintptr(unsafe.Pointer(st)), 0)
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

// statFD looks at what fd is a descriptor of.
func (fs *FS) statFD(fd int, st *unix.Statx_t) error {
	for {
		_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&empty)), unix.AT_EMPTY_PATH, statMask, uintptr(unsafe.Pointer(st)), 0)
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

// openAt opens a name in directory dirfd. flags must have O_NOFOLLOW. When
// descriptors run out it gives up those that are not in use and tries again.
func (fs *FS) openAt(dirfd int, name string, flags int, mode uint32) (int, error) {
	p, err := fs.name.set(name)
	if err != nil {
		return -1, err
	}
	for tries := 0; ; {
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(dirfd), uintptr(p), uintptr(flags), uintptr(mode), 0, 0)
		switch {
		case e == 0:
			return int(fd), nil
		case e == unix.EINTR:
		case e == unix.EMFILE && tries == 0:
			fs.cache.trim(0)
			tries++
		default:
			return -1, errno(e)
		}
	}
}

// dot opens directory dirfd itself: for reading it, and for O_TMPFILE.
func (fs *FS) dot(dirfd int, flags int, mode uint32) (int, error) {
	for tries := 0; ; {
		fd, err := unix.Openat(dirfd, ".", flags, mode)
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EINTR:
		case err == unix.EMFILE && tries == 0:
			fs.cache.trim(0)
			tries++
		default:
			return -1, errno(err.(unix.Errno))
		}
	}
}

// at runs a call of the form nr(dirfd, name, a, b, c).
func (fs *FS) at(nr uintptr, dirfd int, name string, a, b, c uintptr) error {
	p, err := fs.name.set(name)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall6(nr, uintptr(dirfd), uintptr(p), a, b, c, 0)
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

// at2 runs a call of the form nr(dirfd, name, dirfd2, name2, flags).
func (fs *FS) at2(nr uintptr, dirfd int, name string, dirfd2 int, name2 string, flags uintptr) error {
	p, err := fs.name.set(name)
	if err != nil {
		return err
	}
	q, err := fs.name2.set(name2)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall6(nr, uintptr(dirfd), uintptr(p), uintptr(dirfd2), uintptr(q), flags, 0)
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

// readlink reads the link that fd, opened with O_PATH, is a descriptor of.
func (fs *FS) readlinkFD(fd int) (string, error) {
	n, err := unix.Readlinkat(fd, "", fs.text[:])
	if err != nil {
		return "", err
	}
	return string(fs.text[:n]), nil
}

// readlinkAt reads a link in directory dirfd.
func (fs *FS) readlinkAt(dirfd int, name string) (string, error) {
	p, err := fs.name.set(name)
	if err != nil {
		return "", err
	}
	n, _, e := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dirfd), uintptr(p), uintptr(unsafe.Pointer(&fs.text)), uintptr(len(fs.text)), 0, 0)
	if e != 0 {
		return "", errno(e)
	}
	return string(fs.text[:n]), nil
}

// procPath names what fd is a descriptor of, for calls that do not take an
// O_PATH descriptor. It is a magic link: it leads to the very file.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

const sysFchmodat2 = 452

// chmod changes the mode of what fd, of any kind, is a descriptor of.
func chmod(fd int, mode uint32) error {
	if err := unix.Fchmod(fd, mode); err != unix.EBADF {
		return err
	}
	_, _, e := unix.Syscall6(sysFchmodat2, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(mode), unix.AT_EMPTY_PATH, 0, 0)
	if e != unix.ENOSYS {
		return errno(e)
	}
	return unix.Chmod(procPath(fd), mode)
}

// utimens changes the times of what fd, of any kind, is a descriptor of.
func utimens(fd int, ts *[2]unix.Timespec) error {
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(unsafe.Pointer(ts)), unix.AT_EMPTY_PATH, 0, 0)
	if e != unix.EINVAL {
		return errno(e)
	}
	// A host before 5.8.
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), ts[:], 0)
}

// isHidden reports whether a file system of the host, by its magic number, is
// one that leads to the host's kernel rather than to files.
func isHidden(magic int64) bool {
	switch magic {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.PSTOREFS_MAGIC, unix.BPF_FS_MAGIC,
		unix.EFIVARFS_MAGIC, unix.BINFMTFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC, unix.NSFS_MAGIC,
		unix.RDTGROUP_SUPER_MAGIC, unix.XENFS_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
		configfsMagic, fusectlMagic, mqueueMagic:
		return true
	}
	return false
}

const (
	configfsMagic = 0x62656570
	fusectlMagic  = 0x65735543
	mqueueMagic   = 0x19800202
	cephMagic     = 0x00c36400
)

// isRemote reports whether reading from a file system may wait for somebody
// other than a disk, and cannot be asked whether it would.
func isRemote(magic int64) bool {
	switch magic {
	case unix.FUSE_SUPER_MAGIC, unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, cephMagic:
		return true
	}
	return false
}
