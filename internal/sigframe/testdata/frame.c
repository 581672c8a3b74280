// Takes a signal with known registers and writes what it sees, each part after
// its length:
//
//	the address of the frame; the frame to the end of the extended state;
//	the registers on entry (rdi rsi rdx rax rsp eflags cs ss), and the
//	extended state then; after the handler's return the registers (rax rbx
//	rcx rdx rsi rdi rbp rsp r8-r15 eflags cs ss), the extended state, the mask.
//
// Arguments: "alt" (on an alternate stack), "disarm", "plain" (no SA_SIGINFO),
// "user" (a signal to self instead of a fault), "segv", and what to change:
// move=N (the extended state, to an address that is N modulo 64; its offsets
// then are from there less N),
// OFFSET=VALUE (8 bytes, from the frame), OFFSET:VALUE (4 bytes),
// fpOFFSET=VALUE (from the extended state), fpOFFSET:VALUE.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t entry[8], after[19], saved_sp, fault_at;
int how;
__attribute__((aligned(64))) char xentry[16384], xafter[16384];
__attribute__((aligned(64))) uint8_t pattern[32 * 4];
uint32_t mxcsr = 0x1fa0;
uint16_t fcw = 0x27f;
int has_avx;

static void put(const void *p, uint64_t n) {
	const char *q = p;
	uint64_t le = n;
	if (write(1, &le, 8) != 8)
		_exit(1);
	while (n) {
		ssize_t k = write(1, q, n);
		if (k <= 0)
			_exit(1);
		q += k;
		n -= k;
	}
}

