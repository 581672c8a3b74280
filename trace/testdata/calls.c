// calls makes many kinds of system calls, so that their lines in a trace can be compared with strace's.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static void files(void) {
	char b[256];
	struct stat st;
	mkdir("d", 0755);
	int fd = open("d/f", O_RDWR | O_CREAT | O_TRUNC, 0640);
	write(fd, "hello\n\t\"quoted\"\\ \001\377\0end", 23);
	write(fd, "0123456789012345678901234567890123456789", 40);
	lseek(fd, 2, SEEK_SET);
	lseek(fd, -1, SEEK_END);
	pread(fd, b, 10, 0);
	pread(fd, b, 100, 4);
	read(fd, b, 100);
	read(fd, b, 0);
	read(99, b, 10);
	pwrite(fd, "x", 1, 1L << 33);
	ftruncate(fd, 100);
	truncate("d/f", 1000);
	struct iovec v[2] = {{"ab", 2}, {"cdefgh", 6}};
	writev(fd, v, 2);
	struct iovec r[2] = {{b, 3}, {b + 10, 20}};
	lseek(fd, 0, SEEK_SET);
	readv(fd, r, 2);
	preadv(fd, r, 2, 1);
	pwritev(fd, v, 1, 7);
	fstat(fd, &st);
	stat("d/f", &st);
	lstat("nothing", &st);
	syscall(SYS_stat, "d/f", &st);
	syscall(SYS_lstat, "d", &st);
	syscall(SYS_stat, "/dev/null", &st);
	struct statx sx;
	statx(AT_FDCWD, "d/f", 0, STATX_BASIC_STATS, &sx);
	statx(fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_MODE, &sx);
	access("d/f", R_OK | W_OK);
	access("d/g", F_OK);
	faccessat(AT_FDCWD, "d/f", X_OK, 0);
	chmod("d/f", 04755);
	fchmod(fd, 0600);
	fchmodat(AT_FDCWD, "d/f", 0644, 0);
	chown("d/f", getuid(), getgid());
	fchown(fd, -1, -1);
	fchownat(AT_FDCWD, "d/f", -1, -1, AT_SYMLINK_NOFOLLOW);
	symlink("f", "d/link");
	readlink("d/link", b, sizeof b);
	readlinkat(AT_FDCWD, "d/link", b, 1);
	link("d/f", "d/hard");
	linkat(AT_FDCWD, "d/f", AT_FDCWD, "d/hard2", 0);
	rename("d/hard", "d/harder");
	renameat(AT_FDCWD, "d/hard2", AT_FDCWD, "d/harder");
	syscall(SYS_renameat2, AT_FDCWD, "d/harder", AT_FDCWD, "d/h", RENAME_NOREPLACE);
	unlink("d/h");
	unlinkat(AT_FDCWD, "d/none", AT_REMOVEDIR);
	mknod("d/fifo", S_IFIFO | 0600, 0);
	mkdirat(AT_FDCWD, "d/sub", 0700);
	syscall(SYS_rmdir, "d/sub");
	int d = open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	syscall(SYS_getdents64, d, b, sizeof b);
	fchdir(d);
	chdir("..");
	getcwd(b, sizeof b);
	utimensat(AT_FDCWD, "d/f", (struct timespec[]){{1, 2}, {0, UTIME_OMIT}}, 0);
	utimensat(AT_FDCWD, "d/f", (struct timespec[]){{0, UTIME_NOW}, {100, 5}}, AT_SYMLINK_NOFOLLOW);
	futimens(fd, NULL);
	utimes("d/f", (struct timeval[]){{1, 2}, {3, 4}});
	syscall(SYS_utime, "d/f", &(struct utimbuf){5, 6});
	umask(027);
	umask(022);
	fsync(fd);
	fdatasync(fd);
	flock(fd, LOCK_EX | LOCK_NB);
	flock(fd, LOCK_UN);
	int e = dup(fd);
	dup2(fd, e);
	dup3(fd, e, O_CLOEXEC);
	fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK);
	fcntl(fd, F_GETFD);
	fcntl(e, F_GETFD);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_DUPFD_CLOEXEC, 20);
	fcntl(fd, F_DUPFD, 30);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
	fcntl(fd, F_SETLK, &l);
	fcntl(fd, F_GETLK, &l);
	fcntl(fd, F_OFD_GETLK, &(struct flock){.l_type = F_RDLCK});
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096);
	posix_fadvise(fd, 0, 10, POSIX_FADV_WILLNEED);
	sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE);
	struct statfs sf;
	statfs("/proc", &sf);
	fstatfs(-1, &sf);
	off_t off = 3;
	sendfile(e, fd, &off, 5);
	int big = open("d/f", O_RDONLY);
	sendfile(e, big, NULL, 5);
	sendfile(e, big, &off, 5);
	setxattr("d/f", "user.x", "value", 5, XATTR_CREATE);
	getxattr("d/f", "user.x", b, sizeof b);
	listxattr("d/f", b, sizeof b);
	fremovexattr(fd, "user.x");
	int m = syscall(SYS_memfd_create, "name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	fcntl(m, F_GET_SEALS);
	syscall(SYS_copy_file_range, fd, NULL, m, NULL, 5, 0);
	open("/", O_WRONLY);
	openat(d, "f", O_RDONLY | O_NOFOLLOW | O_PATH);
	syscall(SYS_openat, -5, "x", O_RDONLY);
	open((char *)8, O_RDONLY);
	syscall(SYS_close_range, 60, 70, 0);
	close(fd);
	close(-1);
	syscall(SYS_creat, "d/new", 0666);
	syscall(SYS_sync);
}

