package sysemu_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	gofstest "testing/fstest"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/fsys/tarfs"
	"golang.org/x/sys/unix"
)

// smallRoot is a directory with busybox and some files.
func smallRoot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "etc", "keep", "lost/deep", "moved/in", "emptied", "tmp", "dev", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{
		"bin/busybox": string(busybox), "etc/a": "a\n", "etc/b": "b\n", "etc/c": "c\n", "keep/x": "x\n", "lost/deep/y": "y\n",
		"moved/in/z": "z\n", "moved/w": "w\n", "emptied/v": "v\n", "etc/kind": "file\n", "etc/big": strings.Repeat("big\n", 50_000),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("busybox", filepath.Join(dir, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	return dir
}

const changing = `set -e
echo changed > /etc/a; rm /etc/b; chmod 600 /etc/c; rm -r /lost
mkdir /new /new/sub; echo n > /new/sub/f; ln -s ../etc/a /new/link; ln /new/sub/f /new/hard; mkfifo /new/fifo
rm -r /emptied; mkdir /emptied; echo other > /emptied/u
mv /moved /renamed; echo more >> /renamed/in/z; rm /etc/kind; mkdir /etc/kind; echo in > /etc/kind/f
mv /etc/big /etc/large; chmod 4711 /etc/large; touch -d @1234567 /new/sub; chown 3:4 /new/sub/f
`

// describe is a tree in words: all but what differs between one file system and
// another.
func describe(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var out []string
	first := map[uint64]string{}
	err := fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name {
		case ".":
			return nil
		case "dev", "proc", "sys":
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		s := fmt.Sprintf("%s %v %d", name, info.Mode(), info.ModTime().UnixNano())
		st := info.Sys().(*fsys.Stat)
		s += fmt.Sprintf(" %d:%d", st.UID, st.GID)
		switch info.Mode().Type() {
		case 0:
			b, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			s += fmt.Sprintf(" %d %.20q links %d", len(b), b, st.Nlink)
			if st.Nlink > 1 {
				if first[st.Ino] == "" {
					first[st.Ino] = name
				}
				s += " as " + first[st.Ino]
			}
		case fs.ModeSymlink:
			to, err := fs.ReadLink(tree, name)
			if err != nil {
				return err
			}
			s += " -> " + to
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func differTree(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, s := range want {
		if !slices.Contains(got, s) {
			t.Errorf("%s: missing %s", what, s)
		}
	}
	for _, s := range got {
		if !slices.Contains(want, s) {
			t.Errorf("%s: there is %s", what, s)
		}
	}
}

func newSmall(t *testing.T, opts ...sysemu.Option) *sysemu.Machine {
	t.Helper()
	m, err := sysemu.New(append(opts, sysemu.WithCPUs(1), sysemu.WithUser(0, 0))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func changeAll(t *testing.T, m *sysemu.Machine) {
	t.Helper()
	cmd := m.Command("/bin/sh", "-c", changing)
	cmd.Env = []string{"PATH=/bin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s, %v", out, err)
	}
}

func TestChanges(t *testing.T) {
	root := smallRoot(t)
	m := newSmall(t, sysemu.WithRoot(root))
	if list, err := m.Changes(); err != nil || len(list) != 0 {
		t.Errorf("before: %v, %v", list, err)
	}
	changeAll(t, m)
	list, err := m.Changes()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		s := c.Kind.String() + " " + c.Path
		if c.From != "" {
			s += " from " + c.From
		}
		if (c.Info == nil) != (c.Kind == sysemu.ChangeDeleted) {
			t.Errorf("%s: %v", s, c.Info)
		}
		got = append(got, s)
	}
	want := []string{
		"deleted /emptied", "added /emptied", "added /emptied/u", "modified /etc/a", "deleted /etc/b", "deleted /etc/big", "modified /etc/c",
		"deleted /etc/kind", "added /etc/kind", "added /etc/kind/f", "added /etc/large", "deleted /lost", "deleted /moved",
		"added /new", "added /new/fifo", "added /new/hard", "added /new/link", "added /new/sub", "added /new/sub/f",
		"moved /renamed from /moved", "modified /renamed/in/z",
	}
	differTree(t, "changes", got, want)

	// What was changed, committed to a copy of the root, makes the same tree.
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	os.WriteFile(filepath.Join(outside, "precious"), []byte("p"), 0o644)
	os.RemoveAll(filepath.Join(copied, "lost")) // a link out, in the way of a change
	if err := os.Symlink(outside, filepath.Join(copied, "lost")); err != nil {
		t.Fatal(err)
	}
	if err := m.CommitChanges(copied); err != nil {
		t.Error(err)
	}
	committed := newSmall(t, sysemu.WithRoot(copied))
	same := func(list []string) []string { // of what was not changed, the times are those of the copying
		var out []string
		for _, s := range list {
			f := strings.Fields(s)
			if slices.Contains([]string{"keep", "keep/x", "bin", "bin/sh", "bin/busybox", "tmp"}, f[0]) {
				f[2] = "time"
			}
			out = append(out, strings.Join(f, " "))
		}
		return out
	}
	if os.Geteuid() == 0 {
		differTree(t, "committed", same(describe(t, committed.FS())), same(describe(t, m.FS())))
	}
	if b, err := os.ReadFile(filepath.Join(outside, "precious")); string(b) != "p" {
		t.Errorf("what a link led to: %q, %v", b, err)
	}
	if left, _ := filepath.Glob(filepath.Join(copied, "*/.sysemu-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestExportChanges(t *testing.T) {
	m := newSmall(t, sysemu.WithRoot(smallRoot(t)))
	changeAll(t, m)
	var layer bytes.Buffer
	if err := m.ExportChanges(&layer); err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(&layer); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	for _, want := range []string{"etc/.wh.b", ".wh.lost", ".wh.moved", "emptied/.wh..wh..opq", "renamed/in/z", "renamed/w", "new/fifo"} {
		if !slices.Contains(names, want) {
			t.Errorf("the layer has no %s", want)
		}
	}
	// A writer that fails is told of.
	full := errors.New("full")
	if err := m.ExportChanges(failing{full}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
	// So is a name that would be taken for a mark.
	if err := m.Command("/bin/busybox", "touch", "/etc/.wh.c").Run(); err != nil {
		t.Fatal(err)
	}
	if err := m.ExportChanges(io.Discard); err == nil || !strings.Contains(err.Error(), "/etc/.wh.c") {
		t.Errorf("a file that is named like a mark: %v", err)
	}
}

// more is harder to tell in a layer: names that come back as something else,
// moves of what was moved, links to files of the lower tree.
const more = `set -e
mv /keep /new/keep; mkdir /keep; echo k > /keep/y; mv /renamed /new/keep/again; ln -s nowhere /etc/b; ln -s keep /moved; echo l > /lost
ln /bin/busybox /bin/busier; ln /etc/large /etc/kind/large; rm /emptied/u; rmdir /emptied; mkdir -p /emptied/v; chmod 1700 /emptied
rm /new/keep/again/w; mkdir /new/keep/again/w; touch /.wh; mkdir -p "/a b/c"; echo > "/a b/c/$(printf 'new\\nline')"; chmod 700 /etc
`

// TestLayer exports what programs changed, and puts that over what they began
// with: it is the same tree.
func TestLayer(t *testing.T) {
	root := smallRoot(t)
	name := filepath.Join(t.TempDir(), "lower.tar")
	if out, err := exec.Command("tar", "--format=posix", "-C", root, "-cf", name, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %s, %v", out, err)
	}
	lower, err := tarfs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer lower.Close()
	for what, begin := range map[string]sysemu.Option{"a directory": sysemu.WithRoot(root), "an archive": sysemu.WithRootFS(lower)} {
		m := newSmall(t, begin)
		changeAll(t, m)
		cmd := m.Command("/bin/sh", "-c", more)
		cmd.Env = []string{"PATH=/bin"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s, %v", out, err)
		}
		layer := filepath.Join(t.TempDir(), "layer.tar")
		f, err := os.Create(layer)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.ExportChanges(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		both, err := tarfs.Open(name, layer)
		if err != nil {
			t.Fatal(err)
		}
		defer both.Close()
		want := describe(t, m.FS())
		differTree(t, "over "+what, describe(t, both), want)
		again := newSmall(t, sysemu.WithRootFS(both))
		differTree(t, "over "+what+", in a machine", describe(t, again.FS()), want)
		if list, err := again.Changes(); err != nil || len(list) > 0 {
			t.Errorf("changes of what nobody changed: %v, %v", list, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestMachineFS(t *testing.T) {
	root := smallRoot(t)
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithRoot(root), sysemu.WithUser(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	changeAll(t, m)
	// Programs go on changing things meanwhile.
	busy := m.Command("/bin/busybox", "sh", "-c", "while :; do echo x > /tmp/a; mv /tmp/a /tmp/b; rm /tmp/b; done")
	busy.Env = []string{"PATH=/bin"}
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"etc", "new", "renamed"} {
		sub, err := fs.Sub(m.FS(), dir)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{"etc": {"a", "c", "kind/f", "large"}, "new": {"sub/f", "hard"}, "renamed": {"in/z", "w"}}[dir]
		if dir == "new" {
			m.Command("/bin/busybox", "rm", "/new/fifo").Run() // nothing that can be opened
		}
		if err := gofstest.TestFS(sub, want...); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for range 50 {
		if _, err := fs.ReadDir(m.FS(), "tmp"); err != nil {
			t.Error(err)
		}
	}
	if b, err := fs.ReadFile(m.FS(), "new/link"); string(b) != "changed\n" {
		t.Errorf("through a link: %q, %v", b, err)
	}
	if b, err := fs.ReadFile(m.FS(), "proc/1/comm"); string(b) != "init\n" {
		t.Errorf("/proc/1/comm: %q, %v", b, err)
	}
	for name, want := range map[string]error{"none": fs.ErrNotExist, "../etc": fs.ErrInvalid, "/etc": fs.ErrInvalid, "etc/a/b": unix.ENOTDIR, "dev/null": unix.ENXIO} {
		if _, err := m.FS().Open(name); !errors.Is(err, want) {
			t.Errorf("opening %s: %v, want %v", name, err, want)
		}
	}
	f, err := m.FS().Open("etc/a")
	if err != nil {
		t.Fatal(err)
	}
	busy.Process.Kill()
	busy.Wait()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, sysemu.ErrClosed) {
		t.Errorf("reading with the machine closed: %v", err)
	}
	f.Close()
	if _, err := m.FS().Open("etc/a"); !errors.Is(err, sysemu.ErrClosed) {
		t.Errorf("opening with the machine closed: %v", err)
	}
	if _, err := m.Changes(); !errors.Is(err, sysemu.ErrClosed) {
		t.Errorf("changes of a closed machine: %v", err)
	}
	if err := m.ExportChanges(io.Discard); !errors.Is(err, sysemu.ErrClosed) {
		t.Errorf("export of a closed machine: %v", err)
	}
	if err := m.CommitChanges(t.TempDir()); !errors.Is(err, sysemu.ErrClosed) {
		t.Errorf("commit of a closed machine: %v", err)
	}
}
