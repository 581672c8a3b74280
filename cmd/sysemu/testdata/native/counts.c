// counts FILE [EINTR]: makes calls from several threads and children, and checks each: that it was made, once, with the result
// that it is to have. getuid may be 4711 or what it is, chdir("/nowhere") may fail with ENOENT or EPERM. It ends when FILE
// is removed, and prints what was wrong. With EINTR, epoll_wait may fail with that.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int over, ticks;
static uid_t me;
static void bad(const char *what, long got, long want) {
	printf("%s: %ld (errno %d), want %ld\n", what, got, errno, want);
	fflush(stdout);
	over = 1;
}
static void tick(int s) { ticks++; }

static void calls(int fd, long n) {
	errno = 0;
	long v = syscall(SYS_getuid);
	if (v != me && v != 4711) bad("getuid", v, me);
	if ((v = syscall(SYS_chdir, "/nowhere")) != -1 || errno != ENOENT && errno != EPERM) bad("chdir", v, -1);
	errno = 0;
	if ((v = syscall(SYS_write, fd, "abcdefgh", 8)) != 8) bad("write", v, 8);
	if ((v = lseek(fd, 0, SEEK_CUR)) != n * 8) bad("file", v, n * 8);
	if ((v = syscall(SYS_gettid)) != gettid()) bad("gettid", v, gettid());
}

static int file(void) {
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0) bad("open", fd, 3);
	return fd;
}

static void *thread(void *x) {
	int fd = file();
	for (long n = 1; !over; n++) {
		calls(fd, n);
		if (n % 1000 == 0) {
			pid_t p = fork();
			if (!p) { over = 0; calls(fd, n + 1); _exit(over ? 1 : 7); }
			int s = 0; // SIGALRM may come
			while (waitpid(p, &s, 0) < 0 && errno == EINTR);
			if (s != 7 << 8) bad("child", s, 7 << 8);
			n++;
		}
	}
	return 0;
}

// sleeps in calls that are not restarted.
static void *sleeper(void *x) {
	sigset_t set;
	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, 0);
	int ep = epoll_create1(0), p[2], n = 0;
	pipe(p);
	struct epoll_event e = {EPOLLIN};
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
	while (!over) {
		int v = epoll_wait(ep, &e, 1, 20);
		if (v != 0 && !(x && errno == EINTR)) bad("epoll_wait", v, 0);
		struct timespec t = {0, 20000000};
		if ((v = nanosleep(&t, 0)) != 0) bad("nanosleep", v, 0);
	}
	return 0;
}

int main(int c, char **v) {
	me = syscall(SYS_getuid);
	struct sigaction a = {.sa_handler = tick, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &a, 0);
	struct itimerval t = {{0, 7000}, {0, 7000}};
	setitimer(ITIMER_REAL, &t, 0);
	pthread_t th[3];
	pthread_create(&th[0], 0, thread, 0);
	pthread_create(&th[1], 0, thread, 0);
	pthread_create(&th[2], 0, sleeper, v[2]);
	puts("ready");
	fflush(stdout);
	while (!over && !access(v[1], F_OK)) usleep(1000);
	over = 1;
	for (int i = 0; i < 3; i++) pthread_join(th[i], 0);
	puts(ticks ? "done" : "no ticks");
}
