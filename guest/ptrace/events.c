// The stops of events: what comes with them, what becomes of children, and what each request does there.
#include "probe.h"

#ifdef __x86_64__
#define SET_ARGS(A, B, C) "mov $" A ", %edi\n mov $" B ", %esi\n mov $" C ", %edx\n"
#else
#define SET_ARGS(A, B, C) "mov $" A ", %ebx\n mov $" B ", %ecx\n mov $" C ", %edx\n"
#endif
// A child exits at once, its parent makes a call more.
#ifdef __x86_64__
#define JUMP_IF_CX_ZERO "jrcxz"
#else
#define JUMP_IF_CX_ZERO "jecxz"
#endif
// By a jump that needs no flags: those that a process number leaves are not the same from run to run.
#define AFTER_BIRTH                                                                          \
	"mov %eax, %ecx\n" JUMP_IF_CX_ZERO " 1f\n mov $0xc0, %ecx\n" CALL(102, 199) "nop\n" EXIT(9) "1: nop\n" CALL(102, 199) EXIT(5)
static char child_stack[4096] __attribute__((used, aligned(16)));

SEGMENT(forking, CALL(57, 2) AFTER_BIRTH);
// CLONE_VM, and no signal at the end: it would come at any time.
SEGMENT(cloning, SET_ARGS("0x100", "child_stack+2048", "0") CALL(56, 120) AFTER_BIRTH);
// CLONE_VM | CLONE_VFORK.
SEGMENT(vforking, SET_ARGS("0x4100", "child_stack+2048", "0") CALL(56, 120) AFTER_BIRTH);
// CLONE_VM | FS | FILES | SIGHAND | THREAD.
SEGMENT(threading, SET_ARGS("0x10f00", "child_stack+2048", "0") CALL(56, 120) "mov %eax, %ecx\n" JUMP_IF_CX_ZERO " 1f\n mov $0xc0, %ecx\n"
	CALL(102, 199) "0: int3\n jmp 0b\n 1: nop\n" CALL(102, 199) "0: int3\n jmp 0b\n");
static char self[] __attribute__((used)) = "/proc/self/exe";
static unsigned long no_strings[2] __attribute__((used));
SEGMENT(execing, SET_ARGS("self", "no_strings", "no_strings") CALL(59, 11) "nop\n" EXIT(9));
SEGMENT(exiting, SET_ARGS("6", "0", "0") CALL(231, 252) "nop\n" EXIT(9));
SEGMENT(killed, SET_ARGS("0", "0", "0") "ud2\n");
PLACE(forking)
PLACE(cloning)
PLACE(vforking)
PLACE(threading)
PLACE(execing)
PLACE(exiting)
PLACE(killed)

// Options that make an event of it, and by which request the call is executed.
#define ALL_BIRTHS (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORKDONE)

// until_event resumes by a until the tracee reports an event or is gone.
static bool until_event(int a, int most)
{
	while (most-- > 0 && !T.gone)
		if (go(a) >> 16 == PTRACE_EVENT_STOP || T.status >> 16)
			return true;
	return false;
}

static struct tracee newborn(void)
{
	struct tracee c = {.pid = message(&T), .parent = T.pid, .options = T.options};
	waited(&c);
	return c;
}

static void go_child(struct tracee *c, int req)
{
	if (c->gone)
		return;
	struct tracee parent = T;
	T = *c; // for the names
	T.parent = parent.pid;
	print("  child");
	go_on(&T, req, 0);
	*c = T;
	T = parent;
}

static void end_child(struct tracee *c)
{
	if (!c->gone) {
		kill(c->pid, SIGKILL);
		do
			waited(c);
		while (!c->gone);
	}
}

static void births(const char *name, char *label, bool held)
{
	BOTH(good)
	EACH(a)
	EACH(b)
	{
		if (emulates(*a))
			continue; // there is no birth
		begin(name, label, *good | ALL_BIRTHS);
		if (until_event(*a, 8)) {
			struct tracee c = newborn();
			struct tracee parent = T;
			print("  child: ");
			T = c, T.parent = parent.pid;
			show(&T);
			c = T, T = parent;
			if (held) {
				// The parent waits for the child, which goes first.
				go_child(&c, PTRACE_CONT);
				to_end(*b, 5);
			} else {
				to_end(*b, 5);
				for (int i = 0; i < 4; i++)
					go_child(&c, *b);
			}
			end_child(&c);
		}
		finish();
	}
}

