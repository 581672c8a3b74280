// Package trace shows what programs in a machine ask of the kernel, as strace(1) does: it is middleware that writes a
// line for every system call, with flags, structs and strings decoded, and lines for signals and ends of programs.
//
//	tr, err := trace.New(trace.Options{Output: os.Stderr, Follow: true})
//	...
//	m, err := sysemu.New(tr.Install()...)
//	...
//	m.Close()
//	tr.Close()
//
// The same calls can be written as one JSON object each, as a timeline for ui.perfetto.dev, as an HTML page that works
// without network, and be summed up. A machine without a Tracer pays nothing; calls that Filter leaves out pay next to
// nothing.
//
// What a call means is taken from the list in package abi; nothing here lists calls again but those whose lines strace
// writes in a way of their own.
package trace

import (
	"io"
	"sync"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Clock says with what time lines begin.
type Clock uint8

const (
	NoTime      Clock = iota
	Seconds           // 15:04:05, strace -t
	Micros            // 15:04:05.000000, strace -tt
	UnixMicros        // seconds since 1970 with a fraction, strace -ttt
	SinceBefore       // seconds since the line before, strace -r
)

// Options says what is traced and how it is written. The zero value traces the calls of the first thread of each program
// that the machine starts, and writes nothing.
type Options struct {
	// Output gets lines in strace's format; nil is nowhere.
	Output io.Writer
	// JSON gets one object a line for every call, signal and end of a thread.
	JSON io.Writer
	// Perfetto gets a timeline in the Chrome JSON trace event format, which ui.perfetto.dev and chrome://tracing open.
	// It is complete after Close.
	Perfetto io.Writer
	// HTML gets a page with the timeline and a table of calls, at Close.
	HTML io.Writer
	// Summary gets a table of calls with counts, times and errors, at Close: strace -c.
	Summary io.Writer

	// Follow traces what threads and child processes do as well, strace -f.
	Follow bool
	// Filter has expressions as strace -e takes them: "trace=%file,!open", "signal=none", "status=failed". One that
	// does not parse is a *FilterError of New.
	Filter []string

	Strings int   // how many bytes of a string are shown, strace -s; 0 is 32, less than 0 none, and a mebibyte the most
	Hex     int   // 1: strings that are not plain text in hexadecimal, strace -x; 2: all strings, -xx
	Verbose bool  // structs, arrays and environments in full, strace -v
	Files   bool  // what descriptors lead to, strace -y
	Clock   Clock // time in front of each line
	Elapsed bool  // how long calls took behind each line, strace -T
	Wall    bool  // Summary adds up wall clock time, not time at work: strace -w
	Column  int   // where results begin; 0 is 40, strace -a
	// PIDs writes the thread's number in front of every line, as strace -f does to a file; else it is "[pid N] ", and
	// only while several threads are traced.
	PIDs bool
	// Lines has each line written at once: for a terminal. Else lines are written when there are many or time has passed.
	Lines bool
	// Title is what the page is called; "" is the first program's command line.
	Title string
}

// Tracer is a trace being taken. Use it for one machine.
type Tracer struct {
	opts   Options
	filter filter
	style  style
	timed  bool // durations are wanted

	mu      sync.Mutex
	tasks   map[int]*task
	alive   int // of those that are traced
	dead    []*task
	current *record
	free    []*record
	last    int64 // realtime of the last line: -r
	own     printer
	out     outlet
	json    *jsonSink
	chrome  *chromeSink
	page    *page
	totals  *totals
	closed  bool

	quit chan struct{}
	kick chan struct{}
	done sync.WaitGroup
}

// task is a thread that has been seen.
type task struct {
	pid, tid  int
	comm      string
	traced    bool
	dead      bool    // and kept for a while: who wakes another while it ends is still to be named
	record    *record // its call in progress
	later     []laterSignal
	blockedAt int64
	wakerAt   int64
	waker     int
	blocked   int64 // ns asleep in its call
	restarted string
}

// laterSignal is one that was ignored during a call: it is shown behind it.
type laterSignal struct {
	info abi.Siginfo
	time int64
	real int64
}

// record is a call in progress.
type record struct {
	p        printer
	task     *task
	name     string
	entry    []byte // the arguments that were known when it was made
	complete bool   // they are all
	start    int64
	real     int64
	col      int  // where the line is, when printed
	printed  bool // its entry is in the output
	split    bool // and that line was ended as unfinished
	watched  bool // it was there at the last tick
}

// maxStrings keeps a program that names a huge buffer from costing as much memory here.
const maxStrings = 1 << 20

// New readies a trace.
func New(o Options) (*Tracer, error) {
	f, err := parseFilter(o.Filter)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Strings == 0:
		o.Strings = 32
	case o.Strings < 0:
		o.Strings = 0
	}
	o.Strings = min(o.Strings, maxStrings)
	if o.Column == 0 {
		o.Column = 40
	}
	t := &Tracer{opts: o, filter: f, tasks: map[int]*task{}, quit: make(chan struct{}), kick: make(chan struct{}, 1)}
	t.style = style{strings: o.Strings, hex: o.Hex, verbose: o.Verbose, fds: o.Files}
	t.own.style = t.style
	t.out.w = o.Output
	if o.JSON != nil {
		t.json = &jsonSink{outlet: outlet{w: o.JSON}}
	}
	if o.Perfetto != nil {
		t.chrome = newChromeSink(o.Perfetto)
	}
	if o.HTML != nil {
		t.page = newPage(o.Title)
	}
	if o.Summary != nil {
		t.totals = &totals{}
	}
	t.timed = o.Elapsed || t.json != nil || t.chrome != nil || t.page != nil || t.totals != nil
	t.done.Add(1)
	go t.flusher()
	return t, nil
}

