// Every request by every request at every kind of stop, with and without PTRACE_O_TRACESYSGOOD, for calls made by each
// instruction.
#include "probe.h"

#define PAIRS(G, A, B) BOTH(G) EACH(A) EACH(B)

// From the entry of a call, reached under each request that stops there.
static void from_entry(char *label)
{
	BOTH(good)
	EACH(a)
	{
		EACH(b)
		{
			begin("entry", label, *good);
			go(*a);
			if (*a == PTRACE_SYSEMU_SINGLESTEP)
				go(*a); // over the mov
			to_end(*b, 10);
			finish();
		}
	}
}

#ifdef __x86_64__
PROBE(entry) { from_entry(call); }
#else
PROBE(entry_vsyscall) { from_entry(call); }
#endif
PROBE(entry80) { from_entry(call80); }

// Entries under two requests by turns, then under a third.
static void turns(char *label)
{
	EACH(a)
	EACH(b)
	{
		begin("turns", label, PTRACE_O_TRACESYSGOOD);
		for (int i = 0; i < 4; i++) {
			go(*a);
			go(*b);
		}
		to_end(PTRACE_SYSCALL, 4);
		finish();
	}
}

PROBE(turns) { turns(call); }
PROBE(turns80) { turns(call80); }

// From the exit of a call, of one that was executed and of one that was not.
static void from_exit(char *label)
{
	BOTH(good)
	for (int executed = 0; executed < 2; executed++)
		EACH(b)
		{
			begin("exit", label, *good);
			go(executed ? PTRACE_SYSCALL : PTRACE_SYSEMU);
			go(PTRACE_SYSCALL);
			to_end(*b, 10);
			finish();
		}
}

PROBE(exit) { from_exit(call); }
PROBE(exit80) { from_exit(call80); }

// From a signal-delivery-stop, with the signal delivered or suppressed.
PROBE(signal)
{
	PAIRS(good, a, b)
	for (int deliver = 0; deliver < 2; deliver++) {
		begin("signal", plain, *good);
		must(syscall(SYS_tkill, T.pid, SIGUSR1));
		print("  kill USR1\n");
		go(*a);
		go_with(*b, deliver ? SIGUSR1 : 0);
		to_end(*b, 10);
		finish();
	}
}

// A signal sent along from a stop of a call.
PROBE(signal_along)
{
	PAIRS(good, a, b)
	for (int how = 0; how < 2; how++) {
		begin("along", call, *good);
		go(*a);
		if (*a == PTRACE_SYSEMU_SINGLESTEP)
			go(*a);
		go_with(*b, how ? SIGUSR1 : SIGURG);
		go_with(*b, how ? SIGUSR1 : 0);
		to_end(*b, 8);
		finish();
	}
}

PROBE(step)
{
	BOTH(good)
	EACH(b)
	{
		const int by[] = {PTRACE_SINGLESTEP, PTRACE_SYSEMU_SINGLESTEP, PTRACE_SINGLEBLOCK};
		for (int i = 0; i < 3; i++) {
			begin("step", plain, *good);
			go(by[i]);
			to_end(*b, 10);
			finish();
		}
	}
}

PROBE(int3)
{
	PAIRS(good, a, b)
	{
		begin("int3", plain + 2, *good);
		go(*a);
		go_with(*b, 0);
		to_end(*b, 8);
		finish();
	}
}

PROBE(interrupt)
{
	PAIRS(good, a, b)
	{
		begin("interrupt", plain, *good);
		must(trace(PTRACE_INTERRUPT, T.pid, 0, 0));
		print("  INTERRUPT\n");
		go(*a);
		to_end(*b, 8);
		finish();
	}
}

// While it runs.
PROBE(interrupt_running)
{
	EACH(b)
	{
		begin("interrupt", spin, PTRACE_O_TRACESYSGOOD);
		out_of_call();
		must(trace(PTRACE_CONT, T.pid, 0, 0));
		must(trace(PTRACE_INTERRUPT, T.pid, 0, 0));
		print("  CONT, INTERRUPT: ");
		waited(&T);
		show(&T);
		print("  at plain+0\n");
		at(&T, plain);
		to_end(*b, 8);
		finish();
	}
}

PROBE(group_stop)
{
	PAIRS(good, a, b)
	{
		begin("group-stop", plain, *good);
		must(syscall(SYS_tkill, T.pid, SIGSTOP));
		print("  kill STOP\n");
		go(*a);
		go_with(*a, SIGSTOP);
		to_end(*b, 8);
		finish();
	}
}

PROBE(listen)
{
	EACH(a)
	EACH(b)
	{
		begin("listen", plain, PTRACE_O_TRACESYSGOOD);
		must(syscall(SYS_tkill, T.pid, SIGSTOP));
		print("  kill STOP\n");
		go(*a);
		go_with(*a, SIGSTOP);
		must(trace(PTRACE_LISTEN, T.pid, 0, 0));
		print("  LISTEN, kill CONT: ");
		must(kill(T.pid, SIGCONT));
		waited(&T);
		show(&T);
		go(*b);
		go_with(*b, SIGCONT);
		to_end(*b, 8);
		finish();
	}
}

PROBE(detach)
{
	EACH(a)
	{
		begin("detach", call, PTRACE_O_TRACESYSGOOD);
		go(*a);
		if (*a == PTRACE_SYSEMU_SINGLESTEP)
			go(*a);
		// It dies of its int3 or exits, by itself.
		long e = trace(PTRACE_DETACH, T.pid, 0, 0);
		print("  DETACH %ld: ", e);
		waited(&T);
		show(&T);
		finish();
	}
}
