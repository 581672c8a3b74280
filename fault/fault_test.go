package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
	"golang.org/x/sys/unix"
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

// outcome is how a program ended.
type outcome struct {
	Out, Err string
	Status   string
}

// inside runs a program in a machine with one CPU and these rules.
func inside(t *testing.T, rules []*fault.Rule, dir string, args ...string) (outcome, []fault.Fired) {
	t.Helper()
	in, err := fault.New(rules...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sysemu.New(append(in.Options(), sysemu.WithCPUs(1), sysemu.WithLog(func(s string) { t.Error(s) }))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := m.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Run()
	if ctx.Err() != nil {
		t.Error("it did not end")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	o := outcome{out.String(), errs.String(), "not run"}
	if cmd.ProcessState != nil {
		o.Status = cmd.ProcessState.String()
	}
	return o, in.Fired()
}

func parse(t *testing.T, texts ...string) (rules []*fault.Rule) {
	t.Helper()
	for _, text := range texts {
		r, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	return rules
}

// scratch is a directory with two files.
func scratch(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "alpha\nbeta\ngamma\n", "b.txt": "0123456789"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestStrace runs the same programs with the same injections under Debian's strace.
func TestStrace(t *testing.T) {
	if testing.Short() {
		t.Skip("many runs of programs, each twice")
	}
	strace := need(t, "strace")
	for _, c := range []struct{ inject, program string }{
		{"write:error=ENOSPC", "cat a.txt"},
		{"write:error=28:when=2", "echo one; echo two; echo three"},
		{"write:error=EPIPE:when=2+", "echo one; echo two; echo three"},
		{"write:error=EIO:when=1+2", "echo one; echo two; echo three; echo four"},
		{"write:error=EIO:when=2..3", "echo one; echo two; echo three; echo four"},
		{"write:error=EIO:when=1..4+3", "echo one; echo two; echo three; echo four"},
		{"write:error=EIO:when=1:when=2", "echo one; echo two"},
		{"openat:error=EMFILE:when=3", "cat a.txt b.txt"},
		{"%file:error=ENOENT:when=9+", "cat a.txt"},
		{"/^read$:retval=0:when=3", "cat a.txt b.txt"},
		{"getcwd,getuid,geteuid:error=eperm", "id -u; pwd -P"},
		{"geteuid:retval=77", "id -u"},
		{"getuid,geteuid:retval=0x10", "id -ru"},
		{"getppid:retval=5:syscall=getpid", "echo $PPID"},
		{"write:signal=SIGTERM", "cat a.txt; echo never"},
		{"write:signal=9:when=2", "echo one; echo two; echo three"},
		{"write:signal=USR1:error=EINTR:when=1", "trap 'echo caught' USR1; echo one; echo two"},
		{"write:signal=SIGCHLD:delay_enter=2000:delay_exit=1ms", "echo one; echo two"},
		{"write:signal=SIGUSR1:delay_exit=30ms", "cat a.txt"},
		{"read:poke_exit=@arg2=58595a:when=4", "cat a.txt"},
		{"write:poke_enter=@arg2=4a:when=1", "cat a.txt"},
		{"write:poke_enter=@arg2=4a4b:when=2", "echo one; echo two"},
		{"clone,fork,vfork,clone3:error=EAGAIN", "/bin/true; echo after"},
		{"mmap:error=ENOMEM:when=6", "cat a.txt"},
		{"close:error=EIO:when=5+", "cat a.txt"},
		{"!read,write,exit_group,execve:error=ENOSYS:when=60+", "cat a.txt"},
	} {
		t.Run(c.inject, func(t *testing.T) {
			dir := scratch(t)
			// A program alone, where it can be, so that counts are not the shell's; strace follows no child without -f.
			args := []string{"/bin/sh", "-c", c.program}
			if strings.HasPrefix(c.program, "cat ") && !strings.Contains(c.program, ";") {
				args = strings.Fields("/usr/bin/" + c.program)
			}
			got, _ := inside(t, parse(t, "inject="+c.inject), dir, args...)
			cmd := exec.Command(strace, append([]string{"-f", "-o", "/dev/null", "-e", "inject=" + c.inject}, args...)...)
			var out, errs bytes.Buffer
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
			cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
			err := cmd.Run()
			if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			want := outcome{out.String(), errs.String(), cmd.ProcessState.String()}
			if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
				want.Status = "signal: " + ws.Signal().String()
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("natively (-), inside (+): %s", d)
			}
		})
	}
}

// TestRules has each condition and action do what it says, to an ordinary program.
func TestRules(t *testing.T) {
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, c := range []struct {
		name  string
		rules []string
		args  []string
		want  outcome
		fired string // what happened, a call and its effect each
	}{
		{"path", []string{"openat:path=b.txt:error=EACCES"}, []string{"/bin/cat", "a.txt", "b.txt"},
			outcome{"alpha\nbeta\ngamma\n", "/bin/cat: b.txt: Permission denied\n", "exit status 1"}, "openat error=EACCES"},
		{"path of a descriptor", []string{"read:path=/**/b.*:error=EIO"}, []string{"/bin/cat", "a.txt", "b.txt"},
			outcome{"alpha\nbeta\ngamma\n", "/bin/cat: b.txt: Input/output error\n", "exit status 1"}, "read error=EIO"},
		{"path of a directory's descriptor", []string{"getdents64:path=/usr/bin:error=EIO"}, []string{"/bin/ls", "/usr/bin"},
			outcome{"", "/bin/ls: reading directory '/usr/bin': Input/output error\n", "exit status 2"}, "getdents64 error=EIO"},
		{"not that path", []string{"openat:path=/b.txt:error=EACCES"}, []string{"/bin/cat", "b.txt"}, outcome{"0123456789", "", "exit status 0"}, ""},
		{"descriptor", []string{"write:fd=2:error=EIO"}, sh("cat b.txt nosuch"), outcome{"0123456789", "", "exit status 1"}, "*"},
		{"flags", []string{"openat:arg.flags&O_CREAT|O_WRONLY:error=EROFS"}, sh("cat b.txt; echo > new"),
			outcome{"0123456789", "/bin/sh: 1: cannot create new: Read-only file system\n", "exit status 2"}, "openat error=EROFS"},
		{"length", []string{"write:fd=1:arg.count>3:error=EIO"}, sh("printf abc; printf abcd; printf ab"), outcome{"abcab", "/bin/sh: 1: printf: printf: I/O error\n", "exit status 0"}, "write error=EIO"},
		{"several", []string{"write:arg.count>=2:arg.count<4:fd=1:error=EIO"}, sh("printf a; printf ab; printf abc; printf abcd"),
			outcome{"aabcd", "/bin/sh: 1: printf: printf: I/O error\n/bin/sh: 1: printf: printf: I/O error\n", "exit status 0"}, "write error=EIO, write error=EIO"},
		{"name of a value", []string{"kill:arg.sig=SIGUSR1:retval=0", "kill:arg2!=SIGUSR1:error=EPERM"}, sh("kill -USR1 $$; kill -TERM $$; echo here"),
			outcome{"here\n", "/bin/sh: 1: kill: Operation not permitted\n\n", "exit status 0"}, "kill retval=0, kill error=EPERM"},
		{"text", []string{"unlinkat,unlink:arg2=b.txt:error=EBUSY"}, sh("rm -f a.txt b.txt; ls"),
			outcome{"b.txt\n", "rm: cannot remove 'b.txt': Device or resource busy\n", "exit status 0"}, "unlinkat error=EBUSY"},
		{"comm", []string{"write:comm=ca*:fd=1:error=EIO"}, sh("echo one; cat b.txt; echo two"),
			outcome{"one\ntwo\n", "cat: write error: Input/output error\n", "exit status 0"}, "*"},
		{"code", []string{"openat:code=libc.so*:error=EACCES"}, []string{"/bin/cat", "b.txt"},
			outcome{"", "/bin/cat: b.txt: Permission denied\n", "exit status 1"}, "*"},
		{"process", []string{"write:pid=3:error=EIO:when=1"}, sh("echo one; cat b.txt; echo two"),
			outcome{"one\ntwo\n", "cat: write error: Input/output error\n", "exit status 0"}, "write error=EIO"},
		{"counted by machine", []string{"write:per=machine:error=EIO:when=2:fd=1"}, sh("echo one; cat b.txt; echo two"),
			outcome{"one\ntwo\n", "cat: write error: Input/output error\n", "exit status 0"}, "write error=EIO"},
		{"counted by thread", []string{"openat,write:per=thread:fd=1:arg.count>0:error=EIO:when=2"}, sh("echo one; echo two"),
			outcome{"one\n", "/bin/sh: 1: echo: echo: I/O error\n", "exit status 1"}, "write error=EIO"},
		{"order of rules", []string{"write:fd=1:delay=1ms", "write:fd=1:error=EIO:when=1", "write:fd=1:error=ENOSPC:when=1"}, sh("printf a; printf b; printf c"),
			outcome{"c", "/bin/sh: 1: printf: printf: I/O error\n/bin/sh: 1: printf: printf: I/O error\n", "exit status 0"}, "write delay_enter=1ms, write error=EIO, write delay_enter=1ms, write error=ENOSPC, write delay_enter=1ms"},
		{"clock", []string{"openat:path=b.txt:clock=+48h"}, sh("a=$(date +%s); cat b.txt; b=$(date +%s); test $((b-a)) -ge 172800 && echo later"),
			outcome{"0123456789later\n", "", "exit status 0"}, "openat clock=+48h0m0s"},
		{"short read", []string{"read:path=b.txt:short=4"}, []string{"/bin/dd", "if=b.txt", "status=none", "bs=8", "count=1"},
			outcome{"0123", "", "exit status 0"}, "read short=4"},
		{"part of a write", []string{"write:fd=1:short=50%:when=1"}, []string{"/bin/dd", "if=b.txt", "bs=10"},
			outcome{"0123456789", "1+0 records in\n1+0 records out\n10 bytes copied", "exit status 0"}, "write short=50%"},
		{"torn write", []string{"write:path=t.txt:torn=4"}, sh("printf abcdefgh > t.txt; od -An -c t.txt; printf ABCDEFGH > t.txt; od -An -c t.txt"),
			outcome{"   a   b   c   d  \\0  \\0  \\0  \\0\n   A   B   C   D  \\0  \\0  \\0  \\0\n", "", "exit status 0"}, "write torn=4, write torn=4"},
		{"torn in the middle", []string{"write:path=b.txt:torn=1..50%"},
			sh("cat a.txt | dd of=b.txt bs=6 count=1 seek=1 oflag=seek_bytes conv=notrunc status=none; cat b.txt; printf ++++ >>b.txt; od -An -c b.txt"),
			outcome{"01lp456789" + "", "", "exit status 0"}, "*"},
		{"torn on a pipe", []string{"write:comm=sh:torn=1..3"}, sh("printf abcdef | cat"), outcome{"bc", "", "exit status 0"}, "write torn=1..3"},
		{"full", []string{"write,copy_file_range:path=out:space=12"}, sh("cat b.txt > out; cat b.txt >> out; cat out; cat b.txt >> out"),
			outcome{"012345678901", "cat: write error: No space left on device\ncat: b.txt: No space left on device\n", "exit status 1"}, "*"},
		{"nothing is written to the full", []string{"write,mkdir:path=/**/out*:space=0"}, sh("mkdir out1; : > out; ls"),
			outcome{"a.txt\nb.txt\nout\n", "mkdir: cannot create directory 'out1': No space left on device\n", "exit status 0"}, "mkdir space=0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, fired := inside(t, parse(t, c.rules...), scratch(t), c.args...)
			if i := strings.Index(got.Err, " copied"); i >= 0 {
				got.Err = got.Err[:i+len(" copied")] // then times come
			}
			if c.name == "torn in the middle" { // by hand: six bytes at 1, of which 1 and 2 arrive; four at the end, of which 1 does
				c.want.Out = "0" + "1lp456789" + "   0   1   l   p   4   5   6   7   8   9  \\0   +  \\0  \\0\n"
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("want (-), got (+): %s", d)
			}
			var list []string
			for _, f := range fired {
				list = append(list, f.Call+" "+f.Effect)
			}
			if what := strings.Join(list, ", "); c.fired == "*" && what == "" || c.fired != "*" && what != c.fired {
				t.Errorf("fired: %s; want %s", what, c.fired)
			}
		})
	}
}

// TestVectors shortens and tears calls with several buffers.
func TestVectors(t *testing.T) {
	need(t, "python3")
	const script = `
import os
fd = os.open("b.txt", os.O_RDWR)
bufs = [bytearray(b"...."), bytearray(b"......")]
print(os.readv(fd, bufs), bufs)
print(os.preadv(fd, bufs, 2), bufs)
print(os.pwritev(fd, [b"ab", b"cdef"], 3), os.pread(fd, 100, 0))
print(os.lseek(fd, 0, os.SEEK_SET), os.writev(fd, [b"AB", b"CDEF", b"GH"]), os.lseek(fd, 0, os.SEEK_CUR), os.pread(fd, 100, 0))
r, w = os.pipe()
print(os.writev(w, [b"one", b"two"]), os.read(r, 100))
`
	got, fired := inside(t, parse(t, "readv:short=5", "preadv,preadv2:short=3", "pwritev,pwritev2:torn=1..5", "writev:path=b.txt:torn=3..7", "writev:short=4"),
		scratch(t), "/usr/bin/python3", "-c", script)
	want := outcome{strings.Join([]string{
		"5 [bytearray(b'0123'), bytearray(b'4.....')]",
		"3 [bytearray(b'2343'), bytearray(b'4.....')]",
		"6 b'0123bcde89'",
		"0 8 8 b'012DEFG789'",
		"4 b'onet'",
	}, "\n") + "\n", "", "exit status 0"}
	// pwritev at 3 of abcdef: b to e go to 4 to 7. writev at 0 of ABCDEFGH: D to G go to 3 to 6.
	want.Out = strings.Replace(want.Out, "012DEFG789", "012DEFGe89", 1)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want (-), got (+): %s", d)
	}
	if len(fired) != 5 {
		t.Errorf("fired: %v", fired)
	}
}

// TestSeed checks that what happens by chance happens again.
func TestSeed(t *testing.T) {
	run := func(seed uint64) (string, []fault.Fired) {
		got, fired := inside(t, parse(t, fmt.Sprintf("write:fd=1:prob=30%%:seed=%d:error=EIO", seed)), scratch(t), "/bin/sh", "-c",
			"for i in 1 2 3 4 5 6 7 8 9 a b c d e f; do printf $i; done")
		return got.Out, fired
	}
	one, fired := run(1)
	if n := len(fired); n == 0 || n == 15 || len(one) != 15-n {
		t.Errorf("%q with %v", one, fired)
	}
	if again, firedAgain := run(1); again != one || !slices.Equal(fired, firedAgain) {
		t.Errorf("%q and then %q with the same seed", one, again)
	}
	if other, _ := run(2); other == one {
		t.Errorf("%q with another seed too", one)
	}
}

// TestGo uses rules made in Go.
func TestGo(t *testing.T) {
	var last uint64
	got, fired := inside(t, []*fault.Rule{
		{Calls: "write", If: func(c *sysemu.Call) bool { return c.Arg(2) == 3 }, When: fault.From(2), Do: []fault.Action{
			fault.Func(func(c *sysemu.Call, next sysemu.Handler) (uint64, error) {
				v, err := next.ServeCall(c)
				last = v
				return v, err
			}),
			fault.Errno(unix.EDQUOT),
		}},
		{Calls: "write", When: fault.Once(1), Do: []fault.Action{fault.Short(fault.Bytes(1))}},
	}, scratch(t), "/bin/sh", "-c", "printf abc; printf de; printf fgh")
	// dash writes again what a short write has left: bc, of two bytes, is not met.
	if want := (outcome{"abcde", "/bin/sh: 1: printf: printf: I/O error\n", "exit status 1"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if len(fired) != 2 || fired[0].Effect != "short=1" || fired[0].Count != 1 || fired[1].Effect != "func=<func>:error=EDQUOT" || fired[1].Count != 2 || last != 0 {
		t.Errorf("fired: %v, last %d", fired, last)
	}
}
