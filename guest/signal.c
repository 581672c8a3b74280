// Signals: handlers, masks, queues, stacks, restarts, job control.
#include "guest.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <ucontext.h>
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static volatile int count, last, depth, deepest;
static siginfo_t info;

static void note(int s, siginfo_t *si, void *uc)
{
	count++;
	last = s;
	info = *si;
}

static sigset_t set_of(int first, ...)
{
	sigset_t s;
	sigemptyset(&s);
	va_list ap;
	va_start(ap, first);
	for (int x = first; x; x = va_arg(ap, int))
		sigaddset(&s, x);
	va_end(ap);
	return s;
}

static void block(int how, int sig)
{
	sigset_t s = set_of(sig, 0);
	sigprocmask(how, &s, NULL);
}

static void show(const char *what)
{
	say("%s: count %d sig %d code %d self %d", what, count, last, info.si_code, info.si_pid == getpid());
	count = 0;
}

TEST(siginfo_fields)
{
	handle(SIGUSR1, note, SA_SIGINFO);
	handle(SIGRTMIN, note, SA_SIGINFO);
	handle(SIGALRM, note, SA_SIGINFO);
	handle(SIGCHLD, note, SA_SIGINFO);
	kill(getpid(), SIGUSR1); show("kill");
	raise(SIGUSR1); show("tkill");
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1234}); show("sigqueue"); say("value %d", info.si_value.sival_int);
	siginfo_t si = {.si_signo = SIGRTMIN, .si_code = -60, .si_value.sival_int = 5};
	R(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &si)); show("own code");
	si.si_code = SI_USER;
	pid_t c = CHILD(R(syscall(SYS_rt_sigqueueinfo, getppid(), SIGRTMIN, &si)); si.si_code = 1; R(syscall(SYS_rt_sigqueueinfo, getppid(), SIGRTMIN, &si)); _exit(8));
	waitpid(c, NULL, 0);
	say("child: code %d status %d pid %d uid %d", info.si_code, info.si_status, info.si_pid == c, info.si_uid == getuid());
	count = 0;
	ualarm(1000, 0); millis(30); show("alarm");
	no_core();
	c = CHILD(raise(SIGKILL)); waitpid(c, NULL, 0);
	say("child: code %d status %d", info.si_code, info.si_status);
}

static void fault(int s, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	say("signal %d code %d addr %#lx err %ld trapno %ld", s, si->si_code, (long)si->si_addr < 0x1000000 ? (long)si->si_addr : 1L,
	    (long)uc->uc_mcontext.gregs[REG_ERR] & ~(1L << 5), (long)uc->uc_mcontext.gregs[REG_TRAPNO]);
	_exit(0);
}

static void faulting(const char *what, int sig, void (*f)(void))
{
	say("%s", what);
	reap("  child", CHILD(handle(sig, fault, SA_SIGINFO); f()));
}

static void null_read(void) { (void)*(volatile int *)0x10; }
static void null_write(void) { *(volatile int *)0x20 = 1; }
static void null_call(void) { ((void (*)(void))0x30)(); }
static void noncanonical(void) { *(volatile int *)0x8000000000000000 = 1; }
static void read_only(void) { *(char *)"text" = 1; }
static void no_access(void) { *(volatile char *)mmap((void *)0x100000, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) = 1; }
static void not_executable(void) { ((void (*)(void))mmap((void *)0x200000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0))(); }
static void beyond_eof(void) { int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600); ftruncate(fd, 100); *(volatile char *)(mmap((void *)0x300000, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) + 4096) = 1; }
static void divide(void) { volatile int z = 0; z = 5 / z; }
static void illegal(void) { __asm__ volatile("ud2"); }
static void breakpoint(void) { __asm__ volatile("int3"); }
static void privileged(void) { __asm__ volatile("hlt"); }
static void kernel_address(void) { (void)*(volatile int *)0xffff888000000000; }
static void general(void) { __asm__ volatile("int $0x99"); }

TEST(faults)
{
	faulting("null read", SIGSEGV, null_read);
	faulting("null write", SIGSEGV, null_write);
	faulting("null call", SIGSEGV, null_call);
	faulting("non-canonical", SIGSEGV, noncanonical);
	faulting("kernel address", SIGSEGV, kernel_address);
	faulting("read-only", SIGSEGV, read_only);
	faulting("no access", SIGSEGV, no_access);
	faulting("not executable", SIGSEGV, not_executable);
	faulting("beyond the end of the file", SIGBUS, beyond_eof);
	faulting("divide", SIGFPE, divide);
	faulting("illegal", SIGILL, illegal);
	faulting("breakpoint", SIGTRAP, breakpoint);
	faulting("privileged", SIGSEGV, privileged);
	faulting("interrupt", SIGSEGV, general);
}

