package trace_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/trace"
)

// need finds a program; a missing one is a failure under CI, where all are installed.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

var builds struct {
	sync.Mutex
	dir  string
	done map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "trace")
	if err != nil {
		panic(err)
	}
	builds.dir, builds.done = dir, map[string]string{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a program of testdata, once.
func build(t *testing.T, name string) string {
	t.Helper()
	gcc := need(t, "gcc")
	builds.Lock()
	defer builds.Unlock()
	if bin := builds.done[name]; bin != "" {
		return bin
	}
	bin := filepath.Join(builds.dir, name)
	if out, err := exec.Command(gcc, "-w", "-O1", "-static", "-pthread", "-o", bin, filepath.Join("testdata", name+".c")).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	builds.done[name] = bin
	return bin
}

// inside runs a program in a machine with a trace, in a directory.
func inside(t *testing.T, o trace.Options, dir string, args ...string) {
	t.Helper()
	tr, err := trace.New(o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sysemu.New(append(tr.Install(), sysemu.WithLog(func(s string) { t.Error(s) }))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := m.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Run() // how it ends is in the trace
	if ctx.Err() != nil {
		t.Error("it did not end")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

// native runs it with Debian's strace and answers what that writes.
func native(t *testing.T, dir string, flags []string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "strace")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, need(t, "strace"), append(append([]string{"-o", out}, flags...), args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a session that started outside a PID namespace has number 0 in it
	cmd.Run()
	if ctx.Err() != nil {
		t.Error("natively it did not end")
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mask is what may rightly differ, with the reason.
type mask struct{ pattern, with string }

var masks = []mask{
	{`0x[0-9a-f]{5,16}`, "ADDR"}, // the layout of memory is random
	{`(getrandom\(")[^"]*`, "${1}RANDOM"},
	{`/\* [0-9]+ vars? \*/`, "/* VARS */"},
	// Numbers of processes.
	{`^((?:getpid|gettid|getppid|set_tid_address|clone3?|v?fork|getsid|getpgrp|getpgid|wait4)\(.*= )[1-9][0-9]*`, "${1}PID"},
	{`^((?:t?kill|wait4|rt_sigqueueinfo|pidfd_open)\()[0-9]+`, "${1}PID"},
	{`^(tgkill\()[0-9]+, [0-9]+`, "${1}PID, PID"},
	{`^(waitid\(P_PID, )[0-9]+`, "${1}PID"},
	{`((?:si|l|shm_c|shm_l)_?pid=)[0-9]+`, "${1}PID"},
	{`(parent_tid=\[)[0-9]+`, "${1}PID"},
	{`(CLOCK_REALTIME, )[0-9]+(, NULL, FUTEX)`, "${1}PID$2"}, // pthread_join waits for a thread's number
	// Time passes.
	{`((?:clock_gettime|gettimeofday|timer_gettime|timerfd_gettime|times|time)\(.*)`, ""},
	{`(left \{).*?\}`, "${1}LEFT}"},
	{`(shm_[ac]time=)[0-9]+`, "${1}TIME"},
	{`(r?u_[us]time=\{)[^}]*`, "${1}TIME"},
	{`(si_[us]time=)[0-9]+(?: /\* [0-9.]+ s \*/)?`, "${1}TIME"},
	{` +(= )`, " $1"}, // the column follows from all that
}

func masked(text string, more ...mask) []string {
	var lines []string
	var res []*regexp.Regexp
	all := append(more, masks...)
	for _, m := range all {
		res = append(res, regexp.MustCompile(m.pattern))
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		for i, re := range res {
			l = re.ReplaceAllString(l, all[i].with)
		}
		lines = append(lines, l)
	}
	return lines
}

// apart takes the lines of signals out: whether a child ends before its parent waits is chance, natively too.
func apart(lines []string) (calls, signals []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, "---") {
			signals = append(signals, l)
		} else {
			calls = append(calls, l)
		}
	}
	return
}

// The lines are strace's own, but for what differs between the two kernels.
func TestStrace(t *testing.T) {
	if testing.Short() {
		t.Skip("compares with strace")
	}
	bin := build(t, "calls")
	startup := []mask{
		{`^(rseq\(.*= ).*`, "${1}RESULT"}, // may not be there yet
	}
	for _, tc := range []struct {
		group string
		masks []mask
	}{
		{"files", []mask{
			{`(st_mode=S_IFDIR\|0755, st_size=)[0-9]+`, "${1}SIZE"},
			{`stx_mask=[A-Z_|]*`, "stx_mask=MASK"}, // file systems know different things
			{`^(statfs.*f_fsid=\{val=\[).*?(\].*f_flags=).*\}`, "${1}ID${2}FLAGS}"},
			{`^(copy_file_range.*= ).*`, "${1}ERROR"}, // the host's file system copies between its own files only
			{`^((?:[fl]*(?:get|set|list|remove)xattr)\(.*\) += ).*`, "${1}RESULT"},
			{`^(getcwd\().*`, "$1"},
		}},
		{"memory", []mask{{`^(shm(?:get|at|ctl)\()\d*(.*)`, "$1$2"}, {`^(shmget.*= )[0-9]+`, "${1}ID"}}},
		{"signals", nil},
		{"processes", []mask{
			{`^(setsid\(.*= ).*`, "${1}RESULT"}, // a program inside leads a session already
			{`^(setpgid\(.*= ).*`, "${1}RESULT"},
			{`^(sched_getaffinity\(.*= )[0-9]+`, "${1}SIZE"}, // of the kernel's own sets
			{`^(.*RLIMIT_NOFILE.*\{rlim_cur=).*?\}`, "$1}"},
			{`^(getpriority|setpriority).*`, "$1"},
		}},
		{"times", nil},
		{"polls", nil},
		{"sockets", []mask{{`(sin6?_port=htons\()[0-9]+`, "${1}PORT"}}},
		{"rest", []mask{
			{`^((?:uname|sysinfo)\(\{)[^}]*`, "$1"},
			{`^(getcpu\(\[)[0-9]+`, "$1"},
			{`^((?:sem|msg|sema?timed)(?:get|op|ctl|snd|rcv)\()[0-9]*(.*)`, "$1$2"},
			{`^((?:sem|msg)get\(.*= )[0-9]+`, "${1}ID"},
			{`^(membarrier\(MEMBARRIER_CMD_QUERY, 0\)).*`, "$1"},
			{`^syscall_0x3e8.*= `, "syscall_0x3e8 = "}, // registers nobody set
			{`^(sethostname\().*= `, "$1"},
		}},
	} {
		t.Run(tc.group, func(t *testing.T) {
			dir := t.TempDir()
			var out bytes.Buffer
			inside(t, trace.Options{Output: &out}, dir, bin, tc.group)
			if names, _ := filepath.Glob(dir + "/*"); len(names) > 0 {
				t.Fatalf("it has left %v", names)
			}
			want := native(t, dir, nil, bin, tc.group)
			calls, signals := apart(masked(want, append(startup, tc.masks...)...))
			ourCalls, ourSignals := apart(masked(out.String(), append(startup, tc.masks...)...))
			if diff := cmp.Diff(calls, ourCalls); diff != "" {
				t.Errorf("-strace +sysemu\n%s", diff)
			}
			if diff := cmp.Diff(signals, ourSignals); diff != "" {
				t.Errorf("-strace +sysemu\n%s", diff)
			}
		})
	}
}

// The same tracer in front of a program of the host: all but the signals is there.
func TestStraceNative(t *testing.T) {
	if testing.Short() {
		t.Skip("compares with strace")
	}
	bin := build(t, "calls")
	for _, group := range []string{"polls", "memory", "sockets"} {
		var out bytes.Buffer
		tr, err := trace.New(trace.Options{Output: &out})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, bin, group)
		cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=/usr/bin:/bin"}
		n, err := sysemu.StartNative(cmd, sysemu.WithMiddleware(tr.Middleware))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Wait(); err != nil {
			t.Error(err)
		}
		n.Close()
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		masks := []mask{
			{`(sin6?_port=htons\()[0-9]+`, "${1}PORT"},
			{`^(shm(?:get|at|ctl)\()\d*(.*)`, "$1$2"}, {`^(shmget.*= )[0-9]+`, "${1}ID"},
		}
		want, _ := apart(masked(native(t, t.TempDir(), nil, bin, group), masks...))
		want = want[1 : len(want)-1] // the execve before, and the end
		if diff := cmp.Diff(want, masked(out.String(), masks...)); diff != "" {
			t.Errorf("%s: -strace +sysemu\n%s", group, diff)
		}
	}
}
