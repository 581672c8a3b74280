package kernel

import (
	"math"
	"unsafe"

	"github.com/sysemu/sysemu/internal/epoll"
	"github.com/sysemu/sysemu/internal/poll"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"poll":          r3(sysPoll),
		"ppoll":         r5(sysPpoll[unix.Timespec]),
		"select":        r5(sysSelect[uint64, unix.Timeval]),
		"pselect6":      r6(sysPselect6[uint64, unix.Timespec, [2]uint64]),
		"epoll_create":  r1(sysEpollCreate),
		"epoll_create1": r1(sysEpollCreate1),
		"epoll_ctl":     e4(sysEpollCtl),
		"epoll_wait":    r4(sysEpollWait),
		"epoll_pwait":   r6(sysEpollPwait),
		"epoll_pwait2":  r6(sysEpollPwait2[unix.Timespec]),
	})
}

type pollFD struct {
	FD      int32
	Events  int16
	Revents int16
}

// poll waits for descriptors and writes back what is there.
func (t *Task) poll(p Ptr[pollFD], n uint32, deadline int64) (int, error) {
	if uint64(n) > t.p.limits[unix.RLIMIT_NOFILE].Cur {
		return 0, unix.EINVAL
	}
	fds, err := p.Slice(t, int(n))
	if err != nil {
		return 0, err
	}
	var small [8]poll.Item
	items := small[:0]
	for _, fd := range fds {
		var it poll.Item
		if fd.FD >= 0 {
			if f, err := t.files.Get(int(fd.FD)); err == nil {
				it.File, it.Want = f, wait.Events(uint16(fd.Events))
			} else {
				it.Got = unix.POLLNVAL
			}
		}
		items = append(items, it)
	}
	ready, err := poll.Wait(t, items, deadline)
	for i := range items {
		fds[i].Revents = int16(items[i].Got)
		if items[i].File != nil {
			items[i].File.Unref(t)
		}
	}
	if err != nil {
		return 0, err
	}
	return ready, t.CopyOut(uint64(p), sliceBytes(fds))
}

// msDeadline is a deadline a number of ms from now as package poll has it:
// 0 = none, below 0 = do not wait.
func (t *Task) msDeadline(ms int32) int64 {
	switch {
	case ms < 0:
		return 0
	case ms == 0:
		return -1
	}
	return t.k.clock.Monotonic() + int64(ms)*1e6
}

// tsDeadline is the same for a timespec that may be absent.
func tsDeadline[T timespecs](t *Task, p Ptr[T]) (int64, error) {
	if p == 0 {
		return 0, nil
	}
	ts, err := load[unix.Timespec](t, p)
	if err != nil {
		return 0, err
	}
	if !validTimespec(ts) {
		return 0, unix.EINVAL
	}
	if ts.Sec == 0 && ts.Nsec == 0 {
		return -1, nil
	}
	return t.deadlineIn(ts), nil
}

func sysPoll(t *Task, p Ptr[pollFD], n uint32, ms int32) (int, error) {
	return t.pollRestart(p, n, t.msDeadline(ms))
}

func (t *Task) pollRestart(p Ptr[pollFD], n uint32, deadline int64) (int, error) {
	got, err := t.poll(p, n, deadline)
	if err == wait.ErrInterruptedNoHand {
		err = t.restartBy(func(t *Task) (uint64, error) {
			n, err := t.pollRestart(p, n, deadline)
			return uint64(n), err
		})
	}
	return got, err
}

// withMask runs f with another signal mask; size is that of the set.
func (t *Task) withMask(set Ptr[sigset], size uint64, f func() (int, error)) (int, error) {
	if set == 0 {
		return f()
	}
	if size != 8 {
		return 0, unix.EINVAL
	}
	s, err := set.In(t)
	if err != nil {
		return 0, err
	}
	old := t.sigmask
	t.swapMask(s)
	n, err := f()
	if _, ok := err.(*wait.Interrupted); !ok && err != unix.EINTR {
		// No signal ended it: the mask goes back before any is delivered.
		t.hasOld = false
		t.setMask(old)
	}
	return n, err
}

// leftover writes back how much of a timeout is left, as Linux does.
func leftover[T timespecs](t *Task, p Ptr[T], deadline int64) {
	if p == 0 || deadline == 0 || t.attrs.personality&0x4000000 != 0 { // STICKY_TIMEOUTS
		return
	}
	left := int64(0)
	if deadline > 0 {
		left = max(deadline-t.k.clock.Monotonic(), 0)
	}
	storePut(t, p, unix.NsecToTimespec(left))
}

