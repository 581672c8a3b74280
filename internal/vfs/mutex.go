package vfs

import "github.com/sysemu/sysemu/internal/wait"

// mutex is a lock that is held across operations that wait. The kernel lock
// guards it.
type mutex struct {
	held bool
	q    wait.Queue
}

// lock takes m; only a fatal signal ends the wait.
func (m *mutex) lock(t wait.Task) error {
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

func (m *mutex) unlock() {
	m.held = false
	if !m.q.Empty() {
		m.q.Wake(wait.In)
	}
}
