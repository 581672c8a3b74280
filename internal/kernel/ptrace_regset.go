package kernel

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/sigframe"
	"golang.org/x/sys/unix"
)

// Sets of registers: PTRACE_GETREGSET, PTRACE_SETREGSET and the older requests
// for one set each.

// regset is one of them.
type regset struct {
	unit int // size of an element: lengths are multiples of it
	get  func(a *ptraceArgs) ([]byte, error)
	// set takes the beginning of a set: what is not given stays as it is.
	// nil: not to be written.
	set func(a *ptraceArgs, b []byte) error
}

// Types of sets.
const (
	ntPRStatus = 1
	ntPRFPReg  = 2
	ntPRXFPReg = 0x46e62b7f
	nt386TLS   = 0x200
	nt386IOPrm = 0x201
	ntXState   = 0x202
)

// regsets64 and regsets32 are those of a tracee in 64-bit and in 32-bit mode,
// whatever its tracer's.
var regsets64 = map[uint64]*regset{
	ntPRStatus: &genregs64,
	ntPRFPReg:  &fpregs64,
	ntXState:   &xstateRegs,
	nt386IOPrm: &noPorts,
}

var regsets32 = map[uint64]*regset{
	ntPRStatus: &genregs32,
	ntPRFPReg:  &fpregs32,
	ntPRXFPReg: &fpregs64,
	ntXState:   &xstateRegs,
	nt386IOPrm: &noPorts,
	nt386TLS:   &tlsRegs,
}

const userCS64 = 0x33

// regset finds a set of the tracee's.
func (a *ptraceArgs) regset(typ uint64) *regset {
	typ &= low32
	if a.o.th.Regs().Cs != userCS64 {
		return regsets32[typ]
	}
	return regsets64[typ]
}

// getAll writes a whole set at data.
func (a *ptraceArgs) getAll(s *regset) error {
	if s == nil {
		return unix.EIO
	}
	b, err := s.get(a)
	if err != nil {
		return err
	}
	return a.t.CopyOut(a.data, b)
}

// setAll takes a whole set from data.
func (a *ptraceArgs) setAll(s *regset) error {
	if s == nil {
		return unix.EIO
	}
	b, err := s.get(a)
	if err != nil {
		return err
	}
	if err := a.t.CopyIn(a.data, b); err != nil {
		return err
	}
	return s.set(a, b)
}

// vec reads the iovec at data: base, length, and where the length stands.
func (a *ptraceArgs) vec() (base, n, lenAt uint64, err error) {
	var v [16]byte
	w := a.abi.word
	if err := a.t.CopyIn(a.data, v[:2*w]); err != nil {
		return 0, 0, 0, err
	}
	le := binary.LittleEndian
	if w == 4 {
		return uint64(le.Uint32(v[0:])), uint64(le.Uint32(v[4:])), a.data + w, nil
	}
	return le.Uint64(v[0:]), le.Uint64(v[8:]), a.data + w, nil
}

func getRegset(a *ptraceArgs) (uint64, error) {
	base, n, lenAt, err := a.vec()
	if err != nil {
		return 0, err
	}
	s := a.regset(a.addr)
	if s == nil || n%uint64(s.unit) != 0 {
		return 0, unix.EINVAL
	}
	b, err := s.get(a)
	if err != nil {
		return 0, err
	}
	n = min(n, uint64(len(b)))
	if err := a.t.CopyOut(base, b[:n]); err != nil {
		return 0, err
	}
	return 0, a.t.CopyOut(lenAt, asBytes(&n)[:a.abi.word])
}

func setRegset(a *ptraceArgs) (uint64, error) {
	base, n, lenAt, err := a.vec()
	if err != nil {
		return 0, err
	}
	s := a.regset(a.addr)
	if s == nil || n%uint64(s.unit) != 0 {
		return 0, unix.EINVAL
	}
	if s.set == nil {
		return 0, unix.EOPNOTSUPP
	}
	b, err := s.get(a)
	if err != nil {
		return 0, err
	}
	n = min(n, uint64(len(b)))
	if err := a.t.CopyIn(base, b[:n]); err != nil {
		return 0, err
	}
	if err := s.set(a, b[:n]); err != nil {
		return 0, err
	}
	return 0, a.t.CopyOut(lenAt, asBytes(&n)[:a.abi.word])
}

