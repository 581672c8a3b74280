// Package guest compiles the programs of the directory guest and runs each of their tests natively and inside sysemu:
// the host's kernel is the oracle for ours.
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

func TestMain(m *testing.M) { compare.Main(m) }

func TestGuest(t *testing.T) { guests(t, "*") }

// What is most about processes and signals also holds where PTRACE_SYSEMU is
// done without.
func TestGuestNoSysemu(t *testing.T) { guests(t, "signal", "--nosysemu") }

// guests runs the tests of the programs whose names match, with flags for sysemu run.
func guests(t *testing.T, pattern string, flags ...string) {
	compare.Enabled(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed (.ci/run installs it)")
	}
	sources, err := filepath.Glob("../../guest/" + pattern + ".c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no guest programs: %v", err)
	}
	dir := t.TempDir()
	for _, src := range sources {
		name := strings.TrimSuffix(filepath.Base(src), ".c")
		t.Run(name, func(t *testing.T) {
			bin := filepath.Join(dir, name)
			hostcan.Need(t, needs(t, src)...)
			own, err := runFlags(src)
			if err != nil {
				t.Fatal(err)
			}
			// No warnings: bad pointers are what some of the tests are about.
			out, err := exec.Command("gcc", "-O1", "-w", "-pthread", "-o", bin, src, "-lrt").CombinedOutput()
			if err != nil {
				t.Fatalf("gcc: %v\n%s", err, out)
			}
			list, err := exec.Command(bin).Output()
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range strings.Fields(string(list)) {
				t.Run(test, func(t *testing.T) {
					compare.Run(t, compare.Case{Args: []string{bin, test}, Sysemu: slices.Concat(flags, own), Timeout: time.Minute})
				})
			}
		})
	}
}

// needs are what a program asks of the host, by a line that begins "// needs: ".
func needs(t *testing.T, src string) (list []*hostcan.Facility) {
	words, err := directive(src, "needs")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		switch w {
		case "int80":
			list = append(list, hostcan.Int80)
		default:
			t.Fatalf("%s needs %q", src, w)
		}
	}
	return list
}

// runFlags are the flags for sysemu run that a program asks for, by a line
// that begins "// sysemu run: ".
func runFlags(src string) ([]string, error) { return directive(src, "sysemu run") }

// directive is what stands behind "// name: " in a program.
func directive(src, name string) ([]string, error) {
	text, err := os.ReadFile(src)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if words, ok := strings.CutPrefix(line, "// "+name+": "); ok {
			return strings.Fields(words), nil
		}
	}
	return nil, nil
}
