package machine

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// needI386 skips the test where the host's kernel or processor runs no 32-bit
// code.
func needI386(t testing.TB, c *CPU) VDSO32 {
	v, err := c.VDSO32()
	if err == ErrNoI386 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// load32 is load for 32-bit code.
func load32(t testing.TB, c *CPU, code []byte) *Thread {
	th := load(t, c, code)
	*th.EditRegs() = Regs32(codeAddr, codeAddr+2*pageSize)
	return th
}

func TestI386Call(t *testing.T) {
	onCPU(t, func(c *CPU) {
		needI386(t, c)
		// mov $20,%eax; mov $0xfffffff6,%ebx; int $0x80; mov %eax,%ebx; int $0x80
		th := load32(t, c, []byte{0xb8, 20, 0, 0, 0, 0xbb, 0xf6, 0xff, 0xff, 0xff, 0xcd, 0x80, 0x89, 0xc3, 0xcd, 0x80})
		defer th.Destroy()
		if ev := th.Run(); ev.Kind != Syscall || ev.Arch != abi.I386 || th.Regs().Orig_rax != 20 || uint32(th.Regs().Rbx) != 0xfffffff6 {
			t.Fatalf("event %+v, registers %+v", ev, th.Regs())
		}
		// Looks like ERESTARTSYS to the host, with and without the sign.
		for _, v := range []uint64{0xfffffe00, ^uint64(511)} {
			th.EditRegs().Rip = codeAddr + 10
			th.Run()
			th.SetResult(v)
			th.Kick()
			var ev Event
			for ev = th.Run(); ev.Kind == Kicked; ev = th.Run() {
			}
			if ev.Kind != Syscall || uint32(th.Regs().Rbx) != uint32(v) || th.Regs().Rip != codeAddr+16 {
				t.Errorf("after result %#x: event %+v, registers %+v", v, ev, th.Regs())
			}
		}
	})
}

func TestI386VDSO(t *testing.T) {
	onCPU(t, func(c *CPU) {
		v := needI386(t, c)
		if v.Size == 0 {
			t.Skip("the host has no vDSO for 32-bit programs")
		}
		if v.Vsyscall == 0 || v.Sigreturn == 0 || v.RtSigreturn == 0 {
			t.Errorf("vDSO %+v", v)
		}
		// mov $0x13579bdf,%ebp; mov $20,%eax; call *%edi; nop
		th := load32(t, c, []byte{0xbd, 0xdf, 0x9b, 0x57, 0x13, 0xb8, 20, 0, 0, 0, 0xff, 0xd7, 0x90})
		defer th.Destroy()
		const at = 0x30000000
		if err := th.MapVDSO32(at); err != nil {
			t.Fatal(err)
		}
		th.EditRegs().Rdi = at + v.Image + v.Vsyscall
		ev := th.Run()
		if ev.Kind != Syscall || ev.Arch != abi.I386 || th.Regs().Orig_rax != 20 || th.Regs().Rbp != 0x13579bdf {
			t.Fatalf("event %+v, registers %+v", ev, th.Regs())
		}
		// Two bytes before is the call once more.
		th.EditRegs().Rip -= 2
		th.EditRegs().Rax = 64
		if ev := th.Run(); ev.Kind != Syscall || ev.Arch != abi.I386 || th.Regs().Orig_rax != 64 {
			t.Fatalf("once more: event %+v, registers %+v", ev, th.Regs())
		}
		if _, err := c.VDSO32(); err != nil {
			t.Error(err)
		}
	})
}

// TestI386Segments: what fs, gs and their bases are stays through injected
// calls, parking and cloning.
func TestI386Segments(t *testing.T) {
	onCPU(t, func(c *CPU) {
		needI386(t, c)
		// again: mov %gs:0,%ebx; mov %fs:4,%ecx; int $0x80; jmp again
		th := load32(t, c, []byte{0x65, 0x8b, 0x1d, 0, 0, 0, 0, 0x64, 0x8b, 0x0d, 4, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xee})
		defer th.Destroy()
		th.WriteMem(codeAddr+pageSize, []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0})
		segment := func(base uint32) abi.UserDesc {
			return abi.UserDesc{BaseAddr: base, Limit: 0xfffff, Flags: abi.UserDescSeg32 | abi.UserDescLimitInPages | abi.UserDescUseable}
		}
		for entry, base := range map[int]uint32{FirstTLS: codeAddr + pageSize, FirstTLS + 2: codeAddr + pageSize + 4} {
			if err := th.SetTLS(entry, segment(base)); err != nil {
				t.Fatal(err)
			}
		}
		if err := th.SetTLS(FirstTLS+1, abi.UserDesc{Limit: 1, Flags: abi.UserDescSeg32 | 2<<1}); err != unix.EINVAL {
			// The errors of package ptrace say which request it was.
			if e, ok := err.(interface{ Unwrap() error }); !ok || e.Unwrap() != unix.EINVAL {
				t.Errorf("a code segment: %v", err)
			}
		}
		r := th.EditRegs()
		r.Gs, r.Fs = FirstTLS<<3|3, (FirstTLS+2)<<3|3
		r.Gs_base, _ = th.SegmentBase(r.Gs)
		r.Fs_base, _ = th.SegmentBase(r.Fs)
		check := func(th *Thread, what string, gs, fs uint32) {
			t.Helper()
			if ev := th.Run(); ev.Kind != Syscall || uint32(th.Regs().Rbx) != gs || uint32(th.Regs().Rcx) != fs {
				t.Fatalf("%s: event %+v, gs:0 is %d, fs:4 is %d", what, ev, th.Regs().Rbx, th.Regs().Rcx)
			}
		}
		check(th, "at first", 1, 3)
		if _, err := th.Do(Mprotect(codeAddr+pageSize, pageSize, unix.PROT_READ)); err != nil {
			t.Fatal(err)
		}
		check(th, "after a call", 1, 3)
		if err := th.SetTLS(FirstTLS, segment(codeAddr+pageSize+8)); err != nil {
			t.Fatal(err)
		}
		check(th, "gs moved", 3, 3)
		if err := th.Park(); err != nil {
			t.Fatal(err)
		}
		if err := th.Adopt(c); err != nil {
			t.Fatal(err)
		}
		check(th, "after parking", 3, 3)
		child, err := th.Clone()
		if err != nil {
			t.Fatal(err)
		}
		defer child.Destroy()
		if err := child.SetTLS(FirstTLS, segment(codeAddr+pageSize+4)); err != nil {
			t.Fatal(err)
		}
		check(child, "the clone", 2, 3)
		check(th, "beside it", 3, 3)
		fork, err := child.Fork()
		if err != nil {
			t.Fatal(err)
		}
		defer fork.Destroy()
		check(fork, "the fork", 2, 3)
	})
}
