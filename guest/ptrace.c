// ptrace(2): stops, requests, registers, memory, signals.
// sysemu run: --ptrace-rule=linux
#include "ptrace.h"
#include <elf.h>

static volatile int got;
static void note(int s) { got = s; }

// Three calls, some instructions between them.
static void calls(void)
{
	syscall(SYS_getuid, 1, 2, 3);
	for (volatile int i = 0; i < 3; i++)
		;
	syscall(SYS_close, -1, 2, 3);
	syscall(SYS_getgid, 5, 6, 7);
}

static void run_with(const char *name, int req, int opts, int most)
{
	say("%s", name);
	pid_t p = TRACEE(calls());
	must(pt(PTRACE_SETOPTIONS, p, 0, opts));
	for (int i = 0; i < most; i++) {
		must(pt(req, p, 0, 0));
		if (!WIFSTOPPED(next_of("  next", p)))
			return;
	}
	end(p);
}

TEST(requests)
{
	show_args = true;
	for (int good = 0; good < 2; good++) {
		run_with("cont", PTRACE_CONT, good, 10);
		run_with("syscall", PTRACE_SYSCALL, good, 10);
		run_with("sysemu", PTRACE_SYSEMU, good, 5);
	}
}

// The tracee loops over a call; each request follows each other at its entry and at its exit.
TEST(changes)
{
	static const int reqs[] = {PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SYSEMU, PTRACE_SINGLESTEP, PTRACE_SYSEMU_SINGLESTEP, PTRACE_SINGLEBLOCK};
	static const char *names[] = {"cont", "syscall", "sysemu", "step", "sysemu step", "block"};
	for (int a = 1; a < 5; a++)
		for (int b = 0; b < 6; b++) {
			if (a == 3)
				continue;
			char what[60];
			sprintf(what, "%s, %s", names[a], names[b]);
			say("%s", what);
			pid_t p = TRACEE(for (;;) __asm__ volatile("mov $102, %%eax; syscall; nop; nop; nop" : : : "rax", "rcx", "r11")); // getuid
			must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
			// On to an entry stop of the loop.
			do {
				must(pt(PTRACE_SYSCALL, p, 0, 0));
				int st;
				waitpid(p, &st, 0);
			} while (REG(p, orig_rax) != SYS_getuid || REG(p, rax) == -ENOSYS);
			must(pt(reqs[a], p, 0, 0));
			int st = 0;
			waitpid(p, &st, 0);
			while (WSTOPSIG(st) == SIGTRAP) { // steps on the way
				must(pt(reqs[a], p, 0, 0));
				waitpid(p, &st, 0);
			}
			show_stop("  at", p, st);
			long at = REG(p, rip);
			for (int i = 0; i < 3 && b; i++) {
				must(pt(reqs[b], p, 0, 0));
				next_of("  then", p);
				say("  rip %+ld executed %d", REG(p, rip) - at, REG(p, rax) == getuid());
			}
			end(p);
		}
}

TEST(entry_changes)
{
	pid_t p = TRACEE(say("%ld %s", syscall(SYS_getpid) == getpid() ? 1L : errno * -1L, errname(errno)); say("%ld", syscall(SYS_close, -1)); int e = errno; say("%s", errname(e)));
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("entry of getpid", p);
	SETREG(p, orig_rax, -1);
	SETREG(p, rax, -EXDEV);
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("exit", p);
	must(pt(PTRACE_SYSCALL, p, 0, 0)); int st; waitpid(p, &st, 0); // write
	must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0);
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("entry of close", p);
	SETREG(p, orig_rax, SYS_getppid);
	must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0);
	T(REG(p, rax) == getpid());
	SETREG(p, rax, -EMLINK);
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("end", p);
}

