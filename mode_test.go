package sysemu

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// The mode is read and written by /proc/sysemu and by the machine's methods.
func TestSysemuMode(t *testing.T) {
	m := testMachine(t, WithUser(0, 0))
	if m.Mode() != ModeStep {
		t.Errorf("begins with mode %d", m.Mode())
	}
	for text, want := range map[string]Mode{
		"0": 0, "1\n": 1, "2 or so": 2,
		"": ModeStep, "3": ModeStep, "x": ModeStep, " 0": ModeStep, "-1": ModeStep,
	} {
		m.SetMode(ModeStep)
		out, err := m.Command("sh", "-c", `printf %s "$1" >/proc/sysemu && cat /proc/sysemu`, "sh", text).CombinedOutput()
		if shown := string('0'+rune(want)) + "\n"; err != nil || string(out) != shown || m.Mode() != want {
			t.Errorf("%q: %q %v, mode %d, want %d", text, out, err, m.Mode(), want)
		}
	}
	m.SetMode(ModeStep)
	m.SetMode(7)
	if m.Mode() != ModeStep {
		t.Errorf("mode %d", m.Mode())
	}
	if out, err := m.Command("stat", "-c", "%a %u %F", "/proc/sysemu").Output(); err != nil || string(out) != "600 0 regular empty file\n" {
		t.Errorf("%q %v", out, err)
	}
	for mode := range Mode(3) {
		m2 := testMachine(t, WithMode(mode))
		if out, err := m2.Command("sh", "-c", "echo a | cat").Output(); err != nil || string(out) != "a\n" || m2.Mode() != mode {
			t.Errorf("mode %d: %q %v", mode, out, err)
		}
	}
}

// The mode changes over and over while several programs run; all is as it is
// natively.
func TestSysemuModeSwitches(t *testing.T) {
	m := testMachine(t, WithUser(0, 0))
	programs := [][]string{
		{"bash", "-c", `for i in {1..20}; do x=$(echo $i | tr 0-9 a-j); echo $x; (exit $((i % 7))); echo $?; done; ls /usr/bin | wc -l`},
		{"python3", "-c", `import os, threading, signal
n = [0]
signal.signal(signal.SIGUSR1, lambda *a: n.__setitem__(0, n[0] + 1))
def work(k):
    for i in range(100): os.stat("/"); r, w = os.pipe(); os.write(w, b"x" * k); assert os.read(r, 99) == b"x" * k; os.close(r); os.close(w)
ts = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
[t.start() for t in ts]; [t.join() for t in ts]
for i in range(20):
    os.kill(os.getpid(), signal.SIGUSR1)
    p = os.fork()
    if not p: os._exit(i)
    assert os.waitpid(p, 0)[1] == i << 8
print(n)`},
	}
	stop := make(chan bool)
	var switching sync.WaitGroup
	switching.Add(1)
	go func() {
		defer switching.Done()
		// By hand as well as from inside.
		inside := m.Command("bash", "-c", "while :; do echo $((RANDOM % 3)) >/proc/sysemu; sleep 0.001; done")
		if err := inside.Start(); err != nil {
			t.Error(err)
			return
		}
		for i := 0; ; i++ {
			select {
			case <-stop:
				inside.Process.Kill()
				inside.Wait()
				return
			default:
				m.SetMode(Mode(i % 3))
				time.Sleep(time.Millisecond)
			}
		}
	}()
	var running sync.WaitGroup
	for _, p := range programs {
		native := exec.Command(p[0], p[1:]...)
		native.Env = append(os.Environ(), "LC_ALL=C")
		want, err := native.Output()
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			c := m.Command(p[0], p[1:]...)
			c.Env = native.Env
			var stderr strings.Builder
			c.Stderr = &stderr
			if got, err := c.Output(); err != nil || string(got) != string(want) {
				t.Errorf("%s: %v\n%s%s\nwant\n%s", p[0], err, got, stderr.String(), want)
			}
		})
	}
	running.Wait()
	close(stop)
	switching.Wait()
}
