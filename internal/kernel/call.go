package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Handler serves system calls. What it returns is the call's result, or an
// error: a unix.Errno as the guest sees it.
type Handler interface {
	ServeCall(c *Call) (uint64, error)
}

// Selective is a Handler of which it is known which calls it would pass on to
// the kernel's own untouched: for those it is not asked.
type Selective interface {
	Handler
	Handles(arch abi.Arch, nr int) bool
}

// Call is a system call in progress.
type Call struct {
	Task *Task
	Arch abi.Arch
	Nr   int
	Args [6]uint64

	// Guard, unless nil, is asked before the call uses a file or an address.
	// It runs with the kernel locked, must not wait, and is taken off when the
	// call ends. Its error is the call's.
	Guard func(*Access) error
}

// desc is the call's entry in package abi's list; nil: no such number.
func (c *Call) desc() *abi.Call { return abi.ByNumber(c.Arch, c.Nr) }

// Name is the call's name, or syscall_N.
func (c *Call) Name() string {
	if d := c.desc(); d != nil {
		return d.Name
	}
	return fmt.Sprintf("syscall_%d", c.Nr)
}

func (c *Call) String() string {
	var b strings.Builder
	b.WriteString(c.Name())
	n := len(c.Args)
	if d := c.desc(); d != nil {
		n = min(n, len(d.ArgsOn(c.Arch)))
	}
	for i, a := range c.Args[:n] {
		b.WriteString(map[bool]string{true: "(", false: ", "}[i == 0])
		fmt.Fprintf(&b, "%#x", a)
	}
	if n == 0 {
		b.WriteString("(")
	}
	b.WriteString(")")
	return b.String()
}

// tableHandler is the kernel's own table: the innermost handler.
type tableHandler struct{}

// ServeCall takes the lock that user handlers run without.
func (tableHandler) ServeCall(c *Call) (uint64, error) {
	leave, err := c.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	t := c.Task
	t.call.Guard = c.Guard // c is the handler's own copy
	defer func() { t.call.Guard = nil }()
	return t.serve(c)
}

// maxUnsupported bounds the calls that are counted by name: programs may make up
// numbers without end.
const maxUnsupported = 1024

// serve looks the call up and runs it.
func (t *Task) serve(c *Call) (uint64, error) {
	if t.k.virtual != nil {
		t.passes(0, systemCost)
	}
	if f := lookup(c.Arch, c.Nr); f != nil {
		return f(t, &c.Args)
	}
	name := c.Name()
	if len(t.k.unsupported) >= maxUnsupported && t.k.unsupported[name] == 0 {
		name = "others"
	}
	t.k.unsupported[name]++
	return 0, unix.ENOSYS
}

// serveUser runs a user's handler. The lock is free meanwhile, and held again
// when a panic goes on up. A handler that ends its goroutine has ended the CPU's
// thread, and with it all that it traces: nothing but closing is left.
func (t *Task) serveUser(h Handler, c *Call) (v uint64, err error) {
	ok := false
	defer func() {
		c.Guard = nil
		if ok {
			return
		}
		r := recover()
		t.k.mu.Lock()
		if r != nil {
			panic(r)
		}
		t.k.report("sysemu: the handler of %s ended its goroutine, which is a CPU's (runtime.Goexit, or FailNow of a test): the machine is closed", c)
		t.k.mu.Unlock()
		go t.k.Close()
	}()
	v, err = h.ServeCall(c)
	ok = true
	return
}

// finish puts a call's outcome into the guest's registers.
func (t *Task) finish(v uint64, err error) {
	if t.noResult {
		t.noResult = false
		return
	}
	if t.exited {
		return
	}
	if err != nil {
		var interrupted *wait.Interrupted
		var errno unix.Errno
		switch {
		case errors.As(err, &interrupted):
			t.interruptd, t.work = true, true
			errno = restartErrno[interrupted.Kind]
		case errors.As(err, &errno):
		case t.th.Dead():
			errno = unix.EIO // which nobody will see
		default:
			t.k.report("sysemu: %s: %v (the guest gets EIO)", &t.call, err)
			errno = unix.EIO
		}
		v = -uint64(errno)
	}
	t.th.SetResult(v)
}

