package kernel

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// place is a file that a call names: by a name and where that starts, or by
// a descriptor. It holds the directory it starts at; done lets go of it.
type place struct {
	at    vfs.At
	name  string
	flags vfs.WalkFlags
}

func (p *place) done() { p.at.Dir.Unref() }

// place reads a name that is relative to directory dir. With Empty no name at
// all, not even an empty one, is dir itself too.
func (t *Task) place(dir FD, name Str, flags vfs.WalkFlags) (p place, err error) {
	p.flags = flags
	if name != 0 || flags&vfs.Empty == 0 {
		if p.name, err = name.In(t); err != nil {
			return p, err
		}
	}
	p.at, err = t.at(dir, p.name)
	return p, err
}

// placeOf is where a descriptor's file is: EBADF for one of O_PATH.
func (t *Task) placeOf(fd FD) (p place, err error) {
	f, err := t.files.Get(int(fd))
	if err != nil {
		return p, err
	}
	defer f.Unref(t)
	at, err := f.Place(t)
	if err != nil {
		return p, err
	}
	return place{at: vfs.At{Root: t.fs.root, Dir: at.Ref()}, flags: vfs.Empty}, nil
}

// walk goes to the place. The path is referenced.
func (p *place) walk(t *Task, more vfs.WalkFlags) (vfs.Path, error) {
	return vfs.Walk(t, p.at, p.name, p.flags|more, 0)
}

// at is what most calls on names do: f with the place, held meanwhile.
func (t *Task) withPlace(dir FD, name Str, flags vfs.WalkFlags, f func(p *place) error) error {
	p, err := t.place(dir, name, flags)
	if err != nil {
		return err
	}
	defer p.done()
	return f(&p)
}

// withTwo is withPlace for the calls that take two names.
func (t *Task) withTwo(dirA FD, nameA Str, dirB FD, nameB Str, flags vfs.WalkFlags, f func(a, b *place) error) error {
	return t.withPlace(dirA, nameA, flags, func(a *place) error {
		return t.withPlace(dirB, nameB, 0, func(b *place) error { return f(a, b) })
	})
}

// walkFlags turns AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH into the walk's flags;
// EINVAL for a flag that is not among known.
func walkFlags(flags, known int32) (vfs.WalkFlags, error) {
	if flags&^known != 0 {
		return 0, unix.EINVAL
	}
	wf := vfs.Follow
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		wf = 0
	}
	if flags&unix.AT_EMPTY_PATH != 0 {
		wf |= vfs.Empty
	}
	return wf, nil
}
