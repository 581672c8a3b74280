// Processes: fork, wait, exec, sessions, orphans, pidfds.
#include "guest.h"
#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <spawn.h>

static void show_info(const char *what, siginfo_t *si, pid_t pid)
{
	const char *codes[] = {"0", "EXITED", "KILLED", "DUMPED", "TRAPPED", "STOPPED", "CONTINUED"};
	say("%s: signo %d code %s status %d mine %d uid0 %d", what, si->si_signo, (unsigned)si->si_code < 7 ? codes[si->si_code] : "?", si->si_status,
	    si->si_pid == pid, si->si_uid == getuid());
}

TEST(fork_basic)
{
	pid_t me = getpid();
	int shared = 1;
	pid_t c = CHILD(T(getppid() == me); T(getpid() != me); shared = 2; _exit(shared + 40));
	reap("child", c);
	T(shared == 1);
	R(waitpid(c, NULL, 0));
	R(wait(NULL));
}

TEST(wait_statuses)
{
	no_core();
	for (int s = 0; s < 300; s += 77)
		reap("exit", CHILD(_exit(s)));
	int sigs[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, SIGPIPE, SIGUSR1, SIGALRM};
	for (unsigned i = 0; i < sizeof sigs / sizeof *sigs; i++)
		reap("signal", CHILD(raise(sigs[i]); pause()));
	int st;
	pid_t c = CHILD(raise(SIGRTMIN + 3));
	must(waitpid(c, &st, 0));
	T(WIFSIGNALED(st) && WTERMSIG(st) == SIGRTMIN + 3);
	c = CHILD(raise(SIGSEGV));
	must(waitpid(c, &st, 0));
	T(WCOREDUMP(st));
}

TEST(wait_stop_continue)
{
	int st;
	pid_t c = CHILD(raise(SIGSTOP); millis(60); raise(SIGSTOP); _exit(5));
	must(waitpid(c, &st, WUNTRACED)); show_status("1", st);
	R(waitpid(c, &st, WUNTRACED | WNOHANG));
	must(kill(c, SIGCONT));
	must(waitpid(c, &st, WCONTINUED)); show_status("2", st);
	must(waitpid(c, &st, WUNTRACED)); show_status("3", st);
	must(kill(c, SIGCONT));
	must(waitpid(c, &st, 0)); show_status("4", st);
}

TEST(kill_stopped)
{
	int st;
	pid_t c = CHILD(raise(SIGSTOP); _exit(5));
	must(waitpid(c, &st, WUNTRACED));
	must(kill(c, SIGTERM)); // waits until it continues
	millis(50);
	R(waitpid(c, &st, WNOHANG | WUNTRACED));
	must(kill(c, SIGCONT));
	reap("after cont", c);
	c = CHILD(raise(SIGSTOP));
	must(waitpid(c, &st, WUNTRACED));
	must(kill(c, SIGKILL)); // does not
	reap("killed", c);
}

TEST(waitid_variants)
{
	siginfo_t si;
	no_core();
	pid_t c = CHILD(_exit(7));
	memset(&si, 0xff, sizeof si);
	R(waitid(P_PID, c, &si, WEXITED | WNOWAIT)); show_info("nowait", &si, c);
	R(waitid(P_PID, c, &si, WEXITED)); show_info("again", &si, c);
	R(waitid(P_PID, c, &si, WEXITED));
	c = CHILD(raise(SIGKILL));
	R(waitid(P_ALL, 0, &si, WEXITED)); show_info("killed", &si, c);
	c = CHILD(raise(SIGABRT));
	R(waitid(P_PGID, getpgrp(), &si, WEXITED)); say("aborted: status %d, killed or dumped %d", si.si_status, si.si_code == CLD_KILLED || si.si_code == CLD_DUMPED);
	c = CHILD(raise(SIGSTOP); _exit(1));
	R(waitid(P_PID, c, &si, WSTOPPED)); show_info("stopped", &si, c);
	memset(&si, 0xff, sizeof si);
	R(waitid(P_PID, c, &si, WSTOPPED | WEXITED | WNOHANG)); say("nothing: %d %d", si.si_pid, si.si_signo);
	kill(c, SIGCONT);
	R(waitid(P_PID, c, &si, WCONTINUED)); show_info("continued", &si, c);
	R(waitid(P_PID, c, &si, WEXITED)); show_info("exited", &si, c);
	R(waitid(P_PID, c, NULL, WEXITED));
	R(waitid(P_ALL, 0, &si, 0));
	R(waitid(P_ALL, 0, &si, WNOHANG));
	R(waitid(77, 0, &si, WEXITED));
	R(waitid(P_ALL, 0, &si, WEXITED | 0x40));
}

