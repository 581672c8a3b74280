// Package iofs makes the embedding program's files (its standard streams)
// open files of the guest.
//
// A host file that may block is never read or written unless it is ready; a
// goroutine of its own watches it while somebody waits. It takes the kernel
// lock to tell.
//
// After Close a guest that still has the file open reads its end and writes to
// a broken pipe.
package iofs

import (
	"os"
	"sync"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// File is a host file. It implements vfs.Inode and vfs.Impl.
type File struct {
	vfs.Node
	lock  sync.Locker
	fd    int
	attr  vfs.Attr
	plain bool // a regular file or the like: always ready

	// Meter, unless nil, is asked to make each write to the host, and counts or
	// cuts it; the kernel lock is held.
	Meter func(p []byte, write func(p []byte) (int, error)) (int, error)

	queue    wait.Queue
	watching wait.Events // what the watcher waits for
	stop     int         // eventfd that ends the watcher, -1 = none
	watcher  sync.WaitGroup
	opens    int
	left     bool // Leave was called: the last description closes the file
}

// New returns f as a guest's file. lock is the kernel lock. The host file
// stays the caller's; a duplicate of it is open until Close, or, after Leave,
// until the last description of it is gone.
func New(f *os.File, lock sync.Locker) (*File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	h := &File{lock: lock, fd: fd, stop: -1}
	h.attr = vfs.Attr{Dev: st.Dev, Ino: st.Ino, Nlink: 1, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Rdev: st.Rdev,
		Size: st.Size, BlockSize: 4096, Blocks: st.Blocks, Atime: st.Atim.Nano(), Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFBLK, unix.S_IFDIR:
		h.plain = true
	case unix.S_IFCHR:
		// Null, zero and their like do not block; terminals do.
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		h.plain = err != nil
	}
	return h, nil
}

// Flags are the access mode the host file was opened with.
func (h *File) Flags() int {
	fl, err := unix.FcntlInt(uintptr(h.fd), unix.F_GETFL, 0)
	if err != nil {
		return unix.O_RDWR
	}
	return fl & (unix.O_ACCMODE | unix.O_APPEND)
}

// Description returns an open file of it.
func (h *File) Description() *vfs.File {
	h.opens++
	return vfs.NewFile(vfs.Path{}, h, h, h.Flags())
}

// Attr implements vfs.Inode.
func (h *File) Attr(vfs.Context) (vfs.Attr, error) {
	a := h.attr
	if h.plain {
		var st unix.Stat_t
		if unix.Fstat(h.fd, &st) == nil {
			a.Size, a.Blocks = st.Size, st.Blocks
			if st.Mode&unix.S_IFMT == unix.S_IFREG {
				a.Mtime = st.Mtim.Nano()
			}
		}
	}
	return a, nil
}

// Name is what /proc/PID/fd shows.
func (h *File) Name() string {
	switch h.attr.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "pipe:[" + utoa(h.attr.Ino) + "]"
	case unix.S_IFSOCK:
		return "socket:[" + utoa(h.attr.Ino) + "]"
	}
	if s, err := os.Readlink("/proc/self/fd/" + utoa(uint64(h.fd))); err == nil {
		return s
	}
	return "host:[" + utoa(h.attr.Ino) + "]"
}

func utoa(n uint64) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// ready asks the host what can be done now.
func (h *File) ready(ev wait.Events) wait.Events {
	if h.fd < 0 {
		return ev | wait.Hup | wait.Err
	}
	if h.plain {
		return ev & (wait.Readable | wait.Writable)
	}
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: int16(ev)}}
	if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
		return 0
	}
	return wait.Events(uint16(fds[0].Revents))
}

// Read implements vfs.Reader: at the host file's own offset.
func (h *File) Read(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	if err := h.await(ctx, f, wait.Readable|wait.Hup); err != nil {
		return 0, err
	}
	if h.fd < 0 {
		return 0, nil
	}
	n, err := unix.Read(h.fd, p)
	return max(n, 0), err
}

