package trace

import (
	"testing"

	"github.com/sysemu/sysemu/abi"
)

// Wants reports whether a filter lets a call through.
func Wants(t *testing.T, expr, name string) bool {
	f, err := parseFilter([]string{expr})
	if err != nil {
		t.Fatal(err)
	}
	return f.wants(abi.AMD64, abi.ByName(name).AMD64)
}
