package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/callset"
	"golang.org/x/sys/unix"
)

// Config says what a sweep runs, and what is to fail.
type Config struct {
	// Args are the program and its arguments. Env, Dir and Stdin are as those of [sysemu.Cmd]; Stdin is the same in each run.
	Args  []string
	Env   []string
	Dir   string
	Stdin []byte
	// Options are those of each machine. It has one CPU if they do not say otherwise: more make the order of
	// calls, and so their numbers, a matter of chance.
	Options []sysemu.Option

	// Calls are those that are to fail, as in [Rule]. "" is all that have plausible errors.
	Calls string
	// Loader has the calls fail as well that the dynamic loader makes before the program's own code runs.
	Loader bool
	// Errnos are the errors that each call fails with, in a run each. Without any it is the first of Plausible, or with
	// Every all of them.
	Errnos []unix.Errno
	Every  bool
	// Max is how many runs there are at most, 0 for 1000. Where there are more calls than that, first ones of each name
	// go before later ones.
	Max int
	// Time is how long a run may take before it counts as hung, by the host's clock, 0 for 10 s. It has to be more than
	// a good run takes on a busy host. One that goes over the CPU time of [sysemu.WithLimits] among Options has hung too.
	Time time.Duration
	// Parallel is how many runs there are at once, 0 for as many as the host has CPUs.
	Parallel int
	// Progress, if it is there, is told how many runs of how many are done, by one goroutine at a time.
	Progress func(done, of int)
}

// Verdict is how a program took a fault.
type Verdict uint8

// From the worst to the best.
const (
	Crashed   Verdict = iota // a signal ended the program, or one that it had started
	Hung                     // it did not end
	Silent                   // it ended as a good run does, but its output or its files are others
	Wordless                 // it failed, and said nothing
	Reported                 // it failed, and said something on standard error
	Warned                   // it ended as a good run does, and said something on standard error
	Tolerated                // it ended as a good run does, as if nothing had happened
	Unreached                // it did not make the call this time
)

var verdictNames = [...]string{"crash", "hang", "silent", "wordless", "reported", "warned", "tolerated", "unreached"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarshalText gives the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Bad reports whether it is one that no program should take a fault with.
func (v Verdict) Bad() bool { return v <= Silent }

// Point is a call that the program makes in a good run.
type Point struct {
	Call string `json:"call"`
	TID  int    `json:"tid"`
	Comm string `json:"comm"`
	N    int    `json:"n"`    // which of its thread's calls of that name
	Text string `json:"text"` // the call with its arguments

	loader bool // made by the dynamic loader, before anyone else
}

// Run is a run in which a call failed.
type Run struct {
	Point
	Errno   unix.Errno `json:"errno"`
	Error   string     `json:"error"` // the error's name
	Verdict Verdict    `json:"verdict"`
	Status  string     `json:"status"`            // how the program ended
	Message string     `json:"message,omitempty"` // the first line of standard error that a good run does not have
	Differs []string   `json:"differs,omitempty"` // what is not as in a good run: stdout, and files
}

// Report is what a sweep has found.
type Report struct {
	Args   []string `json:"args"`
	Status string   `json:"status"` // of the good run
	Calls  int      `json:"calls"`  // made in it
	Points int      `json:"points"` // of them, what could have failed
	Tried  int      `json:"tried"`  // … and did
	Runs   []Run    `json:"runs"`   // the worst first, then in the order of the calls
	// Unstable is what differed between two good runs, and was not looked at for that.
	Unstable []string `json:"unstable,omitempty"`
}

// Bad reports whether the program took a fault as none should: by a crash, a hang, or a wrong result without a word.
func (r *Report) Bad() bool {
	return slices.ContainsFunc(r.Runs, func(x Run) bool { return x.Verdict.Bad() })
}

// Count is how many runs ended with a verdict.
func (r *Report) Count(v Verdict) (n int) {
	for _, x := range r.Runs {
		if x.Verdict == v {
			n++
		}
	}
	return n
}

// outcome is how one run ended.
type outcome struct {
	status   unix.WaitStatus
	hung     bool
	limit    string   // that it has gone over, in words
	crashes  []string // of processes that the program has started
	out, err []byte
	files    map[string]string // what it has changed
}

// Sweep runs a program as it is, twice, and then once for each call that it made, which fails. All runs are in machines of
// their own. An error means that there is no report: the program cannot be run, does not end, or ctx has.
func Sweep(ctx context.Context, c Config) (*Report, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("fault: no program to run")
	}
	var set callset.Set
	if c.Calls != "" {
		var err error
		if set, err = callset.Parse(c.Calls); err != nil {
			e := err.(*callset.Error)
			return nil, &Error{c.Calls, e.Offset, e.Reason}
		}
	}
	for _, e := range c.Errnos {
		if e < 1 || e > 4095 {
			return nil, fmt.Errorf("fault: %d is not an error", int(e))
		}
	}
	if c.Max <= 0 {
		c.Max = 1000
	}
	if c.Time <= 0 {
		c.Time = 10 * time.Second
	}
	if c.Parallel <= 0 {
		c.Parallel = runtime.NumCPU()
	}
	rec := newRecorder()
	good, err := c.run(ctx, rec.middleware)
	if err != nil {
		return nil, err
	}
	again, err := c.run(ctx, newRecorder().middleware)
	switch {
	case err != nil:
		return nil, err
	case good.limit != "" || again.limit != "":
		return nil, fmt.Errorf("fault: %s does not end of itself: %s", c.Args[0], good.limit+again.limit)
	}
	r := &Report{Args: c.Args, Status: describe(good.status), Calls: rec.total, Unstable: good.differs(again, nil)}
	if good.status != again.status {
		return nil, fmt.Errorf("fault: %s ends now so, %s, now so, %s", c.Args[0], describe(good.status), describe(again.status))
	}
	runs, points := c.plan(rec.points, &set)
	r.Points, r.Tried = points, len(distinct(runs))
	if err := c.runAll(ctx, r, runs, good); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.Runs, func(a, b Run) int { return int(a.Verdict) - int(b.Verdict) })
	return r, nil
}

