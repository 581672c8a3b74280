package kernel

import (
	"math/bits"
	"slices"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// sigset is a set of signals: bit n-1 is signal n.
type sigset uint64

func bit(sig int) sigset          { return 1 << (sig - 1) }
func (s sigset) has(sig int) bool { return s&bit(sig) != 0 }
func (s sigset) first() int       { return bits.TrailingZeros64(uint64(s)) + 1 }
func sigsOf(sigs ...unix.Signal) (s sigset) {
	for _, g := range sigs {
		s |= bit(int(g))
	}
	return s
}

const numSignals = 64

var (
	unblockable = sigsOf(unix.SIGKILL, unix.SIGSTOP)
	stopSignals = sigsOf(unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	// ignored by default
	defaultIgnored = sigsOf(unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH)
	// delivered before others: they belong to the instruction just run
	synchronous = sigsOf(unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGTRAP, unix.SIGFPE, unix.SIGSYS)
)

// sigAction is struct sigaction as the call passes it.
type sigAction struct {
	Handler, Flags, Restorer uint64
	Mask                     sigset
}

const (
	sigDfl = 0
	sigIgn = 1

	saNoCldStop = 1
	saNoCldWait = 2
	saSigInfo   = 4
	saOnStack   = 0x08000000
	saRestart   = 0x10000000
	saNoDefer   = 0x40000000
	saResetHand = 0x80000000
	saRestorer  = 0x04000000

	// saI386 marks an action that was set by a call of i386: its handler is
	// 32-bit code. Programs neither set nor see it.
	saI386 = 0x02000000
)

// sigHandlers is what CLONE_SIGHAND shares.
type sigHandlers struct {
	actions [numSignals + 1]sigAction
	refs    int
}

func (h *sigHandlers) unref() { h.refs-- }

// ignores reports whether sig has no effect: then it is not even queued.
func (h *sigHandlers) ignores(sig int) bool {
	switch h.actions[sig].Handler {
	case sigIgn:
		return true
	case sigDfl:
		return defaultIgnored.has(sig)
	}
	return false
}

// sigQueue is pending signals, in the order they came.
type sigQueue struct {
	set  sigset
	list []sigInfo
}

func (q *sigQueue) clear() { *q = sigQueue{} }

// add queues a signal. A standard signal that is pending already is dropped.
func (q *sigQueue) add(i sigInfo) bool {
	sig := int(i.Signo)
	if sig < 32 && q.set.has(sig) {
		return false
	}
	q.set |= bit(sig)
	q.list = append(q.list, i)
	return true
}

// count is how many of sig are queued.
func (q *sigQueue) count() int { return len(q.list) }

// take removes the first pending signal of those in set: synchronous ones
// first, then the lowest number.
func (q *sigQueue) take(set sigset) (sigInfo, bool) {
	set &= q.set
	if set == 0 {
		return sigInfo{}, false
	}
	sig := 0
	if s := set & synchronous; s != 0 {
		// What the task has brought on itself comes in the order it did.
		n := slices.IndexFunc(q.list, func(i sigInfo) bool { return i.Code > 0 && s.has(int(i.Signo)) })
		if set = s; n >= 0 {
			sig = int(q.list[n].Signo)
		}
	}
	if sig == 0 {
		sig = set.first()
	}
	found, more := -1, false
	for n := range q.list {
		if int(q.list[n].Signo) != sig {
			continue
		}
		if found < 0 {
			found = n
		} else {
			more = true
			break
		}
	}
	i := q.list[found]
	q.list = slices.Delete(q.list, found, found+1)
	if !more {
		q.set &^= bit(sig)
	}
	return i, true
}

// remove removes the signals that match.
func (q *sigQueue) remove(match func(*sigInfo) bool) {
	q.list = slices.DeleteFunc(q.list, func(i sigInfo) bool { return match(&i) })
	q.set = 0
	for n := range q.list {
		q.set |= bit(int(q.list[n].Signo))
	}
}

// drop removes all pending signals in set.
func (q *sigQueue) drop(set sigset) {
	if q.set&set == 0 {
		return
	}
	q.set &^= set
	q.list = slices.DeleteFunc(q.list, func(i sigInfo) bool { return set.has(int(i.Signo)) })
}

// dequeue takes the next signal of set that is pending for the task.
func (t *Task) dequeue(set sigset) (sigInfo, bool) {
	i, _, ok := t.dequeueFrom(set)
	return i, ok
}

// dequeueFrom also tells whether it was pending for the whole process.
func (t *Task) dequeueFrom(set sigset) (i sigInfo, shared, ok bool) {
	i, ok = t.pending.take(set)
	if !ok {
		i, ok = t.p.pending.take(set)
		shared = ok
	}
	if ok && i.Code == siTimer {
		t.p.posixTimers.delivered(&i)
	}
	return i, shared, ok
}

// signalPending reports whether there is a signal to deliver, or a stop.
func (t *Task) signalPending() bool {
	if (t.pending.set|t.p.pending.set)&^t.sigmask != 0 {
		return true
	}
	if t.tracee != nil {
		return t.trapPending()
	}
	return t.p.stopSignal != 0
}

// prepare does what sending a signal does before it is queued, and reports
// whether to queue it at all.
func (k *Kernel) prepare(p *Process, t *Task, sig int) bool {
	if p.zombie || p.groupExit && sig != int(unix.SIGKILL) {
		return false
	}
	switch {
	case sig == int(unix.SIGCONT):
		p.pending.drop(stopSignals)
		for _, o := range p.threads {
			o.pending.drop(stopSignals)
			o.stopPending, o.stopDequeued = false, false
		}
		p.cont()
		for _, o := range p.threads {
			if o.tracee != nil && o.tracee.seized {
				o.trapSoon(&o.tracee.notify)
			}
		}
	case stopSignals.has(sig):
		p.pending.drop(bit(int(unix.SIGCONT)))
		for _, o := range p.threads {
			o.pending.drop(bit(int(unix.SIGCONT)))
		}
	}
	if !p.sig.ignores(sig) {
		return true
	}
	if o := t; o != nil && o.tracee != nil || o == nil && p.leader.tracee != nil {
		return true // the tracer may make another of it
	}
	// An ignored signal is queued all the same where it is blocked or
	// waited for: the action may change before it is unblocked.
	if t != nil {
		return t.sigmask.has(sig) || t.sigWanted.has(sig)
	}
	for _, o := range p.threads {
		if o.sigmask.has(sig) || o.sigWanted.has(sig) {
			return true
		}
	}
	return false
}

// maxQueued bounds the real-time signals a process may have pending, whatever
// its RLIMIT_SIGPENDING; see tooManyQueued.
const maxQueued = 1 << 16

// sendProcess sends a signal to a process: any thread that does not block it
// may take it.
func (k *Kernel) sendProcess(p *Process, i sigInfo) {
	sig := int(i.Signo)
	if p.leader == nil || p.zombie {
		return
	}
	if sig == int(unix.SIGKILL) {
		p.exitGroup(int(unix.SIGKILL))
		return
	}
	if !k.prepare(p, nil, sig) {
		if k.observed() {
			p.observeIgnored(nil, &i)
		}
		return
	}
	if p.pending.count() >= maxQueued {
		return
	}
	if !p.pending.add(i) {
		return
	}
	k.wakeSignalfd(p)
	// Wake one that can take it: the leader, or the first.
	var best *Task
	for _, t := range p.threads {
		if t.takes(sig) && (best == nil || t == p.leader) {
			best = t
		}
	}
	if best != nil {
		best.signalArrived(sig)
	}
}

// takes reports whether the task would take sig if it came now.
func (t *Task) takes(sig int) bool {
	return !t.dying && !t.exited && (!t.sigmask.has(sig) || t.sigWanted.has(sig))
}

// sendTask sends a signal to one thread.
func (k *Kernel) sendTask(t *Task, i sigInfo) {
	sig := int(i.Signo)
	if t.exited {
		return
	}
	if sig == int(unix.SIGKILL) {
		t.p.exitGroup(int(unix.SIGKILL))
		return
	}
	if !k.prepare(t.p, t, sig) {
		if k.observed() {
			t.p.observeIgnored(t, &i)
		}
		return
	}
	if t.pending.count() >= maxQueued {
		return
	}
	if !t.pending.add(i) {
		return
	}
	k.wakeSignalfd(t.p)
	if !t.sigmask.has(sig) || t.sigWanted.has(sig) {
		t.signalArrived(sig)
	}
}

func (t *Task) signalArrived(sig int) {
	if t.sigWanted.has(sig) {
		t.Wakeup()
		return
	}
	t.interrupt()
}

// force sends a signal that the task cannot escape: one it blocks or ignores
// takes its default action.
func (t *Task) force(i sigInfo) {
	sig := int(i.Signo)
	a := &t.p.sig.actions[sig]
	if t.sigmask.has(sig) || a.Handler == sigIgn {
		a.Handler = sigDfl
		t.sigmask &^= bit(sig)
	}
	t.pending.drop(bit(sig))
	t.pending.add(i)
	t.work = true
}

// condemn sends a signal that ends the process, whoever handles it or traces the task.
func (t *Task) condemn(i sigInfo) {
	t.force(i)
	t.condemned |= bit(int(i.Signo))
}

// sendGroup sends to every process of a group.
func (k *Kernel) sendGroup(g *ProcessGroup, i sigInfo) {
	for _, p := range slices.Clone(g.members) {
		k.sendProcess(p, i)
	}
}

// retarget wakes other threads for shared signals that this one, which has
// blocked more or is ending, will not take.
func (t *Task) retarget() {
	for s := t.p.pending.set; s != 0; {
		sig := s.first()
		s &^= bit(sig)
		for _, o := range t.p.threads {
			if o != t && o.takes(sig) {
				o.signalArrived(sig)
				break
			}
		}
	}
}

// setMask changes the blocked signals.
func (t *Task) setMask(m sigset) {
	m &^= unblockable
	more := m &^ t.sigmask
	t.sigmask = m
	if more&t.p.pending.set != 0 && len(t.p.threads) > 1 {
		t.retarget()
	}
	t.work = true
}

// stop stops all threads of the process. One that is traced joins the stop when
// its tracer lets it, and may be run on by that; a stop that is complete stays
// so whatever its tracees do.
func (p *Process) stop(by *Task, sig int) {
	if p.groupExit {
		return
	}
	if p.stopSignal == 0 {
		p.stopSignal = sig
		p.stopComplete, p.stopReported = false, false
		p.continued = false
	} else if !p.stopComplete && !by.stopPending {
		p.stopSignal = sig
	}
	for _, t := range p.threads {
		if t.inStop || t.stopPending {
			continue
		}
		t.stopPending, t.stopSig = true, sig
		if t != by && t.tracee != nil && t.tracee.seized {
			t.trapSoon(&t.tracee.notify)
			continue
		}
		t.interrupt()
	}
}

// stopProgress tells of the stop once no thread runs any more. One that
// sleeps where signals do not wake it counts: it stops before guest code.
func (p *Process) stopProgress() {
	if p.stopDone() {
		p.tellStopped()
	}
}

// stopDone reports whether the stop has just become complete.
func (p *Process) stopDone() bool {
	if p.stopSignal == 0 || p.stopComplete {
		return false
	}
	for _, t := range p.threads {
		switch {
		case t.inStop || t.exited || t.dying:
		case t.tracee != nil && !t.stopPending:
		case t.tracee == nil && t.state == blocked && t.sleeping != interruptible:
		default:
			return false
		}
	}
	p.stopComplete = true
	return true
}

func (p *Process) tellStopped() {
	p.tellParent(cldStopped, p.stopSignal)
	if p.onStop != nil {
		p.onStop(p.stopSignal)
	}
}

// cont continues a stopped process.
func (p *Process) cont() {
	if p.stopSignal == 0 {
		return
	}
	p.stopSignal = 0
	p.continued, p.tellContinued = true, true
	for _, t := range p.threads {
		if t.tracee == nil {
			t.work = true
			t.Wakeup()
		}
	}
}

// tellParent reports a stop or continuation.
func (p *Process) tellParent(code int32, sig int) {
	parent := p.parent
	if parent == nil || parent.leader == nil || parent.zombie {
		return
	}
	a := &parent.sig.actions[unix.SIGCHLD]
	if a.Flags&saNoCldStop == 0 && a.Handler != sigIgn {
		p.k.sendProcess(parent, p.leader.childSignal(int(unix.SIGCHLD), code, int32(sig)))
	}
	parent.childWait.Wake(wait.Readable)
}

// doWork does what must be done before guest code runs again: end, stop,
// deliver signals, restart the call that one interrupted. It reports whether
// the task lives on.
func (t *Task) doWork() bool {
	for {
		t.work = false
		if t.dying || t.exited {
			t.awaitDump()
			code := t.p.exitCode
			if t.exitAlone && !t.p.groupExit {
				code = t.exitAs
			}
			t.exit(code)
			return false
		}
		if t.p.stopSignal != 0 && t.tracee == nil {
			t.inStop, t.stopPending = true, false
			if t.k.observed() {
				t.observe(Event{Kind: TaskStopped, Status: unix.WaitStatus(t.p.stopSignal<<8 | 0x7f)})
			}
			t.p.stopProgress()
			for t.p.stopSignal != 0 && !t.dying && t.tracee == nil {
				t.sleep(killable, 0)
			}
			t.inStop = false
			t.work = true
			continue
		}
		if t.tracee != nil && t.trapPending() {
			t.ptraceTrap()
			continue
		}
		if t.p.tellContinued {
			// As Linux: who goes on tells, not who sent SIGCONT.
			t.p.tellContinued = false
			t.p.tellParent(cldContinued, int(unix.SIGCONT))
			if x := t.p.leader.tracee; x != nil && t.p.leader.reparented() {
				t.p.leader.tellTracer(cldContinued, int(unix.SIGCONT))
			}
		}
		if !t.deliver() {
			continue // the signal changed the state: look again
		}
		break
	}
	if t.interruptd { // and no handler ran
		t.interruptd = false
		t.restartCall()
	}
	if t.hasOld {
		t.hasOld = false
		t.setMask(t.oldmask)
		t.work = t.signalPending()
	}
	return true
}

// deliver takes pending signals until one has a handler, whose frame it
// builds, or none is left. false: look at the task's state again.
func (t *Task) deliver() bool {
	for {
		i, shared, ok := t.dequeueFrom(^t.sigmask)
		if !ok {
			return true
		}
		t.interruptd = true
		traced := t.tracee != nil
		sig := int(i.Signo)
		if t.condemned.has(sig) {
			if t.k.observed() {
				t.observeSignal(SignalDelivered, &i)
			}
			t.endBySignal(&i)
			return false
		}
		if t.tracee != nil && !t.ptraceSignal(&i, shared) {
			return false
		}
		sig = int(i.Signo)
		if t.k.observed() {
			t.observeSignal(SignalDelivered, &i)
		}
		a := &t.p.sig.actions[sig]
		switch {
		case a.Handler == sigIgn:
		case a.Handler != sigDfl:
			act := *a
			if a.Flags&saResetHand != 0 {
				a.Handler = sigDfl
			}
			t.work = true // more may be pending
			if !t.handle(i, act) {
				return false
			}
		case defaultIgnored.has(sig):
		case stopSignals.has(sig):
			if sig != int(unix.SIGSTOP) && t.p.group.orphaned() || t.tracee != nil && !t.stopDequeued {
				break
			}
			t.p.stop(t, sig)
			return false
		default:
			t.endBySignal(&i)
			return false
		}
		if traced {
			return false // a stop may be due
		}
	}
}

// handle makes the task run a handler: decides what becomes of the call that
// was interrupted, and builds the frame.
func (t *Task) handle(i sigInfo, a sigAction) bool {
	t.interruptd = false
	t.restartForHandler(a.Flags)
	stepping := t.around&aroundStep != 0
	t.around &^= aroundStep
	mask := t.sigmask
	if t.hasOld {
		mask = t.oldmask
		t.hasOld = false
	}
	if err := t.pushFrame(i, a, mask); err != nil {
		// No stack to build it on: as Linux, SIGSEGV that cannot be handled
		// when SIGSEGV's own frame fails.
		if int(i.Signo) == int(unix.SIGSEGV) {
			t.p.sig.actions[unix.SIGSEGV].Handler = sigDfl
		}
		t.force(kernelSignal(int(unix.SIGSEGV)))
		return false
	}
	m := t.sigmask | a.Mask
	if a.Flags&saNoDefer == 0 {
		m |= bit(int(i.Signo))
	}
	t.setMask(m)
	if stepping {
		t.ptraceNotify(sigtrap, 0) // the step ends at the handler
	}
	return true
}

// takeFault turns a processor exception into a signal.
func (t *Task) takeFault(ev machine.Event) {
	t.arch = abi.AMD64
	if ev.Signal == int(unix.SIGSEGV) && t.space().Fault(t, t.th, ev.Addr) {
		t.minflt++
		return
	}
	if h := t.p.sig.actions[ev.Signal].Handler; h != sigDfl && h != sigIgn {
		if fi, err := t.th.FaultInfo(ev.Signal); err == nil {
			t.fault = fi
		}
	}
	t.force(faultSignal(ev.Signal, ev.Code, ev.Addr))
}