// trip loads every register, makes the signal come, and stores them again.
void trip(void);
asm(".text\n.globl trip\ntrip:\n"
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, saved_sp(%rip)\n"
    "fninit\nfldcw fcw(%rip)\nfldpi\nfld1\nldmxcsr mxcsr(%rip)\n"
    "movdqa pattern(%rip), %xmm0\nmovdqa pattern+16(%rip), %xmm15\n"
    "cmpl $0, has_avx(%rip)\nje 1f\nvmovdqa pattern+32(%rip), %ymm3\nvmovdqa pattern+64(%rip), %ymm12\n1:\n"
    "mov how(%rip), %eax\n"
    "mov $0x1111111111111111, %r8\nmov $0x2222222222222222, %r9\nmov $0x3333333333333333, %r10\n"
    "mov $0x5555555555555555, %r12\nmov $0x6666666666666666, %r13\nmov $0x7777777777777777, %r14\n"
    "mov $0x0888888888888888, %r15\nmov $0x0aaaaaaaaaaaaaaa, %rbx\nmov $0x0bbbbbbbbbbbbbbb, %rbp\n"
    "cmp $1, %eax\nje 2f\ncmp $2, %eax\nje 4f\n"
    "mov $0x4444444444444444, %r11\nmov $0x0ccccccccccccccc, %rcx\nmov $0x0ddddddddddddddd, %rdx\n"
    "mov $0x0eeeeeeeeeeeeeee, %rsi\nmov $0x0fffffffffffffff, %rdi\nstd\nstc\n"
    "ud2\njmp 3f\n"
    "2: push %rax\nmov $39, %eax\nsyscall\nmov %eax, %edi\nmov $10, %esi\nmov $62, %eax\npop %rcx\nstd\nsyscall\njmp 3f\n"
    "4: mov fault_at(%rip), %rcx\nmov %eax, (%rcx)\n"
    "3: mov %rax, after(%rip)\nmov %rbx, after+8(%rip)\nmov %rcx, after+16(%rip)\nmov %rdx, after+24(%rip)\n"
    "mov %rsi, after+32(%rip)\nmov %rdi, after+40(%rip)\nmov %rbp, after+48(%rip)\nmov %rsp, after+56(%rip)\n"
    "mov %r8, after+64(%rip)\nmov %r9, after+72(%rip)\nmov %r10, after+80(%rip)\nmov %r11, after+88(%rip)\n"
    "mov %r12, after+96(%rip)\nmov %r13, after+104(%rip)\nmov %r14, after+112(%rip)\nmov %r15, after+120(%rip)\n"
    "mov saved_sp(%rip), %rsp\n"
    "pushf\npopq after+128(%rip)\nmov %cs, after+136(%rip)\nmov %ss, after+144(%rip)\npushq $0x202\npopf\n"
    "mov $-1, %eax\nmov $-1, %edx\nxsave64 xafter(%rip)\n"
    "fninit\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

void on_signal(void);
asm(".globl on_signal\non_signal:\n"
    "mov %rdi, entry(%rip)\nmov %rsi, entry+8(%rip)\nmov %rdx, entry+16(%rip)\nmov %rax, entry+24(%rip)\n"
    "mov %rsp, entry+32(%rip)\npushf\npopq entry+40(%rip)\nmov %cs, entry+48(%rip)\nmov %ss, entry+56(%rip)\n"
    "mov $-1, %eax\nmov $-1, %edx\nxsave64 xentry(%rip)\n"
    "sub $8, %rsp\ncall handle\nadd $8, %rsp\nret\n");

static char **changes;

void handle(void) {
	char *frame = (char *)entry[4];
	char *fp = *(char **)(frame + 8 + 40 + 8 * 23);
	uint32_t *sw = (uint32_t *)(fp + 464);
	if (how != 1 && how != 2)
		*(uint64_t *)(frame + 8 + 40 + 8 * 16) += 2; // past ud2
	if (how == 2)
		*(uint64_t *)(frame + 8 + 40 + 8 * 16) += 2; // past mov
	put(&frame, 8);
	put(frame, fp - frame + sw[1]);
	put(entry, sizeof entry);
	put(xentry, sw[4]);
	for (char **c = changes; *c; c++) {
		char *base = frame, *p = *c;
		if (!strncmp(p, "move=", 5)) {
			static __attribute__((aligned(64))) char moved[16384 + 64];
			fp = moved + atoi(p + 5);
			memcpy(fp, *(char **)(frame + 8 + 40 + 8 * 23), sw[1]);
			*(char **)(frame + 8 + 40 + 8 * 23) = fp;
			fp -= atoi(p + 5);
			continue;
		}
		if (p[0] == 'f' && p[1] == 'p')
			base = fp, p += 2;
		char *end;
		long at = strtol(p, &end, 0);
		uint64_t v = strtoull(end + 1, 0, 0);
		memcpy(base + at, &v, *end == '=' ? 8 : 4);
	}
}

int main(int argc, char **argv) {
	int flags = SA_SIGINFO, i;
	static char stack[1 << 16];
	char *guard = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(guard + 4096, 4096);
	has_avx = __builtin_cpu_supports("avx");
	for (i = 0; i < (int)sizeof pattern; i++)
		pattern[i] = i + 1;
	for (i = 1; i < argc; i++) {
		stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
		if (!strcmp(argv[i], "alt") || !strcmp(argv[i], "disarm")) {
			if (argv[i][0] == 'd')
				ss.ss_flags = 1u << 31;
			flags |= SA_ONSTACK;
			sigaltstack(&ss, 0);
		} else if (!strcmp(argv[i], "plain"))
			flags &= ~SA_SIGINFO;
		else if (!strcmp(argv[i], "user"))
			how = 1;
		else if (!strcmp(argv[i], "segv"))
			how = 2, fault_at = (uint64_t)guard + 4096;
		else
			break;
	}
	changes = argv + i;
	struct sigaction sa = {.sa_flags = flags};
	sa.sa_handler = (void (*)(int))on_signal;
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(how == 1 ? SIGUSR1 : how == 2 ? SIGSEGV : SIGILL, &sa, 0);
	sigset_t m;
	sigemptyset(&m);
	sigaddset(&m, SIGTERM);
	sigaddset(&m, 40);
	sigprocmask(SIG_SETMASK, &m, 0);
	trip();
	asm volatile("cld");
	put(after, sizeof after);
	put(xafter, 16384);
	uint64_t mask = 0;
	syscall(SYS_rt_sigprocmask, 0, 0, &mask, 8);
	put(&mask, 8);
	stack_t ss;
	sigaltstack(0, &ss);
	put(&ss, sizeof ss);
	return 0;
}
