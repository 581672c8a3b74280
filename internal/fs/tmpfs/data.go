package tmpfs

import (
	"golang.org/x/sys/unix"
)

// data is a file's contents in Go memory: pages, held by chunks that are
// made where something is written. A page that is not there reads as zero.
type data struct {
	chunks map[int64]*chunk
	index  int64 // the chunk used last, to spare the map
	last   *chunk
	pages  int64 // there are
}

const (
	chunkPages = 16
	chunkShift = pageShift + 4
	chunkSize  = 1 << chunkShift
)

type page = [pageSize]byte

type chunk [chunkPages]*page

// reserved is a page that fallocate(2) asked for and nobody has written: it
// counts, but takes no memory.
var reserved page

// at returns the chunk at an offset, nil if there is none.
func (d *data) at(off int64) *chunk {
	i := off >> chunkShift
	if d.last != nil && d.index == i {
		return d.last
	}
	c := d.chunks[i]
	if c != nil {
		d.index, d.last = i, c
	}
	return c
}

// page returns the page at an offset, nil for a hole.
func (d *data) page(off int64) *page {
	if c := d.at(off); c != nil {
		return c[off>>pageShift&(chunkPages-1)]
	}
	return nil
}

// slot returns where the page at an offset is held.
func (d *data) slot(off int64) **page {
	c := d.at(off)
	if c == nil {
		c = new(chunk)
		if d.chunks == nil {
			d.chunks = make(map[int64]*chunk)
		}
		d.index, d.last = off>>chunkShift, c
		d.chunks[d.index] = c
	}
	return &c[off>>pageShift&(chunkPages-1)]
}

// read fills p with what is at off.
func (d *data) read(p []byte, off int64) {
	for len(p) > 0 {
		in := off & (pageSize - 1)
		n := min(int64(len(p)), pageSize-in)
		if pg := d.page(off); pg != nil {
			copy(p[:n], pg[in:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+n
	}
}

// write puts p at off, as far as fs has pages: ENOSPC when it has none for
// the first byte.
func (d *data) write(fs *FS, p []byte, off int64) (int, error) {
	done := 0
	for len(p) > 0 {
		in := off & (pageSize - 1)
		n := int(min(int64(len(p)), pageSize-in))
		s := d.slot(off)
		if *s == nil {
			if err := fs.takePages(1); err != nil {
				if done > 0 {
					return done, nil
				}
				return 0, err
			}
			d.pages++
			*s = new(page)
		} else if *s == &reserved {
			*s = new(page)
		}
		copy((*s)[in:], p[:n])
		p, off, done = p[n:], off+int64(n), done+n
	}
	return done, nil
}

// reserve makes the pages from off to end count as used: all or ENOSPC.
func (d *data) reserve(fs *FS, off, end int64) error {
	first, last := off>>pageShift, (end-1)>>pageShift
	if last-first+1-d.pages > fs.room() {
		return unix.ENOSPC // before the pages are looked at one by one
	}
	var want int64
	for i := first; i <= last; i++ {
		if d.page(i<<pageShift) == nil {
			want++
		}
	}
	if err := fs.takePages(want); err != nil {
		return err
	}
	d.pages += want
	for i := first; i <= last; i++ {
		if s := d.slot(i << pageShift); *s == nil {
			*s = &reserved
		}
	}
	return nil
}

// punch makes the bytes from off to end zero and gives back whole pages.
func (d *data) punch(fs *FS, off, end int64) {
	if off >= end {
		return
	}
	d.zero(off, min(end, (off+pageSize-1)&^(pageSize-1)))
	if tail := end &^ (pageSize - 1); tail >= off {
		d.zero(max(off, tail), end)
	}
	first, last := (off+pageSize-1)>>pageShift, end>>pageShift // whole pages, last excluded
	if first >= last {
		return
	}
	for i, c := range d.chunks {
		base := i * chunkPages
		if base+chunkPages <= first || base >= last {
			continue
		}
		left := false
		for j, pg := range c {
			switch n := base + int64(j); {
			case pg == nil:
			case n < first || n >= last:
				left = true
			default:
				c[j] = nil
				d.pages--
				fs.takePages(-1)
			}
		}
		if !left {
			delete(d.chunks, i)
			if d.last == c {
				d.last = nil
			}
		}
	}
}

// zero clears the bytes from off to end, which are in one page.
func (d *data) zero(off, end int64) {
	if off >= end {
		return
	}
	if pg := d.page(off); pg != nil && pg != &reserved {
		in := off & (pageSize - 1)
		clear(pg[in : in+end-off])
	}
}

// seek returns the first offset from off on, below size, that is data, or
// that is not; size when there is none.
func (d *data) seek(off, size int64, wantData bool) int64 {
	if d.pages == 0 {
		if wantData {
			return size
		}
		return off
	}
	for off < size {
		c := d.at(off)
		if c == nil && wantData {
			off = d.nextChunk(off, size)
			continue
		}
		if (c != nil && c[off>>pageShift&(chunkPages-1)] != nil) == wantData {
			return off
		}
		off = (off + pageSize) &^ (pageSize - 1)
	}
	return size
}

// nextChunk returns the start of the first chunk after the one off is in.
func (d *data) nextChunk(off, size int64) int64 {
	i := off >> chunkShift
	if n := size - off; n>>chunkShift < int64(len(d.chunks)) {
		return (i + 1) << chunkShift
	}
	next := size
	for j := range d.chunks {
		if j > i {
			next = min(next, j<<chunkShift)
		}
	}
	return next
}

// each calls f for every page that was written, in no order.
func (d *data) each(f func(off int64, p *page) error) error {
	for i, c := range d.chunks {
		for j, pg := range c {
			if pg == nil || pg == &reserved {
				continue
			}
			if err := f(i<<chunkShift+int64(j)<<pageShift, pg); err != nil {
				return err
			}
		}
	}
	return nil
}
