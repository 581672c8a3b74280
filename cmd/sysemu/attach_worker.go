package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysemu attach is two processes: the one that was started, which has the
// terminal and gets the signals, and a worker in a process group of its own,
// which traces. When the first is killed, the worker hears of it and lets go of
// what it traces in good order.

// workerEnv tells the worker that it is one, and its parent's process group.
const workerEnv = "SYSEMU_ATTACH_WORKER"

// Descriptors of the worker's: a pipe that ends with its parent, and one that it
// closes when it minds signals. Before that one would end it.
const (
	lifeline  = 3
	readiness = 4
)

// worker is nil in the first process.
type worker struct {
	parentGroup int
}

// asWorker looks whether this is the worker. What it starts is not to know.
func asWorker() *worker {
	group, err := strconv.Atoi(os.Getenv(workerEnv))
	if err != nil {
		return nil
	}
	os.Unsetenv(workerEnv)
	syscall.CloseOnExec(lifeline)
	syscall.CloseOnExec(readiness)
	return &worker{group}
}

// ready says that signals may come.
func (*worker) ready() { unix.Close(readiness) }

// watch calls f when the parent has ended.
func (*worker) watch(f func()) {
	go func() {
		os.NewFile(lifeline, "lifeline").Read(make([]byte, 1))
		f()
	}()
}

// supervise starts the worker, hands signals on to it and ends as it does.
func supervise(std streams, signals <-chan os.Signal) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	ready, unready, err := os.Pipe()
	if err != nil {
		r.Close()
		return err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), workerEnv+"="+strconv.Itoa(unix.Getpgrp()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.err
	cmd.ExtraFiles = []*os.File{r, unready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	r.Close()
	unready.Close()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		ready.Read(make([]byte, 1))
		for {
			select {
			case sig := <-signals:
				cmd.Process.Signal(sig)
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return exitStatus(exit.ExitCode())
	case errors.As(err, &exit):
		return fmt.Errorf("the process that traces was ended: %s", strings.TrimPrefix(exit.Error(), "signal: "))
	}
	return err
}

// follow is the first process's part: which signals are the worker's, and whose
// keys the terminal's are. Nothing is ignored, for it would be in what is
// started.
func follow(std streams, started bool) (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 16)
	quiet := make(chan os.Signal, 1)
	for _, sig := range forwarded {
		key := sig == unix.SIGINT || sig == unix.SIGQUIT
		switch {
		case signal.Ignored(sig):
		case key && started && std.terminal(): // the program gets them itself
			signal.Notify(quiet, sig)
		default:
			signal.Notify(signals, sig)
		}
	}
	return signals, func() {
		signal.Stop(signals)
		signal.Stop(quiet)
	}
}
