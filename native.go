package sysemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"

	"github.com/sysemu/sysemu/internal/native"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Native is an ordinary process of the host whose system calls handlers see
// first, with all its threads and what it starts: children, their children, the
// programs they execute. The same [Middleware] serves as in a [Machine]; the
// innermost handler has the host run the call.
//
// It is attached to by [Attach] or started by [StartNative], and let go of by
// [Native.Close], after which it runs on as if nothing had been. So it does when
// this process dies, whenever that may be: under [ModeNullify], the default, no
// call is lost and none made twice. Should this process be killed by SIGKILL at
// the wrong moment, there are these exceptions: a call that signal(7) lists as not
// restarted after a stop, epoll_wait for one, may fail with EINTR; while the host
// runs a call whose arguments a handler has changed, the registers stay as
// changed, and a call that [Call.SetValue] was about to change may be lost; in the higher modes a call may fail with ENOSYS; and a thread that is
// being stepped dies of its SIGTRAP. The command sysemu attach traces from a
// second process, which lets go in good order when the first is killed.
//
// Handlers of all the processes run on one thread, one at a time, and while one
// runs no other call is served; while the host runs a call or a handler blocks by
// [Call.Block], others are. next is
// to be called on the handler's own goroutine. A call that a signal interrupts
// fails with EINTR to the handler, which should return that: the host then
// decides, as always, whether the program sees it or the call is made again, as
// a new one. A handler that panics fails the call with EIO. execve of a
// set-user-ID program does not change the user while it is traced, as ptrace(2)
// says.
type Native struct {
	s *native.Session
}

// ErrDetached is returned by the Wait of a Native that was closed.
var ErrDetached = native.ErrDetached

// WithEmulationOff begins without emulation: [Native.Enable] turns it on.
func WithEmulationOff() Option { return func(o *options) { o.off = true } }

// Attach puts handlers in front of the process pid. Of the options, WithMiddleware,
// WithLog, WithMode and WithEmulationOff apply; others are an error. The mode is
// [ModeNullify] unless set.
//
// Threads that are asleep in a call are interrupted for a moment, and go on with
// it. EPERM: the process may not be traced, ptrace(2). ESRCH: there is none.
func Attach(pid int, opts ...Option) (*Native, error) {
	c, err := nativeConfig(opts)
	if err != nil {
		return nil, err
	}
	s, err := native.Attach(pid, c)
	if err != nil {
		return nil, fmt.Errorf("sysemu: attaching to %d: %w", pid, err)
	}
	return &Native{s}, nil
}

// StartNative starts cmd with handlers in front of it from its first
// instruction. It is to be waited for by [Native.Wait], which also does what
// cmd.Wait does for the standard streams; if that returns ErrDetached, by
// cmd.Wait.
func StartNative(cmd *exec.Cmd, opts ...Option) (*Native, error) {
	c, err := nativeConfig(opts)
	if err != nil {
		return nil, err
	}
	s, err := native.Start(cmd, c)
	if err != nil {
		return nil, err
	}
	return &Native{s}, nil
}

func nativeConfig(opts []Option) (native.Config, error) {
	o := options{log: func(msg string) { fmt.Fprintln(os.Stderr, msg) }}
	for _, f := range opts {
		f(&o)
	}
	c := native.Config{Mode: int(o.mode), Off: o.off, Report: o.log}
	if o.mode < ModeNullify || o.mode > ModeStep {
		return c, fmt.Errorf("sysemu: there is no mode %d", o.mode)
	}
	if mw := o.middleware; len(mw) > 0 {
		c.Handler = func(host native.Handler) native.Handler {
			h := layers(&innermost{func(c *Call) (uint64, error) { return host.ServeCall(c.program.(*native.Call)) }}, mw)
			return outerNative{h, host, selected(h)}
		}
	}
	o.mode, o.off, o.log, o.middleware = 0, false, nil, nil
	if !reflect.ValueOf(o).IsZero() {
		return c, errors.New("sysemu: an option for machines, given for a native process")
	}
	return c, nil
}

type outerNative struct {
	h    Handler
	host native.Handler
	set  *callSet // the calls that are not for the host at once; nil: all
}

func (o outerNative) ServeCall(c *native.Call) (uint64, error) {
	if o.set != nil && !o.set.has(c.Arch, c.Call.Nr) {
		return o.host.ServeCall(c)
	}
	return o.h.ServeCall(&Call{&c.Call, c})
}

// Pid is the process that was attached to or started.
func (n *Native) Pid() int { return n.s.PID() }

// Enabled tells whether emulation is on.
func (n *Native) Enabled() bool { return n.s.Enabled() }

// Enable turns emulation on, so that handlers see calls, or off: then the
// processes run without stops. Calls that are in progress when it is turned off
// are finished as they were begun.
func (n *Native) Enable(on bool) { n.s.Enable(on) }

// Mode is how the host is kept from executing calls that handlers answer. It is
// lower than what was set if the host has less.
//
// Natively, ModeNullify stops each call twice, answered or not. In the other modes
// a thread whose last call was answered is resumed by PTRACE_SYSEMU: an answered
// call then costs one stop, and one that is passed on to the host four.
func (n *Native) Mode() Mode { return Mode(n.s.Mode()) }

// SetMode changes that; values that are none are ignored.
func (n *Native) SetMode(mode Mode) { n.s.SetMode(int(mode)) }

// Step is an instruction that a native thread has executed.
type Step struct {
	TID  int
	Regs ptrace.Regs // after it, or, of one that makes a system call, before the call
}

// Step has every thread stepped, and f called after each instruction, on the
// thread that handlers run on. A nil f ends it.
func (n *Native) Step(f func(Step)) {
	if f == nil {
		n.s.Step(nil)
		return
	}
	n.s.Step(func(s native.Step) { f(Step(s)) })
}

// Wait waits for the process to end, and returns its wait status. With
// ErrDetached, Close came first. Children that are left are let go of.
func (n *Native) Wait() (unix.WaitStatus, error) { return n.s.Wait() }

// Close lets go of the processes. When it returns they run natively, with
// nothing of ours in them. A handler that waits for the host gets ErrDetached, and
// so does one that blocks by [Call.Block], whose call the host then runs. The error
// is a *StuckError if what blocked it does not return within five seconds.
func (n *Native) Close() error {
	n.s.Close()
	if !n.s.Settle() {
		return &StuckError{Calls: []string{"a native process"}}
	}
	return nil
}
