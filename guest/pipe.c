// Pipes, splice, polling, epoll, eventfd and timerfd.
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static char buf[1 << 20];

TEST(pipe_basics)
{
	int p[2];
	R(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	T(fcntl(p[0], F_GETFD) == FD_CLOEXEC);
	T(fcntl(p[0], F_GETFL) == (O_RDONLY | O_NONBLOCK) && fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	R(read(p[0], buf, 10));
	R(write(p[1], "hello", 5));
	int n;
	R(ioctl(p[0], FIONREAD, &n));
	say("%d waiting", n);
	R(read(p[0], buf, 2));
	R(read(p[0], buf, 100));
	R(write(p[1], buf, 0));
	R(read(p[1], buf, 1));
	R(write(p[0], buf, 1));
	R(lseek(p[0], 0, SEEK_SET));
	R(pread(p[0], buf, 1, 0));
	R(ftruncate(p[1], 0));
	struct stat st;
	fstat(p[0], &st);
	T(S_ISFIFO(st.st_mode) && st.st_nlink == 1);
	close(p[1]);
	R(read(p[0], buf, 1));
	R(pipe2(p, 0x1));
	R(pipe((int *)8));
}

TEST(pipe_capacity)
{
	int p[2];
	must(pipe2(p, O_NONBLOCK));
	R(fcntl(p[1], F_GETPIPE_SZ));
	long total = 0, r;
	while ((r = write(p[1], buf, 1000)) > 0)
		total += r;
	say("%ld in writes of 1000, then %s", total, errname(errno));
	R(write(p[1], buf, 10)); // does not fit a page that is begun
	R(read(p[0], buf, 4096));
	R(write(p[1], buf, 5000));
	R(write(p[1], buf, 1));
	R(fcntl(p[1], F_SETPIPE_SZ, 4096));
	while (read(p[0], buf, sizeof buf) > 0)
		;
	R(fcntl(p[1], F_SETPIPE_SZ, 5000));
	R(write(p[1], buf, 10000));
	R(fcntl(p[1], F_SETPIPE_SZ, 0));
	R(fcntl(p[1], F_SETPIPE_SZ, 1 << 20));
	R(fcntl(0, F_GETPIPE_SZ));
	R(write(p[1], buf, sizeof buf));
}

TEST(pipe_broken)
{
	int p[2];
	must(pipe(p));
	close(p[0]);
	reap("SIGPIPE", CHILD(write(p[1], "x", 1)));
	signal(SIGPIPE, SIG_IGN);
	R(write(p[1], "x", 1));
	R(write(p[1], "x", 0));
}

TEST(pipe_blocking)
{
	int p[2];
	must(pipe(p));
	pid_t c = CHILD({
		close(p[0]);
		memset(buf, 'x', sizeof buf);
		long n = write(p[1], buf, 300000);
		_exit(n == 300000 ? 7 : 1);
	});
	close(p[1]);
	long total = 0, r;
	while ((r = read(p[0], buf, 10000)) > 0)
		total += r;
	say("%ld", total);
	reap("writer", c);
}

TEST(atomic_writes)
{
	int p[2];
	must(pipe(p));
	for (int w = 0; w < 4; w++)
		CHILD({
			char line[512];
			memset(line, 'a' + w, sizeof line);
			for (int i = 0; i < 200; i++)
				write(p[1], line, sizeof line);
		});
	close(p[1]);
	int torn = 0, lines = 0;
	char line[512];
	FILE *f = fdopen(p[0], "r");
	while (fread(line, sizeof line, 1, f) == 1) {
		lines++;
		for (int i = 1; i < 512; i++)
			torn += line[i] != line[0];
	}
	say("%d lines, torn %d", lines, torn);
	while (wait(NULL) > 0)
		;
}

TEST(fifo)
{
	R(mkfifo("p", 0640));
	R(mkfifo("p", 0640));
	R(open("p", O_WRONLY | O_NONBLOCK));
	int r = OK(open("p", O_RDONLY | O_NONBLOCK));
	int w = OK(open("p", O_WRONLY | O_NONBLOCK));
	R(write(w, "via fifo", 8));
	R(read(r, buf, 100));
	R(read(r, buf, 1));
	close(w);
	R(read(r, buf, 1));
	int rw = OK(open("p", O_RDWR));
	R(write(rw, "x", 1));
	R(read(r, buf, 10));
	close(rw);
	close(r);
	pid_t c = CHILD(int f = open("p", O_WRONLY); write(f, "blocking open", 13));
	r = must(open("p", O_RDONLY));
	R(read(r, buf, 100));
	reap("writer", c);
}

TEST(splice_tee)
{
	int a[2], b[2], fd = must(open("f", O_RDWR | O_CREAT, 0600));
	must(pipe(a));
	must(pipe(b));
	write(fd, "0123456789", 10);
	loff_t off = 2;
	R(splice(fd, &off, a[1], NULL, 5, 0));
	say("offset %ld", (long)off);
	R(tee(a[0], b[1], 3, 0));
	R(read(b[0], buf, 10));
	say("%.3s", buf);
	R(splice(a[0], NULL, b[1], NULL, 100, SPLICE_F_NONBLOCK));
	off = 20;
	R(splice(b[0], NULL, fd, &off, 100, 0));
	R(pread(fd, buf, 10, 20));
	say("%.5s", buf);
	R(splice(b[0], NULL, fd, NULL, 10, SPLICE_F_NONBLOCK));
	R(tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
	R(splice(fd, NULL, fd, NULL, 10, 0));
	R(splice(a[0], &off, fd, NULL, 10, 0));
	R(tee(fd, a[1], 10, 0));
	R(tee(a[0], a[1], 10, 0));
	struct iovec v[2] = {{"vm", 2}, {"splice", 6}};
	R(vmsplice(a[1], v, 2, 0));
	R(read(a[0], buf, 10));
	say("%.8s", buf);
	close(b[1]);
	R(splice(b[0], NULL, fd, NULL, 10, 0));
	lseek(fd, 0, SEEK_END);
	R(splice(fd, NULL, a[1], NULL, 10, 0));
}

TEST(sendfile_and_copy)
{
	int in = must(open("in", O_RDWR | O_CREAT, 0600)), out = must(open("out", O_RDWR | O_CREAT, 0600)), s[2];
	for (int i = 0; i < 20000; i++)
		buf[i] = 'a' + i % 26;
	write(in, buf, 20000);
	off_t off = 100;
	R(sendfile(out, in, &off, 5000));
	say("offset %ld, position %ld", (long)off, (long)lseek(in, 0, SEEK_CUR));
	lseek(in, 19990, SEEK_SET);
	R(sendfile(out, in, NULL, 5000));
	R(sendfile(out, in, NULL, 5000));
	R(lseek(out, 0, SEEK_CUR));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	off = 0;
	R(sendfile(s[0], in, &off, 20000));
	R(recv(s[1], buf, 30000, MSG_WAITALL | MSG_DONTWAIT));
	int p[2];
	must(pipe(p));
	R(sendfile(out, p[0], NULL, 10));
	R(sendfile(99, in, NULL, 10));
	off = -1;
	R(sendfile(out, in, &off, 10));
	off64_t a = 10, b = 30000;
	R(copy_file_range(in, &a, out, &b, 100, 0));
	say("%ld %ld", (long)a, (long)b);
	R(copy_file_range(in, &a, out, &b, 100, 1));
	a = 0, b = 50;
	R(copy_file_range(in, &a, in, &b, 100, 0));
	R(copy_file_range(p[0], NULL, out, NULL, 100, 0));
	a = 30000;
	R(copy_file_range(in, &a, out, NULL, 100, 0));
}

TEST(poll)
{
	int p[2], q[2];
	must(pipe(p));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	struct pollfd f[5] = {{p[0], POLLIN}, {p[1], POLLOUT}, {-1, POLLIN}, {999, POLLIN}, {q[0], POLLIN | POLLOUT | POLLRDHUP}};
	R(poll(f, 5, 0));
	for (int i = 0; i < 5; i++)
		say("  %d: %#x", i, f[i].revents);
	write(p[1], "x", 1);
	shutdown(q[1], SHUT_WR);
	R(poll(f, 5, -1));
	for (int i = 0; i < 5; i++)
		say("  %d: %#x", i, f[i].revents);
	close(p[1]);
	close(q[1]);
	f[1].fd = open("/dev/null", O_RDONLY);
	f[1].events = POLLIN | POLLOUT;
	R(poll(f, 5, -1));
	for (int i = 0; i < 5; i++)
		say("  %d: %#x", i, f[i].revents);
	read(p[0], buf, 1);
	R(poll(f, 1, 0));
	say("  %#x", f[0].revents);
	must(pipe(p));
	close(p[0]);
	f[0] = (struct pollfd){p[1], POLLOUT};
	R(poll(f, 1, 0));
	say("  %#x", f[0].revents);
	double t = now();
	R(poll(NULL, 0, 30));
	T(now() - t >= 0.03);
	R(poll((void *)8, 1, 0));
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){10, 10});
	R(poll(f, 11, 0));
	struct timespec ts = {0, -1};
	R(ppoll(f, 0, &ts, NULL));
}

TEST(poll_wakes)
{
	int p[2];
	must(pipe(p));
	pid_t c = CHILD(millis(50); write(p[1], "x", 1); millis(50));
	close(p[1]);
	struct pollfd f = {p[0], POLLIN};
	R(poll(&f, 1, 5000));
	say("%#x", f.revents);
	read(p[0], buf, 1);
	R(poll(&f, 1, 5000));
	say("%#x", f.revents);
	reap("c", c);
}

TEST(select)
{
	int p[2];
	must(pipe(p));
	fd_set r, w;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	struct timeval tv = {1, 0};
	R(select(p[1] + 1, &r, &w, NULL, &tv));
	say("r %d w %d", FD_ISSET(p[0], &r), FD_ISSET(p[1], &w));
	T(tv.tv_sec == 0 && tv.tv_usec > 500000);
	FD_SET(p[0], &r);
	tv = (struct timeval){0, 20000};
	R(select(p[1] + 1, &r, NULL, NULL, &tv));
	say("left %ld", (long)tv.tv_usec);
	FD_SET(500, &r);
	R(select(501, &r, NULL, NULL, &tv));
	R(select(-1, NULL, NULL, NULL, &tv));
	tv.tv_usec = -1;
	R(select(0, NULL, NULL, NULL, &tv));
	struct timespec ts = {0, 1000};
	R(pselect(0, NULL, NULL, NULL, &ts, NULL));
}

static void wait_events(int ep, int timeout)
{
	struct epoll_event e[10];
	int n = epoll_wait(ep, e, 10, timeout);
	if (n < 0)
		say("  epoll_wait: %s", errname(errno));
	else
		say("  %d events", n);
	for (int i = 0; i < n; i++)
		say("    %lu: %#x", (unsigned long)e[i].data.u64, e[i].events);
}

static int ctl(int ep, int op, int fd, unsigned events, int data)
{
	struct epoll_event e = {events, {.u64 = data}};
	return epoll_ctl(ep, op, fd, &e);
}

TEST(epoll_modes)
{
	int ep = must(epoll_create1(EPOLL_CLOEXEC)), p[2];
	must(pipe(p));
	R(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	R(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	wait_events(ep, 0);
	write(p[1], "ab", 2);
	wait_events(ep, 0);
	wait_events(ep, 0);
	say("edge");
	R(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2));
	wait_events(ep, 0);
	wait_events(ep, 0);
	read(p[0], buf, 1);
	wait_events(ep, 0);
	write(p[1], "c", 1);
	wait_events(ep, 0);
	wait_events(ep, 0);
	say("oneshot");
	R(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3));
	wait_events(ep, 0);
	write(p[1], "d", 1);
	wait_events(ep, 0);
	R(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4));
	wait_events(ep, 0);
	say("hangup");
	close(p[1]);
	R(ctl(ep, EPOLL_CTL_MOD, p[0], 0, 5));
	wait_events(ep, 0);
	R(ctl(ep, EPOLL_CTL_DEL, p[0], 0, 0));
	R(ctl(ep, EPOLL_CTL_DEL, p[0], 0, 0));
	wait_events(ep, 0);
}

