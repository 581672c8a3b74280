package kernel

import (
	"maps"
	"math"
	"slices"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"getitimer":        e2(sysGetitimer[unix.Itimerval]),
		"setitimer":        e3(sysSetitimer[unix.Itimerval]),
		"alarm":            r1(sysAlarm),
		"timer_create":     e3(sysTimerCreate[abi.Sigevent]),
		"timer_settime":    e4(sysTimerSettime[unix.ItimerSpec]),
		"timer_gettime":    e2(sysTimerGettime[unix.ItimerSpec]),
		"timer_getoverrun": r1(sysTimerGetoverrun),
		"timer_delete":     e1(sysTimerDelete),
	})
}

// itimers are a process's interval timers, getitimer(2). That of real time is
// in the timer heap; those of CPU time are looked at by the tick.
type itimers struct {
	real     *timer
	realAt   int64 // monotonic
	interval int64
	cpu      [2]cpuTimer // ITIMER_VIRTUAL, ITIMER_PROF
	limitAt  int64       // RLIMIT_CPU: when SIGXCPU comes next, ns of CPU time
}

// cpuTimer counts the process's CPU time, ns.
type cpuTimer struct{ at, interval int64 }

func (p *Process) itimerReal() *timer {
	it := &p.itimers
	if it.real == nil {
		it.real = newTimer(func() {
			p.k.sendProcess(p, kernelSignal(int(unix.SIGALRM)))
			if it.interval > 0 {
				now := p.k.clock.Monotonic()
				for it.realAt += it.interval; it.realAt <= now; {
					it.realAt += it.interval * ((now-it.realAt)/it.interval + 1)
				}
				p.k.timers.set(it.real, max(it.realAt, now+minPeriod))
			}
		})
	}
	return it.real
}

// cpuTime is the process's CPU time so far, ns.
func (p *Process) cpuTime() int64 {
	u := p.totalUsage()
	return u.utime + u.stime
}

func (p *Process) itimerGet(which int32) (unix.Itimerval, error) {
	it := &p.itimers
	var left, interval int64
	switch which {
	case unix.ITIMER_REAL:
		interval = it.interval
		if it.real != nil && it.real.index >= 0 {
			left = max(it.realAt-p.k.clock.Monotonic(), 1000)
		}
	case unix.ITIMER_VIRTUAL, unix.ITIMER_PROF:
		c := it.cpu[which-1]
		interval = c.interval
		if c.at != 0 {
			left = max(c.at-p.cpuTime(), 1000)
		}
	default:
		return unix.Itimerval{}, unix.EINVAL
	}
	return unix.Itimerval{Interval: unix.NsecToTimeval(interval), Value: unix.NsecToTimeval(left)}, nil
}

func (p *Process) itimerSet(which int32, left, interval int64) {
	it := &p.itimers
	if which == unix.ITIMER_REAL {
		tm := p.itimerReal()
		it.interval = interval
		if left == 0 {
			p.k.timers.cancel(tm)
			return
		}
		it.realAt = p.k.clock.Monotonic() + left
		p.k.timers.set(tm, it.realAt)
		return
	}
	c := &it.cpu[which-1]
	c.interval = interval
	c.at = 0
	if left != 0 {
		c.at = p.cpuTime() + left
	}
}

func timevalNs(tv unix.Timeval) (int64, bool) {
	if tv.Sec < 0 || tv.Usec < 0 || tv.Usec >= 1e6 {
		return 0, false
	}
	if tv.Sec > math.MaxInt64/1_000_000_000-1 {
		return math.MaxInt64 / 2, true
	}
	return tv.Sec*1e9 + tv.Usec*1000, true
}

func sysGetitimer[T itimervals](t *Task, which int32, v Ptr[T]) error {
	it, err := t.p.itimerGet(which)
	if err != nil {
		return err
	}
	return store(t, v, it)
}

func sysSetitimer[T itimervals](t *Task, which int32, v, old Ptr[T]) error {
	var n unix.Itimerval
	if v != 0 {
		var err error
		if n, err = load[unix.Itimerval](t, v); err != nil {
			return err
		}
	}
	was, err := t.p.itimerGet(which)
	if err != nil {
		return err
	}
	left, ok1 := timevalNs(n.Value)
	interval, ok2 := timevalNs(n.Interval)
	if !ok1 || !ok2 {
		return unix.EINVAL
	}
	t.p.itimerSet(which, left, interval)
	return storePut(t, old, was)
}

func sysAlarm(t *Task, seconds uint32) (int64, error) {
	was, _ := t.p.itimerGet(unix.ITIMER_REAL)
	t.p.itimerSet(unix.ITIMER_REAL, int64(seconds)*1e9, 0)
	left := was.Value.Sec
	if was.Value.Usec >= 500000 || left == 0 && was.Value.Usec > 0 {
		left++
	}
	return left, nil
}

