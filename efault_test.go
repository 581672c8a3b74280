package sysemu

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
)

// unsafeCalls are calls that are not made with wrong arguments on the host, or that
// depend on what else there is.
var unsafeCalls = strings.Fields(`
exit exit_group fork vfork clone clone3 pause rt_sigreturn rt_sigsuspend kill tkill tgkill reboot kexec_load kexec_file_load
init_module finit_module delete_module swapon swapoff mount umount2 pivot_root sethostname setdomainname settimeofday
clock_settime clock_adjtime adjtimex munmap mremap brk mmap mprotect pkey_mprotect madvise process_madvise mincore remap_file_pages arch_prctl
set_tid_address set_robust_list iopl ioperm modify_ldt chroot vhangup acct quotactl quotactl_fd unshare setns ptrace process_vm_readv
process_vm_writev seccomp bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key
landlock_create_ruleset landlock_add_rule landlock_restrict_self msgget msgsnd msgrcv msgctl semget semop semtimedop semctl shmget
shmat shmdt shmctl futex futex_wait futex_waitv futex_wake futex_requeue prctl fcntl ioctl syslog sysfs ustat uselib mlock munlock mlock2 msync
mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents lookup_dcookie
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr fanotify_init fanotify_mark name_to_handle_at open_by_handle_at
open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount map_shadow_stack lsm_get_self_attr lsm_set_self_attr lsm_list_modules
cachestat mseal rseq setxattrat getxattrat listxattrat removexattrat rt_tgsigqueueinfo rt_sigqueueinfo pidfd_send_signal
_sysctl create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall security epoll_ctl_old epoll_wait_old vserver
`)

// unsafeCalls386 are those that i386 has in its own way.
var unsafeCalls386 = strings.Fields(`
waitpid umount stime nice signal sigaction sigsuspend ssetmask sigreturn socketcall ipc vm86 vm86old mmap2 fcntl64 setgroups32
clock_settime64 clock_adjtime64 semtimedop_time64 rt_sigtimedwait_time64 futex_time64 mq_timedsend_time64 mq_timedreceive_time64
io_pgetevents_time64 set_thread_area get_thread_area prlimit64
`)

// otherOrder are calls with several things wrong of which Linux finds another
// one first. All are errors on both sides.
var otherOrder = strings.Fields(`
splice sendfile pwritev2 pwritev execveat copy_file_range pwrite64 writev vmsplice preadv2 preadv write pread64 epoll_wait
connect recvfrom sendto waitid sched_setparam sched_rr_get_interval sched_getparam sched_getaffinity sched_setaffinity
get_robust_list setsockopt sendfile64 sched_rr_get_interval_time64
`)

// otherResult are results that are right too, by the call and kind of pointer.
var otherResult = map[string]string{
	"flistxattr": "",               // the host's sockets have an attribute
	"write":      "end of mapping", // the host's stream sockets take all or nothing
}

// Pointers that lead nowhere are EFAULT, or what the host finds wrong first.
func TestBadPointers(t *testing.T) { badPointers(t, abi.AMD64, unsafeCalls) }

// The same by int $0x80, which has pointers of 32 bits.
func TestBadPointersI386(t *testing.T) {
	hostcan.Need(t, hostcan.Int80)
	badPointers(t, abi.I386, append(unsafeCalls, unsafeCalls386...))
}

func badPointers(t *testing.T, arch abi.Arch, skip []string) {
	bin := buildFuzz(t, arch, "efault", skip...)
	want, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	m := testMachine(t)
	var got []byte
	within(t, 60*time.Second, "calls with bad pointers", func() { got, err = m.Command(bin).Output() })
	if err != nil {
		t.Fatal(err)
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	if len(w) != len(g) || len(w) < 1000 {
		t.Fatalf("%d results, on the host %d", len(g), len(w))
	}
	for i := range w {
		name, rest, _ := strings.Cut(g[i], " ")
		good := func(s string) bool { return strings.HasSuffix(s, " done") }
		if k, ok := otherResult[name]; ok && strings.Contains(rest, k) {
			continue
		}
		if slices.Contains(otherOrder, name) && !good(w[i]) && !good(g[i]) && !strings.Contains(g[i], "signal") {
			continue
		}
		if w[i] != g[i] {
			t.Errorf("%s, on the host %s", g[i], w[i][strings.LastIndexByte(w[i], ' ')+1:])
		}
	}
	t.Logf("%d calls", len(w))
}
