package sysemu_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
)

// reports collects what machines say.
type reports struct {
	mu   sync.Mutex
	msgs []string
}

func (r *reports) option() sysemu.Option {
	return sysemu.WithLog(func(msg string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.msgs = append(r.msgs, msg)
	})
}

func (r *reports) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.msgs, "\n")
}

// liar is a Mem that answers what cannot be, each file in its own way.
type liar struct{ *fsys.Mem }

func (l liar) Quick() bool { return false }

func (l liar) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	switch name {
	case "nothing":
		return nil, nil
	case "panic":
		panic("not again")
	}
	f, err := l.Mem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return lyingFile{f, name}, nil
}

func (l liar) Lstat(name string) (fs.FileInfo, error) {
	info, err := l.Mem.Lstat(name)
	switch name {
	case "negative":
		return lyingInfo{info}, err
	case "nostat":
		return nil, nil
	}
	return info, err
}

func (l liar) ReadLink(string) (string, error) { return strings.Repeat("x", 10_000), nil }

func (l liar) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(l.Mem, name)
	switch name {
	case "names":
		for _, bad := range []string{"a/b", "..", ".", "", "nul\x00", strings.Repeat("n", 256), "good", "good"} {
			list = append(list, lyingEntry(bad))
		}
		list = append(list, nil)
	case "endless":
		return make([]fs.DirEntry, 1<<21), nil
	}
	return list, err
}

type lyingInfo struct{ fs.FileInfo }

func (lyingInfo) Size() int64 { return -5 }

type lyingEntry string

func (e lyingEntry) Name() string               { return string(e) }
func (e lyingEntry) IsDir() bool                { return false }
func (e lyingEntry) Type() fs.FileMode          { return 0 }
func (e lyingEntry) Info() (fs.FileInfo, error) { return nil, nil }

type lyingFile struct {
	fsys.File
	name string
}

func (f lyingFile) ReadAt(p []byte, off int64) (int, error) {
	switch f.name {
	case "more":
		return len(p) + 1, nil
	case "less":
		return -1, nil
	case "readpanic":
		panic("while reading")
	case "odd":
		return 0, fmt.Errorf("no errno in here")
	}
	return f.File.ReadAt(p, off)
}

func (f lyingFile) WriteAt(p []byte, off int64) (int, error) {
	switch f.name {
	case "more":
		return len(p) + 1, nil
	case "less":
		return math.MinInt, nil
	case "none":
		return 0, nil
	}
	return f.File.WriteAt(p, off)
}

// A file system that lies gets programs an error, and the operator a message;
// the machine goes on.
func TestLyingFileSystem(t *testing.T) {
	mem := fsys.NewMem()
	for _, n := range []string{"nothing", "panic", "negative", "nostat", "more", "less", "readpanic", "odd", "none", "good"} {
		if err := fsys.WriteFile(mem, n, []byte("text\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	mem.Mkdir("names", 0o755)
	mem.Mkdir("endless", 0o755)
	mem.Symlink("x", "link")
	var said reports
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithFS(liar{mem}, "/lies"), said.option())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const script = `cd /lies
for f in nothing panic more less readpanic odd; do cat $f; done
stat -c %s negative; cat nostat; readlink link
ls names | wc -l; ls endless
for f in more less none; do echo x >> $f || echo failed; done
cat good`
	out, _ := m.Command("bash", "-c", script).CombinedOutput()
	got := string(out)
	for _, c := range []struct {
		what string
		n    int
	}{{"Input/output error", 11}, {"failed", 3}, {"text\n", 1}, {"\n1\n", 1}} {
		if n := strings.Count(got, c.what); n < c.n || c.what != "Input/output error" && n != c.n {
			t.Errorf("%q appears %d times, want %d", c.what, n, c.n)
		}
	}
	for _, s := range []string{
		"Go file system /lies (sysemu_test.liar)", "returned neither a file nor an error", "panic: not again",
		`Read of "more" returned`, `Read of "less" returned -1`, "panic: while reading", `Lstat of "negative" tells of -5 bytes`,
		"neither a FileInfo nor an error", "which is no name", `"good" twice`, "lists more than 1048576 names", "no more is told",
	} {
		if !strings.Contains(said.String(), s) {
			t.Errorf("the machine does not report %q", s)
		}
	}
	if t.Failed() {
		t.Logf("programs have:\n%s\nreported:\n%s", got, &said)
	}
}

// stuck is a file system whose files wait when they are read.
type stuck struct {
	*fsys.Mem
	entered chan struct{}
	release chan struct{}
	closed  atomic.Int32
}

func (s *stuck) Quick() bool { return false }

func (s *stuck) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	f, err := s.Mem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return stuckFile{f, s}, nil
}

type stuckFile struct {
	fsys.File
	s *stuck
}

func (f stuckFile) ReadAt(p []byte, off int64) (int, error) {
	f.s.entered <- struct{}{}
	<-f.s.release
	return f.File.ReadAt(p, off)
}

func (f stuckFile) Close() error {
	f.s.closed.Add(1)
	return f.File.Close()
}

func newStuck(t *testing.T) *stuck {
	s := &stuck{Mem: fsys.NewMem(), entered: make(chan struct{}, 10), release: make(chan struct{})}
	if err := fsys.WriteFile(s.Mem, "file", []byte("at last\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// A file system that waits holds up who asks it, nobody else; who is killed
// does not wait for it any longer.
func TestSlowFileSystem(t *testing.T) {
	s := newStuck(t)
	var said reports
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithFS(s, "/slow"), said.option())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var out bytes.Buffer
	first := m.Command("cat", "/slow/file")
	first.Stdout = &out
	second := m.Command("cat", "/slow/file")
	for _, c := range []*sysemu.Cmd{first, second} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		<-s.entered
	}
	if got, err := m.Command("sh", "-c", "ls /slow; echo others go on").CombinedOutput(); string(got) != "file\nothers go on\n" {
		t.Errorf("meanwhile: %q, %v", got, err)
	}
	second.Process.Kill()
	if err := second.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("who is killed while it waits: %v", err)
	}
	close(s.release)
	if err := first.Wait(); err != nil || out.String() != "at last\n" {
		t.Errorf("who waited: %v, %q", err, &out)
	}
	if s := said.String(); s != "" {
		t.Errorf("the machine reports %s", s)
	}
}

// Close does not wait for ever for a file system that never returns.
func TestStuckFileSystem(t *testing.T) {
	s := newStuck(t)
	var said reports
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithFS(s, "/slow"), said.option())
	if err != nil {
		t.Fatal(err)
	}
	cmd := m.Command("cat", "/slow/file")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-s.entered
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the program has ended well")
	}
	if !strings.Contains(said.String(), "1 calls of its Go file systems have not returned") {
		t.Errorf("the machine reports %q", &said)
	}
	close(s.release)
	for deadline := time.Now().Add(10 * time.Second); s.closed.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file was not closed")
		}
	}
}

