package sysemu

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Arg is one argument of a call, as package abi's list of calls describes it.
type Arg struct {
	Name  string   // as in the man pages, or nearly so; "" when the call has no name
	Kind  abi.Kind // what it is
	Index int      // 0 to 5
	Raw   uint64   // as it was in its register

	call *Call
}

// Args are the call's arguments as they are just now. Those that the call does not look at are left out, and so is the
// upper half of an offset that i386 passes in two registers: the lower one's Value is the whole. A call that has no name
// has six, of which nothing is known.
func (c *Call) Args() []Arg {
	d := c.Desc()
	if d == nil {
		list := make([]Arg, len(c.c.Args))
		for i := range list {
			list[i] = Arg{Kind: abi.Hex, Index: i, Raw: c.c.Args[i], call: c}
		}
		return list
	}
	var list []Arg
	for i, a := range d.ArgsOn(c.Arch()) {
		if b := a.Kind.Base(); b != abi.Unused && b != abi.OffsetHi && i < len(c.c.Args) {
			list = append(list, Arg{a.Name, a.Kind, i, c.c.Args[i], c})
		}
	}
	return list
}

// ArgNamed is the argument of that name in package abi's list, false when the call has none of it.
func (c *Call) ArgNamed(name string) (Arg, bool) {
	if d := c.Desc(); d != nil {
		for i, a := range d.ArgsOn(c.Arch()) {
			if a.Name == name && i < len(c.c.Args) {
				return Arg{a.Name, a.Kind, i, c.c.Args[i], c}, true
			}
		}
	}
	return Arg{}, false
}

// Desc is what package abi's list says of the call; nil: its number has no name.
func (c *Call) Desc() *abi.Call { return abi.ByNumber(c.Arch(), c.Number()) }

// kind is what argument i is; abi.Hex when nothing is known of it.
func (c *Call) kind(i int) abi.Kind {
	if d := c.Desc(); d != nil {
		if l := d.ArgsOn(c.Arch()); uint(i) < uint(len(l)) {
			return l[i].Kind
		}
	}
	return abi.Hex
}

// raw is argument i; one that no call has is 0.
func (c *Call) raw(i int) uint64 {
	if uint(i) < uint(len(c.c.Args)) {
		return c.c.Args[i]
	}
	return 0
}

// Int is argument i as the number that the call takes it for: as wide as its kind is, with its sign. What a program leaves
// in the upper half of a register that holds an int is not in it. On i386, an offset that comes in two registers is whole at
// the first.
func (c *Call) Int(i int) int64 {
	v := c.raw(i)
	k := c.kind(i).Base()
	switch k {
	case abi.Int, abi.FD, abi.DirFD, abi.Pid, abi.Signal, abi.KeySerial, abi.IpcKey, abi.ClockID:
		return int64(int32(v))
	case abi.Long, abi.Offset:
		if c.Arch() == abi.I386 {
			return int64(int32(v))
		}
		return int64(v)
	case abi.Uint, abi.Uid, abi.Gid, abi.Ioprio, abi.Dev:
		return int64(uint32(v))
	case abi.Uid16, abi.Gid16, abi.Mode, abi.OpenMode, abi.FileMode:
		return int64(uint16(v))
	case abi.OffsetLo:
		return int64(v&(1<<32-1) | c.raw(i+1)<<32)
	case abi.PageOffset:
		return int64(v << 12)
	}
	if n := k.Names(); n != nil && !n.Wide {
		return int64(uint32(v))
	}
	return int64(v)
}

// FD is argument i as a file descriptor.
func (c *Call) FD(i int) int { return int(int32(c.raw(i))) }

const pathMax = 4096 // PATH_MAX, with the NUL

// Path is the string that argument i points to, up to its NUL. EFAULT: it cannot be read, which is also so of a null pointer.
// ENAMETOOLONG: it is longer than PATH_MAX.
//
// Another thread of the program may change the string afterwards. Who decides by it and then passes the call on should pass
// on what it has seen, by [Call.SetPath].
func (c *Call) Path(i int) (string, error) {
	s, err := c.cstring(c.raw(i), pathMax)
	if err == errTooLong {
		err = unix.ENAMETOOLONG
	}
	return s, err
}

