package trace

import (
	"bytes"
	"fmt"
	"io"
	"sort"

	"github.com/sysemu/sysemu/abi"
)

// totals adds up calls: strace -c.
type totals struct {
	known map[*abi.Call]*total
	other map[string]*total
}

type total struct {
	name          string
	ns            int64
	calls, errors int
}

func (t *totals) add(c *abi.Call, name string, ns int64, failed bool) {
	if t.known == nil {
		t.known, t.other = map[*abi.Call]*total{}, map[string]*total{}
	}
	var e *total
	if c != nil {
		if e = t.known[c]; e == nil {
			e = &total{name: name}
			t.known[c] = e
		}
	} else if e = t.other[name]; e == nil {
		if len(t.other) >= 1024 { // programs may make up numbers without end
			name = "others"
		}
		if e = t.other[name]; e == nil {
			e = &total{name: name}
			t.other[name] = e
		}
	}
	e.ns += ns
	e.calls++
	if failed {
		e.errors++
	}
}

// sorted are the totals, the longest time first.
func (t *totals) sorted() []*total {
	var list []*total
	for _, e := range t.known {
		list = append(list, e)
	}
	for _, e := range t.other {
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		switch {
		case a.ns != b.ns:
			return a.ns > b.ns
		case a.calls != b.calls:
			return a.calls > b.calls
		}
		return a.name < b.name
	})
	return list
}

func (t *totals) write(w io.Writer) error {
	var b bytes.Buffer
	list := t.sorted()
	sum := total{name: "total"}
	for _, e := range list {
		sum.ns += e.ns
		sum.calls += e.calls
		sum.errors += e.errors
	}
	const rule = "------ ----------- ----------- --------- --------- ----------------\n"
	b.WriteString("% time     seconds  usecs/call     calls    errors syscall\n" + rule)
	row := func(e *total) {
		percent := 0.0
		if sum.ns > 0 {
			percent = 100 * float64(e.ns) / float64(sum.ns)
		} else if e == &sum {
			percent = 100
		}
		errors := ""
		if e.errors > 0 {
			errors = fmt.Sprint(e.errors)
		}
		fmt.Fprintf(&b, "%6.2f %11.6f %11d %9d %9s %s\n", percent, float64(e.ns)/1e9, e.ns/1000/int64(max(e.calls, 1)), e.calls, errors, e.name)
	}
	for _, e := range list {
		row(e)
	}
	b.WriteString(rule)
	row(&sum)
	_, err := w.Write(b.Bytes())
	return err
}
