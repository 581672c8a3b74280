// Package readme checks that what the README shows works.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func readme(t *testing.T) string {
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func blocks(t *testing.T, lang string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+lang+"\n(.*?)```").FindAllStringSubmatch(readme(t), -1) {
		found = append(found, m[1])
	}
	return found
}

func TestProgram(t *testing.T) {
	programs := blocks(t, "go")
	if len(programs) != 1 {
		t.Fatalf("%d programs in README.md, want 1", len(programs))
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(programs[0]), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", file)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "42\n" {
		t.Errorf("it printed %q, %v; want 42", out, err)
	}
}

func TestCommands(t *testing.T) {
	commands := blocks(t, "sh")
	if len(commands) != 2 || strings.TrimSpace(commands[1]) != "go test ./..." {
		t.Fatalf("commands in README.md: %q", commands)
	}
	cmd := exec.Command("/bin/bash", "-c", commands[0])
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^hello from \d+\nLinux .*x86_64`).Match(out) {
		t.Errorf("it printed %q, %v", out, err)
	}
}
