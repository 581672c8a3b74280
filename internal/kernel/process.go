package kernel

import (
	"runtime/debug"
	"slices"

	"github.com/sysemu/sysemu/internal/ipc"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Process is a thread group: what fork makes and wait reaps.
type Process struct {
	k       *Kernel
	pid     int
	leader  *Task
	threads []*Task // alive, in order of birth
	zombies []*Task // threads that have ended and whose tracers have not been told

	parent       *Process
	parentThread *Task // the thread of parent's that is told of as the parent
	children     []*Process
	group        *ProcessGroup

	sig     *sigHandlers
	pending sigQueue // shared by the threads

	job     *Job // nil: init
	limits  [16]unix.Rlimit
	exe     *vfs.File // the program, for /proc/PID/exe
	exeMM   *mm.Space // the leader's, for /proc/PID while it is alive
	execed  bool      // has called execve since fork: setpgid refuses it
	started int64     // monotonic

	exitSignal int
	groupExit  bool
	exitCode   int // as wait4 reports it
	core       *coreDump
	zombie     bool
	reaped     bool
	ended      wait.Queue // pidfds and Cmd.Wait: woken when zombie

	stopSignal    int  // not 0: stopped by that signal
	stopComplete  bool // all threads have
	stopReported  bool // wait has reported the stop
	continued     bool // SIGCONT, not yet reported by wait
	tellContinued bool // the parent has not been told of SIGCONT
	childWait     wait.Queue
	subreaper     bool
	noTTY         bool // has given up its session's controlling terminal
	deathSignal   int
	dumpable      int
	oomScoreAdj   int
	itimers       itimers
	posixTimers   posixTimers
	semUndo       ipc.Undo // of SEM_UNDO: its threads share it
	usage         usage    // of threads that have ended
	childrenUsage usage    // of children that were waited for

	onExit func()        // tells who started it
	onStop func(sig int) // tells who started it and follows its stops; or nil
}

// ProcessGroup is a job, setpgid(2).
type ProcessGroup struct {
	id      int
	session *Session
	members []*Process
}

// Session is a login, setsid(2). Its controlling terminal is tty's affair.
type Session struct {
	id     int
	leader *Process
	groups []*ProcessGroup
	tty    *tty.TTY // nil: none
	hungUp int      // the group that was in the foreground when the terminal went
}

// pidTable numbers tasks, process groups and sessions.
type pidTable struct {
	max    int
	last   int
	tasks  map[int]*Task
	procs  map[int]*Process // zombies too
	groups map[int]*ProcessGroup
}

func (pt *pidTable) init(max int) {
	*pt = pidTable{max: max, tasks: map[int]*Task{}, procs: map[int]*Process{}, groups: map[int]*ProcessGroup{}}
}

const pidMax = 32768

// alloc returns a number that no task, process or group has.
func (pt *pidTable) alloc() (int, error) {
	if len(pt.tasks) >= pt.max {
		return 0, unix.EAGAIN
	}
	for range pidMax {
		pt.last++
		if pt.last >= pidMax {
			pt.last = 300 // as Linux: low numbers are for the system
		}
		if pt.tasks[pt.last] == nil && pt.procs[pt.last] == nil && pt.groups[pt.last] == nil {
			return pt.last, nil
		}
	}
	return 0, unix.EAGAIN
}

func (pt *pidTable) count() int { return len(pt.tasks) }

// countUser is how many tasks a user has.
func (pt *pidTable) countUser(uid uint32) int {
	n := 0
	for _, t := range pt.tasks {
		if t.cred.UID == uid {
			n++
		}
	}
	return n
}

// processes returns all processes, by number.
func (pt *pidTable) processes() []*Process {
	ps := make([]*Process, 0, len(pt.procs))
	for _, p := range pt.procs {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *Process) int { return a.pid - b.pid })
	return ps
}

func (p *Process) session() *Session { return p.group.session }

// join makes p a member of group id, which is made when there is none.
func (p *Process) join(id int, s *Session) {
	k := p.k
	if p.group != nil {
		if p.group.id == id {
			return
		}
		p.leave()
	}
	g := k.pids.groups[id]
	if g == nil {
		g = &ProcessGroup{id: id, session: s}
		k.pids.groups[id] = g
		s.groups = append(s.groups, g)
	}
	g.members = append(g.members, p)
	p.group = g
}

