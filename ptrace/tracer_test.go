package ptrace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

func sysSignal(n int) syscall.Signal { return syscall.Signal(n) }

// TestMain makes this binary a guest too, a Go program of many threads.
func TestMain(m *testing.M) {
	if os.Getenv("PTRACE_TEST_GUEST") != "" {
		goGuest()
		return
	}
	os.Exit(m.Run())
}

// goGuest echoes its input line by line, each time from another thread.
func goGuest() {
	var b [1]byte
	for {
		if _, err := os.Stdin.Read(b[:]); err != nil {
			os.Exit(5)
		}
		done := make(chan bool)
		go func() {
			time.Sleep(time.Millisecond)
			os.Stdout.Write(b[:])
			close(done)
		}()
		<-done
	}
}

func TestCont(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, call(unix.SYS_EXIT, 42)))
	want(t, next(t, tee, Cont), "exited 42")
	if tr.Tracee(tee.PID()) != nil {
		t.Error("still among the tracees")
	}
}

func TestSyscallStops(t *testing.T) {
	tr := newTracer(t, Config{})
	var pid80 []byte
	if hostcan.Int80.Lacks() == nil {
		pid80 = call80(20)
	}
	tee := start(t, tr, guest(t, call(unix.SYS_GETPID), call(unix.SYS_CLOSE, 99), pid80, call(unix.SYS_EXIT, 1)))
	enter := next(t, tee, Syscall)
	want(t, enter, "enter x86_64 getpid")
	want(t, next(t, tee, Syscall), fmt.Sprintf("exit x86_64 = %d", tee.PID()))
	enter = next(t, tee, Syscall)
	want(t, enter, "enter x86_64 close")
	if e := enter.(SyscallEnter); e.Args[0] != 99 || e.Nr != unix.SYS_CLOSE {
		t.Errorf("%+v", e)
	}
	exit := next(t, tee, Syscall).(SyscallExit)
	if !exit.Failed || exit.Ret != -int64(unix.EBADF) || exit.IP != enter.(SyscallEnter).IP {
		t.Errorf("%+v", exit)
	}
	if pid80 != nil {
		want(t, next(t, tee, Syscall), "enter i386 getpid")
		want(t, next(t, tee, Syscall), fmt.Sprintf("exit i386 = %d", tee.PID()))
	}
	want(t, next(t, tee, Syscall), "enter x86_64 exit")
	want(t, next(t, tee, Syscall), "exited 1")
}

func TestSysemu(t *testing.T) {
	for _, mode := range []Mode{ModeFull, ModeNoStep, ModeNullify} {
		t.Run(mode.String(), func(t *testing.T) {
			tr := newTracer(t, Config{Mode: mode})
			tee := start(t, tr, guest(t, call(unix.SYS_GETPID), rdiFromRAX, eax(unix.SYS_EXIT), syscal))
			want(t, next(t, tee, Sysemu), "enter x86_64 getpid")
			if v, err := tee.PeekUser(OffRAX); err != nil || int64(v) != -int64(unix.ENOSYS) {
				t.Errorf("rax %#x, %v", v, err)
			}
			if err := tee.PokeUser(OffRAX, 77); err != nil {
				t.Fatal(err)
			}
			enter := next(t, tee, Sysemu).(SyscallEnter)
			if enter.Nr != unix.SYS_EXIT || enter.Args[0] != 77 {
				t.Errorf("%v %v", enter, enter.Args)
			}
			// Skipped again; the program runs off its end, into zeros: add %al,(%rax)
			stop := next(t, tee, Sysemu).(SignalDelivery)
			if stop.Signal != unix.SIGSEGV || stop.Info.Code() <= 0 || stop.Info.Signo() != int32(unix.SIGSEGV) {
				t.Errorf("%v", stop)
			}
			want(t, next(t, tee, Cont, int(unix.SIGSEGV)), "killed by SIGSEGV")
		})
	}
}

