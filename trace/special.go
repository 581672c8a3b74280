package trace

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func init() {
	onCalls(special{enter: (*printer).cloneEnter, leave: (*printer).cloneLeave}, "clone")
	onCalls(special{enter: (*printer).clone3Enter, leave: (*printer).clone3Leave}, "clone3")
	onCalls(special{enter: (*printer).futex}, "futex", "futex_time64")
	onCalls(special{enter: (*printer).pollEnter, leave: (*printer).pollLeave}, "poll", "ppoll", "ppoll_time64")
	onCalls(special{enter: (*printer).selectEnter, leave: (*printer).selectLeave}, "select", "_newselect", "pselect6", "pselect6_time64")
	onCalls(special{enter: (*printer).fcntlEnter, leave: (*printer).fcntlLeave}, "fcntl", "fcntl64")
	onCalls(special{enter: (*printer).ioctlEnter, leave: (*printer).ioctlLeave}, "ioctl")
	onCalls(special{enter: (*printer).prctlEnter, leave: (*printer).prctlLeave}, "prctl")
	onCalls(special{enter: (*printer).archPrctlEnter, leave: (*printer).archPrctlLeave}, "arch_prctl")
	onCalls(special{enter: (*printer).recvEnter, leave: (*printer).recvLeave}, "recvfrom", "accept", "accept4", "getsockname", "getpeername", "getsockopt")
	onCalls(special{enter: (*printer).recvmsgEnter, leave: (*printer).recvmsgLeave}, "recvmsg")
	onCalls(special{enter: (*printer).membarrier, leave: (*printer).membarrierLeave}, "membarrier")
	onCalls(special{enter: func(p *printer) {
		if uint32(p.args[0]) == ^uint32(0) { // asks only
			p.s("0xffffffff")
			return
		}
		p.named(abi.Persona, p.args[0])
	}, leave: func(p *printer) {
		p.inAux(func() { p.named(abi.Persona, p.ret) })
	}}, "personality")
	onCalls(special{enter: (*printer).generic, leave: func(p *printer) {
		p.generic()
		if !p.failed() {
			p.inAux(func() { p.b = appendTime(p.b, int64(p.ret), 0, 0) })
		}
	}}, "time")
	onCalls(special{enter: (*printer).generic, leave: func(p *printer) {
		if !p.failed() {
			p.inAux(func() { p.named(abi.SchedPolicy, p.ret) })
		}
	}}, "sched_getscheduler")
	onCalls(special{enter: (*printer).generic, leave: func(p *printer) {
		p.generic()
		if !p.failed() {
			p.inAux(func() { p.signal(int(p.ret)) })
		}
	}}, "rt_sigtimedwait", "rt_sigtimedwait_time64")
	onCalls(special{enter: (*printer).mremap}, "mremap")
	onCalls(special{enter: (*printer).getrandom, leave: (*printer).getrandomLeave}, "getrandom")
	onCalls(special{enter: (*printer).sigreturn}, "rt_sigreturn", "sigreturn")
	onCalls(special{enter: (*printer).shmctlEnter, leave: (*printer).shmctlLeave}, "shmctl")
	onCalls(special{enter: (*printer).restart}, "restart_syscall")
	onCalls(special{enter: (*printer).semctl}, "semctl")
}

func (p *printer) cloneEnter() {
	p.s("child_stack=")
	p.addr(p.args[1])
	p.s(", flags=")
	p.named(abi.CloneFlags, p.args[0])
}

func (p *printer) cloneLeave() {
	f := p.args[0]
	tls, ctid := p.args[4], p.args[3]
	if p.arch == abi.I386 {
		tls, ctid = p.args[3], p.args[4]
	}
	if f&(unix.CLONE_PARENT_SETTID|unix.CLONE_PIDFD) != 0 {
		if f&unix.CLONE_PARENT_SETTID != 0 {
			p.s(", parent_tid=")
		} else {
			p.s(", pidfd=")
		}
		if p.failed() {
			p.addr(p.args[2])
		} else {
			p.boxed(p.args[2], 4, func(w *words) { p.dec(w.i32()) })
		}
	}
	if f&unix.CLONE_SETTLS != 0 {
		p.s(", tls=")
		p.addr(tls)
	}
	if f&(unix.CLONE_CHILD_SETTID|unix.CLONE_CHILD_CLEARTID) != 0 {
		p.s(", child_tidptr=")
		p.addr(ctid)
	}
}

