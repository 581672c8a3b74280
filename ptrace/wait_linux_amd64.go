package ptrace

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Wait waits until thread pid, or with pid -1 any child or tracee, has
// something to report, and returns the status, in the form of
// syscall.WaitStatus: wait4(2). The options are unix.WALL, which a tracee that
// is a thread needs, unix.WNOTHREAD, unix.WNOHANG. With WNOHANG and nothing to
// report the status is 0, which is also that of exit(0): use [WaitAny] to tell
// them apart.
//
// It goes on after EINTR. The Go runtime knows that it blocks. The error is the
// bare errno: ECHILD if there is nothing to wait for.
func Wait(pid int, options int) (uint32, error) {
	_, ws, err := WaitAny(pid, options)
	return ws, err
}

// WaitAny is [Wait] that also returns whose status it is, 0 if there is none.
func WaitAny(pid int, options int) (int, uint32, error) {
	var ws int32
	for {
		// Not RawSyscall6: a garbage collection would have to wait for this thread.
		who, _, e := syscall.Syscall6(syscall.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&ws)), uintptr(options), 0, 0, 0)
		switch e {
		case 0:
			return int(who), uint32(ws), nil
		case unix.EINTR:
		default:
			return 0, 0, e
		}
	}
}
