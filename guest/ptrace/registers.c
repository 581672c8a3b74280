// What a tracer writes into registers at a stop, and how calls are restarted or are not.
#include "probe.h"

static void set_ax(long v)
{
	regs_t r;
	get(&T, &r);
	r.AX = v;
	set(&T, &r);
	print("  ax = %ld\n", v);
}

static void set_orig(long v)
{
	regs_t r;
	get(&T, &r);
	r.ORIG = v;
	set(&T, &r);
	print("  orig = %ld\n", v);
}

static void rewind_call(void)
{
	regs_t r;
	get(&T, &r);
	r.IP -= 2;
	r.AX = r.ORIG;
	set(&T, &r);
	print("  back to the instruction\n");
}

// Each request out of each entry, after a write.
static void written(const char *name, void (*write)(void))
{
	const int entries[] = {PTRACE_SYSCALL, PTRACE_SYSEMU};
	for (int i = 0; i < 2; i++)
		EACH(b)
		{
			begin(name, call, PTRACE_O_TRACESYSGOOD);
			go(entries[i]);
			write();
			to_end(*b, 6);
			finish();
		}
}

static void result(void) { set_ax(4321); }
static void failure(void) { set_ax(-ENOENT); }
static void no_call(void) { set_orig(-1); }
static void other_call(void) { set_orig(SYS_getuid); }
static void unknown_call(void) { set_orig(4999); }

static void both(void)
{
	no_call();
	set_ax(77);
}

PROBE(result) { written("result", result); }
PROBE(failure) { written("failure", failure); }
PROBE(no_call) { written("no call", no_call); }
PROBE(no_call_result) { written("no call, result", both); }
PROBE(other_call) { written("other call", other_call); }
PROBE(unknown_call) { written("unknown call", unknown_call); }
PROBE(again) { written("again", rewind_call); }

// At the exit.
PROBE(at_exit)
{
	for (int i = 0; i < 3; i++)
		EACH(b)
		{
			begin("at exit", call, PTRACE_O_TRACESYSGOOD);
			go(PTRACE_SYSCALL);
			go(PTRACE_SYSCALL);
			i == 0 ? result() : i == 1 ? no_call() : rewind_call();
			to_end(*b, 5);
			finish();
		}
}

// The whole set is honoured, but for what user code may not have.
PROBE(whole_set)
{
	EACH(b)
	{
		begin("whole set", call, PTRACE_O_TRACESYSGOOD);
		go(PTRACE_SYSEMU);
		regs_t r, s;
		get(&T, &r);
		r.IP = (uintptr_t)plain;
		r.AX = 1;
		r.ORIG = -1;
		r.SP -= 64;
#ifdef __x86_64__
		r.rcx = r.rdx = r.rsi = r.rdi = 0x1111, r.r8 = r.r9 = r.r10 = r.r11 = 0x2222;
		r.r12 = r.r13 = r.r14 = r.r15 = r.rbp = r.rbx = 0x3333333333333333;
#endif
		r.eflags = 0xffffffff & ~0x100UL;
		print("  set: %s\n", trace(PTRACE_SETREGS, T.pid, 0, (unsigned long)&r) ? errname(errno) : "ok");
		get(&T, &s);
		print("  flags %lx, %sthe rest as set\n", (unsigned long)s.eflags,
		      (s.eflags = r.eflags, memcmp(&r, &s, sizeof r)) ? "not " : "");
		r.eflags = 0x202;
		set(&T, &r);
		to_end(*b, 6);
		finish();
	}
}

// The trap flag that stepping sets is hidden; the tracee's own is not.
PROBE(trap_flag)
{
	for (int own = 0; own < 2; own++)
		EACH(b)
		{
			begin("trap flag", plain, PTRACE_O_TRACESYSGOOD);
			if (own) {
				regs_t r;
				get(&T, &r);
				r.eflags |= 0x100;
				set(&T, &r);
			}
			go(PTRACE_SINGLESTEP);
			to_end(*b, 6);
			finish();
		}
}

// A call that is made to return one of the kernel's codes for restarts, with nothing pending, with a signal that is
// suppressed, that is ignored, and that is handled.
static void restarts(int entry)
{
	const long codes[] = {-512, -513, -514, -516, -515, -4};
	for (int c = 0; c < 6; c++)
		for (int how = 0; how < 5; how++) {
			begin("restart", call, PTRACE_O_TRACESYSGOOD);
			T.unrestarted = true;
			int sig = (int[]){0, SIGUSR1, SIGURG, SIGUSR1, SIGUSR1}[how];
			go(entry);
			if (!emulates(entry))
				set_orig(-1);
			set_ax(codes[c]);
			if (how == 4)
				set_orig(SYS_getuid);
			if (sig) {
				must(syscall(SYS_tkill, T.pid, sig));
				print("  kill %s\n", sigabbrev_np(sig));
			}
			// Where it goes on and with what; the number of a call that is not restarted is nobody's.
			for (int i = 0; i < 5 && !T.gone; i++) {
				int with = i == 1 && how != 1 ? sig : 0;
				char a[32];
				print("  %s%s: ", name_of(entry), with ? " with it" : "");
				if (resume(&T, entry, with))
					die_at("resume");
				show_report(&T);
				if (!T.gone) {
					regs_t r;
					get(&T, &r);
					print(" at %s ax " SREG, place(r.IP, a), r.AX);
					if (T.emulated)
						print(" nr " SREG, r.ORIG);
				}
				print("\n");
			}
			finish();
		}
}

static void restarting_handler(void) { action(SIGUSR1, handler, SA_RESTART); }

PROBE(restart_emulated) { restarts(PTRACE_SYSEMU); }
PROBE(restart_emulated_SA_RESTART)
{
	preparation = restarting_handler;
	restarts(PTRACE_SYSEMU);
	preparation = NULL;
}
PROBE(restart_skipped) { restarts(PTRACE_SYSCALL); }

// A call that waits is interrupted: restarted, it enters once more, and is then emulated.
PROBE(interrupted_call)
{
	for (int how = 0; how < 4; how++) {
		begin("interrupted", pausing, PTRACE_O_TRACESYSGOOD);
		go(PTRACE_SYSCALL);
		must(trace(PTRACE_SYSEMU, T.pid, 0, 0));
		if (how == 0)
			must(trace(PTRACE_INTERRUPT, T.pid, 0, 0));
		else
			must(syscall(SYS_tkill, T.pid, SIGUSR1));
		waited(&T);
		show(&T);
		if (how == 3) {
			regs_t r;
			get(&T, &r);
			r.ORIG = -1;
			set(&T, &r);
			print("  orig = -1\n");
		}
		go_with(PTRACE_SYSEMU, how >= 2 ? SIGUSR1 : 0);
		to_end(PTRACE_SYSEMU, 4);
		finish();
	}
}
