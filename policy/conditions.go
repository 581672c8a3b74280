package policy

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// addrPattern is an addr= condition.
type addrPattern struct {
	family int // -1: any of IP
	prefix netip.Prefix
	low    uint16
	high   uint16 // 0: any port
	unix   *glob  // of a socket in the file system
	name   string // pattern of an abstract one
	isName bool
	none   bool
}

var families = map[string]int{"inet": unix.AF_INET, "inet6": unix.AF_INET6, "unix": unix.AF_UNIX, "netlink": unix.AF_NETLINK, "packet": unix.AF_PACKET, "vsock": unix.AF_VSOCK}

func parseAddr(s string) (a addrPattern, err error) {
	bad := func(what string) (addrPattern, error) {
		return a, fmt.Errorf("%q is not an address: %s", s, what)
	}
	if s == "none" {
		return addrPattern{none: true}, nil
	}
	if f, ok := families[s]; ok {
		return addrPattern{family: f}, nil
	}
	if name, ok := strings.CutPrefix(s, "unix:"); ok {
		if pattern, ok := strings.CutPrefix(name, "@"); ok {
			if _, err := path.Match(pattern, ""); err != nil {
				return bad("the name is not a pattern")
			}
			return addrPattern{family: unix.AF_UNIX, name: pattern, isName: true}, nil
		}
		g, err := parseGlob(name)
		return addrPattern{family: unix.AF_UNIX, unix: &g}, err
	}
	host, port := s, ""
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if host, port, ok = strings.Cut(rest, "]"); !ok || port != "" && port[0] != ':' {
			return bad("] is missing")
		}
		port = strings.TrimPrefix(port, ":")
	} else if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
	}
	a.family = -1
	if port != "" && port != "*" {
		low, high, isRange := strings.Cut(port, "-")
		if !isRange {
			high = low
		}
		l, err1 := strconv.ParseUint(low, 10, 16)
		h, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || h < l || h == 0 {
			return bad("no such port")
		}
		a.low, a.high = uint16(l), uint16(h)
	}
	if host == "*" {
		return a, nil
	}
	if !strings.Contains(host, "/") {
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" {
			return bad("it is neither IP nor a family")
		}
		ip = ip.Unmap()
		a.prefix = netip.PrefixFrom(ip, ip.BitLen())
		return a, nil
	}
	if a.prefix, err = netip.ParsePrefix(host); err != nil {
		return bad("no such prefix")
	}
	if ip := a.prefix.Addr(); ip.Is4In6() {
		return bad("write it as IPv4")
	}
	a.prefix = a.prefix.Masked()
	return a, nil
}

// match reports whether the pattern is of the address. A program that connects to no host in particular gets to its own;
// bind, where that means any, is not meant by this.
func (p *addrPattern) match(a *sysemu.SockAddr, binds bool) bool {
	switch {
	case p.none || p.unix != nil:
		return false
	case p.isName:
		if a.Family != unix.AF_UNIX || len(a.Raw) < 2 {
			return false
		}
		ok, _ := path.Match(strings.ReplaceAll(p.name, "/", "\x00"), strings.ReplaceAll(strings.TrimRight(a.Abstract, "\x00"), "/", "\x00"))
		return ok
	case p.family >= 0 && !p.prefix.IsValid():
		return a.Family == p.family || a.Family == unix.AF_UNSPEC && p.family == unix.AF_INET && a.AddrPort.IsValid()
	}
	if !a.AddrPort.IsValid() {
		return false
	}
	ip, port := a.AddrPort.Addr(), a.AddrPort.Port()
	if ip.IsUnspecified() && !binds {
		if ip.Is4() {
			ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		} else {
			ip = netip.IPv6Loopback()
		}
	}
	return (p.high == 0 || p.low <= port && port <= p.high) && (!p.prefix.IsValid() || p.prefix.Contains(ip))
}

// argCondition is an arg. condition: on the argument of that name of every call.
type argCondition struct {
	name string
	mask uint64
	op   string
	num  uint64
	text string // not "": a name of the argument's kind
	on   string // not "": the mask is a name
}

var operators = []string{"!=", "<=", ">=", "=", "<", ">"} // those of two characters first

func parseArg(s string) (c argCondition, err error) {
	at := strings.IndexAny(s, "!<>=")
	if at <= 0 {
		return c, fmt.Errorf("%q compares nothing: a condition on an argument is arg.NAME=NUMBER", s)
	}
	c.name = s[:at]
	for _, op := range operators {
		if v, ok := strings.CutPrefix(s[at:], op); ok {
			c.op, c.text = op, v
			break
		}
	}
	if c.op == "" || c.text == "" {
		return c, fmt.Errorf("%q compares with nothing", s)
	}
	c.mask = ^uint64(0)
	if name, mask, ok := strings.Cut(c.name, "&"); ok {
		c.name, c.on = name, mask
		if n, err := strconv.ParseUint(mask, 0, 64); err == nil {
			c.mask, c.on = n, ""
		}
	}
	if n, err := strconv.ParseUint(c.text, 0, 64); err == nil {
		c.num, c.text = n, ""
	} else if n, err := strconv.ParseInt(c.text, 0, 64); err == nil {
		c.num, c.text = uint64(n), ""
	}
	return c, nil
}

// symbol is the number that a name stands for among those of a kind; several are joined by |.
func symbol(k abi.Kind, name string) (v uint64, ok bool) {
	n := k.Names()
	if n == nil {
		return 0, false
	}
	for _, s := range strings.Split(name, "|") {
		found := false
		for _, list := range [][]abi.Name{n.Enum, n.Flags} {
			for _, e := range list {
				if e.Name == s && !found {
					v, found = v|e.Value, true
				}
			}
		}
		if !found {
			return 0, false
		}
	}
	return v, true
}

// resolve finds the argument in a call's list and what the names in the condition mean for it.
func (c *argCondition) resolve(args []abi.Arg) (index int, mask, num uint64, err error) {
	i := slices.IndexFunc(args, func(a abi.Arg) bool { return a.Name == c.name })
	if i < 0 {
		return 0, 0, 0, fmt.Errorf("there is no argument %q", c.name)
	}
	mask, num = c.mask, c.num
	ok := true
	if c.on != "" {
		if mask, ok = symbol(args[i].Kind, c.on); !ok {
			return 0, 0, 0, fmt.Errorf("%q is not a number", c.on)
		}
	}
	if c.text != "" {
		if num, ok = symbol(args[i].Kind, c.text); !ok {
			return 0, 0, 0, fmt.Errorf("%q is not a number", c.text)
		}
	}
	return i, mask, num, nil
}

// holds compares. Both are as wide as the argument: v was sign-extended from that if its kind is signed.
func (c *argCondition) holds(v int64, mask, num uint64) bool {
	if mask != ^uint64(0) {
		return compare(c.op, uint64(v)&mask, num)
	}
	if v < 0 || int64(num) < 0 {
		// The same bits are the same number, however one came to them.
		switch c.op {
		case "=":
			return uint64(v) == num || uint64(v) <= 1<<32-1 && uint64(v) == num&(1<<32-1) && int64(num) < 0 && int64(num) >= -1<<31
		case "!=":
			return !(&argCondition{op: "="}).holds(v, mask, num)
		}
		return compare(c.op, v, int64(num))
	}
	return compare(c.op, uint64(v), num)
}

func compare[T int64 | uint64](op string, a, b T) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}
