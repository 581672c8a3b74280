package sysemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/kernel"
	"golang.org/x/sys/unix"
)

// memory is a program of which there is nothing but a piece of memory.
type memory struct {
	base uint64
	b    []byte
	lent [][]byte
}

func (m *memory) PID() int { return 1 }
func (m *memory) TID() int { return 1 }
func (m *memory) at(addr uint64, n int) ([]byte, error) {
	if addr < m.base || addr-m.base > uint64(len(m.b)) || uint64(n) > uint64(len(m.b))-(addr-m.base) {
		return nil, unix.EFAULT
	}
	return m.b[addr-m.base:][:n], nil
}
func (m *memory) ReadMem(addr uint64, p []byte) error {
	b, err := m.at(addr, len(p))
	copy(p, b)
	return err
}
func (m *memory) WriteMem(addr uint64, p []byte) error {
	b, err := m.at(addr, len(p))
	copy(b, p)
	return err
}
func (m *memory) Lend(p []byte) (uint64, error) {
	m.lent = append(m.lent, p)
	return 0x1000 * uint64(len(m.lent)), nil
}

const memBase = 0x10000

// aCall is a call of a program with that memory, which begins at memBase.
func aCall(arch abi.Arch, name string, mem []byte, args ...uint64) (*Call, *memory) {
	m := &memory{base: memBase, b: mem}
	c := &kernel.Call{Arch: arch, Nr: abi.ByName(name).Number(arch)}
	copy(c.Args[:], args)
	return &Call{c, m}, m
}

func le32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

