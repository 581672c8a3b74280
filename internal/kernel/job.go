package kernel

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Limit is something of which a job may have only so much.
type Limit uint8

const (
	NoLimit Limit = iota
	CPUTime
	WallTime
	Memory
	Processes
	OutputBytes
	FileSize
	DiskBytes
)

// JobLimits bound a job; 0 is no bound. Going over one ends it.
type JobLimits struct {
	CPU       int64  // ns, of all its tasks together
	Memory    uint64 // bytes, of all its processes together
	Processes int    // processes and threads at once
	Output    int64  // bytes written to the program's standard output and error
	FileSize  int64  // bytes, of a regular file that is written
	Disk      int64  // bytes written to regular files in all
}

// Job is a program that was started with all that descends from it: whose
// use is counted, and bounded, as one.
type Job struct {
	k      *Kernel
	limits JobLimits

	reached Limit // the first limit, its own or the machine's
	killed  bool  // for going over one of its own

	tasks, most int // at once: now, and at the most
	processes   int // in all
	calls       uint64
	ended       usage  // of tasks that have ended
	memory      uint64 // the most that was seen, bytes
	output      int64
	disk        int64
}

// NewJob makes a job for a program to be started.
func (k *Kernel) NewJob(l JobLimits) *Job { return &Job{k: k, limits: l} }

// exceed ends the job for going over a limit.
func (j *Job) exceed(l Limit) {
	j.reach(l)
	if j.killed {
		return
	}
	j.killed = true
	for _, p := range j.k.pids.processes() {
		if p.job == j && !p.zombie {
			p.kill(int(unix.SIGKILL))
		}
	}
}

// reach notes the first limit that the job comes up against.
func (j *Job) reach(l Limit) {
	if j.reached == NoLimit {
		j.reached = l
	}
}

// Exceed is exceed for a limit that is watched from outside.
func (j *Job) Exceed(l Limit) {
	j.k.mu.Lock()
	defer j.k.mu.Unlock()
	j.exceed(l)
}

// mayGrow decides on another task.
func (j *Job) mayGrow() error {
	if j.killed {
		return unix.EAGAIN
	}
	if n := j.limits.Processes; n > 0 && j.tasks >= n {
		j.exceed(Processes)
		return unix.EAGAIN
	}
	return nil
}

// joined counts a task; left takes its use over when it has ended.
func (j *Job) joined(t *Task) {
	if j.tasks == 0 {
		j.k.jobs = append(j.k.jobs, j)
	}
	j.tasks++
	j.most = max(j.most, j.tasks)
	if t.p.leader == t {
		j.processes++
	}
}

func (j *Job) left(t *Task) {
	u := t.usage()
	j.ended.add(u)
	j.seen(uint64(u.maxrss) << 10)
	if j.tasks--; j.tasks == 0 {
		// Whoever looks through the jobs just now has the list as it was.
		j.k.jobs = slices.DeleteFunc(slices.Clone(j.k.jobs), func(o *Job) bool { return o == j })
	}
}

// seen notes how much memory the job has at a time.
func (j *Job) seen(bytes uint64) {
	if j != nil {
		j.memory = max(j.memory, bytes)
	}
}

// usage is what all its tasks have used until now.
func (j *Job) usage() usage {
	u := j.ended
	for _, t := range j.k.pids.tasks {
		if t.p.job == j && t.th != nil {
			u.add(t.usage())
		}
	}
	return u
}

// checkCPU is called by the tick.
func (j *Job) checkCPU() {
	if j.limits.CPU == 0 || j.killed {
		return
	}
	if u := j.usage(); u.utime+u.stime > j.limits.CPU {
		j.exceed(CPUTime)
	}
}

// metered runs a write of at most what is left of a budget. What goes over it
// ends the job.
func (j *Job) metered(l Limit, used *int64, budget int64, p []byte, write func([]byte) (int, error)) (n int, err error) {
	over := budget > 0 && int64(len(p)) > budget-*used
	if over {
		p = p[:max(budget-*used, 0)]
	}
	if err = unix.EDQUOT; len(p) > 0 || !over {
		n, err = write(p)
		*used += int64(max(n, 0))
	}
	if over && n == len(p) {
		j.exceed(l)
	}
	return n, err
}

// WriteOutput counts a write to a program's standard output or error. The
// kernel lock is held.
func (j *Job) WriteOutput(p []byte, write func([]byte) (int, error)) (int, error) {
	return j.metered(OutputBytes, &j.output, j.limits.Output, p, write)
}

// WriteRegular implements vfs.Quota.
func (t *Task) WriteRegular(p []byte, write func([]byte) (int, error)) (int, error) {
	j := t.p.job
	if j == nil {
		return write(p)
	}
	return j.metered(DiskBytes, &j.disk, j.limits.Disk, p, write)
}

// Allocating implements vfs.Quota.
func (t *Task) Allocating(n int64) error {
	j := t.p.job
	if j == nil {
		return nil
	}
	if l := j.limits.Disk; l > 0 && n > l-j.disk {
		j.exceed(DiskBytes)
		return unix.EDQUOT
	}
	j.disk += n
	return nil
}

// FileSizeLimit implements vfs.Context.
func (t *Task) FileSizeLimit() uint64 {
	n := t.p.limits[unix.RLIMIT_FSIZE].Cur
	if j := t.p.job; j != nil && j.limits.FileSize > 0 {
		n = min(n, uint64(j.limits.FileSize))
	}
	return n
}

// fileTooBig is told of every EFBIG: it may have come of the job's limit.
func (t *Task) fileTooBig() {
	if j := t.p.job; j != nil && j.limits.FileSize > 0 && uint64(j.limits.FileSize) <= t.p.limits[unix.RLIMIT_FSIZE].Cur {
		j.exceed(FileSize)
	}
}

// noteShortage is told how a call ended that asks for size bytes of memory: it
// may have failed for want of the machine's.
func (t *Task) noteShortage(err error, size uint64) {
	if err == unix.ENOMEM && (t.k.ram.full || size > t.k.ram.total) {
		t.p.job.reach(Memory)
	}
}

// JobUsage is what a job has used. Times are ns.
type JobUsage struct {
	Reached      Limit // the first limit, its own or the machine's
	Killed       bool  // for going over one of its own
	User, System int64
	Memory       uint64 // the most that was seen, bytes
	Processes    int    // in all
	Tasks        int    // the most at once
	Calls        uint64
	Output, Disk int64
}

// use is what the job has used until now.
func (j *Job) use() JobUsage {
	u := j.usage()
	return JobUsage{j.reached, j.killed, u.utime, u.stime, j.memory, j.processes, j.most, j.calls, j.output, j.disk}
}

// memoryBounded reports whether the job's memory is to be watched.
func (j *Job) memoryBounded() bool { return j.limits.Memory > 0 && !j.killed }

// greedyJobs are the jobs that have more memory than they may, of those whose
// processes are listed; use is what there is resident of each, which counts
// files too. It is called without the lock: reading takes time.
func (k *Kernel) greedyJobs(list []eater, use map[*Job]uint64) (greedy []*Job) {
	for i := range list {
		j := list[i].p.job
		if j == nil || j.limits.Memory == 0 || use[j] <= j.limits.Memory || slices.Contains(greedy, j) {
			continue
		}
		var sum uint64
		for k := range list {
			if list[k].p.job == j {
				u := list[k].th.MemoryUse()
				sum += u.Private + u.Shared
			}
		}
		if sum > j.limits.Memory {
			greedy = append(greedy, j)
		}
	}
	return greedy
}
