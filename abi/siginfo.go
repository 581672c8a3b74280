package abi

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Siginfo is siginfo_t. What follows the first three fields is a union; Layout says which member of it is meant, and the
// constructors and accessors below read and write it.
type Siginfo struct {
	Signo int32
	Errno int32
	Code  int32
	_     int32
	data  [112]byte
}

// SiginfoLayout names a member of the union in a siginfo.
type SiginfoLayout uint8

const (
	SiginfoKill  SiginfoLayout = iota // Pid, UID
	SiginfoTimer                      // TimerID, Overrun, Value
	SiginfoPoll                       // Band, FD
	SiginfoFault                      // Addr, and AddrLSB, Bounds or PKey by code
	SiginfoChild                      // Pid, UID, Status, Utime, Stime
	SiginfoRt                         // Pid, UID, Value
	SiginfoSys                        // CallAddr, Syscall, Arch
)

func (s *Siginfo) u32(at int) uint32       { return binary.LittleEndian.Uint32(s.data[at-16:]) }
func (s *Siginfo) u64(at int) uint64       { return binary.LittleEndian.Uint64(s.data[at-16:]) }
func (s *Siginfo) put32(at int, v uint32)  { binary.LittleEndian.PutUint32(s.data[at-16:], v) }
func (s *Siginfo) put64(at int, v uint64)  { binary.LittleEndian.PutUint64(s.data[at-16:], v) }
func (s *Siginfo) Pid() int32              { return int32(s.u32(16)) }
func (s *Siginfo) UID() uint32             { return s.u32(20) }
func (s *Siginfo) Status() int32           { return int32(s.u32(24)) }
func (s *Siginfo) Utime() int64            { return int64(s.u64(32)) }
func (s *Siginfo) Stime() int64            { return int64(s.u64(40)) }
func (s *Siginfo) TimerID() int32          { return int32(s.u32(16)) }
func (s *Siginfo) Overrun() int32          { return int32(s.u32(20)) }
func (s *Siginfo) Value() uint64           { return s.u64(24) }
func (s *Siginfo) Addr() uint64            { return s.u64(16) }
func (s *Siginfo) AddrLSB() int16          { return int16(s.u32(24)) }
func (s *Siginfo) PKey() uint32            { return s.u32(32) }
func (s *Siginfo) Bounds() (lo, hi uint64) { return s.u64(32), s.u64(40) }
func (s *Siginfo) Band() int64             { return int64(s.u64(16)) }
func (s *Siginfo) FD() int32               { return int32(s.u32(24)) }
func (s *Siginfo) CallAddr() uint64        { return s.u64(16) }
func (s *Siginfo) Syscall() int32          { return int32(s.u32(24)) }
func (s *Siginfo) Arch() Arch              { return Arch(s.u32(28)) }

// SetPid and SetUID replace the sender, as when it is seen from another namespace.
func (s *Siginfo) SetPid(pid int32)  { s.put32(16, uint32(pid)) }
func (s *Siginfo) SetUID(uid uint32) { s.put32(20, uid) }

// SetOverrun replaces the overrun count of a timer's signal.
func (s *Siginfo) SetOverrun(n int32) { s.put32(20, uint32(n)) }

// KillInfo is the siginfo of a signal sent by kill (SI_USER), tgkill (SI_TKILL) or the kernel (SI_KERNEL, with no pid).
func KillInfo(signo, code, pid int32, uid uint32) (s Siginfo) {
	s.Signo, s.Code = signo, code
	s.put32(16, uint32(pid))
	s.put32(20, uid)
	return
}

// QueueInfo is the siginfo of a signal with a value: SI_QUEUE, SI_MESGQ, SI_ASYNCIO.
func QueueInfo(signo, code, pid int32, uid uint32, value uint64) (s Siginfo) {
	s = KillInfo(signo, code, pid, uid)
	s.put64(24, value)
	return
}

// TimerInfo is the siginfo of a POSIX timer's expiration.
func TimerInfo(signo, id, overrun int32, value uint64) (s Siginfo) {
	s.Signo, s.Code = signo, SI_TIMER
	s.put32(16, uint32(id))
	s.put32(20, uint32(overrun))
	s.put64(24, value)
	return
}

// ChildInfo is the siginfo of SIGCHLD: code is one of CLD_*, status an exit status or a signal, times are in clock ticks.
func ChildInfo(code, pid int32, uid uint32, status int32, utime, stime int64) (s Siginfo) {
	s = KillInfo(int32(unix.SIGCHLD), code, pid, uid)
	s.put32(24, uint32(status))
	s.put64(32, uint64(utime))
	s.put64(40, uint64(stime))
	return
}

// FaultInfo is the siginfo of SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGTRAP at an address.
func FaultInfo(signo, code int32, addr uint64) (s Siginfo) {
	s.Signo, s.Code = signo, code
	s.put64(16, addr)
	return
}

// PKeyInfo is the siginfo of an access that a protection key forbids.
func PKeyInfo(addr uint64, pkey uint32) (s Siginfo) {
	s = FaultInfo(int32(unix.SIGSEGV), SEGV_PKUERR, addr)
	s.put32(32, pkey)
	return
}

// PollInfo is the siginfo of I/O that became possible on a descriptor with F_SETSIG: code is one of POLL_*.
func PollInfo(signo, code int32, band int64, fd int32) (s Siginfo) {
	s.Signo, s.Code = signo, code
	s.put64(16, uint64(band))
	s.put32(24, uint32(fd))
	return
}

