// Package poll waits for one of several open file descriptions to become
// ready: poll(2), ppoll(2), select(2) and pselect(2).
package poll

import (
	"sync"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
)

// Item is one description to wait for.
type Item struct {
	// File is nil for an entry that is to be skipped: then Got stays as it
	// is, and counts if it is not 0 (POLLNVAL).
	File *vfs.File
	// Want has the events waited for; Err and Hup always are.
	Want wait.Events
	// Got has the events that are there, set by Wait.
	Got wait.Events
}

// Always is what a file without readiness is.
const Always = wait.Readable | wait.Writable

// Wait sleeps until an item is ready and returns how many are. 0 is the
// deadline passed (monotonic ns; 0 = none, below 0 = do not wait). A signal is
// wait.ErrInterruptedNoHand, right for select and ppoll; poll(2) itself goes on
// with the time that is left (wait.RestartBlock).
func Wait(ctx vfs.Context, items []Item, deadline int64) (int, error) {
	if n := scan(ctx, items, nil); n > 0 || deadline < 0 {
		return n, nil
	}
	s := sets.Get().(*set)
	defer s.done()
	s.task = ctx
	s.grow(len(items))
	// Nothing is missed between the two scans: the kernel lock is held.
	scan(ctx, items, s)
	for {
		err := ctx.Sleep(deadline)
		if n := scan(ctx, items, nil); n > 0 {
			return n, nil
		}
		switch err {
		case nil:
		case wait.ErrTimedOut:
			return 0, nil
		case wait.ErrInterrupted:
			return 0, wait.ErrInterruptedNoHand
		default:
			return 0, err
		}
	}
}

// Check returns what of want f is ready for now.
func Check(ctx vfs.Context, f *vfs.File, want wait.Events) wait.Events {
	got := Always
	if p, ok := f.Impl.(vfs.Poller); ok {
		got, _ = p.Poll(ctx, f)
	}
	return got & (want | wait.Err | wait.Hup)
}

// scan looks at all items and counts the ready ones; with s it queues for
// each.
func scan(ctx vfs.Context, items []Item, s *set) int {
	n := 0
	for i := range items {
		it := &items[i]
		if it.File != nil {
			got, q := Always, (*wait.Queue)(nil)
			if p, ok := it.File.Impl.(vfs.Poller); ok {
				got, q = p.Poll(ctx, it.File)
			}
			it.Got = got & (it.Want | wait.Err | wait.Hup)
			if s != nil && q != nil {
				q.Add(s.entries[i], it.Want)
			}
		}
		if it.Got != 0 {
			n++
		}
	}
	return n
}

// set is the entries of one sleeper, kept for the next.
type set struct {
	task    wait.Task
	entries []*wait.Entry
}

// keep is how many entries an idle set may have.
const keep = 64

var sets = sync.Pool{New: func() any { return new(set) }}

func (s *set) grow(n int) {
	more := n - len(s.entries)
	if more <= 0 {
		return
	}
	notify := func(*wait.Entry, wait.Events) bool {
		s.task.Wakeup()
		return true
	}
	block := make([]wait.Entry, more)
	for i := range block {
		block[i].Notify = notify
		s.entries = append(s.entries, &block[i])
	}
}

func (s *set) done() {
	for _, e := range s.entries {
		e.Remove()
	}
	s.task = nil
	if len(s.entries) <= keep {
		sets.Put(s)
	}
}
