package loader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// hostBounds are those of a process on the host.
var hostBounds = Bounds{0x10000, 0x7ffffffff000}

// pieBase is where Linux begins with position-independent programs.
const pieBase = 0x555555554000

// phdr is a program header of a hand-made file.
type phdr struct {
	typ, flags                              uint32
	off, vaddr, paddr, filesz, memsz, align uint64
}

// elfFile makes a file whose code exits with status 7, at 0x400000+0x800.
type elfFile struct {
	class             byte
	typ, machine      uint16
	entry, phoff      uint64
	phentsize, phnum  uint16
	ph                []phdr
	size              int
	interp            string
	interpAt, trailer int
}

func goodELF() *elfFile {
	return &elfFile{
		class: 2, typ: etExec, machine: emX8664, entry: 0x400800, phoff: 64, phentsize: 56, phnum: 1,
		ph:   []phdr{{ptLoad, pfR | pfX, 0, 0x400000, 0, 0x900, 0x900, 0x1000}},
		size: 0x1000,
	}
}

func (e *elfFile) bytes() []byte {
	b := make([]byte, max(e.size, 0x1000))
	le := binary.LittleEndian
	copy(b, "\x7fELF")
	b[4], b[5], b[6] = e.class, 1, 1
	le.PutUint16(b[16:], e.typ)
	le.PutUint16(b[18:], e.machine)
	le.PutUint64(b[24:], e.entry)
	le.PutUint64(b[32:], e.phoff)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], e.phentsize)
	le.PutUint16(b[56:], e.phnum)
	for i, p := range e.ph {
		q := b[64+56*i:]
		le.PutUint32(q, p.typ)
		le.PutUint32(q[4:], p.flags)
		for k, v := range []uint64{p.off, p.vaddr, p.paddr, p.filesz, p.memsz, p.align} {
			le.PutUint64(q[8+8*k:], v)
		}
	}
	copy(b[0x800:], "\xb8\x3c\x00\x00\x00\xbf\x07\x00\x00\x00\x0f\x05")
	copy(b[0x700:], e.interp)
	return b[:e.size]
}

// outcome of an execve: an errno, or a signal, or the exit status.
type outcome struct {
	errno  unix.Errno
	killed bool
	status int
}

