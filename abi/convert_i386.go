package abi

import "golang.org/x/sys/unix"

// Every i386 layout turns into the x86-64 one, which stands for the thing itself, by Get, and is filled from it by Set.
// Set's result is false when a value does not fit its field and Linux says EOVERFLOW; where it is always true, what does
// not fit is cut off, as Linux does.

const overflowID = 65534 // what a 16-bit id is when the real one needs more

func id16(id uint32) uint16 {
	if id > 0xffff {
		return overflowID
	}
	return uint16(id)
}

// ID16 is a user or group id as the calls with 16-bit ids tell it.
func ID16(id uint32) uint16 { return id16(id) }

// FromID16 is an id that such a call is given: 65535 leaves an id as it is.
func FromID16(id uint16) uint32 {
	if id == 0xffff {
		return ^uint32(0)
	}
	return uint32(id)
}

// Timespec64x32 is struct __kernel_timespec as the *_time64 calls of i386 read it: what is above the low half of the
// nanoseconds is padding there. Written, it is 64 bits.
type Timespec64x32 struct {
	Sec  int64
	Nsec uint32
	_    uint32
}

// Itimerspec64x32 is struct __kernel_itimerspec of the *_time64 calls.
type Itimerspec64x32 struct{ Interval, Value Timespec64x32 }

func (s *Timespec64x32) Get() unix.Timespec { return unix.Timespec{Sec: s.Sec, Nsec: int64(s.Nsec)} }
func (s *Timespec64x32) Set(v unix.Timespec) bool {
	s.Sec, s.Nsec = v.Sec, uint32(v.Nsec)
	return true
}

func (s *Itimerspec64x32) Get() unix.ItimerSpec {
	return unix.ItimerSpec{Interval: s.Interval.Get(), Value: s.Value.Get()}
}
func (s *Itimerspec64x32) Set(v unix.ItimerSpec) bool {
	return s.Interval.Set(v.Interval) && s.Value.Set(v.Value)
}

func (s *Timespec32) Get() unix.Timespec {
	return unix.Timespec{Sec: int64(s.Sec), Nsec: int64(s.Nsec)}
}
func (s *Timespec32) Set(v unix.Timespec) bool {
	s.Sec, s.Nsec = int32(v.Sec), int32(v.Nsec)
	return true
}

func (s *Timeval32) Get() unix.Timeval { return unix.Timeval{Sec: int64(s.Sec), Usec: int64(s.Usec)} }
func (s *Timeval32) Set(v unix.Timeval) bool {
	s.Sec, s.Usec = int32(v.Sec), int32(v.Usec)
	return true
}

func (s *Itimerspec32) Get() unix.ItimerSpec {
	return unix.ItimerSpec{Interval: s.Interval.Get(), Value: s.Value.Get()}
}
func (s *Itimerspec32) Set(v unix.ItimerSpec) bool {
	return s.Interval.Set(v.Interval) && s.Value.Set(v.Value)
}

func (s *Itimerval32) Get() unix.Itimerval {
	return unix.Itimerval{Interval: s.Interval.Get(), Value: s.Value.Get()}
}
func (s *Itimerval32) Set(v unix.Itimerval) bool {
	return s.Interval.Set(v.Interval) && s.Value.Set(v.Value)
}

func (s *Utimbuf32) Get() unix.Utimbuf {
	return unix.Utimbuf{Actime: int64(s.Actime), Modtime: int64(s.Modtime)}
}
func (s *Utimbuf32) Set(v unix.Utimbuf) bool {
	s.Actime, s.Modtime = int32(v.Actime), int32(v.Modtime)
	return true
}

func (s *Tms32) Get() unix.Tms {
	return unix.Tms{Utime: int64(s.Utime), Stime: int64(s.Stime), Cutime: int64(s.Cutime), Cstime: int64(s.Cstime)}
}
func (s *Tms32) Set(v unix.Tms) bool {
	*s = Tms32{int32(v.Utime), int32(v.Stime), int32(v.Cutime), int32(v.Cstime)}
	return true
}

// Get: all ones stand for no limit.
func (s *Rlimit32) Get() unix.Rlimit {
	wide := func(v uint32) uint64 {
		if v == ^uint32(0) {
			return unix.RLIM_INFINITY
		}
		return uint64(v)
	}
	return unix.Rlimit{Cur: wide(s.Cur), Max: wide(s.Max)}
}

func (s *Rlimit32) Set(v unix.Rlimit) bool {
	s.Cur, s.Max = uint32(min(v.Cur, 1<<32-1)), uint32(min(v.Max, 1<<32-1))
	return true
}

// OldRlimit32 is struct rlimit of getrlimit, before ugetrlimit: signed.
type OldRlimit32 struct{ Cur, Max int32 }

