package kernel

import (
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"getpid":  r0(func(t *Task) (int, error) { return t.p.pid, nil }),
		"gettid":  r0(func(t *Task) (int, error) { return t.tid, nil }),
		"getppid": r0(sysGetppid),
		"getpgrp": r0(func(t *Task) (int, error) { return t.p.group.id, nil }),
		"getpgid": r1(sysGetpgid),
		"setpgid": e2(sysSetpgid),
		"getsid":  r1(sysGetsid),
		"setsid":  r0(sysSetsid),
	})
}

func sysGetppid(t *Task) (int, error) {
	if t.p.parent == nil {
		return 0, nil
	}
	return t.p.parent.pid, nil
}

// process finds a process by number; 0 is the caller's.
func (t *Task) process(pid int32) *Process {
	if pid == 0 {
		return t.p
	}
	if p := t.k.pids.procs[int(pid)]; p != nil {
		return p
	}
	if o := t.k.pids.tasks[int(pid)]; o != nil {
		return o.p
	}
	return nil
}

func sysGetpgid(t *Task, pid int32) (int, error) {
	p := t.process(pid)
	if p == nil || p.group == nil {
		return 0, unix.ESRCH
	}
	return p.group.id, nil
}

func sysGetsid(t *Task, pid int32) (int, error) {
	p := t.process(pid)
	if p == nil || p.group == nil {
		return 0, unix.ESRCH
	}
	return p.session().id, nil
}

func sysSetpgid(t *Task, pid, pgid int32) error {
	if pgid < 0 {
		return unix.EINVAL
	}
	p := t.process(pid)
	if p == nil || p.group == nil {
		return unix.ESRCH
	}
	if pgid == 0 {
		pgid = int32(p.pid)
	}
	s := t.p.session()
	switch {
	case p != t.p && p.parent != t.p:
		return unix.ESRCH
	case p != t.p && p.session() != s:
		return unix.EPERM
	case p != t.p && p.execed:
		return unix.EACCES
	case p.session().leader == p:
		return unix.EPERM
	}
	if int(pgid) != p.pid {
		if g := t.k.pids.groups[int(pgid)]; g == nil || g.session != s {
			return unix.EPERM
		}
	}
	p.join(int(pgid), s)
	return nil
}

func sysSetsid(t *Task) (int, error) {
	p := t.p
	if t.k.pids.groups[p.pid] != nil {
		return 0, unix.EPERM
	}
	p.join(p.pid, &Session{id: p.pid, leader: p})
	return p.pid, nil
}
