// Package eventfd has the counters of eventfd(2).
//
// Contract: guarded by the kernel lock.
package eventfd

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Counter serves an eventfd.
type Counter struct {
	n         uint64
	semaphore bool
	q         wait.Queue
}

// New returns a description of a counter that begins at n. flags are EFD_*
// as eventfd2 takes them: EINVAL for unknown ones.
func New(n uint32, flags int) (*vfs.File, error) {
	if flags&^(unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) != 0 {
		return nil, unix.EINVAL
	}
	c := &Counter{n: uint64(n), semaphore: flags&unix.EFD_SEMAPHORE != 0}
	return vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:[eventfd]"), c, unix.O_RDWR|flags&unix.EFD_NONBLOCK), nil
}

// Release implements vfs.Impl.
func (c *Counter) Release(vfs.Context) {}

// Read implements vfs.Reader: the counter, or 1 of a semaphore, as 8 bytes.
func (c *Counter) Read(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	if len(b) < 8 {
		return 0, unix.EINVAL
	}
	if c.n == 0 {
		if f.NonBlocking() {
			return 0, unix.EAGAIN
		}
		if err := c.q.Until(ctx, wait.Readable, 0, func() bool { return c.n > 0 }); err != nil {
			return 0, err
		}
	}
	n := c.n
	if c.semaphore {
		n = 1
	}
	c.n -= n
	c.q.Wake(wait.Out)
	binary.NativeEndian.PutUint64(b, n)
	return 8, nil
}

// Write implements vfs.Writer: it adds 8 bytes' worth, waiting while the
// counter would reach its greatest value, which nobody can write (EINVAL).
func (c *Counter) Write(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	if len(b) < 8 {
		return 0, unix.EINVAL
	}
	n := binary.NativeEndian.Uint64(b)
	if n == math.MaxUint64 {
		return 0, unix.EINVAL
	}
	if n >= math.MaxUint64-c.n {
		if f.NonBlocking() {
			return 0, unix.EAGAIN
		}
		if err := c.q.Until(ctx, wait.Writable, 0, func() bool { return n < math.MaxUint64-c.n }); err != nil {
			return 0, err
		}
	}
	c.n += n
	c.q.Wake(wait.In)
	return 8, nil
}

// Signal adds n as the kernel does on its own account (aio): it never waits,
// and an overflow stays at the greatest value, which polls as POLLERR.
func (c *Counter) Signal(n uint64) {
	if n > math.MaxUint64-c.n {
		n = math.MaxUint64 - c.n
	}
	c.n += n
	ev := wait.In
	if c.n == math.MaxUint64 {
		ev |= wait.Err
	}
	c.q.Wake(ev)
}

// Poll implements vfs.Poller.
func (c *Counter) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	var ev wait.Events
	if c.n > 0 {
		ev |= wait.In
	}
	if c.n == math.MaxUint64 {
		ev |= wait.Err
	}
	if c.n < math.MaxUint64-1 {
		ev |= wait.Out
	}
	return ev, &c.q
}

// FDInfo implements vfs.FDInfoer.
func (c *Counter) FDInfo(*vfs.File) string {
	semaphore := 0
	if c.semaphore {
		semaphore = 1
	}
	return fmt.Sprintf("eventfd-count: %16x\neventfd-semaphore: %d\n", c.n, semaphore)
}
