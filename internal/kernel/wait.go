package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"wait4":      r4(sysWait4[unix.Rusage]),
		"waitid":     e5(sysWaitid[abi.Siginfo, unix.Rusage]),
		"exit":       e1(sysExit),
		"exit_group": e1(sysExitGroup),
	})
}

func sysExit(t *Task, code int32) error {
	t.noResult = true
	t.dying = true
	t.work = true
	if !t.p.groupExit {
		t.exitAs = int(code&0xff) << 8
		t.exitAlone = true
	}
	return nil
}

func sysExitGroup(t *Task, code int32) error {
	t.noResult = true
	t.p.exitGroup(int(code&0xff) << 8)
	t.dying = true
	t.work = true
	return nil
}

// waitFor is what a wait call asks for.
type waitFor struct {
	match   func(id int, p *Process) bool // id is the process's number, or a traced thread's
	options int                           // WEXITED, WSTOPPED, WCONTINUED, WNOHANG, WNOWAIT, __WALL, __WCLONE
	thread  *Task                         // only children and tracees of this thread: __WNOTHREAD
}

// waited is what a wait call found.
type waited struct {
	pid, uid     int
	code, status int32 // as waitid has them
	ws           int   // as wait4 has it
	usage        usage
}

const (
	wNoThread = 0x20000000
	wAll      = 0x40000000
	wClone    = 0x80000000
)

func (t *Task) waitFor(options int32) waitFor {
	w := waitFor{options: int(uint32(options))}
	if w.options&wNoThread != 0 {
		w.thread = t
	}
	return w
}

// wait waits for a child's change of state. A nil result is WNOHANG's.
func (t *Task) wait(w waitFor) (*waited, error) {
	var found *waited
	var err error
	e := wait.Entry{Notify: func(*wait.Entry, wait.Events) bool { t.Wakeup(); return true }}
	defer e.Remove()
	for {
		any := false
		for _, c := range t.p.children {
			if !w.match(c.pid, c) || !w.kind(c) || w.thread != nil && c.parentThread != w.thread {
				continue
			}
			if x := c.leader.tracee; x != nil && x.tracer.p == t.p {
				any = any || !c.leader.exited || w.options&(unix.WEXITED|unix.WCONTINUED) != 0
				if found = t.waitTracee(w, c.leader); found != nil {
					return found, nil
				}
				continue
			}
			any = true
			if found = t.waitOne(w, c); found != nil {
				return found, nil
			}
		}
		for _, tracer := range t.p.threads {
			if w.thread != nil && tracer != w.thread {
				continue
			}
			for _, o := range tracer.tracees {
				if !w.match(o.tid, o.p) {
					continue
				}
				any = any || !o.exited || w.options&(unix.WEXITED|unix.WCONTINUED) != 0
				if found = t.waitTracee(w, o); found != nil {
					return found, nil
				}
			}
		}
		if !any {
			return nil, unix.ECHILD
		}
		if w.options&unix.WNOHANG != 0 {
			return nil, nil
		}
		if !e.Queued() {
			t.p.childWait.Add(&e, wait.Readable)
			continue // look again, now that nothing can be missed
		}
		if err = t.Sleep(0); err != nil {
			return nil, err
		}
	}
}

// kind reports whether the wait is for such children: those whose end is told
// by another signal than SIGCHLD are "clone" children.
func (w *waitFor) kind(c *Process) bool {
	if w.options&wAll != 0 {
		return true
	}
	return (c.exitSignal != int(unix.SIGCHLD)) == (w.options&wClone != 0)
}

func (t *Task) waitOne(w waitFor, c *Process) *waited {
	r := &waited{pid: c.pid, usage: c.totalUsage()}
	r.usage.add(c.childrenUsage)
	if c.leader != nil {
		r.uid = int(c.leader.cred.UID)
	}
	keep := w.options&unix.WNOWAIT != 0
	switch {
	case c.zombie:
		if w.options&unix.WEXITED == 0 || len(c.zombies) > 0 || c.leader.tracee != nil {
			return nil
		}
		r.ws = c.exitCode
		r.code, r.status = childStatus(c.exitCode)
		if !keep {
			t.p.childrenUsage.add(r.usage)
			c.reap()
		}
	case c.stopComplete && c.stopSignal != 0 && !c.stopReported && w.options&unix.WSTOPPED != 0:
		r.ws = c.stopSignal<<8 | 0x7f
		r.code, r.status = cldStopped, int32(c.stopSignal)
		if !keep {
			c.stopReported = true
		}
	case c.continued && w.options&unix.WCONTINUED != 0:
		r.ws = 0xffff
		r.code, r.status = cldContinued, int32(unix.SIGCONT)
		if !keep {
			c.continued = false
		}
	default:
		return nil
	}
	return r
}

