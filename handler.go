package sysemu

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/kernel"
)

// Handler serves system calls. It returns the call's result, or an error that
// is, or wraps, a syscall.Errno: that is what the program sees. Any other
// error is EIO, and reported; so is a number that no error has, 0 or more than
// 4095. A result from -4095 to -1 is an error to the program, as Linux has it.
//
// A handler runs on the virtual CPU of the program that calls: what blocks in
// it stops that CPU, unless it does so by [Call.Block] or [Call.Sleep]. It may call
// next as often as it likes, on its own goroutine. It must not call
// runtime.LockOSThread, nor runtime.Goexit, as FailNow and Fatal of a test do:
// that ends the machine. A handler that panics ends the calling program, not
// this one. What holds for native programs is said at [Native].
type Handler interface {
	ServeCall(c *Call) (uint64, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(c *Call) (uint64, error)

// ServeCall calls f.
func (f HandlerFunc) ServeCall(c *Call) (uint64, error) { return f(c) }

// Middleware puts a layer around a handler.
type Middleware func(next Handler) Handler

// Call is a system call that a program has made, in a machine or natively. Its
// arguments are to be had as they were in their registers, by Arg, and decoded,
// by Args, Path, Buffer and [Value]; SetArg and SetValue change them for the
// handlers further in. The result is what next returned. A Call is valid until
// its handler returns.
type Call struct {
	c       *kernel.Call // number and arguments
	program program
}

// program is who has made a call: *native.Call, or inMachine.
type program interface {
	PID() int
	TID() int
	ReadMem(addr uint64, p []byte) error
	WriteMem(addr uint64, p []byte) error
	Lend(p []byte) (addr uint64, err error)
}

// inMachine is a program in a machine, as one call has it.
type inMachine struct {
	call   Call
	c      kernel.Call
	serial uint64
}

// locked runs f with the kernel lock, unless the call has ended.
func (m *inMachine) locked(f func(t *kernel.Task) error) error {
	return m.c.Locked(func(t *kernel.Task) error {
		if t.Ended(m.serial) {
			return ErrCallEnded
		}
		return f(t)
	})
}

func (m *inMachine) PID() int { return m.c.Task.PID() }
func (m *inMachine) TID() int { return m.c.Task.TID() }
func (m *inMachine) ReadMem(addr uint64, p []byte) error {
	return m.locked(func(t *kernel.Task) error { return t.CopyIn(addr, p) })
}
func (m *inMachine) WriteMem(addr uint64, p []byte) error {
	return m.locked(func(t *kernel.Task) error { return t.CopyOut(addr, p) })
}
func (m *inMachine) Lend(p []byte) (addr uint64, err error) {
	err = m.locked(func(t *kernel.Task) error {
		addr, err = t.Lend(p)
		return err
	})
	return addr, err
}

// Name is the call's name without prefix, as in the man pages; "syscall_N"
// for a number that has none.
func (c *Call) Name() string { return c.c.Name() }

// Number is the call's number in the table of Arch.
func (c *Call) Number() int { return c.c.Nr }

// Arch says which table the number belongs to.
func (c *Call) Arch() abi.Arch { return c.c.Arch }

// PID and TID are the process and thread that call, as programs inside the
// machine number them, or, of a native program, the host.
func (c *Call) PID() int { return c.program.PID() }
func (c *Call) TID() int { return c.program.TID() }

// Arg returns argument i, 0 to 5, as it was in its register.
func (c *Call) Arg(i int) uint64 { return c.c.Args[i] }

// SetArg changes an argument for the handlers further in.
func (c *Call) SetArg(i int, v uint64) { c.c.Args[i] = v }

// ReadMem fills p from the program's memory at addr. EFAULT if it cannot be
// read.
func (c *Call) ReadMem(addr uint64, p []byte) error { return c.program.ReadMem(addr, p) }

// WriteMem writes p to the program's memory at addr. EFAULT if it cannot be
// written.
func (c *Call) WriteMem(addr uint64, p []byte) error { return c.program.WriteMem(addr, p) }

// String shows the call with its arguments in hexadecimal.
func (c *Call) String() string { return c.c.String() }

// layers puts middleware around a handler, the first outermost.
func layers(h Handler, mw []Middleware) Handler {
	for i := len(mw) - 1; i >= 0; i-- {
		h = mw[i](h)
	}
	return h
}

// wrap makes a kernel's handler of middleware around its own.
func wrap(inner kernel.Handler, mw []Middleware) kernel.Handler {
	h := layers(&innermost{func(c *Call) (uint64, error) { return inner.ServeCall(c.c) }}, mw)
	set := selected(h)
	if set == nil {
		return outer{h}
	}
	return selective{outer{h}, set}
}

// innermost is the handler around which layers are put.
type innermost struct{ serve HandlerFunc }

func (i *innermost) ServeCall(c *Call) (uint64, error) { return i.serve(c) }

type outer struct{ h Handler }

func (o outer) ServeCall(c *kernel.Call) (uint64, error) {
	// One piece of memory, and its own: what runs on after the call has ended
	// does not see the next.
	m := &inMachine{c: *c, serial: c.Serial()}
	m.call = Call{&m.c, m}
	return o.h.ServeCall(&m.call)
}

// selective is an outer whose layers have only the calls of a set.
type selective struct {
	outer
	set *callSet
}

// Handles implements kernel.Selective.
func (s selective) Handles(arch abi.Arch, nr int) bool { return s.set.has(arch, nr) }
