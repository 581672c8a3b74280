package tarfs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Config is what an image says of how it is run.
type Config struct {
	Env        []string
	Entrypoint []string
	Cmd        []string
	WorkingDir string
	User       string
}

// ErrZstd is the error of an archive compressed by zstd, which the standard
// library does not read.
var ErrZstd = errors.New("compressed by zstd, which is not supported: decompress it first (zstd -d), or make the image with gzip")

// maxUnpacked bounds what a compressed archive may become on disk.
const maxUnpacked = 32 << 30

// Open opens a tar archive, or several over one another, the lowest first. Those
// compressed by gzip are decompressed into files without a name in the
// directory for temporary files.
func Open(names ...string) (*FS, error) {
	var o opener
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return nil, o.fail(err)
		}
		o.files = append(o.files, file)
		if err := o.layer(name, file, ""); err != nil {
			return nil, o.fail(err)
		}
	}
	return o.done()
}

// OpenImage opens an image: a directory or tar archive with an image layout of
// the OCI in it, or what docker save writes; the first image in it, for linux
// on amd64. Any other tar archive is taken for the root itself. Digests are
// checked.
func OpenImage(name string) (*FS, *Config, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	var o opener
	var tree fs.FS
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, nil, err
		}
		o.files = append(o.files, root)
		tree = root.FS()
	} else {
		archive, err := Open(name)
		if err != nil {
			return nil, nil, err
		}
		_, noOCI := archive.Lstat("index.json")
		_, noDocker := archive.Lstat("manifest.json")
		if noOCI != nil && noDocker != nil {
			return archive, &Config{}, nil
		}
		o.files = append(o.files, archive)
		tree = archive
	}
	c, err := o.image(tree)
	if err != nil {
		return nil, nil, o.fail(fmt.Errorf("image %s: %w", name, err))
	}
	f, err := o.done()
	return f, c, err
}

// opener collects the layers of an image.
type opener struct {
	files  []io.Closer
	layers []*io.SectionReader
}

func (o *opener) fail(err error) error {
	for _, f := range o.files {
		f.Close()
	}
	return err
}

func (o *opener) done() (*FS, error) {
	f, err := New(o.layers...)
	if err != nil {
		return nil, o.fail(err)
	}
	f.files, f.quick = o.files, true
	return f, nil
}

// layer adds an archive, decompressed if need be. digest is checked unless it
// is "".
func (o *opener) layer(name string, file fs.File, digest string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	r, ok := file.(io.ReaderAt)
	if !ok || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", name)
	}
	s := io.NewSectionReader(r, 0, info.Size())
	if digest != "" {
		if err := check(s, digest); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var magic [4]byte
	s.ReadAt(magic[:], 0)
	switch {
	case bytes.HasPrefix(magic[:], []byte{0x1f, 0x8b}):
		if s, err = o.gunzip(s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	case bytes.Equal(magic[:], []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return fmt.Errorf("%s: %w", name, ErrZstd)
	}
	s.Seek(0, io.SeekStart)
	o.layers = append(o.layers, s)
	return nil
}

func (o *opener) gunzip(s *io.SectionReader) (*io.SectionReader, error) {
	s.Seek(0, io.SeekStart)
	z, err := gzip.NewReader(s)
	if err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp("", "sysemu-layer-")
	if err != nil {
		return nil, err
	}
	o.files = append(o.files, temp)
	os.Remove(temp.Name())
	n, err := io.Copy(temp, io.LimitReader(z, maxUnpacked+1))
	if err == nil && n > maxUnpacked {
		err = fmt.Errorf("more than %d bytes when decompressed", int64(maxUnpacked))
	}
	return io.NewSectionReader(temp, 0, n), err
}

func check(r *io.SectionReader, digest string) error {
	want, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return fmt.Errorf("digest %q is not one of sha256", digest)
	}
	h := sha256.New()
	r.Seek(0, io.SeekStart)
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("its digest is sha256:%s, not %s", got, digest)
	}
	return nil
}

// maxJSON bounds what is read of an image's descriptions.
const maxJSON = 4 << 20

func readJSON(tree fs.FS, name, digest string, v any) error {
	f, err := tree.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJSON))
	if err != nil {
		return err
	}
	if digest != "" {
		if err := check(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), digest); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// blob is where a layout has what a digest names.
func blob(digest string) (string, error) {
	hexed, ok := strings.CutPrefix(digest, "sha256:")
	if _, err := hex.DecodeString(hexed); !ok || err != nil || len(hexed) != 2*sha256.Size {
		return "", fmt.Errorf("digest %q is not one of sha256", digest)
	}
	return "blobs/sha256/" + hexed, nil
}

type descriptor struct {
	MediaType string
	Digest    string
	Platform  *struct{ OS, Architecture string }
}

// image finds the layers of the image in a tree.
func (o *opener) image(tree fs.FS) (*Config, error) {
	if _, err := fs.Stat(tree, "index.json"); err == nil {
		var index struct{ Manifests []descriptor }
		if err := readJSON(tree, "index.json", "", &index); err != nil {
			return nil, err
		}
		return o.manifest(tree, index.Manifests, 0)
	}
	var list []struct {
		Config string
		Layers []string
	}
	err := readJSON(tree, "manifest.json", "", &list)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no image: there is neither index.json nor manifest.json in it")
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("manifest.json lists no image")
	}
	for _, l := range list[0].Layers {
		if err := o.open(tree, l, ""); err != nil {
			return nil, err
		}
	}
	return config(tree, list[0].Config, "")
}

// manifest takes the first manifest of the right platform; one may be a list of
// others.
func (o *opener) manifest(tree fs.FS, list []descriptor, depth int) (*Config, error) {
	if depth > 4 {
		return nil, errors.New("lists of manifests in one another, too deep")
	}
	for _, d := range list {
		if p := d.Platform; p != nil && (p.OS != "linux" || p.Architecture != "amd64") {
			continue
		}
		name, err := blob(d.Digest)
		if err != nil {
			return nil, err
		}
		var m struct {
			Config    descriptor
			Layers    []descriptor
			Manifests []descriptor
		}
		if err := readJSON(tree, name, d.Digest, &m); err != nil {
			return nil, err
		}
		if len(m.Manifests) > 0 {
			return o.manifest(tree, m.Manifests, depth+1)
		}
		for _, l := range m.Layers {
			name, err := blob(l.Digest)
			if err != nil {
				return nil, err
			}
			if err := o.open(tree, name, l.Digest); err != nil {
				return nil, err
			}
		}
		if name, err = blob(m.Config.Digest); err != nil {
			return nil, err
		}
		return config(tree, name, m.Config.Digest)
	}
	return nil, errors.New("there is no image for linux on amd64 in it")
}

func (o *opener) open(tree fs.FS, name, digest string) error {
	f, err := tree.Open(name)
	if err != nil {
		return err
	}
	o.files = append(o.files, f)
	return o.layer(name, f, digest)
}

func config(tree fs.FS, name, digest string) (*Config, error) {
	var c struct{ Config Config }
	if err := readJSON(tree, name, digest, &c); err != nil {
		return nil, err
	}
	return &c.Config, nil
}