// Install is what a machine needs to be traced.
func (t *Tracer) Install() []sysemu.Option {
	return []sysemu.Option{sysemu.WithMiddleware(t.Middleware), sysemu.WithObserver(t.Observe)}
}

// Middleware traces the calls that pass through it. Where it stands among others decides what is shown: outermost, it
// shows what the program asked for and got.
func (t *Tracer) Middleware(next sysemu.Handler) sysemu.Handler {
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) { return t.serve(c, next) })
}

// Close ends the trace: what is left is written, with the tables and pages that come last. Close the machine first.
func (t *Tracer) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	close(t.quit)
	t.done.Wait()
	t.mu.Lock()
	t.breakLine()
	t.mu.Unlock()
	errs := []error{t.flush()}
	if t.chrome != nil {
		errs = append(errs, t.chrome.close(&t.mu))
	}
	if t.totals != nil {
		errs = append(errs, t.totals.write(t.opts.Summary))
	}
	if t.page != nil {
		errs = append(errs, t.page.write(t.opts.HTML))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// serve is the middleware.
func (t *Tracer) serve(c *sysemu.Call, next sysemu.Handler) (uint64, error) {
	arch, nr := c.Arch(), c.Number()
	if !t.filter.wants(arch, nr) {
		return next.ServeCall(c)
	}
	r := t.take(c)
	if r == nil {
		return next.ServeCall(c)
	}
	p := &r.p
	var args [6]uint64
	for i := range args {
		args[i] = c.Arg(i)
	}
	p.begin(c, arch, nr, args)
	p.nameOf = nil
	if p.fds {
		p.nameOf = c.FileName
	}
	if p.desc != nil {
		r.name = p.desc.Name
		if r.name == "restart_syscall" {
			p.resumed = r.task.restarted
		}
	} else {
		r.name = "syscall_" + string(appendHex(nil, uint64(nr)))
	}
	p.enter()
	r.entry, r.complete = p.b, p.whole()
	if t.timed {
		r.start = c.Monotonic()
	}
	if t.opts.Clock != NoTime || t.json != nil {
		r.real = c.Time().UnixNano()
	}
	t.entered(r)

	v, err := next.ServeCall(c)

	errno := sysemu.Errno(err)
	killed := p.desc != nil && (errno >= abi.ERESTARTSYS && errno <= abi.ERESTART_RESTARTBLOCK || p.desc.Group&abi.GroupSignals != 0) && c.Killed()
	if p.desc != nil && p.desc.Ret == abi.NoReturn {
		errno = 0
	} else if err == nil && p.desc != nil && !c.Native() && (p.desc.Name == "rt_sigreturn" || p.desc.Name == "sigreturn") {
		// The result is what the interrupted code had in rax.
		v = c.Regs().Rax
		if int64(v) < 0 && int64(v) > -4096 {
			errno = unix.Errno(-int64(v))
		}
	}
	var end int64
	if t.timed {
		end = c.Monotonic()
	}
	if killed {
		if !r.complete {
			p.s(" <unfinished ...>")
		}
		p.errno, p.radix = 0, '?'
	} else {
		p.leave(v, errno)
	}
	args2 := len(p.b)
	p.result()
	t.left(r, args2, end)
	return v, err
}

// take finds a record for a call, if its thread is traced.
func (t *Tracer) take(c *sysemu.Call) *record {
	tid := c.TID()
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.tasks[tid]
	if k == nil {
		// It was there before the trace began, or nobody tells of what is born: a native program's.
		k = t.add(&task{pid: c.PID(), tid: tid, traced: t.opts.Follow || len(t.tasks) == 0})
	}
	if !k.traced || t.closed {
		return nil
	}
	var r *record
	if n := len(t.free); n > 0 {
		r = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		r = &record{}
		r.p.style = t.style
	}
	r.task, r.printed, r.split, r.watched, r.start, r.real = k, false, false, false, 0, 0
	k.record, k.blocked = r, 0
	return r
}

func (t *Tracer) add(k *task) *task {
	t.tasks[k.tid] = k
	if k.traced {
		t.alive++
	}
	return k
}

// entered makes r the call whose line is being written.
func (t *Tracer) entered(r *record) {
	if t.opts.Output == nil || t.filter.status != 0 {
		return
	}
	t.mu.Lock()
	t.breakLine()
	t.current = r
	t.mu.Unlock()
}

// left ends a call's line. args is where in the printer's buffer the arguments end and the result begins.
func (t *Tracer) left(r *record, args int, end int64) {
	p := &r.p
	t.mu.Lock()
	k := r.task
	if t.filter.shows(p) {
		if t.opts.Output != nil {
			t.writeCall(r, args, end)
		}
		t.tell(r, args, end)
	} else if t.current == r {
		t.current = nil
	}
	if p.errno == abi.ERESTART_RESTARTBLOCK {
		k.restarted = r.name
	}
	k.record = nil
	for i := range k.later {
		l := &k.later[i]
		t.writeSignal(k, &l.info, l.time, l.real)
	}
	k.later = k.later[:0]
	t.free = append(t.free, r)
	full := t.full()
	t.mu.Unlock()
	if full {
		t.flush()
	}
}

// tell gives a call to the other forms of the trace.
func (t *Tracer) tell(r *record, args int, end int64) {
	if !t.timed {
		return
	}
	if t.totals != nil {
		d := end - r.start
		if !t.opts.Wall {
			d -= r.task.blocked
		}
		t.totals.add(r.p.desc, r.name, max(d, 0), r.p.errno != 0)
	}
	if t.json != nil {
		t.json.call(r, args, end)
	}
	if t.chrome != nil {
		t.chrome.call(r, args, end)
	}
	if t.page != nil {
		t.page.call(r, args, end)
	}
}

// Flush writes what lines there are.
func (t *Tracer) Flush() error { return t.flush() }

// Observe is told of events by the machine; see sysemu.WithObserver.
func (t *Tracer) Observe(e *sysemu.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	k := t.tasks[e.TID]
	switch e.Kind {
	case sysemu.TaskStarted:
		if k != nil && !k.dead {
			return
		}
		traced := e.Other == 0
		if parent := t.tasks[e.Other]; t.opts.Follow && (parent == nil || parent.traced) {
			traced = true
		}
		k = t.add(&task{pid: e.PID, tid: e.TID, comm: e.Comm, traced: traced})
		if traced && t.chrome != nil {
			t.chrome.name(k, e.Comm)
		}
		if traced && t.page != nil {
			t.page.started(k, e.Time)
		}
		return
	case sysemu.TaskExec:
		if k == nil {
			return
		}
		k.comm = e.Comm
		if k.traced && t.chrome != nil {
			t.chrome.name(k, e.Comm)
		}
		if k.traced && t.page != nil {
			t.page.named(k)
		}
		return
	}
	if k == nil || !k.traced {
		if k != nil && e.Kind == sysemu.TaskExited {
			t.bury(k)
		}
		return
	}
	switch e.Kind {
	case sysemu.ProgramStarted:
		t.programStarted(k, e)
	case sysemu.TaskBlocked:
		k.blockedAt, k.waker = e.Time, 0
	case sysemu.TaskWoken:
		k.waker, k.wakerAt = e.Other, e.Time
	case sysemu.TaskResumed:
		if k.blockedAt != 0 {
			k.blocked += e.Time - k.blockedAt
			if t.chrome != nil {
				t.chrome.blocked(k, t.tasks[k.waker], e.Time)
			}
			if t.page != nil {
				t.page.blocked(k, e.Time)
			}
		}
		k.blockedAt = 0
	case sysemu.SignalDelivered:
		t.signal(k, e)
	case sysemu.SignalIgnored:
		if k.record != nil {
			k.later = append(k.later, laterSignal{*e.Signal, e.Time, e.Realtime})
			return
		}
		t.signal(k, e)
	case sysemu.TaskStopped:
		if t.filter.signals.has(int(e.Status.StopSignal())) {
			t.event(k, e.Realtime, func(p *printer) {
				p.s("--- stopped by ")
				p.signal(int(e.Status.StopSignal()))
				p.s(" ---")
			})
		}
	case sysemu.TaskExited:
		t.exited(k, e)
	}
}

func (t *Tracer) signal(k *task, e *sysemu.Event) {
	t.writeSignal(k, e.Signal, e.Time, e.Realtime)
	t.wake()
}

func (t *Tracer) writeSignal(k *task, s *abi.Siginfo, at, real int64) {
	if !t.filter.signals.has(int(s.Signo)) {
		return
	}
	t.event(k, real, func(p *printer) {
		p.s("--- ")
		p.signal(int(s.Signo))
		p.c(' ')
		p.siginfo(s)
		p.s(" ---")
	})
	if t.json != nil {
		t.json.signal(k, s, real)
	}
	if t.chrome != nil {
		t.chrome.signal(k, s, at)
	}
	if t.page != nil {
		t.page.signal(k, s, at)
	}
}

// bury forgets a thread that has ended, but not at once.
func (t *Tracer) bury(k *task) {
	k.dead = true
	t.dead = append(t.dead, k)
	if len(t.dead) > 64 {
		if old := t.dead[0]; t.tasks[old.tid] == old {
			delete(t.tasks, old.tid)
		}
		t.dead = t.dead[1:]
	}
}

func (t *Tracer) exited(k *task, e *sysemu.Event) {
	if r := k.record; r != nil && t.current == r {
		t.breakLine() // its handler has panicked
	}
	t.event(k, e.Realtime, func(p *printer) {
		if e.Status.Signaled() {
			p.s("+++ killed by ")
			p.signal(int(e.Status.Signal()))
			if e.Status.CoreDump() {
				p.s(" (core dumped)")
			}
			p.s(" +++")
			return
		}
		p.s("+++ exited with ")
		p.dec(int64(e.Status.ExitStatus()))
		p.s(" +++")
	})
	if t.json != nil {
		t.json.exit(k, e)
	}
	if t.chrome != nil {
		t.chrome.exit(k, e)
	}
	if t.page != nil {
		t.page.exited(k, e.Time)
	}
	t.bury(k)
	t.alive--
	t.wake()
}

// programStarted shows the execve that a traced program begins with: the machine's own.
func (t *Tracer) programStarted(k *task, e *sysemu.Event) {
	if t.page != nil && t.page.title == "" {
		t.page.title = commandLine(e.Args)
	}
	exec := abi.ByName("execve")
	if !t.filter.wants(abi.AMD64, exec.AMD64) {
		return
	}
	r := &record{task: k, name: exec.Name, start: e.Time, real: e.Realtime}
	p := &r.p
	p.style, p.desc = t.style, exec
	p.radix = 'd'
	p.quote([]byte(e.Path), false)
	p.s(", [")
	for i, a := range e.Args {
		if i > 0 {
			p.s(", ")
		}
		if i >= maxElements && !p.verbose {
			p.s("...")
			break
		}
		show := min(len(a), p.strings)
		p.quote([]byte(a[:show]), false)
		if show < len(a) {
			p.s("...")
		}
	}
	p.s("],")
	if e.EnvAddr != 0 { // it is not known of native programs
		p.c(' ')
		p.addr(e.EnvAddr)
	}
	p.envCount(e.Env)
	args := len(p.b)
	p.result()
	if !t.filter.shows(p) {
		return
	}
	if t.opts.Output != nil {
		t.writeCall(r, args, e.Time)
	}
	t.tell(r, args, e.Time)
	t.wake()
}

// commandLine is argv as one would type it, more or less.
func commandLine(args []string) string {
	s := ""
	for i, a := range args {
		if i > 0 {
			s += " "
		}
		s += a
	}
	return s
}

// flusher writes what has lain for a while: lines that are done, and the beginning of a call that goes on.
func (t *Tracer) flusher() {
	defer t.done.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-t.quit:
			return
		case <-t.kick:
		case <-tick.C:
			t.mu.Lock()
			if r := t.current; r != nil && !r.printed {
				if r.watched {
					t.writeEntry(r)
				}
				r.watched = true
			}
			t.mu.Unlock()
		}
		t.flush()
	}
}

// wake has the flusher write lines that must not be written here: the kernel is locked.
func (t *Tracer) wake() {
	if !t.opts.Lines {
		return
	}
	select {
	case t.kick <- struct{}{}:
	default:
	}
}
