package vfs

import "github.com/sysemu/sysemu/internal/wait"

// Mutex is a lock that is held across operations that wait. The kernel lock
// guards it.
type Mutex struct {
	held bool
	q    wait.Queue
}

// Lock takes m; only a fatal signal ends the wait.
func (m *Mutex) Lock(t wait.Task) error {
	if !m.held {
		m.held = true
		return nil
	}
	e := wait.Entry{Notify: func(*wait.Entry, wait.Events) bool { t.Wakeup(); return true }, Exclusive: true}
	m.q.Add(&e, wait.All)
	defer e.Remove()
	for m.held {
		if err := t.SleepKillable(); err != nil {
			if !m.held {
				m.q.Wake(wait.In) // the wake-up may have been ours to pass on
			}
			return err
		}
	}
	m.held = true
	return nil
}

// Unlock gives it back.
func (m *Mutex) Unlock() {
	m.held = false
	if !m.q.Empty() {
		m.q.Wake(wait.In)
	}
}
