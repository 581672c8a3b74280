package sigframe

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

var buildFrame32 = sync.OnceValues(func() (string, error) {
	return build("frame32", "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector", "-mno-sse")
})

// observed32 is a run of testdata/frame32.c.
type observed32 struct {
	rt     bool
	addr   uint64
	image  []byte
	sc     abi.Sigcontext32
	entry  []uint32
	xentry []byte
	killed bool
	after  []uint32
	xafter []byte
	mask   uint64
}

func words(b []byte) (w []uint32) {
	for ; len(b) >= 4; b = b[4:] {
		w = append(w, le.Uint32(b))
	}
	return w
}

func observe32(t *testing.T, args ...string) *observed32 {
	t.Helper()
	hostcan.Need(t, hostcan.Run32)
	path, err := buildFrame32()
	if err != nil {
		t.Skip(err)
	}
	parts, killed := runParts(t, path, args...)
	o := &observed32{killed: killed, rt: slices.Contains(args, "rt")}
	if len(parts) < 4 || !killed && len(parts) != 7 {
		t.Skipf("%v: %d parts, killed %v: the host has no i386, or no AVX", args, len(parts), killed)
	}
	o.addr, o.image, o.entry, o.xentry = uint64(le.Uint32(parts[0])), parts[1], words(parts[2]), parts[3]
	if !killed {
		o.after, o.xafter, o.mask = words(parts[4]), parts[5], le.Uint64(parts[6])
	}
	if o.rt {
		var f abi.RtSigframe32
		copy(abi.Bytes(&f), o.image)
		o.sc = f.UC.Mcontext
	} else {
		var f abi.Sigframe32
		copy(abi.Bytes(&f), o.image)
		o.sc = f.SC
	}
	return o
}

func (o *observed32) fpAt() uint64 { return uint64(o.sc.Fpstate) - o.addr }

func (o *observed32) xstate() []byte { return o.image[o.fpAt()+uint64(fsaveSize):] }

func (o *observed32) cpu() *CPU {
	var sw abi.FpxSWBytes
	copy(abi.Bytes(&sw), o.xstate()[abi.FpxSWBytesOffset:])
	return &CPU{Features: sw.Xfeatures, Size: int(sw.XstateSize), MXCSRMask: le.Uint32(o.xstate()[28:])}
}

func (o *observed32) regs() Regs {
	m := &o.sc
	return Regs{
		Rdi: uint64(m.Edi), Rsi: uint64(m.Esi), Rbp: uint64(m.Ebp), Rbx: uint64(m.Ebx), Rdx: uint64(m.Edx), Rax: uint64(m.Eax), Rcx: uint64(m.Ecx),
		Rsp: uint64(m.Esp), Rip: uint64(m.Eip), Eflags: uint64(m.Eflags), Cs: uint64(m.Cs), Ss: uint64(m.Ss),
		Ds: uint64(m.Ds), Es: uint64(m.Es), Fs: uint64(m.Fs), Gs: uint64(m.Gs),
	}
}

