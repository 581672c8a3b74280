// i386: the ways into the kernel, segments, the vDSO, and going to 64 bits and back.
#include "../guest.h"
#include <asm/ldt.h>
#include <elf.h>
#include <link.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <ucontext.h>

static uintptr_t vsyscall; // __kernel_vsyscall

// Six arguments by int $0x80, and through the vDSO with the sixth where sysenter has it.
static long int80(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;
	long args[] = {b, c, d, e, f, nr, a};
	asm volatile("push %%ebp; push %%ebx; mov 0(%1),%%ecx; mov 4(%1),%%edx; mov 24(%1),%%ebx; mov 8(%1),%%esi; mov 12(%1),%%edi;"
		     "mov 16(%1),%%ebp; mov 20(%1),%%eax; int $0x80; pop %%ebx; pop %%ebp"
		     : "=a"(r) : "a"(args) : "ecx", "edx", "esi", "edi", "memory");
	return r;
}

static long fast(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;
	long args[] = {b, c, d, e, f, nr, a, vsyscall};
	asm volatile("push %%ebp; push %%ebx; mov 0(%1),%%ecx; mov 4(%1),%%edx; mov 24(%1),%%ebx; mov 8(%1),%%esi; mov 12(%1),%%edi;"
		     "push 28(%1); mov 16(%1),%%ebp; mov 20(%1),%%eax; call *(%%esp); add $4,%%esp; pop %%ebx; pop %%ebp"
		     : "=a"(r) : "a"(args) : "ecx", "edx", "esi", "edi", "memory");
	return r;
}

__attribute__((constructor)) static void find(void) { vsyscall = getauxval(AT_SYSINFO); }

TEST(ways_in)
{
	T(vsyscall != 0);
	T(int80(SYS_getpid, 0, 0, 0, 0, 0, 0) == getpid());
	T(fast(SYS_getpid, 0, 0, 0, 0, 0, 0) == getpid());
	R(int80(SYS_close, -1, 0, 0, 0, 0, 0));
	R(fast(SYS_close, -1, 0, 0, 0, 0, 0));
	R(int80(100000, 0, 0, 0, 0, 0, 0));
	R(fast(100000, 0, 0, 0, 0, 0, 0));
	R(int80(-1, 0, 0, 0, 0, 0, 0));
	int fd = must(open("six", O_RDWR | O_CREAT, 0600));
	must(write(fd, "0123456789", 10));
	must(ftruncate(fd, 3 * 4096));
	must(pwrite(fd, "second", 6, 4096));
	for (int i = 0; i < 2; i++) {
		char *p = (char *)(i ? fast : int80)(SYS_mmap2, 0, 4096, PROT_READ, MAP_PRIVATE, fd, 1);
		say("%d: %.6s", i, (unsigned long)p < -4095UL ? p : "error");
	}
}


static sigjmp_buf back;

static bool in_vdso(unsigned long a) { return a - getauxval(AT_SYSINFO_EHDR) < 8192; }

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	say("%s, eax %d, in the vDSO: %d", sigabbrev_np(sig), g[REG_EAX], in_vdso(g[REG_EIP]));
	siglongjmp(back, 1);
}

// The sixth argument is on the stack. Where that cannot be read the call fails and the program dies of its stack.
// A processor has only one of the two instructions.
TEST(unreadable_stack)
{
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
	must(sigaltstack(&ss, NULL));
	handle(SIGSEGV, on_fault, SA_SIGINFO | SA_ONSTACK);
	handle(SIGILL, on_fault, SA_SIGINFO | SA_ONSTACK);
	if (!sigsetjmp(back, 1))
		asm volatile("mov $20,%eax; mov $8,%ebp; sysenter");
	if (!sigsetjmp(back, 1))
		asm volatile("mov $20,%eax; mov $8,%esp; syscall");
	if (!sigsetjmp(back, 1))
		asm volatile("mov $-2,%eax; mov $8,%esp; int $0x80; push %eax"); // which needs no stack
}

struct action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask[2];
};

static void returns(int sig)
{
	say("returns to the vDSO: %d", in_vdso((unsigned long)__builtin_return_address(0)));
}

// Handlers without SA_RESTORER.
TEST(trampolines)
{
	for (int i = 0; i < 2; i++) {
		struct action a = {.handler = returns, .flags = i ? SA_SIGINFO : 0};
		R(syscall(SYS_rt_sigaction, SIGUSR1, &a, NULL, 8));
		R(raise(SIGUSR1));
	}
	R(syscall(SYS_signal, SIGUSR1, returns) == (long)returns);
	R(raise(SIGUSR1));
	struct action a;
	R(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &a, 8));
	say("handler %p flags %lx", a.handler, a.flags);
}

