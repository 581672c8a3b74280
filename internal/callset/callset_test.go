package callset

import (
	"errors"
	"testing"

	"github.com/sysemu/sysemu/abi"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		expr    string
		in, out string // calls of x86-64
		in32    string
		nowhere bool // has -1, a number that is none
	}{
		{expr: "read", in: "read", out: "write", in32: "read"},
		{expr: "read,write@64", in: "write", out: "open"},
		{expr: "all", in: "read", in32: "mmap2", nowhere: true},
		{expr: "!read", in: "write", out: "read", in32: "mmap2"},
		{expr: "none", out: "read"},
		{expr: "!all", out: "read"},
		{expr: "!none", in: "read"},
		{expr: "%file", in: "openat", out: "read"},
		{expr: "/^f(data)?sync$", in: "fdatasync", out: "msync"},
		{expr: "?nosuch,0", in: "read", out: "write"},
	} {
		s, err := Parse(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if c.in != "" && !s.Has(abi.AMD64, abi.ByName(c.in).AMD64) {
			t.Errorf("%s: no %s", c.expr, c.in)
		}
		if c.out != "" && s.Has(abi.AMD64, abi.ByName(c.out).AMD64) {
			t.Errorf("%s: has %s", c.expr, c.out)
		}
		if c.in32 != "" && !s.Has(abi.I386, abi.ByName(c.in32).I386) {
			t.Errorf("%s: no 32-bit %s", c.expr, c.in32)
		}
		if s.Has(abi.AMD64, -1) != c.nowhere {
			t.Errorf("%s: Has(-1) is %v", c.expr, !c.nowhere)
		}
	}
	for expr, at := range map[string]int{"": 0, "read,": 5, "read,nosuch": 5, "!nosuch": 1, "%nosuch": 0, "read@16": 5, "/(": 0, "/nosuch": 0, "467": 0} {
		_, err := Parse(expr)
		var e *Error
		if !errors.As(err, &e) || e.Offset != at || e.Reason == "" {
			t.Errorf("%q: %#v, want an error at %d", expr, err, at)
		}
	}
}