// plan chooses the runs; points is how many calls could fail.
func (c *Config) plan(all []Point, set *callset.Set) (runs []Run, points int) {
	type weighed struct {
		Run
		round, at int
	}
	var list []weighed
	for i, p := range all {
		errnos := c.Errnos
		if p.Call == "exit" || p.Call == "exit_group" || p.Call == "rt_sigreturn" || p.Call == "sigreturn" {
			continue // they do not come back
		}
		if p.loader && !c.Loader {
			continue
		}
		d := abi.ByName(p.Call)
		if c.Calls != "" && (d == nil || !(d.AMD64 >= 0 && set.Has(abi.AMD64, d.AMD64) || d.I386 >= 0 && set.Has(abi.I386, d.I386))) {
			continue
		}
		likely := Plausible(p.Call)
		switch {
		case c.Calls == "" && len(likely) == 0:
			continue
		case errnos == nil && len(likely) == 0:
			errnos = []unix.Errno{unix.EIO}
		case errnos == nil && c.Every:
			errnos = likely
		case errnos == nil:
			errnos = likely[:1]
		}
		points++
		for k, e := range errnos {
			list = append(list, weighed{Run{Point: p, Errno: e, Error: errnoName(e)}, p.N + k, i})
		}
	}
	if len(list) > c.Max {
		slices.SortStableFunc(list, func(a, b weighed) int { return a.round - b.round })
		list = list[:c.Max]
		slices.SortStableFunc(list, func(a, b weighed) int { return a.at - b.at })
	}
	for _, w := range list {
		runs = append(runs, w.Run)
	}
	return runs, points
}

func distinct(runs []Run) map[Point]bool {
	m := map[Point]bool{}
	for _, r := range runs {
		m[r.Point] = true
	}
	return m
}

// runAll runs what was planned, several at a time.
func (c *Config) runAll(ctx context.Context, r *Report, runs []Run, good *outcome) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int
		done int
	)
	for range min(c.Parallel, len(runs)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(runs) || ctx.Err() != nil {
					return
				}
				if err := c.runOne(ctx, &runs[i], good, r.Unstable); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done++
				if c.Progress != nil {
					c.Progress(done, len(runs))
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.Runs = runs
	return nil
}

// runOne has one call fail and judges what comes of it.
func (c *Config) runOne(ctx context.Context, x *Run, good *outcome, unstable []string) error {
	fail := Errno(x.Errno)
	switch x.Call {
	case "brk":
		// It has no errors: one that fails leaves the break where it is.
		fail = Func(func(call *sysemu.Call, next sysemu.Handler) (uint64, error) {
			call.SetArg(0, 0)
			return next.ServeCall(call)
		})
	case "close":
		// The descriptor is closed whatever it says: close(2).
		fail = Func(func(call *sysemu.Call, next sysemu.Handler) (uint64, error) {
			if _, err := next.ServeCall(call); err != nil {
				return 0, err
			}
			return 0, x.Errno
		})
	}
	in, err := New(&Rule{Calls: x.Call, TID: x.TID, When: Once(x.N), Do: []Action{fail}})
	if err != nil {
		return err
	}
	o, err := c.run(ctx, in.Middleware)
	if err != nil {
		return err
	}
	x.judge(o, good, in.Total() > 0, unstable)
	return nil
}

// judge says how the program took it.
func (x *Run) judge(o, good *outcome, fired bool, unstable []string) {
	x.Status = describe(o.status)
	if o.limit != "" {
		x.Status += ", " + o.limit
	}
	x.Message = newLine(o.err, good.err)
	x.Differs = o.differs(good, unstable)
	switch {
	case !fired:
		x.Verdict = Unreached
	case o.hung:
		x.Verdict = Hung
	case o.status.Signaled() && o.status != good.status:
		x.Verdict = Crashed
	case len(o.crashes) > len(good.crashes):
		x.Verdict = Crashed
		x.Status += ", and " + o.crashes[len(o.crashes)-1]
	case o.status != good.status && o.status.ExitStatus() != 0 && x.Message != "":
		x.Verdict = Reported
	case o.status != good.status && o.status.ExitStatus() != 0:
		x.Verdict = Wordless
	case len(x.Differs) > 0:
		x.Verdict = Silent
	case x.Message != "":
		x.Verdict = Warned
	default:
		x.Verdict = Tolerated
	}
}

// describe is a wait status in words.
func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "signal: " + ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

// newLine is the first line that is not in what a good run has written.
func newLine(err, good []byte) string {
	had := map[string]bool{"": true}
	for _, l := range strings.Split(string(good), "\n") {
		had[l] = true
	}
	for _, l := range strings.Split(string(err), "\n") {
		if !had[l] {
			return l
		}
	}
	return ""
}

// differs is what two outcomes do not share, but for what is not to be looked at.
func (o *outcome) differs(good *outcome, unstable []string) []string {
	var list []string
	if !bytes.Equal(o.out, good.out) {
		list = append(list, "stdout")
	}
	for name, content := range o.files {
		if had, ok := good.files[name]; !ok || had != content {
			list = append(list, name)
		}
	}
	for name := range good.files {
		if _, ok := o.files[name]; !ok {
			list = append(list, name)
		}
	}
	list = slices.DeleteFunc(list, func(s string) bool { return slices.Contains(unstable, s) })
	slices.Sort(list)
	return list
}
