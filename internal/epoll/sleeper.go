package epoll

import (
	"sync"

	"github.com/sysemu/sysemu/internal/wait"
)

// sleeper is a task in Wait. One event wakes one sleeper, which leaves the
// queue with that, so that the next event wakes the next.
type sleeper struct {
	entry wait.Entry
	task  wait.Task
}

var sleepers = sync.Pool{New: func() any {
	w := new(sleeper)
	w.entry.Exclusive = true
	w.entry.Notify = func(e *wait.Entry, _ wait.Events) bool {
		e.Remove()
		w.task.Wakeup()
		return true
	}
	return w
}}

func (w *sleeper) done() {
	w.entry.Remove()
	w.task = nil
	sleepers.Put(w)
}
