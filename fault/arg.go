package fault

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// argTest is an Arg made ready.
type argTest struct {
	Arg
	index   int   // of arg1 to arg6, else -1
	number  int64 // the value, if it is one
	number_ bool
	kinds   map[abi.Kind][]bit // what names mean in arguments of a kind
	glob    *glob
}

// bit is a part of a value that & asks for.
type bit struct{ mask, value uint64 }

var argOps = []string{"!=", "<=", ">=", "=", "<", ">", "&"} // a longer one before its beginning

// newArgTest answers why a condition is none, and where in its value.
func newArgTest(a Arg, c *compiled) (t argTest, reason string, offset int) {
	t = argTest{Arg: a, index: -1}
	if n, ok := strings.CutPrefix(a.Name, "arg"); ok && len(n) == 1 && n[0] >= '1' && n[0] <= '6' {
		t.index = int(n[0] - '1')
	} else if !c.names[a.Name] {
		return t, fmt.Sprintf("none of the calls has an argument %q", a.Name), -1
	}
	known := false
	for _, op := range argOps {
		known = known || op == a.Op
	}
	if !known {
		return t, fmt.Sprintf("no such comparison: %q", a.Op), -1
	}
	if a.Value == "" {
		return t, "a value is missing", 0
	}
	ordered := strings.ContainsAny(a.Op, "<>")
	if n, err := parseNumber(a.Value); err == nil {
		t.number, t.number_ = n, true
		return t, "", 0
	} else if ordered {
		return t, fmt.Sprintf("%q is not a number", a.Value), 0
	}
	t.kinds = map[abi.Kind][]bit{}
	text := false
	for i := range abi.Calls {
		d := &abi.Calls[i]
		for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
			n := d.Number(arch)
			if n < 0 || !c.calls.Has(arch, n) {
				continue
			}
			for j, arg := range d.ArgsOn(arch) {
				if !t.is(j, arg) {
					continue
				}
				k := arg.Kind.Base()
				if k == abi.Path || k == abi.String {
					text = true
				} else if bits, bad := namedBits(k, a.Value); bad < 0 {
					t.kinds[k] = bits
				} else {
					offset = max(offset, bad)
				}
			}
		}
	}
	switch {
	case text && a.Op == "&":
		return t, "a text has no bits", -1
	case text:
		t.glob = newGlob(a.Value)
	case len(t.kinds) == 0:
		return t, fmt.Sprintf("argument %s of these calls has no value %q", a.Name, strings.SplitN(a.Value[offset:], "|", 2)[0]), offset
	}
	return t, "", 0
}

// is reports whether argument j of a call is the one that is asked about.
func (t *argTest) is(j int, arg abi.Arg) bool {
	k := arg.Kind.Base()
	return j == t.index || t.index < 0 && (arg.Name == t.Name || t.Name == "fd" && (k == abi.FD || k == abi.DirFD))
}

// parseNumber reads a number, or a size such as 4K.
func parseNumber(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return int64(n), nil
	}
	return parseSize(s)
}

// parseSize reads a number of bytes; K, M and G are powers of 1024.
func parseSize(s string) (int64, error) {
	digits, shift := s, 0
	if n := len(s); n > 1 {
		if i := strings.IndexByte("KMGT", s[n-1]&^0x20); i >= 0 {
			digits, shift = s[:n-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 0, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a number of bytes", s)
	}
	return n << shift, nil
}

// namedBits looks names up in what a kind of argument has; bad is where one is that it has not, or -1.
func namedBits(k abi.Kind, value string) (bits []bit, bad int) {
	at := 0
	for _, s := range strings.Split(value, "|") {
		b, ok := namedBit(k, s)
		if !ok {
			return nil, at
		}
		bits = append(bits, b)
		at += len(s) + 1
	}
	return bits, -1
}

func namedBit(k abi.Kind, s string) (bit, bool) {
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return bit{n, n}, true
	}
	switch {
	case k == abi.Signal:
		if n, ok := signalNumber(s); ok {
			return bit{^uint64(0), uint64(n)}, true
		}
	case (k == abi.DirFD || k == abi.FD) && s == "AT_FDCWD":
		cwd := int64(unix.AT_FDCWD)
		return bit{^uint64(0), uint64(cwd)}, true
	}
	n := k.Names()
	if n == nil {
		return bit{}, false
	}
	for _, f := range n.Flags {
		if f.Name == s {
			return bit{f.Value, f.Value}, true
		}
	}
	for _, e := range n.Enum {
		if e.Name == s {
			mask := n.Mask
			if mask == 0 {
				mask = ^uint64(0)
			}
			return bit{mask, e.Value}, true
		}
	}
	return bit{}, false
}

// holds reports whether the condition holds for a call.
func (t *argTest) holds(c *sysemu.Call) bool {
	for _, a := range c.Args() {
		if t.is(a.Index, abi.Arg{Name: a.Name, Kind: a.Kind}) && t.holdsFor(c, a) {
			return true
		}
	}
	return false
}

func (t *argTest) holdsFor(c *sysemu.Call, a sysemu.Arg) bool {
	k := a.Kind.Base()
	if t.glob != nil && (k == abi.Path || k == abi.String) {
		s, err := c.Path(a.Index)
		return err == nil && t.glob.match(s) == (t.Op == "=")
	}
	v := c.Int(a.Index)
	if t.number_ {
		switch t.Op {
		case "=":
			return v == t.number
		case "!=":
			return v != t.number
		case "<":
			return v < t.number
		case "<=":
			return v <= t.number
		case ">":
			return v > t.number
		case ">=":
			return v >= t.number
		}
		return v&t.number == t.number
	}
	bits, ok := t.kinds[k]
	if !ok {
		return false
	}
	if t.Op == "&" {
		for _, b := range bits {
			if uint64(v)&b.mask != b.value {
				return false
			}
		}
		return true
	}
	var want uint64
	for _, b := range bits {
		want |= b.value
	}
	same := uint64(v) == want
	if names := k.Names(); names != nil && !names.Wide {
		same = uint32(v) == uint32(want)
	}
	return same == (t.Op == "=")
}

// signalNumber is the number of a signal: SIGKILL, KILL, SIGRTMIN, SIGRT_3 or 9.
func signalNumber(s string) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, n >= 1 && n <= abi.NSIG
	}
	name := strings.ToUpper(s)
	for n := 1; n <= abi.NSIG; n++ {
		if full := abi.SignalName(n); full != "" && (name == full || name == strings.TrimPrefix(full, "SIG")) {
			return n, true
		}
	}
	return 0, false
}

// ErrnoNamed is the error of a name such as ENOSPC, in whatever case, or of a number from 1 to 4095.
func ErrnoNamed(name string) (unix.Errno, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		return unix.Errno(n), n >= 1 && n <= 4095
	}
	return errnoOf(name)
}
