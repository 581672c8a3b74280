package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sysemu": main, "without-sysemu": withoutSysemu})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": expectStatus,
		},
	})
}

// expectStatus is the script command "status N PROGRAM ARGS…": runs a program and checks its exit status.
func expectStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		var ok bool
		if got, ok = strings.CutPrefix(err.Error(), "exit status "); !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

func TestBindFlag(t *testing.T) {
	for text, want := range map[string]bind{
		"/a:/b":       {src: "/a", dst: "/b"},
		"a b:/c d":    {src: "a b", dst: "/c d"},
		"/a:/b:ro":    {src: "/a", dst: "/b", readOnly: true},
		"/a:/b:rw":    {src: "/a", dst: "/b"},
		".:/work,x":   {src: ".", dst: "/work,x"},
		"/a:/b:c":     {src: "/a", dst: "/b:c"},
		"/a:/b:ro:ro": {src: "/a", dst: "/b:ro", readOnly: true},
	} {
		var got bind
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/a", ":/b", "/a:", "/a:b", "/a:ro", ":"} {
		var b bind
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %+v", text, b)
		}
	}
}

func TestUserFlag(t *testing.T) {
	for text, want := range map[string]user{"0": {}, "7": {7, 7}, "7:8": {7, 8}, "4294967294:0": {4294967294, 0}} {
		var got user
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "root", "-1", "1:", ":1", "1:2:3", "4294967295", "4294967296", "0x1"} {
		var u user
		if err := u.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %+v", text, u)
		}
	}
}

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]size{"1": 1, "4096": 4096, "1k": 1 << 10, "512M": 512 << 20, "2GiB": 2 << 30, "3gb": 3 << 30, "1T": 1 << 40, "8388607T": 8388607 << 40} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "M", "-1", "1.5G", "8388608T", "9223372036854775808", "1Q", "x"} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %d", text, s)
		}
	}
}

// TestDiagnose checks what is said of hosts that this test does not run on.
func TestDiagnose(t *testing.T) {
	good := host{release: "6.1", cpus: 2, uid: 1000, tracer: "0", seccomp: "0", files: unix.Rlimit{Cur: 1024, Max: 4096}, programTried: true}
	for _, c := range []struct {
		name   string
		change func(*host)
		wrong  int
		says   []string
	}{
		{"nothing wrong", func(*host) {}, 0, []string{"user 1000", "/bin/true ran"}},
		{"Yama, users", func(h *host) { h.yama, h.trace = "2", unix.EPERM }, 1, []string{"sysctl kernel.yama.ptrace_scope=1"}},
		{"Yama, nobody", func(h *host) { h.yama, h.trace = "3", unix.EPERM }, 1, []string{"reboot"}},
		{"container", func(h *host) { h.seccomp, h.container, h.trace = "2", "Docker", unix.EPERM }, 1, []string{"in this container (Docker)", "seccomp=unconfined", "SYS_PTRACE"}},
		{"container hides memory", func(h *host) { h.seccomp, h.readMemory = "2", unix.EPERM }, 1, []string{"process_vm_readv", "seccomp=unconfined"}},
		{"filter that allows it", func(h *host) { h.seccomp = "2" }, 0, []string{"lets pass"}},
		{"no sysemu", func(h *host) { h.sysemu = unix.EIO }, 0, []string{"does not have PTRACE_SYSEMU", "PTRACE_SYSCALL"}},
		{"no sysemu allowed", func(h *host) { h.sysemu = unix.EPERM }, 1, []string{"PTRACE_SYSEMU does not work"}},
		{"no process_vm_readv", func(h *host) { h.readMemory = unix.ENOSYS }, 1, []string{"CONFIG_CROSS_MEMORY_ATTACH"}},
		{"no vDSO", func(h *host) { h.mapVDSO = unix.EINVAL }, 1, []string{"CONFIG_CHECKPOINT_RESTORE"}},
		{"no memfd programs", func(h *host) { h.memfdNoexec = "2" }, 1, []string{"sysctl vm.memfd_noexec=1"}},
		{"few files", func(h *host) { h.files.Max = 256 }, 0, []string{"at most 256 files"}},
		{"traced", func(h *host) { h.tracer = "42" }, 0, []string{"process 42"}},
		{"program fails", func(h *host) { h.program = errors.New("odd") }, 1, []string{"odd", "please report"}},
	} {
		h := good
		c.change(&h)
		wrongs, text := 0, ""
		for _, f := range diagnose(h) {
			if f.level == wrong {
				wrongs++
				if f.advice == "" {
					t.Errorf("%s: %q gives no advice", c.name, f.what)
				}
			}
			text += f.what + "\n" + f.advice + "\n"
		}
		if wrongs != c.wrong {
			t.Errorf("%s: %d things wrong, want %d:\n%s", c.name, wrongs, c.wrong, text)
		}
		for _, s := range c.says {
			if !strings.Contains(text, s) {
				t.Errorf("%s: does not say %q:\n%s", c.name, s, text)
			}
		}
	}
}

func TestReport(t *testing.T) {
	type result struct {
		Status int
		Text   string
	}
	for _, c := range []struct {
		err  error
		want result
	}{
		{nil, result{}},
		{exitStatus(7), result{7, ""}},
		{usageError{errors.New("bad flag")}, result{2, "sysemu: bad flag (sysemu --help lists commands and flags)\n"}},
		{failure{errors.New("x: no such file"), 127}, result{127, "sysemu: x: no such file\n"}},
		{errors.New("sysemu: no\nmachine"), result{125, "sysemu: no machine\n"}},
	} {
		var w strings.Builder
		status := report(&w, c.err)
		if diff := cmp.Diff(c.want, result{status, w.String()}); diff != "" {
			t.Errorf("%v:\n%s", c.err, diff)
		}
	}
}
