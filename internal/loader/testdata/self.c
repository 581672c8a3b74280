// Writes, each after its length: its memory map, its auxiliary vector, its
// stack from the initial stack pointer up, and prints nothing else.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;
char bss[300000] = {0};
char data[5000] = {1};

static void put(const void *p, uint64_t n) {
	uint64_t le = n;
	const char *q = p;
	if (write(1, &le, sizeof le) != sizeof le)
		_exit(1);
	while (n) {
		ssize_t k = write(1, q, n);
		if (k <= 0)
			_exit(1);
		q += k;
		n -= k;
	}
}

static char maps[1 << 16];

int main(int argc, char **argv) {
	(void)argc;
	int fd = open("/proc/self/maps", O_RDONLY);
	long n = 0, k;
	while ((k = read(fd, maps + n, sizeof maps - 1 - n)) > 0)
		n += k;
	put(maps, n);
	unsigned long lo = 0, hi = 0, *sp = (unsigned long *)argv - 1;
	for (char *p = maps; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : 0) {
		sscanf(p, "%lx-%lx", &lo, &hi);
		if (lo <= (unsigned long)sp && (unsigned long)sp < hi)
			break;
	}
	unsigned long at = (unsigned long)sp;
	put(&at, sizeof at);
	put(sp, hi - at);
	fd = open("/proc/self/stat", O_RDONLY);
	n = read(fd, maps, sizeof maps);
	put(maps, n);
	return bss[argc] + data[4999];
}
