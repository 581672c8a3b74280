// Package timerfd has the timers of timerfd_create(2).
//
// Contract: guarded by the kernel lock; a Clock's timers fire with it held. A
// periodic timer is armed for its next expiry only: those that went by until
// it is read are counted then.
package timerfd

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Clock is the machine's time.
type Clock interface {
	// Now reads a clock: CLOCK_REALTIME, _MONOTONIC or _BOOTTIME, in ns.
	Now(clockid int) int64
	// Monotonic is what alarms go by, ns: CLOCK_MONOTONIC, unless that stands
	// still.
	Monotonic() int64
	// NewTimer returns a timer, not set, that calls fire.
	NewTimer(fire func()) Alarm
}

// Alarm is a one-shot timer of a Clock.
type Alarm interface {
	// Set sets it to a time of the Clock's Monotonic, in place of an
	// earlier one; a time that has passed fires at once, not within Set.
	Set(deadline int64)
	Stop()
}

// System has what the timers of a machine share.
type System struct {
	clock Clock
	// absolute is the list of timers that a step of the wall clock moves.
	absolute *Timer
}

// NewSystem returns a System whose timers go by clock.
func NewSystem(clock Clock) *System { return &System{clock: clock} }

// ClockWasSet tells that the wall clock was set, settimeofday(2): timers
// that wait for an absolute time are set anew, and those with
// TFD_TIMER_CANCEL_ON_SET end in ECANCELED.
func (s *System) ClockWasSet() {
	for t := s.absolute; t != nil; t = t.next {
		if t.cancel {
			t.canceled = true
			t.ticks++
			t.q.Wake(wait.In)
		}
		if t.armed {
			t.arm()
		}
	}
}

// Timer serves a timerfd.
type Timer struct {
	sys   *System
	clock int // as asked for
	base  int // what time is read from: no _ALARM
	alarm Alarm
	q     wait.Queue

	expiry   int64 // in base's time when abs, else monotonic
	interval int64
	armed    bool // the alarm is set
	expired  bool // a period ended, and none was begun since
	abs      bool
	cancel   bool
	canceled bool
	ticks    uint64
	flags    int // of settime

	listed     bool // in sys.absolute
	next, prev *Timer
}

// New returns a description of a disarmed timer on a clock. EINVAL for
// other clocks and flags, EPERM for an alarm clock without CAP_WAKE_ALARM.
func (s *System) New(ctx vfs.Context, clockid int, flags int) (*vfs.File, error) {
	if flags&^(unix.TFD_NONBLOCK|unix.TFD_CLOEXEC) != 0 {
		return nil, unix.EINVAL
	}
	t := &Timer{sys: s, clock: clockid}
	switch clockid {
	case unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME:
		t.base = clockid
	case unix.CLOCK_REALTIME_ALARM:
		t.base = unix.CLOCK_REALTIME
	case unix.CLOCK_BOOTTIME_ALARM:
		t.base = unix.CLOCK_BOOTTIME
	default:
		return nil, unix.EINVAL
	}
	if t.base != clockid && !ctx.Cred().Has(unix.CAP_WAKE_ALARM) {
		return nil, unix.EPERM
	}
	t.alarm = s.clock.NewTimer(t.fire)
	return vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:[timerfd]"), t, unix.O_RDWR|flags&unix.TFD_NONBLOCK), nil
}

// Of returns the timer that f is, or EINVAL.
func Of(f *vfs.File) (*Timer, error) {
	if t, ok := f.Impl.(*Timer); ok {
		return t, nil
	}
	return nil, unix.EINVAL
}

// Release implements vfs.Impl.
func (t *Timer) Release(vfs.Context) {
	t.alarm.Stop()
	t.unlist()
}

func (t *Timer) list() {
	if t.listed {
		return
	}
	t.listed = true
	t.next = t.sys.absolute
	if t.next != nil {
		t.next.prev = t
	}
	t.sys.absolute = t
}

func (t *Timer) unlist() {
	if !t.listed {
		return
	}
	t.listed = false
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		t.sys.absolute = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
}

// now is the time that expiry is in.
func (t *Timer) now() int64 {
	if t.abs {
		return t.sys.clock.Now(t.base)
	}
	return t.sys.clock.Monotonic()
}

// arm sets the alarm for expiry.
func (t *Timer) arm() {
	t.armed = true
	deadline := t.expiry
	if t.abs {
		deadline = add(t.sys.clock.Monotonic(), t.expiry-t.now())
	}
	t.alarm.Set(deadline)
}

// fire is called when the alarm goes off.
func (t *Timer) fire() {
	if !t.armed {
		return
	}
	t.armed, t.expired = false, true
	t.ticks++
	t.q.Wake(wait.In)
}

