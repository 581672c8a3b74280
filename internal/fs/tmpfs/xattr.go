package tmpfs

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// xattr is one extended attribute.
type xattr struct {
	name  string
	value []byte
}

// maxXattrs bounds the attributes of one inode, in bytes: ENOSPC beyond.
const maxXattrs = 128 << 10

func (n *node) findXattr(name string) int {
	return slices.IndexFunc(n.xattrs, func(x xattr) bool { return x.name == name })
}

// Getxattr implements vfs.Xattrer.
func (n *node) Getxattr(_ vfs.Context, name string) ([]byte, error) {
	if i := n.findXattr(name); i >= 0 {
		return bytes.Clone(n.xattrs[i].value), nil
	}
	return nil, unix.ENODATA
}

// Setxattr implements vfs.Xattrer.
func (n *node) Setxattr(ctx vfs.Context, name string, value []byte, flags int) error {
	i := n.findXattr(name)
	switch {
	case i >= 0 && flags&unix.XATTR_CREATE != 0:
		return unix.EEXIST
	case i < 0 && flags&unix.XATTR_REPLACE != 0:
		return unix.ENODATA
	}
	total := len(name) + len(value)
	for j, x := range n.xattrs {
		if j != i {
			total += len(x.name) + len(x.value)
		}
	}
	if total > maxXattrs {
		return unix.ENOSPC
	}
	x := xattr{strings.Clone(name), append([]byte{}, value...)}
	if i < 0 {
		n.xattrs = append(n.xattrs, x)
	} else {
		n.xattrs[i] = x
	}
	n.ctime = ctx.Realtime()
	return nil
}

// Listxattr implements vfs.Xattrer.
func (n *node) Listxattr(vfs.Context) ([]string, error) {
	var names []string
	for _, x := range n.xattrs {
		names = append(names, x.name)
	}
	return names, nil
}

// Removexattr implements vfs.Xattrer.
func (n *node) Removexattr(ctx vfs.Context, name string) error {
	i := n.findXattr(name)
	if i < 0 {
		return unix.ENODATA
	}
	n.xattrs = slices.Delete(n.xattrs, i, i+1)
	n.ctime = ctx.Realtime()
	return nil
}
