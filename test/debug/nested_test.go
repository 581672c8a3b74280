package debug

import (
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
)

// sysemu runs inside sysemu, by the ptrace(2) that its kernel has for guests.
func TestNested(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "two deep", Outside: true, Timeout: 3 * time.Minute,
			Script: `$IN $IN bash -c 'echo hello; seq 3 | wc -l; (exit 7); echo $?; exit 4'; echo $?`},
		{Name: "three deep", Outside: true, Timeout: 5 * time.Minute,
			Script: `$IN $IN $IN bash -c 'echo hello; exit 3'; echo $?`},
	})
}
