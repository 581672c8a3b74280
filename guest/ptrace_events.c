// ptrace(2): attaching and detaching, events, group-stops, threads, waiting, the tracer's end.
// sysemu run: --ptrace-rule=linux
#include "ptrace.h"
#include <linux/sched.h>
#include <sys/un.h>
#include <sys/socket.h>

static volatile int got;
static void note(int s) { got = s; }

__attribute__((constructor)) static void hide(void) { hide_orig = true; }

static int st;
static long msg;

static void cont(pid_t p, int req, int sig) { must(pt(req, p, 0, sig)); }

// until waits for a tracee to be in a state that /proc shows.
static void until(pid_t p, char state)
{
	char name[40], b[400];
	sprintf(name, "/proc/%d/stat", p);
	for (;;) {
		int fd = open(name, O_RDONLY);
		if (fd < 0)
			return;
		int n = read(fd, b, sizeof b - 1);
		close(fd);
		b[n > 0 ? n : 0] = 0;
		char *q = strrchr(b, ')');
		if (q && q[2] == state)
			return;
		sched_yield();
	}
}

static void show_proc(pid_t p)
{
	char name[40], line[300];
	sprintf(name, "/proc/%d/status", p);
	FILE *f = fopen(name, "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "State", 5))
			say("  %.*s", (int)strcspn(line, "\n"), line);
		else if (!strncmp(line, "TracerPid", 9))
			say("  traced by %s", atoi(line + 10) == getpid() ? "me" : atoi(line + 10) ? "another" : "nobody");
	fclose(f);
}

TEST(fork_events)
{
	static const struct { const char *name; int opt, how; } kinds[] = {
		{"fork", PTRACE_O_TRACEFORK, 0}, {"vfork", PTRACE_O_TRACEVFORK, 1}, {"vfork done", PTRACE_O_TRACEVFORKDONE, 1},
		{"vfork and done", PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE, 1}, {"clone", PTRACE_O_TRACECLONE, 2},
		{"clone untraced", PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK, 4}, {"none", 0, 0},
	};
	for (int i = 0; i < 7; i++) {
		say("%s", kinds[i].name);
		int how = kinds[i].how;
		pid_t p = TRACEE(
			pid_t c = how == 0 ? fork() : how == 1 ? vfork() : syscall(SYS_clone, how == 2 ? 0 : CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0);
			if (c == 0) { syscall(SYS_getuid); _exit(7); }
			int s; pid_t w = waitpid(c, &s, __WALL); say("  tracee: %d %d", w == c, WEXITSTATUS(s)));
		must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD | kinds[i].opt));
		cont(p, PTRACE_CONT, 0);
		pid_t child = 0;
		// Events of the parent come in one order, the child's in another: follow them apart.
		for (;;) {
			pid_t w = waitpid(p, &st, __WALL);
			if (w != p)
				die("wait");
			show_stop("  parent", p, st);
			if (!WIFSTOPPED(st))
				break;
			int ev = st >> 16;
			if (ev == PTRACE_EVENT_FORK || ev == PTRACE_EVENT_VFORK || ev == PTRACE_EVENT_CLONE) {
				pt(PTRACE_GETEVENTMSG, p, 0, (long)&msg);
				child = msg;
				T(child > 0 && child != p);
				next_of("  child", child);
				uint64_t sm = 1; pt(PTRACE_GETSIGMASK, child, 8, (long)&sm); say("  child's mask %llx", (long long)sm);
				cont(child, PTRACE_SYSCALL, 0); next_of("  child", child);
				cont(child, PTRACE_CONT, 0); next_of("  child", child);
			}
			cont(p, PTRACE_CONT, WSTOPSIG(st) == SIGCHLD && !ev ? SIGCHLD : 0);
		}
		while (waitpid(-1, &st, __WALL) > 0)
			;
	}
}

