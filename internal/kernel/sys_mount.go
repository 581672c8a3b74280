package kernel

import (
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Mounts, and files that are not of any mount: memfds. The mount API of Linux
// 5.2 (fsopen and so on) is ENOSYS, from which libmount goes back to mount(2).

func init() {
	addFamily(calls{
		"mount":        e5(sysMount),
		"umount2":      e2(sysUmount2),
		"pivot_root":   e2(sysPivotRoot),
		"memfd_create": r2(sysMemfdCreate),

		"sethostname":   e2(func(t *Task, p Addr, n int32) error { return t.setName(&t.k.hostname, p, n) }),
		"setdomainname": e2(func(t *Task, p Addr, n int32) error { return t.setName(&t.k.domain, p, n) }),

		// There is nothing to swap to, and nothing is accounted for.
		"swapon":  e2(func(t *Task, _ Str, _ int32) error { return unix.EPERM }),
		"swapoff": e1(func(t *Task, _ Str) error { return unix.EPERM }),
		"acct":    e1(func(t *Task, _ Str) error { return unix.EPERM }),
	})
}

// mountNamespace is the tree of mounts that the task sees.
func (t *Task) mountNamespace() *vfs.Namespace {
	if m := t.fs.root.Mount; m != nil && m.Namespace() != nil {
		return m.Namespace()
	}
	return t.k.ns
}

// optionalString reads a string that may be missing.
func (t *Task) optionalString(p Str) (string, error) {
	if p == 0 {
		return "", nil
	}
	s, err := t.copyInString(uint64(p), maxPath)
	if err == unix.E2BIG {
		return "", unix.EINVAL
	}
	return s, err
}

const (
	msMagic     = 0xc0ed0000
	msMagicMask = 0xffff0000

	propagation = unix.MS_SHARED | unix.MS_PRIVATE | unix.MS_SLAVE | unix.MS_UNBINDABLE
)

func sysMount(t *Task, source, target, fstype Str, flags uint64, data Str) error {
	kind, err := t.optionalString(fstype)
	if err != nil {
		return err
	}
	src, err := t.optionalString(source)
	if err != nil {
		return err
	}
	var opts string
	if flags&(unix.MS_BIND|unix.MS_MOVE|propagation) == 0 {
		if opts, err = t.optionalString(data); err != nil {
			return err
		}
	}
	if flags&msMagicMask == msMagic {
		flags &^= msMagicMask
	}
	p, err := t.place(unix.AT_FDCWD, target, vfs.Follow)
	if err != nil {
		return err
	}
	defer p.done()
	at, err := p.walk(t, 0)
	if err != nil {
		return err
	}
	defer at.Unref()
	if !t.cred.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	if err := vfs.MayUse(t, at, vfs.UseWrite|vfs.UseTree); err != nil {
		return err
	}
	ns := t.mountNamespace()
	keep := vfs.MountFlags(flags) & vfs.MountFlagsMask
	if flags&(unix.MS_NOATIME|unix.MS_STRICTATIME) == 0 {
		keep |= unix.MS_RELATIME
	}
	from := func() (vfs.Path, error) {
		if src == "" {
			return vfs.Path{}, unix.EINVAL
		}
		return vfs.WalkFor(t, t.atCwd(), src, vfs.Follow, vfs.UseRead|vfs.UseWrite|vfs.UseTree)
	}
	switch {
	case flags&unix.MS_REMOUNT != 0:
		return ns.Remount(at, keep)
	case flags&unix.MS_BIND != 0:
		f, err := from()
		if err != nil {
			return err
		}
		defer f.Unref()
		_, err = ns.Bind(f, at, flags&unix.MS_REC != 0)
		return err
	case flags&propagation != 0:
		// Mounts are not passed on between namespaces: each is private.
		if at.Mount == nil || at.Mount.Root() != at {
			return unix.EINVAL
		}
		return nil
	case flags&unix.MS_MOVE != 0:
		f, err := from()
		if err != nil {
			return err
		}
		defer f.Unref()
		return ns.Move(f, at)
	}
	if kind == "" {
		return unix.EINVAL
	}
	fs, err := t.k.newFileSystem(t, kind, opts)
	if err != nil {
		return err
	}
	if src == "" {
		src = "none"
	}
	_, err = ns.Mount(t, fs, at, keep, src)
	return err
}

// newFileSystem makes what mount(2) is asked to mount: ENODEV for a type that
// there is not.
func (k *Kernel) newFileSystem(ctx vfs.Context, kind, opts string) (vfs.FileSystem, error) {
	switch kind {
	case "tmpfs", "ramfs":
		o, err := tmpfsOptions(opts)
		if err != nil {
			return nil, err
		}
		o.Dev = k.ns.System().AnonymousDev()
		o.Budget = k.FileMemory()
		return tmpfs.New(ctx.Realtime(), o), nil
	case "proc":
		return k.newProc(ctx), nil
	case "sysfs":
		return k.newSysfs(ctx), nil
	}
	return nil, unix.ENODEV
}

// tmpfsOptions parses the options of tmpfs(5).
func tmpfsOptions(s string) (o tmpfs.Options, err error) {
	for _, opt := range strings.Split(s, ",") {
		key, val, _ := strings.Cut(opt, "=")
		var n uint64
		base := 10
		switch key {
		case "":
			continue
		case "mode":
			base = 8
		case "size", "nr_blocks", "nr_inodes", "uid", "gid":
		case "huge", "noswap", "inode64", "inode32", "mpol", "rw", "ro":
			continue
		default:
			return o, unix.EINVAL
		}
		digits := strings.TrimRight(val, "kKmMgG%")
		if n, err = strconv.ParseUint(digits, base, 32+16); err != nil {
			return o, unix.EINVAL
		}
		switch val[len(digits):] {
		case "":
		case "k", "K":
			n <<= 10
		case "m", "M":
			n <<= 20
		case "g", "G":
			n <<= 30
		case "%":
			n = min(n, 100) * (16 << 30) / 100
		default:
			return o, unix.EINVAL
		}
		n = min(n, 1<<50)
		switch key {
		case "mode":
			o.Mode = uint32(n) & 0o7777
		case "size":
			o.Size = int64(n)
		case "nr_blocks":
			o.Size = int64(n) << 12
		case "nr_inodes":
			o.Inodes = int64(n)
		case "uid":
			o.UID = uint32(n)
		case "gid":
			o.GID = uint32(n)
		}
	}
	return o, nil
}

func sysUmount2(t *Task, target Str, flags int32) error {
	if flags&^(unix.MNT_FORCE|unix.MNT_DETACH|unix.MNT_EXPIRE|unix.UMOUNT_NOFOLLOW) != 0 {
		return unix.EINVAL
	}
	wf := vfs.Follow
	if flags&unix.UMOUNT_NOFOLLOW != 0 {
		wf = 0
	}
	p, err := t.place(unix.AT_FDCWD, target, wf)
	if err != nil {
		return err
	}
	defer p.done()
	at, err := p.walk(t, 0)
	if err != nil {
		return err
	}
	defer at.Unref()
	switch {
	case !t.cred.Has(unix.CAP_SYS_ADMIN):
		return unix.EPERM
	case flags&unix.MNT_EXPIRE != 0 && flags&(unix.MNT_FORCE|unix.MNT_DETACH) != 0:
		return unix.EINVAL
	}
	if err := vfs.MayUse(t, at, vfs.UseWrite|vfs.UseTree); err != nil {
		return err
	}
	t.k.journal.Sync(at.Mount.FS())
	return t.mountNamespace().Unmount(at, int(flags))
}

func sysPivotRoot(t *Task, newRoot, putOld Str) error {
	if !t.cred.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	return t.withTwo(unix.AT_FDCWD, newRoot, unix.AT_FDCWD, putOld, vfs.Follow, func(a, b *place) error {
		to, err := a.walk(t, vfs.Directory)
		if err != nil {
			return err
		}
		defer to.Unref()
		put, err := b.walk(t, vfs.Follow|vfs.Directory)
		if err != nil {
			return err
		}
		defer put.Unref()
		if err := t.mayUseAll(); err != nil {
			return err
		}
		old := t.fs.root
		if err := t.mountNamespace().PivotRoot(old, to, put); err != nil {
			return err
		}
		old.Ref()
		defer old.Unref()
		// Whoever stood at the old root stands at the new one.
		moved := map[*fsInfo]bool{}
		for _, o := range t.k.pids.tasks {
			if o.fs == nil || moved[o.fs] {
				continue
			}
			moved[o.fs] = true
			for _, p := range []*vfs.Path{&o.fs.root, &o.fs.cwd} {
				if *p == old {
					*p = to.Ref()
					old.Unref()
				}
			}
		}
		return nil
	})
}

// setName is sethostname(2) and setdomainname(2).
func (t *Task) setName(to *string, p Addr, n int32) error {
	const longest = 64
	if !t.cred.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	if n < 0 || n > longest {
		return unix.EINVAL
	}
	b := make([]byte, n)
	if err := t.CopyIn(uint64(p), b); err != nil {
		return err
	}
	name, _, _ := strings.Cut(string(b), "\x00")
	*to = name
	return nil
}

// nameless is the file system of what never had a name: memfds and the like.
func (k *Kernel) nameless() *tmpfs.FS {
	if k.memfds == nil {
		k.memfds = tmpfs.New(k.clock.Realtime(), tmpfs.Options{Dev: k.ns.System().AnonymousDev(), Budget: k.FileMemory()})
	}
	return k.memfds
}

func sysMemfdCreate(t *Task, name Str, flags uint32) (int, error) {
	const longest = 249
	const execFlags = unix.MFD_EXEC | unix.MFD_NOEXEC_SEAL
	if flags&^(unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|execFlags) != 0 || flags&execFlags == execFlags {
		return 0, unix.EINVAL
	}
	s, err := t.copyInString(uint64(name), longest+1)
	if err != nil {
		if err == unix.E2BIG {
			err = unix.EINVAL
		}
		return 0, err
	}
	f, err := t.k.nameless().Memfd(t, s, int(flags))
	if err != nil {
		return 0, err
	}
	f.Flags |= oLargefile
	return t.installFile(f, flags&unix.MFD_CLOEXEC != 0)
}
