package fault

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Rule{
		"write":                                          {Calls: "write"},
		"fault=%file:error=enospc:when=3+2":              {Calls: "%file", Do: []Action{Errno(unix.ENOSPC)}, When: When{3, 0, 2}},
		"inject=read,write:retval=0x10":                  {Calls: "read,write", Do: []Action{Return(16)}},
		"read:retval=-1":                                 {Calls: "read", Do: []Action{Return(1<<64 - 1)}},
		"read:signal=KILL:when=2..4":                     {Calls: "read", Do: []Action{Signal(9)}, When: When{2, 4, 1}},
		"read:signal=10:when=7":                          {Calls: "read", Do: []Action{Signal(10)}, When: When{7, 7, 1}},
		"read:delay_enter=30:delay_exit=2ms:when=2..9+3": {Calls: "read", Do: []Action{DelayEnter(30 * time.Microsecond), DelayExit(2 * time.Millisecond)}, When: When{2, 9, 3}},
		"read:poke_exit=@arg2=00ff,@arg1=7f": {Calls: "read", Do: []Action{{kind: pokeExit, pokes: []poke{
			{1, []byte{0, 255}}, {0, []byte{127}}}}}},
		"read:error=7:when=1:when=2": {Calls: "read", Do: []Action{Errno(7)}, When: When{2, 2, 1}},
		`openat:path="/a:b*":comm=cat:code=libc.so*:pid=3:tid=4:per=process:prob=25%:seed=9`: {Calls: "openat", Path: "/a:b*", Comm: "cat", Code: "libc.so*", PID: 3, TID: 4,
			Per: PerProcess, Prob: 0.25, Seed: 9},
		"openat:arg.flags&O_CREAT|O_EXCL:fd=3:arg.mode!=0600": {Calls: "openat", Args: []Arg{{"flags", "&", "O_CREAT|O_EXCL"},
			{"fd", "=", "3"}, {"mode", "!=", "0600"}}},
		"write:arg.count>=4K:short=50%": {Calls: "write", Args: []Arg{{"count", ">=", "4K"}}, Do: []Action{Short(Part(.5))}},
		"write:torn=512":                {Calls: "write", Do: []Action{Torn(Bytes(0), Bytes(512))}},
		"write:torn=1K..75%":            {Calls: "write", Do: []Action{Torn(Bytes(1024), Part(.75))}},
		"write:clock=-90m:when=2":       {Calls: "write", Do: []Action{Clock(-90 * time.Minute)}, When: Once(2)},
		"write:clock=+36h":              {Calls: "write", Do: []Action{Clock(36 * time.Hour)}},
		"fsync,fdatasync:lost:when=2+":  {Calls: "fsync,fdatasync", Do: []Action{Lost()}, When: When{2, 0, 1}},
		"write:crash:when=3":            {Calls: "write", Do: []Action{Crash()}, When: Once(3)},
		"write:space=1M":                {Calls: "write", Do: []Action{Space(1 << 20)}},
		"read:arg3<0x20":                {Calls: "read", Args: []Arg{{"arg3", "<", "0x20"}}},
		"kill:arg.sig=SIGTERM":          {Calls: "kill", Args: []Arg{{"sig", "=", "SIGTERM"}}},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if d := cmp.Diff(want, *got, cmp.AllowUnexported(Action{}, poke{})); d != "" {
			t.Errorf("%s: %s", text, d)
		}
		again, err := Parse(got.String())
		if err != nil {
			t.Errorf("%s: written as %s: %v", text, got, err)
		} else if d := cmp.Diff(got, again, cmp.AllowUnexported(Action{}, poke{})); d != "" {
			t.Errorf("%s: written as %s: %s", text, got, d)
		}
	}
}

