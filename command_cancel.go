package sysemu

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// watchContext has a goroutine end the program when its context ends.
func (c *Cmd) watchContext() {
	c.watch = make(chan struct{})
	go func() {
		defer close(c.watch)
		done := c.Process.prog.Done()
		select {
		case <-done:
			return
		case <-c.ctx.Done():
		}
		select {
		case <-done: // both: it was not the context
		default:
			c.cause = c.cancel(done)
		}
	}()
}

// cancel ends the program, at once or after WaitDelay. The error is the
// context's, unless the program had ended or would not be cancelled.
func (c *Cmd) cancel(done <-chan struct{}) error {
	var err error
	if c.Cancel != nil {
		switch failed := c.Cancel(); {
		case failed == nil:
			err = c.ctx.Err()
		case !errors.Is(failed, os.ErrProcessDone):
			err = fmt.Errorf("sysemu: canceling Cmd: %w", failed)
		}
	}
	if c.WaitDelay == 0 {
		return err
	}
	timer := time.NewTimer(c.WaitDelay)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		if failed := c.Process.Kill(); failed != nil && !errors.Is(failed, os.ErrProcessDone) {
			return fmt.Errorf("sysemu: killing Cmd: %w", failed)
		}
	}
	return err
}
