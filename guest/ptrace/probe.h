// What the probes of ptrace(2) share: tracees that run code with labels, and a tracer that prints all that can be seen at a
// stop. What is printed is the same from run to run: process numbers are names, addresses are distances from labels.
//
// A scenario is a tracee put at a label and a list of requests; each is printed with the report it led to, so that it can
// be played again by someone else from what is printed (package ptrace does).
//
// After the test named skip, stray reports are left out: see resume. What is then printed natively is what the series' rule
// has to give.
#include "../guest.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <linux/ptrace.h>

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#ifndef PTRACE_SINGLEBLOCK
#define PTRACE_SINGLEBLOCK 33
#endif

#ifdef __x86_64__
typedef unsigned long long reg;
#define IP rip
#define SP rsp
#define AX rax
#define ORIG orig_rax
#define SREG "%lld"
#else
typedef unsigned long reg;
#define IP eip
#define SP esp
#define AX eax
#define ORIG orig_eax
#define SREG "%ld"
#endif
typedef struct user_regs_struct regs_t;

// Not ptrace(3): its results are other than the kernel's.
static long trace(int req, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, req, pid, addr, data);
}

// The tracees' code: first comes what a call is made by. It is laid out by hand so that a distance from its label tells
// where a tracee is.
#define SEGMENT(NAME, CODE)                                                                  \
	extern char NAME[], NAME##_end[];                                                    \
	__asm__(".text\n.globl " #NAME ", " #NAME "_end\n" #NAME ":\n" CODE "\n nop\n" #NAME "_end:\n")

// If its exit is skipped, a tracee stays at an int3.
#ifdef __x86_64__
#define EXIT(N) "mov $" #N ", %edi\n mov $60, %eax\n syscall\n 0: int3\n jmp 0b\n"
#define CALL(NR64, NR32) "mov $" #NR64 ", %eax\n syscall\n"
#else
#define EXIT(N) "mov $" #N ", %ebx\n mov $1, %eax\n int $0x80\n 0: int3\n jmp 0b\n"
#define CALL(NR64, NR32) "mov $" #NR32 ", %eax\n int $0x80\n"
#endif

// close(99), twice: the first argument is in the registers. The second is for what comes next.
#ifdef __x86_64__
SEGMENT(call, "mov $3, %eax\n syscall\n nop\n nop\n mov $3, %eax\n syscall\n nop\n int3\n"
	      EXIT(7));
#else
// The call of the C library: by sysenter or, on other processors, syscall.
static unsigned long vsyscall_at;
SEGMENT(call, "mov $6, %eax\n call *vsyscall_at\n nop\n nop\n mov $6, %eax\n call *vsyscall_at\n nop\n int3\n"
	      EXIT(7));
#endif
SEGMENT(call80, "mov $6, %eax\n int $0x80\n nop\n nop\n mov $6, %eax\n int $0x80\n nop\n int3\n"
		EXIT(7));
SEGMENT(plain, "nop\n nop\n int3\n nop\n" CALL(3, 6) "nop\n" EXIT(8));
SEGMENT(spin, "jmp spin\n nop\n");
SEGMENT(handler, "nop\n ret\n");
SEGMENT(restorer, CALL(15, 173) "0: int3\n jmp 0b\n");
SEGMENT(pausing, CALL(34, 29) "nop\n int3\n" EXIT(7));
SEGMENT(born_by, "nop\n int3\n" CALL(3, 6) "nop\n" EXIT(9)); // where forks go on

struct place {
	const char *name;
	char *from, *to;
};
static struct place places[40];

#define PLACE(NAME)                                                                          \
	__attribute__((constructor)) static void place_##NAME(void)                          \
	{                                                                                    \
		struct place *p = places;                                                    \
		while (p->name)                                                              \
			p++;                                                                 \
		*p = (struct place){#NAME, NAME, NAME##_end};                                \
	}
PLACE(call)
PLACE(call80)
PLACE(plain)
PLACE(spin)
PLACE(handler)
PLACE(restorer)
PLACE(pausing)
PLACE(born_by)

static char stack[65536] __attribute__((aligned(64)));
#define STACK_TOP (stack + sizeof stack - 4096)

static const char *place(reg at, char *buf)
{
	for (struct place *p = places; p->name; p++)
		if (at >= (reg)(uintptr_t)p->from && at < (reg)(uintptr_t)p->to)
			return sprintf(buf, "%s+%d", p->name, (int)(at - (reg)(uintptr_t)p->from)), buf;
#ifndef __x86_64__
	if (at - vsyscall_at < 64)
		return sprintf(buf, "vsys+%d", (int)(at - vsyscall_at)), buf;
#endif
	return strcpy(buf, "elsewhere");
}

static const char *depth(reg sp, char *buf)
{
	long d = (long)(uintptr_t)STACK_TOP - (long)sp;
	if (d > 256 && d < (long)sizeof stack) // a signal frame: as big as the processor's state
		return strcpy(buf, "frame");
	if (d > -4096 && d <= 256)
		return sprintf(buf, "%ld", d), buf;
	return strcpy(buf, "elsewhere");
}

static const char *name_of(int req)
{
	switch (req) {
	case PTRACE_CONT: return "CONT";
	case PTRACE_SYSCALL: return "SYSCALL";
	case PTRACE_SYSEMU: return "SYSEMU";
	case PTRACE_SYSEMU_SINGLESTEP: return "SYSEMU_STEP";
	case PTRACE_SINGLESTEP: return "STEP";
	case PTRACE_SINGLEBLOCK: return "BLOCK";
	case PTRACE_LISTEN: return "LISTEN";
	case PTRACE_DETACH: return "DETACH";
	}
	return "?";
}

static const int requests[] = {PTRACE_CONT,	  PTRACE_SYSCALL,    PTRACE_SYSEMU, PTRACE_SYSEMU_SINGLESTEP,
			       PTRACE_SINGLESTEP, PTRACE_SINGLEBLOCK};
static const unsigned sysgood[] = {PTRACE_O_TRACESYSGOOD, 0};
#define BOTH(G) for (const unsigned *G = sysgood; G < sysgood + 2; G++)
#define EACH(R) for (const int *R = requests; R < requests + sizeof requests / sizeof *requests; R++)

static bool skim;	// leave strays out
static int skimmed;	// how many were
static char out[1 << 22]; // all is written at once
static size_t nout;

__attribute__((format(printf, 1, 2))) static void print(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	nout += vsnprintf(out + nout, sizeof out - nout, fmt, ap);
	va_end(ap);
	if (nout > sizeof out - 4096)
		_exit(97);
}

static void flush(void)
{
	for (size_t at = 0; at < nout;) {
		ssize_t n = write(1, out + at, nout - at);
		if (n < 0)
			_exit(99);
		at += n;
	}
	nout = 0;
}

TEST(skip) { skim = true; }

// skipped says how many strays were left out, apart from what is compared.
TEST(skipped) { fprintf(stderr, "%d left out\n", skimmed); }

// PROBE is a TEST whose output is printed at its end.
#define PROBE(NAME)                                                                          \
	static void probe_##NAME(void);                                                      \
	TEST(NAME)                                                                           \
	{                                                                                    \
		print("== " #NAME "\n");                                                     \
		probe_##NAME();                                                              \
		flush();                                                                     \
	}                                                                                    \
	static void probe_##NAME(void)

struct tracee {
	pid_t pid;
	pid_t parent; // for its name
	unsigned options;
	int status; // as waited for
	bool gone;
	bool signalled; // in a signal-delivery-stop
	bool emulated;	// at the entry of a call that is skipped
	bool stray;	// its report is due, or its exit's
	bool unrestarted;
};
static struct tracee T;

// The last process born of a tracee, and where its parent was told its number.
static pid_t child;
static reg birth;

static const char *who(unsigned long pid, char *buf)
{
	if (pid == (unsigned long)T.pid)
		return "tracee";
	if (pid && pid == (unsigned long)T.parent)
		return "parent";
	if (pid && pid == (unsigned long)child)
		return "child";
	if (pid == (unsigned long)getpid())
		return "tracer";
	return sprintf(buf, "%lu", pid), buf;
}

static void die_at(const char *what)
{
	int e = errno;
	print("%s: %s\n", what, errname(e));
	flush();
	_exit(98);
}

static int waited(struct tracee *t)
{
	int r;
	while ((r = waitpid(t->pid, &t->status, __WALL)) == -1 && errno == EINTR)
		;
	if (r != t->pid)
		die_at("waitpid");
	t->gone = !WIFSTOPPED(t->status);
	return t->status;
}

static unsigned long message(struct tracee *t)
{
	unsigned long msg = 0;
	if (trace(PTRACE_GETEVENTMSG, t->pid, 0, (unsigned long)&msg))
		die_at("GETEVENTMSG");
	return msg;
}

static void show_info(struct tracee *t)
{
	struct __ptrace_syscall_info i;
	char a[32], b[32];
	memset(&i, 0xee, sizeof i);
	long n = trace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof i, (unsigned long)&i);
	print("; info %ld op %d %s at %s sp %s", n, i.op, i.arch == 0xc000003e ? "x86-64" : "i386",
	      place(i.instruction_pointer, a), depth(i.stack_pointer, b));
	if (i.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (i.exit.rval == child && i.instruction_pointer == birth)
			print(" = child %d", i.exit.is_error);
		else
			print(" = %lld %d", (long long)i.exit.rval, i.exit.is_error);
	} else if (i.op == PTRACE_SYSCALL_INFO_ENTRY || i.op == PTRACE_SYSCALL_INFO_SECCOMP) {
		print(" nr %lld", (long long)i.entry.nr);
		for (int k = 0; k < 6; k++)
			if (i.entry.args[k] - (uintptr_t)stack < sizeof stack)
				print(" stack");
			else
				print(" %llx", (unsigned long long)i.entry.args[k]);
		if (i.op == PTRACE_SYSCALL_INFO_SECCOMP)
			print(" data %u", i.seccomp.ret_data);
	}
}

// show_value prints a register that may hold the number of a child, up to a distance from where that was born.
static void show_value(reg v, reg at, unsigned distance)
{
	if (child && v == (reg)child && at - birth < distance)
		print("child");
	else
		print(SREG, v);
}

static const char *event_name(int e)
{
	static const char *names[] = {"", "fork", "vfork", "clone", "exec", "vfork-done", "exit", "seccomp"};
	return e == 128 ? "stop" : e < 8 ? names[e] : "?";
}

static void show_report(struct tracee *t)
{
	int s = t->status;
	if (WIFEXITED(s)) {
		print("exited %d", WEXITSTATUS(s));
	} else if (WIFSIGNALED(s)) {
		print("killed by %s", sigabbrev_np(WTERMSIG(s)) ?: "?");
	} else {
		int sig = WSTOPSIG(s);
		print("%s%s", sigabbrev_np(sig & 0x7f) ?: "?", sig & 0x80 ? "|80" : "");
		if (s >> 16)
			print(" event %s", event_name(s >> 16));
	}
}

// show prints the stop the tracee is in.
static void show(struct tracee *t)
{
	char a[32], b[32], c[32];
	show_report(t);
	if (t->gone) {
		print("\n");
		return;
	}
	regs_t r;
	if (trace(PTRACE_GETREGS, t->pid, 0, (unsigned long)&r)) {
		print(" GETREGS: %s\n", errname(errno));
		return;
	}
	int event = t->status >> 16;
	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
		child = message(t), birth = r.IP;
	print(" at %s ax ", place(r.IP, a));
	show_value(r.AX, r.IP, 10);
	print(" orig " SREG, r.ORIG);
#ifdef __x86_64__
	bool of_child = child && r.rcx == (reg)child && r.IP - birth < 5;
	print(" cx %s r11 %llx", of_child ? "child" : r.rcx == 0xc0 ? "unchanged" : place(r.rcx, b), r.r11);
#else
	print(" cx ");
	show_value(r.ecx, r.IP, 5);
	print(" dx %lx bp %lx", r.edx, r.ebp);
#endif
	print(" flags %lx sp %s", (unsigned long)r.eflags, depth(r.SP, c));
	siginfo_t si;
	memset(&si, 0, sizeof si);
	t->signalled = false;
	if (trace(PTRACE_GETSIGINFO, t->pid, 0, (unsigned long)&si)) {
		print("; si %s", errname(errno));
	} else {
		print("; si %d %d/%d", si.si_signo, si.si_code, si.si_errno);
		if (si.si_signo == SIGTRAP && (si.si_code == 1 || si.si_code == 2 || si.si_code == 0x80))
			print(" %s", place((reg)(uintptr_t)si.si_addr, a));
		else if (si.si_signo == SIGSYS)
			print(" %s nr %d %s", place((reg)(uintptr_t)si.si_call_addr, a), si.si_syscall,
			      si.si_arch == 0xc000003e ? "x86-64" : "i386");
		else
			print(" by %s", who(si.si_pid, a));
		t->signalled = !event && si.si_code != SIGTRAP && si.si_code != (SIGTRAP | 0x80);
	}
	unsigned long m = message(t);
	if (event && event <= PTRACE_EVENT_VFORK_DONE)
		print("; msg %s", who(m, a)); // a process
	else
		print("; msg %lu", m);
	show_info(t);
	print("\n");
}

static bool steps(int req) { return req == PTRACE_SINGLESTEP || req == PTRACE_SINGLEBLOCK; }
static bool emulates(int req) { return req == PTRACE_SYSEMU || req == PTRACE_SYSEMU_SINGLESTEP; }

// look notes what the stop, reached under req, is for the next.
static void look(struct tracee *t, int req)
{
	siginfo_t si = {};
	t->emulated = false;
	if (t->gone || t->status >> 16 || (WSTOPSIG(t->status) & 0x7f) != SIGTRAP)
		return;
	if (trace(PTRACE_GETSIGINFO, t->pid, 0, (unsigned long)&si))
		return;
	bool of_call = (si.si_code & 0x7f) == SIGTRAP;
	t->emulated = of_call && emulates(req) && message(t) == 1;
}

// is_stray: the stop is the report that a skipped call ends in today: its exit, or the trap "in lieu of" the processor's.
static bool is_stray(struct tracee *t)
{
	siginfo_t si = {};
	if (!t->stray || t->gone || t->status >> 16 || (WSTOPSIG(t->status) & 0x7f) != SIGTRAP)
		return false;
	if (trace(PTRACE_GETSIGINFO, t->pid, 0, (unsigned long)&si))
		return false;
	return si.si_code == TRAP_BRKPT || ((si.si_code & 0x7f) == SIGTRAP && message(t) == 2);
}

// resume makes the request and waits. The rule by which strays are left out: after the entry stop of a call that was
// entered under SYSEMU or SYSEMU_SINGLESTEP, left by SYSCALL, SINGLESTEP or SINGLEBLOCK, the report of that call's end
// is not printed and the request is made again.
static long resume(struct tracee *t, int req, int sig)
{
	if (t->emulated)
		t->stray = req == PTRACE_SYSCALL || steps(req);
	if (skim && t->emulated && t->unrestarted) { // the restart of a skipped call is off
		regs_t r;
		if (!trace(PTRACE_GETREGS, t->pid, 0, (unsigned long)&r)) {
			r.ORIG = -1;
			trace(PTRACE_SETREGS, t->pid, 0, (unsigned long)&r);
		}
	}
	long e = trace(req, t->pid, 0, sig);
	if (e)
		return e;
	waited(t);
	while (is_stray(t)) {
		t->stray = false;
		if (!skim)
			break;
		skimmed++;
		if (trace(req, t->pid, 0, 0))
			die_at("resume from a stray");
		waited(t);
	}
	look(t, req);
	return 0;
}

// go_on resumes a tracee and prints its next report.
static int go_on(struct tracee *t, int req, int sig)
{
	print("  %s", name_of(req));
	if (sig)
		print("+%s", sigabbrev_np(sig) ?: "?");
	print(": ");
	if (resume(t, req, sig))
		print("%s\n", errname(errno));
	else
		show(t);
	return t->status;
}

static int go_with(int req, int sig) { return T.gone ? T.status : go_on(&T, req, sig); }
static int go(int req) { return go_with(req, 0); }

// to_end resumes by req until the tracee has gone or enough has been seen.
static void to_end(int req, int most)
{
	while (!T.gone && most-- > 0)
		go(req);
}

static void get(struct tracee *t, regs_t *r)
{
	if (trace(PTRACE_GETREGS, t->pid, 0, (unsigned long)r))
		die_at("GETREGS");
}

static void set(struct tracee *t, regs_t *r)
{
	if (trace(PTRACE_SETREGS, t->pid, 0, (unsigned long)r))
		die_at("SETREGS");
}

// at puts a tracee at a label, with registers that are the same in all runs.
static void at(struct tracee *t, char *label)
{
	regs_t r;
	get(t, &r);
	r.IP = (uintptr_t)label;
	r.SP = (uintptr_t)STACK_TOP;
	r.eflags = 0x202;
	r.ORIG = -1;
	r.AX = 0xa0;
#ifdef __x86_64__
	r.rdi = 99, r.rbx = 99, r.rcx = 0xc0, r.rsi = 0x22, r.rdx = 0x33, r.r10 = 0x44, r.r8 = 0x55, r.r9 = 0x66, r.rbp = 0x77,
	r.r11 = 0xb1, r.r12 = 0, r.r13 = 0, r.r14 = 0, r.r15 = 0;
#else
	r.ebx = 99, r.ecx = 0x22222222 /* no process's number */, r.edx = 0x33, r.esi = 0x44, r.edi = 0x55, r.ebp = 0x66;
#endif
	set(t, &r);
}

// What the kernel takes for an action.
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask[8 / sizeof(long)];
};

static void action(int sig, void *h, unsigned long flags)
{
	struct kernel_sigaction a = {h, flags | 0x04000000, restorer, {}};
	if (syscall(SYS_rt_sigaction, sig, &a, NULL, 8))
		_exit(96);
}

// prepare_tracee is what a tracee does before it is put at its label.
static void prepare_tracee(void)
{
#ifndef __x86_64__
	vsyscall_at = getauxval(AT_SYSINFO);
#endif
	action(SIGUSR1, handler, 0);
}

static void (*preparation)(void); // of a test's own

// asleep waits until a tracee sleeps in a call: a stop tells also of a 32-bit tracee whether it was in one.
static void asleep(pid_t pid)
{
	char name[32], stat[256];
	sprintf(name, "/proc/%d/stat", pid);
	for (;;) {
		int fd = must(open(name, O_RDONLY));
		ssize_t n = must(read(fd, stat, sizeof stat - 1));
		close(fd);
		stat[n] = 0;
		char *state = strrchr(stat, ')');
		if (state && state[1] == ' ' && state[2] == 'S')
			return;
		sched_yield();
	}
}

// spinning waits until a process that is not stopped has run its own code for a while: then it is out of the call.
static void spinning(pid_t pid)
{
	char name[32], stat[256];
	long first = -1, ticks = 0;
	sprintf(name, "/proc/%d/stat", pid);
	while (first < 0 || ticks <= first) {
		int fd = must(open(name, O_RDONLY));
		ssize_t n = must(read(fd, stat, sizeof stat - 1));
		close(fd);
		stat[n] = 0;
		char *state = strrchr(stat, ')');
		if (state && sscanf(state + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld", &ticks) == 1 && first < 0)
			first = ticks;
		sched_yield();
	}
}

// begin starts a scenario: a new tracee, seized and stopped, at a label.
static void begin(const char *name, char *label, unsigned options)
{
	char a[32];
	int ready[2];
	must(pipe(ready));
	pid_t pid = must(fork());
	if (pid == 0) {
		prepare_tracee();
		if (preparation)
			preparation();
		must(write(ready[1], "", 1));
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], a, 1) != 1)
		die_at("the tracee");
	close(ready[0]);
	asleep(pid);
	T = (struct tracee){.pid = pid, .options = options};
	child = 0;
	if (trace(PTRACE_SEIZE, pid, 0, options | PTRACE_O_EXITKILL))
		die_at("SEIZE");
	if (trace(PTRACE_INTERRUPT, pid, 0, 0))
		die_at("INTERRUPT");
	waited(&T);
	at(&T, label);
	print("%s: at %s", name, place((uintptr_t)label, a));
	print(options & PTRACE_O_TRACESYSGOOD ? " sysgood\n" : "\n");
}

// out_of_call lets the tracee, which begins in a call, be stopped by an int3 before it is at its label.
static void out_of_call(void)
{
	regs_t r;
	get(&T, &r);
	char *label = (char *)(uintptr_t)r.IP;
	at(&T, plain + 2);
	if (resume(&T, PTRACE_CONT, 0))
		die_at("CONT");
	at(&T, label);
}

// finish ends a scenario.
static void finish(void)
{
	if (!T.gone) {
		kill(T.pid, SIGKILL);
		while (waited(&T), !T.gone)
			trace(PTRACE_CONT, T.pid, 0, 0); // from its exit stop
	}
}

// For who plays scenarios again: where everything is, and a tracee that waits to be put at a label.
TEST(labels)
{
	printf("stack %#lx %#lx\n", (unsigned long)stack, (unsigned long)STACK_TOP);
#ifndef __x86_64__
	printf("vsys %#lx %#lx\n", vsyscall_at, vsyscall_at + 64);
#endif
	for (struct place *p = places; p->name; p++)
		printf("%s %#lx %#lx\n", p->name, (unsigned long)p->from, (unsigned long)p->to);
}

TEST(tracee)
{
	prepare_tracee();
	for (;;)
		__asm__ volatile("int3");
}

__attribute__((constructor)) static void start_probe(void)
{
#ifndef __x86_64__
	vsyscall_at = getauxval(AT_SYSINFO);
#endif
	setvbuf(stdout, NULL, _IONBF, 0);
	no_core();
}
