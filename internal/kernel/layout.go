package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// A struct that the two tables of calls lay out differently has one form in
// the kernel, that of x86-64. A handler that takes one has the layout as a
// type parameter, and reads and writes the form by load and store; the tables
// say which layout it is: sysNanosleep[unix.Timespec], sysNanosleep[abi.Timespec32].

// layout is what the i386 layout of a V can do: package abi has them.
type layout[V any] interface {
	Get() V
	Set(V) (fits bool) // false: some field does not hold its value
}

// load reads a V that lies in the guest as a T: as it is, or in another layout.
func load[V, T any](t *Task, p Ptr[T]) (v V, err error) {
	w, err := p.In(t)
	if err == nil {
		v = get[V](&w)
	}
	return v, err
}

// loadSlice reads n of them.
func loadSlice[V, T any](t *Task, p Ptr[T], n int) ([]V, error) {
	w, err := p.Slice(t, n)
	if err != nil {
		return nil, err
	}
	if v, ok := any(w).([]V); ok {
		return v, nil
	}
	v := make([]V, n)
	for i := range w {
		v[i] = get[V](&w[i])
	}
	return v, nil
}

// store writes v as a T. EOVERFLOW if it does not fit.
func store[V, T any](t *Task, p Ptr[T], v V) error {
	if w, ok := any(&v).(*T); ok {
		return p.Out(t, w)
	}
	var w T
	if !any(&w).(layout[V]).Set(v) {
		return unix.EOVERFLOW
	}
	return p.Out(t, &w)
}

// storePut is store; a nil pointer asks for nothing.
func storePut[V, T any](t *Task, p Ptr[T], v V) error {
	if p == 0 {
		return nil
	}
	return store(t, p, v)
}

func get[V, T any](w *T) V {
	if v, ok := any(w).(*V); ok {
		return *v
	}
	return any(w).(layout[V]).Get()
}

// convert is v as a T.
func convert[V, T any](v V) (w T) {
	if t, ok := any(&v).(*T); ok {
		return *t
	}
	any(&w).(layout[V]).Set(v)
	return w
}

// siginfoUnion is where in a siginfo the part begins that depends on the
// signal.
func siginfoUnion[I siginfos]() uint64 {
	if _, ok := any((*I)(nil)).(*abi.Siginfo32); ok {
		return 12
	}
	return 16
}

// The layouts that there are of each form.
type (
	timespecs interface {
		unix.Timespec | abi.Timespec32 | abi.Timespec64x32
	}
	timevals    interface{ unix.Timeval | abi.Timeval32 }
	itimerspecs interface {
		unix.ItimerSpec | abi.Itimerspec32 | abi.Itimerspec64x32
	}
	itimervals interface {
		unix.Itimerval | abi.Itimerval32
	}
	timexes  interface{ unix.Timex | abi.Timex32 }
	utimbufs interface{ unix.Utimbuf | abi.Utimbuf32 }
	tmss     interface{ unix.Tms | abi.Tms32 }
	rusages  interface{ unix.Rusage | abi.Rusage32 }
	rlimits  interface {
		unix.Rlimit | abi.Rlimit32 | abi.OldRlimit32
	}
	sysinfos interface{ abi.Sysinfo | abi.Sysinfo32 }
	stats    interface {
		unix.Stat_t | abi.Stat32 | abi.Stat64x32 | abi.OldStat32
	}
	statfss interface {
		unix.Statfs_t | abi.Statfs32 | abi.Statfs64x32
	}
	ustats interface{ abi.Ustat | abi.Ustat32 }
	flocks interface {
		unix.Flock_t | abi.Flock32 | abi.Flock64x32
	}
	iovecs     interface{ abi.Iovec | abi.Iovec32 }
	msghdrs    interface{ abi.Msghdr | abi.Msghdr32 }
	mmsghdrs   interface{ abi.Mmsghdr | abi.Mmsghdr32 }
	sigsetArgs interface{ [2]uint64 | abi.SigsetArg32 }
	sigactions interface {
		abi.Sigaction | abi.Sigaction32 | abi.OldSigaction32
	}
	siginfos    interface{ abi.Siginfo | abi.Siginfo32 }
	sigevents   interface{ abi.Sigevent | abi.Sigevent32 }
	stackTs     interface{ abi.StackT | abi.StackT32 }
	robustHeads interface {
		abi.RobustListHead | abi.RobustListHead32
	}
	shmids interface {
		abi.ShmidDS | abi.ShmidDS32 | abi.OldShmidDS32
	}
	shmLimits interface {
		abi.Shminfo | abi.Shminfo32 | abi.OldShminfo32
	}
	shmUses interface{ abi.ShmInfo | abi.ShmInfo32 }
	semids  interface {
		abi.SemidDS | abi.SemidDS32 | abi.OldSemidDS32
	}
	msqids interface {
		abi.MsqidDS | abi.MsqidDS32 | abi.OldMsqidDS32
	}
	mqAttrs interface{ abi.MqAttr | abi.MqAttr32 }
	words   interface{ uint64 | uint32 } // unsigned long
	offsets interface{ int64 | int32 }   // long, off_t
)

