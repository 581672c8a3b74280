package ptrace

// Regression tests named after what the patch series "UML – SKAS & Ptrace: adds
// the host SYSEMU support" fixed, one by one. Each holds in every mode.

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

func inEachMode(t *testing.T, f func(t *testing.T, tr *Tracer)) {
	for _, mode := range allModes {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) { f(t, newTracer(t, Config{Mode: mode})) })
	}
}

// start32 starts a 32-bit guest. At the address guestData it finds that of the
// host's own way into the kernel, sysenter on most processors.
func start32(t *testing.T, tr *Tracer, code ...[]byte) *Tracee {
	t.Helper()
	tee := start(t, tr, guest32(t, code...))
	sp, err := tee.PeekUser(OffRSP)
	if err != nil {
		t.Fatal(err)
	}
	stack := make([]byte, 4096)
	n, _ := tee.ReadAt(stack, int64(sp))
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(stack[4*i:]) }
	i := 1 + int(word(0)) + 1
	for 4*i < n && word(i) != 0 { // the environment
		i++
	}
	const atSysinfo = 32
	for i++; 4*i+8 <= n && word(i) != 0; i += 2 {
		if word(i) == atSysinfo {
			if _, err := tee.WriteAt(stack[4*i+4:4*i+8], guestData); err != nil {
				t.Fatal(err)
			}
			return tee
		}
	}
	t.Fatal("the host offers no AT_SYSINFO")
	return nil
}

// callVDSO is a 32-bit system call by call *guestData.
func callVDSO(nr int, args ...int) []byte {
	b := call80(nr, args...)
	return asm(b[:len(b)-2], []byte{0xff, 0x15}, binary.LittleEndian.AppendUint32(nil, guestData))
}

func TestSeriesEntryBySysenter(t *testing.T) {
	hostcan.Need(t, hostcan.Run32)
	inEachMode(t, func(t *testing.T, tr *Tracer) {
		const exit, close, getpid = 1, 6, 20
		tee := start32(t, tr, callVDSO(getpid), []byte{0x89, 0xc3}, // mov %eax,%ebx
			eax(close), call80(close, 99)[5:], callVDSO(close, 98), callVDSO(exit, 5))
		stop := next(t, tee, Sysemu)
		want(t, stop, "enter i386 getpid")
		tee.PokeUser(OffRAX, 1234)
		stop = next(t, tee, Sysemu)
		want(t, stop, "enter i386 close")
		// The result of the skipped call went back over sysexit.
		var r Regs
		if err := tee.GetRegs(&r); err != nil || r.Cs == userCS {
			t.Errorf("cs %#x, %v", r.Cs, err)
		}
		stop = next(t, tee, Syscall)
		want(t, stop, "enter i386 close")
		if e := stop.(SyscallEnter); e.Args[0] != 98 || e.Arch != abi.I386 {
			t.Errorf("%+v", e)
		}
		// This one is executed.
		stop = next(t, tee, Syscall)
		if e, ok := stop.(SyscallExit); !ok || e.Ret != -int64(unix.EBADF) || !e.Failed {
			t.Errorf("%+v", stop)
		}
		want(t, next(t, tee, Syscall), "enter i386 exit")
		want(t, next(t, tee, Syscall), "exited 5")
	})
}

// The flag is saved when the call is entered: what is asked for in the stop does
// not change what becomes of it.
func TestSeriesFlagChangedWhileStopped(t *testing.T) {
	inEachMode(t, func(t *testing.T, tr *Tracer) {
		for _, req := range allRequests {
			for _, arch := range archs() {
				closing, pid := call(unix.SYS_CLOSE, 99), call(unix.SYS_GETPID)
				if arch == abi.I386 {
					closing, pid = call80(6, 99), call80(20)
				}
				tee := start(t, tr, guest(t, closing, nop, int3, pid, nop, int3))
				want(t, next(t, tee, Sysemu), fmt.Sprintf("enter %s close", arch))
				rax := func(want int64) {
					t.Helper()
					for {
						stop := next(t, tee, req)
						if s, ok := stop.(SignalDelivery); ok && s.Info.Code() == SIKernel {
							break
						}
					}
					if v, err := tee.PeekUser(OffRAX); err != nil || int64(int32(v)) != want {
						t.Errorf("%v: rax %d, %v, want %d", req, int32(v), err, want)
					}
				}
				rax(-int64(unix.ENOSYS))
				want(t, next(t, tee, Syscall), fmt.Sprintf("enter %s getpid", arch))
				rax(int64(tee.PID()))
				tee.kill()
			}
		}
	})
}

