// Sqlite-faults tests how a database takes a disk that fails. The sqlite3 program,
// as it is installed, writes a few transactions in a machine in which the k-th
// of its writes, syncs or unlinks goes wrong, for k = 1, 2, 3 …; then it opens
// what is left of the database with a disk that is whole again. A transaction
// that was acknowledged has to be there, one that was not is there as a whole or
// not at all, and the file is in order.
//
//	go run ./examples/sqlite-faults
//	go run ./examples/sqlite-faults 'pwrite64:path=/db/t.db:torn=512'
//
// The second has the disk lie: only a part of a write reaches it, and nobody is
// told. No database can stand that, and the test says so.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
)

// faults are rules of package fault, as docs/faults.md has them; the path keeps
// them to the database and its journal.
var faults = []string{
	"write,pwrite64:path=/db/**:error=ENOSPC",
	"write,pwrite64:path=/db/**:error=EIO",
	"write,pwrite64:path=/db/**:short=50%",
	"write,pwrite64:path=/db/**:signal=SIGKILL",
	"fsync,fdatasync:path=/db/**:error=EIO",
	"unlink:path=/db/**:error=EIO",
}

const transactions = 3

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sqlite-faults:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sqlite-faults", flag.ContinueOnError)
	step := flags.Int("step", 1, "have only every so many'th call fail")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *step < 1 {
		return fmt.Errorf("a step of %d calls", *step)
	}
	rules := faults
	if flags.NArg() > 0 {
		rules = flags.Args()
	}
	bad := 0
	for _, rule := range rules {
		count := map[string]int{}
		for k := 1; ; k += *step {
			verdict, met, err := one(rule, k)
			if err != nil {
				return err
			}
			if !met {
				break // so many calls it does not make
			}
			count[verdict]++
			if verdict != "reported" && verdict != "tolerated" {
				fmt.Fprintf(out, "%s: call %d: %s\n", rule, k, verdict)
				bad++
			}
		}
		fmt.Fprintf(out, "%s: %d reported, %d tolerated\n", rule, count["reported"], count["tolerated"])
	}
	if bad > 0 {
		return fmt.Errorf("the database did not stand %d faults", bad)
	}
	return nil
}

// one has the k-th call that the rule is for go wrong, and says how the database
// took it, and whether there was such a call.
func one(rule string, k int) (verdict string, met bool, err error) {
	r, err := fault.Parse(rule)
	if err != nil {
		return "", false, err
	}
	var broken atomic.Bool
	r.When, r.Per = fault.Once(k), fault.PerProcess
	r.If = func(*sysemu.Call) bool { return broken.Load() }
	in, err := fault.New(r)
	if err != nil {
		return "", false, err
	}
	m, err := sysemu.New(append(in.Options(), sysemu.WithTmpfs("/db"))...)
	if err != nil {
		return "", false, err
	}
	defer m.Close()
	if o, e, err := sqlite(m, "create table a(n, text); create table b(n);"); err != nil {
		return "", false, fmt.Errorf("%w: %s%s", err, o, e)
	}

	// Each transaction is of two tables, and is acknowledged on standard output.
	var sql strings.Builder
	for n := 1; n <= transactions; n++ {
		fmt.Fprintf(&sql, "begin; insert into a values(%d, zeroblob(5000)); insert into b values(%d); commit;\nselect 'done';\n", n, n)
	}
	broken.Store(true)
	acks, complaint, failed := sqlite(m, sql.String())
	broken.Store(false)
	if in.Total() == 0 {
		return "", false, nil
	}
	acknowledged := strings.Count(acks, "done")

	state, _, err := sqlite(m, "pragma integrity_check; select count(*), ifnull(max(n), 0) from a; select count(*), ifnull(max(n), 0) from b;")
	return judge(acknowledged, failed, complaint, state, err), true, nil
}

// judge compares what was acknowledged with what is there.
func judge(acknowledged int, failed error, complaint, state string, err error) string {
	lines := strings.Split(strings.TrimSpace(state), "\n")
	var count, last int
	if err != nil || len(lines) != 3 || lines[0] != "ok" {
		return fmt.Sprintf("CORRUPT: %v %q", err, state)
	}
	if lines[1] != lines[2] {
		return fmt.Sprintf("HALF a transaction: %s of one table, %s of the other", lines[1], lines[2])
	}
	if _, err := fmt.Sscanf(lines[1], "%d|%d", &count, &last); err != nil || count != last {
		return fmt.Sprintf("GAP: %s", lines[1])
	}
	switch {
	case count < acknowledged:
		return fmt.Sprintf("LOST: %d acknowledged, %d there", acknowledged, count)
	case failed == nil && complaint == "" && acknowledged == transactions && count == transactions:
		return "tolerated"
	case failed == nil || count > acknowledged+1:
		return fmt.Sprintf("SILENT: %d acknowledged, %d there, %q", acknowledged, count, complaint)
	}
	return "reported" // by an exit status, or it was killed
}

// sqlite runs SQL on the database inside, and stops at the first error.
func sqlite(m *sysemu.Machine, sql string) (stdout, stderr string, err error) {
	var o, e bytes.Buffer
	cmd := m.Command("sqlite3", "-batch", "-bail", "/db/t.db")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(sql), &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}