TEST(blocked_fault_kills)
{
	no_core();
	reap("blocked", CHILD(block(SIG_BLOCK, SIGSEGV); null_read()));
	reap("ignored", CHILD(signal(SIGSEGV, SIG_IGN); null_read()));
	reap("sent and ignored", CHILD(signal(SIGSEGV, SIG_IGN); raise(SIGSEGV); _exit(4)));
}

static sigjmp_buf env;
static void jump(int s) { siglongjmp(env, s); }

TEST(fault_and_jump)
{
	handle(SIGSEGV, jump, 0);
	for (volatile int i = 0; i < 100; i++) {
		if (!sigsetjmp(env, 1))
			null_write();
	}
	say("100 faults survived");
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	T(!sigismember(&now, SIGSEGV));
}

static void fix(int s, siginfo_t *si, void *uc)
{
	count++;
	mprotect((void *)((uintptr_t)si->si_addr & ~4095UL), 4096, PROT_READ | PROT_WRITE);
}

TEST(fault_and_retry)
{
	handle(SIGSEGV, fix, SA_SIGINFO);
	char *p = must(mmap(NULL, 10 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	count = 0;
	for (int i = 0; i < 10; i++)
		p[i * 4096 + 5] = i;
	say("%d faults, value %d", count, p[9 * 4096 + 5]);
}

static void skip(int s, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	uc->uc_mcontext.gregs[REG_RIP] += 2; // past ud2
	uc->uc_mcontext.gregs[REG_RAX] = 77;
}

TEST(context_changes)
{
	handle(SIGILL, skip, SA_SIGINFO);
	long rax;
	double before = 1.5, after;
	__asm__ volatile("movq %2, %%xmm5; xor %%eax, %%eax; ud2; movq %%xmm5, %1" : "=a"(rax), "=m"(after) : "m"(before) : "xmm5");
	say("rax %ld, xmm kept %d", rax, after == before);
}

static void clobber(int s)
{
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; std; cld" ::: "xmm0", "xmm7");
	count++;
}

TEST(registers_survive)
{
	handle(SIGUSR1, clobber, 0);
	unsigned long r[4];
	long pid = getpid(), nr = SYS_kill;
#ifdef __i386__
	__asm__ volatile("mov $0x1111, %%esi; mov $0x2222, %%edi; movd %%esi, %%xmm0; movd %%edi, %%xmm7;"
			 "mov %[nr], %%eax; mov %[pid], %%ebx; mov $10, %%ecx; int $0x80;"
			 "movd %%xmm0, %[a]; movd %%xmm7, %[b]; mov %%esi, %[c]; mov %%edi, %[d]"
			 : [a] "=m"(r[0]), [b] "=m"(r[1]), [c] "=m"(r[2]), [d] "=m"(r[3])
			 : [nr] "m"(nr), [pid] "m"(pid)
			 : "eax", "ebx", "ecx", "esi", "edi", "xmm0", "xmm7", "memory");
#else
	__asm__ volatile("mov $0x1111, %%r12; mov $0x2222, %%r13; movq %%r12, %%xmm0; movq %%r13, %%xmm7;"
			 "mov %[nr], %%rax; mov %[pid], %%rdi; mov $10, %%esi; syscall;"
			 "movq %%xmm0, %[a]; movq %%xmm7, %[b]; mov %%r12, %[c]; mov %%r13, %[d]"
			 : [a] "=m"(r[0]), [b] "=m"(r[1]), [c] "=m"(r[2]), [d] "=m"(r[3])
			 : [nr] "m"(nr), [pid] "m"(pid)
			 : "rax", "rdi", "rsi", "rcx", "r11", "r12", "r13", "xmm0", "xmm7", "memory");
#endif
	say("%lx %lx %lx %lx, %d handled", r[0], r[1], r[2], r[3], count);
}

static void nest(int s)
{
	int d = ++depth;
	if (d > deepest)
		deepest = d;
	if (d < 5 && count < 5)
		raise(s);
	depth--;
	count++;
}

TEST(nodefer_and_masks)
{
	handle(SIGUSR1, nest, 0);
	deepest = count = 0;
	raise(SIGUSR1);
	say("deferred: deepest %d", deepest);
	handle(SIGUSR1, nest, SA_NODEFER);
	deepest = count = 0;
	raise(SIGUSR1);
	say("nodefer: deepest %d count %d", deepest, count);
	handle(SIGUSR2, note, SA_SIGINFO | SA_RESETHAND);
	raise(SIGUSR2);
	struct sigaction sa;
	sigaction(SIGUSR2, NULL, &sa);
	T(sa.sa_handler == SIG_DFL);
}

static void order(int s)
{
	sigset_t m;
	sigprocmask(SIG_BLOCK, NULL, &m);
	say("in %d: self blocked %d, usr2 blocked %d", s - (s >= 34 ? 34 - 100 : 0), sigismember(&m, s), sigismember(&m, SIGUSR2));
}

TEST(delivery_order)
{
	struct sigaction sa = {.sa_handler = order};
	sigfillset(&sa.sa_mask);
	sigset_t all;
	sigfillset(&all);
	for (int s = 1; s <= 64; s++)
		if (s != SIGKILL && s != SIGSTOP && s != 32 && s != 33)
			sigaction(s, &sa, NULL);
	sigprocmask(SIG_BLOCK, &all, NULL);
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGRTMIN + 2);
	kill(getpid(), SIGRTMIN + 1);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGRTMIN + 1);
	kill(getpid(), SIGHUP);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

TEST(queueing)
{
	handle(SIGUSR1, note, SA_SIGINFO);
	handle(SIGRTMIN, note, SA_SIGINFO);
	block(SIG_BLOCK, SIGUSR1);
	block(SIG_BLOCK, SIGRTMIN);
	for (int i = 0; i < 5; i++) {
		sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = i});
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	}
	sigset_t p;
	sigpending(&p);
	T(sigismember(&p, SIGUSR1) && sigismember(&p, SIGRTMIN) && !sigismember(&p, SIGUSR2));
	count = 0;
	block(SIG_UNBLOCK, SIGUSR1);
	say("usr1 %d value %d", count, info.si_value.sival_int);
	count = 0;
	block(SIG_UNBLOCK, SIGRTMIN);
	say("rt %d value %d", count, info.si_value.sival_int);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN); // drops what is pending
	signal(SIGUSR1, SIG_DFL);
	sigpending(&p);
	T(!sigismember(&p, SIGUSR1));
}