// tick looks at what counts CPU time; once a tick while the task runs.
func (t *Task) tick() {
	p := t.p
	it := &p.itimers
	limit := p.limits[unix.RLIMIT_CPU].Cur
	if it.cpu[0].at == 0 && it.cpu[1].at == 0 && limit == unix.RLIM_INFINITY && !p.posixTimers.cpu {
		return
	}
	used := p.cpuTime()
	for i, sig := range []unix.Signal{unix.SIGVTALRM, unix.SIGPROF} {
		c := &it.cpu[i]
		if c.at == 0 || used < c.at {
			continue
		}
		if c.interval > 0 {
			c.at += c.interval * ((used-c.at)/c.interval + 1)
		} else {
			c.at = 0
		}
		p.k.sendProcess(p, kernelSignal(int(sig)))
	}
	if limit != unix.RLIM_INFINITY {
		sec := uint64(used / 1e9)
		if sec >= p.limits[unix.RLIMIT_CPU].Max {
			p.kill(int(unix.SIGKILL))
		} else if sec >= limit && used >= it.limitAt {
			it.limitAt = used + 1e9
			p.kill(int(unix.SIGXCPU))
		}
	}
	p.posixTimers.tick()
}

// posixTimers are what timer_create(2) makes.
type posixTimers struct {
	byID map[int32]*posixTimer
	next int32
	cpu  bool // one counts CPU time
}

type posixTimer struct {
	id       int32
	p        *Process
	clock    int32
	notify   int32
	signo    int32
	value    uint64
	thread   *Task
	tm       *timer
	at       int64 // monotonic, or ns of CPU time
	interval int64
	armed    bool
	counting int64 // expiries beyond the first of the signal that is pending
	overrun  int64 // those of the last signal that was taken
	of       *Task // whose CPU time it counts; nil is the process's
}

const maxPosixTimers = 4096

func sysTimerCreate[T sigevents](t *Task, clock int32, ev Ptr[T], id Ptr[int32]) error {
	if _, err := t.readClock(clock); err != nil {
		return err
	}
	switch clock {
	case unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE:
		return unix.EOPNOTSUPP
	}
	var err error
	pt := &t.p.posixTimers
	if pt.byID == nil {
		pt.byID = map[int32]*posixTimer{}
	}
	if len(pt.byID) >= maxPosixTimers {
		return unix.EAGAIN
	}
	for pt.byID[pt.next] != nil {
		pt.next = (pt.next + 1) & math.MaxInt32
	}
	x := &posixTimer{id: pt.next, p: t.p, clock: clock, signo: int32(unix.SIGALRM), value: uint64(pt.next)}
	if ev != 0 {
		e, err := load[abi.Sigevent](t, ev)
		if err != nil {
			return err
		}
		const sigevSignal, sigevNone, sigevThread, sigevThreadID = 0, 1, 2, 4
		x.notify, x.signo, x.value = e.Notify, e.Signo, e.Value
		switch e.Notify {
		case sigevNone:
		case sigevSignal | sigevThreadID:
			o := t.k.pids.tasks[int(e.TID)]
			if o == nil || o.p != t.p {
				return unix.EINVAL
			}
			x.thread = o
			fallthrough
		case sigevSignal, sigevThread:
			if e.Signo < 1 || e.Signo > numSignals {
				return unix.EINVAL
			}
		default:
			return unix.EINVAL
		}
	}
	if x.onCPUTime() {
		if x.of, err = t.cpuClock(clock); err != nil {
			return err
		}
	}
	x.tm = newTimer(x.fire)
	if err := id.Out(t, &x.id); err != nil {
		return err
	}
	pt.byID[x.id] = x
	pt.next = (pt.next + 1) & math.MaxInt32
	return nil
}

// onCPUTime reports whether the timer counts CPU time.
func (x *posixTimer) onCPUTime() bool {
	return x.clock == unix.CLOCK_PROCESS_CPUTIME_ID || x.clock == unix.CLOCK_THREAD_CPUTIME_ID || x.clock < 0
}

func (x *posixTimer) now() int64 {
	if x.of != nil {
		u := x.of.usage()
		return u.utime + u.stime
	}
	if x.onCPUTime() {
		return x.p.cpuTime()
	}
	return x.p.k.clock.Monotonic()
}

