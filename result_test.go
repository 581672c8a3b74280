package sysemu

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// buildBodies compiles a program that runs one of several bodies, the one whose
// number is its argument.
func buildBodies(t *testing.T, bodies []string) string {
	source := hogHeader + "void *spin(void *p) { for (;;) ; }\nvoid *idle(void *p) { pause(); return 0; }\n"
	for i, b := range bodies {
		source += fmt.Sprintf("int body%d() { %s\nreturn 0; }\n", i, b)
	}
	source += "int main(int argc, char **argv) { switch (atoi(argv[1])) {\n"
	for i := range bodies {
		source += fmt.Sprintf("case %d: return body%d();\n", i, i)
	}
	return buildC(t, source+"}\nreturn 99; }\n")
}

// Every limit ends a run that goes over it, and is told.
func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		source string
		limits Limits
		want   Limit
		check  func(t *testing.T, r Result, out string)
	}{
		{name: "a loop without calls", source: `for (;;) ;`, limits: Limits{CPUTime: 50 * time.Millisecond}, want: CPUTime,
			check: func(t *testing.T, r Result, _ string) {
				if r.CPUTime() <= 50*time.Millisecond {
					t.Errorf("it used %v only", r.CPUTime())
				}
			}},
		{name: "loops of children and threads", source: `pthread_t t; fork(); pthread_create(&t, 0, spin, 0); for (;;) getppid();`, limits: Limits{CPUTime: 50 * time.Millisecond}, want: CPUTime,
			check: func(t *testing.T, r Result, _ string) {
				if r.Processes != 2 || r.PeakTasks < 3 {
					t.Errorf("%d processes, %d tasks at most", r.Processes, r.PeakTasks)
				}
			}},
		{name: "CPU time of the dead", source: `for (;;) if (!fork()) { for (volatile int i = 0; i < 3000000; i++) ; _exit(0); } else wait(0);`,
			limits: Limits{CPUTime: 50 * time.Millisecond}, want: CPUTime},
		{name: "a sleeper", source: `for (;;) pause();`, limits: Limits{CPUTime: time.Hour, WallTime: 50 * time.Millisecond}, want: WallTime,
			check: func(t *testing.T, r Result, _ string) {
				if r.WallTime <= 50*time.Millisecond {
					t.Errorf("it was there for %v only", r.WallTime)
				}
			}},
		{name: "a sleeper that handles all signals", source: `for (int i = 1; i < 65; i++) signal(i, SIG_IGN); for (;;) sleep(1000);`,
			limits: Limits{WallTime: 50 * time.Millisecond}, want: WallTime},
		{name: "memory", source: `for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); }`, limits: Limits{Memory: 32 << 20}, want: Memory,
			check: func(t *testing.T, r Result, _ string) {
				if r.PeakMemory <= 32<<20 {
					t.Errorf("it had %d bytes only", r.PeakMemory)
				}
			}},
		{name: "memory of a child", source: `if (fork()) { for (;;) wait(0); } for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); }`, limits: Limits{Memory: 32 << 20}, want: Memory},
		{name: "a fork bomb", source: `for (;;) fork();`, limits: Limits{Processes: 20}, want: Processes,
			check: func(t *testing.T, r Result, _ string) {
				if r.PeakTasks != 20 {
					t.Errorf("%d tasks", r.PeakTasks)
				}
			}},
		{name: "threads", source: `pthread_t t; for (;;) pthread_create(&t, 0, idle, 0);`, limits: Limits{Processes: 20}, want: Processes},
		{name: "output", source: `for (;;) puts("0123456");`, limits: Limits{OutputBytes: 10000}, want: OutputBytes,
			check: func(t *testing.T, r Result, out string) {
				if len(out) != 10000 || r.OutputBytes != 10000 {
					t.Errorf("%d bytes arrived, %d were counted", len(out), r.OutputBytes)
				}
			}},
		{name: "output by other ways", source: `int f = open("/proc/self/fd/1", O_WRONLY), p[2]; if (f < 0) return 1; pipe(p);
	for (;;) { write(f, "1", 1); write(2, "2", 1); write(p[1], "3", 1); splice(p[0], 0, 1, 0, 1, 0); }`, limits: Limits{OutputBytes: 5000}, want: OutputBytes,
			check: func(t *testing.T, r Result, out string) {
				if len(out) != 5000 || strings.Count(out, "1") < 1600 || strings.Count(out, "2") < 1600 || strings.Count(out, "3") < 1600 {
					t.Errorf("%d bytes arrived", len(out))
				}
			}},
		{name: "output to the limit", source: `write(1, "0123456789", 10);`, limits: Limits{OutputBytes: 10}, want: NoLimit,
			check: func(t *testing.T, r Result, out string) {
				if out != "0123456789" || r.ExitCode != 0 || r.OutputBytes != 10 {
					t.Errorf("%q, %+v", out, r)
				}
			}},
		{name: "a file's size", source: `signal(SIGXFSZ, SIG_IGN); int f = open("/w/f", O_CREAT | O_RDWR, 0600); char b[1000]; for (;;) write(f, b, sizeof b);`, limits: Limits{FileSize: 10500}, want: FileSize,
			check: func(t *testing.T, r Result, _ string) {
				if r.DiskBytes != 10500 {
					t.Errorf("%d bytes were written", r.DiskBytes)
				}
			}},
		{name: "a file made longer", source: `int f = open("/w/f", O_CREAT | O_RDWR, 0600); ftruncate(f, 10500); ftruncate(f, 10501); for (;;) ;`, limits: Limits{FileSize: 10500}, want: FileSize},
		{name: "bytes on disk", source: `for (int i = 0;; i++) { char n[50], b[1000]; sprintf(n, "/w/f%d", i); int f = open(n, O_CREAT | O_RDWR, 0600); write(f, b, sizeof b); close(f); unlink(n); }`, limits: Limits{DiskBytes: 10500}, want: DiskBytes,
			check: func(t *testing.T, r Result, _ string) {
				if r.DiskBytes != 10500 {
					t.Errorf("%d bytes were written", r.DiskBytes)
				}
			}},
		{name: "reserved space", source: `int f = open("/w/f", O_CREAT | O_RDWR, 0600); for (int i = 1;; i++) posix_fallocate(f, 0, i);`, limits: Limits{DiskBytes: 100}, want: DiskBytes},
		{name: "open files", source: `int n = 0; while (dup(0) >= 0) n++; printf("%s %d", name(), n);`, limits: Limits{OpenFiles: 20}, want: NoLimit,
			check: func(t *testing.T, r Result, out string) {
				if out != "EMFILE 17" || r.ExitCode != 0 {
					t.Errorf("%q, %+v", out, r)
				}
			}},
		{name: "none", source: `if (fork()) { wait(0); return 7; } int f = open("/w/f", O_CREAT | O_RDWR, 0600); write(f, "12345", 5); puts("hello");`,
			limits: Limits{time.Hour, time.Hour, 1 << 30, 100, 1 << 20, 1 << 20, 1 << 20, 100}, want: NoLimit,
			check: func(t *testing.T, r Result, out string) {
				if r.ExitCode != 7 || r.Signal != 0 || r.Processes != 2 || r.PeakTasks != 2 || r.OutputBytes != 6 || r.DiskBytes != 5 || r.Calls < 5 || r.WallTime <= 0 || r.PeakMemory == 0 {
					t.Errorf("%q, %+v", out, r)
				}
			}},
	}
	var bodies []string
	for _, tc := range tests {
		bodies = append(bodies, tc.source)
	}
	bin := buildBodies(t, bodies)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := testMachine(t, WithTmpfs("/w"), WithLimits(Limits{WallTime: time.Minute}))
			c := m.Command(bin, strconv.Itoa(i))
			c.Limits = tc.limits
			var out strings.Builder
			c.Stdout, c.Stderr = &out, &out
			err := c.Run()
			r := c.Result()
			if r.Limit != tc.want || c.ProcessState.Limit() != tc.want {
				t.Errorf("%v: %+v, want limit %v", err, r, tc.want)
			}
			if killed := tc.want != NoLimit; killed != (r.Signal == unix.SIGKILL) {
				t.Errorf("%v", &r)
			}
			if tc.check != nil {
				tc.check(t, r, out.String())
			}
		})
	}
}

