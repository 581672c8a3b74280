package ptrace

// The probe of guest/ptrace, once more over this package: what it printed natively is played again, request by request, on
// tracees that run the same code, and each report has to be what was printed. With SeriesRule, it is what the probe prints
// when it leaves out the stray reports.

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

// A probeFile is a program of guest/ptrace, with where everything is in it.
type probeFile struct {
	path   string
	bits   int
	places []probePlace
	stack  probePlace
}

type probePlace struct {
	name     string
	from, to uint64
}

// The tests that are played: those that need nothing done to their tracees but what is printed.
var probed = map[string][]string{
	"matrix": {"entry", "entry_vsyscall", "entry80", "turns", "turns80", "exit", "exit80", "signal", "signal_along", "step", "int3",
		"interrupt", "interrupt_running", "group_stop", "listen"},
	"registers": {"result", "failure", "no_call", "no_call_result", "other_call", "unknown_call", "again", "at_exit"},
}

func TestProbe(t *testing.T) {
	if testing.Short() {
		t.Skip("the probe is not run with -short")
	}
	for _, bits := range []int{64, 32} {
		for _, name := range []string{"matrix", "registers"} {
			t.Run(fmt.Sprintf("%s %d", name, bits), func(t *testing.T) {
				p := newProbe(t, name, bits)
				for _, test := range probed[name] {
					if !slices.Contains(p.tests(t), test) {
						continue
					}
					t.Run(test, func(t *testing.T) {
						p.replay(t, p.run(t, test), Config{Rule: LinuxRule})
						series := p.run(t, "skip", test)
						for _, mode := range []Mode{ModeFull, ModeNullify} {
							p.replay(t, series, Config{Mode: mode})
						}
					})
				}
			})
		}
	}
}

func newProbe(t *testing.T, name string, bits int) *probeFile {
	if bits == 32 {
		hostcan.Need(t, hostcan.Run32)
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed (.ci/run installs it)")
	}
	p := &probeFile{path: filepath.Join(t.TempDir(), name), bits: bits}
	if out, err := exec.Command(gcc, fmt.Sprint("-m", bits), "-O1", "-w", "-static", "-no-pie", "-pthread", "-o", p.path,
		"../guest/ptrace/"+name+".c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	for _, line := range p.run(t, "labels") {
		var l probePlace
		if _, err := fmt.Sscanf(line, "%s 0x%x 0x%x", &l.name, &l.from, &l.to); err != nil {
			t.Fatal(line, err)
		}
		if l.name == "stack" {
			p.stack = l
		} else {
			p.places = append(p.places, l)
		}
	}
	return p
}

