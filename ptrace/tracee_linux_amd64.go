package ptrace

import (
	"fmt"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Tracee is a traced thread. Its methods, [Tracee.Signal] and [Tracee.PID]
// excepted, are to be called on the thread of its [Tracer] only, and most need
// it to be stopped; otherwise they fail with ESRCH and an [*Error] that says
// what is wrong. After [Exited], [Signaled] or [Tracee.Detach] all fail.
//
// Registers, memory and the rest may also be had by the functions of this
// package, with PID. Not so resuming and detaching; and a result written to Rax
// at an entry stop is to be written by a method.
type Tracee struct {
	tracer *Tracer
	pid    int
	seized bool
	killed bool // at Close, rather than detached
	gone   atomic.Bool

	stopped  bool
	newborn  bool // attached by itself, and not seen stopped yet
	atSignal bool // in a signal-delivery-stop
	atEntry  bool // in a syscall-enter-stop

	due syscall.Signal // what was reported there, and is the tracee's own

	asked Request // last request by Resume
	host  Request // last request to the host on its behalf

	call      callState
	sealed    bool   // sealCall is done
	nr, ip    uint64 // of a nullified call: what orig_rax was, and rip when it was left
	erestart  bool   // the skipped call was made to return an ERESTART code
	norestart bool   // and is not to be restarted for that
	strayTrap bool   // a SIGTRAP is to come that is to be absorbed
}

// PID is the thread's id: for the first thread of a process, the process id.
func (t *Tracee) PID() int { return t.pid }

// Tracer is the tracer that it belongs to.
func (t *Tracee) Tracer() *Tracer { return t.tracer }

func (t *Tracee) alive(req Request) error {
	if t.gone.Load() {
		return &Error{Request: req, PID: t.pid, Errno: unix.ESRCH, Cause: "it has ended or was detached"}
	}
	return nil
}

func (t *Tracee) end() {
	t.gone.Store(true)
	t.stopped = false
	if t.tracer.tracees[t.pid] == t {
		delete(t.tracer.tracees, t.pid)
	}
}

// do makes a request of the lower layer and explains its failure.
func (t *Tracee) do(req Request, err func(pid int) error) error {
	if err := t.alive(req); err != nil {
		return err
	}
	return explain(err(t.pid), t.tracer.tid)
}

// Wait waits until this tracee reports, and returns what. ECHILD: it is not
// there any more.
func (t *Tracee) Wait() (Stop, error) {
	if err := t.alive(waitRequest); err != nil {
		return nil, err
	}
	_, stop, err := t.tracer.wait(t.pid, 0)
	return stop, err
}

// Poll is Wait that does not wait: the stop is nil if there is nothing to report.
func (t *Tracee) Poll() (Stop, error) {
	if err := t.alive(waitRequest); err != nil {
		return nil, err
	}
	_, stop, err := t.tracer.wait(t.pid, unix.WNOHANG)
	return stop, err
}

// Interrupt makes a running tracee stop; it reports an [Event] of kind EventStop
// unless something else comes first. EIO: it was attached by [Tracer.Attach].
func (t *Tracee) Interrupt() error { return t.do(unix.PTRACE_INTERRUPT, Interrupt) }

// Listen leaves the tracee in its [GroupStop], until SIGCONT. Then, or by
// Interrupt, it reports an [Event] of kind EventStop. EIO: it is in no group-stop
// or was attached by [Tracer.Attach].
func (t *Tracee) Listen() error {
	err := t.do(unix.PTRACE_LISTEN, Listen)
	if err == nil {
		t.stopped = false
	}
	return err
}

// Signal sends sig to the thread: tkill(2). SIGKILL ends its process. It may be
// called from any goroutine: it is the way to have a Wait return that is under
// way, by a [SignalDelivery].
func (t *Tracee) Signal(sig syscall.Signal) error {
	if t.gone.Load() {
		return unix.ESRCH
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_TKILL, uintptr(t.pid), uintptr(sig), 0); e != 0 {
		return e
	}
	return nil
}

// GetRegs reads the general registers, as [GetRegs].
func (t *Tracee) GetRegs(r *Regs) error {
	if err := t.alive(unix.PTRACE_GETREGS); err != nil {
		return err
	}
	return explain(GetRegs(t.pid, r), t.tracer.tid)
}

// SetRegs writes the general registers, as [SetRegs]. At the entry stop of a
// skipped call, Rax is its result; Orig_rax has no effect on it.
func (t *Tracee) SetRegs(r *Regs) error {
	if err := t.alive(unix.PTRACE_SETREGS); err != nil {
		return err
	}
	t.wroteRAX(r.Rax)
	return explain(SetRegs(t.pid, r), t.tracer.tid)
}

// PeekUser reads one register, as [PeekUser].
func (t *Tracee) PeekUser(off uintptr) (uint64, error) {
	if err := t.alive(unix.PTRACE_PEEKUSR); err != nil {
		return 0, err
	}
	v, err := PeekUser(t.pid, off)
	return v, explain(err, t.tracer.tid)
}

// PokeUser writes one register, as [PokeUser].
func (t *Tracee) PokeUser(off uintptr, v uint64) error {
	if err := t.alive(unix.PTRACE_POKEUSR); err != nil {
		return err
	}
	if off == OffRAX {
		t.wroteRAX(v)
	}
	return explain(PokeUser(t.pid, off, v), t.tracer.tid)
}

// GetRegSet reads a register set, as [GetRegSet].
func (t *Tracee) GetRegSet(typ int, b []byte) (n int, err error) {
	err = t.do(unix.PTRACE_GETREGSET, func(pid int) (err error) { n, err = GetRegSet(pid, typ, b); return })
	return
}

// SetRegSet writes a register set, as [SetRegSet].
func (t *Tracee) SetRegSet(typ int, b []byte) (n int, err error) {
	err = t.do(unix.PTRACE_SETREGSET, func(pid int) (err error) { n, err = SetRegSet(pid, typ, b); return })
	return
}

// GetSigInfo reads what came with the signal of a [SignalDelivery], as it is now.
func (t *Tracee) GetSigInfo(s *SigInfo) error {
	return t.do(unix.PTRACE_GETSIGINFO, func(pid int) error { return GetSigInfo(pid, s) })
}

// SetSigInfo changes it.
func (t *Tracee) SetSigInfo(s *SigInfo) error {
	return t.do(unix.PTRACE_SETSIGINFO, func(pid int) error { return SetSigInfo(pid, s) })
}

// PeekSigInfo copies pending signals, as [PeekSigInfo].
func (t *Tracee) PeekSigInfo(off uint64, shared bool, s []SigInfo) (n int, err error) {
	err = t.do(peekSigInfo, func(pid int) (err error) { n, err = PeekSigInfo(pid, off, shared, s); return })
	return
}

// GetSigMask returns the blocked signals, as [GetSigMask].
func (t *Tracee) GetSigMask() (mask uint64, err error) {
	err = t.do(getSigMask, func(pid int) (err error) { mask, err = GetSigMask(pid); return })
	return
}

// SetSigMask sets them.
func (t *Tracee) SetSigMask(mask uint64) error {
	return t.do(setSigMask, func(pid int) error { return SetSigMask(pid, mask) })
}

// GetSyscallInfo tells of the system call that the tracee is stopped in, as
// [GetSyscallInfo].
func (t *Tracee) GetSyscallInfo(s *SyscallInfo) error {
	return t.do(unix.PTRACE_GET_SYSCALL_INFO, func(pid int) error { return GetSyscallInfo(pid, s) })
}

// SetOptions replaces the options, as [SetOptions], TraceSysGood being added.
func (t *Tracee) SetOptions(options Options) error {
	return t.do(unix.PTRACE_SETOPTIONS, func(pid int) error { return SetOptions(pid, options|TraceSysGood) })
}

// ReadAt reads memory at address off, whatever its protection. It is an
// io.ReaderAt. The error is an [*Error] of PTRACE_PEEKDATA: EIO or EFAULT where
// nothing is mapped.
func (t *Tracee) ReadAt(p []byte, off int64) (int, error) {
	return t.memory(unix.PTRACE_PEEKDATA, ReadMem, ReadMemForce, p, uint64(off))
}

// WriteAt writes memory at address off, whatever its protection: a breakpoint
// may be put into code. It is an io.WriterAt. The error is an [*Error] of
// PTRACE_POKEDATA.
func (t *Tracee) WriteAt(p []byte, off int64) (int, error) {
	return t.memory(unix.PTRACE_POKEDATA, WriteMem, WriteMemForce, p, uint64(off))
}

func (t *Tracee) memory(req Request, plain, force func(int, uint64, []byte) (int, error), p []byte, addr uint64) (int, error) {
	if err := t.alive(req); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := plain(t.pid, addr+uint64(done), p[done:])
		if err != nil || n == 0 {
			break
		}
		done += n
	}
	if done < len(p) {
		n, err := force(t.pid, addr+uint64(done), p[done:])
		done += n
		if err != nil {
			errno, _ := err.(syscall.Errno)
			return done, explain(&Error{Request: req, PID: t.pid, Errno: errno,
				Cause: fmt.Sprintf("at %#x", addr+uint64(done))}, t.tracer.tid)
		}
	}
	return done, nil
}

// Stopped tells whether the tracee is stopped, so far as its reports tell: it
// has reported a stop, and was not resumed.
func (t *Tracee) Stopped() bool { return t.stopped }
