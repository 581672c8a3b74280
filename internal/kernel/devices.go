package kernel

import (
	"strconv"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/pipe"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// What every machine has mounted: /dev, /proc, /sys and /dev/shm. /dev is a
// file system in memory with device nodes in it; what opens them, there and
// elsewhere, is Kernel.devices.

// MountStandard mounts them. Where the root has no place for one and cannot be
// written, that one is left out.
func (k *Kernel) MountStandard(ctx vfs.Context) error {
	root := k.ns.Root()
	defer root.Unref()
	fs := k.boot.fs
	if !fs.root.Valid() {
		fs.root, fs.cwd = root.Ref(), root.Ref()
	}
	mask := fs.umask
	fs.umask = 0
	defer func() { fs.umask = mask }()
	k.closeDevices = k.devices.RegisterMemory(k.random)
	sys := k.ns.System()
	sys.Hooks.Device = k.devices.Open
	sys.Hooks.FIFO = pipe.OpenFIFO

	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME
	inMemory := func(mode uint32) vfs.FileSystem {
		return tmpfs.New(ctx.Realtime(), tmpfs.Options{Dev: sys.AnonymousDev(), Mode: mode, Budget: k.FileMemory()})
	}
	for _, m := range []struct {
		at, source string
		fs         func() vfs.FileSystem
		flags      vfs.MountFlags
		fill       func(at vfs.At) error
	}{
		{"/proc", "proc", func() vfs.FileSystem { return k.newProc(ctx) }, quiet, nil},
		{"/sys", "sysfs", func() vfs.FileSystem { return k.newSysfs(ctx) }, quiet | unix.MS_RDONLY, nil},
		{"/dev", "tmpfs", func() vfs.FileSystem { return inMemory(0o755) }, unix.MS_NOSUID, func(at vfs.At) error { return makeDevices(ctx, at) }},
		{"/dev/pts", "devpts", func() vfs.FileSystem { return k.newTerminals(ctx) }, unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_RELATIME, nil},
		{"/dev/shm", "shm", func() vfs.FileSystem { return inMemory(0o1777) }, unix.MS_NOSUID | unix.MS_NODEV, nil},
	} {
		at := vfs.At{Root: root, Dir: root}
		p, err := mountPoint(ctx, at, m.at)
		if err == unix.EROFS {
			continue
		}
		if err != nil {
			return &MountError{m.at, err}
		}
		_, err = k.ns.Mount(ctx, m.fs(), p, m.flags, m.source)
		p.Unref()
		if err == nil && m.fill != nil {
			err = m.fill(at)
		}
		if err != nil {
			return &MountError{m.at, err}
		}
	}
	return nil
}

// MountError says where a file system could not be mounted.
type MountError struct {
	Name string
	Err  error
}

func (e *MountError) Error() string { return "mounting " + e.Name + ": " + e.Err.Error() }
func (e *MountError) Unwrap() error { return e.Err }

// mountPoint finds a directory, or makes it.
func mountPoint(ctx vfs.Context, at vfs.At, name string) (vfs.Path, error) {
	p, err := vfs.Walk(ctx, at, name, vfs.Follow|vfs.Directory, 0)
	if err != unix.ENOENT {
		return p, err
	}
	if err := vfs.Mkdir(ctx, at, name, 0o755); err != nil {
		return vfs.Path{}, err
	}
	return vfs.Walk(ctx, at, name, vfs.Follow|vfs.Directory, 0)
}

// makeDevices fills /dev.
func makeDevices(ctx vfs.Context, at vfs.At) error {
	for _, d := range []struct {
		name         string
		mode         uint32
		major, minor uint32
	}{
		{"null", 0o666, 1, 3}, {"zero", 0o666, 1, 5}, {"full", 0o666, 1, 7},
		{"random", 0o666, 1, 8}, {"urandom", 0o666, 1, 9}, {"kmsg", 0o644, 1, 11},
		{"tty", 0o666, 5, 0}, {"console", 0o600, 5, 1},
	} {
		if err := vfs.Mknod(ctx, at, "/dev/"+d.name, d.mode|unix.S_IFCHR, unix.Mkdev(d.major, d.minor)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"shm", "pts", "mqueue"} {
		if err := vfs.Mkdir(ctx, at, "/dev/"+dir, 0o755); err != nil {
			return err
		}
	}
	for _, l := range [][2]string{
		{"fd", "/proc/self/fd"}, {"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"},
		{"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	} {
		if err := vfs.Symlink(ctx, l[1], at, "/dev/"+l[0]); err != nil {
			return err
		}
	}
	return nil
}

// procDevices is /proc/devices.
func (k *Kernel) procDevices() string {
	text := map[uint32]string{}
	for _, n := range k.devices.Names() {
		major := strconv.Itoa(int(n.Major))
		text[n.Kind] += "    "[:max(3-len(major), 0)] + major + " " + n.Name + "\n"
	}
	return "Character devices:\n" + text[unix.S_IFCHR] + "\nBlock devices:\n" + text[unix.S_IFBLK]
}
