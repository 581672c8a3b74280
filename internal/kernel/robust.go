package kernel

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// robustList is a thread's list of robust futexes, get_robust_list(2): those
// it holds when it ends are marked, so that others find out. A program has one
// in the layout of each table, as it may use both.
type robustList[H robustHeads, W words] struct{ head uint64 }

func robust64(t *Task) *robustList[abi.RobustListHead, uint64]   { return &t.robust64 }
func robust32(t *Task) *robustList[abi.RobustListHead32, uint32] { return &t.robust32 }

func setRobustList[H robustHeads, W words](of func(*Task) *robustList[H, W]) func(*Task, Ptr[H], W) error {
	return func(t *Task, head Ptr[H], size W) error {
		var h H
		if uintptr(size) != unsafe.Sizeof(h) {
			return unix.EINVAL
		}
		of(t).head = uint64(head)
		return nil
	}
}

func getRobustList[H robustHeads, W words](of func(*Task) *robustList[H, W]) func(*Task, int32, Ptr[W], Ptr[W]) error {
	return func(t *Task, tid int32, head, size Ptr[W]) error {
		o := t
		if tid != 0 {
			if o = t.k.pids.tasks[int(tid)]; o == nil {
				return unix.ESRCH
			}
		}
		if !t.mayTrace(o.p) {
			return unix.EPERM
		}
		var h H
		if err := size.Put(t, W(unsafe.Sizeof(h))); err != nil {
			return err
		}
		return head.Put(t, W(of(o).head))
	}
}

// maxRobust bounds the walk of a list that a program may have made circular.
const maxRobust = abi.ROBUST_LIST_LIMIT

// end marks what is on the list of a thread that ends. Bit 0 of an entry's
// address says that it is a PI futex.
func (l *robustList[H, W]) end(t *Task) {
	head := l.head
	if head == 0 {
		return
	}
	l.head = 0
	h, err := load[abi.RobustListHead](t, Ptr[H](head))
	if err != nil {
		return
	}
	futex := func(entry uint64) uint64 { return uint64(W(entry&^1 + uint64(h.FutexOffset))) }
	pending := h.ListOpPending
	entry := h.List
	for n := 0; entry&^1 != head && n < maxRobust; n++ {
		next, err := Ptr[W](entry &^ 1).In(t)
		if entry&^1 != pending&^1 {
			t.markDead(futex(entry), entry&1 != 0, false)
		}
		if err != nil {
			return
		}
		entry = uint64(next)
	}
	if pending != 0 {
		t.markDead(futex(pending), pending&1 != 0, true)
	}
}

// markDead says in a futex that its owner has died, and wakes a waiter.
func (t *Task) markDead(addr uint64, pi, pending bool) {
	if addr%4 != 0 {
		return
	}
	for {
		v, err := t.futexRead(addr)
		if err != nil {
			return
		}
		if int(v&futexTIDMask) != t.tid {
			if pending && !pi && v&futexTIDMask == 0 {
				// Died between unlocking and waking.
				t.wakeAt(addr)
			}
			return
		}
		if pi {
			if key, err := t.futexKey(addr, false); err == nil && t.k.futexes.piWaiters(key) {
				t.futexHandOver(addr, key, futexOwnerDied)
				return
			}
			if key, err := t.futexKey(addr, true); err == nil && t.k.futexes.piWaiters(key) {
				t.futexHandOver(addr, key, futexOwnerDied)
				return
			}
		}
		was, err := t.futexCAS(addr, v, v&futexWaiters|futexOwnerDied)
		if err != nil {
			return
		}
		if was != v {
			continue
		}
		if v&futexWaiters != 0 && !pi {
			t.wakeAt(addr)
		}
		return
	}
}

// wakeAt wakes one sleeper on the futex at addr, private or shared.
func (t *Task) wakeAt(addr uint64) {
	for _, private := range []bool{false, true} {
		if key, err := t.futexKey(addr, private); err == nil && t.k.futexes.wake(key, 1, ^uint32(0)) > 0 {
			return
		}
	}
}
