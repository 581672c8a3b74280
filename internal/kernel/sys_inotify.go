package kernel

import (
	"github.com/sysemu/sysemu/internal/inotify"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"inotify_init":      r0(func(t *Task) (int, error) { return sysInotifyInit1(t, 0) }),
		"inotify_init1":     r1(sysInotifyInit1),
		"inotify_add_watch": r3(sysInotifyAddWatch),
		"inotify_rm_watch":  e2(sysInotifyRmWatch),
		"fanotify_init":     e0(func(t *Task) error { return unix.EPERM }),
	})
}

func sysInotifyInit1(t *Task, flags int32) (int, error) {
	if flags&^(unix.IN_CLOEXEC|unix.IN_NONBLOCK) != 0 {
		return 0, unix.EINVAL
	}
	return t.installFile(inotify.New(int(flags)&unix.IN_NONBLOCK), flags&unix.IN_CLOEXEC != 0)
}

func sysInotifyAddWatch(t *Task, fd FD, name Str, mask uint32) (wd int32, err error) {
	err = t.withFile(fd, func(f *vfs.File) error {
		in, err := inotify.Of(f)
		if err != nil {
			return err
		}
		s, err := name.In(t)
		if err != nil {
			return err
		}
		wd, err = in.AddWatch(t, t.atCwd(), s, mask)
		return err
	})
	return wd, err
}

func sysInotifyRmWatch(t *Task, fd FD, wd int32) error {
	return t.withFile(fd, func(f *vfs.File) error {
		in, err := inotify.Of(f)
		if err != nil {
			return err
		}
		return in.RemoveWatch(wd)
	})
}