func (p *printer) clone3Enter() {
	const v0 = 64
	size := p.args[1]
	w, ok := p.wide(p.args[0], 88)
	if !ok && size < 88 {
		var b []byte
		if b, ok = p.bytes(p.args[0], v0); ok {
			w = words{b: b, wide: true}
		}
	}
	if !ok || size < v0 {
		p.addr(p.args[0])
		p.saved = 0
	} else {
		flags, pidfd, child, parent, sig, stack, stackSize, tls := w.u64(), w.u64(), w.u64(), w.u64(), w.u64(), w.u64(), w.u64(), w.u64()
		p.saved = flags
		p.open("flags")
		p.cloneFlags(flags)
		if flags&unix.CLONE_PIDFD != 0 {
			p.field("pidfd")
			p.addr(pidfd)
		}
		if flags&(unix.CLONE_CHILD_SETTID|unix.CLONE_CHILD_CLEARTID) != 0 {
			p.field("child_tid")
			p.addr(child)
		}
		if flags&unix.CLONE_PARENT_SETTID != 0 {
			p.field("parent_tid")
			p.addr(parent)
		}
		p.field("exit_signal")
		p.signal(int(sig))
		p.field("stack")
		p.addr(stack)
		p.field("stack_size")
		p.hexNum(stackSize)
		if flags&unix.CLONE_SETTLS != 0 {
			p.field("tls")
			p.addr(tls)
		}
		p.c('}')
	}
	if p.saved&(unix.CLONE_PIDFD|unix.CLONE_PARENT_SETTID) == 0 {
		p.s(", ")
		p.ulong(size)
	}
}

// cloneFlags are those of clone3: the exit signal is not among them.
func (p *printer) cloneFlags(v uint64) {
	n := abi.CloneFlags.Names()
	start := len(p.b)
	for _, f := range n.Flags {
		if f.Value != 0 && v&f.Value == f.Value {
			if len(p.b) > start {
				p.c('|')
			}
			p.s(f.Name)
			v &^= f.Value
		}
	}
	if v != 0 || len(p.b) == start {
		if len(p.b) > start {
			p.c('|')
		}
		p.hexNum(v)
	}
}

func (p *printer) clone3Leave() {
	if p.saved&(unix.CLONE_PIDFD|unix.CLONE_PARENT_SETTID) == 0 {
		return
	}
	if !p.failed() {
		if w, ok := p.wide(p.args[0], 32); ok {
			w.skip(8)
			pidfd := w.u64()
			w.skip(8)
			parent := w.u64()
			p.s(" => {")
			if p.saved&unix.CLONE_PIDFD != 0 {
				p.s("pidfd=")
				p.boxed(pidfd, 4, func(w *words) { p.fd(w.u32()) })
			}
			if p.saved&unix.CLONE_PARENT_SETTID != 0 {
				if p.saved&unix.CLONE_PIDFD != 0 {
					p.s(", ")
				}
				p.s("parent_tid=")
				p.boxed(parent, 4, func(w *words) { p.dec(w.i32()) })
			}
			p.c('}')
		}
	}
	p.s(", ")
	p.ulong(p.args[1])
}

const futexCmdMask = 0x7f

func (p *printer) futexOp(v uint64) {
	const private, realtime = 128, 256
	v = uint64(uint32(v))
	if s := abi.FutexOp.Names().Lookup(v &^ realtime); s != "" {
		p.s(s)
		if v&realtime != 0 {
			p.s("|FUTEX_CLOCK_REALTIME")
		}
		return
	}
	p.named(abi.FutexOp, v)
}