func TestBuild32(t *testing.T) {
	for _, args := range [][]string{{}, {"rt"}, {"restorer"}, {"rt", "restorer"}, {"alt"}, {"rt", "alt"}, {"user"}, {"rt", "user"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			o := observe32(t, args...)
			d := Delivery{
				CPU: o.cpu(), Signal: int(unix.SIGILL),
				Action: abi.Sigaction{Handler: 0x1234},
				Mask:   1<<14 | 1<<39,
				Regs:   o.regs(),
				XState: bytes.Clone(o.xstate()[:o.cpu().Size]),
				Err:    uint64(o.sc.Err), TrapNo: uint64(o.sc.Trapno), CR2: uint64(o.sc.Cr2),
				Return32: uint64(le.Uint32(o.image)),
			}
			clear(d.XState[abi.FpxSWBytesOffset:bvAt])
			if o.rt {
				var f abi.RtSigframe32
				copy(abi.Bytes(&f), o.image)
				d.Info = f.Info.To64()
				d.Action.Flags |= abi.SA_SIGINFO
				s := f.UC.Stack
				d.Alt = abi.StackT{Sp: uint64(s.Sp), Flags: s.Flags, Size: uint64(s.Size)}
			}
			for _, a := range args {
				switch a {
				case "alt":
					d.Action.Flags |= abi.SA_ONSTACK
					if !o.rt { // where it is the frame does not tell
						d.Alt = abi.StackT{Sp: o.addr + uint64(len(o.image)) - 1<<16, Size: 1 << 16}
						d.Alt.Sp = (d.Alt.Sp + 63) &^ 63
					}
				case "user":
					d.Signal = int(unix.SIGUSR1)
				case "restorer":
					d.Action.Flags |= abi.SA_RESTORER
					d.Action.Restorer, d.Return32 = d.Return32, 0
				}
			}
			f, err := d.Build32()
			if err != nil {
				t.Fatal(err)
			}
			if f.Addr != o.addr || len(f.Image) != len(o.image) {
				t.Fatalf("%d bytes at %x, host %d at %x", len(f.Image), f.Addr, len(o.image), o.addr)
			}
			if o.rt {
				var host, our abi.RtSigframe32
				copy(abi.Bytes(&host), o.image)
				copy(abi.Bytes(&our), f.Image)
				if d := cmp.Diff(host, our, cmp.Exporter(exportAll)); d != "" {
					t.Errorf("frame: host -, ours +\n%s", d)
				}
			} else {
				var host, our abi.Sigframe32
				copy(abi.Bytes(&host), o.image)
				copy(abi.Bytes(&our), f.Image)
				// The host does not write where the fpu state once was.
				if d := cmp.Diff(host, our, cmp.FilterPath(func(p cmp.Path) bool { return strings.HasSuffix(p.String(), "_") }, cmp.Ignore()), cmp.Exporter(exportAll)); d != "" {
					t.Errorf("frame: host -, ours +\n%s", d)
				}
			}
			host, our := o.image[o.fpAt():], f.Image[o.fpAt():]
			clear(host[fsaveSize+xmmEnd : fsaveSize+abi.FpxSWBytesOffset])
			clear(our[fsaveSize+xmmEnd : fsaveSize+abi.FpxSWBytesOffset])
			for i := range host {
				if host[i] != our[i] {
					t.Errorf("state at %d: %x, host %x", i, our[i], host[i])
				}
			}
			r := &f.Regs
			got := []uint32{uint32(r.Rax), uint32(r.Rdx), uint32(r.Rcx), uint32(r.Rsp), uint32(r.Eflags) | o.entry[4]&(1<<9), uint32(r.Cs), uint32(r.Ss), uint32(r.Ds), uint32(r.Es)}
			if !slices.Equal(got, o.entry) || r.Rip != 0x1234 {
				t.Errorf("registers %x, host %x", got, o.entry)
			}
		})
	}
}

