package abi

import (
	"bytes"
	"fmt"
	"os/exec"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// layout ties a Go struct to the C struct of the kernel's headers: the C members are those of the exported Go fields, in
// order; "-" leaves a field out.
type layout struct {
	g       any
	c       string
	members string
}

const headers = `
#include <linux/types.h>
#include <linux/time_types.h>
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <asm/poll.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/ldt.h>
#include <asm/shmbuf.h>
#include <asm/sembuf.h>
#include <asm/msgbuf.h>
#include <asm/termios.h>
#include <linux/fcntl.h>
#include <linux/uio.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <linux/aio_abi.h>
#include <linux/shm.h>
#include <linux/sem.h>
#include <linux/msg.h>
#include <linux/mqueue.h>
#include <linux/ptrace.h>
#include <linux/eventpoll.h>
#include <linux/rseq.h>
#include <linux/sysinfo.h>
#include <linux/resource.h>
#include <linux/times.h>
#include <linux/timex.h>
#include <linux/utime.h>
#include <linux/utsname.h>
#include <linux/time.h>
struct itimerspec_old { struct __kernel_old_timespec a, b; };
`

var layouts64 = []layout{
	{Sigaction{}, "struct sigaction", "sa_handler sa_flags sa_restorer sa_mask"},
	{StackT{}, "stack_t", "ss_sp ss_flags ss_size"},
	{Sigevent{}, "sigevent_t", "sigev_value sigev_signo sigev_notify _sigev_un._tid"},
	{Siginfo{}, "siginfo_t", "si_signo si_errno si_code"},
	{Sigcontext{}, "struct sigcontext", "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags " +
		"cs gs fs ss err trapno oldmask cr2 fpstate"},
	{UContext{}, "struct ucontext", "uc_flags uc_link uc_stack uc_mcontext uc_sigmask"},
	{FpxSWBytes{}, "struct _fpx_sw_bytes", "magic1 extended_size xfeatures xstate_size"},
	{XsaveHeader{}, "struct _header", "xfeatures reserved1"},
	{RobustListHead{}, "struct robust_list_head", "list futex_offset list_op_pending"},
	{FutexWaitv{}, "struct futex_waitv", "val uaddr flags"},
	{CloneArgs{}, "struct clone_args", "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid " +
		"set_tid_size cgroup"},
	{UserDesc{}, "struct user_desc", "entry_number base_addr limit -"},
	{Rseq{}, "struct rseq", "cpu_id_start cpu_id rseq_cs flags - -"},
	{SeccompData{}, "struct seccomp_data", "nr arch instruction_pointer args"},
	{SockFprog{}, "struct sock_fprog", "len filter"},
	{PtraceSyscallInfo{}, "struct ptrace_syscall_info", "op arch instruction_pointer stack_pointer entry"},
	{PtracePeekSiginfoArgs{}, "struct ptrace_peeksiginfo_args", "off flags nr"},
	{PtraceRseqConfiguration{}, "struct ptrace_rseq_configuration", "rseq_abi_pointer rseq_abi_size signature flags"},
	{IpcPerm{}, "struct ipc64_perm", "key uid gid cuid cgid mode seq"},
	{ShmidDS{}, "struct shmid64_ds", "shm_perm shm_segsz shm_atime shm_dtime shm_ctime shm_cpid shm_lpid shm_nattch"},
	{Shminfo{}, "struct shminfo64", "shmmax shmmin shmmni shmseg shmall"},
	{ShmInfo{}, "struct shm_info", "used_ids shm_tot shm_rss shm_swp swap_attempts swap_successes"},
	{SemidDS{}, "struct semid64_ds", "sem_perm sem_otime sem_ctime sem_nsems"},
	{Seminfo{}, "struct seminfo", "semmap semmni semmns semmnu semmsl semopm semume semusz semvmx semaem"},
	{Sembuf{}, "struct sembuf", "sem_num sem_op sem_flg"},
	{MsqidDS{}, "struct msqid64_ds", "msg_perm msg_stime msg_rtime msg_ctime msg_cbytes msg_qnum msg_qbytes msg_lspid " +
		"msg_lrpid"},
	{Msginfo{}, "struct msginfo", "msgpool msgmap msgmax msgmnb msgmni msgssz msgtql msgseg"},
	{MqAttr{}, "struct mq_attr", "mq_flags mq_maxmsg mq_msgsize mq_curmsgs"},
	{Iovec{}, "struct iovec", "iov_base iov_len"},
	{FOwnerEx{}, "struct f_owner_ex", "type pid"},
	{Iocb{}, "struct iocb", "aio_data aio_key aio_rw_flags aio_lio_opcode aio_reqprio aio_fildes aio_buf aio_nbytes " +
		"aio_offset aio_reserved2 aio_flags aio_resfd"},
	{IoEvent{}, "struct io_event", "data obj res res2"},
	{Timezone{}, "struct timezone", "tz_minuteswest tz_dsttime"},
	{Timex{}, "struct timex", "modes offset freq maxerror esterror status constant precision tolerance time tick ppsfreq " +
		"jitter shift stabil jitcnt calcnt errcnt stbcnt tai"},
	{Sysinfo{}, "struct sysinfo", "uptime loads totalram freeram sharedram bufferram totalswap freeswap procs totalhigh " +
		"freehigh mem_unit"},
	{Flock{}, "struct flock", "l_type l_whence l_start l_len l_pid"},
	// What is taken from x/sys/unix.
	{unix.Stat_t{}, "struct stat", "st_dev st_ino st_nlink st_mode st_uid st_gid st_rdev st_size st_blksize st_blocks " +
		"st_atime st_mtime st_ctime"},
	{unix.Statfs_t{}, "struct statfs", "f_type f_bsize f_blocks f_bfree f_bavail f_files f_ffree f_fsid f_namelen f_frsize " +
		"f_flags f_spare"},
	{unix.Rusage{}, "struct rusage", "ru_utime ru_stime ru_maxrss ru_ixrss ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap " +
		"ru_inblock ru_oublock ru_msgsnd ru_msgrcv ru_nsignals ru_nvcsw ru_nivcsw"},
	{unix.EpollEvent{}, "struct epoll_event", "events data -"},
	{unix.PollFd{}, "struct pollfd", "fd events revents"},
	{unix.SchedAttr{}, "struct sched_attr", "size sched_policy sched_flags sched_nice sched_priority sched_runtime " +
		"sched_deadline sched_period sched_util_min sched_util_max"},
	{Termios{}, "struct termios", "c_iflag c_oflag c_cflag c_lflag c_line c_cc"},
	{Termios2{}, "struct termios2", "c_iflag c_oflag c_cflag c_lflag c_line c_cc c_ispeed c_ospeed"},
	{Termio{}, "struct termio", "c_iflag c_oflag c_cflag c_lflag c_line c_cc"},
}

var layouts32 = []layout{
	{Timespec32{}, "struct __kernel_old_timespec", "tv_sec tv_nsec"},
	{Timeval32{}, "struct __kernel_old_timeval", "tv_sec tv_usec"},
	{Itimerspec32{}, "struct itimerspec_old", "a b"},
	{Itimerval32{}, "struct __kernel_old_itimerval", "it_interval it_value"},
	{Utimbuf32{}, "struct utimbuf", "actime modtime"},
	{Tms32{}, "struct tms", "tms_utime tms_stime tms_cutime tms_cstime"},
	{Rlimit32{}, "struct rlimit", "rlim_cur rlim_max"},
	{Iovec32{}, "struct iovec", "iov_base iov_len"},
	{Timex32{}, "struct timex", "modes offset freq maxerror esterror status constant precision tolerance time tick ppsfreq " +
		"jitter shift stabil jitcnt calcnt errcnt stbcnt tai"},
	{Rusage32{}, "struct rusage", "ru_utime ru_stime ru_maxrss ru_ixrss ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap " +
		"ru_inblock ru_oublock ru_msgsnd ru_msgrcv ru_nsignals ru_nvcsw ru_nivcsw"},
	{Sysinfo32{}, "struct sysinfo", "uptime loads totalram freeram sharedram bufferram totalswap freeswap procs totalhigh " +
		"freehigh mem_unit"},
	{OldStat32{}, "struct __old_kernel_stat", "st_dev st_ino st_mode st_nlink st_uid st_gid st_rdev st_size st_atime " +
		"st_mtime st_ctime"},
	{Stat32{}, "struct stat", "st_dev st_ino st_mode st_nlink st_uid st_gid st_rdev st_size st_blksize st_blocks st_atime " +
		"st_mtime st_ctime"},
	{Stat64x32{}, "struct stat64", "st_dev __st_ino st_mode st_nlink st_uid st_gid st_rdev st_size st_blksize st_blocks " +
		"st_atime st_mtime st_ctime st_ino"},
	{Statfs32{}, "struct statfs", "f_type f_bsize f_blocks f_bfree f_bavail f_files f_ffree f_fsid f_namelen f_frsize " +
		"f_flags"},
	{Statfs64x32{}, "struct statfs64", "f_type f_bsize f_blocks f_bfree f_bavail f_files f_ffree f_fsid f_namelen f_frsize " +
		"f_flags"},
	{Flock32{}, "struct flock", "l_type l_whence l_start l_len l_pid"},
	{Flock64x32{}, "struct flock64", "l_type l_whence l_start l_len l_pid"},
	{OldUtsname{}, "struct old_utsname", "sysname nodename release version machine"},
	{OldOldUtsname{}, "struct oldold_utsname", "sysname nodename release version machine"},
	{MqAttr32{}, "struct mq_attr", "mq_flags mq_maxmsg mq_msgsize mq_curmsgs"},
	{SockFprog32{}, "struct sock_fprog", "len filter"},
	{RobustListHead32{}, "struct robust_list_head", "list futex_offset list_op_pending"},
	{OldIpcPerm32{}, "struct ipc_perm", "key uid gid cuid cgid mode seq"},
	{IpcPerm32{}, "struct ipc64_perm", "key uid gid cuid cgid mode seq"},
	{ShmidDS32{}, "struct shmid64_ds", "shm_perm shm_segsz shm_atime shm_atime_high shm_dtime shm_dtime_high shm_ctime " +
		"shm_ctime_high shm_cpid shm_lpid shm_nattch"},
	{OldShmidDS32{}, "struct shmid_ds", "shm_perm shm_segsz shm_atime shm_dtime shm_ctime shm_cpid shm_lpid shm_nattch"},
	{OldShminfo32{}, "struct shminfo", "shmmax shmmin shmmni shmseg shmall"},
	{OldSemidDS32{}, "struct semid_ds", "sem_perm sem_otime sem_ctime sem_nsems"},
	{OldMsqidDS32{}, "struct msqid_ds", "msg_perm msg_stime msg_rtime msg_ctime msg_lcbytes msg_lqbytes msg_cbytes msg_qnum " +
		"msg_qbytes msg_lspid msg_lrpid"},
	{Timespec64x32{}, "struct __kernel_timespec", "tv_sec tv_nsec"},
	{Itimerspec64x32{}, "struct __kernel_itimerspec", "it_interval it_value"},
	{Shminfo32{}, "struct shminfo64", "shmmax shmmin shmmni shmseg shmall"},
	{ShmInfo32{}, "struct shm_info", "used_ids shm_tot shm_rss shm_swp swap_attempts swap_successes"},
	{SemidDS32{}, "struct semid64_ds", "sem_perm sem_otime sem_otime_high sem_ctime sem_ctime_high sem_nsems"},
	{MsqidDS32{}, "struct msqid64_ds", "msg_perm msg_stime msg_stime_high msg_rtime msg_rtime_high msg_ctime " +
		"msg_ctime_high msg_cbytes msg_qnum msg_qbytes msg_lspid msg_lrpid"},
	{Sigaction32{}, "struct { void *h; unsigned long f; void *r; __u32 m[2]; }", "h f r m"},
	{OldSigaction32{}, "struct sigaction", "_u._sa_handler sa_mask sa_flags sa_restorer"},
	{StackT32{}, "stack_t", "ss_sp ss_flags ss_size"},
	{Sigevent32{}, "sigevent_t", "sigev_value sigev_signo sigev_notify _sigev_un._tid"},
	{Siginfo32{}, "siginfo_t", "si_signo si_errno si_code"},
	{Sigcontext32{}, "struct sigcontext", "gs fs es ds edi esi ebp esp ebx edx ecx eax trapno err eip cs eflags " +
		"esp_at_signal ss fpstate oldmask cr2"},
	{FsaveHeader32{}, "struct { char b[__builtin_offsetof(struct _fpstate_32, _fxsr_env)]; }", "- - - - - - - - - -"},
	// What both architectures share.
	{UserDesc{}, "struct user_desc", "entry_number base_addr limit -"},
	{Termios{}, "struct termios", "c_iflag c_oflag c_cflag c_lflag c_line c_cc"},
	{Iocb{}, "struct iocb", "aio_data aio_key aio_rw_flags aio_lio_opcode aio_reqprio aio_fildes aio_buf aio_nbytes " +
		"aio_offset aio_reserved2 aio_flags aio_resfd"},
	{IoEvent{}, "struct io_event", "data obj res res2"},
	{SeccompData{}, "struct seccomp_data", "nr arch instruction_pointer args"},
	{unix.PollFd{}, "struct pollfd", "fd events revents"},
}

// compile runs gcc on C statements that name numbers, and returns those. Nothing is linked or run: the numbers stand in
// the assembly, which needs the kernel's headers only, for i386 too.
func compile(t *testing.T, arch Arch, c string) map[string]uint64 {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	flag := "-m64"
	if arch == I386 {
		flag = "-m32"
	}
	cmd := exec.Command("gcc", flag, "-w", "-O0", "-S", "-xc", "-I/usr/include/x86_64-linux-gnu", "-o", "-", "-")
	cmd.Stdin = strings.NewReader(c)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gcc %s: %v\n%s", flag, err, stderr.String())
	}
	numbers := map[string]uint64{}
	for _, m := range regexp.MustCompile(`(?m)^->(\S+) \$?(-?\d+) \$?(-?\d+)$`).FindAllStringSubmatch(string(out), -1) {
		hi, _ := strconv.ParseInt(m[2], 10, 64)
		lo, _ := strconv.ParseInt(m[3], 10, 64)
		numbers[m[1]] = uint64(hi)<<32 | uint64(uint32(lo))
	}
	return numbers
}

