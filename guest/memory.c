// Memory: mappings of every kind, protection, faults, limits.
#include "guest.h"

#define PAST (__WORDSIZE == 64 ? 1UL << 47 : 0xfffff000UL) // no user space is here
#include <setjmp.h>
#include <sys/personality.h>
#include <sys/sendfile.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static volatile int sig, code;
static void *volatile where;
static void caught(int s, siginfo_t *si, void *uc)
{
	sig = s;
	code = si->si_code;
	where = si->si_addr;
	siglongjmp(back, 1);
}

// touch reads or writes a byte and says what came of it, relative to base.
static void touch(const char *what, volatile char *p, bool write, void *base)
{
	handle(SIGSEGV, caught, SA_SIGINFO | SA_NODEFER);
	handle(SIGBUS, caught, SA_SIGINFO | SA_NODEFER);
	if (sigsetjmp(back, 1)) {
		say("%s: signal %d code %d at +%ld", what, sig, code, (long)((char *)where - (char *)base));
		return;
	}
	if (write)
		*p = 'w';
	say("%s: ok %d", what, *p);
}

static char *map(size_t n, int prot, int flags, int fd, off_t off) { return must(mmap(NULL, n, prot, flags, fd, off)); }

// READ_IMPLIES_EXEC: what can be read can be run.
static void run(const char *what, void *p)
{
	handle(SIGSEGV, caught, SA_SIGINFO | SA_NODEFER);
	if (sigsetjmp(back, 1))
		say("%s: signal %d code %d", what, sig, code);
	else
		say("%s: %d", what, ((int (*)(void))p)());
}

TEST(read_implies_exec)
{
	static const char seven[] = {0xb8, 7, 0, 0, 0, 0xc3}; // mov $7,%eax; ret
	for (int i = 0; i < 2; i++) {
		char *p = map(PAGE, RW, ANON, -1, 0), *b = must(sbrk(PAGE));
		memcpy(p, seven, sizeof seven);
		memcpy(b, seven, sizeof seven);
		run("mapped", p);
		run("heap", b);
		must(mprotect(p, PAGE, PROT_READ));
		run("read-only", p);
		must(mprotect(p, PAGE, PROT_NONE));
		run("nothing", p);
		personality(READ_IMPLIES_EXEC);
	}
	reap("exec", CHILD(execl("/bin/cat", "cat", "/proc/self/personality", NULL)));
}

static int file(const char *name, size_t n, char fill)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));
	char *b = malloc(n);
	memset(b, fill, n);
	if (write(fd, b, n) != (ssize_t)n)
		die("write");
	free(b);
	return fd;
}

TEST(anonymous)
{
	char *p = map(4 * PAGE, RW, ANON, -1, 0);
	int zero = 1;
	for (size_t i = 0; i < 4 * PAGE; i++)
		zero &= p[i] == 0;
	say("zero %d, aligned %d", zero, ((uintptr_t)p & (PAGE - 1)) == 0);
	memset(p, 'x', 4 * PAGE);
	R(munmap(p + PAGE, PAGE));
	touch("hole", p + PAGE, false, p);
	touch("after the hole", p + 2 * PAGE, true, p);
	R(munmap(p, 4 * PAGE)); // holes are allowed
	touch("gone", p, false, p);
	R(munmap(p, 0));
	R(munmap(p + 1, PAGE));
	R(munmap((void *)PAST, PAGE));
	OK(munmap(p, PAGE));
}

