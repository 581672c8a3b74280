// Terminals: who controls whom, hanging up, background processes, keys. Each test makes its own pseudo-terminals.
#include "guest.h"
#include <sys/ioctl.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static volatile int count[65];

static void counts(int s) { count[s]++; }

static void count_signal(int s)
{
	signal(s, counts);
	siginterrupt(s, 1);
}

// make opens a master, and puts the slave's name into name.
static int make(char *name, int locked)
{
	int n, m = must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	must(ioctl(m, TIOCGPTN, &n));
	sprintf(name, "/dev/pts/%d", n);
	must(ioctl(m, TIOCSPTLCK, &locked));
	return m;
}

static void controlling(const char *when)
{
	int fd = open("/dev/tty", O_RDWR);
	say("%s: /dev/tty %s", when, fd < 0 ? errname(errno) : "opens");
	if (fd >= 0)
		close(fd);
}

// IN_SESSION runs the rest of a test as the leader of a session of its own.
#define IN_SESSION                      \
	pid_t leader_ = fork();         \
	if (leader_) {                  \
		reap("leader", leader_); \
		return;                 \
	}                               \
	must(setsid());

TEST(open_makes_controlling)
{
	char a[32], b[32];
	IN_SESSION
	make(a, 0);
	controlling("before");
	int s = must(open(a, O_RDWR));
	controlling("after");
	T(tcgetsid(s) == getpid());
	T(tcgetpgrp(s) == getpid());
	R(ioctl(s, TIOCSCTTY, 0));
	R(ioctl(s, TIOCSCTTY, 1));
	int m2 = make(b, 0), s2 = must(open(b, O_RDWR | O_NOCTTY));
	R(ioctl(s2, TIOCSCTTY, 0));
	R(tcgetpgrp(s2));
	R(tcgetpgrp(m2));
	R(tcgetsid(s2));
	count_signal(SIGHUP);
	count_signal(SIGCONT);
	R(ioctl(s, TIOCNOTTY, 0));
	say("hup %d cont %d", count[SIGHUP], count[SIGCONT]);
	controlling("given up");
	R(ioctl(s2, TIOCSCTTY, 0));
	controlling("taken");
	close(m2);
	say("hup %d cont %d", count[SIGHUP], count[SIGCONT]);
	controlling("hung up");
	R(write(s2, "a", 1));
	R(read(s2, a, 1));
	_exit(0);
}

TEST(open_does_not_make_controlling)
{
	char a[32];
	IN_SESSION
	make(a, 0);
	must(open(a, O_WRONLY));
	controlling("only to write");
	must(open(a, O_RDWR | O_NOCTTY));
	controlling("O_NOCTTY");
	reap("child", CHILD(must(open(a, O_RDWR)); controlling("no leader")));
	must(open(a, O_RDONLY));
	controlling("only to read");
	_exit(0);
}

TEST(take_needs_a_leader)
{
	char a[32];
	make(a, 0);
	int s = must(open(a, O_RDWR | O_NOCTTY));
	reap("child", CHILD(R(ioctl(s, TIOCSCTTY, 0))));
}

