// Package vfs is the part of the file system that all file systems share:
// names (dentries, mounts, path walking, permissions) and open files (file
// descriptions). It knows nothing of ptrace, tasks or the call table.
//
// Contract: all of it is guarded by the kernel lock. An operation that may
// wait does so through Context and must hold no state half changed meanwhile.
//
// # What is where
//
//   - inode.go, file.go: what a file system provides. An inode embeds Node, so
//     that locks, watches and Evict work; it implements Permer if its mode is
//     at hand. System.Hooks open fifos and devices that have no Opener.
//   - path.go, dentry.go, mount.go: the tree. A Path is a dentry seen through
//     a mount; Namespace (NewNamespace, Mount, Bind, Move, Unmount, PivotRoot,
//     Clone, ProcMounts, MountInfo) is a tree of mounts, System what a machine's
//     namespaces share.
//   - walk.go, perm.go: Walk and WalkParent resolve a name from an At, the
//     task's root and the directory a relative name starts at.
//   - open.go, names.go, rename.go, attr.go, xattr.go: the calls that take a
//     name: Open, OpenExec, Mkdir, Mknod, Symlink, Link, Unlink, Rmdir, Readlink,
//     Rename, Stat, Access, Chmod, Chown, Utimens, Truncate, Statfs, *xattr.
//   - description.go: the methods of File: Read, Pread, Write, Pwrite, Seek,
//     ReadDir, Sync, Allocate, and the f-calls beside those above.
//   - fdtable.go: FDTable, descriptors; lock.go: file locks; notify.go: Extra
//     and Watch, what inotify hangs on; pathname.go: PathName and Getcwd.
//   - journal.go: Journal, what changes to files have replaced until they are
//     synced; only the Context of a machine that can crash has one.
//
// # References
//
// Paths, Files and tables are counted. Who keeps a Path (a working directory,
// a root) holds it by Ref and gives it back by Unref; Walk's result is
// referenced. At and the Path of a Jumper are borrowed. Open, FDTable.Get and
// NewFile return a referenced File; Install and Set take the caller's
// reference over. A call in progress holds the File it works on:
//
//	f, err := t.Get(fd)
//	if err != nil {
//		return err
//	}
//	defer f.Unref(ctx)
//
// Nobody holds a dentry: it stays in an LRU list until room is wanted. The
// last dentry or nameless description of an inode gone: its Evict is called.
//
// # Waiting
//
// A file system may wait in any operation. Changes to a directory, and
// lookups that the cache cannot answer, are done under the directory's lock,
// so two of them never overlap in one directory.
package vfs
