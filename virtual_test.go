package sysemu_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/trace"
)

func TestVirtualSleep(t *testing.T) {
	m := machineWithClock(t, sysemu.VirtualClock(time.Time{}))
	got := run(t, m, "date +%s; nproc; sleep 1000; date +%s; cut -d. -f1 /proc/uptime; (sleep 86400; echo last) & sleep 3600; echo first; wait; date +%F")
	if want := []string{"1767225600", "1", "1767226600", "1001", "first", "last", "2026-01-02"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	at := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	m = machineWithClock(t, sysemu.VirtualClock(at))
	if got := run(t, m, "date +%F_%T; sleep 1; date +%F_%T"); got[0] != "1999-12-31_23:59:59" || got[1] != "2000-01-01_00:00:00" {
		t.Errorf("a second before the year 2000: %v", got)
	}
	if err := m.AdvanceClock(24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := run(t, m, "date +%F"); got[0] != "2000-01-02" {
		t.Errorf("a day later: %v", got)
	}
	// Timers that wake nobody, and sleeps that never end, keep nobody.
	if got := run(t, m, `python3 -c 'import os, signal, time
signal.signal(signal.SIGALRM, signal.SIG_IGN); signal.setitimer(signal.ITIMER_REAL, 1, 1)
parent = os.getpid(); os.fork() and signal.pause()
time.sleep(100); os.kill(parent, 9)' >/dev/null; sleep infinity & kill $!; date -s 2001-01-01 >/dev/null; date +%F`); got[len(got)-1] != "2001-01-01" {
		t.Errorf("the date that was set: %v", got)
	}
	if n := m.Undetermined(); n != 0 {
		t.Errorf("the host's speed has decided %d times", n)
	}
}

// Every way to wait takes the time that was asked for, and little more: the few
// microseconds of the calls themselves.
func TestVirtualTimeouts(t *testing.T) {
	m := machineWithClock(t, sysemu.VirtualClock(time.Time{}))
	const program = `
import ctypes, os, queue, resource, select, signal, socket, subprocess, threading, time
def took(name, seconds, f):
    a = time.monotonic()
    try: f()
    except (queue.Empty, subprocess.TimeoutExpired, TimeoutError, InterruptedError): pass
    d = time.monotonic() - a - seconds
    print(name, "exact" if 0 <= d < 0.01 else d)
took("sleep", 500, lambda: time.sleep(500))
took("select", 50, lambda: select.select([], [], [], 50))
took("poll", 70, lambda: select.poll().poll(70000))
r, w = os.pipe()
ep = select.epoll(); ep.register(r, select.EPOLLIN)
took("epoll", 90, lambda: ep.poll(90))
took("lock", 30, lambda: threading.Lock().acquire() and None or threading.Event().wait(30))
took("queue", 20, lambda: queue.Queue().get(timeout=20))
signal.signal(signal.SIGALRM, lambda *a: None)
took("alarm", 60, lambda: (signal.alarm(60), signal.pause()))
took("itimer", 0.25, lambda: (signal.setitimer(signal.ITIMER_REAL, 0.25), signal.pause()))
took("sigtimedwait", 40, lambda: signal.sigtimedwait([signal.SIGUSR1], 40))
a, b = socket.socketpair(); a.settimeout(15)
took("recv", 15, lambda: a.recv(1))
child = subprocess.Popen(["sleep", "1e6"])
took("child", 100, lambda: child.wait(timeout=100))
child.kill(); child.wait()
libc = ctypes.CDLL(None)
fd = libc.timerfd_create(1, 0)
libc.timerfd_settime(fd, 0, (ctypes.c_long * 4)(0, 0, 12, 5000), None)
took("timerfd", 12, lambda: os.read(fd, 8))
cpu = time.process_time(), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
for i in range(1000): os.getppid()
used = time.process_time() - cpu[0], sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu[1]
print("cpu", "exact" if all(0.001 < u < 0.01 for u in used) else used)
`
	got := run(t, m, "python3 -c '"+program+"'")
	names := strings.Fields("sleep select poll epoll lock queue alarm itimer sigtimedwait recv child timerfd cpu")
	for i, name := range names {
		if len(got) < 2*i+2 || got[2*i] != name || got[2*i+1] != "exact" {
			t.Fatalf("%s: %q", name, got)
		}
	}
}

// traced runs a program in a new machine and returns what it prints, and its
// trace as lines and as JSON, with times.
func traced(t *testing.T, opts []sysemu.Option, env []string, name string, args ...string) [3]string {
	t.Helper()
	var lines, json, out bytes.Buffer
	tr, err := trace.New(trace.Options{Output: &lines, JSON: &json, Follow: true, Clock: trace.UnixMicros, Elapsed: true, Files: true, PIDs: true, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	opts = append(opts, sysemu.WithLog(func(s string) { t.Log(s) }))
	m, err := sysemu.New(append(opts, tr.Install()...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := m.CommandContext(ctx, name, args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &out)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if n := m.Undetermined(); n > 0 {
		t.Errorf("%s: the host's speed has decided %d times", name, n)
	}
	return [3]string{out.String(), lines.String(), json.String()}
}

// Two runs with a virtual clock on one CPU have the same trace, byte for byte,
// also while the host is busy with something else.
func TestRunsRepeat(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const threads = `
import os, queue, random, socket, tempfile, threading, time, uuid
q = queue.Queue()
def work(i):
    for j in range(8):
        time.sleep(random.random() / 100)
        q.put((i, j, hash(str(j)), os.urandom(2).hex()))
ts = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in ts: t.start()
sum(i for i in range(100000))
for t in ts: t.join()
print([q.get() for i in range(32)], uuid.uuid4(), {str(i) for i in range(5)})
print(time.time(), time.perf_counter(), time.process_time(), id(q), os.getpid())
s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname(), tempfile.mkdtemp(), open("/proc/sys/kernel/random/uuid").read(), open("/proc/sys/kernel/random/boot_id").read())
print(open("/proc/self/maps").read(), open("/proc/self/stat").read(), open("/proc/self/auxv", "rb").read())
`
	const shell = `for i in 1 2 3; do echo $i $RANDOM $$; sleep 0.1; done | sort -r | tee /tmp/x
mkfifo /tmp/fifo; (sleep 3; date >/tmp/fifo) & cat /tmp/fifo; sleep 9 & sleep 1; kill $!; wait
head -c 8 /dev/urandom | od -x; stat /tmp/x; ls -li /proc/self/fd; echo $SECONDS $EPOCHREALTIME; times; cat /proc/stat /proc/uptime /proc/meminfo`
	for _, p := range []struct {
		name string
		env  []string
		args []string
	}{
		{"bash", nil, []string{"bash", "-c", shell}},
		{"python", nil, []string{"python3", "-c", threads}},
		{"go", []string{"SYSEMU_TEST_ROLE=busy"}, []string{exe}},
	} {
		t.Run(p.name, func(t *testing.T) {
			virtual := sysemu.WithClock(sysemu.VirtualClock(time.Time{}))
			one := traced(t, []sysemu.Option{virtual}, p.env, p.args[0], p.args[1:]...)
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			two := traced(t, []sysemu.Option{virtual, sysemu.WithSeed(0), sysemu.WithCPUs(1)}, p.env, p.args[0], p.args[1:]...)
			for i, what := range []string{"output", "trace", "JSON"} {
				differ(t, what, one[i], two[i])
			}
			if len(one[1]) < 1000 || len(one[2]) < 1000 {
				t.Errorf("traces of %d and %d bytes", len(one[1]), len(one[2]))
			}
		})
	}
}

func differ(t *testing.T, what, a, b string) {
	t.Helper()
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			y = append(y, make([]string, len(x))...)
			t.Errorf("the %s differs in line %d of %d:\n%s\n%s", what, i+1, len(x), x[i], y[i])
			return
		}
	}
	if len(x) != len(y) {
		t.Errorf("the %s has %d lines, and %d", what, len(x), len(y))
	}
}

// Seeded randomness does not need a virtual clock.
func TestSeed(t *testing.T) {
	random := func(opts ...sysemu.Option) string {
		m, err := sysemu.New(append(opts, sysemu.WithCPUs(1))...)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return fmt.Sprint(run(t, m, "od -N16 -x /dev/urandom; od -N4 -x /dev/random; cat /proc/sys/kernel/random/uuid; cat /proc/self/maps"))
	}
	a, b, c, d := random(sysemu.WithSeed(7)), random(sysemu.WithSeed(7)), random(sysemu.WithSeed(8)), random()
	if a != b {
		t.Errorf("one seed, and two results:\n%s\n%s", a, b)
	}
	if a == c || a == d || c == d {
		t.Error("different seeds, one result")
	}
}

// Code that waits for another thread or a signal without a call gets on.
func TestVirtualSpin(t *testing.T) {
	m, err := sysemu.New(sysemu.WithClock(sysemu.VirtualClock(time.Time{})), sysemu.WithLog(func(string) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := run(t, m, "(while :; do :; done) & sleep 0.01; kill $!; wait; echo ended"); got[0] != "ended" {
		t.Errorf("%v", got)
	}
	if m.Undetermined() == 0 {
		t.Error("that was not counted")
	}
}
