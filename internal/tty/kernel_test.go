package tty_test

import (
	"fmt"
	"unsafe"

	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// fakeKernel plays the kernel, and notes what it is told.
type fakeKernel struct {
	caller   tty.Caller
	ignores  bool
	orphaned bool
	sessions map[int]int // of groups
	log      []string
}

func (k *fakeKernel) note(format string, a ...any) { k.log = append(k.log, fmt.Sprintf(format, a...)) }

func (k *fakeKernel) Caller(vfs.Context) tty.Caller { return k.caller }
func (k *fakeKernel) Ignores(vfs.Context, int) bool { return k.ignores }
func (k *fakeKernel) Orphaned(vfs.Context) bool     { return k.orphaned }
func (k *fakeKernel) SessionOf(group int) int       { return k.sessions[group] }
func (k *fakeKernel) SignalGroup(group, sig int) {
	k.note("%v to %d", unix.SignalName(unix.Signal(sig)), group)
}
func (k *fakeKernel) HangUp(session, group int) {
	k.note("hang up %d %d", session, group)
	k.caller.TTY = nil
}
func (k *fakeKernel) DropTTY(vfs.Context) { k.note("drop"); k.caller.TTY = nil }
func (k *fakeKernel) SetTTY(session int, t *tty.TTY) {
	k.note("session %d has %v", session, t != nil)
	if session == k.caller.Session {
		k.caller.TTY = t
	}
}

func (k *fakeKernel) take() string {
	s := fmt.Sprint(k.log)
	k.log = nil
	return s
}

func ioctlBytes(fd int, cmd uint, b []byte) error {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), uintptr(unsafe.Pointer(&b[0])))
	return errno(e)
}
