package kernel

import (
	"maps"
	"slices"

	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"futex":           r6(sysFutex[unix.Timespec]),
		"set_robust_list": e2(setRobustList(robust64)),
		"get_robust_list": e3(getRobustList(robust64)),
		"futex_waitv":     r5(sysFutexWaitv[unix.Timespec]),
	})
}

// Operations of futex(2).
const (
	futexWait          = 0
	futexWake          = 1
	futexRequeue       = 3
	futexCmpRequeue    = 4
	futexWakeOp        = 5
	futexLockPI        = 6
	futexUnlockPI      = 7
	futexTrylockPI     = 8
	futexWaitBitset    = 9
	futexWakeBitset    = 10
	futexWaitRequeuePI = 11
	futexCmpRequeuePI  = 12
	futexLockPI2       = 13

	futexPrivate  = 128
	futexRealtime = 256

	futexWaiters   = 0x80000000
	futexOwnerDied = 0x40000000
	futexTIDMask   = 0x3fffffff
)

// futexWaiter is a task that sleeps on a futex, or will own a PI futex.
type futexWaiter struct {
	t      *Task
	key    mm.Key
	bitset uint32
	queued bool
	woken  bool
	pi     bool    // waits to be given a PI futex
	target *mm.Key // FUTEX_WAIT_REQUEUE_PI: where it expects to be moved
	addr   uint64  // of the PI futex
	index  int     // of futex_waitv
}

// futexTable holds all sleepers, by what they sleep on.
type futexTable map[mm.Key][]*futexWaiter

func (ft futexTable) add(w *futexWaiter) {
	w.queued = true
	ft[w.key] = append(ft[w.key], w)
}

func (ft futexTable) remove(w *futexWaiter) {
	if !w.queued {
		return
	}
	w.queued = false
	l := ft[w.key]
	for i, o := range l {
		if o == w {
			l = append(l[:i], l[i+1:]...)
			break
		}
	}
	if len(l) == 0 {
		delete(ft, w.key)
	} else {
		ft[w.key] = l
	}
}

// wake wakes up to n sleepers whose bitset meets bits.
func (ft futexTable) wake(key mm.Key, n int, bits uint32) int {
	woken := 0
	for _, w := range append([]*futexWaiter(nil), ft[key]...) {
		if woken >= n {
			break
		}
		if w.bitset&bits == 0 || w.forPI() {
			continue
		}
		ft.remove(w)
		w.woken = true
		w.t.Wakeup()
		woken++
	}
	return woken
}

// forPI reports whether the sleeper waits for a PI futex, now or when it is
// requeued: a plain wake is not for it.
func (w *futexWaiter) forPI() bool { return w.pi || w.target != nil }

// wakeChecked is wake for a call, which mistakes of the kind are told to.
func (ft futexTable) wakeChecked(key mm.Key, n int, bits uint32) (int, error) {
	if n > 0 {
		for i, w := range ft[key] {
			if i >= n {
				break
			}
			if w.forPI() {
				return 0, unix.EINVAL
			}
		}
	}
	return ft.wake(key, n, bits), nil
}

// futexKey says what the futex at addr is.
func (t *Task) futexKey(addr uint64, private bool) (mm.Key, error) {
	if addr%4 != 0 {
		return mm.Key{}, unix.EINVAL
	}
	if addr >= mm.Top {
		return mm.Key{}, unix.EFAULT
	}
	if !private {
		// What is shared must be there to be known, and what is the
		// process's alone and never changes is not waited for.
		v := t.mm.Find(addr)
		if v == nil || v.Prot&unix.PROT_READ == 0 || v.Prot&unix.PROT_WRITE == 0 && !v.Shared && v.File == nil {
			return mm.Key{}, unix.EFAULT
		}
	}
	return t.mm.FutexKey(addr, private), nil
}

func (t *Task) futexRead(addr uint64) (uint32, error) {
	return Ptr[uint32](addr).In(t)
}

