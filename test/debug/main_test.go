// Package debug runs programs that trace others natively and inside sysemu, and compares what they say: strace, ltrace, gdb and
// the core files it reads, User-Mode Linux, and sysemu itself.
package debug

import (
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
)

func TestMain(m *testing.M) { compare.Main(m) }
