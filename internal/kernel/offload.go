package kernel

import (
	"time"
)

// Errands are what tasks have done by code that may never return: Go file
// systems. A task that is killed does not wait for one any longer. Nor does
// Close, but for a moment: what is still not back then is told to the operator,
// and ends by itself whenever it does.

// errandGrace is how long Close waits for errands.
const errandGrace = time.Second

// errands are those that have not returned. The kernel lock guards it.
type errands struct {
	out     map[*errand]struct{}
	expired bool          // nobody waits for any of them
	empty   chan struct{} // closed when there are none; nil: nobody wants to know
}

type errand struct {
	t    *Task // nil once nobody waits
	done bool
}

// OffloadLeaving implements vfs.Leaver.
func (t *Task) OffloadLeaving(must bool, f func()) bool {
	k := t.k
	e := &errand{t: t}
	if k.errands.out == nil {
		k.errands.out = make(map[*errand]struct{})
	}
	k.errands.out[e] = struct{}{}
	var back chan struct{} // closed at the end, for who has no stack to leave
	if t == k.boot || k.still() {
		back = make(chan struct{})
	}
	go func() {
		defer k.errandDone(e, back)
		f()
	}()
	if t == k.boot {
		return k.bootWaits(e, back)
	}
	if k.still() {
		return t.waitsStill(e, back, must)
	}
	kind := killable
	if must {
		kind = uninterruptible
	}
	for !e.done {
		if err := t.sleep(kind, 0); err != nil && !e.done || k.errands.expired {
			break
		}
	}
	e.t = nil
	return e.done
}

// waitsStill waits for an errand with nobody else running meanwhile: how long
// it takes is to make no difference to them.
func (t *Task) waitsStill(e *errand, back chan struct{}, must bool) bool {
	k := t.k
	look := time.NewTicker(50 * time.Millisecond) // whether the task is killed
	defer look.Stop()
	for !e.done && !k.errands.expired && (must || !t.dying) {
		k.mu.Unlock()
		select {
		case <-back:
		case <-look.C:
		}
		k.mu.Lock()
	}
	e.t = nil
	return e.done
}

// bootWaits waits for an errand where no task can.
func (k *Kernel) bootWaits(e *errand, back chan struct{}) bool {
	var late <-chan time.Time
	if k.closing {
		timer := time.NewTimer(errandGrace)
		defer timer.Stop()
		late = timer.C
	}
	if !k.errands.expired {
		k.mu.Unlock()
		select {
		case <-back:
		case <-late:
		}
		k.mu.Lock()
	}
	e.t = nil
	return e.done
}

func (k *Kernel) errandDone(e *errand, back chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.done = true
	delete(k.errands.out, e)
	if e.t != nil && e.t != k.boot {
		e.t.Wakeup()
	}
	if back != nil {
		close(back)
	}
	if len(k.errands.out) == 0 && k.errands.empty != nil {
		close(k.errands.empty)
		k.errands.empty = nil
	}
}

// expireErrands makes nobody wait for errands after a moment: Close begins with
// it. stop takes it back.
func (k *Kernel) expireErrands() (stop func()) {
	timer := time.AfterFunc(errandGrace, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.errands.expired = true
		for e := range k.errands.out {
			if e.t != nil && e.t != k.boot {
				e.t.Wakeup()
			}
		}
	})
	return func() { timer.Stop() }
}

// awaitErrands waits a moment for those that nobody waits for, so that nothing
// of them is left, and tells of those that do not come.
func (k *Kernel) awaitErrands() {
	k.mu.Lock()
	n := len(k.errands.out)
	if n == 0 {
		k.mu.Unlock()
		return
	}
	empty := make(chan struct{})
	k.errands.empty = empty
	expired := k.errands.expired
	k.mu.Unlock()
	grace := errandGrace
	if expired {
		grace = 0 // they have had it
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-empty:
		return
	case <-timer.C:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.errands.out); n > 0 {
		k.report("sysemu: the machine is closed while %d calls of its Go file systems have not returned", n)
	}
}
