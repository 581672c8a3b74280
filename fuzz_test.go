package sysemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/abi"
)

// callTable writes an architecture's calls, of package abi's list, as C: what
// testdata/fuzz.c includes.
func callTable(arch abi.Arch, skip ...string) string {
	var values, calls strings.Builder
	left := map[string]bool{}
	for _, s := range skip {
		left[s] = true
	}
	tables := map[abi.Kind]string{}
	calls.WriteString("static const struct call calls[] = {\n")
	for _, c := range abi.Calls {
		args := c.ArgsOn(arch)
		if c.Number(arch) < 0 || left[c.Name] {
			continue
		}
		fmt.Fprintf(&calls, "\t{%d, %q, %d, {", c.Number(arch), c.Name, len(args))
		for _, a := range args {
			kind, n, table, flags := 'i', 0, "0", 0
			switch b := a.Kind.Base(); {
			case b == abi.FD || b == abi.DirFD:
				kind = 'f'
			case b == abi.Path:
				kind = 's'
			case a.Kind.IsPointer() || b == abi.Addr || b == abi.IoctlArg || b == abi.FcntlArg || b == abi.FutexTimeout:
				kind = 'p'
			case b == abi.Size:
				kind = 'z'
			case b == abi.Pid:
				kind = 't'
			case b == abi.Signal:
				kind = 'g'
			}
			if names := a.Kind.Names(); names != nil {
				all := append(append([]abi.Name(nil), names.Enum...), names.Flags...)
				n = len(all)
				if len(names.Flags) > 0 {
					flags = 1
				}
				table = tables[a.Kind.Base()]
				if table == "" && n > 0 {
					table = fmt.Sprintf("values%d", len(tables))
					tables[a.Kind.Base()] = table
					fmt.Fprintf(&values, "static const uint64_t %s[] = {", table)
					for _, v := range all {
						fmt.Fprintf(&values, "%#xull,", v.Value)
					}
					values.WriteString("};\n")
				}
				if n == 0 {
					table = "0"
				}
			}
			fmt.Fprintf(&calls, "{'%c', %d, %s, %d},", kind, n, table, flags)
		}
		calls.WriteString("}},\n")
	}
	calls.WriteString("\t{1000, \"none\", 0}\n};\n")
	how := callAMD64
	if arch == abi.I386 {
		how = callI386
	}
	return values.String() + calls.String() + how
}

// How a call is made, and with which flag of mmap memory is had that it can
// reach.
const (
	callAMD64 = `
#define LOW 0
#define make_call syscall
`
	callI386 = `
#define LOW MAP_32BIT
static long make_call(long nr, long a, long b, long c, long d, long e, long f) {
	register long r13 asm("r13") = f;
	long r;
	asm volatile("mov %%rbp, %%r12; mov %%r13, %%rbp; int $0x80; mov %%r12, %%rbp"
		: "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(r13)
		: "memory", "cc", "r8", "r9", "r10", "r11", "r12");
	if ((unsigned long)r > -4096ul) { errno = -r; return -1; }
	return r;
}
`
)

// buildFuzz compiles a program of testdata with the table of calls.
func buildFuzz(t testing.TB, arch abi.Arch, name string, skip ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	if err := os.WriteFile(filepath.Join(dir, "calls.h"), []byte(callTable(arch, skip...)), 0o644); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, name)
	if out, err := exec.Command(gcc, "-O1", "-w", "-I", dir, "-o", bin, "testdata/"+name+".c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

// A program makes system calls at random. Nothing in the kernel panics (its
// reports are errors here) or hangs, and the host does not notice: what is
// mapped and allocated stays within bounds, and the machine closes.
//
// SYSEMU_FUZZ=N tries N seeds; SYSEMU_FUZZ_SEED=S begins at S, and tries just that one when N is not given.
func TestFuzzCalls(t *testing.T) { fuzzCalls(t, abi.AMD64, 60) }

// The same through the gate to the i386 table.
func TestFuzzCallsI386(t *testing.T) { fuzzCalls(t, abi.I386, 20) }

func fuzzCalls(t *testing.T, arch abi.Arch, seeds int) {
	bin := buildFuzz(t, arch, "fuzz", "exit", "exit_group", "pause")
	first := 0
	if n, err := strconv.Atoi(os.Getenv("SYSEMU_FUZZ")); err == nil {
		seeds = n
	} else if testing.Short() {
		seeds = 20
	}
	if s, err := strconv.Atoi(os.Getenv("SYSEMU_FUZZ_SEED")); err == nil {
		if first = s; os.Getenv("SYSEMU_FUZZ") == "" {
			seeds = 1
		}
	}
	var m *Machine
	const perMachine = 20
	for i := first; i < first+seeds; i++ {
		if m == nil {
			var err error
			seed := i
			m, err = New(WithPIDs(60), WithMemory(256<<20), WithCPUs(1+i/perMachine%2), WithLog(func(msg string) {
				t.Errorf("seeds from %d: %s", seed, msg)
			}))
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		c := m.CommandContext(ctx, bin, strconv.Itoa(i), "300")
		c.Env = []string{}
		if seeds == 1 {
			c.Env = []string{"FUZZ_VERBOSE=1"}
			c.Stderr = os.Stderr
		}
		within(t, 20*time.Second, fmt.Sprint("seed ", i), func() { c.Run() })
		cancel()
		if (i+1)%perMachine == 0 || i+1 == first+seeds {
			within(t, 20*time.Second, fmt.Sprint("closing after seed ", i), func() { m.Close() })
			m = nil
		}
		if t.Failed() {
			t.Fatalf("at seed %d", i)
		}
	}
	var ms runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&ms)
	if ms.HeapAlloc > 256<<20 {
		t.Errorf("%d MiB of memory are in use", ms.HeapAlloc>>20)
	}
}
