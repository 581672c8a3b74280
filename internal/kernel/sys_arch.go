package kernel

import (
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"arch_prctl": r2(sysArchPrctl),
	})
}

// Codes of arch_prctl(2).
const (
	archSetGS    = 0x1001
	archSetFS    = 0x1002
	archGetFS    = 0x1003
	archGetGS    = 0x1004
	archGetCPUID = 0x1011
	archSetCPUID = 0x1012
)

func sysArchPrctl(t *Task, code int32, addr Addr) (int, error) {
	r := t.th.Regs()
	switch code {
	case archSetFS, archSetGS:
		if addr >= 1<<47 {
			return 0, unix.EPERM
		}
		if code == archSetFS {
			t.th.EditRegs().Fs_base = uint64(addr)
		} else {
			t.th.EditRegs().Gs_base = uint64(addr)
		}
		return 0, nil
	case archGetFS:
		return 0, Ptr[uint64](addr).Put(t, r.Fs_base)
	case archGetGS:
		return 0, Ptr[uint64](addr).Put(t, r.Gs_base)
	case archGetCPUID:
		return 1, nil // CPUID does not fault
	case archSetCPUID:
		if addr == 0 {
			return 0, unix.ENODEV // no faulting on CPUID here
		}
		return 0, nil
	}
	return 0, unix.EINVAL
}
