package kernel

import (
	"github.com/sysemu/sysemu/internal/fs/devfs"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Controlling terminals: what package tty needs of sessions and job control,
// credentials(7), and where its devices are.

// jobs implements tty.Kernel.
type jobs struct{ k *Kernel }

// Caller implements tty.Kernel.
func (j jobs) Caller(ctx vfs.Context) tty.Caller {
	p := ctx.(*Task).p
	if p.group == nil {
		return tty.Caller{}
	}
	s := p.session()
	c := tty.Caller{Session: s.id, Group: p.group.id, Leader: s.leader == p}
	if !p.noTTY {
		c.TTY = s.tty
	}
	return c
}

// Ignores implements tty.Kernel.
func (j jobs) Ignores(ctx vfs.Context, sig int) bool {
	t := ctx.(*Task)
	return t.sigmask.has(sig) || t.p.sig.actions[sig].Handler == sigIgn
}

// Orphaned implements tty.Kernel.
func (j jobs) Orphaned(ctx vfs.Context) bool {
	g := ctx.(*Task).p.group
	return g == nil || g.orphaned()
}

// SessionOf implements tty.Kernel.
func (j jobs) SessionOf(group int) int {
	if g := j.k.pids.groups[group]; g != nil {
		return g.session.id
	}
	return 0
}

// SignalGroup implements tty.Kernel.
func (j jobs) SignalGroup(group, sig int) {
	if g := j.k.pids.groups[group]; g != nil {
		j.k.sendGroup(g, kernelSignal(sig))
	}
}

// session finds a session by its number, nil if nobody is in it.
func (k *Kernel) session(id int) *Session {
	if g := k.pids.groups[id]; g != nil && g.session.id == id {
		return g.session
	}
	for _, g := range k.pids.groups {
		if g.session.id == id {
			return g.session
		}
	}
	return nil
}

// SetTTY implements tty.Kernel.
func (j jobs) SetTTY(session int, t *tty.TTY) {
	if s := j.k.session(session); s != nil {
		s.tty = t
		s.hungUp = 0
		if s.leader != nil {
			s.leader.noTTY = false
		}
	}
}

// DropTTY implements tty.Kernel.
func (j jobs) DropTTY(ctx vfs.Context) { ctx.(*Task).p.noTTY = true }

// HangUp implements tty.Kernel.
func (j jobs) HangUp(session, group int) {
	s := j.k.session(session)
	if s == nil {
		return
	}
	s.tty = nil
	if s.leader == nil {
		return
	}
	s.hungUp = group
	s.leader.kill(int(unix.SIGHUP))
	s.leader.kill(int(unix.SIGCONT))
}

// leaderExits gives up the controlling terminal: its foreground group is hung
// up.
func (s *Session) leaderExits() {
	k := s.leader.k
	if s.tty != nil {
		s.tty.SessionEnded(true)
	} else if s.hungUp != 0 {
		// The terminal went before the leader: the group it had left.
		if g := k.pids.groups[s.hungUp]; g != nil && g.session == s {
			g.hangUp()
		}
	}
	s.tty, s.leader, s.hungUp = nil, nil, 0
}

// sysVhangup hangs up the caller's controlling terminal.
func sysVhangup(t *Task) error {
	if !t.cred.Has(unix.CAP_SYS_TTY_CONFIG) {
		return unix.EPERM
	}
	if c := (jobs{t.k}).Caller(t); c.TTY != nil {
		c.TTY.Hangup()
	}
	return nil
}

// newTerminals makes the devpts and what opens terminals by number.
func (k *Kernel) newTerminals(ctx vfs.Context) vfs.FileSystem {
	k.terminals = tty.NewFS(jobs{k}, ctx.Realtime(), tty.Options{Dev: k.ns.System().AnonymousDev()})
	devices := map[uint32]devfs.Opener{
		0: func(ctx vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
			return tty.OpenControlling(ctx, jobs{k}, flags)
		},
		2: func(ctx vfs.Context, _ vfs.Path, _ int) (vfs.Impl, error) { return k.terminals.OpenMaster(ctx) },
	}
	for minor, open := range devices {
		k.devices.Register(unix.S_IFCHR, 5, minor, "/dev/tty", open)
	}
	return k.terminals
}

// NewConsole makes a terminal whose master is for the embedding program, once
// MountStandard has been called. For Start.Terminal.
func (k *Kernel) NewConsole(uid, gid uint32) (*tty.Console, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.terminals == nil {
		return nil, unix.ENXIO
	}
	c, err := k.terminals.NewConsole(&vfs.Cred{UID: uid, GID: gid}, k.clock.Realtime(), func(f func()) {
		k.mu.Lock()
		defer k.mu.Unlock()
		f()
	})
	if err == nil {
		k.AddSource(c)
	}
	return c, err
}

// takeTerminal makes c the controlling terminal of the task's session and its
// descriptors 0 to 2, where nothing else is there.
func (t *Task) takeTerminal(c *tty.Console) error {
	f, err := c.OpenSlave(t)
	if err != nil {
		return err
	}
	defer f.Unref(t)
	for fd := range 3 {
		if t.files.Peek(fd) == nil {
			t.files.Set(t, f.Ref(), fd, false)
		}
	}
	_, err = f.Impl.(vfs.Ioctler).Ioctl(t, f, unix.TIOCSCTTY, 0, taskMemory{t})
	return err
}
