package sysemu

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A guest that takes memory without end is stopped, the others go on, and the
// host does not notice.
func TestMemoryLimit(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	m := testMachine(t, WithMemory(64<<20), WithLog(func(msg string) {
		mu.Lock()
		defer mu.Unlock()
		log.WriteString(msg + "\n")
	}))
	free := hostAvailable(t)
	for _, tc := range []struct {
		name, script, want string
	}{
		{"private", "tail /dev/zero; echo $?; ls -d /", "137\n/\n"},
		{"twice", "tail /dev/zero & tail /dev/zero & wait; cat /proc/vmstat | grep oom | wc -l", "1\n"},
		{"files", "dd if=/dev/zero of=/tmp/big bs=1M 2>&1 | grep -c 'No space'; rm /tmp/big; dd if=/dev/zero of=/tmp/ok bs=1M count=20 2>/dev/null && echo well; rm /tmp/ok", "1\nwell\n"},
		{"told", "head -1 /proc/meminfo", "MemTotal:          65536 kB\n"},
	} {
		out, err := m.Command("bash", "-c", tc.script).Output()
		var exit *ExitError
		if err != nil && !errors.As(err, &exit) || string(out) != tc.want {
			t.Errorf("%s: %q, %v", tc.name, out, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "out of memory") {
		t.Errorf("the operator was told: %q", log.String())
	}
	if now := hostAvailable(t); now+(4<<30) < free {
		t.Errorf("the host had %d MiB, now %d", free>>20, now>>20)
	}
}

func hostAvailable(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == "MemAvailable:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	t.Skip("this host does not say how much memory it has")
	return 0
}
