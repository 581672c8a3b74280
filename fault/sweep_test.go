package fault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
	"golang.org/x/sys/unix"
)

// sweep runs a mode of testdata/sweep.c.
func sweep(t *testing.T, c fault.Config) *fault.Report {
	t.Helper()
	if mode := c.Args; len(mode) == 1 {
		bin := filepath.Join(t.TempDir(), "sweep")
		if out, err := exec.Command(need(t, "gcc"), "-O1", "-w", "-o", bin, "testdata/sweep.c").CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
		c.Args = []string{bin, mode[0]}
	}
	c.Dir = t.TempDir()
	c.Time = time.Minute // whoever does not end is ended for its CPU time
	c.Options = append(c.Options, sysemu.WithLimits(sysemu.Limits{CPUTime: 400 * time.Millisecond}))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	r, err := fault.Sweep(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdicts are how each call's failing was taken: "write ENOSPC: reported".
func verdicts(r *fault.Report) (list []string) {
	for _, x := range r.Runs {
		list = append(list, fmt.Sprintf("%s %s: %v", x.Call, x.Error, x.Verdict))
	}
	return list
}

func TestSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("many machines")
	}
	for _, c := range []struct {
		mode, calls string
		want        []string
		bad         bool
	}{
		{"right", "open,openat,write,fsync,pread64,close", []string{"openat EMFILE: reported", "write ENOSPC: reported", "fsync EIO: reported",
			"pread64 EIO: reported", "write ENOSPC: reported", "close EIO: reported"}, false},
		{"ignores", "open,openat,write,fsync,close", []string{"openat EMFILE: silent", "write ENOSPC: silent",
			"write ENOSPC: silent",
			"fsync EIO: tolerated", "close EIO: tolerated"}, true},
		{"careless", "write,fsync,pread64", []string{"fsync EIO: hang", "write ENOSPC: wordless", "pread64 EIO: warned"}, true},
		{"xcrashes", "open,openat,clone,wait4", []string{"openat EMFILE: crash", "openat EMFILE: crash", "clone EAGAIN: tolerated", "wait4 EINTR: tolerated"}, true},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			r := sweep(t, fault.Config{Args: []string{c.mode}, Calls: c.calls})
			if d := cmp.Diff(c.want, verdicts(r)); d != "" {
				var b bytes.Buffer
				r.Write(&b, true)
				t.Errorf("want (-), got (+): %s\n%s", d, &b)
			}
			if r.Bad() != c.bad {
				t.Errorf("Bad is %v", r.Bad())
			}
		})
	}
}

func TestSweepEvery(t *testing.T) {
	r := sweep(t, fault.Config{Args: []string{"right"}, Calls: "write,getppid", Every: true})
	var errnos []string
	for _, x := range r.Runs {
		errnos = append(errnos, x.Error)
		if (x.Verdict == fault.Tolerated) != (x.Errno == unix.EINTR) {
			t.Errorf("%v: %v", x.Error, x.Verdict)
		}
	}
	if got, want := strings.Join(errnos, " "), "ENOSPC EIO EDQUOT ENOSPC EIO EDQUOT EINTR EINTR"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r.Points != 2 || r.Tried != 2 || r.Status != "exit status 0" || r.Bad() {
		t.Errorf("%+v", r)
	}
}

func TestSweepMax(t *testing.T) {
	r := sweep(t, fault.Config{Args: []string{"/bin/sh", "-c", "echo 1; echo 2; echo 3; pwd -P"}, Calls: "write,getcwd", Max: 3, Errnos: []unix.Errno{unix.EIO}})
	var got []string
	for _, x := range r.Runs {
		got = append(got, fmt.Sprintf("%s %d", x.Call, x.N))
	}
	// Of four writes and two getcwd, or as many as the shell makes, the first of each come first.
	if len(got) != 3 || !strings.Contains(strings.Join(got, ","), "write 1") || !strings.Contains(strings.Join(got, ","), "getcwd 1") || r.Points < 5 {
		t.Errorf("%v of %d", got, r.Points)
	}
	if b, err := json.Marshal(r); err != nil || !strings.Contains(string(b), `"verdict":"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestSweepErrors(t *testing.T) {
	var e *sysemu.Error
	if _, err := fault.Sweep(context.Background(), fault.Config{Args: []string{"/nosuch"}}); !errors.As(err, &e) {
		t.Errorf("no program: %v", err)
	}
	var wrong *fault.Error
	if _, err := fault.Sweep(context.Background(), fault.Config{Args: []string{"true"}, Calls: "read,nosuch"}); !errors.As(err, &wrong) || wrong.Offset != 5 {
		t.Errorf("no call: %v", err)
	}
	if _, err := fault.Sweep(context.Background(), fault.Config{}); err == nil {
		t.Error("nothing to run, and no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := fault.Sweep(ctx, fault.Config{Args: []string{"true"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	limited := fault.Config{Args: []string{"/bin/sh", "-c", "while :; do :; done"}, Options: []sysemu.Option{sysemu.WithLimits(sysemu.Limits{CPUTime: 50 * time.Millisecond})}}
	if _, err := fault.Sweep(context.Background(), limited); err == nil || !strings.Contains(err.Error(), "does not end of itself") {
		t.Errorf("endless: %v", err)
	}
}