TEST(clone_ptrace)
{
	int fd[2]; must(pipe(fd));
	pid_t p = TRACEE(
		pid_t c = syscall(SYS_clone, CLONE_PTRACE | SIGCHLD, 0, 0, 0, 0);
		if (c == 0) _exit(7);
		write(fd[1], &c, sizeof c);
		int s; pid_t w = waitpid(c, &s, 0); say("  tracee: %d %d", w == c, WEXITSTATUS(s)));
	cont(p, PTRACE_CONT, 0);
	pid_t c; must(read(fd[0], &c, sizeof c));
	next_of("child", c);
	show_proc(c);
	cont(c, PTRACE_CONT, 0);
	next_of("child", c);
	next_of("parent", p);
	cont(p, PTRACE_CONT, SIGCHLD);
	next_of("parent", p);
}

TEST(exec_events)
{
	for (int i = 0; i < 4; i++) {
		say("%s", (const char *[]){"old", "event", "seized", "seized, event"}[i]);
		pid_t p;
		if (i < 2)
			p = TRACEE(execl("/bin/true", "true", NULL); execl("/nowhere", "x", NULL));
		else {
			int fd[2]; must(pipe(fd)); char c;
			p = CHILD(read(fd[0], &c, 1); execl("/bin/true", "true", NULL));
			OK(pt(PTRACE_SEIZE, p, 0, i == 3 ? PTRACE_O_TRACEEXEC : 0));
			write(fd[1], "x", 1);
		}
		if (i == 1)
			must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT));
		if (i < 2)
			cont(p, i ? PTRACE_SYSCALL : PTRACE_CONT, 0);
		for (int n = 0; n < 4; n++) {
			next_of("  next", p);
			if (!WIFSTOPPED(st)) break;
			int s; 
			if (waitpid(p, &s, WNOHANG) != 0) break;
			if (i == 1) { pt(PTRACE_GETEVENTMSG, p, 0, (long)&msg); say("  %d, rax %ld", msg == p, REG(p, rax)); }
			cont(p, i == 1 && n < 2 ? PTRACE_SYSCALL : PTRACE_CONT, 0);
		}
		end(p);
		waitpid(p, &st, 0);
	}
}

TEST(exit_events)
{
	static const char *names[] = {"exit", "signal", "kill"};
	for (int i = 0; i < 3; i++) {
		say("%s", names[i]);
		pid_t p = TRACEE(if (i == 0) _exit(3); if (i == 1) { no_core(); raise(SIGSEGV); } for (;;) pause());
		must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACEEXIT));
		cont(p, PTRACE_CONT, 0);
		if (i == 1) { next_of("  signal", p); cont(p, PTRACE_CONT, SIGSEGV); }
		if (i == 2) kill(p, SIGKILL);
		next_of("  event", p);
		pt(PTRACE_GETEVENTMSG, p, 0, (long)&msg);
		say("  message %#lx", msg);
		T(REG(p, rip) != 0);
		cont(p, PTRACE_CONT, 0);
		next_of("  end", p);
	}
}

TEST(attach)
{
	pid_t p = CHILD(for (;;) pause());
	R(pt(PTRACE_ATTACH, p, 0, 0));
	next_of("attached", p);
	show_proc(p);
	siginfo_t si; must(pt(PTRACE_GETSIGINFO, p, 0, (long)&si)); say("code %d pid %d", si.si_code, si.si_pid);
	R(pt(PTRACE_DETACH, p, 0, 0));
	until(p, 'S');
	show_proc(p);
	R(pt(PTRACE_ATTACH, p, 0, 0));
	next_of("attached", p);
	R(pt(PTRACE_DETACH, p, 0, SIGSTOP));
	R(waitpid(p, &st, WUNTRACED) == p); show_status("detached with SIGSTOP", st);
	show_proc(p);
	// Attach to one that is stopped.
	R(pt(PTRACE_ATTACH, p, 0, 0));
	next_of("attached", p);
	show_proc(p);
	cont(p, PTRACE_CONT, 0);
	next_of("the SIGSTOP of the attach", p);
	kill(p, SIGCONT);
	cont(p, PTRACE_CONT, 0);
	next_of("SIGCONT", p);
	R(pt(PTRACE_DETACH, p, 0, SIGTERM));
	reap("detached with SIGTERM", p);
	p = CHILD(raise(SIGSTOP); for (;;) pause());
	waitpid(p, &st, WUNTRACED);
	R(pt(PTRACE_SEIZE, p, 0, 0));
	next_of("seized while stopped", p);
	R(pt(PTRACE_DETACH, p, 0, 0));
	until(p, 'T');
	kill(p, SIGKILL);
	reap("killed", p);
}

