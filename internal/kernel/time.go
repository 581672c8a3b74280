package kernel

import (
	"math"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"clock_gettime":   e2(sysClockGettime[unix.Timespec]),
		"clock_settime":   e2(sysClockSettime[unix.Timespec]),
		"clock_getres":    e2(sysClockGetres[unix.Timespec]),
		"clock_nanosleep": e4(sysClockNanosleep[unix.Timespec]),
		"clock_adjtime":   r2(sysClockAdjtime[unix.Timex]),
		"adjtimex":        r1(sysAdjtimex[unix.Timex]),
		"nanosleep":       e2(sysNanosleep[unix.Timespec]),
		"gettimeofday":    e2(sysGettimeofday[unix.Timeval]),
		"settimeofday":    e2(sysSettimeofday[unix.Timeval]),
		"time":            r1(sysTime[uint64]),
		"times":           r1(sysTimes[unix.Tms]),
		"getrusage":       e2(sysGetrusage[unix.Rusage]),
	})
}

func validTimespec(ts unix.Timespec) bool { return ts.Sec >= 0 && ts.Nsec >= 0 && ts.Nsec < 1e9 }

// saturated is a valid timespec in ns, as long as an int64 can hold.
func saturated(ts unix.Timespec) int64 {
	if ts.Sec >= math.MaxInt64/1_000_000_000 {
		return math.MaxInt64
	}
	return ts.Sec*1e9 + ts.Nsec
}

func addSaturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// deadlineIn is the time on the monotonic clock that long from now.
func (t *Task) deadlineIn(ts unix.Timespec) int64 {
	return addSaturated(t.k.clock.Monotonic(), saturated(ts))
}

// monotonicDeadline is what timers call a point of CLOCK_MONOTONIC.
func (t *Task) monotonicDeadline(ts unix.Timespec) int64 {
	c := t.k.clock
	lag := max(c.Monotonic()-c.Shown(), 0) // of a clock that stands still
	return max(addSaturated(saturated(ts), lag), 1)
}

// realtimeDeadline is the monotonic time of a point of the wall clock.
func (t *Task) realtimeDeadline(ts unix.Timespec) int64 {
	left := saturated(ts)
	if left != math.MaxInt64 {
		left -= t.k.clock.Realtime()
	}
	return max(addSaturated(t.k.clock.Monotonic(), max(left, 0)), 1)
}

// validClock reports whether clock can be read: the fixed ones, and those of
// a process's or thread's CPU time, which are negative.
func validClock(clock int32) bool {
	return clock >= 0 && clock <= 11 && clock != 10 || clock < 0 && clock&7 <= 6
}

func (t *Task) readClock(clock int32) (int64, error) {
	c := t.k.clock
	if h, ok := c.(hostClock); ok {
		switch clock {
		case unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_BOOTTIME, unix.CLOCK_TAI:
			return h.read(clock), nil // as the vDSO has them
		}
	}
	switch clock {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_REALTIME_ALARM, unix.CLOCK_TAI:
		return c.Realtime(), nil
	case unix.CLOCK_MONOTONIC, unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_BOOTTIME, unix.CLOCK_BOOTTIME_ALARM:
		return c.Shown(), nil
	case unix.CLOCK_PROCESS_CPUTIME_ID:
		return t.p.cpuTime(), nil
	case unix.CLOCK_THREAD_CPUTIME_ID:
		u := t.usage()
		return u.utime + u.stime, nil
	}
	if clock >= 0 {
		return 0, unix.EINVAL
	}
	o, err := t.cpuClock(clock)
	switch {
	case err != nil:
		return 0, err
	case o != nil:
		u := o.usage()
		return u.utime + u.stime, nil
	case clock>>3 == -1:
		return t.p.cpuTime(), nil
	}
	return t.k.pids.procs[int(^(clock >> 3))].cpuTime(), nil
}

