// What every guest program shares: a table of named tests, and printing of results that is the same from run to run.
//
// A program without arguments lists its tests; with names as arguments it runs those. A test prints relations and error
// names, never a process number, an address or a time.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __i386__ // what x86-64 calls other names
#define REG_RIP REG_EIP
#define REG_RSP REG_ESP
#define REG_RAX REG_EAX
#define REG_RBX REG_EBX
#define SYS_newfstatat SYS_fstatat64
#endif

struct test {
	const char *name;
	void (*run)(void);
};
static struct test tests[200];
static int ntests;

#define TEST(NAME)                                                                           \
	static void test_##NAME(void);                                                       \
	__attribute__((constructor)) static void register_##NAME(void)                       \
	{                                                                                    \
		tests[ntests++] = (struct test){#NAME, test_##NAME};                         \
	}                                                                                    \
	static void test_##NAME(void)

static inline const char *errname(int e)
{
	const char *s = strerrorname_np(e);
	return s ? s : "?";
}

__attribute__((format(printf, 1, 2))) static inline void say(const char *fmt, ...)
{
	char buf[4096];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(buf, sizeof buf - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof buf - 2)
		n = sizeof buf - 2;
	buf[n++] = '\n';
	// One write, past stdio: children may die at any time and a fork must not double the buffer.
	if (write(1, buf, n) != n)
		_exit(99);
}

static inline long reported(const char *what, long r)
{
	int e = errno;
	if (r == -1)
		say("%s: %s", what, errname(e));
	else
		say("%s: %ld", what, r);
	errno = e;
	return r;
}

static inline long succeeded(const char *what, long r)
{
	int e = errno;
	if (r == -1)
		say("%s: %s", what, errname(e));
	else
		say("%s: ok", what);
	errno = e;
	return r;
}

// R shows an expression with its result or the error's name; OK shows only whether it succeeded, for descriptors,
// process numbers and addresses.
#define R(e) reported(#e, (long)(e))
#define OK(e) succeeded(#e, (long)(e))
// T shows whether something is true.
#define T(e) say("%s: %s", #e, (e) ? "yes" : "no")

static inline void die(const char *what)
{
	say("%s failed: %s", what, errname(errno));
	_exit(98);
}

// must does what a test needs but does not test.
#define must(e)                                                                              \
	({                                                                                   \
		__typeof__(e) r_ = (e);                                                      \
		if ((long)r_ == -1)                                                          \
			die(#e);                                                             \
		r_;                                                                          \
	})

static inline void millis(int n)
{
	struct timespec ts = {n / 1000, n % 1000 * 1000000L};
	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

static inline double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline void show_status(const char *what, int st)
{
	if (WIFEXITED(st))
		say("%s: exited %d", what, WEXITSTATUS(st));
	else if (WIFSIGNALED(st))
		say("%s: killed by %s", what, sigabbrev_np(WTERMSIG(st)) ?: "a real-time signal");
	else if (WIFSTOPPED(st))
		say("%s: stopped by %s", what, sigabbrev_np(WSTOPSIG(st)) ?: "?");
	else if (WIFCONTINUED(st))
		say("%s: continued", what);
	else
		say("%s: status %#x", what, st);
}

// reap waits for a child and shows how it ended.
static inline void reap(const char *what, pid_t pid)
{
	int st;
	if (waitpid(pid, &st, 0) != pid)
		die(what);
	show_status(what, st);
}

// CHILD runs a block in a child process that exits 0 at its end; answers its number.
#define CHILD(...)                                                                           \
	({                                                                                   \
		pid_t pid_ = must(fork());                                                   \
		if (pid_ == 0) {                                                             \
			__VA_ARGS__;                                                         \
			_exit(0);                                                            \
		}                                                                            \
		pid_;                                                                        \
	})

static inline void no_core(void) { setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); }

static inline void handle(int sig, void *f, int flags)
{
	struct sigaction sa = {.sa_flags = flags};
	sa.sa_sigaction = f;
	must(sigaction(sig, &sa, NULL));
}

int main(int argc, char **argv)
{
	if (argc == 1)
		for (int i = 0; i < ntests; i++)
			puts(tests[i].name);
	for (int a = 1; a < argc; a++) {
		int i;
		for (i = 0; i < ntests && strcmp(tests[i].name, argv[a]); i++)
			;
		if (i == ntests) {
			fprintf(stderr, "no test is called %s\n", argv[a]);
			return 2;
		}
		tests[i].run();
	}
	return 0;
}