TEST(wait_errors)
{
	int st;
	R(waitpid(-1, &st, 0));
	R(waitpid(1, &st, 0));
	R(waitpid(-1, &st, 0x100));
	R(waitpid(INT_MIN, &st, 0));
	pid_t c = CHILD(_exit(0));
	R(wait4(c, (void *)8, 0, NULL)); // EFAULT, and it is reaped all the same
	R(waitpid(c, &st, 0));
	c = CHILD(pause());
	R(waitpid(c, &st, WNOHANG));
	R(waitpid(-c, &st, WNOHANG));
	kill(c, SIGKILL);
	reap("c", c);
}

TEST(wait_group)
{
	pid_t a = CHILD(setpgid(0, 0); pause());
	setpgid(a, a);
	pid_t b = CHILD(setpgid(0, a); _exit(3));
	setpgid(b, a);
	int st;
	T(waitpid(-a, &st, 0) == b); show_status("b", st);
	R(waitpid(-a, &st, WNOHANG));
	must(kill(-a, SIGTERM));
	T(waitpid(-a, &st, 0) == a); show_status("a", st);
	R(kill(-a, 0));
	R(waitpid(0, &st, WNOHANG));
}

TEST(rusage)
{
	struct rusage u;
	pid_t c = CHILD(double t = now(); while (now() - t < 0.1););
	R(wait4(c, NULL, 0, &u) == c);
	T(u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec > 20000);
	R(getrusage(RUSAGE_CHILDREN, &u));
	T(u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec > 20000);
	R(getrusage(RUSAGE_THREAD, &u));
	R(getrusage(5, &u));
}

TEST(orphan)
{
	int p[2];
	must(pipe(p));
	pid_t c = CHILD({
		pid_t me = getpid();
		if (fork() == 0) {
			while (getppid() == me)
				millis(5);
			char x = getppid() != me ? 'y' : 'n';
			write(p[1], &x, 1);
			_exit(0);
		}
		_exit(0);
	});
	reap("parent", c);
	close(p[1]);
	char x;
	R(read(p[0], &x, 1));
	say("%c", x);
	R(read(p[0], &x, 1)); // the end: all are gone
}

TEST(subreaper)
{
	int v = -1;
	R(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	R(prctl(PR_GET_CHILD_SUBREAPER, &v, 0, 0, 0));
	say("%d", v);
	pid_t me = getpid();
	int p[2];
	must(pipe(p));
	pid_t c = CHILD({
		pid_t mid = getpid();
		if (fork() == 0) {
			while (getppid() == mid)
				millis(5);
			char x = getppid() == me ? 'y' : 'n';
			write(p[1], &x, 1);
			_exit(9);
		}
		prctl(PR_GET_CHILD_SUBREAPER, &v, 0, 0, 0);
		_exit(v); // not inherited
	});
	reap("middle", c);
	char x;
	read(p[0], &x, 1);
	say("%c", x);
	int st;
	T(wait(&st) > 0);
	show_status("grandchild", st);
}

TEST(parent_death_signal)
{
	int p[2];
	must(pipe(p));
	pid_t c = CHILD({
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGUSR1);
			int s = 0;
			prctl(PR_GET_PDEATHSIG, &s);
			sigset_t set;
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL);
			write(p[1], "r", 1);
			int got = sigwaitinfo(&set, NULL);
			say("set %d got %d", s == SIGUSR1, got == SIGUSR1);
			write(p[1], "d", 1);
			_exit(0);
		}
		char x;
		read(p[0], &x, 1);
		_exit(0);
	});
	waitpid(c, NULL, 0);
	char x;
	R(read(p[0], &x, 1));
}

