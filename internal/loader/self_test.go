package loader

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/hostcan"
)

// self is what testdata/self.c tells of itself.
type self struct {
	path  string
	maps  []string
	sp    uint64
	stack []byte
	stat  []string
}

// runSelf builds a source with these flags of gcc and runs it.
func runSelf(t *testing.T, source string, argv, env []string, flags ...string) *self {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	s := &self{path: filepath.Join(t.TempDir(), "self")}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := append([]string{"-O1", "-w", "-o", s.path, "testdata/" + source}, flags...)
	if out, err := exec.CommandContext(ctx, gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %v: %v\n%s", flags, err, out)
	}
	cmd := exec.CommandContext(ctx, s.path)
	cmd.Args, cmd.Env = argv, env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var parts [][]byte
	for len(out) >= 8 {
		n := binary.LittleEndian.Uint64(out)
		parts, out = append(parts, out[8:8+n]), out[8+n:]
	}
	s.maps = strings.Split(strings.TrimSpace(string(parts[0])), "\n")
	s.sp = binary.LittleEndian.Uint64(parts[1])
	s.stack = parts[2]
	// Numbered from 1 as in proc(5); the name has no spaces.
	s.stat = append([]string{""}, strings.Fields(string(parts[3]))...)
	return s
}

// of lists the mappings of a file: "start-end prot offset", and the anonymous
// ones that directly follow it.
func (s *self) of(path string) (list []string, start uint64) {
	end := ""
	for _, line := range s.maps {
		f := strings.Fields(line)
		lo, hi, _ := strings.Cut(f[0], "-")
		file := len(f) > 5 && f[5] == path
		if !file && !(len(f) == 5 && lo == end) {
			continue
		}
		if len(list) == 0 {
			start, _ = strconv.ParseUint(lo, 16, 64)
		}
		end = hi
		list = append(list, fmt.Sprintf("%s %s %s", f[0], f[1], f[2]))
	}
	return list, start
}

// mapsOf is the same of a plan; the programs have no RELRO, which would change
// their protection later.
func mapsOf(p *Placed) (list []string) {
	for _, m := range p.Mappings {
		prot := []byte("---p")
		for i, c := range "rwx" {
			if m.Prot&(1<<i) != 0 {
				prot[i] = byte(c)
			}
		}
		list = append(list, fmt.Sprintf("%08x-%08x %s %08x", m.Addr, m.Addr+m.Len, prot, m.Off))
	}
	return list
}

func TestSelf(t *testing.T) {
	for _, flags := range [][]string{
		{"-static"}, {"-static", "-no-pie"}, {"-static-pie"}, {"-pie"}, {"-no-pie"},
		{"-pie", "-Wl,-z,max-page-size=0x200000"},
		{"-no-pie", "-Wl,-z,noseparate-code"},
		{"-pie", "-z", "execstack"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) { checkSelf(t, "self.c", flags...) })
	}
}

func TestSelf32(t *testing.T) {
	hostcan.Need(t, hostcan.Run32)
	if exec.Command("gcc", "-m32", "-E", "/dev/null").Run() != nil {
		t.Skip("no gcc for i386")
	}
	for _, flags := range [][]string{
		{"-static", "-no-pie", "-fno-pie"}, {"-static-pie", "-fpie"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			checkSelf(t, "self32.c", append(flags, "-m32", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-mno-sse")...)
		})
	}
}

// checkSelf compares all that a program sees of its start with our plan.
func checkSelf(t *testing.T, source string, flags ...string) {
	t.Helper()
	argv := []string{"self", "", "an argument", strings.Repeat("x", 5000)}
	env := []string{"A=b", "PATH=/bin", "LONG=" + strings.Repeat("y", 9000)}
	s := runSelf(t, source, argv, env, append(flags, "-Wl,-z,norelro")...)
	f, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	im, err := Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	checkReadelf(t, im, s.path)

	want, start := s.of(s.path)
	p, err := im.Place(start, hostBounds)
	if err != nil {
		t.Fatal(err)
	}
	if span, err := im.Span(); err != nil || span != p.End-p.Start {
		t.Errorf("span %x %v of %x-%x", span, err, p.Start, p.End)
	}
	if im.Dynamic && start%im.Alignment() != 0 {
		t.Errorf("the host chose %x, alignment %x", start, im.Alignment())
	}
	got := mapsOf(p)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("mappings: native -, ours +\n%s", d)
	}
	var interp *Placed
	if im.HasInterp {
		interp = checkInterp(t, s, im)
	}
	checkStat(t, s, p)
	checkStack(t, s, argv, env, im, p, interp)
}

// checkInterp compares the extent of the interpreter: it has protected parts
// of itself since.
func checkInterp(t *testing.T, s *self, im *Image) *Placed {
	t.Helper()
	path, err := filepath.EvalSymlinks(im.Interp)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ld, err := ParseInterpreter(f, im.Arch)
	if err != nil {
		t.Fatal(err)
	}
	list, start := s.of(path)
	p, err := ld.Place(start, hostBounds)
	if err != nil {
		t.Fatal(err)
	}
	first, last := list[0], list[len(list)-1]
	lo, _, _ := strings.Cut(first, "-")
	_, hi, _ := strings.Cut(strings.Fields(last)[0], "-")
	if got := fmt.Sprintf("%x-%x", p.Start, p.End); got != lo+"-"+hi {
		t.Errorf("interpreter at %s, ours %s", lo+"-"+hi, got)
	}
	return p
}

