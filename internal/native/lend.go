package native

import (
	"errors"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// What a handler gives a call in place of the program's memory lies in a page
// that the process maps for it, by a call made in place of the one that it has
// made, and unmaps when the handler has ended. The stack would not do: below its
// end there may be something else, as in a Go program.

const (
	lentSize = 64 << 10
	slot     = 8 << 10 // for one string
)

// errTooMuch is that a handler has lent more than there is room for.
var errTooMuch = errors.New("more than fits was given to one call of a native process")

// Lend puts p into memory of the process that lasts until the handler ends.
func (c *Call) Lend(p []byte) (uint64, error) {
	t := c.t
	if !c.lent {
		if t.page == 0 {
			at, err := c.other("mmap", "mmap2", [6]uint64{0, lentSize, unix.PROT_READ | unix.PROT_WRITE,
				unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE, ^uint64(0), 0})
			if err != nil {
				return 0, err
			}
			t.page = at
		}
		c.lent, c.used = true, 0
	}
	n := uint64(len(p)+slot-1) / slot * slot
	if c.used+n > lentSize {
		return 0, errors.Join(errTooMuch, unix.ENOMEM)
	}
	addr := t.page + c.used
	c.used += n
	return addr, c.WriteMem(addr, p)
}

// giveBack unmaps it. A thread that cannot keeps it for the next time: also one
// whose call a signal has interrupted, which the host is to make again.
func (c *Call) giveBack() {
	if !c.lent || c.execed || c.fail != nil || c.ran && restarts(c.raw) {
		return
	}
	c.lent = false
	if _, err := c.other("munmap", "munmap", [6]uint64{c.t.page, lentSize}); err == nil {
		c.t.page = 0
	}
}

// other has the host run another call for the thread, and leaves this one as it
// was.
func (c *Call) other(name, name386 string, args [6]uint64) (uint64, error) {
	nr, a, raw, ran, broken := c.Nr, c.Args, c.raw, c.ran, c.broken
	if c.Arch == abi.I386 {
		name = name386
	}
	c.Nr, c.Args = abi.ByName(name).Number(c.Arch), args
	v, err := host{}.ServeCall(c)
	c.Nr, c.Args, c.raw, c.ran, c.broken, c.dirty = nr, a, raw, ran, broken, true
	return v, err
}
