// Package seccomp checks and runs the filters of seccomp(2): programs of
// classic BPF over a struct seccomp_data, accepted and evaluated exactly as
// Linux does (6.18; bpf_check_classic and seccomp_check_filter there).
//
// A filter comes from the guest and is hostile. What Compile has accepted only
// jumps forward, so a run takes at most as many steps as the program is long,
// and touches nothing but its registers and the data it is given.
package seccomp

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// MaxLen is BPF_MAXINSNS, the length of the longest program.
const MaxLen = 4096

// What a filter returns: an action, SECCOMP_RET_*, and 16 bits of data.
const (
	KillProcess uint32 = 0x80000000
	KillThread  uint32 = 0x00000000
	Trap        uint32 = 0x00030000
	Errno       uint32 = 0x00050000
	UserNotif   uint32 = 0x7fc00000
	Trace       uint32 = 0x7ff00000
	Log         uint32 = 0x7ffc0000
	Allow       uint32 = 0x7fff0000

	ActionMask uint32 = 0xffff0000
	DataMask   uint32 = 0x0000ffff
)

// Stricter reports whether the action of a precedes that of b when two filters
// disagree.
func Stricter(a, b uint32) bool { return int32(a&ActionMask) < int32(b&ActionMask) }

// Instruction is struct sock_filter.
type Instruction = unix.SockFilter

// Program is a filter that has been checked. It does not change.
type Program struct {
	source []Instruction
	code   []step
	weight int
}

// step is an instruction in the form that is run: the operation is a small
// number, and jumps are to places in the program.
type step struct {
	op     op
	jt, jf uint16
	k      uint32
}

type op uint8

const (
	invalid op = iota
	loadData
	loadImm
	loadMem
	loadXImm
	loadXMem
	store
	storeX
	addK
	addX
	subK
	subX
	mulK
	mulX
	divK
	divX
	andK
	andX
	orK
	orX
	xorK
	xorX
	lshK
	lshX
	rshK
	rshX
	neg
	jump
	jeqK
	jeqX
	jgtK
	jgtX
	jgeK
	jgeX
	jsetK
	jsetX
	tax
	txa
	retK
	retA
)

// ops are the codes that seccomp allows. The length of the data is a constant,
// and the remainder is missing, in Linux too.
var ops = [256]op{
	unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:  loadData,
	unix.BPF_LD | unix.BPF_W | unix.BPF_LEN:  loadImm,
	unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN: loadXImm,
	unix.BPF_LD | unix.BPF_IMM:               loadImm,
	unix.BPF_LDX | unix.BPF_IMM:              loadXImm,
	unix.BPF_LD | unix.BPF_MEM:               loadMem,
	unix.BPF_LDX | unix.BPF_MEM:              loadXMem,
	unix.BPF_ST:                              store,
	unix.BPF_STX:                             storeX,

	unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K: addK,
	unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X: addX,
	unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K: subK,
	unix.BPF_ALU | unix.BPF_SUB | unix.BPF_X: subX,
	unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K: mulK,
	unix.BPF_ALU | unix.BPF_MUL | unix.BPF_X: mulX,
	unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K: divK,
	unix.BPF_ALU | unix.BPF_DIV | unix.BPF_X: divX,
	unix.BPF_ALU | unix.BPF_AND | unix.BPF_K: andK,
	unix.BPF_ALU | unix.BPF_AND | unix.BPF_X: andX,
	unix.BPF_ALU | unix.BPF_OR | unix.BPF_K:  orK,
	unix.BPF_ALU | unix.BPF_OR | unix.BPF_X:  orX,
	unix.BPF_ALU | unix.BPF_XOR | unix.BPF_K: xorK,
	unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X: xorX,
	unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K: lshK,
	unix.BPF_ALU | unix.BPF_LSH | unix.BPF_X: lshX,
	unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K: rshK,
	unix.BPF_ALU | unix.BPF_RSH | unix.BPF_X: rshX,
	unix.BPF_ALU | unix.BPF_NEG:              neg,

	unix.BPF_JMP | unix.BPF_JA:                jump,
	unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:  jeqK,
	unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X:  jeqX,
	unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:  jgtK,
	unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X:  jgtX,
	unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:  jgeK,
	unix.BPF_JMP | unix.BPF_JGE | unix.BPF_X:  jgeX,
	unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K: jsetK,
	unix.BPF_JMP | unix.BPF_JSET | unix.BPF_X: jsetX,

	unix.BPF_MISC | unix.BPF_TAX: tax,
	unix.BPF_MISC | unix.BPF_TXA: txa,
	unix.BPF_RET | unix.BPF_K:    retK,
	unix.BPF_RET | unix.BPF_A:    retA,
}

const dataSize = uint32(unsafe.Sizeof(abi.SeccompData{}))

// Compile checks a program. EINVAL for what seccomp(2) does not take.
func Compile(source []Instruction) (*Program, error) {
	if len(source) == 0 || len(source) > MaxLen {
		return nil, unix.EINVAL
	}
	code := make([]step, len(source))
	for pc, in := range source {
		s, ok := translate(in, pc, len(source))
		if !ok {
			return nil, unix.EINVAL
		}
		code[pc] = s
	}
	if last := code[len(code)-1].op; last != retK && last != retA {
		return nil, unix.EINVAL
	}
	if !storesBeforeLoads(code) {
		return nil, unix.EINVAL
	}
	return &Program{source, code, weigh(source)}, nil
}

