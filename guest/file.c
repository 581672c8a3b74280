// Files and directories.
#include "guest.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <linux/openat2.h>
#include <poll.h>
#include <utime.h>

static char buf[70000];

static int make(const char *name, const char *data)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
	if (write(fd, data, strlen(data)) != (ssize_t)strlen(data))
		die("write");
	return fd;
}

static void shape(const char *name)
{
	struct stat st;
	if (lstat(name, &st) == -1)
		say("%s: %s", name, errname(errno));
	else
		say("%s: mode %o links %d size %ld uid %d gid %d", name, st.st_mode, S_ISDIR(st.st_mode) ? 0 : (int)st.st_nlink, S_ISDIR(st.st_mode) ? 0L : (long)st.st_size, st.st_uid, st.st_gid);
}

static int cmp(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *dir)
{
	DIR *d = opendir(dir);
	if (!d) {
		say("%s: %s", dir, errname(errno));
		return;
	}
	char *names[2000];
	int n = 0;
	for (struct dirent *e; (e = readdir(d)) && n < 2000;)
		asprintf(&names[n++], "%s/%d", e->d_name, e->d_type);
	closedir(d);
	qsort(names, n, sizeof *names, cmp);
	char line[3000] = "";
	for (int i = 0; i < n && i < 40; i++)
		strcat(strcat(line, " "), names[i]);
	say("%s has %d:%s", dir, n, line);
}