static unsigned short get_fs(void)
{
	unsigned short v;
	asm volatile("mov %%fs,%0" : "=r"(v));
	return v;
}
static void set_fs(unsigned short v) { asm volatile("mov %0,%%fs" : : "r"(v)); }
static int fs_word(void)
{
	int v;
	asm volatile("mov %%fs:4,%0" : "=r"(v));
	return v;
}

static void no_fs(int sig, siginfo_t *si, void *ctx)
{
	say("in the handler fs is %#x, %d; the frame has %#x", get_fs(), fs_word(), (unsigned short)((ucontext_t *)ctx)->uc_mcontext.gregs[REG_FS]);
	set_fs(0);
}

static void show_desc(const char *what, struct user_desc *u)
{
	say("%s: entry %d limit %x 32-bit %d contents %d ro %d pages %d absent %d useable %d", what, u->entry_number, u->limit, u->seg_32bit,
	    u->contents, u->read_exec_only, u->limit_in_pages, u->seg_not_present, u->useable);
}

TEST(segments)
{
	static int data[] = {11, 22, 33};
	struct user_desc u = {.entry_number = -1, .base_addr = (unsigned)data, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};
	R(syscall(SYS_set_thread_area, &u));
	show_desc("set", &u);
	int entry = u.entry_number;
	set_fs(entry * 8 + 3);
	say("fs %#x: %d", get_fs(), fs_word());
	handle(SIGUSR1, no_fs, SA_SIGINFO);
	raise(SIGUSR1);
	say("after the handler: fs %#x: %d", get_fs(), fs_word());
	for (int i = 0; i < 3; i++) {
		millis(1);
		sched_yield();
	}
	say("later: fs %#x: %d", get_fs(), fs_word());
	reap("child", CHILD(say("fs %#x: %d", get_fs(), fs_word())));
	u.base_addr += 4;
	R(syscall(SYS_set_thread_area, &u));
	say("moved: %d", fs_word());
	memset(&u, 0xff, sizeof u);
	u.entry_number = entry;
	R(syscall(SYS_get_thread_area, &u));
	show_desc("got", &u);
	T(u.base_addr == (unsigned)data + 4);
	struct user_desc bad = {.entry_number = -1, .limit = 1, .seg_32bit = 1, .contents = 2};
	R(syscall(SYS_set_thread_area, &bad));
	bad.contents = 0, bad.seg_32bit = 0;
	R(syscall(SYS_set_thread_area, &bad));
	bad.seg_32bit = 1, bad.seg_not_present = 1;
	R(syscall(SYS_set_thread_area, &bad));
	bad.seg_not_present = 0, bad.entry_number = 5;
	R(syscall(SYS_set_thread_area, &bad));
	R(syscall(SYS_get_thread_area, &bad));
	R(syscall(SYS_set_thread_area, 8));
	bad.entry_number = entry + 1;
	R(syscall(SYS_get_thread_area, &bad));
	show_desc("empty", &bad);
	struct user_desc w = {.entry_number = -1, .limit = 7, .seg_32bit = 1, .contents = 1, .read_exec_only = 1};
	R(syscall(SYS_set_thread_area, &w));
	R(syscall(SYS_get_thread_area, &w));
	show_desc("third", &w);
	w.entry_number = -1;
	R(syscall(SYS_set_thread_area, &w));
	set_fs(0);
	struct user_desc none = {.entry_number = entry};
	R(syscall(SYS_set_thread_area, &none));
	handle(SIGSEGV, on_fault, SA_SIGINFO);
	if (!sigsetjmp(back, 1)) {
		set_fs(entry * 8 + 3);
		say("not reached");
	}
}

static void self(char *path)
{
	int n = must(readlink("/proc/self/exe", path, 4095));
	path[n] = 0;
}

static int count(void)
{
	static __thread int n = 40;
	return ++n;
}

TEST(landed)
{
	int local;
	say("32 bits, thread-local %d, below 3 GiB %d", count(), (unsigned long)&local < 0xc0000000);
	struct utsname u;
	must(uname(&u));
	say("%s", u.machine);
}

// From 32 bits to 64 and back, by exec.
TEST(handoff)
{
	char path[4096];
	self(path);
	for (int v = 0; v < 2; v++) {
		pid_t pid = v ? vfork() : fork();
		if (pid == 0) {
			execl("/bin/bash", "bash", "-c", "echo $((1 << 40)); exec \"$0\" landed", path, NULL);
			_exit(9);
		}
		reap("there and back", pid);
	}
	R(count());
	reap("i686", CHILD(personality(PER_LINUX32); execl("/bin/bash", "bash", "-c", "uname -m; exec \"$0\" landed", path, NULL)));
	reap("3 GiB", CHILD(personality(ADDR_LIMIT_3GB); execl(path, "entry", "landed", NULL)));
	reap("3 GiB, 64 bits between", CHILD(personality(ADDR_LIMIT_3GB); execl("/bin/bash", "bash", "-c", "exec \"$0\" landed", path, NULL)));
}