func le64(v ...uint64) (b []byte) {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

// What arguments mean, on either architecture.
func TestArgValues(t *testing.T) {
	const junk = 0xdeadbeef << 32
	p := uint64(memBase)
	for _, tc := range []struct {
		arch abi.Arch
		name string
		mem  []byte
		args []uint64
		i    int
		want any
	}{
		{abi.AMD64, "close", nil, []uint64{junk | 3}, 0, 3},
		{abi.AMD64, "openat", nil, []uint64{junk | 0xffffff9c}, 0, unix.AT_FDCWD},
		{abi.AMD64, "openat", []byte("/etc\x00"), []uint64{0, p}, 1, "/etc"},
		{abi.AMD64, "openat", nil, []uint64{0, 0, junk | unix.O_RDWR}, 2, Flags{abi.OpenFlags, unix.O_RDWR}},
		{abi.AMD64, "openat", nil, []uint64{0, 0, 0, 0o1644}, 3, int64(0o1644)},
		{abi.AMD64, "kill", nil, []uint64{junk | 0xffffffff, 15}, 0, int64(-1)},
		{abi.AMD64, "kill", nil, []uint64{0, junk | 15}, 1, unix.SIGTERM},
		{abi.AMD64, "lseek", nil, []uint64{0, ^uint64(4)}, 1, int64(-5)},
		{abi.I386, "lseek", nil, []uint64{0, 0xfffffffb}, 1, int64(-5)},
		{abi.I386, "pread64", nil, []uint64{0, 0, 0, 1, 2}, 3, int64(1 | 2<<32)},
		{abi.I386, "mmap2", nil, []uint64{0, 0, 0, 0, 0, 3}, 5, int64(3 << 12)},
		{abi.AMD64, "nanosleep", le64(1, 2), []uint64{p}, 0, unix.Timespec{Sec: 1, Nsec: 2}},
		{abi.I386, "nanosleep", le32(1, 0xffffffff), []uint64{p}, 0, unix.Timespec{Sec: 1, Nsec: -1}},
		{abi.I386, "clock_nanosleep_time64", le64(1, junk|2), []uint64{0, 0, p}, 2, unix.Timespec{Sec: 1, Nsec: 2}},
		{abi.AMD64, "utimensat", le64(1, 2, 3, 4), []uint64{0, 0, p}, 2, [2]unix.Timespec{{Sec: 1, Nsec: 2}, {Sec: 3, Nsec: 4}}},
		{abi.I386, "utimensat", le32(1, 2, 3, 4), []uint64{0, 0, p}, 2, [2]unix.Timespec{{Sec: 1, Nsec: 2}, {Sec: 3, Nsec: 4}}},
		{abi.AMD64, "setrlimit", le64(1, ^uint64(0)), []uint64{0, p}, 1, unix.Rlimit{Cur: 1, Max: unix.RLIM_INFINITY}},
		{abi.I386, "setrlimit", le32(1, ^uint32(0)), []uint64{0, p}, 1, unix.Rlimit{Cur: 1, Max: unix.RLIM_INFINITY}},
		{abi.AMD64, "poll", append(le32(5, 1), le32(6, 4)...), []uint64{p, junk | 2}, 0, []unix.PollFd{{Fd: 5, Events: 1}, {Fd: 6, Events: 4}}},
		{abi.AMD64, "select", []byte{0x81, 3, 0}, []uint64{9, p}, 1, []int{0, 7, 8}},
		{abi.AMD64, "setgroups", le32(1, 2), []uint64{2, p}, 1, []uint32{1, 2}},
		{abi.AMD64, "rt_sigaction", le64(1, 2, 3, 4), []uint64{0, p}, 1, abi.Sigaction{Handler: 1, Flags: 2, Restorer: 3, Mask: 4}},
		{abi.I386, "rt_sigaction", le32(1, 2, 3, 4, 5), []uint64{0, p}, 1, abi.Sigaction{Handler: 1, Flags: 2, Restorer: 3, Mask: 4 | 5<<32}},
		{abi.AMD64, "connect", []byte{2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, []uint64{0, p, 16}, 1, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}},
		{abi.AMD64, "bind", []byte("\x01\x00/x/y\x00zz"), []uint64{0, p, 9}, 1, &unix.SockaddrUnix{Name: "/x/y"}},
		{abi.AMD64, "bind", []byte("\x01\x00\x00ab"), []uint64{0, p, 5}, 1, &unix.SockaddrUnix{Name: "@ab"}},
		{abi.AMD64, "accept", append([]byte("\x01\x00/x"), le32(4)...), []uint64{0, p, p + 4}, 1, &unix.SockaddrUnix{Name: "/x"}},
		{abi.AMD64, "execve", append(le64(p+16, 0), "echo\x00"...), []uint64{0, p}, 1, []string{"echo"}},
		{abi.I386, "execve", append(le32(memBase+8, 0), "echo\x00"...), []uint64{0, p}, 1, []string{"echo"}},
		{abi.AMD64, "openat2", le64(1, 2), []uint64{0, 0, p, 16}, 2, unix.OpenHow{Flags: 1, Mode: 2}},
		{abi.AMD64, "nanosleep", nil, []uint64{0}, 0, nil},
		{abi.AMD64, "mount", []byte("x\x00"), []uint64{0, 0, 0, 0, 0}, 2, nil},

		// Hostile ones.
		{abi.AMD64, "openat", nil, []uint64{0, 0}, 1, nil},
		{abi.AMD64, "openat", bytes.Repeat([]byte("a"), 4096), []uint64{0, p + 4093}, 1, unix.EFAULT},
		{abi.AMD64, "openat", nil, []uint64{0, ^uint64(0)}, 1, unix.EFAULT},
		{abi.AMD64, "openat", bytes.Repeat([]byte("a"), 8192), []uint64{0, p}, 1, unix.ENAMETOOLONG},
		{abi.AMD64, "openat", append(bytes.Repeat([]byte("a"), 4095), 0), []uint64{0, p}, 1, strings.Repeat("a", 4095)},
		{abi.AMD64, "execve", bytes.Repeat(le64(p), 100000), []uint64{0, p}, 1, unix.E2BIG},
		{abi.AMD64, "execve", bytes.Repeat([]byte{1}, 4096), []uint64{0, p}, 1, unix.EFAULT},
		{abi.AMD64, "poll", nil, []uint64{p, 0xffffffff}, 0, unix.EINVAL},
		{abi.AMD64, "select", nil, []uint64{0x80000000, p}, 1, unix.EINVAL},
		{abi.AMD64, "select", nil, []uint64{0x7fffffff, p}, 1, unix.EFAULT},
		{abi.AMD64, "connect", nil, []uint64{0, p, 1}, 1, unix.EINVAL},
		{abi.AMD64, "connect", nil, []uint64{0, p, ^uint64(0)}, 1, unix.EINVAL},
		{abi.AMD64, "accept", nil, []uint64{0, p, 0}, 1, unix.EFAULT},
		{abi.AMD64, "accept", le32(1, ^uint32(0)), []uint64{0, p, p + 4}, 1, unix.EINVAL},
		{abi.AMD64, "readv", nil, []uint64{0, p, 1025}, 1, unix.EINVAL},
		{abi.AMD64, "readv", append(le64(p, ^uint64(0)), le64(p, 1)...), []uint64{0, p, 2}, 1, unix.EINVAL},
		{abi.AMD64, "sendmsg", make([]byte, 56), []uint64{0, p + 4090}, 1, unix.EFAULT},
	} {
		mem := append(tc.mem, make([]byte, -len(tc.mem)&4095)...) // whole pages
		c, _ := aCall(tc.arch, tc.name, mem, tc.args...)
		got, err := Arg{"", c.kind(tc.i), tc.i, c.Arg(tc.i), c}.Value()
		if want, fails := tc.want.(unix.Errno); fails {
			if !errors.Is(err, want) {
				t.Errorf("%v %s, argument %d: %v, %v; want %v", tc.arch, tc.name, tc.i, got, err, want)
			}
		} else if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v %s, argument %d: %#v, %v; want %#v", tc.arch, tc.name, tc.i, got, err, tc.want)
		}
	}
}

