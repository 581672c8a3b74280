package kernel

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"sched_yield":            e0(sysSchedYield),
		"sched_getaffinity":      r3(sysSchedGetaffinity[uint64]),
		"sched_setaffinity":      e3(sysSchedSetaffinity),
		"sched_getscheduler":     r1(sysSchedGetscheduler),
		"sched_setscheduler":     e3(sysSchedSetscheduler),
		"sched_getparam":         e2(sysSchedGetparam),
		"sched_setparam":         e2(sysSchedSetparam),
		"sched_get_priority_max": r1(func(t *Task, policy int32) (int, error) { return priorityRange(policy, 99) }),
		"sched_get_priority_min": r1(func(t *Task, policy int32) (int, error) { return priorityRange(policy, 1) }),
		"sched_rr_get_interval":  e2(sysSchedRRGetInterval[unix.Timespec]),
		"sched_getattr":          e4(sysSchedGetattr),
		"sched_setattr":          e3(sysSchedSetattr),
		"getpriority":            r2(sysGetpriority),
		"setpriority":            e3(sysSetpriority),
		"ioprio_get":             r2(sysIoprioGet),
		"ioprio_set":             e3(sysIoprioSet),
		"getcpu":                 e2(sysGetcpu),
		"membarrier":             r3(sysMembarrier),
		"set_mempolicy":          e3(func(t *Task, mode int32, mask Addr, n uint64) error { return nil }),
		"get_mempolicy":          e5(sysGetMempolicy),
		"mbind":                  e5(func(t *Task, a Addr, n uint64, mode int32, mask Addr, max uint64) error { return nil }),
	})
}

func sysSchedYield(t *Task) error {
	t.cpu.resched = true
	return nil
}

// taskByID finds a thread; 0 is the caller.
func (t *Task) taskByID(tid int32) (*Task, error) {
	if tid < 0 {
		return nil, unix.EINVAL
	}
	if tid == 0 {
		return t, nil
	}
	o := t.k.pids.tasks[int(tid)]
	if o == nil {
		return nil, unix.ESRCH
	}
	return o, nil
}

// mayTune reports whether t may set o's scheduling.
func (t *Task) mayTune(o *Task) bool {
	c := t.cred
	return t.p == o.p || c.EUID == o.cred.UID || c.EUID == o.cred.EUID || c.Has(unix.CAP_SYS_NICE)
}

// allCPUs is the mask of all virtual CPUs.
func (k *Kernel) allCPUs() []byte {
	m := make([]byte, (len(k.cpus)+63)/64*8)
	for i := range k.cpus {
		m[i/8] |= 1 << (i % 8)
	}
	return m
}

func sysSchedGetaffinity[W words](t *Task, tid int32, size uint32, mask Ptr[W]) (int, error) {
	o, err := t.taskByID(tid)
	if err != nil {
		return 0, err
	}
	m := o.attrs.affinity
	if m == nil {
		m = t.k.allCPUs()
	}
	if size%uint32(unsafe.Sizeof(W(0))) != 0 || 8*int(size) < len(t.k.cpus) {
		return 0, unix.EINVAL
	}
	m = m[:min(len(m), int(size))]
	return len(m), t.CopyOut(uint64(mask), m)
}

// sysSchedSetaffinity: a task that is where it may no longer be moves before it
// runs guest code again.
func sysSchedSetaffinity(t *Task, tid int32, size uint32, mask Addr) error {
	all := t.k.allCPUs()
	m := make([]byte, len(all))
	if err := t.CopyIn(uint64(mask), m[:min(int(size), len(m))]); err != nil {
		return err
	}
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	if !t.mayTune(o) {
		return unix.EPERM
	}
	any := false
	for i := range m {
		m[i] &= all[i]
		any = any || m[i] != 0
	}
	if !any {
		return unix.EINVAL
	}
	if slices.Equal(m, all) {
		m = nil
	}
	o.attrs.affinity = m
	o.heedAffinity()
	return nil
}

func sysSchedGetscheduler(t *Task, tid int32) (int, error) {
	o, err := t.taskByID(tid)
	if err != nil {
		return 0, err
	}
	return o.attrs.policy, nil
}

const resetOnFork = 0x40000000

