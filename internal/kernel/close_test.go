package kernel

import (
	"os"
	"testing"
)

// hostFiles counts what this process has open, by name.
func hostFiles() map[string]int {
	m := map[string]int{}
	es, _ := os.ReadDir("/proc/self/fd")
	for _, e := range es {
		if l, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			m[l]++
		}
	}
	return m
}

// TestCloseUnmounts: memory that a guest leaves in files is given back.
func TestCloseUnmounts(t *testing.T) {
	dir := t.TempDir()
	buildC(t, dir, "a", `#include <fcntl.h>
#include <unistd.h>
#include <sys/mman.h>
#include <string.h>
int main() { int fd = open("/dev/shm/x", O_CREAT|O_RDWR, 0600); ftruncate(fd, 1<<20); char *p = mmap(0, 1<<20, 3, MAP_SHARED, fd, 0);
 memset(p, 1, 1<<20); int m = memfd_create("a", 0); ftruncate(m, 4096); p = mmap(0, 4096, 3, MAP_SHARED, m, 0); p[0] = 1;
 int z = open("/dev/zero", O_RDWR); p = mmap(0, 4096, 3, MAP_PRIVATE, z, 0); if (p[5]) return 9; p[5] = 1; return p[5] + 1; }`)
	before := hostFiles()
	if out, ws := runInTmp(t, dir, "/a"); ws != 2<<8 {
		t.Errorf("status %#x, %s", ws, out)
	}
	for name, n := range hostFiles() {
		if (name == "/memfd:sysemu (deleted)" || name == "/dev/zero") && n > before[name] {
			t.Errorf("left open: %d %s", n-before[name], name)
		}
	}
}
