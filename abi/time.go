package abi

// Timezone is struct timezone.
type Timezone struct {
	Minuteswest int32
	Dsttime     int32
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
