package tmpfs_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

func setup(t testing.TB, o tmpfs.Options) (*vfstest.Context, *tmpfs.FS, vfs.At) {
	k := &waittest.Kernel{}
	ctx := vfstest.Root(k.NewTask())
	fs := tmpfs.New(ctx.Realtime(), o)
	ns, err := vfs.NewNamespace(ctx, fs, 0, "tmpfs")
	if err != nil {
		t.Fatal(err)
	}
	root := ns.Root()
	t.Cleanup(func() {
		root.Unref()
		ns.Unref()
		if n := fs.HostFiles(); n != 0 {
			t.Errorf("%d host files left", n)
		}
	})
	return ctx, fs, vfs.At{Root: root, Dir: root}
}

func create(t testing.TB, ctx vfs.Context, at vfs.At, name string) *vfs.File {
	t.Helper()
	f, err := vfs.Open(ctx, at, name, unix.O_RDWR|unix.O_CREAT, 0o644, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fuzzData makes the calls that script says on a file and on a []byte.
func fuzzData(t *testing.T, script []byte) {
	const limit = 300 << 10
	ctx, fs, at := setup(t, tmpfs.Options{})
	f := create(t, ctx, at, "/f")
	defer f.Unref(ctx)
	var model []byte
	next := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	offset := func() int64 {
		v := next()<<16 | next()<<8 | next()
		if v&3 == 0 {
			v &^= 4095
		}
		return int64(v) % limit
	}
	resize := func(n int64) {
		if n <= int64(len(model)) {
			model = model[:n:n]
			return
		}
		model = append(model, make([]byte, n-int64(len(model)))...)
	}
	fail := func(what string, off, n int64, err error) {
		t.Helper()
		t.Fatalf("%s at %d+%d: %v", what, off, n, err)
	}
	for i := 0; len(script) > 0; i++ {
		off, n := offset(), offset()
		if next()%2 == 0 {
			n %= 5000
		}
		n++
		end := min(off+n, int64(len(model)))
		switch next() % 10 {
		case 0, 1, 2:
			p := bytes.Repeat([]byte{byte(i) | 1}, int(n))
			if k, err := f.Pwrite(ctx, p, off); k != len(p) || err != nil {
				fail("write", off, n, err)
			}
			resize(max(off+n, int64(len(model))))
			copy(model[off:], p)
		case 3:
			if err := f.Truncate(ctx, off); err != nil {
				fail("truncate", off, 0, err)
			}
			resize(off)
		case 4:
			if err := f.Allocate(ctx, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n); err != nil {
				fail("punch", off, n, err)
			}
			if off < end {
				clear(model[off:end])
			}
		case 5:
			mode := uint32(unix.FALLOC_FL_ZERO_RANGE)
			if n%2 == 0 {
				mode |= unix.FALLOC_FL_KEEP_SIZE
			} else {
				resize(max(off+n, int64(len(model))))
				end = off + n
			}
			if err := f.Allocate(ctx, mode, off, n); err != nil {
				fail("zero", off, n, err)
			}
			if off < end {
				clear(model[off:end])
			}
		case 6:
			mode := uint32(0)
			if n%2 == 0 {
				mode = unix.FALLOC_FL_KEEP_SIZE
			} else {
				resize(max(off+n, int64(len(model))))
			}
			if err := f.Allocate(ctx, mode, off, n); err != nil {
				fail("allocate", off, n, err)
			}
		case 7:
			data, err := f.Seek(ctx, off, unix.SEEK_DATA)
			if off >= int64(len(model)) || err == unix.ENXIO {
				if err != unix.ENXIO {
					fail("seek", off, 0, err)
				}
				data = int64(len(model))
			}
			if off < data && bytes.Count(model[off:data], []byte{0}) != int(data-off) {
				t.Fatalf("data between %d and %d that SEEK_DATA skipped", off, data)
			}
			if off < int64(len(model)) {
				hole, err := f.Seek(ctx, off, unix.SEEK_HOLE)
				if err != nil || hole < off || hole > int64(len(model)) {
					fail("seek hole", off, hole, err)
				}
			}
		case 8:
			if next() < 20 {
				if _, _, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, true); err != nil {
					fail("map", 0, 0, err)
				}
			}
		}
		p := make([]byte, n)
		k, err := f.Pread(ctx, p, off)
		if err != nil {
			fail("read", off, n, err)
		}
		var want []byte
		if off < end {
			end = min(off+n, int64(len(model)))
			want = model[off:end]
		} else if off < int64(len(model)) {
			want = model[off:min(off+n, int64(len(model)))]
		}
		if !bytes.Equal(p[:k], want) {
			t.Fatalf("step %d: read at %d+%d: %d bytes differ from the model's %d", i, off, n, k, len(want))
		}
		if a, _ := f.Stat(ctx); a.Size != int64(len(model)) {
			t.Fatalf("size %d, want %d", a.Size, len(model))
		}
	}
	p := make([]byte, len(model)+10)
	k, err := f.Pread(ctx, p, 0)
	if err != nil || !bytes.Equal(p[:k], model) {
		t.Fatalf("in the end: %d bytes, %v; want %d", k, err, len(model))
	}
	f.Truncate(ctx, 0)
	s, _ := fs.Statfs(ctx)
	if s.Bfree != s.Blocks {
		t.Errorf("%d pages in use by an empty file", s.Blocks-s.Bfree)
	}
}

func FuzzData(f *testing.F) {
	f.Add([]byte("some script or other"))
	f.Fuzz(fuzzData)
}

func TestDataModel(t *testing.T) {
	for seed := range 60 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 2))
		script := make([]byte, 1500)
		for i := range script {
			script[i] = byte(rnd.Uint32())
		}
		fuzzData(t, script)
	}
}

