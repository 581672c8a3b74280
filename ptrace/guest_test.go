package ptrace

// Programs to trace, assembled here: static ELF files of one page, readable,
// writable and executable.

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
	"golang.org/x/sys/unix"
)

const (
	guestBase = 0x400000
	guestData = guestBase + 0x800 // free for the guest's use
)

// Instructions, as bytes.
var (
	nop     = []byte{0x90}
	syscal  = []byte{0x0f, 0x05}
	int80   = []byte{0xcd, 0x80}
	int3    = []byte{0xcc}
	forever = []byte{0xeb, 0xfe}
	// rdiFromRAX is mov %eax,%edi.
	rdiFromRAX = []byte{0x89, 0xc7}
)

func movImm(op byte, v int) []byte {
	return binary.LittleEndian.AppendUint32([]byte{op}, uint32(v))
}

func eax(v int) []byte { return movImm(0xb8, v) }
func ecx(v int) []byte { return movImm(0xb9, v) }
func edx(v int) []byte { return movImm(0xba, v) }
func ebx(v int) []byte { return movImm(0xbb, v) }
func esi(v int) []byte { return movImm(0xbe, v) }
func edi(v int) []byte { return movImm(0xbf, v) }

// r10 is mov $v,%r10d.
func r10(v int) []byte { return append([]byte{0x41}, movImm(0xba, v)...) }

// call is a 64-bit system call by the instruction syscall.
func call(nr int, args ...int) []byte {
	var b []byte
	for i, v := range args {
		b = append(b, []func(int) []byte{edi, esi, edx, r10}[i](v)...)
	}
	return asm(b, eax(nr), syscal)
}

// call80 is a 32-bit system call by int $0x80.
func call80(nr int, args ...int) []byte {
	var b []byte
	for i, v := range args {
		b = append(b, []func(int) []byte{ebx, ecx, edx, esi}[i](v)...)
	}
	return asm(b, eax(nr), int80)
}

// archs are those whose calls 64-bit code can make on this host.
func archs() []abi.Arch {
	if hostcan.Int80.Lacks() != nil {
		return []abi.Arch{abi.AMD64}
	}
	return []abi.Arch{abi.AMD64, abi.I386}
}

// callClose is close(fd), by int $0x80 where the host has that.
func callClose(fd int) []byte {
	if hostcan.Int80.Lacks() != nil {
		return call(unix.SYS_CLOSE, fd)
	}
	return call80(6, fd)
}

// ifZero runs then if eax is 0, and jumps over it otherwise.
func ifZero(then ...[]byte) []byte {
	b := asm(then...)
	return asm([]byte{0x85, 0xc0, 0x75, byte(len(b))}, b)
}

// loop runs body n times, counting in ebp.
func loop(n int, body ...[]byte) []byte {
	b := asm(body...)
	head := movImm(0xbd, n)
	tail := []byte{0xff, 0xcd, 0x0f, 0x85} // dec %ebp; jnz rel32
	return asm(head, b, tail, binary.LittleEndian.AppendUint32(nil, uint32(-(len(b)+len(tail)+4))))
}

func asm(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// guest writes a 64-bit program of the code given and returns its path.
func guest(t testing.TB, code ...[]byte) string {
	const header = 64 + 56
	b := make([]byte, header)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2)  // ET_EXEC
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], guestBase+header)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	ph := b[64:]
	le.PutUint32(ph, 1)     // PT_LOAD
	le.PutUint32(ph[4:], 7) // RWX
	le.PutUint64(ph[16:], guestBase)
	le.PutUint64(ph[24:], guestBase)
	b = append(b, asm(code...)...)
	le.PutUint64(b[64+32:], uint64(len(b)))
	le.PutUint64(b[64+40:], 0x1000)
	return program(t, b)
}

// guest32 is guest for 32-bit code.
func guest32(t testing.TB, code ...[]byte) string {
	const header = 52 + 32
	b := make([]byte, header)
	copy(b, "\x7fELF\x01\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], 3) // EM_386
	le.PutUint32(b[20:], 1)
	le.PutUint32(b[24:], guestBase+header)
	le.PutUint32(b[28:], 52)
	le.PutUint16(b[40:], 52)
	le.PutUint16(b[42:], 32)
	le.PutUint16(b[44:], 1)
	ph := b[52:]
	le.PutUint32(ph, 1)
	le.PutUint32(ph[8:], guestBase)
	le.PutUint32(ph[12:], guestBase)
	le.PutUint32(ph[24:], 7)
	b = append(b, asm(code...)...)
	le.PutUint32(b[52+16:], uint32(len(b)))
	le.PutUint32(b[52+20:], 0x1000)
	return program(t, b)
}

func program(t testing.TB, elf []byte) string {
	if len(elf) > guestData-guestBase {
		t.Fatalf("guest of %d bytes", len(elf))
	}
	path := filepath.Join(t.TempDir(), "guest")
	if err := os.WriteFile(path, elf, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// newTracer makes a tracer for the test's goroutine and closes it at its end.
func newTracer(t testing.TB, c Config) *Tracer {
	tr := NewTracer(c)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func start(t testing.TB, tr *Tracer, path string, args ...string) *Tracee {
	t.Helper()
	tee, err := tr.Start(exec.Command(path, args...))
	if err != nil {
		t.Fatal(err)
	}
	return tee
}

// next resumes the tracee and returns its next stop.
func next(t testing.TB, tee *Tracee, req Request, sig ...int) Stop {
	t.Helper()
	s := 0
	if len(sig) > 0 {
		s = sig[0]
	}
	if err := tee.Resume(req, sysSignal(s)); err != nil {
		t.Fatal(err)
	}
	stop, err := tee.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

// want checks the string of a stop.
func want(t testing.TB, got Stop, want string) {
	t.Helper()
	if got.String() != want {
		t.Fatalf("stop: %v, want %v", got, want)
	}
}
