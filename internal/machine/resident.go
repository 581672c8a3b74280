package machine

import (
	"os"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
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

// MemoryUse is what an address space takes of the host's memory, in bytes.
// What several have is shared out among them.
type MemoryUse struct {
	Private uint64 // anonymous
	Shared  uint64 // shared anonymous, and of files in memory
}

// Footprint is a quick upper bound of what the thread's address space takes:
// all that is resident. It may be called from any goroutine.
func (t *Thread) Footprint() uint64 {
	total, _ := t.Resident()
	return total
}

// MemoryUse goes through the page tables: it takes long for much memory. It
// may be called from any goroutine.
func (t *Thread) MemoryUse() (u MemoryUse) {
	if t.dead.Load() {
		return u
	}
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/smaps_rollup")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseUint(f[1], 10, 64)
		switch f[0] {
		case "Pss_Anon:":
			u.Private = kb << 10
		case "Pss_Shmem:":
			u.Shared = kb << 10
		}
	}
	return u
}

// mincoreMax is how many pages one host call is asked about: the answer, a byte
// a page, goes to this CPU's signal stack, which holds nothing just now.
const mincoreMax = 16384

// Mincore tells for each page from addr on whether it is in memory, as
// mincore(2) has it, and stops short of len(vec) with an error. The guest could
// write to where the answer passes; it would deceive itself.
func (t *Thread) Mincore(addr uint64, vec []byte) error {
	buf := stubStackAddr + uint64(t.cpu.id)*sigStackSize
	for len(vec) > 0 {
		n := min(len(vec), mincoreMax)
		if _, err := t.call(unix.SYS_MINCORE, addr, uint64(n)*pageSize, buf); err != nil {
			return err
		}
		if _, err := t.ReadMem(buf, vec[:n]); err != nil {
			return err
		}
		vec = vec[n:]
		addr += uint64(n) * pageSize
	}
	return nil
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

// MappingUse is how much of a mapping is in memory, in bytes; of that, what is
// the process's own and of no file.
type MappingUse struct {
	Start, End     uint64
	RSS, Anonymous uint64
}

// MappingUses is what the host says of each of the thread's mappings, which may
// be cut at other places than the guest's.
func (t *Thread) MappingUses() (list []MappingUse) {
	if t.dead.Load() {
		return nil
	}
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/smaps")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if lo, hi, ok := strings.Cut(f[0], "-"); ok {
			start, err1 := strconv.ParseUint(lo, 16, 64)
			end, err2 := strconv.ParseUint(hi, 16, 64)
			if err1 == nil && err2 == nil {
				list = append(list, MappingUse{Start: start, End: end})
			}
			continue
		}
		if len(list) == 0 {
			continue
		}
		kb, _ := strconv.ParseUint(f[1], 10, 64)
		switch last := &list[len(list)-1]; f[0] {
		case "Rss:":
			last.RSS = kb << 10
		case "Anonymous:":
			last.Anonymous = kb << 10
		}
	}
	return list
}