TEST(epoll_rules)
{
	int ep = must(epoll_create(1)), p[2], s[2];
	must(pipe(p));
	R(ctl(ep, EPOLL_CTL_ADD, open("/dev/null", O_RDONLY), EPOLLIN, 1));
	R(ctl(ep, EPOLL_CTL_ADD, open("f", O_RDWR | O_CREAT, 0600), EPOLLIN, 1));
	R(ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 1));
	R(ctl(ep, EPOLL_CTL_ADD, 999, EPOLLIN, 1));
	R(ctl(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 1));
	R(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 1));
	R(ctl(ep, 99, p[0], EPOLLIN, 1));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], (void *)8));
	struct epoll_event e;
	R(epoll_wait(ep, &e, 0, 0));
	R(epoll_wait(ep, &e, -1, 0));
	R(epoll_wait(p[0], &e, 1, 0));
	R(epoll_create(0));
	R(epoll_create1(1));
	// A duplicate keeps the entry alive after the original is closed.
	R(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
	int d = dup(p[0]);
	write(p[1], "x", 1);
	close(p[0]);
	wait_events(ep, 0);
	close(d);
	wait_events(ep, 0);
	// Nested, and from a child.
	int outer = must(epoll_create1(0));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(ctl(ep, EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLRDHUP, 8));
	must(ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 9));
	R(ctl(ep, EPOLL_CTL_ADD, outer, EPOLLIN, 1));
	wait_events(outer, 0);
	pid_t c = CHILD(millis(50); write(s[1], "y", 1));
	wait_events(outer, 5000);
	wait_events(ep, 0);
	reap("c", c);
	shutdown(s[1], SHUT_WR);
	wait_events(ep, 0);
	close(s[1]);
	wait_events(ep, 0);
}