// number is the C statement that makes compile return value as name.
func number(name, value string) string {
	return fmt.Sprintf("asm(\"\\n->%s %%0 %%1\" :: \"i\"((int)((unsigned long long)(%s)>>32)), \"i\"((int)(%s)));\n", name, value, value)
}

func testLayouts(t *testing.T, arch Arch, layouts []layout) {
	var c strings.Builder
	c.WriteString(headers)
	for i, l := range layouts {
		fmt.Fprintf(&c, "typedef %s t%d;\n", l.c, i)
	}
	c.WriteString("void f(void) {\n")
	for i, l := range layouts {
		c.WriteString(number(fmt.Sprintf("%d", i), fmt.Sprintf("sizeof(t%d)", i)))
		for j, m := range strings.Fields(l.members) {
			if m != "-" {
				c.WriteString(number(fmt.Sprintf("%d.%d", i, j), fmt.Sprintf("__builtin_offsetof(t%d, %s)", i, m)))
			}
		}
	}
	c.WriteString("}\n")
	numbers := compile(t, arch, c.String())
	for i, l := range layouts {
		typ, members := reflect.TypeOf(l.g), strings.Fields(l.members)
		if size, ok := numbers[fmt.Sprintf("%d", i)]; !ok || size != uint64(typ.Size()) {
			t.Errorf("%v has %d bytes, %s %d", typ, typ.Size(), l.c, size)
		}
		j := 0
		for k := range typ.NumField() {
			f := typ.Field(k)
			if !f.IsExported() {
				continue
			}
			if j >= len(members) {
				break
			}
			if off, ok := numbers[fmt.Sprintf("%d.%d", i, j)]; members[j] != "-" && (!ok || off != uint64(f.Offset)) {
				t.Errorf("%v.%s is at %d, %s.%s at %d", typ, f.Name, f.Offset, l.c, members[j], off)
			}
			j++
		}
		if j != len(members) {
			t.Errorf("%v has %d exported fields, %d members are named", typ, j, len(members))
		}
	}
}

