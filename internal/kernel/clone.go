package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"fork":            r0(sysFork),
		"vfork":           r0(sysVfork),
		"clone":           r5(sysClone),
		"clone3":          r2(sysClone3),
		"unshare":         e1(sysUnshare),
		"set_tid_address": r1(sysSetTidAddress),
	})
}

// cloneArgs is what clone(2), clone3(2), fork and vfork ask for.
type cloneArgs struct {
	flags      uint64 // CLONE_*, without the exit signal
	exitSignal int
	stack      uint64 // 0 = the parent's
	tls        uint64
	parentTID  Ptr[int32]
	childTID   Ptr[int32]
	pidfd      Ptr[int32]
	setTID     []int32
}

func sysFork(t *Task) (int, error) {
	return t.clone(cloneArgs{exitSignal: int(unix.SIGCHLD)})
}

func sysVfork(t *Task) (int, error) {
	return t.clone(cloneArgs{flags: unix.CLONE_VM | unix.CLONE_VFORK, exitSignal: int(unix.SIGCHLD)})
}

func sysClone(t *Task, flags uint64, stack Addr, ptid, ctid Ptr[int32], tls uint64) (int, error) {
	flags &= low32
	a := cloneArgs{flags: flags &^ unix.CSIGNAL, exitSignal: int(flags & unix.CSIGNAL), stack: uint64(stack), tls: tls, parentTID: ptid, childTID: ctid}
	if flags&unix.CLONE_PIDFD != 0 {
		if flags&unix.CLONE_PARENT_SETTID != 0 {
			return 0, unix.EINVAL
		}
		a.pidfd = ptid
	}
	return t.clone(a)
}

func sysClone3(t *Task, args Addr, size uint64) (int, error) {
	var raw [11]uint64
	const v0 = 64
	if size < v0 {
		return 0, unix.EINVAL
	}
	if size > 4096 {
		return 0, unix.E2BIG
	}
	buf := make([]byte, size)
	if err := t.CopyIn(uint64(args), buf); err != nil {
		return 0, err
	}
	n := copy(asBytes(&raw), buf)
	for _, b := range buf[n:] {
		if b != 0 {
			return 0, unix.E2BIG
		}
	}
	a := cloneArgs{
		flags: raw[0], pidfd: Ptr[int32](raw[1]), childTID: Ptr[int32](raw[2]), parentTID: Ptr[int32](raw[3]),
		exitSignal: int(raw[4] & 0xff), tls: raw[7],
	}
	const clone3Flags = low32 | unix.CLONE_CLEAR_SIGHAND | unix.CLONE_INTO_CGROUP
	if a.flags&^clone3Flags != 0 || a.flags&(unix.CLONE_DETACHED|unix.CSIGNAL&^unix.CLONE_NEWTIME) != 0 || raw[4]&^uint64(unix.CSIGNAL) != 0 || raw[5] == 0 && raw[6] > 0 || raw[5] > 0 && raw[6] == 0 {
		return 0, unix.EINVAL
	}
	if raw[5] != 0 {
		a.stack = raw[5] + raw[6]
	}
	if a.flags&(unix.CLONE_THREAD|unix.CLONE_PARENT) != 0 && a.exitSignal != 0 || a.exitSignal > numSignals {
		return 0, unix.EINVAL
	}
	if raw[9] != 0 { // set_tid
		if raw[9] > 1 || raw[8] == 0 {
			return 0, unix.EINVAL
		}
		return 0, unix.EPERM
	}
	if a.flags&unix.CLONE_INTO_CGROUP != 0 {
		return 0, unix.EBADF
	}
	return t.clone(a)
}

const cloneNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

func (a *cloneArgs) check(t *Task) error {
	f := a.flags
	has := func(bits uint64) bool { return f&bits != 0 }
	switch {
	case has(unix.CLONE_THREAD) && !has(unix.CLONE_SIGHAND),
		has(unix.CLONE_SIGHAND) && !has(unix.CLONE_VM),
		has(unix.CLONE_FS) && has(unix.CLONE_NEWNS),
		has(unix.CLONE_CLEAR_SIGHAND) && has(unix.CLONE_SIGHAND),
		has(unix.CLONE_PIDFD) && has(unix.CLONE_DETACHED):
		return unix.EINVAL
	case has(cloneNamespaces):
		if !t.cred.Has(unix.CAP_SYS_ADMIN) {
			return unix.EPERM
		}
		return unix.EINVAL // as a kernel built without namespaces
	}
	return nil
}

