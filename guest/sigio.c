// SIGIO: signals that tell of descriptors becoming ready.
#include "guest.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <termios.h>

static sigset_t both;

// drain shows the signals that are pending, the lowest first.
static void drain(const char *what)
{
	siginfo_t si;
	struct timespec zero = {0};
	int sig, n = 0;
	while ((sig = sigtimedwait(&both, &si, &zero)) > 0) {
		n++;
		if (sig == SIGIO || sig == SIGURG)
			say("%s: sig %d code %d", what, sig, si.si_code);
		else
			say("%s: rt code %d band %lx fd %d", what, si.si_code, si.si_band, si.si_fd);
	}
	if (!n)
		say("%s: nothing", what);
}

static void prepare(void)
{
	sigemptyset(&both);
	sigaddset(&both, SIGIO);
	sigaddset(&both, SIGURG);
	sigaddset(&both, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &both, NULL);
}

static void arm(int fd, int sig)
{
	must(fcntl(fd, F_SETOWN, getpid()));
	must(fcntl(fd, F_SETSIG, sig));
	must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

static const int sigs[] = {0, 40};
#define EACH for (int i_ = 0, sig = 0; i_ < 2; i_++, sig = SIGRTMIN)

TEST(pipe_reader)
{
	prepare();
	EACH {
		int p[2];
		char b[65536];
		must(pipe2(p, O_NONBLOCK));
		arm(p[0], sig);
		drain("armed");
		write(p[1], "a", 1); drain("write");
		write(p[1], "b", 1); drain("write more");
		read(p[0], b, 1); drain("read one");
		write(p[1], "c", 1); drain("write again");
		read(p[0], b, 10); drain("read all");
		write(p[1], b, 10000); drain("write much");
		close(p[1]); drain("close");
		close(p[0]); drain("gone");
	}
}

TEST(pipe_writer)
{
	prepare();
	EACH {
		int p[2];
		static char b[65536];
		must(pipe2(p, O_NONBLOCK));
		arm(p[1], sig);
		drain("armed");
		write(p[1], "a", 1); drain("write");
		read(p[0], b, 1); drain("read");
		write(p[1], b, sizeof b); drain("fill");
		read(p[0], b, 100); drain("read some");
		read(p[0], b, 4096); drain("read a page");
		read(p[0], b, 4096); drain("read another");
		close(p[0]); drain("close");
		close(p[1]); drain("gone");
	}
}

TEST(unix_stream)
{
	prepare();
	EACH {
		int p[2];
		static char b[1 << 20];
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p));
		arm(p[0], sig);
		drain("armed");
		write(p[1], "a", 1); drain("write");
		write(p[1], "b", 1); drain("write more");
		read(p[0], b, 10); drain("read all");
		read(p[0], b, 10); drain("read none");
		write(p[1], "c", 1); drain("write again");
		shutdown(p[1], SHUT_WR); drain("shutdown");
		close(p[1]); drain("close");
		close(p[0]); drain("gone");
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p));
		arm(p[0], sig);
		close(p[1]); drain("close at once");
		close(p[0]);
	}
}

TEST(unix_dgram)
{
	prepare();
	EACH {
		int p[2];
		static char b[1 << 20];
		must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p));
		arm(p[0], sig);
		drain("armed");
		write(p[1], "a", 1); drain("write");
		write(p[1], "b", 1); drain("write more");
		read(p[0], b, 10); drain("read");
		close(p[1]); drain("close");
		close(p[0]); drain("gone");
	}
}

TEST(unix_room)
{
	prepare();
	EACH {
		int p[2];
		static char b[1 << 20];
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p));
		arm(p[0], sig);
		write(p[0], "a", 1); drain("write");
		read(p[1], b, 10); drain("peer reads");
		while (write(p[0], b, sizeof b) > 0)
			;
		drain("full");
		while (read(p[1], b, sizeof b) > 0)
			;
		drain("peer reads all");
		write(p[0], "a", 1); read(p[1], b, 10); drain("again");
		close(p[0]), close(p[1]);
	}
}

TEST(tcp)
{
	prepare();
	EACH {
		struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
		socklen_t n = sizeof a;
		char b[10];
		int l = must(socket(AF_INET, SOCK_STREAM, 0)), c = must(socket(AF_INET, SOCK_STREAM, 0));
		must(bind(l, (void *)&a, sizeof a));
		must(listen(l, 5));
		getsockname(l, (void *)&a, &n);
		arm(l, sig);
		must(connect(c, (void *)&a, n)); drain("connect");
		int s = must(accept(l, NULL, NULL)); drain("accept");
		close(l);
		arm(s, sig);
		write(c, "a", 1); drain("write");
		read(s, b, 10); drain("read");
		shutdown(c, SHUT_WR); drain("shutdown");
		close(c); drain("close");
		close(s); drain("gone");
		c = must(socket(AF_INET, SOCK_STREAM, 0));
		arm(c, sig);
		R(connect(c, (void *)&a, n)); drain("refused");
		close(c);
	}
}