TEST(locked_and_peer)
{
	char a[32];
	int m = make(a, 1), no = 0;
	R(open(a, O_RDWR | O_NOCTTY));
	R(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	must(ioctl(m, TIOCSPTLCK, &no));
	int s = must(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	R(fcntl(s, F_GETFD));
	R(fcntl(s, F_GETFL));
	T(isatty(s));
	T(!strcmp(ttyname(s) ?: "", a));
	R(ioctl(s, TIOCGPTPEER, 0));
}

TEST(leader_exit_hangs_up)
{
	char a[32];
	int p[2], m = make(a, 0);
	must(pipe(p));
	reap("leader", CHILD(
		close(m);
		must(setsid());
		int s = must(open(a, O_RDWR));
		if (!fork()) {
			count_signal(SIGHUP);
			count_signal(SIGCONT);
			must(write(p[1], "x", 1));
			for (int i = 0; i < 100 && !count[SIGHUP]; i++)
				usleep(20000);
			usleep(50000);
			say("hup %d cont %d", count[SIGHUP], count[SIGCONT]);
			controlling("leader gone");
			R(write(s, "a", 1));
			R(ioctl(s, TIOCSCTTY, 0));
			must(write(p[1], "y", 1));
			_exit(0);
		}
		must(read(p[0], a, 1));
	));
	must(read(p[0], a, 1));
}

TEST(master_close_then_leader_exit)
{
	char a[32];
	int p[2], m = make(a, 0);
	must(pipe(p));
	reap("leader", CHILD(
		must(setsid());
		int s = must(open(a, O_RDWR));
		signal(SIGHUP, SIG_IGN);
		pid_t job = fork();
		if (!job) {
			count_signal(SIGHUP);
			count_signal(SIGCONT);
			setpgid(0, 0);
			must(write(p[1], "x", 1));
			for (int i = 0; i < 100 && !count[SIGHUP]; i++)
				usleep(20000);
			usleep(50000);
			say("hup %d cont %d", count[SIGHUP], count[SIGCONT]);
			must(write(p[1], "y", 1));
			_exit(0);
		}
		must(read(p[0], a, 1));
		signal(SIGTTOU, SIG_IGN);
		must(tcsetpgrp(s, job));
		close(m);
		usleep(50000);
		say("leader exits");
	));
	close(m);
	must(read(p[0], a, 1));
}

TEST(background)
{
	char a[32], b;
	int st;
	struct termios t;
	IN_SESSION
	int m = make(a, 0), s = must(open(a, O_RDWR));
	pid_t c = CHILD(
		setpgid(0, 0);
		raise(SIGSTOP);
		R(read(s, &b, 1));
		R(tcsetpgrp(s, getpid()));
		_exit(5);
	);
	must(waitpid(c, &st, WUNTRACED));
	T(WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP);
	kill(c, SIGCONT);
	must(waitpid(c, &st, WUNTRACED));
	T(WIFSTOPPED(st) && WSTOPSIG(st) == SIGTTIN);
	must(tcsetpgrp(s, c));
	must(write(m, "q\n", 2));
	kill(c, SIGCONT);
	reap("child", c);
	signal(SIGTTOU, SIG_IGN);
	must(tcsetpgrp(s, getpid()));
	signal(SIGTTOU, SIG_DFL);
	must(tcgetattr(s, &t));
	reap("signals", CHILD(
		setpgid(0, 0);
		signal(SIGTTIN, SIG_IGN);
		R(read(s, &b, 1));
		count_signal(SIGTTOU);
		R(tcsetattr(s, TCSANOW, &t));
		say("ttou %d", count[SIGTTOU]);
		R(write(s, "a", 1));
		t.c_lflag |= TOSTOP;
		signal(SIGTTOU, SIG_IGN);
		must(tcsetattr(s, TCSANOW, &t));
		R(write(s, "a", 1));
		count_signal(SIGTTOU);
		R(write(s, "a", 1));
		say("ttou %d", count[SIGTTOU]);
	));
	int p[2], q[2];
	must(pipe(p));
	must(pipe(q));
	reap("orphan's parent", CHILD(
		setpgid(0, 0);
		count_signal(SIGTTIN);
		if (!fork()) {
			must(read(q[0], &b, 1));
			R(read(s, &b, 1));
			say("ttin %d", count[SIGTTIN]);
			must(write(p[1], "x", 1));
			_exit(0);
		}
	));
	must(write(q[1], "x", 1));
	must(read(p[0], &b, 1));
	R(tcsetpgrp(s, 999999));
	R(tcsetpgrp(s, -4));
	R(tcsetpgrp(s, getppid()));
	_exit(0);
}

TEST(keys_and_size)
{
	char a[32];
	IN_SESSION
	int m = make(a, 0), s = must(open(a, O_RDWR));
	int sigs[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH};
	for (int i = 0; i < 4; i++)
		count_signal(sigs[i]);
	must(write(m, "\003\034\032", 3));
	for (int i = 0; i < 200 && !(count[SIGINT] && count[SIGQUIT] && count[SIGTSTP]); i++)
		usleep(10000); // the host has a thread of its own look at keys
	struct winsize w = {30, 90, 1, 2};
	must(ioctl(m, TIOCSWINSZ, &w));
	must(ioctl(m, TIOCSWINSZ, &w));
	must(ioctl(s, TIOCGWINSZ, &w));
	say("%d %d %d %d", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
	R(ioctl(s, TIOCSIG, SIGINT));
	R(ioctl(m, TIOCSIG, SIGINT));
	R(ioctl(m, TIOCSIG, SIGTERM));
	for (int i = 0; i < 4; i++)
		say("%s %d", sigabbrev_np(sigs[i]), count[sigs[i]]);
	_exit(0);
}

TEST(vhangup)
{
	if (geteuid())
		return;
	char a[32];
	IN_SESSION
	int m = make(a, 0), s = must(open(a, O_RDWR));
	count_signal(SIGHUP);
	count_signal(SIGCONT);
	R(syscall(SYS_vhangup));
	say("hup %d cont %d", count[SIGHUP], count[SIGCONT]);
	R(write(s, "a", 1));
	R(write(m, "a", 1));
	controlling("hung up");
	s = must(open(a, O_RDWR));
	R(write(s, "a", 1));
	controlling("opened again");
	_exit(0);
}

TEST(sessions)
{
	char a[32];
	IN_SESSION
	make(a, 0);
	int s = must(open(a, O_RDWR));
	reap("member", CHILD(R(ioctl(s, TIOCNOTTY, 0)); controlling("gave it up"); R(ioctl(s, TIOCNOTTY, 0))));
	controlling("leader");
	reap("other", CHILD(must(setsid()); controlling("new session"); R(ioctl(s, TIOCSCTTY, 0))));
	controlling("leader");
	if (!geteuid()) {
		reap("thief", CHILD(must(setsid()); R(ioctl(s, TIOCSCTTY, 1)); controlling("stolen")));
		controlling("leader");
	}
	_exit(0);
}

TEST(slave_closes)
{
	char a[32], b[8];
	int m = make(a, 0), s = must(open(a, O_RDWR | O_NOCTTY));
	must(write(s, "ab", 2));
	close(s);
	R(read(m, b, 8));
	R(read(m, b, 8));
	s = must(open(a, O_RDWR | O_NOCTTY));
	must(fcntl(m, F_SETFL, O_NONBLOCK));
	R(read(m, b, 8));
	close(m);
	R(read(s, b, 8));
	R(open(a, O_RDWR | O_NOCTTY));
}