// clone makes a new task.
func (t *Task) clone(a cloneArgs) (int, error) {
	if err := a.check(t); err != nil {
		return 0, err
	}
	k := t.k
	p := t.p
	if t.dying {
		// exit_group and exec have told all threads there were: a new one
		// would not know.
		return 0, unix.EINTR
	}
	if err := p.job.mayGrow(); err != nil {
		return 0, err
	}
	if lim := p.limits[unix.RLIMIT_NPROC].Cur; t.cred.UID != 0 && lim != unix.RLIM_INFINITY && uint64(k.pids.countUser(t.cred.UID)) >= lim {
		if lim >= uint64(k.cfg.PIDs) {
			p.job.reach(Processes)
		}
		return 0, unix.EAGAIN
	}
	tid, err := k.pids.alloc()
	if err != nil {
		p.job.reach(Processes)
		return 0, err
	}
	thread := a.flags&unix.CLONE_THREAD != 0
	n := &Task{k: k, cpu: t.cpu, tid: tid, comm: t.comm, cred: t.cred, sigmask: t.sigmask, arch: t.arch, resumeArch: t.resumeArch, attrs: t.attrs.fork(), started: k.clock.Shown()}

	// The host's part first: it is what can fail.
	if a.flags&unix.CLONE_VM != 0 {
		n.th, err = t.th.Clone()
	} else {
		n.th, err = t.th.Fork()
	}
	if err != nil {
		return 0, unix.EAGAIN
	}
	// Registers: as the parent's, but for result, stack and TLS.
	r := n.th.EditRegs()
	*r = *t.th.Regs()
	r.Rax = 0
	if a.stack != 0 {
		r.Rsp = a.stack
	}
	if a.flags&unix.CLONE_SETTLS != 0 {
		if err := archOf(t.call.Arch).setTLS(t, n, a.tls); err != nil {
			n.th.Destroy()
			return 0, err
		}
	}
	var pidfile *vfs.File
	pidfd := -1
	if a.flags&unix.CLONE_PIDFD != 0 {
		pidfile = newPidFile(n, 0)
		if pidfd, err = t.files.Install(pidfile, 0, t.fileLimit(), true); err == nil {
			if err = a.pidfd.Put(t, int32(pidfd)); err != nil {
				t.files.Close(t, pidfd)
			}
		}
		if err != nil {
			n.th.Destroy()
			return 0, err
		}
	}
	if a.flags&unix.CLONE_VM != 0 {
		n.mm = t.mm
		n.mm.Users++
	} else {
		n.mm = t.mm.Fork(t)
	}
	n.altstack, n.fault = t.altstack, t.fault
	if a.flags&(unix.CLONE_VM|unix.CLONE_VFORK) == unix.CLONE_VM {
		n.altstack = abi.StackT{Flags: ssDisable}
	}
	if a.flags&unix.CLONE_FS != 0 {
		n.fs = t.fs
		n.fs.refs++
	} else {
		n.fs = t.fs.copy()
	}
	if a.flags&unix.CLONE_FILES != 0 {
		n.files = t.files.Ref()
	} else {
		n.files = t.files.Clone()
	}
	n.inheritSeccomp(t)
	n.dispatch = t.dispatch
	event := t.cloneEvent(&a)
	if t.tracee != nil && (event != 0 || a.flags&unix.CLONE_PTRACE != 0) {
		t.inheritTrace(n)
	}
	k.pids.tasks[tid] = n
	if thread {
		n.p = p
		n.stopPending, n.stopSig = p.stopSignal != 0, p.stopSignal
		p.threads = append(p.threads, n)
	} else {
		t.newProcess(n, a)
	}
	p.job.joined(n)
	if pidfile != nil {
		pidfile.Impl.(*pidFile).bind(n)
	}

	if a.flags&unix.CLONE_PARENT_SETTID != 0 {
		a.parentTID.Put(t, int32(tid))
	}
	if a.flags&unix.CLONE_CHILD_SETTID != 0 {
		a.childTID.Put(n, int32(tid))
	}
	if a.flags&unix.CLONE_CHILD_CLEARTID != 0 {
		n.clearTID = uint64(a.childTID)
	}
	if k.observed() {
		n.observe(Event{Kind: TaskStarted, Other: t.tid})
	}
	if p.job.killed && !thread { // while the host was at work
		n.p.kill(int(unix.SIGKILL))
	}
	n.work = true
	n.state = ready
	n.readySince = nanotime()

	if a.flags&unix.CLONE_VFORK != 0 {
		var done wait.Queue
		n.vforkDone, n.vforked = &done, true
		t.cpu.ready.push(n)
		if event != 0 {
			t.ptraceEvent(event, uint64(tid))
		}
		for n.vforked {
			// Only SIGKILL ends the wait; the child goes on then.
			if err := done.UntilKillable(t, func() bool { return !n.vforked }); err != nil {
				break
			}
		}
		n.vforkDone = nil
		if !n.vforked {
			t.ptraceEvent(eventVforkDone, uint64(tid))
		}
		return tid, nil
	}
	t.cpu.ready.push(n)
	if event != 0 {
		t.ptraceEvent(event, uint64(tid))
	}
	return tid, nil
}

