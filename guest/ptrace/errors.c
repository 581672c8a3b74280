// What goes wrong with ptrace(2), and the errno it goes wrong with.
#include "probe.h"

// Every request, each with arguments that would do.
#define D (unsigned long)buffer
#define I (unsigned long)&iov
#define LIST                                                                                 \
	X(PEEKTEXT, PTRACE_PEEKTEXT, (unsigned long)plain, D)                                \
	X(PEEKDATA, PTRACE_PEEKDATA, (unsigned long)plain, D)                                \
	X(PEEKUSER, PTRACE_PEEKUSER, 0, D)                                                   \
	X(POKETEXT, PTRACE_POKETEXT, (unsigned long)buffer, 1)                               \
	X(POKEUSER, PTRACE_POKEUSER, 0, 1)                                                   \
	X(GETREGS, PTRACE_GETREGS, 0, D)                                                     \
	X(GETFPREGS, PTRACE_GETFPREGS, 0, D)                                                 \
	X(GETREGSET, PTRACE_GETREGSET, NT_PRSTATUS, I)                                       \
	X(SETREGSET, PTRACE_SETREGSET, 0x7777, I)                                            \
	X(GETSIGINFO, PTRACE_GETSIGINFO, 0, D)                                               \
	X(GETSIGMASK, PTRACE_GETSIGMASK, 8, D)                                               \
	X(PEEKSIGINFO, PTRACE_PEEKSIGINFO, D, D)                                             \
	X(SETOPTIONS, PTRACE_SETOPTIONS, 0, 0)                                               \
	X(OLDSETOPTIONS, 21, 0, 0)                                                           \
	X(GETEVENTMSG, PTRACE_GETEVENTMSG, 0, D)                                             \
	X(GET_SYSCALL_INFO, PTRACE_GET_SYSCALL_INFO, 88, D)                                  \
	X(INTERRUPT, PTRACE_INTERRUPT, 0, 0)                                                 \
	X(LISTEN, PTRACE_LISTEN, 0, 0)                                                       \
	X(CONT, PTRACE_CONT, 0, 0)                                                           \
	X(SYSCALL, PTRACE_SYSCALL, 0, 0)                                                     \
	X(SYSEMU, PTRACE_SYSEMU, 0, 0)                                                       \
	X(SYSEMU_SINGLESTEP, PTRACE_SYSEMU_SINGLESTEP, 0, 0)                                 \
	X(SINGLESTEP, PTRACE_SINGLESTEP, 0, 0)                                               \
	X(SINGLEBLOCK, PTRACE_SINGLEBLOCK, 0, 0)                                             \
	X(DETACH, PTRACE_DETACH, 0, 0)                                                       \
	X(unknown, 0x3333, 0, 0)                                                             \
	X(unknown, 99, 0, 0)                                                                 \
	X(negative, -1, 0, 0)

static char buffer[4096];
static struct iovec iov;

// outcome tells how a request went.
static void outcome(const char *name, long r)
{
	if (r == -1)
		print("  %s: %s\n", name, errname(errno));
	else
		print("  %s: %ld\n", name, r);
}

