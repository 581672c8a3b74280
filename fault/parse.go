package fault

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Error says why a rule is none, and where.
type Error struct {
	Rule   string // its text
	Offset int    // in bytes, of what is wrong
	Reason string
}

// Column is where in the text it is, in characters and counted from 1.
func (e *Error) Column() int { return utf8.RuneCountInString(e.Rule[:e.Offset]) + 1 }

func (e *Error) Error() string {
	return fmt.Sprintf("fault: rule %q, column %d: %s", e.Rule, e.Column(), e.Reason)
}

// Mark is the rule with a caret below what is wrong and the reason beside that, in two lines.
func (e *Error) Mark() string {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, e.Rule)
	return line + "\n" + strings.Repeat(" ", e.Column()-1) + "^ " + e.Reason
}

// item is a part of a rule's text, and where it begins.
type item struct {
	s  string
	at int
}

func (i item) fail(reason string, args ...any) *Error {
	return &Error{"", i.at, fmt.Sprintf(reason, args...)}
}

// cut splits an item at a separator.
func (i item) cut(sep string) (before, after item, ok bool) {
	b, a, ok := strings.Cut(i.s, sep)
	return item{b, i.at}, item{a, i.at + len(b) + len(sep)}, ok
}

// Parse reads a rule:
//
//	[inject=|fault=]SET[:ITEM]...
//
// SET are system calls as strace's -e trace= takes them, and what strace has for -e inject= and -e fault= are items:
// error=, retval=, signal=, syscall=, delay_enter=, delay_exit=, poke_enter=, poke_exit= and when=. Further conditions are
// path=, fd=, arg.NAME=, arg1= to arg6=, pid=, tid=, comm=, code=, per=, prob= and seed=; further actions short=, torn=, space=, clock=, lost
// and crash. A
// value in double quotes may have colons in it. docs/faults.md tells of each.
//
// Without an action the call fails with ENOSYS, except after inject=. The error is an [*Error].
func Parse(text string) (*Rule, error) {
	r, err := parse(text)
	if err != nil {
		err.Rule = text
		err.Offset = min(err.Offset, len(text))
		return nil, err
	}
	return r, nil
}

func parse(text string) (*Rule, *Error) {
	all := item{text, 0}
	inject := false
	for _, p := range []string{"inject=", "fault="} {
		if rest, ok := strings.CutPrefix(text, p); ok {
			all, inject = item{rest, len(p)}, p == "inject="
			break
		}
	}
	items, err := all.split()
	if err != nil {
		return nil, err
	}
	r := &Rule{Calls: items[0].s}
	where := map[string][]item{"Calls": {items[0]}} // the values of fields
	if r.Calls == "" {
		return nil, items[0].fail("the names of calls are missing")
	}
	seen := map[string]bool{}
	for _, it := range items[1:] {
		key, v, ok := it.cut("=")
		if isArg(it.s) {
			if err := r.parseArg(it, where); err != nil {
				return nil, err
			}
			continue
		}
		p := parsers[key.s]
		switch {
		case key.s == "":
			return nil, it.fail("an action or a condition is missing")
		case p.parse == nil:
			return nil, it.fail("no such action or condition: %q", key.s)
		case ok && p.bare:
			return nil, v.fail("%s has no value", key.s)
		case !ok && !p.bare:
			return nil, item{"", it.at + len(it.s)}.fail("%s has a value: %s=…", key.s, key.s)
		case seen[key.s] && !p.again:
			return nil, it.fail("%s is there twice", key.s)
		}
		seen[key.s] = true
		v, err := v.unquote()
		if err != nil {
			return nil, err
		}
		where[p.field] = append(where[p.field], v)
		if err := p.parse(r, v); err != nil {
			return nil, err
		}
	}
	if inject && len(r.Do) == 0 {
		return nil, item{"", len(text)}.fail("nothing is to happen: an action is missing, such as error=EIO")
	}
	if _, wrong := compile(r); wrong != nil {
		at := items[0].at
		if l := where[wrong.field]; wrong.index < len(l) {
			at = l[wrong.index].at
		}
		return nil, item{"", at + max(wrong.offset, 0)}.fail("%s", wrong.reason)
	}
	return r, nil
}

