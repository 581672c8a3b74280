package sysemu

import "golang.org/x/sys/unix"

// WithCrash has the machine keep what programs overwrite in regular files until the files are synced, in this process's
// memory, so that [Call.Crash] can undo it.
func WithCrash() Option { return func(o *options) { o.crash = true } }

// Crash is a loss of power as far as the calling program can tell: what has been written to regular files since they were
// last synced is undone, files cut or grown included, and the process is killed by SIGKILL. Other processes go on, and
// see the files so.
//
// A file is synced by fsync, fdatasync, syncfs, sync, sync_file_range, by each write to a descriptor with O_SYNC or O_DSYNC,
// and when its file system is unmounted. Names, modes and owners count as synced at once: a new file stays, and is
// empty. What is written by mapped memory is not undone.
//
// EOPNOTSUPP, and nothing is done: the machine was made without [WithCrash], or the program is a native one.
func (c *Call) Crash() error {
	if c.Native() {
		return unix.EOPNOTSUPP
	}
	return c.c.Crash()
}