func (p *printer) futex() {
	a := &p.args
	p.addr(a[0])
	p.s(", ")
	p.futexOp(a[1])
	num := func(v uint64) { p.s(", "); p.uint(v) }
	timeout := func() { p.s(", "); p.timespecAt(a[3], p.desc.Name == "futex_time64") }
	addr2 := func() { p.s(", "); p.addr(a[4]) }
	bitset := func() {
		p.s(", ")
		if uint32(a[5]) == ^uint32(0) {
			p.s("FUTEX_BITSET_MATCH_ANY")
		} else {
			p.hexNum(a[5] & 0xffffffff)
		}
	}
	switch a[1] & futexCmdMask {
	case abi.FUTEX_WAIT:
		num(a[2])
		timeout()
	case abi.FUTEX_LOCK_PI, abi.FUTEX_LOCK_PI2:
		timeout()
	case abi.FUTEX_WAIT_BITSET:
		num(a[2])
		timeout()
		bitset()
	case abi.FUTEX_WAKE_BITSET:
		num(a[2])
		bitset()
	case abi.FUTEX_WAKE, abi.FUTEX_FD:
		num(a[2])
	case abi.FUTEX_REQUEUE:
		num(a[2])
		num(a[3])
		addr2()
	case abi.FUTEX_CMP_REQUEUE, abi.FUTEX_CMP_REQUEUE_PI:
		num(a[2])
		num(a[3])
		addr2()
		num(a[5])
	case abi.FUTEX_WAKE_OP:
		num(a[2])
		num(a[3])
		addr2()
		p.s(", ")
		p.wakeOp(uint32(a[5]))
	case abi.FUTEX_WAIT_REQUEUE_PI:
		num(a[2])
		timeout()
		addr2()
	case abi.FUTEX_TRYLOCK_PI, abi.FUTEX_UNLOCK_PI:
	default:
		num(a[2])
		p.s(", ")
		p.addr(a[3])
		addr2()
		p.s(", ")
		p.hexNum(a[5] & 0xffffffff)
	}
}

var wakeOps = []string{"FUTEX_OP_SET", "FUTEX_OP_ADD", "FUTEX_OP_OR", "FUTEX_OP_ANDN", "FUTEX_OP_XOR"}
var wakeCmps = []string{"FUTEX_OP_CMP_EQ", "FUTEX_OP_CMP_NE", "FUTEX_OP_CMP_LT", "FUTEX_OP_CMP_LE", "FUTEX_OP_CMP_GT", "FUTEX_OP_CMP_GE"}

// wakeOp writes the operation that FUTEX_WAKE_OP packs in a number.
func (p *printer) wakeOp(v uint32) {
	if v>>31 != 0 {
		p.s("FUTEX_OP_OPARG_SHIFT<<28|")
	}
	name := func(list []string, i uint32) {
		if int(i) < len(list) {
			p.s(list[i])
		} else {
			p.hexNum(uint64(i))
		}
	}
	name(wakeOps, v>>28&7)
	p.s("<<28|")
	p.hexNum(uint64(v >> 12 & 0xfff))
	p.s("<<12|")
	name(wakeCmps, v>>24&15)
	p.s("<<24|")
	p.hexNum(uint64(v & 0xfff))
}

// pollEnter writes all arguments: what comes out of the call is behind the result.
func (p *printer) pollEnter() {
	for i := range p.list {
		if i > 0 {
			p.s(", ")
		}
		p.arg(i)
	}
}

func (p *printer) pollLeave() {
	if p.failed() {
		return
	}
	if p.ret == 0 {
		p.inAux(func() { p.s("Timeout") })
		return
	}
	n := min(p.args[1]&0xffffffff, 1<<16)
	raw, ok := p.bytes(p.args[0], int(n)*8)
	if !ok {
		return
	}
	b := append([]byte(nil), raw...)
	p.inAux(func() {
		p.c('[')
		first := true
		for ; len(b) >= 8; b = b[8:] {
			w := words{b: b}
			fd, _, got := w.u32(), w.u16(), w.u16()
			if got == 0 {
				continue
			}
			if !first {
				p.s(", ")
			}
			first = false
			p.open("fd")
			p.fd(fd)
			p.field("revents")
			p.named(abi.PollEvents, got)
			p.c('}')
		}
		p.c(']')
		if p.desc.Name != "poll" && p.args[2] != 0 {
			p.s(", left ")
			p.timespecAt(p.args[2], p.desc.Name == "ppoll_time64")
		}
	})
}

