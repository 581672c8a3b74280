package net

import (
	"fmt"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// inode is what stat(2) sees of a socket.
type inode struct {
	ino                 uint64
	mode, uid, gid      uint32
	atime, mtime, ctime int64
}

// sockDev is the device number of the file system that sockets live in.
const sockDev = 8

// Attr implements vfs.Inode.
func (i *inode) Attr(vfs.Context) (vfs.Attr, error) {
	return vfs.Attr{Dev: sockDev, Ino: i.ino, Nlink: 1, Mode: unix.S_IFSOCK | i.mode, UID: i.uid, GID: i.gid,
		BlockSize: 4096, Atime: i.atime, Mtime: i.mtime, Ctime: i.ctime}, nil
}

// SetAttr implements vfs.AttrSetter.
func (i *inode) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	for _, f := range []struct {
		mask vfs.AttrMask
		do   func()
	}{
		{vfs.SetMode, func() { i.mode = a.Mode & 0o7777 }},
		{vfs.SetUID, func() { i.uid = a.UID }},
		{vfs.SetGID, func() { i.gid = a.GID }},
		{vfs.SetAtime, func() { i.atime = a.Atime }},
		{vfs.SetMtime, func() { i.mtime = a.Mtime }},
		{vfs.SetCtime, func() { i.ctime = a.Ctime }},
	} {
		if set&f.mask != 0 {
			f.do()
		}
	}
	return nil
}

// Name implements vfs.Namer.
func (i *inode) Name() string { return fmt.Sprintf("socket:[%d]", i.ino) }
