package abi

import "encoding/binary"

// The i386 layouts of what differs from x86-64. Where a struct is not here the two are the same: pollfd, epoll_event,
// statx, termios, winsize, user_desc, sembuf, io_event, iocb, utsname, 64-bit rlimit and all that came with fixed-size
// fields.

// Int64x32 is a 64-bit integer as i386 aligns it: to four bytes.
type Int64x32 [2]uint32

// MakeInt64x32 splits v.
func MakeInt64x32(v int64) Int64x32 { return Int64x32{uint32(v), uint32(uint64(v) >> 32)} }

// Int64 is the value.
func (s Int64x32) Int64() int64 { return int64(uint64(s[0]) | uint64(s[1])<<32) }

type (
	Timespec32   struct{ Sec, Nsec int32 }
	Timeval32    struct{ Sec, Usec int32 }
	Itimerspec32 struct{ Interval, Value Timespec32 }
	Itimerval32  struct{ Interval, Value Timeval32 }
	Utimbuf32    struct{ Actime, Modtime int32 }
	Tms32        struct{ Utime, Stime, Cutime, Cstime int32 }
	Rlimit32     struct{ Cur, Max uint32 }
	Iovec32      struct{ Base, Len uint32 }
	SigsetArg32  struct{ Ptr, Size uint32 }
	Auxv32       struct{ Tag, Value uint32 }
)

// Timex32 is struct timex with 32-bit times; clock_adjtime64 takes the x86-64 layout.
type Timex32 struct {
	Modes     uint32
	Offset    int32
	Freq      int32
	Maxerror  int32
	Esterror  int32
	Status    int32
	Constant  int32
	Precision int32
	Tolerance int32
	Time      Timeval32
	Tick      int32
	Ppsfreq   int32
	Jitter    int32
	Shift     int32
	Stabil    int32
	Jitcnt    int32
	Calcnt    int32
	Errcnt    int32
	Stbcnt    int32
	Tai       int32
	_         [11]int32
}

// Rusage32 is struct rusage.
type Rusage32 struct {
	Utime    Timeval32
	Stime    Timeval32
	Maxrss   int32
	Ixrss    int32
	Idrss    int32
	Isrss    int32
	Minflt   int32
	Majflt   int32
	Nswap    int32
	Inblock  int32
	Oublock  int32
	Msgsnd   int32
	Msgrcv   int32
	Nsignals int32
	Nvcsw    int32
	Nivcsw   int32
}

// Sysinfo32 is struct sysinfo.
type Sysinfo32 struct {
	Uptime    int32
	Loads     [3]uint32
	Totalram  uint32
	Freeram   uint32
	Sharedram uint32
	Bufferram uint32
	Totalswap uint32
	Freeswap  uint32
	Procs     uint16
	_         uint16
	Totalhigh uint32
	Freehigh  uint32
	Unit      uint32
	_         [8]byte
}

// OldStat32 is struct __old_kernel_stat, of oldstat, oldlstat and oldfstat.
type OldStat32 struct {
	Dev   uint16
	Ino   uint16
	Mode  uint16
	Nlink uint16
	UID   uint16
	GID   uint16
	Rdev  uint16
	_     uint16
	Size  uint32
	Atime uint32
	Mtime uint32
	Ctime uint32
}

// Stat32 is struct stat, of stat, lstat and fstat.
type Stat32 struct {
	Dev     uint32
	Ino     uint32
	Mode    uint16
	Nlink   uint16
	UID     uint16
	GID     uint16
	Rdev    uint32
	Size    uint32
	Blksize uint32
	Blocks  uint32
	Atim    Timespec32
	Mtim    Timespec32
	Ctim    Timespec32
	_       [2]uint32
}

// Stat64x32 is struct stat64, of stat64, lstat64, fstat64 and fstatat64.
type Stat64x32 struct {
	Dev     Int64x32
	_       uint32
	ShortIn uint32 // the low half of Ino
	Mode    uint32
	Nlink   uint32
	UID     uint32
	GID     uint32
	Rdev    Int64x32
	_       uint32
	Size    Int64x32
	Blksize uint32
	Blocks  Int64x32
	Atim    Timespec32
	Mtim    Timespec32
	Ctim    Timespec32
	Ino     Int64x32
}

// Statfs32 is struct statfs.
type Statfs32 struct {
	Type    int32
	Bsize   int32
	Blocks  uint32
	Bfree   uint32
	Bavail  uint32
	Files   uint32
	Ffree   uint32
	Fsid    [2]int32
	Namelen int32
	Frsize  int32
	Flags   int32
	_       [4]int32
}

// Statfs64x32 is struct statfs64, of statfs64 and fstatfs64, whose size argument must be 84 (88 is let pass).
type Statfs64x32 struct {
	Type    uint32
	Bsize   uint32
	Blocks  Int64x32
	Bfree   Int64x32
	Bavail  Int64x32
	Files   Int64x32
	Ffree   Int64x32
	Fsid    [2]int32
	Namelen uint32
	Frsize  uint32
	Flags   uint32
	_       [4]uint32
}

