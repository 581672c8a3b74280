// seccomp(2): modes, filters and what they say, threads, listeners.
#include "guest.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/ioctl.h>
#include <ucontext.h>
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define NR offsetof(struct seccomp_data, nr)
#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define RET(v) BPF_STMT(BPF_RET | BPF_K, v)
// ON answers v for one number, and lets what follows decide on others.
#define ON(n, v) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), RET(v)
#define ALLOW RET(SECCOMP_RET_ALLOW)

#ifdef __i386__
#define ARCH AUDIT_ARCH_I386
#define UPPER 0 // the half of an argument that there is not
#define REG_IP REG_EIP
#define REG_RESULT REG_EAX
#else
#define ARCH AUDIT_ARCH_X86_64
#define UPPER 0xdead
#define REG_IP REG_RIP
#define REG_RESULT REG_RAX
#endif

static long seccomp(unsigned op, unsigned flags, void *arg) { return syscall(SYS_seccomp, op, flags, arg); }

static long install(unsigned flags, struct sock_filter *f, unsigned n)
{
	struct sock_fprog p = {n, f};
	return seccomp(SECCOMP_SET_MODE_FILTER, flags, &p);
}

#define FILTER(flags, ...)                                                                   \
	({                                                                                   \
		struct sock_filter f_[] = {__VA_ARGS__};                                     \
		install(flags, f_, sizeof f_ / sizeof *f_);                                  \
	})
#define RULE(n, v) FILTER(0, LOAD(NR), ON(n, v), ALLOW)

static void nnp(void) { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

TEST(errors)
{
	struct sock_filter allow = ALLOW, bad = {0xffff};
	struct sock_fprog p = {1, &allow};
	R(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	R(prctl(PR_SET_SECCOMP, 0, 0, 0, 0));
	R(prctl(PR_SET_SECCOMP, 3, 0, 0, 0));
	R(seccomp(99, 0, 0));
	R(seccomp(SECCOMP_SET_MODE_STRICT, 1, 0));
	R(seccomp(SECCOMP_SET_MODE_STRICT, 0, &p));
	R(seccomp(SECCOMP_SET_MODE_FILTER, 0, 0));
	R(seccomp(SECCOMP_SET_MODE_FILTER, 0, (void *)16));
	R(seccomp(SECCOMP_SET_MODE_FILTER, 1 << 6, &p));
	R(seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER, &p));
	R(seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &p));
	R(install(0, NULL, 1));
	R(install(0, (void *)16, 1));
	R(install(0, &allow, 0));
	R(install(0, &allow, 4097));
	R(install(0, &bad, 1));
	unsigned action = SECCOMP_RET_TRACE;
	R(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
	R(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &action));
	R(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, 0));
	action = 0x12340000;
	R(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
	action = SECCOMP_RET_KILL_PROCESS;
	R(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
	struct seccomp_notif_sizes z;
	R(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &z));
	say("sizes %d %d %d", z.seccomp_notif, z.seccomp_notif_resp, z.seccomp_data);
	R(seccomp(SECCOMP_GET_NOTIF_SIZES, 1, &z));
	R(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, 0));
	reap("unprivileged", CHILD(
		must(setresuid(1000, 1000, 1000));
		R(install(0, &allow, 0));
		R(install(0, &allow, 1));
		R(install(0, &bad, 1));
		R(install(0, NULL, 1));
		nnp();
		R(install(0, NULL, 1));
		R(install(0, &bad, 1));
		R(install(0, &allow, 1));
		R(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
		R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0));
		R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
		R(seccomp(SECCOMP_SET_MODE_STRICT, 0, 0))));
}

