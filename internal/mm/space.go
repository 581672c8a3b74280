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

// Top is the end of the addresses any guest may map, a Space has its own;
// Bottom the lowest.
var (
	Top    = machine.UserTop
	Bottom = uint64(machine.UserBottom)
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
	Name       string    // "[heap]" and so on; set by All but for the vDSO
	fixed      bool      // the vDSO: not the guest's to split
}

// Size is the mapping's length in bytes.
func (v *VMA) Size() uint64 { return v.End - v.Start }

// isData reports whether RLIMIT_DATA counts the mapping.
func (v *VMA) isData() bool {
	return v.Prot&unix.PROT_WRITE != 0 && !v.Shared && !v.GrowsDown && !v.fixed
}

// isCharged reports whether the mapping asks for memory of its own.
func (v *VMA) isCharged() bool {
	if v.Shared {
		return v.File == nil && !v.NoReserve
	}
	return v.Prot&unix.PROT_WRITE != 0 && !v.NoReserve
}

// Attacher is a file's Impl that wants to know of its mappings: System V
// shared memory counts them.
type Attacher interface {
	Size() uint64 // bytes that were mapped at first
	Attach(ctx vfs.Context)
	Detach(ctx vfs.Context)
}

// hold takes v's reference to its file: every mapping in the books has one.
func (v *VMA) hold(ctx vfs.Context) {
	f := v.File
	if f == nil {
		return
	}
	f.Ref()
	if v.Shared && v.MayWrite {
		if e := f.Extra(); e != nil {
			e.WritableMaps++
		}
	}
	if a, ok := f.Impl.(Attacher); ok {
		a.Attach(ctx)
	}
}

// drop gives it back. v is out of the books: letting go of a file may sleep.
func (v *VMA) drop(ctx vfs.Context) {
	f := v.File
	if f == nil {
		return
	}
	if v.Shared && v.MayWrite {
		if e := f.Extra(); e != nil {
			e.WritableMaps--
		}
	}
	if a, ok := f.Impl.(Attacher); ok {
		a.Detach(ctx)
	}
	f.Unref(ctx)
}

// MaxLDT is how many entries a local descriptor table has.
const MaxLDT = 8192

// Space is a guest's address space.
type Space struct {
	vmas []VMA // by address, never overlapping

	Users int // tasks that have it

	// LDT is the local descriptor table as the host process has it, up to its
	// last entry that was written.
	LDT []uint64

	// Limits of this process's, refreshed by the kernel before each call.
	MaxSize  uint64 // RLIMIT_AS, bytes
	MaxData  uint64 // RLIMIT_DATA, bytes
	MaxStack uint64 // RLIMIT_STACK, bytes
	MaxLock  uint64 // RLIMIT_MEMLOCK, bytes

	Top      uint64 // the end of what may be mapped
	MmapTop  uint64 // where the search for room begins, downwards
	LowTop   uint64 // these two of mappings that 32-bit calls make
	LowMmap  uint64
	BrkStart uint64
	Brk      uint64
	VDSO     uint64 // of a 32-bit program: where its vDSO's ELF file is, 0 without one

	// ReadExec makes what is readable executable too: READ_IMPLIES_EXEC of
	// personality(2).
	ReadExec bool

	// Full says that the machine has no memory left: nothing may grow. What
	// asks for more than MaxOnce bytes at a time to write to cannot be meant.
	Full    bool
	MaxOnce uint64

	size       uint64 // sum of all mappings, bytes
	data       uint64 // of those that isData, bytes
	locked     uint64
	lockFuture bool

	// Where the program's image says its parts are: for /proc/PID/stat.
	StartCode, EndCode, StartData, EndData uint64
	StartStack                             uint64
	ArgStart, ArgEnd, EnvStart, EnvEnd     uint64
	Auxv                                   []byte
	Dumpable                               int
}

// implied adds what the personality makes of a protection.
func (s *Space) implied(prot int, file *vfs.File) int {
	if s.ReadExec && prot&unix.PROT_READ != 0 && (file == nil || !noExec(file)) {
		prot |= unix.PROT_EXEC
	}
	return prot
}

// maxMaps is vm.max_map_count.
const maxMaps = 65530

