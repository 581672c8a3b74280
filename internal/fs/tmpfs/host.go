package tmpfs

import (
	"slices"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// host is the memfd of the host that holds the contents of a mapped file.
type host struct {
	fd  int
	key uint64
}

// mfdExec is MFD_EXEC, which says that the memfd may be executed; hosts
// before 6.3 do not know it.
const mfdExec = 0x10

func memfd() (int, error) {
	fd, err := unix.MemfdCreate("sysemu", unix.MFD_CLOEXEC|mfdExec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("sysemu", unix.MFD_CLOEXEC)
	}
	return fd, err
}

const (
	bigPages = 1 << 20 >> pageShift // a file of so many pages goes to a memfd,
	maxBig   = 128                  // as long as there are fewer of them than this
	maxHosts = 512                  // from here on, one that nobody uses is taken back for each that comes
)

// HostFile implements vfs.Mmapper: the contents move to a memfd.
func (f *file) HostFile(_ vfs.Context, _ *vfs.File, writable bool) (int, uint64, error) {
	if writable && f.seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
		return -1, 0, unix.EPERM
	}
	if f.host == nil {
		if len(f.fs.hosts) >= maxHosts {
			f.fs.reclaim()
		}
		if err := f.toHost(); err != nil {
			return -1, 0, unix.ENOMEM
		}
	}
	return f.host.fd, f.host.key, nil
}

// toHost moves the contents to a memfd.
func (f *file) toHost() error {
	fd, err := memfd()
	if err != nil {
		return err
	}
	h := &host{fd, vfs.NewKey()}
	if err := f.fill(h); err != nil {
		unix.Close(fd)
		return err
	}
	f.host = h
	f.data.chunks, f.data.last = nil, nil
	f.fs.hosts = append(f.fs.hosts, f)
	f.countHost()
	return nil
}

// reclaim brings the contents of a small file that nobody has open back from
// its memfd, if there is one.
func (fs *FS) reclaim() {
	for _, f := range fs.hosts {
		if f.opens == 0 && f.size <= bigPages<<pageShift {
			f.toMemory()
			return
		}
	}
}

// toMemory is toHost taken back. On an error the file stays where it is.
func (f *file) toMemory() {
	d := data{}
	b := make([]byte, pageSize)
	for off := int64(0); off < f.size; {
		pos, err := unix.Seek(f.host.fd, off, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		if err != nil {
			return
		}
		off = pos &^ (pageSize - 1)
		n, err := f.host.read(b, off)
		if err != nil {
			return
		}
		pg := new(page)
		copy(pg[:], b[:n])
		*d.slot(off) = pg
		d.pages++
		off += pageSize
	}
	f.fs.countPages(d.pages - f.data.pages)
	f.data = d
	f.closeHost()
}

// fill copies the contents to h.
func (f *file) fill(h *host) error {
	if err := unix.Ftruncate(h.fd, f.size); err != nil {
		return err
	}
	return f.data.each(func(off int64, p *page) error {
		if off >= f.size {
			return nil
		}
		b := p[:min(pageSize, f.size-off)]
		_, err := h.write(b, off)
		return err
	})
}

func (f *file) closeHost() {
	if f.host != nil {
		vfs.ForgetKey(f.host.key)
		unix.Close(f.host.fd)
		f.host = nil
		i := slices.Index(f.fs.hosts, f)
		f.fs.hosts = slices.Delete(f.fs.hosts, i, i+1)
	}
}

// countHost brings the count of pages up to date: mappings make pages too.
func (f *file) countHost() {
	if f.host == nil {
		return
	}
	var st unix.Stat_t
	if unix.Fstat(f.host.fd, &st) == nil {
		n := st.Blocks / (pageSize / 512)
		f.fs.countPages(n - f.data.pages)
		f.data.pages = n
	}
}

func (h *host) read(p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(h.fd, p, off)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func (h *host) write(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pwrite(h.fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		done += n
	}
	return done, nil
}

// writeHost writes within the file system's size: what the pages may need in
// the worst case must be there, or else what they do need is asked for.
func (f *file) writeHost(p []byte, off int64) (int, error) {
	first, last := off>>pageShift, (off+int64(len(p))-1)>>pageShift
	if last-first+1 > f.fs.room() {
		f.countHost()
		room := f.fs.room()
		n := int64(0)
		for n < int64(len(p)) {
			at := off + n
			if !f.host.present(at) {
				if room--; room < 0 {
					break
				}
			}
			n = min(int64(len(p)), (at+pageSize)&^(pageSize-1)-off)
		}
		if p = p[:n]; n == 0 {
			return 0, unix.ENOSPC
		}
	}
	n, err := f.host.write(p, off)
	if err == unix.ENOMEM || err == unix.ENOSPC {
		err = unix.ENOSPC
	}
	f.countHost()
	return n, err
}

// present reports whether the page at off is there.
func (h *host) present(off int64) bool {
	off &^= pageSize - 1
	pos, err := unix.Seek(h.fd, off, unix.SEEK_DATA)
	return err == nil && pos < off+pageSize
}

func (f *file) reserveHost(off, end int64) error {
	f.countHost()
	need := (end-1)>>pageShift - off>>pageShift + 1
	if need-min(need, f.data.pages) > f.fs.room() {
		return unix.ENOSPC
	}
	err := unix.Fallocate(f.host.fd, unix.FALLOC_FL_KEEP_SIZE, off, end-off)
	f.countHost()
	return err
}

func (f *file) punchHost(off, end int64) error {
	err := unix.Fallocate(f.host.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, end-off)
	f.countHost()
	return err
}
