package sysemu

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sysemu/sysemu/abi"
)

// guarded collects what calls are about to use.
type guarded struct {
	mu  sync.Mutex
	all map[string][]string // by call
	// deny, unless nil, refuses with EXDEV, which none of the calls gives otherwise.
	deny func(call string, a *Access) bool
}

func (g *guarded) middleware(next Handler) Handler {
	return HandlerFunc(func(c *Call) (uint64, error) {
		name := c.Name()
		c.Guard(func(a *Access) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			s := fmt.Sprint(a.Path, " ", useString(a.Use))
			if a.Addr != nil {
				s = fmt.Sprint(a.Addr.Family, " ", a.Addr.AddrPort, a.Addr.Abstract)
			}
			if g.all == nil {
				g.all = map[string][]string{}
			}
			if !slices.Contains(g.all[name], s) {
				g.all[name] = append(g.all[name], s)
			}
			if g.deny != nil && g.deny(name, a) {
				return syscall.EXDEV
			}
			return nil
		})
		return next.ServeCall(c)
	})
}

func useString(u Use) string {
	s := ""
	for i, l := range "srwxT" {
		if u&(1<<i) != 0 {
			s += string(l)
		}
	}
	return s
}

// guardProgram makes every call that takes a name, and prints what comes of it.
const guardProgram = `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <linux/openat2.h>
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define T(name, call) do { errno = 0; long r = (call); printf("%s %s\n", name, r >= 0 ? "0" : strerrorname_np(errno)); fflush(stdout); } while (0)
#define S(nr, ...) T(#nr, syscall(SYS_##nr, ##__VA_ARGS__))
static char b[4096];
int main() {
	struct open_how how = {.flags = O_RDWR};
	long times[4] = {0};
	int cwd = AT_FDCWD;
	S(open, "/w/f", O_RDONLY); S(openat, cwd, "/w/f", O_WRONLY); S(openat2, cwd, "/w/f", &how, sizeof how);
	S(creat, "/w/new", 0600); S(open, "/w/new2", O_CREAT | O_RDONLY, 0600); S(open, "/w/f", O_TRUNC); S(open, "/w/l", O_PATH); S(open, "/w", O_TMPFILE | O_RDWR, 0600);
	S(stat, "/w/l", b); S(lstat, "/w/l", b); S(newfstatat, cwd, "/w/f", b, 0); S(statx, cwd, "/w/f", 0, 0xfff, b);
	S(access, "/w/f", R_OK); S(faccessat, cwd, "/w/f", R_OK); S(faccessat2, cwd, "/w/f", R_OK, 0);
	S(readlink, "/w/l", b, 100); S(readlinkat, cwd, "/w/l", b, 100); S(statfs, "/w/f", b);
	S(truncate, "/w/f", 3); S(chmod, "/w/f", 0644); S(fchmodat, cwd, "/w/f", 0644); S(fchmodat2, cwd, "/w/f", 0644, 0);
	S(chown, "/w/f", -1, -1); S(lchown, "/w/f", -1, -1); S(fchownat, cwd, "/w/f", -1, -1, 0);
	S(utime, "/w/f", 0); S(utimes, "/w/f", 0); S(futimesat, cwd, "/w/f", 0); S(utimensat, cwd, "/w/f", 0, 0);
	S(setxattr, "/w/f", "user.a", "x", 1, 0); S(getxattr, "/w/f", "user.a", b, 10); S(listxattr, "/w/f", b, 100); S(removexattr, "/w/f", "user.a");
	S(lsetxattr, "/w/f", "user.a", "x", 1, 0); S(lgetxattr, "/w/f", "user.a", b, 10); S(llistxattr, "/w/f", b, 100); S(lremovexattr, "/w/f", "user.a");
	S(mkdir, "/w/d", 0755); S(mkdirat, cwd, "/w/d2", 0755); S(mknod, "/w/n", S_IFREG | 0600, 0); S(mknodat, cwd, "/w/n2", S_IFREG | 0600, 0);
	S(link, "/w/f", "/w/h"); S(linkat, cwd, "/w/f", cwd, "/w/h2", 0); S(symlink, "nowhere", "/w/s"); S(symlinkat, "nowhere", cwd, "/w/s2");
	S(rename, "/w/h", "/w/h3"); S(renameat, cwd, "/w/h2", cwd, "/w/h4"); S(renameat2, cwd, "/w/d", cwd, "/w/d3", 0);
	S(unlink, "/w/h3"); S(unlinkat, cwd, "/w/h4", 0); S(rmdir, "/w/d3");
	S(chdir, "/w"); S(inotify_add_watch, inotify_init(), "/w/f", IN_MODIFY);
	S(execve, "/w/f", 0, 0); S(execveat, cwd, "/w/f", 0, 0, 0);
	int fd = open("/w/f", O_RDONLY);
	S(fchmod, fd, 0644); S(fchown, fd, -1, -1); S(fsetxattr, fd, "user.a", "x", 1, 0); S(fremovexattr, fd, "user.a");
	S(mount, "none", "/w", "tmpfs", 0, 0); S(umount2, "/w", 0);
	struct sockaddr_un u = {AF_UNIX, "/w/sock"}, ab = {AF_UNIX, "\0abstract"};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_DGRAM, 0);
	S(bind, s, &u, sizeof u); listen(s, 1); S(connect, c, &u, sizeof u); S(sendto, d, "x", 1, 0, &ab, 11);
	struct sockaddr_in in = {AF_INET, htons(4711), {htonl(0x7f000001)}};
	struct msghdr m = {&in, sizeof in};
	S(sendmsg, socket(AF_INET, SOCK_DGRAM, 0), &m, 0);
	struct mmsghdr mm = {m};
	S(sendmmsg, socket(AF_INET, SOCK_DGRAM, 0), &mm, 1, 0);
	S(chroot, "/w");
}
`

