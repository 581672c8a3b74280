package machine

import (
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// call runs one host call in the stopped thread.
func (t *Thread) call(nr uint64, args ...uint64) (uint64, error) {
	if t.dead.Load() {
		return 0, unix.ESRCH
	}
	r := Regs{Rip: t.one, Rax: nr, Cs: 0x33, Ss: 0x2b, Eflags: 0x202, Orig_rax: ^uint64(0), Fs_base: t.regs.Fs_base, Gs_base: t.regs.Gs_base}
	p := [6]*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}
	for i, a := range args {
		*p[i] = a
	}
	if err := t.inject(&r); err != nil {
		return 0, err
	}
	v, err := ptrace.PeekUser(t.pid, ptrace.OffRAX)
	if err != nil {
		return 0, err
	}
	if v > ^uint64(4095) {
		return 0, unix.Errno(-v)
	}
	return v, nil
}

// inject runs stub code until its int3.
func (t *Thread) inject(r *Regs) error {
	t.dirty = true
	if err := ptrace.SetRegs(t.pid, r); err != nil {
		return err
	}
	for {
		if err := ptrace.Resume(ptrace.Cont, t.pid, 0); err != nil {
			return err
		}
		ws, err := waitFor(t.pid)
		if err != nil || !ws.Stopped() {
			t.Destroy()
			return errDied
		}
		if ws == unix.WaitStatus(unix.SIGTRAP)<<8|0x7f {
			return nil
		}
		switch ws.StopSignal() {
		case unix.SIGSYS:
			return unix.EPERM // the filter refused it
		case unix.SIGSEGV, unix.SIGBUS:
			return unix.EFAULT // the stub touches guest memory for CompareAndSwap
		}
		if ws.StopSignal() == unix.SIGURG {
			t.kicked.Store(true) // not lost: the next Run ends at once
		}
		// Any other stop is noise from outside: go on.
	}
}

// Op is a host call on a thread's address space.
type Op struct {
	Nr   uint64
	Args [6]uint64
}

// The operations. Addresses are the kernel's to choose and must lie in
// [UserBottom, UserTop); a file is what Import returned, or NoFile.
func Mmap(addr, size uint64, prot, flags int, file int, off uint64) Op {
	return Op{unix.SYS_MMAP, [6]uint64{addr, size, uint64(prot), uint64(flags), uint64(int64(file)), off}}
}
func Munmap(addr, size uint64) Op { return Op{unix.SYS_MUNMAP, [6]uint64{addr, size}} }
func Mprotect(addr, size uint64, prot int) Op {
	return Op{unix.SYS_MPROTECT, [6]uint64{addr, size, uint64(prot)}}
}
func Mremap(old, oldSize, newSize uint64, flags int, addr uint64) Op {
	return Op{unix.SYS_MREMAP, [6]uint64{old, oldSize, newSize, uint64(flags), addr}}
}
func Madvise(addr, size uint64, advice int) Op {
	return Op{unix.SYS_MADVISE, [6]uint64{addr, size, uint64(advice)}}
}
func Msync(addr, size uint64, flags int) Op {
	return Op{unix.SYS_MSYNC, [6]uint64{addr, size, uint64(flags)}}
}
func Mlock(addr, size uint64) Op   { return Op{unix.SYS_MLOCK, [6]uint64{addr, size}} }
func Munlock(addr, size uint64) Op { return Op{unix.SYS_MUNLOCK, [6]uint64{addr, size}} }

// NoFile is the file of an anonymous mapping.
const NoFile = -1

// Do runs the operations in order, until the first that fails; done is how
// many were carried out. Many cost one stop.
func (t *Thread) Do(ops ...Op) (done int, err error) {
	for len(ops) > 0 {
		if len(ops) == 1 {
			_, err := t.call(ops[0].Nr, ops[0].Args[:]...)
			if err == nil {
				done++
			}
			return done, err
		}
		n := min(len(ops), maxList)
		k, err := t.runList(ops[:n])
		done += k
		if err != nil {
			return done, err
		}
		ops = ops[n:]
	}
	return done, nil
}

func (t *Thread) runList(ops []Op) (int, error) {
	if t.dead.Load() {
		return 0, unix.ESRCH
	}
	c := t.cpu
	for i, op := range ops {
		c.list[i].nr, c.list[i].args = op.Nr, op.Args
	}
	c.list[len(ops)].nr = ^uint64(0)
	base := stubListAddr + uint64(c.id)*pageSize
	r := Regs{Rip: stubCodeAddr + offList, R15: base, Cs: 0x33, Ss: 0x2b, Eflags: 0x202, Orig_rax: ^uint64(0), Fs_base: t.regs.Fs_base, Gs_base: t.regs.Gs_base}
	if err := t.inject(&r); err != nil {
		return 0, err
	}
	if err := ptrace.GetRegs(t.pid, &r); err != nil {
		return 0, err
	}
	done := int(r.R15-base) / 64
	if r.Rax != 0 {
		return done, unix.Errno(-r.Rax)
	}
	return done, nil
}

// CompareAndSwap does that to the 32-bit word at addr, atomically, and returns
// what was there before. EFAULT where the guest itself could not.
func (t *Thread) CompareAndSwap(addr uint64, old, new uint32) (uint32, error) {
	r := Regs{Rip: stubCodeAddr + offCAS, Rdi: addr, Rax: uint64(old), Rcx: uint64(new), Cs: 0x33, Ss: 0x2b, Eflags: 0x202, Orig_rax: ^uint64(0), Fs_base: t.regs.Fs_base, Gs_base: t.regs.Gs_base}
	if err := t.inject(&r); err != nil {
		return 0, err
	}
	v, err := ptrace.PeekUser(t.pid, ptrace.OffRAX)
	return uint32(v), err
}
