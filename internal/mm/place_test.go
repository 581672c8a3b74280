package mm

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlaceLow: what 32-bit calls map in a 64-bit program is in reach of their pointers, all 4 GiB of it.
func TestPlaceLow(t *testing.T) {
	s := New(Top)
	s.LowTop, s.LowMmap = 0xffffe000, 0xf0000000
	place := func(what string, hint, size uint64, flags int, want uint64, wantErr error) {
		t.Helper()
		if got, err := s.place(hint, size, flags, true); got != want || err != wantErr {
			t.Errorf("%s: %#x, %v; want %#x, %v", what, got, err, want, wantErr)
		}
	}
	place("a page", 0, PageSize, Low, 0xf0000000-PageSize, nil)
	place("a huge page, which need not be aligned", 0, hugePage+hugePage, Low, 0xf0000000-2*hugePage, nil)
	place("3 GiB", 0, 3<<30, Low, 0x30000000, nil)
	place("4 GiB", 0, 4<<30, Low, 0, unix.ENOMEM)
	place("a hint", 0xfff00000, PageSize, Low, 0xfff00000, nil)
	place("MAP_32BIT of a 64-bit call", 0, PageSize, map32Bit, 0x40000000, nil)
	s.vmas = []VMA{{Start: 0x20000000, End: 0xf0000000}}
	place("above where the search begins", 0, 512<<20-16*PageSize, Low, 0x10000, nil)
	s.vmas[0].Start = Bottom
	place("nothing but above", 0, PageSize, Low, 0xffffe000-PageSize, nil)
	s.vmas[0].End = 0xffffe000
	place("full", 0, PageSize, Low, 0, unix.ENOMEM)
	place("full for them only", 0, PageSize, 0, s.MmapTop-PageSize, nil)
}
