//go:build !linux || !amd64

package ptrace

// This package exists for linux/amd64 only; the undefined name says so at build time.
var _ = ptrace_is_for_linux_amd64_only
