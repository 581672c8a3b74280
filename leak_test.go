package sysemu

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// holdings is what this process has of the host.
type holdings struct {
	children   []int
	fds        map[string]string
	threads    int
	goroutines int
}

// hostChildren are the children of all threads of a host process.
func hostChildren(pid string) (pids []int) {
	files, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, s := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(s); err == nil {
				pids = append(pids, n)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

func takeStock() holdings {
	h := holdings{children: hostChildren("self"), fds: map[string]string{}, goroutines: runtime.NumGoroutine()}
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	names, _ := d.Readdirnames(-1)
	own := strconv.Itoa(int(d.Fd()))
	d.Close()
	for _, n := range names {
		if n != own {
			h.fds[n], _ = os.Readlink("/proc/self/fd/" + n)
		}
	}
	tasks, _ := os.ReadDir("/proc/self/task")
	h.threads = len(tasks)
	return h
}

// expectNothingLeft compares with what there was before. What ends on its own
// time, such as the last steps of a goroutine, is waited for.
//
// The Go runtime keeps idle threads; how many it wants is not known exactly.
// A thread that each machine left would show in the number all the same.
func expectNothingLeft(t *testing.T, before holdings, spareThreads int) {
	t.Helper()
	var now holdings
	for range 100 {
		now = takeStock()
		if slices.Equal(now.children, before.children) && maps.Equal(now.fds, before.fds) &&
			now.goroutines <= before.goroutines && now.threads <= before.threads+spareThreads {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("before: %+v", before)
	t.Errorf("now:    %+v", now)
	if now.goroutines > before.goroutines {
		var b strings.Builder
		pprof.Lookup("goroutine").WriteTo(&b, 1)
		t.Error(b.String())
	}
}

// busy are programs that a machine is closed under.
var busy = []string{
	"sleep 60",
	"while :; do :; done",
	"cat /dev/zero | cat >/dev/null",
	"sleep 60 & (sleep 60; true) & while :; do /bin/true; done",
	"cat", // waits for its standard input
}

func TestCloseLeavesNothing(t *testing.T) {
	once := func(i int) {
		m, err := New()
		if err != nil {
			t.Fatal(err)
		}
		defer closeMachine(t, m)
		if err := m.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		c := m.Command("sh", "-c", busy[i%len(busy)])
		c.Stdin = r
		c.Stdout = &strings.Builder{}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%4) * 2 * time.Millisecond)
	}
	for i := range 5 {
		once(i)
	}
	time.Sleep(100 * time.Millisecond)
	before := takeStock()
	n := 50
	if testing.Short() {
		n = 15
	}
	for i := range n {
		once(i)
	}
	expectNothingLeft(t, before, 8)
}

// A machine that could not start leaves nothing either.
func TestFailedNewLeavesNothing(t *testing.T) {
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	before := takeStock()
	for _, o := range []Option{WithRoot("/no/such"), WithTmpfs("/etc/passwd"), WithCPUs(17), WithBind("/no/such", "/x", true)} {
		for range 3 {
			if m, err := New(o); err == nil {
				m.Close()
				t.Error("no error")
			}
		}
	}
	expectNothingLeft(t, before, 8)
}

// What programs use while the machine runs goes when they end.
func TestEndedProgramsLeaveNothing(t *testing.T) {
	m := testMachine(t)
	run := func() {
		c := m.Command("sh", "-c", "cat /etc/passwd | sort | wc -l; exec /bin/false")
		c.Stdin = strings.NewReader("x")
		c.Stdout = &strings.Builder{}
		c.Run()
		m.Command("/no/such").Run()
	}
	for range 10 {
		run()
	}
	time.Sleep(300 * time.Millisecond) // the ticker ends
	before := takeStock()
	before.goroutines += 8 // kernel stacks stay with their CPU, as many as were ever in use at once
	for range 50 {
		run()
	}
	expectNothingLeft(t, before, 8)
}

func init() {
	roles["embed"] = func() {
		m, err := New()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for _, script := range busy {
			c := m.Command("sh", "-c", script)
			if err := c.Start(); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
		time.Sleep(100 * time.Millisecond)
		fmt.Println("children", hostChildren("self"))
		select {}
	}
}

// A program that is killed with a machine in it leaves no guest behind.
func TestEmbedderKilled(t *testing.T) {
	for range 3 {
		c := reexec(t, "embed")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		guests := hostChildren(strconv.Itoa(c.Process.Pid))
		c.Process.Kill()
		c.Wait()
		if !strings.HasPrefix(line, "children [") || len(guests) < len(busy) {
			t.Fatalf("%q, %d host processes", line, len(guests))
		}
		alive := guests
		for range 100 {
			alive = slices.DeleteFunc(alive, func(pid int) bool {
				st := hostState(pid)
				return st == 0 || st == 'Z' // nobody's, to be reaped by the host's init
			})
			if len(alive) == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if len(alive) > 0 {
			for _, pid := range alive {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("host processes are left: %v", alive)
		}
	}
}

// hostState is a host process's state as ps shows it, 0 = gone.
func hostState(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	s := string(b)
	if i := strings.LastIndexByte(s, ')'); i >= 0 && len(s) > i+2 {
		return s[i+2]
	}
	return 0
}

// A guest whose host process is killed from outside ends as by SIGKILL, and
// only it.
func TestGuestKilledFromOutside(t *testing.T) {
	m := testMachine(t)
	bystander := m.Command("sh", "-c", "sleep 0.5; echo fine")
	var out strings.Builder
	bystander.Stdout = &out
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{
		"computing": `int main() { for (;;) ; }`,
		"calling": `#include <unistd.h>
int main() { for (;;) getppid(); }`,
		"sleeping": `#include <unistd.h>
int main() { for (;;) usleep(20000); }`,
		"stepping on memory": `#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
int main() { for (;;) { char *p = mmap(0, 1<<20, 3, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0); if (p == MAP_FAILED) return 1; memset(p, 1, 1<<20); munmap(p, 1<<20); } }`,
		"forking": `#include <unistd.h>
#include <sys/wait.h>
int main() { for (;;) { int p = fork(); if (!p) _exit(0); waitpid(p, 0, 0); } }`,
		"threads": `#include <pthread.h>
#include <unistd.h>
void *f(void *x) { for (;;) usleep(1000); }
int main() { pthread_t t; for (int i = 0; i < 4; i++) pthread_create(&t, 0, f, 0); f(0); }`,
	} {
		bin := buildC(t, source)
		for i := range 5 {
			c := m.Command(bin)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(5+7*i) * time.Millisecond)
			killed := 0
			for try := 0; killed == 0 && try < 100; try++ {
				for _, pid := range hostChildren("self") {
					maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
					if strings.Contains(string(maps), bin) && syscall.Kill(pid, syscall.SIGKILL) == nil {
						killed++
						if name != "forking" {
							break
						}
					}
				}
			}
			if killed == 0 {
				t.Errorf("%s: its host process is not found", name)
				c.Process.Kill()
			}
			within(t, 20*time.Second, name, func() { c.Wait() })
			if s := c.ProcessState; name != "forking" && (s.Exited() || s.Sys().Signal() != unix.SIGKILL) {
				t.Errorf("%s: %v", name, s)
			}
		}
	}
	if err := bystander.Wait(); err != nil || out.String() != "fine\n" {
		t.Errorf("the bystander: %q %v", out.String(), err)
	}
}

// Host processes that are killed while a machine starts and stops programs are
// programs that end; nothing hangs.
func TestHostProcessesKilledAtRandom(t *testing.T) {
	m := testMachine(t)
	stop := time.Now().Add(2 * time.Second)
	zygotes := hostChildren("self")
	done := make(chan bool)
	go func() {
		defer close(done)
		for time.Now().Before(stop) {
			m.Command("sh", "-c", "for i in 1 2 3 4 5; do /bin/true; echo x | cat; done").Run()
		}
	}()
	for time.Now().Before(stop) {
		for _, pid := range hostChildren("self") {
			if !slices.Contains(zygotes, pid) {
				syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
		time.Sleep(7 * time.Millisecond)
	}
	within(t, 20*time.Second, "a machine whose processes were killed", func() { <-done })
	if out, err := m.Command("echo", "well").Output(); string(out) != "well\n" || err != nil {
		t.Errorf("%q %v", out, err)
	}
}