// native runs a file on the host.
func native(t *testing.T, file []byte) outcome {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(path, file, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	err := cmd.Start()
	for i := 0; errors.Is(err, unix.ETXTBSY) && i < 50; i++ {
		time.Sleep(10 * time.Millisecond) // another test's child still has it open
		cmd = exec.CommandContext(ctx, path)
		err = cmd.Start()
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return outcome{errno: errno}
	} else if err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	ws := cmd.ProcessState.Sys().(interface{ Signaled() bool })
	return outcome{killed: ws.Signaled(), status: cmd.ProcessState.ExitCode()}
}

// ours says what a file would come to here, but for what its code does.
func ours(t *testing.T, file []byte) (errno unix.Errno, killed bool, p *Placed) {
	t.Helper()
	im, err := Parse(bytes.NewReader(file))
	if err != nil {
		if !errors.As(err, &errno) {
			t.Fatalf("Parse: %v is no errno", err)
		}
		return errno, false, nil
	}
	base := uint64(0)
	if im.Dynamic {
		base = pieBase &^ (im.Alignment() - 1)
	}
	place := func(im *Image, base uint64) *Placed {
		p, err := im.Place(base, hostBounds)
		if err != nil {
			killed = true
			return nil
		}
		checkPlaced(t, p, hostBounds)
		return p
	}
	if im.HasInterp {
		if st, err := os.Stat(filepath.Join(".", im.Interp)); err == nil && st.IsDir() {
			return unix.EACCES, false, nil
		}
		b, err := os.ReadFile(im.Interp)
		if errors.As(err, &errno) {
			return errno, false, nil
		}
		interp, err := ParseInterpreter(bytes.NewReader(b), im.Arch)
		if err != nil {
			return err.(unix.Errno), false, nil
		}
		place(interp, 0x7ffff7000000)
	}
	p = place(im, base)
	return 0, killed, p
}

// checkPlaced is what holds for every plan.
func checkPlaced(t *testing.T, p *Placed, in Bounds) {
	t.Helper()
	for _, m := range p.Mappings {
		if m.Len == 0 || pageOffset(m.Addr|m.Len|uint64(m.Off)) != 0 || m.Addr < in.Min || m.Addr+m.Len < m.Addr || m.Addr+m.Len > in.Max || m.Off < 0 || m.Off+int64(m.Len) < 0 {
			t.Fatalf("mapping %+v", m)
		}
		if m.Addr < p.Start || m.Addr+m.Len > p.End {
			t.Fatalf("mapping %+v is not in %x-%x", m, p.Start, p.End)
		}
	}
	for _, z := range p.Zero {
		found := false
		for _, m := range p.Mappings {
			if !m.Anonymous && m.Prot&unix.PROT_WRITE != 0 && z.Addr >= m.Addr && z.Addr+z.Len == m.Addr+m.Len {
				found = true
			}
		}
		if !found || z.Len == 0 || z.Len >= pageSize {
			t.Fatalf("zero %+v of %+v", z, p.Mappings)
		}
	}
}

const huge = 1 << 63

// TestBadELF runs files on the host and asks what would become of them here.
func TestBadELF(t *testing.T) {
	runs := outcome{status: 7}
	killed := outcome{killed: true, status: -1}
	for _, c := range []struct {
		name string
		mod  func(e *elfFile)
		want outcome
	}{
		{"good", func(e *elfFile) {}, runs},
		{"class is not looked at", func(e *elfFile) { e.class = 1 }, runs},
		{"alpha", func(e *elfFile) { e.machine = 0x9026 }, outcome{errno: unix.ENOEXEC}},
		{"relocatable", func(e *elfFile) { e.typ = 1 }, outcome{errno: unix.ENOEXEC}},
		{"core", func(e *elfFile) { e.typ = 4 }, outcome{errno: unix.ENOEXEC}},
		{"empty", func(e *elfFile) { e.size = 0 }, outcome{errno: unix.ENOEXEC}},
		{"magic alone", func(e *elfFile) { e.size = 4 }, outcome{errno: unix.ENOEXEC}},
		{"half a header", func(e *elfFile) { e.size = 32 }, outcome{errno: unix.ENOEXEC}},
		{"no program headers in it", func(e *elfFile) { e.size = 64 }, outcome{errno: unix.ENOEXEC}},
		{"half a program header", func(e *elfFile) { e.size = 100 }, outcome{errno: unix.ENOEXEC}},
		{"truncated before the entry", func(e *elfFile) { e.size = 0x200 }, killed},
		{"phentsize", func(e *elfFile) { e.phentsize = 57 }, outcome{errno: unix.ENOEXEC}},
		{"phentsize 0", func(e *elfFile) { e.phentsize = 0 }, outcome{errno: unix.ENOEXEC}},
		{"phnum 0", func(e *elfFile) { e.phnum = 0 }, outcome{errno: unix.ENOEXEC}},
		{"phnum beyond the file", func(e *elfFile) { e.phnum = 1170 }, outcome{errno: unix.ENOEXEC}},
		{"phnum most", func(e *elfFile) { e.phnum, e.size = 1170, 0x20000 }, runs},
		{"phnum too many", func(e *elfFile) { e.phnum, e.size = 1171, 0x20000 }, outcome{errno: unix.ENOEXEC}},
		{"phnum 65535", func(e *elfFile) { e.phnum, e.size = 65535, 0x400000 }, outcome{errno: unix.ENOEXEC}},
		{"phoff beyond", func(e *elfFile) { e.phoff = 1 << 40 }, outcome{errno: unix.ENOEXEC}},
		{"phoff negative", func(e *elfFile) { e.phoff = huge }, outcome{errno: unix.ENOEXEC}},
		{"phoff wraps", func(e *elfFile) { e.phoff = ^uint64(0) - 8 }, outcome{errno: unix.ENOEXEC}},
		{"no load", func(e *elfFile) { e.ph[0].typ = 0 }, killed},
		{"no load, dynamic", func(e *elfFile) { e.ph[0].typ, e.typ = 0, etDyn }, killed},
		{"entry in the kernel", func(e *elfFile) { e.entry = 0xffffffff81000000 }, killed},
		{"entry nowhere", func(e *elfFile) { e.entry = 0x500000 }, killed},
		{"address in the kernel", func(e *elfFile) { e.ph[0].vaddr = 0xffffffff81000000 }, killed},
		{"address not canonical", func(e *elfFile) { e.ph[0].vaddr = 0x800000000000 }, killed},
		{"address at the top", func(e *elfFile) { e.ph[0].vaddr = 0x7ffffffff000 }, killed},
		{"address wraps", func(e *elfFile) { e.ph[0].vaddr = ^uint64(0) - 0xfff }, killed},
		{"filesz over memsz", func(e *elfFile) { e.ph[0].memsz = 0x800 }, killed},
		{"filesz huge", func(e *elfFile) { e.ph[0].filesz, e.ph[0].memsz = huge, huge }, killed},
		{"filesz wraps", func(e *elfFile) { e.ph[0].filesz, e.ph[0].memsz = ^uint64(0), ^uint64(0) }, killed},
		{"memsz huge", func(e *elfFile) { e.ph[0].memsz = huge }, killed},
		{"memsz wraps", func(e *elfFile) { e.ph[0].memsz = ^uint64(0) - 0x3fffff }, killed},
		{"memsz to the top", func(e *elfFile) { e.ph[0].memsz = 0x7ffffffff000 }, killed},
		{"offset not congruent", func(e *elfFile) { e.ph[0].off = 1 }, killed},
		{"offset negative", func(e *elfFile) { e.ph[0].off = huge }, killed},
		{"offset wraps", func(e *elfFile) { e.ph[0].off = ^uint64(0) - 0xfff }, killed},
		{"offset below the page offset", func(e *elfFile) { e.ph[0].vaddr = 0x400123 }, killed},
		{"offset beyond the file", func(e *elfFile) { e.ph[0].off = 0x100000 }, killed},
		{"align is not looked at in ET_EXEC", func(e *elfFile) { e.ph[0].align = 3 }, runs},
		{"align huge, ET_EXEC", func(e *elfFile) { e.ph[0].align = huge }, runs},
		{"align 3, dynamic", func(e *elfFile) { e.typ, e.ph[0].align = etDyn, 3 }, runs},
		{"dynamic", func(e *elfFile) { e.typ = etDyn }, runs},
		{"dynamic at 0", func(e *elfFile) { e.typ, e.ph[0].vaddr, e.entry = etDyn, 0, 0x800 }, runs},
		{"dynamic at the top", func(e *elfFile) { e.typ, e.ph[0].vaddr, e.entry = etDyn, 0x7ffffffef000, 0x7ffffffef800 }, runs},
		{"dynamic, huge", func(e *elfFile) { e.typ, e.ph[0].memsz = etDyn, 1<<47 }, killed},
		{"page 0, which root may map", func(e *elfFile) { e.ph[0].vaddr, e.entry = 0, 0x800 }, killed},
		{"not executable", func(e *elfFile) { e.ph[0].flags = pfR }, killed},
		{"zero bytes of memory", func(e *elfFile) { e.ph[0].filesz, e.ph[0].memsz = 0, 0 }, killed},
		{"bss", func(e *elfFile) { e.ph[0].flags, e.ph[0].memsz = 7, 0x100000 }, runs},
		{"bss, not writable", func(e *elfFile) { e.ph[0].memsz = 0x100000 }, runs},
		{"bss beyond the file", func(e *elfFile) {
			e.phnum = 2
			e.ph = append(e.ph, phdr{ptLoad, pfR | pfW, 0x10000, 0x410000, 0, 0x10, 0x1000, 0})
		}, killed},
		{"overlapping", func(e *elfFile) { e.phnum = 2; e.ph = append(e.ph, e.ph[0]) }, runs},
		{"replaced by zeroes", func(e *elfFile) {
			e.phnum = 2
			e.ph = append(e.ph, phdr{ptLoad, 7, 0, 0x400000, 0, 0, 0x1000, 0})
		}, killed},
		{"descending", func(e *elfFile) {
			e.phnum = 2
			e.ph = []phdr{{ptLoad, pfR, 0, 0x600000, 0, 0x10, 0x10, 0}, e.ph[0]}
		}, runs},
		{"interpreter missing", interpreter("/nonexistent/ld.so\x00"), outcome{errno: unix.ENOENT}},
		{"interpreter without end", interpreter("/bin/true"), outcome{errno: unix.ENOEXEC}},
		{"interpreter empty: the working directory", interpreter("\x00\x00"), outcome{errno: unix.EACCES}},
		{"interpreter short", interpreter("\x00"), outcome{errno: unix.ENOEXEC}},
		{"interpreter is a text", interpreter("/etc/passwd\x00"), outcome{errno: unix.EACCES}},
		{"interpreter long", func(e *elfFile) {
			interpreter("x\x00")(e)
			e.size, e.ph[1].filesz = 0x4000, 4097
		}, outcome{errno: unix.ENOEXEC}},
		{"interpreter beyond the file", func(e *elfFile) {
			interpreter("x\x00")(e)
			e.ph[1].off = 0x100000
		}, outcome{errno: unix.EIO}},
		{"interpreter at a negative offset", func(e *elfFile) {
			interpreter("x\x00")(e)
			e.ph[1].off = huge
		}, outcome{errno: unix.EINVAL}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := goodELF()
			c.mod(e)
			file := e.bytes()
			if got := native(t, file); got != c.want && !(got == runs && strings.Contains(c.name, "root")) {
				t.Errorf("native: %+v, want %+v", got, c.want)
			}
			errno, kill, p := ours(t, file)
			if c.name == "interpreter is a text" {
				return // EACCES is open's
			}
			if errno != c.want.errno || kill && !c.want.killed {
				t.Errorf("ours: %v killed %v %+v, want %+v", errno, kill, p, c.want)
			}
			if c.want == runs {
				checkCode(t, p, file)
			}
		})
	}
}

