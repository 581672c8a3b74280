package vfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The lists of mounts in /proc: proc_pid_mounts(5), proc_pid_mountinfo(5).
// They show what is below the reader's root.

// mangle escapes what would break a line into the wrong fields.
var mangle = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`)

// options returns a mount's own options, "rw,nosuid".
func (m *Mount) options(readOnly bool) string {
	s := "rw"
	if readOnly {
		s = "ro"
	}
	for _, o := range []struct {
		flag MountFlags
		name string
	}{
		{unix.MS_NOSUID, ",nosuid"}, {unix.MS_NODEV, ",nodev"}, {unix.MS_NOEXEC, ",noexec"},
		{unix.MS_NOATIME, ",noatime"}, {unix.MS_NODIRATIME, ",nodiratime"}, {unix.MS_RELATIME, ",relatime"},
		{unix.MS_NOSYMFOLLOW, ",nosymfollow"},
	} {
		if m.Flags&o.flag != 0 {
			s += o.name
		}
	}
	return s
}

// fsOptions returns the file system's own options, with a comma before them.
func (m *Mount) fsOptions() string {
	if o, ok := m.sb.fs.(Optioner); ok {
		if s := o.Options(); s != "" {
			return "," + s
		}
	}
	return ""
}

// fsReadOnly reports whether the file system itself cannot be written.
func (m *Mount) fsReadOnly() bool {
	ro, ok := m.sb.fs.(ReadOnlyer)
	return ok && ro.ReadOnly()
}

func (m *Mount) source() string {
	if m.Source == "" {
		return "none"
	}
	return mangle.Replace(m.Source)
}

// each calls f for every mount that is below root, with its name there.
func (ns *Namespace) each(root Path, f func(m *Mount, name string)) {
	for _, m := range ns.mounts {
		if name, ok := pathName(root, m.Root()); ok {
			f(m, mangle.Replace(name))
		}
	}
}

// ProcMounts returns the text of /proc/PID/mounts for a task with that root.
func (ns *Namespace) ProcMounts(root Path) string {
	var b strings.Builder
	ns.each(root, func(m *Mount, name string) {
		fmt.Fprintf(&b, "%s %s %s %s%s 0 0\n", m.source(), name, m.sb.fs.Type(), m.options(m.ReadOnly()), m.fsOptions())
	})
	return b.String()
}

// MountInfo returns the text of /proc/PID/mountinfo for a task with that root.
func (ns *Namespace) MountInfo(ctx Context, root Path) string {
	var b strings.Builder
	ns.each(root, func(m *Mount, name string) {
		parent := m.ID
		if m.parent != nil {
			parent = m.parent.ID
		}
		var dev uint64
		if a, err := m.root.inode.Attr(ctx); err == nil {
			dev = a.Dev
		}
		fsRW := "rw"
		if m.fsReadOnly() {
			fsRW = "ro"
		}
		within, _ := pathName(Path{}, Path{&Mount{root: m.sb.root}, m.root})
		fmt.Fprintf(&b, "%d %d %d:%d %s %s %s - %s %s %s%s\n", m.ID, parent, unix.Major(dev), unix.Minor(dev),
			mangle.Replace(within), name, m.options(m.Flags&unix.MS_RDONLY != 0), m.sb.fs.Type(), m.source(), fsRW, m.fsOptions())
	})
	return b.String()
}
