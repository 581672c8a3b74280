package kernel

import (
	"slices"

	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"getuid":    r0(func(t *Task) (uint32, error) { return t.cred.UID, nil }),
		"geteuid":   r0(func(t *Task) (uint32, error) { return t.cred.EUID, nil }),
		"getgid":    r0(func(t *Task) (uint32, error) { return t.cred.GID, nil }),
		"getegid":   r0(func(t *Task) (uint32, error) { return t.cred.EGID, nil }),
		"getresuid": e3(sysGetresuid),
		"getresgid": e3(sysGetresgid),
		"setuid":    e1(sysSetuid),
		"setgid":    e1(sysSetgid),
		"setreuid":  e2(sysSetreuid),
		"setregid":  e2(sysSetregid),
		"setresuid": e3(sysSetresuid),
		"setresgid": e3(sysSetresgid),
		"setfsuid":  r1(sysSetfsuid),
		"setfsgid":  r1(sysSetfsgid),
		"getgroups": r2(sysGetgroups),
		"setgroups": e2(sysSetgroups),
		"capget":    e2(sysCapget),
		"capset":    e2(sysCapset),
	})
}

// same is the id argument that leaves an id as it is.
const same = ^uint32(0)

func sysGetresuid(t *Task, r, e, s Ptr[uint32]) error {
	c := t.cred
	return firstError(r.Out(t, &c.UID), e.Out(t, &c.EUID), s.Out(t, &c.SUID))
}