func (t *Task) setScheduler(tid, policy, priority int32) error {
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	switch policy &^ resetOnFork {
	case unix.SCHED_NORMAL, unix.SCHED_BATCH, unix.SCHED_IDLE:
		if priority != 0 {
			return unix.EINVAL
		}
	case unix.SCHED_FIFO, unix.SCHED_RR:
		if priority < 1 || priority > 99 {
			return unix.EINVAL
		}
		if !t.cred.Has(unix.CAP_SYS_NICE) && uint64(priority) > o.p.limits[unix.RLIMIT_RTPRIO].Cur {
			return unix.EPERM
		}
	default:
		return unix.EINVAL
	}
	if !t.mayTune(o) {
		return unix.EPERM
	}
	o.attrs.policy, o.attrs.rtPriority = int(policy), int(priority)
	return nil
}

func sysSchedSetscheduler(t *Task, tid, policy int32, param Ptr[int32]) error {
	if param == 0 || tid < 0 || policy < 0 {
		return unix.EINVAL
	}
	priority, err := param.In(t)
	if err != nil {
		return err
	}
	return t.setScheduler(tid, policy, priority)
}

func sysSchedGetparam(t *Task, tid int32, param Ptr[int32]) error {
	if param == 0 {
		return unix.EINVAL
	}
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	return param.Put(t, int32(o.attrs.rtPriority))
}

func sysSchedSetparam(t *Task, tid int32, param Ptr[int32]) error {
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	return sysSchedSetscheduler(t, tid, int32(o.attrs.policy), param)
}

func priorityRange(policy int32, rt int) (int, error) {
	switch policy {
	case unix.SCHED_FIFO, unix.SCHED_RR:
		return rt, nil
	case unix.SCHED_NORMAL, unix.SCHED_BATCH, unix.SCHED_IDLE, unix.SCHED_DEADLINE:
		return 0, nil
	}
	return 0, unix.EINVAL
}

func sysSchedRRGetInterval[T timespecs](t *Task, tid int32, v Ptr[T]) error {
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	ns := int64(slice) * int64(tick)
	if o.attrs.policy == unix.SCHED_FIFO {
		ns = 0
	}
	return store(t, v, unix.NsecToTimespec(ns))
}

func sysSchedGetattr(t *Task, tid int32, p Addr, size, flags uint32) error {
	if p == 0 || size < 48 || size > 4096 || flags != 0 {
		return unix.EINVAL
	}
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	a := unix.SchedAttr{Size: 48, Policy: uint32(o.attrs.policy &^ resetOnFork), Nice: int32(o.attrs.nice), Priority: uint32(o.attrs.rtPriority)}
	if o.attrs.policy&resetOnFork != 0 {
		a.Flags = 1
	}
	return t.CopyOut(uint64(p), asBytes(&a)[:48])
}

func sysSchedSetattr(t *Task, tid int32, p Addr, flags uint32) error {
	if p == 0 || flags != 0 {
		return unix.EINVAL
	}
	var a unix.SchedAttr
	if err := t.CopyIn(uint64(p), asBytes(&a)[:48]); err != nil {
		return err
	}
	if a.Size != 0 && a.Size < 48 {
		return unix.E2BIG
	}
	policy := int32(a.Policy)
	if a.Flags&1 != 0 {
		policy |= resetOnFork
	}
	if err := t.setScheduler(tid, policy, int32(a.Priority)); err != nil {
		return err
	}
	o, err := t.taskByID(tid)
	if err != nil {
		return err
	}
	if a.Policy == unix.SCHED_NORMAL || a.Policy == unix.SCHED_BATCH {
		return t.setNice(o, int(a.Nice))
	}
	return nil
}

// forPriority calls f for every thread that which and who name.
func (t *Task) forPriority(which, who int32, f func(*Task)) error {
	match := func(o *Task) bool { return false }
	switch which {
	case unix.PRIO_PROCESS:
		o, err := t.taskByID(who)
		if err != nil {
			return unix.ESRCH
		}
		match = func(x *Task) bool { return x == o }
	case unix.PRIO_PGRP:
		id := int(who)
		if id == 0 {
			id = t.p.group.id
		}
		match = func(x *Task) bool { return x.p.group != nil && x.p.group.id == id }
	case unix.PRIO_USER:
		uid := uint32(who)
		if uid == 0 {
			uid = t.cred.UID
		}
		match = func(x *Task) bool { return x.cred.UID == uid }
	default:
		return unix.EINVAL
	}
	found := false
	for _, p := range t.k.pids.processes() {
		for _, o := range p.threads {
			if match(o) {
				found = true
				f(o)
			}
		}
	}
	if !found {
		return unix.ESRCH
	}
	return nil
}

