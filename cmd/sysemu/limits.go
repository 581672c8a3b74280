package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/sysemu/sysemu"
)

// limitFlags bound what a program and all that it starts may take.
type limitFlags struct {
	CPUTime   time.Duration `name:"cpu-time" placeholder:"DURATION" help:"Kill the program and all it has started when they have used so much CPU time, such as 1s."`
	WallTime  time.Duration `name:"wall-time" placeholder:"DURATION" help:"Kill them after that long, such as 10s."`
	FileSize  size          `name:"file-size" placeholder:"SIZE" help:"Kill them when a file they write gets bigger."`
	Disk      size          `placeholder:"SIZE" help:"Kill them when they write more to files in all."`
	OpenFiles int           `name:"open-files" placeholder:"N" help:"Limit how many files a process may have open."`
	Result    string        `placeholder:"FILE" type:"path" help:"At the end, write to FILE as JSON how the program ended, which limit it went over, and what was used."`

	output size // --output, which trace has for another purpose
}

// runCommand is the command run, with what trace does not take over.
type runCommand struct {
	runCmd `embed:""`
	Output size `placeholder:"SIZE" help:"Kill the program and all it has started when they write more to standard output and error."`
}

// Run is kong's entry.
func (r *runCommand) Run(std streams) error {
	r.output = r.Output
	return r.runCmd.Run(std)
}

// limits are those that the flags set.
func (f *limitFlags) limits() (sysemu.Limits, error) {
	l := sysemu.Limits{
		CPUTime: f.CPUTime, WallTime: f.WallTime, OutputBytes: int64(f.output), FileSize: int64(f.FileSize), DiskBytes: int64(f.Disk), OpenFiles: f.OpenFiles,
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"--cpu-time", f.CPUTime}, {"--wall-time", f.WallTime}} {
		if d.value < 0 {
			return l, usageError{fmt.Errorf("%s: %v is negative", d.flag, d.value)}
		}
	}
	if f.OpenFiles < 0 {
		return l, usageError{fmt.Errorf("--open-files: %d is negative", f.OpenFiles)}
	}
	return l, nil
}

// report tells of a limit that ended the run, and writes --result.
func (f *limitFlags) report(std streams, program string, r sysemu.Result) error {
	if r.Limit != sysemu.NoLimit {
		fmt.Fprintf(std.err, "sysemu: %s: came up against a limit: %s\n", program, r.Limit)
	}
	if f.Result == "" {
		return nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.Result, append(b, '\n'), 0o666); err != nil {
		return fmt.Errorf("--result: %w", plain(err))
	}
	return nil
}
