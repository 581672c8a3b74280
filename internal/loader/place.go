package loader

import (
	"math"
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"
)

// Bounds are the addresses [Min, Max) that a program may take, both multiples
// of a page.
type Bounds struct{ Min, Max uint64 }

// Mapping is a private mapping to be made at exactly Addr, over whatever is
// there. Addr, Len and Off are multiples of a page, Len is not 0. A file may
// end before the mapping does.
type Mapping struct {
	Addr, Len uint64
	Prot      int // PROT_*
	Anonymous bool
	Off       int64 // in the file, unless Anonymous
}

// Range is Len bytes at Addr.
type Range struct{ Addr, Len uint64 }

// Placed is an image at its place. The mappings are to be made in order; then
// the Zero ranges, each within a page of a writable mapping, are to be
// cleared (when that faults, because the file ends before, the load fails).
type Placed struct {
	Mappings []Mapping
	Zero     []Range

	Bias  uint64 // what is added to the addresses in the file
	Start uint64 // the lowest page
	End   uint64 // after the highest
	Entry uint64 // where to begin, if nothing else interprets the program
	PhDr  uint64 // AT_PHDR

	// As in /proc/PID/stat, and where brk begins when nothing moves it.
	StartCode, EndCode, StartData, EndData, Brk uint64

	zeroOf []int // which mapping each of Zero is in
}

// Place says how to map an image so that its lowest page is at base; an image
// that is not Dynamic ignores base. The error is any reason why Linux cannot
// load it: the process is past the point of no return then.
func (im *Image) Place(base uint64, in Bounds) (*Placed, error) {
	if im.late != nil {
		return nil, im.late
	}
	// An ET_EXEC file that loads nothing is run, and faults at once.
	if len(im.loads) == 0 && im.Dynamic {
		return nil, unix.EINVAL
	}
	p := &Placed{Start: math.MaxUint64, StartCode: math.MaxUint64}
	if im.Dynamic {
		if pageOffset(base) != 0 {
			return nil, unix.EINVAL
		}
		p.Bias = base - im.lowest() // modulo 2^64, as all that is added to it
	}
	for _, s := range im.loads {
		if err := p.load(s, in); err != nil {
			return nil, err
		}
		if s.off <= im.phoff && im.phoff-s.off < s.filesz {
			p.PhDr = im.phoff - s.off + s.vaddr
		}
	}
	if len(im.loads) == 0 {
		p.Start = 0
	}
	p.dropReplaced()
	p.PhDr += p.Bias
	p.Entry = im.Entry + p.Bias
	if p.Entry >= in.Max {
		return nil, unix.EINVAL
	}
	p.Brk = pageStart(p.Brk + pageSize - 1)
	return p, nil
}

// load adds a segment.
func (p *Placed) load(s segment, in Bounds) error {
	addr := s.vaddr + p.Bias
	if addr >= in.Max || s.filesz > s.memsz || s.memsz > in.Max-addr {
		return unix.EINVAL
	}
	start := pageStart(addr)
	// No sum can wrap from here: everything is below Max.
	fileEnd, end := addr+s.filesz, addr+s.memsz
	zero := start // where zeroes begin that no file is mapped to
	if s.filesz != 0 {
		off, borrow := bits.Sub64(s.off, pageOffset(addr), 0)
		if pageOffset(off) != 0 {
			return unix.EINVAL
		}
		m := Mapping{Addr: start, Len: pageUp(fileEnd) - start, Prot: protection(s.flags), Off: int64(off)}
		if borrow != 0 || off > math.MaxInt64-m.Len {
			return unix.EOVERFLOW
		}
		if err := p.add(m, in); err != nil {
			return err
		}
		// Linux lets what it cannot clear be: the file's bytes stay
		// behind a segment that may not be written.
		if s.memsz > s.filesz && pageOffset(fileEnd) != 0 && m.Prot&unix.PROT_WRITE != 0 {
			p.Zero = append(p.Zero, Range{fileEnd, pageSize - pageOffset(fileEnd)})
			p.zeroOf = append(p.zeroOf, len(p.Mappings)-1)
		}
		zero = pageUp(fileEnd)
	}
	// What is beyond is as a heap: writable whatever the header says.
	if s.memsz > s.filesz && pageUp(end) > zero {
		prot := unix.PROT_READ | unix.PROT_WRITE | protection(s.flags)&unix.PROT_EXEC
		if err := p.add(Mapping{Addr: zero, Len: pageUp(end) - zero, Prot: prot, Anonymous: true}, in); err != nil {
			return err
		}
	}

	p.Start = min(p.Start, start)
	p.End = max(p.End, pageUp(end))
	if s.flags&pfX != 0 {
		p.StartCode = min(p.StartCode, addr)
		p.EndCode = max(p.EndCode, fileEnd)
	}
	p.StartData = max(p.StartData, addr)
	p.EndData = max(p.EndData, fileEnd)
	p.Brk = max(p.Brk, end)
	return nil
}

func (p *Placed) add(m Mapping, in Bounds) error {
	if m.Addr < in.Min {
		return unix.EPERM
	}
	if m.Addr >= in.Max || m.Len > in.Max-m.Addr {
		return unix.ENOMEM
	}
	p.Mappings = append(p.Mappings, m)
	return nil
}

// dropReplaced forgets ranges to be cleared in pages that a later mapping
// takes, which Linux clears before it makes that mapping.
func (p *Placed) dropReplaced() {
	kept := p.Zero[:0]
	for i, z := range p.Zero {
		later := p.Mappings[p.zeroOf[i]+1:]
		if !slices.ContainsFunc(later, func(m Mapping) bool { return m.Addr <= z.Addr && z.Addr-m.Addr < m.Len }) {
			kept = append(kept, z)
		}
	}
	p.Zero, p.zeroOf = kept, nil
}

func protection(flags uint32) (prot int) {
	if flags&pfR != 0 {
		prot |= unix.PROT_READ
	}
	if flags&pfW != 0 {
		prot |= unix.PROT_WRITE
	}
	if flags&pfX != 0 {
		prot |= unix.PROT_EXEC
	}
	return
}

// pageUp is the first page start at or after a, which is below a Bounds' Max.
func pageUp(a uint64) uint64 { return pageStart(a + pageSize - 1) }
