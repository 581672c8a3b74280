package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"ptrace": r4(sysPtrace),
	})
}

// ptraceABI is what differs between the requests of 64-bit and of 32-bit tracers.
type ptraceABI struct {
	word    uint64      // size of a long, in bytes
	user    *userLayout // struct user
	fpregs  *regset     // PTRACE_GETFPREGS
	fpxregs *regset     // PTRACE_GETFPXREGS; nil: no such request
	info    func(*sigInfo) []byte
	setInfo func([]byte) sigInfo
	infoLen int
	sigset  func(sigset) []byte
	only64  bool // requests that 32-bit tracers do not have
}

// ptrace64 is amd64's.
var ptrace64 = &ptraceABI{
	word: 8, user: &user64, fpregs: &fpregs64, only64: true,
	info:    func(i *sigInfo) []byte { return asBytes(i) },
	setInfo: func(b []byte) (i sigInfo) { copy(asBytes(&i), b); return i },
	infoLen: 128,
}

func sysPtrace(t *Task, request uint64, pid int32, addr, data uint64) (uint64, error) {
	return t.ptrace(ptrace64, int(int64(request)), pid, addr, data)
}

// Requests of ptrace(2), besides those that resume.
const (
	ptraceTraceMe  = 0
	ptracePeekText = 1
	ptracePeekData = 2
	ptracePeekUser = 3
	ptracePokeText = 4
	ptracePokeData = 5
	ptracePokeUser = 6
	ptraceKill     = 8

	ptraceGetRegs       = 12
	ptraceSetRegs       = 13
	ptraceGetFPRegs     = 14
	ptraceSetFPRegs     = 15
	ptraceAttach        = 16
	ptraceDetach        = 17
	ptraceGetFPXRegs    = 18
	ptraceSetFPXRegs    = 19
	ptraceOldSetOptions = 21
	ptraceGetThreadArea = 25
	ptraceSetThreadArea = 26
	ptraceArchPrctl     = 30

	ptraceSetOptions      = 0x4200
	ptraceGetEventMsg     = 0x4201
	ptraceGetSigInfo      = 0x4202
	ptraceSetSigInfo      = 0x4203
	ptraceGetRegset       = 0x4204
	ptraceSetRegset       = 0x4205
	ptraceSeize           = 0x4206
	ptraceInterrupt       = 0x4207
	ptraceListen          = 0x4208
	ptracePeekSigInfo     = 0x4209
	ptraceGetSigMask      = 0x420a
	ptraceSetSigMask      = 0x420b
	ptraceSeccompFilter   = 0x420c
	ptraceSeccompMetadata = 0x420d
	ptraceGetSyscallInfo  = 0x420e
	ptraceGetRseq         = 0x420f
	ptraceSetDispatch     = 0x4210
	ptraceGetDispatch     = 0x4211
	ptraceSetSyscallInfo  = 0x4212
)

// ptrace is ptrace(2) for a tracer of the given ABI.
func (t *Task) ptrace(a *ptraceABI, request int, pid int32, addr, data uint64) (uint64, error) {
	if request == ptraceTraceMe {
		return 0, t.traceMe()
	}
	o := t.k.pids.tasks[int(pid)]
	if pid == 1 {
		o = t.k.boot
	}
	if pid <= 0 || o == nil {
		return 0, unix.ESRCH
	}
	if request == ptraceAttach || request == ptraceSeize {
		return 0, t.attach(o, request == ptraceSeize, addr, data)
	}
	x := o.tracee
	if x == nil || x.tracer != t {
		return 0, unix.ESRCH
	}
	switch request {
	case ptraceKill:
		o.p.exitGroup(int(unix.SIGKILL))
		return 0, nil
	case ptraceInterrupt:
		return 0, t.interruptTracee(o)
	}
	if !x.stopped || x.listening || x.fatal {
		return 0, unix.ESRCH
	}
	if how, ok := resumeWith[request]; ok {
		return 0, t.resumeTracee(o, how, data)
	}
	if f, ok := ptraceRequests[request]; ok {
		return f(&ptraceArgs{t, o, a, addr, data})
	}
	return 0, unix.EIO
}

// ptraceArgs are a request's: t asks about o, which is stopped.
type ptraceArgs struct {
	t, o       *Task
	abi        *ptraceABI
	addr, data uint64
}

