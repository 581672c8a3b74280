// Deterministic runs a program twice that no one would expect to do the same
// again: threads and processes race, look at the clock, draw random numbers. In
// machines with a virtual clock, a seed and one CPU both runs are the same, and
// their traces with all times and addresses are, byte for byte. A race that goes
// wrong under some seed goes wrong under it every time.
//
//	go run ./examples/deterministic
//	go run ./examples/deterministic -seed 7 -- python3 my_test.py
//	go run ./examples/deterministic -host
//
// The last one runs it by the host's clock and chance instead, for comparison.
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/trace"
)

//go:embed racy.py
var racy string

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "deterministic:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("deterministic", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "what all chance is made from")
	host := flags.Bool("host", false, "the host's clock, CPUs and chance")
	if err := flags.Parse(args); err != nil {
		return err
	}
	command := flags.Args()
	if len(command) == 0 {
		command = []string{"python3", "-S", "-c", racy} // -S: it starts faster
	}
	// One CPU: who runs when is then the scheduler's choice alone, and that goes by the clock.
	options := []sysemu.Option{
		sysemu.WithClock(sysemu.VirtualClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))),
		sysemu.WithSeed(*seed),
		sysemu.WithCPUs(1),
	}
	if *host {
		options = nil
	}

	var outputs, traces [2][]byte
	for i := range traces {
		var err error
		if outputs[i], traces[i], err = traced(options, command); err != nil {
			return fmt.Errorf("%w: %s", err, outputs[i])
		}
	}
	fmt.Fprintf(out, "%s", outputs[0])
	lines := bytes.Split(traces[0], []byte("\n"))
	if bytes.Equal(outputs[0], outputs[1]) && bytes.Equal(traces[0], traces[1]) {
		fmt.Fprintf(out, "the same: the output, and %d lines of trace\n", len(lines)-1)
		return nil
	}
	for i, other := range bytes.Split(traces[1], []byte("\n")) {
		if i >= len(lines) || !bytes.Equal(lines[i], other) {
			return fmt.Errorf("the traces differ from line %d on: %s", i+1, other)
		}
	}
	return fmt.Errorf("the runs differ")
}

// traced runs a command in a new machine, and returns what it prints and its
// trace, with times.
func traced(options []sysemu.Option, command []string) (output, lines []byte, err error) {
	var calls bytes.Buffer
	tr, err := trace.New(trace.Options{Output: &calls, Follow: true, PIDs: true, Clock: trace.UnixMicros, Elapsed: true})
	if err != nil {
		return nil, nil, err
	}
	m, err := sysemu.New(append(tr.Install(), options...)...)
	if err != nil {
		return nil, nil, err
	}
	cmd := m.Command(command[0], command[1:]...)
	// What comes from outside has to be the same as well: the environment, for one.
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	output, err = cmd.CombinedOutput()
	m.Close()
	if e := tr.Close(); err == nil {
		err = e
	}
	return output, calls.Bytes(), err
}
