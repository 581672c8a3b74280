// Alternate stacks, frames, registers in handlers, jumps out of them.
#include "guest.h"
#include <immintrin.h>
static char stk[65536] __attribute__((aligned(64))), stk2[65536] __attribute__((aligned(64)));
static volatile int got;
static stack_t cur(void) { stack_t s; sigaltstack(0, &s); return s; }
static void show(const char *w) { stack_t s = cur(); P("%s: flags %x size %zu mine %d\n", w, s.ss_flags, s.ss_size, s.ss_sp == stk); }
static int onstk(void *p, char *s) { return (char *)p >= s && (char *)p < s + 65536; }
static void h(int s, siginfo_t *i, void *u) { char c; ucontext_t *uc = u; P("handler on alt %d, uc flags %x size %zu link %d\n", onstk(&c, stk), uc->uc_stack.ss_flags, uc->uc_stack.ss_size, uc->uc_link != 0); show("in handler"); stack_t n = {stk2, 0, sizeof stk2}; T(sigaltstack(&n, 0)); if (!got++) raise(SIGUSR2); }
static void h2(int s, siginfo_t *i, void *u) { char c; P("nested on %d %d\n", onstk(&c, stk), onstk(&c, stk2)); }
static sigjmp_buf jb;
static void jump(int s) { siglongjmp(jb, got + 1); }
static void regs(int s, siginfo_t *i, void *u) { ucontext_t *uc = u; uc->uc_mcontext.gregs[REG_RIP] += 2; uc->uc_mcontext.gregs[REG_RAX] = 1234; uc->uc_mcontext.gregs[REG_R12] = 99; }
static void clobber(int s) { __asm__ volatile("pxor %%xmm0,%%xmm0\npxor %%xmm7,%%xmm7\nfninit\nfldz\n" ::: "xmm0", "xmm7"); if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroall" ::: "memory"); }
static void fpedit(int s, siginfo_t *i, void *u) { ucontext_t *uc = u; struct _libc_fpstate *f = uc->uc_mcontext.fpregs; P("fp saved: xmm3 %x cw %x mxcsr %x\n", f->_xmm[3].element[0], f->cwd, f->mxcsr); f->_xmm[3].element[0] = 0x55; f->mxcsr = 0x1fa0; unsigned m; __asm__ volatile("stmxcsr %0" : "=m"(m)); P("handler mxcsr %x\n", m); }
static void blow(int s) { raise(SIGUSR1); }
static void flags(int s, siginfo_t *i, void *u) { unsigned long f; __asm__ volatile("pushfq; pop %0" : "=r"(f)); P("handler DF %d, saved DF %d\n", !!(f & 0x400), !!(((ucontext_t *)u)->uc_mcontext.gregs[REG_EFL] & 0x400)); }

int main(void) {
	no_core();
	show("initial");
	stack_t n = {stk, 0, sizeof stk}, o;
	T(sigaltstack(&n, &o)); show("set");
	n.ss_flags = SS_ONSTACK; T(sigaltstack(&n, 0)); show("set with SS_ONSTACK");
	n.ss_flags = 5; T(sigaltstack(&n, 0)); n.ss_flags = 0; n.ss_size = 2047; T(sigaltstack(&n, 0)); n.ss_size = 2048; T(sigaltstack(&n, 0)); n.ss_size = sizeof stk;
	T(syscall(SYS_sigaltstack, 8, 0)); T(syscall(SYS_sigaltstack, 0, 8));
	T(sigaltstack(&n, 0));
	on(SIGUSR1, h, SA_SIGINFO | SA_ONSTACK); on(SIGUSR2, h2, SA_SIGINFO | SA_ONSTACK); raise(SIGUSR1); show("after");
	on(SIGUSR2, h2, SA_SIGINFO); raise(SIGUSR2);
	// Autodisarm: the handler sees no stack, another can be set, the old comes back.
	n.ss_flags = 1 << 31; T(sigaltstack(&n, 0)); show("autodisarm"); on(SIGUSR2, h2, SA_SIGINFO | SA_ONSTACK); got = 0; raise(SIGUSR1); show("after autodisarm");
	on(SIGUSR1, h, SA_SIGINFO); got = 1; raise(SIGUSR1); show("after autodisarm, not on it");
	n.ss_flags = SS_DISABLE | (1 << 31); T(sigaltstack(&n, 0)); show("disabled autodisarm"); n.ss_flags = SS_DISABLE; T(sigaltstack(&n, 0)); show("disabled");
	// fork keeps it, vfork too, a thread does not.
	n.ss_flags = 0; n.ss_size = sizeof stk; sigaltstack(&n, 0); if (!fork()) { show("fork child"); _exit(0); } wait(0);
	void *th(void *x) { show("thread"); return 0; } pthread_t t; pthread_create(&t, 0, th, 0); pthread_join(t, 0);
	if (!vfork()) { show("vfork child"); _exit(0); } wait(0);
	// Overflow of the alternate stack.
	pid_t p = fork(); int ws;
	if (!p) { stack_t s = {stk, 0, 4096}; sigaltstack(&s, 0); on(SIGUSR1, blow, SA_ONSTACK | SA_NODEFER); on(SIGSEGV, h, SA_SIGINFO); raise(SIGUSR1); _exit(1); }
	waitpid(p, &ws, 0); show_status("alt overflow", ws);
	// Stack overflow handled on the alternate stack.
	p = fork(); if (!p) { setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20}); void so(int s, siginfo_t *i, void *u) { char c; P("stack overflow: code %d on alt %d near %d\n", i->si_code, onstk(&c, stk), labs((char *)i->si_addr - (char *)((ucontext_t *)u)->uc_mcontext.gregs[REG_RSP]) < 65536); _exit(3); } on(SIGSEGV, so, SA_SIGINFO | SA_ONSTACK); int deep(int k) { volatile char b[8192]; b[0] = k; return k ? deep(k - 1) + b[0] : 0; } deep(1000); _exit(0); }
	waitpid(p, &ws, 0); show_status("stack overflow", ws);
	p = fork(); if (!p) { setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20}); on(SIGSEGV, h, SA_SIGINFO); stack_t d = {.ss_flags = SS_DISABLE}; sigaltstack(&d, 0); int deep(int k) { volatile char b[8192]; b[0] = k; return k ? deep(k - 1) + b[0] : 0; } deep(1000); _exit(0); }
	waitpid(p, &ws, 0); show_status("stack overflow without alt", ws);
	// Jumps.
	on(SIGSEGV, jump, 0);
	for (got = 0; got < 3;) { int r = sigsetjmp(jb, 1); if (r) { got = r; continue; } *(volatile int *)16 = 1; }
	P("jumped %d times\n", got);
	on(SIGSEGV, jump, SA_NODEFER); for (got = 0; got < 3;) { int r = sigsetjmp(jb, 0); if (r) { got = r; continue; } *(volatile int *)16 = 1; } P("jumped %d times nodefer\n", got);
	// Registers.
	on(SIGILL, regs, SA_SIGINFO); long a = 0, b; __asm__ volatile("mov $7,%%r12\nud2\nmov %%r12,%1" : "=a"(a), "=r"(b)::"r12"); P("registers: %ld %ld\n", a, b);
	// Extended state.
	on(SIGUSR1, clobber, 0); pid_t me = getpid();
	float x0[4] = {1, 2, 3, 4}, y0[4]; long r; double st = 2.5, st2; unsigned short cw = 0x27f, cw2;
	__asm__ volatile("fninit\nfldcw %5\nfldl %4\nmovups %3,%%xmm7\nsyscall\nmovups %%xmm7,%1\nfstpl %2\nfnstcw %6" : "=a"(r), "=m"(y0), "=m"(st2) : "m"(x0), "m"(st), "m"(cw), "m"(cw2), "a"(SYS_kill), "D"(me), "S"(SIGUSR1) : "rcx", "r11", "xmm7", "memory");
	P("sse %g %g %g %g x87 %g cw %x\n", y0[0], y0[1], y0[2], y0[3], st2, cw2); __asm__ volatile("fninit");
	if (__builtin_cpu_supports("avx")) { int ya[8] = {1, 2, 3, 4, 5, 6, 7, 8}, yb[8]; __asm__ volatile("vmovups %2,%%ymm9\nsyscall\nvmovups %%ymm9,%1\nvzeroupper" : "=a"(r), "=m"(yb) : "m"(ya), "a"(SYS_kill), "D"(me), "S"(SIGUSR1) : "rcx", "r11", "xmm9", "memory"); P("avx %d %d\n", yb[0], yb[7]); } else P("avx 1 8\n");
	on(SIGUSR1, fpedit, SA_SIGINFO); unsigned mx, x3[4] = {0x33, 0, 0, 0}; __asm__ volatile("movups %2,%%xmm3\nsyscall\nmovd %%xmm3,%1\nstmxcsr %3" : "=a"(r), "=r"(x3[1]) : "m"(x3), "m"(mx), "a"(SYS_kill), "D"(me), "S"(SIGUSR1) : "rcx", "r11", "xmm3", "memory"); P("edited xmm3 %x mxcsr %x\n", x3[1], mx);
	on(SIGUSR1, flags, SA_SIGINFO); __asm__ volatile("std\nsyscall\npushfq\npop %1\ncld" : "=a"(r), "=r"(b) : "a"(SYS_kill), "D"(me), "S"(SIGUSR1) : "rcx", "r11", "memory"); P("DF after %d\n", !!(b & 0x400));
	// A made-up frame.
	p = fork(); if (!p) { on(SIGSEGV, SIG_DFL, 0); __asm__ volatile("mov $16,%%rsp\nmov $15,%%eax\nsyscall" ::: "memory"); } waitpid(p, &ws, 0); show_status("bad sigreturn", ws);
	// No stack at all for the handler.
	p = fork(); if (!p) { on(SIGSEGV, SIG_DFL, 0); on(SIGUSR1, clobber, 0); stack_t d = {.ss_flags = SS_DISABLE}; sigaltstack(&d, 0); __asm__ volatile("mov $64,%%rsp\nsyscall" ::"a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1) : "memory"); } waitpid(p, &ws, 0); show_status("no stack", ws);
	return 0;
}