// Offsets far out cost no memory and do not wrap.
func TestSparse(t *testing.T) {
	ctx, fs, at := setup(t, tmpfs.Options{Size: 1 << 20})
	f := create(t, ctx, at, "/f")
	defer f.Unref(ctx)
	far := int64(1) << 60
	if n, err := f.Pwrite(ctx, []byte("far"), far); n != 3 || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	if pos, err := f.Seek(ctx, 0, unix.SEEK_DATA); pos != far || err != nil {
		t.Errorf("data at %d, %v", pos, err)
	}
	b := make([]byte, 8)
	if n, err := f.Pread(ctx, b, far-5); n != 8 || string(b) != "\x00\x00\x00\x00\x00far" || err != nil {
		t.Errorf("read %d %q, %v", n, b, err)
	}
	if _, err := f.Pwrite(ctx, b, math.MaxInt64-8); err != unix.EFBIG {
		t.Errorf("write at the last offset: %v", err)
	}
	if err := f.Truncate(ctx, math.MaxInt64); err != unix.EFBIG {
		t.Errorf("truncate to the last offset: %v", err)
	}
	if err := f.Truncate(ctx, math.MaxInt64&^4095); err != nil {
		t.Errorf("truncate far out: %v", err)
	}
	if err := f.Truncate(ctx, math.MaxInt64&^4095-1); err != nil {
		t.Errorf("truncate far out: %v", err)
	}
	if n, err := f.Pread(ctx, b[:3], far); n != 3 || string(b[:3]) != "far" || err != nil {
		t.Errorf("read %q, %v", b[:3], err)
	}
	if err := f.Allocate(ctx, 0, 0, math.MaxInt64); err != unix.EFBIG && err != unix.ENOSPC {
		t.Errorf("fallocate of everything: %v", err)
	}
	if err := f.Allocate(ctx, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, math.MaxInt64&^4095); err != nil {
		t.Errorf("punching everything: %v", err)
	}
	if s, _ := fs.Statfs(ctx); s.Bfree != s.Blocks {
		t.Errorf("%d pages in use", s.Blocks-s.Bfree)
	}
}

