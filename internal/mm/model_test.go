package mm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// The model test does the same random operations, in the same window of
// addresses, to a guest through a Space and to the test's own process, and
// compares results, contents, and three lists of mappings: the books, what the
// host says of the guest's process, and what it says of ours.

const (
	arena      = 0x350000000000
	arenaPages = 48
	arenaEnd   = arena + arenaPages*PageSize
)

// onThread runs f with a guest thread in an empty space.
func onThread(t testing.TB, f func(ctx *vfstest.Context, th *machine.Thread)) {
	done := make(chan error)
	go func() {
		machine.LockThread()
		m := machine.New()
		c, err := m.NewCPU(0, nil)
		if err == nil {
			var th *machine.Thread
			if th, err = c.NewSpace(); err == nil {
				func() {
					defer func() { th.Destroy(); c.Close() }()
					var k waittest.Kernel
					f(vfstest.Root(k.NewTask()), th)
				}()
			}
		}
		m.Close()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// span is what the three lists have in common.
type span struct {
	start, end uint64
	mode       string // "rwxs"
	off        uint64 // of files
	file       bool
}

func (s span) String() string {
	return fmt.Sprintf("%x-%x %s %v %x", s.start-arena, s.end-arena, s.mode, s.file, s.off)
}

// normal cuts the list to the arena and joins what is alike.
func normal(list []span) (out []span) {
	for _, s := range list {
		if s.start >= arenaEnd || s.end <= arena {
			continue
		}
		if s.start < arena {
			s.off += arena - s.start
			s.start = arena
		}
		s.end = min(s.end, arenaEnd)
		if !s.file {
			s.off = 0
		}
		if n := len(out); n > 0 {
			if l := &out[n-1]; l.end == s.start && l.mode == s.mode && l.file == s.file && (!s.file || l.off+l.end-l.start == s.off) {
				l.end = s.end
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

func parseMaps(b []byte) (list []span) {
	for line := range strings.Lines(string(b)) {
		var s span
		var dev, ino, name string
		fmt.Sscanf(line, "%x-%x %s %x %s %s %s", &s.start, &s.end, &s.mode, &s.off, &dev, &ino, &name)
		s.file = ino != "0" && !strings.HasPrefix(name, "/dev/zero")
		list = append(list, s)
	}
	return list
}

func (s *Space) spans() (list []span) {
	s.All(func(v *VMA) bool {
		mode := []byte("---p")
		for i, c := range "rwx" {
			if v.Prot>>i&1 != 0 {
				mode[i] = byte(c)
			}
		}
		if v.Shared {
			mode[3] = 's'
		}
		list = append(list, span{v.Start, v.End, string(mode), v.Off, v.File != nil})
		return true
	})
	return list
}

// check verifies what must hold of the books at all times.
func (s *Space) check(t testing.TB) {
	var size, data, locked, end uint64
	for i := range s.vmas {
		v := &s.vmas[i]
		if v.Start >= v.End || v.Start < end || v.Start%PageSize != 0 || v.End%PageSize != 0 {
			t.Fatalf("mapping %d is %x-%x after %x", i, v.Start, v.End, end)
		}
		end = v.End
		size += v.Size()
		if v.isData() {
			data += v.Size()
		}
		if v.Locked {
			locked += v.Size()
		}
		if i > 0 && alike(&s.vmas[i-1], v) {
			t.Fatalf("mappings %d and %d should be one", i-1, i)
		}
	}
	if size != s.size || data != s.data || locked != s.locked {
		t.Fatalf("sums %d %d %d, books say %d %d %d", size, data, locked, s.size, s.data, s.locked)
	}
}

func hostCall(nr, a, b, c, d, e, f uintptr) (uint64, error) {
	r, _, errno := unix.RawSyscall6(nr, a, b, c, d, e, f)
	if errno != 0 {
		return 0, errno
	}
	return uint64(r), nil
}

func hostWrite(addr uint64, p []byte) error {
	for len(p) > 0 {
		n, err := unix.ProcessVMWritev(os.Getpid(), []unix.Iovec{{Base: &p[0], Len: uint64(len(p))}}, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(p)}}, 0)
		if err != nil {
			return err
		}
		addr, p = addr+uint64(n), p[n:]
	}
	return nil
}

func hostRead(addr uint64, p []byte) error {
	for len(p) > 0 {
		n, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{{Base: &p[0], Len: uint64(len(p))}}, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(p)}}, 0)
		if err != nil {
			return err
		}
		addr, p = addr+uint64(n), p[n:]
	}
	return nil
}

func TestModel(t *testing.T) {
	seeds, steps := 16, 250
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onThread(t, func(ctx *vfstest.Context, th *machine.Thread) { model(t, ctx, th, uint64(seed), steps) })
			hostCall(unix.SYS_MUNMAP, arena, arenaEnd-arena, 0, 0, 0, 0)
			if t.Failed() {
				t.FailNow()
			}
		})
	}
}

