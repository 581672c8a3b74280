package kernel

import (
	"container/heap"
	"time"
)

// timerHeap holds what is to happen at a time of the monotonic clock. One Go
// timer is armed for the earliest.
//
// A timer that is set again later or stopped does not disarm the Go timer: it
// fires for nothing, which is cheaper than moving it on every sleep.
type timerHeap struct {
	k     *Kernel
	heap  timerSlice
	armed int64 // what the Go timer is set for; 0 = not
	host  *time.Timer
}

// timer is something to happen. Fire runs with the kernel lock held.
type timer struct {
	fire  func()
	at    int64
	index int // in the heap, -1 = not set
}

func (h *timerHeap) init(k *Kernel) { h.k = k }

func newTimer(fire func()) *timer { return &timer{fire: fire, index: -1} }

// set makes t fire at the given time of the monotonic clock.
func (h *timerHeap) set(t *timer, at int64) {
	t.at = at
	if t.index >= 0 {
		heap.Fix(&h.heap, t.index)
	} else {
		heap.Push(&h.heap, t)
	}
	if h.heap[0] == t {
		h.arm()
	}
}

// cancel reports whether t was set.
func (h *timerHeap) cancel(t *timer) bool {
	if t.index < 0 {
		return false
	}
	heap.Remove(&h.heap, t.index)
	return true
}

func (h *timerHeap) arm() {
	if h.k.virtual != nil {
		return // see skip
	}
	h.armHost()
}

// armHost sets the host's timer for the earliest.
func (h *timerHeap) armHost() {
	if len(h.heap) == 0 || h.k.closing {
		return
	}
	at := h.heap[0].at
	if h.armed != 0 && h.armed <= at {
		return
	}
	h.armed = at
	d := max(h.k.clock.Until(at), 0)
	if h.host == nil {
		h.host = time.AfterFunc(d, h.expire)
	} else {
		h.host.Reset(d)
	}
}

func (h *timerHeap) expire() {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	at := h.armed
	h.armed = 0
	if h.k.virtual != nil {
		h.k.waited(at)
		return
	}
	h.run()
	h.arm()
}

// moved is told that the clock was moved on.
func (h *timerHeap) moved() {
	h.armed = 0
	if h.k.virtual != nil {
		h.run()
		h.k.cpus[0].poke()
		return
	}
	h.arm()
}

// minPeriod is the least time between two expiries of a timer that repeats:
// those between are counted as overruns. Shorter ones would be due again before
// they were served.
const minPeriod = int64(100 * time.Microsecond)

// run fires what is due. What becomes due meanwhile waits for the next time, so
// that the lock is let go in between.
func (h *timerHeap) run() {
	now := h.k.clock.Monotonic()
	for len(h.heap) > 0 && !h.k.closing {
		t := h.heap[0]
		if t.at > now {
			return
		}
		heap.Pop(&h.heap)
		t.fire()
	}
}

func (h *timerHeap) stop() {
	if h.host != nil {
		h.host.Stop()
	}
}

type timerSlice []*timer

func (s timerSlice) Len() int           { return len(s) }
func (s timerSlice) Less(i, j int) bool { return s[i].at < s[j].at }
func (s timerSlice) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}
func (s *timerSlice) Push(x any) {
	t := x.(*timer)
	t.index = len(*s)
	*s = append(*s, t)
}
func (s *timerSlice) Pop() any {
	old := *s
	t := old[len(old)-1]
	old[len(old)-1] = nil
	t.index = -1
	*s = old[:len(old)-1]
	return t
}