// split takes a rule apart at its colons, except those in quotes.
func (i item) split() ([]item, *Error) {
	var items []item
	from, quote := 0, -1
	for k := 0; k < len(i.s); k++ {
		switch c := i.s[k]; {
		case quote >= 0 && c == '\\':
			k++
		case quote >= 0 && c == '"':
			quote = -1
		case quote >= 0:
		case c == '"' && k > from && strings.ContainsRune("=<>&", rune(i.s[k-1])):
			quote = k
		case c == ':':
			items = append(items, item{i.s[from:k], i.at + from})
			from = k + 1
		}
	}
	if quote >= 0 {
		return nil, item{"", i.at + quote}.fail("nothing closes the quotes")
	}
	return append(items, item{i.s[from:], i.at + from}), nil
}

// unquote takes the quotes off a value. Where it is wrong is then told by the byte of the text without them.
func (i item) unquote() (item, *Error) {
	if !strings.HasPrefix(i.s, `"`) {
		return i, nil
	}
	var b strings.Builder
	for k := 1; k < len(i.s); k++ {
		switch c := i.s[k]; c {
		case '"':
			if k+1 < len(i.s) {
				return i, item{"", i.at + k + 1}.fail("something comes after the quotes")
			}
			return item{b.String(), i.at + 1}, nil
		case '\\':
			k++
			if k == len(i.s) {
				break
			}
			b.WriteByte(i.s[k])
		default:
			b.WriteByte(c)
		}
	}
	return i, i.fail("nothing closes the quotes")
}

// parser reads the value of an item.
type parser struct {
	field string // of Rule
	again bool   // there may be several
	bare  bool   // it has no value
	parse func(r *Rule, v item) *Error
}

// action is the parser of an action.
func action(f func(v item) (Action, *Error)) parser {
	return parser{"Do", false, false, func(r *Rule, v item) *Error {
		a, err := f(v)
		r.Do = append(r.Do, a)
		return err
	}}
}

// bare is the parser of an action without a value.
func bare(a Action) parser {
	p := action(func(item) (Action, *Error) { return a, nil })
	p.bare = true
	return p
}

var parsers map[string]parser

func init() {
	parsers = map[string]parser{
		"path": {"Path", false, false, func(r *Rule, v item) *Error { return text(v, &r.Path) }},
		"comm": {"Comm", false, false, func(r *Rule, v item) *Error { return text(v, &r.Comm) }},
		"code": {"Code", false, false, func(r *Rule, v item) *Error { return text(v, &r.Code) }},
		"pid":  {"PID", false, false, func(r *Rule, v item) *Error { return number(v, &r.PID, 1, 1<<31-1) }},
		"tid":  {"TID", false, false, func(r *Rule, v item) *Error { return number(v, &r.TID, 1, 1<<31-1) }},
		"fd": {"Args", true, false, func(r *Rule, v item) *Error {
			r.Args = append(r.Args, Arg{"fd", "=", v.s})
			return nil
		}},
		"when": {"When", true, false, parseWhen},
		"per":  {"Per", false, false, parsePer},
		"prob": {"Prob", false, false, parseProb},
		"seed": {"Seed", false, false, parseSeed},

		"error":       action(parseError),
		"retval":      action(parseRetval),
		"signal":      action(parseSignal),
		"syscall":     action(parseSyscall),
		"delay":       action(func(v item) (Action, *Error) { d, err := delay(v); return DelayEnter(d), err }),
		"delay_enter": action(func(v item) (Action, *Error) { d, err := delay(v); return DelayEnter(d), err }),
		"delay_exit":  action(func(v item) (Action, *Error) { d, err := delay(v); return DelayExit(d), err }),
		"poke_enter":  action(func(v item) (Action, *Error) { p, err := parsePokes(v); return Action{kind: pokeEnter, pokes: p}, err }),
		"poke_exit":   action(func(v item) (Action, *Error) { p, err := parsePokes(v); return Action{kind: pokeExit, pokes: p}, err }),
		"clock":       action(parseClock),
		"short":       action(func(v item) (Action, *Error) { s, err := size(v); return Short(s), err }),
		"torn":        action(parseTorn),
		"lost":        bare(Lost()),
		"crash":       bare(Crash()),
		"space": action(func(v item) (Action, *Error) {
			n, err := parseSize(v.s)
			if err != nil {
				return Action{}, v.fail("%v", err)
			}
			return Space(n), nil
		}),
	}
}

