package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// The calls with ids of 16 bits, which i386 began with. An id that needs more
// is told as 65534; 65535 leaves an id as it is.

func init() {
	wide := abi.FromID16
	addFamily386(calls{
		"getuid":  r0(func(t *Task) (uint16, error) { return abi.ID16(t.cred.UID), nil }),
		"geteuid": r0(func(t *Task) (uint16, error) { return abi.ID16(t.cred.EUID), nil }),
		"getgid":  r0(func(t *Task) (uint16, error) { return abi.ID16(t.cred.GID), nil }),
		"getegid": r0(func(t *Task) (uint16, error) { return abi.ID16(t.cred.EGID), nil }),

		"setuid":    e1(func(t *Task, id uint16) error { return sysSetuid(t, wide(id)) }),
		"setgid":    e1(func(t *Task, id uint16) error { return sysSetgid(t, wide(id)) }),
		"setreuid":  e2(func(t *Task, r, e uint16) error { return sysSetreuid(t, wide(r), wide(e)) }),
		"setregid":  e2(func(t *Task, r, e uint16) error { return sysSetregid(t, wide(r), wide(e)) }),
		"setresuid": e3(func(t *Task, r, e, s uint16) error { return sysSetresuid(t, wide(r), wide(e), wide(s)) }),
		"setresgid": e3(func(t *Task, r, e, s uint16) error { return sysSetresgid(t, wide(r), wide(e), wide(s)) }),
		"setfsuid":  r1(func(t *Task, id uint16) (uint32, error) { return sysSetfsuid(t, wide(id)) }),
		"setfsgid":  r1(func(t *Task, id uint16) (uint32, error) { return sysSetfsgid(t, wide(id)) }),
		"getresuid": e3(func(t *Task, r, e, s Ptr[uint16]) error {
			c := t.cred
			return put16(t, [3]Ptr[uint16]{r, e, s}, [3]uint32{c.UID, c.EUID, c.SUID})
		}),
		"getresgid": e3(func(t *Task, r, e, s Ptr[uint16]) error {
			c := t.cred
			return put16(t, [3]Ptr[uint16]{r, e, s}, [3]uint32{c.GID, c.EGID, c.SGID})
		}),
		"getgroups": r2(sysGetgroups16),
		"setgroups": e2(sysSetgroups16),

		"chown": e3(func(t *Task, name Str, uid, gid uint16) error {
			return sysFchownat(t, unix.AT_FDCWD, name, wide(uid), wide(gid), 0)
		}),
		"lchown": e3(func(t *Task, name Str, uid, gid uint16) error {
			return sysFchownat(t, unix.AT_FDCWD, name, wide(uid), wide(gid), unix.AT_SYMLINK_NOFOLLOW)
		}),
		"fchown": e3(func(t *Task, fd FD, uid, gid uint16) error {
			return t.withFile(fd, func(f *vfs.File) error { return f.Chown(t, wide(uid), wide(gid)) })
		}),
	})
}

func put16(t *Task, to [3]Ptr[uint16], ids [3]uint32) error {
	for i, id := range ids {
		v := abi.ID16(id)
		if err := to[i].Out(t, &v); err != nil {
			return err
		}
	}
	return nil
}

func sysGetgroups16(t *Task, n int32, p Ptr[uint16]) (int, error) {
	g := t.cred.fs.Groups
	if n < 0 || n != 0 && int(n) < len(g) {
		return 0, unix.EINVAL
	}
	if n != 0 {
		v := make([]uint16, len(g))
		for i := range g {
			v[i] = abi.ID16(g[i])
		}
		if err := t.CopyOut(uint64(p), sliceBytes(v)); err != nil {
			return 0, err
		}
	}
	return len(g), nil
}

func sysSetgroups16(t *Task, n int32, p Ptr[uint16]) error {
	if err := t.maySetGroups(n); err != nil {
		return err
	}
	v, err := p.Slice(t, int(n))
	if err != nil {
		return err
	}
	g := make([]uint32, len(v))
	for i := range v {
		g[i] = abi.FromID16(v[i])
	}
	return t.setGroups(g)
}
