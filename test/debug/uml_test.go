package debug

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
)

// umlBoot starts User-Mode Linux on the host's files, with ./init as its first program.
const umlBoot = `linux.uml umid=sysemu-$$ uml_dir=$PWD root=/dev/root rootfstype=hostfs rootflags=/ ro mem=64M con=null con0=fd:0,fd:1 init=$PWD/init </dev/null`

// umlInit is what User-Mode Linux runs.
func umlInit(body string) map[string]string {
	return map[string]string{"init*": "#!/bin/sh\nmount -t proc proc /proc\necho '<init>'\n" + body + "echo '</init>'\n/sbin/poweroff -f\nsleep 20\n"}
}

// User-Mode Linux is what PTRACE_SYSEMU was made for. Its kernel is a ptracer of many processes that share the memory it
// serves them, and tests for both forms of the request when it starts.
func TestUserModeLinux(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "boot", Outside: true, Timeout: 4 * time.Minute, Need: []string{"linux.uml"}, Files: umlInit(`
uname -sr; echo $$; cat /proc/sysemu
ls -d /etc /usr /bin/sh; sh -c 'kill -9 $$'; echo "killed $?"
seq 1000 | sort -n | tail -1 | sha1sum
(sleep 0.2; echo later) & wait; echo waited
`), Script: `$IN ` + strings.ReplaceAll(umlBoot, "$$", "boot") + ` >log 2>&1; echo "status $?"
tr -d '\r' <log | grep -aE 'syscall emulation|Checking that ptrace|Mounted root|System halted'; tr -d '\r' <log | sed -n '/^<init>/,/^<.init>/p'; rm -rf log sysemu-boot`},
	})
}

// Written to inside, /proc/sysemu switches its tracing of running processes from PTRACE_SYSEMU to PTRACE_SYSCALL and back.
// On today's Linux that brings UML's 6.1 down: it meets the exit stop of a call that was skipped. The series' rule has none.
func TestUserModeLinuxSwitches(t *testing.T) {
	compare.Enabled(t)
	if _, err := exec.LookPath("linux.uml"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, content := range umlInit(`
mount -t tmpfs t /mnt
(i=0; while [ $i -lt 10 ]; do i=$((i+1)); /bin/true; done; echo "loop $i" > /mnt/loop) & 
for mode in 0 2 1 0 2 0 1 2; do echo $mode > /proc/sysemu; read m < /proc/sysemu; echo "mode $m: $(echo works | cat)"; done
wait; cat /mnt/loop
`) {
		if err := os.WriteFile(filepath.Join(dir, strings.TrimSuffix(name, "*")), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := compare.Inside(ctx, "/bin/sh", "-c", umlBoot)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	log := strings.ReplaceAll(string(out), "\r", "")
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		"Checking syscall emulation patch for ptrace...OK\n",
		"Checking advanced syscall emulation patch for ptrace...OK\n",
		"mode 0: works\nmode 2: works\nmode 1: works\nmode 0: works\nmode 2: works\nmode 0: works\nmode 1: works\nmode 2: works\nloop 10\n</init>\n",
		"reboot: System halted\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}