func sysGetresgid(t *Task, r, e, s Ptr[uint32]) error {
	c := t.cred
	return firstError(r.Out(t, &c.GID), e.Out(t, &c.EGID), s.Out(t, &c.SGID))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// setUIDs gives the task a new identity, with what capabilities(7) says of the
// change. The file-system id follows the effective one.
func (t *Task) setUIDs(r, e, s uint32) {
	old := t.cred
	c := old.clone()
	c.UID, c.EUID, c.SUID, c.fs.UID = r, e, s, e
	const noFixup, keepCaps = 1 << 2, 1 << 4
	if c.SecureBits&noFixup == 0 {
		wasRoot := old.UID == 0 || old.EUID == 0 || old.SUID == 0
		if wasRoot && r != 0 && e != 0 && s != 0 {
			if c.SecureBits&keepCaps == 0 {
				c.Permitted = 0
				c.Ambient = 0
			}
			c.fs.Caps = 0
		}
		switch {
		case old.EUID == 0 && e != 0:
			c.fs.Caps = 0
		case old.EUID != 0 && e == 0:
			c.fs.Caps = c.Permitted
		}
	}
	t.changeCred(c)
}

func (t *Task) setGIDs(r, e, s uint32) {
	c := t.cred.clone()
	c.GID, c.EGID, c.SGID, c.fs.GID = r, e, s, e
	t.changeCred(c)
}

// changeCred installs a new identity. A process that changes it can no longer
// be traced or dumped by its user, prctl(2) PR_SET_DUMPABLE.
func (t *Task) changeCred(c *Cred) {
	o := t.cred
	if o.EUID != c.EUID || o.EGID != c.EGID || o.fs.UID != c.fs.UID || o.fs.GID != c.fs.GID {
		t.p.dumpable = 0
		t.p.deathSignal = 0
	}
	t.cred = c
}

func sysSetuid(t *Task, id uint32) error {
	c := t.cred
	switch {
	case id == same:
		return unix.EINVAL
	case c.Has(unix.CAP_SETUID):
		t.setUIDs(id, id, id)
	case id == c.UID || id == c.SUID:
		t.setUIDs(c.UID, id, c.SUID)
	default:
		return unix.EPERM
	}
	return nil
}

func sysSetgid(t *Task, id uint32) error {
	c := t.cred
	switch {
	case id == same:
		return unix.EINVAL
	case c.Has(unix.CAP_SETGID):
		t.setGIDs(id, id, id)
	case id == c.GID || id == c.SGID:
		t.setGIDs(c.GID, id, c.SGID)
	default:
		return unix.EPERM
	}
	return nil
}

// reIDs works out setreuid and setregid.
func reIDs(may bool, real, eff, saved, r, e uint32) (nr, ne, ns uint32, err error) {
	nr, ne, ns = real, eff, saved
	if r != same {
		if !may && r != real && r != eff {
			return 0, 0, 0, unix.EPERM
		}
		nr = r
	}
	if e != same {
		if !may && e != real && e != eff && e != saved {
			return 0, 0, 0, unix.EPERM
		}
		ne = e
	}
	if r != same || e != same && e != real {
		ns = ne
	}
	return nr, ne, ns, nil
}

func sysSetreuid(t *Task, r, e uint32) error {
	c := t.cred
	nr, ne, ns, err := reIDs(c.Has(unix.CAP_SETUID), c.UID, c.EUID, c.SUID, r, e)
	if err == nil {
		t.setUIDs(nr, ne, ns)
	}
	return err
}

func sysSetregid(t *Task, r, e uint32) error {
	c := t.cred
	nr, ne, ns, err := reIDs(c.Has(unix.CAP_SETGID), c.GID, c.EGID, c.SGID, r, e)
	if err == nil {
		t.setGIDs(nr, ne, ns)
	}
	return err
}

// resIDs works out setresuid and setresgid.
func resIDs(may bool, have, want [3]uint32) ([3]uint32, error) {
	for i, id := range want {
		if id == same {
			want[i] = have[i]
		} else if !may && !slices.Contains(have[:], id) {
			return have, unix.EPERM
		}
	}
	return want, nil
}

func sysSetresuid(t *Task, r, e, s uint32) error {
	c := t.cred
	ids, err := resIDs(c.Has(unix.CAP_SETUID), [3]uint32{c.UID, c.EUID, c.SUID}, [3]uint32{r, e, s})
	if err == nil {
		t.setUIDs(ids[0], ids[1], ids[2])
	}
	return err
}

func sysSetresgid(t *Task, r, e, s uint32) error {
	c := t.cred
	ids, err := resIDs(c.Has(unix.CAP_SETGID), [3]uint32{c.GID, c.EGID, c.SGID}, [3]uint32{r, e, s})
	if err == nil {
		t.setGIDs(ids[0], ids[1], ids[2])
	}
	return err
}

// fsCaps are the capabilities that follow the file-system uid.
const fsCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER |
	1<<unix.CAP_FSETID | 1<<unix.CAP_LINUX_IMMUTABLE | 1<<unix.CAP_MKNOD | 1<<unix.CAP_MAC_OVERRIDE

func sysSetfsuid(t *Task, id uint32) (uint32, error) {
	c := t.cred
	was := c.fs.UID
	if id == same || id == was || !(id == c.UID || id == c.EUID || id == c.SUID || c.Has(unix.CAP_SETUID)) {
		return was, nil
	}
	n := c.clone()
	n.fs.UID = id
	switch {
	case was == 0 && id != 0:
		n.fs.Caps &^= fsCaps
	case was != 0 && id == 0:
		n.fs.Caps |= n.Permitted & fsCaps
	}
	t.changeCred(n)
	return was, nil
}

func sysSetfsgid(t *Task, id uint32) (uint32, error) {
	c := t.cred
	was := c.fs.GID
	if id == same || id == was || !(id == c.GID || id == c.EGID || id == c.SGID || c.Has(unix.CAP_SETGID)) {
		return was, nil
	}
	n := c.clone()
	n.fs.GID = id
	t.changeCred(n)
	return was, nil
}

const maxGroups = 65536

func sysGetgroups(t *Task, n int32, p Addr) (int, error) {
	g := t.cred.fs.Groups
	if n < 0 {
		return 0, unix.EINVAL
	}
	if n != 0 {
		if int(n) < len(g) {
			return 0, unix.EINVAL
		}
		if err := t.CopyOut(uint64(p), sliceBytes(g)); err != nil {
			return 0, err
		}
	}
	return len(g), nil
}

func sysSetgroups(t *Task, n int32, p Ptr[uint32]) error {
	if err := t.maySetGroups(n); err != nil {
		return err
	}
	g, err := p.Slice(t, int(n))
	if err != nil {
		return err
	}
	return t.setGroups(g)
}

// setGroups gives the task other supplementary groups.
func (t *Task) setGroups(g []uint32) error {
	if slices.Contains(g, same) {
		return unix.EINVAL
	}
	slices.Sort(g)
	c := t.cred.clone()
	c.fs.Groups = g
	t.cred = c
	return nil
}

func (t *Task) maySetGroups(n int32) error {
	if !t.cred.Has(unix.CAP_SETGID) {
		return unix.EPERM
	}
	if uint32(n) > maxGroups {
		return unix.EINVAL
	}
	return nil
}

// capHeader and capData are the arguments of capget(2).
type capHeader struct {
	Version uint32
	PID     int32
}
type capData struct{ Effective, Permitted, Inheritable uint32 }

// capWords checks the header and returns how many capData follow.
func (t *Task) capWords(p Ptr[capHeader]) (h capHeader, n int, err error) {
	if h, err = p.In(t); err != nil {
		return h, 0, err
	}
	switch h.Version {
	case unix.LINUX_CAPABILITY_VERSION_1:
		return h, 1, nil
	case unix.LINUX_CAPABILITY_VERSION_2, unix.LINUX_CAPABILITY_VERSION_3:
		return h, 2, nil
	}
	h.Version = unix.LINUX_CAPABILITY_VERSION_3
	if err := p.Out(t, &h); err != nil {
		return h, 0, err
	}
	return h, 0, unix.EINVAL
}

func sysCapget(t *Task, head Ptr[capHeader], data Ptr[capData]) error {
	h, n, err := t.capWords(head)
	if err != nil {
		if err == unix.EINVAL && data == 0 {
			return nil // only the version was asked for
		}
		return err
	}
	if h.PID < 0 {
		return unix.EINVAL
	}
	o := t
	if h.PID != 0 {
		if o = t.k.pids.tasks[int(h.PID)]; o == nil {
			return unix.ESRCH
		}
	}
	if data == 0 {
		return nil
	}
	c := o.cred
	for i := range n {
		s := 32 * i
		d := capData{uint32(c.fs.Caps >> s), uint32(c.Permitted >> s), uint32(c.Inheritable >> s)}
		if err := data.At(i).Out(t, &d); err != nil {
			return err
		}
	}
	return nil
}

func sysCapset(t *Task, head Ptr[capHeader], data Ptr[capData]) error {
	h, n, err := t.capWords(head)
	if err != nil {
		return err
	}
	if h.PID != 0 && int(h.PID) != t.tid {
		return unix.EPERM
	}
	d, err := data.Slice(t, n)
	if err != nil {
		return err
	}
	var e, p, in uint64
	for i, w := range d {
		e |= uint64(w.Effective) << (32 * i)
		p |= uint64(w.Permitted) << (32 * i)
		in |= uint64(w.Inheritable) << (32 * i)
	}
	c := t.cred
	e, p, in = e&allCaps, p&allCaps, in&allCaps
	switch {
	case p&^c.Permitted != 0, e&^p != 0,
		in&^(c.Inheritable|c.Permitted) != 0 && !c.Has(unix.CAP_SETPCAP),
		in&^(c.Inheritable|c.Bounding) != 0:
		return unix.EPERM
	}
	c = c.clone()
	c.fs.Caps, c.Permitted, c.Inheritable = e, p, in
	c.Ambient &= p & in
	t.cred = c
	return nil
}
