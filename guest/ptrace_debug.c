// ptrace(2): the debug registers. Where the processor, or what stands in for it, has no breakpoints none is hit, natively as inside.
// sysemu run: --ptrace-rule=linux
#include "ptrace.h"

#define DR(n) offsetof(struct user, u_debugreg[n])
static volatile long watched __attribute__((aligned(8)));
static volatile long read_only __attribute__((aligned(8)));
__attribute__((noinline)) static void broken(void) { __asm__ volatile("nop; nop"); }
static volatile int got, code;
static void on_trap(int s, siginfo_t *si, void *u) { got++; code = si->si_code; }

static void set(pid_t p, int n, unsigned long v)
{
	long r = pt(PTRACE_POKEUSER, p, DR(n), v);
	say("dr%d := %s: %s", n, n < 4 ? "address" : n == 6 ? "status" : "control", r ? errname(errno) : "ok");
}

static int go(const char *what, pid_t p, int req)
{
	must(pt(req, p, 0, 0));
	int st = next_of(what, p);
	if (WIFSTOPPED(st))
		say("  dr6 %#lx", user(p, DR(6)) & 0xe00f);
	return st;
}

TEST(registers)
{
	pid_t p = TRACEE(pause());
	for (int i = 0; i < 8; i++)
		say("dr%d %#lx", i, i == 6 ? user(p, DR(i)) & 0xf : user(p, DR(i)));
	set(p, 0, (long)&watched); T(user(p, DR(0)) == (long)&watched);
	set(p, 1, -8); set(p, 3, 0);
	set(p, 4, 1); set(p, 5, 1); set(p, 6, 1); say("dr6 %#lx", user(p, DR(6)) & 0xf);
	set(p, 6, 0);
	set(p, 7, 0x90101); say("dr7 %#lx", user(p, DR(7)) & 0xffff0303); // length of 4 for a write
	set(p, 7, 0x20101); // an I/O breakpoint
	set(p, 7, 0); say("dr7 %#lx", user(p, DR(7)) & 0xffff0303);
	set(p, 0, (long)&watched + 1); set(p, 7, 0xd0101); // not aligned
	set(p, 7, 0);
	R(pt(PTRACE_PEEKUSER, p, offsetof(struct user, u_debugreg[7]) + 8, 8));
	end(p);
}

TEST(watchpoint)
{
	pid_t p = TRACEE(watched = 1; watched = 2; long x = watched; read_only = 5; x = read_only; syscall(SYS_getuid));
	set(p, 0, (long)&watched); set(p, 1, (long)&read_only);
	set(p, 7, 0xfd0105); // write of 8 bytes, access of 8 bytes
	for (int i = 0; i < 6; i++)
		if (!WIFSTOPPED(go("next", p, PTRACE_CONT)))
			return;
	end(p);
}

TEST(breakpoint)
{
	pid_t p = TRACEE(broken(); broken());
	set(p, 2, (long)broken); set(p, 7, 0x10);
	if (WIFSTOPPED(go("hit", p, PTRACE_CONT))) {
		T(REG(p, rip) == (long)broken);
		set(p, 7, 0);
		go("step", p, PTRACE_SINGLESTEP);
		set(p, 7, 0x10);
		go("hit again", p, PTRACE_CONT);
		set(p, 7, 0);
		go("end", p, PTRACE_CONT);
	}
}

// A child has none of them, nor has a new program.
TEST(inheritance)
{
	pid_t p = TRACEE(
		if (fork() == 0) { watched = 1; _exit(0); }
		int st; wait(&st); show_status("child", st);
		execl("/proc/self/exe", "x", NULL));
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC));
	set(p, 0, (long)&watched); set(p, 7, 0xd0101);
	go("fork", p, PTRACE_CONT);
	long child; must(pt(PTRACE_GETEVENTMSG, p, 0, (long)&child));
	next_of("child", child);
	say("dr7 of the child %#lx", user(child, DR(7)));
	must(pt(PTRACE_CONT, child, 0, 0));
	next_of("child", child);
	must(pt(PTRACE_CONT, p, 0, 0));
	int st; waitpid(p, &st, 0);
	while (WIFSTOPPED(st) && st >> 16 != PTRACE_EVENT_EXEC) { pt(PTRACE_CONT, p, 0, 0); waitpid(p, &st, 0); }
	say("after exec: dr7 %#lx dr0 %#lx", user(p, DR(7)), user(p, DR(0)));
	end(p);
}

// They stay when the tracer has gone.
TEST(handled)
{
	handle(SIGTRAP, on_trap, SA_SIGINFO);
	pid_t p = TRACEE(watched = 3; say("traps %d code %d", got, code));
	set(p, 0, (long)&watched); set(p, 7, 0xd0101);
	R(pt(PTRACE_DETACH, p, 0, 0));
	reap("end", p);
}
