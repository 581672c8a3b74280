// Package elfcore lays out ELF core files of x86-64 processes, core(5): a header, program headers, notes about the process
// and its threads, then memory. It knows nothing of processes.
package elfcore

import (
	"encoding/binary"
)

// Types of notes.
const (
	PRStatus = 1
	PRFPReg  = 2
	PRPSInfo = 3
	Auxv     = 6
	SigInfo  = 0x53494749
	File     = 0x46494c45
	XState   = 0x202 // owned by LINUX, the others by CORE
)

const (
	pageSize = 4096
	ehdrSize = 64
	phdrSize = 56

	ptLoad = 1
	ptNote = 4
)

// Segment is a range of memory. The first Stored bytes of it are in the file, the rest is told of only.
type Segment struct {
	Start, End uint64
	Prot       int // PROT_*
	Stored     uint64
	Off        uint64 // in the file: set by Layout
}

// Note is a note about the process or a thread.
type Note struct {
	Type uint32
	Data []byte
}

func (n Note) owner() string {
	if n.Type == XState {
		return "LINUX\x00"
	}
	return "CORE\x00"
}

func align(n, to uint64) uint64 { return (n + to - 1) &^ (to - 1) }

// Layout gives each segment its place in the file, and returns what comes before them and the file's size.
func Layout(notes []Note, segments []Segment) (head []byte, size uint64) {
	le := binary.LittleEndian
	var n []byte
	for _, note := range notes {
		owner := note.owner()
		n = le.AppendUint32(n, uint32(len(owner)))
		n = le.AppendUint32(n, uint32(len(note.Data)))
		n = le.AppendUint32(n, note.Type)
		n = append(n, owner...)
		n = append(n, make([]byte, align(uint64(len(n)), 4)-uint64(len(n)))...)
		n = append(n, note.Data...)
		n = append(n, make([]byte, align(uint64(len(n)), 4)-uint64(len(n)))...)
	}
	phnum := 1 + len(segments)
	head = append(head, "\x7fELF\x02\x01\x01"...)
	head = append(head, make([]byte, ehdrSize-len(head))...)
	le.PutUint16(head[16:], 4)  // ET_CORE
	le.PutUint16(head[18:], 62) // EM_X86_64
	le.PutUint32(head[20:], 1)
	le.PutUint64(head[32:], ehdrSize)
	le.PutUint16(head[52:], ehdrSize)
	le.PutUint16(head[54:], phdrSize)
	extra := phnum >= 0xffff // PN_XNUM: the number stands in a section header
	if extra {
		le.PutUint16(head[56:], 0xffff)
		le.PutUint16(head[58:], 64)
		le.PutUint16(head[60:], 1)
	} else {
		le.PutUint16(head[56:], uint16(phnum))
	}
	notesAt := uint64(ehdrSize + phnum*phdrSize)
	size = align(notesAt+uint64(len(n)), pageSize)
	phdr := func(typ, flags uint32, off, addr, stored, memory, alignment uint64) {
		head = le.AppendUint32(head, typ)
		head = le.AppendUint32(head, flags)
		for _, v := range []uint64{off, addr, 0, stored, memory, alignment} {
			head = le.AppendUint64(head, v)
		}
	}
	phdr(ptNote, 0, notesAt, 0, uint64(len(n)), 0, 4)
	for i := range segments {
		s := &segments[i]
		s.Off = size
		size += align(s.Stored, pageSize)
		flags := uint32(s.Prot&1<<2 | s.Prot&2 | s.Prot&4>>2) // PF_R 4, PF_W 2, PF_X 1
		phdr(ptLoad, flags, s.Off, s.Start, s.Stored, s.End-s.Start, pageSize)
	}
	head = append(head, n...)
	if extra {
		le.PutUint64(head[40:], size)
		size += 64
	}
	return head, size
}

// Extra is the section header that a file with more than 65,534 program headers ends with, or nil.
func Extra(segments []Segment) []byte {
	if 1+len(segments) < 0xffff {
		return nil
	}
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b[44:], uint32(1+len(segments)))
	return b
}
