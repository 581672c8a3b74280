package kernel

import (
	"io"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"uname":             e1(sysUname),
		"sysinfo":           e1(sysSysinfo[abi.Sysinfo]),
		"getrandom":         r3(sysGetrandom),
		"personality":       r1(sysPersonality),
		"getrlimit":         e2(sysGetrlimit[unix.Rlimit]),
		"setrlimit":         e2(sysSetrlimit[unix.Rlimit]),
		"prlimit64":         e4(sysPrlimit),
		"syslog":            r3(sysSyslog),
		"reboot":            e0(func(t *Task) error { return unix.EPERM }),
		"vhangup":           e0(sysVhangup),
		"iopl":              e0(func(t *Task) error { return unix.EPERM }),
		"ioperm":            e0(func(t *Task) error { return unix.EPERM }),
		"bpf":               e0(func(t *Task) error { return unix.EPERM }),
		"perf_event_open":   e0(func(t *Task) error { return unix.EACCES }),
		"userfaultfd":       e0(func(t *Task) error { return unix.EPERM }),
		"init_module":       e0(func(t *Task) error { return unix.EPERM }),
		"finit_module":      e0(func(t *Task) error { return unix.EPERM }),
		"delete_module":     e0(func(t *Task) error { return unix.EPERM }),
		"kexec_load":        e0(func(t *Task) error { return unix.EPERM }),
		"setns":             e0(func(t *Task) error { return unix.EPERM }),
		"kcmp":              r5(sysKcmp),
		"process_vm_readv":  r6(sysProcessVMReadv[iovec]),
		"process_vm_writev": r6(sysProcessVMWritev[iovec]),
		"process_madvise":   e5(func(t *Task, fd FD, v Addr, n uint64, advice int32, flags uint32) error { return unix.EPERM }),
	})
}

// Release is what uname and /proc say the kernel's version is: a Linux whose
// system calls are the ones we serve.
const (
	Release       = "6.12.0-sysemu"
	KernelVersion = "#1 SMP PREEMPT_DYNAMIC sysemu"
)

func sysUname(t *Task, p Ptr[unix.Utsname]) error {
	u := t.uname()
	return p.Out(t, &u)
}

func (t *Task) uname() (u unix.Utsname) {
	machine := "x86_64"
	if t.attrs.personality&0xff == 8 { // PER_LINUX32
		machine = "i686"
	}
	release := Release
	if t.attrs.personality&0x0020000 != 0 { // UNAME26
		release = "2.6.72-sysemu"
	}
	copy(u.Sysname[:], "Linux")
	copy(u.Nodename[:64], t.k.hostname)
	copy(u.Release[:], release)
	copy(u.Version[:], KernelVersion)
	copy(u.Machine[:], machine)
	copy(u.Domainname[:64], t.k.domain)
	return u
}

// memory is the machine's memory in bytes, and how much of it is free.
func (k *Kernel) memory() (total, free uint64) {
	var si unix.Sysinfo_t
	unix.Sysinfo(&si)
	total, free = si.Totalram*uint64(si.Unit), si.Freeram*uint64(si.Unit)
	if m := k.cfg.Memory; m != 0 && m < total {
		total, free = m, min(free, m)
	}
	if k.virtual != nil {
		free = total // what is free on the host changes
	}
	return total, free
}

func sysSysinfo[T sysinfos](t *Task, p Ptr[T]) error {
	total, free := t.k.memory()
	var s abi.Sysinfo
	s.Uptime = t.k.sinceBoot(t.k.clock.Shown()) / 1e9
	s.Totalram, s.Freeram, s.Unit = total, free, 1
	s.Procs = uint16(len(t.k.pids.procs))
	return store(t, p, s)
}

func sysGetrandom(t *Task, buf Addr, n uint64, flags uint32) (uint64, error) {
	const insecure = 4
	if flags&^(unix.GRND_NONBLOCK|unix.GRND_RANDOM|insecure) != 0 || flags&(unix.GRND_RANDOM|insecure) == unix.GRND_RANDOM|insecure {
		return 0, unix.EINVAL
	}
	return t.readTo([]iovec{{Base: uint64(buf), Len: min(n, maxIO)}}, 0, func(p []byte, _ int64) (int, error) {
		return io.ReadFull(t.k.random, p)
	})
}

func sysPersonality(t *Task, v uint32) (uint32, error) {
	was := t.attrs.personality
	if v != same {
		t.attrs.personality = v
	}
	return was, nil
}

func sysGetrlimit[T rlimits](t *Task, what uint32, p Ptr[T]) error {
	if what >= uint32(len(t.p.limits)) {
		return unix.EINVAL
	}
	return store(t, p, t.p.limits[what])
}

func sysSetrlimit[T rlimits](t *Task, what uint32, p Ptr[T]) error {
	l, err := load[unix.Rlimit](t, p)
	if err != nil {
		return err
	}
	return t.setLimit(t.p, what, l)
}

func (t *Task) setLimit(p *Process, what uint32, l unix.Rlimit) error {
	if what >= uint32(len(p.limits)) || l.Cur > l.Max {
		return unix.EINVAL
	}
	if what == unix.RLIMIT_NOFILE && l.Max > maxFiles {
		return unix.EPERM // fs.nr_open
	}
	if l.Max > p.limits[what].Max && !t.cred.Has(unix.CAP_SYS_RESOURCE) {
		return unix.EPERM
	}
	p.limits[what] = l
	return nil
}

