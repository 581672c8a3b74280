// Gomicro stands in for guest/micro.c on a machine without a C compiler. It
// takes the same arguments and prints the same, but has only those
// benchmarks in which Go's runtime does not take part.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const someFile = "/etc/passwd"

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// loop times n calls of f.
func loop(n int, f func() error) time.Duration {
	begin := time.Now()
	for range n {
		if err := f(); err != nil {
			check(err)
		}
	}
	return time.Since(begin)
}

func anonymous(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	check(err)
	return b
}

// call is a system call without arguments.
func call(nr uintptr) func(n int) time.Duration {
	return func(n int) time.Duration {
		return loop(n, func() error { unix.RawSyscall(nr, 0, 0, 0); return nil })
	}
}

// reading times reads of 4096 bytes at an offset.
func reading(path string, pread bool) func(n int) time.Duration {
	return func(n int) time.Duration {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		check(err)
		defer unix.Close(fd)
		buf := make([]byte, 4096)
		if pread {
			return loop(n, func() error { _, err := unix.Pread(fd, buf, 4096); return err })
		}
		return loop(n, func() error { _, err := unix.Read(fd, buf); return err })
	}
}

var benchmarks = map[string]func(n int) time.Duration{
	"getppid":     call(unix.SYS_GETPPID),
	"sched_yield": call(unix.SYS_SCHED_YIELD),
	"clock_gettime": func(n int) time.Duration {
		return loop(n, func() error { time.Now(); return nil })
	},
	"read-zero": reading("/dev/zero", false),
	"pread-4k":  reading("/proc/self/exe", true),
	"open-fstat-close": func(n int) time.Duration {
		var st unix.Stat_t
		return loop(n, func() error {
			fd, err := unix.Open(someFile, unix.O_RDONLY, 0)
			check(err)
			check(unix.Fstat(fd, &st))
			return unix.Close(fd)
		})
	},
	"stat": func(n int) time.Duration {
		var st unix.Stat_t
		return loop(n, func() error { return unix.Stat(someFile, &st) })
	},
	"create-write-unlink": func(n int) time.Duration {
		dir, err := os.MkdirTemp("/dev/shm", "sysemu-bench-")
		if err != nil {
			dir, err = os.MkdirTemp("", "sysemu-bench-")
		}
		check(err)
		defer os.RemoveAll(dir)
		path := dir + "/file"
		return loop(n, func() error {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
			check(err)
			_, err = unix.Write(fd, []byte("hello"))
			check(err)
			check(unix.Close(fd))
			return unix.Unlink(path)
		})
	},
	"mmap-touch-munmap": func(n int) time.Duration {
		return loop(n, func() error {
			b := anonymous(4096)
			b[0] = 1
			return unix.Munmap(b)
		})
	},
	"mprotect": func(n int) time.Duration {
		b := anonymous(4096)
		defer unix.Munmap(b)
		prot := unix.PROT_READ
		return loop(n, func() error {
			prot ^= unix.PROT_WRITE
			return unix.Mprotect(b, prot)
		})
	},
	"touch-page": func(n int) time.Duration {
		const most = 64 << 20 / 4096
		var sum time.Duration
		for n > 0 {
			k := min(n, most)
			b := anonymous(k * 4096)
			unix.Madvise(b, unix.MADV_NOHUGEPAGE)
			i := -4096
			sum += loop(k, func() error { i += 4096; b[i] = 1; return nil })
			check(unix.Munmap(b))
			n -= k
		}
		return sum
	},
	"cpu": func(n int) time.Duration {
		x := uint64(88172645463325252)
		begin := time.Now()
		for range n * 1000 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		sink = x
		return time.Since(begin)
	},
}

var sink uint64

func main() {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gomicro NAME MS REPS")
		os.Exit(2)
	}
	run := benchmarks[os.Args[1]]
	if run == nil {
		fmt.Fprintln(os.Stderr, "needs a C compiler")
		os.Exit(1)
	}
	ms, err := strconv.Atoi(os.Args[2])
	check(err)
	reps, err := strconv.Atoi(os.Args[3])
	check(err)
	least := time.Duration(ms) * time.Millisecond
	n := 1
	took := run(n)
	for took < least && n < 1<<40 {
		n = min(n*100, int(float64(n)*1.125*float64(least)/float64(max(took, 1)))+1)
		took = run(n)
	}
	fmt.Printf("%.3f\n", float64(took)/float64(n))
	for range reps - 1 {
		fmt.Printf("%.3f\n", float64(run(n))/float64(n))
	}
}
