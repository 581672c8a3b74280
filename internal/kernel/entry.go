package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// What happens around a system call: at its entry and at its exit. A task that
// nobody traces and that has no filters has none of it to do.

// around is the set of what there is to do around a task's calls.
type around uint8

const (
	aroundDispatch around = 1 << iota // Syscall User Dispatch: see userdispatch.go
	aroundTrace                       // PTRACE_SYSCALL
	aroundEmulate                     // PTRACE_SYSEMU
	aroundStep                        // a step ends at the call's exit
	aroundSeccomp                     // see seccomp.go
)

// syscall serves the call that the task has just made.
func (t *Task) syscall(arch abi.Arch) {
	c := &t.call
	c.Task, c.Arch, t.arch = t, arch, arch
	t.p.job.calls++
	if t.k.virtual != nil {
		t.spinning = false
		t.passes(userCost, 0)
	}
	c.decode()
	if t.around != 0 {
		t.syscallAround(c)
		return
	}
	t.run(c)
	if t.around != 0 { // asked for at an event, while the call was made
		t.leaveCall()
	}
}

const low32 = 1<<32 - 1

// decode takes the call's number and arguments from the registers.
func (c *Call) decode() {
	r := c.Task.th.Regs()
	c.Nr = int(int32(r.Orig_rax))
	c.Args = archOf(c.Arch).args(r)
}

// run serves a call and leaves its outcome in the registers.
func (t *Task) run(c *Call) {
	var v uint64
	var err error
	if h := t.k.handler; h == nil || t.k.selective != nil && !t.k.selective.Handles(c.Arch, c.Nr) {
		v, err = t.serve(c)
	} else {
		t.beginHandling()
		t.k.nowServing(nil)
		t.k.mu.Unlock()
		v, err = t.serveUser(h, c)
		t.k.mu.Lock()
		err = t.handled(err)
		t.endHandling()
		t.k.nowServing(t)
	}
	t.finish(v, err)
}

// syscallAround is syscall with something to do around. The order is Linux's:
// Syscall User Dispatch, then the tracer, then seccomp.
func (t *Task) syscallAround(c *Call) {
	if t.around&aroundDispatch != 0 && t.dispatchBlocks(c) {
		return // not even its exit is reported
	}
	// Whether it is skipped is decided by what was asked for until now; what the
	// tracer asks for while it is stopped is for what comes next.
	how := t.around
	run := true
	if how&(aroundTrace|aroundEmulate) != 0 {
		t.syscallStop(messageEntry)
		run = how&aroundEmulate == 0 && !t.dying
		c.decode()
	}
	if run && t.around&aroundSeccomp != 0 && !t.seccompSuspended() {
		run = t.seccompCheck(c)
	}
	// -1 is no call, made so by a tracer: rax is left as it is.
	if run && c.Nr != -1 {
		t.run(c)
	}
	if how&aroundEmulate != 0 && !t.dying && t.k.cfg.PtraceRule == SeriesRule {
		// A call that was skipped is neither reported again nor restarted.
		if t.restartOf() != 0 {
			t.th.ForgetCall()
		}
		return
	}
	t.leaveCall()
}

// leaveCall is what a tracer has asked for at a call's exit.
func (t *Task) leaveCall() {
	if t.dying || t.exited {
		return
	}
	switch {
	case t.around&(aroundStep|aroundEmulate) == aroundStep:
		t.forceTrap()
	case t.around&aroundTrace != 0:
		t.syscallStop(messageExit)
	}
}

// forceTrap ends a step that was a call.
func (t *Task) forceTrap() {
	if t.pending.set.has(sigtrap) {
		return
	}
	t.force(faultSignal(sigtrap, trapBrkpt, t.th.Regs().Rip))
}

const (
	trapBrkpt = 1 // TRAP_BRKPT
	trapTrace = 2 // TRAP_TRACE
)

// seccompSuspended reports whether the tracer has turned filters off.
func (t *Task) seccompSuspended() bool {
	return t.tracee != nil && t.tracee.options&optSuspendSeccomp != 0
}

// PtraceRule says what becomes of a call that a guest's tracer has had skipped
// by PTRACE_SYSEMU when it resumes by PTRACE_SYSCALL or PTRACE_SINGLESTEP.
type PtraceRule uint8

const (
	SeriesRule PtraceRule = iota // it is never reported again
	LinuxRule                    // as Linux today: its exit is reported, or a step's end on the same instruction
)

// Errors of calls that a signal interrupted. They stand in rax between the
// call's end and the signal's delivery, where a tracer may see and change them.
const (
	eRestartSys   = 512
	eRestartNoInt = 513
	eRestartNoHnd = 514
	eRestartBlock = 516
)

var restartErrno = [...]unix.Errno{
	wait.RestartSys:   eRestartSys,
	wait.RestartNoInt: eRestartNoInt,
	wait.RestartNever: eRestartNoHnd,
	wait.RestartBlock: eRestartBlock,
}

// restartOf is which of those errors the call that the task is about to leave
// has ended with; 0 is none.
func (t *Task) restartOf() int {
	r := t.th.Regs()
	if int32(r.Orig_rax) == -1 {
		return 0
	}
	v := int64(r.Rax)
	if t.arch == abi.I386 {
		v = int64(int32(v))
	}
	switch v {
	case -eRestartSys, -eRestartNoInt, -eRestartNoHnd, -eRestartBlock:
		return int(-v)
	}
	return 0
}

// restartCall is what becomes of an interrupted call when no handler runs.
func (t *Task) restartCall() {
	switch t.restartOf() {
	case eRestartSys, eRestartNoInt, eRestartNoHnd:
		t.rewindTo(t.th.Regs().Orig_rax)
	case eRestartBlock:
		// If no such call was ever made and a tracer wrote the error, it is x86-64's number also in 32-bit code.
		t.rewindTo(archOf(t.resumeArch).restart)
	}
}

// restartForHandler is what becomes of it when a handler with those flags does.
func (t *Task) restartForHandler(flags uint64) {
	switch t.restartOf() {
	case eRestartSys:
		if flags&saRestart == 0 {
			t.th.SetResult(errnoResult(unix.EINTR))
			return
		}
		t.rewindTo(t.th.Regs().Orig_rax)
	case eRestartNoInt:
		t.rewindTo(t.th.Regs().Orig_rax)
	case eRestartNoHnd, eRestartBlock:
		t.th.SetResult(errnoResult(unix.EINTR))
	}
}

func (t *Task) rewindTo(nr uint64) {
	r := t.th.EditRegs()
	r.Rip -= 2 // syscall, int $0x80 and sysenter's landing pad alike
	r.Rax = nr
}

// errnoResult is rax of a call that failed.
func errnoResult(e unix.Errno) uint64 { return -uint64(e) }
