package abi

// Kind says what an argument or a result is, in enough detail to print it as strace does: a base type, and modifiers for
// the direction of the data a pointer leads to and for where its length is.
type Kind uint16

// Modifiers of a pointer Kind. Without Out or InOut the data is read by the call.
const (
	Out    Kind = 1 << (10 + iota) // written by the call: meaningful after it
	InOut                          // read and written: meaningful before and after it
	LenIn0                         // the length is in argument 0, not in the next one
	LenIn1
	LenIn2

	baseMask = Out - 1
)

// Long is the zero Kind: a signed machine word.
const (
	Long Kind = iota
	Unused
	Int      // signed 32 bits
	Uint     // unsigned 32 bits
	Ulong    // unsigned machine word
	Hex      // unsigned machine word, in hexadecimal
	Size     // size_t
	Offset   // signed offset or length in a file, one word
	OffsetLo // lower half of a 64-bit value that i386 passes in two registers
	OffsetHi // upper half
	HexOffset
	PageOffset // offset in units of 4096 bytes
	Addr       // address that the call does not read or write as a struct
	FD
	DirFD // FD or AT_FDCWD
	Mode  // permission bits
	OpenMode
	FileMode // permission bits and file type
	Dev
	Pid
	Uid
	Gid
	Uid16
	Gid16
	Signal
	SigHandler
	OldSigset // one word of signals, by value
	IpcKey
	KeySerial
	Ioprio
	NoReturn
	IoctlArg     // its type follows from the IoctlCmd before it
	FcntlArg     // its type follows from the FcntlCmd before it
	SemctlArg    // union semun, by SemctlCmd
	ShmctlArg    // pointer, by ShmctlCmd
	MsgctlArg    // pointer, by MsgctlCmd
	SeccompArg   // pointer, by SeccompOp
	FutexTimeout // TimespecPtr or a count, by FutexOp
	FutexTimeout64

	lastScalar
)

// Numbers with names: one of several values, a set of bits, or both. Kind.Names is the table of each.
const (
	AccessMode Kind = lastScalar + 1 + iota
	ArchPrctlOp
	AtAccessFlags
	AtFlags
	AtHandleFlags
	AtStatxFlags
	AtUnlinkFlags
	BpfCmd
	ClockID
	CloneFlags // the low byte is the exit signal
	CloseRangeFlags
	DupFlags
	EpollFlags
	EpollOp
	EventfdFlags
	FadviseAdvice
	FallocMode
	FanotifyInitFlags
	FanotifyMarkFlags
	FanotifyMask
	FcntlCmd
	FinitModuleFlags
	FlockOp
	FsconfigCmd
	FsmountFlags
	FsopenFlags
	FspickFlags
	Futex2Flags
	FutexOp
	GetMempolicyFlags
	GetrandomFlags
	InotifyFlags
	InotifyMask
	IoUringEnterFlags
	IoUringRegisterOp
	IoctlCmd
	IoprioWhich
	IpcOp
	ItimerWhich
	KcmpType
	KexecFileFlags
	KexecFlags
	KeyctlOp
	LandlockFlags
	LandlockRuleType
	ListmountFlags
	LsmAttr
	LsmFlags
	MadviseAdvice
	MapFlags
	MembarrierCmd
	MembarrierFlags
	MemfdFlags
	MemfdSecretFlags
	MempolicyFlags
	MempolicyMode
	MlockFlags
	MlockallFlags
	ModuleFlags
	MountAttrFlags
	MountFlags
	MoveMountFlags
	MremapFlags
	MsgFlags // of send and recv
	MsgctlCmd
	MsggetFlags
	MsgopFlags
	MsyncFlags
	NamespaceFlags
	OpenFlags
	OpenTreeFlags
	PerfFlags
	Persona
	PidfdOpenFlags
	PidfdSignalFlags
	PipeFlags
	PkeyRights
	PrctlOp
	PriorityWhich
	ProtFlags
	PtraceRequest
	QuotaCmd
	RWFlags
	RebootCmd
	RenameFlags
	RlimitResource
	RseqFlags
	RusageWho
	SchedPolicy
	SeccompFlags // by SeccompOp
	SeccompOp
	SemctlCmd
	SemgetFlags
	ShadowStackFlags
	ShmatFlags
	ShmctlCmd
	ShmgetFlags
	ShutdownHow
	SigHow
	SignalfdFlags
	SockLevel
	SockOptName // by SockLevel: see SockOptNames
	SocketDomain
	SocketFlags
	SocketProtocol // of IP; by SocketDomain: see ProtocolNames
	SocketType
	SocketcallOp
	SpliceFlags
	StatxMask
	SwapFlags
	SyncFileRangeFlags
	SyslogAction
	TimerFlags
	TimerfdFlags
	TimerfdSetFlags
	UmountFlags
	UnshareFlags
	UserfaultfdFlags
	WaitIDType
	WaitOptions
	Whence
	XattrFlags

	// Of the fields of structs, not of arguments.
	SigactionFlags
	SigaltstackFlags
	SigevNotify
	PollEvents
	EpollEvents
	FileType
	DirentType
	LockType
	LeaseType
	FDFlags
	SealFlags
	NotifyEvents
	OwnerType
	ResolveFlags
	PtraceOptions
	PtraceEvent
	RegsetType
	AuxvTag
	ScmType
	Capability
	StatfsFlags
	StatfsMagic
	StatxAttributes
	TermiosInput
	TermiosLocal
	SockOptSocket
	SockOptIP
	SockOptIPv6
	SockOptTCP
	SockOptUDP
	SockOptNetlink
	NetlinkProtocol
	SigCodeAny
	SigCodeILL
	SigCodeFPE
	SigCodeSEGV
	SigCodeBUS
	SigCodeTRAP
	SigCodeCHLD
	SigCodePOLL
	SigCodeSYS

	lastNamed
)