// waitTracee is waitOne for a tracee of the caller's process.
func (t *Task) waitTracee(w waitFor, o *Task) *waited {
	p, x := o.p, o.tracee
	r := &waited{pid: o.tid, uid: int(o.cred.UID), usage: p.totalUsage()}
	keep := w.options&unix.WNOWAIT != 0
	switch {
	case o.exited:
		if w.options&unix.WEXITED == 0 || o == p.leader && (!p.zombie || len(p.zombies) > 0) {
			return nil
		}
		r.ws = o.endStatus()
		r.code, r.status = childStatus(r.ws)
		switch {
		case keep:
		case o != p.leader:
			o.reapThread()
		case o.reparented():
			o.untrace()
			p.notifyParent() // whose turn it is
		default:
			r.usage.add(p.childrenUsage)
			t.p.childrenUsage.add(r.usage)
			p.reap()
		}
	case x.stopped && !x.listening && x.code != 0:
		r.ws = x.code<<8 | 0x7f
		r.code, r.status = cldTrapped, int32(x.code)
		if !keep {
			x.code = 0
		}
	case p.continued && w.options&unix.WCONTINUED != 0:
		r.ws = 0xffff
		r.code, r.status = cldContinued, int32(unix.SIGCONT)
		if !keep {
			p.continued = false
		}
	default:
		return nil
	}
	return r
}

func sysWait4[T rusages](t *Task, pid int32, status Ptr[int32], options int32, ru Ptr[T]) (int, error) {
	const known = unix.WNOHANG | unix.WUNTRACED | unix.WCONTINUED | wNoThread | wAll
	if uint32(options)&^uint32(known)&^wClone != 0 {
		return 0, unix.EINVAL
	}
	w := t.waitFor(options | unix.WEXITED)
	switch {
	case pid == -1<<31:
		return 0, unix.ESRCH
	case pid < -1:
		w.match = func(_ int, c *Process) bool { return c.group != nil && c.group.id == int(-pid) }
	case pid == -1:
		w.match = func(int, *Process) bool { return true }
	case pid == 0:
		g := t.p.group
		w.match = func(_ int, c *Process) bool { return c.group == g }
	default:
		w.match = func(id int, _ *Process) bool { return id == int(pid) }
	}
	r, err := t.wait(w)
	if err != nil || r == nil {
		return 0, err
	}
	if status != 0 {
		if err := status.Put(t, int32(r.ws)); err != nil {
			return 0, err
		}
	}
	if ru != 0 {
		if err := store(t, ru, t.rusage(r.usage)); err != nil {
			return 0, err
		}
	}
	return r.pid, nil
}

func sysWaitid[I siginfos, T rusages](t *Task, idtype, id int32, info Ptr[I], options int32, ru Ptr[T]) error {
	const known = unix.WNOHANG | unix.WNOWAIT | unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED | wNoThread | wAll
	if uint32(options)&^uint32(known)&^wClone != 0 || options&(unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED) == 0 {
		return unix.EINVAL
	}
	w := t.waitFor(options)
	switch idtype {
	case unix.P_ALL:
		w.match = func(int, *Process) bool { return true }
	case unix.P_PID:
		if id <= 0 {
			return unix.EINVAL
		}
		w.match = func(n int, _ *Process) bool { return n == int(id) }
	case unix.P_PGID:
		if id < 0 {
			return unix.EINVAL
		}
		if id == 0 {
			id = int32(t.p.group.id)
		}
		w.match = func(_ int, c *Process) bool { return c.group != nil && c.group.id == int(id) }
	case unix.P_PIDFD:
		if id < 0 {
			return unix.EINVAL
		}
		p, nonblock, err := t.pidFDProcess(FD(id))
		if err != nil {
			return err
		}
		w.match = func(n int, _ *Process) bool { return n == p.pid }
		if nonblock && w.options&unix.WNOHANG == 0 {
			w.options |= unix.WNOHANG
			r, err := t.wait(w)
			if err == nil && r == nil {
				err = unix.EAGAIN
			}
			return putWaitid(t, r, err, info, ru)
		}
	default:
		return unix.EINVAL
	}
	r, err := t.wait(w)
	return putWaitid(t, r, err, info, ru)
}

// putWaitid tells what waitid found. Also when it failed, siginfo is written:
// with zeros, as Linux does.
func putWaitid[I siginfos, T rusages](t *Task, r *waited, failed error, info Ptr[I], ru Ptr[T]) error {
	var i sigInfo
	if r != nil {
		if ru != 0 {
			if err := store(t, ru, t.rusage(r.usage)); err != nil {
				return err
			}
		}
		i.Signo, i.Code = int32(unix.SIGCHLD), r.code
		i.put32(0, uint32(r.pid))
		i.put32(4, uint32(r.uid))
		i.put32(8, uint32(r.status))
	}
	if info == 0 {
		return failed
	}
	// The call writes only the fields it sets, not all 128 bytes.
	w, at := convert[abi.Siginfo, I](i.abi()), siginfoUnion[I]()
	if err := t.CopyOut(uint64(info), asBytes(&w)[:12]); err != nil {
		return err
	}
	if err := t.CopyOut(uint64(info)+at, asBytes(&w)[at:at+12]); err != nil {
		return err
	}
	return failed
}
