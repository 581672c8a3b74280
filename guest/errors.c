// Bad pointers, bad descriptors and other mistakes, for calls of every kind.
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timex.h>

#if __WORDSIZE == 64
#define KERNEL ((void *)0xffff888000000000)
#else
#define KERNEL ((void *)0xfffff000)
#endif
#define BAD ((void *)0x18)
#define WRAP ((void *)-8L)

// C shows a raw system call; its arguments are passed as they are written.
#define C(nr, ...) R(syscall(SYS_##nr, __VA_ARGS__))

static int fd, ro, dir, p[2];
static char *edge; // the last bytes before a page that is not there

static void prepare(void)
{
	fd = must(open("f", O_RDWR | O_CREAT, 0644));
	must(write(fd, "0123456789", 10));
	lseek(fd, 0, SEEK_SET);
	ro = must(open("f", O_RDONLY));
	dir = must(open(".", O_RDONLY));
	must(pipe2(p, O_NONBLOCK));
	edge = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	munmap(edge + 4096, 4096);
	edge += 4096;
}

TEST(pointers_files)
{
	prepare();
	void *bad[] = {NULL, BAD, KERNEL, WRAP};
	for (int i = 0; i < 4; i++) {
		void *b = bad[i];
		say("pointer %d", i);
		C(read, fd, b, 8);
		C(write, fd, b, 8);
		C(pread64, fd, b, 8, 0);
		C(open, b, O_RDONLY);
		C(openat, AT_FDCWD, b, O_RDONLY);
		C(stat, b, b);
		C(stat, "f", b);
		C(fstat, fd, b);
		C(newfstatat, AT_FDCWD, "f", b, 0);
		C(readv, fd, b, 1);
		C(writev, fd, b, 1);
		C(readlink, "f", b, 10);
		C(getcwd, b, 100);
		C(pipe2, b, 0);
		C(getdents64, dir, b, 1000);
		C(rename, b, "x");
		C(rename, "x", b);
		C(mkdir, b, 0755);
		C(unlink, b);
		C(chdir, b);
		C(access, b, 0);
		C(statfs, ".", b);
		C(poll, b, 1, 0);
		C(fcntl, fd, F_GETLK, b);
		C(ioctl, p[0], 0x541B, b);
		C(utimensat, AT_FDCWD, "f", b == NULL ? BAD : b, 0);
		C(statx, AT_FDCWD, "f", 0, 0x7ff, b);
		C(getxattr, "f", b, b, 10);
	}
	// A string and a buffer that run into the missing page.
	memset(edge - 3, 'x', 3);
	C(open, edge - 3, O_RDONLY);
	C(read, fd, edge - 3, 10);
	C(lseek, fd, 0, SEEK_CUR);
	C(pread64, fd, edge - 3, 10, 5);
	C(pwrite64, fd, edge - 3, 10, 0);
	C(getcwd, edge - 1, 4096);
}

