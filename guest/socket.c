// AF_UNIX sockets.
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[1 << 18];

static socklen_t name(struct sockaddr_un *a, const char *s, size_t n)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, s, n);
	return offsetof(struct sockaddr_un, sun_path) + n;
}

static int listener(int type, const char *path)
{
	struct sockaddr_un a;
	int s = must(socket(AF_UNIX, type, 0));
	must(bind(s, (void *)&a, name(&a, path, strlen(path) + 1)));
	if (type != SOCK_DGRAM)
		must(listen(s, 5));
	return s;
}

static int dial(int type, const char *path)
{
	struct sockaddr_un a;
	int s = must(socket(AF_UNIX, type, 0));
	int r = connect(s, (void *)&a, name(&a, path, strlen(path) + 1));
	if (r == -1) {
		int e = errno;
		close(s);
		errno = e;
		return -1;
	}
	return s;
}

TEST(stream)
{
	struct sockaddr_un a;
	int l = listener(SOCK_STREAM, "s"), c = dial(SOCK_STREAM, "s");
	socklen_t n = sizeof a;
	int d = OK(accept4(l, (void *)&a, &n, SOCK_CLOEXEC));
	say("peer's length %u", n);
	n = sizeof a;
	R(getpeername(c, (void *)&a, &n));
	say("%s, length %u", a.sun_path, n);
	n = sizeof a;
	R(getsockname(d, (void *)&a, &n));
	say("%s, length %u", a.sun_path, n);
	R(send(c, "hello", 5, 0));
	R(send(c, "world", 5, 0));
	R(recv(d, buf, 3, MSG_PEEK));
	R(recv(d, buf, 100, 0));
	say("%.10s", buf);
	R(recv(d, buf, 100, MSG_DONTWAIT));
	R(shutdown(c, SHUT_WR));
	R(recv(d, buf, 100, 0));
	R(send(c, "x", 1, MSG_NOSIGNAL));
	R(send(d, "back", 4, 0));
	R(recv(c, buf, 100, 0));
	struct stat st;
	stat("s", &st);
	T(S_ISSOCK(st.st_mode));
	close(d);
	R(recv(c, buf, 1, 0));
	R(send(c, "x", 1, MSG_NOSIGNAL));
	reap("SIGPIPE", CHILD(send(c, "x", 1, 0)));
	close(l);
	R(dial(SOCK_STREAM, "s"));
	R(open("s", O_RDONLY));
}

TEST(errors)
{
	struct sockaddr_un a;
	R(dial(SOCK_STREAM, "nope"));
	close(open("file", O_CREAT | O_RDWR, 0600));
	R(dial(SOCK_STREAM, "file"));
	int l = listener(SOCK_STREAM, "s");
	R(dial(SOCK_DGRAM, "s"));
	R(dial(SOCK_SEQPACKET, "s"));
	int s = must(socket(AF_UNIX, SOCK_STREAM, 0));
	R(bind(s, (void *)&a, name(&a, "s", 2)));
	R(bind(s, (void *)&a, name(&a, "file", 5)));
	R(bind(s, (void *)&a, name(&a, "no/dir", 7)));
	R(bind(s, (void *)&a, 1));
	R(bind(s, (void *)&a, 200));
	R(connect(s, (void *)&a, 1));
	R(listen(s, 1));
	R(accept(s, NULL, NULL));
	R(recv(s, buf, 1, 0));
	R(send(s, buf, 1, MSG_NOSIGNAL));
	R(getpeername(s, (void *)&a, &(socklen_t){sizeof a}));
	R(shutdown(s, SHUT_RD));
	R(shutdown(l, 9));
	R(socket(AF_UNIX, 77, 0));
	R(socket(AF_UNIX, SOCK_STREAM, 5));
	R(socket(200, SOCK_STREAM, 0));
	R(accept(0, NULL, NULL));
	R(listen(99, 1));
	R(bind(s, (void *)&a, name(&a, "bound", 6)));
	R(bind(s, (void *)&a, name(&a, "again", 6)));
	R(listen(s, 0));
	fcntl(s, F_SETFL, O_NONBLOCK);
	R(accept(s, NULL, NULL));
	int c = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)), d = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	R(connect(c, (void *)&a, name(&a, "bound", 6)));
	R(connect(d, (void *)&a, name(&a, "bound", 6))); // the backlog is full
	R(connect(c, (void *)&a, name(&a, "bound", 6)));
	R(accept(s, (void *)8, &(socklen_t){10}) >= 0);
}

