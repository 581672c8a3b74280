// seccomp_unotify(2): another process decides on calls.
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define NR offsetof(struct seccomp_data, nr)
#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define RET(v) BPF_STMT(BPF_RET | BPF_K, v)
#define ON(n, v) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), RET(v)

static int listen_on(int nr, unsigned flags)
{
	struct sock_filter f[] = {LOAD(NR), ON(nr, SECCOMP_RET_USER_NOTIF), RET(SECCOMP_RET_ALLOW)};
	struct sock_fprog p = {sizeof f / sizeof *f, f};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &p);
}

static void send_fd(int sock, int fd)
{
	char c = 0, buf[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof buf};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(h), &fd, sizeof fd);
	must(sendmsg(sock, &m, 0));
}

static int recv_fd(int sock)
{
	char c, buf[CMSG_SPACE(sizeof(int))];
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof buf};
	must(recvmsg(sock, &m, 0));
	int fd;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

// What a target has to say is shown when it has ended, so that the order is the same each time.
static struct {
	volatile int calls; // that have come back
	int n;
	char text[8192];
} *story;

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	story->n += vsnprintf(story->text + story->n, sizeof story->text - story->n, fmt, ap);
	va_end(ap);
}

static void ended(pid_t pid)
{
	reap("target", pid);
	write(1, story->text, story->n);
	story->n = 0;
}

static void tell_call(const char *what, long r)
{
	if (r == -1)
		tell("  %s: %s\n", what, errname(errno));
	else
		tell("  %s: %ld\n", what, r);
	story->calls++;
}

// A target makes calls under a filter and shows what came back; its parent has the listener.
static struct { pid_t pid; int listener; } start(int nr, unsigned flags, void (*run)(void))
{
	int s[2];
	story = mmap(NULL, sizeof *story, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	__typeof__(start(0, 0, 0)) r;
	r.pid = CHILD(int l = must(listen_on(nr, flags)); send_fd(s[1], l); close(l); close(s[1]); close(s[0]); run());
	close(s[1]);
	r.listener = recv_fd(s[0]);
	close(s[0]);
	return r;
}

static struct seccomp_notif recv_notif(int l)
{
	struct seccomp_notif n = {0};
	must(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &n));
	return n;
}

static int answer(int l, __u64 id, __s64 val, int error, unsigned flags)
{
	struct seccomp_notif_resp r = {id, val, error, flags};
	return ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void show_poll(const char *what, int l)
{
	struct pollfd p = {l, POLLIN | POLLOUT};
	int n = poll(&p, 1, 0);
	say("%s: poll %d events %x", what, n, p.revents);
}

static void getppid5(void)
{
	for (int i = 0; i < 5; i++)
		tell_call("getppid", syscall(SYS_getppid, 11L, 22L, 33L << 32, 44L, 55L, 66L));
}

static pid_t parent;

static void getppid_once(void) { tell("  getppid is right: %d\n", syscall(SYS_getppid, 1L) == parent); }

TEST(answers)
{
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, 0, getppid5);
	int l = s.listener;
	struct seccomp_notif n = recv_notif(l);
	say("pid %d nr %d arch %x flags %d", n.pid == s.pid, n.data.nr == SYS_getppid, n.data.arch, n.flags);
	for (int i = 0; i < 6; i++)
		say("arg %llx", n.data.args[i]);
	T(n.data.instruction_pointer != 0);
	show_poll("received", l);
	__u64 id = n.id;
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
	R(ioctl(l, SECCOMP_IOR(2, __u64), &id));
	id++;
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, NULL));
	R(answer(l, id, 1, 0, 0));
	R(answer(l, n.id, 1, 0, 2));
	R(answer(l, n.id, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	R(answer(l, n.id, 0, 1, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	R(answer(l, n.id, 12345, 0, 0));
	R(answer(l, n.id, 12345, 0, 0) == -1);
	n = recv_notif(l);
	R(n.id == id);
	R(answer(l, n.id, 0, -EXDEV, 0));
	n = recv_notif(l);
	R(answer(l, n.id, 0, 77, 0));
	n = recv_notif(l);
	R(answer(l, n.id, -EDOM, 0, 0));
	memset(&n, 0, sizeof n);
	n.pid = 1;
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &n));
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, NULL));
	void *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, ro));
	n = recv_notif(l);
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, NULL));
	R(answer(l, n.id, 5000000000, 0, 0));
	ended(s.pid);
	show_poll("gone", l);
	memset(&n, 0, sizeof n);
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &n));
	R(ioctl(l, 0x1234, 0));
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1));
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 2));
	char c, path[64], link[64];
	R(read(l, &c, 1));
	R(write(l, &c, 1));
	R(lseek(l, 0, SEEK_CUR));
	snprintf(path, sizeof path, "/proc/self/fd/%d", l);
	int k = readlink(path, link, sizeof link);
	say("%.*s flags %x", k, link, fcntl(l, F_GETFL));
}