// futexCAS compares and swaps a futex word, atomically also for threads that
// run on other CPUs meanwhile. It returns what was there.
func (t *Task) futexCAS(addr uint64, old, new uint32) (uint32, error) {
	if t.mm.Accessible(addr, 4, true) != 4 {
		return 0, unix.EFAULT
	}
	v, err := t.th.CompareAndSwap(addr, old, new)
	switch {
	case err != nil:
		return 0, unix.EFAULT
	case v == old:
		t.casMisses = 0
	default:
		// A thread that does nothing but change the word would keep us, and
		// the kernel lock, for ever.
		if t.casMisses++; t.casMisses >= maxCASMisses {
			t.casMisses = 0
			return 0, unix.EAGAIN
		}
	}
	return v, nil
}

const maxCASMisses = 64

func sysFutex[T timespecs](t *Task, addr Addr, op int32, val uint32, timeout Ptr[T], addr2 Addr, val3 uint32) (int, error) {
	private := op&futexPrivate != 0
	cmd := op &^ (futexPrivate | futexRealtime)
	if op&futexRealtime != 0 && cmd != futexWaitBitset && cmd != futexWaitRequeuePI && cmd != futexLockPI2 {
		return 0, unix.ENOSYS
	}
	var deadline int64
	switch cmd {
	case futexWait, futexWaitBitset, futexLockPI, futexLockPI2, futexWaitRequeuePI:
		if timeout != 0 {
			ts, err := load[unix.Timespec](t, timeout)
			if err != nil {
				return 0, err
			}
			if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
				return 0, unix.EINVAL
			}
			switch {
			case cmd == futexWait:
				deadline = t.deadlineIn(ts)
			case op&futexRealtime != 0 || cmd == futexLockPI:
				deadline = t.realtimeDeadline(ts)
			default:
				deadline = t.monotonicDeadline(ts)
			}
		}
	}
	key, err := t.futexKey(uint64(addr), private)
	if err != nil {
		return 0, err
	}
	ft := t.k.futexes
	switch cmd {
	case futexWait:
		return 0, t.futexWait(uint64(addr), key, val, ^uint32(0), deadline)
	case futexWaitBitset:
		if val3 == 0 {
			return 0, unix.EINVAL
		}
		return 0, t.futexWait(uint64(addr), key, val, val3, deadline)
	case futexWake:
		return ft.wakeChecked(key, max(int(int32(val)), 1), ^uint32(0))
	case futexWakeBitset:
		if val3 == 0 {
			return 0, unix.EINVAL
		}
		return ft.wakeChecked(key, max(int(int32(val)), 1), val3)
	case futexRequeue, futexCmpRequeue:
		key2, err := t.futexKey(uint64(addr2), private)
		if err != nil {
			return 0, err
		}
		if int32(val) < 0 || int32(timeout) < 0 {
			return 0, unix.EINVAL
		}
		if cmd == futexCmpRequeue {
			v, err := t.futexRead(uint64(addr))
			if err != nil {
				return 0, err
			}
			if v != val3 {
				return 0, unix.EAGAIN
			}
		}
		n, err := ft.wakeChecked(key, int(val), ^uint32(0))
		if err != nil {
			return 0, err
		}
		moved := 0
		for _, w := range append([]*futexWaiter(nil), ft[key]...) {
			if moved >= int(int32(timeout)) {
				break
			}
			if w.forPI() {
				return 0, unix.EINVAL
			}
			if key == key2 {
				moved++
				continue
			}
			ft.remove(w)
			w.key = key2
			ft.add(w)
			moved++
		}
		return n + moved, nil
	case futexWakeOp:
		return t.futexWakeOp(uint64(addr2), key, int(int32(val)), int(int32(timeout)), val3, private)
	case futexLockPI, futexLockPI2:
		return 0, t.futexLockPI(uint64(addr), key, deadline, false)
	case futexTrylockPI:
		return 0, t.futexLockPI(uint64(addr), key, 0, true)
	case futexUnlockPI:
		return 0, t.futexUnlockPI(uint64(addr), key)
	case futexWaitRequeuePI:
		return 0, t.futexWaitRequeuePI(uint64(addr), key, val, deadline, uint64(addr2), private)
	case futexCmpRequeuePI:
		return t.futexCmpRequeuePI(uint64(addr), key, int(val), int(int32(timeout)), uint64(addr2), val3, private)
	}
	return 0, unix.ENOSYS
}

