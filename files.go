package sysemu

import (
	"io/fs"
	"os"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/internal/fs/gofs"
)

// WithFS mounts any Go file system at dst. One that is an fsys.FS can be
// written; see package fsys for what it is asked and what becomes of its
// mistakes. Any other is read-only.
func WithFS(f fs.FS, dst string) Option {
	return func(o *options) { o.mounts = append(o.mounts, mount{dst: dst, fsys: f}) }
}

// WithRootFS makes a Go file system the machine's /, below a layer in memory
// that takes all changes. It must have what programs need; nothing of the
// host's files is seen.
func WithRootFS(f fs.FS) Option { return func(o *options) { o.rootFS = f } }

// goFS returns a Go file system as the kernel wants it. What does not say whose
// it is belongs to root when it cannot be written, otherwise to the user that
// programs run as.
func (o *options) goFS(f fs.FS, dst string, dev uint64, readOnly bool) *gofs.FS {
	opts := gofs.Options{Dev: dev, ReadOnly: readOnly, Report: o.log, Name: dst}
	if _, writes := f.(fsys.FS); writes && !readOnly {
		opts.UID, opts.GID = o.user()
	}
	return gofs.New(f, opts)
}

// user is who programs run as.
func (o *options) user() (uid, gid uint32) {
	if o.uid != nil {
		return *o.uid, *o.gid
	}
	return uint32(os.Geteuid()), uint32(os.Getegid())
}
