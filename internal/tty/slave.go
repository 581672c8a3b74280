package tty

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Slave serves an open file of a terminal, /dev/pts/N.
type Slave struct {
	t       *TTY
	hangups int // the terminal's when it was opened
}

// TTYOf returns the terminal that f is the slave or the master of, or nil.
func TTYOf(f *vfs.File) *TTY {
	switch i := f.Impl.(type) {
	case *Slave:
		return i.t
	case *Master:
		return i.t
	}
	return nil
}

func (s *Slave) dead() bool { return s.hangups != s.t.hangups }

// Release implements vfs.Impl.
func (s *Slave) Release(vfs.Context) { s.t.closeSlave() }

// Read implements vfs.Reader: a line at most, or bytes by VMIN and VTIME,
// termios(3). 0 is the end: ^D, a hang-up, or the time of VTIME.
func (s *Slave) Read(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (n int, err error) {
	t := s.t
	if s.dead() {
		return 0, nil
	}
	if err := t.mayChange(ctx, unix.SIGTTIN); err != nil {
		return 0, err
	}
	// What is typed ahead of the bytes that are taken now may have waited.
	defer func() {
		t.feed()
		t.tell()
		if n > 0 {
			t.node.accessed(ctx)
		}
	}()
	min, tenths, deadline := 0, int64(0), int64(0)
	atOnce := false
	if !t.canonical() {
		min, tenths = int(t.termios.Cc[unix.VMIN]), int64(t.termios.Cc[unix.VTIME])
		if min == 0 {
			// VTIME is for the first byte, else it is between bytes.
			min, atOnce = 1, tenths == 0
			deadline, tenths = after(ctx, tenths), 0
		}
	}
	for n < len(b) {
		if !t.available(1) {
			t.want(wantNow)
			if s.dead() || atOnce {
				return n, nil
			}
			if f.NonBlocking() {
				err = unix.EAGAIN
			} else {
				err = t.slaves.Until(ctx, wait.Readable, deadline, func() bool { return t.available(1) || s.dead() })
			}
			switch {
			case err == wait.ErrTimedOut, err != nil && n > 0:
				return n, nil
			case err != nil:
				return 0, err
			}
			continue
		}
		if t.canonical() {
			return n + t.takeLine(b[n:]), nil
		}
		n += t.takeBytes(b[n:])
		t.feed()
		if n >= min {
			break
		}
		if tenths > 0 {
			deadline = after(ctx, tenths)
		}
	}
	return n, nil
}

// after is the time that many tenths of a second from now, 0 for none.
func after(t wait.Task, tenths int64) int64 {
	if tenths == 0 {
		return 0
	}
	return t.Now() + tenths*1e8
}

// Write implements vfs.Writer. EIO after a hang-up.
func (s *Slave) Write(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	t := s.t
	if s.dead() {
		return 0, unix.EIO
	}
	if t.local(unix.TOSTOP) {
		if err := t.mayChange(ctx, unix.SIGTTOU); err != nil {
			return 0, err
		}
	}
	t.flushEcho()
	n := 0
	for {
		n += t.print(b[n:])
		t.tell()
		if n == len(b) {
			break
		}
		t.roomWanted = true
		var err error
		if f.NonBlocking() {
			err = unix.EAGAIN
		} else {
			err = t.slaves.Until(ctx, wait.Writable, 0, func() bool { return t.writable() || s.dead() })
		}
		if err == nil && s.dead() {
			err = unix.EIO
		}
		if err != nil {
			if n == 0 {
				return 0, err
			}
			break
		}
	}
	if n > 0 {
		t.node.modified(ctx)
	}
	return n, nil
}

// Poll implements vfs.Poller.
func (s *Slave) Poll(_ vfs.Context, f *vfs.File) (wait.Events, *wait.Queue) {
	t := s.t
	if s.dead() {
		return wait.Readable | wait.Writable | wait.Err | wait.Hup, &t.slaves
	}
	var ev wait.Events
	if t.available(t.pollMin()) {
		ev |= wait.Readable
	} else if f.CanRead() {
		t.want(wantPoll)
	}
	if t.writable() {
		ev |= wait.Writable
	}
	return ev, &t.slaves
}

// Async implements vfs.Async.
func (s *Slave) Async(*vfs.File) (*wait.Queue, wait.Events) {
	return &s.t.slavesAsync, wait.In | wait.Out
}

// Ioctl implements vfs.Ioctler.
func (s *Slave) Ioctl(ctx vfs.Context, f *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	if s.dead() {
		if cmd == unix.TIOCSPGRP {
			return 0, unix.ENOTTY
		}
		return 0, unix.EIO
	}
	c := call{t: s.t, ctx: ctx, f: f, arg: arg, mem: mem}
	return c.serve(cmd)
}