TEST(queue_limit)
{
	setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){10, 10});
	block(SIG_BLOCK, SIGRTMIN);
	int n = 0;
	while (n < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0)
		n++;
	say("%s, not all queued %d", errname(errno), n <= 10); // how many depends on the user's other processes
}

TEST(waiting_for_signals)
{
	siginfo_t si;
	sigset_t s = set_of(SIGUSR1, SIGUSR2, SIGRTMIN, 0);
	sigprocmask(SIG_BLOCK, &s, NULL);
	R(sigtimedwait(&s, &si, &(struct timespec){0}));
	R(sigtimedwait(&s, &si, &(struct timespec){0, 20000000}));
	R(sigtimedwait(&s, &si, &(struct timespec){0, 2000000000}));
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9});
	kill(getpid(), SIGUSR2);
	T(sigwaitinfo(&s, &si) == SIGUSR2 && si.si_code == SI_USER);
	T(sigwaitinfo(&s, &si) == SIGRTMIN && si.si_code == SI_QUEUE && si.si_value.sival_int == 9);
	pid_t c = CHILD(millis(50); kill(getppid(), SIGUSR1));
	T(sigwaitinfo(&s, &si) == SIGUSR1 && si.si_pid == c);
	waitpid(c, NULL, 0);
	handle(SIGALRM, note, SA_SIGINFO | SA_RESTART);
	ualarm(20000, 0);
	R(sigwaitinfo(&s, &si)); // interrupted by another, SA_RESTART or not
	int which;
	raise(SIGUSR1);
	R(sigwait(&s, &which));
	say("%d", which);
	sigset_t none;
	sigemptyset(&none);
	handle(SIGUSR1, note, SA_SIGINFO);
	count = 0;
	raise(SIGUSR1);
	R(sigsuspend(&none));
	sigprocmask(SIG_BLOCK, NULL, &s);
	say("count %d, blocked again %d", count, sigismember(&s, SIGUSR1));
}

static void interrupted(const char *what, int flags, long (*f)(void))
{
	handle(SIGALRM, note, SA_SIGINFO | flags);
	struct itimerval it = {.it_value.tv_usec = 30000};
	setitimer(ITIMER_REAL, &it, NULL);
	errno = 0;
	count = 0;
	long r = f();
	say("%s: %ld %s, handled %d", what, r, r == -1 ? errname(errno) : "", count);
}

