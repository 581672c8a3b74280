package kernel

import (
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{"prctl": r5(sysPrctl)})
}

func sysPrctl(t *Task, op int32, a, b, c, d uint64) (uint64, error) {
	p := t.p
	bool01 := func(on bool) (uint64, error) {
		if on {
			return 1, nil
		}
		return 0, nil
	}
	switch op {
	case unix.PR_SET_NAME:
		s, err := t.copyInString(a, 16)
		if err == unix.E2BIG {
			var raw [15]byte
			if err = t.CopyIn(a, raw[:]); err == nil {
				s = string(raw[:])
			}
		}
		if err != nil {
			return 0, err
		}
		t.setComm(s)
		return 0, nil
	case unix.PR_GET_NAME:
		var name [16]byte
		copy(name[:15], t.comm)
		return 0, t.CopyOut(a, name[:])
	case unix.PR_SET_PDEATHSIG:
		if a > numSignals {
			return 0, unix.EINVAL
		}
		p.deathSignal = int(a)
		return 0, nil
	case unix.PR_GET_PDEATHSIG:
		return 0, Ptr[int32](a).Put(t, int32(p.deathSignal))
	case unix.PR_GET_DUMPABLE:
		return uint64(p.dumpable), nil
	case unix.PR_SET_DUMPABLE:
		if a > 1 {
			return 0, unix.EINVAL
		}
		p.dumpable = int(a)
		return 0, nil
	case unix.PR_SET_NO_NEW_PRIVS:
		if a != 1 || b|c|d != 0 {
			return 0, unix.EINVAL
		}
		n := t.cred.clone()
		n.NoNewPrivs = true
		t.cred = n
		return 0, nil
	case unix.PR_GET_NO_NEW_PRIVS:
		if a|b|c|d != 0 {
			return 0, unix.EINVAL
		}
		return bool01(t.cred.NoNewPrivs)
	case unix.PR_SET_CHILD_SUBREAPER:
		p.subreaper = a != 0
		return 0, nil
	case unix.PR_GET_CHILD_SUBREAPER:
		v := int32(0)
		if p.subreaper {
			v = 1
		}
		return 0, Ptr[int32](a).Out(t, &v)
	case unix.PR_GET_KEEPCAPS:
		return bool01(t.cred.SecureBits&(1<<4) != 0)
	case unix.PR_SET_KEEPCAPS:
		if a > 1 {
			return 0, unix.EINVAL
		}
		n := t.cred.clone()
		n.SecureBits = n.SecureBits&^(1<<4) | uint32(a)<<4
		t.cred = n
		return 0, nil
	case unix.PR_GET_SECUREBITS:
		return uint64(t.cred.SecureBits), nil
	case unix.PR_SET_SECUREBITS:
		if !t.cred.Has(unix.CAP_SETPCAP) {
			return 0, unix.EPERM
		}
		n := t.cred.clone()
		n.SecureBits = uint32(a)
		t.cred = n
		return 0, nil
	case unix.PR_CAPBSET_READ:
		if a > unix.CAP_LAST_CAP {
			return 0, unix.EINVAL
		}
		return t.cred.Bounding >> a & 1, nil
	case unix.PR_CAPBSET_DROP:
		if !t.cred.Has(unix.CAP_SETPCAP) {
			return 0, unix.EPERM
		}
		if a > unix.CAP_LAST_CAP {
			return 0, unix.EINVAL
		}
		n := t.cred.clone()
		n.Bounding &^= 1 << a
		t.cred = n
		return 0, nil
	case unix.PR_CAP_AMBIENT:
		return t.ambient(a, b, c, d)
	case unix.PR_SET_TIMERSLACK:
		if a == 0 {
			a = 50000
		}
		t.attrs.timerSlack = a
		return 0, nil
	case unix.PR_GET_TIMERSLACK:
		if t.attrs.timerSlack == 0 {
			return 50000, nil
		}
		return t.attrs.timerSlack, nil
	case unix.PR_GET_TIMING, unix.PR_GET_IO_FLUSHER, unix.PR_GET_THP_DISABLE:
		return 0, nil
	case unix.PR_SET_TIMING:
		if a != 0 {
			return 0, unix.EINVAL
		}
		return 0, nil
	case unix.PR_SET_THP_DISABLE, unix.PR_MCE_KILL, unix.PR_SET_PTRACER, unix.PR_TASK_PERF_EVENTS_DISABLE, unix.PR_TASK_PERF_EVENTS_ENABLE:
		return 0, nil
	case unix.PR_MCE_KILL_GET:
		return 2, nil
	case unix.PR_GET_SECCOMP:
		return uint64(t.seccomp.mode), nil
	case unix.PR_SET_SECCOMP:
		return 0, t.prctlSeccomp(a, Addr(b))
	case unix.PR_SET_SYSCALL_USER_DISPATCH:
		return 0, t.setDispatch(a, b, c, d)
	case unix.PR_GET_TSC:
		return 0, Ptr[int32](a).Put(t, unix.PR_TSC_ENABLE)
	case unix.PR_SET_TSC:
		if a != unix.PR_TSC_ENABLE {
			return 0, unix.EINVAL
		}
		return 0, nil
	case unix.PR_GET_TID_ADDRESS:
		return 0, Ptr[uint64](a).Put(t, t.clearTID)
	case unix.PR_SET_VMA:
		return 0, nil // names of anonymous memory: for debugging only
	case unix.PR_SET_MM:
		return 0, unix.EPERM
	}
	return 0, unix.EINVAL
}

// ambient is PR_CAP_AMBIENT.
func (t *Task) ambient(op, capability, c, d uint64) (uint64, error) {
	if c|d != 0 {
		return 0, unix.EINVAL
	}
	n := t.cred.clone()
	if op == unix.PR_CAP_AMBIENT_CLEAR_ALL {
		if capability != 0 {
			return 0, unix.EINVAL
		}
		n.Ambient = 0
		t.cred = n
		return 0, nil
	}
	if capability > unix.CAP_LAST_CAP {
		return 0, unix.EINVAL
	}
	bit := uint64(1) << capability
	switch op {
	case unix.PR_CAP_AMBIENT_IS_SET:
		return n.Ambient >> capability & 1, nil
	case unix.PR_CAP_AMBIENT_RAISE:
		if n.Permitted&bit == 0 || n.Inheritable&bit == 0 || n.SecureBits&(1<<6) != 0 {
			return 0, unix.EPERM
		}
		n.Ambient |= bit
	case unix.PR_CAP_AMBIENT_LOWER:
		n.Ambient &^= bit
	default:
		return 0, unix.EINVAL
	}
	t.cred = n
	return 0, nil
}