// Ustat32 is struct ustat.
type Ustat32 struct {
	Tfree  int32
	Tinode uint32
	Fname  [6]byte
	Fpack  [6]byte
}

// Flock32 is struct flock, of F_GETLK, F_SETLK and F_SETLKW.
type Flock32 struct {
	Type   int16
	Whence int16
	Start  int32
	Len    int32
	Pid    int32
}

// Flock64x32 is struct flock64, of F_GETLK64 (12), F_SETLK64 (13), F_SETLKW64 (14) and the F_OFD_ commands.
type Flock64x32 struct {
	Type   int16
	Whence int16
	Start  Int64x32
	Len    Int64x32
	Pid    int32
}

// Commands of fcntl64 on i386 for a Flock64x32.
const (
	F_GETLK64x32  = 12
	F_SETLK64x32  = 13
	F_SETLKW64x32 = 14
)

// OldDirent32 is the one record that readdir fills, before its name.
type OldDirent32 struct {
	Ino     uint32
	Offset  uint32
	Namelen uint16
}

// OldUtsname and OldOldUtsname are what olduname and oldolduname fill.
type (
	OldUtsname    struct{ Sysname, Nodename, Release, Version, Machine [65]byte }
	OldOldUtsname struct{ Sysname, Nodename, Release, Version, Machine [9]byte }
)

// MmapArgs32 is the block that mmap (90) takes its arguments from.
type MmapArgs32 struct{ Addr, Len, Prot, Flags, FD, Offset uint32 }

// SelectArgs32 is the block that select (82) takes its arguments from.
type SelectArgs32 struct{ N, In, Out, Ex, Timeout uint32 }

// MqAttr32 is struct mq_attr.
type MqAttr32 struct {
	Flags   int32
	Maxmsg  int32
	Msgsize int32
	Curmsgs int32
	_       [4]int32
}

// Msghdr32 is struct msghdr.
type Msghdr32 struct {
	Name       uint32
	Namelen    int32
	Iov        uint32
	Iovlen     uint32
	Control    uint32
	Controllen uint32
	Flags      uint32
}

// Mmsghdr32 is struct mmsghdr.
type Mmsghdr32 struct {
	Hdr Msghdr32
	Len uint32
}

// Cmsghdr32 is struct cmsghdr.
type Cmsghdr32 struct {
	Len   uint32
	Level int32
	Type  int32
}

// CmsgAlign32 rounds n up to where the next control message may start.
func CmsgAlign32(n uint32) uint32 { return (n + 3) &^ 3 }

// SockFprog32 is struct sock_fprog.
type SockFprog32 struct {
	Len    uint16
	_      uint16
	Filter uint32
}

// RobustListHead32 is struct robust_list_head.
type RobustListHead32 struct {
	List          uint32
	FutexOffset   int32
	ListOpPending uint32
}

// OldIpcPerm32 is struct ipc_perm, when the command of shmctl, semctl or msgctl lacks IPC_64.
type OldIpcPerm32 struct {
	Key  int32
	UID  uint16
	GID  uint16
	CUID uint16
	CGID uint16
	Mode uint16
	Seq  uint16
}

// IpcPerm32 is struct ipc64_perm.
type IpcPerm32 struct {
	Key  int32
	UID  uint32
	GID  uint32
	CUID uint32
	CGID uint32
	Mode uint32
	Seq  uint16
	_    uint16
	_    [2]uint32
}

// ShmidDS32 is struct shmid64_ds. The High fields are the upper halves of the times.
type ShmidDS32 struct {
	Perm      IpcPerm32
	Segsz     uint32
	Atime     uint32
	AtimeHigh uint32
	Dtime     uint32
	DtimeHigh uint32
	Ctime     uint32
	CtimeHigh uint32
	Cpid      int32
	Lpid      int32
	Nattch    uint32
	_         [2]uint32
}

// Shminfo32 is struct shminfo64.
type Shminfo32 struct {
	Max uint32
	Min uint32
	Mni uint32
	Seg uint32
	All uint32
	_   [4]uint32
}

// ShmInfo32 is struct shm_info.
type ShmInfo32 struct {
	UsedIDs       int32
	Tot           uint32
	Rss           uint32
	Swp           uint32
	SwapAttempts  uint32
	SwapSuccesses uint32
}

// SemidDS32 is struct semid64_ds.
type SemidDS32 struct {
	Perm      IpcPerm32
	Otime     uint32
	OtimeHigh uint32
	Ctime     uint32
	CtimeHigh uint32
	Nsems     uint32
	_         [2]uint32
}

// MsqidDS32 is struct msqid64_ds.
type MsqidDS32 struct {
	Perm      IpcPerm32
	Stime     uint32
	StimeHigh uint32
	Rtime     uint32
	RtimeHigh uint32
	Ctime     uint32
	CtimeHigh uint32
	Cbytes    uint32
	Qnum      uint32
	Qbytes    uint32
	Lspid     int32
	Lrpid     int32
	_         [2]uint32
}