func text(v item, p *string) *Error {
	if v.s == "" {
		return v.fail("a pattern is missing")
	}
	*p = v.s
	return nil
}

func number(v item, p *int, lo, hi int) *Error {
	n, err := strconv.Atoi(v.s)
	if err != nil || n < lo || n > hi {
		return v.fail("%q is not a number from %d to %d", v.s, lo, hi)
	}
	*p = n
	return nil
}

// isArg reports whether an item is a condition on an argument: arg.NAME, or arg1 to arg6.
func isArg(s string) bool {
	n, ok := strings.CutPrefix(s, "arg")
	return ok && n != "" && (n[0] == '.' || n[0] >= '0' && n[0] <= '9')
}

func (r *Rule) parseArg(it item, where map[string][]item) *Error {
	skip := 0
	if strings.HasPrefix(it.s, "arg.") {
		skip = len("arg.")
	}
	rest := item{it.s[skip:], it.at + skip}
	end := strings.IndexAny(rest.s, "=!<>&")
	if end < 0 {
		return item{"", it.at + len(it.s)}.fail("a comparison is missing: one of = != < <= > >= &")
	}
	name := item{rest.s[:end], rest.at}
	for _, op := range argOps {
		value, ok := strings.CutPrefix(rest.s[end:], op)
		if !ok {
			continue
		}
		v, err := item{value, rest.at + end + len(op)}.unquote()
		if err != nil {
			return err
		}
		a := Arg{name.s, op, v.s}
		// The name is wrong, or the value is: that is known here alone.
		c, wrong := compile(&Rule{Calls: r.Calls})
		if wrong == nil {
			if _, reason, offset := newArgTest(a, c); reason != "" && offset < 0 {
				return name.fail("%s", reason)
			}
		}
		r.Args = append(r.Args, a)
		where["Args"] = append(where["Args"], v)
		return nil
	}
	return item{"", rest.at + end}.fail("no such comparison: there are = != < <= > >= &")
}

// whenMax is strace's limit.
const whenMax = 65535

// parseWhen reads first[..last][+[step]].
func parseWhen(r *Rule, v item) *Error {
	w := When{}
	span, step, stepped := v.cut("+")
	first, last, ranged := span.cut("..")
	if err := number(first, &w.First, 1, whenMax); err != nil {
		return err
	}
	w.Last = w.First
	if ranged {
		if err := number(last, &w.Last, 1, whenMax-1); err != nil {
			return err
		}
		if w.Last < w.First {
			return last.fail("the last call, %d, comes before the first, %d", w.Last, w.First)
		}
	} else if stepped {
		w.Last = 0
	}
	w.Step = 1
	if stepped && step.s != "" {
		if err := number(step, &w.Step, 1, whenMax); err != nil {
			return err
		}
	}
	r.When = w
	return nil
}

func parsePer(r *Rule, v item) *Error {
	for p, name := range perNames {
		if v.s == name {
			r.Per = Per(p)
			return nil
		}
	}
	return v.fail("calls are not counted per %q: there are %s", v.s, strings.Join(perNames, ", "))
}

func parseProb(r *Rule, v item) *Error {
	p, ok := part(v.s)
	if !ok {
		f, err := strconv.ParseFloat(v.s, 64)
		if p = f; err != nil || !(f > 0 && f <= 1) {
			return v.fail("%q is not a probability: above 0 and up to 1, or 100%%", v.s)
		}
	}
	r.Prob = p
	return nil
}

func parseSeed(r *Rule, v item) *Error {
	n, err := strconv.ParseUint(v.s, 0, 64)
	if err != nil {
		return v.fail("%q is not a number from 0 to 2^64-1", v.s)
	}
	r.Seed = n
	return nil
}

func parseError(v item) (Action, *Error) {
	if n, err := strconv.Atoi(v.s); err == nil {
		if n < 1 || n > 4095 {
			return Action{}, v.fail("%d is not an error: they are 1 to 4095", n)
		}
		return Errno(unix.Errno(n)), nil
	}
	e, ok := errnoOf(v.s)
	if !ok {
		return Action{}, v.fail("no such error: %q", v.s)
	}
	return Errno(e), nil
}

