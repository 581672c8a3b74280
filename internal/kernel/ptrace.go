package kernel

import (
	"slices"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// ptrace(2) for guests. This file has what being traced is, and the stops; the
// requests are in the ptrace_*.go files.
//
// Contract: a tracee in a stop sleeps on its kernel stack, so it stays with its
// CPU and holds nobody up; only its tracer, the end of that, and SIGKILL wake
// it. Its registers are those the thread keeps; what the host alone has, the
// extended state and the debug registers, is got on its CPU, see atTracee.

// tracee is what being traced adds to a task.
type tracee struct {
	tracer  *Task
	cred    *Cred // the tracer's, when it attached
	seized  bool
	options uint32 // PTRACE_O_*

	stopped   bool       // in a ptrace-stop
	listening bool       // left in it by PTRACE_LISTEN
	code      int        // what the stop reports, until it is waited for; then what the tracer goes on with
	info      *sigInfo   // of the stop; nil in a group-stop
	message   uint64     // PTRACE_GETEVENTMSG
	fatal     bool       // SIGKILL is pending: no stops
	trapStop  bool       // a stop is due: the group's, or PTRACE_INTERRUPT's
	notify    bool       // a seized tracee is to report that a group-stop begins or ends
	settled   wait.Queue // woken at each stop: who attaches waits for it
}

// Options, PTRACE_SETOPTIONS. An event's option is its number's bit.
const (
	optSysGood        = 1 << 0
	optExitKill       = 1 << 20
	optSuspendSeccomp = 1 << 21
	optMask           = 0xff | optExitKill | optSuspendSeccomp
)

// Events, in the second byte of a wait status's signal.
const (
	eventFork      = 1
	eventVfork     = 2
	eventClone     = 3
	eventExec      = 4
	eventVforkDone = 5
	eventExit      = 6
	eventSeccomp   = 7
	eventStop      = 128
)

// Messages of the stops around a call.
const (
	messageEntry = 1
	messageExit  = 2
)

const sigtrap = int(unix.SIGTRAP)

// trace makes t the tracer of o.
func (t *Task) trace(o *Task, seized bool, options uint32) {
	o.tracee = &tracee{tracer: t, cred: t.cred, seized: seized, options: options}
	t.tracees = append(t.tracees, o)
}

// untrace ends that. A tracee that is stopped goes on, or into the group-stop
// that is in effect.
func (t *Task) untrace() {
	x := t.tracee
	x.tracer.tracees = slices.DeleteFunc(x.tracer.tracees, func(o *Task) bool { return o == t })
	t.tracee = nil
	t.around &^= aroundTrace | aroundEmulate | aroundStep
	x.stopped = false
	x.settled.Wake(wait.Readable)
	if t.exited {
		return
	}
	t.stopPending = t.p.stopSignal != 0
	t.work = true
	if t.state == blocked && t.sleeping == uninterruptible {
		t.Wakeup()
	}
	if t.stopPending {
		t.interrupt()
	}
}

// trapPending reports whether a traced task has to stop for a reason of jobs.
func (t *Task) trapPending() bool {
	x := t.tracee
	return x.trapStop || x.notify || t.stopPending
}

// reparented reports whether the tracer is not of the process's parent.
func (t *Task) reparented() bool { return t.tracee.tracer.p != t.p.parent }

// ptraceStop stops the task until its tracer resumes it, and returns the signal
// that it does that with. why is the CLD_ code.
func (t *Task) ptraceStop(code int, why int32, message uint64, info *sigInfo) int {
	x := t.tracee
	if x == nil || x.fatal || t.k.closing {
		return 0
	}
	p := t.p
	x.stopped, x.code, x.message, x.info = true, code, message, info
	joined := false
	if why == cldStopped && t.stopPending {
		t.stopPending = false
		joined = p.stopDone()
	}
	x.trapStop = false
	if code>>8 == eventStop {
		x.notify = false
	}
	status := code & 0x7f
	if why == cldStopped {
		status = p.stopSignal
	}
	t.tellTracer(why, status)
	if joined && t.reparented() {
		p.tellStopped()
	}
	x.settled.Wake(wait.Readable)
	for x.stopped && !x.fatal {
		t.sleep(uninterruptible, 0)
	}
	x.stopped, x.listening, x.info, x.message = false, false, nil, 0
	code, x.code = x.code, 0
	t.work = true
	return code
}

// ptraceNotify is a stop that tells of something else than a signal.
func (t *Task) ptraceNotify(code int, message uint64) int {
	if t.tracee == nil {
		return 0
	}
	i := t.traceInfo(sigtrap, code)
	return t.ptraceStop(code, cldTrapped, message, &i)
}

// traceInfo is the siginfo that a stop is given.
func (t *Task) traceInfo(sig, code int) sigInfo {
	i := sigInfo{Signo: int32(sig), Code: int32(code)}
	i.put32(0, uint32(t.tid))
	i.put32(4, t.cred.UID)
	return i
}

// syscallStop is the stop at a call's entry or exit.
func (t *Task) syscallStop(message uint64) {
	x := t.tracee
	if x == nil {
		return
	}
	code := sigtrap
	if x.options&optSysGood != 0 {
		code |= 0x80
	}
	if sig := t.ptraceNotify(code, message); sig != 0 && !t.dying {
		t.k.sendTask(t, kernelSignal(sig))
	}
}

// wantsEvent reports whether the tracer has asked for an event.
func (t *Task) wantsEvent(event int) bool {
	return t.tracee != nil && t.tracee.options&(1<<event) != 0
}

// ptraceEvent reports an event to a tracer that has asked for it.
func (t *Task) ptraceEvent(event int, message uint64) bool {
	if !t.wantsEvent(event) {
		return false
	}
	t.ptraceNotify(event<<8|sigtrap, message)
	return true
}

// ptraceSeccompEvent reports a filter's SECCOMP_RET_TRACE to the tracer, if
// there is one that asked for PTRACE_EVENT_SECCOMP. The tracer may have changed
// the call meanwhile: it is decoded anew, and the filters are to be asked again.
func (t *Task) ptraceSeccompEvent(data uint32) (traced bool) {
	if !t.ptraceEvent(eventSeccomp, uint64(data)) {
		return false
	}
	t.call.decode()
	return true
}

// tellTracer tells of a stop: SIGCHLD, and whoever waits.
func (t *Task) tellTracer(why int32, status int) {
	tracer := t.tracee.tracer.p
	a := &tracer.sig.actions[unix.SIGCHLD]
	if a.Flags&saNoCldStop == 0 && a.Handler != sigIgn {
		t.k.sendProcess(tracer, t.childSignal(int(unix.SIGCHLD), why, int32(status)))
	}
	tracer.childWait.Wake(wait.Readable)
}

// tellTracerOfEnd tells of the end of a thread, or of a whole process.
func (t *Task) tellTracerOfEnd(sig int) {
	tracer := t.tracee.tracer.p
	code, status := childStatus(t.endStatus())
	if sig > 0 && sig <= numSignals {
		t.k.sendProcess(tracer, t.childSignal(sig, code, status))
	}
	tracer.childWait.Wake(wait.Readable)
}

// endStatus is how a thread has ended, as wait4 reports it.
func (t *Task) endStatus() int {
	if t.p.groupExit {
		return t.p.exitCode
	}
	return t.exitAs
}

// ptraceTrap is the stop of a traced task for reasons of jobs: a group-stop, its
// end, or PTRACE_INTERRUPT.
func (t *Task) ptraceTrap() {
	x := t.tracee
	t.interruptd = true
	sig := t.stopSig
	if !x.seized {
		t.ptraceStop(sig, cldStopped, 0, nil)
		return
	}
	if t.p.stopSignal == 0 {
		sig = sigtrap
	}
	i := t.traceInfo(sig, sig|eventStop<<8)
	t.ptraceStop(sig|eventStop<<8, cldStopped, 0, &i)
}

// ptraceSignal shows a signal to the tracer before it is delivered, and reports
// whether one is to be: i is what the tracer has made of it. shared says where
// it was pending.
func (t *Task) ptraceSignal(i *sigInfo, shared bool) bool {
	x := t.tracee
	t.stopDequeued = true
	sig := t.ptraceStop(int(i.Signo), cldTrapped, 0, i)
	if sig == 0 && !t.dying {
		return false
	}
	if t.dying {
		return false
	}
	if sig != int(i.Signo) {
		*i = sigInfo{Signo: int32(sig), Code: siUser}
		from := x.tracer
		if t.tracee == nil && t.p.parentThread != nil {
			from = t.p.parentThread
		}
		i.put32(0, uint32(from.tid))
		i.put32(4, from.cred.UID)
	}
	if sig == int(unix.SIGKILL) {
		t.p.exitGroup(sig)
		return false
	}
	if t.sigmask.has(sig) {
		if shared {
			t.k.sendProcess(t.p, *i)
		} else {
			t.k.sendTask(t, *i)
		}
		return false
	}
	return true
}

// atTracee runs f, which must not sleep, where the host lets a stopped tracee be
// looked into: on its CPU. ESRCH when the tracee is not stopped any more.
func (t *Task) atTracee(o *Task, f func() error) error {
	try := func() error {
		if x := o.tracee; x == nil || x.tracer != t || !x.stopped || o.th == nil || o.th.Dead() {
			return unix.ESRCH
		}
		return f()
	}
	if o.cpu == t.cpu {
		return try()
	}
	var err error
	done := false
	o.cpu.inbox = append(o.cpu.inbox, func() {
		err = try()
		done = true
		t.Wakeup()
	})
	o.cpu.poke()
	for !done {
		t.sleep(uninterruptible, 0)
	}
	return err
}
