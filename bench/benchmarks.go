package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// benchmarks is the table of all of them.
func benchmarks() []benchmark {
	list := []benchmark{
		micro("ptrace-stop", ""), // native: what every call costs here at least
		micro("getppid", "6µs"),
		micro32("i386: getppid by int $0x80", "int80"),
		micro32("i386: getppid by vsyscall", "vsyscall"),
		micro("clock_gettime", ""),
		micro("read-zero", ""),
		micro("pipe-pingpong", "25µs"),
		micro("pipe-4k", ""),
		micro("pipe-64k", ""),
		micro("open-fstat-close", "20µs"),
		micro("stat", ""),
		micro("create-write-unlink", ""),
		micro("pread-4k", ""),
		micro("fork-exit-wait", "200µs"),
		micro("vfork", ""),
		micro("fork-64m", ""),
		micro("fork-exec-wait", "2ms"),
		micro("mmap-touch-munmap", "35µs"),
		micro("mprotect", ""),
		micro("touch-page", "1.1x"),
		micro("cpu", "1.03x"),
		micro("futex-pingpong", ""),
		micro("sched_yield", ""),
		micro("signal-self", ""),
		micro("sigsegv", ""),
		whole("start /bin/true", "15ms", nil, func(*bench) []string { return []string{"/bin/true"} }),
		kernelMemory(),

		whole("bash: 200 × /bin/true", "", needs("bash"), func(*bench) []string {
			return []string{"bash", "-c", "for i in {1..200}; do /bin/true; done"}
		}),
		whole("python import", "", needs("python3"), func(*bench) []string {
			return []string{python(), "-c", "import asyncio, http.client, json, sqlite3, subprocess; print('ok')"}
		}),
		shell("gcc -c", "gcc -O1 -c $B/hello.c -o hello.o", both(needs("gcc"), (*bench).sources)),
		shell("gcc link", "gcc $B/hello.o -o hello", both(needs("gcc"), (*bench).sources)),
		shell("find", "find /usr/lib -xdev -name '*.a' | wc -l", nil),
		shell("grep -r", "grep -rl needle $B/tree | wc -l", (*bench).sources),
		shell("tar", "tar cf t.tar -C $B tree && wc -c <t.tar", both(needs("tar"), (*bench).sources)),
		shell("git status", "cd $B/repo && git status --short", both(needs("git"), (*bench).repository)),
		shell("git log", "cd $B/repo && git log --stat | wc -l", both(needs("git"), (*bench).repository)),
		shell("sqlite", "sqlite3 t.db <$B/work.sql", both(needs("sqlite3"), (*bench).sources)),
		shell("dd bs=512", "dd if=$B/big of=out bs=512 count=16384 2>/dev/null && wc -c <out", (*bench).sources),
		shell("sha256 through a pipe", "cat $B/big | sha256sum", (*bench).sources),
		whole("node hello", "", needs("node"), func(*bench) []string {
			return []string{"node", "-e", "console.log('hello')"}
		}),
	}
	return slices.Concat(list, tracedBenchmarks(), middlewareBenchmarks())
}

func both(f, g prepare) prepare {
	return func(b *bench, ctx context.Context) error {
		if err := f(b, ctx); err != nil {
			return err
		}
		return g(b, ctx)
	}
}

// python is the interpreter itself, not a script that looks for it.
func python() string {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if path := strings.TrimSpace(string(out)); err == nil && path != "" {
		return path
	}
	return "python3"
}