TEST(set_syscall_info)
{
	pid_t p = TRACEE(say("%ld", syscall(SYS_close, -1)); say("%ld", syscall(SYS_getuid)));
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("entry", p);
	struct { struct call_info i; uint64_t more[4]; } u = {0};
	long n = pt(PTRACE_GET_SYSCALL_INFO, p, sizeof u, (long)&u);
	say("%ld arch %#x", n, u.i.arch);
	R(pt(0x4212, p, 80, (long)&u));
	u.i.pad[0] = 1; R(pt(0x4212, p, 88, (long)&u)); u.i.pad[0] = 0;
	u.i.op = 2; R(pt(0x4212, p, 88, (long)&u)); u.i.op = 1;
	u.i.entry.nr = 1ULL << 33; R(pt(0x4212, p, 88, (long)&u));
	R(pt(0x4212, p, 88, 8));
	u.i.entry.nr = SYS_lseek; u.i.entry.args[0] = -1; u.i.entry.args[1] = 5;
	R(pt(0x4212, p, 88, (long)&u));
	say("rdi %ld rsi %ld orig %ld", REG(p, rdi), REG(p, rsi), REG(p, orig_rax));
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("exit", p);
	pt(PTRACE_GET_SYSCALL_INFO, p, sizeof u, (long)&u);
	u.i.exit.rval = 77; u.i.exit.is_error = 0;
	R(pt(0x4212, p, 88, (long)&u));
	say("rax %ld", REG(p, rax));
	u.i.exit.rval = -5; u.i.exit.is_error = 1;
	R(pt(0x4212, p, 88, (long)&u));
	say("rax %ld", REG(p, rax));
	for (int i = 0; i < 30; i += 7) {
		memset(&u, 0x55, sizeof u);
		say("short %d: %ld, %#x %#x", i, pt(PTRACE_GET_SYSCALL_INFO, p, i, (long)&u), ((unsigned char *)&u)[0], ((unsigned char *)&u)[i]);
	}
	end(p);
}

TEST(errors)
{
	pid_t me = getpid();
	R(pt(PTRACE_CONT, 0, 0, 0)); R(pt(PTRACE_CONT, -1, 0, 0)); R(pt(PTRACE_CONT, me, 0, 0)); R(pt(PTRACE_CONT, 99999999, 0, 0));
	R(pt(PTRACE_ATTACH, me, 0, 0)); R(pt(PTRACE_ATTACH, 99999999, 0, 0)); R(pt(PTRACE_SEIZE, getppid(), 1, 0)); R(pt(PTRACE_SEIZE, getppid(), 0, 1 << 9));
	R(pt(12345, me, 0, 0));
	pid_t p = TRACEE(pause());
	R(pt(12345, p, 0, 0)); R(pt(PTRACE_ATTACH, p, 0, 0)); R(pt(PTRACE_SEIZE, p, 0, 0)); R(pt(PTRACE_INTERRUPT, p, 0, 0)); R(pt(PTRACE_LISTEN, p, 0, 0));
	R(pt(PTRACE_SETOPTIONS, p, 0, 1 << 9)); R(pt(PTRACE_SETOPTIONS, p, 0, -1)); R(pt(21, p, 0, PTRACE_O_TRACESYSGOOD));
	R(pt(PTRACE_CONT, p, 0, 65)); R(pt(PTRACE_CONT, p, 0, -1)); R(pt(PTRACE_DETACH, p, 0, 65)); R(pt(PTRACE_SYSEMU, p, 0, 99));
	R(pt(PTRACE_PEEKUSER, p, 1, 0)); R(pt(PTRACE_PEEKUSER, p, 100000, (long)&me)); R(pt(PTRACE_PEEKUSER, p, 0, 0)); R(pt(PTRACE_PEEKUSER, p, -8, (long)&me));
	R(pt(PTRACE_POKEUSER, p, 4, 0)); R(pt(PTRACE_POKEUSER, p, 100000, 0)); R(pt(PTRACE_POKEUSER, p, offsetof(struct user, u_fpvalid), 0));
	R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.cs), 0)); R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.cs), 0x10)); R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.ss), 8));
	R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.fs_base), -1)); R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.gs_base), 1L << 47)); R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.ds), 1));
	R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.eflags), -1)); say("eflags %#lx", REG(p, eflags));
	R(pt(PTRACE_POKEUSER, p, offsetof(struct user, regs.eflags), 0)); say("eflags %#lx", REG(p, eflags));
	R(pt(PTRACE_GETREGS, p, 0, 8)); R(pt(PTRACE_SETREGS, p, 0, 8)); R(pt(PTRACE_GETSIGINFO, p, 0, 8)); R(pt(PTRACE_SETSIGINFO, p, 0, 8));
	R(pt(PTRACE_GETEVENTMSG, p, 0, 8)); R(pt(PTRACE_GETSIGMASK, p, 4, (long)&me)); R(pt(PTRACE_GETSIGMASK, p, 8, 8)); R(pt(PTRACE_SETSIGMASK, p, 8, 8)); R(pt(PTRACE_SETSIGMASK, p, 16, 8));
	long out[32];
	R(pt(PTRACE_ARCH_PRCTL, p, (long)out, 0x1003)); R(pt(PTRACE_ARCH_PRCTL, p, (long)out, 0x1003)); R(pt(PTRACE_ARCH_PRCTL, p, 8, 0x1003)); R(pt(PTRACE_ARCH_PRCTL, p, -1, 0x1002)); R(pt(PTRACE_ARCH_PRCTL, p, 0, 0x9999));
	T(out[0] == REG(p, fs_base));
	R(pt(25, p, 11, (long)out)); R(pt(25, p, 15, (long)out)); R(pt(25, p, -1, (long)out)); R(pt(25, p, 12, (long)out)); say("%#x %#x %#x %#x", (int)out[0], (int)(out[0] >> 32), (int)out[1], (int)(out[1] >> 32));
	R(pt(18, p, 0, (long)out)); R(pt(19, p, 0, (long)out)); R(pt(10, p, 0, 0)); R(pt(11, p, 0, 0)); R(pt(20, p, 0, 0));
	R(pt(PTRACE_CONT, p, 0, 0));
	R(pt(PTRACE_CONT, p, 0, 0)); R(pt(PTRACE_GETREGS, p, 0, (long)out)); R(pt(PTRACE_DETACH, p, 0, 0)); R(pt(PTRACE_PEEKUSER, p, 0, (long)out));
	R(pt(PTRACE_KILL, p, 0, 0));
	next_of("killed", p);
	R(pt(PTRACE_CONT, p, 0, 0)); R(pt(PTRACE_KILL, p, 0, 0));
	// Somebody else's tracee, and a zombie.
	p = TRACEE(pause());
	reap("not the tracer", CHILD(R(pt(PTRACE_CONT, p, 0, 0)); R(pt(PTRACE_KILL, p, 0, 0)); R(pt(PTRACE_ATTACH, p, 0, 0))));
	end(p);
	p = CHILD();
	siginfo_t si;
	waitid(P_PID, p, &si, WEXITED | WNOWAIT);
	R(pt(PTRACE_ATTACH, p, 0, 0));
	reap("zombie", p);
	reap("traced", CHILD(R(pt(PTRACE_TRACEME, 0, 0, 0)); R(pt(PTRACE_TRACEME, 0, 0, 0))));
}

