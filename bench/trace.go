package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// traced is a program under a system call tracer, both writing strace's lines to a file: Debian's strace in the native
// column, sysemu trace in sysemu's. The ratio is then sysemu trace's time by strace's.
func traced(name string, args ...string) benchmark {
	return benchmark{
		name: "strace / sysemu trace: " + name, target: "0.33x",
		prepare: both(needs("strace"), (*bench).sources),
		once: func(ctx context.Context, b *bench, p peer) ([]float64, string, error) {
			b.nextDir++
			dir := filepath.Join(b.dir, fmt.Sprint("run", b.nextDir))
			if err := os.Mkdir(dir, 0o777); err != nil {
				return nil, "", err
			}
			defer os.RemoveAll(dir)
			file := filepath.Join(dir, "trace")
			switch {
			case len(p.prefix) == 0:
				p.prefix = []string{"strace", "-o", file}
			case p.name == "sysemu":
				p.prefix = append(slices.Clone(p.prefix[:1]), "trace", "-o", file, "--")
			default:
				return nil, "", errors.New("it has no tracer")
			}
			took, _, err := timed(p.command(ctx, dir, args...))
			if err != nil {
				return nil, "", err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, "", err
			}
			// What must agree: how often the call was made that the program is chosen for.
			call, _, _ := strings.Cut(name, " ")
			return []float64{float64(took.Nanoseconds())}, fmt.Sprint(call, bytes.Count(text, []byte(tracedCalls[call]))), nil
		},
	}
}

var tracedCalls = map[string]string{"dd": "\nwrite(1, \"\\0\", 1)", "find": "\nopenat("}

func tracedBenchmarks() []benchmark {
	return []benchmark{
		traced("dd bs=1", "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=50000"),
		traced("find", "find", "/usr/share/doc", "-xdev", "-newer", "/etc/passwd", "-size", "+100000k"),
	}
}