func TestSignals(t *testing.T) {
	tr := newTracer(t, Config{})
	self := asm(call(unix.SYS_GETPID), rdiFromRAX)
	kill := asm(self, esi(int(unix.SIGUSR1)), eax(unix.SYS_KILL), syscal)
	tee := start(t, tr, guest(t, kill, kill, kill, call(unix.SYS_EXIT, 0)))
	stop := next(t, tee, Cont).(SignalDelivery)
	if stop.Signal != unix.SIGUSR1 || stop.Info.Code() != 0 || int(stop.Info.PID()) != tee.PID() || stop.Info.UID() != uint32(os.Getuid()) {
		t.Errorf("%v from %d", stop, stop.Info.PID())
	}
	// Drop the first. Make another signal of the second.
	if s := next(t, tee, Cont); s.(SignalDelivery).Signal != unix.SIGUSR1 {
		t.Errorf("%v", s)
	}
	want(t, next(t, tee, Cont, int(unix.SIGTERM)), "killed by SIGTERM")
}

func TestSigMaskAndPending(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, forever))
	const usr1 = 1 << (unix.SIGUSR1 - 1)
	if err := tee.SetSigMask(usr1); err != nil {
		t.Fatal(err)
	}
	if m, err := tee.GetSigMask(); err != nil || m != usr1 {
		t.Errorf("mask %#x, %v", m, err)
	}
	if err := tee.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	var s [2]SigInfo
	n, err := tee.PeekSigInfo(0, false, s[:])
	if n != 1 || err != nil || s[0].Signo() != int32(unix.SIGUSR1) {
		t.Errorf("%d pending, %v: %v", n, err, s[0].Signo())
	}
	if n, err := tee.PeekSigInfo(0, true, s[:]); n != 0 || err != nil {
		t.Errorf("%d pending, %v", n, err)
	}
	if err := tee.SetSigMask(0); err != nil {
		t.Fatal(err)
	}
	want(t, next(t, tee, Cont), "signal SIGUSR1 code -6")
	var info SigInfo
	if err := tee.GetSigInfo(&info); err != nil || int(info.PID()) != os.Getpid() {
		t.Errorf("from %d, %v", info.PID(), err)
	}
	binary.LittleEndian.PutUint32(info[16:], 12345)
	if err := tee.SetSigInfo(&info); err != nil {
		t.Fatal(err)
	}
	if tee.GetSigInfo(&info); info.PID() != 12345 {
		t.Errorf("from %d", info.PID())
	}
}

func TestInterruptAndSignalFromElsewhere(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, forever))
	if err := tee.Resume(Cont, 0); err != nil {
		t.Fatal(err)
	}
	if stop, err := tee.Poll(); stop != nil || err != nil {
		t.Fatalf("%v, %v", stop, err)
	}
	if err := tee.Interrupt(); err != nil {
		t.Fatal(err)
	}
	stop, err := tee.Wait()
	if err != nil {
		t.Fatal(err)
	}
	want(t, stop, "event stop 0")
	time.AfterFunc(20*time.Millisecond, func() { tee.Signal(unix.SIGURG) })
	want(t, next(t, tee, Cont), "signal SIGURG code -6")
}

func TestGroupStop(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, forever))
	tee.Resume(Cont, 0)
	tee.Signal(unix.SIGSTOP) // not SIGTSTP: that is ignored in an orphaned process group
	stop, err := tee.Wait()
	if err != nil {
		t.Fatal(err)
	}
	want(t, stop, "signal SIGSTOP code -6")
	want(t, next(t, tee, Cont, int(unix.SIGSTOP)), "group-stop SIGSTOP")
	if err := tee.Listen(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	if stop, err := tee.Poll(); stop != nil || err != nil {
		t.Fatalf("listening: %v, %v", stop, err)
	}
	unix.Kill(tee.PID(), unix.SIGCONT)
	if stop, err = tee.Wait(); err != nil {
		t.Fatal(err)
	}
	want(t, stop, "event stop 0")
	want(t, next(t, tee, Cont), "signal SIGCONT code 0")
}