// No value of any argument of any call does harm, whatever the memory.
func TestArgsHostile(t *testing.T) {
	mem := bytes.Repeat([]byte{0xff, 1, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0}, 700)
	values := []uint64{0, 1, memBase, memBase + 13, memBase + uint64(len(mem)) - 3, 1 << 31, 1<<32 - 1, 1 << 63, ^uint64(0), ^uint64(0) - 7}
	n := 0
	for _, d := range abi.Calls {
		for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
			if d.Number(arch) < 0 {
				continue
			}
			for k, v := range values {
				args := make([]uint64, 6)
				for i := range args {
					args[i] = values[(k+i*3)%len(values)]
				}
				args[k%6] = v
				c, _ := aCall(arch, d.Name, slices.Clone(mem), args...)
				for _, a := range c.Args() {
					n++
					_ = a.String()
					val, err := a.Value()
					if b, ok := val.(*Buffer); ok && err == nil {
						b.Bytes(1 << 40)
						b.ReadAt(make([]byte, 10), 1<<62)
						b.WriteAt(make([]byte, 10), -1)
					}
					c.Put(a.Index, val)
					c.SetValue(a.Index, val)
					c.AbsPath(a.Index)
				}
			}
		}
	}
	if n < 10000 {
		t.Errorf("only %d arguments", n)
	}
	c, _ := aCall(abi.AMD64, "read", nil)
	c.c.Nr = 9999
	if a := c.Args(); len(a) != 6 || a[5].String() != "0x0" {
		t.Errorf("an unknown call: %v", a)
	}
	if _, err := (Arg{}).Value(); !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	if v, err := Value[string](c, 77); v != "" || err == nil {
		t.Errorf("an argument that there is not: %q, %v", v, err)
	}
	if _, err := Value[*Call](c, -1); err == nil {
		t.Error("an argument before the first")
	}
}

// What Put and SetValue write is what Value reads, in both layouts.
func TestArgRoundTrip(t *testing.T) {
	n := 0
	for k, s := range shapes {
		for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
			f := s.on(arch)
			zero := f.get(make([]byte, f.size))
			raw, ok := f.put(zero)
			if !ok || len(raw) != f.size || !reflect.DeepEqual(f.get(raw), zero) {
				t.Errorf("kind %d on %v: %v became %v", k, arch, zero, raw)
			}
			if _, ok := f.put(struct{}{}); ok {
				t.Errorf("kind %d on %v takes anything", k, arch)
			}
			n++
		}
	}
	if n < 100 {
		t.Error(n)
	}
	c, m := aCall(abi.I386, "nanosleep", make([]byte, 32), memBase, memBase+8)
	if err := c.Put(1, unix.Timespec{Sec: 3, Nsec: 4}); err != nil || !bytes.Equal(m.b[8:16], le32(3, 4)) {
		t.Errorf("%v %v", err, m.b)
	}
	if err := c.SetValue(0, unix.Timespec{Sec: 5, Nsec: 6}); err != nil || c.Arg(0) != 0x1000 || !bytes.Equal(m.lent[0], le32(5, 6)) {
		t.Errorf("%v %v", err, m.lent)
	}
	for _, err := range []error{c.Put(1, "text"), c.SetValue(0, 5), c.SetValue(0, nil), c.SetValue(5, 5.5)} {
		if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "nanosleep") {
			t.Error(err)
		}
	}
	c, m = aCall(abi.AMD64, "accept", append(make([]byte, 16), le32(6)...), 0, memBase, memBase+16)
	if err := c.Put(1, &unix.SockaddrInet4{Port: 0x102}); err != nil || !bytes.Equal(m.b, append([]byte{2, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, le32(16)...)) {
		t.Errorf("an address cut off: %v %v", err, m.b)
	}
	c, m = aCall(abi.I386, "pwrite64", nil, 1, memBase, 5, 0, 0)
	if err := errors.Join(c.SetValue(1, []byte("abc")), c.SetValue(3, int64(7<<32|9))); err != nil || c.Arg(2) != 3 || c.Arg(3) != 9 || c.Arg(4) != 7 || c.Int(3) != 7<<32|9 {
		t.Errorf("%v %v", err, c)
	}
	if _, err := ReadStruct[*int](c, memBase); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a pointer was made of a program's memory: %v", err)
	}
	if err := WriteStruct(c, memBase, struct{ s string }{}); !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	c, m = aCall(abi.AMD64, "getpid", make([]byte, 8))
	if err := WriteStruct(c, memBase, [2]uint32{1, 2}); err != nil || !bytes.Equal(m.b, le32(1, 2)) {
		t.Errorf("%v %v", err, m.b)
	}
	if v, err := ReadStruct[uint64](c, memBase); err != nil || v != 1|2<<32 {
		t.Error(v, err)
	}
}

