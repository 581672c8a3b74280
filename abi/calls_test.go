package abi

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// The list is whole: all numbers of x86-64 are there, in order, and no number or name twice.
func TestCallsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	nr64, nr32 := map[int]string{}, map[int]string{}
	last := -1
	for _, c := range Calls {
		if seen[c.Name] {
			t.Errorf("%s is listed twice", c.Name)
		}
		seen[c.Name] = true
		if c.AMD64 < 0 && c.I386 < 0 {
			t.Errorf("%s has no number", c.Name)
		}
		if c.AMD64 >= 0 {
			if c.AMD64 <= last {
				t.Errorf("%s: number %d comes after %d", c.Name, c.AMD64, last)
			}
			last = c.AMD64
			if o := nr64[c.AMD64]; o != "" {
				t.Errorf("x86_64 %d is %s and %s", c.AMD64, o, c.Name)
			}
			nr64[c.AMD64] = c.Name
		}
		if c.I386 >= 0 {
			if o := nr32[c.I386]; o != "" {
				t.Errorf("i386 %d is %s and %s", c.I386, o, c.Name)
			}
			nr32[c.I386] = c.Name
		}
		if len(c.Args) > 6 || len(c.Args386) > 6 {
			t.Errorf("%s: more than six arguments", c.Name)
		}
	}
	for nr := 0; nr <= MaxNumber; nr++ {
		if gap := nr > 335 && nr < 424; gap != (nr64[nr] == "") {
			t.Errorf("x86_64 %d: have %q", nr, nr64[nr])
		}
		// 222, 223, 251 and 285 were never given out; 387 to 392 are free; 415 is free.
		gap := nr == 222 || nr == 223 || nr == 251 || nr == 285 || nr >= 387 && nr <= 392 || nr == 415
		if gap != (nr32[nr] == "") {
			t.Errorf("i386 %d: have %q", nr, nr32[nr])
		}
	}
}

// Every call has its number by the host's headers, and the headers have none that the list lacks.
func TestCallsAgainstHeaders(t *testing.T) {
	define := regexp.MustCompile(`^#define __NR_(\w+) (\d+)$`)
	for _, h := range []struct {
		arch Arch
		file string
	}{
		{AMD64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"},
		{I386, "/usr/include/x86_64-linux-gnu/asm/unistd_32.h"},
	} {
		t.Run(h.arch.String(), func(t *testing.T) {
			f, err := os.Open(h.file)
			if err != nil {
				t.Skip(err)
			}
			defer f.Close()
			inHeader, highest := map[string]bool{}, 0
			for s := bufio.NewScanner(f); s.Scan(); {
				m := define.FindStringSubmatch(s.Text())
				if m == nil {
					continue
				}
				nr, _ := strconv.Atoi(m[2])
				if nr > MaxNumber {
					continue // a newer kernel's
				}
				inHeader[m[1]], highest = true, max(highest, nr)
				if c := ByName(m[1]); c == nil || c.Number(h.arch) != nr {
					t.Errorf("%s is %d, the list has %+v", m[1], nr, c)
				} else if ByNumber(h.arch, nr) != c {
					t.Errorf("%d is not found as %s", nr, c)
				}
			}
			if len(inHeader) < 300 {
				t.Fatalf("only %d calls in %s", len(inHeader), h.file)
			}
			for _, c := range Calls {
				nr := c.Number(h.arch)
				if nr >= 0 && nr <= highest && !inHeader[c.Name] && c.Name != "uretprobe" { // younger than its number
					t.Errorf("%s (%d) is not in %s", c.Name, nr, h.file)
				}
			}
		})
	}
}

// Lengths are where their buffers say, and what splits a value in two has both halves.
func TestArgs(t *testing.T) {
	for _, c := range Calls {
		for _, arch := range []Arch{AMD64, I386} {
			if c.Number(arch) < 0 {
				continue
			}
			args := c.ArgsOn(arch)
			halves := 0
			for i, a := range args {
				switch a.Kind.Base() {
				case Buf, PathBuf, IovecArray, PollfdArray, SockaddrPtr, SockoptPtr, GidArray, Gid16Array, CPUSetPtr, MmsghdrArray:
					n := a.Kind.LenArg(i)
					if n >= len(args) {
						t.Errorf("%s on %s: no length of %s", c.Name, arch, a.Name)
						continue
					}
					switch l := args[n].Kind; l.Base() {
					case Size, Uint, Ulong, Int:
					case SocklenPtr:
						if a.Kind&Out == 0 {
							t.Errorf("%s on %s: length of %s by pointer", c.Name, arch, a.Name)
						}
					default:
						t.Errorf("%s on %s: length of %s in %s", c.Name, arch, a.Name, args[n].Name)
					}
				case OffsetLo:
					halves++
				case OffsetHi:
					halves--
				}
				if a.Kind&(Out|InOut|LenIn0|LenIn1|LenIn2) != 0 && !a.Kind.IsPointer() {
					t.Errorf("%s on %s: %s is no pointer", c.Name, arch, a.Name)
				}
				if a.Kind.Base() >= lastKind {
					t.Errorf("%s: %s has no kind", c.Name, a.Name)
				}
			}
			if halves != 0 || arch == AMD64 && hasKind(args, OffsetLo) {
				t.Errorf("%s on %s: halves of an offset", c.Name, arch)
			}
		}
	}
}

func hasKind(args []Arg, k Kind) bool {
	for _, a := range args {
		if a.Kind.Base() == k {
			return true
		}
	}
	return false
}

func TestLookup(t *testing.T) {
	if c := ByNumber(AMD64, 0); c == nil || c.Name != "read" {
		t.Errorf("x86_64 0 is %v", c)
	}
	if c := ByNumber(I386, 3); c != ByName("read") {
		t.Errorf("i386 3 is %v", c)
	}
	for _, nr := range []int{-1, MaxNumber + 1, 1 << 30, 336, 423} {
		if c := ByNumber(AMD64, nr); c != nil {
			t.Errorf("x86_64 %d is %v", nr, c)
		}
	}
	if c := ByNumber(0, 0); c != nil {
		t.Errorf("no architecture, 0 is %v", c)
	}
	if ByName("nosuch") != nil {
		t.Error("nosuch exists")
	}
	if g := ByName("openat").Groups(); g != GroupFile|GroupDesc {
		t.Errorf("openat is in groups %b", g)
	}
	if a := ByName("pread64").ArgsOn(I386); len(a) != 5 {
		t.Errorf("pread64 on i386 takes %v", a)
	}
	if r := ByName("getgroups").Args[1].Kind; r.LenArg(1) != 0 || !r.Writes() || r.Reads() {
		t.Errorf("getgroups' list is %v", r)
	}
}
