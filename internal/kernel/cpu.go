package kernel

import (
	"iter"
	"runtime"
	"time"

	"github.com/sysemu/sysemu/internal/machine"
)

// CPU is a virtual CPU: one goroutine locked to its thread. It takes ready
// tasks in turn and runs each until it sleeps, ends or has used its slice.
//
// A task's kernel code runs on a coroutine of this thread, its kernel stack.
// A task that sleeps in the kernel keeps its stack and so stays with this CPU;
// one that is in user mode has none and may go to another.
type CPU struct {
	k       *Kernel
	id      int
	hw      *machine.CPU
	ready   taskList
	current *Task
	resched bool // current should give way; also set with a kick
	idle    bool
	inGuest bool          // current runs guest code, or is about to
	wake    chan struct{} // capacity 1: something for an idle CPU
	inbox   []func()      // to run on this CPU's thread, lock held
	spare   []*kstack
	stacks  int // alive

	runs        uint64 // entries to guest code
	watched     uint64 // runs, when watch looked
	watchedFrom int64  // CPU time of the thread then
	since       int64  // when the virtual clock's slice began

	seq     uint64 // dispatches; the ticker's sign of progress
	tickSeq uint64 // seq at the last tick
}

func newCPU(k *Kernel, id int) *CPU {
	return &CPU{k: k, id: id, wake: make(chan struct{}, 1)}
}

// main is the CPU's life.
func (c *CPU) main(zygote *machine.Thread, started chan<- error) {
	k := c.k
	defer k.stopped.Done()
	machine.LockThread() // never unlocked: the thread ends with the goroutine
	hw, err := k.hw.NewCPU(c.id, zygote)
	if err != nil {
		started <- err
		return
	}
	c.hw = hw
	started <- nil
	k.mu.Lock()
	for {
		for len(c.inbox) > 0 {
			f := c.inbox[0]
			c.inbox = c.inbox[1:]
			f()
		}
		t := c.ready.pop()
		if t == nil {
			if k.closing && k.pids.count() == 0 {
				break
			}
			if k.virtual != nil && k.skip(c) {
				k.breathe()
				continue
			}
			c.sleep()
			continue
		}
		c.dispatch(t)
	}
	for _, s := range c.spare {
		s.stop()
	}
	k.mu.Unlock()
	c.hw.Close()
	// Other CPUs may be waiting for the last task to go.
	k.mu.Lock()
	for _, o := range k.cpus {
		o.poke()
	}
	k.mu.Unlock()
}

// sleep waits until there is something to do. An idle CPU uses no host CPU.
func (c *CPU) sleep() {
	c.idle = true
	c.k.mu.Unlock()
	<-c.wake
	c.k.mu.Lock()
	c.idle = false
}

// poke wakes the CPU if it is idle, or makes its guest come out.
func (c *CPU) poke() {
	if c.idle {
		select {
		case c.wake <- struct{}{}:
		default:
		}
		return
	}
	c.resched = true
	if t := c.current; t != nil && t.th != nil {
		t.th.Kick()
	}
}

// call runs f on the CPU's thread and waits for it. Not for kernel code.
func (c *CPU) call(f func()) {
	done := make(chan struct{})
	c.k.mu.Lock()
	c.inbox = append(c.inbox, func() { f(); close(done) })
	c.poke()
	c.k.mu.Unlock()
	<-done
}

// dispatch lets t run until it sleeps, ends, or gives way.
func (c *CPU) dispatch(t *Task) {
	if t.stack == nil {
		if t.th != nil && t.th.CPU() != c.hw && !t.th.Dead() {
			if err := t.th.Adopt(c.hw); err != nil {
				t.th.Destroy() // it runs into Died
			}
		}
		t.cpu = c
		t.stack = c.getStack()
		t.stack.task = t
	}
	c.current = t
	c.resched = c.k.closing
	c.seq++
	t.state = running
	if v := c.k.virtual; v != nil {
		c.since = v.Monotonic()
	}
	if !c.k.ticking {
		c.k.startTicker()
	}
	s := t.stack
	s.resume()
	c.current = nil
	if s.task == nil {
		c.spare = append(c.spare, s)
	}
	if t.state == running { // gave way
		t.state = ready
		t.readySince = nanotime()
		to := t.moveTo
		t.moveTo = nil
		if to != nil && to != c && !c.k.closing {
			c.handOver(t, to)
		} else {
			c.ready.push(t)
		}
	}
}

// join has the task run on the CPU of another that it goes back and forth with:
// two CPUs would wake each other each time, which costs many times what a move
// does. It stays there for a while even if it has to wait.
func (t *Task) join(o *Task) {
	if !t.mayRunOn(o.cpu) {
		return
	}
	t.movedAt = nanotime()
	if t.cpu != o.cpu {
		t.moveTo = o.cpu
	}
}

// mayRunOn tells what sched_setaffinity(2) has left the task.
func (t *Task) mayRunOn(c *CPU) bool {
	m := t.attrs.affinity
	return m == nil || m[c.id/8]&(1<<(c.id%8)) != 0
}

// heedAffinity sends the task to a CPU that it may run on.
func (t *Task) heedAffinity() {
	at := t.cpu
	if t.moveTo != nil {
		at = t.moveTo
	}
	if at == nil || t.mayRunOn(at) {
		return
	}
	var best *CPU
	for _, c := range t.k.cpus {
		if t.mayRunOn(c) && (best == nil || c.load() < best.load()) {
			best = c
		}
	}
	t.moveTo = best
	if t.cpu.current == t {
		t.cpu.poke()
	}
}

