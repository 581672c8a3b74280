package hostcan

import (
	"errors"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// TrapTSC is rdtsc faulting when a program has asked for that by prctl(PR_SET_TSC).
var TrapTSC = &Facility{"stop at rdtsc", sync.OnceValue(func() error {
	err := exits42(program(false, append([]byte{
		0xb8, 157, 0, 0, 0, // mov $157,%eax: prctl
		0xbf, unix.PR_SET_TSC, 0, 0, 0, // mov $26,%edi
		0xbe, unix.PR_TSC_SIGSEGV, 0, 0, 0, // mov $2,%esi
		0x0f, 0x05, // syscall
		0x0f, 0x31, // rdtsc
	}, exit64...)))
	var exit *exec.ExitError
	switch {
	case err == nil:
		return errors.New("the program reads it")
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == unix.SIGSEGV:
		return nil
	}
	return err
})}
