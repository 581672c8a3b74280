// Micro-benchmarks: micro NAME MS REPS measures NAME in rounds of at least MS
// milliseconds and prints REPS lines, the nanoseconds of one operation in each
// round. Anything that fails ends it with a line on standard error, status 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define MIB (1 << 20)
#define SOME_FILE "/etc/passwd"

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fail(const char *what) {
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static long check(long r, const char *what) {
	if (r < 0)
		fail(what);
	return r;
}

static void *map(size_t n, int prot) {
	void *p = mmap(0, n, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static void touch(volatile char *p, size_t n) {
	for (size_t i = 0; i < n; i += 4096)
		p[i] = 1;
}

// Reaps a child that must have ended well.
static void reap(pid_t pid) {
	int status;
	check(waitpid(pid, &status, 0), "waitpid");
	if (status != 0) {
		fprintf(stderr, "child: status %x\n", status);
		exit(1);
	}
}

// Each benchmark does n operations and returns how long they took, without
// what comes before and after.

// What a call costs a tracer at least: PTRACE_SYSEMU, wait4, PTRACE_GETREGS and
// PTRACE_POKEUSER, both on one CPU. Natively it is the floor of every call that
// sysemu serves on this host.
static uint64_t do_ptrace_stop(uint64_t n) {
#ifdef __x86_64__
	const size_t result = offsetof(struct user_regs_struct, rax);
#else
	const size_t result = offsetof(struct user_regs_struct, eax);
#endif
	cpu_set_t old, one;
	check(sched_getaffinity(0, sizeof old, &old), "sched_getaffinity");
	int cpu = 0;
	while (!CPU_ISSET(cpu, &old))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	check(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
	pid_t pid = check(fork(), "fork");
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (;;)
			syscall(SYS_getppid);
	}
	int status;
	check(waitpid(pid, &status, 0), "waitpid");
	check(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL), "PTRACE_SETOPTIONS");
	struct user_regs_struct regs;
	uint64_t t = now();
	while (n--) {
		check(ptrace(PTRACE_SYSEMU, pid, 0, 0), "PTRACE_SYSEMU");
		check(wait4(pid, &status, __WALL, 0), "wait4");
		check(ptrace(PTRACE_GETREGS, pid, 0, &regs), "PTRACE_GETREGS");
		check(ptrace(PTRACE_POKEUSER, pid, result, 1), "PTRACE_POKEUSER");
	}
	t = now() - t;
	kill(pid, SIGKILL);
	check(waitpid(pid, &status, 0), "waitpid");
	check(sched_setaffinity(0, sizeof old, &old), "sched_setaffinity");
	return t;
}

static uint64_t do_getppid(uint64_t n) {
	uint64_t t = now();
	while (n--)
		syscall(SYS_getppid);
	return now() - t;
}

// The ways that 32-bit code has: int $0x80, also in 64-bit code, and what the
// kernel says is best.
static uint64_t do_int80(uint64_t n) {
	uint64_t t = now();
	while (n--) {
		long r = 64; // getppid
		asm volatile("int $0x80" : "+a"(r) : : "memory");
		if (r < 0)
			fail("getppid");
	}
	return now() - t;
}

#ifdef __i386__
static uint64_t do_vsyscall(uint64_t n) {
	uintptr_t entry = getauxval(AT_SYSINFO);
	if (!entry)
		fail("no __kernel_vsyscall");
	uint64_t t = now();
	while (n--) {
		long r = 64;
		asm volatile("call *%1" : "+a"(r) : "r"(entry) : "memory");
		if (r < 0)
			fail("getppid");
	}
	return now() - t;
}
#endif

static uint64_t do_clock_gettime(uint64_t n) {
	struct timespec ts;
	uint64_t t = now();
	while (n--)
		clock_gettime(CLOCK_REALTIME, &ts);
	return now() - t;
}

static uint64_t do_read_zero(uint64_t n) {
	static char buf[4096];
	int fd = check(open("/dev/zero", O_RDONLY), "/dev/zero");
	uint64_t t = now();
	while (n--)
		if (read(fd, buf, sizeof buf) != sizeof buf)
			fail("read");
	t = now() - t;
	close(fd);
	return t;
}

static uint64_t do_pingpong(uint64_t n) {
	int to[2], from[2];
	char c = 'x';
	check(pipe(to), "pipe");
	check(pipe(from), "pipe");
	pid_t pid = check(fork(), "fork");
	if (pid == 0) {
		close(to[1]);
		while (read(to[0], &c, 1) == 1)
			if (write(from[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	uint64_t t = now();
	while (n--)
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			fail("pipe");
	t = now() - t;
	close(to[1]);
	close(from[0]);
	reap(pid);
	return t;
}

static uint64_t throughput(uint64_t n, size_t block) {
	static char buf[65536];
	int p[2];
	check(pipe(p), "pipe");
	pid_t pid = check(fork(), "fork");
	if (pid == 0) {
		close(p[0]);
		for (uint64_t i = 0; i < n; i++)
			for (size_t k = 0; k < block;) {
				long w = write(p[1], buf + k, block - k);
				if (w <= 0)
					_exit(1);
				k += w;
			}
		_exit(0);
	}
	close(p[1]);
	uint64_t t = now(), left = n * block;
	while (left) {
		long r = read(p[0], buf, block);
		if (r <= 0)
			fail("read");
		left -= r;
	}
	t = now() - t;
	close(p[0]);
	reap(pid);
	return t;
}

static uint64_t do_pipe4k(uint64_t n) { return throughput(n, 4096); }
static uint64_t do_pipe64k(uint64_t n) { return throughput(n, 65536); }

static uint64_t do_open(uint64_t n) {
	struct stat st;
	uint64_t t = now();
	while (n--) {
		int fd = check(open(SOME_FILE, O_RDONLY), SOME_FILE);
		check(fstat(fd, &st), "fstat");
		close(fd);
	}
	return now() - t;
}

static uint64_t do_stat(uint64_t n) {
	struct stat st;
	uint64_t t = now();
	while (n--)
		check(stat(SOME_FILE, &st), SOME_FILE);
	return now() - t;
}

static uint64_t do_create(uint64_t n) {
	// In memory on either side, else the host's disk is what is measured.
	char shm[] = "/dev/shm/sysemu-bench-XXXXXX", tmp[] = "/tmp/sysemu-bench-XXXXXX", path[64];
	char *name = mkdtemp(shm) ? shm : mkdtemp(tmp);
	if (!name)
		fail("mkdtemp");
	snprintf(path, sizeof path, "%s/file", name);
	uint64_t t = now();
	while (n--) {
		int fd = check(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600), "create");
		if (write(fd, "hello", 5) != 5)
			fail("write");
		close(fd);
		check(unlink(path), "unlink");
	}
	t = now() - t;
	rmdir(name);
	return t;
}

static uint64_t do_pread(uint64_t n) {
	static char buf[4096];
	int fd = check(open("/proc/self/exe", O_RDONLY), "/proc/self/exe");
	uint64_t t = now();
	while (n--)
		if (pread(fd, buf, sizeof buf, (n & 63) * 4096) != sizeof buf)
			fail("pread");
	t = now() - t;
	close(fd);
	return t;
}

static uint64_t do_fork(uint64_t n) {
	uint64_t t = now();
	while (n--) {
		pid_t pid = check(fork(), "fork");
		if (pid == 0)
			_exit(0);
		reap(pid);
	}
	return now() - t;
}

static uint64_t do_vfork(uint64_t n) {
	uint64_t t = now();
	while (n--) {
		pid_t pid = check(vfork(), "vfork");
		if (pid == 0)
			_exit(0);
		reap(pid);
	}
	return now() - t;
}

static uint64_t do_fork64(uint64_t n) {
	static char *p;
	if (!p) {
		p = map(64 * MIB, PROT_READ | PROT_WRITE);
		madvise(p, 64 * MIB, MADV_NOHUGEPAGE);
		touch(p, 64 * MIB);
	}
	return do_fork(n);
}

static uint64_t do_exec(uint64_t n) {
	char *argv[] = {"true", 0}, *env[] = {0};
	uint64_t t = now();
	while (n--) {
		pid_t pid = check(fork(), "fork");
		if (pid == 0) {
			execve("/bin/true", argv, env);
			_exit(1);
		}
		reap(pid);
	}
	return now() - t;
}

static uint64_t do_mmap(uint64_t n) {
	uint64_t t = now();
	while (n--) {
		char *p = map(4096, PROT_READ | PROT_WRITE);
		touch(p, 4096);
		check(munmap(p, 4096), "munmap");
	}
	return now() - t;
}

static uint64_t do_mprotect(uint64_t n) {
	char *p = map(4096, PROT_READ | PROT_WRITE);
	touch(p, 4096);
	uint64_t t = now();
	while (n--)
		check(mprotect(p, 4096, n & 1 ? PROT_READ : PROT_READ | PROT_WRITE), "mprotect");
	t = now() - t;
	munmap(p, 4096);
	return t;
}

static uint64_t do_touch(uint64_t n) {
	const uint64_t most = 64 * MIB / 4096;
	uint64_t sum = 0;
	while (n) {
		uint64_t k = n < most ? n : most;
		char *p = map(k * 4096, PROT_READ | PROT_WRITE);
		madvise(p, k * 4096, MADV_NOHUGEPAGE);
		uint64_t t = now();
		touch(p, k * 4096);
		sum += now() - t;
		munmap(p, k * 4096);
		n -= k;
	}
	return sum;
}

// A thousand steps of a generator are one operation.
static uint64_t do_cpu(uint64_t n) {
	volatile uint64_t sink;
	uint64_t x = 88172645463325252ull, t = now();
	for (uint64_t i = 0; i < n * 1000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	sink = x;
	(void)sink;
	return now() - t;
}

static int ball;

static void futex_wait(int while_) {
	while (__atomic_load_n(&ball, __ATOMIC_ACQUIRE) == while_)
		syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, while_, 0, 0, 0);
}

static void futex_set(int v) {
	__atomic_store_n(&ball, v, __ATOMIC_RELEASE);
	syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static void *futex_other(void *n) {
	for (uint64_t i = *(uint64_t *)n; i--;) {
		futex_wait(0);
		futex_set(0);
	}
	return 0;
}

static uint64_t do_futex(uint64_t n) {
	pthread_t th;
	uint64_t count = n;
	ball = 0;
	if (pthread_create(&th, 0, futex_other, &count))
		fail("pthread_create");
	uint64_t t = now();
	while (n--) {
		futex_set(1);
		futex_wait(1);
	}
	t = now() - t;
	pthread_join(th, 0);
	return t;
}

static uint64_t do_yield(uint64_t n) {
	uint64_t t = now();
	while (n--)
		sched_yield();
	return now() - t;
}

static volatile uint64_t handled;

static void on_usr1(int sig) {
	(void)sig;
	handled++;
}

static uint64_t do_signal(uint64_t n) {
	struct sigaction sa = {.sa_handler = on_usr1};
	check(sigaction(SIGUSR1, &sa, 0), "sigaction");
	pid_t pid = getpid();
	handled = 0;
	uint64_t t = now(), want = n;
	while (n--)
		kill(pid, SIGUSR1);
	t = now() - t;
	if (handled != want)
		fail("a signal was not handled");
	return t;
}

static void on_segv(int sig, siginfo_t *info, void *uc) {
	(void)sig;
	(void)info;
#ifdef __i386__
#define REG_RIP REG_EIP
#endif
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP] += 2; // past the load
	handled++;
}

static uint64_t do_segv(uint64_t n) {
	struct sigaction sa = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
	check(sigaction(SIGSEGV, &sa, 0), "sigaction");
	char *p = map(4096, PROT_NONE);
	handled = 0;
	uint64_t t = now(), want = n;
	while (n--)
		asm volatile(".byte 0x8a, 0x07" : : "D"(p) : "ax", "memory"); // mov (%rdi), %al
	t = now() - t;
	if (handled != want)
		fail("a fault was not handled");
	munmap(p, 4096);
	return t;
}

static const struct {
	const char *name;
	uint64_t (*run)(uint64_t n);
} benchmarks[] = {
    {"ptrace-stop", do_ptrace_stop},
    {"getppid", do_getppid},
    {"int80", do_int80},
#ifdef __i386__
    {"vsyscall", do_vsyscall},
#endif
    {"clock_gettime", do_clock_gettime},
    {"read-zero", do_read_zero},
    {"pipe-pingpong", do_pingpong},
    {"pipe-4k", do_pipe4k},
    {"pipe-64k", do_pipe64k},
    {"open-fstat-close", do_open},
    {"stat", do_stat},
    {"create-write-unlink", do_create},
    {"pread-4k", do_pread},
    {"fork-exit-wait", do_fork},
    {"vfork", do_vfork},
    {"fork-64m", do_fork64},
    {"fork-exec-wait", do_exec},
    {"mmap-touch-munmap", do_mmap},
    {"mprotect", do_mprotect},
    {"touch-page", do_touch},
    {"cpu", do_cpu},
    {"futex-pingpong", do_futex},
    {"sched_yield", do_yield},
    {"signal-self", do_signal},
    {"sigsegv", do_segv},
};

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "usage: micro NAME MS REPS\n");
		return 2;
	}
	uint64_t least = strtoull(argv[2], 0, 10) * 1000000;
	int reps = atoi(argv[3]);
	for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++) {
		if (strcmp(benchmarks[i].name, argv[1]))
			continue;
		uint64_t n = 1, t;
		while ((t = benchmarks[i].run(n)) < least && n < 1ull << 40) {
			uint64_t guess = t ? n * (least + least / 8) / t + 1 : n * 100;
			n = guess > n * 100 ? n * 100 : guess;
		}
		// The round that found n was one as good as the others.
		printf("%.3f\n", (double)t / n);
		while (--reps > 0)
			printf("%.3f\n", (double)benchmarks[i].run(n) / n);
		return 0;
	}
	fprintf(stderr, "no benchmark %s\n", argv[1]);
	return 2;
}
