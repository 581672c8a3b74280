// Processor exceptions: signal, code and address of each.
#include "guest.h"
static sigjmp_buf jb;
static void h(int s, siginfo_t *i, void *u) {
	__asm__ volatile("pushfq\nandl $~0x40000,(%%rsp)\npopfq" ::: "memory");
	ucontext_t *uc = u; greg_t *g = uc->uc_mcontext.gregs;
	P("  signal %d code %d addr %s trap %lld err %llx cr2==addr %d\n", s, i->si_code, i->si_addr == 0 ? "0" : i->si_addr == (void *)g[REG_RIP] ? "rip" : (char *)i->si_addr == (char *)g[REG_RIP] - 1 ? "rip-1" : "other", g[REG_TRAPNO], g[REG_ERR], g[REG_CR2] == (long)i->si_addr);
	siglongjmp(jb, 1);
}
#define TRY(name, code) P("%s\n", name); if (!sigsetjmp(jb, 1)) { code; P("  nothing\n"); }
int main(void) {
	no_core();
	for (int *s = (int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 0}; *s; s++) on(*s, h, SA_SIGINFO);
	char *ro = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *none = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *rw = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int zero = 0, x;
	TRY("null write", *(volatile int *)8 = 1);
	TRY("null read", x = *(volatile int *)8);
	TRY("read-only write", *(volatile char *)ro = 1);
	TRY("none read", x = *(volatile char *)none);
	TRY("noncanonical", x = *(volatile char *)0x8000000000000000);
	TRY("kernel", x = *(volatile char *)0xffffffff81000000);
	TRY("exec of data", ((void (*)(void))rw)());
	TRY("exec of nothing", ((void (*)(void))0x1000)());
	TRY("divide", __asm__ volatile("xor %%edx,%%edx\nmov $1,%%eax\nidivl %0" ::"m"(zero) : "eax", "edx"));
	TRY("divide overflow", __asm__ volatile("mov $0x80000000,%%eax\ncdq\nmov $-1,%%ecx\nidivl %%ecx" ::: "eax", "ecx", "edx"));
	TRY("ud2", __asm__ volatile("ud2"));
	TRY("int3", __asm__ volatile("int3"));
	TRY("int1", __asm__ volatile(".byte 0xf1"));
	TRY("hlt", __asm__ volatile("hlt"));
	TRY("cli", __asm__ volatile("cli"));
	TRY("in", __asm__ volatile("in $0x70,%%al" ::: "eax"));
	TRY("int 5", __asm__ volatile("int $5"));
	TRY("bad segment", __asm__ volatile("mov %0,%%fs" ::"r"(0xfff8)));
	TRY("x87", unsigned short cw = 0x360; double z = 0; __asm__ volatile("fninit\nfldcw %0\nfld1\nfldz\nfdivrp\nfwait" ::"m"(cw))); __asm__ volatile("fninit");
	TRY("sse divide", unsigned m = 0x1d80; __asm__ volatile("ldmxcsr %0\npxor %%xmm1,%%xmm1\nmovss %1,%%xmm0\ndivss %%xmm1,%%xmm0" ::"m"(m), "m"((float){1}) : "xmm0", "xmm1"));
	TRY("sse invalid", unsigned m = 0x1f00; __asm__ volatile("ldmxcsr %0\npxor %%xmm0,%%xmm0\npxor %%xmm1,%%xmm1\ndivss %%xmm1,%%xmm0" ::"m"(m) : "xmm0", "xmm1"));
	TRY("bad mxcsr", unsigned m = ~0; __asm__ volatile("ldmxcsr %0" ::"m"(m)));
	TRY("single step", __asm__ volatile("pushfq\norl $0x100,(%%rsp)\npopfq\nnop\nnop" ::: "memory"));
	__asm__ volatile("pushfq\nandl $~0x100,(%%rsp)\npopfq" ::: "memory");
	TRY("misaligned sse", __asm__ volatile("movaps 1(%0),%%xmm0" ::"r"(rw) : "xmm0"));
	TRY("alignment check", __asm__ volatile("pushfq\norl $0x40000,(%%rsp)\npopfq\nmov 1(%0),%%eax\npushfq\nandl $~0x40000,(%%rsp)\npopfq" ::"r"(rw) : "eax", "memory"));
	__asm__ volatile("pushfq\nandl $~0x40000,(%%rsp)\npopfq" ::: "memory");
	FILE *f = tmpfile(); char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
	TRY("beyond file", x = m[0]); ftruncate(fileno(f), 100); TRY("in last page", m[200] = 1); TRY("second page", m[4096] = 1);
	TRY("shared file shrunk", ftruncate(fileno(f), 8192); m[4096] = 1; ftruncate(fileno(f), 10); x = m[4096]);
	// A handled fault, then a signal from outside: what the frame still tells.
	TRY("again null", *(volatile int *)24 = 1);
	on(SIGUSR1, h, SA_SIGINFO); TRY("raise after fault", raise(SIGUSR1));
	return 0;
}
