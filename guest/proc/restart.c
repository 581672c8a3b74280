// What becomes of calls that a signal interrupts.
#include "guest.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <semaphore.h>
static volatile int got;
static void count(int s) { got++; }
static int pp[2], sk[2], fut;
static pid_t helper;
// A child that sends signal s to us, twice, and then ends the wait.
static void after(int s, const char *how) {
	got = 0;
	pid_t me = getpid();
	if ((helper = fork()) == 0) {
		msleep(40); kill(me, s); if (s == SIGSTOP) { msleep(40); kill(me, SIGCONT); } msleep(40);
		if (how[0] != '-') msleep(150);
		if (how[0] == 'w') write(pp[1], "x", 1);
		if (how[0] == 's') write(sk[1], "x", 1);
		if (how[0] == 'k') { msleep(40); kill(me, SIGUSR2); }
		if (how[0] == 'r') { char c[65536]; read(pp[0], c, sizeof c); }
		_exit(0);
	}
}
static void drain(void) { int w; while (waitpid(helper, &w, 0) == -1 && errno == EINTR); fcntl(pp[0], F_SETFL, O_NONBLOCK); char c[4096]; while (read(pp[0], c, sizeof c) > 0); fcntl(pp[0], F_SETFL, 0); while (recv(sk[0], c, sizeof c, MSG_DONTWAIT) > 0); }
static char c[16];
#define R(name, how, expr) do { if (S != SIGSTOP) on(S, count, F); after(S, how); double t0 = now(); errno = 0; long r = (long)(expr); int e = errno; double d = now() - t0; P("%-16s sig %d flags %x: ret %ld %s handlers %d time %s\n", name, S, F, r, r == -1 ? strerrorname_np(e) : "", got, d < 0.03 ? "0" : d < 0.2 ? "signal" : d < 1 ? "full" : "long"); drain(); } while (0)
static void all(int S, int F) {
	fd_set fs; struct timeval tv; struct pollfd pf; struct epoll_event ev; struct timespec ts, rem; struct itimerval it; struct rlimit rl; sigset_t none; sigemptyset(&none); siginfo_t si; int w;
	R("read pipe", "w", read(pp[0], c, 1));
	R("read socket", "s", read(sk[0], c, 1));
	R("recv", "s", recv(sk[0], c, 1, 0));
	tv = (struct timeval){2, 0}; setsockopt(sk[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv); R("recv timeout", "s", recv(sk[0], c, 1, 0)); tv = (struct timeval){0, 0}; setsockopt(sk[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	{ char *b = malloc(65536); memset(b, 0, 65536); fcntl(pp[1], F_SETFL, O_NONBLOCK); while (write(pp[1], b, 4096) > 0); fcntl(pp[1], F_SETFL, 0); R("write pipe", "r", write(pp[1], b, 4096)); free(b); }
	R("wait4", "-", waitpid(-1, &w, 0) > 0); 
	R("waitid", "-", waitid(P_ALL, 0, &si, WEXITED | WNOWAIT));
	R("nanosleep", "-", (ts = (struct timespec){0, 300000000}, nanosleep(&ts, &rem)));
	R("clock_nanosleep", "-", (ts = (struct timespec){0, 300000000}, clock_nanosleep(CLOCK_REALTIME, 0, &ts, &rem)));
	R("abs nanosleep", "-", (clock_gettime(CLOCK_MONOTONIC, &ts), ts.tv_nsec += 300000000, ts.tv_nsec > 999999999 ? ts.tv_nsec -= 1000000000, ts.tv_sec++ : 0, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0)));
	R("poll", "w", (pf.fd = pp[0], pf.events = POLLIN, poll(&pf, 1, 2000)));
	R("poll forever", "w", poll(&pf, 1, -1));
	R("poll nothing", "-", poll(0, 0, 300));
	R("ppoll", "w", (ts = (struct timespec){2, 0}, ppoll(&pf, 1, &ts, &none)));
	R("select", "w", (({ FD_ZERO(&fs); FD_SET(pp[0], &fs); }), tv = (struct timeval){2, 0}, select(pp[0] + 1, &fs, 0, 0, &tv)));
	R("pselect", "w", (({ FD_ZERO(&fs); FD_SET(pp[0], &fs); }), ts = (struct timespec){2, 0}, pselect(pp[0] + 1, &fs, 0, 0, &ts, &none)));
	{ int ep = epoll_create1(0); ev.events = EPOLLIN; epoll_ctl(ep, EPOLL_CTL_ADD, pp[0], &ev); R("epoll", "w", epoll_wait(ep, &ev, 1, 2000)); R("epoll_pwait", "w", epoll_pwait(ep, &ev, 1, 2000, &none)); close(ep); }
	R("futex", "-", (ts = (struct timespec){0, 300000000}, syscall(SYS_futex, &fut, FUTEX_WAIT, 0, &ts, 0, 0)));
	R("futex bitset", "-", (clock_gettime(CLOCK_MONOTONIC, &ts), ts.tv_nsec += 300000000, ts.tv_nsec > 999999999 ? ts.tv_nsec -= 1000000000, ts.tv_sec++ : 0, syscall(SYS_futex, &fut, FUTEX_WAIT_BITSET, 0, &ts, 0, ~0)));
	on(SIGUSR2, count, 0);
	R("futex forever", "k", syscall(SYS_futex, &fut, FUTEX_WAIT, 0, 0, 0, 0));
	R("pause", "k", pause());
	R("sigsuspend", "k", sigsuspend(&none));
	R("sigtimedwait", "-", ({ sigset_t s; sigemptyset(&s); sigaddset(&s, SIGURG); ts = (struct timespec){0, 300000000}; sigtimedwait(&s, 0, &ts); }));
	{ int tf = timerfd_create(CLOCK_MONOTONIC, 0); struct itimerspec its = {{0, 0}, {0, 300000000}}; timerfd_settime(tf, 0, &its, 0); uint64_t v; R("timerfd", "-", read(tf, &v, 8)); close(tf); }
	{ sem_t s; sem_init(&s, 1, 0); clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 300000000; if (ts.tv_nsec > 999999999) ts.tv_nsec -= 1000000000, ts.tv_sec++; R("sem_timedwait", "-", sem_timedwait(&s, &ts)); }
}
int main(void) {
	pipe(pp); socketpair(AF_UNIX, SOCK_STREAM, 0, sk); signal(SIGCHLD, SIG_DFL);
	all(SIGUSR1, 0);
	all(SIGUSR1, SA_RESTART);
	all(SIGSTOP, 0);
	return 0;
}
