// What the patch series "UML – SKAS & Ptrace: adds the host SYSEMU support" fixed, one test for each fix, at the guests'
// own ptrace(2). They hold with the series' rule; where the host has today's, they do after the test named skip.
#include "probe.h"

// answer is what a tracer puts into the result of an emulated call.
static void answer(long v)
{
	regs_t r;
	get(&T, &r);
	r.AX = v;
	set(&T, &r);
}

#ifdef __x86_64__
SEGMENT(asking, CALL(102, 199) "mov %rax, %r12\n nop\n nop\n" CALL(102, 199) "mov %rax, %r13\n nop\n int3\n" EXIT(3));
#else
// By the C library's way: sysenter, or what the processor has instead.
SEGMENT(asking, "mov $199, %eax\n call *vsyscall_at\n mov %eax, %esi\n nop\n nop\n mov $199, %eax\n call *vsyscall_at\n"
		"mov %eax, %edi\n nop\n int3\n" EXIT(3));
#endif
PLACE(asking)

// Entry by sysenter: a call is caught, and what it returns arrives, whatever it is made by.
PROBE(entry_by_sysenter)
{
	EACH(b)
	{
		begin("entry", asking, PTRACE_O_TRACESYSGOOD);
		go(PTRACE_SYSEMU);
		answer(1234567);
		to_end(*b, 8);
		finish();
	}
}

// The flag is saved before the tracer is told: what is asked for while the tracee is stopped is for the next call.
PROBE(flag_changed_while_stopped)
{
	EACH(b)
	EACH(c)
	{
		begin("flag", asking, PTRACE_O_TRACESYSGOOD);
		go(PTRACE_SYSEMU);
		answer(11);
		go(*b);
		to_end(*c, 4);
		finish();
	}
}

// From SYSEMU to SYSCALL: no exit is reported of a call that was skipped.
PROBE(sysemu_to_syscall)
{
	begin("to SYSCALL", asking, PTRACE_O_TRACESYSGOOD);
	for (int i = 0; i < 3; i++) {
		go(PTRACE_SYSEMU);
		go(PTRACE_SYSCALL);
		go(PTRACE_SYSCALL);
	}
	finish();
}

// From SYSEMU to SINGLESTEP: the tracee moves on with each step.
PROBE(sysemu_to_singlestep)
{
	for (int kind = 0; kind < 2; kind++) {
		int step = kind ? PTRACE_SINGLEBLOCK : PTRACE_SINGLESTEP;
		begin("to SINGLESTEP", asking, PTRACE_O_TRACESYSGOOD);
		regs_t r;
		reg last = 0;
		int stuck = 0;
		for (int i = 0; i < 12; i++) {
			go(i % 4 == 0 ? PTRACE_SYSEMU : step);
			if (T.gone)
				break;
			get(&T, &r);
			stuck += r.IP == last;
			last = r.IP;
		}
		print("  %d times where it was\n", stuck);
		finish();
	}
}

// Ten thousand switches at random: the tracee sums up what getppid answers, and ends with the right sum.
#ifdef __x86_64__
SEGMENT(summing, "1: mov $110, %eax\n syscall\n nop\n"
		 "lea (%r12, %r12, 2), %r12\n add %rax, %r12\n inc %r13\n"
		 "mov $110, %eax\n syscall\n lea (%r12, %r12, 2), %r12\n add %rax, %r12\n inc %r13\n"
		 "dec %r14\n jnz 1b\n nop\n.globl summing_int3\nsumming_int3: int3\n" EXIT(3));
#define SUM r12
#define COUNT r13
#define LEFT r14
#else
SEGMENT(summing, "1: mov $64, %eax\n int $0x80\n nop\n"
		 "lea (%esi, %esi, 2), %esi\n add %eax, %esi\n inc %edi\n"
		 "mov $64, %eax\n call *vsyscall_at\n lea (%esi, %esi, 2), %esi\n add %eax, %esi\n inc %edi\n"
		 "dec %ebx\n jnz 1b\n nop\n.globl summing_int3\nsumming_int3: int3\n" EXIT(3));
#define SUM esi
#define COUNT edi
#define LEFT ebx
#endif
PLACE(summing)
extern char summing_int3[];

PROBE(ten_thousand_switches)
{
	enum { calls = 4600 };
	begin("switches", summing, PTRACE_O_TRACESYSGOOD);
	regs_t r;
	get(&T, &r);
	r.SUM = r.COUNT = 0;
	r.LEFT = calls / 2;
	set(&T, &r);
	unsigned random = 1;
	int switches = 0, req = PTRACE_SYSEMU, wrong = 0;
	reg answer = getpid(), sum = 0; // what is executed answers the same
	for (;;) {
		must(trace(req, T.pid, 0, 0));
		waited(&T);
		if (T.gone)
			die_at("gone");
		struct __ptrace_syscall_info i;
		must(trace(PTRACE_GET_SYSCALL_INFO, T.pid, sizeof i, (unsigned long)&i));
		if (i.instruction_pointer == (uintptr_t)summing_int3 + 1)
			break;
		if (i.op == PTRACE_SYSCALL_INFO_ENTRY && emulates(req)) {
			wrong += i.entry.nr != SYS_getppid;
			must(trace(PTRACE_POKEUSER, T.pid, offsetof(struct user, regs.AX), answer));
		}
		int next;
		do {
			random = random * 1103515245 + 12345;
			next = requests[1 + (random >> 16) % 5]; // CONT would be the end
		} while (next == req && (random & 0x100000));
		switches += next != req;
		req = next;
	}
	get(&T, &r);
	for (int i = 0; i < calls; i++)
		sum = sum * 3 + answer;
	print("%s switches, %d wrong, counted %lld, the sum is %s\n", switches > 10000 ? "ten thousand" : "few", wrong,
	      (long long)r.COUNT, r.SUM == sum ? "right" : "wrong");
	finish();
}
