package policy

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	p, err := Parse(`# all of it
default deny EACCES

allow	read,write,%memory # a comment
deny ENOENT %file mode=r
	path=/etc/shadow
	path="/a b/**"
deny 77 unlink
kill ptrace@32
log  execve user=0 user=1000
ask  connect,sendto addr=10.0.0.0/8:80-90 addr=[::1]:53 addr=unix:/run/** addr=unix:@x*
allow socket arg.family=AF_INET arg.type&15=1
deny open arg.flags&3=O_RDONLY
`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Policy{Default: Deny, Errno: unix.EACCES, Rules: []Rule{
		{Action: Allow, Calls: "read,write,%memory"},
		{Action: Deny, Errno: unix.ENOENT, Calls: "%file", Mode: Read, Paths: []string{"/etc/shadow", "/a b/**"}},
		{Action: Deny, Errno: 77, Calls: "unlink"},
		{Action: Kill, Calls: "ptrace@32"},
		{Action: Log, Calls: "execve", Users: []uint32{0, 1000}},
		{Action: Ask, Calls: "connect,sendto", Addrs: []string{"10.0.0.0/8:80-90", "[::1]:53", "unix:/run/**", "unix:@x*"}},
		{Action: Allow, Calls: "socket", Args: []string{"family=AF_INET", "type&15=1"}},
		{Action: Deny, Calls: "open", Args: []string{"flags&3=O_RDONLY"}},
	}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got\n%s\nwant\n%s", p, want)
	}
	again, err := Parse(p.String())
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("%v: of %s\nbecame %s", err, p, again)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var of Policy
	if err := json.Unmarshal(b, &of); err != nil || !reflect.DeepEqual(&of, p) {
		t.Errorf("%v: of %s\nbecame %s", err, b, &of)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		text         string
		line, column int
		reason       string
	}{
		{"forbid open", 1, 1, `no such action: "forbid"`},
		{"\n\ndeny", 3, 5, "the calls are missing"},
		{"deny EFOO open", 1, 6, `no such error: "EFOO"`},
		{"allow open,opne", 1, 12, `no such call: "opne"`},
		{"allow %files", 1, 7, `no such class`},
		{"allow open path=etc", 1, 17, `does not begin with /`},
		{"allow open path=/etc/", 1, 17, `not a clean name`},
		{"allow open path=/a/../b", 1, 17, `not a clean name`},
		{"allow open path=/a**", 1, 17, `** is not a name of its own`},
		{"allow open path=/[", 1, 17, `not a pattern`},
		{"allow getpid path=/x", 1, 19, `none of the calls takes a file's name`},
		{"allow open mode=rq", 1, 17, `no such mode: 'q'`},
		{"allow open mode=", 1, 17, `a mode is missing`},
		{"allow open addr=1.2.3.4", 1, 17, `none of the calls takes a socket's address`},
		{"allow connect addr=1.2.3", 1, 20, `it is neither IP nor a family`},
		{"allow connect addr=1.2.3.4:0", 1, 20, `no such port`},
		{"allow connect addr=1.2.3.4:90-80", 1, 20, `no such port`},
		{"allow connect addr=1.2.3.4/33", 1, 20, `no such prefix`},
		{"allow connect path=/x addr=inet", 1, 28, `files or about addresses`},
		{"allow open user=root", 1, 17, `not the number of a user`},
		{"allow open arg.flag=1", 1, 16, `open: there is no argument "flag"`},
		{"allow open arg.flags=O_NOTHING", 1, 16, `"O_NOTHING" is not a number`},
		{"allow open arg.flags", 1, 16, `compares nothing`},
		{"allow open because", 1, 12, `"because" is no condition`},
		{"allow open colour=red", 1, 12, `no such condition: "colour"`},
		{"default", 1, 8, "an action is missing"},
		{"default ask", 1, 9, "to allow, to deny or to kill"},
		{"default allow\ndefault deny", 2, 1, "there is a default already"},
		{"default deny EPERM open", 1, 20, "nothing may follow"},
		{"  path=/x", 1, 3, "there is none"},
		{`allow open path="/x`, 1, 17, "does not end"},
	} {
		_, err := Parse(tc.text)
		var e *ParseError
		if !errors.As(err, &e) || e.Line != tc.line || e.Column != tc.column || !strings.Contains(e.Reason, tc.reason) {
			t.Errorf("%q: %v; want line %d, column %d: …%s…", tc.text, err, tc.line, tc.column, tc.reason)
		}
	}
	for _, text := range []string{`{"default":"deny","rules":[{"action":"allow","calls":"opne"}]}`, `{"default":"log","rules":[]}`, `{"rules":[{"action":"allow","calls":"open","path":"/x"}]}`, `{"rules":[{"action":"allow","errno":"EPERM","calls":"open"}]}`} {
		var p Policy
		if err := json.Unmarshal([]byte(text), &p); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	var e *RuleError
	if _, err := Middleware(&Policy{Rules: []Rule{{Calls: "open"}, {Calls: "open", Action: 9}}}); !errors.As(err, &e) || e.Index != 1 {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("default deny EPERM\nallow open,%file path=\"/x y\" mode=r\n\tpath=/a/**\nask connect addr=[::1]:80-90 addr=unix:@a\n")
	f.Add("deny 5 6\nallow openat arg.flags&O_CREAT!=0 user=3")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if err := p.Check(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := Parse(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q: %v: %q is not %q", text, err, again, p)
		}
	})
}

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		yes, no string
		covers  string
		touches string
		misses  string
	}{
		{"/etc/passwd", "/etc/passwd", "/etc/passwd/x /etc /etc/passwdx", "", "/etc /etc/passwd /", "/usr /etc/passwd/x"},
		{"/etc/*", "/etc/x /etc/.x", "/etc /etc/x/y", "", "/etc / /etc/x", "/usr"},
		{"/etc/**", "/etc /etc/x /etc/x/y", "/etcx /", "/etc /etc/x /etc/x/y", "/etc /", "/usr /etcx"},
		{"/**", "/ /x /x/y", "x (unreachable)/x", "/ /x /x/y", "/ /x", ""},
		{"/**/x", "/x /a/x /a/b/x", "/a /a/x/b", "", "/ /a /a/b", ""},
		{"/a/**/b/*c", "/a/b/c /a/x/y/b/b/xc", "/a/b /a/b/c/d", "", "/a /a/q", "/b"},
		{"/home/*/.ssh/**", "/home/x/.ssh /home/x/.ssh/id", "/home/x", "/home/x/.ssh /home/x/.ssh/y", "/home /home/x", "/home/x/y"},
		{"/", "/", "/x", "", "/", "/x"},
		{"none", "", "/ none", "", "", "/"},
		{"anonymous:/memfd:*", "anonymous:/memfd:x", "/memfd:x", "", "", "/"},
	} {
		g, err := parseGlob(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []struct {
			what  string
			names string
			f     func(string) bool
			want  bool
		}{{"match", tc.yes, g.match, true}, {"match", tc.no, g.match, false}, {"covers", tc.covers, g.covers, true}, {"touches", tc.touches, g.touches, true}, {"touches", tc.misses, g.touches, false}} {
			for _, n := range strings.Fields(l.names) {
				if l.f(n) != l.want {
					t.Errorf("%s: %s of %s is %v", tc.pattern, l.what, n, !l.want)
				}
			}
		}
	}
	g, _ := parseGlob("/home/*/.ssh/**")
	for _, n := range []string{"/home", "/home/x"} {
		if g.covers(n) {
			t.Errorf("it covers %s", n)
		}
	}
}