// ptraceRequests are the requests on a stopped tracee.
var ptraceRequests = map[int]func(*ptraceArgs) (uint64, error){
	ptracePeekText: peekData, ptracePeekData: peekData,
	ptracePokeText: pokeData, ptracePokeData: pokeData,
	ptracePeekUser: peekUser, ptracePokeUser: pokeUser,
	ptraceGetRegs:        func(a *ptraceArgs) (uint64, error) { return 0, a.getAll(a.abi.user.regs) },
	ptraceSetRegs:        func(a *ptraceArgs) (uint64, error) { return 0, a.setAll(a.abi.user.regs) },
	ptraceGetFPRegs:      func(a *ptraceArgs) (uint64, error) { return 0, a.getAll(a.abi.fpregs) },
	ptraceSetFPRegs:      func(a *ptraceArgs) (uint64, error) { return 0, a.setAll(a.abi.fpregs) },
	ptraceGetFPXRegs:     func(a *ptraceArgs) (uint64, error) { return 0, a.getAll(a.abi.fpxregs) },
	ptraceSetFPXRegs:     func(a *ptraceArgs) (uint64, error) { return 0, a.setAll(a.abi.fpxregs) },
	ptraceGetRegset:      getRegset,
	ptraceSetRegset:      setRegset,
	ptraceDetach:         func(a *ptraceArgs) (uint64, error) { return 0, a.t.detach(a.o, a.data) },
	ptraceListen:         func(a *ptraceArgs) (uint64, error) { return 0, a.t.listen(a.o) },
	ptraceSetOptions:     setOptions,
	ptraceOldSetOptions:  setOptions,
	ptraceGetEventMsg:    func(a *ptraceArgs) (uint64, error) { return 0, a.putWord(a.o.tracee.message) },
	ptraceGetSigInfo:     getSigInfo,
	ptraceSetSigInfo:     setSigInfo,
	ptracePeekSigInfo:    peekSigInfo,
	ptraceGetSigMask:     getSigMask,
	ptraceSetSigMask:     setSigMask,
	ptraceGetSyscallInfo: getSyscallInfo,
	ptraceSetSyscallInfo: setSyscallInfo,
	ptraceArchPrctl:      tracedArchPrctl,
	ptraceGetRseq:        getRseq,
	ptraceGetThreadArea:  getThreadArea,
	ptraceSetThreadArea:  setThreadArea,
	ptraceSeccompFilter: func(a *ptraceArgs) (uint64, error) {
		n, err := a.t.seccompGetFilter(a.o, a.addr, Addr(a.data))
		return uint64(n), err
	},
	ptraceSeccompMetadata: func(a *ptraceArgs) (uint64, error) {
		n, err := a.t.seccompGetMetadata(a.o, a.addr, Addr(a.data))
		return uint64(n), err
	},
	ptraceGetDispatch: func(a *ptraceArgs) (uint64, error) {
		return 0, a.t.ptraceGetDispatch(a.o, a.addr, Ptr[ptraceDispatch](a.data))
	},
	ptraceSetDispatch: func(a *ptraceArgs) (uint64, error) {
		return 0, a.t.ptraceSetDispatch(a.o, a.addr, Ptr[ptraceDispatch](a.data))
	},
}

// putWord writes a long of the tracer's at data.
func (a *ptraceArgs) putWord(v uint64) error {
	return a.t.CopyOut(a.data, asBytes(&v)[:a.abi.word])
}

func setOptions(a *ptraceArgs) (uint64, error) {
	if err := a.t.checkOptions(a.data); err != nil {
		return 0, err
	}
	a.o.tracee.options = uint32(a.data)
	return 0, nil
}

// mayRead reports whether the tracer may reach the tracee's memory: what it
// could be attached to by may have run a set-user-id program since.
func (a *ptraceArgs) mayRead() bool {
	return a.o.p.dumpable == 1 || a.o.tracee.cred.Has(unix.CAP_SYS_PTRACE)
}

func peekData(a *ptraceArgs) (uint64, error) {
	var v uint64
	a.growStack()
	if !a.mayRead() || a.o.peek(a.addr, asBytes(&v)[:a.abi.word]) != nil {
		return 0, unix.EIO
	}
	return 0, a.putWord(v)
}

func pokeData(a *ptraceArgs) (uint64, error) {
	v := a.data
	a.growStack()
	if !a.mayRead() || a.o.poke(a.addr, asBytes(&v)[:a.abi.word]) != nil {
		return 0, unix.EIO
	}
	return 0, nil
}

// growStack lets the tracee's stack reach down to addr, if it may: debuggers
// write there before the tracee itself has.
func (a *ptraceArgs) growStack() {
	o := a.o
	if o.mm == nil || o.mm.Find(a.addr) != nil || !a.mayRead() {
		return
	}
	a.t.atTracee(o, func() error {
		o.mm.Fault(o, o.th, a.addr)
		return nil
	})
}

// mapped is how many of n bytes at addr are the task's: what else is mapped in
// its host process is nobody's business.
func (t *Task) mapped(addr uint64, n int) int {
	done := 0
	for done < n {
		v := t.mm.Find(addr + uint64(done))
		if v == nil {
			break
		}
		done += int(min(uint64(n-done), v.End-addr-uint64(done)))
	}
	return done
}

// peek reads the memory of another task, whatever its protection.
func (t *Task) peek(addr uint64, p []byte) error {
	if t.mm == nil || t.th == nil || t.mapped(addr, len(p)) < len(p) {
		return unix.EIO
	}
	if n, err := t.th.ReadMem(addr, p); err == nil && n == len(p) {
		return nil
	}
	_, err := t.th.ForceRead(addr, p)
	return err
}

// poke writes it: breakpoints go into code.
func (t *Task) poke(addr uint64, p []byte) error {
	if t.mm == nil || t.th == nil || t.mapped(addr, len(p)) < len(p) {
		return unix.EIO
	}
	_, err := t.th.ForceWrite(addr, p)
	return err
}

// tracedArchPrctl is arch_prctl(2) for the tracee.
func tracedArchPrctl(a *ptraceArgs) (uint64, error) {
	if !a.abi.only64 {
		return 0, unix.EIO
	}
	r := a.o.th.Regs()
	switch int32(a.data) {
	case archSetFS, archSetGS:
		v, err := 0, error(nil)
		v, err = sysArchPrctl(a.o, int32(a.data), Addr(a.addr))
		return uint64(v), err
	case archGetFS:
		return 0, Ptr[uint64](a.addr).Out(a.t, &r.Fs_base)
	case archGetGS:
		return 0, Ptr[uint64](a.addr).Out(a.t, &r.Gs_base)
	}
	return 0, unix.EINVAL
}

// getRseq is PTRACE_GET_RSEQ_CONFIGURATION: there are no restartable sequences,
// so none is registered.
func getRseq(a *ptraceArgs) (uint64, error) {
	var c abi.PtraceRseqConfiguration
	b := asBytes(&c)
	return uint64(len(b)), a.t.CopyOut(a.data, b[:min(a.addr, uint64(len(b)))])
}