// settled reports whether the task is where it is for no reason to stay.
func (t *Task) settled(now int64) bool {
	return t.movedAt == 0 || time.Duration(now-t.movedAt) > loyalty
}

// handOver gives a task in user mode to another CPU. One that was given to this
// CPU and has not run here is let go of already.
func (c *CPU) handOver(t *Task, to *CPU) {
	if t.th != nil && t.th.CPU() == c.hw && !t.th.Dead() {
		if err := t.th.Park(); err != nil {
			t.th.Destroy()
		}
	}
	to.ready.push(t)
	to.poke()
}

const (
	tick = 4 * time.Millisecond
	// slice is how long a task may keep others of its CPU waiting.
	slice = 2 // ticks
	// patience is how long a task waits before it is moved to an idle CPU:
	// longer than a fork and wait takes, since moving costs more than that.
	patience = 2 * time.Millisecond
	// loyalty is how long it is not moved away from one that it has joined.
	loyalty = 100 * time.Millisecond
)

// startTicker begins the time slices; they end when all CPUs are idle.
func (k *Kernel) startTicker() {
	k.ticking = true
	k.stopped.Add(1)
	go func() {
		defer k.stopped.Done()
		idle := 0
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-k.quit:
				return
			}
			k.checkMemory()
			k.mu.Lock()
			if k.tickAll() {
				idle = 0
			} else if idle++; idle > 16 {
				k.ticking = false
				k.ram.full = false // nobody looks any more, nobody takes more
				k.mu.Unlock()
				return
			}
			k.mu.Unlock()
		}
	}()
}

// tickAll looks at every CPU: a task that has run since the last tick with
// others waiting gives way, and one that has waited long goes to an idle CPU,
// or now and then to one that has less to do.
// It reports whether any CPU was at work.
func (k *Kernel) tickAll() bool {
	now := nanotime() // who waits too long is a matter of the host's time
	busy := false
	for _, c := range k.cpus {
		if c.current == nil && c.ready.empty() {
			continue
		}
		busy = true
		if t := c.current; t != nil && k.virtual != nil {
			k.watch(c)
		} else if t != nil {
			t.tick()
		}
		if c.ready.empty() {
			continue
		}
		if c.seq == c.tickSeq && k.virtual == nil {
			c.poke()
		}
		c.tickSeq = c.seq
		if to := k.relief(c); to != nil {
			// The thread must be let go of by its own CPU.
			if t := c.ready.find(func(t *Task) bool {
				return t.stack == nil && time.Duration(now-t.readySince) > patience && t.settled(now) && t.mayRunOn(to)
			}); t != nil {
				c.inbox = append(c.inbox, func() {
					if t.stack == nil && t.mayRunOn(to) && c.ready.remove(t) {
						c.handOver(t, to)
					}
				})
				c.poke()
			}
		}
	}
	for _, j := range k.jobs {
		if k.virtual != nil {
			break // see due
		}
		j.checkCPU()
	}
	return busy
}

// relief is a CPU that may take a task off c's hands: nil when there is none.
func (k *Kernel) relief(c *CPU) *CPU {
	k.balance++
	var best *CPU
	n := c.load()
	for _, o := range k.cpus {
		if o.idle && o.ready.empty() {
			return o
		}
		if l := o.load(); l+2 <= n && k.balance%balanceTicks == 0 {
			best, n = o, l+2
		}
	}
	return best
}

// balanceTicks is how many looks at a CPU pass between moves for balance.
const balanceTicks = 7

// load is how many tasks the CPU has to run.
func (c *CPU) load() int {
	n := 0
	if c.current != nil {
		n++
	}
	for t := c.ready.head; t != nil; t = t.nextReady {
		n++
	}
	return n
}

// kstack is a kernel stack: a coroutine that serves one task after another.
// It is made, resumed and stopped on its CPU's thread only.
type kstack struct {
	task  *Task
	next  func() (struct{}, bool)
	end   func()
	yield func(struct{}) bool
}

func (c *CPU) getStack() *kstack {
	if n := len(c.spare); n > 0 {
		s := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return s
	}
	s := &kstack{}
	s.next, s.end = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		for {
			t := s.task
			t.main()
			t.stack = nil
			s.task = nil
			if !yield(struct{}{}) {
				return
			}
		}
	})
	c.stacks++
	return s
}

func (s *kstack) resume() { s.next() }
func (s *kstack) stop()   { s.end() }

// park leaves the kernel stack as it is until the task is resumed.
func (s *kstack) park() {
	if !s.yield(struct{}{}) {
		// stop is called on spare stacks only.
		runtime.Goexit()
	}
}

// taskList is a queue of ready tasks.
type taskList struct{ head, tail *Task }

func (l *taskList) empty() bool { return l.head == nil }

func (l *taskList) push(t *Task) {
	t.nextReady = nil
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.nextReady = t
	}
	l.tail = t
}

func (l *taskList) pop() *Task {
	t := l.head
	if t != nil {
		l.head = t.nextReady
		if l.head == nil {
			l.tail = nil
		}
		t.nextReady = nil
	}
	return t
}

func (l *taskList) find(ok func(*Task) bool) *Task {
	for t := l.head; t != nil; t = t.nextReady {
		if ok(t) {
			return t
		}
	}
	return nil
}

func (l *taskList) remove(t *Task) bool {
	var prev *Task
	for x := l.head; x != nil; prev, x = x, x.nextReady {
		if x != t {
			continue
		}
		if prev == nil {
			l.head = x.nextReady
		} else {
			prev.nextReady = x.nextReady
		}
		if l.tail == x {
			l.tail = prev
		}
		x.nextReady = nil
		return true
	}
	return false
}
