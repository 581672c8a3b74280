// futex(2) itself: results and errors.
#include "guest.h"
static long fx(volatile void *a, int op, unsigned v, void *t, volatile void *b, unsigned v3) { return syscall(SYS_futex, a, op, v, t, b, v3); }
static volatile int f, g, n; static struct timespec ms20 = {0, 20000000}, neg = {-1, 0}, big = {0, 1000000000}, zero;
static volatile int results[16];
struct arg { volatile int *a; int op; unsigned v, v3; volatile int *b; };
static void *wth(void *x) { struct arg *a = x; int i = __sync_fetch_and_add(&n, 1); struct timespec ts = {5, 0}, abs; clock_gettime(CLOCK_MONOTONIC, &abs); abs.tv_sec += 5; long r = fx(a->a, a->op, a->v, (a->op & 127) == FUTEX_WAIT ? &ts : &abs, a->b, a->v3); results[i] = r < 0 ? -errno : r; return 0; }
static pthread_t th[16]; static int nth;
static void spawn(struct arg *a) { pthread_create(&th[nth++], 0, wth, a); while (n < nth); msleep(15); }
static void join(void) { for (int i = 0; i < nth; i++) pthread_join(th[i], 0); P("  results"); for (int i = 0; i < nth; i++) P(" %d", results[i]); P("\n"); n = nth = 0; }
struct wv { uint64_t val, addr; uint32_t flags, zero; };
int main(void) {
	char *ro = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *no = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); munmap(no, 4096);
	for (int pr = 0; pr <= 128; pr += 128) {
		P("private %d\n", pr);
#define F(a, op, v, t, b, v3) T(fx(a, (op) | pr, v, t, b, v3))
		F(&f, FUTEX_WAIT, 1, 0, 0, 0); F(&f, FUTEX_WAIT, 0, &ms20, 0, 0); F(&f, FUTEX_WAIT, 0, &zero, 0, 0); F(&f, FUTEX_WAIT, 0, &neg, 0, 0); F(&f, FUTEX_WAIT, 0, &big, 0, 0); F(&f, FUTEX_WAIT, 0, (void *)8, 0, 0);
		F((char *)&f + 1, FUTEX_WAIT, 0, &ms20, 0, 0); F((void *)8, FUTEX_WAIT, 0, &ms20, 0, 0); F(no, FUTEX_WAIT, 0, &ms20, 0, 0); F((void *)0xffff800000000000, FUTEX_WAIT, 0, 0, 0, 0); F(ro, FUTEX_WAIT, 0, &ms20, 0, 0);
		F(&f, FUTEX_WAKE, 1, 0, 0, 0); F((char *)&f + 2, FUTEX_WAKE, 1, 0, 0, 0); F(no, FUTEX_WAKE, 1, 0, 0, 0); F(ro, FUTEX_WAKE, 1, 0, 0, 0); F((void *)0xffff800000000000, FUTEX_WAKE, 1, 0, 0, 0);
		F(&f, FUTEX_WAIT_BITSET, 0, &zero, 0, 0); F(&f, FUTEX_WAIT_BITSET, 0, &zero, 0, 1); F(&f, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &zero, 0, 1); F(&f, FUTEX_WAKE_BITSET, 1, 0, 0, 0);
		F(&f, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, 0, 0, 0); F(&f, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 1, 0, 0, 0); F(&f, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 1, 0, 0, 0);
		F(&f, FUTEX_REQUEUE, 1, (void *)1, &g, 0); F(&f, FUTEX_REQUEUE, -1, (void *)1, &g, 0); F(&f, FUTEX_REQUEUE, 1, (void *)-1, &g, 0); F(&f, FUTEX_CMP_REQUEUE, 1, (void *)1, &g, 1); F(&f, FUTEX_CMP_REQUEUE, 1, (void *)1, &g, 0); F(&f, FUTEX_CMP_REQUEUE, 1, (void *)1, (char *)&g + 1, 0); F(&f, FUTEX_CMP_REQUEUE, 1, (void *)1, &f, 0);
		g = 5; F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)); P("g %d\n", g); F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(FUTEX_OP_SET, 0xfff, FUTEX_OP_CMP_LT, 5)); P("g %d\n", g); F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(FUTEX_OP_ANDN | 8, 0, FUTEX_OP_CMP_GE, 5)); P("g %d\n", g); F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(FUTEX_OP_XOR, 1, FUTEX_OP_CMP_NE, 5)); F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(5, 1, 0, 5)); F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(0, 1, 9, 5)); F(&f, FUTEX_WAKE_OP, 1, (void *)1, ro, FUTEX_OP(0, 1, 0, 5)); F(&f, FUTEX_WAKE_OP, 1, (void *)1, (char *)8, 0);
		F(&f, 2, 0, 0, 0, 0); F(&f, 99, 0, 0, 0, 0);
		// PI.
		f = 0; F(&f, FUTEX_LOCK_PI, 0, 0, 0, 0); P("owned %d\n", f == gettid()); F(&f, FUTEX_LOCK_PI, 0, 0, 0, 0); F(&f, FUTEX_TRYLOCK_PI, 0, 0, 0, 0); F(&f, FUTEX_UNLOCK_PI, 0, 0, 0, 0); P("f %d\n", f); F(&f, FUTEX_UNLOCK_PI, 0, 0, 0, 0); f = 999999; F(&f, FUTEX_LOCK_PI, 0, &zero, 0, 0); F(&f, FUTEX_TRYLOCK_PI, 0, 0, 0, 0); f = getppid(); F(&f, FUTEX_UNLOCK_PI, 0, 0, 0, 0); f = 0x40000000; F(&f, FUTEX_TRYLOCK_PI, 0, 0, 0, 0); P("died bit kept %x\n", f & 0xc0000000); f = 0; F(ro, FUTEX_LOCK_PI, 0, 0, 0, 0); F((void *)8, FUTEX_LOCK_PI, 0, 0, 0, 0); F(&f, 13, 0, &zero, 0, 0); F(&f, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
		F(&f, FUTEX_WAIT_REQUEUE_PI, 1, 0, &g, 0); F(&f, FUTEX_WAIT_REQUEUE_PI, 0, &zero, &f, 0); F(&f, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, &f, 0); F(&f, FUTEX_CMP_REQUEUE_PI, 2, (void *)0, &g, 0); F(&f, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, &g, 9); F(&f, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, &g, 0);
		// Waiters.
		f = 0; struct arg a = {&f, FUTEX_WAIT | pr, 0}, b1 = {&f, FUTEX_WAIT_BITSET | pr, 0, 1}, b2 = {&f, FUTEX_WAIT_BITSET | pr, 0, 2};
		for (int i = 0; i < 3; i++) spawn(&a); F(&f, FUTEX_WAKE, 0, 0, 0, 0); F(&f, FUTEX_WAKE, 100, 0, 0, 0); join();
		for (int i = 0; i < 3; i++) spawn(&a); F(&f, FUTEX_WAKE, -1, 0, 0, 0); F(&f, FUTEX_WAKE, INT_MAX, 0, 0, 0); join();
		spawn(&b1); spawn(&b2); F(&f, FUTEX_WAKE_BITSET, 10, 0, 0, 4); F(&f, FUTEX_WAKE_BITSET, 10, 0, 0, 2); F(&f, FUTEX_WAKE_BITSET, 10, 0, 0, 3); join();
		for (int i = 0; i < 5; i++) spawn(&a); F(&f, FUTEX_CMP_REQUEUE, 1, (void *)2, &g, 0); F(&g, FUTEX_WAKE, 1, 0, 0, 0); F(&f, FUTEX_REQUEUE, 0, (void *)100, &g, 0); F(&g, FUTEX_WAKE, 100, 0, 0, 0); join();
		struct arg c = {&g, FUTEX_WAIT | pr, 1}; g = 1; spawn(&a); spawn(&c); F(&f, FUTEX_WAKE_OP, 1, (void *)1, &g, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 1)); join();
		g = 0; F(&g, FUTEX_LOCK_PI, 0, 0, 0, 0); struct arg q = {&f, FUTEX_WAIT_REQUEUE_PI | pr, 0, 0, &g}; spawn(&q); spawn(&q); F(&f, FUTEX_WAKE, 1, 0, 0, 0); F(&f, FUTEX_REQUEUE, 1, (void *)1, &n, 0); F(&f, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, (void *)&n, 0); F(&f, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, &g, 0); P("waiters bit %d\n", !!(g & 0x80000000)); F(&g, FUTEX_WAKE, 1, 0, 0, 0); F(&g, FUTEX_UNLOCK_PI, 0, 0, 0, 0); msleep(30); P("handed over %d\n", (g & 0x3fffffff) != gettid() && g); /* the owner has ended by now: the next one is told */ join(); g = 0;
		struct arg l = {&g, FUTEX_LOCK_PI | pr}; F(&g, FUTEX_LOCK_PI, 0, 0, 0, 0); spawn(&l); F(&g, FUTEX_UNLOCK_PI, 0, 0, 0, 0); join(); P("its owner has ended: %d\n", g != 0); g = 0;
		// waitv.
		struct wv v[3] = {{0, (long)&f, 2 | pr}, {5, (long)&g, 2 | pr}}; struct timespec mono; g = 5;