TEST(pointers_processes)
{
	prepare();
	void *bad[] = {BAD, KERNEL, WRAP};
	for (int i = 0; i < 3; i++) {
		void *b = bad[i];
		say("pointer %d", i);
		C(rt_sigaction, SIGUSR1, b, NULL, 8);
		C(rt_sigaction, SIGUSR1, NULL, b, 8);
		C(rt_sigprocmask, SIG_BLOCK, b, NULL, 8);
		C(rt_sigprocmask, SIG_BLOCK, NULL, b, 8);
		C(rt_sigpending, b, 8);
		C(rt_sigtimedwait, b, NULL, NULL, 8);
		C(sigaltstack, b, NULL);
		C(nanosleep, b, NULL);
		C(clock_gettime, CLOCK_MONOTONIC, b);
		C(clock_getres, CLOCK_MONOTONIC, b);
		C(clock_nanosleep, CLOCK_MONOTONIC, 0, b, NULL);
		C(gettimeofday, b, NULL);
		C(time, b);
		C(getrlimit, RLIMIT_NOFILE, b);
		C(setrlimit, RLIMIT_NOFILE, b);
		C(prlimit64, 0, RLIMIT_NOFILE, b, NULL);
		C(getrusage, RUSAGE_SELF, b);
		C(times, b);
		C(uname, b);
		C(sysinfo, b);
		C(getgroups, 0, b);
		C(getresuid, b, b, b);
		C(capget, b, b);
		C(sched_getaffinity, 0, 128, b);
		C(sched_getparam, 0, b);
		C(futex, b, 0, 0, NULL, NULL, 0);
		C(getrandom, b, 8, 0);
		C(execve, b, NULL, NULL);
		C(prctl, 16, b, 0, 0, 0);
		C(prctl, 15, b, 0, 0, 0);
		C(timer_create, CLOCK_MONOTONIC, NULL, b);
		C(setitimer, ITIMER_REAL, b, NULL);
		C(getitimer, ITIMER_REAL, b);
		C(timerfd_settime, fd, 0, b, NULL);
		C(select, 10, b, NULL, NULL, NULL);
		C(socketpair, AF_UNIX, SOCK_STREAM, 0, b);
		C(getcpu, b, NULL, NULL);
		C(wait4, -1, b, WNOHANG, NULL);
		C(waitid, P_ALL, 0, b, WEXITED | WNOHANG, NULL);
	}
	int s[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	for (int i = 0; i < 3; i++) {
		void *b = bad[i];
		say("pointer %d", i);
		C(sendto, s[0], b, 8, MSG_DONTWAIT, NULL, 0);
		write(s[1], "x", 1);
		C(recvfrom, s[0], b, 8, MSG_DONTWAIT, NULL, NULL);
		C(sendmsg, s[0], b, 0);
		C(recvmsg, s[0], b, 0);
		C(bind, s[0], b, 10);
		C(connect, s[0], b, 10);
		C(getsockname, s[0], b, b);
		C(getsockopt, s[0], SOL_SOCKET, SO_TYPE, b, b);
		C(setsockopt, s[0], SOL_SOCKET, SO_SNDBUF, b, 4);
	}
}

TEST(descriptors)
{
	prepare();
	char b[64];
	int bad[] = {-1, 999, INT_MAX, INT_MIN};
	for (int i = 0; i < 4; i++) {
		int x = bad[i];
		say("descriptor %d", i);
		C(read, x, b, 1); C(write, x, b, 1); C(close, x); C(fstat, x, b); C(lseek, x, 0, 0); C(pread64, x, b, 1, 0);
		C(pwrite64, x, b, 1, 0); C(readv, x, NULL, 0); C(ioctl, x, 0x5401, b); C(fcntl, x, F_GETFD, 0); C(dup, x);
		C(dup2, x, 50); C(fsync, x); C(fdatasync, x); C(ftruncate, x, 0); C(getdents64, x, b, 64); C(fchdir, x);
		C(fchmod, x, 0600); C(fchown, x, 0, 0); C(openat, x, "f", O_RDONLY); C(mkdirat, x, "q", 0700); C(unlinkat, x, "q", 0);
		C(renameat, x, "f", x, "g"); C(flock, x, 2); C(fstatfs, x, b); C(epoll_ctl, x, 1, 0, b); C(epoll_wait, x, b, 1, 0);
		R(accept(x, NULL, NULL)); C(listen, x, 1); C(connect, x, b, 10); C(sendto, x, b, 1, 0, NULL, 0); C(shutdown, x, 0);
		C(getsockopt, x, 1, 3, b, b); C(sendfile, x, fd, NULL, 1); C(splice, x, NULL, p[1], NULL, 1, 0); C(tee, x, p[1], 1, 0);
		C(fallocate, x, 0, 0, 1); C(fadvise64, x, 0, 0, 0); C(sync_file_range, x, 0, 0, 0); C(readahead, x, 0, 1); C(syncfs, x);
		C(inotify_add_watch, x, ".", 1); C(signalfd4, x, b, 8, 0) == 0 ? 0 : 0; C(timerfd_gettime, x, b); C(fgetxattr, x, "user.a", b, 1);
		C(utimensat, x, NULL, NULL, 0); C(linkat, x, "f", x, "h", 0); C(symlinkat, "f", x, "s"); C(readlinkat, x, "s", b, 1);
		C(faccessat, x, "f", 0); C(mknodat, x, "n", 0100600, 0); C(copy_file_range, x, NULL, fd, NULL, 1, 0);
		C(pidfd_send_signal, x, 0, NULL, 0); C(memfd_create, NULL, x);
	}
	// The wrong kind.
	C(lseek, p[0], 0, 0); C(ftruncate, p[1], 0); C(fsync, p[0]); C(getdents64, fd, b, 64); C(read, dir, b, 1); C(write, ro, b, 1);
	C(read, p[1], b, 1); R(accept(fd, NULL, NULL)); C(epoll_wait, fd, b, 1, 0); C(ftruncate, ro, 0); C(write, dir, b, 1);
	C(mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, dir, 0); C(fchdir, fd); C(openat, fd, "x", O_RDONLY); C(ioctl, fd, 0x5413, b); C(ioctl, p[0], 0x12345, b);
	C(tee, fd, fd, 1, 0); C(fallocate, p[1], 0, 0, 1); C(readahead, p[0], 0, 1); C(fadvise64, p[0], 0, 0, 0); C(fadvise64, fd, 0, 0, 99);
	C(sendfile, dir, fd, NULL, 1); C(timerfd_gettime, fd, b); C(inotify_add_watch, fd, ".", 1); C(flock, p[0], 2);
}

TEST(sizes_and_flags)
{
	prepare();
	char b[64];
	C(read, fd, b, 0);
	C(read, fd, BAD, 0);
	C(write, fd, BAD, 0);
	// A size that is negative for 64-bit calls reaches to the end of what is mapped for 32-bit ones.
	char *page = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(mprotect(page + 4096, 4096, PROT_NONE));
	C(read, fd, page, -1L);
	C(write, fd, page, -1L);
	C(pread64, fd, b, 1, LONG_MIN);
	C(pread64, fd, b, 1, LONG_MAX);
	C(pwrite64, fd, b, 1, LONG_MAX);
	C(lseek, fd, 0, SEEK_SET);
	C(ftruncate, fd, LONG_MIN);
	C(getrandom, b, 8, 99);
	C(getrlimit, 99, b);
	C(getpriority, 9, 0);
	C(setpriority, PRIO_PROCESS, 999999, 0);
	C(sched_setscheduler, 0, 99, b);
	C(sched_getscheduler, 999999);
	C(sched_getaffinity, 0, 1, b);
	C(sched_setaffinity, 0, 8, memset(b, 0, 64));
	C(clock_gettime, 99, b);
	C(clock_settime, CLOCK_MONOTONIC, b);
	C(nanosleep, memcpy(b, &(struct timespec){-1, 0}, 16), NULL);
	C(nanosleep, memcpy(b, &(struct timespec){0, 1000000000}, 16), NULL);
	C(setitimer, 9, b, NULL);
	C(prctl, 9999, 0, 0, 0, 0);
	C(arch_prctl, 0x9999, 0);
	C(arch_prctl, 0x1002, KERNEL);
	C(personality, 0xffffffff);
	C(dup3, fd, 60, 1);
	C(eventfd2, 0, 1);
	C(inotify_init1, 1);
	C(epoll_create1, 1);
	C(umask, 022);
	C(umask, 07777);
	C(umask, 022);
	C(mount, "a", "b", "nosuchfs", 0, NULL);
	C(syslog, 99, NULL, 0);
	C(kcmp, getpid(), getpid(), 99, 0, 0);
	C(membarrier, 9999, 0, 0);
	C(madvise, BAD, 4096, 4);
	C(getgroups, -1, b);
	C(setgroups, 70000, b);
	C(accept4, fd, NULL, NULL, 0x123);
	C(socket, AF_UNIX, SOCK_STREAM | 0x1000000, 0);
}

TEST(no_such_calls)
{
	long nr[] = {400, 423, 999, 5000, -1, 1L << 30, 0x40000000, 174, 177, 180, 181, 182, 183, 184, 185, 211, 214, 215, 236};
	for (unsigned i = 0; i < sizeof nr / sizeof *nr; i++)
		say("%ld: %s", nr[i], syscall(nr[i], 0, 0, 0, 0, 0, 0) == -1 ? errname(errno) : "ok");
}
