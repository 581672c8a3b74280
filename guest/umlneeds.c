// What User-Mode Linux needs of a kernel beside ptrace: one file mapped in many processes, holes punched into it, clones
// that share this and that, and faults that say all.
#include "guest.h"
#include <asm/ldt.h>
#include <setjmp.h>
#include <sys/statfs.h>
#include <ucontext.h>

#define PAGE 4096L

static long blocks(int fd)
{
	struct stat st;
	must(fstat(fd, &st));
	return st.st_blocks;
}

TEST(madv_remove)
{
	for (int i = 0; i < 2; i++) {
		int fd = i ? must(open("/dev/shm", O_TMPFILE | O_RDWR, 0700)) : must(memfd_create("x", 0));
		say(i ? "tmpfile" : "memfd");
		must(ftruncate(fd, 8 * PAGE));
		char *p = must(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
		char *q = must(mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE));
		memset(p, 'x', 8 * PAGE);
		say("blocks %ld", blocks(fd));
		R(madvise(p + 2 * PAGE, 2 * PAGE, MADV_REMOVE));
		say("%d %d %d %d, other mapping %d %d, blocks %ld", p[2 * PAGE - 1], p[2 * PAGE], p[4 * PAGE - 1], p[4 * PAGE], q[0], q[2 * PAGE], blocks(fd));
		R(madvise(q, PAGE, MADV_REMOVE));                        // read-only, but the file is not
		R(madvise(p + 1, PAGE, MADV_REMOVE));
		R(madvise(p + 7 * PAGE, 2 * PAGE, MADV_REMOVE));         // past the end of the mapping
		say("%d", p[7 * PAGE]);
		p[2 * PAGE] = 'y';
		say("%d blocks %ld", q[0], blocks(fd));
		char *priv = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
		R(madvise(priv, PAGE, MADV_REMOVE));
		struct stat st;
		fstat(fd, &st);
		say("size %ld", (long)st.st_size);
		munmap(p, 8 * PAGE), munmap(q, 4 * PAGE), munmap(priv, PAGE);
		close(fd);
	}
	char *a = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *s = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	R(madvise(a, PAGE, MADV_REMOVE));
	memset(s, 'x', 2 * PAGE);
	R(madvise(s, PAGE, MADV_REMOVE));
	say("%d %d", s[0], s[PAGE]);
	int ro = must(open("/proc/self/exe", O_RDONLY));
	char *e = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0));
	R(madvise(e, PAGE, MADV_REMOVE));
	R(madvise(NULL, PAGE, MADV_REMOVE));
	must(mlock(s + PAGE, PAGE));
	R(madvise(s + PAGE, PAGE, MADV_REMOVE));
	s[0] = 'y';
	R(madvise(s, 2 * PAGE, MADV_REMOVE));
	say("%d %d", s[0], s[PAGE]);
	must(mlock(a, PAGE));
	a[0] = 'z';
	R(madvise(a, PAGE, MADV_DONTNEED));
	R(madvise(a, PAGE, MADV_FREE));
	R(madvise(a, PAGE, MADV_COLD));
	R(madvise(a, PAGE, MADV_PAGEOUT));
	R(madvise(a, PAGE, MADV_WILLNEED));
	say("%d", a[0]);
}

TEST(tmpfile)
{
	struct statfs f;
	must(statfs("/dev/shm", &f));
	say("type %lx", (long)f.f_type);
	int fd = must(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0777));
	struct stat st;
	fstat(fd, &st);
	say("mode %o nlink %d size %ld flags %x", st.st_mode, (int)st.st_nlink, (long)st.st_size, fcntl(fd, F_GETFL) & ~O_LARGEFILE);
	R(fchmod(fd, 0777));
	R(lseek(fd, 1 << 20, SEEK_SET));
	R(write(fd, "", 1));
	fstat(fd, &st);
	say("size %ld blocks %ld", (long)st.st_size, (long)st.st_blocks);
	char *p = must(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0));
	memcpy(p, "\xb8\x2a\x00\x00\x00\xc3", 6);
	say("executed: %d", ((int (*)(void))p)());
	R(open("/dev/shm", O_TMPFILE | O_RDONLY, 0777));
	R(open("/dev/shm/none", O_TMPFILE | O_RDWR, 0777));
	R(open("/proc", O_TMPFILE | O_RDWR, 0777));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int k = readlink(path, path, sizeof path);
	T(k > 10 && !memcmp(path, "/dev/shm/#", 10));
}

