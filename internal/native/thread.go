package native

import (
	"errors"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// thread is a tracee.
type thread struct {
	s    *Session
	tee  *ptrace.Tracee
	tgid int            // its process; 0: not known yet
	req  ptrace.Request // what it was last resumed by
	call *Call          // that the host runs for a handler, or is about to

	answered    bool // the last call was, by a handler
	interrupted bool // it is to stop for us, and has not
	listening   bool // in a group-stop
	stepped     bool // the trap of a step is due

	page uint64 // of its process, for what is lent to its calls; 0: none

	born *Call // it was made by this call, whose arguments are in its registers
	held bool  // it is new, and who has made it may have yet to tell
}

// Step is an instruction that a thread has executed.
type Step struct {
	TID  int
	Regs ptrace.Regs // after it
}

// next is what a thread is to be resumed by.
func (s *Session) next(t *thread) ptrace.Request {
	switch {
	case t.call != nil && (!s.ending || !t.call.again):
		return ptrace.Syscall
	case s.ending:
		return ptrace.Cont
	case s.step != nil:
		return ptrace.SysemuSingleStep
	case s.handler == nil || s.off.Load():
		return ptrace.Cont
	case t.answered && s.mode.Load() > 0:
		return ptrace.Sysemu
	}
	return ptrace.Syscall
}

func (s *Session) resume(t *thread, sig unix.Signal) {
	if s.ending && t.stepped {
		// Detach knows how to get rid of the trap.
		if t.tee.Detach(sig) == nil {
			delete(s.threads, t.tee.PID())
			return
		}
	}
	req := s.next(t)
	if t.tee.Resume(req, sig) != nil {
		return // it is dying, and reports that
	}
	t.req = req
	if req == ptrace.SysemuSingleStep {
		t.stepped = true
	}
	if tracerModes[s.mode.Load()] < s.tr.Mode() {
		s.lowered()
	}
}

// stopped deals with what a thread has reported, and resumes it.
func (s *Session) stopped(t *thread, stop ptrace.Stop) {
	// Any stop will do for the host, too, as the one that we wanted.
	interrupted := t.interrupted
	t.interrupted = false
	switch stop := stop.(type) {
	case ptrace.SyscallEnter:
		s.entered(t, stop, interrupted)
	case ptrace.SyscallExit:
		s.exited(t, stop, interrupted)
	case ptrace.SignalDelivery:
		s.signaled(t, stop)
	case ptrace.GroupStop:
		t.listening = t.tee.Listen() == nil
	case ptrace.Event:
		s.event(t, stop, interrupted)
	case ptrace.Exited:
		s.gone(t, unix.WaitStatus(stop.Code<<8))
	case ptrace.Signaled:
		ws := unix.WaitStatus(stop.Signal)
		if stop.CoreDump {
			ws |= 0x80
		}
		s.gone(t, ws)
	}
	s.release()
	s.noteStopped()
}

func (s *Session) gone(t *thread, ws unix.WaitStatus) {
	t.abandon(unix.ESRCH)
	delete(s.threads, t.tee.PID())
	if t.tee.PID() == s.first {
		s.status, s.ended, s.ending = ws, true, true
	}
}

// abandon ends the handler of the call in progress, whatever it may want.
func (t *thread) abandon(err error) {
	c := t.call
	t.call = nil
	if c != nil && c.co != nil {
		c.fail = err
		c.endContext()
		c.run()
	}
}

// entered serves a call.
func (s *Session) entered(t *thread, e ptrace.SyscallEnter, interrupted bool) {
	skipped := t.req != ptrace.Syscall
	t.stepped = false
	if interrupted {
		// What was to stop the thread is still on its mind, and would fail the
		// call with EINTR: first out of the call, then into it again.
		var r ptrace.Regs
		if t.tee.GetRegs(&r) == nil {
			r.Rip -= 2
			r.Rax, r.Orig_rax = r.Orig_rax, ^uint64(0)
			t.tee.SetRegs(&r)
		}
		s.resume(t, 0)
		return
	}
	if c := t.call; c != nil {
		if c.again && !s.ending && e.Nr == c.nr && e.IP == c.regs.Rip && e.SP == c.regs.Rsp {
			c.again, c.at = false, atEntry
			c.push()
			s.resume(t, 0)
			return
		}
		t.abandon(errInterrupted)
	}
	c := &Call{t: t, nr: e.Nr, given: e.Args}
	c.Arch, c.Nr, c.Args = e.Arch, e.Nr, e.Args
	if t.tee.GetRegs(&c.regs) != nil {
		s.resume(t, 0)
		return
	}
	if skipped {
		// First of all, make it one that will be executed.
		c.at = atStart
		s.rewind(t, c)
		if s.step != nil {
			s.step(Step{t.tee.PID(), c.regs})
		}
	}
	if s.ending || s.handler == nil || s.off.Load() {
		t.answered = false
		if skipped && !s.ending && s.step != nil {
			t.call, c.again = c, true // not to be stepped onto again
		}
		s.resume(t, 0)
		return
	}
	s.proceed(t, c, c.run())
}

// rewind sets a thread back before the instruction of its call.
func (s *Session) rewind(t *thread, c *Call) {
	r := c.regs
	r.Rip -= 2
	r.Rax = r.Orig_rax
	t.tee.SetRegs(&r)
}

// proceed goes on when the handler has ended, or wants the host to run the call.
func (s *Session) proceed(t *thread, c *Call, ended bool) {
	switch {
	case !ended && c.blocked:
		t.call = c
		return // the thread stays where it is
	case ended:
		t.call = nil
		s.answer(t, c)
	case c.at == atEntry:
		t.call = c
		c.push()
	case c.at == atExit: // for the second time
		t.call, c.again = c, true
		s.rewind(t, c)
		c.at = atStart
	default:
		t.call, c.again = c, true
	}
	s.resume(t, 0)
}

// answer gives the program what the handler has returned: number and result by
// one request, so that the call is either still to be executed or answered.
func (s *Session) answer(t *thread, c *Call) {
	v := c.outcome()
	if c.Arch == abi.I386 {
		v = int64(int32(v))
	}
	if c.at == atExit {
		t.answered = false
		if errors.Is(c.err, errInterrupted) && restarts(c.raw) {
			if c.broken {
				s.rewind(t, c)
			} else if c.dirty {
				s.setResult(t, c.raw, uint64(c.nr))
			}
			return
		}
		if c.same(v, c.raw) && !c.dirty || c.execed || c.Name() == "rt_sigreturn" || c.Name() == "sigreturn" {
			return
		}
		s.setResult(t, v, ^uint64(0))
		return
	}
	t.answered = !c.ran
	r := c.regs
	r.Rax, r.Orig_rax = uint64(v), ^uint64(0)
	t.tee.SetRegs(&r)
}

// setResult gives a thread at a call's exit its result, and the number of the call that is to be made again for it.
func (s *Session) setResult(t *thread, v int64, nr uint64) {
	var r ptrace.Regs
	if t.tee.GetRegs(&r) == nil {
		r.Rax, r.Orig_rax = uint64(v), nr
		t.tee.SetRegs(&r)
	}
}

// exited takes the result of a call that the host has run.
func (s *Session) exited(t *thread, x ptrace.SyscallExit, interrupted bool) {
	c := t.call
	if c == nil || c.again { // that of an answered one
		s.resume(t, 0)
		return
	}
	c.at, c.ran, c.raw = atExit, true, x.Ret
	if interrupted && x.Ret == -int64(unix.EINTR) && unrestarted[c.Name()] && !t.signalWaits() {
		c.raw, c.broken = restartAlways, true
	}
	var r ptrace.Regs
	if c.pushed && t.tee.GetRegs(&r) == nil && c.restore(&r) {
		t.tee.SetRegs(&r)
	}
	c.pushed = false
	if c.co == nil { // nobody's
		if c.broken {
			s.rewind(t, c)
		}
		t.call = nil
		s.resume(t, 0)
		return
	}
	s.proceed(t, c, c.run())
}

// signaled delivers a signal.
func (s *Session) signaled(t *thread, d ptrace.SignalDelivery) {
	if t.stepped && d.Signal == unix.SIGTRAP && (d.Info.Code() == ptrace.TrapTrace || d.Info.Code() == ptrace.TrapBrkpt) {
		t.stepped = false
		if s.step != nil {
			step := Step{TID: t.tee.PID()}
			if t.tee.GetRegs(&step.Regs) == nil {
				s.step(step)
			}
		}
		s.resume(t, 0)
		return
	}
	if c := t.call; c != nil && c.again {
		// The thread is before the instruction of the call, and will come
		// back to it after the signal: that is another call to the handler.
		t.abandon(errInterrupted)
		if c.ran {
			s.answer(t, c) // unless it has been made once
		}
	}
	s.resume(t, unix.Signal(d.Signal))
}

func (s *Session) event(t *thread, e ptrace.Event, interrupted bool) {
	switch e.Kind {
	case ptrace.EventFork, ptrace.EventVFork, ptrace.EventClone:
		if c := t.call; c != nil && c.pushed {
			c.told = true
			if tee := s.tr.Tracee(e.Child()); tee != nil {
				child := s.thread(tee)
				child.born = c
				child.unborn()
			}
		}
	case ptrace.EventExec:
		if former := int(e.Message); former != t.tee.PID() {
			t.abandon(unix.ESRCH)
			if f := s.threads[former]; f != nil {
				t.call, t.req = f.call, f.req
				if t.call != nil {
					t.call.t = t
				}
				delete(s.threads, former)
			}
		}
		t.tgid, t.stepped, t.page = 0, false, 0
		if t.call != nil {
			t.call.execed, t.call.pushed = true, false
		}
	case ptrace.EventStop:
		t.listening = false
		if t.req == 0 && t.born == nil && s.creating() {
			t.held = true
			return
		}
		t.unborn()
		if interrupted {
			t.unbreak()
		}
	}
	s.resume(t, 0)
}

// unborn gives a new thread the registers that its parent has after the call. It
// may have stopped before its parent told of it, or may do so yet.
func (t *thread) unborn() {
	if t.born == nil || !t.tee.Stopped() {
		return
	}
	var r ptrace.Regs
	if t.tee.GetRegs(&r) == nil {
		t.born.setArgs(&r)
		t.tee.SetRegs(&r)
	}
	t.born = nil
}

// creating tells whether a thread may be about to tell of a new one that it has
// made by a call with other arguments than its own.
func (s *Session) creating() bool {
	for _, t := range s.threads {
		if c := t.call; c != nil && c.pushed && !c.told && !s.ending {
			switch c.Name() {
			case "fork", "vfork", "clone", "clone3":
				return true
			}
		}
	}
	return false
}

// release lets new threads run that were held back for it.
func (s *Session) release() {
	for _, t := range s.threads {
		if t.held && (t.born != nil || !s.creating()) {
			t.held = false
			t.unborn()
			s.resume(t, 0)
		}
	}
}

// unbreak has a call made again that was ended by our own interrupt, if it is
// one that the host does not restart: signal(7) lists those that fail with EINTR
// after a stop, among them all that wait for a socket with a timeout. A signal
// that waits has a right to that EINTR.
func (t *thread) unbreak() {
	var r ptrace.Regs
	if t.tee.GetRegs(&r) != nil || int32(r.Rax) != -int32(unix.EINTR) || int64(r.Orig_rax) < 0 {
		return
	}
	arch := abi.AMD64
	if r.Cs != userCS {
		arch = abi.I386
	}
	c := abi.ByNumber(arch, int(r.Orig_rax))
	if c == nil || !unrestarted[c.Name] || t.signalWaits() {
		return
	}
	r.Rip -= 2
	r.Rax = r.Orig_rax
	t.tee.SetRegs(&r)
}

const userCS = 0x33 // of 64-bit code

var unrestarted = map[string]bool{
	"epoll_wait": true, "epoll_pwait": true, "epoll_pwait2": true,
	"semop": true, "semtimedop": true, "semtimedop_time64": true,
	"rt_sigtimedwait": true, "rt_sigtimedwait_time64": true,
	"accept": true, "accept4": true, "connect": true,
	"read": true, "readv": true, "recvfrom": true, "recvmsg": true, "recvmmsg": true, "recvmmsg_time64": true,
	"write": true, "writev": true, "sendto": true, "sendmsg": true, "sendmmsg": true,
	"io_getevents": true, "io_pgetevents": true,
}

// signalWaits tells whether a signal is pending that is not blocked.
func (t *thread) signalWaits() bool {
	blocked, err := t.tee.GetSigMask()
	if err != nil {
		return true
	}
	for _, shared := range []bool{false, true} {
		var pending [16]ptrace.SigInfo
		n, err := t.tee.PeekSigInfo(0, shared, pending[:])
		if err != nil || n == len(pending) {
			return true
		}
		for _, p := range pending[:n] {
			if sig := p.Signo(); sig > 0 && blocked>>(sig-1)&1 == 0 {
				return true
			}
		}
	}
	return false
}