// SysInfo is the siginfo of the SIGSYS that a seccomp filter sends; data goes to Errno.
func SysInfo(code int32, callAddr uint64, nr int32, arch Arch, data int32) (s Siginfo) {
	s.Signo, s.Code, s.Errno = int32(unix.SIGSYS), code, data
	s.put64(16, callAddr)
	s.put32(24, uint32(nr))
	s.put32(28, uint32(arch))
	return
}

// Layout says which member of the union a siginfo with this signal and code uses.
func (s *Siginfo) Layout() SiginfoLayout { return siginfoLayout(s.Signo, s.Code) }

func siginfoLayout(signo, code int32) SiginfoLayout {
	if code > SI_USER && code < SI_KERNEL {
		var last int32
		layout := SiginfoFault
		switch unix.Signal(signo) {
		case unix.SIGILL:
			last = ILL_BADIADDR
		case unix.SIGFPE:
			last = FPE_CONDTRAP
		case unix.SIGSEGV:
			last = SEGV_CPERR
		case unix.SIGBUS:
			last = BUS_MCEERR_AO
		case unix.SIGTRAP:
			last = TRAP_PERF
		case unix.SIGCHLD:
			last, layout = CLD_CONTINUED, SiginfoChild
		case unix.SIGIO:
			last, layout = POLL_HUP, SiginfoPoll
		case unix.SIGSYS:
			last, layout = SYS_USER_DISPATCH, SiginfoSys
		}
		if code <= last {
			return layout
		}
		if code <= POLL_HUP {
			return SiginfoPoll // F_SETSIG with another signal than SIGIO
		}
		return SiginfoKill
	}
	switch {
	case code == SI_TIMER:
		return SiginfoTimer
	case code == SI_SIGIO:
		return SiginfoPoll
	case code < 0: // SI_TKILL too, with no value
		return SiginfoRt
	}
	return SiginfoKill
}

// si_code of any signal.
const (
	SI_USER     = 0
	SI_KERNEL   = 0x80
	SI_QUEUE    = -1
	SI_TIMER    = -2
	SI_MESGQ    = -3
	SI_ASYNCIO  = -4
	SI_SIGIO    = -5
	SI_TKILL    = -6
	SI_DETHREAD = -7
	SI_ASYNCNL  = -60
)

// si_code of SIGILL.
const (
	ILL_ILLOPC   = 1
	ILL_ILLOPN   = 2
	ILL_ILLADR   = 3
	ILL_ILLTRP   = 4
	ILL_PRVOPC   = 5
	ILL_PRVREG   = 6
	ILL_COPROC   = 7
	ILL_BADSTK   = 8
	ILL_BADIADDR = 9
)

// si_code of SIGFPE.
const (
	FPE_INTDIV   = 1
	FPE_INTOVF   = 2
	FPE_FLTDIV   = 3
	FPE_FLTOVF   = 4
	FPE_FLTUND   = 5
	FPE_FLTRES   = 6
	FPE_FLTINV   = 7
	FPE_FLTSUB   = 8
	FPE_FLTUNK   = 0xe
	FPE_CONDTRAP = 0xf
)

// si_code of SIGSEGV.
const (
	SEGV_MAPERR  = 1
	SEGV_ACCERR  = 2
	SEGV_BNDERR  = 3
	SEGV_PKUERR  = 4
	SEGV_ACCADI  = 5
	SEGV_ADIDERR = 6
	SEGV_ADIPERR = 7
	SEGV_MTEAERR = 8
	SEGV_MTESERR = 9
	SEGV_CPERR   = 10
)

// si_code of SIGBUS.
const (
	BUS_ADRALN    = 1
	BUS_ADRERR    = 2
	BUS_OBJERR    = 3
	BUS_MCEERR_AR = 4
	BUS_MCEERR_AO = 5
)

// si_code of SIGTRAP.
const (
	TRAP_BRKPT  = 1
	TRAP_TRACE  = 2
	TRAP_BRANCH = 3
	TRAP_HWBKPT = 4
	TRAP_UNK    = 5
	TRAP_PERF   = 6
)

// si_code of SIGCHLD.
const (
	CLD_EXITED    = 1
	CLD_KILLED    = 2
	CLD_DUMPED    = 3
	CLD_TRAPPED   = 4
	CLD_STOPPED   = 5
	CLD_CONTINUED = 6
)

// si_code of SIGIO.
const (
	POLL_IN  = 1
	POLL_OUT = 2
	POLL_MSG = 3
	POLL_ERR = 4
	POLL_PRI = 5
	POLL_HUP = 6
)

// si_code of SIGSYS.
const (
	SYS_SECCOMP       = 1
	SYS_USER_DISPATCH = 2
)

// What follows the address in the SiginfoFault layout.
type faultDetail uint8

const (
	faultPlain faultDetail = iota
	faultLSB
	faultBounds
	faultPKey
	faultPerf
)

func (s *Siginfo) fault() faultDetail {
	switch sig := unix.Signal(s.Signo); {
	case sig == unix.SIGBUS && (s.Code == BUS_MCEERR_AR || s.Code == BUS_MCEERR_AO):
		return faultLSB
	case sig == unix.SIGSEGV && s.Code == SEGV_BNDERR:
		return faultBounds
	case sig == unix.SIGSEGV && s.Code == SEGV_PKUERR:
		return faultPKey
	case sig == unix.SIGTRAP && s.Code == TRAP_PERF:
		return faultPerf
	}
	return faultPlain
}
