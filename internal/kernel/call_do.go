package kernel

import (
	"time"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Delay has the thread whose call a user's handler serves sleep on the machine's
// clock. Signals stay pending; only its end ends it. EINVAL: it is not the
// handler who calls, on its own goroutine.
func (c *Call) Delay(d time.Duration) error {
	t := c.Task
	k := t.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.state != running || t.cpu.current != t {
		return unix.EINVAL
	}
	k.nowServing(t)
	defer k.nowServing(nil)
	deadline := k.clock.Monotonic() + int64(d)
	if deadline < 0 {
		deadline = 1<<63 - 1
	}
	for d > 0 {
		switch err := t.sleep(killable, deadline); err {
		case nil: // woken for something else: what that was is seen by who waits for it
		case wait.ErrTimedOut:
			return nil
		default:
			return err
		}
	}
	return nil
}

// CodeFile is what the instruction that makes the call is mapped from, as
// /proc/PID/maps names it; "" if it is no file and has no name.
func (c *Call) CodeFile() string {
	t := c.Task
	if t.mm == nil || t.fs == nil {
		return ""
	}
	switch v := t.mm.Find(c.Regs().Rip - 1); {
	case v == nil:
		return ""
	case v.File != nil:
		return v.File.Name(t.fs.root)
	default:
		return v.Name
	}
}

// StepClock is the kernel's StepClock, for a handler.
func (c *Call) StepClock(d time.Duration) error { return c.Task.k.StepClock(int64(d)) }