// sources makes the files that programs work on, once.
func (b *bench) sources(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(b.dir, "work.sql")); err == nil {
		return nil
	}
	// A thousand files of 4 KB in fifty directories.
	for i := range 1000 {
		dir := filepath.Join(b.dir, "tree", fmt.Sprint("d", i%50))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		text := strings.Repeat(fmt.Sprintf("line of file %d, in the hay\n", i), 140)
		if i%100 == 0 {
			text += "a needle\n"
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), []byte(text), 0o666); err != nil {
			return err
		}
	}
	big := make([]byte, 32<<20)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "big"), big, 0o666); err != nil {
		return err
	}
	const hello = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n" +
		"int main(int argc, char **argv) { for (int i = 0; i < argc; i++) printf(\"%zu %s\\n\", strlen(argv[i]), argv[i]); return 0; }\n"
	if err := os.WriteFile(filepath.Join(b.dir, "hello.c"), []byte(hello), 0o666); err != nil {
		return err
	}
	if _, err := exec.LookPath("gcc"); err == nil {
		if err := command(ctx, "gcc", "-c", "-o", filepath.Join(b.dir, "hello.o"), filepath.Join(b.dir, "hello.c")); err != nil {
			return err
		}
	}
	// The disk is not what is compared.
	var sql strings.Builder
	sql.WriteString("pragma synchronous=off;\ncreate table t(id integer primary key, name text, v int);\n")
	for i := range 200 {
		fmt.Fprintf(&sql, "insert into t(name, v) values('row %d', %d);\n", i, i*i)
	}
	sql.WriteString("begin;\n")
	for i := range 10000 {
		fmt.Fprintf(&sql, "insert into t(name, v) values('more %d', %d);\n", i, i%97)
	}
	sql.WriteString("commit;\ncreate index i on t(v, name);\nselect v, count(*), max(name) from t group by v order by 2 desc, 1 limit 5;\n")
	return os.WriteFile(filepath.Join(b.dir, "work.sql"), []byte(sql.String()), 0o666)
}

// repository makes a git repository of them, with fifty commits.
func (b *bench) repository(ctx context.Context) error {
	if err := b.sources(ctx); err != nil {
		return err
	}
	repo := filepath.Join(b.dir, "repo")
	if _, err := os.Stat(repo); err == nil {
		return nil
	}
	const script = `set -e
git init -q repo; cd repo
git config user.name bench; git config user.email bench@localhost; git config gc.auto 0
cp -r ../tree/. .
for d in d*; do git add $d; git commit -q -m "add $d"; done
echo changed >d1/f1; echo new >d2/new`
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(repo)
		return fmt.Errorf("git: %v: %s", err, lastLine(string(out)))
	}
	return nil
}

// kernelMemory is the resident memory of the process that was started, and of
// those of its descendants that run the same program, while a shell waits for
// input. Natively that is the shell itself.
func kernelMemory() benchmark {
	return benchmark{
		name: "memory, with a shell", target: "40MB", bytes: true,
		once: func(ctx context.Context, b *bench, p peer) ([]float64, string, error) {
			cmd := p.command(ctx, b.dir, "/bin/sh", "-c", "echo ready; read x; echo done")
			var errs strings.Builder
			cmd.Stderr = &errs
			in, err := cmd.StdinPipe()
			if err != nil {
				return nil, "", err
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				return nil, "", err
			}
			if err := cmd.Start(); err != nil {
				return nil, "", err
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			var rss float64
			if err == nil {
				rss, err = residentMemory(cmd.Process.Pid)
			}
			io.WriteString(in, "x\n")
			in.Close()
			waited := make(chan struct{})
			go func() { io.Copy(io.Discard, out); close(waited) }()
			select {
			case <-waited:
			case <-ctx.Done():
			}
			if werr := cmd.Wait(); err == nil && werr != nil || errors.Is(err, io.EOF) {
				err = werr
				if l := lastLine(errs.String()); l != "" {
					err = fmt.Errorf("%v: %s", werr, l)
				}
			}
			if err == nil && line != "ready\n" {
				err = fmt.Errorf("prints %q", line)
			}
			return []float64{rss}, "", err
		},
	}
}

// residentMemory sums VmRSS over a process and its descendants of the same
// executable.
func residentMemory(pid int) (float64, error) {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return 0, err
	}
	parent := map[int]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		p, _ := strconv.Atoi(filepath.Base(d))
		if s, err := os.ReadFile(d + "/stat"); err == nil {
			f := strings.Fields(string(s[strings.LastIndexByte(string(s), ')')+1:]))
			if len(f) > 1 {
				parent[p], _ = strconv.Atoi(f[1])
			}
		}
	}
	sum := 0.0
	for p := range parent {
		top := p
		for top != pid && top > 1 {
			top = parent[top]
		}
		if e, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p)); top != pid || err != nil || e != exe {
			continue
		}
		if s, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p)); err == nil {
			if f := strings.Fields(string(s)); len(f) > 1 {
				n, _ := strconv.ParseFloat(f[1], 64)
				sum += n * float64(syscall.Getpagesize())
			}
		}
	}
	return sum, nil
}
