package vfs

import (
	"math"
	"slices"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// File locks: flock(2), and the record locks of fcntl(2), POSIX and OFD. All
// are advisory. A POSIX lock belongs to a descriptor table (a process) and
// goes when that closes any descriptor of the file; the others belong to a
// description and go with it.

// maxLocks bounds the record locks on one file: ENOLCK beyond.
const maxLocks = 1 << 14

// locks are an inode's. q is woken when one goes or shrinks.
type locks struct {
	records []record // of one owner they do not overlap; sorted by start
	flocks  []flock
	q       wait.Queue
}

// record is a lock on the bytes start to end, both included.
type record struct {
	owner      any // *FDTable, or *File for an OFD lock
	pid        int32
	write      bool
	start, end int64
}

type flock struct {
	file  *File
	write bool
}

// lockWait is a record lock that a table waits for.
type lockWait struct {
	on   *locks
	want record
}

func (f *File) locks() (*locks, error) {
	if f.extra == nil {
		return nil, unix.ENOLCK
	}
	if f.extra.locks == nil {
		f.extra.locks = &locks{}
	}
	return f.extra.locks, nil
}

// conflict returns a lock that keeps want from being granted, or nil.
func (l *locks) conflict(want *record) *record {
	for i := range l.records {
		r := &l.records[i]
		if r.owner != want.owner && (r.write || want.write) && r.start <= want.end && want.start <= r.end {
			return r
		}
	}
	return nil
}

// set replaces what the owner has in the range by want, or by nothing.
func (l *locks) set(want record, unlock bool) error {
	var out []record
	for _, r := range l.records {
		if r.owner != want.owner {
			out = append(out, r)
			continue
		}
		if !unlock && r.write == want.write {
			// Joined with what it overlaps or touches.
			touches := r.start <= want.end || r.start == want.end+1
			touches = touches && (want.start <= r.end || want.start == r.end+1)
			if touches {
				want.start, want.end = min(want.start, r.start), max(want.end, r.end)
				continue
			}
		}
		if r.end < want.start || want.end < r.start {
			out = append(out, r)
			continue
		}
		if r.start < want.start {
			left := r
			left.end = want.start - 1
			out = append(out, left)
		}
		if r.end > want.end {
			right := r
			right.start = want.end + 1
			out = append(out, right)
		}
	}
	if !unlock {
		out = append(out, want)
	}
	if len(out) > maxLocks && len(out) > len(l.records) {
		return unix.ENOLCK
	}
	slices.SortStableFunc(out, func(a, b record) int {
		switch {
		case a.start < b.start:
			return -1
		case a.start > b.start:
			return 1
		}
		return 0
	})
	l.records = out
	l.q.Wake(wait.All)
	return nil
}

// lockRange turns the struct of fcntl(2) into first and last byte.
func (f *File) lockRange(ctx Context, l *unix.Flock_t) (start, end int64, err error) {
	switch l.Whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		start = f.Pos
	case unix.SEEK_END:
		a, err := f.Inode.Attr(ctx)
		if err != nil {
			return 0, 0, err
		}
		start = a.Size
	default:
		return 0, 0, unix.EINVAL
	}
	if l.Start > 0 && start > math.MaxInt64-l.Start {
		return 0, 0, unix.EOVERFLOW
	}
	start += l.Start
	if start < 0 {
		return 0, 0, unix.EINVAL
	}
	switch {
	case l.Len > 0:
		if l.Len-1 > math.MaxInt64-start {
			return 0, 0, unix.EOVERFLOW
		}
		return start, start + l.Len - 1, nil
	case l.Len < 0:
		if start+l.Len < 0 {
			return 0, 0, unix.EINVAL
		}
		return start + l.Len, start - 1, nil
	}
	return start, math.MaxInt64, nil
}

// recordOf makes the record that l asks for. ofd has the description own it.
func (t *FDTable) recordOf(ctx Context, f *File, l *unix.Flock_t, ofd bool) (record, error) {
	start, end, err := f.lockRange(ctx, l)
	r := record{owner: t, pid: int32(ctx.PID()), write: l.Type == unix.F_WRLCK, start: start, end: end}
	if ofd {
		if err == nil && l.Pid != 0 {
			err = unix.EINVAL
		}
		r.owner, r.pid = f, -1
	}
	return r, err
}

// SetLock is fcntl(2) F_SETLK and F_OFD_SETLK, and with wait F_SETLKW and
// F_OFD_SETLKW. EAGAIN when it is taken, EDEADLK when waiting would never
// end. The call restarts after a signal.
func (t *FDTable) SetLock(ctx Context, f *File, l *unix.Flock_t, ofd, wait bool) error {
	want, err := t.recordOf(ctx, f, l, ofd)
	if err != nil {
		return err
	}
	switch l.Type {
	case unix.F_RDLCK:
		if !f.CanRead() {
			return unix.EBADF
		}
	case unix.F_WRLCK:
		if !f.CanWrite() {
			return unix.EBADF
		}
	case unix.F_UNLCK:
		if f.extra == nil || f.extra.locks == nil {
			return nil
		}
		return f.extra.locks.set(want, true)
	default:
		return unix.EINVAL
	}
	on, err := f.locks()
	if err != nil {
		return err
	}
	if on.conflict(&want) != nil {
		if !wait {
			return unix.EAGAIN
		}
		if err := t.waitLock(ctx, on, want); err != nil {
			return err
		}
	}
	return on.set(want, false)
}

