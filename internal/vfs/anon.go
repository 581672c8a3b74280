package vfs

// Anon is the inode of a file that is nothing but its description: an epoll
// or inotify instance, an eventfd. Its value is what /proc/PID/fd calls it,
// "anon_inode:[eventpoll]".
type Anon string

// anonDev and anonIno are what stat(2) tells of every such file; all of them
// share one inode, as on Linux.
const (
	anonDev = 15
	anonIno = 1
)

// Attr implements Inode.
func (Anon) Attr(Context) (Attr, error) {
	return Attr{Dev: anonDev, Ino: anonIno, Nlink: 1, Mode: 0o600, BlockSize: 4096}, nil
}

// Name implements Namer.
func (a Anon) Name() string { return string(a) }
