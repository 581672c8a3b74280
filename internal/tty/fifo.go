package tty

// fifo is a queue of bytes. Its users bound its length.
type fifo struct {
	b   []byte
	off int
}

func (q *fifo) len() int      { return len(q.b) - q.off }
func (q *fifo) bytes() []byte { return q.b[q.off:] }

// compact makes sure that what was taken is not kept for ever.
func (q *fifo) compact() {
	if q.off > 0 && q.off >= q.len() {
		n := copy(q.b, q.b[q.off:])
		q.b, q.off = q.b[:n], 0
	}
}

func (q *fifo) put(p []byte) {
	q.compact()
	q.b = append(q.b, p...)
}

func (q *fifo) putByte(c byte) {
	q.compact()
	q.b = append(q.b, c)
}

// take moves bytes to p.
func (q *fifo) take(p []byte) int {
	n := copy(p, q.bytes())
	q.drop(n)
	return n
}

// drop forgets the first n bytes.
func (q *fifo) drop(n int) {
	q.off += n
	if q.off == len(q.b) {
		q.b, q.off = q.b[:0], 0
	}
}

// truncate forgets all but the first n bytes.
func (q *fifo) truncate(n int) {
	if n < q.len() {
		q.b = q.b[:q.off+n]
	}
}