TEST(runs)
{
	parent = getpid();
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, 0, getppid_once);
	struct seccomp_notif n = recv_notif(s.listener);
	R(answer(s.listener, n.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	ended(s.pid);
}

static void show_fd(int fd)
{
	char b[8] = {0};
	int e;
	lseek(fd, 0, SEEK_SET);
	e = read(fd, b, 3);
	tell("  fd %d: %d %s cloexec %d\n", fd, e, b, fcntl(fd, F_GETFD));
}

static void opens(void)
{
	for (int i = 0; i < 4; i++) {
		int fd = syscall(SYS_openat, 1, 2, 3, 4);
		if (fd >= 0)
			show_fd(fd);
		else
			tell("  openat: %s\n", errname(errno));
	}
	show_fd(20);
	show_fd(21);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){5, 5});
	syscall(SYS_openat, 1, 2, 3, 4);
}

static long addfd(int l, __u64 id, unsigned flags, int src, int new, unsigned nf)
{
	struct seccomp_notif_addfd a = {id, flags, src, new, nf};
	return ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
}

TEST(addfd)
{
	__typeof__(start(0, 0, 0)) s;
	int f = must(memfd_create("x", 0)), g = must(memfd_create("y", 0)), path = must(open("/", O_PATH));
	dup2(f, 50), dup2(g, 51), dup2(path, 52);
	close(f), close(g), close(path);
	f = 50, g = 51, path = 52;
	must(write(f, "one", 3));
	must(write(g, "two", 3));
	for (int fd = 3; fd < 50; fd++)
		close(fd);
	s = start(SYS_openat, 0, opens);
	int l = s.listener;
	struct seccomp_notif n = recv_notif(l);
	R(addfd(l, n.id + 9, 0, f, 0, 0));
	R(addfd(l, n.id, 8, f, 0, 0));
	R(addfd(l, n.id, 0, f, 7, 0));
	R(addfd(l, n.id, 0, f, 0, O_NONBLOCK));
	R(addfd(l, n.id, 0, 40, 0, 0));
	R(addfd(l, n.id, 0, path, 0, 0));
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, f, 100000000, 0));
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, f, 20, 0));
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, g, 21, O_CLOEXEC));
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, g, 20, 0));
	long fd = addfd(l, n.id, 0, f, 0, O_CLOEXEC);
	say("added %d", fd >= 0);
	R(answer(l, n.id, fd, 0, 0));
	n = recv_notif(l);
	say("added %d", addfd(l, n.id, SECCOMP_ADDFD_FLAG_SEND, g, 0, 0) >= 0);
	n = recv_notif(l);
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD, f, 30, 0));
	n = recv_notif(l);
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD, f, 100000000, 0));
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	char big[64] = {0};
	struct seccomp_notif_addfd a = {n.id, 0, f};
	memcpy(big, &a, sizeof a);
	long base = SECCOMP_IOCTL_NOTIF_ADDFD & ~(0x3fffL << 16);
	R(ioctl(l, base | 20L << 16, big));
	say("larger %d", ioctl(l, base | 64L << 16, big) >= 0);
	big[63] = 1;
	R(ioctl(l, base | 64L << 16, big));
	R(ioctl(l, base | 4096L << 16, big));
	R(answer(l, n.id, 0, -EBADF, 0));
	n = recv_notif(l); // its limit is 5 now
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SEND, f, 0, 0));
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, f, 5, 0));
	R(addfd(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, f, 4, 0));
	R(answer(l, n.id, 0, 0, 0));
	ended(s.pid);
}