TEST(seize)
{
	int fd[2]; must(pipe(fd)); char c;
	pid_t p = CHILD(handle(SIGUSR1, note, 0); write(fd[1], "x", 1); for (;;) pause());
	read(fd[0], &c, 1);
	until(p, 'S');
	R(pt(PTRACE_SEIZE, p, 0, PTRACE_O_TRACESYSGOOD));
	R(pt(PTRACE_CONT, p, 0, 0)); R(pt(PTRACE_LISTEN, p, 0, 0)); R(waitpid(p, &st, WNOHANG));
	R(pt(PTRACE_INTERRUPT, p, 0, 0));
	next_of("interrupted", p);
	say("rax %ld", REG(p, rax));
	R(pt(PTRACE_INTERRUPT, p, 0, 0));
	cont(p, PTRACE_SYSCALL, 0);
	next_of("again", p);
	cont(p, PTRACE_SYSCALL, 0);
	next_of("restarted", p);
	R(pt(PTRACE_LISTEN, p, 0, 0));
	cont(p, PTRACE_CONT, 0);
	until(p, 'S');
	kill(p, SIGUSR1);
	next_of("signal", p);
	R(pt(PTRACE_INTERRUPT, p, 0, 0));
	cont(p, PTRACE_CONT, SIGUSR1);
	next_of("interrupt that waited", p);
	// Group stop, listen, continue.
	cont(p, PTRACE_CONT, 0);
	kill(p, SIGSTOP);
	next_of("SIGSTOP", p);
	cont(p, PTRACE_CONT, SIGSTOP);
	next_of("group stop", p);
	show_proc(p);
	R(pt(PTRACE_LISTEN, p, 0, 0));
	R(pt(PTRACE_GETSIGINFO, p, 0, 0)); R(pt(PTRACE_CONT, p, 0, 0)); R(waitpid(p, &st, WNOHANG)); R(pt(PTRACE_LISTEN, p, 0, 0));
	R(pt(PTRACE_INTERRUPT, p, 0, 0));
	next_of("interrupted while listening", p);
	R(pt(PTRACE_LISTEN, p, 0, 0));
	kill(p, SIGCONT);
	next_of("continued", p);
	cont(p, PTRACE_CONT, 0);
	next_of("SIGCONT", p);
	R(waitpid(p, &st, WNOHANG | WCONTINUED) == p); show_status("as", st);
	cont(p, PTRACE_CONT, 0);
	kill(p, SIGSTOP);
	next_of("SIGSTOP", p);
	cont(p, PTRACE_CONT, SIGSTOP);
	next_of("group stop", p);
	cont(p, PTRACE_CONT, 0); // it runs although its group is stopped
	until(p, 'S');
	R(pt(PTRACE_INTERRUPT, p, 0, 0));
	next_of("interrupted in the group's stop", p);
	R(pt(PTRACE_DETACH, p, 0, 0));
	until(p, 'T');
	kill(p, SIGKILL);
	reap("killed", p);
}

TEST(group_stop)
{
	pid_t p = TRACEE(for (;;) pause());
	cont(p, PTRACE_CONT, SIGSTOP);
	next_of("group stop", p);
	siginfo_t si;
	R(pt(PTRACE_GETSIGINFO, p, 0, (long)&si)); R(pt(PTRACE_SETSIGINFO, p, 0, (long)&si));
	kill(p, SIGCONT);
	R(waitpid(p, &st, WNOHANG)); // it does not go on by itself
	show_proc(p);
	cont(p, PTRACE_CONT, 0);
	next_of("SIGCONT", p);
	cont(p, PTRACE_CONT, SIGCONT);
	kill(p, SIGSTOP);
	next_of("SIGSTOP", p);
	kill(p, SIGCONT); // undoes the stop that is about to be
	cont(p, PTRACE_CONT, SIGSTOP);
	next_of("then", p);
	end(p);
}

