package kernel

import (
	"slices"

	"github.com/sysemu/sysemu/internal/vfs"
)

// Cred is a task's identity, credentials(7). A Cred is never changed once a
// task has it: a change makes a new one.
type Cred struct {
	UID, EUID, SUID uint32
	GID, EGID, SGID uint32

	Permitted, Inheritable, Bounding, Ambient uint64
	SecureBits                                uint32
	NoNewPrivs                                bool

	// fs has the file-system ids, the groups and the effective capabilities.
	fs vfs.Cred
}

// allCaps has every capability of Linux 6.x: 0 to 40.
const allCaps = 1<<41 - 1

// NewCred returns the identity of a process that has just become uid, gid.
func NewCred(uid, gid uint32, groups []uint32) *Cred {
	c := &Cred{UID: uid, EUID: uid, SUID: uid, GID: gid, EGID: gid, SGID: gid, Bounding: allCaps}
	c.fs = vfs.Cred{UID: uid, GID: gid, Groups: slices.Clone(groups)}
	if uid == 0 {
		c.Permitted, c.fs.Caps = allCaps, allCaps
	}
	return c
}

func (c *Cred) clone() *Cred {
	n := *c
	return &n
}

// Effective is the effective capability set.
func (c *Cred) Effective() uint64 { return c.fs.Caps }

// Has reports whether capability c is effective.
func (c *Cred) Has(capability int) bool { return c.fs.Has(capability) }