TEST(errno_action)
{
	no_core();
	reap("child", CHILD(
		OK(FILTER(0, LOAD(NR), ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM), ON(SYS_getuid, SECCOMP_RET_ERRNO),
			ON(SYS_getgid, SECCOMP_RET_ERRNO | 4095), ON(SYS_geteuid, SECCOMP_RET_ERRNO | 5000), ON(SYS_getegid, SECCOMP_RET_LOG | 7),
			ON(SYS_gettid, SECCOMP_RET_TRACE | 7), ON(SYS_getpgrp, SECCOMP_RET_USER_NOTIF), ALLOW));
		R(syscall(SYS_getppid)); R(syscall(SYS_getuid)); R(syscall(SYS_getgid)); R(syscall(SYS_geteuid));
		R(syscall(SYS_getegid)); R(syscall(SYS_gettid)); R(syscall(SYS_getpgrp))));
	// 64-bit arguments, in halves.
	reap("arguments", CHILD(
		OK(FILTER(0, LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lseek, 0, 5),
			LOAD(offsetof(struct seccomp_data, args[1]) + 4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UPPER, 0, 3),
			LOAD(offsetof(struct seccomp_data, args[1])), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xbeef, 0, 1),
			RET(SECCOMP_RET_ERRNO | EXDEV), ALLOW));
		R(syscall(SYS_lseek, -1, 0xdead0000beef, 0)); R(syscall(SYS_lseek, -1, 0xbeef, 0)); R(syscall(SYS_lseek, -1, 0xdead00000000, 0))));
	reap("architecture", CHILD(
		OK(FILTER(0, LOAD(offsetof(struct seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
			RET(SECCOMP_RET_KILL_PROCESS), LOAD(NR), ON(SYS_getppid, SECCOMP_RET_ERRNO | 1), ON(0x40000000 | SYS_getppid, SECCOMP_RET_ERRNO | 2),
			ON(-1, SECCOMP_RET_ERRNO | 3), ALLOW));
		R(syscall(SYS_getppid)); R(syscall(0x40000000 | SYS_getppid)); R(syscall(-1)); R(syscall(99999))));
}

static void on_sys(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	extern char after_call[];
	greg_t *g = uc->uc_mcontext.gregs;
	say("sig %d code %d errno %d nr %d arch %x addr %d ip %d result %ld", sig, si->si_code, si->si_errno, si->si_syscall, si->si_arch,
	    si->si_call_addr == (void *)after_call, g[REG_IP] == (greg_t)after_call, (long)g[REG_RESULT]);
	g[REG_RESULT] = 4321;
}

__attribute__((noinline, noclone)) static long call0(long nr)
{
	long r;
#ifdef __i386__
	asm volatile("int $0x80\n.globl after_call\nafter_call:" : "=a"(r) : "0"(nr) : "memory");
#else
	asm volatile("syscall\n.globl after_call\nafter_call:" : "=a"(r) : "0"(nr) : "rcx", "r11", "memory");
#endif
	return r;
}

TEST(trap)
{
	no_core();
	handle(SIGSYS, on_sys, SA_SIGINFO);
	reap("handled", CHILD(OK(RULE(SYS_getppid, SECCOMP_RET_TRAP | 0x1234)); R(call0(SYS_getppid)); R(call0(SYS_getppid))));
	reap("blocked", CHILD(OK(RULE(SYS_getppid, SECCOMP_RET_TRAP)); sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); R(call0(SYS_getppid))));
	reap("ignored", CHILD(OK(RULE(SYS_getppid, SECCOMP_RET_TRAP)); signal(SIGSYS, SIG_IGN); R(call0(SYS_getppid))));
	reap("default", CHILD(OK(RULE(SYS_getppid, SECCOMP_RET_TRAP)); signal(SIGSYS, SIG_DFL); R(call0(SYS_getppid))));
}

static void *killed(void *arg)
{
	call0(SYS_getppid);
	say("not reached");
	return NULL;
}

static void *ends(void *arg) { return NULL; }

// The last thread to go says how the process has ended: this one waits until the leader has gone.
static void *lingers(void *arg)
{
	char stat[512] = "", *end;
	do {
		int fd = open("/proc/self/stat", O_RDONLY);
		ssize_t n = read(fd, stat, sizeof stat - 1);
		close(fd);
		stat[n > 0 ? n : 0] = 0;
		end = strrchr(stat, ')');
	} while (!end || end[2] != 'Z');
	syscall(SYS_exit, 0);
	return NULL;
}