func TestLayoutsAMD64(t *testing.T) { testLayouts(t, AMD64, layouts64) }
func TestLayoutsI386(t *testing.T)  { testLayouts(t, I386, layouts32) }

// Sizes of what the installed headers lack or hide.
func TestSizes(t *testing.T) {
	for _, s := range []struct {
		g    any
		size uintptr
	}{
		{Msghdr{}, unix.SizeofMsghdr}, {Mmsghdr{}, unix.SizeofMmsghdr}, {Cmsghdr{}, unix.SizeofCmsghdr},
		{RtSigframe{}, 440}, {RtSigframe32{}, 268}, {UContext32{}, 116}, {Sigframe32{}, 732},
		{Msghdr32{}, 28}, {Mmsghdr32{}, 32}, {Cmsghdr32{}, 12}, {Regs32{}, 68},
		{MmapArgs32{}, 24}, {SelectArgs32{}, 20}, {XattrArgs{}, 16}, {SchedParam{}, 4}, {Ustat32{}, 20}, {Ustat{}, 32}, {unix.Statx_t{}, 256},
		{unix.SignalfdSiginfo{}, 128}, {unix.PtraceRegs{}, 216},
	} {
		if typ := reflect.TypeOf(s.g); typ.Size() != s.size {
			t.Errorf("%v has %d bytes, not %d", typ, typ.Size(), s.size)
		}
	}
}