TEST(vfork_shares_memory)
{
	volatile int x = 1;
	pid_t c = vfork();
	if (c == 0) {
		x = 2;
		_exit(3);
	}
	say("x = %d", x); // the parent was waiting
	reap("child", c);
	c = vfork();
	if (c == 0) {
		execl("/bin/true", "true", NULL);
		_exit(9);
	}
	reap("exec", c);
	c = vfork();
	if (c == 0) {
		execl("/nonexistent", "x", NULL);
		x = errno;
		_exit(9);
	}
	say("errno %s", errname(x));
	reap("failed exec", c);
}

static int cloned(void *arg)
{
	*(int *)arg += 1;
	chdir("/");
	return 11;
}

TEST(clone_flags)
{
	static char stack[65536] __attribute__((aligned(16)));
	int x = 0, st;
	char cwd[PATH_MAX], home[PATH_MAX];
	getcwd(home, sizeof home);
	pid_t c = must(clone(cloned, stack + sizeof stack, SIGCHLD, &x));
	reap("plain", c);
	say("x %d, moved %d", x, strcmp(getcwd(cwd, sizeof cwd), home) != 0);
	c = must(clone(cloned, stack + sizeof stack, CLONE_VM | SIGCHLD, &x));
	reap("vm", c);
	say("x %d, moved %d", x, strcmp(getcwd(cwd, sizeof cwd), home) != 0);
	c = must(clone(cloned, stack + sizeof stack, CLONE_FS | CLONE_FILES | SIGCHLD, &x));
	reap("fs", c);
	say("x %d, moved %d", x, strcmp(getcwd(cwd, sizeof cwd), home) != 0);
	chdir(home);
	c = must(clone(cloned, stack + sizeof stack, 0, &x)); // no signal: only __WCLONE or __WALL see it
	R(waitpid(c, &st, 0));
	T(waitpid(c, &st, __WALL) == c);
	show_status("no signal", st);
	pid_t ptid = 0, ctid = 0;
	c = must(clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, &x, &ptid, NULL, &ctid));
	T(ptid == c);
	waitpid(c, &st, 0);
	T(ctid == 0);
	c = must(clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &x));
	say("x %d already", x);
	reap("vfork", c);
	R(clone(cloned, stack + sizeof stack, CLONE_SIGHAND | SIGCHLD, &x));
	R(clone(cloned, stack + sizeof stack, CLONE_THREAD | SIGCHLD, &x));
	R(clone(cloned, stack + sizeof stack, CLONE_FS | CLONE_NEWNS | SIGCHLD, &x));
}