// catchUp counts the periods that went by and begins the next.
func (t *Timer) catchUp() {
	if !t.expired || t.interval == 0 {
		return
	}
	t.expired = false
	late := max(0, t.now()-t.expiry)
	missed := late / t.interval
	t.ticks += uint64(missed)
	t.expiry = add(t.expiry+missed*t.interval, t.interval)
	t.arm()
}

// add is a+b, at most the greatest time. Times are not negative, but for
// differences of clocks.
func add(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// nanoseconds converts what settime is given: EINVAL unless normalized.
func nanoseconds(ts unix.Timespec) (int64, error) {
	if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
		return 0, unix.EINVAL
	}
	if ts.Sec >= math.MaxInt64/int64(1e9) {
		return math.MaxInt64, nil
	}
	return ts.Sec*1e9 + ts.Nsec, nil
}

// SetTime is timerfd_settime(2).
func (t *Timer) SetTime(flags int, spec unix.ItimerSpec) (old unix.ItimerSpec, err error) {
	if flags&^(unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET) != 0 {
		return old, unix.EINVAL
	}
	value, err := nanoseconds(spec.Value)
	if err != nil {
		return old, err
	}
	interval, err := nanoseconds(spec.Interval)
	if err != nil {
		return old, err
	}
	old = t.GetTime()
	t.alarm.Stop()
	t.unlist()
	t.armed, t.expired, t.canceled, t.ticks = false, false, false, 0
	t.interval, t.flags = interval, flags
	t.abs = flags&unix.TFD_TIMER_ABSTIME != 0
	t.cancel = t.abs && t.base == unix.CLOCK_REALTIME && flags&unix.TFD_TIMER_CANCEL_ON_SET != 0
	if t.abs && t.base == unix.CLOCK_REALTIME && (value != 0 || t.cancel) {
		t.list()
	}
	if value != 0 {
		t.expiry = value
		if !t.abs {
			t.expiry = add(t.now(), value)
		}
		t.arm()
	}
	return old, nil
}

// GetTime is timerfd_gettime(2).
func (t *Timer) GetTime() unix.ItimerSpec {
	t.catchUp()
	var left int64
	if t.armed {
		left = max(0, t.expiry-t.now())
	}
	return unix.ItimerSpec{Interval: unix.NsecToTimespec(t.interval), Value: unix.NsecToTimespec(left)}
}

// Read implements vfs.Reader: how often the timer expired since the last
// read, as 8 bytes. ECANCELED after the clock was set.
func (t *Timer) Read(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	if len(b) < 8 {
		return 0, unix.EINVAL
	}
	if t.ticks == 0 {
		if f.NonBlocking() {
			return 0, unix.EAGAIN
		}
		if err := t.q.Until(ctx, wait.Readable, 0, func() bool { return t.ticks > 0 }); err != nil {
			return 0, err
		}
	}
	if t.canceled {
		t.canceled, t.expired, t.ticks = false, false, 0
		return 0, unix.ECANCELED
	}
	t.catchUp()
	binary.NativeEndian.PutUint64(b, t.ticks)
	t.expired, t.ticks = false, 0
	return 8, nil
}

// Poll implements vfs.Poller.
func (t *Timer) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	if t.ticks > 0 {
		return wait.In, &t.q
	}
	return 0, &t.q
}

// setTicks is TFD_IOC_SET_TICKS.
const setTicks = 0x40085400

// Ioctl implements vfs.Ioctler: TFD_IOC_SET_TICKS, for checkpoints.
func (t *Timer) Ioctl(_ vfs.Context, _ *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	if cmd != setTicks {
		return 0, unix.ENOTTY
	}
	var b [8]byte
	if err := mem.ReadMem(arg, b[:]); err != nil {
		return 0, err
	}
	n := binary.NativeEndian.Uint64(b[:])
	if n == 0 {
		return 0, unix.EINVAL
	}
	if t.canceled {
		return 0, unix.ECANCELED
	}
	t.ticks = n
	t.q.Wake(wait.In)
	return 0, nil
}

// FDInfo implements vfs.FDInfoer.
func (t *Timer) FDInfo(*vfs.File) string {
	now := t.now()
	var left int64
	if t.armed {
		left = max(0, t.expiry-now)
	}
	return fmt.Sprintf("clockid: %d\nticks: %d\nsettime flags: 0%o\nit_value: (%d, %d)\nit_interval: (%d, %d)\n",
		t.clock, t.ticks, t.flags, left/1e9, left%1e9, t.interval/1e9, t.interval%1e9)
}
