package kernel

import (
	"strconv"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// FD is a file descriptor's number.
type FD int32

// withFile runs f with the description behind fd, held meanwhile.
func (t *Task) withFile(fd FD, f func(*vfs.File) error) error {
	file, err := t.files.Get(int(fd))
	if err != nil {
		return err
	}
	defer file.Unref(t)
	return f(file)
}

func itoa(n int) string { return strconv.Itoa(n) }

// fileLimit is RLIMIT_NOFILE.
func (t *Task) fileLimit() int {
	return int(min(t.p.limits[unix.RLIMIT_NOFILE].Cur, maxFiles))
}

// installFile gives f, whose reference passes to the table, the lowest free
// descriptor.
func (t *Task) installFile(f *vfs.File, cloexec bool) (int, error) {
	fd, err := t.files.Install(f, 0, t.fileLimit(), cloexec)
	if err != nil {
		f.Unref(t)
		return 0, err
	}
	return fd, nil
}

// atCwd is where relative names start.
func (t *Task) atCwd() vfs.At { return vfs.At{Root: t.fs.root, Dir: t.fs.cwd} }

// at is where name starts, given a directory descriptor. The Dir is held: the
// caller lets go of it.
func (t *Task) at(dir FD, name string) (vfs.At, error) {
	at := t.atCwd()
	if dir == unix.AT_FDCWD || len(name) > 0 && name[0] == '/' {
		at.Dir.Ref()
		return at, nil
	}
	f, err := t.files.GetPath(int(dir))
	if err != nil {
		return at, err
	}
	defer f.Unref(t)
	p, err := f.Place(t)
	if err != nil {
		return at, err
	}
	at.Dir = p.Ref()
	return at, nil
}
