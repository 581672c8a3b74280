package net

import (
	"math/bits"
	"net/netip"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// packetQueue is what a socket of messages has received.
type packetQueue struct {
	head, tail *packet
	n          int // packets
	bytes      int
	cost       int
}

type packet struct {
	data  []byte
	from  *sock  // the sender, whose buffer it is charged to
	name  []byte // the sender's address, when from is nil
	creds unix.Ucred
	files []*vfs.File
	cost  int
	to    netip.Addr // of UDP: where it was sent to
	hops  uint8
	class uint8
	next  *packet
}

// packetCost is what a message of n bytes takes of a buffer: about what it
// takes on Linux, with its header and in blocks of powers of two.
func packetCost(n int) int {
	const header, tail = 256, 320
	return header + max(1<<bits.Len(uint(n+tail-1)), 512)
}

func (q *packetQueue) push(p *packet) {
	if q.tail != nil {
		q.tail.next = p
	} else {
		q.head = p
	}
	q.tail = p
	q.n++
	q.bytes += len(p.data)
	q.cost += p.cost
}

// pop takes the first packet out; its sender has room again then.
func (q *packetQueue) pop() *packet {
	p := q.head
	q.head = p.next
	if q.head == nil {
		q.tail = nil
	}
	p.next = nil
	q.n--
	q.bytes -= len(p.data)
	q.cost -= p.cost
	if p.from != nil {
		p.from.uncharge(p.cost)
	}
	return p
}

// sender returns the address the packet came from.
func (p *packet) sender() []byte {
	if p.from != nil {
		return p.from.addr
	}
	return p.name
}

// purge empties the queue and returns the files that were in it.
func (q *packetQueue) purge() (files []*vfs.File) {
	for q.head != nil {
		files = append(files, q.pop().files...)
	}
	return files
}