func interpreter(path string) func(e *elfFile) {
	return func(e *elfFile) {
		e.interp = path
		e.phnum = 2
		e.ph = append(e.ph, phdr{typ: ptInterp, off: 0x700, filesz: uint64(len(path))})
	}
}

// checkCode sees that what is at the entry is the program.
func checkCode(t *testing.T, p *Placed, file []byte) {
	t.Helper()
	at := -1
	for _, m := range p.Mappings {
		if m.Addr <= p.Entry && p.Entry < m.Addr+m.Len {
			at = int(m.Off) + int(p.Entry-m.Addr)
			if m.Anonymous || m.Prot&unix.PROT_EXEC == 0 {
				t.Errorf("the entry %x is in %+v", p.Entry, m)
			}
		}
	}
	if at != 0x800 {
		t.Errorf("at %x is %x of the file", p.Entry, at)
	}
}

// TestMutated changes good files at random and compares with the host.
func TestMutated(t *testing.T) {
	if testing.Short() {
		t.Skip("runs hundreds of programs")
	}
	rnd := rand.New(rand.NewSource(1))
	values := []uint64{0, 1, 2, 0x10, 0xfff, 0x1000, 0x1001, 0x10000, 0x400000, 0x7fffffff, 0xffffffff, 1 << 32, 0x7fffffffe000, 0x7ffffffff000, 1 << 47, huge, ^uint64(0), ^uint64(0) - 0xfff}
	for range 300 {
		e := goodELF()
		e.phnum = 3
		e.ph = append(e.ph, phdr{ptLoad, pfR | pfW, 0x400, 0x402400, 0, 0x100, 0x2000, 0x1000}, phdr{typ: ptGNUStack})
		if rnd.Intn(2) == 0 {
			e.typ = etDyn
		}
		if rnd.Intn(4) == 0 {
			e.ph[2] = phdr{typ: ptInterp, off: 0x700, filesz: 28}
			e.interp = "/lib64/ld-linux-x86-64.so.2\x00"
		}
		b := e.bytes()
		for range 1 + rnd.Intn(3) {
			// A field of one of the program headers, or any byte of them.
			at := 64 + 8*rnd.Intn(3*7)
			v := values[rnd.Intn(len(values))]
			switch rnd.Intn(3) {
			case 0:
				b[16+rnd.Intn(48+3*56)] = byte(rnd.Intn(256))
			case 1:
				v += binary.LittleEndian.Uint64(b[at:])
				fallthrough
			default:
				binary.LittleEndian.PutUint64(b[at:], v)
			}
		}
		host := native(t, b)
		errno, killed, p := ours(t, b)
		if errno != host.errno || killed && !host.killed {
			t.Errorf("% x\nnative %+v, ours %v killed %v %+v", b[:64+3*56], host, errno, killed, p)
		}
	}
}

