package hostfs

import (
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Extended attributes of the classes user, trusted and security are shown;
// of the class security none are set, they mean something to the host.

func shown(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "security.")
}

func settable(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.")
}

// viaPath runs f with a name that leads to the inode itself.
func (n *node) viaPath(f func(path string) error) error {
	h, err := n.reach()
	if err != nil {
		return err
	}
	defer n.fs.cache.put(h)
	return f(procPath(h.fd))
}

// Getxattr implements vfs.Xattrer.
func (n *node) Getxattr(_ vfs.Context, name string) ([]byte, error) {
	if n.noXattr {
		return nil, unix.ENODATA
	}
	if !shown(name) {
		return nil, unix.EOPNOTSUPP
	}
	if n.fs.opts.Stable {
		// Most files have none at all, and ls asks for each.
		if names, err := n.listxattr(); err != nil || len(names) == 0 {
			return nil, unix.ENODATA
		}
	}
	var value []byte
	err := n.viaPath(func(path string) error {
		buf := make([]byte, 256)
		for {
			size, err := unix.Getxattr(path, name, buf)
			if err == nil {
				value = buf[:size]
				return nil
			}
			if err != unix.ERANGE || len(buf) >= 64<<10 {
				return err
			}
			buf = make([]byte, 64<<10)
		}
	})
	return value, err
}

// Setxattr implements vfs.Xattrer.
func (n *node) Setxattr(_ vfs.Context, name string, value []byte, flags int) error {
	if n.fs.opts.ReadOnly {
		return unix.EROFS
	}
	if !settable(name) {
		return unix.EOPNOTSUPP
	}
	return n.viaPath(func(path string) error { return unix.Setxattr(path, name, value, flags) })
}

// Listxattr implements vfs.Xattrer.
func (n *node) Listxattr(vfs.Context) ([]string, error) { return n.listxattr() }

func (n *node) listxattr() ([]string, error) {
	if n.noXattr {
		return nil, nil
	}
	var names []string
	err := n.viaPath(func(path string) error {
		buf := n.fs.text[:]
		size, err := unix.Listxattr(path, buf)
		if err == unix.ERANGE {
			buf = make([]byte, 64<<10)
			size, err = unix.Listxattr(path, buf)
		}
		if err == nil && size > 0 {
			names = strings.Split(string(buf[:size-1]), "\x00")
		}
		return err
	})
	if err == unix.EOPNOTSUPP {
		err = nil // a file system without any
	}
	if err == nil && len(names) == 0 && n.fs.opts.Stable {
		n.noXattr = true
	}
	kept := names[:0]
	for _, s := range names {
		if shown(s) {
			kept = append(kept, s)
		}
	}
	return kept, err
}

// Removexattr implements vfs.Xattrer.
func (n *node) Removexattr(_ vfs.Context, name string) error {
	if n.fs.opts.ReadOnly {
		return unix.EROFS
	}
	if !settable(name) {
		return unix.EOPNOTSUPP
	}
	return n.viaPath(func(path string) error { return unix.Removexattr(path, name) })
}
