package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/callset"
)

// Rule says which calls go wrong, and how. A call is met when it is one of Calls and all the conditions hold; those
// that are zero always do. Of the calls met, counted one by one, When and Prob choose those that Do is done to.
type Rule struct {
	// Calls are the calls, as strace's -e trace= takes them: names, /regex, classes such as %file. "" is all.
	Calls string

	// Path is a glob for what the call names: its paths, made absolute, and what its descriptors lead to. One
	// without a slash is for the last element. * and ? stop at slashes, ** does not.
	Path string
	// Args are conditions on arguments.
	Args []Arg
	// PID and TID are the calling process and thread, Comm a glob for the thread's name.
	PID, TID int
	Comm     string
	// Code is a glob for what the code that makes the call is mapped from: the program, or a library.
	Code string
	// If is any other condition. It may look at the call, and must not change it.
	If func(c *sysemu.Call) bool

	// When chooses among the calls met, counted from 1 by what Per says.
	When When
	Per  Per
	// Prob is how likely a fault is at each of them: 0 and 1 are always. What is drawn follows from Seed, the
	// thread's number and how many calls the rule has met there, and from nothing else.
	Prob float64
	Seed uint64

	// Do is what happens, in this order. Without any, the call fails with ENOSYS.
	Do []Action
}

// Arg is a condition on an argument of a call.
type Arg struct {
	// Name is the argument's name in package abi's list of calls, arg1 to arg6 for whichever comes there, or fd
	// for any descriptor among the arguments. It does not hold for a call that has none of it.
	Name string
	// Op is =, !=, <, <=, > or >=; & for: has these bits.
	Op string
	// Value is a number, names of flags as O_CREAT|O_EXCL, or, of a path, a glob.
	Value string
}

// When is a range of calls: from number First up to Last, 0 for no end, every Step-th one. The zero When is every call,
// and a Step of 0 is 1.
type When struct{ First, Last, Step int }

// Once is only the call of number n.
func Once(n int) When { return When{n, n, 1} }

// From is the call of number n and all after it.
func From(n int) When { return When{First: n} }

// has reports whether number n is one of them.
func (w When) has(n int) bool {
	if w == (When{}) {
		return true
	}
	first := max(w.First, 1)
	return n >= first && (w.Last == 0 || n <= w.Last) && (n-first)%max(w.Step, 1) == 0
}

// String is the range as strace's when= has it.
func (w When) String() string {
	switch {
	case w == (When{}):
		return "1+"
	case w.Last == max(w.First, 1):
		return strconv.Itoa(w.Last)
	}
	s := strconv.Itoa(max(w.First, 1))
	if w.Last != 0 {
		s += ".." + strconv.Itoa(w.Last)
	}
	if w.Step > 1 {
		return s + "+" + strconv.Itoa(w.Step)
	}
	if w.Last == 0 {
		s += "+"
	}
	return s
}

// Per says which calls are counted together.
type Per uint8

// What calls are counted by.
const (
	PerCall    Per = iota // each call of each thread by itself, as strace counts
	PerThread             // all calls of the rule that a thread makes
	PerProcess            // … that the threads of a process make
	PerMachine            // … that are made
)

var perNames = []string{"call", "thread", "process", "machine"}

func (p Per) String() string {
	if int(p) < len(perNames) {
		return perNames[p]
	}
	return "Per(" + strconv.Itoa(int(p)) + ")"
}

