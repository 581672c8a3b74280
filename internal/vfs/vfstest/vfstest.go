// Package vfstest has a stand-in for the calling task, for tests of file
// systems and open files.
package vfstest

import (
	"math"
	"time"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait/waittest"
)

// Context implements vfs.Context; its fields may be changed at will.
type Context struct {
	*waittest.Task
	Creds vfs.Cred
	Mask  uint32
	Limit uint64
	Pid   int
}

var _ vfs.Context = (*Context)(nil)

// Root returns a context of uid 0 with all capabilities, umask 022.
func Root(t *waittest.Task) *Context {
	return &Context{Task: t, Creds: vfs.Cred{Caps: math.MaxUint64}, Mask: 0o22, Limit: math.MaxUint64, Pid: 1}
}

// User returns a context of an ordinary user.
func User(t *waittest.Task, uid, gid uint32) *Context {
	c := Root(t)
	c.Creds = vfs.Cred{UID: uid, GID: gid}
	return c
}

func (c *Context) Cred() *vfs.Cred       { return &c.Creds }
func (c *Context) Umask() uint32         { return c.Mask }
func (c *Context) Realtime() int64       { return time.Now().UnixNano() }
func (c *Context) FileSizeLimit() uint64 { return c.Limit }
func (c *Context) PID() int              { return c.Pid }
func (c *Context) TID() int              { return c.Pid }
