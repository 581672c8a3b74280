package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/fs/gofs"
	"github.com/sysemu/sysemu/internal/vfs"
)

// TestNothingIsLeft runs the stress program and looks for what it has left in
// the kernel's tables.
func TestNothingIsLeft(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "stress")
	if b, err := exec.Command("gcc", "-O1", "-w", "-static", "-pthread", "-o", bin, "../../guest/proc/stress.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	for _, cpus := range []int{1, 3} {
		k, err := New(Config{Root: func(vfs.Context) (vfs.FileSystem, error) { return gofs.New(os.DirFS(dir), gofs.Options{Dev: 100}), nil }, CPUs: cpus, Report: func(s string) { t.Error(s) }})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		k.Lock()
		before := len(k.pids.tasks)
		k.Unlock()
		p, err := k.Start(Start{Path: "/stress", Args: []string{"stress"}, Files: []*vfs.File{nil, nil, nil}})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.Done():
		case <-time.After(60 * time.Second):
			t.Fatal("the guest does not end")
		}
		if ws := p.Wait(); ws != 0 {
			t.Errorf("status %#x", ws)
		}
		// Orphans that were killed may still be going.
		var tasks, procs, futexes, timers, stacks int
		for range 100 {
			k.Lock()
			tasks, procs, futexes, timers, stacks = len(k.pids.tasks)-before, len(k.pids.procs), len(k.futexes), len(k.timers.heap), 0
			for _, c := range k.cpus {
				stacks += c.stacks - len(c.spare)
			}
			k.Unlock()
			if tasks == 0 && stacks == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if tasks != 0 || procs > 1 || futexes != 0 || timers != 0 || stacks != 0 {
			t.Errorf("%d CPUs: left are %d tasks, %d processes, %d futexes, %d timers, %d kernel stacks", cpus, tasks, procs, futexes, timers, stacks)
		}
	}
}
