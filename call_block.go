package sysemu

import (
	"context"
	"errors"
	"time"

	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/native"
	"golang.org/x/sys/unix"
)

// StuckError is what [Machine.Close] returns when handlers do not return, or what they block on by [Call.Block] does not,
// for five seconds. The machine's programs are dead then; threads, descriptors and goroutines that are left are given back
// when the handlers do return.
type StuckError = kernel.StuckError

// ErrCallEnded is returned by the methods of a Call that has ended: its handler has returned.
var ErrCallEnded error = endedError{}

type endedError struct{}

func (endedError) Error() string { return "sysemu: the system call has ended" }
func (endedError) Unwrap() error { return unix.ESRCH }

// ErrNotHandler is returned by what only the handler of a call may do, on its own goroutine.
var ErrNotHandler = kernel.ErrNotHandler

// inMachine is the program, of a call in a machine.
func (c *Call) inMachine() *inMachine { return c.program.(*inMachine) }

// Context ends when the call does: when its handler returns; when a signal comes that interrupts system calls, or that kills
// the program; when the machine is closed. Natively a signal does not end it.
//
// A handler that then returns the context's error, or one that wraps it, lets the signal have its way as a system call does
// that sleeps: if the signal has a handler without SA_RESTART the program sees EINTR, else the call is made anew.
func (c *Call) Context() context.Context {
	if n, ok := c.program.(*native.Call); ok {
		return n.Context()
	}
	m := c.inMachine()
	ctx := context.Background()
	if m.locked(func(t *kernel.Task) error { ctx = t.Context(); return nil }) != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return ended
	}
	return ctx
}

// Block runs f, which may take its time, on a goroutine of its own, while the calling thread sleeps and others run. It is for
// the handler to call, on its own goroutine: elsewhere it is ErrNotHandler. What Block returns is f's error; a panic of f is
// the handler's.
//
// The context is the call's: see [Call.Context]. f should return when it ends. If it then returns the context's error, Block's
// is one that the handler should return: the program sees what signal(7) says of interrupted calls. When the program is killed
// or the machine closed, f is waited for no longer, and Block returns at once; [Machine.Close] waits for f, but not forever.
//
// A virtual clock stands still until f has returned. f may use the Call's methods, but not call next, nor Block. Natively a signal is seen only when f has returned.
func (c *Call) Block(f func(ctx context.Context) error) error {
	if n, ok := c.program.(*native.Call); ok {
		return n.Block(f)
	}
	return c.c.Block(f)
}

// Sleep delays the call by d on the machine's clock, or the host's for native programs, while other threads run. The error
// is one that the handler should return: a signal has come first.
func (c *Call) Sleep(d time.Duration) error {
	if n, ok := c.program.(*native.Call); ok {
		return n.Block(func(ctx context.Context) error {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return errors.Join(ctx.Err(), unix.EINTR)
			}
		})
	}
	return c.c.Sleep(d)
}