// New returns an empty space that ends at top.
func New(top uint64) *Space {
	low := min(top, 1<<32)
	return &Space{Users: 1, Top: top, MaxSize: ^uint64(0), MaxData: ^uint64(0), MaxOnce: ^uint64(0), MaxStack: 8 << 20,
		MmapTop: top - (128 << 20), LowTop: low, LowMmap: low - (128 << 20)}
}

// Size is the sum of all mappings in bytes.
func (s *Space) Size() uint64 { return s.size }

// Locked is how many bytes are locked in memory.
func (s *Space) Locked() uint64 { return s.locked }

// All calls f for every mapping in order of address.
func (s *Space) All(f func(v *VMA) bool) {
	for i := range s.vmas {
		v := &s.vmas[i]
		if !v.fixed {
			v.Name = s.nameOf(v)
		}
		if !f(v) {
			return
		}
	}
}

// nameOf tells the heap and the stack from other anonymous memory.
func (s *Space) nameOf(v *VMA) string {
	switch {
	case v.File != nil || v.Shared:
	case v.Start < s.Brk && v.End > s.BrkStart:
		return "[heap]"
	case v.Start <= s.StartStack && v.End >= s.StartStack:
		return "[stack]"
	}
	return ""
}

// count puts n bytes more of v into the sums; the caller takes v as it is.
func (s *Space) count(v *VMA, n uint64) {
	s.size += n
	if v.Locked {
		s.locked += n
	}
	if v.isData() {
		s.data += n
	}
}

// uncount is count taken back.
func (s *Space) uncount(v *VMA, n uint64) {
	s.size -= n
	if v.Locked {
		s.locked -= n
	}
	if v.isData() {
		s.data -= n
	}
}

