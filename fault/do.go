package fault

import (
	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

// plan answers what an action does to a call; false: it has no effect on this one.
func (a Action) plan(s *shot) (step, bool) {
	switch a.kind {
	case setErrno:
		return func(*shot, sysemu.Handler) (uint64, error) { return 0, a.errno }, true
	case setResult:
		return func(*shot, sysemu.Handler) (uint64, error) { return a.value, nil }, true
	case replaceCall:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			s.c.Do(s.next, a.call.Name) // it changes nothing, and its result is not wanted
			return rest.ServeCall(s.c)
		}, true
	case raise:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			s.c.Do(s.next, "tgkill", uint64(s.c.PID()), uint64(s.c.TID()), a.value)
			if s.c.Killed() {
				return 0, unix.EINTR // which nobody sees
			}
			return rest.ServeCall(s.c)
		}, true
	case delayEnter:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			if s.c.Delay(a.wait) != nil {
				return 0, unix.EINTR
			}
			return rest.ServeCall(s.c)
		}, true
	case delayExit:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			v, err := rest.ServeCall(s.c)
			s.c.Delay(a.wait)
			return v, err
		}, true
	case pokeEnter:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			a.poke(s)
			return rest.ServeCall(s.c)
		}, true
	case pokeExit:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			v, err := rest.ServeCall(s.c)
			a.poke(s)
			return v, err
		}, true
	case shorten:
		return a.planShort(s)
	case tear:
		return a.planTorn(s)
	case limitSpace:
		return a.planSpace(s)
	case jumpClock:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			if s.c.StepClock(a.wait) == nil {
				s.note(a)
			}
			return rest.ServeCall(s.c)
		}, true
	case loseSync:
		return a.planLost(s)
	case crashNow:
		return func(s *shot, rest sysemu.Handler) (uint64, error) {
			if s.c.Crash() != nil {
				return rest.ServeCall(s.c)
			}
			s.note(a)
			return 0, unix.EINTR // which nobody sees
		}, true
	case custom:
		return func(s *shot, rest sysemu.Handler) (uint64, error) { return a.do(s.c, rest) }, true
	}
	return nil, false
}

// poke writes into the program's memory; what it cannot write stays.
func (a Action) poke(s *shot) {
	for _, p := range a.pokes {
		s.c.WriteMem(s.c.Arg(p.arg), p.data)
	}
}
