package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withoutSysemu is the script program "without-sysemu PROGRAM ARGS…": runs a
// program on a host that has no PTRACE_SYSEMU, so far as it can tell: a seccomp
// filter gives EIO for requests 31 and 32.
func withoutSysemu() {
	const (
		ld    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jeq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		allow = 0x7fff0000
		errno = 0x00050000
	)
	filter := []unix.SockFilter{
		{Code: ld, K: 0},
		{Code: jeq, Jf: 4, K: unix.SYS_PTRACE},
		{Code: ld, K: 16},
		{Code: jeq, Jt: 1, K: unix.PTRACE_SYSEMU},
		{Code: jeq, Jf: 1, K: unix.PTRACE_SYSEMU_SINGLESTEP},
		{Code: ret, K: errno | uint32(unix.EIO)},
		{Code: ret, K: allow},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); e != 0 {
			err = e
		}
	}
	path, err1 := exec.LookPath(os.Args[1])
	if err == nil {
		err = err1
	}
	if err == nil {
		err = unix.Exec(path, os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