TEST(listening)
{
	prepare();
	EACH {
		struct sockaddr_un a = {AF_UNIX, "\0sigio-test"};
		int l = must(socket(AF_UNIX, SOCK_STREAM, 0)), c = must(socket(AF_UNIX, SOCK_STREAM, 0));
		must(bind(l, (void *)&a, sizeof a));
		must(listen(l, 5));
		arm(l, sig);
		drain("armed");
		must(connect(c, (void *)&a, sizeof a)); drain("connect");
		int s = must(accept(l, NULL, NULL)); drain("accept");
		say("flags %x owner %d", fcntl(s, F_GETFL) & O_ASYNC, fcntl(s, F_GETOWN));
		close(s), close(c), close(l);
	}
}

TEST(udp)
{
	prepare();
	EACH {
		struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
		socklen_t n = sizeof a;
		char b[10];
		int s = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), c = must(socket(AF_INET, SOCK_DGRAM, 0));
		must(bind(s, (void *)&a, sizeof a));
		getsockname(s, (void *)&a, &n);
		arm(s, sig);
		drain("armed");
		sendto(c, "a", 1, 0, (void *)&a, n); drain("send");
		sendto(c, "b", 1, 0, (void *)&a, n); drain("send more");
		read(s, b, 10); drain("read");
		close(s), close(c);
	}
}

TEST(terminal)
{
	prepare();
	EACH {
		char b[100];
		int m = must(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
		grantpt(m), unlockpt(m);
		int s = must(open(ptsname(m), O_RDWR | O_NOCTTY | O_NONBLOCK));
		struct termios t;
		tcgetattr(s, &t);
		cfmakeraw(&t);
		tcsetattr(s, TCSANOW, &t);
		R(fcntl(s, F_GETOWN));
		must(fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_ASYNC));
		T(fcntl(s, F_GETOWN) == getpid());
		must(fcntl(s, F_SETFL, fcntl(s, F_GETFL) & ~O_ASYNC));
		arm(s, sig);
		drain("armed");
		write(m, "a", 1); millis(20); drain("write");
		read(s, b, 10); drain("read");
		must(fcntl(s, F_SETFL, fcntl(s, F_GETFL) & ~O_ASYNC));
		arm(m, sig);
		write(s, "a", 1); millis(20); drain("write by the slave");
		read(m, b, 10); drain("read by the master");
		close(s); millis(20); drain("slave closes");
		close(m); drain("gone");
	}
}

// What has no such signals refuses FIOASYNC, and lets F_SETFL pass without effect.
static void without(const char *what, int fd)
{
	int on = 1;
	say("%s", what);
	R(ioctl(fd, FIOASYNC, &on));
	R(fcntl(fd, F_SETFL, O_ASYNC));
	say("flags %x", fcntl(fd, F_GETFL) & O_ASYNC);
	on = 0;
	R(ioctl(fd, FIOASYNC, &on));
	close(fd);
}

