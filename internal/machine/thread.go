package machine

import (
	"bytes"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Thread is a guest thread: registers and an address space. It is a host
// process, stopped except inside Run.
type Thread struct {
	pid  int
	cpu  *CPU
	one  uint64 // address of "syscall; int3"
	dead atomic.Bool

	regs  Regs
	dirty bool // regs differ from the host's: all must be written
	rax   bool // only rax differs
	tls   [NumTLS]abi.UserDesc

	final atomic.Pointer[Stats] // of a dead thread

	running atomic.Bool
	kicked  atomic.Bool
}

// EventKind says why guest code stopped running.
type EventKind uint8

const (
	// Syscall: the guest made a system call; rip is after the instruction.
	Syscall EventKind = iota
	// Fault: the processor raised an exception; Signal and the rest say which.
	Fault
	// Kicked: someone called Kick; nothing happened to the guest.
	Kicked
	// VSyscall: the guest called the legacy vsyscall page: rax has the
	// number, rip is the return address already.
	VSyscall
	// ReadTSC: the guest read the time-stamp counter, and is past the
	// instruction: it is to be told by SetTSC.
	ReadTSC
	// Died: the host process is gone (killed from outside, out of memory).
	Died
)

// Event is what ended a Run.
type Event struct {
	Kind   EventKind
	Arch   abi.Arch // of a Syscall: which table the number is of
	Signal int      // of a Fault: SIGSEGV and so on, with si_code and si_addr
	Code   int32
	Addr   uint64
}

// Regs returns the thread's registers, to read. While it is in Run they are
// not valid.
func (t *Thread) Regs() *Regs { return &t.regs }

// EditRegs returns the registers to change.
func (t *Thread) EditRegs() *Regs {
	t.dirty = true
	return &t.regs
}

// SetResult sets rax: cheaper than EditRegs.
func (t *Thread) SetResult(v uint64) {
	t.regs.Rax = v
	t.rax = true
}

// ForgetCall makes the registers tell of no call: nobody will restart it.
func (t *Thread) ForgetCall() { t.regs.Orig_rax = ^uint64(0) }

// Dead reports whether the host process is gone.
func (t *Thread) Dead() bool { return t.dead.Load() }

// CPU is the CPU that holds the thread; nil while it is parked.
func (t *Thread) CPU() *CPU { return t.cpu }

// flush writes changed registers to the host.
func (t *Thread) flush() error {
	if t.dirty {
		// A host kernel restarts a call whose number it still sees.
		t.regs.Orig_rax = ^uint64(0)
		if err := ptrace.SetRegs(t.pid, &t.regs); err != nil {
			return err
		}
	} else if t.rax {
		if err := ptrace.PokeUser(t.pid, ptrace.OffRAX, t.regs.Rax); err != nil {
			return err
		}
		// 32-bit code has only eax.
		if r := uint32(t.regs.Rax); r <= ^uint32(511) && r >= ^uint32(515) {
			// Looks like ERESTART*: the host must not act on it.
			if err := ptrace.PokeUser(t.pid, ptrace.OffOrigRAX, ^uint64(0)); err != nil {
				return err
			}
		}
	}
	t.dirty, t.rax = false, false
	return nil
}

// Run lets the guest run until something happens.
func (t *Thread) Run() Event { return t.run(ptrace.Sysemu) }

// Step is Run for one instruction: a Fault with SIGTRAP and TRAP_TRACE, or a
// Syscall, which counts as the step.
func (t *Thread) Step() Event {
	if t.dead.Load() {
		return Event{Kind: Died}
	}
	if t.cpu.m.Mode() < SysemuStep {
		return t.stepByFlag()
	}
	return t.run(ptrace.SysemuSingleStep)
}

func (t *Thread) run(req ptrace.Request) Event {
	if t.dead.Load() {
		return Event{Kind: Died}
	}
	if t.flush() != nil {
		return t.died()
	}
	for {
		t.running.Store(true)
		if t.kicked.Load() {
			t.running.Store(false)
			t.kicked.Store(false)
			return Event{Kind: Kicked}
		}
		if req == ptrace.Sysemu && t.cpu.m.Mode() == Nullify {
			req = ptrace.Syscall
		}
		if err := ptrace.Resume(req, t.pid, 0); err != nil {
			t.running.Store(false)
			switch {
			case !t.cpu.m.lower(req, err):
				return t.died()
			case req == ptrace.SysemuSingleStep:
				return t.stepByFlag()
			}
			continue
		}
		ws, err := waitFor(t.pid)
		t.running.Store(false)
		if err != nil || !ws.Stopped() {
			return t.died()
		}
		if ptrace.GetRegs(t.pid, &t.regs) != nil {
			return t.died()
		}
		if ws == 0x857f {
			if req != ptrace.Syscall {
				return Event{Kind: Syscall, Arch: t.arch()}
			}
			exit, arch, err := t.nullify()
			switch {
			case err != nil:
				return t.died()
			case !exit:
				return Event{Kind: Syscall, Arch: arch}
			}
			continue
		}
		if ws>>16 != 0 {
			continue // a host group-stop or interrupt: not the guest's affair
		}
		switch sig := ws.StopSignal(); sig {
		case unix.SIGURG:
			t.kicked.Store(false)
			return Event{Kind: Kicked}
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS:
			var si ptrace.SigInfo
			if ptrace.GetSigInfo(t.pid, &si) != nil {
				return t.died()
			}
			code := si.Code()
			if code <= 0 {
				continue // sent by a host process, not raised by the guest
			}
			if sig == unix.SIGSYS {
				return Event{Kind: VSyscall}
			}
			if sig == unix.SIGSEGV && code == siKernel && t.atInt80() {
				t.enterInt80()
				return Event{Kind: Syscall, Arch: abi.I386}
			}
			if t.readsTSC(sig, code) {
				return Event{Kind: ReadTSC}
			}
			return Event{Kind: Fault, Signal: int(sig), Code: code, Addr: si.Addr()}
		}
		// Any other signal was sent to the host process from outside: no
		// business of the guest's. SIGKILL does end it.
	}
}

const siKernel = 0x80 // si_code of a general protection fault

// atInt80 reports whether the thread is about to execute int $0x80: on a host
// that has no such gate (no IA-32 emulation, as under PVM) the instruction
// faults where others stop for a call.
func (t *Thread) atInt80() bool {
	var b [2]byte
	n, _ := t.ReadMem(t.regs.Rip, b[:])
	return n == 2 && b == [2]byte{0xcd, 0x80}
}

// enterInt80 does what such a gate does: the call number's register becomes
// orig_rax and the instruction is behind.
func (t *Thread) enterInt80() {
	r := t.EditRegs()
	r.Orig_rax, r.Rax = r.Rax&0xffffffff, ^uint64(37) // -ENOSYS
	r.Rip += 2
}

func (t *Thread) died() Event {
	t.Destroy()
	return Event{Kind: Died}
}

// arch tells which table the call's number belongs to. In 64-bit code the
// instruction "syscall" leaves rip in rcx and eflags in r11; 32-bit code has
// no way to the other table; anything else is asked for.
func (t *Thread) arch() abi.Arch {
	if t.regs.Rcx == t.regs.Rip && t.regs.R11 == t.regs.Eflags && t.regs.Cs == 0x33 {
		return abi.AMD64
	}
	if t.regs.Cs == cs32 {
		return abi.I386
	}
	var info ptrace.SyscallInfo
	if ptrace.GetSyscallInfo(t.pid, &info) == nil && info.Arch == unix.AUDIT_ARCH_I386 {
		return abi.I386
	}
	return abi.AMD64
}

// Kick makes a running thread come out of Run with Kicked, or its next Run
// end at once. It may be called from any goroutine.
func (t *Thread) Kick() {
	t.kicked.Store(true)
	if t.running.Load() {
		unix.Tgkill(t.pid, t.pid, unix.SIGURG)
	}
}

// Running reports whether guest code runs just now.
func (t *Thread) Running() bool { return t.running.Load() }

const (
	// CLONE_FILES|CLONE_PARENT|CLONE_PTRACE|SIGCHLD: a process of ours,
	// traced by us from the start, sharing the table of files to be mapped.
	cloneSpace  = unix.CLONE_FILES | unix.CLONE_PARENT | unix.CLONE_PTRACE | 17
	cloneThread = cloneSpace | unix.CLONE_VM
)

// Fork returns a thread in a copy of t's address space, registers as t's.
func (t *Thread) Fork() (*Thread, error) { return t.clone(cloneSpace) }

// Clone returns another thread in t's address space, registers as t's.
func (t *Thread) Clone() (*Thread, error) { return t.clone(cloneThread) }

func (t *Thread) clone(flags uint64) (*Thread, error) {
	pid, err := t.call(unix.SYS_CLONE, flags, 0, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	n := &Thread{pid: int(pid), cpu: t.cpu, one: t.one, regs: t.regs, dirty: true, tls: t.tls}
	for {
		ws, err := waitFor(n.pid)
		if err != nil || !ws.Stopped() {
			n.dead.Store(true)
			return nil, errDied
		}
		if ws.StopSignal() != unix.SIGURG {
			return n, nil
		}
		if err := ptrace.Resume(ptrace.Cont, n.pid, 0); err != nil {
			return nil, err
		}
	}
}

// Destroy kills the host process and reaps it. The thread must not be in Run.
// Kill ends the host process, from any thread; whoever holds it has it reported.
func (t *Thread) Kill() {
	if !t.dead.Load() {
		unix.Kill(t.pid, unix.SIGKILL)
	}
}

func (t *Thread) Destroy() {
	if t.dead.Load() {
		return
	}
	t.dead.Store(true)
	unix.Kill(t.pid, unix.SIGKILL)
	var ru unix.Rusage
	for {
		var ws unix.WaitStatus
		_, err := unix.Wait4(t.pid, &ws, unix.WALL, &ru)
		if err == unix.EINTR {
			continue
		}
		if err != nil || !ws.Stopped() {
			break
		}
	}
	t.final.Store(&Stats{ru.Utime.Nano(), ru.Stime.Nano(), ru.Minflt, ru.Majflt, ru.Maxrss})
}

// Stats is what the thread has used. Times are ns of the host's accounting;
// MaxRSS, in KiB, and the faults are known once the thread is destroyed.
type Stats struct {
	User, System         int64
	MinFaults, MajFaults int64
	MaxRSS               int64
}

// last is what a destroyed thread has used; nothing while it is going.
func (t *Thread) last() Stats {
	if s := t.final.Load(); s != nil {
		return *s
	}
	return Stats{}
}

// Stats returns what the thread has used so far.
func (t *Thread) Stats() Stats {
	if t.dead.Load() {
		return t.last()
	}
	// The clock of a process's CPU time is made of its number.
	var ts unix.Timespec
	if unix.ClockGettime(int32(^t.pid<<3|2), &ts) != nil {
		return Stats{}
	}
	return Stats{User: ts.Nano()}
}

// PeakRSS is the most memory that the thread's address space has had resident,
// in KiB.
func (t *Thread) PeakRSS() int64 {
	if t.dead.Load() {
		return t.last().MaxRSS
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte("VmHWM:"))
	f := bytes.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(f[0]), 10, 64)
	return n
}

// Park lets go of the thread, so that another CPU may Adopt it: it waits in
// the stub meanwhile. Its registers are kept here.
func (t *Thread) Park() error {
	r := Regs{Rip: stubCodeAddr + offPark, Cs: 0x33, Ss: 0x2b, Eflags: 0x202, Orig_rax: ^uint64(0)}
	if err := ptrace.SetRegs(t.pid, &r); err != nil {
		return err
	}
	t.dirty = true
	// With signal 0: a SIGSTOP here would be ignored from some stops, and
	// then the guest would run free.
	if err := ptrace.Detach(t.pid, 0); err != nil {
		return err
	}
	t.cpu = nil
	return nil
}

// Adopt takes over a parked thread.
func (t *Thread) Adopt(c *CPU) error {
	setAffinity(t.pid, c.host)
	if err := c.seize(t.pid); err != nil {
		return err
	}
	t.cpu = c
	t.dirty = true
	return nil
}
