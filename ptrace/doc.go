// Package ptrace is a typed client of ptrace(2), with PTRACE_SYSEMU at its
// heart, for Linux on amd64.
//
// It has two layers, and needs nothing of the rest of this module but names
// of architectures.
//
// The lower layer is one function for each request: [Seize], [Resume],
// [GetRegs], [GetSyscallInfo], [Wait] and so on. Each names its tracee by
// thread id, makes one system call and no allocation (forced access to memory
// makes more), keeps no state, and fails with an [*Error] that carries the
// request, the thread id and the errno.
//
// The upper layer is [Tracer], the calling goroutine's thread as a tracer, and
// [Tracee]. Programs are started, or attached to; reports are values of their
// own types, see [Stop]; children are followed. A Tracee may be resumed by any
// request at any stop. What PTRACE_SYSEMU means then is said by [Rule]: by
// default a skipped call is never reported again. A host without PTRACE_SYSEMU is
// helped out, see [Mode].
//
// Both may be used on one tracee, but not for resuming it.
//
// ptrace(2) binds a tracee to the OS thread that attached to it: lock the
// goroutine to its thread, as [NewTracer] does, and make all requests there.
//
// Needed of the host: Linux 5.3. Package abi names the calls and architectures
// that stops report.
package ptrace
