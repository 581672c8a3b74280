package trace

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// fcntl, ioctl, prctl and arch_prctl: the type of an argument follows from a command.

func (p *printer) fcntlEnter() {
	p.fd(p.args[0])
	p.s(", ")
	p.named(abi.FcntlCmd, p.args[1])
	v := p.args[2]
	switch uint32(p.args[1]) {
	case unix.F_GETFD, unix.F_GETFL, unix.F_GETOWN, unix.F_GETSIG, unix.F_GETLEASE, unix.F_GETPIPE_SZ, unix.F_GET_SEALS:
	case unix.F_SETFD:
		p.s(", ")
		p.named(abi.FDFlags, v)
	case unix.F_SETFL:
		p.s(", ")
		p.openFlags(v)
	case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_SETPIPE_SZ, unix.F_SETOWN:
		p.s(", ")
		p.int(v)
	case unix.F_SETSIG:
		p.s(", ")
		p.signal(int(int32(v)))
	case unix.F_ADD_SEALS:
		p.s(", ")
		p.named(abi.SealFlags, v)
	case unix.F_SETLEASE:
		p.s(", ")
		p.named(abi.LeaseType, v)
	case unix.F_NOTIFY:
		p.s(", ")
		p.named(abi.NotifyEvents, v)
	case unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, abi.F_SETLK64x32, abi.F_SETLKW64x32:
		p.s(", ")
		p.flock(v, false)
	case unix.F_SETOWN_EX:
		p.s(", ")
		p.ownerEx(v)
	case unix.F_GETLK, unix.F_OFD_GETLK, unix.F_GETOWN_EX, abi.F_GETLK64x32:
		p.s(", ")
		p.saved = 1
	default:
		p.s(", ")
		p.hexNum(v)
	}
}

func (p *printer) fcntlLeave() {
	v := p.args[2]
	if p.saved != 0 {
		switch {
		case p.failed():
			p.addr(v)
		case uint32(p.args[1]) == unix.F_GETOWN_EX:
			p.ownerEx(v)
		default:
			p.flock(v, true)
		}
		return
	}
	if p.failed() {
		return
	}
	switch uint32(p.args[1]) {
	case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC:
		p.radix = 'f'
	case unix.F_GETFD:
		p.flagsResult("flags ", abi.FDFlags)
	case unix.F_GETFL:
		p.radix = 'x'
		p.inAux(func() { p.s("flags "); p.openFlags(p.ret) })
	case unix.F_GET_SEALS:
		p.flagsResult("seals ", abi.SealFlags)
	case unix.F_GETSIG:
		if p.ret != 0 {
			p.inAux(func() { p.signal(int(p.ret)) })
		}
	case unix.F_GETLEASE:
		p.inAux(func() { p.named(abi.LeaseType, p.ret) })
	}
}

// flagsResult has a result written as bits, unless it is 0.
func (p *printer) flagsResult(what string, k abi.Kind) {
	if p.ret == 0 {
		return
	}
	p.radix = 'x'
	p.inAux(func() { p.s(what); p.named(k, p.ret) })
}

func (p *printer) flock(addr uint64, pid bool) {
	w, ok := p.words(addr, 32, 16)
	if !ok {
		p.addr(addr)
		return
	}
	p.open("l_type")
	p.named(abi.LockType, w.u16())
	p.field("l_whence")
	p.named(abi.Whence, w.u16())
	if w.wide {
		w.skip(4)
	}
	p.field("l_start")
	p.dec(w.sword())
	p.field("l_len")
	p.dec(w.sword())
	if pid {
		p.field("l_pid")
		p.dec(w.i32())
	}
	p.c('}')
}

func (p *printer) ownerEx(addr uint64) {
	w, ok := p.wide(addr, 8)
	if !ok {
		p.addr(addr)
		return
	}
	p.open("type")
	p.named(abi.OwnerType, w.u32())
	p.field("pid")
	p.dec(w.i32())
	p.c('}')
}