PROBE(clone) { births("clone", cloning, false); }

// A parent that waits for its child to let go of its memory.
PROBE(vfork)
{
	BOTH(good)
	EACH(a)
	EACH(b)
	{
		if (emulates(*a))
			continue;
		begin("vfork", vforking, *good | ALL_BIRTHS);
		if (until_event(*a, 8)) {
			struct tracee c = newborn();
			// The parent is let go first; it reports when the child has ended.
			must(trace(*b, T.pid, 0, 0));
			print("  %s\n", name_of(*b));
			go_child(&c, PTRACE_CONT);
			end_child(&c);
			waited(&T);
			look(&T, *b);
			show(&T);
			to_end(*b, 5);
		}
		finish();
	}
}

// Children by fork end with a signal: they are ended after their parent.
PROBE(fork) { births("fork", forking, false); }

// What was entered under SYSCALL is executed though it is left by another request, and the child is not emulated.
PROBE(fork_left_otherwise)
{
	BOTH(good)
	EACH(a)
	{
		begin("fork", forking, *good | ALL_BIRTHS);
		go(PTRACE_SYSCALL);
		if (go(*a) >> 16) {
			struct tracee c = newborn();
			to_end(*a, 4);
			go_child(&c, PTRACE_CONT);
			end_child(&c);
		}
		finish();
	}
}

PROBE(thread)
{
	BOTH(good)
	EACH(b)
	{
		begin("thread", threading, *good | ALL_BIRTHS);
		if (until_event(PTRACE_CONT, 8)) {
			struct tracee c = newborn();
			for (int i = 0; i < 3; i++)
				go(*b);
			for (int i = 0; i < 3; i++)
				go_child(&c, *b);
			// The leader goes last: the others are dead by then.
			kill(T.pid, SIGKILL);
			waited(&c);
		}
		finish();
	}
}

// Without the options there are no events, and no children of ours.
PROBE(unasked)
{
	char *labels[] = {cloning, vforking, exiting, execing};
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 2; j++) {
			int req = j ? PTRACE_SYSCALL : PTRACE_CONT;
			if (labels[i] == execing && req == PTRACE_CONT)
				continue; // nothing would stop the program
			begin("unasked", labels[i], 0);
			// The exit of exec is the last to be seen of it.
			for (int k = 0; k < (labels[i] == execing ? 2 : 6) && !T.gone; k++) {
				print("  %s: ", name_of(req));
				if (resume(&T, req, 0))
					die_at("resume");
				show_report(&T);
				print("\n");
			}
			finish();
		}
}

// A program of its own, to be found at its labels again: it is put there at the stop of exec.
PROBE(exec)
{
	BOTH(good)
	EACH(a)
	EACH(b)
	{
		if (emulates(*a))
			continue;
		begin("exec", execing, *good | PTRACE_O_TRACEEXEC);
		if (until_event(*a, 8)) {
			at(&T, plain);
			to_end(*b, 6);
		}
		finish();
	}
}

// Without the option, exec ends in a plain SIGTRAP, but not for who was seized.
PROBE(exec_unasked)
{
	for (int seized = 0; seized < 2; seized++) {
		begin("exec unasked", spin, PTRACE_O_TRACESYSGOOD);
		if (!seized) {
			must(trace(PTRACE_DETACH, T.pid, 0, 0));
			spinning(T.pid);
			must(trace(PTRACE_ATTACH, T.pid, 0, 0));
			waited(&T);
			show(&T);
			print("  attached\n");
		}
		at(&T, execing);
		for (int i = 0; i < 3; i++) {
			char a[32];
			siginfo_t si = {};
			print("  SYSCALL: ");
			if (resume(&T, PTRACE_SYSCALL, 0))
				die_at("resume");
			show_report(&T);
			if (trace(PTRACE_GETSIGINFO, T.pid, 0, (unsigned long)&si) == 0)
				print(" si %d %d/%d by %s", si.si_signo, si.si_code, si.si_errno, who(si.si_pid, a));
			print(" msg %lu\n", message(&T));
		}
		finish();
	}
}

