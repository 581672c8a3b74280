package policy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/policy"
	"golang.org/x/sys/unix"
)

func middleware(t testing.TB, text string, opts ...policy.Option) sysemu.Middleware {
	t.Helper()
	p, err := policy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	mw, err := policy.Middleware(p, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return mw
}

func machine(t testing.TB, mw sysemu.Middleware, opts ...sysemu.Option) *sysemu.Machine {
	t.Helper()
	opts = append(opts, sysemu.WithLog(func(msg string) { t.Error(msg) }))
	if mw != nil {
		opts = append(opts, sysemu.WithMiddleware(mw))
	}
	m, err := sysemu.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// python is the interpreter itself where it is known, and not what chooses one.
func python() string {
	const name = "/usr/bin/python3"
	if _, err := os.Stat(name); err == nil {
		return name
	}
	return "python3"
}

// run runs a program for a minute at most.
func run(t testing.TB, m *sysemu.Machine, args ...string) (string, *sysemu.ProcessState) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := m.CommandContext(ctx, args[0], args[1:]...)
	out, err := c.CombinedOutput()
	if e := (*sysemu.ExitError)(nil); err != nil && !errors.As(err, &e) {
		t.Fatalf("%v: %v, %s", args, err, out)
	}
	return string(out), c.ProcessState
}

// events collects what a policy tells.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) add(v *policy.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := fmt.Sprint(v.Call, " ", v.Path, " ", v.Mode, " ", v.Addr, " ", v.Action)
	if !slices.Contains(e.all, s) {
		e.all = append(e.all, s)
	}
}

func (e *events) list() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

