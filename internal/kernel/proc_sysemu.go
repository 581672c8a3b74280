package kernel

import (
	"strconv"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/vfs"
)

// SysemuMode is how guests' calls are kept from the host: 0 by PTRACE_SYSCALL and
// a nullified call, 1 by PTRACE_SYSEMU, 2 by PTRACE_SYSEMU_SINGLESTEP also.
func (k *Kernel) SysemuMode() int { return int(k.hw.Mode()) }

// SetSysemuMode changes it, while guests run too. Other numbers are ignored, and
// so is what the host does not have.
func (k *Kernel) SetSysemuMode(mode int) {
	if m := machine.Mode(mode); m >= machine.Nullify && m <= machine.SysemuStep {
		k.hw.SetMode(m)
	}
}

// addSysemu adds /proc/sysemu, as User-Mode Linux has it: what is written
// is taken whole, its first byte counts, and what is no mode is ignored.
func (pf *procFS) addSysemu(root *pseudofs.Live) {
	k := pf.k
	f := root.Text("sysemu", func(vfs.Context) ([]byte, error) {
		return []byte(strconv.Itoa(k.SysemuMode()) + "\n"), nil
	})
	f.Mode = 0o600
	f.Write = func(_ vfs.Context, p []byte) error {
		if len(p) > 0 {
			k.SetSysemuMode(int(p[0]) - '0')
		}
		return nil
	}
}
