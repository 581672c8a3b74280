package tarfs_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/fsys/tarfs"
)

// entry is one of an archive in a test: a type, a name, and contents or target.
type entry struct {
	kind byte
	name string
	data string
}

func archive(entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Mode: 0o755, ModTime: time.Unix(1000, 0), Uid: 5, Gid: 6, Format: tar.FormatPAX}
		switch e.kind {
		case tar.TypeReg:
			h.Size = int64(len(e.data))
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "v"}
		case tar.TypeSymlink, tar.TypeLink:
			h.Linkname = e.data
		case tar.TypeChar:
			h.Devmajor, h.Devminor = 1, 3
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if e.kind == tar.TypeReg {
			io.WriteString(w, e.data)
		}
	}
	w.Close()
	return b.Bytes()
}

func open(layers ...[]byte) (*tarfs.FS, error) {
	var s []*io.SectionReader
	for _, b := range layers {
		s = append(s, io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))))
	}
	return tarfs.New(s...)
}

const (
	file = tar.TypeReg
	dir  = tar.TypeDir
	link = tar.TypeSymlink
	hard = tar.TypeLink
)

func TestTree(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	f, err := open(archive(
		entry{dir, "./", ""}, entry{file, "./a/b/f", "text"}, entry{link, "l", "a/b"}, entry{hard, "h", "a/b/f"}, entry{file, "/abs", "x"},
		entry{file, long, "deep"}, entry{tar.TypeFifo, "fifo", ""}, entry{tar.TypeChar, "null", ""}, entry{file, "twice", "1"}, entry{file, "twice", "22"},
		entry{link, "lib", "usr/lib"}, entry{file, "lib/so", "so"}, entry{link, "abslink", "/a"}, entry{file, "abslink/g", "g"},
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/b/f": "text", "l/f": "text", "h": "text", "abs": "x", long: "deep", "twice": "22", "usr/lib/so": "so", "a/g": "g"} {
		if got, err := fs.ReadFile(f, name); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	info, err := fs.Lstat(f, "h")
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*fsys.Stat)
	if s.Nlink != 2 || s.UID != 5 || s.GID != 6 || info.ModTime().Unix() != 1000 || info.Mode() != 0o755 || info.Name() != "h" {
		t.Errorf("h: %+v, %v", s, info)
	}
	if v, err := f.Getxattr("h", "user.x"); string(v) != "v" {
		t.Errorf("xattr: %q, %v", v, err)
	}
	sub, _ := fs.Sub(f, "a")
	if err := fstest.TestFS(sub, "b/f", "g"); err != nil {
		t.Error(err)
	}
	// The same in a machine.
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithFS(f, "/mnt"), sysemu.WithLog(func(s string) { t.Error(s) }))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("sh", "-c", "cd /mnt; cat l/f h lib/so; stat -c '%n %F %u:%g %h %s' h l fifo null; echo x > new || cat abs").CombinedOutput()
	want := "texttextso" + "h regular file 5:6 2 4\nl symbolic link 5:6 1 3\nfifo fifo 5:6 1 0\nnull character special file 5:6 1 0\n"
	if !strings.HasPrefix(string(out), want) || !strings.HasSuffix(string(out), "x") {
		t.Errorf("inside: %s, %v", out, err)
	}
}

