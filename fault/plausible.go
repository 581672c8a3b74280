package fault

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Plausible are errors that a call of that name may well meet on a machine that is short of something, or whose devices
// fail, the most telling first; none for calls that do not fail so. They are from the man pages' sections 2.
func Plausible(call string) []unix.Errno { return plausible[call] }

var plausible = map[string][]unix.Errno{}

func init() {
	for _, e := range []struct {
		calls  string
		errnos []unix.Errno
	}{
		{"read pread64 readv preadv preadv2", []unix.Errno{unix.EIO, unix.EINTR}},
		{"write pwrite64 writev pwritev pwritev2", []unix.Errno{unix.ENOSPC, unix.EIO, unix.EINTR, unix.EDQUOT}},
		{"sendfile sendfile64 copy_file_range splice", []unix.Errno{unix.ENOSPC, unix.EIO, unix.ENOMEM}},
		{"open openat openat2", []unix.Errno{unix.EMFILE, unix.EACCES, unix.ENOSPC, unix.EIO, unix.ENFILE}},
		{"creat", []unix.Errno{unix.ENOSPC, unix.EMFILE, unix.EACCES}},
		{"close", []unix.Errno{unix.EIO, unix.ENOSPC, unix.EINTR}},
		{"fsync fdatasync sync_file_range msync syncfs", []unix.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT}},
		{"truncate ftruncate ftruncate64 truncate64 fallocate", []unix.Errno{unix.ENOSPC, unix.EIO, unix.EINTR}},
		{"stat lstat fstat newfstatat statx stat64 lstat64 fstat64 fstatat64", []unix.Errno{unix.EACCES, unix.ENOENT, unix.EIO, unix.ENOMEM}},
		{"access faccessat faccessat2 readlink readlinkat", []unix.Errno{unix.EACCES, unix.EIO}},
		{"getdents getdents64", []unix.Errno{unix.EIO, unix.ENOMEM}},
		{"statfs fstatfs", []unix.Errno{unix.EIO, unix.ENOMEM}},
		{"chdir fchdir", []unix.Errno{unix.EACCES, unix.ENOENT, unix.EIO}},
		{"getcwd", []unix.Errno{unix.ENOENT, unix.EACCES, unix.ENOMEM}},
		{"rename renameat renameat2", []unix.Errno{unix.EACCES, unix.ENOSPC, unix.EXDEV, unix.EIO}},
		{"link linkat symlink symlinkat mkdir mkdirat mknod mknodat", []unix.Errno{unix.ENOSPC, unix.EACCES, unix.EIO}},
		{"unlink unlinkat rmdir", []unix.Errno{unix.EACCES, unix.EBUSY, unix.EIO}},
		{"chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utimensat", []unix.Errno{unix.EPERM, unix.EROFS, unix.EIO}},
		{"flock", []unix.Errno{unix.EINTR, unix.ENOLCK}},
		{"mmap mmap2 mremap mprotect", []unix.Errno{unix.ENOMEM}},
		{"brk", []unix.Errno{unix.ENOMEM}},
		{"mlock mlockall", []unix.Errno{unix.ENOMEM, unix.EPERM}},
		{"fork vfork clone clone3", []unix.Errno{unix.EAGAIN, unix.ENOMEM}},
		{"execve execveat", []unix.Errno{unix.ENOMEM, unix.EACCES, unix.EAGAIN}},
		{"wait4 waitid", []unix.Errno{unix.EINTR}},
		{"pipe pipe2 dup", []unix.Errno{unix.EMFILE, unix.ENFILE}},
		{"socket socketpair", []unix.Errno{unix.EMFILE, unix.ENOBUFS, unix.ENOMEM}},
		{"connect", []unix.Errno{unix.ECONNREFUSED, unix.ETIMEDOUT, unix.ENETUNREACH, unix.EINTR}},
		{"bind listen", []unix.Errno{unix.EADDRINUSE, unix.EACCES}},
		{"accept accept4", []unix.Errno{unix.EMFILE, unix.ECONNABORTED, unix.EINTR}},
		{"recvfrom recvmsg recvmmsg", []unix.Errno{unix.ECONNRESET, unix.EINTR, unix.ENOMEM}},
		{"sendto sendmsg sendmmsg", []unix.Errno{unix.ECONNRESET, unix.EPIPE, unix.ENOBUFS, unix.EINTR}},
		{"epoll_create epoll_create1 eventfd eventfd2 timerfd_create signalfd signalfd4 inotify_init inotify_init1 memfd_create",
			[]unix.Errno{unix.EMFILE, unix.ENOMEM}},
		{"epoll_ctl inotify_add_watch", []unix.Errno{unix.ENOSPC, unix.ENOMEM}},
		{"poll ppoll select pselect6 epoll_wait epoll_pwait", []unix.Errno{unix.EINTR, unix.ENOMEM}},
		{"getrandom", []unix.Errno{unix.EINTR}},
		{"semop semtimedop msgsnd msgrcv", []unix.Errno{unix.EINTR, unix.ENOMEM}},
		{"shmget semget msgget", []unix.Errno{unix.ENOSPC, unix.ENOMEM}},
		{"shmat", []unix.Errno{unix.ENOMEM}},
		{"setuid setgid setresuid setresgid setreuid setregid", []unix.Errno{unix.EAGAIN, unix.EPERM}},
		{"setgroups", []unix.Errno{unix.EPERM, unix.ENOMEM}},
		{"timer_create", []unix.Errno{unix.EAGAIN, unix.ENOMEM}},
	} {
		for _, name := range strings.Fields(e.calls) {
			plausible[name] = e.errnos
		}
	}
}
