package kernel

import (
	"slices"
	"strings"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/seccomp"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{"seccomp": r3(sysSeccomp)})
}

// Operations of seccomp(2) that package unix has no name for.
const (
	seccompGetActionAvail = 2
	seccompGetNotifSizes  = 3

	allFilterFlags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW |
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
)

// seccompActions are the actions by name, in the order /proc shows them.
var seccompActions = []struct {
	name   string
	action uint32
}{
	{"kill_process", seccomp.KillProcess},
	{"kill_thread", seccomp.KillThread},
	{"trap", seccomp.Trap},
	{"errno", seccomp.Errno},
	{"user_notif", seccomp.UserNotif},
	{"trace", seccomp.Trace},
	{"log", seccomp.Log},
	{"allow", seccomp.Allow},
}

func sysSeccomp(t *Task, op, flags uint32, arg Addr) (int, error) {
	if op != unix.SECCOMP_SET_MODE_FILTER && flags != 0 {
		return 0, unix.EINVAL
	}
	switch op {
	case unix.SECCOMP_SET_MODE_STRICT:
		if arg != 0 {
			return 0, unix.EINVAL
		}
		return 0, t.seccompStrict()
	case unix.SECCOMP_SET_MODE_FILTER:
		return t.seccompSetFilter(flags, arg)
	case seccompGetActionAvail:
		action, err := Ptr[uint32](arg).In(t)
		if err != nil {
			return 0, err
		}
		for _, a := range seccompActions {
			if a.action == action {
				return 0, nil
			}
		}
		return 0, unix.EOPNOTSUPP
	case seccompGetNotifSizes:
		sizes := [3]uint16{
			uint16(len(asBytes(&seccompNotif{}))), uint16(len(asBytes(&seccompNotifResp{}))), uint16(len(asBytes(&abi.SeccompData{}))),
		}
		return 0, Ptr[[3]uint16](arg).Out(t, &sizes)
	}
	return 0, unix.EINVAL
}

// prctlSeccomp is PR_SET_SECCOMP.
func (t *Task) prctlSeccomp(mode uint64, filter Addr) error {
	switch mode {
	case unix.SECCOMP_MODE_STRICT:
		return t.seccompStrict()
	case unix.SECCOMP_MODE_FILTER:
		_, err := t.seccompSetFilter(0, filter)
		return err
	}
	return unix.EINVAL
}

// seccompStrict enters strict mode, which cannot be left.
func (t *Task) seccompStrict() error {
	if t.seccomp.mode == unix.SECCOMP_MODE_FILTER {
		return unix.EINVAL
	}
	t.seccomp.mode = unix.SECCOMP_MODE_STRICT
	t.around |= aroundSeccomp
	return nil
}

// seccompSetFilter puts one more filter on the task. It returns the listener's
// descriptor if one is asked for, or the thread that cannot be synchronized.
func (t *Task) seccompSetFilter(flags uint32, prog Addr) (int, error) {
	const (
		sync     = unix.SECCOMP_FILTER_FLAG_TSYNC
		listen   = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		esrch    = unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		killable = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	)
	switch {
	case flags&^allFilterFlags != 0,
		flags&(sync|listen|esrch) == sync|listen, // one result for two things
		flags&(killable|listen) == killable:
		return 0, unix.EINVAL
	}
	p, err := t.copyInProgram(prog)
	if err != nil {
		return 0, err
	}
	f := &seccompFilter{program: p}
	fd := 0
	if flags&listen != 0 {
		if fd, err = t.installFile(t.k.newListener(f), true); err != nil {
			return 0, err
		}
	}
	notSynced, err := t.seccompAttach(f, flags)
	if err == nil && notSynced == nil {
		return fd, nil
	}
	if flags&listen != 0 {
		t.files.Close(t, fd)
	}
	switch {
	case err != nil:
		return 0, err
	case flags&esrch != 0:
		return 0, unix.ESRCH
	}
	return notSynced.tid, nil
}

func (t *Task) seccompAttach(f *seccompFilter, flags uint32) (*Task, error) {
	if t.seccomp.mode == unix.SECCOMP_MODE_STRICT {
		return nil, unix.EINVAL
	}
	if f.listener != nil {
		for o := t.seccomp.filter; o != nil; o = o.prev {
			if o.listener != nil {
				return nil, unix.EBUSY
			}
		}
	}
	return t.attachFilter(f, flags)
}

// copyInProgram reads a struct sock_fprog and checks the filter in it.
func (t *Task) copyInProgram(at Addr) (*seccomp.Program, error) {
	var f abi.SockFprog
	if t.call.Arch == abi.I386 {
		raw, err := Ptr[[2]uint32](at).In(t)
		if err != nil {
			return nil, err
		}
		f.Len, f.Filter = uint16(raw[0]), uint64(raw[1])
	} else if err := t.CopyIn(uint64(at), asBytes(&f)); err != nil {
		return nil, err
	}
	if f.Len == 0 || f.Len > seccomp.MaxLen {
		return nil, unix.EINVAL
	}
	if !t.cred.NoNewPrivs && !t.cred.Has(unix.CAP_SYS_ADMIN) {
		return nil, unix.EACCES
	}
	if f.Filter == 0 {
		return nil, unix.EINVAL
	}
	code, err := Ptr[seccomp.Instruction](f.Filter).Slice(t, int(f.Len))
	if err != nil {
		return nil, err
	}
	return seccomp.Compile(code)
}

// actionNames is /proc/sys/kernel/seccomp/actions_avail.
func actionNames() string {
	var names []string
	for _, a := range seccompActions {
		names = append(names, a.name)
	}
	return strings.Join(names, " ")
}

// loggedActions is /proc/sys/kernel/seccomp/actions_logged. Nothing is logged
// here; the setting is kept.
type loggedActions []string

func newLoggedActions() *loggedActions {
	var l loggedActions
	for _, a := range seccompActions {
		if a.action != seccomp.Allow {
			l = append(l, a.name)
		}
	}
	return &l
}

func (l *loggedActions) String() string { return strings.Join(*l, " ") }

// write takes a list of names. "allow" cannot be logged.
func (l *loggedActions) write(ctx vfs.Context, p []byte) error {
	if !ctx.Cred().Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	text, _, _ := strings.Cut(string(p), "\n")
	given := strings.Split(text, " ")
	if i := slices.Index(given, ""); i >= 0 {
		given = given[:i] // as Linux: two spaces end the list
	}
	var list []string
	for _, a := range seccompActions {
		if i := slices.Index(given, a.name); i >= 0 {
			if a.action == seccomp.Allow {
				return unix.EINVAL
			}
			list = append(list, a.name)
			given = slices.DeleteFunc(given, func(s string) bool { return s == a.name })
		}
	}
	if len(given) > 0 {
		return unix.EINVAL
	}
	*l = list
	return nil
}
