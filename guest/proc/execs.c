// exec in all its forms.
#include "guest.h"
static char self[4096];
static int ws;
static void run(const char *w, void (*f)(void)) { pid_t p = fork(); if (!p) { f(); P("%s: %s\n", w, strerrorname_np(errno)); _exit(99); } waitpid(p, &ws, 0); show_status(w, ws); }
#define RUN(...) ({ void f_(void) { __VA_ARGS__; } run(#__VA_ARGS__, f_); })
static void file(const char *n, const char *c, int mode) { int fd = open(n, O_CREAT | O_TRUNC | O_WRONLY, 0755); write(fd, c, strlen(c)); close(fd); chmod(n, mode); }
static void h(int s) {}
static void *sleeper(void *x) { for (;;) pause(); }
static void *execer(void *x) { usleep(20000); execl(self, self, "ids", x, NULL); P("failed\n"); return 0; }
static int report(int c, char **v) {
	if (!strcmp(v[1], "args")) { P("argc %d:", c); for (int i = 1; i < c; i++) P(" <%s>", v[i]); char n[17]; prctl(PR_GET_NAME, n); P(" comm %s\n", strncmp(n, "execs", 5) ? "other" : "execs"); }
	if (!strcmp(v[1], "ids")) { P("ids: pid same %d, tid is pid %d\n", getpid() == atoi(v[2]), getpid() == gettid()); }
	if (!strcmp(v[1], "state")) {
		struct sigaction a, b, d; sigaction(SIGUSR1, 0, &a); sigaction(SIGUSR2, 0, &b); sigset_t m, q; sigprocmask(0, 0, &m); sigpending(&q); stack_t s; sigaltstack(0, &s); struct itimerval it; getitimer(ITIMER_REAL, &it); sigaction(SIGCHLD, 0, &d);
		P("handler %d ignored %d flags %x blocked %d pending %d alt %x timer %d fd %d cloexec %d umask %o nice %d\n", a.sa_handler == SIG_DFL, b.sa_handler == SIG_IGN, b.sa_flags, sigismember(&m, SIGTERM), sigismember(&q, SIGTERM), s.ss_flags, it.it_value.tv_sec > 0, fcntl(50, F_GETFD), fcntl(51, F_GETFD) == -1, umask(0), getpriority(PRIO_PROCESS, 0));
		int v; prctl(PR_GET_PDEATHSIG, &v); char n[17]; P("pdeath %d dumpable %d keepcaps %d nnp %d\n", v, prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	}
	return 7;
}
extern char **environ;
int main(int c, char **v) {
	if (c == 1 && !v[0][0]) { P("no arguments: argc %d\n", c); return 7; }
	if (c > 1) return report(c, v);
	char dir[] = "/tmp/execs.XXXXXX"; mkdtemp(dir); readlink("/proc/self/exe", self, sizeof self - 1); if (!self[0]) realpath(v[0], self); chdir(dir); no_core();
	RUN(execl(self, self, "args", "a", "", "b c", NULL));
	RUN(execv(self, (char *[]){0})); RUN(execve("/nonexistent", v, environ)); RUN(execve(".", v, environ)); RUN(execve("", v, environ)); RUN(syscall(SYS_execve, 8, 0, 0)); RUN(syscall(SYS_execve, self, 8, 0)); RUN(syscall(SYS_execve, self, (char *[]){self, "args", (char *)8, 0}, 0)); RUN(syscall(SYS_execve, self, (char *[]){self, "args", 0}, 0));
	file("noexec", "#!/bin/sh\n", 0644); RUN(execl("noexec", "x", NULL)); file("empty", "", 0755); RUN(execl("empty", "x", NULL)); file("text", "echo hi\n", 0755); RUN(execl("text", "x", NULL)); RUN(execlp("./text", "x", NULL)); file("elf", "\177ELF nonsense", 0755); RUN(execl("elf", "x", NULL));
	file("script", "#!/bin/sh\necho script $0 $# \"$@\"\n", 0755); RUN(execl("script", "zero", "one", "two three", NULL)); RUN(execl("./script", "zero", NULL));
	char b[8192]; sprintf(b, "#! %s args two words  \nx", self); file("own", b, 0755); RUN(execl("own", "zero", "more", NULL)); file("own2", "#!own x\n", 0755); RUN(execl("own2", "zero", "more", NULL)); file("noint", "#!/nonexistent\n", 0755); RUN(execl("noint", "x", NULL)); file("bare", "#!\n", 0755); RUN(execl("bare", "x", NULL)); file("blank", "#!   \n", 0755); RUN(execl("blank", "x", NULL));
	file("loop", "#!loop\n", 0755); RUN(execl("loop", "x", NULL)); memset(b, 'x', 300); strcpy(b + 300, "\n"); memcpy(b, "#!/", 3); file("longline", b, 0755); RUN(execl("longline", "x", NULL));
	file("dirint", "#!/tmp\n", 0755); RUN(execl("dirint", "x", NULL));
	// By descriptor.
	int fd = open(self, O_RDONLY); RUN(fexecve(fd, (char *[]){"x", "args", "fexecve", 0}, environ)); int pfd = open(self, O_PATH | O_CLOEXEC); RUN(fexecve(pfd, (char *[]){"x", "args", "path", 0}, environ));
	int sfd = open("script", O_RDONLY); RUN(fexecve(sfd, (char *[]){"x", "s", 0}, environ)); int scl = open("script", O_RDONLY | O_CLOEXEC); RUN(fexecve(scl, (char *[]){"x", "s", 0}, environ));
	int dfd = open(".", O_RDONLY); RUN(syscall(SYS_execveat, dfd, "own", (char *[]){"x", 0}, environ, 0)); RUN(syscall(SYS_execveat, dfd, "", v, environ, 0)); RUN(syscall(SYS_execveat, 999, "own", v, environ, 0)); RUN(syscall(SYS_execveat, 0, "own", v, environ, 0)); RUN(syscall(SYS_execveat, dfd, "", v, environ, AT_EMPTY_PATH)); RUN(syscall(SYS_execveat, dfd, "own", v, environ, 1)); symlink(self, "link"); RUN(syscall(SYS_execveat, dfd, "link", (char *[]){"x", "args", 0}, environ, AT_SYMLINK_NOFOLLOW)); RUN(syscall(SYS_execveat, dfd, "link", (char *[]){"x", "args", 0}, environ, 0)); RUN(syscall(SYS_execveat, AT_FDCWD, self, (char *[]){"x", "args", 0}, environ, AT_SYMLINK_NOFOLLOW));
	// Arguments: long, many, too many.
	char *big = malloc(200000); memset(big, 'a', 131071); big[131071] = 0; RUN(execl("/bin/true", "x", big, NULL)); big[131071] = 'a'; big[131072] = 0; RUN(execl("/bin/true", "x", big, NULL)); big[100000] = 0; char **many = calloc(100, 8); for (int i = 0; i < 30; i++) many[i] = big; RUN(execv("/bin/true", many)); many[20] = 0; RUN(execv("/bin/true", many)); setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY}); many[10] = 0; RUN(execv("/bin/true", many)); many[2] = 0; RUN(execv("/bin/true", many)); setrlimit(RLIMIT_STACK, &(struct rlimit){8 << 20, RLIM_INFINITY});
	// What is kept and what is not.
	pid_t p = fork(); if (!p) { on(SIGUSR1, h, SA_RESTART); on(SIGUSR2, SIG_IGN, SA_RESTART); sigset_t s; sigemptyset(&s); sigaddset(&s, SIGTERM); sigprocmask(SIG_BLOCK, &s, 0); raise(SIGTERM); static char st[8192]; sigaltstack(&(stack_t){st, 0, sizeof st}, 0); setitimer(ITIMER_REAL, &(struct itimerval){{0}, {100, 0}}, 0); dup2(1, 50); dup2(1, 51); fcntl(51, F_SETFD, 1); umask(027); nice(3); prctl(PR_SET_PDEATHSIG, SIGHUP); prctl(PR_SET_KEEPCAPS, 1); prctl(PR_SET_DUMPABLE, 0); execl(self, self, "state", NULL); } waitpid(p, &ws, 0); show_status("state", ws);
	// Threads.
	char me[20];
	p = fork(); if (!p) { sprintf(me, "%d", getpid()); pthread_t t; for (int i = 0; i < 4; i++) pthread_create(&t, 0, sleeper, 0); usleep(10000); execl(self, self, "ids", me, NULL); } waitpid(p, &ws, 0); show_status("exec with threads", ws);
	p = fork(); if (!p) { sprintf(me, "%d", getpid()); pthread_t t; for (int i = 0; i < 4; i++) pthread_create(&t, 0, sleeper, 0); pthread_create(&t, 0, execer, me); for (;;) pause(); } waitpid(p, &ws, 0); show_status("exec by a thread", ws);
	p = fork(); if (!p) { sprintf(me, "%d", getpid()); pthread_t t; pthread_create(&t, 0, execer, me); pthread_exit(0); } waitpid(p, &ws, 0); show_status("exec after the leader's end", ws);
	p = fork(); if (!p) { sprintf(me, "%d", getpid()); pthread_t t; for (int i = 0; i < 6; i++) pthread_create(&t, 0, execer, me); for (;;); } waitpid(p, &ws, 0); show_status("racing execs", ws);
	// vfork and exec.
	int okk = 0; for (int i = 0; i < 20; i++) { p = vfork(); if (!p) { execl(self, self, "quiet", NULL); _exit(1); } waitpid(p, &ws, 0); okk += WEXITSTATUS(ws) == 7; } P("vfork+exec %d\n", okk);
	p = vfork(); if (!p) { execl("/nonexistent", "x", NULL); _exit(errno == ENOENT ? 55 : 1); } waitpid(p, &ws, 0); show_status("vfork and no exec", ws);
	// A program that is open for writing, and one that runs.
	sprintf(b, "cp %s prog", self); system(b); int w = open("prog", O_WRONLY); RUN(execl("prog", "x", "args", NULL)); close(w); p = fork(); if (!p) { execl("/bin/sh", "sh", "-c", "exec ./prog args", NULL); } waitpid(p, &ws, 0); show_status("closed again", ws);
	system("cp /bin/sleep slp"); p = fork(); if (!p) { execl("slp", "slp", "0.3", NULL); _exit(1); } msleep(100); T(open("slp", O_WRONLY)); T(truncate("slp", 0)); T(open("slp", O_RDWR | O_TRUNC)); waitpid(p, &ws, 0); show_status("busy", ws); TE(open("slp", O_WRONLY));
	chdir("/"); sprintf(b, "rm -r %s", dir); system(b);
	return 0;
}
