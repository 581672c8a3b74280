// Time, limits, credentials, scheduling, System V objects, /proc and the rest of what a system says of itself.
#include "guest.h"
#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/auxv.h>

static char buf[65536];
static volatile int count;
static siginfo_t info;

static void note(int s, siginfo_t *si, void *uc)
{
	count++;
	info = *si;
}

static bool slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		say("%s: %s", path, errname(errno));
		return false;
	}
	int n = 0, r;
	while (n < (int)sizeof buf - 1 && (r = read(fd, buf + n, sizeof buf - 1 - n)) > 0)
		n += r;
	buf[n] = 0;
	close(fd);
	return true;
}

static const char *field(const char *name) // of a file such as status, already slurped
{
	static char v[300];
	char *p = buf;
	size_t l = strlen(name);
	for (; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (!strncmp(p, name, l) && p[l] == ':') {
			sscanf(p + l + 1, " %299[^\n]", v);
			return v;
		}
	return "missing";
}

TEST(clocks)
{
	clockid_t c[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
	for (unsigned i = 0; i < sizeof c / sizeof *c; i++) {
		struct timespec a, b, k, r;
		int x = clock_gettime(c[i], &a);
		syscall(SYS_clock_gettime, c[i], &k);
		clock_gettime(c[i], &b);
		clock_getres(c[i], &r);
		double d1 = (k.tv_sec - a.tv_sec) + (k.tv_nsec - a.tv_nsec) / 1e9, d2 = (b.tv_sec - k.tv_sec) + (b.tv_nsec - k.tv_nsec) / 1e9;
		say("clock %d: %d, in order %d %d, near %d, resolution %d", c[i], x, d1 >= 0, d2 >= 0, d1 + d2 < 1, r.tv_sec == 0 && r.tv_nsec > 0);
	}
	struct timeval tv;
	struct timespec ts;
	gettimeofday(&tv, NULL);
	clock_gettime(CLOCK_REALTIME, &ts);
	T(ts.tv_sec - tv.tv_sec <= 1 && time(NULL) - tv.tv_sec <= 1 && tv.tv_sec > 1700000000);
	double t = now();
	usleep(30000);
	T(now() - t >= 0.03 && now() - t < 2);
	struct tms tm;
	T(times(&tm) > 0);
	R(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
	T(ts.tv_sec < 5);
	double cpu = ts.tv_sec + ts.tv_nsec / 1e9;
	t = now();
	do // on a busy machine much time may pass without any of it being ours
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	while (ts.tv_sec + ts.tv_nsec / 1e9 - cpu <= 0.02 && now() - t < 10);
	T(ts.tv_sec + ts.tv_nsec / 1e9 - cpu > 0.01);
	clockid_t id;
	R(clock_getcpuclockid(0, &id));
	R(clock_gettime(id, &ts));
	R(pthread_getcpuclockid(pthread_self(), &id));
	R(clock_gettime(id, &ts));
	R(clock_gettime(-999999, &ts));
	struct timex tx = {0};
	R(adjtimex(&tx) >= 0);
	int cpu_nr;
	R(syscall(SYS_getcpu, &cpu_nr, NULL, NULL));
}

TEST(posix_timers)
{
	timer_t t;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
	handle(SIGUSR1, note, SA_SIGINFO);
	R(timer_create(CLOCK_MONOTONIC, &ev, &t));
	struct itimerspec it = {{0}, {0, 20000000}}, old;
	R(timer_settime(t, 0, &it, NULL));
	pause();
	say("code %d value %d overrun %d", info.si_code, info.si_value.sival_int, timer_getoverrun(t));
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	it = (struct itimerspec){{0, 5000000}, {0, 5000000}};
	timer_settime(t, 0, &it, NULL);
	millis(60);
	siginfo_t si;
	sigwaitinfo(&s, &si);
	T(si.si_overrun >= 5 && si.si_overrun < 200);
	R(timer_gettime(t, &old));
	T(old.it_interval.tv_nsec == 5000000);
	R(timer_delete(t));
	R(timer_delete(t));
	R(timer_gettime(t, &old));
	ev.sigev_notify = SIGEV_NONE;
	R(timer_create(CLOCK_REALTIME, &ev, &t));
	it = (struct itimerspec){{0}, {100, 0}};
	timer_settime(t, 0, &it, NULL);
	timer_gettime(t, &old);
	T(old.it_value.tv_sec >= 99);
	ev.sigev_notify = 77;
	R(timer_create(CLOCK_REALTIME, &ev, &t));
	ev.sigev_notify = SIGEV_SIGNAL;
	ev.sigev_signo = 99;
	R(timer_create(CLOCK_REALTIME, &ev, &t));
	R(timer_create(99, NULL, &t));
	static volatile int fired;
	void notify(union sigval v) { fired = v.sival_int; }
	ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 9, .sigev_notify_function = notify};
	R(timer_create(CLOCK_MONOTONIC, &ev, &t));
	it = (struct itimerspec){{0}, {0, 10000000}};
	timer_settime(t, 0, &it, NULL);
	for (int i = 0; i < 100 && !fired; i++)
		millis(10);
	say("thread got %d", fired);
}

TEST(interval_timers)
{
	struct itimerval it = {{0, 10000}, {0, 20000}}, old;
	handle(SIGALRM, note, SA_SIGINFO);
	R(setitimer(ITIMER_REAL, &it, NULL));
	for (int i = 0; i < 3; i++)
		pause();
	say("%d", count);
	R(getitimer(ITIMER_REAL, &old));
	T(old.it_interval.tv_usec == 10000 && old.it_value.tv_usec <= 10000);
	it = (struct itimerval){0};
	R(setitimer(ITIMER_REAL, &it, &old));
	T(old.it_interval.tv_usec == 10000);
	R(alarm(100));
	T(alarm(0) >= 99);
	it.it_value.tv_usec = 1000000;
	R(setitimer(ITIMER_REAL, &it, NULL));
	R(setitimer(3, &it, NULL));
}

TEST(limits)
{
	struct rlimit r;
	for (int i = 0; i < 16; i++)
		say("%d: %d", i, getrlimit(i, &r));
	R(getrlimit(RLIMIT_STACK, &r));
	T(r.rlim_cur == 8 << 20);
	R(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 200}));
	R(getrlimit(RLIMIT_NOFILE, &r));
	say("%ld %ld", (long)r.rlim_cur, (long)r.rlim_max);
	R(setrlimit(RLIMIT_NOFILE, &(struct rlimit){201, 200}));
	R(setrlimit(RLIMIT_NOFILE, &(struct rlimit){10, 1UL << 40}));
	pid_t c = CHILD(millis(100); getrlimit(RLIMIT_NOFILE, &r); say("child %ld", (long)r.rlim_cur); pause());
	R(prlimit(c, RLIMIT_NOFILE, &(struct rlimit){50, 60}, &r));
	say("%ld", (long)r.rlim_cur);
	R(prlimit(c, RLIMIT_NOFILE, NULL, &r));
	say("%ld", (long)r.rlim_cur);
	R(prlimit(999999, RLIMIT_NOFILE, NULL, &r));
	millis(300);
	kill(c, SIGKILL);
	reap("c", c);
	reap("processes", CHILD({
		must(setgid(4000));
		must(setuid(4000));
		setrlimit(RLIMIT_NPROC, &(struct rlimit){5, 5});
		int n = 0, e = 0;
		pid_t all[10];
		for (int i = 0; i < 10; i++) {
			pid_t d = fork();
			if (d == 0) {
				pause();
				_exit(0);
			}
			if (d < 0)
				e = errno;
			else
				all[n++] = d;
		}
		say("%d children, then %s", n, errname(e));
		for (int i = 0; i < n; i++)
			kill(all[i], SIGKILL);
		while (wait(NULL) > 0)
			;
	}));
}