// The machine's limits are told if the program did not cope with them.
func TestMachineLimits(t *testing.T) {
	tests := []struct {
		source string
		want   Limit
	}{
		{`int n = 0; while (n < 100 && fork() > 0) n++; if (errno == EAGAIN) kill(getpid(), SIGABRT); _exit(0);`, Processes},
		{`int n = 0; while (n < 100) { pid_t p = fork(); if (p < 0) break; if (!p) { pause(); _exit(0); } n++; } signal(SIGTERM, SIG_IGN); kill(0, SIGTERM); return 0;`, NoLimit},
		{`if (fork()) { int s; wait(&s); return !WIFEXITED(s); } for (;;) { char *p = malloc(1 << 20); memset(p, 1, 1 << 20); }`, Memory},
	}
	var bodies []string
	for _, tc := range tests {
		bodies = append(bodies, tc.source)
	}
	bin := buildBodies(t, bodies)
	for i, tc := range tests {
		m, err := New(WithPIDs(20), WithMemory(64<<20), WithLog(func(string) {}), WithLimits(Limits{WallTime: time.Minute}))
		if err != nil {
			t.Fatal(err)
		}
		c := m.Command(bin, strconv.Itoa(i))
		err = c.Run()
		if r := c.Result(); r.Limit != tc.want {
			t.Errorf("%s: %v, %+v, want limit %v", tc.source, err, r, tc.want)
		}
		closeMachine(t, m)
	}
}

