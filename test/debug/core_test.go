package debug

import (
	"os"
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
)

// Core files, as gdb reads them. They are written to the scratch directory of a case.
func TestCoreFiles(t *testing.T) {
	bin := debuggee(t)
	if p, err := os.ReadFile("/proc/sys/kernel/core_pattern"); err != nil || string(p) != "core\n" {
		t.Skipf("the host puts cores elsewhere: %q", p)
	}
	run := func(name, script string) compare.Case {
		return compare.Case{Name: name, Need: []string{"gdb"}, Masks: debugMasks,
			Script: "ulimit -c unlimited; B=" + bin + `
				look() { gdb -nx -batch -ex 'set width 0' "$@" $B core* 2>&1 | grep -v '^\[New LWP\|reg-xstate\|^$\|libthread_db'; }
				` + script}
	}
	// Linux 6.18 calls it a dump in the wait status, which bash shows, when the file is refused for being a link.
	compare.Table(t, []compare.Case{
		run("crash", `$B crash; echo $?; look -ex bt -ex 'print counter' -ex 'print $_siginfo.si_signo' -ex 'print/x $_siginfo._sifields._sigfault.si_addr' \
			-ex 'info auxv' -ex 'x/i $pc' | sed '/^[0-9]* *AT_/{/AT_PAGESZ\|AT_CLKTCK\|AT_PHNUM\|AT_NULL/!d}; /???/d'; stat -c %a core*; ls`),
		run("threads", `$B threads 3>&1 2>/dev/null; gdb -nx -batch -ex 'break together' -ex run -ex 'signal SIGQUIT' $B > /dev/null 2>&1
			look -ex 'thread apply all -s bt -3' -ex 'info threads'`),
		run("where it goes", `cat /proc/sys/kernel/core_pattern; ulimit -Sc 0; $B abort; echo $?; ls; ulimit -Sc unlimited; mkdir core; $B abort; echo $?; rmdir core
			ln -s elsewhere core; { $B abort; } 2> /dev/null; echo $?; ls; rm core; echo > mine; ln mine core; { $B abort; } 2> /dev/null; echo $?; wc -c mine`),
		run("by gdb", `gdb -nx -batch -ex 'break fib' -ex run -ex 'generate-core-file core' $B > /dev/null 2>&1; look -ex bt`),
	})
}
