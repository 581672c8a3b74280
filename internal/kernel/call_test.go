package kernel

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
)

// What one table serves the other serves too, and nothing in package abi's
// list of i386's own calls is forgotten.
func TestTablesAgree(t *testing.T) {
	// Linux lacks these also where it emulates i386, or the kernel both.
	lacking := map[string]bool{"io_pgetevents_time64": true, "bdflush": true}
	elsewhere := map[string]bool{"ptrace": true,
		"set_thread_area": true, "get_thread_area": true} // not in 64-bit Linux
	for i := range abi.Calls {
		c := &abi.Calls[i]
		if elsewhere[c.Name] {
			continue
		}
		in386 := c.I386 >= 0 && i386Table[c.I386] != nil
		switch {
		case c.I386 < 0:
		case c.AMD64 >= 0:
			if in64 := amd64Table[c.AMD64] != nil; in64 != in386 {
				t.Errorf("%s: x86-64 has it %v, i386 %v", c.Name, in64, in386)
			}
		case in386 && (c.Obsolete || lacking[c.Name]):
			t.Errorf("%s: is served and should not be", c.Name)
		case !in386 && !c.Obsolete && !lacking[c.Name]:
			t.Errorf("%s: is not served", c.Name)
		}
	}
}

// Arguments come as i386 passes them.
func TestArguments386(t *testing.T) {
	var got [6]uint64
	f := func(_ *Task, a *[6]uint64) (uint64, error) { got = *a; return 0, nil }
	in := [6]uint64{1, 0xffffffff, 0xfffffffe, 4, 5, 6}
	for _, c := range []struct {
		name string
		f    callFunc
		want [6]uint64
	}{
		{"pair", pair(1, f), [6]uint64{1, 0xfffffffeffffffff, 4, 5, 6, 0}},
		{"last pair", pair(4, f), [6]uint64{1, 0xffffffff, 0xfffffffe, 4, 6<<32 | 5, 0}},
		{"two pairs", pair(1, pair(2, f)), [6]uint64{1, 0xfffffffeffffffff, 5<<32 | 4, 6, 0, 0}},
		{"long", long(1, f), [6]uint64{1, ^uint64(0), 0xfffffffe, 4, 5, 6}},
	} {
		a := in
		c.f(nil, &a)
		if got != c.want {
			t.Errorf("%s: %#x", c.name, got)
		}
		if a != in {
			t.Errorf("%s changes the arguments of the call", c.name)
		}
	}
}
