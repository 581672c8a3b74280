package native

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sysemu/sysemu/internal/kernel"
	"golang.org/x/sys/unix"
)

// A handler that blocks leaves its coroutine; its thread stays stopped meanwhile,
// and others are served.

// Context ends when the handler has returned, the thread has died, or the
// session is closed.
func (c *Call) Context() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancel(context.Background())
		if c.over() {
			c.cancel()
		}
	}
	return c.ctx
}

// over tells whether nobody waits for the handler's result.
func (c *Call) over() bool { return c.co == nil || c.fail != nil }

// endContext ends the context, if the handler has one.
func (c *Call) endContext() {
	if c.cancel != nil {
		c.cancel()
	}
}

// Block runs f on a goroutine of its own.
func (c *Call) Block(f func(context.Context) error) error {
	switch {
	case c.fail != nil:
		return c.fail
	case c.co == nil || unix.Gettid() != c.t.s.tid || c.blocked:
		return kernel.ErrNotHandler
	}
	s, ctx := c.t.s, c.Context()
	var result error
	var panicked any
	s.blocking.Add(1)
	go func() {
		var err error
		var failed any
		returned := false
		defer s.blocking.Done()
		defer func() {
			if r := recover(); r != nil {
				failed = fmt.Sprintf("%v\n%s", r, debug.Stack())
			} else if !returned {
				err = errors.New("what blocked it ended its goroutine")
			}
			s.post(func() { s.unblock(c, func() { result, panicked = err, failed }) })
		}()
		err = f(ctx)
		returned = true
	}()
	c.blocked = true
	c.co.yield(struct{}{})
	c.blocked = false
	if c.fail != nil {
		return c.fail
	}
	if panicked != nil {
		panic(panicked)
	}
	return result
}

// post has f run on the tracing thread, if there is still time.
func (s *Session) post(f func()) {
	s.mu.Lock()
	late := s.over
	if !late {
		s.inbox = append(s.inbox, f)
	}
	s.mu.Unlock()
	if !late {
		s.ring()
	}
}

// unblock goes on with a handler that has blocked.
func (s *Session) unblock(c *Call, f func()) {
	if c.blocked && c.fail == nil && !s.ending {
		f()
		s.proceed(c.t, c, c.run())
	}
}

// leaveBlocked has the host go on with a call whose handler blocks.
func (s *Session) leaveBlocked(t *thread) {
	c := t.call
	if c == nil || !c.blocked {
		return
	}
	t.abandon(ErrDetached)
	if c.at == atExit && c.dirty {
		if c.ran {
			s.setResult(t, c.raw, uint64(c.nr))
		} else {
			s.rewind(t, c)
		}
	}
	s.resume(t, 0)
}

// Settle waits for what handlers had run elsewhere, and tells whether all of it
// has returned.
func (s *Session) Settle() bool {
	done := make(chan struct{})
	go func() {
		s.blocking.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(5 * time.Second):
		return false
	}
}