static const char text[4096] __attribute__((aligned(4096))) = "read-only";
static int add(int a, int b);
__attribute__((noinline)) static int add(int a, int b) { __asm__ volatile(""); return a + b; }

TEST(memory)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	munmap(gone, 4096);
	munmap(page + 4096, 4096);
	strcpy(page, "writable");
	pid_t p = TRACEE(say("%s, %s", page, text); say("%d", add(2, 3)));
	long v = 0;
	R(pt(PTRACE_PEEKDATA, p, (long)page, (long)&v)); say("%.8s", (char *)&v);
	R(pt(PTRACE_PEEKTEXT, p, (long)text, (long)&v)); say("%.8s", (char *)&v);
	R(pt(PTRACE_PEEKDATA, p, (long)text, 8));
	R(pt(PTRACE_PEEKDATA, p, (long)none, (long)&v)); R(pt(PTRACE_PEEKDATA, p, (long)gone, (long)&v)); R(pt(PTRACE_PEEKDATA, p, -8, (long)&v)); R(pt(PTRACE_PEEKDATA, p, 1L << 47, (long)&v));
	R(pt(PTRACE_PEEKDATA, p, 0x7fffffe00000, (long)&v) ? -1 : 0); R(pt(PTRACE_POKEDATA, p, 0x7fffffffe000, 0)); R(pt(PTRACE_PEEKDATA, p, 0, (long)&v));
	R(pt(PTRACE_PEEKDATA, p, (long)page + 4092, (long)&v)); R(pt(PTRACE_POKEDATA, p, (long)page + 4092, v));
	memcpy(&v, "changed!", 8);
	R(pt(PTRACE_POKEDATA, p, (long)page, v)); R(pt(PTRACE_POKEDATA, p, (long)text, v)); R(pt(PTRACE_POKEDATA, p, (long)none, v)); R(pt(PTRACE_POKEDATA, p, (long)gone, v)); R(pt(PTRACE_POKEDATA, p, (long)shared, v));
	say("ours: %s, %s", page, text);
	// A breakpoint.
	R(pt(PTRACE_PEEKTEXT, p, (long)add, (long)&v));
	R(pt(PTRACE_POKETEXT, p, (long)add, (v & ~0xffL) | 0xcc));
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("breakpoint", p);
	say("at %+ld", REG(p, rip) - (long)add);
	R(pt(PTRACE_POKETEXT, p, (long)add, v));
	SETREG(p, rip, (long)add);
	SETREG(p, rsi, 40);
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("end", p);
}