func TestInterpreterErrors(t *testing.T) {
	good := goodELF()
	relocatable := goodELF()
	relocatable.typ = 1
	crooked := goodELF()
	crooked.phentsize = 1
	for _, c := range []struct {
		name string
		file []byte
		arch abi.Arch
		want error
	}{
		{"good", good.bytes(), abi.AMD64, nil},
		{"other architecture", good.bytes(), abi.I386, unix.ELIBBAD},
		{"short", []byte("\x7fELF"), abi.AMD64, unix.EIO},
		{"text", bytes.Repeat([]byte("x"), 100), abi.AMD64, unix.ELIBBAD},
		{"no headers", crooked.bytes(), abi.AMD64, unix.ELIBBAD},
		{"relocatable", relocatable.bytes(), abi.AMD64, nil}, // Place fails
	} {
		im, err := ParseInterpreter(bytes.NewReader(c.file), c.arch)
		if err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.name == "relocatable" {
			if _, err := im.Place(pieBase, hostBounds); err == nil {
				t.Error("a relocatable file is placed")
			}
		}
	}
}

// FuzzParse: no headers make it panic, allocate much, or map outside.
func FuzzParse(f *testing.F) {
	f.Add(goodELF().bytes()[:0x200])
	e := goodELF()
	e.typ, e.phnum = etDyn, 2
	e.ph = append(e.ph, phdr{ptLoad, pfR | pfW, 0x400, 0x402400, 0, 0x100, 0x2000, 1 << 21})
	f.Add(e.bytes()[:0x200])
	interpreter("/lib/ld.so\x00")(e)
	e.phnum = 3
	f.Add(e.bytes())
	e.machine = em386
	f.Add(e.bytes()[:0x200])
	small := Bounds{0x10000, 1 << 32}
	f.Fuzz(func(t *testing.T, b []byte) {
		if head, err := ReadHead(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		} else {
			ParseScript(head)
		}
		for _, arch := range []abi.Arch{abi.AMD64, abi.I386, 0} {
			im, err := Parse(bytes.NewReader(b))
			if arch != 0 {
				im, err = ParseInterpreter(bytes.NewReader(b), arch)
			}
			if err != nil {
				continue
			}
			im.Span()
			for _, in := range []Bounds{hostBounds, small} {
				for _, base := range []uint64{0, in.Min, in.Max / 3 * 2 &^ 0xfff, in.Max - 0x1000, in.Max} {
					if p, err := im.Place(base, in); err == nil {
						checkPlaced(t, p, in)
					}
				}
			}
		}
	})
}
