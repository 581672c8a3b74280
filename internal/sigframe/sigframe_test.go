package sigframe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

var buildFrame = sync.OnceValues(func() (string, error) {
	return build("frame", "-static")
})

var testDir string

// build compiles a program of testdata.
func build(name string, flags ...string) (string, error) {
	path := filepath.Join(testDir, name+strings.Join(flags, ""))
	args := append([]string{"-O1", "-w", "-o", path, "testdata/" + name + ".c"}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %v\n%s", err, out)
	}
	return path, nil
}

// runParts runs a program that writes parts, each after its length; killed
// says that a signal ended it.
func runParts(t *testing.T, path string, args ...string) (parts [][]byte, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).Output()
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		killed = ee.Sys().(interface{ Signaled() bool }).Signaled()
	} else if err != nil {
		t.Fatal(err)
	}
	for len(out) >= 8 {
		n := le.Uint64(out)
		parts, out = append(parts, out[8:8+n]), out[8+n:]
	}
	return parts, killed
}

// observed is a run of testdata/frame.c.
type observed struct {
	addr   uint64
	image  []byte
	frame  abi.RtSigframe
	entry  [8]uint64
	xentry []byte
	killed bool
	after  [19]uint64
	xafter []byte
	mask   uint64
	alt    abi.StackT
}

func observe(t *testing.T, args ...string) *observed {
	t.Helper()
	path, err := buildFrame()
	if err != nil {
		t.Skip(err)
	}
	parts, killed := runParts(t, path, args...)
	o := &observed{killed: killed}
	if len(parts) < 4 || !killed && len(parts) != 8 {
		t.Fatalf("%v: %d parts, killed %v", args, len(parts), killed)
	}
	o.addr, o.image, o.xentry = le.Uint64(parts[0]), parts[1], parts[3]
	copy(abi.Bytes(&o.frame), o.image)
	for i := range o.entry {
		o.entry[i] = le.Uint64(parts[2][8*i:])
	}
	if !killed {
		for i := range o.after {
			o.after[i] = le.Uint64(parts[4][8*i:])
		}
		o.xafter, o.mask = parts[5], le.Uint64(parts[6])
		copy(abi.Bytes(&o.alt), parts[7])
	}
	return o
}

func (o *observed) fp() []byte { return o.image[o.frame.UC.Mcontext.Fpstate-o.addr:] }

// cpu is the host's.
func (o *observed) cpu() *CPU {
	var sw abi.FpxSWBytes
	copy(abi.Bytes(&sw), o.fp()[abi.FpxSWBytesOffset:])
	return &CPU{Features: sw.Xfeatures, Size: int(sw.XstateSize), MXCSRMask: le.Uint32(o.fp()[28:])}
}

func (o *observed) regs() Regs {
	m := &o.frame.UC.Mcontext
	return Regs{
		R8: m.R8, R9: m.R9, R10: m.R10, R11: m.R11, R12: m.R12, R13: m.R13, R14: m.R14, R15: m.R15,
		Rdi: m.Rdi, Rsi: m.Rsi, Rbp: m.Rbp, Rbx: m.Rbx, Rdx: m.Rdx, Rax: m.Rax, Rcx: m.Rcx, Rsp: m.Rsp,
		Rip: m.Rip, Eflags: m.Eflags, Cs: uint64(m.Cs), Ss: uint64(m.Ss),
	}
}

// changed is the memory of the frame after the handler's changes.
func (o *observed) changed(t *testing.T, args []string) Read {
	t.Helper()
	mem := bytes.Clone(o.image)
	for _, a := range args {
		var at, value uint64
		b := mem
		if n, _ := fmt.Sscanf(a, "move=%v", &value); n == 1 {
			fpAt := o.frame.UC.Mcontext.Fpstate - o.addr
			mem = append(mem, make([]byte, value)...)
			copy(mem[fpAt+value:], bytes.Clone(mem[fpAt:]))
			le.PutUint64(mem[8+40+8*23:], o.addr+fpAt+value)
			continue
		}
		if rest, ok := strings.CutPrefix(a, "fp"); ok {
			b, a = mem[o.frame.UC.Mcontext.Fpstate-o.addr:], rest
		}
		if n, _ := fmt.Sscanf(a, "%v=%v", &at, &value); n == 2 {
			le.PutUint64(b[at:], value)
		} else if n, _ := fmt.Sscanf(a, "%v:%v", &at, &value); n == 2 {
			le.PutUint32(b[at:], uint32(value))
		}
	}
	return func(addr uint64, p []byte) error {
		if addr < o.addr || addr-o.addr > uint64(len(mem)) || uint64(len(p)) > uint64(len(mem))-(addr-o.addr) {
			return unix.EFAULT
		}
		copy(p, mem[addr-o.addr:])
		return nil
	}
}