// everything makes every request of a thread that must not be resumed by one of them.
static void everything(const char *what, pid_t pid)
{
	print("%s\n", what);
#define X(NAME, REQ, ADDR, DATA)                                                             \
	iov = (struct iovec){buffer, sizeof buffer};                                         \
	outcome(#NAME, trace(REQ, pid, ADDR, DATA));
	LIST
#undef X
}

PROBE(not_ours)
{
	everything("nobody", 0);
	everything("negative", -5);
	everything("out of range", 0x7ffffff0);
	everything("self", getpid());
	pid_t pid = CHILD(for (;;) pause());
	everything("an untraced child", pid);
	kill(pid, SIGKILL);
	// Dead, but not waited for.
	siginfo_t si;
	must(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
	everything("a zombie", pid);
	outcome("ATTACH", trace(PTRACE_ATTACH, pid, 0, 0));
	outcome("SEIZE", trace(PTRACE_SEIZE, pid, 0, 0));
	must(waitpid(pid, NULL, 0));
	everything("a child that was waited for", pid);
}

PROBE(not_stopped)
{
	begin("running", spin, 0);
	must(trace(PTRACE_CONT, T.pid, 0, 0));
	print("running\n");
#define X(NAME, REQ, ADDR, DATA)                                                             \
	iov = (struct iovec){buffer, sizeof buffer};                                         \
	if (REQ != PTRACE_INTERRUPT)                                                         \
		outcome(#NAME, trace(REQ, T.pid, ADDR, DATA));
	LIST
#undef X
	outcome("ATTACH", trace(PTRACE_ATTACH, T.pid, 0, 0));
	outcome("SEIZE", trace(PTRACE_SEIZE, T.pid, 0, 0));
	finish();
}

PROBE(dead_tracee)
{
	begin("dead", plain, 0);
	must(trace(PTRACE_CONT, T.pid, 0, 0));
	kill(T.pid, SIGKILL);
	siginfo_t si;
	must(waitid(P_PID, T.pid, &si, WEXITED | WNOWAIT));
	everything("dead, not waited for", T.pid);
	waited(&T);
}

// A tracee of someone else, even of another thread of the same process.
static pid_t not_mine;
static void *another(void *unused)
{
	everything("another thread's", not_mine);
	outcome("ATTACH", trace(PTRACE_ATTACH, not_mine, 0, 0));
	outcome("SEIZE", trace(PTRACE_SEIZE, not_mine, 0, 0));
	return NULL;
}

PROBE(another_threads)
{
	begin("another thread", plain, 0);
	not_mine = T.pid;
	pthread_t t;
	pthread_create(&t, NULL, another, NULL);
	pthread_join(t, NULL);
	// Still stopped, and still its tracer's.
	go(PTRACE_CONT);
	finish();
}

// Signals that are none: the tracee stays stopped.
PROBE(bad_signal)
{
	EACH(a)
	{
		const long bad[] = {65, 64, 1000, -1, 0x100000000};
		for (int i = 0; i < 5; i++) {
			begin("bad signal", plain, 0);
			print("  %s with %ld", name_of(*a), bad[i]);
			outcome("", trace(*a, T.pid, 0, bad[i]) ? -1 : (waited(&T), 0));
			if (!T.gone)
				go(PTRACE_SINGLESTEP);
			finish();
		}
	}
	const long bad[] = {65, -1};
	for (int i = 0; i < 2; i++) {
		begin("bad signal", plain, 0);
		outcome("DETACH", trace(PTRACE_DETACH, T.pid, 0, bad[i]));
		go(PTRACE_SINGLESTEP);
		finish();
	}
}

PROBE(stopped)
{
	begin("stopped", plain, 0);
	go(PTRACE_SINGLESTEP); // LISTEN is for other stops
	pid_t p = T.pid;
	unsigned long far = (unsigned long)-4096;
	outcome("ATTACH", trace(PTRACE_ATTACH, p, 0, 0));
	outcome("SEIZE", trace(PTRACE_SEIZE, p, 0, 0));
	outcome("LISTEN", trace(PTRACE_LISTEN, p, 0, 0));
	outcome("PEEKDATA of nothing", trace(PTRACE_PEEKDATA, p, 0, (unsigned long)buffer));
	outcome("PEEKDATA far away", trace(PTRACE_PEEKDATA, p, far, (unsigned long)buffer));
	outcome("PEEKDATA to nothing", trace(PTRACE_PEEKDATA, p, (unsigned long)plain, 8));
	outcome("POKEDATA of nothing", trace(PTRACE_POKEDATA, p, 0, 1));
	outcome("POKETEXT of code", trace(PTRACE_POKETEXT, p, (unsigned long)spin, 0xfeeb));
	const long offsets[] = {0, 1, 3, 4, 8, sizeof(regs_t), sizeof(struct user) - sizeof(long), sizeof(struct user),
				offsetof(struct user, u_debugreg[0]), offsetof(struct user, u_debugreg[4]),
				offsetof(struct user, u_debugreg[7]), -8, 100000};
	for (int i = 0; i < 13; i++) {
		long off = offsets[i];
		print("  at %ld of the user area\n", i > 4 && i < 11 ? i : off);
		memset(buffer, 0, 8);
		outcome("PEEKUSER", trace(PTRACE_PEEKUSER, p, off, (unsigned long)buffer));
		if (off >= (long)sizeof(regs_t))
			print("  = %d %d\n", buffer[0], buffer[1]);
	}
	outcome("POKEUSER of nothing there", trace(PTRACE_POKEUSER, p, sizeof(struct user), 0));
	outcome("POKEUSER of dr4", trace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[4]), 0));
	outcome("POKEUSER of dr0", trace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[0]), (unsigned long)plain));
	outcome("POKEUSER of dr0, the kernel's", trace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[0]), (unsigned long)-4096));
	outcome("POKEUSER of dr7, io", trace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[7]), 0x20001));
	outcome("POKEUSER of dr7, 8 bytes of code", trace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[7]), 0x80001));