func (t *Task) futexWait(addr uint64, key mm.Key, val, bitset uint32, deadline int64) error {
	v, err := t.futexRead(addr)
	if err != nil {
		return err
	}
	if v != val {
		return unix.EAGAIN
	}
	w := &futexWaiter{t: t, key: key, bitset: bitset}
	t.k.futexes.add(w)
	// A thread on another CPU may have changed the word after it was read,
	// and called before we were queued: it will not have found us. Its call
	// needs the lock that we hold, so the word as it is now decides.
	for !w.woken {
		if err := t.Sleep(deadline); err != nil {
			t.k.futexes.remove(w)
			if w.woken {
				return nil
			}
			if err == wait.ErrTimedOut {
				return unix.ETIMEDOUT
			}
			if deadline == 0 {
				return err
			}
			return t.restartFutex(addr, key, val, bitset, deadline)
		}
	}
	return nil
}

// restartFutex makes an interrupted wait go on with the same deadline.
func (t *Task) restartFutex(addr uint64, key mm.Key, val, bitset uint32, deadline int64) error {
	return t.restartBy(func(t *Task) (uint64, error) { return 0, t.futexWait(addr, key, val, bitset, deadline) })
}

// futexWakeOp serves FUTEX_WAKE_OP: change the word at addr2, wake sleepers on
// the first futex and, if the old value compares, on the second.
func (t *Task) futexWakeOp(addr2 uint64, key mm.Key, n, n2 int, enc uint32, private bool) (int, error) {
	key2, err := t.futexKey(addr2, private)
	if err != nil {
		return 0, err
	}
	op, cmp := enc>>28&0xf, enc>>24&0xf
	oparg, cmparg := int32(enc<<8)>>20, int32(enc<<20)>>20
	if op&8 != 0 {
		if oparg < 0 || oparg > 31 {
			oparg &= 31
		}
		oparg = 1 << oparg
	}
	var old uint32
	for {
		if old, err = t.futexRead(addr2); err != nil {
			return 0, err
		}
		var v uint32
		switch op & 7 {
		case 0:
			v = uint32(oparg)
		case 1:
			v = old + uint32(oparg)
		case 2:
			v = old | uint32(oparg)
		case 3:
			v = old &^ uint32(oparg)
		case 4:
			v = old ^ uint32(oparg)
		default:
			return 0, unix.ENOSYS
		}
		got, err := t.futexCAS(addr2, old, v)
		if err != nil {
			return 0, err
		}
		if got == old {
			break
		}
	}
	hit := false
	o := int32(old)
	switch cmp {
	case 0:
		hit = o == cmparg
	case 1:
		hit = o != cmparg
	case 2:
		hit = o < cmparg
	case 3:
		hit = o <= cmparg
	case 4:
		hit = o > cmparg
	case 5:
		hit = o >= cmparg
	default:
		return 0, unix.ENOSYS
	}
	woken, err := t.k.futexes.wakeChecked(key, max(n, 1), ^uint32(0))
	if err == nil && hit {
		var more int
		more, err = t.k.futexes.wakeChecked(key2, max(n2, 1), ^uint32(0))
		woken += more
	}
	return woken, err
}

// piWaiters reports whether someone else waits to own the futex.
func (ft futexTable) piWaiters(key mm.Key) bool {
	for _, w := range ft[key] {
		if w.pi {
			return true
		}
	}
	return false
}

// futexTryPI takes a PI futex that is free. owner is who has it otherwise.
func (t *Task) futexTryPI(addr uint64, key mm.Key, tid int) (got bool, owner uint32, err error) {
	for {
		v, err := t.futexRead(addr)
		if err != nil {
			return false, 0, err
		}
		if v&futexTIDMask != 0 {
			return false, v & futexTIDMask, nil
		}
		n := uint32(tid) | v&futexOwnerDied
		if t.k.futexes.piWaiters(key) {
			n |= futexWaiters
		}
		was, err := t.futexCAS(addr, v, n)
		if err != nil {
			return false, 0, err
		}
		if was == v {
			return true, 0, nil
		}
	}
}