// String is the rule as Parse reads it. What is a function in it is shown as <func>, which it does not read.
func (r *Rule) String() string {
	var b strings.Builder
	if b.WriteString(r.Calls); r.Calls == "" {
		b.WriteString("all")
	}
	add := func(key, value string) {
		if strings.ContainsAny(value, `:"\`) {
			value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		}
		b.WriteString(":" + key + value)
	}
	if r.Path != "" {
		add("path=", r.Path)
	}
	for _, a := range r.Args {
		if a.Name == "fd" && a.Op == "=" {
			add("fd=", a.Value)
		} else if isArg(a.Name) {
			add(a.Name+a.Op, a.Value)
		} else {
			add("arg."+a.Name+a.Op, a.Value)
		}
	}
	for _, n := range []struct {
		key string
		v   int
	}{{"pid=", r.PID}, {"tid=", r.TID}} {
		if n.v != 0 {
			add(n.key, strconv.Itoa(n.v))
		}
	}
	if r.Comm != "" {
		add("comm=", r.Comm)
	}
	if r.Code != "" {
		add("code=", r.Code)
	}
	if r.If != nil {
		add("if=", "<func>")
	}
	for _, a := range r.Do {
		key, value, ok := strings.Cut(a.String(), "=")
		if ok {
			key += "="
		}
		add(key, value)
	}
	if r.When != (When{}) {
		add("when=", r.When.String())
	}
	if r.Per != PerCall {
		add("per=", r.Per.String())
	}
	if r.Prob != 0 && r.Prob != 1 {
		add("prob=", strconv.FormatFloat(r.Prob, 'g', -1, 64))
	}
	if r.Seed != 0 {
		add("seed=", strconv.FormatUint(r.Seed, 10))
	}
	return b.String()
}

// fieldError says what is wrong with one field of a Rule, and where in it.
type fieldError struct {
	field  string
	index  int // of Args or Do
	offset int
	reason string
}

// compiled is a Rule made ready.
type compiled struct {
	*Rule
	calls callset.Set
	path  *glob
	comm  *glob
	code  *glob
	args  []argTest
	do    []Action
	names map[string]bool // arguments that some call of the rule has
}

// compile checks a rule.
func compile(r *Rule) (*compiled, *fieldError) {
	c := &compiled{Rule: r, calls: callset.All(), do: r.Do}
	if r.Calls != "" {
		var err error
		if c.calls, err = callset.Parse(r.Calls); err != nil {
			e := err.(*callset.Error)
			return nil, &fieldError{"Calls", 0, e.Offset, e.Reason}
		}
	}
	c.names = map[string]bool{"fd": true}
	for i := range abi.Calls {
		d := &abi.Calls[i]
		for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
			if n := d.Number(arch); n >= 0 && c.calls.Has(arch, n) {
				for _, a := range d.ArgsOn(arch) {
					c.names[a.Name] = true
				}
			}
		}
	}
	if r.Path != "" {
		c.path = newGlob(r.Path)
	}
	if r.Comm != "" {
		c.comm = newGlob(r.Comm)
	}
	if r.Code != "" {
		c.code = newGlob(r.Code)
	}
	for i, a := range r.Args {
		t, reason, offset := newArgTest(a, c)
		if reason != "" {
			return nil, &fieldError{"Args", i, offset, reason}
		}
		c.args = append(c.args, t)
	}
	if r.PID < 0 || r.TID < 0 {
		return nil, &fieldError{"PID", 0, 0, "processes and threads have numbers above 0"}
	}
	w := r.When
	switch {
	case w.First < 0 || w.Last < 0 || w.Step < 0:
		return nil, &fieldError{"When", 0, 0, "calls are counted from 1"}
	case w.Last != 0 && w.Last < w.First:
		return nil, &fieldError{"When", 0, 0, fmt.Sprintf("the last call, %d, comes before the first, %d", w.Last, w.First)}
	}
	if r.Per > PerMachine {
		return nil, &fieldError{"Per", 0, 0, "no such way to count"}
	}
	if !(r.Prob >= 0 && r.Prob <= 1) {
		return nil, &fieldError{"Prob", 0, 0, "a probability is from 0 to 1"}
	}
	if len(c.do) == 0 {
		c.do = []Action{Errno(38)}
	}
	result := -1
	for i, a := range c.do {
		if reason := a.check(); reason != "" {
			return nil, &fieldError{"Do", i, 0, reason}
		}
		if !a.decides() {
			continue
		}
		if result >= 0 {
			other := c.do[result].name()
			return nil, &fieldError{"Do", i, 0, fmt.Sprintf("%s and %s exclude each other", other, a.name())}
		}
		result = i
	}
	if j := slices.IndexFunc(c.do, func(a Action) bool { return a.kind == replaceCall }); j >= 0 &&
		!slices.ContainsFunc(c.do, func(a Action) bool { return a.kind == setErrno || a.kind == setResult }) {
		return nil, &fieldError{"Do", j, 0, "syscall says what is made in place of a call that fails or succeeds by error or retval, and there is neither"}
	}
	return c, nil
}
