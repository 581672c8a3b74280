package vfs

import "golang.org/x/sys/unix"

// FDTable maps descriptors to open file descriptions, for one process or for
// several that share it (CLONE_FILES). It is also who owns POSIX record locks.
type FDTable struct {
	slots []fdSlot
	free  int // no slot below it is free
	refs  int
	waits []*lockWait // for record locks, to find deadlocks
}

type fdSlot struct {
	file    *File
	cloexec bool
}

// NewFDTable returns an empty table with one reference.
func NewFDTable() *FDTable { return &FDTable{refs: 1} }

// Ref takes a reference, for a task that shares the table.
func (t *FDTable) Ref() *FDTable {
	t.refs++
	return t
}

// Shared reports whether more than one task uses the table.
func (t *FDTable) Shared() bool { return t.refs > 1 }

// Unref gives a reference back; the last one closes all descriptors.
func (t *FDTable) Unref(ctx Context) {
	t.refs--
	if t.refs > 0 {
		return
	}
	for fd := range t.slots {
		t.Close(ctx, fd)
	}
	t.slots = nil
}

// Clone returns a copy with one reference, as fork makes it.
func (t *FDTable) Clone() *FDTable {
	n := len(t.slots)
	for n > 0 && t.slots[n-1].file == nil {
		n--
	}
	c := &FDTable{slots: make([]fdSlot, n), free: min(t.free, n), refs: 1}
	copy(c.slots, t.slots)
	for _, s := range c.slots {
		if s.file != nil {
			s.file.refs++
		}
	}
	return c
}

// Len is one more than the highest descriptor ever open.
func (t *FDTable) Len() int { return len(t.slots) }

// Peek returns the description of fd without a reference, nil if fd is not
// open: for what cannot wait. O_PATH descriptions are returned too.
func (t *FDTable) Peek(fd int) *File {
	if uint(fd) >= uint(len(t.slots)) {
		return nil
	}
	return t.slots[fd].file
}

// Get returns the description of fd, referenced; EBADF when there is none or
// it is of O_PATH.
func (t *FDTable) Get(fd int) (*File, error) {
	f := t.Peek(fd)
	if f == nil || f.IsPath() {
		return nil, unix.EBADF
	}
	return f.Ref(), nil
}

// GetPath is Get that takes O_PATH too: for the calls that allow it (fstat,
// fchdir, dirfd arguments, dup ...).
func (t *FDTable) GetPath(fd int) (*File, error) {
	f := t.Peek(fd)
	if f == nil {
		return nil, unix.EBADF
	}
	return f.Ref(), nil
}

// Install gives f the lowest free descriptor that is at least from, and takes
// over the caller's reference. limit is RLIMIT_NOFILE: EMFILE, and the
// reference stays with the caller.
func (t *FDTable) Install(f *File, from, limit int, cloexec bool) (int, error) {
	fd := max(from, t.free)
	for fd < len(t.slots) && t.slots[fd].file != nil {
		fd++
	}
	if fd >= limit {
		return -1, unix.EMFILE
	}
	t.grow(fd)
	t.slots[fd] = fdSlot{f, cloexec}
	if from <= t.free {
		t.free = fd + 1
	}
	return fd, nil
}

// grow makes slot fd exist.
func (t *FDTable) grow(fd int) {
	if fd < len(t.slots) {
		return
	}
	if fd < cap(t.slots) {
		t.slots = t.slots[:fd+1]
		return
	}
	s := make([]fdSlot, fd+1, max(2*cap(t.slots), fd+1, 16))
	copy(s, t.slots)
	t.slots = s
}

// Dup is dup(2), and fcntl(2) F_DUPFD: the lowest free descriptor from on.
func (t *FDTable) Dup(ctx Context, fd, from, limit int, cloexec bool) (int, error) {
	f := t.Peek(fd)
	if f == nil {
		return -1, unix.EBADF
	}
	if from < 0 || from >= limit {
		return -1, unix.EINVAL
	}
	n, err := t.Install(f.Ref(), from, limit, cloexec)
	if err != nil {
		f.Unref(ctx)
	}
	return n, err
}

