// Threads and futexes.
#include "guest.h"
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/eventfd.h>

static long futex(void *a, int op, unsigned v, void *t, void *b, unsigned v3) { return syscall(SYS_futex, a, op, v, t, b, v3); }
static pid_t tid(void) { return syscall(SYS_gettid); }

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile long total;

static void *add(void *arg)
{
	for (int i = 0; i < 5000; i++) {
		pthread_mutex_lock(&mu);
		total++;
		pthread_mutex_unlock(&mu);
	}
	return arg;
}

TEST(mutex)
{
	pthread_t t[8];
	for (long i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, add, (void *)i);
	long sum = 0;
	for (int i = 0; i < 8; i++) {
		void *r;
		pthread_join(t[i], &r);
		sum += (long)r;
	}
	say("total %ld, returned %ld", total, sum);
}

static int queue[4], head, tail;
static void *produce(void *arg)
{
	for (int i = 1; i <= 500; i++) {
		pthread_mutex_lock(&mu);
		while (tail - head == 4)
			pthread_cond_wait(&cond, &mu);
		queue[tail++ & 3] = i;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mu);
	}
	return NULL;
}

TEST(condition)
{
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, produce, NULL);
	long sum = 0;
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&mu);
		while (tail == head)
			pthread_cond_wait(&cond, &mu);
		sum += queue[head++ & 3];
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mu);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	say("sum %ld", sum);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	pthread_mutex_lock(&mu);
	say("timed wait: %s", errname(pthread_cond_timedwait(&cond, &mu, &ts)));
	pthread_mutex_unlock(&mu);
}

static pthread_barrier_t bar;
static volatile int arrived, early;
static void *meet(void *arg)
{
	for (int i = 0; i < 20; i++) {
		__sync_fetch_and_add(&arrived, 1);
		pthread_barrier_wait(&bar);
		if (arrived < (i + 1) * 4)
			early++;
		pthread_barrier_wait(&bar);
	}
	return NULL;
}

TEST(barrier_rwlock_semaphore)
{
	pthread_t t[4];
	pthread_barrier_init(&bar, NULL, 4);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, meet, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("arrived %d, early %d", arrived, early);
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	pthread_rwlock_rdlock(&rw);
	say("read %d write %s", pthread_rwlock_tryrdlock(&rw), errname(pthread_rwlock_trywrlock(&rw)));
	sem_t *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sem_init(s, 1, 0);
	pid_t c = CHILD(for (int i = 0; i < 3; i++) sem_wait(s); _exit(4));
	for (int i = 0; i < 3; i++)
		sem_post(s);
	reap("semaphore between processes", c);
}

static int word;
static void *wait_word(void *arg)
{
	long r = futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	return (void *)(r == 0 ? 1L : (long)errno + 100);
}

TEST(futex_wait_wake)
{
	R(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
	struct timespec t = {0, 10000000};
	R(futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
	R(futex(&word, FUTEX_WAKE, 5, NULL, NULL, 0));
	pthread_t th[3];
	for (int i = 0; i < 3; i++)
		pthread_create(&th[i], NULL, wait_word, NULL);
	millis(100);
	R(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0));
	R(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	long sum = 0;
	for (int i = 0; i < 3; i++) {
		void *r;
		pthread_join(th[i], &r);
		sum += (long)r;
	}
	say("woken %ld", sum);
	R(futex((char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0));
	R(futex((void *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
	R(futex((void *)0x100000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	R(futex((void *)0x100000, FUTEX_WAKE, 1, NULL, NULL, 0));
	R(futex(&word, 99, 0, NULL, NULL, 0));
	t.tv_nsec = -1;
	R(futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
	R(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
	clock_gettime(CLOCK_MONOTONIC, &t);
	R(futex(&word, FUTEX_WAIT_BITSET, 0, &t, NULL, ~0u));
	R(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, ~0u));
}

static int word2;
static void *wait_bits(void *arg)
{
	return (void *)futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (long)arg);
}

TEST(futex_bitset)
{
	pthread_t a, b;
	pthread_create(&a, NULL, wait_bits, (void *)1);
	pthread_create(&b, NULL, wait_bits, (void *)2);
	millis(100);
	R(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4));
	R(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2));
	pthread_join(b, NULL);
	R(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 3));
	pthread_join(a, NULL);
	R(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 0));
}

TEST(futex_requeue)
{
	pthread_t th[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, wait_word, NULL);
	millis(100);
	R(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2L, &word2, 7));
	R(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2L, &word2, 0));
	R(futex(&word2, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	R(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	// Set word2 to 5 if its old value is 0, then wake both.
	R(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2, FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 0)));
	say("word2 %d", word2);
	R(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_GT, 100)));
	say("word2 %d", word2);
}

TEST(futex_shared_memory)
{
	int *w = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t c = CHILD(_exit(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ? 5 : 6));
	millis(100);
	R(futex(w, FUTEX_WAKE, 1, NULL, NULL, 0));
	reap("anonymous", c);
	int fd = must(open("shared", O_RDWR | O_CREAT, 0600));
	must(ftruncate(fd, 8192));
	int *a = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	c = CHILD({
		int *b = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, must(open("shared", O_RDWR)), 4096));
		_exit(futex(b + 3, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ? 5 : 6);
	});
	millis(100);
	R(futex(a + 1024 + 3, FUTEX_WAKE, 1, NULL, NULL, 0));
	reap("file", c);
	c = CHILD(_exit(futex(&word, FUTEX_WAIT, 0, &(struct timespec){0, 200000000}, NULL, 0) == 0 ? 5 : 6));
	millis(50);
	R(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0)); // private memory: another's
	reap("private", c);
}

