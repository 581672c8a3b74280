// POSIX message queues.
#include "guest.h"
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>

static char name[64];
static int count;

// fresh makes a name that no other run of this has.
static char *fresh(void)
{
	snprintf(name, sizeof name, "/sysemu-test-%d-%d", getpid(), count++);
	return name;
}

static mqd_t make(long max, long size, int flags)
{
	struct mq_attr a = {0, max, size};
	mqd_t q = must(mq_open(fresh(), O_CREAT | O_EXCL | O_RDWR | flags, 0600, &a));
	must(mq_unlink(name));
	return q;
}

static void show(mqd_t q)
{
	struct mq_attr a;
	must(mq_getattr(q, &a));
	say("flags %lx max %ld size %ld now %ld", a.mq_flags, a.mq_maxmsg, a.mq_msgsize, a.mq_curmsgs);
}

static void ready(const char *what, mqd_t q)
{
	struct pollfd p = {q, POLLIN | POLLOUT};
	int n = poll(&p, 1, 0);
	say("%s: poll %d %x", what, n, p.revents);
}

static void get(mqd_t q)
{
	char b[8192];
	unsigned prio = 99;
	ssize_t n = mq_receive(q, b, sizeof b, &prio);
	if (n < 0)
		say("receive: %s", errname(errno));
	else
		say("received %.*s prio %u", (int)n, b, prio);
}

TEST(order)
{
	mqd_t q = make(10, 100, O_NONBLOCK);
	show(q); ready("empty", q); get(q);
	R(mq_send(q, "one", 3, 1)); R(mq_send(q, "five", 4, 5)); R(mq_send(q, "uno", 3, 1)); R(mq_send(q, "", 0, 3)); R(mq_send(q, "top", 3, 32767));
	R(mq_send(q, "x", 1, 32768));
	show(q); ready("some", q);
	for (int i = 0; i < 6; i++) get(q);
	for (int i = 0; i < 11; i++) R(mq_send(q, "abc", 3, i % 3));
	ready("full", q);
	char b[200], path[64];
	int n = pread(q, b, sizeof b, 0); say("%d %.*s", n, n, b);
	n = pread(q, b, 5, 6); say("%d %.*s", n, n, b);
	R(write(q, "x", 1));
	R(lseek(q, 10, SEEK_SET));
	struct stat st;
	fstat(q, &st); say("mode %o size %ld nlink %d", st.st_mode, (long)st.st_size, (int)st.st_nlink);
	say("fl %x fd %x", fcntl(q, F_GETFL), fcntl(q, F_GETFD));
	snprintf(path, sizeof path, "/proc/self/fd/%d", q);
	n = readlink(path, b, sizeof b); T(n > 10 && !memcmp(b + n - 10, " (deleted)", 10));
}

TEST(errors)
{
	struct mq_attr a = {0, 10, 100};
	char b[100], longname[300] = "/";
	memset(longname + 1, 'a', 260);
	R(mq_open(fresh(), O_RDWR));
	R(syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, NULL)); R(syscall(SYS_mq_open, "a/b", O_RDWR | O_CREAT, 0600, NULL));
	R(syscall(SYS_mq_open, ".", O_RDWR | O_CREAT, 0600, NULL)); R(syscall(SYS_mq_open, NULL, O_RDWR, 0, NULL));
	R(mq_open(longname, O_RDWR | O_CREAT, 0600, NULL));
	R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, (void *)16));
	a.mq_maxmsg = 0; R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, &a));
	a.mq_maxmsg = -1; R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, &a));
	a.mq_maxmsg = 10, a.mq_msgsize = 0; R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, &a));
	a.mq_msgsize = 17 << 20; R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, &a));
	a.mq_msgsize = 8192; // 10 * (8192 + 96) count
	reap("limit", CHILD(setrlimit(RLIMIT_MSGQUEUE, &(struct rlimit){82879, 82879}); R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, &a))));
	a.mq_msgsize = 100, a.mq_maxmsg = 65537; R(mq_open(fresh(), O_RDWR | O_CREAT, 0600, &a));
	a.mq_maxmsg = 10;
	mqd_t q = must(mq_open(fresh(), O_RDWR | O_CREAT | O_NONBLOCK, 0644, &a));
	R(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0644, &a));
	R(mq_open(name, 3));
	R(mq_send(q, b, 101, 0)); R(mq_receive(q, b, 99, NULL)); R(mq_send(q, (void *)16, 10, 0));
	R(mq_send(-1, b, 1, 0)); R(mq_send(1, b, 1, 0)); R(mq_receive(1, b, 100, NULL)); R(mq_notify(1, NULL)); R(mq_getattr(1, &a));
	a.mq_flags = O_APPEND; R(mq_setattr(q, &a, NULL));
	mqd_t r = must(mq_open(name, O_RDONLY)), w = must(mq_open(name, O_WRONLY));
	R(mq_send(r, b, 1, 0)); R(mq_receive(w, b, 100, NULL));
	show(r); a.mq_flags = O_NONBLOCK; R(mq_setattr(r, &a, &a)); show(r); show(q);
	struct timespec bad = {0, 1000000000}, past = {1, 0};
	R(mq_timedsend(w, b, 1, 0, &bad)); R(mq_timedreceive(q, b, 100, NULL, (void *)16)); R(mq_timedreceive(q, b, 100, NULL, &past));
	a.mq_flags = 0; mq_setattr(q, &a, NULL);
	R(mq_timedreceive(q, b, 100, NULL, &past));
	reap("another user", CHILD(must(setresgid(1000, 1000, 1000)); must(setresuid(1000, 1000, 1000)); OK(mq_open(name, O_RDONLY)); R(mq_open(name, O_RDWR)); R(mq_unlink(name));
		a.mq_maxmsg = 11; R(mq_open("/sysemu-other", O_RDWR | O_CREAT, 0600, &a)); a.mq_maxmsg = 10, a.mq_msgsize = 8193; R(mq_open("/sysemu-other", O_RDWR | O_CREAT, 0600, &a))));
	R(mq_unlink(name)); R(mq_unlink(name)); R(mq_open(name, O_RDWR));
	show(w);
}

