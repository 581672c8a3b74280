package seccomp

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

const (
	ld  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ret = unix.BPF_RET | unix.BPF_K
	jeq = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
)

// Programs that Linux refuses, and their neighbours that it takes.
func TestCompile(t *testing.T) {
	allow := Instruction{Code: ret, K: Allow}
	for _, c := range []struct {
		name string
		code []Instruction
		ok   bool
	}{
		{"empty", nil, false},
		{"return", []Instruction{allow}, true},
		{"no return at the end", []Instruction{allow, {Code: unix.BPF_LD | unix.BPF_IMM}}, false},
		{"return of X", []Instruction{{Code: unix.BPF_RET | unix.BPF_X}}, false},
		{"last word", []Instruction{{Code: ld, K: 60}, allow}, true},
		{"past the data", []Instruction{{Code: ld, K: 64}, allow}, false},
		{"unaligned", []Instruction{{Code: ld, K: 2}, allow}, false},
		{"ancillary data", []Instruction{{Code: ld, K: 0xfffff000}, allow}, false},
		{"half word", []Instruction{{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS}, allow}, false},
		{"indirect", []Instruction{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_IND}, allow}, false},
		{"remainder", []Instruction{{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: 3}, allow}, false},
		{"division by zero", []Instruction{{Code: unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K}, allow}, false},
		{"shift by 31", []Instruction{{Code: unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K, K: 31}, allow}, true},
		{"shift by 32", []Instruction{{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 32}, allow}, false},
		{"high byte of the code", []Instruction{{Code: 0x100 | ret}, allow}, false},
		{"jump to the end", []Instruction{{Code: unix.BPF_JMP | unix.BPF_JA, K: 0}, allow}, true},
		{"jump past it", []Instruction{{Code: unix.BPF_JMP | unix.BPF_JA, K: 1}, allow}, false},
		{"jump back", []Instruction{allow, {Code: unix.BPF_JMP | unix.BPF_JA, K: 0xffffffff}, allow}, false},
		{"branch past it", []Instruction{{Code: jeq, Jf: 1}, allow}, false},
		{"load before store", []Instruction{{Code: unix.BPF_LD | unix.BPF_MEM}, allow}, false},
		{"load after store", []Instruction{{Code: unix.BPF_ST, K: 15}, {Code: unix.BPF_LDX | unix.BPF_MEM, K: 15}, allow}, true},
		{"store on one path", []Instruction{{Code: jeq, Jf: 1}, {Code: unix.BPF_ST}, {Code: unix.BPF_LD | unix.BPF_MEM}, allow}, false},
		{"store outside", []Instruction{{Code: unix.BPF_STX, K: 16}, allow}, false},
	} {
		_, err := Compile(c.code)
		if (err == nil) != c.ok || err != nil && err != unix.EINVAL {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	long := make([]Instruction, MaxLen+1)
	for i := range long {
		long[i] = allow
	}
	if _, err := Compile(long); err != unix.EINVAL {
		t.Error("4097 instructions:", err)
	}
	if _, err := Compile(long[:MaxLen]); err != nil {
		t.Error("4096 instructions:", err)
	}
}

// The order in which actions precede one another.
func TestStricter(t *testing.T) {
	order := []uint32{KillProcess, KillThread, Trap, Errno, UserNotif, Trace, Log, Allow}
	for i, a := range order {
		for j, b := range order {
			if got := Stricter(a|0x1234, b|0x4321); got != (i < j) {
				t.Errorf("%#x before %#x: %v", a, b, got)
			}
		}
	}
}

// A filter such as a container engine makes: a test of the architecture and a
// search for the number.
func BenchmarkRun(b *testing.B) {
	code := []Instruction{
		{Code: ld, K: 4}, {Code: jeq, Jt: 1, K: uint32(abi.AMD64)}, {Code: ret, K: KillProcess}, {Code: ld, K: 0},
	}
	for nr := range uint32(300) {
		code = append(code, Instruction{Code: jeq, Jf: 1, K: nr}, Instruction{Code: ret, K: Allow})
	}
	code = append(code, Instruction{Code: ret, K: Errno | 1})
	p, err := Compile(code)
	if err != nil {
		b.Fatal(err)
	}
	d := &abi.SeccompData{Nr: 150, Arch: abi.AMD64}
	for b.Loop() {
		if p.Run(d) != Allow {
			b.Fatal("not allowed")
		}
	}
}
