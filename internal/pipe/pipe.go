// Package pipe has pipes and named pipes: pipe(7), fifo(7), and what
// splice(2), tee(2) and vmsplice(2) do with them.
//
// Contract: guarded by the kernel lock. A pipe is a ring of segments, each at
// most a page, as on Linux: what fits, what is written in one piece and when a
// pipe is ready for writing all follow from segments, not from bytes. A reader
// is woken only when data come, a writer only when a segment becomes free.
package pipe

import (
	"sync"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

const (
	pageSize = 4096
	// DefaultSize is the capacity of a new pipe, MaxSize what an ordinary
	// user may ask for (/proc/sys/fs/pipe-max-size).
	DefaultSize = 16 * pageSize
	MaxSize     = 1 << 20
	// hugestSize is what anybody may ask for.
	hugestSize = 1 << 31
)

type page = [pageSize]byte

// pages has pages that no pipe uses. What is in them never shows: a segment
// knows how much of its page was written.
var pages = sync.Pool{New: func() any { return new(page) }}

// segment is a run of bytes in a page.
type segment struct {
	page     *page
	off, len uint16
	merge    bool // more may be written behind it
	packet   bool // read as one message
	shared   bool // another pipe has the page as well (tee): never reuse it
}

func (s *segment) bytes() []byte { return s.page[s.off : s.off+s.len] }

// take drops the first n bytes.
func (s *segment) take(n int) {
	s.off += uint16(n)
	s.len -= uint16(n)
}

// append adds b behind the segment if it may and all of it fits.
func (s *segment) append(b []byte) bool {
	end := int(s.off) + int(s.len)
	if !s.merge || end+len(b) > pageSize {
		return false
	}
	copy(s.page[end:], b)
	s.len += uint16(len(b))
	return true
}

// Pipe is a pipe. The zero Pipe has no ends; it is made by New and OpenFIFO.
type Pipe struct {
	ring  []segment // a power of two long, grown as needed up to slots
	head  uint32    // the next to write, modulo len(ring)
	tail  uint32    // the next to read
	slots uint32    // the capacity in segments

	readers, writers int    // ends of each kind
	opened           [2]int // how many readers, writers there have ever been
	spare            *page

	q       wait.Queue
	async   wait.Queue // for signals: see vfs.Async
	partner wait.Queue // who waits in open for the other end
	fifo    *vfs.Extra // where a named pipe is bound
}

const (
	asReader = 0
	asWriter = 1
)

func newPipe() *Pipe { return &Pipe{slots: DefaultSize / pageSize} }

func (p *Pipe) used() uint32         { return p.head - p.tail }
func (p *Pipe) empty() bool          { return p.head == p.tail }
func (p *Pipe) full() bool           { return p.used() >= p.slots }
func (p *Pipe) at(i uint32) *segment { return &p.ring[i&uint32(len(p.ring)-1)] }
func (p *Pipe) push(s segment)       { p.grow(); *p.at(p.head) = s; p.head++ }
func (p *Pipe) pushFront(s segment)  { p.grow(); p.tail--; *p.at(p.tail) = s }
func (p *Pipe) dataOrEOF() bool      { return !p.empty() || p.writers == 0 }
func (p *Pipe) roomOrBroken() bool   { return !p.full() || p.readers == 0 }

// grow makes room in the ring for one more segment.
func (p *Pipe) grow() {
	if int(p.used()) < len(p.ring) {
		return
	}
	p.relocate(max(4, 2*len(p.ring)))
}

// relocate moves the segments to a ring of n, a power of two.
func (p *Pipe) relocate(n int) {
	ring := make([]segment, n)
	used := p.used()
	for i := range used {
		ring[i] = *p.at(p.tail + i)
	}
	p.ring, p.tail, p.head = ring, 0, used
}

func (p *Pipe) newPage() *page {
	if g := p.spare; g != nil {
		p.spare = nil
		return g
	}
	return pages.Get().(*page)
}

func (p *Pipe) freePage(s *segment) {
	switch {
	case s.shared:
	case p.spare == nil:
		p.spare = s.page
	default:
		pages.Put(s.page)
	}
	s.page = nil
}

// pop drops the first segment.
func (p *Pipe) pop() {
	p.freePage(p.at(p.tail))
	p.tail++
}

// Len returns how many bytes are in the pipe: FIONREAD.
func (p *Pipe) Len() int {
	n := 0
	for i := p.tail; i != p.head; i++ {
		n += int(p.at(i).len)
	}
	return n
}

// Size is F_GETPIPE_SZ, in bytes.
func (p *Pipe) Size() int { return int(p.slots) * pageSize }

// SetSize is F_SETPIPE_SZ: the size is rounded up to a power of two of pages
// and returned. EINVAL beyond 2 GiB, EPERM beyond MaxSize without
// CAP_SYS_RESOURCE, EBUSY when what is in the pipe would not fit.
func (p *Pipe) SetSize(cred *vfs.Cred, size uint64) (int, error) {
	if size > hugestSize {
		return 0, unix.EINVAL
	}
	slots := uint32(1)
	for uint64(slots)*pageSize < size {
		slots *= 2
	}
	if slots > p.slots && uint64(slots)*pageSize > MaxSize && !cred.Has(unix.CAP_SYS_RESOURCE) {
		return 0, unix.EPERM
	}
	if slots < p.used() {
		return 0, unix.EBUSY
	}
	wasFull := p.full()
	p.slots = slots
	if wasFull && !p.full() {
		p.q.Wake(wait.Writable)
	}
	return p.Size(), nil
}

// Read takes up to len(b) bytes, waiting for the first unless nonblock. 0 is
// the end: the pipe is empty and nobody writes.
func (p *Pipe) Read(t wait.Task, b []byte, nonblock bool) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	slept, err := p.awaitData(t, nonblock)
	if err != nil {
		return 0, err
	}
	wasFull := p.full()
	n := 0
	for n < len(b) && !p.empty() {
		s := p.at(p.tail)
		c := copy(b[n:], s.bytes())
		n += c
		packet := s.packet
		if s.take(c); s.len == 0 || packet {
			p.pop() // the rest of a packet is lost
		}
		if packet {
			break
		}
	}
	p.wakeAfterTaking(wasFull, slept)
	return n, nil
}