TEST(credentials)
{
	uid_t r, e, s;
	getresuid(&r, &e, &s);
	say("%d %d %d", r, e, s);
	reap("child", CHILD({
		R(setgroups(2, (gid_t[]){10, 20}));
		gid_t g[5];
		R(getgroups(5, g));
		R(getgroups(1, g));
		R(getgroups(0, NULL));
		R(setresgid(100, 200, 300));
		R(setresuid(1000, 0, 2000));
		R(seteuid(2000));
		R(seteuid(1000));
		R(setresuid(-1, 2000, -1));
		getresuid(&r, &e, &s);
		say("%d %d %d", r, e, s);
		R(setuid(0));
		R(seteuid(55));
		R(setgroups(0, NULL));
		R(setreuid(2000, 1000));
		getresuid(&r, &e, &s);
		say("%d %d %d", r, e, s);
		R(setfsuid(1000));
		R(setfsuid(-1));
		slurp("/proc/self/status");
		say("Uid %s", field("Uid"));
		say("Gid %s", field("Gid"));
		say("Groups %s", field("Groups"));
		say("CapEff %s", field("CapEff"));
	}));
	reap("caps", CHILD({
		struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct d[2];
		R(syscall(SYS_capget, &h, d));
		T(d[0].effective & (1 << CAP_CHOWN));
		d[0].effective &= ~(1u << CAP_CHOWN);
		R(syscall(SYS_capset, &h, d));
		close(open("f", O_CREAT | O_RDWR, 0600));
		R(chown("f", 5, 5));
		d[0].permitted &= ~(1u << CAP_CHOWN);
		R(syscall(SYS_capset, &h, d));
		d[0].effective |= 1u << CAP_CHOWN;
		R(syscall(SYS_capset, &h, d));
		h.version = 1;
		R(syscall(SYS_capset, &h, d));
		say("%#x", h.version);
		R(prctl(PR_CAPBSET_READ, CAP_CHOWN));
		R(prctl(PR_CAPBSET_READ, 100));
		R(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
		R(prctl(PR_CAPBSET_READ, CAP_CHOWN));
		R(prctl(PR_SET_KEEPCAPS, 1));
		must(setresuid(1000, 1000, 1000));
		h.version = _LINUX_CAPABILITY_VERSION_3;
		syscall(SYS_capget, &h, d);
		T(d[0].effective == 0 && d[0].permitted != 0);
	}));
	reap("no keepcaps", CHILD({
		struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct d[2];
		must(setresuid(1000, 1000, 1000));
		syscall(SYS_capget, &h, d);
		T(d[0].effective == 0 && d[0].permitted == 0);
		R(setuid(0));
	}));
}

TEST(prctl)
{
	char name[17] = "";
	R(prctl(PR_SET_NAME, "a-name-longer-than-that"));
	R(prctl(PR_GET_NAME, name));
	say("%s", name);
	slurp("/proc/self/comm");
	say("%s", buf);
	R(prctl(PR_GET_DUMPABLE));
	R(prctl(PR_SET_DUMPABLE, 0));
	R(prctl(PR_GET_DUMPABLE));
	R(prctl(PR_SET_DUMPABLE, 5));
	R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	R(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	R(prctl(PR_SET_PDEATHSIG, 99));
	R(prctl(PR_GET_SECCOMP));
	R(prctl(PR_GET_TIMERSLACK) > 0);
	R(prctl(PR_SET_TIMERSLACK, 1000));
	R(prctl(PR_GET_TIMERSLACK));
	R(prctl(PR_GET_KEEPCAPS));
	R(prctl(PR_SET_MM, 99, 0, 0, 0) == -1);
	R(personality(0xffffffff));
	R(personality(ADDR_NO_RANDOMIZE));
	R(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
}

TEST(no_randomization)
{
	// Two runs of a program see the same addresses.
	reap("child", CHILD({
		personality(ADDR_NO_RANDOMIZE);
		execl("/bin/bash", "bash", "-c", "a=$(grep -v vvar /proc/self/maps | cut -d' ' -f1 | md5sum); b=$(grep -v vvar /proc/self/maps | cut -d' ' -f1 | md5sum); [ \"$a\" = \"$b\" ] && echo same || echo different", NULL);
	}));
}

TEST(scheduling)
{
	struct sched_param p = {0};
	R(sched_getscheduler(0));
	R(sched_getparam(0, &p));
	say("%d", p.sched_priority);
	R(sched_get_priority_max(SCHED_FIFO));
	R(sched_get_priority_min(SCHED_RR));
	R(sched_get_priority_max(SCHED_OTHER));
	R(sched_get_priority_max(99));
	R(sched_setscheduler(0, SCHED_BATCH, &p));
	R(sched_getscheduler(0));
	p.sched_priority = 5;
	R(sched_setscheduler(0, SCHED_OTHER, &p));
	cpu_set_t set;
	R(sched_getaffinity(0, sizeof set, &set));
	T(CPU_COUNT(&set) >= 1 && CPU_COUNT(&set) == sysconf(_SC_NPROCESSORS_ONLN));
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	R(sched_setaffinity(0, sizeof set, &set));
	R(sched_getaffinity(0, sizeof set, &set));
	say("%d", CPU_COUNT(&set));
	R(sched_getcpu());
	CPU_ZERO(&set);
	CPU_SET(1000, &set);
	R(sched_setaffinity(0, sizeof set, &set));
	R(sched_yield());
	struct timespec ts;
	R(sched_rr_get_interval(0, &ts));
	R(setpriority(PRIO_PROCESS, 0, 7));
	R(getpriority(PRIO_PROCESS, 0));
	R(nice(3));
	R(syscall(SYS_getpriority, PRIO_PROCESS, 0));
	R(nice(100));
	R(getpriority(PRIO_PGRP, 0) <= 19);
	R(getpriority(PRIO_USER, 0) <= 19);
	R(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) >= 0);
	R(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	R(syscall(SYS_ioprio_get, 1, 0) >= 0);
}

TEST(identity)
{
	struct utsname u;
	R(uname(&u));
	say("%s %s", u.sysname, u.machine);
	char h[70];
	gethostname(h, sizeof h);
	T(strcmp(h, u.nodename) == 0);
	struct sysinfo si;
	R(sysinfo(&si));
	T(si.totalram > 0 && si.freeram <= si.totalram && si.procs > 0 && si.mem_unit > 0);
	R(getrandom(buf, 100, 0));
	char other[100];
	R(getrandom(other, 100, GRND_NONBLOCK));
	T(memcmp(buf, other, 100) != 0);
	R(getrandom(buf, 0, 0));
	say("pagesz %lu clktck %lu secure %lu", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_SECURE));
	T(getauxval(AT_PHDR) && getauxval(AT_ENTRY) && getauxval(AT_RANDOM) && getauxval(AT_SYSINFO_EHDR) && getauxval(AT_EXECFN));
	say("uid %lu %lu gid %lu %lu", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID));
	say("%s %s", (char *)getauxval(AT_PLATFORM), strrchr((char *)getauxval(AT_EXECFN), '/') ? "has a path" : "no path");
	T(sysconf(_SC_NPROCESSORS_CONF) >= sysconf(_SC_NPROCESSORS_ONLN));
	say("%ld %ld %ld", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK), sysconf(_SC_NGROUPS_MAX));
	T(sysconf(_SC_PHYS_PAGES) > 1000);
}

