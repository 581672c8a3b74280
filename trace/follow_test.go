package trace_test

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/trace"
)

var pidLine = regexp.MustCompile(`^(\d+) +(.*)$`)

// perThread parts a trace by thread, in the order of their numbers, with the halves of interrupted lines joined.
func perThread(t *testing.T, text string, more ...mask) [][]string {
	t.Helper()
	lines := map[int][]string{}
	half := map[int]string{}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m := pidLine.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("a line without a thread: %q", l)
		}
		tid, _ := strconv.Atoi(m[1])
		l = m[2]
		if rest, ok := strings.CutSuffix(l, " <unfinished ...>"); ok {
			half[tid] = rest
			continue
		}
		if strings.HasPrefix(l, "<... ") {
			_, rest, ok := strings.Cut(l, " resumed>")
			if !ok || half[tid] == "" {
				t.Fatalf("a line that resumes nothing: %q", l)
			}
			l = half[tid] + rest
			delete(half, tid)
		}
		lines[tid] = append(lines[tid], l)
	}
	if len(half) > 0 {
		t.Errorf("unfinished to the end: %v", half)
	}
	var tids []int
	for tid := range lines {
		tids = append(tids, tid)
	}
	slices.Sort(tids)
	var all [][]string
	for _, tid := range tids {
		calls, signals := apart(masked(strings.Join(lines[tid], "\n"), more...))
		all = append(all, append(calls, signals...))
	}
	return all
}

// Threads and children, each for itself, are as strace -f shows them.
func TestStraceFollow(t *testing.T) {
	if testing.Short() {
		t.Skip("compares with strace")
	}
	bin := build(t, "family")
	dir := t.TempDir()
	masks := []mask{
		{`^rseq.*`, "rseq"},
		{`^(getppid\(\) += )[0-9]+`, "${1}PID"},
	}
	var out bytes.Buffer
	inside(t, trace.Options{Output: &out, Follow: true, PIDs: true}, dir, bin)
	ours := perThread(t, out.String(), masks...)
	strace := perThread(t, native(t, dir, []string{"-f"}, bin), masks...)
	drop := func(all [][]string) {
		for i := range all {
			all[i] = slices.DeleteFunc(all[i], func(l string) bool { return l == "rseq" }) // may not be there yet
		}
	}
	drop(ours)
	drop(strace)
	if diff := cmp.Diff(strace, ours); diff != "" {
		t.Errorf("-strace +sysemu\n%s", diff)
	}
}

// Without Follow children are not seen.
func TestNoFollow(t *testing.T) {
	var out bytes.Buffer
	inside(t, trace.Options{Output: &out, Filter: []string{"trace=exit_group,execve"}}, t.TempDir(), build(t, "family"))
	got := masked(out.String())
	if len(got) == 0 || strings.Count(out.String(), "execve(") != 1 || got[len(got)-1] != "+++ exited with 0 +++" || strings.Contains(out.String(), "pid") && strings.Contains(out.String(), "[pid") {
		t.Errorf("%s", out.String())
	}
}

// A class of calls is what strace takes it for, of all calls that the test program makes.
func TestStraceClasses(t *testing.T) {
	if testing.Short() {
		t.Skip("compares with strace")
	}
	bin := build(t, "calls")
	names := func(flags ...string) []string {
		var list []string
		for _, l := range strings.Split(native(t, t.TempDir(), flags, bin, "all"), "\n") {
			name, _, ok := strings.Cut(l, "(")
			// strace shows numbers without a name whatever the class.
			if ok && !strings.ContainsAny(name, " -+") && !slices.Contains(list, name) && !strings.HasPrefix(name, "syscall_") {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return list
	}
	all := names()
	if len(all) < 150 {
		t.Fatalf("only %d calls: %v", len(all), all)
	}
	for _, class := range []string{"%file", "%process", "%network", "%signal", "%ipc", "%desc", "%memory", "%creds", "%clock", "%%stat", "%%statfs", "%pure", "!%file,%desc", "/get.*id"} {
		strace := names("-e", "trace="+class)
		ours := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !trace.Wants(t, "trace="+class, name) })
		if diff := cmp.Diff(strace, ours); diff != "" {
			t.Errorf("%s: -strace +sysemu\n%s", class, diff)
		}
	}
}
