package trace

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// fakeMemory is memory at an address; all else faults.
type fakeMemory struct {
	base uint64
	b    []byte
}

func (m fakeMemory) ReadMem(addr uint64, p []byte) error {
	if addr < m.base || addr-m.base > uint64(len(m.b)) || uint64(len(p)) > uint64(len(m.b))-(addr-m.base) {
		return unix.EFAULT
	}
	copy(p, m.b[addr-m.base:])
	return nil
}

func show(mem memory, st style, arch abi.Arch, name string, ret uint64, errno unix.Errno, args ...uint64) string {
	var p printer
	p.style = st
	var a [6]uint64
	copy(a[:], args)
	p.begin(mem, arch, abi.ByName(name).Number(arch), a)
	p.enter()
	p.leave(ret, errno)
	p.s(") = ")
	p.result()
	return name + "(" + string(p.b)
}

func TestPrinter(t *testing.T) {
	mem := fakeMemory{0x1000, make([]byte, 8192)}
	copy(mem.b, "a path\x00")
	copy(mem.b[0x100:], "\x01\x02345\xff\"\\\n")
	st := style{strings: 32}
	for _, tc := range []struct{ got, want string }{
		{show(mem, st, abi.AMD64, "openat", 3, 0, ^uint64(99), 0x1000, unix.O_RDWR|unix.O_CREAT, 0o644), `openat(AT_FDCWD, "a path", O_RDWR|O_CREAT, 0644) = 3`},
		{show(mem, st, abi.AMD64, "openat", 0, unix.ENOENT, ^uint64(99), 0, 0), `openat(AT_FDCWD, NULL, O_RDONLY) = -1 ENOENT (No such file or directory)`},
		{show(mem, st, abi.AMD64, "write", 9, 0, 1, 0x1100, 9), `write(1, "\1\002345\377\"\\\n", 9) = 9`},
		{show(mem, style{strings: 4}, abi.AMD64, "write", 9, 0, 1, 0x1100, 9), `write(1, "\1\00234"..., 9) = 9`},
		{show(mem, style{strings: 32, hex: 1}, abi.AMD64, "write", 4, 0, 1, 0x1100, 4), `write(1, "\x01\x02\x33\x34", 4) = 4`},
		{show(mem, style{strings: 32, hex: 1}, abi.AMD64, "write", 6, 0, 1, 0x1000, 6), `write(1, "a path", 6) = 6`},
		{show(mem, style{strings: 32, hex: 2}, abi.AMD64, "write", 1, 0, 1, 0x1000, 1), `write(1, "\x61", 1) = 1`},
		{show(mem, st, abi.AMD64, "read", 0, unix.EINTR, 0, 0x1000, 9), `read(0, 0x1000, 9) = -1 EINTR (Interrupted system call)`},
		{show(mem, st, abi.AMD64, "read", 0, abi.ERESTARTSYS, 0, 0x1000, 9), `read(0, 0x1000, 9) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)`},
		{show(mem, st, abi.AMD64, "umask", 0o22, 0, 0o7), `umask(007) = 022`},
		{show(mem, st, abi.AMD64, "chmod", 0, 0, 0x1000, 0), `chmod("a path", 000) = 0`},
		{show(mem, st, abi.AMD64, "rt_sigprocmask", 0, 0, 0, 0x1800, 0, 8), `rt_sigprocmask(SIG_BLOCK, [], NULL, 8) = 0`},
		{show(mem, st, abi.AMD64, "exit_group", 0, 0, 3), `exit_group(3) = ?`},
		{show(mem, st, abi.AMD64, "mmap", 0x7f0000000000, 0, 0, 4096, 3, 0x22, ^uint64(0), 0), `mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000`},
		{show(mem, st, abi.I386, "pread64", 1, 0, 3, 0x1000, 1, 5, 1), `pread64(3, "a", 1, 4294967301) = 1`},
		{show(mem, st, abi.I386, "lseek", 0, unix.EINVAL, 3, 0xffffffff, 0), `lseek(3, -1, SEEK_SET) = -1 EINVAL (Invalid argument)`},
		{show(mem, st, abi.I386, "nanosleep", 0, 0, 0x1800, 0), `nanosleep({tv_sec=0, tv_nsec=0}, NULL) = 0`},
		{show(mem, st, abi.AMD64, "clock_gettime", 0, unix.EINVAL, ^uint64(13), 0x1800), `clock_gettime(MAKE_PROCESS_CPUCLOCK(1, CPUCLOCK_SCHED), 0x1800) = -1 EINVAL (Invalid argument)`},
	} {
		if tc.got != tc.want {
			t.Errorf("%s\nwant %s", tc.got, tc.want)
		}
	}
}

// Whatever programs pass, a line comes out, of a length that has a bound, and memory is not read without end.
func TestPrinterHostile(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	mem := fakeMemory{0x10000, make([]byte, 1<<16)}
	word := func() uint64 {
		switch rnd.Intn(6) {
		case 0:
			return uint64(rnd.Intn(100))
		case 1:
			return rnd.Uint64()
		case 2:
			return ^uint64(0) - uint64(rnd.Intn(100))
		case 3:
			return 1 << rnd.Intn(64)
		}
		return mem.base + uint64(rnd.Intn(len(mem.b)))
	}
	for range 40 {
		switch rnd.Intn(3) {
		case 0:
			rnd.Read(mem.b)
		case 1:
			for i := 0; i < len(mem.b); i += 8 {
				w := word()
				for j := range 8 {
					mem.b[i+j] = byte(w >> (8 * j))
				}
			}
		default:
			clear(mem.b)
		}
		for i := range abi.Calls {
			c := &abi.Calls[i]
			for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
				if c.Number(arch) < 0 {
					continue
				}
				st := style{strings: rnd.Intn(64), hex: rnd.Intn(3), verbose: rnd.Intn(2) == 0}
				args := []uint64{word(), word(), word(), word(), word(), word()}
				if arch == abi.I386 {
					for j := range args {
						args[j] &= 1<<32 - 1
					}
				}
				ret, errno := word(), unix.Errno(0)
				if rnd.Intn(4) == 0 {
					ret, errno = 0, unix.Errno(rnd.Intn(600))
				}
				line := show(mem, st, arch, c.Name, ret, errno, args...)
				if strings.ContainsAny(line, "\n\r") || len(line) > 8<<20 {
					t.Fatalf("%s: a line of %d bytes", c.Name, len(line))
				}
			}
		}
	}
}

