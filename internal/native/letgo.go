package native

import (
	"time"

	"github.com/sysemu/sysemu/ptrace"
)

// letGo has every thread run without stops, so that nothing is changed for it
// when the tracing thread ends and the host detaches it. Were it in an entry
// stop then, its call would find a signal pending that is none, and one that is
// not restarted fail with EINTR.
func (s *Session) letGo() {
	s.ending = true
	s.release()
	for _, t := range s.threads {
		s.leaveBlocked(t)
	}
	for _, t := range s.threads {
		if t.holds() && !t.interrupted {
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

// holds tells whether a thread may still stop for us, or has registers that are
// not its own.
func (t *thread) holds() bool {
	return !t.listening && (t.req != ptrace.Cont || t.interrupted || t.stepped || t.born != nil)
}

func (s *Session) anyHolds() bool {
	for _, t := range s.threads {
		if t.holds() {
			return true
		}
	}
	return false
}
