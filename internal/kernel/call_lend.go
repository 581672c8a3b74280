package kernel

import (
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

// What a handler gives a call in place of the program's memory: a path, a
// buffer. It lies at addresses that are in the kernel's half, where no program
// has memory, and is there to be read by that one call.

const (
	lentBase = 1<<63 | 1<<62
	lentGap  = 1 << 32 // from one to the next
	maxLent  = 64 << 20
)

// Lend shows the task's call a copy of p as memory of the program, until it has
// ended.
func (t *Task) Lend(p []byte) (addr uint64, err error) {
	// To a page's end, as memory is: strings are read ahead of their NUL.
	own := make([]byte, max(len(p)+mm.PageSize-1, mm.PageSize)/mm.PageSize*mm.PageSize)
	copy(own, p)
	n := len(own)
	for _, l := range t.lent {
		n += len(l)
	}
	if n > maxLent {
		return 0, unix.ENOMEM
	}
	t.lent = append(t.lent, own)
	return lentBase + uint64(len(t.lent)-1)*lentGap, nil
}

// lentAt is what is lent at addr and after it.
func (t *Task) lentAt(addr uint64) []byte {
	i := (addr - lentBase) / lentGap
	if addr < lentBase || i >= uint64(len(t.lent)) {
		return nil
	}
	return t.lent[i][min(addr%lentGap, uint64(len(t.lent[i]))):]
}