// awaitData waits until there are data or nobody writes.
func (p *Pipe) awaitData(t wait.Task, nonblock bool) (slept bool, err error) {
	if p.dataOrEOF() {
		return false, nil
	}
	if nonblock {
		return false, unix.EAGAIN
	}
	return true, p.q.UntilExclusive(t, wait.Readable, 0, p.dataOrEOF)
}

// wakeAfterTaking tells writers of a free segment, and hands what is left to
// the next reader if this one was woken for it.
func (p *Pipe) wakeAfterTaking(wasFull, slept bool) {
	if wasFull && !p.full() {
		p.q.Wake(wait.Writable)
	}
	p.async.Wake(wait.Out)
	if slept && !p.empty() {
		p.q.Wake(wait.Readable)
	}
}

// awaitRoom waits until a segment is free or nobody reads: EPIPE.
func (p *Pipe) awaitRoom(t wait.Task, nonblock bool) (slept bool, err error) {
	if p.full() && p.readers > 0 {
		if nonblock {
			return false, unix.EAGAIN
		}
		slept = true
		if err := p.q.UntilExclusive(t, wait.Writable, 0, p.roomOrBroken); err != nil {
			return slept, err
		}
	}
	if p.readers == 0 {
		return slept, unix.EPIPE
	}
	return slept, nil
}

// wakeAfterPutting tells readers of new data, and hands the room that is left
// to the next writer if this one was woken for it.
func (p *Pipe) wakeAfterPutting(put, slept bool) {
	if put {
		p.q.Wake(wait.Readable)
	}
	p.async.Wake(wait.In)
	if slept && !p.full() {
		p.q.Wake(wait.Writable)
	}
}

// Write puts b into the pipe, in one piece if it is PIPE_BUF or less, and
// waits for room unless nonblock. EPIPE when nobody reads. packet: every page
// of b is to be read by itself.
func (p *Pipe) Write(t wait.Task, b []byte, nonblock, packet bool) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if p.readers > 0 && !p.empty() {
		// What is left beside whole pages goes behind the last segment,
		// if all of it fits there.
		if c := len(b) % pageSize; c > 0 && p.at(p.head-1).append(b[:c]) {
			n = c
		}
	}
	told, slept := 0, false
	for n < len(b) || n == 0 {
		if p.full() && n > told {
			p.q.Wake(wait.Readable)
			told = n
		}
		s, err := p.awaitRoom(t, nonblock)
		slept = slept || s
		if err != nil {
			if n == 0 {
				return 0, err
			}
			break
		}
		g := p.newPage()
		c := copy(g[:], b[n:])
		p.push(segment{page: g, len: uint16(c), merge: !packet, packet: packet})
		n += c
	}
	p.wakeAfterPutting(n > told, slept)
	return n, nil
}
