package ptrace

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
)

// GetThreadArea reads the thread-local segment in entry n of a stopped
// tracee's GDT, as 32-bit code has them: PTRACE_GET_THREAD_AREA. EINVAL: n is
// none of the three entries, 12 to 14 on x86-64. EIO: the host runs no 32-bit
// code.
func GetThreadArea(pid, n int, d *abi.UserDesc) error {
	return request(getThreadArea, pid, uintptr(n), unsafe.Pointer(d))
}

// SetThreadArea writes it: PTRACE_SET_THREAD_AREA. d's own EntryNumber does not
// count. EINVAL also: what set_thread_area(2) refuses.
func SetThreadArea(pid, n int, d *abi.UserDesc) error {
	return request(setThreadArea, pid, uintptr(n), unsafe.Pointer(d))
}