// The parent sees the group's stop and the end, the tracer the rest.
TEST(two_watchers)
{
	int go[2], told[2]; must(pipe(go)); must(pipe(told)); char c;
	pid_t p = CHILD(for (;;) pause());
	pid_t tracer = CHILD(
		R(pt(PTRACE_SEIZE, p, 0, 0)); write(told[1], "x", 1);
		next_of("tracer", p); cont(p, PTRACE_CONT, SIGSTOP);
		next_of("tracer", p); pt(PTRACE_LISTEN, p, 0, 0); write(told[1], "x", 1);
		next_of("tracer", p); cont(p, PTRACE_CONT, 0);
		next_of("tracer", p); cont(p, PTRACE_CONT, SIGCONT); write(told[1], "x", 1);
		siginfo_t si; waitid(P_PID, p, &si, WEXITED | WNOWAIT); say("tracer: code %d status %d", si.si_code, si.si_status);
		write(told[1], "x", 1); read(go[0], &c, 1);
		next_of("tracer", p); write(told[1], "x", 1); pause());
	read(told[0], &c, 1);
	kill(p, SIGSTOP);
	read(told[0], &c, 1);
	R(waitpid(p, &st, WUNTRACED) == p); show_status("parent", st);
	R(waitpid(p, &st, WUNTRACED | WNOHANG));
	kill(p, SIGCONT);
	read(told[0], &c, 1);
	R(waitpid(p, &st, WCONTINUED) == p); show_status("parent", st);
	kill(p, SIGKILL);
	read(told[0], &c, 1);
	R(waitpid(p, &st, WNOHANG)); // the tracer has not been told
	write(go[1], "x", 1);
	read(told[0], &c, 1);
	reap("parent", p);
	kill(tracer, SIGKILL);
	waitpid(tracer, &st, 0);
}

static void *thread_body(void *arg)
{
	syscall(SYS_getuid);
	return NULL;
}

TEST(threads)
{
	int go[2]; must(pipe(go));
	pid_t p = TRACEE(pthread_t t; pthread_create(&t, NULL, thread_body, NULL); char c; read(go[0], &c, 1); _exit(4));
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT));
	cont(p, PTRACE_CONT, 0);
	next_of("clone", p);
	pt(PTRACE_GETEVENTMSG, p, 0, (long)&msg);
	pid_t t = msg;
	R(waitpid(t, &st, WNOHANG | __WNOTHREAD | __WALL) >= 0);
	if (!WIFSTOPPED(st)) next_of("thread", t); else show_stop("thread", t, st);
	show_proc(t);
	do { cont(t, PTRACE_SYSCALL, 0); waitpid(t, &st, __WALL); } while (REG(t, orig_rax) != SYS_getuid);
	show_stop("thread", t, st);
	cont(p, PTRACE_CONT, 0);
	cont(t, PTRACE_CONT, 0);
	next_of("thread", t);
	cont(t, PTRACE_CONT, 0);
	siginfo_t si = {0};
	R(waitid(P_PID, t, &si, WEXITED | WNOWAIT | __WALL)); say("%d: code %d status %d", si.si_pid == t, si.si_code, si.si_status);
	R(kill(t, 0)); R(syscall(SYS_tgkill, p, t, 0)); R(pt(PTRACE_CONT, t, 0, 0));
	next_of("thread", t);
	R(syscall(SYS_tgkill, p, t, 0)); R(pt(PTRACE_CONT, t, 0, 0));
	write(go[1], "x", 1);
	next_of("leader", p);
	cont(p, PTRACE_CONT, 0);
	next_of("leader", p);
}

static void *wait_body(void *arg)
{
	for (;;)
		pause();
}