func TestSeriesSysemuToSyscall(t *testing.T) {
	inEachMode(t, func(t *testing.T, tr *Tracer) {
		tee := start(t, tr, guest(t, call(unix.SYS_CLOSE, 99), call(unix.SYS_GETPID), call(unix.SYS_EXIT, 1)))
		want(t, next(t, tee, Sysemu), "enter x86_64 close")
		want(t, next(t, tee, Syscall), "enter x86_64 getpid") // no exit of close
		want(t, next(t, tee, Syscall), fmt.Sprintf("exit x86_64 = %d", tee.PID()))
		want(t, next(t, tee, Syscall), "enter x86_64 exit")
		want(t, next(t, tee, Syscall), "exited 1")
	})
}

// Also a signal that is sent along comes, and only that.
func TestSeriesSysemuToSingleStep(t *testing.T) {
	inEachMode(t, func(t *testing.T, tr *Tracer) {
		for _, sig := range []int{0, int(unix.SIGURG)} {
			tee := start(t, tr, guest(t, call(unix.SYS_CLOSE, 99), nop, nop, nop, int3))
			stop := next(t, tee, Sysemu)
			want(t, stop, "enter x86_64 close")
			at := stop.(SyscallEnter).IP
			if sig == 0 {
				stop = next(t, tee, SingleStep)
			} else {
				want(t, next(t, tee, SingleStep, sig), "signal SIGURG code 128")
				if ip, _ := tee.PeekUser(OffRIP); ip != at {
					t.Errorf("at %#x, want %#x", ip, at)
				}
				stop = next(t, tee, SingleStep)
			}
			for range 3 {
				at++
				want(t, stop, "signal SIGTRAP code 2")
				if ip, _ := tee.PeekUser(OffRIP); ip != at {
					t.Errorf("at %#x, want %#x", ip, at)
				}
				stop = next(t, tee, SingleStep)
			}
		}
	})
}

// The stray trap that waits behind a signal is absorbed whatever follows, and
// does not kill the tracee when it is let go.
func TestStrayTrapBehindSignal(t *testing.T) {
	inEachMode(t, func(t *testing.T, tr *Tracer) {
		path := guest(t, call(unix.SYS_CLOSE, 99), loop(1000, nop), call(unix.SYS_EXIT, 6))
		for _, req := range []Request{Cont, Syscall, Sysemu} {
			tee := start(t, tr, path)
			want(t, next(t, tee, Sysemu), "enter x86_64 close")
			want(t, next(t, tee, SingleStep, int(unix.SIGURG)), "signal SIGURG code 128")
			if req == Cont {
				want(t, next(t, tee, req), "exited 6")
			} else {
				want(t, next(t, tee, req), "enter x86_64 exit")
			}
		}
		tee := start(t, tr, path)
		want(t, next(t, tee, Sysemu), "enter x86_64 close")
		want(t, next(t, tee, SingleStep, int(unix.SIGURG)), "signal SIGURG code 128")
		if err := tee.Detach(unix.SIGURG); err != nil {
			t.Fatal(err)
		}
		ws, err := Wait(tee.PID(), 0)
		if err != nil || ws != 6<<8 {
			t.Errorf("status %#x, %v", ws, err)
		}
	})
}

// Detached at an entry stop: what was skipped stays skipped, and what was to be
// executed is.
func TestDetachAtEntry(t *testing.T) {
	inEachMode(t, func(t *testing.T, tr *Tracer) {
		for _, req := range []Request{Sysemu, Syscall} {
			tee := start(t, tr, guest(t, eax(unix.SYS_CLOSE), edi(99), syscal, rdiFromRAX, eax(unix.SYS_EXIT), syscal))
			want(t, next(t, tee, req), "enter x86_64 close")
			code := uint32(256 - int(unix.EBADF)) // as exit cuts it
			if req == Sysemu {
				code = 77
				tee.PokeUser(OffRAX, 77)
			}
			if err := tee.Detach(0); err != nil {
				t.Fatal(err)
			}
			ws, err := Wait(tee.PID(), 0)
			if err != nil || ws != code<<8 {
				t.Errorf("%v: status %#x, %v", req, ws, err)
			}
		}
	})
}

