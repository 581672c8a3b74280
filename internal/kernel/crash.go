package kernel

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Journal implements vfs.Journaled.
func (t *Task) Journal() *vfs.Journal { return t.k.journal }

var _ vfs.Journaled = (*Task)(nil)

// Crash undoes what has been written to regular files and is not synced, and
// kills the calling process by SIGKILL. Other processes go on. EOPNOTSUPP: the
// kernel keeps no journal. What could not be undone is reported.
func (c *Call) Crash() error {
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer leave()
	t := c.Task
	if t.k.journal == nil {
		return unix.EOPNOTSUPP
	}
	if err := t.k.journal.Undo(t); err != nil {
		t.k.report("sysemu: a crash did not undo all that was written: %v", err)
	}
	t.p.kill(int(unix.SIGKILL))
	return nil
}