// A verdict does not depend on who is first: the program, or who watches it.
func TestVerdictOfBoth(t *testing.T) {
	m := testMachine(t)
	c := m.Command("true")
	c.Limits = Limits{CPUTime: 1}
	c.Run()
	if r := c.Result(); r.Limit != CPUTime {
		t.Errorf("%+v", r)
	}
	c = m.Command("true")
	c.Limits = Limits{WallTime: 1}
	c.Run()
	if r := c.Result(); r.Limit != WallTime {
		t.Errorf("%+v", r)
	}
}

// Output to a file of the host is counted, too.
func TestOutputLimitOfFile(t *testing.T) {
	m := testMachine(t)
	name := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := m.Command("yes")
	c.Stdout, c.Limits = f, Limits{OutputBytes: 100}
	c.Run()
	b, _ := os.ReadFile(name)
	if r := c.Result(); r.Limit != OutputBytes || len(b) != 100 || r.OutputBytes != 100 {
		t.Errorf("%d bytes, %+v", len(b), r)
	}
}

func TestBadLimits(t *testing.T) {
	m := testMachine(t)
	c := m.Command("true")
	c.Limits = Limits{CPUTime: -1}
	if err := c.Run(); err == nil {
		t.Error("a negative limit is taken")
	}
	var l Limit
	if err := l.UnmarshalText([]byte("cpu")); err == nil {
		t.Error("there is a limit called cpu")
	}
	for i := range limitNames {
		if err := l.UnmarshalText([]byte(Limit(i).String())); err != nil || l != Limit(i) {
			t.Errorf("%d: %v, %v", i, l, err)
		}
	}
}

func TestResultJSON(t *testing.T) {
	b, err := json.Marshal(Result{ExitCode: -1, Signal: unix.SIGKILL, Limit: CPUTime, UserTime: 1, SystemTime: 2, WallTime: 3, PeakMemory: 4, Processes: 5, PeakTasks: 6, Calls: 7, OutputBytes: 8, DiskBytes: 9})
	const want = `{"exit_code":-1,"signal":"SIGKILL","limit":"cpu-time","user_ns":1,"system_ns":2,"wall_ns":3,"peak_memory_bytes":4,"processes":5,"peak_tasks":6,"calls":7,"output_bytes":8,"disk_bytes":9}`
	if string(b) != want || err != nil {
		t.Errorf("%s, %v", b, err)
	}
}
