package timerfd_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/sysemu/sysemu/internal/timerfd"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// clock is a clock that stands still until told.
type clock struct {
	mono, offset int64
	alarms       []*alarm
}

type alarm struct {
	c    *clock
	at   int64
	fire func()
}

func (c *clock) Now(id int) int64 {
	if id == unix.CLOCK_REALTIME {
		return c.mono + c.offset
	}
	return c.mono
}
func (c *clock) Monotonic() int64                { return c.mono }
func (c *clock) NewTimer(f func()) timerfd.Alarm { return &alarm{c: c, fire: f} }
func (a *alarm) Set(at int64)                    { a.Stop(); a.at = at; a.c.alarms = append(a.c.alarms, a) }
func (a *alarm) Stop() {
	a.c.alarms = slices.DeleteFunc(a.c.alarms, func(b *alarm) bool { return a == b })
}

func (c *clock) pass(ns int64) {
	c.mono += ns
	for i := 0; i < len(c.alarms); {
		if a := c.alarms[i]; a.at <= c.mono {
			a.Stop()
			a.fire()
			continue
		}
		i++
	}
}

const second = int64(1e9)

func spec(value, interval int64) unix.ItimerSpec {
	return unix.ItimerSpec{Value: unix.NsecToTimespec(value), Interval: unix.NsecToTimespec(interval)}
}

type fixture struct {
	*clock
	*vfstest.Context
	*timerfd.System
	f *vfs.File
	*timerfd.Timer
}

