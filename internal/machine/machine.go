// Package machine is the engine: virtual CPUs, address spaces and threads that
// run guest code until something happens. It is written on ptrace; nothing
// above it knows.
//
// A guest thread is a host process that is only ever resumed with
// PTRACE_SYSEMU, so it runs no system call of its own choice; Mode says what
// else may be done to that end. The host calls it does run are chosen here and
// injected while it is stopped, behind a seccomp filter that allows just those.
//
// Contract: a CPU belongs to the OS thread that made it (locked goroutine);
// everything of a CPU and of the threads it holds is called on that thread.
// Thread.Kick, and reading and writing memory, may be called from any.
package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Regs are the general registers of a guest thread.
type Regs = ptrace.Regs

// Machine is what the CPUs of one virtual computer share on the host.
type Machine struct {
	sock   int    // our end of the socket on which zygotes receive files
	life   int    // held for parked threads to see us go: see stub.S
	lists  []byte // the list pages, ours to write
	vdso   uint64 // address of the vDSO's ELF header in every guest
	vdsoLo uint64 // the vDSO's mappings
	vdsoHi uint64

	mode     atomic.Int32 // a Mode
	hideTime bool         // see HideTime

	mu    sync.Mutex // guards files: CPUs import concurrently
	files fileTable

	i386 i386Support

	limits [16]unix.Rlimit
}

// New returns a machine without CPUs.
func New() *Machine {
	m := &Machine{sock: -1, life: -1}
	m.SetMode(SysemuStep)
	return m
}

const (
	zygoteBase   = 0x10000000
	zygoteHeader = 64 + 56
)

// zygoteELF is a static program that waits for ever: the stub code at its
// parking loop.
func zygoteELF() []byte {
	b := make([]byte, zygoteHeader+len(stubCode))
	le := binary.LittleEndian
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)  // ET_EXEC
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], zygoteBase+zygoteHeader+offPark)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	p := b[64:]
	le.PutUint32(p[0:], 1) // PT_LOAD
	le.PutUint32(p[4:], 5) // R+X
	le.PutUint64(p[16:], zygoteBase)
	le.PutUint64(p[24:], zygoteBase)
	le.PutUint64(p[32:], uint64(len(b)))
	le.PutUint64(p[40:], uint64(len(b)))
	le.PutUint64(p[48:], pageSize)
	copy(b[zygoteHeader:], stubCode)
	return b
}

