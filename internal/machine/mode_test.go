package machine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

var allModes = []Mode{Nullify, Sysemu, SysemuStep}

// inEachMode runs f with one CPU in each mode.
func inEachMode(t *testing.T, f func(t *testing.T, c *CPU)) {
	for _, mode := range allModes {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			onCPU(t, func(c *CPU) {
				c.m.SetMode(mode)
				f(t, c)
				if c.m.Mode() != mode {
					t.Errorf("the mode has become %d", c.m.Mode())
				}
			})
		})
	}
}

// munmapLoop unmaps its data page over and over, which the filter would allow:
// mov $11,%eax; mov $0x401000,%edi; mov $4096,%esi; syscall; jmp back.
var munmapLoop = []byte{0xb8, 11, 0, 0, 0, 0xbf, 0, 0x10, 0x40, 0, 0xbe, 0, 0x10, 0, 0, 0x0f, 0x05, 0xeb, 0xed}

// In no mode, and not while modes change, does the host execute a guest's call.
func TestNoCallReachesTheHost(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, munmapLoop)
		defer th.Destroy()
		rnd := rand.New(rand.NewPCG(1, 2))
		seen := 0
		for i := range 3000 {
			c.m.SetMode(allModes[rnd.IntN(3)])
			run := th.Run
			if rnd.IntN(2) == 0 {
				run = th.Step
			}
			ev := run()
			switch {
			case ev.Kind == Syscall:
				if r := th.Regs(); r.Orig_rax != 11 || r.Rip != codeAddr+17 || r.Rdi != codeAddr+pageSize || ev.Arch != abi.AMD64 {
					t.Fatalf("%d: %+v, nr %d at %#x", i, ev, r.Orig_rax, r.Rip)
				}
				seen++
				switch rnd.IntN(4) {
				case 0:
					th.SetResult(uint64(i))
				case 1:
					th.SetResult(^uint64(511)) // as ERESTARTSYS
				case 2: // the host does something else meanwhile
					if _, err := th.Do(Mprotect(codeAddr+pageSize, pageSize, unix.PROT_READ|unix.PROT_WRITE)); err != nil {
						t.Fatalf("%d: %v", i, err)
					}
				case 3:
					child, err := th.Fork()
					if err != nil {
						t.Fatal(err)
					}
					if ev := child.Run(); ev.Kind != Syscall || child.Regs().Orig_rax != 11 {
						t.Errorf("%d: the child: %+v, nr %d", i, ev, child.Regs().Orig_rax)
					}
					child.Destroy()
				}
			case ev.Kind == Fault && ev.Signal == int(unix.SIGTRAP) && ev.Code == ptrace.TrapTrace:
			default:
				t.Fatalf("%d: %+v", i, ev)
			}
			if th.Regs().Eflags&flagTF != 0 {
				t.Fatalf("%d: the trap flag is left", i)
			}
		}
		if seen < 1000 {
			t.Errorf("only %d calls", seen)
		}
		var b [1]byte
		if _, err := th.ReadMem(codeAddr+pageSize, b[:]); err != nil {
			t.Errorf("the page that the guest wanted unmapped: %v", err)
		}
	})
}

func TestCallsInEachMode(t *testing.T) {
	inEachMode(t, func(t *testing.T, c *CPU) {
		th := load(t, c, callLoop)
		defer th.Destroy()
		for i := range 100 {
			if ev := th.Run(); ev.Kind != Syscall || ev.Arch != abi.AMD64 || th.Regs().Orig_rax != 110 || th.Regs().Rip != codeAddr+7 {
				t.Fatalf("%d: %+v, nr %d at %#x", i, ev, th.Regs().Orig_rax, th.Regs().Rip)
			}
			th.SetResult(uint64(i))
			if i%10 == 0 {
				th.Kick()
				if ev := th.Run(); ev.Kind != Kicked || th.Regs().Rax != uint64(i) {
					t.Fatalf("%d: %+v, rax %d", i, ev, th.Regs().Rax)
				}
			}
		}
	})
}

// steps runs code by Step in each mode, up to its ud2, and compares what is
// reported, and the registers then: they do not depend on the mode.
func steps(t *testing.T, code []byte) {
	var oracle []string
	for _, mode := range []Mode{SysemuStep, Sysemu, Nullify} {
		var log []string
		onCPU(t, func(c *CPU) {
			c.m.SetMode(mode)
			th := load(t, c, append(code, 0x0f, 0x0b))
			defer th.Destroy()
			for range 40 {
				ev := th.Step()
				r := *th.Regs()
				if ev.Kind == Syscall {
					th.SetResult(7)
				}
				log = append(log, fmt.Sprintf("%+v: rip %x rax %x rcx %x r11 %x rsp %x flags %x", ev, r.Rip, r.Rax, r.Rcx, r.R11, r.Rsp, r.Eflags))
				if ev.Kind == Fault && ev.Signal == int(unix.SIGILL) {
					return
				}
			}
			t.Errorf("mode %d: no end", mode)
		})
		if oracle == nil {
			oracle = log
		}
		for i := range max(len(oracle), len(log)) {
			if i >= len(log) || i >= len(oracle) || log[i] != oracle[i] {
				t.Errorf("mode %d, from step %d on:\n%s\nand not\n%s", mode, i,
					strings.Join(log[min(i, len(log)):], "\n"), strings.Join(oracle[min(i, len(oracle)):], "\n"))
				break
			}
		}
	}
}

func TestStepInEachMode(t *testing.T) {
	steps(t, []byte{
		0xb8, 110, 0, 0, 0, // mov $110,%eax
		0x0f, 0x05, // syscall
		0x90,       // nop
		0x9c, 0x58, // pushf; pop %rax
		0x50, 0x9d, // push %rax; popf: TF is in it
		0x90, 0x90,
		0x9c, 0x58, // pushf; pop %rax
		0xcc,             // int3
		0x48, 0x0f, 0x05, // syscall with a prefix
	})
}

func TestStepByInt80InEachMode(t *testing.T) {
	has := false
	onCPU(t, func(c *CPU) {
		th := load(t, c, []byte{0xb8, 64, 0, 0, 0, 0xcd, 0x80})
		defer th.Destroy()
		has = th.Run().Kind == Syscall
	})
	if !has {
		t.Skip("this host has no int $0x80")
	}
	steps(t, []byte{0xb8, 64, 0, 0, 0, 0xcd, 0x80, 0x90, 0xcd, 0x80})
}

// A step over popf without TF in what it loads leaves no TF.
func TestStepOverPopf(t *testing.T) {
	for _, mode := range []Mode{Sysemu, Nullify} {
		onCPU(t, func(c *CPU) {
			c.m.SetMode(mode)
			th := load(t, c, []byte{0x6a, 2, 0x9d, 0x90, 0x68, 2, 1, 0, 0, 0x9d, 0x90, 0x6a, 2, 0x9d, 0x90}) // push, popf, nop
			defer th.Destroy()
			for i, tf := range []uint64{0, 0, 0, 0, flagTF, flagTF, flagTF, 0, 0} {
				if ev := th.Step(); ev.Kind != Fault || ev.Signal != int(unix.SIGTRAP) || th.Regs().Eflags&flagTF != tf {
					t.Errorf("mode %d, step %d: %+v, flags %#x", mode, i, ev, th.Regs().Eflags)
				}
			}
		})
	}
}

func TestLower(t *testing.T) {
	m := New()
	lacking := &ptrace.Error{}
	if m.lower(ptrace.Sysemu, lacking) || m.Mode() != SysemuStep {
		t.Error("lowered for some other error")
	}
}
