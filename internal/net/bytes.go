package net

import (
	"sync"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// byteQueue is what a stream has received and nobody has read yet. It is made
// of segments; bytes of one segment came from one sender, and files travel
// with the first byte of theirs.
type byteQueue struct {
	head, tail *segment
	n          int // bytes
	segments   int
}

// used is how much of a buffer the queue takes: many little segments take
// more than their bytes.
func (q *byteQueue) used() int { return max(q.n, 768*q.segments) }

type segment struct {
	buf   []byte
	r, w  int
	creds unix.Ucred
	files []*vfs.File
	next  *segment
	pool  *sync.Pool
}

const (
	smallSegment = 2 << 10
	largeSegment = 32 << 10
)

var smallSegments, largeSegments sync.Pool

func init() {
	smallSegments.New = func() any { return &segment{buf: make([]byte, smallSegment), pool: &smallSegments} }
	largeSegments.New = func() any { return &segment{buf: make([]byte, largeSegment), pool: &largeSegments} }
}

func (g *segment) free() {
	*g = segment{buf: g.buf, pool: g.pool}
	g.pool.Put(g)
}

// push adds p, which is not empty, with files at its first byte.
func (q *byteQueue) push(p []byte, creds unix.Ucred, files []*vfs.File) {
	q.n += len(p)
	if g := q.tail; g != nil && len(files) == 0 && g.files == nil && g.creds == creds {
		n := copy(g.buf[g.w:], p)
		g.w += n
		p = p[n:]
	}
	for len(p) > 0 {
		pool := &smallSegments
		if len(p) > smallSegment {
			pool = &largeSegments
		}
		g := pool.Get().(*segment)
		g.creds, g.files = creds, files
		files = nil
		g.w = copy(g.buf, p)
		p = p[g.w:]
		if q.tail != nil {
			q.tail.next = g
		} else {
			q.head = g
		}
		q.tail = g
		q.segments++
	}
}

// skip drops the first n bytes of the first segment.
func (q *byteQueue) skip(n int) {
	g := q.head
	g.r += n
	q.n -= n
	if g.r == g.w {
		q.head = g.next
		if q.head == nil {
			q.tail = nil
		}
		q.segments--
		g.free()
	}
}

// purge empties the queue and returns the files that were in it.
func (q *byteQueue) purge() (files []*vfs.File) {
	for q.head != nil {
		files = append(files, q.head.files...)
		q.skip(q.head.w - q.head.r)
	}
	return files
}
