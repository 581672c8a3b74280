// Who is first at a system call: Syscall User Dispatch, ptrace, seccomp. And the vsyscall page, which ptrace does not see.
#include "probe.h"
#include <linux/filter.h>
#include <linux/seccomp.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static volatile char selector;

// All calls are blocked if the selector says so; but not those of the C library, or nothing would work.
static void dispatch(void)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector))
		_exit(94);
}

PROBE(user_dispatch)
{
	preparation = dispatch;
	EACH(a)
	EACH(b)
	{
		begin("dispatch", call, PTRACE_O_TRACESYSGOOD);
		int sel = 1;
		must(trace(PTRACE_POKEDATA, T.pid, (uintptr_t)&selector, sel));
		go(*a);
		if (*a == PTRACE_SYSEMU_SINGLESTEP || *a == PTRACE_SINGLESTEP || *a == PTRACE_SINGLEBLOCK)
			go(*a);
		to_end(*b, 5);
		finish();
	}
	preparation = NULL;
}

// Switched on at the call's own entry stop.
PROBE(user_dispatch_at_entry)
{
	preparation = dispatch;
	EACH(b)
	{
		begin("dispatch at entry", call, PTRACE_O_TRACESYSGOOD);
		go(PTRACE_SYSEMU);
		must(trace(PTRACE_POKEDATA, T.pid, (uintptr_t)&selector, 1));
		print("  blocked from now\n");
		to_end(*b, 5);
		finish();
	}
	preparation = NULL;
}

static unsigned verdict;

// close meets the verdict, by whatever number.
static void filter(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	    BPF_STMT(BPF_RET | BPF_K, verdict),
	};
	struct sock_fprog prog = {5, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(93);
}

static void filtered(const char *name, unsigned v, unsigned options)
{
	verdict = v;
	preparation = filter;
	EACH(a)
	EACH(b)
	{
		begin(name, call, PTRACE_O_TRACESYSGOOD | options);
		go(*a);
		if (*a == PTRACE_SYSEMU_SINGLESTEP || *a == PTRACE_SINGLESTEP || *a == PTRACE_SINGLEBLOCK)
			go(*a);
		to_end(*b, 5);
		finish();
	}
	preparation = NULL;
}

PROBE(seccomp_errno) { filtered("errno", SECCOMP_RET_ERRNO | ELOOP, 0); }
PROBE(seccomp_trap) { filtered("trap", SECCOMP_RET_TRAP | 12, 0); }
PROBE(seccomp_kill) { filtered("kill", SECCOMP_RET_KILL_PROCESS, 0); }
PROBE(seccomp_trace) { filtered("trace", SECCOMP_RET_TRACE | 45, PTRACE_O_TRACESECCOMP); }
PROBE(seccomp_trace_unasked) { filtered("trace, not asked for", SECCOMP_RET_TRACE | 45, 0); }
PROBE(seccomp_allow) { filtered("allow", SECCOMP_RET_ALLOW, 0); }

// The number is changed at the stop of a filter, or taken away.
PROBE(seccomp_number)
{
	verdict = SECCOMP_RET_TRACE | 1;
	preparation = filter;
	const long numbers[] = {-1, SYS_getuid, SYS_close};
	for (int i = 0; i < 3; i++)
		EACH(b)
		{
			begin("number", call, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP);
			go(PTRACE_CONT);
			regs_t r;
			get(&T, &r);
			r.ORIG = numbers[i];
			r.AX = 55;
			set(&T, &r);
			print("  orig = %ld, ax = 55\n", numbers[i]);
			to_end(*b, 5);
			finish();
		}
	preparation = NULL;
}

#ifdef __x86_64__
SEGMENT(vsyscall, "mov $0xffffffffff600400, %rax\n call *%rax\n nop\n int3\n" EXIT(7));
PLACE(vsyscall)

// time(NULL), which is the same whoever answers it, and is not shown.
PROBE(vsyscall_page)
{
	EACH(a)
	{
		begin("vsyscall", vsyscall, PTRACE_O_TRACESYSGOOD);
		regs_t r;
		get(&T, &r);
		r.rdi = 0;
		set(&T, &r);
		for (int i = 0; i < 4 && !T.gone; i++) {
			char b[32];
			print("  %s: ", name_of(*a));
			if (resume(&T, *a, 0))
				die_at("resume");
			show_report(&T);
			if (!T.gone) {
				get(&T, &r);
				bool page = r.rip >> 12 == 0xffffffffff600;
				long long age = r.rax - time(NULL);
				print(" at %s%s", page ? "the page" : place(r.rip, b), age > -60 && age < 60 ? ", knows the time" : "");
			}
			print("\n");
		}
		finish();
	}
}
#endif
