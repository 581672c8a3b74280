package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/trace"
)

// native traces a process of the host: one that is started, or that runs already.
func (c *traceCmd) native(std streams, tr *trace.Tracer) error {
	// The terminal's keys are for the program that is started; one that was attached to is let go of.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	if c.PID != 0 {
		return c.attached(std, tr, signals)
	}
	program, err := c.program()
	if err != nil {
		return err
	}
	cmd := exec.Command(program[0], program[1:]...)
	if cmd.Err != nil {
		return failure{fmt.Errorf("%s: %w", program[0], unwrapped(cmd.Err)), statusNotFound}
	}
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Cwd
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.err
	// Handlers see calls from the program's first instruction on: the execve before it is told by us.
	var first sync.Once
	begin := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(call *sysemu.Call) (uint64, error) {
			first.Do(func() {
				e := event(sysemu.TaskStarted, call.PID())
				tr.Observe(&e)
				e.Kind, e.Path, e.Args, e.Env = sysemu.ProgramStarted, cmd.Path, cmd.Args, len(cmd.Env)
				tr.Observe(&e)
			})
			return next.ServeCall(call)
		})
	}
	n, err := sysemu.StartNative(cmd, sysemu.WithMiddleware(begin, tr.Middleware))
	if err != nil {
		return failure{fmt.Errorf("%s: %w", program[0], unwrapped(err)), statusCannotRun}
	}
	defer n.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == unix.SIGTERM || sig == unix.SIGHUP {
					unix.Kill(n.Pid(), sig.(unix.Signal))
				}
			case <-done:
				return
			}
		}
	}()
	ws, err := n.Wait()
	if err != nil {
		return err
	}
	ended(tr, n.Pid(), ws)
	if s := status(ws); s != 0 {
		return exitStatus(s)
	}
	return nil
}

// attached traces a process that runs already, until it ends or we are told to let go.
func (c *traceCmd) attached(std streams, tr *trace.Tracer, signals <-chan os.Signal) error {
	n, err := sysemu.Attach(c.PID, sysemu.WithMiddleware(tr.Middleware))
	if err != nil {
		return err
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		if ws, err := n.Wait(); err == nil {
			ended(tr, c.PID, ws)
		}
	}()
	select {
	case <-signals:
	case <-waited:
	}
	err = n.Close()
	<-waited
	return err
}

func event(kind sysemu.EventKind, pid int) sysemu.Event {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return sysemu.Event{Kind: kind, Time: ts.Nano(), Realtime: time.Now().UnixNano(), PID: pid, TID: pid}
}

func ended(tr *trace.Tracer, pid int, ws unix.WaitStatus) {
	e := event(sysemu.TaskExited, pid)
	e.Status = ws
	tr.Observe(&e)
}

// unwrapped is what an error of package os or exec is about.
func unwrapped(err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("executable file not found in $PATH")
	case errors.As(err, &errno):
		return errno
	}
	return errors.New(strings.TrimPrefix(err.Error(), "sysemu: "))
}
