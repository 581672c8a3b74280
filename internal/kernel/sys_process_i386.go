package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

// Processes, memory and signals on i386.

func init() {
	// MAP_32BIT means nothing here.
	mmap := func(t *Task, addr Addr, size uint64, prot, flags int32, fd FD, off uint64) (Addr, error) {
		return t.mmap(addr, size, prot, int(uint32(flags))&^unix.MAP_32BIT|mm.Low, fd, off)
	}
	addFamily386(calls{
		"mmap2": r6(func(t *Task, addr Addr, size uint64, prot, flags int32, fd FD, page uint64) (Addr, error) {
			return mmap(t, addr, size, prot, flags, fd, page<<12)
		}),
		"mmap": block(6, r6(mmap)),
		"mremap": r5(func(t *Task, old Addr, oldSize, newSize uint64, flags int32, to Addr) (Addr, error) {
			return t.mremap(old, oldSize, newSize, int(uint32(flags))|mm.Low, to)
		}),
		"process_vm_readv":  r6(sysProcessVMReadv[abi.Iovec32]),
		"process_vm_writev": r6(sysProcessVMWritev[abi.Iovec32]),

		"clone": r5(func(t *Task, flags uint64, stack Addr, ptid Ptr[int32], tls uint64, ctid Ptr[int32]) (int, error) {
			return sysClone(t, flags, stack, ptid, ctid, tls)
		}),
		"execve":   e3(sysExecve[uint32]),
		"execveat": e5(sysExecveat[uint32]),
		"wait4":    r4(sysWait4[abi.Rusage32]),
		"waitpid": r3(func(t *Task, pid int32, status Ptr[int32], options int32) (int, error) {
			return sysWait4[abi.Rusage32](t, pid, status, options, 0)
		}),
		"waitid": e5(sysWaitid[abi.Siginfo32, abi.Rusage32]),

		"rt_sigaction":           e4(sysRtSigaction[abi.Sigaction32]),
		"rt_sigtimedwait":        r4(sysRtSigtimedwait[abi.Siginfo32, timespec32]),
		"rt_sigtimedwait_time64": r4(sysRtSigtimedwait[abi.Siginfo32, timespec64]),
		"rt_sigqueueinfo":        e3(sysRtSigqueueinfo[abi.Siginfo32]),
		"rt_tgsigqueueinfo":      e4(sysRtTgsigqueueinfo[abi.Siginfo32]),
		"pidfd_send_signal":      e4(sysPidfdSendSignal[abi.Siginfo32]),
		"sigaltstack":            e2(sysSigaltstack[abi.StackT32]),

		"sigaction":   e3(sigaction[abi.OldSigaction32]),
		"signal":      r2(oldSignal),
		"sigprocmask": e3(sysSigprocmask),
		"sigpending":  e1(func(t *Task, set Addr) error { return sysRtSigpending(t, set, 4) }),
		"sigsuspend":  e3(sysSigsuspend),
		"sgetmask":    r0(func(t *Task) (uint64, error) { return uint64(t.sigmask), nil }),
		"ssetmask":    r1(sysSsetmask),

		"getrlimit":   e2(sysGetrlimit[abi.OldRlimit32]),
		"ugetrlimit":  e2(sysGetrlimit[abi.Rlimit32]),
		"setrlimit":   e2(sysSetrlimit[abi.Rlimit32]),
		"sysinfo":     e1(sysSysinfo[abi.Sysinfo32]),
		"olduname":    e1(sysOlduname),
		"oldolduname": e1(sysOldolduname),
		"arch_prctl":  r2(sysArchPrctl32),

		// There is no virtual 8086 mode under a 64-bit kernel.
		"vm86":    e0(func(t *Task) error { return unix.ENOSYS }),
		"vm86old": e0(func(t *Task) error { return unix.ENOSYS }),
	})
}

// oldMask is the part of a mask that the calls before real-time signals know.
const oldMask = sigset(low32)

func sysSigprocmask(t *Task, how int32, set, old Ptr[uint32]) error {
	was := uint32(t.sigmask)
	if set != 0 {
		s, err := set.In(t)
		if err != nil {
			return err
		}
		if err := t.changeMask(how, sigset(s), oldMask); err != nil {
			return err
		}
	}
	return old.Put(t, was)
}

func sysSigsuspend(t *Task, _, _ int32, mask uint32) error {
	t.swapMask(sigset(mask))
	return t.sleepForSignal()
}

func sysSsetmask(t *Task, mask uint32) (int32, error) {
	was := int32(t.sigmask)
	t.setMask(sigset(mask))
	return was, nil
}

// oldSignal is signal(2) as System V had it: the handler serves once, and is
// not kept from interrupting itself.
func oldSignal(t *Task, sig int32, handler Addr) (Addr, error) {
	was, err := t.setAction(sig, &sigAction{Handler: uint64(handler), Flags: saResetHand | saNoDefer})
	return Addr(was.Handler), err
}

func sysOlduname(t *Task, p Ptr[abi.OldUtsname]) error {
	if p == 0 {
		return unix.EFAULT
	}
	u := t.uname()
	return p.Put(t, abi.OldUtsname{Sysname: u.Sysname, Nodename: u.Nodename, Release: u.Release, Version: u.Version, Machine: u.Machine})
}

// sysOldolduname has room for 8 bytes of each.
func sysOldolduname(t *Task, p Ptr[abi.OldOldUtsname]) error {
	if p == 0 {
		return unix.EFAULT
	}
	u := t.uname()
	var o abi.OldOldUtsname
	copy(o.Sysname[:8], u.Sysname[:])
	copy(o.Nodename[:8], u.Nodename[:])
	copy(o.Release[:8], u.Release[:])
	copy(o.Version[:8], u.Version[:])
	copy(o.Machine[:8], u.Machine[:])
	return p.Out(t, &o)
}

// sysArchPrctl32: segments are set by set_thread_area here.
func sysArchPrctl32(t *Task, code int32, addr Addr) (int, error) {
	switch code {
	case archGetCPUID, archSetCPUID:
		return sysArchPrctl(t, code, addr)
	}
	return 0, unix.EINVAL
}
