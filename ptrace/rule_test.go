package ptrace

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

var (
	allModes    = []Mode{ModeFull, ModeNoStep, ModeNullify}
	allRequests = []Request{Cont, Syscall, Sysemu, SingleStep, SysemuSingleStep, SingleBlock}
)

// place describes a stop and where it is, as an offset from the guest's first
// instruction.
func place(t testing.TB, tee *Tracee, stop Stop) string {
	t.Helper()
	if tee.gone.Load() {
		return stop.String()
	}
	var r Regs
	if err := tee.GetRegs(&r); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s @%d", stop, r.Rip-guestBase-120)
}

// After the entry stop of a call: what each request leads to, by rule. The
// call is at 5 to 7, or was executed there, and two nops follow, then another
// call after the mov at 9.
func TestRequestsAfterEntry(t *testing.T) {
	const (
		nextCall = "enter x86_64 close @16"
		trap     = "signal SIGTRAP code 1 @7"
		step     = "signal SIGTRAP code 2 @8"
		exit     = "exit x86_64 = -38 @7"
		bottom   = "signal SIGTRAP code 128 @17"
	)
	for _, f := range []struct {
		rule    Rule
		entered Request
		resumed Request
		want    string
	}{
		{SeriesRule, Sysemu, Sysemu, nextCall},
		{SeriesRule, Sysemu, SysemuSingleStep, step},
		{SeriesRule, Sysemu, Syscall, nextCall},
		{SeriesRule, Sysemu, SingleStep, step},
		{SeriesRule, Sysemu, Cont, bottom},
		{LinuxRule, Sysemu, Sysemu, nextCall},
		{LinuxRule, Sysemu, SysemuSingleStep, step},
		{LinuxRule, Sysemu, Syscall, exit},
		{LinuxRule, Sysemu, SingleStep, trap},
		{LinuxRule, Sysemu, Cont, bottom},
		{SeriesRule, Syscall, Sysemu, nextCall},
		{SeriesRule, Syscall, SysemuSingleStep, step},
		{SeriesRule, Syscall, Syscall, "exit x86_64 = -9 @7"},
		{SeriesRule, Syscall, SingleStep, trap},
		{SeriesRule, Syscall, Cont, bottom},
	} {
		entries := []Request{f.entered}
		if f.entered == Sysemu {
			entries = append(entries, SysemuSingleStep)
		}
		for _, mode := range allModes {
			for _, entered := range entries {
				t.Run(fmt.Sprintf("rule %d mode %d %v to %v", f.rule, mode, entered, f.resumed), func(t *testing.T) {
					tr := newTracer(t, Config{Rule: f.rule, Mode: mode})
					tee := start(t, tr, guest(t, eax(unix.SYS_CLOSE), syscal, nop, nop, eax(unix.SYS_CLOSE), syscal, int3))
					if err := tee.PokeUser(OffRDI, 99); err != nil {
						t.Fatal(err)
					}
					stop := next(t, tee, entered)
					if entered == SysemuSingleStep {
						want(t, stop, "signal SIGTRAP code 2")
						stop = next(t, tee, entered)
					}
					if s := place(t, tee, stop); s != "enter x86_64 close @7" {
						t.Fatal(s)
					}
					if s := place(t, tee, next(t, tee, f.resumed)); s != f.want {
						t.Errorf("%s, want %s", s, f.want)
					}
				})
			}
		}
	}
}

// wander is a guest for sessions at random: by both instructions it makes calls
// that change nothing, and it handles SIGUSR1. Whether a call is executed or
// skipped, it comes back to its head; it never runs for long without a stop.
// 64-bit.
func wander(t testing.TB) string {
	const (
		action  = guestData
		handler = guestBase + 0x700
		head    = guestBase + 0x600
	)
	jump := func(from, to int) []byte { // from is where the jump stands
		return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(to-from-5))
	}
	store := func(addr, v int) []byte { // movq $v,addr
		b := binary.LittleEndian.AppendUint32([]byte{0x48, 0xc7, 0x04, 0x25}, uint32(addr))
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	const saRestorer = 0x4000000
	int80 := int80
	if hostcan.Int80.Lacks() != nil {
		int80 = syscal
	}
	code := asm(
		store(action, handler), store(action+8, saRestorer), store(action+16, handler+0x10), store(action+24, 0),
		call(unix.SYS_RT_SIGACTION, int(unix.SIGUSR1), action, 0, 8))
	code = append(code, jump(guestBase+120+len(code), head)...)
	code = append(code, make([]byte, head-guestBase-120-len(code))...)
	body := asm(
		nop, call(unix.SYS_CLOSE, 99), []byte{0x66}, nop, callClose(99), nop, syscal, []byte{0x48}, int80,
		call(unix.SYS_GETUID), int3, []byte{0x9c, 0x58}, // pushf; pop %rax
		call(5000), []byte{0xf3, 0x0f, 0x05})
	code = append(code, body...)
	code = append(code, jump(head+len(body), head)...)
	code = append(code, make([]byte, handler-guestBase-120-len(code))...)
	code = append(code, nop...)
	code = append(code, 0xc3) // ret
	code = append(code, make([]byte, handler+0x10-guestBase-120-len(code))...)
	// The restorer. If its call is skipped, the frame stays where it is.
	code = append(code, asm(eax(unix.SYS_RT_SIGRETURN), syscal)...)
	code = append(code, jump(guestBase+120+len(code), head)...)
	return guest(t, code)
}

