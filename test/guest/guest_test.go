// Package guest compiles the programs of the directory guest and runs each of their tests natively and inside sysemu:
// the host's kernel is the oracle for ours.
package guest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
)

func TestMain(m *testing.M) { compare.Main(m) }

func TestGuest(t *testing.T) {
	compare.Enabled(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed (.ci/run installs it)")
	}
	sources, err := filepath.Glob("../../guest/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no guest programs: %v", err)
	}
	dir := t.TempDir()
	for _, src := range sources {
		name := strings.TrimSuffix(filepath.Base(src), ".c")
		t.Run(name, func(t *testing.T) {
			bin := filepath.Join(dir, name)
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
					compare.Run(t, compare.Case{Args: []string{bin, test}, Timeout: time.Minute})
				})
			}
		})
	}
}