// Pages of one file appear at fixed places of many processes with different protections, and are taken away again.
TEST(one_file_many_processes)
{
	enum { N = 5, PAGES = 16 };
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};
	char *at = (void *)0x200000000;
	int fd = must(memfd_create("ram", 0));
	must(ftruncate(fd, PAGES * PAGE));
	char *ram = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	pid_t c[N];
	int go[N][2], done[N][2];
	for (int n = 0; n < N; n++) {
		must(pipe(go[n]));
		must(pipe(done[n]));
		c[n] = CHILD(
			char x;
			// Each page backwards, and every other one anew.
			for (int i = 0; i < PAGES; i++)
				must(mmap(at + i * PAGE, PAGE, prots[(n + i) % 5], MAP_SHARED | MAP_FIXED, fd, (PAGES - 1 - i) * PAGE));
			for (int i = 0; i < PAGES; i += 2)
				must(mmap(at + i * PAGE, PAGE, prots[(n + i + 2) % 5], MAP_SHARED | MAP_FIXED, fd, i * PAGE));
			write(done[n][1], "x", 1);
			read(go[n][0], &x, 1);
			long sum = 0;
			for (int i = 0; i < PAGES; i++) {
				int prot = prots[(n + i + (i % 2 ? 0 : 2)) % 5];
				if (prot & PROT_READ)
					sum = sum * 31 + at[i * PAGE];
				if (prot & PROT_WRITE)
					at[i * PAGE + 1 + n] = 'a' + n;
			}
			must(munmap(at, 4 * PAGE));
			must(mprotect(at + 4 * PAGE, 12 * PAGE, PROT_READ | PROT_WRITE));
			for (int i = 4; i < PAGES; i++)
				at[i * PAGE + 100 + n] = 'A' + n;
			say("child %d: %ld", n, sum));
	}
	for (int i = 0; i < PAGES; i++)
		ram[i * PAGE] = i + 1;
	for (int n = 0; n < N; n++) {
		char x;
		read(done[n][0], &x, 1);
		write(go[n][1], "x", 1);
		reap("child", c[n]);
	}
	for (int i = 0; i < PAGES; i++) {
		char line[2 * N + 1] = {0};
		for (int n = 0; n < N; n++) {
			line[2 * n] = ram[i * PAGE + 1 + n] ?: '.';
			line[2 * n + 1] = ram[i * PAGE + 100 + n] ?: '.';
		}
		say("page %d: %d %s", i, ram[i * PAGE], line);
	}
}

static char stack[64 << 10] __attribute__((aligned(16)));
static volatile int value, fd_made;

static int in_clone(void *arg)
{
	value = 42;
	fd_made = dup(1);
	if (arg)
		chdir("/proc");
	_exit(getppid() == (long)arg ? 7 : 3);
}

TEST(clones)
{
	struct { const char *what; int flags; } k[] = {
		{"VM|FILES", CLONE_VM | CLONE_FILES | SIGCHLD}, {"VM|FILES|VFORK", CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD},
		{"VM", CLONE_VM | SIGCHLD}, {"FILES", CLONE_FILES | SIGCHLD}, {"FS", CLONE_FS | SIGCHLD}, {"VM|SIGHAND", CLONE_VM | CLONE_SIGHAND | SIGCHLD},
		{"no signal", CLONE_VM | CLONE_FILES}, {"another signal", CLONE_VM | CLONE_FILES | SIGUSR1}, {"SIGHAND", CLONE_SIGHAND | SIGCHLD},
	};
	int st;
	for (int i = 0; i < 9; i++) {
		value = 0, fd_made = -1;
		chdir("/");
		pid_t c = clone(in_clone, stack + sizeof stack, k[i].flags, (void *)(long)getpid());
		if (c == -1) {
			say("%s: %s", k[i].what, errname(errno));
			continue;
		}
		pid_t w = waitpid(c, &st, 0);
		if (w == -1) {
			say("plain wait: %s", errname(errno));
			must(waitpid(c, &st, __WCLONE));
		}
		char cwd[100];
		say("%s: exit %d value %d shared fd %d cwd %s", k[i].what, WEXITSTATUS(st), value, fd_made >= 0 && fcntl(fd_made, F_GETFD) != -1, getcwd(cwd, sizeof cwd));
		if (fd_made >= 0)
			close(fd_made);
	}
}

