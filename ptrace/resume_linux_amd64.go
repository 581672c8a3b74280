package ptrace

// What is asked of a tracee, and what is asked of the host for it.
//
// Three things lie between the two. A host without PTRACE_SYSEMU is asked for
// PTRACE_SYSCALL, and the call is nullified when its entry stop is left. A host
// without PTRACE_SYSEMU_SINGLESTEP is asked for a step, or, if the next
// instruction is a system call, for its entry. And the host's report of the end
// of a skipped call, which SeriesRule does not know, is absorbed: it is not
// returned by Wait, and the tracee is resumed as it had been.

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Rule says what follows the entry stop of a call that the host has skipped,
// one reached under [Sysemu] or [SysemuSingleStep].
type Rule uint8

const (
	// SeriesRule: the skipped call is never reported again. Resumed by
	// [Syscall], its exit is not; by [SingleStep], the next trap is that after
	// the next instruction. The skipped call is not restarted, whatever it is
	// made to return. The rule is that of the patches which brought
	// PTRACE_SYSEMU, and what User-Mode Linux relies on.
	SeriesRule Rule = iota
	// LinuxRule: what today's hosts do. Resumed by [Syscall], the tracee reports
	// a [SyscallExit] of the call that was never executed; by [SingleStep], a
	// trap of code [TrapBrkpt] where it stands.
	LinuxRule
)

// Mode says how much of the host's PTRACE_SYSEMU is used. Where the host has
// less, the next mode takes over by itself. The reports are the same in each;
// so are the registers, but that the flag TF, set for the step onto a syscall
// instruction, is left in R11 by ModeFull alone. Two oddities of the host are
// seen only under LinuxRule and ModeFull: a skipped call that is made to return
// one of the kernel's ERESTART codes may be restarted, and SysemuSingleStep out
// of a sigreturn that is being executed runs to the next call.
//
// Below ModeFull a step looks at the next instruction before it chooses how to
// take it. A thread that shares memory with others can be shown another one and
// execute a call: for confinement, have ModeFull.
type Mode uint8

const (
	// ModeFull uses PTRACE_SYSEMU and PTRACE_SYSEMU_SINGLESTEP.
	ModeFull Mode = iota
	// ModeNoStep uses PTRACE_SYSEMU. SysemuSingleStep is made of it and
	// PTRACE_SINGLESTEP.
	ModeNoStep
	// ModeNullify uses neither: a call is skipped by PTRACE_SYSCALL and the
	// number -1. That costs a second stop for each call. Seccomp filters of the
	// tracee see the number -1.
	ModeNullify
)

func (m Mode) String() string {
	switch m {
	case ModeFull:
		return "PTRACE_SYSEMU and PTRACE_SYSEMU_SINGLESTEP"
	case ModeNoStep:
		return "PTRACE_SYSEMU"
	case ModeNullify:
		return "PTRACE_SYSCALL with a nullified call"
	}
	return "mode " + strconv.Itoa(int(m))
}

// callState is how a tracee stands to the system call that it is in.
type callState uint8

const (
	callNone     callState = iota // in none, so far as is known
	callExecuted                  // the host executes it
	callSkipped                   // the host skips it: entered under PTRACE_SYSEMU
	callNullify                   // entered under PTRACE_SYSCALL in its place
)

func (c callState) skipped() bool { return c == callSkipped || c == callNullify }

// Resume resumes the stopped tracee by one of the requests [Cont], [Syscall],
// [Sysemu], [SingleStep], [SysemuSingleStep] and [SingleBlock], any of them at
// any stop. Whether a call is skipped was settled when it was entered; the
// request acts on what comes next. sig is delivered to the tracee: see the
// function [Resume], as for errors. Sysemu and SysemuSingleStep need nothing of
// the host, see [Mode].
func (t *Tracee) Resume(req Request, sig syscall.Signal) error {
	switch req {
	case Cont, Syscall, Sysemu, SingleStep, SysemuSingleStep, SingleBlock:
	default:
		return &Error{Request: req, PID: t.pid, Errno: unix.EINVAL, Cause: "it does not resume a tracee"}
	}
	if err := t.alive(req); err != nil {
		return err
	}
	return explain(t.resume(req, sig), t.tracer.tid)
}