static pid_t threads_of(int n, int *go)
{
	int told[2]; must(pipe(told)); must(pipe(go));
	pid_t p = CHILD(
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_t t; for (int i = 0; i < n; i++) pthread_create(&t, NULL, wait_body, NULL);
		write(told[1], "x", 1); char c; read(go[0], &c, 1); if (c == 'e') _exit(9); if (c == 't') syscall(SYS_exit, 5); execl("/bin/true", "true", NULL));
	char c; read(told[0], &c, 1);
	close(told[0]); close(told[1]);
	return p;
}

static int tids(pid_t p, pid_t *list)
{
	char name[40]; sprintf(name, "/proc/%d/task", p);
	int n = 0, fd = open(name, O_RDONLY | O_DIRECTORY);
	char buf[4096];
	for (long len; (len = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0;)
		for (long o = 0; o < len; o += *(unsigned short *)(buf + o + 16))
			if (atoi(buf + o + 19)) list[n++] = atoi(buf + o + 19);
	close(fd);
	return n;
}

// All threads attached, stopped as a group, and ended by exit_group.
TEST(attach_threads)
{
	int go[2]; pid_t p = threads_of(2, go), t[10];
	int n = tids(p, t);
	say("%d threads, the first the leader: %d", n, t[0] == p);
	for (int i = 0; i < n; i++) R(pt(PTRACE_SEIZE, t[i], 0, i ? 0 : PTRACE_O_TRACEEXIT));
	kill(p, SIGSTOP);
	int stopped = 0; pid_t first = 0;
	for (int i = 0; i < n; i++) {
		pid_t w = waitpid(-1, &st, __WALL);
		if (!first) { first = w; say("%s", signame(WSTOPSIG(st))); cont(w, PTRACE_CONT, SIGSTOP); i--; continue; }
		if (st >> 8 == (SIGSTOP | EVENT_STOP << 8)) stopped++;
	}
	say("%d stopped", stopped);
	kill(p, SIGCONT);
	for (int i = 0; i < n; i++) cont(t[i], PTRACE_CONT, 0);
	int traps = 0, conts = 0;
	while (traps < n || conts < 1) {
		pid_t w = waitpid(-1, &st, __WALL);
		if (st >> 8 == (SIGTRAP | EVENT_STOP << 8)) traps++;
		if (st >> 8 == SIGCONT) conts++;
		cont(w, PTRACE_CONT, 0);
	}
	say("%d traps, %d SIGCONT", traps, conts);
	write(go[1], "e", 1);
	next_of("leader", p);
	cont(p, PTRACE_CONT, 0);
	int ended = 0;
	for (int i = 1; i < n; i++) if (waitpid(t[i], &st, __WALL) == t[i] && WIFEXITED(st) && WEXITSTATUS(st) == 9) ended++;
	say("%d ended", ended);
	next_of("leader", p);
}

// The leader goes first: nothing is told of it until the others have gone.
TEST(leader_first)
{
	int go[2]; pid_t p = threads_of(1, go), t[10];
	tids(p, t);
	R(pt(PTRACE_SEIZE, p, 0, PTRACE_O_TRACEEXIT)); R(pt(PTRACE_SEIZE, t[1], 0, 0));
	write(go[1], "t", 1);
	next_of("leader", p);
	cont(p, PTRACE_CONT, 0);
	until(p, 'Z');
	R(waitpid(p, &st, WNOHANG)); R(pt(PTRACE_CONT, p, 0, 0)); R(pt(PTRACE_INTERRUPT, p, 0, 0));
	kill(p, SIGTERM);
	next_of("thread", t[1]);
	R(waitpid(p, &st, WNOHANG));
	cont(t[1], PTRACE_CONT, SIGTERM);
	siginfo_t si; waitid(P_PID, t[1], &si, WEXITED | WNOWAIT | __WALL); say("status %d", si.si_status);
	R(waitpid(p, &st, WNOHANG)); // its thread is still to be waited for
	next_of("thread", t[1]);
	next_of("leader", p);
}

static void *exec_body(void *arg)
{
	execl("/bin/true", "true", NULL);
	return NULL;
}

// exec by a thread that is not the leader.
TEST(thread_exec)
{
	pid_t p = TRACEE(pthread_t t; pthread_create(&t, NULL, exec_body, NULL); for (;;) pause());
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC));
	cont(p, PTRACE_CONT, 0);
	next_of("clone", p);
	pt(PTRACE_GETEVENTMSG, p, 0, (long)&msg);
	pid_t t = msg;
	cont(p, PTRACE_CONT, 0);
	next_of("thread", t);
	cont(t, PTRACE_CONT, 0);
	next_of("leader", p); // its exit event
	cont(p, PTRACE_CONT, 0);
	next_of("exec", p);
	pt(PTRACE_GETEVENTMSG, p, 0, (long)&msg);
	say("old tid: %d", msg == t);
	R(pt(PTRACE_CONT, t, 0, 0)); R(waitpid(t, &st, WNOHANG | __WALL));
	cont(p, PTRACE_CONT, 0);
	next_of("exit", p);
	cont(p, PTRACE_CONT, 0);
	next_of("end", p);
}

