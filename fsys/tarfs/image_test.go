package tarfs_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/fsys/tarfs"
)

// layout is the files of an image layout of the OCI.
type layout map[string][]byte

type descriptor struct {
	Digest   string            `json:"digest"`
	Platform map[string]string `json:"platform,omitempty"`
}

func (l layout) blob(b []byte) descriptor {
	hex := fmt.Sprintf("%x", sha256.Sum256(b))
	l["blobs/sha256/"+hex] = b
	return descriptor{Digest: "sha256:" + hex}
}

func (l layout) json(v any) descriptor {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return l.blob(b)
}

func (l layout) index(list ...descriptor) {
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": list})
	if err != nil {
		panic(err)
	}
	l["index.json"] = b
}

// write writes it to a directory.
func (l layout) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range l {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tar writes it to an archive.
func (l layout) tar(t *testing.T) string {
	t.Helper()
	var list []entry
	for _, name := range slices.Sorted(maps.Keys(l)) {
		list = append(list, entry{file, name, string(l[name])})
	}
	name := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(name, archive(list...), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

var lowerLayer = archive(entry{dir, "etc", ""}, entry{file, "etc/motd", "lower"}, entry{file, "etc/gone", ""}, entry{file, "d/old", ""})
var upperLayer = archive(entry{file, "etc/.wh.gone", ""}, entry{file, "etc/motd", "upper"}, entry{dir, "d", ""}, entry{file, "d/.wh..wh..opq", ""}, entry{file, "d/new", ""})

// newLayout makes an image of two layers, behind one for another machine and
// below a list.
func newLayout() (l layout, manifest descriptor) {
	l = layout{"oci-layout": []byte(`{"imageLayoutVersion": "1.0.0"}`)}
	config := l.json(map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{
		"Env": []string{"PATH=/bin"}, "Entrypoint": []string{"/bin/sh"}, "Cmd": []string{"-l"}, "WorkingDir": "/etc", "User": "5:6",
	}})
	manifest = l.json(map[string]any{"schemaVersion": 2, "config": config, "layers": []descriptor{l.blob(zipped(lowerLayer)), l.blob(zipped(upperLayer))}})
	manifest.Platform = map[string]string{"os": "linux", "architecture": "amd64"}
	other := descriptor{Digest: "sha256:" + strings.Repeat("0", 64), Platform: map[string]string{"os": "linux", "architecture": "arm64"}}
	l.index(l.json(map[string]any{"schemaVersion": 2, "manifests": []descriptor{other, manifest}}))
	return l, manifest
}

func checkImage(t *testing.T, name string) {
	t.Helper()
	f, config, err := tarfs.OpenImage(name)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	var names []string
	fs.WalkDir(f, ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if got := strings.Join(names, " "); got != ". d d/new etc etc/motd" {
		t.Errorf("the image has %s", got)
	}
	if b, err := fs.ReadFile(f, "etc/motd"); string(b) != "upper" {
		t.Errorf("etc/motd: %q, %v", b, err)
	}
	want := &tarfs.Config{Env: []string{"PATH=/bin"}, Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-l"}, WorkingDir: "/etc", User: "5:6"}
	if !reflect.DeepEqual(config, want) {
		t.Errorf("config %+v, want %+v", config, want)
	}
}

func TestOpenImage(t *testing.T) {
	l, _ := newLayout()
	checkImage(t, l.write(t))
	checkImage(t, l.tar(t))
	docker := layout{
		"a/layer.tar": lowerLayer, "b/layer.tar": upperLayer,
		"manifest.json": []byte(`[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]`),
		"c.json":        []byte(`{"config": {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/sh"], "Cmd": ["-l"], "WorkingDir": "/etc", "User": "5:6"}}`),
	}
	checkImage(t, docker.tar(t))
	// Any other archive is the root itself.
	f, config, err := tarfs.OpenImage(layout{"etc/motd": []byte("plain")}.tar(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := fs.ReadFile(f, "etc/motd"); string(b) != "plain" || !reflect.DeepEqual(config, &tarfs.Config{}) {
		t.Errorf("a plain archive: %q, %v, %+v", b, err, config)
	}
}

// What is wrong with an image is said, and nothing stays open.
func TestOpenImageWrong(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := open()
	for _, c := range []struct {
		name   string
		change func(l layout, manifest descriptor)
		want   string
	}{
		{"nothing in it", func(l layout, _ descriptor) { delete(l, "index.json") }, "neither index.json nor manifest.json"},
		{"not JSON", func(l layout, _ descriptor) { l["index.json"] = []byte("{") }, "index.json: unexpected end"},
		{"another platform", func(l layout, m descriptor) { m.Platform["os"] = "plan9"; l.index(m) }, "no image for linux on amd64"},
		{"empty", func(l layout, _ descriptor) { l.index() }, "no image for linux on amd64"},
		{"digest that leads out", func(l layout, _ descriptor) { l.index(descriptor{Digest: "sha256:../../etc/passwd"}) }, "is not one of sha256"},
		{"digest of another kind", func(l layout, _ descriptor) { l.index(descriptor{Digest: "md5:00"}) }, "is not one of sha256"},
		{"no such blob", func(l layout, _ descriptor) { l.index(descriptor{Digest: "sha256:" + strings.Repeat("1", 64)}) }, "no such file"},
		{"layer of another digest", func(l layout, _ descriptor) {
			for name, b := range l {
				if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
					l[name] = append(b, 0)
				}
			}
		}, "its digest is"},
		{"manifest of another digest", func(l layout, m descriptor) {
			name := "blobs/sha256/" + strings.TrimPrefix(m.Digest, "sha256:")
			l[name] = append(l[name], ' ')
		}, "its digest is"},
		{"layer by zstd", func(l layout, _ descriptor) {
			l.index(l.json(map[string]any{"layers": []descriptor{l.blob([]byte{0x28, 0xb5, 0x2f, 0xfd, 0})}}))
		}, "zstd"},
		{"layer cut off", func(l layout, _ descriptor) {
			z := zipped(lowerLayer)
			l.index(l.json(map[string]any{"layers": []descriptor{l.blob(z[:len(z)-20])}}))
		}, "unexpected EOF"},
		{"lists in one another", func(l layout, m descriptor) {
			for range 6 {
				m = l.json(map[string]any{"manifests": []descriptor{m}})
			}
			l.index(m)
		}, "too deep"},
	} {
		l, manifest := newLayout()
		c.change(l, manifest)
		f, _, err := tarfs.OpenImage(l.write(t))
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// TestSparse reads sparse files in all forms that GNU tar writes.
func TestSparse(t *testing.T) {
	temp := t.TempDir()
	const size = 3<<20 + 77
	want := make([]byte, size)
	copy(want[1<<20:], strings.Repeat("middle", 1000))
	copy(want[size-3:], "end")
	s, err := os.Create(filepath.Join(temp, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, p := range []struct {
		off int64
		n   int64
	}{{1 << 20, 6000}, {size - 3, 3}} {
		if _, err := s.WriteAt(want[p.off:p.off+p.n], p.off); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(temp, "t"), []byte("behind it"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]string{{"--format=gnu"}, {"--format=posix", "--sparse-version=0.0"}, {"--format=posix", "--sparse-version=0.1"}, {"--format=posix", "--sparse-version=1.0"}} {
		name := filepath.Join(temp, "a.tar")
		args := append([]string{"-C", temp, "--sparse", "--hole-detection=raw", "-cf", name}, form...)
		if out, err := exec.Command("tar", append(args, "s", "t")...).CombinedOutput(); err != nil {
			t.Fatalf("tar: %s, %v", out, err)
		}
		f, err := tarfs.Open(name)
		if err != nil {
			t.Errorf("%v: %v", form, err)
			continue
		}
		if got, err := fs.ReadFile(f, "s"); !bytes.Equal(got, want) {
			t.Errorf("%v: contents differ: %d bytes, %v", form, len(got), err)
		}
		if got, err := fs.ReadFile(f, "t"); string(got) != "behind it" {
			t.Errorf("%v: what follows: %q, %v", form, got, err)
		}
		info, err := f.Stat("s")
		if err != nil {
			t.Fatal(err)
		}
		if n := info.Sys().(*fsys.Stat).Blocks; info.Size() != size || n == 0 || n > 64 {
			t.Errorf("%v: %d bytes in %d blocks", form, info.Size(), n)
		}
		f.Close()
	}
}