// What programs write through shared mappings reaches the file system.
func TestMappedGoFileSystem(t *testing.T) {
	mem := fsys.NewMem()
	if err := fsys.WriteFile(mem, "file", bytes.Repeat([]byte("."), 10_000), 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithFS(mem, "/mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const script = `
import mmap, os
f = os.open("/mem/file", os.O_RDWR)
m = mmap.mmap(f, 10000)
m[5000:5004] = b"here"
print(os.pread(f, 4, 5000))
os.pwrite(f, b"over", 6000)
print(m[6000:6004])
m.flush()
print(open("/mem/file", "rb").read().count(b"here"))
m[9990:10000] = b"0123456789"
os._exit(0)
`
	out, err := m.Command("/usr/bin/python3", "-c", script).CombinedOutput()
	if err != nil || string(out) != "b'here'\nb'over'\n1\n" {
		t.Errorf("%s, %v", out, err)
	}
	want := bytes.Repeat([]byte("."), 10_000)
	copy(want[5000:], "here")
	copy(want[6000:], "over")
	copy(want[9990:], "0123456789")
	if got, err := fs.ReadFile(mem, "file"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes, %v; as written: %v", len(got), err, bytes.Equal(got, want))
	}
}

// A program such as git, which maps, renames, links and locks, runs on it.
func TestGitOnGoFileSystem(t *testing.T) {
	mem := fsys.NewMem()
	m, err := sysemu.New(sysemu.WithFS(mem, "/repo"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const script = `set -e; cd /repo; export HOME=/tmp; git init -q .; git config user.email a@b; git config user.name n
echo one > f; mkdir d; echo two > d/g; ln -s f l; git add .; git commit -qm first; echo more >> f; git diff --stat; git commit -qam second
git log --format=%s; git checkout -q HEAD~1; cat f; git status --short; git fsck --strict 2>/dev/null; rm f d/g; git checkout -q .; cat d/g`
	out, err := m.Command("bash", "-c", script).CombinedOutput()
	if err != nil || string(out) != " f | 1 +\n 1 file changed, 1 insertion(+)\nsecond\nfirst\none\ntwo\n" {
		t.Errorf("%s, %v", out, err)
	}
	if got, err := fs.ReadFile(mem, "l"); string(got) != "one\n" {
		t.Errorf("outside: %q, %v", got, err)
	}
}

// A root of a Go file system alone: nothing of the host's is seen.
func TestRootFS(t *testing.T) {
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	root := fstest.MapFS{
		"bin/busybox": {Data: busybox, Mode: 0o755}, "bin/sh": {Data: []byte("busybox"), Mode: fs.ModeSymlink | 0o777},
		"etc/motd": {Data: []byte("small\n"), Mode: 0o644},
	}
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithRootFS(root), sysemu.WithUser(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("/bin/sh", "-c", "cat /etc/motd; echo changed > /etc/motd; rm /bin/sh; cat /etc/motd; ls / /bin")
	cmd.Env = []string{"PATH=/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "small\nchanged\n/:\nbin\ndev\netc\nproc\nsys\n\n/bin:\nbusybox\n" {
		t.Errorf("%s, %v", out, err)
	}
	if string(root["etc/motd"].Data) != "small\n" || root["bin/sh"] == nil {
		t.Error("the root was changed")
	}
}

var _ io.ReaderAt = lyingFile{}
