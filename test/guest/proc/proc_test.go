// Package proc runs the programs of the directory guest/proc natively and
// inside, and compares what they print and how they end. The host is the
// oracle: a program prints relations, never numbers that differ from run to
// run.
package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu"
)

const (
	sources = "../../../guest/proc"
	limit   = 60 * time.Second
)

func TestGuests(t *testing.T) {
	if testing.Short() {
		t.Skip("guest programs are not run with -short")
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	list, err := filepath.Glob(filepath.Join(sources, "*.c"))
	if err != nil || len(list) == 0 {
		t.Fatal("no guest programs", err)
	}
	dir := t.TempDir()
	machines := map[string]*sysemu.Machine{}
	for name, cpus := range map[string]int{"1cpu": 1, "3cpus": 3} {
		m, err := sysemu.New(sysemu.WithCPUs(cpus), sysemu.WithLog(func(msg string) { t.Error(msg) }))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		machines[name] = m
	}
	for _, src := range list {
		name := strings.TrimSuffix(filepath.Base(src), ".c")
		t.Run(name, func(t *testing.T) {
			bin := filepath.Join(dir, name)
			if b, err := exec.Command(gcc, "-O1", "-w", "-pthread", "-o", bin, src, "-lrt").CombinedOutput(); err != nil {
				t.Fatalf("gcc: %v\n%s", err, b)
			}
			// All at once: most of it is sleeping.
			var want string
			var got [2]string
			var all sync.WaitGroup
			all.Go(func() { want = native(bin) })
			for i, cpus := range kinds {
				all.Go(func() { got[i] = inside(machines[cpus], bin) })
			}
			all.Wait()
			for i, cpus := range kinds {
				if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got[i], "\n")); d != "" {
					t.Errorf("%s: native (-) and inside (+) differ:\n%s", cpus, d)
				}
			}
		})
	}
}

// kinds are the machines, by how many CPUs they have.
var kinds = [2]string{"1cpu", "3cpus"}

func native(bin string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, bin)
	c.Dir = os.TempDir()
	c.WaitDelay = time.Second
	// In a session of its own, as inside: whether a process group is orphaned
	// depends on whether init, or who is in its place, is of the session.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := c.CombinedOutput()
	var status int
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		status, err = int(ee.Sys().(interface{ ExitStatus() int }).ExitStatus()), nil
	}
	return fmt.Sprintf("%s\nstatus %d %v", out, status, err)
}

func inside(m *sysemu.Machine, bin string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := m.CommandContext(ctx, bin)
	c.Dir = os.TempDir()
	out, err := c.CombinedOutput()
	var status int
	var ee *sysemu.ExitError
	if errors.As(err, &ee) {
		status, err = int(ee.Sys().ExitStatus()), nil
	}
	return fmt.Sprintf("%s\nstatus %d %v", out, status, err)
}