// xstate gets the tracee's extended state from the host.
func (a *ptraceArgs) xstate() (x []byte, err error) {
	err = a.t.atTracee(a.o, func() (err error) {
		x, err = a.o.th.XState()
		return err
	})
	return x, err
}

func (a *ptraceArgs) setXState(x []byte) error {
	return a.t.atTracee(a.o, func() error { return a.o.th.SetXState(x) })
}

const (
	fxsaveSize  = 512
	fsaveSize   = 108
	xstateBV    = 512 // offset of XSTATE_BV
	xstateFPSSE = 3
)

// xstateRegs is the XSAVE image. Linux takes only a whole one; User-Mode Linux
// passes 2,696 bytes, so a shorter one is taken too: features beyond it stay.
var xstateRegs = regset{
	unit: 8,
	get:  func(a *ptraceArgs) ([]byte, error) { return a.xstate() },
	set: func(a *ptraceArgs, b []byte) error {
		x, err := a.xstate()
		if err != nil {
			return err
		}
		if len(b) < xstateBV+64 {
			return unix.EFAULT // without its header it says nothing
		}
		if len(b) == len(x) {
			return a.setXState(b)
		}
		le := binary.LittleEndian
		beyond := a.o.k.featuresBeyond(len(b))
		bv := le.Uint64(x[xstateBV:])&beyond | le.Uint64(b[xstateBV:])&^beyond
		copy(x, b)
		le.PutUint64(x[xstateBV:], bv)
		return a.setXState(x)
	},
}

// featuresBeyond are the features that lie, in part at least, after the first
// n bytes of an XSAVE image.
func (k *Kernel) featuresBeyond(n int) (bv uint64) {
	for f := 2; f < 63; f++ {
		if off, size := sigframe.FeatureArea(f); size > 0 && off+size > n {
			bv |= 1 << f
		}
	}
	return bv
}

// fpregs64 is the FXSAVE image.
var fpregs64 = regset{
	unit: 8,
	get: func(a *ptraceArgs) ([]byte, error) {
		x, err := a.xstate()
		if err != nil {
			return nil, err
		}
		b := x[:fxsaveSize]
		clear(b[464:]) // the processor's and the kernel's own
		return b, nil
	},
	set: func(a *ptraceArgs, b []byte) error {
		if len(b) != fxsaveSize {
			return unix.EINVAL
		}
		x, err := a.xstate()
		if err != nil {
			return err
		}
		copy(x, b[:464])
		return a.setLegacy(x)
	},
}

// setLegacy sets a state whose x87 and SSE part has been written.
func (a *ptraceArgs) setLegacy(x []byte) error {
	le := binary.LittleEndian
	le.PutUint64(x[xstateBV:], le.Uint64(x[xstateBV:])|xstateFPSSE)
	return a.setXState(x)
}

// fpregs32 is the old FSAVE image.
var fpregs32 = regset{
	unit: 4,
	get: func(a *ptraceArgs) ([]byte, error) {
		x, err := a.xstate()
		if err != nil {
			return nil, err
		}
		h := sigframe.Fsave(x, a.o.th.Regs())
		return asBytes(&h)[:fsaveSize], nil
	},
	set: func(a *ptraceArgs, b []byte) error {
		x, err := a.xstate()
		if err != nil {
			return err
		}
		var h abi.FsaveHeader32
		now := sigframe.Fsave(x, a.o.th.Regs())
		copy(asBytes(&h), asBytes(&now))
		copy(asBytes(&h), b)
		sigframe.Unfsave(x, &h)
		return a.setLegacy(x)
	},
}

// noPorts is the bitmap of I/O ports: nobody has any.
var noPorts = regset{unit: 8, get: func(*ptraceArgs) ([]byte, error) { return nil, unix.ENXIO }}