// A tracee belongs to a thread.
static pid_t shared;
static void *other_thread(void *arg)
{
	R(pt(PTRACE_CONT, shared, 0, 0));
	R(waitpid(shared, &st, WNOHANG | __WNOTHREAD | __WALL)); R(waitpid(shared, &st, WNOHANG | __WALL));
	return NULL;
}
static void *brief_tracer(void *arg)
{
	R(pt(PTRACE_SEIZE, shared, 0, 0)); R(pt(PTRACE_INTERRUPT, shared, 0, 0));
	next_of("in the thread", shared);
	return NULL;
}

TEST(tracer_threads)
{
	shared = TRACEE(pause());
	pthread_t t;
	pthread_create(&t, NULL, other_thread, NULL); pthread_join(t, NULL);
	end(shared);
	shared = CHILD(for (;;) pause());
	pthread_create(&t, NULL, brief_tracer, NULL); pthread_join(t, NULL);
	until(shared, 'S'); // let go when the thread ended
	show_proc(shared);
	kill(shared, SIGKILL);
	reap("killed", shared);
}

TEST(tracer_dies)
{
	for (int i = 0; i < 6; i++) {
		say("%s", (const char *[]){"running", "at a signal", "at a call", "exit kill", "group stop", "stepping"}[i]);
		int fd[2]; must(pipe(fd)); char c;
		pid_t p = CHILD(close(fd[0]); handle(SIGUSR1, note, 0); for (;;) { pause(); if (got) _exit(10 + (got == SIGUSR1)); });
		until(p, 'S');
		reap("tracer", CHILD(
			must(pt(PTRACE_SEIZE, p, 0, i == 3 ? PTRACE_O_EXITKILL : 0));
			if (i == 1) { kill(p, SIGUSR1); waitid(P_PID, p, &(siginfo_t){0}, WSTOPPED | WNOWAIT); }
			if (i == 2) { must(pt(PTRACE_INTERRUPT, p, 0, 0)); next_of("  interrupt", p); cont(p, PTRACE_SYSEMU, 0); next_of("  call", p); SETREG(p, rax, -EINTR); }
			if (i == 4) { kill(p, SIGSTOP); next_of("  stop", p); cont(p, PTRACE_CONT, SIGSTOP); next_of("  stop", p); }
			if (i == 5) { must(pt(PTRACE_INTERRUPT, p, 0, 0)); next_of("  interrupt", p); }));
		if (i == 3) { reap("  end", p); continue; }
		if (i == 4) { until(p, 'T'); show_proc(p); kill(p, SIGCONT); }
		if (i != 1) { until(p, 'S'); show_proc(p); kill(p, SIGUSR1); }
		reap("  end", p);
	}
}