// notServed are calls with names that this kernel does not look up.
var notServed = map[string]bool{
	"uselib": true, "acct": true, "swapon": true, "swapoff": true, "quotactl": true, "fanotify_mark": true, "open_tree": true, "move_mount": true, "fspick": true,
	"mount_setattr": true, "setxattrat": true, "getxattrat": true, "listxattrat": true, "removexattrat": true, "name_to_handle_at": true,
	"pivot_root": true, // asked about in its own way
}

// Every call that takes a name is asked about, and does nothing when it is
// refused.
func TestGuardSeesAllNames(t *testing.T) {
	bin := buildC(t, guardProgram)
	var g guarded
	results, _, _ := runGuarded(t, bin, &g)
	for i := range abi.Calls {
		c := &abi.Calls[i]
		if c.AMD64 < 0 || c.Groups()&abi.GroupFile == 0 || notServed[c.Name] || c.Name == "getcwd" {
			continue
		}
		if _, ok := results[c.Name]; !ok {
			t.Errorf("%s: not in the program", c.Name)
		}
		if !slices.ContainsFunc(g.all[c.Name], func(s string) bool { return strings.HasPrefix(s, "/w") }) {
			t.Errorf("%s (%s) is not asked about: %q", c.Name, results[c.Name], g.all[c.Name])
		}
	}
	for call, want := range map[string]string{
		"open": "/w/f r|/w/new2 rw|/w/f rw|/w/f s|/w rw", "creat": "/w/new w", "openat2": "/w/f rw", "openat": "/w/f w|/w/f r", "stat": "/w/f s", "lstat": "/w/l s",
		"link": "/w/f rw|/w/h w", "rename": "/w/h rw|/w/h3 w", "renameat2": "/w/d rwT|/w/d3 wT", "unlink": "/w/h3 w", "mkdir": "/w/d w",
		"execve": "/w/f x", "chmod": "/w/f w", "fchmod": "/w/f w", "fsetxattr": "/w/f w", "fremovexattr": "/w/f w", "fchown": "/w/f w", "truncate": "/w/f w",
		"inotify_add_watch": "/w/f r", "mount": "/w s|/w wT", "umount2": "/w s|/w wT", "chroot": "/w s", "readlink": "/w/l s", "symlink": "/w/s w",
		"bind": "/w/sock w", "connect": "/w/sock w", "sendto": "1 invalid AddrPortabstract", "sendmsg": "2 127.0.0.1:4711", "sendmmsg": "2 127.0.0.1:4711",
	} {
		got := slices.DeleteFunc(slices.Clone(g.all[call]), func(s string) bool { return !strings.HasPrefix(s, "/w") && s[0] == '/' })
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%s: %q, want %q", call, s, want)
		}
	}
	// Refused, each fails; what it would have made is not there.
	deny := guarded{deny: func(call string, a *Access) bool {
		return strings.HasPrefix(a.Path, "/w") && call != "openat" || a.Addr != nil
	}}
	refused, list, text := runGuarded(t, bin, &deny)
	for call, result := range refused {
		if call == "connect" && result == "ENOENT" { // for bind was refused
			continue
		}
		if result != "EXDEV" && call != "openat" {
			t.Errorf("%s, refused: %s (%q)", call, result, deny.all[call])
		}
	}
	if len(list) != 2 || text != "hello" {
		t.Errorf("refused calls have left %v, %q", list, text)
	}
}

// runGuarded runs the program, and returns the results of its calls, and what is
// then in its directory and in its file.
func runGuarded(t *testing.T, bin string, g *guarded) (results map[string]string, list []os.DirEntry, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	m := testMachine(t, WithMiddleware(g.middleware), WithUser(0, 0), WithBind(dir, "/w", false))
	out, err := m.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	results = map[string]string{}
	for line := range strings.Lines(string(out)) {
		call, result, _ := strings.Cut(strings.TrimSpace(line), " ")
		if was, ok := results[call]; ok && was != result {
			result = was + " " + result
		}
		results[call] = result
	}
	list, _ = os.ReadDir(dir)
	b, _ := os.ReadFile(filepath.Join(dir, "f"))
	return results, list, string(b)
}