// Type parameters cannot tell that a layout has its conversions: they are
// checked here.
var (
	_ = []layout[unix.Timespec]{(*abi.Timespec32)(nil), (*abi.Timespec64x32)(nil)}
	_ = []layout[unix.Timeval]{(*abi.Timeval32)(nil)}
	_ = []layout[unix.ItimerSpec]{(*abi.Itimerspec32)(nil), (*abi.Itimerspec64x32)(nil)}
	_ = []layout[unix.Itimerval]{(*abi.Itimerval32)(nil)}
	_ = []layout[unix.Timex]{(*abi.Timex32)(nil)}
	_ = []layout[unix.Utimbuf]{(*abi.Utimbuf32)(nil)}
	_ = []layout[unix.Tms]{(*abi.Tms32)(nil)}
	_ = []layout[unix.Rusage]{(*abi.Rusage32)(nil)}
	_ = []layout[unix.Rlimit]{(*abi.Rlimit32)(nil), (*abi.OldRlimit32)(nil)}
	_ = []layout[abi.Sysinfo]{(*abi.Sysinfo32)(nil)}
	_ = []layout[unix.Stat_t]{(*abi.Stat32)(nil), (*abi.Stat64x32)(nil), (*abi.OldStat32)(nil)}
	_ = []layout[unix.Statfs_t]{(*abi.Statfs32)(nil), (*abi.Statfs64x32)(nil)}
	_ = []layout[abi.Ustat]{(*abi.Ustat32)(nil)}
	_ = []layout[unix.Flock_t]{(*abi.Flock32)(nil), (*abi.Flock64x32)(nil)}
	_ = []layout[abi.Iovec]{(*abi.Iovec32)(nil)}
	_ = []layout[abi.Msghdr]{(*abi.Msghdr32)(nil)}
	_ = []layout[abi.Mmsghdr]{(*abi.Mmsghdr32)(nil)}
	_ = []layout[[2]uint64]{(*abi.SigsetArg32)(nil)}
	_ = []layout[abi.Sigaction]{(*abi.Sigaction32)(nil), (*abi.OldSigaction32)(nil)}
	_ = []layout[abi.Siginfo]{(*abi.Siginfo32)(nil)}
	_ = []layout[abi.Sigevent]{(*abi.Sigevent32)(nil)}
	_ = []layout[abi.StackT]{(*abi.StackT32)(nil)}
	_ = []layout[abi.RobustListHead]{(*abi.RobustListHead32)(nil)}
	_ = []layout[abi.ShmidDS]{(*abi.ShmidDS32)(nil), (*abi.OldShmidDS32)(nil)}
	_ = []layout[abi.Shminfo]{(*abi.Shminfo32)(nil), (*abi.OldShminfo32)(nil)}
	_ = []layout[abi.ShmInfo]{(*abi.ShmInfo32)(nil)}
	_ = []layout[abi.SemidDS]{(*abi.SemidDS32)(nil), (*abi.OldSemidDS32)(nil)}
	_ = []layout[abi.MqAttr]{(*abi.MqAttr32)(nil)}
	_ = []layout[abi.MsqidDS]{(*abi.MsqidDS32)(nil), (*abi.OldMsqidDS32)(nil)}
)