// TestParseErrors has what is wrong behind a caret.
func TestParseErrors(t *testing.T) {
	for _, c := range []string{
		"|names of calls are missing",
		"inject=|names of calls are missing",
		"inject=read|nothing is to happen", // at the end
		"read,^nosuch|no such call",
		"^%nosuch|no such class",
		"read:^|action or a condition is missing",
		"read:^errno=EIO|no such action or condition",
		"read:error^|has a value",
		"read:error=^EFOO|no such error",
		"read:error=^4096|1 to 4095",
		"read:error=^0|1 to 4095",
		"read:error=EIO:retval=^3|exclude each other",
		"read:error=EIO:^error=EIO|twice",
		"read:retval=^x|not a number",
		"read:signal=^SIGFOO|no such signal",
		"read:signal=^65|no such signal",
		"read:syscall=^fork|not one of %pure",
		"read:syscall=^getpid|neither",
		"read:when=^0|from 1",
		"read:when=^|from 1",
		"read:when=3..^2|before the first",
		"read:when=1+^0|from 1",
		"read:when=1+^2..9|not a number",
		"read:when=^65536|to 65535",
		"read:delay_enter=^1x|not a time",
		"read:delay_exit=^-1|not a time",
		"read:poke_enter=^arg1=00|form @argN=HEX",
		"read:poke_enter=@arg1=00,^@arg7=00|no such argument",
		"read:poke_enter=@arg1=^0|hexadecimal",
		"read:poke_enter=@arg1=00,^@arg1=01|twice",
		"read:^arg7=3|has an argument",
		"read:arg1^|comparison is missing",
		"read:arg.^nosuch=3|has an argument",
		"read:arg.count^|comparison is missing",
		"read:arg.count=^|value is missing",
		"read:arg.count<^many|not a number",
		"openat:arg.flags&O_CREAT|^O_NOSUCH|no value",
		"open:arg.^filename&x|text has no bits",
		"read:path=^|pattern is missing",
		`read:path=^"/a|nothing closes`,
		`read:path="/a"^x:error=EIO|after the quotes`,
		"read:pid=^0|from 1",
		"read:per=^cpu|not counted per",
		"read:prob=^0|not a probability",
		"read:prob=^101%|not a probability",
		"read:prob=^NaN|not a probability",
		"read:seed=^-1|not a number",
		"read:short=^much|number of bytes",
		"write:torn=9..^5|ends before it begins",
		"write:torn=1:short=^1|exclude each other",
		"write:clock=^0s|not a time",
		"write:clock=^5|not a time",
		"write:space=^1Q|number of bytes",
	} {
		i := strings.LastIndex(c, "|")
		text, reason := c[:i], c[i+1:]
		at := strings.Index(text, "^")
		if text = strings.Replace(text, "^", "", 1); at < 0 {
			at = len(text)
		}
		_, err := Parse(text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v, want an *Error", text, err)
			continue
		}
		if e.Offset != at || !strings.Contains(e.Reason, reason) || e.Rule != text {
			t.Errorf("%s: at %d of %q: %q; want at %d %q", text, e.Offset, e.Rule, e.Reason, at, reason)
		}
	}
	_, err := Parse("read:path=ä:when=x")
	if got, want := err.(*Error).Mark(), "read:path=ä:when=x\n                 ^ \"x\" is not a number from 1 to 65535"; got != want {
		t.Errorf("marked as\n%s\nwant\n%s", got, want)
	}
}

// TestNewErrors checks rules that were made in Go.
func TestNewErrors(t *testing.T) {
	for reason, r := range map[string]*Rule{
		"Calls: no such call": {Calls: "nosuch"},
		"Args: none":          {Calls: "read", Args: []Arg{{"nosuch", "=", "1"}}},
		"Args: no such comp":  {Calls: "read", Args: []Arg{{"fd", "~", "1"}}},
		"PID: ":               {PID: -1},
		"When: calls":         {When: When{First: -1}},
		"When: the last":      {When: When{First: 3, Last: 2}},
		"Per: ":               {Per: 9},
		"Prob: ":              {Prob: 1.5},
		"Do: 0 is not an":     {Do: []Action{Errno(0)}},
		"Do: error and torn":  {Do: []Action{Errno(1), Torn(Bytes(0), Bytes(1))}},
		"Do: the function":    {Do: []Action{Func(nil)}},
		"Do: no such arg":     {Do: []Action{PokeEnter(0, nil)}},
		"Do: -1 is not a num": {Do: []Action{Short(Bytes(-1))}},
	} {
		_, err := New(&Rule{}, r)
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Reason, reason) {
			t.Errorf("%+v: %v, want %q", r, err, reason)
		}
	}
}

func TestWhen(t *testing.T) {
	for text, want := range map[string]string{"": "1111111111", "3": "0010000000", "3+": "0011111111", "2+3": "0100100100", "2..4": "0111000000",
		"2..4+": "0111000000", "2..9+3": "0100100100", "1+2": "1010101010"} {
		r := &Rule{}
		if text != "" {
			var err error
			if r, err = Parse("read:when=" + text); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		for n := 1; n <= 10; n++ {
			got += map[bool]string{true: "1", false: "0"}[r.When.has(n)]
		}
		if got != want {
			t.Errorf("when=%s: %s, want %s", text, got, want)
		}
	}
}

func TestProbability(t *testing.T) {
	hits := func(seed uint64, tid int) (n int, all string) {
		c, wrong := compile(&Rule{Prob: 0.25, Seed: seed})
		if wrong != nil {
			t.Fatal(wrong.reason)
		}
		for i := 1; i <= 4000; i++ {
			if c.drawn(0, tid, i) {
				n++
				all += "x"
			} else {
				all += "."
			}
		}
		return n, all
	}
	n, one := hits(7, 5)
	if n < 900 || n > 1100 {
		t.Errorf("%d of 4000 at a quarter", n)
	}
	if _, again := hits(7, 5); again != one {
		t.Error("the same seed draws otherwise")
	}
	if _, other := hits(8, 5); other == one {
		t.Error("another seed draws the same")
	}
	if _, other := hits(7, 6); other == one {
		t.Error("another thread draws the same")
	}
}

// FuzzParse checks that what is read is written as it was, and that an error is in the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"read", "inject=%file:error=EIO:when=2..9+3", `a:path="\":":torn=1..50%`, "read:poke_exit=@arg1=00,@arg2=ff", "/^r:arg.fd>=3:prob=1e-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			e := err.(*Error)
			if e.Rule != text || e.Offset < 0 || e.Offset > len(text) || e.Reason == "" {
				t.Fatalf("%q: %+v", text, e)
			}
			if mark := e.Mark(); strings.Count(mark, "\n") != 1 && !strings.Contains(e.Reason, "\n") {
				t.Fatalf("%q: marked as %q", text, mark)
			}
			return
		}
		again, err := Parse(r.String())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, r, err)
		}
		if r.String() != again.String() {
			t.Fatalf("%q is written as %q and then as %q", text, r, again)
		}
	})
}
