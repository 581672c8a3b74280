package machine

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// onCPU runs f with a machine of one CPU, on a locked thread, and checks that
// nothing is left of it.
func onCPU(t testing.TB, f func(c *CPU)) { onCPUOf(t, New(), f) }

// onHiddenCPU is onCPU where time is hidden.
func onHiddenCPU(t testing.TB, f func(c *CPU)) {
	m := New()
	m.HideTime()
	onCPUOf(t, m, f)
}

func onCPUOf(t testing.TB, m *Machine, f func(c *CPU)) {
	done := make(chan error, 1)
	go func() {
		defer close(done) // also when f ends the goroutine: t.Fatal
		LockThread()
		c, err := m.NewCPU(0, nil)
		defer func() { done <- err }() // also when f ends the test
		defer m.Close()
		if err == nil {
			defer c.Close()
			f(c)
		}
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

const codeAddr = 0x400000

// load gives a new space one page of code and one of data behind it.
func load(t testing.TB, c *CPU, code []byte) *Thread {
	th, err := c.NewSpace()
	if err != nil {
		t.Fatal(err)
	}
	const anon = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED
	if _, err := th.Do(
		Mmap(codeAddr, pageSize, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, anon, NoFile, 0),
		Mmap(codeAddr+pageSize, pageSize, unix.PROT_READ|unix.PROT_WRITE, anon, NoFile, 0),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := th.WriteMem(codeAddr, code); err != nil {
		t.Fatal(err)
	}
	r := th.EditRegs()
	r.Rip, r.Rsp = codeAddr, codeAddr+2*pageSize
	return th
}

// mov $110,%eax; syscall; jmp back
var callLoop = []byte{0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}

func TestSyscallIsReportedAndNotRun(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, callLoop)
		defer th.Destroy()
		for i := range 100 {
			ev := th.Run()
			if ev.Kind != Syscall || ev.Arch != abi.AMD64 {
				t.Fatalf("event %+v", ev)
			}
			if th.Regs().Orig_rax != 110 || th.Regs().Rip != codeAddr+7 {
				t.Fatalf("call %d: nr %d at %#x", i, th.Regs().Orig_rax, th.Regs().Rip)
			}
			th.SetResult(uint64(i))
		}
	})
}

func TestArchOfInt80(t *testing.T) {
	onCPU(t, func(c *CPU) {
		// mov $64,%eax; int $0x80
		th := load(t, c, []byte{0xb8, 64, 0, 0, 0, 0xcd, 0x80})
		defer th.Destroy()
		if ev := th.Run(); ev.Kind != Syscall || ev.Arch != abi.I386 || th.Regs().Orig_rax != 64 {
			t.Fatalf("event %+v, nr %d", ev, th.Regs().Orig_rax)
		}
	})
}

func TestRestartLikeResultIsNotRestarted(t *testing.T) {
	onCPU(t, func(c *CPU) {
		// mov $110,%eax; syscall; mov %rax,%rbx; mov $1,%eax; syscall
		th := load(t, c, []byte{0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0x0f, 0x05})
		defer th.Destroy()
		for _, v := range []int64{-512, -513, -514, -516} {
			th.EditRegs().Rip = codeAddr
			th.Run()
			th.SetResult(uint64(v))
			th.Kick()
			for {
				if ev := th.Run(); ev.Kind == Syscall {
					break
				}
			}
			if th.Regs().Orig_rax != 1 || int64(th.Regs().Rbx) != v {
				t.Errorf("after result %d: nr %d, the guest saw %d", v, th.Regs().Orig_rax, int64(th.Regs().Rbx))
			}
		}
	})
}

