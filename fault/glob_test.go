package fault

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		yes, not []string
	}{
		{"*.db", []string{"a.db", "/x/y/a.db", ".db"}, []string{"/a.db/x", "a.dbx"}},
		{"/tmp/*", []string{"/tmp/a", "/tmp/"}, []string{"/tmp/a/b", "/tmp", "tmp/a"}},
		{"/tmp/**", []string{"/tmp/a", "/tmp/a/b"}, []string{"/tmp", "/var/tmp/a"}},
		{"/**/*.c", []string{"/a/b.c", "/a/b/c.c"}, []string{"/a/b.c/d", "/a.c"}},
		{"**/x*y", []string{"/a/xy", "a/b/xzzy", "x/xay/xby"}, []string{"/xy/z", "/x/y"}},
		{"/a?c", []string{"/abc"}, []string{"/a/c", "/ac", "/abbc"}},
		{"/[a-c]x", []string{"/ax", "/cx"}, []string{"/dx", "/x"}},
		{"/[!a-c]x", []string{"/dx"}, []string{"/ax", "//x"}},
		{"/[]]x", []string{"/]x"}, []string{"/ax"}},
		{`/\*x`, []string{"/*x"}, []string{"/ax"}},
		{"/[x", []string{"/[x"}, []string{"/x"}},
		{"pipe:*", []string{"pipe:[7]"}, []string{"socket:[7]"}},
		{"", []string{""}, []string{"a"}},
	} {
		g := newGlob(c.pattern)
		for _, s := range c.yes {
			if !g.match(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.not {
			if g.match(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
	// Hostile names take no more than the square of their length.
	if newGlob("/" + strings.Repeat("*a", 200) + "b").match("/" + strings.Repeat("a", 4000)) {
		t.Error("a name without b matches")
	}
}