static int fds[2];
static pid_t later(void) // writes after the signal came
{
	pid_t p = fork();
	if (p == 0) {
		signal(SIGALRM, SIG_IGN);
		millis(90);
		write(fds[1], "x", 1);
		_exit(6);
	}
	return p;
}
static long do_read(void) { char b; pid_t c = later(); long r = read(fds[0], &b, 1); int e = errno; if (r != 1) read(fds[0], &b, 1); waitpid(c, NULL, 0); errno = e; return r; }
static long do_wait(void) { pid_t c = later(); long r = waitpid(c, NULL, 0); int e = errno; waitpid(c, NULL, 0); char b; read(fds[0], &b, 1); errno = e; return r == c ? 1 : r; }
static long do_sleep(void) { struct timespec rem, t = {0, 90000000}; long r = nanosleep(&t, &rem); if (r == -1) { int e = errno; say("remaining %d", rem.tv_sec == 0 && rem.tv_nsec > 0 && rem.tv_nsec < 80000000); errno = e; } return r; }
static long do_pause(void) { return pause(); }
static long do_poll(void) { return poll(NULL, 0, 90); }
static long do_select(void) { struct timeval t = {0, 90000}; return select(0, NULL, NULL, NULL, &t); }
static long do_epoll(void) { struct epoll_event e; int fd = epoll_create1(0); long r = epoll_wait(fd, &e, 1, 90); int x = errno; close(fd); errno = x; return r; }
static long do_recv(void) { char b; int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); struct timeval t = {0, 90000}; setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t); long r = recv(s[0], &b, 1, 0); int x = errno; close(s[0]); close(s[1]); errno = x; return r; }
static long do_fifo(void) { mkfifo("p", 0600); pid_t c = fork(); if (c == 0) { signal(SIGALRM, SIG_IGN); millis(90); open("p", O_WRONLY | O_NONBLOCK); millis(50); _exit(0); } long r = open("p", O_RDONLY); int x = errno; kill(c, SIGKILL); waitpid(c, NULL, 0); errno = x; return r < 0 ? r : 1; }
static long do_clock(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); t.tv_nsec += 90000000; t.tv_sec += t.tv_nsec / 1000000000; t.tv_nsec %= 1000000000; long r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL); return r; }
static long do_flock(void) { struct flock l = {.l_type = F_WRLCK}; int fd = open("lk", O_RDWR | O_CREAT, 0600); int p[2]; pipe(p); pid_t c = fork(); if (c == 0) { signal(SIGALRM, SIG_IGN); fcntl(fd, F_SETLKW, &l); write(p[1], "x", 1); millis(120); _exit(0); } char b; while (read(p[0], &b, 1) != 1); long r = fcntl(fd, F_SETLKW, &l); int x = errno; waitpid(c, NULL, 0); waitpid(c, NULL, 0); errno = x; return r; }

TEST(restarts)
{
	must(pipe(fds));
	struct { const char *name; long (*f)(void); } t[] = {{"read", do_read}, {"wait", do_wait}, {"nanosleep", do_sleep}, {"pause", do_pause}, {"poll", do_poll}, {"select", do_select}, {"epoll_wait", do_epoll}, {"recv with a timeout", do_recv}, {"open of a fifo", do_fifo}, {"clock_nanosleep absolute", do_clock}, {"fcntl lock", do_flock}};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		say("%s", t[i].name);
		interrupted("  plain", 0, t[i].f);
		interrupted("  restart", SA_RESTART, t[i].f);
	}
}

TEST(stop_restarts_sleep)
{
	// A stop and a continue without a handler are not seen by a sleeping call.
	pid_t c = CHILD({
		struct timespec t = {0, 150000000};
		double s = now();
		int r = nanosleep(&t, NULL);
		say("nanosleep %d, long enough %d", r, now() - s >= 0.15);
		s = now();
		r = poll(NULL, 0, 150);
		say("poll %d, long enough %d", r, now() - s >= 0.149);
	});
	for (int i = 0; i < 4; i++) {
		millis(30);
		kill(c, SIGSTOP);
		millis(10);
		kill(c, SIGCONT);
	}
	reap("child", c);
}

static char *stack_lo, *stack_hi;
static void on_stack(int s)
{
	char here;
	say("on the alternate stack %d", &here >= stack_lo && &here < stack_hi);
	stack_t ss;
	sigaltstack(NULL, &ss);
	say("flags onstack %d", ss.ss_flags & SS_ONSTACK);
	stack_t change = {.ss_flags = SS_DISABLE};
	R(sigaltstack(&change, NULL));
}