func TestVSyscallStops(t *testing.T) {
	maps, _ := os.ReadFile("/proc/self/maps")
	if !bytes.Contains(maps, []byte("[vsyscall]")) {
		t.Skip("this host has no vsyscall page")
	}
	onCPU(t, func(c *CPU) {
		// mov $0xffffffffff600400 (time),%rax; xor edi,edi; call *%rax; nop
		th := load(t, c, []byte{0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0x31, 0xff, 0xff, 0xd0, 0x90})
		defer th.Destroy()
		ev := th.Run()
		if ev.Kind != VSyscall || th.Regs().Rip != codeAddr+11 || th.Regs().Rax != 201 {
			t.Fatalf("event %+v rip %#x rax %d", ev, th.Regs().Rip, th.Regs().Rax)
		}
	})
}

func TestFault(t *testing.T) {
	onCPU(t, func(c *CPU) {
		// mov %rax,(%rdi)
		th := load(t, c, []byte{0x48, 0x89, 0x07})
		defer th.Destroy()
		th.EditRegs().Rdi = 0xdead000
		ev := th.Run()
		if ev.Kind != Fault || ev.Signal != int(unix.SIGSEGV) || ev.Addr != 0xdead000 || ev.Code != 1 {
			t.Fatalf("event %+v", ev)
		}
		before := *th.Regs()
		fi, err := th.FaultInfo(ev.Signal)
		if err != nil || fi.CR2 != 0xdead000 || fi.TrapNo != 14 || fi.Err != 6 {
			t.Fatalf("%+v, %v", fi, err)
		}
		if *th.Regs() != before {
			t.Error("registers changed")
		}
		// The same again, after the page is there.
		if _, err := th.Do(Mmap(0xdead000, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, NoFile, 0)); err != nil {
			t.Fatal(err)
		}
		if ev := th.Run(); ev.Kind != Fault || ev.Addr == 0xdead000 {
			// runs on into zeroes: add %al,(%rax) at rax = 0
			t.Fatalf("event %+v", ev)
		}
	})
}

func TestForkCloneAndMemory(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, callLoop)
		defer th.Destroy()
		child, err := th.Fork()
		if err != nil {
			t.Fatal(err)
		}
		defer child.Destroy()
		sibling, err := th.Clone()
		if err != nil {
			t.Fatal(err)
		}
		defer sibling.Destroy()
		data := uint64(codeAddr + pageSize)
		th.WriteMem(data, []byte("parent"))
		got := make([]byte, 6)
		if sibling.ReadMem(data, got); string(got) != "parent" {
			t.Errorf("sibling reads %q", got)
		}
		if child.ReadMem(data, got); string(got) == "parent" {
			t.Error("the child sees the parent's write")
		}
		for _, x := range []*Thread{child, sibling, th} {
			if ev := x.Run(); ev.Kind != Syscall {
				t.Errorf("event %+v", ev)
			}
		}
		if n, err := th.ReadMem(codeAddr+2*pageSize-2, got); n != 2 || err != unix.EFAULT {
			t.Errorf("read over the edge: %d, %v", n, err)
		}
	})
}

func TestListStopsAtFirstError(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, callLoop)
		defer th.Destroy()
		const anon = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED
		ops := []Op{Mmap(0x1000000, pageSize, 3, anon, NoFile, 0), Mmap(0x1000001, pageSize, 3, anon, NoFile, 0), Munmap(0x1000000, pageSize)}
		if n, err := th.Do(ops...); n != 1 || err != unix.EINVAL {
			t.Errorf("done %d, %v", n, err)
		}
		var many []Op
		for range 200 {
			many = append(many, Mmap(0x1000000, pageSize, 3, anon, NoFile, 0))
		}
		if n, err := th.Do(many...); n != 200 || err != nil {
			t.Errorf("done %d, %v", n, err)
		}
		if n, err := th.Do(Op{Nr: unix.SYS_GETPID}); err == nil {
			t.Errorf("a call outside the list was run: %d", n)
		}
		if ev := th.Run(); ev.Kind != Syscall || th.Regs().Rip != codeAddr+7 {
			t.Errorf("after the lists: %+v at %#x", ev, th.Regs().Rip)
		}
	})
}

