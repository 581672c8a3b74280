package kernel

import (
	"fmt"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"pidfd_open":        r2(sysPidfdOpen),
		"pidfd_send_signal": e4(sysPidfdSendSignal[abi.Siginfo]),
		"pidfd_getfd":       r3(sysPidfdGetfd),
	})
}

// pidFile is a pidfd, pidfd_open(2): readable once the process has ended.
type pidFile struct {
	vfs.Node
	p     *Process
	ended bool
}

func newPidFile(n *Task, flags int) *vfs.File {
	f := &pidFile{}
	return vfs.NewFile(vfs.Path{}, f, f, unix.O_RDWR|flags)
}

func (f *pidFile) bind(n *Task)            { f.p = n.p }
func (f *pidFile) Release(ctx vfs.Context) {}
func (f *pidFile) Name() string            { return "anon_inode:[pidfd]" }

// Attr implements vfs.Inode.
func (f *pidFile) Attr(vfs.Context) (vfs.Attr, error) { return anonAttr(), nil }

// Poll implements vfs.Poller.
func (f *pidFile) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	if f.p.zombie {
		if f.p.reaped {
			return wait.Readable | wait.Hup, &f.p.ended
		}
		return wait.Readable, &f.p.ended
	}
	return 0, &f.p.ended
}

// FDInfo implements vfs.FDInfoer.
func (f *pidFile) FDInfo(*vfs.File) string {
	pid := f.p.pid
	if f.p.reaped {
		pid = -1
	}
	return fmt.Sprintf("Pid:\t%d\nNSpid:\t%d\n", pid, pid)
}

// anonAttr are the attributes of what has no name and no file system: pidfds,
// eventfds and the like.
func anonAttr() vfs.Attr {
	return vfs.Attr{Dev: 15, Ino: 1, Nlink: 1, Mode: 0o600, BlockSize: 4096}
}

func sysPidfdOpen(t *Task, pid int32, flags uint32) (int, error) {
	const pidfdThread = unix.O_EXCL
	if flags&^(unix.O_NONBLOCK|pidfdThread) != 0 || pid <= 0 {
		return 0, unix.EINVAL
	}
	p := t.k.pids.procs[int(pid)]
	if p == nil {
		if t.k.pids.tasks[int(pid)] != nil {
			return 0, unix.EINVAL // a thread, not a leader
		}
		return 0, unix.ESRCH
	}
	f := newPidFile(t, int(flags)&unix.O_NONBLOCK)
	f.Impl.(*pidFile).p = p
	return t.installFile(f, true)
}

// pidFDProcess is the process of a pidfd, and whether it is non-blocking.
func (t *Task) pidFDProcess(fd FD) (*Process, bool, error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return nil, false, err
	}
	defer f.Unref(t)
	pf, ok := f.Impl.(*pidFile)
	if !ok {
		return nil, false, unix.EBADF
	}
	return pf.p, f.NonBlocking(), nil
}

func sysPidfdSendSignal[I siginfos](t *Task, fd FD, sig int32, info Ptr[I], flags uint32) error {
	if flags&^7 != 0 {
		return unix.EINVAL
	}
	p, _, err := t.pidFDProcess(fd)
	if err != nil {
		return err
	}
	i := t.userSignal(int(sig), siUser)
	if info != 0 {
		v, err := load[abi.Siginfo](t, info)
		if err != nil {
			return err
		}
		i = infoOf(v)
		if i.Signo != sig {
			return unix.EINVAL
		}
		if p != t.p && (i.Code >= 0 || i.Code == siTkill) {
			return unix.EPERM
		}
	}
	if p.reaped {
		return unix.ESRCH
	}
	return t.sendTo(p, i)
}

func sysPidfdGetfd(t *Task, fd FD, target int32, flags uint32) (int, error) {
	if flags != 0 {
		return 0, unix.EINVAL
	}
	p, _, err := t.pidFDProcess(fd)
	if err != nil {
		return 0, err
	}
	if p.zombie || len(p.threads) == 0 {
		return 0, unix.ESRCH
	}
	if !t.mayTrace(p) {
		return 0, unix.EPERM
	}
	f, err := p.threads[0].files.Get(int(target))
	if err != nil {
		return 0, err
	}
	return t.installFile(f, true)
}

// mayTrace is ptrace(2)'s access check, as for process_vm_readv and /proc.
func (t *Task) mayTrace(p *Process) bool {
	if p == t.p || t.cred.Has(unix.CAP_SYS_PTRACE) {
		return true
	}
	if p.leader == nil || p.dumpable != 1 {
		return false
	}
	c, o := t.cred, p.leader.cred
	return c.UID == o.UID && c.UID == o.EUID && c.UID == o.SUID && c.GID == o.GID && c.GID == o.EGID && c.GID == o.SGID
}
