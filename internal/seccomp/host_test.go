package seccomp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// noCall is a number that no system call has: allowed, it fails with ENOSYS.
const noCall = 5000

type probe struct {
	Nr   int32
	_    int32
	Args [6]uint64
}

type answer struct {
	Installed int64
	IP        uint64
	Done      int64
	Status    int64
	Result    [16]int64
}

// TestAgainstHost gives random programs to the host's seccomp(2) and to ours:
// what is taken, what is refused, and what the calls come back with are the
// same.
func TestAgainstHost(t *testing.T) {
	oracle := buildOracle(t)
	rng := rand.New(rand.NewSource(1))
	var in bytes.Buffer
	put := func(v any) { binary.Write(&in, binary.LittleEndian, v) }
	type testCase struct {
		code   []Instruction
		probes []probe
	}
	var cases []testCase
	for range 500 {
		c := testCase{code: random(rng)}
		for range 6 {
			p := probe{Nr: noCall + int32(rng.Intn(3))}
			for i := range p.Args {
				p.Args[i] = uint64(interesting(rng)) | uint64(interesting(rng))<<32
			}
			c.probes = append(c.probes, p)
		}
		cases = append(cases, c)
		put([2]uint32{uint32(len(c.code)), uint32(len(c.probes))})
		put(c.code)
		put(c.probes)
	}
	cmd := exec.Command(oracle)
	cmd.Stdin = &in
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]answer, len(cases))
	if err := binary.Read(bytes.NewReader(out), binary.LittleEndian, answers); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for n, c := range cases {
		a := answers[n]
		p, err := Compile(c.code)
		if host := unix.Errno(-a.Installed); (err == nil) != (host == 0) || err != nil && err != host {
			t.Errorf("case %d: host %v, here %v\n%s", n, host, err, dump(c.code))
			continue
		}
		if err != nil {
			continue
		}
		taken++
		for i, pr := range c.probes {
			d := abi.SeccompData{Nr: pr.Nr, Arch: abi.AMD64, IP: a.IP, Args: pr.Args}
			r := p.Run(&d)
			want, killed := outcome(r)
			ws := syscall.WaitStatus(a.Status)
			if dead := int64(i) >= a.Done; dead != killed || dead && ws.Signal() != unix.SIGSYS || !dead && a.Result[i] != want {
				t.Errorf("case %d, call %d: filter says %#x; host: %d, killed %v (status %#x)\n%+v\n%s", n, i, r, a.Result[i], dead, a.Status, d, dump(c.code))
			}
			if killed {
				break
			}
		}
	}
	if taken < len(cases)/4 || taken == len(cases) {
		t.Errorf("%d of %d programs were taken: not a good mixture", taken, len(cases))
	}
}

// outcome is what a call that does not exist comes to under a filter's
// verdict, without a tracer or a listener.
func outcome(r uint32) (result int64, killed bool) {
	switch r & ActionMask {
	case Allow, Log, Trace, UserNotif:
		return -int64(unix.ENOSYS), false
	case Errno:
		return -int64(min(r&DataMask, 4095)), false
	}
	return 0, true // killed, or trapped without a handler
}

func buildOracle(t *testing.T) string {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed (.ci/run installs it)")
	}
	bin := filepath.Join(t.TempDir(), "oracle")
	if out, err := exec.Command(gcc, "-O1", "-o", bin, "testdata/oracle.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

// interesting is a number near a border, more often than not.
func interesting(rng *rand.Rand) uint32 {
	switch rng.Intn(5) {
	case 0:
		return uint32(rng.Intn(4))
	case 1:
		return -uint32(rng.Intn(3))
	case 2:
		return 1 << rng.Intn(32)
	case 3:
		return noCall + uint32(rng.Intn(3))
	}
	return rng.Uint32()
}

var allCodes = func() (codes []uint16) {
	for c, o := range ops {
		if o != invalid && o != retK && o != retA {
			codes = append(codes, uint16(c))
		}
	}
	return
}()

// random makes a program of which most, but not all, is in order. It ends by
// giving away its registers in the error's number.
func random(rng *rand.Rand) []Instruction {
	var code []Instruction
	n := rng.Intn(24)
	wrong := rng.Intn(3) == 0 // may have a mistake
	for i := range uint32(rng.Intn(5)) {
		code = append(code, Instruction{Code: unix.BPF_ST, K: i})
	}
	stores := uint32(len(code))
	for range n {
		in := Instruction{Code: allCodes[rng.Intn(len(allCodes))], K: interesting(rng)}
		switch ops[in.Code] {
		case loadData:
			in.K = uint32(rng.Intn(16)) * 4
		case loadMem, loadXMem:
			if stores == 0 {
				in.Code = unix.BPF_MISC | unix.BPF_TXA
			} else {
				in.K = uint32(rng.Intn(int(stores)))
			}
		case store, storeX:
			in.K = uint32(rng.Intn(16))
		case divK:
			in.K |= 1
		case lshK, rshK:
			in.K &= 31
		case jump:
			in.K = uint32(rng.Intn(4))
		case jeqK, jeqX, jgtK, jgtX, jgeK, jgeX, jsetK, jsetX:
			in.Jt, in.Jf = uint8(rng.Intn(4)), uint8(rng.Intn(4))
		}
		if wrong && rng.Intn(12) == 0 {
			switch rng.Intn(4) {
			case 0:
				in.Code = uint16(rng.Intn(256))
			case 1:
				in.K = interesting(rng)
			case 2:
				in.Jt, in.Jf = uint8(rng.Uint32()), uint8(rng.Intn(20))
			case 3:
				in.Code |= uint16(rng.Intn(2)) << uint(rng.Intn(16))
			}
		}
		code = append(code, in)
	}
	if rng.Intn(4) == 0 {
		actions := []uint32{KillProcess, KillThread, Trap, Errno, UserNotif, Trace, Log, Allow, 0x12340000}
		code = append(code, Instruction{Code: ret, K: actions[rng.Intn(len(actions))] | uint32(rng.Intn(8000))})
	}
	if wrong && rng.Intn(6) == 0 {
		return code
	}
	const alu = unix.BPF_ALU
	for range 4 { // the last jumps may come to any of these
		code = append(code, Instruction{Code: alu | unix.BPF_XOR | unix.BPF_X})
	}
	return append(code,
		Instruction{Code: unix.BPF_MISC | unix.BPF_TAX},
		Instruction{Code: alu | unix.BPF_MUL | unix.BPF_K, K: 0x9e3779b1},
		Instruction{Code: alu | unix.BPF_RSH | unix.BPF_K, K: 20},
		Instruction{Code: alu | unix.BPF_XOR | unix.BPF_X},
		Instruction{Code: alu | unix.BPF_AND | unix.BPF_K, K: 0xfff},
		Instruction{Code: alu | unix.BPF_OR | unix.BPF_K, K: Errno},
		Instruction{Code: unix.BPF_RET | unix.BPF_A})
}

func dump(code []Instruction) string {
	var b strings.Builder
	for i, in := range code {
		fmt.Fprintf(&b, "%3d: code %#04x jt %d jf %d k %#x\n", i, in.Code, in.Jt, in.Jf, in.K)
	}
	return b.String()
}