func (s *OldRlimit32) Get() unix.Rlimit {
	return unix.Rlimit{Cur: uint64(s.Cur), Max: uint64(s.Max)}
}
func (s *OldRlimit32) Set(v unix.Rlimit) bool {
	s.Cur, s.Max = int32(min(v.Cur, 1<<31-1)), int32(min(v.Max, 1<<31-1))
	return true
}

func (s *Iovec32) Get() Iovec { return Iovec{uint64(s.Base), signed(s.Len)} }
func (s *Iovec32) Set(v Iovec) bool {
	s.Base, s.Len = uint32(v.Base), uint32(v.Len)
	return true
}

// signed widens a length so that a negative one still is.
func signed(n uint32) uint64 { return uint64(int64(int32(n))) }

func (s *SigsetArg32) Get() [2]uint64 { return [2]uint64{uint64(s.Ptr), uint64(s.Size)} }
func (s *SigsetArg32) Set(v [2]uint64) bool {
	s.Ptr, s.Size = uint32(v[0]), uint32(v[1])
	return true
}

func (x *Timex32) Get() (v unix.Timex) {
	return unix.Timex{Modes: x.Modes, Offset: int64(x.Offset), Freq: int64(x.Freq), Maxerror: int64(x.Maxerror),
		Esterror: int64(x.Esterror), Status: x.Status, Constant: int64(x.Constant), Precision: int64(x.Precision),
		Tolerance: int64(x.Tolerance), Time: x.Time.Get(), Tick: int64(x.Tick), Ppsfreq: int64(x.Ppsfreq),
		Jitter: int64(x.Jitter), Shift: x.Shift, Stabil: int64(x.Stabil), Jitcnt: int64(x.Jitcnt),
		Calcnt: int64(x.Calcnt), Errcnt: int64(x.Errcnt), Stbcnt: int64(x.Stbcnt), Tai: x.Tai}
}

func (x *Timex32) Set(v unix.Timex) bool {
	*x = Timex32{Modes: v.Modes, Offset: int32(v.Offset), Freq: int32(v.Freq), Maxerror: int32(v.Maxerror),
		Esterror: int32(v.Esterror), Status: v.Status, Constant: int32(v.Constant), Precision: int32(v.Precision),
		Tolerance: int32(v.Tolerance), Tick: int32(v.Tick), Ppsfreq: int32(v.Ppsfreq), Jitter: int32(v.Jitter),
		Shift: v.Shift, Stabil: int32(v.Stabil), Jitcnt: int32(v.Jitcnt), Calcnt: int32(v.Calcnt),
		Errcnt: int32(v.Errcnt), Stbcnt: int32(v.Stbcnt), Tai: v.Tai}
	return x.Time.Set(v.Time)
}

func (r *Rusage32) Get() unix.Rusage {
	return unix.Rusage{Utime: r.Utime.Get(), Stime: r.Stime.Get(), Maxrss: int64(r.Maxrss), Ixrss: int64(r.Ixrss),
		Idrss: int64(r.Idrss), Isrss: int64(r.Isrss), Minflt: int64(r.Minflt), Majflt: int64(r.Majflt),
		Nswap: int64(r.Nswap), Inblock: int64(r.Inblock), Oublock: int64(r.Oublock), Msgsnd: int64(r.Msgsnd),
		Msgrcv: int64(r.Msgrcv), Nsignals: int64(r.Nsignals), Nvcsw: int64(r.Nvcsw), Nivcsw: int64(r.Nivcsw)}
}

func (r *Rusage32) Set(v unix.Rusage) bool {
	*r = Rusage32{Maxrss: int32(v.Maxrss), Ixrss: int32(v.Ixrss), Idrss: int32(v.Idrss), Isrss: int32(v.Isrss),
		Minflt: int32(v.Minflt), Majflt: int32(v.Majflt), Nswap: int32(v.Nswap), Inblock: int32(v.Inblock),
		Oublock: int32(v.Oublock), Msgsnd: int32(v.Msgsnd), Msgrcv: int32(v.Msgrcv), Nsignals: int32(v.Nsignals),
		Nvcsw: int32(v.Nvcsw), Nivcsw: int32(v.Nivcsw)}
	return r.Utime.Set(v.Utime) && r.Stime.Set(v.Stime)
}

func (s *Sysinfo32) Get() Sysinfo {
	return Sysinfo{Uptime: int64(s.Uptime), Loads: [3]uint64{uint64(s.Loads[0]), uint64(s.Loads[1]), uint64(s.Loads[2])},
		Totalram: uint64(s.Totalram), Freeram: uint64(s.Freeram), Sharedram: uint64(s.Sharedram),
		Bufferram: uint64(s.Bufferram), Totalswap: uint64(s.Totalswap), Freeswap: uint64(s.Freeswap), Procs: s.Procs,
		Totalhigh: uint64(s.Totalhigh), Freehigh: uint64(s.Freehigh), Unit: s.Unit}
}