func (p *printer) ioctlCmd(v uint64) {
	v = uint64(uint32(v))
	if s := abi.IoctlCmd.Names().Lookup(v); s != "" {
		p.s(s)
		return
	}
	if ptn := uint64(unix.TIOCGPTN); v == ptn {
		p.s("TIOCGPTN")
		return
	}
	dir := v >> 30
	names := [4]string{"_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"}
	p.s("_IOC(")
	p.s(names[dir])
	p.s(", ")
	p.hexNum(v >> 8 & 0xff)
	p.s(", ")
	p.hexNum(v & 0xff)
	p.s(", ")
	p.hexNum(v >> 16 & 0x3fff)
	p.c(')')
}

// ioctlKind says what an ioctl's argument is.
type ioctlKind uint8

const (
	ioctlHex ioctlKind = iota
	ioctlNone
	ioctlIntIn
	ioctlIntOut
	ioctlTermiosIn
	ioctlTermiosOut
	ioctlWinsizeIn
	ioctlWinsizeOut
	ioctlValue // a number itself
)

func ioctlKindOf(cmd uint32) ioctlKind {
	switch uint(cmd) {
	case unix.TCGETS:
		return ioctlTermiosOut
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		return ioctlTermiosIn
	case unix.TIOCGWINSZ:
		return ioctlWinsizeOut
	case unix.TIOCSWINSZ:
		return ioctlWinsizeIn
	case unix.TIOCGPGRP, unix.TIOCGSID, unix.TIOCINQ, unix.TIOCOUTQ, unix.TIOCGPTN, unix.TIOCGETD, unix.TIOCMGET:
		return ioctlIntOut
	case unix.TIOCSPGRP, 0x5421 /* FIONBIO */, unix.TIOCSPTLCK, 0x5452 /* FIOASYNC */, unix.TIOCSETD:
		return ioctlIntIn
	case 0x5451 /* FIOCLEX */, 0x5450 /* FIONCLEX */, unix.TIOCEXCL, unix.TIOCNXCL, unix.TIOCNOTTY:
		return ioctlNone
	case unix.TIOCSCTTY, unix.TCSBRK, unix.TCFLSH, unix.TCXONC:
		return ioctlValue
	}
	return ioctlHex
}

func (p *printer) ioctlEnter() {
	p.fd(p.args[0])
	p.s(", ")
	p.ioctlCmd(p.args[1])
	k := ioctlKindOf(uint32(p.args[1]))
	if k == ioctlNone {
		return
	}
	p.s(", ")
	v := p.args[2]
	switch k {
	case ioctlIntIn:
		p.boxed(v, 4, func(w *words) { p.dec(w.i32()) })
	case ioctlTermiosIn:
		p.termios(v)
	case ioctlWinsizeIn:
		p.winsize(v)
	case ioctlValue:
		p.tcValue(v)
	case ioctlHex:
		p.hexNum(v)
	}
}

func (p *printer) tcValue(v uint64) {
	names := []string(nil)
	switch uint32(p.args[1]) {
	case unix.TCFLSH:
		names = []string{"TCIFLUSH", "TCOFLUSH", "TCIOFLUSH"}
	case unix.TCXONC:
		names = []string{"TCOOFF", "TCOON", "TCIOFF", "TCION"}
	}
	if v < uint64(len(names)) {
		p.s(names[v])
		return
	}
	p.int(v)
}

// ioctlArg is for calls that are not special in how they are split; ioctl is.
func (p *printer) ioctlArg(v uint64) { p.hexNum(v) }

func (p *printer) ioctlLeave() {
	k := ioctlKindOf(uint32(p.args[1]))
	v := p.args[2]
	switch k {
	case ioctlIntOut, ioctlTermiosOut, ioctlWinsizeOut:
		switch {
		case p.failed():
			p.addr(v)
		case k == ioctlIntOut:
			p.boxed(v, 4, func(w *words) { p.dec(w.i32()) })
		case k == ioctlTermiosOut:
			p.termios(v)
		default:
			p.winsize(v)
		}
	}
}

func (p *printer) winsize(addr uint64) {
	w, ok := p.wide(addr, 8)
	if !ok {
		p.addr(addr)
		return
	}
	for i, name := range []string{"ws_row", "ws_col", "ws_xpixel", "ws_ypixel"} {
		if i == 0 {
			p.open(name)
		} else {
			p.field(name)
		}
		p.uint(w.u16())
	}
	p.c('}')
}

