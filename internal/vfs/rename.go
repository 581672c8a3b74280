package vfs

import "golang.org/x/sys/unix"

// Rename is renameat2(2).
func Rename(ctx Context, oldAt At, oldName string, newAt At, newName string, flags uint32) error {
	const known = unix.RENAME_NOREPLACE | unix.RENAME_EXCHANGE | unix.RENAME_WHITEOUT
	if flags&^known != 0 || flags&unix.RENAME_EXCHANGE != 0 && flags != unix.RENAME_EXCHANGE {
		return unix.EINVAL
	}
	if flags&unix.RENAME_WHITEOUT != 0 && !ctx.Cred().Has(unix.CAP_MKNOD) {
		return unix.EPERM
	}
	oldDir, oldLast, oldSlash, err := WalkParent(ctx, oldAt, oldName, 0)
	if err != nil {
		return err
	}
	defer oldDir.Unref()
	newDir, newLast, newSlash, err := WalkParent(ctx, newAt, newName, 0)
	if err != nil {
		return err
	}
	defer newDir.Unref()
	if oldDir.Mount != newDir.Mount {
		return unix.EXDEV
	}
	if oldLast == "" || oldLast == "." || oldLast == ".." {
		return unix.EBUSY
	}
	if newLast == "" || newLast == "." || newLast == ".." {
		if flags&unix.RENAME_NOREPLACE != 0 {
			return unix.EEXIST
		}
		return unix.EBUSY
	}
	if oldDir.Mount.ReadOnly() {
		return unix.EROFS
	}
	unlock, err := lockTwo(ctx, oldDir.Dentry, newDir.Dentry)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := oldDir.Dentry.lookupLocked(ctx, oldLast)
	if err != nil {
		return err
	}
	defer c.put()
	t, err := newDir.Dentry.lookupLocked(ctx, newLast)
	if err != nil {
		return err
	}
	defer t.put()
	exchange := flags&unix.RENAME_EXCHANGE != 0
	if err := mayRename(ctx, oldDir, c, newDir, t, exchange); err != nil {
		return err
	}
	switch {
	case c.inode == nil:
		return unix.ENOENT
	case flags&unix.RENAME_NOREPLACE != 0 && t.inode != nil:
		return unix.EEXIST
	case exchange && t.inode == nil:
		return unix.ENOENT
	case exchange && newSlash && t.kind != unix.S_IFDIR:
		return unix.ENOTDIR
	case c.kind != unix.S_IFDIR && (oldSlash || !exchange && newSlash):
		return unix.ENOTDIR
	case newDir.Dentry.under(c):
		return unix.EINVAL
	case oldDir.Dentry.under(t):
		if exchange {
			return unix.EINVAL
		}
		return unix.ENOTEMPTY
	}
	return rename(ctx, oldDir, c, newDir, t, flags)
}

// mayRename asks the Guard about both names, and about all that is moved.
func mayRename(ctx Context, oldDir Path, c *Dentry, newDir Path, t *Dentry, exchange bool) error {
	here, there := UseRead|UseWrite, UseWrite
	if exchange {
		there = here
	}
	if c.kind == unix.S_IFDIR || exchange && t.kind == unix.S_IFDIR {
		here, there = here|UseTree, there|UseTree
	}
	if err := mayUse(ctx, oldDir, c.name, here); err != nil {
		return err
	}
	return mayUse(ctx, newDir, t.name, there)
}

// lockTwo takes the locks of both directories, an ancestor's first.
func lockTwo(ctx Context, a, b *Dentry) (unlock func(), err error) {
	if a == b {
		return a.lock.Unlock, a.lock.Lock(ctx)
	}
	sys := a.sb.sys
	if err := sys.renaming.Lock(ctx); err != nil {
		return nil, err
	}
	if a.under(b) {
		a, b = b, a
	}
	if err := a.lock.Lock(ctx); err != nil {
		sys.renaming.Unlock()
		return nil, err
	}
	if err := b.lock.Lock(ctx); err != nil {
		a.lock.Unlock()
		sys.renaming.Unlock()
		return nil, err
	}
	return func() {
		b.lock.Unlock()
		a.lock.Unlock()
		sys.renaming.Unlock()
	}, nil
}

// rename moves c to the name t, or exchanges them. Both directories are locked.
func rename(ctx Context, oldDir Path, c *Dentry, newDir Path, t *Dentry, flags uint32) error {
	if c.inode == t.inode {
		return nil // two names of one file: nothing to do
	}
	exchange := flags&unix.RENAME_EXCHANGE != 0
	isDir := c.kind == unix.S_IFDIR
	if err := mayDelete(ctx, oldDir, c, isDir); err != nil {
		return err
	}
	var err error
	switch {
	case t.inode == nil:
		err = mayCreate(ctx, newDir)
	case exchange:
		err = mayDelete(ctx, newDir, t, t.kind == unix.S_IFDIR)
	default:
		err = mayDelete(ctx, newDir, t, isDir)
	}
	if err != nil {
		return err
	}
	r, ok := oldDir.Inode().(Renamer)
	if !ok {
		return unix.EPERM
	}
	if oldDir.Dentry != newDir.Dentry {
		// Its ".." changes, so a directory must itself be writable.
		if isDir {
			if err := permit(ctx, ctx.Cred(), nil, c.inode, MayWrite); err != nil {
				return err
			}
		}
		if exchange && t.kind == unix.S_IFDIR {
			if err := permit(ctx, ctx.Cred(), nil, t.inode, MayWrite); err != nil {
				return err
			}
		}
	}
	if c.mounts > 0 || t.mounts > 0 {
		return unix.EBUSY
	}
	// A directory that is replaced must stay empty meanwhile.
	if t.kind == unix.S_IFDIR && !exchange {
		if err := t.lock.Lock(ctx); err != nil {
			return err
		}
		defer t.lock.Unlock()
	}
	if err := r.Rename(ctx, c.name, c.inode, newDir.Inode(), t.name, t.inode, flags); err != nil {
		return err
	}
	oldName, newName, replaced := c.name, t.name, t.inode != nil && !exchange
	if replaced && t.kind == unix.S_IFDIR {
		t.dead = true
		t.prune()
	}
	t.unhash()
	c.move(newDir.Dentry, newName)
	if exchange {
		t.move(oldDir.Dentry, oldName)
	}
	sys := c.sb.sys
	sys.cookie++
	oldDir.Dentry.notifyName(unix.IN_MOVED_FROM, sys.cookie, oldName, c.kind)
	newDir.Dentry.notifyName(unix.IN_MOVED_TO, sys.cookie, newName, c.kind)
	if replaced {
		t.unlinked(ctx)
	}
	c.notifySelf(unix.IN_MOVE_SELF)
	if exchange {
		sys.cookie++
		newDir.Dentry.notifyName(unix.IN_MOVED_FROM, sys.cookie, newName, t.kind)
		oldDir.Dentry.notifyName(unix.IN_MOVED_TO, sys.cookie, oldName, t.kind)
		t.notifySelf(unix.IN_MOVE_SELF)
	}
	return nil
}

// move gives d, held, another name.
func (d *Dentry) move(parent *Dentry, name string) {
	old := d.parent
	if d.hashed {
		old.forget(d.name)
		d.hashed = false
	}
	parent.get()
	d.parent, d.name = parent, name
	d.hash()
	old.put()
}
