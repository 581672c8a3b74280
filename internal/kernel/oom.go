package kernel

import (
	"slices"
	"time"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

// The memory of guests is bounded in two ways. What files in memory take comes
// out of one budget, ENOSPC. What processes take is promised freely, as Linux
// does, and measured while they run: when it is too much, the biggest is killed.

// Over the limit nothing more may be mapped either, ENOMEM.

// ram is the account of the machine's memory.
type ram struct {
	limit  uint64 // bytes for all guests; 0 = not looked up yet
	total  uint64 // the machine's memory, as guests are told
	files  *tmpfs.Budget
	full   bool     // over the limit when last looked at
	victim *Process // killed for its memory, until it is gone
	kills  int
	next   time.Time // the ticker's: when to look again
}

func (k *Kernel) setRAM() {
	if k.ram.limit != 0 {
		return
	}
	total, _ := k.memory()
	k.ram.limit, k.ram.total = total, total
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

// lookEvery is how often the host is asked: reading takes some 10 µs a
// process. When a look takes long, the next is put off.
const lookEvery = 10 * tick

// eater is an address space and who is to be killed for it.
type eater struct {
	p    *Process
	th   *machine.Thread
	foot uint64 // all that is resident
	used machine.MemoryUse
}

// checkMemory asks the host how much the guests take, and acts on it. It is
// called by the ticker, without the lock: reading takes time.
func (k *Kernel) checkMemory() {
	now := time.Now()
	if now.Before(k.ram.next) {
		return
	}
	k.mu.Lock()
	k.setRAM()
	limit := k.ram.limit
	files := uint64(k.ram.files.Used())
	list := k.eaters()
	bounded := slices.ContainsFunc(k.jobs, (*Job).memoryBounded)
	k.mu.Unlock()

	// Memory that several have is counted for each, and mapped files twice:
	// if there is little even so, that will do.
	sum := files
	jobs := map[*Job]uint64{}
	for i := range list {
		e := &list[i]
		e.foot = e.th.Footprint()
		sum += e.foot
		jobs[e.p.job] += e.foot
	}
	greedy := k.greedyJobs(list, jobs)
	over := sum > limit
	if over {
		var private, shared uint64
		for i := range list {
			e := &list[i]
			e.used = e.th.MemoryUse()
			private += e.used.Private
			shared += e.used.Shared
		}
		sum = private + max(shared, files)
		over = sum > limit
	}
	every := lookEvery
	if over || bounded {
		every = tick // soon it will be better; or it may be worse
	}
	k.ram.next = now.Add(max(every, 20*time.Since(now)))

	k.mu.Lock()
	defer k.mu.Unlock()
	k.ram.full = over
	for j, n := range jobs {
		j.seen(n)
	}
	for _, j := range greedy {
		j.exceed(Memory)
	}
	if over && !k.closing {
		k.killBiggest(list, sum)
	}
}

// eaters lists the address spaces in use, in order of process.
func (k *Kernel) eaters() (list []eater) {
	seen := map[*mm.Space]bool{}
	for _, p := range k.pids.processes() {
		for _, t := range p.threads {
			if t.mm != nil && t.th != nil && !seen[t.mm] {
				seen[t.mm] = true
				list = append(list, eater{p: p, th: t.th})
			}
		}
	}
	return list
}

// killBiggest ends the process that has most, as oom_score_adj weighs it.
func (k *Kernel) killBiggest(list []eater, sum uint64) {
	if v := k.ram.victim; v != nil && !v.zombie {
		return // its memory is on its way
	}
	k.ram.victim = nil
	var worst *eater
	var most int64
	for i := range list {
		e := &list[i]
		n := int64(e.used.Private + e.used.Shared)
		if e.p.zombie || e.p.groupExit || n == 0 || e.p.oomScoreAdj <= -1000 {
			continue
		}
		if n += int64(e.p.oomScoreAdj) * int64(k.ram.limit/1000); worst == nil || n > most {
			worst, most = e, n
		}
	}
	if worst == nil {
		return
	}
	k.ram.victim = worst.p
	k.ram.kills++
	k.report("sysemu: out of memory: programs use %d MiB of %d; killing %s (pid %d), which has %d",
		sum>>20, k.ram.limit>>20, worst.p.leader.comm, worst.p.pid, (worst.used.Private+worst.used.Shared)>>20)
	if worst.p.job != nil {
		worst.p.job.reach(Memory)
	}
	worst.p.kill(int(unix.SIGKILL))
}

// memoryFreed notes that a process has ended.
func (k *Kernel) memoryFreed(p *Process) {
	if p == k.ram.victim {
		k.ram.victim, k.ram.full = nil, false
	}
}
