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
var only64 = []string{"dispatch", "int80", "ptrace", "seccomptrace", "umlneeds"}

// build32 builds a program for i386, in the directory that SYSEMU_GUESTS names if it is not there already: an emulated
// machine is too slow for compilers.
func build32(t *testing.T, name string, command ...string) string {
	t.Helper()
	dir := os.Getenv("SYSEMU_GUESTS")
	if dir == "" {
		dir = t.TempDir()
	}
	bin := filepath.Join(dir, name)
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
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
	for _, name := range guests32(t) {
		t.Run(name, func(t *testing.T) { each(t, buildGuest32(t, name)) })
	}
}

// guests32 are the names of the programs that i386 has too.
func guests32(t *testing.T) (names []string) {
	t.Helper()
	sources, err := filepath.Glob("../../guest/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no guest programs: %v", err)
	}
	for _, src := range sources {
		if name := strings.TrimSuffix(filepath.Base(src), ".c"); !slices.Contains(only64, name) {
			names = append(names, name)
		}
	}
	return names
}

func buildGuest32(t *testing.T, name string) string {
	t.Helper()
	return build32(t, name, "gcc", "-m32", "-msse2", "-O1", "-w", "-pthread", "-o", "OUT", "../../guest/"+name+".c", "-lrt")
}

// programs are those of TestI386: how each is built, and whether its tests are
// run one by one.
var programs = []struct {
	name  string
	tests bool
	build string
}{
	{"entry", true, "gcc -m32 -msse2 -O1 -w -pthread -o OUT ../../guest/i386/entry.c"},
	{"ptrace386", true, "gcc -m32 -msse2 -O1 -w -o OUT ../../guest/i386/ptrace.c"},
	{"hello", false, "gcc -m32 -static -nostdlib -no-pie -o OUT ../../guest/i386/hello.S"},
	{"exceptions", false, "g++ -m32 -O1 -pthread -o OUT ../../guest/i386/exceptions.cc"},
	{"exceptions-static", false, "g++ -m32 -O1 -pthread -static -o OUT ../../guest/i386/exceptions.cc"},
	{"goprogram", false, "go build -o OUT ../../guest/i386/goprogram"},
}

// TestI386 runs what only i386 has, and programs of other languages.
func TestI386(t *testing.T) {
	compare.Enabled(t)
	hostcan.Need(t, hostcan.Run32)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			bin := build32(t, p.name, strings.Fields(p.build)...)
			if p.tests {
				each(t, bin)
			} else {
				compare.Run(t, compare.Case{Args: []string{bin}, Timeout: time.Minute})
			}
		})
	}
}

// TestBuild32 builds the programs of TestI386 and TestGuest32 into the directory that
// SYSEMU_GUESTS names, for test/vm; all hosts with the compilers can.
func TestBuild32(t *testing.T) {
	compare.Enabled(t)
	if os.Getenv("SYSEMU_GUESTS") != "" {
		for _, name := range guests32(t) {
			buildGuest32(t, name)
		}
	}
	for _, p := range programs {
		if _, err := os.Stat(build32(t, p.name, strings.Fields(p.build)...)); err != nil {
			t.Error(err)
		}
	}
}
