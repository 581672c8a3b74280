package ptrace

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// spin makes r run the code that it returns: a loop of some seconds, then
// exit_group(127). The loop is not for ever, so that the program ends should
// this one die now.
func spin(r *Regs) []byte {
	if r.Cs == userCS {
		r.Rcx, r.Rax, r.Rdi = 1<<34, unix.SYS_EXIT_GROUP, 127
		return []byte{0xe2, 0xfe, 0x0f, 0x05} // loop .; syscall
	}
	const exitGroup32 = 252
	r.Rcx, r.Rax, r.Rbx = 1<<32-1, exitGroup32, 127
	return []byte{0xe2, 0xfe, 0xcd, 0x80} // loop .; int $0x80
}

// Start starts cmd as a tracee, and returns with it stopped before the first
// instruction of the program. It is attached as by [Tracer.Seize].
//
// The Tracer waits for its end, which [Exited] or [Signaled] reports. After that
// call cmd.Wait to finish what cmd copies to and from the standard streams; the
// error of cmd.Wait says ECHILD, for there is nothing left to wait for, and
// means nothing.
func (tr *Tracer) Start(cmd *exec.Cmd) (*Tracee, error) {
	if err := tr.here(unix.PTRACE_TRACEME, -1); err != nil {
		return nil, err
	}
	var attr syscall.SysProcAttr
	given := cmd.SysProcAttr
	if given != nil {
		attr = *given
	}
	attr.Ptrace = true
	cmd.SysProcAttr = &attr
	err := cmd.Start()
	cmd.SysProcAttr = given
	if err != nil {
		return nil, err
	}
	t := tr.add(&Tracee{pid: cmd.Process.Pid, seized: true, killed: true})
	if err := t.seizeAtExec(tr.options); err != nil {
		if !t.gone.Load() {
			t.kill()
		}
		cmd.Wait()
		return nil, explain(err, tr.tid)
	}
	return t, nil
}

// seizeAtExec turns a tracee by PTRACE_TRACEME into one by PTRACE_SEIZE. It must
// be let go in between, so it is given a loop to run, and its first two bytes of
// code back afterwards.
func (t *Tracee) seizeAtExec(options Options) error {
	if err := t.untilSIGTRAP(); err != nil {
		return err
	}
	var r Regs
	if err := GetRegs(t.pid, &r); err != nil {
		return err
	}
	looping := r
	loop := spin(&looping)
	looping.Orig_rax = ^uint64(0)
	code := make([]byte, len(loop))
	if _, err := t.ReadAt(code, int64(r.Rip)); err != nil {
		return err
	}
	if _, err := t.WriteAt(loop, int64(r.Rip)); err != nil {
		return err
	}
	if err := SetRegs(t.pid, &looping); err != nil {
		return err
	}
	if err := Detach(t.pid, 0); err != nil {
		return err
	}
	if err := Seize(t.pid, options); err != nil {
		return err
	}
	if err := Interrupt(t.pid); err != nil {
		return err
	}
	for stopped := false; !stopped; {
		stop, err := t.Wait()
		if err != nil {
			return err
		}
		switch s := stop.(type) {
		case Event:
			stopped = s.Kind == EventStop
		case GroupStop:
			stopped = true
		case SignalDelivery:
			if err := t.Resume(Cont, s.Signal); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		default:
			return &Error{Request: waitRequest, PID: t.pid, Errno: unix.ESRCH, Cause: "it ended: " + stop.String()}
		}
	}
	if _, err := t.WriteAt(code, int64(r.Rip)); err != nil {
		return err
	}
	r.Orig_rax = ^uint64(0)
	return SetRegs(t.pid, &r)
}

// untilSIGTRAP waits for the stop that execve makes.
func (t *Tracee) untilSIGTRAP() error {
	for {
		stop, err := t.Wait()
		if err != nil {
			return err
		}
		switch s := stop.(type) {
		case SignalDelivery:
			if s.Signal == unix.SIGTRAP {
				return nil
			}
			if err := t.Resume(Cont, s.Signal); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		case Exited, Signaled:
			return &Error{Request: waitRequest, PID: t.pid, Errno: unix.ESRCH, Cause: "it ended: " + stop.String()}
		default:
			if err := t.Resume(Cont, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
}
