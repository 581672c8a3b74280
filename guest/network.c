// TCP and UDP over the loopback interface, and what tells of it; inotify and epoll as programs use them.
#include "guest.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return a;
}

// listener returns a listening socket and its address.
static int listener(struct sockaddr_in *a)
{
	int s = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	socklen_t n = sizeof *a;
	*a = loopback(0);
	if (bind(s, (void *)a, n) || listen(s, 5) || getsockname(s, (void *)a, &n))
		say("listener: %s", errname(errno));
	return s;
}

// pair returns both ends of a TCP connection.
static void pair(int p[2])
{
	struct sockaddr_in a;
	int l = listener(&a);
	p[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(p[0], (void *)&a, sizeof a))
		say("connect: %s", errname(errno));
	p[1] = accept(l, 0, 0);
	close(l);
}

static int events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
	poll(&p, 1, 200);
	return p.revents;
}

TEST(tcp_echo)
{
	struct sockaddr_in a, b;
	socklen_t n = sizeof b;
	int l = listener(&a);
	pid_t child = fork();
	if (!child) {
		int s = socket(AF_INET, SOCK_STREAM, 0);
		char buf[100];
		connect(s, (void *)&a, sizeof a);
		for (int i = 0; i < 100; i++) {
			write(s, "ping", 4);
			if (recv(s, buf, 4, MSG_WAITALL) != 4 || memcmp(buf, "pong", 4))
				_exit(1);
		}
		shutdown(s, SHUT_WR);
		_exit(read(s, buf, 100) != 0);
	}
	int c = accept(l, (void *)&b, &n), on = 1;
	say("peer is loopback: %d, family %d, length %d", b.sin_addr.s_addr == htonl(INADDR_LOOPBACK), b.sin_family, n);
	reported("TCP_NODELAY", setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	char buf[100];
	long k, total = 0;
	while ((k = recv(c, buf, 4, MSG_WAITALL)) > 0) {
		total += k;
		write(c, "pong", 4);
	}
	say("end %ld after %ld", k, total);
	close(c);
	int st;
	waitpid(child, &st, 0);
	say("child %d", st);
}

TEST(tcp_refused)
{
	struct sockaddr_in a;
	int l = listener(&a);
	close(l);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	reported("connect", connect(s, (void *)&a, sizeof a));
	reported("connect", connect(s, (void *)&a, sizeof a));
	int t = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
	socklen_t n = sizeof err;
	reported("connect without waiting", connect(t, (void *)&a, sizeof a));
	say("events %x", events(t));
	getsockopt(t, SOL_SOCKET, SO_ERROR, &err, &n);
	say("SO_ERROR %s", errname(err));
	reported("getpeername", getpeername(t, (void *)&a, &n));
	reported("write", send(t, "x", 1, MSG_NOSIGNAL));
}

TEST(tcp_connect_without_waiting)
{
	struct sockaddr_in a;
	int l = listener(&a), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 1;
	socklen_t n = sizeof err;
	reported("connect", connect(s, (void *)&a, sizeof a));
	say("events %x", events(s));
	getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n);
	say("SO_ERROR %d", err);
	reported("connect", connect(s, (void *)&a, sizeof a));
	reported("connect", connect(s, (void *)&a, sizeof a));
	say("listener %x", events(l));
	int c = accept4(l, 0, 0, SOCK_NONBLOCK);
	char x;
	reported("read", read(c, &x, 1));
	fcntl(l, F_SETFL, O_NONBLOCK);
	R(accept(l, 0, 0));
}

