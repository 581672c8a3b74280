package trace_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/sysemu/sysemu/trace"
)

// The forms of one trace tell the same: as many calls, as many errors.
func TestForms(t *testing.T) {
	var lines, objects, timeline, summary bytes.Buffer
	inside(t, trace.Options{Output: &lines, JSON: &objects, Perfetto: &timeline, Summary: &summary, Follow: true, PIDs: true}, t.TempDir(), build(t, "family"))
	calls, failed := 0, 0
	for _, thread := range perThread(t, lines.String()) {
		for _, l := range thread {
			if !strings.HasPrefix(l, "---") && !strings.HasPrefix(l, "+++") {
				calls++
				if strings.Contains(l, "= -1 ") {
					failed++
				}
			}
		}
	}
	if calls < 100 {
		t.Fatalf("only %d calls:\n%s", calls, lines.String())
	}

	t.Run("json", func(t *testing.T) {
		n, bad, exits, signals := 0, 0, 0, 0
		for _, l := range strings.Split(strings.TrimSuffix(objects.String(), "\n"), "\n") {
			var o struct {
				Type, Call, Arch, Error, Signal, Info string
				Time, Duration                        *float64
				PID, TID                              int
				Args                                  []string
				Registers                             []uint64
				Result, Number, Status                *int64
			}
			d := json.NewDecoder(strings.NewReader(l))
			if err := d.Decode(&o); err != nil {
				t.Fatalf("%v in %s", err, l)
			}
			if o.Time == nil || *o.Time < 1e9 || o.PID == 0 || o.TID < o.PID {
				t.Errorf("not whole: %s", l)
			}
			switch o.Type {
			case "call":
				n++
				if o.Error != "" && !strings.HasPrefix(o.Error, "ERESTART") {
					bad++
				}
				if o.Call == "" || o.Arch != "x86_64" || o.Number == nil || *o.Duration < 0 || len(o.Registers) != 6 {
					t.Errorf("not whole: %s", l)
				}
				if o.Call == "prlimit64" && (len(o.Args) != 4 || o.Args[1] != "RLIMIT_STACK" || !strings.HasPrefix(o.Args[3], "{rlim_cur=")) {
					t.Errorf("arguments: %q", o.Args)
				}
				if o.Call == "exit_group" && o.Result != nil {
					t.Errorf("exit_group has a result: %s", l)
				}
			case "signal":
				signals++
				if !strings.HasPrefix(o.Info, "{si_signo="+o.Signal) {
					t.Errorf("not whole: %s", l)
				}
			case "exit":
				exits++
				if (o.Status == nil) == (o.Signal == "") {
					t.Errorf("not whole: %s", l)
				}
			default:
				t.Errorf("type: %s", l)
			}
		}
		if n != calls || bad != failed || signals == 0 {
			t.Errorf("%d calls, %d failed, %d ends, %d signals; lines: %d calls, %d failed", n, bad, exits, signals, calls, failed)
		}
		if want := strings.Count(lines.String(), " +++\n"); exits != want {
			t.Errorf("%d ends of threads, lines have %d", exits, want)
		}
	})
	t.Run("summary", func(t *testing.T) {
		re := regexp.MustCompile(`(?m)^100\.00 +[0-9.]+ +\d+ +(\d+) +(\d*) total$`)
		m := re.FindStringSubmatch(summary.String())
		if m == nil {
			t.Fatalf("no total:\n%s", summary.String())
		}
		errors := ""
		if failed > 0 {
			errors = itoa(failed)
		}
		if m[1] != itoa(calls) || m[2] != errors {
			t.Errorf("%q; lines: %d calls, %d failed", m[0], calls, failed)
		}
	})
	t.Run("perfetto", func(t *testing.T) { checkTimeline(t, timeline.Bytes(), calls) })
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// checkTimeline holds a timeline against the rules of the trace event format: what is complete on one thread's track nests.
func checkTimeline(t *testing.T, data []byte, calls int) {
	t.Helper()
	type event struct {
		Ph, Name, Cat, S, Bp string
		PID, TID             int
		TS, Dur              float64
		ID                   int
		Args                 map[string]any
	}
	var file struct {
		TraceEvents     []event
		DisplayTimeUnit string
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	tracks := map[int][]event{}
	flows := map[int]string{}
	named := map[int]bool{}
	n, sleeps, marks := 0, 0, 0
	for _, e := range file.TraceEvents {
		switch e.Ph {
		case "X":
			tracks[e.TID] = append(tracks[e.TID], e)
			if e.Cat == "syscall" {
				n++
			} else {
				sleeps++
			}
			if e.Dur < 0 || e.TS <= 0 {
				t.Errorf("%+v", e)
			}
		case "M":
			named[e.TID] = named[e.TID] || e.Name == "thread_name" && e.Args["name"] != ""
		case "s", "f":
			flows[e.ID] += e.Ph
		case "i":
			marks++
		default:
			t.Errorf("%+v", e)
		}
	}
	if n != calls || sleeps == 0 || marks == 0 || len(flows) == 0 {
		t.Errorf("%d calls (want %d), %d sleeps, %d marks, %d wake-ups", n, calls, sleeps, marks, len(flows))
	}
	for id, ends := range flows {
		if ends != "sf" {
			t.Errorf("wake-up %d has the ends %q", id, ends)
		}
	}
	for tid, list := range tracks {
		if !named[tid] {
			t.Errorf("thread %d has no name", tid)
		}
		slices.SortFunc(list, func(a, b event) int {
			return cmp.Or(cmp.Compare(a.TS, b.TS), cmp.Compare(b.Dur, a.Dur))
		})
		var open []event
		const slack = 0.0015 // of rounding
		for _, e := range list {
			for len(open) > 0 && open[len(open)-1].TS+open[len(open)-1].Dur <= e.TS+slack {
				open = open[:len(open)-1]
			}
			if len(open) > 0 {
				if o := open[len(open)-1]; e.TS+e.Dur > o.TS+o.Dur+slack {
					t.Errorf("thread %d: %s [%f %f] reaches out of %s [%f %f]", tid, e.Name, e.TS, e.Dur, o.Name, o.TS, o.Dur)
				}
			}
			open = append(open, e)
		}
	}
}

// The page shows its tables in a browser without network, and finds what is searched for.
func TestPage(t *testing.T) {
	chromium := need(t, "chromium")
	dir := t.TempDir()
	file := filepath.Join(dir, "trace.html")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	inside(t, trace.Options{HTML: f, Follow: true, Title: `a <b> & "c"`}, dir, build(t, "family"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?i)(https?:)?//[a-z]|<link|@import|src=`).Find(regexp.MustCompile(`(?s)<script type="application/json".*?</script>`).ReplaceAll(text, nil)); m != nil {
		t.Errorf("the page asks for something: %q", m)
	}
	dom := func(search string) string {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
			"--user-data-dir="+t.TempDir(), "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", "file://"+file+"#"+search)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("chromium: %v\n%s", err, errs.String())
		}
		return string(out)
	}
	rows := func(dom, table string) []string {
		_, s, _ := strings.Cut(dom, `<table id="`+table+`"`)
		s, _, _ = strings.Cut(s, "</table>")
		_, s, _ = strings.Cut(s, "<tbody>")
		return regexp.MustCompile(`(?s)<tr.*?</tr>`).FindAllString(s, -1)
	}
	all := dom("")
	if !strings.Contains(all, `data-ready="yes"`) {
		t.Fatalf("its script has not run to the end")
	}
	if !strings.Contains(all, `<h1>a &lt;b&gt; &amp; "c"</h1>`) {
		t.Error("the title is not there")
	}
	names := rows(all, "names")
	if len(names) < 20 || !slices.ContainsFunc(names, func(r string) bool { return strings.Contains(r, ">clone3<") }) {
		t.Errorf("%d rows of names", len(names))
	}
	calls := rows(all, "calls")
	if len(calls) < 100 || !strings.Contains(calls[0], "execve(") {
		t.Errorf("%d rows of calls", len(calls))
	}
	found := rows(dom("wait4%20wexitstatus(s)%20%3D%3D%205"), "calls")
	if len(found) != 1 || !strings.Contains(found[0], "wait4(") || !strings.Contains(found[0], "WEXITSTATUS(s) == 5") {
		t.Errorf("the search finds %d: %q", len(found), found)
	}
}

