package native

import (
	"time"

	"github.com/sysemu/sysemu/ptrace"
)

// letGo brings every thread into a state in which the host can detach it, which
// most are in: it is enough then that the tracing thread ends. They are not
// stopped for it: a call that they sleep in would notice.
func (s *Session) letGo() {
	s.ending = true
	for _, t := range s.threads {
		if t.holds() {
			s.interrupt(t)
		}
	}
	over := false
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		s.inbox = append(s.inbox, func() { over = true })
		s.mu.Unlock()
		s.ring()
	})
	defer timer.Stop()
	for !over && s.anyHolds() {
		tee, stop, err := s.tr.Wait()
		switch {
		case tee == nil:
			over = true
		case tee == s.bell:
			if s.rung(stop); s.bell == nil {
				over = true
			}
			s.runInbox()
		case err == nil:
			s.stopped(s.thread(tee), stop)
		}
	}
	for _, t := range s.threads {
		t.abandon(ErrDetached)
	}
}

// holds tells whether a thread, were it let go of just now, might not go on as if
// nothing had been: its next call would be skipped, or it has other arguments
// in its registers than it has put there.
func (t *thread) holds() bool {
	switch {
	case t.listening:
		return false
	case t.born != nil:
		return true
	case t.call != nil:
		return t.call.pushed
	}
	return t.req != ptrace.Cont && t.req != ptrace.Syscall || t.stepped
}

func (s *Session) anyHolds() bool {
	for _, t := range s.threads {
		if t.holds() {
			return true
		}
	}
	return false
}