#define W(n, fl, t, ck) T(syscall(449, v, n, fl, t, ck))
		clock_gettime(CLOCK_MONOTONIC, &mono); mono.tv_nsec += 20000000; if (mono.tv_nsec > 999999999) mono.tv_nsec -= 1000000000, mono.tv_sec++;
		W(2, 0, &mono, CLOCK_MONOTONIC); W(0, 0, 0, 0); W(129, 0, 0, 0); W(2, 1, 0, 0); W(2, 0, &mono, 7); W(2, 0, &neg, CLOCK_MONOTONIC); v[1].val = 6; W(2, 0, 0, 0); v[1].val = 5; v[1].flags = 1 | pr; W(2, 0, 0, 0); v[1].flags = 2 | pr; v[1].zero = 1; W(2, 0, 0, 0); v[1].zero = 0; v[1].addr = 8; W(2, 0, 0, 0); v[1].addr = (long)&g + 1; W(2, 0, 0, 0); v[1].addr = (long)&g; T(syscall(449, 8, 2, 0, 0, 0)); T(syscall(449, 0, 2, 0, 0, 0));
		void *waker(void *x) { msleep(30); fx(&g, FUTEX_WAKE | pr, 1, 0, 0, 0); return 0; } pthread_t t; pthread_create(&t, 0, waker, 0); W(2, 0, 0, 0); pthread_join(t, 0); g = f = 0;
	}
	// Shared between processes, private not.
	volatile int *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); struct timespec long_ = {1, 0};
	for (int pr = 0; pr <= 128; pr += 128) { pid_t p = fork(); if (!p) { long r = fx(s, FUTEX_WAIT | pr, 0, pr ? &ms20 : &long_, 0, 0); _exit(r ? errno : 0); } if (!pr) msleep(50); int w = 0; for (int i = 0; i < (pr ? 1 : 100) && !w; i++) { w = fx(s, FUTEX_WAKE | pr, 1, 0, 0, 0); msleep(2); } int ws; waitpid(p, &ws, 0); P("between processes %d: woke %d, child %d\n", pr, w, WEXITSTATUS(ws)); }
	volatile int *s2 = mremap((void *)s, 0, 4096, MREMAP_MAYMOVE); pid_t p = fork(); if (!p) { long r = fx(s2, FUTEX_WAIT, 0, &long_, 0, 0); _exit(r ? errno : 0); } msleep(50); P("by another address %ld\n", fx(s, FUTEX_WAKE, 1, 0, 0, 0)); int ws; waitpid(p, &ws, 0); P("child %d\n", WEXITSTATUS(ws));
	return 0;
}