TEST(open_flags)
{
	int fd = OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0640));
	R(open("f", O_CREAT | O_EXCL | O_RDWR, 0640));
	R(write(fd, "hello", 5));
	OK(open("f", O_RDWR | O_TRUNC));
	shape("f");
	int a = must(open("f", O_WRONLY | O_APPEND));
	R(write(a, "abc", 3));
	R(pwrite(a, "def", 3, 0)); // appends all the same
	R(lseek(a, 0, SEEK_CUR));
	R(read(a, buf, 1));
	R(fcntl(a, F_GETFL) & (O_ACCMODE | O_APPEND));
	R(fcntl(a, F_SETFL, O_NONBLOCK));
	R(fcntl(a, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	mkdir("d", 0755);
	symlink("f", "l");
	symlink("gone", "dangling");
	symlink("loop", "loop");
	R(open("d", O_RDWR));
	R(open("d", O_RDONLY | O_CREAT, 0644));
	R(open("f", O_RDONLY | O_DIRECTORY));
	R(open("f/x", O_RDONLY));
	R(open("f/", O_RDONLY));
	R(open("new/", O_CREAT | O_RDWR, 0644));
	R(open("l", O_RDONLY | O_NOFOLLOW));
	OK(open("l", O_PATH | O_NOFOLLOW));
	R(open("dangling", O_RDONLY));
	R(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
	OK(open("dangling", O_CREAT | O_RDWR, 0644));
	shape("gone");
	R(open("loop", O_RDONLY));
	R(open("", O_RDONLY));
	R(open("none/f", O_CREAT | O_RDWR, 0644));
	memset(buf, 'n', 300);
	buf[300] = 0;
	R(open(buf, O_CREAT | O_RDWR, 0644) == -1 ? errno == ENAMETOOLONG : 0);
	memset(buf, '/', 5000);
	buf[5000] = 0;
	R(open(buf, O_RDONLY) == -1 ? errno == ENAMETOOLONG : 0);
	int p = must(open("f", O_PATH));
	R(read(p, buf, 1));
	R(fchmod(p, 0600));
	R(fstat(p, &(struct stat){0}));
	R(openat(p, "x", O_RDONLY));
	R(openat(fd, "x", O_RDONLY));
	R(openat(999, "x", O_RDONLY));
	OK(openat(999, "/etc/passwd", O_RDONLY));
	OK(creat("c", 0400));
	R(open("/dev/full", O_WRONLY) >= 0);
}

TEST(tmpfile_and_unlinked)
{
	int fd = OK(open(".", O_TMPFILE | O_RDWR, 0600));
	struct stat st;
	fstat(fd, &st);
	say("links %d", (int)st.st_nlink);
	write(fd, "tmp", 3);
	char path[50];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	R(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
	shape("linked");
	R(open("f", O_TMPFILE | O_RDWR, 0600));
	R(open(".", O_TMPFILE | O_RDONLY, 0600));
	fd = make("u", "unlinked");
	R(unlink("u"));
	fstat(fd, &st);
	say("links %d", (int)st.st_nlink);
	R(pread(fd, buf, 100, 0));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int n = readlink(path, buf, sizeof buf);
	say("%s", n > 10 ? (buf[n] = 0, strrchr(buf, '/')) : "?");
	int again = OK(open(path, O_RDONLY));
	R(read(again, buf, 3));
}

TEST(offsets_and_vectors)
{
	int fd = make("f", "0123456789");
	R(lseek(fd, 0, SEEK_CUR));
	R(lseek(fd, -3, SEEK_END));
	R(lseek(fd, -1, SEEK_SET));
	R(lseek(fd, 100, SEEK_SET));
	R(read(fd, buf, 10));
	R(lseek(fd, 0, 99));
	R(write(fd, "end", 3));
	shape("f");
	struct iovec v[3] = {{buf, 4}, {buf + 10, 0}, {buf + 20, 100}};
	R(preadv(fd, v, 3, 2));
	say("%.4s %.4s", buf, buf + 20);
	lseek(fd, 0, SEEK_SET);
	R(writev(fd, (struct iovec[]){{"ab", 2}, {"cd", 2}}, 2));
	R(pwritev2(fd, (struct iovec[]){{"zz", 2}}, 1, -1, RWF_APPEND));
	shape("f");
	R(readv(fd, v, 0));
	R(readv(fd, v, -1));
	R(readv(fd, v, 1025));
	v[0].iov_len = -1;
	R(readv(fd, v, 1));
	R(pread(fd, buf, 1, -1));
	R(pwrite(fd, buf, 1, -1));
	R(preadv2(fd, v + 2, 1, 0, 0x100000));
	int d = dup(fd);
	lseek(fd, 7, SEEK_SET);
	R(lseek(d, 0, SEEK_CUR)); // one description
	int e = open("f", O_RDONLY);
	R(lseek(e, 0, SEEK_CUR));
	pid_t c = CHILD(lseek(fd, 42, SEEK_SET));
	reap("c", c);
	R(lseek(fd, 0, SEEK_CUR));
}

TEST(holes)
{
	int fd = make("f", "");
	must(ftruncate(fd, 1 << 20));
	pwrite(fd, "x", 1, 512 << 10);
	struct stat st;
	fstat(fd, &st);
	say("sparse %d", st.st_blocks * 512 < 1 << 19);
	R(lseek(fd, 0, SEEK_DATA) <= 512 << 10);
	R(lseek(fd, 512 << 10, SEEK_DATA));
	T(lseek(fd, 512 << 10, SEEK_HOLE) > 512 << 10);
	R(lseek(fd, 1 << 20, SEEK_DATA));
	R(lseek(fd, 600 << 10, SEEK_DATA));
	R(fallocate(fd, 0, 0, 2 << 20));
	shape("f");
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 512 << 10, 4096));
	R(pread(fd, buf, 1, 512 << 10));
	say("%d", buf[0]);
	R(fallocate(fd, 0, -1, 10));
	R(fallocate(fd, 0, 0, 0));
	R(posix_fallocate(fd, 0, 3 << 20));
	R(ftruncate(fd, -1));
	R(truncate("f", 10));
	R(truncate("nope", 10));
	R(truncate(".", 10));
	int ro = open("f", O_RDONLY);
	R(ftruncate(ro, 1));
	R(fallocate(ro, 0, 0, 10));
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000});
	signal(SIGXFSZ, SIG_IGN);
	R(ftruncate(fd, 2000));
	memset(buf, 'x', 3000);
	R(pwrite(fd, buf, 3000, 0));
	R(pwrite(fd, buf, 1, 1000));
}

