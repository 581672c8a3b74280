package kernel

import (
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"golang.org/x/sys/unix"
)

// The memory of guests is bounded in two ways. What files in memory take comes
// out of one budget, ENOSPC. What processes take is promised freely, as Linux
// does, and measured while they run: when it is too much, the biggest is killed.

// ram is the account of the machine's memory.
type ram struct {
	limit uint64 // bytes for the processes; 0 = not looked up yet
	files *tmpfs.Budget
	ticks int // since the last look
}

func (k *Kernel) setRAM() {
	if k.ram.limit != 0 {
		return
	}
	total, _ := k.memory()
	k.ram.limit = total
	if k.cfg.Memory == 0 || k.cfg.Memory > total/4*3 {
		k.ram.limit = total / 4 * 3 // the host is to stay well
	}
	if k.ram.files = k.cfg.Files; k.ram.files == nil {
		k.ram.files = NewFileMemory(k.cfg.Memory)
	}
}

// NewFileMemory is what files may take of a machine's memory (0 = the host's):
// half, as of a tmpfs on Linux.
func NewFileMemory(memory uint64) *tmpfs.Budget {
	k := Kernel{cfg: Config{Memory: memory}}
	total, _ := k.memory()
	return &tmpfs.Budget{Size: int64(total / 2)}
}

// FileMemory is the budget of all files in memory.
func (k *Kernel) FileMemory() *tmpfs.Budget {
	k.setRAM()
	return k.ram.files
}

// memoryTicks is how often the processes' memory is measured, in ticks.
const memoryTicks = 10

// checkMemory kills the biggest process when all have more memory than there
// is. It is called by the ticker while programs run.
func (k *Kernel) checkMemory() {
	if k.ram.ticks++; k.ram.ticks < memoryTicks {
		return
	}
	k.ram.ticks = 0
	k.setRAM()
	// Pages that forks share are counted in each: cheap, and never too little.
	if k.processMemory(false) <= k.ram.limit {
		return
	}
	used := k.processMemory(true)
	if used <= k.ram.limit {
		return
	}
	var worst *Process
	var most int64
	for _, p := range k.pids.processes() {
		if p.groupExit && len(p.threads) > 0 {
			return // one is going already
		}
		n := int64(p.memory(true))
		if p.oomScoreAdj == -1000 || n == 0 {
			continue
		}
		if n += int64(p.oomScoreAdj) * int64(k.ram.limit/1000); worst == nil || n > most {
			worst, most = p, n
		}
	}
	if worst != nil {
		k.report("sysemu: out of memory: programs use %d MiB of %d; killing %s (pid %d)", used>>20, k.ram.limit>>20, worst.leader.comm, worst.pid)
		worst.kill(int(unix.SIGKILL))
	}
}

// processMemory is the anonymous memory of all processes.
func (k *Kernel) processMemory(exact bool) (sum uint64) {
	for _, p := range k.pids.procs {
		sum += p.memory(exact)
	}
	return sum
}

// memory is the process's anonymous memory in bytes; exact leaves to others
// their part of what is shared.
func (p *Process) memory(exact bool) uint64 {
	for _, t := range p.threads {
		if t.th == nil || t.vforked {
			continue // the parent's memory is counted there
		}
		if exact {
			return t.th.Proportional()
		}
		total, shared := t.th.Resident()
		return total - min(shared, total)
	}
	return 0
}