TEST(epoll_many)
{
	int ep = must(epoll_create1(0)), p[50][2];
	for (int i = 0; i < 50; i++) {
		must(pipe(p[i]));
		must(ctl(ep, EPOLL_CTL_ADD, p[i][0], EPOLLIN, i));
	}
	for (int i = 0; i < 50; i += 2)
		write(p[i][1], "x", 1);
	struct epoll_event e[50];
	R(epoll_wait(ep, e, 50, 0));
	int seen[50] = {0}, rounds = 0;
	for (; rounds < 5; rounds++) { // fair: a small buffer sees all in turn
		int n = epoll_wait(ep, e, 5, 0);
		for (int i = 0; i < n; i++)
			seen[e[i].data.u64] = 1;
	}
	int sum = 0;
	for (int i = 0; i < 50; i++)
		sum += seen[i];
	say("%d seen", sum);
}

TEST(eventfd)
{
	int fd = must(eventfd(3, EFD_NONBLOCK));
	uint64_t v;
	R(read(fd, &v, 8));
	say("%lu", (unsigned long)v);
	R(read(fd, &v, 8));
	v = -2UL;
	R(write(fd, &v, 8));
	v = 1;
	R(write(fd, &v, 8));
	struct pollfd f = {fd, POLLIN | POLLOUT};
	poll(&f, 1, 0);
	say("%#x", f.revents);
	v = -1UL;
	R(write(fd, &v, 8));
	R(write(fd, &v, 4));
	R(read(fd, &v, 4));
	fd = must(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	for (int i = 0; i < 3; i++) {
		v = 0;
		R(read(fd, &v, 8));
		say("%lu", (unsigned long)v);
	}
	R(eventfd(0, 0x40));
	fd = must(eventfd(0, 0));
	pid_t c = CHILD(uint64_t n = 5; millis(50); write(fd, &n, 8));
	R(read(fd, &v, 8));
	say("%lu", (unsigned long)v);
	reap("c", c);
}

TEST(timerfd)
{
	int fd = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	uint64_t v;
	R(read(fd, &v, 8));
	struct itimerspec it = {{0, 10000000}, {0, 10000000}}, old;
	R(timerfd_settime(fd, 0, &it, NULL));
	struct pollfd f = {fd, POLLIN};
	R(poll(&f, 1, 5000));
	millis(55);
	R(read(fd, &v, 8));
	T(v >= 5 && v < 50);
	R(timerfd_gettime(fd, &old));
	T(old.it_interval.tv_nsec == 10000000 && old.it_value.tv_nsec <= 10000000);
	it = (struct itimerspec){0};
	R(timerfd_settime(fd, 0, &it, &old));
	T(old.it_interval.tv_nsec == 10000000);
	millis(30);
	R(read(fd, &v, 8) == -1);
	clock_gettime(CLOCK_MONOTONIC, &it.it_value);
	R(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL)); // in the past
	R(poll(&f, 1, 1000));
	R(read(fd, &v, 8));
	it.it_value.tv_nsec = 1000000000;
	R(timerfd_settime(fd, 0, &it, NULL));
	R(timerfd_create(99, 0));
	R(timerfd_create(CLOCK_MONOTONIC, 0x40));
	R(timerfd_settime(0, 0, &old, NULL));
	R(timerfd_gettime(99, &old));
	int b = must(timerfd_create(CLOCK_REALTIME, 0));
	it = (struct itimerspec){{0}, {0, 20000000}};
	must(timerfd_settime(b, 0, &it, NULL));
	R(read(b, &v, 8));
	say("%lu", (unsigned long)v);
	R(write(b, &v, 8));
}
