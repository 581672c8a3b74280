package kernel

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// What a user's handler does with its call besides answering it: wait. The
// handler's own goroutine is a CPU's, so what may take long runs elsewhere.

// handling is a call that a user's handler has.
type handling struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// ErrNotHandler is the error of what only the handler itself may do with its
// call, on its own goroutine and before it returns.
var ErrNotHandler = errors.New("sysemu: not by the handler of the call, on its own goroutine")

// beginHandling and endHandling are around a user's handler. The lock is held.
func (t *Task) beginHandling() { t.handler = true }

func (t *Task) endHandling() {
	t.handler, t.lent = false, nil
	t.calls++
	if t.handling != nil {
		t.handling.cancel()
		t.handling = nil
	}
}

// cancelHandling tells a handler that its call is to end, if it is.
func (t *Task) cancelHandling() {
	if t.handling != nil && t.interrupted(interruptible) {
		t.handling.cancel()
	}
}

// handled is what a handler's error means: that of its context is a signal's;
// that of a call which a signal interrupted is EINTR when there is none any more.
func (t *Task) handled(err error) error {
	if err == nil {
		return nil
	}
	if t.handling != nil && errors.Is(err, context.Canceled) && t.handling.ctx.Err() != nil {
		return wait.ErrInterrupted
	}
	err = Plausible(err)
	if e, ok := err.(unix.Errno); ok && e >= eRestartSys && e <= eRestartBlock && !t.interrupted(interruptible) {
		return unix.EINTR
	}
	return err
}

// maxErrno is the greatest number of an error: results above -maxErrno are one.
const maxErrno = 4095

// Plausible is a handler's error, or, if that is a number which no error has, one
// that says so and is none.
func Plausible(err error) error {
	var e unix.Errno
	if errors.As(err, &e) && (e == 0 || e > maxErrno) {
		return fmt.Errorf("the handler returned error number %d, which there is not", int(e))
	}
	return err
}

// Serial numbers the calls of the task that handlers have had.
func (c *Call) Serial() uint64 { return c.Task.calls }

// Ended reports whether the call with that number has ended. The lock is held.
func (t *Task) Ended(serial uint64) bool { return t.calls != serial || !t.handler }

// Context ends with the call, or when a signal is to interrupt it.
func (t *Task) Context() context.Context {
	if t.handling == nil {
		ctx, cancel := context.WithCancel(context.Background())
		t.handling = &handling{ctx, cancel}
		t.cancelHandling()
	}
	return t.handling.ctx
}

// enter takes the lock for a handler that is to sleep; the function lets go of
// it.
func (c *Call) enter() (func(), error) {
	t := c.Task
	k := t.k
	k.mu.Lock()
	if !t.handler || t.state != running || t.cpu.current != t {
		k.mu.Unlock()
		return nil, ErrNotHandler
	}
	k.nowServing(t)
	return func() {
		k.nowServing(nil)
		k.mu.Unlock()
	}, nil
}

// Sleep lets time pass on the machine's clock.
func (c *Call) Sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer leave()
	t := c.Task
	deadline := t.Now() + int64(d)
	if deadline < 0 {
		deadline = 1<<63 - 1
	}
	for {
		switch err := t.Sleep(deadline); err {
		case nil:
		case wait.ErrTimedOut:
			return nil
		default:
			return err
		}
	}
}

// Block runs f on a goroutine of its own while the task sleeps. A signal cancels
// f's context, and f is waited for all the same; when the task is to die, or the
// machine to close, it is left alone.
func (c *Call) Block(f func(context.Context) error) error {
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer leave()
	t := c.Task
	k := t.k
	if k.closing {
		return wait.ErrInterrupted
	}
	ctx := t.Context()
	var (
		result          error
		panicked        any
		done, abandoned bool
	)
	name := c.String()
	k.blocking[&done] = name
	k.offloaded++ // a virtual clock waits
	defer func() { k.offloaded-- }()
	go func() {
		var err error
		returned := false
		defer func() {
			r := recover()
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.blocking, &done)
			k.blockingDone()
			switch {
			case r != nil && abandoned:
				k.report("sysemu: panic in what blocked %s, after its program had ended: %v\n%s", name, r, debug.Stack())
			case r != nil:
				panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
			case !returned:
				err = errors.New("what blocked it ended its goroutine")
			}
			if done, result = true, err; !abandoned {
				t.Wakeup()
			}
		}()
		err = f(ctx)
		returned = true
	}()
	interrupted := false
	for !done {
		if !interrupted {
			interrupted = t.Sleep(0) != nil
		} else if t.SleepKillable() != nil {
			abandoned = true
			return wait.ErrInterrupted
		}
	}
	if panicked != nil {
		panic(panicked)
	}
	if interrupted && errors.Is(result, context.Canceled) {
		return wait.ErrInterrupted
	}
	return result
}

// blockingDone lets Close go on.
func (k *Kernel) blockingDone() {
	if k.closing && len(k.blocking) == 0 {
		close(k.unblocked)
	}
}
