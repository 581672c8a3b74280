package abi

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Every kind of siginfo is where the kernel's headers have it, comes back as it went in, and survives i386.
func TestSiginfo(t *testing.T) {
	chld, rt, segv, bus, sys := int32(unix.SIGCHLD), int32(SIGRTMIN+2), int32(unix.SIGSEGV), int32(unix.SIGBUS), int32(unix.SIGSYS)
	for _, c := range []struct {
		name   string
		s      Siginfo
		layout SiginfoLayout
		ok     func(s *Siginfo) bool
	}{
		{"kill", KillInfo(15, SI_USER, 7, 1000), SiginfoKill, func(s *Siginfo) bool { return s.Pid() == 7 && s.UID() == 1000 }},
		{"kernel", KillInfo(2, SI_KERNEL, 0, 0), SiginfoKill, func(s *Siginfo) bool { return s.Pid() == 0 }},
		{"tkill", KillInfo(6, SI_TKILL, 7, 1), SiginfoRt, func(s *Siginfo) bool { return s.Pid() == 7 && s.Value() == 0 }},
		{"queue", QueueInfo(rt, SI_QUEUE, 7, 8, 0x89abcdef), SiginfoRt, func(s *Siginfo) bool { return s.Value() == 0x89abcdef && s.UID() == 8 }},
		{"timer", TimerInfo(14, 3, 4, 5), SiginfoTimer, func(s *Siginfo) bool { return s.TimerID() == 3 && s.Overrun() == 4 && s.Value() == 5 }},
		{"child", ChildInfo(CLD_KILLED, 7, 8, 9, 10, -11), SiginfoChild, func(s *Siginfo) bool {
			return s.Signo == chld && s.Pid() == 7 && s.UID() == 8 && s.Status() == 9 && s.Utime() == 10 && s.Stime() == -11
		}},
		{"fault", FaultInfo(segv, SEGV_ACCERR, 0xfffff000), SiginfoFault, func(s *Siginfo) bool { return s.Addr() == 0xfffff000 }},
		{"pkey", PKeyInfo(0x1000, 3), SiginfoFault, func(s *Siginfo) bool { return s.Addr() == 0x1000 && s.PKey() == 3 }},
		{"io", PollInfo(29, POLL_IN, unix.POLLIN, 5), SiginfoPoll, func(s *Siginfo) bool { return s.Band() == unix.POLLIN && s.FD() == 5 }},
		{"io by rt", PollInfo(rt, POLL_HUP, 16, 5), SiginfoPoll, func(s *Siginfo) bool { return s.Band() == 16 && s.FD() == 5 }},
		{"seccomp", SysInfo(SYS_SECCOMP, 0x1234, 39, AMD64, 77), SiginfoSys, func(s *Siginfo) bool {
			return s.Signo == sys && s.CallAddr() == 0x1234 && s.Syscall() == 39 && s.Arch() == AMD64 && s.Errno == 77
		}},
		{"memory error", lsbInfo(bus, 0x2000, 12), SiginfoFault, func(s *Siginfo) bool { return s.Addr() == 0x2000 && s.AddrLSB() == 12 }},
		{"unknown code", Siginfo{Signo: chld, Code: 0x7f}, SiginfoKill, func(s *Siginfo) bool { return true }},
	} {
		if l := c.s.Layout(); l != c.layout {
			t.Errorf("%s: layout %d", c.name, l)
		}
		if !c.ok(&c.s) {
			t.Errorf("%s: %+v", c.name, c.s)
		}
		s32 := c.s.To32()
		if s := s32.To64(); s != c.s {
			t.Errorf("%s: by i386 it is\n%+v, not\n%+v", c.name, s, c.s)
		}
	}
}

func lsbInfo(signo int32, addr uint64, lsb uint32) Siginfo {
	s := FaultInfo(signo, BUS_MCEERR_AR, addr)
	s.put32(24, lsb)
	return s
}

// The offsets in the union, by the kernel's headers.
func TestSiginfoOffsets(t *testing.T) {
	members := []struct {
		member string
		at64   uint64
		at32   uint64
	}{
		{"si_pid", 16, 12}, {"si_uid", 20, 16}, {"si_status", 24, 20}, {"si_utime", 32, 24}, {"si_stime", 40, 28},
		{"si_tid", 16, 12}, {"si_overrun", 20, 16}, {"si_value", 24, 20}, {"si_addr", 16, 12}, {"si_addr_lsb", 24, 16},
		{"si_lower", 32, 20}, {"si_upper", 40, 24}, {"si_pkey", 32, 20}, {"si_perf_data", 24, 16}, {"si_perf_type", 32, 20},
		{"si_band", 16, 12}, {"si_fd", 24, 16}, {"si_call_addr", 16, 12}, {"si_syscall", 24, 16}, {"si_arch", 28, 20},
	}
	c := "#include <asm/siginfo.h>\nvoid f(void) {\n"
	for _, m := range members {
		c += number(m.member, "__builtin_offsetof(siginfo_t, "+m.member+")")
	}
	c += "}\n"
	n64, n32 := compile(t, AMD64, c), compile(t, I386, c)
	for _, m := range members {
		if n64[m.member] != m.at64 || n32[m.member] != m.at32 {
			t.Errorf("%s is at %d and %d, not at %d and %d", m.member, n64[m.member], n32[m.member], m.at64, m.at32)
		}
	}
}