func memfd(name string, content []byte, size int) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if len(content) > 0 {
		if _, err := unix.Pwrite(fd, content, 0); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// options of every tracee: syscall stops marked, death with us.
const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL

// startZygote makes the first zygote on the calling thread.
func (m *Machine) startZygote(c *CPU) (err error) {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	hold := func(fd int, err error) (int, error) {
		if err == nil {
			fds = append(fds, fd)
		}
		return fd, err
	}
	elf := zygoteELF()
	exe, err := hold(memfd("sysemu", elf, len(elf)))
	if err != nil {
		return err
	}
	// Descriptors 0 to 3 are others in the new process.
	if exe, err = hold(unix.FcntlInt(uintptr(exe), unix.F_DUPFD_CLOEXEC, 4)); err != nil {
		return err
	}
	code, err := hold(memfd("sysemu-stub", stubCode, pageSize))
	if err != nil {
		return err
	}
	data, err := hold(memfd("sysemu-list", nil, maxCPUs*pageSize))
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fds = append(fds, pair[1])
	m.sock = pair[0]
	life, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fds = append(fds, life[1])
	m.life = life[0]
	if m.lists, err = unix.Mmap(data, 0, maxCPUs*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return err
	}
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", exe), []string{"sysemu-guest"}, &syscall.ProcAttr{
		Files: []uintptr{uintptr(pair[1]), uintptr(code), uintptr(data), uintptr(life[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("starting the first guest process: %w", err)
	}
	c.zygote = &Thread{pid: pid, cpu: c}
	z := c.zygote
	if err := c.seize(pid); err != nil {
		return err
	}
	setAffinity(pid, c.host)
	if err := ptrace.GetRegs(pid, &z.regs); err != nil {
		return err
	}
	z.regs.Orig_rax = ^uint64(0)
	z.dirty = true
	z.one = zygoteBase + zygoteHeader + offOne
	m.limits = hostLimits(pid)
	raiseFileLimit(pid)
	if err := m.furnish(c, z); err != nil {
		return fmt.Errorf("preparing the first guest process: %w", err)
	}
	return nil
}

// furnish lays out the stub area in the first zygote, puts the filter on it
// and empties the rest.
func (m *Machine) furnish(c *CPU, z *Thread) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", z.pid))
	if err != nil {
		return err
	}
	var err1 error
	do := func(nr uint64, args ...uint64) uint64 {
		if err1 != nil {
			return 0
		}
		var r uint64
		if r, err1 = z.call(nr, args...); err1 != nil {
			err1 = fmt.Errorf("host call %d: %w", nr, err1)
		}
		return r
	}
	const fixed = unix.MAP_FIXED
	// The vDSO may lie where the stub goes: by way of a place that is free.
	type piece struct{ from, size, off uint64 }
	var pieces []piece
	var low uint64
	for line := range strings.Lines(string(maps)) {
		var lo, hi uint64
		if !strings.Contains(line, "[vvar") && !strings.Contains(line, "[vdso]") {
			continue
		}
		fmt.Sscanf(line, "%x-%x", &lo, &hi)
		if low == 0 {
			low = lo
		}
		if hi-low > 0x30000 {
			return errors.New("the host's vDSO is laid out in a way that is not understood")
		}
		if strings.Contains(line, "[vdso]") {
			m.vdso = vdsoArea + lo - low
			m.vdsoHi = vdsoArea + hi - low
		}
		pieces = append(pieces, piece{lo, hi - lo, lo - low})
	}
	if m.hideTime {
		pieces, m.vdso, m.vdsoHi = nil, 0, 0 // what is left where it is goes with the rest
	}
	const way = 0x20000000
	for _, p := range pieces {
		if _, err := z.call(unix.SYS_MREMAP, p.from, p.size, p.size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, way+p.off); err != nil {
			// Where this process is itself a guest, it stays where it is: guests
			// of ours make system calls instead.
			pieces, m.vdso, m.vdsoHi = nil, 0, 0
			break
		}
	}
	// fd 1 is the stub's code, fd 2 the lists: see startZygote.
	do(unix.SYS_MMAP, stubCodeAddr, pageSize, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED|fixed, 1, 0)
	do(unix.SYS_MMAP, stubListAddr, maxCPUs*pageSize, unix.PROT_READ, unix.MAP_SHARED|fixed, 2, 0)
	do(unix.SYS_MMAP, stubStackAddr, maxCPUs*sigStackSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE|fixed, ^uint64(0), 0)
	z.one = stubCodeAddr + offOne
	z.mapRecv(do)
	for _, p := range pieces {
		do(unix.SYS_MREMAP, way+p.off, p.size, p.size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, vdsoArea+p.off)
	}
	m.vdsoLo = vdsoArea
	if err1 == nil {
		err1 = z.installFaultHandlers(do)
	}
	if err1 == nil && m.hideTime {
		err1 = z.trapTSC()
	}
	if err1 == nil {
		err1 = z.installFilter(do)
	}
	for _, gap := range [][2]uint64{
		{UserBottom, stubCodeAddr},
		{stubCodeAddr + pageSize, stubListAddr},
		{stubListAddr + maxCPUs*pageSize, stubStackAddr},
		{stubStackAddr + maxCPUs*sigStackSize, stubRecvAddr},
		{stubRecvAddr + pageSize, vdsoArea},
		{max(m.vdsoHi, vdsoArea), HostTop},
	} {
		if gap[1] > gap[0] {
			do(unix.SYS_MUNMAP, gap[0], gap[1]-gap[0])
		}
	}
	return err1
}

// VDSO is the address of the vDSO's ELF header in every guest (0 if the host
// has none), and the extent of its mappings.
func (m *Machine) VDSO() (header, start, end uint64) { return m.vdso, m.vdsoLo, m.vdsoHi }

// mapRecv gives a zygote its private page for received files. Clones do not
// get it: a guest must not write where the zygote reads.
func (t *Thread) mapRecv(do func(nr uint64, args ...uint64) uint64) {
	do(unix.SYS_MMAP, stubRecvAddr, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uint64(0), 0)
	do(unix.SYS_MADVISE, stubRecvAddr, pageSize, unix.MADV_DONTFORK)
}

func setAffinity(pid, cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	unix.SchedSetaffinity(pid, &set)
}

// hostLimits are the resource limits that a program started by this process
// has: Go has raised this process's own limit of files.
func hostLimits(pid int) (l [16]unix.Rlimit) {
	for i := range l {
		if unix.Prlimit(pid, i, nil, &l[i]) != nil {
			l[i] = unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		}
	}
	return l
}

// Limits are the resource limits of a program that the host would start.
func (m *Machine) Limits() [16]unix.Rlimit { return m.limits }

// raiseFileLimit lets the shared descriptor table hold as many files as the
// host allows anyone.
func raiseFileLimit(pid int) {
	var l unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &l) == nil {
		l.Cur = l.Max
		unix.Prlimit(pid, unix.RLIMIT_NOFILE, &l, nil)
	}
	// Limits of ours would strike guests: theirs are the kernel's.
	for _, r := range []int{unix.RLIMIT_AS, unix.RLIMIT_DATA, unix.RLIMIT_CPU, unix.RLIMIT_STACK} {
		if unix.Prlimit(pid, r, nil, &l) == nil {
			l.Cur = l.Max
			unix.Prlimit(pid, r, &l, nil)
		}
	}
}

// Close ends what the CPUs shared. They must be closed before.
func (m *Machine) Close() {
	if m.sock >= 0 {
		unix.Close(m.sock)
		m.sock = -1
	}
	if m.life >= 0 {
		unix.Close(m.life)
		m.life = -1
	}
	if m.lists != nil {
		unix.Munmap(m.lists)
		m.lists = nil
	}
}

// installFilter allows the injected calls and nothing else. Its default is a
// SIGSYS stop: it also brings us calls to the legacy vsyscall page, which
// PTRACE_SYSEMU does not see.
func (t *Thread) installFilter(do func(nr uint64, args ...uint64) uint64) error {
	const (
		ld    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jeq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		jset  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		allow = 0x7fff0000
		trap  = 0x00030000
		arg0  = 16
	)
	type insn = unix.SockFilter
	prog := []insn{
		{Code: ld, K: 0},
		{Code: jeq, Jf: 1, K: ^uint32(0)}, // a call that was nullified: there is none of that number
		{Code: ret, K: allow},
		{Code: ld, K: 4},
		{Code: jeq, Jt: 1, K: unix.AUDIT_ARCH_X86_64},
		{Code: ret, K: trap},
		{Code: ld, K: 0},
	}
	for _, nr := range hostCalls {
		prog = append(prog, insn{Code: jeq, Jf: 1, K: nr}, insn{Code: ret, K: allow})
	}
	// clone and arch_prctl by their first argument.
	arg := func(nr uint32, values ...uint32) {
		prog = append(prog, insn{Code: jeq, Jf: uint8(2*len(values) + 2), K: nr}, insn{Code: ld, K: arg0})
		for _, v := range values {
			prog = append(prog, insn{Code: jeq, Jf: 1, K: v}, insn{Code: ret, K: allow})
		}
		prog = append(prog, insn{Code: ret, K: trap})
	}
	// mmap only at a place of the kernel's choice.
	prog = append(prog,
		insn{Code: jeq, Jf: 4, K: unix.SYS_MMAP},
		insn{Code: ld, K: arg0 + 3*8},
		insn{Code: jset, Jf: 1, K: unix.MAP_FIXED},
		insn{Code: ret, K: allow},
		insn{Code: ret, K: trap})
	arg(unix.SYS_CLONE, cloneSpace, cloneThread)
	arg(unix.SYS_MODIFY_LDT, LDTWriteOld, LDTWrite)
	arg(unix.SYS_ARCH_PRCTL, archSetCPUID, archReqXcompPerm, archMapVDSO32)
	prog = append(prog, insn{Code: ret, K: trap})
	var fprog [16]byte
	binary.LittleEndian.PutUint16(fprog[:], uint16(len(prog)))
	binary.LittleEndian.PutUint64(fprog[8:], stubRecvAddr+16)
	if _, err := t.WriteMem(stubRecvAddr, fprog[:]); err != nil {
		return err
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&prog[0])), len(prog)*int(unsafe.Sizeof(prog[0])))
	if _, err := t.WriteMem(stubRecvAddr+16, raw); err != nil {
		return err
	}
	do(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	do(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, stubRecvAddr)
	runtime.KeepAlive(prog)
	return nil
}

const (
	archSetCPUID     = 0x1012
	archReqXcompPerm = 0x1023
	archMapVDSO32    = 0x2002
)

// hostCalls are the calls that machine injects, besides those whose arguments
// are looked at.
var hostCalls = []uint32{
	unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MREMAP,
	unix.SYS_MADVISE, unix.SYS_MSYNC, unix.SYS_MINCORE, unix.SYS_MLOCK, unix.SYS_MUNLOCK,
	unix.SYS_RECVMSG, unix.SYS_CLOSE,
}
