package debug

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
	"github.com/sysemu/sysemu/internal/hostcan"
)

// Debian's strace, ltrace and gdb, on programs of one thread and of several.

var debugMasks = []compare.Mask{
	{Pattern: `(process|LWP|pid|Process|si_pid=|line \d+:) *\d+`, Replace: "$1 N", Why: "process numbers differ from run to run"},
	{Pattern: `0x[0-9a-f]{7,}`, Replace: "ADDR", Why: "the stack and libraries are elsewhere inside"},
	{Pattern: `(?m)^ +`, Replace: "", Why: "columns are as wide as the process numbers"},
	{Pattern: ` +`, Replace: " ", Why: "columns are as wide as the process numbers"},
	{Pattern: `\[Thread ADDR \(LWP N\) exited\]\n`, Replace: "", Why: "threads end in any order"},
	{Pattern: `expected=\d+`, Replace: "expected=N", Why: "it depends on how many waited at the barrier already"},
}

// debuggee compiles the program that debuggers are tried on.
func debuggee(t *testing.T) string {
	compare.Enabled(t)
	bin := filepath.Join(t.TempDir(), "debuggee")
	if out, err := exec.Command("gcc", "-g", "-O0", "-pthread", "-o", bin, "testdata/debuggee.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

// attached waits until the process $pid is traced.
const attached = `until grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$pid/status; do read -t 0.05 < <(:); done; `

func TestStrace(t *testing.T) {
	bin := debuggee(t)
	run := func(name, script string) compare.Case {
		return compare.Case{Name: name, Script: "B=" + bin + "\n" + script, Need: []string{"strace"}, Masks: debugMasks}
	}
	compare.Table(t, []compare.Case{
		run("one thread", `strace -e trace=getuid,write,exit_group,execve $B`),
		run("signals", `strace -e trace=none $B abort; strace -e trace=none $B crash 2>&1 | tail -3; strace -e trace=getuid bash -c 'kill -USR1 $$'`),
		// Lines of several threads come in any order.
		run("threads", `strace -f -o out -e trace=getuid,exit,exit_group $B one-by-one; sed 's/^[0-9]* //' out | sort`),
		run("children", `strace -f -o out -e trace=execve,exit_group,wait4 bash -c '/bin/true; (exit 3); /bin/false' ; sed 's/^[0-9]* //; s/wait4.*/wait4/; s/, 0x.*//; /resumed/d' out | grep -v SIGCHLD | sort`),
		run("counts", `strace -f -c -U name,calls,errors -e trace=getuid,write,access $B one-by-one 2>&1 | sort`),
		run("inject a result", `strace -e trace=getuid -e inject=getuid:retval=42 $B`),
		run("inject an error", `strace -e trace=write -e inject=write:error=ENOSPC:when=2 $B | cat`),
		run("inject a signal", `strace -e trace=getuid -e inject=getuid:signal=USR1 $B; echo $?`),
		run("stack", `strace -k -e trace=getuid $B 2>&1 | sed 's/ \[0x.*//'`),
		run("attach", `mkfifo f; $B read < f & pid=$!; exec 3> f; strace -o out -e trace=read,getuid,exit_group -p $pid 2> /dev/null & s=$!; `+attached+
			`echo x >&3; wait $pid; echo $?; wait $s; cat out`),
	})
}

func TestLtrace(t *testing.T) {
	bin := debuggee(t)
	run := func(name, script string) compare.Case {
		return compare.Case{Name: name, Script: "B=" + bin + "\n" + script, Need: []string{"ltrace"}, Masks: debugMasks}
	}
	compare.Table(t, []compare.Case{
		run("one thread", `ltrace $B; echo $?`),
		run("chosen calls", `ltrace -e strcmp+printf $B a b; echo $?`),
		run("threads", `ltrace -f -o out -e getuid+pthread_join $B one-by-one; sed '/ resumed>/d; s/^[0-9]* //; s/pthread_join(.*/pthread_join/' out | sort`),
	})
}

func TestGDB(t *testing.T) {
	bin := debuggee(t)
	session := func(name, args string, commands ...string) compare.Case {
		return compare.Case{
			Name: name, Need: []string{"gdb"}, Masks: debugMasks,
			Files:  map[string]string{"session.gdb": "set pagination off\nset confirm off\nset width 0\nset style enabled off\n" + strings.Join(commands, "\n") + "\n"},
			Script: "gdb -nx -batch -x session.gdb --args " + bin + " " + args + " 2>&1",
		}
	}
	cases := []compare.Case{
		session("one thread", "", "break add", "run", "bt", "info locals", "info args", "finish", "next", "print where", "set var where.y = 100",
			"print $rip", "stepi", "stepi", "print add(5, 6)", "print counter", "delete", "catch syscall getuid", "continue", "continue", "print $rax",
			"delete", "set can-use-hw-watchpoints 0", "watch where.x", "continue", "continue"),
		session("conditions and signals", "abort", "break main", "run", "tbreak strcmp", "continue", "finish", "handle SIGABRT nopass", "continue", "bt -1",
			"break fib if n == 1", "commands\nsilent\nprint n\ncontinue\nend", "info breakpoints", "continue"),
		session("children", "fork exec", "catch fork", "run", "delete", "set follow-fork-mode child", "break add", "catch exec", "continue", "bt 1", "continue"),
		session("exec", "exec", "catch exec", "run", "continue"),
		session("threads", "threads one-by-one", "break together", "run", "info threads", "thread 3", "bt -2", "thread apply all -s frame 0",
			"set scheduler-locking on", "thread 1", "next", "set scheduler-locking off", "break getuid", "commands\nsilent\nprint $_thread > 1\ncontinue\nend",
			"continue"),
	}
	if hostcan.DebugRegisters.Lacks() == nil {
		cases = append(cases,
			session("watchpoint", "threads", "break main", "run", "watch counter", "continue", "continue", "continue", "rwatch where.x", "info watchpoints", "continue"),
			session("hardware breakpoint", "", "hbreak twice", "run", "bt", "continue"))
	}
	attach := session("attach", "", "bt -2", "detach")
	attach.Script = `B=` + bin + `; mkfifo f; $B read < f & pid=$!; exec 3> f; until grep -q ^0 /proc/$pid/syscall; do read -t 0.05 < <(:); done
		gdb -nx -batch -x session.gdb -p $pid 2>&1 | grep '#'; echo x >&3; wait $pid; echo $?`
	cases = append(cases, attach)
	compare.Table(t, cases)
}
