// The i386 table of system calls, by int $0x80 from 64-bit code. Most of what it is about is the layout of structs, so what
// the 64-bit call says is often what it is checked against.
// needs: int80
#include "guest.h"
#include <dirent.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/un.h>
#include <sys/utsname.h>

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

static long int80(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r13 asm("r13") = f;
	long r;
	asm volatile("mov %%rbp, %%r12; mov %%r13, %%rbp; int $0x80; mov %%r12, %%rbp"
		     : "=a"(r)
		     : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(r13)
		     : "memory", "cc", "r8", "r9", "r10", "r11", "r12");
	if ((unsigned long)r > -4096ul) {
		errno = -r;
		return -1;
	}
	return r;
}

#define ARG(x) (long)(x)
#define PICK(a, b, c, d, e, f, g, ...) int80(a, ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), ARG(g))
#define I(...) PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

// What lies here a 32-bit pointer reaches.
static char *low;
static size_t used;

static void *lo(size_t n)
{
	if (!low)
		low = must(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	void *p = low + used;
	used += (n + 15) & ~15;
	return memset(p, 0xaa, n);
}

static char *los(const char *s) { return strcpy(lo(strlen(s) + 1), s); }

#define LO(type) ((type *)lo(sizeof(type)))
#define NEW(type, ...) ({ type *p_ = LO(type); *p_ = (type)__VA_ARGS__; p_; })
#define P(p) (u32)(uintptr_t)(p)

struct ts32 { int sec, nsec; };
struct ts64 { int64_t sec; u32 nsec, pad; };
struct iov32 { u32 base, len; };
struct stat32 { u32 dev, ino; u16 mode, nlink, uid, gid; u32 rdev, size, blksize, blocks; struct ts32 a, m, c; u32 x[2]; };
struct stat64_32 { u64 dev; u32 x, ino_; u32 mode, nlink, uid, gid; u64 rdev; u32 y; u64 size; u32 blksize; u64 blocks; struct ts32 a, m, c; u64 ino; } __attribute__((packed));
struct oldstat { u16 dev, ino, mode, nlink, uid, gid, rdev, x; u32 size, a, m, c; };
struct msghdr32 { u32 name; int namelen; u32 iov, iovlen, control, controllen, flags; };
struct flock32 { short type, whence; int start, len, pid; };
struct flock64_32 { short type, whence; int64_t start, len; int pid; } __attribute__((packed));

TEST(stat)
{
	char *f = los("file");
	int fd = must(open(f, O_RDWR | O_CREAT, 0640));
	must(write(fd, "hello", 5));
	must(link("file", "other"));
	struct stat st;
	must(stat(f, &st));
	struct stat32 *s = LO(struct stat32);
	R(I(106, f, s));
	say("size %u mode %o nlink %u uid %u", s->size, s->mode, s->nlink, s->uid);
	T(s->dev == (u32)st.st_dev && s->ino == (u32)st.st_ino && s->blksize == st.st_blksize && s->blocks == st.st_blocks);
	T(s->m.sec == (int)st.st_mtim.tv_sec && s->m.nsec == st.st_mtim.tv_nsec && s->c.sec == (int)st.st_ctim.tv_sec);
	T(s->x[0] == 0 && s->x[1] == 0);
	struct stat64_32 *l = LO(struct stat64_32);
	R(I(195, f, l));
	say("size %lu mode %o nlink %u uid %u", l->size, l->mode, l->nlink, l->uid);
	T(l->dev == st.st_dev && l->ino == st.st_ino && l->ino_ == (u32)st.st_ino && l->blksize == st.st_blksize && l->blocks == st.st_blocks);
	T(l->m.sec == (int)st.st_mtim.tv_sec && l->m.nsec == st.st_mtim.tv_nsec);
	R(I(197, fd, l));
	R(I(108, fd, s));
	must(symlink("file", "sym"));
	char *sym = los("sym");
	R(I(107, sym, s));
	say("%o %u", s->mode, s->size);
	R(I(196, sym, l));
	say("%o %lu", l->mode, l->size);
	R(I(300, AT_FDCWD, sym, l, 0));
	say("%o", l->mode);
	R(I(300, AT_FDCWD, sym, l, AT_SYMLINK_NOFOLLOW));
	say("%o", l->mode);
	R(I(300, fd, los(""), l, AT_EMPTY_PATH));
	R(I(300, AT_FDCWD, sym, l, 0x7777777));
	struct oldstat *o = LO(struct oldstat);
	// Its inode numbers have 16 bits.
	T(st.st_ino < 65536 ? I(18, f, o) == 0 && o->mode == 0100640 && o->size == 5 && o->nlink == 2 : I(18, f, o) == -1 && errno == EOVERFLOW);
	R(I(18, los("none"), o));
	R(I(28, 99, o));
	R(I(106, f, 0));
	R(I(195, f, 0xffffff00));
	must(ftruncate(fd, 5L << 30));
	R(I(106, f, s));
	R(I(108, fd, s));
	R(I(195, f, l));
	say("size %lu", l->size);
	R(I(5, f, O_RDONLY));
	R(I(5, f, O_RDONLY | O_TRUNC | O_DIRECTORY));
	OK(I(5, f, O_RDONLY | 0100000));
	OK(I(295, AT_FDCWD, f, O_RDONLY | 0100000));
	R(I(295, AT_FDCWD, f, O_RDWR));
	int got = must(I(5, sym, O_RDONLY | 0100000));
	say("%#o", fcntl(got, F_GETFL));
	got = must(I(5, los("small"), O_RDONLY | O_CREAT, 0600));
	say("%#o", fcntl(got, F_GETFL));
	got = must(I(8, los("small2"), 0600));
	say("%#o", fcntl(got, F_GETFL));
}

TEST(statfs)
{
	struct { int type, bsize; u32 blocks, bfree, bavail, files, ffree; int fsid[2], namelen, frsize, flags, spare[4]; } *s = lo(64);
	struct { u32 type, bsize; u64 blocks, bfree, bavail, files, ffree; int fsid[2]; u32 namelen, frsize, flags, spare[4]; } __attribute__((packed)) *l = lo(84);
	char *proc = los("/proc");
	struct statfs st;
	must(statfs(proc, &st));
	R(I(99, proc, s));
	T(s->type == (int)st.f_type && s->bsize == st.f_bsize && s->namelen == st.f_namelen && s->frsize == st.f_frsize && s->flags == st.f_flags);
	R(I(268, proc, 84, l));
	T(l->type == st.f_type && l->bsize == st.f_bsize && l->namelen == st.f_namelen && l->frsize == st.f_frsize && l->flags == st.f_flags);
	R(I(268, proc, 88, l));
	R(I(268, proc, 0, l));
	int fd = must(open(proc, O_RDONLY));
	R(I(100, fd, s));
	R(I(269, fd, 84, l));
	R(I(269, fd, 80, l));
	R(I(100, 99, s));
	R(I(62, 0xffff, lo(20)));
}

TEST(offsets)
{
	char *buf = lo(100);
	int fd = must(open("f", O_RDWR | O_CREAT, 0600));
	strcpy(buf, "0123456789");
	R(I(181, fd, buf, 10, 2, 1)); // 4 GiB and 2
	say("size %ld", lseek(fd, 0, SEEK_END));
	R(I(180, fd, buf, 3, 5, 1));
	say("%.3s", buf);
	R(I(180, fd, buf, 3, 0, -1));
	R(I(180, fd, buf, 3, -1, -1));
	int64_t *res = LO(int64_t);
	R(I(140, fd, 1, 4, res, SEEK_SET));
	say("%ld", *res);
	R(I(3, fd, buf, 2));
	say("%.2s", buf);
	R(I(140, fd, -1, -2, res, SEEK_CUR));
	say("%ld", *res);
	R(I(140, fd, 0, 0, 0, SEEK_CUR));
	R(I(140, fd, 0, 0, res, 77));
	R(I(19, fd, 5, SEEK_SET));
	R(I(19, fd, -2, SEEK_CUR));
	R(I(19, fd, -20, SEEK_CUR));
	R(I(193, los("f"), 7, 1));
	say("size %ld", lseek(fd, 0, SEEK_END));
	R(I(194, fd, 3, 2));
	say("size %ld", lseek(fd, 0, SEEK_END));
	R(I(194, fd, 0, -1));
	R(I(92, los("f"), 100));
	R(I(92, los("f"), -1));
	R(I(93, fd, -1));
	R(I(93, fd, 0x7fffffff));
	say("size %ld", lseek(fd, 0, SEEK_END));
	R(I(324, fd, 0, 1, 1, 5, 0));
	say("size %ld", lseek(fd, 0, SEEK_END));
	R(I(324, fd, 0, 0, -1, 5, 0));
	R(I(272, fd, 0, 1, 4096, 0, POSIX_FADV_NORMAL));
	R(I(272, fd, 0, 0, 0, -1, POSIX_FADV_NORMAL));
	R(I(272, fd, 0, 0, 0, 0, 77));
	R(I(250, fd, 0, 0, 4096, POSIX_FADV_WILLNEED));
	R(I(250, fd, 0, 0, 4096, 77));
	R(I(225, fd, 0, 0, 4096));
	R(I(225, 99, 0, 0, 4096));
	R(I(314, fd, 0, 0, 4096, 0, 2));
	struct iov32 *v = lo(24);
	v[0] = (struct iov32){P(buf), 3};
	v[1] = (struct iov32){P(buf + 50), 4};
	strcpy(buf, "abc");
	strcpy(buf + 50, "defg");
	R(I(334, fd, v, 2, 8, 1));
	memset(buf, 0, 100);
	R(I(333, fd, v, 2, 9, 1));
	say("%s %s", buf, buf + 50);
	R(I(333, fd, v, 2, 0, -1));
	must(lseek(fd, (1L << 32) + 8, SEEK_SET));
	R(I(378, fd, v, 2, -1, -1, 0));
	say("%.3s %.4s", buf, buf + 50);
	R(I(379, fd, v, 1, 0, 0, 0));
	R(I(145, fd, v, -1));
	v[1].len = -5;
	R(I(145, fd, v, 2));
	R(I(146, fd, v, 1025));
	R(I(146, fd, 8, 1));
	v[1].len = 0x7fffffff;
	R(I(146, 99, v, 2));
	int out = must(open("g", O_RDWR | O_CREAT, 0600));
	int *off = NEW(int, 0);
	R(I(187, out, fd, off, 2));
	say("%d", *off);
	*off = -1;
	R(I(187, out, fd, off, 2));
	*off = 0x7fffffff;
	R(I(187, out, fd, off, 2));
	*off = 0x7ffffffe;
	R(I(187, out, fd, off, 2));
	int64_t *off64 = NEW(int64_t, (1L << 32) + 8);
	R(I(239, out, fd, off64, 3));
	say("%ld", *off64 - (1L << 32));
}

TEST(locks)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0600));
	struct flock32 *l = LO(struct flock32);
	struct flock64_32 *w = LO(struct flock64_32);
	*l = (struct flock32){F_WRLCK, SEEK_SET, 10, 5};
	R(I(55, fd, 6, l));
	*w = (struct flock64_32){F_WRLCK, SEEK_SET, 1L << 33, 100};
	R(I(221, fd, 13, w));
	reap("child", CHILD(
		*l = ((struct flock32){F_RDLCK, SEEK_SET, 0, 100});
		R(I(55, fd, 5, l));
		say("%d %d %d %d", l->type, l->whence, l->start, l->len);
		T(l->pid == getppid());
		*l = ((struct flock32){F_RDLCK, SEEK_SET, 100, 0});
		R(I(55, fd, 5, l));
		R(I(221, fd, 6, l));
		*w = ((struct flock64_32){F_RDLCK, SEEK_SET, 100, 0});
		R(I(221, fd, 12, w));
		say("%d %d %ld %ld", w->type, w->whence, w->start, w->len);
		R(I(221, fd, 36, w));
		w->pid = 0;
		R(I(221, fd, 36, w));
		R(I(55, fd, 12, w));
		R(I(55, fd, 36, w));
		R(I(221, fd, 12, 0));
		R(I(221, fd, 5, 0));));
	int p[2];
	must(pipe(p));
	R(I(55, p[0], 3, 0));
	R(I(55, p[0], 4, O_NONBLOCK));
	R(I(221, p[0], 3, 0));
	OK(I(55, p[0], 0, 50));
	R(I(55, p[0], 8, -getpgrp()));
	T(fcntl(p[0], F_GETOWN) == -getpgrp());
	T((int)int80(55, p[0], 9, 0, 0, 0, 0) == -getpgrp());
}

