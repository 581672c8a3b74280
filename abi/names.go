package abi

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Name is one named value or bit.
type Name struct {
	Value uint64
	Name  string
}

// Names are the names of a number: of its values, of its bits, or of values in some of its bits and the others one by
// one. Do not change one that a function of this package returned.
type Names struct {
	Enum     []Name // values of the bits in Mask
	Mask     uint64 // the bits that Enum speaks of; zero is all
	Flags    []Name // bits; a zero value is what the number is called when no bit is set
	Octal    uint64 // bits that are written as an octal number
	EnumLast bool   // the value of Enum is written after the flags
	Wide     bool   // the number is a machine word; else 32 bits of it count
	Unknown  string // what a number is called that has no name, as "O_???"
}

// Names is the table of a Kind that IsNamed, else nil.
func (k Kind) Names() *Names {
	if !k.IsNamed() {
		return nil
	}
	return &namesOf[k.Base()-lastScalar]
}

// SockOptNames are the names of socket options at a level (SOL_*), nil when none are known.
func SockOptNames(level int) *Names {
	switch level {
	case unix.SOL_SOCKET:
		return SockOptSocket.Names()
	case unix.SOL_IP:
		return SockOptIP.Names()
	case unix.SOL_IPV6:
		return SockOptIPv6.Names()
	case unix.SOL_TCP:
		return SockOptTCP.Names()
	case unix.SOL_UDP:
		return SockOptUDP.Names()
	case unix.SOL_NETLINK:
		return SockOptNetlink.Names()
	}
	return nil
}

// ProtocolNames are the names of a socket's protocol in a domain (AF_*), nil when none are known.
func ProtocolNames(domain int) *Names {
	switch domain {
	case unix.AF_INET, unix.AF_INET6:
		return SocketProtocol.Names()
	case unix.AF_NETLINK:
		return NetlinkProtocol.Names()
	}
	return nil
}

// Lookup is the name of one value or bit, "" when it has none.
func (n *Names) Lookup(v uint64) string {
	if s := find(n.Enum, v); s != "" {
		return s
	}
	return find(n.Flags, v)
}

func find(names []Name, v uint64) string {
	for i := range names {
		if names[i].Value == v {
			return names[i].Name
		}
	}
	return ""
}

// Append appends v as strace writes it: names joined by |, what has no name in hexadecimal.
func (n *Names) Append(b []byte, v uint64) []byte {
	if !n.Wide {
		v = uint64(uint32(v))
	}
	start := len(b)
	bar := func() {
		if len(b) > start {
			b = append(b, '|')
		}
	}
	var value string
	mask := n.Mask
	if len(n.Enum) > 0 {
		if mask == 0 {
			mask = ^uint64(0)
		}
		if value = find(n.Enum, v&mask); value == "" {
			mask = 0 // no such value: it is left with the bits that have no name
		}
	}
	rest := v &^ mask &^ n.Octal
	if value != "" && !n.EnumLast {
		b = append(b, value...)
	}
	for _, f := range n.Flags {
		if f.Value != 0 && rest&f.Value == f.Value {
			bar()
			b = append(b, f.Name...)
			rest &^= f.Value
		}
	}
	named := len(b) > start || value != ""
	if rest != 0 {
		bar()
		b = appendHex(b, rest)
		if !named && n.Unknown != "" {
			b = append(b, " /* "...)
			b = append(b, n.Unknown...)
			b = append(b, " */"...)
		}
	}
	if value != "" && n.EnumLast {
		bar()
		b = append(b, value...)
	}
	if n.Octal != 0 {
		bar()
		b = fmt.Appendf(b, "%#03o", v&n.Octal)
	}
	if len(b) == start {
		if zero := find(n.Flags, 0); zero != "" {
			return append(b, zero...)
		}
		b = append(b, '0')
	}
	return b
}

// Format is what Append appends.
func (n *Names) Format(v uint64) string { return string(n.Append(nil, v)) }

func appendHex(b []byte, v uint64) []byte {
	return strconv.AppendUint(append(b, "0x"...), v, 16)
}

// Errors that the kernel keeps to itself: a call that a signal interrupted ends in one, and a tracer sees it.
const (
	ERESTARTSYS           = unix.Errno(512) // restart if the handler has SA_RESTART, else EINTR
	ERESTARTNOINTR        = unix.Errno(513) // restart always
	ERESTARTNOHAND        = unix.Errno(514) // restart if there is no handler
	ENOIOCTLCMD           = unix.Errno(515)
	ERESTART_RESTARTBLOCK = unix.Errno(516) // go on by restart_syscall
)

// ErrnoName is the name of an error, as "ENOENT", "" when it has none.
func ErrnoName(e unix.Errno) string {
	switch e {
	case unix.EOPNOTSUPP: // ENOTSUP is the same number
		return "EOPNOTSUPP"
	case ERESTARTSYS:
		return "ERESTARTSYS"
	case ERESTARTNOINTR:
		return "ERESTARTNOINTR"
	case ERESTARTNOHAND:
		return "ERESTARTNOHAND"
	case ENOIOCTLCMD:
		return "ENOIOCTLCMD"
	case ERESTART_RESTARTBLOCK:
		return "ERESTART_RESTARTBLOCK"
	}
	return unix.ErrnoName(e)
}

// SignalName is the name of a signal, as "SIGINT", "SIGRTMIN" or "SIGRT_3" (the third after it), "" when there is no such
// signal.
func SignalName(signo int) string {
	switch {
	case signo == SIGRTMIN:
		return "SIGRTMIN"
	case signo > SIGRTMIN && signo <= NSIG:
		return "SIGRT_" + strconv.Itoa(signo-SIGRTMIN)
	case signo > 0 && signo < SIGRTMIN:
		return find(CloneFlags.Names().Enum, uint64(signo))
	}
	return ""
}

// SigCodeName is the name of the si_code of a signal, as "CLD_EXITED", "" when it has none.
func SigCodeName(signo, code int32) string {
	if s := find(SigCodeAny.Names().Enum, uint64(uint32(code))); s != "" {
		return s
	}
	k := SigCodePOLL
	switch unix.Signal(signo) {
	case unix.SIGILL:
		k = SigCodeILL
	case unix.SIGFPE:
		k = SigCodeFPE
	case unix.SIGSEGV:
		k = SigCodeSEGV
	case unix.SIGBUS:
		k = SigCodeBUS
	case unix.SIGTRAP:
		k = SigCodeTRAP
	case unix.SIGCHLD:
		k = SigCodeCHLD
	case unix.SIGSYS:
		k = SigCodeSYS
	}
	return find(k.Names().Enum, uint64(uint32(code)))
}