var (
	outputFlags = abi.Names{Flags: []abi.Name{{Value: unix.OPOST, Name: "OPOST"}, {Value: unix.OLCUC, Name: "OLCUC"}, {Value: unix.ONLCR, Name: "ONLCR"},
		{Value: unix.OCRNL, Name: "OCRNL"}, {Value: unix.ONOCR, Name: "ONOCR"}, {Value: unix.ONLRET, Name: "ONLRET"}, {Value: unix.OFILL, Name: "OFILL"}, {Value: unix.OFDEL, Name: "OFDEL"}}}
	controlFlags = abi.Names{Flags: []abi.Name{{Value: unix.CSTOPB, Name: "CSTOPB"}, {Value: unix.CREAD, Name: "CREAD"}, {Value: unix.PARENB, Name: "PARENB"},
		{Value: unix.PARODD, Name: "PARODD"}, {Value: unix.HUPCL, Name: "HUPCL"}, {Value: unix.CLOCAL, Name: "CLOCAL"}, {Value: unix.CMSPAR, Name: "CMSPAR"}, {Value: unix.CRTSCTS, Name: "CRTSCTS"}}}
	baudNames = map[uint64]string{0: "B0", unix.B50: "B50", unix.B75: "B75", unix.B110: "B110", unix.B134: "B134", unix.B150: "B150", unix.B200: "B200",
		unix.B300: "B300", unix.B600: "B600", unix.B1200: "B1200", unix.B1800: "B1800", unix.B2400: "B2400", unix.B4800: "B4800", unix.B9600: "B9600",
		unix.B19200: "B19200", unix.B38400: "B38400", unix.B57600: "B57600", unix.B115200: "B115200", unix.B230400: "B230400", unix.B460800: "B460800"}
	ccNames = []string{"VINTR", "VQUIT", "VERASE", "VKILL", "VEOF", "VTIME", "VMIN", "VSWTC", "VSTART", "VSTOP", "VSUSP", "VEOL", "VREPRINT",
		"VDISCARD", "VWERASE", "VLNEXT", "VEOL2"}
)

// choices writes the values of fields of several bits in c_oflag.
func (p *printer) choices(v uint64) {
	for _, f := range []struct {
		mask, shift uint64
		name        string
	}{{0x100, 8, "NL"}, {0x600, 9, "CR"}, {0x1800, 11, "TAB"}, {0x2000, 13, "BS"}, {0x4000, 14, "VT"}, {0x8000, 15, "FF"}} {
		p.s(f.name)
		p.ulong(v & f.mask >> f.shift)
		p.c('|')
	}
}

func (p *printer) termios(addr uint64) {
	w, ok := p.wide(addr, 36)
	if !ok {
		p.addr(addr)
		return
	}
	in, out, ctl, local := w.u32(), w.u32(), w.u32(), w.u32()
	line := w.u8()
	cc := append([]byte(nil), w.take(abi.NCCS)...)
	flags := func(names []abi.Name, v uint64) {
		start := len(p.b)
		for _, n := range names {
			if v&n.Value == n.Value && n.Value != 0 {
				if len(p.b) > start {
					p.c('|')
				}
				p.s(n.Name)
				v &^= n.Value
			}
		}
		if v != 0 || len(p.b) == start {
			if len(p.b) > start {
				p.c('|')
			}
			p.hexNum(v)
		}
	}
	p.open("c_iflag")
	flags(abi.TermiosInput.Names().Enum, in)
	p.field("c_oflag")
	p.choices(out)
	const chosen = 0xff00
	if out&^chosen != 0 {
		flags(outputFlags.Flags, out&^chosen)
	} else {
		p.b = p.b[:len(p.b)-1]
	}
	p.field("c_cflag")
	if s, ok := baudNames[ctl&unix.CBAUD]; ok {
		p.s(s)
	} else {
		p.hexNum(ctl & unix.CBAUD)
	}
	p.s("|CS")
	p.c('5' + byte(ctl&unix.CSIZE>>4))
	if rest := ctl &^ (unix.CBAUD | unix.CSIZE); rest != 0 {
		p.c('|')
		flags(controlFlags.Flags, rest)
	}
	p.field("c_lflag")
	flags(abi.TermiosLocal.Names().Enum, local)
	if !p.verbose {
		p.s(", ...}")
		return
	}
	p.field("c_line")
	if line == 0 {
		p.s("N_TTY")
	} else {
		p.hexNum(line)
	}
	p.s(", c_cc=[")
	for i, c := range cc {
		if i > 0 {
			p.s(", ")
		}
		p.c('[')
		if i < len(ccNames) {
			p.s(ccNames[i])
		} else {
			p.dec(int64(i))
		}
		p.s("]=")
		p.hexNum(uint64(c))
	}
	p.s("]}")
}

