// What limits do.
#include "guest.h"
static volatile int got; static siginfo_t last;
static void info(int s, siginfo_t *i, void *u) { last = *i; got++; }
static int ws;
#define IN(...) ({ pid_t p_ = fork(); if (!p_) { __VA_ARGS__; _exit(0); } waitpid(p_, &ws, 0); show_status("  ended", ws); })
#define LIM(r, c, m) setrlimit(r, &(struct rlimit){c, m})
int main(void) {
	no_core(); struct rlimit rl;
	T(getrlimit(99, &rl)); T(setrlimit(99, &rl)); T(LIM(RLIMIT_CORE, 5, 4)); T(syscall(SYS_getrlimit, 0, 8)); T(syscall(SYS_prlimit64, 999999, 0, 0, 0)); T(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &rl));
	P("NOFILE\n"); IN(LIM(RLIMIT_NOFILE, 10, 10); int n = 0; while (dup(1) >= 0) n++; P("errno %s last %d\n", strerrorname_np(errno), fcntl(9, F_GETFD)); T(dup2(1, 10)); T(dup2(1, 9)); T(fcntl(1, F_DUPFD, 10)); T(open("/dev/null", 0)); int pp[2]; T(pipe(pp)); T(getrlimit(RLIMIT_NOFILE, &rl)); P("%ld\n", (long)rl.rlim_cur));
	P("FSIZE\n"); IN(LIM(RLIMIT_FSIZE, 100, 1000); FILE *f = tmpfile(); int fd = fileno(f); char b[200]; on(SIGXFSZ, info, SA_SIGINFO); T(write(fd, b, 90)); T(write(fd, b, 90)); P("signals %d\n", got); T(write(fd, b, 1)); P("signals %d code %d\n", got, last.si_code); T(ftruncate(fd, 101)); P("signals %d\n", got); T(ftruncate(fd, 100)); T(pwrite(fd, b, 10, 50)); T(pwrite(fd, b, 10, 1000)); P("signals %d\n", got); T(fallocate(fd, 0, 0, 200)); P("signals %d\n", got); on(SIGXFSZ, SIG_DFL, 0); write(fd, b, 1));
	P("NPROC\n"); IN(setuid(65533); LIM(RLIMIT_NPROC, 3, 3); int n = 0; pid_t k[10]; while (n < 10 && (k[n] = fork()) > 0) n++; if (n < 10 && !k[n]) { pause(); _exit(0); } P("children %d %s\n", n, strerrorname_np(errno)); pthread_t t; void *nt(void *x) { return 0; } P("thread %s\n", strerrorname_np(pthread_create(&t, 0, nt, 0))); while (n--) kill(k[n], 9); while (wait(0) > 0););
	P("CPU\n"); IN(LIM(RLIMIT_CPU, 1, 2); on(SIGXCPU, info, SA_SIGINFO); while (!got); P("xcpu code %d at %d\n", last.si_code, (int)((clock() + 200000) / 1000000)); for (;;);); IN(LIM(RLIMIT_CPU, 1, 1); for (;;););
	P("STACK\n"); IN(LIM(RLIMIT_STACK, 262144, 262144); int deep(int k) { volatile char b[4096]; b[0] = k; return k ? deep(k - 1) + b[0] : 0; } deep(40); P("fits\n"); deep(80));
	P("AS\n"); IN(LIM(RLIMIT_AS, 100 << 20, 100 << 20); T(mmap(0, 200 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); TE(mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED));
	P("CORE\n"); IN(abort()); 
	P("times\n"); struct tms a; clock_t c1 = times(&a); msleep(30); clock_t c2 = times(&a); P("ticks %d\n", c2 - c1 >= 2 && c2 - c1 < 100); T(syscall(SYS_times, 8));
	P("inherited\n"); LIM(RLIMIT_NOFILE, 77, 99); IN(getrlimit(RLIMIT_NOFILE, &rl); P("%ld %ld\n", (long)rl.rlim_cur, (long)rl.rlim_max)); IN(execl("/bin/sh", "sh", "-c", "ulimit -n; ulimit -Hn", NULL));
	return 0;
}