func TestActions(t *testing.T) {
	var told events
	var asked []string
	ask := func(c *sysemu.Call, a *sysemu.Access) policy.Decision {
		if a == nil {
			asked = append(asked, c.Name())
			return policy.Decision{Action: policy.Allow}
		}
		asked = append(asked, a.Path)
		if strings.HasSuffix(a.Path, "/asked-yes") {
			return policy.Decision{Action: policy.Allow}
		}
		return policy.Decision{Action: policy.Deny, Errno: unix.EROFS}
	}
	m := machine(t, middleware(t, `
deny  ENOENT %file mode=r path=/w/secret
log   %file mode=r path=/w/told
kill  %file mode=w path=/w/trap
ask   %file mode=w path=/w/asked-*
ask   getpriority
deny  EACCES mkdir,mkdirat arg.mode&0o22!=0
deny  ENETDOWN socket arg.family=AF_INET6
deny  EBUSY sethostname user=0
deny  unlink,unlinkat path=/w/sub/**
`, policy.WithLog(told.add), policy.WithAsk(ask)), sysemu.WithTmpfs("/w"), sysemu.WithUser(0, 0))
	out, state := run(t, m, python(), "-I", "-S", "-c", `
import os, socket, errno
open('/w/told', 'w').write('x'); os.mkdir('/w/sub', 0o700); open('/w/sub/f', 'w').close()
def t(what, f, *args):
    try:
        f(*args); print(what, 'ok')
    except OSError as e: print(what, errno.errorcode[e.errno])
t('write secret', lambda: open('/w/secret', 'w').close())
t('read secret', open, '/w/secret')
t('stat secret', os.stat, '/w/secret')
t('link secret', os.link, '/w/secret', '/w/other')
t('rename secret', os.rename, '/w/secret', '/w/other')
t('read told', open, '/w/told')
t('asked yes', open, '/w/asked-yes', 'w')
t('asked no', open, '/w/asked-no', 'w')
t('getpriority', os.getpriority, 0, 0)
t('mkdir 777', os.mkdir, '/w/d', 0o777)
t('mkdir 700', os.mkdir, '/w/d', 0o700)
t('inet6', socket.socket, socket.AF_INET6)
t('inet', socket.socket, socket.AF_INET)
t('sethostname', socket.sethostname, 'x')
t('unlink', os.unlink, '/w/sub/f')
t('move', os.rename, '/w/sub', '/w/sub2')
t('unlink told', os.unlink, '/w/told')
print('end', flush=True)
open('/w/trap', 'w')
print('not reached')
`)
	const want = `write secret ok
read secret ENOENT
stat secret ok
link secret ENOENT
rename secret ENOENT
read told ok
asked yes ok
asked no EROFS
getpriority ok
mkdir 777 EACCES
mkdir 700 ok
inet6 ENETDOWN
inet ok
sethostname EBUSY
unlink EPERM
move ok
unlink told ok
end
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	if state.Exited() || state.Sys().Signal() != unix.SIGSYS {
		t.Errorf("%v", state)
	}
	if want := []string{"/w/asked-yes", "/w/asked-no", "getpriority"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
	list := told.list()
	for _, want := range []string{"openat /w/secret r  deny", "openat /w/told r  log", "openat /w/trap w  kill", "mkdir /w/d w  deny", "openat /w/asked-no w  deny"} {
		if !slices.Contains(list, want) {
			t.Errorf("%q is not told: %q", want, list)
		}
	}
}

// While a function is asked, other programs run; when the program is killed
// nobody waits for the answer.
func TestAskBlocks(t *testing.T) {
	asked, answer := make(chan bool, 1), make(chan bool)
	m := machine(t, middleware(t, "ask mkdir path=/w/*\n", policy.WithAsk(func(c *sysemu.Call, a *sysemu.Access) policy.Decision {
		asked <- true
		select {
		case <-answer:
		case <-c.Context().Done():
		}
		return policy.Decision{}
	})), sysemu.WithTmpfs("/w"), sysemu.WithCPUs(1))
	c := m.Command("mkdir", "/w/d")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if out, state := run(t, m, "sh", "-c", "ls /w; echo others run"); !state.Success() || out != "others run\n" {
		t.Errorf("meanwhile: %v, %q", state, out)
	}
	close(answer)
	if err := c.Wait(); err != nil {
		t.Errorf("%v", err)
	}
	answer = nil
	c = m.Command("mkdir", "/w/e")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	c.Process.Kill()
	c.Wait()
	if s := c.ProcessState; s.Exited() || s.Sys().Signal() != unix.SIGKILL {
		t.Errorf("killed: %v", s)
	}
	if out, _ := run(t, m, "ls", "/w"); out != "d\n" {
		t.Errorf("there is %q", out)
	}
}

// Programs that try to get to a file by other ways than its name do not.
func TestTricks(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "secret"), 0o755)
	os.WriteFile(filepath.Join(dir, "secret/key"), []byte("TOP SECRET\n"), 0o644)
	os.WriteFile(filepath.Join(dir, "secret/run"), []byte("#!/bin/sh\necho TOP SECRET\n"), 0o755)
	os.WriteFile(filepath.Join(dir, "free"), []byte("free\n"), 0o644)
	os.Symlink("secret/key", filepath.Join(dir, "link"))
	os.Symlink("/w/secret", filepath.Join(dir, "dirlink"))
	m := machine(t, middleware(t, "deny EACCES %file mode=rwx path=/w/secret/key path=/w/secret/run\n"), sysemu.WithBind(dir, "/w", false), sysemu.WithTmpfs("/t"), sysemu.WithUser(0, 0))
	for _, script := range []string{
		`cat /w/secret/key`, `cat /w/link`, `cat /w/dirlink/key`, `cat /w/./secret//../secret/key`, `cat /proc/self/root/w/secret/key`, `cat /proc/1/root/w/secret/key`,
		`cd /w/secret && cat key`, `cd /w/secret && cat /proc/self/cwd/key`, `exec 3</w/secret && cat /proc/self/fd/3/key`, `cat /dev/fd/../../w/secret/key`,
		`ln /w/secret/key /w/k2 && cat /w/k2`, `mv /w/secret/key /w/k3 && cat /w/k3`, `ln -s /w/secret/key /w/k4; cat /w/k4`,
		`mv /w/secret /w/public && cat /w/public/key`, `mount --bind /w/secret /t && cat /t/key`, `mkdir /t/a && mount --bind /w /t/a && cat /t/a/secret/key`,
		`chroot /w /bin/cat /secret/key`, `/w/secret/run`, `sh /w/secret/run`, `/lib64/ld-linux-x86-64.so.2 /w/secret/run`, `tail -n +1 < /w/secret/key`, `cp /w/secret/key /t/k && cat /t/k`,
		`chmod 777 /w/secret/key && echo TOP SECRET`, `truncate -s 0 /w/secret/key && echo TOP SECRET`, `rm -f /w/secret/key && echo TOP SECRET`,
	} {
		out, state := run(t, m, "bash", "-c", script)
		if strings.Contains(out, "SECRET") || state.Success() {
			t.Errorf("%s: %v, %s", script, state, out)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "secret/key")); string(b) != "TOP SECRET\n" {
		t.Errorf("it is %q now", b)
	}
	if out, state := run(t, m, "bash", "-c", "cat /w/free; ls /w/secret; stat -c %s /w/link /w/secret/key; mkdir /w/a; mv /w/a /w/b; rmdir /w/b"); !state.Success() || out != "free\nkey\nrun\n10\n11\n" {
		t.Errorf("%v, %q", state, out)
	}
}