// futexLockPI serves FUTEX_LOCK_PI and FUTEX_TRYLOCK_PI. Ownership is handed
// over in order of arrival; there are no priorities to inherit.
func (t *Task) futexLockPI(addr uint64, key mm.Key, deadline int64, try bool) error {
	got, owner, err := t.futexTryPI(addr, key, t.tid)
	if err != nil || got {
		return err
	}
	if int(owner) == t.tid {
		return unix.EDEADLK
	}
	if o := t.k.pids.tasks[int(owner)]; o == nil || o.exited {
		return unix.ESRCH
	}
	if try {
		return unix.EAGAIN
	}
	if err := t.futexMarkWaiters(addr); err != nil {
		return err
	}
	w := &futexWaiter{t: t, key: key, bitset: ^uint32(0), pi: true, addr: addr}
	t.k.futexes.add(w)
	return t.futexSleepPI(w, deadline)
}

// futexSleepPI waits until the futex has been given to w.
func (t *Task) futexSleepPI(w *futexWaiter, deadline int64) error {
	for !w.woken {
		if err := t.Sleep(deadline); err != nil && !w.woken {
			t.k.futexes.remove(w)
			if err == wait.ErrTimedOut {
				return unix.ETIMEDOUT
			}
			return &wait.Interrupted{Kind: wait.RestartNoInt}
		}
	}
	return nil
}

// futexMarkWaiters sets FUTEX_WAITERS, so that the owner's unlock comes by the
// kernel.
func (t *Task) futexMarkWaiters(addr uint64) error {
	for {
		v, err := t.futexRead(addr)
		if err != nil {
			return err
		}
		if v&futexWaiters != 0 {
			return nil
		}
		was, err := t.futexCAS(addr, v, v|futexWaiters)
		if err != nil {
			return err
		}
		if was == v {
			return nil
		}
	}
}

func (t *Task) futexUnlockPI(addr uint64, key mm.Key) error {
	v, err := t.futexRead(addr)
	if err != nil {
		return err
	}
	if int(v&futexTIDMask) != t.tid {
		return unix.EPERM
	}
	return t.futexHandOver(addr, key, 0)
}

// futexHandOver gives a PI futex to the first that waits for it, or frees it.
func (t *Task) futexHandOver(addr uint64, key mm.Key, flags uint32) error {
	ft := t.k.futexes
	var next *futexWaiter
	more := false
	for _, w := range ft[key] {
		if !w.pi {
			continue
		}
		if next == nil {
			next = w
		} else {
			more = true
			break
		}
	}
	n := flags
	if next != nil {
		n |= uint32(next.t.tid)
		if more {
			n |= futexWaiters
		}
	}
	for {
		v, err := t.futexRead(addr)
		if err != nil {
			return err
		}
		was, err := t.futexCAS(addr, v, n)
		if err != nil {
			return err
		}
		if was == v {
			break
		}
	}
	if next != nil {
		ft.remove(next)
		next.woken = true
		next.t.Wakeup()
	}
	return nil
}

func (t *Task) futexWaitRequeuePI(addr uint64, key mm.Key, val uint32, deadline int64, addr2 uint64, private bool) error {
	key2, err := t.futexKey(addr2, private)
	if err != nil {
		return err
	}
	if key == key2 {
		return unix.EINVAL
	}
	v, err := t.futexRead(addr)
	if err != nil {
		return err
	}
	if v != val {
		return unix.EAGAIN
	}
	w := &futexWaiter{t: t, key: key, bitset: ^uint32(0), target: &key2, addr: addr2}
	t.k.futexes.add(w)
	for !w.woken {
		if err := t.Sleep(deadline); err != nil && !w.woken {
			moved := w.pi
			t.k.futexes.remove(w)
			switch {
			case err == wait.ErrTimedOut:
				return unix.ETIMEDOUT
			case moved:
				return unix.EINTR // userspace takes the lock itself
			}
			return unix.EAGAIN // spurious, as glibc expects
		}
	}
	return nil
}

func (t *Task) futexCmpRequeuePI(addr uint64, key mm.Key, wake, requeue int, addr2 uint64, cmp uint32, private bool) (int, error) {
	key2, err := t.futexKey(addr2, private)
	if err != nil {
		return 0, err
	}
	if wake != 1 || key == key2 || requeue < 0 {
		return 0, unix.EINVAL
	}
	v, err := t.futexRead(addr)
	if err != nil {
		return 0, err
	}
	if v != cmp {
		return 0, unix.EAGAIN
	}
	ft := t.k.futexes
	done := 0
	for _, w := range append([]*futexWaiter(nil), ft[key]...) {
		if done > requeue {
			break
		}
		if w.target == nil || *w.target != key2 {
			return 0, unix.EINVAL
		}
		if done == 0 {
			// The first gets the futex at once if it is free.
			got, _, err := t.futexTryPI(addr2, key2, w.t.tid)
			if err != nil {
				return 0, err
			}
			if got {
				ft.remove(w)
				w.woken = true
				w.t.Wakeup()
				done++
				continue
			}
		}
		if err := t.futexMarkWaiters(addr2); err != nil {
			return 0, err
		}
		ft.remove(w)
		w.key, w.pi = key2, true
		ft.add(w)
		done++
	}
	return done, nil
}