func TestLimits(t *testing.T) {
	ctx, _, at := setup(t, tmpfs.Options{Size: 64 << 10, Inodes: 4})
	f := create(t, ctx, at, "/f")
	defer f.Unref(ctx)
	if n, err := f.Write(ctx, make([]byte, 100<<10)); n != 64<<10 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if _, err := f.Write(ctx, []byte{1}); err != unix.ENOSPC {
		t.Errorf("write when full: %v", err)
	}
	if n, err := f.Pwrite(ctx, []byte{1}, 5); n != 1 || err != nil {
		t.Errorf("overwrite when full: %d, %v", n, err)
	}
	if err := f.Allocate(ctx, 0, 0, 64<<10+1); err != unix.ENOSPC {
		t.Errorf("fallocate: %v", err)
	}
	if _, _, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pwrite(ctx, []byte{1}, 64<<10); err != unix.ENOSPC {
		t.Errorf("write to a mapped file when full: %v", err)
	}
	if n, err := f.Pwrite(ctx, make([]byte, 8192), 60<<10); n != 4096 || err != nil {
		t.Errorf("write to a mapped file: %d, %v", n, err)
	}
	if err := f.Truncate(ctx, 4096); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Pwrite(ctx, make([]byte, 5000), 4096); n != 5000 || err != nil {
		t.Errorf("write after truncate: %d, %v", n, err)
	}
	for i, want := range []error{nil, nil, unix.ENOSPC} {
		if err := vfs.Mkdir(ctx, at, string(rune('a'+i)), 0o755); err != want {
			t.Errorf("mkdir %d: %v", i, err)
		}
	}
	if _, err := vfs.Open(ctx, at, "/", unix.O_TMPFILE|unix.O_RDWR, 0, 0); err != unix.ENOSPC {
		t.Errorf("O_TMPFILE: %v", err)
	}
	if err := vfs.Rename(ctx, at, "/a", at, "/z", unix.RENAME_WHITEOUT); err != unix.ENOSPC {
		t.Errorf("whiteout: %v", err)
	}
	if err := vfs.Rmdir(ctx, at, "/a"); err != nil {
		t.Errorf("rmdir: %v", err)
	}
	if err := vfs.Rename(ctx, at, "/b", at, "/z", unix.RENAME_WHITEOUT); err != nil {
		t.Errorf("whiteout: %v", err)
	}
	if a, err := vfs.Stat(ctx, at, "/b", 0); a.Mode != unix.S_IFCHR || a.Rdev != 0 || err != nil {
		t.Errorf("whiteout: %+v, %v", a, err)
	}
}

