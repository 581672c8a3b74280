// The same as frame.c for i386, without a C library. Parts: the address of the
// frame; the frame; on entry eax edx ecx esp eflags cs ss ds es; the extended
// state then; after the return eax ebx ecx edx esi edi ebp esp eflags cs ss ds
// es fs gs; the extended state; the mask.
//
// Arguments: "rt" (SA_SIGINFO), "restorer" (SA_RESTORER), "alt", "user", and
// the same changes, of 4 bytes each.
typedef unsigned u32;
typedef unsigned long long u64;

u32 entry[9], after[15], saved_sp, how;
__attribute__((aligned(64))) char xentry[16384], xafter[16384];
__attribute__((aligned(64))) char pattern[128];
u32 mxcsr = 0x1fa0;
unsigned short fcw = 0x27f;

static int call(int nr, u32 a, u32 b, u32 c, u32 d) {
	int r;
	asm volatile("int $0x80" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return r;
}

static void quit(int code) { call(1, code, 0, 0, 0); }

static void put(const void *p, u32 n) {
	u64 le = n;
	const char *q = p;
	if (call(4, 1, (u32)&le, 8, 0) != 8)
		quit(1);
	while (n) {
		int k = call(4, 1, (u32)q, n, 0);
		if (k <= 0)
			quit(1);
		q += k;
		n -= k;
	}
}

void trip(void);
asm(".text\ntrip:\n"
    "push %ebx\npush %ebp\npush %esi\npush %edi\nmov %esp, saved_sp\n"
    "fninit\nfldcw fcw\nfldpi\nfld1\nfldz\nldmxcsr mxcsr\n"
    "movdqa pattern, %xmm0\nmovdqa pattern+16, %xmm7\nvmovdqa pattern+32, %ymm3\n"
    "mov $0x0aaaaaaa, %ebx\nmov $0x0bbbbbbb, %ebp\nmov $0x0eeeeeee, %esi\nmov $0x0fffffff, %edi\n"
    "mov $0x0ccccccc, %ecx\nmov $0x0ddddddd, %edx\n"
    "cmpl $1, how\nje 2f\n"
    "mov $0x12345678, %eax\nstd\nstc\nud2\njmp 3f\n"
    "2: mov $20, %eax\nint $0x80\nmov %eax, %ebx\nmov $10, %ecx\nmov $37, %eax\nstd\nint $0x80\n"
    "3: mov %eax, after\nmov %ebx, after+4\nmov %ecx, after+8\nmov %edx, after+12\nmov %esi, after+16\n"
    "mov %edi, after+20\nmov %ebp, after+24\nmov %esp, after+28\nmov saved_sp, %esp\n"
    "pushf\npopl after+32\nmov %cs, after+36\nmov %ss, after+40\nmov %ds, after+44\nmov %es, after+48\n"
    "mov %fs, after+52\nmov %gs, after+56\npush $0x202\npopf\n"
    "mov $-1, %eax\nmov $-1, %edx\nxsave xafter\nfninit\n"
    "pop %edi\npop %esi\npop %ebp\npop %ebx\nret\n");

void on_signal(void);
asm("on_signal:\n"
    "mov %eax, entry\nmov %edx, entry+4\nmov %ecx, entry+8\nmov %esp, entry+12\npushf\npopl entry+16\n"
    "mov %cs, entry+20\nmov %ss, entry+24\nmov %ds, entry+28\nmov %es, entry+32\n"
    "mov $-1, %eax\nmov $-1, %edx\nxsave xentry\n"
    "call handle\nret\n");

void restorer(void);
asm("restorer: pop %eax\nmov $119, %eax\nint $0x80\n");
void rt_restorer(void);
asm("rt_restorer: mov $173, %eax\nint $0x80\n");

static char **changes;
static int rt;

static u32 number(char **p) {
	u32 v = 0, base = 10;
	char *s = *p;
	if (s[0] == '0' && s[1] == 'x')
		base = 16, s += 2;
	for (;; s++) {
		u32 d = *s >= '0' && *s <= '9' ? *s - '0' : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10 : 99;
		if (d >= base)
			break;
		v = v * base + d;
	}
	*p = s;
	return v;
}

void handle(void) {
	char *frame = (char *)entry[3];
	char *sc = frame + (rt ? 16 + 128 + 20 : 8);
	char *fp = *(char **)(sc + 76);
	u32 *sw = (u32 *)(fp + 112 + 464);
	if (!how)
		*(u32 *)(sc + 56) += 2; // past ud2
	put(&frame, 4);
	put(frame, fp - frame + sw[1]);
	put(entry, sizeof entry);
	put(xentry, sw[4]);
	for (char **c = changes; *c; c++) {
		char *base = frame, *p = *c;
		if (p[0] == 'f' && p[1] == 'p')
			base = fp, p += 2;
		else if (p[0] == 's' && p[1] == 'c')
			base = sc, p += 2;
		u32 at = number(&p);
		p++;
		*(u32 *)(base + at) = number(&p);
	}
}

void start(u32 *sp) {
	static char stack[1 << 16];
	static struct { void *handler; u32 flags; void *restorer; u32 mask[2]; } sa = {on_signal, 0, 0, {0x800, 0}};
	int argc = sp[0];
	char **argv = (char **)(sp + 1);
	int i, custom = 0;
	for (i = 0; i < 128; i++)
		pattern[i] = i + 1;
	for (i = 1; i < argc; i++) {
		struct { void *sp; int flags; u32 size; } ss = {stack, 0, sizeof stack};
		if (argv[i][0] == 'r' && argv[i][1] == 't')
			rt = 1, sa.flags |= 4;
		else if (argv[i][0] == 'r')
			custom = 1;
		else if (argv[i][0] == 'a') {
			sa.flags |= 0x8000000;
			call(186, (u32)&ss, 0, 0, 0);
		} else if (argv[i][0] == 'u')
			how = 1;
		else
			break;
	}
	if (custom) {
		sa.flags |= 0x4000000;
		sa.restorer = rt ? rt_restorer : restorer;
	}
	changes = argv + i;
	call(174, how ? 10 : 4, (u32)&sa, 0, 8);
	u64 mask = 1ull << 14 | 1ull << 39;
	call(175, 2, (u32)&mask, 0, 8);
	trip();
	asm volatile("cld");
	put(after, sizeof after);
	put(xafter, sizeof xafter);
	call(175, 0, 0, (u32)&mask, 8);
	put(&mask, 8);
	quit(0);
}

asm(".globl _start\n_start: mov %esp, %eax\nand $-16, %esp\nsub $12, %esp\npush %eax\ncall start\n");
