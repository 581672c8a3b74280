// Gitfs mounts revisions of a git repository, none of which is checked out:
// each is an fs.FS in memory, and programs inside the machine find it as
// /git/REVISION. They list, search and compare as they would any directory,
// and cannot change it.
//
//	go run ./examples/gitfs HEAD -- ls -l /git/HEAD
//	go run ./examples/gitfs -C ~/src/project v1.0 v1.1 -- diff -r /git/v1.0 /git/v1.1
//
// The working directory is that of the first revision.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys/tarfs"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gitfs:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("gitfs", flag.ContinueOnError)
	repo := flags.String("C", ".", "the repository")
	// Package flag would take the -- away that ends the revisions.
	var command []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, command = args[:i], args[i+1:]
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	revisions := flags.Args()
	if len(revisions) == 0 || len(command) == 0 {
		return fmt.Errorf("usage: gitfs [-C REPOSITORY] REVISION… -- PROGRAM ARGUMENT…")
	}

	var options []sysemu.Option
	for _, rev := range revisions {
		tree, err := checkout(*repo, rev)
		if err != nil {
			return err
		}
		options = append(options, sysemu.WithFS(tree, "/git/"+rev))
	}
	m, err := sysemu.New(options...)
	if err != nil {
		return err
	}
	defer m.Close()
	cmd := m.Command(command[0], command[1:]...)
	cmd.Dir = "/git/" + revisions[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
	return cmd.Run()
}

// checkout is the tree of a revision, in memory. Git writes it as a tar archive,
// and tarfs reads that in place; its files' times are the commit's.
func checkout(repo, rev string) (fs.FS, error) {
	var stderr bytes.Buffer
	git := exec.Command("git", "-C", repo, "archive", "--format=tar", "--end-of-options", rev)
	git.Stderr = &stderr
	archive, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("git archive %s: %w: %s", rev, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return tarfs.New(io.NewSectionReader(bytes.NewReader(archive), 0, int64(len(archive))))
}