func (p *probeFile) run(t *testing.T, args ...string) []string {
	out, err := exec.Command(p.path, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func (p *probeFile) tests(t *testing.T) []string { return p.run(t) }

var probeRequests = map[string]Request{
	"CONT": Cont, "SYSCALL": Syscall, "SYSEMU": Sysemu, "SYSEMU_STEP": SysemuSingleStep, "STEP": SingleStep, "BLOCK": SingleBlock,
}

var probeSignals = map[string]syscall.Signal{
	"USR1": unix.SIGUSR1, "URG": unix.SIGURG, "STOP": unix.SIGSTOP, "TSTP": unix.SIGTSTP, "CONT": unix.SIGCONT,
}

// replay plays each scenario that has TraceSysGood, which a Tracer always has.
func (p *probeFile) replay(t *testing.T, lines []string, c Config) {
	t.Helper()
	played := 0
	for at := 1; at < len(lines); { // the first is the test's name
		end := at + 1
		for end < len(lines) && strings.HasPrefix(lines[end], "  ") {
			end++
		}
		if scenario := lines[at:end]; strings.HasSuffix(scenario[0], " sysgood") {
			played++
			if i, got := p.play(t, scenario, c); i > 0 {
				t.Errorf("%+v: %s\nwant\n%s\ngot\n  %s", c, scenario[0], strings.Join(scenario[1:i+1], "\n"), got)
			}
		}
		at = end
	}
	if played == 0 {
		t.Error("no scenarios")
	}
}

// play plays a scenario. When a report is not as printed, it answers which and what it is.
func (p *probeFile) play(t *testing.T, scenario []string, c Config) (differs int, got string) {
	tr := NewTracer(c)
	defer tr.Close()
	tee := start(t, tr, p.path, "tracee")
	stop := next(t, tee, Cont)
	want(t, stop, "signal SIGTRAP code 128")
	label := strings.Fields(scenario[0][strings.Index(scenario[0], ": at "):])[2]
	p.put(t, tee, label)
	wait := func() {
		var err error
		if stop, err = tee.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for i, line := range scenario[1:] {
		line = line[2:]
		do, report, reported := strings.Cut(line, ": ")
		switch {
		case do == "CONT, INTERRUPT":
			if err := tee.Resume(Cont, 0); err != nil {
				t.Fatal(err)
			}
			if err := tee.Interrupt(); err != nil {
				t.Fatal(err)
			}
			wait()
		case do == "INTERRUPT":
			if err := tee.Interrupt(); err != nil {
				t.Fatal(err)
			}
		case do == "LISTEN, kill CONT":
			if err := tee.Listen(); err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(tee.PID(), unix.SIGCONT); err != nil {
				t.Fatal(err)
			}
			wait()
		case strings.HasPrefix(do, "kill "):
			if err := tee.Signal(probeSignals[do[5:]]); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(do, "at "):
			p.put(t, tee, do[3:])
		case strings.HasPrefix(do, "ax = "), strings.HasPrefix(do, "orig = "), do == "back to the instruction":
			p.write(t, tee, do)
		default:
			name, along, _ := strings.Cut(do, "+")
			req, ok := probeRequests[name]
			if !ok {
				t.Fatalf("what is %q?", line)
			}
			if err := tee.Resume(req, probeSignals[along]); err != nil {
				t.Fatal(err)
			}
			wait()
		}
		if !reported {
			continue
		}
		s := p.show(t, tee, stop)
		if c.Mode != ModeFull { // the trap flag of a step onto a call: see Mode
			s, report = strings.ReplaceAll(s, "r11 302", "r11 202"), strings.ReplaceAll(report, "r11 302", "r11 202")
		}
		if s != report {
			return i + 1, do + ": " + s
		}
	}
	return 0, ""
}

// put sets a tracee's registers as the probe does.
func (p *probeFile) put(t *testing.T, tee *Tracee, label string) {
	t.Helper()
	name, distance, _ := strings.Cut(label, "+")
	off, err := strconv.Atoi(distance)
	if err != nil {
		t.Fatal(label, err)
	}
	i := slices.IndexFunc(p.places, func(l probePlace) bool { return l.name == name })
	if i < 0 {
		t.Fatalf("no label %s", label)
	}
	var r Regs
	if err := tee.GetRegs(&r); err != nil {
		t.Fatal(err)
	}
	r.Rip, r.Rsp, r.Eflags, r.Orig_rax, r.Rax = p.places[i].from+uint64(off), p.stack.to, 0x202, ^uint64(0), 0xa0
	r.Rdi, r.Rbx, r.Rcx, r.Rsi, r.Rdx, r.R10, r.R8, r.R9, r.Rbp = 99, 99, 0xc0, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77
	r.R11, r.R12, r.R13, r.R14, r.R15 = 0xb1, 0, 0, 0, 0
	if p.bits == 32 {
		r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp = 99, 0x22222222, 0x33, 0x44, 0x55, 0x66
	}
	if err := tee.SetRegs(&r); err != nil {
		t.Fatal(err)
	}
}

// write does what the probe says that it wrote.
func (p *probeFile) write(t *testing.T, tee *Tracee, do string) {
	t.Helper()
	var r Regs
	if err := tee.GetRegs(&r); err != nil {
		t.Fatal(err)
	}
	if do == "back to the instruction" {
		r.Rip -= 2
		r.Rax = r.Orig_rax
	} else {
		reg, value, _ := strings.Cut(do, " = ")
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if reg == "ax" {
			r.Rax = uint64(v)
		} else {
			r.Orig_rax = uint64(v)
		}
	}
	if err := tee.SetRegs(&r); err != nil {
		t.Fatal(err)
	}
}

// show prints a stop as the probe does.
func (p *probeFile) show(t *testing.T, tee *Tracee, stop Stop) string {
	t.Helper()
	abbreviation := func(s syscall.Signal) string { return strings.TrimPrefix(unix.SignalName(s), "SIG") }
	var b strings.Builder
	switch s := stop.(type) {
	case Exited:
		return fmt.Sprintf("exited %d", s.Code)
	case Signaled:
		return "killed by " + abbreviation(s.Signal)
	case SyscallEnter, SyscallExit:
		b.WriteString("TRAP|80")
	case SignalDelivery:
		b.WriteString(abbreviation(s.Signal))
	case GroupStop:
		b.WriteString(abbreviation(s.Signal) + " event stop")
	case Event:
		b.WriteString("TRAP event " + s.Kind.String())
	}
	var r Regs
	if err := tee.GetRegs(&r); err != nil {
		t.Fatal(err)
	}
	num := func(v uint64) string {
		if p.bits == 32 {
			return strconv.Itoa(int(int32(v)))
		}
		return strconv.Itoa(int(v))
	}
	fmt.Fprintf(&b, " at %s ax %s orig %s", p.place(r.Rip), num(r.Rax), num(r.Orig_rax))
	if p.bits == 32 {
		fmt.Fprintf(&b, " cx %s dx %x bp %x", num(r.Rcx), r.Rdx, r.Rbp)
	} else {
		cx := "unchanged"
		if r.Rcx != 0xc0 {
			cx = p.place(r.Rcx)
		}
		fmt.Fprintf(&b, " cx %s r11 %x", cx, r.R11)
	}
	fmt.Fprintf(&b, " flags %x sp %s", r.Eflags, p.depth(r.Rsp))

	var si SigInfo
	if err := tee.GetSigInfo(&si); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "; si %d %d/%d ", si.Signo(), si.Code(), si.Errno())
	switch {
	case si.Signo() == int32(unix.SIGTRAP) && (si.Code() == TrapBrkpt || si.Code() == TrapTrace || si.Code() == SIKernel):
		b.WriteString(p.place(si.Addr()))
	case si.PID() == int32(tee.PID()):
		b.WriteString("by tracee")
	case si.PID() == int32(unix.Getpid()):
		b.WriteString("by tracer")
	default:
		fmt.Fprintf(&b, "by %d", si.PID())
	}
	msg, err := GetEventMsg(tee.PID())
	if err != nil {
		t.Fatal(err)
	}
	var info SyscallInfo
	if err := tee.GetSyscallInfo(&info); err != nil {
		t.Fatal(err)
	}
	size := map[uint8]int{OpEntry: 80, OpExit: 33}[info.Op]
	if size == 0 {
		size = 24
	}
	arch := "i386"
	if info.Arch == abi.AMD64 {
		arch = "x86-64"
	}
	fmt.Fprintf(&b, "; msg %d; info %d op %d %s at %s sp %s", msg, size, info.Op, arch, p.place(info.IP), p.depth(info.SP))
	switch info.Op {
	case OpEntry:
		fmt.Fprintf(&b, " nr %d", int64(info.Nr()))
		for _, a := range info.Args() {
			if a-p.stack.from < 65536 {
				b.WriteString(" stack")
			} else {
				fmt.Fprintf(&b, " %x", a)
			}
		}
	case OpExit:
		failed := 0
		if info.Failed() {
			failed = 1
		}
		fmt.Fprintf(&b, " = %d %d", info.Ret(), failed)
	}
	return b.String()
}

func (p *probeFile) place(at uint64) string {
	for _, l := range p.places {
		if l.name != "vsys" && at >= l.from && at < l.to {
			return fmt.Sprintf("%s+%d", l.name, at-l.from)
		}
	}
	for _, l := range p.places { // after the others, as the probe does
		if l.name == "vsys" && at-l.from < 64 {
			return fmt.Sprintf("%s+%d", l.name, at-l.from)
		}
	}
	return "elsewhere"
}

func (p *probeFile) depth(sp uint64) string {
	switch d := int64(p.stack.to - sp); {
	case d > 256 && d < 65536:
		return "frame"
	case d > -4096 && d <= 256:
		return strconv.Itoa(int(d))
	}
	return "elsewhere"
}
