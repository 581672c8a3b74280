package sigframe

import "github.com/sysemu/sysemu/abi"

// Fsave says in the format of FSAVE what the XSAVE image x says of the x87.
func Fsave(x []byte, r *Regs) abi.FsaveHeader32 { return fsaveOf(x, r) }

// Unfsave puts that back into x.
func Unfsave(x []byte, h *abi.FsaveHeader32) { fold(x, h) }

// FeatureArea is where feature n of the processor's lies in an XSAVE image in
// the standard format; size 0: there is no such feature.
func FeatureArea(n int) (offset, size int) {
	a, b := cpuidXState(uint32(n))
	return int(b), int(a)
}

// cpuidXState is EAX and EBX of CPUID leaf 0xd, subleaf n.
func cpuidXState(n uint32) (eax, ebx uint32)
