package kernel

import (
	"golang.org/x/sys/unix"
)

// usage is what getrusage(2) and times(2) report. Times are ns.
type usage struct {
	utime, stime   int64
	minflt, majflt int64
	nvcsw, nivcsw  int64
	maxrss         int64 // KiB
}

// nsPerTick is a tick of times(2) and /proc: USER_HZ is 100.
const nsPerTick = 1e9 / 100

func (u *usage) add(v usage) {
	u.utime += v.utime
	u.stime += v.stime
	u.minflt += v.minflt
	u.majflt += v.majflt
	u.nvcsw += v.nvcsw
	u.nivcsw += v.nivcsw
	u.maxrss = max(u.maxrss, v.maxrss)
}

// usage is the task's own so far.
func (t *Task) usage() usage {
	u := usage{nvcsw: t.nvcsw, nivcsw: t.nivcw, minflt: t.minflt}
	if t.th != nil {
		s := t.th.Stats()
		u.utime, u.stime = s.User, s.System
		u.minflt += s.MinFaults
		u.majflt = s.MajFaults
		u.maxrss = s.MaxRSS
	}
	u.add(t.before)
	if t.k.virtual != nil {
		u.utime, u.stime = t.vuser, t.vsystem
	}
	return u
}

func (u *usage) addThread(t *Task) { u.add(t.usage()) }

// totalUsage is that of all threads, dead and alive.
func (p *Process) totalUsage() usage {
	u := p.usage
	for _, t := range p.threads {
		u.add(t.usage())
	}
	return u
}

// rusage is what the task is told of u. With a virtual clock that is nothing
// that the host counts: it differs from run to run.
func (t *Task) rusage(u usage) unix.Rusage {
	if t.k.virtual != nil {
		u.minflt, u.majflt, u.maxrss = 0, 0, int64(t.mm.Size()>>10)
	}
	return u.rusage()
}

func (u *usage) rusage() unix.Rusage {
	return unix.Rusage{
		Utime: unix.NsecToTimeval(u.utime), Stime: unix.NsecToTimeval(u.stime),
		Maxrss: u.maxrss, Minflt: u.minflt, Majflt: u.majflt, Nvcsw: u.nvcsw, Nivcsw: u.nivcsw,
	}
}