TEST(errors)
{
	int fd = file("f", 100, 'a'), ro = must(open("f", O_RDONLY)), wo = must(open("f", O_WRONLY)), p[2];
	pipe(p);
	OK((long)mmap(NULL, 0, RW, ANON, -1, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 1));
	OK((long)mmap(NULL, PAGE, RW, MAP_SHARED, ro, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, ro, 0));
	OK((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
	OK((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, p[0], 0));
	OK((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
	OK((long)mmap((void *)PAST, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	OK((long)mmap((void *)0x10001, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	OK((long)mmap(NULL, ULONG_MAX / 16, RW, ANON, -1, 0));
	OK((long)mmap(NULL, -1UL, RW, ANON, -1, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | 0x8000000, fd, 0));
	char *q = map(PAGE, RW, ANON, -1, 0);
	OK((long)mmap(q, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	T(mmap(q, PAGE, RW, ANON, -1, 0) != q);
	R(mprotect(q + 1, PAGE, PROT_READ));
	R(mprotect(q, 0, PROT_READ));
	R(mprotect((void *)0x70000000, PAGE, PROT_READ));
	char *s = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	R(mprotect(s, PAGE, RW));
}

TEST(protection)
{
	char *p = map(3 * PAGE, RW, ANON, -1, 0);
	p[0] = p[PAGE] = 'a';
	R(mprotect(p + PAGE, PAGE, PROT_READ));
	touch("read", p + PAGE + 3, false, p);
	touch("write", p + PAGE + 3, true, p);
	R(mprotect(p + PAGE, PAGE, PROT_NONE));
	touch("none", p + PAGE + 3, false, p);
	R(write(1, p + PAGE, 1));
	R(read(open("/dev/zero", O_RDONLY), p + PAGE, 1));
	R(mprotect(p, 3 * PAGE, RW));
	touch("back", p + PAGE, false, p);
	unsigned char ret7[] = {0xb8, 7, 0, 0, 0, 0xc3};
	memcpy(p, ret7, sizeof ret7);
	R(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	say("code returns %d", ((int (*)(void))p)());
	R(mprotect(p, PAGE, PROT_EXEC));
	say("code returns %d", ((int (*)(void))p)());
	R(munmap(p + 2 * PAGE, PAGE));
	R(mprotect(p, 3 * PAGE, PROT_READ));
	touch("the part before the hole changed", p + PAGE, true, p);
}

TEST(private_file)
{
	int fd = file("f", 3 * PAGE - 100, 'a');
	char *p = map(3 * PAGE, RW, MAP_PRIVATE, fd, 0), b[4];
	p[0] = 'X';
	pread(fd, b, 1, 0);
	say("file has %c, mapping %c, tail %d", b[0], p[0], p[3 * PAGE - 50]);
	pwrite(fd, "Q", 1, PAGE);
	say("written through: %c", p[PAGE]);
	char *q = map(PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	say("offset: %c %c", q[0], q[1]);
	close(fd);
	say("after close: %c", p[2 * PAGE]);
	unlink("f");
	say("after unlink: %c", p[2 * PAGE + 1]);
}

TEST(shared_file)
{
	int fd = file("f", 2 * PAGE, 'a');
	char *p = map(2 * PAGE, RW, MAP_SHARED, fd, 0), *q = map(2 * PAGE, RW, MAP_SHARED, fd, 0), b[8] = "";
	strcpy(p + 10, "hello");
	say("other mapping: %s", q + 10);
	pread(fd, b, 6, 10);
	say("read: %s", b);
	pwrite(fd, "WORLD", 5, 10);
	say("mapping: %.5s", p + 10);
	pid_t c = CHILD(strcpy(p + PAGE, "from the child"));
	reap("child", c);
	say("%s", q + PAGE);
	R(msync(p, 2 * PAGE, MS_SYNC));
	R(msync(p, 2 * PAGE, MS_ASYNC | MS_SYNC));
	R(msync(p + 1, PAGE, MS_SYNC));
	R(ftruncate(fd, PAGE));
	touch("inside", p + PAGE - 1, false, p);
	touch("cut off", p + PAGE, false, p);
	touch("cut off, write", p + PAGE + 5, true, p);
	R(read(fd, p + PAGE, 1));
	R(ftruncate(fd, 2 * PAGE));
	touch("again", p + PAGE, false, p);
	munmap(p, 2 * PAGE);
	munmap(q, 2 * PAGE);
	R(msync(p, PAGE, MS_SYNC));
}

TEST(shared_anonymous)
{
	volatile int *p = (int *)map(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t c[4];
	for (int i = 0; i < 4; i++)
		c[i] = CHILD(for (int j = 0; j < 1000; j++) __sync_fetch_and_add(p, 1));
	for (int i = 0; i < 4; i++)
		reap("adder", c[i]);
	say("%d", *p);
	int z = must(open("/dev/zero", O_RDWR));
	volatile int *q = (int *)map(PAGE, RW, MAP_SHARED, z, 0);
	reap("zero", CHILD(*q = 5));
	say("%d", *q);
	char *r = map(PAGE, RW, MAP_PRIVATE, z, 0);
	say("%d", r[5]);
}

TEST(beyond_end)
{
	int fd = file("f", 100, 'a');
	char *p = map(3 * PAGE, RW, MAP_SHARED, fd, 0);
	touch("in the last page", p + 200, true, p);
	touch("beyond", p + PAGE + 7, false, p);
	R(write(1, p + PAGE, 1));
	ftruncate(fd, 2 * PAGE);
	touch("grown", p + PAGE + 7, true, p);
}

TEST(mremap)
{
	char *p = map(4 * PAGE, RW, ANON, -1, 0);
	for (int i = 0; i < 4; i++)
		p[i * PAGE] = '0' + i;
	char *q = mremap(p, 4 * PAGE, 2 * PAGE, 0);
	T(q == p);
	touch("shrunk", p + 2 * PAGE, false, p);
	q = must(mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE));
	say("grown: %c %c %d", q[0], q[PAGE], q[63 * PAGE]);
	char *hole = map(8 * PAGE, PROT_NONE, ANON, -1, 0);
	p = mremap(q, 64 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, hole + PAGE);
	T(p == hole + PAGE);
	say("moved: %c %c", p[0], p[PAGE]);
	touch("old place", q, false, q);
	q = must(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
	say("copied: %c, left %d", q[0], p[0]);
	OK((long)mremap(p + 1, PAGE, 2 * PAGE, 0));
	OK((long)mremap(hole, 8 * PAGE, 0, 0));
	OK((long)mremap(hole + PAGE, 3 * PAGE, 20 * PAGE, MREMAP_MAYMOVE)); // spans two mappings
	OK((long)mremap(hole, PAGE, PAGE, MREMAP_FIXED));
	OK((long)mremap((void *)0x100000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	char *s = map(2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 's';
	char *d = must(mremap(s, 0, 2 * PAGE, MREMAP_MAYMOVE)); // a second view
	d[1] = 't';
	say("two views: %c%c", s[0], s[1]);
	int fd = file("f", 4 * PAGE, 'f');
	char *f = map(PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	f = must(mremap(f, PAGE, 3 * PAGE, MREMAP_MAYMOVE));
	say("file grown: %c", f[2 * PAGE]);
}

TEST(brk)
{
	char *b = sbrk(0);
	R(sbrk(10000) == b);
	memset(b, 1, 10000);
	T((char *)sbrk(0) == b + 10000);
	R(brk(b));
	touch("released", b + 2 * PAGE, false, b);
	sbrk(3 * PAGE);
	say("fresh %d", b[2 * PAGE]);
	struct rlimit r = {1 << 20, RLIM_INFINITY};
	setrlimit(RLIMIT_DATA, &r);
	OK((long)sbrk(64 << 20));
	say("%s", errname(errno));
	T(syscall(SYS_brk, 0) == syscall(SYS_brk, 1));
}

TEST(madvise)
{
	char *p = map(4 * PAGE, RW, ANON, -1, 0);
	memset(p, 'x', 4 * PAGE);
	R(madvise(p + PAGE, PAGE, MADV_DONTNEED));
	say("%c %d %c", p[0], p[PAGE], p[2 * PAGE]);
	int fd = file("f", 2 * PAGE, 'f');
	char *f = map(2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	f[0] = 'c';
	R(madvise(f, 2 * PAGE, MADV_DONTNEED));
	say("file again: %c", f[0]);
	char *s = map(2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 's';
	R(madvise(s, PAGE, MADV_DONTNEED));
	say("shared kept: %c", s[0]);
	R(madvise(s, PAGE, MADV_REMOVE));
	say("removed: %d", s[0]);
	R(madvise(p, PAGE, MADV_WILLNEED));
	R(madvise(p, PAGE, MADV_FREE));
	R(madvise(p, PAGE, MADV_HUGEPAGE) == 0 || errno == EINVAL);
	R(madvise(p, PAGE, MADV_DONTFORK));
	R(madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
	p[PAGE] = 'w';
	reap("child", CHILD(touch("not forked", p, false, p); say("wiped %d, copied %c", p[PAGE], p[2 * PAGE])));
	R(madvise(p + 1, PAGE, MADV_NORMAL));
	R(madvise(p, PAGE, 12345));
	R(madvise(p, 0, MADV_NORMAL));
	munmap(p + 3 * PAGE, PAGE);
	R(madvise(p, 4 * PAGE, MADV_NORMAL));
	R(madvise(p, 2 * PAGE, MADV_POPULATE_WRITE));
}

static void resident(const char *what, char *p, int n)
{
	unsigned char v[16];
	char bits[17] = "";
	R(mincore(p, n * PAGE, v));
	for (int i = 0; i < n; i++)
		strcat(bits, v[i] & 1 ? "1" : "0");
	say("%s: %s", what, bits);
}

static void residency(void)
{
	char *p = map(8 * PAGE, RW, ANON, -1, 0);
	madvise(p, 8 * PAGE, MADV_NOHUGEPAGE);
	p[1 * PAGE] = 1;
	p[2 * PAGE] = 1;
	p[5 * PAGE] = 1;
	resident("touched", p, 8);
	madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED);
	resident("given back", p, 8);
	mprotect(p + 5 * PAGE, PAGE, PROT_NONE);
	resident("protected", p, 8);
	int fd = memfd_create("m", 0);
	ftruncate(fd, 4 * PAGE);
	pwrite(fd, "x", 1, 2 * PAGE);
	char *q = map(4 * PAGE, RW, MAP_SHARED, fd, 0);
	resident("of a file in memory, never touched here", q, 4);
	q[0] = 1;
	resident("touched", q, 4);
	munmap(p + 3 * PAGE, PAGE);
	unsigned char v[8];
	R(mincore(p, 8 * PAGE, v));
	close(fd);
}

TEST(lock_and_core)
{
	char *p = map(4 * PAGE, RW, ANON, -1, 0);
	R(mlock(p, PAGE));
	R(mlock(p + 100, 10));
	R(munlock(p, PAGE));
	R(mlock2(p, PAGE, MLOCK_ONFAULT));
	R(mlock2(p, PAGE, 77));
	R(mlock((void *)0x100000, PAGE));
	R(mlockall(0));
	R(munlockall());
	unsigned char v[4];
	p[2 * PAGE] = 1;
	char *q = map(2 * PAGE, RW, ANON, -1, 0);
	q[0] = 1;
	R(mincore(q, 2 * PAGE, v));
	say("%d", v[0] & 1);
	R(mincore(q + 1, PAGE, v));
	residency();
	R(mincore((void *)0x100000, PAGE, v));
	R(mincore(q, PAGE, (void *)8));
}

static void grow(int n)
{
	volatile char b[64 << 10];
	b[0] = n;
	if (n)
		grow(n - 1);
	b[1] = n;
}

TEST(stack)
{
	grow(100); // 6.4 MiB
	say("deep");
	no_core();
	reap("child", CHILD(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 8 << 20}); grow(100)));
	reap("child", CHILD(setrlimit(RLIMIT_STACK, &(struct rlimit){16 << 20, RLIM_INFINITY}); grow(150)));
	char *p = map(64 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
	touch("growsdown", p, true, p);
}

TEST(limits)
{
	setrlimit(RLIMIT_AS, &(struct rlimit){64 << 20, 64 << 20});
	OK((long)mmap(NULL, 256 << 20, RW, ANON, -1, 0));
	OK((long)mmap(NULL, 256 << 20, PROT_NONE, ANON, -1, 0));
	OK((long)mmap(NULL, 1 << 20, RW, ANON, -1, 0));
	T(malloc(256 << 20) == NULL);
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){PAGE, PAGE});
	say("mlock of much: %d", mlock(map(16 * PAGE, RW, ANON, -1, 0), 16 * PAGE) == 0 || errno == ENOMEM || errno == EPERM);
}

TEST(many_mappings)
{
	char *base = map(2000 * PAGE, PROT_NONE, ANON, -1, 0);
	for (int i = 0; i < 2000; i += 2)
		must(mprotect(base + i * PAGE, PAGE, RW));
	int ok = 0;
	for (int i = 0; i < 2000; i += 2)
		base[i * PAGE] = i, ok += base[i * PAGE] == (char)i;
	say("%d", ok);
	touch("between", base + 1001 * PAGE, false, base);
	R(munmap(base, 2000 * PAGE));
}

TEST(noreserve_and_populate)
{
	char *p = map(1UL << 30, RW, ANON | MAP_NORESERVE, -1, 0);
	p[500 << 20] = 1;
	say("%d %d", p[500 << 20], p[900 << 20]);
	OK((long)mmap(NULL, 16 * PAGE, RW, ANON | MAP_POPULATE, -1, 0));
	OK((long)mmap(NULL, 16 * PAGE, RW, ANON | MAP_STACK | MAP_LOCKED, -1, 0));
	char *q = must(mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0));
	T((uintptr_t)q < 1UL << 32);
	char *r = must(mmap((void *)0x10000000, PAGE, RW, ANON, -1, 0));
	T(r == (void *)0x10000000); // a hint that is free is taken
}

TEST(memfd)
{
	int fd = must(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	char link[100] = "", path[50];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	readlink(path, link, sizeof link);
	say("%s", link);
	R(ftruncate(fd, 2 * PAGE));
	char *p = map(2 * PAGE, RW, MAP_SHARED, fd, 0);
	strcpy(p, "memfd");
	char b[6] = "";
	R(pread(fd, b, 5, 0));
	say("%s", b);
	R(fcntl(fd, F_GET_SEALS));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); // there is a writable mapping
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	R(ftruncate(fd, PAGE));
	R(ftruncate(fd, 3 * PAGE));
	R(pwrite(fd, "x", 1, 3 * PAGE));
	R(pwrite(fd, "x", 1, 0));
	munmap(p, 2 * PAGE);
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	R(pwrite(fd, "x", 1, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
	OK((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0));
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	R(fcntl(fd, F_GET_SEALS));
	fd = must(memfd_create("", 0));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	R(fcntl(0, F_GET_SEALS));
	R(memfd_create("x", 0x100000));
	char big[300];
	memset(big, 'n', 299);
	big[299] = 0;
	R(memfd_create(big, 0));
	struct stat st;
	fstat(fd, &st);
	say("%o links %d", st.st_mode, (int)st.st_nlink);
}

TEST(fork_copies)
{
	char *p = map(1024 * PAGE, RW, ANON, -1, 0);
	for (int i = 0; i < 1024; i++)
		p[i * PAGE] = i;
	pid_t c = CHILD({
		int bad = 0;
		for (int i = 0; i < 1024; i++)
			bad += p[i * PAGE] != (char)i, p[i * PAGE] = 99;
		munmap(p, 512 * PAGE);
		_exit(bad != 0);
	});
	int changed = 0;
	for (int k = 0; k < 20; k++)
		for (int i = 0; i < 1024; i++)
			changed += p[i * PAGE] != (char)i;
	reap("child", c);
	say("changed %d", changed);
}

TEST(process_vm)
{
	char *p = map(PAGE, RW, ANON, -1, 0), b[10] = "";
	strcpy(p, "remote");
	pid_t c = CHILD(pause());
	struct iovec l = {b, 6}, r = {p, 6};
	R(process_vm_readv(c, &l, 1, &r, 1, 0));
	say("%s", b);
	strcpy(b, "WRITE!");
	R(process_vm_writev(c, &l, 1, &r, 1, 0));
	memset(b, 0, 6);
	R(process_vm_readv(c, &l, 1, &r, 1, 0));
	say("%s, here %s", b, p);
	r.iov_base = (void *)8;
	R(process_vm_readv(c, &l, 1, &r, 1, 0));
	R(process_vm_readv(c, &l, 1, &r, 1, 1));
	R(process_vm_readv(999999, &l, 1, &r, 1, 0));
	kill(c, SIGKILL);
	waitpid(c, NULL, 0);
}

TEST(maps_tells_the_truth)
{
	char *p = map(3 * PAGE, RW, ANON, -1, 0);
	mprotect(p + PAGE, PAGE, PROT_READ);
	int fd = file("mapped-file", 2 * PAGE, 'm');
	char *f = map(PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	FILE *m = fopen("/proc/self/maps", "r");
	char line[500];
	char program[20] = "?", mapped[100] = "?", protected[20] = "?";
	int stack = 0, heap = 0, vdso = 0, sorted = 1;
	unsigned long last = 0;
	malloc(10);
	while (fgets(line, sizeof line, m)) {
		unsigned long a, b, off;
		char perm[5], path[300] = "";
		sscanf(line, "%lx-%lx %4s %lx %*s %*s %299s", &a, &b, perm, &off, path);
		sorted &= a >= last && b > a;
		last = b;
		if (a <= (uintptr_t)p + PAGE && b > (uintptr_t)p + PAGE)
			sprintf(protected, "%s %lu", perm, b - a);
		if (a == (uintptr_t)f)
			sprintf(mapped, "%s %lx %.50s", perm, off, strrchr(path, '/') ? strrchr(path, '/') : path);
		if (a <= (uintptr_t)main && b > (uintptr_t)main)
			sprintf(program, "%s %d", perm, strstr(path, "/memory") != NULL);
		stack += !strcmp(path, "[stack]") && a <= (uintptr_t)&a && b > (uintptr_t)&a;
		heap += !strcmp(path, "[heap]");
		vdso += !strcmp(path, "[vdso]");
	}
	say("the program: %s; the file: %s; the protected page: %s", program, mapped, protected);
	say("sorted %d stack %d heap %d vdso %d", sorted, stack, heap, vdso);
	munmap(f, PAGE);
	unlink("mapped-file");
}
