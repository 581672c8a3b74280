package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
	"github.com/sysemu/sysemu/internal/hostcan"
)

// only64 are the guest programs that are about x86-64: their assembly is.
var only64 = []string{"dispatch", "ptrace", "seccomp", "seccompnotify", "seccomptrace", "terminal"}

// build32 builds a program for i386, unless SYSEMU_GUESTS names a directory that has it: an emulated machine is too slow
// for compilers.
func build32(t *testing.T, name string, command ...string) string {
	t.Helper()
	if dir := os.Getenv("SYSEMU_GUESTS"); dir != "" {
		return filepath.Join(dir, name)
	}
	bin := filepath.Join(t.TempDir(), name)
	for i, arg := range command {
		if arg == "OUT" {
			command[i] = bin
		}
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return bin
}

// each runs every test of a guest program by itself.
func each(t *testing.T, bin string) {
	list, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range strings.Fields(string(list)) {
		t.Run(test, func(t *testing.T) {
			compare.Run(t, compare.Case{Args: []string{bin, test}, Timeout: time.Minute})
		})
	}
}

// TestGuest32 is TestGuest with the programs built for i386.
func TestGuest32(t *testing.T) {
	compare.Enabled(t)
	hostcan.Need(t, hostcan.Run32)
	sources, err := filepath.Glob("../../guest/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no guest programs: %v", err)
	}
	for _, src := range sources {
		name := strings.TrimSuffix(filepath.Base(src), ".c")
		if slices.Contains(only64, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			each(t, build32(t, name, "gcc", "-m32", "-msse2", "-O1", "-w", "-pthread", "-o", "OUT", src, "-lrt"))
		})
	}
}

// TestI386 runs what only i386 has, and programs of other languages.
func TestI386(t *testing.T) {
	compare.Enabled(t)
	hostcan.Need(t, hostcan.Run32)
	const dir = "../../guest/i386/"
	t.Run("entry", func(t *testing.T) {
		each(t, build32(t, "entry", "gcc", "-m32", "-msse2", "-O1", "-w", "-pthread", "-o", "OUT", dir+"entry.c"))
	})
	t.Run("ptrace", func(t *testing.T) {
		each(t, build32(t, "ptrace386", "gcc", "-m32", "-msse2", "-O1", "-w", "-o", "OUT", dir+"ptrace.c"))
	})
	for name, command := range map[string][]string{
		"hello":             {"gcc", "-m32", "-static", "-nostdlib", "-no-pie", "-o", "OUT", dir + "hello.S"},
		"exceptions":        {"g++", "-m32", "-O1", "-pthread", "-o", "OUT", dir + "exceptions.cc"},
		"exceptions-static": {"g++", "-m32", "-O1", "-pthread", "-static", "-o", "OUT", dir + "exceptions.cc"},
		"goprogram":         {"go", "build", "-o", "OUT", dir + "goprogram"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := build32(t, name, command...)
			compare.Run(t, compare.Case{Args: []string{bin}, Timeout: time.Minute})
		})
	}
}