func (t *Tracee) resume(req Request, sig syscall.Signal) error {
	for {
		host := t.hostRequest(req, sig)
		err := t.resumeBy(req, host, sig)
		if e, ok := err.(*Error); ok && e.unsupported && t.tracer.lower(host) {
			continue
		}
		return err
	}
}

// hostRequest is what to ask of the host when req is asked.
func (t *Tracee) hostRequest(req Request, sig syscall.Signal) Request {
	mode := t.tracer.mode
	switch {
	case req == Sysemu && mode == ModeNullify:
		return Syscall
	case req == SysemuSingleStep && mode == ModeFull:
		// The host would take the step on top of the call, and lose it if that
		// is a sigreturn.
		if t.call == callExecuted && t.tracer.rule == SeriesRule {
			return SingleStep
		}
	case req == SysemuSingleStep:
		if !t.stepEntersCall(sig) {
			return SingleStep
		}
		if mode == ModeNullify {
			return Syscall
		}
		return Sysemu
	}
	return req
}

// lower takes note that the host lacks a request, and tells whether there is
// another way.
func (tr *Tracer) lower(host Request) bool {
	switch host {
	case SysemuSingleStep:
		tr.mode = max(tr.mode, ModeNoStep)
	case Sysemu:
		tr.mode = ModeNullify
	default:
		return false
	}
	return true
}

// stepEntersCall tells whether the next thing that the tracee does is a system
// call, when it is resumed with sig.
func (t *Tracee) stepEntersCall(sig syscall.Signal) bool {
	var r Regs
	if GetRegs(t.pid, &r) != nil {
		return false
	}
	var code [maxInstruction]byte
	n, _ := t.ReadAt(code[:], int64(r.Rip))
	if !isCall(code[:n], r.Cs == userCS) {
		return false
	}
	// A handler comes first, and the host reports a trap at its beginning.
	return !t.atSignal || sig == 0 || !t.catches(sig)
}

// userCS is the code segment selector of 64-bit code.
const userCS = 0x33

// catches tells whether the tracee has a handler for sig, and does not block it.
func (t *Tracee) catches(sig syscall.Signal) bool {
	caught, err := strconv.ParseUint(procStatus(t.pid)["SigCgt"], 16, 64)
	if err != nil {
		return false
	}
	blocked, err := GetSigMask(t.pid)
	return err == nil && sig > 0 && caught&^blocked>>(sig-1)&1 != 0
}

func (t *Tracee) resumeBy(req, host Request, sig syscall.Signal) error {
	if err := t.sealCall(); err != nil {
		return err
	}
	if err := Resume(host, t.pid, int(sig)); err != nil {
		return err
	}
	if t.call != callNone && (host == SingleStep || host == SingleBlock) {
		// The host will report the end of the call, by a SIGTRAP that may come
		// after other signals.
		t.strayTrap = req == SysemuSingleStep || t.call.skipped() && t.tracer.rule == SeriesRule
	}
	t.asked, t.host = req, host
	t.stopped, t.atEntry, t.atSignal, t.due = false, false, false, 0
	return nil
}

// sealCall makes sure, before the entry stop of a skipped call is left, that the
// host does not execute it and does not restart it.
func (t *Tracee) sealCall() error {
	switch {
	case !t.atEntry:
		return nil
	case t.call == callNullify && !t.sealed:
		nr, err := PeekUser(t.pid, OffOrigRAX)
		if err != nil {
			return err
		}
		ip, err := PeekUser(t.pid, OffRIP)
		if err != nil {
			return err
		}
		t.nr, t.ip = nr, ip
	case t.call == callNullify, t.call == callSkipped && t.erestart:
	default:
		return nil
	}
	t.sealed = true
	// A step that is to be absorbed is a signal, and would bring on a restart.
	t.norestart = t.erestart && (t.tracer.rule == SeriesRule || t.tracer.mode != ModeFull)
	if t.call == callSkipped && !t.norestart {
		return nil
	}
	return PokeUser(t.pid, OffOrigRAX, ^uint64(0))
}