// leave takes p out of its group, and the group out of the session when p was
// the last.
func (p *Process) leave() {
	g := p.group
	if g == nil {
		return
	}
	g.members = slices.DeleteFunc(g.members, func(q *Process) bool { return q == p })
	if len(g.members) == 0 {
		delete(p.k.pids.groups, g.id)
		s := g.session
		s.groups = slices.DeleteFunc(s.groups, func(h *ProcessGroup) bool { return h == g })
	}
	p.group = nil
}

// orphaned reports whether no member's parent is in another group of the
// session: nobody could continue it if it stopped (POSIX).
func (g *ProcessGroup) orphaned() bool {
	for _, p := range g.members {
		if p.zombie || p.parent == nil {
			continue
		}
		if p.onStop != nil {
			return false
		}
		if p.parent == p.k.init {
			continue
		}
		if p.parent.group != nil && p.parent.group != g && p.parent.session() == g.session {
			return false
		}
	}
	return true
}

func (g *ProcessGroup) hasStopped() bool {
	for _, p := range g.members {
		if p.stopSignal != 0 && !p.zombie {
			return true
		}
	}
	return false
}

// setParent moves p below another parent.
func (p *Process) setParent(parent *Process) {
	if p.parent != nil {
		p.parent.children = slices.DeleteFunc(p.parent.children, func(q *Process) bool { return q == p })
	}
	p.parent, p.parentThread = parent, nil
	if parent != nil {
		parent.children = append(parent.children, p)
		if len(parent.threads) > 0 {
			p.parentThread = parent.threads[0]
		}
	}
}

// reaper is who adopts p's children: the nearest subreaper above, or init.
func (p *Process) reaper() *Process {
	for a := p.parent; a != nil; a = a.parent {
		if a.subreaper && !a.zombie && !a.groupExit {
			return a
		}
	}
	return p.k.init
}

// kill sends a signal from the kernel.
func (p *Process) kill(sig int) {
	if p.leader == nil {
		return
	}
	p.k.sendProcess(p, kernelSignal(sig))
}

// exit ends the calling task with wait status code. It never returns to
// guest code: the caller leaves the kernel stack.
func (t *Task) exit(code int) {
	p := t.p
	if t.exited {
		return
	}
	t.exiting = true
	if !p.groupExit && !slices.ContainsFunc(p.threads, func(o *Task) bool { return !o.exiting }) {
		// As Linux 6: who goes last says how the process has ended.
		p.groupExit, p.exitCode = true, code
	}
	t.exitAs = code
	if t.tracee != nil {
		t.tracee.fatal = false
		t.ptraceEvent(eventExit, uint64(code))
	}
	t.exited = true
	if t.k.observed() {
		t.observe(Event{Kind: TaskExited, Status: unix.WaitStatus(t.exitAs)})
	}
	t.retarget()
	p.stopProgress()
	t.seccomp.release()
	t.attempt(t.exitFutexes)
	t.releaseVfork()
	t.attempt(t.detachMM)
	t.attempt(func() {
		if f := t.files; f != nil {
			t.files = nil
			f.Unref(t)
		}
	})
	t.attempt(func() {
		t.fs.refs--
		if t.fs.refs == 0 {
			t.fs.release()
		}
	})
	if t.th != nil {
		t.th.Destroy()
		p.usage.addThread(t)
	}
	p.job.left(t)
	t.th = nil
	t.pending.clear()
	t.attempt(t.releaseTracees)
	p.threads = slices.DeleteFunc(p.threads, func(o *Task) bool { return o == t })
	// Only now: other threads may have gone while this one let go of files.
	last := len(p.threads) == 0
	switch {
	case t == p.leader:
	case t.tracee != nil:
		p.zombies = append(p.zombies, t)
		t.tellTracerOfEnd(int(unix.SIGCHLD))
	default:
		delete(t.k.pids.tasks, t.tid)
	}
	if last {
		p.end(t)
	} else {
		p.threadEnded(t)
	}
	t.state = dead // at the very end: letting go of files may sleep
}

// attempt runs a step of the task's end. One that panics must not keep the
// others from being taken: the task would be neither alive nor gone.
func (t *Task) attempt(f func()) {
	defer func() {
		if r := recover(); r != nil {
			t.k.report("sysemu: panic while ending pid %d: %v\n%s", t.p.pid, r, debug.Stack())
		}
	}()
	f()
}

// threadEnded does what it means to the rest that a thread, not the last, has
// gone.
func (p *Process) threadEnded(t *Task) {
	// Its children are another thread's now: parent death signals are
	// about threads, prctl(2).
	for _, c := range p.children {
		if c.parentThread == t {
			c.parentThread = p.threads[0]
			c.parentDied(p)
		}
	}
	if d := p.core; d != nil && !d.done {
		d.by.Wakeup() // it waits for the others too
	}
	if len(p.threads) == 1 && len(p.zombies) == 0 {
		// An exec waits for the others to go.
		p.threads[0].Wakeup()
	}
}