// Pieces of a buffer are one.
func TestBuffer(t *testing.T) {
	mem := append(le64(memBase+64, 3, memBase+80, 0, memBase+96, 4), make([]byte, 64)...)
	copy(mem[64:], "abcX")
	copy(mem[96:], "defgX")
	c, m := aCall(abi.AMD64, "writev", mem, 1, memBase, 3)
	b, err := c.Buffer(1)
	if err != nil || b.Len() != 7 {
		t.Fatal(b, err)
	}
	var p [4]byte
	if n, err := b.ReadAt(p[:], 1); n != 4 || err != nil || string(p[:]) != "bcde" {
		t.Errorf("%d %v %q", n, err, p)
	}
	if n, err := b.ReadAt(p[:], 5); n != 2 || err != io.EOF || string(p[:2]) != "fg" {
		t.Errorf("%d %v %q", n, err, p)
	}
	if n, err := b.WriteAt([]byte("1234"), 2); n != 4 || err != nil || string(m.b[64:68])+string(m.b[96:101]) != "ab1X234gX" {
		t.Errorf("%d %v %q", n, err, m.b)
	}
	if n, err := b.WriteAt([]byte("56"), 6); n != 1 || err != io.ErrShortWrite {
		t.Errorf("%d %v", n, err)
	}
	if all, err := b.Bytes(100); string(all) != "ab12345" || err != nil {
		t.Errorf("%q %v", all, err)
	}
	c, _ = aCall(abi.AMD64, "read", nil, 0, memBase, ^uint64(0))
	if b, err := c.Buffer(1); err != nil || b.Len() != 1<<31-4096 {
		t.Error(b, err)
	} else if _, err := b.Bytes(b.Len()); !errors.Is(err, unix.EFAULT) {
		t.Error(err)
	}
}

// both runs a program in a machine and natively, with the same middleware; the outputs are its results.
func bothWays(t *testing.T, check func(t *testing.T, run func(mw Middleware, name string, args ...string) (string, error))) {
	t.Run("machine", func(t *testing.T) {
		check(t, func(mw Middleware, name string, args ...string) (string, error) {
			m := testMachine(t, WithMiddleware(mw), WithBind(os.TempDir(), os.TempDir(), false))
			out, err := m.Command(name, args...).CombinedOutput()
			return string(out), err
		})
	})
	for _, mode := range []Mode{ModeNullify, ModeSysemu} {
		t.Run(fmt.Sprint("native", mode), func(t *testing.T) {
			check(t, func(mw Middleware, name string, args ...string) (string, error) {
				cmd := exec.Command(name, args...)
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				n := startNative(t, cmd, WithMode(mode), WithMiddleware(mw), WithLog(func(msg string) { t.Error(msg) }))
				ws, err := n.Wait()
				if err == nil && ws != 0 {
					err = fmt.Errorf("wait status %#x", ws)
				}
				return out.String(), err
			})
		})
	}
}

