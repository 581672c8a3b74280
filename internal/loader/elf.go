package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// HeadSize is how much of a file decides what it is (Linux' BINPRM_BUF_SIZE).
const HeadSize = 256

// MaxInterpreters is how many "#!" lines are followed before ELOOP.
const MaxInterpreters = 5

const (
	pageSize = 4096

	maxHeaders = 65536 // bytes of program headers
	pathMax    = 4096

	etExec = 2
	etDyn  = 3

	em386   = 3
	em486   = 6
	emX8664 = 62

	ptLoad     = 1
	ptInterp   = 3
	ptGNUStack = 0x6474e551

	pfX = 1
	pfW = 2
	pfR = 4
)

// ExecStack is what a program says about executing its stack.
type ExecStack int

const (
	// StackDefault: no PT_GNU_STACK. An i386 program gets everything
	// readable executable (READ_IMPLIES_EXEC), an x86-64 one nothing.
	StackDefault ExecStack = iota
	StackNoExec
	StackExec
)

// Image is what the headers of an ELF file ask for, with addresses as they
// stand in the file.
type Image struct {
	Arch      abi.Arch
	Dynamic   bool      // ET_DYN: may be placed anywhere; else ET_EXEC
	Entry     uint64    // e_entry
	PhEntry   int       // the size of one program header
	PhNum     int       // how many there are
	Interp    string    // the program interpreter's path; "" is the working directory
	HasInterp bool      // whether there is one
	Stack     ExecStack // by PT_GNU_STACK

	phoff uint64
	loads []segment
	late  error // what Linux finds only when it is too late
}

// segment is a program header.
type segment struct {
	typ, flags                        uint32
	off, vaddr, filesz, memsz, falign uint64
}

// ReadHead reads the first HeadSize bytes of a file; where it is shorter the
// rest is zero.
func ReadHead(r io.ReaderAt) (head [HeadSize]byte, err error) {
	_, err = readAt(r, head[:], 0)
	return head, err
}

// readAt reads as much as there is: the end of the file is no error.
func readAt(r io.ReaderAt, p []byte, off uint64) (int, error) {
	if off > math.MaxInt64 {
		return 0, unix.EINVAL
	}
	n, err := r.ReadAt(p, int64(off))
	if n == len(p) || errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, err
}

// Parse reads the headers of a program. What is no ELF program for x86 is
// ENOEXEC.
func Parse(r io.ReaderAt) (*Image, error) {
	head, err := ReadHead(r)
	if err != nil {
		return nil, err
	}
	im, ok := parseHeader(head[:])
	if !ok || im.late != nil {
		return nil, unix.ENOEXEC
	}
	segs, ok := im.readSegments(r, head[:])
	if !ok {
		return nil, unix.ENOEXEC
	}
	for _, s := range segs {
		if s.typ == ptInterp {
			if im.Interp, err = readInterp(r, s); err != nil {
				return nil, err
			}
			im.HasInterp = true
			break // the others do not count
		}
	}
	return im, nil
}

// ParseInterpreter reads the headers of the program interpreter of a program
// for arch. ELIBBAD is a file that is none.
func ParseInterpreter(r io.ReaderAt, arch abi.Arch) (*Image, error) {
	head := make([]byte, headerSize(arch))
	if n, err := readAt(r, head, 0); err != nil {
		return nil, err
	} else if n < len(head) {
		return nil, unix.EIO
	}
	im, ok := parseHeader(head)
	if !ok || im.Arch != arch {
		return nil, unix.ELIBBAD
	}
	if _, ok := im.readSegments(r, head); !ok {
		return nil, unix.ELIBBAD
	}
	return im, nil
}

func headerSize(arch abi.Arch) int {
	if arch == abi.I386 {
		return 52
	}
	return 64
}

// parseHeader reads an ELF header. Like Linux it goes by e_machine and looks
// at nothing but the magic number in e_ident.
func parseHeader(b []byte) (*Image, bool) {
	le := binary.LittleEndian
	if string(b[:4]) != "\x7fELF" {
		return nil, false
	}
	im := &Image{}
	switch le.Uint16(b[18:]) {
	case emX8664:
		im.Arch, im.PhEntry = abi.AMD64, 56
	case em386, em486:
		im.Arch, im.PhEntry = abi.I386, 32
	default:
		return nil, false
	}
	switch le.Uint16(b[16:]) {
	case etExec:
	case etDyn:
		im.Dynamic = true
	default:
		im.late = unix.ENOEXEC
	}
	return im, true
}