// TestBuild compares frames with those that the host makes for the same
// registers.
func TestBuild(t *testing.T) {
	for _, args := range [][]string{{}, {"alt"}, {"disarm"}, {"plain"}, {"user"}, {"user", "alt"}, {"segv"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			o := observe(t, args...)
			m := &o.frame.UC.Mcontext
			d := Delivery{
				CPU: o.cpu(), Signal: int(unix.SIGILL), Info: o.frame.Info,
				Action: abi.Sigaction{Handler: 0x1234, Restorer: o.frame.Pretcode, Flags: abi.SA_RESTORER | abi.SA_SIGINFO},
				Mask:   1<<14 | 1<<39,
				Alt:    o.frame.UC.Stack,
				Regs:   o.regs(),
				XState: bytes.Clone(o.fp()[:o.cpu().Size]),
				Err:    m.Err, TrapNo: m.Trapno, CR2: m.Cr2,
			}
			clear(d.XState[abi.FpxSWBytesOffset:bvAt])
			for _, a := range args {
				switch a {
				case "alt", "disarm":
					d.Action.Flags |= abi.SA_ONSTACK
				case "plain":
					d.Action.Flags &^= abi.SA_SIGINFO
				case "user":
					d.Signal = int(unix.SIGUSR1)
				case "segv":
					d.Signal = int(unix.SIGSEGV)
					if m.Trapno != 14 || m.Cr2 == 0 || m.Err != 6 {
						t.Errorf("trap %d cr2 %x err %d", m.Trapno, m.Cr2, m.Err)
					}
				}
			}
			f, err := d.Build()
			if err != nil {
				t.Fatal(err)
			}
			if f.Addr != o.addr {
				t.Fatalf("frame at %x, host %x", f.Addr, o.addr)
			}
			var frame abi.RtSigframe
			copy(abi.Bytes(&frame), f.Image)
			if d.Action.Flags&abi.SA_SIGINFO == 0 {
				o.frame.Info = abi.Siginfo{} // the host leaves what was there
			}
			if d := cmp.Diff(o.frame, frame, cmp.Exporter(exportAll)); d != "" {
				t.Errorf("frame: host -, ours +\n%s", d)
			}
			fpAt := m.Fpstate - o.addr
			host, our := o.image[fpAt:], f.Image[fpAt:]
			if len(host) != len(our) {
				t.Fatalf("%d bytes of state, host %d", len(our), len(host))
			}
			clear(host[xmmEnd:abi.FpxSWBytesOffset]) // reserved: nobody writes
			clear(our[xmmEnd:abi.FpxSWBytesOffset])
			for i := range host {
				if host[i] != our[i] {
					t.Errorf("state at %d: %x, host %x", i, our[i], host[i])
				}
			}

			r := &f.Regs
			got := [8]uint64{r.Rdi, r.Rsi, r.Rdx, r.Rax, r.Rsp, r.Eflags, r.Cs, r.Ss}
			got[5] |= o.entry[5] & (1 << 9) // IF is the host's own
			if got != o.entry || r.Rip != 0x1234 {
				t.Errorf("registers %x, host %x", got, o.entry)
			}
			if want := normal(o.cpu(), o.xentry); !bytes.Equal(want, normal(o.cpu(), d.CPU.Init())) {
				t.Errorf("the handler begins with other state:\n% x", want)
			}
		})
	}
}

func exportAll(reflect.Type) bool { return true }

// normal is state with what is not marked as there set to its initial value,
// and without the marks.
func normal(c *CPU, x []byte) []byte {
	x = bytes.Clone(x[:c.Size])
	bv := le.Uint64(x[bvAt:])
	clear(x[xmmEnd:minXState])
	le.PutUint32(x[28:], 0)
	if bv&featureFP == 0 {
		mxcsr := le.Uint32(x[mxcsrAt:])
		clear(x[:xmmAt])
		le.PutUint16(x[fcwAt:], fcwInit)
		le.PutUint32(x[mxcsrAt:], mxcsr)
	}
	if bv&featureSSE == 0 {
		clear(x[xmmAt:xmmEnd])
	}
	if bv&featureYMM == 0 && len(x) >= minXState+256 {
		clear(x[minXState : minXState+256])
	}
	if bv>>3 == 0 && len(x) > minXState+256 {
		clear(x[minXState+256:])
	}
	return x
}

