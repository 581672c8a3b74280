package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Access is something that a call is about to do, told to its Guard: to use
// the file called Path, to use a socket's address, or to be another call.
type Access struct {
	Use  vfs.Use // of the file Path; 0: it is no file
	Path string
	Addr []byte // a socket's address to bind, to connect or to send to; nil: none
	// Sub is the call that socketcall stands for, and Args its arguments: its
	// number is the calling register's, what it is given lies in memory.
	Sub  string
	Args []uint64
}

// Guarded implements vfs.Guard.
func (t *Task) Guarded() bool { return t.call.Guard != nil }

// MayUse implements vfs.Guard.
func (t *Task) MayUse(name string, u vfs.Use) error {
	return t.call.Guard(&Access{Use: u, Path: name})
}

var _ vfs.Guard = (*Task)(nil)

// mayUseAll asks about what gives every file another name.
func (t *Task) mayUseAll() error {
	if !t.Guarded() {
		return nil
	}
	return t.MayUse("/", vfs.UseRead|vfs.UseWrite|vfs.UseExec|vfs.UseTree)
}

// mayUseAddr asks about a socket's address. What is a name in the file system
// is asked about as a file, once it is resolved.
func (t *Task) mayUseAddr(a []byte) error {
	if !t.Guarded() {
		return nil
	}
	if len(a) > 2 && uint16(a[0])|uint16(a[1])<<8 == unix.AF_UNIX && a[2] != 0 {
		return nil
	}
	return t.call.Guard(&Access{Addr: a})
}

// maySub asks about the call that socketcall stands for.
func (t *Task) maySub(name string, args []uint32) error {
	if !t.Guarded() {
		return nil
	}
	a := Access{Sub: name}
	for _, v := range args {
		a.Args = append(a.Args, uint64(v))
	}
	return t.call.Guard(&a)
}

// Condemn ends the calling process as a seccomp filter does: by a SIGSYS that
// nobody can catch.
func (c *Call) Condemn() {
	c.Locked(func(t *Task) error {
		t.condemn(sysSignal(abi.SYS_SECCOMP, c, t.th.Regs().Rip, 0))
		return nil
	})
}

// UIDs are the user that the calling thread is, really and in effect.
func (c *Call) UIDs() (uid, euid uint32) {
	c.Locked(func(t *Task) error { uid, euid = t.cred.UID, t.cred.EUID; return nil })
	return uid, euid
}
