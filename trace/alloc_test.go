package trace

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// hot are calls that programs make by the hundred thousand.
var hot = []struct {
	name string
	args [6]uint64
	ret  uint64
	err  unix.Errno
}{
	{"read", [6]uint64{3, 0x10000, 100}, 100, 0},
	{"write", [6]uint64{1, 0x10000, 1}, 1, 0},
	{"openat", [6]uint64{^uint64(99), 0x10100, unix.O_RDONLY | unix.O_CLOEXEC}, 3, 0},
	{"openat", [6]uint64{^uint64(99), 0x10100, unix.O_RDONLY | unix.O_CLOEXEC}, 0, unix.ENOENT},
	{"close", [6]uint64{3}, 0, 0},
	{"newfstatat", [6]uint64{^uint64(99), 0x10100, 0x10200, 0}, 0, 0},
	{"mmap", [6]uint64{0, 4096, 3, 0x22, ^uint64(0), 0}, 0x7f0000000000, 0},
	{"lseek", [6]uint64{3, 0, 1}, 0, 0},
	{"clock_gettime", [6]uint64{1, 0x10300}, 0, 0},
	{"rt_sigprocmask", [6]uint64{0, 0x10300, 0, 8}, 0, 0},
	{"futex", [6]uint64{0x10300, abi.FUTEX_WAKE | abi.FUTEX_PRIVATE_FLAG, 1}, 0, 0},
	{"getdents64", [6]uint64{3, 0x10400, 4096}, 0, 0},
}

func hotMemory() fakeMemory {
	mem := fakeMemory{0x10000, make([]byte, 8192)}
	copy(mem.b, "some text of a file\nand more of it that is long enough to be cut off")
	copy(mem.b[0x100:], "/usr/lib/x86_64-linux-gnu/libc.so.6\x00")
	return mem
}

// A line of a call that is made often costs no memory.
func TestLinesAllocateNothing(t *testing.T) {
	var p printer
	p.style = style{strings: 32}
	mem := memory(hotMemory())
	for _, c := range hot {
		nr := abi.ByName(c.name).AMD64
		if n := testing.AllocsPerRun(100, func() {
			p.begin(mem, abi.AMD64, nr, c.args)
			p.enter()
			p.leave(c.ret, c.err)
			p.result()
		}); n > 0 {
			t.Errorf("%s allocates %v times", c.name, n)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	var p printer
	p.style = style{strings: 32}
	mem := memory(hotMemory())
	for i := range b.N {
		c := &hot[i%len(hot)]
		p.begin(mem, abi.AMD64, abi.ByName(c.name).AMD64, c.args)
		p.enter()
		p.leave(c.ret, c.err)
		p.result()
	}
}