// Write implements vfs.Writer. What may block is written in pieces that a
// ready pipe takes whole.
func (h *File) Write(ctx vfs.Context, f *vfs.File, p []byte, _ int64) (int, error) {
	const piece = 4096 // PIPE_BUF
	if h.plain && h.fd >= 0 {
		n, err := h.write(p)
		return max(n, 0), err
	}
	done := 0
	for {
		if err := h.await(ctx, f, wait.Writable); err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		var n int
		err := error(unix.EPIPE)
		if h.fd >= 0 {
			n, err = h.write(p[done:min(len(p), done+piece)])
		}
		if n > 0 {
			done += n
		}
		if err == unix.EAGAIN {
			continue // the host file is non-blocking, and filled up meanwhile
		}
		if err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		if done == len(p) {
			return done, nil
		}
	}
}

func (h *File) write(p []byte) (int, error) {
	write := func(p []byte) (int, error) { return unix.Write(h.fd, p) }
	if h.Meter != nil {
		return h.Meter(p, write)
	}
	return write(p)
}

// await sleeps until one of the events is there.
func (h *File) await(ctx vfs.Context, f *vfs.File, ev wait.Events) error {
	if h.ready(ev) != 0 {
		return nil
	}
	if f.NonBlocking() {
		return unix.EAGAIN
	}
	if s, ok := ctx.(still); ok && ev&wait.Writable != 0 && s.Still() {
		return h.awaitStill(ctx, s, ev)
	}
	return h.queue.Until(ctx, ev, 0, func() bool {
		if h.ready(ev) != 0 {
			return true
		}
		h.watch(ev)
		return false
	})
}

// still is a caller of a machine in which the order of events is decided by
// programs alone.
type still interface {
	Still() bool  // nothing else may happen while one waits to write
	Halted() bool // such a wait is to end
}

// awaitStill is await where the caller stands: who reads the other end, and how
// fast, makes no difference to the machine.
func (h *File) awaitStill(ctx vfs.Context, s still, ev wait.Events) error {
	const patience = 50 // ms; then see whether to go on
	for h.ready(ev) == 0 {
		if s.Halted() {
			return wait.ErrInterrupted
		}
		fds := []unix.PollFd{{Fd: int32(h.fd), Events: int16(ev)}}
		ctx.Offload(func() { unix.Poll(fds, patience) })
	}
	return nil
}

// Awaited reports whether somebody waits for the host file. To be called with
// the kernel lock.
func (h *File) Awaited() bool { return !h.queue.Empty() }

// Disguise gives a file that is only an end of something outside, a pipe or a
// terminal, an inode number and times of the machine's own.
func (h *File) Disguise(ino uint64, now int64) {
	if h.attr.Mode&unix.S_IFMT != unix.S_IFREG {
		h.attr.Ino, h.attr.Atime, h.attr.Mtime, h.attr.Ctime = ino, now, now, now
	}
}

// Poll implements vfs.Poller.
func (h *File) Poll(vfs.Context, *vfs.File) (wait.Events, *wait.Queue) {
	if h.plain || h.fd < 0 {
		return h.ready(wait.Readable | wait.Writable), nil
	}
	const all = wait.Readable | wait.Writable | wait.Pri | wait.RdHup
	ev := h.ready(all)
	want := wait.Events(0)
	if f := h.Flags() & unix.O_ACCMODE; f != unix.O_WRONLY && ev&wait.In == 0 {
		want |= wait.Readable
	}
	if f := h.Flags() & unix.O_ACCMODE; f != unix.O_RDONLY && ev&wait.Out == 0 {
		want |= wait.Writable
	}
	if want != 0 && ev&(wait.Err|wait.Hup) == 0 {
		h.watch(want)
	}
	return ev, &h.queue
}