// No struct has implicit padding, which would carry a stray byte of ours to a guest, and none has a pointer.
func TestNoPadding(t *testing.T) {
	for _, l := range append(append([]layout{}, layouts64...), layouts32...) {
		checkPadding(t, reflect.TypeOf(l.g))
	}
	for _, g := range []any{Msghdr{}, Mmsghdr{}, RtSigframe{}, RtSigframe32{}, Sigframe32{}, UContext32{}, Regs32{}, Ustat32{}, Ustat{}} {
		checkPadding(t, reflect.TypeOf(g))
	}
}

func checkPadding(t *testing.T, typ reflect.Type) {
	switch typ.Kind() {
	case reflect.Struct:
		end := uintptr(0)
		for k := range typ.NumField() {
			f := typ.Field(k)
			if f.Offset != end {
				t.Errorf("%v has padding before %s", typ, f.Name)
			}
			end = f.Offset + f.Type.Size()
			checkPadding(t, f.Type)
		}
		if end != typ.Size() {
			t.Errorf("%v has padding at its end", typ)
		}
	case reflect.Array:
		checkPadding(t, typ.Elem())
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Uintptr, reflect.Int, reflect.Uint:
		t.Errorf("%v in a layout", typ)
	}
}

func TestBytes(t *testing.T) {
	s := StackT{Sp: 0x1122334455667788, Flags: SS_DISABLE, Size: 9}
	b := Bytes(&s)
	if want := []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0}; !bytes.Equal(b, want) {
		t.Errorf("% x", b)
	}
	b[8] = 1
	if s.Flags != SS_ONSTACK {
		t.Error("Bytes is a copy")
	}
}

func TestDirents(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a", "abc", "abcd", "abcdefg", strings.Repeat("x", 255)} {
		b := AppendDirent64([]byte{1}, 2, 3, unix.DT_REG, name)[1:]
		if len(b) != DirentLen64(len(name)) || len(b)%8 != 0 || b[16] != byte(len(b)) || b[18] != unix.DT_REG ||
			string(b[19:19+len(name)+1]) != name+"\x00" {
			t.Errorf("dirent64 of %q: % x", name, b)
		}
		for _, arch := range []Arch{AMD64, I386} {
			b := AppendDirent([]byte{1}, arch, 2, 3, unix.DT_DIR, name)[1:]
			w := arch.WordSize()
			if len(b) != DirentLen(arch, len(name)) || len(b)%w != 0 || b[0] != 2 || b[w] != 3 || b[2*w] != byte(len(b)) ||
				string(b[2*w+2:2*w+2+len(name)+1]) != name+"\x00" || b[len(b)-1] != unix.DT_DIR {
				t.Errorf("dirent of %q on %v: % x", name, arch, b)
			}
		}
	}
}
