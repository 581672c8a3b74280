package sigframe

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// CPU is the extended state that programs have: what machine reads and writes
// of it is in the standard (not compacted) format of XSAVE.
type CPU struct {
	Features  uint64 // components, as in XCR0, that programs may use
	Size      int    // bytes that they take, header included
	MXCSRMask uint32 // valid bits of MXCSR, 0 for the usual
}

const (
	featureFP  = 1 << 0
	featureSSE = 1 << 1
	featureYMM = 1 << 2

	minXState = abi.XsaveHeaderOffset + abi.XsaveHeaderSize

	fcwAt, fcwInit     = 0, 0x37f
	mxcsrAt, mxcsrInit = 24, 0x1f80
	mxcsrMaskAt        = 28
	xmmAt, xmmEnd      = 160, 416
	bvAt               = abi.XsaveHeaderOffset // XSTATE_BV
	defaultMXCSRMask   = 0xffff
)

var le = binary.LittleEndian

// Of tells the CPU from extended state that machine has read of any thread:
// ptrace(2) puts the components in use on the host where a frame has its
// FpxSWBytes.
func Of(xstate []byte) (*CPU, error) {
	if len(xstate) < minXState {
		return nil, unix.ENODEV // a processor without XSAVE
	}
	return &CPU{
		Features:  le.Uint64(xstate[abi.FpxSWBytesOffset:]),
		Size:      len(xstate),
		MXCSRMask: le.Uint32(xstate[mxcsrMaskAt:]),
	}, nil
}

// Init is the state that a program and a signal handler begin with.
func (c *CPU) Init() []byte {
	b := make([]byte, c.Size)
	le.PutUint16(b[fcwAt:], fcwInit)
	le.PutUint32(b[mxcsrAt:], mxcsrInit)
	return b
}

// save makes the image that goes to a frame: at least c.Size bytes of xstate,
// told from the rest by what is around it. The frame of i386 has an
// FsaveHeader32 before it, which counts.
func (c *CPU) save(dst, xstate []byte, header int) {
	copy(dst[:c.Size], xstate)
	sw := abi.FpxSWBytes{
		Magic1:       abi.FP_XSTATE_MAGIC1,
		ExtendedSize: uint32(header + c.Size + abi.FP_XSTATE_MAGIC2Size),
		Xfeatures:    c.Features,
		XstateSize:   uint32(c.Size),
	}
	copy(dst[abi.FpxSWBytesOffset:], abi.Bytes(&sw))
	// Old programs look only at what is marked as there.
	bv := le.Uint64(dst[bvAt:])&c.Features | featureFP | featureSSE
	clear(dst[bvAt : bvAt+abi.XsaveHeaderSize])
	le.PutUint64(dst[bvAt:], bv)
	le.PutUint32(dst[c.Size:], abi.FP_XSTATE_MAGIC2)
}

// readState reads the state in a frame at addr. When it is not full, all of it
// but the fxsave image is initial. The header is the frame's own.
func (c *CPU) readState(addr uint64, read Read) (x []byte, wanted uint64, full bool, err error) {
	x = c.Init()
	fx := x[:abi.FxsaveSize]
	if err := read(addr, fx); err != nil {
		return nil, 0, false, err
	}
	var sw abi.FpxSWBytes
	copy(abi.Bytes(&sw), fx[abi.FpxSWBytesOffset:])
	clear(fx[abi.FpxSWBytesOffset:])

	full = sw.Magic1 == abi.FP_XSTATE_MAGIC1 && sw.XstateSize >= minXState && sw.XstateSize <= uint32(c.Size) && sw.XstateSize <= sw.ExtendedSize
	if full {
		var magic2 [abi.FP_XSTATE_MAGIC2Size]byte
		if err := read(addr+uint64(sw.XstateSize), magic2[:]); err != nil {
			return nil, 0, false, err
		}
		full = le.Uint32(magic2[:]) == abi.FP_XSTATE_MAGIC2
	}
	if !full {
		return x, featureFP | featureSSE, false, nil
	}
	if err := read(addr+abi.FxsaveSize, x[abi.FxsaveSize:sw.XstateSize]); err != nil {
		return nil, 0, false, err
	}
	if rest := x[sw.XstateSize:]; read(addr+uint64(sw.XstateSize), rest) != nil {
		clear(rest) // a smaller frame than ours need not have it
	}
	return x, sw.Xfeatures & c.Features, true, nil
}

// restore reads the state in a frame at addr, as XRSTOR would take it. What
// it would not take is EFAULT, for SIGSEGV.
func (c *CPU) restore(addr uint64, read Read) ([]byte, error) {
	if addr == 0 {
		return c.Init(), nil
	}
	x, wanted, full, err := c.readState(addr, read)
	if err != nil {
		return nil, err
	}
	if le.Uint32(x[mxcsrAt:])&^c.mxcsrMask() != 0 {
		return nil, unix.EFAULT
	}
	align := uint64(16) // FXRSTOR's
	bv := uint64(featureFP | featureSSE)
	if full {
		align = abi.XstateAlign
		// The processor does not look at the rest of the header.
		bv = le.Uint64(x[bvAt:])
		if bv&^c.Features != 0 || !zero(x[bvAt+8:bvAt+24]) {
			return nil, unix.EFAULT
		}
	}
	if addr%align != 0 {
		return nil, unix.EFAULT
	}
	bv &= wanted
	switch {
	case wanted&featureSSE == 0:
		le.PutUint32(x[mxcsrAt:], mxcsrInit)
	case bv&featureSSE == 0:
		// MXCSR is taken even when the registers are not.
		clear(x[xmmAt:xmmEnd])
		bv |= featureSSE
	}
	clear(x[bvAt:minXState])
	le.PutUint64(x[bvAt:], bv)
	return x, nil
}

func (c *CPU) mxcsrMask() uint32 {
	if c.MXCSRMask == 0 {
		return defaultMXCSRMask
	}
	return c.MXCSRMask
}
