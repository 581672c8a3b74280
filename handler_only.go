package sysemu

import (
	"maps"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
)

// Only applies mw to the named calls; all others go straight on. Where all the
// middleware of a machine is of this kind, calls that none of it names are
// served as if there were none. A number that has no name is named
// "syscall_N", as [Call.Name] does.
func Only(mw Middleware, names ...string) Middleware {
	set := newCallSet(names)
	return func(next Handler) Handler { return &only{set, mw(next), next} }
}

type only struct {
	set         *callSet
	inner, next Handler
}

func (o *only) ServeCall(c *Call) (uint64, error) {
	if o.set.has(c.Arch(), c.Number()) {
		return o.inner.ServeCall(c)
	}
	return o.next.ServeCall(c)
}

// selected is the set of the calls that the layers down to the innermost
// handler do not just pass on; nil: it may be all.
func selected(h Handler) *callSet {
	set := newCallSet(nil)
	for {
		switch l := h.(type) {
		case *only:
			set.add(l.set)
			h = l.next
		case *innermost:
			return set
		default:
			return nil
		}
	}
}

// callSet is a set of calls, by number.
type callSet struct {
	amd64, i386 [abi.MaxNumber + 1]bool
	others      map[int]bool // numbers that are in neither table
}

func newCallSet(names []string) *callSet {
	s := &callSet{others: map[int]bool{}}
	for _, name := range names {
		if d := abi.ByName(name); d != nil {
			if d.AMD64 >= 0 {
				s.amd64[d.AMD64] = true
			}
			if d.I386 >= 0 {
				s.i386[d.I386] = true
			}
			continue
		}
		digits, _ := strings.CutPrefix(name, "syscall_")
		nr, err := strconv.Atoi(digits)
		switch {
		case err != nil || name != "syscall_"+strconv.Itoa(nr): // no call has such a name
		case nr < 0 || nr > abi.MaxNumber:
			s.others[nr] = true
		default:
			s.amd64[nr] = s.amd64[nr] || abi.ByNumber(abi.AMD64, nr) == nil
			s.i386[nr] = s.i386[nr] || abi.ByNumber(abi.I386, nr) == nil
		}
	}
	return s
}

// add makes s the union of both.
func (s *callSet) add(t *callSet) {
	for nr := range s.amd64 {
		s.amd64[nr] = s.amd64[nr] || t.amd64[nr]
		s.i386[nr] = s.i386[nr] || t.i386[nr]
	}
	maps.Copy(s.others, t.others)
}

func (s *callSet) has(arch abi.Arch, nr int) bool {
	switch {
	case uint(nr) > abi.MaxNumber:
		return s.others[nr]
	case arch == abi.I386:
		return s.i386[nr]
	}
	return s.amd64[nr]
}