func setup(t *testing.T, id int) *fixture {
	var k waittest.Kernel
	x := &fixture{clock: &clock{mono: 5 * second, offset: 1000 * second}, Context: vfstest.Root(k.NewTask())}
	x.System = timerfd.NewSystem(x.clock)
	var err error
	if x.f, err = x.System.New(x.Context, id, unix.TFD_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	x.Timer, _ = timerfd.Of(x.f)
	return x
}

// read returns the count, 0 for EAGAIN.
func (x *fixture) read(t *testing.T) uint64 {
	t.Helper()
	ev, _ := x.Timer.Poll(x.Context, x.f)
	b := make([]byte, 8)
	n, err := x.f.Read(x.Context, b)
	if err == unix.EAGAIN {
		if ev != 0 {
			t.Errorf("poll %#x with nothing to read", ev)
		}
		return 0
	}
	if n != 8 || err != nil || ev != wait.In {
		t.Fatalf("read: %d, %v, after poll %#x", n, err, ev)
	}
	return binary.NativeEndian.Uint64(b)
}

func (x *fixture) set(t *testing.T, flags int, s unix.ItimerSpec) unix.ItimerSpec {
	t.Helper()
	old, err := x.SetTime(flags, s)
	if err != nil {
		t.Fatal(err)
	}
	return old
}

func TestRelative(t *testing.T) {
	for _, id := range []int{unix.CLOCK_MONOTONIC, unix.CLOCK_REALTIME, unix.CLOCK_BOOTTIME} {
		x := setup(t, id)
		if g := x.GetTime(); g != spec(0, 0) {
			t.Errorf("new: %v", g)
		}
		x.set(t, 0, spec(2*second, 0))
		x.pass(second)
		if n := x.read(t); n != 0 {
			t.Errorf("early: %d", n)
		}
		if g := x.GetTime(); g != spec(second, 0) {
			t.Errorf("left: %v", g)
		}
		x.pass(5 * second)
		if n := x.read(t); n != 1 {
			t.Errorf("late: %d", n)
		}
		x.pass(5 * second)
		if n, g := x.read(t), x.GetTime(); n != 0 || g != spec(0, 0) {
			t.Errorf("again: %d, %v", n, g)
		}
	}
}

func TestPeriodic(t *testing.T) {
	x := setup(t, unix.CLOCK_MONOTONIC)
	x.set(t, 0, spec(2*second, second))
	x.pass(2 * second)
	if n := x.read(t); n != 1 {
		t.Errorf("first: %d", n)
	}
	x.pass(second / 2)
	if n := x.read(t); n != 0 {
		t.Errorf("half a period: %d", n)
	}
	x.pass(10 * second)
	if g := x.GetTime(); g != spec(second/2, second) {
		t.Errorf("left: %v", g)
	}
	if n := x.read(t); n != 10 {
		t.Errorf("ten periods: %d", n)
	}
	x.pass(second / 2)
	if n := x.read(t); n != 1 {
		t.Errorf("the next: %d", n)
	}
	if old := x.set(t, 0, spec(0, 0)); old != spec(second, second) {
		t.Errorf("old: %v", old)
	}
	x.pass(100 * second)
	if n := x.read(t); n != 0 {
		t.Errorf("disarmed: %d", n)
	}
}

func TestAbsoluteAndClockSet(t *testing.T) {
	x := setup(t, unix.CLOCK_REALTIME)
	x.set(t, unix.TFD_TIMER_ABSTIME, spec(1010*second, 0)) // in 5 s
	x.offset += 3 * second
	x.ClockWasSet()
	x.pass(2 * second)
	if n := x.read(t); n != 1 {
		t.Errorf("%d", n)
	}
	x.set(t, unix.TFD_TIMER_ABSTIME, spec(second, 0)) // long past
	x.pass(0)
	if n := x.read(t); n != 1 {
		t.Errorf("past: %d", n)
	}
	x.set(t, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, spec(5000*second, 0))
	x.offset++
	x.ClockWasSet()
	if ev, _ := x.Timer.Poll(x.Context, x.f); ev != wait.In {
		t.Errorf("poll: %#x", ev)
	}
	if _, err := x.f.Read(x.Context, make([]byte, 8)); err != unix.ECANCELED {
		t.Errorf("canceled: %v", err)
	}
	if n := x.read(t); n != 0 {
		t.Errorf("after: %d", n)
	}
	x.f.Unref(x.Context)
	x.ClockWasSet()
	if len(x.alarms) != 0 {
		t.Error("an alarm is left")
	}
}

func TestErrors(t *testing.T) {
	x := setup(t, unix.CLOCK_MONOTONIC)
	for _, ts := range []unix.Timespec{{Sec: -1}, {Nsec: -1}, {Nsec: 1e9}} {
		if _, err := x.SetTime(0, unix.ItimerSpec{Value: ts}); err != unix.EINVAL {
			t.Errorf("%v: %v", ts, err)
		}
	}
	if _, err := x.SetTime(8, spec(1, 1)); err != unix.EINVAL {
		t.Errorf("flags: %v", err)
	}
	if _, err := x.SetTime(0, unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt64}, Interval: unix.Timespec{Sec: math.MaxInt64}}); err != nil {
		t.Error(err)
	}
	x.pass(math.MaxInt64 / 2)
	x.GetTime()
	if _, err := x.f.Read(x.Context, make([]byte, 7)); err != unix.EINVAL {
		t.Errorf("short: %v", err)
	}
	if _, err := x.System.New(x.Context, unix.CLOCK_PROCESS_CPUTIME_ID, 0); err != unix.EINVAL {
		t.Errorf("clock: %v", err)
	}
	if _, err := x.System.New(vfstest.User(nil, 1, 1), unix.CLOCK_REALTIME_ALARM, 0); err != unix.EPERM {
		t.Errorf("alarm clock: %v", err)
	}
}

func TestBlocking(t *testing.T) {
	var k waittest.Kernel
	c := &clock{}
	s := timerfd.NewSystem(c)
	task := k.NewTask()
	f, err := s.New(vfstest.Root(task), unix.CLOCK_MONOTONIC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tm, _ := timerfd.Of(f)
	k.Go(func(task *waittest.Task) {
		b := make([]byte, 8)
		if n, err := f.Read(vfstest.Root(task), b); n != 8 || err != nil || b[0] != 1 {
			t.Errorf("read: %d, %v, %v", n, err, b)
		}
	})
	k.Do(func() { tm.SetTime(0, spec(second, 0)) })
	k.Do(func() { c.pass(second) })
	k.Wait()
}
