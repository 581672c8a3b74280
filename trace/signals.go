package trace

import (
	"math/bits"
	"strings"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// signalNames are the names of signals, made once; shortNames lack the SIG.
var signalNames, shortNames = func() (long, short [abi.NSIG + 1]string) {
	for i := 1; i <= abi.NSIG; i++ {
		long[i] = abi.SignalName(i)
		short[i] = strings.TrimPrefix(long[i], "SIG")
	}
	return
}()

func (p *printer) signal(n int) {
	if n > 0 && n <= abi.NSIG {
		p.s(signalNames[n])
		return
	}
	p.dec(int64(n))
}

// sigset writes a set of signals; one that is nearly full by what is missing.
func (p *printer) sigset(v uint64) {
	if bits.OnesCount64(v) >= abi.NSIG*2/3 {
		p.c('~')
		v = ^v
	}
	p.c('[')
	for first := true; v != 0; first = false {
		n := bits.TrailingZeros64(v) + 1
		v &= v - 1
		if !first {
			p.c(' ')
		}
		p.s(shortNames[n])
	}
	p.c(']')
}

func (p *printer) sigHandler(v uint64) {
	switch v {
	case abi.SIG_DFL:
		p.s("SIG_DFL")
	case abi.SIG_IGN:
		p.s("SIG_IGN")
	default:
		p.hexNum(v)
	}
}

func (p *printer) sigaction(addr uint64) {
	w, ok := p.words(addr, 32, 20)
	if !ok {
		p.addr(addr)
		return
	}
	handler, flags, restorer, mask := w.word(), w.word(), w.word(), w.u64()
	p.open("sa_handler")
	p.sigHandler(handler)
	p.field("sa_mask")
	p.sigset(mask)
	p.field("sa_flags")
	p.named(abi.SigactionFlags, flags)
	if flags&abi.SA_RESTORER != 0 {
		p.field("sa_restorer")
		p.hexNum(restorer)
	}
	p.c('}')
}

// sigsetSize writes the pair of pselect6.
func (p *printer) sigsetSize(addr uint64) {
	w, ok := p.words(addr, 16, 8)
	if !ok {
		p.addr(addr)
		return
	}
	set, size := w.word(), w.word()
	p.open("sigmask")
	if m, ok := p.wide(set, 8); ok && set != 0 {
		p.sigset(m.u64())
	} else {
		p.addr(set)
	}
	p.field("sigsetsize")
	p.ulong(size)
	p.c('}')
}

func (p *printer) siginfoAt(addr uint64) {
	if p.arch == abi.I386 {
		var s abi.Siginfo32
		if p.mem.ReadMem(addr, abi.Bytes(&s)) != nil {
			p.addr(addr)
			return
		}
		i := s.To64()
		p.siginfo(&i)
		return
	}
	var s abi.Siginfo
	if p.mem.ReadMem(addr, abi.Bytes(&s)) != nil {
		p.addr(addr)
		return
	}
	p.siginfo(&s)
}

// siginfo writes what a signal tells.
func (p *printer) siginfo(s *abi.Siginfo) {
	if s.Signo == 0 {
		p.s("{}")
		return
	}
	p.open("si_signo")
	p.signal(int(s.Signo))
	p.field("si_code")
	if name := abi.SigCodeName(s.Signo, s.Code); name != "" {
		p.s(name)
	} else {
		p.hexNum(uint64(uint32(s.Code)))
	}
	if s.Errno != 0 {
		p.field("si_errno")
		p.dec(int64(s.Errno))
	}
	sender := func() {
		p.field("si_pid")
		p.dec(int64(s.Pid()))
		p.field("si_uid")
		p.id(uint64(s.UID()))
	}
	value := func() {
		p.field("si_int")
		p.int(s.Value())
		p.field("si_ptr")
		p.addr(s.Value())
	}
	if s.Code <= 0 {
		switch s.Code {
		case abi.SI_USER, abi.SI_TKILL:
			sender()
		case abi.SI_TIMER:
			p.field("si_timerid")
			p.hexNum(uint64(uint32(s.TimerID())))
			p.field("si_overrun")
			p.dec(int64(s.Overrun()))
			value()
		default:
			sender()
			if s.Value() != 0 {
				value()
			}
		}
		p.c('}')
		return
	}
	switch unix.Signal(s.Signo) {
	case unix.SIGCHLD:
		sender()
		p.field("si_status")
		if s.Code == abi.CLD_EXITED {
			p.dec(int64(s.Status()))
		} else {
			p.signal(int(s.Status()))
		}
		p.field("si_utime")
		p.ticks(s.Utime())
		p.field("si_stime")
		p.ticks(s.Stime())
	case unix.SIGILL, unix.SIGFPE, unix.SIGSEGV, unix.SIGBUS, unix.SIGTRAP:
		p.field("si_addr")
		p.addr(s.Addr())
	case unix.SIGIO:
		if s.Code != abi.SI_KERNEL {
			p.field("si_band")
			p.dec(s.Band())
			p.field("si_fd")
			p.dec(int64(s.FD()))
		}
	case unix.SIGSYS:
		p.field("si_call_addr")
		p.addr(s.CallAddr())
		p.field("si_syscall")
		if d := abi.ByNumber(s.Arch(), int(s.Syscall())); d != nil {
			p.s("__NR_")
			p.s(d.Name)
		} else {
			p.dec(int64(s.Syscall()))
		}
		p.field("si_arch")
		if s.Arch() == abi.I386 {
			p.s("AUDIT_ARCH_I386")
		} else {
			p.s("AUDIT_ARCH_X86_64")
		}
	default:
		if s.Pid() != 0 || s.UID() != 0 {
			sender()
		}
		if s.Value() != 0 {
			value()
		}
	}
	p.c('}')
}

func (p *printer) sigevent(addr uint64) {
	w, ok := p.words(addr, 64, 64)
	if !ok {
		p.addr(addr)
		return
	}
	value, signo, notify, tid := w.word(), w.i32(), w.i32(), w.i32()
	p.c('{')
	if value != 0 {
		p.s("sigev_value={sival_int=")
		p.int(value)
		p.s(", sival_ptr=")
		p.addr(value)
		p.s("}, ")
	}
	p.s("sigev_signo=")
	switch notify {
	case abi.SIGEV_SIGNAL, abi.SIGEV_THREAD, abi.SIGEV_THREAD_ID:
		p.signal(int(signo))
	default:
		p.dec(signo)
	}
	p.field("sigev_notify")
	p.named(abi.SigevNotify, uint64(notify))
	if notify == abi.SIGEV_THREAD_ID {
		p.field("sigev_notify_thread_id")
		p.dec(tid)
	}
	p.c('}')
}
