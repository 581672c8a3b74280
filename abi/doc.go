// Package abi holds what Linux and its programs agree on: the numbers, names and argument types of system calls, the
// layouts of the structs that cross the boundary, and the constants and flag names that golang.org/x/sys/unix lacks.
//
// Structs that x/sys/unix has right are not repeated: unix.Timespec, Timeval, Itimerval, ItimerSpec, Rusage, Tms, Rlimit,
// Stat_t, Statx_t, Statfs_t, Utsname, PtraceRegs, PollFd, EpollEvent, SignalfdSiginfo, InotifyEvent, OpenHow, MountAttr,
// SchedAttr, Winsize, Ucred, CapUserHeader, CapUserData and RawSockaddr* are as good as those here.
//
// It knows two architectures, [AMD64] and [I386]. A struct without a suffix is the x86-64 layout, one with the suffix 32
// the i386 layout where it differs. Every struct is of fixed size and free of pointers, so that it may be copied to and
// from a guest's memory byte for byte; padding is spelled out. The package depends on nothing but the standard library
// and x/sys/unix, and keeps no state.
package abi
