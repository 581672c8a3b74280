package kernel

import (
	"slices"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// How tracing begins and ends.

// traceMe is PTRACE_TRACEME: the parent becomes the tracer.
func (t *Task) traceMe() error {
	if t.tracee != nil {
		return unix.EPERM
	}
	parent := t.p.parentThread
	if parent == nil || parent.exited || parent == t.k.boot {
		return nil // as where the parent is just ending
	}
	if t.cred.Permitted&^parent.cred.Permitted != 0 && !parent.cred.Has(unix.CAP_SYS_PTRACE) {
		return unix.EPERM
	}
	parent.trace(t, false, 0)
	return nil
}

// attach is PTRACE_ATTACH and PTRACE_SEIZE.
func (t *Task) attach(o *Task, seize bool, addr, options uint64) error {
	if seize {
		if addr != 0 || options&^optMask != 0 {
			return unix.EIO
		}
		if err := t.checkOptions(options); err != nil {
			return err
		}
	} else {
		options = 0
	}
	if o.p == t.p {
		return unix.EPERM
	}
	if err := t.mayAttach(o); err != nil {
		return err
	}
	if o.exited || o.tracee != nil || o == t.k.boot {
		return unix.EPERM
	}
	t.trace(o, seize, uint32(options))
	x := o.tracee
	if !seize {
		t.k.sendTask(o, kernelSignal(int(unix.SIGSTOP)))
	}
	if !o.inStop || o.dying {
		return nil
	}
	// It is in a group-stop, and goes on to the tracer's. Who attaches does
	// not see it in between.
	o.stopPending, x.trapStop = false, true
	o.Wakeup()
	x.settled.UntilKillable(t, func() bool { return o.tracee != x || x.stopped || o.exited })
	return nil
}

// mayAttach is the access check that ptrace(2) describes, PTRACE_MODE_ATTACH with
// real credentials and without Yama.
func (t *Task) mayAttach(o *Task) error {
	if t.cred.Has(unix.CAP_SYS_PTRACE) {
		return nil
	}
	c, d := t.cred, o.cred
	same := c.UID == d.UID && c.UID == d.EUID && c.UID == d.SUID && c.GID == d.GID && c.GID == d.EGID && c.GID == d.SGID
	if !same || o.mm != nil && o.p.dumpable != 1 || d.Permitted&^c.Permitted != 0 {
		return unix.EPERM
	}
	return nil
}

// checkOptions refuses options that do not exist or are not for everyone.
func (t *Task) checkOptions(options uint64) error {
	if options&^optMask != 0 {
		return unix.EINVAL
	}
	if options&optSuspendSeccomp != 0 {
		if !t.cred.Has(unix.CAP_SYS_ADMIN) || t.around&aroundSeccomp != 0 ||
			t.tracee != nil && t.tracee.options&optSuspendSeccomp != 0 {
			return unix.EPERM
		}
	}
	return nil
}

// releaseTracees ends what t traces: t is ending.
func (t *Task) releaseTracees() {
	for len(t.tracees) > 0 {
		o := t.tracees[0]
		if o.tracee.options&optExitKill != 0 {
			o.p.exitGroup(int(unix.SIGKILL))
		}
		switch {
		case !o.exited:
			o.untrace()
		case o != o.p.leader:
			o.reapThread()
		default:
			p := o.p
			o.untrace()
			if !p.zombie || len(p.zombies) > 0 {
				break
			}
			if p.parent != t.p {
				p.notifyParent()
			} else if a := &t.p.sig.actions[unix.SIGCHLD]; a.Handler == sigIgn || a.Flags&saNoCldWait != 0 {
				t.p.childWait.Wake(wait.Readable)
				p.reap()
			}
		}
	}
}

// reapThread lets go of a thread that has ended, once its tracer knows: the
// process is waited for only then.
func (t *Task) reapThread() {
	p := t.p
	p.zombies = slices.DeleteFunc(p.zombies, func(o *Task) bool { return o == t })
	delete(t.k.pids.tasks, t.tid)
	if t.tracee != nil {
		t.untrace()
	}
	if len(p.zombies) > 0 {
		return
	}
	if p.zombie {
		p.announce()
	} else if len(p.threads) == 1 {
		p.threads[0].Wakeup() // an exec waits
	}
}

// announce tells of a process that has ended, whose threads' tracers know
// already: first to its own tracer, and only then to its parent.
func (p *Process) announce() {
	if len(p.zombies) > 0 {
		return
	}
	t := p.leader
	if t.tracee == nil {
		p.notifyParent()
		return
	}
	sig := int(unix.SIGCHLD)
	if !t.reparented() {
		sig = p.exitSignal
	}
	t.tellTracerOfEnd(sig)
}

// cloneEvent is the event that a clone is to its tracer, 0 if that has not
// asked for it.
func (t *Task) cloneEvent(a *cloneArgs) int {
	if a.flags&unix.CLONE_UNTRACED != 0 {
		return 0
	}
	event := eventFork
	switch {
	case a.flags&unix.CLONE_VFORK != 0:
		event = eventVfork
	case a.exitSignal != int(unix.SIGCHLD):
		event = eventClone
	}
	if !t.wantsEvent(event) {
		return 0
	}
	return event
}

// inheritTrace makes n, which t has just made, a tracee of t's tracer. It stops
// before it has run anything.
func (t *Task) inheritTrace(n *Task) {
	x := t.tracee
	x.tracer.trace(n, x.seized, x.options)
	n.tracee.cred = x.cred
	if x.seized {
		n.tracee.trapStop = true
	} else {
		n.pending.add(sigInfo{Signo: int32(unix.SIGSTOP)})
	}
}

// traceExec reports an exec. Tracers of old, without the option, get a signal.
func (t *Task) traceExec(oldTID int) {
	x := t.tracee
	if x == nil || t.dying {
		return
	}
	// At the event the call has not returned yet.
	t.th.SetResult(errnoResult(unix.ENOSYS))
	if !t.ptraceEvent(eventExec, uint64(oldTID)) && !x.seized {
		t.k.sendTask(t, t.userSignal(sigtrap, siUser))
	}
	t.th.SetResult(0)
}
