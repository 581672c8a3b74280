// Bench measures programs natively, under sysemu, and under any other command
// that runs a program ("peer"), side by side in one run:
//
//	go run ./bench [--peer 'COMMAND PREFIX']... [--only REGEXP] [--runs N] [--markdown]
//
// Each benchmark is run N times, the peers taking turns, so that what else the
// machine does meets all of them. A benchmark that fails somewhere is shown as
// failed, with the reason below the table. Ratios are of medians, to native.
//
// Compare min with min on a machine that is not quiet.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// peer runs programs: a command prefix, empty for native.
type peer struct {
	name   string
	prefix []string
}

type peerFlags []peer

func (p *peerFlags) String() string { return "" }

func (p *peerFlags) Set(s string) error {
	f := strings.Fields(s)
	if len(f) == 0 {
		return fmt.Errorf("empty command prefix")
	}
	*p = append(*p, peer{name: filepath.Base(f[0]), prefix: f})
	return nil
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == machineRole {
		if err := machineWith(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var (
		others   peerFlags
		only     = flag.String("only", "", "run only benchmarks whose name matches this `regexp`")
		runs     = flag.Int("runs", 5, "how `often` each benchmark is run by each peer")
		roundMS  = flag.Int("ms", 20, "how many `milliseconds` one round of a micro-benchmark takes at least")
		timeout  = flag.Duration("timeout", time.Minute, "how long one run may take")
		markdown = flag.Bool("markdown", false, "print the table as Markdown")
		list     = flag.Bool("list", false, "only list the benchmarks")
	)
	flag.Var(&others, "peer", "also run everything behind this `command prefix` (may be repeated)")
	flag.Parse()
	if flag.NArg() > 0 || *runs < 1 || *roundMS < 1 {
		flag.Usage()
		os.Exit(2)
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: --only:", err)
		os.Exit(2)
	}

	// The directory is deleted even when the user has had enough.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "sysemu-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	err = run(ctx, dir, options{others, match, *runs, *roundMS, *timeout, *markdown, *list})
	os.RemoveAll(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	others   []peer
	match    *regexp.Regexp
	runs     int
	roundMS  int
	timeout  time.Duration
	markdown bool
	list     bool
}

func run(ctx context.Context, dir string, o options) error {
	b := &bench{dir: dir, options: o}
	var chosen []benchmark
	for _, bm := range benchmarks() {
		if o.match.MatchString(bm.name) {
			chosen = append(chosen, bm)
		}
	}
	if o.list {
		for _, bm := range chosen {
			fmt.Println(bm.name)
		}
		return nil
	}

	b.peers = []peer{{name: "native"}}
	if path, err := buildSysemu(ctx, dir); err == nil {
		b.peers = append(b.peers, peer{"sysemu", []string{path, "run", "--"}})
	} else {
		fmt.Fprintf(os.Stderr, "bench: there is no sysemu to measure: %v\n", err)
	}
	b.peers = append(b.peers, o.others...)
	b.micro, b.microErr = buildMicro(ctx, dir)

	t := newTable(b.peers)
	for _, bm := range chosen {
		fmt.Fprintf(os.Stderr, "%s\n", bm.name)
		t.add(bm, b.measure(ctx, bm))
		if ctx.Err() != nil {
			break
		}
	}
	t.print(os.Stdout, o.markdown)
	fmt.Println()
	fmt.Println(machineLine())
	return ctx.Err()
}

// buildSysemu builds the command line of this module.
func buildSysemu(ctx context.Context, dir string) (string, error) {
	const pkg = "github.com/sysemu/sysemu/cmd/sysemu"
	path := filepath.Join(dir, "sysemu")
	return path, command(ctx, "go", "build", "-o", path, pkg)
}

// command runs a command to prepare something, its output in the error.
func command(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %v: %s", name, err, lastLine(string(out)))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// machineLine says where and when this was measured.
func machineLine() string {
	cpu := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(b); m != nil {
			cpu = string(m[1])
		}
	}
	var u unix.Utsname
	unix.Uname(&u)
	load := "?"
	if f, err := os.Open("/proc/loadavg"); err == nil {
		b, _ := io.ReadAll(f)
		f.Close()
		load, _, _ = strings.Cut(string(b), " ")
	}
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %s, load %s, %s", cpu, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version(), load, time.Now().Format("2006-01-02"))
}