// Set counts in larger units, up to pages, when bytes do not fit.
func (s *Sysinfo32) Set(v Sysinfo) bool {
	shift := 0
	if v.Totalram>>32 != 0 || v.Totalswap>>32 != 0 {
		for ; v.Unit < 4096; v.Unit <<= 1 {
			shift++
		}
	}
	u := func(n uint64) uint32 { return uint32(n >> shift) }
	*s = Sysinfo32{Uptime: int32(v.Uptime), Loads: [3]uint32{uint32(v.Loads[0]), uint32(v.Loads[1]), uint32(v.Loads[2])},
		Totalram: u(v.Totalram), Freeram: u(v.Freeram), Sharedram: u(v.Sharedram), Bufferram: u(v.Bufferram),
		Totalswap: u(v.Totalswap), Freeswap: u(v.Freeswap), Procs: v.Procs, Totalhigh: u(v.Totalhigh),
		Freehigh: u(v.Freehigh), Unit: v.Unit}
	return true
}

func (m *Msghdr32) Get() Msghdr {
	return Msghdr{Name: uint64(m.Name), Namelen: m.Namelen, Iov: uint64(m.Iov), Iovlen: uint64(m.Iovlen),
		Control: uint64(m.Control), Controllen: uint64(m.Controllen), Flags: m.Flags}
}

func (m *Msghdr32) Set(v Msghdr) bool {
	*m = Msghdr32{uint32(v.Name), v.Namelen, uint32(v.Iov), uint32(v.Iovlen), uint32(v.Control), uint32(v.Controllen), v.Flags}
	return true
}

func (m *Mmsghdr32) Get() Mmsghdr { return Mmsghdr{Hdr: m.Hdr.Get(), Len: m.Len} }
func (m *Mmsghdr32) Set(v Mmsghdr) bool {
	m.Len = v.Len
	return m.Hdr.Set(v.Hdr)
}

func (r *RobustListHead32) Get() RobustListHead {
	return RobustListHead{uint64(r.List), int64(r.FutexOffset), uint64(r.ListOpPending)}
}
func (r *RobustListHead32) Set(v RobustListHead) bool {
	*r = RobustListHead32{uint32(v.List), int32(v.FutexOffset), uint32(v.ListOpPending)}
	return true
}

func (s *Sigaction32) Get() Sigaction {
	return Sigaction{uint64(s.Handler), uint64(s.Flags), uint64(s.Restorer), uint64(s.Mask.Int64())}
}
func (s *Sigaction32) Set(v Sigaction) bool {
	*s = Sigaction32{uint32(v.Handler), uint32(v.Flags), uint32(v.Restorer), MakeInt64x32(int64(v.Mask))}
	return true
}

func (s *OldSigaction32) Get() Sigaction {
	return Sigaction{uint64(s.Handler), uint64(s.Flags), uint64(s.Restorer), uint64(s.Mask)}
}
func (s *OldSigaction32) Set(v Sigaction) bool {
	*s = OldSigaction32{uint32(v.Handler), uint32(v.Mask), uint32(v.Flags), uint32(v.Restorer)}
	return true
}

func (s *StackT32) Get() StackT {
	return StackT{Sp: uint64(s.Sp), Flags: s.Flags, Size: uint64(s.Size)}
}
func (s *StackT32) Set(v StackT) bool {
	*s = StackT32{uint32(v.Sp), v.Flags, uint32(v.Size)}
	return true
}

func (s *MqAttr32) Get() MqAttr {
	return MqAttr{Flags: int64(s.Flags), Maxmsg: int64(s.Maxmsg), Msgsize: int64(s.Msgsize), Curmsgs: int64(s.Curmsgs)}
}
func (s *MqAttr32) Set(v MqAttr) bool {
	*s = MqAttr32{Flags: int32(v.Flags), Maxmsg: int32(v.Maxmsg), Msgsize: int32(v.Msgsize), Curmsgs: int32(v.Curmsgs)}
	return true
}

func (s *Sigevent32) Get() Sigevent {
	return Sigevent{Value: uint64(s.Value), Signo: s.Signo, Notify: s.Notify, TID: s.TID}
}
func (s *Sigevent32) Set(v Sigevent) bool {
	*s = Sigevent32{Value: uint32(v.Value), Signo: v.Signo, Notify: v.Notify, TID: v.TID}
	return true
}

func (s *Siginfo32) Get() Siginfo { return s.To64() }
func (s *Siginfo32) Set(v Siginfo) bool {
	*s = v.To32()
	return true
}
