package machine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// CPU is a virtual CPU: an OS thread that traces guest threads and keeps them
// on one host CPU with itself, since waking another costs more than the call.
type CPU struct {
	m      *Machine
	id     int
	host   int // the host CPU both sides are pinned to
	zygote *Thread
	list   []hostCall // this CPU's list page
}

// hostCall is an entry of the list page, read by the stub.
type hostCall struct {
	nr   uint64
	args [6]uint64
	_    uint64
}

const maxList = pageSize/64 - 1

// nextHost deals host CPUs out in turn, beginning anywhere: many processes with
// one machine each must not all sit on the first.
var nextHost = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(uint32(os.Getpid()))
	return &n
}()

// NewCPU makes a CPU of the calling goroutine, which must be locked to its
// thread for good. The first starts the zygote; further ones are given one
// that an earlier CPU forked for them by ForkZygote.
func (m *Machine) NewCPU(id int, zygote *Thread) (*CPU, error) {
	if id >= maxCPUs {
		return nil, fmt.Errorf("machine: more than %d CPUs", maxCPUs)
	}
	c := &CPU{m: m, id: id, zygote: zygote}
	ok := false
	defer func() {
		if !ok {
			c.Close()
		}
	}()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	n := set.Count()
	k := int((nextHost.Add(1) - 1) % uint32(n))
	for cpu := 0; ; cpu++ {
		if set.IsSet(cpu) {
			if k == 0 {
				c.host = cpu
				break
			}
			k--
		}
	}
	setAffinity(0, c.host)
	if zygote == nil {
		if err := m.startZygote(c); err != nil {
			return nil, err
		}
	} else {
		if err := zygote.Adopt(c); err != nil {
			return nil, err
		}
		var err1 error
		zygote.mapRecv(func(nr uint64, args ...uint64) uint64 {
			r, err := zygote.call(nr, args...)
			if err != nil {
				err1 = err
			}
			return r
		})
		if err1 != nil {
			return nil, err1
		}
	}
	c.list = unsafe.Slice((*hostCall)(unsafe.Pointer(&m.lists[id*pageSize])), maxList+1)
	ok = true
	return c, nil
}

// ForkZygote makes the zygote of another CPU, already let go of.
func (c *CPU) ForkZygote() (*Thread, error) {
	z, err := c.zygote.Fork()
	if err != nil {
		return nil, err
	}
	if err := z.Park(); err != nil {
		z.Destroy()
		return nil, err
	}
	return z, nil
}

// NewSpace returns the first thread of a new, empty address space.
func (c *CPU) NewSpace() (*Thread, error) {
	c.m.mu.Lock()
	err := c.closeStale()
	c.m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t, err := c.zygote.Fork()
	if err != nil {
		return nil, err
	}
	t.regs = Regs{Cs: 0x33, Ss: 0x2b, Eflags: 0x202, Orig_rax: ^uint64(0)}
	return t, nil
}

// Close ends the CPU and its zygote. Its threads must be gone.
func (c *CPU) Close() {
	if c.zygote != nil {
		c.zygote.Destroy()
		c.zygote = nil
	}
}

// seize attaches to a process that runs only our parking loop.
func (c *CPU) seize(pid int) error {
	if err := ptrace.Seize(pid, traceOptions); err != nil {
		return err
	}
	if err := ptrace.Interrupt(pid); err != nil {
		return err
	}
	for {
		ws, err := waitFor(pid)
		if err != nil {
			return err
		}
		switch {
		case !ws.Stopped():
			return errDied
		case ws>>16 == unix.PTRACE_EVENT_STOP:
			return nil
		}
		// A kick or other signal that came in the untraced window.
		if err := ptrace.Resume(ptrace.Cont, pid, 0); err != nil {
			return err
		}
	}
}

var errDied = errors.New("machine: the host process of a guest died")

func waitFor(pid int) (unix.WaitStatus, error) {
	ws, err := ptrace.Wait(pid, unix.WALL)
	return unix.WaitStatus(ws), err
}

// LockThread is what a CPU's goroutine calls first.
func LockThread() { runtime.LockOSThread() }
