// Processes: fork, clone and its errors, groups, sessions, orphans, prctl.
#include "guest.h"
#include <linux/sched.h>
static volatile int got; static siginfo_t last;
static void info(int s, siginfo_t *i, void *u) { last = *i; got++; }
static long clone3(struct clone_args *a, size_t n) { return syscall(SYS_clone3, a, n); }
static void waitall(const char *w) { int ws; pid_t p; while ((p = waitpid(-1, &ws, __WALL)) > 0) show_status(w, ws); }
static int shared = 0;
int main(void) {
	int ws, pp[2]; pid_t p, me = getpid(); char ch;
	no_core(); setpgid(0, 0);
	// fork: memory is a copy, descriptors are shared.
	p = fork(); if (!p) { shared = 5; P("child: parent is ours %d, group %d, session %d\n", getppid() == me, getpgrp() == getpgid(me), getsid(0) == getsid(me)); _exit(shared); } waitpid(p, &ws, 0); show_status("fork", ws); P("shared %d\n", shared);
	p = vfork(); if (!p) { shared = 6; _exit(shared); } P("vfork came back after: %d\n", shared); waitpid(p, &ws, 0); show_status("vfork", ws);
	// clone flags.
#define C(f) ({ pid_t q = syscall(SYS_clone, f, 0, 0, 0, 0); if (!q) _exit(9); int e = errno; P("clone %lx: %s\n", (long)(f), q > 0 ? "ok" : strerrorname_np(e)); if (q > 0) { if (waitpid(q, &ws, __WALL) == q) show_status("  child", ws); else P("  wait: %s\n", strerrorname_np(errno)); } q; })
	C(SIGCHLD); C(0); C(SIGUSR1 * 0 + 100); C(255); C(CLONE_SIGHAND | SIGCHLD); C(CLONE_THREAD | CLONE_VM | SIGCHLD); C(CLONE_SIGHAND | CLONE_CLEAR_SIGHAND & 0 | SIGCHLD); C(CLONE_FS | CLONE_NEWNS | SIGCHLD); C(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_IO | SIGCHLD); C(CLONE_UNTRACED | SIGCHLD); C(CLONE_VM | CLONE_VFORK | SIGCHLD); C(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD); C(CLONE_PIDFD | CLONE_DETACHED | SIGCHLD); C(CLONE_DETACHED | SIGCHLD);
	P("settls: %s\n", ({ errno = 0; long q = syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, 1L << 63); if (!q) _exit(0); q < 0 ? strerrorname_np(errno) : "ok"; }));
	int ptid = 0, ctid = 0; p = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &ptid, &ctid, 0); if (!p) _exit(ctid == getpid() && ptid == getpid()); P("tids: parent %d child %d\n", ptid == p, ctid); waitpid(p, &ws, 0); show_status("child's", ws);
	int fd = -1; p = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0); if (!p) { msleep(30); _exit(3); } struct pollfd pf = {fd, POLLIN}; P("pidfd %d cloexec %d, poll %d", fd > 2, fcntl(fd, F_GETFD), poll(&pf, 1, 0)); P(" then %d", poll(&pf, 1, 2000)); P(" revents %x\n", pf.revents); siginfo_t si; T(waitid(P_PIDFD, fd, &si, WEXITED)); poll(&pf, 1, 0); P("reaped revents %x\n", pf.revents); T(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0)); close(fd);
	// clone3 errors.
	struct clone_args a = {.exit_signal = SIGCHLD}; struct { struct clone_args a; long more; } big = {a, 0};
