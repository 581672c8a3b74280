package fault

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
)

// Injector makes calls go wrong as its rules say. It is for one machine: what it counts, it counts there.
type Injector struct {
	rules []*compiled
	met   [2][abi.MaxNumber + 1]bool // some rule is for that call
	all   bool                       // … for every number

	mu     sync.Mutex // never held while a call is served
	counts map[counter]int
	space  []int64 // bytes written, by rule
	fired  []Fired
	total  int
}

// counter is what calls are counted by.
type counter struct {
	rule, id int
	arch     abi.Arch
	nr       int
}

// Fired is a fault that has happened.
type Fired struct {
	Rule     int    // its index among the rules
	Call     string // the call's name
	PID, TID int    // who made it
	Count    int    // which it was among the calls that the rule has met
	Effect   string // the rule's actions that had an effect, as rules have them
}

func (f Fired) String() string {
	return fmt.Sprintf("rule %d: %s #%d of thread %d: %s", f.Rule+1, f.Call, f.Count, f.TID, f.Effect)
}

// maxFired is how many faults are told of one by one.
const maxFired = 10000

// New makes an Injector. All rules are looked at for each call, in their order, until one decides its result: one that
// only delays or sends a signal leaves the call to those after it. The error is an [*Error], whose text is that of
// [Rule.String].
func New(rules ...*Rule) (*Injector, error) {
	in := &Injector{counts: map[counter]int{}, space: make([]int64, len(rules))}
	for _, r := range rules {
		own := *r
		own.Args, own.Do = slices.Clone(r.Args), slices.Clone(r.Do)
		c, wrong := compile(&own)
		if wrong != nil {
			return nil, &Error{own.String(), wrong.offsetIn(&own), wrong.field + ": " + wrong.reason}
		}
		in.rules = append(in.rules, c)
		in.all = in.all || c.calls.Has(abi.AMD64, -1)
		for a, arch := range []abi.Arch{abi.AMD64, abi.I386} {
			for n := range in.met[a] {
				in.met[a][n] = in.met[a][n] || c.calls.Has(arch, n)
			}
		}
	}
	return in, nil
}

// offsetIn is where in the text of a rule that was made in Go the error is: known of the calls' names alone.
func (e *fieldError) offsetIn(r *Rule) int {
	if e.field == "Calls" {
		return min(e.offset, len(r.Calls))
	}
	return 0
}

// Middleware puts the faults in front of next: it is a [sysemu.Middleware].
func (in *Injector) Middleware(next sysemu.Handler) sysemu.Handler {
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
		if !in.meets(c.Arch(), c.Number()) {
			return next.ServeCall(c)
		}
		return in.serve(c, next, 0)
	})
}

// Options are what a machine needs for the faults: the middleware; for a crash, that it can; and for jumps of its clock one
// that can be set, as the host's but for that. A later option for the clock takes its place.
func (in *Injector) Options() []sysemu.Option {
	opts := []sysemu.Option{sysemu.WithMiddleware(in.Middleware)}
	if in.JumpsClock() {
		opts = append(opts, sysemu.WithClock(sysemu.OffsetClock(0)))
	}
	if in.Crashes() {
		opts = append(opts, sysemu.WithCrash())
	}
	return opts
}

// JumpsClock reports whether there is a rule that has the machine's clock jump.
func (in *Injector) JumpsClock() bool { return in.has(jumpClock) }

// Crashes reports whether there is a rule that has the machine crash.
func (in *Injector) Crashes() bool { return in.has(crashNow) }

func (in *Injector) has(k kind) bool {
	return slices.ContainsFunc(in.rules, func(r *compiled) bool {
		return slices.ContainsFunc(r.do, func(a Action) bool { return a.kind == k })
	})
}

func (in *Injector) meets(arch abi.Arch, nr int) bool {
	a := 0
	if arch == abi.I386 {
		a = 1
	}
	if uint(nr) > abi.MaxNumber {
		return in.all
	}
	return in.met[a][nr]
}

// Fired are the faults that have happened so far, the first 10,000 of them. Those of one thread are in order; between
// threads the order is that of a machine with one CPU, and by chance on more.
func (in *Injector) Fired() []Fired {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.fired)
}

// Total is how many faults have happened.
func (in *Injector) Total() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.total
}

// serve applies the rules from the i-th on.
func (in *Injector) serve(c *sysemu.Call, next sysemu.Handler, i int) (uint64, error) {
	for ; i < len(in.rules); i++ {
		r := in.rules[i]
		if !r.holds(c) {
			continue
		}
		n := in.count(i, r, c)
		if !r.When.has(n) || !r.drawn(i, c.TID(), n) {
			continue
		}
		rest := sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) { return in.serve(c, next, i+1) })
		return in.apply(&shot{in: in, rule: i, count: n, c: c, next: next}, r.do, rest)
	}
	return next.ServeCall(c)
}