// cpuClock finds what a clock of CPU time counts: a thread, or with nil a
// process. The clock's number is the complement of the process's or, with bit
// 2, the thread's; 0 is the caller's.
func (t *Task) cpuClock(clock int32) (*Task, error) {
	switch clock {
	case unix.CLOCK_PROCESS_CPUTIME_ID:
		return nil, nil
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return t, nil
	}
	id := int(^(clock >> 3))
	switch {
	case clock&3 == 3:
		return nil, unix.EINVAL
	case clock&4 == 0:
		if id != 0 && t.k.pids.procs[id] == nil {
			return nil, unix.EINVAL
		}
		return nil, nil
	case id == 0:
		return t, nil
	}
	if o := t.k.pids.tasks[id]; o != nil && o.p == t.p {
		return o, nil
	}
	return nil, unix.EINVAL
}

func sysClockGettime[T timespecs](t *Task, clock int32, v Ptr[T]) error {
	n, err := t.readClock(clock)
	if err != nil {
		return err
	}
	return store(t, v, unix.NsecToTimespec(n))
}

func sysClockSettime[T timespecs](t *Task, clock int32, v Ptr[T]) error {
	ts, err := load[unix.Timespec](t, v)
	if err != nil {
		return err
	}
	if !validClock(clock) || !validTimespec(ts) || clock != unix.CLOCK_REALTIME {
		return unix.EINVAL
	}
	return t.setRealtime(saturated(ts))
}

// setRealtime sets the wall clock, if it is the machine's own.
func (t *Task) setRealtime(ns int64) error {
	c, ok := t.k.clock.(movableClock)
	if !ok || !t.cred.Has(unix.CAP_SYS_TIME) {
		return unix.EPERM
	}
	c.step(ns - c.Realtime())
	t.k.timerfds.ClockWasSet()
	return nil
}

func sysSettimeofday[T timevals](t *Task, tv Ptr[T], tz Addr) error {
	if _, ok := t.k.clock.(movableClock); !ok || tv == 0 {
		return unix.EPERM
	}
	v, err := load[unix.Timeval](t, tv)
	if err != nil {
		return err
	}
	ns, ok := timevalNs(v)
	if !ok {
		return unix.EINVAL
	}
	return t.setRealtime(ns)
}

func sysClockGetres[T timespecs](t *Task, clock int32, v Ptr[T]) error {
	if _, err := t.readClock(clock); err != nil {
		return err
	}
	ns := int64(1)
	if clock == unix.CLOCK_REALTIME_COARSE || clock == unix.CLOCK_MONOTONIC_COARSE {
		ns = int64(tick)
	}
	return storePut(t, v, unix.NsecToTimespec(ns))
}

func sysAdjtimex[T timexes](t *Task, p Ptr[T]) (int, error) {
	return sysClockAdjtime(t, unix.CLOCK_REALTIME, p)
}

func sysClockAdjtime[T timexes](t *Task, clock int32, p Ptr[T]) (int, error) {
	v, err := load[unix.Timex](t, p)
	if err != nil {
		return 0, err
	}
	if clock != unix.CLOCK_REALTIME {
		return 0, unix.EINVAL
	}
	if v.Modes != 0 {
		return 0, unix.EPERM
	}
	const staUnsync, timeError = 0x40, 5
	ts := unix.NsecToTimespec(t.k.clock.Realtime())
	n := unix.Timex{Status: staUnsync, Constant: 2, Precision: 1, Tolerance: 32768000, Tick: 10000,
		Maxerror: 16000000, Esterror: 16000000, Time: unix.Timeval{Sec: ts.Sec, Usec: ts.Nsec / 1000}}
	return timeError, store(t, p, n)
}

// sleepUntil sleeps until a time of the monotonic clock.
func (t *Task) sleepUntil(deadline int64) error {
	for {
		switch err := t.Sleep(deadline); err {
		case nil:
		case wait.ErrTimedOut:
			return nil
		default:
			return err
		}
	}
}

// nanosleep sleeps and, when a signal comes, says how much is left and how to
// go on.
func nanosleep[T timespecs](t *Task, deadline int64, left Ptr[T]) error {
	err := t.sleepUntil(deadline)
	if err == nil {
		return nil
	}
	rest := unix.NsecToTimespec(max(deadline-t.k.clock.Monotonic(), 0))
	if err := storePut(t, left, rest); err != nil {
		return err
	}
	return t.restartBy(func(t *Task) (uint64, error) { return 0, nanosleep(t, deadline, left) })
}

func sysNanosleep[T timespecs](t *Task, v, left Ptr[T]) error {
	ts, err := load[unix.Timespec](t, v)
	if err != nil {
		return err
	}
	if !validTimespec(ts) {
		return unix.EINVAL
	}
	return nanosleep(t, t.deadlineIn(ts), left)
}

