package machine

import (
	"golang.org/x/sys/unix"
)

// Guests see the host's time without a stop in two ways: the vDSO, which reads
// pages that the host keeps up to date, and the processor's time-stamp counter.

// HideTime has guests see neither: there is no vDSO, and an instruction that
// reads the counter ends Run with ReadTSC, where the host's processor can be
// told to do so. It is to be called before the first CPU is made.
func (m *Machine) HideTime() { m.hideTime = true }

// trapTSC has the instructions fault, in the zygote; all others inherit that.
// A host that knows no such setting is left as it is.
func (t *Thread) trapTSC() error {
	if _, err := t.call(unix.SYS_PRCTL, unix.PR_SET_TSC, unix.PR_TSC_SIGSEGV, 0, 0, 0); err == errDied {
		return err
	}
	return nil
}

// atTSC tells whether the thread is about to execute rdtsc or rdtscp, and how
// long that instruction is: 0 when it is neither.
func (t *Thread) atTSC() (n int, p bool) {
	var code [15]byte
	got, _ := t.ReadMem(t.regs.Rip, code[:])
	for n = 0; n+1 < got; n++ {
		switch b := code[n]; {
		case b == 0x0f && code[n+1] == 0x31:
			return n + 2, false
		case b == 0x0f && code[n+1] == 0x01 && n+2 < got && code[n+2] == 0xf9:
			return n + 3, true
		case b == 0x66 || b == 0x67 || b == 0xf2 || b == 0xf3 || b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0x64 || b == 0x65:
		case t.regs.Cs == 0x33 && b&0xf0 == 0x40: // REX
		default:
			return 0, false
		}
	}
	return 0, false
}

// readsTSC makes a ReadTSC of a fault that is one.
func (t *Thread) readsTSC(sig unix.Signal, code int32) bool {
	if !t.cpu.m.hideTime || sig != unix.SIGSEGV || code != siKernel {
		return false
	}
	n, p := t.atTSC()
	if n == 0 {
		return false
	}
	r := t.EditRegs()
	r.Rip += uint64(n)
	if p {
		r.Rcx = uint64(t.cpu.id) // what the host has there: number and node of the CPU
	}
	r.Orig_rax = ^uint64(0)
	return true
}

// SetTSC is what the guest gets for ReadTSC.
func (t *Thread) SetTSC(v uint64) {
	r := t.EditRegs()
	r.Rax, r.Rdx = v&0xffffffff, v>>32
}

// unmapClock takes the data pages of the 32-bit vDSO that is mapped at addr
// away: what is left, the way into the kernel and back from handlers, tells no
// time.
func (t *Thread) unmapClock(addr uint64, v VDSO32) error {
	if v.Image == 0 {
		return nil
	}
	_, err := t.call(unix.SYS_MUNMAP, addr, v.Image)
	return err
}