// Switched on and off ten thousand times at random, the tracee computes what it
// does natively: the calls that are skipped are given their real result.
func TestSeriesSwitchTenThousandTimes(t *testing.T) {
	const rounds = 2000
	addToR12 := []byte{0x4d, 0x69, 0xe4, 31, 0, 0, 0, 0x49, 0x01, 0xc4} // imul $31,%r12,%r12; add %rax,%r12
	code := asm(loop(rounds,
		call(unix.SYS_CLOSE, 99), addToR12, callClose(98), addToR12, nop, call(unix.SYS_GETPID), addToR12,
	), int3)
	sum := func(pid int) (v uint64) {
		for range rounds {
			v = v*31 - uint64(unix.EBADF)
			v = v*31 - uint64(unix.EBADF)
			v = v*31 + uint64(pid)
		}
		return
	}
	path := guest(t, code)
	for _, change := range []bool{false, true} {
		tr := newTracer(t, Config{})
		tee := start(t, tr, path)
		rnd := rand.New(rand.NewPCG(7, 7))
		switches, last := 0, Request(0)
		req := Sysemu
		for done := false; !done; {
			stop := next(t, tee, req)
			switch s := stop.(type) {
			case SyscallEnter:
				if req != Syscall {
					result := -int64(unix.EBADF)
					if abi.ByNumber(s.Arch, s.Nr).Name == "getpid" {
						result = int64(tee.PID())
					}
					if err := tee.PokeUser(OffRAX, uint64(result)); err != nil {
						t.Fatal(err)
					}
				}
			case SyscallExit:
			case SignalDelivery:
				if s.Signal != unix.SIGTRAP {
					t.Fatal(s)
				}
				done = s.Info.Code() == SIKernel
			default:
				t.Fatal(s)
			}
			if change {
				tr.SetMode(allModes[rnd.IntN(len(allModes))])
			}
			req = allRequests[1+rnd.IntN(len(allRequests)-1)] // Cont would be at the end at once
			if req != last {
				switches++
			}
			last = req
		}
		if switches < 10000 {
			t.Errorf("%d switches", switches)
		}
		if v, err := tee.PeekUser(OffR12); err != nil || v != sum(tee.PID()) {
			t.Errorf("sum %#x, %v, want %#x", v, err, sum(tee.PID()))
		}
	}
}

func TestIsCall(t *testing.T) {
	for _, f := range []struct {
		code   string
		in64   bool
		in32   bool
		reason string
	}{
		{"\x0f\x05", true, true, "syscall"},
		{"\xcd\x80", true, true, "int $0x80"},
		{"\x0f\x34", true, true, "sysenter"},
		{"\x48\x0f\x05", true, false, "REX.W; in 32-bit code, dec %eax"},
		{"\x66\xf2\x2e\x0f\x05", true, true, "prefixes"},
		{"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\x05", true, true, "the longest"},
		{"\xcd\x81", false, false, "another vector"},
		{"\x0f\x0b", false, false, "ud2"},
		{"\x90\x0f\x05", false, false, "nop first"},
		{"\x0f", false, false, "cut off"},
		{"\x66", false, false, "cut off"},
		{"", false, false, "nothing"},
	} {
		if got := isCall([]byte(f.code), true); got != f.in64 {
			t.Errorf("%s: %v in 64-bit code", f.reason, got)
		}
		if got := isCall([]byte(f.code), false); got != f.in32 {
			t.Errorf("%s: %v in 32-bit code", f.reason, got)
		}
	}
}

// A host that lacks a request is done without.
func TestHostLacksRequest(t *testing.T) {
	tr := newTracer(t, Config{})
	for _, f := range []struct {
		lacks Request
		mode  Mode
		ok    bool
	}{{SysemuSingleStep, ModeNoStep, true}, {Sysemu, ModeNullify, true}, {SysemuSingleStep, ModeNullify, true}, {SingleBlock, ModeNullify, false}} {
		if ok := tr.lower(f.lacks); ok != f.ok || tr.Mode() != f.mode {
			t.Errorf("%v: %v, %v", f.lacks, ok, tr.Mode())
		}
	}
}