TEST(directories)
{
	must(mkdir("d", 0700));
	must(close(open("d/a-file", O_CREAT | O_WRONLY, 0600)));
	must(mkdir("d/sub", 0700));
	must(symlink("x", "d/link"));
	int fd = must(open("d", O_RDONLY));
	char *buf = lo(4096);
	int seen = 0, n;
	while ((n = I(141, fd, buf, 4096)) > 0)
		for (int at = 0; at < n;) {
			struct { u32 ino, off; u16 len; char name[]; } *e = (void *)(buf + at);
			if (e->len % 4 || buf[at + e->len - 1] == 0)
				say("a bad entry");
			if (!strcmp(e->name, "a-file"))
				seen |= buf[at + e->len - 1] == DT_REG ? 1 : 0x100;
			if (!strcmp(e->name, "sub"))
				seen |= buf[at + e->len - 1] == DT_DIR ? 2 : 0x100;
			if (!strcmp(e->name, "link"))
				seen |= buf[at + e->len - 1] == DT_LNK ? 4 : 0x100;
			at += e->len;
		}
	say("%d %#x", n, seen);
	lseek(fd, 0, SEEK_SET);
	R(I(141, fd, buf, 8));
	R(I(141, fd, 0x10, 4096));
	lseek(fd, 0, SEEK_SET);
	int count = 0;
	struct { u32 ino, off; u16 len; char name[256]; } *o = lo(300);
	while ((n = I(89, fd, o, 1)) == 1) {
		if (o->len != strlen(o->name))
			say("a bad length");
		count++;
	}
	say("%d entries, then %d", count, n);
	R(I(89, 99, o, 1));
	lseek(fd, 0, SEEK_SET);
	T(I(220, fd, buf, 4096) > 0);
	int ino = must(open(".", O_RDONLY));
	R(I(12, los("d")));
	R(I(133, ino));
}