TEST(datagram)
{
	struct sockaddr_un a;
	socklen_t n = sizeof a;
	int s = listener(SOCK_DGRAM, "d"), c = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	R(sendto(c, "one", 3, 0, (void *)&a, name(&a, "d", 2)));
	R(connect(c, (void *)&a, name(&a, "d", 2)));
	R(send(c, "two!", 4, 0));
	R(send(c, "", 0, 0));
	R(recvfrom(s, buf, 2, 0, (void *)&a, &n));
	say("anonymous sender: %u", n);
	R(recv(s, buf, 2, MSG_TRUNC));
	R(recv(s, buf, 10, 0));
	R(bind(c, (void *)&a, name(&a, "back", 5)));
	R(send(c, "3", 1, 0));
	n = sizeof a;
	R(recvfrom(s, buf, 10, 0, (void *)&a, &n));
	say("from %s", a.sun_path);
	R(sendto(s, "reply", 5, 0, (void *)&a, n));
	R(recv(c, buf, 10, 0));
	R(send(s, "x", 1, 0));
	close(s);
	R(send(c, "x", 1, 0));
	R(sendto(c, "x", 1, 0, (void *)&a, name(&a, "nope", 5)));
	int p[2];
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	R(send(p[0], buf, sizeof buf, MSG_DONTWAIT) == -1 ? errno == EMSGSIZE || errno == EAGAIN : 1);
	struct msghdr m = {0};
	struct iovec v = {buf, 3};
	m.msg_iov = &v;
	m.msg_iovlen = 1;
	send(p[0], "longer", 6, 0);
	R(recvmsg(p[1], &m, 0));
	T(m.msg_flags & MSG_TRUNC);
	close(p[0]);
	R(recv(p[1], buf, 1, MSG_DONTWAIT));
}

TEST(seqpacket)
{
	int p[2];
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	R(send(p[0], "first", 5, 0));
	R(send(p[0], "second", 6, MSG_EOR));
	R(recv(p[1], buf, 2, 0));
	R(recv(p[1], buf, 100, 0));
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	R(writev(p[0], v, 2));
	R(read(p[1], buf, 100));
	say("%.4s", buf);
	close(p[0]);
	R(recv(p[1], buf, 100, 0));
	int l = listener(SOCK_SEQPACKET, "q"), c = dial(SOCK_SEQPACKET, "q"), d = must(accept(l, NULL, NULL));
	R(send(c, "x", 1, 0));
	R(recv(d, buf, 9, 0));
}

TEST(abstract_and_autobind)
{
	struct sockaddr_un a;
	socklen_t n = sizeof a;
	int s = must(socket(AF_UNIX, SOCK_STREAM, 0)), c = must(socket(AF_UNIX, SOCK_STREAM, 0));
	R(bind(s, (void *)&a, name(&a, "\0sysemu guest test\0x", 20)));
	R(listen(s, 5));
	R(connect(c, (void *)&a, name(&a, "\0sysemu guest test\0x", 19)));
	R(connect(c, (void *)&a, name(&a, "\0sysemu guest test\0x", 20)));
	R(getpeername(c, (void *)&a, &n));
	say("length %u, %s", n, a.sun_path + 1);
	R(access("sysemu guest test", F_OK));
	int d = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	R(bind(d, (void *)&a, 2));
	n = sizeof a;
	R(getsockname(d, (void *)&a, &n));
	say("length %u, first %d", n, a.sun_path[0]);
}

static int pass(int s, int *fds, int n)
{
	char c[CMSG_SPACE(sizeof(int) * 260)];
	memset(c, 0, sizeof c);
	struct iovec v = {"fd", 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(h), fds, sizeof(int) * n);
	return sendmsg(s, &m, MSG_NOSIGNAL);
}

static int receive(int s, int *fds, int max, int flags, int *mflags)
{
	char c[CMSG_SPACE(sizeof(int) * 260)];
	struct iovec v = {buf, 100};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_LEN(sizeof(int) * max)};
	int r = recvmsg(s, &m, flags);
	if (mflags)
		*mflags = m.msg_flags;
	if (r < 0)
		return r;
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		return 0;
	int n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(h), n * sizeof(int));
	return n;
}

TEST(passing_descriptors)
{
	int s[2], p[2], got[10], flags;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(pipe(p));
	reap("sender", CHILD(int f[2] = {p[0], p[1]}; R(pass(s[0], f, 2))));
	close(p[0]);
	close(p[1]);
	R(receive(s[1], got, 10, MSG_CMSG_CLOEXEC, &flags));
	T(fcntl(got[0], F_GETFD) == FD_CLOEXEC);
	R(write(got[1], "through", 7));
	R(read(got[0], buf, 10));
	int f3[3] = {0, 1, 2};
	R(pass(s[0], f3, 3));
	R(receive(s[1], got, 1, 0, &flags));
	T(flags & MSG_CTRUNC);
	R(pass(s[0], f3, 1));
	R(read(s[1], buf, 10)); // the descriptor is dropped
	int bad = 999;
	R(pass(s[0], &bad, 1));
	int many[254];
	for (int i = 0; i < 254; i++)
		many[i] = 0;
	R(pass(s[0], many, 253));
	R(pass(s[0], many, 254));
	R(receive(s[1], got, 0, 0, &flags));
	// A message with descriptors ends what one read gives.
	send(s[0], "aa", 2, 0);
	pass(s[0], f3, 1);
	send(s[0], "bb", 2, 0);
	R(recv(s[1], buf, 100, 0));
	R(recv(s[1], buf, 100, 0));
	R(recv(s[1], buf, 100, MSG_DONTWAIT));
	// A socket in flight on itself.
	R(pass(s[0], &s[1], 1));
	close(s[0]);
	close(s[1]);
	// Closing the other end with descriptors in flight closes them.
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(pipe(p));
	pass(s[0], &p[1], 1);
	close(p[1]);
	close(s[0]);
	close(s[1]);
	R(read(p[0], buf, 1));
}