// vsyscall serves a call to the legacy vsyscall page.
func (t *Task) vsyscall() {
	r := t.th.Regs()
	c := &t.call
	c.Task, c.Arch, c.Nr = t, abi.AMD64, int(r.Rax)
	c.Args = [6]uint64{r.Rdi, r.Rsi, r.Rdx}
	if t.around&aroundSeccomp != 0 && !t.seccompSuspended() {
		t.th.EditRegs().Orig_rax = r.Rax
		run := t.seccompCheckAt(c, vsyscallAddr(c.Nr))
		t.th.EditRegs().Orig_rax = ^uint64(0)
		if !run {
			return
		}
	}
	switch c.Nr {
	case unix.SYS_GETTIMEOFDAY, unix.SYS_TIME, unix.SYS_GETCPU:
		v, err := t.serve(c)
		t.finish(v, err)
	default:
		t.force(kernelSignal(int(unix.SIGSYS)))
	}
}

// callFunc is a handler as the table holds it: arguments are decoded by
// closures that the functions below make.
type callFunc func(t *Task, a *[6]uint64) (uint64, error)

// calls is a family's part of the table, by name.
type calls map[string]callFunc

// arg is what an argument register decodes to: integers are cut to their
// width, pointers are typed by Ptr and its kin.
type arg interface {
	~int32 | ~uint32 | ~int64 | ~uint64 | ~int | ~uint16
}

// e0 to e6 make table entries of handlers that only succeed or fail; r0 to r6
// of those with a result.
func e0(f func(*Task) error) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { return 0, f(t) }
}
func e1[A arg](f func(*Task, A) error) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { return 0, f(t, A(a[0])) }
}
func e2[A, B arg](f func(*Task, A, B) error) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { return 0, f(t, A(a[0]), B(a[1])) }
}
func e3[A, B, C arg](f func(*Task, A, B, C) error) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { return 0, f(t, A(a[0]), B(a[1]), C(a[2])) }
}
func e4[A, B, C, D arg](f func(*Task, A, B, C, D) error) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { return 0, f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3])) }
}
func e5[A, B, C, D, E arg](f func(*Task, A, B, C, D, E) error) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		return 0, f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]), E(a[4]))
	}
}
func r0[R arg](f func(*Task) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { v, err := f(t); return uint64(v), err }
}
func r1[A, R arg](f func(*Task, A) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { v, err := f(t, A(a[0])); return uint64(v), err }
}
func r2[A, B, R arg](f func(*Task, A, B) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) { v, err := f(t, A(a[0]), B(a[1])); return uint64(v), err }
}
func r3[A, B, C, R arg](f func(*Task, A, B, C) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		v, err := f(t, A(a[0]), B(a[1]), C(a[2]))
		return uint64(v), err
	}
}
func r4[A, B, C, D, R arg](f func(*Task, A, B, C, D) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		v, err := f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]))
		return uint64(v), err
	}
}
func r5[A, B, C, D, E, R arg](f func(*Task, A, B, C, D, E) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		v, err := f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]), E(a[4]))
		return uint64(v), err
	}
}
func r6[A, B, C, D, E, F, R arg](f func(*Task, A, B, C, D, E, F) (R, error)) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		v, err := f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]), E(a[4]), F(a[5]))
		return uint64(v), err
	}
}

// The two tables by number, made of the families and package abi's list. Each
// family stands in the file of its noun. What the tables share is in
// call_i386.go.
var amd64Table, i386Table callTable

type callTable [abi.MaxNumber + 1]callFunc

func lookup(arch abi.Arch, nr int) callFunc {
	if uint(nr) > abi.MaxNumber {
		return nil
	}
	if arch == abi.I386 {
		return i386Table[nr]
	}
	return amd64Table[nr]
}

// addFamily is called by init functions, one a family. It fills the table of
// x86-64 and, with what means the same there, that of i386.
func addFamily(c calls) {
	for name, f := range c {
		amd64Table.add(abi.AMD64, name, f)
		for _, s := range shared386[name] {
			i386Table.add(abi.I386, s, f)
		}
	}
}

// addFamily386 is the same for what i386 has in its own way.
func addFamily386(c calls) {
	for name, f := range c {
		i386Table.add(abi.I386, name, f)
	}
}

func (t *callTable) add(arch abi.Arch, name string, f callFunc) {
	d := abi.ByName(name)
	if d == nil || d.Number(arch) < 0 {
		panic("kernel: " + arch.String() + " has no system call " + name)
	}
	if t[d.Number(arch)] != nil {
		panic("kernel: two handlers for " + name + " of " + arch.String())
	}
	t[d.Number(arch)] = f
}

// Locked runs f with the kernel lock, for a handler that runs without it.
func (c *Call) Locked(f func(t *Task) error) error {
	c.Task.k.mu.Lock()
	defer c.Task.k.mu.Unlock()
	return f(c.Task)
}