func (p *printer) selectEnter() {
	if p.arch == abi.I386 && p.desc.Name == "select" {
		p.addr(p.args[0])
		return
	}
	p.int(p.args[0])
	for i := 1; i <= 3; i++ {
		p.s(", ")
		p.fdSet(p.args[i], int(int32(p.args[0])))
	}
	p.s(", ")
	p.selectTime()
	if len(p.list) > 5 {
		p.s(", ")
		if p.args[5] == 0 {
			p.s("NULL")
		} else {
			p.sigsetSize(p.args[5])
		}
	}
}

func (p *printer) selectTime() {
	switch p.list[4].Kind.Base() {
	case abi.TimevalPtr:
		if p.args[4] == 0 {
			p.s("NULL")
		} else {
			p.timevalAt(p.args[4])
		}
	case abi.Timespec64Ptr:
		p.timespecAt(p.args[4], true)
	default:
		p.timespecAt(p.args[4], false)
	}
}

func (p *printer) selectLeave() {
	if p.failed() || p.arch == abi.I386 && p.desc.Name == "select" {
		return
	}
	if p.ret == 0 {
		p.inAux(func() { p.s("Timeout") })
		return
	}
	n := int(int32(p.args[0]))
	p.inAux(func() {
		first := true
		for i, name := range []string{"in ", "out ", "except "} {
			addr := p.args[i+1]
			if addr == 0 || !p.anyFD(addr, n) {
				continue
			}
			if !first {
				p.s(", ")
			}
			first = false
			p.s(name)
			p.fdSet(addr, n)
		}
		if p.args[4] != 0 {
			if !first {
				p.s(", ")
			}
			p.s("left ")
			p.selectTime()
		}
	})
}

func (p *printer) anyFD(addr uint64, n int) bool {
	b, ok := p.bytes(addr, (min(max(n, 0), 1<<16)+63)/64*8)
	if !ok {
		return false
	}
	for fd := range min(n, len(b)*8) {
		if b[fd/8]&(1<<(fd%8)) != 0 {
			return true
		}
	}
	return false
}

// recvEnter notes how much room there is for an address or option.
func (p *printer) recvEnter() {
	for i, a := range p.list {
		if a.Kind.Base() == abi.SocklenPtr && p.args[i] != 0 {
			p.saved = p.sockLen(p.args[i])
		}
	}
	p.generic()
}

func (p *printer) recvLeave() {
	if p.failed() && p.desc.Name != "recvfrom" {
		// The address is not there, the length is.
		for ; p.next < len(p.list); p.next++ {
			v := p.args[p.next]
			switch p.list[p.next].Kind.Base() {
			case abi.SocklenPtr:
				if v == 0 {
					p.s("NULL")
				} else if _, ok := p.wide(v, 4); ok {
					p.c('[')
					p.uint(p.saved)
					p.c(']')
				} else {
					p.addr(v)
				}
			default:
				p.arg(p.next)
			}
			if p.next+1 < len(p.list) {
				p.s(", ")
			}
		}
		return
	}
	p.generic()
}

func (p *printer) recvmsgEnter() {
	p.fd(p.args[0])
	p.s(", ")
	p.saved = 0
	if w, ok := p.words(p.args[1], 16, 8); ok {
		w.word()
		p.saved = w.u32()
	}
}

func (p *printer) recvmsgLeave() {
	if p.failed() {
		// As strace: what the call was given.
		if w, ok := p.words(p.args[1], 16, 8); ok {
			p.open("msg_namelen")
			w.word()
			p.uint(w.u32())
			p.c('}')
		} else {
			p.addr(p.args[1])
		}
	} else {
		p.msghdr(p.args[1], p.ret, true)
	}
	p.s(", ")
	p.named(abi.MsgFlags, p.args[2])
}