// TestReturn lets the host return from frames that were tampered with, and
// compares where that leads.
func TestReturn(t *testing.T) {
	const (
		mc      = 8 + 40 // of the frame
		fpAt    = mc + 8*23
		sigmask = mc + 256
		sw      = abi.FpxSWBytesOffset

		misalignedFX = "state moved to where it is not aligned for fxsave"
	)
	set := func(at, v uint64) string { return fmt.Sprintf("%d=%#x", at, v) }
	for _, c := range []struct {
		name   string
		args   []string
		killed bool
	}{
		{"plain", nil, false},
		{"on another stack", []string{"alt"}, false},
		{"disarmed", []string{"disarm"}, false},
		{"from kill", []string{"user"}, false},
		{"eflags", []string{set(mc+8*17, 0x3ffeff&^(1<<18))}, false},
		{"eflags 0", []string{set(mc+8*17, 0)}, false},
		{"registers", []string{set(mc, 1), set(mc+8, 2), set(mc+8*8, 3), set(mc+8*13, ^uint64(0))}, false},
		{"mask", []string{set(sigmask, ^uint64(0))}, false},
		{"ss", []string{fmt.Sprintf("%d:%#x", mc+8*18+4, 0x28<<16)}, false},
		{"ss null, not strict", []string{set(8, 3), fmt.Sprintf("%d:%#x", mc+8*18+4, 0)}, false},
		{"cs without its privilege", []string{fmt.Sprintf("%d:%#x", mc+8*18, 0x30)}, false},
		{"no state", []string{set(fpAt, 0)}, false},
		{"state nowhere", []string{set(fpAt, 0x10)}, true},
		{"state in the kernel", []string{set(fpAt, 0xffff888000000000)}, true},
		{"state moved to where it is not aligned", []string{"move=8"}, true},
		{misalignedFX, []string{"move=40", fmt.Sprintf("fp%d:1", 40+sw)}, true},
		{"state of fxsave moved", []string{"move=16", fmt.Sprintf("fp%d:1", 16+sw)}, false},
		{"mxcsr", []string{"fp24:0x9fc0"}, false},
		{"mxcsr reserved", []string{"fp24:0xffffffff"}, true},
		{"fcw", []string{"fp0:0x17f"}, false},
		{"magic1", []string{fmt.Sprintf("fp%d:1", sw)}, false},
		{"magic1, mxcsr reserved", []string{fmt.Sprintf("fp%d:1", sw), "fp24:0xffffffff"}, true},
		{"size small", []string{fmt.Sprintf("fp%d:575", sw+16)}, false},
		{"size large", []string{fmt.Sprintf("fp%d:100000", sw+16)}, false},
		{"size negative", []string{fmt.Sprintf("fp%d:0xffffffff", sw+16)}, false},
		{"size not that of magic2", []string{fmt.Sprintf("fp%d:576", sw+16)}, false},
		{"extended size small", []string{fmt.Sprintf("fp%d:600", sw+4)}, false},
		{"header alone", []string{fmt.Sprintf("fp%d:576", sw+16), fmt.Sprintf("fp576:%#x", abi.FP_XSTATE_MAGIC2), fmt.Sprintf("fp%d:3", sw+8)}, false},
		{"xfeatures fp sse", []string{fmt.Sprintf("fp%d=3", sw+8)}, false},
		{"xfeatures ymm alone", []string{fmt.Sprintf("fp%d=4", sw+8)}, false},
		{"xfeatures none", []string{fmt.Sprintf("fp%d=0", sw+8)}, false},
		{"xfeatures x87 alone", []string{fmt.Sprintf("fp%d=1", sw+8)}, false},
		{"xfeatures all", []string{fmt.Sprintf("fp%d=0xffffffffffffffff", sw+8)}, false},
		{"xstate_bv none", []string{"fp512=0"}, false},
		{"xstate_bv x87", []string{"fp512=1"}, false},
		{"xstate_bv sse", []string{"fp512=2"}, false},
		{"xstate_bv ymm", []string{"fp512=4"}, false},
		{"xstate_bv reserved", []string{"fp512=0x8000000000000007"}, true},
		{"xstate_bv supervisor", []string{"fp512=0x107"}, true},
		{"xcomp_bv", []string{"fp520=1"}, true},
		{"xcomp_bv compacted", []string{"fp520=0x8000000000000007"}, true},
		{"header reserved low", []string{"fp528=1"}, true},
		{"header reserved high", []string{"fp568=1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observe(t, c.args...)
			if c.name == misalignedFX && !o.killed {
				t.Skip("this host's FXRSTOR does not mind where the state is, as the processor manuals say it must")
			}
			if o.killed != c.killed {
				t.Fatalf("host: killed %v", o.killed)
			}
			cpu := o.cpu()
			args := c.args
			now := o.regs()
			now.Rsp = o.addr + 8
			now.Eflags = 0x202
			now.Cs, now.Ss = userCS, userDS
			got, err := cpu.Return(&now, o.changed(t, args))
			if (err != nil) != c.killed || err != nil && err != unix.EFAULT {
				t.Fatalf("Return: %v", err)
			}
			if err != nil {
				return
			}
			r := &got.Regs
			regs := [19]uint64{r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp, r.Rsp, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Eflags, r.Cs, r.Ss}
			const rf = 1 << 16 // pushf does not tell
			if regs[16]&^rf != o.after[16] {
				t.Errorf("eflags %x, host %x", regs[16], o.after[16])
			}
			regs[16] = o.after[16]
			if regs != o.after {
				t.Errorf("registers\n%x, host\n%x", regs, o.after)
			}
			if got.Mask != o.mask {
				t.Errorf("mask %x, host %x", got.Mask, o.mask)
			}
			alt := got.Alt
			if d := cmp.Diff(o.alt, alt, cmp.Exporter(exportAll)); d != "" && alt.Size != 0 {
				t.Errorf("alternate stack: host -, ours +\n%s", d)
			}
			want, have := normal(cpu, o.xafter), normal(cpu, got.XState)
			for i := range want {
				if want[i] != have[i] {
					t.Errorf("state at %d: %x, host %x", i, have[i], want[i])
				}
			}
		})
	}
}

