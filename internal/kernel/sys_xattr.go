package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Extended attributes, xattr(7).

func init() {
	const cwd = FD(unix.AT_FDCWD)
	// Each call has a form for names, one for links themselves and one for
	// descriptors, which differ only in where the file is.
	where := []struct {
		prefix string
		find   func(t *Task, a uint64) (place, error)
	}{
		{"", func(t *Task, a uint64) (place, error) { return t.place(cwd, Str(a), vfs.Follow) }},
		{"l", func(t *Task, a uint64) (place, error) { return t.place(cwd, Str(a), 0) }},
		{"f", func(t *Task, a uint64) (place, error) { return t.placeOf(FD(a)) }},
	}
	family := calls{
		"setxattrat":    setxattrat,
		"getxattrat":    getxattrat,
		"listxattrat":   r5(sysListxattrat),
		"removexattrat": e4(sysRemovexattrat),
	}
	for _, w := range where {
		find := w.find
		family[w.prefix+"setxattr"] = e5(func(t *Task, file uint64, name Str, value Addr, size uint64, flags int32) error {
			return t.setxattr(name, value, size, flags, func() (place, error) { return find(t, file) })
		})
		family[w.prefix+"getxattr"] = r4(func(t *Task, file uint64, name Str, value Addr, size uint64) (int, error) {
			return t.getxattr(name, value, size, func() (place, error) { return find(t, file) })
		})
		family[w.prefix+"listxattr"] = r3(func(t *Task, file uint64, list Addr, size uint64) (int, error) {
			return t.listxattr(list, size, func() (place, error) { return find(t, file) })
		})
		family[w.prefix+"removexattr"] = e2(func(t *Task, file uint64, name Str) error {
			return t.removexattr(name, func() (place, error) { return find(t, file) })
		})
	}
	addFamily(family)
}

const (
	maxXattrName = 255
	maxXattrSize = 65536
)

// xattrName reads an attribute's name: ERANGE when it is empty or too long.
func (t *Task) xattrName(p Str) (string, error) {
	s, err := t.copyInString(uint64(p), maxXattrName+1)
	if err == unix.E2BIG || err == nil && s == "" {
		return "", unix.ERANGE
	}
	return s, err
}

func (t *Task) setxattr(name Str, value Addr, size uint64, flags int32, find func() (place, error)) error {
	if flags&^(unix.XATTR_CREATE|unix.XATTR_REPLACE) != 0 {
		return unix.EINVAL
	}
	attr, err := t.xattrName(name)
	if err != nil {
		return err
	}
	if size > maxXattrSize {
		return unix.E2BIG
	}
	v := make([]byte, size)
	if err := t.CopyIn(uint64(value), v); err != nil {
		return err
	}
	p, err := find()
	if err != nil {
		return err
	}
	defer p.done()
	return vfs.Setxattr(t, p.at, p.name, p.flags, attr, v, int(flags))
}

// result hands out a value as the calls that return one do: with no room
// asked for, only its length.
func (t *Task) xattrResult(v []byte, buf Addr, size uint64) (int, error) {
	if size == 0 {
		return len(v), nil
	}
	if uint64(len(v)) > size {
		return 0, unix.ERANGE
	}
	return len(v), t.CopyOut(uint64(buf), v)
}

func (t *Task) getxattr(name Str, value Addr, size uint64, find func() (place, error)) (int, error) {
	attr, err := t.xattrName(name)
	if err != nil {
		return 0, err
	}
	p, err := find()
	if err != nil {
		return 0, err
	}
	defer p.done()
	v, err := vfs.Getxattr(t, p.at, p.name, p.flags, attr)
	if err != nil {
		return 0, err
	}
	return t.xattrResult(v, value, size)
}

func (t *Task) listxattr(list Addr, size uint64, find func() (place, error)) (int, error) {
	p, err := find()
	if err != nil {
		return 0, err
	}
	defer p.done()
	names, err := vfs.Listxattr(t, p.at, p.name, p.flags)
	if err != nil {
		return 0, err
	}
	var all []byte
	for _, n := range names {
		all = append(append(all, n...), 0)
	}
	if len(all) > maxXattrSize {
		return 0, unix.E2BIG
	}
	return t.xattrResult(all, list, size)
}

func (t *Task) removexattr(name Str, find func() (place, error)) error {
	attr, err := t.xattrName(name)
	if err != nil {
		return err
	}
	p, err := find()
	if err != nil {
		return err
	}
	defer p.done()
	return vfs.Removexattr(t, p.at, p.name, p.flags, attr)
}

// The calls of Linux 6.13: a directory, a name and flags say which file, and
// the value is described by a struct that may grow.

func (t *Task) xattrPlace(dir FD, file Str, flags int32) (func() (place, error), error) {
	wf, err := walkFlags(flags, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	return func() (place, error) { return t.place(dir, file, wf) }, err
}

func (t *Task) xattrArgs(p uint64, size uint64) (a abi.XattrArgs, err error) {
	const v0 = 16
	if size < v0 {
		return a, unix.EINVAL
	}
	if size > 4096 {
		return a, unix.E2BIG
	}
	raw := make([]byte, size)
	if err := t.CopyIn(p, raw); err != nil {
		return a, err
	}
	for _, b := range raw[copy(asBytes(&a), raw):] {
		if b != 0 {
			return a, unix.E2BIG
		}
	}
	return a, nil
}

func setxattrat(t *Task, a *[6]uint64) (uint64, error) {
	args, err := t.xattrArgs(a[4], a[5])
	if err != nil {
		return 0, err
	}
	find, err := t.xattrPlace(FD(a[0]), Str(a[1]), int32(a[2]))
	if err != nil {
		return 0, err
	}
	return 0, t.setxattr(Str(a[3]), Addr(args.Value), uint64(args.Size), int32(args.Flags), find)
}

func getxattrat(t *Task, a *[6]uint64) (uint64, error) {
	args, err := t.xattrArgs(a[4], a[5])
	if err != nil {
		return 0, err
	}
	if args.Flags != 0 {
		return 0, unix.EINVAL
	}
	find, err := t.xattrPlace(FD(a[0]), Str(a[1]), int32(a[2]))
	if err != nil {
		return 0, err
	}
	n, err := t.getxattr(Str(a[3]), Addr(args.Value), uint64(args.Size), find)
	return uint64(n), err
}

func sysListxattrat(t *Task, dir FD, file Str, flags int32, list Addr, size uint64) (int, error) {
	find, err := t.xattrPlace(dir, file, flags)
	if err != nil {
		return 0, err
	}
	return t.listxattr(list, size, find)
}

func sysRemovexattrat(t *Task, dir FD, file Str, flags int32, name Str) error {
	find, err := t.xattrPlace(dir, file, flags)
	if err != nil {
		return err
	}
	return t.removexattr(name, find)
}
