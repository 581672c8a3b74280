package pseudofs_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// world is a tree with fixed names and a directory of numbers that come and go.
type world struct {
	ctx     *vfstest.Context
	at      vfs.At
	numbers []int
	made    int // texts made so far
	stored  string
}

func run(t *testing.T, f func(w *world)) {
	var k waittest.Kernel
	k.Do(func() {
		task := k.NewTask()
		w := &world{ctx: vfstest.Root(task)}
		fs := pseudofs.New("test", 0x1234, 7, 1e9)
		root := fs.Mkdir("root")
		fs.SetRoot(root)
		root.Sub("a").Sub("b").Const("text", "hello\n")
		root.Link("link", "a/b")
		root.Text("count", func(vfs.Context) ([]byte, error) {
			w.made++
			return []byte(strconv.Itoa(w.made) + "\n"), nil
		})
		set := root.Const("set", "")
		set.Mode = 0o644
		set.Write = func(_ vfs.Context, p []byte) error {
			if string(p) == "bad" {
				return unix.EINVAL
			}
			w.stored = string(p)
			return nil
		}
		live := &pseudofs.Live{Dir: *fs.Mkdir("live")}
		live.Const("fixed", "x")
		live.Find = func(_ vfs.Context, name string) (vfs.Inode, error) {
			n, err := strconv.Atoi(name)
			if err != nil || !slices.Contains(w.numbers, n) {
				return nil, unix.ENOENT
			}
			return fs.Mkdir("number" + name), nil
		}
		live.Same = func(_ vfs.Context, name string, _ vfs.Inode) bool {
			n, _ := strconv.Atoi(name)
			return slices.Contains(w.numbers, n)
		}
		live.List = func(vfs.Context) ([]pseudofs.Entry, error) {
			var list []pseudofs.Entry
			for _, n := range w.numbers {
				list = append(list, pseudofs.Entry{Name: strconv.Itoa(n), ID: int64(n), Type: unix.DT_DIR, Ino: uint64(n)})
			}
			return list, nil
		}
		root.Add("live", live)
		ns, err := vfs.NewNamespace(w.ctx, fs, 0, "test")
		if err != nil {
			t.Fatal(err)
		}
		p := ns.Root()
		w.at = vfs.At{Root: p, Dir: p}
		f(w)
	})
}

func (w *world) open(t *testing.T, name string, flags int) *vfs.File {
	t.Helper()
	f, err := vfs.Open(w.ctx, w.at, name, flags, 0, 0)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

func (w *world) read(t *testing.T, name string) string {
	t.Helper()
	f := w.open(t, name, unix.O_RDONLY)
	defer f.Unref(w.ctx)
	var b [4096]byte
	n, err := f.Read(w.ctx, b[:])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(b[:n])
}

func TestText(t *testing.T) {
	run(t, func(w *world) {
		if s := w.read(t, "/link/text"); s != "hello\n" {
			t.Errorf("read %q", s)
		}
		f := w.open(t, "/count", unix.O_RDONLY)
		defer f.Unref(w.ctx)
		var one [1]byte
		for _, want := range []string{"1", "\n", ""} {
			n, err := f.Read(w.ctx, one[:])
			if err != nil || string(one[:n]) != want {
				t.Errorf("read %q, %v; want %q", one[:n], err, want)
			}
		}
		if w.made != 1 {
			t.Errorf("a file read byte by byte was made %d times", w.made)
		}
		if _, err := f.Seek(w.ctx, 0, unix.SEEK_SET); err != nil {
			t.Error(err)
		}
		if n, _ := f.Read(w.ctx, one[:]); n != 1 || one[0] != '2' {
			t.Errorf("read again: %q", one)
		}
		if _, err := f.Seek(w.ctx, 0, unix.SEEK_END); err != unix.EINVAL {
			t.Errorf("SEEK_END: %v", err)
		}
		if a, err := f.Stat(w.ctx); err != nil || a.Mode != unix.S_IFREG|0o444 || a.Size != 0 || a.Dev != 7 {
			t.Errorf("stat %+v, %v", a, err)
		}
	})
}

func TestWrite(t *testing.T) {
	run(t, func(w *world) {
		f := w.open(t, "/set", unix.O_WRONLY|unix.O_TRUNC|unix.O_CREAT)
		defer f.Unref(w.ctx)
		if n, err := f.Write(w.ctx, []byte("some")); n != 4 || err != nil || w.stored != "some" {
			t.Errorf("%d, %v, %q", n, err, w.stored)
		}
		if _, err := f.Write(w.ctx, []byte("bad")); err != unix.EINVAL {
			t.Errorf("refused write: %v", err)
		}
		if err := vfs.Chmod(w.ctx, w.at, "/set", 0o777, vfs.Follow); err != unix.EPERM {
			t.Errorf("chmod: %v", err)
		}
	})
}

func TestNothingIsMade(t *testing.T) {
	run(t, func(w *world) {
		if err := vfs.Mkdir(w.ctx, w.at, "/x", 0o777); err != unix.ENOENT {
			t.Errorf("mkdir: %v", err)
		}
		if _, err := vfs.Open(w.ctx, w.at, "/live/x", unix.O_CREAT|unix.O_RDWR, 0o666, 0); err != unix.ENOENT {
			t.Errorf("create: %v", err)
		}
		if err := vfs.Unlink(w.ctx, w.at, "/count"); err != unix.EPERM {
			t.Errorf("unlink: %v", err)
		}
		if err := vfs.Rename(w.ctx, w.at, "/count", w.at, "/x", 0); err != unix.ENOENT {
			t.Errorf("rename: %v", err)
		}
	})
}

// TestLive: names that go are gone at once, and a listing goes on from where
// it was whatever came and went meanwhile.
func TestLive(t *testing.T) {
	run(t, func(w *world) {
		w.numbers = []int{3, 5, 8}
		stat := func(name string) error {
			_, err := vfs.Stat(w.ctx, w.at, name, 0)
			return err
		}
		if err := stat("/live/5"); err != nil {
			t.Error(err)
		}
		if err := stat("/live/4"); err != unix.ENOENT {
			t.Error(err)
		}
		f := w.open(t, "/live", unix.O_RDONLY|unix.O_DIRECTORY)
		defer f.Unref(w.ctx)
		var got []string
		step := func(n int) {
			f.ReadDir(w.ctx, func(e vfs.DirEntry) bool {
				if n == 0 {
					return false
				}
				n--
				got = append(got, e.Name)
				return true
			})
		}
		step(4) // ".", "..", "fixed", 3
		w.numbers = []int{4, 8, 9}
		step(100)
		if want := []string{".", "..", "fixed", "3", "4", "8", "9"}; !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
		if err := stat("/live/5"); err != unix.ENOENT {
			t.Errorf("a name that is gone: %v", err)
		}
		if err := stat("/live/4"); err != nil {
			t.Errorf("a name that has come: %v", err)
		}
	})
}
