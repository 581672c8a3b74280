// Syscall User Dispatch: calls that the program serves itself.
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <ucontext.h>
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static volatile char selector; // 0: calls are made, 1: they are blocked
static volatile int seen, nr, same_ip, arch_ok, code, err, rax;

// Calls and returns from signals that are allowed where they stand.
extern char inside[], inside_end[], outside_after[], restorer[];
long inside_call(long nr, long a, long b, long c);
long outside_call(long nr, long a, long b, long c);
asm(".pushsection .text\n"
    "inside:\n"
    "inside_call: mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; syscall; ret\n"
    "restorer: mov $15,%eax; syscall; ud2\n"
    "inside_end:\n"
    "outside_call: mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; syscall\n"
    "outside_after: ret\n"
    ".popsection\n");

// Nothing but what is inside may be called while dispatch is on, this included.
static void on_sys(int sig, siginfo_t *si, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	seen++;
	nr = si->si_syscall, code = si->si_code, err = si->si_errno, rax = g[REG_RAX];
	arch_ok = si->si_arch == 0xc000003e;
	same_ip = si->si_call_addr == (void *)outside_after && g[REG_RIP] == (greg_t)outside_after;
	g[REG_RAX] = 1000 + seen;
}

static void handler(int flags)
{
	struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } sa = {on_sys, SA_SIGINFO | 0x04000000 | flags, restorer, 0};
	must(syscall(SYS_rt_sigaction, SIGSYS, &sa, NULL, 8));
}

static void show(const char *what, long r)
{
	say("%s: %ld seen %d nr %d code %d errno %d rax %d ip %d arch %d", what, r, seen, nr, code, err, rax, same_ip, arch_ok);
	seen = 0;
}

#define ON(mode, off, len, sel) prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, off, len, sel)
#define SET(v) (selector = (v))

TEST(errors)
{
	R(ON(3, 0, 0, 0));
	R(ON(-1, 0, 0, 0));
	R(ON(0, 1, 0, 0));
	R(ON(0, 0, 1, 0));
	R(ON(0, 0, 0, &selector));
	R(ON(0, 0, 0, 0));
	R(ON(1, 1, 0, &selector));
	R(ON(1, 1, -1L, &selector));
	R(ON(1, -1L, 1, &selector));
	R(ON(1, 0, -1L, &selector));
	R(ON(1, 0x1000, 1, -1L));
	R(ON(1, 0x1000, 1, 0x800000000000));
	R(ON(1, 0x1000, 1, 0xffff800000000000));
	R(ON(1, 0, -1L, 16)); // all is inside: it is never read
	R(ON(0, 0, 0, 0));
}

TEST(selector)
{
	no_core();
	handler(0);
	reap("child", CHILD(
		R(ON(1, inside, inside_end - inside, &selector));
		long r = outside_call(SYS_getppid, 0, 0, 0);
		show("allowed", r == getppid());
		SET(1); r = outside_call(SYS_getppid, 0, 0, 0); SET(0);
		show("blocked", r);
		SET(1); r = outside_call(99999, 0, 0, 0); SET(0);
		show("no call", r);
		SET(1); r = outside_call(-1, 0, 0, 0); SET(0);
		show("-1", r);
		SET(1); r = inside_call(SYS_getppid, 0, 0, 0); SET(0);
		show("inside", r == getppid());
		R(ON(0, 0, 0, 0));
		SET(1); r = outside_call(SYS_getppid, 0, 0, 0); SET(0);
		show("off", r == getppid())));
	reap("bad selector", CHILD(ON(1, inside, inside_end - inside, &selector); SET(2); outside_call(SYS_getppid, 0, 0, 0)));
	reap("unreadable selector", CHILD(handle(SIGSEGV, on_sys, SA_SIGINFO); ON(1, inside, inside_end - inside, 16); outside_call(SYS_getppid, 0, 0, 0)));
	reap("no handler", CHILD(signal(SIGSYS, SIG_DFL); ON(1, inside, inside_end - inside, &selector); SET(1); outside_call(SYS_getppid, 0, 0, 0)));
	reap("ignored", CHILD(signal(SIGSYS, SIG_IGN); ON(1, inside, inside_end - inside, &selector); SET(1); outside_call(SYS_getppid, 0, 0, 0)));
	reap("blocked signal", CHILD(sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, NULL);
		ON(1, inside, inside_end - inside, &selector); SET(1); outside_call(SYS_getppid, 0, 0, 0)));
}

// Without a selector all outside is blocked until prctl is called from inside.
TEST(always)
{
	handler(0);
	reap("child", CHILD(
		ON(1, inside, inside_end - inside, 0);
		long r = outside_call(SYS_getppid, 0, 0, 0);
		long q = outside_call(SYS_write, 1, (long)"not written\n", 12);
		inside_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, 0, 0);
		show("first", r); say("second %ld", q)));
}

static void *thread(void *arg)
{
	SET(1);
	long r = outside_call(SYS_getppid, 0, 0, 0);
	SET(0);
	show("thread", r == getppid());
	return NULL;
}

// It is the task's own.
TEST(children)
{
	handler(0);
	reap("child", CHILD(
		ON(1, inside, inside_end - inside, &selector);
		reap("grandchild", CHILD(SET(1); long r = outside_call(SYS_getppid, 0, 0, 0); SET(0); show("fork", r == getppid())));
		pthread_t th; pthread_create(&th, NULL, thread, NULL); pthread_join(th, NULL);
		SET(1); long r = outside_call(SYS_getppid, 0, 0, 0); SET(0); show("itself", r);
		SET(1); inside_call(SYS_execve, (long)"/bin/true", (long)(char *[]){"true", NULL}, 0)));
}

// User dispatch comes before seccomp, which does not see what it blocks.
TEST(before_seccomp)
{
	no_core();
	handler(0);
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog p = {4, f};
	reap("child", CHILD(
		must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0));
		ON(1, inside, inside_end - inside, &selector);
		SET(1); long r = outside_call(SYS_getppid, 0, 0, 0); SET(0); show("blocked", r);
		inside_call(SYS_getppid, 0, 0, 0)));
}