#ifdef __x86_64__
	struct user_regs_struct r;
	const char *seg[] = {"cs", "ss", "ds", "es", "fs", "gs"};
	for (int i = 0; i < 6; i++)
		for (int v = 0; v < 4; v++) {
			get(&T, &r);
			unsigned long long *s[] = {&r.cs, &r.ss, &r.ds, &r.es, &r.fs, &r.gs};
			const int values[] = {0, 8, 0x10000, 0x2b};
			*s[i] = values[v];
			print("  %s = %#x", seg[i], values[v]);
			outcome("", trace(PTRACE_SETREGS, p, 0, (unsigned long)&r));
		}
	get(&T, &r);
	r.cs = 0x33, r.ss = 0x2b;
	set(&T, &r);
	get(&T, &r);
	r.fs_base = 1ULL << 63;
	outcome("fs_base", trace(PTRACE_SETREGS, p, 0, (unsigned long)&r));
	r.fs_base = 0, r.gs_base = 1ULL << 63;
	outcome("gs_base", trace(PTRACE_SETREGS, p, 0, (unsigned long)&r));
#endif
	outcome("GETREGS to nothing", trace(PTRACE_GETREGS, p, 0, 8));
	outcome("SETREGS of nothing", trace(PTRACE_SETREGS, p, 0, 8));
	const int types[] = {NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE, 0x200 /* NT_386_TLS */, 0, 0x7777};
	for (int i = 0; i < 6; i++)
		for (int len = 0; len < 4; len++) {
			const int lens[] = {0, 8, 12, 4096};
			iov = (struct iovec){buffer, lens[len]};
			print("  GETREGSET %#x of %d", types[i], lens[len]);
			outcome("", trace(PTRACE_GETREGSET, p, types[i], (unsigned long)&iov));
			if (types[i] != NT_X86_XSTATE || len < 3)
				print("  len %zu\n", iov.iov_len);
		}
	iov = (struct iovec){(void *)8, 64};
	outcome("GETREGSET to nothing", trace(PTRACE_GETREGSET, p, NT_PRSTATUS, (unsigned long)&iov));
	outcome("GETREGSET by nothing", trace(PTRACE_GETREGSET, p, NT_PRSTATUS, 8));
	const unsigned long options[] = {0, 1, 0x100, 0x200, 0x80000000, 0x1000000, 0x200000, 0x100000 | 0x7f, 0x400000};
	for (int i = 0; i < 9; i++) {
		print("  options %#lx", options[i]);
		outcome("", trace(PTRACE_SETOPTIONS, p, 0, options[i] | (i ? 0 : PTRACE_O_EXITKILL)));
	}
	outcome("GETSIGMASK of 4", trace(PTRACE_GETSIGMASK, p, 4, (unsigned long)buffer));
	outcome("SETSIGMASK of 4", trace(PTRACE_SETSIGMASK, p, 4, (unsigned long)buffer));
	outcome("SETSIGMASK of nothing", trace(PTRACE_SETSIGMASK, p, 8, 8));
	struct __ptrace_peeksiginfo_args peek = {0, 8, 1};
	outcome("PEEKSIGINFO with unknown flags", trace(PTRACE_PEEKSIGINFO, p, (unsigned long)&peek, (unsigned long)buffer));
	peek = (struct __ptrace_peeksiginfo_args){0, 0, -1};
	outcome("PEEKSIGINFO of a negative number", trace(PTRACE_PEEKSIGINFO, p, (unsigned long)&peek, (unsigned long)buffer));
	peek = (struct __ptrace_peeksiginfo_args){0, 0, 3};
	outcome("PEEKSIGINFO of none", trace(PTRACE_PEEKSIGINFO, p, (unsigned long)&peek, (unsigned long)buffer));
	outcome("PEEKSIGINFO by nothing", trace(PTRACE_PEEKSIGINFO, p, 8, (unsigned long)buffer));
	outcome("SETSIGINFO of nothing", trace(PTRACE_SETSIGINFO, p, 0, 8));
	outcome("GET_SYSCALL_INFO of 4", trace(PTRACE_GET_SYSCALL_INFO, p, 4, (unsigned long)buffer));
	outcome("GET_SYSCALL_INFO of 0", trace(PTRACE_GET_SYSCALL_INFO, p, 0, 0));
	outcome("GET_SYSCALL_INFO to nothing", trace(PTRACE_GET_SYSCALL_INFO, p, 88, 8));
	outcome("GET_RSEQ_CONFIGURATION of 4", trace(0x420f, p, 4, (unsigned long)buffer));
	outcome("SECCOMP_GET_FILTER", trace(0x420c, p, 0, (unsigned long)buffer));
	outcome("SECCOMP_GET_METADATA", trace(0x420d, p, 16, (unsigned long)buffer));
	outcome("GET_SYSCALL_USER_DISPATCH_CONFIG of 4", trace(0x4211, p, 4, (unsigned long)buffer));
	outcome("GET_SYSCALL_USER_DISPATCH_CONFIG", trace(0x4211, p, 32, (unsigned long)buffer));
	outcome("unknown", trace(0x3333, p, 0, 0));
	outcome("unknown", trace(1000, p, 0, 0));
	go(PTRACE_CONT);
	finish();
}

