package kernel

import (
	"crypto/rand"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the machine's time. Both are in ns; Monotonic never goes back and
// is never 0.
type Clock interface {
	Monotonic() int64
	Realtime() int64
}

// hostClock is the host's time: the guests' vDSO reads the same clocks.
type hostClock struct{}

// Go reads the monotonic clock without a system call, but from an origin of
// its own.
var monotonicBase, monotonicOffset = func() (time.Time, int64) {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Now(), ts.Nano()
}()

func (hostClock) Monotonic() int64 { return monotonicOffset + int64(time.Since(monotonicBase)) }
func (hostClock) Realtime() int64  { return time.Now().UnixNano() }

// read reads another of the host's clocks.
func (hostClock) read(clock int32) int64 {
	var ts unix.Timespec
	unix.ClockGettime(clock, &ts)
	return ts.Nano()
}

type hostRandom struct{}

func (hostRandom) Read(p []byte) (int, error) { return rand.Read(p) }
