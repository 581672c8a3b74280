package kernel

import (
	"math"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"clock_gettime":   e2(sysClockGettime),
		"clock_settime":   e2(sysClockSettime),
		"clock_getres":    e2(sysClockGetres),
		"clock_nanosleep": e4(sysClockNanosleep),
		"clock_adjtime":   r2(sysClockAdjtime),
		"adjtimex":        r1(func(t *Task, p Addr) (int, error) { return sysClockAdjtime(t, unix.CLOCK_REALTIME, p) }),
		"nanosleep":       e2(sysNanosleep),
		"gettimeofday":    e2(sysGettimeofday),
		"settimeofday":    e2(func(t *Task, tv, tz Addr) error { return unix.EPERM }),
		"time":            r1(sysTime),
		"times":           r1(sysTimes),
		"getrusage":       e2(sysGetrusage),
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
		return c.Monotonic(), nil
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

func sysClockGettime(t *Task, clock int32, v Ptr[unix.Timespec]) error {
	n, err := t.readClock(clock)
	if err != nil {
		return err
	}
	ts := unix.NsecToTimespec(n)
	return v.Out(t, &ts)
}

func sysClockSettime(t *Task, clock int32, v Ptr[unix.Timespec]) error {
	ts, err := v.In(t)
	if err != nil {
		return err
	}
	if !validClock(clock) || !validTimespec(ts) || clock != unix.CLOCK_REALTIME {
		return unix.EINVAL
	}
	return unix.EPERM // the clock is the host's
}

func sysClockGetres(t *Task, clock int32, v Ptr[unix.Timespec]) error {
	if _, err := t.readClock(clock); err != nil {
		return err
	}
	ns := int64(1)
	if clock == unix.CLOCK_REALTIME_COARSE || clock == unix.CLOCK_MONOTONIC_COARSE {
		ns = int64(tick)
	}
	return v.Put(t, unix.NsecToTimespec(ns))
}

func sysClockAdjtime(t *Task, clock int32, p Addr) (int, error) {
	v, err := Ptr[unix.Timex](p).In(t)
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
	return timeError, Ptr[unix.Timex](p).Out(t, &n)
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
func (t *Task) nanosleep(deadline int64, left Ptr[unix.Timespec]) error {
	err := t.sleepUntil(deadline)
	if err == nil {
		return nil
	}
	rest := unix.NsecToTimespec(max(deadline-t.k.clock.Monotonic(), 0))
	if err := left.Put(t, rest); err != nil {
		return err
	}
	t.resume = func(t *Task) (uint64, error) { return 0, t.nanosleep(deadline, left) }
	return &wait.Interrupted{Kind: wait.RestartBlock}
}

func sysNanosleep(t *Task, v, left Ptr[unix.Timespec]) error {
	ts, err := v.In(t)
	if err != nil {
		return err
	}
	if !validTimespec(ts) {
		return unix.EINVAL
	}
	return t.nanosleep(t.deadlineIn(ts), left)
}

func sysClockNanosleep(t *Task, clock, flags int32, v, left Ptr[unix.Timespec]) error {
	switch clock {
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return unix.EINVAL
	case unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE:
		return unix.EOPNOTSUPP
	}
	if _, err := t.readClock(clock); err != nil {
		return err
	}
	ts, err := v.In(t)
	if err != nil {
		return err
	}
	if !validTimespec(ts) {
		return unix.EINVAL
	}
	if clock == unix.CLOCK_PROCESS_CPUTIME_ID || clock < 0 {
		return t.sleepCPU(clock, flags, ts, left)
	}
	if flags&unix.TFD_TIMER_ABSTIME == 0 {
		return t.nanosleep(t.deadlineIn(ts), left)
	}
	deadline := saturated(ts)
	if clock == unix.CLOCK_REALTIME || clock == unix.CLOCK_TAI || clock == unix.CLOCK_REALTIME_ALARM {
		deadline = t.realtimeDeadline(ts)
	}
	if err := t.sleepUntil(max(deadline, 1)); err != nil {
		return wait.ErrInterruptedNoHand
	}
	return nil
}

// sleepCPU sleeps until a clock of CPU time says so. What it counts goes on no
// faster than all CPUs together, so that is when to look again.
func (t *Task) sleepCPU(clock, flags int32, ts unix.Timespec, left Ptr[unix.Timespec]) error {
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
	return t.sleepCPUUntil(clock, at, abs, left)
}

func (t *Task) sleepCPUUntil(clock int32, at int64, abs bool, left Ptr[unix.Timespec]) error {
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
		if err := left.Put(t, unix.NsecToTimespec(rest)); err != nil {
			return err
		}
		t.resume = func(t *Task) (uint64, error) { return 0, t.sleepCPUUntil(clock, at, false, left) }
		return &wait.Interrupted{Kind: wait.RestartBlock}
	}
}

func sysGettimeofday(t *Task, tv Ptr[unix.Timeval], tz Ptr[[2]int32]) error {
	if err := tv.Put(t, unix.NsecToTimeval(t.k.clock.Realtime())); err != nil {
		return err
	}
	return tz.Put(t, [2]int32{})
}

func sysTime(t *Task, v Ptr[int64]) (int64, error) {
	s := t.k.clock.Realtime() / 1e9
	return s, v.Put(t, s)
}

func sysTimes(t *Task, v Ptr[[4]int64]) (int64, error) {
	u, c := t.p.totalUsage(), t.p.childrenUsage
	err := v.Put(t, [4]int64{u.utime / nsPerTick, u.stime / nsPerTick, c.utime / nsPerTick, c.stime / nsPerTick})
	return t.k.clock.Monotonic() / nsPerTick, err
}

func sysGetrusage(t *Task, who int32, v Ptr[unix.Rusage]) error {
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
	r := u.rusage()
	return v.Out(t, &r)
}
