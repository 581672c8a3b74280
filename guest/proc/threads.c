// Threads: mutexes of all kinds, conditions, barriers, ends, signals to them.
#include "guest.h"
#include <semaphore.h>
static volatile int got, tids[8]; static siginfo_t last; static __thread int tls = 7;
static void info(int s, siginfo_t *i, void *u) { last = *i; got++; tids[0] = gettid(); }
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER; static long counter; static int flag;
static void *add(void *x) { for (int i = 0; i < 20000; i++) { pthread_mutex_lock(&m); counter++; pthread_mutex_unlock(&m); } tls++; return (void *)(long)tls; }
static void *waiter(void *x) { pthread_mutex_lock(&m); while (!flag) pthread_cond_wait(&c, &m); counter++; pthread_mutex_unlock(&m); return 0; }
static void *holder(void *x) { pthread_mutex_lock(x); return 0; }
static void *sleeper(void *x) { for (;;) pause(); }
static pthread_barrier_t bar; static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER; static sem_t sem;
static void *barrier(void *x) { long s = 0; for (int i = 0; i < 200; i++) s += pthread_barrier_wait(&bar) == PTHREAD_BARRIER_SERIAL_THREAD; __sync_fetch_and_add(&counter, s); return 0; }
static void *reader(void *x) { for (int i = 0; i < 3000; i++) { pthread_rwlock_rdlock(&rw); pthread_rwlock_unlock(&rw); } return 0; }
static void *writer(void *x) { for (int i = 0; i < 3000; i++) { pthread_rwlock_wrlock(&rw); counter++; pthread_rwlock_unlock(&rw); } return 0; }
static void *semer(void *x) { for (int i = 0; i < 1000; i++) { sem_wait(&sem); counter++; sem_post(&sem); } return 0; }
static void *nothing(void *x) { return x; }
static void start(int n, void *(*f)(void *), void *a) { pthread_t t[64]; for (int i = 0; i < n; i++) pthread_create(t + i, 0, f, a); for (int i = 0; i < n; i++) pthread_join(t[i], 0); }
static void mutex(int type, int robust, int protocol, int shared, pthread_mutex_t *x) { pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_settype(&a, type); if (robust) pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST); pthread_mutexattr_setprotocol(&a, protocol); if (shared) pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED); pthread_mutex_init(x, &a); }
static const char *en(int e) { return e ? strerrorname_np(e) : "ok"; }
static pthread_mutex_t *pm;
static void *locker(void *x) { for (int i = 0; i < 2000; i++) { pthread_mutex_lock(pm); counter++; pthread_mutex_unlock(pm); } return 0; }
static void *taker(void *x) { int e = pthread_mutex_lock(pm); if (e == EOWNERDEAD) pthread_mutex_consistent(pm); pthread_mutex_unlock(pm); return (void *)(long)e; }
static void *leader(void *x) { pthread_join(*(pthread_t *)x, 0); msleep(30); P("after the leader: pid %d\n", kill(getpid(), 0)); exit(12); }
static void *killer(void *x) { msleep(20); tgkill(getpid(), gettid(), SIGTERM); for (;;) pause(); }
static void *worker_exit(void *x) { msleep(10); if (x) exit(33); syscall(SYS_exit, 5); return 0; }
static void *blocked(void *x) { sigset_t s; sigfillset(&s); pthread_sigmask(SIG_BLOCK, &s, 0); siginfo_t si; int r = sigwaitinfo(&s, &si); return (void *)(long)r; }
static void *forker(void *x) { pid_t p = fork(); int ws; if (!p) _exit(gettid() == getpid() ? 3 : 4); waitpid(p, &ws, 0); return (void *)(long)WEXITSTATUS(ws); }
int main(void) {
	pthread_t t, u; void *r; struct timespec ts; int ws; pid_t p; no_core();
	start(4, add, 0); P("counter %ld\n", counter);
	pthread_create(&t, 0, add, 0); pthread_join(t, &r); P("tls %ld mine %d\n", (long)r, tls);
	counter = 0; pthread_t w[8]; for (int i = 0; i < 8; i++) pthread_create(w + i, 0, waiter, 0); msleep(30); pthread_mutex_lock(&m); flag = 1; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m); for (int i = 0; i < 8; i++) pthread_join(w[i], 0); P("woken %ld\n", counter);
	counter = 0; pthread_barrier_init(&bar, 0, 5); start(5, barrier, 0); P("barriers %ld\n", counter);
	counter = 0; for (int i = 0; i < 3; i++) pthread_create(w + i, 0, reader, 0); start(3, writer, 0); for (int i = 0; i < 3; i++) pthread_join(w[i], 0); P("rwlock %ld\n", counter);
	counter = 0; sem_init(&sem, 0, 1); start(4, semer, 0); P("semaphore %ld\n", counter);
	for (int type = 0; type < 3; type++) for (int robust = 0; robust < 2; robust++) for (int proto = 0; proto < 2; proto++) for (int sh = 0; sh < 2; sh++) {
		pthread_mutex_t x; mutex(type, robust, proto, sh, &x); pm = &x; counter = 0;
		start(4, locker, 0); P("type %d robust %d pi %d shared %d: %ld lock %s", type, robust, proto, sh, counter, en(pthread_mutex_lock(&x)));
		if (type) P(" again %s", en(pthread_mutex_lock(&x))); P(" trylock %s unlock %s", en(pthread_mutex_trylock(&x)), en(pthread_mutex_unlock(&x))); while (pthread_mutex_unlock(&x) == 0 && type == 1); P("\n");
		mutex(type, robust, proto, sh, &x); start(1, holder, &x);
		clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 30000000; if (ts.tv_nsec > 999999999) ts.tv_nsec -= 1000000000, ts.tv_sec++;
		int e = pthread_mutex_timedlock(&x, &ts); P("  after its owner's end: %s", en(e)); if (e == EOWNERDEAD) P(" consistent %s", en(pthread_mutex_consistent(&x))); P(" unlock %s\n", en(pthread_mutex_unlock(&x)));
	}
	// Robust ones with waiters, of threads and processes; unrecoverable.
	static pthread_mutex_t rx; mutex(0, 1, 0, 0, &rx); pm = &rx; pthread_mutex_lock(&rx); /* by main */ pthread_mutex_unlock(&rx);
	void *hold(void *x) { pthread_mutex_lock(&rx); msleep(40); return 0; } for (int proto = 0; proto < 2; proto++) { mutex(0, 1, proto, 0, &rx); pthread_create(&t, 0, hold, 0); msleep(15); for (int i = 0; i < 3; i++) pthread_create(w + i, 0, taker, 0); pthread_join(t, 0); int dead = 0; for (int i = 0; i < 3; i++) { pthread_join(w[i], &r); dead += (long)r == EOWNERDEAD; } P("robust waiters: told %d\n", dead); }
	mutex(0, 1, 0, 0, &rx); start(1, holder, &rx); pthread_mutex_lock(&rx); pthread_mutex_unlock(&rx); P("not recovered: %s\n", en(pthread_mutex_lock(&rx)));
	pthread_mutex_t *sx = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); for (int proto = 0; proto < 2; proto++) { mutex(0, 1, proto, 1, sx); volatile int *held = (void *)(sx + 1); *held = 0; p = fork(); if (!p) { pthread_mutex_lock(sx); *held = 1; msleep(40); kill(getpid(), SIGKILL); } while (!*held) msleep(1); P("owner killed: %s\n", en(pthread_mutex_lock(sx))); pthread_mutex_consistent(sx); pthread_mutex_unlock(sx); wait(0); }
	mutex(0, 1, 0, 1, sx); p = fork(); if (!p) { pthread_mutex_lock(sx); execl("/bin/true", "true", NULL); } P("%d ", wait(&ws) == p); P("owner execs: %s\n", en(pthread_mutex_lock(sx)));
	// Process-shared condition.
	struct { pthread_mutex_t m; pthread_cond_t c; int v; } *sh = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); mutex(0, 0, 0, 1, &sh->m); pthread_condattr_t ca; pthread_condattr_init(&ca); pthread_condattr_setpshared(&ca, 1); pthread_cond_init(&sh->c, &ca);
	p = fork(); if (!p) { pthread_mutex_lock(&sh->m); while (sh->v < 1) pthread_cond_wait(&sh->c, &sh->m); sh->v = 2; pthread_cond_signal(&sh->c); pthread_mutex_unlock(&sh->m); _exit(0); } msleep(20); pthread_mutex_lock(&sh->m); sh->v = 1; pthread_cond_broadcast(&sh->c); while (sh->v != 2) pthread_cond_wait(&sh->c, &sh->m); pthread_mutex_unlock(&sh->m); wait(0); P("shared condition %d\n", sh->v);
	clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec > 999999999) ts.tv_nsec -= 1000000000, ts.tv_sec++; pthread_mutex_lock(&m); P("timedwait %s\n", en(pthread_cond_timedwait(&c, &m, &ts))); pthread_mutex_unlock(&m);
	// Many short ones.
	for (int i = 0; i < 300; i++) { pthread_create(&t, 0, nothing, (void *)(long)i); pthread_join(t, &r); if ((long)r != i) P("lost %d\n", i); } P("short ones\n");
	pthread_attr_t at; pthread_attr_init(&at); pthread_attr_setdetachstate(&at, 1); for (int i = 0; i < 200; i++) pthread_create(&t, &at, nothing, 0); msleep(50);
	// Cancelling.
	pthread_create(&t, 0, sleeper, 0); msleep(10); pthread_cancel(t); pthread_join(t, &r); P("cancelled %d\n", r == PTHREAD_CANCELED);
	// Signals to threads.
	on(SIGUSR1, info, SA_SIGINFO); pthread_create(&t, 0, sleeper, 0); msleep(10); got = 0; pthread_kill(t, SIGUSR1); for (int i = 0; i < 200 && !got; i++) msleep(2); P("pthread_kill: %d in another %d code %d\n", got, tids[0] != getpid(), last.si_code);
	got = 0; kill(getpid(), SIGUSR1); P("kill: in the main thread %d %d\n", got, tids[0] == getpid());
	sigset_t s, o; sigemptyset(&s); sigaddset(&s, SIGUSR1); pthread_sigmask(SIG_BLOCK, &s, &o); got = 0; kill(getpid(), SIGUSR1); for (int i = 0; i < 200 && !got; i++) msleep(2); P("blocked here: %d elsewhere %d\n", got, tids[0] != getpid());
	pthread_sigqueue(t, SIGUSR1, (union sigval){.sival_int = 9}); msleep(20); P("pthread_sigqueue value %d code %d\n", last.si_value.sival_int, last.si_code);
	pthread_create(&u, 0, blocked, 0); msleep(20); sigfillset(&s); pthread_sigmask(SIG_BLOCK, &s, 0); pthread_cancel(t); pthread_join(t, 0); kill(getpid(), SIGUSR2); pthread_join(u, &r); P("sigwaitinfo in a thread %ld\n", (long)r); pthread_sigmask(SIG_SETMASK, &o, 0);
	T(pthread_kill(pthread_self(), 0)); T(pthread_kill(pthread_self(), 99));
	// Ends of processes with threads.