// Mappings, reads and writes see the same bytes.
func TestMapping(t *testing.T) {
	ctx, _, at := setup(t, tmpfs.Options{})
	f := create(t, ctx, at, "/f")
	defer f.Unref(ctx)
	f.Write(ctx, []byte("before"))
	m := f.Impl.(vfs.Mmapper)
	fd, key, err := m.HostFile(ctx, f, true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	if string(b[:6]) != "before" {
		t.Errorf("mapped: %q", b[:6])
	}
	copy(b, "middle")
	p := make([]byte, 10)
	if n, _ := f.Pread(ctx, p, 0); string(p[:n]) != "middle" {
		t.Errorf("read: %q", p[:n])
	}
	f.Pwrite(ctx, []byte("after!"), 0)
	if string(b[:6]) != "after!" {
		t.Errorf("mapped: %q", b[:6])
	}
	fd2, key2, _ := m.HostFile(ctx, f, false)
	if fd2 != fd || key2 != key {
		t.Error("another host file for the same pages")
	}
	g := create(t, ctx, at, "/g")
	defer g.Unref(ctx)
	if _, key3, _ := g.Impl.(vfs.Mmapper).HostFile(ctx, g, false); key3 == key {
		t.Error("two files have one key")
	}
}

func TestSeals(t *testing.T) {
	ctx, fs, _ := setup(t, tmpfs.Options{})
	f, err := fs.Memfd(ctx, "name", unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Unref(ctx)
	f.Write(ctx, make([]byte, 100))
	s := f.Impl.(vfs.Sealer)
	add := func(seals int, want error) {
		t.Helper()
		if err := s.AddSeals(ctx, f, seals); err != want {
			t.Errorf("seal %#x: %v, want %v", seals, err, want)
		}
	}
	add(1<<20, unix.EINVAL)
	add(unix.F_SEAL_SHRINK, nil)
	if err := f.Truncate(ctx, 50); err != unix.EPERM {
		t.Errorf("shrinking: %v", err)
	}
	add(unix.F_SEAL_GROW, nil)
	if err := f.Truncate(ctx, 150); err != unix.EPERM {
		t.Errorf("growing: %v", err)
	}
	if n, err := f.Pwrite(ctx, make([]byte, 20), 90); n != 10 || err != nil {
		t.Errorf("writing over the end: %d, %v", n, err)
	}
	ex := f.Inode.(vfs.Watched).Extra()
	ex.WritableMaps = 1
	add(unix.F_SEAL_WRITE, unix.EBUSY)
	ex.WritableMaps = 0
	add(unix.F_SEAL_WRITE|unix.F_SEAL_SEAL, nil)
	if _, err := f.Pwrite(ctx, []byte{1}, 0); err != unix.EPERM {
		t.Errorf("writing: %v", err)
	}
	if _, _, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, true); err != unix.EPERM {
		t.Errorf("mapping for writing: %v", err)
	}
	if _, _, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, false); err != nil {
		t.Errorf("mapping for reading: %v", err)
	}
	add(unix.F_SEAL_GROW, unix.EPERM)
	if got, _ := s.Seals(); got != unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL {
		t.Errorf("seals %#x", got)
	}
	g, _ := fs.Memfd(ctx, "plain", 0)
	defer g.Unref(ctx)
	if err := g.Impl.(vfs.Sealer).AddSeals(ctx, g, unix.F_SEAL_GROW); err != unix.EPERM {
		t.Errorf("sealing what does not allow it: %v", err)
	}
}

func TestTimes(t *testing.T) {
	ctx, _, at := setup(t, tmpfs.Options{})
	f := create(t, ctx, at, "/f")
	defer f.Unref(ctx)
	if err := f.Utimens(ctx, 1e9, 2e9); err != nil {
		t.Fatal(err)
	}
	a, _ := f.Stat(ctx)
	if a.Atime != 1e9 || a.Mtime != 2e9 || a.Ctime < 2e9 {
		t.Errorf("set: %+v", a)
	}
	f.Write(ctx, []byte("x"))
	b, _ := f.Stat(ctx)
	if b.Mtime <= a.Mtime || b.Ctime < a.Ctime || b.Atime != a.Atime {
		t.Errorf("after a write: %+v", b)
	}
	f.Pread(ctx, make([]byte, 1), 0)
	c, _ := f.Stat(ctx)
	if c.Atime <= b.Atime {
		t.Errorf("after a read: %+v", c)
	}
	f.Pread(ctx, make([]byte, 1), 0)
	if d, _ := f.Stat(ctx); d.Atime != c.Atime {
		t.Error("relatime touches every time")
	}
	st := (&vfs.Attr{Mtime: -1}).Stat()
	if st.Mtim.Sec != -1 || st.Mtim.Nsec != 999999999 {
		t.Errorf("before the epoch: %+v", st.Mtim)
	}
}

// Writing drops set-user-ID, unless the writer may set it.
func TestWriteDropsSetUID(t *testing.T) {
	ctx, _, at := setup(t, tmpfs.Options{})
	f := create(t, ctx, at, "/f")
	defer f.Unref(ctx)
	for _, c := range []struct {
		caps     uint64
		do, want uint32
	}{{math.MaxUint64, 0o6755, 0o6755}, {0, 0o6755, 0o755}, {0, 0o6745, 0o2745}} {
		ctx.Creds.Caps = math.MaxUint64
		f.Chmod(ctx, c.do)
		ctx.Creds.Caps = c.caps
		f.Write(ctx, []byte("x"))
		if a, _ := f.Stat(ctx); a.Mode&0o7777 != c.want {
			t.Errorf("%o became %o, want %o", c.do, a.Mode&0o7777, c.want)
		}
	}
}

