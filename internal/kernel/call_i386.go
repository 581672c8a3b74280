package kernel

import "strings"

// The i386 table. It serves the same handlers as that of x86-64, or the same
// nouns: registers come zero-extended, so a handler is shared where its
// arguments are no wider than 32 bits, or addresses, sizes and flags, and
// where what they point to is laid out alike. The rest is in the files
// *_i386.go.

// shared386 says what the handler of an x86-64 call is on i386: mostly the
// call of that name.
var shared386 = func() map[string][]string {
	m := map[string][]string{}
	for _, name := range strings.Fields(`
		read write close open_by_handle_at creat dup dup2 dup3 pipe pipe2 close_range flock openat2
		fsync fdatasync sync syncfs getdents64 copy_file_range splice tee
		statx access faccessat faccessat2 chmod fchmod fchmodat fchmodat2 fchownat
		mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
		readlink readlinkat name_to_handle_at chdir fchdir chroot getcwd umask
		setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
		removexattr lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat
		mount umount2 pivot_root memfd_create sethostname setdomainname swapon swapoff acct
		inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_init
		eventfd eventfd2 timerfd_create signalfd signalfd4
		poll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait

		munmap mprotect brk madvise msync mincore mlock mlock2 munlock mlockall munlockall
		mbind set_mempolicy get_mempolicy shmdt

		exit exit_group fork vfork clone3 unshare set_tid_address
		getpid getppid gettid getpgid setpgid getpgrp getsid setsid
		kill tkill tgkill pause rt_sigprocmask rt_sigpending rt_sigsuspend restart_syscall
		pidfd_open pidfd_getfd kcmp setns seccomp modify_ldt mq_unlink
		prctl personality prlimit64 uname getrandom syslog vhangup reboot
		capget capset
		sched_yield sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam sched_setparam
		sched_get_priority_max sched_get_priority_min sched_getattr sched_setattr getpriority setpriority
		ioprio_get ioprio_set getcpu membarrier rseq
		alarm timer_getoverrun timer_delete

		socket socketpair bind connect listen accept4 getsockname getpeername shutdown sendto recvfrom
		semget msgget shmget

		iopl ioperm bpf perf_event_open userfaultfd init_module finit_module delete_module kexec_load process_madvise
	`) {
		m[name] = append(m[name], name)
	}
	// Calls whose name on i386 once meant narrower ids.
	for _, name := range strings.Fields(`
		chown lchown fchown getuid geteuid getgid getegid setuid setgid setreuid setregid
		setresuid setresgid getresuid getresgid setfsuid setfsgid getgroups setgroups
	`) {
		m[name] = append(m[name], name+"32")
	}
	return m
}()

// pair makes a handler of one that takes a 64-bit argument: i386 passes it in
// two registers, the lower half in the i-th, the upper in the next.
func pair(i int, f callFunc) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		b := *a
		b[i] = a[i]&low32 | a[i+1]<<32
		copy(b[i+1:], a[i+2:])
		b[5] = 0
		return f(t, &b)
	}
}

// long makes a handler of one whose i-th argument is signed: it is 32 bits
// wide on i386.
func long(i int, f callFunc) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		b := *a
		b[i] = uint64(int64(int32(a[i])))
		return f(t, &b)
	}
}

// block makes a handler of one that takes n arguments: they are words in
// memory, at the address that is the first argument.
func block(n int, f callFunc) callFunc {
	return func(t *Task, a *[6]uint64) (uint64, error) {
		w, err := Ptr[uint32](a[0]).Slice(t, n)
		if err != nil {
			return 0, err
		}
		return f(t, words6(w))
	}
}

func words6(w []uint32) *[6]uint64 {
	var b [6]uint64
	for i := range w {
		b[i] = uint64(w[i])
	}
	return &b
}