TEST(robust_mutex)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutex_t *m = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pthread_mutex_init(m, &a);
	reap("owner", CHILD(pthread_mutex_lock(m); raise(SIGKILL)));
	say("lock: %s", errname(pthread_mutex_lock(m)));
	say("consistent: %d", pthread_mutex_consistent(m));
	say("unlock: %d", pthread_mutex_unlock(m));
	pid_t c = CHILD(pthread_mutex_lock(m); millis(100); _exit(0));
	millis(50);
	say("waited: %s", errname(pthread_mutex_lock(m)));
	reap("owner", c);
	pthread_mutex_unlock(m);
	say("not recoverable: %s", errname(pthread_mutex_lock(m)));
	pthread_mutex_init(m, &a);
	void *hold(void *x) { pthread_mutex_lock(m); return NULL; }
	pthread_t t;
	pthread_create(&t, NULL, hold, NULL);
	pthread_join(t, NULL);
	say("thread gone: %s", errname(pthread_mutex_lock(m)));
}

TEST(pi_mutex)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_t m;
	pthread_mutex_init(&m, &a);
	void *work(void *x)
	{
		for (int i = 0; i < 300; i++) {
			pthread_mutex_lock(&m);
			total++;
			pthread_mutex_unlock(&m);
		}
		return NULL;
	}
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, work, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("total %ld", total);
	int w = 0;
	R(futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	T(w == tid());
	R(futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	R(futex(&w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
	R(futex(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	R(futex(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	w = 999999;
	R(futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	struct timespec ts;
	void *hold(void *x) { pthread_mutex_lock(&m); millis(150); pthread_mutex_unlock(&m); return NULL; }
	pthread_create(&t[0], NULL, hold, NULL);
	millis(50);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	say("timed: %s", errname(pthread_mutex_timedlock(&m, &ts)));
	say("then: %d", pthread_mutex_lock(&m));
	pthread_join(t[0], NULL);
}

static __thread int mine = 5;
static pthread_key_t key;
static void destroyed(void *v) { say("destructor %ld", (long)v); }
static void *locals(void *arg)
{
	mine += (long)arg;
	pthread_setspecific(key, arg);
	errno = 0;
	close(-1);
	return (void *)(long)(mine + (errno == EBADF));
}

TEST(thread_locals)
{
	pthread_key_create(&key, destroyed);
	pthread_t t;
	for (long i = 10; i < 13; i++) {
		void *r;
		pthread_create(&t, NULL, locals, (void *)i);
		pthread_join(t, &r);
		say("thread %ld, here %d", (long)r, mine);
	}
}

static void cleanup(void *arg) { say("cleanup %s", (char *)arg); }
static void *cancelled(void *arg)
{
	pthread_cleanup_push(cleanup, "ran");
	int p[2];
	pipe(p);
	char x;
	read(p[0], &x, 1);
	pthread_cleanup_pop(0);
	return NULL;
}

TEST(cancel_detach_stacks)
{
	pthread_t t;
	void *r;
	pthread_create(&t, NULL, cancelled, NULL);
	millis(50);
	pthread_cancel(t);
	pthread_join(t, &r);
	T(r == PTHREAD_CANCELED);
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	int fd = eventfd(0, 0);
	void *post(void *x) { uint64_t one = 1; write(fd, &one, 8); return NULL; }
	for (int i = 0; i < 20; i++)
		say("create %d", pthread_create(&t, &a, post, NULL));
	uint64_t n = 0, v;
	while (n < 20)
		read(fd, &v, 8), n += v;
	say("%lu", (unsigned long)n);
}

static void *ids(void *arg)
{
	pid_t *p = arg;
	p[0] = getpid();
	p[1] = tid();
	p[2] = getppid();
	return NULL;
}

TEST(identity)
{
	pid_t p[3];
	pthread_t t;
	pthread_create(&t, NULL, ids, p);
	pthread_join(t, NULL);
	say("pid same %d, tid differs %d, parent same %d, main tid is pid %d", p[0] == getpid(), p[1] != getpid(), p[2] == getppid(), tid() == getpid());
	char name[16] = "";
	R(pthread_setname_np(pthread_self(), "renamed"));
	pthread_getname_np(pthread_self(), name, sizeof name);
	say("%s", name);
	R(pthread_setname_np(pthread_self(), "a name that is too long"));
	R(syscall(SYS_set_tid_address, &word) == tid());
	void *head;
	size_t len;
	R(syscall(SYS_get_robust_list, 0, &head, &len));
	say("len %zu", len);
	R(syscall(SYS_set_robust_list, head, 5));
	R(syscall(SYS_get_robust_list, 999999, &head, &len));
}

TEST(many_threads)
{
	enum { N = 100 };
	pthread_t t[N];
	int ok = 0;
	for (int i = 0; i < N; i++)
		ok += pthread_create(&t[i], NULL, add, NULL) == 0 && pthread_detach(t[i]) == 0;
	double start = now();
	while (total < N * 5000 && now() - start < 15)
		millis(5);
	say("%d threads, total %ld", ok, total);
}

TEST(yield_ping_pong)
{
	static volatile int turn;
	void *pong(void *x)
	{
		for (int i = 0; i < 200; i++) {
			while (turn != 1)
				sched_yield();
			turn = 0;
		}
		return NULL;
	}
	pthread_t t;
	pthread_create(&t, NULL, pong, NULL);
	for (int i = 0; i < 200; i++) {
		while (turn != 0)
			sched_yield();
		turn = 1;
	}
	pthread_join(t, NULL);
	say("200 turns");
}

TEST(spinning_thread_is_preempted)
{
	static volatile int stop;
	void *spin(void *x) { while (!stop); return NULL; }
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, spin, NULL);
	millis(50);
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("done");
}