func TestEvents(t *testing.T) {
	tr := newTracer(t, Config{Options: TraceFork | TraceVFork | TraceVForkDone | TraceExit | TraceExec | ExitKill})
	path := "/proc/self/exe\x00"
	at := guestData
	store := func(addr int, s string) []byte { // movb $c,addr for each
		var b []byte
		for i := range len(s) {
			b = append(b, asm([]byte{0xc6, 0x04, 0x25}, binary.LittleEndian.AppendUint32(nil, uint32(addr+i)), []byte{s[i]})...)
		}
		return b
	}
	tee := start(t, tr, guest(t,
		// Whoever runs with two arguments or more has been executed by itself.
		[]byte{0x8b, 0x04, 0x24, 0x83, 0xe8, 0x02}, // mov (%rsp),%eax; sub $2,%eax
		ifZero(call(unix.SYS_EXIT, 3)),
		call(unix.SYS_FORK), ifZero(call(unix.SYS_EXIT, 7)),
		call(unix.SYS_WAIT4, -1, 0, 0, 0),
		call(unix.SYS_VFORK), ifZero(call(unix.SYS_EXIT, 8)),
		store(at, path),
		// argv: the path twice
		movImm(0xb8, at), []byte{0x89, 0x04, 0x25}, binary.LittleEndian.AppendUint32(nil, uint32(at+64)),
		[]byte{0x89, 0x04, 0x25}, binary.LittleEndian.AppendUint32(nil, uint32(at+72)),
		call(unix.SYS_EXECVE, at, at+64, 0), int3))
	var log []string
	names := map[int]string{tee.PID(): "parent"}
	if err := tee.Resume(Cont, 0); err != nil {
		t.Fatal(err)
	}
	children := 0
	for len(tr.tracees) > 0 {
		who, stop, err := tr.Wait()
		if err != nil {
			t.Fatal(err)
		}
		s := stop.String()
		sig := syscall.Signal(0)
		switch e := stop.(type) {
		case SignalDelivery:
			sig = e.Signal
			if sig == unix.SIGCHLD {
				s = ""
			}
		case Event:
			s = e.Kind.String()
			switch e.Kind {
			case EventFork, EventVFork:
				children++
				names[e.Child()] = fmt.Sprint("child ", children)
				if tr.Tracee(e.Child()) == nil {
					t.Error("the child is no tracee")
				}
				s += " of " + names[e.Child()]
			case EventVForkDone:
				s += " of " + names[e.Child()]
			case EventExit:
				s += fmt.Sprint(" ", e.Status().ExitStatus())
			case EventExec:
				s += " from " + names[int(e.Message)]
			case EventStop:
				s = "" // it may come before its parent's event
			}
		}
		if s != "" {
			log = append(log, names[who.PID()]+": "+s)
		}
		if who.gone.Load() {
			continue
		}
		if err := who.Resume(Cont, sig); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"parent: fork of child 1", "child 1: exit 7", "child 1: exited 7",
		"parent: vfork of child 2", "child 2: exit 8", "parent: vfork-done of child 2", "child 2: exited 8",
		"parent: exec from parent", "parent: exit 3", "parent: exited 3",
	} {
		n := 0
		for _, l := range log {
			if l == line {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d times: %s", n, line)
		}
	}
	if len(log) != 10 {
		t.Errorf("%s", strings.Join(log, "\n"))
	}
}

// A thread other than the first executes a program: the first one's Tracee goes on.
func TestExecByThread(t *testing.T) {
	tr := newTracer(t, Config{Options: TraceClone | TraceExec})
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	tee := start(t, tr, guest(t,
		[]byte{0x8b, 0x04, 0x24, 0xff, 0xc8}, // mov (%rsp),%eax; dec %eax: the new program has no arguments
		ifZero(call(unix.SYS_EXIT, 4)),
		call(unix.SYS_CLONE, flags, guestBase+0xff0, 0, 0),
		ifZero(call(unix.SYS_EXECVE, guestData, 0, 0), int3),
		forever), "first")
	if _, err := tee.WriteAt([]byte("/proc/self/exe\x00"), guestData); err != nil {
		t.Fatal(err)
	}
	tee.Resume(Cont, 0)
	var thread *Tracee
	var execed bool
	for {
		who, stop, err := tr.Wait()
		if err != nil {
			t.Fatal(err)
		}
		switch e := stop.(type) {
		case Exited:
			if who != tee || e.Code != 4 || !execed || thread == nil || thread.PID() == tee.PID() {
				t.Errorf("%d: %v, exec %v", who.PID(), e, execed)
			}
			return
		case Event:
			switch e.Kind {
			case EventClone:
				thread = tr.Tracee(e.Child())
			case EventExec:
				execed = true
				if who != tee || thread == nil || int(e.Message) != thread.PID() {
					t.Errorf("exec of %d: %v", who.PID(), e)
				}
				if err := thread.GetRegs(new(Regs)); !errors.Is(err, unix.ESRCH) {
					t.Errorf("the old thread: %v", err)
				}
			}
		default:
			t.Errorf("%d: %v", who.PID(), stop)
		}
		if err := who.Resume(Cont, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMemory(t *testing.T) {
	tr := newTracer(t, Config{})
	text := asm(call(unix.SYS_MMAP, 0x10000, 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED), int3, forever)
	tee := start(t, tr, guest(t, text))
	var _ io.ReaderAt = tee
	var _ io.WriterAt = tee
	got := make([]byte, 32)
	if n, err := tee.ReadAt(got, guestBase); n != 32 || err != nil || string(got[:4]) != "\x7fELF" {
		t.Errorf("%d, %v: %q", n, err, got)
	}
	// Up to the end of what is mapped, and no further.
	n, err := tee.ReadAt(got, guestBase+0x1000-10)
	var e *Error
	if n != 10 || !errors.As(err, &e) || e.Request != unix.PTRACE_PEEKDATA || !strings.Contains(err.Error(), "at 0x401000") {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := tee.WriteAt(got, guestBase+0x1000-10); n != 10 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, addr := range []int64{0, 1 << 46, 1<<63 - 1, -1 << 63, -8, -4096} {
		if n, err := tee.ReadAt(got, addr); n != 0 || err == nil {
			t.Errorf("at %#x: %d, %v", uint64(addr), n, err)
		}
	}
	want(t, next(t, tee, Cont), "signal SIGTRAP code 128")
	// Protection is no obstacle.
	secret := []byte("through a page that nobody may touch")
	if n, err := ReadMem(tee.PID(), 0x10000, got); n != 0 || err != unix.EFAULT {
		t.Errorf("ReadMem: %d, %v", n, err)
	}
	if n, err := WriteMem(tee.PID(), 0x10000, secret); n != 0 || err != unix.EFAULT {
		t.Errorf("WriteMem: %d, %v", n, err)
	}
	for i, f := range []struct {
		write, read func(int, uint64, []byte) (int, error)
	}{
		{WriteMemForce, ReadMemForce}, {poke, peek},
		{
			func(_ int, a uint64, b []byte) (int, error) { return tee.WriteAt(b, int64(a)) },
			func(_ int, a uint64, b []byte) (int, error) { return tee.ReadAt(b, int64(a)) },
		},
	} {
		at := uint64(0x10003 + 100*i)
		if n, err := f.write(tee.PID(), at, secret); n != len(secret) || err != nil {
			t.Errorf("%d: write %d, %v", i, n, err)
		}
		got := make([]byte, len(secret))
		if n, err := f.read(tee.PID(), at, got); n != len(secret) || err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%d: read %d, %v: %q", i, n, err, got)
		}
	}
	if n, err := peek(tee.PID(), guestBase+0x1000-10, got); n != 10 || err != unix.EIO {
		t.Errorf("peek: %d, %v", n, err)
	}
}

func TestRegisters(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, asm(eax(1), ebx(2)), int3, rdiFromRAX, eax(unix.SYS_EXIT), syscal))
	want(t, next(t, tee, Cont), "signal SIGTRAP code 128")
	var r Regs
	if err := tee.GetRegs(&r); err != nil || r.Rax != 1 || r.Rbx != 2 || r.Cs != userCS {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, f := range []struct {
		off uintptr
		v   uint64
	}{{OffR15, r.R15}, {OffRBX, r.Rbx}, {OffRAX, r.Rax}, {OffOrigRAX, r.Orig_rax}, {OffRIP, r.Rip}, {OffCS, r.Cs},
		{OffEflags, r.Eflags}, {OffRSP, r.Rsp}, {OffFSBase, r.Fs_base}, {OffGS, r.Gs}} {
		if v, err := tee.PeekUser(f.off); err != nil || v != f.v {
			t.Errorf("offset %d: %#x, %v, want %#x", f.off, v, err, f.v)
		}
	}
	if _, err := tee.PeekUser(1 << 20); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	var set [27 * 8]byte
	if n, err := tee.GetRegSet(NT_PRSTATUS, set[:]); n != len(set) || err != nil || binary.LittleEndian.Uint64(set[OffRBX:]) != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := tee.GetRegSet(NT_PRSTATUS, set[:16]); n != 16 || err != nil {
		t.Errorf("short: %d, %v", n, err)
	}
	if _, err := tee.GetRegSet(0x7777, set[:]); !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	xstate := make([]byte, 1<<16)
	n, err := tee.GetRegSet(NT_X86_XSTATE, xstate)
	if err != nil || n < 576 {
		t.Errorf("xstate: %d, %v", n, err)
	}
	if m, err := tee.SetRegSet(NT_X86_XSTATE, xstate[:n]); m != n || err != nil {
		t.Errorf("xstate: %d, %v", m, err)
	}
	r.Rax = 9
	if err := tee.SetRegs(&r); err != nil {
		t.Fatal(err)
	}
	want(t, next(t, tee, Cont), "exited 9")
}

func TestHardwareBreakpoint(t *testing.T) {
	hostcan.Need(t, hostcan.DebugRegisters)
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, eax(9), int3, rdiFromRAX, eax(unix.SYS_EXIT), syscal))
	want(t, next(t, tee, Cont), "signal SIGTRAP code 128")
	var r Regs
	if err := tee.GetRegs(&r); err != nil {
		t.Fatal(err)
	}
	// At the next instruction but one.
	if err := tee.PokeUser(OffDebugReg, r.Rip+2); err != nil {
		t.Fatal(err)
	}
	if err := tee.PokeUser(OffDebugReg+7*8, 1); err != nil {
		t.Fatal(err)
	}
	want(t, next(t, tee, Cont), "signal SIGTRAP code 4")
	want(t, next(t, tee, Cont), "exited 9")
}

func TestMisuseIsNamed(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, forever))
	names := func(err error, request, cause string) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, unix.ESRCH) || !strings.HasPrefix(err.Error(), request) || !strings.Contains(err.Error(), cause) {
			t.Errorf("%v, want %s … %s", err, request, cause)
		}
	}
	var r Regs
	elsewhere := make(chan error)
	for _, f := range []func() error{
		func() error { return tee.GetRegs(&r) },
		func() error { _, err := tee.Wait(); return err },
		func() error { _, _, err := tr.Wait(); return err },
		func() error { return tee.Resume(Cont, 0) },
		func() error { return tee.Detach(0) },
		func() error { _, err := tr.Start(exec.Command("true")); return err },
		func() error { return tr.Close() },
	} {
		go func() { elsewhere <- f() }()
		names(<-elsewhere, "", "called from thread ")
	}
	if err := tee.Resume(Cont, 0); err != nil {
		t.Fatal(err)
	}
	names(tee.GetRegs(&r), "PTRACE_GETREGS", "it is not stopped: Wait")
	names(tee.Resume(Sysemu, 0), "PTRACE_SYSEMU", "it is not stopped: Wait")
	tee.Signal(unix.SIGKILL)
	time.Sleep(10 * time.Millisecond)
	names(tee.GetRegs(&r), "PTRACE_GETREGS", "it is dead; Wait")
	if stop, err := tee.Wait(); err != nil || stop.String() != "killed by SIGKILL" {
		t.Error(stop, err)
	}
	names(tee.Resume(Cont, 0), "PTRACE_CONT", "it has ended")
	if err := tee.Signal(0); err != unix.ESRCH {
		t.Error(err)
	}
	_, _, err := tr.Wait()
	if !errors.Is(err, unix.ECHILD) || !strings.Contains(err.Error(), "there is no tracee") {
		t.Error(err)
	}
	_, err = tr.Seize(os.Getpid())
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "of the calling process") {
		t.Error(err)
	}
	_, err = tr.Seize(1 << 30)
	names(err, "PTRACE_SEIZE", "there is no such thread")
	tee = start(t, tr, guest(t, forever))
	if err := tee.Resume(Request(3), 0); !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	if err := tee.Resume(Sysemu, 1000); !errors.Is(err, unix.EIO) || errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
	go func() {
		other := NewTracer(Config{})
		defer other.Close()
		_, err := other.Seize(tee.PID())
		elsewhere <- err
	}()
	err = <-elsewhere
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), fmt.Sprintf("it is traced by thread %d already", tr.tid)) {
		t.Error(err)
	}
}