// exitFutexes does what a thread's end means to others: robust futexes it
// holds are marked, and set_tid_address's word is cleared and woken.
func (t *Task) exitFutexes() {
	if t.th == nil || t.th.Dead() || t.mm == nil {
		return
	}
	t.robust64.end(t)
	t.robust32.end(t)
	t.handOverPI()
	if addr := t.clearTID; addr != 0 {
		t.clearTID = 0
		if t.mm.Users > 1 {
			Ptr[int32](addr).Put(t, 0)
			if key, err := t.futexKey(addr, false); err == nil {
				t.k.futexes.wake(key, 1, ^uint32(0))
			}
			if key, err := t.futexKey(addr, true); err == nil {
				t.k.futexes.wake(key, 1, ^uint32(0))
			}
		}
	}
}

// handOverPI gives what the task owns of PI futexes to those that wait for
// them, whether it is on a robust list or not.
func (t *Task) handOverPI() {
	var owned map[uint64]mm.Key
	for key, list := range t.k.futexes {
		for _, w := range list {
			if w.pi && w.t.mm == t.mm && w.t != t {
				if owned == nil {
					owned = map[uint64]mm.Key{}
				}
				owned[w.addr] = key
			}
		}
	}
	for _, addr := range slices.Sorted(maps.Keys(owned)) {
		if v, err := t.futexRead(addr); err == nil && int(v&futexTIDMask) == t.tid {
			t.futexHandOver(addr, owned[addr], futexOwnerDied)
		}
	}
}

// futexWaitv is struct futex_waitv.
type futexWaitv struct {
	Val, Addr   uint64
	Flags, Zero uint32
}

func sysFutexWaitv[T timespecs](t *Task, vec Ptr[futexWaitv], n, flags uint32, timeout Ptr[T], clock int32) (int, error) {
	if flags != 0 || n == 0 || n > 128 || vec == 0 {
		return 0, unix.EINVAL
	}
	var deadline int64
	if timeout != 0 {
		ts, err := load[unix.Timespec](t, timeout)
		if err != nil {
			return 0, err
		}
		switch {
		case ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9:
			return 0, unix.EINVAL
		case clock == unix.CLOCK_MONOTONIC:
			deadline = t.monotonicDeadline(ts)
		case clock == unix.CLOCK_REALTIME:
			deadline = t.realtimeDeadline(ts)
		default:
			return 0, unix.EINVAL
		}
	}
	list, err := vec.Slice(t, int(n))
	if err != nil {
		return 0, err
	}
	const size32 = 2
	ws := make([]*futexWaiter, 0, n)
	defer func() {
		for _, w := range ws {
			t.k.futexes.remove(w)
		}
	}()
	for i, v := range list {
		if v.Flags&^futexPrivate != size32 || v.Zero != 0 || v.Val>>32 != 0 {
			return 0, unix.EINVAL
		}
		key, err := t.futexKey(v.Addr, v.Flags&futexPrivate != 0)
		if err != nil {
			return 0, err
		}
		w := &futexWaiter{t: t, key: key, bitset: ^uint32(0), index: i}
		t.k.futexes.add(w)
		ws = append(ws, w)
		got, err := t.futexRead(v.Addr)
		if err != nil {
			return 0, err
		}
		if got != uint32(v.Val) {
			return 0, unix.EAGAIN
		}
	}
	for {
		for _, w := range ws {
			if w.woken {
				return w.index, nil
			}
		}
		if err := t.Sleep(deadline); err != nil {
			for _, w := range ws {
				if w.woken {
					return w.index, nil
				}
			}
			if err == wait.ErrTimedOut {
				return 0, unix.ETIMEDOUT
			}
			return 0, err
		}
	}
}
