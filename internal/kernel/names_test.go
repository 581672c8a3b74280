package kernel

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/fs/gofs"
	"github.com/sysemu/sysemu/internal/fs/iofs"
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
)

// buildC compiles a static C program into dir.
func buildC(t testing.TB, dir, name, src string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	c, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
	if err := os.WriteFile(c, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command("gcc", "-O1", "-w", "-static", "-o", out, c).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, b)
	}
	return out
}

// sameAsNative builds a program and runs it natively in an empty directory
// and inside in a tmpfs at /tmp, as root both times: outputs and status must
// be equal.
func sameAsNative(t *testing.T, src string) {
	t.Helper()
	dir := t.TempDir()
	prog := buildC(t, dir, "prog", src)
	work := t.TempDir()
	os.Chmod(work, 0o1777)
	cmd := exec.Command(prog)
	cmd.Args[0] = "/prog"
	cmd.Dir, cmd.Env = work, []string{"PATH=/bin"}
	want, err := cmd.Output()
	if err != nil {
		t.Logf("native: %v", err)
	}
	got, ws := runInTmp(t, dir, "/prog")
	if string(want) != got || ws != cmd.ProcessState.Sys().(interface{ ExitStatus() int }).ExitStatus()<<8 {
		t.Errorf("native (%v):\n%s\ninside (%#x):\n%s", cmd.ProcessState, want, ws, got)
	}
}