// Pointers. Where the layout differs between the architectures the Kind is the same; a name with 64 is the layout with
// 64-bit times or sizes on either.
const (
	Buf     Kind = lastNamed + 1 + iota // bytes
	String                              // ends with NUL
	Path                                // ends with NUL, names a file
	PathBuf                             // bytes that hold a path
	ArgvPtr
	EnvpPtr

	BpfAttrPtr
	CPUSetPtr
	CachestatPtr
	CachestatRangePtr
	CapDataPtr
	CapHeaderPtr
	CloneArgsPtr // size in the next argument
	Dirent64Buf
	DirentBuf
	EpollEventArray
	EpollEventPtr
	FDPair   // two ints
	FdSetPtr // as many bits as argument 0 says
	FileHandlePtr
	FutexPtr // one 32-bit word
	FutexWaitvArray
	FutexWaitvPairPtr
	Gid16Array
	Gid16Ptr
	GidArray
	GidPtr
	IntArray
	IntPtr
	IoEventArray
	IoEventPtr
	IoUringParamsPtr
	IocbPtr
	IocbPtrArray
	IovecArray // Out: the buffers are written
	Itimerspec64Ptr
	ItimerspecPtr
	ItimervalPtr
	LandlockAttrPtr
	MmsghdrArray
	MntIDReqPtr
	ModifyLdtPtr
	MountAttrPtr
	MqAttrPtr
	MsgbufPtr
	MsghdrPtr
	NodemaskPtr
	OffPtr    // off_t, one word
	OffsetPtr // loff_t, 64 bits
	OldDirentPtr
	OldMmapArgsPtr
	OldOldUtsnamePtr
	OldSelectArgsPtr
	OldSigactionPtr
	OldSigsetPtr
	OldStatPtr
	OldUtsnamePtr
	OpenHowPtr
	PerfAttrPtr
	PidPtr
	PollfdArray
	RemoteIovecArray // of another process
	Rlimit64Ptr
	RlimitPtr
	RusagePtr
	SchedAttrPtr
	SchedParamPtr
	SembufArray
	SigactionPtr
	SigeventPtr
	SiginfoPtr
	SigsetPtr     // 64 signals
	SigsetSizePtr // pair of a SigsetPtr and its size
	SockaddrPtr   // length in the next argument: a value, or a SocklenPtr when Out
	SocketcallArgsPtr
	SocklenPtr
	SockoptPtr // as SockaddrPtr; type by SockOptName
	StackTPtr
	Stat64Ptr
	StatPtr
	Statfs64Ptr
	StatfsPtr
	StatmountPtr
	StatxPtr
	SysinfoPtr
	TimePtr
	Timespec64PairPtr
	Timespec64Ptr
	TimespecPairPtr
	TimespecPtr
	TimevalPairPtr
	TimevalPtr
	Timex64Ptr
	TimexPtr
	TimezonePtr
	TmsPtr
	U64Array
	Uid16Ptr
	UidPtr
	UintPtr
	UlongArray
	UlongPtr
	UserDescPtr
	UstatPtr
	UtimbufPtr
	UtsnamePtr
	WaitStatusPtr
	XattrArgsPtr

	lastKind

	InBuf  = Buf
	OutBuf = Out | Buf
)

// Base is the Kind without modifiers.
func (k Kind) Base() Kind { return k & baseMask }

// IsPointer reports whether the argument is the address of data that the call reads or writes.
func (k Kind) IsPointer() bool { return k.Base() > lastNamed }

// IsNamed reports whether the argument is a number whose values or bits have names.
func (k Kind) IsNamed() bool { b := k.Base(); return b > lastScalar && b < lastNamed }

// Reads and Writes report the direction of the data behind a pointer.
func (k Kind) Reads() bool  { return k.IsPointer() && k&Out == 0 }
func (k Kind) Writes() bool { return k.IsPointer() && k&(Out|InOut) != 0 }

// LenArg is the index of the argument that holds the length of the buffer or array at argument i. It means nothing for
// other kinds.
func (k Kind) LenArg(i int) int {
	switch {
	case k&LenIn0 != 0:
		return 0
	case k&LenIn1 != 0:
		return 1
	case k&LenIn2 != 0:
		return 2
	}
	return i + 1
}