// A handler sees the same arguments in a machine and natively, and they are what the program gave.
func TestArgsOfPrograms(t *testing.T) {
	bin := buildC(t, `#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include <string.h>
#include <time.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/syscall.h>
int main() {
	chdir("/tmp");
	symlinkat("the target", AT_FDCWD, "../nowhere/link");
	int d = open("/usr", O_RDONLY | O_DIRECTORY);
	mkdirat(d, "nowhere/dir", 01750);
	struct timespec ts[2] = {{1, 2}, {3, UTIME_OMIT}};
	syscall(SYS_utimensat, AT_FDCWD, "/nowhere/at all", ts, AT_SYMLINK_NOFOLLOW);
	struct sockaddr_un un = {AF_UNIX, "/nowhere/socket"};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	connect(s, (struct sockaddr *)&un, sizeof un);
	struct iovec v[2] = {{"some ", 5}, {"thing\n", 6}};
	writev(1, v, 2);
	truncate("/nowhere", 1L << 40);
	mkdirat(d, (char *)8, 0);
	return 0;
}`)
	want := []string{
		`symlinkat oldname="the target" newdfd=AT_FDCWD newname="../nowhere/link" /nowhere/link = ENOENT`,
		`mkdirat dfd=N pathname="nowhere/dir" mode=01750 /usr/nowhere/dir = ENOENT`,
		`utimensat dfd=AT_FDCWD filename="/nowhere/at all" utimes=[{Sec:1 Nsec:2} {Sec:3 Nsec:1073741822}] flags=AT_SYMLINK_NOFOLLOW = ENOENT`,
		`socket family=AF_UNIX type=SOCK_STREAM|SOCK_CLOEXEC protocol=0 = `,
		`connect fd=N uservaddr="/nowhere/socket" addrlen=110 = ENOENT`,
		`writev fd=1 "some thing\n" vlen=2 = `,
		`truncate path="/nowhere" length=1099511627776 = ENOENT`,
		`mkdirat dfd=N pathname=0 mode=0 = EFAULT`,
	}
	bothWays(t, func(t *testing.T, run func(Middleware, string, ...string) (string, error)) {
		var mu sync.Mutex
		var got []string
		mw := Only(func(next Handler) Handler {
			return HandlerFunc(func(c *Call) (uint64, error) {
				line := c.Name()
				for i, a := range c.Args() {
					if b, err := c.Buffer(i); err == nil {
						data, err := b.Bytes(b.Len())
						line += fmt.Sprintf(" %q", data)
						if err != nil {
							t.Error(err)
						}
						continue
					}
					s := a.String()
					if fd := a.Kind == abi.FD || a.Kind == abi.DirFD; fd && c.FD(i) > 2 {
						s = "N"
					}
					if a.Raw == 8 && a.Kind == abi.Path {
						s = "0"
					}
					line += " " + a.Name + "=" + s
				}
				if c.Name() == "symlinkat" || c.Name() == "mkdirat" {
					if p, err := c.AbsPath(map[string]int{"symlinkat": 2, "mkdirat": 1}[c.Name()]); err == nil {
						line += " " + p
					} else if c.Arg(1) != 8 || !errors.Is(err, unix.EFAULT) {
						t.Error(err)
					}
				}
				v, err := next.ServeCall(c)
				if e := Errno(err); e != 0 {
					line += " = " + abi.ErrnoName(e)
				} else {
					line += " = "
				}
				mu.Lock()
				got = append(got, line)
				mu.Unlock()
				return v, err
			})
		}, "symlinkat", "mkdirat", "utimensat", "socket", "connect", "writev", "truncate")
		out, err := run(mw, bin)
		if err != nil || out != "some thing\n" {
			t.Errorf("%q %v", out, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A call is given other arguments than the program's, whose memory and registers stay as they are.
func TestSetValue(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	other := filepath.Join(dir, "a file that is called otherwise, and by a longer name")
	if err := os.WriteFile(other, []byte("redirected"), 0o644); err != nil {
		t.Fatal(err)
	}
	bin := buildC(t, `#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
static const char name[] = "/nowhere/at/all"; // cannot be written
void *thread(void *x) {
	char b[100];
	for (int i = 0; i < 20; i++) {
		register const char *p asm("rsi") = name;
		long fd = AT_FDCWD, r = SYS_openat;
		asm volatile("syscall" : "+a"(r), "+r"(p) : "D"(fd), "d"(0) : "rcx", "r11", "memory");
		if (r < 0) return "open";
		if (p != name) return "rsi";
		memset(b, 0, sizeof b);
		read(r, b, sizeof b);
		if (strcmp(b, "redirected")) return "read";
		if (strcmp(name, "/nowhere/at/all")) return "name";
		close(r);
		if (access(name, 0) == 0 || errno != ENOENT) return "access";
	}
	return "ok";
}
int main() {
	pthread_t t[3];
	for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, thread, 0);
	for (int i = 0; i < 3; i++) {
		void *s;
		pthread_join(t[i], &s);
		if (strcmp(s, "ok")) { printf("%s\n", s); return 1; }
	}
	char b[] = "0123456789\n";
	long n = write(1, b, 11);
	if (n != 5 || strcmp(b, "0123456789\n")) return 2;
	char line[500];
	FILE *f = fopen("/proc/self/maps", "r");
	int maps = 0;
	while (fgets(line, sizeof line, f)) maps++;
	n = syscall(SYS_mkdir, name, 0);
	int after = 0;
	rewind(f);
	while (fgets(line, sizeof line, f)) after++;
	printf("%ld %d\n", n, after - maps);
	return 0;
}`)
	bothWays(t, func(t *testing.T, run func(Middleware, string, ...string) (string, error)) {
		mw := func(next Handler) Handler {
			return HandlerFunc(func(c *Call) (uint64, error) {
				switch c.Name() {
				case "openat":
					if p, err := c.Path(1); err != nil || p != "/nowhere/at/all" {
						break
					}
					if err := c.SetPath(1, other); err != nil {
						t.Error(err)
					}
					if p, err := c.Path(1); p != other || err != nil {
						t.Errorf("the call sees %q, %v", p, err)
					}
					v, err := next.ServeCall(c)
					if Errno(err) == unix.EINTR || Errno(err) >= 512 {
						return v, err
					}
					if c.Int(1); err != nil {
						t.Error(err)
					}
					return v, err
				case "write":
					b, err := c.Buffer(1)
					if err != nil {
						t.Error(err)
						break
					}
					if data, _ := b.Bytes(100); string(data) == "0123456789\n" {
						if err := c.SetValue(1, []byte("text\n")); err != nil {
							t.Error(err)
						}
					}
				case "mkdir": // answered after all
					for _, s := range []string{"/one", "/two"} {
						if err := c.SetPath(0, s); err != nil {
							t.Error(err)
						}
					}
					return 77, nil
				}
				return next.ServeCall(c)
			})
		}
		out, err := run(Only(mw, "openat", "write", "mkdir"), bin)
		if err != nil || out != "text\n77 0\n" {
			t.Errorf("%q %v", out, err)
		}
	})
}

// A call that signals interrupt and start again is given its other path each time; one that ends the address space has none
// to give back.
func TestSetPathInterrupted(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	fifo := filepath.Join(dir, "fifo")
	if err := errors.Join(unix.Mkfifo(fifo, 0o666), os.Chmod(fifo, 0o666)); err != nil {
		t.Fatal(err)
	}
	bin := buildC(t, `#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <sys/time.h>
int n;
void tick(int sig) {
	if (++n == 4 && open("/nowhere/fifo", O_RDWR) < 0) _exit(9);
}
int main() {
	struct sigaction sa = {tick};
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, 0);
	struct itimerval it = {{0, 20000}, {0, 20000}};
	setitimer(ITIMER_REAL, &it, 0);
	int fd = open("/nowhere/fifo", O_RDONLY);
	int e = errno;
	memset(&it, 0, sizeof it);
	setitimer(ITIMER_REAL, &it, 0);
	if (fd < 0) { printf("%s after %d\n", strerror(e), n); return 1; }
	execl("/nowhere/echo", "echo", "done", (char *)0);
	return 2;
}`)
	bothWays(t, func(t *testing.T, run func(Middleware, string, ...string) (string, error)) {
		mw := func(next Handler) Handler {
			return HandlerFunc(func(c *Call) (uint64, error) {
				for i, a := range c.Args()[:2] {
					if a.Kind != abi.Path {
						continue
					}
					switch p, _ := c.Path(i); p {
					case "/nowhere/fifo":
						if err := c.SetPath(i, fifo); err != nil {
							return 0, err
						}
					case "/nowhere/echo":
						if err := c.SetPath(i, "/bin/echo"); err != nil {
							return 0, err
						}
					}
				}
				return next.ServeCall(c)
			})
		}
		out, err := run(Only(mw, "open", "openat", "execve"), bin)
		if err != nil || out != "done\n" {
			t.Errorf("%q %v", out, err)
		}
	})
}