func (x *posixTimer) fire() {
	now := x.now()
	extra := int64(0)
	if x.interval > 0 {
		extra = (now - x.at) / x.interval
		x.at += x.interval * (extra + 1)
		if !x.onCPUTime() {
			x.p.k.timers.set(x.tm, max(x.at, now+minPeriod))
		}
	} else {
		x.armed = false
	}
	if x.notify == 1 { // SIGEV_NONE
		return
	}
	q := &x.p.pending
	if x.thread != nil {
		if x.thread.exited {
			return
		}
		q = &x.thread.pending
	}
	// While the signal is pending expiries only count.
	for i := range q.list {
		if s := &q.list[i]; s.Code == siTimer && int32(s.get32(0)) == x.id && s.Signo == x.signo {
			x.counting = min(x.counting+extra+1, math.MaxInt32)
			s.put32(4, uint32(x.counting))
			return
		}
	}
	x.counting = min(extra, math.MaxInt32)
	i := timerSignal(int(x.signo), x.id, int32(x.counting), x.value)
	if x.thread != nil {
		x.p.k.sendTask(x.thread, i)
	} else {
		x.p.k.sendProcess(x.p, i)
	}
}

func (pt *posixTimers) tick() {
	if !pt.cpu {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(pt.byID)) {
		if x := pt.byID[id]; x.armed && x.onCPUTime() && x.now() >= x.at {
			x.fire()
		}
	}
}

// delivered is told that a timer's signal is being taken: how often it has
// expired is now known.
func (pt *posixTimers) delivered(i *sigInfo) {
	if x := pt.byID[int32(i.get32(0))]; x != nil && x.signo == i.Signo {
		x.overrun = x.counting
	}
}

// unqueue takes back a signal that is pending: it tells of what the timer is
// no longer set for.
func (x *posixTimer) unqueue() {
	q := &x.p.pending
	if x.thread != nil {
		q = &x.thread.pending
	}
	q.remove(func(i *sigInfo) bool {
		return i.Code == siTimer && int32(i.get32(0)) == x.id && i.Signo == x.signo
	})
}

func (x *posixTimer) get() unix.ItimerSpec {
	var left int64
	if x.armed {
		left = max(x.at-x.now(), 1)
	}
	return unix.ItimerSpec{Interval: unix.NsecToTimespec(x.interval), Value: unix.NsecToTimespec(left)}
}

func sysTimerSettime[T itimerspecs](t *Task, id, flags int32, v, old Ptr[T]) error {
	if v == 0 {
		return unix.EINVAL
	}
	n, err := load[unix.ItimerSpec](t, v)
	if err != nil {
		return err
	}
	x := t.p.posixTimers.byID[id]
	if x == nil || !validTimespec(n.Value) || !validTimespec(n.Interval) {
		return unix.EINVAL
	}
	was := x.get()
	t.k.timers.cancel(x.tm)
	x.unqueue()
	x.armed = false
	x.overrun = 0
	x.interval = 0
	if n.Value.Sec != 0 || n.Value.Nsec != 0 {
		x.armed = true
		x.interval = saturated(n.Interval)
		switch {
		case flags&unix.TFD_TIMER_ABSTIME == 0:
			x.at = addSaturated(x.now(), saturated(n.Value))
		case x.clock == unix.CLOCK_REALTIME || x.clock == unix.CLOCK_TAI:
			x.at = t.realtimeDeadline(n.Value)
		default:
			x.at = saturated(n.Value)
			if !x.onCPUTime() {
				x.at = t.monotonicDeadline(n.Value)
			}
		}
		if x.onCPUTime() {
			t.p.posixTimers.cpu = true
		} else {
			t.k.timers.set(x.tm, x.at)
		}
	}
	return storePut(t, old, was)
}

func sysTimerGettime[T itimerspecs](t *Task, id int32, v Ptr[T]) error {
	x := t.p.posixTimers.byID[id]
	if x == nil {
		return unix.EINVAL
	}
	return store(t, v, x.get())
}

func sysTimerGetoverrun(t *Task, id int32) (int64, error) {
	x := t.p.posixTimers.byID[id]
	if x == nil {
		return 0, unix.EINVAL
	}
	return x.overrun, nil
}

func sysTimerDelete(t *Task, id int32) error {
	x := t.p.posixTimers.byID[id]
	if x == nil {
		return unix.EINVAL
	}
	t.k.timers.cancel(x.tm)
	x.unqueue()
	delete(t.p.posixTimers.byID, id)
	return nil
}

// stopTimers ends all timers: the process is going.
func (p *Process) stopTimers() {
	if p.itimers.real != nil {
		p.k.timers.cancel(p.itimers.real)
	}
	p.stopTimersForExec()
}

// stopTimersForExec ends those that exec does not keep.
func (p *Process) stopTimersForExec() {
	for _, x := range p.posixTimers.byID {
		p.k.timers.cancel(x.tm)
	}
	p.posixTimers = posixTimers{}
}
