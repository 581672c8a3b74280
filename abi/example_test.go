package abi_test

import (
	"fmt"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

func ExampleByNumber() {
	fmt.Println(abi.ByNumber(abi.AMD64, 257), abi.ByNumber(abi.I386, 257))
	// Output: openat remap_file_pages
}

func ExampleCall() {
	c := abi.ByName("read")
	fmt.Println(c.Number(abi.AMD64), c.Number(abi.I386))
	for i, a := range c.ArgsOn(abi.AMD64) {
		if a.Kind.Base() == abi.Buf && a.Kind.Writes() {
			fmt.Println(a.Name, "is filled; its length is", c.Args[a.Kind.LenArg(i)].Name)
		}
	}
	// Output:
	// 0 3
	// buf is filled; its length is count
}

func ExampleNames() {
	fmt.Println(abi.OpenFlags.Names().Format(unix.O_RDWR | unix.O_CREAT | unix.O_CLOEXEC))
	fmt.Println(abi.CloneFlags.Names().Format(unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)))
	// Output:
	// O_RDWR|O_CREAT|O_CLOEXEC
	// CLONE_VM|CLONE_VFORK|SIGCHLD
}

func ExampleSiginfo() {
	s := abi.ChildInfo(abi.CLD_EXITED, 12, 1000, 3, 0, 0)
	fmt.Println(abi.SignalName(int(s.Signo)), abi.SigCodeName(s.Signo, s.Code), s.Pid(), s.Status())
	// Output: SIGCHLD CLD_EXITED 12 3
}