// AbsPath is Path, made absolute by the working directory, or by the directory whose descriptor is the argument before it.
// That is done by letters alone: symbolic links are not followed, and ".." takes back the name before it. For an empty path
// it is what the descriptor leads to. EBADF: the descriptor leads nowhere.
func (c *Call) AbsPath(i int) (string, error) {
	name, err := c.Path(i)
	if err != nil {
		return "", err
	}
	if !path.IsAbs(name) {
		at := unix.AT_FDCWD
		if i > 0 && c.kind(i-1).Base() == abi.DirFD {
			at = c.FD(i - 1)
		}
		dir := c.FileName(at)
		if dir == "" {
			return "", unix.EBADF
		}
		if name == "" {
			return dir, nil
		}
		name = dir + "/" + name
	}
	return path.Clean(name), nil
}

var errTooLong = fmt.Errorf("the string is too long: %w", unix.E2BIG)

// cstring reads a string of fewer than limit bytes.
func (c *Call) cstring(addr uint64, limit int) (string, error) {
	const page = 4096
	var small [256]byte
	b := small[:0]
	for len(b) < limit {
		// Not over a page's border before the NUL may have come.
		from := len(b)
		n := min(page-int((addr+uint64(from))%page), limit-from, len(small))
		b = append(b, make([]byte, n)...)
		if err := c.ReadMem(addr+uint64(from), b[from:]); err != nil {
			return "", err
		}
		if j := bytes.IndexByte(b[from:], 0); j >= 0 {
			return string(b[:from+j]), nil
		}
	}
	return "", errTooLong
}

const (
	maxStrings     = 1 << 16 // of argv or envp
	maxStringBytes = 6 << 20 // of all of them: Linux takes no more
	maxOneString   = 128 << 10
)

// strings reads argv or envp.
func (c *Call) strings(addr uint64) ([]string, error) {
	size := c.Arch().WordSize()
	list := []string{}
	for total := 0; ; {
		var w [8]byte
		if err := c.ReadMem(addr, w[:size]); err != nil {
			return nil, err
		}
		p := word(w[:size])
		if p == 0 {
			return list, nil
		}
		s, err := c.cstring(p, maxOneString)
		if err != nil {
			return nil, err
		}
		if total += len(s); len(list) == maxStrings || total > maxStringBytes {
			return nil, errTooLong
		}
		list = append(list, s)
		addr += uint64(size)
	}
}

// word is a little-endian number.
func word(b []byte) (v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// String is the argument's value in short, as a trace would show it: names of flags, strings in quotes, descriptors and
// other numbers in decimal; what an argument leads to that the call is to write, as an address.
func (a Arg) String() string {
	if a.Kind.IsPointer() && a.Kind.Reads() {
		v, err := a.Value()
		switch v := v.(type) {
		case nil:
			if err == nil {
				return "NULL"
			}
		case string:
			return strconv.Quote(v)
		case []string:
			var q []string
			for _, s := range v {
				q = append(q, strconv.Quote(s))
			}
			return "[" + strings.Join(q, ", ") + "]"
		case *Buffer:
			return fmt.Sprintf("%#x", a.Raw)
		case unix.Sockaddr:
			return sockaddrString(v)
		default:
			return fmt.Sprintf("%+v", v)
		}
	}
	switch b := a.Kind.Base(); {
	case a.Kind.IsPointer(), b == abi.Addr, b == abi.Hex, b == abi.HexOffset, b == abi.SigHandler:
		return fmt.Sprintf("%#x", a.Raw)
	case a.Kind.IsNamed():
		if f, ok := a.flags(); ok {
			return f.String()
		}
	case b == abi.Mode, b == abi.OpenMode, b == abi.FileMode:
		return fmt.Sprintf("%#o", a.call.Int(a.Index))
	case b == abi.Signal:
		if s := abi.SignalName(int(a.call.Int(a.Index))); s != "" {
			return s
		}
	case b == abi.DirFD && a.call.FD(a.Index) == unix.AT_FDCWD:
		return "AT_FDCWD"
	}
	return strconv.FormatInt(a.call.Int(a.Index), 10)
}