static void overflow(int n)
{
	volatile char big[4096];
	big[0] = n;
	overflow(n + 1);
	big[1] = n;
}

static void overflowed(int s, siginfo_t *si, void *uc)
{
	char here;
	say("stack overflow: signal %d code %d, handled on the alternate stack %d", s, si->si_code, &here >= stack_lo && &here < stack_hi);
	_exit(3);
}

TEST(alternate_stack)
{
	size_t n = 64 << 10;
	stack_lo = malloc(n);
	stack_hi = stack_lo + n;
	stack_t ss = {.ss_sp = stack_lo, .ss_size = n}, old;
	R(sigaltstack(&ss, &old));
	say("was disabled %d", old.ss_flags == SS_DISABLE);
	handle(SIGUSR1, on_stack, SA_ONSTACK);
	raise(SIGUSR1);
	reap("overflow", CHILD(handle(SIGSEGV, overflowed, SA_ONSTACK | SA_SIGINFO); overflow(0)));
	no_core();
	reap("overflow without", CHILD(overflow(0)));
	ss.ss_size = 100;
	R(sigaltstack(&ss, NULL));
	ss.ss_size = n;
	ss.ss_flags = 0x55;
	R(sigaltstack(&ss, NULL));
	R(sigaltstack((void *)8, NULL));
	ss.ss_flags = SS_AUTODISARM;
	R(sigaltstack(&ss, NULL));
	raise(SIGUSR1);
	sigaltstack(NULL, &old);
	say("after autodisarm: flags %#x", old.ss_flags);
}

TEST(signalfd)
{
	sigset_t s = set_of(SIGUSR1, SIGRTMIN, SIGCHLD, 0);
	sigprocmask(SIG_BLOCK, &s, NULL);
	int fd = must(signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC));
	struct signalfd_siginfo si[4];
	R(read(fd, si, sizeof si));
	struct pollfd p = {fd, POLLIN};
	R(poll(&p, 1, 0));
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 3});
	R(poll(&p, 1, 0));
	R(read(fd, si, 10));
	R(read(fd, si, sizeof si) / sizeof *si);
	say("%d code %d pid %d; %d code %d int %d", si[0].ssi_signo, si[0].ssi_code, si[0].ssi_pid == getpid(), si[1].ssi_signo - SIGRTMIN, si[1].ssi_code, si[1].ssi_int);
	pid_t c = CHILD(_exit(7));
	R(poll(&p, 1, 5000));
	R(read(fd, si, sizeof si) / sizeof *si);
	say("child %d status %d code %d", si[0].ssi_pid == c, si[0].ssi_status, si[0].ssi_code);
	s = set_of(SIGUSR2, 0);
	R(signalfd(fd, &s, 0) == fd);
	R(signalfd(0, &s, 0));
	R(signalfd(99, &s, 0));
	R(signalfd(-1, &s, 0x8));
	R(write(fd, si, 10));
}

TEST(sigaction_errors)
{
	struct sigaction sa = {.sa_handler = SIG_IGN};
	R(sigaction(SIGKILL, &sa, NULL));
	R(sigaction(SIGSTOP, &sa, NULL));
	R(sigaction(0, &sa, NULL));
	R(sigaction(65, &sa, NULL));
	R(sigaction(SIGKILL, NULL, &sa));
	R(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8));
	R(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
	R(syscall(SYS_rt_sigprocmask, 7, &sa.sa_mask, NULL, 8));
	R(syscall(SYS_rt_sigprocmask, 7, NULL, NULL, 8));
	R(syscall(SYS_rt_sigprocmask, 0, &sa.sa_mask, NULL, 16));
	sigset_t all, now;
	sigfillset(&all);
	R(sigprocmask(SIG_SETMASK, &all, NULL));
	sigprocmask(SIG_SETMASK, NULL, &now);
	say("KILL %d STOP %d TERM %d", sigismember(&now, SIGKILL), sigismember(&now, SIGSTOP), sigismember(&now, SIGTERM));
	R(kill(getpid(), 65));
	R(kill(getpid(), -1));
	R(kill(999999, SIGTERM));
	R(kill(-999999, SIGTERM));
	R(kill(getpid(), 0));
	R(syscall(SYS_tgkill, getpid(), 999999, 0));
	R(syscall(SYS_tgkill, -1, getpid(), 0));
	R(syscall(SYS_tkill, 0, 0));
	R(syscall(SYS_tgkill, 1, getpid() == 1 ? 999999 : getpid(), 0));
}

