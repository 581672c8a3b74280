package sysemu

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/kernel"
	"golang.org/x/sys/unix"
)

// Do has next serve another call of the same thread, and answers its result: so a handler can answer one call by
// several. The arguments are those of the calling program's architecture. ENOSYS: there is no such call there, or the
// program is a native one, for which only its own call can be made.
//
// It is not for calls that make a thread, end one, or start another program.
func (c *Call) Do(next Handler, name string, args ...uint64) (uint64, error) {
	d := abi.ByName(name)
	if d == nil || d.Number(c.Arch()) < 0 || c.Native() {
		return 0, unix.ENOSYS
	}
	own := c.inMachine()
	other := &inMachine{c: kernel.Call{Task: own.c.Task, Arch: own.c.Arch, Nr: d.Number(c.Arch()), Guard: own.c.Guard}, serial: own.serial}
	other.call = Call{&other.c, other}
	copy(other.c.Args[:], args)
	return next.ServeCall(&other.call)
}

// Comm is the name of the calling thread, as /proc/PID/comm has it: at first the last element of the program's path, cut to
// 15 bytes.
func (c *Call) Comm() (name string) {
	if c.Native() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.TID()))
		return strings.TrimSuffix(string(b), "\n")
	}
	c.inMachine().locked(func(t *kernel.Task) error { name = t.Comm(); return nil })
	return name
}

// Lend shows the call, and those that Do makes for it, a copy of p as memory of the program: at addr, to be read, until the
// call has ended. What a program could change meanwhile is so decided by its handler.
func (c *Call) Lend(p []byte) (addr uint64, err error) { return c.program.Lend(p) }

// Delay has the calling thread sleep for d on the machine's clock, while other threads run; of a native program on the host's,
// and its other threads' calls wait too, so that [Call.Sleep] is better there. No signal ends it, only the thread's end: the
// error says so. It is for the handler to call, on its own goroutine.
func (c *Call) Delay(d time.Duration) error {
	if c.Native() {
		time.Sleep(d)
		return nil
	}
	return c.c.Delay(d)
}

// CodeFile is what the code that makes the call is mapped from, as /proc/PID/maps names it: the program, the C library, the
// dynamic loader. "" for a native program, and for code that is of no file.
func (c *Call) CodeFile() (name string) {
	if c.Native() {
		return ""
	}
	c.c.Locked(func(*kernel.Task) error { name = c.c.CodeFile(); return nil })
	return name
}

// StepClock sets the machine's time of day as [Machine.StepClock] does, for a handler. ErrHostClock also for a native program.
func (c *Call) StepClock(d time.Duration) error {
	if c.Native() {
		return ErrHostClock
	}
	return c.c.StepClock(d)
}
