package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/sigframe"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily386(calls{
		"sigreturn":       e0(sysSigreturn32),
		"rt_sigreturn":    e0(sysRtSigreturn32),
		"set_thread_area": e1(sysSetThreadArea),
		"get_thread_area": e1(sysGetThreadArea),
	})
}

// frame32 builds the frame of a 32-bit handler. One without a restorer returns
// to the vDSO's code.
func frame32(t *Task, d *sigframe.Delivery) (*sigframe.Frame, error) {
	if base := t.mm.VDSO; base != 0 {
		v, err := t.cpu.hw.VDSO32()
		if err != nil {
			return nil, err
		}
		code := v.Sigreturn
		if d.Action.Flags&saSigInfo != 0 {
			code = v.RtSigreturn
		}
		if code != 0 {
			d.Return32 = base + code
		}
	}
	return d.Build32()
}

// atSigreturn32 tells whether a call was made by the vDSO's code that returns from a 32-bit handler: ip is behind it.
func (t *Task) atSigreturn32(ip uint64) bool {
	base := t.mm.VDSO
	if base == 0 {
		return false
	}
	v, err := t.cpu.hw.VDSO32()
	if err != nil {
		return false
	}
	const popMovInt, movInt = 8, 7 // the length of the code: pop %eax; mov $nr,%eax; int $0x80
	return v.Sigreturn != 0 && ip == base+v.Sigreturn+popMovInt || v.RtSigreturn != 0 && ip == base+v.RtSigreturn+movInt
}

// sigreturn(2) and rt_sigreturn(2) of i386.
func sysSigreturn32(t *Task) error   { return t.sigreturn32(false) }
func sysRtSigreturn32(t *Task) error { return t.sigreturn32(true) }

func (t *Task) sigreturn32(rt bool) error {
	return t.sigreturn(func(c *sigframe.CPU) (*sigframe.Restored, error) {
		was := t.th.Regs()
		out, err := c.Return32(was, rt, t.CopyIn)
		if err == nil {
			loadSegment(t, &out.Regs.Fs, &out.Regs.Fs_base, was.Fs)
			loadSegment(t, &out.Regs.Gs, &out.Regs.Gs_base, was.Gs)
		}
		return out, err
	})
}

// loadSegment gives fs or gs, if it is not what it was, the base that loading
// it would. What cannot be loaded becomes null.
func loadSegment(t *Task, sel, base *uint64, was uint64) {
	if *sel == was {
		return
	}
	b, ok := t.segmentBase(*sel)
	if !ok {
		*sel = 0
	}
	*base = b
}

// segmentBase is the base that the processor loads with a selector for fs or
// gs of privilege 3. ok is false if it faults instead.
func (t *Task) segmentBase(sel uint64) (base uint64, ok bool) {
	const inLDT = 1 << 2
	if sel&inLDT == 0 {
		return t.th.SegmentBase(sel)
	}
	n := int(sel >> 3)
	if n >= len(t.mm.LDT) {
		return 0, false
	}
	// Data, or code that can be read, and present.
	const present, code, readable = 1 << 47, 1 << 43, 1 << 41
	d := t.mm.LDT[n]
	if d&present == 0 || d&(code|readable) == code {
		return 0, false
	}
	return d>>16&0xffffff | d>>56<<24, true
}

// setThreadArea serves set_thread_area(2), and CLONE_SETTLS of i386, which may
// not ask for any entry that is free. It returns the entry.
func (t *Task) setThreadArea(d *abi.UserDesc, free bool) (entry int, err error) {
	if !d.Empty() {
		// Data segments of 32 bits only.
		if d.Flags&abi.UserDescSeg32 == 0 || d.Flags&abi.UserDescContents > 1<<1 || d.Flags&abi.UserDescNotPresent != 0 {
			return 0, unix.EINVAL
		}
	}
	entry = int(int32(d.EntryNumber))
	if entry == -1 && free {
		for entry = machine.FirstTLS; ; entry++ {
			if entry == machine.FirstTLS+machine.NumTLS {
				return 0, unix.ESRCH
			}
			if e := t.th.TLS(entry); e.Empty() {
				break
			}
		}
	}
	if entry < machine.FirstTLS || entry >= machine.FirstTLS+machine.NumTLS {
		return 0, unix.EINVAL
	}
	return entry, nil
}

func sysSetThreadArea(t *Task, p Ptr[abi.UserDesc]) error {
	d, err := p.In(t)
	if err != nil {
		return err
	}
	entry, err := t.setThreadArea(&d, true)
	if err != nil {
		return err
	}
	if int32(d.EntryNumber) == -1 {
		if err := (Ptr[uint32](p)).Put(t, uint32(entry)); err != nil {
			return err
		}
	}
	return t.th.SetTLS(entry, d)
}

func sysGetThreadArea(t *Task, p Ptr[abi.UserDesc]) error {
	n, err := Ptr[int32](p).In(t)
	if err != nil {
		return err
	}
	d, err := t.threadArea(int(n))
	if err != nil {
		return err
	}
	return p.Out(t, &d)
}

// threadArea is what get_thread_area(2) tells of an entry.
func (t *Task) threadArea(entry int) (abi.UserDesc, error) {
	if entry < machine.FirstTLS || entry >= machine.FirstTLS+machine.NumTLS {
		return abi.UserDesc{}, unix.EINVAL
	}
	d := t.th.TLS(entry)
	if d.Empty() {
		d = abi.UserDesc{Flags: abi.UserDescReadExecOnly | abi.UserDescNotPresent}
	}
	d.EntryNumber = uint32(entry)
	return d, nil
}

// setTLS32 is CLONE_SETTLS: tls is where the parent has a struct user_desc.
func setTLS32(t, n *Task, tls uint64) error {
	d, err := Ptr[abi.UserDesc](tls).In(t)
	if err != nil {
		return err
	}
	entry, err := t.setThreadArea(&d, false)
	if err != nil {
		return err
	}
	return n.th.SetTLS(entry, d)
}