func (p *printer) prctlEnter() {
	a := &p.args
	p.named(abi.PrctlOp, a[0])
	switch uint32(a[0]) {
	case unix.PR_GET_DUMPABLE, unix.PR_GET_KEEPCAPS, unix.PR_GET_SECCOMP, unix.PR_GET_TIMERSLACK, unix.PR_GET_SECUREBITS:
	case unix.PR_SET_NAME:
		p.s(", ")
		v, full, ok := p.cstring(a[1], 16)
		if !ok {
			p.addr(a[1])
			return
		}
		if !full {
			v = v[:15]
		}
		p.quote(v, false)
		if !full {
			p.s("...")
		}
	case unix.PR_GET_NAME, unix.PR_GET_PDEATHSIG, unix.PR_GET_CHILD_SUBREAPER, unix.PR_GET_TSC, unix.PR_GET_TID_ADDRESS:
		p.s(", ")
		p.saved = 1
	case unix.PR_SET_PDEATHSIG:
		p.s(", ")
		p.signal(int(int32(a[1])))
	case unix.PR_SET_DUMPABLE:
		p.s(", ")
		if names := []string{"SUID_DUMP_DISABLE", "SUID_DUMP_USER", "SUID_DUMP_ROOT"}; a[1] < 3 {
			p.s(names[a[1]])
		} else {
			p.hexNum(a[1])
		}
	case unix.PR_SET_KEEPCAPS, unix.PR_SET_TIMERSLACK, unix.PR_SET_CHILD_SUBREAPER:
		p.s(", ")
		p.ulong(a[1])
	case unix.PR_SET_NO_NEW_PRIVS:
		for _, v := range a[1:5] {
			p.s(", ")
			p.ulong(v)
		}
	case unix.PR_CAPBSET_READ, unix.PR_CAPBSET_DROP:
		p.s(", ")
		p.named(abi.Capability, a[1])
	default:
		for _, v := range a[1:5] {
			p.s(", ")
			p.hexNum(v)
		}
	}
}

func (p *printer) prctlLeave() {
	if p.saved == 0 {
		return
	}
	v := p.args[1]
	switch {
	case p.failed():
		p.addr(v)
	case uint32(p.args[0]) == unix.PR_GET_NAME:
		if s, _, ok := p.cstring(v, 16); ok {
			p.quote(s, false)
		} else {
			p.addr(v)
		}
	case uint32(p.args[0]) == unix.PR_GET_PDEATHSIG:
		p.boxed(v, 4, func(w *words) { p.signal(int(w.i32())) })
	default:
		p.boxed(v, 4, func(w *words) { p.dec(w.i32()) })
	}
}

func (p *printer) archPrctlEnter() {
	p.named(abi.ArchPrctlOp, p.args[0])
	p.s(", ")
	switch p.args[0] {
	case abi.ARCH_GET_FS, abi.ARCH_GET_GS:
		p.saved = 1
	case abi.ARCH_SET_CPUID:
		p.ulong(p.args[1])
	default:
		p.addr(p.args[1])
	}
}

func (p *printer) archPrctlLeave() {
	if p.saved == 0 {
		return
	}
	if p.failed() {
		p.addr(p.args[1])
		return
	}
	p.boxed(p.args[1], 8, func(w *words) { p.hexNum(w.word()) })
}
