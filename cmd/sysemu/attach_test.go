package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/hostpty"
	"golang.org/x/sys/unix"
)

// buildNative compiles a program of testdata/native.
func buildNative(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed (.ci/run installs it)")
	}
	bin := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("gcc", "-O1", "-w", "-pthread", "-o", bin, "testdata/native/"+name+".c").CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

// startCounts starts the program that checks its own calls. The result ends it
// and says what it has found.
func startCounts(t *testing.T, args ...string) (pid int, end func() string) {
	bin := buildNative(t, "counts")
	flag := filepath.Join(t.TempDir(), "go on")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{flag}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	return cmd.Process.Pid, func() string {
		os.Remove(flag)
		text, _ := io.ReadAll(r)
		if err := cmd.Wait(); err != nil {
			text = append(text, err.Error()...)
		}
		return string(text)
	}
}

// child is the child of a process, the first thread's.
func child(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for tid := range threads(pid) {
		if len(b) > 0 {
			break
		}
		b, _ = os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, tid))
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

func threads(pid int) map[int]bool {
	all := map[int]bool{}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, e := range tasks {
		tid, _ := strconv.Atoi(e.Name())
		all[tid] = true
	}
	return all
}

// waitUntraced waits until the host has detached whom it has to.
func waitUntraced(t *testing.T, pid int) {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		traced := false
		for tid := range threads(pid) {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
			traced = traced || len(b) > 0 && !strings.Contains(string(b), "TracerPid:\t0\n")
		}
		if !traced {
			return
		}
		if time.Now().After(until) {
			t.Fatal("still traced")
		}
	}
}

// A process goes on as if nothing had been, however sysemu ends, and whenever.
func TestAttachEnds(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	for _, mode := range []string{"0", "1", "2"} {
		t.Run("mode "+mode, func(t *testing.T) {
			pid, end := startCounts(t)
			rnd := rand.New(rand.NewPCG(1, uint64(mode[0])))
			for range rounds {
				attachAndEnd(t, pid, mode, rnd, func(cmd *exec.Cmd) {
					cmd.Process.Signal([]unix.Signal{unix.SIGKILL, unix.SIGKILL, unix.SIGTERM, unix.SIGINT}[rnd.IntN(4)])
				})
			}
			if s := end(); s != "done\n" {
				t.Error(s)
			}
		})
	}
	// In mode 0, it may also be the tracer that is killed.
	t.Run("killed tracer", func(t *testing.T) {
		pid, end := startCounts(t, "EINTR")
		rnd := rand.New(rand.NewPCG(1, 7))
		for range 3 * rounds {
			attachAndEnd(t, pid, "0", rnd, func(cmd *exec.Cmd) {
				if worker := child(cmd.Process.Pid); worker > 0 {
					unix.Kill(worker, unix.SIGKILL)
				}
				cmd.Process.Kill()
			})
		}
		if s := end(); s != "done\n" {
			t.Error(s)
		}
	})
}

// attachAndEnd attaches sysemu to a process and ends it, at any moment: mostly
// when it is attached.
func attachAndEnd(t *testing.T, pid int, mode string, rnd *rand.Rand, end func(cmd *exec.Cmd)) {
	t.Helper()
	cmd := exec.Command("sysemu", "attach", "--sysemu", mode, "--answer", "getuid=4711", "--fail", "chdir=EPERM", "--count", strconv.Itoa(pid))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stderr)
	first := ""
	if rnd.IntN(4) > 0 {
		if first, _ = r.ReadString('\n'); !strings.Contains(first, "attached") {
			t.Error(first)
		}
	}
	time.Sleep(time.Duration(rnd.IntN(10000)) * time.Microsecond)
	end(cmd)
	rest, _ := io.ReadAll(r)
	cmd.Wait()
	waitUntraced(t, pid)
	if unix.Kill(pid, 0) != nil || strings.Contains(string(rest), "panic") {
		t.Fatalf("%s%s", first, rest)
	}
}

// A program that is attached to is its terminal's and its shell's as ever.
func TestAttachJobControl(t *testing.T) {
	h := hostpty.New(t)
	defer h.Close()
	sh := exec.Command("bash", "--norc", "--noediting", "-i")
	sh.Env = append(os.Environ(), "PS1=% ")
	sh.Stdin, sh.Stdout, sh.Stderr = h.Slave, h.Slave, h.Slave
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	defer sh.Wait()
	defer sh.Process.Kill()
	h.Expect(t, "% ", "sysemu attach -- sh -c 'echo in$((0)); while read l; do echo in$l$l; done'\r")
	h.Expect(t, "in0\r\n", "1\r")
	h.Expect(t, "in11\r\n", "\x1a")
	h.Expect(t, "Stopped", "")
	h.Expect(t, "\r\n% ", "echo stopped$?; fg\r")
	h.Expect(t, "stopped148\r\n", "2\r")
	h.Expect(t, "in22\r\n", "\x1a")
	h.Expect(t, "Stopped", "")
	h.Expect(t, "\r\n% ", "bg; sleep .1; echo $((3))a; fg\r") // it reads, and stops again
	h.Expect(t, "3a\r\n", "4\r")
	h.Expect(t, "in44\r\n", "\x03")
	h.Expect(t, "% ", "echo ended$?\r")
	h.Expect(t, "ended130\r\n", "exit\r")
}