TEST(which)
{
	int p[2];
	prepare();
	without("eventfd", eventfd(0, 0));
	without("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
	without("signalfd", signalfd(-1, &both, 0));
	without("epoll", epoll_create1(0));
	without("file", memfd_create("x", 0));
	without("directory", open("/", O_RDONLY));
	without("inotify", inotify_init());
	without("null", open("/dev/null", O_RDWR));
	without("zero", open("/dev/zero", O_RDWR));
	pipe(p); without("pipe", p[0]); without("pipe", p[1]);
	socketpair(AF_UNIX, SOCK_STREAM, 0, p); without("unix", p[0]); without("unix", p[1]);
	without("tcp", socket(AF_INET, SOCK_STREAM, 0));
	int fd = open("/dev/null", O_RDONLY | O_ASYNC);
	say("opened with it: %x", fcntl(fd, F_GETFL) & O_ASYNC);
	pipe2(p, O_NONBLOCK);
	R(ioctl(p[0], FIOASYNC, NULL));
}

TEST(owners)
{
	prepare();
	int p[2];
	pipe(p);
	struct f_owner_ex o;
	R(fcntl(p[0], F_GETOWN));
	R(fcntl(p[0], F_GETSIG));
	R(fcntl(p[0], F_GETOWN_EX, &o)); say("%d %d", o.type, o.pid);
	R(fcntl(p[0], F_SETSIG, 65));
	R(fcntl(p[0], F_SETSIG, -1));
	R(fcntl(p[0], F_SETSIG, 64));
	R(fcntl(p[0], F_GETSIG));
	R(fcntl(p[0], F_SETSIG, 0));
	R(fcntl(p[0], F_SETOWN, 99999999));
	R(fcntl(p[0], F_SETOWN, -99999999));
	R(fcntl(p[0], F_SETOWN, INT_MIN));
	R(fcntl(p[0], F_SETOWN, getpid()));
	T(fcntl(p[0], F_GETOWN) == getpid());
	setpgid(0, 0);
	R(fcntl(p[0], F_SETOWN, -getpgrp()));
	R(fcntl(p[0], F_GETOWN_EX, &o)); say("%d %d", o.type, o.pid == getpgrp());
	o = (struct f_owner_ex){F_OWNER_TID, gettid()};
	R(fcntl(p[0], F_SETOWN_EX, &o));
	T(syscall(SYS_fcntl, p[0], F_GETOWN, 0) == gettid());
	o.pid = 0;
	R(fcntl(p[0], F_GETOWN_EX, &o)); say("%d %d", o.type, o.pid == getpid());
	o.type = 5;
	R(fcntl(p[0], F_SETOWN_EX, &o));
	R(fcntl(p[0], F_SETOWN_EX, NULL));
	o = (struct f_owner_ex){F_OWNER_PID, 99999999};
	R(fcntl(p[0], F_SETOWN_EX, &o));
	unsigned ids[2];
	R(fcntl(p[0], 17, ids)); say("%d %d", ids[0] == getuid(), ids[1] == geteuid()); // F_GETOWNER_UIDS
	// An owner that ends: nobody.
	pid_t c = CHILD(pause());
	R(fcntl(p[0], F_SETOWN, c));
	kill(c, SIGKILL), waitpid(c, NULL, 0);
	R(fcntl(p[0], F_GETOWN));
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	int v = getpid();
	R(ioctl(p[0], FIOSETOWN, &v)); v = 0;
	R(ioctl(p[0], FIOGETOWN, &v)); T(v == getpid());
	R(ioctl(p[0], SIOCGPGRP, &v)); T(v == getpid());
	v = 99999999;
	R(ioctl(p[0], SIOCSPGRP, &v));
	v = -getpgrp();
	R(ioctl(p[0], SIOCSPGRP, &v));
}

static volatile int got, from;

static void count(int sig) { got++; from = gettid(); }

static void *waiter(void *fd)
{
	struct f_owner_ex o = {F_OWNER_TID, gettid()};
	must(fcntl((long)fd, F_SETOWN_EX, &o));
	must(fcntl((long)fd, F_SETFL, O_ASYNC));
	from = -1;
	while (!got)
		sched_yield();
	T(from == gettid());
	return NULL;
}

TEST(handled)
{
	int p[2];
	handle(SIGIO, count, SA_RESTART);
	must(pipe(p));
	arm(p[0], 0);
	write(p[1], "x", 1);
	T(got);
	// To one thread.
	got = 0;
	pthread_t th;
	must(pipe(p));
	pthread_create(&th, NULL, waiter, (void *)(long)p[0]);
	while (from != -1)
		sched_yield();
	write(p[1], "x", 1);
	pthread_join(th, NULL);
	// To a group, by the child that has the description too.
	got = 0;
	setpgid(0, 0);
	must(pipe(p));
	must(fcntl(p[0], F_SETOWN, -getpgrp()));
	must(fcntl(p[0], F_SETFL, O_ASYNC));
	reap("child", CHILD(write(p[1], "x", 1); T(got)));
	T(got);
	// Closed everywhere: silent.
	got = 0;
	must(pipe(p));
	int w = dup(p[1]);
	arm(p[0], 0);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	R(write(w, "x", 1));
	T(got);
	// Not permitted.
	must(pipe(p));
	reap("another user", CHILD(pid_t c = getpid(); (void)c; got = 0; arm(p[0], 0); pid_t d = fork();
		if (d == 0) { setresuid(1000, 1000, 1000); must(fcntl(p[0], F_SETOWN, getppid())); write(p[1], "x", 1); _exit(0); }
		waitpid(d, NULL, 0); T(got)));
}
