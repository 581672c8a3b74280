package kernel

import (
	"os"
	"testing"
)

const procC = `
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <unistd.h>
#include <signal.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/statfs.h>
#define E(x) do { errno = 0; long r_ = (long)(x); printf("%s = %ld %s\n", #x, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static char buf[1 << 16];
// cat prints a file with digits outside of words as N.
static void cat(const char *n, int digits) {
	int fd = open(n, O_RDONLY); long r = 0, k;
	if (fd < 0) { printf("%s: %s\n", n, strerrorname_np(errno)); return; }
	while ((k = read(fd, buf + r, sizeof buf - 1 - r)) > 0) r += k;
	if (k < 0) { printf("%s: read %s\n", n, strerrorname_np(errno)); close(fd); return; }
	buf[r] = 0; close(fd);
	printf("%s: ", n);
	for (char *p = buf; p < buf + r; p++)
		if (!*p) printf("\\0"); else if (isdigit(*p) && !digits) { while (isdigit(p[1])) p++; putchar('N'); } else putchar(*p);
	putchar('\n');
}
static void line(const char *n, const char *key) {
	FILE *f = fopen(n, "r"); char l[4096];
	if (!f) { printf("%s: %s\n", n, strerrorname_np(errno)); return; }
	while (fgets(l, sizeof l, f)) if (!strncmp(l, key, strlen(key))) printf("%s", l);
	fclose(f);
}
static void rl(const char *n) {
	char t[4096]; long r = readlink(n, t, sizeof t - 1);
	if (r < 0) { printf("%s: %s\n", n, strerrorname_np(errno)); return; }
	t[r] = 0; printf("link ");
	char *b = strrchr(t, '/'); if (b && !strstr(t, "memfd")) printf(".../%s", b + 1);
	else for (char *p = t; *p; p++) if (isdigit(*p)) { while (isdigit(p[1])) p++; putchar('N'); } else putchar(*p);
	putchar('\n');
}
static void *thread(void *a) { pause(); return 0; }
static int count(const char *n) { DIR *d = opendir(n); int k = 0; if (!d) return -1; while (readdir(d)) k++; closedir(d); return k; }
int main(int argc, char **argv) {
	char n[256], t[256]; struct stat st; int fds[2], p[2];
	setvbuf(stdout, 0, _IOFBF, 1 << 16);
	if (fcntl(0, F_GETFD) < 0) open("/dev/null", O_RDONLY);
	close_range(3, ~0U, 0);
	int fd = open("file", O_CREAT|O_RDWR|O_APPEND|O_CLOEXEC, 0600); write(fd, "12345", 5);
	sprintf(n, "/proc/self/fd/%d", fd); rl(n); E(lstat(n, &st)); printf("%o %ld\n", st.st_mode, (long)st.st_size); E(stat(n, &st)); printf("%o %ld\n", st.st_mode, (long)st.st_size);
	sprintf(t, "/proc/self/fdinfo/%d", fd); cat(t, 0); line(t, "flags");
	unlink("file"); rl(n); int g = open(n, O_RDONLY); E(g >= 0); E(read(g, buf, 10)); E(linkat(AT_FDCWD, n, AT_FDCWD, "again", AT_SYMLINK_FOLLOW)); close(g);
	close(fd); rl(n); E(open(n, O_RDONLY));
	pipe(p); sprintf(n, "/proc/self/fd/%d", p[0]); rl(n); E(lstat(n, &st)); printf("%o\n", st.st_mode); E(stat(n, &st)); printf("%o\n", st.st_mode); sprintf(n, "/proc/self/fd/%d", p[1]); E(lstat(n, &st)); printf("%o\n", st.st_mode); fd = open(n, O_WRONLY); E(write(fd, "x", 1)); E(read(p[0], buf, 10)); close(fd);
	fd = eventfd(7, 0); sprintf(n, "/proc/self/fd/%d", fd); rl(n); E(open(n, O_RDONLY)); sprintf(n, "/proc/self/fdinfo/%d", fd); line(n, "eventfd-count"); close(fd);
	fd = epoll_create1(0); sprintf(n, "/proc/self/fd/%d", fd); rl(n); close(fd);
	fd = memfd_create("box", 0); write(fd, "memfd", 5); sprintf(n, "/proc/self/fd/%d", fd); rl(n); g = open(n, O_RDWR); E(g >= 0); E(read(g, buf, 10)); close(g);
	char *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0); FILE *f = fopen("/proc/self/maps", "r"); int seen = 0, stack = 0, exe = 0, vdso = 0;
	while (fgets(buf, sizeof buf, f)) { unsigned long a, b; char q[5]; sscanf(buf, "%lx-%lx %4s", &a, &b, q); if (a == (unsigned long)m) { seen = 1; printf("%s %s", q, strchr(buf, '/')); if (strchr(buf, '/') - buf != 73) puts("column"); } stack |= !!strstr(buf, "[stack]"); vdso |= !!strstr(buf, "[vdso]"); exe |= !!strstr(buf, "/prog\n"); }
	fclose(f); E(seen); E(stack); E(exe); E(vdso);
	rl("/proc/self/exe"); rl("/proc/self/root"); E(stat("/proc/self/cwd/again", &st)); E(chdir("/proc/self/cwd")); E(access("again", 0));
	sprintf(n, "%d", getpid()); readlink("/proc/self", buf, 100); E(strncmp(buf, n, strlen(n)));
	sprintf(t, "%d/task/%d", getpid(), getpid()); memset(buf, 0, 100); readlink("/proc/thread-self", buf, 100); E(strcmp(buf, t));
	cat("/proc/self/comm", 1); prctl(PR_SET_NAME, "a b)c"); cat("/proc/self/comm", 1); fd = open("/proc/self/comm", O_WRONLY|O_TRUNC|O_CREAT, 0666); E(write(fd, "averyveryverylongname\n", 22)); close(fd); cat("/proc/self/comm", 1); line("/proc/self/status", "Name");
	cat("/proc/self/cmdline", 1); cat("/proc/self/environ", 1); cat("/proc/self/oom_score_adj", 1); fd = open("/proc/self/oom_score_adj", O_RDWR); E(write(fd, "300", 3)); E(write(fd, "3000", 4)); E(write(fd, "x", 1)); cat("/proc/self/oom_score_adj", 1);
	cat("/proc/self/loginuid", 1); cat("/proc/self/personality", 1); cat("/proc/self/uid_map", 1); cat("/proc/self/setgroups", 1); cat("/proc/self/coredump_filter", 1);
	line("/proc/self/status", "Umask"); line("/proc/self/status", "State"); line("/proc/self/status", "Uid"); line("/proc/self/status", "Threads"); line("/proc/self/status", "TracerPid"); line("/proc/self/status", "SigIgn");
	signal(SIGUSR1, SIG_IGN); signal(SIGUSR2, (void*)main); sigset_t s; sigemptyset(&s); sigaddset(&s, SIGHUP); sigprocmask(SIG_BLOCK, &s, 0); raise(SIGHUP); line("/proc/self/status", "SigIgn"); line("/proc/self/status", "SigCgt"); line("/proc/self/status", "SigBlk"); line("/proc/self/status", "SigPnd"); line("/proc/self/status", "ShdPnd");
	E(open("/proc/999999", O_RDONLY)); E(open("/proc/self/nope", O_RDONLY)); E(open("/proc/01", O_RDONLY)); E(open("/proc/self/fd/999", O_RDONLY)); E(open("/proc/self/fd/x", O_RDONLY)); E(mkdir("/proc/x", 0777)); E(open("/proc/x", O_CREAT|O_RDWR, 0666)); E(unlink("/proc/uptime")); E(rename("/proc/uptime", "/proc/x")); E(symlink("a", "/proc/self/x"));
	static const char ro[] __attribute__((section(".rodata"))) = "readonly"; fd = open("/proc/self/mem", O_RDWR); E(pread(fd, buf, 8, (long)ro)); printf("%.8s\n", buf); E(pwrite(fd, "writable", 8, (long)ro)); printf("%.8s\n", *(const char *volatile*)&(const char*){ro}); E(pread(fd, buf, 8, 0)); E(pread(fd, buf, 8, 1L << 50)); E(lseek(fd, 5, SEEK_END)); close(fd);
	pthread_t th; pthread_create(&th, 0, thread, 0); usleep(20000); E(count("/proc/self/task")); line("/proc/self/status", "Threads");
	pid_t c = fork(); if (!c) _exit(3); usleep(50000); sprintf(n, "/proc/%d/status", c); line(n, "State"); line(n, "VmSize"); int here = open(".", O_RDONLY); chdir("/proc"); sprintf(n, "%d", c); chdir(n); cat("cmdline", 1); rl("exe"); cat("maps", 0); fchdir(here); close(here); sprintf(n, "/proc/%d/fd", c); E(count(n)); sprintf(n, "/proc/%d", c); int d = open(n, O_RDONLY|O_DIRECTORY); fd = openat(d, "stat", O_RDONLY); E(fd >= 0); waitpid(c, 0, 0); E(read(fd, buf, 10)); E(openat(d, "stat", O_RDONLY)); E(fstat(d, &st)); E(stat(n, &st)); close(d); close(fd);
	c = fork(); if (!c) { raise(SIGSTOP); _exit(0); } waitpid(c, 0, WUNTRACED); sprintf(n, "/proc/%d/status", c); line(n, "State"); kill(c, SIGKILL); waitpid(c, 0, 0);
	c = fork(); if (!c) { sleep(10); _exit(0); } usleep(30000); sprintf(n, "/proc/%d/status", c); line(n, "State"); sprintf(n, "/proc/%d/wchan", c); E(access(n, R_OK));
	pid_t u = fork(); if (!u) { setgid(1234); setuid(1234); setvbuf(stdout, 0, _IONBF, 0); sprintf(n, "/proc/%d/environ", c); E(open(n, O_RDONLY)); sprintf(n, "/proc/%d/fd", c); E(open(n, O_RDONLY)); sprintf(n, "/proc/%d/exe", c); E(readlink(n, t, 9)); sprintf(n, "/proc/%d/maps", c); E(open(n, O_RDONLY)); sprintf(n, "/proc/%d/mem", c); E(open(n, O_RDONLY)); sprintf(n, "/proc/%d/status", c); line(n, "Uid"); sprintf(n, "/proc/%d/stat", c); E(access(n, R_OK)); E(open("/proc/self/environ", O_RDONLY)); rl("/proc/self/exe"); E(open("/proc/self/fd", O_RDONLY)); stat("/proc/self", &st); printf("%d\n", st.st_uid); stat("/proc/self/environ", &st); printf("%d\n", st.st_uid); stat("/proc/self/fd", &st); printf("%d\n", st.st_uid); E(open("/proc/sys/kernel/hostname", O_WRONLY)); E(open("/proc/self/oom_score_adj", O_WRONLY)); _exit(0); }
	fflush(stdout); waitpid(u, 0, 0); kill(c, SIGKILL); waitpid(c, 0, 0);
	for (int i = 0; i < 64; i++) { sprintf(n, "/proc/self/fd/%d", i); if (!access(n, F_OK)) rl(n); }
	E(count("/proc/self/fd")); E(count("/proc/self/ns")); E(count("/proc/self/fdinfo"));
	for (int i = 0; i < 3; i++) { char *names[] = {"null", "zero", "full"}; sprintf(n, "/dev/%s", names[i]); fd = open(n, O_RDWR); E(read(fd, buf, 8)); E(write(fd, "abc", 3)); E(lseek(fd, 100, SEEK_SET)); E(pread(fd, buf, 3, 1000)); stat(n, &st); printf("%o %lx\n", st.st_mode, st.st_rdev); close(fd); }
	fd = open("/dev/random", O_RDWR); E(read(fd, buf, 8)); E(write(fd, "abc", 3)); close(fd); fd = open("/dev/urandom", O_RDONLY); E(read(fd, buf, 60000)); close(fd);
	E(mknod("dev", S_IFCHR|0666, 0x103)); fd = open("dev", O_RDWR); E(write(fd, "abc", 3)); E(mknod("nodev", S_IFCHR|0666, 0x3c05)); E(open("nodev", O_RDWR)); E(mknod("bdev", S_IFBLK|0666, 0x3c05)); E(open("bdev", O_RDWR));
	E(mkfifo("ff", 0600)); E(open("ff", O_WRONLY|O_NONBLOCK)); fd = open("ff", O_RDONLY|O_NONBLOCK); E(fd >= 0); g = open("ff", O_WRONLY); E(write(g, "fifo", 4)); E(read(fd, buf, 10));
	f = fopen("/dev/stdin", "r"); E(f == 0); struct statfs sf; statfs("/proc", &sf); printf("%lx\n", (long)sf.f_type); statfs("/sys", &sf); printf("%lx\n", (long)sf.f_type); statfs("/dev/shm", &sf); printf("%lx\n", (long)sf.f_type);
	cat("/proc/sys/kernel/ostype", 1); cat("/proc/sys/kernel/cap_last_cap", 1); cat("/proc/sys/fs/nr_open", 1); E(open("/proc/sys/kernel/random/uuid", O_RDONLY) > 0); cat("/proc/swaps", 1);
	cat("/sys/devices/system/cpu/offline", 1); cat("/sys/devices/system/node/online", 1); cat("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", 1); E(open("/sys/x", O_CREAT|O_RDWR, 0666) < 0);
	argv[0] = argv[0]; memset(argv[0], 'T', strlen(argv[0]) + 1); strcpy(argv[0], "tit"); cat("/proc/self/cmdline", 1);
	fflush(stdout); _exit(5);
}
`

func TestProc(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the native side needs root")
	}
	sameAsNative(t, procC)
}