func sysPpoll[T timespecs](t *Task, p Ptr[pollFD], n uint32, timeout Ptr[T], set Ptr[sigset], size uint64) (int, error) {
	deadline, err := tsDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	got, err := t.withMask(set, size, func() (int, error) { return t.poll(p, n, deadline) })
	leftover(t, timeout, deadline)
	return got, err
}

// tableSize is how large Linux's table is for n descriptors: select looks at
// what is in it, open or not.
func tableSize(n int) int {
	size := 64
	for size < n {
		size = max(256, 2*size)
	}
	return size
}

// fdSet is a bit map of descriptors.
type fdSet []byte

func (s fdSet) has(fd int) bool { return s != nil && s[fd/8]>>(fd%8)&1 != 0 }
func (s fdSet) set(fd int)      { s[fd/8] |= 1 << (fd % 8) }

// selectFDs serves select and pselect. The sets are whole words long.
func selectFDs[W words](t *Task, n int32, in, out, exc Ptr[W], deadline int64) (int, error) {
	if n < 0 {
		return 0, unix.EINVAL
	}
	n = int32(min(int(n), tableSize(t.files.Len())))
	word := int(unsafe.Sizeof(W(0)))
	size := (int(n) + 8*word - 1) / (8 * word) * word
	var sets [3]fdSet
	for i, p := range []Ptr[W]{in, out, exc} {
		if p != 0 {
			sets[i] = make(fdSet, size)
			if err := t.CopyIn(uint64(p), sets[i]); err != nil {
				return 0, err
			}
		}
	}
	const (
		readable = wait.Readable | wait.RdBand | wait.Hup | wait.Err
		writable = wait.Writable | wait.WrBand | wait.Err
		urgent   = wait.Pri
	)
	masks := [3]wait.Events{readable, writable, urgent}
	var items []poll.Item
	var fds []int
	defer func() {
		for i := range items {
			items[i].File.Unref(t)
		}
	}()
	for fd := range int(n) {
		var want wait.Events
		for i := range sets {
			if sets[i].has(fd) {
				want |= masks[i]
			}
		}
		if want == 0 {
			continue
		}
		f, err := t.files.Get(fd)
		if err != nil {
			return 0, unix.EBADF
		}
		items = append(items, poll.Item{File: f, Want: want})
		fds = append(fds, fd)
	}
	for {
		_, err := poll.Wait(t, items, deadline)
		if err != nil {
			return 0, err
		}
		count := 0
		var res [3]fdSet
		for i := range res {
			if sets[i] != nil {
				res[i] = make(fdSet, size)
			}
		}
		for j, fd := range fds {
			for i := range sets {
				if sets[i].has(fd) && items[j].Got&masks[i] != 0 {
					res[i].set(fd)
					count++
				}
			}
		}
		if count == 0 && deadline >= 0 && (deadline == 0 || t.k.clock.Monotonic() < deadline) {
			if len(items) > 0 && anyReady(items) {
				// Only an event that this set does not ask for (an error
				// beside the exceptional set): wait on without it.
				for j := range items {
					if items[j].Got != 0 {
						items[j].File.Unref(t)
						items[j] = items[len(items)-1]
						items = items[:len(items)-1]
						fds[j] = fds[len(fds)-1]
						fds = fds[:len(fds)-1]
						break
					}
				}
				continue
			}
			continue
		}
		for i, p := range []Ptr[W]{in, out, exc} {
			if p != 0 {
				if err := t.CopyOut(uint64(p), res[i]); err != nil {
					return 0, err
				}
			}
		}
		return count, nil
	}
}

func anyReady(items []poll.Item) bool {
	for i := range items {
		if items[i].Got != 0 {
			return true
		}
	}
	return false
}

func sysSelect[W words, T timevals](t *Task, n int32, in, out, exc Ptr[W], timeout Ptr[T]) (int, error) {
	var deadline int64
	if timeout != 0 {
		tv, err := load[unix.Timeval](t, timeout)
		if err != nil {
			return 0, err
		}
		if tv.Sec < 0 || tv.Usec < 0 {
			return 0, unix.EINVAL
		}
		ns := int64(math.MaxInt64)
		if tv.Sec < math.MaxInt64/2_000_000_000 && tv.Usec < math.MaxInt64/4000 {
			ns = tv.Sec*1e9 + tv.Usec*1000
		}
		if deadline = addSaturated(t.k.clock.Monotonic(), ns); ns == 0 {
			deadline = -1
		}
	}
	got, err := selectFDs(t, n, in, out, exc, deadline)
	if timeout != 0 && deadline != 0 {
		left := int64(0)
		if deadline > 0 {
			left = max(deadline-t.k.clock.Monotonic(), 0)
		}
		storePut(t, timeout, unix.NsecToTimeval(left))
	}
	return got, err
}

