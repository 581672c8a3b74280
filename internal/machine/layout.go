package machine

import "golang.org/x/sys/unix"

// The guest's address space ends at UserTop; the rest of the lower half, up
// to HostTop, holds what machine needs in every host process.
const (
	pageSize = 4096

	// MaxCPUs is how many CPUs a machine may have.
	MaxCPUs = 16

	// UserBottom is the lowest address that the host lets anyone map
	// (vm.mmap_min_addr's usual value).
	UserBottom = 0x10000

	// machineArea is the least that lies between UserTop and HostTop.
	machineArea = 2<<20 - pageSize
)

var (
	// HostTop is the end of what this process, and so any, may map.
	HostTop = findTop()
	// UserTop is the first address a guest may not map.
	UserTop = (HostTop - machineArea) &^ (2<<20 - 1)

	stubCodeAddr  = UserTop                    // stubCode, read and execute
	stubListAddr  = UserTop + 0x10000          // a read-only page per CPU: the list of calls
	stubStackAddr = stubListAddr + 0x100000    // a stack per CPU for the host's own signal frames
	stubRecvAddr  = stubStackAddr + 0x100000/2 // only in a zygote: where recvmsg writes
	// VDSO is where the vDSO's data pages begin; the image follows.
	vdsoArea = UserTop + 0x1b0000
)

// findTop asks the host where user space ends. It is the processor's limit, but
// when this process is itself a guest: then each machine around it has kept
// something for itself.
func findTop() uint64 {
	const processors = 0x7ffffffff000
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE | unix.MAP_FIXED_NOREPLACE
	for top := uint64(processors); top > processors/2; top = (top - 1) &^ (2<<20 - 1) {
		at, _, e := unix.RawSyscall6(unix.SYS_MMAP, uintptr(top-pageSize), pageSize, unix.PROT_NONE, flags, ^uintptr(0), 0)
		if e == 0 {
			unix.RawSyscall(unix.SYS_MUNMAP, at, pageSize, 0)
		}
		if e == 0 || e == unix.EEXIST {
			return top
		}
	}
	return processors
}

const (
	sigStackSize = 16384 + 16384 // room for the largest xstate in use
	maxCPUs      = MaxCPUs

	offOne  = 16
	offList = 32
	offPark = 176
	offSig  = 128
	offCAS  = 160
	offI386 = 272
)

func init() {
	if stubStackAddr+maxCPUs*sigStackSize > stubRecvAddr || maxCPUs*pageSize > 0x100000 || stubRecvAddr+pageSize > vdsoArea {
		panic("machine: the stub area overlaps itself")
	}
}
