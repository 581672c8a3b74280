// Package mm keeps the books of a guest's address space: which mappings there
// are, where new ones go, and which host operations bring them about. Page
// faults, copy-on-write and page tables are the host's.
//
// Contract: guarded by the kernel lock. Every operation that changes mappings
// takes the calling guest thread, in whose address space it is carried out.
// The books change only when the host has done its part.
package mm

import (
	"slices"

	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// PageSize is the guest's page size in bytes.
const PageSize = 4096

// Top is the end of the addresses a guest may map; Bottom the lowest.
const (
	Top    = machine.UserTop
	Bottom = machine.UserBottom
	// ReadTop is the end of what a guest may read: the vDSO is above Top.
	ReadTop = machine.HostTop
)

// VMA is a mapping: a range of pages that are alike.
type VMA struct {
	Start, End uint64
	Prot       int // PROT_*
	Shared     bool
	MayWrite   bool // a shared file mapping may be made writable
	GrowsDown  bool // the stack
	NoReserve  bool
	Locked     bool
	DontFork   bool
	WipeOnFork bool
	File       *vfs.File // nil: anonymous
	object     *byte     // stands for shared anonymous memory, whoever maps it
	Off        uint64    // of Start in File
	Name       string    // "[heap]" and so on
	fixed      bool      // the vDSO: not the guest's to split
}

// Size is the mapping's length in bytes.
func (v *VMA) Size() uint64 { return v.End - v.Start }

// Space is a guest's address space.
type Space struct {
	vmas []VMA // by address, never overlapping

	Users int // tasks that have it

	// Limits of this process's, refreshed by the kernel before each call.
	MaxSize  uint64 // RLIMIT_AS, bytes
	MaxData  uint64 // RLIMIT_DATA, bytes
	MaxStack uint64 // RLIMIT_STACK, bytes
	MaxLock  uint64 // RLIMIT_MEMLOCK, bytes

	MmapTop  uint64 // where the search for room begins, downwards
	BrkStart uint64
	Brk      uint64

	size       uint64 // sum of all mappings, bytes
	locked     uint64
	lockFuture bool

	// Where the program's image says its parts are: for /proc/PID/stat.
	StartCode, EndCode, StartData, EndData uint64
	StartStack                             uint64
	ArgStart, ArgEnd, EnvStart, EnvEnd     uint64
	Auxv                                   []byte
	Dumpable                               int
}

// maxMaps is vm.max_map_count.
const maxMaps = 65530

// New returns an empty space.
func New() *Space {
	return &Space{Users: 1, MaxSize: ^uint64(0), MaxData: ^uint64(0), MaxStack: 8 << 20, MmapTop: Top - (128 << 20)}
}

// Size is the sum of all mappings in bytes.
func (s *Space) Size() uint64 { return s.size }

// Locked is how many bytes are locked in memory.
func (s *Space) Locked() uint64 { return s.locked }

// All calls f for every mapping in order of address.
func (s *Space) All(f func(v *VMA) bool) {
	for i := range s.vmas {
		if !f(&s.vmas[i]) {
			return
		}
	}
}

// index is that of the first mapping that ends above addr.
func (s *Space) index(addr uint64) int {
	lo, hi := 0, len(s.vmas)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.vmas[mid].End > addr {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// Find returns the mapping that addr lies in, or nil.
func (s *Space) Find(addr uint64) *VMA {
	if i := s.index(addr); i < len(s.vmas) && s.vmas[i].Start <= addr {
		return &s.vmas[i]
	}
	return nil
}

// Range checks a guest's address range: page-aligned start, a length that is
// rounded up and does not wrap or leave the guest's part.
func Range(addr, n uint64) (end uint64, ok bool) {
	size := (n + PageSize - 1) &^ (PageSize - 1)
	if size < n || addr > Top || size > Top-addr {
		return 0, false
	}
	return addr + size, true
}

// overlaps reports whether anything is mapped in [start, end).
func (s *Space) overlaps(start, end uint64) bool {
	i := s.index(start)
	return i < len(s.vmas) && s.vmas[i].Start < end
}

// covered reports whether all of [start, end) is mapped.
func (s *Space) covered(start, end uint64) bool {
	for i := s.index(start); i < len(s.vmas) && s.vmas[i].Start <= start; i++ {
		if s.vmas[i].End >= end {
			return true
		}
		start = s.vmas[i].End
	}
	return false
}

// stackGap is what Linux keeps free below a stack that grows.
const stackGap = 256 * PageSize

// gap finds room for size bytes below top, at or above bottom, from the top
// downwards. align is a power of two.
func (s *Space) gap(size, bottom, top, align uint64) (uint64, bool) {
	if size > top-bottom {
		return 0, false
	}
	end := top
	for i := s.index(top) - 1; ; i-- {
		// A mapping that reaches over top bounds it.
		if i+1 < len(s.vmas) && s.vmas[i+1].Start < end {
			end = s.vmas[i+1].Start
			if s.vmas[i+1].GrowsDown {
				end -= min(end, stackGap)
			}
		}
		low := bottom
		if i >= 0 {
			low = max(low, s.vmas[i].End)
		}
		if end > low && end-low >= size {
			if addr := (end - size) &^ (align - 1); addr >= low {
				return addr, true
			}
		}
		if i < 0 || low == bottom {
			return 0, false
		}
		end = min(end, s.vmas[i].Start)
	}
}

// findRoom chooses where a mapping goes that may go anywhere.
func (s *Space) findRoom(size, align uint64) (uint64, error) {
	if addr, ok := s.gap(size, Bottom, s.MmapTop, align); ok {
		return addr, nil
	}
	if addr, ok := s.gap(size, s.MmapTop, Top, align); ok {
		return addr, nil
	}
	return 0, unix.ENOMEM
}

// split makes addr a border between mappings.
func (s *Space) split(addr uint64) {
	i := s.index(addr)
	if i == len(s.vmas) || s.vmas[i].Start >= addr {
		return
	}
	upper := s.vmas[i]
	upper.Start = addr
	upper.Off += addr - s.vmas[i].Start
	if upper.File != nil {
		upper.File.Ref()
	}
	if upper.GrowsDown {
		s.vmas[i].GrowsDown = true
		upper.GrowsDown = false
	}
	s.vmas[i].End = addr
	s.vmas = slices.Insert(s.vmas, i+1, upper)
}

// within returns the indexes [i, j) of the mappings inside [start, end), with
// borders made at both.
func (s *Space) within(start, end uint64) (i, j int) {
	s.split(start)
	s.split(end)
	i = s.index(start)
	j = i
	for j < len(s.vmas) && s.vmas[j].Start < end {
		j++
	}
	return i, j
}

// remove takes [start, end) out of the books.
func (s *Space) remove(ctx vfs.Context, start, end uint64) {
	i, j := s.within(start, end)
	var files []*vfs.File
	for k := i; k < j; k++ {
		v := &s.vmas[k]
		s.size -= v.Size()
		if v.Locked {
			s.locked -= v.Size()
		}
		if v.File != nil {
			files = append(files, v.File)
		}
	}
	s.vmas = slices.Delete(s.vmas, i, j)
	for _, f := range files {
		f.Unref(ctx)
	}
}

// add puts v, which holds a reference to its file, into the books, and joins
// it with its neighbours where they are alike.
func (s *Space) add(ctx vfs.Context, v VMA) {
	s.size += v.Size()
	if v.Locked {
		s.locked += v.Size()
	}
	i := s.index(v.Start)
	s.vmas = slices.Insert(s.vmas, i, v)
	s.join(ctx, i, i+1)
}

// join merges alike neighbours among the mappings [i-1, j].
func (s *Space) join(ctx vfs.Context, i, j int) {
	k := max(i-1, 0)
	for j = min(j+1, len(s.vmas)); k+1 < j; {
		a, b := &s.vmas[k], &s.vmas[k+1]
		if !alike(a, b) {
			k++
			continue
		}
		a.End = b.End
		f := b.File
		s.vmas = slices.Delete(s.vmas, k+1, k+2)
		if f != nil {
			f.Unref(ctx)
		}
		j--
	}
}

func alike(a, b *VMA) bool {
	return a.End == b.Start && a.Prot == b.Prot && a.Shared == b.Shared && a.File == b.File &&
		(a.File == nil || a.Off+a.Size() == b.Off) && a.Name == b.Name && a.MayWrite == b.MayWrite &&
		a.NoReserve == b.NoReserve && a.Locked == b.Locked && a.DontFork == b.DontFork &&
		a.WipeOnFork == b.WipeOnFork && !a.GrowsDown && !b.GrowsDown && !a.fixed && !b.fixed &&
		(a.File != nil || !a.Shared || a.object == b.object && a.Off+a.Size() == b.Off)
}

// Fork returns the books of a child's copy of the space.
func (s *Space) Fork() *Space {
	n := *s
	n.Users = 1
	n.locked, n.lockFuture = 0, false
	n.vmas = make([]VMA, 0, len(s.vmas)+8)
	for _, v := range s.vmas {
		if v.DontFork {
			n.size -= v.Size()
			continue
		}
		v.Locked = false
		if v.File != nil {
			v.File.Ref()
		}
		n.vmas = append(n.vmas, v)
	}
	return &n
}

// Release drops the books: the last host process of the space is going.
func (s *Space) Release(ctx vfs.Context) {
	vmas := s.vmas
	s.vmas = nil
	s.size, s.locked = 0, 0
	for _, v := range vmas {
		if v.File != nil {
			v.File.Unref(ctx)
		}
	}
}

// Adjoin adds a mapping that the host process has already: the vDSO.
func (s *Space) Adjoin(ctx vfs.Context, start, end uint64, prot int, name string) {
	s.add(ctx, VMA{Start: start, End: end, Prot: prot, Name: name, fixed: true})
}

// Accessible returns how many of the n bytes at addr a read, or a write, by
// the guest itself could reach.
func (s *Space) Accessible(addr, n uint64, write bool) uint64 {
	want := unix.PROT_READ
	if write {
		want = unix.PROT_WRITE
	}
	end := addr + n
	if end < addr || end > Top {
		end = max(addr, Top)
	}
	at := addr
	for i := s.index(addr); i < len(s.vmas) && at < end; i++ {
		v := &s.vmas[i]
		if v.Start > at || v.Prot&want == 0 {
			break
		}
		at = v.End
	}
	return min(at, end) - addr
}

// Key names a word of memory whoever maps it: what a futex is known by.
type Key struct {
	object any // the space, an inode, or shared anonymous memory
	off    uint64
}

// FutexKey returns the key of the word at addr. A private one is the space's
// own even where the memory is shared.
func (s *Space) FutexKey(addr uint64, private bool) Key {
	if !private {
		if v := s.Find(addr); v != nil && v.Shared {
			off := addr - v.Start + v.Off
			if v.File != nil {
				return Key{v.File.Inode, off}
			}
			return Key{v.object, off}
		}
	}
	return Key{s, addr}
}
