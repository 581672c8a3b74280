// What debuggers are tried on. Its arguments say what it does.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int counter;
struct point {
	int x, y;
} where = {3, 4};

int add(int a, int b)
{
	int sum = a + b;
	counter += sum;
	return sum;
}

int twice(int n)
{
	int r = add(n, n);
	return r;
}

int fib(int n)
{
	if (n < 2)
		return n;
	return fib(n - 1) + fib(n - 2);
}

static pthread_barrier_t all_there;

static void *worker(void *arg)
{
	long n = (long)arg;
	pthread_barrier_wait(&all_there);
	pthread_barrier_wait(&all_there);
	return (void *)(n * n);
}

void together(void)
{
	counter = 1000; // all threads have begun
}

static void threads(void)
{
	pthread_t t[3];
	pthread_barrier_init(&all_there, NULL, 4);
	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	pthread_barrier_wait(&all_there);
	together();
	pthread_barrier_wait(&all_there);
	for (int i = 0; i < 3; i++) {
		void *r;
		pthread_join(t[i], &r);
		counter += (long)r;
	}
}

static void one_by_one(void)
{
	for (int i = 0; i < 3; i++) {
		pthread_t t;
		pthread_create(&t, NULL, (void *(*)(void *))getuid, NULL);
		pthread_join(t, NULL);
	}
}

void crash(int depth)
{
	if (depth == 0)
		*(volatile int *)8 = 1;
	crash(depth - 1);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "threads"))
			threads();
		if (!strcmp(argv[i], "one-by-one"))
			one_by_one();
		if (!strcmp(argv[i], "crash"))
			crash(2);
		if (!strcmp(argv[i], "abort"))
			abort();
		if (!strcmp(argv[i], "fork")) {
			if (fork() == 0) {
				add(1, 1);
				_exit(3);
			}
			wait(NULL);
		}
		if (!strcmp(argv[i], "exec"))
			execl("/bin/echo", "echo", "from", "exec", NULL);
		if (!strcmp(argv[i], "read")) {
			char c;
			if (read(0, &c, 1) == 1)
				printf("read %c\n", c);
		}
	}
	printf("twice 21 is %d\n", twice(21));
	where.x = fib(5);
	where.y = getuid() + 9;
	where.x += 1;
	printf("%d %d %d\n", counter, where.x, where.y);
	return 5;
}
