package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sysemu/sysemu/trace"
)

// traceCmd is run with a trace; its flags are strace's where strace has them.
type traceCmd struct {
	runCmd `embed:""`

	Follow  bool     `short:"f" help:"Trace what threads and child processes do as well."`
	Expr    []string `short:"e" name:"expr" placeholder:"EXPR" sep:"none" help:"What to show, as strace -e: trace=NAMES, classes such as %file, signal=NAMES, status=failed; ! negates."`
	Output  string   `short:"o" placeholder:"FILE" type:"path" help:"Write the trace to FILE, not to standard error."`
	JSON    bool     `name:"json" help:"Write one JSON object a line in place of strace's lines."`
	Count   bool     `short:"c" name:"summary-only" help:"Write a table of calls with counts, times and errors in place of lines."`
	Both    bool     `short:"C" name:"summary" help:"Write both lines and the table."`
	Wall    bool     `short:"w" name:"summary-wall-clock" help:"In the table, count the time calls slept too."`
	Strings int      `short:"s" name:"string-limit" default:"32" placeholder:"N" help:"Show N bytes of strings (${default})."`
	Verbose bool     `short:"v" name:"no-abbrev" help:"Show structs, arrays and environments in full."`
	Hex     int      `short:"x" type:"counter" help:"Show strings that are not plain text in hexadecimal; twice: all strings."`
	Files   bool     `short:"y" name:"decode-fds" help:"Show what descriptors lead to."`
	Times   int      `short:"t" type:"counter" help:"Begin lines with the time of day; twice: with microseconds; three times: in seconds since 1970."`
	Between bool     `short:"r" name:"relative-timestamps" help:"Begin lines with the time since the line before."`
	Elapsed bool     `short:"T" name:"syscall-times" help:"End lines with how long the call took."`
	Column  int      `short:"a" name:"columns" default:"40" placeholder:"N" help:"The column of results (${default})."`
	Good    bool     `short:"z" name:"successful-only" help:"Show only calls that succeed."`
	Bad     bool     `short:"Z" name:"failed-only" help:"Show only calls that fail."`

	Native bool `help:"Run the program on the host, not in a machine. It and -p show calls, and no signals."`
	PID    int  `short:"p" name:"attach" placeholder:"PID" help:"Trace a process of the host that runs already, until it ends or ^C."`

	Perfetto string `placeholder:"FILE" type:"path" help:"Write a timeline to FILE that ui.perfetto.dev opens."`
	HTML     string `name:"html" placeholder:"FILE" type:"path" help:"Write a page to FILE with the timeline and a table of calls; it needs no network."`
}

// Help is shown by --help.
func (traceCmd) Help() string {
	return "The program runs in a new machine, as with run, whose flags are here too; of them --env and --cwd have a meaning with --native. Lines are those of strace(1)."
}

// Run is kong's entry.
func (c *traceCmd) Run(std streams) error {
	o := trace.Options{
		Follow: c.Follow, Filter: c.Expr, Strings: c.Strings, Hex: c.Hex, Verbose: c.Verbose, Files: c.Files,
		Elapsed: c.Elapsed, Wall: c.Wall, Column: c.Column, PIDs: c.Output != "",
	}
	if o.Strings == 0 {
		o.Strings = -1
	}
	if c.Strings < 0 || c.Column < 0 {
		return usageError{errors.New("-s and -a take numbers that are not negative")}
	}
	if c.Good || c.Bad {
		if c.Good && c.Bad {
			return usageError{errors.New("-z and -Z exclude each other")}
		}
		o.Filter = append(o.Filter, map[bool]string{true: "status=successful", false: "status=failed"}[c.Good])
	}
	switch {
	case c.PID != 0 && (c.Native || len(c.Program) > 0):
		return usageError{errors.New("-p takes no program, and not --native")}
	case (c.Native || c.PID != 0) && c.notNative() != "":
		return usageError{fmt.Errorf("%s is for programs in a machine", c.notNative())}
	case c.PID < 0:
		return usageError{errors.New("-p takes the number of a process")}
	case c.Times > 3:
		return usageError{errors.New("-t may be given three times at most")}
	case c.Between && c.Times > 0:
		return usageError{errors.New("-t and -r exclude each other")}
	case c.Between:
		o.Clock = trace.SinceBefore
	default:
		o.Clock = []trace.Clock{trace.NoTime, trace.Seconds, trace.Micros, trace.UnixMicros}[c.Times]
	}

	// A program with streams that are not ours to write to is no reason to fail late: files are made first.
	var files []*os.File
	var buffers []*bufio.Writer
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	create := func(name string) (io.Writer, error) {
		f, err := os.Create(name)
		if err != nil {
			return nil, failure{fmt.Errorf("the trace: %w", plain(err)), statusFailed}
		}
		files = append(files, f)
		w := bufio.NewWriter(f)
		buffers = append(buffers, w)
		return w, nil
	}
	var out io.Writer = std.err
	o.Lines = std.terminal()
	if c.Output != "" {
		f, err := os.Create(c.Output)
		if err != nil {
			return failure{fmt.Errorf("the trace: %w", plain(err)), statusFailed}
		}
		files = append(files, f)
		out, o.Lines = f, false
	}
	switch {
	case c.JSON:
		o.JSON = out
	case !c.Count:
		o.Output = out
	}
	if c.Count || c.Both {
		o.Summary = out
	}
	var err error
	if c.Perfetto != "" {
		if o.Perfetto, err = create(c.Perfetto); err != nil {
			return err
		}
	}
	if c.HTML != "" {
		if o.HTML, err = create(c.HTML); err != nil {
			return err
		}
	}
	tr, err := trace.New(o)
	if err != nil {
		return usageError{fmt.Errorf("-e: %w", err)}
	}
	switch {
	case c.PID != 0 || c.Native:
		err = c.native(std, tr)
	default:
		err = c.run(std, tr.Install()...)
	}
	failed := tr.Close()
	for _, b := range buffers {
		if e := b.Flush(); failed == nil {
			failed = e
		}
	}
	if failed != nil {
		fmt.Fprintln(std.err, "sysemu: the trace is not complete:", failed)
		if err == nil {
			err = exitStatus(statusFailed)
		}
	}
	return dieIfInterrupted(err)
}
