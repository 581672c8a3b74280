// Package real runs real programs natively and inside sysemu and compares their output and exit status: every program
// the project promises to run has its family here. See internal/compare for how.
package real

import (
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
)

func TestMain(m *testing.M) { compare.Main(m) }