// mayExpand reports whether the limits leave room for n more bytes like v.
func (s *Space) mayExpand(v *VMA, n uint64) bool {
	if s.Full || s.size > s.MaxSize || n > s.MaxSize-s.size || n > s.MaxOnce && v.isCharged() {
		return false
	}
	return !v.isData() || s.data <= s.MaxData && n <= s.MaxData-s.data
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
func (s *Space) Range(addr, n uint64) (end uint64, ok bool) {
	size := (n + PageSize - 1) &^ (PageSize - 1)
	if size < n || addr > s.Top || size > s.Top-addr {
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
	for i := s.index(top); top > bottom; i-- {
		// The gap below mapping i, or below top.
		end := top
		if i < len(s.vmas) {
			end = min(end, s.vmas[i].low())
		}
		low := bottom
		if i > 0 {
			low = max(low, s.vmas[i-1].End)
		}
		if end > low && end-low >= size {
			if addr := (end - size) &^ (align - 1); addr >= low {
				return addr, true
			}
		}
		if low == bottom {
			break
		}
	}
	return 0, false
}

// gapUp is gap from the bottom upwards.
func (s *Space) gapUp(size, bottom, top uint64) (uint64, bool) {
	low := bottom
	for i := s.index(bottom); low < top; i++ {
		end := top
		if i < len(s.vmas) {
			end = min(end, s.vmas[i].low())
		}
		if end > low && end-low >= size {
			return low, true
		}
		if i == len(s.vmas) {
			break
		}
		low = max(low, s.vmas[i].End)
	}
	return 0, false
}

// low is how far down others must stay away from the mapping.
func (v *VMA) low() uint64 {
	if v.GrowsDown {
		return v.Start - min(v.Start, stackGap)
	}
	return v.Start
}

// free reports whether [start, end) is free for who did not insist on it.
func (s *Space) free(start, end uint64) bool {
	i := s.index(start)
	return i == len(s.vmas) || s.vmas[i].low() >= end
}

// findRoom chooses where a mapping goes that may go anywhere.
func (s *Space) findRoom(size, align uint64) (uint64, error) {
	return s.roomBelow(size, align, s.MmapTop, s.Top)
}

// findLow is findRoom for a mapping that 32-bit pointers reach.
func (s *Space) findLow(size uint64) (uint64, error) {
	return s.roomBelow(size, PageSize, s.LowMmap, s.LowTop)
}

// roomBelow looks below where the search begins first, then above.
func (s *Space) roomBelow(size, align, begin, top uint64) (uint64, error) {
	if addr, ok := s.gap(size, Bottom, begin, align); ok {
		return addr, nil
	}
	if addr, ok := s.gap(size, begin, top, align); ok {
		return addr, nil
	}
	return 0, unix.ENOMEM
}

// split makes addr a border between mappings.
func (s *Space) split(ctx vfs.Context, addr uint64) {
	i := s.index(addr)
	if i == len(s.vmas) || s.vmas[i].Start >= addr {
		return
	}
	upper := s.vmas[i]
	upper.Start = addr
	upper.Off += addr - s.vmas[i].Start
	upper.hold(ctx)
	s.vmas[i].End = addr
	s.vmas = slices.Insert(s.vmas, i+1, upper)
}

// within returns the indexes [i, j) of the mappings inside [start, end), with
// borders made at both.
func (s *Space) within(ctx vfs.Context, start, end uint64) (i, j int) {
	s.split(ctx, start)
	s.split(ctx, end)
	i = s.index(start)
	j = i
	for j < len(s.vmas) && s.vmas[j].Start < end {
		j++
	}
	return i, j
}

// remove takes [start, end) out of the books. What it returns must be dropped
// when the books are whole again: that may sleep.
func (s *Space) remove(ctx vfs.Context, start, end uint64) (gone []VMA) {
	i, j := s.within(ctx, start, end)
	for k := i; k < j; k++ {
		v := &s.vmas[k]
		s.uncount(v, v.Size())
		if v.File != nil {
			gone = append(gone, *v)
		}
	}
	s.vmas = slices.Delete(s.vmas, i, j)
	return gone
}

// drop lets go of mappings that were removed.
func drop(ctx vfs.Context, gone []VMA) {
	for k := range gone {
		gone[k].drop(ctx)
	}
}

// add puts v, which holds its file, into the books, and joins it with its
// neighbours where they are alike.
func (s *Space) add(ctx vfs.Context, v VMA) {
	s.count(&v, v.Size())
	i := s.index(v.Start)
	s.vmas = slices.Insert(s.vmas, i, v)
	s.join(ctx, i, i+1)
}

// join merges alike neighbours among the mappings [i-1, j].
func (s *Space) join(ctx vfs.Context, i, j int) {
	k := max(i-1, 0)
	var gone []VMA
	for j = min(j+1, len(s.vmas)); k+1 < j; {
		a, b := &s.vmas[k], &s.vmas[k+1]
		if !alike(a, b) {
			k++
			continue
		}
		a.End = b.End
		if b.File != nil {
			gone = append(gone, *b)
		}
		s.vmas = slices.Delete(s.vmas, k+1, k+2)
		j--
	}
	drop(ctx, gone)
}

func alike(a, b *VMA) bool {
	if a.End != b.Start || a.Prot != b.Prot || a.Shared != b.Shared || a.File != b.File || a.object != b.object ||
		a.MayWrite != b.MayWrite || a.NoReserve != b.NoReserve || a.Locked != b.Locked || a.GrowsDown != b.GrowsDown ||
		a.DontFork != b.DontFork || a.WipeOnFork != b.WipeOnFork || a.fixed || b.fixed {
		return false
	}
	if a.File == nil {
		return !a.Shared || a.Off+a.Size() == b.Off
	}
	_, counted := a.File.Impl.(Attacher)
	return a.Off+a.Size() == b.Off && !counted
}

// Fork returns the books of a child's copy of the space.
func (s *Space) Fork(ctx vfs.Context) *Space {
	n := *s
	n.Users = 1
	n.LDT = slices.Clone(s.LDT)
	n.size, n.data, n.locked, n.lockFuture = 0, 0, 0, false
	n.vmas = make([]VMA, 0, len(s.vmas)+8)
	for _, v := range s.vmas {
		if v.DontFork {
			continue
		}
		v.Locked = false
		v.hold(ctx)
		n.count(&v, v.Size())
		n.vmas = append(n.vmas, v)
	}
	return &n
}

// Release drops the books: the last host process of the space is going.
func (s *Space) Release(ctx vfs.Context) {
	vmas := s.vmas
	s.vmas = nil
	s.size, s.data, s.locked = 0, 0, 0
	drop(ctx, vmas)
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
	if end < addr || end > s.Top {
		end = max(addr, s.Top)
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