const swapper = `#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static char name[32] = "/w/free";
static volatile int stop;
static void *swap(void *p) {
	while (!stop) {
		memcpy(name, "/w/key_", 7); memcpy(name, "/w/free", 7);
		symlink("free", "/w/s1"); rename("/w/s1", "/w/s"); symlink("key_", "/w/s2"); rename("/w/s2", "/w/s");
		syscall(SYS_renameat2, AT_FDCWD, "/w/d", AT_FDCWD, "/w/e", 2);
	}
	return 0;
}
int main() {
	pthread_t t;
	int got = 0, denied = 0;
	pthread_create(&t, 0, swap, 0);
	for (int i = 0; i < 1500; i++) {
		char b[10] = "";
		const char *names[] = {name, "/w/s", "/w/d/f"};
		int f = open(names[i % 3], O_RDONLY);
		if (f < 0) { denied++; continue; }
		read(f, b, 9); close(f);
		if (strstr(b, "SECRET")) { puts("SECRET"); return 1; }
		got++;
	}
	stop = 1;
	pthread_join(t, 0);
	printf("%s\n", got ? "free" : "nothing");
}
`

// A second thread that changes the name, the link or the directory between
// check and use gains nothing.
func TestSwaps(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "a.c"), filepath.Join(dir, "a")
	os.WriteFile(src, []byte(swapper), 0o644)
	if out, err := exec.Command(gcc, "-pthread", "-w", "-o", bin, src).CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	w := t.TempDir()
	os.WriteFile(filepath.Join(w, "key_"), []byte("SECRET"), 0o644)
	os.WriteFile(filepath.Join(w, "free"), []byte("free"), 0o644)
	os.Symlink("free", filepath.Join(w, "s"))
	for d, s := range map[string]string{"d": "free", "e": "SECRET"} {
		os.Mkdir(filepath.Join(w, d), 0o755)
		os.WriteFile(filepath.Join(w, d, "f"), []byte(s), 0o644)
	}
	// Which of the two directories is /w/d differs: what is in them is told apart by a name of its own.
	os.Rename(filepath.Join(w, "e", "f"), filepath.Join(w, "e", "g"))
	m := machine(t, middleware(t, "deny %file mode=r path=/w/key_ path=/w/*/g\n"), sysemu.WithBind(w, "/w", false))
	out, state := run(t, m, bin)
	if out != "free\n" {
		t.Errorf("%v, %q", state, out)
	}
}