// parentDied sends the signal that PR_SET_PDEATHSIG asked for.
func (p *Process) parentDied(parent *Process) {
	if p.deathSignal != 0 && !p.zombie {
		i := sigInfo{Signo: int32(p.deathSignal), Code: siUser}
		i.put32(0, uint32(parent.pid))
		i.put32(4, parent.leader.cred.UID)
		p.k.sendProcess(p, i)
	}
}

// setExe says which program p runs: nobody may write to it meanwhile.
func (p *Process) setExe(t *Task, f *vfs.File) {
	old := p.exe
	p.exe = nil
	if f != nil && f.DenyWrite() == nil {
		p.exe = f.Ref()
	}
	if old != nil {
		old.AllowWrite()
		old.Unref(t)
	}
}

// end makes the process a zombie: t, its last thread, is going.
func (p *Process) end(t *Task) {
	k := p.k
	t.attempt(func() { p.setExe(t, nil) })
	p.stopTimers()
	p.zombie = true
	k.memoryFreed(p)
	p.stopSignal = 0
	p.pending.clear()
	p.sig.unref()
	t.attempt(func() { k.ipc.Exit(t, &p.semUndo) })
	if s := p.session(); s.leader == p {
		t.attempt(s.leaderExits)
	}
	// Children go to the reaper; groups that are orphaned by that and have
	// stopped members are woken (POSIX).
	reaper := p.reaper()
	for len(p.children) > 0 {
		c := p.children[0]
		g := c.group
		was := g != nil && g.orphaned()
		c.setParent(reaper)
		c.exitSignal = int(unix.SIGCHLD)
		c.parentDied(p)
		if c.zombie {
			if c.leader.tracee == nil {
				c.announce()
			}
		} else if !was && g.orphaned() && g.hasStopped() {
			g.hangUp()
		}
	}
	// So is its own group, if p was what tied it to the session.
	if g, o := p.group, p.parent; o != nil && o.group != nil && o.group != g && o.group.session == g.session && g.hasStopped() && g.orphaned() {
		g.hangUp()
	}
	p.ended.Wake(wait.Readable)
	if p.onExit != nil {
		p.onExit()
	}
	p.announce()
}

func (g *ProcessGroup) hangUp() {
	for _, q := range slices.Clone(g.members) {
		q.kill(int(unix.SIGHUP))
		q.kill(int(unix.SIGCONT))
	}
}

// notifyParent tells the parent of a zombie. One that ignores SIGCHLD, and
// init, want no zombies.
func (p *Process) notifyParent() {
	parent := p.parent
	if parent == nil || parent == p.k.init || parent.zombie {
		p.reap()
		return
	}
	auto := false
	if p.exitSignal == int(unix.SIGCHLD) {
		a := &parent.sig.actions[unix.SIGCHLD]
		auto = a.Handler == sigIgn || a.Flags&saNoCldWait != 0
	}
	if p.exitSignal > 0 && p.exitSignal <= numSignals {
		if a := &parent.sig.actions[p.exitSignal]; !(p.exitSignal == int(unix.SIGCHLD) && a.Handler == sigIgn) {
			parent.k.sendProcess(parent, p.childInfo())
		}
	}
	if auto {
		p.reap()
	}
	parent.childWait.Wake(wait.Readable)
}

// reap lets go of a zombie's number.
func (p *Process) reap() {
	if p.reaped {
		return
	}
	p.reaped = true
	if p.leader.tracee != nil {
		p.leader.untrace()
	}
	p.leave()
	delete(p.k.pids.procs, p.pid)
	if p.k.pids.tasks[p.pid] == p.leader {
		delete(p.k.pids.tasks, p.pid)
	}
	p.setParent(nil)
	if p.k.closing && p.k.pids.count() == 0 {
		for _, c := range p.k.cpus {
			c.poke()
		}
	}
}

// exitGroup ends all threads of the process, exit_group(2); code is the wait
// status.
func (p *Process) exitGroup(code int) {
	if p.groupExit {
		return
	}
	p.groupExit = true
	p.exitCode = code
	for _, t := range p.threads {
		t.doom()
	}
}

// doom makes a thread end, whatever it does or waits for.
func (t *Task) doom() {
	t.dying = true
	if x := t.tracee; x != nil && !x.fatal {
		x.fatal = true
		if x.stopped {
			t.Wakeup()
		}
	}
	t.interrupt()
}
