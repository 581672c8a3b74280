package kernel

import (
	"time"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
)

// A visit is the embedding program's use of the guests' files: an ordinary
// goroutine plays a task of init's, with all capabilities. Where it waits, it
// waits for a channel.

// Visit runs f, with the kernel locked, as such a task at the root of the
// guests' tree. ErrClosed when the machine is closed; one that is being closed
// ends the visit's waits.
func (k *Kernel) Visit(f func(ctx vfs.Context, at vfs.At) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return ErrClosed
	}
	k.stopped.Add(1)
	defer k.stopped.Done()
	root := k.ns.Root()
	t := &Task{k: k, cpu: k.cpus[0], p: k.init, tid: 1, cred: NewCred(0, 0, nil), comm: "sysemu",
		fs: &fsInfo{root: root, cwd: root.Ref(), refs: 1}, state: dead, visitor: make(chan struct{}, 1)}
	defer func() {
		t.fs.release()
		t.state = dead
	}()
	err := f(t, vfs.At{Root: root, Dir: root})
	if k.closing && err != nil {
		err = ErrClosed
	}
	return err
}

// Keep has f, which a visit leaves open, given back with the machine at the
// latest. Forget is to be called when it is given back before.
func (k *Kernel) Keep(f *vfs.File) {
	if k.kept == nil {
		k.kept = make(map[*vfs.File]struct{})
	}
	k.kept[f] = struct{}{}
}

// Forget gives back what was kept.
func (k *Kernel) Forget(ctx vfs.Context, f *vfs.File) {
	if _, ok := k.kept[f]; ok {
		delete(k.kept, f)
		f.Unref(ctx)
	}
}

// forgetAll gives back all that was kept; the order does not matter to anybody.
func (k *Kernel) forgetAll() {
	for f := range k.kept {
		k.Forget(k.boot, f)
	}
}

// sleepVisiting is sleep for a visit.
func (t *Task) sleepVisiting(kind sleepKind, deadline int64) error {
	var late <-chan time.Time
	if deadline != 0 {
		left := deadline - t.k.clock.Monotonic()
		if left <= 0 {
			return wait.ErrTimedOut
		}
		timer := time.NewTimer(time.Duration(left))
		defer timer.Stop()
		late = timer.C
	}
	quit := t.k.quit
	if kind == uninterruptible {
		quit = nil
	}
	t.k.mu.Unlock()
	var err error
	select {
	case <-t.visitor:
	case <-late:
		err = wait.ErrTimedOut
	case <-quit:
		err = wait.ErrInterrupted
	}
	t.k.mu.Lock()
	if t.woken {
		t.woken, err = false, nil
	}
	return err
}

// wakeVisiting is Wakeup for a visit.
func (t *Task) wakeVisiting() {
	select {
	case t.visitor <- struct{}{}:
	default:
	}
}
