// family has threads and children that end in several ways, each when the one before has.
#define _GNU_SOURCE
#include <pthread.h>
#include <linux/close_range.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int pipes[2];

static void *work(void *x) {
	if (x) {
		char c;
		read(pipes[0], &c, 1); // the process ends meanwhile
	}
	write(1, "thread\n", 7);
	return 0;
}

int main(int argc, char **argv) {
	pthread_t a;
	pid_t p;
	int s;
	close_range(3, ~0U, 0);
	if (argc > 1) { // a child that was spawned
		getppid();
		return 5;
	}
	pthread_create(&a, 0, work, 0);
	pthread_join(a, 0);
	char *args[] = {"family", "child", 0}, *env[] = {"A=1", "B=2", 0};
	if (posix_spawn(&p, argv[0], 0, 0, args, env) == 0)
		waitpid(p, &s, 0);
	if ((p = fork()) == 0)
		*(volatile int *)8 = 1;
	waitpid(p, &s, 0);
	if ((p = fork()) == 0) {
		signal(SIGTERM, SIG_DFL);
		kill(getpid(), SIGTERM);
		_exit(1);
	}
	waitpid(p, &s, 0);
	if ((p = vfork()) == 0)
		_exit(3);
	waitpid(p, &s, 0);
	if ((p = fork()) == 0) {
		// The last thread is asleep in a call when the process ends.
		pipe(pipes);
		pthread_create(&a, 0, work, pipes);
		usleep(50000);
		_exit(4);
	}
	waitpid(p, &s, 0);
	return 0;
}
