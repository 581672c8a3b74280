package hostfs

import "golang.org/x/sys/unix"

// handle is a host descriptor that an inode keeps. While refs is 0 it is in
// the cache's list and is closed when room is wanted.
type handle struct {
	fd         int
	refs       int
	plain      bool     // the host cannot say whether reading would wait
	slot       **handle // where the inode keeps it; nil once it does not
	prev, next *handle
}

// cache has a file system's descriptors: the ones not in use in a list, the
// latest used first.
type cache struct {
	ring handle // the list's sentinel
	idle int
	max  int
	open int // all of them
}

func (c *cache) init(max int) {
	if max <= 0 {
		max = 512
		var lim unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil {
			max = int(min(512, lim.Cur/4))
		}
	}
	c.max = max
	c.ring.prev, c.ring.next = &c.ring, &c.ring
}

// add takes a descriptor into the cache, kept at *slot, with one reference.
func (c *cache) add(fd int, slot **handle) *handle {
	c.open++
	h := &handle{fd: fd, refs: 1, slot: slot}
	if slot != nil {
		*slot = h
	}
	return h
}

func (c *cache) get(h *handle) *handle {
	if h.refs == 0 {
		h.prev.next, h.next.prev = h.next, h.prev
		h.prev, h.next = nil, nil
		c.idle--
	}
	h.refs++
	return h
}

// put gives a reference back. Without a slot the last one closes.
func (c *cache) put(h *handle) {
	h.refs--
	if h.refs > 0 {
		return
	}
	if h.slot == nil {
		c.close(h)
		return
	}
	h.prev, h.next = &c.ring, c.ring.next
	h.next.prev, c.ring.next = h, h
	c.idle++
	c.trim(c.max)
}

// forget empties the slot of h, which is closed when it is not in use.
func (c *cache) forget(h *handle) {
	if h.slot == nil {
		return
	}
	*h.slot = nil
	h.slot = nil
	if h.refs == 0 {
		h.prev.next, h.next.prev = h.next, h.prev
		c.idle--
		c.close(h)
	}
}

// trim closes the longest unused descriptors until n are left.
func (c *cache) trim(n int) {
	for c.idle > n {
		c.forget(c.ring.prev)
	}
}

func (c *cache) close(h *handle) {
	if h.fd >= 0 {
		unix.Close(h.fd)
		h.fd = -1
		c.open--
	}
}