TEST(credentials)
{
	int s[2], one = 1;
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	struct ucred cr;
	socklen_t n = sizeof cr;
	R(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cr, &n));
	T(cr.pid == getpid() && cr.uid == getuid() && cr.gid == getgid());
	R(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
	pid_t c = CHILD(send(s[0], "x", 1, 0));
	char ctl[200];
	struct iovec v = {buf, 10};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
	R(recvmsg(s[1], &m, 0));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	say("level %d type %d", h ? h->cmsg_level : -1, h ? h->cmsg_type : -1);
	if (h)
		memcpy(&cr, CMSG_DATA(h), sizeof cr);
	T(cr.pid == c && cr.uid == getuid());
	reap("c", c);
	int l = listener(SOCK_STREAM, "s");
	c = CHILD(int d = dial(SOCK_STREAM, "s"); read(d, buf, 1));
	int d = must(accept(l, NULL, NULL));
	n = sizeof cr;
	getsockopt(d, SOL_SOCKET, SO_PEERCRED, &cr, &n);
	T(cr.pid == c);
	close(d);
	reap("c", c);
}

TEST(options)
{
	int s[2], v;
	socklen_t n;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int opts[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_PASSCRED, SO_REUSEADDR, SO_KEEPALIVE};
	for (unsigned i = 0; i < sizeof opts / sizeof *opts; i++) {
		v = -1;
		n = sizeof v;
		int r = getsockopt(s[0], SOL_SOCKET, opts[i], &v, &n);
		say("option %d: %d value %d size %u", opts[i], r, v, n);
	}
	R(getsockopt(s[0], SOL_SOCKET, 9999, &v, &n));
	R(getsockopt(s[0], 6, 1, &v, &n));
	R(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &n));
	R(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, 4));
	R(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 20000}, sizeof(struct timeval)));
	R(recv(s[0], buf, 1, 0));
	R(ioctl(s[0], FIONREAD, &v));
	send(s[1], "abc", 3, 0);
	ioctl(s[0], FIONREAD, &v);
	say("waiting %d", v);
	R(send(s[1], "x", 1, MSG_OOB) == 1 || errno == EOPNOTSUPP);
	R(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8));
	R(socketpair(AF_INET, SOCK_STREAM, 0, s));
}

TEST(full_buffers)
{
	int s[2];
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	long total = 0, r;
	while ((r = send(s[0], buf, 4096, 0)) > 0)
		total += r;
	say("%s, some %d", errname(errno), total > 10000);
	struct pollfd f = {s[0], POLLOUT};
	R(poll(&f, 1, 0));
	long got = 0;
	while ((r = recv(s[1], buf, sizeof buf, 0)) > 0)
		got += r;
	T(got == total);
	R(poll(&f, 1, 0));
	fcntl(s[0], F_SETFL, 0);
	fcntl(s[1], F_SETFL, 0);
	pid_t c = CHILD(close(s[1]); long n = 0; for (int i = 0; i < 8; i++) n += send(s[0], buf, sizeof buf, 0); _exit(n == 8 * sizeof buf ? 3 : 4));
	close(s[0]);
	got = 0;
	while ((r = recv(s[1], buf, sizeof buf, 0)) > 0)
		got += r;
	say("%ld", got);
	reap("sender", c);
}

TEST(mmsg)
{
	int s[2];
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	struct iovec v[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
	struct mmsghdr m[3] = {0};
	for (int i = 0; i < 3; i++)
		m[i].msg_hdr.msg_iov = &v[i], m[i].msg_hdr.msg_iovlen = 1;
	R(sendmmsg(s[0], m, 3, 0));
	for (int i = 0; i < 3; i++)
		v[i] = (struct iovec){buf + 10 * i, 10};
	R(recvmmsg(s[1], m, 3, MSG_DONTWAIT, NULL));
	say("%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	R(recvmmsg(s[1], m, 3, MSG_DONTWAIT, NULL));
}