#define E(...) p = fork(); if (!p) { __VA_ARGS__; } waitpid(p, &ws, 0); show_status(#__VA_ARGS__, ws);
	E(pthread_create(&t, 0, sleeper, 0); exit(3)) E(pthread_create(&t, 0, worker_exit, (void *)1); for (;;) pause()) E(pthread_create(&t, 0, worker_exit, 0); msleep(40); _exit(6)) E(pthread_create(&t, 0, killer, 0); for (;;) pause()) E(pthread_create(&t, 0, sleeper, 0); pthread_create(&t, 0, sleeper, 0); msleep(10); abort())
	E(pthread_t me = pthread_self(); pthread_create(&t, 0, leader, &me); pthread_exit(0)) E(pthread_create(&t, 0, worker_exit, 0); syscall(SYS_exit, 21)) E(pthread_create(&t, 0, sleeper, 0); msleep(5); kill(getpid(), SIGKILL)) E(for (int i = 0; i < 8; i++) pthread_create(&t, 0, worker_exit, (void *)1); for (;;);)
	// The leader of a process that goes on is a zombie that cannot be waited for.
	p = fork(); if (!p) { pthread_create(&t, 0, worker_exit, (void *)1); syscall(SYS_exit, 1); } T(waitpid(p, &ws, WNOHANG)); waitpid(p, &ws, 0); show_status("leader first", ws);
	// Stops stop all.
	volatile int *run = (void *)sh; run[0] = 0; p = fork(); if (!p) { void *spin(void *x) { for (;;) { __sync_fetch_and_add((int *)run, 1); usleep(100); } } pthread_create(&t, 0, spin, 0); spin(0); } msleep(30); kill(p, SIGSTOP); waitpid(p, &ws, WUNTRACED); int v = run[0]; show_status("stop", ws); msleep(40); P("stood still %d\n", v == run[0]); kill(p, SIGCONT); msleep(60); P("went on %d\n", v != run[0]); kill(p, SIGKILL); waitpid(p, &ws, 0); show_status("end", ws);
	pthread_create(&t, 0, forker, 0); pthread_join(t, &r); P("fork in a thread %ld\n", (long)r);
	// Errors of the calls.
	T(syscall(SYS_set_robust_list, 0, 23)); long h, l; T(syscall(SYS_get_robust_list, 0, &h, &l)); P("robust head %d size %ld\n", h != 0, l); T(syscall(SYS_get_robust_list, 999999, &h, &l)); T(syscall(SYS_set_tid_address, &ws) == getpid());
#define MB(c, f) T(syscall(SYS_membarrier, c, f, 0))
	P("membarrier query %d\n", (syscall(SYS_membarrier, 0, 0, 0) & 0x1f) == 0x1f); MB(1, 0); MB(8, 0); MB(16, 0); MB(8, 0); MB(0, 1); MB(1 << 20, 0); MB(2, 0); MB(4, 0);
	return 0;
}