TEST(shared_memory)
{
	int id = OK(shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600));
	char *p = must(shmat(id, NULL, 0)), *q = must(shmat(id, NULL, SHM_RDONLY));
	strcpy(p, "shared");
	say("%s, zero %d", q, p[9999]);
	reap("child", CHILD(strcpy(p + 100, "from the child")));
	say("%s", q + 100);
	struct shmid_ds ds;
	R(shmctl(id, IPC_STAT, &ds));
	say("size %zu attached %lu mode %o", ds.shm_segsz, (long)ds.shm_nattch, ds.shm_perm.mode);
	T(ds.shm_cpid == getpid());
	R(shmdt(q));
	R(shmdt(q));
	R(shmctl(id, IPC_RMID, NULL));
	R(shmctl(id, IPC_STAT, &ds));
	say("mode %o, still %s", ds.shm_perm.mode, p);
	R(shmdt(p));
	R(shmctl(id, IPC_STAT, &ds));
	R((long)shmat(id, NULL, 0));
	key_t k = 0x5e5e0001 + getpid() % 1000 * 16;
	id = OK(shmget(k, 4096, IPC_CREAT | IPC_EXCL | 0600));
	R(shmget(k, 4096, IPC_CREAT | IPC_EXCL | 0600));
	T(shmget(k, 0, 0) == id);
	R(shmget(k, 8192, 0));
	R(shmctl(id, IPC_RMID, NULL));
	R(shmget(k, 0, 0));
	R(shmget(IPC_PRIVATE, 0, IPC_CREAT));
	R(shmget(999999, 100, 0));
	R(shmctl(-1, IPC_STAT, &ds));
}

