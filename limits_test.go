package sysemu

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostMemory is what this process and the host processes of its guests have in
// memory, in bytes.
func hostMemory() (n int64) {
	for _, pid := range append(hostChildren("self"), os.Getpid()) {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "Pss:"); ok {
				k, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
				n += k << 10
			}
		}
	}
	return n
}

const hogHeader = `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static const char *name(void) { const char *s = strerrorname_np(errno); return s ? s : "?"; }
`

// Programs that take without end get the errors of their limits; the machine
// and the host go on.
func TestGreed(t *testing.T) {
	for _, tc := range []struct {
		name, source, want string
		signal             unix.Signal
	}{
		{name: "fork", want: "EAGAIN\n", source: `int main() {
	int n = 0;
	for (;;) { pid_t p = fork(); if (!p) { pause(); _exit(0); } if (p < 0) break; n++; }
	puts(name());
	if (n < 50 || n > 100) printf("%d\n", n);
	fflush(stdout);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(0) > 0) n--;
	if (n) printf("%d left\n", n);
}`},
		{name: "fork bomb", signal: unix.SIGKILL, source: `int main() { for (;;) fork(); }`},
		{name: "fork bomb of orphans", signal: unix.SIGKILL, source: `int main() { for (;;) { if (!fork()) { setsid(); if (fork()) _exit(0); } } }`},
		{name: "threads", want: "EAGAIN\n", source: `void *f(void *x) { pause(); return 0; }
int main() { pthread_t t; pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 65536); int e, n = 0; while ((e = pthread_create(&t, &a, f, 0)) == 0) n++; errno = e; puts(name()); if (n < 50 || n > 100) printf("%d\n", n); }`},
		{name: "open", want: "EMFILE 1024\n", source: `int main() { struct rlimit r = {1024, 1024}; setrlimit(RLIMIT_NOFILE, &r); int n = 3; while (open("/etc/passwd", O_RDONLY) >= 0) n++; printf("%s %d\n", name(), n); }`},
		{name: "pipes", want: "EMFILE\n", source: `int main() { int p[2]; while (pipe(p) == 0) ; puts(name()); }`},
		{name: "epolls in epolls, eventfds", want: "EMFILE\n", source: `int main() { int last = -1; for (;;) { int e = epoll_create1(0), v = eventfd(0, 0); if (e < 0 || v < 0) break; struct epoll_event ev = {EPOLLIN}; epoll_ctl(e, EPOLL_CTL_ADD, v, &ev); if (last >= 0) epoll_ctl(e, EPOLL_CTL_ADD, last, &ev); last = e; } puts(name()); }`},
		{name: "sockets", want: "EMFILE\n", source: `int main() { int p[2]; while (socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0) while (send(p[0], "x", 1, MSG_DONTWAIT) == 1) break; puts(name()); }`},
		{name: "inotify", want: "EMFILE\n", source: `int main() { for (;;) { int f = inotify_init(); if (f < 0) break; inotify_add_watch(f, "/tmp", IN_ALL_EVENTS); } puts(name()); }`},
		{name: "more descriptors", want: "EMFILE\n", source: `int main() { struct rlimit r = {1 << 20, 1 << 20}; setrlimit(RLIMIT_NOFILE, &r); for (int i = 0; i < 40000; i++) if (dup(0) < 0) { puts(name()); return 0; } r.rlim_cur = 100; setrlimit(RLIMIT_NOFILE, &r); if (dup(0) < 0) puts(name()); }`},
		{name: "a full pipe", want: "EAGAIN\n", source: `int main() { int p[2]; pipe2(p, O_NONBLOCK); static char b[65536]; while (write(p[1], b, sizeof b) > 0) ; puts(name()); }`},
		{name: "a full socket", want: "EAGAIN\n", source: `int main() { int p[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, p); static char b[65536]; while (send(p[1], b, sizeof b, MSG_DONTWAIT) > 0) ; puts(name()); }`},
		{name: "a full file system", want: "ENOSPC\n", source: `int main() { int f = open("/dev/shm/big", O_CREAT | O_RDWR, 0600); static char b[1 << 20]; memset(b, 1, sizeof b); while (write(f, b, sizeof b) > 0) ; puts(name()); unlink("/dev/shm/big"); }`},
		{name: "a full root", want: "ENOSPC\n", source: `int main() { int f = open("/tmp/big", O_CREAT | O_RDWR, 0600); static char b[1 << 20]; memset(b, 1, sizeof b); while (write(f, b, sizeof b) > 0) ; puts(name()); unlink("/tmp/big"); }`},
		{name: "reserving space", want: "ENOSPC ENOSPC\n", source: `int main() { int f = open("/tmp/big", O_CREAT | O_RDWR, 0600); int e = posix_fallocate(f, 0, 1ll << 40); errno = e; printf("%s ", name()); f = memfd_create("x", 0); e = posix_fallocate(f, 0, 1ll << 33); errno = e; puts(name()); unlink("/tmp/big"); }`},
		{name: "sparse files", want: "done\n", source: `int main() { char n[50]; for (int i = 0; i < 1000; i++) { sprintf(n, "/tmp/sparse%d", i); int f = open(n, O_CREAT | O_RDWR, 0600); ftruncate(f, 1ll << 60); pwrite(f, "x", 1, (1ll << 59) + i); close(f); unlink(n); } puts("done"); }`},
		{name: "deep directories", want: "done\n", source: `int main() { for (int i = 0; i < 5000; i++) { if (mkdir("d", 0700) || chdir("d")) { puts(name()); return 1; } } puts("done"); char b[100]; getcwd(b, sizeof b); }`},
		{name: "queued signals", want: "EAGAIN\n", source: `int main() { struct rlimit r = {1000, 1000}; setrlimit(RLIMIT_SIGPENDING, &r); sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); union sigval v = {0}; for (int i = 0; i < 200000; i++) if (sigqueue(getpid(), SIGRTMIN, v)) { puts(name()); return 0; } puts("no limit"); }`},
		{name: "address space", want: "ENOMEM\n", source: `int main() { long n = 0; for (;;) { void *p = mmap(0, 1ul << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); if (p == MAP_FAILED) break; if (++n > 1000) break; } puts(name()); }`},
		{name: "limited address space", want: "ENOMEM\n", source: `int main() { struct rlimit r = {1 << 28, 1 << 28}; setrlimit(RLIMIT_AS, &r); for (int i = 0; i < 10000; i++) if (mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) { puts(name()); return 0; } puts("no limit"); }`},
		{name: "memory", signal: unix.SIGKILL, source: `int main() { for (;;) { char *p = malloc(1 << 20); if (!p) { puts(name()); pause(); } memset(p, 1, 1 << 20); } }`},
		{name: "memory of many", signal: unix.SIGKILL, source: `int main() { for (int i = 0; i < 20; i++) fork(); for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); } }`},
		{name: "recursion", signal: unix.SIGSEGV, source: `int f(volatile char *p) { volatile char b[1000]; b[0] = *p; return f(b) + b[0]; }
int main() { char c = 1; return f(&c); }`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if testing.Short() && strings.HasPrefix(tc.name, "memory") {
				t.Skip("short")
			}
			bin := buildC(t, hogHeader+tc.source)
			var log reports
			m, err := New(WithPIDs(100), WithMemory(200<<20), WithLog(log.add), WithTmpfs("/w"))
			if err != nil {
				t.Fatal(err)
			}
			defer closeMachine(t, m)
			before := hostMemory()
			var most int64
			// Bombs do not end: they are stopped after a while.
			d := 20 * time.Second
			if strings.HasPrefix(tc.name, "fork bomb") || tc.name == "memory of many" {
				d = time.Second
			}
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			c := m.CommandContext(ctx, bin)
			c.Dir = "/w"
			var out strings.Builder
			c.Stdout, c.Stderr = &out, &out
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Wait()
			}()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			limit := time.After(40 * time.Second)
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true
				case <-limit:
					panic("a greedy program hangs: " + tc.name)
				case <-tick.C:
					most = max(most, hostMemory()-before)
				}
			}
			s := c.ProcessState
			if tc.signal != 0 {
				if s.Exited() || s.Sys().Signal() != tc.signal {
					t.Errorf("%v, %q", s, out.String())
				}
			} else if out.String() != tc.want || !s.Exited() {
				t.Errorf("%v: %q, want %q", s, out.String(), tc.want)
			}
			// The limit is looked at some 25 times a second: what many processes
			// touch between two looks goes over it.
			if most > 4<<30 {
				t.Errorf("the host gave %d MiB", most>>20)
			}
			for _, msg := range log.list() {
				if !strings.Contains(msg, "out of memory") {
					t.Errorf("the kernel reports: %s", msg)
				}
			}
			// Bombs may have left others at work; who is not one of them gets
			// a turn all the same, or there is no process left for it.
			if !strings.Contains(tc.name, "bomb") && tc.name != "memory of many" {
				if out, err := m.Command("echo", "well").Output(); string(out) != "well\n" || err != nil {
					t.Errorf("afterwards: %q %v", out, err)
				}
			}
		})
	}
}