// holds reports whether a rule meets a call.
func (r *compiled) holds(c *sysemu.Call) bool {
	if !r.calls.Has(c.Arch(), c.Number()) ||
		r.PID != 0 && c.PID() != r.PID ||
		r.TID != 0 && c.TID() != r.TID ||
		r.comm != nil && !r.comm.match(c.Comm()) ||
		r.code != nil && !r.code.match(c.CodeFile()) {
		return false
	}
	for i := range r.args {
		if !r.args[i].holds(c) {
			return false
		}
	}
	return (r.path == nil || r.onPath(c)) && (r.If == nil || r.If(c))
}

// onPath reports whether a call names a file that the rule is for: by its paths, or, when it has none, by descriptors.
func (r *compiled) onPath(c *sysemu.Call) bool {
	args, named := c.Args(), false
	for _, a := range args {
		if a.Kind.Base() == abi.Path && a.Raw != 0 {
			named = true
			if s, err := c.AbsPath(a.Index); err == nil && r.path.match(s) {
				return true
			}
		}
	}
	if named {
		return false
	}
	for _, a := range args {
		if isFD(a) {
			if s := c.FileName(c.FD(a.Index)); s != "" && r.path.match(strings.TrimSuffix(s, " (deleted)")) {
				return true
			}
		}
	}
	return false
}

// isFD reports whether an argument is a descriptor.
func isFD(a sysemu.Arg) bool {
	k := a.Kind.Base()
	return k == abi.FD || k == abi.DirFD
}

// count answers which call this is of those that the rule has met.
func (in *Injector) count(i int, r *compiled, c *sysemu.Call) int {
	k := counter{rule: i}
	switch r.Per {
	case PerCall:
		k.id, k.arch, k.nr = c.TID(), c.Arch(), c.Number()
	case PerThread:
		k.id = c.TID()
	case PerProcess:
		k.id = c.PID()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.counts[k]++
	return in.counts[k]
}

// drawn answers whether a fault is due by the rule's probability.
func (r *compiled) drawn(i, tid, n int) bool {
	if r.Prob == 0 || r.Prob == 1 {
		return true
	}
	// No state: what is drawn at a call does not depend on what other threads have done meanwhile.
	x := mix(r.Seed ^ mix(uint64(i)<<40^uint64(uint32(tid))<<8) ^ mix(uint64(n)))
	return float64(x>>11)/(1<<53) < r.Prob
}

// mix makes a number of which every bit depends on all of x.
func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0x9e3779b97f4a7c15, 0xd1342543de82ef95)
	x = hi ^ lo
	hi, lo = bits.Mul64(x^x>>32, 0xaf251af3b0f025b5)
	return hi ^ lo ^ x
}

// shot is a rule that is applied to a call.
type shot struct {
	in    *Injector
	rule  int
	count int
	c     *sysemu.Call
	next  sysemu.Handler // below the injector
	noted int            // where in the injector's list it is told of, plus 1
}

// note tells of an action that has an effect.
func (s *shot) note(a Action) {
	in := s.in
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case s.noted > 0:
		in.fired[s.noted-1].Effect += ":" + a.String()
	case s.noted == 0:
		s.noted = -1
		if in.total++; len(in.fired) < maxFired {
			in.fired = append(in.fired, Fired{s.rule, s.c.Name(), s.c.PID(), s.c.TID(), s.count, a.String()})
			s.noted = len(in.fired)
		}
	}
}

// apply does what actions say; rest are the rules that come after.
func (in *Injector) apply(s *shot, actions []Action, rest sysemu.Handler) (uint64, error) {
	var steps []step
	for _, a := range actions {
		if st, ok := a.plan(s); ok {
			steps = append(steps, st)
			if a.kind != limitSpace && a.kind != jumpClock && a.kind != crashNow { // which is seen when it is done
				s.note(a)
			}
		}
	}
	if len(steps) == 0 {
		return rest.ServeCall(s.c)
	}
	// Outer handlers find the arguments that the program has given.
	var args [6]uint64
	for i := range args {
		args[i] = s.c.Arg(i)
	}
	v, err := run(s, steps, rest)
	for i, a := range args {
		s.c.SetArg(i, a)
	}
	return v, err
}

// step is an action on a call; rest serves the call as if there were none.
type step func(s *shot, rest sysemu.Handler) (uint64, error)

func run(s *shot, steps []step, rest sysemu.Handler) (uint64, error) {
	if len(steps) == 0 {
		return rest.ServeCall(s.c)
	}
	return steps[0](s, sysemu.HandlerFunc(func(*sysemu.Call) (uint64, error) { return run(s, steps[1:], rest) }))
}