PROBE(exit)
{
	char *labels[] = {exiting, killed, call};
	for (int l = 0; l < 3; l++)
		EACH(a)
		EACH(b)
		{
			begin("exit", labels[l], PTRACE_O_TRACEEXIT);
			for (int i = 0; i < 12 && !T.gone && T.status >> 16 != PTRACE_EVENT_EXIT; i++)
				go_with(*a, i && WSTOPSIG(T.status) == SIGILL ? SIGILL : 0);
			to_end(*b, 3);
			finish();
		}
}

// Killed in a stop of each kind.
PROBE(kill)
{
	EACH(a)
	for (int event = 0; event < 2; event++) {
		begin("kill", call, event ? PTRACE_O_TRACEEXIT : 0);
		go(*a);
		must(kill(T.pid, SIGKILL));
		waited(&T);
		print("  kill KILL: ");
		show_report(&T);
		print("\n");
		if (!T.gone)
			go(PTRACE_CONT);
		finish();
	}
}

// PTRACE_KILL is PTRACE_CONT with SIGKILL, so to speak.
PROBE(ptrace_kill)
{
	EACH(a)
	{
		begin("PTRACE_KILL", call, PTRACE_O_TRACESYSGOOD);
		go(*a);
		print("  KILL %ld: ", trace(PTRACE_KILL, T.pid, 0, 0));
		waited(&T);
		show_report(&T);
		print("\n");
		finish();
	}
}

// By PTRACE_TRACEME and PTRACE_ATTACH: other stops than of who was seized.
PROBE(traceme)
{
	int st;
	char a[64];
	for (int i = 0; i < 2; i++) {
		pid_t pid = must(fork());
		if (pid == 0) {
			prepare_tracee();
			trace(PTRACE_TRACEME, 0, 0, 0);
			kill(getpid(), SIGSTOP);
			for (;;)
				pause();
		}
		T = (struct tracee){.pid = pid};
		waited(&T);
		print("traceme\n");
		show_report(&T);
		siginfo_t si = {};
		print(" %ld", trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si));
		print(" si %d %d\n", si.si_signo, si.si_code);
		must(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | (i ? PTRACE_O_TRACESYSGOOD : 0)));
		at(&T, plain);
		// Its group-stop is a stop without siginfo.
		go_with(PTRACE_CONT, SIGSTOP);
		print("  LISTEN: %s\n", trace(PTRACE_LISTEN, pid, 0, 0) ? errname(errno) : "ok");
		print("  INTERRUPT: %s\n", trace(PTRACE_INTERRUPT, pid, 0, 0) ? errname(errno) : "ok");
		to_end(PTRACE_SYSCALL, 6);
		finish();
	}
}

PROBE(attach)
{
	EACH(b)
	for (int sleeps = 0; sleeps < 2; sleeps++) {
		begin("attach", sleeps ? pausing : spin, 0);
		if (!sleeps)
			out_of_call();
		must(trace(PTRACE_DETACH, T.pid, 0, 0));
		if (sleeps)
			asleep(T.pid);
		print("  ATTACH %ld: ", trace(PTRACE_ATTACH, T.pid, 0, 0));
		waited(&T);
		show(&T);
		at(&T, plain);
		must(trace(PTRACE_SETOPTIONS, T.pid, 0, PTRACE_O_EXITKILL));
		to_end(*b, 6);
		finish();
	}
}

// A tracer that ends lets its tracees go, or takes them along.
PROBE(tracer_ends)
{
	for (int take = 0; take < 2; take++)
		for (int emulated = 0; emulated < 2; emulated++) {
			int fd[2];
			must(pipe(fd));
			pid_t tracer = must(fork());
			if (tracer == 0) {
				nout = 0;
				close(fd[0]);
				begin("", call, 0);
				trace(PTRACE_SETOPTIONS, T.pid, 0, take ? PTRACE_O_EXITKILL : 0);
				resume(&T, emulated ? PTRACE_SYSEMU : PTRACE_SYSCALL, 0);
				_exit(0);
			}
			close(fd[1]);
			must(waitpid(tracer, NULL, 0));
			char c;
			// It ends by its int3 or by its tracer; then nobody writes to the pipe.
			print("tracer ends: %zd\n", read(fd[0], &c, 1));
			close(fd[0]);
		}
}