// What flags put around a line.
func TestLines(t *testing.T) {
	bin := build(t, "calls")
	dir := t.TempDir()
	for _, tc := range []struct {
		o    trace.Options
		want string // of every line
	}{
		{trace.Options{Clock: trace.Seconds}, `^\d\d:\d\d:\d\d [a-z_+]`},
		{trace.Options{Clock: trace.Micros}, `^\d\d:\d\d:\d\d\.\d{6} [a-z_+]`},
		{trace.Options{Clock: trace.UnixMicros}, `^\d{10}\.\d{6} [a-z_+]`},
		{trace.Options{Clock: trace.SinceBefore}, `^ {5}\d\.\d{6} [a-z_+]`},
		{trace.Options{Elapsed: true}, `( <\d+\.\d{6}>|= \?|\+\+\+)$`},
		{trace.Options{Follow: true, PIDs: true}, `^\d+ {1,5}[a-z_+]`},
		{trace.Options{Column: 60}, `^(.{60,}= .*|\+\+\+ .*)$`},
		{trace.Options{Filter: []string{"status=failed"}}, `= -1 E|\+\+\+`},
		{trace.Options{Filter: []string{"status=successful"}}, `= \d|= 0x|\+\+\+`},
	} {
		var out bytes.Buffer
		tc.o.Output = &out
		inside(t, tc.o, dir, bin, "memory")
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		re := regexp.MustCompile(tc.want)
		for _, l := range lines {
			if !re.MatchString(l) {
				t.Errorf("%+v: %q", tc.o.Clock, l)
			}
		}
		if len(lines) < 2 {
			t.Errorf("%s: %d lines", tc.want, len(lines))
		}
	}
}