static int sibling(void *arg)
{
	fd_made = dup(1);
	value = getppid() == (long)arg;
	_exit(5);
}

static int middle(void *arg)
{
	value = clone(sibling, stack + sizeof stack / 2, CLONE_VM | CLONE_PARENT | CLONE_FILES | SIGCHLD, arg);
	_exit(0);
}

// A child of CLONE_PARENT is our own child.
TEST(clone_parent)
{
	int st;
	pid_t c = must(clone(middle, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, (void *)(long)getpid()));
	must(waitpid(c, &st, 0));
	show_status("middle", st);
	pid_t d = must(waitpid(-1, &st, 0));
	T(d != c);
	show_status("sibling", st);
	T(value == 1);
	T(fcntl(fd_made, F_GETFD) != -1);
	R(waitpid(-1, &st, 0));
}

static sigjmp_buf back;
static char *ro, *none, *unmapped, *past;
static volatile long want_cr2;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	say("  sig %d code %d err %llx trapno %lld addr %d cr2 %d", sig, si->si_code, g[REG_ERR], g[REG_TRAPNO], (long)si->si_addr == want_cr2,
	    g[REG_TRAPNO] != 14 || (long)g[REG_CR2] == want_cr2);
	siglongjmp(back, 1);
}

#define FAULT(what, addr, ...)                                                               \
	({                                                                                   \
		say("%s", what);                                                             \
		want_cr2 = (long)(addr);                                                     \
		if (!sigsetjmp(back, 1)) {                                                   \
			__VA_ARGS__;                                                         \
			say("  no fault");                                                   \
		}                                                                            \
	})

static void faults(void)
{
	int fd = must(memfd_create("x", 0));
	must(ftruncate(fd, PAGE));
	ro = must(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	none = must(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	past = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	unmapped = must(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(munmap(unmapped, PAGE));
	volatile char c;
	FAULT("read unmapped", unmapped + 5, c = *(volatile char *)(unmapped + 5));
	FAULT("write unmapped", unmapped + 5, *(volatile char *)(unmapped + 5) = 1);
	FAULT("execute unmapped", unmapped, ((void (*)(void))unmapped)());
	FAULT("write read-only, untouched", ro, *(volatile char *)ro = 1);
	c = *(volatile char *)ro;
	FAULT("write read-only", ro + 7, *(volatile char *)(ro + 7) = 1);
	FAULT("execute read-only", ro, ((void (*)(void))ro)());
	FAULT("read none", none, c = *(volatile char *)none);
	FAULT("write none", none, *(volatile char *)none = 1);
	FAULT("null", 0, c = *(volatile char *)NULL);
	FAULT("past the file", past + PAGE + 3, c = *(volatile char *)(past + PAGE + 3));
	FAULT("write past the file", past + PAGE + 3, *(volatile char *)(past + PAGE + 3) = 1);
	FAULT("not canonical", 0, c = *(volatile char *)0x8000000000000000);
	FAULT("kernel", 0xffffffff80000000, c = *(volatile char *)0xffffffff80000000);
}

static void *faults_in_thread(void *arg)
{
	faults();
	return NULL;
}

TEST(faults)
{
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
	must(sigaltstack(&ss, NULL));
	handle(SIGSEGV, on_fault, SA_SIGINFO | SA_ONSTACK);
	handle(SIGBUS, on_fault, SA_SIGINFO | SA_NODEFER);
	faults();
	say("in a thread");
	pthread_t th;
	pthread_create(&th, NULL, faults_in_thread, NULL);
	pthread_join(th, NULL);
	say("in a clone that shares memory and files");
	reap("child", CHILD(faults()));
}
