package net

import "github.com/sysemu/sysemu/internal/vfs"

// Files in flight: those that messages hold which nobody has received yet.
//
// Contract: a message holds a reference to each of its files. A unix socket
// in flight can be kept alive by nothing but messages in queues that only
// sockets of the same kind have: a circle. When the last reference that is not
// a message's goes (vfs.Stranded), Collect finds out and empties the queues.

// maxInFlight bounds what all messages of a machine hold.
const maxInFlight = 1 << 16

// flights is the list of the unix sockets in flight, in the order they set
// off.
type flights struct {
	head, tail *unixSock
	n          int
	stranded   int // that became so since the last collection
}

// flight is what the collector knows of a unix socket.
type flight struct {
	file       *vfs.File // nil when it is not in flight
	prev, next *unixSock
	left       int // references from outside of the suspects
	suspect    bool
}

func (l *flights) add(s *unixSock, f *vfs.File) {
	if s.flight.file != nil {
		return
	}
	s.flight = flight{file: f, prev: l.tail}
	if l.tail != nil {
		l.tail.flight.next = s
	} else {
		l.head = s
	}
	l.tail = s
	l.n++
}

func (l *flights) remove(s *unixSock) {
	p, n := s.flight.prev, s.flight.next
	if p != nil {
		p.flight.next = n
	} else {
		l.head = n
	}
	if n != nil {
		n.flight.prev = p
	} else {
		l.tail = p
	}
	s.flight = flight{}
	l.n--
}

// fly notes that files have become a message's.
func (n *Stack) fly(files []*vfs.File) {
	n.inFlight += len(files)
	for _, f := range files {
		if s, ok := f.Impl.(*unixSock); ok {
			f.InFlight(1)
			n.flights.add(s, f)
		}
	}
}

// land notes that files are not a message's any more.
func (n *Stack) land(files []*vfs.File) {
	n.inFlight -= len(files)
	for _, f := range files {
		if s, ok := f.Impl.(*unixSock); ok {
			f.InFlight(-1)
			if left, _ := f.OnlyInFlight(); left == 0 {
				n.flights.remove(s)
			}
		}
	}
}

// drop gives back the files of messages that nobody will receive. The end of
// one may drop others: they take turns, however long the chain.
func (n *Stack) drop(ctx vfs.Context, files []*vfs.File) {
	n.land(files)
	n.doomed = append(n.doomed, files...)
	if n.dropping {
		return
	}
	n.dropping = true
	for len(n.doomed) > 0 {
		last := len(n.doomed) - 1
		f := n.doomed[last]
		n.doomed[last] = nil
		n.doomed = n.doomed[:last]
		f.Unref(ctx)
	}
	n.doomed, n.dropping = nil, false
}

// few is how many sockets in flight are looked through at once; when there
// are more, it is done for every so many of them that are stranded.
const few = 256

// strand is told of a socket that only messages hold now.
func (n *Stack) strand(ctx vfs.Context) {
	l := &n.flights
	l.stranded++
	if l.n > few && l.stranded < l.n/4 {
		return
	}
	l.stranded = 0
	n.Collect(ctx)
}

// Collect empties the queues of the sockets that can be reached by nothing
// but messages in each other's queues: it is done in time by itself, but not
// for the last of many, which the end of the machine is.
func (n *Stack) Collect(ctx vfs.Context) {
	var suspects []*unixSock
	for s := n.flights.head; s != nil; s = s.flight.next {
		refs, only := s.flight.file.OnlyInFlight()
		s.flight.suspect, s.flight.left = only, refs
		if only {
			suspects = append(suspects, s)
		}
	}
	for _, s := range suspects {
		s.carried(func(o *unixSock) { o.flight.left-- })
	}
	// What a reachable socket's queue has is reachable.
	var reachable []*unixSock
	for _, s := range suspects {
		if s.flight.left > 0 {
			s.flight.suspect = false
			reachable = append(reachable, s)
		}
	}
	for len(reachable) > 0 {
		s := reachable[len(reachable)-1]
		reachable = reachable[:len(reachable)-1]
		s.carried(func(o *unixSock) {
			if o.flight.suspect {
				o.flight.suspect = false
				reachable = append(reachable, o)
			}
		})
	}
	var garbage []*vfs.File
	for _, s := range suspects {
		if s.flight.suspect {
			garbage = append(garbage, s.purge()...)
		}
	}
	n.drop(ctx, garbage)
}

// carried calls do for every unix socket in the queues of s, and of the
// connections that wait to be accepted.
func (s *sock) carried(do func(*unixSock)) {
	files := func(files []*vfs.File) {
		for _, f := range files {
			if u, ok := f.Impl.(*unixSock); ok {
				do(u)
			}
		}
	}
	for g := s.bytes.head; g != nil; g = g.next {
		files(g.files)
	}
	for p := s.packets.head; p != nil; p = p.next {
		files(p.files)
	}
	for _, c := range s.pending {
		c.carried(do)
	}
}

// purge empties the same queues and returns the files.
func (s *sock) purge() []*vfs.File {
	files := append(s.bytes.purge(), s.packets.purge()...)
	for _, c := range s.pending {
		files = append(files, c.purge()...)
	}
	return files
}
