// Writes a file and reads it back, well or badly: what the sweep of faults has to tell apart.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char text[] = "four score and seven\n";

static void die(const char *what)
{
	dprintf(2, "sweep: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			die("write");
		p += k;
		n -= k;
	}
}

static int right(void)
{
	char b[64];
	int fd = open("out", O_CREAT | O_TRUNC | O_RDWR, 0600);
	if (fd < 0)
		die("open");
	put(fd, text, sizeof text - 1);
	if (fsync(fd) < 0)
		die("fsync");
	ssize_t n = pread(fd, b, sizeof b, 0);
	if (n < 0)
		die("read");
	put(1, b, n);
	if (close(fd) < 0)
		die("close");
	return 0;
}

static int ignores(void)
{
	int fd = open("out", O_CREAT | O_TRUNC | O_RDWR, 0600);
	write(fd, text, sizeof text - 1);
	fsync(fd);
	char b[64];
	ssize_t n = pread(fd, b, sizeof b, 0);
	close(fd);
	write(1, "written\n", 8);
	return 0;
}

static int careless(void)
{
	char b[64] = "";
	int fd = open("out", O_CREAT | O_TRUNC | O_RDWR, 0600);
	if (write(fd, text, sizeof text - 1) != sizeof text - 1)
		return 3; // and no word
	if (pread(fd, b, sizeof b, 0) < 0)
		dprintf(2, "sweep: nothing read\n"); // and on
	if (fsync(fd) < 0)
		for (;;) // until it is mended
			;
	return 0;
}

static int crashes(void)
{
	FILE *f = fopen("out", "w");
	fputs(text, f);
	fclose(f);
	if (fork() == 0) {
		int fd = open("out", O_RDONLY);
		if (fd < 0)
			abort();
		_exit(0);
	}
	wait(0);
	dprintf(1, "done\n");
	return 0;
}

int main(int argc, char **argv)
{
	switch (argv[1][0]) {
	case 'r':
		return right();
	case 'i':
		return ignores();
	case 'c':
		return careless();
	}
	return crashes();
}
