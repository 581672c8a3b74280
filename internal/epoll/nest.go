package epoll

import "golang.org/x/sys/unix"

// mayNest says whether ep may watch inner: ELOOP when that would close a
// circle or nest instances too deep, EINVAL when an event would have too many
// ways to travel.
func (ep *Epoll) mayNest(inner *Epoll) error {
	down := depths{without: ep, known: make(map[*Epoll]int)}
	below := down.of(inner, 0)
	if below > maxNests || below+1+ep.height() > maxNests {
		return unix.ELOOP
	}
	more := max(ep.paths(maxPaths), 1)
	for in := range down.known {
		if in.paths(maxPaths)+more > maxPaths {
			return unix.EINVAL
		}
	}
	return nil
}

// depths finds how many levels of instances there are below one.
type depths struct {
	without *Epoll // not to be met: it counts as too deep
	known   map[*Epoll]int
}

func (d *depths) of(ep *Epoll, level int) int {
	if ep == d.without || level > maxNests {
		return maxNests + 1
	}
	if n, ok := d.known[ep]; ok {
		return n
	}
	deepest := 0
	for _, it := range ep.inner {
		deepest = max(deepest, d.of(it.inner, level+1)+1)
		if deepest > maxNests {
			break
		}
	}
	d.known[ep] = deepest
	return deepest
}

// height is how many levels of instances watch ep. The ways up are few, see
// maxPaths.
func (ep *Epoll) height() int {
	highest := 0
	for _, it := range ep.outer {
		highest = max(highest, it.ep.height()+1)
	}
	return highest
}

// paths counts the ways from ep up to instances that nothing watches, and
// stops at limit.
func (ep *Epoll) paths(limit int) int {
	n := 0
	for _, it := range ep.outer {
		if n >= limit {
			break
		}
		n += max(it.ep.paths(limit-n), 1)
	}
	return n
}
