// Package vm runs, in an emulated machine, the tests that need a host that runs 32-bit code, where the host does not. See the
// script run beside this file for how.
package vm

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
	"github.com/sysemu/sysemu/internal/hostcan"
)

// suites are test binaries to be run there: package, and which of its tests.
var suites = []struct{ name, pkg, run string }{
	{"hostcan", "internal/hostcan", "."},
	{"loader", "internal/loader", "Self32"},
	{"sigframe", "internal/sigframe", "Build32"}, // what a return restores of null selectors has changed since that kernel
	{"machine", "internal/machine", "Int80|Debug|32|TSC"},
	{"ptrace", "ptrace", "Series|HardwareBreakpoint|SyscallStops"},
	{"guest", "test/guest", "TestI386"},
	{"real", "test/real", "TestI386"},
	{"probe", "test/guest/ptrace", "TestProbes/32/(order|series)/(user|seccomp|entry|flag|sysemu)"},
	{"gdb", "test/debug", "TestGDB/(watchpoint|hardware)"},
}

// limit is for the boot and all tests, within the ten minutes that go test gives a package: code runs ten times slower than
// outside, and more on a busy host.
const limit = 8*time.Minute + 30*time.Second

func TestIn32BitMachine(t *testing.T) {
	compare.Enabled(t)
	if hostcan.Run32.Lacks() == nil && os.Getenv("SYSEMU_VM_TEST") == "" {
		t.Skip("this host runs 32-bit code: the tests run there themselves (SYSEMU_VM_TEST=1 runs them in the emulated machine too)")
	}
	for _, p := range []string{"qemu-system-x86_64", "busybox", "cpio"} {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err, " (.ci/run installs it)")
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := func(args ...string) {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	build("build", "-o", filepath.Join(dir, "sysemu"), "./cmd/sysemu")
	// Nothing is compiled or fetched in there.
	guests := filepath.Join(dir, "guests")
	if err := os.Mkdir(guests, 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "SYSEMU="+filepath.Join(dir, "sysemu"), "SYSEMU_GUESTS="+guests)
	programs := exec.Command("go", "test", "-count=1", "-run", "TestBuild32", "./test/guest")
	programs.Dir, programs.Env = root, env
	if out, err := programs.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", programs, err, out)
	}
	fetched, err := exec.Command("../i386/fetch").Output()
	if err != nil {
		t.Fatalf("test/i386/fetch: %v", err)
	}
	env = append(env, "SYSEMU_I386="+strings.TrimSpace(string(fetched)))
	var script strings.Builder
	for _, s := range suites {
		bin := filepath.Join(dir, s.name+".test")
		build("test", "-c", "-o", bin, "./"+s.pkg)
		fmt.Fprintf(&script, "cd %s; echo '== %s'; %s -test.v -test.timeout 10m -test.run '%s' 2>&1; echo \"== status $?\"\n", filepath.Join(root, s.pkg), s.name, bin, s.run)
	}
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit+15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./run", "-t", fmt.Sprint(int(limit.Seconds())), "--", "bash", filepath.Join(dir, "script"))
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	check(t, string(out))
}

// verdict is a line of go test -v that tells how a test ended.
var verdict = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// check reports what failed, and that nothing was left out: a test that is skipped there is shown nowhere.
func check(t *testing.T, out string) {
	t.Helper()
	suite, passed := "", 0
	ended := map[string]string{}
	var lines []string
	for sc := bufio.NewScanner(strings.NewReader(out)); sc.Scan(); {
		line := sc.Text()
		if name, ok := strings.CutPrefix(line, "== status "); ok {
			ended[suite] = name
			if name != "0" || passed == 0 {
				t.Errorf("%s: status %s, %d tests passed\n%s", suite, name, passed, strings.Join(lines, "\n"))
			}
			t.Logf("%s: %d tests passed", suite, passed)
		} else if name, ok := strings.CutPrefix(line, "== "); ok {
			suite, passed, lines = name, 0, nil
		} else if m := verdict.FindStringSubmatch(line); m != nil {
			switch m[1] {
			case "PASS":
				passed++
			case "SKIP":
				t.Errorf("%s: %s is skipped", suite, m[2])
			}
		}
		lines = append(lines, line)
	}
	for _, s := range suites {
		if ended[s.name] == "" {
			t.Errorf("%s did not end\n%s", s.name, tail(out))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }
