package ptrace

// What lies behind an errno that says little. ptrace(2) answers ESRCH for a
// thread that is gone, for one that is not a tracee, for one that belongs to
// another tracer thread and for one that runs. Nothing here is done unless a
// request has failed.

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procStatus returns the fields of /proc/PID/status, nil if there is no such thread.
func procStatus(pid int) map[string]string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return nil
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

func wrongThread(tracer int) string {
	return fmt.Sprintf("called from thread %d, but the tracees belong to thread %d: ptrace(2) is bound to the goroutine that called NewTracer",
		unix.Gettid(), tracer)
}

// causeESRCH explains why thread pid does not take a request of thread tracer,
// or cannot be waited for by it.
func causeESRCH(pid, tracer int) string {
	if tracer != unix.Gettid() {
		return wrongThread(tracer)
	}
	status := procStatus(pid)
	if status == nil {
		return "there is no such thread: it has ended and was waited for"
	}
	state := status["State"]
	switch by := status["TracerPid"]; {
	case strings.HasPrefix(state, "Z"), strings.HasPrefix(state, "X"):
		return "it is dead; Wait reports how"
	case by == "0":
		return "it is not traced"
	case by != strconv.Itoa(tracer):
		return "it is traced by thread " + by
	case !strings.HasPrefix(state, "t"):
		return "it is not stopped: Wait for a stop first"
	}
	return ""
}

// causeEPERM explains why thread pid may not be attached to.
func causeEPERM(pid int) string {
	status := procStatus(pid)
	self := procStatus(os.Getpid())
	if status == nil || self == nil {
		return ""
	}
	if by := status["TracerPid"]; by != "0" {
		return "it is traced by thread " + by + " already"
	}
	if status["Tgid"] == self["Tgid"] {
		return "it is a thread of the calling process"
	}
	if status["Kthread"] == "1" {
		return "it is a kernel thread"
	}
	if status["Uid"] != self["Uid"] {
		return "it is another user's"
	}
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && scope[0] > '0' {
		return "Yama restricts tracing: /proc/sys/kernel/yama/ptrace_scope is " + strings.TrimSpace(string(scope))
	}
	return ""
}

// explain adds the cause to an error of a request on one of tracer's tracees.
func explain(err error, tracer int) error {
	e, ok := err.(*Error)
	if !ok || e.Cause != "" {
		return err
	}
	switch e.Errno {
	case unix.ESRCH, unix.ECHILD:
		e.Cause = causeESRCH(e.PID, tracer)
	case unix.EPERM:
		if e.Request == unix.PTRACE_SEIZE || e.Request == unix.PTRACE_ATTACH {
			e.Cause = causeEPERM(e.PID)
		}
	}
	return err
}
