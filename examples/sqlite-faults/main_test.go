package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestSQLite(t *testing.T) {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("sqlite3 is not installed")
		}
		t.Skip("sqlite3 is not installed")
	}
	// A few of the calls; the program itself tries all.
	for _, c := range []struct{ rule, step, want string }{
		{faults[0], "20", "reported"},
		{faults[2], "40", "tolerated"}, // it writes the rest
		{faults[3], "25", "reported"},
		{faults[4], "5", "reported"},
		{faults[5], "3", "reported"},
	} {
		var out bytes.Buffer
		if err := run([]string{"-step", c.step, c.rule}, &out); err != nil {
			t.Errorf("%s: %v\n%s", c.rule, err, &out)
			continue
		}
		got := strings.TrimPrefix(strings.TrimSpace(out.String()), c.rule+": ")
		// As "3 reported, 0 tolerated": all of the one, and some.
		if strings.HasPrefix(got, "0 ") == (c.want == "reported") || strings.HasSuffix(got, " 0 tolerated") == (c.want == "tolerated") {
			t.Errorf("%s: %s; all should be %s", c.rule, got, c.want)
		}
	}
	// A disk that lies is found out.
	var out bytes.Buffer
	err := run([]string{"-step", "9", "pwrite64:path=/db/t.db:torn=512"}, &out)
	if err == nil || !strings.Contains(out.String(), "CORRUPT") {
		t.Errorf("torn writes: %v\n%s", err, &out)
	}
	if err := run([]string{"pwrite64:error=ENOWAY"}, &out); err == nil {
		t.Error("a rule with no such error was taken")
	}
}

// What a database could do wrong.
func TestJudge(t *testing.T) {
	failed := os.ErrClosed // any error
	for _, c := range []struct {
		acknowledged int
		failed       error
		complaint    string
		state        string
		want         string
	}{
		{3, nil, "", "ok\n3|3\n3|3\n", "tolerated"},
		{1, failed, "disk I/O error", "ok\n1|1\n1|1\n", "reported"},
		{1, failed, "disk I/O error", "ok\n2|2\n2|2\n", "reported"},
		{2, failed, "disk I/O error", "ok\n1|1\n1|1\n", "LOST"},
		{2, failed, "disk I/O error", "ok\n2|2\n1|1\n", "HALF"},
		{2, failed, "disk I/O error", "ok\n2|3\n2|3\n", "GAP"},
		{1, nil, "", "ok\n1|1\n1|1\n", "SILENT"},
		{3, nil, "", "database disk image is malformed\n", "CORRUPT"},
	} {
		if got := judge(c.acknowledged, c.failed, c.complaint, c.state, nil); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
