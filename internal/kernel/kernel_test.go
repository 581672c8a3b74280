package kernel

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/fs/gofs"
	"github.com/sysemu/sysemu/internal/fs/iofs"
	"github.com/sysemu/sysemu/internal/vfs"
)

// guest runs a program from a directory's tree and returns its output and
// wait status.
func runIn(t testing.TB, dir string, args ...string) (string, int) {
	t.Helper()
	k, err := New(Config{Root: func(vfs.Context) (vfs.FileSystem, error) { return gofs.New(os.DirFS(dir), gofs.Options{Dev: 100}), nil }, CPUs: 1, Report: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := iofs.New(w, &k.mu)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	k.Lock()
	f := out.Description()
	k.Unlock()
	p, err := k.Start(Start{Path: args[0], Args: args, Env: []string{"PATH=/bin:/usr/bin"}, Files: []*vfs.File{nil, f, f}})
	if err != nil {
		t.Fatal(err)
	}
	k.Lock()
	f.Unref(k.boot)
	k.Unlock()
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		got <- string(b)
	}()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Error("the guest does not end")
		p.Signal(9)
		<-p.Done()
	}
	out.Close()
	return <-got, int(p.Wait())
}

func TestStaticC(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "a.c")
	os.WriteFile(src, []byte(`#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>
#include <stdlib.h>
int main(int argc, char **argv) {
	printf("hello %d %s\n", argc, argv[1]); fflush(stdout);
	int s; pid_t p = fork();
	if (!p) { printf("child\n"); fflush(stdout); _exit(7); }
	if (waitpid(p, &s, 0) != p) return 1;
	printf("child said %d\n", WEXITSTATUS(s));
	char *m = malloc(1<<20); m[4096]=1;
	return 3;
}`), 0o644)
	if b, err := exec.Command("gcc", "-static", "-o", filepath.Join(dir, "a"), src).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	out, ws := runIn(t, dir, "/a", "world")
	if out != "hello 2 world\nchild\nchild said 7\n" || ws != 3<<8 {
		t.Errorf("status %#x, output:\n%s", ws, out)
	}
	_ = strings.TrimSpace
}