// waitLock waits until want is free.
func (t *FDTable) waitLock(ctx Context, on *locks, want record) error {
	w := &lockWait{on, want}
	if want.owner == any(t) {
		if t.waitsFor(t, w, nil) {
			return unix.EDEADLK
		}
		t.waits = append(t.waits, w)
		defer func() {
			i := slices.Index(t.waits, w)
			t.waits = slices.Delete(t.waits, i, i+1)
		}()
	}
	return on.q.Until(ctx, wait.All, 0, func() bool { return on.conflict(&want) == nil })
}

// waitsFor reports whether what keeps w waiting waits, in the end, for self.
func (t *FDTable) waitsFor(self *FDTable, w *lockWait, seen []*FDTable) bool {
	for i := range w.on.records {
		r := &w.on.records[i]
		if r.owner == w.want.owner || !r.write && !w.want.write || r.start > w.want.end || w.want.start > r.end {
			continue
		}
		o, ok := r.owner.(*FDTable)
		if !ok || slices.Contains(seen, o) {
			continue
		}
		if o == self {
			return true
		}
		seen = append(seen, o)
		for _, next := range o.waits {
			if o.waitsFor(self, next, seen) {
				return true
			}
		}
	}
	return false
}

// GetLock is fcntl(2) F_GETLK and F_OFD_GETLK: l becomes a lock that would be
// in the way, or of type F_UNLCK.
func (t *FDTable) GetLock(ctx Context, f *File, l *unix.Flock_t, ofd bool) error {
	if l.Type != unix.F_RDLCK && l.Type != unix.F_WRLCK {
		return unix.EINVAL
	}
	want, err := t.recordOf(ctx, f, l, ofd)
	if err != nil {
		return err
	}
	var r *record
	if f.extra != nil && f.extra.locks != nil {
		r = f.extra.locks.conflict(&want)
	}
	if r == nil {
		l.Type = unix.F_UNLCK
		return nil
	}
	*l = unix.Flock_t{Type: unix.F_RDLCK, Whence: unix.SEEK_SET, Start: r.start, Pid: r.pid}
	if r.write {
		l.Type = unix.F_WRLCK
	}
	if r.end != math.MaxInt64 {
		l.Len = r.end - r.start + 1
	}
	return nil
}

// Flock is flock(2). Changing a lock's kind lets go of it first, as on Linux.
func (f *File) Flock(ctx Context, how int) error {
	nonblock := how&unix.LOCK_NB != 0
	how &^= unix.LOCK_NB
	if how != unix.LOCK_SH && how != unix.LOCK_EX && how != unix.LOCK_UN {
		return unix.EINVAL
	}
	if f.IsPath() {
		return unix.EBADF
	}
	l, err := f.locks()
	if err != nil {
		return err
	}
	write := how == unix.LOCK_EX
	for i := range l.flocks {
		if l.flocks[i].file != f {
			continue
		}
		if how != unix.LOCK_UN && l.flocks[i].write == write {
			return nil
		}
		l.flocks = slices.Delete(l.flocks, i, i+1)
		l.q.Wake(wait.All)
		break
	}
	if how == unix.LOCK_UN {
		return nil
	}
	free := func() bool {
		for _, o := range l.flocks {
			if o.file != f && (o.write || write) {
				return false
			}
		}
		return true
	}
	if !free() {
		if nonblock {
			return unix.EAGAIN
		}
		if err := l.q.Until(ctx, wait.All, 0, free); err != nil {
			return err
		}
	}
	// Another thread may have locked through the same description meanwhile.
	l.flocks = slices.DeleteFunc(l.flocks, func(o flock) bool { return o.file == f })
	l.flocks = append(l.flocks, flock{f, write})
	return nil
}

// releaseOwner drops the record locks of an owner.
func (ex *Extra) releaseOwner(owner any) {
	l := ex.locks
	n := len(l.records)
	l.records = slices.DeleteFunc(l.records, func(r record) bool { return r.owner == owner })
	if len(l.records) != n {
		l.q.Wake(wait.All)
	}
}

// releaseFile drops the locks of a description that ends.
func (ex *Extra) releaseFile(f *File) {
	l := ex.locks
	if l == nil {
		return
	}
	ex.releaseOwner(f)
	n := len(l.flocks)
	l.flocks = slices.DeleteFunc(l.flocks, func(o flock) bool { return o.file == f })
	if len(l.flocks) != n {
		l.q.Wake(wait.All)
	}
}