func sysClockNanosleep[T timespecs](t *Task, clock, flags int32, v, left Ptr[T]) error {
	switch clock {
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return unix.EINVAL
	case unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE:
		return unix.EOPNOTSUPP
	}
	if _, err := t.readClock(clock); err != nil {
		return err
	}
	ts, err := load[unix.Timespec](t, v)
	if err != nil {
		return err
	}
	if !validTimespec(ts) {
		return unix.EINVAL
	}
	if clock == unix.CLOCK_PROCESS_CPUTIME_ID || clock < 0 {
		return sleepCPU(t, clock, flags, ts, left)
	}
	if flags&unix.TFD_TIMER_ABSTIME == 0 {
		return nanosleep(t, t.deadlineIn(ts), left)
	}
	deadline := t.monotonicDeadline(ts)
	if clock == unix.CLOCK_REALTIME || clock == unix.CLOCK_TAI || clock == unix.CLOCK_REALTIME_ALARM {
		deadline = t.realtimeDeadline(ts)
	}
	if err := t.sleepUntil(deadline); err != nil {
		return wait.ErrInterruptedNoHand
	}
	return nil
}

// sleepCPU sleeps until a clock of CPU time says so. What it counts goes on no
// faster than all CPUs together, so that is when to look again.
func sleepCPU[T timespecs](t *Task, clock, flags int32, ts unix.Timespec, left Ptr[T]) error {
	if o, _ := t.cpuClock(clock); o == t {
		return unix.EINVAL // it would never wake
	}
	at := saturated(ts)
	abs := flags&unix.TFD_TIMER_ABSTIME != 0
	if !abs {
		now, err := t.readClock(clock)
		if err != nil {
			return err
		}
		at = addSaturated(now, at)
	}
	return sleepCPUUntil(t, clock, at, abs, left)
}

func sleepCPUUntil[T timespecs](t *Task, clock int32, at int64, abs bool, left Ptr[T]) error {
	for {
		now, err := t.readClock(clock)
		if err != nil {
			return nil // what it counted has ended
		}
		if now >= at {
			return nil
		}
		rest := at - now
		pause := max(rest/int64(len(t.k.cpus)), int64(tick))
		if err := t.sleepUntil(addSaturated(t.k.clock.Monotonic(), pause)); err == nil {
			continue
		}
		if abs {
			return wait.ErrInterruptedNoHand
		}
		if err := storePut(t, left, unix.NsecToTimespec(rest)); err != nil {
			return err
		}
		return t.restartBy(func(t *Task) (uint64, error) { return 0, sleepCPUUntil(t, clock, at, false, left) })
	}
}

func sysGettimeofday[T timevals](t *Task, tv Ptr[T], tz Ptr[[2]int32]) error {
	if err := storePut(t, tv, unix.NsecToTimeval(t.k.clock.Realtime())); err != nil {
		return err
	}
	return tz.Put(t, [2]int32{})
}

func sysTime[W words](t *Task, v Ptr[W]) (W, error) {
	s := W(t.k.clock.Realtime() / 1e9)
	return s, v.Put(t, s)
}

func sysTimes[T tmss](t *Task, v Ptr[T]) (int64, error) {
	u, c := t.p.totalUsage(), t.p.childrenUsage
	err := storePut(t, v, unix.Tms{Utime: u.utime / nsPerTick, Stime: u.stime / nsPerTick, Cutime: c.utime / nsPerTick, Cstime: c.stime / nsPerTick})
	return t.k.clock.Shown() / nsPerTick, err
}

func sysGetrusage[T rusages](t *Task, who int32, v Ptr[T]) error {
	var u usage
	switch who {
	case unix.RUSAGE_SELF:
		u = t.p.totalUsage()
		u.maxrss = max(u.maxrss, t.th.PeakRSS())
	case unix.RUSAGE_CHILDREN:
		u = t.p.childrenUsage
	case unix.RUSAGE_THREAD:
		u = t.usage()
		u.maxrss = max(u.maxrss, t.th.PeakRSS())
	default:
		return unix.EINVAL
	}
	return store(t, v, t.rusage(u))
}