// Where things are when nothing is random.
TEST(layout)
{
	char path[4096];
	self(path);
	reap("fixed", CHILD(personality(ADDR_NO_RANDOMIZE); execl(path, "entry", "places", NULL)));
	reap("fixed, 3 GiB", CHILD(personality(ADDR_NO_RANDOMIZE | ADDR_LIMIT_3GB); execl(path, "entry", "places", NULL)));
	setrlimit(RLIMIT_STACK, &(struct rlimit){200 << 20, RLIM_INFINITY});
	reap("fixed, a large stack", CHILD(personality(ADDR_NO_RANDOMIZE); execl(path, "entry", "places", NULL)));
}

TEST(places)
{
	if (!(personality(-1) & ADDR_NO_RANDOMIZE))
		return;
	say("program %p, brk %p", (void *)getauxval(AT_PHDR), sbrk(0));
	say("vDSO %#lx, loader %#lx", getauxval(AT_SYSINFO_EHDR), getauxval(AT_BASE));
	say("stack %#lx", (getauxval(AT_EXECFN) + 0xfff) & ~0xfffUL);
	say("%s", (char *)getauxval(AT_PLATFORM));
	for (int i = 0; i < 2; i++) {
		int fd = must(open("/proc/self/auxv", O_RDONLY));
		Elf32_auxv_t v[60];
		int n = must(read(fd, v, sizeof v)) / 8, all = 0, same = 0;
		for (int k = 0; k < n; k++) {
			if (v[k].a_type == 27 || v[k].a_type == 28) // AT_RSEQ_*: not of every kernel, and not where rseq(2) is refused
				continue;
			all++;
			same += v[k].a_type == AT_NULL || getauxval(v[k].a_type) == v[k].a_un.a_val;
		}
		say("auxv: %d entries, %d as on the stack", all, same);
		close(fd);
	}
	void *high = mmap((void *)0xffffe000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	T(high == MAP_FAILED);
	R(errno);
	R((long)mmap(NULL, 0xfffff000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	R(munmap((void *)0xffffe000, 4096));
	R(mprotect((void *)0xffffe000, 4096, PROT_READ));
}

static void deep(int n)
{
	volatile char page[4096];
	page[0] = n;
	if (n)
		deep(n - 1);
	page[1] = n;
}

TEST(stack_growth)
{
	no_core();
	deep(1000);
	say("4 MB deep");
	reap("without end", CHILD(deep(1 << 30)));
	reap("jump to nowhere", CHILD(((void (*)(void))8)()));
	reap("jump above", CHILD(((void (*)(void))0xffffff00)()));
}

// The vDSO's clock lies between two calls of the kernel's.
TEST(vdso_time)
{
	for (int i = 0; i < 2; i++) {
		int clock = i ? CLOCK_REALTIME : CLOCK_MONOTONIC;
		long long a[2], c[2];
		struct timespec b;
		must(syscall(SYS_clock_gettime64, clock, a));
		must(clock_gettime(clock, &b));
		must(syscall(SYS_clock_gettime64, clock, c));
		long long t0 = a[0] * 1000000000 + (int)a[1], t1 = b.tv_sec * 1000000000LL + b.tv_nsec, t2 = c[0] * 1000000000 + (int)c[1];
		say("%d: in order %d", clock, t0 <= t1 && t1 <= t2);
	}
}

static void count_restarts(int sig) {}

// Calls that a signal interrupts are made again, whichever way they came.
TEST(restarts)
{
	handle(SIGALRM, count_restarts, SA_RESTART);
	for (int i = 0; i < 2; i++) {
		int p[2];
		must(pipe(p));
		setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 20000}}, NULL);
		pid_t pid = CHILD(millis(200); must(write(p[1], "x", 1)));
		char c = 0;
		R((i ? fast : int80)(SYS_read, p[0], (long)&c, 1, 0, 0, 0));
		say("%c", c);
		reap("writer", pid);
		struct timespec ts = {0, 50000000};
		pid_t self = getpid();
		pid = CHILD(millis(10); kill(self, SIGSTOP); millis(10); kill(self, SIGCONT));
		R((i ? fast : int80)(SYS_nanosleep, (long)&ts, 0, 0, 0, 0, 0));
		reap("stopper", pid);
	}
}
