package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Requests about a tracee's signals.

func getSigInfo(a *ptraceArgs) (uint64, error) {
	i := a.o.tracee.info
	if i == nil {
		return 0, unix.EINVAL // a group-stop has none
	}
	return 0, a.t.CopyOut(a.data, a.abi.info(i))
}

func setSigInfo(a *ptraceArgs) (uint64, error) {
	b := make([]byte, a.abi.infoLen)
	if err := a.t.CopyIn(a.data, b); err != nil {
		return 0, err
	}
	if a.o.tracee.info == nil {
		return 0, unix.EINVAL
	}
	*a.o.tracee.info = a.abi.setInfo(b)
	return 0, nil
}

// peekSigInfo copies signals that are pending, without taking them.
func peekSigInfo(a *ptraceArgs) (uint64, error) {
	arg, err := Ptr[abi.PtracePeekSiginfoArgs](a.addr).In(a.t)
	if err != nil {
		return 0, err
	}
	const shared = 1
	if arg.Flags&^shared != 0 || arg.Nr < 0 {
		return 0, unix.EINVAL
	}
	q := &a.o.pending
	if arg.Flags&shared != 0 {
		q = &a.o.p.pending
	}
	n := uint64(0)
	for n < uint64(arg.Nr) && arg.Off < uint64(len(q.list)) && arg.Off+n < uint64(len(q.list)) {
		if err := a.t.CopyOut(a.data+n*uint64(a.abi.infoLen), a.abi.info(&q.list[arg.Off+n])); err != nil {
			if n > 0 {
				break
			}
			return 0, err
		}
		n++
	}
	return n, nil
}

func getSigMask(a *ptraceArgs) (uint64, error) {
	m := a.o.sigmask
	if a.o.hasOld {
		m = a.o.oldmask
	}
	if a.addr != 8 {
		return 0, unix.EINVAL
	}
	return 0, a.t.CopyOut(a.data, asBytes(&m))
}

func setSigMask(a *ptraceArgs) (uint64, error) {
	var m sigset
	if a.addr != 8 {
		return 0, unix.EINVAL
	}
	if err := a.t.CopyIn(a.data, asBytes(&m)); err != nil {
		return 0, err
	}
	a.o.hasOld = false
	a.o.sigmask = m &^ unblockable // as Linux: nobody is woken for it
	a.o.work = true
	return 0, nil
}