TEST(waits)
{
	pid_t p = TRACEE(raise(SIGUSR1); _exit(3));
	siginfo_t si = {0};
	R(waitid(P_PID, p, &si, WEXITED | WNOHANG)); say("pid %d", si.si_pid);
	cont(p, PTRACE_CONT, 0);
	R(waitid(P_PID, p, &si, WEXITED | WNOWAIT)); say("code %d status %d mine %d", si.si_code, si.si_status, si.si_pid == p);
	R(waitid(P_PID, p, &si, WSTOPPED | WNOWAIT)); say("code %d status %d", si.si_code, si.si_status);
	R(waitpid(p, &st, __WCLONE | WNOHANG) == p); R(waitpid(p, &st, WNOHANG));
	cont(p, PTRACE_SYSCALL, 0);
	R(waitid(P_ALL, 0, &si, WSTOPPED)); say("code %d status %d", si.si_code, si.si_status);
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT));
	cont(p, PTRACE_SYSCALL, 0);
	R(waitid(P_PGID, getpgrp(), &si, WSTOPPED)); say("code %d status %#x", si.si_code, si.si_status);
	R(wait4(-1, &st, __WNOTHREAD | WNOHANG, NULL));
	cont(p, PTRACE_CONT, 0);
	R(waitid(P_PID, p, &si, WEXITED)); say("code %d status %#x", si.si_code, si.si_status);
	cont(p, PTRACE_CONT, 0);
	R(waitid(P_PID, p, &si, WSTOPPED)); // it will only end
	R(waitid(P_PID, p, &si, WEXITED)); say("code %d status %d", si.si_code, si.si_status);
}

static siginfo_t chld;
static volatile int chlds;
static void on_chld(int s, siginfo_t *si, void *u) { chlds++; chld = *si; }

TEST(sigchld)
{
	pid_t p = TRACEE(raise(SIGUSR1); _exit(3));
	handle(SIGCHLD, on_chld, SA_SIGINFO | SA_RESTART);
	chlds = 0;
	cont(p, PTRACE_CONT, 0);
	waitpid(p, &st, 0);
	say("%d: code %d status %d", chlds, chld.si_code, chld.si_status);
	cont(p, PTRACE_CONT, SIGSTOP);
	waitpid(p, &st, 0);
	say("%d: code %d status %d", chlds, chld.si_code, chld.si_status);
	cont(p, PTRACE_CONT, 0);
	waitpid(p, &st, 0);
	say("%d: code %d status %d", chlds, chld.si_code, chld.si_status);
}

TEST(permissions)
{
	if (getuid())
		return;
	pid_t p = CHILD(for (;;) pause()), q = CHILD(setuid(1000); for (;;) pause()), r = CHILD(setuid(1000); prctl(PR_SET_DUMPABLE, 1); for (;;) pause());
	until(p, 'S'); until(q, 'S'); until(r, 'S');
	reap("user 1000", CHILD(setuid(1000); R(pt(PTRACE_ATTACH, p, 0, 0)); R(pt(PTRACE_SEIZE, q, 0, 0)); R(pt(PTRACE_SEIZE, r, 0, 0)); R(pt(PTRACE_INTERRUPT, r, 0, 0)); next_of("stop", r);
		R(pt(PTRACE_SETOPTIONS, r, 0, PTRACE_O_EXITKILL)); R(pt(PTRACE_SETOPTIONS, r, 0, 1 << 21))));
	reap("other user", CHILD(setuid(1001); R(pt(PTRACE_SEIZE, q, 0, 0))));
	R(pt(PTRACE_SEIZE, q, 0, 0)); R(pt(PTRACE_SETOPTIONS, q, 0, 0));
	kill(p, SIGKILL); kill(q, SIGKILL);
	reap("p", p); reap("q", q); reap("r", r);
	reap("traceme", CHILD(prctl(PR_SET_DUMPABLE, 0); R(pt(PTRACE_TRACEME, 0, 0, 0)); kill(getpid(), SIGKILL)));
}

// A tracee in a stop dies by SIGKILL at once.
TEST(kill_stopped)
{
	for (int i = 0; i < 3; i++) {
		pid_t p = TRACEE(syscall(SYS_getuid));
		if (i) { cont(p, i == 1 ? PTRACE_SYSCALL : PTRACE_SYSEMU, 0); waitpid(p, &st, 0); }
		kill(p, SIGKILL);
		next_of("killed", p);
	}
}