TEST(tcp_accept_timeout)
{
	struct sockaddr_in a;
	int l = listener(&a);
	struct timeval tv = {0, 10000};
	R(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	R(accept(l, 0, 0));
}

TEST(tcp_half_close)
{
	int p[2];
	char buf[10];
	pair(p);
	write(p[0], "abc", 3);
	shutdown(p[0], SHUT_WR);
	say("events %x %x", events(p[0]), events(p[1]));
	reported("read", read(p[1], buf, 10));
	reported("read", read(p[1], buf, 10));
	reported("write", write(p[1], "de", 2));
	reported("read", read(p[0], buf, 10));
	reported("write after SHUT_WR", send(p[0], "x", 1, MSG_NOSIGNAL));
	close(p[1]);
	say("events %x", events(p[0]));
	reported("read", read(p[0], buf, 10));
}

TEST(tcp_reset)
{
	int p[2];
	char buf[10];
	pair(p);
	write(p[0], "abc", 3);
	millis(1);
	close(p[1]); // with bytes that were not read
	millis(1);
	say("events %x", events(p[0]));
	reported("read", read(p[0], buf, 10));
	reported("read", read(p[0], buf, 10));
	reported("write", send(p[0], "x", 1, MSG_NOSIGNAL));
	pair(p);
	close(p[1]);
	millis(1);
	reported("write to nobody", send(p[0], "x", 1, MSG_NOSIGNAL));
	millis(1);
	reported("again", send(p[0], "x", 1, MSG_NOSIGNAL));
	reported("read", read(p[0], buf, 10));
	pair(p);
	struct linger lg = {1, 0};
	setsockopt(p[1], SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
	close(p[1]);
	millis(1);
	reported("read after a hard close", read(p[0], buf, 10));
}

static void piped(int s)
{
	say("SIGPIPE");
	_exit(0);
}

TEST(tcp_sigpipe)
{
	int p[2];
	pair(p);
	shutdown(p[0], SHUT_WR);
	signal(SIGPIPE, piped);
	write(p[0], "x", 1);
	say("not told");
}

TEST(tcp_much)
{
	int p[2], st;
	pair(p);
	const long total = 8 << 20;
	static unsigned char buf[70000];
	if (!fork()) {
		close(p[1]);
		unsigned v = 0;
		for (long done = 0; done < total;) {
			long n = total - done < (long)sizeof buf ? total - done : (long)sizeof buf;
			for (long i = 0; i < n; i++)
				buf[i] = (v++ * 2654435761u) >> 24;
			long k = write(p[0], buf, n);
			if (k <= 0)
				_exit(1);
			v -= n - k;
			done += k;
		}
		_exit(0);
	}
	close(p[0]);
	long got = 0, k;
	unsigned v = 0;
	bool same = true;
	while ((k = read(p[1], buf, 1 + got % 65000)) > 0) {
		for (long i = 0; i < k; i++)
			same &= buf[i] == (unsigned char)((v++ * 2654435761u) >> 24);
		got += k;
	}
	wait(&st);
	say("got %ld, same %d, writer %d", got, same, st);
}

TEST(udp)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in sa = loopback(0), from;
	socklen_t n = sizeof sa;
	bind(a, (void *)&sa, n);
	getsockname(a, (void *)&sa, &n);
	reported("sendto", sendto(b, "hello", 5, 0, (void *)&sa, n));
	reported("empty", sendto(b, "", 0, 0, (void *)&sa, n));
	char buf[10];
	n = sizeof from;
	reported("recvfrom", recvfrom(a, buf, 3, MSG_TRUNC, (void *)&from, &n));
	say("from loopback %d", from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	reported("recv", recv(a, buf, 10, 0));
	reported("recv", recv(a, buf, 10, MSG_DONTWAIT));
	reported("sendto back", sendto(a, "x", 1, 0, (void *)&from, n));
	reported("too long", sendto(a, malloc(70000), 65508, 0, (void *)&from, n));
	reported("recv", recv(b, buf, 10, 0));
	close(a);
	reported("connect", connect(b, (void *)&sa, sizeof sa));
	reported("send to nobody", send(b, "x", 1, 0));
	millis(1);
	say("events %x", events(b));
	reported("send", send(b, "x", 1, 0));
	reported("no destination", send(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0));
}

TEST(ports)
{
	struct sockaddr_in a;
	int l = listener(&a), s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	reported("bind", bind(s, (void *)&a, sizeof a));
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	reported("bind with SO_REUSEADDR", bind(s, (void *)&a, sizeof a));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	reported("bind to another address", bind(s, (void *)&a, sizeof a));
	reported("bind again", bind(s, (void *)&a, sizeof a));
	a = loopback(0);
	a.sin_addr.s_addr = inet_addr("192.0.2.1");
	reported("bind to a far address", bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof a));
	reported("short address", bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, 4));
	a.sin_family = AF_UNIX;
	reported("wrong family", bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof a));
}

TEST(getaddrinfo_localhost)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *r;
	int err = getaddrinfo("localhost", "80", &hints, &r);
	say("%d", err);
	if (!err)
		say("%s", inet_ntoa(((struct sockaddr_in *)r->ai_addr)->sin_addr));
}

