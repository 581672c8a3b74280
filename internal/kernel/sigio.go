package kernel

import (
	"github.com/sysemu/sysemu/internal/net"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// SIGIO: the owner of a description, fcntl(2), is sent a signal when it
// becomes ready.

// Kinds of owner, F_OWNER_*.
const (
	ownerThread  = 0
	ownerProcess = 1
	ownerGroup   = 2
)

const fGetownerUIDs = 17 // F_GETOWNER_UIDS

// ownerID is the owner of f as F_GETOWN_EX tells it; 0 for one that is gone.
func ownerID(f *vfs.File) (pid int, kind int32) {
	switch o := f.Owner.Who.(type) {
	case *Task:
		if o.exited && o.p.reaped {
			return 0, ownerThread
		}
		return o.tid, ownerThread
	case *Process:
		if o.reaped {
			return 0, ownerProcess
		}
		return o.pid, ownerProcess
	case *ProcessGroup:
		if len(o.members) == 0 {
			return 0, ownerGroup
		}
		return o.id, ownerGroup
	}
	return 0, 0
}

// setOwnerPID is F_SETOWN: a group is a negative number.
func (t *Task) setOwnerPID(f *vfs.File, pid int32) error {
	switch {
	case pid == -1<<31:
		return unix.EINVAL
	case pid < 0:
		return t.setOwner(f, ownerGroup, -pid)
	}
	return t.setOwner(f, ownerProcess, pid)
}

// setOwner is F_SETOWN_EX: ESRCH for a number that nobody has, 0 is nobody.
func (t *Task) setOwner(f *vfs.File, kind, pid int32) error {
	if kind < ownerThread || kind > ownerGroup {
		return unix.EINVAL
	}
	if pid == 0 {
		f.Owner.Who = nil
		return nil
	}
	pt := &t.k.pids
	task, process, group := pt.tasks[int(pid)], pt.procs[int(pid)], pt.groups[int(pid)]
	if task == nil && process == nil && group == nil {
		return unix.ESRCH
	}
	var who any // stays nil for a number that is of another kind
	switch {
	case kind == ownerThread && task != nil:
		who = task
	case kind == ownerProcess && process != nil:
		who = process
	case kind == ownerProcess && task != nil:
		who = task.p
	case kind == ownerGroup && group != nil:
		who = group
	}
	t.own(f, who)
	return nil
}

func (t *Task) own(f *vfs.File, who any) {
	f.Owner.Who, f.Owner.UID, f.Owner.EUID = who, t.cred.UID, t.cred.EUID
}

// setAsync turns O_ASYNC of f on or off, and reports whether f can do it. A
// terminal then has an owner, if it had none: whoever it is talking to.
func (t *Task) setAsync(f *vfs.File, fd int, on bool) bool {
	if !f.SetAsync(fd, on, t.k.sendSIGIO) {
		return false
	}
	if tt := tty.TTYOf(f); tt != nil && on && f.Owner.Who == nil {
		if g := t.k.pids.groups[tt.Foreground()]; g != nil {
			t.own(f, g)
		} else {
			t.own(f, t.p)
		}
	}
	return true
}

// The numbers by which ioctl does for sockets what fcntl does for all.
const (
	fioSetOwn = 0x8901
	siocSPGRP = 0x8902
	fioGetOwn = 0x8903
	siocGPGRP = 0x8904
)

func (t *Task) ownerIoctl(f *vfs.File, cmd uint32, arg Ptr[int32]) (done bool, v uint64, err error) {
	if cmd < fioSetOwn || cmd > siocGPGRP {
		return false, 0, nil
	}
	if _, err := net.Of(f); err != nil {
		return false, 0, nil
	}
	if cmd == fioGetOwn || cmd == siocGPGRP {
		pid, kind := ownerID(f)
		if kind == ownerGroup {
			pid = -pid
		}
		n := int32(pid)
		return true, 0, arg.Out(t, &n)
	}
	pid, err := arg.In(t)
	if err != nil {
		return true, 0, err
	}
	return true, 0, t.setOwnerPID(f, pid)
}

// sendSIGIO signals f's owner. It is told to vfs.File.SetAsync.
func (k *Kernel) sendSIGIO(f *vfs.File, fd int, ev wait.Events) {
	i := kernelSignal(int(unix.SIGIO))
	if sig := f.Owner.Signal; sig != 0 {
		i = pollSignal(sig, fd, ev)
	}
	send := func(p *Process) {
		if p.leader != nil && mayReach(&f.Owner, p.leader.cred) {
			k.sendProcess(p, i)
		}
	}
	switch o := f.Owner.Who.(type) {
	case *Task:
		if mayReach(&f.Owner, o.cred) {
			k.sendTask(o, i)
		}
	case *Process:
		send(o)
	case *ProcessGroup:
		for _, p := range o.members {
			send(p)
		}
	}
}

// mayReach reports whether who set the owner might signal c, kill(2).
func mayReach(o *vfs.Owner, c *Cred) bool {
	return o.EUID == 0 || o.EUID == c.SUID || o.EUID == c.UID || o.UID == c.SUID || o.UID == c.UID
}

// pollSignal is the signal of F_SETSIG: which descriptor is ready for what.
func pollSignal(sig, fd int, ev wait.Events) sigInfo {
	const pollIn, pollOut, pollErr, pollPri, pollHup = 1, 2, 4, 5, 6
	code, band := int32(pollIn), wait.Readable
	switch {
	case ev&wait.Hup != 0:
		code, band = pollHup, wait.Hup|wait.Err
	case ev&wait.Err != 0:
		code, band = pollErr, wait.Err
	case ev&wait.Pri != 0:
		code, band = pollPri, wait.Pri|wait.RdBand
	case ev&wait.In == 0 && ev&wait.Out != 0:
		code, band = pollOut, wait.Writable|wait.WrBand
	}
	// Signals whose codes mean something else already.
	if s := unix.Signal(sig); synchronous.has(sig) || s == unix.SIGCHLD {
		code = siSigIO
	}
	i := sigInfo{Signo: int32(sig), Code: code}
	i.put64(0, uint64(band))
	i.put32(8, uint32(fd))
	return i
}