// The stack grows for the tracer too.
TEST(stack)
{
	pid_t p = TRACEE(pause());
	long sp = REG(p, rsp) & ~7, v = 1;
	R(pt(PTRACE_POKEDATA, p, sp - 512, 5)); R(pt(PTRACE_PEEKDATA, p, sp - 512, (long)&v)); say("%ld", v);
	R(pt(PTRACE_POKEDATA, p, sp - (1 << 20), 6)); R(pt(PTRACE_PEEKDATA, p, sp - (1 << 20), (long)&v)); say("%ld", v);
	R(pt(PTRACE_PEEKDATA, p, sp - (1L << 40), (long)&v));
	end(p);
}

// What debuggers make core files of: which private mappings of files have been written to.
static long written_data[2048] = {1};
TEST(anonymous)
{
	written_data[512] = 2;
	char line[300];
	bool ours = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	while (fgets(line, sizeof line, f)) {
		unsigned long lo, hi;
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			ours = lo <= (long)&written_data[512] && (long)&written_data[512] < hi;
		else if (ours && !strncmp(line, "Anonymous:", 10))
			T(atoi(line + 10) >= 4);
	}
	fclose(f);
}

TEST(proc_mem)
{
	pid_t p = TRACEE(say("%s", text));
	char name[50], b[20] = {0};
	sprintf(name, "/proc/%d/mem", p);
	int fd = open(name, O_RDWR);
	T(fd >= 0);
	R(pread(fd, b, 9, (long)text)); say("%s", b);
	R(pwrite(fd, "WRITTEN", 7, (long)text));
	R(pread(fd, b, 9, 0));
	struct iovec l = {b, 9}, r = {(void *)text, 9};
	R(process_vm_readv(p, &l, 1, &r, 1, 0)); say("%s", b);
	R(process_vm_writev(p, &l, 1, &r, 1, 0));
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("end", p);
}

