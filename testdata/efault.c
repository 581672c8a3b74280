/* Makes each system call with pointers that lead nowhere, the rest of the
   arguments being harmless, and prints its errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct arg { char kind; int n; const uint64_t *values; int flags; };
struct call { int nr; const char *name; int nargs; struct arg args[6]; };
#include "calls.h"

int main(void) {
	char *none = mmap(0, 65536, 0, MAP_PRIVATE | MAP_ANONYMOUS | LOW, -1, 0);
	char *edge = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS | LOW, -1, 0);
	munmap(edge + 4096, 4096);
	struct { const char *name; uint64_t at; } bad[] = {
		{"unmapped", 0x1000}, {"protected", (uintptr_t)none}, {"end of mapping", (uintptr_t)edge + 4095},
		{"kernel", 0xffffffff81000000}, {"non-canonical", 0x800000000000}, {"top", 0x7ffffffff000 - 1}, {"wrapping", -1ull},
	};
	edge[4095] = 'x'; /* begins a path, and a number that is not 0 */
	setvbuf(stdout, 0, _IONBF, 0);
	for (int v = 0; v < sizeof bad / sizeof *bad; v++)
		for (const struct call *c = calls; c->nr < 1000; c++)
			for (int f = 0; f < 3; f++) {
				int pointers = 0, files = 0;
				for (int j = 0; j < c->nargs; j++) {
					pointers += c->args[j].kind == 'p' || c->args[j].kind == 's';
					files += c->args[j].kind == 'f';
				}
				if (!pointers || f && !files) continue;
				pid_t pid = fork();
				if (!pid) {
					signal(SIGALRM, SIG_DFL);
					alarm(2);
					int p[2], fd = f == 0 ? open("/etc/passwd", O_RDONLY) : f == 1 ? (pipe(p), write(p[1], "x", 1), p[0]) : (socketpair(AF_UNIX, SOCK_STREAM, 0, p), write(p[1], "x", 1), p[0]);
					uint64_t a[6] = {0};
					for (int j = 0; j < c->nargs; j++)
						switch (c->args[j].kind) {
						case 'p': case 's': a[j] = bad[v].at; break;
						case 'f': a[j] = fd; break;
						case 'z': a[j] = 64; break;
						case 'g': a[j] = SIGUSR1; break;
						default: a[j] = strstr(c->args[j].values ? "" : c->name, "sig") ? 8 : 1;
						}
					errno = 0;
					long r = make_call(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
					printf("%s %s %d: %s\n", c->name, bad[v].name, f, r == -1 ? strerrorname_np(errno) ? strerrorname_np(errno) : "?" : "done");
					_exit(0);
				}
				int st;
				waitpid(pid, &st, 0);
				if (WIFSIGNALED(st)) printf("%s %s %d: signal %d\n", c->name, bad[v].name, f, WTERMSIG(st));
			}
}
