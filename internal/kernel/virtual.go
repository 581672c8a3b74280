package kernel

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A virtual clock does not go by the host's at all. Time passes because
// programs do something: a fixed amount for every system call and for every
// reading of the time-stamp counter. When all are asleep it jumps to the next
// timer. So with one CPU the order of all that happens, and when, is decided
// by the programs alone, however fast or busy the host is.
//
// Three things can still come from outside. Input: while somebody waits for it
// and nobody can run, time passes as fast as the host's. What the embedding
// program does: signals, programs it starts, AdvanceClock. And guest code that
// runs for very long without a call: see watch.

// virtualClock is such a clock. Only kernel code with the lock moves it.
type virtualClock struct {
	now    atomic.Int64
	offset atomic.Int64 // of the wall clock from it

	nextTick int64  // when CPU-time timers are looked at next
	forced   uint64 // how often the host's time had to decide
}

// virtualBoot is where a virtual clock begins: not with 0, which is no time.
const virtualBoot = int64(time.Second)

// VirtualStart is the time of day at which it does, if nothing else was asked
// for: the same in every run.
var VirtualStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

func newVirtualClock(realtime int64) *virtualClock {
	c := &virtualClock{}
	c.now.Store(virtualBoot)
	c.offset.Store(clampedAdd(realtime, -virtualBoot))
	return c
}

func (c *virtualClock) Monotonic() int64 { return c.now.Load() }
func (c *virtualClock) Shown() int64     { return c.now.Load() }
func (c *virtualClock) Realtime() int64  { return clampedAdd(c.now.Load(), c.offset.Load()) }

// Until is for when time passes as the host's: see skip.
func (c *virtualClock) Until(at int64) time.Duration { return time.Duration(at - c.now.Load()) }

func (c *virtualClock) advance(d int64) {
	c.now.Store(min(addSaturated(c.now.Load(), d), never))
}
func (c *virtualClock) step(d int64) { c.offset.Store(clampedAdd(c.offset.Load(), d)) }

// What things take, ns of virtual time.
const (
	userCost   = 1000 // a program's own time before a call
	systemCost = 1000 // a call
	readCost   = 50   // reading the time-stamp counter
)

// still reports whether the order of events is decided by programs alone, so
// that nothing else may happen while one waits for the host.
func (k *Kernel) still() bool { return k.virtual != nil && len(k.cpus) == 1 }

// Still reports whether the task's calls are to wait for the host where they
// stand, and Halted whether such a wait is to end.
func (t *Task) Still() bool  { return t.k.still() }
func (t *Task) Halted() bool { return t.interrupted(interruptible) }

// passes has virtual time pass while the task runs.
func (t *Task) passes(user, system int64) {
	t.vuser += user
	t.vsystem += system
	t.k.virtual.advance(user + system)
	t.k.due(t.cpu)
	if c := t.cpu; t.k.virtual.Monotonic()-c.since >= int64(slice*tick) && !c.ready.empty() {
		c.resched = true
	}
}

// due has happen what the time has come for. A task on the CPU gives way to
// those that a timer has woken.
func (k *Kernel) due(c *CPU) {
	v := k.virtual
	now := v.Monotonic()
	if len(k.timers.heap) > 0 && k.timers.heap[0].at <= now {
		was := k.serving
		k.nowServing(nil)
		k.timers.run()
		k.nowServing(was)
		if !c.ready.empty() {
			c.resched = true
		}
	}
	if now >= v.nextTick {
		v.nextTick = now - now%int64(tick) + int64(tick)
		if t := c.current; t != nil {
			t.tick()
		}
		for _, j := range k.jobs {
			j.checkCPU()
		}
	}
}

// resting reports whether no task can run: all CPUs are idle, but for the one
// that asks, and nothing is being done for a task elsewhere.
func (k *Kernel) resting(but *CPU) bool {
	for _, c := range k.cpus {
		if c != but && !c.idle || !c.ready.empty() || len(c.inbox) > 0 {
			return false
		}
	}
	for e := range k.errands.out {
		if e.t != nil {
			return false
		}
	}
	return k.offloaded == 0
}

