package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunner(t *testing.T) {
	for _, c := range []struct {
		name, program string // the program that it needs
		source, input string
		args          []string
		verdict       string
		stdout        string // all of it
		stderr        string // a part of it
	}{
		{name: "add.py", program: "python3", source: "print(sum(map(int, input().split())))", input: "20 22\n", verdict: "ok", stdout: "42\n"},
		{name: "exit.sh", source: "echo before; exit 3", verdict: "failed", stdout: "before\n"},
		{name: "sum.c", program: "gcc", input: "4 5\n", verdict: "ok", stdout: "9\n",
			source: "#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d %d\", &a, &b); printf(\"%d\\n\", a + b); }"},
		{name: "wrong.c", program: "gcc", source: "int main(void) { return x; }", verdict: "compile-error", stderr: "undeclared"},
		{name: "abort.sh", source: "kill -ABRT $$", verdict: "killed"},
		{name: "loop.sh", source: "while :; do :; done", args: []string{"-cpu", "50ms"}, verdict: "cpu-time"},
		{name: "hog.py", program: "python3", source: "x = bytearray(100 << 20); print(len(x))", args: []string{"-memory", "32"}, verdict: "memory"},
		{name: "flood.sh", source: "while echo 0123456; do :; done", args: []string{"-output", "32"}, verdict: "output", stdout: strings.Repeat("0123456\n", 4)},
		{name: "snoop.sh", source: "cat /etc/passwd", verdict: "failed", stderr: "Permission denied"},
		{name: "escape.sh", source: "ln -s /etc/passwd /box/mine; cat /box/mine", verdict: "failed", stderr: "Permission denied"},
		{name: "write.sh", source: "echo kept >/box/f && cat /box/f; echo x >/usr/bin/x", verdict: "failed", stdout: "kept\n"},
		{name: "net.py", program: "python3", source: "import socket\ntry: socket.socket()\nexcept PermissionError: print('no network')", verdict: "ok", stdout: "no network\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.program != "" {
				need(t, c.program)
			}
			file := filepath.Join(t.TempDir(), c.name)
			if err := os.WriteFile(file, []byte(c.source), 0o644); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := run(append(c.args, file), strings.NewReader(c.input), &out); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Verdict, Stdout, Stderr string
				Result                  struct{ Calls int }
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Verdict != c.verdict || got.Stdout != c.stdout || !strings.Contains(got.Stderr, c.stderr) || got.Result.Calls == 0 {
				t.Errorf("got %s\nwant %s, stdout %q, stderr with %q", &out, c.verdict, c.stdout, c.stderr)
			}
		})
	}
	if err := run([]string{"program.exe"}, nil, nil); err == nil || !strings.Contains(err.Error(), "not one of") {
		t.Errorf("a language that there is not: %v", err)
	}
}

// need: a program that is missing is a failure under CI, where all are installed.
func need(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}
