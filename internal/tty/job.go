package tty

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Kernel is what terminals need of the kernel: job control, credentials(7).
// Processes, groups and sessions are numbered as the caller sees them.
type Kernel interface {
	// Caller tells of the process that makes the call.
	Caller(ctx vfs.Context) Caller
	// Ignores reports whether the calling thread blocks or ignores sig.
	Ignores(ctx vfs.Context, sig int) bool
	// Orphaned reports whether the caller's process group is orphaned.
	Orphaned(ctx vfs.Context) bool
	// SessionOf returns the session of a process group, 0 if there is none.
	SessionOf(group int) int
	// SignalGroup sends a signal of the kernel's to a process group.
	SignalGroup(group, sig int)
	// SetTTY makes t the controlling terminal of a session; nil: it has
	// none any more.
	SetTTY(session int, t *TTY)
	// DropTTY takes the controlling terminal from the calling process only.
	DropTTY(ctx vfs.Context)
	// HangUp takes the controlling terminal from a session and sends
	// SIGHUP and SIGCONT to its leader. group, the foreground group, is to
	// have the same when the leader exits.
	HangUp(session, group int)
}

// Caller is a process as a terminal sees it.
type Caller struct {
	Session, Group int
	Leader         bool // of the session
	TTY            *TTY // the controlling terminal, or nil
}

// mayChange checks that the caller is no background process of the session
// that t controls. If it is, its group gets sig (SIGTTIN or SIGTTOU) and the
// call is interrupted; EIO if that cannot stop it.
func (t *TTY) mayChange(ctx vfs.Context, sig unix.Signal) error {
	if t.session == 0 || t.foreground == 0 {
		return nil
	}
	c := t.kernel.Caller(ctx)
	if c.TTY != t || c.Group == t.foreground {
		return nil
	}
	if t.kernel.Ignores(ctx, int(sig)) {
		if sig == unix.SIGTTIN {
			return unix.EIO
		}
		return nil
	}
	if t.kernel.Orphaned(ctx) {
		return unix.EIO
	}
	t.kernel.SignalGroup(c.Group, int(sig))
	return wait.ErrInterrupted
}

// adopt makes t the controlling terminal of a session leader that opens it
// and has none.
func (t *TTY) adopt(ctx vfs.Context, flags int) {
	if t.session != 0 || flags&unix.O_ACCMODE == unix.O_WRONLY {
		return
	}
	if c := t.kernel.Caller(ctx); c.Leader && c.TTY == nil {
		t.control(c)
	}
}

// control makes t the controlling terminal of c's session.
func (t *TTY) control(c Caller) {
	t.session, t.foreground = c.Session, c.Group
	t.kernel.SetTTY(c.Session, t)
}

// acquire is TIOCSCTTY; with steal, which needs CAP_SYS_ADMIN, even from
// another session.
func (t *TTY) acquire(ctx vfs.Context, f *vfs.File, steal bool) error {
	c := t.kernel.Caller(ctx)
	if c.Leader && t.session == c.Session {
		return nil
	}
	if !c.Leader || c.TTY != nil {
		return unix.EPERM
	}
	admin := ctx.Cred().Has(unix.CAP_SYS_ADMIN)
	if t.session != 0 {
		if !steal || !admin {
			return unix.EPERM
		}
		t.kernel.SetTTY(t.session, nil)
	}
	if !f.CanRead() && !admin {
		return unix.EPERM
	}
	t.control(c)
	return nil
}

// giveUp is TIOCNOTTY: a leader takes the terminal from the whole session.
func (t *TTY) giveUp(ctx vfs.Context) error {
	c := t.kernel.Caller(ctx)
	if c.TTY != t {
		return unix.ENOTTY
	}
	if c.Leader {
		t.SessionEnded(false)
	} else {
		t.kernel.DropTTY(ctx)
	}
	return nil
}

// SessionEnded takes the terminal from the session that it controls, because
// the leader exits or gives it up: the foreground group is sent SIGHUP, and if
// the leader lives on SIGCONT.
func (t *TTY) SessionEnded(exit bool) {
	session, group := t.session, t.foreground
	if session == 0 {
		return
	}
	t.session, t.foreground = 0, 0
	t.kernel.SetTTY(session, nil)
	if group != 0 {
		t.kernel.SignalGroup(group, int(unix.SIGHUP))
		if !exit {
			t.kernel.SignalGroup(group, int(unix.SIGCONT))
		}
	}
}

// owned checks that the caller's controlling terminal is t, if it asks by the
// slave.
func (t *TTY) owned(ctx vfs.Context, master bool) error {
	if !master && t.kernel.Caller(ctx).TTY != t {
		return unix.ENOTTY
	}
	return nil
}

// setForeground is TIOCSPGRP.
func (t *TTY) setForeground(ctx vfs.Context, group int) error {
	c := t.kernel.Caller(ctx)
	if group < 0 {
		return unix.EINVAL
	}
	if c.TTY != t || t.session != c.Session {
		return unix.ENOTTY
	}
	switch t.kernel.SessionOf(group) {
	case 0:
		return unix.ESRCH
	case c.Session:
		t.foreground = group
		return nil
	}
	return unix.EPERM
}
