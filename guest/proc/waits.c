// Waiting for children.
#include "guest.h"
static volatile int got; static siginfo_t last;
static void info(int s, siginfo_t *i, void *u) { last = *i; got++; }
static siginfo_t si; static int ws; static struct rusage ru;
static pid_t spawn(int ms, int code) { pid_t p = fork(); if (!p) { msleep(ms); _exit(code); } return p; }
static pid_t stopper(void) { pid_t p = fork(); if (!p) { raise(SIGSTOP); msleep(30); _exit(6); } return p; }
static void showsi(const char *w, pid_t p) { P("%s: signo %d code %d status %d pid %d uid %d\n", w, si.si_signo, si.si_code, si.si_status, si.si_pid == p, si.si_uid == getuid()); }
int main(void) {
	no_core(); pid_t p, q, me = getpid();
	T(wait(0)); T(waitpid(-1, 0, WNOHANG)); T(waitpid(999999, 0, 0)); T(waitpid(INT_MIN, 0, 0)); T(syscall(SYS_wait4, -1, 0, 0x100, 0)); T(syscall(SYS_wait4, -1, 0, WEXITED, 0)); T(waitid(P_ALL, 0, &si, 0)); T(waitid(P_ALL, 0, &si, WNOHANG)); T(waitid(P_ALL, 0, &si, WEXITED)); T(waitid(9, 0, &si, WEXITED)); T(waitid(P_PID, 0, &si, WEXITED)); T(waitid(P_PGID, -1, &si, WEXITED)); T(waitid(P_PGID, 0, &si, WEXITED)); T(waitid(P_PIDFD, 999, &si, WEXITED)); T(waitid(P_PIDFD, 0, &si, WEXITED)); T(syscall(SYS_waitid, P_PIDFD, -1, &si, WEXITED, 0));
	memset(&si, 0xff, sizeof si); waitid(P_ALL, 0, &si, WEXITED); P("failed waitid wrote %d %d %d %d\n", si.si_signo, si.si_code, si.si_pid, si.si_status);
	p = spawn(20, 3); T(waitpid(-1, &ws, WNOHANG)); memset(&si, 0xff, sizeof si); T(waitid(P_PID, p, &si, WEXITED | WNOHANG)); P("nohang wrote %d %d\n", si.si_signo, si.si_pid);
	T(waitid(P_PID, p, &si, WEXITED | WNOWAIT)); showsi("nowait", p); T(waitid(P_PID, p, &si, WEXITED | WNOWAIT)); T(kill(p, 0)); T(kill(p, 9)); T(getpgid(p) == getpgrp()); T(setpgid(p, p)); T(waitid(P_PID, p, &si, WEXITED)); showsi("reap", p); T(waitid(P_PID, p, &si, WEXITED)); T(kill(p, 0));
	p = spawn(20, 3); T(syscall(SYS_wait4, p, 8, 0, 0)); T(waitpid(p, &ws, 0));
	// Stops.
	p = stopper(); T(waitid(P_PID, p, &si, WSTOPPED | WNOWAIT)); showsi("stopped", p); T(waitid(P_PID, p, &si, WEXITED | WNOHANG)); T(waitpid(p, &ws, WUNTRACED) == p); show_status("untraced", ws); T(waitpid(p, &ws, WUNTRACED | WNOHANG)); T(waitpid(p, &ws, WCONTINUED | WNOHANG)); kill(p, SIGCONT); T(waitid(P_PID, p, &si, WCONTINUED)); showsi("continued", p); T(waitpid(p, &ws, 0) == p); show_status("end", ws);
	p = stopper(); waitpid(p, &ws, WUNTRACED); kill(p, SIGTERM); msleep(20); T(waitpid(p, &ws, WNOHANG)); kill(p, SIGCONT); waitpid(p, &ws, 0); show_status("term while stopped", ws);
	p = stopper(); waitpid(p, &ws, WUNTRACED); kill(p, SIGKILL); waitpid(p, &ws, 0); show_status("kill while stopped", ws);
	p = stopper(); waitpid(p, &ws, WUNTRACED); kill(p, SIGCONT); kill(p, SIGSTOP); msleep(20); T(waitpid(p, &ws, WCONTINUED | WUNTRACED | WNOHANG) == p); show_status("cont and stop", ws); kill(p, SIGKILL); waitpid(p, &ws, WEXITED * 0); show_status("end", ws);
	// What SIGCHLD tells.
	on(SIGCHLD, info, SA_SIGINFO | SA_RESTART); got = 0;
	p = stopper(); waitpid(p, &ws, WUNTRACED); si = last; P("%d ", got); showsi("chld stop", p); kill(p, SIGCONT); waitpid(p, &ws, 0); msleep(5); si = last; showsi("chld exit", p); P("count %d\n", got >= 2);
	p = fork(); if (!p) { raise(SIGTERM); _exit(0); } waitpid(p, &ws, 0); si = last; showsi("chld killed", p);
	on(SIGCHLD, info, SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP); got = 0; p = stopper(); waitpid(p, &ws, WUNTRACED); P("nocldstop: %d\n", got); kill(p, SIGCONT); waitpid(p, &ws, 0); P("then %d\n", got);
	// No zombies.
	on(SIGCHLD, info, SA_SIGINFO | SA_RESTART | SA_NOCLDWAIT); got = 0; p = spawn(20, 1); T(waitpid(p, &ws, 0)); P("nocldwait signals %d\n", got);
	on(SIGCHLD, SIG_IGN, 0); p = spawn(20, 1); q = spawn(60, 1); double t0 = now(); T(wait(&ws)); P("waited for all %d\n", now() - t0 > 0.05);
	on(SIGCHLD, SIG_DFL, 0);
	// Clone children.
	p = syscall(SYS_clone, 0, 0, 0, 0, 0); if (!p) _exit(5); q = spawn(0, 6); msleep(30); T(waitpid(p, &ws, 0)); T(waitpid(p, &ws, __WCLONE) == p); show_status("wclone", ws); T(waitpid(-1, &ws, __WCLONE)); T(waitpid(-1, &ws, __WALL) == q); show_status("wall", ws);
	on(SIGUSR1, info, SA_SIGINFO); got = 0; p = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0); if (!p) _exit(7); waitpid(p, &ws, __WALL); si = last; P("%d ", got); showsi("another exit signal", p);
	// By group.
	p = fork(); if (!p) { setpgid(0, 0); _exit(1); } setpgid(p, p); q = spawn(40, 2); T(waitpid(-q, &ws, 0)); T(waitpid(0, &ws, 0) == q); T(waitpid(-p, &ws, 0) == p); 
	p = fork(); if (!p) { setpgid(0, 0); _exit(1); } setpgid(p, p); T(waitid(P_PGID, p, &si, WEXITED)); showsi("pgid", p);
	// Threads: another thread's children, and __WNOTHREAD.
	p = spawn(30, 8); void *th(void *x) { T(waitpid(p, &ws, __WNOTHREAD | WNOHANG)); T(waitpid(p, &ws, 0) == p); show_status("thread", ws); return 0; } pthread_t t; pthread_create(&t, 0, th, 0); pthread_join(t, 0);
	// Resource usage counts what was waited for.
	p = fork(); if (!p) { if (!fork()) { while (clock() < 50000); _exit(0); } wait(0); _exit(0); } wait4(p, &ws, 0, &ru); P("usage %d\n", ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec > 20000); getrusage(RUSAGE_CHILDREN, &ru); P("children %d\n", ru.ru_utime.tv_usec + ru.ru_stime.tv_usec > 20000);
	struct tms ta; clock_t c0 = times(&ta); P("times %d\n", ta.tms_cutime + ta.tms_cstime >= 2); T(getrusage(7, &ru)); T(getrusage(RUSAGE_THREAD, &ru)); T(syscall(SYS_getrusage, 0, 8)); 
	// pidfds.
	int fd = syscall(SYS_pidfd_open, me, 0); T(syscall(SYS_pidfd_open, 999999, 0)); T(syscall(SYS_pidfd_open, 0, 0)); T(syscall(SYS_pidfd_open, -1, 0)); T(syscall(SYS_pidfd_open, me, 1)); T(waitid(P_PIDFD, fd, &si, WEXITED)); T(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0)); T(syscall(SYS_pidfd_send_signal, fd, 65, 0, 0)); T(syscall(SYS_pidfd_send_signal, 0, 0, 0, 0)); T(syscall(SYS_pidfd_send_signal, fd, 0, 0, 8)); T(syscall(SYS_pidfd_getfd, fd, 999, 0)); T(syscall(SYS_pidfd_getfd, fd, 1, 1)); int d = syscall(SYS_pidfd_getfd, fd, 1, 0); P("getfd %d cloexec %d\n", d > 2, fcntl(d, F_GETFD)); T(read(fd, &si, 4)); T(write(fd, &si, 4));
	p = spawn(50, 9); fd = syscall(SYS_pidfd_open, p, O_NONBLOCK); T(waitid(P_PIDFD, fd, &si, WEXITED)); got = 0; struct pollfd pf = {fd, POLLIN}; T(poll(&pf, 1, 1000)); T(waitid(P_PIDFD, fd, &si, WEXITED)); showsi("pidfd", p); T(waitid(P_PIDFD, fd, &si, WEXITED)); T(syscall(SYS_pidfd_getfd, fd, 0, 0));
	p = spawn(5000, 9); fd = syscall(SYS_pidfd_open, p, 0); T(syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0)); waitpid(p, &ws, 0); show_status("pidfd kill", ws);
	// Many at once, in any order.
	int n = 0, sum = 0; for (int i = 0; i < 30; i++) spawn(30 - i, i); while (wait(&ws) > 0) n++, sum += WEXITSTATUS(ws); P("many %d %d\n", n, sum);
	return 0;
}
