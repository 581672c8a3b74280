package kernel

import "golang.org/x/sys/unix"

func init() {
	addFamily(calls{
		// Refused for good: a restartable sequence would have to be checked
		// at every stop, and glibc does without.
		"rseq": e0(func(t *Task) error { return unix.ENOSYS }),
	})
}