// -y, -v, -x, -xx and -s are strace's.
func TestStraceStyles(t *testing.T) {
	if testing.Short() {
		t.Skip("compares with strace")
	}
	bin := build(t, "calls")
	for _, tc := range []struct {
		name  string
		flags []string
		o     trace.Options
		only  string
	}{
		{"y", []string{"-y"}, trace.Options{Files: true}, "openat,dup,dup2,dup3,fcntl,read,write,close,mkdirat,fchdir,ftruncate,getdents64,fchmod"},
		{"x", []string{"-x"}, trace.Options{Hex: 1}, "read,write,pread64,openat"},
		{"xx", []string{"-xx"}, trace.Options{Hex: 2}, "read,write,pread64,openat"},
		{"s", []string{"-s", "5"}, trace.Options{Strings: 5}, "read,write,writev,readv,openat,setxattr"},
		{"s0", []string{"-s", "0"}, trace.Options{Strings: -1}, "write,pwrite64,openat"},
		{"v", []string{"-v"}, trace.Options{Verbose: true}, "newfstatat,stat,uname"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			masks := []mask{
				{`st_(dev|ino|[amc]time(?:_nsec)?)=(?:makedev\([^)]*\)|[0-9]+)(?: /\* .*? \*/)?`, "st_$1=X"},
				{`(st_blksize|st_blocks)=[0-9]+`, "$1=X"},
				{`(st_mode=S_IFDIR\|0755, .*st_size=)[0-9]+`, "${1}SIZE"},
			}
			var out bytes.Buffer
			tc.o.Output, tc.o.Filter = &out, []string{"trace=" + tc.only}
			inside(t, tc.o, dir, bin, "files")
			want := native(t, dir, append(tc.flags, "-e", "trace="+tc.only), bin, "files")
			if diff := gocmp.Diff(masked(want, masks...), masked(out.String(), masks...)); diff != "" {
				t.Errorf("-strace +sysemu\n%s", diff)
			}
		})
	}
}
