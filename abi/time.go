package abi

import "golang.org/x/sys/unix"

// Timezone is struct timezone.
type Timezone struct {
	Minuteswest int32
	Dsttime     int32
}

// Timex is struct timex, of adjtimex and clock_adjtime. (unix.Timex has implicit padding.)
type Timex struct {
	Modes     uint32
	_         uint32
	Offset    int64
	Freq      int64
	Maxerror  int64
	Esterror  int64
	Status    int32
	_         uint32
	Constant  int64
	Precision int64
	Tolerance int64
	Time      unix.Timeval
	Tick      int64
	Ppsfreq   int64
	Jitter    int64
	Shift     int32
	_         uint32
	Stabil    int64
	Jitcnt    int64
	Calcnt    int64
	Errcnt    int64
	Stbcnt    int64
	Tai       int32
	_         [11]int32
}

// USER_HZ is the unit of clock_t: ticks a second.
const USER_HZ = 100

// Clocks that x/sys/unix lacks; the lower three bits of a negative clock say which clock of a process or thread it is.
const (
	CPUCLOCK_PROF           = 0
	CPUCLOCK_VIRT           = 1
	CPUCLOCK_SCHED          = 2
	CLOCKFD                 = 3
	CPUCLOCK_PERTHREAD_MASK = 4
	CPUCLOCK_CLOCK_MASK     = 3
	MAX_CLOCKS              = 0x10
	CLOCK_SGI_CYCLE         = 0xa
)