static pthread_t receiver;
static void *wait_usr2(void *arg)
{
	sigset_t s = set_of(SIGUSR2, 0);
	int sig;
	sigwait(&s, &sig);
	return (void *)(long)sig;
}
static void which_thread(int s) { last = pthread_equal(pthread_self(), receiver) ? 2 : 1; }
static void *idle(void *arg)
{
	block(SIG_UNBLOCK, SIGUSR1);
	millis(300);
	return NULL;
}

TEST(threads)
{
	block(SIG_BLOCK, SIGUSR1);
	block(SIG_BLOCK, SIGUSR2);
	void *r;
	pthread_create(&receiver, NULL, wait_usr2, NULL);
	millis(20);
	kill(getpid(), SIGUSR2);
	pthread_join(receiver, &r);
	say("sigwait in a thread %ld", (long)r);
	handle(SIGUSR1, which_thread, 0);
	pthread_create(&receiver, NULL, idle, NULL);
	millis(50);
	kill(getpid(), SIGUSR1); // only the other thread does not block it
	millis(50);
	say("handled by thread %d", last);
	pthread_join(receiver, NULL);
	pthread_create(&receiver, NULL, wait_usr2, NULL);
	R(pthread_kill(receiver, SIGUSR2));
	pthread_join(receiver, &r);
	say("directed %ld", (long)r);
	sigset_t p;
	raise(SIGUSR1);
	sigpending(&p);
	say("pending for this thread %d", sigismember(&p, SIGUSR1));
}

TEST(handler_and_mask_after_fork)
{
	handle(SIGUSR1, note, SA_SIGINFO);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	alarm(100);
	reap("child", CHILD({
		sigset_t p;
		sigpending(&p);
		say("pending %d, alarm %d", sigismember(&p, SIGUSR1), alarm(0));
		raise(SIGUSR1);
		count = 0;
		block(SIG_UNBLOCK, SIGUSR1);
		say("handled %d", count);
	}));
	T(alarm(0) > 90);
}

TEST(default_actions)
{
	no_core();
	for (int s = 1; s < 32; s++) {
		if (s == SIGTSTP || s == SIGTTIN || s == SIGTTOU)
			continue; // these depend on the process group being orphaned
		int st;
		pid_t c = CHILD(signal(s, SIG_DFL); kill(getpid(), s); _exit(0));
		must(waitpid(c, &st, WUNTRACED));
		char name[20];
		snprintf(name, sizeof name, "%d", s);
		show_status(name, st);
		if (WIFSTOPPED(st)) {
			kill(c, SIGKILL);
			waitpid(c, &st, 0);
		}
	}
}

TEST(stop_signals_cancel)
{
	block(SIG_BLOCK, SIGCONT);
	block(SIG_BLOCK, SIGTSTP);
	sigset_t p;
	kill(getpid(), SIGTSTP);
	kill(getpid(), SIGCONT); // takes the pending stop away
	sigpending(&p);
	say("tstp %d cont %d", sigismember(&p, SIGTSTP), sigismember(&p, SIGCONT));
	kill(getpid(), SIGTSTP);
	sigpending(&p);
	say("tstp %d cont %d", sigismember(&p, SIGTSTP), sigismember(&p, SIGCONT));
}

TEST(itimer_flood)
{
	handle(SIGALRM, note, SA_SIGINFO | SA_RESTART);
	struct itimerval it = {{0, 1000}, {0, 1000}}, off = {0};
	setitimer(ITIMER_REAL, &it, NULL);
	count = 0;
	unsigned long x = 1;
	double t = now();
	while (count < 50 && now() - t < 5)
		x = x * 6364136223846793005UL + 1;
	setitimer(ITIMER_REAL, &off, NULL);
	T(count >= 50);
	handle(SIGPROF, note, SA_SIGINFO);
	handle(SIGVTALRM, note, SA_SIGINFO);
	it = (struct itimerval){{0}, {0, 20000}};
	setitimer(ITIMER_PROF, &it, NULL);
	count = 0;
	t = now();
	while (!count && now() - t < 5)
		;
	say("prof %d", last == SIGPROF);
	setitimer(ITIMER_VIRTUAL, &it, NULL);
	count = 0;
	t = now();
	while (!count && now() - t < 5)
		x++;
	say("virtual %d", last == SIGVTALRM);
}
