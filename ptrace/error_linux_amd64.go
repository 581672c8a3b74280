package ptrace

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
)

// ErrNotSupported is matched, by errors.Is, by an [Error] of a request that the
// host does not have: PTRACE_SYSEMU outside x86, or under a sandbox that leaves
// it out. It matches errors.ErrUnsupported.
var ErrNotSupported = fmt.Errorf("ptrace: the host does not have this request: %w", errors.ErrUnsupported)

// Error is a failed ptrace(2) request, or a failed wait4(2) on its behalf.
type Error struct {
	Request Request
	PID     int           // thread id of the tracee; -1: a wait for any
	Errno   syscall.Errno // as ptrace(2) documents for the request
	Cause   string        // what lies behind Errno, where that was found out; may be empty

	unsupported bool
}

// Error names the request, the tracee, the errno and, if known, the cause:
// "PTRACE_GETREGS 4711: no such process: the tracee is not stopped".
func (e *Error) Error() string {
	s := e.Request.String()
	if e.PID > 0 {
		s += " " + strconv.Itoa(e.PID)
	}
	s += ": " + e.Errno.Error()
	if e.unsupported {
		s += ": the host does not have this request"
	}
	if e.Cause != "" {
		s += ": " + e.Cause
	}
	return s
}

// Unwrap returns the errno, so that errors.Is(err, unix.ESRCH) holds.
func (e *Error) Unwrap() error { return e.Errno }

// Is matches [ErrNotSupported] if the host lacks the request.
func (e *Error) Is(target error) bool {
	return e.unsupported && (target == ErrNotSupported || target == errors.ErrUnsupported)
}
