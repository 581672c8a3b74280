package abi

// IpcPerm is struct ipc64_perm: owner and mode of a System V object.
type IpcPerm struct {
	Key  int32
	UID  uint32
	GID  uint32
	CUID uint32
	CGID uint32
	Mode uint32
	Seq  uint16
	_    [6]byte
	_    [2]uint64
}

// ShmidDS is struct shmid64_ds.
type ShmidDS struct {
	Perm   IpcPerm
	Segsz  uint64
	Atime  int64
	Dtime  int64
	Ctime  int64
	Cpid   int32
	Lpid   int32
	Nattch uint64
	_      [2]uint64
}

// Shminfo is struct shminfo64, of IPC_INFO.
type Shminfo struct {
	Max uint64
	Min uint64
	Mni uint64
	Seg uint64
	All uint64
	_   [4]uint64
}

// ShmInfo is struct shm_info, of SHM_INFO.
type ShmInfo struct {
	UsedIDs       int32
	_             int32
	Tot           uint64
	Rss           uint64
	Swp           uint64
	SwapAttempts  uint64
	SwapSuccesses uint64
}

// SemidDS is struct semid64_ds.
type SemidDS struct {
	Perm  IpcPerm
	Otime int64
	_     uint64
	Ctime int64
	_     uint64
	Nsems uint64
	_     [2]uint64
}

// Seminfo is struct seminfo, of IPC_INFO and SEM_INFO.
type Seminfo struct {
	Map int32
	Mni int32
	Mns int32
	Mnu int32
	Msl int32
	Opm int32
	Ume int32
	Usz int32
	Vmx int32
	Aem int32
}

// Sembuf is struct sembuf: one operation of semop.
type Sembuf struct {
	Num uint16
	Op  int16
	Flg int16
}

// MsqidDS is struct msqid64_ds.
type MsqidDS struct {
	Perm   IpcPerm
	Stime  int64
	Rtime  int64
	Ctime  int64
	Cbytes uint64
	Qnum   uint64
	Qbytes uint64
	Lspid  int32
	Lrpid  int32
	_      [2]uint64
}

// Msginfo is struct msginfo, of IPC_INFO and MSG_INFO.
type Msginfo struct {
	Pool int32
	Map  int32
	Max  int32
	Mnb  int32
	Mni  int32
	Ssz  int32
	Tql  int32
	Seg  uint16
	_    uint16
}

// MqAttr is struct mq_attr of POSIX message queues.
type MqAttr struct {
	Flags   int64
	Maxmsg  int64
	Msgsize int64
	Curmsgs int64
	_       [4]int64
}

// Commands of shmctl, semctl and msgctl beyond IPC_RMID, IPC_SET and IPC_STAT.
const (
	IPC_INFO     = 3
	SHM_LOCK     = 0xb
	SHM_UNLOCK   = 0xc
	SHM_STAT     = 0xd
	SHM_INFO     = 0xe
	SHM_STAT_ANY = 0xf
	SEM_STAT     = 0x12
	SEM_INFO     = 0x13
	SEM_STAT_ANY = 0x14
	MSG_STAT     = 0xb
	MSG_INFO     = 0xc
	MSG_STAT_ANY = 0xd
	GETPID       = 0xb
	GETVAL       = 0xc
	GETALL       = 0xd
	GETNCNT      = 0xe
	GETZCNT      = 0xf
	SETVAL       = 0x10
	SETALL       = 0x11
	IPC_64       = 0x100
)

// Flags and mode bits that x/sys/unix lacks.
const (
	SHM_R         = 0x100
	SHM_W         = 0x80
	SHM_HUGETLB   = 0x800
	SHM_NORESERVE = 0x1000
	SHM_REMAP     = 0x4000
	SHM_EXEC      = 0x8000
	SHM_DEST      = 0x200
	SHM_LOCKED    = 0x400
	SEM_UNDO      = 0x1000
	MSG_NOERROR   = 0x1000
	MSG_EXCEPT    = 0x2000
	MSG_COPY      = 0x4000
)

// Default limits.
const (
	SHMMIN = 1
	SHMMNI = 0x1000
	SEMMNI = 0x7d00
	SEMMSL = 0x7d00
	SEMMNS = 0x3d090000
	SEMOPM = 0x1f4
	SEMVMX = 0x7fff
	SEMAEM = 0x7fff
	MSGMNI = 0x7d00
	MSGMAX = 0x2000
	MSGMNB = 0x4000
)

// The calls behind i386's ipc.
const (
	SEMOP      = 1
	SEMGET     = 2
	SEMCTL     = 3
	SEMTIMEDOP = 4
	MSGSND     = 0xb
	MSGRCV     = 0xc
	MSGGET     = 0xd
	MSGCTL     = 0xe
	SHMAT      = 0x15
	SHMDT      = 0x16
	SHMGET     = 0x17
	SHMCTL     = 0x18
)