TEST(descriptors)
{
	int fd = make("f", "x");
	R(dup2(fd, 100));
	R(dup2(100, 100));
	R(dup2(999, 101));
	R(dup3(fd, fd, 0));
	R(dup3(fd, 102, O_CLOEXEC));
	R(fcntl(102, F_GETFD));
	R(fcntl(fd, F_DUPFD, 200));
	R(fcntl(fd, F_DUPFD, -1));
	R(fcntl(fd, F_DUPFD, 1 << 30));
	R(fcntl(fd, F_SETFD, FD_CLOEXEC));
	R(fcntl(fd, F_GETFD));
	R(fcntl(fd, 9999));
	R(syscall(SYS_close_range, 100, 110, 0));
	R(fcntl(100, F_GETFD));
	R(syscall(SYS_close_range, 200, 300, 4)); // CLOEXEC
	R(fcntl(200, F_GETFD));
	R(syscall(SYS_close_range, 10, 5, 0));
	R(close(200));
	R(close(200));
	R(ioctl(fd, FIOCLEX));
	R(ioctl(fd, TCGETS, buf));
	R(ioctl(fd, FIONREAD, buf));
	say("%d", *(int *)buf);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 20});
	int n = 0;
	while (dup(fd) >= 0)
		n++;
	int e = errno;
	say("then %s, highest %d", errname(e), fcntl(19, F_GETFD) >= 0 && fcntl(20, F_GETFD) == -1);
	R(dup2(fd, 20));
	R(fcntl(fd, F_DUPFD, 20));
}

TEST(links)
{
	close(make("f", "data"));
	R(link("f", "h"));
	R(link("f", "h"));
	R(link("nope", "x"));
	R(link(".", "x"));
	R(symlink("f", "s"));
	R(symlink("f", "s"));
	R(symlink("", "e"));
	R(link("s", "hs"));
	shape("hs");
	R(linkat(AT_FDCWD, "s", AT_FDCWD, "hf", AT_SYMLINK_FOLLOW));
	shape("f");
	R(readlink("s", buf, 100));
	R(readlink("s", buf, 0));
	R(readlink("f", buf, 10));
	symlink("0123456789", "long");
	R(readlink("long", buf, 4));
	R(unlink("f"));
	shape("h");
	R(open("s", O_RDONLY));
	R(unlink("f"));
	R(unlink("."));
	mkdir("d", 0755);
	R(unlink("d"));
	R(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	R(rmdir("h"));
	R(unlink("h/"));
	R(unlinkat(AT_FDCWD, "h", 0x4000));
	mkdir("a", 0755);
	symlink("a", "la");
	R(rmdir("la"));
	R(rmdir("la/"));
	R(mkdir("la/in", 0755));
	shape("a/in");
	R(rmdir("a"));
	R(rmdir("a/in/."));
	R(rmdir("a/in/.."));
	char path[1000] = "";
	for (int i = 0; i < 45; i++) {
		char from[20], to[20];
		snprintf(from, 20, "n%d", i);
		snprintf(to, 20, i ? "n%d" : "h", i - 1);
		symlink(to, from);
	}
	R(access("n38", F_OK));
	R(access("n39", F_OK));
	R(access("n40", F_OK));
}

TEST(renames)
{
	close(make("a", "A"));
	close(make("b", "BB"));
	link("a", "a2");
	R(rename("a", "b"));
	shape("b");
	R(rename("b", "a2")); // two names of one file: nothing happens
	shape("b");
	mkdir("d", 0755);
	mkdir("e", 0755);
	mkdir("d/sub", 0755);
	R(rename("b", "d"));
	R(rename("d", "b"));
	R(rename("d", "d/sub/x"));
	R(rename("d/sub", "d"));
	R(rename("e", "d"));
	R(rename("d", "e"));
	list("e");
	R(rename("e", "e"));
	R(rename("nope", "x"));
	R(rename("b", "nope/x"));
	R(rename("b/", "x"));
	R(rename("e", "newdir/"));
	R(rename(".", "x"));
	R(rename("b", ".."));
	R(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "a2", 1)); // NOREPLACE
	R(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 1));
	R(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "newdir", 2)); // EXCHANGE
	shape("c");
	shape("newdir");
	R(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "none", 2));
	R(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "x", 3));
	R(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "x", 8));
	int fd = open("newdir", O_RDONLY);
	R(rename("newdir", "after"));
	R(pread(fd, buf, 10, 0));
	chdir("c");
	R(rename("../c", "../moved"));
	R(access("../moved/sub", F_OK));
	getcwd(buf, sizeof buf);
	say("%s", strrchr(buf, '/'));
	R(rmdir("../moved/sub"));
	R(rmdir("../moved"));
	R((long)getcwd(buf, sizeof buf) == 0 ? -1 : 0);
	R(open("x", O_CREAT | O_RDWR, 0644));
	R(mkdir("x", 0755));
	R(chdir(".."));
}

