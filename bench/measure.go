package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is the state of a whole run.
type bench struct {
	options
	dir      string // everything is in here, and deleted with it
	peers    []peer
	micro    string
	micro32  string
	microErr error // why there is no micro
	nextDir  int
}

// benchmark is one row of the table. A value is in nanoseconds, or bytes.
type benchmark struct {
	name   string
	target string // what the project wants of sysemu, for a quiet machine: "6µs", "1.1x", "40MB"
	bytes  bool
	// prepare makes what the runs need, once; an error fails all of them.
	prepare prepare
	// once measures one run: the values, and what the program printed.
	once func(ctx context.Context, b *bench, p peer) ([]float64, string, error)
}

// prepare makes the bench ready for a benchmark.
type prepare func(b *bench, ctx context.Context) error

// result is one peer's part of a row.
type result struct {
	values []float64
	err    error
}

// measure runs a benchmark with all peers in turn. A peer that fails is not
// asked again.
func (b *bench) measure(ctx context.Context, bm benchmark) []result {
	results := make([]result, len(b.peers))
	if bm.prepare != nil {
		if err := bm.prepare(b, ctx); err != nil {
			for i := range results {
				results[i].err = err
			}
			return results
		}
	}
	printed := ""
	for range b.runs {
		for i, p := range b.peers {
			r := &results[i]
			if r.err != nil {
				continue
			}
			values, out, err := b.once(ctx, bm, p)
			switch {
			case err != nil:
				r.err = err
			case i == 0:
				printed = out
			case results[0].err == nil && out != printed:
				r.err = fmt.Errorf("prints %q, natively %q", shorten(out), shorten(printed))
			}
			r.values = append(r.values, values...)
		}
	}
	return results
}

func (b *bench) once(ctx context.Context, bm benchmark, p peer) ([]float64, string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	values, out, err := bm.once(ctx, b, p)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not done after %v", b.timeout)
	} else if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return values, out, err
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// command prepares a command behind a peer's prefix, in a process group of its
// own so that all of it can be killed.
func (p peer) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	all := append(append([]string{}, p.prefix...), args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// timed runs a command to its end and says how long that took and what it
// printed; the error has its last line on standard error.
func timed(cmd *exec.Cmd) (time.Duration, string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if err != nil {
		if line := lastLine(errs.String()); line != "" {
			err = fmt.Errorf("%v: %s", err, line)
		}
	}
	return took, out.String(), err
}

//go:embed guest/micro.c
var microSource []byte

// buildMicro builds the micro-benchmarks: static, so that little else runs.
func buildMicro(ctx context.Context, dir string) (string, error) {
	return build(ctx, filepath.Join(dir, "micro"))
}

// build32 is buildMicro for i386.
func build32(b *bench, ctx context.Context) error {
	b.micro32 = filepath.Join(b.dir, "micro32")
	if _, err := os.Stat(b.micro32); err == nil {
		return nil
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return errors.New("gcc is not on this machine")
	}
	_, err := build(ctx, b.micro32, "-m32")
	return err
}

func build(ctx context.Context, path string, flags ...string) (string, error) {
	if err := os.WriteFile(path+".c", microSource, 0o666); err != nil {
		return "", err
	}
	for _, cc := range []string{"gcc", "cc", "clang"} {
		if _, err := exec.LookPath(cc); err == nil {
			return path, command(ctx, cc, append(flags, "-O2", "-static", "-pthread", "-o", path, path+".c")...)
		}
	}
	// No C compiler: the same in Go, as far as that goes.
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/sysemu/sysemu/bench/guest/gomicro")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("no C compiler; go build: %v: %s", err, lastLine(string(out)))
	}
	return path, nil
}

// micro is a benchmark of guest/micro.c.
func micro(name, target string) benchmark {
	return microOf(name, target, name, func(b *bench, _ context.Context) error { return b.microErr }, func(b *bench) string { return b.micro })
}

// micro32 is one of the same built for i386; the host may lack that.
func micro32(title, name string) benchmark {
	return microOf(title, "", name, build32, func(b *bench) string { return b.micro32 })
}

func microOf(title, target, name string, prepare prepare, path func(*bench) string) benchmark {
	return benchmark{
		name: title, target: target,
		prepare: prepare,
		once: func(ctx context.Context, b *bench, p peer) ([]float64, string, error) {
			_, out, err := timed(p.command(ctx, b.dir, path(b), name, strconv.Itoa(b.roundMS), "3"))
			if err != nil {
				return nil, "", err
			}
			var values []float64
			for _, f := range strings.Fields(out) {
				v, err := strconv.ParseFloat(f, 64)
				if err != nil {
					return nil, "", fmt.Errorf("prints %q", shorten(out))
				}
				values = append(values, v)
			}
			if len(values) == 0 {
				return nil, "", errors.New("prints nothing")
			}
			return values, "", nil
		},
	}
}

// whole is a program that is timed from start to end, in a new directory. The
// arguments may need what prepare has found out.
func whole(name, target string, prepare prepare, args func(b *bench) []string) benchmark {
	return benchmark{
		name: name, target: target, prepare: prepare,
		once: func(ctx context.Context, b *bench, p peer) ([]float64, string, error) {
			b.nextDir++
			dir := filepath.Join(b.dir, fmt.Sprint("run", b.nextDir))
			if err := os.Mkdir(dir, 0o777); err != nil {
				return nil, "", err
			}
			defer os.RemoveAll(dir)
			took, out, err := timed(p.command(ctx, dir, args(b)...))
			return []float64{float64(took.Nanoseconds())}, out, err
		},
	}
}

// shell is a whole program that a shell runs; $B is the directory of what
// prepare has made.
func shell(name, script string, prepare prepare) benchmark {
	return whole(name, "", prepare, func(b *bench) []string {
		return []string{"/bin/sh", "-c", "B=" + b.dir + "; " + script}
	})
}

// needs says that programs are missing, which no peer can help.
func needs(names ...string) prepare {
	return func(*bench, context.Context) error {
		for _, n := range names {
			if _, err := exec.LookPath(n); err != nil {
				return fmt.Errorf("%s is not on this machine", n)
			}
		}
		return nil
	}
}