func (p *printer) membarrier() {
	p.named(abi.MembarrierCmd, p.args[0])
	p.s(", ")
	p.named(abi.MembarrierFlags, p.args[1])
	if p.args[1]&1 != 0 {
		p.s(", ")
		p.int(p.args[2])
	}
}

func (p *printer) membarrierLeave() {
	if uint32(p.args[0]) == 0 && !p.failed() {
		p.radix = 'x'
		p.inAux(func() { p.named(abi.MembarrierCmd, p.ret) })
	}
}

// mremap has a new address only if flags say so.
func (p *printer) mremap() {
	const fixed, dontUnmap = 2, 4
	if p.args[3]&(fixed|dontUnmap) == 0 {
		p.list = p.list[:4]
	}
	p.generic()
}

func (p *printer) getrandom() {}

func (p *printer) getrandomLeave() {
	if p.failed() {
		p.addr(p.args[0])
	} else {
		p.buf(p.args[0], p.ret, true)
	}
	p.s(", ")
	p.ulong(p.args[1])
	p.s(", ")
	p.named(abi.GetrandomFlags, p.args[2])
}

// registers is what a caller offers who knows them.
type registers interface{ Regs() unix.PtraceRegs }

// sigreturn writes the mask that the frame on the stack will put back.
func (p *printer) sigreturn() {
	// ucontext: flags, link, stack, 256 bytes of registers, mask.
	const mask = 8 + 8 + 24 + 256
	m, ok := p.mem.(registers)
	if !ok || p.arch != abi.AMD64 {
		return
	}
	if w, ok := p.wide(m.Regs().Rsp+mask, 8); ok {
		p.s("{mask=")
		p.sigset(w.u64())
		p.c('}')
	}
}

func (p *printer) shmctlEnter() {
	p.int(p.args[0])
	p.s(", ")
	p.named(abi.ShmctlCmd, p.args[1])
	p.s(", ")
}

func (p *printer) shmctlLeave() {
	if uint32(p.args[1]) != unix.IPC_STAT || p.failed() || p.arch != abi.AMD64 {
		p.addr(p.args[2])
		return
	}
	var ds abi.ShmidDS
	if p.mem.ReadMem(p.args[2], abi.Bytes(&ds)) != nil {
		p.addr(p.args[2])
		return
	}
	p.s("{shm_perm={uid=")
	p.id(uint64(ds.Perm.UID))
	p.field("gid")
	p.id(uint64(ds.Perm.GID))
	p.field("mode")
	p.mode(uint64(ds.Perm.Mode))
	p.field("key")
	p.ulong(uint64(uint32(ds.Perm.Key)))
	p.field("cuid")
	p.id(uint64(ds.Perm.CUID))
	p.field("cgid")
	p.id(uint64(ds.Perm.CGID))
	p.c('}')
	for _, f := range []struct {
		name string
		v    int64
	}{{"shm_segsz", int64(ds.Segsz)}, {"shm_cpid", int64(ds.Cpid)}, {"shm_lpid", int64(ds.Lpid)}, {"shm_nattch", int64(ds.Nattch)},
		{"shm_atime", ds.Atime}, {"shm_dtime", ds.Dtime}, {"shm_ctime", ds.Ctime}} {
		p.field(f.name)
		p.dec(f.v)
	}
	p.c('}')
}

func (p *printer) restart() {
	p.s("<... resuming interrupted ")
	if p.resumed != "" {
		p.s(p.resumed)
	} else {
		p.s("system call")
	}
	p.s(" ...>")
}

func (p *printer) semctl() {
	p.int(p.args[0])
	p.s(", ")
	p.int(p.args[1])
	p.s(", ")
	p.named(abi.SemctlCmd, p.args[2])
	if uint32(p.args[2]) != unix.IPC_RMID {
		p.s(", ")
		p.addr(p.args[3])
	} else {
		p.s(", NULL")
	}
}