static void memory(void) {
	void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(p, 4096, PROT_READ);
	mprotect(p, 4096, PROT_NONE);
	madvise(p, 4096, MADV_DONTNEED);
	p = mremap(p + 4096, 4096, 8192, MREMAP_MAYMOVE);
	msync(p, 4096, MS_SYNC);
	mlock(p, 4096);
	munlock(p, 4096);
	munmap(p, 8192);
	mmap(NULL, 0, PROT_READ, MAP_SHARED, 0, 0x5000);
	syscall(SYS_brk, 0);
	int s = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *a = shmat(s, NULL, SHM_RDONLY);
	struct shmid_ds ds;
	shmctl(s, IPC_STAT, &ds);
	shmdt(a);
	shmctl(s, IPC_RMID, NULL);
}

static void handler(int sig) { (void)sig; }

// end_sleep starts a child that sends the caller a signal when it is asleep. The child's end sends none.
static pid_t end_sleep(int sig) {
	pid_t p = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (p)
		return p;
	char name[32], stat[512] = "", *end;
	snprintf(name, sizeof name, "/proc/%d/stat", getppid());
	do {
		int fd = open(name, O_RDONLY);
		ssize_t n = read(fd, stat, sizeof stat - 1);
		close(fd);
		stat[n > 0 ? n : 0] = 0;
		end = strrchr(stat, ')');
	} while (end && end[2] != 'S');
	kill(getppid(), sig);
	_exit(0);
}

static void signals(void) {
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
	sigaddset(&sa.sa_mask, SIGINT);
	sigaddset(&sa.sa_mask, SIGRTMIN);
	sigaction(SIGUSR1, &sa, &old);
	sigaction(SIGUSR1, NULL, &old);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	sigaction(SIGKILL, &sa, NULL);
	signal(SIGRTMIN + 1, handler);
	sigset_t set, o;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &o);
	kill(getpid(), SIGUSR1);
	sigpending(&o);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, &o);
	sigprocmask(SIG_SETMASK, &o, &set);
	raise(SIGUSR1);
	union sigval v = {.sival_int = 77};
	sigqueue(getpid(), SIGUSR1, v);
	sigaltstack(&(stack_t){.ss_sp = malloc(16384), .ss_size = 16384}, NULL);
	stack_t ss;
	sigaltstack(NULL, &ss);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR2);
	siginfo_t si;
	sigtimedwait(&set, &si, &(struct timespec){1, 0});
	sigtimedwait(&set, &si, &(struct timespec){0, 1});
	kill(getpid(), 0);
	kill(getpid(), 65);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	close(fd);
	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
	pid_t p = end_sleep(SIGALRM);
	pause();
	int st;
	waitpid(p, &st, __WCLONE);
	struct itimerval it;
	getitimer(ITIMER_REAL, &it);
	alarm(0);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL); // not before sigsuspend
	sigemptyset(&set);
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 1000}}, &it);
	sigsuspend(&set);
}

