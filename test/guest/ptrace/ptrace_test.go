// Package ptrace runs the probes of the directory guest/ptrace: programs that trace others by ptrace(2) and print all that
// they see. The host's kernel is the oracle, by two rules:
//
//   - with LinuxRule, what is printed inside is what is printed natively, byte for byte;
//   - with SeriesRule, the default, it is what is printed natively when the probe leaves out the stray reports. Which these
//     are is said in guest/ptrace/probe.h, at resume.
package ptrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/internal/hostcan"
	"github.com/sysemu/sysemu/ptrace"
)

const (
	sources = "../../../guest/ptrace"
	limit   = 2 * time.Minute
)

// skip is the test that makes a probe leave out stray reports from then on; skipped tells how many it has.
const (
	skip    = "skip"
	skipped = "skipped"
)

// helpers are not tests.
var helpers = []string{skip, skipped, "labels", "tracee"}

func TestProbes(t *testing.T) {
	if testing.Short() {
		t.Skip("probes are not run with -short")
	}
	machines := map[ptrace.Rule]*sysemu.Machine{}
	for _, rule := range []ptrace.Rule{ptrace.LinuxRule, ptrace.SeriesRule} {
		m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithPtraceRule(rule), sysemu.WithLog(func(msg string) { t.Error(msg) }))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		machines[rule] = m
	}
	list, err := filepath.Glob(filepath.Join(sources, "*.c"))
	if err != nil || len(list) == 0 {
		t.Fatal("no probes", err)
	}
	dir := t.TempDir()
	for _, bits := range []string{"64", "32"} {
		strays := 0
		t.Run(bits, func(t *testing.T) {
			if bits == "32" {
				hostcan.Need(t, hostcan.Run32)
			}
			for _, src := range list {
				name := strings.TrimSuffix(filepath.Base(src), ".c")
				t.Run(name, func(t *testing.T) {
					bin := compile(t, dir, src, bits)
					for _, test := range tests(t, bin) {
						t.Run(test, func(t *testing.T) {
							if bits == "64" && strings.HasSuffix(test, "80") {
								hostcan.Need(t, hostcan.Int80)
							}
							strays += probe(t, machines, bin, test)
						})
					}
				})
			}
		})
		t.Logf("%s bits: %d stray reports natively", bits, strays)
	}
}

// compile makes a program that stands at the same addresses in every process.
func compile(t *testing.T, dir, src, bits string) string {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed (.ci/run installs it)")
	}
	bin := filepath.Join(dir, filepath.Base(src)+bits)
	out, err := exec.Command(gcc, "-m"+bits, "-O1", "-w", "-static", "-no-pie", "-pthread", "-o", bin, src).CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

func tests(t *testing.T, bin string) []string {
	out, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range strings.Fields(string(out)) {
		if !slices.Contains(helpers, n) {
			names = append(names, n)
		}
	}
	return names
}

// probe runs one test by both rules and answers how many stray reports there were natively.
func probe(t *testing.T, machines map[ptrace.Rule]*sysemu.Machine, bin, test string) (strays int) {
	type result struct{ native, inside string }
	var linux, series result
	var all sync.WaitGroup
	all.Go(func() {
		linux.native, _ = native(bin, test)
		var count string
		series.native, count = native(bin, skip, test, skipped)
		strays, _ = strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(count), "left out")))
	})
	all.Go(func() {
		linux.inside = inside(machines[ptrace.LinuxRule], bin, test)
		series.inside = inside(machines[ptrace.SeriesRule], bin, test)
	})
	all.Wait()
	differ(t, "linux rule", linux.native, linux.inside)
	differ(t, "series rule", series.native, series.inside)
	if strays > 0 && linux.inside == series.inside {
		t.Errorf("%d stray reports natively, but both rules give the same", strays)
	}
	return strays
}

// differ reports the first scenarios that differ: each begins with a line that is not indented.
func differ(t *testing.T, rule, native, inside string) {
	t.Helper()
	if native == inside {
		return
	}
	a, b := scenarios(native), scenarios(inside)
	shown, differing := "", 0
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x == y {
			continue
		}
		if differing++; differing <= 3 {
			shown += cmp.Diff(strings.Split(x, "\n"), strings.Split(y, "\n"))
		}
	}
	t.Errorf("%s: %d of %d scenarios differ (-native +inside); the first:\n%s", rule, differing, max(len(a), len(b)), shown)
}

func scenarios(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		if len(list) == 0 || line[0] != ' ' {
			list = append(list, "")
		}
		list[len(list)-1] += line
	}
	return list
}

// native answers what a probe printed and how it ended, and what it printed on standard error.
func native(bin string, args ...string) (stdout, stderr string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, bin, args...)
	c.Dir = os.TempDir()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var status int
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		status, err = ee.ExitCode(), nil
	}
	return fmt.Sprintf("%sended: %d %v\n", out.Bytes(), status, err), errs.String()
}

func inside(m *sysemu.Machine, bin string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := m.CommandContext(ctx, bin, args...)
	c.Dir = os.TempDir()
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	var status int
	var ee *sysemu.ExitError
	if errors.As(err, &ee) {
		status, err = ee.Sys().ExitStatus(), nil
	}
	return fmt.Sprintf("%sended: %d %v\n", out.Bytes(), status, err)
}