func sysPselect6[W words, T timespecs, S sigsetArgs](t *Task, n int32, in, out, exc Ptr[W], timeout Ptr[T], sig Ptr[S]) (int, error) {
	deadline, err := tsDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	var set [2]uint64
	if sig != 0 {
		if set, err = load[[2]uint64](t, sig); err != nil {
			return 0, err
		}
	}
	got, err := t.withMask(Ptr[sigset](set[0]), set[1], func() (int, error) { return selectFDs(t, n, in, out, exc, deadline) })
	leftover(t, timeout, deadline)
	return got, err
}

func sysEpollCreate(t *Task, size int32) (int, error) {
	if size <= 0 {
		return 0, unix.EINVAL
	}
	return t.installFile(epoll.New(), false)
}

func sysEpollCreate1(t *Task, flags int32) (int, error) {
	if flags&^unix.EPOLL_CLOEXEC != 0 {
		return 0, unix.EINVAL
	}
	return t.installFile(epoll.New(), flags != 0)
}

// epollFile returns the description and instance of an epoll descriptor.
func (t *Task) epollFile(fd FD) (*vfs.File, *epoll.Epoll, error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return nil, nil, err
	}
	ep, err := epoll.Of(f)
	if err != nil {
		f.Unref(t)
		return nil, nil, err
	}
	return f, ep, nil
}

func sysEpollCtl(t *Task, epfd FD, op int32, fd FD, ev Ptr[unix.EpollEvent]) error {
	var e unix.EpollEvent
	if op != unix.EPOLL_CTL_DEL {
		var err error
		if e, err = ev.In(t); err != nil {
			return err
		}
	}
	epf, err := t.files.Get(int(epfd))
	if err != nil {
		return err
	}
	defer epf.Unref(t)
	return t.withFile(fd, func(f *vfs.File) error {
		if _, ok := f.Impl.(vfs.Poller); !ok {
			return unix.EPERM
		}
		ep, err := epoll.Of(epf)
		if err != nil {
			return err
		}
		return ep.Ctl(t, int(op), f, int(fd), epoll.Event{Events: e.Events, Data: uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32})
	})
}

const maxEpollEvents = math.MaxInt32 / 12

func (t *Task) epollWait(epfd FD, events Addr, n int32, deadline int64) (int, error) {
	if n <= 0 || n > maxEpollEvents {
		return 0, unix.EINVAL
	}
	f, ep, err := t.epollFile(epfd)
	if err != nil {
		return 0, err
	}
	defer f.Unref(t)
	var small [16]epoll.Event
	out := small[:]
	if int(n) > len(out) {
		out = make([]epoll.Event, min(int(n), max(ep.Len(), len(out))))
	}
	out = out[:min(int(n), len(out))]
	got, err := ep.Wait(t, out, deadline)
	if err != nil || got == 0 {
		return 0, err
	}
	raw := make([]unix.EpollEvent, got)
	for i, e := range out[:got] {
		raw[i] = unix.EpollEvent{Events: e.Events, Fd: int32(e.Data), Pad: int32(e.Data >> 32)}
	}
	return got, t.CopyOut(uint64(events), sliceBytes(raw))
}

func sysEpollWait(t *Task, epfd FD, events Addr, n, ms int32) (int, error) {
	return t.epollWait(epfd, events, n, t.msDeadline(ms))
}

func sysEpollPwait(t *Task, epfd FD, events Addr, n, ms int32, set Ptr[sigset], size uint64) (int, error) {
	deadline := t.msDeadline(ms)
	return t.withMask(set, size, func() (int, error) { return t.epollWait(epfd, events, n, deadline) })
}

func sysEpollPwait2[T timespecs](t *Task, epfd FD, events Addr, n int32, timeout Ptr[T], set Ptr[sigset], size uint64) (int, error) {
	deadline, err := tsDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	return t.withMask(set, size, func() (int, error) { return t.epollWait(epfd, events, n, deadline) })
}
