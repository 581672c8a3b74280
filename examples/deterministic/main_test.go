package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestDeterministic(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	outputs := map[string]string{}
	for _, seed := range []string{"1", "2"} {
		var out bytes.Buffer
		if err := run([]string{"-seed", seed}, &out); err != nil {
			t.Fatalf("seed %s: %v\n%s", seed, err, &out)
		}
		for _, part := range []string{"of 15 counted ", "children ", "time 1893456", "the same: the output, and "} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("seed %s: there is no %q in\n%s", seed, part, &out)
			}
		}
		outputs[seed] = out.String()
	}
	if outputs["1"] == outputs["2"] {
		t.Errorf("two seeds, one outcome:\n%s", outputs["1"])
	}

	// By the host's clock not even the times of a shell's calls are the same.
	err := run([]string{"-host", "--", "sh", "-c", "date +%N"}, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "the traces differ from line ") {
		t.Errorf("by the host's clock: %v", err)
	}
}