static void processes(void) {
	int st;
	pid_t p = fork();
	if (p == 0)
		_exit(7);
	waitpid(p, &st, 0);
	p = fork();
	if (p == 0) {
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
	struct rusage ru;
	wait4(p, &st, WUNTRACED, &ru);
	wait4(-1, &st, WNOHANG, NULL);
	p = vfork();
	if (p == 0)
		_exit(0);
	siginfo_t si;
	waitid(P_PID, p, &si, WEXITED | WNOWAIT);
	waitid(P_ALL, 0, &si, WEXITED);
	getpid();
	getppid();
	gettid();
	getuid();
	geteuid();
	getpgid(0);
	getpgrp();
	getsid(0);
	setsid();
	setpgid(0, 0);
	gid_t g[64];
	getgroups(0, g);
	uid_t a, b, c;
	getresuid(&a, &b, &c);
	prctl(PR_SET_NAME, "some name");
	char name[16];
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	prlimit(0, RLIMIT_STACK, NULL, &rl);
	getrusage(RUSAGE_SELF, &ru);
	getpriority(PRIO_PROCESS, 0);
	setpriority(PRIO_PROCESS, 0, 5);
	sched_yield();
	sched_getscheduler(0);
	struct sched_param sp;
	sched_getparam(0, &sp);
	sched_get_priority_max(SCHED_FIFO);
	cpu_set_t cs;
	sched_getaffinity(0, sizeof cs, &cs);
	CPU_ZERO(&cs);
	CPU_SET(0, &cs);
	sched_setaffinity(0, 8, &cs);
	personality(0xffffffff);
	char *argv[] = {"none", "a b", NULL}, *envp[] = {"A=1", NULL};
	execve("/does/not/exist", argv, envp);
	execve("/does/not/exist", NULL, NULL);
}

static void times_(void) {
	struct timespec ts;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	syscall(SYS_clock_getres, CLOCK_REALTIME, &ts);
	struct timeval tv;
	syscall(SYS_gettimeofday, &tv, NULL);
	syscall(SYS_time, NULL);
	nanosleep(&(struct timespec){0, 1000}, NULL);
	nanosleep(&(struct timespec){0, 2000000000}, &ts);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1, 5}, NULL);
	struct tms t;
	times(&t);
	timer_t id;
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	timer_create(CLOCK_MONOTONIC, &ev, &id);
	struct itimerspec its = {{1, 0}, {2, 0}}, old;
	timer_settime(id, 0, &its, &old);
	timer_gettime(id, &old);
	timer_getoverrun(id);
	timer_delete(id);
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, &old);
	timerfd_gettime(fd, &old);
	close(fd);
}

static void polls(void) {
	int p[2];
	pipe(p);
	pipe2(p, O_CLOEXEC | O_NONBLOCK);
	struct pollfd f[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {99, POLLIN | POLLPRI, 0}};
	poll(f, 3, 10);
	poll(f, 1, 0);
	poll(NULL, 0, 1);
	ppoll(f, 2, &(struct timespec){1, 0}, NULL);
	fd_set r, w;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	struct timeval tv = {1, 0};
	syscall(SYS_select, p[1] + 1, &r, &w, NULL, &tv);
	FD_SET(p[0], &r);
	tv = (struct timeval){0, 100};
	syscall(SYS_select, p[0] + 1, &r, NULL, NULL, &tv);
	FD_SET(p[0], &r);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pselect(p[0] + 1, &r, NULL, NULL, &(struct timespec){0, 100}, &set);
	int e = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLET, .data.u64 = 0x100000002};
	epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev);
	epoll_wait(e, &ev, 4, 100);
	epoll_pwait(e, &ev, 4, 0, &set);
	ev.events = EPOLLIN;
	epoll_ctl(e, EPOLL_CTL_MOD, p[1], &ev);
	epoll_ctl(e, EPOLL_CTL_DEL, p[1], NULL);
	int n = eventfd(3, EFD_NONBLOCK);
	uint64_t v;
	read(n, &v, 8);
	read(n, &v, 8);
	int i = inotify_init1(IN_CLOEXEC);
	inotify_add_watch(i, "d", IN_CREATE | IN_DELETE);
	inotify_rm_watch(i, 1);
	splice(p[0], NULL, p[1], NULL, 1, SPLICE_F_NONBLOCK);
	write(p[1], "abc", 3);
	ioctl(p[0], FIONREAD, &n);
	ioctl(p[0], FIONBIO, &n);
	struct winsize ws;
	ioctl(p[0], TIOCGWINSZ, &ws);
	ioctl(p[0], TCGETS, &ws);
	ioctl(p[0], 0x12345678, 5);
}

