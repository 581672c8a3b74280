// Signals: delivery, masks, queueing, siginfo.
#include "guest.h"
static volatile int got, depth, maxdepth, order[64], norder;
static siginfo_t last;
static void count(int s) { got++; }
static void info(int s, siginfo_t *i, void *u) { last = *i; got++; if (norder < 64) order[norder++] = s; }
static void nest(int s) { depth++; if (depth > maxdepth) maxdepth = depth; if (got++ < 2) raise(s); depth--; }
static void showmask(const char *w) { sigset_t m; sigprocmask(0, 0, &m); P("%s mask:", w); for (int i = 1; i <= 64; i++) if (sigismember(&m, i) == 1) P(" %d", i); P("\n"); }
static void inhandler(int s) { showmask("in handler"); got++; }

int main(void) {
	no_core();
	pid_t me = getpid();
	sigset_t set, old;
	struct timespec zero = {0, 0}, short_ = {0, 20000000};
	// Flags.
	on(SIGUSR1, nest, 0); got = 0; maxdepth = 0; raise(SIGUSR1); P("plain: %d calls, depth %d\n", got, maxdepth);
	on(SIGUSR1, nest, SA_NODEFER); got = 0; maxdepth = 0; raise(SIGUSR1); P("nodefer: %d calls, depth %d\n", got, maxdepth);
	on(SIGUSR1, count, SA_RESETHAND); got = 0; raise(SIGUSR1);
	struct sigaction sa; sigaction(SIGUSR1, 0, &sa); P("resethand: %d, default %d flags %x\n", got, sa.sa_handler == SIG_DFL, sa.sa_flags);
	memset(&sa, 0, sizeof sa); sa.sa_handler = inhandler; sigaddset(&sa.sa_mask, SIGUSR2); sigaddset(&sa.sa_mask, SIGKILL); sigaddset(&sa.sa_mask, SIGRTMIN + 3);
	sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); showmask("after");
	// Errors.
	struct { void *h; unsigned long f; void *r; unsigned long m; } ka = {0}, kb;
	T(syscall(SYS_rt_sigaction, 0, &ka, 0, 8)); T(syscall(SYS_rt_sigaction, 65, &ka, 0, 8)); T(syscall(SYS_rt_sigaction, SIGKILL, &ka, 0, 8));
	T(syscall(SYS_rt_sigaction, SIGKILL, 0, &kb, 8)); T(syscall(SYS_rt_sigaction, SIGUSR1, &ka, 0, 4)); T(syscall(SYS_rt_sigaction, SIGUSR1, 8, 0, 8));
	ka.f = ~0UL; ka.h = SIG_IGN; syscall(SYS_rt_sigaction, SIGUSR1, &ka, 0, 8); syscall(SYS_rt_sigaction, SIGUSR1, 0, &kb, 8); P("known flags %lx\n", kb.f);
	T(syscall(SYS_rt_sigprocmask, 3, &set, 0, 8)); T(syscall(SYS_rt_sigprocmask, 3, 0, &set, 8)); T(syscall(SYS_rt_sigprocmask, 0, &set, 0, 16));
	T(kill(me, 65)); T(kill(me, -1)); T(kill(me, 0)); T(kill(999999, 0)); T(kill(999999, 100)); T(kill(-999999, 0)); T(kill(INT_MIN, 0));
	T(syscall(SYS_tgkill, me, 999999, 0)); T(syscall(SYS_tgkill, me, -1, 0)); T(syscall(SYS_tgkill, 0, me, 0)); T(syscall(SYS_tgkill, me, me, 0)); T(syscall(SYS_tgkill, 1, me, 0)); T(syscall(SYS_tkill, 0, 0)); T(syscall(SYS_tkill, me, 70));
	T(syscall(SYS_rt_sigpending, &set, 16)); T(syscall(SYS_rt_sigpending, &set, 4)); T(syscall(SYS_rt_sigtimedwait, &set, 0, 0, 4));
	siginfo_t si = {.si_code = 0}; T(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &si)); si.si_code = SI_TKILL; T(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &si)); si.si_code = SI_QUEUE; T(syscall(SYS_rt_sigqueueinfo, me, 0, &si)); T(syscall(SYS_rt_sigqueueinfo, me, SIGUSR1, 8));
	// siginfo of kill, raise, sigqueue, tgkill.
	on(SIGUSR1, info, SA_SIGINFO);