// wroteRAX takes note of the result that a skipped call is given. One of the
// kernel's own ERESTART codes would have the host restart the call when a
// signal is pending.
func (t *Tracee) wroteRAX(rax uint64) {
	const (
		erestartsys          = -512
		erestartRestartblock = -516
	)
	v := int32(rax)
	t.erestart = t.atEntry && v <= erestartsys && v >= erestartRestartblock
}

// leftCall takes note that the tracee is out of the call it was in. If the call
// was nullified, its number is put back, for later stops to show as they do
// under PTRACE_SYSEMU.
func (t *Tracee) leftCall() {
	if t.call == callNullify && t.sealed && !t.norestart && t.justLeftCall() {
		PokeUser(t.pid, OffOrigRAX, t.nr)
	}
	t.call, t.sealed, t.erestart, t.norestart = callNone, false, false, false
}

// justLeftCall tells whether this stop is the first thing after a nullified call,
// user code not having run in between.
func (t *Tracee) justLeftCall() bool {
	switch t.host {
	case Syscall, SingleStep, SingleBlock: // those report the end of the call
		return true
	}
	ip, err := PeekUser(t.pid, OffRIP)
	if err != nil || ip != t.ip {
		return false
	}
	nr, err := PeekUser(t.pid, OffOrigRAX)
	return err == nil && nr == ^uint64(0)
}

// report turns a wait status into a stop. The stop is nil if it was absorbed, or
// if the tracee is found dead, which it reports in time.
func (t *Tracee) report(ws uint32) (Stop, error) {
	switch ws := syscall.WaitStatus(ws); {
	case ws.Exited():
		t.end()
		return Exited{ws.ExitStatus()}, nil
	case ws.Signaled():
		t.end()
		return Signaled{ws.Signal(), ws.CoreDump()}, nil
	}
	t.stopped = true
	stop, err := t.reportStop(syscall.Signal(ws>>8&0xff), EventKind(ws>>16))
	if e, ok := err.(*Error); ok && e.Errno == unix.ESRCH {
		t.stopped = false
		return nil, nil
	}
	return stop, err
}

const sysGood = 0x80 // marks the SIGTRAP of a stop of a system call, see TraceSysGood

func (t *Tracee) reportStop(sig syscall.Signal, event EventKind) (Stop, error) {
	newborn := t.newborn
	t.newborn = false
	switch {
	case event == EventStop:
		t.leftCall()
		if sig != unix.SIGTRAP {
			return GroupStop{sig}, nil
		}
		return Event{Kind: EventStop}, nil
	case event != 0:
		return t.reportEvent(event)
	case sig == unix.SIGTRAP|sysGood:
		return t.reportCall()
	}

	s := SignalDelivery{Signal: sig}
	if err := GetSigInfo(t.pid, &s.Info); err != nil {
		if err.(*Error).Errno == unix.EINVAL {
			t.leftCall()
			return GroupStop{sig}, nil
		}
		return nil, err
	}
	t.atSignal = true
	if !isStep(&s.Info) {
		t.due = sig
	}
	t.leftCall()
	if newborn && !t.seized && sig == unix.SIGSTOP {
		t.due = 0
		return Event{Kind: EventStop}, nil
	}
	if sig == unix.SIGTRAP {
		switch s.Info.Code() {
		case TrapBrkpt:
			if t.strayTrap {
				t.strayTrap = false
				return nil, t.resume(t.asked, 0)
			}
		case TrapTrace, TrapHwBkpt: // user code has run
			t.strayTrap = false
		}
	}
	return s, nil
}