#define C3(...) ({ a = (struct clone_args){__VA_ARGS__}; errno = 0; long q = clone3(&a, sizeof a); if (!q) _exit(4); P("clone3 %s: %s\n", #__VA_ARGS__, q > 0 ? "ok" : strerrorname_np(errno)); if (q > 0) waitpid(q, 0, __WALL); })
	C3(.exit_signal = SIGCHLD); signal(64, SIG_IGN); C3(.exit_signal = 65); C3(.exit_signal = 64); C3(.exit_signal = 256); C3(.flags = SIGCHLD); C3(.flags = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, .exit_signal = SIGCHLD); C3(.flags = CLONE_PARENT, .exit_signal = SIGCHLD); C3(.stack = 4096); C3(.stack_size = 4096); C3(.flags = CLONE_DETACHED); C3(.set_tid_size = 1); C3(.set_tid = (long)&ws, .set_tid_size = 100); C3(.flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM); C3(.flags = 1UL << 40); C3(.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD);
	T(syscall(SYS_clone3, &a, 0)); T(syscall(SYS_clone3, &a, 63)); T(syscall(SYS_clone3, 8, 64)); T(syscall(SYS_clone3, &a, 5000)); big.a = (struct clone_args){.exit_signal = 17}; big.more = 1; T(syscall(SYS_clone3, &big, sizeof big)); big.more = 0; p = syscall(SYS_clone3, &big, sizeof big); if (!p) _exit(0); P("longer clone3 %d\n", p > 0); waitall("clone3");
	// CLONE_PARENT: the child is our parent's.
	p = fork(); if (!p) { pid_t q = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0); if (!q) { msleep(60); P("sibling's parent %d\n", getppid() == me); _exit(2); } T(waitpid(q, 0, 0)); _exit(1); } waitall("siblings");
	// CLONE_CLEAR_SIGHAND.
	on(SIGUSR1, info, SA_SIGINFO); on(SIGUSR2, SIG_IGN, 0); a = (struct clone_args){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD}; p = clone3(&a, sizeof a); if (!p) { struct sigaction x; sigaction(SIGUSR1, 0, &x); P("cleared %d", x.sa_handler == SIG_DFL); sigaction(SIGUSR2, 0, &x); P(" ignored %d\n", x.sa_handler == SIG_IGN); _exit(0); } waitall("clear");
	// Groups and sessions.
	T(setpgid(0, -1)); T(setpgid(999999, 0)); T(getpgid(999999)); T(getsid(999999)); T(setpgid(0, 999999)); T(getpgid(-1));
	pipe(pp); p = fork(); if (!p) { read(pp[0], &ch, 1); _exit(0); }
	T(setpgid(p, p)); P("group of the child %d\n", getpgid(p) == p); T(setpgid(p, 0)); T(setpgid(p, getpgrp())); T(setpgid(p, 1)); P("back %d\n", getpgid(p) == getpgrp());
	pid_t q = fork(); if (!q) { T(setpgid(me, 0)); T(setpgid(p, 0)); T(setsid() > 0); P("session %d %d\n", getsid(0) == getpid(), getpgrp() == getpid()); T(setsid()); T(setpgid(0, 0)); T(setpgid(0, getppid())); write(pp[1], "xx", 2); read(pp[0], &ch, 1); _exit(0); }
	msleep(50); T(setpgid(q, 0)); T(setpgid(q, q)); write(pp[1], "xx", 2); waitall("sessions");
	p = fork(); if (!p) { setpgid(0, 0); T(setsid()); _exit(0); } waitall("leader");
	// After exec setpgid is refused.
	p = fork(); if (!p) { execl("/bin/sleep", "sleep", "0.2", NULL); _exit(1); } msleep(100); T(setpgid(p, p)); waitall("execed");
	// Orphans go to the subreaper; the parent's death is told.
	T(prctl(PR_SET_CHILD_SUBREAPER, 1)); int v; prctl(PR_GET_CHILD_SUBREAPER, &v); P("subreaper %d\n", v);
	p = fork(); if (!p) { if (!fork()) { prctl(PR_GET_CHILD_SUBREAPER, &v); P("inherited %d\n", v); msleep(120); P("adopted %d\n", getppid() == me); _exit(42); } msleep(40); _exit(1); } waitall("subreaper"); prctl(PR_SET_CHILD_SUBREAPER, 0);
	T(prctl(PR_SET_PDEATHSIG, 65)); T(prctl(PR_SET_PDEATHSIG, SIGUSR1)); prctl(PR_GET_PDEATHSIG, &v); P("pdeathsig %d\n", v);
	p = fork(); if (!p) { prctl(PR_GET_PDEATHSIG, &v); P("child's pdeathsig %d\n", v); pid_t mid = getpid(); pipe(pp); if (!fork()) { prctl(PR_SET_PDEATHSIG, SIGUSR1); write(pp[1], "x", 1); for (int i = 0; i < 100 && !got; i++) msleep(5); msleep(60); P("parent died: %d code %d from %d\n", got, last.si_code, last.si_pid == mid); fflush(stdout); _exit(0); } read(pp[0], &ch, 1); _exit(0); } waitall("pdeath"); msleep(150);
	// A thread's end is its child's parent's death.
	p = fork(); if (!p) { pipe(pp); void *th(void *x) { if (!fork()) { prctl(PR_SET_PDEATHSIG, SIGUSR1); write(pp[1], "x", 1); for (int i = 0; i < 60 && !got; i++) msleep(5); P("parent's thread ended: %d\n", got); _exit(0); } read(pp[0], &ch, 1); return 0; } pthread_t t; pthread_create(&t, 0, th, 0); pthread_join(t, 0); wait(0); _exit(0); } waitall("thread death");
	prctl(PR_SET_PDEATHSIG, 0);
	// An orphaned group with stopped members is hung up.
	int op[2]; pipe(op); p = fork(); if (!p) { setpgid(0, 0); pid_t k = fork(); if (!k) { on(SIGHUP, info, SA_SIGINFO); raise(SIGSTOP); P("orphan: hup %d\n", got); write(op[1], "x", 1); _exit(0); } siginfo_t s; waitid(P_PID, k, &s, WSTOPPED | WNOWAIT); _exit(0); } read(op[0], &ch, 1); waitall("orphaned");
	// A stop signal from the terminal does not stop an orphaned group.
	p = fork(); if (!p) { setsid(); raise(SIGTSTP); P("not stopped\n"); _exit(0); } waitall("orphan tstp");
	// prctl.
	char name[17] = ""; prctl(PR_SET_NAME, "a very long name indeed"); prctl(PR_GET_NAME, name); P("name %s\n", name); p = fork(); if (!p) { prctl(PR_GET_NAME, name); P("child name %s\n", name); _exit(0); } waitall("name");
	T(prctl(PR_GET_DUMPABLE)); T(prctl(PR_SET_DUMPABLE, 2)); T(prctl(PR_SET_DUMPABLE, 0)); T(prctl(PR_GET_DUMPABLE)); prctl(PR_SET_DUMPABLE, 1); T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)); T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); T(prctl(PR_GET_TIMERSLACK)); T(prctl(PR_SET_TIMERSLACK, 1000)); T(prctl(PR_GET_TIMERSLACK)); T(prctl(12345)); T(prctl(PR_GET_KEEPCAPS)); T(prctl(PR_SET_KEEPCAPS, 2)); T(prctl(PR_GET_SECCOMP)); T(prctl(PR_GET_TSC, &v)); T(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)); 
	// Many.
	int okk = 0; for (int i = 0; i < 50; i++) { p = fork(); if (!p) _exit(i); if (waitpid(p, &ws, 0) == p && WEXITSTATUS(ws) == i) okk++; } P("forks %d\n", okk);
	return 0;
}