static void sockets(void) {
	char b[100];
	int s[2];
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s);
	send(s[0], "hello", 5, MSG_NOSIGNAL);
	recv(s[1], b, sizeof b, 0);
	recv(s[1], b, sizeof b, MSG_DONTWAIT);
	struct iovec v = {"data", 4};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	*(int *)CMSG_DATA(c) = 1;
	sendmsg(s[0], &m, 0);
	struct iovec w = {b, sizeof b};
	struct msghdr r = {.msg_iov = &w, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	recvmsg(s[1], &r, MSG_CMSG_CLOEXEC);
	shutdown(s[0], SHUT_WR);
	int l = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	int one = 1, n;
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, p;
	bind(l, (struct sockaddr *)&a, sizeof a);
	listen(l, 5);
	socklen_t len = sizeof a;
	getsockname(l, (struct sockaddr *)&a, &len);
	int k = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(k, (struct sockaddr *)&a, sizeof a);
	len = sizeof p;
	int t = accept4(l, (struct sockaddr *)&p, &len, SOCK_CLOEXEC);
	accept4(-1, NULL, NULL, 0);
	getpeername(k, (struct sockaddr *)&p, &len);
	len = sizeof n;
	getsockopt(k, SOL_SOCKET, SO_ERROR, &n, &len);
	getsockopt(k, SOL_SOCKET, SO_TYPE, &n, &len);
	setsockopt(k, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(k, SOL_SOCKET, SO_LINGER, &(struct linger){1, 5}, sizeof(struct linger));
	setsockopt(k, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){1, 5}, sizeof(struct timeval));
	sendto(k, "abc", 3, MSG_DONTWAIT, NULL, 0);
	int u = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	sendto(u, "abc", 3, 0, (struct sockaddr *)&a6, sizeof a6);
	int x = socket(AF_UNIX, SOCK_DGRAM, 0);
	mkdir("d", 0755);
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "d/sock"};
	connect(x, (struct sockaddr *)&un, sizeof un);
	bind(x, (struct sockaddr *)&un, sizeof un);
	len = sizeof un;
	getsockname(x, (struct sockaddr *)&un, &len);
	sendto(x, "dgram", 5, 0, (struct sockaddr *)&un, len);
	len = sizeof un;
	recvfrom(x, b, 3, MSG_TRUNC, (struct sockaddr *)&un, &len);
	memset(&un, 0, sizeof un);
	un.sun_family = AF_UNIX;
	strcpy(un.sun_path + 1, "abstract");
	bind(socket(AF_UNIX, SOCK_SEQPACKET, 0), (struct sockaddr *)&un, 11);
	socket(AF_NETLINK, SOCK_RAW, 0);
	socket(77, 9, 1);
	(void)t;
}

static void rest(void) {
	struct utsname u;
	uname(&u);
	struct sysinfo si;
	sysinfo(&si);
	char b[16];
	getrandom(b, 8, GRND_NONBLOCK);
	int word = 1;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
	syscall(SYS_futex, &word, FUTEX_WAIT, 2, NULL);
	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &(struct timespec){0, 1000});
	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &(struct timespec){1, 0}, NULL, FUTEX_BITSET_MATCH_ANY);
	syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE, 1, 2, &word, 7);
	unsigned cpu;
	syscall(SYS_getcpu, &cpu, NULL, NULL);
	int q = msgget(IPC_PRIVATE, 0600);
	struct { long t; char d[8]; } m = {3, "text"};
	msgsnd(q, &m, 4, IPC_NOWAIT);
	msgrcv(q, &m, 8, 0, MSG_NOERROR);
	msgctl(q, IPC_RMID, NULL);
	int s = semget(IPC_PRIVATE, 2, 0600);
	semctl(s, 0, SETVAL, 4);
	semop(s, (struct sembuf[]){{0, -1, SEM_UNDO}, {1, 1, 0}}, 2);
	semctl(s, 0, GETVAL);
	semctl(s, 0, IPC_RMID);
	mount("none", "/proc/none", "tmpfs", MS_NOSUID | MS_NODEV, "size=1");
	umount2("/proc/none", MNT_DETACH);
	syscall(SYS_membarrier, 0, 0, 0);
	syscall(1000, 1, 2);
	sethostname(NULL, -1);
}

int main(int argc, char **argv) {
	const char *w = argc > 1 ? argv[1] : "";
	syscall(SYS_close_range, 3, ~0U, 0); // strace leaves its child a descriptor
	int all = !strcmp(w, "all");
	if (all || !strcmp(w, "files")) files();
	if (all || !strcmp(w, "memory")) memory();
	if (all || !strcmp(w, "signals")) signals();
	if (all || !strcmp(w, "processes")) processes();
	if (all || !strcmp(w, "times")) times_();
	if (all || !strcmp(w, "polls")) polls();
	if (all || !strcmp(w, "sockets")) sockets();
	if (all || !strcmp(w, "rest")) rest();
	return 0;
}