func (t *Tracee) reportEvent(event EventKind) (Stop, error) {
	msg, err := GetEventMsg(t.pid)
	if err != nil {
		return nil, err
	}
	e := Event{event, msg}
	switch event {
	case EventFork, EventVFork, EventClone:
		t.tracer.born(t, e.Child())
	case EventExec:
		t.tracer.execed(t, int(msg))
	}
	if t.call == callNone && event != EventExit {
		t.call = callExecuted
	}
	return e, nil
}

func (t *Tracee) reportCall() (Stop, error) {
	var info SyscallInfo
	if err := GetSyscallInfo(t.pid, &info); err != nil {
		if e := err.(*Error); e.Errno == unix.EIO {
			e.unsupported = true
		}
		return nil, err
	}
	if info.Op == OpEntry {
		t.strayTrap, t.sealed, t.erestart, t.norestart = false, false, false, false
		t.atEntry = true
		switch {
		case t.host == Sysemu || t.host == SysemuSingleStep:
			t.call = callSkipped
		case t.asked == Syscall:
			t.call = callExecuted
		default:
			t.call = callNullify
		}
		return SyscallEnter{info.Arch, int(int64(info.Nr())), info.Args(), info.IP, info.SP}, nil
	}
	unwanted := t.asked != Syscall || t.call.skipped() && t.tracer.rule == SeriesRule
	t.leftCall()
	if unwanted {
		return nil, t.resume(t.asked, 0)
	}
	return SyscallExit{info.Arch, info.Ret(), info.Failed(), info.IP, info.SP}, nil
}

// Detach lets the stopped tracee run on untraced, with sig delivered to it as by
// [Tracee.Resume]. A call at whose entry it is stopped is executed if it was
// entered under [Syscall], and otherwise skipped. The trap of a step that is due
// is taken first, by which the process would die. The Tracee is of no use then.
func (t *Tracee) Detach(sig syscall.Signal) error {
	if err := t.alive(unix.PTRACE_DETACH); err != nil {
		return err
	}
	err := t.sealCall()
	if err == nil && t.trapPending() {
		if sig, err = t.takeTrap(sig); t.gone.Load() {
			return nil
		}
	}
	if err == nil {
		err = Detach(t.pid, int(sig))
	}
	if err != nil {
		return explain(err, t.tracer.tid)
	}
	t.end()
	return nil
}

// isStep tells whether a SIGTRAP is what a step or a debug register made.
func isStep(s *SigInfo) bool {
	switch s.Code() {
	case TrapBrkpt, TrapTrace, TrapHwBkpt:
		return s.Signo() == int32(unix.SIGTRAP)
	}
	return false
}

// trapPending tells whether the trap of a step is due: another signal or an
// interrupt was reported before it.
func (t *Tracee) trapPending() bool {
	var pending [8]SigInfo
	n, err := PeekSigInfo(t.pid, 0, false, pending[:])
	for i := range n {
		if isStep(&pending[i]) {
			return err == nil
		}
	}
	return false
}

// takeTrap resumes the tracee with sig until that trap is reported. It comes
// before anything is executed. The result is the signal to detach with.
func (t *Tracee) takeTrap(sig syscall.Signal) (syscall.Signal, error) {
	for {
		if err := Resume(Cont, t.pid, int(sig)); err != nil {
			return 0, err
		}
		t.atEntry, t.asked, t.host = false, Cont, Cont
		ws, err := Wait(t.pid, waitOptions)
		if err != nil {
			return 0, &Error{Request: waitRequest, PID: t.pid, Errno: err.(syscall.Errno)}
		}
		if status := syscall.WaitStatus(ws); !status.Stopped() {
			t.end()
			return 0, nil
		}
		sig = 0
		if ws>>16 != 0 {
			continue
		}
		var info SigInfo
		if GetSigInfo(t.pid, &info) != nil {
			continue // a group-stop
		}
		if isStep(&info) {
			t.strayTrap = false
			return 0, nil
		}
		sig = syscall.Signal(ws >> 8 & 0xff)
	}
}
