package net

import (
	"slices"

	"github.com/sysemu/sysemu/internal/vfs"
)

// Files in flight: those that messages hold which nobody has received yet.
//
// Contract: a message holds a reference to each of its files. A unix socket
// in flight can be kept alive by nothing but messages in queues that only
// sockets of the same kind have: a circle. When the last reference that is not
// a message's goes (vfs.Stranded), collect finds out and empties the queues.

// maxInFlight bounds what all messages of a machine hold.
const maxInFlight = 1 << 16

// fly notes that files have become a message's.
func (n *Stack) fly(files []*vfs.File) {
	n.inFlight += len(files)
	for _, f := range files {
		if _, ok := f.Impl.(*unixSock); ok {
			f.InFlight(1)
			n.flying[f] = struct{}{}
		}
	}
}

// land notes that files are not a message's any more.
func (n *Stack) land(files []*vfs.File) {
	n.inFlight -= len(files)
	for _, f := range files {
		if _, ok := f.Impl.(*unixSock); ok {
			f.InFlight(-1)
			if left, _ := f.OnlyInFlight(); left == 0 {
				delete(n.flying, f)
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

// collect empties the queues of the sockets that can be reached by nothing
// but messages in each other's queues.
func (n *Stack) collect(ctx vfs.Context) {
	left := make(map[*vfs.File]int) // references from outside of the set
	var set []*vfs.File
	for f := range n.flying {
		if refs, only := f.OnlyInFlight(); only {
			left[f] = refs
			set = append(set, f)
		}
	}
	slices.SortFunc(set, func(a, b *vfs.File) int {
		return int(a.Impl.(*unixSock).inode.ino) - int(b.Impl.(*unixSock).inode.ino)
	})
	for _, f := range set {
		f.Impl.(*unixSock).carried(func(g *vfs.File) {
			if _, ok := left[g]; ok {
				left[g]--
			}
		})
	}
	// What a reachable socket's queue has is reachable.
	var reachable []*vfs.File
	for _, f := range set {
		if left[f] > 0 {
			reachable = append(reachable, f)
		}
	}
	for _, f := range reachable {
		delete(left, f)
	}
	for len(reachable) > 0 {
		f := reachable[len(reachable)-1]
		reachable = reachable[:len(reachable)-1]
		f.Impl.(*unixSock).carried(func(g *vfs.File) {
			if _, ok := left[g]; ok {
				delete(left, g)
				reachable = append(reachable, g)
			}
		})
	}
	var garbage []*vfs.File
	for _, f := range set {
		if _, ok := left[f]; ok {
			garbage = append(garbage, f.Impl.(*unixSock).purge()...)
		}
	}
	n.drop(ctx, garbage)
}

// carried calls do for every file in the queues of s, and of the connections
// that wait to be accepted.
func (s *sock) carried(do func(f *vfs.File)) {
	for g := s.bytes.head; g != nil; g = g.next {
		for _, f := range g.files {
			do(f)
		}
	}
	for p := s.packets.head; p != nil; p = p.next {
		for _, f := range p.files {
			do(f)
		}
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