// runInTmp runs a program of dir's tree, standing in a fresh tmpfs at /tmp.
func runInTmp(t testing.TB, dir string, args ...string) (string, int) {
	t.Helper()
	for _, name := range []string{"tmp", "proc", "sys", "dev"} {
		os.MkdirAll(filepath.Join(dir, name), 0o755)
	}
	k, err := New(Config{Root: func(vfs.Context) (vfs.FileSystem, error) { return gofs.New(os.DirFS(dir), gofs.Options{Dev: 100}), nil }, CPUs: 1, Report: func(s string) { t.Log(s) },
		Setup: func(k *Kernel, _ vfs.Context) error {
			if err := k.MountStandard(k.boot); err != nil {
				return err
			}
			root := k.ns.Root()
			defer root.Unref()
			at, err := vfs.Walk(k.boot, vfs.At{Root: root, Dir: root}, "/tmp", 0, 0)
			if err != nil {
				return err
			}
			defer at.Unref()
			_, err = k.ns.Mount(k.boot, tmpfs.New(k.clock.Realtime(), tmpfs.Options{Dev: 99}), at, 0, "tmpfs")
			return err
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := iofs.New(w, &k.mu)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	k.Lock()
	f := out.Description()
	k.Unlock()
	p, err := k.Start(Start{Path: args[0], Args: args, Env: []string{"PATH=/bin"}, Dir: "/tmp", Files: []*vfs.File{nil, f, f}})
	if err != nil {
		t.Fatal(err)
	}
	k.Lock()
	f.Unref(k.boot)
	k.Unlock()
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		got <- string(b)
	}()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Error("the guest does not end")
		p.Signal(9)
		<-p.Done()
	}
	out.Close()
	return <-got, int(p.Wait())
}

const namesC = `
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <utime.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#define E(x) do { errno = 0; long r_ = (long)(x); printf("%s = %ld %s\n", #x, r_, errno ? strerrorname_np(errno) : ""); } while (0)
static void show(const char *n) {
	struct stat s;
	if (lstat(n, &s)) { printf("%s: %s\n", n, strerrorname_np(errno)); return; }
	printf("%s: %o nlink %ld uid %d gid %d size %ld m %ld.%09ld\n", n, s.st_mode, (long)s.st_nlink, s.st_uid, s.st_gid,
		S_ISDIR(s.st_mode) ? 0 : (long)s.st_size, (long)s.st_mtim.tv_sec > 1000000 ? 1 : (long)s.st_mtim.tv_sec, s.st_mtim.tv_sec > 1000000 ? 0 : s.st_mtim.tv_nsec);
}
int main() {
	char buf[4096]; struct stat st;
	umask(022);
	E(umask(027)); E(umask(022));
	E(mkdir("d", 0777)); E(mkdir("d", 0777)); E(mkdir("d/", 0777)); E(mkdir("", 0777)); E(mkdir("x/y", 0777));
	int fd = open("f", O_CREAT|O_RDWR, 0666);
	E(write(fd, "hello", 5));
	E(fstat(fd, &st)); printf("%o %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_blksize);
	E(fstatat(fd, "", &st, AT_EMPTY_PATH)); E(fstatat(fd, "", &st, 0)); E(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH));
	E(fstatat(fd, "x", &st, 0)); E(fstatat(999, "x", &st, 0)); E(fstatat(999, "/", &st, 0)); E(fstatat(AT_FDCWD, "f", &st, 0x40000));
	E(stat((void*)1, &st)); E(stat("f", (void*)1)); E(stat("f/", &st)); E(stat("f/..", &st));
	E(syscall(SYS_newfstatat, fd, 0, &st, AT_EMPTY_PATH));
	show("d"); show("f"); show("nope");
	E(link("f", "g")); E(link("d", "h")); E(link("f", "g")); E(symlink("g", "s")); E(symlink("", "t")); E(symlink("loop", "loop"));
	E(stat("loop", &st)); show("s"); show("loop");
	E(readlink("s", buf, 100)); E(readlink("f", buf, 100)); E(readlink("s", buf, 0)); E(readlink("nope", buf, 10));
	int pf = open("s", O_PATH|O_NOFOLLOW); E(readlinkat(pf, "", buf, 100)); E(readlinkat(AT_FDCWD, "", buf, 100)); E(readlinkat(fd, "", buf, 100));
	E(fchmod(pf, 0600)); E(fstat(pf, &st)); printf("%o\n", st.st_mode);
	E(linkat(AT_FDCWD, "s", AT_FDCWD, "s2", 0)); show("s2"); E(linkat(AT_FDCWD, "s", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW)); show("s3");
	E(linkat(fd, "", AT_FDCWD, "s4", AT_EMPTY_PATH)); show("s4");
	E(rename("g", "d/g")); E(rename("d", "d/x")); E(rename("f", "d")); E(rename("d", "f")); E(rename("nope", "q")); show("d/g");
	E(renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_NOREPLACE)); E(renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE)); show("f"); show("d");
	E(renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE|RENAME_NOREPLACE)); E(renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE));
	E(rmdir("d")); E(rmdir("f")); E(unlink("d")); E(unlink("d/g")); E(rmdir("d/.")); E(unlinkat(AT_FDCWD, "d", 77)); E(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	E(mknod("p", S_IFIFO|0666, 0)); E(mknod("n", 0644, 0)); E(mknod("nd", S_IFDIR|0644, 0)); E(mknod("nx", 0130000, 0)); show("p"); show("n");
	E(chmod("f", 06755)); show("f"); E(chown("f", 10, 20)); show("f"); E(chown("f", -1, 30)); show("f"); E(lchown("s", 5, 6)); show("s"); E(fchown(fd, 0, 0)); show("f");
	E(fchmodat(AT_FDCWD, "s2", 0600, 0)); E(syscall(452, AT_FDCWD, "s2", 0600, AT_SYMLINK_NOFOLLOW)); E(syscall(452, fd, "", 0640, AT_EMPTY_PATH)); show("f");
	struct utimbuf ub = {5, 6}; E(utime("f", &ub)); show("f");
	struct timeval tv[2] = {{7, 8}, {9, 10}}; E(utimes("f", tv)); show("f"); tv[0].tv_usec = 1000000; E(utimes("f", tv));
	struct timespec ts[2] = {{1, UTIME_OMIT}, {11, 12}}; E(utimensat(AT_FDCWD, "f", ts, 0)); show("f"); stat("f", &st); printf("%ld\n", (long)st.st_atime);
	ts[1].tv_nsec = UTIME_OMIT; E(utimensat(AT_FDCWD, "nope", ts, 0)); ts[1].tv_nsec = -1; E(utimensat(AT_FDCWD, "f", ts, 0));
	ts[0].tv_nsec = 3; ts[1].tv_sec = 44; ts[1].tv_nsec = 4; E(futimens(fd, ts)); show("f"); E(syscall(SYS_utimensat, AT_FDCWD, 0, ts, 0)); E(syscall(SYS_utimensat, fd, 0, ts, AT_SYMLINK_NOFOLLOW));
	E(utimensat(AT_FDCWD, "s", ts, AT_SYMLINK_NOFOLLOW)); show("s"); E(utimensat(AT_FDCWD, "f", 0, 0)); show("f");
	E(access("f", R_OK|W_OK)); E(access("nope", 0)); E(access("f", 8)); E(faccessat(AT_FDCWD, "f", X_OK, AT_EACCESS)); E(syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH)); E(syscall(SYS_faccessat2, fd, "", R_OK, 0x40000));
	struct statx sx; E(statx(AT_FDCWD, "f", 0, STATX_ALL, &sx)); printf("%o %d %llu %x\n", sx.stx_mode, sx.stx_nlink, sx.stx_size, sx.stx_mask & 0xfff);
	E(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx)); E(statx(fd, "", 0, 0, &sx)); E(statx(fd, "", AT_EMPTY_PATH|0x6000, 0, &sx)); E(statx(fd, "", AT_EMPTY_PATH, 0x80000000, &sx));
	struct statfs sf; E(statfs(".", &sf)); E(statfs("", &sf)); E(statfs("nope", &sf)); E(fstatfs(fd, &sf)); E(fstatfs(999, &sf));
	E(mkdir("w", 0755)); E(chdir("w")); E(chdir("f")); E(chdir("../f")); E(chdir("nope")); E(chdir("..")); int d = open("w", O_RDONLY|O_DIRECTORY); E(fchdir(d)); E(fchdir(fd)); E(fchdir(999));
	E(getcwd(buf, 4096) != 0); E(strcmp(strrchr(buf, '/'), "/w")); E(syscall(SYS_getcwd, buf, 2)); E(rmdir("../w")); E(syscall(SYS_getcwd, buf, 4096)); E(open("x", O_CREAT, 0666)); E(stat(".", &st)); printf("%ld\n", (long)st.st_nlink); E(chdir(".."));
	E(setxattr("f", "user.a", "12345", 5, XATTR_CREATE)); E(setxattr("f", "user.a", "1", 1, XATTR_CREATE)); E(setxattr("f", "user.b", "1", 1, XATTR_REPLACE)); E(setxattr("f", "user.a", "1", 1, 8)); E(setxattr("f", "nope", "1", 1, 0)); E(setxattr("f", "", "1", 1, 0));
	memset(buf, 'x', 300); buf[255] = 0; E(setxattr("f", buf, "1", 1, 0)); buf[255] = 'x'; buf[256] = 0; E(setxattr("f", buf, "1", 1, 0)); E(setxattr("f", "user.c", buf, 70000, 0));
	E(getxattr("f", "user.a", buf, 0)); E(getxattr("f", "user.a", buf, 3)); E(getxattr("f", "user.a", buf, 100)); E(getxattr("f", "user.zz", buf, 100)); E(fgetxattr(fd, "user.a", buf, 100)); E(lgetxattr("s", "user.a", buf, 100)); E(fgetxattr(pf, "user.a", buf, 100));
	E(listxattr("f", 0, 0)); E(listxattr("f", buf, 100)); printf("%s\n", buf); E(flistxattr(fd, buf, 3)); E(lsetxattr("s", "user.a", "1", 1, 0)); E(removexattr("f", "user.a")); E(fremovexattr(fd, "user.a"));
	int m = memfd_create("box", MFD_CLOEXEC|MFD_ALLOW_SEALING); E(m >= 0); E(ftruncate(m, 4096)); E(fcntl(m, F_ADD_SEALS, F_SEAL_GROW)); E(fcntl(m, F_GET_SEALS)); E(ftruncate(m, 8192)); E(fcntl(m, F_GETFD)); E(memfd_create("x", 0x80)); fstat(m, &st); printf("%o\n", st.st_mode);
	char *p = mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, m, 0); E(p != MAP_FAILED); if (p != MAP_FAILED) { strcpy(p, "shared"); memset(buf, 0, 10); E(pread(m, buf, 6, 0)); puts(buf); }
	char *n = malloc(5000); memset(n, 'a', 4999); n[4999] = 0; E(stat(n, &st)); n[4096] = 0; E(stat(n, &st)); n[4095] = 0; E(stat(n, &st)); n[255] = 0; E(stat(n, &st)); n[256] = 0; n[255] = 'a'; E(stat(n, &st));
	E(chroot("nope")); E(chroot("f")); E(mkdir("root", 0755)); E(chroot("root")); E(chdir("/")); E(getcwd(buf, 100) != 0); puts(buf); E(chdir("..")); E(getcwd(buf, 100) != 0); puts(buf);
	return 7;
}
`

func TestNames(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the native side needs root")
	}
	sameAsNative(t, namesC)
}
