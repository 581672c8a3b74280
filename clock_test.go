package sysemu_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu"
)

func machineWithClock(t *testing.T, c sysemu.Clock) *sysemu.Machine {
	t.Helper()
	m, err := sysemu.New(sysemu.WithClock(c), sysemu.WithUser(0, 0), sysemu.WithLog(func(s string) { t.Log(s) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// run runs a shell script and returns its words.
func run(t *testing.T, m *sysemu.Machine, script string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := m.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.Fields(string(out))
}

// Whatever tells the time tells the same, before and after a wait.
func TestFrozenClock(t *testing.T) {
	at := time.Date(2020, 2, 29, 12, 30, 0, 123456789, time.UTC)
	m := machineWithClock(t, sysemu.FrozenClock(at))
	const script = `date +%s.%N; sleep 0.02; date +%s.%N; echo x >/tmp/f; stat -c %.9Y /tmp/f
		python3 -c 'import time, select
a = [time.clock_gettime_ns(c) for c in (0, 1, 4, 5, 6, 7, 11)] + [time.time_ns()]
select.select([], [], [], 0.01)
time.sleep(0.01)
b = [time.clock_gettime_ns(c) for c in (0, 1, 4, 5, 6, 7, 11)] + [time.time_ns()]
print("same" if a == b else (a, b), a[0])'`
	want := fmt.Sprintf("%d.123456789", at.Unix())
	got := run(t, m, script)
	if len(got) != 5 || got[0] != want || got[1] != want || got[2] != want || got[3] != "same" || got[4] != fmt.Sprint(at.UnixNano()) {
		t.Errorf("a clock that stands still at %s: %q", want, got)
	}
	if !m.Time().Equal(at) {
		t.Errorf("the machine's time is %v", m.Time())
	}
	if err := m.AdvanceClock(time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, want := run(t, m, "date +%s")[0], fmt.Sprint(at.Unix()+3600); got != want {
		t.Errorf("an hour on it is %s, not %s", got, want)
	}
	if err := m.AdvanceClock(-1); err == nil {
		t.Error("it can be moved back")
	}
}

func TestOffsetClock(t *testing.T) {
	const d = -36 * time.Hour
	m := machineWithClock(t, sysemu.OffsetClock(d))
	before := time.Now().Add(d).Unix()
	var got int64
	fmt.Sscan(run(t, m, "date +%s")[0], &got)
	if after := time.Now().Add(d).Unix(); got < before || got > after {
		t.Errorf("36 hours ago is %d, not between %d and %d", got, before, after)
	}
	// Nothing that shows the host's time is there.
	if out := run(t, m, "grep -e vdso -e vvar /proc/self/maps; LD_SHOW_AUXV=1 /bin/true | grep EHDR; echo end"); len(out) != 1 {
		t.Errorf("the vDSO is there: %q", out)
	}
}

func TestScaledClock(t *testing.T) {
	m := machineWithClock(t, sysemu.ScaledClock(100000))
	begin := time.Now()
	got := run(t, m, "date +%s; cat /proc/uptime; sleep 10000; cat /proc/uptime; date +%s")
	var a, b, up1, up2 float64
	fmt.Sscan(got[0]+" "+got[1]+" "+got[3]+" "+got[5], &a, &up1, &up2, &b)
	if most := time.Since(begin).Seconds() * 100000; b-a < 10000 || up2-up1 < 10000 || b-a > most+1 {
		t.Errorf("a sleep of 10,000 seconds took %v by the date and %v by the uptime, of %v at most", b-a, up2-up1, most)
	}
	for _, f := range []float64{0, -1, 1e7, 1e-7, math.NaN(), math.Inf(1)} {
		if m, err := sysemu.New(sysemu.WithClock(sysemu.ScaledClock(f))); err == nil {
			m.Close()
			t.Errorf("a clock that goes %v times as fast", f)
		}
	}
}

// A sleeper wakes when the clock is moved on, and a step of the time of day is
// seen by no other clock.
func TestMovedClock(t *testing.T) {
	m := machineWithClock(t, sysemu.OffsetClock(0))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := m.CommandContext(ctx, "sleep", "36000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for ended := false; !ended; {
		if err := m.AdvanceClock(time.Hour); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if ended = true; err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Millisecond):
		}
	}

	cmd = m.CommandContext(ctx, "python3", "-uc", `import time
while input(): print(time.time(), time.monotonic())`)
	in, out := io.Pipe()
	cmd.Stdin = in
	r, w := io.Pipe()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(r)
	ask := func() (real, mono float64) {
		io.WriteString(out, "x\n")
		lines.Scan()
		fmt.Sscan(lines.Text(), &real, &mono)
		return
	}
	real1, mono1 := ask()
	if err := m.StepClock(-1000 * time.Hour); err != nil {
		t.Fatal(err)
	}
	real2, mono2 := ask()
	if d := real2 - real1 + 3600e3; d < 0 || d > 3600 || mono2 < mono1 || mono2-mono1 > 3600 {
		t.Errorf("stepped back 1000 hours: the time of day went by %v s, the monotonic clock by %v s", real2-real1, mono2-mono1)
	}
	io.WriteString(out, "\n")
	out.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestHostClockStays(t *testing.T) {
	m := machineWithClock(t, sysemu.HostClock())
	if err := m.AdvanceClock(1); !errors.Is(err, sysemu.ErrHostClock) {
		t.Errorf("AdvanceClock: %v", err)
	}
	if err := m.StepClock(1); !errors.Is(err, sysemu.ErrHostClock) {
		t.Errorf("StepClock: %v", err)
	}
	if out := run(t, m, "grep -c vdso /proc/self/maps"); out[0] != "1" {
		t.Errorf("mappings of the vDSO: %q", out)
	}
	own := machineWithClock(t, sysemu.OffsetClock(0))
	own.Close()
	if err := own.AdvanceClock(1); !errors.Is(err, sysemu.ErrClosed) {
		t.Errorf("AdvanceClock of a closed machine: %v", err)
	}
}