TEST(interfaces)
{
	struct ifaddrs *list;
	reported("getifaddrs", getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (!strcmp(i->ifa_name, "lo") && i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			say("lo %s flags %x", inet_ntoa(((struct sockaddr_in *)i->ifa_addr)->sin_addr), i->ifa_flags);
	say("index %d", if_nametoindex("lo"));
	char name[IF_NAMESIZE] = "";
	if_indextoname(1, name);
	say("name %s", name);
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	reported("SIOCGIFFLAGS", ioctl(s, SIOCGIFFLAGS, &r));
	say("%x", r.ifr_flags);
	reported("SIOCGIFADDR", ioctl(s, SIOCGIFADDR, &r));
	say("%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
	strcpy(r.ifr_name, "none0");
	reported("no such interface", ioctl(s, SIOCGIFMTU, &r));
}

TEST(sendfile_to_a_socket)
{
	int p[2], f = memfd_create("f", 0);
	char buf[100];
	pair(p);
	write(f, "0123456789", 10);
	off_t off = 3;
	reported("sendfile", sendfile(p[0], f, &off, 5));
	say("offset %ld", (long)off);
	reported("read", read(p[1], buf, 100));
	say("%.5s", buf);
}

static int shared_epoll;
static void *waiter(void *arg)
{
	struct epoll_event e;
	int n = epoll_wait(shared_epoll, &e, 1, 2000);
	if (n == 1) {
		char x;
		read(e.data.fd, &x, 1);
	}
	return (void *)(long)n;
}

TEST(epoll_threads)
{
	int p[2][2];
	pthread_t t[2];
	void *r[2];
	shared_epoll = epoll_create1(0);
	for (int i = 0; i < 2; i++) {
		pair(p[i]);
		struct epoll_event e = {EPOLLIN | EPOLLONESHOT, {.fd = p[i][1]}};
		epoll_ctl(shared_epoll, EPOLL_CTL_ADD, p[i][1], &e);
		pthread_create(&t[i], 0, waiter, 0);
	}
	millis(20);
	for (int i = 0; i < 2; i++)
		write(p[i][0], "x", 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], &r[i]);
	say("%ld %ld", (long)r[0], (long)r[1]);
	struct epoll_event e;
	reported("none left", epoll_wait(shared_epoll, &e, 1, 0));
}

TEST(epoll_edges)
{
	int p[2], ep = epoll_create1(0);
	struct epoll_event e = {EPOLLIN | EPOLLRDHUP | EPOLLET, {.u32 = 7}};
	char buf[10];
	pair(p);
	reported("add", epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
	reported("add again", epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
	reported("none", epoll_wait(ep, &e, 1, 0));
	write(p[0], "ab", 2);
	reported("one", epoll_wait(ep, &e, 1, 1000));
	say("%x %d", e.events, e.data.u32);
	reported("no edge", epoll_wait(ep, &e, 1, 0));
	read(p[1], buf, 1);
	reported("no edge by reading", epoll_wait(ep, &e, 1, 0));
	write(p[0], "c", 1);
	reported("an edge", epoll_wait(ep, &e, 1, 1000));
	shutdown(p[0], SHUT_WR);
	millis(1);
	reported("hang-up", epoll_wait(ep, &e, 1, 1000));
	say("%x", e.events);
	close(p[1]);
	reported("closed", epoll_wait(ep, &e, 1, 0));
	reported("a directory", epoll_ctl(ep, EPOLL_CTL_ADD, open("/", O_RDONLY), &e));
	reported("itself", epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
	reported("no events wanted", epoll_wait(ep, &e, 0, 0));
}

static void told(int in)
{
	char buf[4096] __attribute__((aligned(8)));
	long n = read(in, buf, sizeof buf);
	if (n < 0) {
		say("  %s", errname(errno));
		return;
	}
	for (char *p = buf; p < buf + n;) {
		struct inotify_event *e = (void *)p;
		say("  %d %x %s %s", e->wd, e->mask, e->cookie ? "cookie" : "-", e->len ? e->name : "");
		p += sizeof *e + e->len;
	}
}

TEST(inotify)
{
	char dir[] = "/tmp/inotifyXXXXXX", name[100], other[100];
	mkdtemp(dir);
	sprintf(name, "%s/file", dir);
	sprintf(other, "%s/other", dir);
	int in = inotify_init1(IN_NONBLOCK);
	reported("watch", inotify_add_watch(in, dir, IN_ALL_EVENTS));
	told(in);
	int fd = open(name, O_CREAT | O_RDWR, 0600);
	write(fd, "x", 1);
	told(in);
	reported("watch a file", inotify_add_watch(in, name, IN_ATTRIB | IN_DELETE_SELF));
	fchmod(fd, 0640);
	close(fd);
	rename(name, other);
	told(in);
	mkdir(name, 0700);
	unlink(other);
	told(in);
	rmdir(name);
	rmdir(dir);
	told(in);
	reported("remove", inotify_rm_watch(in, 1));
	reported("not there", inotify_add_watch(in, name, IN_CREATE));
	reported("nothing asked", inotify_add_watch(in, "/tmp", 0));
	reported("not inotify", inotify_add_watch(0, "/tmp", IN_CREATE));
}
