package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
	"golang.org/x/sys/unix"
)

// sweepCmd runs a program again and again, each time with another call that fails.
type sweepCmd struct {
	runCmd `embed:""`

	Calls    string   `short:"e" name:"calls" placeholder:"SET" help:"The calls that are to fail, as strace -e trace= takes them (default: all that have plausible errors)."`
	Errno    []string `placeholder:"LIST" help:"The errors that each call fails with, one a run, such as EIO,ENOSPC; all for every plausible one (default: the likeliest)."`
	Loader   bool     `help:"Have the calls fail as well that the dynamic loader makes before the program's own code runs."`
	Max      int      `default:"1000" placeholder:"N" help:"Runs there are at most (${default}); the first calls of each name go before others."`
	Parallel int      `short:"j" placeholder:"N" help:"Runs at once (default: as many as there are CPUs)."`
	Stdin    string   `placeholder:"FILE" help:"What the program reads from standard input; - for what sysemu does (default: nothing)."`
	JSON     bool     `name:"json" help:"Write the report as JSON."`
	All      bool     `short:"a" help:"List the runs that went well too."`
}

// Help is shown by --help.
func (sweepCmd) Help() string {
	return `The program is run as it is, twice, and then once for each system call that it makes, which fails. The report says how it took
that: from "crash" to "tolerated". The exit status is 1 if a run crashed, hung (--time, 10s by default), or ended as if well with another result.`
}

// statusSwept is the exit status when a fault was taken badly.
const statusSwept = 1

// Run is kong's entry.
func (c *sweepCmd) Run(std streams) error {
	if len(c.Fault) > 0 || c.FaultReport {
		return usageError{errors.New("--fault is not for sweep, whose faults are its own")}
	}
	if f := c.noChanges(); f != "" {
		return usageError{fmt.Errorf("%s is not for sweep, which runs programs many times", f)}
	}
	if c.Max < 1 || c.Parallel < 0 {
		return usageError{errors.New("--max and -j take numbers above 0")}
	}
	defer c.closeArchives()
	opts, err := c.options()
	if err != nil {
		return err
	}
	limits, err := c.limits()
	if err != nil {
		return err
	}
	program, err := c.program()
	if err != nil {
		return err
	}
	dir, err := c.directory()
	if err != nil {
		return err
	}
	cfg := fault.Config{
		Args: program, Env: c.environ(), Dir: dir, Options: append(opts, sysemu.WithLimits(limits)),
		Calls: c.Calls, Loader: c.Loader, Max: c.Max, Time: c.Time, Parallel: c.Parallel,
	}
	for _, name := range c.Errno {
		if name == "all" {
			cfg.Every = true
			continue
		}
		e, ok := fault.ErrnoNamed(name)
		if !ok {
			return usageError{fmt.Errorf("--errno: no such error: %q", name)}
		}
		cfg.Errnos = append(cfg.Errnos, e)
	}
	switch {
	case c.Stdin == "-":
		cfg.Stdin, err = io.ReadAll(std.in)
	case c.Stdin != "":
		cfg.Stdin, err = os.ReadFile(c.Stdin)
	}
	if err != nil {
		return usageError{fmt.Errorf("--stdin: %w", plain(err))}
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	r, err := fault.Sweep(ctx, cfg)
	var wrong *fault.Error
	switch {
	case errors.As(err, &wrong):
		return usageError{fmt.Errorf("-e: %q, column %d: %s", wrong.Rule, wrong.Column(), wrong.Reason)}
	case err != nil && ctx.Err() != nil:
		return dieIfInterrupted(errInterrupted)
	case err != nil:
		return startError(err)
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = r.Write(std.out, c.All)
	}
	if err == nil && r.Bad() {
		err = exitStatus(statusSwept)
	}
	return err
}
