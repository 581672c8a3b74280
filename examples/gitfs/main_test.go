package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// repository makes one with two commits, tagged one and two, and nothing checked out.
func repository(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("git is not installed")
		}
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-euc", `
git init -q .
mkdir sub; echo 'hello, world' >sub/greeting; echo gone >old; ln -s sub/greeting link; printf '#!/bin/sh\necho I run\n' >prog; chmod +x prog
git add .; git commit -qm one; git tag one
echo 'hello, gopher' >sub/greeting; git rm -q old
git add .; git commit -qm two; git tag two
git rm -rq .; git commit -qm empty`)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE=2001-02-03T04:05:06Z", "GIT_COMMITTER_DATE=2001-02-03T04:05:06Z")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func TestGitFS(t *testing.T) {
	repo := repository(t)
	t.Setenv("LC_ALL", "C")
	t.Setenv("TZ", "UTC")
	for _, c := range []struct {
		args    string // the revisions
		command []string
		want    string
	}{
		{"one", []string{"ls"}, "link\nold\nprog\nsub\n"},
		{"two", []string{"grep", "-r", "hello", "."}, "./sub/greeting:hello, gopher\n"},
		{"one", []string{"sh", "-c", "readlink link; cat link; ./prog; date -r old +%F_%T"}, "sub/greeting\nhello, world\nI run\n2001-02-03_04:05:06\n"},
		{"one two", []string{"sh", "-c", "diff -r --no-dereference /git/one /git/two | grep -v ^diff"},
			"Only in /git/one: old\n1c1\n< hello, world\n---\n> hello, gopher\n"},
		{"two", []string{"sh", "-c", "rm prog 2>&1 | grep -o 'Read-only.*'; ls"}, "Read-only file system\nlink\nprog\nsub\n"},
	} {
		var out bytes.Buffer
		args := append([]string{"-C", repo}, strings.Fields(c.args)...)
		args = append(append(args, "--"), c.command...)
		if err := run(args, nil, &out); err != nil {
			t.Errorf("%v: %v: %s", c.command, err, &out)
		} else if out.String() != c.want {
			t.Errorf("%v: got %q, want %q", c.command, &out, c.want)
		}
	}
	if entries, err := os.ReadDir(repo); err != nil || len(entries) != 1 {
		t.Errorf("the repository has files now: %v, %v", entries, err)
	}
	if err := run([]string{"-C", repo, "three", "--", "ls"}, nil, nil); err == nil || !strings.Contains(err.Error(), "three") {
		t.Errorf("a revision that there is not: %v", err)
	}
}