// Every argument of every call is decoded as what it is: an address is shown only of what has no decoder.
func TestKindsDecoded(t *testing.T) {
	// What strace 6.1 shows as an address too, and what is of use to nobody who traces.
	plain := map[abi.Kind]bool{}
	for _, k := range []abi.Kind{abi.BpfAttrPtr, abi.CachestatPtr, abi.CachestatRangePtr, abi.FileHandlePtr, abi.FutexWaitvArray,
		abi.FutexWaitvPairPtr, abi.IoEventArray, abi.IoEventPtr, abi.IoUringParamsPtr, abi.IocbPtr, abi.IocbPtrArray, abi.LandlockAttrPtr,
		abi.MntIDReqPtr, abi.ModifyLdtPtr, abi.MountAttrPtr, abi.NodemaskPtr, abi.OldDirentPtr, abi.OldMmapArgsPtr, abi.OldOldUtsnamePtr,
		abi.OldSelectArgsPtr, abi.OldSigactionPtr, abi.OldStatPtr, abi.OldUtsnamePtr, abi.PerfAttrPtr, abi.SchedAttrPtr, abi.SocketcallArgsPtr,
		abi.StatmountPtr, abi.TimexPtr, abi.Timex64Ptr, abi.UserDescPtr, abi.UstatPtr, abi.XattrArgsPtr, abi.FutexPtr} {
		plain[k] = true
	}
	mem := fakeMemory{0x10000, make([]byte, 1<<16)}
	for i := range abi.Calls {
		c := &abi.Calls[i]
		for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
			if c.Number(arch) < 0 {
				continue
			}
			for j, a := range c.ArgsOn(arch) {
				if _, special := specials[c]; special || !a.Kind.IsPointer() || plain[a.Kind.Base()] {
					continue
				}
				if b := a.Kind.Base(); b == abi.Dirent64Buf || b == abi.DirentBuf || b == abi.EnvpPtr {
					continue // shown in short
				}
				args := []uint64{32, 32, 32, 32, 32, 32}
				args[j] = mem.base
				line := show(mem, style{strings: 8}, arch, c.Name, 8, 0, args...)
				if strings.Contains(line, fmt.Sprintf("%#x", mem.base)) {
					t.Errorf("%s: argument %s is not decoded: %s", c.Name, a.Name, line)
				}
			}
		}
	}
}

func TestFilter(t *testing.T) {
	for _, tc := range []struct {
		exprs    string // parted by spaces
		yes, not string
	}{
		{"trace=openat,close", "openat close", "read"},
		{"openat", "openat", "read"},
		{"trace=!openat", "read", "openat"},
		{"trace=%file", "openat stat execve unlink", "read socket"},
		{"%desc", "read write close openat", "getpid"},
		{"file", "openat", "read"},
		{"%network", "socket connect sendmsg", "read"},
		{"%signal", "kill rt_sigaction", "read"},
		{"%memory", "mmap brk", "read"},
		{"%ipc", "shmget semop msgsnd", "read"},
		{"%process", "clone execve exit_group wait4", "read"},
		{"/^get.*id$", "getpid getuid", "getppid read"[8:]},
		{"?nosuchcall,read", "read", "write"},
		{"trace=all", "read write", ""},
		{"trace=none", "", "read write"},
		{"trace=!all", "", "read write"},
		{"signal=none", "read", ""},
		{"read write", "write", "read"},
		{"trace=open@64,close@32", "open", "read close"},
	} {
		f, err := parseFilter(strings.Fields(tc.exprs))
		if err != nil {
			t.Errorf("%s: %v", tc.exprs, err)
			continue
		}
		for _, list := range []struct {
			names string
			want  bool
		}{{tc.yes, true}, {tc.not, false}} {
			for _, n := range strings.Fields(list.names) {
				if f.wants(abi.AMD64, abi.ByName(n).AMD64) != list.want {
					t.Errorf("%s: %s is %v", tc.exprs, n, !list.want)
				}
			}
		}
	}
	f, err := parseFilter([]string{"signal=!SIGCHLD,usr1"})
	if err != nil || f.signals.has(int(unix.SIGCHLD)) || f.signals.has(int(unix.SIGUSR1)) || !f.signals.has(int(unix.SIGTERM)) {
		t.Error("signals", err)
	}
	for _, tc := range []struct {
		expr   string
		offset int
	}{
		{"trace=open,clsoe", 11}, {"trace=!%nothing", 7}, {"colour=red", 0}, {"signal=SIGNONE", 7}, {"status=odd", 7}, {"trace=", 6}, {"trace=a@7", 8},
		{"trace=/(", 6}, {"inject=open:error=EIO", 0},
	} {
		_, err := parseFilter([]string{tc.expr})
		var fe *FilterError
		if !errors.As(err, &fe) || fe.Offset != tc.offset || fe.Reason == "" || fe.Expr != tc.expr {
			t.Errorf("%s: %v", tc.expr, err)
		}
	}
}
