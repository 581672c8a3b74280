// Package callset parses sets of system calls as strace's -e trace= takes them: names, numbers, /regex, classes such as
// %file, name@64, ?name, all, none, and ! before the whole. Traces, faults and policies choose calls by it.
package callset

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
)

// Set is a set of system calls. The zero Set is empty.
type Set struct {
	all   bool // also calls with numbers that are none
	calls [2][abi.MaxNumber + 1]bool
}

// All is the set of every call, also of numbers that are none.
func All() Set { return Set{all: true} }

// Has reports whether the call that nr enters on arch is in the set.
func (s *Set) Has(arch abi.Arch, nr int) bool {
	if s.all {
		return true
	}
	i := 0
	if arch == abi.I386 {
		i = 1
	}
	return uint(nr) <= abi.MaxNumber && s.calls[i][nr]
}

// Error says what is wrong with a set, and where.
type Error struct {
	Offset int // in bytes, of what is wrong
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// Elements calls do for each element of a list with commas, with its place, where at is that of the list. It reports
// whether a ! stands before the whole.
func Elements(list string, at int, do func(s string, at int) error) (negated bool, err error) {
	if rest, ok := strings.CutPrefix(list, "!"); ok {
		negated, list, at = true, rest, at+1
	}
	for _, s := range strings.Split(list, ",") {
		if err := do(s, at); err != nil {
			return negated, err
		}
		at += len(s) + 1
	}
	return negated, nil
}

// Parse reads a set. The error is an *Error.
func Parse(expr string) (Set, error) {
	var s Set
	negated, err := Elements(expr, 0, s.add)
	if err != nil {
		return Set{}, err
	}
	all := s.all
	if s.all = all != negated; negated && !all {
		s.all = false
		for a := range s.calls {
			for n := range s.calls[a] {
				s.calls[a][n] = !s.calls[a][n]
			}
		}
	} else if negated {
		s = Set{}
	}
	return s, nil
}

func (set *Set) choose(c *abi.Call, arch int) {
	if arch != 1 && c.AMD64 >= 0 {
		set.calls[0][c.AMD64] = true
	}
	if arch != 0 && c.I386 >= 0 {
		set.calls[1][c.I386] = true
	}
}

// add adds an element.
func (set *Set) add(s string, at int) error {
	switch s {
	case "all":
		set.all = true
		return nil
	case "none":
		return nil
	case "":
		return &Error{at, "a call's name is missing"}
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
			return &Error{at + len(s) - len(bits), fmt.Sprintf("no such architecture: %q (there are 64 and 32)", bits)}
		}
	}
	if pattern, ok := strings.CutPrefix(name, "/"); ok {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return &Error{at, err.Error()}
		}
		found := false
		for i := range abi.Calls {
			if re.MatchString(abi.Calls[i].Name) {
				set.choose(&abi.Calls[i], arch)
				found = true
			}
		}
		if !found && !optional {
			return &Error{at, fmt.Sprintf("no call's name matches %q", pattern)}
		}
		return nil
	}
	if class := classOf(name); class != nil {
		for i := range abi.Calls {
			if class(&abi.Calls[i]) {
				set.choose(&abi.Calls[i], arch)
			}
		}
		return nil
	}
	if strings.HasPrefix(name, "%") && !optional {
		return &Error{at, fmt.Sprintf("no such class of calls: %q", name)}
	}
	if c := abi.ByName(name); c != nil {
		set.choose(c, arch)
	} else if n, err := strconv.Atoi(name); err == nil && uint(n) <= abi.MaxNumber {
		set.calls[0][n] = set.calls[0][n] || arch != 1
		set.calls[1][n] = set.calls[1][n] || arch != 0
	} else if !optional {
		return &Error{at, fmt.Sprintf("no such call: %q", name)}
	}
	return nil
}