TEST(regsets)
{
	pid_t p = TRACEE(pause());
	struct user_regs_struct r, r2;
	memset(&r, 0x55, sizeof r);
	struct iovec v;
#define SET(req, type, base, len) (v = (struct iovec){base, len}, R(pt(req, p, type, (long)&v)), say("  length %zu", v.iov_len))
	SET(PTRACE_GETREGSET, NT_PRSTATUS, &r, sizeof r);
	must(pt(PTRACE_GETREGS, p, 0, (long)&r2));
	T(!memcmp(&r, &r2, sizeof r));
	SET(PTRACE_GETREGSET, NT_PRSTATUS, &r, 1000); SET(PTRACE_GETREGSET, NT_PRSTATUS, &r, 16); SET(PTRACE_GETREGSET, NT_PRSTATUS, &r, 0); SET(PTRACE_GETREGSET, NT_PRSTATUS, &r, 9);
	SET(PTRACE_GETREGSET, NT_PRSTATUS, (void *)8, 16); SET(PTRACE_SETREGSET, NT_PRSTATUS, (void *)8, 16);
	r.r15 = 1; r.r14 = 2; r.r13 = 3;
	SET(PTRACE_SETREGSET, NT_PRSTATUS, &r, 16);
	say("%ld %ld %d", REG(p, r15), REG(p, r14), REG(p, r13) == 3);
	SET(PTRACE_GETREGSET, 12345, &r, 16); SET(PTRACE_GETREGSET, NT_PRXFPREG, &r, 16); SET(PTRACE_GETREGSET, NT_386_TLS, &r, 16); SET(PTRACE_GETREGSET, NT_386_IOPERM, &r, 16); SET(PTRACE_SETREGSET, NT_386_IOPERM, &r, 16);
	R(pt(PTRACE_GETREGSET, p, NT_PRSTATUS, 8)); R(pt(PTRACE_GETREGSET, p, (1L << 32) | NT_PRSTATUS, (long)&v));
	struct user_fpregs_struct f, f2;
	SET(PTRACE_GETREGSET, NT_PRFPREG, &f, sizeof f);
	R(pt(PTRACE_GETFPREGS, p, 0, (long)&f2));
	T(!memcmp(&f, &f2, sizeof f));
	say("cwd %#x mxcsr %#x mask %#x", f.cwd, f.mxcsr, f.mxcr_mask != 0);
	f.xmm_space[0] = 0x1234; f.cwd = 0x27f; f.xmm_space[60] = 0x5678; f.mxcsr = 0x1fa0;
	R(pt(PTRACE_SETFPREGS, p, 0, (long)&f));
	R(pt(PTRACE_GETFPREGS, p, 0, (long)&f2));
	say("%#x %#x %#x %#x", f2.xmm_space[0], f2.xmm_space[60], f2.cwd, f2.mxcsr);
	f.mxcsr = -1;
	R(pt(PTRACE_SETFPREGS, p, 0, (long)&f));
	SET(PTRACE_SETREGSET, NT_PRFPREG, &f, 256);
	static char x[65536], x2[65536];
	v = (struct iovec){x, sizeof x};
	R(pt(PTRACE_GETREGSET, p, NT_X86_XSTATE, (long)&v));
	size_t full = v.iov_len;
	T(full >= 576 && full < sizeof x);
	say("xmm0 %#x", *(int *)(x + 160));
	*(int *)(x + 160) = 0x4321;
	v = (struct iovec){x, full};
	R(pt(PTRACE_SETREGSET, p, NT_X86_XSTATE, (long)&v));
	v = (struct iovec){x2, 576};
	R(pt(PTRACE_GETREGSET, p, NT_X86_XSTATE, (long)&v));
	say("xmm0 %#x, %zu", *(int *)(x2 + 160), v.iov_len);
	SET(PTRACE_GETREGSET, NT_X86_XSTATE, x2, 577);
	SET(PTRACE_SETREGSET, NT_X86_XSTATE, x2, 8);
	end(p);
}

TEST(set_registers)
{
	pid_t p = TRACEE(
		register long a __asm__("rbx") = 1; register long b __asm__("r12") = 2;
		__asm__ volatile("int3" : "+r"(a), "+r"(b));
		long fs;
		__asm__ volatile("mov %%fs:0, %0" : "=r"(fs));
		say("%ld %ld %d", a, b, fs != 0));
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("int3", p);
	struct user_regs_struct r;
	must(pt(PTRACE_GETREGS, p, 0, (long)&r));
	say("%lld %lld cs %llx ss %llx ds %llx es %llx fs %llx gs %llx", r.rbx, r.r12, r.cs, r.ss, r.ds, r.es, r.fs, r.gs);
	r.rbx = 10; r.r12 = 20;
	must(pt(PTRACE_SETREGS, p, 0, (long)&r));
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("end", p);
}

