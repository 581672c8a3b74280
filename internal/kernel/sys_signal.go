package kernel

import (
	"slices"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"rt_sigaction":      e4(sysRtSigaction[abi.Sigaction]),
		"rt_sigprocmask":    e4(sysRtSigprocmask),
		"rt_sigreturn":      e0(sysRtSigreturn),
		"rt_sigpending":     e2(sysRtSigpending),
		"rt_sigtimedwait":   r4(sysRtSigtimedwait[abi.Siginfo, unix.Timespec]),
		"rt_sigqueueinfo":   e3(sysRtSigqueueinfo[abi.Siginfo]),
		"rt_tgsigqueueinfo": e4(sysRtTgsigqueueinfo[abi.Siginfo]),
		"rt_sigsuspend":     e2(sysRtSigsuspend),
		"sigaltstack":       e2(sysSigaltstack[abi.StackT]),
		"pause":             e0(sysPause),
		"kill":              e2(sysKill),
		"tkill":             e2(sysTkill),
		"tgkill":            e3(sysTgkill),
		"restart_syscall":   r0(sysRestartSyscall),
	})
}

func sysRtSigaction[T sigactions](t *Task, sig int32, act, old Ptr[T], size uint64) error {
	if size != 8 {
		return unix.EINVAL
	}
	return sigaction(t, sig, act, old)
}

func sigaction[T sigactions](t *Task, sig int32, act, old Ptr[T]) error {
	var n *sigAction
	if act != 0 {
		v, err := load[abi.Sigaction](t, act)
		if err != nil {
			return err
		}
		n = &sigAction{v.Handler, v.Flags, v.Restorer, sigset(v.Mask)}
	}
	was, err := t.setAction(sig, n)
	if err != nil {
		return err
	}
	return storePut(t, old, abi.Sigaction{Handler: was.Handler, Flags: was.Flags, Restorer: was.Restorer, Mask: uint64(was.Mask)})
}

// setAction says what a signal does, unless n is nil, and returns what it did.
func (t *Task) setAction(sig int32, n *sigAction) (was sigAction, err error) {
	if sig < 1 || sig > numSignals || n != nil && unblockable.has(int(sig)) {
		return was, unix.EINVAL
	}
	cur := &t.p.sig.actions[sig]
	was = *cur
	was.Flags &^= saI386
	if n != nil {
		n.Mask &^= unblockable
		const known = saNoCldStop | saNoCldWait | saSigInfo | saOnStack | saRestart | saNoDefer | saResetHand | saRestorer | 0x800
		n.Flags &= known // so a program can ask which are supported
		n.Flags |= archOf(t.call.Arch).action
		*cur = *n
		if t.p.sig.ignores(int(sig)) {
			// What is pending is discarded, POSIX says.
			t.p.pending.drop(bit(int(sig)))
			for _, o := range t.p.threads {
				o.pending.drop(bit(int(sig)))
			}
		}
	}
	return was, nil
}

func sysRtSigprocmask(t *Task, how int32, set, old Ptr[sigset], size uint64) error {
	if size != 8 {
		return unix.EINVAL
	}
	was := t.sigmask
	if set != 0 {
		s, err := set.In(t)
		if err != nil {
			return err
		}
		if err := t.changeMask(how, s, ^sigset(0)); err != nil {
			return err
		}
	}
	return old.Put(t, was)
}

// changeMask is sigprocmask(2) ; setting it whole replaces the signals in of only.
func (t *Task) changeMask(how int32, s, of sigset) error {
	switch how {
	case unix.SIG_BLOCK:
		s |= t.sigmask
	case unix.SIG_UNBLOCK:
		s = t.sigmask &^ s
	case unix.SIG_SETMASK:
		s = t.sigmask&^of | s&of
	default:
		return unix.EINVAL
	}
	t.setMask(s)
	return nil
}

func sysRtSigpending(t *Task, set Addr, size uint64) error {
	if size > 8 {
		return unix.EINVAL
	}
	s := (t.pending.set | t.p.pending.set) & t.sigmask
	return t.CopyOut(uint64(set), asBytes(&s)[:size])
}

func sysRtSigtimedwait[I siginfos, T timespecs](t *Task, set Ptr[sigset], info Ptr[I], timeout Ptr[T], size uint64) (int, error) {
	if size != 8 {
		return 0, unix.EINVAL
	}
	s, err := set.In(t)
	if err != nil {
		return 0, err
	}
	s &^= unblockable
	var deadline int64
	poll := false
	if timeout != 0 {
		ts, err := load[unix.Timespec](t, timeout)
		if err != nil {
			return 0, err
		}
		if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
			return 0, unix.EINVAL
		}
		deadline = t.deadlineIn(ts)
		poll = ts.Sec == 0 && ts.Nsec == 0
	}
	i, ok := t.dequeue(s)
	if !ok {
		if poll {
			return 0, unix.EAGAIN
		}
		t.sigWanted = s
		var err error
		for !ok && err == nil {
			err = t.Sleep(deadline)
			i, ok = t.dequeue(s)
		}
		t.sigWanted = 0
		if !ok {
			if err == wait.ErrTimedOut {
				return 0, unix.EAGAIN
			}
			return 0, unix.EINTR
		}
	}
	return int(i.Signo), storePut(t, info, i.abi())
}

// queueInfo checks a siginfo that a program made up for a thread.
func queueInfo[I siginfos](t *Task, tid int32, sig int32, info Ptr[I]) (sigInfo, error) {
	v, err := load[abi.Siginfo](t, info)
	i := infoOf(v)
	if err != nil {
		return i, err
	}
	if (i.Code >= 0 || i.Code == siTkill) && int(tid) != t.tid {
		return i, unix.EPERM
	}
	i.Signo = sig
	return i, nil
}