TEST(directories)
{
	R(mkdir("d", 0777));
	shape("d");
	umask(0);
	R(mkdir("w", 01777));
	shape("w");
	R(mkdir("d", 0755));
	R(mkdir("no/d", 0755));
	R(mkdir("d/", 0755));
	R(mkdir("n/", 0755));
	R(mkdir("", 0755));
	R(mkdir("/", 0755));
	chdir("d");
	close(make("f", ""));
	symlink("x", "l");
	mkfifo("p", 0600);
	mkdir("sub", 0755);
	chdir("..");
	list("d");
	list("nope");
	list("d/f");
	for (int i = 0; i < 500; i++) {
		snprintf(buf, 50, "w/name%03d", i);
		close(creat(buf, 0600));
	}
	int fd = must(open("w", O_RDONLY)), n = 0, r, calls = 0;
	while ((r = syscall(SYS_getdents64, fd, buf, 4096)) > 0) {
		calls++;
		for (int o = 0; o < r; n++)
			o += *(unsigned short *)(buf + o + 16);
	}
	say("%d entries, several calls %d, then %d", n, calls > 3, r);
	R(syscall(SYS_getdents64, fd, buf, 10));
	R(lseek(fd, 0, SEEK_SET));
	R(syscall(SYS_getdents64, fd, buf, 10));
	R(syscall(SYS_getdents64, make("f", ""), buf, 100));
	DIR *d = opendir("w");
	n = 0;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] == 'n' && ++n)
			unlinkat(dirfd(d), e->d_name, 0); // while it is being read
	say("removed %d", n);
	R(rmdir("w"));
	R(read(fd, buf, 1));
	struct stat a, b;
	stat("d", &a);
	stat("d/sub/..", &b);
	T(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

TEST(stat_family)
{
	close(make("f", "hello"));
	symlink("f", "l");
	struct stat st;
	R(fstatat(AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW));
	T(S_ISLNK(st.st_mode) && st.st_size == 1);
	R(fstatat(AT_FDCWD, "", &st, 0));
	R(fstatat(open("f", O_RDONLY), "", &st, AT_EMPTY_PATH));
	say("%ld", (long)st.st_size);
	R(fstatat(AT_FDCWD, "f", &st, 0x8000000));
	R(stat("f", (void *)8));
	struct statx sx;
	R(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
	say("mask %#x mode %o size %llu nlink %u blksize %u", sx.stx_mask & 0x7ff, sx.stx_mode, sx.stx_size, sx.stx_nlink, sx.stx_blksize);
	T(sx.stx_mtime.tv_sec == st.st_mtime);
	R(statx(AT_FDCWD, "f", 0, 0x80000000, &sx));
	R(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
	R(stat("/dev/null", &st));
	say("%o %d:%d", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	struct statfs sf;
	R(statfs("/proc", &sf));
	say("proc %#lx", (long)sf.f_type);
	R(statfs("/dev/shm", &sf));
	say("shm %#lx", (long)sf.f_type);
	R(statfs("nope", &sf));
	R(fstatfs(99, &sf));
	R(access("f", R_OK | W_OK));
	R(access("f", 8));
	R(access("f", X_OK));
	R(faccessat(AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
	R(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
}

TEST(modes_and_owners)
{
	int fd = make("f", "x");
	R(chmod("f", 07777));
	shape("f");
	R(fchmod(fd, 0640));
	shape("f");
	R(chown("f", 5, 6));
	shape("f");
	R(chown("f", -1, 7));
	shape("f");
	chmod("f", 06755);
	R(chown("f", 8, 8));
	shape("f");
	chmod("f", 06755);
	R(write(fd, "y", 1));
	shape("f");
	R(fchownat(fd, "", 1, 1, AT_EMPTY_PATH));
	symlink("f", "l");
	R(lchown("l", 3, 4));
	shape("l");
	shape("f");
	R(fchmodat(AT_FDCWD, "f", 0600, 0));
	R(chmod("nope", 0600));
	R(fchmod(99, 0600));
	mkdir("sgid", 0755);
	chown("sgid", 0, 9);
	chmod("sgid", 02775);
	close(make("sgid/f", ""));
	mkdir("sgid/d", 0700);
	shape("sgid/f");
	shape("sgid/d");
	umask(0777);
	close(open("none", O_CREAT | O_WRONLY, 0666));
	shape("none");
}

TEST(permissions_of_others)
{
	umask(0);
	close(make("mine", "x"));
	chmod("mine", 0600);
	close(make("all", "x"));
	chmod("all", 0666);
	mkdir("closed", 0700);
	close(make("closed/f", "x"));
	mkdir("sticky", 01777);
	close(make("sticky/f", "x"));
	mkdir("open", 0777);
	close(make("open/f", "x"));
	chmod("open/f", 0644);
	close(make("group", "x"));
	chmod("group", 0060);
	chown("group", 0, 77);
	reap("user 1000", CHILD({
		setgroups(1, (gid_t[]){77});
		must(setgid(1000));
		must(setuid(1000));
		R(open("mine", O_RDONLY));
		OK(open("all", O_RDWR));
		R(open("closed/f", O_RDONLY));
		R(chdir("closed"));
		R(stat("closed/f", &(struct stat){0}));
		R(unlink("sticky/f"));
		R(rename("sticky/f", "sticky/g"));
		R(unlink("open/f"));
		OK(open("group", O_RDWR));
		R(chmod("all", 0600));
		R(chown("all", 1000, 1000));
		R(access("mine", R_OK));
		R(utimes("all", NULL));
		R(utimes("all", (struct timeval[2]){{1}, {2}}));
		OK(open("open/own", O_CREAT | O_RDWR, 0600));
		shape("open/own");
		R(chown("open/own", 1000, 77));
		R(chown("open/own", 1000, 5));
		R(chown("open/own", 0, -1));
		R(mknod("open/dev", S_IFCHR | 0600, makedev(1, 3)));
		R(kill(getppid(), 0));
		R(setpriority(PRIO_PROCESS, 0, -5));
		R(chroot("."));
	}));
}

TEST(times)
{
	close(make("f", "x"));
	struct timespec ts[2] = {{100, 123456789}, {200, 987654321}};
	struct stat st;
	R(utimensat(AT_FDCWD, "f", ts, 0));
	stat("f", &st);
	say("%ld.%09ld %ld.%09ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	R(utimensat(AT_FDCWD, "f", ts, 0));
	stat("f", &st);
	T(st.st_atim.tv_sec == 100 && st.st_mtim.tv_sec > 1000);
	ts[0].tv_nsec = 1000000000;
	R(utimensat(AT_FDCWD, "f", ts, 0));
	symlink("f", "l");
	ts[0] = ts[1] = (struct timespec){5, 0};
	R(utimensat(AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW));
	lstat("l", &st);
	say("%ld", st.st_mtime);
	R(futimens(open("f", O_RDONLY), ts));
	R(utime("f", &(struct utimbuf){7, 8}));
	stat("f", &st);
	say("%ld %ld", st.st_atime, st.st_mtime);
	time_t c = st.st_ctime;
	T(c > 1000000000);
	int fd = open("f", O_RDWR);
	write(fd, "y", 1);
	fstat(fd, &st);
	T(st.st_mtime >= c);
	mkdir("d", 0755);
	utimensat(AT_FDCWD, "d", ts, 0);
	close(creat("d/new", 0600));
	stat("d", &st);
	T(st.st_mtime >= c);
	R(utimensat(AT_FDCWD, "nope", NULL, 0));
	R(utimensat(999, NULL, NULL, 0));
}

static int open2(int dir, const char *path, unsigned long flags, unsigned long resolve)
{
	struct open_how how = {.flags = flags, .resolve = resolve};
	int fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

TEST(openat2)
{
	mkdir("d", 0755);
	mkdir("d/e", 0755);
	close(make("d/f", "x"));
	close(make("out", "x"));
	symlink("../out", "d/up");
	symlink("/etc/passwd", "d/abs");
	symlink("f", "d/in");
	symlink("/f", "d/rootf");
	int d = must(open("d", O_PATH | O_DIRECTORY));
	R(open2(d, "f", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "e/../f", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "../out", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "up", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "abs", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "/etc/passwd", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "in", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "in", O_RDONLY, RESOLVE_NO_SYMLINKS));
	R(open2(d, "f", O_RDONLY, RESOLVE_NO_SYMLINKS));
	R(open2(d, "rootf", O_RDONLY, RESOLVE_IN_ROOT));
	R(open2(d, "/f", O_RDONLY, RESOLVE_IN_ROOT));
	R(open2(d, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
	R(open2(d, "abs", O_RDONLY, RESOLVE_IN_ROOT));
	R(open2(AT_FDCWD, "/proc/version", O_RDONLY, RESOLVE_NO_XDEV));
	R(open2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS));
	R(open2(d, "f", O_RDONLY, 0x100));
	R(open2(d, "f", 1UL << 40, 0));
	R(open2(d, "f", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
	R(syscall(SYS_openat2, d, "f", NULL, 24));
	R(syscall(SYS_openat2, d, "f", buf, 4));
}

TEST(extended_attributes)
{
	int fd = make("f", "x");
	int r = setxattr("f", "user.one", "value", 5, 0);
	say("%s", r == 0 ? "ok" : errname(errno));
	R(setxattr("f", "user.one", "again", 5, XATTR_CREATE));
	R(setxattr("f", "user.none", "x", 1, XATTR_REPLACE));
	R(fsetxattr(fd, "user.two", "", 0, 0));
	R(getxattr("f", "user.one", buf, 100));
	R(getxattr("f", "user.one", buf, 2));
	R(getxattr("f", "user.one", NULL, 0));
	R(getxattr("f", "user.none", buf, 100));
	R(fgetxattr(fd, "user.two", buf, 100));
	R(listxattr("f", NULL, 0));
	R(listxattr("f", buf, 5));
	R(removexattr("f", "user.one"));
	R(removexattr("f", "user.one"));
	R(listxattr("f", buf, 100));
	R(setxattr("f", "bogus.x", "x", 1, 0));
	R(setxattr("f", "user.", "x", 1, 0));
	R(setxattr("f", "", "x", 1, 0));
	R(setxattr("f", "user.x", "x", 1, 99));
	R(setxattr("nope", "user.x", "x", 1, 0));
	symlink("f", "l");
	R(lsetxattr("l", "user.x", "x", 1, 0));
	mkdir("d", 0755);
	R(setxattr("d", "user.dir", "x", 1, 0));
	R(setxattr("f", "user.big", buf, 65537, 0));
}

TEST(locks)
{
	int fd = make("f", "0123456789"), other = open("f", O_RDWR);
	R(flock(fd, LOCK_EX));
	R(flock(other, LOCK_SH | LOCK_NB));
	R(flock(dup(fd), LOCK_UN));
	R(flock(other, LOCK_SH | LOCK_NB));
	R(flock(fd, LOCK_SH | LOCK_NB));
	R(flock(fd, LOCK_EX | LOCK_NB));
	R(flock(fd, 77));
	close(other);
	struct flock l = {.l_type = F_WRLCK, .l_start = 2, .l_len = 3}, g;
	R(fcntl(fd, F_SETLK, &l));
	pid_t parent = getpid();
	reap("child", CHILD({
		g = (struct flock){.l_type = F_WRLCK};
		R(fcntl(fd, F_GETLK, &g));
		say("type %d start %ld len %ld pid %d", g.l_type, (long)g.l_start, (long)g.l_len, g.l_pid == parent);
		g = (struct flock){.l_type = F_RDLCK, .l_start = 0, .l_len = 2};
		R(fcntl(fd, F_SETLK, &g));
		g.l_len = 3;
		R(fcntl(fd, F_SETLK, &g));
		g = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -1, .l_len = 1};
		R(fcntl(fd, F_SETLK, &g));
	}));
	pid_t c = CHILD(struct flock w = {.l_type = F_WRLCK}; R(fcntl(fd, F_SETLKW, &w)));
	millis(50);
	close(open("f", O_RDONLY)); // closing any descriptor of the file drops this process's locks
	reap("waiter", c);
	int o1 = open("f", O_RDWR), o2 = open("f", O_RDWR);
	l = (struct flock){.l_type = F_WRLCK};
	R(fcntl(o1, F_OFD_SETLK, &l));
	R(fcntl(o2, F_OFD_SETLK, &l));
	l.l_type = F_RDLCK;
	R(fcntl(o2, F_OFD_GETLK, &l));
	say("type %d pid %d", l.l_type, l.l_pid);
	close(o1);
	l = (struct flock){.l_type = F_WRLCK};
	R(fcntl(o2, F_OFD_SETLK, &l));
	l.l_pid = 5;
	R(fcntl(o2, F_OFD_SETLK, &l));
	// Two processes that wait for each other.
	int p[2];
	pipe(p);
	fd = make("g", "");
	l = (struct flock){.l_type = F_WRLCK, .l_start = 0, .l_len = 1};
	fcntl(fd, F_SETLK, &l);
	c = CHILD({
		struct flock a = {.l_type = F_WRLCK, .l_start = 1, .l_len = 1}, b = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1};
		fcntl(fd, F_SETLK, &a);
		write(p[1], "x", 1);
		fcntl(fd, F_SETLKW, &b);
	});
	read(p[0], buf, 1);
	millis(50);
	l.l_start = 1;
	R(fcntl(fd, F_SETLKW, &l));
	close(fd);
	reap("c", c);
	l.l_type = 99;
	R(fcntl(o2, F_SETLK, &l));
	l.l_type = F_RDLCK;
	R(fcntl(open("f", O_WRONLY), F_SETLK, &l));
	R(fcntl(fd, F_SETLK, &l));
	R(lockf(o2, F_TEST, 0));
	R(fcntl(o2, F_SETLEASE, F_WRLCK) == 0 || errno == EAGAIN || errno == EINVAL);
}

static void events(int fd, const char *what)
{
	char b[4096] __attribute__((aligned(8)));
	millis(20);
	int n = read(fd, b, sizeof b);
	say("%s:%s", what, n < 0 ? errname(errno) : "");
	uint32_t cookie = 0;
	for (int o = 0; o < n;) {
		struct inotify_event *e = (void *)(b + o);
		say("  wd %d mask %#x %s%s", e->wd, e->mask, e->len ? e->name : "-", e->cookie ? (cookie == e->cookie ? " same cookie" : " cookie") : "");
		cookie = e->cookie;
		o += sizeof *e + e->len;
	}
}

TEST(inotify)
{
	int in = must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	mkdir("d", 0755);
	R(inotify_add_watch(in, "d", IN_ALL_EVENTS));
	events(in, "nothing");
	int fd = open("d/f", O_CREAT | O_RDWR, 0644);
	events(in, "create");
	write(fd, "x", 1);
	write(fd, "y", 1); // one event: equal ones are merged
	events(in, "write");
	pread(fd, buf, 1, 0);
	events(in, "read");
	fchmod(fd, 0600);
	events(in, "chmod");
	close(fd);
	events(in, "close");
	rename("d/f", "d/g");
	events(in, "rename");
	rename("d/g", "out");
	events(in, "move out");
	mkdir("d/sub", 0755);
	rmdir("d/sub");
	events(in, "directory");
	truncate("out", 0);
	R(inotify_add_watch(in, "out", IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB));
	R(inotify_add_watch(in, "out", IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB | IN_MASK_CREATE));
	link("out", "out2");
	unlink("out");
	events(in, "link and unlink");
	unlink("out2");
	events(in, "last name");
	rmdir("d");
	events(in, "watched directory");
	R(inotify_rm_watch(in, 1));
	R(inotify_add_watch(in, "nope", IN_OPEN));
	R(inotify_add_watch(in, ".", 0));
	R(inotify_add_watch(in, "/etc/passwd", IN_OPEN | IN_ONLYDIR));
	R(inotify_add_watch(0, ".", IN_OPEN));
	int wd = must(inotify_add_watch(in, ".", IN_CREATE | IN_ONESHOT));
	close(creat("one", 0600));
	close(creat("two", 0600));
	events(in, "oneshot");
	wd = must(inotify_add_watch(in, ".", IN_CREATE));
	R(inotify_rm_watch(in, wd));
	events(in, "removed");
	wd = must(inotify_add_watch(in, ".", IN_CREATE));
	close(creat("three", 0600));
	int n;
	ioctl(in, FIONREAD, &n);
	say("waiting %d", n);
	R(read(in, buf, 10));
	struct pollfd p = {in, POLLIN};
	R(poll(&p, 1, 0));
}

TEST(chroot_and_cwd)
{
	mkdir("root", 0755);
	mkdir("root/sub", 0755);
	close(make("root/file", "in the root"));
	close(make("secret", "x"));
	reap("child", CHILD({
		int out = open(".", O_RDONLY);
		R(chroot("root"));
		R(access("/file", F_OK));
		R(access("/secret", F_OK));
		chdir("/");
		R(access("../../secret", F_OK));
		R(chdir("/sub"));
		getcwd(buf, sizeof buf);
		say("%s", buf);
		R(fchdir(out));
		R(access("secret", F_OK));
		R(syscall(SYS_getcwd, buf, sizeof buf) > 0);
		say("%.13s", buf);
	}));
	R(chdir("secret"));
	R(fchdir(open("secret", O_RDONLY)));
	R(fchdir(99));
	R(syscall(SYS_getcwd, buf, 2));
	R(syscall(SYS_getcwd, NULL, 100));
	R(chroot("nope"));
}

TEST(devices)
{
	int z = open("/dev/zero", O_RDWR), n = open("/dev/null", O_RDWR), f = open("/dev/full", O_RDWR), u = open("/dev/urandom", O_RDONLY);
	memset(buf, 'x', 100);
	R(read(z, buf, 100));
	say("%d %d", buf[0], buf[99]);
	R(write(z, buf, 100));
	R(read(n, buf, 100));
	R(write(n, buf, 100));
	R(read(f, buf, 100));
	R(write(f, buf, 1));
	R(read(u, buf, 100));
	R(lseek(z, 10, SEEK_SET));
	R(lseek(n, 0, SEEK_END));
	R(ftruncate(n, 0));
	R(open("/dev/nonexistent", O_RDONLY));
	R(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	int m = open("null", O_WRONLY);
	R(write(m, "x", 1));
	R(mknod("reg", S_IFREG | 0600, 0));
	R(mknod("dir", S_IFDIR | 0600, 0));
	R(open("/dev/tty", O_RDWR));
	R(isatty(z));
	R(fsync(n));
}

// A program made in a memfd runs while that is open for writing.
TEST(memfd_exec)
{
	int m = must(memfd_create("prog", 0)), f = must(open("/bin/true", O_RDONLY));
	char b[65536];
	for (ssize_t n; (n = read(f, b, sizeof b)) > 0;)
		must(write(m, b, n));
	char name[40];
	sprintf(name, "/proc/self/fd/%d", m);
	reap("by name", CHILD(execl(name, "true", NULL); say("%s", errname(errno))));
	reap("by descriptor", CHILD(fexecve(m, (char *[]){"true", NULL}, environ); say("%s", errname(errno))));
	int w = open(name, O_WRONLY);
	T(w >= 0);
	reap("opened again for writing", CHILD(fexecve(m, (char *[]){"true", NULL}, environ); say("%s", errname(errno))));
	close(w);
	reap("closed again", CHILD(execl(name, "true", NULL); say("%s", errname(errno))));
}