TEST(time)
{
	struct ts32 *t = LO(struct ts32), *rem = LO(struct ts32);
	struct ts64 *w = LO(struct ts64);
	R(I(265, CLOCK_REALTIME, t));
	T(t->sec - (int)time(NULL) <= 0 && t->sec - (int)time(NULL) > -100 && (u32)t->nsec < 1000000000);
	R(I(403, CLOCK_REALTIME, w));
	T(w->sec - time(NULL) <= 0 && w->sec - time(NULL) > -100 && w->nsec < 1000000000 && w->pad == 0);
	R(I(265, 77, t));
	R(I(266, CLOCK_MONOTONIC, t));
	say("%d %d", t->sec, t->nsec);
	R(I(406, CLOCK_MONOTONIC, w));
	say("%ld %u %u", w->sec, w->nsec, w->pad);
	R(I(266, CLOCK_MONOTONIC, 0));
	R(I(265, CLOCK_MONOTONIC, 0));
	*t = (struct ts32){0, 1000};
	R(I(162, t, rem));
	*t = (struct ts32){0, -1};
	R(I(162, t, rem));
	*t = (struct ts32){-1, 0};
	R(I(162, t, rem));
	R(I(162, 0, rem));
	*w = (struct ts64){0, 1000, 0xdeadbeef};
	R(I(407, CLOCK_MONOTONIC, 0, w, 0));
	*w = (struct ts64){0, 1000000000, 0};
	R(I(407, CLOCK_MONOTONIC, 0, w, 0));
	*t = (struct ts32){0, 1};
	R(I(267, CLOCK_MONOTONIC, 0, t, 0));
	R(I(267, CLOCK_MONOTONIC, TIMER_ABSTIME, t, 0));
	struct { int sec, usec; } *tv = lo(8);
	int *tz = lo(8);
	R(I(78, tv, tz));
	T(tv->sec - (int)time(NULL) <= 0 && (u32)tv->usec < 1000000);
	say("%d %d", tz[0], tz[1]);
	R(I(78, 0, 0));
	int *secs = LO(int);
	T((int)I(13, secs) == *secs && *secs - (int)time(NULL) <= 0);
	R(I(13, 1));
	R(I(25, 0));
	struct { int u, s, cu, cs; } *tms = lo(16);
	OK(I(43, tms));
	T((u32)tms->u < 1000 && tms->cu == 0);
	OK(I(43, 0));
	*t = (struct ts32){-1, -1};
	R(I(161, 0, t));
	T(t->sec == 0 && t->nsec > 0);
	R(I(423, 0, w));
	struct { struct ts32 i, v; } *it = lo(16), *was = lo(16);
	it->i = (struct ts32){1000, 1};
	it->v = (struct ts32){2000, 0};
	R(I(104, ITIMER_REAL, it, was));
	say("%d %d", was->v.sec, was->i.sec);
	R(I(105, ITIMER_REAL, was));
	say("%d %d %d", was->v.sec, was->i.sec, was->i.nsec);
	it->v.nsec = 1000000;
	R(I(104, ITIMER_REAL, it, was));
	R(I(27, 0));
	R(I(105, 9, was));
	int *id = LO(int);
	struct { u32 value; int signo, notify, tid; char pad[48]; } *ev = lo(64);
	ev->value = 0x89abcdef;
	ev->signo = SIGUSR1;
	ev->notify = SIGEV_SIGNAL;
	R(I(259, CLOCK_MONOTONIC, ev, id));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	it->i = (struct ts32){0, 0};
	it->v = (struct ts32){0, 1};
	R(I(260, *id, 0, it, 0));
	u64 *m = NEW(u64, 1 << (SIGUSR1 - 1));
	int *info = lo(128);
	R(I(177, m, info, 0, 8));
	say("%d %d %d timer %d overrun %d value %x", info[0], info[1], info[2], info[3], info[4], info[5]);
	R(I(261, *id, was));
	say("%d %d", was->v.sec, was->v.nsec);
	struct { struct ts64 i, v; } *it64 = lo(32);
	it64->i = (struct ts64){0, 0, 7};
	it64->v = (struct ts64){5000000000, 1, 7};
	R(I(409, *id, 0, it64, 0));
	R(I(408, *id, it64));
	say("%ld %u", it64->v.sec, it64->v.pad);
	R(I(262, *id));
	R(I(263, *id));
	R(I(263, *id));
	int tfd = must(I(322, CLOCK_MONOTONIC, 0));
	it->v = (struct ts32){0, 1};
	R(I(325, tfd, 0, it, 0));
	u64 *n = LO(u64);
	R(I(3, tfd, n, 8));
	it64->v.sec = 1L << 33;
	R(I(411, tfd, 0, it64, 0));
	R(I(410, tfd, it64));
	T(it64->v.sec > 1L << 32);
	R(I(326, tfd, it));
	must(close(open("f", O_CREAT | O_WRONLY, 0600)));
	struct stat st;
	char *f = los("f");
	struct ts32 *two = lo(16);
	two[0] = (struct ts32){100, 5};
	two[1] = (struct ts32){-200, 6};
	R(I(320, AT_FDCWD, f, two, 0));
	must(stat(f, &st));
	say("%ld.%ld %ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	struct ts64 *two64 = lo(32);
	two64[0] = (struct ts64){1L << 32, 7, 9};
	two64[1] = (struct ts64){300, UTIME_OMIT, 9};
	R(I(412, AT_FDCWD, f, two64, 0));
	must(stat(f, &st));
	say("%ld.%ld %ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	two[0] = (struct ts32){11, 12};
	two[1] = (struct ts32){13, 14};
	R(I(271, f, two));
	must(stat(f, &st));
	say("%ld.%ld %ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	R(I(30, f, two));
	must(stat(f, &st));
	say("%ld.%ld %ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	R(I(299, AT_FDCWD, f, 0));
	two[0].nsec = 1000000;
	R(I(271, f, two));
}

TEST(polling)
{
	int p[2];
	must(pipe(p));
	must(write(p[1], "x", 1));
	struct ts32 *t = NEW(struct ts32, {0, 0});
	struct ts64 *w = NEW(struct ts64, {0, 0, 5});
	struct pollfd *fds = lo(16);
	fds[0] = (struct pollfd){p[0], POLLIN};
	fds[1] = (struct pollfd){p[1], POLLIN};
	R(I(168, fds, 2, 0));
	say("%d %d", fds[0].revents, fds[1].revents);
	R(I(309, fds, 2, t, 0, 0));
	R(I(414, fds, 2, w, 0, 0));
	u64 *mask = NEW(u64, 0);
	R(I(309, fds, 2, t, mask, 8));
	R(I(309, fds, 2, t, mask, 4));
	w->nsec = 1000000000;
	R(I(414, fds, 2, w, 0, 0));
	// The sets end where 32 bits do: the word behind them stays.
	u32 *in = lo(16), *out = lo(16);
	in[0] = 1 << p[0] | 1 << p[1];
	out[0] = 1 << p[0] | 1 << p[1];
	in[1] = out[1] = 0x12345678;
	struct { int sec, usec; } *tv = lo(8);
	tv->sec = tv->usec = 0;
	R(I(142, 20, in, out, 0, tv));
	T(in[0] == 1 << p[0] && out[0] == 1 << p[1] && in[1] == 0x12345678 && out[1] == 0x12345678);
	in[0] = 1 << p[0];
	u32 *args = lo(20);
	args[0] = 20, args[1] = P(in), args[2] = 0, args[3] = 0, args[4] = P(tv);
	R(I(82, args));
	R(I(82, 8));
	tv->usec = -1;
	in[0] = 1 << p[0];
	R(I(142, 20, in, 0, 0, tv));
	in[0] = 1 << 19;
	R(I(142, 20, in, 0, 0, 0));
	R(I(142, -1, in, 0, 0, 0));
	in[0] = 1 << p[0];
	struct { u32 p, n; } *sig = NEW(typeof(*sig), {P(mask), 8});
	R(I(308, 20, in, 0, 0, t, sig));
	w->nsec = 0;
	R(I(413, 20, in, 0, 0, w, sig));
	sig->n = 4;
	R(I(308, 20, in, 0, 0, t, sig));
	int fd40 = must(dup2(p[0], 40));
	memset(in, 0, 16);
	in[1] = 1 << 8;
	R(I(142, 41, in, 0, 0, 0));
	T(in[0] == 0 && in[1] == 1 << 8);
	int ep = must(I(329, 0));
	struct epoll_event *ev = lo(24);
	*ev = (struct epoll_event){EPOLLIN, {.u64 = 0x1122334455667788}};
	R(I(255, ep, EPOLL_CTL_ADD, p[0], ev));
	memset(ev, 0, 24);
	R(I(256, ep, ev, 2, 0));
	T(ev->events == EPOLLIN && ev->data.u64 == 0x1122334455667788);
	R(I(319, ep, ev, 2, 0, mask, 8));
	R(I(441, ep, ev, 2, w, 0, 0));
	u32 *word = NEW(u32, 5);
	R(I(240, word, FUTEX_WAIT, 4, 0));
	*t = (struct ts32){0, 1000};
	R(I(240, word, FUTEX_WAIT, 5, t));
	t->nsec = -1;
	R(I(240, word, FUTEX_WAIT, 5, t));
	*w = (struct ts64){0, 1000, 77};
	R(I(422, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, w));
	R(I(422, word, FUTEX_WAIT_BITSET, 5, w, 0, 1));
	R(I(240, word, FUTEX_WAKE, 1));
	R(I(240, word, FUTEX_REQUEUE, 1, 1, word, 0));
	u32 *head = lo(12), *ptr = LO(u32), *len = LO(u32);
	R(I(311, head, 24));
	R(I(311, head, 12));
	R(I(312, 0, ptr, len));
	T(*ptr == P(head) && *len == 12);
	void *head64;
	size_t len64;
	must(syscall(SYS_get_robust_list, 0, &head64, &len64));
	T(head64 != head && len64 == 24);
}

TEST(robust)
{
	u32 *shared = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	reap("holder", CHILD(
		u32 *head = shared + 100; u32 *entry = shared + 200;
		head[0] = P(entry); head[1] = 40; head[2] = 0;
		entry[0] = P(head);
		entry[10] = gettid() | FUTEX_WAITERS;
		must(I(311, head, 12))));
	say("%x", shared[210]);
}

TEST(ids)
{
	T(I(24) == getuid() && I(49) == geteuid() && I(47) == getgid() && I(50) == getegid());
	T(I(199) == getuid() && I(201) == geteuid() && I(200) == getgid() && I(202) == getegid());
	T(I(20) == getpid() && I(64) == getppid() && I(224) == gettid());
	if (getuid() != 0)
		return;
	u16 *g = lo(16);
	g[0] = 5, g[1] = 3, g[2] = 0x8000;
	R(I(81, 3, g));
	R(I(80, 0, 0));
	memset(g, 0, 16);
	R(I(80, 8, g));
	say("%u %u %u %u", g[0], g[1], g[2], g[3]);
	R(I(80, 2, g));
	u32 *g32 = lo(16);
	g32[0] = 70000, g32[1] = 1;
	R(I(206, 2, g32));
	R(I(80, 8, g));
	say("%u %u", g[0], g[1]);
	R(I(205, 4, g32));
	say("%u %u", g32[0], g32[1]);
	R(I(206, -1, g32));
	must(close(open("f", O_CREAT | O_WRONLY, 0600)));
	struct stat st;
	R(I(182, los("f"), 12, 0xffff));
	must(stat("f", &st));
	say("%u %u", st.st_uid, st.st_gid);
	R(I(212, los("f"), 100000, 200000));
	must(stat("f", &st));
	say("%u %u", st.st_uid, st.st_gid);
	struct stat32 *s = LO(struct stat32);
	R(I(106, los("f"), s));
	say("%u %u", s->uid, s->gid);
	int fd = must(open("f", O_RDWR));
	R(I(95, fd, 0x1000f, 7));
	must(stat("f", &st));
	say("%u %u", st.st_uid, st.st_gid);
	R(I(207, fd, -1, 70000));
	R(I(198, los("f"), -1, 70001));
	R(I(16, los("f"), 0xffff, 0xffff));
	must(stat("f", &st));
	say("%u %u", st.st_uid, st.st_gid);
	R(I(139, 100));
	R(I(216, 100000));
	R(I(139, 0));
	R(I(204, -1, 70000));
	say("%ld %ld", I(50), I(202));
	R(I(170, 1, 2, 3));
	u16 *r = lo(2), *e = lo(2), *v = lo(2);
	R(I(171, r, e, v));
	say("%u %u %u", *r, *e, *v);
	R(I(210, 70000, -1, -1));
	R(I(171, r, e, v));
	say("%u %u %u", *r, *e, *v);
	R(I(164, 0xffff, 0xffff, 66));
	R(I(165, r, e, v));
	say("%u %u %u", *r, *e, *v);
	R(I(208, 100000, 100000, 100000));
	say("%ld %ld %u", I(24), I(49), getuid());
	R(I(23, 5));
	R(I(81, 1, g));
}

TEST(masks)
{
	u32 *set = NEW(u32, 1 << (SIGUSR1 - 1)), *old = LO(u32);
	u64 *w = NEW(u64, 1ul << 40 | 1 << (SIGUSR2 - 1)), *wold = LO(u64);
	R(I(175, SIG_SETMASK, w, wold, 8));
	say("%lx", *wold);
	R(I(126, SIG_BLOCK, set, old));
	say("%x", *old);
	R(I(175, SIG_BLOCK, 0, wold, 8));
	say("%lx", *wold);
	*set = ~0;
	R(I(126, SIG_SETMASK, set, 0));
	R(I(175, SIG_BLOCK, 0, wold, 8));
	say("%lx", *wold);
	R(I(126, SIG_UNBLOCK, set, old));
	say("%x", *old);
	R(I(126, 7, set, old));
	R(I(175, SIG_BLOCK, w, 0, 4));
	R(I(68));
	R(I(69, 1 << (SIGUSR1 - 1)));
	R(I(68));
	kill(getpid(), SIGUSR1);
	R(I(73, old));
	say("%x", *old);
	R(I(176, wold, 8));
	say("%lx", *wold);
	R(I(176, old, 4));
	R(I(176, old, 9));
	R(I(73, 0));
	// What is queued by one side is read by the other.
	int *info = lo(128);
	memset(info, 0, 128);
	info[2] = SI_QUEUE;
	info[3] = 111;
	info[4] = 222;
	info[5] = 0x87654321;
	R(I(178, getpid(), SIGUSR1, info));
	R(I(335, getpid(), gettid(), SIGUSR1, info));
	info[2] = SI_USER;
	R(I(335, getpid(), getppid(), SIGUSR1, info));
	*w = 1 << (SIGUSR1 - 1);
	struct ts32 *t = NEW(struct ts32, {0, 0});
	memset(info, 0, 128);
	R(I(177, w, info, t, 8));
	say("%d %d %d %d", info[0], info[1], info[2], info[2] == SI_QUEUE ? info[3] : 0);
	*w = 1ul << (SIGRTMIN - 1);
	R(I(175, SIG_BLOCK, w, 0, 8));
	union sigval val = {.sival_ptr = (void *)0x1122334455667788};
	must(sigqueue(getpid(), SIGRTMIN, val));
	struct ts64 *t64 = NEW(struct ts64, {1, 0, 99});
	R(I(421, w, info, t64, 8));
	say("%d %d value %x", info[0], info[2], info[5]);
	T(info[3] == getpid() && info[4] == getuid());
	R(I(177, w, info, t, 8));
	t64->sec = 0;
	R(I(421, w, info, t64, 8));
	t->nsec = -1;
	R(I(177, w, info, t, 8));
	must(sigqueue(getpid(), SIGRTMIN, val));
	int sfd = must(I(327, -1, w, 8, 0));
	char *si = lo(128);
	R(I(3, sfd, si, 128));
	say("%u", *(u32 *)si);
}

TEST(actions)
{
	struct { u32 handler, flags, restorer; u32 mask[2]; } *a = lo(20), *o = lo(20);
	struct { u32 handler, mask, flags, restorer; } *b = lo(16), *c = lo(16);
	*a = (typeof(*a)){0x11110, SA_SIGINFO | 0x02000000 | 0x800000, 0x22220, {5, 6}};
	R(I(174, SIGUSR1, a, o, 8));
	say("%x %x %x %x %x", o->handler, o->flags, o->restorer, o->mask[0], o->mask[1]);
	R(I(174, SIGUSR1, 0, o, 8));
	say("%x %x %x %x %x", o->handler, o->flags, o->restorer, o->mask[0], o->mask[1]);
	R(I(67, SIGUSR1, 0, c));
	say("%x %x %x %x", c->handler, c->mask, c->flags, c->restorer);
	*b = (typeof(*b)){0x33330, 9, SA_RESTART, 0x44440};
	R(I(67, SIGUSR1, b, c));
	R(I(174, SIGUSR1, 0, o, 8));
	say("%x %x %x %x %x", o->handler, o->flags, o->restorer, o->mask[0], o->mask[1]);
	R(I(48, SIGUSR1, 0x55550));
	R(I(174, SIGUSR1, 0, o, 8));
	say("%x %x %x %x %x", o->handler, o->flags, o->restorer, o->mask[0], o->mask[1]);
	R(I(48, SIGUSR1, 0));
	R(I(48, SIGKILL, 0x55550));
	R(I(67, 99, b, c));
	R(I(67, SIGSTOP, b, c));
	R(I(67, SIGUSR1, 8, c));
	R(I(174, SIGUSR1, a, o, 4));
	R(I(174, SIGUSR1, a, 8, 8));
	struct { u32 sp; int flags; u32 size; } *ss = lo(12), *so = lo(12);
	*ss = (typeof(*ss)){0x77770000, 0, 8192};
	R(I(186, ss, so));
	say("%x %d %x", so->sp, so->flags, so->size);
	R(I(186, 0, so));
	say("%x %d %x", so->sp, so->flags, so->size);
	stack_t now;
	must(sigaltstack(NULL, &now));
	T((uintptr_t)now.ss_sp == 0x77770000 && now.ss_size == 8192);
	ss->size = 10;
	R(I(186, ss, so));
	ss->flags = 77;
	R(I(186, ss, so));
	R(I(186, 8, so));
}

TEST(waiting)
{
	struct { int u[2], s[2]; int rest[14]; } *ru = lo(72);
	int *st = LO(int), *info = lo(128);
	pid_t pid = CHILD(_exit(7));
	T(I(7, pid, st, 0) == pid);
	show_status("waitpid", *st);
	pid = CHILD(_exit(8));
	T(I(114, pid, st, 0, ru) == pid);
	show_status("wait4", *st);
	T((u32)ru->u[0] < 100 && (u32)ru->u[1] < 1000000 && ru->rest[0] > 0);
	pid = CHILD(_exit(9));
	R(I(284, P_PID, pid, info, WEXITED | WNOWAIT, ru));
	say("%d %d %d %d", info[0], info[1], info[2], info[5]);
	T(info[3] == pid && info[4] == getuid() && info[6] == 0xaaaaaaaa);
	R(I(284, P_PID, pid, info, WEXITED, 0));
	R(I(284, P_PID, pid, info, WEXITED, 0));
	R(I(7, -1, st, 0));
	R(I(77, RUSAGE_SELF, ru));
	T((u32)ru->u[0] < 1000 && ru->rest[0] > 0);
	R(I(77, 99, ru));
	R(I(77, RUSAGE_SELF, 0));
}

TEST(limits)
{
	must(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}));
	must(setrlimit(RLIMIT_CORE, &(struct rlimit){0x90000000, 0x1000000000}));
	u32 *r = lo(8);
	R(I(191, RLIMIT_FSIZE, r));
	say("%x %x", r[0], r[1]);
	R(I(191, RLIMIT_CORE, r));
	say("%x %x", r[0], r[1]);
	R(I(76, RLIMIT_CORE, r));
	say("%x %x", r[0], r[1]);
	R(I(76, RLIMIT_FSIZE, r));
	say("%x %x", r[0], r[1]);
	r[0] = 5, r[1] = -1;
	R(I(75, RLIMIT_CORE, r));
	r[0] = 5, r[1] = 77;
	R(I(75, RLIMIT_CORE, r));
	struct rlimit l;
	must(getrlimit(RLIMIT_CORE, &l));
	say("%lu %lu", l.rlim_cur, l.rlim_max);
	R(I(75, 99, r));
	R(I(191, 99, r));
	struct { u64 cur, max; } *w = lo(16);
	R(I(340, 0, RLIMIT_FSIZE, 0, w));
	T(w->cur == RLIM_INFINITY);
	struct { int up; u32 load[3], total, free, shared, buffer, tswap, fswap; u16 procs, pad; u32 thigh, fhigh, unit; char x[8]; } *si = lo(64);
	struct sysinfo s;
	must(sysinfo(&s));
	R(I(116, si));
	T((u64)si->total * si->unit >> 12 == s.totalram * s.mem_unit >> 12);
	T(abs(si->up - (int)s.uptime) < 60 && si->procs > 0);
	u32 *mask = lo(128);
	memset(mask, 0, 128);
	T(I(242, 0, 128, mask) > 0 && mask[0] & 1);
	T(I(242, 0, 4, mask) == 4);
	R(I(242, 0, 3, mask));
	R(I(242, 0, 0, mask));
	R(I(241, 0, 4, mask));
	R(I(34, 3));
	R(I(96, PRIO_PROCESS, 0));
	R(I(34, 100));
	R(I(96, PRIO_PROCESS, 0));
}

TEST(names)
{
	struct utsname u;
	uname(&u);
	char *n = lo(400), *o = lo(400);
	R(I(122, n));
	T(!memcmp(n, &u, sizeof u));
	R(I(109, o));
	T(!memcmp(o, &u, 325));
	R(I(59, o));
	T(!strncmp(o, "Linux", 9) && !strncmp(o + 18, u.release, 8) && o[26] == 0 && !strncmp(o + 36, u.machine, 8));
	say("%.9s", o + 36);
	R(I(59, 0));
	R(I(109, 0));
	R(I(136, 8));
	R(I(122, n));
	say("%s", n + 65 * 4);
	R(I(109, o));
	say("%s", o + 65 * 4);
	R(I(136, 0));
	R(I(384, 0x1002, 0));
	R(I(384, 0x1003, n));
	R(I(166, 0, 0));
	R(I(113, 0));
	R(I(17));
	R(I(222));
	R(I(999));
	R(I(-1));
	R(I(0x40000001));
	T(I(183, n, 400) == strlen(n) + 1);
	R(I(85, los("/proc/self/cwd"), n, 0));
}

TEST(memory)
{
	u32 *args = lo(24);
	args[0] = 0, args[1] = 8192, args[2] = 3, args[3] = MAP_PRIVATE | MAP_ANONYMOUS, args[4] = -1, args[5] = 0;
	u64 a = I(90, args);
	T(a < 1ul << 32 && a != 0);
	*(char *)a = 5;
	u64 b = I(192, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T(b < 1ul << 32 && b != a);
	int fd = must(open("f", O_RDWR | O_CREAT, 0600));
	must(ftruncate(fd, 5L << 30));
	must(pwrite(fd, "far", 3, 5L << 30));
	char *far = (void *)I(192, 0, 4096, PROT_READ, MAP_SHARED, fd, (5 << 30 >> 12) + (4 << 18));
	u64 pages = (5L << 30) >> 12;
	far = (void *)I(192, 0, 4096, PROT_READ, MAP_SHARED, fd, pages);
	say("%.3s", far);
	args[3] = MAP_SHARED, args[4] = fd, args[5] = 1;
	R(I(90, args));
	R(I(90, 8));
	R(I(192, 0, 0, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	R(I(192, 0x1000000, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | 0x100000, 99, 7) == 0x1000000);
	R(I(125, a, 4096, PROT_READ));
	R(I(91, a, 8192));
	R(I(91, 1, 8192));
	unsigned char *vec = lo(16);
	R(I(218, b, 4096, vec));
	R(I(219, b, 4096, MADV_DONTNEED));
	R(I(144, b, 4096, MS_SYNC));
	struct iov32 *l = lo(8), *r = lo(8);
	char *x = los("from here"), *y = lo(20);
	*l = (struct iov32){P(y), 9};
	*r = (struct iov32){P(x), 9};
	R(I(347, getpid(), l, 1, r, 1, 0));
	say("%.9s", y);
	*l = (struct iov32){P(los("TO")), 2};
	R(I(348, getpid(), l, 1, r, 1, 0));
	say("%.9s", x);
	int p[2];
	must(pipe(p));
	*r = (struct iov32){P(x), 4};
	R(I(316, p[1], r, 1, 0));
	R(I(3, p[0], y, 10));
}

TEST(sockets)
{
	u32 *a = lo(40);
	int *sv = lo(8);
	a[0] = AF_UNIX, a[1] = SOCK_DGRAM, a[2] = 0, a[3] = P(sv);
	R(I(102, 8, a));
	char *buf = lo(64), *cbuf = lo(256);
	struct iov32 *v = lo(16);
	v[0] = (struct iov32){P(los("hel")), 3};
	v[1] = (struct iov32){P(los("lo")), 2};
	u32 *c = (u32 *)cbuf;
	memset(cbuf, 0, 256);
	c[0] = 16, c[1] = SOL_SOCKET, c[2] = SCM_RIGHTS, c[3] = 1;
	struct msghdr32 *m = NEW(struct msghdr32, {0, 0, P(v), 2, P(cbuf), 16, 0});
	int one = 1;
	must(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &one, 4));
	R(I(370, sv[0], m, 0));
	c[3] = 2;
	a[0] = sv[0], a[1] = P(m), a[2] = 0;
	R(I(102, 16, a));
	v[0] = (struct iov32){P(buf), 64};
	*m = (struct msghdr32){0, 7, P(v), 1, P(cbuf), 256, 9};
	memset(cbuf, 0xaa, 256);
	R(I(372, sv[1], m, 0));
	say("%.5s controllen %u flags %x namelen %d", buf, m->controllen, m->flags, m->namelen);
	say("creds %u %d %d, rights %u %d %d", c[0], c[1], c[2], c[6], c[7], c[8]);
	T(c[3] == getpid() && c[4] == getuid() && fcntl(c[9], F_GETFD) == 0);
	*m = (struct msghdr32){0, 0, P(v), 1, P(cbuf), 30, 0};
	a[0] = sv[1], a[1] = P(m), a[2] = 0;
	R(I(102, 17, a));
	say("controllen %u flags %x", m->controllen, m->flags);
	must(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &(int){0}, 4));
	must(setsockopt(sv[1], SOL_SOCKET, SO_TIMESTAMP, &one, 4));
	a[0] = sv[0], a[1] = P(los("x")), a[2] = 1, a[3] = 0;
	R(I(102, 9, a));
	*m = (struct msghdr32){0, 0, P(v), 1, P(cbuf), 256, 0};
	R(I(372, sv[1], m, 0));
	say("controllen %u: %u %d %d", m->controllen, c[0], c[1], c[2]);
	T(abs((int)c[3] - (int)time(NULL)) < 100 && c[4] < 1000000);
	R(I(372, sv[1], m, MSG_DONTWAIT));
	R(I(372, sv[1], 8, MSG_DONTWAIT));
	c[0] = 11, c[1] = SOL_SOCKET, c[2] = SCM_RIGHTS;
	*m = (struct msghdr32){0, 0, P(v), 1, P(cbuf), 12, 0};
	R(I(370, sv[0], m, 0));
	m->iovlen = 2000;
	R(I(370, sv[0], m, 0));
	R(I(102, 0, a));
	R(I(102, 21, a));
	R(I(102, 1, 8));
	a[0] = 99, a[1] = 0, a[2] = 0;
	R(I(102, 5, a));
	int *tv = lo(8), *len = NEW(int, 8);
	tv[0] = 3, tv[1] = 4000;
	R(I(366, sv[0], SOL_SOCKET, SO_RCVTIMEO, tv, 8));
	R(I(366, sv[0], SOL_SOCKET, SO_RCVTIMEO, tv, 7));
	struct timeval got;
	socklen_t n = sizeof got;
	must(getsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &got, &n));
	say("%ld %ld", got.tv_sec, got.tv_usec);
	memset(tv, 0, 8);
	R(I(365, sv[0], SOL_SOCKET, SO_RCVTIMEO, tv, len));
	say("%d %d %d", tv[0], tv[1], *len);
	int64_t *tv64 = lo(16);
	tv64[0] = 5, tv64[1] = 8000;
	R(I(366, sv[0], SOL_SOCKET, 67, tv64, 16)); // SO_SNDTIMEO_NEW
	memset(tv64, 0, 16);
	*len = 16;
	R(I(365, sv[0], SOL_SOCKET, 67, tv64, len));
	say("%ld %ld %d", tv64[0], tv64[1], *len);
	*len = 4;
	R(I(365, sv[0], SOL_SOCKET, SO_TYPE, buf, len));
	say("%d %d", *(int *)buf, *len);
	struct { struct msghdr32 h; u32 len; } *mm = lo(64);
	v[0].len = 1;
	mm[0].h = mm[1].h = (struct msghdr32){0, 0, P(v), 1, 0, 0, 0};
	R(I(345, sv[0], mm, 2, 0));
	say("%u %u", mm[0].len, mm[1].len);
	struct ts32 *t = NEW(struct ts32, {1, 0});
	struct ts64 *t64 = NEW(struct ts64, {1, 0, 4});
	R(I(337, sv[1], mm, 1, 0, t));
	R(I(417, sv[1], mm, 2, MSG_DONTWAIT, t64));
	t->nsec = -1;
	R(I(337, sv[1], mm, 1, 0, t));
	int s = must(I(359, AF_UNIX, SOCK_STREAM, 0));
	struct sockaddr_un *sun = NEW(struct sockaddr_un, {AF_UNIX, "sock"});
	R(I(361, s, sun, 7));
	R(I(363, s, 1));
	int cl = must(I(359, AF_UNIX, SOCK_STREAM, 0));
	R(I(362, cl, sun, 7));
	*len = 110;
	OK(I(364, s, sun, len, 0));
	R(I(367, s, sun, (*len = 110, len)));
	say("%d %s", *len, sun->sun_path);
	R(I(373, cl, SHUT_RDWR));
	a[0] = cl, a[1] = P(buf), a[2] = 10, a[3] = 0;
	R(I(102, 10, a));
}

TEST(ipc)
{
	struct perm { int key; u32 uid, gid, cuid, cgid, mode; u16 seq, pad; u32 x[2]; };
	struct oldperm { int key; u16 uid, gid, cuid, cgid, mode, seq; };
	int id = must(I(117, 2, IPC_PRIVATE, 3, 0600));
	u32 *arg = LO(u32);
	*arg = 42;
	R(I(117, 3, id, 1, SETVAL, arg));
	R(I(117, 3, id, 1, GETVAL, arg));
	R(I(117, 3, id, 1, GETVAL, 0));
	R(I(394, id, 1, GETVAL, 0));
	struct { struct perm p; u32 otime, oh, ctime, ch, nsems, x[2]; } *sd = lo(80);
	*arg = P(sd);
	R(I(394, id, 0, IPC_STAT, sd));
	say("%u %o %u", sd->nsems, sd->p.mode, sd->otime);
	T(labs(sd->ctime - time(NULL)) < 100 && sd->ch == 0 && sd->p.uid == getuid());
	memset(sd, 0, 64);
	R(I(117, 3, id, 0, IPC_STAT | 0x100, arg));
	say("%u %o", sd->nsems, sd->p.mode);
	struct { struct oldperm p; int otime, ctime; u32 x[4]; u16 nsems; } *od = lo(64);
	*arg = P(od);
	R(I(117, 3, id, 0, IPC_STAT, arg));
	say("%u %o", od->nsems, od->p.mode);
	sd->p.mode = 0640;
	*arg = P(sd);
	R(I(117, 3, id, 0, IPC_SET | 0x100, arg));
	u16 *all = lo(6);
	*arg = P(all);
	R(I(117, 3, id, 0, GETALL, arg));
	say("%u %u %u", all[0], all[1], all[2]);
	struct sembuf *op = NEW(struct sembuf, {1, -40, 0});
	R(I(117, 1, id, 1, 0, op));
	op->sem_op = -40;
	op->sem_flg = IPC_NOWAIT;
	R(I(117, 1, id, 1, 0, op));
	op->sem_flg = 0;
	struct ts32 *t = NEW(struct ts32, {0, 1000});
	R(I(117, 4, id, 1, 0, op, t));
	struct ts64 *t64 = NEW(struct ts64, {0, 1000, 1});
	R(I(420, id, op, 1, t64));
	R(I(117, 3, id, 0, IPC_RMID, arg));

	id = must(I(399, IPC_PRIVATE, 0600));
	struct { int type; char text[16]; } *m = lo(20);
	m->type = 5;
	strcpy(m->text, "message");
	R(I(400, id, m, 8, 0));
	m->type = 6;
	R(I(117, 11, id, 8, 0, m));
	m->type = -1;
	R(I(400, id, m, 8, 0));
	struct { struct perm p; u32 st, sh, rt, rh, ct, ch, cbytes, qnum, qbytes; int ls, lr; u32 x[2]; } *md = lo(96);
	R(I(402, id, IPC_STAT, md));
	say("%u %u %u %u", md->cbytes, md->qnum, md->qbytes, md->rt);
	T(md->ls == getpid() && md->lr == 0 && md->sh == 0);
	struct { struct oldperm p; u32 x[2]; int st, rt, ct; u32 lc, lq; u16 cb, qn, qb, ls, lr; } *om = lo(64);
	R(I(117, 14, id, IPC_STAT, 0, om));
	say("%u %u %u %u %u", om->lc, om->lq, om->cb, om->qn, om->qb);
	R(I(401, id, m, 16, -6, 0));
	say("%d %s", m->type, m->text);
	struct { u32 p; int type; } *k = NEW(typeof(*k), {P(m), 6});
	R(I(117, 12, id, 16, 0, k));
	say("%d %s", m->type, m->text);
	R(I(117, 1 << 16 | 12, id, 16, IPC_NOWAIT, m, 0));
	R(I(117, 12, id, -1, 0, k));
	R(I(402, id, IPC_RMID, 0));

	id = must(I(395, IPC_PRIVATE, 8192, 0600));
	u32 *at = LO(u32);
	R(I(117, 21, id, 0, at, 0));
	T(*at != 0);
	strcpy((char *)(uintptr_t)*at, "shared");
	u64 second = I(397, id, 0, SHM_RDONLY);
	T(second < 1ul << 32);
	say("%s", (char *)second);
	struct { struct perm p; u32 segsz, at, ah, dt, dh, ct, ch; int cpid, lpid; u32 nattch, x[2]; } *hd = lo(96);
	R(I(396, id, IPC_STAT, hd));
	say("%u %u", hd->segsz, hd->nattch);
	T(hd->cpid == getpid() && hd->ah == 0);
	struct { struct oldperm p; int segsz, at, dt, ct; u16 cpid, lpid, nattch; } *oh = lo(64);
	R(I(117, 24, id, IPC_STAT, 0, oh));
	say("%d %u", oh->segsz, oh->nattch);
	u32 *info = lo(64);
	T(I(396, 0, 3, info) >= 0 && info[1] == 1 && info[2] == 4096);
	R(I(398, *at));
	R(I(117, 22, 0, 0, 0, second));
	R(I(398, *at));
	R(I(117, 24, id, IPC_RMID, 0, 0));
	R(I(117, 1 << 16 | 21, id, 0, at, 0));
	R(I(117, 99, 0, 0, 0, 0));
}

TEST(processes)
{
	int *tid = LO(int);
	*tid = 0;
	// fork by clone: the child's number goes where the fifth argument of i386 says.
	long pid = must(I(120, 0x01000000 | SIGCHLD, 0, 0, 0, tid)); // CLONE_CHILD_SETTID
	if (pid == 0)
		_exit(*tid == getpid() ? 3 : 4);
	reap("clone", pid);
	T(*tid == 0);
	pid = must(I(120, 0x00100000 | SIGCHLD, 0, tid, 0, 0)); // CLONE_PARENT_SETTID
	if (pid == 0)
		_exit(5);
	T(*tid == pid);
	reap("clone", pid);
	pid = must(I(2));
	if (pid == 0) {
		u32 *argv = lo(16), *envp = lo(8);
		argv[0] = P(los("sh"));
		argv[1] = P(los("-c"));
		argv[2] = P(los("echo $X; exit 6"));
		argv[3] = 0;
		envp[0] = P(los("X=from the environment"));
		envp[1] = 0;
		I(11, los("/bin/sh"), argv, envp);
		_exit(99);
	}
	reap("execve", pid);
	u32 *bad = lo(16);
	bad[0] = 8;
	R(I(11, los("/bin/sh"), bad, 0));
	R(I(11, los("/bin/sh"), 8, 0));
	R(I(11, los("/none"), bad, 0));
	R(I(11, 0, 0, 0));
	bad[0] = 0;
	R(I(358, AT_FDCWD, los("none"), bad, bad, 0));
}

TEST(requests)
{
	int s = must(socket(AF_INET, SOCK_DGRAM, 0));
	// What is behind the structs stays.
	char *r = lo(48);
	memset(r, 0, 32);
	strcpy(r, "lo");
	R(I(54, s, 0x8913, r)); // SIOCGIFFLAGS
	T(*(short *)(r + 16) & 1);
	R(I(54, s, 0x8915, r)); // SIOCGIFADDR
	say("%d %d.%d.%d.%d %x", *(short *)(r + 16), r[20], r[21], r[22], r[23], (unsigned char)r[32]);
	R(I(54, s, 0x8933, r)); // SIOCGIFINDEX
	say("%d", *(int *)(r + 16));
	R(I(54, s, 0x8910, r)); // SIOCGIFNAME
	say("%s %x", r, (unsigned char)r[32]);
	strcpy(r, "none");
	R(I(54, s, 0x8913, r));
	R(I(54, s, 0x8913, 8));
	char *list = lo(128);
	struct { int len; u32 buf; } *c = NEW(typeof(*c), {128, P(list)});
	R(I(54, s, 0x8912, c)); // SIOCGIFCONF
	bool found = false;
	for (int at = 0; at < c->len; at += 32)
		found |= !strcmp(list + at, "lo") && list[at + 20] == 127;
	T(c->len >= 32 && c->len % 32 == 0 && found && (unsigned char)list[c->len] == 0xaa);
	c->len = 31;
	R(I(54, s, 0x8912, c));
	say("%d", c->len);
	int p[2], *n = LO(int);
	must(pipe(p));
	must(write(p[1], "123", 3));
	R(I(54, p[0], 0x541b, n));
	say("%d", *n);
	*n = 1;
	R(I(54, p[0], 0x5421, n));
	R(I(3, p[0], n, 0));
	R(I(54, p[0], 0x5401, lo(60)));
}