func TestNetwork(t *testing.T) {
	m := machine(t, middleware(t, `
allow connect addr=127.0.0.1:4000 addr=unix:/w/good addr=unix:@good
deny ECONNABORTED connect
deny EADDRNOTAVAIL bind addr=*:5000
deny ENOBUFS sendto,sendmsg,sendmmsg addr=127.0.0.0/8:6000
`), sysemu.WithTmpfs("/w"))
	out, _ := run(t, m, python(), "-I", "-S", "-c", `
import socket, errno, os
def t(what, f, *args):
    try:
        f(*args); print(what, 'ok')
    except OSError as e: print(what, errno.errorcode[e.errno])
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
t('bind 4000', s.bind, ('127.0.0.1', 4000)); s.listen(9)
t('bind 5000', socket.socket().bind, ('127.0.0.1', 5000))
t('connect 4000', socket.socket().connect, ('127.0.0.1', 4000))
t('connect any 4000', socket.socket().connect, ('0.0.0.0', 4000))
t('connect mapped 4000', socket.socket(socket.AF_INET6).connect, ('::ffff:127.0.0.1', 4001))
t('connect 4001', socket.socket().connect, ('127.0.0.1', 4001))
keep = []
for name in '/w/good', '/w/bad', '\0good', '\0bad':
    u = socket.socket(socket.AF_UNIX); u.bind(name); u.listen(9); keep.append(u)
    t('connect ' + repr(name), socket.socket(socket.AF_UNIX).connect, name)
os.symlink('/w/bad', '/w/to-bad'); os.symlink('/w/good', '/w/to-good')
t('connect to-bad', socket.socket(socket.AF_UNIX).connect, '/w/to-bad')
t('connect to-good', socket.socket(socket.AF_UNIX).connect, '/w/to-good')
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t('sendto 6000', d.sendto, b'x', ('127.0.0.1', 6000))
t('sendmsg 6000', d.sendmsg, [b'x'], [], 0, ('127.0.0.1', 6000))
t('sendto 6001', d.sendto, b'x', ('127.0.0.1', 6001))
`)
	const want = `bind 4000 ok
bind 5000 EADDRNOTAVAIL
connect 4000 ok
connect any 4000 ok
connect mapped 4000 ECONNABORTED
connect 4001 ECONNABORTED
connect '/w/good' ok
connect '/w/bad' ECONNABORTED
connect '\x00good' ok
connect '\x00bad' ECONNABORTED
connect to-bad ECONNABORTED
connect to-good ok
sendto 6000 ENOBUFS
sendmsg 6000 ENOBUFS
sendto 6001 ok
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// A policy that was learnt allows what was done, and nothing else.
func TestLearn(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "in"), []byte("input"), 0o644)
	os.WriteFile(filepath.Join(dir, "other"), []byte("other"), 0o644)
	for name, tc := range map[string]struct{ program, same, other []string }{
		"bash": {
			[]string{"bash", "-c", `read x < /w/in; echo $x > /w/$1; (sleep 0); ls /w >/dev/null; cat "${2:-/w/in}"`, "bash"},
			[]string{"out"}, []string{"out", "/w/other"},
		},
		"python": {
			[]string{python(), "-I", "-S", "-c", `
import sys, socket, json, tempfile
s = socket.socket(); s.bind(('127.0.0.1', 7001)); s.listen()
s2 = socket.socket(); s2.bind(('127.0.0.1', 7002)); s2.listen()
socket.socket().connect(('127.0.0.1', int(sys.argv[1])))
tempfile.NamedTemporaryFile().write(b'x')
sys.stdout.write(open('/w/in').read())
`}, []string{"7001"}, []string{"7002"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l policy.Learner
			opts := []sysemu.Option{sysemu.WithBind(dir, "/w", false)}
			args := append(slices.Clone(tc.program), tc.same...)
			out, state := run(t, machine(t, l.Middleware, opts...), args...)
			if !state.Success() {
				t.Fatalf("%v, %s", state, out)
			}
			p := l.Policy()
			text := p.String()
			var told events
			again, state := run(t, machine(t, middleware(t, text, policy.WithLog(told.add)), opts...), args...)
			if !state.Success() || again != out {
				t.Fatalf("under what it learnt: %v, %s\n%q\n%s", state, again, told.list(), text)
			}
			args = append(slices.Clone(tc.program), tc.other...)
			got, state := run(t, machine(t, middleware(t, text), opts...), args...)
			if state.Success() || strings.Contains(got, "other\n") || !strings.Contains(got, "ermi") {
				t.Errorf("another act: %v, %s\n%s", state, got, text)
			}
		})
	}
}

// What no rule names is not seen, and of native programs nothing is allowed
// that depends on names.
func TestNative(t *testing.T) {
	for _, tc := range []struct {
		text string
		want bool
	}{
		{"deny EACCES mkdir,mkdirat path=/nowhere", false},
		{"default deny\nallow !mkdir,mkdirat\nallow mkdir,mkdirat path=/**", false},
		{"deny mkdir,mkdirat arg.mode=0", true},
	} {
		dir := filepath.Join(t.TempDir(), "d")
		c := exec.Command("mkdir", dir)
		p, err := sysemu.StartNative(c, sysemu.WithMiddleware(middleware(t, tc.text)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Wait()
		if _, there := os.Stat(dir); (there == nil) != tc.want {
			t.Errorf("%s: %v, %v", tc.text, err, there)
		}
	}
}
