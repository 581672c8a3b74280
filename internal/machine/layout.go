package machine

// The guest's address space ends at UserTop; the rest of the lower half, up
// to the processor's limit, holds what machine needs in every host process.
const (
	pageSize = 4096

	// UserTop is the first address a guest may not map.
	UserTop = 0x7fffffe00000
	// MaxCPUs is how many CPUs a machine may have.
	MaxCPUs = 16

	// UserBottom is the lowest address that the host lets anyone map
	// (vm.mmap_min_addr's usual value).
	UserBottom = 0x10000

	// HostTop is the end of user space for the processor.
	HostTop = 0x7ffffffff000

	stubCodeAddr  = UserTop                    // stubCode, read and execute
	stubListAddr  = UserTop + 0x10000          // a read-only page per CPU: the list of calls
	stubStackAddr = stubListAddr + 0x100000    // a stack per CPU for the host's own signal frames
	stubRecvAddr  = stubStackAddr + 0x100000/2 // only in a zygote: where recvmsg writes
	// VDSO is where the vDSO's data pages begin; the image follows.
	vdsoArea = 0x7fffffff0000 - 0x40000

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
