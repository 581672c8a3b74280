package sysemu

import (
	"errors"
	"time"

	"github.com/sysemu/sysemu/internal/kernel"
)

// Clock is what time a machine has; see [WithClock]. The zero Clock is the
// host's.
//
// It is for all that programs can tell time by: the clocks of clock_gettime(2),
// time(7), the times of files that they make, /proc/uptime and its like,
// timeouts, timers and alarms. With another clock than the host's there is no
// vDSO, so that reading a clock is a system call like any other; and where the
// host's processor can be told to, rdtsc and rdtscp come to the machine too and
// count nanoseconds.
type Clock struct{ c kernel.ClockConfig }

// HostClock is the host's time. Programs read it without a system call, by the
// host's vDSO; it cannot be moved.
func HostClock() Clock { return Clock{} }

// FrozenClock stands still at t, or with the zero Time at the moment the
// machine is made: each reading of a clock gives the same. Programs can still
// wait: timeouts and sleeps end after as long as they would on the host.
func FrozenClock(t time.Time) Clock {
	c := kernel.ClockConfig{Kind: kernel.FrozenClock}
	if !t.IsZero() {
		ns := nanoseconds(t)
		c.Start = &ns
	}
	return Clock{c}
}

// ScaledClock begins as the host's and goes factor times as fast, sleeps and
// timeouts too. New fails unless factor is between 1e-6 and 1e6.
func ScaledClock(factor float64) Clock {
	return Clock{kernel.ClockConfig{Kind: kernel.ScaledClock, Rate: factor}}
}

// OffsetClock is the host's time, with a time of day that is d later, or
// earlier when d is negative.
func OffsetClock(d time.Duration) Clock {
	return Clock{kernel.ClockConfig{Kind: kernel.OffsetClock, Offset: int64(d)}}
}

// VirtualClock is a clock that the host's does not move: it begins at start, or
// with the zero Time at the first moment of 2026 in UTC, and goes on by a
// microsecond or two for each system call that a program makes. When all
// programs sleep, it jumps to the time the first of them waits for, so that
// sleeps and timeouts take no time. While a program waits for input from
// outside, time passes as fast as the host's.
//
// A machine with a virtual clock has one CPU unless WithCPUs says otherwise, and
// a random source made from the seed 0 unless WithSeed does. Then two runs of
// the same programs with the same input do the same, in the same order and at
// the same times, however busy the host is; [Machine.Undetermined] counts what
// stands against it.
//
// The rest of the guide is in docs/time.md.
func VirtualClock(start time.Time) Clock {
	c := kernel.ClockConfig{Kind: kernel.VirtualClock}
	if !start.IsZero() {
		ns := nanoseconds(start)
		c.Start = &ns
	}
	return Clock{c}
}

// WithSeed makes all that is random in the machine from a seed: getrandom(2),
// /dev/random and its like, AT_RANDOM and so the secrets of C libraries and
// language runtimes, and where programs lie in memory. Nothing in such a machine
// is secret. Without it random bytes are the host's, but with a VirtualClock.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = &seed } }

// Undetermined counts how often the host's speed has decided what happens when
// in a machine with a VirtualClock: a program has run for 0.4 s of CPU time
// without a system call while others waited for their turn, or for a timer. The
// log is told of the first time.
func (m *Machine) Undetermined() uint64 { return m.k.Forced() }

// WithClock sets the machine's clock; without it that is HostClock.
func WithClock(c Clock) Option { return func(o *options) { o.clock = c } }

// ErrHostClock is what [Machine.AdvanceClock] and [Machine.StepClock] return
// when the machine's clock is the host's.
var ErrHostClock = kernel.ErrHostClock

var errBackwards = errors.New("sysemu: a clock does not go back: StepClock sets the time of day alone")

// Time is the time of day in the machine.
func (m *Machine) Time() time.Time {
	_, now := m.k.Now()
	return time.Unix(0, now)
}

// AdvanceClock has that much time pass in the machine at once: all its clocks
// move, and sleeps, timeouts and timers that end within it are due. The error
// is ErrHostClock or ErrClosed, or one for a negative d.
func (m *Machine) AdvanceClock(d time.Duration) error {
	if d < 0 {
		return errBackwards
	}
	return m.k.AdvanceClock(int64(d))
}

// StepClock sets the machine's time of day by d, forward or back, as
// settimeofday(2) does: CLOCK_REALTIME jumps, CLOCK_MONOTONIC does not, and a
// timerfd with TFD_TIMER_CANCEL_ON_SET is told. The error is ErrHostClock or
// ErrClosed; OffsetClock(0) is a clock like the host's that can be stepped.
func (m *Machine) StepClock(d time.Duration) error { return m.k.StepClock(int64(d)) }

// nanoseconds is t since 1970, as near as an int64 comes.
func nanoseconds(t time.Time) int64 {
	const most = 1 << 33 // seconds: within what int64 holds of ns
	return time.Unix(min(max(t.Unix(), -most), most), int64(t.Nanosecond())).UnixNano()
}
