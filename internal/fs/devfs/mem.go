package devfs

import (
	"io"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// RegisterMemory adds the devices of major number 1: null, zero, full,
// random, urandom and kmsg, mem(4), null(4), full(4), random(4). random is
// where random bytes come from. close gives back what they hold of the host.
func (t *Table) RegisterMemory(random io.Reader) (closeAll func()) {
	z := &zeroPages{fd: -1}
	for minor, impl := range map[uint32]vfs.Impl{
		3: null{}, 5: &zero{pages: z}, 7: &zero{full: true, pages: z}, 8: randomDev{random}, 9: randomDev{random}, 11: kmsg{},
	} {
		t.Register(unix.S_IFCHR, 1, minor, "mem", func(vfs.Context, vfs.Path, int) (vfs.Impl, error) { return impl, nil })
	}
	return func() {
		if z.fd >= 0 {
			vfs.ForgetKey(z.key)
			unix.Close(z.fd)
			z.fd = -1
		}
	}
}

// device is what the memory devices share: nothing to release, and an offset
// that means nothing.
type device struct{}

func (device) Release(vfs.Context) {}

func (device) Seek(vfs.Context, *vfs.File, int64, int) (int64, error) { return 0, nil }

// null is /dev/null.
type null struct{ device }

func (null) Read(vfs.Context, *vfs.File, []byte, int64) (int, error) { return 0, nil }

func (null) Write(_ vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) { return len(p), nil }

// zero is /dev/zero, or /dev/full, which reads as that and has no room.
type zero struct {
	device
	full  bool
	pages *zeroPages
}

func (z *zero) Read(_ vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (z *zero) Write(_ vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) {
	if z.full {
		return 0, unix.ENOSPC
	}
	return len(p), nil
}

// zeroPages is the host's /dev/zero, whose mappings are what ours must be:
// fresh memory each.
type zeroPages struct {
	fd  int
	key uint64
}

// HostFile implements vfs.Mmapper.
func (z *zero) HostFile(vfs.Context, *vfs.File, bool) (int, uint64, error) {
	if z.full {
		return -1, 0, unix.ENODEV
	}
	if z.pages.fd < 0 {
		fd, err := unix.Open("/dev/zero", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, 0, unix.ENODEV
		}
		z.pages.fd, z.pages.key = fd, vfs.NewKey()
	}
	return z.pages.fd, z.pages.key, nil
}

// randomDev is /dev/random and /dev/urandom.
type randomDev struct{ from io.Reader }

func (randomDev) Release(vfs.Context) {}

func (randomDev) Seek(vfs.Context, *vfs.File, int64, int) (int64, error) { return 0, nil }

func (r randomDev) Read(_ vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) {
	return io.ReadFull(r.from, p)
}

// Write takes entropy, of which there is enough.
func (randomDev) Write(_ vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) {
	return len(p), nil
}

const (
	rndGetEntCnt   = 0x80045200
	rndAddToEntCnt = 0x40045201
	rndAddEntropy  = 0x40085203
	poolBits       = 256
)

// Ioctl implements vfs.Ioctler.
func (randomDev) Ioctl(ctx vfs.Context, _ *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	switch cmd {
	case rndGetEntCnt:
		return 0, mem.WriteMem(arg, []byte{poolBits & 0xff, poolBits >> 8, 0, 0})
	case rndAddToEntCnt, rndAddEntropy:
		if !ctx.Cred().Has(unix.CAP_SYS_ADMIN) {
			return 0, unix.EPERM
		}
		return 0, nil
	}
	return 0, unix.EINVAL
}

// kmsg is /dev/kmsg: the kernel's log is empty, and what is written goes
// nowhere.
type kmsg struct{ device }

func (kmsg) Read(_ vfs.Context, f *vfs.File, _ []byte, _ int64) (int, error) { return 0, unix.EAGAIN }

func (kmsg) Write(_ vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) { return len(p), nil }