// session makes n requests at random and returns what was reported. Without odd,
// what LinuxRule does oddly in ModeFull is left out. With skim, strays are told by
// their place in the session and left out: what LinuxRule reports must then be
// what SeriesRule does.
func session(t testing.TB, path string, seed uint64, n int, c Config, odd, skim bool) []string {
	tr := NewTracer(c)
	defer tr.Close()
	tee := start(t, tr, path)
	sp, err := tee.PeekUser(OffRSP)
	if err != nil {
		t.Fatal(err)
	}
	if err := tee.PokeUser(OffRSP, sp&^0xfff); err != nil { // it differs from run to run
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	var log []string
	add := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	req := Cont
	var sig syscall.Signal
	emulated, stray := false, false // the tracee is at the entry of a skipped call; a report of it is due
	for len(log) < n {
		if err := tee.Resume(req, sig); err != nil {
			t.Fatal(err)
		}
		stop, err := tee.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if tee.gone.Load() {
			add("%v", stop)
			break
		}
		s, isSignal := stop.(SignalDelivery)
		_, isExit := stop.(SyscallExit)
		if stray && (isExit || isSignal && s.Signal == unix.SIGTRAP && s.Info.Code() == TrapBrkpt) {
			stray = false
			if skim {
				sig = 0
				continue
			}
		}
		_, isEntry := stop.(SyscallEnter)
		emulated = isEntry && (req == Sysemu || req == SysemuSingleStep)
		var r Regs
		if err := tee.GetRegs(&r); err != nil {
			t.Fatal(err)
		}
		add("%s; %v: rip %x rax %x orig %x rcx %x r11 %x rsp %x flags %x", req, stop,
			r.Rip, r.Rax, int64(r.Orig_rax), r.Rcx, r.R11&^0x100, r.Rsp&0xfff, r.Eflags)

		if isEntry && rnd.IntN(3) == 0 {
			values := []int{0, 7, -9, -512, -513, -514, -516}
			v := values[rnd.IntN(len(values))]
			if v <= -512 && !odd {
				v = -4
			}
			if err := tee.PokeUser(OffRAX, uint64(v)); err != nil {
				t.Fatal(err)
			}
		}
		if emulated && rnd.IntN(8) == 0 { // make the call once more
			r.Rip -= 2
			r.Rax = r.Orig_rax
			if err := tee.SetRegs(&r); err != nil {
				t.Fatal(err)
			}
		}
		sig = 0
		if rnd.IntN(6) == 0 {
			sig = []syscall.Signal{unix.SIGUSR1, unix.SIGURG}[rnd.IntN(2)]
		}
		req = allRequests[rnd.IntN(len(allRequests))]
		if e, ok := stop.(SyscallEnter); ok && e.Nr == unix.SYS_RT_SIGRETURN && !emulated && !odd && req == SysemuSingleStep {
			req = Syscall
		}
		if emulated {
			stray = req == Syscall || req == SingleStep || req == SingleBlock
		}
	}
	return log
}

// In every mode the reports are the same, and what SeriesRule reports is what
// LinuxRule does but for the strays.
func TestModesAgree(t *testing.T) {
	path := wander(t)
	seeds := uint64(25)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		for _, rule := range []Rule{LinuxRule, SeriesRule} {
			oracle := session(t, path, seed, 150, Config{Rule: rule}, rule == SeriesRule, false)
			for _, mode := range allModes[1:] {
				compare(t, fmt.Sprintf("seed %d rule %d mode %d", seed, rule, mode), oracle,
					session(t, path, seed, 150, Config{Rule: rule, Mode: mode}, rule == SeriesRule, false))
			}
		}
	}
}

func compare(t *testing.T, name string, want, got []string) {
	t.Helper()
	if i := firstDifference(want, got); i >= 0 {
		from := max(0, i-4)
		t.Errorf("%s: at %d:\nwant\n\t%s\ngot\n\t%s", name, i,
			strings.Join(want[from:min(len(want), i+1)], "\n\t"), strings.Join(got[from:min(len(got), i+1)], "\n\t"))
	}
}

func firstDifference(a, b []string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b)) - 1
	}
	return -1
}

func TestRulesDifferInStraysOnly(t *testing.T) {
	path := wander(t)
	for seed := range uint64(20) {
		series := session(t, path, seed, 150, Config{}, false, false)
		linux := session(t, path, seed, 150, Config{Rule: LinuxRule}, false, true)
		compare(t, fmt.Sprint("seed ", seed), linux, series)
		if bare := session(t, path, seed, 150, Config{Rule: LinuxRule}, false, false); slices.Equal(bare, series) {
			t.Errorf("seed %d: no stray at all", seed)
		}
	}
}
