package tty

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Master serves an open file of /dev/ptmx. Closing it hangs the terminal up.
type Master struct{ t *TTY }

// Release implements vfs.Impl.
func (m *Master) Release(vfs.Context) { m.t.closeMaster() }

// output reports whether the master has something to read.
func (t *TTY) output() bool { return t.printed.len() > 0 || t.packet && t.status != 0 }

// takeOutput moves what was printed to b.
func (t *TTY) takeOutput(b []byte) int {
	was := t.writable()
	n := t.printed.take(b)
	t.flushEcho()
	t.news = false
	if !was && t.writable() {
		t.roomFreed()
	}
	return n
}

// Async implements vfs.Async.
func (m *Master) Async(*vfs.File) (*wait.Queue, wait.Events) { return &m.t.mastersAsync, wait.In }

// Read implements vfs.Reader: what was printed and echoed, in packet mode
// behind a byte 0, or a byte of TIOCPKT_* by itself. EIO when the slave was
// closed and nothing is left.
func (m *Master) Read(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	t := m.t
	if len(b) == 0 {
		return 0, nil
	}
	if !t.output() {
		if t.slaveClosed {
			return 0, unix.EIO
		}
		if f.NonBlocking() {
			return 0, unix.EAGAIN
		}
		err := t.masters.Until(ctx, wait.Readable|wait.Pri, 0, func() bool { return t.output() || t.slaveClosed })
		if err != nil {
			return 0, err
		}
		if !t.output() {
			return 0, unix.EIO
		}
	}
	if !t.packet {
		return t.takeOutput(b), nil
	}
	b[0] = t.status
	t.status = 0
	if b[0] != unix.TIOCPKT_DATA {
		return 1, nil
	}
	return 1 + t.takeOutput(b[1:]), nil
}

// typeable reports whether more can be written to the master.
func (t *TTY) typeable() bool { return !t.masterStopped && t.typed.len() < queueSize }

// typeIn gives b to the line discipline, or keeps it for when that has room,
// and returns how much was taken.
func (t *TTY) typeIn(b []byte) int {
	n := 0
	if t.masterStopped {
		return 0
	}
	if t.feed(); t.typed.len() == 0 {
		n = t.receive(b)
	}
	if k := min(len(b)-n, queueSize-t.typed.len()); k > 0 {
		t.typed.put(b[n : n+k])
		n += k
	}
	t.tell()
	return n
}

// Write implements vfs.Writer: it is typing.
func (m *Master) Write(ctx vfs.Context, f *vfs.File, b []byte, _ int64) (int, error) {
	t := m.t
	n := 0
	for {
		n += t.typeIn(b[n:])
		if n == len(b) {
			return n, nil
		}
		var err error
		if f.NonBlocking() {
			err = unix.EAGAIN
		} else {
			err = t.masters.Until(ctx, wait.Writable, 0, t.typeable)
		}
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
	}
}

// Poll implements vfs.Poller.
func (m *Master) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	t := m.t
	var ev wait.Events
	if t.output() {
		ev |= wait.Readable
	}
	if t.packet && t.status != 0 {
		ev |= wait.Pri
	}
	if t.slaveClosed {
		ev |= wait.Hup
	}
	if t.typeable() {
		ev |= wait.Writable
	}
	return ev, &t.masters
}

// Ioctl implements vfs.Ioctler.
func (m *Master) Ioctl(ctx vfs.Context, f *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	c := call{t: m.t, ctx: ctx, f: f, arg: arg, mem: mem, master: true}
	return c.serve(cmd)
}
