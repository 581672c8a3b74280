package kernel

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/loader"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/sigframe"
	"golang.org/x/sys/unix"
)

// archDesc is what an architecture does in its own way: a call is served by
// that of the instruction it came by, a program laid out by that of its file,
// and a signal handler entered by that of the call which set it.
type archDesc struct {
	// Calls.
	args    func(r *machine.Regs) [6]uint64
	restart uint64 // the number of restart_syscall

	// Programs.
	regs        func(ip, sp uint64) machine.Regs // that one begins with
	personality func(old uint32, im *loader.Image) uint32
	top         func(personality uint32) uint64 // the end of its address space
	pieBase     func(top uint64) uint64         // where one goes that may go anywhere
	auxv        func(image []byte) []byte       // /proc/PID/auxv, of the vector as it is on the stack
	mapVDSO     func(t *Task, th *machine.Thread, s *mm.Space) (header, sysinfo uint64, err error)
	slide       uint // bits by which mappings are moved at random, in pages
	stackRnd    uint // the same of the stack

	// Signals.
	action uint64 // saI386 or nothing
	frame  func(t *Task, d *sigframe.Delivery) (*sigframe.Frame, error)
	setTLS func(t, n *Task, tls uint64) error // CLONE_SETTLS: n is the child
}

// Bits of personality(2) that the layout of a program minds.
const (
	addrNoRandomize = 0x0040000
	readImpliesExec = 0x0400000
	clearedOnSetID  = 0x0740000 // these two, MMAP_PAGE_ZERO and ADDR_COMPAT_LAYOUT
	addrLimit3GB    = 0x8000000
)

var archAMD64 = archDesc{
	args:        func(r *machine.Regs) [6]uint64 { return [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9} },
	restart:     unix.SYS_RESTART_SYSCALL,
	regs:        machine.Regs64,
	personality: func(old uint32, _ *loader.Image) uint32 { return old &^ readImpliesExec },
	top:         func(uint32) uint64 { return mm.Top },
	pieBase:     func(uint64) uint64 { return 0x555555554000 },
	auxv:        func(image []byte) []byte { return image },
	mapVDSO:     mapVDSO64,
	slide:       28,
	stackRnd:    22,
	frame:       func(_ *Task, d *sigframe.Delivery) (*sigframe.Frame, error) { return d.Build() },
	setTLS: func(_, n *Task, tls uint64) error {
		if tls >= machine.HostTop {
			return unix.EPERM
		}
		n.th.EditRegs().Fs_base = tls
		return nil
	},
}

var archI386 = archDesc{
	args: func(r *machine.Regs) [6]uint64 {
		return [6]uint64{r.Rbx & low32, r.Rcx & low32, r.Rdx & low32, r.Rsi & low32, r.Rdi & low32, r.Rbp & low32}
	},
	restart: 0,
	regs:    machine.Regs32,
	// Programs from before PT_GNU_STACK may execute what they can read.
	personality: func(old uint32, im *loader.Image) uint32 {
		if im.Stack == loader.StackDefault {
			old |= readImpliesExec
		}
		return old
	},
	top: func(personality uint32) uint64 {
		if personality&addrLimit3GB != 0 {
			return 0xc0000000
		}
		return 0xffffe000
	},
	pieBase:  func(top uint64) uint64 { return (top/3 + 0x1000000 + mm.PageSize - 1) &^ (mm.PageSize - 1) },
	auxv:     auxv32,
	mapVDSO:  mapVDSO32,
	slide:    8,
	stackRnd: 11,
	action:   saI386,
	frame:    frame32,
	setTLS:   setTLS32,
}

func archOf(a abi.Arch) *archDesc {
	if a == abi.I386 {
		return &archI386
	}
	return &archAMD64
}

// mapVDSO64 puts what every new space has into the books.
func mapVDSO64(t *Task, _ *machine.Thread, s *mm.Space) (header, sysinfo uint64, err error) {
	header, lo, hi := t.k.hw.VDSO()
	if header == 0 {
		return 0, 0, nil
	}
	if header > lo {
		s.Adjoin(t, lo, header, unix.PROT_READ, "[vvar]")
	}
	s.Adjoin(t, header, hi, unix.PROT_READ|unix.PROT_EXEC, "[vdso]")
	return header, 0, nil
}

// mapVDSO32 maps the host's 32-bit vDSO in place of it, where mmap would.
func mapVDSO32(t *Task, th *machine.Thread, s *mm.Space) (header, sysinfo uint64, err error) {
	v, err := t.cpu.hw.VDSO32()
	if err != nil || v.Size == 0 {
		return 0, 0, err
	}
	lo, err := s.Room(v.Size, mm.PageSize)
	if err != nil {
		return 0, 0, err
	}
	if err := th.MapVDSO32(lo); err != nil {
		return 0, 0, err
	}
	header = lo + v.Image
	if t.k.ownTime() {
		if err := th.KeepVDSO32(lo, v); err != nil {
			return 0, 0, err
		}
	} else if header > lo {
		s.Adjoin(t, lo, header, unix.PROT_READ, "[vvar]")
	}
	s.Adjoin(t, header, lo+v.Size, unix.PROT_READ|unix.PROT_EXEC, "[vdso]")
	s.VDSO = header
	if v.Vsyscall != 0 {
		sysinfo = header + v.Vsyscall
	}
	if t.k.ownTime() {
		header = 0 // not to be asked for the time
	}
	return header, sysinfo, nil
}

// auxv32: Linux ends the vector at the first of its 16-byte units that begins
// with zeroes, so there are more of those than one.
func auxv32(image []byte) []byte {
	const entry = int(unsafe.Sizeof(abi.Auxv32{}))
	n := len(image)/entry - 1
	return append(image[:len(image):len(image)], make([]byte, ((n+1)&^1+2)*entry-len(image))...)
}