func TestReturn32(t *testing.T) {
	const sw = 112 + abi.FpxSWBytesOffset
	fp := func(at int, v uint32) string { return fmt.Sprintf("fp%d=%#x", at, v) }
	for _, c := range []struct {
		name   string
		args   []string
		killed bool
	}{
		{"plain", nil, false},
		{"rt", []string{"rt"}, false},
		{"rt, own restorer", []string{"rt", "restorer"}, false},
		{"own restorer", []string{"restorer"}, false},
		{"from kill", []string{"user"}, false},
		{"on another stack", []string{"rt", "alt"}, false},
		{"registers", []string{"sc16=1", "sc24=2", "sc28=3", "sc44=4"}, false},
		{"eflags", []string{"sc64=0x3bfeff"}, false},
		{"mask", []string{"sc80=0xffffffff"}, false},
		{"cs and ss without privilege", []string{"sc60=0x20", "sc72=0x28"}, false},
		{"ds without privilege", []string{"sc12=0x28", "sc8=0x28"}, false},
		{"fs null", []string{"sc4=0", "sc0=3"}, false},
		{"no state", []string{"sc76=0"}, false},
		{"state nowhere", []string{"sc76=16"}, true},
		{"control word by fsave", []string{fp(0, 0xffff017f)}, false},
		{"control word by fxsave does not count", []string{fp(112, 0x17f)}, false},
		{"tags", []string{fp(8, 0xffffff00)}, false},
		{"all empty", []string{fp(8, 0xffffffff)}, false},
		{"status", []string{fp(4, 0xffff3800)}, false},
		{"a register by fsave", []string{fp(28, 0x1234), fp(32, 0x80000000), fp(36, 0x4001)}, false},
		{"mxcsr", []string{fp(112+24, 0x9fc0)}, false},
		{"mxcsr reserved", []string{fp(112+24, 0xffffffff)}, true},
		{"magic1", []string{fp(sw, 1)}, false},
		{"magic1, mxcsr reserved", []string{fp(sw, 1), fp(112+24, 0xffffffff)}, true},
		{"size small", []string{fp(sw+16, 575)}, false},
		{"size large", []string{fp(sw+16, 100000)}, false},
		{"xfeatures fp sse", []string{fp(sw+8, 3)}, false},
		{"xfeatures ymm alone", []string{fp(sw+8, 4)}, false},
		{"xfeatures x87 alone", []string{fp(sw+8, 1)}, false},
		{"xfeatures none", []string{fp(sw+8, 0)}, false},
		{"xstate_bv none", []string{fp(112+512, 0)}, false},
		{"xstate_bv none, mxcsr reserved", []string{fp(112+512, 0), fp(112+24, 0xffffffff)}, false},
		{"xstate_bv x87", []string{fp(112+512, 1)}, false},
		{"xstate_bv sse", []string{fp(112+512, 2)}, false},
		{"xstate_bv ymm", []string{fp(112+512, 4)}, false},
		{"xstate_bv reserved", []string{fp(112+516, 0x80000000)}, true},
		{"xcomp_bv", []string{fp(112+520, 1)}, true},
		{"header reserved low", []string{fp(112+528, 1)}, true},
		{"header reserved high", []string{fp(112+568, 1)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observe32(t, c.args...)
			if o.killed != c.killed {
				t.Fatalf("host: killed %v", o.killed)
			}
			mem := bytes.Clone(o.image)
			scAt := 8
			if o.rt {
				scAt = 16 + 128 + 20
			}
			if !slices.Contains(c.args, "user") {
				le.PutUint32(mem[scAt+56:], o.sc.Eip+2)
			}
			for _, a := range c.args {
				var at int
				var v uint32
				if n, _ := fmt.Sscanf(a, "fp%v=%v", &at, &v); n == 2 {
					le.PutUint32(mem[int(o.fpAt())+at:], v)
				} else if n, _ := fmt.Sscanf(a, "sc%v=%v", &at, &v); n == 2 {
					le.PutUint32(mem[scAt+at:], v)
				}
			}
			read := func(addr uint64, p []byte) error {
				if addr < o.addr || addr-o.addr > uint64(len(mem)) || uint64(len(p)) > uint64(len(mem))-(addr-o.addr) {
					return unix.EFAULT
				}
				copy(p, mem[addr-o.addr:])
				return nil
			}
			now := o.regs()
			now.Rsp = o.addr + 8
			if o.rt {
				now.Rsp = o.addr + 4
			}
			now.Eflags = 0x202
			cpu := o.cpu()
			got, err := cpu.Return32(&now, o.rt, read)
			if (err != nil) != c.killed || err != nil && err != unix.EFAULT {
				t.Fatalf("Return32: %v", err)
			}
			if err != nil {
				return
			}
			r := &got.Regs
			var regs []uint32
			for _, v := range []uint64{r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp, r.Rsp, r.Eflags &^ (1 << 16), r.Cs, r.Ss, r.Ds, r.Es, r.Fs, r.Gs} {
				regs = append(regs, uint32(v))
			}
			if !slices.Equal(regs, o.after) {
				t.Errorf("registers\n%x, host\n%x", regs, o.after)
			}
			if got.Mask != o.mask {
				t.Errorf("mask %x, host %x", got.Mask, o.mask)
			}
			if got.HasAlt != o.rt {
				t.Errorf("HasAlt %v", got.HasAlt)
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