// newProcess makes n the first thread of a child of t's.
func (t *Task) newProcess(n *Task, a cloneArgs) {
	p, k := t.p, t.k
	c := &Process{
		k: k, pid: n.tid, leader: n, threads: []*Task{n},
		job: p.job, limits: p.limits, exitSignal: a.exitSignal, started: n.started,
		dumpable: p.dumpable, oomScoreAdj: p.oomScoreAdj,
	}
	n.p = c
	c.setExe(t, p.exe)
	switch {
	case a.flags&unix.CLONE_SIGHAND != 0:
		c.sig = p.sig
		c.sig.refs++
	default:
		h := *p.sig
		h.refs = 1
		c.sig = &h
		if a.flags&unix.CLONE_CLEAR_SIGHAND != 0 {
			for i := range c.sig.actions {
				if c.sig.actions[i].Handler != sigIgn {
					c.sig.actions[i] = sigAction{}
				}
			}
		}
	}
	parent := p
	if a.flags&unix.CLONE_PARENT != 0 {
		parent = p.parent
		c.exitSignal = p.exitSignal
	}
	c.setParent(parent)
	if parent == p {
		c.parentThread = t
	}
	c.join(p.group.id, p.session())
	k.pids.procs[c.pid] = c
}

// releaseVfork lets the parent of a vfork go on: the child has its own memory
// now, or is gone.
func (t *Task) releaseVfork() {
	if t.vforked {
		t.vforked = false
		if t.vforkDone != nil {
			t.vforkDone.Wake(wait.Readable)
		}
	}
}

// detachMM lets go of the address space.
func (t *Task) detachMM() {
	if s := t.mm; s != nil {
		t.mm = nil
		t.letGo(s)
	}
}

// letGo gives up a user's claim to an address space.
func (t *Task) letGo(s *mm.Space) {
	s.Users--
	if s.Users == 0 {
		s.Release(t)
	}
}

func (f *fsInfo) copy() *fsInfo {
	return &fsInfo{root: f.root.Ref(), cwd: f.cwd.Ref(), umask: f.umask, refs: 1}
}

func (f *fsInfo) release() {
	f.root.Unref()
	f.cwd.Unref()
	f.root, f.cwd = vfs.Path{}, vfs.Path{}
}

func sysUnshare(t *Task, flags uint32) error {
	const known = unix.CLONE_FILES | unix.CLONE_FS | unix.CLONE_SYSVSEM | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM
	if flags&^known != 0 {
		if flags&cloneNamespaces != 0 && !t.cred.Has(unix.CAP_SYS_ADMIN) {
			return unix.EPERM
		}
		return unix.EINVAL
	}
	if flags&(unix.CLONE_THREAD|unix.CLONE_SIGHAND|unix.CLONE_VM) != 0 && len(t.p.threads) > 1 {
		return unix.EINVAL
	}
	if flags&unix.CLONE_FILES != 0 && t.files.Shared() {
		f := t.files.Clone()
		t.files.Unref(t)
		t.files = f
	}
	if flags&unix.CLONE_FS != 0 && t.fs.refs > 1 {
		f := t.fs.copy()
		t.fs.refs--
		t.fs = f
	}
	return nil
}

func sysSetTidAddress(t *Task, addr Addr) (int, error) {
	t.clearTID = uint64(addr)
	return t.tid, nil
}
