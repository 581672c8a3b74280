// seccomp(2) and Syscall User Dispatch as a tracer sees and changes them.
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/ptrace.h>
#include <sys/prctl.h>
#include <sys/user.h>
#define ptrace(...) syscall(SYS_ptrace, __VA_ARGS__)
#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
struct config { __u64 mode, selector, offset, len; };

#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define RET(v) BPF_STMT(BPF_RET | BPF_K, v)
#define ON(n, v) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), RET(v)

static long install(unsigned flags, struct sock_filter *f, unsigned n)
{
	struct sock_fprog p = {n, f};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}
#define FILTER(flags, ...)                                                                   \
	({                                                                                   \
		struct sock_filter f_[] = {LOAD(0), __VA_ARGS__, RET(SECCOMP_RET_ALLOW)};    \
		install(flags, f_, sizeof f_ / sizeof *f_);                                  \
	})

static void stopped(const char *what, pid_t pid)
{
	int st;
	unsigned long msg = 0;
	must(waitpid(pid, &st, __WALL));
	if (!WIFSTOPPED(st)) {
		show_status(what, st);
		return;
	}
	ptrace(PTRACE_GETEVENTMSG, pid, 0, &msg);
	struct user_regs_struct r;
	ptrace(PTRACE_GETREGS, pid, 0, &r);
	say("%s: stopped %x msg %lu nr %lld rax %lld", what, st >> 8, st >> 16 == PTRACE_EVENT_SECCOMP ? msg : 0, r.orig_rax, st >> 16 ? (long long)r.rax : 0);
}

static pid_t start(long options, void (*run)(void))
{
	pid_t c = CHILD(ptrace(PTRACE_TRACEME, 0, 0, 0); raise(SIGSTOP); run());
	int st;
	must(waitpid(c, &st, 0));
	if (options)
		must(ptrace(PTRACE_SETOPTIONS, c, 0, options));
	return c;
}

static void cont(pid_t c) { must(ptrace(PTRACE_CONT, c, 0, 0)); }

static pid_t parent;

static void calls(void)
{
	pid_t gettid_ = gettid();
	FILTER(0, ON(SYS_getppid, SECCOMP_RET_TRACE | 77), ON(SYS_getuid, SECCOMP_RET_ERRNO | EDOM), ON(SYS_gettid, SECCOMP_RET_TRACE | 78));
	for (int i = 0; i < 6; i++) {
		long r = syscall(SYS_getppid);
		int e = errno;
		say("call %d: %s", i, r == -1 ? errname(e) : r == parent ? "the parent" : r == gettid_ ? "itself" : "?");
	}
}

static void poke(pid_t c, int reg, long v) { must(ptrace(PTRACE_POKEUSR, c, 8 * reg, v)); }
#define ORIG_RAX 15
#define RAX 10

TEST(event)
{
	parent = getpid();
	pid_t c = start(PTRACE_O_TRACESECCOMP, calls);
	cont(c); stopped("left alone", c);
	cont(c); stopped("becomes getuid", c); // which the filter denies
	poke(c, ORIG_RAX, SYS_getuid);
	cont(c); stopped("becomes getpid", c);
	poke(c, ORIG_RAX, SYS_getpid);
	cont(c); stopped("becomes none", c);
	poke(c, ORIG_RAX, -1), poke(c, RAX, -EXDEV);
	cont(c); stopped("becomes traced", c); // no second event
	poke(c, ORIG_RAX, SYS_gettid);
	cont(c); stopped("last", c);
	struct ptrace_syscall_info i = {0};
	say("info %d", ptrace(PTRACE_GET_SYSCALL_INFO, c, sizeof i, &i) > 0);
	say("op %d nr %llu data %u", i.op, i.seccomp.nr, i.seccomp.ret_data);
	must(ptrace(PTRACE_SYSCALL, c, 0, 0)); stopped("its exit", c);
	ptrace(PTRACE_KILL, c, 0, 0);
	reap("child", c);
}

TEST(without_option)
{
	parent = getpid();
	pid_t c = start(0, calls);
	cont(c);
	reap("child", c);
}

static void one(void)
{
	FILTER(0, ON(SYS_getppid, SECCOMP_RET_TRACE | 5));
	syscall(SYS_getppid);
}

// The order of the stops under PTRACE_SYSCALL.
TEST(order)
{
	pid_t c = start(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD, one);
	for (int i = 0; i < 8; i++) {
		must(ptrace(PTRACE_SYSCALL, c, 0, 0));
		int st;
		struct user_regs_struct r;
		must(waitpid(c, &st, 0));
		if (!WIFSTOPPED(st)) {
			show_status("child", st);
			return;
		}
		ptrace(PTRACE_GETREGS, c, 0, &r);
		say("%x nr %lld", st >> 8, r.orig_rax);
	}
	kill(c, SIGKILL);
	waitpid(c, NULL, 0);
}

static void filtered(void)
{
	FILTER(0, ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM));
	FILTER(SECCOMP_FILTER_FLAG_LOG, ON(SYS_getuid, SECCOMP_RET_ERRNO | EDOM), ON(SYS_getgid, SECCOMP_RET_TRAP));
	raise(SIGSTOP);
	long r = syscall(SYS_getppid);
	say("getppid: %ld", r > 0 ? 1 : r);
	raise(SIGSTOP);
	r = syscall(SYS_getppid);
	say("getppid: %ld", r > 0 ? 1 : r);
}

