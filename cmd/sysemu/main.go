// Command sysemu runs unmodified Linux programs with every system call served by a kernel in Go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
)

// Exit statuses of sysemu itself; any other is the program's, as a shell gives it.
const (
	statusUsage       = 2   // a bad flag, or one that names what is not there
	statusFailed      = 125 // the machine could not be made
	statusCannotRun   = 126 // the program is there and cannot be run
	statusNotFound    = 127 // there is no such program
	statusSignal      = 128 // plus the number of the signal that ended the program
	statusDoctorFound = 1   // doctor found something that stands in the way
)

type cli struct {
	Run    runCommand `cmd:"" help:"Run a program in a new machine. By default it sees the host's files; what it changes stays in memory and ends with it."`
	Trace  traceCmd   `cmd:"" help:"Run a program and show its system calls, as strace does; or as JSON, a timeline, a page."`
	Sweep  sweepCmd   `cmd:"" help:"Have each system call of a program fail in turn, and say how it takes that."`
	Attach attachCmd  `cmd:"" help:"Answer system calls of an ordinary process of the host, running or started for it, while the host runs the others."`
	Doctor doctorCmd  `cmd:"" help:"Say what on this host stands in the way of running programs, and what to do about it."`
}

// streams are where a command reads and writes.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// terminal reports whether one of them is a terminal.
func (s streams) terminal() bool {
	for _, f := range []any{s.in, s.out, s.err} {
		if f, ok := f.(*os.File); ok && f != nil {
			if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
				return true
			}
		}
	}
	return false
}

func main() {
	os.Exit(command(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// command runs one command line and answers the exit status.
func command(args []string, std streams) int {
	var c cli
	helped := false
	parser, err := kong.New(&c,
		kong.Name("sysemu"),
		kong.Description("Runs unmodified Linux programs with every system call served by a kernel in Go."),
		kong.UsageOnError(),
		kong.Writers(std.out, std.err),
		kong.Exit(func(int) { helped = true }), // --help is the only one who calls it
	)
	if err != nil {
		panic(err) // the tags above are wrong
	}
	ctx, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err == nil {
		err = ctx.Run(std)
	} else {
		err = usageError{err}
	}
	return report(std.err, err)
}

// usageError is a mistake in the command line.
type usageError struct{ error }

// exitStatus is how a command ends with a status of its own and nothing to say.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// failure is an error with the exit status that goes with it.
type failure struct {
	error
	status int
}

// report says in one line what err is and answers the exit status for it.
func report(w io.Writer, err error) int {
	var status exitStatus
	var usage usageError
	var fail failure
	var rule badRule
	switch {
	case err == nil:
		return 0
	case errors.As(err, &rule):
		fmt.Fprintln(w, rule.mark())
		return statusUsage
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage):
		fmt.Fprintln(w, "sysemu: "+oneLine(err)+" (sysemu --help lists commands and flags)")
		return statusUsage
	case errors.As(err, &fail):
		fmt.Fprintln(w, "sysemu: "+oneLine(err))
		return fail.status
	}
	fmt.Fprintln(w, "sysemu: "+oneLine(err))
	return statusFailed
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "sysemu: ")), " ")
}