func BenchmarkWrite4K(b *testing.B)  { benchWrite(b, 4<<10, false) }
func BenchmarkWrite64K(b *testing.B) { benchWrite(b, 64<<10, false) }
func BenchmarkRead64K(b *testing.B)  { benchWrite(b, 64<<10, true) }

// benchWrite writes 16 MiB over and over in pieces, or reads them.
func benchWrite(b *testing.B, n int, read bool) {
	ctx, _, at := setup(b, tmpfs.Options{})
	f := create(b, ctx, at, "/f")
	defer f.Unref(ctx)
	p := make([]byte, n)
	b.SetBytes(int64(n))
	if read {
		for range 16 << 20 / n {
			f.Write(ctx, p)
		}
		f.Pos = 0
	}
	for b.Loop() {
		var k int
		if read {
			k, _ = f.Read(ctx, p)
		} else {
			k, _ = f.Write(ctx, p)
		}
		if k != n {
			b.Fatal(k)
		}
		if f.Pos == 16<<20 {
			f.Pos = 0
			if !read {
				f.Truncate(ctx, 0)
			}
		}
	}
}

// A guest that maps one file after the other does not use up the host's
// descriptors, and what is taken back is as it was.
func TestHostFilesAreTakenBack(t *testing.T) {
	ctx, fs, at := setup(t, tmpfs.Options{})
	name := func(i int) string { return "/" + string(rune('0'+i)) }
	const files = 600
	for i := range files {
		f := create(t, ctx, at, name(i))
		f.Pwrite(ctx, []byte{byte(i), byte(i >> 8)}, int64(i)*5000)
		if _, _, err := f.Impl.(vfs.Mmapper).HostFile(ctx, f, true); err != nil {
			t.Fatal(err)
		}
		f.Unref(ctx)
	}
	if n := fs.HostFiles(); n > 520 {
		t.Errorf("%d host files", n)
	}
	before, _ := fs.Statfs(ctx)
	for i := range files {
		f := create(t, ctx, at, name(i))
		b := make([]byte, 10)
		if n, err := f.Pread(ctx, b, int64(i)*5000-5); i > 0 && (n != 7 || err != nil || !bytes.Equal(b[:n], []byte{0, 0, 0, 0, 0, byte(i), byte(i >> 8)})) {
			t.Fatalf("file %d: % x, %v", i, b[:n], err)
		}
		f.Unref(ctx)
		vfs.Unlink(ctx, at, name(i))
	}
	after, _ := fs.Statfs(ctx)
	if used := before.Blocks - before.Bfree; used != files || after.Bfree != after.Blocks {
		t.Errorf("%d pages in use, then %d", used, after.Blocks-after.Bfree)
	}
}

func TestBigFiles(t *testing.T) {
	ctx, fs, at := setup(t, tmpfs.Options{Size: 8 << 20})
	f := create(t, ctx, at, "/big")
	p := make([]byte, 100<<10)
	total := 0
	for {
		for i := range p {
			p[i] = byte((total + i) >> 10)
		}
		n, err := f.Write(ctx, p)
		total += n
		if err != nil {
			if err != unix.ENOSPC || total != 8<<20 {
				t.Errorf("full after %d: %v", total, err)
			}
			break
		}
	}
	if n := fs.HostFiles(); n != 1 {
		t.Errorf("%d host files", n)
	}
	f.Pos = 0
	for off := 0; off < total; {
		n, err := f.Read(ctx, p)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		for i := range n {
			if p[i] != byte((off+i)>>10) {
				t.Fatalf("wrong byte at %d", off+i)
			}
		}
		off += n
	}
	f.Unref(ctx)
	vfs.Unlink(ctx, at, "/big")
	if s, _ := fs.Statfs(ctx); s.Bfree != s.Blocks || fs.HostFiles() != 0 {
		t.Errorf("%d pages left", s.Blocks-s.Bfree)
	}
}
