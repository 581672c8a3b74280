package machine

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// 32-bit code runs in the same host processes as 64-bit code: the selector in
// cs decides, and the addresses are ours to choose. What the host does
// differently for its own 32-bit processes is done here or above: their vDSO,
// and thread-local segments.

// Selectors of user mode: see Regs32.
const (
	cs32 = 0x23
	cs64 = 0x33
	ds32 = 0x2b // and ss of both
)

// Regs32 are the registers that a 32-bit program begins with.
func Regs32(ip, sp uint64) Regs {
	return Regs{Rip: ip, Rsp: sp, Cs: cs32, Ss: ds32, Ds: ds32, Es: ds32, Eflags: 0x202, Orig_rax: ^uint64(0)}
}

// Regs64 are those that a 64-bit program begins with.
func Regs64(ip, sp uint64) Regs {
	return Regs{Rip: ip, Rsp: sp, Cs: cs64, Ss: ds32, Eflags: 0x202, Orig_rax: ^uint64(0)}
}

// VDSO32 is the host's vDSO for 32-bit programs. Size 0: it has none.
type VDSO32 struct {
	Size  uint64 // of all its mappings, bytes
	Image uint64 // where in them the ELF file begins

	// Code, as offsets into the ELF file; 0: there is none.
	Vsyscall, Sigreturn, RtSigreturn uint64
}

// i386Support is what Machine knows of the host's support.
type i386Support struct {
	mu    sync.Mutex
	known bool
	err   error
	vdso  VDSO32
}

// ErrNoI386 says that the host does not run 32-bit code.
var ErrNoI386 = errors.New("machine: the host does not run 32-bit code")

// VDSO32 finds out once whether the host runs 32-bit code, and its vDSO for
// that. The error is ErrNoI386 or one of making a process for the question.
func (c *CPU) VDSO32() (VDSO32, error) {
	s := &c.m.i386
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		v, err := c.tryI386()
		if err != nil && err != ErrNoI386 {
			return VDSO32{}, err
		}
		s.known, s.vdso, s.err = true, v, err
	}
	return s.vdso, s.err
}

// tryI386 has a process of its own make a 32-bit system call.
func (c *CPU) tryI386() (VDSO32, error) {
	t, err := c.NewSpace()
	if err != nil {
		return VDSO32{}, err
	}
	defer t.Destroy()
	// The descriptor is the stub's code: see startZygote.
	const at = UserBottom
	if _, err := t.Do(Mmap(at, pageSize, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED|unix.MAP_FIXED, 1, 0)); err != nil {
		return VDSO32{}, err
	}
	*t.EditRegs() = Regs32(at+offI386, at+pageSize)
	ev := t.Run()
	for ev.Kind == Kicked {
		ev = t.Run()
	}
	if ev.Kind != Syscall || ev.Arch != abi.I386 {
		return VDSO32{}, ErrNoI386
	}
	const area = 0x20000000
	if err := t.MapVDSO32(area); err != nil {
		return VDSO32{}, nil // a host without: int $0x80 serves
	}
	return t.readVDSO32(area)
}

// MapVDSO32 maps the host's 32-bit vDSO at addr, where nothing may be, in
// place of the 64-bit one that a new space has.
func (t *Thread) MapVDSO32(addr uint64) error {
	if m := t.cpu.m; m.vdso != 0 {
		if _, err := t.call(unix.SYS_MUNMAP, m.vdsoLo, m.vdsoHi-m.vdsoLo); err != nil {
			return err
		}
	}
	_, err := t.call(unix.SYS_ARCH_PRCTL, archMapVDSO32, addr)
	return err
}

// KeepVDSO32 leaves of it what a guest may see.
func (t *Thread) KeepVDSO32(addr uint64, v VDSO32) error {
	if !t.cpu.m.hideTime {
		return nil
	}
	return t.unmapClock(addr, v)
}

// readVDSO32 looks at what MapVDSO32 has mapped at addr.
func (t *Thread) readVDSO32(addr uint64) (v VDSO32, err error) {
	maps, err := t.HostMaps()
	if err != nil {
		return v, err
	}
	var image []byte
	for s := bufio.NewScanner(bytes.NewReader(maps)); s.Scan(); {
		var lo, hi uint64
		fmt.Sscanf(s.Text(), "%x-%x", &lo, &hi)
		switch {
		case lo < addr || lo >= 1<<32 || !strings.Contains(s.Text(), "[v"):
			continue
		case strings.Contains(s.Text(), "[vdso]"):
			v.Image = lo - addr
			image = make([]byte, hi-lo)
			if _, err := t.ReadMem(lo, image); err != nil {
				return v, err
			}
		}
		v.Size = hi - addr
	}
	if image == nil {
		return VDSO32{}, nil
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return v, fmt.Errorf("machine: the host's 32-bit vDSO: %w", err)
	}
	syms, err := f.DynamicSymbols()
	if err != nil {
		return v, fmt.Errorf("machine: the host's 32-bit vDSO: %w", err)
	}
	for _, s := range syms {
		switch s.Name {
		case "__kernel_vsyscall":
			v.Vsyscall = s.Value
		case "__kernel_sigreturn":
			v.Sigreturn = s.Value
		case "__kernel_rt_sigreturn":
			v.RtSigreturn = s.Value
		}
	}
	return v, nil
}

// The thread-local segments of 32-bit code: entries FirstTLS to
// FirstTLS+NumTLS-1 of the GDT.
const (
	FirstTLS = 12
	NumTLS   = 3
)

// TLS returns the thread-local segment in an entry of the GDT.
func (t *Thread) TLS(entry int) abi.UserDesc { return t.tls[entry-FirstTLS] }

// SetTLS sets one. What set_thread_area(2) refuses is EINVAL. fs or gs that
// selects it has the new base at once.
func (t *Thread) SetTLS(entry int, d abi.UserDesc) error {
	if t.dead.Load() {
		return unix.ESRCH
	}
	if err := ptrace.SetThreadArea(t.pid, entry, &d); err != nil {
		return err
	}
	d.EntryNumber = uint32(entry)
	t.tls[entry-FirstTLS] = d
	sel := uint64(entry)<<3 | 3
	if t.regs.Fs == sel {
		t.EditRegs().Fs_base = uint64(d.BaseAddr)
	}
	if t.regs.Gs == sel {
		t.EditRegs().Gs_base = uint64(d.BaseAddr)
	}
	return nil
}

// SegmentBase is the base that the processor loads with a selector for fs or
// gs that is null or of the GDT, with privilege 3. ok is false if it faults
// instead.
func (t *Thread) SegmentBase(sel uint64) (base uint64, ok bool) {
	const gdtCPU = 15 // whose limit tells which CPU it is
	switch entry := int(sel >> 3); {
	case entry >= FirstTLS && entry < FirstTLS+NumTLS:
		d := &t.tls[entry-FirstTLS]
		return uint64(d.BaseAddr), !d.Empty() && d.Flags&abi.UserDescNotPresent == 0
	case sel|3 == cs32, sel|3 == ds32, sel|3 == cs64, entry == gdtCPU, entry == 0:
		return 0, true
	}
	return 0, false
}