TEST(kill)
{
	no_core();
	pthread_t th;
	handle(SIGSYS, on_sys, SA_SIGINFO);
	reap("process", CHILD(OK(RULE(SYS_getppid, SECCOMP_RET_KILL_PROCESS | 3)); call0(SYS_getppid)));
	reap("unknown action", CHILD(OK(RULE(SYS_getppid, 0x12340000)); call0(SYS_getppid)));
	reap("only thread", CHILD(OK(RULE(SYS_getppid, SECCOMP_RET_KILL_THREAD)); call0(SYS_getppid)));
	reap("one of two threads", CHILD(
		OK(RULE(SYS_getppid, SECCOMP_RET_KILL_THREAD)); pthread_create(&th, NULL, killed, NULL); pthread_join(th, NULL); say("the other lives"); _exit(7)));
	reap("process by a thread", CHILD(
		OK(RULE(SYS_getppid, SECCOMP_RET_KILL_PROCESS)); pthread_create(&th, NULL, killed, NULL); pthread_join(th, NULL); say("not reached")));
	reap("the leader of two", CHILD(
		OK(RULE(SYS_getppid, SECCOMP_RET_KILL_THREAD)); pthread_create(&th, NULL, lingers, NULL); call0(SYS_getppid)));
	reap("by division", CHILD(OK(FILTER(0, LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 2), BPF_STMT(BPF_LDX | BPF_IMM, 0),
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ALLOW)); call0(SYS_getppid)));
}

TEST(strict)
{
	no_core();
	reap("exit", CHILD(OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0)); say("still writing"); syscall(SYS_exit, 3)));
	reap("exit_group", CHILD(OK(seccomp(SECCOMP_SET_MODE_STRICT, 0, 0)); _exit(3)));
	reap("getpid", CHILD(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); syscall(SYS_getpid); say("not reached")));
	reap("twice", CHILD(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0)));
	reap("no call", CHILD(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); syscall(-1)));
}

static void status(const char *file)
{
	char buf[4096], *line;
	int fd = must(open(file, O_RDONLY));
	ssize_t n = read(fd, buf, sizeof buf - 1);
	close(fd);
	buf[n < 0 ? 0 : n] = 0;
	for (line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNewPrivs", 10))
			say("%s", line);
}

TEST(inherited)
{
	no_core();
	status("/proc/self/status");
	reap("child", CHILD(
		nnp();
		OK(RULE(SYS_getppid, SECCOMP_RET_ERRNO | EDOM));
		reap("grandchild", CHILD(R(syscall(SYS_getppid)); OK(RULE(SYS_getpgrp, SECCOMP_RET_ERRNO | EXDEV)); R(syscall(SYS_getpgrp)); status("/proc/self/status")));
		OK(syscall(SYS_getpgrp));
		OK(RULE(SYS_getuid, SECCOMP_RET_ERRNO | EPERM));
		R(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
		execl("/bin/grep", "grep", "-E", "^(Seccomp|NoNewPrivs)", "/proc/self/status", NULL)));
	// What can be seen of one in strict mode.
	int p[2];
	must(pipe(p));
	pid_t c = CHILD(int q[2]; pipe(q); seccomp(SECCOMP_SET_MODE_STRICT, 0, 0); write(p[1], "x", 1); read(q[0], q, 1));
	char b, path[64];
	must(read(p[0], &b, 1));
	snprintf(path, sizeof path, "/proc/%d/status", c);
	status(path);
	kill(c, SIGKILL);
	reap("strict", c);
}

TEST(precedence)
{
	no_core();
	unsigned all[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_LOG, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ERRNO | 5, SECCOMP_RET_TRAP,
			  SECCOMP_RET_KILL_THREAD, SECCOMP_RET_KILL_PROCESS, 0x7f000000, 0x00070000};
	for (int i = 0; i < 10; i++)
		for (int j = 0; j < 10; j++)
			if (i < j)
				reap("two", CHILD(RULE(SYS_getppid, all[(i + j) % 2 ? i : j]); RULE(SYS_getppid, all[(i + j) % 2 ? j : i]); long r = call0(SYS_getppid); say("%d %d: %ld", i, j, r < 0 ? r : 1)));
	reap("same action", CHILD(RULE(SYS_getppid, SECCOMP_RET_ERRNO | 1); RULE(SYS_getppid, SECCOMP_RET_ERRNO | 2); R(call0(SYS_getppid))));
}

TEST(limits)
{
	static struct sock_filter f[4096];
	for (int i = 0; i < 4096; i++)
		f[i] = (struct sock_filter)ALLOW;
	reap("long", CHILD(int n = 0; while (install(0, f, 4096) == 0) n++; say("%d: %s", n, errname(errno));
		while (install(0, f, 100) == 0) n++; say("%d: %s", n, errname(errno)); status("/proc/self/status")));
	reap("mixture", CHILD(int n = 0; while (n < 3 && install(0, f, 4096) == 0) n++;
		while (n < 6000 && FILTER(0, LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, -5, 1, 2), BPF_STMT(BPF_LDX | BPF_IMM, 3), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
			BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 2), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 1), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, -1, 1, 0), ALLOW, ALLOW) == 0) n++;
		say("%d: %s", n, errname(errno))));
	reap("short", CHILD(int n = 0; while (n < 6000 && install(0, f, 60) == 0) n++; say("%d: %s", n, errname(errno))));
}

