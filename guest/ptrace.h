// What the programs about ptrace share: a tracee that stops itself, and printing of its stops.
#include "guest.h"
#include <linux/audit.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/prctl.h>

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#define EVENT_STOP 128

#ifdef __i386__ // the registers by one name each
#define rax eax
#define rbx ebx
#define rcx ecx
#define rdx edx
#define rsi esi
#define rdi edi
#define rbp ebp
#define rsp esp
#define rip eip
#define orig_rax orig_eax
#define cs xcs
#define ss xss
#define ds xds
#define es xes
#endif

struct call_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp;
	union {
		struct { uint64_t nr, args[6]; uint64_t ret_data; } entry;
		struct { int64_t rval; uint8_t is_error; } exit;
	};
};

// pt makes a request without the C library's ideas about it.
static inline long pt(long req, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, req, pid, addr, data);
}

static inline long user(pid_t pid, size_t off)
{
	long v = 0;
	pt(PTRACE_PEEKUSER, pid, off, (long)&v);
	return v;
}
#define REG(pid, r) user(pid, offsetof(struct user, regs.r))
#define SETREG(pid, r, v) must(pt(PTRACE_POKEUSER, pid, offsetof(struct user, regs.r), v))

// show_args makes show_stop print arguments.
static bool show_args;
// hide_orig: whether a tracee is in a call when it stops is chance.
static bool hide_orig;

static inline const char *signame(int s)
{
	static char b[20];
	if (s == (SIGTRAP | 0x80))
		return "TRAP|80";
	const char *n = sigabbrev_np(s);
	if (n)
		return n;
	sprintf(b, "signal %d", s);
	return b;
}

static inline const char *eventname(int e)
{
	static const char *names[] = {"", " fork", " vfork", " clone", " exec", " vfork done", " exit", " seccomp"};
	return e == EVENT_STOP ? " stop" : e < 8 ? names[e] : " ?";
}

// show_stop prints a wait status and what the tracee is asked about it.
static inline void show_stop(const char *what, pid_t pid, int st)
{
	if (!WIFSTOPPED(st)) {
		show_status(what, st);
		return;
	}
	siginfo_t si = {0};
	struct call_info ci = {0};
	unsigned long msg = 0;
	char sig[100] = "none", call[200] = "";
	if (!pt(PTRACE_GETSIGINFO, pid, 0, (long)&si))
		sprintf(sig, "%d/%#x", si.si_signo, si.si_code);
	pt(PTRACE_GETEVENTMSG, pid, 0, (long)&msg);
	long n = pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof ci, (long)&ci);
	if ((ci.op == 1 || ci.op == 3) && show_args)
		sprintf(call, " nr %ld args %lx %lx %lx", (long)ci.entry.nr, (long)ci.entry.args[0], (long)ci.entry.args[1], (long)ci.entry.args[2]);
	else if (ci.op == 1 || ci.op == 3)
		sprintf(call, " nr %ld", (long)ci.entry.nr);
	if (ci.op == 2)
		sprintf(call, " = %ld%s", (long)ci.exit.rval, ci.exit.is_error ? " error" : "");
	char m[20], orig[40] = "";
	int ev = st >> 16;
	sprintf(m, ev > 0 && ev < 6 && msg ? "a pid" : "%ld", msg);
	if (!hide_orig)
		sprintf(orig, ", orig_rax %ld", REG(pid, orig_rax));
	say("%s: stopped by %s%s, siginfo %s, message %s, op %d of %ld%s%s", what, signame(WSTOPSIG(st)), eventname(ev), sig, m, ci.op, n, call, orig);
}

static inline int next_of(const char *what, pid_t pid)
{
	int st = 0;
	if (waitpid(pid, &st, __WALL) != pid)
		die(what);
	show_stop(what, pid, st);
	return st;
}

// TRACEE runs a block in a child that is stopped by SIGSTOP at its beginning and traced by the caller.
#define TRACEE(...)                                                                          \
	({                                                                                   \
		pid_t pid_ = must(fork());                                                   \
		if (pid_ == 0) {                                                             \
			must(pt(PTRACE_TRACEME, 0, 0, 0));                                   \
			kill(getpid(), SIGSTOP);                                             \
			__VA_ARGS__;                                                         \
			_exit(0);                                                            \
		}                                                                            \
		int st_;                                                                     \
		must(waitpid(pid_, &st_, 0));                                                \
		pid_;                                                                        \
	})

// END kills a tracee and waits for that.
static inline void end(pid_t pid)
{
	int st;
	kill(pid, SIGKILL);
	while (waitpid(pid, &st, __WALL) == pid && WIFSTOPPED(st))
		pt(PTRACE_CONT, pid, 0, 0);
}