#define SHOW(w) P("%s: signo %d code %d errno %d pid %d uid %d value %d\n", w, last.si_signo, last.si_code, last.si_errno, last.si_pid == me, last.si_uid == getuid(), last.si_value.sival_int)
	kill(me, SIGUSR1); SHOW("kill"); raise(SIGUSR1); SHOW("raise"); sigqueue(me, SIGUSR1, (union sigval){.sival_int = 77}); SHOW("sigqueue"); kill(0 * me + me, SIGUSR1);
	// Real-time order and queueing, standard ones merge.
	sigfillset(&set); sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = SIGRTMIN; i < SIGRTMIN + 3; i++) on(i, info, SA_SIGINFO);
	on(SIGUSR2, info, SA_SIGINFO); on(SIGHUP, info, SA_SIGINFO);
	for (int i = 0; i < 3; i++) { sigqueue(me, SIGRTMIN + 2 - i, (union sigval){.sival_int = i}); sigqueue(me, SIGRTMIN + 2 - i, (union sigval){.sival_int = 10 + i}); kill(me, SIGUSR2); }
	kill(me, SIGUSR1); kill(me, SIGHUP);
	sigpending(&set); P("pending:"); for (int i = 1; i < 65; i++) if (sigismember(&set, i) == 1) P(" %d", i); P("\n");
	norder = 0; sigprocmask(SIG_SETMASK, &old, 0); P("order:"); for (int i = 0; i < norder; i++) P(" %d", order[i]); P("\n");
	// sigwaitinfo takes in order; ignored and blocked stays pending; setting SIG_IGN drops.
	sigfillset(&set); sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 3; i++) sigqueue(me, SIGRTMIN + i % 2, (union sigval){.sival_int = i});
	kill(me, SIGUSR1);
	for (int i = 0; i < 5; i++) { memset(&si, 0, sizeof si); errno = 0; int r = sigtimedwait(&set, &si, &zero); P("sigtimedwait %d code %d value %d errno %s\n", r, si.si_code, si.si_code == SI_QUEUE ? si.si_value.sival_int : 0, strerrorname_np(errno)); }
	double t0 = now(); T(sigtimedwait(&set, 0, &short_)); P("waited %d\n", now() - t0 >= 0.02); struct timespec bad = {0, 1000000000}; T(sigtimedwait(&set, 0, &bad));
	on(SIGUSR1, SIG_IGN, 0); kill(me, SIGUSR1); sigpending(&set); P("ignored+blocked pending %d\n", sigismember(&set, SIGUSR1)); on(SIGUSR1, count, 0); sigpending(&set); P("after handler %d\n", sigismember(&set, SIGUSR1)); on(SIGUSR1, SIG_IGN, 0); sigpending(&set); P("after ignore %d\n", sigismember(&set, SIGUSR1));
	kill(me, SIGCHLD); kill(me, SIGWINCH); sigpending(&set); P("default-ignored blocked %d %d\n", sigismember(&set, SIGCHLD), sigismember(&set, SIGWINCH));
	kill(me, SIGTSTP); kill(me, SIGCONT); sigpending(&set); P("stop then cont %d %d\n", sigismember(&set, SIGTSTP), sigismember(&set, SIGCONT)); kill(me, SIGTSTP); sigpending(&set); P("cont then stop %d %d\n", sigismember(&set, SIGTSTP), sigismember(&set, SIGCONT));
	on(SIGTSTP, SIG_IGN, 0); on(SIGCONT, SIG_IGN, 0);
	sigprocmask(SIG_SETMASK, &old, 0);
	// sigsuspend.
	on(SIGUSR1, inhandler, 0); sigemptyset(&set); sigaddset(&set, SIGUSR1); sigprocmask(SIG_BLOCK, &set, &old); kill(me, SIGUSR1); sigset_t sus; sigemptyset(&sus); sigaddset(&sus, SIGUSR2); sigaddset(&sus, SIGTERM); T(sigsuspend(&sus)); showmask("after sigsuspend"); sigprocmask(SIG_SETMASK, &old, 0);
	// sigsuspend with an ignored signal goes on.
	if (!fork()) { msleep(30); kill(getppid(), SIGWINCH); msleep(30); kill(getppid(), SIGUSR1); _exit(0); }
	sigaddset(&set, SIGUSR1); sigprocmask(SIG_BLOCK, &set, 0); t0 = now(); sigemptyset(&sus); T(sigsuspend(&sus)); P("suspended past the ignored one %d\n", now() - t0 > 0.045); sigprocmask(SIG_UNBLOCK, &set, 0); wait(0);
	// signalfd.
	sigemptyset(&set); sigaddset(&set, SIGUSR1); sigaddset(&set, SIGRTMIN); sigprocmask(SIG_BLOCK, &set, 0);
	int fd = signalfd(-1, &set, SFD_NONBLOCK); struct signalfd_siginfo fi[4]; T(read(fd, fi, sizeof fi)); T(read(fd, fi, 10));
	sigqueue(me, SIGRTMIN, (union sigval){.sival_int = 5}); kill(me, SIGUSR1); struct pollfd pf = {fd, POLLIN}; T(poll(&pf, 1, 0)); T(read(fd, fi, sizeof fi)); P("signalfd %d %d %d, %d %d %d\n", fi[0].ssi_signo, fi[0].ssi_code, fi[0].ssi_pid == me, fi[1].ssi_signo, fi[1].ssi_code, fi[1].ssi_int); T(poll(&pf, 1, 0)); T(signalfd(fd, &set, 0) == fd); T(signalfd(0, &set, 0)); T(signalfd(-1, &set, 1));
	sigprocmask(SIG_UNBLOCK, &set, 0);
	// Queue limit.
	struct rlimit rl; getrlimit(RLIMIT_SIGPENDING, &rl); sigprocmask(SIG_BLOCK, &set, 0);
	setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, rl.rlim_max}); T(sigqueue(me, SIGRTMIN, (union sigval){0})); T(sigqueue(me, SIGUSR1, (union sigval){0})); T(kill(me, SIGRTMIN)); setrlimit(RLIMIT_SIGPENDING, &rl);
	while (sigtimedwait(&set, 0, &zero) > 0);
	sigprocmask(SIG_UNBLOCK, &set, 0);
	// Default actions as the parent sees them.
	for (int s = 1; s < 35; s++) {
		if (s == SIGSTOP || s == SIGTSTP || s == SIGTTIN || s == SIGTTOU || s == 32 || s == 33) continue;
		pid_t p = fork(); int ws; char n[20];
		if (!p) { signal(s, SIG_DFL); kill(getpid(), s); _exit(0); }
		waitpid(p, &ws, 0); sprintf(n, "default %d", s); show_status(n, ws);
	}
	// abort with a handler and blocked.
	pid_t p = fork(); int ws; if (!p) { on(SIGABRT, count, 0); abort(); } waitpid(p, &ws, 0); show_status("abort handled", ws);
	p = fork(); if (!p) { on(SIGSEGV, SIG_IGN, 0); *(volatile int *)8 = 1; } waitpid(p, &ws, 0); show_status("segv ignored", ws);
	p = fork(); if (!p) { sigfillset(&set); sigprocmask(SIG_BLOCK, &set, 0); on(SIGSEGV, count, 0); *(volatile int *)8 = 1; } waitpid(p, &ws, 0); show_status("segv blocked", ws);
	// A pipe without readers.
	int pp[2]; pipe(pp); close(pp[0]); on(SIGPIPE, count, 0); got = 0; T(write(pp[1], "x", 1)); P("sigpipe %d\n", got); on(SIGPIPE, info, SA_SIGINFO); T(write(pp[1], "x", 1)); SHOW("sigpipe"); on(SIGPIPE, SIG_IGN, 0); T(write(pp[1], "x", 1)); P("sigpipe %d\n", got);
	// Inherited over fork: mask and handlers, not what is pending.
	sigprocmask(SIG_BLOCK, &set, 0); kill(me, SIGUSR1);
	p = fork(); if (!p) { sigpending(&set); P("child pending %d\n", sigismember(&set, SIGUSR1)); showmask("child"); _exit(0); } wait(0);
	return 0;
}