static void after(mqd_t q, const char *m) { must(mq_send(q, m, strlen(m), 0)); }

TEST(waiting)
{
	mqd_t q = make(2, 100, 0), back = make(2, 100, 0);
	char b[100];
	pid_t c = CHILD(get(q); after(back, "x"); get(q));
	after(q, "first"); must(mq_receive(back, b, 100, NULL)); after(q, "second");
	reap("receiver", c);
	after(q, "a"), after(q, "b");
	c = CHILD(after(q, "c"); after(back, "sent"));
	get(q); must(mq_receive(back, b, 100, NULL)); reap("sender", c); get(q); get(q);
	struct timespec soon;
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 10000000; if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
	R(mq_timedreceive(q, b, 100, NULL, &soon));
	after(q, "a"), after(q, "b");
	R(mq_timedsend(q, b, 1, 0, &soon));
}

static volatile int got;
static siginfo_t info;
static void told(int sig, siginfo_t *si, void *uc) { got++; info = *si; }
static void nothing(int sig) {}

TEST(notify)
{
	mqd_t q = make(3, 100, 0);
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
	char b[200];
	int n;
	handle(SIGUSR1, told, SA_SIGINFO | SA_RESTART);
	R(mq_notify(q, &e)); R(mq_notify(q, &e));
	n = pread(q, b, sizeof b, 0); T(n == 60 || n > 50); say("%.36s", b);
	after(q, "x");
	say("got %d code %d value %d self %d", got, info.si_code, info.si_value.sival_int, info.si_pid == getpid());
	after(q, "y"); say("got %d", got); get(q), get(q);
	R(mq_notify(q, &e)); R(mq_notify(q, NULL)); after(q, "x"); say("got %d", got); get(q);
	e.sigev_notify = SIGEV_NONE; R(mq_notify(q, &e)); after(q, "x"); R(mq_notify(q, &e)); get(q); R(mq_notify(q, NULL));
	e.sigev_notify = 5; R(mq_notify(q, &e));
	e.sigev_notify = SIGEV_SIGNAL, e.sigev_signo = 65; R(mq_notify(q, &e));
	e.sigev_signo = SIGUSR1;
	reap("child", CHILD(R(mq_notify(q, &e)); reap("grandchild", CHILD(R(mq_notify(q, &e)); R(mq_notify(q, NULL)); after(q, "x")));
		say("got %d not self %d", got, info.si_pid != getpid()); get(q); R(mq_notify(q, &e)); mq_close(dup(q)); R(mq_notify(q, &e)))); // closing takes it back
	R(mq_notify(q, &e));
}

static volatile int threaded;
static void in_thread(union sigval v) { threaded = v.sival_int; }

TEST(notify_thread)
{
	mqd_t q = make(3, 100, 0);
	struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_int = 99};
	R(mq_notify(q, &e));
	after(q, "x");
	while (!threaded) sched_yield();
	say("told %d", threaded);
	get(q);
	R(mq_notify(q, &e)); R(mq_notify(q, NULL));
}

TEST(interrupted)
{
	mqd_t q = make(1, 100, 0);
	char b[100];
	handle(SIGALRM, nothing, 0);
	ualarm(20000, 0);
	R(mq_receive(q, b, 100, NULL));
	int ep = epoll_create1(0);
	struct epoll_event ev = {EPOLLIN}, out;
	R(epoll_ctl(ep, EPOLL_CTL_ADD, q, &ev)); R(epoll_wait(ep, &out, 1, 0)); after(q, "x"); R(epoll_wait(ep, &out, 1, 0));
	handle(SIGALRM, nothing, SA_RESTART);
	pid_t c = CHILD(pause());
	kill(c, SIGKILL); waitpid(c, NULL, 0);
}
