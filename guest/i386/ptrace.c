// ptrace(2) on i386: what 32-bit tracers are told of 32-bit tracees.
#include "../ptrace.h"
#include <elf.h>
#include <asm/ldt.h>

TEST(registers)
{
	pid_t p = TRACEE(int b; __asm__ volatile("mov $7, %%ebx; int3; mov %%ebx, %0" : "=r"(b) : : "ebx"); say("%d", b); syscall(SYS_getuid, 1, 2, 3));
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("int3", p);
	struct user_regs_struct r; memset(&r, 0x55, sizeof r);
	R(pt(PTRACE_GETREGS, p, 0, (long)&r));
	say("ebx %ld cs %lx ss %lx ds %lx es %lx orig %ld size %zu", r.ebx, r.xcs, r.xss, r.xds, r.xes, r.orig_eax, sizeof r);
	r.ebx = 9;
	R(pt(PTRACE_SETREGS, p, 0, (long)&r));
	struct iovec v = {&r, sizeof r};
	R(pt(PTRACE_GETREGSET, p, NT_PRSTATUS, (long)&v));
	say("%zu ebx %ld", v.iov_len, r.ebx);
	struct user_fpregs_struct f;
	R(pt(PTRACE_GETFPREGS, p, 0, (long)&f));
	say("%zu cwd %lx swd %lx twd %lx fos %lx", sizeof f, f.cwd, f.swd, f.twd, f.fos & 0xffff0000);
	f.cwd = 0xffff027f;
	R(pt(PTRACE_SETFPREGS, p, 0, (long)&f));
	R(pt(PTRACE_GETFPREGS, p, 0, (long)&f));
	say("cwd %lx", f.cwd);
	struct user_fpxregs_struct x;
	R(pt(18, p, 0, (long)&x));
	say("%zu cwd %x mxcsr %lx", sizeof x, x.cwd, x.mxcsr);
	x.mxcsr = 0x1fa0;
	R(pt(19, p, 0, (long)&x));
	R(pt(18, p, 0, (long)&x));
	say("mxcsr %lx", x.mxcsr);
	v = (struct iovec){&x, sizeof x};
	R(pt(PTRACE_GETREGSET, p, NT_PRXFPREG, (long)&v));
	say("%zu", v.iov_len);
	v = (struct iovec){&f, sizeof f};
	R(pt(PTRACE_GETREGSET, p, NT_PRFPREG, (long)&v));
	say("%zu", v.iov_len);
	struct user_desc d[3];
	v = (struct iovec){d, sizeof d};
	R(pt(PTRACE_GETREGSET, p, NT_386_TLS, (long)&v));
	say("%zu", v.iov_len);
	for (int i = 0; i < 3; i++) say("%d base %d limit %x flags %x", d[i].entry_number, d[i].base_addr != 0, d[i].limit, ((unsigned*)&d[i])[3]);
	R(pt(25, p, 12, (long)d));
	say("%d %d", d[0].entry_number, d[0].base_addr != 0);
	R(pt(25, p, 14, (long)d));
	say("%x", ((unsigned*)d)[3]);
	R(pt(25, p, 15, (long)d));
	d[0] = (struct user_desc){.entry_number = 14, .base_addr = 0x1000, .limit = 1, .seg_32bit = 1};
	R(pt(26, p, 13, (long)d));
	R(pt(25, p, 13, (long)d));
	say("%d base %x limit %x flags %x", d->entry_number, d->base_addr, d->limit, ((unsigned*)d)[3]);
	d[0].contents = 3;
	R(pt(26, p, 13, (long)d));
	R(pt(26, p, -1, (long)d));
	long u = 0;
	R(pt(PTRACE_PEEKUSER, p, 284, (long)&u));
	R(pt(PTRACE_PEEKUSER, p, 280, (long)&u));
	R(pt(PTRACE_PEEKUSER, p, 70, (long)&u));
	R(pt(PTRACE_PEEKUSER, p, 68, (long)&u));
	R(pt(PTRACE_POKEUSER, p, 100, 5));
	R(pt(PTRACE_POKEUSER, p, 284, 5));
	R(pt(PTRACE_POKEUSER, p, 288, 5));
	R(pt(PTRACE_POKEUSER, p, 252, (long)&u));
	R(pt(PTRACE_PEEKUSER, p, 284, (long)&u));
	R(pt(30, p, (long)&u, 0x1003));
	R(pt(20, p, 0, 0));
	siginfo_t si; memset(&si, 0, sizeof si);
	R(pt(PTRACE_GETSIGINFO, p, 0, (long)&si));
	say("%d %d %x", si.si_signo, si.si_code, si.si_errno);
	must(pt(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD));
	int st; do { must(pt(PTRACE_SYSCALL, p, 0, 0)); waitpid(p, &st, 0); } while (REG(p, orig_rax) != SYS_getuid);
	show_args = true; show_stop("entry", p, st);
	struct call_info ci; pt(PTRACE_GET_SYSCALL_INFO, p, sizeof ci, (long)&ci);
	say("arch %x", ci.arch);
	SETREG(p, orig_rax, -1);
	SETREG(p, rax, -5);
	must(pt(PTRACE_SYSCALL, p, 0, 0));
	next_of("exit", p);
	end(p);
}

TEST(queued)
{
	pid_t p = TRACEE(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 77}));
	siginfo_t si;
	must(pt(PTRACE_CONT, p, 0, 0));
	next_of("rt", p); pt(PTRACE_GETSIGINFO, p, 0, (long)&si);
	say("%d value %d pid %d", si.si_code, si.si_value.sival_int, si.si_pid == p);
	end(p);
}