// errnoOf is the error of a name, in whatever case.
func errnoOf(name string) (unix.Errno, bool) {
	name = strings.ToUpper(name)
	switch name {
	case "EWOULDBLOCK":
		return unix.EAGAIN, true
	case "EDEADLOCK":
		return unix.EDEADLK, true
	case "ENOTSUP":
		return unix.EOPNOTSUPP, true
	}
	for e := unix.Errno(1); name != "" && e <= abi.ERESTART_RESTARTBLOCK; e++ {
		if abi.ErrnoName(e) == name {
			return e, true
		}
	}
	return 0, false
}

func parseRetval(v item) (Action, *Error) {
	n, err := strconv.ParseUint(v.s, 0, 64)
	if err != nil {
		s, err := strconv.ParseInt(v.s, 0, 64)
		if n = uint64(s); err != nil {
			return Action{}, v.fail("%q is not a number", v.s)
		}
	}
	return Return(n), nil
}

func parseSignal(v item) (Action, *Error) {
	n, ok := signalNumber(v.s)
	if !ok {
		return Action{}, v.fail("no such signal: %q", v.s)
	}
	return Signal(unix.Signal(n)), nil
}

func parseSyscall(v item) (Action, *Error) {
	c := abi.ByName(v.s)
	switch {
	case c == nil:
		return Action{}, v.fail("no such call: %q", v.s)
	case len(c.Args) != 0 || !strings.HasPrefix(c.Name, "get"):
		return Action{}, v.fail("%s is not one of %%pure, the calls that change nothing", v.s)
	}
	return Action{kind: replaceCall, call: c}, nil
}

// delay reads a time as strace has it, a number of microseconds or with a unit, or as Go has it.
func delay(v item) (time.Duration, *Error) {
	d, err := time.ParseDuration(v.s)
	if n, bad := strconv.ParseInt(v.s, 10, 64); bad == nil && n <= 1<<63/1000-1 {
		d, err = time.Duration(n)*time.Microsecond, nil
	}
	if err != nil || d < 0 {
		return 0, v.fail("%q is not a time: microseconds, or with a unit such as 20ms", v.s)
	}
	return d, nil
}

// parseClock reads a time to jump by, such as +1h or -30s.
func parseClock(v item) (Action, *Error) {
	d, err := time.ParseDuration(v.s)
	if err != nil || d == 0 {
		return Action{}, v.fail("%q is not a time to jump by, such as +1h or -30s", v.s)
	}
	return Clock(d), nil
}

// parsePokes reads @argN=HEX,@argM=HEX...
func parsePokes(v item) ([]poke, *Error) {
	var list []poke
	for rest, more := v, true; more; {
		var one item
		one, rest, more = rest.cut(",")
		arg, data, ok := one.cut("=")
		n, found := strings.CutPrefix(arg.s, "@arg")
		if !ok || !found {
			return nil, one.fail("%q is not of the form @argN=HEX", one.s)
		}
		if len(n) != 1 || n[0] < '1' || n[0] > '6' {
			return nil, arg.fail("no such argument: %q", arg.s[1:])
		}
		b, err := hex.DecodeString(data.s)
		if err != nil || len(b) == 0 {
			return nil, data.fail("%q are not bytes in hexadecimal", data.s)
		}
		for _, p := range list {
			if p.arg == int(n[0]-'1') {
				return nil, arg.fail("%s is there twice", arg.s[1:])
			}
		}
		list = append(list, poke{int(n[0] - '1'), b})
	}
	return list, nil
}

// part reads a percentage.
func part(s string) (float64, bool) {
	n, ok := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(n, 64)
	return f / 100, ok && err == nil && f > 0 && f <= 100
}

// size reads a number of bytes or a percentage.
func size(v item) (Size, *Error) {
	if f, ok := part(v.s); ok {
		return Part(f), nil
	}
	n, err := parseSize(v.s)
	if err != nil {
		return Size{}, v.fail("%q is not a number of bytes, nor a part such as 50%%", v.s)
	}
	return Bytes(n), nil
}

// parseTorn reads TO or FROM..TO.
func parseTorn(v item) (Action, *Error) {
	from, to, ok := v.cut("..")
	if !ok {
		from, to = item{"0", v.at}, v
	}
	a, err := size(from)
	if err != nil {
		return Action{}, err
	}
	b, err := size(to)
	if err != nil {
		return Action{}, err
	}
	if a.Part == 0 && b.Part == 0 && a.N > b.N {
		return Action{}, to.fail("the part that is written ends before it begins")
	}
	return Torn(a, b), nil
}
