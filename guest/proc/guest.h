// What the guest programs share: they print results as relations, with the
// names of errors, so that the host's output and ours can be compared.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/types.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define P(...) (printf(__VA_ARGS__), fflush(stdout))

// T prints an expression, and its value or error; TE only whether it worked.
#define T(e) ({ errno = 0; long r_ = (long)(e); r_ == -1 && errno ? P("%s: %s\n", #e, strerrorname_np(errno)) : P("%s: %ld\n", #e, r_); r_; })
#define TE(e) ({ errno = 0; long r_ = (long)(e); r_ == -1 && errno ? P("%s: %s\n", #e, strerrorname_np(errno)) : P("%s: ok\n", #e); r_; })

static inline double now(void) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}
static inline void msleep(int ms) {
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}
static inline void on(int sig, void *h, int flags) {
	struct sigaction sa = {.sa_flags = flags};
	sa.sa_sigaction = h;
	sigaction(sig, &sa, 0);
}
static inline void show_status(const char *what, int ws) {
	if (WIFEXITED(ws)) P("%s: exit %d\n", what, WEXITSTATUS(ws));
	else if (WIFSIGNALED(ws)) P("%s: signal %d core %d\n", what, WTERMSIG(ws), !!WCOREDUMP(ws));
	else if (WIFSTOPPED(ws)) P("%s: stopped %d\n", what, WSTOPSIG(ws));
	else if (WIFCONTINUED(ws)) P("%s: continued\n", what);
	else P("%s: %x\n", what, ws);
}
static inline void no_core(void) { setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); }