// Attaching: its own arguments.
PROBE(seize)
{
	pid_t pid = CHILD(for (;;) pause());
	outcome("SEIZE with an address", trace(PTRACE_SEIZE, pid, 8, 0));
	outcome("SEIZE with unknown options", trace(PTRACE_SEIZE, pid, 0, 0x40000000));
	outcome("SEIZE", trace(PTRACE_SEIZE, pid, 0, 0));
	outcome("SEIZE again", trace(PTRACE_SEIZE, pid, 0, 0));
	outcome("ATTACH", trace(PTRACE_ATTACH, pid, 0, 0));
	kill(pid, SIGKILL);
	must(waitpid(pid, NULL, 0));
	outcome("ATTACH to itself", trace(PTRACE_ATTACH, getpid(), 0, 0));
	outcome("SEIZE of nobody", trace(PTRACE_SEIZE, 0x7ffffff0, 0, 0));
	flush();
	pid = CHILD(outcome("TRACEME", trace(PTRACE_TRACEME, 0, 0, 0)); outcome("TRACEME again", trace(PTRACE_TRACEME, 0, 0, 0)); flush());
	must(waitpid(pid, NULL, 0));
}

// Of another user, or one that does not want to be looked at.
static void nobodys(const char *what, uid_t uid, bool dumpable, uid_t tracer)
{
	int ready[2];
	char c;
	must(pipe(ready));
	pid_t pid = must(fork());
	if (pid == 0) {
		must(setgid(uid));
		must(setuid(uid));
		must(prctl(PR_SET_DUMPABLE, dumpable));
		must(write(ready[1], "", 1));
		for (;;)
			pause();
	}
	must(read(ready[0], &c, 1));
	pid_t t = must(fork());
	if (t == 0) {
		must(setgid(tracer));
		must(setuid(tracer));
		print("%s\n", what);
		long r = trace(PTRACE_ATTACH, pid, 0, 0);
		outcome("ATTACH", r);
		if (r == 0) {
			must(waitpid(pid, NULL, __WALL));
			must(trace(PTRACE_DETACH, pid, 0, 0));
		}
		outcome("SEIZE", trace(PTRACE_SEIZE, pid, 0, 0));
		flush();
		_exit(0);
	}
	flush();
	must(waitpid(t, NULL, 0));
	kill(pid, SIGKILL);
	must(waitpid(pid, NULL, 0));
	close(ready[0]);
	close(ready[1]);
}

PROBE(permission)
{
	flush(); // children print too
	nobodys("its own", 65534, true, 65534);
	nobodys("its own, not dumpable", 65534, false, 65534);
	nobodys("another's", 65533, true, 65534);
	nobodys("root's", 0, true, 65534);
	nobodys("root of another's", 65534, true, 0);
	nobodys("root of another's, not dumpable", 65534, false, 0);
}
