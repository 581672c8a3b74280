package kernel

import (
	"github.com/sysemu/sysemu/internal/eventfd"
	"github.com/sysemu/sysemu/internal/timerfd"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"eventfd":         r1(func(t *Task, n uint32) (int, error) { return sysEventfd2(t, n, 0) }),
		"eventfd2":        r2(sysEventfd2),
		"timerfd_create":  r2(sysTimerfdCreate),
		"timerfd_settime": e4(sysTimerfdSettime[unix.ItimerSpec]),
		"timerfd_gettime": e2(sysTimerfdGettime[unix.ItimerSpec]),
		"signalfd": r3(func(t *Task, fd FD, set Ptr[sigset], size uint64) (int, error) {
			return sysSignalfd4(t, fd, set, size, 0)
		}),
		"signalfd4": r4(sysSignalfd4),
	})
}

func sysEventfd2(t *Task, n uint32, flags int32) (int, error) {
	f, err := eventfd.New(n, int(flags))
	if err != nil {
		return 0, err
	}
	return t.installFile(f, flags&unix.EFD_CLOEXEC != 0)
}

// timerClock is the kernel's time as package timerfd has it.
type timerClock struct{ k *Kernel }

func (c timerClock) Now(clockid int) int64 {
	if clockid == unix.CLOCK_REALTIME || clockid == unix.CLOCK_REALTIME_ALARM {
		return c.k.clock.Realtime()
	}
	return c.k.clock.Shown()
}

func (c timerClock) Monotonic() int64 { return c.k.clock.Monotonic() }

func (c timerClock) NewTimer(fire func()) timerfd.Alarm { return &alarm{c.k, newTimer(fire)} }

type alarm struct {
	k *Kernel
	t *timer
}

func (a *alarm) Set(deadline int64) { a.k.timers.set(a.t, deadline) }
func (a *alarm) Stop()              { a.k.timers.cancel(a.t) }

func sysTimerfdCreate(t *Task, clock, flags int32) (int, error) {
	f, err := t.k.timerfds.New(t, int(clock), int(flags))
	if err != nil {
		return 0, err
	}
	return t.installFile(f, flags&unix.TFD_CLOEXEC != 0)
}

func sysTimerfdSettime[T itimerspecs](t *Task, fd FD, flags int32, spec, old Ptr[T]) error {
	s, err := load[unix.ItimerSpec](t, spec)
	if err != nil {
		return err
	}
	return t.withFile(fd, func(f *vfs.File) error {
		tm, err := timerfd.Of(f)
		if err != nil {
			return err
		}
		was, err := tm.SetTime(int(flags), s)
		if err != nil {
			return err
		}
		return storePut(t, old, was)
	})
}

func sysTimerfdGettime[T itimerspecs](t *Task, fd FD, spec Ptr[T]) error {
	return t.withFile(fd, func(f *vfs.File) error {
		tm, err := timerfd.Of(f)
		if err != nil {
			return err
		}
		return store(t, spec, tm.GetTime())
	})
}

// signalFD serves a signalfd: reading takes signals that are pending for the
// reader. It is woken by signals of any process that has it open.
type signalFD struct {
	set   sigset
	queue *wait.Queue // the kernel's, for all signalfds
}

func (s *signalFD) Release(vfs.Context) {}

// Poll implements vfs.Poller.
func (s *signalFD) Poll(ctx vfs.Context, _ *vfs.File) (wait.Events, *wait.Queue) {
	t := ctx.(*Task)
	if (t.pending.set|t.p.pending.set)&s.set != 0 {
		return wait.Readable, s.queue
	}
	return 0, s.queue
}

// Read implements vfs.Reader.
func (s *signalFD) Read(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	const size = 128
	if len(p) < size {
		return 0, unix.EINVAL
	}
	t := ctx.(*Task)
	pending := func() bool { return (t.pending.set|t.p.pending.set)&s.set != 0 }
	if !pending() {
		if f.NonBlocking() {
			return 0, unix.EAGAIN
		}
		if err := s.queue.Until(t, wait.Readable, 0, pending); err != nil {
			return 0, err
		}
	}
	n := 0
	for n+size <= len(p) {
		i, ok := t.dequeue(s.set)
		if !ok {
			break
		}
		v := i.signalfd()
		n += copy(p[n:], asBytes(&v))
	}
	return n, nil
}

// signalfd is the signal as signalfd(2) tells it.
func (i *sigInfo) signalfd() unix.SignalfdSiginfo {
	v := unix.SignalfdSiginfo{Signo: uint32(i.Signo), Errno: i.Errno, Code: i.Code}
	sig := unix.Signal(i.Signo)
	switch {
	case i.Code == siTimer:
		v.Tid, v.Overrun = i.get32(0), i.get32(4)
		v.Ptr = uint64(i.get32(8)) | uint64(i.get32(12))<<32
		v.Int = int32(i.get32(8))
	case i.Code > 0 && sig == unix.SIGCHLD:
		v.Pid, v.Uid, v.Status = i.get32(0), i.get32(4), int32(i.get32(8))
		v.Utime = uint64(i.get32(16)) | uint64(i.get32(20))<<32
		v.Stime = uint64(i.get32(24)) | uint64(i.get32(28))<<32
	case i.Code > 0 && i.Code != siKernel && synchronous.has(int(sig)):
		v.Addr = uint64(i.get32(0)) | uint64(i.get32(4))<<32
	case i.Code > 0 && i.Code != siKernel:
		v.Band, v.Fd = i.get32(0), int32(i.get32(8))
	default:
		v.Pid, v.Uid = i.get32(0), i.get32(4)
		if i.Code < 0 {
			v.Ptr = uint64(i.get32(8)) | uint64(i.get32(12))<<32
			v.Int = int32(i.get32(8))
		}
	}
	return v
}

// FDInfo implements vfs.FDInfoer.
func (s *signalFD) FDInfo(*vfs.File) string { return "sigmask:\t" + hex16(uint64(s.set)) + "\n" }

func hex16(v uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[15-i] = digits[v&15]
		v >>= 4
	}
	return string(b[:])
}

func sysSignalfd4(t *Task, fd FD, set Ptr[sigset], size uint64, flags int32) (int, error) {
	if size != 8 || flags&^(unix.SFD_CLOEXEC|unix.SFD_NONBLOCK) != 0 {
		return 0, unix.EINVAL
	}
	s, err := set.In(t)
	if err != nil {
		return 0, err
	}
	s &^= unblockable
	if fd == -1 {
		impl := &signalFD{s, &t.k.signalfds}
		f := vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:[signalfd]"), impl, unix.O_RDWR|int(flags)&unix.O_NONBLOCK)
		return t.installFile(f, flags&unix.SFD_CLOEXEC != 0)
	}
	f, err := t.files.Get(int(fd))
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	impl, ok := f.Impl.(*signalFD)
	if !ok {
		return 0, unix.EINVAL
	}
	impl.set = s
	impl.queue.Wake(wait.Readable)
	return int(fd), nil
}

// wakeSignalfd tells signalfds that a signal is pending.
func (k *Kernel) wakeSignalfd(*Process) {
	if !k.signalfds.Empty() {
		k.signalfds.Wake(wait.Readable)
	}
}