// waited_for waits until somebody waits for a semaphore: for it to grow, or to be zero.
static void waited_for(int id, int n, int count)
{
	while (semctl(id, n, count) == 0)
		millis(1);
}

TEST(semaphores)
{
	int id = OK(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
	R(semctl(id, 0, SETVAL, 2));
	R(semctl(id, 0, GETVAL));
	R(semctl(id, 1, SETALL, (unsigned short[]){1, 2, 3}));
	unsigned short v[3];
	R(semctl(id, 0, GETALL, v));
	say("%d %d %d", v[0], v[1], v[2]);
	struct sembuf ops[2] = {{0, -1, 0}, {1, -2, 0}};
	R(semop(id, ops, 2));
	ops[0].sem_flg = IPC_NOWAIT;
	R(semop(id, ops, 1));
	pid_t c = CHILD({
		struct sembuf d[2] = {{0, -1, 0}, {1, -1, SEM_UNDO}};
		R(semop(id, d, 2)); // both or none
	});
	waited_for(id, 0, GETNCNT);
	R(semctl(id, 0, GETNCNT));
	semop(id, &(struct sembuf){0, 1, 0}, 1);
	waited_for(id, 1, GETNCNT);
	R(semctl(id, 0, GETVAL)); // the other is not there yet
	semop(id, &(struct sembuf){1, 1, 0}, 1);
	reap("c", c);
	R(semctl(id, 1, GETVAL)); // undone at exit
	T(semctl(id, 0, GETPID) == c);
	c = CHILD(R(semop(id, &(struct sembuf){1, 0, 0}, 1)));
	waited_for(id, 1, GETZCNT);
	R(semctl(id, 1, GETZCNT));
	semop(id, &(struct sembuf){1, -1, 0}, 1);
	reap("zero", c);
	R(semtimedop(id, &(struct sembuf){1, -1, 0}, 1, &(struct timespec){0, 10000000}));
	R(semop(id, &(struct sembuf){7, 1, 0}, 1));
	R(semctl(id, 0, SETVAL, 40000));
	c = CHILD(R(semop(id, &(struct sembuf){1, -1, 0}, 1)));
	waited_for(id, 1, GETNCNT);
	R(semctl(id, 0, IPC_RMID));
	reap("removed", c);
	R(semop(id, ops, 1));
	R(semget(IPC_PRIVATE, 0, IPC_CREAT));
}

TEST(message_queues)
{
	int id = OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	struct { long type; char text[100]; } m = {3, "three"};
	R(msgsnd(id, &m, 6, 0));
	m.type = 1;
	strcpy(m.text, "one");
	R(msgsnd(id, &m, 4, 0));
	m.type = 2;
	strcpy(m.text, "two");
	R(msgsnd(id, &m, 4, 0));
	R(msgrcv(id, &m, 100, 2, 0));
	say("%ld %s", m.type, m.text);
	R(msgrcv(id, &m, 100, -3, 0));
	say("%ld %s", m.type, m.text);
	R(msgrcv(id, &m, 3, 0, 0));
	R(msgrcv(id, &m, 3, 0, MSG_NOERROR));
	say("%ld %.3s", m.type, m.text);
	R(msgrcv(id, &m, 100, 0, IPC_NOWAIT));
	struct msqid_ds ds;
	R(msgctl(id, IPC_STAT, &ds));
	say("%lu messages", (long)ds.msg_qnum);
	pid_t c = CHILD(millis(30); m.type = 9; msgsnd(id, &m, 10, 0));
	R(msgrcv(id, &m, 100, 9, 0));
	reap("c", c);
	m.type = 0;
	R(msgsnd(id, &m, 4, 0));
	m.type = 1;
	R(msgsnd(id, &m, 1 << 20, 0));
	int n = 0;
	while (msgsnd(id, &m, 100, IPC_NOWAIT) == 0)
		n++;
	say("%d until %s", n, errname(errno));
	R(msgctl(id, IPC_RMID, NULL));
	R(msgsnd(id, &m, 4, 0));
}

TEST(proc_status)
{
	slurp("/proc/self/status");
	say("Name %s", field("Name"));
	say("State %s", field("State"));
	T(atoi(field("Pid")) == getpid() && atoi(field("Tgid")) == getpid() && atoi(field("PPid")) == getppid());
	say("Threads %s", field("Threads"));
	say("TracerPid %s", field("TracerPid"));
	T(atoi(field("VmRSS")) > 100 && atoi(field("VmSize")) > 100);
	say("SigQ %d", strchr(field("SigQ"), '/') != NULL);
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	signal(SIGUSR2, SIG_IGN);
	slurp("/proc/self/status");
	say("SigPnd %s", field("SigPnd"));
	say("ShdPnd %s", field("ShdPnd"));
	say("SigBlk %s", field("SigBlk"));
	say("SigIgn %s", field("SigIgn"));
	say("NoNewPrivs %s Seccomp", field("NoNewPrivs"));
	say("Umask %s", field("Umask"));
	pid_t c = CHILD(pause());
	char path[50];
	snprintf(path, sizeof path, "/proc/%d/status", c);
	millis(30);
	slurp(path);
	say("child: %s", field("State"));
	kill(c, SIGSTOP);
	waitpid(c, NULL, WUNTRACED);
	slurp(path);
	say("child: %s", field("State"));
	kill(c, SIGKILL);
	siginfo_t si;
	waitid(P_PID, c, &si, WEXITED | WNOWAIT);
	slurp(path);
	say("child: %s", field("State"));
	snprintf(path, sizeof path, "/proc/%d/cmdline", c);
	slurp(path);
	say("cmdline of a zombie has %zu", strlen(buf));
	waitpid(c, NULL, 0);
	slurp("/proc/999999/status");
}

TEST(proc_stat)
{
	slurp("/proc/self/stat");
	int pid, ppid, pgrp, sid;
	char comm[30], state;
	sscanf(buf, "%d (%29[^)]) %c %d %d %d", &pid, comm, &state, &ppid, &pgrp, &sid);
	say("%d %s %c %d %d %d", pid == getpid(), comm, state, ppid == getppid(), pgrp == getpgrp(), sid == getsid(0));
	int fields = 1;
	for (char *p = buf; *p; p++)
		fields += *p == ' ';
	say("%d fields", fields);
	slurp("/proc/self/statm");
	long size, rss;
	sscanf(buf, "%ld %ld", &size, &rss);
	T(size > 100 && rss > 10);
	millis(20); // a machine may have started just now
	slurp("/proc/uptime");
	T(atof(buf) > 0);
	slurp("/proc/stat");
	T(!strncmp(buf, "cpu ", 4) && strstr(buf, "\nbtime ") && strstr(buf, "\nprocesses "));
	slurp("/proc/meminfo");
	T(atol(field("MemTotal")) > atol(field("MemFree")));
	slurp("/proc/self/limits");
	T(strstr(buf, "Max open files"));
	slurp("/proc/version");
	say("%.13s", buf);
}

TEST(proc_links)
{
	char want[PATH_MAX];
	int n = readlink("/proc/self/cwd", buf, sizeof buf);
	buf[n] = 0;
	T(!strcmp(buf, getcwd(want, sizeof want)));
	n = readlink("/proc/self/exe", buf, sizeof buf);
	buf[n] = 0;
	say("%s", strrchr(buf, '/'));
	n = readlink("/proc/self/root", buf, sizeof buf);
	say("%.*s", n, buf);
	n = readlink("/proc/self", buf, sizeof buf);
	buf[n] = 0;
	T(atoi(buf) == getpid());
	n = readlink("/proc/thread-self", buf, sizeof buf);
	buf[n] = 0;
	T(strstr(buf, "/task/"));
	int fd = open("f", O_CREAT | O_RDWR, 0600), p[2];
	char path[50];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, buf, sizeof buf);
	buf[n] = 0;
	say("%s", strrchr(buf, '/'));
	rename("f", "g");
	n = readlink(path, buf, sizeof buf);
	buf[n] = 0;
	say("%s", strrchr(buf, '/'));
	pipe(p);
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	n = readlink(path, buf, sizeof buf);
	say("%.6s", buf);
	struct stat a, b;
	stat(path, &a);
	fstat(p[0], &b);
	T(a.st_ino == b.st_ino);
	lstat(path, &a);
	say("%o", a.st_mode);
	int again = open(path, O_WRONLY); // the other end
	write(again, "via proc", 8);
	R(read(p[0], buf, 100));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	lseek(fd, 5, SEEK_SET);
	slurp(path);
	say("pos %s flags %s", field("pos"), field("flags"));
	R(readlink("/proc/self/fd/999", buf, 10));
	R(open("/proc/self/fd/999", O_RDONLY));
	slurp("/proc/self/cmdline");
	say("%s|%s", strrchr(buf, '/'), buf + strlen(buf) + 1);
	slurp("/proc/self/environ");
	T(strstr(buf, "="));
	DIR *d = opendir("/proc/self/task");
	n = 0;
	while (readdir(d))
		n++;
	say("%d entries in task", n);
	d = opendir("/proc");
	n = 0;
	for (struct dirent *e; (e = readdir(d));)
		n |= atoi(e->d_name) == getpid();
	say("in /proc %d", n);
	R(open("/proc/self/status", O_RDWR | O_CREAT, 0600) >= -1);
	R(mkdir("/proc/x", 0755));
	R(unlink("/proc/self/status"));
	R(access("/proc/self/nope", F_OK));
	R(open("/proc/self/mem", O_RDONLY) >= 0);
	int m = open("/proc/self/mem", O_RDWR);
	int x = 41;
	R(pread(m, buf, 4, (off_t)(uintptr_t)&x));
	say("%d", *(int *)buf);
	R(pwrite(m, &(int){42}, 4, (off_t)(uintptr_t)&x));
	say("%d", x);
	R(pread(m, buf, 4, 8));
}
