package policy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/policy"
)

const otherTable = `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static long int80(long nr, long a, long b, long c) {
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}
static void t(const char *what, long r) { printf("%s %s\n", what, r >= 0 ? "ok" : strerrorname_np(-r)); fflush(stdout); }
static const char d1[] = "/w/d1", free_[] = "/w/free", secret[] = "/w/secret";
static struct sockaddr_in to = {AF_INET, 0, {0}};
static unsigned args[6];
int main() {
	struct { unsigned long flags, mode, resolve; } how = {O_RDONLY};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	t("mkdir", int80(39, (long)d1, 0700, 0));
	t("open free", int80(5, (long)free_, O_RDONLY, 0));
	t("open secret", int80(5, (long)secret, O_RDONLY, 0));
	long r = syscall(SYS_openat2, AT_FDCWD, secret, &how, sizeof how);
	t("openat2 secret", r < 0 ? -errno : r);
	r = syscall(SYS_openat, -1, secret, O_PATH);
	t("openat O_PATH secret", r < 0 ? -errno : r);
	char fd[40];
	sprintf(fd, "/proc/self/fd/%ld", r);
	r = open(fd, O_RDONLY);
	t("open it again", r < 0 ? -errno : r);
	to.sin_port = htons(4711);
	to.sin_addr.s_addr = htonl(0x7f000001);
	args[0] = s, args[1] = (long)&to, args[2] = sizeof to;
	t("socketcall connect", int80(102, 3, (long)args, 0));
	args[0] = AF_INET6, args[1] = SOCK_STREAM, args[2] = 0;
	t("socketcall socket inet6", int80(102, 1, (long)args, 0));
	args[0] = AF_INET;
	t("socketcall socket inet", int80(102, 1, (long)args, 0));
	t("socketcall listen", int80(102, 4, (long)args, 0));
	r = syscall(SYS_io_uring_setup, 1, args);
	t("io_uring", r < 0 ? -errno : r);
	t("ipc semget", int80(117, 2, 0, 1));
	struct sockaddr_in un = {AF_UNSPEC, htons(4712), {htonl(0x7f000001)}};
	s = socket(AF_INET, SOCK_DGRAM, 0);
	r = sendto(s, "x", 1, 0, (void *)&un, sizeof un);
	t("sendto AF_UNSPEC", r < 0 ? -errno : r);
	s = socket(AF_INET, SOCK_STREAM, 0);
	r = sendto(s, "x", 1, MSG_FASTOPEN, (void *)&to, sizeof to);
	t("sendto MSG_FASTOPEN", r < 0 ? -errno : r);
	int m = memfd_create("x", 0), f = open("/usr/bin/true", O_RDONLY);
	sendfile(m, f, 0, 1 << 24);
	char *argv[] = {"true", 0};
	execveat(m, "", argv, 0, AT_EMPTY_PATH);
	t("exec memfd", -errno);
	sprintf(fd, "/proc/self/fd/%d", m);
	execve(fd, argv, 0);
	t("exec memfd by name", -errno);
	execve("/proc/self/root/usr/bin/true", argv, 0);
	t("exec", -errno);
}
`

// The same rules hold for the calls of i386's table, which 64-bit code makes by
// int $0x80, for socketcall and ipc, and for calls of other names to the same
// end.
func TestOtherTable(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "a.c"), filepath.Join(dir, "a")
	os.WriteFile(src, []byte(otherTable), 0o644)
	if out, err := exec.Command(gcc, "-w", "-no-pie", "-o", bin, src).CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	var told events
	m := machine(t, middleware(t, `
deny ENOENT mkdir
deny EACCES %file mode=r path=/w/secret
deny ECONNABORTED connect addr=127.0.0.1:4711
deny ENETDOWN socket arg.family=AF_INET6
deny EISNAM listen
deny EDQUOT semget
deny ENOLINK sendto addr=127.0.0.1
deny ENOEXEC execve,execveat mode=x
`, policy.WithLog(told.add)), sysemu.WithTmpfs("/w"))
	if out, state := run(t, m, "sh", "-c", "echo free > /w/free; echo secret > /w/secret"); !state.Success() {
		t.Fatalf("%v, %s", state, out)
	}
	out, state := run(t, m, bin)
	const want = `mkdir ENOENT
open free ok
open secret EACCES
openat2 secret EACCES
openat O_PATH secret ok
open it again EACCES
socketcall connect ECONNABORTED
socketcall socket inet6 ENETDOWN
socketcall socket inet ok
socketcall listen EISNAM
io_uring ENOSYS
ipc semget EDQUOT
sendto AF_UNSPEC ENOLINK
sendto MSG_FASTOPEN ENOLINK
exec memfd ENOEXEC
exec memfd by name ENOEXEC
exec ENOEXEC
`
	if out != want {
		t.Errorf("%v, got\n%swant\n%s%q", state, out, want, told.list())
	}
	for _, want := range []string{"connect   127.0.0.1:4711 deny", "socket    deny", "semget    deny"} {
		if !slices.Contains(told.list(), want) {
			t.Errorf("%q is not told: %q", want, told.list())
		}
	}
}