// skip is what an idle CPU does with a virtual clock: time goes on to the next
// timer at once. It reports whether that was done. While a task waits for the
// outside world, time passes as the host's does, so that what is typed in
// between comes in between.
func (k *Kernel) skip(c *CPU) bool {
	h := &k.timers
	if k.closing || len(h.heap) == 0 || h.heap[0].at >= never || !k.resting(c) {
		return false
	}
	if k.awaited() {
		h.armHost()
		return false
	}
	k.virtual.to(h.heap[0].at)
	h.run()
	return true
}

// breathe lets others have the lock: timers that wake nobody can go off for
// ever.
func (k *Kernel) breathe() {
	k.mu.Unlock()
	k.mu.Lock()
}

// never is a time that does not come: sleeps without end have such deadlines.
const never = math.MaxInt64 / 2

func (c *virtualClock) to(at int64) { c.now.Store(max(c.now.Load(), min(at, never))) }

// waited is the host's timer, armed by skip for a time, going off.
func (k *Kernel) waited(at int64) {
	if h := &k.timers; len(h.heap) > 0 && !k.closing && k.resting(nil) {
		k.virtual.to(min(at, h.heap[0].at))
		h.run()
		k.cpus[0].poke() // to arm the next
	}
}

// Source is something outside that tasks may wait for.
type Source interface {
	// Awaited reports whether one does; Closed that none ever will again.
	// Both are called with the kernel lock.
	Awaited() bool
	Closed() bool
}

// AddSource tells of one. It is called with the kernel lock.
func (k *Kernel) AddSource(s Source) {
	if k.virtual == nil {
		return
	}
	k.sources = append(k.sources, s)
	if d, ok := s.(interface{ Disguise(ino uint64, now int64) }); ok {
		k.inode++
		d.Disguise(k.inode, k.clock.Realtime())
	}
}

// awaited reports whether a task waits for the outside world.
func (k *Kernel) awaited() bool {
	n := 0
	found := false
	for _, s := range k.sources {
		if s.Closed() {
			continue
		}
		k.sources[n] = s
		n++
		found = found || s.Awaited()
	}
	clear(k.sources[n:])
	k.sources = k.sources[:n]
	return found
}

// grace is how much of the host's CPU time guest code may use without a call
// before the host's time decides what happens to it.
const grace = 400 * time.Millisecond

// watch looks at guest code that runs without a call, once a tick of the host.
// It may be waiting for another thread to write to memory, or for a signal, and
// neither would ever come; so after a while time passes for it, and others get
// their turn. That is the one thing about a run that the host's speed decides,
// so it is counted.
func (k *Kernel) watch(c *CPU) {
	t := c.current
	if !c.inGuest || t.th == nil {
		return
	}
	used := t.th.Stats().User
	if c.watched != c.runs {
		c.watched, c.watchedFrom = c.runs, used
	}
	if !t.spinning {
		if used-c.watchedFrom < int64(grace) || c.ready.empty() && len(k.timers.heap) == 0 {
			return
		}
		t.spinning = true
		if k.virtual.forced == 0 {
			k.report("sysemu: %s (pid %d) ran for %v without a system call while others waited: from here on the host's speed has a say in what happens when", t.comm, t.p.pid, grace)
		}
		k.virtual.forced++
	}
	t.vuser += int64(tick)
	k.virtual.advance(int64(tick))
	k.due(c)
	if !c.ready.empty() {
		c.poke()
	}
}

// Forced is how often the host's speed has decided what happens when.
func (k *Kernel) Forced() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.virtual == nil {
		return 0
	}
	return k.virtual.forced
}

// seeded is a source of random bytes that are the same in every run.
func seeded(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}
