package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Time on i386: the calls it began with have seconds of 32 bits, those called
// *64 or *_time64 of 64.

type (
	timespec32 = abi.Timespec32
	timespec64 = abi.Timespec64x32
	spec32     = abi.Itimerspec32
	spec64     = abi.Itimerspec64x32
)

func init() {
	addFamily386(calls{
		"clock_gettime":   e2(sysClockGettime[timespec32]),
		"clock_settime":   e2(sysClockSettime[timespec32]),
		"clock_getres":    e2(sysClockGetres[timespec32]),
		"clock_nanosleep": e4(sysClockNanosleep[timespec32]),
		"clock_adjtime":   r2(sysClockAdjtime[abi.Timex32]),
		"adjtimex":        r1(sysAdjtimex[abi.Timex32]),
		"nanosleep":       e2(sysNanosleep[timespec32]),
		"gettimeofday":    e2(sysGettimeofday[abi.Timeval32]),
		"time":            r1(sysTime[uint32]),
		"stime":           e1(sysStime),
		"times":           r1(sysTimes[abi.Tms32]),
		"getrusage":       e2(sysGetrusage[abi.Rusage32]),

		"clock_gettime64":        e2(sysClockGettime[timespec64]),
		"clock_settime64":        e2(sysClockSettime[timespec64]),
		"clock_getres_time64":    e2(sysClockGetres[timespec64]),
		"clock_nanosleep_time64": e4(sysClockNanosleep[timespec64]),
		"clock_adjtime64":        r2(sysClockAdjtime[unix.Timex]),

		"getitimer":         e2(sysGetitimer[abi.Itimerval32]),
		"setitimer":         e3(sysSetitimer[abi.Itimerval32]),
		"timer_create":      e3(sysTimerCreate[abi.Sigevent32]),
		"timer_settime":     e4(sysTimerSettime[spec32]),
		"timer_gettime":     e2(sysTimerGettime[spec32]),
		"timer_settime64":   e4(sysTimerSettime[spec64]),
		"timer_gettime64":   e2(sysTimerGettime[spec64]),
		"timerfd_settime":   e4(sysTimerfdSettime[spec32]),
		"timerfd_gettime":   e2(sysTimerfdGettime[spec32]),
		"timerfd_settime64": e4(sysTimerfdSettime[spec64]),
		"timerfd_gettime64": e2(sysTimerfdGettime[spec64]),

		"sched_rr_get_interval":        e2(sysSchedRRGetInterval[timespec32]),
		"sched_rr_get_interval_time64": e2(sysSchedRRGetInterval[timespec64]),
		"sched_getaffinity":            r3(sysSchedGetaffinity[uint32]),
		"nice":                         e1(sysNice),

		"select":          block(5, r5(sysSelect[uint32, abi.Timeval32])),
		"_newselect":      r5(sysSelect[uint32, abi.Timeval32]),
		"pselect6":        r6(sysPselect6[uint32, timespec32, abi.SigsetArg32]),
		"pselect6_time64": r6(sysPselect6[uint32, timespec64, abi.SigsetArg32]),
		"ppoll":           r5(sysPpoll[timespec32]),
		"ppoll_time64":    r5(sysPpoll[timespec64]),
		"epoll_pwait2":    r6(sysEpollPwait2[timespec64]),

		"futex":           r6(sysFutex[timespec32]),
		"futex_time64":    r6(sysFutex[timespec64]),
		"futex_waitv":     r5(sysFutexWaitv[timespec64]),
		"set_robust_list": e2(setRobustList(robust32)),
		"get_robust_list": e3(getRobustList(robust32)),

		"settimeofday": e2(sysSettimeofday[abi.Timeval32]),
	})
}

// sysStime is stime(2).
func sysStime(t *Task, p Ptr[int32]) error {
	s, err := p.In(t)
	if err != nil {
		return err
	}
	return t.setRealtime(int64(s) * 1e9)
}

// sysNice is nice(2), which libc makes of setpriority elsewhere.
func sysNice(t *Task, more int32) error {
	err := t.setNice(t, t.attrs.nice+int(min(max(more, -40), 40)))
	if err == unix.EACCES {
		err = unix.EPERM
	}
	return err
}
