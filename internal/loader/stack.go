package loader

import (
	"encoding/binary"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// The sizes of arguments are limited as execve(2) says under "Limits on size".
const (
	// MaxArgStrlen is the longest argument, environment string or path,
	// its zero byte included.
	MaxArgStrlen = 32 * pageSize

	argMin    = 131072  // room that there always is
	argMax    = 6 << 20 // and what no stack limit extends
	stackPart = 4       // else this part of RLIMIT_STACK
)

// ArgBudget counts what of the room for arguments and environment is left.
type ArgBudget struct{ left uint64 }

// NewArgBudget is the budget of a process with this soft RLIMIT_STACK.
func NewArgBudget(stackLimit uint64) *ArgBudget {
	return &ArgBudget{max(min(stackLimit/stackPart, argMax), argMin)}
}

// Pointers accounts for n elements of argv and envp, whose strings are
// accounted for by String. An empty argv still is one element.
func (b *ArgBudget) Pointers(n int) error {
	// Eight bytes each for i386 too.
	if n < 0 || uint64(n) >= b.left/8 {
		return unix.E2BIG
	}
	b.left -= uint64(n) * 8
	return nil
}

// MaxPointers is how many elements Pointers would still accept.
func (b *ArgBudget) MaxPointers() int { return int(max(b.left/8, 1) - 1) }

// String accounts for a string of n bytes, its zero byte not included.
func (b *ArgBudget) String(n int) error {
	if n < 0 || n >= MaxArgStrlen || uint64(n)+1 > b.left {
		return unix.E2BIG
	}
	b.left -= uint64(n) + 1
	return nil
}

// Stack is what a new program finds on its stack.
type Stack struct {
	Arch   abi.Arch
	Argv   []string // an empty one becomes {""}
	Envp   []string
	ExecFn string // AT_EXECFN: the path that was given to execve
	Random [16]byte
	// Auxv are the entries of the auxiliary vector in their order, of
	// which AT_RANDOM, AT_EXECFN and AT_PLATFORM are given their values
	// here. AT_NULL is added.
	Auxv []abi.Auxv
	// Slide moves what is below the strings down by as many bytes, for
	// randomization; Linux takes less than 8192.
	Slide uint64
}

// StackImage is the contents of a new stack: Bytes are to be at SP, and reach
// up to the top that it was built for.
type StackImage struct {
	SP    uint64
	Bytes []byte
	Auxv  []byte // the auxiliary vector, a part of Bytes

	// As in /proc/PID/stat: where the strings are.
	ArgStart, ArgEnd, EnvStart, EnvEnd uint64
}

// Platform is the value of AT_PLATFORM.
func Platform(arch abi.Arch) string {
	if arch == abi.I386 {
		return "i686"
	}
	return "x86_64"
}

// Build lays the stack out so that it ends at top, a multiple of a page. The
// caller has held the strings against an ArgBudget; a stack that would be
// larger than top allows is ENOMEM.
func (s *Stack) Build(top uint64) (*StackImage, error) {
	argv := s.Argv
	if len(argv) == 0 {
		argv = []string{""}
	}
	word := s.Arch.WordSize()
	platform := Platform(s.Arch)

	// From the top: a zero word, the path, the environment, the arguments
	// (each in ascending order); the platform and the random bytes; the
	// vectors.
	size := func(list []string) (n uint64) {
		for _, str := range list {
			n += uint64(len(str)) + 1
		}
		return n
	}
	argBytes, envBytes, fnBytes := size(argv), size(s.Envp), uint64(len(s.ExecFn))+1
	strings := argBytes + envBytes + fnBytes + 8
	words := uint64(1 + len(argv) + 1 + len(s.Envp) + 1 + 2*(len(s.Auxv)+1))
	most := strings + s.Slide + 16 + uint64(len(platform)) + 1 + 16 + words*uint64(word) + 16
	if s.Slide > 1<<20 || most > top {
		return nil, unix.ENOMEM
	}

	im := &StackImage{}
	im.ArgStart = top - strings
	im.ArgEnd = im.ArgStart + argBytes
	im.EnvStart, im.EnvEnd = im.ArgEnd, im.ArgEnd+envBytes
	execFn := im.EnvEnd
	below := (im.ArgStart - s.Slide) &^ 15
	platformAt := below - uint64(len(platform)) - 1
	randomAt := platformAt - 16
	im.SP = (randomAt - words*uint64(word)) &^ 15

	im.Bytes = make([]byte, top-im.SP)
	at := func(addr uint64) []byte { return im.Bytes[addr-im.SP:] }
	copy(at(platformAt), platform)
	copy(at(randomAt), s.Random[:])
	copy(at(execFn), s.ExecFn)

	next := at(im.SP)
	put := func(v uint64) {
		if word == 4 {
			binary.LittleEndian.PutUint32(next, uint32(v))
		} else {
			binary.LittleEndian.PutUint64(next, v)
		}
		next = next[word:]
	}
	put(uint64(len(argv)))
	for i, list := range [][]string{argv, s.Envp} {
		addr := im.ArgStart
		if i == 1 {
			addr = im.EnvStart
		}
		for _, str := range list {
			copy(at(addr), str)
			put(addr)
			addr += uint64(len(str)) + 1
		}
		put(0)
	}
	vector := next
	for _, a := range s.Auxv {
		switch a.Tag {
		case abi.AT_RANDOM:
			a.Value = randomAt
		case abi.AT_EXECFN:
			a.Value = execFn
		case abi.AT_PLATFORM:
			a.Value = platformAt
		}
		put(a.Tag)
		put(a.Value)
	}
	put(abi.AT_NULL)
	put(0)
	im.Auxv = vector[:len(vector)-len(next)]
	return im, nil
}

// Program is what the auxiliary vector tells of a program and its process.
type Program struct {
	VDSO        uint64 // AT_SYSINFO_EHDR, 0 when there is none
	Sysinfo     uint64 // i386 only: AT_SYSINFO, __kernel_vsyscall
	MinSigStack uint64
	HWCap       uint64 // cpuid 1, edx
	HWCap2      uint64
	Base        uint64 // the bias of the program interpreter, 0 when there is none

	UID, EUID, GID, EGID uint32
	Secure               bool
}

// Auxv is the auxiliary vector of a program, in Linux' order. There is no
// AT_RSEQ_*, as rseq(2) is refused.
func (p *Program) Auxv(im *Image, at *Placed) []abi.Auxv {
	var v []abi.Auxv
	add := func(tag, value uint64) { v = append(v, abi.Auxv{Tag: tag, Value: value}) }
	if im.Arch == abi.I386 && p.Sysinfo != 0 {
		add(abi.AT_SYSINFO, p.Sysinfo)
	}
	if p.VDSO != 0 {
		add(abi.AT_SYSINFO_EHDR, p.VDSO)
	}
	add(abi.AT_MINSIGSTKSZ, p.MinSigStack)
	add(abi.AT_HWCAP, p.HWCap)
	add(abi.AT_PAGESZ, pageSize)
	add(abi.AT_CLKTCK, 100)
	add(abi.AT_PHDR, at.PhDr)
	add(abi.AT_PHENT, uint64(im.PhEntry))
	add(abi.AT_PHNUM, uint64(im.PhNum))
	add(abi.AT_BASE, p.Base)
	add(abi.AT_FLAGS, 0)
	add(abi.AT_ENTRY, at.Entry)
	add(abi.AT_UID, uint64(p.UID))
	add(abi.AT_EUID, uint64(p.EUID))
	add(abi.AT_GID, uint64(p.GID))
	add(abi.AT_EGID, uint64(p.EGID))
	secure := uint64(0)
	if p.Secure {
		secure = 1
	}
	add(abi.AT_SECURE, secure)
	add(abi.AT_RANDOM, 0)
	add(abi.AT_HWCAP2, p.HWCap2)
	add(abi.AT_EXECFN, 0)
	add(abi.AT_PLATFORM, 0)
	return v
}
