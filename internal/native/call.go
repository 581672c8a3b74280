package native

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Call is a system call that a native thread has made.
type Call struct {
	kernel.Call // number and arguments; there is no Task

	t     *thread
	co    *coroutine  // that the handler runs on; nil: it has ended, or there is none
	regs  ptrace.Regs // at its entry
	nr    int         // its number there
	given [6]uint64   // its arguments there

	at      place
	again   bool  // its instruction is to be executed once more, and the entry stop to come
	pushed  bool  // the registers hold other arguments than those given
	execed  bool  // it was an execve: there are no registers to go back to
	told    bool  // the thread that it makes is known
	ran     bool  // the host has run it
	raw     int64 // and this is its result
	broken  bool  // which was EINTR because of us: it is to be made again
	fail    error // the host does not run it any more
	lent    bool  // the thread's page is in use: see lend.go
	used    uint64
	ctx     context.Context // nil: the handler has not asked for it
	cancel  context.CancelFunc
	blocked bool // the handler waits for what runs elsewhere
	dirty   bool // the registers have the result of another call

	v   uint64 // the handler's result
	err error
}

// place is where a thread with a call stands while its handler runs.
type place uint8

const (
	atEntry place = iota // in an entry stop: the host will execute the call
	atStart              // before its instruction, in whatever stop
	atExit               // in its exit stop
)

// interrupted is what the host's call ends with when a signal came first: what
// becomes of it, EINTR or another try, the host decides when it delivers that.
type interrupted struct{}

func (interrupted) Error() string { return unix.EINTR.Error() }
func (interrupted) Unwrap() error { return unix.EINTR }

var errInterrupted error = interrupted{}

// host is the innermost handler.
type host struct{}

func (host) ServeCall(c *Call) (uint64, error) {
	switch {
	case c.fail != nil:
		return 0, c.fail
	case c.co == nil || unix.Gettid() != c.t.s.tid:
		return 0, errors.New("the host runs a call only for its handler, and on the handler's own goroutine")
	}
	c.dirty = false
	if !c.co.yield(struct{}{}) {
		return 0, ErrDetached
	}
	switch {
	case c.fail != nil:
		return 0, c.fail
	case restarts(c.raw):
		return 0, errInterrupted
	case c.raw < 0 && c.raw >= -4095:
		return 0, unix.Errno(-c.raw)
	}
	return uint64(c.raw), nil
}

// restartAlways is ERESTARTNOINTR.
const restartAlways = -513

// restarts tells whether a result is one of the host's own ERESTART codes.
func restarts(raw int64) bool { return raw >= -516 && raw <= -512 }

// outcome is what the handler wants the program to see.
func (c *Call) outcome() int64 {
	if c.err == nil {
		return int64(c.v)
	}
	var errno unix.Errno
	if c.err = kernel.Plausible(c.err); !errors.As(c.err, &errno) {
		if c.fail == nil {
			c.t.s.cfg.Report(fmt.Sprintf("sysemu: %s: %v (the program gets EIO)", c, c.err))
		}
		errno = unix.EIO
	}
	return -int64(errno)
}

// same tells whether two results are one to the program.
func (c *Call) same(a, b int64) bool {
	if c.Arch == abi.I386 {
		return int32(a) == int32(b)
	}
	return a == b
}

// argRegs are the registers of the arguments.
func (c *Call) argRegs(r *ptrace.Regs) [6]*uint64 {
	if c.Arch == abi.I386 {
		return [6]*uint64{&r.Rbx, &r.Rcx, &r.Rdx, &r.Rsi, &r.Rdi, &r.Rbp}
	}
	return [6]*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}
}

// push puts changed arguments into the registers; the call is at its entry.
func (c *Call) push() {
	if c.Args == c.given && c.Nr == c.nr {
		return
	}
	var r ptrace.Regs
	if c.t.tee.GetRegs(&r) != nil {
		return
	}
	if c.Nr != c.nr {
		r.Orig_rax = uint64(c.Nr)
	}
	for i, p := range c.argRegs(&r) {
		if c.Args[i] != c.given[i] {
			*p = c.Args[i]
			if c.Arch == abi.I386 {
				*p &= 1<<32 - 1
			}
		}
	}
	if c.t.tee.SetRegs(&r) == nil {
		c.pushed = true
	}
}

// restore puts the arguments that were given back into the registers r of a
// thread that is past the call. It tells whether there is anything to do.
func (c *Call) restore(r *ptrace.Regs) bool {
	if !c.pushed || c.execed || c.Name() == "rt_sigreturn" || c.Name() == "sigreturn" {
		return false
	}
	c.setArgs(r)
	return true
}

// setArgs puts the arguments that were given into r.
func (c *Call) setArgs(r *ptrace.Regs) {
	from := c.argRegs(&c.regs)
	for i, p := range c.argRegs(r) {
		*p = *from[i]
	}
}

// PID is the process that calls.
func (c *Call) PID() int {
	if c.t.tgid == 0 {
		c.t.tgid = processOf(c.t.tee.PID())
	}
	return c.t.tgid
}

// processOf is the process that a thread is of.
func processOf(tid int) int {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Tgid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(v))
			return pid
		}
	}
	return tid
}

// TID is the thread that calls.
func (c *Call) TID() int { return c.t.tee.PID() }

// ReadMem reads the thread's memory.
func (c *Call) ReadMem(addr uint64, p []byte) error {
	return transfer(ptrace.ReadMem, c.TID(), addr, p)
}

// WriteMem writes it.
func (c *Call) WriteMem(addr uint64, p []byte) error {
	return transfer(ptrace.WriteMem, c.TID(), addr, p)
}

func transfer(f func(int, uint64, []byte) (int, error), pid int, addr uint64, p []byte) error {
	for len(p) > 0 {
		n, err := f(pid, addr, p)
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EFAULT
		}
		p, addr = p[n:], addr+uint64(n)
	}
	return nil
}

// coroutine is what a handler runs on: it is left when the host is to run the
// call, and resumed with the result.
type coroutine struct {
	s    *Session
	c    *Call
	next func() (struct{}, bool)
	stop func()

	yield func(struct{}) bool
}

func (s *Session) newCoroutine() *coroutine {
	if n := len(s.spare); n > 0 {
		co := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return co
	}
	co := &coroutine{s: s}
	co.next, co.stop = iter.Pull(func(yield func(struct{}) bool) {
		co.yield = yield
		for {
			co.serve()
			co.c.giveBack()
			co.c.endContext()
			co.c.co, co.c = nil, nil
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return co
}

// serve runs the handler. One that panics has failed the call, not this program.
func (co *coroutine) serve() {
	c := co.c
	defer func() {
		if e := recover(); e != nil {
			c.v, c.err = 0, unix.EIO
			co.s.cfg.Report(fmt.Sprintf("sysemu: the handler of %s (pid %d) panicked: %v (the program gets EIO)\n%s", c, c.PID(), e, debug.Stack()))
		}
	}()
	c.v, c.err = co.s.handler.ServeCall(c)
}

// run lets the handler of c run, from its beginning or on, and tells whether it
// has ended; else the host is to run the call.
func (c *Call) run() bool {
	co := c.co
	if co == nil {
		co = c.t.s.newCoroutine()
		c.co, co.c = co, c
	}
	co.next()
	if c.co != nil {
		return false
	}
	co.s.spare = append(co.s.spare, co)
	return true
}