func testDelivery() *Delivery {
	cpu := &CPU{Features: 7, Size: 832}
	return &Delivery{
		CPU: cpu, Signal: 10, Action: abi.Sigaction{Handler: 1, Restorer: 2, Flags: abi.SA_RESTORER | abi.SA_ONSTACK},
		Regs: Regs{Rsp: 0x7fff0000, Cs: userCS, Ss: userDS}, XState: cpu.Init(),
	}
}

func TestBuildRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		mod  func(d *Delivery)
		want error
	}{
		{"good", func(d *Delivery) {}, nil},
		{"no restorer", func(d *Delivery) { d.Action.Flags = 0 }, unix.EFAULT},
		{"stack at 0", func(d *Delivery) { d.Regs.Rsp = 0 }, nil}, // whoever writes it faults
		{"stack below the frame", func(d *Delivery) { d.Regs.Rsp = 1000 }, unix.EFAULT},
		{"alternate stack too small", func(d *Delivery) { d.Alt = abi.StackT{Sp: 0x1000, Size: 1200} }, unix.EFAULT},
		{"alternate stack overflows", func(d *Delivery) {
			d.Alt = abi.StackT{Sp: 0x1000, Size: 8192}
			d.Regs.Rsp = 0x1400
		}, unix.EFAULT},
		{"nested without SA_ONSTACK", func(d *Delivery) {
			d.Action.Flags &^= abi.SA_ONSTACK
			d.Alt = abi.StackT{Sp: 0x1000, Size: 8192}
			d.Regs.Rsp = 0x1400
		}, unix.EFAULT},
		{"alternate stack wraps", func(d *Delivery) { d.Alt = abi.StackT{Sp: ^uint64(0) - 100, Size: 200} }, unix.EFAULT},
	} {
		d := testDelivery()
		c.mod(d)
		if _, err := d.Build(); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzReturn(f *testing.F) {
	d := testDelivery()
	fr, err := d.Build()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fr.Image, uint64(0), uint64(0))
	f.Add(fr.Image, uint64(unsafe.Offsetof(abi.RtSigframe{}.UC)), ^uint64(0))
	f.Fuzz(func(t *testing.T, image []byte, at, value uint64) {
		image = bytes.Clone(image)
		if at+8 <= uint64(len(image)) && at+8 >= 8 {
			le.PutUint64(image[at:], value)
		}
		read := func(addr uint64, p []byte) error {
			if addr < fr.Addr || addr-fr.Addr > uint64(len(image)) || uint64(len(p)) > uint64(len(image))-(addr-fr.Addr) {
				return unix.EFAULT
			}
			copy(p, image[addr-fr.Addr:])
			return nil
		}
		regs := fr.Regs
		regs.Rsp += 8
		got, err := d.CPU.Return(&regs, read)
		if err != nil {
			return
		}
		if got.Regs.Cs&3 != 3 || got.Regs.Ss&3 != 3 || got.Regs.Eflags&^uint64(eflagsRestored) != regs.Eflags&^uint64(eflagsRestored) {
			t.Errorf("registers %+v", got.Regs)
		}
		if got.Mask&unblockable != 0 || le.Uint64(got.XState[bvAt:])&^d.CPU.Features != 0 {
			t.Errorf("%+v", got)
		}
	})
}