func TestImport(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, callLoop)
		defer th.Destroy()
		seen := map[int]bool{}
		for i := range maxFiles + 20 {
			fd, err := memfd("t", fmt.Appendf(nil, "file %04d", i), pageSize)
			if err != nil {
				t.Fatal(err)
			}
			n, err := c.Import(fd, uint64(i))
			unix.Close(fd)
			if err != nil {
				t.Fatal(err)
			}
			seen[n] = true
			if _, err := th.Do(Mmap(0x1000000, pageSize, 1, unix.MAP_SHARED|unix.MAP_FIXED, n, 0)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 9)
			th.ReadMem(0x1000000, got)
			if want := fmt.Sprintf("file %04d", i); string(got) != want {
				t.Fatalf("mapped %q, want %q", got, want)
			}
		}
		if len(seen) > maxFiles+1 {
			t.Errorf("%d descriptors in use", len(seen))
		}
	})
}

func TestKick(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, []byte{0xeb, 0xfe}) // jmp .
		defer th.Destroy()
		for range 20 {
			go func() {
				time.Sleep(time.Millisecond)
				th.Kick()
			}()
			if ev := th.Run(); ev.Kind != Kicked {
				t.Fatalf("event %+v", ev)
			}
		}
	})
}

func TestMoveBetweenCPUs(t *testing.T) {
	onCPU(t, func(c *CPU) {
		z, err := c.ForkZygote()
		if err != nil {
			t.Fatal(err)
		}
		th := load(t, c, callLoop)
		moved := make(chan bool)
		back := make(chan bool)
		go func() {
			defer close(back)
			runtime.LockOSThread()
			c2, err := c.m.NewCPU(1, z)
			if err != nil {
				t.Error(err)
				return
			}
			defer c2.Close()
			for range moved {
				if err := th.Adopt(c2); err != nil {
					t.Error(err)
					return
				}
				if ev := th.Run(); ev.Kind != Syscall {
					t.Errorf("event %+v", ev)
				}
				if err := th.Park(); err != nil {
					t.Error(err)
				}
				back <- true
			}
		}()
		for range 100 {
			if err := th.Park(); err != nil {
				t.Fatal(err)
			}
			moved <- true
			if !<-back {
				break
			}
			if err := th.Adopt(c); err != nil {
				t.Fatal(err)
			}
			if ev := th.Run(); ev.Kind != Syscall {
				t.Fatalf("event %+v", ev)
			}
		}
		close(moved)
		<-back
		th.Destroy()
	})
}

func BenchmarkCall(b *testing.B) {
	onCPU(b, func(c *CPU) {
		th := load(b, c, callLoop)
		defer th.Destroy()
		for b.Loop() {
			th.Run()
			th.SetResult(7)
		}
	})
}

func BenchmarkMap(b *testing.B) {
	onCPU(b, func(c *CPU) {
		th := load(b, c, callLoop)
		defer th.Destroy()
		for b.Loop() {
			th.Do(Mmap(0x1000000, pageSize, 3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, NoFile, 0))
		}
	})
}

func BenchmarkFork(b *testing.B) {
	onCPU(b, func(c *CPU) {
		th := load(b, c, callLoop)
		defer th.Destroy()
		for b.Loop() {
			n, err := th.Fork()
			if err != nil {
				b.Fatal(err)
			}
			n.Destroy()
		}
	})
}