static void twice(void)
{
	tell_call("first", syscall(SYS_getppid));
	tell_call("second", syscall(SYS_getppid));
}

TEST(closed)
{
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, 0, twice);
	recv_notif(s.listener);
	close(s.listener);
	ended(s.pid);
	s = start(SYS_getppid, 0, twice);
	struct pollfd p = {s.listener, POLLIN};
	R(poll(&p, 1, -1));
	close(s.listener);
	ended(s.pid);
}

static void nothing(int s) { tell("  handler\n"); }

static void interrupted(void)
{
	handle(SIGUSR1, nothing, 0);
	handle(SIGUSR2, nothing, SA_RESTART);
	tell_call("first", syscall(SYS_getppid));
	tell_call("second", syscall(SYS_getppid));
}

// wait_poll waits until the listener has the event.
static void wait_poll(int l, int ev)
{
	struct pollfd p = {l, ev};
	must(poll(&p, 1, -1));
	say("events %x", p.revents & ev);
}

// The call is interrupted before and after it has been received.
TEST(signals)
{
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, 0, interrupted);
	int l = s.listener;
	wait_poll(l, POLLIN);
	kill(s.pid, SIGUSR1);
	while (story->calls == 0)
		sched_yield();
	// The first has been given up: EINTR. This is the second.
	struct seccomp_notif n = {0};
	int r;
	while ((r = ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &n)) == -1 && errno == ENOENT)
		;
	say("%d", r);
	kill(s.pid, SIGUSR2);
	wait_poll(l, POLLIN);
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	R(answer(l, n.id, 0, 0, 0));
	n = recv_notif(l);
	R(answer(l, n.id, 42, 0, 0));
	ended(s.pid);
}

TEST(killable)
{
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, interrupted);
	int l = s.listener;
	struct seccomp_notif n = recv_notif(l);
	kill(s.pid, SIGUSR1);
	sched_yield();
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	R(answer(l, n.id, 42, 0, 0));
	n = recv_notif(l);
	kill(s.pid, SIGKILL);
	ended(s.pid);
	R(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	R(answer(l, n.id, 42, 0, 0));
	show_poll("gone", l);
}

TEST(killed)
{
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, 0, getppid_once);
	struct seccomp_notif n = recv_notif(s.listener);
	kill(s.pid, SIGKILL);
	ended(s.pid);
	R(answer(s.listener, n.id, 42, 0, 0));
	show_poll("gone", s.listener);
}

// The listener hangs up when the last that has the filter goes, not the one that made it.
static void forks(void)
{
	int p[2];
	must(pipe(p));
	if (fork() == 0) {
		char c;
		close(p[1]);
		read(p[0], &c, 1);
		tell_call("child", syscall(SYS_getppid));
		_exit(0);
	}
	close(p[0]);
	signal(SIGCHLD, SIG_IGN);
	tell_call("parent", syscall(SYS_getppid));
	write(p[1], "x", 1);
}

TEST(hangup)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	__typeof__(start(0, 0, 0)) s = start(SYS_getppid, 0, forks);
	struct seccomp_notif n = recv_notif(s.listener);
	show_poll("one", s.listener);
	R(answer(s.listener, n.id, 1, 0, 0));
	ended(s.pid);
	n = recv_notif(s.listener);
	show_poll("two", s.listener);
	R(answer(s.listener, n.id, 2, 0, 0));
	wait_poll(s.listener, POLLHUP);
	show_poll("gone", s.listener);
	write(1, story->text, story->n);
}

TEST(one_listener)
{
	reap("child", CHILD(
		OK(listen_on(SYS_getppid, 0));
		R(listen_on(SYS_getpgrp, 0));
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){4, 4});
		R(listen_on(SYS_getpgrp, 0));
		close(3);
		OK(listen_on(SYS_getpgrp, 0));
		R(fcntl(3, F_GETFD))));
}
