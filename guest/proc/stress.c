// Lost wake-ups and leaks: ping-pong, storms of forks and signals.
#include "guest.h"
static volatile int turn[4]; static volatile long sum; static volatile int got, kids;
static void fwait(volatile int *a, int v) { while (*a == v) syscall(SYS_futex, a, FUTEX_WAIT | 128, v, 0, 0, 0); }
static void fwake(volatile int *a) { syscall(SYS_futex, a, FUTEX_WAKE | 128, 1, 0, 0, 0); }
static void *ping(void *x) { long id = (long)x; volatile int *t = &turn[id / 2]; for (int i = 0; i < 3000; i++) { while (*t % 2 != id % 2) { int v = *t; if (v % 2 != id % 2) fwait(t, v); } __sync_fetch_and_add(&sum, 1); __sync_fetch_and_add(t, 1); fwake(t); } return 0; }
static void count(int s) { __sync_fetch_and_add(&got, 1); }
static void chld(int s) { int e = errno; while (waitpid(-1, 0, WNOHANG) > 0) kids++; errno = e; }
static void *victim(void *x) { while (*(volatile int *)x) { int a[100]; for (int i = 0; i < 100; i++) a[i] = i; getppid(); } return 0; }
static void *pipes(void *x) { int p[2], q[2]; pipe(p); pipe(q); pid_t k = fork(); char c; if (!k) { close(p[1]); close(q[0]); while (read(p[0], &c, 1) == 1) write(q[1], &c, 1); _exit(0); } close(p[0]); close(q[1]); for (int i = 0; i < 500; i++) { write(p[1], "x", 1); read(q[0], &c, 1); } close(p[1]); close(q[0]); kill(k, SIGKILL); waitpid(k, 0, 0); return 0; }
static void *forks(void *x) { int ok = 0; for (int i = 0; i < 50; i++) { pid_t p = fork(); if (!p) _exit(i); int ws; if (waitpid(p, &ws, 0) == p && WEXITSTATUS(ws) == i) ok++; } return (void *)(long)ok; }
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER; static int queue;
static void *producer(void *x) { for (int i = 0; i < 2000; i++) { pthread_mutex_lock(&m); queue++; pthread_cond_signal(&c); pthread_mutex_unlock(&m); } return 0; }
static void *consumer(void *x) { for (int i = 0; i < 2000; i++) { pthread_mutex_lock(&m); while (!queue) pthread_cond_wait(&c, &m); queue--; pthread_mutex_unlock(&m); } return 0; }
int main(void) {
	pthread_t t[16]; void *r; int ws; no_core();
	for (long i = 0; i < 4; i++) pthread_create(t + i, 0, ping, (void *)i); for (int i = 0; i < 4; i++) pthread_join(t[i], 0); P("ping-pong %ld\n", sum);
	for (int i = 0; i < 3; i++) pthread_create(t + i, 0, producer, 0), pthread_create(t + 3 + i, 0, consumer, 0); for (int i = 0; i < 6; i++) pthread_join(t[i], 0); P("queue %d\n", queue);
	int n = 0; for (int i = 0; i < 1000; i++) { pid_t p = fork(); if (!p) _exit(0); if (i % 10 == 9) while (waitpid(-1, &ws, WNOHANG) > 0) n++; } while (wait(&ws) > 0) n++; P("forks %d\n", n);
	for (int i = 0; i < 4; i++) pthread_create(t + i, 0, forks, 0); int ok = 0; for (int i = 0; i < 4; i++) { pthread_join(t[i], &r); ok += (long)r; } P("forks in threads %d\n", ok);
	for (int i = 0; i < 4; i++) pthread_create(t + i, 0, pipes, 0); for (int i = 0; i < 4; i++) pthread_join(t[i], 0); P("pipes\n");
	// Signals all over threads that compute and call.
	on(SIGUSR1, count, SA_RESTART); volatile int run = 1; for (int i = 0; i < 4; i++) pthread_create(t + i, 0, victim, (void *)&run); for (int i = 0; i < 2000; i++) pthread_kill(t[i % 4], SIGUSR1); int g = 0; for (int i = 0; i < 1000 && g != got; i++) { g = got; msleep(20); } run = 0; for (int i = 0; i < 4; i++) pthread_join(t[i], 0); P("signals came %d\n", got >= 4);
	// Real-time ones are all counted.
	on(SIGRTMIN, count, 0); got = 0; pid_t me = getpid(); for (int k = 0; k < 3; k++) if (!fork()) { for (int i = 0; i < 300; i++) while (sigqueue(me, SIGRTMIN, (union sigval){0}) && errno == EAGAIN) usleep(100); _exit(0); } while (wait(0) > 0 || errno == EINTR); P("queued %d\n", got);
	// SIGCHLD-driven reaping.
	on(SIGCHLD, chld, SA_RESTART); for (int i = 0; i < 200; i++) { pid_t p = fork(); if (!p) _exit(0); } for (int i = 0; i < 500 && kids < 200; i++) msleep(10); P("reaped %d\n", kids); on(SIGCHLD, SIG_DFL, 0);
	// Stop and go.
	volatile long *sh = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); pid_t p = fork(); if (!p) { volatile int one = 1; void *spin(void *x) { for (;;) __sync_fetch_and_add(sh, 1), sched_yield(); } for (int i = 0; i < 3; i++) pthread_create(t + i, 0, spin, 0); spin(0); } int stops = 0; for (int i = 0; i < 50; i++) { kill(p, SIGSTOP); waitpid(p, &ws, WUNTRACED); stops += WIFSTOPPED(ws); kill(p, SIGCONT); waitpid(p, &ws, WCONTINUED); stops += WIFCONTINUED(ws); } long v = *sh; for (int i = 0; i < 500 && *sh == v; i++) msleep(2); P("stops %d alive %d\n", stops, *sh != v); kill(p, SIGKILL); waitpid(p, &ws, 0); show_status("end", ws);
	// Killed in the middle of everything.
	for (int i = 0; i < 40; i++) { p = fork(); if (!p) { pthread_create(t, 0, forks, 0); pthread_create(t + 1, 0, pipes, 0); producer(0); pthread_create(t + 2, 0, consumer, 0); for (;;) { if (!fork()) _exit(0); wait(0); } } usleep(500 * (i % 10)); kill(p, SIGKILL); waitpid(p, &ws, 0); if (!WIFSIGNALED(ws)) show_status("killed", ws); } P("killed\n");
	// Threads that end while the process does.
	for (int i = 0; i < 40; i++) { p = fork(); if (!p) { void *e(void *x) { syscall(SYS_exit, 0); } for (int k = 0; k < 8; k++) pthread_create(t + k, 0, e, 0); if (i % 2) execl("/bin/true", "true", NULL); _exit(0); } waitpid(p, &ws, 0); if (!WIFEXITED(ws) || WEXITSTATUS(ws)) show_status("ended", ws); } P("ended\n");
	P("left %d\n", waitpid(-1, 0, WNOHANG));
	return 0;
}
