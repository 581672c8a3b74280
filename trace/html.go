package trace

import (
	_ "embed"
	"html"
	"io"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
)

//go:embed page.html
var pageHTML string

// page gathers what the HTML page shows. Rows are JSON from the start: a million calls are a hundred megabytes of text,
// so the page has the first MaxRows of them and the table counts all.
type page struct {
	title  string
	totals totals
	tasks  []*pageTask
	byTask map[*task]int
	names  map[string]int
	list   []string // of names
	calls  []byte
	n      int // rows
	sleeps []byte
	marks  []byte
	left   int // calls that are not shown
}

type pageTask struct {
	pid, tid   int
	comm       string
	start, end int64
}

// MaxRows is how many calls the HTML page lists one by one.
const MaxRows = 100_000

func newPage(title string) *page {
	return &page{title: title, byTask: map[*task]int{}, names: map[string]int{}}
}

func (g *page) task(k *task) (int, *pageTask) {
	i, ok := g.byTask[k]
	if !ok {
		i = len(g.tasks)
		g.byTask[k] = i
		g.tasks = append(g.tasks, &pageTask{pid: k.pid, tid: k.tid, comm: k.comm})
	}
	return i, g.tasks[i]
}

func (g *page) started(k *task, at int64) {
	_, p := g.task(k)
	p.start = at
}

func (g *page) named(k *task) {
	_, p := g.task(k)
	p.comm = k.comm
}

func (g *page) exited(k *task, at int64) {
	_, p := g.task(k)
	p.end = at
	delete(g.byTask, k)
}

func (g *page) call(r *record, args int, end int64) {
	p := &r.p
	bad := p.errno != 0 && p.errno < 512
	g.totals.add(p.desc, r.name, max(end-r.start, 0), bad)
	if g.n >= MaxRows {
		g.left++
		return
	}
	i, _ := g.task(r.task)
	name, ok := g.names[r.name]
	if !ok {
		name = len(g.list)
		g.names[r.name] = name
		g.list = append(g.list, r.name)
	}
	b := g.calls
	if g.n > 0 {
		b = append(b, ",\n"...)
	}
	g.n++
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(name), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, r.start, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, max(end-r.start, 0), 10)
	b = append(b, ',')
	if bad {
		b = append(b, '1')
	} else {
		b = append(b, '0')
	}
	b = append(b, ',')
	b = appendJSON(b, p.b[:args])
	b = append(b, ',')
	b = appendJSON(b, p.b[args:])
	g.calls = append(b, ']')
}

// blocked notes a sleep: task, begin, length, who woke it.
func (g *page) blocked(k *task, now int64) {
	if len(g.sleeps) > MaxRows*40 {
		return
	}
	i, _ := g.task(k)
	b := g.sleeps
	if len(b) > 0 {
		b = append(b, ",\n"...)
	}
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, k.blockedAt, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, now-k.blockedAt, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(k.waker), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, k.wakerAt, 10)
	g.sleeps = append(b, ']')
}

func (g *page) signal(k *task, s *abi.Siginfo, at int64) {
	i, _ := g.task(k)
	if len(g.marks) > MaxRows*40 {
		return
	}
	b := g.marks
	if len(b) > 0 {
		b = append(b, ",\n"...)
	}
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, at, 10)
	b = append(b, ',')
	var p printer
	p.siginfo(s)
	b = appendJSON(b, []byte(abi.SignalName(int(s.Signo))))
	b = append(b, ',')
	b = appendJSON(b, p.b)
	g.marks = append(b, ']')
}

// write writes the page.
func (g *page) write(w io.Writer) error {
	var tasks, names, sums []byte
	for i, t := range g.tasks {
		if i > 0 {
			tasks = append(tasks, ",\n"...)
		}
		tasks = append(tasks, '[')
		for _, v := range []int64{int64(t.pid), int64(t.tid), t.start, t.end} {
			tasks = strconv.AppendInt(tasks, v, 10)
			tasks = append(tasks, ',')
		}
		tasks = append(appendJSON(tasks, []byte(t.comm)), ']')
	}
	for i, n := range g.list {
		if i > 0 {
			names = append(names, ',')
		}
		names = appendJSON(names, []byte(n))
	}
	for i, e := range g.totals.sorted() {
		if i > 0 {
			sums = append(sums, ",\n"...)
		}
		sums = append(sums, '[')
		sums = appendJSON(sums, []byte(e.name))
		for _, v := range []int64{e.ns, int64(e.calls), int64(e.errors)} {
			sums = append(sums, ',')
			sums = strconv.AppendInt(sums, v, 10)
		}
		sums = append(sums, ']')
	}
	head, tail, _ := strings.Cut(pageHTML, "/*DATA*/")
	head = strings.ReplaceAll(head, "TITLE", html.EscapeString(g.title))
	parts := []string{head, `{"tasks":[`, string(tasks), `],"names":[`, string(names), `],"totals":[`, string(sums), `],"sleeps":[`,
		string(g.sleeps), `],"marks":[`, string(g.marks), `],"left":`, strconv.Itoa(g.left), `,"calls":[`, string(g.calls), `]}`, tail}
	for _, s := range parts {
		if _, err := io.WriteString(w, s); err != nil {
			return err
		}
	}
	return nil
}
