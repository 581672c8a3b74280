package machine

import (
	"os"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/ptrace"
)

// Resident is how many bytes of the thread's address space are in memory, and
// how many of those are of files or shared, as the host counts them.
func (t *Thread) Resident() (total, shared uint64) {
	if t.dead.Load() {
		return 0, 0
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/statm")
	f := strings.Fields(string(b))
	if err != nil || len(f) < 3 {
		return 0, 0
	}
	total, _ = strconv.ParseUint(f[1], 10, 64)
	shared, _ = strconv.ParseUint(f[2], 10, 64)
	return total * pageSize, shared * pageSize
}

// Proportional is how many bytes of anonymous memory the thread's address
// space has, each page divided by the number of spaces that share it. It takes
// long: the host goes through all pages.
func (t *Thread) Proportional() uint64 {
	if t.dead.Load() {
		return 0
	}
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/smaps_rollup")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Pss_Anon:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// ForceRead and ForceWrite are ReadMem and WriteMem whatever the pages'
// protection: a private page is copied before it is written.
func (t *Thread) ForceRead(addr uint64, p []byte) (int, error) {
	return ptrace.ReadMemForce(t.pid, addr, p)
}

func (t *Thread) ForceWrite(addr uint64, p []byte) (int, error) {
	return ptrace.WriteMemForce(t.pid, addr, p)
}

// HostMaps is what the host says of the thread's mappings, as /proc/PID/maps
// has it: for tests of who keeps books of them.
func (t *Thread) HostMaps() ([]byte, error) {
	return os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/maps")
}
