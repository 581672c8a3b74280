package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/mm"
	"golang.org/x/sys/unix"
)

// userDispatch is Syscall User Dispatch, prctl(2) PR_SET_SYSCALL_USER_DISPATCH:
// calls made from outside a range of addresses become a SIGSYS, if a byte in
// the guest's memory says so. It is on while aroundDispatch is set. A child and
// the next program have it off, but keep the numbers, as a tracer can see.
type userDispatch struct {
	offset   uint64 // of the range from which calls are made as ever
	size     uint64
	selector uint64 // address of the byte; 0: none, calls are always blocked
}

// setDispatch is what prctl does, and a tracer. EFAULT if the selector is not
// an address; whether it can be read shows when it is.
func (t *Task) setDispatch(mode, offset, size, selector uint64) error {
	switch mode {
	case unix.PR_SYS_DISPATCH_OFF:
		if offset|size|selector != 0 {
			return unix.EINVAL
		}
	case unix.PR_SYS_DISPATCH_EXCLUSIVE_ON:
		if offset != 0 && offset+size <= offset {
			return unix.EINVAL
		}
	case unix.PR_SYS_DISPATCH_INCLUSIVE_ON:
		if size == 0 || offset+size <= offset {
			return unix.EINVAL
		}
		// All but the range is the range from its end round to its start.
		offset, size = offset+size, -size
	default:
		return unix.EINVAL
	}
	if mode != unix.PR_SYS_DISPATCH_OFF && selector >= mm.Top {
		return unix.EFAULT
	}
	t.dispatch = userDispatch{offset, size, selector}
	t.around &^= aroundDispatch
	if mode != unix.PR_SYS_DISPATCH_OFF {
		t.around |= aroundDispatch
	}
	return nil
}

// What the selector says.
const (
	dispatchAllow = 0
	dispatchBlock = 1
)

// dispatchBlocks decides whether a call is not for the kernel but for the
// program's own handler of SIGSYS, which is then on its way.
func (t *Task) dispatchBlocks(c *Call) bool {
	d := &t.dispatch
	r := t.th.Regs()
	if r.Rip-d.offset < d.size || t.atSigreturn32(r.Rip) {
		return false
	}
	if d.selector != 0 {
		var state [1]byte
		if t.CopyIn(d.selector, state[:]) != nil {
			t.p.exitGroup(int(unix.SIGSEGV))
			return true
		}
		switch state[0] {
		case dispatchAllow:
			return false
		case dispatchBlock:
		default:
			t.p.exitGroup(int(unix.SIGSYS))
			return true
		}
	}
	t.th.SetResult(r.Orig_rax)
	t.force(sysSignal(abi.SYS_USER_DISPATCH, c, r.Rip, 0))
	return true
}

// ptraceDispatch is struct ptrace_sud_config.
type ptraceDispatch struct{ Mode, Selector, Offset, Len uint64 }

// ptraceGetDispatch and ptraceSetDispatch are the requests
// PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG and PTRACE_SET_..., by t on o.
func (t *Task) ptraceGetDispatch(o *Task, size uint64, data Ptr[ptraceDispatch]) error {
	d := &o.dispatch
	c := ptraceDispatch{Selector: d.selector, Offset: d.offset, Len: d.size}
	if size != uint64(len(asBytes(&c))) {
		return unix.EINVAL
	}
	if o.around&aroundDispatch != 0 {
		c.Mode = unix.PR_SYS_DISPATCH_ON
	}
	return data.Out(t, &c)
}

func (t *Task) ptraceSetDispatch(o *Task, size uint64, data Ptr[ptraceDispatch]) error {
	if size != uint64(len(asBytes(&ptraceDispatch{}))) {
		return unix.EINVAL
	}
	c, err := data.In(t)
	if err != nil {
		return err
	}
	return o.setDispatch(c.Mode, c.Offset, c.Len, c.Selector)
}