func sysGetpriority(t *Task, which, who int32) (int, error) {
	best := 0
	err := t.forPriority(which, who, func(o *Task) { best = max(best, 20-o.attrs.nice) })
	return best, err
}

func (t *Task) setNice(o *Task, nice int) error {
	nice = min(max(nice, -20), 19)
	if !(t.cred.EUID == o.cred.EUID || t.cred.EUID == o.cred.UID || t.cred.Has(unix.CAP_SYS_NICE)) {
		return unix.EPERM
	}
	if nice < o.attrs.nice && !t.cred.Has(unix.CAP_SYS_NICE) && uint64(20-nice) > o.p.limits[unix.RLIMIT_NICE].Cur {
		return unix.EACCES
	}
	o.attrs.nice = nice
	return nil
}

func sysSetpriority(t *Task, which, who, nice int32) error {
	var failed error
	if err := t.forPriority(which, who, func(o *Task) {
		if err := t.setNice(o, int(nice)); err != nil {
			failed = err
		}
	}); err != nil {
		return err
	}
	return failed
}

func sysIoprioGet(t *Task, which, who int32) (int, error) {
	if which < 1 || which > 3 {
		return 0, unix.EINVAL
	}
	if which == 1 {
		o, err := t.taskByID(who)
		if err != nil {
			return 0, err
		}
		return o.attrs.ioprio, nil
	}
	return t.attrs.ioprio, nil
}

func sysIoprioSet(t *Task, which, who, prio int32) error {
	if which < 1 || which > 3 || prio>>13 < 0 || prio>>13 > 3 {
		return unix.EINVAL
	}
	if which == 1 {
		o, err := t.taskByID(who)
		if err != nil {
			return err
		}
		o.attrs.ioprio = int(prio)
	}
	return nil
}

func sysGetcpu(t *Task, cpu, node Ptr[uint32]) error {
	return firstError(cpu.Put(t, uint32(t.cpu.id)), node.Put(t, 0))
}

func sysGetMempolicy(t *Task, mode Ptr[int32], mask Addr, n uint64, addr Addr, flags uint64) error {
	if mask != 0 && n > 0 {
		if err := t.CopyOut(uint64(mask), make([]byte, min((n+63)/64*8, 128))); err != nil {
			return err
		}
	}
	return mode.Put(t, 0)
}

// sysMembarrier: a thread that is kicked out of guest code and comes back has
// passed a full barrier; one that is in the kernel passes one on its way out.
func sysMembarrier(t *Task, cmd int32, flags uint32, cpu int32) (int, error) {
	const (
		query       = 0
		global      = 1
		globalExp   = 2
		regGlobal   = 4
		privateExp  = 8
		regPrivate  = 16
		syncCore    = 32
		regSyncCore = 64
		supported   = global | globalExp | regGlobal | privateExp | regPrivate | syncCore | regSyncCore
	)
	if flags != 0 {
		return 0, unix.EINVAL
	}
	switch cmd {
	case query:
		return supported, nil
	case regGlobal, regPrivate, regSyncCore:
		t.attrs.barriers |= cmd
		return 0, nil
	case privateExp, syncCore:
		if t.attrs.barriers&(cmd<<1) == 0 {
			return 0, unix.EPERM
		}
	case global, globalExp:
	default:
		return 0, unix.EINVAL
	}
	for _, c := range t.k.cpus {
		if o := c.current; o != nil && o != t && o.th != nil {
			o.th.Kick()
		}
	}
	// A thread that has come out waits for the lock, which is ours.
	for _, c := range t.k.cpus {
		if o := c.current; o != nil && o != t && o.th != nil {
			for o.th.Running() {
				unix.Nanosleep(&unix.Timespec{Nsec: 10_000}, nil)
			}
		}
	}
	return 0, nil
}
