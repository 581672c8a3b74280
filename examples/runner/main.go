// The runner runs a program that one does not trust, as an online judge does: a
// Python, shell or C source, with standard input for it, under a policy and
// limits, in a machine that sees the host's files and changes none of them. C is
// compiled inside, too. The verdict is written as JSON.
//
//	echo 20 22 | go run ./examples/runner add.py
//	go run ./examples/runner -cpu 500ms -memory 32 loop.c </dev/null
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/policy"
)

// rules: read what is installed, write in /box and in a /tmp of its own, and of
// all other files see no more than their attributes; no network. What a rule says
// of a path holds for the file itself, whatever link it was reached by.
const rules = `
default deny EACCES
allow  !%file,%network,ptrace,mount,umount2,fchmod,fchown
allow  getcwd
allow  %file,fchmod,fchown  mode=rwx  path=/box/** path=/tmp/** path=/dev/null
allow  %file  mode=rx  path=/usr/** path=/bin/** path=/lib/** path=/lib64/** path=/proc/**
       path=/etc/ld.so.* path=/etc/alternatives/** path=/etc/localtime path=/dev/urandom
allow  %file  mode=s  path=/**
`

// languages says how a source is run: after the first command, if there is one,
// has made of it what the second runs.
var languages = map[string]struct{ compile, run []string }{
	".py": {nil, []string{"python3", "/box/main.py"}},
	".sh": {nil, []string{"sh", "/box/main.sh"}},
	".c":  {[]string{"gcc", "-O1", "-o", "/box/main", "/box/main.c"}, []string{"/box/main"}},
}

// Verdict is what is written.
type Verdict struct {
	Verdict string        `json:"verdict"` // ok, failed, killed, compile-error, or the limit that was gone over
	Stdout  string        `json:"stdout"`
	Stderr  string        `json:"stderr"`
	Result  sysemu.Result `json:"result"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("runner", flag.ContinueOnError)
	cpu := flags.Duration("cpu", time.Second, "CPU time")
	wall := flags.Duration("wall", 20*time.Second, "time")
	memory := flags.Uint64("memory", 64, "memory in MiB")
	output := flags.Int64("output", 64<<10, "bytes of output")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("which source? One of .py, .sh, .c")
	}
	lang, ok := languages[filepath.Ext(flags.Arg(0))]
	if !ok {
		return fmt.Errorf("%s: not one of .py, .sh, .c", flags.Arg(0))
	}
	source, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}

	// The source is all that is in /box at first.
	box := fsys.NewMem()
	if err := fsys.WriteFile(box, "main"+filepath.Ext(flags.Arg(0)), source, 0o644); err != nil {
		return err
	}
	p, err := policy.Parse(rules)
	if err != nil {
		return err
	}
	sandbox, err := policy.Middleware(p)
	if err != nil {
		return err
	}
	m, err := sysemu.New(sysemu.WithMiddleware(sandbox), sysemu.WithFS(box, "/box"), sysemu.WithTmpfs("/tmp"))
	if err != nil {
		return err
	}
	defer m.Close()

	var v Verdict
	execute := func(argv []string, in io.Reader, l sysemu.Limits) error {
		cmd := m.Command(argv[0], argv[1:]...)
		cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin", "HOME=/box", "LC_ALL=C.UTF-8"}, "/box"
		cmd.Limits = l
		var stdout, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
		if err := cmd.Start(); err != nil {
			return err // it is not installed
		}
		cmd.Wait() // the Result says it all
		v = Verdict{judge(cmd.Result()), stdout.String(), stderr.String(), cmd.Result()}
		return nil
	}
	if lang.compile != nil {
		l := sysemu.Limits{CPUTime: 10 * time.Second, WallTime: time.Minute, Memory: 512 << 20, Processes: 16, OutputBytes: 64 << 10, DiskBytes: 64 << 20}
		if err := execute(lang.compile, nil, l); err != nil {
			return err
		}
	}
	if lang.compile != nil && v.Verdict != "ok" {
		v.Verdict = "compile-error"
	} else {
		l := sysemu.Limits{CPUTime: *cpu, WallTime: *wall, Memory: *memory << 20, Processes: 16, OutputBytes: *output, DiskBytes: 16 << 20}
		if err := execute(lang.run, in, l); err != nil {
			return err
		}
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func judge(r sysemu.Result) string {
	switch {
	case r.Limit != sysemu.NoLimit:
		return r.Limit.String()
	case r.Signal != 0:
		return "killed"
	case r.ExitCode != 0:
		return "failed"
	}
	return "ok"
}