func sysPrlimit(t *Task, pid int32, what uint32, new, old Ptr[unix.Rlimit]) error {
	p := t.process(pid)
	if what >= uint32(len(t.p.limits)) {
		return unix.EINVAL
	}
	var l unix.Rlimit
	if new != 0 {
		var err error
		if l, err = new.In(t); err != nil {
			return err
		}
	}
	if p == nil || p.leader == nil {
		return unix.ESRCH
	}
	if p != t.p && !t.cred.Has(unix.CAP_SYS_RESOURCE) {
		c, o := t.cred, p.leader.cred
		if c.UID != o.UID || c.UID != o.EUID || c.UID != o.SUID || c.GID != o.GID || c.GID != o.EGID || c.GID != o.SGID {
			return unix.EPERM
		}
	}
	was := p.limits[what]
	if new != 0 {
		if err := t.setLimit(p, what, l); err != nil {
			return err
		}
	}
	return old.Put(t, was)
}

// sysSyslog: the kernel's log is empty.
func sysSyslog(t *Task, op int32, buf Addr, n int32) (int, error) {
	switch op {
	case 10: // SYSLOG_ACTION_SIZE_BUFFER
		return 1 << 18, nil
	case 0, 1, 3, 9:
		return 0, nil
	case 2, 4, 5, 6, 7, 8:
		if !t.cred.Has(unix.CAP_SYSLOG) {
			return 0, unix.EPERM
		}
		return 0, nil
	}
	return 0, unix.EINVAL
}

// sysKcmp compares what two tasks have; the order is that of age.
func sysKcmp(t *Task, pid1, pid2, kind int32, a, b uint64) (int, error) {
	x, y := t.k.pids.tasks[int(pid1)], t.k.pids.tasks[int(pid2)]
	if x == nil || y == nil {
		return 0, unix.ESRCH
	}
	if !t.mayTrace(x.p) || !t.mayTrace(y.p) {
		return 0, unix.EPERM
	}
	equal := false
	switch kind {
	case 0: // KCMP_FILE
		f, g := x.files.Peek(int(int32(a))), y.files.Peek(int(int32(b)))
		if f == nil || g == nil {
			return 0, unix.EBADF
		}
		equal = f == g
	case 1:
		equal = x.mm == y.mm
	case 2:
		equal = x.files == y.files
	case 3:
		equal = x.fs == y.fs
	case 4:
		equal = x.p.sig == y.p.sig
	default:
		return 0, unix.EINVAL
	}
	if equal {
		return 0, nil
	}
	if pid1 < pid2 {
		return 1, nil
	}
	return 2, nil
}

// processVM moves between the caller's memory and another process's.
func processVM[V iovecs](t *Task, pid int32, local Ptr[V], nl uint64, remote Ptr[V], nr uint64, flags uint64, write bool) (uint64, error) {
	if flags != 0 {
		return 0, unix.EINVAL
	}
	lv, err := vector(t, local, nl)
	if err != nil {
		return 0, err
	}
	rv, err := vector(t, remote, nr)
	if err != nil {
		return 0, err
	}
	o := t.k.pids.tasks[int(pid)]
	if o == nil || o.th == nil || o.mm == nil {
		return 0, unix.ESRCH
	}
	if !t.mayTrace(o.p) {
		return 0, unix.EPERM
	}
	var total uint64
	b := t.buffer(64 << 10)
	defer t.free(b)
	for len(lv) > 0 && len(rv) > 0 {
		l, r := &lv[0], &rv[0]
		n := int(min(l.Len, r.Len, uint64(len(b))))
		if n == 0 {
			if l.Len == 0 {
				lv = lv[1:]
			} else {
				rv = rv[1:]
			}
			continue
		}
		var k int
		var err error
		if write {
			if err = t.CopyIn(l.Base, b[:n]); err == nil {
				k, err = o.remote(r.Base, b[:n], true)
			}
		} else {
			if k, err = o.remote(r.Base, b[:n], false); k > 0 {
				if e := t.CopyOut(l.Base, b[:k]); e != nil {
					k, err = 0, e
				}
			}
		}
		total += uint64(k)
		if err != nil {
			if total > 0 {
				return total, nil
			}
			return 0, err
		}
		l.Base, l.Len = l.Base+uint64(k), l.Len-uint64(k)
		r.Base, r.Len = r.Base+uint64(k), r.Len-uint64(k)
	}
	return total, nil
}

// remote reads or writes the memory of a task that may be running: its stack
// does not grow for that.
func (t *Task) remote(addr uint64, p []byte, write bool) (int, error) {
	if addr >= mm.Top || uint64(len(p)) > mm.Top-addr {
		return 0, unix.EFAULT
	}
	if write {
		return t.th.WriteMem(addr, p)
	}
	return t.th.ReadMem(addr, p)
}

func sysProcessVMReadv[V iovecs](t *Task, pid int32, local Ptr[V], nl uint64, remote Ptr[V], nr, flags uint64) (uint64, error) {
	return processVM(t, pid, local, nl, remote, nr, flags, false)
}

func sysProcessVMWritev[V iovecs](t *Task, pid int32, local Ptr[V], nl uint64, remote Ptr[V], nr, flags uint64) (uint64, error) {
	return processVM(t, pid, local, nl, remote, nr, flags, true)
}