// readSegments reads the rest of the header and the program headers; r may be
// hostile in every number.
func (im *Image) readSegments(r io.ReaderAt, head []byte) ([]segment, bool) {
	le := binary.LittleEndian
	var phentsize, phnum int
	if im.Arch == abi.AMD64 {
		im.Entry, im.phoff = le.Uint64(head[24:]), le.Uint64(head[32:])
		phentsize, phnum = int(le.Uint16(head[54:])), int(le.Uint16(head[56:]))
	} else {
		im.Entry, im.phoff = uint64(le.Uint32(head[24:])), uint64(le.Uint32(head[28:]))
		phentsize, phnum = int(le.Uint16(head[42:])), int(le.Uint16(head[44:]))
	}
	size := phnum * im.PhEntry
	if phentsize != im.PhEntry || size == 0 || size > maxHeaders {
		return nil, false
	}
	b := make([]byte, size)
	if n, err := readAt(r, b, im.phoff); err != nil || n < size {
		return nil, false
	}
	im.PhNum = phnum
	segs := make([]segment, phnum)
	for i := range segs {
		s := &segs[i]
		p := b[i*im.PhEntry:]
		s.typ = le.Uint32(p)
		if im.Arch == abi.AMD64 {
			s.flags, s.off, s.vaddr = le.Uint32(p[4:]), le.Uint64(p[8:]), le.Uint64(p[16:])
			s.filesz, s.memsz, s.falign = le.Uint64(p[32:]), le.Uint64(p[40:]), le.Uint64(p[48:])
		} else {
			u32 := func(at int) uint64 { return uint64(le.Uint32(p[at:])) }
			s.off, s.vaddr, s.filesz, s.memsz = u32(4), u32(8), u32(16), u32(20)
			s.flags, s.falign = le.Uint32(p[24:]), u32(28)
		}
		switch s.typ {
		case ptLoad:
			im.loads = append(im.loads, *s)
		case ptGNUStack:
			im.Stack = StackNoExec
			if s.flags&pfX != 0 {
				im.Stack = StackExec
			}
		}
	}
	return segs, true
}

func readInterp(r io.ReaderAt, s segment) (string, error) {
	if s.filesz > pathMax || s.filesz < 2 {
		return "", unix.ENOEXEC
	}
	b := make([]byte, s.filesz)
	if n, err := readAt(r, b, s.off); err != nil {
		return "", err
	} else if n < len(b) {
		return "", unix.EIO
	}
	if b[len(b)-1] != 0 {
		return "", unix.ENOEXEC
	}
	path, _, _ := bytes.Cut(b, []byte{0})
	return string(path), nil
}

// Alignment is what the image's base must be a multiple of: the largest
// p_align that is a power of two, at least a page.
func (im *Image) Alignment() uint64 {
	align := uint64(pageSize)
	for _, s := range im.loads {
		if bits.OnesCount64(s.falign) == 1 {
			align = max(align, s.falign)
		}
	}
	return align
}

// Span is how many bytes an image takes from its lowest page to its highest,
// 0 when it loads nothing. It is an error when no address space could hold
// that.
func (im *Image) Span() (uint64, error) {
	lo, hi := uint64(math.MaxUint64), uint64(0)
	for _, s := range im.loads {
		end, carry := bits.Add64(s.vaddr, s.memsz, 0)
		if carry != 0 || end > math.MaxInt64 {
			return 0, unix.EINVAL
		}
		lo, hi = min(lo, pageStart(s.vaddr)), max(hi, end)
	}
	if len(im.loads) == 0 {
		return 0, nil
	}
	return pageStart(hi+pageSize-1) - lo, nil
}

// lowest is the lowest page that the image takes.
func (im *Image) lowest() uint64 {
	lo := uint64(math.MaxUint64)
	for _, s := range im.loads {
		lo = min(lo, pageStart(s.vaddr))
	}
	return lo
}

func pageStart(a uint64) uint64  { return a &^ (pageSize - 1) }
func pageOffset(a uint64) uint64 { return a & (pageSize - 1) }