TEST(filters)
{
	struct sock_filter f[16];
	pid_t c = start(0, filtered);
	R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, 0, f));
	cont(c); stopped("filtered", c);
	R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, 0, NULL));
	R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, 1, NULL));
	R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, 2, NULL));
	R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, -1L, NULL));
	R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, 0, 16));
	for (int n = 0; n < 2; n++) {
		memset(f, 0, sizeof f);
		int len = ptrace(PTRACE_SECCOMP_GET_FILTER, c, n, f);
		for (int i = 0; i < len; i++)
			say("%d: %x %d %d %x", i, f[i].code, f[i].jt, f[i].jf, f[i].k);
	}
	__u64 m[4] = {0, 99, 98, 97};
	R(ptrace(PTRACE_SECCOMP_GET_METADATA, c, 16, m)); say("%llu %llu %llu", m[0], m[1], m[2]);
	m[0] = 1;
	R(ptrace(PTRACE_SECCOMP_GET_METADATA, c, 32, m)); say("%llu %llu %llu", m[0], m[1], m[2]);
	m[0] = 1, m[1] = 99;
	R(ptrace(PTRACE_SECCOMP_GET_METADATA, c, 8, m)); say("%llu %llu", m[0], m[1]);
	R(ptrace(PTRACE_SECCOMP_GET_METADATA, c, 4, m));
	m[0] = 2;
	R(ptrace(PTRACE_SECCOMP_GET_METADATA, c, 16, m));
	R(ptrace(PTRACE_SECCOMP_GET_METADATA, c, 16, 16));
	reap("from within a filter", CHILD(FILTER(0, ON(-5, 0)); R(ptrace(PTRACE_SECCOMP_GET_FILTER, c, 0, NULL))));
	R(ptrace(PTRACE_SETOPTIONS, c, 0, PTRACE_O_SUSPEND_SECCOMP));
	cont(c); stopped("suspended", c);
	R(ptrace(PTRACE_SETOPTIONS, c, 0, 0));
	cont(c);
	reap("child", c);
}

TEST(killed_in_event)
{
	pid_t c = start(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXIT, one);
	cont(c); stopped("event", c);
	kill(c, SIGKILL);
	stopped("exit", c);
	cont(c);
	reap("child", c);
}

static void trapped(void)
{
	FILTER(0, ON(SYS_getppid, SECCOMP_RET_TRAP | 9));
	syscall(SYS_getppid);
	FILTER(0, ON(SYS_getpgrp, SECCOMP_RET_KILL_PROCESS | 9));
	syscall(SYS_getpgrp);
}

TEST(signals)
{
	no_core();
	pid_t c = start(0, trapped);
	cont(c); stopped("trap", c);
	siginfo_t si;
	R(ptrace(PTRACE_GETSIGINFO, c, 0, &si));
	say("sig %d code %d errno %d nr %d arch %x", si.si_signo, si.si_code, si.si_errno, si.si_syscall, si.si_arch);
	cont(c); // suppressed
	reap("child", c);
}

static char selector;

static void dispatched(void)
{
	prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0x1000, 0x2000, &selector);
	raise(SIGSTOP);
	selector = 1;
	syscall(SYS_getppid);
	selector = 0;
	fork() == 0 ? raise(SIGSTOP) : 0;
}

static void show_config(const char *what, pid_t c)
{
	struct config g = {9, 9, 9, 9};
	long r = ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, c, sizeof g, &g);
	say("%s: %ld mode %llu offset %llx len %llx selector %d", what, r, g.mode, g.offset, g.len, g.selector == (__u64)&selector);
}

TEST(dispatch)
{
	pid_t c = start(0, dispatched);
	show_config("off", c);
	cont(c); stopped("on", c);
	show_config("on", c);
	struct config g;
	R(ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, c, sizeof g - 8, &g));
	R(ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, c, sizeof g, NULL));
	g = (struct config){0, 1, 0, 0};
	R(ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, c, sizeof g, &g));
	g = (struct config){1, (__u64)&selector, 0x5000, 0x100};
	R(ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, c, sizeof g + 8, &g));
	R(ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, c, sizeof g, &g));
	show_config("set", c);
	must(ptrace(PTRACE_SETOPTIONS, c, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK));
	must(ptrace(PTRACE_SYSCALL, c, 0, 0));
	int st;
	must(waitpid(c, &st, 0)); // the exit of raise, then SIGSYS without a call's stop
	while (WSTOPSIG(st) != SIGSYS && WIFSTOPPED(st)) {
		must(ptrace(PTRACE_SYSCALL, c, 0, 0));
		must(waitpid(c, &st, 0));
	}
	siginfo_t si;
	R(ptrace(PTRACE_GETSIGINFO, c, 0, &si));
	say("sig %d code %d errno %d nr %d arch %x", si.si_signo, si.si_code, si.si_errno, si.si_syscall, si.si_arch);
	cont(c); stopped("fork", c);
	unsigned long n;
	must(ptrace(PTRACE_GETEVENTMSG, c, 0, &n));
	must(waitpid(n, &st, __WALL));
	show_config("child", n);
	kill(n, SIGKILL);
	waitpid(n, NULL, __WALL);
	cont(c);
	waitpid(c, &st, 0);
	if (WIFSTOPPED(st)) { // SIGCHLD
		cont(c);
		waitpid(c, &st, 0);
	}
	show_status("parent", st);
}
