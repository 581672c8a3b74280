package kernel

import (
	"encoding/binary"
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"golang.org/x/sys/unix"
)

// struct user, as PTRACE_PEEKUSER and PTRACE_POKEUSER address it, and the
// general registers in it: one table for each ABI.

// userLayout is struct user of one ABI.
type userLayout struct {
	word   uint64 // size of a long
	size   uint64
	debug  uint64 // offset of u_debugreg
	fields []int  // which register is where: words of struct user_regs_struct
	regs   *regset
	// dummies: what is neither a register nor a debug register reads as zero and
	// may be written.
	dummies bool
}

// Words of struct user_regs_struct of amd64, and so of machine.Regs.
const (
	regR15 = iota
	regR14
	regR13
	regR12
	regRbp
	regRbx
	regR11
	regR10
	regR9
	regR8
	regRax
	regRcx
	regRdx
	regRsi
	regRdi
	regOrigRax
	regRip
	regCs
	regEflags
	regRsp
	regSs
	regFsBase
	regGsBase
	regDs
	regEs
	regFs
	regGs
	numRegs
)

// fields64 and fields32 are the registers as struct user begins with them.
var (
	fields64 = []int{
		regR15, regR14, regR13, regR12, regRbp, regRbx, regR11, regR10, regR9, regR8, regRax, regRcx, regRdx, regRsi, regRdi,
		regOrigRax, regRip, regCs, regEflags, regRsp, regSs, regFsBase, regGsBase, regDs, regEs, regFs, regGs,
	}
	fields32 = []int{
		regRbx, regRcx, regRdx, regRsi, regRdi, regRbp, regRax, regDs, regEs, regFs, regGs, regOrigRax, regRip, regCs, regEflags, regRsp, regSs,
	}
)

var (
	user64 = userLayout{word: 8, size: abi.UserSize, debug: abi.UserDebugreg, fields: fields64, regs: &genregs64}
	// As on Linux, the offset just after the end is one more that does nothing.
	user32 = userLayout{word: 4, size: 285, debug: 252, fields: fields32, regs: &genregs32, dummies: true}
)

func regWords(r *machine.Regs) *[numRegs]uint64 { return (*[numRegs]uint64)(unsafe.Pointer(r)) }

// Bits of eflags that a tracer may change.
const eflagsMask = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 0x4000 | 0x10000 | 0x40000

// putReg writes a register of a tracee. EIO for a value that would not be user
// mode's.
func (t *Task) putReg(reg int, v uint64) error {
	r := regWords(t.th.EditRegs())
	switch reg {
	case regCs, regSs, regDs, regEs, regFs, regGs:
		v &= 0xffff
		if v != 0 && v&3 != 3 || v == 0 && (reg == regCs || reg == regSs) {
			return unix.EIO
		}
	case regFsBase, regGsBase:
		if v >= machine.HostTop {
			return unix.EIO
		}
	case regEflags:
		v = r[reg]&^eflagsMask | v&eflagsMask
	}
	r[reg] = v
	return nil
}

// get reads the word at an offset of struct user.
func (u *userLayout) get(a *ptraceArgs, off uint64) (uint64, error) {
	i := off / u.word
	switch {
	case off%u.word != 0 || off >= u.size:
		return 0, unix.EIO
	case i < uint64(len(u.fields)):
		return regWords(a.o.th.Regs())[u.fields[i]], nil
	case off >= u.debug && off < u.debug+8*u.word:
		var v uint64
		err := a.t.atTracee(a.o, func() (err error) {
			v, err = a.o.th.DebugReg(int((off - u.debug) / u.word))
			return err
		})
		return v, err
	}
	return 0, nil
}

// put writes it.
func (u *userLayout) put(a *ptraceArgs, off, v uint64) error {
	i := off / u.word
	switch {
	case off%u.word != 0 || off >= u.size:
		return unix.EIO
	case i < uint64(len(u.fields)):
		return a.o.putReg(u.fields[i], v)
	case off >= u.debug && off < u.debug+8*u.word:
		return a.t.atTracee(a.o, func() error {
			return a.o.th.SetDebugReg(int((off-u.debug)/u.word), v)
		})
	case u.dummies:
		return nil
	}
	return unix.EIO
}

func peekUser(a *ptraceArgs) (uint64, error) {
	v, err := a.abi.user.get(a, a.addr)
	if err != nil {
		return 0, err
	}
	return 0, a.putWord(v)
}

func pokeUser(a *ptraceArgs) (uint64, error) {
	return 0, a.abi.user.put(a, a.addr, a.data)
}

// The general registers as a set.
var (
	genregs64 = genregs(fields64, 8)
	genregs32 = genregs(fields32, 4)
)

func genregs(fields []int, word int) regset {
	le := binary.LittleEndian
	return regset{
		unit: word,
		get: func(a *ptraceArgs) ([]byte, error) {
			b := make([]byte, len(fields)*word)
			r := regWords(a.o.th.Regs())
			for i, f := range fields {
				if word == 8 {
					le.PutUint64(b[8*i:], r[f])
				} else {
					le.PutUint32(b[4*i:], uint32(r[f]))
				}
			}
			return b, nil
		},
		set: func(a *ptraceArgs, b []byte) error {
			for i := 0; i < len(fields) && (i+1)*word <= len(b); i++ {
				v := uint64(le.Uint32(b[word*i:]))
				if word == 8 {
					v = le.Uint64(b[word*i:])
				}
				if err := a.o.putReg(fields[i], v); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
