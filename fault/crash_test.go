package fault_test

import (
	"strings"
	"testing"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
)

// TestCrash has a writer lose what it has not synced; what the next program finds is the outcome.
func TestCrash(t *testing.T) {
	const lost = "fsync,fdatasync,sync,syncfs:lost"
	const atExit = "exit_group:comm=%:crash" // of the writer alone
	exit := func(comm string) string { return strings.Replace(atExit, "%", comm, 1) }
	for _, c := range []struct {
		name   string
		rules  []string
		script string
		want   string
	}{
		{"a new file that was synced stays", []string{exit("dd")}, "dd if=b.txt of=new conv=fsync status=none; cat new", "0123456789"},
		{"a new file is empty", []string{exit("dd")}, "dd if=b.txt of=new status=none; wc -c <new", "0\n"},
		{"its sync was lost", []string{lost, exit("dd")}, "dd if=b.txt of=new conv=fsync status=none; wc -c <new", "0\n"},
		{"its sync was lost: fdatasync", []string{lost, exit("dd")}, "dd if=b.txt of=new conv=fdatasync status=none; wc -c <new", "0\n"},
		{"cut by opening", []string{exit("dd")}, "printf x | dd of=a.txt status=none; cat a.txt", "alpha\nbeta\ngamma\n"},
		{"written over", []string{exit("dd")}, "printf xyz | dd of=b.txt bs=1 seek=4 conv=notrunc status=none; cat b.txt", "0123456789"},
		{"appended", []string{exit("dd")}, "dd if=a.txt of=b.txt oflag=append conv=notrunc status=none; cat b.txt", "0123456789"},
		{"O_SYNC", []string{exit("dd")}, "printf abc | dd of=b.txt oflag=sync conv=notrunc status=none; cat b.txt", "abc3456789"},
		{"cut and grown", []string{exit("truncate")}, "truncate -s 3 a.txt b.txt; truncate -s 20 b.txt; cat a.txt b.txt", "alpha\nbeta\ngamma\n0123456789"},
		{"allocated, with a sync that was lost", []string{lost, exit("fallocate")}, "fallocate -l 8192 b.txt; cat b.txt", "0123456789"},
		{"copied in the kernel", []string{exit("cp")}, "cp a.txt b.txt; cat b.txt", "0123456789"},
		{"renamed into place", []string{exit("mv")}, "cat a.txt >tmp; mv tmp b.txt; wc -c <b.txt", "0\n"},
		{"renamed into place after a sync", []string{exit("mv")}, "cat a.txt >tmp; sync tmp; mv tmp b.txt; cat b.txt", "alpha\nbeta\ngamma\n"},
		{"… which was lost", []string{lost, exit("mv")}, "cat a.txt >tmp; sync tmp; mv tmp b.txt; wc -c <b.txt", "0\n"},
		{"sync of all", []string{exit("true")}, "echo 1 >b.txt; sync; echo 2 >>b.txt; /bin/true; cat b.txt", "1\n"},
		{"by another process's descriptor, which cannot be read", []string{exit("true")}, "exec 3>b.txt; echo later >&3; /bin/true; cat b.txt; echo x >&3; od -An -c b.txt",
			"0123456789   0   1   2   3   4   5   x  \\n   8   9\n"},
		{"at the second write", []string{"write:comm=dd:fd=1:crash:when=2"}, "dd if=a.txt of=new bs=4 status=none; wc -c <new", "0\n"},
		{"many blocks", []string{exit("dd")},
			"head -c 3000000 /dev/zero | tr '\\0' x >big; sync big; s=$(cksum big); head -c 100000 /dev/zero | dd of=big bs=5000 seek=123 conv=notrunc status=none; test \"$s\" = \"$(cksum big)\" && echo same", "same\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, fired := inside(t, parse(t, c.rules...), scratch(t), "/bin/bash", "-c", c.script)
			if got.Out != c.want {
				t.Errorf("got %.200q, want %.200q\n%s", got.Out, c.want, got.Err)
			}
			if n := len(fired); n == 0 || fired[n-1].Effect != "crash" {
				t.Errorf("fired: %v", fired)
			}
		})
	}
}

// TestCrashSQLite: a transaction that was committed is there after a crash, unless the syncs were none.
func TestCrashSQLite(t *testing.T) {
	need(t, "sqlite3")
	const script = `sqlite3 a.db "create table t(x); insert into t values('old');"; sync
sqlite3 a.db "insert into t values('new');"; echo $?
sqlite3 a.db "pragma integrity_check; select x from t;"`
	crash := "exit_group:comm=sqlite3:pid=5:crash"
	for _, c := range []struct {
		name  string
		rules []string
		want  string
	}{
		{"honest", []string{crash}, "137\nok\nold\nnew\n"},
		{"lost", []string{"fsync,fdatasync:lost", crash}, "137\nok\nold\n"},
		// In the middle: the database is half written, and rolled back from the journal.
		{"before the commit", []string{"unlink:comm=sqlite3:path=*-journal:crash:pid=5"}, "137\nok\nold\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			got, fired := inside(t, parse(t, c.rules...), dir, "/bin/bash", "-c", script)
			if got.Out != c.want {
				t.Errorf("got %q, want %q\n%s\n%v", got.Out, c.want, got.Err, fired)
			}
		})
	}
}

// TestCrashWithout has a machine that cannot: the rule has no effect.
func TestCrashWithout(t *testing.T) {
	in, err := fault.New(parse(t, "exit_group:crash")...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sysemu.New(sysemu.WithMiddleware(in.Middleware))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if out, err := m.Command("echo", "here").Output(); err != nil || string(out) != "here\n" || in.Total() != 0 {
		t.Errorf("%q, %v, %v", out, err, in.Fired())
	}
}