func TestLayers(t *testing.T) {
	f, err := open(
		archive(entry{file, "gone", ""}, entry{file, "stays", "1"}, entry{file, "d/x", ""}, entry{file, "o/old", ""}, entry{file, "kind", ""}, entry{file, "p/q", ""}),
		archive(entry{file, ".wh.gone", ""}, entry{file, ".wh.d", ""}, entry{dir, "o", ""}, entry{file, "o/new", ""}, entry{file, "o/.wh..wh..opq", ""},
			entry{file, "kind/f", ""}, entry{file, "p/.wh.q", ""}, entry{file, "p/r", ""}, entry{file, ".wh..wh.plnk", ""}, entry{file, ".wh.never", ""}),
	)
	if err == nil {
		t.Fatal("a file in what is a file was taken")
	}
	var ee *tarfs.EntryError
	if !errors.As(err, &ee) || ee.Name != "kind/f" || ee.Layer != 1 {
		t.Errorf("error %v", err)
	}
	f, err = open(
		archive(entry{file, "gone", ""}, entry{file, "stays", "1"}, entry{file, "d/x", ""}, entry{file, "o/old", ""}, entry{file, "kind", ""}, entry{file, "p/q", ""}),
		archive(entry{file, ".wh.gone", ""}, entry{file, ".wh.d", ""}, entry{dir, "o", ""}, entry{file, "o/new", ""}, entry{file, "o/.wh..wh..opq", ""},
			entry{dir, "kind", ""}, entry{file, "kind/f", ""}, entry{file, "p/.wh.q", ""}, entry{file, "p/r", ""}),
		archive(entry{file, "gone", "back"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	fs.WalkDir(f, ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if got := strings.Join(names, " "); got != ". gone kind kind/f o o/new p p/r stays" {
		t.Errorf("layers make %s", got)
	}
}

// What cannot be is an error that names the entry.
func TestHostile(t *testing.T) {
	good := archive(entry{file, "a", strings.Repeat("x", 5000)})
	cut := good[:3000]
	deep := strings.Repeat("d/", 3000) + "f"
	for _, c := range []struct {
		name    string
		archive []byte
		entry   string
	}{
		{"leads out", archive(entry{file, "../../etc/passwd", ""}), "../../etc/passwd"},
		{"leads out in the middle", archive(entry{file, "a/../../x", ""}), "a/../../x"},
		{"link loop", archive(entry{link, "l", "m"}, entry{link, "m", "l"}, entry{file, "l/f", ""}), "l/f"},
		{"hard link to nothing", archive(entry{hard, "h", "none"}), "h"},
		{"hard link to itself", archive(entry{hard, "h", "h"}), "h"},
		{"hard link out", archive(entry{hard, "h", "../../etc/passwd"}), "h"},
		{"hard link to a directory", archive(entry{dir, "d", ""}, entry{hard, "h", "d"}), "h"},
		{"below a file", archive(entry{file, "f", ""}, entry{file, "f/g", ""}), "f/g"},
		{"cut off", cut, "a"},
		{"too deep", archive(entry{file, deep, ""}), deep},
		{"too long", archive(entry{file, strings.Repeat("n", 256), ""}), strings.Repeat("n", 256)},
		{"no whiteout", archive(entry{file, "x/.wh...", ""}), "x/.wh..."},
		{"empty link", archive(entry{link, "l", ""}), "l"},
	} {
		_, err := open(c.archive)
		var ee *tarfs.EntryError
		if !errors.As(err, &ee) || ee.Name != c.entry {
			t.Errorf("%s: %.200v", c.name, err)
		}
	}
	for i := range 300 { // whatever is there, it does not end the program
		b := bytes.Clone(good)
		b[i*37%1500] ^= byte(i + 1)
		open(b)
	}
	// A link out leads nowhere but into the tree.
	f, err := open(archive(entry{link, "up", "../../../../etc"}, entry{file, "up/f", "in"}))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(f, "etc/f"); string(b) != "in" {
		t.Errorf("through a link up: %q, %v", b, err)
	}
}

func TestOpenCompressed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.tar.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(archive(entry{file, "f", "packed"}))
	z.Close()
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := tarfs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := fs.ReadFile(f, "f"); string(b) != "packed" {
		t.Errorf("%q, %v", b, err)
	}
	os.WriteFile(name, []byte{0x28, 0xb5, 0x2f, 0xfd, 0}, 0o644)
	if _, err := tarfs.Open(name); !errors.Is(err, tarfs.ErrZstd) {
		t.Errorf("zstd: %v", err)
	}
}

func ExampleNew() {
	lower := archive(entry{file, "etc/motd", "from the lower layer\n"}, entry{file, "etc/gone", ""})
	upper := archive(entry{file, "etc/.wh.gone", ""})
	f, err := open(lower, upper)
	if err != nil {
		log.Fatal(err)
	}
	list, err := f.ReadDir("etc")
	fmt.Println(list, err)
	// Output: [- motd] <nil>
}
