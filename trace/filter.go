package trace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
)

// FilterError says what is wrong with an expression of Options.Filter, and where.
type FilterError struct {
	Expr   string
	Offset int // in bytes, of what is wrong
	Reason string
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("filter %q, at %d: %s", e.Expr, e.Offset, e.Reason)
}

// filter says what is shown.
type filter struct {
	all     bool // every call, also those without a number of ours
	calls   [2][abi.MaxNumber + 1]bool
	signals signalSet
	status  status // 0: any
}

type signalSet struct{ none [abi.NSIG + 1]bool }

func (s *signalSet) has(n int) bool { return n < 0 || n > abi.NSIG || !s.none[n] }

// status is how calls end.
type status uint8

const (
	successful status = 1 << iota
	failed
	unfinished
	unavailable
	detached
)

// wants reports whether a call is to be looked at.
func (f *filter) wants(arch abi.Arch, nr int) bool {
	if f.all {
		return true
	}
	i := 0
	if arch == abi.I386 {
		i = 1
	}
	return uint(nr) <= abi.MaxNumber && f.calls[i][nr]
}

// shows reports whether a call that has ended is to be shown.
func (f *filter) shows(p *printer) bool {
	if f.status == 0 {
		return true
	}
	switch {
	case p.radix == '?':
		return f.status&unfinished != 0
	case p.errno != 0:
		return f.status&failed != 0
	}
	return f.status&successful != 0
}

