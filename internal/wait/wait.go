// Package wait has the wait queue, on which tasks sleep until something
// happens to a pipe, a socket, a child or a futex, and the view a blocking
// operation has of the task that runs it.
//
// Contract: everything here is guarded by the kernel lock; a Queue has no lock
// of its own. A callback runs with the kernel lock held and must not block.
package wait

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Events is a set of poll(2) events (POLLIN, POLLOUT, ...).
type Events uint32

// The events of poll(2) and epoll(7), with the host's own values.
const (
	In     Events = unix.POLLIN
	Pri    Events = unix.POLLPRI
	Out    Events = unix.POLLOUT
	Err    Events = unix.POLLERR
	Hup    Events = unix.POLLHUP
	RdNorm Events = 0x40
	RdBand Events = 0x80
	WrNorm Events = 0x100
	WrBand Events = 0x200
	RdHup  Events = unix.POLLRDHUP

	// Readable and Writable are what plain readers and writers wait for.
	Readable = In | RdNorm
	Writable = Out | WrNorm
	All      = ^Events(0)
)

// Entry is one waiter in at most one Queue.
type Entry struct {
	// Notify is called when one of the entry's events is signalled. It
	// reports whether it consumed an exclusive wake-up.
	Notify func(e *Entry, ev Events) bool
	// Exclusive waiters are woken one per Wake (EPOLLEXCLUSIVE, accept).
	Exclusive bool

	task Task // woken when there is no Notify

	mask       Events
	q          *Queue
	prev, next *Entry
}

// Queued reports whether the entry is in a queue.
func (e *Entry) Queued() bool { return e.q != nil }

// Queue is a list of waiters, served in the order they came. The zero Queue
// is ready for use.
type Queue struct {
	head, tail *Entry
}

// Add puts e at the end of q, to be told of events in mask. Err and Hup are
// always told, as poll(2) does. e must not be in a queue.
func (q *Queue) Add(e *Entry, mask Events) {
	if e.q != nil {
		panic("wait: entry added twice")
	}
	e.mask = mask | Err | Hup
	e.q, e.prev, e.next = q, q.tail, nil
	if q.tail != nil {
		q.tail.next = e
	} else {
		q.head = e
	}
	q.tail = e
}

// Remove takes e out of its queue; it does nothing when e is in none.
func (e *Entry) Remove() {
	q := e.q
	if q == nil {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.tail = e.prev
	}
	e.q, e.prev, e.next = nil, nil, nil
}

// Empty reports whether nobody waits.
func (q *Queue) Empty() bool { return q.head == nil }

// SetMask changes the events a queued entry is told of.
func (e *Entry) SetMask(mask Events) { e.mask = mask | Err | Hup }

// Wake tells every waiter interested in ev, and of the exclusive ones the
// first that takes it: all of them when ev has Err or Hup, which end the
// waiting for good. A callback may remove its own entry.
func (q *Queue) Wake(ev Events) {
	taken := false
	for e := q.head; e != nil; {
		next := e.next
		if e.mask&ev != 0 && !(taken && e.Exclusive) {
			switch {
			case e.Notify != nil:
				if e.Notify(e, ev) && e.Exclusive {
					taken = ev&(Err|Hup) == 0
				}
			case e.task != nil:
				e.task.Wakeup()
				taken = taken || e.Exclusive && ev&(Err|Hup) == 0
			}
		}
		e = next
	}
}

// entries has spare ones for sleepers: a sleep allocates nothing.
var entries = sync.Pool{New: func() any { return new(Entry) }}

// sleeper returns an entry that wakes t; give it back with done.
func sleeper(t Task) *Entry {
	e := entries.Get().(*Entry)
	e.task = t
	return e
}

func (e *Entry) done() {
	e.Remove()
	*e = Entry{}
	entries.Put(e)
}

// Task is the calling task as a blocking operation sees it: all that a pipe
// or a socket needs of the scheduler.
type Task interface {
	// Sleep parks the caller until Wakeup, a signal, or the deadline on the
	// monotonic clock in ns (0 = none). It returns nil when woken,
	// ErrInterrupted for a signal, ErrTimedOut past the deadline. A wake-up
	// that came since the last Sleep makes it return at once: so the order
	// "queue yourself, test the condition, Sleep" loses nothing.
	Sleep(deadline int64) error
	// SleepKillable is Sleep that only a fatal signal interrupts.
	SleepKillable() error
	// Wakeup makes the task runnable, or its next Sleep return at once.
	Wakeup()
	// Offload runs f, which may block, on an ordinary goroutine while the
	// task sleeps and the kernel lock is free; f must not touch kernel
	// state. Signals do not interrupt it: give f a way to end.
	Offload(f func())
	// Now is the monotonic clock in ns.
	Now() int64
}

// Interrupted says that a signal ended a sleep. The system-call dispatcher
// turns it into a restart or EINTR, as signal(7) says; it never reaches a guest.
type Interrupted struct{ Kind RestartKind }

// RestartKind says what becomes of a call ended by a signal.
type RestartKind uint8

const (
	RestartSys   RestartKind = iota // restarts if the handler has SA_RESTART
	RestartNoInt                    // always restarts
	RestartNever                    // EINTR if a handler runs, else restarts
	RestartBlock                    // as RestartNever, but by restart_syscall with the time that is left
)

func (*Interrupted) Error() string { return "interrupted by a signal" }

type timedOut struct{}

func (timedOut) Error() string { return "timed out" }

// What Sleep returns.
var (
	ErrInterrupted       error = &Interrupted{RestartSys}
	ErrInterruptedNoHand error = &Interrupted{RestartNever}
	ErrTimedOut          error = timedOut{}
)

// Until sleeps on q until cond holds. It returns nil then, or Sleep's error.
// cond runs under the kernel lock and must not block.
func (q *Queue) Until(t Task, mask Events, deadline int64, cond func() bool) error {
	return q.until(t, mask, deadline, false, cond)
}

// UntilExclusive is Until as an exclusive waiter: whoever returns from it and
// leaves something for the next waiter wakes the queue again.
func (q *Queue) UntilExclusive(t Task, mask Events, deadline int64, cond func() bool) error {
	return q.until(t, mask, deadline, true, cond)
}

func (q *Queue) until(t Task, mask Events, deadline int64, exclusive bool, cond func() bool) error {
	if cond() {
		return nil
	}
	e := sleeper(t)
	e.Exclusive = exclusive
	q.Add(e, mask)
	defer e.done()
	for !cond() {
		if err := t.Sleep(deadline); err != nil {
			if cond() {
				return nil
			}
			return err
		}
	}
	return nil
}

// UntilKillable is Until that only a fatal signal interrupts.
func (q *Queue) UntilKillable(t Task, cond func() bool) error {
	if cond() {
		return nil
	}
	e := Entry{Notify: func(*Entry, Events) bool { t.Wakeup(); return true }}
	q.Add(&e, All)
	defer e.Remove()
	for !cond() {
		if err := t.SleepKillable(); err != nil {
			return err
		}
	}
	return nil
}