func TestNotSupported(t *testing.T) {
	err := error(&Error{Request: Sysemu, PID: 7, Errno: unix.EIO, unsupported: true})
	if !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if s := err.Error(); s != "PTRACE_SYSEMU 7: input/output error: the host does not have this request" {
		t.Error(s)
	}
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, forever))
	// The host does not know this number, as another would not know 31.
	if err := Resume(99, tee.PID(), 0); !errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
}

func TestHostMode(t *testing.T) {
	if mode, err := HostMode(); mode != ModeFull || err != nil {
		t.Errorf("%v, %v", mode, err)
	}
}

func TestStartFails(t *testing.T) {
	tr := newTracer(t, Config{})
	if _, err := tr.Start(exec.Command("/nonexistent")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := tr.Start(exec.Command(os.DevNull)); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
	// Options are refused at the seizing: nothing is left then.
	bad := newTracer(t, Config{Options: 1 << 30})
	cmd := exec.Command(guest(t, forever))
	if _, err := bad.Start(cmd); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if err := unix.Kill(cmd.Process.Pid, 0); err != unix.ESRCH {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestStartWithPipes(t *testing.T) {
	tr := newTracer(t, Config{})
	var out bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", "cat; echo done; exit 3")
	cmd.Stdin = strings.NewReader("in\n")
	cmd.Stdout = &out
	tee, err := tr.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	for {
		stop := next(t, tee, Cont)
		if s, ok := stop.(SignalDelivery); ok && s.Signal == unix.SIGCHLD {
			continue
		}
		want(t, stop, "exited 3")
		break
	}
	if err := cmd.Wait(); !errors.Is(err, unix.ECHILD) {
		t.Error(err)
	}
	if out.String() != "in\ndone\n" {
		t.Errorf("%q", out.String())
	}
}

// echo starts this binary as a guest, untraced, and checks that it works.
func echo(t *testing.T) (cmd *exec.Cmd, check func()) {
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PTRACE_TEST_GUEST=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err == nil || err.Error() != "exit status 5" {
			t.Errorf("the guest: %v", err)
		}
	})
	return cmd, func() {
		t.Helper()
		for _, c := range []byte("undisturbed") {
			var b [1]byte
			if _, err := in.Write([]byte{c}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, b[:]); err != nil || b[0] != c {
				t.Fatalf("%q, %v", b, err)
			}
		}
	}
}

func TestSeizeProcessAndDetach(t *testing.T) {
	cmd, check := echo(t)
	check()
	tr := newTracer(t, Config{Options: TraceClone})
	all, err := tr.SeizeProcess(cmd.Process.Pid)
	if err != nil || len(all) < 3 {
		t.Fatal(len(all), err)
	}
	calls := 0
	// follow resumes what stops while the program works.
	follow := func(req Request) {
		t.Helper()
		done := make(chan bool)
		go func() { defer close(done); check() }()
		for working := true; working; {
			select {
			case <-done:
				working = false
			default:
				who, stop, err := tr.Poll()
				if err != nil {
					t.Fatal(err)
				}
				if who == nil {
					time.Sleep(time.Millisecond)
					continue
				}
				var sig syscall.Signal
				switch s := stop.(type) {
				case SignalDelivery:
					sig = s.Signal
				case SyscallEnter:
					calls++
				}
				who.Resume(req, sig)
			}
		}
	}
	follow(Cont)
	if calls != 0 {
		t.Errorf("seized, it stopped at %d calls", calls)
	}
	for _, tee := range all {
		if err := tee.Interrupt(); err != nil {
			t.Fatal(err)
		}
	}
	follow(Syscall)
	if calls < 22 {
		t.Errorf("%d calls seen", calls)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if by := tracerOf(cmd.Process.Pid); by != 0 {
		t.Errorf("traced by %d", by)
	}
	check()
}

// All threads of a program are stopped, stepped and interrupted at random, and let
// go at any moment: it does not notice.
func TestDetachAnywhere(t *testing.T) {
	cmd, check := echo(t)
	check()
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		tr := NewTracer(Config{Options: TraceClone, Mode: allModes[rnd.IntN(len(allModes))]})
		all, err := tr.SeizeProcess(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan bool)
		go func() { defer close(done); check() }()
		for range 50 + rnd.IntN(200) {
			all[rnd.IntN(len(all))].Interrupt()
			who, stop, err := tr.Poll()
			if err != nil {
				t.Fatal(err)
			}
			if who == nil {
				time.Sleep(time.Millisecond / 10)
				continue
			}
			var sig syscall.Signal
			if s, ok := stop.(SignalDelivery); ok && !isStep(&s.Info) {
				sig = s.Signal
			}
			if err := who.Resume([]Request{Cont, Syscall, SingleStep, SingleBlock}[rnd.IntN(4)], sig); err != nil {
				t.Error(err)
			}
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
		check()
	}
}

func TestAttach(t *testing.T) {
	cmd, check := echo(t)
	check()
	for i := range 20 {
		tr := NewTracer(Config{})
		tee, err := tr.Attach(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := tee.Interrupt(); !errors.Is(err, unix.EIO) {
			t.Error(err)
		}
		if i%2 == 0 { // else Close finds it running
			if err := tee.Detach(0); err != nil {
				t.Fatal(err)
			}
		} else if err := tee.Resume(Cont, 0); err != nil {
			t.Fatal(err)
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		check()
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	tr := NewTracer(Config{Options: TraceFork | TraceExit})
	var tees []*Tracee
	for range 3 {
		tees = append(tees, start(t, tr, guest(t, call(unix.SYS_FORK), forever)))
	}
	for _, tee := range tees[1:] {
		tee.Resume(Cont, 0)
	}
	want(t, next(t, tees[0], Cont), fmt.Sprintf("event fork %d", maxPID(tr)))
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(); err != nil {
		t.Error("a second time:", err)
	}
	if _, err := Wait(-1, unix.WALL|unix.WNOTHREAD|unix.WNOHANG); err != unix.ECHILD {
		t.Errorf("children left: %v", err)
	}
	if _, err := tr.Seize(1); !errors.Is(err, unix.ESRCH) {
		t.Error(err)
	}
}

func maxPID(tr *Tracer) (pid int) {
	for p := range tr.tracees {
		pid = max(pid, p)
	}
	return
}

func TestNoAllocations(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, loop(1<<30, call(unix.SYS_GETPPID))))
	pid := tee.PID()
	var r Regs
	var info SyscallInfo
	buf := make([]byte, 64)
	allocs := testing.AllocsPerRun(100, func() {
		if err := Resume(Sysemu, pid, 0); err != nil {
			t.Error(err)
		}
		if ws, err := Wait(pid, unix.WALL); ws != 0x857f || err != nil {
			t.Error(ws, err)
		}
		if err := GetRegs(pid, &r); err != nil || r.Orig_rax != unix.SYS_GETPPID {
			t.Error(err)
		}
		if err := PokeUser(pid, OffRAX, 1); err != nil {
			t.Error(err)
		}
		if err := SetRegs(pid, &r); err != nil {
			t.Error(err)
		}
		if err := GetSyscallInfo(pid, &info); err != nil || info.Op != OpEntry || info.Nr() != unix.SYS_GETPPID || info.IP != r.Rip || info.SP != r.Rsp {
			t.Error(err)
		}
		if msg, err := GetEventMsg(pid); msg != 1 || err != nil {
			t.Error(msg, err)
		}
		if _, err := PeekUser(pid, OffRIP); err != nil {
			t.Error(err)
		}
		if _, err := ReadMem(pid, guestBase, buf); err != nil {
			t.Error(err)
		}
		if _, err := WriteMem(pid, guestData, buf); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// benchmark starts a guest that makes one call after another, and keeps it on
// the tracer's processor, as a virtual CPU does.
func benchmark(b *testing.B) *Tracee {
	tee := start(b, newTracer(b, Config{}), guest(b, loop(1<<30, call(unix.SYS_GETPPID))))
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		b.Fatal(err)
	}
	one.Set(0)
	unix.SchedSetaffinity(0, &one)
	b.Cleanup(func() { unix.SchedSetaffinity(0, &old) })
	unix.SchedSetaffinity(tee.PID(), &one)
	b.ReportAllocs()
	return tee
}

func BenchmarkSysemuRequests(b *testing.B) {
	tee := benchmark(b)
	for b.Loop() {
		Resume(Sysemu, tee.PID(), 0)
		Wait(tee.PID(), unix.WALL)
		PokeUser(tee.PID(), OffRAX, 1)
	}
}

func BenchmarkSysemuTracee(b *testing.B) {
	tee := benchmark(b)
	for b.Loop() {
		tee.Resume(Sysemu, 0)
		tee.Wait()
		tee.PokeUser(OffRAX, 1)
	}
}
