package machine

import (
	"errors"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Mode says how guests' system calls are kept from the host, as in User-Mode
// Linux's /proc/sysemu. It is to be changed at any time, by anyone: each thread
// goes by it when it next runs.
type Mode int32

const (
	// Nullify: PTRACE_SYSCALL, and the number -1 in place of the guest's before
	// the host goes on. It costs a second stop for each call.
	Nullify Mode = iota
	// Sysemu: PTRACE_SYSEMU.
	Sysemu
	// SysemuStep: PTRACE_SYSEMU_SINGLESTEP also, for Step.
	SysemuStep
)

// Mode is how it is done just now.
func (m *Machine) Mode() Mode { return Mode(m.mode.Load()) }

// SetMode changes it. A host that does not have what is asked for is found out
// by the next Run or Step, and the mode is lowered then.
func (m *Machine) SetMode(mode Mode) { m.mode.Store(int32(mode)) }

// lower takes note that the host lacks a request, and tells whether there is
// another way.
func (m *Machine) lower(req ptrace.Request, err error) bool {
	if !errors.Is(err, ptrace.ErrNotSupported) {
		return false
	}
	lacking := Sysemu
	switch req {
	case ptrace.SysemuSingleStep:
		lacking = SysemuStep
	case ptrace.Sysemu:
	default:
		return false
	}
	for {
		now := m.mode.Load()
		if now < int32(lacking) || m.mode.CompareAndSwap(now, int32(lacking-1)) {
			return true
		}
	}
}

// nullify is for a stop of a system call reached by PTRACE_SYSCALL, which the
// host would execute. It takes the number away at once, before anything else is
// done; the registers kept here go on showing it. The exit of a call is told
// from the entry of one by the host: with the two mixed up, a guest's call
// would be executed. What cannot be told apart is not resumed.
func (t *Thread) nullify() (exit bool, arch abi.Arch, err error) {
	var info ptrace.SyscallInfo
	if err := ptrace.GetSyscallInfo(t.pid, &info); err != nil {
		return false, 0, err
	}
	switch info.Op {
	case ptrace.OpExit:
		return true, 0, nil
	case ptrace.OpEntry:
		arch = abi.AMD64
		if info.Arch == unix.AUDIT_ARCH_I386 {
			arch = abi.I386
		}
		return false, arch, ptrace.PokeUser(t.pid, ptrace.OffOrigRAX, ^uint64(0))
	}
	return false, 0, unix.EIO
}

const flagTF = 0x100

// stepByFlag is Step without PTRACE_SYSEMU_SINGLESTEP: Run with the processor's
// own trap flag. PTRACE_SINGLESTEP will not do: should the instruction be a
// call, or be made one by another thread in the last moment, the host would
// execute it.
func (t *Thread) stepByFlag() Event {
	guests := t.regs.Eflags & flagTF
	loads := guests == 0 && t.loadsFlags()
	t.EditRegs().Eflags |= flagTF
	ev := t.Run()
	stepped := ev.Kind == Fault && ev.Signal == int(unix.SIGTRAP) && ev.Code == ptrace.TrapTrace
	if guests == 0 && !(stepped && loads) {
		t.EditRegs().Eflags &^= flagTF
	}
	return ev
}

// loadsFlags tells whether the next instruction is popf or iret: what the trap
// flag is after it is the guest's own doing.
func (t *Thread) loadsFlags() bool {
	var code [15]byte
	n, _ := t.ReadMem(t.regs.Rip, code[:])
	for _, b := range code[:n] {
		switch b {
		case 0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
			continue
		case 0x9d, 0xcf:
			return true
		}
		if t.regs.Cs == 0x33 && b&0xf0 == 0x40 {
			continue // REX
		}
		return false
	}
	return false
}
