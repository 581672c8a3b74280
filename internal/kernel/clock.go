package kernel

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
)

// Clock is the machine's time, in ns.
type Clock interface {
	// Monotonic is what timers and timeouts go by. It never goes back and is
	// never 0.
	Monotonic() int64
	// Shown is CLOCK_MONOTONIC as programs read it: the same, but where
	// clocks stand still and timeouts end all the same.
	Shown() int64
	// Realtime is the wall clock.
	Realtime() int64
	// Until is how long of the host's time it is until Monotonic is at.
	Until(at int64) time.Duration
}

// hostClock is the host's time: the guests' vDSO reads the same clocks.
type hostClock struct{}

// nanotime is CLOCK_MONOTONIC, from the vDSO that programs read it from: were
// it the least bit behind, time would go backwards for one that does both, read
// it there and ask us. Package time has the clock with an origin of its own only.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

func (hostClock) Monotonic() int64 { return nanotime() }
func (c hostClock) Shown() int64   { return c.Monotonic() }
func (hostClock) Realtime() int64  { return time.Now().UnixNano() }

func (c hostClock) Until(at int64) time.Duration { return time.Duration(at - c.Monotonic()) }

// read reads another of the host's clocks.
func (hostClock) read(clock int32) int64 {
	var ts unix.Timespec
	unix.ClockGettime(clock, &ts)
	return ts.Nano()
}

// ownClock is a time of the machine's own. It moves with the host's, at a rate,
// and may be moved on; programs see it stand still when it is frozen.
type ownClock struct {
	base   int64 // the host's monotonic time when the machine was made: Monotonic was the same
	rate   float64
	frozen bool

	mu     sync.Mutex
	moved  int64 // by AdvanceClock
	offset int64 // of the wall clock from Shown
}

func newOwnClock(realtime int64, rate float64, frozen bool) *ownClock {
	base := hostClock{}.Monotonic()
	return &ownClock{base: base, rate: rate, frozen: frozen, offset: realtime - base}
}

// elapsed is how far it has moved by itself.
func (c *ownClock) elapsed() int64 {
	d := hostClock{}.Monotonic() - c.base
	if c.rate == 1 {
		return d
	}
	return fromFloat(float64(d) * c.rate)
}

func fromFloat(f float64) int64 {
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(f)
}

func (c *ownClock) Monotonic() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.monotonic()
}

func (c *ownClock) monotonic() int64 { return addSaturated(c.base+c.moved, c.elapsed()) }

func (c *ownClock) Shown() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown()
}

func (c *ownClock) shown() int64 {
	if c.frozen {
		return c.base + c.moved
	}
	return c.monotonic()
}

func (c *ownClock) Realtime() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clampedAdd(c.shown(), c.offset)
}

func (c *ownClock) Until(at int64) time.Duration {
	d := at - c.Monotonic()
	if c.rate == 1 || d <= 0 {
		return time.Duration(d)
	}
	return time.Duration(fromFloat(math.Ceil(float64(d) / c.rate)))
}

func (c *ownClock) advance(d int64) {
	c.mu.Lock()
	c.moved = min(addSaturated(c.moved, d), math.MaxInt64/4)
	c.mu.Unlock()
}

func (c *ownClock) step(d int64) {
	c.mu.Lock()
	c.offset = clampedAdd(c.offset, d)
	c.mu.Unlock()
}

// clampedAdd is a+b, kept within an int64 on both sides.
func clampedAdd(a, b int64) int64 {
	s := a + b
	switch {
	case b > 0 && s < a:
		return math.MaxInt64
	case b < 0 && s > a:
		return math.MinInt64
	}
	return s
}

// ownTime reports whether the clock is another than the host's, which guests
// are not to see then.
func (k *Kernel) ownTime() bool {
	_, host := k.clock.(hostClock)
	return !host
}

// readTSC answers rdtsc and rdtscp where they come to us: the counter counts
// nanoseconds.
func (t *Task) readTSC() {
	if t.k.virtual != nil {
		t.passes(readCost, 0)
	}
	t.th.SetTSC(uint64(t.k.clock.Shown()))
	if t.around&aroundStep != 0 {
		t.force(faultSignal(sigtrap, trapTrace, t.th.Regs().Rip))
	}
}

// movableClock is a clock that can be moved.
type movableClock interface {
	Clock
	advance(d int64) // all clocks move on
	step(d int64)    // the wall clock alone moves
}

// ClockKind says what a machine's time is.
type ClockKind uint8

const (
	HostClock    ClockKind = iota // the host's
	FrozenClock                   // stands still, but timeouts end after the host's time
	ScaledClock                   // the host's, faster or slower
	OffsetClock                   // the host's, with another time of day
	VirtualClock                  // see virtual.go
)

// ClockConfig describes a machine's time.
type ClockConfig struct {
	Kind   ClockKind
	Start  *int64  // FrozenClock, VirtualClock: the time of day, ns; nil = the host's now, VirtualStart
	Rate   float64 // ScaledClock
	Offset int64   // OffsetClock: ns
}

// MaxRate bounds the rate of a scaled clock, and 1/MaxRate does.
const MaxRate = 1e6

// Check reports what is wrong with it.
func (c ClockConfig) Check() error { _, err := c.newClock(); return err }

// newClock makes the clock.
func (c ClockConfig) newClock() (Clock, error) {
	now := hostClock{}.Realtime()
	switch c.Kind {
	case HostClock:
		return hostClock{}, nil
	case FrozenClock:
		if c.Start != nil {
			now = *c.Start
		}
		return newOwnClock(now, 1, true), nil
	case ScaledClock:
		if !(c.Rate >= 1/MaxRate && c.Rate <= MaxRate) {
			return nil, fmt.Errorf("a clock cannot run %v times as fast as the host's: from %g to %g are possible", c.Rate, 1/MaxRate, MaxRate)
		}
		return newOwnClock(now, c.Rate, false), nil
	case OffsetClock:
		return newOwnClock(clampedAdd(now, c.Offset), 1, false), nil
	case VirtualClock:
		now = VirtualStart
		if c.Start != nil {
			now = *c.Start
		}
		return newVirtualClock(now), nil
	}
	return nil, fmt.Errorf("kernel: no clock of kind %d", c.Kind)
}

// ErrHostClock is the error of moving the clock of a machine that has the
// host's: programs read it from the host without asking.
var ErrHostClock = errors.New("sysemu: the machine's clock is the host's and cannot be moved")

// Now are the machine's clocks as programs read them.
func (k *Kernel) Now() (monotonic, realtime int64) { return k.clock.Shown(), k.clock.Realtime() }

// AdvanceClock has that much time pass at once: all clocks move, and what
// waits for a time until then is due.
func (k *Kernel) AdvanceClock(d int64) error {
	return k.moveClock(func(c movableClock) { c.advance(d) })
}

// StepClock sets the wall clock by that much, forward or back. Timeouts do not
// change.
func (k *Kernel) StepClock(d int64) error {
	return k.moveClock(func(c movableClock) { c.step(d); k.timerfds.ClockWasSet() })
}

func (k *Kernel) moveClock(move func(movableClock)) error {
	c, ok := k.clock.(movableClock)
	if !ok {
		return ErrHostClock
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return ErrClosed
	}
	move(c)
	k.timers.moved()
	return nil
}

type hostRandom struct{}

func (hostRandom) Read(p []byte) (int, error) { return rand.Read(p) }
