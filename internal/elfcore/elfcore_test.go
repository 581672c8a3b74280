package elfcore

import (
	"bytes"
	"debug/elf"
	"testing"
)

// What is laid out is what the standard library reads.
func TestLayout(t *testing.T) {
	segments := []Segment{
		{Start: 0x400000, End: 0x402000, Prot: 5, Stored: 0x1000},
		{Start: 0x600000, End: 0x601000, Prot: 3, Stored: 0x1000},
		{Start: 0x700000, End: 0x800000, Prot: 0},
	}
	head, size := Layout([]Note{{PRStatus, []byte("abc")}, {XState, []byte("de")}}, segments)
	if size%4096 != 0 || uint64(len(head)) > segments[0].Off || segments[1].Off != segments[0].Off+0x1000 || size != segments[1].Off+0x1000 {
		t.Fatalf("size %#x, head %#x, segments %+v", size, len(head), segments)
	}
	f, err := elf.NewFile(bytes.NewReader(append(head, make([]byte, size-uint64(len(head)))...)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_CORE || f.Machine != elf.EM_X86_64 || len(f.Progs) != 4 {
		t.Fatalf("%+v", f)
	}
	note := make([]byte, f.Progs[0].Filesz)
	if _, err := f.Progs[0].ReadAt(note, 0); err != nil {
		t.Fatal(err)
	}
	want := "\x05\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00CORE\x00\x00\x00\x00abc\x00" + "\x06\x00\x00\x00\x02\x00\x00\x00\x02\x02\x00\x00LINUX\x00\x00\x00de\x00\x00"
	if string(note) != want {
		t.Errorf("notes %q, want %q", note, want)
	}
	for i, flags := range []elf.ProgFlag{elf.PF_R | elf.PF_X, elf.PF_R | elf.PF_W, 0} {
		if p := f.Progs[1+i]; p.Type != elf.PT_LOAD || p.Flags != flags || p.Vaddr != segments[i].Start || p.Filesz != segments[i].Stored ||
			p.Memsz != segments[i].End-segments[i].Start {
			t.Errorf("%d: %+v", i, p.ProgHeader)
		}
	}
}

// More segments than a header can count.
func TestManySegments(t *testing.T) {
	segments := make([]Segment, 70000)
	head, size := Layout(nil, segments)
	b := append(append(head, make([]byte, size-64-uint64(len(head)))...), Extra(segments)...)
	if uint64(len(b)) != size {
		t.Fatal(len(b), size)
	}
	if n := int(b[56]) | int(b[57])<<8; n != 0xffff {
		t.Errorf("%#x program headers", n)
	}
	if Extra(segments[:10]) != nil {
		t.Error("a section header for few")
	}
}
