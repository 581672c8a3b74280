package tmpfs

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// nameless is a file that never had a name: a memfd, shared anonymous memory,
// a System V segment.
type nameless struct {
	file
	name string
}

// Name implements vfs.Namer.
func (f *nameless) Name() string { return f.name }

// Open implements vfs.Opener: through /proc/PID/fd.
func (f *nameless) Open(vfs.Context, vfs.Path, int) (vfs.Impl, error) {
	f.opens++
	return f, nil
}

// Memfd is memfd_create(2): flags are MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL and
// MFD_EXEC; MFD_CLOEXEC is the descriptor table's business. The name's length
// has been checked.
func (fs *FS) Memfd(ctx vfs.Context, name string, flags int) (*vfs.File, error) {
	mode, seals := uint32(0o777), unix.F_SEAL_SEAL
	if flags&mfdNoexecSeal != 0 {
		mode, seals = 0o666, sealExec
	}
	if flags&unix.MFD_ALLOW_SEALING != 0 {
		seals &^= unix.F_SEAL_SEAL
	}
	return fs.anonymous(ctx, "/memfd:"+name+" (deleted)", mode, seals)
}

const mfdNoexecSeal = 0x8

// Anonymous returns a file of the given size that never had a name, for
// shared memory; name is what /proc/PID/maps shows ("/dev/zero (deleted)").
func (fs *FS) Anonymous(ctx vfs.Context, name string, mode uint32, size int64) (*vfs.File, error) {
	f, err := fs.anonymous(ctx, name, mode, unix.F_SEAL_SEAL)
	if err == nil {
		f.Inode.(*nameless).size = size
	}
	return f, err
}

func (fs *FS) anonymous(ctx vfs.Context, name string, mode uint32, seals int) (*vfs.File, error) {
	if fs.inodes >= fs.opts.Inodes {
		return nil, unix.ENOSPC
	}
	f := &nameless{name: name}
	cred := ctx.Cred()
	f.init(fs, ctx.Realtime(), mode&0o7777|unix.S_IFREG, cred.UID, cred.GID)
	f.nlink = 0
	f.seals = seals
	f.opens = 1
	return vfs.NewRegular(f, f, unix.O_RDWR), nil
}
