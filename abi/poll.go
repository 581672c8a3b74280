package abi

// SigsetArg is the last argument of pselect6 and io_pgetevents: a signal mask and its size.
type SigsetArg struct {
	Ptr  uint64
	Size uint64
}

// Events of poll that x/sys/unix lacks.
const (
	POLLRDNORM     = 0x40
	POLLRDBAND     = 0x80
	POLLWRNORM     = 0x100
	POLLWRBAND     = 0x200
	POLLMSG        = 0x400
	POLLREMOVE     = 0x1000
	POLL_BUSY_LOOP = 0x8000
)