// fdCount is how many descriptors the guests' table has.
func fdCount(t *testing.T, c *CPU) int {
	l, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.zygote.pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

func TestFilesOfTheGuestsTable(t *testing.T) {
	onCPU(t, func(c *CPU) {
		open := func(flags int) int {
			fd, err := unix.Open("/proc/self/exe", flags|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}
		must := func(n int, err error) int {
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		ro := open(unix.O_RDONLY)
		defer unix.Close(ro)
		base := fdCount(t, c)
		a := must(c.Import(ro, 1))
		if b := must(c.Import(ro, 1)); b != a {
			t.Errorf("the file was sent again: %d, %d", a, b)
		}
		rw := must(memfd("test", nil, pageSize))
		defer unix.Close(rw)
		must(c.Import(rw, 1)) // now for writing: what was there does not do
		th, err := c.NewSpace()
		if err != nil {
			t.Fatal(err)
		}
		defer th.Destroy()
		if _, err := th.Do(Mmap(codeAddr, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED, must(c.Import(rw, 1)), 0)); err != nil {
			t.Error(err)
		}
		if n := fdCount(t, c); n != base+1 {
			t.Errorf("%d files in the table, want one", n-base)
		}
		// One that nobody received is not taken for the next.
		if err := unix.Sendmsg(c.m.sock, make([]byte, 8), unix.UnixRights(ro), nil, 0); err != nil {
			t.Fatal(err)
		}
		must(c.Import(rw, 2))
		if n := fdCount(t, c); n != base+2 {
			t.Errorf("%d files in the table, want two", n-base)
		}
		c.m.Forget(1)
		c.m.Forget(2)
		c.m.Forget(3)
		if th, err = c.NewSpace(); err != nil {
			t.Fatal(err)
		}
		th.Destroy()
		if n := fdCount(t, c); n != base {
			t.Errorf("%d files are still in the table", n-base)
		}
		for key := range uint64(2 * maxFiles) {
			must(c.Import(ro, 100+key))
		}
		if n := fdCount(t, c); n > base+maxFiles {
			t.Errorf("%d files in the table", n-base)
		}
	})
}

func TestParkedThreadHasNoCPU(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th := load(t, c, callLoop)
		defer th.Destroy()
		if err := th.Park(); err != nil {
			t.Fatal(err)
		}
		if th.CPU() != nil {
			t.Error("a parked thread has a CPU")
		}
		if err := th.Adopt(c); err != nil {
			t.Fatal(err)
		}
		if ev := th.Run(); ev.Kind != Syscall || th.CPU() != c {
			t.Errorf("event %+v", ev)
		}
	})
}

// The second wall: what a guest's host process could do if it ran calls.
func TestFilter(t *testing.T) {
	onCPU(t, func(c *CPU) {
		th, err := c.NewSpace()
		if err != nil {
			t.Fatal(err)
		}
		defer th.Destroy()
		const anon = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
		for _, f := range []struct {
			name string
			nr   uint64
			args []uint64
			want error
		}{
			{"mmap where the kernel says", unix.SYS_MMAP, []uint64{codeAddr, pageSize, unix.PROT_READ, anon | unix.MAP_FIXED, ^uint64(0), 0}, nil},
			{"mmap anywhere", unix.SYS_MMAP, []uint64{0, pageSize, unix.PROT_READ, anon, ^uint64(0), 0}, unix.EPERM},
			{"munmap", unix.SYS_MUNMAP, []uint64{codeAddr, pageSize}, nil},
			{"a process not traced", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD), 0, 0, 0, 0}, unix.EPERM},
			{"a thread", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_PTRACE, 0, 0, 0, 0}, unix.EPERM},
			{"arch_prctl", unix.SYS_ARCH_PRCTL, []uint64{0x1002, 0}, unix.EPERM},
			{"open", unix.SYS_OPEN, []uint64{codeAddr, 0}, unix.EPERM},
			{"execve", unix.SYS_EXECVE, []uint64{codeAddr, 0, 0}, unix.EPERM},
			{"ptrace", unix.SYS_PTRACE, []uint64{0, 0, 0, 0}, unix.EPERM},
			{"kill", unix.SYS_KILL, []uint64{0, 0}, unix.EPERM},
		} {
			if _, err := th.call(f.nr, f.args...); err != f.want {
				t.Errorf("%s: %v, want %v", f.name, err, f.want)
			}
		}
	})
}