static struct { atomic_int tid, go, done; long r, mode; } other;

static void *waits(void *arg)
{
	other.tid = gettid();
	if (arg)
		OK(RULE(SYS_getpgrp, SECCOMP_RET_ERRNO | EXDEV));
	other.go = 1;
	while (!other.done)
		sched_yield();
	other.r = call0(SYS_getppid);
	other.mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
	say("other: %ld mode %ld nnp %d", other.r < 0 ? other.r : 1, other.mode, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return NULL;
}

static void with_thread(int filtered, unsigned flags, int before)
{
	pthread_t th;
	say("filtered %d flags %x before %d", filtered, flags, before);
	if (before)
		OK(RULE(SYS_getuid, SECCOMP_RET_ERRNO | EPERM));
	pthread_create(&th, NULL, waits, filtered ? "" : NULL);
	while (!other.go)
		sched_yield();
	nnp();
	long r = RULE(SYS_getpgid, SECCOMP_RET_ALLOW);
	r = FILTER(flags, LOAD(NR), ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM), ALLOW);
	if (r == -1)
		say("error %s", errname(errno));
	else
		say("result %s", r == 0 ? "0" : r == other.tid ? "the other" : flags & SECCOMP_FILTER_FLAG_NEW_LISTENER ? "descriptor" : "?");
	r = call0(SYS_getppid);
	say("caller: %ld", r < 0 ? r : 1);
	other.done = 1;
	pthread_join(th, NULL);
}

TEST(tsync)
{
	no_core();
	unsigned t = SECCOMP_FILTER_FLAG_TSYNC, e = SECCOMP_FILTER_FLAG_TSYNC_ESRCH, l = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	unsigned flags[] = {0, t, e, t | e, t | e | l};
	for (int i = 0; i < 5; i++)
		for (int filtered = 0; filtered < 2; filtered++)
			for (int before = 0; before < 2; before++)
				reap("child", CHILD(with_thread(filtered, flags[i], before)));
	reap("strict thread", CHILD(pthread_t th; pthread_create(&th, NULL, ends, NULL); pthread_join(th, NULL); R(FILTER(t, ALLOW))));
}

TEST(sysctl)
{
	char b[256];
	for (int i = 0; i < 2; i++) {
		int fd = must(open(i ? "/proc/sys/kernel/seccomp/actions_logged" : "/proc/sys/kernel/seccomp/actions_avail", O_RDONLY));
		int n = read(fd, b, sizeof b);
		say("%.*s", n, b);
		close(fd);
	}
	struct stat st;
	must(stat("/proc/sys/kernel/seccomp/actions_logged", &st)); say("mode %o", st.st_mode);
	must(stat("/proc/sys/kernel/seccomp/actions_avail", &st)); say("mode %o", st.st_mode);
}

#ifndef __i386__
// The legacy page: the filter sees its calls too.
TEST(vsyscall)
{
	no_core();
	handle(SIGSYS, on_sys, SA_SIGINFO);
	long (*vtime)(long *) = (void *)0xffffffffff600400;
	int st; // some hosts have no such page
	waitpid(CHILD(signal(SIGSEGV, SIG_DFL); vtime(NULL)), &st, 0);
	show_status("there", st);
	if (st)
		return;
	reap("allowed", CHILD(RULE(SYS_time, SECCOMP_RET_ALLOW); say("%d", vtime(NULL) > 1000)));
	reap("errno", CHILD(RULE(SYS_time, SECCOMP_RET_ERRNO | EDOM); say("%ld", vtime(NULL))));
	reap("trap", CHILD(RULE(SYS_time, SECCOMP_RET_TRAP); say("%ld", vtime(NULL))));
	reap("address", CHILD(FILTER(0, LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_time, 0, 3), LOAD(offsetof(struct seccomp_data, instruction_pointer)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xff600400, 0, 1), RET(SECCOMP_RET_ERRNO | EXDEV), ALLOW); say("%ld", vtime(NULL))));
	reap("kill", CHILD(RULE(SYS_time, SECCOMP_RET_KILL_PROCESS); vtime(NULL)));
	reap("strict", CHILD(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); vtime(NULL)));
}
#endif
