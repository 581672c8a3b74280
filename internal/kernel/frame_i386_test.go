package kernel

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
)

// TestSegmentBase: what a return from a 32-bit handler loads into fs and gs.
func TestSegmentBase(t *testing.T) {
	entry := func(d abi.UserDesc) uint64 { return descriptor(machine.LDTWrite, d) }
	const code, writable = 2 << 1, 0
	task := &Task{mm: &mm.Space{LDT: []uint64{
		entry(abi.UserDesc{BaseAddr: 0x12345678, Limit: 0xfff, Flags: abi.UserDescSeg32 | writable}),
		0,
		entry(abi.UserDesc{BaseAddr: 0xfedcb000, Limit: 0xfff, Flags: abi.UserDescSeg32 | code}),
		entry(abi.UserDesc{BaseAddr: 1 << 20, Limit: 0xfff, Flags: abi.UserDescSeg32 | code | abi.UserDescReadExecOnly}),
		entry(abi.UserDesc{BaseAddr: 1 << 20, Limit: 0xfff, Flags: abi.UserDescSeg32 | abi.UserDescNotPresent}),
	}}, th: new(machine.Thread)}
	for _, c := range []struct {
		what string
		sel  uint64
		base uint64
		ok   bool
	}{
		{"null", 0, 0, true},
		{"data of the LDT", 0<<3 | 7, 0x12345678, true},
		{"an empty entry", 1<<3 | 7, 0, false},
		{"code that can be read", 2<<3 | 7, 0xfedcb000, true},
		{"code that cannot", 3<<3 | 7, 0, false},
		{"what is not present", 4<<3 | 7, 0, false},
		{"beyond the LDT", 5<<3 | 7, 0, false},
		{"user data", 0x2b, 0, true},
		{"the kernel's", 0x1b, 0, false},
		{"a thread's that is not set", machine.FirstTLS<<3 | 3, 0, false},
	} {
		if base, ok := task.segmentBase(c.sel); base != c.base || ok != c.ok {
			t.Errorf("%s, %#x: base %#x, %v; want %#x, %v", c.what, c.sel, base, ok, c.base, c.ok)
		}
		// Loaded anew it is so, left as it was it keeps its base.
		sel, base := c.sel, uint64(77)
		if loadSegment(task, &sel, &base, c.sel); sel != c.sel || base != 77 {
			t.Errorf("%s, %#x, unchanged: %#x, base %#x", c.what, c.sel, sel, base)
		}
		want := c.sel
		if !c.ok {
			want = 0
		}
		if loadSegment(task, &sel, &base, 0xffff); sel != want || base != c.base {
			t.Errorf("%s, %#x, loaded: %#x, base %#x; want %#x, %#x", c.what, c.sel, sel, base, want, c.base)
		}
	}
}