func model(t *testing.T, ctx *vfstest.Context, th *machine.Thread, seed uint64, steps int) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	fs := tmpfs.New(0, tmpfs.Options{})
	defer fs.Unmounted()
	const fileSize = 16 * PageSize
	content := make([]byte, fileSize)
	for i := range content {
		content[i] = byte(rnd.Uint32())
	}
	file, err := fs.Memfd(ctx, "model", unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Impl.(vfs.Writer).Write(ctx, file, content, 0); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("model", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Write(fd, content)

	s := New(Top)
	s.MaxLock = ^uint64(0)
	page := func() uint64 { return arena + uint64(rnd.IntN(arenaPages))*PageSize }
	pages := func(at uint64) uint64 {
		n := uint64(rnd.IntN(8)) * PageSize
		return min(n, arenaEnd-at)
	}
	var log []string
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(log[max(0, len(log)-12):], "\n"))
	}
	for range steps {
		at := page()
		n := pages(at)
		var got, want uint64
		var gerr, werr error
		// elsewhere says that results outside the arena are undone.
		elsewhere := uint64(0)
		switch op := rnd.IntN(20); {
		case op < 7: // mmap
			prot := rnd.IntN(8)
			flags := []int{unix.MAP_PRIVATE, unix.MAP_SHARED, unix.MAP_PRIVATE, 0, mapSharedValidate}[rnd.IntN(5)]
			flags |= []int{unix.MAP_FIXED, unix.MAP_FIXED, unix.MAP_FIXED_NOREPLACE, 0, unix.MAP_FIXED | unix.MAP_NORESERVE}[rnd.IntN(5)]
			if rnd.IntN(9) == 0 {
				flags |= unix.MAP_GROWSDOWN
			}
			var f *vfs.File
			hfd, off := -1, uint64(rnd.IntN(8))*PageSize
			if rnd.IntN(12) == 0 {
				off++
			}
			if rnd.IntN(3) == 0 {
				f, hfd = file, fd
			} else {
				flags |= unix.MAP_ANONYMOUS
				off &^= 1
			}
			if rnd.IntN(10) == 0 {
				at += uint64(rnd.IntN(3) * 100)
			}
			log = append(log, fmt.Sprintf("mmap(%x, %x, %x, %#x, %v, %x)", at-arena, n, prot, flags, f != nil, off))
			got, gerr = s.Map(ctx, th, at, n, prot, flags, f, off)
			want, werr = hostCall(unix.SYS_MMAP, uintptr(at), uintptr(n), uintptr(prot), uintptr(flags), uintptr(hfd), uintptr(off))
			elsewhere = n
		case op < 10:
			log = append(log, fmt.Sprintf("munmap(%x, %x)", at-arena, n))
			gerr = s.Unmap(ctx, th, at, n)
			_, werr = hostCall(unix.SYS_MUNMAP, uintptr(at), uintptr(n), 0, 0, 0, 0)
		case op < 13:
			prot := rnd.IntN(8)
			log = append(log, fmt.Sprintf("mprotect(%x, %x, %x)", at-arena, n, prot))
			gerr = s.Protect(ctx, th, at, n, prot)
			_, werr = hostCall(unix.SYS_MPROTECT, uintptr(at), uintptr(n), uintptr(prot), 0, 0, 0)
		case op < 16:
			to := page()
			m := pages(to)
			if rnd.IntN(3) > 0 {
				// Linux moves several mappings at once since 6.17, if the size stays.
				if v := s.Find(at); v != nil {
					n = min(n, v.End-at)
				}
			}
			flags := []int{0, unix.MREMAP_MAYMOVE, unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED, unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED, unix.MREMAP_FIXED, unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP}[rnd.IntN(6)]
			if flags&unix.MREMAP_DONTUNMAP != 0 && rnd.IntN(4) > 0 {
				m = n
			}
			if v := s.Find(at); v != nil && at+n > v.End && flags&unix.MREMAP_FIXED != 0 {
				continue
			}
			log = append(log, fmt.Sprintf("mremap(%x, %x, %x, %x, %x)", at-arena, n, m, flags, to-arena))
			got, gerr = s.Remap(ctx, th, at, n, m, flags, to)
			want, werr = hostCall(unix.SYS_MREMAP, uintptr(at), uintptr(n), uintptr(m), uintptr(flags), uintptr(to), 0)
			elsewhere = m
		case op < 17:
			advice := []int{unix.MADV_NORMAL, unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_WILLNEED, unix.MADV_DONTFORK, unix.MADV_DOFORK, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK, 12345}[rnd.IntN(9)]
			log = append(log, fmt.Sprintf("madvise(%x, %x, %d)", at-arena, n, advice))
			gerr = s.Advise(ctx, th, at, n, advice)
			_, werr = hostCall(unix.SYS_MADVISE, uintptr(at), uintptr(n), uintptr(advice), 0, 0, 0)
		case op < 18:
			flags := rnd.IntN(8)
			log = append(log, fmt.Sprintf("msync(%x, %x, %x)", at-arena, n, flags))
			gerr = s.Sync(th, at, n, flags)
			_, werr = hostCall(unix.SYS_MSYNC, uintptr(at), uintptr(n), uintptr(flags), 0, 0, 0)
		default: // write
			b := make([]byte, 1+rnd.IntN(2*PageSize))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			at += uint64(rnd.IntN(PageSize))
			log = append(log, fmt.Sprintf("write(%x, %x)", at-arena, len(b)))
			if at+uint64(len(b)) > arenaEnd {
				continue
			}
			if s.Accessible(at, uint64(len(b)), true) < uint64(len(b)) {
				continue
			}
			_, gerr = th.WriteMem(at, b)
			werr = hostWrite(at, b) // both stop where shared memory has no more pages
		}
		if gerr != werr {
			fail("%v, natively %v", gerr, werr)
			return
		}
		if gerr == nil && elsewhere > 0 && got != want || elsewhere > 0 && gerr == nil && (want < arena || want >= arenaEnd || want+elsewhere > arenaEnd) {
			in := func(a uint64) bool { return a >= arena && a+elsewhere <= arenaEnd }
			if in(got) != in(want) {
				fail("at %x, natively %x", got, want)
				return
			}
			s.Unmap(ctx, th, got, elsewhere)
			hostCall(unix.SYS_MUNMAP, uintptr(want), uintptr(elsewhere), 0, 0, 0, 0)
		}
		s.check(t)
		books := normal(s.spans())
		b, err := th.HostMaps()
		if err != nil {
			t.Error(err)
			return
		}
		guest := normal(parseMaps(b))
		own, _ := os.ReadFile("/proc/self/maps")
		native := normal(parseMaps(own))
		if fmt.Sprint(books) != fmt.Sprint(guest) || fmt.Sprint(books) != fmt.Sprint(native) {
			fail("mappings:\nbooks  %v\nguest  %v\nnative %v", books, guest, native)
			return
		}
		for _, v := range books {
			if v.mode[0] != 'r' && v.mode[1] != 'w' || v.mode[0] != 'r' {
				continue
			}
			x, y := make([]byte, v.end-v.start), make([]byte, v.end-v.start)
			if v.file && v.off+v.end-v.start > fileSize {
				continue
			}
			_, e1 := th.ReadMem(v.start, x)
			e2 := hostRead(v.start, y)
			if (e1 != nil) != (e2 != nil) || e1 == nil && !bytes.Equal(x, y) {
				fail("contents of %v differ (%v, %v)", v, e1, e2)
				return
			}
		}
	}
	maps := int32(0)
	s.All(func(v *VMA) bool {
		if v.File != nil && v.Shared && v.MayWrite {
			maps++
		}
		return true
	})
	if n := file.Extra().WritableMaps; n != maps {
		t.Errorf("%d writable mappings counted, there are %d", n, maps)
	}
	s.Release(ctx)
	if n := file.Extra().WritableMaps; n != 0 {
		t.Errorf("%d writable mappings at the end", n)
	}
	file.Unref(ctx)
}
