package machine

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// ptrace(2) does not tell a fault's error code, trap number and cr2. The host
// writes them in the frame of a signal handler; so, for a guest that handles
// the signal and may look, the host is made to build one where the guest has
// nothing, and the thread is stopped on the handler's first instruction.

var faultSignals = []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP}

const (
	saSigInfo  = 4
	saRestorer = 0x04000000
	saNoDefer  = 0x40000000
)

// installFaultHandlers prepares that in the zygote; all others inherit it.
func (t *Thread) installFaultHandlers(do func(nr uint64, args ...uint64) uint64) error {
	var act [32]byte
	le := binary.LittleEndian
	le.PutUint64(act[0:], stubCodeAddr+offSig)
	le.PutUint64(act[8:], saSigInfo|saRestorer|saNoDefer)
	le.PutUint64(act[16:], stubCodeAddr)
	if _, err := t.WriteMem(stubRecvAddr, act[:]); err != nil {
		return err
	}
	for _, s := range faultSignals {
		do(unix.SYS_RT_SIGACTION, uint64(s), stubRecvAddr, 0, 8)
	}
	return nil
}

// FaultInfo is what a signal frame tells of an exception beside siginfo.
type FaultInfo struct{ Err, TrapNo, CR2 uint64 }

// FaultInfo asks the host for the details of the Fault that Run has just
// returned; nothing may have been done to the thread since.
func (t *Thread) FaultInfo(signal int) (FaultInfo, error) {
	fp, err := t.XState()
	if err != nil {
		return FaultInfo{}, err
	}
	r := t.regs
	r.Rsp = stubStackAddr + uint64(t.cpu.id+1)*sigStackSize - 16
	r.Cs, r.Ss = 0x33, 0x2b
	r.Eflags = 0x202
	r.Orig_rax = ^uint64(0)
	if err := ptrace.SetRegs(t.pid, &r); err != nil {
		return FaultInfo{}, err
	}
	t.dirty = true
	if err := ptrace.Resume(ptrace.SingleStep, t.pid, signal); err != nil {
		return FaultInfo{}, err
	}
	for {
		ws, err := waitFor(t.pid)
		if err != nil || !ws.Stopped() {
			t.Destroy()
			return FaultInfo{}, errDied
		}
		if ws.StopSignal() == unix.SIGTRAP {
			break
		}
		if ws.StopSignal() == unix.SIGURG {
			t.kicked.Store(true)
		}
		if err := ptrace.Resume(ptrace.SingleStep, t.pid, 0); err != nil {
			return FaultInfo{}, err
		}
	}
	if err := ptrace.GetRegs(t.pid, &r); err != nil {
		return FaultInfo{}, err
	}
	// uc_mcontext begins 40 bytes into the ucontext that rdx points to;
	// err, trapno, oldmask and cr2 are its 20th to 23rd words.
	var w [32]byte
	if _, err := t.ReadMem(r.Rdx+40+8*19, w[:]); err != nil {
		return FaultInfo{}, err
	}
	le := binary.LittleEndian
	return FaultInfo{le.Uint64(w[0:]), le.Uint64(w[8:]), le.Uint64(w[24:])}, t.SetXState(fp)
}

// XState returns the extended processor state in the XSAVE layout.
func (t *Thread) XState() ([]byte, error) {
	if t.dead.Load() {
		return nil, unix.ESRCH
	}
	buf := make([]byte, 16384)
	n, err := ptrace.GetRegSet(t.pid, ptrace.NT_X86_XSTATE, buf)
	return buf[:n], err
}

// SetXState sets it.
func (t *Thread) SetXState(b []byte) error {
	if t.dead.Load() {
		return unix.ESRCH
	}
	_, err := ptrace.SetRegSet(t.pid, ptrace.NT_X86_XSTATE, b)
	return err
}
