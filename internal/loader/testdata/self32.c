// The same as self.c for i386, without a C library.
typedef unsigned u32;
typedef unsigned long long u64;

char bss[300000];
char data[5000] = {1};

static int call(int nr, u32 a, u32 b, u32 c) {
	int r;
	asm volatile("int $0x80" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

static void put(const void *p, u32 n) {
	u64 le = n;
	const char *q = p;
	call(4, 1, (u32)&le, 8);
	while (n) {
		int k = call(4, 1, (u32)q, n);
		if (k <= 0)
			call(1, 1, 0, 0);
		q += k;
		n -= k;
	}
}

static u32 hex(const char **p) {
	u32 v = 0;
	for (;; ++*p) {
		char c = **p;
		if (c >= '0' && c <= '9')
			v = v * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + c - 'a' + 10;
		else
			return v;
	}
}

static char maps[1 << 16];

void start(u32 sp) {
	int fd = call(5, (u32)"/proc/self/maps", 0, 0), n = 0, k;
	while ((k = call(3, fd, (u32)maps + n, sizeof maps - 1 - n)) > 0)
		n += k;
	put(maps, n);
	u32 lo = 0, hi = 0;
	for (const char *p = maps; *p; p++) {
		lo = hex(&p);
		p++;
		hi = hex(&p);
		if (lo <= sp && sp < hi)
			break;
		while (*p != '\n')
			p++;
	}
	u64 at = sp;
	put(&at, 8);
	put((void *)sp, hi - sp);
	fd = call(5, (u32)"/proc/self/stat", 0, 0);
	n = call(3, fd, (u32)maps, sizeof maps);
	put(maps, n);
	call(1, bss[k] + data[4999], 0, 0);
}

asm(".globl _start\n_start: mov %esp, %eax\nand $-16, %esp\nsub $12, %esp\npush %eax\ncall start\n");
