package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestRuns runs a few benchmarks natively and under peers that are native
// too, or do not work.
func TestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a compiler")
	}
	dir := t.TempDir()
	b := &bench{dir: dir, options: options{runs: 2, roundMS: 1, timeout: 10 * time.Second}}
	b.peers = []peer{{name: "native"}, {"env", []string{"env"}}, {"false", []string{"false"}}, {"sleep", []string{"sh", "-c", "sleep 60"}}}
	ctx := context.Background()
	if b.micro, b.microErr = buildMicro(ctx, dir); b.microErr != nil {
		t.Fatal(b.microErr)
	}
	match := regexp.MustCompile(`^(getppid|pread-4k|start /bin/true|memory|grep|dd)`)
	tab := newTable(b.peers)
	n := 0
	for _, bm := range benchmarks() {
		if !match.MatchString(bm.name) {
			continue
		}
		n++
		b.timeout = 10 * time.Second
		results := b.measure(ctx, benchmark{name: bm.name, bytes: bm.bytes, prepare: bm.prepare, once: func(ctx context.Context, b *bench, p peer) ([]float64, string, error) {
			if p.name == "sleep" {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			return bm.once(ctx, b, p)
		}})
		for i, r := range results {
			if works := i < 2; works != (r.err == nil) {
				t.Errorf("%s, %s: %v", bm.name, b.peers[i].name, r.err)
			}
			for _, v := range r.values {
				if i < 2 && v <= 0 {
					t.Errorf("%s, %s: %v", bm.name, b.peers[i].name, r.values)
				}
			}
		}
		tab.add(bm, results)
	}
	var out bytes.Buffer
	tab.print(&out, true)
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2+n+1+2*n {
		t.Errorf("%d lines for %d benchmarks of which two fail each:\n%s", len(lines), n, out.String())
	}
}

// TestGoMicro: the stand-in for the C program works.
func TestGoMicro(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a compiler")
	}
	path := t.TempDir() + "/gomicro"
	if err := command(context.Background(), "go", "build", "-o", path, "github.com/sysemu/sysemu/bench/guest/gomicro"); err != nil {
		t.Fatal(err)
	}
	b := &bench{micro: path, options: options{runs: 1, roundMS: 1, timeout: 10 * time.Second}, dir: t.TempDir(), peers: []peer{{name: "native"}}}
	for _, name := range []string{"getppid", "clock_gettime", "read-zero", "pread-4k", "open-fstat-close", "stat", "create-write-unlink", "mmap-touch-munmap", "mprotect", "touch-page", "cpu"} {
		if r := b.measure(context.Background(), micro(name, ""))[0]; r.err != nil || len(r.values) != 3 {
			t.Errorf("%s: %v %v", name, r.values, r.err)
		}
	}
	if r := b.measure(context.Background(), micro("sigsegv", ""))[0]; r.err == nil || !strings.Contains(r.err.Error(), "needs a C compiler") {
		t.Errorf("sigsegv: %v", r.err)
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		v     float64
		bytes bool
		want  string
	}{
		{0, false, "0.00 ns"}, {9.994, false, "9.99 ns"}, {9.996, false, "10.0 ns"}, {99.96, false, "100 ns"}, {999.6, false, "1.00 µs"},
		{1234567, false, "1.23 ms"}, {62e9, false, "62.0 s"}, {40e6, true, "40.0 MB"},
	} {
		if got := format(c.v, c.bytes); got != c.want {
			t.Errorf("%v: %s, want %s", c.v, got, c.want)
		}
	}
	if m := middle([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median %v", m)
	}
	if m := middle([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median %v", m)
	}
}
