package tty

import (
	"io"
	"sync"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Console is the master of a terminal in the hands of the embedding program:
// its methods are called from ordinary goroutines, without the kernel lock. It
// is an io.ReadWriteCloser for one reader and one writer at a time.
type Console struct {
	t        *TTY
	lock     func(func()) // runs a function under the kernel lock
	entry    wait.Entry
	readable chan struct{}
	writable chan struct{}
	closed   chan struct{}
	once     sync.Once
	taken    bool // what Read returned last is being shown
}

// NewConsole makes a terminal, whose slave is not locked, and takes its
// master. It is called with the kernel lock held; lock runs a function under
// that lock. now is the wall clock in ns.
func (fs *FS) NewConsole(cred *vfs.Cred, now int64, lock func(func())) (*Console, error) {
	t, err := fs.newTTY(cred, now)
	if err != nil {
		return nil, err
	}
	t.locked = false
	c := &Console{
		t: t, lock: lock,
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	c.entry.Notify = func(_ *wait.Entry, ev wait.Events) bool {
		if ev&wait.Readable != 0 {
			poke(c.readable)
		}
		if ev&wait.Writable != 0 {
			poke(c.writable)
		}
		return false
	}
	t.masters.Add(&c.entry, waitAny)
	return c, nil
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Awaited reports whether a program waits for the terminal, and Closed whether
// none ever will. To be called with the kernel lock.
func (c *Console) Awaited() bool { return !c.t.slaves.Empty() }
func (c *Console) Closed() bool  { return !c.t.masterOpen }

// TTY returns the terminal. Use it under the kernel lock.
func (c *Console) TTY() *TTY { return c.t }

// OpenSlave returns an open file of the slave, for a program's descriptors 0,
// 1 and 2. It is called with the kernel lock held.
func (c *Console) OpenSlave(ctx vfs.Context) (*vfs.File, error) {
	s, err := c.t.openSlave(ctx, unix.O_RDWR|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	return vfs.NewFile(vfs.Path{}, c.t.node, s, unix.O_RDWR), nil
}

// Read takes what programs print, waiting for it. After Close it returns what
// is left, then io.EOF. ErrPolled and ErrWanted are no end.
func (c *Console) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		open := true
		c.lock(func() {
			defer func() { c.taken = n > 0 }()
			if n, open = c.t.takeOutput(p), c.t.masterOpen; n == 0 && open {
				err = c.t.report()
			}
		})
		if n > 0 || err != nil {
			return n, err
		}
		if !open {
			return 0, io.EOF
		}
		select {
		case <-c.readable:
		case <-c.closed:
		}
	}
}

// Idle reports whether all that was printed was read, and Read called again.
func (c *Console) Idle() (idle bool) {
	c.lock(func() { idle = !c.taken && c.t.printed.len() == 0 })
	return idle
}

// Write types p: it is edited and echoed, and may signal the foreground group.
// It waits while programs do not read what was typed.
func (c *Console) Write(p []byte) (n int, err error) {
	for {
		open := true
		c.lock(func() {
			if open = c.t.masterOpen; open {
				n += c.t.typeIn(p[n:])
			}
		})
		switch {
		case !open:
			return n, io.ErrClosedPipe
		case n == len(p):
			return n, nil
		}
		select {
		case <-c.writable:
		case <-c.closed:
		}
	}
}

// Resize sets the window's size; the foreground group is told (SIGWINCH).
func (c *Console) Resize(size unix.Winsize) { c.lock(func() { c.t.resize(size) }) }

// Size returns the window's size.
func (c *Console) Size() (size unix.Winsize) {
	c.lock(func() { size = c.t.size })
	return size
}

// Close hangs the terminal up.
func (c *Console) Close() error {
	c.once.Do(func() {
		c.lock(func() {
			c.entry.Remove()
			c.t.closeMaster()
		})
		close(c.closed)
	})
	return nil
}