TEST(signals)
{
	handle(SIGUSR1, note, 0);
	handle(SIGUSR2, note, 0);
	pid_t p = TRACEE(raise(SIGUSR1); say("got %s", signame(got)); raise(SIGUSR1); say("got %s", signame(got)); raise(SIGURG); kill(getpid(), SIGTERM));
	siginfo_t si;
	R(pt(PTRACE_GETSIGINFO, p, 0, (long)&si)); say("signo %d code %d", si.si_signo, si.si_code);
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("raised", p);
	must(pt(PTRACE_GETSIGINFO, p, 0, (long)&si));
	T(si.si_pid == p);
	must(pt(PTRACE_CONT, p, 0, SIGUSR2)); next_of("raised, after another was delivered", p);
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("ignored by default", p);
	must(pt(PTRACE_CONT, p, 0, SIGURG)); next_of("fatal", p);
	must(pt(PTRACE_CONT, p, 0, SIGTERM)); next_of("end", p);
	// A siginfo that the tracer makes up.
	p = TRACEE(
		sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigprocmask(SIG_BLOCK, &s, NULL);
		raise(SIGUSR1); kill(getpid(), SIGUSR2); raise(SIGRTMIN));
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("usr2", p);
	unsigned long mask = 0;
	R(pt(PTRACE_GETSIGMASK, p, 8, (long)&mask)); say("mask %#lx", mask);
	mask = -1;
	R(pt(PTRACE_SETSIGMASK, p, 8, (long)&mask)); R(pt(PTRACE_GETSIGMASK, p, 8, (long)&mask)); say("mask %#lx", mask);
	mask = 0;
	R(pt(PTRACE_SETSIGMASK, p, 8, (long)&mask));
	must(pt(PTRACE_CONT, p, 0, SIGUSR1)); next_of("next", p);
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("next", p);
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("end", p);
	// data at a syscall stop is a signal that is reported again; at an event it is nothing.
	p = TRACEE(syscall(SYS_getpid); syscall(SYS_getpid));
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("entry", p);
	must(pt(PTRACE_SYSCALL, p, 0, SIGUSR1)); next_of("exit", p);
	must(pt(PTRACE_SYSCALL, p, 0, SIGUSR2)); next_of("signal", p);
	must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("signal", p);
	must(pt(PTRACE_CONT, p, 0, SIGKILL)); next_of("end", p);
}

TEST(peek_siginfo)
{
	pid_t p = TRACEE(
		sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, NULL);
		raise(SIGUSR1); for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
		syscall(SYS_getpid));
	int st;
	do { must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0); } while (REG(p, orig_rax) != SYS_getpid);
	do { must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0); } while (REG(p, orig_rax) != SYS_exit_group);
	struct { uint64_t off; uint32_t flags; int32_t nr; } a = {0, 1, 10};
	siginfo_t si[10];
	long n;
	R(n = pt(0x4209, p, (long)&a, (long)si));
	for (int i = 0; i < n; i++) say("signo %d code %d value %d", si[i].si_signo, si[i].si_code, si[i].si_value.sival_int);
	a.off = 2; R(pt(0x4209, p, (long)&a, (long)si));
	a.off = 100; R(pt(0x4209, p, (long)&a, (long)si)); a.off = -1; R(pt(0x4209, p, (long)&a, (long)si));
	a.off = 0; a.flags = 0; R(pt(0x4209, p, (long)&a, (long)si)); say("signo %d code %d", si[0].si_signo, si[0].si_code);
	a.flags = 2; R(pt(0x4209, p, (long)&a, (long)si)); a.flags = 1; a.nr = -1; R(pt(0x4209, p, (long)&a, (long)si)); a.nr = 3; R(pt(0x4209, p, (long)&a, 8)); R(pt(0x4209, p, 8, (long)si));
	end(p);
}

TEST(step)
{
	handle(SIGUSR1, note, 0);
	pid_t p = TRACEE(__asm__ volatile("nop; nop; syscall; nop; int3; nop; pushf; pop %%rbx; nop" : : "a"(SYS_getuid) : "rcx", "r11", "rbx", "memory"); syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
	int st;
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
	do { must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0); } while (REG(p, orig_rax) != SYS_getuid);
	must(pt(PTRACE_SINGLESTEP, p, 0, 0)); next_of("over the call", p);
	long at = REG(p, rip);
	for (int i = 0; i < 6; i++) {
		must(pt(PTRACE_SINGLESTEP, p, 0, 0));
		next_of("  step", p);
		say("  %+ld, TF %ld", REG(p, rip) - at, REG(p, eflags) >> 8 & 1);
	}
	say("pushf saw TF: %ld", REG(p, rbx) >> 8 & 1);
	do { must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0); } while (REG(p, orig_rax) != SYS_tgkill);
	must(pt(PTRACE_SINGLESTEP, p, 0, 0)); next_of("over tgkill", p);
	must(pt(PTRACE_SINGLESTEP, p, 0, 0)); next_of("signal", p);
	must(pt(PTRACE_SINGLESTEP, p, 0, SIGUSR1)); next_of("into the handler", p);
	T(REG(p, rip) == (long)note);
	must(pt(PTRACE_SINGLESTEP, p, 0, 0)); next_of("in it", p);
	do { must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0); } while (REG(p, orig_rax) != SYS_rt_sigreturn);
	must(pt(PTRACE_SINGLESTEP, p, 0, 0)); next_of("over sigreturn", p);
	must(pt(PTRACE_SINGLESTEP, p, 0, 0)); next_of("after it", p);
	must(pt(PTRACE_CONT, p, 0, 0)); next_of("end", p);
}