// checkReadelf compares the headers with what readelf says.
func checkReadelf(t *testing.T, im *Image, path string) {
	t.Helper()
	out, err := exec.Command("readelf", "-lW", path).Output()
	if err != nil {
		t.Skip("no readelf")
	}
	text := string(out)
	if want := fmt.Sprintf("Entry point 0x%x\n", im.Entry); !strings.Contains(text, want) {
		t.Errorf("readelf does not say %q", want)
	}
	if want := fmt.Sprintf("There are %d program headers", im.PhNum); !strings.Contains(text, want) {
		t.Errorf("readelf does not say %q", want)
	}
	if im.HasInterp != strings.Contains(text, "Requesting program interpreter: "+im.Interp+"]") {
		t.Errorf("interpreter %q", im.Interp)
	}
	var loads []segment
	stack := StackDefault
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		switch f[0] {
		case "LOAD":
			s := segment{typ: ptLoad}
			for i, p := range []*uint64{&s.off, &s.vaddr, nil, &s.filesz, &s.memsz} {
				if p != nil {
					*p, _ = strconv.ParseUint(f[1+i], 0, 64)
				}
			}
			for _, c := range strings.Join(f[6:len(f)-1], "") {
				s.flags |= map[rune]uint32{'R': pfR, 'W': pfW, 'E': pfX}[c]
			}
			s.falign, _ = strconv.ParseUint(f[len(f)-1], 0, 64)
			loads = append(loads, s)
		case "GNU_STACK":
			stack = StackNoExec
			if strings.Contains(line, "RWE") {
				stack = StackExec
			}
		}
	}
	if d := cmp.Diff(loads, im.loads, cmp.AllowUnexported(segment{})); d != "" {
		t.Errorf("segments: readelf -, ours +\n%s", d)
	}
	if im.Stack != stack {
		t.Errorf("stack %v, readelf says %v", im.Stack, stack)
	}
}

// checkStat compares with /proc/self/stat, proc(5).
func checkStat(t *testing.T, s *self, p *Placed) {
	t.Helper()
	for i, v := range map[int]uint64{26: p.StartCode, 27: p.EndCode, 45: p.StartData, 46: p.EndData} {
		if s.stat[i] != fmt.Sprint(v) {
			t.Errorf("field %d of stat is %s, ours %d", i, s.stat[i], v)
		}
	}
}

// checkStack builds the stack that the host built, and compares all of it.
func checkStack(t *testing.T, s *self, argv, env []string, im *Image, p, interp *Placed) {
	t.Helper()
	// The host's vector, for what only it can know.
	le := binary.LittleEndian
	size := im.Arch.WordSize()
	word := func(i int) uint64 {
		if size == 4 {
			return uint64(le.Uint32(s.stack[4*i:]))
		}
		return le.Uint64(s.stack[8*i:])
	}
	native := map[uint64]uint64{}
	var order []abi.Auxv
	for i := 1 + len(argv) + 1 + len(env) + 1; ; i += 2 {
		if word(i) == abi.AT_NULL {
			break
		}
		native[word(i)] = word(i + 1)
		order = append(order, abi.Auxv{Tag: word(i), Value: word(i + 1)})
	}
	prog := &Program{
		VDSO: native[abi.AT_SYSINFO_EHDR], Sysinfo: native[abi.AT_SYSINFO], MinSigStack: native[abi.AT_MINSIGSTKSZ],
		HWCap: native[abi.AT_HWCAP], HWCap2: native[abi.AT_HWCAP2],
		UID: uint32(os.Getuid()), EUID: uint32(os.Geteuid()), GID: uint32(os.Getgid()), EGID: uint32(os.Getegid()),
	}
	if interp != nil {
		prog.Base = interp.Bias
	}
	auxv := prog.Auxv(im, p)
	for _, a := range order { // what we do not give
		if a.Tag == abi.AT_RSEQ_FEATURE_SIZE || a.Tag == abi.AT_RSEQ_ALIGN || a.Tag == abi.AT_HWCAP3 || a.Tag == abi.AT_HWCAP4 {
			auxv = append(auxv, a)
		}
	}
	top := s.sp + uint64(len(s.stack))
	st := &Stack{Arch: im.Arch, Argv: argv, Envp: env, ExecFn: s.path, Auxv: auxv}
	copy(st.Random[:], s.stack[native[abi.AT_RANDOM]-s.sp:])
	st.Slide = word(1) - (native[abi.AT_PLATFORM] + uint64(len(Platform(im.Arch))+1))
	got, err := st.Build(top)
	if err != nil {
		t.Fatal(err)
	}
	if got.SP != s.sp || !bytes.Equal(got.Bytes, s.stack) {
		t.Errorf("stack at %x, ours %x; %d bytes, ours %d", s.sp, got.SP, len(s.stack), len(got.Bytes))
		for i := 0; i+8 <= min(len(got.Bytes), len(s.stack)); i += 8 {
			if a, b := le.Uint64(s.stack[i:]), le.Uint64(got.Bytes[i:]); a != b {
				t.Errorf("at %x: %x, ours %x", s.sp+uint64(i), a, b)
				break
			}
		}
	}
	for i, v := range map[int]uint64{48: got.ArgStart, 49: got.ArgEnd, 50: got.EnvStart, 51: got.EnvEnd} {
		if s.stat[i] != fmt.Sprint(v) {
			t.Errorf("field %d of stat is %s, ours %d", i, s.stat[i], v)
		}
	}
}