// Dup3 makes to a copy of fd, closing what it was: dup3(2), where the two
// must differ (EINVAL).
func (t *FDTable) Dup3(ctx Context, fd, to, limit int, cloexec bool) (int, error) {
	if fd == to {
		return -1, unix.EINVAL
	}
	f := t.Peek(fd)
	if f == nil || to < 0 || to >= limit {
		return -1, unix.EBADF
	}
	t.Set(ctx, f.Ref(), to, cloexec)
	return to, nil
}

// Dup2 is dup2(2): as Dup3, but nothing is done when the two are the same.
func (t *FDTable) Dup2(ctx Context, fd, to, limit int) (int, error) {
	if fd == to {
		if t.Peek(fd) == nil {
			return -1, unix.EBADF
		}
		return fd, nil
	}
	return t.Dup3(ctx, fd, to, limit, false)
}

// Set puts f at descriptor fd, which the caller has checked against the
// limit, closing what was there. It takes over the caller's reference.
func (t *FDTable) Set(ctx Context, f *File, fd int, cloexec bool) {
	t.grow(fd)
	old := t.slots[fd].file
	t.slots[fd] = fdSlot{f, cloexec}
	if old != nil {
		t.closed(ctx, old)
	}
}

// Close is close(2): it returns the file's Flush error, the descriptor being
// closed all the same.
func (t *FDTable) Close(ctx Context, fd int) error {
	f := t.Peek(fd)
	if f == nil {
		return unix.EBADF
	}
	t.slots[fd] = fdSlot{}
	t.free = min(t.free, fd)
	return t.closed(ctx, f)
}

// closed lets go of a description that a descriptor pointed to.
func (t *FDTable) closed(ctx Context, f *File) error {
	var err error
	if f.extra != nil && f.extra.locks != nil {
		f.extra.releaseOwner(t)
	}
	if fl, ok := f.Impl.(Flusher); ok {
		err = fl.Flush(ctx, f)
	}
	f.Unref(ctx)
	return err
}

// CloseRange is close_range(2), without CLOSE_RANGE_UNSHARE: with
// CLOSE_RANGE_CLOEXEC the descriptors are only marked.
func (t *FDTable) CloseRange(ctx Context, first, last uint32, flags int) error {
	if first > last {
		return unix.EINVAL
	}
	for fd := int(first); fd < len(t.slots) && fd <= int(last); fd++ {
		switch {
		case t.slots[fd].file == nil:
		case flags&unix.CLOSE_RANGE_CLOEXEC != 0:
			t.slots[fd].cloexec = true
		default:
			t.Close(ctx, fd)
		}
	}
	return nil
}

// CloseOnExec closes the descriptors that are marked so.
func (t *FDTable) CloseOnExec(ctx Context) {
	for fd := range t.slots {
		if t.slots[fd].cloexec {
			t.Close(ctx, fd)
		}
	}
}

// Cloexec tells the close-on-exec mark, F_GETFD.
func (t *FDTable) Cloexec(fd int) (bool, error) {
	if t.Peek(fd) == nil {
		return false, unix.EBADF
	}
	return t.slots[fd].cloexec, nil
}

// SetCloexec sets it, F_SETFD.
func (t *FDTable) SetCloexec(fd int, on bool) error {
	if t.Peek(fd) == nil {
		return unix.EBADF
	}
	t.slots[fd].cloexec = on
	return nil
}

// Next returns the lowest open descriptor from fd on, -1 if there is none:
// for /proc/PID/fd.
func (t *FDTable) Next(fd int) int {
	for fd = max(fd, 0); fd < len(t.slots); fd++ {
		if t.slots[fd].file != nil {
			return fd
		}
	}
	return -1
}