// Regs32 is the i386 struct user_regs_struct, as PTRACE_GETREGS and NT_PRSTATUS pass it.
type Regs32 struct {
	Ebx, Ecx, Edx, Esi, Edi, Ebp, Eax uint32
	Ds, Es, Fs, Gs                    uint32
	OrigEax                           uint32
	Eip, Cs, Eflags, Esp, Ss          uint32
}

// Sizes and places in the i386 struct user.
const (
	UserSize32     = 284
	UserDebugreg32 = 252
)

// Sigaction32 is the kernel's struct sigaction, of rt_sigaction.
type Sigaction32 struct {
	Handler  uint32
	Flags    uint32
	Restorer uint32
	Mask     Int64x32
}

// OldSigaction32 is struct old_sigaction, of sigaction.
type OldSigaction32 struct {
	Handler  uint32
	Mask     uint32
	Flags    uint32
	Restorer uint32
}

// StackT32 is stack_t.
type StackT32 struct {
	Sp    uint32
	Flags int32
	Size  uint32
}

// Sigevent32 is struct sigevent.
type Sigevent32 struct {
	Value  uint32
	Signo  int32
	Notify int32
	TID    int32
	_      [48]byte
}

// Siginfo32 is siginfo_t. It is made from a Siginfo and turned into one.
type Siginfo32 struct {
	Signo int32
	Errno int32
	Code  int32
	data  [116]byte
}

func (s *Siginfo32) u32(at int) uint32      { return binary.LittleEndian.Uint32(s.data[at-12:]) }
func (s *Siginfo32) put32(at int, v uint32) { binary.LittleEndian.PutUint32(s.data[at-12:], v) }

// To32 is the siginfo in the layout of i386; addresses and values are cut to 32 bits.
func (s *Siginfo) To32() (t Siginfo32) {
	t.Signo, t.Errno, t.Code = s.Signo, s.Errno, s.Code
	switch s.Layout() {
	case SiginfoKill:
		t.put32(12, uint32(s.Pid()))
		t.put32(16, s.UID())
	case SiginfoTimer, SiginfoRt: // the timer's id and overrun are where pid and uid are
		t.put32(12, uint32(s.Pid()))
		t.put32(16, s.UID())
		t.put32(20, uint32(s.Value()))
	case SiginfoPoll:
		t.put32(12, uint32(s.Band()))
		t.put32(16, uint32(s.FD()))
	case SiginfoChild:
		t.put32(12, uint32(s.Pid()))
		t.put32(16, s.UID())
		t.put32(20, uint32(s.Status()))
		t.put32(24, uint32(s.Utime()))
		t.put32(28, uint32(s.Stime()))
	case SiginfoSys:
		t.put32(12, uint32(s.CallAddr()))
		t.put32(16, uint32(s.Syscall()))
		t.put32(20, uint32(s.Arch()))
	case SiginfoFault:
		t.put32(12, uint32(s.Addr()))
		switch s.fault() {
		case faultLSB:
			t.put32(16, uint32(uint16(s.AddrLSB())))
		case faultBounds:
			lo, hi := s.Bounds()
			t.put32(20, uint32(lo))
			t.put32(24, uint32(hi))
		case faultPKey:
			t.put32(20, s.PKey())
		case faultPerf:
			t.put32(16, uint32(s.u64(24)))
			t.put32(20, s.u32(32))
			t.put32(24, s.u32(36))
		}
	}
	return
}

// To64 is the siginfo in the layout of x86-64.
func (s *Siginfo32) To64() (t Siginfo) {
	t.Signo, t.Errno, t.Code = s.Signo, s.Errno, s.Code
	switch t.Layout() {
	case SiginfoKill:
		t.put32(16, s.u32(12))
		t.put32(20, s.u32(16))
	case SiginfoTimer, SiginfoRt:
		t.put32(16, s.u32(12))
		t.put32(20, s.u32(16))
		t.put64(24, uint64(s.u32(20)))
	case SiginfoPoll:
		t.put64(16, uint64(int64(int32(s.u32(12)))))
		t.put32(24, s.u32(16))
	case SiginfoChild:
		t.put32(16, s.u32(12))
		t.put32(20, s.u32(16))
		t.put32(24, s.u32(20))
		t.put64(32, uint64(int64(int32(s.u32(24)))))
		t.put64(40, uint64(int64(int32(s.u32(28)))))
	case SiginfoSys:
		t.put64(16, uint64(s.u32(12)))
		t.put32(24, s.u32(16))
		t.put32(28, s.u32(20))
	case SiginfoFault:
		t.put64(16, uint64(s.u32(12)))
		switch t.fault() {
		case faultLSB:
			t.put32(24, s.u32(16)&0xffff)
		case faultBounds:
			t.put64(32, uint64(s.u32(20)))
			t.put64(40, uint64(s.u32(24)))
		case faultPKey:
			t.put32(32, s.u32(20))
		case faultPerf:
			t.put64(24, uint64(s.u32(16)))
			t.put32(32, s.u32(20))
			t.put32(36, s.u32(24))
		}
	}
	return
}