func sysRtSigqueueinfo[I siginfos](t *Task, pid, sig int32, info Ptr[I]) error {
	i, err := queueInfo(t, pid, sig, info)
	if err != nil {
		return err
	}
	p := t.k.pids.procs[int(pid)]
	if p == nil {
		return unix.ESRCH
	}
	return t.sendTo(p, i)
}

func sysRtTgsigqueueinfo[I siginfos](t *Task, tgid, tid, sig int32, info Ptr[I]) error {
	if tgid <= 0 || tid <= 0 {
		return unix.EINVAL
	}
	i, err := queueInfo(t, tid, sig, info)
	if err != nil {
		return err
	}
	return t.sendThread(tgid, tid, i)
}

func sysRtSigsuspend(t *Task, set Ptr[sigset], size uint64) error {
	if size != 8 {
		return unix.EINVAL
	}
	s, err := set.In(t)
	if err != nil {
		return err
	}
	t.swapMask(s)
	return t.sleepForSignal()
}

// swapMask sets a mask for the time of one call.
func (t *Task) swapMask(s sigset) {
	t.oldmask, t.hasOld = t.sigmask, true
	t.setMask(s)
}

func (t *Task) sleepForSignal() error {
	for {
		if err := t.Sleep(0); err != nil {
			return wait.ErrInterruptedNoHand
		}
	}
}

func sysPause(t *Task) error { return t.sleepForSignal() }

// mayKill reports whether t may signal p, kill(2).
func (t *Task) mayKill(p *Process, sig int32) bool {
	if p == t.p || p.leader == nil {
		return p == t.p
	}
	c, o := t.cred, p.leader.cred
	return c.EUID == o.SUID || c.EUID == o.UID || c.UID == o.SUID || c.UID == o.UID ||
		c.Has(unix.CAP_KILL) || sig == int32(unix.SIGCONT) && p.group != nil && t.p.session() == p.session()
}

// tooManyQueued reports whether RLIMIT_SIGPENDING keeps a real-time signal
// from p: one that has something to tell is not to be lost. The limit counts
// here what the process has pending, not all of its user's.
func (t *Task) tooManyQueued(p *Process, i sigInfo) bool {
	if i.Signo < 32 || i.Code == siUser {
		return false
	}
	n := uint64(p.pending.count())
	for _, o := range p.threads {
		n += uint64(o.pending.count())
	}
	return n >= min(p.limits[unix.RLIMIT_SIGPENDING].Cur, maxQueued)
}

// sendTo signals a process if t may; signal 0 only asks.
func (t *Task) sendTo(p *Process, i sigInfo) error {
	if i.Signo < 0 || i.Signo > numSignals {
		return unix.EINVAL
	}
	if !t.mayKill(p, i.Signo) {
		return unix.EPERM
	}
	if t.tooManyQueued(p, i) {
		return unix.EAGAIN
	}
	if i.Signo != 0 {
		t.k.sendProcess(p, i)
	}
	return nil
}

func sysKill(t *Task, pid, sig int32) error {
	i := t.userSignal(int(sig), siUser)
	pt := &t.k.pids
	switch {
	case pid > 0:
		p := pt.procs[int(pid)]
		if p == nil {
			// A thread's number stands for its process.
			if o := pt.tasks[int(pid)]; o != nil {
				p = o.p
			} else {
				return unix.ESRCH
			}
		}
		return t.sendTo(p, i)
	case pid == -1:
		found := false
		for _, p := range pt.processes() {
			if p == t.p || p.leader == nil {
				continue
			}
			if t.sendTo(p, i) == nil {
				found = true
			}
		}
		if !found {
			return unix.ESRCH
		}
		return nil
	case pid == -1<<31:
		return unix.ESRCH
	}
	g := t.p.group
	if pid < 0 {
		g = pt.groups[int(-pid)]
	}
	if g == nil {
		return unix.ESRCH
	}
	err := error(unix.ESRCH)
	for _, p := range slices.Clone(g.members) {
		if e := t.sendTo(p, i); e == nil {
			err = nil
		} else if err != nil {
			err = e
		}
	}
	return err
}

func sysTkill(t *Task, tid, sig int32) error {
	if tid <= 0 {
		return unix.EINVAL
	}
	return t.sendThread(-1, tid, t.userSignal(int(sig), siTkill))
}

func sysTgkill(t *Task, tgid, tid, sig int32) error {
	if tgid <= 0 || tid <= 0 {
		return unix.EINVAL
	}
	return t.sendThread(tgid, tid, t.userSignal(int(sig), siTkill))
}

// sendThread signals one thread; tgid -1 is any process.
func (t *Task) sendThread(tgid, tid int32, i sigInfo) error {
	if i.Signo < 0 || i.Signo > numSignals {
		return unix.EINVAL
	}
	o := t.k.pids.tasks[int(tid)]
	if o == nil || tgid != -1 && o.p.pid != int(tgid) {
		return unix.ESRCH
	}
	if !t.mayKill(o.p, i.Signo) {
		return unix.EPERM
	}
	if t.tooManyQueued(o.p, i) {
		return unix.EAGAIN
	}
	if i.Signo != 0 {
		t.k.sendTask(o, i)
	}
	return nil
}

// restartBy is how a call ends that restart_syscall is to go on with by f.
func (t *Task) restartBy(f func(*Task) (uint64, error)) error {
	t.resume, t.resumeArch = f, t.arch
	return &wait.Interrupted{Kind: wait.RestartBlock}
}

// sysRestartSyscall goes on with a call that a stop interrupted.
func sysRestartSyscall(t *Task) (uint64, error) {
	f := t.resume
	if f == nil {
		return 0, unix.EINTR
	}
	t.resume = nil
	return f(t)
}
