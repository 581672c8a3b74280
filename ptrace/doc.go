// Package ptrace is a typed client of ptrace(2), with PTRACE_SYSEMU at its
// heart, for Linux on amd64.
//
// It has two layers, and needs nothing of the rest of this module but names
// of architectures.
//
// The lower layer is one function for each request: [Seize], [Resume],
// [GetRegs], [GetSyscallInfo], [Wait] and so on. Each names its tracee by
// thread id, makes one system call and no allocation, keeps no state, and
// fails with an [*Error] that carries the request, the thread id and the
// errno.
//
// Package abi names the calls and architectures that a stop reports.
package ptrace
