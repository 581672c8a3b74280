package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
)

// faultFlags are the flags of commands whose programs may meet faults.
type faultFlags struct {
	Fault       []string `placeholder:"RULE" sep:"none" aliases:"inject" help:"Have calls go wrong, as in write:error=ENOSPC:when=3+. All that strace -e inject= takes, and more: docs/faults.md."`
	FaultReport bool     `help:"At the end, list the faults that have happened."`

	faults *fault.Injector
}

// faultOptions are the machine's options for the rules given; hasClock: its clock is chosen already.
func (f *faultFlags) faultOptions(hasClock bool) ([]sysemu.Option, error) {
	if len(f.Fault) == 0 {
		return nil, nil
	}
	var rules []*fault.Rule
	for _, text := range f.Fault {
		r, err := fault.Parse(text)
		if e := (*fault.Error)(nil); errors.As(err, &e) {
			return nil, badRule{e}
		}
		rules = append(rules, r)
	}
	var err error
	if f.faults, err = fault.New(rules...); err != nil {
		return nil, err
	}
	if hasClock {
		opts := []sysemu.Option{sysemu.WithMiddleware(f.faults.Middleware)}
		if f.faults.Crashes() {
			opts = append(opts, sysemu.WithCrash())
		}
		return opts, nil
	}
	return f.faults.Options(), nil
}

// reportFaults lists what has happened.
func (f *faultFlags) reportFaults(std streams) {
	if f.faults == nil || !f.FaultReport {
		return
	}
	const shown = 100
	fired, total := f.faults.Fired(), f.faults.Total()
	fired = fired[:min(len(fired), shown)]
	fmt.Fprintf(std.err, "sysemu: faults: %d\n", total)
	for _, x := range fired {
		fmt.Fprintf(std.err, "  %v\n", x)
	}
	if n := total - len(fired); n > 0 {
		fmt.Fprintf(std.err, "  and %d more\n", n)
	}
}

// badRule is a rule that does not parse.
type badRule struct{ rule *fault.Error }

func (b badRule) Error() string { return b.rule.Error() }

// mark shows where.
func (b badRule) mark() string {
	return "sysemu: --fault: column " + fmt.Sprint(b.rule.Column()) + ":\n  " + strings.ReplaceAll(b.rule.Mark(), "\n", "\n  ")
}