// watch has a goroutine wake the queue when one of the events comes.
func (h *File) watch(ev wait.Events) {
	if h.watching&ev == ev {
		return
	}
	want := h.watching | ev
	h.endWatch()
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return
	}
	h.watching, h.stop = want, stop
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: int16(want)}, {Fd: int32(stop), Events: unix.POLLIN}}
	h.watcher.Add(1)
	go func() {
		defer h.watcher.Done()
		defer unix.Close(stop)
		for {
			_, err := unix.Poll(fds, -1)
			if err == unix.EINTR {
				continue
			}
			break
		}
		if fds[1].Revents != 0 {
			return
		}
		h.lock.Lock()
		defer h.lock.Unlock()
		if h.stop == stop {
			h.stop, h.watching = -1, 0
		}
		h.queue.Wake(wait.Events(uint16(fds[0].Revents)) | wait.Err)
	}()
}

// endWatch tells the watcher to go; it does so on its own time.
func (h *File) endWatch() {
	if h.stop >= 0 {
		unix.Write(h.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		h.stop, h.watching = -1, 0
	}
}

// Ioctl implements vfs.Ioctler: what a terminal says of itself.
func (h *File) Ioctl(ctx vfs.Context, f *vfs.File, cmd uint32, arg uint64, mem vfs.Memory) (uint64, error) {
	switch cmd {
	case unix.TIOCINQ:
		n, err := unix.IoctlGetInt(h.fd, unix.TIOCINQ)
		if err != nil {
			return 0, err
		}
		return 0, mem.WriteMem(arg, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	}
	return 0, unix.ENOTTY
}

// Seek implements vfs.Seeker for regular files: the offset is the host's.
func (h *File) Seek(ctx vfs.Context, f *vfs.File, off int64, whence int) (int64, error) {
	return unix.Seek(h.fd, off, whence)
}

// Sync implements vfs.Syncer.
func (h *File) Sync(vfs.Context, *vfs.File, bool) error {
	if err := unix.Fsync(h.fd); err != nil && err != unix.EROFS {
		return err
	}
	return nil
}

// Release implements vfs.Impl.
func (h *File) Release(vfs.Context) {
	if h.opens--; h.opens == 0 {
		h.endWatch()
		if h.left {
			h.close()
		}
	}
}

// close closes the host file. A watcher that polls it just now holds it a
// little longer.
func (h *File) close() {
	if h.fd >= 0 {
		unix.Close(h.fd)
		h.fd = -1
	}
}

// Leave leaves the file to the guests: the last to close it ends it. To be
// called with the kernel lock.
func (h *File) Leave() {
	h.left = true
	if h.opens == 0 {
		h.close()
	}
}

// Closed reports whether the host file is closed. To be called with the kernel
// lock.
func (h *File) Closed() bool { return h.fd < 0 }

// Close ends the file: to be called without the kernel lock. Its watcher is
// gone when Close returns.
func (h *File) Close() {
	h.lock.Lock()
	h.endWatch()
	h.close()
	h.queue.Wake(wait.Readable | wait.Writable | wait.Err | wait.Hup)
	h.lock.Unlock()
	h.watcher.Wait()
}

// Open implements vfs.Opener: /dev/stdin and its like lead here. The host's
// file is the same; so is its offset.
func (h *File) Open(_ vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	if h.fd < 0 {
		return nil, unix.ENXIO
	}
	have, want := h.Flags()&unix.O_ACCMODE, flags&unix.O_ACCMODE
	if have != unix.O_RDWR && have != want {
		return nil, unix.EACCES
	}
	h.opens++
	return h, nil
}

// SetAttr implements vfs.AttrSetter: of a regular file the size can be set,
// and times are the host's affair.
func (h *File) SetAttr(_ vfs.Context, set vfs.AttrMask, a vfs.Attr) error {
	if set&(vfs.SetMode|vfs.SetUID|vfs.SetGID) != 0 {
		return unix.EPERM
	}
	if set&vfs.SetSize != 0 {
		return unix.Ftruncate(h.fd, a.Size)
	}
	return nil
}