// weigh counts the instructions of the eBPF program that Linux makes of one
// that has been checked.
func weigh(source []Instruction) int {
	n := 3 // A and X are cleared and the data's address is kept
	for _, in := range source {
		n++
		switch o := ops[in.Code]; o {
		case retK:
			n++
		case divX:
			n += 4 // is it zero?
		case jeqK, jgtK, jgeK, jsetK, jeqX, jgtX, jgeX, jsetX:
			if k := o == jeqK || o == jgtK || o == jgeK || o == jsetK; k && int32(in.K) < 0 {
				n++ // a constant that has no room in the comparison
			}
			set := o == jsetK || o == jsetX // has no inverse
			if in.Jf != 0 && (in.Jt != 0 || set) {
				n++
			}
		}
	}
	return n
}

// translate turns the instruction at pc of a program of n into a step, or
// refuses it.
func translate(in Instruction, pc, n int) (step, bool) {
	if in.Code >= uint16(len(ops)) {
		return step{}, false
	}
	s := step{op: ops[in.Code], k: in.K}
	switch s.op {
	case invalid:
		return step{}, false
	case loadData:
		if in.K >= dataSize || in.K&3 != 0 {
			return step{}, false
		}
		s.k = in.K / 4
	case loadImm, loadXImm:
		if in.Code&0xe0 == unix.BPF_LEN {
			s.k = dataSize
		}
	case loadMem, loadXMem, store, storeX:
		if in.K >= memWords {
			return step{}, false
		}
	case divK:
		if in.K == 0 {
			return step{}, false
		}
	case lshK, rshK:
		if in.K >= 32 {
			return step{}, false
		}
	case jump:
		if uint64(in.K) >= uint64(n-pc-1) {
			return step{}, false
		}
		s.jt = uint16(pc + 1 + int(in.K))
	case jeqK, jeqX, jgtK, jgtX, jgeK, jgeX, jsetK, jsetX:
		jt, jf := pc+1+int(in.Jt), pc+1+int(in.Jf)
		if jt >= n || jf >= n {
			return step{}, false
		}
		s.jt, s.jf = uint16(jt), uint16(jf)
	}
	return s, true
}

const memWords = unix.BPF_MEMWORDS

// storesBeforeLoads reports whether no path loads a word of the scratch memory
// that it has not stored. As in Linux, a return does not end a path: what
// follows one is checked as if it were run on.
func storesBeforeLoads(code []step) bool {
	valid := make([]uint16, len(code)) // by place: stored on every path to it
	for i := range valid {
		valid[i] = ^uint16(0)
	}
	stored := uint16(0)
	for pc, s := range code {
		stored &= valid[pc]
		switch s.op {
		case store, storeX:
			stored |= 1 << s.k
		case loadMem, loadXMem:
			if stored&(1<<s.k) == 0 {
				return false
			}
		case jump:
			valid[s.jt] &= stored
			stored = ^uint16(0)
		case jeqK, jeqX, jgtK, jgtX, jgeK, jgeX, jsetK, jsetX:
			valid[s.jt] &= stored
			valid[s.jf] &= stored
			stored = ^uint16(0)
		}
	}
	return true
}

// Len is how many instructions the program has.
func (p *Program) Len() int { return len(p.code) }

// Weight is the program's length as Linux counts it against what a task may
// have: that of its translation.
func (p *Program) Weight() int { return p.weight }

// Instructions are the program as it was given to Compile.
func (p *Program) Instructions() []Instruction { return p.source }

// Run evaluates the program. A division by zero ends it with 0, KillThread.
func (p *Program) Run(d *abi.SeccompData) uint32 {
	data := (*[dataSize / 4]uint32)(unsafe.Pointer(d))
	var a, x uint32
	var mem [memWords]uint32
	code := p.code
	for pc := 0; ; {
		s := &code[pc]
		pc++
		taken := false
		switch s.op {
		case loadData:
			a = data[s.k]
			continue
		case loadImm:
			a = s.k
			continue
		case loadMem:
			a = mem[s.k]
			continue
		case loadXImm:
			x = s.k
			continue
		case loadXMem:
			x = mem[s.k]
			continue
		case store:
			mem[s.k] = a
			continue
		case storeX:
			mem[s.k] = x
			continue
		case addK:
			a += s.k
			continue
		case addX:
			a += x
			continue
		case subK:
			a -= s.k
			continue
		case subX:
			a -= x
			continue
		case mulK:
			a *= s.k
			continue
		case mulX:
			a *= x
			continue
		case divK:
			a /= s.k
			continue
		case divX:
			if x == 0 {
				return KillThread
			}
			a /= x
			continue
		case andK:
			a &= s.k
			continue
		case andX:
			a &= x
			continue
		case orK:
			a |= s.k
			continue
		case orX:
			a |= x
			continue
		case xorK:
			a ^= s.k
			continue
		case xorX:
			a ^= x
			continue
		case lshK:
			a <<= s.k
			continue
		case lshX:
			a <<= x & 31 // as the processor does
			continue
		case rshK:
			a >>= s.k
			continue
		case rshX:
			a >>= x & 31
			continue
		case neg:
			a = -a
			continue
		case tax:
			x = a
			continue
		case txa:
			a = x
			continue
		case retK:
			return s.k
		case retA:
			return a
		case jump:
			taken = true
		case jeqK:
			taken = a == s.k
		case jeqX:
			taken = a == x
		case jgtK:
			taken = a > s.k
		case jgtX:
			taken = a > x
		case jgeK:
			taken = a >= s.k
		case jgeX:
			taken = a >= x
		case jsetK:
			taken = a&s.k != 0
		case jsetX:
			taken = a&x != 0
		}
		if taken {
			pc = int(s.jt)
		} else {
			pc = int(s.jf)
		}
	}
}