// parseFilter reads expressions as strace -e takes them. A later one of a kind replaces an earlier one.
func parseFilter(exprs []string) (filter, error) {
	f := filter{all: true}
	for _, expr := range exprs {
		kind, set, ok := strings.Cut(expr, "=")
		at := len(kind) + 1
		if !ok {
			kind, set, at = "trace", expr, 0
		}
		var err error
		switch kind {
		case "trace", "t":
			err = f.parseTrace(expr, set, at)
		case "signal", "signals", "s":
			err = f.parseSignals(expr, set, at)
		case "status":
			err = f.parseStatus(expr, set, at)
		case "abbrev", "a", "verbose", "v", "raw", "x", "read", "reads", "r", "write", "writes", "w", "fault", "inject", "kvm", "quiet", "q", "silent", "decode-fds", "decode-fd":
			err = &FilterError{expr, 0, "-e " + kind + "= is strace's and not here"}
		default:
			err = &FilterError{expr, 0, fmt.Sprintf("no such kind of filter: %q (there are trace, signal and status)", kind)}
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// elements calls do for each element of a set, with its place; it reports whether the set is negated.
func elements(set string, at int, do func(s string, at int) error) (negated bool, err error) {
	if rest, ok := strings.CutPrefix(set, "!"); ok {
		negated, set, at = true, rest, at+1
	}
	for _, s := range strings.Split(set, ",") {
		if err := do(s, at); err != nil {
			return negated, err
		}
		at += len(s) + 1
	}
	return negated, nil
}

func (f *filter) parseTrace(expr, set string, at int) error {
	var chosen [2][abi.MaxNumber + 1]bool
	all := false
	choose := func(c *abi.Call, arch int) {
		if arch != 1 && c.AMD64 >= 0 {
			chosen[0][c.AMD64] = true
		}
		if arch != 0 && c.I386 >= 0 {
			chosen[1][c.I386] = true
		}
	}
	negated, err := elements(set, at, func(s string, at int) error {
		switch s {
		case "all":
			all = true
			return nil
		case "none":
			return nil
		case "":
			return &FilterError{expr, at, "a call's name is missing"}
		}
		name, optional := strings.CutPrefix(s, "?")
		arch := -1
		if n, bits, ok := strings.Cut(name, "@"); ok {
			switch name = n; bits {
			case "64":
				arch = 0
			case "32":
				arch = 1
			case "x32":
				return nil
			default:
				return &FilterError{expr, at + len(s) - len(bits), fmt.Sprintf("no such architecture: %q (there are 64 and 32)", bits)}
			}
		}
		found := false
		if pattern, ok := strings.CutPrefix(name, "/"); ok {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return &FilterError{expr, at, err.Error()}
			}
			for i := range abi.Calls {
				if re.MatchString(abi.Calls[i].Name) {
					choose(&abi.Calls[i], arch)
					found = true
				}
			}
			if !found && !optional {
				return &FilterError{expr, at, fmt.Sprintf("no call's name matches %q", pattern)}
			}
			return nil
		}
		if class := classOf(name); class != nil {
			for i := range abi.Calls {
				if class(&abi.Calls[i]) {
					choose(&abi.Calls[i], arch)
				}
			}
			return nil
		}
		if strings.HasPrefix(name, "%") && !optional {
			return &FilterError{expr, at, fmt.Sprintf("no such class of calls: %q", name)}
		}
		if c := abi.ByName(name); c != nil {
			choose(c, arch)
		} else if n, err := strconv.Atoi(name); err == nil && uint(n) <= abi.MaxNumber {
			chosen[0][n] = chosen[0][n] || arch != 1
			chosen[1][n] = chosen[1][n] || arch != 0
		} else if !optional {
			return &FilterError{expr, at, fmt.Sprintf("no such call: %q", name)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.all = all != negated
	f.calls = chosen
	if negated && !all {
		f.all = false
		for a := range f.calls {
			for n := range f.calls[a] {
				f.calls[a][n] = !f.calls[a][n]
			}
		}
	}
	return nil
}

// attribute reports whether a call of the group of processes is about what they are.
func attribute(c *abi.Call) bool {
	for _, p := range []string{"get", "set", "arch_prctl", "prctl", "personality", "kcmp", "ptrace", "unshare"} {
		if strings.HasPrefix(c.Name, p) && c.Name != "setns" {
			return true
		}
	}
	return false
}

// waitsForFiles reports whether a call takes sets of descriptors.
func waitsForFiles(c *abi.Call) bool {
	for _, a := range c.Args {
		if b := a.Kind.Base(); b == abi.PollfdArray || b == abi.FdSetPtr {
			return true
		}
	}
	return false
}

// classOf is a class of calls, by its name with or without the %.
func classOf(name string) func(*abi.Call) bool {
	percent := strings.HasPrefix(name, "%")
	group := func(g abi.Group) func(*abi.Call) bool {
		return func(c *abi.Call) bool { return c.Groups()&g != 0 }
	}
	names := func(list ...string) func(*abi.Call) bool {
		return func(c *abi.Call) bool {
			for _, n := range list {
				if c.Name == n {
					return true
				}
			}
			return false
		}
	}
	switch strings.TrimPrefix(name, "%") {
	case "file":
		return group(abi.GroupFile)
	case "process":
		// strace's is about life alone: identity and attributes are not in it.
		return func(c *abi.Call) bool {
			return c.Groups()&abi.GroupProcess != 0 && !attribute(c)
		}
	case "network", "net":
		return group(abi.GroupNetwork)
	case "signal":
		return group(abi.GroupSignals)
	case "ipc":
		return group(abi.GroupIPC)
	case "desc":
		return func(c *abi.Call) bool {
			switch {
			case waitsForFiles(c) || strings.HasPrefix(c.Name, "sendfile"):
				return true
			case c.Group&abi.GroupNetwork != 0: // sockets are descriptors too; strace leaves them to %network
				return false
			}
			return c.Groups()&abi.GroupDesc != 0
		}
	case "memory":
		return group(abi.GroupMemory)
	}
	if !percent {
		return nil
	}
	stat, lstat := []string{"stat", "stat64", "oldstat"}, []string{"lstat", "lstat64", "oldlstat"}
	fstat := []string{"fstat", "fstat64", "oldfstat", "fstatat64", "newfstatat", "statx"}
	statfs, fstatfs := []string{"statfs", "statfs64"}, []string{"fstatfs", "fstatfs64"}
	switch name {
	case "%creds":
		return func(c *abi.Call) bool { return c.Groups()&abi.GroupCreds != 0 || c.Name == "prctl" }
	case "%clock":
		return names("clock_gettime", "clock_settime", "clock_getres", "clock_adjtime", "adjtimex", "gettimeofday", "settimeofday", "time", "stime",
			"clock_gettime64", "clock_settime64", "clock_getres_time64", "clock_adjtime64")
	case "%sched":
		return group(abi.GroupSched)
	case "%stat":
		return names(stat...)
	case "%lstat":
		return names(lstat...)
	case "%fstat":
		return names(fstat...)
	case "%%stat":
		return names(append(append(stat, lstat...), fstat...)...)
	case "%statfs":
		return names(statfs...)
	case "%fstatfs":
		return names(fstatfs...)
	case "%%statfs":
		return names(append(append(statfs, fstatfs...), "ustat")...)
	case "%pure":
		return func(c *abi.Call) bool { return len(c.Args) == 0 && strings.HasPrefix(c.Name, "get") }
	}
	return nil
}

func (f *filter) parseSignals(expr, set string, at int) error {
	var chosen [abi.NSIG + 1]bool
	negated, err := elements(set, at, func(s string, at int) error {
		switch s {
		case "all":
			for n := range chosen {
				chosen[n] = true
			}
			return nil
		case "none":
			return nil
		}
		name := strings.ToUpper(s)
		for n := 1; n <= abi.NSIG; n++ {
			if name == signalNames[n] || name == shortNames[n] || s == strconv.Itoa(n) {
				chosen[n] = true
				return nil
			}
		}
		return &FilterError{expr, at, fmt.Sprintf("no such signal: %q", s)}
	})
	if err != nil {
		return err
	}
	for n := range chosen {
		f.signals.none[n] = chosen[n] == negated
	}
	return nil
}

func (f *filter) parseStatus(expr, set string, at int) error {
	const any = successful | failed | unfinished | unavailable | detached
	f.status = 0
	negated, err := elements(set, at, func(s string, at int) error {
		switch s {
		case "all":
			f.status |= any
		case "none":
		case "successful":
			f.status |= successful
		case "failed":
			f.status |= failed
		case "unfinished":
			f.status |= unfinished
		case "unavailable":
			f.status |= unavailable
		case "detached":
			f.status |= detached
		default:
			return &FilterError{expr, at, fmt.Sprintf("no such status: %q (there are successful, failed, unfinished, unavailable and detached)", s)}
		}
		return nil
	})
	if negated {
		f.status ^= any
	}
	if f.status == any {
		f.status = 0
	} else if f.status == 0 && err == nil {
		f.status = 1 << 7 // none
	}
	return err
}
