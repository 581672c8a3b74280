// modify_ldt(2): the local descriptor table of an address space.
#include "guest.h"
#include <asm/ldt.h>

static unsigned long long table[8192];

// ldt shows the bare result: the call returns an int, errors too.
static long ldt(const char *what, int func, void *p, unsigned long n)
{
	long r;
#ifdef __i386__
	asm volatile("int $0x80" : "=a"(r) : "0"(SYS_modify_ldt), "b"(func), "c"(p), "d"(n) : "memory");
#else
	asm volatile("syscall" : "=a"(r) : "0"(SYS_modify_ldt), "D"((long)func), "S"(p), "d"(n) : "rcx", "r11", "memory");
#endif
	say("%s: %d%s", what, (int)r, (long long)r >> 32 > 0 ? " wide" : "");
	return r;
}

static struct user_desc entry(unsigned n, unsigned base, unsigned limit, int contents, int ro, int in32, int pages, int absent, int useable)
{
	return (struct user_desc){n, base, limit, in32, contents, ro, pages, absent, useable, 0};
}

static void show(void)
{
	memset(table, 0xff, sizeof table);
	long r = ldt("read", 0, table, sizeof table);
	for (int i = 0; i < (r > 0 ? r / 8 : 0); i++)
		if (table[i])
			say("%d: %016llx", i, table[i]);
}

TEST(errors)
{
	struct user_desc d = entry(0, 0, 0xfffff, 0, 0, 1, 1, 0, 1);
	show();
	ldt("read default", 2, table, sizeof table);
	ldt("read default", 2, table, 10);
	ldt("unknown", 3, &d, sizeof d);
	ldt("short", 1, &d, sizeof d - 1);
	ldt("long", 0x11, &d, sizeof d + 1);
	ldt("bad pointer", 1, (void *)16, sizeof d);
	ldt("bad pointer and size", 1, (void *)16, 8);
	d.entry_number = 8192;
	ldt("entry 8192", 1, &d, sizeof d);
	d.entry_number = -1;
	ldt("entry -1", 0x11, &d, sizeof d);
	d = entry(1, 1, 1, 3, 0, 1, 0, 0, 0);
	ldt("conforming, present", 0x11, &d, sizeof d);
	d.seg_not_present = 1;
	ldt("conforming, absent", 1, &d, sizeof d);
	ldt("conforming, absent", 0x11, &d, sizeof d);
	show();
	ldt("read to nowhere", 0, (void *)16, sizeof table);
	ldt("read little", 0, table, 3);
	ldt("read much", 0, table, 1 << 20);
}

TEST(entries)
{
	for (unsigned bits = 0; bits < 1 << 7; bits += 3) {
		struct user_desc d = entry(bits, 0x12345678, 0xabcde, bits & 3, bits >> 2 & 1, bits >> 3 & 1, bits >> 4 & 1, bits >> 5 & 1, bits >> 6 & 1);
		syscall(SYS_modify_ldt, bits & 1 ? 1 : 0x11, &d, sizeof d);
	}
	struct user_desc d = entry(8191, 0, 0xfffff, 0, 0, 1, 1, 0, 1);
	ldt("last", 0x11, &d, sizeof d);
	show();
	d = entry(8191, 0, 0, 0, 1, 0, 0, 1, 0);
	ldt("cleared", 0x11, &d, sizeof d);
	d = entry(12, 0, 0, 0, 0, 1, 1, 0, 1);
	ldt("cleared the old way", 1, &d, sizeof d);
	d = entry(15, 0, 0, 0, 0, 0, 0, 0, 0);
	ldt("not cleared", 0x11, &d, sizeof d);
	show();
}

static char stack[64 << 10] __attribute__((aligned(16)));

static int adds(void *arg)
{
	struct user_desc d = entry(5, 5, 5, 0, 0, 1, 0, 0, 1);
	syscall(SYS_modify_ldt, 0x11, &d, sizeof d);
	return 0;
}

static void *adds_thread(void *arg)
{
	struct user_desc d = entry(6, 6, 6, 0, 0, 1, 0, 0, 1);
	syscall(SYS_modify_ldt, 0x11, &d, sizeof d);
	return NULL;
}

// Forks have a copy, clones with CLONE_VM have the same, a new program has none.
TEST(inherited)
{
	struct user_desc d = entry(3, 0x1000, 0xfff, 0, 0, 1, 0, 0, 1);
	ldt("write", 0x11, &d, sizeof d);
	reap("fork", CHILD(show(); adds(NULL); show()));
	show();
	pid_t c = must(clone(adds, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
	waitpid(c, NULL, 0);
	pthread_t th;
	pthread_create(&th, NULL, adds_thread, NULL);
	pthread_join(th, NULL);
	show();
	char self[4096] = {0};
	readlink("/proc/self/exe", self, sizeof self - 1);
	reap("exec", CHILD(execl(self, "ldt", "read", NULL)));
}

TEST(read) { show(); }

// The segment register of libc's thread, and the one that it leaves alone.
#ifdef __i386__
#define THEIRS "gs"
#define OURS "fs"
#else
#define THEIRS "fs"
#define OURS "gs"
#endif

static int data[4] = {11, 22, 33, 44};

// Whether a segment can be used is the processor's affair: the host may be unable to.
TEST(used)
{
	int *low = must(mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memcpy(low, data, sizeof data);
	struct user_desc d = entry(2, 0x10000000, 4095, 0, 0, 1, 0, 0, 1);
	ldt("write", 0x11, &d, sizeof d);
	reap("the thread's register", CHILD(
		int v; unsigned short sel = 2 << 3 | 7;
		asm volatile("mov %%" THEIRS ", %%esi; mov %1, %%" THEIRS "; mov %%" THEIRS ":8, %0; mov %%esi, %%" THEIRS : "=&r"(v) : "r"(sel) : "esi");
		_exit(v)));
	reap("another, over calls", CHILD(
		int v; unsigned short sel = 2 << 3 | 7, now;
		asm volatile("mov %0, %%" OURS :: "r"(sel));
		getppid(); sched_yield(); millis(1);
		asm volatile("mov %%" OURS ":12, %0; mov %%" OURS ", %1" : "=r"(v), "=r"(now));
		_exit(v + (now == sel))));
	reap("absent", CHILD(unsigned short sel = 9 << 3 | 7; asm volatile("mov %0, %%" OURS :: "r"(sel)); _exit(1)));
}
