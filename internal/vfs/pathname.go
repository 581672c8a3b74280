package vfs

import "golang.org/x/sys/unix"

// Namer is an inode without a place in the tree that has something to be
// called by: "pipe:[7]", "anon_inode:[eventpoll]", "/memfd:x (deleted)".
type Namer interface{ Name() string }

// PathName returns the name of p as seen from root, as /proc shows it: with
// " (deleted)" when the name is gone.
func PathName(root, p Path) string {
	if p.Mount == nil {
		if p.Dentry == nil {
			return ""
		}
		if n, ok := p.Dentry.inode.(Namer); ok {
			return n.Name()
		}
		return "anon_inode:"
	}
	name, _ := pathName(root, p)
	if p.Dentry.Deleted() {
		name += " (deleted)"
	}
	return name
}

// Getcwd is getcwd(2): ENOENT when the directory was removed, and a name that
// begins with "(unreachable)" when it is not below root.
func Getcwd(root, p Path) (string, error) {
	if p.Dentry.Deleted() {
		return "", unix.ENOENT
	}
	name, reached := pathName(root, p)
	if !reached {
		name = "(unreachable)" + name
	}
	return name, nil
}

// pathName goes up from p to root, or as far as it gets.
func pathName(root, p Path) (name string, reached bool) {
	name, top := nameFrom(root, p)
	return name, top == root
}

// nameFrom goes up from p to root, or as far as it gets: to top.
func nameFrom(root, p Path) (name string, top Path) {
	var parts []string
	n := 0
	for {
		if p == root {
			break
		}
		if p.Dentry == p.Mount.root {
			if p.Mount.parent == nil {
				break
			}
			p = p.Mount.Parent()
			continue
		}
		if p.Dentry.parent == nil {
			break // outside of what the mount shows
		}
		parts = append(parts, p.Dentry.name)
		n += 1 + len(p.Dentry.name)
		p.Dentry = p.Dentry.parent
	}
	if len(parts) == 0 {
		return "/", p
	}
	b := make([]byte, 0, n)
	for i := len(parts) - 1; i >= 0; i-- {
		b = append(b, '/')
		b = append(b, parts[i]...)
	}
	return string(b), p
}