TEST(clone3)
{
	int fd = -1;
	struct clone_args a = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
	pid_t c = syscall(SYS_clone3, &a, sizeof a);
	if (c == 0)
		_exit(21);
	struct pollfd p = {fd, POLLIN};
	R(poll(&p, 1, 5000));
	T(p.revents == POLLIN);
	siginfo_t si;
	R(waitid(P_PIDFD, fd, &si, WEXITED));
	show_info("pidfd", &si, c);
	T(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	R(syscall(SYS_clone3, &a, 10));
	a.exit_signal = 200;
	R(syscall(SYS_clone3, &a, sizeof a));
	a.exit_signal = SIGCHLD;
	a.flags = 1ULL << 60;
	R(syscall(SYS_clone3, &a, sizeof a));
	a.flags = 0;
	a.stack = 4096;
	R(syscall(SYS_clone3, &a, sizeof a));
	R(syscall(SYS_clone3, NULL, sizeof a));
}

TEST(pidfd)
{
	int st;
	pid_t c = CHILD(pause());
	int fd = OK(syscall(SYS_pidfd_open, c, 0));
	struct pollfd p = {fd, POLLIN};
	R(poll(&p, 1, 0));
	R(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	R(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	R(poll(&p, 1, 5000));
	R(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0)); // a zombie still is
	reap("child", c);
	R(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	R(syscall(SYS_pidfd_open, c, 0));
	R(syscall(SYS_pidfd_open, -1, 0));
	R(syscall(SYS_pidfd_open, getpid(), 12345));
	R(syscall(SYS_pidfd_send_signal, 0, SIGTERM, NULL, 0));
	char x;
	R(read(fd, &x, 1));
	R(waitid(P_PIDFD, 0, NULL, WEXITED));
	int e[2];
	must(pipe(e));
	c = CHILD(pause());
	fd = must(syscall(SYS_pidfd_open, c, 0));
	int got = OK(syscall(SYS_pidfd_getfd, fd, e[1], 0));
	R(write(got, "x", 1));
	R(read(e[0], &x, 1));
	R(syscall(SYS_pidfd_getfd, fd, 999, 0));
	kill(c, SIGKILL);
	waitpid(c, &st, 0);
}

TEST(groups_and_sessions)
{
	pid_t c = CHILD({
		T(getpgrp() == getpgid(getppid()));
		R(setpgid(0, 0));
		T(getpgrp() == getpid());
		R(setsid()); // a group leader may not
		pid_t d = CHILD({
			T(setsid() == getpid());
			T(getsid(0) == getpid() && getpgrp() == getpid());
			R(setsid());
			R(setpgid(0, 0)); // a session leader may not
			R(tcgetpgrp(0));
			R(open("/dev/tty", O_RDWR));
		});
		reap("session", d);
		R(setpgid(0, 999999));
		R(setpgid(1, 0));
		R(setpgid(0, -1));
		R(setpgid(getppid(), 0));
		R(getpgid(999999));
		R(getsid(-1));
	});
	reap("all", c);
	c = CHILD(execl("/bin/sleep", "sleep", "10", NULL));
	millis(100);
	R(setpgid(c, c)); // it has called execve
	kill(c, SIGKILL);
	reap("exec", c);
}

TEST(orphaned_group_hangup)
{
	// A stopped process whose group becomes orphaned gets SIGHUP and SIGCONT.
	int p[2];
	must(pipe(p));
	pid_t c = CHILD({
		setsid();
		pid_t mid = fork();
		if (mid == 0) {
			pid_t s = fork();
			if (s == 0) {
				setpgid(0, 0);
				sigset_t set;
				sigemptyset(&set);
				sigaddset(&set, SIGHUP);
				sigaddset(&set, SIGCONT);
				sigprocmask(SIG_BLOCK, &set, NULL);
				raise(SIGSTOP);
				int a = sigwaitinfo(&set, NULL), b = sigwaitinfo(&set, NULL);
				say("got %d %d", a, b);
				write(p[1], "x", 1);
				_exit(0);
			}
			int st;
			waitpid(s, &st, WUNTRACED);
			_exit(0);
		}
		waitpid(mid, NULL, 0);
		char x;
		read(p[0], &x, 1);
	});
	reap("session", c);
}

TEST(exec_arguments)
{
	fflush(stdout);
	reap("sh", CHILD({
		char *argv[] = {"zero", "-c", "echo \"$0|$1|$2|$#\"; echo \"$V\"; env | grep -c .", "a", "", "b c", NULL};
		char *env[] = {"V=value", "W=", NULL};
		execve("/bin/sh", argv, env);
	}));
	reap("no arguments", CHILD(execve("/bin/true", (char *[]){NULL}, (char *[]){NULL})));
	reap("null", CHILD(execve("/bin/true", NULL, NULL); _exit(9)));
	reap("path", CHILD(setenv("PATH", "/nope:/bin", 1); execlp("echo", "echo", "found", NULL); _exit(9)));
	reap("fexecve", CHILD(int fd = open("/bin/echo", O_RDONLY | O_CLOEXEC); fexecve(fd, (char *[]){"echo", "by descriptor", NULL}, environ); _exit(9)));
	reap("execveat", CHILD(int fd = open("/bin", O_PATH); syscall(SYS_execveat, fd, "echo", (char *[]){"echo", "at", NULL}, environ, 0); _exit(9)));
	posix_spawn_file_actions_t fa;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 5, "/dev/null", O_RDONLY, 0);
	pid_t c;
	R(posix_spawn(&c, "/bin/sh", &fa, NULL, (char *[]){"sh", "-c", "test -e /proc/self/fd/5", NULL}, environ));
	reap("spawn", c);
	R(posix_spawnp(&c, "no-such-program", NULL, NULL, (char *[]){"x", NULL}, environ));
}

TEST(exec_keeps_and_drops)
{
	no_core();
	reap("child", CHILD({
		int keep = dup(1), drop = fcntl(1, F_DUPFD_CLOEXEC, 50);
		signal(SIGUSR1, SIG_IGN);
		signal(SIGUSR2, SIG_DFL);
		handle(SIGTERM, (void *)1, 0);
		handle(SIGINT, (void *)no_core, 0);
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGHUP);
		sigprocmask(SIG_BLOCK, &set, NULL);
		umask(051);
		alarm(30);
		setpriority(PRIO_PROCESS, 0, 3);
		char cmd[500];
		snprintf(cmd, sizeof cmd, "test -e /proc/self/fd/%d; echo kept $?; test -e /proc/self/fd/%d; echo dropped $?; umask; nice; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status", keep, drop);
		execl("/bin/bash", "bash", "--norc", "-c", cmd, NULL);
	}));
}

TEST(exec_errors)
{
	char *a[] = {"x", NULL};
	R(execve("/nonexistent", a, environ));
	R(execve("/etc/passwd/x", a, environ));
	R(execve("/etc/passwd", a, environ));
	R(execve("/etc", a, environ));
	R(execve("", a, environ));
	R(execve((char *)8, a, environ));
	R(execve("/bin/true", (char **)8, environ));
	R(execve("/bin/true", a, (char **)8));
	int fd = open("junk", O_CREAT | O_WRONLY, 0755);
	write(fd, "\1\2\3\4junk", 8);
	R(execve("junk", a, environ)); // still open for writing
	close(fd);
	R(execve("junk", a, environ));
	fd = open("elf", O_CREAT | O_WRONLY, 0755);
	write(fd, "\177ELF\2\1\1", 7);
	close(fd);
	R(execve("elf", a, environ));
	fd = open("empty", O_CREAT | O_WRONLY, 0755);
	close(fd);
	R(execve("empty", a, environ));
	symlink("loop", "loop");
	R(execve("loop", a, environ));
	R(syscall(SYS_execveat, AT_FDCWD, "loop", a, environ, AT_SYMLINK_NOFOLLOW));
	R(syscall(SYS_execveat, 99, "x", a, environ, 0));
	R(syscall(SYS_execveat, AT_FDCWD, "x", a, environ, 0x40000));
	fd = open("script", O_CREAT | O_WRONLY, 0755);
	write(fd, "#!/nonexistent/interpreter\n", 27);
	close(fd);
	R(execve("script", a, environ));
	char *big = malloc(140000);
	memset(big, 'x', 139999);
	big[139999] = 0;
	R(execve("/bin/true", (char *[]){"x", big, NULL}, environ));
}

static void *exec_thread(void *arg)
{
	execl("/bin/sh", "sh", "-c", arg, NULL);
	return NULL;
}

static void *spin(void *arg)
{
	for (;;)
		pause();
}

TEST(exec_from_thread)
{
	reap("child", CHILD({
		pid_t me = getpid();
		char cmd[100];
		snprintf(cmd, sizeof cmd, "test $$ -eq %d; echo same pid $?; ls /proc/self/task | wc -l; exit 6", me);
		pthread_t t;
		pthread_create(&t, NULL, spin, NULL);
		pthread_create(&t, NULL, exec_thread, cmd);
		pthread_join(t, NULL);
	}));
}

static void *exit_thread(void *arg)
{
	if (arg)
		syscall(SYS_exit_group, 17);
	syscall(SYS_exit, 4);
	return NULL;
}

TEST(exit_of_threads)
{
	pthread_t t;
	reap("exit_group in a thread", CHILD(pthread_create(&t, NULL, exit_thread, (void *)1); pause()));
	reap("thread exits, main goes on", CHILD(pthread_create(&t, NULL, exit_thread, NULL); millis(50); _exit(18)));
	reap("main exits first", CHILD({
		pthread_create(&t, NULL, exit_thread, NULL);
		pthread_t u;
		pthread_create(&u, NULL, spin, NULL);
		kill(getpid(), 0);
		if (fork() == 0) {
			millis(100);
			kill(getppid(), SIGTERM);
			_exit(0);
		}
		syscall(SYS_exit, 3);
	}));
	// With only a dead leader and one live thread the process is not a zombie to wait for.
	int st;
	pid_t c = CHILD(pthread_create(&t, NULL, spin, NULL); syscall(SYS_exit, 5));
	millis(100);
	R(waitpid(c, &st, WNOHANG));
	kill(c, SIGKILL);
	reap("killed", c);
}

TEST(child_signal_rules)
{
	signal(SIGCHLD, SIG_IGN);
	pid_t c = CHILD(_exit(1));
	R(waitpid(c, NULL, 0)); // waits, then finds none
	handle(SIGCHLD, (void *)no_core, SA_NOCLDWAIT);
	c = CHILD(_exit(1));
	R(waitpid(c, NULL, 0));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	handle(SIGCHLD, (void *)no_core, SA_NOCLDSTOP);
	while (sigtimedwait(&set, NULL, &(struct timespec){0}) > 0)
		;
	int st;
	c = CHILD(raise(SIGSTOP));
	waitpid(c, &st, WUNTRACED);
	R(sigtimedwait(&set, NULL, &(struct timespec){0, 50000000}));
	kill(c, SIGCONT);
	siginfo_t si;
	R(sigwaitinfo(&set, &si));
	show_info("exit", &si, c);
	waitpid(c, &st, 0);
}

TEST(many_children)
{
	int sum = 0, n = 0, st;
	for (int i = 0; i < 60; i++)
		CHILD(_exit(i));
	while (wait(&st) > 0)
		sum += WEXITSTATUS(st), n++;
	say("%d children, sum %d", n, sum);
}

TEST(fork_in_threads)
{
	pthread_t t[4];
	void *work(void *arg)
	{
		for (int i = 0; i < 10; i++) {
			int st;
			pid_t c = CHILD(_exit(3));
			if (waitpid(c, &st, 0) != c || WEXITSTATUS(st) != 3)
				return (void *)1;
		}
		return NULL;
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, work, NULL);
	long bad = 0;
	for (int i = 0; i < 4; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	say("bad %ld", bad);
}

TEST(memory_after_fork)
{
	size_t n = 8 << 20;
	char *priv = must(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *shar = must(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	memset(priv, 'a', n);
	memset(shar, 'a', n);
	pid_t c = CHILD({
		for (size_t i = 0; i < n; i += 4096)
			priv[i] = shar[i] = 'b';
	});
	reap("child", c);
	say("private %c %c, shared %c %c", priv[0], priv[n - 4096], shar[0], shar[n - 4096]);
}

TEST(robust_pipe_of_generations)
{
	int p[2];
	must(pipe(p));
	for (int g = 0; g < 20; g++) {
		pid_t c = must(fork());
		if (c) {
			if (g == 0) {
				reap("first", c);
				break;
			}
			int st;
			waitpid(c, &st, 0);
			_exit(WEXITSTATUS(st) + 1);
		}
		if (g == 19) {
			write(p[1], "deep", 4);
			_exit(0);
		}
	}
	char b[5] = "";
	read(p[0], b, 4);
	say("%s", b);
}

// A memfd that is open for writing can be executed, an opened file cannot.
TEST(exec_of_what_is_written)
{
	const char *names[] = {"memfd", "memfd opened again", "file"};
	for (int i = 0; i < 3; i++) {
		int fd = must(i < 2 ? memfd_create("program", 0) : open("/tmp", O_TMPFILE | O_RDWR, 0700));
		int in = must(open("/bin/true", O_RDONLY));
		char b[65536];
		ssize_t n;
		while ((n = must(read(in, b, sizeof b))) > 0)
			must(write(fd, b, n));
		if (i == 1) {
			sprintf(b, "/proc/self/fd/%d", fd);
			must(open(b, O_RDWR));
		}
		reap(names[i], CHILD(char *argv[] = {"true", NULL}; R(fexecve(fd, argv, argv + 1));
				     _exit(3)));
		close(fd);
	}
}