func TestAddr(t *testing.T) {
	inet := func(s string) *sysemu.SockAddr {
		a := netip.MustParseAddrPort(s)
		f := unix.AF_INET
		if a.Addr().Is6() {
			f = unix.AF_INET6
		}
		return &sysemu.SockAddr{Family: f, AddrPort: a}
	}
	abstract := &sysemu.SockAddr{Family: unix.AF_UNIX, Abstract: "name", Raw: make([]byte, 7)}
	for _, tc := range []struct {
		pattern string
		a       *sysemu.SockAddr
		want    bool
	}{
		{"10.0.0.0/8", inet("10.1.2.3:80"), true}, {"10.0.0.0/8", inet("11.1.2.3:80"), false}, {"10.0.0.0/8:80-90", inet("10.1.2.3:90"), true},
		{"10.0.0.0/8:80-90", inet("10.1.2.3:91"), false}, {"127.0.0.1", inet("127.0.0.1:1"), true}, {"127.0.0.1:2", inet("127.0.0.1:1"), false},
		{"127.0.0.0/8", inet("0.0.0.0:1"), true}, {"0.0.0.0", inet("0.0.0.0:1"), false}, {"[::1]:53", inet("[::1]:53"), true}, {"::1", inet("[::]:53"), true},
		{"[fe80::/10]:80", inet("[fe80::1]:80"), true}, {"*:53", inet("1.2.3.4:53"), true}, {"*:53", inet("1.2.3.4:54"), false}, {"*:53", abstract, false},
		{"inet", inet("1.2.3.4:53"), true}, {"inet6", inet("1.2.3.4:53"), false}, {"unix", abstract, true}, {"unix:@na*", abstract, true}, {"unix:@x*", abstract, false},
		{"unix:/**", abstract, false}, {"none", abstract, false}, {"none", inet("1.2.3.4:5"), false},
	} {
		p, err := parseAddr(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if p.match(tc.a, false) != tc.want {
			t.Errorf("%s of %+v is not %v", tc.pattern, tc.a, tc.want)
		}
	}
	p, _ := parseAddr("127.0.0.0/8")
	if p.match(inet("0.0.0.0:1"), true) {
		t.Error("to bind to any host is to bind to this one")
	}
}

func TestArgs(t *testing.T) {
	for _, tc := range []struct {
		cond string
		v    int64
		want bool
	}{
		{"x=5", 5, true}, {"x=5", 6, false}, {"x!=5", 6, true}, {"x<5", 4, true}, {"x<5", 5, false}, {"x<=5", 5, true}, {"x>0x10", 17, true}, {"x>=5", 4, false},
		{"x=-1", -1, true}, {"x=-1", 0xffffffff, true}, {"x<0", -1, true}, {"x<0", 1, false}, {"x>-2", 3, true}, {"x&7=1", 9, true}, {"x&7!=1", 9, false}, {"x&0x80000000=0x80000000", -1, true},
	} {
		c, err := parseArg(tc.cond)
		if err != nil {
			t.Fatal(err)
		}
		if c.holds(tc.v, c.mask, c.num) != tc.want {
			t.Errorf("%s of %d is not %v", tc.cond, tc.v, tc.want)
		}
	}
}