// Every instruction of a call of the C library, and of an exec.
TEST(step_far)
{
	pid_t p = TRACEE(char b[100]; snprintf(b, 100, "%d", 12345); if (strcmp(b, "12345")) _exit(1); execl("/bin/true", "true", NULL));
	int st, n = 0;
	for (;;) {
		must(pt(PTRACE_SINGLESTEP, p, 0, 0));
		waitpid(p, &st, 0);
		if (!WIFSTOPPED(st) || WSTOPSIG(st) != SIGTRAP || ++n > 20000 || REG(p, orig_rax) == SYS_execve)
			break;
	}
	T(n > 100 && n < 20000);
	show_stop("exec", p, st);
	for (int i = 0; i < 3; i++) {
		must(pt(PTRACE_SINGLESTEP, p, 0, 0));
		next_of("step", p);
	}
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("end", p);
}

TEST(restart)
{
	handle(SIGUSR1, note, 0);
	handle(SIGUSR2, note, SA_RESTART);
	static const int sigs[] = {0, SIGUSR1, SIGUSR2};
	static const char *names[] = {"no signal", "a handler", "a handler with SA_RESTART"};
	for (int kind = 0; kind < 3; kind++)
		for (int s = 0; s < 3; s++) {
			say("%s, %s", (const char *[]){"read", "pause", "nanosleep"}[kind], names[s]);
			int fd[2];
			must(pipe(fd));
			pid_t p = TRACEE(
				char c; struct timespec ts = {100, 0};
				long r = kind == 0 ? syscall(SYS_read, fd[0], &c, 1) : kind == 1 ? syscall(SYS_pause) : syscall(SYS_nanosleep, &ts, &ts);
				say("  returned %ld %s", r, r < 0 ? errname(errno) : ""));
			must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
			must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("  entry", p);
			must(pt(PTRACE_SYSCALL, p, 0, 0));
			int st;
			kill(p, SIGUSR1);
			waitpid(p, &st, 0);
			if (st >> 8 == SIGUSR1) { // it came before the call
				say("  early");
				end(p);
				continue;
			}
			show_stop("  interrupted", p, st);
			must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("  signal", p);
			must(pt(PTRACE_SYSCALL, p, 0, sigs[s])); next_of("  then", p);
			if (s) {
				must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("  then", p);
				must(pt(PTRACE_SYSCALL, p, 0, 0)); next_of("  then", p);
			}
			end(p);
			close(fd[0]); close(fd[1]);
		}
}

// ERESTART codes that the tracer writes.
TEST(restart_written)
{
	static const int codes[] = {512, 513, 514, 516, 515, 517};
	handle(SIGUSR1, note, 0);
	handle(SIGUSR2, note, SA_RESTART);
	for (int c = 0; c < 6; c++)
		for (int how = 0; how < 5; how++) {
			say("-%d, %s", codes[c], (const char *[]){"no signal", "a signal that is dropped", "handler", "handler with SA_RESTART", "dropped, orig_rax -1"}[how]);
			pid_t p = TRACEE(__asm__ volatile("syscall; nop" : : "a"(SYS_getuid) : "rcx", "r11", "memory"); syscall(SYS_getgid));
			must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
			must(pt(PTRACE_SYSCALL, p, 0, 0)); int st; waitpid(p, &st, 0);
			must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0);
			long at = REG(p, rip);
			SETREG(p, rax, -codes[c]);
			if (how == 4)
				SETREG(p, orig_rax, -1);
			must(pt(PTRACE_SYSCALL, p, 0, how ? SIGUSR1 : 0)); waitpid(p, &st, 0);
			if (how) {
				show_stop("  signal", p, st);
				must(pt(PTRACE_SYSCALL, p, 0, how == 2 ? SIGUSR1 : how == 3 ? SIGUSR2 : 0)); waitpid(p, &st, 0);
			}
			show_stop("  then", p, st);
			say("  rip %+ld", how == 2 || how == 3 ? 0 : REG(p, rip) < at + 10 ? REG(p, rip) - at : 10);
			end(p);
		}
}
